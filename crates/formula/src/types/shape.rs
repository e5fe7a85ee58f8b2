//! What is known of a value before it is there.
//!
//! A [`Type`] is a set of kinds, and for lists and records what is in them. It is a promise about
//! the most a value can be: "text or null" never turns out to be a number. Everything that cannot
//! be said within the limits below is said less exactly, never wrongly.

use std::{cmp::Ordering, sync::Arc};

use serde_json::Value as Json;

use crate::limits;

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What is missing.
    Null,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// Any number, whole ones included.
    Number,
    /// Text.
    Text,
    /// A day.
    Date,
    /// An instant.
    DateTime,
    /// A length of time.
    Duration,
    /// A list.
    List,
    /// A record.
    Record,
}

impl Kind {
    const fn bits(self) -> Kinds {
        match self {
            Self::Null => NULL,
            Self::Boolean => BOOLEAN,
            Self::Integer => WHOLE,
            Self::Number => NUMBER,
            Self::Text => TEXT,
            Self::Date => DATE,
            Self::DateTime => DATE_TIME,
            Self::Duration => DURATION,
            Self::List => LIST,
            Self::Record => RECORD,
        }
    }
}

/// A set of kinds.
pub(super) type Kinds = u16;
pub(super) const NULL: Kinds = 1;
pub(super) const BOOLEAN: Kinds = 1 << 1;
pub(super) const WHOLE: Kinds = 1 << 2;
pub(super) const FRACTION: Kinds = 1 << 3;
pub(super) const NUMBER: Kinds = WHOLE | FRACTION;
pub(super) const TEXT: Kinds = 1 << 4;
pub(super) const DATE: Kinds = 1 << 5;
pub(super) const DATE_TIME: Kinds = 1 << 6;
pub(super) const DURATION: Kinds = 1 << 7;
/// Days, instants and lengths of time.
pub(super) const TIMES: Kinds = DATE | DATE_TIME | DURATION;
pub(super) const LIST: Kinds = 1 << 8;
pub(super) const RECORD: Kinds = 1 << 9;
/// Closures and ranges: values only inside of a formula.
pub(super) const INNER: Kinds = 1 << 10;
pub(super) const ALL: Kinds = (1 << 11) - 1;

/// What is known of a value: which kinds it may be of, and what is in it. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    pub(super) kinds: Kinds,
    // How deep it goes and how much it holds, both bounded.
    depth: u8,
    weight: u16,
    // None is any items and any fields.
    pub(super) items: Option<Arc<Type>>,
    pub(super) fields: Option<Arc<Fields>>,
}

/// The fields of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fields {
    /// Sorted by name.
    pub(super) known: Vec<(Arc<str>, Type)>,
    /// What a look-up of any other name gives; null alone for a record that has no others.
    pub(super) rest: Type,
}

impl Type {
    pub(super) const fn of(kinds: Kinds) -> Self {
        Self { kinds, depth: 0, weight: 1, items: None, fields: None }
    }

    /// Anything: nothing is known.
    #[must_use]
    pub const fn any() -> Self {
        Self::of(ALL)
    }

    /// Nothing at all: what never comes to be.
    pub(super) const fn never() -> Self {
        Self::of(0)
    }

    /// Any value of one kind.
    #[must_use]
    pub const fn kind(kind: Kind) -> Self {
        Self::of(kind.bits())
    }

    /// A list of such items.
    #[must_use]
    pub fn list(item: Self) -> Self {
        let (depth, weight) = (item.depth.saturating_add(1), item.weight.saturating_add(1));
        if depth > limits::TYPE_DEPTH_MAX || weight > limits::TYPE_PARTS_MAX || item == Self::any() {
            return Self::of(LIST);
        }
        Self { kinds: LIST, depth, weight, items: Some(Arc::new(item)), fields: None }
    }

    /// A record of these fields. `rest` is what a look-up of any other name gives:
    /// [`Type::any`] for a record that may have more, null for one that has not.
    #[must_use]
    pub fn record(fields: impl IntoIterator<Item = (impl Into<Arc<str>>, Self)>, rest: Self) -> Self {
        let mut known: Vec<(Arc<str>, Self)> = fields.into_iter().map(|(name, field)| (name.into(), field)).collect();
        known.sort_by(|(a, _), (b, _)| a.cmp(b));
        known.dedup_by(|(a, _), (b, _)| a == b);
        Self::of_fields(known, rest)
    }

    /// A record whose names are known only when it is there.
    pub(super) fn record_of(field: Self) -> Self {
        Self::of_fields(Vec::new(), field.or_null())
    }

    fn of_fields(known: Vec<(Arc<str>, Self)>, rest: Self) -> Self {
        let parts = || known.iter().map(|(_, field)| field).chain([&rest]);
        let depth = parts().map(|part| part.depth).max().unwrap_or(0).saturating_add(1);
        let weight = parts().fold(1, |sum: u16, part| sum.saturating_add(part.weight));
        if depth > limits::TYPE_DEPTH_MAX || weight > limits::TYPE_PARTS_MAX {
            return Self::of(RECORD);
        }
        Self { kinds: RECORD, depth, weight, items: None, fields: Some(Arc::new(Fields { known, rest })) }
    }

    /// What a value is, as it stands.
    #[must_use]
    pub fn of_json(value: &Json) -> Self {
        match value {
            Json::Null => Self::of(NULL),
            Json::Bool(_) => Self::of(BOOLEAN),
            Json::Number(number) if is_whole(number) => Self::of(WHOLE),
            Json::Number(_) => Self::of(FRACTION),
            Json::String(_) => Self::of(TEXT),
            Json::Array(items) => Self::list(items.iter().fold(Self::never(), |item, value| item.or(&Self::of_json(value)))),
            Json::Object(fields) => {
                Self::record(fields.iter().map(|(name, value)| (name.as_str(), Self::of_json(value))), Self::of(NULL))
            }
        }
    }

    /// This or that.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        if other.kinds == 0 || self == other {
            return self.clone();
        }
        if self.kinds == 0 {
            return other.clone();
        }
        let mut out = Self::of(self.kinds | other.kinds);
        if let Some(items) = either(self, other, LIST, |side| &side.items, |a, b| a.or(b)) {
            out.absorb(Self::list(items));
        }
        if let Some(fields) = either(self, other, RECORD, |side| &side.fields, Fields::or) {
            out.absorb(Self::of_fields(fields.known, fields.rest));
        }
        out
    }

    /// Takes over what another knows of items or fields.
    fn absorb(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.weight = self.weight.saturating_add(other.weight);
        self.items = self.items.take().or(other.items);
        self.fields = self.fields.take().or(other.fields);
    }

    /// What is of both types, where that can be told.
    #[must_use]
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut out = Self::of(self.kinds & other.kinds);
        let items = match (&self.items, &other.items) {
            (Some(a), Some(b)) => Some(a.and(b)),
            (a, b) => a.as_ref().or(b.as_ref()).map(|item| Self::clone(item)),
        };
        if let Some(items) = items.filter(|_| out.kinds & LIST != 0) {
            out.absorb(Self::list(items));
        }
        let fields = match (&self.fields, &other.fields) {
            (Some(a), Some(b)) => Some(a.and(b)),
            (a, b) => a.as_ref().or(b.as_ref()).map(|fields| Fields::clone(fields)),
        };
        if let Some(fields) = fields.filter(|_| out.kinds & RECORD != 0) {
            out.absorb(Self::of_fields(fields.known, fields.rest));
        }
        out
    }

    /// The same, or null.
    #[must_use]
    pub fn or_null(&self) -> Self {
        Self { kinds: self.kinds | NULL, ..self.clone() }
    }

    /// The same without null.
    #[must_use]
    pub fn without_null(&self) -> Self {
        self.only(ALL & !NULL)
    }

    /// The same where it is data: days, instants and durations are text there.
    pub(super) fn in_data(&self) -> Self {
        let text = if self.kinds & TIMES == 0 { 0 } else { TEXT };
        Self { kinds: self.kinds | text, ..self.clone() }.only(!(TIMES | INNER))
    }

    /// What is left when it is of one of these kinds.
    pub(super) fn only(&self, kinds: Kinds) -> Self {
        let mut out = Self { kinds: self.kinds & kinds, ..self.clone() };
        if out.kinds & LIST == 0 {
            out.items = None;
        }
        if out.kinds & RECORD == 0 {
            out.fields = None;
        }
        out
    }

    /// What comes out of a formula that gives this: dates and durations leave it as text.
    pub(super) fn outside(&self) -> Self {
        if !self.holds_times() {
            return self.clone();
        }
        let mut out = Self::of(self.kinds);
        if out.kinds & TIMES != 0 && out.kinds != ALL {
            out.kinds = (out.kinds & !TIMES) | TEXT;
        }
        if let Some(items) = &self.items {
            out.absorb(Self::list(items.outside()));
        }
        if let Some(fields) = &self.fields {
            let known = fields.known.iter().map(|(name, field)| (Arc::clone(name), field.outside())).collect();
            out.absorb(Self::of_fields(known, fields.rest.outside()));
        }
        out
    }

    fn holds_times(&self) -> bool {
        self.kinds & TIMES != 0
            || self.items.as_ref().is_some_and(|items| items.holds_times())
            || self
                .fields
                .as_ref()
                .is_some_and(|fields| fields.rest.holds_times() || fields.known.iter().any(|(_, field)| field.holds_times()))
    }

    /// Whether a value of this type may be of a kind.
    #[must_use]
    pub const fn may_be(&self, kind: Kind) -> bool {
        self.kinds & kind.bits() != 0
    }

    /// Whether nothing is known: it may be any value of JSON.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.kinds | TIMES | INNER == ALL && self.items.is_none() && self.fields.is_none()
    }

    /// Whether one value may be of both types. Where it is not, the one can never stand in for
    /// the other.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let common = self.kinds & other.kinds;
        if common & !RECORD != 0 {
            // Of two lists the empty one is of both types.
            return true;
        }
        if common == 0 {
            return false;
        }
        match (&self.fields, &other.fields) {
            (Some(a), Some(b)) => a.names(b).all(|name| {
                let (a, b) = (a.get(name), b.get(name));
                a.intersects(b)
            }),
            _ => true,
        }
    }

    /// Whether a value is of this type.
    #[must_use]
    pub fn fits(&self, value: &Json) -> bool {
        let kinds = match value {
            Json::Null => NULL,
            Json::Bool(_) => BOOLEAN,
            Json::Number(number) if is_whole(number) => WHOLE,
            Json::Number(_) => FRACTION,
            // Dates travel as text.
            Json::String(_) => TEXT | DATE | DATE_TIME | DURATION,
            Json::Array(_) => LIST,
            Json::Object(_) => RECORD,
        };
        if self.kinds & kinds == 0 {
            return false;
        }
        match (value, &self.items, &self.fields) {
            (Json::Array(values), Some(item), _) => values.iter().all(|value| item.fits(value)),
            (Json::Object(values), _, Some(fields)) => {
                values.iter().all(|(name, value)| fields.get(name).fits(value))
                    && fields.known.iter().all(|(name, field)| field.may_be(Kind::Null) || values.contains_key(&**name))
            }
            _ => true,
        }
    }

    /// How much it holds.
    pub(super) const fn weight(&self) -> u32 {
        self.weight as u32
    }

    /// The fields of what is a record and nothing else.
    pub(super) fn fields(&self) -> Option<&Fields> {
        self.fields.as_deref().filter(|_| self.kinds == RECORD)
    }
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> &Type {
        match self.known.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => &self.known[at].1,
            Err(_) => &self.rest,
        }
    }

    fn names<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Arc<str>> {
        let ours = self.known.iter().map(|(name, _)| name);
        ours.chain(other.known.iter().map(|(name, _)| name))
    }

    fn or(&self, other: &Self) -> Self {
        self.both(other, Type::or)
    }

    fn and(&self, other: &Self) -> Self {
        self.both(other, Type::and)
    }

    /// Both sorted, so one goes along the other.
    fn both(&self, other: &Self, with: fn(&Type, &Type) -> Type) -> Self {
        let mut known = Vec::with_capacity(self.known.len().max(other.known.len()));
        let (mut ours, mut theirs) = (self.known.iter().peekable(), other.known.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (Some((a, _)), Some((b, _))) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Self { known, rest: with(&self.rest, &other.rest) },
            };
            let one = if order.is_le() { ours.next() } else { None };
            let two = if order.is_ge() { theirs.next() } else { None };
            if let Some((name, _)) = one.or(two) {
                let field = with(one.map_or(&self.rest, |(_, field)| field), two.map_or(&other.rest, |(_, field)| field));
                known.push((Arc::clone(name), field));
            }
        }
    }
}

/// What two types know together of one of their contents: nothing if one of them knows nothing.
fn either<T: Clone>(a: &Type, b: &Type, kind: Kinds, contents: fn(&Type) -> &Option<Arc<T>>, join: fn(&T, &T) -> T) -> Option<T> {
    match (a.kinds & kind != 0, b.kinds & kind != 0) {
        (true, true) => Some(join(contents(a).as_ref()?, contents(b).as_ref()?)),
        (true, false) => contents(a).as_deref().cloned(),
        (false, true) => contents(b).as_deref().cloned(),
        (false, false) => None,
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}
