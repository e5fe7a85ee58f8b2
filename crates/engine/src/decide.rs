//! What a run does next: a walk over the recipe along the journal. Pure: no await in this file.
//!
//! The walk starts at the first step every time. Steps the journal knows are taken from there; pure
//! steps it does not know are computed; the first effects it does not know are what to do next. So
//! a run resumes on any process from nothing but its recipe and its journal.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use connector::{Effect, ErrorClass};
use serde_json::{Value as Json, json};
use store::{Ending, Entry, ErrorRecord, Journal, RunId, StepPath, StepState, Then, Timestamp, WaitingFor};

use crate::{
    frame::Frame,
    program::{DoStep, Kind, Program, Step},
    template::{Template, formula_failed},
};

/// A list that `each` walks may hold so many items while it is held in memory.
pub const EACH_ITEMS_MAX: usize = 10_000;
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
    pub in_flight: HashSet<StepPath>,
    /// The most attempts any step needed.
    pub attempts: i32,
    /// Loops under way: what their finished passes returned.
    loops: HashMap<StepPath, LoopState>,
}

#[derive(Debug)]
struct LoopState {
    items: Arc<Vec<Json>>,
    results: Vec<Json>,
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
    /// What it sends.
    pub input: Arc<Json>,
    /// When the first attempt began.
    pub began: Timestamp,
}

impl RunState {
    /// A new run, its first entry pending.
    #[must_use]
    pub fn new(id: RunId, via: &'static str, event: Arc<Json>, params: Arc<Json>, now: Timestamp) -> Self {
        let journal = Journal {
            event: Arc::clone(&event),
            params: Arc::clone(&params),
            accepted_at: now,
            since: now,
            steps: HashMap::new(),
            inputs: HashMap::new(),
            began: HashMap::new(),
            reopened: HashMap::new(),
            next_seq: 0,
        };
        let accepted = Entry::Accepted { at: now, via: via.into(), event, params };
        Self { pending: vec![accepted], ..Self::resumed(id, journal, 0) }
    }

    /// A run as its journal tells it.
    #[must_use]
    pub fn resumed(id: RunId, journal: Journal, attempts: i32) -> Self {
        Self { id, journal, pending: Vec::new(), in_flight: HashSet::new(), attempts, loops: HashMap::new() }
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
    if deadline.is_some_and(|deadline| now >= deadline) && state.in_flight.is_empty() {
        let error = ErrorRecord {
            class: ErrorClass::Timeout.as_str().to_owned(),
            code: "RUN_TIMEOUT".to_owned(),
            message: "The run took longer than the recipe allows.".to_owned(),
            next: Some("Raise settings.timeout or find out which step took so long, then resume the run.".to_owned()),
            path: None,
            request: None,
            response: None,
        };
        return end(state, now, Stop::Failed(Box::new(error)));
    }
    let mut frame = Frame::new(program, state, now);
    let mut walk = Walk { state, now, attempts: Vec::new(), wake: None };
    let flow = walk.block(&program.steps, &mut frame, "");
    let Walk { attempts, wake, .. } = walk;
    match flow {
        Flow::Stop(stop) if state.in_flight.is_empty() => end(state, now, stop),
        Flow::Done(_) => end(state, now, Stop::Returned(None)),
        Flow::Stop(_) | Flow::Blocked if !attempts.is_empty() => Next::Act(attempts),
        Flow::Stop(_) | Flow::Blocked => match wake {
            _ if !state.in_flight.is_empty() => Next::InFlight,
            Some(until) => {
                Next::Wait { reason: WaitingFor::Retry, until: deadline.map_or(until, |deadline| until.min(deadline)) }
            }
            // A blocked walk always leaves a reason behind.
            None => end(state, now, Stop::Failed(internal("the run has nothing to do and nothing to wait for"))),
        },
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
    })
}

fn end(state: &mut RunState, now: Timestamp, stop: Stop) -> Next {
    let (how, out, err, then) = match stop {
        Stop::Returned(out) => (Ending::Succeeded, out, None, Then::Succeeded { at: now }),
        Stop::Failed(error) => (Ending::Failed, None, Some(error.clone()), Then::Failed { at: now, error }),
    };
    // Request and answer stand at the step; once is enough.
    let err = err.map(|error| Box::new(ErrorRecord { request: None, response: None, ..*error }));
    state.push(Entry::Ended { at: now, how, out, err, by: None });
    Next::End(then)
}

/// How a block of steps went.
enum Flow {
    /// All steps are done; the last one's output.
    Done(Arc<Json>),
    /// Something is under way or due later.
    Blocked,
    /// The run is over.
    Stop(Stop),
}

enum Stop {
    Returned(Option<Arc<Json>>),
    Failed(Box<ErrorRecord>),
}

struct Walk<'a> {
    state: &'a mut RunState,
    now: Timestamp,
    attempts: Vec<Attempt>,
    wake: Option<Timestamp>,
}

impl Walk<'_> {
    fn block(&mut self, steps: &[Step], frame: &mut Frame, prefix: &str) -> Flow {
        let mut last = Arc::new(Json::Null);
        for step in steps {
            let path: StepPath = if prefix.is_empty() { Arc::clone(&step.id) } else { format!("{prefix}.{}", step.id).into() };
            match self.step(step, &path, frame) {
                Flow::Done(output) => {
                    frame.finish(&step.id, &output, self.state.journal.steps.get(&path));
                    last = output;
                }
                other => return other,
            }
        }
        Flow::Done(last)
    }

    fn step(&mut self, step: &Step, path: &StepPath, frame: &mut Frame) -> Flow {
        let known = self.state.journal.steps.get(path).cloned();
        match &known {
            Some(StepState::Skipped) => return Flow::Done(Arc::new(Json::Null)),
            Some(StepState::Failed { error, .. } | StepState::Uncertain { error, .. }) => {
                return Flow::Stop(Stop::Failed(at_path(error.clone(), path)));
            }
            Some(StepState::Succeeded { output }) => {
                let output = Arc::clone(output);
                return match &step.kind {
                    // The branch is known; its steps may not be done.
                    Kind::Choose(branches) => self.branch(branches, &output, path, frame),
                    // The value is recomputed: it is pure, and only the run's end keeps it.
                    Kind::Return(value) => self.returned(value, path, frame),
                    _ => Flow::Done(output),
                };
            }
            None | Some(StepState::Ready { .. } | StepState::Running { .. } | StepState::Backoff { .. }) => {}
        }
        let begun =
            matches!(known, Some(StepState::Running { .. } | StepState::Backoff { .. })) || self.state.loops.contains_key(path);
        if !begun && let Some(condition) = &step.condition {
            match condition.eval_bool(frame.scope()) {
                Ok(true) => {}
                Ok(false) => {
                    self.state.push(Entry::Skipped { p: Arc::clone(path), at: self.now });
                    return Flow::Done(Arc::new(Json::Null));
                }
                Err(error) => return self.fail(path, formula_failed(&error, "The condition of this step")),
            }
        }
        match &step.kind {
            Kind::Do(action) => self.effect(action, known.as_ref(), path, frame),
            Kind::Set(value) => {
                let value = value.eval_shared(frame.scope());
                self.computed(value, path, "A value of this step")
            }
            Kind::Script(script) => {
                let value = script.eval(frame.scope()).map(Arc::new);
                self.computed(value, path, "The script of this step")
            }
            Kind::Choose(branches) => self.choose(branches, path, frame),
            Kind::Each { items, binding, collect, steps } => self.each(items, binding, collect.as_ref(), steps, path, frame),
            Kind::Return(value) => {
                self.state.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::new(Json::Null) });
                self.returned(value, path, frame)
            }
            Kind::Fail(message) => match message.eval(frame.scope()) {
                Ok(message) => {
                    let message = match message {
                        Json::String(text) => text,
                        other => other.to_string(),
                    };
                    let error = ErrorRecord {
                        class: ErrorClass::Recipe.as_str().to_owned(),
                        code: "FAILED_BY_RECIPE".to_owned(),
                        message,
                        next: None,
                        path: None,
                        request: None,
                        response: None,
                    };
                    self.fail(path, Box::new(error))
                }
                Err(error) => self.fail(path, formula_failed(&error, "The message of this step")),
            },
        }
    }

    /// Records why a step cannot go on, before or outside of an attempt.
    fn fail(&mut self, path: &StepPath, error: Box<ErrorRecord>) -> Flow {
        self.state.push(Entry::Failed { p: Arc::clone(path), n: 0, at: self.now, err: error.clone(), retry: None });
        Flow::Stop(Stop::Failed(at_path(error, path)))
    }

    fn computed(&mut self, value: Result<Arc<Json>, formula::EvalError>, path: &StepPath, place: &str) -> Flow {
        match value {
            Ok(out) => {
                self.state.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&out) });
                Flow::Done(out)
            }
            Err(error) => self.fail(path, formula_failed(&error, place)),
        }
    }

    fn returned(&mut self, value: &Template, path: &StepPath, frame: &Frame) -> Flow {
        match value.eval_shared(frame.scope()) {
            Ok(out) => Flow::Stop(Stop::Returned(Some(out))),
            Err(error) => Flow::Stop(Stop::Failed(at_path(formula_failed(&error, "The result of the run"), path))),
        }
    }

    fn choose(&mut self, branches: &[(Option<formula::Expression>, Vec<Step>)], path: &StepPath, frame: &mut Frame) -> Flow {
        let mut chosen = Json::Null;
        for (place, (when, _)) in branches.iter().enumerate() {
            match when.as_ref().map(|when| when.eval_bool(frame.scope())) {
                None => chosen = Json::from("otherwise"),
                Some(Ok(true)) => chosen = Json::from(place + 1),
                Some(Ok(false)) => continue,
                Some(Err(error)) => {
                    return self.fail(path, formula_failed(&error, &format!("The condition of branch {}", place + 1)));
                }
            }
            break;
        }
        let output = Arc::new(json!({ "branch": chosen }));
        self.state.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&output) });
        self.branch(branches, &output, path, frame)
    }

    fn branch(
        &mut self,
        branches: &[(Option<formula::Expression>, Vec<Step>)],
        output: &Arc<Json>,
        path: &StepPath,
        frame: &mut Frame,
    ) -> Flow {
        let steps = match &output["branch"] {
            Json::Number(number) => number
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .and_then(|number| branches.get(number.checked_sub(1)?)),
            Json::String(_) => branches.iter().find(|(when, _)| when.is_none()),
            _ => return Flow::Done(Arc::clone(output)),
        };
        let Some((_, steps)) = steps else {
            return Flow::Stop(Stop::Failed(at_path(internal("the journal names a branch the recipe does not have"), path)));
        };
        // Steps of a branch are named like their neighbours: only loop passes nest.
        match self.block(steps, frame, frame.prefix().to_string().as_str()) {
            Flow::Done(_) => Flow::Done(Arc::clone(output)),
            other => other,
        }
    }

    fn each(
        &mut self,
        items: &Template,
        binding: &Arc<str>,
        collect: Option<&Template>,
        steps: &[Step],
        path: &StepPath,
        frame: &mut Frame,
    ) -> Flow {
        if !self.state.loops.contains_key(path) {
            let list = match items.eval(&frame.frozen_scope()) {
                Ok(Json::Array(list)) if list.len() <= EACH_ITEMS_MAX => list,
                Ok(Json::Array(list)) => return self.fail(path, too_many(list.len())),
                Ok(other) => return self.fail(path, not_a_list(&other)),
                Err(error) => return self.fail(path, formula_failed(&error, "The list of this step")),
            };
            self.state.loops.insert(Arc::clone(path), LoopState { items: Arc::new(list), results: Vec::new() });
        }
        loop {
            let Some(state) = self.state.loops.get(path) else { return Flow::Blocked };
            let (place, list) = (state.results.len(), Arc::clone(&state.items));
            let Some(item) = list.get(place) else { break };
            let prefix = format!("{path}[{place}]");
            let mut inner = frame.pass(binding, item, place, &prefix);
            match self.block(steps, &mut inner, &prefix) {
                Flow::Done(last) => {
                    let result = match collect {
                        None => Json::clone(&last),
                        Some(collect) => match collect.eval(inner.scope()) {
                            Ok(result) => result,
                            Err(error) => return self.fail(path, formula_failed(&error, &format!("What pass {place} collects"))),
                        },
                    };
                    if let Some(state) = self.state.loops.get_mut(path) {
                        state.results.push(result);
                    }
                }
                other => return other,
            }
        }
        let results = self.state.loops.remove(path).map(|state| state.results).unwrap_or_default();
        let total = results.len();
        let output = Arc::new(json!({ "results": results, "total": total, "failed": 0 }));
        self.state.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&output) });
        Flow::Done(output)
    }

    fn effect(&mut self, step: &Arc<DoStep>, known: Option<&StepState>, path: &StepPath, frame: &Frame) -> Flow {
        let number = match known {
            _ if self.state.in_flight.contains(path) => return Flow::Blocked,
            Some(StepState::Backoff { until, .. }) if *until > self.now => {
                self.wake = Some(self.wake.map_or(*until, |wake| wake.min(*until)));
                return Flow::Blocked;
            }
            Some(StepState::Backoff { attempt, .. }) => attempt + 1,
            Some(StepState::Running { attempt }) => match self.crashed(step, *attempt, path) {
                Ok(next) => next,
                Err(flow) => return flow,
            },
            Some(StepState::Ready { attempts }) => attempts + 1,
            _ => 1,
        };
        // Another attempt sends exactly what the first one sent.
        let (input, began, first) = match (self.state.journal.inputs.get(path), self.state.journal.began.get(path)) {
            (Some(input), Some(began)) => (Arc::clone(input), *began, false),
            _ => match step.with.eval_shared(frame.scope()) {
                Ok(input) => (input, self.now, true),
                Err(error) => return self.fail(path, formula_failed(&error, "The input of this step")),
            },
        };
        self.state.push(Entry::Started {
            p: Arc::clone(path),
            n: number,
            at: self.now,
            input: first.then(|| Arc::clone(&input)),
        });
        self.attempts.push(Attempt { path: Arc::clone(path), step: Arc::clone(step), number, input, began });
        Flow::Blocked
    }

    /// An attempt began in a process that is gone: its outcome is not known.
    fn crashed(&mut self, step: &DoStep, attempt: u32, path: &StepPath) -> Result<u32, Flow> {
        let input = self.state.journal.inputs.get(path).cloned().unwrap_or_default();
        let began = self.state.journal.began.get(path).copied().unwrap_or(self.now);
        if (step.action.effect)(&input) == Effect::Once {
            let error = Box::new(ErrorRecord {
                class: ErrorClass::Network.as_str().to_owned(),
                code: "OUTCOME_UNKNOWN".to_owned(),
                message: "Liaison stopped while this call was under way, so it may or may not have happened.".to_owned(),
                next: Some(
                    "Look in the other system. Then say that it happened (with its answer), repeat it, or give the run up."
                        .to_owned(),
                ),
                path: None,
                request: Some(Json::clone(&input)),
                response: None,
            });
            self.state.push(Entry::Uncertain { p: Arc::clone(path), n: attempt, at: self.now, err: error.clone() });
            return Err(Flow::Stop(Stop::Failed(at_path(error, path))));
        }
        if attempt >= self.state.attempts_before(path) + step.retry.times + CRASHED_ATTEMPTS_MAX {
            let error = Box::new(ErrorRecord {
                class: ErrorClass::Internal.as_str().to_owned(),
                code: "STOPPED_TOO_OFTEN".to_owned(),
                message: format!("Liaison stopped {attempt} times while this step was under way."),
                next: Some(format!("Find out why (it began at {}), then resume the run.", began.micros())),
                path: None,
                request: None,
                response: None,
            });
            self.state.push(Entry::Failed { p: Arc::clone(path), n: attempt, at: self.now, err: error.clone(), retry: None });
            return Err(Flow::Stop(Stop::Failed(at_path(error, path))));
        }
        Ok(attempt + 1)
    }
}

fn at_path(mut error: Box<ErrorRecord>, path: &StepPath) -> Box<ErrorRecord> {
    error.path = Some(path.to_string());
    error
}

fn not_a_list(value: &Json) -> Box<ErrorRecord> {
    let kind = match value {
        Json::Null => "null",
        Json::Object(_) => "a record",
        Json::String(_) => "text",
        Json::Number(_) => "a number",
        _ => "a boolean",
    };
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: "NOT_A_LIST".to_owned(),
        message: format!("This step walks a list, but was given {kind}."),
        next: Some("Give it a list; for a value that may be missing write `?? []`. Then resume the run.".to_owned()),
        path: None,
        request: None,
        response: None,
    })
}

fn too_many(items: usize) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: "TOO_MANY_ITEMS".to_owned(),
        message: format!("This step was given {items} items; one loop walks at most {EACH_ITEMS_MAX}."),
        next: Some("Fetch smaller pages or filter the list before this step. Then resume the run.".to_owned()),
        path: None,
        request: None,
        response: None,
    })
}
