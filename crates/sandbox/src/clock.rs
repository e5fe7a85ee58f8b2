//! The time in the simulated systems: the machine's, moved forward by hand.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;

/// A clock that can be advanced. It never goes back while there are records with its times.
#[derive(Debug, Default)]
pub struct Clock {
    ahead_us: AtomicI64,
}

impl Clock {
    /// Now, in the systems.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ahead = jiff::SignedDuration::from_micros(self.ahead_us.load(Ordering::Relaxed));
        let real = Timestamp::now();
        real.checked_add(ahead).unwrap_or(real)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now_s(&self) -> i64 {
        self.now().as_second()
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// The machine's time again; only for systems that begin anew.
    pub(crate) fn reset(&self) {
        self.ahead_us.store(0, Ordering::Relaxed);
    }

    /// Moves the systems' time forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let _ = self.ahead_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| Some(ahead.saturating_add(by)));
    }
}
