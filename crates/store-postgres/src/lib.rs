//! The store on PostgreSQL: any number of processes share one database.
//!
//! The database is the only coordinator: row locks fence stale workers, unique keys make one run of
//! one event, and `LISTEN`/`NOTIFY` wakes the others. The files have the same names as those of the
//! SQLite store and keep the same order, so that a diff of the two folders is a reading guide.

mod access;
mod beside;
mod causes;
mod claim;
mod connections;
mod control;
mod error;
mod glance;
mod inbound;
mod lanes;
mod migrations;
mod notice;
mod operations;
mod pages;
mod recipes;
mod rows;
#[cfg(feature = "testing")]
pub mod testing;
mod write;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json};
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::{Migration, MigrationType, Migrator},
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use store::{
    Accepted, Activated, ActiveRecipe, Answer, Answered, Approval, ApprovalId, Batch, BatchOutcome, Beside, Cause, CauseHours,
    Claim, ConnectionId, ConnectionRow, DeadLetter, Fingerprint, InboundBounds, InboundFilter, InboundId, InboundRow,
    ItemOutcome, ItemState, KeyRow, LanePlace, NewRun, NewVersion, Operation, OperationChange, OperationId, OperationItem, Pages,
    Put, Reaped, RecipeId, RecipeRow, RecipeStats, RecipeVersion, ReplayedLetter, Rounds, RunFilter, RunId, RunRow, RunStatus,
    Saved, Selection, SessionRow, Sorted, Store, StoreError, Timestamp, Unsorted, WorkerId,
};

use crate::{
    claim::InDoubt,
    error::{Place, failed, in_the_way},
    notice::Notices,
};
pub use crate::{error::OpenError, glance::look};

/// The oldest server we are tested with.
const SERVER_MIN: u32 = 14;
/// How often a verb is tried when another transaction was in its way.
const TRIES_MAX: u32 = 5;
/// A connection unused for so long is tried out before it is used again.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How the store uses the server. Every field has a safe default.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Connections of this process at most, apart from the one that listens for notices.
    pub connections: u32,
    /// How long a verb waits for a connection.
    pub reach_within: Duration,
    /// How long a verb waits for its answer; then its connection is given up.
    pub answer_within: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { connections: 10, reach_within: Duration::from_secs(5), answer_within: Duration::from_secs(30) }
    }
}

/// The store on PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    pool: PgPool,
    answer_within: Duration,
    // Claims whose commit got no answer.
    in_doubt: Mutex<Vec<InDoubt>>,
    rounds: Rounds,
    notices: Notices,
}

impl PostgresStore {
    /// Opens the database at `url` and brings its schema up to date. Several processes may do so at
    /// the same time.
    ///
    /// # Errors
    /// [`OpenError`], each with what to say to a person. None repeats the password.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let target = connect_options(url)?;
        let place = Place::of(&target);
        let connecting = tokio::time::timeout(options.reach_within, PgConnection::connect_with(&target));
        let mut first = match connecting.await {
            Ok(connected) => connected.map_err(|error| place.refused(&error))?,
            Err(_) => return Err(place.silent(options.reach_within)),
        };
        let version = first.server_version_num().unwrap_or_default();
        if version < SERVER_MIN * 10_000 {
            return Err(OpenError::TooOld { place: place.to_string(), found: version / 10_000, needed: SERVER_MIN });
        }
        // Not `run`: a future that holds it cannot be spawned.
        migrations().run_direct(None, &mut first, false).await.map_err(|error| place.not_migrated(&error))?;
        warn_if_unsafe(&mut first).await;
        drop(first.close().await);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(2))
            .min_connections(0)
            .acquire_timeout(options.reach_within)
            .test_before_acquire(false)
            .before_acquire(|connection, past: PoolConnectionMetadata| {
                Box::pin(async move {
                    // A busy connection is known to work; asking it each time would double the round trips.
                    if past.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(target.clone());
        Ok(Self {
            pool,
            answer_within: options.answer_within,
            in_doubt: Mutex::new(Vec::new()),
            rounds: Rounds::default(),
            notices: Notices::new(target, options.reach_within),
        })
    }
}

fn connect_options(url: &str) -> Result<PgConnectOptions, OpenError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(OpenError::Address);
    }
    let options: PgConnectOptions = url.parse().map_err(|_| OpenError::Address)?;
    Ok(options.application_name("liaison").options([
        // An answer means durable, whatever the server's own settings say.
        ("synchronous_commit", "on"),
        // The reasoning in `write.rs` and `claim.rs` is about this level.
        ("default_transaction_isolation", "read committed"),
        // Plans are made once, when tables may still be empty; every statement that must be fast
        // has an index. Planning anew costs more than running.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        // A discouraged plan looks expensive enough to be compiled, which takes a second.
        ("jit", "off"),
        ("client_min_messages", "warning"),
    ]))
}

/// The last step of the schema this build knows.
#[must_use]
pub fn newest_schema() -> i64 {
    migrations::MIGRATIONS.iter().map(|(number, ..)| *number).max().unwrap_or(0)
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

async fn warn_if_unsafe(connection: &mut PgConnection) {
    let fsync: Result<(String,), _> = sqlx::query_as("select current_setting('fsync')").fetch_one(connection).await;
    if fsync.is_ok_and(|(fsync,)| fsync == "off") {
        tracing::warn!("store.open: the server runs with fsync = off; a power loss there loses accepted events");
    }
}

/// Does a verb on a connection of the pool: again when another transaction was in the way, and never
/// waiting for a silent server without end.
macro_rules! ask {
    ($self:ident, $connection:ident => $verb:expr) => {{
        let mut tries = 1;
        loop {
            let outcome = match $self.pool.acquire().await {
                Err(error) => Err(failed(error)),
                Ok(mut held) => {
                    let answer = {
                        let $connection = &mut *held;
                        tokio::time::timeout($self.answer_within, async { $verb.await }).await
                    };
                    answer.unwrap_or_else(|_| {
                        // Whatever still comes over it answers the wrong question.
                        held.close_on_drop();
                        Err(store::counted(StoreError::Unavailable(format!("no answer within {} s", $self.answer_within.as_secs()))))
                    })
                }
            };
            match outcome {
                Err(error) if in_the_way(&error) && tries < TRIES_MAX => {
                    tracing::debug!(%error, tries, "store.again");
                    tokio::time::sleep(Duration::from_millis(u64::from(tries) * 5)).await;
                    tries += 1;
                }
                outcome => break outcome,
            }
        }
    }};
}

// After the macro they use.
mod alarms;
mod blobs;
mod care;
mod data_keys;
mod forget;
mod gate;
mod polls;
mod shapes;
mod sign_in;
mod watch;

#[async_trait]
impl Store for PostgresStore {
    async fn write(&self, batch: &Batch) -> Result<BatchOutcome, StoreError> {
        ask!(self, connection => write::write(connection, batch))
    }

    async fn claim(&self, worker: WorkerId, now: Timestamp, limit: u32) -> Result<Vec<Claim>, StoreError> {
        ask!(self, connection => claim::claim(connection, &self.in_doubt, &self.rounds, worker, now, (limit, &[])))
    }

    async fn claim_others(
        &self,
        worker: WorkerId,
        now: Timestamp,
        limit: u32,
        busy: &[RecipeId],
    ) -> Result<Vec<Claim>, StoreError> {
        ask!(self, connection => claim::claim(connection, &self.in_doubt, &self.rounds, worker, now, (limit, busy)))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        ask!(self, connection => claim::next_due(connection))
    }

    async fn backlog(&self, now: Timestamp, at_most: u32) -> Result<u32, StoreError> {
        ask!(self, connection => claim::backlog(connection, now, at_most))
    }

    async fn register_worker(&self, name: &str, now: Timestamp, lease_until: Timestamp) -> Result<WorkerId, StoreError> {
        ask!(self, connection => claim::register(connection, name, now, lease_until))
    }

    async fn renew_worker(&self, worker: WorkerId, lease_until: Timestamp) -> Result<bool, StoreError> {
        ask!(self, connection => claim::renew(connection, worker, lease_until))
    }

    async fn reap_workers(&self, now: Timestamp) -> Result<Reaped, StoreError> {
        ask!(self, connection => claim::reap(connection, now))
    }

    async fn untaken_answers(&self, run: RunId) -> Result<Vec<Answer>, StoreError> {
        ask!(self, connection => beside::untaken(connection, run))
    }

    async fn called_by(&self, run: RunId) -> Result<Vec<RunId>, StoreError> {
        ask!(self, connection => beside::called_by(connection, run))
    }

    async fn owned_runs(&self, worker: WorkerId, limit: u32) -> Result<Vec<RunId>, StoreError> {
        ask!(self, connection => claim::owned(connection, worker, limit))
    }

    async fn free_runs(&self, worker: WorkerId, runs: &[RunId], now: Timestamp) -> Result<u64, StoreError> {
        ask!(self, connection => claim::free(connection, worker, runs, now))
    }

    async fn release_worker(&self, worker: WorkerId, now: Timestamp) -> Result<u64, StoreError> {
        ask!(self, connection => claim::release(connection, worker, now))
    }

    async fn resume(&self, run: RunId, version: Option<i32>, seq: i32, chunk: &[u8], now: Timestamp) -> Result<bool, StoreError> {
        ask!(self, connection => control::resume(connection, run, version, seq, chunk, now))
    }

    async fn cancel(&self, run: RunId, chunk: &[u8], beside: &[Beside], now: Timestamp) -> Result<bool, StoreError> {
        ask!(self, connection => control::cancel(connection, run, chunk, beside, now))
    }

    async fn answer(&self, run: RunId, answer: &Answer) -> Result<Answered, StoreError> {
        ask!(self, connection => beside::answer(connection, run, answer))
    }

    async fn decide(&self, approval: ApprovalId, answer: &Answer) -> Result<Answered, StoreError> {
        ask!(self, connection => beside::decide(connection, approval, answer))
    }

    async fn settle_dead_letter(&self, run: RunId, state: DeadLetter, seq: i32, chunk: &[u8]) -> Result<bool, StoreError> {
        ask!(self, connection => control::settle(connection, run, state, seq, chunk))
    }

    async fn replay(&self, new: &Arc<NewRun>, letter: &ReplayedLetter) -> Result<Option<Accepted>, StoreError> {
        ask!(self, connection => control::replay(connection, new, letter))
    }

    async fn unsorted_failures(&self, limit: u32) -> Result<Vec<Unsorted>, StoreError> {
        ask!(self, connection => causes::unsorted(connection, limit))
    }

    async fn sort_failures(&self, sorted: &[Sorted]) -> Result<(), StoreError> {
        ask!(self, connection => causes::sort(connection, sorted))
    }

    async fn create_operation(&self, operation: &Operation, selection: &Selection) -> Result<Option<Operation>, StoreError> {
        ask!(self, connection => operations::create(connection, operation, selection))
    }

    async fn take_operation(
        &self,
        owner: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        ask!(self, connection => operations::take(connection, owner, now, lease_until))
    }

    async fn begin_items(&self, operation: OperationId, limit: u32) -> Result<Vec<OperationItem>, StoreError> {
        ask!(self, connection => operations::begin(connection, operation, limit))
    }

    async fn finish_items(
        &self,
        operation: OperationId,
        owner: WorkerId,
        outcomes: &[ItemOutcome],
        next_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        ask!(self, connection => operations::finish(connection, operation, owner, outcomes, next_at, now))
    }

    async fn change_operation(
        &self,
        operation: OperationId,
        change: &OperationChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        ask!(self, connection => operations::change(connection, operation, change, now))
    }

    async fn save_version(&self, version: NewVersion) -> Result<Saved, StoreError> {
        ask!(self, connection => recipes::save(connection, &version))
    }

    async fn activate(
        &self,
        recipe: RecipeId,
        version: Option<i32>,
        params: &Json,
        now: Timestamp,
    ) -> Result<Option<RecipeRow>, StoreError> {
        ask!(self, connection => recipes::activate(connection, recipe, version, params, now))
    }

    async fn activate_unless_moved(
        &self,
        recipe: RecipeId,
        version: i32,
        params: &Json,
        catalogue: i64,
        now: Timestamp,
    ) -> Result<Activated, StoreError> {
        ask!(self, connection => recipes::activate_unless_moved(connection, recipe, version, params, catalogue, now))
    }

    async fn active_recipes(&self) -> Result<Vec<ActiveRecipe>, StoreError> {
        ask!(self, connection => recipes::active(connection))
    }

    async fn catalogue_revision(&self) -> Result<i64, StoreError> {
        ask!(self, connection => recipes::revision(connection))
    }

    async fn advance_schedules(&self, to: &[(RecipeId, Timestamp)]) -> Result<(), StoreError> {
        ask!(self, connection => recipes::advance(connection, to))
    }

    async fn create_connection(&self, row: ConnectionRow) -> Result<Put, StoreError> {
        ask!(self, connection => connections::create(connection, &row))
    }

    async fn update_connection(&self, row: ConnectionRow) -> Result<Put, StoreError> {
        ask!(self, connection => connections::update(connection, &row))
    }

    async fn delete_connection(&self, id: ConnectionId) -> Result<bool, StoreError> {
        ask!(self, connection => connections::delete(connection, id))
    }

    async fn create_key(&self, key: &KeyRow) -> Result<(), StoreError> {
        ask!(self, connection => access::create_key(connection, key))
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError> {
        ask!(self, connection => access::key_by_hash(connection, hash))
    }

    async fn create_signin(&self, signin: &SessionRow) -> Result<(), StoreError> {
        ask!(self, connection => access::create_signin(connection, signin))
    }

    async fn spend_signin(&self, signin: &[u8; 32], session: &SessionRow, now: Timestamp) -> Result<bool, StoreError> {
        ask!(self, connection => access::spend_signin(connection, signin, session, now))
    }

    async fn session_by_hash(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<SessionRow>, StoreError> {
        ask!(self, connection => access::session_by_hash(connection, hash, now))
    }

    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        ask!(self, connection => access::end_session(connection, hash))
    }

    async fn setting(&self, name: &str, initial: &str) -> Result<String, StoreError> {
        ask!(self, connection => access::setting(connection, name, initial))
    }

    async fn keep_inbound(&self, rows: &[InboundRow], bounds: &InboundBounds) -> Result<u64, StoreError> {
        ask!(self, connection => inbound::keep(connection, rows, bounds))
    }

    async fn assign_inbound(&self, id: InboundId, recipe: RecipeId, run: Option<RunId>) -> Result<bool, StoreError> {
        ask!(self, connection => inbound::assign(connection, id, recipe, run))
    }

    async fn delete_inbound(&self, id: InboundId) -> Result<bool, StoreError> {
        ask!(self, connection => inbound::delete(connection, id))
    }

    async fn prune(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        ask!(self, connection => access::prune(connection, now, limit))
    }

    async fn wait_for_notice(&self) {
        self.notices.next().await;
    }

    async fn close(&self) {
        self.notices.stop();
        self.pool.close().await;
    }
}

#[async_trait]
impl Pages for PostgresStore {
    async fn ping(&self) -> Result<(), StoreError> {
        ask!(self, connection => async { sqlx::query("select 1").execute(connection).await.map(drop).map_err(failed) })
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        ask!(self, connection => pages::runs(connection, filter))
    }

    async fn causes(&self, recipe: Option<RecipeId>, limit: u32) -> Result<Vec<Cause>, StoreError> {
        ask!(self, connection => causes::causes(connection, recipe, limit))
    }

    async fn cause_hours(&self, causes: &[(Fingerprint, RecipeId)], now: Timestamp) -> Result<Vec<CauseHours>, StoreError> {
        ask!(self, connection => causes::hours(connection, causes, now))
    }

    async fn count_dead_letters(&self, filter: &RunFilter) -> Result<u32, StoreError> {
        ask!(self, connection => causes::count(connection, filter))
    }

    async fn operations(&self, before: Option<OperationId>, limit: u32) -> Result<Vec<Operation>, StoreError> {
        ask!(self, connection => operations::list(connection, before, limit))
    }

    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        ask!(self, connection => operations::one(connection, id))
    }

    async fn operation_items(
        &self,
        operation: OperationId,
        state: Option<ItemState>,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<OperationItem>, StoreError> {
        ask!(self, connection => operations::items(connection, operation, state, after, limit))
    }

    async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        ask!(self, connection => pages::run(connection, id))
    }

    async fn chunks(&self, id: RunId, from: i32, limit: u32) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        ask!(self, connection => pages::chunks(connection, id, from, limit))
    }

    async fn next_seq(&self, id: RunId) -> Result<i32, StoreError> {
        ask!(self, connection => pages::next_seq(connection, id))
    }

    async fn lane_place(&self, id: RunId) -> Result<Option<LanePlace>, StoreError> {
        ask!(self, connection => lanes::place(connection, id))
    }

    async fn run_counts(&self, recipe: Option<RecipeId>, since: Timestamp) -> Result<Vec<(RunStatus, i64)>, StoreError> {
        ask!(self, connection => pages::run_counts(connection, recipe, since))
    }

    async fn recipes(&self) -> Result<Vec<RecipeRow>, StoreError> {
        ask!(self, connection => recipes::list(connection))
    }

    async fn recipe(&self, slug: &str) -> Result<Option<RecipeRow>, StoreError> {
        ask!(self, connection => recipes::by_slug(connection, slug))
    }

    async fn recipe_by_id(&self, id: RecipeId) -> Result<Option<RecipeRow>, StoreError> {
        ask!(self, connection => recipes::by_id(connection, id))
    }

    async fn version(&self, recipe: RecipeId, version: i32) -> Result<Option<RecipeVersion>, StoreError> {
        ask!(self, connection => recipes::version(connection, recipe, version))
    }

    async fn versions(&self, recipe: RecipeId) -> Result<Vec<RecipeVersion>, StoreError> {
        ask!(self, connection => recipes::versions(connection, recipe))
    }

    async fn recipe_stats(&self, since: Timestamp) -> Result<Vec<(RecipeId, RecipeStats)>, StoreError> {
        ask!(self, connection => pages::recipe_stats(connection, since))
    }

    async fn recipe_by_hook(&self, token: &str) -> Result<Option<RecipeRow>, StoreError> {
        ask!(self, connection => recipes::by_hook(connection, token))
    }

    async fn inbound(&self, filter: &InboundFilter) -> Result<Vec<InboundRow>, StoreError> {
        ask!(self, connection => inbound::list(connection, filter))
    }

    async fn inbound_by_id(&self, id: InboundId) -> Result<Option<InboundRow>, StoreError> {
        ask!(self, connection => inbound::by_id(connection, id))
    }

    async fn connections(&self) -> Result<Vec<ConnectionRow>, StoreError> {
        ask!(self, connection => connections::list(connection))
    }

    async fn approvals(&self, open: bool, before: Option<ApprovalId>, limit: u32) -> Result<Vec<Approval>, StoreError> {
        ask!(self, connection => beside::approvals(connection, open, before, limit))
    }

    async fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        ask!(self, connection => beside::approval(connection, id))
    }

    async fn recipe_state(&self, recipe: RecipeId) -> Result<Map<String, Json>, StoreError> {
        ask!(self, connection => beside::recipe_state(connection, recipe))
    }

    async fn connection(&self, name: &str) -> Result<Option<ConnectionRow>, StoreError> {
        ask!(self, connection => connections::by_name(connection, name))
    }
}
