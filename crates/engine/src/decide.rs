//! What a run does next: a walk over the recipe along the journal. Pure: no await in this file.
//!
//! The walk starts at the first step every time. Steps the journal knows are taken from there; pure
//! steps it does not know are computed; the first effects it does not know are what to do next. So
//! a run resumes on any process from nothing but its recipe and its journal.

mod blocks;
mod effects;
mod late;
mod steps;
mod streams;
mod undo;
mod waits;

use std::sync::Arc;

use connector::ErrorClass;
use formula::Shared;
use serde_json::{Map, Value as Json};
use store::{
    Ending, Entry, ErrorRecord, ITEMS_FAILED, Journal, PathMap, PathSet, RunId, StepPath, StepState, Then, Timestamp, Via,
    WaitingFor,
};

use crate::{
    address::Addresses,
    frame::Frame,
    gate::{Pass, Seat},
    program::{DoStep, Program},
};

pub use self::effects::REPEAT_TOO_LATE;

/// A list that `each` walks may hold so many items while it is held in memory.
pub const EACH_ITEMS_MAX: usize = 10_000;
/// The most turns of a `repeat` that names none itself.
pub const REPEAT_TURNS_MAX: usize = 10_000;
/// An attempt that ended with the process itself is repeated so many times beyond the retry policy.
pub const CRASHED_ATTEMPTS_MAX: u32 = 20;

/// One run in memory: its journal, and what was decided since the last commit.
#[derive(Debug)]
pub struct RunState {
    /// The run.
    pub id: RunId,
    /// The journal, kept up to date with every entry.
    pub journal: Journal,
    /// Entries decided but not yet durable.
    pub pending: Vec<Entry>,
    /// Attempts this process has under way.
    pub in_flight: PathSet,
    /// The most attempts any step needed.
    pub attempts: i32,
    /// When something is due although attempts are under way, as decided last.
    pub wake: Option<Timestamp>,
    /// What `save` steps changed, to be written with the run's end.
    pub saved: Map<String, Json>,
    /// The `save` steps that count in it already.
    saves: PathSet,
    /// What the caller is answered, once a `respond` was reached.
    pub response: Option<Arc<Json>>,
    /// Makes the addresses at which steps are called back.
    pub addresses: Option<Arc<Addresses>>,
    /// Loops under way: what their passes gave so far.
    loops: PathMap<LoopState>,
    /// Its place before the gates of connections; a trial has none.
    pub(crate) seat: Option<Seat>,
}

/// A loop under way.
#[derive(Debug, Default)]
struct LoopState {
    /// Of a stream those of one page.
    items: Arc<Vec<Shared>>,
    /// Of `each`, by pass: what it gave. Of `repeat` only the last turn's.
    results: Vec<Option<Arc<Json>>>,
    /// Passes, or turns, that are done; of `each` all before the first that is not.
    done: usize,
    failed: usize,
    /// Why the loop fails once what is under way in it is over.
    broken: Option<Box<ErrorRecord>>,
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Begin these attempts once everything pending is durable.
    Act(Vec<Attempt>),
    /// Wait for the attempts under way.
    InFlight,
    /// Nothing before `until`.
    Wait {
        /// For what.
        reason: WaitingFor,
        /// Until when.
        until: Timestamp,
    },
    /// The run is over; its end is pending.
    End(Then),
}

/// One attempt to make.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The step's path.
    pub path: StepPath,
    /// What it calls.
    pub(crate) step: Arc<DoStep>,
    /// Counted from 1.
    pub number: u32,
    /// An earlier one under the same key may have happened.
    pub in_doubt: bool,
    /// What it sends.
    pub input: Arc<Json>,
    /// How often the step, when somebody reopened it, sent something else than before.
    pub turn: u32,
    /// When the first attempt began.
    pub began: Timestamp,
    /// When this one began.
    pub started: Timestamp,
    /// The page of a stream that it asks for.
    pub(crate) page: Option<PageOf>,
    /// What let it through the gates.
    pub(crate) pass: Option<Arc<Pass>>,
}

/// A page of a stream.
#[derive(Debug, Clone)]
pub(crate) struct PageOf {
    /// What it is asked for with; `None` for the first.
    pub(crate) cursor: Option<Json>,
}

impl RunState {
    /// A new run, its first entry pending.
    #[must_use]
    pub fn new(id: RunId, via: &'static str, event: Arc<Json>, params: Arc<Json>, now: Timestamp) -> Self {
        let journal = Journal::new(Via::parse(via).unwrap_or(Via::Api), Arc::clone(&event), Arc::clone(&params), now);
        let accepted = Entry::Accepted { at: now, via: via.into(), event, params, state: Arc::default(), trace: None };
        Self { pending: vec![accepted], ..Self::resumed(id, journal, 0) }
    }

    /// The trace its caller sent, before anything of the run is kept.
    pub(crate) fn set_trace(&mut self, sent: Option<Arc<str>>) {
        if let (Some(sent), Some(Entry::Accepted { trace, .. })) = (sent, self.pending.first_mut()) {
            *trace = Some(Arc::clone(&sent));
            self.journal.trace = Some(sent);
        }
    }

    /// A run as its journal tells it.
    #[must_use]
    pub fn resumed(id: RunId, journal: Journal, attempts: i32) -> Self {
        Self {
            id,
            journal,
            pending: Vec::new(),
            in_flight: PathSet::default(),
            attempts,
            wake: None,
            saved: Map::new(),
            saves: PathSet::default(),
            response: None,
            addresses: None,
            loops: PathMap::default(),
            seat: None,
        }
    }

    /// The same run with the state its recipe kept from earlier runs, in its first entry.
    #[must_use]
    pub fn with_state(mut self, state: Arc<Json>) -> Self {
        if let Some(Entry::Accepted { state: first, .. }) = self.pending.first_mut() {
            *first = Arc::clone(&state);
        }
        self.journal.state = state;
        self
    }

    /// How many `save` steps count in `saved`.
    pub(crate) fn saves(&self) -> usize {
        self.saves.len()
    }

    /// Attempts made before somebody reopened the step.
    #[must_use]
    pub fn attempts_before(&self, path: &StepPath) -> u32 {
        self.journal.reopened.get(path).copied().unwrap_or(0)
    }

    /// Takes an entry into the journal in memory and holds it for the next commit.
    pub fn push(&mut self, entry: Entry) {
        if let Entry::Started { n, .. } = &entry {
            self.attempts = self.attempts.max(i32::try_from(*n).unwrap_or(i32::MAX));
        }
        match self.journal.apply(&entry) {
            Ok(()) => self.pending.push(entry),
            // Never written, so the journal stays readable; the test suites assert it never happens.
            Err(illegal) => {
                debug_assert!(false, "{illegal}");
                tracing::error!(run.id = %self.id, %illegal, "engine.decide: an entry was refused");
            }
        }
    }
}

/// Decides what a run does next. Entries it decides on the way are pending in `state`.
pub fn decide(program: &Program, state: &mut RunState, now: Timestamp) -> Next {
    let deadline = program.timeout.map(|timeout| state.journal.since.after(timeout));
    let late = deadline.is_some_and(|deadline| now >= deadline);
    state.wake = None;
    if late && !state.in_flight.is_empty() {
        return Next::InFlight;
    }
    let mut frame = Frame::new(program, state, now);
    frame.announce(&program.steps);
    let mut walk = Walk::new(state, now);
    let mut flow = match &walk.state.journal.given_up {
        Some(given_up) => Flow::Stop(Stop::Failed(Box::new(let_go(given_up)))),
        None if late => Flow::Stop(Stop::Failed(Box::new(too_late()))),
        None => walk.block(&program.steps, &mut frame, ""),
    };
    // What is under way is waited for, so that it can be taken back too.
    if matches!(flow, Flow::Stop(Stop::Failed(_))) && walk.attempts.is_empty() && walk.state.in_flight.is_empty() {
        flow = walk.undo_all(program, flow);
    }
    let deadline = deadline.filter(|_| !late);
    if matches!(flow, Flow::Done(_) | Flow::Stop(Stop::Returned(_))) && walk.left_in_doubt() {
        let mut frame = Frame::new(program, walk.state, now);
        if let (doubt @ Flow::Stop(Stop::Doubt(_)), _) = walk.look(|walk| walk.block(&program.steps, &mut frame, "")) {
            flow = doubt;
        }
    }
    // What is to begin now is no call that a crash left behind.
    if matches!(flow, Flow::Stop(Stop::Doubt(_))) && walk.attempts.is_empty() {
        walk.tell_all_doubts(program);
    }
    let Walk { attempts, wake, .. } = walk;
    state.wake = wake.map(|(at, _)| at);
    if !attempts.is_empty() {
        return Next::Act(attempts);
    }
    match (flow, wake) {
        // What is under way is waited for, so that its outcome is known.
        _ if !state.in_flight.is_empty() => Next::InFlight,
        (Flow::Done(_), _) => end(state, now, Stop::Returned(None)),
        (Flow::Stop(stop), _) => end(state, now, stop),
        (Flow::Blocked, Some((until, reason))) => {
            Next::Wait { reason, until: deadline.map_or(until, |deadline| until.min(deadline)) }
        }
        // A blocked walk always leaves a reason behind.
        (Flow::Blocked, None) => end(state, now, Stop::Failed(internal("the run has nothing to do and nothing to wait for"))),
    }
}

fn too_late() -> ErrorRecord {
    ErrorRecord {
        class: ErrorClass::Timeout.as_str().to_owned(),
        code: "RUN_TIMEOUT".to_owned(),
        message: "The run took longer than the recipe allows.".to_owned(),
        next: Some("Raise settings.timeout or find out which step took so long, then resume the run.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    }
}

/// How a run ends that a person gave up.
pub(crate) const GIVEN_UP: &str = "GIVEN_UP";

fn let_go((by, reason): &(String, String)) -> ErrorRecord {
    ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: GIVEN_UP.to_owned(),
        message: format!("{by} gave this run up: {}.", reason.trim_end_matches('.')),
        next: Some("Where something could not be taken back, mend that and resume the run: only that is tried again.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    }
}

fn internal(message: &str) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Internal.as_str().to_owned(),
        code: "INTERNAL".to_owned(),
        message: format!("Liaison failed: {message}."),
        next: Some("Report this with the run's id, then resume the run.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}

fn end(state: &mut RunState, now: Timestamp, stop: Stop) -> Next {
    let (how, out, err, then) = match stop {
        Stop::Returned(out) if let Some(error) = partly(&state.journal) => {
            (Ending::Failed, out, Some(error.clone()), Then::Failed { at: now, error })
        }
        Stop::Returned(out) => (Ending::Succeeded, out, None, Then::Succeeded { at: now }),
        Stop::Failed(error) | Stop::Doubt(error) => (Ending::Failed, None, Some(error.clone()), Then::Failed { at: now, error }),
    };
    // Request and answer stand at the step; once is enough.
    let err = err.map(|error| Box::new(ErrorRecord { request: None, response: None, ..*error }));
    state.push(Entry::Ended { at: now, how, out, err, by: None });
    Next::End(then)
}

/// Everything was done but the passes that are held for a person.
fn partly(journal: &Journal) -> Option<Box<ErrorRecord>> {
    let first = journal.held.iter().min_by_key(|path| (path.len(), Arc::clone(path)))?;
    let (first, _) = journal.caught.get(first)?;
    let (items, they) = match journal.held.len() {
        1 => ("1 item".to_owned(), "it"),
        count => (format!("{count} items"), "they"),
    };
    Some(Box::new(ErrorRecord {
        class: ErrorClass::Partial.as_str().to_owned(),
        code: ITEMS_FAILED.to_owned(),
        message: format!("{items} failed; everything else is done. The first: {}", first.message),
        next: Some(format!("Put right why {they} failed, then resume the run: nothing else is done again.")),
        path: first.path.clone(),
        request: None,
        response: None,
        causes: Vec::new(),
    }))
}

/// How a block of steps went.
enum Flow {
    /// All steps are done; the last one's output.
    Done(Arc<Json>),
    /// Something is under way or due later.
    Blocked,
    /// The steps after it are not reached.
    Stop(Stop),
}

/// Why the steps after one are not reached.
enum Stop {
    /// The run ends well.
    Returned(Option<Arc<Json>>),
    /// A step failed; the nearest `catch` or fallback deals with it, else the run fails.
    Failed(Box<ErrorRecord>),
    /// An effect may have happened. Only a person can say, so no `catch` deals with it.
    Doubt(Box<ErrorRecord>),
}

/// One walk over the recipe.
struct Walk<'a> {
    state: &'a mut RunState,
    now: Timestamp,
    attempts: Vec<Attempt>,
    /// The next instant at which something is due, and what for.
    wake: Option<(Timestamp, WaitingFor)>,
    /// Nothing is begun and nothing is decided: only what stands in the journal is walked over.
    looking: bool,
    /// A look came by an attempt that is under way.
    flying: bool,
    /// Finished steps that can be taken back, in the order a look came by them.
    undos: Vec<undo::Undo>,
    /// The look is for late passes, and found these.
    late: Option<late::Late>,
}

impl<'a> Walk<'a> {
    const fn new(state: &'a mut RunState, now: Timestamp) -> Self {
        Self { state, now, attempts: Vec::new(), wake: None, looking: false, flying: false, undos: Vec::new(), late: None }
    }

    /// Walks over what the journal knows. Also tells whether an attempt is under way there.
    fn look(&mut self, walk: impl FnOnce(&mut Self) -> Flow) -> (Flow, bool) {
        let (looking, flying) = (self.looking, self.flying);
        (self.looking, self.flying) = (true, false);
        let flow = walk(self);
        let found = self.flying;
        (self.looking, self.flying) = (looking, flying || found);
        (flow, found)
    }

    /// Walks as usual in the middle of a look.
    fn as_usual<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        let (looking, late) = (std::mem::replace(&mut self.looking, false), self.late.take());
        let given = walk(self);
        (self.looking, self.late) = (looking, late);
        given
    }

    /// Whether branches that nobody waited for left calls behind whose outcome is not known.
    fn left_in_doubt(&self) -> bool {
        let open = |state: &StepState| matches!(state, StepState::Running { .. } | StepState::Uncertain { .. });
        self.state.in_flight.is_empty() && self.attempts.is_empty() && self.state.journal.steps.values().any(open)
    }

    /// Something is due at an instant.
    fn wake_at(&mut self, at: Timestamp, reason: WaitingFor) {
        if self.wake.is_none_or(|(known, _)| at < known) {
            self.wake = Some((at, reason));
        }
    }

    /// Takes a decision into the journal.
    fn push(&mut self, entry: Entry) {
        if !self.looking {
            self.state.push(entry);
        }
    }

    /// Records why a step cannot go on, before or outside of an attempt.
    fn fail(&mut self, path: &StepPath, error: Box<ErrorRecord>) -> Flow {
        self.push(Entry::Failed { p: Arc::clone(path), n: 0, at: self.now, err: error.clone(), retry: None, doubt: false });
        Flow::Stop(Stop::Failed(at_path(error, path)))
    }
}

/// The error with the path of the step that failed.
fn at_path(mut error: Box<ErrorRecord>, path: &StepPath) -> Box<ErrorRecord> {
    error.path = Some(path.to_string());
    error
}
