//! The one connection that writes, and how many wait for it.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::SqliteConnection;
use tokio::sync::MutexGuard;

use crate::SqliteStore;

impl SqliteStore {
    /// The one connection that writes.
    pub(crate) async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        let waits = Waits::begin(&self.waiting);
        let writer = self.writer.lock().await;
        drop(waits);
        writer
    }

    /// True when somebody waits for the connection that writes.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts whoever waits, also when they give up.
struct Waits<'s>(&'s AtomicU32);

impl<'s> Waits<'s> {
    fn begin(count: &'s AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
