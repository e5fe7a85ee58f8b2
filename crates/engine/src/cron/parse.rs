//! From text to sets, with a sentence for what cannot be read.

use jiff::tz::TimeZone;

use super::{CronProblem, Fields, days::Days};

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// Longest expression read.
const EXPR_BYTES_MAX: usize = 512;

/// One of the five fields.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
    /// The number of the first name.
    first_name: u32,
}

const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[], first_name: 0 };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[], first_name: 0 };
const DAY: Field = Field { name: "day of month", min: 1, max: 31, names: &[], first_name: 0 };
const MONTH: Field = Field { name: "month", min: 1, max: 12, names: &MONTHS, first_name: 1 };
const WEEKDAY: Field = Field { name: "day of week", min: 0, max: 6, names: &WEEKDAYS, first_name: 0 };

fn problem(message: impl Into<String>, hint: Option<String>) -> CronProblem {
    CronProblem { field: "cron", message: message.into(), hint }
}

/// The expression behind a nickname (crontab(5)).
pub(super) fn nickname(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => Some("0 0 1 1 *"),
        "@monthly" => Some("0 0 1 * *"),
        "@weekly" => Some("0 0 * * 0"),
        "@daily" | "@midnight" => Some("0 0 * * *"),
        "@hourly" => Some("0 * * * *"),
        _ => None,
    }
}

/// How much of a zone nobody knows is repeated.
const ZONE_CHARS_SHOWN: usize = 60;

pub(super) fn zone(name: &str) -> Result<TimeZone, CronProblem> {
    let name = name.trim();
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let hint = if name.is_empty() {
        Some("write UTC, or a name such as Europe/Berlin".to_owned())
    } else if name.starts_with(['+', '-'])
        || name.to_ascii_uppercase().starts_with("UTC+")
        || name.to_ascii_uppercase().starts_with("GMT+")
    {
        Some("name a place such as Europe/Berlin, so that clock changes are known".to_owned())
    } else {
        let city = name.rsplit('/').next().unwrap_or(name).replace(' ', "_").to_ascii_lowercase();
        jiff::tz::db()
            .available()
            .map(|known| known.as_str().to_owned())
            .find(|known| known.rsplit('/').next().is_some_and(|place| place.eq_ignore_ascii_case(&city)))
            .map(|known| format!("did you mean {known}?"))
    };
    let short: String = name.chars().take(ZONE_CHARS_SHOWN).collect();
    Err(CronProblem { field: "zone", message: format!("\"{}\" is not a known time zone", short.escape_debug()), hint })
}

pub(super) fn fields(expr: &str) -> Result<Fields, CronProblem> {
    let text = expr.trim();
    if text.len() > EXPR_BYTES_MAX {
        return Err(problem(format!("the expression is longer than {EXPR_BYTES_MAX} characters"), None));
    }
    let text = match text.strip_prefix('@') {
        None => text,
        Some(word) => nickname(text).ok_or_else(|| {
            let hint = if word.eq_ignore_ascii_case("reboot") {
                "a schedule follows the clock, not restarts; use @hourly or @daily"
            } else {
                "known are @hourly, @daily, @weekly, @monthly, @yearly"
            };
            problem(format!("\"{}\" is not a known nickname", text.escape_debug()), Some(hint.to_owned()))
        })?,
    };
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts.as_slice() else {
        return Err(wrong_count(&parts));
    };
    let minutes = set(&MINUTE, minute)?;
    let hours = set(&HOUR, hour)?;
    let mut days = Days { any_day: is_any(day), any_weekday: is_any(weekday), ..Days::default() };
    if !days.any_day {
        read_days(&mut days, day)?;
    }
    if !days.any_weekday {
        read_weekdays(&mut days, weekday)?;
    }
    days.months = u16::try_from(set(&MONTH, month)?).unwrap_or(0);
    let fixed =
        [(minute, minutes), (hour, hours)].iter().all(|(field, set)| set.count_ones() == 1 && !field.contains(['*', '/']));
    Ok(Fields { minutes, hours: u32::try_from(hours).unwrap_or(0), days, fixed })
}

fn wrong_count(parts: &[&str]) -> CronProblem {
    let hint = match parts.len() {
        0 => "write five fields: minute, hour, day of month, month, day of week, for instance 0 9 * * 1-5".to_owned(),
        6 if parts[0].bytes().all(|b| b.is_ascii_digit()) => {
            format!("seconds cannot be set; without them it is \"{}\"", parts[1..].join(" "))
        }
        6..=7 => format!("seconds and years cannot be set; without them it is \"{}\"", parts[1..6].join(" ")),
        1..=4 => format!(
            "write all five: minute, hour, day of month, month, day of week; the missing ones may be *, for instance \"{}{}\"",
            parts.join(" "),
            " *".repeat(5 - parts.len())
        ),
        _ => "write five fields: minute, hour, day of month, month, day of week".to_owned(),
    };
    problem(format!("a cron expression has five fields, this one has {}", parts.len()), Some(hint))
}

fn is_any(field: &str) -> bool {
    field == "*" || field == "?"
}

/// The set of one field, a bit per value.
fn set(field: &Field, text: &str) -> Result<u64, CronProblem> {
    text.split(',').try_fold(0, |set, item| Ok(set | values(field, item)?))
}

/// One item of a list: `*`, `5`, `1-5`, each with `/step`.
fn values(field: &Field, item: &str) -> Result<u64, CronProblem> {
    let refuse = |why: &str, hint: Option<String>| {
        problem(format!("\"{}\" cannot be read as a {}: {why}", item.escape_debug(), field.name), hint)
    };
    let (range, step) = match item.split_once('/') {
        None => (item, None),
        Some((range, step)) => (range, Some(step)),
    };
    let size = field.max - field.min + 1;
    let step = match step {
        None => None,
        Some(step) => match number(step) {
            Some(0) => return Err(refuse("a step of 0 leads nowhere", None)),
            Some(step) if step > size => {
                let hint = format!("*/{step} would fire only at {}; a step counts inside one round of {size}", field.min);
                return Err(refuse("the step is larger than the field", Some(hint)));
            }
            Some(step) => Some(step),
            None => return Err(refuse("the step must be a number", None)),
        },
    };
    let (first, last) = match range.split_once('-') {
        _ if range == "*" => (field.min, field.max),
        None => {
            let only = value(field, range).map_err(|(why, hint)| refuse(&why, hint))?;
            // `5/15` starts at 5 and goes on to the end, as everywhere that reads it.
            (only, if step.is_some() { field.max } else { only })
        }
        Some((first, last)) => (
            value(field, first).map_err(|(why, hint)| refuse(&why, hint))?,
            value(field, last).map_err(|(why, hint)| refuse(&why, hint))?,
        ),
    };
    // A range may run over the end: 22-2 is 22, 23, 0, 1, 2.
    let length = if first <= last { last - first } else { last + size - first };
    let mut set = 0_u64;
    for at in (0..=length).step_by(step.unwrap_or(1) as usize) {
        set |= 1 << (field.min + (first - field.min + at) % size);
    }
    Ok(set)
}

fn number(text: &str) -> Option<u32> {
    if text.is_empty() || text.len() > 4 || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

/// One value: a number in range, or a name. Sunday is 0 and, by the caller, 7.
fn value(field: &Field, text: &str) -> Result<u32, (String, Option<String>)> {
    if let Some(number) = number(text) {
        if (field.min..=field.max).contains(&number) {
            return Ok(number);
        }
        let hint = match (field.name, number) {
            ("hour", 24) => Some("midnight is hour 0".to_owned()),
            ("minute", 60) => Some("the full hour is minute 0".to_owned()),
            _ => None,
        };
        return Err((format!("{number} is not between {} and {}", field.min, field.max), hint));
    }
    for (index, name) in (0..).zip(field.names) {
        if name.eq_ignore_ascii_case(text) {
            return Ok(field.first_name + index);
        }
    }
    let hint = field
        .names
        .iter()
        .find(|name| text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(name)))
        .map(|name| format!("write {name}"))
        .or_else(|| text.eq_ignore_ascii_case("H").then(|| "write a number; H is only known to Jenkins".to_owned()))
        .or_else(|| matches!(text, "?").then(|| "? is only for the two day fields; write *".to_owned()));
    Err((
        if text.is_empty() { "something is missing".to_owned() } else { format!("\"{}\" is not known", text.escape_debug()) },
        hint,
    ))
}

/// Day of month: the common forms, and `L`, `L-3`, `LW`, `15W`.
fn read_days(days: &mut Days, text: &str) -> Result<(), CronProblem> {
    for item in text.split(',') {
        let upper = item.to_ascii_uppercase();
        let refuse = |why: &str| {
            problem(
                format!("\"{}\" cannot be read as a day of month: {why}", item.escape_debug()),
                Some("forms with letters are L, L-3, LW and 15W".to_owned()),
            )
        };
        if upper == "L" {
            days.from_end |= 1;
        } else if upper == "LW" || upper == "WL" {
            days.last_working = true;
        } else if let Some(before) = upper.strip_prefix("L-") {
            match number(before) {
                Some(before @ 0..=30) => days.from_end |= 1 << before,
                _ => return Err(refuse("after L- stands a number from 1 to 30")),
            }
        } else if let Some(day) = upper.strip_suffix('W') {
            match number(day) {
                Some(day @ 1..=31) => days.nearest |= 1 << day,
                _ => return Err(refuse("before W stands a day from 1 to 31")),
            }
        } else {
            days.days |= u32::try_from(values(&DAY, item)?).unwrap_or(0);
        }
    }
    Ok(())
}

/// Day of week: the common forms with 0 and 7 for Sunday, and `5#2`, `5L`.
fn read_weekdays(days: &mut Days, text: &str) -> Result<(), CronProblem> {
    for item in text.split(',') {
        let upper = item.to_ascii_uppercase();
        let refuse = |why: &str| {
            problem(
                format!("\"{}\" cannot be read as a day of week: {why}", item.escape_debug()),
                Some("the second Friday is 5#2, the last one 5L".to_owned()),
            )
        };
        let single = |text: &str| value(&WEEKDAY, if text == "7" { "0" } else { text }).map_err(|(why, _)| refuse(&why));
        if let Some((weekday, nth)) = upper.split_once('#') {
            let weekday = single(weekday)?;
            match nth {
                "L" => days.last |= 1 << weekday,
                nth => match number(nth) {
                    Some(nth @ 1..=5) => days.nth[weekday as usize] |= 1 << nth,
                    _ => return Err(refuse("after # stands a number from 1 to 5")),
                },
            }
        } else if upper == "L" {
            return Err(refuse("L needs a day before it"));
        } else if let Some(weekday) = upper.strip_suffix('L') {
            days.last |= 1 << single(weekday)?;
        } else {
            days.weekdays |= u8::try_from(values(&WEEKDAY, &without_seven(&upper))?).unwrap_or(0);
        }
    }
    Ok(())
}

/// The item with Sunday written as 0: at the end of a range 7 stands for itself, so 5-7 runs over the end.
fn without_seven(item: &str) -> String {
    let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
    let range = match range.split_once('-') {
        // The whole week; as 0-0 it would be Sunday alone.
        Some(("0" | "SUN" | "7", "7")) => "0-6".to_owned(),
        Some((first, last)) => format!("{}-{}", if first == "7" { "0" } else { first }, if last == "7" { "0" } else { last }),
        None => if range == "7" { "0" } else { range }.to_owned(),
    };
    match step {
        Some(step) => format!("{range}/{step}"),
        None => range,
    }
}
