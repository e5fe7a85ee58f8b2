//! What an expression sees where it stands: the tree is changed so that only the question stands
//! there, and the checker answers it.
//!
//! The steps around may be half-typed. They keep what makes them hold the place, and get what they lack.

use std::borrow::Cow;

use granit_parser::ScalarStyle;

use super::cut::{self, Part};
use crate::ast::Span;
use crate::catalogue::{Catalogue, Segment};
use crate::check::{self, MARK, Named};
use crate::diagnostic::Diagnostics;
use crate::keys::STEP_WORDS;
use crate::read::{Reader, is_name};
use crate::yaml::{Entry, Kind, Node};

const NOWHERE: Span = Span { start: 0, end: 0 };

/// What can follow `path` in an expression at the end of `parts`.
pub(super) fn in_reach(root: &Node<'_>, parts: &[Part], path: Vec<Segment>, catalogue: &Catalogue) -> Vec<Named> {
    let mut root = root.clone();
    if !ask(&mut root, parts) {
        return Vec::new();
    }
    // The places of what was made up are no places of this text, so it is read without one.
    let mut reader = Reader::new("", Diagnostics::default());
    let Some(recipe) = reader.recipe(&root) else { return Vec::new() };
    check::in_reach(&recipe, catalogue, &reader.gaps, path).unwrap_or_default()
}

/// Puts the question into the tree.
fn ask(root: &mut Node<'_>, parts: &[Part]) -> bool {
    // The innermost step around the place.
    let step = (0..parts.len()).rev().find(|at| is_step(parts, *at)).filter(|_| parts.first() == Some(&key("steps")));
    let Some(step) = step else {
        set(root, "settings", record([("label", question())]));
        return true;
    };
    let mut node = root;
    for (at, part) in parts[..=step].iter().enumerate() {
        // A step on the way to another holds it under this key.
        if at > 0
            && is_step(parts, at - 1)
            && let Part::Key(word) = part
        {
            keep(node, word);
        }
        let next = match (&mut node.kind, part) {
            (Kind::Record(entries), Part::Key(key)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.value)
            }
            (Kind::List(items), Part::Index(at)) => items.get_mut(*at),
            _ => None,
        };
        let Some(next) = next else { return false };
        node = next;
    }
    let id = cut::get(node, "id").and_then(cut::text_of).filter(|id| is_name(id)).map_or_else(|| MARK.to_owned(), str::to_owned);
    let id = ("id", text(id));
    let before = || record([(MARK, text(String::new()))]);
    *node = match parts.get(step + 1) {
        Some(Part::Key(key)) if key == "fallback" => record([id, ("set", before()), ("fallback", question())]),
        // What an undo takes back is there: the step stays as it is.
        Some(Part::Key(key)) if key == "undo" => {
            let undo = record([("do", text("zz.zz".to_owned())), ("with", record([(MARK, question())]))]);
            set(node, "undo", undo);
            return true;
        }
        Some(Part::Key(key)) if key == "collect" => {
            set(node, "collect", question());
            keep(node, "steps");
            return true;
        }
        Some(Part::Key(key)) if key == "repeat" && parts.len() > step + 2 => {
            set(node, "repeat", record([("until", text(MARK.to_owned()))]));
            return true;
        }
        _ => record([id, ("set", record([(MARK, question())]))]),
    };
    true
}

/// The part leads to an item of a list of steps.
fn is_step(parts: &[Part], at: usize) -> bool {
    let (Some(Part::Index(_)), Some(list)) = (parts.get(at), at.checked_sub(1)) else { return false };
    let Part::Key(name) = &parts[list] else { return false };
    matches!(name.as_str(), "steps" | "try" | "catch" | "finally" | "otherwise")
        || (list > 0 && parts[list - 1] == key("parallel"))
}

/// Makes a step one that surely holds the steps under `word`.
fn keep(step: &mut Node<'_>, word: &str) {
    let has = |step: &Node<'_>, key: &str| cut::get(step, key).is_some();
    let owner = match word {
        "steps" if has(step, "repeat") => "repeat",
        "steps" => "each",
        "catch" | "finally" => "try",
        other => other,
    };
    if let Kind::Record(entries) = &mut step.kind {
        let other = |key: &str| key != owner && STEP_WORDS.iter().any(|(word, ..)| *word == key);
        let passes = owner == "each";
        entries.retain(|entry| !other(&entry.key) || (passes && entry.key == "parallel"));
    }
    if !cut::get(step, "id").and_then(cut::text_of).is_some_and(is_name) {
        set(step, "id", text(MARK.to_owned()));
    }
    match owner {
        "repeat" if !matches!(cut::get(step, "repeat").map(|node| &node.kind), Some(Kind::Record(_))) => {
            set(step, "repeat", record([("max", Node { kind: Kind::Number(1.into()), span: NOWHERE })]));
        }
        "each" if !cut::get(step, "each").is_some_and(gives_list) => set(step, "each", list(Vec::new())),
        "try" if !has(step, "try") => set(step, "try", list(Vec::new())),
        _ => {}
    }
}

fn gives_list(node: &Node<'_>) -> bool {
    match &node.kind {
        Kind::List(_) => true,
        Kind::Text(text, _) => text.starts_with("${") && crate::scan::pieces(text).is_ok_and(|pieces| pieces.len() == 1),
        _ => false,
    }
}

fn key(name: &str) -> Part {
    Part::Key(name.to_owned())
}

fn set<'t>(node: &mut Node<'t>, key: &'static str, value: Node<'t>) {
    if !matches!(node.kind, Kind::Record(_)) {
        node.kind = Kind::Record(Vec::new());
    }
    let Kind::Record(entries) = &mut node.kind else { return };
    entries.retain(|entry| entry.key != key);
    entries.push(Entry { key: Cow::Borrowed(key), key_span: NOWHERE, value });
}

fn question<'t>() -> Node<'t> {
    text(format!("${{ {MARK} }}"))
}

fn text<'t>(text: String) -> Node<'t> {
    Node { kind: Kind::Text(Cow::Owned(text), ScalarStyle::Plain), span: NOWHERE }
}

fn list<'t>(items: Vec<Node<'t>>) -> Node<'t> {
    Node { kind: Kind::List(items), span: NOWHERE }
}

fn record<'t, const N: usize>(fields: [(&'static str, Node<'t>); N]) -> Node<'t> {
    let entry = |(key, value)| Entry { key: Cow::Borrowed(key), key_span: NOWHERE, value };
    Node { kind: Kind::Record(fields.into_iter().map(entry).collect()), span: NOWHERE }
}
