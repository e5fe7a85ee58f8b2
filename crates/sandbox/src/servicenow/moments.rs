//! Times as queries write them: `javascript:gs.daysAgoStart(7)`, `@hour@ago@1`, parts of a date.

use jiff::{Span, Timestamp, ToSpan, Zoned, civil::Time, tz::TimeZone};

use super::data::{Person, instant, stamp};

/// A value of a condition with its script run; other values as they are.
///
/// The vendor runs a sandboxed script engine. These are the calls its own filters are made of; other scripts give nothing.
pub(super) fn value(text: &str, person: &Person, now: Timestamp) -> String {
    let Some(script) = text.strip_prefix("javascript:") else { return text.to_owned() };
    let script = script.trim().trim_end_matches(';');
    let Some((name, rest)) = script.strip_prefix("gs.").and_then(|call| call.split_once('(')) else {
        return String::new();
    };
    let arguments: Vec<&str> = rest.trim_end_matches(')').split(',').map(|word| word.trim().trim_matches(['\'', '"'])).collect();
    match name {
        "getUserID" => person.id.clone(),
        "getUserName" => person.user_name.clone(),
        _ => moment(name, &arguments, person, now).map(stamp).unwrap_or_default(),
    }
}

fn moment(name: &str, arguments: &[&str], person: &Person, now: Timestamp) -> Option<Timestamp> {
    let here = now.to_zoned(person.zone.clone());
    let first = arguments.first().copied().unwrap_or_default();
    let count = || first.parse::<i64>().ok().filter(|count| count.abs() < 100_000);
    match name {
        "now" | "nowDateTime" | "nowNoTZ" => Some(now),
        "dateGenerate" => generated(first, arguments.get(1).copied(), &person.zone),
        "daysAgo" => back(&here, count()?.days()).map(|at| at.timestamp()),
        "daysAgoStart" => start(&back(&here, count()?.days())?),
        "daysAgoEnd" => end(&back(&here, count()?.days())?),
        "hoursAgo" | "hoursAgoStart" | "hoursAgoEnd" => back(&here, count()?.hours()).map(|at| at.timestamp()),
        "minutesAgo" | "minutesAgoStart" | "minutesAgoEnd" => back(&here, count()?.minutes()).map(|at| at.timestamp()),
        "monthsAgo" | "monthsAgoStart" => back(&here, count()?.months()).map(|at| at.timestamp()),
        "yesterday" | "beginningOfYesterday" => start(&back(&here, 1.day())?),
        "endOfYesterday" => end(&back(&here, 1.day())?),
        "beginningOfToday" => start(&here),
        "endOfToday" => end(&here),
        "beginningOfTomorrow" => start(&back(&here, (-1).day())?),
        "endOfTomorrow" => end(&back(&here, (-1).day())?),
        "beginningOfThisWeek" => start(&monday(&here)?),
        "endOfThisWeek" => end(&back(&monday(&here)?, (-6).days())?),
        "beginningOfLastWeek" => start(&back(&monday(&here)?, 7.days())?),
        "endOfLastWeek" => end(&back(&monday(&here)?, 1.day())?),
        "beginningOfThisMonth" => start(&here.first_of_month().ok()?),
        "endOfThisMonth" => end(&here.last_of_month().ok()?),
        "beginningOfLastMonth" => start(&back(&here, 1.month())?.first_of_month().ok()?),
        "endOfLastMonth" => end(&back(&here, 1.month())?.last_of_month().ok()?),
        "beginningOfThisYear" => start(&here.first_of_year().ok()?),
        "endOfThisYear" => end(&here.last_of_year().ok()?),
        _ => None,
    }
}

/// `dateGenerate('2026-01-02','03:04:05')` in the user's zone; `start` and `end` stand for the day's first and last second.
fn generated(date: &str, time: Option<&str>, zone: &TimeZone) -> Option<Timestamp> {
    let (date, inside) = date.split_once(' ').map_or((date, None), |(date, time)| (date, Some(time)));
    let date: jiff::civil::Date = date.parse().ok()?;
    let time = match time.or(inside).unwrap_or("start") {
        "start" => Time::midnight(),
        "end" => Time::constant(23, 59, 59, 0),
        time => time.parse().ok()?,
    };
    date.to_datetime(time).to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

fn back(from: &Zoned, by: Span) -> Option<Zoned> {
    from.checked_sub(by).ok()
}

fn start(day: &Zoned) -> Option<Timestamp> {
    day.start_of_day().ok().map(|at| at.timestamp())
}

fn end(day: &Zoned) -> Option<Timestamp> {
    day.end_of_day().ok().map(|at| at.timestamp())
}

fn monday(day: &Zoned) -> Option<Zoned> {
    back(day, i64::from(day.weekday().to_monday_zero_offset()).days())
}

/// How long a unit of relative conditions is; months and years as the vendor counts them, 30 and 365 days.
pub(super) fn unit_seconds(unit: &str) -> Option<i64> {
    Some(match unit {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" | "dayofweek" => 86_400,
        "week" => 7 * 86_400,
        "month" => 30 * 86_400,
        "quarter" => 90 * 86_400,
        "year" => 365 * 86_400,
        _ => return None,
    })
}

/// The instant of `@hour@ago@1` or `@day@ahead@2`.
pub(super) fn relative(text: &str, now: Timestamp) -> Option<String> {
    let [_, unit, side, count] = text.split('@').collect::<Vec<_>>()[..] else { return None };
    let seconds = unit_seconds(unit)?.checked_mul(count.parse().ok()?)?;
    let seconds = if side == "ago" { seconds.checked_neg()? } else { seconds };
    now.checked_add(jiff::SignedDuration::from_secs(seconds)).ok().map(stamp)
}

/// A part of a date: `Monday@javascript:gs.datePart('dayofweek','monday','EE')`.
pub(super) struct Part {
    part: String,
    wanted: String,
}

impl Part {
    pub(super) fn read(text: &str) -> Option<Self> {
        let call = text.split_once("gs.datePart(")?.1;
        let mut words =
            call.trim_end_matches([')', ';']).split(',').map(|word| word.trim().trim_matches(['\'', '"']).to_lowercase());
        Some(Self { part: words.next()?, wanted: words.next()? })
    }

    pub(super) fn holds(&self, at: Timestamp, zone: &TimeZone) -> bool {
        let at = at.to_zoned(zone.clone());
        let format = match self.part.as_str() {
            "dayofweek" => "%A",
            "month" => "%B",
            "year" => "%Y",
            "hour" => "%H",
            "quarter" => return format!("{}", (i32::from(at.month()) - 1) / 3 + 1) == self.wanted,
            _ => return false,
        };
        let value = at.strftime(format).to_string().to_lowercase();
        value == self.wanted || value.trim_start_matches('0') == self.wanted || value.get(..3) == Some(self.wanted.as_str())
    }
}

/// How a person sees an instant the instance holds.
pub(super) fn shown(text: &str, person: &Person) -> String {
    instant(text).map_or_else(
        || text.to_owned(),
        |at| at.to_zoned(person.zone.clone()).strftime(&format!("{} %H:%M:%S", person.date_format)).to_string(),
    )
}

/// The instant of what a person wrote as they see it; nothing when it is none.
pub(super) fn written(text: &str, person: &Person) -> Option<String> {
    let civil = jiff::civil::DateTime::strptime(format!("{} %H:%M:%S", person.date_format), text).ok()?;
    civil.to_zoned(person.zone.clone()).ok().map(|zoned| stamp(zoned.timestamp()))
}

/// A duration, kept as an offset from 1970-01-01 00:00:00, in words.
pub(super) fn duration_shown(text: &str) -> String {
    let Some(seconds) = instant(text).map(Timestamp::as_second) else { return text.to_owned() };
    let parts =
        [(seconds / 86_400, "Day"), (seconds / 3_600 % 24, "Hour"), (seconds / 60 % 60, "Minute"), (seconds % 60, "Second")];
    let words: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};

    use super::{Part, Person, duration_shown, relative, shown, value, written};

    fn person() -> Person {
        Person {
            id: "u1".to_owned(),
            user_name: "ada".to_owned(),
            roles: vec![],
            zone: TimeZone::get("America/Los_Angeles").unwrap(),
            date_format: "%Y-%m-%d".to_owned(),
        }
    }

    #[test]
    fn scripts_give_the_users_moments_in_utc() {
        let now: Timestamp = "2026-11-18T20:00:00Z".parse().unwrap();
        let run = |script: &str| value(&format!("javascript:{script}"), &person(), now);
        assert_eq!(run("gs.getUserID()"), "u1");
        assert_eq!(run("gs.beginningOfToday()"), "2026-11-18 08:00:00");
        assert_eq!(run("gs.endOfToday()"), "2026-11-19 07:59:59");
        assert_eq!(run("gs.dateGenerate('2026-01-02','03:04:05')"), "2026-01-02 11:04:05");
        assert_eq!(run("gs.beginningOfThisWeek()"), "2026-11-16 08:00:00");
        assert_eq!(run("gs.daysAgoStart(1)"), "2026-11-17 08:00:00");
        assert_eq!(run("deleteEverything()"), "");
        assert_eq!(relative("@hour@ago@1", now).unwrap(), "2026-11-18 19:00:00");
        assert!(relative("@hour@ago@99999999999999999999", now).is_none());
    }

    #[test]
    fn people_see_their_own_zone_and_write_in_it() {
        assert_eq!(shown("2026-01-02 03:04:05", &person()), "2026-01-01 19:04:05");
        assert_eq!(written("2026-01-01 19:04:05", &person()).unwrap(), "2026-01-02 03:04:05");
        assert_eq!(duration_shown("1970-01-01 01:02:00"), "1 Hour 2 Minutes");
        let part = Part::read("Thursday@javascript:gs.datePart('dayofweek','thursday','EE')").unwrap();
        assert!(part.holds("2026-01-02T03:04:05Z".parse().unwrap(), &TimeZone::get("America/Los_Angeles").unwrap()));
    }
}
