//! Objects and their fields, as the org describes them.

use std::{collections::HashMap, sync::Arc};

use connector::{Cx, Object, StepError};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};

use super::api::Api;

/// How long triggers go by an object's fields before they ask for them again.
const KNOWN_FOR: SignedDuration = SignedDuration::from_mins(10);
/// What triggers need of a field.
const FIELD_PARTS: [&str; 5] = ["name", "type", "filterable", "sortable", "deprecatedAndHidden"];
/// Objects that are remembered.
const KNOWN_MAX: usize = 200;
/// Values of a picklist that are told; longer lists are left open.
const VALUES_MAX: usize = 500;

/// The objects a user can work with.
pub(super) async fn objects(cx: Cx) -> Result<Vec<Object>, StepError> {
    let api = Api::of(&cx)?;
    let body = api.json(api.get(&["sobjects"])).await?;
    let usable =
        |object: &&Json| object["deprecatedAndHidden"] != true && (object["queryable"] == true || object["createable"] == true);
    let list = body["sobjects"].as_array().into_iter().flatten().filter(usable);
    Ok(list
        .filter_map(|object| {
            Some(Object {
                name: object["name"].as_str()?.to_owned(),
                title: object["label"].as_str().unwrap_or_default().to_owned(),
            })
        })
        .collect())
}

/// A JSON Schema of one object's record.
pub(super) async fn object(cx: Cx, name: String) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let body = api.json(api.get(&["sobjects", &name, "describe"])).await?;
    Ok(schema(&body))
}

/// What triggers know of the objects they follow, by connection: a describe is large, and they ask often.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<HashMap<String, Described>>>);

/// When an object was asked for, and what it is.
type Described = (Timestamp, Arc<Json>);

impl Known {
    /// The name and the fields of an object, with no more of them than triggers need.
    pub(super) async fn described(&self, api: &Api<'_>, object: &str) -> Result<Arc<Json>, StepError> {
        let (key, now) = (place(api, object), Timestamp::from_microsecond(api.cx.now_us()).unwrap_or_default());
        if let Some((_, known)) = self.0.lock().get(&key).filter(|(at, _)| (*at..*at + KNOWN_FOR).contains(&now)) {
            return Ok(Arc::clone(known));
        }
        let answer = api.send(api.get(&["sobjects", object, "describe"])).await?;
        let body = answer.json()?;
        let fields = body["fields"].as_array().ok_or_else(|| answer.unreadable("it holds no fields"))?;
        let few = |field: &Json| FIELD_PARTS.iter().map(|part| ((*part).to_owned(), field[*part].clone())).collect::<Json>();
        let known = Arc::new(json!({ "name": body["name"], "fields": fields.iter().map(few).collect::<Vec<_>>() }));
        let mut all = self.0.lock();
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(key, (now, Arc::clone(&known)));
        Ok(known)
    }

    /// Asks anew next time.
    pub(super) fn forget(&self, api: &Api<'_>, object: &str) {
        self.0.lock().remove(&place(api, object));
    }
}

/// Another org, user or version behind the same connection is another place.
fn place(api: &Api<'_>, object: &str) -> String {
    let connection = api.cx.connection.as_deref().map(|connection| format!("{}\n{}", connection.name, connection.config));
    format!("{}\n{object}", connection.unwrap_or_default())
}

/// Out of a describe.
pub(super) fn schema(described: &Json) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in described["fields"].as_array().into_iter().flatten().filter(|field| field["deprecatedAndHidden"] != true) {
        let Some(name) = field["name"].as_str() else { continue };
        let is = |flag: &str| field[flag] == true;
        properties.insert(name.to_owned(), property(field));
        if let Some(relation) = field["relationshipName"].as_str() {
            properties.insert(relation.to_owned(), parent(field));
        }
        // Booleans are never empty and always have a default.
        if is("createable") && !is("nillable") && !is("defaultedOnCreate") {
            required.push(name);
        }
    }
    json!({ "type": "object", "title": described["label"], "properties": properties, "required": required, "additionalProperties": false })
}

/// The record that a field leads to: read through it, or named by its own key when it is written.
fn parent(field: &Json) -> Json {
    let mut out = json!({ "title": field["label"], "type": ["object", "null"], "description": "The record itself: to name it by a key of its own, or to read through it." });
    if field["createable"] != true && field["updateable"] != true {
        out["readOnly"] = json!(true);
    }
    out
}

fn property(field: &Json) -> Json {
    let kind = field["type"].as_str().unwrap_or_default();
    let is = |flag: &str| field[flag] == true;
    let plain = match kind {
        "boolean" => json!("boolean"),
        "int" | "long" => json!("integer"),
        "double" | "currency" | "percent" => json!("number"),
        "address" | "location" | "complexvalue" => json!("object"),
        "anyType" => json!(["string", "number", "boolean", "null"]),
        _ => json!("string"),
    };
    let mut out = json!({ "title": field["label"], "type": if is("nillable") && plain.is_string() { json!([plain, "null"]) } else { plain } });
    if !is("createable") && !is("updateable") {
        out["readOnly"] = json!(true);
    }
    match kind {
        "date" => out["format"] = json!("date"),
        "datetime" => out["format"] = json!("date-time"),
        "reference" => {
            let parents: Vec<&str> = field["referenceTo"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
            out["description"] = json!(format!("The id of a record of {}.", parents.join(", ")));
        }
        "multipicklist" => out["description"] = json!("Values with ; between them."),
        _ => {}
    }
    let values: Vec<&Json> = field["picklistValues"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|value| value["active"] == true)
        .map(|value| &value["value"])
        .collect();
    if kind == "picklist" && is("restrictedPicklist") && !values.is_empty() && values.len() <= VALUES_MAX {
        let empty = is("nillable").then_some(&Json::Null);
        out["enum"] = json!(values.into_iter().chain(empty).collect::<Vec<_>>());
    }
    if let Some(length) = field["length"].as_u64().filter(|length| *length > 0 && kind != "id" && kind != "reference") {
        out["maxLength"] = json!(length);
    }
    if let Some(help) = field["inlineHelpText"].as_str() {
        out["description"] = json!(help);
    }
    out
}

/// The first field a record's changes can be followed by.
pub(super) fn clock<'a>(described: &Json, wanted: &[&'a str]) -> Option<&'a str> {
    let filterable = |name: &str| {
        described["fields"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|field| field["name"] == name && field["filterable"] == true && field["sortable"] != false)
    };
    wanted.iter().copied().find(|name| filterable(name))
}

/// All fields a query can ask for at once; files and addresses are left out.
pub(super) fn plain_fields(described: &Json) -> Vec<String> {
    let plain = |field: &&Json| {
        !matches!(field["type"].as_str(), Some("base64" | "address" | "location" | "complexvalue"))
            && field["deprecatedAndHidden"] != true
    };
    described["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(plain)
        .filter_map(|field| field["name"].as_str().map(str::to_owned))
        .collect()
}
