//! Fields and schemas of a connector file.
//!
//! Settings, inputs and trigger settings are records of fields: a JSON Schema each, with `required: true` beside it.
//! Outputs are JSON Schemas as they are.

use connector::{Secret, strict};
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;

use super::{
    problem::{Code, Problems, shown},
    record::Record,
    yaml::{Kind, Node},
};

/// Fields one record may have.
const FIELDS_MAX: usize = 500;
/// Names a field may have; vendors have capitals, dots and brackets in theirs.
const NAME_BYTES_MAX: usize = 100;
/// Words of a schema of a connection's settings, which are texts, numbers and flags.
const SETTING_TYPES: [&str; 4] = ["string", "integer", "number", "boolean"];

/// The fields of a record, as a JSON Schema that refuses names it does not know.
pub(crate) fn fields(node: Option<&Node>, what: &str, problems: &mut Problems) -> Json {
    let (mut properties, mut required, mut places) = (Map::new(), Vec::new(), Vec::new());
    let record = node.and_then(|node| Record::open(node, what, problems));
    for entry in record.iter().flat_map(Record::entries) {
        if entry.key.is_empty() || entry.key.len() > NAME_BYTES_MAX || entry.key.contains(char::is_whitespace) {
            problems.add(Code::Value, entry.at, format!("\"{}\" cannot be the name of a field.", shown(&entry.key)));
        }
        let mut schema = match &entry.value.kind {
            Kind::Null => json!({}),
            Kind::Record(_) => entry.value.json(),
            _ => {
                let message = format!("A field is a record such as {{ type: string }}, not {}.", entry.value.is_called());
                problems.add(Code::Kind, entry.value.at, message);
                continue;
            }
        };
        if let Some(record) = schema.as_object_mut() {
            // A list is that of a record within.
            if let Some(Json::Bool(flag)) = record.get("required").cloned() {
                record.remove("required");
                if flag {
                    required.push(Json::from(entry.key.as_str()));
                }
            }
        }
        places.push(entry.value.at);
        properties.insert(entry.key.clone(), schema);
    }
    if properties.len() > FIELDS_MAX {
        let at = record.map_or((0, 0), |record| record.at);
        problems.add(Code::TooLarge, at, format!("{what} has more than {FIELDS_MAX} fields."));
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    // All at once: most are sound, and one look at all is much cheaper than one at each.
    if reference(&schema).is_some() || jsonschema::validator_for(&schema).is_err() {
        for (field, at) in schema["properties"].as_object().into_iter().flat_map(Map::values).zip(places) {
            check(field, at, problems);
        }
    }
    if !required.is_empty() {
        schema["required"] = Json::Array(required);
    }
    schema
}

/// The names of the fields of such a schema.
pub(crate) fn names(schema: &Json) -> Vec<&str> {
    schema["properties"].as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// A JSON Schema as it stands; anything when there is none.
pub(crate) fn schema(node: Option<&Node>, problems: &mut Problems) -> Json {
    let Some(node) = node else { return json!({}) };
    let schema = node.json();
    if !schema.is_object() {
        problems.add(Code::Kind, node.at, format!("A schema is a record, not {}.", node.is_called()));
        return json!({});
    }
    check(&schema, node.at, problems);
    schema
}

fn check(schema: &Json, at: (usize, usize), problems: &mut Problems) {
    // References would be followed out of the file.
    if let Some(target) = reference(schema) {
        problems.helped(
            Code::Schema,
            at,
            format!("The schema refers to {}.", shown(target)),
            "Write out what it refers to: connector files have no $ref.",
        );
    } else if let Err(error) = jsonschema::validator_for(schema) {
        problems.add(Code::Schema, at, format!("This is no JSON Schema: {}.", error.to_string().trim_end_matches('.')));
    }
}

fn reference(schema: &Json) -> Option<&str> {
    match schema {
        Json::Object(fields) => match fields.get("$ref").or_else(|| fields.get("$dynamicRef")) {
            Some(Json::String(target)) => Some(target),
            _ => fields.values().find_map(reference),
        },
        Json::Array(items) => items.iter().find_map(reference),
        _ => None,
    }
}

/// A problem when a sample does not fit its schema.
pub(crate) fn sample(node: Option<&Node>, schema: &Json, what: &str, problems: &mut Problems) -> Option<Json> {
    let node = node?;
    let value = node.json();
    fits(&value, schema, node.at, what, problems);
    Some(value)
}

/// A problem when a value does not fit a schema.
pub(crate) fn fits(value: &Json, schema: &Json, at: (usize, usize), what: &str, problems: &mut Problems) {
    if let Some(why) = misfit(value, schema) {
        problems.add(Code::Sample, at, format!("{what} does not fit its schema {why}."));
    }
}

/// Where and why a value does not fit a schema.
pub(crate) fn misfit(value: &Json, schema: &Json) -> Option<String> {
    let validator = jsonschema::validator_for(schema).ok()?;
    let error = validator.iter_errors(value).next()?;
    let place = error.instance_path().to_string();
    let why = shown_long(&error.to_string());
    Some(if place.is_empty() { format!("({why})") } else { format!("at {place} ({why})") })
}

fn shown_long(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    text.chars().take(CHARS_MAX).collect::<String>().trim_end_matches('.').to_owned()
}

/// What a setting of a connection may be.
pub(crate) fn settings(node: Option<&Node>, problems: &mut Problems) -> Json {
    let schema = fields(node, "connection.fields", problems);
    for entry in node.into_iter().flat_map(|node| match &node.kind {
        Kind::Record(entries) => entries.as_slice(),
        _ => &[],
    }) {
        match entry.value.get("type").and_then(Node::text) {
            Some(word) if !SETTING_TYPES.contains(&word) => {
                problems.unknown(Code::Value, entry.value.at, "type of a setting", word, &SETTING_TYPES);
            }
            Some(_) => {}
            None => problems.add(Code::MissingKey, entry.at, format!("The setting \"{}\" needs a type.", shown(&entry.key))),
        }
    }
    schema
}

/// Everything that is wrong with a connection's settings.
pub(crate) fn check_settings(config: &Json, schema: &Json, problems: &mut strict::Problems) {
    let Some(given) = problems.record("config", config).cloned().or_else(|| config.is_null().then(Map::new)) else { return };
    problems.unknown_keys("config", &given, &names(schema));
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if given.get(name).is_none_or(|value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())) {
            problems.add(format!("config.{name}"), format!("the setting \"{name}\" is missing"));
        }
    }
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        if let Some(why) = schema["properties"].get(name).and_then(|schema| misfit(value, schema)) {
            problems.add(format!("config.{name}"), format!("the setting \"{name}\" is not right {why}"));
        }
    }
}

/// A credential no header can carry.
pub(crate) fn check_sendable(credentials: &HashMap<String, Secret>, names: &[&str], problems: &mut strict::Problems) {
    for name in names {
        if credentials.get(*name).is_some_and(|secret| http::HeaderValue::from_str(secret.expose()).is_err()) {
            problems.add(
                format!("credentials.{name}"),
                format!("the credential \"{name}\" holds a line break or another character a header cannot carry"),
            );
        }
    }
}
