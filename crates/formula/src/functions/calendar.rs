//! The calendar: parts of a date, moving it, counting between two, periods, business days.

use jiff::{Span, civil::Date};
use rhai::Dynamic;
use rust_decimal::Decimal;

use super::{Call, Line, date::made, function};
use crate::{
    EvalError,
    machine::{Fault, fault},
    number::Number,
    time::{
        self, Time,
        calendar::{self, Period},
    },
};

const GROUP: &str = "date";

pub(super) const FUNCTIONS: &[Line] = &[
    function(GROUP, "year(date: text|date|datetime) -> integer", "The year.", "year(\"2026-01-31\")", "2026", |call| {
        Ok(i64::from(call.date(0)?.year()).into())
    }),
    function(
        GROUP,
        "quarter(date: text|date|datetime) -> integer",
        "The quarter of the year, 1 to 4.",
        "quarter(\"2026-05-01\")",
        "2",
        |call| Ok(i64::from((call.date(0)?.month() - 1) / 3 + 1).into()),
    ),
    function(GROUP, "month(date: text|date|datetime) -> integer", "The month, 1 to 12.", "month(\"2026-01-31\")", "1", |call| {
        Ok(i64::from(call.date(0)?.month()).into())
    }),
    function(
        GROUP,
        "week(date: text|date|datetime) -> integer",
        "The week of ISO 8601, 1 to 53: it begins on a Monday, and week 1 has the first Thursday of the year.",
        "week(\"2026-12-31\")",
        "53",
        |call| Ok(i64::from(call.date(0)?.iso_week_date().week()).into()),
    ),
    function(GROUP, "day(date: text|date|datetime) -> integer", "The day of the month.", "day(\"2026-01-31\")", "31", |call| {
        Ok(i64::from(call.date(0)?.day()).into())
    }),
    function(
        GROUP,
        "weekday(date: text|date|datetime) -> integer",
        "The day of the week: 1 is Monday, 7 is Sunday.",
        "weekday(\"2026-01-31\")",
        "6",
        |call| Ok(i64::from(call.date(0)?.weekday().to_monday_one_offset()).into()),
    ),
    function(
        GROUP,
        "hour(value: text|datetime) -> integer",
        "The hour on the clock, 0 to 23, in UTC or in the zone of the date-time.",
        "hour(\"2026-01-31T14:05:09Z\")",
        "14",
        |call| Ok(i64::from(clock(call)?.hour()).into()),
    ),
    function(
        GROUP,
        "minute(value: text|datetime) -> integer",
        "The minute on the clock.",
        "minute(\"2026-01-31T14:05:09Z\")",
        "5",
        |call| Ok(i64::from(clock(call)?.minute()).into()),
    ),
    function(
        GROUP,
        "second(value: text|datetime) -> integer",
        "The second on the clock.",
        "second(\"2026-01-31T14:05:09Z\")",
        "9",
        |call| Ok(i64::from(clock(call)?.second()).into()),
    ),
    function(
        GROUP,
        "days_in_month(date: text|date|datetime) -> integer",
        "How many days the month has.",
        "days_in_month(\"2028-02-10\")",
        "29",
        |call| Ok(i64::from(call.date(0)?.days_in_month()).into()),
    ),
    function(
        GROUP,
        "add(value: text|date|datetime|duration, duration: text|duration) -> date|datetime|duration",
        "A date or date-time moved by a duration, or two durations together. Days have 24 hours here.",
        "add(\"2026-01-31T22:00:00Z\", \"3h\")",
        "\"2026-02-01T01:00:00Z\"",
        |call| {
            let length = Time::Length(call.length(1)?);
            let first = match call.arg(0).and_then(Time::of) {
                Some(time) => time,
                None => call.date_or_instant(0)?,
            };
            made(time::add(&first, &length).unwrap_or_else(|| Err(time::out_of_range())))
        },
    ),
    function(
        GROUP,
        "add_minutes(value: text|datetime, count: number) -> datetime",
        "The date-time so many minutes later; less than 0 is earlier.",
        "add_minutes(\"2026-01-31T23:50:00Z\", 15)",
        "\"2026-02-01T00:05:00Z\"",
        |call| later(call, 60),
    ),
    function(
        GROUP,
        "add_hours(value: text|datetime, count: number) -> datetime",
        "The date-time so many hours later, also where clocks change; less than 0 is earlier.",
        "add_hours(\"2026-01-31T23:50:00Z\", -24)",
        "\"2026-01-30T23:50:00Z\"",
        |call| later(call, 3600),
    ),
    function(
        GROUP,
        "add_days(value: text|date|datetime, count: integer) -> date|datetime",
        "So many days later at the same time of day; less than 0 is earlier.",
        "add_days(\"2026-01-31\", 1)",
        "\"2026-02-01\"",
        |call| {
            let count = call.whole(1)?;
            shifted(call, Span::new().try_days(count))
        },
    ),
    function(
        GROUP,
        "add_months(value: text|date|datetime, count: integer) -> date|datetime",
        "So many months later, on the last day of a month that is too short; less than 0 is earlier.",
        "add_months(\"2026-01-31\", 1)",
        "\"2026-02-28\"",
        |call| {
            let count = call.whole(1)?;
            shifted(call, Span::new().try_months(count))
        },
    ),
    function(
        GROUP,
        "add_years(value: text|date|datetime, count: integer) -> date|datetime",
        "So many years later; 29 February becomes 28 February where there is none.",
        "add_years(\"2028-02-29\", 1)",
        "\"2029-02-28\"",
        |call| {
            let count = call.whole(1)?;
            shifted(call, Span::new().try_years(count))
        },
    ),
    function(
        GROUP,
        "add_business_days(value: text|date|datetime, count: integer, [holidays: list]) -> date|datetime",
        "So many business days later: Monday to Friday, without the holidays; less than 0 is earlier.",
        "add_business_days(\"2026-12-23\", 2, [\"2026-12-25\"])",
        "\"2026-12-28\"",
        |call| {
            let (count, holidays) = (call.whole(1)?, call.dates(2)?);
            let from = call.date(0)?;
            let to = calendar::add_business_days(from, count, &holidays).map_err(fault)?;
            shifted(call, Span::new().try_days(calendar::days_between(from, to)))
        },
    ),
    function(
        GROUP,
        "is_business_day(date: text|date|datetime, [holidays: list]) -> boolean",
        "Whether it is a day from Monday to Friday and no holiday.",
        "is_business_day(\"2026-12-25\", [\"2026-12-25\"])",
        "false",
        |call| Ok(calendar::is_business_day(call.date(0)?, &call.dates(1)?).into()),
    ),
    function(
        GROUP,
        "days_between(from: text|date|datetime, to: text|date|datetime) -> integer",
        "How many days the second date is after the first; times of day do not count.",
        "days_between(\"2026-01-31\", \"2026-03-01\")",
        "29",
        |call| between(call, calendar::days_between),
    ),
    function(
        GROUP,
        "months_between(from: text|date|datetime, to: text|date|datetime) -> integer",
        "How many whole months the second date is after the first.",
        "months_between(\"2026-01-31\", \"2026-03-30\")",
        "1",
        |call| between(call, calendar::months_between),
    ),
    function(
        GROUP,
        "years_between(from: text|date|datetime, to: text|date|datetime) -> integer",
        "How many whole years the second date is after the first, such as an age.",
        "years_between(\"1990-06-15\", \"2026-06-14\")",
        "35",
        |call| between(call, |from, to| calendar::months_between(from, to) / 12),
    ),
    function(
        GROUP,
        "business_days_between(from: text|date|datetime, to: text|date|datetime, [holidays: list]) -> integer",
        "How many business days come after the first date, up to and with the second.",
        "business_days_between(\"2026-12-23\", \"2026-12-28\", [\"2026-12-25\"])",
        "2",
        |call| {
            let holidays = call.dates(2)?;
            between(call, |from, to| calendar::business_days_between(from, to, &holidays))
        },
    ),
    function(
        GROUP,
        "hours_between(from: text|datetime, to: text|datetime) -> number",
        "How many hours the second date-time is after the first, with a fraction.",
        "hours_between(\"2026-01-31T22:00:00Z\", \"2026-02-01T00:30:00Z\")",
        "2.5",
        |call| elapsed(call, 3600),
    ),
    function(
        GROUP,
        "minutes_between(from: text|datetime, to: text|datetime) -> number",
        "How many minutes the second date-time is after the first, with a fraction.",
        "minutes_between(\"2026-01-31T22:00:00Z\", \"2026-01-31T22:01:30Z\")",
        "1.5",
        |call| elapsed(call, 60),
    ),
    function(
        GROUP,
        "start_of(value: text|date|datetime, period: text, [zone: text]) -> date|datetime",
        "Where the minute, hour, day, week (from Monday), month, quarter or year begins, in the zone of the date-time or the one given.",
        "start_of(\"2026-05-20\", \"quarter\")",
        "\"2026-04-01\"",
        |call| period(call, calendar::start_of),
    ),
    function(
        GROUP,
        "end_of(value: text|date|datetime, period: text, [zone: text]) -> date|datetime",
        "The last day of the period, or of a date-time its last millisecond.",
        "end_of(\"2026-02-03\", \"month\")",
        "\"2026-02-28\"",
        |call| period(call, calendar::end_of),
    ),
];

/// The time on the clock.
fn clock(call: &Call<'_, '_>) -> Result<jiff::civil::DateTime, Fault> {
    match call.moment(0)? {
        time::Moment::Date(_) => Err(call.instant(0).err().unwrap_or_else(|| call.bad("needs a time of day"))),
        moment => Ok(moment.local()),
    }
}

fn later(call: &mut Call<'_, '_>, seconds: i64) -> Result<Dynamic, Fault> {
    let one = Time::Length(jiff::SignedDuration::from_secs(seconds));
    let length = time::multiply(&one, call.number(1)?).unwrap_or_else(|| Err(time::out_of_range())).map_err(fault)?;
    made(time::add(&Time::Instant(call.instant(0)?), &length).unwrap_or_else(|| Err(time::out_of_range())))
}

fn shifted(call: &Call<'_, '_>, span: Result<Span, jiff::Error>) -> Result<Dynamic, Fault> {
    let span = span.map_err(|_| fault(time::out_of_range()))?;
    made(calendar::shift(&call.date_or_instant(0)?, span))
}

fn between(call: &mut Call<'_, '_>, count: impl Fn(Date, Date) -> i64) -> Result<Dynamic, Fault> {
    Ok(count(call.date(0)?, call.date(1)?).into())
}

fn elapsed(call: &mut Call<'_, '_>, seconds: i64) -> Result<Dynamic, Fault> {
    let (from, to) = (call.instant(0)?, call.instant(1)?);
    let nanos =
        Decimal::try_from_i128_with_scale(from.duration_until(&to).as_nanos(), 9).map_err(|_| fault(time::out_of_range()))?;
    Number::from(nanos).divide(Number::Int(seconds)).map(Into::into).map_err(fault)
}

fn period(call: &mut Call<'_, '_>, find: fn(&Time, Period) -> Option<Result<Time, EvalError>>) -> Result<Dynamic, Fault> {
    let word = call.text(1)?;
    let Some(period) = Period::of(&word) else {
        return Err(call.bad("knows the periods minute, hour, day, week, month, quarter and year"));
    };
    let time = match (call.date_or_instant(0)?, call.zone(2)?) {
        (Time::Instant(zoned), Some(zone)) => Time::Instant(zoned.with_time_zone(zone)),
        (time, _) => time,
    };
    match find(&time, period) {
        Some(found) => made(found),
        None => Err(call.bad("gets a date, which has no time of day")),
    }
}
