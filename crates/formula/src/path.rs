//! JSONPath (RFC 9535).
//!
//! A path that can match once (names and single indexes only) gives the value or null; any other
//! gives a list, always: decided from the text, never from the data. Paths that can match once
//! are walked directly. Everything else goes through `serde_json_path`: its last release is of
//! February 2025, but it passes all 703 cases of the compliance suite, where the livelier
//! `jsonpath-rust` passes 694 and is several times slower. `tests/it/jsonpath.rs` runs that suite.

use std::ops::Range;

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use crate::{Reference, Scope, Segment, SyntaxProblem, limits, reference, singular};

/// A JSONPath, parsed once.
#[derive(Debug, Clone)]
pub struct Path {
    // The names and indexes it begins with; all of it when `rest` is none.
    lead: Vec<Segment>,
    rest: Option<Rest>,
}

#[derive(Debug, Clone)]
struct Rest {
    // The whole path, for one whole document.
    whole: JsonPath,
    // What follows `lead`, for the value found there.
    tail: JsonPath,
    needs: Needs,
    // Where the text of `tail` begins.
    at: usize,
}

/// What has to be put together before a path that is no single walk can run.
#[derive(Debug, Clone)]
enum Needs {
    /// Only the value at `lead`.
    Lead,
    /// A document with these names: its filters look elsewhere through `$`.
    Names(Vec<String>),
    /// A document with everything.
    Everything,
}

impl Path {
    /// Reads a path; the text must be nothing else.
    pub fn parse(text: &str) -> Result<Self, SyntaxProblem> {
        check_nesting(text)?;
        let whole = JsonPath::parse(text).map_err(|error| problem(text, &error))?;
        let (lead, at) = singular::lead(text);
        if at == text.len() {
            return Ok(Self { lead, rest: None });
        }
        // What is left after a valid beginning is a valid path behind a `$` of its own.
        let tail = JsonPath::parse(&format!("${}", &text[at..])).map_err(|error| problem(text, &error))?;
        let needs = needs(&lead, &text[at..]);
        Ok(Self { lead, rest: Some(Rest { whole, tail, needs, at }) })
    }

    /// Whether it can match once, and so gives a value and not a list.
    #[must_use]
    pub const fn is_singular(&self) -> bool {
        self.rest.is_none()
    }

    /// Everything it finds in one document.
    #[must_use]
    pub fn query<'a>(&self, document: &'a Json) -> Vec<&'a Json> {
        match &self.rest {
            None => reference::walk(document, &self.lead).into_iter().collect(),
            Some(rest) => rest.whole.query(document).all(),
        }
    }

    /// The names and indexes of a path that can match once.
    pub(crate) fn singular(&self) -> Option<&[Segment]> {
        self.rest.is_none().then_some(&self.lead[..])
    }

    /// What a path of any shape gives in a scope.
    pub(crate) fn eval(&self, scope: &Scope) -> Json {
        let list = |found: Vec<&Json>| Json::Array(found.into_iter().cloned().collect());
        match (&self.rest, self.lead.split_first()) {
            (None, Some((Segment::Key(root), path))) => {
                scope.resolve_open(root, path).map_or(Json::Null, |place| place.into_json())
            }
            (None, _) => reference::walk(&scope.document(None), &self.lead).cloned().unwrap_or(Json::Null),
            (Some(Rest { needs: Needs::Lead, tail, .. }), Some((Segment::Key(root), path))) => {
                match scope.resolve_open(root, path) {
                    Some(place) => list(tail.query(place.value()).all()),
                    None => list(Vec::new()),
                }
            }
            (Some(Rest { needs: Needs::Names(names), whole, .. }), _) => list(whole.query(&scope.document(Some(names))).all()),
            (Some(rest), _) => list(rest.whole.query(&scope.document(None)).all()),
        }
    }

    /// The places it reads, for a path that stands at `range` of a source.
    pub(crate) fn references(&self, range: &Range<usize>, text: &str) -> Vec<Reference> {
        let mut path = self.lead.clone();
        if let Some(rest) = &self.rest {
            singular::follow(&text[rest.at..], &mut path);
        }
        let root = match path.first() {
            Some(Segment::Key(_)) => match path.remove(0) {
                Segment::Key(key) => key,
                _ => String::new(),
            },
            _ => String::new(),
        };
        let mut references = vec![Reference { root, path, range: range.clone() }];
        if let Some(Rest { needs, .. }) = &self.rest {
            match needs {
                Needs::Lead => {}
                Needs::Names(names) => {
                    for name in names.iter().filter(|name| **name != references[0].root).cloned().collect::<Vec<_>>() {
                        references.push(Reference { root: name, path: Vec::new(), range: range.clone() });
                    }
                }
                Needs::Everything if !references[0].root.is_empty() => {
                    references.push(Reference { root: String::new(), path: Vec::new(), range: range.clone() });
                }
                Needs::Everything => {}
            }
        }
        references
    }
}

/// What the part after `lead` asks for: each `$` in a filter looks at the document again.
fn needs(lead: &[Segment], tail: &str) -> Needs {
    let Some(Segment::Key(root)) = lead.first() else { return Needs::Everything };
    let mut names = Vec::new();
    for at in singular::roots(tail) {
        match singular::lead(&tail[at..]).0.into_iter().next() {
            Some(Segment::Key(name)) => names.push(name),
            _ => return Needs::Everything,
        }
    }
    if names.is_empty() {
        return Needs::Lead;
    }
    names.push(root.clone());
    names.sort();
    names.dedup();
    Needs::Names(names)
}

/// The parser takes twice as long for each filter inside a filter, so their depth is bounded first.
fn check_nesting(text: &str) -> Result<(), SyntaxProblem> {
    match singular::unquoted(text, 0).filter(|(_, byte)| *byte == b'?').nth(limits::PATH_FILTERS_MAX) {
        None => Ok(()),
        Some((at, _)) => {
            let message = format!("a JSONPath has at most {} filters", limits::PATH_FILTERS_MAX);
            Err(SyntaxProblem::new(at..at + 1, message)
                .with_hint("Filter step by step with a formula: trigger.lines.filter(|line| …)"))
        }
    }
}

fn problem(text: &str, error: &serde_json_path::ParseError) -> SyntaxProblem {
    // The parser points at the beginning of what it could not finish; the plain part goes on.
    let lead = singular::lead(text).1;
    let lead = lead + (text[lead..].len() - text[lead..].trim_start().len());
    let mut at = error.position().saturating_sub(1).max(lead).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
    let message = match text[at..].chars().next() {
        Some(c) => format!("`{c}` does not fit into this JSONPath"),
        None => "this JSONPath stops too early".to_owned(),
    };
    let hint = if text.contains('-') {
        "Names with other signs than letters, digits and `_` stand in brackets: $.trigger.headers['idempotency-key']"
    } else if text.contains(['+', '*', '>', '<', '=']) && !text.contains('?') {
        "A JSONPath stands alone. To compute, write a formula without `$`: trigger.amount * 100"
    } else {
        "A path looks like $.trigger.items[0].name, $.trigger.items[*].name or $.trigger['a name']"
    };
    SyntaxProblem::new(at..end, message).with_hint(hint)
}
