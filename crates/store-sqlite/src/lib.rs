//! The store on SQLite: one file, one process, nothing to install.
//!
//! One connection writes, in `begin immediate` transactions; a few read. WAL with `synchronous=FULL`
//! makes every commit survive a power loss. A lock file keeps a second process out.

mod access;
mod alarms;
mod beside;
mod blobs;
mod care;
mod causes;
mod claim;
mod connections;
mod control;
mod copy;
mod data_keys;
mod error;
mod forget;
mod gate;
mod glance;
mod inbound;
mod lanes;
mod migrations;
mod operations;
mod pages;
mod polls;
mod recipes;
mod rows;
mod shapes;
mod shrink;
mod sign_in;
mod watch;
mod write;
mod write_connection;
mod writer;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use store::{
    Accepted, Activated, ActiveRecipe, Answer, Answered, Approval, ApprovalId, Batch, BatchOutcome, Beside, Cause, CauseHours,
    Claim, ConnectionId, ConnectionRow, DeadLetter, Fingerprint, InboundBounds, InboundFilter, InboundId, InboundRow,
    ItemOutcome, ItemState, KeyRow, LanePlace, NewRun, NewVersion, Operation, OperationChange, OperationId, OperationItem, Pages,
    Put, Reaped, RecipeId, RecipeRow, RecipeStats, RecipeVersion, ReplayedLetter, Rounds, RunFilter, RunId, RunRow, RunStatus,
    Saved, Selection, SessionRow, Sorted, Store, StoreError, Timestamp, Unsorted, WorkerId,
};

pub use crate::{
    copy::{copy_to, newest_schema, prove},
    glance::{look, look_at},
    shrink::Compacted,
};
use crate::{error::failed, write_connection::WriteConnection};

/// Why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on it.
    #[error("another liaison process already uses the data folder {}. Stop that one, or name another folder with --data-dir", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be made or written.
    #[error("the data folder {} cannot be used: {reason}. Give liaison's user the right to write there, mount it so that it can be written, or name another folder with --data-dir", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the machine says.
        reason: String,
    },
    /// The database in it cannot be opened or brought up to date.
    #[error("the database {} cannot be opened: {reason}", file.display())]
    Database {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// A newer build worked on the database.
    #[error("the database {} was brought up to date by a newer liaison (its schema has step {step}); use that build", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The step this build does not know.
        step: i64,
    },
}

/// The store on SQLite.
#[derive(Debug)]
pub struct SqliteStore {
    writer: WriteConnection,
    // How many wait for it.
    waiting: AtomicU32,
    readers: SqlitePool,
    rounds: Rounds,
    file: PathBuf,
    folder: PathBuf,
    // Held for as long as the store is open; the operating system lets go of it when the process dies.
    _lock: Option<File>,
}

const READERS: u32 = 4;
/// Statements kept prepared per connection; grouped writes have one text per group size.
const STATEMENTS_MAX: usize = 512;

impl SqliteStore {
    /// Opens the database in `folder`, making both if needed, and brings its schema up to date. Keeps
    /// every other process out for as long as it is open.
    ///
    /// # Errors
    /// [`OpenError`], each with what to say to a person.
    pub async fn open(folder: &Path) -> Result<Self, OpenError> {
        let lock = take_lock(folder)?.ok_or_else(|| OpenError::InUse(folder.to_owned()))?;
        Self::connect(folder, Some(lock)).await
    }

    /// Opens the database also while a server works on it, for short errands such as making a key:
    /// SQLite keeps their writes apart. Nothing may be claimed or accepted through it.
    ///
    /// # Errors
    /// [`OpenError`], each with what to say to a person.
    pub async fn open_beside(folder: &Path) -> Result<Self, OpenError> {
        let lock = take_lock(folder)?;
        Self::connect(folder, lock).await
    }

    async fn connect(folder: &Path, lock: Option<File>) -> Result<Self, OpenError> {
        let file = folder.join("liaison.db");
        let broken = |error: &dyn std::fmt::Display| OpenError::Database { file: file.clone(), reason: error.to_string() };
        let options = connect_options(&file);
        let mut writer = SqliteConnection::connect_with(&options).await.map_err(|error| broken(&error))?;
        // Whoever holds the lock brings the schema up to date. Not `run`: a future that holds it cannot
        // be spawned.
        if lock.is_some() {
            let anew = shrink::writes_journal_anew(&mut writer).await;
            if anew {
                let bytes = std::fs::metadata(&file).map_or(0, |found| found.len());
                tracing::info!(
                    bytes,
                    "store.journal: it is written anew, once; that takes about 20 s a GB, and begins again if it is stopped"
                );
                // What was promised to go does not stay in the pages it lay in before.
                sqlx::query("pragma secure_delete = on").execute(&mut writer).await.map_err(|error| broken(&error))?;
            }
            migrations().run_direct(None, &mut writer, false).await.map_err(|error| match error {
                MigrateError::VersionMissing(step) | MigrateError::VersionTooNew(step, _) => {
                    OpenError::Newer { file: file.clone(), step }
                }
                error => broken(&error),
            })?;
            if anew {
                for sql in ["pragma secure_delete = fast", "pragma wal_checkpoint(truncate)"] {
                    sqlx::query(sql).execute(&mut writer).await.map_err(|error| broken(&error))?;
                }
            }
            let bytes = std::fs::metadata(&file).map_or(0, |found| found.len());
            match shrink::convert(&mut writer, bytes, shrink::CONVERT_BYTES_MAX).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!(
                    bytes,
                    "store.open: this database of an older build keeps its size whatever is removed; stop and run `liaison admin compact` once"
                ),
                Err(error) => tracing::warn!(%error, "store.open: the database keeps its size whatever is removed"),
            }
        }
        let write_options = options.clone();
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .test_before_acquire(false)
            .connect_with(options.pragma("query_only", "on").pragma("cache_size", "-4000"))
            .await
            .map_err(|error| broken(&error))?;
        Ok(Self {
            writer: WriteConnection::new(writer, write_options),
            waiting: AtomicU32::new(0),
            readers,
            rounds: Rounds::default(),
            file,
            folder: folder.to_owned(),
            _lock: lock,
        })
    }
}

/// How a database is used by whoever writes to it.
pub(crate) fn connect_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // A new database can give room back while it works; see `shrink.rs` for older ones.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(STATEMENTS_MAX)
        // What is removed within a page is overwritten; that costs no page more. See `forget.rs`.
        .pragma("secure_delete", "fast")
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-16000")
}

/// Keeps every process out of `folder` for as long as the answer is held.
///
/// # Errors
/// [`OpenError::InUse`] when another process works on it.
pub fn lock(folder: &Path) -> Result<File, OpenError> {
    take_lock(folder)?.ok_or_else(|| OpenError::InUse(folder.to_owned()))
}

/// Makes the folder if needed and takes its lock; `None` when another process has it.
pub(crate) fn take_lock(folder: &Path) -> Result<Option<File>, OpenError> {
    let unusable = |reason: std::io::Error| OpenError::Folder { folder: folder.to_owned(), reason: reason.to_string() };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let lock = File::create(folder.join("liaison.lock")).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn migrations() -> Migrator {
    Migrator::with_migrations(
        migrations::MIGRATIONS
            .iter()
            .map(|(number, name, sql)| {
                Migration::new(*number, (*name).into(), MigrationType::Simple, sqlx::SqlSafeStr::into_sql_str(*sql), false)
            })
            .collect(),
    )
}

#[async_trait]
impl Store for SqliteStore {
    async fn write(&self, batch: &Batch) -> Result<BatchOutcome, StoreError> {
        write::write(&mut *self.writer().await, batch).await
    }

    async fn claim(&self, worker: WorkerId, now: Timestamp, limit: u32) -> Result<Vec<Claim>, StoreError> {
        claim::claim(&mut *self.writer().await, &self.rounds, worker, now, (limit, &[])).await
    }

    async fn claim_others(
        &self,
        worker: WorkerId,
        now: Timestamp,
        limit: u32,
        busy: &[RecipeId],
    ) -> Result<Vec<Claim>, StoreError> {
        claim::claim(&mut *self.writer().await, &self.rounds, worker, now, (limit, busy)).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        claim::next_due(&self.readers).await
    }

    async fn backlog(&self, now: Timestamp, at_most: u32) -> Result<u32, StoreError> {
        claim::backlog(&self.readers, now, at_most).await
    }

    async fn register_worker(&self, name: &str, now: Timestamp, lease_until: Timestamp) -> Result<WorkerId, StoreError> {
        claim::register(&mut *self.writer().await, name, now, lease_until).await
    }

    async fn renew_worker(&self, worker: WorkerId, lease_until: Timestamp) -> Result<bool, StoreError> {
        claim::renew(&mut *self.writer().await, worker, lease_until).await
    }

    async fn reap_workers(&self, now: Timestamp) -> Result<Reaped, StoreError> {
        claim::reap(&mut *self.writer().await, now).await
    }

    async fn untaken_answers(&self, run: RunId) -> Result<Vec<Answer>, StoreError> {
        beside::untaken(&mut *self.readers.acquire().await.map_err(failed)?, run).await
    }

    async fn called_by(&self, run: RunId) -> Result<Vec<RunId>, StoreError> {
        beside::called_by(&self.readers, run).await
    }

    async fn owned_runs(&self, worker: WorkerId, limit: u32) -> Result<Vec<RunId>, StoreError> {
        claim::owned(&self.readers, worker, limit).await
    }

    async fn free_runs(&self, worker: WorkerId, runs: &[RunId], now: Timestamp) -> Result<u64, StoreError> {
        claim::free(&mut *self.writer().await, worker, runs, now).await
    }

    async fn release_worker(&self, worker: WorkerId, now: Timestamp) -> Result<u64, StoreError> {
        claim::release(&mut *self.writer().await, worker, now).await
    }

    async fn resume(&self, run: RunId, version: Option<i32>, seq: i32, chunk: &[u8], now: Timestamp) -> Result<bool, StoreError> {
        control::resume(&mut *self.writer().await, run, version, seq, chunk, now).await
    }

    async fn cancel(&self, run: RunId, chunk: &[u8], beside: &[Beside], now: Timestamp) -> Result<bool, StoreError> {
        control::cancel(&mut *self.writer().await, run, chunk, beside, now).await
    }

    async fn answer(&self, run: RunId, answer: &Answer) -> Result<Answered, StoreError> {
        beside::answer(&mut *self.writer().await, run, answer).await
    }

    async fn decide(&self, approval: ApprovalId, answer: &Answer) -> Result<Answered, StoreError> {
        beside::decide(&mut *self.writer().await, approval, answer).await
    }

    async fn settle_dead_letter(&self, run: RunId, state: DeadLetter, seq: i32, chunk: &[u8]) -> Result<bool, StoreError> {
        control::settle(&mut *self.writer().await, run, state, seq, chunk).await
    }

    async fn replay(&self, new: &Arc<NewRun>, letter: &ReplayedLetter) -> Result<Option<Accepted>, StoreError> {
        control::replay(&mut *self.writer().await, new, letter).await
    }

    async fn unsorted_failures(&self, limit: u32) -> Result<Vec<Unsorted>, StoreError> {
        causes::unsorted(&self.readers, limit).await
    }

    async fn sort_failures(&self, sorted: &[Sorted]) -> Result<(), StoreError> {
        causes::sort(&mut *self.writer().await, sorted).await
    }

    async fn create_operation(&self, operation: &Operation, selection: &Selection) -> Result<Option<Operation>, StoreError> {
        operations::create(&mut *self.writer().await, operation, selection).await
    }

    async fn take_operation(
        &self,
        owner: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        operations::take(&mut *self.writer().await, owner, now, lease_until).await
    }

    async fn begin_items(&self, operation: OperationId, limit: u32) -> Result<Vec<OperationItem>, StoreError> {
        operations::begin(&mut *self.writer().await, operation, limit).await
    }

    async fn finish_items(
        &self,
        operation: OperationId,
        owner: WorkerId,
        outcomes: &[ItemOutcome],
        next_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        operations::finish(&mut *self.writer().await, operation, owner, outcomes, next_at, now).await
    }

    async fn change_operation(
        &self,
        operation: OperationId,
        change: &OperationChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        operations::change(&mut *self.writer().await, operation, change, now).await
    }

    async fn save_version(&self, version: NewVersion) -> Result<Saved, StoreError> {
        recipes::save(&mut *self.writer().await, version).await
    }

    async fn activate(
        &self,
        recipe: RecipeId,
        version: Option<i32>,
        params: &Json,
        now: Timestamp,
    ) -> Result<Option<RecipeRow>, StoreError> {
        recipes::activate(&mut *self.writer().await, recipe, version, params, now).await
    }

    async fn activate_unless_moved(
        &self,
        recipe: RecipeId,
        version: i32,
        params: &Json,
        catalogue: i64,
        now: Timestamp,
    ) -> Result<Activated, StoreError> {
        recipes::activate_unless_moved(&mut *self.writer().await, recipe, version, params, catalogue, now).await
    }

    async fn active_recipes(&self) -> Result<Vec<ActiveRecipe>, StoreError> {
        recipes::active(&self.readers).await
    }

    async fn catalogue_revision(&self) -> Result<i64, StoreError> {
        recipes::revision(&self.readers).await
    }

    async fn advance_schedules(&self, to: &[(RecipeId, Timestamp)]) -> Result<(), StoreError> {
        recipes::advance(&mut *self.writer().await, to).await
    }

    async fn create_connection(&self, row: ConnectionRow) -> Result<Put, StoreError> {
        connections::create(&mut *self.writer().await, row).await
    }

    async fn update_connection(&self, row: ConnectionRow) -> Result<Put, StoreError> {
        connections::update(&mut *self.writer().await, row).await
    }

    async fn delete_connection(&self, id: ConnectionId) -> Result<bool, StoreError> {
        connections::delete(&mut *self.writer().await, id).await
    }

    async fn create_key(&self, key: &KeyRow) -> Result<(), StoreError> {
        access::create_key(&mut *self.writer().await, key).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError> {
        access::key_by_hash(&self.readers, hash).await
    }

    async fn create_signin(&self, signin: &SessionRow) -> Result<(), StoreError> {
        access::create_signin(&mut *self.writer().await, signin).await
    }

    async fn spend_signin(&self, signin: &[u8; 32], session: &SessionRow, now: Timestamp) -> Result<bool, StoreError> {
        access::spend_signin(&mut *self.writer().await, signin, session, now).await
    }

    async fn session_by_hash(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<SessionRow>, StoreError> {
        access::session_by_hash(&self.readers, hash, now).await
    }

    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        access::end_session(&mut *self.writer().await, hash).await
    }

    async fn setting(&self, name: &str, initial: &str) -> Result<String, StoreError> {
        access::setting(&mut *self.writer().await, name, initial).await
    }

    async fn keep_inbound(&self, rows: &[InboundRow], bounds: &InboundBounds) -> Result<u64, StoreError> {
        inbound::keep(&mut *self.writer().await, rows, bounds).await
    }

    async fn assign_inbound(&self, id: InboundId, recipe: RecipeId, run: Option<RunId>) -> Result<bool, StoreError> {
        inbound::assign(&mut *self.writer().await, id, recipe, run).await
    }

    async fn delete_inbound(&self, id: InboundId) -> Result<bool, StoreError> {
        inbound::delete(&mut *self.writer().await, id).await
    }

    async fn prune(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        access::prune(&mut *self.writer().await, now, limit).await
    }

    async fn wait_for_notice(&self) {
        // One process: whatever it accepts, it knows.
        std::future::pending().await
    }

    async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer().await;
        // Leaves one tidy file behind; what is in the WAL is just as safe if this fails.
        if let Err(error) = sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut *writer).await {
            tracing::warn!(%error, "store.close: the WAL was not folded into the database");
        }
    }
}

#[async_trait]
impl Pages for SqliteStore {
    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.readers).await.map(drop).map_err(failed)
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        pages::runs(&self.readers, filter).await
    }

    async fn causes(&self, recipe: Option<RecipeId>, limit: u32) -> Result<Vec<Cause>, StoreError> {
        causes::causes(&self.readers, recipe, limit).await
    }

    async fn cause_hours(&self, causes: &[(Fingerprint, RecipeId)], now: Timestamp) -> Result<Vec<CauseHours>, StoreError> {
        causes::hours(&self.readers, causes, now).await
    }

    async fn count_dead_letters(&self, filter: &RunFilter) -> Result<u32, StoreError> {
        causes::count(&self.readers, filter).await
    }

    async fn operations(&self, before: Option<OperationId>, limit: u32) -> Result<Vec<Operation>, StoreError> {
        operations::list(&self.readers, before, limit).await
    }

    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        operations::one(&self.readers, id).await
    }

    async fn operation_items(
        &self,
        operation: OperationId,
        state: Option<ItemState>,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<OperationItem>, StoreError> {
        operations::items(&self.readers, operation, state, after, limit).await
    }

    async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        pages::run(&self.readers, id).await
    }

    async fn chunks(&self, id: RunId, from: i32, limit: u32) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        pages::chunks(&self.readers, id, from, limit).await
    }

    async fn next_seq(&self, id: RunId) -> Result<i32, StoreError> {
        pages::next_seq(&self.readers, id).await
    }

    async fn lane_place(&self, id: RunId) -> Result<Option<LanePlace>, StoreError> {
        lanes::place(&self.readers, id).await
    }

    async fn run_counts(&self, recipe: Option<RecipeId>, since: Timestamp) -> Result<Vec<(RunStatus, i64)>, StoreError> {
        pages::run_counts(&self.readers, recipe, since).await
    }

    async fn recipes(&self) -> Result<Vec<RecipeRow>, StoreError> {
        recipes::list(&self.readers).await
    }

    async fn recipe(&self, slug: &str) -> Result<Option<RecipeRow>, StoreError> {
        recipes::by_slug(&self.readers, slug).await
    }

    async fn recipe_by_id(&self, id: RecipeId) -> Result<Option<RecipeRow>, StoreError> {
        recipes::by_id(&self.readers, id).await
    }

    async fn version(&self, recipe: RecipeId, version: i32) -> Result<Option<RecipeVersion>, StoreError> {
        recipes::version(&self.readers, recipe, version).await
    }

    async fn versions(&self, recipe: RecipeId) -> Result<Vec<RecipeVersion>, StoreError> {
        recipes::versions(&self.readers, recipe).await
    }

    async fn recipe_stats(&self, since: Timestamp) -> Result<Vec<(RecipeId, RecipeStats)>, StoreError> {
        pages::recipe_stats(&self.readers, since).await
    }

    async fn recipe_by_hook(&self, token: &str) -> Result<Option<RecipeRow>, StoreError> {
        recipes::by_hook(&self.readers, token).await
    }

    async fn inbound(&self, filter: &InboundFilter) -> Result<Vec<InboundRow>, StoreError> {
        inbound::list(&self.readers, filter).await
    }

    async fn inbound_by_id(&self, id: InboundId) -> Result<Option<InboundRow>, StoreError> {
        inbound::by_id(&self.readers, id).await
    }

    async fn connections(&self) -> Result<Vec<ConnectionRow>, StoreError> {
        connections::list(&self.readers).await
    }

    async fn approvals(&self, open: bool, before: Option<ApprovalId>, limit: u32) -> Result<Vec<Approval>, StoreError> {
        beside::approvals(&self.readers, open, before, limit).await
    }

    async fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        beside::approval(&self.readers, id).await
    }

    async fn recipe_state(&self, recipe: RecipeId) -> Result<Map<String, Json>, StoreError> {
        beside::recipe_state(&self.readers, recipe).await
    }

    async fn connection(&self, name: &str) -> Result<Option<ConnectionRow>, StoreError> {
        connections::by_name(&self.readers, name).await
    }
}
