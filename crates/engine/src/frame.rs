//! What the formulas of one block see.

use std::sync::Arc;

use formula::Scope;
use serde_json::{Map, Value as Json, json};
use store::{ErrorRecord, Journal, StepPath, StepState, Timestamp};

use crate::{decide::RunState, program::Program};

/// The names in reach of a block: the run's, and what its loops bound.
pub(crate) struct Frame {
    scope: Scope,
    // The same with the clock stopped at acceptance: for values that are computed again on replay.
    accepted_at: Timestamp,
    prefix: String,
    keeps_meta: bool,
}

impl Frame {
    pub(crate) fn new(program: &Program, state: &RunState, now: Timestamp) -> Self {
        let mut scope = Scope::new();
        scope.set("trigger", Arc::clone(&state.journal.event));
        scope.set("params", Arc::clone(&state.journal.params));
        scope.set_now(&instant_text(now));
        if !program.state.is_empty() {
            scope.set("state", Arc::clone(&state.kept));
        }
        if program.reads.run {
            let run = json!({
                "id": state.id.to_string(),
                "recipe": &*program.slug,
                "started_at": instant_text(state.journal.accepted_at),
            });
            scope.set("run", Arc::new(run));
        }
        Self { scope, accepted_at: state.journal.accepted_at, prefix: String::new(), keeps_meta: program.reads.meta }
    }

    /// What a step's formulas see.
    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The same at the instant the run was accepted: gives the same on every replay.
    pub(crate) fn frozen_scope(&self) -> Scope {
        let mut scope = self.scope.clone();
        scope.set_now(&instant_text(self.accepted_at));
        scope
    }

    /// The loop pass this block belongs to; empty outside of loops.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A step is done: later steps see its output.
    pub(crate) fn finish(&mut self, id: &Arc<str>, path: &StepPath, output: &Arc<Json>, journal: &Journal) {
        self.scope.set_in("steps", id, Arc::clone(output));
        if self.keeps_meta {
            let caught = journal.caught.get(path);
            let status = match (journal.steps.get(path), caught) {
                (_, Some((_, Some(out)))) if out.is_null() => "failed",
                (_, Some((_, Some(_)))) => "fallback",
                (Some(StepState::Skipped), _) => "skipped",
                _ => "succeeded",
            };
            let error = caught.map(|(error, _)| error_json(error));
            self.scope.set_in("meta", id, Arc::new(json!({ "status": status, "error": error })));
        }
    }

    /// A failure is dealt with: `error` is in reach.
    pub(crate) fn set_error(&mut self, error: &ErrorRecord) {
        self.scope.set("error", Arc::new(error_json(error)));
    }

    /// The state with what the run changed.
    pub(crate) fn set_state(&mut self, kept: &Arc<Json>, saved: &Map<String, Json>) {
        let mut state = kept.as_object().cloned().unwrap_or_default();
        state.extend(saved.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.scope.set("state", Arc::new(Json::Object(state)));
    }

    /// The frame of a branch that runs beside others: what its steps give stays in it.
    pub(crate) fn side(&self) -> Self {
        Self {
            scope: self.scope.clone(),
            accepted_at: self.accepted_at,
            prefix: self.prefix.clone(),
            keeps_meta: self.keeps_meta,
        }
    }

    /// The frame of one turn of a `repeat`.
    pub(crate) fn turn(&self, index: usize, prefix: &str) -> Self {
        let mut frame = Self { prefix: prefix.to_owned(), ..self.side() };
        frame.scope.set("index", Arc::new(Json::from(index)));
        frame
    }

    /// The frame of one loop pass.
    pub(crate) fn pass(&self, binding: &str, item: &Json, index: usize, prefix: &str) -> Self {
        let mut scope = self.scope.clone();
        scope.set(binding, Arc::new(item.clone()));
        scope.set("index", Arc::new(Json::from(index)));
        Self { scope, accepted_at: self.accepted_at, prefix: prefix.to_owned(), keeps_meta: self.keeps_meta }
    }
}

/// `error` as formulas see it.
fn error_json(error: &ErrorRecord) -> Json {
    json!({
        "class": error.class,
        "code": error.code,
        "message": error.message,
        "next": error.next,
        "step": error.path,
        "request": error.request,
        "response": error.response,
    })
}

/// ISO 8601 in UTC.
pub(crate) fn instant_text(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.micros()).map(|at| at.to_string()).unwrap_or_default()
}

/// The last id of a path: `up` of `push[17].up`.
#[must_use]
pub fn id_of(path: &StepPath) -> &str {
    let tail = path.rsplit('.').next().unwrap_or(path);
    tail.split('[').next().unwrap_or(tail)
}
