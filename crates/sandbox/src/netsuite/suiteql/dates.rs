//! Dates by Oracle's format words.

use jiff::civil::{Date, DateTime};

use crate::netsuite::settings::Settings;

/// Format words, longest first.
const WORDS: [&str; 18] =
    ["YYYY", "MONTH", "HH24", "HH12", "MON", "DAY", "FF3", "FF6", "YY", "MM", "DD", "DY", "HH", "MI", "SS", "AM", "PM", "Q"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// The parts of a format: a word, or text as it is.
fn parts(format: &str) -> Vec<Result<&'static str, String>> {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let inside = &rest[1..];
            let end = inside.find('"').unwrap_or(inside.len());
            parts.push(Err(inside[..end].to_owned()));
            rest = inside.get(end + 1..).unwrap_or_default();
            continue;
        }
        let word = WORDS.iter().find(|word| rest.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word)));
        if let Some(word) = word {
            parts.push(Ok(*word));
            rest = &rest[word.len()..];
        } else {
            parts.push(Err(first.to_string()));
            rest = &rest[first.len_utf8()..];
        }
    }
    parts
}

/// A moment in a format.
pub(super) fn write(at: DateTime, format: &str) -> String {
    let twelve = if at.hour() % 12 == 0 { 12 } else { at.hour() % 12 };
    let month = || MONTHS[usize::try_from(at.month() - 1).unwrap_or_default()];
    let one = |part: Result<&str, String>| match part {
        Err(text) => text,
        Ok("YYYY") => format!("{:04}", at.year()),
        Ok("YY") => format!("{:02}", at.year() % 100),
        Ok("MONTH") => month().to_uppercase(),
        Ok("MON") => month()[..3].to_uppercase(),
        Ok("MM") => format!("{:02}", at.month()),
        Ok("DD") => format!("{:02}", at.day()),
        Ok("DAY") => at.strftime("%A").to_string().to_uppercase(),
        Ok("DY") => at.strftime("%a").to_string().to_uppercase(),
        Ok("HH24") => format!("{:02}", at.hour()),
        Ok("HH12" | "HH") => format!("{twelve:02}"),
        Ok("MI") => format!("{:02}", at.minute()),
        Ok("SS") => format!("{:02}", at.second()),
        Ok("FF3") => format!("{:03}", at.millisecond()),
        Ok("FF6") => format!("{:03}{:03}", at.millisecond(), at.microsecond()),
        Ok("Q") => ((at.month() + 2) / 3).to_string(),
        Ok(_) => if at.hour() < 12 { "AM" } else { "PM" }.to_owned(),
    };
    parts(format).into_iter().map(one).collect()
}

/// A moment out of text in a format.
pub(super) fn read(text: &str, format: &str) -> Option<DateTime> {
    let (mut year, mut month, mut day) = (0_i16, 1_i8, 1_i8);
    let (mut hour, mut minute, mut second, mut late) = (0_i8, 0_i8, 0_i8, None);
    let mut rest = text.trim();
    for part in parts(format) {
        if rest.is_empty() {
            break;
        }
        match part {
            Err(text) => {
                rest = rest.get(text.len()..).filter(|_| rest.starts_with(&text) || !text.chars().any(char::is_alphanumeric))?
            }
            Ok("MON" | "MONTH") => {
                let place =
                    MONTHS.iter().position(|name| rest.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case(&name[..3])))?;
                month = i8::try_from(place + 1).ok()?;
                rest = rest.trim_start_matches(char::is_alphabetic);
            }
            Ok("AM" | "PM") => {
                late = Some(rest.get(..2)?.eq_ignore_ascii_case("PM"));
                rest = &rest[2..];
            }
            Ok(word) => {
                let most = match word {
                    "YYYY" => 4,
                    "FF3" => 3,
                    "FF6" => 6,
                    _ => 2,
                };
                let end = rest.chars().take(most).take_while(char::is_ascii_digit).count();
                let number: i32 = rest[..end].parse().ok()?;
                rest = &rest[end..];
                let small = i8::try_from(number).unwrap_or(-1);
                match word {
                    "YYYY" => year = i16::try_from(number).ok()?,
                    "YY" => year = 2000 + i16::try_from(number).ok()?,
                    "MM" => month = small,
                    "DD" => day = small,
                    "HH24" | "HH12" | "HH" => hour = small,
                    "MI" => minute = small,
                    "SS" => second = small,
                    _ => {}
                }
            }
        }
    }
    if let Some(late) = late {
        hour = hour % 12 + if late { 12 } else { 0 };
    }
    if !rest.trim().is_empty() {
        return None;
    }
    Some(DateTime::from_parts(Date::new(year, month, day).ok()?, jiff::civil::Time::new(hour, minute, second, 0).ok()?))
}

/// A moment in the user's format, or in ISO's.
pub(super) fn read_any(text: &str, settings: &Settings) -> Option<DateTime> {
    let text = text.trim();
    if let Some(day) = settings.read_date(text) {
        return Some(day.at(0, 0, 0, 0));
    }
    ["YYYY-MM-DD HH24:MI:SS", "YYYY-MM-DD\"T\"HH24:MI:SS", "YYYY-MM-DD HH24:MI", "YYYY-MM-DD"]
        .iter()
        .find_map(|format| read(text, format))
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn a_moment_reads_as_it_was_written() {
        let at = jiff::civil::date(2026, 11, 21).at(20, 5, 9, 0);
        for format in ["YYYY-MM-DD HH24:MI:SS", "DD-MON-YYYY HH:MI:SS AM", "MM/DD/YYYY HH24.MI.SS", "YYYY-MM-DD\"T\"HH24:MI:SS"] {
            assert_eq!(read(&write(at, format), format), Some(at), "{format}");
        }
        assert_eq!(write(at, "DD.MM.YY Q"), "21.11.26 4");
        for wrong in ["2026-13-01", "abc", "2026-11-21 x", "éé"] {
            assert_eq!(read(wrong, "YYYY-MM-DD"), None, "{wrong}");
        }
    }
}
