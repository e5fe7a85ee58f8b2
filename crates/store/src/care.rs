//! Caring for a database while it works: what goes when its time is over, room given back, and reading
//! everything to see whether it is whole.

use std::time::Duration;

use async_trait::async_trait;

use crate::{BlobId, RecipeId, RunId, StoreError, Timestamp};

/// Runs removed in one transaction at most.
pub const PURGE_RUNS_MAX: u32 = 1024;

/// Which ended runs of one recipe may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    /// The recipe.
    pub recipe: RecipeId,
    /// Only runs after this one: where the part before ended.
    pub after: Option<RunId>,
    /// Succeeded and cancelled runs that ended at or before.
    pub succeeded_before: Timestamp,
    /// Failed runs that somebody dealt with and that ended at or before.
    pub failed_before: Timestamp,
    /// Failed runs that nobody dealt with and that ended at or before.
    pub open_before: Timestamp,
    /// Remove no more than so many, and never more than [`PURGE_RUNS_MAX`]: commits wait as long as that takes.
    pub limit: u32,
}

impl Purge {
    /// No run accepted after this may go, whatever it is: it cannot have ended earlier.
    #[must_use]
    pub fn newest(&self) -> Timestamp {
        self.succeeded_before.max(self.failed_before).max(self.open_before)
    }
}

/// What became of one part of a purge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Runs removed, with their journals, answers and questions.
    pub runs: u64,
    /// How many of them nobody had dealt with.
    pub dead_letters: u64,
    /// Where the next part goes on; `None` when nothing is left to look at.
    pub next: Option<RunId>,
    /// Another process does it at this moment; nothing was done.
    pub busy: bool,
    /// How long commits may have had to wait for it.
    pub held: Duration,
    /// Somebody did wait, or the store cannot tell.
    pub crowded: bool,
}

/// A key of an event, as a place in the list of all of them.
pub type KeyPlace = (RecipeId, [u8; 16]);

/// What became of one part of forgetting keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Keys removed.
    pub keys: u64,
    /// Where the next part goes on; `None` when nothing is left to look at.
    pub next: Option<KeyPlace>,
}

/// What else was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Operations, each with the last of its runs' entries.
    pub operations: u64,
    /// Entries of operations' runs.
    pub items: u64,
    /// Audit entries.
    pub audit: u64,
}

/// How much room the database takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes of its log beside it; 0 where that is the server's business.
    pub log_bytes: u64,
    /// Bytes in the database that hold nothing.
    pub free_bytes: u64,
    /// There is more to give back: ask again.
    pub more: bool,
}

/// What caring for a database asks of a store. Each verb that changes something is one transaction.
#[async_trait]
pub trait Care: Send + Sync + 'static {
    /// Removes some of the ended runs that may go, with everything that belongs to them. A run stays
    /// while the run that called it, a run it called, or a run that repeats it is not over, and while an
    /// operation that is not over takes it.
    async fn purge(&self, purge: &Purge) -> Result<Purged, StoreError>;

    /// Removes some of the keys whose time is over at `now`, looking at no more than `limit` from `after`
    /// on. A key stays for as long as its run.
    async fn forget_keys(&self, after: Option<KeyPlace>, now: Timestamp, limit: u32) -> Result<Forgotten, StoreError>;

    /// Removes operations that ended before `operations_before` and audit entries made before
    /// `audit_before`, at most `limit` rows of each table.
    async fn sweep(&self, operations_before: Timestamp, audit_before: Timestamp, limit: u32) -> Result<Swept, StoreError>;

    /// Gives room that holds nothing back to the disk, a bounded piece at a time, and keeps the log
    /// beside the database below `log_bytes_max`. Only tells how much there is when that is `None`.
    async fn tidy(&self, log_bytes_max: Option<u64>) -> Result<Room, StoreError>;

    /// Ids of runs in their order, after `after`, at most `limit`.
    async fn run_ids(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError>;

    /// Ids of runs that have a journal, in their order, after `after`, at most `limit`.
    async fn journal_ids(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError>;

    /// Blobs that some run speaks of, in the order of their hashes, after `after`, at most `limit`.
    async fn referred_blobs(&self, after: Option<BlobId>, limit: u32) -> Result<Vec<BlobId>, StoreError>;

    /// Runs there are that speak of a blob, in their order, at most `limit`.
    async fn referring_runs(&self, blob: BlobId, limit: u32) -> Result<Vec<RunId>, StoreError>;

    /// What the database itself finds wrong in its files, one sentence each; empty where it cannot look.
    async fn faults(&self) -> Result<Vec<String>, StoreError>;
}
