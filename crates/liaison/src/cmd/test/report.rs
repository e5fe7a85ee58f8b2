//! What was run, told for people and as JSON.

use std::{fmt::Write as _, io::IsTerminal as _, time::Duration};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use engine::trial::Survived;
use recipe::{LineIndex, ast::Span};
use serde_json::{Value as Json, json};

use super::{
    coverage::Coverage,
    suite::{Case, Outcome, Problem, Suite},
};
use crate::cmd::check::draw;

/// Places never reached that are listed of one recipe.
const MISSED_MAX: usize = 20;

/// For people.
pub(super) fn text(outcome: &Outcome, fail_under: Option<u8>) -> String {
    let mut out = String::new();
    for suite in &outcome.suites {
        suite_text(&mut out, suite, outcome.filtered);
    }
    let (tests, failed) = outcome.count();
    let broken = outcome.suites.iter().filter(|suite| !suite.could_run()).count();
    let coverage = outcome.coverage();
    let _ = write!(out, "{}, {}: {} passed", many(outcome.suites.len(), "recipe"), many(tests, "test"), tests - failed);
    if failed > 0 {
        let _ = write!(out, ", {failed} failed");
    }
    if broken > 0 {
        let _ = write!(out, "; {} could not be run", many(broken, "recipe"));
    }
    let _ = writeln!(out, ". Steps and branches reached: {}.", share(&coverage));
    if let Some(least) = fail_under.filter(|least| coverage.percent() < u64::from(*least)) {
        let _ = writeln!(out, "That is less than the {least} % asked for with --fail-under.");
    }
    out
}

fn suite_text(out: &mut String, suite: &Suite, filtered: bool) {
    // Recipes the filter leaves nothing of are not worth a line.
    if filtered && suite.could_run() && suite.cases.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}", suite.path);
    if !suite.could_run() {
        let _ = writeln!(out, "  FAILED  the recipe cannot be run\n");
        out.push_str(&draw(&suite.path, &suite.text, &suite.diagnostics));
        if let Some(refused) = &suite.refused {
            let _ = writeln!(out, "error: {refused}\n");
        }
        return;
    }
    if suite.cases.is_empty() {
        let _ = writeln!(out, "  no tests; write some under `tests:`");
    }
    for case in &suite.cases {
        case_text(out, suite, case);
    }
    if !filtered {
        coverage_text(out, suite);
    }
    out.push('\n');
}

fn case_text(out: &mut String, suite: &Suite, case: &Case) {
    let word = if case.problems.is_empty() { "ok    " } else { "FAILED" };
    let _ = write!(out, "  {word}  {}", printable(&case.title));
    if case.virtual_time >= Duration::from_millis(1) {
        let _ = write!(out, " (over {})", length(case.virtual_time));
    }
    if let Some(survived) = &case.survived {
        let _ = write!(out, " ({})", crashes(survived));
    }
    out.push('\n');
    for line in case.survived.iter().flat_map(repeats) {
        let _ = writeln!(out, "          {}", printable(&line));
    }
    if case.problems.is_empty() {
        return;
    }
    out.push('\n');
    for problem in &case.problems {
        out.push_str(&drawn(suite, problem));
        out.push_str("\n\n");
    }
}

/// How many crashes there were, and of how many possible ones.
pub(super) fn crashes(survived: &Survived) -> String {
    let told = format!("{} survived", many(survived.cuts, "crash").replace("crashs", "crashes"));
    if survived.cuts == survived.places {
        return told;
    }
    format!("{told}, of the {} there can be", survived.places)
}

/// What crashes repeat and what they ask, a line each.
pub(super) fn repeats(survived: &Survived) -> Vec<String> {
    let all = [
        ("a crash may call them twice, and they only read", &survived.read_again),
        ("a crash may call them twice, with the same key", &survived.sent_again),
        ("after a crash a person is asked whether they happened", &survived.asked),
    ];
    let named = all.into_iter().filter(|(_, steps)| !steps.is_empty());
    named.map(|(what, steps)| format!("{what}: {}", steps.iter().map(String::as_str).collect::<Vec<_>>().join(", "))).collect()
}

fn coverage_text(out: &mut String, suite: &Suite) {
    let _ = writeln!(out, "  reached {}", share(&suite.coverage));
    let index = LineIndex::new(&suite.text);
    for missed in suite.coverage.missed.iter().take(MISSED_MAX) {
        let (line, column) = index.position(missed.span.start);
        let _ = writeln!(out, "    never: {} ({line}:{column})", missed.what);
    }
    if let Some(more) = suite.coverage.missed.len().checked_sub(MISSED_MAX).filter(|more| *more > 0) {
        let _ = writeln!(out, "    and {more} more");
    }
}

/// A problem under the line it concerns, as `liaison check` draws it.
fn drawn(suite: &Suite, problem: &Problem) -> String {
    let renderer = if std::io::stdout().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    let (start, end) = range(&suite.text, problem.span);
    let label = match (&problem.expected, &problem.actual) {
        (Some(expected), Some(actual)) => format!("expected {expected}, actual {actual}"),
        (Some(expected), None) => format!("expected {expected}"),
        (None, Some(actual)) => format!("actual {actual}"),
        (None, None) => String::new(),
    };
    let mut annotation = AnnotationKind::Primary.span(start..end);
    if !label.is_empty() {
        annotation = annotation.label(label.as_str());
    }
    let snippet = Snippet::source(suite.text.as_str()).path(suite.path.as_str()).annotation(annotation);
    let mut groups = vec![Level::ERROR.primary_title(problem.message.as_str()).element(snippet)];
    if let Some(help) = &problem.help {
        groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
    }
    renderer.render(&groups)
}

/// A span that does not cut a character.
fn range(text: &str, span: Span) -> (usize, usize) {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    (start, text.ceil_char_boundary(span.end.min(text.len())).max(start))
}

/// `file:line:column`.
pub(super) fn place(suite: &Suite, span: Span) -> String {
    let (line, column) = LineIndex::new(&suite.text).position(span.start);
    format!("{}:{line}:{column}", suite.path)
}

/// A problem in plain lines.
pub(super) fn plain_problem(suite: &Suite, problem: &Problem) -> String {
    let mut out = format!("{}: {}", place(suite, problem.span), problem.message);
    for (name, value) in [("expected", &problem.expected), ("actual", &problem.actual), ("help", &problem.help)] {
        if let Some(value) = value {
            let _ = write!(out, "\n  {name}: {value}");
        }
    }
    out
}

/// For programs.
pub(super) fn json(outcome: &Outcome) -> anyhow::Result<String> {
    let (tests, failed) = outcome.count();
    let document = json!({
        "passed": outcome.passed(),
        "tests": tests,
        "failed": failed,
        "recipes_that_could_not_run": outcome.suites.iter().filter(|suite| !suite.could_run()).count(),
        "coverage": coverage_json(&outcome.coverage(), None),
        "recipes": outcome.suites.iter().map(suite_json).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&document)?)
}

fn suite_json(suite: &Suite) -> Json {
    let index = LineIndex::new(&suite.text);
    let at = |span: Span| index.position(span.start);
    let problem = |problem: &Problem| {
        let (line, column) = at(problem.span);
        json!({
            "at": problem.at, "message": problem.message, "expected": problem.expected, "actual": problem.actual,
            "help": problem.help, "line": line, "column": column,
        })
    };
    let case = |case: &Case| {
        let (line, column) = at(case.span);
        json!({
            "title": case.title, "passed": case.problems.is_empty(), "line": line, "column": column,
            "problems": case.problems.iter().map(problem).collect::<Vec<_>>(),
            "took_us": micros(case.took), "virtual_us": micros(case.virtual_time),
            "crashes": case.survived.as_ref().map(|survived| survived.cuts),
            "crash": case.survived.as_ref().map(|survived| json!({
                "places": survived.places, "cut": survived.cuts, "read_again": survived.read_again,
                "sent_again": survived.sent_again, "asked": survived.asked,
            })),
        })
    };
    let diagnostics: Vec<_> = suite
        .diagnostics
        .iter()
        .map(|problem| {
            let (line, column) = at(problem.span);
            json!({ "code": problem.code, "message": problem.message, "help": problem.help, "line": line, "column": column })
        })
        .collect();
    json!({
        "file": suite.path, "recipe": suite.name, "passed": suite.passed(), "refused": suite.refused,
        "diagnostics": diagnostics, "tests": suite.cases.iter().map(case).collect::<Vec<_>>(),
        "coverage": coverage_json(&suite.coverage, Some(&index)),
    })
}

fn coverage_json(coverage: &Coverage, index: Option<&LineIndex>) -> Json {
    let mut told = json!({ "total": coverage.total, "reached": coverage.reached(), "percent": coverage.percent() });
    if let (Some(index), Some(fields)) = (index, told.as_object_mut()) {
        let missed = coverage.missed.iter().map(|missed| {
            let (line, column) = index.position(missed.span.start);
            json!({ "what": missed.what, "line": line, "column": column })
        });
        fields.insert("missed".to_owned(), missed.collect());
    }
    told
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

fn share(coverage: &Coverage) -> String {
    format!("{} of {} ({} %)", coverage.reached(), coverage.total, coverage.percent())
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `3d 4h`, the two largest parts.
fn length(length: Duration) -> String {
    if length < Duration::from_secs(1) {
        return format!("{} ms", length.as_millis());
    }
    let seconds = length.as_secs();
    let parts = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let told: Vec<_> = parts
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    told.join(" ")
}

/// Titles come from files: nothing in them may move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
