//! What people do to runs: cancel, resume, replay, and what they say about a doubt.

use std::{collections::HashSet, sync::Arc, time::Duration};

use connector::{Cx, ErrorClass, StepError};
use serde_json::Value as Json;
use store::{DeadLetter, Ending, Entry, Journal, RunId, RunRow, RunStatus, StepPath, StepState, StoreError, Then, Via};

use crate::{Engine, Event, Intake, IntakeError, beside::answer_to};

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
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event of a replay was not taken.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl Engine {
    /// Lets a failed run go on at the step that failed. Finished steps are not done again.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn resume(&self, id: RunId, said: Option<Doubtful>, by: &str) -> Result<(), ControlError> {
        let run = self.find(id).await?;
        if run.status != RunStatus::Failed {
            return Err(ControlError::NotNow(format!("Only a failed run can be resumed; this one is {}.", run.status.as_str())));
        }
        if run.dead_letter != Some(DeadLetter::Open) {
            return Err(ControlError::NotNow("This run was already replayed or discarded.".to_owned()));
        }
        let journal = self.journal(id).await?;
        let entries = reopen(&journal, said, by, self.now())?;
        let chunk = store::write_chunk(&entries)?;
        let now = self.now();
        if !self.store.resume(id, None, journal.next_seq, &chunk, now).await? {
            return Err(ControlError::NotNow("Somebody else changed this run just now. Look at it again.".to_owned()));
        }
        self.live.changed(id);
        self.wake_at(now);
        Ok(())
    }

    /// Ends a run that is not over. A call under way may still happen; the run page says so.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn cancel(&self, id: RunId, by: &str) -> Result<(), ControlError> {
        // A running run writes on: its journal may grow between the look and the write.
        const LOOKS: u32 = 20;
        for _ in 0..LOOKS {
            let run = self.find(id).await?;
            if run.status.is_final() {
                return Err(ControlError::NotNow(format!("This run is already over: it {}.", run.status.as_str())));
            }
            let seq = self.journal(id).await?.next_seq;
            let now = self.now();
            let entry = Entry::Ended { at: now, how: Ending::Cancelled, out: None, err: None, by: Some(by.to_owned()) };
            let then = Then::Cancelled { at: now };
            let beside: Vec<_> = run.parent.iter().map(|parent| answer_to(parent, id, &run.slug, &then, None, now)).collect();
            if self.store.cancel(id, seq, &store::write_chunk(&[entry])?, &beside, now).await? {
                metrics::counter!("liaison_runs_ended_total", "recipe" => run.slug, "status" => "cancelled").increment(1);
                self.live.changed(id);
                self.wake_at(now);
                self.cancel_called(id, by).await;
                return Ok(());
            }
        }
        Err(ControlError::NotNow("The run moves too fast to be cancelled. Try again.".to_owned()))
    }

    /// Cancels the runs whose ends a cancelled run waited for. Those that are over by now stay as they are.
    async fn cancel_called(&self, id: RunId, by: &str) {
        let entries = match self.entries(id).await {
            Ok(entries) => entries,
            Err(error) => return tracing::warn!(run.id = %id, %error, "run.cancel: the runs it called go on"),
        };
        let waits = |entry: &Entry| match entry {
            Entry::Waits { what, ask: Some(ask), .. } if what == "call" => ask["run"].as_str()?.parse::<RunId>().ok(),
            _ => None,
        };
        for child in entries.iter().filter_map(waits) {
            if let Err(ControlError::Store(error)) = Box::pin(self.cancel(child, by)).await {
                tracing::warn!(run.id = %child, %error, "run.cancel: a run it called goes on");
            }
        }
    }

    /// Runs an ended run's event again, as a new run of the active version, linked to the old.
    ///
    /// # Errors
    /// [`ControlError`]; nothing was started then.
    pub async fn replay(self: &Arc<Self>, id: RunId, event: Option<Json>) -> Result<RunId, ControlError> {
        let run = self.find(id).await?;
        if !run.status.is_final() {
            return Err(ControlError::NotNow(format!("Only an ended run can be replayed; this one is {}.", run.status.as_str())));
        }
        let catalogue = self.catalogue();
        let recipe = catalogue
            .recipes
            .get(&run.slug)
            .ok_or_else(|| ControlError::NotNow(format!("Recipe {} is switched off. Switch it on, then replay.", run.slug)))?;
        let data = match event {
            Some(event) => Arc::new(event),
            None => self.journal(id).await?.event,
        };
        let event = Event { data, via: Via::Replay, key: None, key_wins: false, fingerprint: None, replay_of: Some(id) };
        match self.accept(recipe, event).await? {
            Intake::Accepted { run: new, .. } | Intake::Duplicate { run: new, .. } => {
                if run.status == RunStatus::Failed {
                    self.settle(id, DeadLetter::Replayed, Entry::Replayed { at: self.now(), run: new }).await?;
                }
                self.live.changed(id);
                Ok(new)
            }
            Intake::Filtered => Err(ControlError::NotNow("The recipe's trigger does not want this event.".to_owned())),
        }
    }

    /// Puts a dead letter aside. Who and why stay in its journal.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn discard(&self, id: RunId, reason: &str, by: &str) -> Result<(), ControlError> {
        self.find(id).await?;
        let entry = Entry::Discarded { at: self.now(), by: by.to_owned(), reason: reason.to_owned() };
        if self.settle(id, DeadLetter::Discarded, entry).await? {
            self.live.changed(id);
            Ok(())
        } else {
            Err(ControlError::NotNow("This run is no open dead letter.".to_owned()))
        }
    }

    async fn settle(&self, id: RunId, state: DeadLetter, entry: Entry) -> Result<bool, StoreError> {
        let seq = self.journal(id).await?.next_seq;
        self.store.settle_dead_letter(id, state, seq, &store::write_chunk(&[entry])?).await
    }

    /// Makes a connection's test call; `None` when its connector has nothing to call.
    ///
    /// # Errors
    /// What the call failed with, or that there is no such connection.
    pub async fn test_connection(&self, name: &str) -> Option<Result<(), StepError>> {
        let Some(connection) = self.connection(name) else {
            return Some(Err(StepError::new(
                ErrorClass::NotFound,
                "CONNECTION_MISSING",
                format!("There is no connection named \"{name}\"."),
            )));
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
        };
        Some(match (action.run)(cx, test.input.clone()).await {
            Err(error) if !test.fine.contains(&error.class) => Err(error),
            _ => Ok(()),
        })
    }

    async fn find(&self, id: RunId) -> Result<RunRow, ControlError> {
        self.store.run(id).await?.ok_or(ControlError::NotFound(id))
    }

    /// A run's journal, read from the store.
    ///
    /// # Errors
    /// When the store does not answer or the journal is damaged.
    pub async fn journal(&self, id: RunId) -> Result<Journal, StoreError> {
        let chunks = self.store.chunks(id, 0).await?;
        Journal::replay(chunks.iter().map(|(seq, chunk)| (*seq, chunk.as_slice())))
    }
}

/// The entries that let every failed step of a run try again, but those whose failure the recipe dealt with.
fn reopen(journal: &Journal, said: Option<Doubtful>, by: &str, at: store::Timestamp) -> Result<Vec<Entry>, ControlError> {
    let taken_back =
        journal.steps.iter().any(|(path, state)| path.ends_with(".undo") && matches!(state, StepState::Succeeded { .. }));
    let undo_failed = |path: &StepPath, state: &StepState| {
        path.ends_with(".undo") && matches!(state, StepState::Failed { .. } | StepState::Uncertain { .. })
    };
    if taken_back && !journal.steps.iter().any(|(path, state)| undo_failed(path, state)) {
        return Err(ControlError::NotNow(
            "This run took back what it had done, so there is nothing left to go on from. Replay its event as a new run."
                .to_owned(),
        ));
    }
    let mut entries = vec![Entry::Resumed { at, by: by.to_owned() }];
    let dealt_with: HashSet<&str> =
        journal.caught.iter().flat_map(|(path, (error, _))| std::iter::once(&**path).chain(error.path.as_deref())).collect();
    let mut stuck: Vec<(&StepPath, &StepState)> = journal
        .steps
        .iter()
        .filter(|(_, state)| matches!(state, StepState::Failed { .. } | StepState::Uncertain { .. }))
        .filter(|(path, _)| !dealt_with.contains(&***path))
        // Once something was taken back, only the rest of it is tried again.
        .filter(|(path, state)| !taken_back || undo_failed(path, state))
        .collect();
    stuck.sort_by(|one, other| one.0.cmp(other.0));
    for (path, state) in stuck {
        let p = Arc::clone(path);
        let by = by.to_owned();
        entries.push(match (state, &said) {
            (StepState::Uncertain { .. }, None) => return Err(ControlError::SayFirst { path: path.to_string() }),
            (StepState::Uncertain { .. }, Some(Doubtful::Happened(output))) => {
                Entry::Settled { p, at, by, out: Arc::new(output.clone()) }
            }
            _ => Entry::Reopened { p, at, by },
        });
    }
    Ok(entries)
}
