//! `call` and `start`: a step that runs another recipe.
//!
//! The other run carries the step's idempotency key, so it is started once however often the step is
//! tried. Its end answers the step in the same transaction (see `beside`).

use std::sync::Arc;

use connector::{ErrorClass, StepError};
use recipe::ast::TriggerSource;
use serde_json::{Value as Json, json};
use store::{DeadLetter, Entry, ErrorRecord, Parent, RunId, RunRow, RunStatus, StoreError, Via};

use crate::{
    Engine, Event, Intake, IntakeError, LiveRecipe,
    beside::{called_cancelled, called_failed},
    decide::Attempt,
    drive::idempotency_key,
    program::Called,
};

/// What running another recipe came to.
#[derive(Debug)]
pub(crate) enum Ran {
    /// There is a result.
    Done(Json),
    /// Its end is waited for.
    Called(RunId),
}

impl Engine {
    /// Starts the recipe of a step, or finds the run it started before. `again` when a person let the step try again.
    pub(crate) async fn run_recipe(
        self: &Arc<Self>,
        run: RunId,
        attempt: &Attempt,
        called: &Called,
        (again, trace): (bool, Option<Arc<str>>),
    ) -> Result<Ran, Box<StepError>> {
        let recipe = self.callable(called)?;
        check_input(&recipe, &attempt.input)?;
        let event = Event {
            data: Arc::clone(&attempt.input),
            via: Via::Call,
            key: Some(idempotency_key(run, &attempt.path, attempt.turn).into()),
            key_wins: true,
            fingerprint: None,
            replay_of: None,
        };
        let parent = called.waits.then(|| Parent { run, path: Arc::clone(&attempt.path) });
        let child = match self.accept_for(&recipe, event, parent, trace).await.map_err(not_taken)? {
            Intake::Filtered if called.waits => return Ok(Ran::Done(Json::Null)),
            Intake::Filtered => return Ok(Ran::Done(json!({ "run_id": null }))),
            Intake::Accepted { run, .. } => run,
            Intake::Duplicate { run: child, .. } if called.waits => return self.look_at(run, child, called, again).await,
            Intake::Duplicate { run, .. } => run,
        };
        if called.waits {
            return Ok(Ran::Called(child));
        }
        Ok(Ran::Done(json!({ "run_id": child.to_string() })))
    }

    fn callable(&self, called: &Called) -> Result<Arc<LiveRecipe>, Box<StepError>> {
        let slug = &*called.slug;
        let Some(recipe) = self.catalogue().recipes.get(slug).cloned() else {
            let message = format!("The recipe {slug} is not switched on, so it cannot be run.");
            let error = StepError::new(ErrorClass::NotFound, "RECIPE_OFF", message);
            return Err(Box::new(error.with_next("Switch it on, then resume this run.")));
        };
        if !matches!(recipe.program.source, TriggerSource::Call | TriggerSource::Api) {
            let message =
                format!("The recipe {slug} is not one that other recipes may run: its trigger is neither `call` nor `api`.");
            let error = StepError::new(ErrorClass::Invalid, "RECIPE_NOT_CALLABLE", message);
            return Err(Box::new(error.with_next("Give it the trigger `call`, switch that version on, then resume this run.")));
        }
        Ok(recipe)
    }

    async fn called(&self, child: RunId) -> Result<RunRow, Box<StepError>> {
        let found = self.store.run(child).await.map_err(|error| not_taken(IntakeError::Store(error)))?;
        found.ok_or_else(|| {
            let message = format!("The run {child} of the called recipe is gone.");
            Box::new(StepError::new(ErrorClass::NotFound, "CALL_GONE", message).with_next("Replay the event of this run."))
        })
    }

    /// The run this step started earlier. When a person resumed the caller, a failed one goes on, too:
    /// its finished steps are not done again.
    async fn look_at(self: &Arc<Self>, run: RunId, child: RunId, called: &Called, again: bool) -> Result<Ran, Box<StepError>> {
        let away = |error: StoreError| not_taken(IntakeError::Store(error));
        let mut child = child;
        let mut row = self.called(child).await?;
        // One that failed and was replayed by itself: what became of its replay counts.
        for _ in 0..REPLAYS_FOLLOWED_MAX {
            if row.dead_letter != Some(DeadLetter::Replayed) {
                break;
            }
            let Some(new) = self.replayed_as(child).await.map_err(away)? else { break };
            (child, row) = (new, self.called(new).await?);
            if !row.status.is_final() {
                // Nobody called it, so its end does not wake this run.
                let message = format!("The called recipe {} is run again as {child}, which is not over yet.", called.slug);
                let error = StepError::new(ErrorClass::Conflict, "CALL_REPLAYED", message);
                return Err(Box::new(error.with_next(format!("Resume this run when {child} is over."))));
            }
        }
        match row.status {
            RunStatus::Succeeded => {
                let mut result = None;
                let look = |entry: Entry| {
                    if let Entry::Ended { out, .. } = entry {
                        result = out;
                    }
                };
                self.for_each_entry(child, 0, |entry| matches!(entry, Entry::Ended { .. }), look).await.map_err(away)?;
                Ok(Ran::Done(result.map(Arc::unwrap_or_clone).unwrap_or_default()))
            }
            RunStatus::Failed if again && row.dead_letter == Some(DeadLetter::Open) => {
                match self.resume(child, None, "the run that called it").await {
                    Ok(()) => {
                        // The caller may have been cancelled while this one was over.
                        self.follow_caller(child, run).await;
                        Ok(Ran::Called(child))
                    }
                    Err(error) => {
                        let message = format!("The run {child} of the called recipe {} cannot go on: {error}", called.slug);
                        let error = StepError::new(ErrorClass::Conflict, "CALL_STUCK", message);
                        Err(Box::new(error.with_next(format!("Settle {child} first, then resume this run."))))
                    }
                }
            }
            RunStatus::Failed => Err(failure(*match &row.error {
                Some(error) => called_failed(child, &called.slug, error),
                None => called_cancelled(child, &called.slug),
            })),
            RunStatus::Cancelled => Err(failure(*called_cancelled(child, &called.slug))),
            RunStatus::Queued | RunStatus::Running | RunStatus::Waiting => Ok(Ran::Called(child)),
        }
    }
}

/// A called run that was replayed, and its replay too, is followed so far.
const REPLAYS_FOLLOWED_MAX: u32 = 100;

fn failure(error: ErrorRecord) -> Box<StepError> {
    let class = ErrorClass::parse(&error.class).unwrap_or(ErrorClass::Recipe);
    // The called recipe made its own attempts.
    let class = if class.is_transient() { ErrorClass::Recipe } else { class };
    let made = StepError::new(class, error.code, error.message);
    Box::new(match error.next {
        Some(next) => made.with_next(next),
        None => made,
    })
}

pub(crate) fn check_input(recipe: &LiveRecipe, input: &Json) -> Result<(), Box<StepError>> {
    let Some(error) = recipe.input.as_ref().and_then(|schema| schema.iter_errors(input).next()) else { return Ok(()) };
    let place = match error.instance_path().as_str() {
        "" => "What is given to it".to_owned(),
        path => format!("Its input's {}", path.trim_start_matches('/').replace('/', ".")),
    };
    let message = format!("The recipe {} does not take this: {place} does not fit: {error}.", recipe.program.slug);
    let error = StepError::new(ErrorClass::Invalid, "INPUT_INVALID", message);
    Err(Box::new(error.with_next("Mend `with` of this step, then replay the event.")))
}

fn not_taken(error: IntakeError) -> Box<StepError> {
    Box::new(match error {
        IntakeError::Busy { retry_after } => StepError {
            retry_after: Some(retry_after),
            ..StepError::new(ErrorClass::RateLimited, "TOO_MANY_WAIT", "Too many runs are waiting to take one more.")
        },
        error => StepError::new(ErrorClass::Server, "NOT_STARTED", format!("The other recipe could not be started: {error}.")),
    })
}
