//! From bytes to a tree with places.
//!
//! Checks the bytes, runs the YAML parser and builds a tree that owns nothing it can borrow. What
//! YAML has and recipes have not (anchors, tags, repeated keys, …) is reported here, once each, and
//! the part concerned becomes [`Kind::Broken`], which later stages pass over in silence.

use std::borrow::Cow;
use std::collections::HashSet;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};
use serde_json::Number;

use crate::ast::Span;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, shown, turns_direction};
use crate::scalar::{self, Plain};
use crate::syntax;

/// The largest recipe.
pub(crate) const TEXT_BYTES_MAX: usize = 1_000_000;
/// How deep records and lists may lie.
pub(crate) const DEPTH_MAX: usize = 64;

/// A part of the text.
#[derive(Debug, Clone)]
pub(crate) struct Node<'t> {
    pub(crate) kind: Kind<'t>,
    pub(crate) span: Span,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(crate) enum Kind<'t> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'t, str>, ScalarStyle),
    List(Vec<Node<'t>>),
    Record(Vec<Entry<'t>>),
    /// Reported already.
    Broken,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node<'t>,
}

impl Node<'_> {
    /// What the part is, as it stands in a sentence.
    pub(crate) fn is_called(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Number(value) => format!("the number {value}"),
            Kind::Text(text, _) => format!("the text \"{}\"", shown(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Record(_) => "a record".to_owned(),
            Kind::Broken => "something unreadable".to_owned(),
        }
    }
}

/// Reads the one document of a text.
pub(crate) fn read<'t>(bytes: &'t [u8], out: &mut Diagnostics) -> Option<(&'t str, Node<'t>)> {
    let text = characters(bytes, out)?;
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        emit_comments: false,
        // Each kind alone is stopped by the parser, which reads far ahead; both together by us.
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder { text, out, stack: Vec::new(), root: None };
    for next in Parser::new_from_str_with_options(text, options) {
        let step = next.map_err(|error| builder.syntax(&error)).and_then(|(event, span)| builder.event(event, &span));
        match step {
            Ok(()) => {}
            Err(Stop::Unreadable) => return None,
            Err(Stop::Enough) => break,
        }
    }
    match builder.root {
        Some(root) => Some((text, root)),
        None => {
            let end = Span { start: text.len(), end: text.len() };
            let help = "Start with `liaison: 1`, then recipe, trigger and steps.";
            out.push(Diagnostic::error(codes::EMPTY, end, "The file is empty.").help(help));
            None
        }
    }
}

/// The bytes as text without anything that is not text.
fn characters<'t>(bytes: &'t [u8], out: &mut Diagnostics) -> Option<&'t str> {
    if bytes.len() > TEXT_BYTES_MAX {
        let span = Span { start: TEXT_BYTES_MAX, end: TEXT_BYTES_MAX };
        let message = format!("The file has {} bytes; a recipe has at most {TEXT_BYTES_MAX}.", bytes.len());
        out.push(Diagnostic::error(codes::TOO_LARGE, span, message).help("Split the recipe, or keep large data outside it."));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let span = Span { start: at, end: at + error.error_len().unwrap_or(1) };
            let byte = bytes.get(at).copied().unwrap_or_default();
            let diagnostic = Diagnostic::error(codes::NOT_UTF8, span, format!("The byte 0x{byte:02X} here is not UTF-8 text."));
            out.push(diagnostic.help("Save the file as UTF-8."));
            return None;
        }
    };
    if let Some((at, c)) = text.char_indices().find(|(_, c)| is_control(*c)) {
        let span = Span { start: at, end: at + c.len_utf8() };
        let message = format!("The control character 0x{:02X} does not belong into a recipe.", u32::from(c));
        let help = if c == '\0' { "Save the file as UTF-8 text." } else { "Remove it." };
        out.push(Diagnostic::error(codes::CONTROL, span, message).help(help));
        return None;
    }
    for (at, c) in text.char_indices().filter(|(_, c)| turns_direction(*c)) {
        let span = Span { start: at, end: at + c.len_utf8() };
        let escape = format!("\\u{:04X}", u32::from(c));
        let message = format!("The character {escape} here is not seen but turns the direction of the text behind it.");
        let help = format!("Remove it; where data needs it, write \"{escape}\" in double quotes.");
        out.push(Diagnostic::error(codes::BIDI, span, message).help(help).edit(span, "", "Remove it"));
        if out.is_full() {
            return None;
        }
    }
    Some(text)
}

/// What no text of YAML holds.
const fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
}

/// Why reading ended early.
enum Stop {
    /// The tree cannot be built.
    Unreadable,
    /// The first document is complete.
    Enough,
}

struct Builder<'t, 'o> {
    text: &'t str,
    out: &'o mut Diagnostics,
    stack: Vec<Open<'t>>,
    root: Option<Node<'t>>,
}

/// A list or record whose end has not come yet.
struct Open<'t> {
    start: usize,
    broken: bool,
    kind: OpenKind<'t>,
}

enum OpenKind<'t> {
    List(Vec<Node<'t>>),
    Record { entries: Vec<Entry<'t>>, key: Option<PendingKey<'t>>, seen: HashSet<Cow<'t, str>>, block: bool },
}

/// A key that waits for its value; `text` is `None` if it was refused.
struct PendingKey<'t> {
    text: Option<Cow<'t, str>>,
    span: Span,
}

impl<'t> Builder<'t, '_> {
    fn event(&mut self, event: Event<'t>, span: &granit_parser::Span) -> Result<(), Stop> {
        if self.out.is_full() {
            return Err(Stop::Unreadable);
        }
        let place = self.place(span);
        if let Some(tag) = event.tag() {
            let tag_place = span.tag_span().map_or(place, |s| self.place(&s));
            let message = format!("`{}` is a YAML tag; recipes have none.", shown(&tag.original()));
            self.out.push(Diagnostic::error(codes::TAG, tag_place, message).help("Remove it, or put quotes around the text."));
        }
        let tagged = event.tag().is_some();
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let diagnostic =
                    Diagnostic::error(codes::DOCUMENTS, place, "A second document starts here; one file holds one recipe.");
                self.out.push(diagnostic.help("Put it into a file of its own, or remove this line."));
                Err(Stop::Enough)
            }
            Event::Anchor(_, name) => {
                let message = format!("`&{}` is a YAML anchor; recipes have none.", shown(&name));
                let help = "Remove it, or put quotes around the text.";
                self.out.push(Diagnostic::error(codes::ANCHOR, place, message).help(help));
                Ok(())
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let written = self.text.get(place.start..place.end).unwrap_or_default();
                let message = format!("`{}` is a YAML alias; recipes have none.", shown(written));
                let help = "Write the value itself, or put quotes around the text.";
                self.out.push(Diagnostic::error(codes::ANCHOR, place, message).help(help));
                self.add(Node { kind: Kind::Broken, span: place });
                Ok(())
            }
            Event::Scalar(text, style, _, _) => {
                let node = self.scalar(text, style, place, tagged);
                self.add(node);
                Ok(())
            }
            Event::SequenceStart(..) => self.open(place, tagged, OpenKind::List(Vec::new())),
            Event::MappingStart(style, ..) => {
                let block = style == granit_parser::StructureStyle::Block;
                let kind = OpenKind::Record { entries: Vec::new(), key: None, seen: HashSet::new(), block };
                self.open(place, tagged, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(place);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn place(&self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or_default();
        let end = range.end.min(self.text.len());
        Span { start: range.start.min(end), end }
    }

    fn syntax(&mut self, error: &ScanError) -> Stop {
        self.out.push(syntax::explain(self.text, error));
        Stop::Unreadable
    }

    fn scalar(&mut self, text: Cow<'t, str>, style: ScalarStyle, mut span: Span, tagged: bool) -> Node<'t> {
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            // The parser's span runs on over the line breaks that follow the text.
            let raw = self.text.get(span.start..span.end).unwrap_or_default();
            span.end = span.start + raw.trim_end().len();
        }
        let kind = match style {
            _ if tagged => Kind::Broken,
            ScalarStyle::Plain => match scalar::resolve(&text) {
                Plain::Null => Kind::Null,
                Plain::Bool(value) => Kind::Bool(value),
                Plain::Number(number) => Kind::Number(number),
                Plain::Text => Kind::Text(text, style),
                Plain::Inexact => {
                    let message = format!("The number {} cannot be kept exactly.", shown(&text));
                    let diagnostic =
                        Diagnostic::error(codes::INEXACT, span, message).help("Put quotes around it to keep it as text.");
                    self.out.push(diagnostic.edit(span, format!("\"{text}\""), "Put quotes around it"));
                    Kind::Broken
                }
            },
            _ => Kind::Text(text, style),
        };
        Node { kind, span }
    }

    fn open(&mut self, place: Span, broken: bool, kind: OpenKind<'t>) -> Result<(), Stop> {
        if self.stack.len() >= DEPTH_MAX {
            self.out.push(syntax::too_deep(place));
            return Err(Stop::Unreadable);
        }
        self.stack.push(Open { start: place.start, broken, kind });
        Ok(())
    }

    fn close(&mut self, place: Span) {
        let Some(open) = self.stack.pop() else { return };
        // The end of a block is only known from what follows it; its last part tells better.
        let (kind, last) = match open.kind {
            OpenKind::List(items) => {
                let last = items.last().map(|n| n.span.end);
                (Kind::List(items), last)
            }
            OpenKind::Record { entries, .. } => {
                let last = entries.last().map(|e| e.value.span.end);
                (Kind::Record(entries), last)
            }
        };
        let end = if place.start < place.end { place.end } else { last.unwrap_or(place.end) };
        let span = Span { start: open.start, end: end.max(open.start) };
        self.add(Node { kind: if open.broken { Kind::Broken } else { kind }, span });
    }

    fn add(&mut self, node: Node<'t>) {
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Record { entries, key, seen, block } => match key.take() {
                Some(PendingKey { text: Some(text), span }) => {
                    if seen.insert(text.clone()) {
                        entries.push(Entry { key: text, key_span: span, value: node });
                    } else {
                        let message = format!("The key \"{}\" is written twice in this record.", shown(&text));
                        self.out.push(Diagnostic::error(codes::REPEATED, span, message).help("Remove one of the two."));
                    }
                }
                Some(PendingKey { text: None, .. }) => {}
                None => {
                    let span = node.span;
                    let tab = *block && tab_before(self.text, span.start);
                    *key = Some(PendingKey { text: key_text(self.text, node, self.out), span });
                    if tab {
                        self.out.push(syntax::tab(Span { start: span.start.saturating_sub(1), end: span.start }));
                    }
                }
            },
        }
    }
}

/// True if the line of a block key is indented with a tab, which the parser lets pass at the top.
fn tab_before(text: &str, at: usize) -> bool {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let line_start = before.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map_or(0, |i| i + 1);
    let indent = &before[line_start..];
    indent.contains(&b'\t') && indent.iter().all(|b| matches!(b, b' ' | b'\t'))
}

/// The text of a key, or `None` after saying why it cannot be one.
fn key_text<'t>(text: &str, node: Node<'t>, out: &mut Diagnostics) -> Option<Cow<'t, str>> {
    let span = node.span;
    let message = match node.kind {
        Kind::Text(key, ScalarStyle::Plain) if key == "<<" => {
            let message = "`<<` is a YAML merge key; recipes have none.";
            out.push(Diagnostic::error(codes::MERGE, span, message).help("Write the fields here themselves."));
            return None;
        }
        Kind::Text(key, _) => return Some(key),
        Kind::Broken => return None,
        Kind::List(_) | Kind::Record(_) => {
            out.push(Diagnostic::error(codes::KEY_NOT_TEXT, span, "A key is text, not a list or a record."));
            return None;
        }
        Kind::Null if span.start == span.end => "A key is missing before the colon.".to_owned(),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => {
            format!("A key is text; this one reads as {}.", node.is_called())
        }
    };
    let diagnostic = Diagnostic::error(codes::KEY_NOT_TEXT, span, message);
    let written = text.get(span.start..span.end).unwrap_or_default();
    out.push(if written.is_empty() {
        diagnostic
    } else {
        diagnostic.help("Put quotes around it.").edit(span, format!("\"{written}\""), "Put quotes around it")
    });
    None
}
