//! JSON Schema as a type.
//!
//! A schema may say more than a type can (ranges, patterns, "not"); that is left out, so the type
//! is never narrower than the schema. A reference that leads back into itself counts as anything
//! from its second turn on.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::shape::{ALL, BOOLEAN, LIST, NULL, NUMBER, RECORD, TEXT, Type, WHOLE};
use crate::limits;

impl Type {
    /// What values a schema allows. `root` is the whole document, in which `$ref` looks.
    ///
    /// Read are `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`,
    /// `items`, `prefixItems`, `anyOf`, `oneOf`, `allOf`, `nullable` and local `$ref`. Formats are
    /// not: a date in JSON is text. A schema beyond the limits counts as anything.
    #[must_use]
    pub fn from_schema(root: &Json, schema: &Json) -> Self {
        Reader { root, parts: 0, known: HashMap::new() }.read(schema, 0)
    }
}

struct Reader<'a> {
    root: &'a Json,
    parts: u32,
    // None while it is being read.
    known: HashMap<&'a str, Option<Type>>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, schema: &'a Json, depth: u32) -> Type {
        self.parts += 1;
        let Json::Object(schema) = schema else { return Type::any() };
        if depth > limits::SCHEMA_DEPTH_MAX || self.parts > limits::SCHEMA_PARTS_MAX {
            return Type::any();
        }
        let mut out = self.own(schema, depth);
        if let Some(Json::String(address)) = schema.get("$ref") {
            out = out.and(&self.follow(address, depth));
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(Json::Array(choices)) = schema.get(word) {
                let all = choices.iter().fold(Type::never(), |all, choice| all.or(&self.read(choice, depth + 1)));
                out = out.and(&all);
            }
        }
        if let Some(Json::Array(parts)) = schema.get("allOf") {
            for part in parts {
                out = out.and(&self.read(part, depth + 1));
            }
        }
        out
    }

    /// What a schema says itself, without the schemas it builds on.
    fn own(&mut self, schema: &'a Map<String, Json>, depth: u32) -> Type {
        let mut kinds = match schema.get("type") {
            Some(Json::String(name)) => named(name),
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).fold(0, |kinds, name| kinds | named(name)),
            _ => ALL,
        };
        if schema.get("nullable") == Some(&Json::Bool(true)) {
            kinds |= NULL;
        }
        let mut out = Type::of(kinds);
        if let Some(value) = schema.get("const") {
            out = out.and(&Type::of_json(value));
        }
        if let Some(Json::Array(values)) = schema.get("enum") {
            self.parts = self.parts.saturating_add(u32::try_from(values.len()).unwrap_or(u32::MAX));
            if self.parts > limits::SCHEMA_PARTS_MAX {
                return out;
            }
            out = out.and(&values.iter().fold(Type::never(), |all, value| all.or(&Type::of_json(value))));
        }
        if kinds & LIST != 0
            && let Some(items) = self.items(schema, depth)
        {
            out = out.and(&Type::list(items).or(&Type::of(ALL & !LIST)));
        }
        if kinds & RECORD != 0
            && let Some(record) = self.record(schema, depth)
        {
            out = out.and(&record.or(&Type::of(ALL & !RECORD)));
        }
        out
    }

    fn items(&mut self, schema: &'a Map<String, Json>, depth: u32) -> Option<Type> {
        match (schema.get("prefixItems"), schema.get("items")) {
            (Some(Json::Array(first)), rest) | (rest, Some(Json::Array(first))) => {
                let rest = rest.map_or_else(Type::any, |rest| self.read(rest, depth + 1));
                Some(first.iter().fold(rest, |all, item| all.or(&self.read(item, depth + 1))))
            }
            (_, Some(items)) => Some(self.read(items, depth + 1)),
            _ => None,
        }
    }

    fn record(&mut self, schema: &'a Map<String, Json>, depth: u32) -> Option<Type> {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        if properties.is_none() && others.is_none() {
            return None;
        }
        let required: Vec<&str> =
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
        let rest = match others {
            _ if schema.contains_key("patternProperties") => Type::any(),
            Some(Json::Bool(false)) => Type::of(NULL),
            Some(others) => self.read(others, depth + 1).or_null(),
            None => Type::any(),
        };
        let fields: Vec<(&str, Type)> = properties
            .into_iter()
            .flatten()
            .map(|(name, field)| {
                let field = self.read(field, depth + 1);
                (name.as_str(), if required.contains(&name.as_str()) { field } else { field.or_null() })
            })
            .collect();
        Some(Type::record(fields, rest))
    }

    /// A reference into the document: `#/$defs/line`.
    fn follow(&mut self, address: &'a str, depth: u32) -> Type {
        if let Some(known) = self.known.get(address) {
            return known.clone().unwrap_or_else(Type::any);
        }
        let Some(schema) = address.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else {
            return Type::any();
        };
        self.known.insert(address, None);
        let found = self.read(schema, depth + 1);
        self.known.insert(address, Some(found.clone()));
        found
    }
}

fn named(kind: &str) -> u16 {
    match kind {
        "null" => NULL,
        "boolean" => BOOLEAN,
        "integer" => WHOLE,
        "number" => NUMBER,
        "string" => TEXT,
        "array" => LIST,
        "object" => RECORD,
        _ => ALL,
    }
}
