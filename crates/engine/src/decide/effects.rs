//! Calls: beginning attempts, and what a crash left behind.

use std::{sync::Arc, time::Duration};

use connector::{Effect, ErrorClass};
use formula::{EvalError, Scope};
use serde_json::Value as Json;
use store::{Entry, ErrorRecord, StepPath, StepState, WaitingFor};

use super::{Attempt, CRASHED_ATTEMPTS_MAX, Flow, PageOf, Stop, Walk, at_path};
use crate::{
    frame::undone_by,
    gate::admit,
    program::{DoStep, Program},
    resume::{dealt_with, left_behind},
    template::formula_failed,
};

/// The code of a step whose earlier attempt may have happened and that cannot be repeated safely any more.
pub const REPEAT_TOO_LATE: &str = "REPEAT_TOO_LATE";
/// What people do about a doubt.
const SAY: &str = "Look in the other system. Then say that it happened (with its answer), repeat it, or give the run up.";

impl Walk<'_> {
    pub(super) fn effect(&mut self, step: &Arc<DoStep>, known: Option<&StepState>, path: &StepPath, scope: &Scope) -> Flow {
        self.call(step, known, path, None, |step| step.with.eval_shared(scope))
    }

    /// A call with the input that `input` works out, of a page or of a whole output.
    pub(super) fn call(
        &mut self,
        step: &Arc<DoStep>,
        known: Option<&StepState>,
        path: &StepPath,
        page: Option<PageOf>,
        input: impl FnOnce(&DoStep) -> Result<Arc<Json>, EvalError>,
    ) -> Flow {
        if self.looking {
            return self.look_at_effect(step, known, path);
        }
        let number = match known {
            _ if self.state.in_flight.contains(path) => return Flow::Blocked,
            Some(StepState::Backoff { until, .. }) if *until > self.now => {
                self.wake_at(*until, WaitingFor::Retry);
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
            (before, _) => match input(step) {
                // A step that was reopened and sends the same is the same effect, under the same key.
                Ok(input) => match before.filter(|before| ***before == *input) {
                    Some(before) => (Arc::clone(before), self.now, false),
                    None => (input, self.now, true),
                },
                Err(error) => return self.fail(path, formula_failed(&error, "The input of this step")),
            },
        };
        let other = first && self.state.journal.inputs.contains_key(path);
        if let Some(doubt) = self.too_late_to_repeat(step, number - 1, path, other) {
            return doubt;
        }
        let in_doubt = !other && self.state.journal.may_have_happened(path);
        let pass = match admit(self.state.seat.as_ref(), step, path, &input, self.now) {
            Ok(pass) => pass,
            Err(held) => {
                self.wake_at(held.until, held.reason);
                return Flow::Blocked;
            }
        };
        self.state.push(Entry::Started {
            p: Arc::clone(path),
            n: number,
            at: self.now,
            input: first.then(|| Arc::clone(&input)),
        });
        let turn = self.state.journal.turns.get(path).copied().unwrap_or(0);
        let (p, step, started) = (Arc::clone(path), Arc::clone(step), self.now);
        self.attempts.push(Attempt { path: p, step, number, in_doubt, input, turn, began, started, page, pass });
        Flow::Blocked
    }

    /// A repeat is only known by its key for a time, and as long as it sends the same (`other` when it does not). Where
    /// an attempt may have happened that the next one would not be known as a repeat of, only a person can say what is done.
    fn too_late_to_repeat(&mut self, step: &DoStep, attempt: u32, path: &StepPath, other: bool) -> Option<Flow> {
        let first = *self.state.journal.doubts.get(path)?;
        let input = self.state.journal.inputs.get(path).cloned().unwrap_or_default();
        let life = step.action.key_life_of(&input).filter(|life| other || self.now.since(first.since) > *life)?;
        let error = Box::new(ErrorRecord {
            class: ErrorClass::Network.as_str().to_owned(),
            code: REPEAT_TOO_LATE.to_owned(),
            message: format!(
                "What became of try {} is not known, so it may have happened. {} knows a repeat of it {}by the same data; {}, so \
                 another try might do it a second time.",
                first.attempt,
                step.name,
                if life == Duration::MAX { String::new() } else { format!("for {} and ", lasting(life)) },
                if other { "what would be sent now is something else" } else { "that time is over" },
            ),
            next: Some(SAY.to_owned()),
            path: None,
            request: Some(Json::clone(&input)),
            response: None,
            causes: Vec::new(),
        });
        self.state.push(Entry::Uncertain { p: Arc::clone(path), n: attempt, at: self.now, err: error.clone() });
        Some(Flow::Stop(Stop::Doubt(at_path(error, path))))
    }

    /// Nothing is begun any more where the walk only looks; but a doubt that a crash left behind is told.
    fn look_at_effect(&mut self, step: &DoStep, known: Option<&StepState>, path: &StepPath) -> Flow {
        if self.state.in_flight.contains(path) || self.attempts.iter().any(|attempt| attempt.path == *path) {
            self.flying = true;
            return Flow::Blocked;
        }
        let Some(StepState::Running { attempt }) = known else { return Flow::Blocked };
        let input = self.state.journal.inputs.get(path).cloned().unwrap_or_default();
        match (step.action.effect)(&input) {
            Effect::Once => self.crashed(step, *attempt, path).err().unwrap_or(Flow::Blocked),
            Effect::None | Effect::Idempotent => Flow::Blocked,
        }
    }

    /// A walk stops at the first doubt; whoever settles it sees the others, too: calls that a crash left behind, and
    /// those it is too late to repeat.
    pub(super) fn tell_all_doubts(&mut self, program: &Program) {
        let journal = &self.state.journal;
        let dealt_with = dealt_with(journal);
        let open = |(path, state): (&StepPath, &StepState)| match state {
            _ if self.state.in_flight.contains(path) || !journal.doubts.contains_key(path) => None,
            StepState::Running { attempt } => Some((Arc::clone(path), *attempt, true)),
            StepState::Failed { .. } if dealt_with.contains(&**path) => None,
            StepState::Ready { attempts: attempt @ 1.. }
            | StepState::Backoff { attempt, .. }
            | StepState::Failed { attempt: attempt @ 1.., .. } => Some((Arc::clone(path), *attempt, false)),
            _ => None,
        };
        let mut open: Vec<(StepPath, u32, bool)> = journal.steps.iter().filter_map(open).collect();
        open.sort();
        for (path, attempt, running) in open {
            let Some(step) = program.called_at(&path) else { continue };
            let input = self.state.journal.inputs.get(&path).cloned().unwrap_or_default();
            if (step.action.effect)(&input) != Effect::Once {
                if undone_by(&path).is_none() && left_behind(&self.state.journal, program, &path) {
                    continue;
                }
                drop(self.too_late_to_repeat(step, attempt, &path, false));
            } else if running {
                drop(self.crashed(step, attempt, &path));
            }
        }
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
                next: Some(SAY.to_owned()),
                path: None,
                request: Some(Json::clone(&input)),
                response: None,
                causes: Vec::new(),
            });
            self.state.push(Entry::Uncertain { p: Arc::clone(path), n: attempt, at: self.now, err: error.clone() });
            return Err(Flow::Stop(Stop::Doubt(at_path(error, path))));
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
                causes: Vec::new(),
            });
            let doubt = (step.action.effect)(&input) != Effect::None;
            let (p, at, err) = (Arc::clone(path), self.now, error.clone());
            self.state.push(Entry::Failed { p, n: attempt, at, err, retry: None, doubt });
            return Err(Flow::Stop(Stop::Failed(at_path(error, path))));
        }
        Ok(attempt + 1)
    }
}

/// A time in its largest whole unit.
fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    let (unit, word) =
        [(3600, "h"), (60, "min")].into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)).unwrap_or((1, "s"));
    format!("{} {word}", seconds / unit)
}
