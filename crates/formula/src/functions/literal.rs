//! What is written as a text in a call is checked before anything runs: patterns, zones, formats,
//! currencies, paths and words of which there are a few.

use jiff::{Timestamp, fmt::strtime::BrokenDownTime, tz::TimeZone};

use super::{FunctionInfo, Param, ValueType, business, money, pattern};
use crate::{
    EvalError, limits,
    reference::parse_dotted,
    time::{self, calendar::Period},
};

/// What is wrong with a text that stands as the value of a parameter.
pub(crate) fn check(function: &FunctionInfo, place: usize, text: &str) -> Option<EvalError> {
    let param = function.params.get(place).or(function.params.last())?;
    let takes = |kind: ValueType| param.types.contains(&kind);
    match param.name {
        "pattern" => pattern::build(text).err().map(|bad| EvalError::new("bad_argument", bad.message).with_hint(bad.hint)),
        "zone" => time::zone(text).err(),
        "path" | "closure" if takes(ValueType::Text) => parse_dotted(text).is_none().then(|| no_path(function, text)),
        "currency" => money::coded(text).is_none().then(|| money::no_currency(text)),
        "country" => business::country_of(text)
            .is_none()
            .then(|| bad(function, text, "no country").with_hint("Countries have codes of two letters: DE, GB, US.")),
        "format" => (!is_format(text)).then(|| {
            bad(function, text, "no format of dates")
                .with_hint("In a format %d is the day, %m the month, %Y the year, %H:%M:%S the time; see formulas.md.")
        }),
        "date" | "from" | "to" | "value" if takes(ValueType::Date) || takes(ValueType::DateTime) => {
            let length = takes(ValueType::Duration) && time::length(text).is_some();
            (!length && time::moment(text).is_none()).then(|| {
                bad(function, text, "no date").with_hint(
                    "Dates look like 2026-01-31 or 2026-01-31T10:00:00Z. Read others with parse_date(…, \"%d.%m.%Y\").",
                )
            })
        }
        "duration" | "value" if takes(ValueType::Duration) && !takes(ValueType::Boolean) => time::length(text)
            .is_none()
            .then(|| bad(function, text, "no duration").with_hint("Durations look like 500ms, 30s, 5m, 12h or 7d.")),
        _ => word(function, param, text),
    }
}

/// Parameters that take one of a few words.
fn word(function: &FunctionInfo, param: &Param, text: &str) -> Option<EvalError> {
    let (fits, words) = match (function.name, param.name) {
        (_, "mode") => (money::rounding(text).is_some(), money::ROUNDINGS),
        (_, "period") => (Period::of(text).is_some(), "minute, hour, day, week, month, quarter and year"),
        (_, "order") => (matches!(text, "asc" | "desc"), "asc and desc"),
        (_, "encoding") => (matches!(text, "hex" | "base64"), "hex and base64"),
        (_, "form") => (matches!(text, "alpha2" | "alpha3" | "numeric"), "alpha2, alpha3 and numeric"),
        ("duration", "unit") => (matches!(text, "ms" | "s" | "m" | "h" | "d"), "ms, s, m, h and d"),
        (_, "unit") => (matches!(text, "s" | "ms"), "s and ms"),
        (_, "op") => {
            (matches!(text, "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "contains"), "==, !=, <, <=, >, >=, in and contains")
        }
        _ => return None,
    };
    let message = format!("`{}` does not know the {} \"{}\"", function.name, param.name, shown(text));
    (!fits).then(|| EvalError::new("bad_argument", message).with_hint(format!("It knows {words}.")))
}

/// Whether a format can be written at all, with a date, a time and a zone.
fn is_format(format: &str) -> bool {
    let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    format.len() <= limits::DATE_FORMAT_BYTES_MAX && BrokenDownTime::from(&sample).to_string(format).is_ok()
}

pub(super) fn no_path(function: &FunctionInfo, text: &str) -> EvalError {
    bad(function, text, "no path").with_hint("A path looks like customer.city or lines[0].sku")
}

fn bad(function: &FunctionInfo, text: &str, what: &str) -> EvalError {
    EvalError::new("bad_argument", format!("`{}` gets \"{}\", which is {what}", function.name, shown(text)))
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
