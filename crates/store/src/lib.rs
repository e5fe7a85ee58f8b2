//! Ids, records, the journal and the verbs of a store.
//!
//! Two crates keep these promises, one per SQL dialect, and both pass the suite in [`conformance`].
//! Every verb of [`Store`] is one whole transition in one transaction: it happens, or it does not.
//! [`Pages`] is what screens and the API read; it never changes anything. This crate knows no SQL,
//! no HTTP and nothing of what a recipe says: a version is a text and its hash.

mod access;
mod alarm;
mod beside;
mod blob;
mod budget;
mod care;
mod cause;
#[cfg(any(feature = "conformance", debug_assertions))]
pub mod conformance;
mod connection;
mod damage;
mod data_key;
mod forget;
mod gate;
mod glance;
mod group;
mod ids;
mod inbound;
mod journal;
mod master;
#[cfg(feature = "conformance")]
pub mod memory;
mod operation;
mod poll;
mod recipe;
mod rounds;
mod run;
mod sealing;
mod shape;
mod sign_in;
mod time;
mod told;
#[cfg(feature = "conformance")]
pub mod upgrade;
mod vault;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value as Json};

pub use crate::{
    access::{KeyRow, SessionRow},
    alarm::{ALARMS_MAX, AlarmRow, Alarms, Delivered, NoticeRow, NoticeState, Raised},
    beside::{Answer, Answered, Approval, Beside, Lane, Parent, answer_place},
    blob::{
        BLOB_PART_BYTES, BadBlobId, BlobId, BlobReader, BlobRef, BlobRow, BlobTotals, BlobWriter, Blobs, UploadId, missing_blob,
        put_blob, read_blob,
    },
    budget::{BudgetAsk, BudgetHolder, BudgetLease, BudgetLimits, BudgetRow, TOKEN, class_budget},
    care::{Care, Forgotten, KeyPlace, PURGE_RUNS_MAX, Purge, Purged, Room, Swept},
    cause::{BadFingerprint, CAUSE_HOURS, Cause, CauseHours, Fingerprint, HOUR_US, Sorted, Unsorted, by_hour, hours_begin},
    connection::{ConnectionRow, Put},
    damage::{DAMAGED_MAX, sound, sound_page},
    data_key::{DataKeyId, DataKeyRow, DataKeys, Rewrap, Sealed, SealedAt},
    forget::{Forgets, Forgettable, Forgetting, Keeps},
    gate::{AuditRow, GateClass, GateRow, GateState, Gates},
    glance::{Glance, KEY_CHECK_PLACE, KEY_CHECK_SETTING, SHARED_KEY_SETTING},
    group::{GroupSettings, Writer},
    ids::{ApprovalId, AuditId, BadId, ConnectionId, InboundId, KeyId, NoticeId, OperationId, RecipeId, RunId, WorkerId},
    inbound::{InboundBounds, InboundFilter, InboundRow, Verdict},
    journal::{
        Apart, Caught, Chunk, Doubted, EarlierError, Ending, Entry, ErrorRecord, Field, ITEMS_FAILED, IllegalEntry, Journal,
        JournalCheck, JournalReader, Lived, LoopRows, Packed, PathMap, PathSet, Row, StepPath, StepState, Stream,
        WEIGHED_BYTES_MIN, Weights, file_path, filled_by, for_each_row, open_chunk, pack_chunk, page_path, read_chunk,
        write_chunk,
    },
    master::MasterKey,
    operation::{
        ItemOutcome, ItemState, OPERATION_RUNS_MAX, Operation, OperationChange, OperationItem, OperationKind, OperationOptions,
        OperationState, Selection,
    },
    poll::{KEY_RENEWED_EVERY_US, NewPoll, PollAnswer, PollDone, PollPosition, PollRow, Polls, known_keys},
    recipe::{Activated, ActiveRecipe, NewVersion, RecipeRow, RecipeStats, RecipeVersion, Saved, text_hash},
    rounds::{RECIPES_VISITED_MAX, Round, Rounds, Visited},
    run::{
        Accepted, Batch, BatchOutcome, CLAIM_CHUNKS_MAX, Claim, Committed, DeadLetter, EventKey, LANE_COUNTED_MAX, LanePlace,
        NewRun, Reaped, ReplayedLetter, RunCommit, RunFilter, RunRow, RunStatus, Then, Via, WaitingFor,
    },
    sealing::new_key,
    shape::{ShapeRow, Shapes},
    sign_in::{BegunSignIn, ConnectionState, SignInRefused, SignIns, TokenRow, Turn, TurnAsk},
    time::{Clock, ManualClock, SystemClock, Timestamp},
    told::{Day, Told},
    vault::Vault,
    watch::{LETTER_RECIPES_MAX, LETTERS_COUNTED_MAX, Schema, Standing, WAITING_COUNTED_MAX, Waiting, Watch, counted},
};

/// What can go wrong in a store, by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer; trying again later may help.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// Something kept makes no sense; trying again will not help.
    #[error("kept data is damaged: {0}")]
    Corrupt(String),
    /// A secret was sealed with another master key.
    #[error("this was sealed with master key {sealed_with}, but the key in use is {ours}")]
    WrongKey {
        /// The key it was sealed with.
        sealed_with: String,
        /// The key in use.
        ours: String,
    },
    /// The data key it is sealed under was replaced and removed; nothing was written. It must be sealed anew.
    #[error("the key it was sealed under was replaced just now; try again")]
    KeyGone,
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

/// How [`StoreError::Unavailable`] begins when the disk of the database is full.
pub const NO_ROOM: &str = "there is no room left on the disk";

/// What the engine and the API ask of a store. Each verb is one transaction.
#[async_trait]
pub trait Store: Pages + Gates + SignIns + DataKeys + Watch + Alarms + Care + Blobs + Forgets + Polls + Shapes {
    /// Makes many transitions durable together. A commit whose run is owned by somebody else, or
    /// under another epoch, fails alone. A new run whose key is known is a duplicate. Writing the
    /// same batch twice (after a lost answer) changes nothing the second time.
    async fn write(&self, batch: &Batch) -> Result<BatchOutcome, StoreError>;

    /// Takes up to `limit` runs due at `now`, oldest due first, and makes `worker` their owner under
    /// a new epoch. While more is due than fits, recipes take turns: none waits for another one's flood.
    async fn claim(&self, worker: WorkerId, now: Timestamp, limit: u32) -> Result<Vec<Claim>, StoreError>;

    /// The same of recipes other than these.
    async fn claim_others(
        &self,
        worker: WorkerId,
        now: Timestamp,
        limit: u32,
        busy: &[RecipeId],
    ) -> Result<Vec<Claim>, StoreError>;

    /// When the next run is due; `None` when none waits.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// How many runs are due and unowned at `now`, counted up to `at_most`.
    async fn backlog(&self, now: Timestamp, at_most: u32) -> Result<u32, StoreError>;

    /// Registers a process that will own runs until `lease_until` unless it renews.
    async fn register_worker(&self, name: &str, now: Timestamp, lease_until: Timestamp) -> Result<WorkerId, StoreError>;

    /// Renews the lease. False when the worker was declared dead; it then owns nothing any more.
    async fn renew_worker(&self, worker: WorkerId, lease_until: Timestamp) -> Result<bool, StoreError>;

    /// Removes workers whose lease ended before `now` and makes their runs claimable at once, the
    /// oldest first: they are due since they were accepted. What they asked for a trigger others may ask at once.
    async fn reap_workers(&self, now: Timestamp) -> Result<Reaped, StoreError>;

    /// What steps of a run were answered and it has not taken in yet, oldest first.
    async fn untaken_answers(&self, run: RunId) -> Result<Vec<Answer>, StoreError>;

    /// Runs that steps of a run called and that are not over, whether the run knows of them yet or not.
    async fn called_by(&self, run: RunId) -> Result<Vec<RunId>, StoreError>;

    /// Runs that belong to a worker, at most `limit`.
    async fn owned_runs(&self, worker: WorkerId, limit: u32) -> Result<Vec<RunId>, StoreError>;

    /// Makes those of the runs claimable at `now` that belong to that worker. Returns how many that are.
    async fn free_runs(&self, worker: WorkerId, runs: &[RunId], now: Timestamp) -> Result<u64, StoreError>;

    /// Removes one worker and makes its runs claimable at `now`: an orderly stop.
    async fn release_worker(&self, worker: WorkerId, now: Timestamp) -> Result<u64, StoreError>;

    /// Lets an ended run go on: only if it is failed. Appends `chunk` as number `seq` and makes the
    /// run due at `now`, under another version if one is named. False when the run is not failed or its
    /// journal went on meanwhile.
    async fn resume(&self, run: RunId, version: Option<i32>, seq: i32, chunk: &[u8], now: Timestamp) -> Result<bool, StoreError>;

    /// Ends a run that is not over. Appends `chunk` behind whatever was written until then, so that a run that
    /// commits all the time can be cancelled, too. Whoever owned it is refused from then on, `beside` is written
    /// with it, and the next run of its lane is due. False when the run is over.
    async fn cancel(&self, run: RunId, chunk: &[u8], beside: &[Beside], now: Timestamp) -> Result<bool, StoreError>;

    /// Gives a waiting step of a run what it waits for and makes the run due. A step that does not wait
    /// yet finds it when it does.
    async fn answer(&self, run: RunId, answer: &Answer) -> Result<Answered, StoreError>;

    /// Decides a question to people and gives its step the answer.
    async fn decide(&self, approval: ApprovalId, answer: &Answer) -> Result<Answered, StoreError>;

    /// Marks an open dead letter and appends `chunk` as number `seq`, which says by whom and why.
    /// False when it is not open or its journal went on meanwhile.
    async fn settle_dead_letter(&self, run: RunId, state: DeadLetter, seq: i32, chunk: &[u8]) -> Result<bool, StoreError>;

    /// Accepts a run that replays a dead letter and settles that one, both or neither. `None` when it is not the open
    /// dead letter of that failure any more: nothing was changed then. Nor was anything when the key of the new run
    /// is known.
    async fn replay(&self, new: &Arc<NewRun>, letter: &ReplayedLetter) -> Result<Option<Accepted>, StoreError>;

    /// Open dead letters whose cause is not worked out yet, at most `limit`.
    async fn unsorted_failures(&self, limit: u32) -> Result<Vec<Unsorted>, StoreError>;

    /// Keeps the causes of dead letters. Those that moved on meanwhile are left alone.
    async fn sort_failures(&self, sorted: &[Sorted]) -> Result<(), StoreError>;

    /// Keeps a new operation and the runs it takes; `operation.total` is not looked at. The answer has
    /// the true total; `None` when the selection takes more than [`OPERATION_RUNS_MAX`], and then nothing is kept.
    async fn create_operation(&self, operation: &Operation, selection: &Selection) -> Result<Option<Operation>, StoreError>;

    /// Takes an operation whose next batch is due and that nobody else has under way, until `lease_until`: one that is
    /// running, or one that was stopped with runs begun whose outcome nobody told.
    async fn take_operation(
        &self,
        owner: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Operation>, StoreError>;

    /// The next runs of an operation, at most `limit`, lowest id first, each as it was before: one that
    /// comes back as begun was begun by somebody who never said how it went.
    async fn begin_items(&self, operation: OperationId, limit: u32) -> Result<Vec<OperationItem>, StoreError>;

    /// Keeps what became of runs of an operation, and lets go of it until `next_at` unless another process has it
    /// by now. Each run counts once, however often its outcome is told. An operation with nothing left is done. `None` when there is no
    /// such operation.
    async fn finish_items(
        &self,
        operation: OperationId,
        owner: WorkerId,
        outcomes: &[ItemOutcome],
        next_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError>;

    /// Changes an operation. False when it is not in a state that allows it, or there is none.
    async fn change_operation(
        &self,
        operation: OperationId,
        change: &OperationChange,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Saves a text as the next version of its recipe.
    async fn save_version(&self, version: NewVersion) -> Result<Saved, StoreError>;

    /// Switches a version on (`Some`) or the recipe off (`None`). Sets the schedule cursor to `now`
    /// when the recipe was off. `None` when there is no such recipe or version.
    async fn activate(
        &self,
        recipe: RecipeId,
        version: Option<i32>,
        params: &Json,
        now: Timestamp,
    ) -> Result<Option<RecipeRow>, StoreError>;

    /// Switches a version on, as [`Store::activate`] does, if [`Store::catalogue_revision`] still is what
    /// it was when the caller looked at the other recipes: what was true of them then is true now.
    async fn activate_unless_moved(
        &self,
        recipe: RecipeId,
        version: i32,
        params: &Json,
        catalogue: i64,
        now: Timestamp,
    ) -> Result<Activated, StoreError>;

    /// All recipes that are switched on, with their texts.
    async fn active_recipes(&self) -> Result<Vec<ActiveRecipe>, StoreError>;

    /// A number that changes whenever recipes or connections change.
    async fn catalogue_revision(&self) -> Result<i64, StoreError>;

    /// Moves the cursors of schedules forward, all in one transaction; none moves back.
    async fn advance_schedules(&self, to: &[(RecipeId, Timestamp)]) -> Result<(), StoreError>;

    /// Writes a new connection.
    async fn create_connection(&self, row: ConnectionRow) -> Result<Put, StoreError>;

    /// Replaces a connection's settings; `row.revision` is the revision it was read with.
    async fn update_connection(&self, row: ConnectionRow) -> Result<Put, StoreError>;

    /// Removes a connection. False when there is none.
    async fn delete_connection(&self, id: ConnectionId) -> Result<bool, StoreError>;

    /// Keeps an API key. A key with the same hash stays as it is.
    async fn create_key(&self, key: &KeyRow) -> Result<(), StoreError>;

    /// The key with that hash.
    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError>;

    /// Keeps a one-time sign-in.
    async fn create_signin(&self, signin: &SessionRow) -> Result<(), StoreError>;

    /// Spends a one-time sign-in and keeps the session it opens. False when it is unknown, spent or
    /// over.
    async fn spend_signin(&self, signin: &[u8; 32], session: &SessionRow, now: Timestamp) -> Result<bool, StoreError>;

    /// The session with that hash, unless it is over.
    async fn session_by_hash(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<SessionRow>, StoreError>;

    /// Ends a session.
    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError>;

    /// Writes a setting only if it is not there yet, and returns what is there then.
    async fn setting(&self, name: &str, initial: &str) -> Result<String, StoreError>;

    /// Keeps requests that started no run, and removes the oldest of their addresses and of all that are
    /// over the bounds. Returns how many were removed. The same request twice changes nothing.
    async fn keep_inbound(&self, rows: &[InboundRow], bounds: &InboundBounds) -> Result<u64, StoreError>;

    /// Remembers which recipe a kept request was given to and what became of it. False when it is gone.
    async fn assign_inbound(&self, id: InboundId, recipe: RecipeId, run: Option<RunId>) -> Result<bool, StoreError>;

    /// Removes a kept request. False when there is none.
    async fn delete_inbound(&self, id: InboundId) -> Result<bool, StoreError>;

    /// Removes kept requests, sessions and sign-ins that ended before `now`, at most `limit` of each.
    async fn prune(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Waits until another process says that there may be work, or forever where there is none.
    /// A lost notice costs latency, not correctness: whoever waits also polls.
    async fn wait_for_notice(&self);

    /// Closes the database in good order.
    async fn close(&self);
}

/// What screens and the API read.
#[async_trait]
pub trait Pages: Send + Sync + 'static {
    /// Answers a trivial question, to see that the database does.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Runs, newest first.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError>;

    /// Causes of open dead letters, those with the most first.
    async fn causes(&self, recipe: Option<RecipeId>, limit: u32) -> Result<Vec<Cause>, StoreError>;

    /// When the open dead letters of these causes failed, one answer for each in the same order. `now` is by
    /// the clock that ends of runs are written with; what ended after it counts to the last hour.
    async fn cause_hours(&self, causes: &[(Fingerprint, RecipeId)], now: Timestamp) -> Result<Vec<CauseHours>, StoreError>;

    /// How many open dead letters a filter takes, counted up to `filter.limit`.
    async fn count_dead_letters(&self, filter: &RunFilter) -> Result<u32, StoreError>;

    /// Operations, newest first: those before the operation `before`, at most `limit`.
    async fn operations(&self, before: Option<OperationId>, limit: u32) -> Result<Vec<Operation>, StoreError>;

    /// One operation.
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError>;

    /// Runs of an operation, lowest id first: those after the run `after`, at most `limit`, in any state
    /// or in one.
    async fn operation_items(
        &self,
        operation: OperationId,
        state: Option<ItemState>,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<OperationItem>, StoreError>;

    /// One run.
    async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError>;

    /// The chunks of a run's journal from number `from` on, oldest first, at most `limit`.
    async fn chunks(&self, id: RunId, from: i32, limit: u32) -> Result<Vec<(i32, Vec<u8>)>, StoreError>;

    /// The number the next chunk of a run's journal gets.
    async fn next_seq(&self, id: RunId) -> Result<i32, StoreError>;

    /// Where a run stands in its lane; `None` when it is in none, or over.
    async fn lane_place(&self, id: RunId) -> Result<Option<LanePlace>, StoreError>;

    /// How many runs there are by status, among those accepted at or after `since`.
    async fn run_counts(&self, recipe: Option<RecipeId>, since: Timestamp) -> Result<Vec<(RunStatus, i64)>, StoreError>;

    /// All recipes, by slug.
    async fn recipes(&self) -> Result<Vec<RecipeRow>, StoreError>;

    /// One recipe.
    async fn recipe(&self, slug: &str) -> Result<Option<RecipeRow>, StoreError>;

    /// One recipe by id.
    async fn recipe_by_id(&self, id: RecipeId) -> Result<Option<RecipeRow>, StoreError>;

    /// One version.
    async fn version(&self, recipe: RecipeId, version: i32) -> Result<Option<RecipeVersion>, StoreError>;

    /// All versions of a recipe, newest first, without their texts.
    async fn versions(&self, recipe: RecipeId) -> Result<Vec<RecipeVersion>, StoreError>;

    /// What each recipe did since.
    async fn recipe_stats(&self, since: Timestamp) -> Result<Vec<(RecipeId, RecipeStats)>, StoreError>;

    /// The recipe with that unguessable part of its webhook address, switched on or off.
    async fn recipe_by_hook(&self, token: &str) -> Result<Option<RecipeRow>, StoreError>;

    /// Kept requests, newest first, without their bodies.
    async fn inbound(&self, filter: &InboundFilter) -> Result<Vec<InboundRow>, StoreError>;

    /// One kept request with its body.
    async fn inbound_by_id(&self, id: InboundId) -> Result<Option<InboundRow>, StoreError>;

    /// All connections, by name.
    async fn connections(&self) -> Result<Vec<ConnectionRow>, StoreError>;

    /// Questions to people, newest first: open ones of runs that are not over, or decided ones. Only
    /// those before the question `before`, at most `limit`.
    async fn approvals(&self, open: bool, before: Option<ApprovalId>, limit: u32) -> Result<Vec<Approval>, StoreError>;

    /// One question.
    async fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError>;

    /// What a recipe keeps between its runs.
    async fn recipe_state(&self, recipe: RecipeId) -> Result<Map<String, Json>, StoreError>;

    /// One connection by name.
    async fn connection(&self, name: &str) -> Result<Option<ConnectionRow>, StoreError>;
}
