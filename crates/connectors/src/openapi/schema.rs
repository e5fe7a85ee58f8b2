//! Schemas of OpenAPI as JSON Schemas without references, within limits.

use serde_json::{Map, Value as Json, json};

use super::{document::Document, sentence};

/// Descriptions of fields taken over.
const DESCRIPTION_CHARS_MAX: usize = 160;
/// Words of a list taken over.
const ENUM_MAX: usize = 100;

/// What of a schema is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// What is sent: with all that refuses wrong values.
    Input,
    /// What comes: names and types only, since answers are what they are.
    Output,
}

/// Writes schemas out, up to a number of parts.
pub(super) struct Inliner<'d> {
    document: &'d Document<'d>,
    side: Side,
    parts_left: usize,
    depth_max: usize,
    /// References we are within, so that one that leads back ends.
    within: Vec<String>,
    /// True when something was left out.
    pub(super) cut: bool,
}

impl<'d> Inliner<'d> {
    pub(super) const fn new(document: &'d Document<'d>, side: Side) -> Self {
        let (parts_left, depth_max) = match side {
            Side::Input => (600, 6),
            Side::Output => (120, 3),
        };
        Self { document, side, parts_left, depth_max, within: Vec::new(), cut: false }
    }

    /// The schema, written out.
    pub(super) fn schema(&mut self, schema: &'d Json) -> Json {
        self.at(schema, 0)
    }

    fn at(&mut self, schema: &'d Json, depth: usize) -> Json {
        if let Some(target) = schema.get("$ref").and_then(Json::as_str) {
            if self.within.iter().any(|known| known == target) || self.within.len() > 30 {
                self.cut = true;
                return json!({});
            }
            let Some(found) = self.document.target(target) else {
                self.cut = true;
                return json!({});
            };
            self.within.push(target.to_owned());
            let written = self.at(found, depth);
            self.within.pop();
            return written;
        }
        let Some(fields) = schema.as_object() else { return json!({}) };
        if self.parts_left == 0 || depth > self.depth_max {
            self.cut = true;
            return json!({});
        }
        self.parts_left -= 1;
        let mut written = Map::new();
        if let Some(kind) = kind(fields) {
            written.insert("type".to_owned(), kind);
        }
        if let Some(text) = fields.get("description").and_then(Json::as_str) {
            let text = sentence(text, DESCRIPTION_CHARS_MAX);
            if !text.is_empty() {
                written.insert("description".to_owned(), text.into());
            }
        }
        if self.side == Side::Input {
            limits(fields, &mut written);
        }
        self.parts(fields, depth, &mut written);
        Json::Object(written)
    }

    fn parts(&mut self, fields: &'d Map<String, Json>, depth: usize, written: &mut Map<String, Json>) {
        if let Some(items) = fields.get("items") {
            let items = self.at(items, depth + 1);
            written.insert("items".to_owned(), items);
        }
        if let Some(properties) = fields.get("properties").and_then(Json::as_object) {
            let properties = self.properties(properties, depth);
            if self.side == Side::Input
                && let Some(required) = fields.get("required").and_then(Json::as_array)
            {
                let kept: Vec<Json> = required
                    .iter()
                    .filter(|name| name.as_str().is_some_and(|name| properties.contains_key(name)))
                    .cloned()
                    .collect();
                if !kept.is_empty() {
                    written.insert("required".to_owned(), Json::Array(kept));
                }
            }
            written.entry("type").or_insert_with(|| "object".into());
            written.insert("properties".to_owned(), Json::Object(properties));
        }
        if let Some(parts) = fields.get("allOf").and_then(Json::as_array) {
            for part in parts {
                if let Json::Object(part) = self.at(part, depth) {
                    merge(written, part);
                }
            }
        }
        for word in ["oneOf", "anyOf"] {
            let Some(ways) = fields.get(word).and_then(Json::as_array) else { continue };
            if self.side == Side::Output && ways.len() > 1 {
                // Which one comes is not known; the checker takes anything then.
                written.remove("type");
                continue;
            }
            let mut ways: Vec<Json> = ways.iter().map(|way| self.at(way, depth + 1)).collect();
            if fields.get("nullable") == Some(&Json::Bool(true)) {
                ways.push(json!({"type": "null"}));
            }
            if ways.len() == 1 {
                if let Some(Json::Object(only)) = ways.pop() {
                    merge(written, only);
                }
            } else if !ways.iter().any(|way| way == &json!({})) {
                // Both words mean the same here: one of them must fit.
                written.insert("anyOf".to_owned(), Json::Array(ways));
            }
        }
    }

    fn properties(&mut self, properties: &'d Map<String, Json>, depth: usize) -> Map<String, Json> {
        let mut kept = Map::new();
        for (name, property) in properties {
            let meant = self.document.meant(property);
            let flag = |name: &str| meant.get(name).or_else(|| property.get(name)) == Some(&Json::Bool(true));
            let other_side = if self.side == Side::Input { flag("readOnly") } else { flag("writeOnly") };
            if other_side {
                continue;
            }
            if self.parts_left == 0 {
                self.cut = true;
                break;
            }
            let schema = self.at(property, depth + 1);
            kept.insert(name.clone(), schema);
        }
        kept
    }
}

/// The type, with null where it may be.
fn kind(fields: &Map<String, Json>) -> Option<Json> {
    let kind = fields.get("type")?;
    let nullable = fields.get("nullable") == Some(&Json::Bool(true));
    let known = |word: &str| ["string", "integer", "number", "boolean", "array", "object", "null"].contains(&word);
    match kind {
        Json::String(word) if !known(word) => None,
        Json::String(word) if nullable => Some(json!([word, "null"])),
        Json::String(_) => Some(kind.clone()),
        Json::Array(words) if words.iter().all(|word| word.as_str().is_some_and(known)) => Some(kind.clone()),
        _ => None,
    }
}

/// What refuses wrong values.
fn limits(fields: &Map<String, Json>, written: &mut Map<String, Json>) {
    if let Some(words) = fields.get("enum").and_then(Json::as_array)
        && !words.is_empty()
        && words.len() <= ENUM_MAX
    {
        let mut words = words.clone();
        if fields.get("nullable") == Some(&Json::Bool(true)) && !words.contains(&Json::Null) {
            words.push(Json::Null);
        }
        written.insert("enum".to_owned(), Json::Array(words));
    }
    for word in ["default", "format", "maxLength", "minLength", "minimum", "maximum", "minItems", "maxItems", "multipleOf"] {
        if let Some(value) = fields.get(word) {
            let whole = ["maxLength", "minLength", "minItems", "maxItems"].contains(&word);
            if !whole || value.as_u64().is_some() {
                written.insert(word.to_owned(), value.clone());
            }
        }
    }
    // 3.0 has flags beside the bound, 3.1 the bound itself.
    for (word, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match fields.get(word) {
            Some(Json::Bool(true)) => {
                if let Some(value) = written.remove(bound) {
                    written.insert(word.to_owned(), value);
                }
            }
            Some(value @ Json::Number(_)) => drop(written.insert(word.to_owned(), value.clone())),
            _ => {}
        }
    }
    if let Some(pattern) =
        fields.get("pattern").filter(|pattern| jsonschema::validator_for(&json!({ "pattern": pattern })).is_ok())
    {
        written.insert("pattern".to_owned(), pattern.clone());
    }
}

/// Adds what another schema says to this one.
fn merge(into: &mut Map<String, Json>, from: Map<String, Json>) {
    for (word, value) in from {
        match (into.get_mut(&word), value) {
            (Some(Json::Object(known)), Json::Object(more)) if word == "properties" => known.extend(more),
            (Some(Json::Array(known)), Json::Array(more)) if word == "required" => {
                known.extend(more);
                known.dedup();
            }
            (Some(_), _) => {}
            (None, value) => drop(into.insert(word, value)),
        }
    }
}
