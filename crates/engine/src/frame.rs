//! What the formulas of one block see.

use std::sync::Arc;

use formula::{Scope, Shared};
use serde_json::{Value as Json, json};
use store::{ErrorRecord, Journal, RunId, StepPath, StepState, Timestamp};

use crate::{
    address::Addresses,
    decide::RunState,
    program::{Kind, Program, Rescue, Step},
};

/// The names in reach of a block: the run's, and what its loops bound.
#[derive(Clone)]
pub(crate) struct Frame {
    scope: Scope,
    // The same with the clock stopped at acceptance: for values that are computed again on replay.
    accepted_at: Timestamp,
    prefix: String,
    keeps_meta: bool,
    // What was kept from earlier runs; `None` where the recipe keeps nothing.
    kept: Option<Arc<Json>>,
    // How many saves of this run `state` shows.
    saves: usize,
    error: Option<Arc<Json>>,
    // Where steps of this run are called back; `None` where none is.
    addresses: Option<(Arc<Addresses>, RunId)>,
}

impl Frame {
    pub(crate) fn new(program: &Program, state: &RunState, now: Timestamp) -> Self {
        let mut scope = Scope::new();
        scope.set("trigger", Arc::clone(&state.journal.event));
        scope.set("params", Arc::clone(&state.journal.params));
        scope.set_now(&instant_text(now));
        let kept = match (&*state.journal.state, program.state.is_empty()) {
            (Json::Object(_), _) => Some(Arc::clone(&state.journal.state)),
            (_, false) => Some(Arc::new(Json::Object(program.state.clone()))),
            (_, true) => None,
        };
        if let Some(kept) = &kept {
            scope.set("state", Arc::clone(kept));
        }
        if program.reads.run {
            let run = json!({
                "id": state.id.to_string(),
                "recipe": &*program.slug,
                "version": program.version,
                "started_at": instant_text(state.journal.accepted_at),
            });
            scope.set("run", Arc::new(run));
        }
        Self {
            scope,
            accepted_at: state.journal.accepted_at,
            prefix: String::new(),
            keeps_meta: program.reads.meta,
            kept,
            saves: 0,
            error: None,
            addresses: state.addresses.clone().filter(|_| program.calls_back).map(|addresses| (addresses, state.id)),
        }
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

    /// The addresses of the steps of this pass are known from its start, so that somebody can be told.
    pub(crate) fn announce(&mut self, steps: &[Step]) {
        if self.addresses.is_none() || !self.keeps_meta {
            return;
        }
        for step in steps {
            if step.is_called_back() {
                let path = if self.prefix.is_empty() { step.id.to_string() } else { format!("{}.{}", self.prefix, step.id) };
                let meta = json!({ "status": null, "attempts": 0, "callback": self.address(step, &path) });
                self.scope.set_in("meta", &step.id, Arc::new(meta));
            }
            // Those inside of a loop have an address for each pass.
            if !matches!(step.kind, Kind::Each(_) | Kind::Repeat(_)) {
                step.kind.blocks().into_iter().for_each(|steps| self.announce(steps));
            }
        }
    }

    fn address(&self, step: &Step, path: &str) -> Option<String> {
        let (addresses, run) = self.addresses.as_ref().filter(|_| step.is_called_back())?;
        Some(addresses.callback(*run, path))
    }

    /// A step is done: later steps see its output.
    pub(crate) fn finish(&mut self, step: &Step, path: &StepPath, output: &Arc<Json>, journal: &Journal) {
        self.scope.set_in("steps", &step.id, Arc::clone(output));
        if self.keeps_meta {
            self.scope.set_in("meta", &step.id, Arc::new(meta(step, path, journal, self.address(step, path))));
            if let Kind::Parallel { branches, .. } = &step.kind {
                // What a branch does after it was waited for is not told: it would change what later steps saw.
                self.see_branches(branches, Some(output), journal);
            }
        }
    }

    /// How the steps of branches went is known outside of them, too; of branches that are over, only of the steps
    /// `output` names.
    pub(crate) fn see_branches(&mut self, branches: &[(Arc<str>, Vec<Step>)], output: Option<&Json>, journal: &Journal) {
        if !self.keeps_meta {
            return;
        }
        for (name, steps) in branches {
            let told = |step: &&Step| output.is_none_or(|output| output[&**name].get(&*step.id).is_some());
            steps.iter().filter(told).for_each(|step| self.see(step, journal, true));
        }
    }

    /// What the journal knows of the steps in a step that is passed over: later steps see it as if it had been gone
    /// through. Steps in loops are not seen, as they went in each pass in their own way.
    pub(crate) fn see_inside(&mut self, step: &Step, output: Option<&Json>, journal: &Journal, branch: bool) {
        match &step.kind {
            Kind::Parallel { branches, .. } => self.see_branches(branches, output, journal),
            Kind::Each(_) | Kind::Repeat(_) => {}
            kind => kind.blocks().into_iter().flatten().for_each(|step| self.see(step, journal, branch)),
        }
    }

    /// One of them, and those in it; what a step of a branch gives is read through the whole.
    fn see(&mut self, step: &Step, journal: &Journal, branch: bool) {
        let path: StepPath =
            if self.prefix.is_empty() { Arc::clone(&step.id) } else { format!("{}.{}", self.prefix, step.id).into() };
        let output = match (journal.caught.get(&path), journal.steps.get(&path)) {
            (Some((_, Some(output))), _) | (_, Some(StepState::Succeeded { output })) => Arc::clone(output),
            (_, Some(StepState::Skipped)) => Arc::default(),
            _ => return self.see_inside(step, None, journal, branch),
        };
        self.see_inside(step, Some(&output), journal, branch);
        if !branch {
            self.scope.set_in("steps", &step.id, output);
        }
        if self.keeps_meta {
            self.scope.set_in("meta", &step.id, Arc::new(meta(step, &path, journal, self.address(step, &path))));
        }
    }

    /// What a fallback sees: the same, and the error.
    pub(crate) fn scope_of(&self, error: &ErrorRecord) -> Scope {
        let mut scope = self.scope.clone();
        scope.set("error", Arc::new(error_json(error)));
        scope
    }

    /// Brings an error in reach, or out of it; gives what was in reach before.
    pub(crate) fn set_error(&mut self, error: Option<Arc<Json>>) -> Option<Arc<Json>> {
        self.scope.set("error", error.clone().unwrap_or_default());
        std::mem::replace(&mut self.error, error)
    }

    /// The state with what the run changed so far.
    pub(crate) fn see_state(&mut self, state: &RunState) {
        let Some(kept) = &self.kept else { return };
        if self.saves != state.saves() {
            self.saves = state.saves();
            let mut seen = kept.as_object().cloned().unwrap_or_default();
            seen.extend(state.saved.iter().map(|(name, value)| (name.clone(), value.clone())));
            self.scope.set("state", Arc::new(Json::Object(seen)));
        }
    }

    /// The frame of a branch that runs beside others: what its steps give stays in it.
    pub(crate) fn side(&self) -> Self {
        self.clone()
    }

    /// The frame of one turn of a `repeat`.
    pub(crate) fn turn(&self, index: usize, prefix: &str) -> Self {
        let mut frame = Self { prefix: prefix.to_owned(), ..self.side() };
        frame.scope.set("index", Json::from(index));
        frame
    }

    /// The frame of one loop pass.
    pub(crate) fn pass(&self, binding: &str, item: &Shared, index: usize, prefix: &str) -> Self {
        let mut frame = self.turn(index, prefix);
        frame.scope.set(binding, item.clone());
        frame
    }
}

/// `meta.<id>` as formulas see it.
fn meta(step: &Step, path: &StepPath, journal: &Journal, callback: Option<String>) -> Json {
    let caught = journal.caught.get(path).filter(|(_, output)| output.is_some());
    let status = match (journal.steps.get(path), caught, &step.rescue) {
        (_, Some(_), Some(Rescue::Value(_))) => "fallback",
        (_, Some(_), _) => "failed",
        (Some(StepState::Skipped), ..) => "skipped",
        _ => "succeeded",
    };
    // A step that is passed over has no times of its own.
    let lived = journal.lived.get(path).filter(|_| status != "skipped");
    json!({
        "status": status,
        "attempts": lived.map_or(0, |lived| lived.attempts),
        "started_at": lived.map(|lived| instant_text(lived.began)),
        "finished_at": lived.map(|lived| instant_text(lived.finished)),
        "error": caught.map(|(error, _)| error_json(error)),
        "callback": callback,
    })
}

/// `error` as formulas see it.
pub(crate) fn error_json(error: &ErrorRecord) -> Json {
    json!({
        "class": error.class,
        "code": error.code,
        "message": error.message,
        "next": error.next,
        "step": error.path,
        "request": error.request,
        "response": error.response,
        "causes": error.causes,
    })
}

/// ISO 8601 in UTC.
pub(crate) fn instant_text(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.micros()).map(|at| at.to_string()).unwrap_or_default()
}

/// The path of the step that this path takes back. `walk[3].undo` is a step named undo in a pass.
pub(crate) fn undone_by(path: &str) -> Option<&str> {
    path.strip_suffix(".undo").filter(|step| !step.ends_with(']'))
}

/// The last id of a path: `up` of `push[17].up`.
#[must_use]
pub fn id_of(path: &str) -> &str {
    let tail = path.rsplit('.').next().unwrap_or(path);
    tail.split('[').next().unwrap_or(tail)
}
