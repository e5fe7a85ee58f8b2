//! What a test expects against what its run did.

use engine::trial::{End, Fault, Harm, Missing, Trial};
use recipe::ast::{ExpectedStatus, Places, Span, Spanned, Test};
use serde_json::{Map, Value as Json, json};

use super::{
    compare::{Difference, Part, What, compare, path_text},
    load::whole,
    seen::{Seen, Stand, names},
    suite::Problem,
};

/// What to do about something no recipe can be the cause of.
const OUR_FAULT: &str = "No recipe should be able to do this. Report it with the recipe.";
/// Longest value shown in a message, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// Everything that did not come out; `text` is the recipe.
pub(super) fn judge(test: &Test, trial: &Trial, text: &str) -> Vec<Problem> {
    let mut judge = Judge { test, trial, text, seen: Seen::of(trial), problems: Vec::new() };
    match &trial.end {
        End::Missing(missing) => judge.problems.push(nothing_given(test, missing)),
        End::Unfit(sentence) => judge.problems.push(Problem::new(whole(test), sentence.as_str())),
        End::Endless => {
            let help = "Give its loops a `max` that they can reach, or let the test answer so that `until` comes true.";
            judge.problems.push(Problem::new(whole(test), "The run does not end.").help(help));
        }
        _ => judge.all(),
    }
    judge.problems
}

/// A run to which a crash did something it must not.
pub(super) fn fault(test: &Test, fault: &Fault) -> Problem {
    let cut = format!("Cut after commit {} ({}) and taken up again, the run", fault.commit, fault.after);
    let (message, help) = match &fault.what {
        Harm::Differs { what, expected, actual } => {
            let message = format!("{cut} ends otherwise: its {what} differ.");
            let help = "A formula that gives something else each time is the usual cause.";
            let problem = Problem::new(whole(test), message).help(help);
            return Problem { expected: Some(shown(expected)), actual: Some(shown(actual)), ..problem };
        }
        Harm::DoneAgain(path) => (format!("{cut} calls `{path}` again, which was done."), OUR_FAULT),
        Harm::NobodyAsked(path) => {
            (format!("{cut} calls `{path}` again, which happens once, and asks nobody whether it happened."), OUR_FAULT)
        }
        Harm::OtherData(path) => (
            format!("{cut} calls `{path}` again with the same key and other data."),
            "A formula that gives something else each time is the usual cause.",
        ),
    };
    Problem::new(whole(test), message).help(help)
}

fn nothing_given(test: &Test, missing: &Missing) -> Problem {
    let id = engine::trial::short_name(&missing.path);
    let message = format!("Step `{id}` would call {}; add it under `given`.", missing.calls);
    let output = match missing.calls.ends_with(".request") {
        _ if missing.is_stream => "[{}]",
        true => "{ status: 200, body: {} }",
        false => "{}",
    };
    let help =
        format!("Say what the system answers:\n    given:\n      {id}: {output}\nThe call would send {}", shown(&missing.input));
    let mut problem = Problem::new(whole(test), message).help(help);
    if &*missing.path != id {
        problem.at = Some(missing.path.to_string());
    }
    problem
}

struct Judge<'a> {
    test: &'a Test,
    trial: &'a Trial,
    text: &'a str,
    seen: Seen,
    problems: Vec<Problem>,
}

impl Judge<'_> {
    fn all(&mut self) {
        let expect = &self.test.expect;
        self.status();
        for (name, expected) in &expect.calls {
            self.calls(name, expected);
        }
        for (name, expected) in &expect.steps {
            self.outputs(name, expected);
        }
        for name in &expect.not_run {
            let ran = self.seen.named(&name.value).any(|(_, stand)| *stand != Stand::Skipped);
            if ran {
                self.problems.push(Problem::new(name.span, format!("Step `{}` ran; it was expected not to.", name.value)));
            }
        }
        if let Some(expected) = &expect.output {
            self.data("output", expected, &self.trial.output.as_deref().cloned().unwrap_or_default());
        }
        if let Some(expected) = &expect.error {
            self.error(expected);
        }
        if let Some(expected) = &expect.state {
            self.data("state", expected, &self.trial.state);
        }
        if let Some(expected) = &expect.response {
            match &self.trial.response {
                Some(actual) => self.data("response", expected, &actual.clone()),
                None => {
                    let span = self.place(&[key("response")]);
                    self.problems.push(Problem::new(span, "The run gave its caller no answer."));
                }
            }
        }
    }

    fn status(&mut self) {
        let expect = &self.test.expect;
        let (expected, span) = match &expect.status {
            Some(status) => (status.value, status.span),
            None if expect.error.is_some() => (ExpectedStatus::Failed, self.place(&[key("error")])),
            None => (ExpectedStatus::Succeeded, whole(self.test)),
        };
        let actual = match &self.trial.end {
            End::Succeeded => ExpectedStatus::Succeeded,
            End::Failed => ExpectedStatus::Failed,
            End::Cancelled => ExpectedStatus::Cancelled,
            End::Waiting(_) => ExpectedStatus::Waiting,
            _ => ExpectedStatus::Filtered,
        };
        if expected == actual {
            return;
        }
        let mut problem = Problem::new(span, format!("The run {}; {} was expected.", ended(actual), word(expected)));
        problem.at = Some("status".to_owned());
        problem.expected = Some(word(expected).to_owned());
        problem.actual = Some(word(actual).to_owned());
        problem.help = match (&self.trial.error, &self.trial.end) {
            (Some(error), _) => {
                let place = error.path.as_deref().map_or_else(String::new, |path| format!("Step `{path}`: "));
                Some(format!("{place}{} ({}, {})", error.message, error.code, error.class))
            }
            (None, End::Waiting(reason)) => Some(format!("It waits for: {}. Say under `given` how that ends.", reason.as_str())),
            (None, End::Filtered) => Some("`trigger.if` is false for this event.".to_owned()),
            _ => None,
        };
        self.problems.push(problem);
    }

    fn calls(&mut self, name: &Spanned<String>, expected: &Json) {
        let made: Vec<_> = self.trial.calls.iter().filter(|call| call.is_of(&name.value)).collect();
        let base = [key("calls"), key(&name.value)];
        let wanted = match expected {
            Json::Array(several) => several.len(),
            _ => 1,
        };
        if made.len() != wanted {
            let message = format!(
                "Step `{}` made {}; {} expected.",
                name.value,
                count(made.len(), "call"),
                if wanted == 1 { "one was".to_owned() } else { format!("{wanted} were") }
            );
            let mut problem = Problem::new(name.span, message);
            problem.at = Some(path_text("", &base));
            if made.len() > 1 && wanted == 1 {
                problem.help = Some("Write a list with what each call sends, in their order.".to_owned());
            } else if made.is_empty() {
                problem.help = self.why_not(&name.value);
            }
            self.problems.push(problem);
        }
        let inputs: Vec<_> = made.iter().map(|call| Json::clone(&call.input)).collect();
        match expected {
            Json::Array(several) => {
                for (index, (expected, actual)) in several.iter().zip(&inputs).enumerate() {
                    self.differences(&[&base[..], &[Part::Index(index)]].concat(), expected, actual);
                }
            }
            one => {
                if let Some(actual) = inputs.first() {
                    self.differences(&base, one, actual);
                }
            }
        }
    }

    fn outputs(&mut self, name: &Spanned<String>, expected: &Json) {
        let told: Vec<Json> = self
            .seen
            .named(&name.value)
            .filter_map(|(_, stand)| match stand {
                Stand::Done(output) => Some(Json::clone(output)),
                Stand::Skipped => Some(Json::Null),
                Stand::Began | Stand::Failed => None,
            })
            .collect();
        let base = [key("steps"), key(&name.value)];
        match (told.as_slice(), self.seen.named(&name.value).count()) {
            ([output], 1) => self.differences(&base, expected, output),
            ([], _) => {
                let mut problem = Problem::new(name.span, format!("Step `{}` gave nothing.", name.value));
                problem.help = self.why_not(&name.value);
                self.problems.push(problem);
            }
            // Of a step in a loop: one output a pass.
            (several, _) => self.differences(&base, expected, &Json::Array(several.to_vec())),
        }
    }

    fn why_not(&self, name: &str) -> Option<String> {
        if self.seen.named(name).any(|(_, stand)| *stand == Stand::Skipped) {
            return Some("It was skipped: its `if` was false.".to_owned());
        }
        let error = self.trial.error.as_ref()?;
        Some(format!("The run failed before: {} ({}, {})", error.message, error.code, error.class))
    }

    fn error(&mut self, expected: &Json) {
        let Some(error) = &self.trial.error else {
            // The status says so already, unless none fits.
            return;
        };
        let path = error.path.as_deref().unwrap_or_default();
        let mut actual = Map::new();
        actual.insert("class".to_owned(), json!(error.class));
        actual.insert("code".to_owned(), json!(error.code));
        actual.insert("message".to_owned(), json!(error.message));
        actual.insert("step".to_owned(), json!(path));
        let mut wanted = expected.clone();
        if let Some(fields) = wanted.as_object_mut() {
            // A part of the message is enough, and an id for a path.
            if fields.get("message").and_then(Json::as_str).is_some_and(|part| error.message.contains(part)) {
                fields.insert("message".to_owned(), json!(error.message));
            }
            if fields.get("step").and_then(Json::as_str).is_some_and(|name| names(name, path)) {
                fields.insert("step".to_owned(), json!(path));
            }
        }
        let found = compare(&wanted, &Json::Object(actual), false);
        self.told(&[key("error")], found);
    }

    fn data(&mut self, what: &str, expected: &Json, actual: &Json) {
        self.differences(&[key(what)], expected, actual);
    }

    fn differences(&mut self, base: &[Part], expected: &Json, actual: &Json) {
        let found = compare(expected, actual, self.test.expect.exact);
        self.told(base, found);
    }

    fn told(&mut self, base: &[Part], found: Vec<Difference>) {
        for difference in found {
            let path = [base, &difference.path].concat();
            let at = path_text("", &path);
            let mut problem = Problem::new(self.place(&path), String::new());
            problem.message = match &difference.what {
                What::Other { expected, actual } => {
                    (problem.expected, problem.actual) = (Some(shown(expected)), Some(shown(actual)));
                    if kind(expected) != kind(actual) && !actual.is_null() {
                        problem.help = Some(format!("{} was expected and {} came.", upper(kind(expected)), kind(actual)));
                    }
                    format!("`{at}` is {}; {} was expected.", shown(actual), shown(expected))
                }
                What::Missing { expected } => {
                    problem.expected = Some(shown(expected));
                    format!("`{at}` is missing; {} was expected.", shown(expected))
                }
                What::Unexpected { actual } => {
                    problem.actual = Some(shown(actual));
                    problem.help = Some("`match: exact` allows nothing that is not written.".to_owned());
                    format!("`{at}` is {}; nothing was expected there.", shown(actual))
                }
                What::Length { expected, actual } => {
                    (problem.expected, problem.actual) = (Some(expected.to_string()), Some(actual.to_string()));
                    format!("`{at}` has {}; {expected} expected.", count(*actual, "item"))
                }
            };
            problem.at = Some(at);
            self.problems.push(problem);
        }
    }

    /// Where a part of `expect` stands in the recipe, as exactly as it is known.
    fn place(&self, path: &[Part]) -> Span {
        let expect = &self.test.expect;
        let (mut span, mut inside) = (whole(self.test), &expect.places);
        for part in path {
            let found = match (part, inside) {
                (Part::Key(name), Places::Record(fields)) => fields
                    .iter()
                    .find(|(key, _, _)| self.key_text(*key) == name)
                    .map(|(key, value, inner)| (if *inner == Places::Leaf { *value } else { *key }, inner)),
                (Part::Index(index), Places::List(items)) => items.get(*index).map(|(item, inner)| (*item, inner)),
                _ => None,
            };
            let Some((next, inner)) = found else { break };
            (span, inside) = (next, inner);
        }
        span
    }

    fn key_text(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default().trim_matches(['"', '\''])
    }
}

fn key(name: &str) -> Part {
    Part::Key(name.to_owned())
}

fn count(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

const fn word(status: ExpectedStatus) -> &'static str {
    match status {
        ExpectedStatus::Succeeded => "succeeded",
        ExpectedStatus::Failed => "failed",
        ExpectedStatus::Cancelled => "cancelled",
        ExpectedStatus::Waiting => "waiting",
        ExpectedStatus::Filtered => "filtered",
    }
}

const fn ended(status: ExpectedStatus) -> &'static str {
    match status {
        ExpectedStatus::Succeeded => "succeeded",
        ExpectedStatus::Failed => "failed",
        ExpectedStatus::Cancelled => "was cancelled",
        ExpectedStatus::Waiting => "is waiting",
        ExpectedStatus::Filtered => "was not started: its event was filtered",
    }
}

const fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a record",
    }
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A value as JSON, short enough for a message.
fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
