//! A store that fails when told to: before a write reaches the database, or after it is durable.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json};

use crate::{Accepted, NewPoll, NewRun, PollDone, PollRow, Polls, ReplayedLetter};
use crate::{Activated, BlobId, BlobRow, BlobTotals, Blobs, UploadId};
use crate::{
    ActiveRecipe, Answer, Answered, Approval, ApprovalId, Batch, BatchOutcome, Beside, Care, Cause, CauseHours, Claim,
    ConnectionId, ConnectionRow, DeadLetter, Fingerprint, Forgotten, InboundBounds, InboundFilter, InboundId, InboundRow,
    ItemOutcome, ItemState, KeyPlace, KeyRow, LanePlace, NewVersion, Operation, OperationChange, OperationId, OperationItem,
    Pages, Purge, Purged, Put, Reaped, RecipeId, RecipeRow, RecipeStats, RecipeVersion, Room, RunFilter, RunId, RunRow,
    RunStatus, Saved, Selection, SessionRow, Sorted, Store, StoreError, Swept, Timestamp, Unsorted, WorkerId,
};
use crate::{AlarmRow, Alarms, Delivered, NoticeId, NoticeRow, Raised};
use crate::{AuditId, AuditRow, BudgetAsk, BudgetLease, BudgetRow, GateRow, Gates, Schema, Standing, Told, WaitingFor, Watch};
use crate::{BegunSignIn, ConnectionState, SignInRefused, SignIns, TokenRow, Turn, TurnAsk};
use crate::{DataKeyId, DataKeyRow, DataKeys, Rewrap, Sealed, SealedAt};
use crate::{Forgets, Forgettable, Forgetting, Keeps};
use crate::{ShapeRow, Shapes};

/// What happens to one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing bad.
    None,
    /// The database is not reached.
    Before,
    /// The write is durable, but its answer is lost.
    After,
}

/// What stands between one process and its store.
#[async_trait]
pub trait Guard: Send + Sync + 'static {
    /// Before the verb reaches the store. May fail, take its time, or never come back: the process is dead.
    async fn before(&self, verb: &'static str) -> Result<(), StoreError>;

    /// After the verb was carried out, before the process is told.
    async fn after(&self, verb: &'static str) -> Result<(), StoreError>;
}

/// A store that does what its script says with writes, and everything else as the store inside.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    guard: Option<Arc<dyn Guard>>,
    script: Mutex<VecDeque<Fault>>,
    refused: Mutex<HashSet<RunId>>,
    writes: Mutex<Vec<usize>>,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyStore").field("script", &self.script).finish_non_exhaustive()
    }
}

impl FaultyStore {
    /// Writes go as the script says, and well once it is over.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, script: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            inner,
            guard: None,
            script: Mutex::new(script.into_iter().collect()),
            refused: Mutex::default(),
            writes: Mutex::default(),
        }
    }

    /// A store that every verb reaches through a guard.
    #[must_use]
    pub fn guarded(inner: Arc<dyn Store>, guard: Arc<dyn Guard>) -> Self {
        Self { guard: Some(guard), ..Self::new(inner, []) }
    }

    async fn before(&self, verb: &'static str) -> Result<(), StoreError> {
        match &self.guard {
            Some(guard) => guard.before(verb).await,
            None => Ok(()),
        }
    }

    async fn after(&self, verb: &'static str) -> Result<(), StoreError> {
        match &self.guard {
            Some(guard) => guard.after(verb).await,
            None => Ok(()),
        }
    }

    /// A write that contains this run is refused as a whole, as if the database could not take it.
    pub fn refuse(&self, run: RunId) {
        self.refused.lock().insert(run);
    }

    /// How many transitions each write so far had.
    pub fn writes(&self) -> Vec<usize> {
        self.writes.lock().clone()
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the script says so".to_owned())
}

/// The verbs a trait has beside those written here go to the store inside.
macro_rules! pass_on {
    ($trait:ident { $($own:tt)* } $($verb:ident($($name:ident: $kind:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl $trait for FaultyStore {
            $($own)*
            $(
                async fn $verb(&self $(, $name: $kind)*) -> $answer {
                    self.before(stringify!($verb)).await?;
                    let answer = self.inner.$verb($($name),*).await?;
                    self.after(stringify!($verb)).await?;
                    Ok(answer)
                }
            )+
        }
    };
}

type Reply<T> = Result<T, StoreError>;

pass_on! {
    Store {
        async fn write(&self, batch: &Batch) -> Reply<BatchOutcome> {
            self.writes.lock().push(batch.accepts.len() + batch.commits.len());
            let runs = batch.accepts.iter().map(|run| run.id).chain(batch.commits.iter().map(|commit| commit.run));
            if self.refused.lock().intersection(&runs.collect()).next().is_some() {
                return Err(StoreError::Internal("this group has something in it that cannot be written".to_owned()));
            }
            self.before("write").await?;
            let fault = self.script.lock().pop_front().unwrap_or(Fault::None);
            let outcome = match fault {
                Fault::None => self.inner.write(batch).await,
                Fault::Before => Err(away()),
                Fault::After => self.inner.write(batch).await.and(Err(away())),
            }?;
            self.after("write").await?;
            Ok(outcome)
        }

        async fn wait_for_notice(&self) {
            self.inner.wait_for_notice().await;
        }

        async fn close(&self) {
            self.inner.close().await;
        }
    }
    claim(worker: WorkerId, now: Timestamp, limit: u32) -> Reply<Vec<Claim>>;
    claim_others(worker: WorkerId, now: Timestamp, limit: u32, busy: &[RecipeId]) -> Reply<Vec<Claim>>;
    next_due() -> Reply<Option<Timestamp>>;
    backlog(now: Timestamp, at_most: u32) -> Reply<u32>;
    register_worker(name: &str, now: Timestamp, lease_until: Timestamp) -> Reply<WorkerId>;
    renew_worker(worker: WorkerId, lease_until: Timestamp) -> Reply<bool>;
    reap_workers(now: Timestamp) -> Reply<Reaped>;
    untaken_answers(run: RunId) -> Reply<Vec<Answer>>;
    called_by(run: RunId) -> Reply<Vec<RunId>>;
    owned_runs(worker: WorkerId, limit: u32) -> Reply<Vec<RunId>>;
    free_runs(worker: WorkerId, runs: &[RunId], now: Timestamp) -> Reply<u64>;
    release_worker(worker: WorkerId, now: Timestamp) -> Reply<u64>;
    resume(run: RunId, version: Option<i32>, seq: i32, chunk: &[u8], now: Timestamp) -> Reply<bool>;
    cancel(run: RunId, chunk: &[u8], beside: &[Beside], now: Timestamp) -> Reply<bool>;
    settle_dead_letter(run: RunId, state: DeadLetter, seq: i32, chunk: &[u8]) -> Reply<bool>;
    replay(new: &Arc<NewRun>, letter: &ReplayedLetter) -> Reply<Option<Accepted>>;
    unsorted_failures(limit: u32) -> Reply<Vec<Unsorted>>;
    sort_failures(sorted: &[Sorted]) -> Reply<()>;
    create_operation(operation: &Operation, selection: &Selection) -> Reply<Option<Operation>>;
    take_operation(owner: WorkerId, now: Timestamp, lease_until: Timestamp) -> Reply<Option<Operation>>;
    begin_items(operation: OperationId, limit: u32) -> Reply<Vec<OperationItem>>;
    finish_items(operation: OperationId, owner: WorkerId, outcomes: &[ItemOutcome], next_at: Timestamp, now: Timestamp) -> Reply<Option<Operation>>;
    change_operation(operation: OperationId, change: &OperationChange, now: Timestamp) -> Reply<bool>;
    save_version(version: NewVersion) -> Reply<Saved>;
    activate(recipe: RecipeId, version: Option<i32>, params: &Json, now: Timestamp) -> Reply<Option<RecipeRow>>;
    activate_unless_moved(recipe: RecipeId, version: i32, params: &Json, catalogue: i64, now: Timestamp) -> Reply<Activated>;
    active_recipes() -> Reply<Vec<ActiveRecipe>>;
    catalogue_revision() -> Reply<i64>;
    advance_schedules(to: &[(RecipeId, Timestamp)]) -> Reply<()>;
    create_connection(row: ConnectionRow) -> Reply<Put>;
    update_connection(row: ConnectionRow) -> Reply<Put>;
    delete_connection(id: ConnectionId) -> Reply<bool>;
    create_key(key: &KeyRow) -> Reply<()>;
    key_by_hash(hash: &[u8; 32]) -> Reply<Option<KeyRow>>;
    create_signin(signin: &SessionRow) -> Reply<()>;
    spend_signin(signin: &[u8; 32], session: &SessionRow, now: Timestamp) -> Reply<bool>;
    session_by_hash(hash: &[u8; 32], now: Timestamp) -> Reply<Option<SessionRow>>;
    end_session(hash: &[u8; 32]) -> Reply<()>;
    setting(name: &str, initial: &str) -> Reply<String>;
    keep_inbound(rows: &[InboundRow], bounds: &InboundBounds) -> Reply<u64>;
    assign_inbound(id: InboundId, recipe: RecipeId, run: Option<RunId>) -> Reply<bool>;
    delete_inbound(id: InboundId) -> Reply<bool>;
    prune(now: Timestamp, limit: u32) -> Reply<u64>;
    answer(run: RunId, answer: &Answer) -> Reply<Answered>;
    decide(approval: ApprovalId, answer: &Answer) -> Reply<Answered>;
}

pass_on! {
    Pages {}
    ping() -> Reply<()>;
    runs(filter: &RunFilter) -> Reply<Vec<RunRow>>;
    causes(recipe: Option<RecipeId>, limit: u32) -> Reply<Vec<Cause>>;
    cause_hours(causes: &[(Fingerprint, RecipeId)], now: Timestamp) -> Reply<Vec<CauseHours>>;
    count_dead_letters(filter: &RunFilter) -> Reply<u32>;
    operations(before: Option<OperationId>, limit: u32) -> Reply<Vec<Operation>>;
    operation(id: OperationId) -> Reply<Option<Operation>>;
    operation_items(operation: OperationId, state: Option<ItemState>, after: Option<RunId>, limit: u32) -> Reply<Vec<OperationItem>>;
    run(id: RunId) -> Reply<Option<RunRow>>;
    chunks(id: RunId, from: i32, limit: u32) -> Reply<Vec<(i32, Vec<u8>)>>;
    next_seq(id: RunId) -> Reply<i32>;
    lane_place(id: RunId) -> Reply<Option<LanePlace>>;
    run_counts(recipe: Option<RecipeId>, since: Timestamp) -> Reply<Vec<(RunStatus, i64)>>;
    recipes() -> Reply<Vec<RecipeRow>>;
    recipe(slug: &str) -> Reply<Option<RecipeRow>>;
    recipe_by_id(id: RecipeId) -> Reply<Option<RecipeRow>>;
    version(recipe: RecipeId, version: i32) -> Reply<Option<RecipeVersion>>;
    versions(recipe: RecipeId) -> Reply<Vec<RecipeVersion>>;
    recipe_stats(since: Timestamp) -> Reply<Vec<(RecipeId, RecipeStats)>>;
    recipe_by_hook(token: &str) -> Reply<Option<RecipeRow>>;
    inbound(filter: &InboundFilter) -> Reply<Vec<InboundRow>>;
    inbound_by_id(id: InboundId) -> Reply<Option<InboundRow>>;
    connections() -> Reply<Vec<ConnectionRow>>;
    connection(name: &str) -> Reply<Option<ConnectionRow>>;
    approvals(open: bool, before: Option<ApprovalId>, limit: u32) -> Reply<Vec<Approval>>;
    approval(id: ApprovalId) -> Reply<Option<Approval>>;
    recipe_state(recipe: RecipeId) -> Reply<Map<String, Json>>;
}

pass_on! {
    Gates {}
    shared_clock() -> Result<Option<Timestamp>, StoreError>;
    gates() -> Result<Vec<GateRow>, StoreError>;
    move_gate(row: &GateRow, audit: Option<&AuditRow>) -> Result<bool, StoreError>;
    lease_budget(ask: &BudgetAsk) -> Result<BudgetLease, StoreError>;
    pause_budget(connection: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError>;
    set_pause(connection: &str, until: Option<Timestamp>, now: Timestamp, audit: &AuditRow) -> Result<bool, StoreError>;
    pauses(now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError>;
    hear_limit(connection: &str, told: &Told) -> Result<(), StoreError>;
    told_limits() -> Result<Vec<(String, Told)>, StoreError>;
    budget(connection: &str) -> Result<Option<BudgetRow>, StoreError>;
    hasten(reason: WaitingFor, now: Timestamp, gap_us: i64) -> Result<u64, StoreError>;
    add_audit(row: &AuditRow) -> Result<(), StoreError>;
    audit(about: Option<&str>, before: Option<AuditId>, limit: u32) -> Result<Vec<AuditRow>, StoreError>;
}

pass_on! {
    SignIns {}
    token(connection: &str, place: &str) -> Reply<Option<TokenRow>>;
    take_turn(ask: &TurnAsk<'_>) -> Reply<Turn>;
    end_turn(connection: &str, place: &str, holder: &str) -> Reply<()>;
    keep_token(row: &TokenRow, holder: &str) -> Reply<bool>;
    connection_states() -> Reply<Vec<ConnectionState>>;
    need_sign_in(refused: &SignInRefused<'_>, audit: &AuditRow) -> Reply<bool>;
    try_sign_in(connection: &str, now: Timestamp, next: Timestamp) -> Reply<bool>;
    signed_in(connection: &str, now: Timestamp, audit: &AuditRow) -> Reply<bool>;
    note_use(connection: &str, at: Timestamp) -> Reply<()>;
    begin_sign_in(begun: &BegunSignIn) -> Reply<()>;
    spend_sign_in(hash: &[u8; 32], now: Timestamp) -> Reply<Option<BegunSignIn>>;
}

pass_on! {
    DataKeys {}
    data_keys() -> Reply<Vec<DataKeyRow>>;
    add_data_key(row: &DataKeyRow) -> Reply<bool>;
    remove_data_keys() -> Reply<Vec<DataKeyId>>;
    rewrap(rewrap: &Rewrap) -> Reply<bool>;
    secret(name: &str, initial: &[u8]) -> Reply<Vec<u8>>;
    sealed(after: Option<&SealedAt>, limit: u32) -> Reply<Vec<Sealed>>;
    sealed_at(at: &SealedAt) -> Reply<Option<Vec<u8>>>;
    reseal(known: &Sealed, anew: &[u8]) -> Reply<bool>;
}

pass_on! {
    Alarms {}
    alarms() -> Result<Vec<AlarmRow>, StoreError>;
    set_alarm(row: &AlarmRow) -> Result<bool, StoreError>;
    remove_alarm(name: &str) -> Result<bool, StoreError>;
    raise(notice: &NoticeRow, quiet_since: Timestamp) -> Result<Raised, StoreError>;
    take_notice(now: Timestamp, lease_until: Timestamp) -> Result<Option<NoticeRow>, StoreError>;
    notice_delivered(id: NoticeId, delivered: &Delivered) -> Result<bool, StoreError>;
    notices(alarm: Option<&str>, before: Option<NoticeId>, limit: u32) -> Result<Vec<NoticeRow>, StoreError>;
    prune_notices(before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

pass_on! {
    Polls {}
    open_polls(polls: &[NewPoll], now: Timestamp) -> Result<(), StoreError>;
    take_polls(worker: WorkerId, now: Timestamp, lease_until: Timestamp, limit: u32) -> Result<Vec<PollRow>, StoreError>;
    finish_poll(done: &PollDone) -> Result<Option<Vec<Accepted>>, StoreError>;
    move_poll(recipe: RecipeId, since: Timestamp, now: Timestamp) -> Result<bool, StoreError>;
    hasten_poll(recipe: RecipeId, now: Timestamp) -> Result<bool, StoreError>;
    next_poll() -> Result<Option<Timestamp>, StoreError>;
    polls(after: Option<RecipeId>, limit: u32) -> Result<Vec<PollRow>, StoreError>;
    poll(recipe: RecipeId) -> Result<Option<PollRow>, StoreError>;
}

pass_on! {
    Shapes {}
    keep_shape(row: &ShapeRow, rows_max: u32) -> Result<(), StoreError>;
    shape(connection: ConnectionId, object: &str) -> Result<Option<ShapeRow>, StoreError>;
}

pass_on! {
    Watch {}
    standing(now: Timestamp) -> Result<Standing, StoreError>;
    schema() -> Result<Schema, StoreError>;
}

pass_on! {
    Care {}
    purge(purge: &Purge) -> Reply<Purged>;
    forget_keys(after: Option<KeyPlace>, now: Timestamp, limit: u32) -> Reply<Forgotten>;
    sweep(operations_before: Timestamp, audit_before: Timestamp, limit: u32) -> Reply<Swept>;
    tidy(log_bytes_max: Option<u64>) -> Reply<Room>;
    run_ids(after: Option<RunId>, limit: u32) -> Reply<Vec<RunId>>;
    journal_ids(after: Option<RunId>, limit: u32) -> Reply<Vec<RunId>>;
    referred_blobs(after: Option<BlobId>, limit: u32) -> Reply<Vec<BlobId>>;
    referring_runs(blob: BlobId, limit: u32) -> Reply<Vec<RunId>>;
    faults() -> Reply<Vec<String>>;
}

pass_on! {
    Blobs {}
    write_part(upload: UploadId, seq: i32, bytes: &[u8]) -> Reply<()>;
    keep_blob(upload: UploadId, blob: &BlobRow) -> Reply<()>;
    drop_upload(upload: UploadId) -> Reply<()>;
    touch_blob(id: BlobId, now: Timestamp) -> Reply<bool>;
    blob(id: BlobId) -> Reply<Option<BlobRow>>;
    read_part(id: BlobId, seq: i32) -> Reply<Option<Vec<u8>>>;
    refer_blobs(run: RunId, blobs: &[BlobId]) -> Reply<()>;
    refers(run: RunId, blob: BlobId) -> Reply<bool>;
    blob_totals() -> Reply<BlobTotals>;
    drop_unreferenced_blobs(before: Timestamp, limit: u32) -> Reply<u64>;
}

pass_on! {
    Forgets {}
    forgettable(after: Option<RunId>, ended_before: Timestamp) -> Reply<Forgettable>;
    forget(wish: &Forgetting) -> Reply<bool>;
    keeps(run: RunId) -> Reply<Option<(Keeps, Option<Timestamp>)>>;
    begin_anew(recipe: RecipeId, now: Timestamp) -> Reply<()>;
    wipe() -> Reply<bool>;
}
