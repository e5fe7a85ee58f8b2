//! What can be read at a place, for completion and hover.
//!
//! The question is an expression that nobody writes, [`MARK`], put where the cursor is. The checker
//! goes through the recipe as ever and, where it meets the mark, tells what is in reach there.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::Checker;
use super::known::Known;
use super::outputs::{error_known, meta_known, run_known};
use super::places::{Around, Place, Seen, Target, common, unreachable};
use crate::ast::BlockName;
use crate::catalogue::Segment;
use crate::types::Kinds;

/// Stands where the cursor is. A name, so that it is one wherever it comes to stand.
pub(crate) const MARK: &str = "zz_cursor_zz";

/// Schemas may refer to themselves; deeper than this nothing is followed.
const DEPTH_MAX: usize = 16;

/// Something that can be read.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) kinds: Kinds,
    pub(crate) doc: Option<String>,
}

/// A question and its answer.
#[derive(Default)]
pub(crate) struct Question {
    /// What stands before the cursor: `steps`, `account` for `steps.account.`; empty at the beginning.
    pub(crate) path: Vec<Segment>,
    /// What can follow; `None` if the mark was never met.
    pub(crate) answer: Option<Vec<Named>>,
}

impl<'a> Checker<'a> {
    /// Answers the question if this is where it is asked.
    pub(super) fn look(&mut self, source: &str, seen: &Seen<'a>) {
        let Some(question) = self.question.take() else { return };
        let asked = question.answer.is_none() && source == MARK;
        let answer = if asked { Some(self.in_reach(&question.path, seen)) } else { question.answer };
        self.question = Some(Question { path: question.path, answer });
    }

    fn in_reach(&self, path: &[Segment], seen: &Seen<'a>) -> Vec<Named> {
        let Some((root, rest)) = path.split_first() else { return self.roots(seen) };
        let Segment::Key(root) = root else { return Vec::new() };
        let place = seen.place();
        let known = match (root.as_str(), place) {
            ("trigger", _) => self.trigger_known(),
            ("params", _) => record(self.recipe.params.iter().map(|p| (p.name.value.as_str(), Known::schema(&p.schema)))),
            ("state", Some(_)) => record(self.recipe.state.iter().map(|p| (p.name.value.as_str(), Known::schema(&p.schema)))),
            ("run", Some(_)) => run_known(),
            ("error", _) if seen.has_error() => error_known(),
            ("steps" | "meta", Some(place)) => return self.of_steps(root == "meta", rest, place),
            (name, _) => self.bound(name, seen).unwrap_or(Known::Any),
        };
        follow(known, rest)
    }

    fn roots(&self, seen: &Seen<'a>) -> Vec<Named> {
        let named = |name: &str, kinds, doc: &str| Named { name: name.to_owned(), kinds, doc: Some(doc.to_owned()) };
        let mut found = Vec::new();
        let around: &[Around<'a>] = seen.place().map_or(&[], |place| &place.around);
        for binding in around.iter().rev().filter_map(Around::binding) {
            let kinds = self.bound(binding, seen).map_or(Kinds::ANY, |known| known.kinds());
            found.push(named(binding, kinds, "The item of the loop around."));
        }
        if around.iter().any(Around::is_loop) {
            found.push(named("index", Kinds::INTEGER, "The number of the pass, counted from 0."));
        }
        if seen.has_error() {
            found.push(named("error", Kinds::RECORD, "What went wrong."));
        }
        found.push(named("trigger", self.trigger_known().kinds(), "The event that started the run."));
        if seen.place().is_some() {
            found.push(named("steps", Kinds::RECORD, "What the steps before gave, by id."));
        }
        found.push(named("params", Kinds::RECORD, "The recipe's parameters."));
        if seen.place().is_some() {
            found.push(named("state", Kinds::RECORD, "What is kept between runs."));
            found.push(named("meta", Kinds::RECORD, "How the steps before went: status, attempts, times."));
            found.push(named("run", Kinds::RECORD, "The run itself: its id, recipe, version and start."));
        }
        found
    }

    fn of_steps(&self, meta: bool, rest: &[Segment], place: &Place<'a>) -> Vec<Named> {
        let readable = |target: &Target<'a>| {
            let outside = &target.around[common(&place.around, &target.around)..];
            unreachable(place, target, target.step.id.span).is_none()
                && !outside.iter().any(|around| around.is_loop() || (!meta && matches!(around.block, BlockName::Named(_))))
        };
        match rest.split_first() {
            None => {
                let targets = self.index.ids.iter().filter_map(|id| self.index.steps.get(id));
                // What ran last is what is mostly wanted.
                let mut found: Vec<_> = targets.filter(|target| !target.step.id.value.is_empty() && readable(target)).collect();
                found.sort_by_key(|target| std::cmp::Reverse(target.order));
                found.dedup_by_key(|target| target.order);
                let named = |target: &&Target<'a>| Named {
                    name: target.step.id.value.clone(),
                    kinds: if meta { Kinds::RECORD } else { self.output_of(target.step).kinds() },
                    doc: Some(match &target.step.title {
                        Some(title) => format!("{title} ({})", target.step.uses()),
                        None => target.step.uses(),
                    }),
                };
                found.iter().map(named).collect()
            }
            Some((Segment::Key(id), rest)) => match self.index.steps.get(id.as_str()).filter(|target| readable(target)) {
                Some(_) if meta => follow(meta_known(), rest),
                Some(target) => follow(self.output_of(target.step), rest),
                None => Vec::new(),
            },
            Some(_) => Vec::new(),
        }
    }
}

fn record<'k>(fields: impl Iterator<Item = (&'k str, Known<'k>)>) -> Known<'k> {
    Known::Record(fields.map(|(name, known)| (Cow::Borrowed(name), known)).collect())
}

fn follow(mut known: Known<'_>, path: &[Segment]) -> Vec<Named> {
    for segment in path {
        match known.follow(segment) {
            Ok(next) => known = next,
            Err(_) => return Vec::new(),
        }
    }
    names(&known)
}

fn names(known: &Known<'_>) -> Vec<Named> {
    let plain = |name: &str, kinds| Named { name: name.to_owned(), kinds, doc: None };
    match known {
        Known::Record(fields) => fields
            .iter()
            .map(|(name, known)| Named { name: name.to_string(), kinds: known.kinds(), doc: described(known) })
            .collect(),
        Known::Schema { root, node } => {
            let mut found = Vec::new();
            properties(root, node, &mut |name, node| {
                if !found.iter().any(|named: &Named| named.name == name) {
                    found.push(Named { name: name.to_owned(), kinds: Kinds::of_schema(root, node), doc: doc(node) });
                }
            });
            found
        }
        Known::Sample(Json::Object(fields)) | Known::Json(Json::Object(fields)) => {
            fields.iter().map(|(name, value)| plain(name, Kinds::of(value))).collect()
        }
        Known::Type(known) => {
            known.fields.iter().flat_map(|fields| fields.iter()).map(|(name, t)| plain(name, t.kinds)).collect()
        }
        _ => Vec::new(),
    }
}

fn described(known: &Known<'_>) -> Option<String> {
    match known {
        Known::Schema { node, .. } => doc(node),
        _ => None,
    }
}

/// What a schema says of itself, for people.
pub(crate) fn doc(node: &Json) -> Option<String> {
    let text = |word: &str| node.get(word).and_then(Json::as_str);
    match (text("title"), text("description")) {
        (Some(title), Some(description)) => Some(format!("{title}. {description}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// Every property that a schema names.
pub(crate) fn properties<'k>(root: &'k Json, node: &'k Json, found: &mut dyn FnMut(&'k str, &'k Json)) {
    deep(root, node, 0, found);
}

fn deep<'k>(root: &'k Json, node: &'k Json, depth: usize, found: &mut dyn FnMut(&'k str, &'k Json)) {
    let Some(schema) = node.as_object().filter(|_| depth < DEPTH_MAX) else { return };
    if let Some(referred) = schema.get("$ref").and_then(Json::as_str).and_then(|at| super::inputs::resolve(root, at)) {
        deep(root, referred, depth + 1, found);
    }
    if let Some(own) = schema.get("properties").and_then(Json::as_object) {
        own.iter().for_each(|(name, node)| found(name, node));
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        let parts = schema.get(word).and_then(Json::as_array);
        parts.into_iter().flatten().for_each(|node| deep(root, node, depth + 1, found));
    }
}
