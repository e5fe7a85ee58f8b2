//! The tests of a recipe against its steps.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::inputs::{self, View};
use super::{Checker, codes};
use crate::ast::{ExpectedStatus, Param, Span, Spanned, Step, StepKind, Test, TestData};
use crate::diagnostic::{Diagnostic, nearest, shown};

/// What follows the id of a step where a test means what takes it back.
const UNDO: &str = ".undo";

impl<'a> Checker<'a> {
    pub(super) fn tests(&mut self) {
        let mut titles = HashSet::new();
        for test in &self.recipe.tests {
            if !titles.insert(test.title.value.as_str()) {
                let message = format!("Another test has the title \"{}\" already.", shown(&test.title.value));
                let help = "Choose another, so that a failure can be told apart.";
                self.out.push(Diagnostic::warning(codes::TEST_DATA, test.title.span, message).help(help));
            }
            self.test(test);
        }
    }

    fn test(&mut self, test: &'a Test) {
        let recipe = self.recipe;
        if let Some(at) = test.at.as_ref().filter(|at| !(self.catalogue.instant)(&at.value)) {
            let message = format!("\"{}\" is no instant.", shown(&at.value));
            let help = "Write it with its zone, such as 2026-03-01T08:00:00Z.";
            self.out.push(Diagnostic::error(codes::INSTANT, at.span, message).help(help));
        }
        for given in &test.given {
            let Some(step) = self.test_step(&given.step) else { continue };
            // Of a stream the items are given, and no action says what those are.
            if let (StepKind::Do { connection, action, stream: false, .. }, TestData::Inline(output)) =
                (&step.kind, &given.output)
                && !given.step.value.ends_with(UNDO)
                && let Some(info) = self.known_action(&connection.value, &action.value)
            {
                // Only what is there is judged: nobody writes a whole answer into a test.
                let name = format!("{}.{}", connection.value, action.value);
                let schema = without_required(&info.output, 0);
                inputs::check(
                    &name,
                    given.step.span,
                    View::Literal(output, given.span, &given.places),
                    &schema,
                    &self.found,
                    self.out,
                );
            }
        }
        for failure in &test.fails {
            let step = self.test_step(&failure.step);
            if let Some(step) =
                step.filter(|step| !matches!(step.kind, StepKind::Do { .. } | StepKind::Call { .. } | StepKind::Start { .. }))
            {
                let message = format!("\"{}\" calls nothing, so it cannot fail like that.", shown(&step.id.value));
                let help = "Only steps with `do`, `call` or `start` can be made to fail.";
                self.out.push(Diagnostic::error(codes::TEST_DATA, failure.step.span, message).help(help));
            }
        }
        let expect = &test.expect;
        for (step, _) in expect.calls.iter().chain(&expect.steps) {
            self.test_step(step);
        }
        for (step, _) in &expect.calls {
            let calls = |step: &&Step| !matches!(step.kind, StepKind::Do { .. } | StepKind::Call { .. } | StepKind::Start { .. });
            if let Some(step) = self.index.steps.get(id_of(&step.value)).map(|target| target.step).filter(calls) {
                let message = format!("\"{}\" calls nothing.", shown(&step.id.value));
                let help = "Expect its output instead, under `steps`.";
                let span = expect.calls.iter().find(|(name, _)| id_of(&name.value) == step.id.value).map(|(name, _)| name.span);
                self.out.push(Diagnostic::error(codes::TEST_DATA, span.unwrap_or(expect.span), message).help(help));
            }
        }
        for step in &expect.not_run {
            self.test_step(step);
        }
        self.test_values(&test.params, &recipe.params, self.gaps.params, test.span, "param");
        self.test_values(&test.state, &recipe.state, self.gaps.state, test.span, "value of the state");
        let failed = matches!(expect.status.as_ref().map(|status| status.value), Some(ExpectedStatus::Failed));
        if expect.error.is_some() && expect.status.is_some() && !failed {
            let message = "An error is expected of a run that does not fail.";
            self.out.push(
                Diagnostic::error(codes::TEST_DATA, expect.span, message).help("Write `status: failed`, or remove `error`."),
            );
        }
    }

    /// The step a test names by id or path; reports when there is none.
    fn test_step(&mut self, name: &Spanned<String>) -> Option<&'a Step> {
        let id = id_of(&name.value);
        if let Some(target) = self.index.steps.get(id) {
            if name.value.ends_with(UNDO) && target.step.undo.is_none() {
                let message = format!("\"{}\" has no `undo`.", shown(id));
                self.out.push(
                    Diagnostic::error(codes::TEST_STEP, name.span, message).help("Name the step itself, or give it an `undo`."),
                );
            }
            return Some(target.step);
        }
        if self.gaps.nameless || self.gaps.ids.contains(id) {
            return None;
        }
        let near = nearest(id, self.index.ids.iter().copied().filter(|id| !id.is_empty()));
        let diagnostic = Diagnostic::error(codes::TEST_STEP, name.span, format!("No step has the id \"{}\".", shown(id)));
        self.out.push(match near {
            Some(near) if id == name.value => diagnostic.suggest(name.span, Some(near)),
            Some(near) => diagnostic.help(format!("Did you mean \"{near}\"?")),
            None => diagnostic.help("Use the id of a step, or the path of one pass of a loop, such as `push[0].up`."),
        });
        None
    }

    fn test_values(&mut self, values: &Json, declared: &[Param], gap: bool, span: Span, what: &str) {
        let Json::Object(values) = values else { return };
        for (name, value) in values {
            let Some(param) = declared.iter().find(|param| param.name.value == *name) else {
                if !gap {
                    let message = format!("The test sets the {what} \"{}\", which the recipe does not declare.", shown(name));
                    self.out.push(Diagnostic::error(codes::TEST_DATA, span, message).help("Remove it, or declare it."));
                }
                continue;
            };
            if !value.is_null() && !param.kind.fits(value) {
                let message = format!("The test sets the {what} \"{}\" to a value of another type.", shown(name));
                let help = format!("Its type is {}.", param.kind.schema_type());
                self.out.push(Diagnostic::error(codes::TEST_DATA, span, message).help(help));
            }
        }
    }
}

/// The id at the end of a path such as `push[0].up`; of `charge.undo` the step that is taken back.
fn id_of(path: &str) -> &str {
    let path = path.strip_suffix(UNDO).filter(|step| !step.ends_with(']')).unwrap_or(path);
    let last = path.rsplit('.').next().unwrap_or(path);
    last.split('[').next().unwrap_or(last)
}

/// The schema with every field optional.
fn without_required(schema: &Json, depth: usize) -> Json {
    /// Deeper fields are judged as they are.
    const DEPTH_MAX: usize = 12;
    match schema {
        Json::Object(fields) if depth < DEPTH_MAX => {
            let kept = fields.iter().filter(|(word, value)| !(*word == "required" && value.is_array()));
            Json::Object(kept.map(|(word, value)| (word.clone(), without_required(value, depth + 1))).collect())
        }
        Json::Array(items) if depth < DEPTH_MAX => {
            Json::Array(items.iter().map(|item| without_required(item, depth + 1)).collect())
        }
        other => other.clone(),
    }
}
