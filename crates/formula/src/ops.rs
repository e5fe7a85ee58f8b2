//! Operators: what compares and adds, and what is a mistake.
//!
//! Text never turns into a number nor a number into text by itself. Null equals only null and has
//! no order. Errors begin with "this", which the caller replaces by the piece of source.

use std::cmp::Ordering;

use rhai::{Array, Dynamic};
use serde_json::Value as Json;

use crate::{
    EvalError, Shared, machine,
    number::Number,
    time::{self, Time},
    value::{self, Kind, List, Record},
};

/// `a == b`. Values of two kinds are a mistake, except null.
pub(crate) fn equal(a: &Dynamic, b: &Dynamic) -> Result<bool, EvalError> {
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return Ok(a.order(b) == Ordering::Equal);
    }
    let (left, right) = (Kind::of(a), Kind::of(b));
    if left == right || left == Kind::Null || right == Kind::Null {
        return same(a, b);
    }
    Err(unlike("compares", left, right))
}

/// Deep equality; values of two kinds are simply not the same.
pub(crate) fn same(a: &Dynamic, b: &Dynamic) -> Result<bool, EvalError> {
    if let (Some(a), Some(b)) = (a.read_lock::<Shared>(), b.read_lock::<Shared>()) {
        return same_json(&a, &b);
    }
    let kind = Kind::of(a);
    if kind != Kind::of(b) {
        return Ok(false);
    }
    Ok(match kind {
        Kind::Null => true,
        Kind::Boolean => a.as_bool() == b.as_bool(),
        Kind::Number => Number::of(a).zip(Number::of(b)).is_some_and(|(a, b)| a.order(b) == Ordering::Equal),
        Kind::Text => value::text(a) == value::text(b),
        Kind::List => {
            let (Some(a), Some(b)) = (List::of(a), List::of(b)) else { return Ok(false) };
            if a.len() != b.len() {
                return Ok(false);
            }
            machine::spend(a.len())?;
            for (a, b) in a.iter().zip(b.iter()) {
                if !same(&a?, &b?)? {
                    return Ok(false);
                }
            }
            true
        }
        Kind::Record => {
            let (Some(a), Some(b)) = (Record::of(a), Record::of(b)) else { return Ok(false) };
            let keys = a.keys();
            if keys.len() != b.keys().len() {
                return Ok(false);
            }
            for key in keys {
                if !b.has(&key) || !same(&a.get(&key)?, &b.get(&key)?)? {
                    return Ok(false);
                }
            }
            true
        }
        Kind::Date | Kind::DateTime | Kind::Duration => {
            Time::of(a).zip(Time::of(b)).and_then(|(a, b)| a.order(&b)) == Some(Ordering::Equal)
        }
        Kind::Closure | Kind::Other => false,
    })
}

fn same_json(a: &Json, b: &Json) -> Result<bool, EvalError> {
    Ok(match (a, b) {
        // 1 and 1.0 are the same number.
        (Json::Number(a), Json::Number(b)) => a == b || Number::from_json(a)? == Number::from_json(b)?,
        (Json::Array(a), Json::Array(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            machine::spend(a.len())?;
            for (a, b) in a.iter().zip(b) {
                if !same_json(a, b)? {
                    return Ok(false);
                }
            }
            true
        }
        (Json::Object(a), Json::Object(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            machine::spend(a.len())?;
            for (key, a) in a {
                match b.get(key) {
                    Some(b) if same_json(a, b)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (a, b) => a == b,
    })
}

/// `a < b` and its kin: numbers by value, texts by their characters.
pub(crate) fn order(a: &Dynamic, b: &Dynamic) -> Result<Ordering, EvalError> {
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return Ok(a.order(b));
    }
    if let (Some(a), Some(b)) = (value::text(a), value::text(b)) {
        return Ok(a.as_str().cmp(b.as_str()));
    }
    if let Some(order) = Time::of(a).zip(Time::of(b)).and_then(|(a, b)| a.order(&b)) {
        return Ok(order);
    }
    let (left, right) = (Kind::of(a), Kind::of(b));
    if left == Kind::Null || right == Kind::Null {
        return Err(EvalError::new("null_value", "this compares with null, which has no order")
            .with_hint("Say what a missing value counts as: (… ?? 0)"));
    }
    if left == right {
        return Err(EvalError::new(
            "type_mismatch",
            format!("this orders {}; only numbers, texts and dates have an order", name_plural(left)),
        ));
    }
    Err(unlike("compares", left, right))
}

/// `a + b`: adds numbers and durations, joins texts, joins lists.
pub(crate) fn add(a: &Dynamic, b: &Dynamic) -> Result<Dynamic, EvalError> {
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return a.add(b).map(Into::into);
    }
    if let (Some(a), Some(b)) = (value::text(a), value::text(b)) {
        machine::spend((a.len() + b.len()) / 64)?;
        return Ok((a + b.as_str()).into());
    }
    if let (Some(a), Some(b)) = (List::of(a), List::of(b)) {
        machine::spend(a.len() + b.len())?;
        return Ok(Dynamic::from_array(a.iter().chain(b.iter()).collect::<Result<Array, _>>()?));
    }
    if let Some(sum) = Time::of(a).zip(Time::of(b)).and_then(|(a, b)| time::add(&a, &b)) {
        return sum.map(Into::into);
    }
    let (left, right) = (Kind::of(a), Kind::of(b));
    if left == Kind::Record && right == Kind::Record {
        return Err(
            EvalError::new("type_mismatch", "this adds two records").with_hint("Put one over the other with merge(a, b).")
        );
    }
    Err(unlike("adds", left, right))
}

/// An operator between two numbers, some of which take durations and dates as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

impl Arithmetic {
    const fn verb(self) -> &'static str {
        match self {
            Self::Subtract => "subtracts",
            Self::Multiply => "multiplies",
            Self::Divide | Self::Remainder => "divides",
            Self::Power => "raises",
        }
    }

    fn numbers(self, a: Number, b: Number) -> Result<Number, EvalError> {
        match self {
            Self::Subtract => a.subtract(b),
            Self::Multiply => a.multiply(b),
            Self::Divide => a.divide(b),
            Self::Remainder => a.remainder(b),
            Self::Power => a.power(b),
        }
    }

    fn times(self, a: &Dynamic, b: &Dynamic) -> Option<Result<Dynamic, EvalError>> {
        let out = match (self, Time::of(a), Time::of(b)) {
            (Self::Subtract, Some(a), Some(b)) => time::subtract(&a, &b)?,
            (Self::Multiply, Some(a), None) => time::multiply(&a, Number::of(b)?)?,
            (Self::Multiply, None, Some(b)) => time::multiply(&b, Number::of(a)?)?,
            (Self::Divide, Some(a), None) => time::divide(&a, Number::of(b)?)?,
            (Self::Divide, Some(a), Some(b)) => return time::ratio(&a, &b).map(|ratio| ratio.map(Into::into)),
            _ => return None,
        };
        Some(out.map(Into::into))
    }
}

/// `-`, `*`, `/`, `%` and `**`.
pub(crate) fn arithmetic(a: &Dynamic, b: &Dynamic, sign: Arithmetic) -> Result<Dynamic, EvalError> {
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return sign.numbers(a, b).map(Into::into);
    }
    sign.times(a, b).unwrap_or_else(|| Err(unlike(sign.verb(), Kind::of(a), Kind::of(b))))
}

/// `-a`.
pub(crate) fn negate(a: &Dynamic) -> Result<Dynamic, EvalError> {
    if let Some(number) = Number::of(a) {
        return Ok(number.negate().into());
    }
    if let Some(length) = Time::of(a).and_then(|time| time::negate(&time)) {
        return Ok(length.into());
    }
    Err(EvalError::new("type_mismatch", format!("`-` stands before {}; it takes a number", Kind::of(a).name())))
}

/// `!a`.
pub(crate) fn not(a: &Dynamic) -> Result<Dynamic, EvalError> {
    match a.as_bool() {
        Ok(value) => Ok((!value).into()),
        Err(_) => {
            Err(EvalError::new("not_a_boolean", format!("`!` stands before {}; it takes true or false", Kind::of(a).name()))
                .with_hint("Ask a question that has yes or no for an answer: x == null, x != \"\", !present(x)"))
        }
    }
}

fn unlike(verb: &str, left: Kind, right: Kind) -> EvalError {
    if left == Kind::Null || right == Kind::Null {
        return EvalError::new(
            "null_value",
            format!("this {verb} {} and null", if left == Kind::Null { right } else { left }.name()),
        )
        .with_hint("Say what a missing value counts as: (… ?? 0) or (… ?? \"\")");
    }
    let with = if verb == "compares" { "with" } else { "and" };
    let error = EvalError::new("type_mismatch", format!("this {verb} {} {with} {}", left.name(), right.name()));
    if let Some(hint) = hint_for_times(verb, left, right) {
        return error.with_hint(hint);
    }
    match (left, right) {
        (Kind::Text, Kind::Number) | (Kind::Number, Kind::Text) if verb == "adds" => {
            error.with_hint("Turn one into the other first: to_number(…) to add, to_text(…) to join")
        }
        (Kind::Text, Kind::Number) | (Kind::Number, Kind::Text) => {
            error.with_hint("Turn the text into a number first: to_number(…)")
        }
        (Kind::Text, Kind::Text) => error.with_hint("Turn the texts into numbers first: to_number(…)"),
        (Kind::List, _) | (_, Kind::List) if verb == "compares" => {
            error.with_hint("Ask whether a list has it: contains(list, value), or count(list) for its length")
        }
        _ => error,
    }
}

/// What to do about an operation with a date, a date-time or a duration.
fn hint_for_times(verb: &str, left: Kind, right: Kind) -> Option<&'static str> {
    let has = |kind: Kind| left == kind || right == kind;
    Some(match verb {
        _ if has(Kind::Date) && has(Kind::DateTime) => "Take the day of the date-time: date(…, \"Europe/Berlin\")",
        "compares" if has(Kind::Text) && has(Kind::Date) => "Turn the text into a date first: date(…)",
        "compares" if has(Kind::Text) && has(Kind::DateTime) => "Turn the text into a date-time first: datetime(…)",
        _ if has(Kind::Text) && has(Kind::Duration) => "Turn the text into a duration first: duration(…)",
        "adds" if has(Kind::Text) && (has(Kind::Date) || has(Kind::DateTime)) => {
            "To join, write it as text: to_text(…); to move it, add a duration: … + duration(\"2h\")"
        }
        _ if has(Kind::Text) && (has(Kind::Date) || has(Kind::DateTime)) => {
            "Turn the text into a date or a date-time first: date(…), datetime(…)"
        }
        "adds" | "subtracts" if has(Kind::Number) && (has(Kind::Date) || has(Kind::DateTime)) => {
            "Say what the number counts: add_days(…, 3), or … + duration(\"3d\")"
        }
        _ if has(Kind::Number) && has(Kind::Duration) => {
            "Say what the number counts: duration(3, \"h\"); or turn the duration into a number: … / duration(\"1h\")"
        }
        _ => return None,
    })
}

fn name_plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "true and false",
        Kind::List => "lists",
        Kind::Record => "records",
        _ => "values that have none",
    }
}
