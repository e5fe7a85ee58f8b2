//! Values on both sides of rhai: data goes in without conversion, results come out as JSON.
//!
//! Lists and records of the data stay what they are, behind [`Shared`]; texts, numbers, booleans
//! and null become rhai's own. Lists and records that a formula makes are rhai's own, too.

use std::{collections::HashMap, ops::Deref};

use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map as RhaiMap};
use serde_json::{Map, Value as Json};

use crate::{
    EvalError, Segment, Shared, limits, machine,
    number::Number,
    reference::{self, place},
    time::Time,
};

/// What a value is, for decisions and for sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Date,
    DateTime,
    Duration,
    List,
    Record,
    Closure,
    Other,
}

impl Kind {
    pub(crate) fn of(value: &Dynamic) -> Self {
        if value.is_string() || value.is_char() {
            Self::Text
        } else if value.is_int() || value.is_decimal() {
            Self::Number
        } else if value.is_unit() {
            Self::Null
        } else if value.is_bool() {
            Self::Boolean
        } else if value.is_array() {
            Self::List
        } else if value.is_map() {
            Self::Record
        } else if let Some(shared) = value.read_lock::<Shared>() {
            Self::of_json(&shared)
        } else if let Some(time) = value.read_lock::<Time>() {
            time.kind()
        } else if value.is::<FnPtr>() {
            Self::Closure
        } else {
            Self::Other
        }
    }

    pub(crate) const fn of_json(value: &Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(_) => Self::Boolean,
            Json::Number(_) => Self::Number,
            Json::String(_) => Self::Text,
            Json::Array(_) => Self::List,
            Json::Object(_) => Self::Record,
        }
    }

    /// With its article: "a number".
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Date => "a date",
            Self::DateTime => "a date-time",
            Self::Duration => "a duration",
            Self::List => "a list",
            Self::Record => "a record",
            Self::Closure => "a closure",
            Self::Other => "something that is no value",
        }
    }
}

/// A place in shared data, as rhai sees it.
pub(crate) fn dynamic(shared: Shared) -> Result<Dynamic, EvalError> {
    match scalar(&shared)? {
        Some(value) => Ok(value),
        None => Ok(Dynamic::from(shared)),
    }
}

/// The same for what may be missing.
pub(crate) fn dynamic_or_null(shared: Option<Shared>) -> Result<Dynamic, EvalError> {
    shared.map_or(Ok(Dynamic::UNIT), dynamic)
}

/// What is no list and no record, converted.
pub(crate) fn scalar(value: &Json) -> Result<Option<Dynamic>, EvalError> {
    Ok(Some(match value {
        Json::Null => Dynamic::UNIT,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => Number::from_json(number)?.into(),
        Json::String(text) => text.as_str().into(),
        Json::Array(_) | Json::Object(_) => return Ok(None),
    }))
}

/// A result as JSON. `order` names record fields in the order the source wrote them, because
/// rhai keeps records sorted; unknown fields follow in alphabetical order.
pub(crate) fn json(value: Dynamic, order: &[String]) -> Result<Json, EvalError> {
    convert(value, &Order::new(order), 0)
}

/// The order of record fields.
enum Order<'a> {
    Few(&'a [String]),
    // With a place for each, as a record may have one of many names.
    Many(HashMap<&'a str, usize>),
}

impl<'a> Order<'a> {
    /// So many names are as well gone through one by one.
    const FEW: usize = 32;

    fn new(names: &'a [String]) -> Self {
        if names.len() <= Self::FEW {
            return Self::Few(names);
        }
        Self::Many(names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect())
    }
}

fn convert(value: Dynamic, order: &Order<'_>, depth: usize) -> Result<Json, EvalError> {
    if depth > limits::VALUE_DEPTH_MAX {
        return Err(too_deep());
    }
    let value = value.flatten();
    if let Some(number) = Number::of(&value) {
        return number.to_json().map(Json::Number);
    }
    if value.is::<Shared>() {
        let shared = value.cast::<Shared>();
        machine::spend(weigh(&shared, limits::VALUE_DEPTH_MAX.saturating_sub(depth))?)?;
        return Ok(shared.into_json());
    }
    Ok(match Kind::of(&value) {
        Kind::Null => Json::Null,
        Kind::Boolean => Json::Bool(value.as_bool().unwrap_or_default()),
        Kind::Text => Json::String(value.to_string()),
        Kind::Date | Kind::DateTime | Kind::Duration => {
            Json::String(Time::of(&value).map_or_else(String::new, |time| time.to_string()))
        }
        Kind::List => {
            let items = value.into_array().unwrap_or_default();
            Json::Array(items.into_iter().map(|item| convert(item, order, depth + 1)).collect::<Result<_, _>>()?)
        }
        Kind::Record => Json::Object(ordered(value.cast::<RhaiMap>(), order, depth)?),
        kind => {
            return Err(EvalError::new("type_mismatch", format!("the result is {}", kind.name()))
                .with_hint("A formula gives null, true or false, a number, text, a list or a record."));
        }
    })
}

fn ordered(mut record: RhaiMap, order: &Order<'_>, depth: usize) -> Result<Map<String, Json>, EvalError> {
    let mut out = Map::with_capacity(record.len());
    match order {
        Order::Few(names) => {
            for key in *names {
                if let Some(value) = record.remove(key.as_str()) {
                    out.insert(key.clone(), convert(value, order, depth + 1)?);
                }
            }
        }
        Order::Many(places) => {
            let mut named: Vec<_> = record.keys().filter_map(|key| places.get_key_value(key.as_str())).collect();
            named.sort_by_key(|(_, place)| **place);
            for (key, _) in named {
                if let Some(value) = record.remove(*key) {
                    out.insert((*key).to_owned(), convert(value, order, depth + 1)?);
                }
            }
        }
    }
    for (key, value) in record {
        out.insert(key.into(), convert(value, order, depth + 1)?);
    }
    Ok(out)
}

/// How much a copy costs, in steps; an error if it is nested deeper than `depth`.
pub(crate) fn weigh(value: &Json, depth: usize) -> Result<usize, EvalError> {
    let below = || depth.checked_sub(1).ok_or_else(too_deep);
    Ok(1 + match value {
        Json::String(text) => text.len() / 64,
        Json::Array(items) => {
            let depth = below()?;
            items.iter().try_fold(0, |sum, item| Ok(sum + weigh(item, depth)?))?
        }
        Json::Object(fields) => {
            let depth = below()?;
            fields.iter().try_fold(0, |sum, (key, item)| Ok(sum + key.len() / 64 + weigh(item, depth)?))?
        }
        _ => 0,
    })
}

/// Bounds the depth of what a script keeps, closures and what they hold included.
pub(crate) fn check_depth(value: &Dynamic) -> Result<(), EvalError> {
    if is_shallow(value, limits::VARIABLE_DEPTH_MAX) { Ok(()) } else { Err(too_deep()) }
}

fn is_shallow(value: &Dynamic, depth: usize) -> bool {
    if let Ok(items) = value.as_array_ref() {
        return depth > 0 && items.iter().all(|item| is_shallow(item, depth - 1));
    }
    if let Ok(fields) = value.as_map_ref() {
        return depth > 0 && fields.values().all(|item| is_shallow(item, depth - 1));
    }
    if let Some(closure) = value.read_lock::<FnPtr>() {
        return depth > 0 && closure.iter_curry().all(|item| is_shallow(item, depth - 1));
    }
    true
}

fn too_deep() -> EvalError {
    EvalError::new("limit", format!("the value is nested deeper than {} levels", limits::VARIABLE_DEPTH_MAX))
}

/// A text, without a copy.
pub(crate) fn text(value: &Dynamic) -> Option<ImmutableString> {
    value.as_immutable_string_ref().ok().map(|text| text.clone())
}

/// A list of either origin.
pub(crate) enum List<'a> {
    Made(Box<dyn Deref<Target = Array> + 'a>),
    Data(Box<dyn Deref<Target = Shared> + 'a>),
}

impl<'a> List<'a> {
    pub(crate) fn of(value: &'a Dynamic) -> Option<Self> {
        if let Ok(array) = value.as_array_ref() {
            return Some(Self::Made(Box::new(array)));
        }
        let shared = value.read_lock::<Shared>()?;
        shared.is_array().then(|| Self::Data(Box::new(shared)))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Made(items) => items.len(),
            Self::Data(shared) => shared.as_array().map_or(0, Vec::len),
        }
    }

    /// An item; negative counts from the end, a missing one is null.
    pub(crate) fn get(&self, index: i64) -> Result<Dynamic, EvalError> {
        match self {
            Self::Made(items) => Ok(place(items.len(), index).map_or(Dynamic::UNIT, |at| items[at].clone())),
            Self::Data(shared) => match reference::item(shared, index).map(scalar).transpose()? {
                None => Ok(Dynamic::UNIT),
                Some(Some(value)) => Ok(value),
                Some(None) => dynamic_or_null(shared.item(index)),
            },
        }
    }

    /// What a path leads to in the item at `index`, without making the item.
    pub(crate) fn follow(&self, index: usize, path: &[Segment]) -> Result<Dynamic, EvalError> {
        match self {
            Self::Made(items) => items.get(index).map_or(Ok(Dynamic::UNIT), |item| follow(item, path)),
            Self::Data(shared) => {
                let found = shared.as_array().and_then(|items| reference::walk(items.get(index)?, path));
                match found.map(scalar).transpose()? {
                    None => Ok(Dynamic::UNIT),
                    Some(Some(value)) => Ok(value),
                    Some(None) => dynamic_or_null(i64::try_from(index).ok().and_then(|index| shared.item(index)?.walk(path))),
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Dynamic, EvalError>> + '_ {
        (0..self.len()).map(|index| self.get(i64::try_from(index).unwrap_or(i64::MAX)))
    }
}

/// A record of either origin.
pub(crate) enum Record<'a> {
    Made(Box<dyn Deref<Target = RhaiMap> + 'a>),
    Data(Box<dyn Deref<Target = Shared> + 'a>),
}

impl<'a> Record<'a> {
    pub(crate) fn of(value: &'a Dynamic) -> Option<Self> {
        if let Ok(map) = value.as_map_ref() {
            return Some(Self::Made(Box::new(map)));
        }
        let shared = value.read_lock::<Shared>()?;
        shared.is_object().then(|| Self::Data(Box::new(shared)))
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        match self {
            Self::Made(map) => map.keys().map(ToString::to_string).collect(),
            Self::Data(shared) => shared.as_object().into_iter().flat_map(Map::keys).cloned().collect(),
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        match self {
            Self::Made(map) => map.contains_key(key),
            Self::Data(shared) => reference::field(shared, key).is_some(),
        }
    }

    /// A field; a missing one is null.
    pub(crate) fn get(&self, key: &str) -> Result<Dynamic, EvalError> {
        match self {
            Self::Made(map) => Ok(map.get(key).cloned().unwrap_or(Dynamic::UNIT)),
            Self::Data(shared) => match reference::field(shared, key).map(scalar).transpose()? {
                None => Ok(Dynamic::UNIT),
                Some(Some(value)) => Ok(value),
                Some(None) => dynamic_or_null(shared.field(key)),
            },
        }
    }
}

/// A field of anything: null where there is none.
pub(crate) fn field(value: &Dynamic, key: &str) -> Result<Dynamic, EvalError> {
    Record::of(value).map_or(Ok(Dynamic::UNIT), |record| record.get(key))
}

/// An item of anything: null where there is none.
pub(crate) fn item(value: &Dynamic, index: i64) -> Result<Dynamic, EvalError> {
    List::of(value).map_or(Ok(Dynamic::UNIT), |list| list.get(index))
}

/// Follows a path through anything.
pub(crate) fn follow(value: &Dynamic, path: &[Segment]) -> Result<Dynamic, EvalError> {
    if let Some(shared) = value.read_lock::<Shared>() {
        return match reference::walk(&shared, path).map(scalar).transpose()? {
            None => Ok(Dynamic::UNIT),
            Some(Some(value)) => Ok(value),
            Some(None) => dynamic_or_null(shared.walk(path)),
        };
    }
    let Some((first, rest)) = path.split_first() else { return Ok(value.clone()) };
    let next = match first {
        Segment::Key(key) => field(value, key)?,
        Segment::Index(index) => item(value, *index)?,
        Segment::Any => Dynamic::UNIT,
    };
    if rest.is_empty() { Ok(next) } else { follow(&next, rest) }
}
