//! Dates, date-times and durations as formulas have them.
//!
//! They leave a formula as text: a date as `2026-01-31`, a date-time as RFC 3339 (in UTC with `Z`,
//! in another zone with its offset), a duration as recipes write it, `90m`. The zones are those
//! compiled in, never those of the machine, so that every process of an installation agrees.

pub(crate) mod calendar;
mod read;
mod reckon;

use std::{cmp::Ordering, fmt, sync::LazyLock};

use jiff::{
    SignedDuration, Timestamp, Zoned,
    civil::Date,
    tz::{Offset, TimeZone, TimeZoneDatabase},
};
use rhai::Dynamic;

pub(crate) use self::{
    read::{Moment, instant, length, moment},
    reckon::{add, divide, multiply, negate, ratio, subtract},
};
use crate::{EvalError, limits, value::Kind};

/// A value of time.
#[derive(Debug, Clone)]
pub(crate) enum Time {
    Date(Date),
    Instant(Zoned),
    Length(SignedDuration),
}

impl Time {
    pub(crate) fn of(value: &Dynamic) -> Option<Self> {
        value.read_lock::<Self>().map(|time| time.clone())
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Date(_) => Kind::Date,
            Self::Instant(_) => Kind::DateTime,
            Self::Length(_) => Kind::Duration,
        }
    }

    /// Which of two of the same kind comes first, or is shorter. Of date-times the instant counts,
    /// not the zone.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Instant(a), Self::Instant(b)) => a.timestamp().cmp(&b.timestamp()),
            (Self::Length(a), Self::Length(b)) => a.cmp(b),
            _ => return None,
        })
    }
}

impl From<Time> for Dynamic {
    fn from(time: Time) -> Self {
        // The constructor of rhai for any type, not this function.
        Dynamic::from(time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => date.fmt(f),
            Self::Instant(zoned) => write_instant(zoned, f),
            Self::Length(length) => write_length(*length, f),
        }
    }
}

fn write_instant(zoned: &Zoned, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let offset = zoned.offset();
    // RFC 3339 has offsets of whole minutes; the local times of the 19th century have others.
    if is_utc(zoned.time_zone()) || offset.seconds() % 60 != 0 {
        return write!(f, "{}", zoned.timestamp());
    }
    write!(f, "{}", zoned.timestamp().display_with_offset(offset))
}

fn is_utc(zone: &TimeZone) -> bool {
    zone == &TimeZone::UTC
}

/// The largest unit that says it exactly. What is shorter than a millisecond is rounded there,
/// where the durations of recipes end.
fn write_length(length: SignedDuration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let nanos = length.as_nanos();
    let half = if nanos < 0 { -500_000 } else { 500_000 };
    let millis = (nanos + half) / 1_000_000;
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    if millis == 0 {
        return f.write_str("0s");
    }
    match units.into_iter().find(|(size, _)| millis % size == 0) {
        Some((size, unit)) => write!(f, "{}{unit}", millis / size),
        None => Ok(()),
    }
}

/// A text that is to be compared with a value of time, as such a value if it says one.
pub(crate) fn alike(value: Dynamic, other: &Dynamic) -> Dynamic {
    let (Some(text), Some(other)) = (crate::value::text(&value), Time::of(other)) else { return value };
    let read = match other {
        Time::Length(_) => length(&text).map(Time::Length),
        Time::Date(_) => match moment(&text) {
            Some(Moment::Date(date)) => Some(Time::Date(date)),
            _ => None,
        },
        Time::Instant(_) => match moment(&text) {
            Some(Moment::Instant(zoned)) => Some(Time::Instant(zoned)),
            _ => None,
        },
    };
    read.map_or(value, Into::into)
}

/// A zone by its name in the IANA database, or an offset such as `+02:00`.
pub(crate) fn zone(name: &str) -> Result<TimeZone, EvalError> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    let unknown = || {
        let shown: String = name.chars().take(40).collect();
        EvalError::new("bad_argument", format!("\"{shown}\" is no time zone"))
            .with_hint("Zones are called Europe/Berlin, America/New_York or UTC; an offset looks like +02:00.")
    };
    if name.len() > limits::ZONE_NAME_BYTES_MAX {
        return Err(unknown());
    }
    if name.eq_ignore_ascii_case("utc") || name == "Z" {
        return Ok(TimeZone::UTC);
    }
    if let Some(offset) = fixed_offset(name) {
        return Ok(TimeZone::fixed(offset));
    }
    ZONES.get(name).map_err(|_| unknown())
}

/// `+02:00` or `-0530`.
fn fixed_offset(name: &str) -> Option<Offset> {
    let sign = match name.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = name[1..].split(':').collect();
    let number = |range: std::ops::Range<usize>| -> Option<i32> {
        let text = digits.get(range)?;
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let (hours, minutes) = match digits.len() {
        2 => (number(0..2)?, 0),
        4 => (number(0..2)?, number(2..4)?),
        _ => return None,
    };
    if minutes > 59 || hours > 25 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// A date that the calendar of formulas has.
pub(crate) fn date(date: Date) -> Result<Time, EvalError> {
    if limits::YEARS.contains(&date.year()) { Ok(Time::Date(date)) } else { Err(out_of_range()) }
}

/// The same for an instant, in UTC and in its zone.
pub(crate) fn zoned(zoned: Zoned) -> Result<Time, EvalError> {
    let in_utc = zoned.timestamp().to_zoned(TimeZone::UTC).year();
    if limits::YEARS.contains(&zoned.year()) && limits::YEARS.contains(&in_utc) {
        Ok(Time::Instant(zoned))
    } else {
        Err(out_of_range())
    }
}

/// An instant in UTC.
pub(crate) fn in_utc(instant: Timestamp) -> Result<Time, EvalError> {
    zoned(instant.to_zoned(TimeZone::UTC))
}

pub(crate) fn out_of_range() -> EvalError {
    EvalError::new("number_range", "the date lies outside of the years 1 to 9999")
}
