//! What a field of a record holds, and how it is written in JSON and CSV.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use serde_json::{Value as Json, json};

use super::schema::Kind;

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(Arc<str>),
    Day(Date),
    /// Milliseconds since 1970.
    Moment(i64),
    Time(Time),
    Bytes(Bytes),
}

impl Value {
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn moment_ms(&self) -> Option<i64> {
        match self {
            Self::Moment(ms) => Some(*ms),
            _ => None,
        }
    }

    /// As it stands in an answer.
    pub(super) fn json(&self, kind: Kind) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(number) => number_json(*number, kind),
            Self::Text(text) => Json::String(text.to_string()),
            Self::Day(day) => Json::String(day.to_string()),
            Self::Moment(ms) => Json::String(datetime(*ms)),
            Self::Time(time) => Json::String(time_text(*time)),
            Self::Bytes(bytes) => json!(STANDARD.encode(bytes)),
        }
    }

    /// As it stands in a cell of a bulk query's answer.
    pub(super) fn cell(&self, kind: Kind) -> String {
        match self {
            Self::Null => String::new(),
            Self::Moment(ms) => datetime(*ms).replace("+0000", "Z"),
            Self::Text(text) => text.to_string(),
            other => match other.json(kind) {
                Json::String(text) => text,
                value => value.to_string(),
            },
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole numbers of at most 18 digits; `as` saturates")]
fn number_json(number: f64, kind: Kind) -> Json {
    if kind == Kind::Int { json!(number as i64) } else { json!(number) }
}

/// `2026-01-02T03:04:05.000+0000`.
pub(super) fn datetime(ms: i64) -> String {
    let moment = Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(TimeZone::UTC);
    let (day, time) = (moment.date(), moment.time());
    format!("{day}T{:02}:{:02}:{:02}.{:03}+0000", time.hour(), time.minute(), time.second(), time.millisecond())
}

fn time_text(time: Time) -> String {
    format!("{:02}:{:02}:{:02}.{:03}Z", time.hour(), time.minute(), time.second(), time.millisecond())
}

/// A moment as clients write it: with `Z`, with an offset with or without a colon; milliseconds since 1970.
pub(super) fn read_datetime(text: &str) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    // An offset without a colon is not RFC 3339, but Salesforce's own form.
    let place = text.len().checked_sub(5)?;
    let (rest, offset) = text.is_char_boundary(place).then(|| text.split_at(place))?;
    if !offset.starts_with(['+', '-']) || !rest.contains('T') {
        return None;
    }
    format!("{rest}{}:{}", &offset[..3], offset.get(3..)?).parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// The day of a moment, in UTC.
pub(super) fn day_of(ms: i64) -> Date {
    Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(TimeZone::UTC).date()
}

/// The first moment of a day in UTC, in milliseconds since 1970.
pub(super) fn start_ms(day: Date) -> i64 {
    day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{datetime, read_datetime};

    #[test]
    fn a_moment_reads_in_each_form_and_writes_in_one() {
        for text in
            ["2026-01-02T03:04:05.000+0000", "2026-01-02T03:04:05Z", "2026-01-02T04:04:05.000+01:00", "2026-01-02T02:04:05-0100"]
        {
            assert_eq!(read_datetime(text).map(datetime).as_deref(), Some("2026-01-02T03:04:05.000+0000"), "{text}");
        }
        for text in ["", "2026-01-02", "gestern", "+0000", "2026-01-02T03:04:05 0000", "ä0000"] {
            assert_eq!(read_datetime(text), None, "{text}");
        }
    }
}
