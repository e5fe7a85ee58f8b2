//! What the engine counts and logs, so that whoever watches can tell whether its promises hold.
//!
//! Labels are bounded: recipes and connections beyond the first few hundred that were counted share
//! one name, and no label ever carries an id.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use connector::{Doubt, Effect, StepError};
use metrics::{Counter, Histogram};
use parking_lot::RwLock;
use serde_json::Value as Json;
use store::{Entry, RunId, RunStatus, Then, Timestamp};

use crate::{Engine, decide::Attempt, program::Program};

/// Recipes, and connections, with a label of their own in one process.
const NAMES_MAX: usize = 500;
/// What the others are called.
const OTHERS: &str = "_other";

static RECIPES: Names = Names(RwLock::new(None));
static CONNECTIONS: Names = Names(RwLock::new(None));

/// Names that have a label.
struct Names(RwLock<Option<HashSet<Arc<str>>>>);

impl Names {
    fn label(&self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.read().as_ref() {
            if let Some(label) = known.get(name) {
                return Arc::clone(label);
            }
            if known.len() >= NAMES_MAX {
                return OTHERS.into();
            }
        }
        let label: Arc<str> = name.into();
        let mut held = self.0.write();
        let known = held.get_or_insert_default();
        if known.len() >= NAMES_MAX && !known.contains(name) {
            return OTHERS.into();
        }
        known.insert(Arc::clone(&label));
        label
    }
}

/// The label of a recipe.
#[must_use]
pub fn recipe(slug: &str) -> Arc<str> {
    RECIPES.label(slug)
}

/// The label of a connection.
#[must_use]
pub fn connection(name: &str) -> Arc<str> {
    CONNECTIONS.label(name)
}

/// An attempt that is over.
pub(crate) fn attempt(attempt: &Attempt, outcome: Result<&Json, &StepError>, now: Timestamp) {
    let action = &attempt.step.action;
    let label = match outcome {
        Ok(_) => "succeeded",
        Err(error) if error.doubt == Doubt::MayHaveHappened && (action.effect)(&attempt.input) == Effect::Once => "uncertain",
        Err(_) => "failed",
    };
    ATTEMPTS.of(label).increment(1);
    ATTEMPT_SECONDS.of(label).record(now.since(attempt.started));
    if attempt.number > 1 {
        metrics::counter!("liaison_attempts_repeated_total").increment(1);
    }
    if let Err(error) = outcome {
        metrics::counter!("liaison_attempts_failed_total", "class" => error.class.as_str()).increment(1);
    }
}

/// A commit that is durable: steps nobody knows the outcome of.
pub(crate) fn committed(program: &Program, entries: &[Entry]) {
    let doubts = entries.iter().filter(|entry| matches!(entry, Entry::Uncertain { .. })).count();
    if doubts > 0 {
        metrics::counter!("liaison_steps_uncertain_total", "recipe" => recipe(&program.slug)).increment(doubts as u64);
    }
}

/// What is counted for every run of a version, each looked up once: to find one by its name and labels costs more than to
/// count.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    accepted: OnceLock<Counter>,
    /// By the number of the status.
    ended: [OnceLock<Counter>; RunStatus::ALL.len()],
}

/// How long runs took, by the number of their status.
static RUN_SECONDS: [OnceLock<Histogram>; RunStatus::ALL.len()] = [const { OnceLock::new() }; RunStatus::ALL.len()];

static ATTEMPTS: ByOutcome<Counter> = ByOutcome::new(|outcome| metrics::counter!("liaison_attempts_total", "outcome" => outcome));
static ATTEMPT_SECONDS: ByOutcome<Histogram> =
    ByOutcome::new(|outcome| metrics::histogram!("liaison_attempt_seconds", "outcome" => outcome));

/// What is counted by outcome: each looked up once.
struct ByOutcome<M> {
    made: [OnceLock<M>; OUTCOMES.len()],
    make: fn(&'static str) -> M,
}

/// What may become of an attempt.
const OUTCOMES: [&str; 3] = ["succeeded", "uncertain", "failed"];

impl<M> ByOutcome<M> {
    const fn new(make: fn(&'static str) -> M) -> Self {
        Self { made: [const { OnceLock::new() }; OUTCOMES.len()], make }
    }

    /// One of [`OUTCOMES`]; what is none of them counts as the last.
    fn of(&self, outcome: &str) -> &M {
        let place = OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(OUTCOMES.len() - 1);
        self.made[place].get_or_init(|| (self.make)(OUTCOMES[place]))
    }
}

/// A run that was accepted.
pub(crate) fn accepted(program: &Program) {
    let meter = || metrics::counter!("liaison_runs_accepted_total", "recipe" => recipe(&program.slug));
    program.meters.accepted.get_or_init(meter).increment(1);
}

/// A run that ended.
pub(crate) fn ended(program: &Program, then: &Then, accepted_at: Timestamp) {
    let (status, place) = (then.status().as_str(), then.status() as usize);
    let meter = || metrics::counter!("liaison_runs_ended_total", "recipe" => recipe(&program.slug), "status" => status);
    program.meters.ended[place].get_or_init(meter).increment(1);
    let ended = then.ended_at().unwrap_or(accepted_at);
    RUN_SECONDS[place]
        .get_or_init(|| metrics::histogram!("liaison_run_seconds", "status" => status))
        .record(ended.since(accepted_at));
}

/// Says in the log that an attempt failed: what, where and how, never what was sent or answered.
pub(crate) fn log_attempt(engine: &Engine, program: &Program, run: RunId, attempt: &Attempt, error: Option<&StepError>) {
    let Some(error) = error else { return };
    tracing::debug!(
        run.id = %run, recipe = &*program.slug, step.path = &*attempt.path, worker = engine.worker().0,
        attempt = attempt.number, class = error.class.as_str(), code = error.code, "attempt.failed"
    );
}

/// Says in the log that a run failed. Its message may hold what was sent, and stays in the journal.
pub(crate) fn log_end(engine: &Engine, program: &Program, run: RunId, then: &Then) {
    let Some(error) = then.error() else { return };
    tracing::info!(
        run.id = %run, recipe = &*program.slug, step.path = error.path, worker = engine.worker().0,
        class = error.class, code = error.code, "run.failed"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_share_one_label() {
        let names = Names(RwLock::new(None));
        for number in 0..NAMES_MAX {
            assert_eq!(&*names.label(&format!("recipe-{number}")), format!("recipe-{number}"));
        }
        assert_eq!(&*names.label("one-too-many"), OTHERS);
        assert_eq!(&*names.label("recipe-7"), "recipe-7", "those that have a label keep it");
    }
}
