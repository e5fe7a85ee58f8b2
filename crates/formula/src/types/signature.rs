//! What functions take and give, as kinds: the signatures of the function table.

use super::shape::{ALL, BOOLEAN, DATE, DATE_TIME, DURATION, INNER, Kinds, LIST, NULL, NUMBER, RECORD, TEXT, Type, WHOLE};
use crate::{FunctionInfo, ValueType};

/// What the parameter at a place takes. The last parameter stands for all that follow.
pub(super) fn takes(function: &FunctionInfo, place: usize) -> Kinds {
    function.params.get(place).or(function.params.last()).map_or(ALL, |param| kinds(&param.types))
}

/// What a function gives.
pub(super) fn gives(function: &FunctionInfo) -> Type {
    Type::of(kinds(&function.gives))
}

/// In words: what a parameter takes.
pub(super) fn wanted(takes: Kinds) -> String {
    match takes {
        INNER => "a closure such as |x| x.name".to_owned(),
        SELECTOR => "a closure such as |x| x.name, or a path such as \"name\",".to_owned(),
        takes => Type::of(takes).describe(),
    }
}

const SELECTOR: Kinds = INNER | TEXT;

fn kinds(types: &[ValueType]) -> Kinds {
    types.iter().fold(0, |all, kind| all | bits(*kind))
}

const fn bits(kind: ValueType) -> Kinds {
    match kind {
        ValueType::Any => ALL,
        ValueType::Null => NULL,
        ValueType::Boolean => BOOLEAN,
        ValueType::Integer => WHOLE,
        ValueType::Number => NUMBER,
        ValueType::Text => TEXT,
        ValueType::List => LIST,
        ValueType::Record => RECORD,
        ValueType::Date => DATE,
        ValueType::DateTime => DATE_TIME,
        ValueType::Duration => DURATION,
        ValueType::Closure => INNER,
    }
}
