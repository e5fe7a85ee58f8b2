//! Which dates a schedule fires on.

use jiff::civil::Date;

/// The month and both day fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Days {
    /// Bit 1 is January.
    pub(super) months: u16,
    /// Bit 1 is the first of the month.
    pub(super) days: u32,
    /// Bit n: n days before the month's last day (`L` is bit 0, `L-3` bit 3).
    pub(super) from_end: u32,
    /// Bit n: the working day nearest to the n-th (`15W`).
    pub(super) nearest: u32,
    /// The last working day of the month (`LW`).
    pub(super) last_working: bool,
    /// Bit 0 is Sunday.
    pub(super) weekdays: u8,
    /// By weekday, bit n: the n-th of the month (`5#2`).
    pub(super) nth: [u8; 7],
    /// Bit per weekday: the last of the month (`5L`).
    pub(super) last: u8,
    /// The day-of-month field is `*` or `?`.
    pub(super) any_day: bool,
    /// The day-of-week field is `*` or `?`.
    pub(super) any_weekday: bool,
}

impl Days {
    /// False when no year has such a date, 30 February for one.
    pub(super) fn can_happen(&self) -> bool {
        // A weekday comes in every month; a day of the month only in months that are long enough.
        if self.months == 0 {
            return false;
        }
        if !self.any_weekday || self.any_day {
            // `5#5` happens in any month now and then, also in February.
            return true;
        }
        (1..=12_u8).filter(|month| self.months & (1 << month) != 0).any(|month| {
            let length = if month == 2 { 29 } else { days_in(2024, month) };
            self.last_working
                || self.days & mask_up_to(length) != 0
                || self.nearest & mask_up_to(length) != 0
                || self.from_end & (mask_up_to(length) >> 1) != 0
        })
    }

    /// Whether it fires on this date.
    pub(super) fn takes(&self, date: Date) -> bool {
        self.months & (1 << date.month()) != 0 && self.month_days(date.year(), date.month()) & (1 << date.day()) != 0
    }

    /// Whether it fires on the day of this wall time.
    pub(super) fn takes_wall_day(&self, wall: i64) -> bool {
        super::civil_date(wall.div_euclid(super::DAY_S)).is_some_and(|date| self.takes(date))
    }

    /// The first date after this one, not after the day `limit_day` nor the end of `end_year`.
    pub(super) fn next_after(&self, date: Date, limit_day: i64, end_year: i16) -> Option<Date> {
        let (mut year, mut month) = (date.year(), date.month());
        let mut rest = u64::from(u32::MAX) << (date.day() + 1);
        loop {
            if self.months & (1 << month) != 0 {
                let days = self.month_days(year, month) & u32::try_from(rest & u64::from(u32::MAX)).unwrap_or(0);
                if days != 0 {
                    return Date::new(year, month, i8::try_from(days.trailing_zeros()).ok()?).ok();
                }
            }
            rest = u64::from(u32::MAX);
            month += 1;
            if month > 12 {
                month = 1;
                year = year.checked_add(1)?;
            }
            if year > end_year || epoch_day(year, month, 1) > limit_day {
                return None;
            }
        }
    }

    /// The dates of one month as a set, bit 1 the first.
    fn month_days(&self, year: i16, month: i8) -> u32 {
        let length = days_in(year, u8::try_from(month).unwrap_or(1));
        let all = mask_up_to(length);
        match (self.any_day, self.any_weekday) {
            (true, true) => all,
            (false, true) => self.by_date(year, month, length) & all,
            (true, false) => self.by_weekday(year, month, length) & all,
            (false, false) => (self.by_date(year, month, length) | self.by_weekday(year, month, length)) & all,
        }
    }

    fn by_date(&self, year: i16, month: i8, length: u8) -> u32 {
        let mut days = self.days;
        for before in bits(self.from_end) {
            if before < u32::from(length) {
                days |= 1 << (u32::from(length) - before);
            }
        }
        if self.nearest == 0 && !self.last_working {
            return days;
        }
        let first = weekday(year, month, 1);
        let weekday_of = |day: u32| (u32::from(first) + day - 1) % 7;
        for wanted in bits(self.nearest).filter(|day| *day <= u32::from(length)) {
            // The nearest working day of the same month.
            days |= 1
                << match weekday_of(wanted) {
                    6 if wanted > 1 => wanted - 1,
                    6 => wanted + 2,
                    0 if wanted < u32::from(length) => wanted + 1,
                    0 => wanted - 2,
                    _ => wanted,
                };
        }
        if self.last_working {
            let last = u32::from(length);
            days |= 1
                << match weekday_of(last) {
                    6 => last - 1,
                    0 => last - 2,
                    _ => last,
                };
        }
        days
    }

    fn by_weekday(&self, year: i16, month: i8, length: u8) -> u32 {
        let first = weekday(year, month, 1);
        let mut days = 0_u32;
        for weekday in 0..7_u8 {
            let earliest = 1 + (weekday + 7 - first) % 7;
            let index = usize::from(weekday);
            if self.weekdays & (1 << weekday) != 0 {
                // Every seventh day from the earliest on.
                days |= 0x1020_4081_u32 << earliest;
                continue;
            }
            for nth in bits(u32::from(self.nth[index])) {
                let day = u32::from(earliest) + 7 * (nth - 1);
                if day <= u32::from(length) {
                    days |= 1 << day;
                }
            }
            if self.last & (1 << weekday) != 0 {
                let latest = earliest + 7 * ((length - earliest) / 7);
                days |= 1 << latest;
            }
        }
        days
    }
}

fn bits(mask: u32) -> impl Iterator<Item = u32> {
    (0..32).filter(move |bit| mask & (1 << bit) != 0)
}

/// Bits 1 to `day`.
const fn mask_up_to(day: u8) -> u32 {
    ((1_u64 << (day + 1)) - 2) as u32
}

const fn days_in(year: i16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn weekday(year: i16, month: i8, day: i8) -> u8 {
    // 1970-01-01 was a Thursday.
    u8::try_from((epoch_day(year, month, day) + 4).rem_euclid(7)).unwrap_or(0)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#days_from_civil>).
pub(super) fn epoch_day(year: i16, month: i8, day: i8) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_like_the_calendar() {
        let mut date = jiff::civil::date(1899, 12, 28);
        for _ in 0..120_000 {
            assert_eq!(
                weekday(date.year(), date.month(), date.day()),
                u8::try_from(date.weekday().to_sunday_zero_offset()).unwrap()
            );
            assert_eq!(super::super::civil_date(epoch_day(date.year(), date.month(), date.day())), Some(date));
            date = date.tomorrow().unwrap();
        }
    }
}
