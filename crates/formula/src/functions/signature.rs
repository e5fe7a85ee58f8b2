//! What a function takes and gives, read from the one text that people see as well.

use std::ops::RangeInclusive;

use crate::limits;

/// The type of a value, as a signature names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Whatever it is.
    Any,
    /// Nothing there.
    Null,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// A number, whole or not.
    Number,
    /// Text.
    Text,
    /// A list.
    List,
    /// A record.
    Record,
    /// A day of the calendar.
    Date,
    /// An instant, with the zone it is looked at in.
    DateTime,
    /// A length of time.
    Duration,
    /// A function such as `|x| x.name`.
    Closure,
}

impl ValueType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Any,
        Self::Null,
        Self::Boolean,
        Self::Integer,
        Self::Number,
        Self::Text,
        Self::List,
        Self::Record,
        Self::Date,
        Self::DateTime,
        Self::Duration,
        Self::Closure,
    ];

    /// How a signature writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "text",
            Self::List => "list",
            Self::Record => "record",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Duration => "duration",
            Self::Closure => "closure",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One value a function takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// What it is called in the help.
    pub name: &'static str,
    /// What it may be, one of these.
    pub types: Vec<ValueType>,
    /// Whether it may be left out. Only the last ones may.
    pub optional: bool,
    /// Whether it may be given any number of times, at least once. Only the last one may.
    pub repeated: bool,
}

/// A signature such as `pad(text: text|number, width: integer, [fill: text]) -> text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) params: Vec<Param>,
    pub(super) gives: Vec<ValueType>,
}

impl Signature {
    /// Reads a signature; the message says what is wrong with it.
    pub(super) fn parse(text: &'static str) -> Result<Self, String> {
        let (name, rest) = text.split_once('(').ok_or("it has no brackets")?;
        let (inner, gives) = rest.split_once(") -> ").ok_or("it does not say what it gives")?;
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
            return Err(format!("`{name}` is no name for a function"));
        }
        let params: Vec<Param> =
            if inner.is_empty() { Vec::new() } else { inner.split(", ").map(param).collect::<Result<_, _>>()? };
        for (at, param) in params.iter().enumerate() {
            let rest = &params[at + 1..];
            if param.repeated && !rest.is_empty() || param.optional && rest.iter().any(|later| !later.optional) {
                return Err(format!("`{}` may only be the last", param.name));
            }
        }
        Ok(Self { name, params, gives: types(gives)? })
    }

    /// How many values fit.
    pub(super) fn arguments(&self) -> RangeInclusive<usize> {
        let least = self.params.iter().filter(|param| !param.optional).count();
        let most = if self.params.iter().any(|param| param.repeated) { limits::REPEATED_VALUES_MAX } else { self.params.len() };
        least..=most
    }

    /// Without the types: `pad(text, width, [fill])`.
    pub(super) fn usage(&self) -> String {
        let params: Vec<String> = self
            .params
            .iter()
            .map(|param| match (param.optional, param.repeated) {
                (true, _) => format!("[{}]", param.name),
                (_, true) => format!("{}, …", param.name),
                _ => param.name.to_owned(),
            })
            .collect();
        format!("{}({})", self.name, params.join(", "))
    }
}

fn param(text: &'static str) -> Result<Param, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (name, words) = inner.unwrap_or(text).split_once(": ").ok_or_else(|| format!("`{text}` has no type"))?;
    let (words, repeated) = match words.strip_suffix("...") {
        Some(words) => (words, true),
        None => (words, false),
    };
    Ok(Param { name, types: types(words)?, optional: inner.is_some(), repeated })
}

fn types(words: &str) -> Result<Vec<ValueType>, String> {
    words.split('|').map(|word| ValueType::of(word).ok_or_else(|| format!("`{word}` is no type"))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Param, Signature, ValueType};

    #[test]
    fn a_signature_says_all() {
        let read = Signature::parse("pad(text: text|number, width: integer, [fill: text]) -> text").unwrap();
        let param = |name, types: &[ValueType], optional| Param { name, types: types.to_vec(), optional, repeated: false };
        assert_eq!(read.name, "pad");
        assert_eq!(
            read.params,
            [
                param("text", &[ValueType::Text, ValueType::Number], false),
                param("width", &[ValueType::Integer], false),
                param("fill", &[ValueType::Text], true)
            ]
        );
        assert_eq!((read.gives.as_slice(), read.arguments()), (&[ValueType::Text][..], 2..=3));
        assert_eq!(read.usage(), "pad(text, width, [fill])");
        let read = Signature::parse("min(values: number...) -> number|null").unwrap();
        assert!(read.params[0].repeated && *read.arguments().start() == 1 && *read.arguments().end() > 7);
        assert_eq!(
            (read.usage().as_str(), Signature::parse("now() -> datetime").unwrap().arguments()),
            ("min(values, …)", 0..=0)
        );
    }

    #[test]
    fn what_is_no_signature() {
        for text in [
            "pad",
            "pad()",
            "pad(text) -> text",
            "pad(a: word) -> text",
            "pad(a: text) -> word",
            "Pad() -> text",
            "() -> text",
            "pad([a: text], b: text) -> text",
            "pad(a: text..., b: text) -> text",
        ] {
            assert!(Signature::parse(text).is_err(), "{text}");
        }
    }
}
