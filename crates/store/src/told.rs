//! Limits of a day: our own, and what systems say of theirs.

use std::time::Duration;

use crate::{BudgetLimits, BudgetRow, Timestamp, budget::DAY_US};

/// A limit without an end that was not heard of for so long is believed no more: it moves with time.
const TOLD_LASTS: Duration = Duration::from_secs(3600);
/// Answers overtake each other; more than was known to be left is believed only after so long.
const RAISED_AFTER: Duration = Duration::from_secs(10);

/// A limit of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Calls of the day in all.
    pub limit: i64,
    /// Calls left.
    pub left: i64,
    /// When it is whole again, or would be if nobody called any more.
    pub ends_at: Timestamp,
}

/// What a system says of its own limit for a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Calls of the day in all.
    pub limit: i64,
    /// Calls left; in a store, those leased since are taken off.
    pub left: i64,
    /// When it said so.
    pub at: Timestamp,
    /// When it is whole again, if it says so.
    pub ends_at: Option<Timestamp>,
}

impl Told {
    fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.unwrap_or_else(|| self.at.after(TOLD_LASTS)) <= now
    }

    fn day(&self) -> Day {
        let ends_at = self.ends_at.unwrap_or_else(|| Timestamp::from_micros(self.at.micros().saturating_add(DAY_US)));
        Day { limit: self.limit, left: self.left.max(0), ends_at }
    }
}

impl BudgetRow {
    /// The system says what is left of its own limit.
    #[must_use]
    pub fn hear(mut self, told: &Told) -> Self {
        let known = self.told.filter(|known| !known.is_over(told.at));
        let believed = known.is_none_or(|known| told.left <= known.left || told.at.since(known.at) >= RAISED_AFTER);
        if believed {
            self.told = Some(*told);
        }
        self
    }

    /// The day's limit that leaves least: ours or the system's.
    #[must_use]
    pub fn day(&self, limits: &BudgetLimits, now: Timestamp) -> Option<Day> {
        self.days(limits, now).into_iter().flatten().min_by_key(|day| day.left)
    }

    fn days(&self, limits: &BudgetLimits, now: Timestamp) -> [Option<Day>; 2] {
        let used = if self.next_day() > now { self.day_used } else { 0 };
        let ends_at = Timestamp::from_micros((now.micros().div_euclid(DAY_US) + 1) * DAY_US);
        let ours = limits.per_day.map(i64::from).map(|limit| Day { limit, left: (limit - used).max(0), ends_at });
        [ours, self.told.filter(|told| !told.is_over(now)).map(|told| told.day())]
    }

    /// When more comes, once a day is used up.
    pub(crate) fn more_of_the_day_at(&self, limits: &BudgetLimits, now: Timestamp) -> Option<Timestamp> {
        let [ours, _] = self.days(limits, now);
        let ours = ours.filter(|day| day.left == 0).map(|day| day.ends_at);
        let told = self.told.filter(|told| told.left <= 0 && !told.is_over(now));
        ours.max(told.map(|told| told.ends_at.unwrap_or_else(|| told.at.after(TOLD_LASTS))))
    }

    pub(crate) fn take_told(&mut self, calls: i64) {
        if let Some(told) = &mut self.told {
            told.left = told.left.saturating_sub(calls).clamp(0, told.limit.max(0));
        }
    }

    /// A limit that is whole again is forgotten. One without an end that was used up lets a single call find out.
    pub(crate) fn forget_what_is_over(&mut self, now: Timestamp) {
        self.told = match self.told {
            Some(told) if told.is_over(now) && told.ends_at.is_none() && told.left <= 0 => {
                Some(Told { left: 1, at: now, ..told })
            }
            Some(told) if told.is_over(now) => None,
            told => told,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BudgetAsk, WorkerId};

    const NOON: Timestamp = Timestamp::from_micros(DAY_US / 2);

    fn at(seconds: u64) -> Timestamp {
        NOON.after(Duration::from_secs(seconds))
    }

    fn told(left: i64, seconds: u64, ends: Option<u64>) -> Told {
        Told { limit: 100, left, at: at(seconds), ends_at: ends.map(at) }
    }

    fn ask(tokens: u32, seconds: u64) -> BudgetAsk {
        BudgetAsk {
            connection: "crm".to_owned(),
            worker: WorkerId(1),
            limits: BudgetLimits::default(),
            tokens,
            back: 0,
            unspent: 0,
            at_once: 0,
            lent_until: at(seconds + 1),
            busy: 0,
            wanted: 0,
            now: at(seconds),
            hold_until: at(seconds + 30),
        }
    }

    fn empty() -> BudgetRow {
        BudgetRow::full(&BudgetLimits::default(), at(0))
    }

    #[test]
    fn nobody_goes_past_what_a_system_says_is_left() {
        let row = empty().hear(&told(30, 0, Some(600)));
        let (row, _, lease) = row.lease(&[], &ask(20, 1));
        assert_eq!((lease.tokens, lease.day_left), (20, Some(10)));
        let (row, _, lease) = row.lease(&[], &ask(20, 2));
        assert_eq!((lease.tokens, lease.day_left, lease.more_at), (10, Some(0), Some(at(600))));
        let (row, _, lease) = row.lease(&[], &BudgetAsk { back: 4, ..ask(20, 3) });
        assert_eq!(lease.tokens, 4, "what was not used is there again");
        let (_, _, lease) = row.lease(&[], &ask(20, 600));
        assert_eq!((lease.tokens, lease.day_left), (20, None), "it is whole again");
    }

    #[test]
    fn less_is_believed_at_once_and_more_after_a_while() {
        let row = empty().hear(&told(30, 0, None)).hear(&told(20, 1, None));
        assert_eq!(row.told.unwrap().left, 20);
        let row = row.hear(&told(29, 2, None));
        assert_eq!(row.told.unwrap().left, 20, "an answer that was overtaken");
        assert_eq!(row.hear(&told(29, 12, None)).told.unwrap().left, 29);
    }

    #[test]
    fn a_limit_without_an_end_lets_one_call_find_out() {
        let row = empty().hear(&told(0, 0, None));
        let (row, _, lease) = row.lease(&[], &ask(20, 1));
        assert_eq!((lease.tokens, lease.more_at), (0, Some(at(3600))));
        let (row, _, lease) = row.lease(&[], &ask(20, 3600));
        assert_eq!(lease.tokens, 1);
        let (row, _, lease) = row.lease(&[], &ask(20, 3601));
        assert_eq!(lease.tokens, 0);
        assert_eq!(row.hear(&told(50, 3602, None)).told.unwrap().left, 0, "not yet");
    }

    #[test]
    fn the_smaller_limit_counts() {
        let limits = BudgetLimits { per_day: Some(10), ..BudgetLimits::default() };
        let row = empty().hear(&told(30, 0, None));
        assert_eq!(row.day(&limits, at(0)).unwrap().limit, 10);
        assert_eq!(row.hear(&told(5, 1, None)).day(&limits, at(1)).unwrap(), Day { limit: 100, left: 5, ends_at: at(86_401) });
    }
}
