//! Takes events in: one event, one run, durable before the answer.
//!
//! The pure beginning of a run is computed before it is accepted, so that the event, its key, and
//! whatever the run already did become durable in one commit.

use std::{
    borrow::Cow,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use connector::ErrorClass;
use formula::Scope;
use futures_util::FutureExt;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use store::{
    Accepted, Ending, Entry, ErrorRecord, EventKey, Lane, NewRun, Parent, RecipeId, RunId, RunStatus, StoreError, Then,
    Timestamp, Via, Weights,
};

use crate::{
    Engine, LiveRecipe, ToItsEnd,
    beside::About,
    decide::{Next, RunState, decide},
    drive::LiveRun,
    frame::instant_text,
    gate::{self, Seat},
    measure,
    places::Place,
    program::Program,
    template::formula_failed,
};

/// One occurrence a trigger accepted.
#[derive(Debug, Clone)]
pub struct Event {
    /// What recipes see as `trigger`.
    pub data: Arc<Json>,
    /// What started it.
    pub via: Via,
    /// The key of the event when the recipe names none: the sender's own id, or the caller's.
    pub key: Option<Cow<'static, str>>,
    /// True when `key` wins over what the recipe says: the caller's `Idempotency-Key`.
    pub key_wins: bool,
    /// The exact bytes, to tell a repeated event from another under the same key.
    pub fingerprint: Option<[u8; 16]>,
    /// The run this one repeats.
    pub replay_of: Option<ReplayOf>,
}

/// The run a replay repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayOf {
    /// The run.
    pub run: RunId,
    /// When it failed, if it is an open dead letter: it is settled in the commit that accepts its replay.
    pub failed_at: Option<Timestamp>,
}

/// What became of an event.
#[derive(Debug, Clone)]
pub enum Intake {
    /// A run is durable.
    Accepted {
        /// The run.
        run: RunId,
        /// Where it stands already.
        status: RunStatus,
        /// Its result, when it is already over.
        output: Option<Arc<Json>>,
        /// Why it failed, when it already has.
        error: Option<Box<ErrorRecord>>,
    },
    /// The event was known.
    Duplicate {
        /// Its run.
        run: RunId,
        /// False when the content differs.
        same_content: bool,
    },
    /// The recipe's trigger does not want it.
    Filtered,
}

/// Why an event was not taken. The sender may try again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntakeError {
    /// Too much is waiting.
    #[error("too many runs are waiting")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The process is going down.
    #[error("this process is stopping")]
    Stopping,
    /// Somebody dealt with the dead letter that was to be replayed.
    #[error("the failed run was dealt with meanwhile")]
    Settled,
    /// The database does not answer.
    #[error("the event could not be kept: {0}")]
    Store(StoreError),
}

/// A caller may be resumed as long as it is kept, and must find the run it called before, not begin another.
const CALL_KEY_KEEP: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

impl Engine {
    /// Takes an event for a recipe.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing was started then, or the store's answer was lost and sending the
    /// event again under its key finds out.
    pub async fn accept(self: &Arc<Self>, recipe: &Arc<LiveRecipe>, event: Event) -> Result<Intake, IntakeError> {
        self.accept_for(recipe, event, None, None).await
    }

    /// The same for a caller whose `traceparent` the run's trace goes on from, if [`crate::trace::accepted`] took it.
    ///
    /// # Errors
    /// As [`Engine::accept`].
    pub async fn accept_traced(
        self: &Arc<Self>,
        recipe: &Arc<LiveRecipe>,
        event: Event,
        trace: Option<Arc<str>>,
    ) -> Result<Intake, IntakeError> {
        self.accept_for(recipe, event, None, trace).await
    }

    /// The same for a run that another one called.
    pub(crate) async fn accept_for(
        self: &Arc<Self>,
        recipe: &Arc<LiveRecipe>,
        event: Event,
        parent: Option<Parent>,
        trace: Option<Arc<str>>,
    ) -> Result<Intake, IntakeError> {
        if self.is_stopping() {
            return Err(IntakeError::Stopping);
        }
        if self.backlog() >= self.settings.backlog_max && !self.places.only_others_wait(recipe.row.id) {
            metrics::counter!("liaison_intake_refused_total").increment(1);
            return Err(IntakeError::Busy { retry_after: self.settings.busy_retry_after });
        }
        let Some(Beginning { mut state, broken, key, label, lane }) = self.begin(recipe, &event) else {
            metrics::counter!("liaison_events_filtered_total", "recipe" => measure::recipe(&recipe.program.slug)).increment(1);
            return Ok(Intake::Filtered);
        };
        state.set_trace(trace);
        // An event whose formulas fail is kept all the same, as a failed run people can see and replay.
        let next = match broken {
            Some(error) => ended(&mut state, error),
            // A run of a lane may have to wait its turn, which only the store knows.
            None if lane.is_some() => Next::InFlight,
            None => {
                if let Some(found) = self.found(recipe.row.id, &recipe.program).await.map_err(IntakeError::Store)? {
                    state.push(found);
                }
                // A process that makes no calls takes none from a budget, and no probe from a circuit: whoever takes the run asks.
                state.seat = self.settings.works.then(|| Seat::of(self, recipe.row.id, state.id, state.journal.via));
                let now = state.journal.accepted_at;
                decide(&recipe.program, &mut state, now)
            }
        };
        let kept = Kept { key, label, lane, parent };
        // A sender that goes away must not leave a run behind that nobody drives.
        let keeping = Arc::clone(self).keep(Arc::clone(recipe), event, state, next, kept);
        ToItsEnd::new(AssertUnwindSafe(keeping).catch_unwind())
            .await
            .unwrap_or_else(|_panic| Err(IntakeError::Store(StoreError::Internal("keeping the event failed".to_owned()))))
    }

    /// A run that somebody else accepts together with a commit; `None` when the recipe does not want the event, or
    /// nothing can be made of it.
    pub(crate) fn queued(&self, recipe: &LiveRecipe, event: Event) -> Option<NewRun> {
        self.queued_run(recipe, event).ok().flatten()
    }

    /// The same; an event that could not be made into a run is an error.
    pub(crate) fn queued_run(&self, recipe: &LiveRecipe, event: Event) -> Result<Option<NewRun>, StoreError> {
        let Some(Beginning { mut state, broken, key, label, lane }) = self.begin(recipe, &event) else {
            return Ok(None);
        };
        let now = state.journal.accepted_at;
        let then = match broken.map(|error| ended(&mut state, error)) {
            Some(Next::End(then)) => then,
            _ => Then::Queued { due_at: now },
        };
        let kept = Kept { key, label, lane, parent: None };
        self.new_run(recipe, &event, &state, &state.pending, &then, kept).map(|(run, ..)| Some(run))
    }

    /// Runs that were accepted in bulk and wait in the store.
    pub(crate) fn took_in(&self, runs: &[&NewRun]) {
        let queued = runs.iter().filter(|run| matches!(run.then, Then::Queued { .. })).count();
        self.backlog.fetch_add(u32::try_from(queued).unwrap_or_default(), Ordering::Relaxed);
        runs.iter().for_each(|run| self.live.changed(run.id));
        if !runs.is_empty() {
            self.wake_at(self.now());
        }
    }

    /// The run of an event as the store takes it, and what its later commits need besides.
    fn new_run(
        &self,
        recipe: &LiveRecipe,
        event: &Event,
        state: &RunState,
        entries: &[Entry],
        then: &Then,
        kept: Kept,
    ) -> Result<(NewRun, About, Weights), StoreError> {
        let Kept { key, label, lane, parent } = kept;
        let mut about = About {
            recipe: recipe.row.id,
            via: event.via,
            lane: lane.as_ref().map(|lane| lane.key),
            parent: parent.clone(),
            taken: Vec::new(),
        };
        let mut beside = self.besides(&recipe.program, state, &mut about, entries, then);
        self.note_forgetting(&recipe.program, &mut beside);
        let (chunk, weights) = self.pack(entries, &mut beside)?;
        let run = NewRun {
            id: state.id,
            recipe: recipe.row.id,
            version: recipe.version,
            accepted_at: state.journal.accepted_at,
            key,
            label,
            via: event.via,
            replay_of: event.replay_of.map(|replayed| replayed.run),
            owner: self.worker(),
            chunk,
            attempts: state.attempts,
            then: then.clone(),
            lane,
            parent,
            beside,
        };
        Ok((run, about, weights))
    }

    /// What the recipe makes of an event before its first step; `None` when its trigger does not want it.
    fn begin(&self, recipe: &LiveRecipe, event: &Event) -> Option<Beginning> {
        let now = self.now();
        let id = RunId::new(now, self.random());
        // Boxed: it is handed on from one hand to the next until the run is durable.
        let mut state = Box::new(RunState::new(id, event.via.as_str(), Arc::clone(&event.data), Arc::clone(&recipe.params), now));
        state.addresses = Some(Arc::clone(&self.addresses));
        let program = &recipe.program;
        let scope = event_scope(&event.data, &recipe.params, now);
        let mut broken = None;
        // A replay was wanted by a person: the filter was passed once and is not asked again.
        if event.replay_of.is_none() {
            match wanted(program, &scope) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => broken = Some(error),
            }
        }
        let key = self.event_key(recipe, event, &scope).unwrap_or_else(|error| {
            broken = Some(error);
            None
        });
        let lane = lane(recipe, &scope).unwrap_or_else(|error| {
            broken = Some(error);
            None
        });
        // A label that cannot be computed is no reason to hold an event back.
        let label = program.label.as_ref().and_then(|label| match label.eval(&scope) {
            Ok(Json::String(text)) => Some(cut(text)),
            Ok(Json::Null) | Err(_) => None,
            Ok(other) => Some(cut(other.to_string())),
        });
        Some(Beginning { state, broken, key, label, lane })
    }

    /// Makes a decided beginning durable, and goes on with it.
    async fn keep(
        self: Arc<Self>,
        recipe: Arc<LiveRecipe>,
        event: Event,
        mut state: Box<RunState>,
        next: Next,
        kept: Kept,
    ) -> Result<Intake, IntakeError> {
        let (id, now) = (state.id, state.journal.accepted_at);
        let mut slot = None;
        let then = match &next {
            Next::End(then) => then.clone(),
            Next::Wait { reason, until } if !gate::briefly(*reason, until.since(now)) => {
                Then::Waiting { reason: *reason, due_at: *until }
            }
            Next::Act(_) | Next::InFlight | Next::Wait { .. } => {
                if kept.lane.is_none() {
                    slot = Box::pin(self.room(recipe.row.id)).await;
                }
                if slot.is_some() { Then::Running } else { Then::Queued { due_at: now } }
            }
        };
        let mut entries = std::mem::take(&mut state.pending);
        if matches!(then, Then::Queued { .. }) {
            // Nothing was begun: whoever claims the run decides again. A `started` entry must not be
            // kept without its attempt.
            entries.truncate(1);
        }
        let output = entries.iter().find_map(|entry| match entry {
            Entry::Ended { out, .. } => out.clone(),
            _ => None,
        });
        let (run, about, weights) = self.new_run(&recipe, &event, &state, &entries, &then, kept).map_err(IntakeError::Store)?;
        let owner = run.owner;
        state.journal.next_seq = 1;
        let changes_others = !run.beside.is_empty();
        let caller = about.parent.as_ref().map(|parent| parent.run);
        let letter = event.replay_of.and_then(|replayed| Some((replayed.run, replayed.failed_at?)));
        let accepted = match letter {
            None => self.write_run(run).await.map(Some),
            // Boxed, so that what replays nothing does not carry the room for it.
            Some((failed, at)) => Box::pin(self.write_replay(run, failed, at)).await,
        };
        match accepted.map_err(IntakeError::Store)?.ok_or(IntakeError::Settled)? {
            Accepted::Duplicate { run, same_content } => {
                metrics::counter!("liaison_events_duplicate_total", "recipe" => measure::recipe(&recipe.program.slug))
                    .increment(1);
                return Ok(Intake::Duplicate { run, same_content });
            }
            Accepted::New => {}
        }
        measure::accepted(&recipe.program);
        self.count_end(&recipe.program, &then, &state);
        self.live.changed(id);
        if changes_others {
            self.wake_at(now);
        }
        if let Some(slot) = slot {
            let load = self.payloads.load(id, recipe.row.id, weights);
            let run = LiveRun { program: Arc::clone(&recipe.program), state, owner, epoch: 1, about, load, slot };
            self.go_on(run, next);
        } else if let Some(due) = then.due_at() {
            if matches!(then, Then::Queued { .. }) {
                self.backlog.fetch_add(1, Ordering::Relaxed);
            }
            self.wake_at(due);
        }
        if let Some(caller) = caller {
            Box::pin(self.follow_caller(id, caller)).await;
        }
        Ok(Intake::Accepted { run: id, status: then.status(), output, error: then.error().cloned().map(Box::new) })
    }

    /// A place among the runs in memory. Older runs come first: while any wait in the store, a new
    /// one waits there too, unless all that wait are of recipes that have their share. A sender is held
    /// a moment for room, which paces it to what gets done.
    async fn room(&self, recipe: RecipeId) -> Option<Place> {
        if !self.settings.works || self.payloads.holds_back(recipe) {
            return None;
        }
        let room = async {
            while self.backlog() > 0 && !self.places.only_others_wait(recipe) {
                let moved = self.backlog_moved.notified();
                if self.backlog() == 0 {
                    break;
                }
                moved.await;
            }
            self.places.take(recipe).await
        };
        tokio::select! {
            biased;
            slot = tokio::time::timeout(self.settings.intake_patience, room) => slot.ok().flatten(),
            () = self.stopping.cancelled() => None,
        }
    }

    fn event_key(&self, recipe: &LiveRecipe, event: &Event, scope: &Scope) -> Result<Option<EventKey>, Box<ErrorRecord>> {
        let said = recipe.program.dedupe.as_ref().filter(|_| !event.key_wins && event.replay_of.is_none());
        let keep = match event.via {
            Via::Call => CALL_KEY_KEEP,
            _ => recipe.program.dedupe.as_ref().map_or(crate::DEDUPE_KEEP_DEFAULT, |(_, keep)| *keep),
        };
        let text = match (said, &event.key) {
            (Some((by, _)), _) => {
                match by.eval(scope).map_err(|error| formula_failed(&error, "The dedupe key of the trigger"))? {
                    Json::Null => return Err(no_key()),
                    Json::String(text) => Cow::Owned(text),
                    other => Cow::Owned(other.to_string()),
                }
            }
            (None, Some(key)) => key.clone(),
            (None, None) => return Ok(None),
        };
        let digest = Sha256::digest(text.as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Ok(Some(EventKey { hash, expires_at: self.now().after(keep), fingerprint: event.fingerprint }))
    }
}

/// What a recipe makes of an event before its first step.
struct Beginning {
    state: Box<RunState>,
    /// Why the event cannot be worked with.
    broken: Option<Box<ErrorRecord>>,
    key: Option<EventKey>,
    label: Option<String>,
    lane: Option<Lane>,
}

/// What is kept of an event beside its run.
struct Kept {
    key: Option<EventKey>,
    label: Option<String>,
    lane: Option<Lane>,
    parent: Option<Parent>,
}

/// A run that ends before its first step.
fn ended(state: &mut RunState, error: Box<ErrorRecord>) -> Next {
    let now = state.journal.accepted_at;
    state.push(Entry::Ended { at: now, how: Ending::Failed, out: None, err: Some(error.clone()), by: None });
    Next::End(Then::Failed { at: now, error })
}

/// The lane of an event: of its key, or of the whole recipe.
fn lane(recipe: &LiveRecipe, scope: &Scope) -> Result<Option<Lane>, Box<ErrorRecord>> {
    let Some(concurrency) = &recipe.program.concurrency else { return Ok(None) };
    let key = match &concurrency.key {
        None => Json::Null,
        Some(key) => key.eval(scope).map_err(|error| formula_failed(&error, "The key of settings.concurrency"))?,
    };
    let mut digest = Sha256::new();
    digest.update(recipe.row.id.0.as_bytes());
    digest.update(key.to_string());
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest.finalize()[..16]);
    Ok(Some(Lane { key: hash, room: i32::try_from(concurrency.limit).unwrap_or(i32::MAX) }))
}

/// What the formulas of a trigger see.
pub(crate) fn event_scope(event: &Arc<Json>, params: &Arc<Json>, now: Timestamp) -> Scope {
    let mut scope = Scope::new();
    scope.set("trigger", Arc::clone(event));
    scope.set("params", Arc::clone(params));
    scope.set_now(&instant_text(now));
    scope
}

/// Whether the trigger wants the event, or why that cannot be told.
pub(crate) fn wanted(program: &Program, scope: &Scope) -> Result<bool, Box<ErrorRecord>> {
    match &program.condition {
        Some(condition) => condition.eval_bool(scope).map_err(|error| formula_failed(&error, "The condition of the trigger")),
        None => Ok(true),
    }
}

/// Labels are for lists.
fn cut(text: String) -> String {
    const LABEL_CHARS_MAX: usize = 200;
    if text.chars().nth(LABEL_CHARS_MAX).is_none() {
        text
    } else {
        text.chars().take(LABEL_CHARS_MAX - 1).chain(['…']).collect()
    }
}

fn no_key() -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: "DEDUPE_KEY_NULL".to_owned(),
        message: "The event has no value for the recipe's dedupe key, so Liaison cannot tell whether it came before.".to_owned(),
        next: Some("Correct trigger.dedupe.by, then replay the run.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}
