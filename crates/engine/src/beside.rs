//! What a commit of a run changes beside it: the caller's answer, kept state, questions, the recipe that
//! is told of a failure. And what comes back: answers to steps that wait.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use store::{
    Answer, Approval, ApprovalId, Beside, Entry, ErrorRecord, ITEMS_FAILED, Parent, RecipeId, RunId, StepPath, StepState,
    StoreError, Then, Timestamp, Via, answer_place,
};

use crate::{
    Engine, Event,
    decide::{GIVEN_UP, RunState},
    frame::{error_json, instant_text},
    program::Program,
    resume::given_up_well,
};

/// What of a run its commits need besides its journal.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) recipe: RecipeId,
    pub(crate) via: Via,
    pub(crate) lane: Option<[u8; 16]>,
    pub(crate) parent: Option<Parent>,
    /// Steps whose answers were taken in since the last commit.
    pub(crate) taken: Vec<StepPath>,
}

/// A run that fails, as others are told of it.
#[derive(Debug)]
pub(crate) struct Failed<'r> {
    pub(crate) run: RunId,
    pub(crate) via: Via,
    pub(crate) accepted_at: Timestamp,
    pub(crate) event: &'r Arc<Json>,
    /// The chunk that says so.
    pub(crate) seq: i32,
}

impl Engine {
    /// The changes that go with a commit of these entries.
    pub(crate) fn besides(
        &self,
        program: &Program,
        state: &RunState,
        about: &mut About,
        entries: &[Entry],
        then: &Then,
    ) -> Vec<Beside> {
        let mut changes = Vec::new();
        if !about.taken.is_empty() {
            changes.push(Beside::Taken(std::mem::take(&mut about.taken)));
        }
        changes.extend(entries.iter().filter_map(|entry| self.question(state.id, about.recipe, entry)));
        let Some(at) = then.ended_at() else { return changes };
        if let Some(values) = saved(state, then) {
            changes.push(Beside::Keep { recipe: about.recipe, values: values.clone(), at });
        }
        let out = entries.iter().rev().find_map(|entry| match entry {
            Entry::Ended { out, .. } => Some(out.clone()),
            _ => None,
        });
        if let Some(parent) = &about.parent {
            changes.push(answer_to(parent, state.id, &program.slug, then, out.flatten(), at));
        }
        // Whoever gave it up knows.
        if let Some(error) = then.error().filter(|error| error.code != GIVEN_UP || given_up_well(&state.journal).is_none()) {
            let failed = Failed {
                run: state.id,
                via: about.via,
                accepted_at: state.journal.accepted_at,
                event: &state.journal.event,
                seq: state.journal.next_seq,
            };
            changes.extend(self.tell_of(program, &failed, error));
        }
        changes
    }

    fn question(&self, run: RunId, recipe: RecipeId, entry: &Entry) -> Option<Beside> {
        let Entry::Waits { p, at, what, until, ask: Some(ask) } = entry else { return None };
        (what == "approval").then(|| {
            Beside::Ask(Box::new(Approval {
                id: ApprovalId::new(*at, self.random()),
                run,
                path: Arc::clone(p),
                recipe,
                question: Arc::clone(ask),
                asked_at: *at,
                expires_at: *until,
                decided_at: None,
                decision: None,
            }))
        })
    }

    /// The run of the recipe that is told of this failure. A run that was itself told of one tells nobody:
    /// two recipes that watch each other would never come to rest.
    pub(crate) fn tell_of(&self, program: &Program, failed: &Failed<'_>, error: &ErrorRecord) -> Option<Beside> {
        let Failed { run, via, accepted_at, event, seq } = failed;
        let slug = program.on_failure.as_ref().filter(|_| *via != Via::Failure)?;
        let catalogue = self.catalogue();
        let Some(recipe) = catalogue.recipes.get(slug) else {
            metrics::counter!("liaison_failures_untold_total", "recipe" => crate::measure::recipe(&program.slug)).increment(1);
            tracing::error!(run.id = %run, recipe = slug, "run.on_failure: the recipe to tell is switched off or missing; nobody is told");
            return None;
        };
        let data = json!({
            "run": {
                "id": run.to_string(),
                "recipe": &*program.slug,
                "version": program.version,
                "started_at": instant_text(*accepted_at),
            },
            "recipe": &*program.slug,
            "step": error.path,
            "error": error_json(error),
            "trigger": &***event,
        });
        let event = Event {
            data: Arc::new(data),
            via: Via::Failure,
            // A run that is resumed and fails again is told of again.
            key: Some(format!("failure:{run}:{seq}").into()),
            key_wins: true,
            fingerprint: None,
            replay_of: None,
        };
        self.queued(recipe, event).map(|run| Beside::Start(Arc::new(run)))
    }
}

/// What a run that ends like this keeps for later ones. It does so once: when everything is done but some items, and
/// not again when those are, too.
pub(crate) fn saved<'a>(state: &'a RunState, then: &Then) -> Option<&'a Map<String, Json>> {
    let (done, before) = match then {
        Then::Succeeded { .. } => (true, state.journal.partial_ends),
        _ => (then.error().is_some_and(|error| error.code == ITEMS_FAILED), state.journal.partial_ends.saturating_sub(1)),
    };
    (done && before == 0 && !state.saved.is_empty()).then_some(&state.saved)
}

/// What a called run's end means for its caller.
pub(crate) fn answer_to(parent: &Parent, run: RunId, slug: &str, then: &Then, out: Option<Arc<Json>>, at: Timestamp) -> Beside {
    let (out, err) = match then {
        Then::Succeeded { .. } => (Some(out.unwrap_or_default()), None),
        Then::Failed { error, .. } => (None, Some(called_failed(run, slug, error))),
        _ => (None, Some(called_cancelled(run, slug))),
    };
    let answer = Answer { path: parent.place_of(run), at, by: run.to_string(), out, err };
    Beside::Answer { run: parent.run, answer }
}

/// The step an answer belongs to.
fn step_of(place: &StepPath) -> StepPath {
    place.split_once(' ').map_or_else(|| Arc::clone(place), |(step, _)| step.into())
}

/// The failure of a step whose called run failed.
pub(crate) fn called_failed(run: RunId, slug: &str, error: &ErrorRecord) -> Box<ErrorRecord> {
    let failed = ErrorRecord {
        class: error.class.clone(),
        code: error.code.clone(),
        message: format!("The called recipe {slug} failed: {}", error.message),
        next: Some(format!("Look at its run {run} and mend what is wrong. Resuming this run resumes that one.")),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    };
    Box::new(failed.caused_by(error, Some(run.to_string())))
}

/// The failure of a step whose called run was cancelled.
pub(crate) fn called_cancelled(run: RunId, slug: &str) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: "cancelled".to_owned(),
        code: "CALL_CANCELLED".to_owned(),
        message: format!("The run {run} of the called recipe {slug} was cancelled."),
        next: Some("Replay the event if it is to be done after all.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}

/// Takes answers into the journal of a run that was claimed; gives the steps whose answers are done with.
pub(crate) fn take_answers(state: &mut RunState, answers: Vec<Answer>, now: Timestamp) -> Vec<StepPath> {
    let mut taken = Vec::new();
    for Answer { path: place, by, out, err, .. } in answers {
        let path = step_of(&place);
        match state.journal.steps.get(&path) {
            // The end of a run it called before it was resumed and called another.
            Some(StepState::Waiting { run: Some(run), .. }) if **run != *by => {}
            Some(StepState::Waiting { .. }) => state.push(match err {
                Some(err) => Entry::Failed { p: Arc::clone(&path), n: 0, at: now, err, retry: None, doubt: false },
                None => Entry::Settled { p: Arc::clone(&path), at: now, by, out: out.unwrap_or_default() },
            }),
            // The step gave up waiting.
            Some(StepState::Succeeded { .. } | StepState::Failed { .. } | StepState::Skipped) => {}
            // The run has not come to it yet.
            _ => continue,
        }
        taken.push(place);
    }
    taken
}

/// Where answers that steps wait for are kept.
pub(crate) fn listens(state: &RunState) -> Vec<StepPath> {
    let places = |(path, step): (&StepPath, &StepState)| match step {
        StepState::Waiting { run: Some(run), .. } => Some(answer_place(path, run)),
        StepState::Waiting { what, .. } if matches!(&**what, "callback" | "approval" | "call") => Some(Arc::clone(path)),
        _ => None,
    };
    state.journal.steps.iter().filter_map(places).collect()
}

impl Engine {
    /// What the recipe kept from earlier runs, for a run that begins now; `None` where it keeps nothing.
    pub(crate) async fn found(&self, recipe: RecipeId, program: &Program) -> Result<Option<Entry>, StoreError> {
        if program.state.is_empty() {
            return Ok(None);
        }
        let mut state = program.state.clone();
        for (name, value) in self.store.recipe_state(recipe).await? {
            if let Some(slot) = state.get_mut(&name) {
                *slot = value;
            }
        }
        Ok(Some(Entry::Found { at: self.now(), state: Arc::new(Json::Object(state)) }))
    }
}
