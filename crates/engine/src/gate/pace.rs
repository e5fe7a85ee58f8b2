//! How background work goes easy on a limit of a day: above a share of it, what is left is spread over what is left of the
//! day, and half of it stays for those who wait for an answer.

use std::time::Duration;

use store::{Day, Timestamp};

/// The share of a day's limit from which on background work is slowed down, if the connection does not say.
pub(crate) const SHARE: f64 = 0.8;
/// A longer wait is looked at again: the day may look different by then.
const GAP_MAX: Duration = Duration::from_secs(3600);

/// When the next background call may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) share: f64,
    next_at: Timestamp,
    /// The end of the line of those who wait in the store.
    line_end: Timestamp,
}

impl Default for Pace {
    fn default() -> Self {
        let zero = Timestamp::from_micros(0);
        Self { share: SHARE, next_at: zero, line_end: zero }
    }
}

impl Pace {
    /// Until when a background call waits; `None` when it may go.
    pub(crate) fn hold(&mut self, day: Option<&Day>, now: Timestamp) -> Option<Timestamp> {
        let gap = self.gap(day?, now)?;
        if self.next_at <= now {
            return None;
        }
        // Each has a place of its own, so that they do not all come back at once.
        let place = self.line_end.max(self.next_at);
        self.line_end = place.after(gap);
        Some(place)
    }

    /// A background call goes.
    pub(crate) fn went(&mut self, day: Option<&Day>, now: Timestamp) {
        if let Some(gap) = day.and_then(|day| self.gap(day, now)) {
            self.next_at = now.after(gap);
        }
    }

    fn gap(&self, day: &Day, now: Timestamp) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "a share is no exact thing")]
        let used = 1.0 - day.left as f64 / (day.limit.max(1)) as f64;
        if used < self.share || day.ends_at <= now {
            return None;
        }
        let calls = u32::try_from((day.left / 2).max(1)).unwrap_or(u32::MAX);
        Some((day.ends_at.since(now) / calls).min(GAP_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).after(Duration::from_secs(seconds))
    }

    fn day(left: i64) -> Day {
        Day { limit: 1000, left, ends_at: at(10_000) }
    }

    #[test]
    fn nothing_is_slow_below_the_share() {
        let mut pace = Pace::default();
        pace.went(Some(&day(201)), at(0));
        assert_eq!(pace.hold(Some(&day(201)), at(0)), None);
        assert_eq!(pace.hold(None, at(0)), None);
    }

    #[test]
    fn above_it_half_of_what_is_left_is_spread_over_the_day() {
        let (mut pace, day) = (Pace::default(), day(200));
        assert_eq!(pace.hold(Some(&day), at(0)), None, "the first goes");
        pace.went(Some(&day), at(0));
        let waits: Vec<_> = (0..3).map(|_| pace.hold(Some(&day), at(0)).unwrap()).collect();
        assert_eq!(waits, [at(100), at(200), at(300)], "10,000 s for 100 calls");
        assert_eq!(pace.hold(Some(&day), at(100)), None, "its turn has come");
    }

    #[test]
    fn a_connection_may_set_the_share() {
        let mut pace = Pace { share: 0.5, ..Pace::default() };
        pace.went(Some(&day(500)), at(0));
        assert!(pace.hold(Some(&day(500)), at(0)).is_some());
    }
}
