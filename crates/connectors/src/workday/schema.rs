//! Pieces of schemas that many actions share.

use serde_json::{Map, Value as Json, json};

/// A strict record: fields with their schemas, and those that must be there.
pub(super) fn input(fields: &[(&str, Json)], required: &[&str]) -> Json {
    json!({
        "type": "object",
        "properties": record(fields),
        "required": required,
        "additionalProperties": false
    })
}

/// What an action gives: these fields and whatever else Workday tells.
pub(super) fn output(fields: &[(&str, Json)]) -> Json {
    json!({ "type": "object", "properties": record(fields) })
}

fn record(fields: &[(&str, Json)]) -> Map<String, Json> {
    fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect()
}

/// A list of such records under a name.
pub(super) fn rows(name: &str, row: Json) -> Json {
    json!({ "type": "object", "properties": { name: { "type": "array", "items": row } }, "required": [name] })
}

pub(super) fn text(title: &str, description: &str) -> Json {
    json!({ "type": "string", "title": title, "description": description, "minLength": 1 })
}

pub(super) fn date(title: &str, description: &str) -> Json {
    json!({ "type": "string", "title": title, "description": description, "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}" })
}

pub(super) fn flag(title: &str, description: &str) -> Json {
    json!({ "type": "boolean", "title": title, "description": description })
}

pub(super) fn texts(title: &str, description: &str) -> Json {
    json!({ "type": "array", "items": { "type": "string" }, "title": title, "description": description })
}

/// A field of an output.
pub(super) fn told(title: &str) -> Json {
    json!({ "type": ["string", "null"], "title": title })
}

/// The field that names a worker.
pub(super) fn worker() -> Json {
    text("Worker", "An employee number such as 21001, a WID, or a type and value such as Contingent_Worker_ID=30001.")
}

/// A thing by id in a REST answer.
pub(super) fn reference(title: &str) -> Json {
    json!({ "type": ["object", "null"], "title": title, "properties": { "id": { "type": "string" }, "descriptor": { "type": "string" } } })
}

/// What a started process tells.
pub(super) fn event() -> Json {
    output(&[
        (
            "event",
            json!({ "type": "string", "title": "Event", "description": "The WID of the process. Without auto-complete it waits for approvals: see get_event." }),
        ),
        (
            "adopted",
            json!({ "type": "boolean", "title": "Found again", "description": "True when an earlier attempt had started it." }),
        ),
        ("worker", told("Worker")),
    ])
}

pub(super) fn event_sample() -> Json {
    json!({ "event": "3aa5550b7fe348b98d7b5741afc65534", "adopted": false, "worker": "21001" })
}
