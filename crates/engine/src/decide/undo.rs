//! Taking back what was done, because the run fails.

use std::{cmp::Reverse, sync::Arc};

use connector::KeyLife;
use formula::Scope;
use serde_json::Value as Json;
use store::{StepPath, StepState};

use super::{Flow, Stop, Walk};
use crate::{
    frame::{Frame, undone_by},
    program::{DoStep, Program, Step},
    resume::{dealt_with, left_behind, taken_back},
};

/// A finished step that can be taken back, and what its undo sees.
#[derive(Debug, Clone)]
pub(super) struct Undo {
    path: StepPath,
    step: Arc<DoStep>,
    scope: Scope,
}

impl Walk<'_> {
    /// Notes a finished step on a look over the run.
    pub(super) fn can_be_undone(&mut self, step: &Step, path: &StepPath, frame: &Frame) {
        let Some(undo) = &step.undo else { return };
        let done = matches!(self.state.journal.steps.get(path), Some(StepState::Succeeded { .. }));
        if self.looking && done && !self.state.journal.caught.contains_key(path) {
            self.undos.push(Undo { path: Arc::clone(path), step: Arc::clone(undo), scope: frame.scope().clone() });
        }
    }

    /// Takes back what finished steps did, newest first. `flow` is the failure, and what comes of it.
    ///
    /// The finished steps are looked up in the journal, so that a crash in between changes nothing.
    pub(super) fn undo_all(&mut self, program: &Program, flow: Flow) -> Flow {
        let Flow::Stop(Stop::Failed(mut failure)) = flow else { return flow };
        if !program.undoes {
            return Flow::Stop(Stop::Failed(failure));
        }
        let mut frame = Frame::new(program, self.state, self.now);
        self.undos.clear();
        if let (Flow::Stop(doubt @ Stop::Doubt(_)), _) = self.look(|walk| walk.block(&program.steps, &mut frame, "")) {
            return Flow::Stop(doubt);
        }
        let open = if self.state.journal.given_up.is_some() { None } else { self.open_repeat(program) };
        if let Some(path) = open {
            failure.message = format!("{} Nothing is taken back yet: {path} may have happened all the same.", failure.message);
            failure.next =
                Some(format!("Resume the run: {path} is then repeated as the same call, which tells what became of it."));
            return Flow::Stop(Stop::Failed(failure));
        }
        let mut undos = std::mem::take(&mut self.undos);
        undos.reverse();
        undos.sort_by_key(|undo| Reverse(self.state.journal.lived.get(&undo.path).map(|lived| lived.place)));
        for Undo { path, step, scope } in undos {
            let path: StepPath = format!("{path}.undo").into();
            let known = self.state.journal.steps.get(&path).cloned();
            let failed = match known {
                Some(StepState::Succeeded { .. }) => continue,
                Some(StepState::Failed { error, .. } | StepState::Uncertain { error, .. }) => error,
                _ => match self.effect(&step, known.as_ref(), &path, &scope) {
                    // Its own failure is told; what else can be taken back still is.
                    Flow::Stop(Stop::Failed(error) | Stop::Doubt(error)) => error,
                    Flow::Blocked => return Flow::Blocked,
                    Flow::Done(_) | Flow::Stop(Stop::Returned(_)) => continue,
                },
            };
            failure.message = format!("{} Then {path} could not be done: {}", failure.message, failed.message);
        }
        Flow::Stop(Stop::Failed(failure))
    }

    /// A step that is not done and may have happened, and that only another attempt of this run can tell of. Taking back the rest
    /// would leave it alone there, and nobody could ask any more. A repeat refused by a system that looks at the key before
    /// the data has told.
    fn open_repeat(&self, program: &Program) -> Option<StepPath> {
        let journal = &self.state.journal;
        if taken_back(journal) {
            return None;
        }
        let dealt_with = dealt_with(journal);
        let untold = |path: &StepPath| match journal.steps.get(path) {
            Some(StepState::Failed { attempt, error }) => {
                let first = journal.doubts.get(path).map(|doubted| doubted.attempt);
                let looks = program.called_at(path).is_some_and(|step| matches!(step.action.key_life, Some(KeyLife::First(_))));
                // Without an answer it was refused here.
                let refused = matches!(&*error.class, "invalid" | "not_found") && error.response.is_some();
                first >= Some(*attempt) || !looks || !refused
            }
            // Its next attempt was still to come when the time of what holds it, or of the run, was over.
            Some(StepState::Backoff { .. } | StepState::Running { .. } | StepState::Ready { .. }) => true,
            _ => false,
        };
        let input = |path: &StepPath| journal.inputs.get(path).map_or(&Json::Null, |input| &**input);
        let open = journal.doubts.keys().filter(|path| {
            untold(path)
                && !dealt_with.contains(&***path)
                && undone_by(path).is_none()
                && !left_behind(journal, program, path)
                && program.called_at(path).is_some_and(|step| step.action.key_life_of(input(path)).is_some())
        });
        open.min().cloned()
    }
}
