//! JSONPath (RFC 9535).
//!
//! A path that can match once (names and single indexes only) gives the value or null; any other
//! gives a list, always: decided from the text, never from the data. Paths that can match once
//! are walked directly. `tests/it/jsonpath.rs` runs the compliance suite.

use std::ops::Range;

use serde_json::Value as Json;

use crate::{
    EvalError, Reference, Scope, Segment, SyntaxProblem,
    jsonpath::{self, Steps},
    reference, value,
};

/// A JSONPath, parsed once.
#[derive(Debug, Clone)]
pub struct Path {
    // The names and indexes it begins with.
    lead: Vec<Segment>,
    // What follows them; nothing for a path that can match once.
    tail: Vec<jsonpath::Segment>,
    needs: Needs,
}

/// What has to be put together before the `$` in filters can be looked up.
#[derive(Debug, Clone)]
enum Needs {
    Nothing,
    /// A document with these names.
    Names(Vec<String>),
    /// A document with everything.
    Everything,
}

impl Path {
    /// Reads a path; the text must be nothing else.
    ///
    /// # Errors
    /// Where it stops to be one.
    pub fn parse(text: &str) -> Result<Self, SyntaxProblem> {
        let mut tail = jsonpath::read(text)?;
        let lead: Vec<Segment> = tail.iter().map_while(jsonpath::Segment::single).collect();
        tail.drain(..lead.len());
        let needs = needs(&tail);
        Ok(Self { lead, tail, needs })
    }

    /// Whether it can match once, and so gives a value and not a list.
    #[must_use]
    pub const fn is_singular(&self) -> bool {
        self.tail.is_empty()
    }

    /// Everything it finds in one document.
    ///
    /// # Errors
    /// When it looks at more places than [`crate::limits::PATH_STEPS_MAX`].
    pub fn query<'a>(&self, document: &'a Json) -> Result<Vec<&'a Json>, EvalError> {
        match reference::walk(document, &self.lead) {
            Some(start) => jsonpath::follow(&self.tail, start, document, &mut Steps::new()),
            None => Ok(Vec::new()),
        }
    }

    /// The names and indexes of a path that can match once.
    pub(crate) fn singular(&self) -> Option<&[Segment]> {
        self.is_singular().then_some(&self.lead[..])
    }

    /// What a path of any shape gives in a scope.
    pub(crate) fn eval(&self, scope: &Scope) -> Result<Json, EvalError> {
        let document = match (&self.needs, self.lead.first()) {
            (Needs::Nothing, Some(Segment::Key(_))) => Json::Null,
            (Needs::Names(names), Some(Segment::Key(_))) => scope.document(Some(names)),
            _ => scope.document(None),
        };
        match self.lead.split_first() {
            Some((Segment::Key(root), path)) => match scope.resolve_open(root, path) {
                Some(place) => self.found(place.value(), &document),
                None => self.found_nothing(),
            },
            _ => match reference::walk(&document, &self.lead) {
                Some(start) => self.found(start, &document),
                None => self.found_nothing(),
            },
        }
    }

    fn found(&self, start: &Json, document: &Json) -> Result<Json, EvalError> {
        if self.is_singular() {
            return Ok(start.clone());
        }
        let mut steps = Steps::new();
        let found = jsonpath::follow(&self.tail, start, document, &mut steps)?;
        for value in &found {
            // A place may be found below another one, so copies can be more than the data.
            steps.spend(value::weigh(value, usize::MAX)?)?;
        }
        Ok(Json::Array(found.into_iter().cloned().collect()))
    }

    fn found_nothing(&self) -> Result<Json, EvalError> {
        Ok(if self.is_singular() { Json::Null } else { Json::Array(Vec::new()) })
    }

    /// The places it reads, for a path that stands at `range` of a source.
    pub(crate) fn references(&self, range: &Range<usize>) -> Vec<Reference> {
        let mut path = self.lead.clone();
        let known = self.tail.iter().take_while(|segment| !segment.descends);
        path.extend(known.map(|segment| segment.single().unwrap_or(Segment::Any)));
        let root = match path.first() {
            Some(Segment::Key(_)) => match path.remove(0) {
                Segment::Key(key) => key,
                _ => String::new(),
            },
            _ => String::new(),
        };
        let whole = |root: &str| Reference { root: root.to_owned(), path: Vec::new(), range: range.clone() };
        let others = match &self.needs {
            Needs::Names(names) => names.iter().filter(|name| **name != root).map(|name| whole(name)).collect(),
            Needs::Everything if !root.is_empty() => vec![whole("")],
            _ => Vec::new(),
        };
        [vec![Reference { root, path, range: range.clone() }], others].concat()
    }
}

/// What filters ask for: each `$` in them looks at the document again.
fn needs(tail: &[jsonpath::Segment]) -> Needs {
    let mut names = Vec::new();
    let mut everything = false;
    jsonpath::queries(tail, &mut |query| {
        if query.absolute {
            match query.segments.first().and_then(jsonpath::Segment::single) {
                Some(Segment::Key(name)) => names.push(name),
                _ => everything = true,
            }
        }
    });
    names.sort();
    names.dedup();
    match (everything, names.is_empty()) {
        (true, _) => Needs::Everything,
        (false, true) => Needs::Nothing,
        (false, false) => Needs::Names(names),
    }
}
