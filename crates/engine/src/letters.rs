//! Looks after dead letters: works out what each failed of.
//!
//! The cause is not part of the commit that ends a run, which is the hottest write there is. It is worked
//! out at once afterwards, in batches, by whoever is there; whoever asks for causes first sorts what is
//! left. So nobody sees a list with a failure missing, and old rows get theirs the same way.

use std::{sync::Arc, time::Duration};

use store::{Sorted, StoreError, Then};
use tokio::sync::Notify;

use crate::{Engine, fingerprint::fingerprint};

/// Dead letters sorted in one transaction.
const SORT_MAX: u32 = 500;
/// Batches that somebody who asks for causes waits for; the rest is sorted behind their back.
const SORT_ROUNDS_MAX: u32 = 20;
/// How often somebody looks for dead letters of processes that died before they sorted them.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Failures come in floods: they are gathered for so long.
const GATHER: Duration = Duration::from_millis(200);

/// What wakes those who look after dead letters.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    failed: Notify,
    /// There may be an operation to go on with.
    pub(crate) operations: Notify,
}

impl Signals {
    /// A run of this process ended.
    pub(crate) fn ended(&self, then: &Then) {
        if matches!(then, Then::Failed { .. }) {
            self.failed.notify_one();
        }
    }
}

impl Engine {
    /// Works out the cause of every dead letter that has none yet, so that causes can be counted. After
    /// a flood of more than ten thousand the last of them may be missing for a moment.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sort_letters(&self) -> Result<(), StoreError> {
        for _ in 0..SORT_ROUNDS_MAX {
            if self.sort_some().await? < SORT_MAX {
                return Ok(());
            }
        }
        self.letters.failed.notify_one();
        Ok(())
    }

    async fn sort_some(&self) -> Result<u32, StoreError> {
        let unsorted = self.store.unsorted_failures(SORT_MAX).await?;
        if unsorted.is_empty() {
            return Ok(0);
        }
        let sorted: Vec<Sorted> = unsorted
            .iter()
            .map(|letter| Sorted {
                run: letter.run,
                failed_at: letter.failed_at,
                cause: fingerprint(letter.recipe, letter.error.as_ref()),
            })
            .collect();
        self.store.sort_failures(&sorted).await?;
        Ok(u32::try_from(sorted.len()).unwrap_or(SORT_MAX))
    }
}

/// Sorts dead letters as they come.
pub(crate) async fn keep_sorted(engine: Arc<Engine>) {
    while !engine.is_stopping() {
        if let Err(error) = engine.sort_letters().await {
            tracing::warn!(%error, "letters.sort: the store did not answer");
        }
        tokio::select! {
            biased;
            () = engine.letters.failed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = engine.stopping.cancelled() => return,
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(GATHER) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}
