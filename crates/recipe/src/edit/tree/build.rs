//! From the parser's events to a tree; where dashes and colons stand is found afterwards.

use std::borrow::Cow;

use granit_parser::{Event, ScalarStyle, StructureStyle};

use super::{Kind, Node, Part, Unreadable};
use crate::ast::Span;

pub(super) struct Builder<'t> {
    pub(super) text: &'t str,
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) stack: Vec<Open<'t>>,
    pub(super) root: Option<usize>,
    /// The value read last, for the anchor that follows; `None` after a key.
    pub(super) last: Option<usize>,
}

pub(super) struct Open<'t> {
    node: usize,
    parts: Vec<Part<'t>>,
    key: Option<(Cow<'t, str>, Span)>,
    record: bool,
}

impl<'t> Builder<'t> {
    pub(super) fn event(&mut self, event: Event<'t>, span: &granit_parser::Span) -> Result<(), Unreadable> {
        let range = span.byte_range().unwrap_or_default();
        let place = Span { start: range.start.min(self.text.len()), end: range.end.min(self.text.len()) };
        let props = span.tag_span().and_then(|tag| tag.byte_range()).map(|tag| Span { start: tag.start, end: tag.end });
        match event {
            Event::DocumentStart(..) if self.root.is_some() => return Err(Unreadable),
            Event::Anchor(..) => {
                if let Some(node) = self.last.and_then(|node| self.nodes.get_mut(node)) {
                    let props = node.props.unwrap_or(place);
                    node.props = Some(Span { start: props.start.min(place.start), end: props.end.max(place.end) });
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.value(Kind::Alias, place, props),
            Event::Scalar(text, style, _, _) => {
                let waits_for_key = self.stack.last().is_some_and(|open| open.record && open.key.is_none());
                if waits_for_key {
                    self.last = None;
                    if let Some(open) = self.stack.last_mut() {
                        let text = if place.start == place.end { Cow::Borrowed("") } else { text };
                        open.key = Some((text, place));
                    }
                } else {
                    let text = if style == ScalarStyle::Plain && place.start == place.end { Cow::Borrowed("") } else { text };
                    self.value(Kind::Scalar { text, style, body: place }, place, props);
                }
            }
            Event::SequenceStart(style, ..) => {
                self.open(Kind::List { flow: style == StructureStyle::Flow, parts: Vec::new() }, place, props, false);
            }
            Event::MappingStart(style, ..) => {
                self.open(Kind::Record { flow: style == StructureStyle::Flow, parts: Vec::new() }, place, props, true);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place),
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind<'t>, span: Span, props: Option<Span>) -> usize {
        self.nodes.push(Node { kind, span, props, parent: None });
        self.last = Some(self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn value(&mut self, kind: Kind<'t>, span: Span, props: Option<Span>) {
        let node = self.push(kind, span, props);
        self.add(node);
    }

    fn open(&mut self, kind: Kind<'t>, span: Span, props: Option<Span>, record: bool) {
        let node = self.push(kind, span, props);
        self.stack.push(Open { node, parts: Vec::new(), key: None, record });
    }

    fn close(&mut self, place: Span) {
        let Some(open) = self.stack.pop() else { return };
        if let Some(node) = self.nodes.get_mut(open.node) {
            node.span.end = place.end.max(node.span.end);
            match &mut node.kind {
                Kind::List { parts, .. } | Kind::Record { parts, .. } => *parts = open.parts,
                _ => {}
            }
        }
        self.add(open.node);
    }

    fn add(&mut self, node: usize) {
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        let none = Span::default();
        if !open.record {
            let part = Part { key: Cow::Borrowed(""), key_span: none, start: 0, after: 0, colon: true, value: node };
            open.parts.push(part);
            return;
        }
        match open.key.take() {
            Some((key, key_span)) => open.parts.push(Part { key, key_span, start: 0, after: 0, colon: false, value: node }),
            None => {
                // A list or record as a key is known by how it is written.
                let span = self.nodes[node].span;
                let written = self.text.get(span.start..span.end).unwrap_or_default();
                open.key = Some((Cow::Borrowed(written), span));
            }
        }
    }
}
