//! The tree of a text, also of one that is broken elsewhere, and the way to a place in it.

use crate::ast::Span;
use crate::diagnostic::Diagnostics;
use crate::yaml::{self, Entry, Kind, Node, TEXT_BYTES_MAX};

/// So many broken lines are passed over before the rest is given up.
const REPAIRS_MAX: usize = 6;
/// So many lines are suspected of each break.
const SUSPECTS_MAX: usize = 4;

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Key(String),
    Index(usize),
}

/// Where something stands in the tree.
pub(super) struct Way<'n, 't> {
    /// The root and every node below it on the way; the last holds the place, or is it.
    pub(super) nodes: Vec<&'n Node<'t>>,
    /// How each node but the root is reached from the one before.
    pub(super) parts: Vec<Part>,
    /// The place is this key of the last node.
    pub(super) key: Option<&'n Entry<'t>>,
}

impl<'n, 't> Way<'n, 't> {
    pub(super) fn last(&self) -> &'n Node<'t> {
        self.nodes[self.nodes.len() - 1]
    }
}

/// The tree as it is; `None` if the text is no YAML.
pub(super) fn tree(text: &str) -> Option<Node<'_>> {
    yaml::read(text.as_bytes(), &mut Diagnostics::default()).map(|(_, root)| root)
}

/// The text with its broken lines blanked, every offset as before; `None` if that does not help. The
/// line at `keep` stays as it is.
pub(super) fn mended(text: &str, keep: Option<usize>) -> Option<String> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let kept = keep.map(|at| line(text, at));
    let mut mended = text.to_owned();
    let mut broken_at = match broken(text) {
        None => return Some(mended),
        Some(at) => at?,
    };
    for _ in 0..REPAIRS_MAX {
        // What is wrong comes up on its own line or behind it: the line without which most can be read.
        let (mut best, mut at) = (None, broken_at);
        for _ in 0..SUSPECTS_MAX {
            let Some(suspect) = nearest_line(&mended, at, kept) else { break };
            let mut without = mended.clone();
            without.replace_range(suspect.start..suspect.end, &" ".repeat(suspect.end - suspect.start));
            match broken(&without) {
                None => return Some(without),
                Some(Some(next)) if best.as_ref().is_none_or(|(furthest, _)| next > *furthest) => best = Some((next, without)),
                Some(_) => {}
            }
            let Some(before) = suspect.start.checked_sub(1) else { break };
            at = before;
        }
        (broken_at, mended) = best?;
    }
    None
}

/// Where a text stops being readable: `None` if it is, `Some(None)` if nobody can tell.
fn broken(text: &str) -> Option<Option<usize>> {
    let mut out = Diagnostics::default();
    if yaml::read(text.as_bytes(), &mut out).is_some() {
        return None;
    }
    Some(out.finish().last().map(|problem| problem.span.start))
}

/// The line at an offset, or the nearest before it, that says something and is not to be kept.
fn nearest_line(text: &str, at: usize, kept: Option<Span>) -> Option<Span> {
    let mut at = at.min(text.len());
    loop {
        let line = line(text, at);
        if !text[line.start..line.end].trim().is_empty() && kept != Some(line) {
            return Some(line);
        }
        at = line.start.checked_sub(1)?;
    }
}

/// The line that holds an offset, without its break.
pub(super) fn line(text: &str, at: usize) -> Span {
    let bytes = text.as_bytes();
    let at = at.min(bytes.len());
    let start = bytes[..at].iter().rposition(|b| matches!(b, b'\n' | b'\r')).map_or(0, |i| i + 1);
    let end = bytes[at..].iter().position(|b| matches!(b, b'\n' | b'\r')).map_or(bytes.len(), |i| at + i);
    Span { start, end }
}

/// The value of a key.
pub(super) fn get<'n, 't>(node: &'n Node<'t>, key: &str) -> Option<&'n Node<'t>> {
    match &node.kind {
        Kind::Record(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
        _ => None,
    }
}

/// The text of a node.
pub(super) fn text_of<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.kind {
        Kind::Text(text, _) => Some(text),
        _ => None,
    }
}

pub(super) fn entries<'n, 't>(node: &'n Node<'t>) -> &'n [Entry<'t>] {
    match &node.kind {
        Kind::Record(entries) => entries,
        _ => &[],
    }
}

pub(super) fn items<'n, 't>(node: &'n Node<'t>) -> &'n [Node<'t>] {
    match &node.kind {
        Kind::List(items) => items,
        _ => &[],
    }
}

/// The way to the first key or scalar for which `is` holds, told its text and place.
pub(super) fn find<'n, 't>(root: &'n Node<'t>, is: &dyn Fn(&str, Span) -> bool) -> Option<Way<'n, 't>> {
    let mut way = Way { nodes: vec![root], parts: Vec::new(), key: None };
    search(&mut way, is).then_some(way)
}

fn search<'n, 't>(way: &mut Way<'n, 't>, is: &dyn Fn(&str, Span) -> bool) -> bool {
    let node = way.last();
    match &node.kind {
        Kind::Text(text, _) => is(text, node.span),
        Kind::List(items) => items.iter().enumerate().any(|(at, item)| down(way, Part::Index(at), item, is)),
        Kind::Record(entries) => entries.iter().any(|entry| {
            if is(&entry.key, entry.key_span) {
                way.key = Some(entry);
                return true;
            }
            down(way, Part::Key(entry.key.to_string()), &entry.value, is)
        }),
        _ => is("", node.span),
    }
}

fn down<'n, 't>(way: &mut Way<'n, 't>, part: Part, node: &'n Node<'t>, is: &dyn Fn(&str, Span) -> bool) -> bool {
    way.nodes.push(node);
    way.parts.push(part);
    let found = search(way, is);
    if !found {
        way.nodes.pop();
        way.parts.pop();
    }
    found
}
