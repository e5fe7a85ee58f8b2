//! What people do to many dead letters at once: bit by bit, by any process, each run once.
//!
//! An operation and the runs it takes are rows of the store. A process takes a batch under a lease, marks
//! it begun, deals with each run, and keeps what became of it. When it dies in between, the next one
//! finds the runs begun and looks: what was done shows in the run itself, since a replay is accepted in
//! the commit that settles the run it repeats.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use serde_json::Value as Json;
use store::{
    DeadLetter, ItemOutcome, ItemState, Operation, OperationChange, OperationId, OperationItem, OperationKind, OperationOptions,
    OperationState, RunId, RunRow, RunStatus, Selection, StoreError, Timestamp,
};

use crate::{
    Engine, IntakeError,
    control::{ControlError, Doubtful, Replay},
    resume::{Resumption, Said},
};

/// Runs dealt with between two looks at the operation.
const BATCH_MAX: u32 = 32;
/// Runs of a batch dealt with at the same time.
const AT_ONCE_MAX: usize = 8;
/// How soon the first runs of a careful operation are looked at again, and how late at most: they may
/// wait for days.
const WATCH_MIN: Duration = Duration::from_millis(500);
const WATCH_MAX: Duration = Duration::from_secs(30);
/// How long an operation waits when the database is away or too much is waiting already.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// How often operations of other processes are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same, where there are no other processes.
const LOOK_ALONE_EVERY: Duration = Duration::from_secs(60);

const SEVERAL_DOUBTS: &str =
    "Several steps of this run may have happened, and each returned something of its own. Say so for each, on the run itself.";

/// What a person wants done to many dead letters.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// What.
    pub kind: OperationKind,
    /// To which.
    pub selection: Selection,
    /// The same as people wrote it.
    pub asked: Json,
    /// How.
    pub options: OperationOptions,
    /// So many go first and must end well before the rest goes; 0 for all at once.
    pub first: u32,
    /// Who wants it.
    pub by: String,
}

impl Engine {
    /// Keeps an operation and begins with it. `None` when it would take too many runs.
    ///
    /// # Errors
    /// When the store does not answer; nothing was kept then, or the answer was lost.
    pub async fn begin_operation(&self, new: NewOperation) -> Result<Option<Operation>, StoreError> {
        // A cause is only complete when every dead letter has its own.
        self.sort_letters().await?;
        let now = self.now();
        let operation = Operation {
            id: OperationId::new(now, self.random()),
            kind: new.kind,
            state: OperationState::Running,
            selection: new.asked,
            options: new.options,
            first: i32::try_from(new.first).unwrap_or(i32::MAX),
            total: 0,
            done: 0,
            failed: 0,
            note: None,
            by: new.by,
            at: now,
            ended_at: None,
            next_at: now,
        };
        let made = self.store.create_operation(&operation, &new.selection).await?;
        self.letters.operations.notify_one();
        Ok(made)
    }

    /// Pauses an operation, goes on with it or ends it; what is under way at this moment is finished.
    /// False when it is not in a state that allows it, or there is none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn change_operation(&self, id: OperationId, change: OperationChange) -> Result<bool, StoreError> {
        let changed = self.store.change_operation(id, &change, self.now()).await?;
        self.letters.operations.notify_one();
        Ok(changed)
    }

    /// Deals with one batch of one operation that is due. When its next one is due; `None` when nothing
    /// was due.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn advance_operation(self: &Arc<Self>) -> Result<Option<Timestamp>, StoreError> {
        let now = self.now();
        let lease_until = now.after(self.settings.lease);
        let Some(operation) = self.store.take_operation(self.worker(), now, lease_until).await? else { return Ok(None) };
        let owner = self.worker();
        let (outcomes, next_at) = match self.turn(&operation).await {
            Ok(turn) => turn,
            // It must not stand in the way of the others.
            Err(error) => {
                let later = self.now().after(WATCH_MAX);
                self.store.finish_items(operation.id, owner, &[], later, self.now()).await?;
                return Err(error);
            }
        };
        for one in &outcomes {
            let outcome = if one.outcome.is_ok() { "done" } else { "failed" };
            metrics::counter!("liaison_operation_runs_total", "kind" => operation.kind.as_str(), "outcome" => outcome)
                .increment(1);
        }
        self.store.finish_items(operation.id, owner, &outcomes, next_at, self.now()).await?;
        Ok(Some(next_at))
    }

    async fn turn(self: &Arc<Self>, operation: &Operation) -> Result<(Vec<ItemOutcome>, Timestamp), StoreError> {
        if operation.state == OperationState::Stopped {
            return Ok((self.settle_begun(operation).await?, self.now()));
        }
        let handled = operation.done + operation.failed;
        let first = u32::try_from(operation.first - handled).unwrap_or(0);
        if operation.first > 0 && first == 0 && handled < operation.total {
            return Ok((Vec::new(), self.watch(operation).await?));
        }
        // What people repeat must not turn new events away.
        if self.backlog() >= self.settings.backlog_max / 2 {
            return Ok((Vec::new(), self.now().after(BUSY_PAUSE)));
        }
        let rate = operation.options.rate.unwrap_or(BATCH_MAX).max(1);
        let limit = BATCH_MAX.min(rate).min(if operation.first > 0 { first.max(1) } else { BATCH_MAX });
        let items = self.store.begin_items(operation.id, limit).await?;
        // Boxed here: the compiler cannot see that a borrowing closure inside a stream may be sent.
        let deals: Vec<_> = items.iter().map(|item| self.deal_with(operation, item).boxed()).collect();
        let outcomes: Vec<Option<ItemOutcome>> = stream::iter(deals).buffer_unordered(AT_ONCE_MAX).collect().await;
        let begun = u32::try_from(items.len()).unwrap_or(limit);
        let pause = match operation.options.rate {
            _ if outcomes.iter().any(Option::is_none) => BUSY_PAUSE,
            Some(rate) => Duration::from_secs(1) * begun / rate.max(1),
            None => Duration::ZERO,
        };
        Ok((outcomes.into_iter().flatten().collect(), self.now().after(pause)))
    }

    /// Of an operation that was stopped: what became of the runs somebody began with and never told of. Those that were
    /// not dealt with are left alone.
    async fn settle_begun(&self, operation: &Operation) -> Result<Vec<ItemOutcome>, StoreError> {
        let mut outcomes = Vec::new();
        for item in self.store.operation_items(operation.id, Some(ItemState::Begun), None, BATCH_MAX).await? {
            let outcome = match self.find(item.run).await {
                Ok(row) if moved_on(&row, &item).is_some() => self.done_before(operation.kind, &row).await,
                Ok(_) => Err(ControlError::NotNow("The operation was stopped before it dealt with this run.".to_owned())),
                Err(error) => Err(error),
            };
            match outcome {
                Err(ControlError::Store(error)) => return Err(error),
                outcome => outcomes.push(ItemOutcome { run: item.run, outcome: outcome.map_err(|error| sentence(&error)) }),
            }
        }
        Ok(outcomes)
    }

    /// Looks how the first runs went: the rest goes when all ended well, and is left alone when one did not.
    async fn watch(&self, operation: &Operation) -> Result<Timestamp, StoreError> {
        let count = u32::try_from(operation.first).unwrap_or(1);
        let mut well = true;
        for item in self.store.operation_items(operation.id, None, None, count).await? {
            let run = item.result.unwrap_or(item.run);
            let row = self.store.run(run).await?;
            let trouble = match (&item.message, &row) {
                (Some(message), _) => Some(message.clone()),
                (None, None) => Some(format!("run {run} is gone")),
                (None, Some(row)) => {
                    well &= row.status == RunStatus::Succeeded;
                    ended_badly(row)
                }
            };
            if let Some(trouble) = trouble {
                let left = operation.total - operation.done - operation.failed;
                let stop = if trouble.ends_with(['.', '!', '?']) { "" } else { "." };
                let note = format!("The first one did not end well: {trouble}{stop} The other {left} were left alone.");
                self.store.change_operation(operation.id, &OperationChange::Stop(Some(note)), self.now()).await?;
                return Ok(self.now());
            }
        }
        if well {
            self.store.change_operation(operation.id, &OperationChange::Release, self.now()).await?;
            return Ok(self.now());
        }
        let now = self.now();
        Ok(now.after((now.since(operation.at) / 10).clamp(WATCH_MIN, WATCH_MAX)))
    }

    /// One run of an operation. `None` when it could not be tried now; its turn comes again.
    async fn deal_with(self: &Arc<Self>, operation: &Operation, item: &OperationItem) -> Option<ItemOutcome> {
        match self.deal(operation, item).await {
            Ok(result) => Some(ItemOutcome { run: item.run, outcome: Ok(result) }),
            Err(
                error @ (ControlError::Store(StoreError::Unavailable(_))
                | ControlError::Intake(
                    IntakeError::Busy { .. } | IntakeError::Stopping | IntakeError::Store(StoreError::Unavailable(_)),
                )),
            ) => {
                tracing::info!(operation.id = %operation.id, run.id = %item.run, %error, "operation.wait");
                None
            }
            Err(error) => Some(ItemOutcome { run: item.run, outcome: Err(sentence(&error)) }),
        }
    }

    async fn deal(self: &Arc<Self>, operation: &Operation, item: &OperationItem) -> Result<Option<RunId>, ControlError> {
        let row = self.find(item.run).await?;
        if let Some(refusal) = moved_on(&row, item) {
            // Whoever began it died before they could say so; the run tells.
            if item.state == ItemState::Begun {
                return self.done_before(operation.kind, &row).await;
            }
            return Err(ControlError::NotNow(refusal));
        }
        match operation.kind {
            OperationKind::Discard => {
                let reason = operation.options.reason.as_deref().unwrap_or_default();
                self.discard(item.run, reason, &operation.by).await?;
                Ok(None)
            }
            OperationKind::Resume => {
                let said = match operation.options.uncertain.as_deref() {
                    Some("happened") => {
                        if self.doubts(item.run).await?.len() > 1 {
                            return Err(ControlError::NotNow(SEVERAL_DOUBTS.to_owned()));
                        }
                        Said::All(Doubtful::Happened(operation.options.output.clone().unwrap_or_default()))
                    }
                    Some(_) => Said::All(Doubtful::Repeat),
                    None => Said::Nothing,
                };
                let active_version = operation.options.active_version;
                let wish = Resumption { active_version, said, failed_at: item.failed_at };
                self.resume_with(item.run, &wish, &operation.by).await?;
                Ok(None)
            }
            OperationKind::Replay => {
                let event = match &operation.options.patch {
                    None => None,
                    Some(patch) => {
                        let mut event = Json::clone(&*self.event(item.run).await?);
                        merge(&mut event, patch);
                        Some(event)
                    }
                };
                let wish = Replay { event, failed_at: item.failed_at, ..Replay::default() };
                Ok(Some(self.replay_with(item.run, wish).await?.run))
            }
        }
    }

    /// What became of a run that was begun and has moved on since.
    async fn done_before(&self, kind: OperationKind, row: &RunRow) -> Result<Option<RunId>, ControlError> {
        let wanted = match kind {
            OperationKind::Discard => row.dead_letter == Some(DeadLetter::Discarded),
            OperationKind::Replay => row.dead_letter == Some(DeadLetter::Replayed),
            OperationKind::Resume => row.dead_letter.is_none() || row.dead_letter == Some(DeadLetter::Open),
        };
        if !wanted {
            return Err(ControlError::NotNow("Somebody else dealt with this run meanwhile.".to_owned()));
        }
        if kind == OperationKind::Replay { Ok(self.replayed_as(row.id).await?) } else { Ok(None) }
    }
}

/// Puts a JSON merge patch (RFC 7396) on a value: fields of a record are set one by one, and null removes one.
fn merge(value: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Json::Object(serde_json::Map::new());
    }
    let Json::Object(fields) = value else { return };
    for (name, part) in patch {
        if part.is_null() {
            fields.shift_remove(name);
        } else {
            merge(fields.entry(name).or_insert(Json::Null), part);
        }
    }
}

/// Goes on with operations, as long as this process lives.
pub(crate) async fn keep_going(engine: Arc<Engine>) {
    let idle = if engine.settings.shared_store { LOOK_EVERY } else { LOOK_ALONE_EVERY };
    let mut due: Option<Timestamp> = None;
    while !engine.is_stopping() {
        let pause = match engine.advance_operation().await {
            Ok(Some(next_at)) => {
                due = Some(due.filter(|due| *due > engine.now()).map_or(next_at, |due| due.min(next_at)));
                continue;
            }
            Ok(None) => due.take().map_or(idle, |due| due.since(engine.now()).max(Duration::from_millis(10))),
            Err(error) => {
                tracing::warn!(%error, "operation.advance: the store did not answer");
                BUSY_PAUSE
            }
        };
        tokio::select! {
            biased;
            () = engine.letters.operations.notified() => {}
            () = tokio::time::sleep(pause.min(idle)) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}

/// Why a run is not the open dead letter it was when it was chosen.
fn moved_on(row: &RunRow, item: &OperationItem) -> Option<String> {
    let open = row.status == RunStatus::Failed && row.dead_letter == Some(DeadLetter::Open);
    if open && row.ended_at == item.failed_at {
        return None;
    }
    Some(match row.dead_letter {
        Some(DeadLetter::Replayed) => "This run was already replayed.".to_owned(),
        Some(DeadLetter::Discarded) => "This run was already discarded.".to_owned(),
        Some(DeadLetter::Open) => "This run went on and failed again meanwhile.".to_owned(),
        None => format!("This run is no dead letter; it is {}.", row.status.as_str()),
    })
}

/// What a person reads when one of the first runs did not end well.
fn ended_badly(row: &RunRow) -> Option<String> {
    match row.status {
        RunStatus::Failed => {
            Some(row.error.as_ref().map_or_else(|| format!("run {} failed.", row.id), |error| error.message.clone()))
        }
        RunStatus::Cancelled => Some(format!("run {} was cancelled.", row.id)),
        _ => None,
    }
}

/// A refusal as people read it.
fn sentence(error: &ControlError) -> String {
    match error {
        ControlError::NotFound(run) => format!("There is no run {run}."),
        ControlError::SayFirst { path } => {
            format!("Step {path} may have happened. Say whether it did, for this run or for all of them.")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::merge;

    fn check(mut value: Value, patch: &Value, patched: &Value) {
        merge(&mut value, patch);
        assert_eq!(value, *patched, "patched with {patch}");
    }

    #[test]
    fn a_patch_does_what_its_rfc_says() {
        check(json!({ "a": "b" }), &json!({ "a": "c" }), &json!({ "a": "c" }));
        check(json!({ "a": "b" }), &json!({ "b": "c" }), &json!({ "a": "b", "b": "c" }));
        check(json!({ "a": "b", "b": "c" }), &json!({ "a": null }), &json!({ "b": "c" }));
        check(json!({ "a": ["b"] }), &json!({ "a": "c" }), &json!({ "a": "c" }));
        check(json!({ "a": "c" }), &json!({ "a": ["b"] }), &json!({ "a": ["b"] }));
        check(json!({ "a": { "b": "c" } }), &json!({ "a": { "b": "d", "c": null } }), &json!({ "a": { "b": "d" } }));
        check(json!({ "a": [{ "b": "c" }] }), &json!({ "a": [1] }), &json!({ "a": [1] }));
        check(json!({ "e": null }), &json!({ "a": 1 }), &json!({ "e": null, "a": 1 }));
        check(json!([1, 2]), &json!({ "a": "b", "c": null }), &json!({ "a": "b" }));
        check(json!({}), &json!({ "a": { "bb": { "ccc": null } } }), &json!({ "a": { "bb": {} } }));
    }
}
