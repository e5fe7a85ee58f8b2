//! Computing with dates, date-times and durations: what the operators do.

use jiff::{SignedDuration, Span};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::{Time, date, out_of_range, read::in_bounds, zoned};
use crate::{EvalError, number::Number};

const DAY_SECONDS: i64 = 86_400;

/// `a + b`; `None` where that means nothing.
pub(crate) fn add(a: &Time, b: &Time) -> Option<Result<Time, EvalError>> {
    Some(match (a, b) {
        (Time::Length(a), Time::Length(b)) => length(a.checked_add(*b)),
        (Time::Length(length), time) | (time, Time::Length(length)) => shifted(time, *length),
        _ => return None,
    })
}

/// `a - b`; `None` where that means nothing.
pub(crate) fn subtract(a: &Time, b: &Time) -> Option<Result<Time, EvalError>> {
    Some(match (a, b) {
        (Time::Date(a), Time::Date(b)) => Ok(Time::Length(b.duration_until(*a))),
        (Time::Instant(a), Time::Instant(b)) => Ok(Time::Length(b.duration_until(a))),
        (Time::Length(a), Time::Length(b)) => length(a.checked_sub(*b)),
        (time, Time::Length(length)) => length.checked_neg().map_or_else(|| Err(too_long()), |back| shifted(time, back)),
        _ => return None,
    })
}

/// `duration * number`, to the nanosecond.
pub(crate) fn multiply(time: &Time, factor: Number) -> Option<Result<Time, EvalError>> {
    let Time::Length(length) = time else { return None };
    Some(scaled(*length, |nanos| nanos.checked_mul(factor.decimal())))
}

/// `duration / number`, to the nanosecond.
pub(crate) fn divide(time: &Time, by: Number) -> Option<Result<Time, EvalError>> {
    let Time::Length(length) = time else { return None };
    if by == Number::Int(0) {
        return Some(Err(EvalError::new("arithmetic", "this divides by zero")));
    }
    Some(scaled(*length, |nanos| nanos.checked_div(by.decimal())))
}

/// `duration / duration`: how often the one fits into the other.
pub(crate) fn ratio(a: &Time, b: &Time) -> Option<Result<Number, EvalError>> {
    let (Time::Length(a), Time::Length(b)) = (a, b) else { return None };
    Some(nanos(*a).and_then(|a| Number::from(a).divide(Number::from(nanos(*b)?))))
}

/// `-duration`.
pub(crate) fn negate(time: &Time) -> Option<Time> {
    match time {
        Time::Length(length) => length.checked_neg().map(Time::Length),
        _ => None,
    }
}

fn shifted(time: &Time, length: SignedDuration) -> Result<Time, EvalError> {
    match time {
        Time::Date(day) => {
            let whole = length.as_secs() % DAY_SECONDS == 0 && length.subsec_nanos() == 0;
            if !whole {
                return Err(EvalError::new(
                    "bad_argument",
                    format!("this moves a date by {}, which is no number of days", Time::Length(length)),
                )
                .with_hint("A date has no time of day. Take a date-time: datetime(…, \"Europe/Berlin\")"));
            }
            let span = Span::new().try_days(length.as_secs() / DAY_SECONDS).map_err(|_| out_of_range())?;
            day.checked_add(span).map_err(|_| out_of_range()).and_then(date)
        }
        Time::Instant(instant) => instant.checked_add(length).map_err(|_| out_of_range()).and_then(zoned),
        Time::Length(other) => self::length(other.checked_add(length)),
    }
}

fn scaled(length: SignedDuration, compute: impl Fn(Decimal) -> Option<Decimal>) -> Result<Time, EvalError> {
    let nanos = compute(nanos(length)?).and_then(|nanos| nanos.round().to_i128()).ok_or_else(too_long)?;
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let seconds = i64::try_from(seconds).map_err(|_| too_long())?;
    self::length(i32::try_from(rest).ok().map(|rest| SignedDuration::new(seconds, rest)))
}

fn nanos(length: SignedDuration) -> Result<Decimal, EvalError> {
    Decimal::try_from_i128_with_scale(length.as_nanos(), 0).map_err(|_| too_long())
}

fn length(length: Option<SignedDuration>) -> Result<Time, EvalError> {
    length.and_then(in_bounds).map(Time::Length).ok_or_else(too_long)
}

fn too_long() -> EvalError {
    EvalError::new("number_range", "the duration is longer than ten thousand years")
}
