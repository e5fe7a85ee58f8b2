//! Cron expressions: when a schedule fires next, in a time zone, clock changes included.
//!
//! Five fields: minute, hour, day of month, month, day of week, as in crontab(5), with the extensions
//! `L`, `W`, `#`, `?` and `@daily`. When both day fields are restricted, either one is enough.
//!
//! Clock changes: a schedule with one fixed hour and minute fires once a day, whatever the clock does. If
//! its time is skipped in spring it fires at the moment the clock jumps; if its time comes twice in autumn
//! it fires the first time. Any other schedule follows the clock on the wall: what is skipped is skipped,
//! and what comes twice fires twice. Checked against three unrelated libraries, see `tests/cron.rs`.
//!
//! This is our own because the crates at hand are wrong or slow in some of it: see
//! `docs/decisions/0003-cron.md`.

mod days;
mod describe;
mod parse;

use jiff::{Timestamp, civil, tz::TimeZone};

use days::Days;

/// Longest time looked ahead. The rarest real date, 29 February on a given weekday, comes at least every
/// 40 years.
const YEARS_AHEAD_MAX: i16 = 41;
const MICROS: i64 = 1_000_000;
const MINUTE_S: i64 = 60;
const DAY_S: i64 = 86_400;

/// A schedule: a cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    zone: TimeZone,
    fields: Fields,
}

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronProblem {
    /// What is wrong: `cron` or `zone`.
    pub field: &'static str,
    /// What is wrong with it, for people.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// The five fields as sets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u32,
    days: Days,
    /// One hour and one minute, neither written with `*` or a step.
    fixed: bool,
}

/// A moment on the wall clock: seconds since 1970 as if the zone were UTC.
type Wall = i64;

impl Schedule {
    /// Reads an expression for a time zone of the IANA data base (`Europe/Berlin`, `UTC`).
    ///
    /// # Errors
    /// When either cannot be read; the problem says which and often what to write instead.
    pub fn parse(expr: &str, zone: &str) -> Result<Self, CronProblem> {
        let fields = parse::fields(expr)?;
        let zone = parse::zone(zone)?;
        Ok(Self { text: expr.trim().to_owned(), zone, fields })
    }

    /// The expression as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The schedule in words, without its zone: "at 09:00 on Monday to Friday".
    #[must_use]
    pub fn describe(&self) -> String {
        describe::describe(&self.text)
    }

    /// The first time after `after_us` (microseconds since 1970, UTC) at which it fires, always later than
    /// `after_us`; `None` if it never does, or only beyond the years the calendar knows.
    #[must_use]
    pub fn next_after(&self, after_us: i64) -> Option<i64> {
        if !self.fields.days.can_happen() {
            return None;
        }
        let after = Timestamp::from_microsecond(after_us).ok()?;
        let end_year = self.zone.to_datetime(after).year().saturating_add(YEARS_AHEAD_MAX);
        // Between two clock changes wall time and real time run side by side, so each such stretch is
        // searched on the wall clock alone.
        let mut from = after_us.div_euclid(MICROS);
        let mut exclusive = true;
        let mut offset = i64::from(self.zone.to_offset(after).seconds());
        let mut repeats_until = self.repeats_until(after, offset);
        let mut changes = self.zone.following(after);
        loop {
            let change = changes.next();
            let change_s = change.as_ref().map_or(i64::MAX, |change| change.timestamp().as_second());
            let start = if exclusive { from + 1 } else { from } + offset;
            let limit = if change_s == i64::MAX { i64::MAX } else { change_s + offset };
            if let Some(wall) = self.first_from(start, limit, repeats_until, end_year) {
                return (wall - offset).checked_mul(MICROS);
            }
            let change = change?;
            let new_offset = i64::from(change.offset().seconds());
            // The times the clock skips: a fixed one fires at the jump.
            if self.fields.fixed && new_offset > offset {
                let skipped_from = change_s + offset;
                let skipped_to = change_s + new_offset;
                if let Some(wall) = self.fields.next(skipped_from, skipped_to, end_year)
                    && self.fields.days.takes_wall_day(skipped_to)
                    && wall < skipped_to
                {
                    return change_s.checked_mul(MICROS);
                }
            }
            if year_of(change_s + new_offset)? > end_year {
                return None;
            }
            repeats_until = change_s + offset.max(new_offset);
            from = change_s;
            exclusive = false;
            offset = new_offset;
        }
    }

    /// The first wall time of a stretch that fires. A fixed schedule does not fire again at times that
    /// the clock shows for the second time.
    fn first_from(&self, start: Wall, limit: Wall, repeats_until: Wall, end_year: i16) -> Option<Wall> {
        let start = if self.fields.fixed { start.max(repeats_until) } else { start };
        self.fields.next(start, limit, end_year)
    }

    /// Up to which wall time the clock repeats itself at this moment: beyond it nothing was seen before.
    fn repeats_until(&self, at: Timestamp, offset: i64) -> Wall {
        // `preceding` looks strictly before its argument; a change at this very moment counts too.
        let next = at.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(at);
        let Some(change) = self.zone.preceding(next).next() else {
            return i64::MIN;
        };
        let change_s = change.timestamp().as_second();
        let before = i64::from(self.zone.to_offset(change.timestamp() - jiff::SignedDuration::from_nanos(1)).seconds());
        change_s + offset.max(before)
    }
}

impl Fields {
    /// The first matching wall time in `start..limit`.
    fn next(&self, start: Wall, limit: Wall, end_year: i16) -> Option<Wall> {
        if start >= limit {
            return None;
        }
        // Schedules fire on whole minutes.
        let start = start.div_euclid(MINUTE_S) + i64::from(start.rem_euclid(MINUTE_S) != 0);
        let (day, minute) = (start.div_euclid(DAY_S / MINUTE_S), start.rem_euclid(DAY_S / MINUTE_S));
        let first_date = civil_date(day)?;
        if self.days.takes(first_date)
            && let Some(minute) = self.minute_from(u32::try_from(minute).ok()?)
        {
            return within(day, minute, limit);
        }
        let first_minute = self.minute_from(0)?;
        let limit_day = if limit == i64::MAX { i64::MAX } else { limit.div_euclid(DAY_S) };
        let date = self.days.next_after(first_date, limit_day, end_year)?;
        within(epoch_day(date), first_minute, limit)
    }

    /// The first matching minute of a day from this one on.
    fn minute_from(&self, minute: u32) -> Option<u32> {
        let (hour, minute) = (minute / 60, minute % 60);
        if self.hours & (1 << hour) != 0 {
            let rest = self.minutes >> minute;
            if rest != 0 {
                return Some(hour * 60 + minute + rest.trailing_zeros());
            }
        }
        let later = self.hours.checked_shr(hour + 1).unwrap_or(0);
        if later == 0 || self.minutes == 0 {
            return None;
        }
        Some((hour + 1 + later.trailing_zeros()) * 60 + self.minutes.trailing_zeros())
    }
}

fn within(day: i64, minute: u32, limit: Wall) -> Option<Wall> {
    let wall = day * DAY_S + i64::from(minute) * MINUTE_S;
    (wall < limit).then_some(wall)
}

fn civil_date(day: i64) -> Option<civil::Date> {
    let days = i32::try_from(day).ok()?;
    EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

const EPOCH: civil::Date = civil::date(1970, 1, 1);

fn epoch_day(date: civil::Date) -> i64 {
    days::epoch_day(date.year(), date.month(), date.day())
}

fn year_of(wall: Wall) -> Option<i16> {
    civil_date(wall.div_euclid(DAY_S)).map(civil::Date::year)
}
