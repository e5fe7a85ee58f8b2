//! Counting on the calendar: months of different lengths, periods, business days.

use jiff::{
    RoundMode, SignedDuration, Span, ToSpan, Unit, Zoned, ZonedRound,
    civil::{Date, Weekday},
    tz::TimeZone,
};

use super::{Time, date, out_of_range, zoned};
use crate::EvalError;

/// Something that begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Period {
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "year" => Self::Year,
            _ => return None,
        })
    }

    fn is_of_days(self) -> bool {
        !matches!(self, Self::Minute | Self::Hour)
    }

    fn first_day(self, day: Date) -> Result<Date, EvalError> {
        match self {
            Self::Week => day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()).map_err(|_| out_of_range()),
            Self::Month => Ok(day.first_of_month()),
            Self::Quarter => Date::new(day.year(), (day.month() - 1) / 3 * 3 + 1, 1).map_err(|_| out_of_range()),
            Self::Year => Ok(day.first_of_year()),
            _ => Ok(day),
        }
    }
}

/// Where the period begins that a moment lies in, in the zone of a date-time. `None` for a part of
/// a day that a date has not.
pub(crate) fn start_of(time: &Time, period: Period) -> Option<Result<Time, EvalError>> {
    Some(match time {
        Time::Date(day) if period.is_of_days() => period.first_day(*day).and_then(date),
        Time::Instant(instant) if period.is_of_days() => {
            period.first_day(instant.date()).and_then(|day| midnight(day, instant.time_zone())).and_then(zoned)
        }
        Time::Instant(instant) => begun(instant, period).and_then(zoned),
        _ => return None,
    })
}

/// The last day of the period, or its last millisecond.
pub(crate) fn end_of(time: &Time, period: Period) -> Option<Result<Time, EvalError>> {
    Some(match time {
        Time::Date(day) if period.is_of_days() => period.first_day(*day).and_then(|first| last_day(first, period)).and_then(date),
        Time::Instant(instant) if period.is_of_days() => period
            .first_day(instant.date())
            .and_then(|first| last_day(first, period))
            .and_then(|last| last.tomorrow().map_err(|_| out_of_range()))
            .and_then(|next| midnight(next, instant.time_zone()))
            .and_then(before),
        Time::Instant(instant) => begun(instant, period)
            .and_then(|first| {
                first.checked_add(if period == Period::Hour { 1.hour() } else { 1.minute() }).map_err(|_| out_of_range())
            })
            .and_then(before),
        _ => return None,
    })
}

/// The first instant of a day: clocks that change at midnight may skip it.
fn midnight(day: Date, zone: &TimeZone) -> Result<Zoned, EvalError> {
    day.to_zoned(zone.clone()).map_err(|_| out_of_range())
}

fn begun(instant: &Zoned, period: Period) -> Result<Zoned, EvalError> {
    let unit = if period == Period::Hour { Unit::Hour } else { Unit::Minute };
    instant.round(ZonedRound::new().smallest(unit).mode(RoundMode::Trunc)).map_err(|_| out_of_range())
}

fn last_day(first: Date, period: Period) -> Result<Date, EvalError> {
    let last = match period {
        Period::Week => first.checked_add(6.days()),
        Period::Month => Ok(first.last_of_month()),
        Period::Quarter => first.checked_add(2.months()).map(Date::last_of_month),
        Period::Year => Ok(first.last_of_year()),
        Period::Minute | Period::Hour | Period::Day => Ok(first),
    };
    last.map_err(|_| out_of_range())
}

fn before(next: Zoned) -> Result<Time, EvalError> {
    next.checked_sub(SignedDuration::from_millis(1)).map_err(|_| out_of_range()).and_then(zoned)
}

/// Moves on the calendar: the day of the month stays, or is the last one of a shorter month; the
/// time of day stays, and what the clock skips counts an hour later.
pub(crate) fn shift(time: &Time, span: Span) -> Result<Time, EvalError> {
    match time {
        Time::Date(day) => day.checked_add(span).map_err(|_| out_of_range()).and_then(date),
        Time::Instant(instant) => instant.checked_add(span).map_err(|_| out_of_range()).and_then(zoned),
        Time::Length(_) => Err(out_of_range()),
    }
}

/// How many whole months lie from one day to another: the most that can be added to the first
/// without passing the second.
pub(crate) fn months_between(from: Date, to: Date) -> i64 {
    if to < from {
        return -months_back(from, to);
    }
    let months = month_count(to) - month_count(from);
    let passes = from.checked_add(months.months()).map_or(true, |reached| reached > to);
    if passes { months - 1 } else { months }
}

fn months_back(from: Date, to: Date) -> i64 {
    let months = month_count(from) - month_count(to);
    let passes = from.checked_sub(months.months()).map_or(true, |reached| reached < to);
    if passes { months - 1 } else { months }
}

fn month_count(day: Date) -> i64 {
    i64::from(day.year()) * 12 + i64::from(day.month())
}

/// How many days lie from one to another.
pub(crate) fn days_between(from: Date, to: Date) -> i64 {
    number(to) - number(from)
}

/// Days in a row, numbered. Day 0 is a Monday.
fn number(day: Date) -> i64 {
    const MONDAY: Date = jiff::civil::date(1, 1, 1);
    MONDAY.duration_until(day).as_secs() / 86_400
}

/// Whether it is a day from Monday to Friday and no holiday. `holidays` is sorted.
pub(crate) fn is_business_day(day: Date, holidays: &[Date]) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && holidays.binary_search(&day).is_err()
}

/// The `count`th business day after a day, or before it.
pub(crate) fn add_business_days(day: Date, count: i64, holidays: &[Date]) -> Result<Date, EvalError> {
    let mut left = count;
    let mut at = number(day);
    let holidays: Vec<i64> = holidays.iter().filter(|day| is_business_day(**day, &[])).map(|day| number(*day)).collect();
    // A jump over weekdays lands too early by the holidays it passes; as many more are to go.
    while left != 0 {
        let next = add_weekdays(at, left).ok_or_else(out_of_range)?;
        let passed = if left > 0 { between(&holidays, at, next) } else { -between(&holidays, next - 1, at - 1) };
        at = next;
        left = passed;
    }
    let days = at.checked_sub(number(day)).ok_or_else(out_of_range)?;
    let span = Span::new().try_days(days).map_err(|_| out_of_range())?;
    day.checked_add(span).map_err(|_| out_of_range())
}

/// How many business days come after `from`, up to and with `to`; negative if `to` is earlier:
/// what [`add_business_days`] takes to get there.
pub(crate) fn business_days_between(from: Date, to: Date, holidays: &[Date]) -> i64 {
    let (from, to) = (number(from), number(to));
    let holidays: Vec<i64> = holidays.iter().filter(|day| is_business_day(**day, &[])).map(|day| number(*day)).collect();
    if from <= to {
        weekdays_up_to(to) - weekdays_up_to(from) - between(&holidays, from, to)
    } else {
        between(&holidays, to - 1, from - 1) - (weekdays_up_to(from - 1) - weekdays_up_to(to - 1))
    }
}

/// How many of the sorted days come after `after` and not after `last`.
fn between(days: &[i64], after: i64, last: i64) -> i64 {
    let count = days.partition_point(|day| *day <= last).saturating_sub(days.partition_point(|day| *day <= after));
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How many days from Monday to Friday come before the end of a numbered day.
fn weekdays_up_to(day: i64) -> i64 {
    (day + 1).div_euclid(7) * 5 + (day + 1).rem_euclid(7).min(5)
}

/// The day reached by going over so many days from Monday to Friday.
fn add_weekdays(day: i64, count: i64) -> Option<i64> {
    let weekday = day.rem_euclid(7);
    if count > 0 {
        // On a weekend the way begins on the Friday before.
        let (friday, monday_based) = if weekday > 4 { (day - (weekday - 4), 4) } else { (day, weekday) };
        let ahead = monday_based.checked_add(count)?;
        return friday
            .checked_sub(monday_based)?
            .checked_add(ahead.div_euclid(5).checked_mul(7)?)?
            .checked_add(ahead.rem_euclid(5));
    }
    // And on the Monday after, if it leads back.
    let (monday, monday_based) = if weekday > 4 { (day + (7 - weekday), 0) } else { (day, weekday) };
    let back = monday_based.checked_add(count)?;
    monday.checked_sub(monday_based)?.checked_add(back.div_euclid(5).checked_mul(7)?)?.checked_add(back.rem_euclid(5))
}

#[cfg(test)]
mod tests {
    use jiff::{
        Span,
        civil::{Date, date},
    };
    use proptest::prelude::*;

    use super::{add_business_days, business_days_between, is_business_day, months_between, number};

    fn day() -> impl Strategy<Value = Date> {
        (-400_i64..400).prop_map(|days| date(2026, 6, 15).checked_add(Span::new().days(days)).unwrap())
    }

    /// Day by day, as one would on a calendar on the wall.
    fn counted(from: Date, to: Date, holidays: &[Date]) -> i64 {
        let (mut at, mut count) = (from, 0);
        while at < to {
            at = at.tomorrow().unwrap();
            count += i64::from(is_business_day(at, holidays));
        }
        count
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn business_days_are_those_of_the_calendar(from in day(), to in day(), mut holidays in prop::collection::vec(day(), 0..40)) {
            holidays.sort_unstable();
            holidays.dedup();
            let between = business_days_between(from, to, &holidays);
            if from <= to {
                prop_assert_eq!(between, counted(from, to, &holidays));
            }
            // Adding what lies between leads there, if it is a business day at all.
            if is_business_day(to, &holidays) {
                prop_assert_eq!(add_business_days(from, between, &holidays).unwrap(), to);
            }
        }

        #[test]
        fn months_are_the_most_that_fit(from in day(), to in day()) {
            let months = months_between(from, to);
            let reached = from.checked_add(Span::new().months(months)).unwrap();
            if to >= from {
                prop_assert!(reached <= to && from.checked_add(Span::new().months(months + 1)).unwrap() > to);
            } else {
                prop_assert!(reached >= to && from.checked_add(Span::new().months(months - 1)).unwrap() < to);
            }
        }
    }

    #[test]
    fn day_zero_is_a_monday() {
        assert_eq!(date(1, 1, 1).weekday(), jiff::civil::Weekday::Monday);
        assert_eq!(number(date(1, 1, 8)), 7);
    }
}
