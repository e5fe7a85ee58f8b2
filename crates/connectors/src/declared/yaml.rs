//! From text to a tree with places. JSON is read as YAML.
//!
//! Numbers are those JSON knows; anything else that looks like one (`007`, `+4930`, `0x1f`, dates) stays text.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value as Json};

use super::problem::{Code, Problems, shown};

/// What a text may use up.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of text.
    pub(crate) bytes: usize,
    /// How deep records and lists may lie.
    pub(crate) depth: usize,
    /// Values in all, with those that aliases repeat.
    pub(crate) parts: usize,
    /// Whether `&a` and `*a` are read.
    pub(crate) aliases: bool,
}

/// A part of the text.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Its bytes in the text.
    pub(crate) at: (usize, usize),
}

/// What a part is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Record(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: (usize, usize),
    pub(crate) value: Node,
}

impl Node {
    /// The value under a key of this record.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Record(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Without its places.
    pub(crate) fn json(&self) -> Json {
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(flag) => Json::Bool(*flag),
            Kind::Number(number) => Json::Number(number.clone()),
            Kind::Text(text) => Json::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::json).collect(),
            Kind::Record(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.json())).collect::<Map<_, _>>())
            }
        }
    }

    /// What it is, for sentences.
    pub(crate) fn is_called(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Record(_) => "a record",
        }
    }
}

/// Reads the one document of a text. `None` after saying why there is none.
pub(crate) fn read(text: &str, limits: Limits, problems: &mut Problems) -> Option<Node> {
    if text.len() > limits.bytes {
        let message = format!("The file has {} bytes; at most {} are read.", text.len(), limits.bytes);
        problems.add(Code::TooLarge, (0, 0), message);
        return None;
    }
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: limits.depth,
        block_nesting_limit: limits.depth,
    };
    let mut builder =
        Builder { limits, problems, end: text.len(), parts: 0, stack: Vec::new(), anchors: HashMap::new(), root: None };
    for next in Parser::new_from_str_with_options(text.strip_prefix('\u{feff}').unwrap_or(text), options) {
        let step = match next {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or_else(|| error.marker().index()).min(text.len());
                builder.problems.helped(
                    Code::Syntax,
                    (at, at),
                    format!("This is no YAML: {}.", error.info().trim_end_matches('.')),
                    "Look at the indentation and the quotes here and in the line before.",
                );
                return None;
            }
        };
        if step.is_break() {
            return None;
        }
    }
    if builder.root.is_none() {
        builder.problems.add(Code::Syntax, (0, 0), "The file is empty.");
    }
    builder.root
}

struct Builder<'p> {
    limits: Limits,
    problems: &'p mut Problems,
    end: usize,
    parts: usize,
    stack: Vec<Open>,
    /// What an alias repeats, and how many values that are.
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
}

/// A list or record whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    parts_before: usize,
    items: Vec<Node>,
    record: Option<Fields>,
}

#[derive(Default)]
struct Fields {
    entries: Vec<Entry>,
    seen: HashSet<String>,
    key: Option<(String, (usize, usize))>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: &granit_parser::Span) -> ControlFlow<()> {
        let range = span.byte_range().unwrap_or_default();
        let at = (range.start.min(self.end), range.end.min(self.end));
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.problems.add(Code::Syntax, at, "A second document starts here; only one belongs into a file.");
                ControlFlow::Break(())
            }
            Event::Scalar(text, style, anchor, _) => {
                self.count(1, at)?;
                self.add(text.into_owned(), style, anchor, at)
            }
            Event::Alias(id) => self.alias(id, at),
            Event::SequenceStart(_, anchor, _) => self.open(anchor, None, at),
            Event::MappingStart(_, anchor, _) => self.open(anchor, Some(Fields::default()), at),
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            _ => ControlFlow::Continue(()),
        }
    }

    fn count(&mut self, parts: usize, at: (usize, usize)) -> ControlFlow<()> {
        self.parts += parts;
        if self.parts <= self.limits.parts {
            return ControlFlow::Continue(());
        }
        self.problems.add(Code::TooLarge, at, format!("The file holds more than {} values.", self.limits.parts));
        ControlFlow::Break(())
    }

    fn open(&mut self, anchor: usize, record: Option<Fields>, at: (usize, usize)) -> ControlFlow<()> {
        self.count(1, at)?;
        if self.stack.len() >= self.limits.depth {
            self.problems.add(Code::TooLarge, at, format!("Records and lists lie more than {} deep here.", self.limits.depth));
            return ControlFlow::Break(());
        }
        self.stack.push(Open { start: at.0, anchor, parts_before: self.parts, items: Vec::new(), record });
        ControlFlow::Continue(())
    }

    fn close(&mut self, at: (usize, usize)) -> ControlFlow<()> {
        let Some(open) = self.stack.pop() else { return ControlFlow::Continue(()) };
        let parts = self.parts - open.parts_before + 1;
        let kind = match open.record {
            Some(fields) => Kind::Record(fields.entries),
            None => Kind::List(open.items),
        };
        self.whole(Node { kind, at: (open.start, at.1.max(open.start)) }, open.anchor, parts)
    }

    fn alias(&mut self, id: usize, at: (usize, usize)) -> ControlFlow<()> {
        let known = self.anchors.get(&id).filter(|_| self.limits.aliases);
        let Some((node, parts)) = known.map(|(node, parts)| (node.clone(), *parts)) else {
            self.problems.add(Code::Syntax, at, "This is a YAML alias; write the value itself.");
            return ControlFlow::Break(());
        };
        self.count(parts, at)?;
        self.whole(node, 0, parts)
    }

    fn add(&mut self, text: String, style: ScalarStyle, anchor: usize, at: (usize, usize)) -> ControlFlow<()> {
        // Keys are text, whatever they look like: the statuses of an OpenAPI file, for instance.
        if let Some(Open { record: Some(fields), .. }) = self.stack.last_mut()
            && fields.key.is_none()
        {
            if !fields.seen.insert(text.clone()) {
                self.problems.add(Code::Repeated, at, format!("The key \"{}\" is written twice in this record.", shown(&text)));
            }
            fields.key = Some((text, at));
            return ControlFlow::Continue(());
        }
        let kind = if style == ScalarStyle::Plain { plain(text) } else { Kind::Text(text) };
        self.whole(Node { kind, at }, anchor, 1)
    }

    /// Puts a complete value where it belongs.
    fn whole(&mut self, node: Node, anchor: usize, parts: usize) -> ControlFlow<()> {
        if anchor != 0 {
            if !self.limits.aliases {
                self.problems.add(Code::Syntax, node.at, "This has a YAML anchor; remove it.");
            }
            self.anchors.insert(anchor, (node.clone(), parts));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open { record: None, items, .. }) => items.push(node),
            Some(Open { record: Some(fields), .. }) => match fields.key.take() {
                Some((key, at)) => fields.entries.push(Entry { key, at, value: node }),
                None => {
                    self.problems.add(Code::Kind, node.at, format!("A key is text, not {}.", node.is_called()));
                    return ControlFlow::Break(());
                }
            },
        }
        ControlFlow::Continue(())
    }
}

/// What a text without quotes is (YAML 1.2 core, but numbers as in JSON).
fn plain(text: String) -> Kind {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ => match serde_json::from_str::<Number>(&text) {
            Ok(number) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Kind::Number(number),
            _ => Kind::Text(text),
        },
    }
}
