//! What is known of values before any run.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;

/// A set of kinds a value may be of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kinds(u16);

impl Kinds {
    /// null
    pub const NULL: Self = Self(1);
    /// true or false
    pub const BOOLEAN: Self = Self(1 << 1);
    /// A whole number
    pub const INTEGER: Self = Self(1 << 2);
    /// A number with a fraction
    pub const FRACTION: Self = Self(1 << 3);
    /// Any number
    pub const NUMBER: Self = Self(1 << 2 | 1 << 3);
    /// Text; also date-times, dates and durations once they leave a formula
    pub const TEXT: Self = Self(1 << 4);
    /// A list
    pub const LIST: Self = Self(1 << 5);
    /// A record
    pub const RECORD: Self = Self(1 << 6);
    /// Anything
    pub const ANY: Self = Self((1 << 7) - 1);
    /// Nothing at all
    pub const NONE: Self = Self(0);

    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this one only.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True if no kind is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if some kind is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The kind of a value.
    #[must_use]
    pub fn of(value: &Json) -> Self {
        match value {
            Json::Null => Self::NULL,
            Json::Bool(_) => Self::BOOLEAN,
            Json::Number(number) if number.is_i64() || number.is_u64() => Self::INTEGER,
            Json::Number(number) if number.as_f64().is_some_and(|f| f.fract() == 0.0) => Self::NUMBER,
            Json::Number(_) => Self::FRACTION,
            Json::String(_) => Self::TEXT,
            Json::Array(_) => Self::LIST,
            Json::Object(_) => Self::RECORD,
        }
    }

    /// The kinds that a type name of JSON Schema stands for.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::TEXT,
            "array" => Self::LIST,
            "object" => Self::RECORD,
            _ => Self::ANY,
        }
    }

    /// The kinds that a JSON Schema allows, as far as it says so at its top.
    #[must_use]
    pub fn of_schema(root: &Json, node: &Json) -> Self {
        schema_kinds(root, node, 0)
    }
}

/// As people read it: "text or a number".
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY || self.is_empty() {
            return f.write_str("anything");
        }
        let number = if self.meets(Self::FRACTION) { "a number" } else { "a whole number" };
        let names = [
            (Self::TEXT, "text"),
            (Self::NUMBER, number),
            (Self::BOOLEAN, "true or false"),
            (Self::LIST, "a list"),
            (Self::RECORD, "a record"),
            (Self::NULL, "nothing"),
        ];
        let names: Vec<_> = names.into_iter().filter(|(kind, _)| self.meets(*kind)).map(|(_, name)| name).collect();
        f.write_str(&crate::diagnostic::one_of(names))
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn schema_kinds(root: &Json, node: &Json, depth: usize) -> Kinds {
    /// Schemas may refer to themselves.
    const DEPTH_MAX: usize = 16;
    let Some(schema) = node.as_object().filter(|_| depth < DEPTH_MAX) else { return Kinds::ANY };
    let inner = |node: &Json| schema_kinds(root, node, depth + 1);
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        return reference.strip_prefix('#').and_then(|at| root.pointer(at)).map_or(Kinds::ANY, inner);
    }
    let mut kinds = match schema.get("type") {
        Some(Json::String(name)) => Kinds::named(name),
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).map(Kinds::named).fold(Kinds::NONE, Kinds::or),
        _ => Kinds::ANY,
    };
    if let Some(values) = schema.get("enum").and_then(Json::as_array) {
        kinds = kinds.and(values.iter().map(Kinds::of).fold(Kinds::NONE, Kinds::or));
    }
    if let Some(value) = schema.get("const") {
        kinds = kinds.and(Kinds::of(value));
    }
    for word in ["anyOf", "oneOf"] {
        if let Some(schemas) = schema.get(word).and_then(Json::as_array) {
            kinds = kinds.and(schemas.iter().map(inner).fold(Kinds::NONE, Kinds::or));
        }
    }
    if let Some(schemas) = schema.get("allOf").and_then(Json::as_array) {
        kinds = schemas.iter().map(inner).fold(kinds, Kinds::and);
    }
    kinds
}

/// What is known of a value, its parts included.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// The kinds it may be of.
    pub kinds: Kinds,
    /// The type of its items, if it is a list and they are known.
    pub items: Option<Arc<Type>>,
    /// Its fields, if it is a record and they are known.
    pub fields: Option<Arc<[(String, Type)]>>,
    /// It has no other fields than those.
    pub closed: bool,
}

impl Type {
    /// Nothing is known.
    pub const ANY: Self = Self::of(Kinds::ANY);

    /// Only the kinds are known.
    #[must_use]
    pub const fn of(kinds: Kinds) -> Self {
        Self { kinds, items: None, fields: None, closed: false }
    }
}

/// What an expression gives, as far as it can be told.
#[derive(Debug, Clone)]
pub struct Inferred {
    /// Its value.
    pub gives: Type,
    /// What in it cannot work.
    pub problems: Vec<TypeProblem>,
}

/// A piece of an expression that fails with the types it meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeProblem {
    /// What is wrong.
    pub message: String,
    /// The bytes concerned in the expression.
    pub range: Range<usize>,
    /// What to do.
    pub hint: Option<String>,
    /// Every evaluation fails, not only one that gets there.
    pub always: bool,
}

/// An expression that can tell what it gives.
pub trait Typing: fmt::Debug + Send + Sync {
    /// What it gives if its references, by their place in the list, have these types.
    fn infer(&self, types: &dyn Fn(usize) -> Type) -> Inferred;
}
