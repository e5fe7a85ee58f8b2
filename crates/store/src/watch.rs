//! What whoever watches an installation asks of its store.

use async_trait::async_trait;

use crate::{StoreError, Timestamp, WaitingFor};

/// Waiting runs counted at most: a backlog of a million costs no more to watch than one of this size.
pub const WAITING_COUNTED_MAX: u32 = 10_000;
/// Open dead letters counted at most.
pub const LETTERS_COUNTED_MAX: u32 = 100_000;
/// Recipes told by name in a count of dead letters at most, those with the most first.
pub const LETTER_RECIPES_MAX: u32 = 50;

/// How things stand, in a few numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Since when the run that is due longest has been due; `None` when nothing waits for a process.
    pub due_since: Option<Timestamp>,
    /// Parked runs by what they wait for, among the oldest [`WAITING_COUNTED_MAX`].
    pub waiting: Vec<Waiting>,
    /// Open dead letters by recipe, those with the most first, among [`LETTERS_COUNTED_MAX`].
    pub letters: Vec<(String, i64)>,
}

/// Runs that wait for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// For what.
    pub reason: WaitingFor,
    /// How many.
    pub runs: i64,
    /// When the oldest of them was accepted.
    pub oldest: Timestamp,
}

/// Which migrations a database has seen, and which this build knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The newest one in the database.
    pub found: i64,
    /// The newest one of this build.
    pub known: i64,
}

/// What watching asks of a store. Each verb is one transaction.
#[async_trait]
pub trait Watch: Send + Sync + 'static {
    /// How things stand at `now`. Costs about the same however much is waiting.
    async fn standing(&self, now: Timestamp) -> Result<Standing, StoreError>;

    /// How far the database's tables are.
    async fn schema(&self) -> Result<Schema, StoreError>;
}

/// Counts an error of the database, for the metrics, and hands it on.
#[must_use]
pub fn counted(error: StoreError) -> StoreError {
    let kind = match &error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::WrongKey { .. } => "wrong_key",
        StoreError::KeyGone => "key_gone",
        StoreError::Internal(_) => "internal",
    };
    metrics::counter!("liaison_store_errors_total", "kind" => kind).increment(1);
    error
}
