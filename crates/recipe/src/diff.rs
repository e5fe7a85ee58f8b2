//! What changed between two recipes, in words.
//!
//! Compared is what the texts mean: comments, layout, quotes, the order of keys, `60s` for `1m` and
//! defaults that are written out make no difference. Steps are matched by their ids; an id that
//! changed while everything else is equal is a renaming, and what refers to it is no change.

mod fields;
mod formula;
mod meaning;
mod rename;
mod steps;
mod words;

use std::fmt::{Display, Formatter};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use self::fields::{Area, Fields};
pub(crate) use self::meaning::duration_text;
use crate::catalogue::Catalogue;
use crate::diagnostic::{Diagnostic, Diagnostics, LineIndex, Severity};
use crate::yaml::{Kind, Node};

/// What people read when nothing changed.
pub const NOTHING_CHANGES: &str = "Nothing changes in what the recipe does.";

/// One change of what a recipe means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What kind of change it is.
    pub kind: DifferenceKind,
    /// The id of the step concerned, as it is in the new recipe, or was in the old one if it is gone.
    pub step: Option<String>,
    /// The keys that lead to what changed, from the step, or from the recipe if no step is concerned.
    pub path: Vec<String>,
    /// The whole change as a sentence without a full stop.
    pub sentence: String,
    /// What it was; `None` if there was nothing.
    pub old: Option<Json>,
    /// What it is now; `None` if there is nothing.
    pub new: Option<Json>,
}

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Something is there that was not.
    Added,
    /// Something is gone.
    Removed,
    /// It stands elsewhere.
    Moved,
    /// It has another id.
    Renamed,
    /// It stands inside a new step.
    Wrapped,
    /// It says something else.
    Changed,
}

/// Why two texts cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffError {
    /// It is the new text that cannot be read, not the old one.
    pub in_new: bool,
    /// What is wrong with it.
    pub problem: Box<Diagnostic>,
    /// The line, counted from 1.
    pub line: usize,
}

impl Display for DiffError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let which = if self.in_new { "new" } else { "old" };
        write!(f, "The {which} recipe cannot be read. Line {}: {}", self.line, self.problem.message)
    }
}

impl std::error::Error for DiffError {}

/// Tells what changed from one recipe text to another, in reading order. Empty means that both mean
/// the same.
///
/// The texts may have problems in their words; they must only be readable as YAML.
///
/// # Errors
/// When one of the texts cannot be read.
pub fn diff(old: &str, new: &str, catalogue: &Catalogue) -> Result<Vec<Difference>, DiffError> {
    let mut old = read(old).map_err(|(problem, line)| DiffError { in_new: false, problem, line })?;
    let new = read(new).map_err(|(problem, line)| DiffError { in_new: true, problem, line })?;
    let mut out = Vec::new();
    if old == new {
        return Ok(out);
    }
    let renamed = rename::find(&mut old, &new, catalogue);
    let (Json::Object(old), Json::Object(new)) = (&old, &new) else {
        Fields { area: Area::Recipe, catalogue, uses: None }.compare(&[], Some(&old), Some(&new), &mut out);
        return Ok(out);
    };
    let mut keys: Vec<&String> = new.keys().collect();
    keys.extend(old.keys().filter(|key| !new.contains_key(*key)));
    for key in keys {
        match key.as_str() {
            "steps" => steps::compare(old, new, &renamed, catalogue, &mut out),
            "tests" => tests(old.get(key), new.get(key), catalogue, &mut out),
            _ => part(key, old.get(key), new.get(key), catalogue, &mut out),
        }
    }
    // Whatever the words above do not cover is told all the same.
    if out.is_empty() && old != new {
        let sentence = "The recipe changed in a way that cannot be put into words".to_owned();
        out.push(Difference {
            kind: DifferenceKind::Changed,
            step: None,
            path: Vec::new(),
            sentence,
            old: Some(Json::Object(old.clone())),
            new: Some(Json::Object(new.clone())),
        });
    }
    Ok(out)
}

fn part(key: &str, old: Option<&Json>, new: Option<&Json>, catalogue: &Catalogue, out: &mut Vec<Difference>) {
    let area = match key {
        "trigger" => Area::Trigger,
        "params" => Area::Entries("parameter"),
        "state" => Area::Entries("state value"),
        "connections" => Area::Entries("connection"),
        "settings" => Area::Settings,
        "defaults" => Area::Defaults,
        _ => Area::Recipe,
    };
    let empty = Json::Object(Map::new());
    let (old, new) = match area {
        // Their entries are told one by one, also if the whole is new or gone.
        Area::Entries(_) | Area::Settings | Area::Defaults => (Some(old.unwrap_or(&empty)), Some(new.unwrap_or(&empty))),
        _ => (old, new),
    };
    Fields { area, catalogue, uses: None }.compare(&[key.to_owned()], old, new, out);
}

/// Tests are matched by their titles.
fn tests(old: Option<&Json>, new: Option<&Json>, catalogue: &Catalogue, out: &mut Vec<Difference>) {
    let all = |tests: Option<&Json>| -> Vec<(String, Json)> {
        let list = tests.and_then(Json::as_array).cloned().unwrap_or_default();
        list.into_iter().map(|test| (test.get("title").and_then(Json::as_str).unwrap_or_default().to_owned(), test)).collect()
    };
    let (mut before, after) = (all(old), all(new));
    for (title, test) in &after {
        let found = before.iter().position(|(known, _)| known == title).map(|at| before.remove(at).1);
        let area = Area::Test(title.clone());
        Fields { area, catalogue, uses: None }.compare(&["tests".to_owned()], found.as_ref(), Some(test), out);
    }
    for (title, test) in &before {
        let area = Area::Test(title.clone());
        Fields { area, catalogue, uses: None }.compare(&["tests".to_owned()], Some(test), None, out);
    }
}

/// The meaning of a text as data.
fn read(text: &str) -> Result<Json, (Box<Diagnostic>, usize)> {
    let mut out = Diagnostics::default();
    let data = crate::yaml::read(text.as_bytes(), &mut out).and_then(|(_, root)| data(&root));
    // Characters that nobody sees make a recipe unsound, but not unreadable.
    let breaks = |problem: &Diagnostic| problem.severity == Severity::Error && problem.code != crate::codes::BIDI;
    match (data, out.finish().into_iter().find(breaks)) {
        (Some(data), None) => Ok(meaning::of(data)),
        (_, problem) => {
            let problem = problem.unwrap_or_else(|| {
                Diagnostic::error(crate::codes::EMPTY, crate::ast::Span::default(), "There is no recipe in the text.")
            });
            let (line, _) = LineIndex::new(text).position(problem.span.start);
            Err((Box::new(problem), line))
        }
    }
}

/// A part of a text as data, `${ }` as it stands; `None` if any of it cannot be read.
pub(crate) fn data(node: &Node<'_>) -> Option<Json> {
    Some(match &node.kind {
        Kind::Null => Json::Null,
        Kind::Bool(value) => Json::Bool(*value),
        Kind::Number(value) => Json::Number(value.clone()),
        Kind::Text(text, _) => Json::String(text.clone().into_owned()),
        Kind::List(items) => Json::Array(items.iter().map(data).collect::<Option<_>>()?),
        Kind::Record(entries) => {
            let fields: Option<Map<_, _>> =
                entries.iter().map(|entry| Some((entry.key.clone().into_owned(), data(&entry.value)?))).collect();
            Json::Object(fields?)
        }
        Kind::Broken => return None,
    })
}
