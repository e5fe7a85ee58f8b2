//! The one clock that processes of one database go by, and how well this one knows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use store::{Clock, Store, StoreError, Timestamp};

/// A reading that may be wrong by more than this is taken anew, where the answer comes fast enough.
const ERROR_GOOD: Duration = Duration::from_millis(5);
/// Readings taken for one comparison at most.
const READINGS_MAX: u32 = 3;
/// Clocks that nobody sets drift apart by less than one part in so many.
const DRIFT_ONE_IN: i64 = 1_000;

/// The database's clock, as this process reckons it from its own.
pub(crate) struct SharedClock {
    own: Arc<dyn Clock>,
    /// How far the database's clock is ahead of ours, in microseconds.
    ahead_us: AtomicI64,
    known: Mutex<Option<Reading>>,
}

/// What a comparison of the two clocks said, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Reading {
    ahead: i64,
    /// The truth is at most this far from `ahead`.
    error: i64,
    /// By our own clock.
    at: i64,
}

impl Reading {
    /// How wrong it may be at a later instant of our own clock.
    const fn error_at(&self, at: i64) -> i64 {
        self.error.saturating_add(at.saturating_sub(self.at).saturating_abs() / DRIFT_ONE_IN)
    }

    /// Whether both may be true at the instant of `self`; if not, one of the clocks was set.
    fn agrees_with(&self, older: &Self) -> bool {
        (self.ahead - older.ahead).abs() <= self.error.saturating_add(older.error_at(self.at))
    }
}

impl SharedClock {
    /// Compares the clocks for the first time.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn start(own: Arc<dyn Clock>, store: &dyn Store) -> Result<Self, StoreError> {
        let clock = Self { own, ahead_us: AtomicI64::new(0), known: Mutex::new(None) };
        clock.compare(store).await?;
        Ok(clock)
    }

    /// The current instant: by the database's clock where several processes share one, so that machines
    /// whose clocks differ agree on what is due and whose lease is over.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.own.now().micros().saturating_add(self.ahead_us.load(Ordering::Relaxed)))
    }

    /// How wrong [`SharedClock::now`] may be.
    pub(crate) fn error(&self) -> Duration {
        let error = self.known.lock().map_or(0, |known| known.error_at(self.own.now().micros()));
        Duration::from_micros(u64::try_from(error).unwrap_or(0))
    }

    /// Compares this process's clock with the database's. An answer that took long says little: what was
    /// known better before stays.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn compare(&self, store: &dyn Store) -> Result<(), StoreError> {
        for _ in 0..READINGS_MAX {
            let asked = self.own.now().micros();
            let Some(theirs) = store.shared_clock().await? else { return Ok(()) };
            let answered = self.own.now().micros();
            let error = answered.saturating_sub(asked).max(0) / 2;
            self.take(Reading { ahead: theirs.micros().saturating_sub(asked + error), error, at: answered });
            if error <= ERROR_GOOD.as_micros() as i64 {
                break;
            }
        }
        Ok(())
    }

    fn take(&self, new: Reading) {
        let mut known = self.known.lock();
        if let Some(old) = *known
            && new.agrees_with(&old)
            && old.error_at(new.at) < new.error
        {
            return;
        }
        self.ahead_us.store(new.ahead, Ordering::Relaxed);
        *known = Some(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zero;

    impl Clock for Zero {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }
    }

    fn clock() -> SharedClock {
        SharedClock { own: Arc::new(Zero), ahead_us: AtomicI64::new(0), known: Mutex::new(None) }
    }

    #[test]
    fn an_answer_that_took_long_does_not_replace_a_better_one() {
        let clock = clock();
        clock.take(Reading { ahead: 1_000_000, error: 500, at: 0 });
        clock.take(Reading { ahead: -3_000_000, error: 4_000_000, at: 1_000_000 });
        assert_eq!(clock.now().micros(), 1_000_000);
        assert_eq!(clock.error(), Duration::from_micros(500));
    }

    #[test]
    fn a_worse_answer_replaces_one_that_grew_old() {
        let clock = clock();
        clock.take(Reading { ahead: 1_000_000, error: 500, at: 0 });
        clock.take(Reading { ahead: 1_000_900, error: 900, at: 1_000_000 });
        assert_eq!(clock.now().micros(), 1_000_900);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_at_once() {
        let clock = clock();
        clock.take(Reading { ahead: 0, error: 500, at: 0 });
        clock.take(Reading { ahead: 60_000_000, error: 2_000_000, at: 1_000_000 });
        assert_eq!(clock.now().micros(), 60_000_000);
    }
}
