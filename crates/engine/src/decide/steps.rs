//! One step after the other, and the steps that are values.

use std::sync::Arc;

use connector::ErrorClass;
use formula::EvalError;
use serde_json::{Value as Json, json};
use store::{Entry, ErrorRecord, StepPath, StepState};

use super::{Flow, Stop, Walk, at_path};
use crate::{
    frame::Frame,
    program::{Kind, Rescue, Step},
    template::{Template, formula_failed},
};

/// Steps that are done, with their outputs.
pub(super) type Outputs = Vec<(Arc<str>, Arc<Json>)>;

impl Walk<'_> {
    pub(super) fn block(&mut self, steps: &[Step], frame: &mut Frame, prefix: &str) -> Flow {
        self.block_with(steps, frame, prefix, None)
    }

    /// As [`Walk::block`], also noting the output of each step.
    pub(super) fn block_with(
        &mut self,
        steps: &[Step],
        frame: &mut Frame,
        prefix: &str,
        mut outputs: Option<&mut Outputs>,
    ) -> Flow {
        let mut last = Arc::new(Json::Null);
        for step in steps {
            let path: StepPath = if prefix.is_empty() { Arc::clone(&step.id) } else { format!("{prefix}.{}", step.id).into() };
            frame.see_state(self.state);
            match self.rescued(step, &path, frame) {
                Flow::Done(output) => {
                    frame.finish(step, &path, &output, &self.state.journal);
                    self.can_be_undone(step, &path, frame);
                    if let Some(outputs) = outputs.as_deref_mut() {
                        outputs.push((Arc::clone(&step.id), Arc::clone(&output)));
                    }
                    last = output;
                }
                other => return other,
            }
        }
        Flow::Done(last)
    }

    /// A step whose failure may not matter.
    fn rescued(&mut self, step: &Step, path: &StepPath, frame: &mut Frame) -> Flow {
        let Some(rescue) = &step.rescue else { return self.step(step, path, frame) };
        if let Some((_, Some(output))) = self.state.journal.caught.get(path) {
            let output = Arc::clone(output);
            frame.see_inside(step, None, &self.state.journal, false);
            // What was done in it before it failed can still be taken back.
            if self.looking
                && let doubt @ Flow::Stop(Stop::Doubt(_)) = self.step(step, path, frame)
            {
                return doubt;
            }
            return Flow::Done(output);
        }
        let error = match self.step(step, path, frame) {
            Flow::Stop(Stop::Failed(error)) => error,
            other => return other,
        };
        let out = match rescue {
            Rescue::Nothing => Ok(Arc::new(Json::Null)),
            Rescue::Value(value) => value.eval_shared(&frame.scope_of(&error)),
        };
        match out {
            Ok(out) => {
                self.push(Entry::Caught {
                    p: Arc::clone(path),
                    at: self.now,
                    err: error,
                    out: Some(Arc::clone(&out)),
                    held: false,
                });
                Flow::Done(out)
            }
            Err(problem) => Flow::Stop(Stop::Failed(at_path(formula_failed(&problem, "The fallback of this step"), path))),
        }
    }

    fn step(&mut self, step: &Step, path: &StepPath, frame: &mut Frame) -> Flow {
        let known = self.state.journal.steps.get(path).cloned();
        match &known {
            Some(StepState::Skipped) => return Flow::Done(Arc::new(Json::Null)),
            Some(StepState::Failed { error, .. }) => return Flow::Stop(Stop::Failed(at_path(error.clone(), path))),
            Some(StepState::Uncertain { error, .. }) => return Flow::Stop(Stop::Doubt(at_path(error.clone(), path))),
            Some(StepState::Succeeded { output }) => return self.known(step, &Arc::clone(output), path, frame),
            None
            | Some(StepState::Ready { .. } | StepState::Running { .. } | StepState::Backoff { .. } | StepState::Waiting { .. }) =>
                {}
        }
        let holds = !step.kind.blocks().is_empty();
        if self.looking && !holds {
            return match &step.kind {
                Kind::Do(action) => self.effect(action, known.as_ref(), path, frame.scope()),
                _ => Flow::Blocked,
            };
        }
        if step.disabled {
            return self.skip(path);
        }
        let begun = matches!(known, Some(StepState::Running { .. } | StepState::Backoff { .. } | StepState::Waiting { .. }))
            || self.state.loops.contains_key(path)
            || self.state.journal.streams.contains_key(path);
        if !begun
            && !self.looking
            && let Some(condition) = &step.condition
        {
            match condition.eval_bool(frame.scope()) {
                Ok(true) => {}
                Ok(false) => return self.skip(path),
                Err(error) => return self.fail(path, formula_failed(&error, "The condition of this step")),
            }
        }
        if holds {
            return self.holder_in_time(step, path, frame);
        }
        match &step.kind {
            Kind::Do(_) if let Some(StepState::Waiting { until, .. }) = known => self.called(until, path),
            Kind::Do(action) => self.effect(action, known.as_ref(), path, frame.scope()),
            // The loop that goes through it fetches its pages with this.
            Kind::Stream(action) => {
                let input = action.with.eval_shared(frame.scope());
                self.computed(input, path, "The input of this step")
            }
            Kind::Set(value) => {
                let value = value.eval_shared(frame.scope());
                self.computed(value, path, "A value of this step")
            }
            Kind::Script(script) => {
                let value = script.eval(frame.scope()).map(Arc::new);
                self.computed(value, path, "The script of this step")
            }
            Kind::Save(value) => {
                let value = value.eval_shared(frame.scope());
                match self.computed(value, path, "A value of this step") {
                    Flow::Done(saved) => self.save(&saved, path),
                    other => other,
                }
            }
            Kind::Respond(value) => {
                let value = value.eval_shared(frame.scope());
                match self.computed(value, path, "The answer of this step") {
                    Flow::Done(answer) => self.respond(answer),
                    other => other,
                }
            }
            Kind::Wait(wait) => self.wait(wait, known.as_ref(), path, frame),
            Kind::Return(value) | Kind::Stop(value) => {
                self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::new(Json::Null) });
                self.returned(value, matches!(step.kind, Kind::Stop(_)), path, frame)
            }
            Kind::Fail(message) => self.fail_on_purpose(message, path, frame),
            Kind::Choose(_) | Kind::Each(_) | Kind::Repeat(_) | Kind::Parallel { .. } | Kind::Try { .. } => Flow::Blocked,
        }
    }

    /// A step that holds steps, in its time; a `try` counts only what is tried.
    fn holder_in_time(&mut self, step: &Step, path: &StepPath, frame: &mut Frame) -> Flow {
        match &step.kind {
            Kind::Try { .. } => self.r#try(step, path, frame),
            _ => self.bounded(step, path, frame, |walk, frame| walk.holder(step, path, frame)),
        }
    }

    /// A step that holds steps and is not done.
    pub(super) fn holder(&mut self, step: &Step, path: &StepPath, frame: &mut Frame) -> Flow {
        match &step.kind {
            Kind::Choose(_) if self.looking => Flow::Blocked,
            Kind::Choose(branches) => self.choose(branches, path, frame),
            Kind::Each(each) if self.looking => self.look_at_passes(each, path, frame),
            Kind::Each(each) => self.each(each, path, frame),
            Kind::Repeat(repeat) if self.looking => self.look_at_turns(repeat, path, frame),
            Kind::Repeat(repeat) => self.repeat(repeat, path, frame),
            Kind::Parallel { branches, .. } if self.looking => {
                frame.see_branches(branches, None, &self.state.journal);
                self.look_at_branches(branches, frame)
            }
            Kind::Parallel { branches, needed } => self.parallel(branches, *needed, path, frame),
            Kind::Try { .. } => self.r#try(step, path, frame),
            _ => Flow::Blocked,
        }
    }

    /// A step that the journal knows to be done.
    fn known(&mut self, step: &Step, output: &Arc<Json>, path: &StepPath, frame: &mut Frame) -> Flow {
        match &step.kind {
            // The branch is known; its steps may not be done.
            Kind::Choose(branches) => self.bounded(step, path, frame, |walk, frame| walk.branch(branches, output, path, frame)),
            // Walked again for what its steps gave, which later steps may read.
            Kind::Try { .. } => self.r#try(step, path, frame),
            Kind::Each(_) | Kind::Repeat(_) | Kind::Parallel { .. } => {
                if self.looking || self.saves_unseen(step, path) {
                    self.state.saves.insert(Arc::clone(path));
                    if let (doubt @ Flow::Stop(Stop::Doubt(_)), _) = self.look(|walk| walk.holder(step, path, &mut frame.side()))
                    {
                        return doubt;
                    }
                }
                self.late_inside(step, path, frame).unwrap_or_else(|| Flow::Done(Arc::clone(output)))
            }
            // Other runs may have kept something since this one began: what it keeps is worked out anew.
            Kind::Save(value) if self.state.journal.found > 1 && !self.state.saves.contains(path) => {
                match value.eval_shared(frame.scope()) {
                    Ok(values) => self.save(&values, path),
                    Err(error) => Flow::Stop(Stop::Failed(at_path(formula_failed(&error, "A value of this step"), path))),
                }
            }
            Kind::Save(_) => self.save(output, path),
            Kind::Respond(_) => self.respond(Arc::clone(output)),
            // The value is recomputed: it is pure, and only the run's end keeps it.
            Kind::Return(value) | Kind::Stop(value) => self.returned(value, matches!(step.kind, Kind::Stop(_)), path, frame),
            _ => Flow::Done(Arc::clone(output)),
        }
    }

    fn skip(&mut self, path: &StepPath) -> Flow {
        self.push(Entry::Skipped { p: Arc::clone(path), at: self.now });
        Flow::Done(Arc::new(Json::Null))
    }

    pub(super) fn computed(&mut self, value: Result<Arc<Json>, EvalError>, path: &StepPath, place: &str) -> Flow {
        match value {
            Ok(out) => {
                self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&out) });
                Flow::Done(out)
            }
            Err(error) => self.fail(path, formula_failed(&error, place)),
        }
    }

    /// Whether a loop that is done saved something this process has not taken in yet.
    fn saves_unseen(&self, step: &Step, path: &StepPath) -> bool {
        step.saves && !self.state.saves.contains(path)
    }

    /// The state as later steps see it; written with the run's end. Each step counts once, in its turn.
    fn save(&mut self, values: &Arc<Json>, path: &StepPath) -> Flow {
        if let Json::Object(values) = &**values
            && self.state.saves.insert(Arc::clone(path))
        {
            self.state.saved.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        Flow::Done(Arc::new(Json::Null))
    }

    /// The first answer is the answer.
    fn respond(&mut self, answer: Arc<Json>) -> Flow {
        self.state.response.get_or_insert(answer);
        Flow::Done(Arc::new(Json::Null))
    }

    fn returned(&mut self, value: &Template, stopped: bool, path: &StepPath, frame: &Frame) -> Flow {
        match value.eval_shared(frame.scope()) {
            Ok(out) if stopped => Flow::Stop(Stop::Returned(Some(Arc::new(json!({ "stopped": out }))))),
            Ok(out) => Flow::Stop(Stop::Returned(Some(out))),
            Err(error) => Flow::Stop(Stop::Failed(at_path(formula_failed(&error, "The result of the run"), path))),
        }
    }

    fn fail_on_purpose(&mut self, message: &Template, path: &StepPath, frame: &Frame) -> Flow {
        let message = match message.eval(frame.scope()) {
            Ok(Json::String(text)) => text,
            Ok(other) => other.to_string(),
            Err(error) => return self.fail(path, formula_failed(&error, "The message of this step")),
        };
        let error = ErrorRecord {
            class: ErrorClass::Recipe.as_str().to_owned(),
            code: "FAILED_BY_RECIPE".to_owned(),
            message,
            next: None,
            path: None,
            request: None,
            response: None,
            causes: Vec::new(),
        };
        self.fail(path, Box::new(error))
    }
}
