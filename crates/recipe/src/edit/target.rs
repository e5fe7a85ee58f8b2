//! What a text shall mean: its tree with the changes in it.
//!
//! A target remembers where each of its parts comes from. What was not touched is only a reference;
//! the writer leaves it where it stands, or carries its bytes to the new place.

use std::ops::Range;

use serde_json::Value as Json;

use super::tree::{Kind, Meaning, Source, meaning};
use granit_parser::ScalarStyle;

/// A value of one of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) source: usize,
    pub(crate) node: usize,
}

/// An item or entry of a list or record of one of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) holder: Origin,
    pub(crate) index: usize,
}

/// A value as it shall be.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// As in the source.
    Kept(Origin),
    /// Changed, or new if it has no origin.
    Made { origin: Option<Origin>, body: Body },
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Scalar(Scalar),
    List(Vec<Part>),
    Record(Vec<Part>),
}

/// A scalar as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Read as YAML reads plain text: `1` is a number, `true` a boolean.
    pub(crate) plain: bool,
    /// What to replace in the text before, if that is known better than by comparing.
    pub(crate) hunks: Vec<(Range<usize>, String)>,
}

/// An item or entry as it shall be; in lists the key is empty.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) slot: Option<Slot>,
    /// Its lines are those of this part of another source, comments included.
    pub(crate) like: Option<Slot>,
    /// It is moved, or a copy: what it comes from is not its place.
    pub(crate) moved: bool,
    /// What stands between it and the part before comes along.
    pub(crate) joined: bool,
    /// Taken away; its place is only kept until all changes are made.
    pub(crate) gone: bool,
    pub(crate) key: String,
    pub(crate) value: Target,
}

impl Part {
    pub(crate) fn new(key: impl Into<String>, value: Target) -> Self {
        Self { slot: None, like: None, moved: false, joined: false, gone: false, key: key.into(), value }
    }

    /// Takes the part away and leaves its place.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self { gone: true, ..Self::new("", Target::null()) };
        Self { moved: true, ..std::mem::replace(self, empty) }
    }
}

impl Target {
    pub(crate) fn null() -> Self {
        Self::scalar("null", true)
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::scalar(text, false)
    }

    pub(crate) fn scalar(text: impl Into<String>, plain: bool) -> Self {
        let scalar = Scalar { text: text.into(), plain, hunks: Vec::new() };
        Self::Made { origin: None, body: Body::Scalar(scalar) }
    }

    pub(crate) fn record(parts: Vec<Part>) -> Self {
        Self::Made { origin: None, body: Body::Record(parts) }
    }

    pub(crate) fn list(parts: Vec<Part>) -> Self {
        Self::Made { origin: None, body: Body::List(parts) }
    }

    pub(crate) fn json(json: &Json) -> Self {
        match json {
            Json::Null => Self::null(),
            Json::Bool(value) => Self::scalar(value.to_string(), true),
            Json::Number(value) => Self::scalar(value.to_string(), true),
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::list(items.iter().map(|item| Part::new("", Self::json(item))).collect()),
            Json::Object(fields) => Self::record(fields.iter().map(|(key, value)| Part::new(key, Self::json(value))).collect()),
        }
    }

    pub(crate) const fn origin(&self) -> Option<Origin> {
        match self {
            Self::Kept(origin) => Some(*origin),
            Self::Made { origin, .. } => *origin,
        }
    }

    /// The items or entries, ready to be changed; `None` for a scalar.
    pub(crate) fn parts_mut(&mut self, sources: &[Source<'_>]) -> Option<&mut Vec<Part>> {
        if let Self::Kept(origin) = *self {
            let body = body(&sources[origin.source], origin)?;
            *self = Self::Made { origin: Some(origin), body };
        }
        match self {
            Self::Made { body: Body::List(parts) | Body::Record(parts), .. } => Some(parts),
            _ => None,
        }
    }

    /// The value at the end of a path of places.
    pub(crate) fn at(&mut self, sources: &[Source<'_>], path: &[usize]) -> Option<&mut Self> {
        let mut value = self;
        for index in path {
            value = &mut value.parts_mut(sources)?.get_mut(*index)?.value;
        }
        Some(value)
    }

    /// The part at the end of a path of places.
    pub(crate) fn part_at(&mut self, sources: &[Source<'_>], path: &[usize]) -> Option<&mut Part> {
        let (last, before) = path.split_last()?;
        self.at(sources, before)?.parts_mut(sources)?.get_mut(*last)
    }

    /// Gives another value to this place, keeping what is equal.
    pub(crate) fn assign(&mut self, sources: &[Source<'_>], json: &Json) {
        if self.means(sources, json) {
            return;
        }
        match (json, self.shape(sources)) {
            (Json::Object(fields), Shape::Record) => self.assign_record(sources, fields),
            (Json::Array(items), Shape::List) => self.assign_list(sources, items),
            _ => {
                let origin = self.origin();
                if let Self::Made { body, .. } = Self::json(json) {
                    *self = Self::Made { origin, body };
                }
            }
        }
    }

    fn assign_record(&mut self, sources: &[Source<'_>], fields: &serde_json::Map<String, Json>) {
        let Some(parts) = self.parts_mut(sources) else { return };
        let mut seen = std::collections::HashSet::new();
        for part in parts.iter_mut() {
            match fields.get(&part.key) {
                Some(value) if seen.insert(part.key.clone()) => part.value.assign(sources, value),
                _ => part.gone = true,
            }
        }
        let new = fields.iter().filter(|(key, _)| !seen.contains(*key));
        parts.extend(new.map(|(key, value)| Part::new(key, Self::json(value))));
    }

    fn assign_list(&mut self, sources: &[Source<'_>], items: &[Json]) {
        let Some(parts) = self.parts_mut(sources) else { return };
        let same = |(part, item): &(&Part, &Json)| part.value.means(sources, item);
        let front = parts.iter().zip(items).take_while(same).count();
        let most = parts.len().min(items.len()) - front;
        let back = parts.iter().rev().zip(items.iter().rev()).take(most).take_while(same).count();
        let (old, new) = (parts.len() - front - back, items.len() - front - back);
        for at in 0..old.max(new) {
            match (at < old, items.get(front + at).filter(|_| at < new)) {
                (true, Some(item)) => parts[front + at].value.assign(sources, item),
                (true, None) => parts[front + at].gone = true,
                (false, Some(item)) => parts.insert(front + at, Part::new("", Self::json(item))),
                (false, None) => {}
            }
        }
    }

    /// True if the value is this already.
    fn means(&self, sources: &[Source<'_>], json: &Json) -> bool {
        match self {
            Self::Kept(origin) => node_means(&sources[origin.source], origin.node, json),
            Self::Made { body, .. } => match (body, json) {
                (Body::Scalar(scalar), json) => scalar_means(&meaning(&scalar.text, scalar.plain), json),
                (Body::List(parts), Json::Array(items)) => {
                    parts.len() == items.len() && parts.iter().zip(items).all(|(part, item)| part.value.means(sources, item))
                }
                (Body::Record(parts), Json::Object(fields)) => {
                    let all =
                        |(part, (key, value)): (&Part, (&String, &Json))| part.key == *key && part.value.means(sources, value);
                    parts.len() == fields.len() && parts.iter().zip(fields).all(all)
                }
                _ => false,
            },
        }
    }

    pub(crate) fn shape(&self, sources: &[Source<'_>]) -> Shape {
        match self {
            Self::Kept(origin) => match sources[origin.source].node(origin.node).kind {
                Kind::List { .. } => Shape::List,
                Kind::Record { .. } => Shape::Record,
                Kind::Scalar { .. } | Kind::Alias => Shape::Scalar,
            },
            Self::Made { body: Body::List(_), .. } => Shape::List,
            Self::Made { body: Body::Record(_), .. } => Shape::Record,
            Self::Made { body: Body::Scalar(_), .. } => Shape::Scalar,
        }
    }

    /// Forgets the places of what was taken away.
    pub(crate) fn sweep(&mut self) {
        if let Self::Made { body: Body::List(parts) | Body::Record(parts), .. } = self {
            parts.retain(|part| !part.gone);
            parts.iter_mut().for_each(|part| part.value.sweep());
        }
    }

    /// True if a value of a source is what this target says.
    pub(crate) fn same(&self, sources: &[Source<'_>], source: &Source<'_>, node: usize) -> bool {
        let body = match self {
            Self::Kept(origin) => return sources[origin.source].same(origin.node, source, node),
            Self::Made { body, .. } => body,
        };
        // A value that was made has no tag and no anchor; one that was changed inside keeps them.
        let props = self.origin().is_some_and(|o| sources[o.source].node(o.node).props.is_some());
        if source.node(node).props.is_some() && !props {
            return false;
        }
        let values = |a: &[Part], b: usize, keys: bool| {
            let b = source.parts(b);
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| (!keys || a.key == b.key) && a.value.same(sources, source, b.value))
        };
        match (body, &source.node(node).kind) {
            (Body::Scalar(scalar), Kind::Scalar { .. }) => Some(meaning(&scalar.text, scalar.plain)) == source.meaning(node),
            (Body::List(parts), Kind::List { .. }) => values(parts, node, false),
            (Body::Record(parts), Kind::Record { .. }) => values(parts, node, true),
            _ => false,
        }
    }
}

/// The three kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar,
    List,
    Record,
}

/// A list or record opened up, its parts as they are; `None` for scalars.
fn body(source: &Source<'_>, origin: Origin) -> Option<Body> {
    let part = |(index, part): (usize, &super::tree::Part<'_>)| Part {
        slot: Some(Slot { holder: origin, index }),
        ..Part::new(part.key.as_ref(), Target::Kept(Origin { source: origin.source, node: part.value }))
    };
    match &source.node(origin.node).kind {
        Kind::List { parts, .. } => Some(Body::List(parts.iter().enumerate().map(part).collect())),
        Kind::Record { parts, .. } => Some(Body::Record(parts.iter().enumerate().map(part).collect())),
        Kind::Scalar { .. } | Kind::Alias => None,
    }
}

/// A scalar of a source as a target's scalar.
pub(crate) fn scalar_of(source: &Source<'_>, node: usize) -> Option<Scalar> {
    match &source.node(node).kind {
        Kind::Scalar { text, style, .. } => {
            Some(Scalar { text: text.to_string(), plain: *style == ScalarStyle::Plain, hunks: Vec::new() })
        }
        _ => None,
    }
}

fn scalar_means(meaning: &Meaning<'_>, json: &Json) -> bool {
    use crate::scalar::Plain;
    match (meaning, json) {
        (Meaning::Text(text), Json::String(wanted)) => text == wanted,
        (Meaning::Plain(Plain::Null), Json::Null) => true,
        (Meaning::Plain(Plain::Bool(value)), Json::Bool(wanted)) => value == wanted,
        (Meaning::Plain(Plain::Number(value)), Json::Number(wanted)) => value == wanted,
        _ => false,
    }
}

fn node_means(source: &Source<'_>, node: usize, json: &Json) -> bool {
    if source.node(node).props.is_some() {
        return false;
    }
    match (&source.node(node).kind, json) {
        (Kind::List { parts, .. }, Json::Array(items)) => {
            parts.len() == items.len() && parts.iter().zip(items).all(|(part, item)| node_means(source, part.value, item))
        }
        (Kind::Record { parts, .. }, Json::Object(fields)) => {
            parts.len() == fields.len()
                && parts.iter().zip(fields).all(|(part, (key, value))| part.key == *key && node_means(source, part.value, value))
        }
        _ => source.meaning(node).is_some_and(|meaning| scalar_means(&meaning, json)),
    }
}
