//! Typed values: parameters, state and the fields of a form.

use serde_json::{Map, Value as Json, json};

use crate::ast::{Param, ParamType, Spanned};
use crate::codes;
use crate::keys::{self, PARAM};
use crate::read::{Fields, Reader};
use crate::yaml::{Entry, Kind};

impl<'t> Reader<'t> {
    /// Names to types; false if one could not be read.
    pub(crate) fn params(&mut self, entry: &Entry<'t>) -> (Vec<Param>, bool) {
        let Kind::Record(entries) = &entry.value.kind else {
            self.expected(entry, "names and their types", "Write them as `name: { type: number }`, one a line.");
            return (Vec::new(), false);
        };
        let own = entries.iter().filter(|entry| !entry.key.starts_with("x-"));
        let params: Vec<_> = own.map(|entry| self.param(entry)).collect();
        let complete = params.iter().all(Option::is_some);
        (params.into_iter().flatten().collect(), complete)
    }

    fn param(&mut self, entry: &Entry<'t>) -> Option<Param> {
        self.name(&entry.key, entry.key_span, "a parameter, state value or form field");
        let fields = self.fields(&entry.value, &PARAM)?;
        let title = fields.get("title").and_then(|entry| self.text(entry)).map(|text| text.value);
        let note = fields.get("note").and_then(|entry| self.free_text(entry)).map(|text| text.value);
        let required = fields.get("required").and_then(|entry| self.boolean(entry)).unwrap_or_default();
        let default = fields.get("default").map(|entry| (entry, self.literal(&entry.value).0));
        let further = self.further(&fields);
        let kind = match self.choice(fields.get("type")?, keys::PARAM_TYPES)? {
            "string" => ParamType::String,
            "number" => ParamType::Number,
            "integer" => ParamType::Integer,
            "boolean" => ParamType::Boolean,
            "list" => ParamType::List,
            _ => ParamType::Record,
        };
        let mut schema = Map::from_iter([("type".to_owned(), json!(kind.schema_type()))]);
        schema.extend(further);
        for (word, text) in [("title", &title), ("description", &note)] {
            schema.extend(text.iter().map(|text| (word.to_owned(), json!(text))));
        }
        if let Some((entry, value)) = &default {
            let chosen = schema.get("enum").and_then(Json::as_array).is_none_or(|choices| choices.contains(value));
            let misfit = !kind.fits(value) || !chosen;
            if misfit && !matches!(entry.value.kind, Kind::Broken) {
                let span = if entry.value.span.start < entry.value.span.end { entry.value.span } else { entry.key_span };
                let message = format!("The default is {}, which does not fit the type.", entry.value.is_called());
                self.error(codes::DEFAULT, span, message, "Change the default or the type.");
            }
        }
        let name = Spanned { value: entry.key.to_string(), span: entry.key_span };
        let default = default.map(|(_, value)| value);
        Some(Param { name, kind, default, required, title, note, schema: Json::Object(schema) })
    }

    /// What narrows the type further, as words of JSON Schema.
    fn further(&mut self, fields: &Fields<'_, 't>) -> Map<String, Json> {
        let mut schema = Map::new();
        if let Some(entry) = fields.get("enum") {
            match &entry.value.kind {
                Kind::List(_) => drop(schema.insert("enum".to_owned(), self.literal(&entry.value).0)),
                _ => self.expected(entry, "a list of values", "Write them in brackets: [small, large]."),
            }
        }
        if let Some(format) = fields.get("format").and_then(|entry| self.choice(entry, keys::FORMATS)) {
            schema.insert("format".to_owned(), json!(format));
        }
        for word in ["minimum", "maximum"] {
            let Some(entry) = fields.get(word) else { continue };
            match &entry.value.kind {
                Kind::Number(number) => drop(schema.insert(word.to_owned(), Json::Number(number.clone()))),
                _ => self.expected(entry, "a number", ""),
            }
        }
        if let Some(entry) = fields.get("items") {
            self.input_schema(&entry.value);
            schema.insert("items".to_owned(), self.literal(&entry.value).0);
        }
        if let Some(entry) = fields.get("properties") {
            match &entry.value.kind {
                Kind::Record(inner) => inner.iter().for_each(|entry| self.input_schema(&entry.value)),
                _ => self.expected(entry, "a record of JSON Schemas", "Write `name: { type: string }`, one a line."),
            }
            schema.insert("properties".to_owned(), self.literal(&entry.value).0);
        }
        schema
    }
}

impl ParamType {
    /// The type as JSON Schema calls it.
    #[must_use]
    pub const fn schema_type(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::List => "array",
            Self::Record => "object",
        }
    }

    /// Whether a value is of the type.
    #[must_use]
    pub fn fits(self, value: &Json) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Boolean => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Record => value.is_object(),
        }
    }
}
