//! A store that lives in memory: what simulations run on, held to the same suite as the real ones.
//!
//! It keeps every promise but durability, which a simulation brings about by dropping processes and
//! keeping this. Verbs that no simulation needs say so.

mod alarms;
mod blobs;
mod care;
mod data_keys;
mod forget;
mod model;
mod operations;
mod outside;
mod pages;
mod polls;
mod shapes;
mod sign_in;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value as Json;
use tokio::sync::Notify;

use crate::*;

/// The store.
#[derive(Default)]
pub struct MemoryStore {
    clock: Option<Arc<dyn Clock>>,
    model: Mutex<Model>,
    notice: Notify,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl MemoryStore {
    /// A store that processes with different clocks share.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..Self::default() }
    }
}

#[derive(Debug, Default)]
struct Model {
    runs: BTreeMap<RunId, Kept>,
    due: BTreeSet<(Timestamp, RunId)>,
    keys: HashMap<(RecipeId, [u8; 16]), Holder>,
    workers: BTreeMap<i64, Timestamp>,
    worker_last: i64,
    lanes: BTreeMap<u64, ([u8; 16], RunId)>,
    lane_last: u64,
    answers: BTreeMap<(RunId, StepPath), (Answer, bool)>,
    approvals: BTreeMap<ApprovalId, Approval>,
    state: BTreeMap<(RecipeId, String), Json>,
    recipes: BTreeMap<RecipeId, (RecipeRow, Option<Timestamp>)>,
    versions: BTreeMap<(RecipeId, i32), RecipeVersion>,
    settings: HashMap<String, String>,
    revision: i64,
    forgets: BTreeMap<RunId, (Keeps, Option<Timestamp>)>,
    blobs: blobs::Kept,
    outside: outside::Kept,
    data_keys: BTreeMap<DataKeyId, DataKeyRow>,
    secrets: BTreeMap<String, Vec<u8>>,
    polls: polls::Kept,
    operations: operations::Kept,
}

/// The run a key belongs to, until when, and the fingerprint of its event.
type Holder = (RunId, Timestamp, Option<[u8; 16]>);

/// One run with its journal.
#[derive(Debug, Clone)]
struct Kept {
    new: Arc<NewRun>,
    status: RunStatus,
    waiting_for: Option<WaitingFor>,
    due_at: Option<Timestamp>,
    owner: Option<WorkerId>,
    epoch: i64,
    attempts: i32,
    ended_at: Option<Timestamp>,
    error: Option<ErrorRecord>,
    dead_letter: Option<DeadLetter>,
    chunks: Vec<Vec<u8>>,
}

fn not_here<T>(verb: &str) -> Result<T, StoreError> {
    Err(StoreError::Internal(format!("the store in memory does not simulate {verb}")))
}

#[async_trait]
impl Store for MemoryStore {
    async fn write(&self, batch: &Batch) -> Result<BatchOutcome, StoreError> {
        let mut model = self.model.lock();
        let accepts = batch.accepts.iter().map(|new| model.accept(new)).collect();
        let commits = batch.commits.iter().map(|commit| model.commit(commit)).collect();
        self.notice.notify_one();
        Ok(BatchOutcome { accepts, commits })
    }

    async fn claim(&self, worker: WorkerId, now: Timestamp, limit: u32) -> Result<Vec<Claim>, StoreError> {
        self.claim_others(worker, now, limit, &[]).await
    }

    async fn claim_others(
        &self,
        worker: WorkerId,
        now: Timestamp,
        limit: u32,
        busy: &[RecipeId],
    ) -> Result<Vec<Claim>, StoreError> {
        let mut model = self.model.lock();
        if !model.workers.contains_key(&worker.0) {
            return Ok(Vec::new());
        }
        let other = |id: &RunId| model.runs.get(id).is_some_and(|run| !busy.contains(&run.new.recipe));
        let due = model.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id);
        let due: Vec<RunId> = due.filter(other).take(limit as usize).collect();
        let mut claims = Vec::new();
        for id in due {
            model.change(id, |run| {
                (run.status, run.waiting_for, run.due_at, run.owner) = (RunStatus::Running, None, None, Some(worker));
                run.epoch += 1;
            });
            let Some(run) = model.runs.get(&id) else { continue };
            let answers = model.untaken(id);
            claims.push(Claim {
                id,
                recipe: run.new.recipe,
                version: run.new.version,
                epoch: run.epoch,
                attempts: run.attempts,
                chunks: (0..).zip(run.chunks.iter().cloned()).take(CLAIM_CHUNKS_MAX).collect(),
                lane: run.new.lane.map(|lane| lane.key),
                parent: run.new.parent.clone(),
                answers,
            });
        }
        claims.sort_by_key(|claim| claim.id);
        Ok(claims)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.model.lock().due.first().map(|(at, _)| *at))
    }

    async fn backlog(&self, now: Timestamp, at_most: u32) -> Result<u32, StoreError> {
        let count = self.model.lock().due.iter().take_while(|(at, _)| *at <= now).take(at_most as usize).count();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn register_worker(&self, _name: &str, _now: Timestamp, lease_until: Timestamp) -> Result<WorkerId, StoreError> {
        let mut model = self.model.lock();
        model.worker_last += 1;
        let id = model.worker_last;
        model.workers.insert(id, lease_until);
        Ok(WorkerId(id))
    }

    async fn renew_worker(&self, worker: WorkerId, lease_until: Timestamp) -> Result<bool, StoreError> {
        Ok(self.model.lock().workers.get_mut(&worker.0).map(|lease| *lease = lease_until).is_some())
    }

    async fn reap_workers(&self, now: Timestamp) -> Result<Reaped, StoreError> {
        let mut model = self.model.lock();
        model.workers.retain(|_, lease| *lease >= now);
        let living: BTreeSet<i64> = model.workers.keys().copied().collect();
        let lost = model.owned_by(|owner| !living.contains(&owner.0));
        for id in &lost {
            let due = model.runs.get(id).map_or(now, |run| run.new.accepted_at.min(now));
            model.free(*id, due);
        }
        let polls = model.free_polls(|worker| living.contains(&worker.0));
        self.notice.notify_one();
        Ok(Reaped { runs: lost.len() as u64, polls, next: model.workers.values().min().copied() })
    }

    async fn untaken_answers(&self, run: RunId) -> Result<Vec<Answer>, StoreError> {
        Ok(self.model.lock().untaken(run))
    }

    async fn called_by(&self, run: RunId) -> Result<Vec<RunId>, StoreError> {
        let model = self.model.lock();
        let called = |kept: &Kept| !kept.status.is_final() && kept.new.parent.as_ref().is_some_and(|parent| parent.run == run);
        Ok(model.runs.iter().filter(|(_, kept)| called(kept)).map(|(id, _)| *id).collect())
    }

    async fn owned_runs(&self, worker: WorkerId, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let mut owned = self.model.lock().owned_by(|owner| owner == worker);
        owned.truncate(limit as usize);
        Ok(owned)
    }

    async fn free_runs(&self, worker: WorkerId, runs: &[RunId], now: Timestamp) -> Result<u64, StoreError> {
        let mut model = self.model.lock();
        let mut strays = model.owned_by(|owner| owner == worker);
        strays.retain(|id| runs.contains(id));
        for id in &strays {
            model.free(*id, now);
        }
        self.notice.notify_one();
        Ok(strays.len() as u64)
    }

    async fn release_worker(&self, worker: WorkerId, now: Timestamp) -> Result<u64, StoreError> {
        let mut model = self.model.lock();
        model.workers.remove(&worker.0);
        let lost = model.owned_by(|owner| owner == worker);
        for id in &lost {
            model.free(*id, now);
        }
        self.notice.notify_one();
        Ok(lost.len() as u64)
    }

    async fn resume(&self, run: RunId, version: Option<i32>, seq: i32, chunk: &[u8], now: Timestamp) -> Result<bool, StoreError> {
        let mut model = self.model.lock();
        if version.is_some() {
            return not_here("resuming as another version");
        }
        if model.runs.get(&run).is_none_or(|kept| kept.status != RunStatus::Failed) || !model.append(run, seq, chunk) {
            return Ok(false);
        }
        model.change(run, |kept| {
            (kept.status, kept.due_at, kept.owner, kept.ended_at) = (RunStatus::Queued, Some(now), None, None);
            (kept.dead_letter, kept.error) = (None, None);
            kept.epoch += 1;
        });
        let caller = model.runs.get(&run).and_then(|kept| kept.new.parent.clone());
        if let Some(caller) = caller
            && let Some((_, taken)) = model.answers.get_mut(&(caller.run, caller.place_of(run)))
        {
            *taken = true;
        }
        if let Some(lane) = model.runs.get(&run).and_then(|kept| kept.new.lane) {
            model.enter(run, lane);
        }
        self.notice.notify_one();
        Ok(true)
    }

    async fn cancel(&self, run: RunId, chunk: &[u8], beside: &[Beside], now: Timestamp) -> Result<bool, StoreError> {
        let mut model = self.model.lock();
        let Some(kept) = model.runs.get_mut(&run).filter(|kept| !kept.status.is_final()) else { return Ok(false) };
        kept.chunks.push(chunk.to_vec());
        model.change(run, |kept| {
            (kept.status, kept.waiting_for, kept.due_at, kept.owner) = (RunStatus::Cancelled, None, None, None);
            kept.ended_at = Some(now);
            kept.epoch += 1;
        });
        model.beside(run, beside);
        if let Some(lane) = model.runs.get(&run).and_then(|kept| kept.new.lane) {
            model.leave(run, lane.key, Some(now));
        }
        self.notice.notify_one();
        Ok(true)
    }

    async fn answer(&self, run: RunId, answer: &Answer) -> Result<Answered, StoreError> {
        let answered = self.model.lock().answer(run, answer, false);
        self.notice.notify_one();
        Ok(answered)
    }

    async fn decide(&self, approval: ApprovalId, answer: &Answer) -> Result<Answered, StoreError> {
        let mut model = self.model.lock();
        let Some(asked) = model.approvals.get(&approval).cloned() else { return Ok(Answered::Over) };
        if asked.decided_at.is_some() {
            return Ok(Answered::Already);
        }
        if asked.expires_at.is_some_and(|at| at <= answer.at) {
            return Ok(Answered::Over);
        }
        let answer = Answer { path: Arc::clone(&asked.path), ..answer.clone() };
        let answered = model.answer(asked.run, &answer, false);
        if let (Answered::Kept, Some(asked)) = (answered, model.approvals.get_mut(&approval)) {
            (asked.decided_at, asked.decision) = (Some(answer.at), Some(answer));
        }
        self.notice.notify_one();
        Ok(answered)
    }

    async fn settle_dead_letter(&self, run: RunId, state: DeadLetter, seq: i32, chunk: &[u8]) -> Result<bool, StoreError> {
        let mut model = self.model.lock();
        let open = model.runs.get(&run).is_some_and(|kept| kept.dead_letter == Some(DeadLetter::Open));
        if !open || !model.append(run, seq, chunk) {
            return Ok(false);
        }
        model.change(run, |kept| kept.dead_letter = Some(state));
        Ok(true)
    }

    async fn replay(&self, new: &Arc<NewRun>, letter: &ReplayedLetter) -> Result<Option<Accepted>, StoreError> {
        let mut model = self.model.lock();
        if let Some(known) = model.known(new) {
            return Ok(Some(known));
        }
        let open = |kept: &&mut Kept| kept.dead_letter == Some(DeadLetter::Open) && kept.ended_at == Some(letter.failed_at);
        let Some(kept) = model.runs.get_mut(&letter.run).filter(open) else { return Ok(None) };
        kept.chunks.push(letter.chunk.clone());
        kept.dead_letter = Some(DeadLetter::Replayed);
        let accepted = model.accept(new);
        self.notice.notify_one();
        Ok(Some(accepted))
    }

    async fn unsorted_failures(&self, _limit: u32) -> Result<Vec<Unsorted>, StoreError> {
        Ok(Vec::new())
    }

    async fn sort_failures(&self, _sorted: &[Sorted]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn create_operation(&self, operation: &Operation, selection: &Selection) -> Result<Option<Operation>, StoreError> {
        Ok(self.model.lock().create_operation(operation, selection))
    }

    async fn take_operation(
        &self,
        owner: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        Ok(self.model.lock().take_operation(owner, now, lease_until))
    }

    async fn begin_items(&self, operation: OperationId, limit: u32) -> Result<Vec<OperationItem>, StoreError> {
        Ok(self.model.lock().begin_items(operation, limit))
    }

    async fn finish_items(
        &self,
        operation: OperationId,
        owner: WorkerId,
        outcomes: &[ItemOutcome],
        next_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        Ok(self.model.lock().finish_items(operation, owner, outcomes, next_at, now))
    }

    async fn change_operation(
        &self,
        operation: OperationId,
        change: &OperationChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.model.lock().change_operation(operation, change, now))
    }

    async fn save_version(&self, version: NewVersion) -> Result<Saved, StoreError> {
        let mut model = self.model.lock();
        model.revision += 1;
        let known = model.recipes.values().find(|(row, _)| row.slug == version.slug).map(|(row, _)| row.clone());
        let row = match known {
            Some(row) => RecipeRow { latest_version: row.latest_version + 1, revision: row.revision + 1, ..row },
            None => RecipeRow {
                id: version.id,
                slug: version.slug.clone(),
                title: version.title.clone(),
                latest_version: 1,
                active_version: None,
                params: Json::Null,
                hook_token: version.hook_token.clone(),
                revision: 1,
                created_at: version.at,
                updated_at: version.at,
            },
        };
        let kept = RecipeVersion {
            recipe: row.id,
            version: row.latest_version,
            text: version.text,
            hash: version.hash,
            created_at: version.at,
            created_by: version.by,
        };
        model.versions.insert((row.id, row.latest_version), kept);
        model.recipes.insert(row.id, (row.clone(), None));
        Ok(if row.latest_version == 1 { Saved::Created(row) } else { Saved::Updated(row) })
    }

    async fn activate(
        &self,
        recipe: RecipeId,
        version: Option<i32>,
        params: &Json,
        now: Timestamp,
    ) -> Result<Option<RecipeRow>, StoreError> {
        Ok(self.model.lock().activate(recipe, version, params, now))
    }

    async fn activate_unless_moved(
        &self,
        recipe: RecipeId,
        version: i32,
        params: &Json,
        catalogue: i64,
        now: Timestamp,
    ) -> Result<Activated, StoreError> {
        let mut model = self.model.lock();
        if model.revision != catalogue {
            return Ok(Activated::Moved);
        }
        Ok(model.activate(recipe, Some(version), params, now).map_or(Activated::Missing, Activated::On))
    }

    async fn active_recipes(&self) -> Result<Vec<ActiveRecipe>, StoreError> {
        let model = self.model.lock();
        let active = model.recipes.values().filter_map(|(row, cursor)| {
            let text = model.versions.get(&(row.id, row.active_version?))?.text.clone();
            Some(ActiveRecipe { row: row.clone(), text, schedule_cursor: *cursor })
        });
        Ok(active.collect())
    }

    async fn catalogue_revision(&self) -> Result<i64, StoreError> {
        Ok(self.model.lock().revision)
    }

    async fn advance_schedules(&self, to: &[(RecipeId, Timestamp)]) -> Result<(), StoreError> {
        let mut model = self.model.lock();
        for (recipe, to) in to {
            if let Some((_, cursor)) = model.recipes.get_mut(recipe) {
                *cursor = Some(cursor.map_or(*to, |known| known.max(*to)));
            }
        }
        Ok(())
    }

    async fn create_connection(&self, row: ConnectionRow) -> Result<Put, StoreError> {
        let mut model = self.model.lock();
        model.check_key(&row.sealed)?;
        Ok(model.create_connection(row))
    }

    async fn update_connection(&self, row: ConnectionRow) -> Result<Put, StoreError> {
        let mut model = self.model.lock();
        model.check_key(&row.sealed)?;
        Ok(model.update_connection(row))
    }

    async fn delete_connection(&self, id: ConnectionId) -> Result<bool, StoreError> {
        Ok(self.model.lock().delete_connection(id))
    }

    async fn create_key(&self, _key: &KeyRow) -> Result<(), StoreError> {
        not_here("keys")
    }

    async fn key_by_hash(&self, _hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError> {
        not_here("keys")
    }

    async fn create_signin(&self, _signin: &SessionRow) -> Result<(), StoreError> {
        not_here("sessions")
    }

    async fn spend_signin(&self, _: &[u8; 32], _: &SessionRow, _: Timestamp) -> Result<bool, StoreError> {
        not_here("sessions")
    }

    async fn session_by_hash(&self, _hash: &[u8; 32], _now: Timestamp) -> Result<Option<SessionRow>, StoreError> {
        not_here("sessions")
    }

    async fn end_session(&self, _hash: &[u8; 32]) -> Result<(), StoreError> {
        not_here("sessions")
    }

    async fn setting(&self, name: &str, initial: &str) -> Result<String, StoreError> {
        Ok(self.model.lock().settings.entry(name.to_owned()).or_insert_with(|| initial.to_owned()).clone())
    }

    async fn keep_inbound(&self, _rows: &[InboundRow], _bounds: &InboundBounds) -> Result<u64, StoreError> {
        not_here("kept requests")
    }

    async fn assign_inbound(&self, _: InboundId, _: RecipeId, _: Option<RunId>) -> Result<bool, StoreError> {
        not_here("kept requests")
    }

    async fn delete_inbound(&self, _id: InboundId) -> Result<bool, StoreError> {
        not_here("kept requests")
    }

    async fn prune(&self, _now: Timestamp, _limit: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn wait_for_notice(&self) {
        self.notice.notified().await;
    }

    async fn close(&self) {}
}
