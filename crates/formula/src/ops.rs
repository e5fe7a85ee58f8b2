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
    let (left, right) = (Kind::of(a), Kind::of(b));
    if left == Kind::Null || right == Kind::Null {
        return Err(EvalError::new("null_value", "this compares with null, which has no order")
            .with_hint("Say what a missing value counts as: (… ?? 0)"));
    }
    if left == right {
        return Err(EvalError::new(
            "type_mismatch",
            format!("this orders {}; only numbers and texts have an order", name_plural(left)),
        ));
    }
    Err(unlike("compares", left, right))
}

/// `a + b`: adds numbers, joins texts, joins lists.
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
    let (left, right) = (Kind::of(a), Kind::of(b));
    if left == Kind::Record && right == Kind::Record {
        return Err(
            EvalError::new("type_mismatch", "this adds two records").with_hint("Put one over the other with merge(a, b).")
        );
    }
    Err(unlike("adds", left, right))
}

/// `-`, `*`, `/`, `%` and `**`.
pub(crate) fn arithmetic(
    a: &Dynamic,
    b: &Dynamic,
    verb: &'static str,
    compute: fn(Number, Number) -> Result<Number, EvalError>,
) -> Result<Dynamic, EvalError> {
    match (Number::of(a), Number::of(b)) {
        (Some(a), Some(b)) => compute(a, b).map(Into::into),
        _ => Err(unlike(verb, Kind::of(a), Kind::of(b))),
    }
}

/// `-a`.
pub(crate) fn negate(a: &Dynamic) -> Result<Dynamic, EvalError> {
    match Number::of(a) {
        Some(number) => Ok(number.negate().into()),
        None => Err(EvalError::new("type_mismatch", format!("`-` stands before {}; it takes a number", Kind::of(a).name()))),
    }
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

fn name_plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "true and false",
        Kind::List => "lists",
        Kind::Record => "records",
        _ => "values that have none",
    }
}
