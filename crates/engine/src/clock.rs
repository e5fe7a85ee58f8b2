//! The one clock that processes of one database go by, and how well this one knows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
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
/// The machine's clock and its steady time may differ by so much, in microseconds, before the one was set or the other
/// stood still.
const APART_MAX: i64 = 250_000;

/// The database's clock, as this process reckons it from the time that goes by here.
///
/// The machine's own clock is not asked for it, because somebody may set it. Where there is no other process, the
/// machine's clock is the one people go by.
pub(crate) struct SharedClock {
    own: Arc<dyn Clock>,
    /// Several processes share the database's clock.
    shared: AtomicBool,
    /// How far the database's clock is ahead of our steady time, in microseconds.
    ahead_us: AtomicI64,
    known: Mutex<Option<Reading>>,
}

/// What a comparison of the two clocks said, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Reading {
    ahead: i64,
    /// The truth is at most this far from `ahead`.
    error: i64,
    /// By our steady time.
    at: i64,
    /// The machine's clock at that instant.
    own: i64,
}

impl Reading {
    /// How wrong it may be at a later instant of our steady time.
    const fn error_at(&self, at: i64) -> i64 {
        self.error.saturating_add(at.saturating_sub(self.at).saturating_abs() / DRIFT_ONE_IN)
    }

    /// Whether our two clocks went on differently since.
    const fn is_apart(&self, at: i64, own: i64) -> bool {
        let (steady, own) = (at - self.at, own - self.own);
        (own - steady).abs() > APART_MAX + steady / DRIFT_ONE_IN
    }

    /// Whether both may be true at the instant of `self`; if not, the database's clock was set or this machine slept.
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
        let clock = Self::new(own);
        clock.compare(store).await?;
        Ok(clock)
    }

    fn new(own: Arc<dyn Clock>) -> Self {
        Self { own, shared: AtomicBool::new(false), ahead_us: AtomicI64::new(0), known: Mutex::new(None) }
    }

    /// The current instant: by the database's clock where several processes share one, so that machines
    /// whose clocks differ agree on what is due and whose lease is over.
    pub(crate) fn now(&self) -> Timestamp {
        if self.shared.load(Ordering::Relaxed) {
            Timestamp::from_micros(self.steady().saturating_add(self.ahead_us.load(Ordering::Relaxed)))
        } else {
            self.own.now()
        }
    }

    fn steady(&self) -> i64 {
        i64::try_from(self.own.steady().as_micros()).unwrap_or(i64::MAX)
    }

    /// How wrong [`SharedClock::now`] may be.
    pub(crate) fn error(&self) -> Duration {
        let error = self.known.lock().map_or(0, |known| known.error_at(self.steady()));
        Duration::from_micros(u64::try_from(error).unwrap_or(0))
    }

    /// Whether the machine slept, or its clock was set, since the clocks were compared: the two cannot be told apart, and
    /// after a sleep more time went by than this process knows of.
    pub(crate) fn is_doubtful(&self) -> bool {
        let known = *self.known.lock();
        known.is_some_and(|known| known.is_apart(self.steady(), self.own.now().micros()))
    }

    /// Compares this process's clock with the database's. An answer that took long says little: what was
    /// known better before stays.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn compare(&self, store: &dyn Store) -> Result<(), StoreError> {
        for _ in 0..READINGS_MAX {
            let asked = self.steady();
            let Some(theirs) = store.shared_clock().await? else { return Ok(()) };
            let (at, own) = (self.steady(), self.own.now().micros());
            let error = at.saturating_sub(asked).max(0) / 2;
            self.take(Reading { ahead: theirs.micros().saturating_sub(asked + error), error, at, own });
            if error <= ERROR_GOOD.as_micros() as i64 {
                break;
            }
        }
        Ok(())
    }

    fn take(&self, new: Reading) {
        let mut known = self.known.lock();
        if let Some(old) = &*known
            && new.agrees_with(old)
            && !old.is_apart(new.at, new.own)
            && old.error_at(new.at) < new.error
        {
            return;
        }
        self.ahead_us.store(new.ahead, Ordering::Relaxed);
        self.shared.store(true, Ordering::Relaxed);
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
        SharedClock::new(Arc::new(Zero))
    }

    /// A clock that is set by hand, and the time that goes by meanwhile.
    #[derive(Default)]
    struct Machine {
        wall: AtomicI64,
        steady: AtomicI64,
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.wall.load(Ordering::Relaxed))
        }

        fn steady(&self) -> Duration {
            Duration::from_micros(self.steady.load(Ordering::Relaxed).unsigned_abs())
        }
    }

    #[test]
    fn a_clock_that_is_set_here_changes_nothing_but_is_noticed() {
        let machine = Arc::new(Machine::default());
        let clock = SharedClock::new(Arc::clone(&machine) as Arc<dyn Clock>);
        machine.wall.store(77, Ordering::Relaxed);
        assert_eq!(clock.now().micros(), 77, "alone, the machine's clock is the one there is");
        clock.take(Reading { ahead: 5_000, error: 500, at: 0, own: 77 });
        assert_eq!(clock.now().micros(), 5_000);
        for (wall, steady, doubtful) in
            [(1_000_077, 1_000_000, false), (301_000_077, 1_000_000, true), (-299_000_000, 1_000_000, true)]
        {
            machine.wall.store(wall, Ordering::Relaxed);
            machine.steady.store(steady, Ordering::Relaxed);
            assert_eq!((clock.now().micros(), clock.is_doubtful()), (1_005_000, doubtful), "{wall}");
        }
        // Compared anew, the older reading is no better any more.
        clock.take(Reading { ahead: 5_100, error: 90_000, at: 1_000_000, own: -299_000_000 });
        assert!(!clock.is_doubtful());
        assert_eq!(clock.now().micros(), 1_005_100);
        // The machine slept: time stood still here, and went on elsewhere.
        machine.wall.store(-199_000_000, Ordering::Relaxed);
        assert!(clock.is_doubtful());
        clock.take(Reading { ahead: 100_005_000, error: 90_000, at: 1_000_000, own: -199_000_000 });
        assert_eq!((clock.now().micros(), clock.is_doubtful()), (101_005_000, false));
    }

    #[test]
    fn an_answer_that_took_long_does_not_replace_a_better_one() {
        let clock = clock();
        clock.take(Reading { ahead: 1_000_000, error: 500, at: 0, own: 0 });
        clock.take(Reading { ahead: -3_000_000, error: 4_000_000, at: 1_000_000, own: 1_000_000 });
        assert_eq!(clock.now().micros(), 1_000_000);
        assert_eq!(clock.error(), Duration::from_micros(500));
    }

    #[test]
    fn a_worse_answer_replaces_one_that_grew_old() {
        let clock = clock();
        clock.take(Reading { ahead: 1_000_000, error: 500, at: 0, own: 0 });
        clock.take(Reading { ahead: 1_000_900, error: 900, at: 1_000_000, own: 1_000_000 });
        assert_eq!(clock.now().micros(), 1_000_900);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_at_once() {
        let clock = clock();
        clock.take(Reading { ahead: 0, error: 500, at: 0, own: 0 });
        clock.take(Reading { ahead: 60_000_000, error: 2_000_000, at: 1_000_000, own: 1_000_000 });
        assert_eq!(clock.now().micros(), 60_000_000);
    }
}
