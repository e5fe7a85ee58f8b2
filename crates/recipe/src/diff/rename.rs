//! Steps whose id changed, and nothing else.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::steps::{Flat, flat};
use crate::ast::Span;
use crate::catalogue::{Catalogue, Reference, Segment};
use crate::scan::{self, Piece};

/// More renamed steps than this are told as removed and added.
const RENAMES_MAX: usize = 50;
/// So many pairs of gone and new steps are held against each other; with more, none is.
const PAIRS_MAX: usize = 2_500;

/// Finds renamed steps and gives them their new ids in the old recipe, together with what refers to
/// them. Answers with the old and new ids.
pub(super) fn find(old: &mut Json, new: &Json, catalogue: &Catalogue) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while found.len() < RENAMES_MAX {
        let Some((from, to)) = next(old, new, catalogue) else { break };
        rename(old, "", &Renaming { from: &from, to: &to, catalogue, tests: false });
        found.push((from, to));
    }
    found
}

fn next(old: &Json, new: &Json, catalogue: &Catalogue) -> Option<(String, String)> {
    let (before, after) = (flat(old.get("steps")), flat(new.get("steps")));
    let known = |steps: &[Flat<'_>]| steps.iter().map(|step| step.id.clone()).collect::<HashSet<_>>();
    let (ids_before, ids_after) = (known(&before), known(&after));
    let gone: Vec<_> = before.iter().filter(|step| !ids_after.contains(&step.id)).collect();
    let come: Vec<_> = after.iter().filter(|step| !ids_before.contains(&step.id)).collect();
    if gone.len() * come.len() > PAIRS_MAX {
        return None;
    }
    for from in gone {
        for to in come.iter().filter(|to| to.place == from.place && !to.unnamed && !from.unnamed) {
            let mut own = Json::Object(from.own.clone());
            rename(&mut own, "", &Renaming { from: &from.id, to: &to.id, catalogue, tests: false });
            if own == Json::Object(to.own.clone()) && same_inside(from, to, &before, &after) {
                return Some((from.id.clone(), to.id.clone()));
            }
        }
    }
    None
}

/// True if both have nothing inside, or something in common.
fn same_inside(from: &Flat<'_>, to: &Flat<'_>, before: &[Flat<'_>], after: &[Flat<'_>]) -> bool {
    let inside = |steps: &[Flat<'_>], id: &str| -> HashSet<String> {
        steps.iter().filter(|s| s.place.parent.as_deref() == Some(id)).map(|s| s.id.clone()).collect()
    };
    let (a, b) = (inside(before, &from.id), inside(after, &to.id));
    (a.is_empty() && b.is_empty()) || !a.is_disjoint(&b)
}

struct Renaming<'r> {
    from: &'r str,
    to: &'r str,
    catalogue: &'r Catalogue,
    /// Inside a record of a test whose keys are ids.
    tests: bool,
}

fn rename(json: &mut Json, key: &str, renaming: &Renaming<'_>) {
    let Renaming { from, to, catalogue, tests } = renaming;
    match json {
        Json::String(text) if key == "not_run" && text == from => (*to).clone_into(text),
        Json::String(text) if matches!(key, "if" | "when" | "until") => *text = formula(text, renaming),
        Json::String(text) if key == "set" => {
            if let Ok(info) = (catalogue.script)(text) {
                *text = rewritten(text, &info.references, renaming);
            }
        }
        Json::String(text) => *text = mixed(text, renaming),
        Json::Array(items) => items.iter_mut().for_each(|item| rename(item, key, renaming)),
        Json::Object(fields) => {
            let step = fields.keys().any(|key| super::steps::WORDS.contains(&key.as_str()));
            if step && fields.get("id").and_then(Json::as_str) == Some(from) {
                fields.insert("id".to_owned(), Json::String((*to).to_owned()));
            }
            if *tests && fields.contains_key(*from) {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(key, value)| (if key == *from { (*to).to_owned() } else { key }, value))
                    .collect();
            }
            for (key, value) in fields.iter_mut() {
                let tests = matches!(key.as_str(), "given" | "fails" | "calls" | "steps");
                rename(value, key, &Renaming { from, to, catalogue, tests });
            }
        }
        _ => {}
    }
}

fn formula(source: &str, renaming: &Renaming<'_>) -> String {
    match (renaming.catalogue.expression)(source) {
        Ok(info) => rewritten(source, &info.references, renaming),
        Err(_) => source.to_owned(),
    }
}

fn mixed(text: &str, renaming: &Renaming<'_>) -> String {
    let Ok(pieces) = scan::pieces(text) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for piece in &pieces {
        if let Piece::Expr { source, range, .. } = piece {
            out.push_str(&text[at..range.start]);
            out.push_str(&formula(source, renaming));
            at = range.end;
        }
    }
    out.push_str(&text[at..]);
    out
}

/// A formula with the id of its references replaced.
fn rewritten(source: &str, references: &[Reference], renaming: &Renaming<'_>) -> String {
    let mut places: Vec<Span> = references
        .iter()
        .filter(|r| matches!(r.root.as_str(), "steps" | "meta"))
        .filter(|r| matches!(r.path.first(), Some(Segment::Key(key)) if key == renaming.from))
        .filter_map(|r| {
            let text = source.get(r.range.clone())?;
            let root = text.find(r.root.as_str())? + r.root.len();
            let start = r.range.start + root + text.get(root..)?.find(renaming.from)?;
            Some(Span { start, end: start + renaming.from.len() })
        })
        .collect();
    places.sort_by_key(|place| place.start);
    places.dedup();
    let mut out = source.to_owned();
    for place in places.iter().rev() {
        out.replace_range(place.start..place.end, renaming.to);
    }
    out
}
