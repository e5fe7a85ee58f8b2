//! What people do to runs: cancel, resume, replay, and what they say about a doubt.

use std::{sync::Arc, time::Duration};

use connector::{Cx, ErrorClass, StepError};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use store::{DeadLetter, Ending, Entry, Journal, RunId, RunRow, RunStatus, StoreError, Then, Timestamp, Via};

use crate::{
    Engine, Event, Intake, IntakeError, LiveRecipe, ReplayOf,
    beside::answer_to,
    call::check_input,
    registry::input_of,
    resume::{Resumption, Said},
};

/// A connection's test call may take so long.
const TEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What a person says about an effect that may have happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Doubtful {
    /// It happened, and this is what it returned.
    Happened(Json),
    /// It did not, or doing it again is fine.
    Repeat,
}

/// How an ended run is run again.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// This event instead of the first one.
    pub event: Option<Json>,
    /// This version instead of the active one.
    pub version: Option<i32>,
    /// Only if it is still this failure: when the run failed.
    pub failed_at: Option<Timestamp>,
    /// Whoever asks once more under the same key gets the first run again.
    pub key: Option<String>,
}

/// A replay that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// The new run.
    pub run: RunId,
    /// True when it was asked for before under the same key.
    pub again: bool,
}

/// Why a wish could not be carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControlError {
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// The run is not in a state that allows it.
    #[error("{0}")]
    NotNow(String),
    /// Somebody must say what became of an uncertain step first.
    #[error("step {path} may have happened; say whether it did before the run goes on")]
    SayFirst {
        /// The step.
        path: String,
    },
    /// The caller's key was used for another wish.
    #[error("this key was used for another event or version")]
    KeyReused,
    /// The run's data was not kept, so there is nothing to run again.
    #[error("the data of run {0} was not kept")]
    NotKept(RunId),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event of a replay was not taken.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl Engine {
    /// Lets a failed run go on at the step that failed, under its own version. Finished steps are not
    /// done again.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn resume(&self, id: RunId, said: Option<Doubtful>, by: &str) -> Result<(), ControlError> {
        let said = said.map_or(Said::Nothing, Said::All);
        self.resume_with(id, &Resumption { said, ..Resumption::default() }, by).await
    }

    /// Ends a run that is not over. A call under way may still happen; the run page says so.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn cancel(&self, id: RunId, by: &str) -> Result<(), ControlError> {
        let over = |run: &RunRow| ControlError::NotNow(format!("This run is already over: it {}.", run.status.as_str()));
        let run = self.find(id).await?;
        if run.status.is_final() {
            return Err(over(&run));
        }
        let began = self.beginning(id, false).await?;
        let now = self.now();
        let entry = Entry::Ended { at: now, how: Ending::Cancelled, out: None, err: None, by: Some(by.to_owned()) };
        let then = Then::Cancelled { at: now };
        let beside: Vec<_> = run.parent.iter().map(|parent| answer_to(parent, id, &run.slug, &then, None, now)).collect();
        if !self.store.cancel(id, &store::write_chunk(&[entry])?, &beside, now).await? {
            // It ended since the look.
            return Err(over(&self.find(id).await?));
        }
        metrics::counter!("liaison_runs_ended_total", "recipe" => crate::measure::recipe(&run.slug), "status" => "cancelled")
            .increment(1);
        crate::trace::cancelled(id, (&run.slug, run.version), &began, now);
        self.live.changed(id);
        self.wake_at(now);
        self.cancel_called(id, by).await;
        Ok(())
    }

    /// Cancels the runs whose ends a cancelled run waited for. Those that are over by now stay as they are.
    async fn cancel_called(&self, id: RunId, by: &str) {
        let called = match self.store.called_by(id).await {
            Ok(called) => called,
            Err(error) => return tracing::warn!(run.id = %id, %error, "run.cancel: the runs it called go on"),
        };
        for child in called {
            if let Err(ControlError::Store(error)) = Box::pin(self.cancel(child, by)).await {
                tracing::warn!(run.id = %child, %error, "run.cancel: a run it called goes on");
            }
        }
    }

    /// A call that was under way when its caller was cancelled may have accepted a run since: nobody waits for it.
    pub(crate) async fn follow_caller(&self, run: RunId, caller: RunId) {
        if self.cancelled_at(caller, run).await.is_some() {
            self.cancel_called(caller, "the run that called it").await;
        }
    }

    /// The same for a run that goes on from the store: whoever cancelled its caller may have died before it came to this.
    /// One that a person let go on since goes on. True when it is cancelled now.
    pub(crate) async fn follows_cancelled(&self, run: RunId, caller: RunId, journal: &Journal) -> bool {
        let Some(cancelled_at) = self.cancelled_at(caller, run).await else { return false };
        let resumed_since = journal.since > journal.accepted_at && journal.since >= cancelled_at;
        !resumed_since && self.cancel(run, "the run that called it").await.is_ok()
    }

    /// When a run that called another was cancelled.
    async fn cancelled_at(&self, caller: RunId, run: RunId) -> Option<Timestamp> {
        match self.store.run(caller).await {
            Ok(row) => row.filter(|row| row.status == RunStatus::Cancelled)?.ended_at,
            Err(error) => {
                tracing::warn!(run.id = %run, %error, "run.cancel: it is not known whether its caller was cancelled");
                None
            }
        }
    }

    /// Runs an ended run's event again, as a new run of the active version, linked to the old.
    ///
    /// # Errors
    /// [`ControlError`]; nothing was started then.
    pub async fn replay(self: &Arc<Self>, id: RunId, event: Option<Json>) -> Result<RunId, ControlError> {
        Ok(self.replay_with(id, Replay { event, ..Replay::default() }).await?.run)
    }

    /// Runs an ended run's event, or another, as a new run linked to the old. An open dead letter is settled in the commit
    /// that accepts the new run: of several who replay, resume or discard it at the same moment, one does.
    ///
    /// # Errors
    /// [`ControlError`]; nothing was started then.
    pub async fn replay_with(self: &Arc<Self>, id: RunId, wish: Replay) -> Result<Replayed, ControlError> {
        let run = self.find(id).await?;
        if !run.status.is_final() {
            return Err(ControlError::NotNow(format!("Only an ended run can be replayed; this one is {}.", run.status.as_str())));
        }
        if wish.failed_at.is_some() && wish.failed_at != run.ended_at {
            return Err(ControlError::NotNow("This run went on and failed again meanwhile.".to_owned()));
        }
        let catalogue = self.catalogue();
        let recipe = catalogue
            .recipes
            .get(&run.slug)
            .ok_or_else(|| ControlError::NotNow(format!("Recipe {} is switched off. Switch it on, then replay.", run.slug)))?;
        let other;
        let recipe = match wish.version.filter(|version| *version != recipe.version) {
            None => recipe,
            Some(version) => {
                other = self.under_version(recipe, version).await?;
                &other
            }
        };
        let data = match wish.event {
            Some(event) => {
                check_input(recipe, &event).map_err(|error| ControlError::NotNow(error.message))?;
                Arc::new(event)
            }
            None => self.event(id).await?,
        };
        let event = Event {
            fingerprint: wish.key.is_some().then(|| asked_for(&data, wish.version)),
            data,
            via: Via::Replay,
            key: wish.key.map(|key| format!("replay:{id}:{key}").into()),
            key_wins: true,
            replay_of: Some(ReplayOf { run: id, failed_at: run.ended_at.filter(|_| run.dead_letter == Some(DeadLetter::Open)) }),
        };
        let replayed = match self.accept(recipe, event).await {
            Ok(Intake::Accepted { run, .. }) => Replayed { run, again: false },
            Ok(Intake::Duplicate { run, same_content: true }) => Replayed { run, again: true },
            Ok(Intake::Duplicate { same_content: false, .. }) => return Err(ControlError::KeyReused),
            Ok(Intake::Filtered) => {
                return Err(ControlError::NotNow("The recipe's trigger does not want this event.".to_owned()));
            }
            Err(IntakeError::Settled) => return Err(self.settled_meanwhile(id).await),
            Err(error) => return Err(error.into()),
        };
        self.live.changed(id);
        Ok(replayed)
    }

    /// Why a dead letter could not be replayed that was open a moment ago.
    async fn settled_meanwhile(&self, id: RunId) -> ControlError {
        let told = async {
            Ok(match self.find(id).await?.dead_letter {
                Some(DeadLetter::Replayed) => {
                    let new = self.replayed_as(id).await?.map_or_else(String::new, |new| format!(", as run {new}"));
                    format!(
                        "Somebody replayed this run just now{new}. Look at that one; to run the event once more, replay again."
                    )
                }
                Some(DeadLetter::Discarded) => "Somebody discarded this run just now. Look at it again.".to_owned(),
                Some(DeadLetter::Open) | None => "Somebody resumed this run just now. Look at it again.".to_owned(),
            })
        };
        told.await.map_or_else(|error| error, ControlError::NotNow)
    }

    /// The last run that replays a run.
    pub(crate) async fn replayed_as(&self, id: RunId) -> Result<Option<RunId>, StoreError> {
        let mut new = None;
        let look = |entry: Entry| {
            if let Entry::Replayed { run, .. } = entry {
                new = Some(run);
            }
        };
        self.for_each_entry(id, 0, |entry| matches!(entry, Entry::Replayed { .. }), look).await?;
        Ok(new)
    }

    /// A recipe that is switched on, as if another version of it were the active one.
    async fn under_version(&self, recipe: &LiveRecipe, version: i32) -> Result<Arc<LiveRecipe>, ControlError> {
        if self.store.version(recipe.row.id, version).await?.is_none() {
            return Err(ControlError::NotNow(format!("Recipe {} has no version {version}.", recipe.row.slug)));
        }
        let program = self.program(recipe.row.id, version).await?;
        let input = input_of(&program).map_err(ControlError::NotNow)?;
        Ok(Arc::new(LiveRecipe {
            row: recipe.row.clone(),
            version,
            params: Arc::new(program.bind_params(&recipe.row.params)),
            program,
            schedule: None,
            schedule_cursor: None,
            input,
        }))
    }

    /// Puts a dead letter aside. Who and why stay in its journal.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn discard(&self, id: RunId, reason: &str, by: &str) -> Result<(), ControlError> {
        self.find(id).await?;
        let entry = Entry::Discarded { at: self.now(), by: by.to_owned(), reason: reason.to_owned() };
        let seq = self.store.next_seq(id).await?;
        if self.store.settle_dead_letter(id, DeadLetter::Discarded, seq, &store::write_chunk(&[entry])?).await? {
            self.live.changed(id);
            Ok(())
        } else {
            Err(ControlError::NotNow("This run is no open dead letter.".to_owned()))
        }
    }

    /// Makes a connection's test call; `None` when its connector has nothing to call.
    ///
    /// # Errors
    /// What the call failed with, or that there is no such connection.
    pub async fn test_connection(&self, name: &str) -> Option<Result<(), StepError>> {
        let Some(connection) = self.connection(name) else {
            return Some(Err(connection_missing(name)));
        };
        let connector = self.connectors.iter().find(|connector| connector.id == connection.connector)?;
        let test = connector.test.as_ref()?;
        let action = connector.action(test.action)?;
        let cx = Cx {
            http: self.http.clone(),
            connection: Some(connection),
            idempotency_key: "connection-test".into(),
            timeout: TEST_TIMEOUT,
            run_id: "test".into(),
            path: "test".into(),
            began: tokio::time::Instant::now(),
            began_us: self.now().micros(),
            attempt: 1,
            in_doubt: false,
            traceparent: None,
            turns: None,
        };
        let began = self.now();
        let outcome = (action.run)(cx, test.input.clone()).await;
        self.tell_tested(name, outcome.as_ref(), began).await;
        Some(match outcome {
            Err(error) if !test.fine.contains(&error.class) => Err(error),
            _ => Ok(()),
        })
    }

    pub(crate) async fn find(&self, id: RunId) -> Result<RunRow, ControlError> {
        self.store.run(id).await?.ok_or(ControlError::NotFound(id))
    }

    /// The event of a run, wherever it is kept.
    ///
    /// # Errors
    /// [`ControlError::NotKept`] when the data of the run is gone.
    pub async fn event(&self, id: RunId) -> Result<Arc<Json>, ControlError> {
        let began = self.beginning(id, true).await;
        // Asked after the journal was read: what was there then is whole.
        if self.forgotten(id).await?.is_some() {
            return Err(ControlError::NotKept(id));
        }
        Ok(began?.event)
    }
}

/// What tells two wishes under one key apart.
fn asked_for(event: &Json, version: Option<i32>) -> [u8; 16] {
    let digest = Sha256::digest(format!("{version:?} {event}"));
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&digest[..16]);
    fingerprint
}

pub(crate) fn connection_missing(name: &str) -> StepError {
    StepError::new(ErrorClass::NotFound, "CONNECTION_MISSING", format!("There is no connection named \"{name}\"."))
        .with_next("Create the connection.")
}
