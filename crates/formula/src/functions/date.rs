//! Dates, date-times and durations: made, read, written and looked at in a zone.

use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp, Zoned, civil::Date, fmt::strtime::BrokenDownTime, tz::TimeZone};
use rhai::Dynamic;
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::{Call, Line, function};
use crate::{
    EvalError, limits, machine,
    machine::{Fault, fault},
    time::{self, Moment, Time},
    value::Kind,
};

const GROUP: &str = "date";

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "now() -> datetime",
        "The instant, in UTC, the same for a whole try of a step.",
        "now()",
        "\"2026-01-02T03:04:05Z\"",
        |_| Ok(time::in_utc(machine::now().map_err(fault)?).map_err(fault)?.into()),
    ),
    function(
        GROUP,
        "today(zone: text) -> date",
        "The date it is now in a time zone.",
        "today(\"Europe/Berlin\")",
        "\"2026-01-02\"",
        |call| {
            let zone = time::zone(&call.text(0)?).map_err(fault)?;
            Ok(time::date(machine::now().map_err(fault)?.to_zoned(zone).date()).map_err(fault)?.into())
        },
    ),
    function(
        GROUP,
        "date(value: text|date|datetime, [zone: text]) -> date",
        "The date a text says, or the day of a date-time: in UTC, or in the zone given.",
        "date(\"2026-01-31T23:30:00Z\", \"Europe/Berlin\")",
        "\"2026-02-01\"",
        |call| {
            let day = match (call.moment(0)?, call.zone(1)?) {
                (Moment::Instant(zoned), Some(zone)) => zoned.with_time_zone(zone).date(),
                (moment, _) => moment.date(),
            };
            made(time::date(day))
        },
    ),
    function(
        GROUP,
        "make_date(year: integer, month: integer, day: integer) -> date",
        "The date of a year, a month and a day.",
        "make_date(2026, 1, 31)",
        "\"2026-01-31\"",
        |call| {
            let year = i16::try_from(call.whole(0)?).ok();
            let (month, day) = (i8::try_from(call.whole(1)?).ok(), i8::try_from(call.whole(2)?).ok());
            let date = year.zip(month).zip(day).and_then(|((year, month), day)| Date::new(year, month, day).ok());
            made(time::date(date.ok_or_else(|| call.bad("gets a day that no calendar has"))?))
        },
    ),
    function(
        GROUP,
        "datetime(value: text|date|datetime, [zone: text]) -> datetime",
        "The date-time a text says, in UTC or in the zone given. A text without an offset, or a date, needs the zone.",
        "datetime(\"2026-07-01T10:00:00\", \"Europe/Berlin\")",
        "\"2026-07-01T10:00:00+02:00\"",
        datetime,
    ),
    function(
        GROUP,
        "to_zone(value: text|datetime, zone: text) -> datetime",
        "The same instant, looked at in another time zone.",
        "to_zone(\"2026-07-01T08:00:00Z\", \"America/New_York\")",
        "\"2026-07-01T04:00:00-04:00\"",
        |call| {
            let zone = time::zone(&call.text(1)?).map_err(fault)?;
            made(time::zoned(call.instant(0)?.with_time_zone(zone)))
        },
    ),
    function(
        GROUP,
        "duration(value: text|number|duration, [unit: text]) -> duration",
        "The duration a text says, such as \"90m\", or a number of a unit: ms, s, m, h or d.",
        "duration(1.5, \"h\")",
        "\"90m\"",
        duration,
    ),
    function(
        GROUP,
        "parse_date(text: text, format: text) -> date",
        "The date a text says in a format such as %d.%m.%Y.",
        "parse_date(\"31.01.2026\", \"%d.%m.%Y\")",
        "\"2026-01-31\"",
        |call| made(time::date(parsed(call)?.to_date().map_err(|_| call.bad("reads no whole date with this format"))?)),
    ),
    function(
        GROUP,
        "parse_datetime(text: text, format: text, [zone: text]) -> datetime",
        "The date-time a text says in a format. One without an offset (%z) needs the zone.",
        "parse_datetime(\"01/31/2026 3 PM\", \"%m/%d/%Y %I %p\", \"America/New_York\")",
        "\"2026-01-31T15:00:00-05:00\"",
        parse_datetime,
    ),
    function(
        GROUP,
        "format_date(value: text|date|datetime, format: text, [zone: text]) -> text",
        "A date or date-time as text in a format such as %d.%m.%Y, in the zone given.",
        "format_date(\"2026-01-31\", \"%d.%m.%Y\")",
        "\"31.01.2026\"",
        format_date,
    ),
    function(
        GROUP,
        "from_unix(number: number, [unit: text]) -> datetime",
        "The date-time that lies so many seconds after 1970; with \"ms\", so many milliseconds.",
        "from_unix(1722268800)",
        "\"2024-07-29T16:00:00Z\"",
        |call| {
            let size = unix_unit(call)?;
            let nanos = call.number(0)?.decimal().checked_mul(size).and_then(|nanos| nanos.round().to_i128());
            let instant = nanos.and_then(|nanos| Timestamp::from_nanosecond(nanos).ok());
            made(instant.ok_or_else(time::out_of_range).and_then(time::in_utc))
        },
    ),
    function(
        GROUP,
        "to_unix(value: text|datetime, [unit: text]) -> integer",
        "How many whole seconds a date-time lies after 1970; with \"ms\", milliseconds.",
        "to_unix(\"2024-07-29T16:00:00Z\")",
        "1722268800",
        |call| {
            let (nanos, size) = (call.instant(0)?.timestamp().as_nanosecond(), unix_unit(call)?);
            let whole = nanos.div_euclid(size.to_i128().unwrap_or(1));
            Ok(i64::try_from(whole).unwrap_or(i64::MAX).into())
        },
    ),
];

/// What came out, for rhai.
pub(super) fn made(time: Result<Time, EvalError>) -> Result<Dynamic, Fault> {
    time.map(Into::into).map_err(fault)
}

fn datetime(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let zoned = match (call.moment(0)?, call.zone(1)?) {
        (Moment::Instant(zoned), Some(zone)) => Ok(zoned.with_time_zone(zone)),
        (Moment::Instant(zoned), None) => Ok(zoned),
        (moment, Some(zone)) => moment.local().to_zoned(zone).map_err(|_| time::out_of_range()),
        (_, None) => return Err(call.instant(0).err().unwrap_or_else(|| call.bad("needs a zone"))),
    };
    made(zoned.and_then(time::zoned))
}

fn duration(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    if call.kind(0) != Kind::Number {
        if call.given(1) {
            return Err(call.misfit(0, "a number"));
        }
        return Ok(Time::Length(call.length(0)?).into());
    }
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let unit = if call.given(1) { call.text(1)? } else { "".into() };
    let Some((_, millis)) = units.into_iter().find(|(name, _)| *name == unit.as_str()) else {
        return Err(call.bad("needs a unit for its number: ms, s, m, h or d"));
    };
    let one = Time::Length(SignedDuration::from_millis(millis));
    made(time::multiply(&one, call.number(0)?).unwrap_or_else(|| Err(time::out_of_range())))
}

/// The text and the format of `parse_date` and `parse_datetime`.
fn parsed(call: &Call<'_, '_>) -> Result<BrokenDownTime, Fault> {
    let (text, format) = (call.text(0)?, format_of(call, 1)?);
    if text.len() > limits::DATE_TEXT_BYTES_MAX {
        return Err(call.bad("gets a text that is too long for a date"));
    }
    BrokenDownTime::parse(format.as_bytes(), text.trim().as_bytes()).map_err(|_| {
        fault(
            EvalError::new("bad_argument", format!("`{}` finds no date like \"{format}\" in \"{text}\"", call.function.name))
                .with_hint("In a format %d is the day, %m the month, %Y the year, %H:%M:%S the time; see formulas.md."),
        )
    })
}

fn parse_datetime(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (read, zone) = (parsed(call)?, call.zone(2)?);
    if let Some(instant) = absolute(&read) {
        return made(time::zoned(instant.to_zoned(zone.unwrap_or(TimeZone::UTC))));
    }
    let Some(zone) = zone else {
        return Err(fault(
            EvalError::new("bad_argument", "`parse_datetime` reads a time of day, and the text does not say in which time zone")
                .with_hint("Name it as the third value, for example \"Europe/Berlin\" or \"UTC\""),
        ));
    };
    let local = read.to_datetime().or_else(|_| read.to_date().map(|date| date.to_datetime(jiff::civil::Time::midnight())));
    let local = local.map_err(|_| call.bad("reads no whole date with this format"))?;
    made(local.to_zoned(zone).map_err(|_| time::out_of_range()).and_then(time::zoned))
}

/// The instant, where the text says its offset, or counts since 1970.
fn absolute(read: &BrokenDownTime) -> Option<Timestamp> {
    if read.offset().is_none() && read.timestamp().is_none() {
        return None;
    }
    read.to_timestamp().ok()
}

fn format_of(call: &Call<'_, '_>, at: usize) -> Result<String, Fault> {
    let format = call.text(at)?;
    if format.len() > limits::DATE_FORMAT_BYTES_MAX || widths(&format).any(|width| !WIDTHS.contains(&width)) {
        return Err(call.bad("gets a format that is too long"));
    }
    Ok(format.to_string())
}

/// How many digits a part of a format may ask for.
const WIDTHS: RangeInclusive<u32> = 0..=20;

/// The numbers in a format, which are widths.
fn widths(format: &str) -> impl Iterator<Item = u32> + '_ {
    let after_percent = format.split('%').skip(1);
    after_percent.filter_map(|part| {
        let digits: String =
            part.trim_start_matches(['-', '_', '^', '#', '.', ':']).chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX))
    })
}

fn format_date(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (moment, format, zone) = (call.moment(0)?, format_of(call, 1)?, call.zone(2)?);
    let (parts, what) = match (moment, zone) {
        (Moment::Date(date), _) => (BrokenDownTime::from(date), "a date without a time of day"),
        (Moment::Local(local), None) => (BrokenDownTime::from(local), "a time of day without a zone"),
        (Moment::Local(local), Some(zone)) => {
            let zoned = local.to_zoned(zone).map_err(|_| fault(time::out_of_range()))?;
            (BrokenDownTime::from(&zoned), "a date-time")
        }
        (Moment::Instant(zoned), zone) => {
            let zoned: Zoned = zone.map_or_else(|| zoned.clone(), |zone| zoned.with_time_zone(zone));
            (BrokenDownTime::from(&zoned), "a date-time")
        }
    };
    let mut out = String::new();
    parts.format(format.as_bytes(), &mut out).map_err(|_| {
        fault(
            EvalError::new("bad_argument", format!("`format_date` cannot write {what} as \"{format}\""))
                .with_hint("In a format %d is the day, %m the month, %Y the year, %H:%M:%S the time; see formulas.md."),
        )
    })?;
    Ok(out.into())
}

/// How many nanoseconds the unit of `from_unix` and `to_unix` has.
fn unix_unit(call: &Call<'_, '_>) -> Result<Decimal, Fault> {
    let unit = if call.given(1) { call.text(1)? } else { "s".into() };
    match unit.as_str() {
        "s" => Ok(Decimal::from(1_000_000_000)),
        "ms" => Ok(Decimal::from(1_000_000)),
        _ => Err(call.bad("counts in \"s\" or in \"ms\"")),
    }
}
