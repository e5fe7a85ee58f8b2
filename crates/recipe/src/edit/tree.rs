//! A text as a tree that knows where everything stands.
//!
//! The tree of [`crate::yaml`] serves readers: it drops what a recipe may not have. This one serves
//! writers: it keeps repeated keys, tags and anchors, and remembers dashes, colons, brackets and the
//! heads of block texts, so that a change can be made between them.

mod build;

use std::borrow::Cow;

use granit_parser::{Event, Parser, ScalarStyle};

use self::build::Builder;
use super::lines::{break_len, skip};
use crate::ast::Span;
use crate::scalar::{self, Plain};
use crate::yaml::{DEPTH_MAX, TEXT_BYTES_MAX};

/// A text and its tree.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    pub(crate) text: &'t str,
    pub(crate) nodes: Vec<Node<'t>>,
    pub(crate) root: usize,
    /// The text is one step or value only, and all of it belongs to that.
    pub(crate) whole: bool,
}

/// A value.
#[derive(Debug)]
pub(crate) struct Node<'t> {
    pub(crate) kind: Kind<'t>,
    /// From its first byte to past its last one; block text from its `|` or `>`.
    pub(crate) span: Span,
    /// Its tag and anchor, which recipes have not, but broken ones may.
    pub(crate) props: Option<Span>,
    /// The list or record it stands in, and at which place.
    pub(crate) parent: Option<(usize, usize)>,
}

#[derive(Debug)]
pub(crate) enum Kind<'t> {
    Scalar {
        text: Cow<'t, str>,
        style: ScalarStyle,
        /// The bytes that hold the text; of block text without its head.
        body: Span,
    },
    Alias,
    List {
        flow: bool,
        parts: Vec<Part<'t>>,
    },
    Record {
        flow: bool,
        parts: Vec<Part<'t>>,
    },
}

/// An item of a list or an entry of a record.
#[derive(Debug)]
pub(crate) struct Part<'t> {
    pub(crate) key: Cow<'t, str>,
    pub(crate) key_span: Span,
    /// Where it begins: its dash or key; in a flow list its value.
    pub(crate) start: usize,
    /// Just after its dash or colon.
    pub(crate) after: usize,
    /// There is a colon; in lists always.
    pub(crate) colon: bool,
    pub(crate) value: usize,
}

/// Why a text has no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// What a scalar means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning<'n> {
    Plain(Plain),
    /// A number that cannot be kept exactly is told by its text.
    Inexact(&'n str),
    Text(&'n str),
}

/// What a scalar of this text and style means.
pub(crate) fn meaning(text: &str, plain: bool) -> Meaning<'_> {
    match plain.then(|| scalar::resolve(text)) {
        None | Some(Plain::Text) => Meaning::Text(text),
        Some(Plain::Inexact) => Meaning::Inexact(text),
        Some(plain) => Meaning::Plain(plain),
    }
}

impl<'t> Source<'t> {
    /// Reads a text of one document.
    pub(crate) fn read(text: &'t str) -> Result<Self, Unreadable> {
        if text.len() > TEXT_BYTES_MAX || text.bytes().any(|b| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r')) {
            return Err(Unreadable);
        }
        let options = granit_parser::options! {
            disallow_directives: true,
            emit_unresolved_aliases: true,
            emit_anchor_events: true,
            emit_comments: false,
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
        };
        let mut builder = Builder { text, nodes: Vec::new(), stack: Vec::new(), root: None, last: None };
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|_| Unreadable)?;
            builder.event(event, &span)?;
        }
        let root = builder.root.ok_or(Unreadable)?;
        let mut source = Self { text, nodes: builder.nodes, root, whole: false };
        source.place(root, 0)?;
        Ok(source)
    }

    /// The comments between two places. Reads the text again, as few changes ask for them.
    pub(crate) fn comments(&self, start: usize, end: usize) -> Vec<Span> {
        let options = granit_parser::options! {
            emit_comments: true,
            emit_unresolved_aliases: true,
            max_buffered_comment_events: TEXT_BYTES_MAX,
        };
        let mut found = Vec::new();
        for (event, span) in Parser::new_from_str_with_options(self.text, options).map_while(Result::ok) {
            if let (Event::Comment(..), Some(range)) = (event, span.byte_range())
                && range.start >= start
                && range.end <= end
            {
                found.push(Span { start: range.start, end: range.end });
            }
        }
        found
    }

    pub(crate) fn node(&self, node: usize) -> &Node<'t> {
        &self.nodes[node]
    }

    /// The items or entries of a list or record.
    pub(crate) fn parts(&self, node: usize) -> &[Part<'t>] {
        match &self.nodes[node].kind {
            Kind::List { parts, .. } | Kind::Record { parts, .. } => parts,
            Kind::Scalar { .. } | Kind::Alias => &[],
        }
    }

    /// The value of a key of a record, the first one if it is repeated.
    pub(crate) fn get(&self, node: usize, key: &str) -> Option<usize> {
        match &self.nodes[node].kind {
            Kind::Record { parts, .. } => parts.iter().find(|part| part.key == key).map(|part| part.value),
            _ => None,
        }
    }

    /// The text of a scalar that means text.
    pub(crate) fn text_of(&self, node: usize) -> Option<&str> {
        match self.meaning(node)? {
            Meaning::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a scalar means; `None` for anything else.
    pub(crate) fn meaning(&self, node: usize) -> Option<Meaning<'_>> {
        match &self.nodes[node].kind {
            Kind::Scalar { text, style, .. } => Some(meaning(text, *style == ScalarStyle::Plain)),
            _ => None,
        }
    }

    /// The places that lead from the root to a value.
    pub(crate) fn path(&self, mut node: usize) -> Vec<usize> {
        let mut path = Vec::new();
        while let Some((parent, index)) = self.nodes[node].parent {
            path.push(index);
            node = parent;
        }
        path.reverse();
        path
    }

    /// True for lists and records written with brackets.
    pub(crate) fn is_flow(&self, node: usize) -> bool {
        matches!(self.nodes[node].kind, Kind::List { flow: true, .. } | Kind::Record { flow: true, .. })
    }

    /// True for lists and records written in lines.
    pub(crate) fn is_block(&self, node: usize) -> bool {
        matches!(self.nodes[node].kind, Kind::List { flow: false, .. } | Kind::Record { flow: false, .. })
    }

    /// The end of an item or entry, its value included.
    pub(crate) fn part_end(&self, part: &Part<'_>) -> usize {
        part.after.max(self.nodes[part.value].span.end)
    }

    /// True if two values mean the same; records only with their keys in the same order.
    pub(crate) fn same(&self, node: usize, other: &Source<'_>, other_node: usize) -> bool {
        let (a, b) = (&self.nodes[node], &other.nodes[other_node]);
        let props = |source: &Source<'t>, node: &Node<'_>| node.props.map(|span| source.text[span.start..span.end].to_owned());
        if a.props.is_some() != b.props.is_some()
            || (a.props.is_some() && props(self, a).as_deref() != b.props.map(|s| &other.text[s.start..s.end]))
        {
            return false;
        }
        let keys = |a: &[Part<'_>], b: &[Part<'_>]| a.iter().zip(b).all(|(a, b)| a.key == b.key);
        let values = |a: &[Part<'_>], b: &[Part<'_>]| a.iter().zip(b).all(|(a, b)| self.same(a.value, other, b.value));
        match (&a.kind, &b.kind) {
            (Kind::Scalar { .. }, Kind::Scalar { .. }) => self.meaning(node) == other.meaning(other_node),
            (Kind::Alias, Kind::Alias) => self.text[a.span.start..a.span.end] == other.text[b.span.start..b.span.end],
            (Kind::List { parts: a, .. }, Kind::List { parts: b, .. }) => a.len() == b.len() && values(a, b),
            (Kind::Record { parts: a, .. }, Kind::Record { parts: b, .. }) => a.len() == b.len() && keys(a, b) && values(a, b),
            _ => false,
        }
    }

    /// Finds the dashes, colons and heads of a value that stands behind `from`, and its parents.
    fn place(&mut self, node: usize, from: usize) -> Result<usize, Unreadable> {
        let from = self.nodes[node].props.map_or(from, |props| from.max(props.end));
        let mut parts = match &mut self.nodes[node].kind {
            Kind::Alias => return Ok(self.nodes[node].span.end),
            Kind::Scalar { text, style, body } => {
                let (style, body, empty) = (*style, *body, text.is_empty());
                return Ok(self.place_scalar(node, from, style, body, empty));
            }
            Kind::List { parts, .. } | Kind::Record { parts, .. } => std::mem::take(parts),
        };
        let flow = self.is_flow(node);
        let mut at = if flow { from.max(self.nodes[node].span.start) } else { from };
        // Past the bracket, which the one record `[a: 1]` has not.
        if flow && self.text[at..].starts_with(['{', '[']) {
            at += 1;
        }
        for (index, part) in parts.iter_mut().enumerate() {
            at = self.place_part(node, part, at, flow)?;
            self.nodes[part.value].parent = Some((node, index));
        }
        let first = parts.first().map(|part| part.start);
        let list = match &mut self.nodes[node].kind {
            Kind::List { parts: list, .. } | Kind::Record { parts: list, .. } => list,
            _ => return Err(Unreadable),
        };
        *list = parts;
        let span = &mut self.nodes[node].span;
        if !flow {
            *span = Span { start: first.unwrap_or(from), end: at };
        }
        Ok(span.end.max(at))
    }

    fn place_part(&mut self, node: usize, part: &mut Part<'t>, at: usize, flow: bool) -> Result<usize, Unreadable> {
        let text = self.text;
        part.start = skip(text, at, flow);
        match (&self.nodes[node].kind, flow) {
            (Kind::List { .. }, true) => part.after = part.start,
            (Kind::List { .. }, false) if text[part.start..].starts_with('-') => part.after = part.start + 1,
            (Kind::Record { .. }, _) if part.start <= part.key_span.start => {
                let colon = skip(text, part.key_span.end, false);
                part.colon = text[colon..].starts_with(':');
                part.after = if part.colon { colon + 1 } else { part.key_span.end };
            }
            _ => return Err(Unreadable),
        }
        let end = self.place(part.value, part.after)?;
        Ok(end.max(part.after))
    }

    fn place_scalar(&mut self, node: usize, from: usize, style: ScalarStyle, body: Span, empty: bool) -> usize {
        let text = self.text;
        let mut span = body;
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                span.start = skip(text, from, false);
                let head = &text[span.start..];
                let head = span.start + head.find([' ', '\t', '\n', '\r', '#']).unwrap_or(head.len());
                let keep = text[span.start..head].contains('+');
                // The parser's place may reach into the indentation of the line below.
                let raw = text[body.start.max(head)..body.end.max(head)].trim_end_matches([' ', '\t']);
                // Blank lines behind the text belong to it only if it keeps them.
                span.end = if empty && !keep {
                    head
                } else if keep {
                    let cut = if raw.ends_with("\r\n") { 2 } else { usize::from(raw.ends_with(['\n', '\r'])) };
                    (body.start.max(head) + raw.len() - cut).max(head)
                } else {
                    body.start.max(head) + raw.trim_end_matches([' ', '\t', '\n', '\r']).len()
                };
                span.end = span.end.max(head);
                // Blank lines only: the break behind the head is not part of them.
                if break_len(text, head) > 0 && span.end == head && keep && body.end > head {
                    span.end = body.end;
                }
            }
            ScalarStyle::Plain if body.start >= body.end => span = Span { start: from, end: from },
            _ => {}
        }
        self.nodes[node].span = span;
        span.end
    }
}
