//! One run in memory, for recipe tests: the real walk, a script in place of the systems, virtual time.
//!
//! What a run does next is decided by [`crate::decide`], what an outcome means by the same function that
//! settles real attempts, retries included; only the calls are scripted and only the clock is not real.
//! Nothing here touches the network, a store or the machine's clock, so the same script always gives
//! the same [`Trial`].

mod again;
mod script;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use connector::Effect;
use serde_json::{Map, Value as Json};
use store::{Entry, ErrorRecord, RunId, StepPath, StepState, Then, Timestamp, WaitingFor};

pub use self::{
    again::{CUTS_MAX, Fault, Harm, Survived, crash},
    script::{Failing, Script},
};
use crate::{
    beside::saved,
    decide::{Attempt, Next, RunState, decide},
    drive::settled,
    intake::{event_scope, wanted},
    program::Program,
};

/// A run that decides more often than this does not end in a test.
pub const TURNS_MAX: usize = 100_000;
/// A run may take so much virtual time, ten years: enough for every wait somebody means.
pub const VIRTUAL_TIME_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// Tests do not throw dice: pauses that are spread at random take half of their length.
const DICE: f64 = 0.5;
/// A wait that nothing ends by itself is looked at again after ten years; one this long is such a wait.
const UNLIMITED: Duration = Duration::from_secs(9 * 365 * 24 * 3600);
/// Who answers for people in the journal of a test.
const PERSON: &str = "test";

/// How a run in memory ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// All steps are done, or a `return` or `stop` was reached.
    Succeeded,
    /// A step failed for good.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It stands still: nothing in the script lets it go on.
    Waiting(WaitingFor),
    /// The trigger did not want the event.
    Filtered,
    /// A step wants to call a system and the script has no answer for it.
    Missing(Missing),
    /// The event or a value of the script does not fit the recipe; the sentence says which.
    Unfit(String),
    /// It took more than [`TURNS_MAX`] turns or [`VIRTUAL_TIME_MAX`].
    Endless,
}

/// A call the script has no answer for.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    /// The step's path.
    pub path: StepPath,
    /// Whether its answer is a list that is gone through page by page.
    pub is_stream: bool,
    /// What it calls, as written: `sf.query`.
    pub calls: String,
    /// What it would have sent.
    pub input: Arc<Json>,
}

/// One call a run made.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The step's path; of a page of a stream the path of the call that fetched it.
    pub path: StepPath,
    /// The step that began the stream, when a page of one was fetched.
    pub stream: Option<Arc<str>>,
    /// What it sent.
    pub input: Arc<Json>,
    /// What making it again does.
    pub effect: Effect,
    /// How many attempts it took.
    pub attempts: u32,
}

/// What happened in one run in memory.
#[derive(Debug, Clone)]
pub struct Trial {
    /// How it ended.
    pub end: End,
    /// Its calls, in the order they were first made.
    pub calls: Vec<Call>,
    /// Its result.
    pub output: Option<Arc<Json>>,
    /// Why it failed.
    pub error: Option<Box<ErrorRecord>>,
    /// The state after it.
    pub state: Json,
    /// What it answered its caller, if it did: `status`, `headers`, `body`.
    pub response: Option<Json>,
    /// Its journal, commit by commit, each with the instant it was made.
    pub commits: Vec<(Timestamp, Vec<Entry>)>,
    /// The instant it began.
    pub began: Timestamp,
    /// The instant it ended.
    pub ended: Timestamp,
}

impl Call {
    /// Whether an id or a path names the step that made it.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        match &self.stream {
            Some(step) => name == &**step,
            None => name == &*self.path || name == short_name(&self.path),
        }
    }
}

impl Trial {
    /// Every entry of its journal.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.commits.iter().flat_map(|(_, entries)| entries)
    }

    fn empty(at: Timestamp, end: End) -> Self {
        Self {
            end,
            calls: Vec::new(),
            output: None,
            error: None,
            state: Json::Null,
            response: None,
            commits: Vec::new(),
            began: at,
            ended: at,
        }
    }
}

/// What a test calls the step of a path: its id, or `id.undo` for what takes it back.
#[must_use]
pub fn short_name(path: &str) -> &str {
    let start = |path: &str| path.rfind('.').map_or(0, |dot| dot + 1);
    match crate::frame::undone_by(path) {
        Some(step) => &path[start(step)..],
        None => crate::id_of(path),
    }
}

/// Runs a program once by a script.
#[must_use]
pub fn run(program: &Program, script: &Script) -> Trial {
    let now = script.at;
    if let Err(sentence) = script.fits(program) {
        return Trial::empty(now, End::Unfit(sentence));
    }
    let kept = script.kept(program);
    let empty = |end| Trial { state: Json::clone(&kept), ..Trial::empty(now, end) };
    let params = Arc::new(program.bind_params(&script.params));
    match wanted(program, &event_scope(&script.event, &params, now)) {
        Ok(true) => {}
        Ok(false) => return empty(End::Filtered),
        // As in life: the event is kept as a failed run.
        Err(error) => return Trial { error: Some(error), ..empty(End::Failed) },
    }
    // The same in every test, so that ids made from it are too.
    let id = RunId::new(now, [7; 10]);
    let state = RunState::new(id, script.via(program), Arc::clone(&script.event), params, now);
    let state = if program.state.is_empty() { state } else { state.with_state(kept) };
    Walker::new(program, script, state, now).walk()
}

/// One run on its way.
struct Walker<'a> {
    program: &'a Program,
    script: &'a Script,
    state: RunState,
    under_way: VecDeque<Attempt>,
    now: Timestamp,
    /// What it saved, once it is over.
    keeps: Map<String, Json>,
    trial: Trial,
}

impl<'a> Walker<'a> {
    fn new(program: &'a Program, script: &'a Script, state: RunState, now: Timestamp) -> Self {
        // What the end is until there is one.
        let trial = Trial::empty(now, End::Endless);
        Self { program, script, state, under_way: VecDeque::new(), now, keeps: Map::new(), trial }
    }

    fn walk(mut self) -> Trial {
        for _ in 0..TURNS_MAX {
            if let Some(end) = self.turn() {
                self.trial.end = end;
                break;
            }
        }
        self.commit();
        self.trial.ended = self.now;
        self.trial.response = self.state.response.as_deref().cloned();
        let mut state = self.script.kept(self.program).as_object().cloned().unwrap_or_default();
        state.append(&mut self.keeps);
        self.trial.state = Json::Object(state);
        self.trial
    }

    /// Decides once, as the driver of real runs does; the end, when there is one.
    fn turn(&mut self) -> Option<End> {
        match decide(self.program, &mut self.state, self.now) {
            Next::Act(attempts) => {
                self.commit();
                for attempt in attempts {
                    self.begin(attempt);
                }
            }
            Next::InFlight => {}
            Next::Wait { reason, until } => {
                self.commit();
                if self.answer_waits() {
                    return None;
                }
                let somebody = matches!(reason, WaitingFor::Approval | WaitingFor::Callback);
                if somebody && until.since(self.now) > UNLIMITED {
                    return Some(End::Waiting(reason));
                }
                if until.since(self.trial.began) > VIRTUAL_TIME_MAX {
                    return Some(End::Endless);
                }
                self.now = self.now.max(until);
            }
            Next::End(then) => return Some(self.over(then)),
        }
        let attempt = self.under_way.pop_front()?;
        match self.script.answer(&attempt, &self.state) {
            Some(outcome) => {
                settled(&mut self.state, &attempt, outcome, self.now, DICE);
                None
            }
            None => {
                let Attempt { path, step, input, page, .. } = attempt;
                // What a stream gives is given for the step that begins it.
                let path = step.stream.clone().unwrap_or(path);
                Some(End::Missing(Missing { path, calls: step.name.clone(), input, is_stream: page.is_some() }))
            }
        }
    }

    fn begin(&mut self, attempt: Attempt) {
        self.state.in_flight.insert(Arc::clone(&attempt.path));
        match self.trial.calls.iter_mut().rfind(|call| call.path == attempt.path) {
            Some(call) => call.attempts += 1,
            None => {
                let (path, input) = (Arc::clone(&attempt.path), Arc::clone(&attempt.input));
                let (stream, effect) = (attempt.step.stream.clone(), (attempt.step.action.effect)(&input));
                self.trial.calls.push(Call { path, stream, input, effect, attempts: 1 });
            }
        }
        self.under_way.push_back(attempt);
    }

    /// Lets the script answer for the people and callers that steps wait for; false when it has nothing to say.
    fn answer_waits(&mut self) -> bool {
        let waiting = self.state.journal.steps.iter().filter(|(_, state)| matches!(state, StepState::Waiting { .. }));
        let mut answers: Vec<_> =
            waiting.filter_map(|(path, _)| Some((Arc::clone(path), Arc::clone(self.script.given(path)?)))).collect();
        answers.sort_by(|one, other| one.0.cmp(&other.0));
        let any = !answers.is_empty();
        for (p, out) in answers {
            self.state.push(Entry::Settled { p, at: self.now, by: PERSON.to_owned(), out });
        }
        any
    }

    fn over(&mut self, then: Then) -> End {
        self.keeps = saved(&self.state, &then).cloned().unwrap_or_default();
        for entry in &self.state.pending {
            if let Entry::Ended { out, err, .. } = entry {
                self.trial.output.clone_from(out);
                self.trial.error.clone_from(err);
            }
        }
        match then {
            Then::Succeeded { .. } => End::Succeeded,
            Then::Cancelled { .. } => End::Cancelled,
            Then::Waiting { reason, .. } => End::Waiting(reason),
            _ => End::Failed,
        }
    }

    /// Takes everything pending for durable.
    fn commit(&mut self) {
        let entries = std::mem::take(&mut self.state.pending);
        if !entries.is_empty() {
            self.trial.commits.push((self.now, entries));
        }
    }
}
