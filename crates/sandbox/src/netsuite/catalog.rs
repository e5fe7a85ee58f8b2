//! The metadata catalog: what records the account has, as a list, as JSON Schema and as OpenAPI.

use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use super::{
    State,
    answer::{Answer, Call, ONE},
    record_api,
    refusal::Refusal,
    schema::{self, Field, Kind, Sublist, Type},
    settings::{Drift, Settings},
    values::link,
};

const SCHEMA: &str = "application/schema+json";
const SWAGGER: &str = "application/swagger+json";

/// `/metadata-catalog` and what is below it.
pub(super) fn answer(call: &Call, state: &State, rest: &[&str]) -> Result<Answer, Refusal> {
    if call.method != http::Method::GET {
        return Err(Refusal::method(&call.method, &call.path));
    }
    let accept = call.header("accept");
    let address = format!("{}{}/metadata-catalog", call.base(), record_api::BASE);
    match rest {
        [] => {
            let select =
                call.parameter("select").map(|names| names.split(',').map(str::trim).map(ToOwned::to_owned).collect::<Vec<_>>());
            let chosen = chosen(state, select.as_deref())?;
            if accept.contains(SWAGGER) {
                return Ok(Answer::json(SWAGGER, &openapi(&chosen, call)));
            }
            if accept.contains(SCHEMA) {
                let detail = "The media type application/schema+json is not supported for the whole catalog.";
                return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "INVALID_HEADER", detail).header("Accept"));
            }
            let items: Vec<Json> = chosen.iter().map(|kind| entry(kind, &address)).collect();
            Ok(Answer::json("application/json", &json!({ "links": [link("self", address)], "items": items })))
        }
        ["nsLink"] => Ok(Answer::json(SCHEMA, &ns_link())),
        [name] => {
            let kind = chosen(state, Some(&[(*name).to_owned()]))?.pop().ok_or_else(|| missing(name, call))?;
            if accept.contains(SWAGGER) {
                return Ok(Answer::json(SWAGGER, &openapi(&[kind], call)));
            }
            if accept.contains(SCHEMA) {
                return Ok(Answer::json(SCHEMA, &described(kind, &state.settings)));
            }
            Ok(Answer::json(ONE, &entry(kind, &address)))
        }
        [name, ..] => Err(missing(name, call)),
    }
}

fn missing(name: &str, call: &Call) -> Refusal {
    let detail = format!("The record type '{name}' does not exist in the metadata catalog.");
    Refusal::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail).url(&call.path)
}

fn chosen(state: &State, names: Option<&[String]>) -> Result<Vec<&'static Type>, Refusal> {
    let hidden = |kind: &Type| {
        let named = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case(kind.name));
        kind.is_cabinet()
            || named(&state.settings.catalog_missing)
            || named(&state.settings.denied_records)
            || (state.settings.one_company && kind.name == "subsidiary")
    };
    let Some(names) = names else { return Ok(schema::types().iter().filter(|kind| !hidden(kind)).collect()) };
    names
        .iter()
        .map(|name| {
            schema::find(name).filter(|kind| !hidden(kind)).ok_or_else(|| {
                Refusal::new(
                    StatusCode::NOT_FOUND,
                    "NOT_FOUND",
                    format!("The record type '{name}' does not exist in the metadata catalog."),
                )
                .query("select")
            })
        })
        .collect()
}

fn entry(kind: &Type, address: &str) -> Json {
    let own = format!("{address}/{}", kind.name);
    let as_media = |rel: &str, media: &str| json!({ "rel": rel, "href": own, "mediaType": media });
    json!({
        "name": kind.name,
        "links": [
            as_media("canonical", "application/json"),
            { "rel": "describes", "href": own.replace("/metadata-catalog", "") },
            as_media("alternate", SWAGGER),
            as_media("alternate", SCHEMA),
        ],
    })
}

/// A type as JSON Schema. It never says which fields are required.
fn described(kind: &Type, settings: &Settings) -> Json {
    let mut properties = Map::new();
    properties.insert("id".to_owned(), json!({ "title": "Internal ID", "type": "string", "nullable": true }));
    properties.insert("externalId".to_owned(), json!({ "title": "External ID", "type": "string", "nullable": true }));
    let hidden = |field: &&Field| {
        (settings.one_company && field.name == "subsidiary") || settings.drifted_fields.removed(kind.name, field.name)
    };
    let fields: Vec<&Field> = kind.fields.iter().filter(|field| !hidden(field)).collect();
    for field in &fields {
        let mut told = property(field);
        if settings.drifted_fields.of(kind.name, field.name) == Some(Drift::Integer) {
            told = json!({ "type": "integer", "format": "int64", "title": field.title, "nullable": true });
        }
        properties.insert(field.name.to_owned(), told);
    }
    for sublist in &kind.sublists {
        properties.insert(sublist.name.to_owned(), rows(sublist));
    }
    properties.insert("links".to_owned(), links());
    let filterable: Vec<&str> =
        ["id", "externalId"].into_iter().chain(fields.iter().filter(|field| field.filterable).map(|field| field.name)).collect();
    let mut out = json!({
        "$schema": "http://json-schema.org/draft-06/hyper-schema#", "title": kind.title, "type": "object", "properties": properties,
        "x-ns-filterable": filterable,
    });
    if kind.is_custom() {
        out["x-ns-custom-record"] = json!(true);
    }
    out
}

fn links() -> Json {
    json!({ "title": "Links", "type": "array", "readOnly": true, "items": { "$ref": "/services/rest/record/v1/metadata-catalog/nsLink" } })
}

fn ns_link() -> Json {
    json!({
        "$schema": "http://json-schema.org/draft-06/hyper-schema#", "type": "object",
        "properties": { "rel": { "title": "Relation Type", "type": "string", "readOnly": true }, "href": { "title": "Hypertext Reference", "type": "string", "readOnly": true } },
    })
}

fn property(field: &Field) -> Json {
    let mut out = match &field.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Integer => json!({ "type": "integer", "format": "int64" }),
        Kind::Float => json!({ "type": "number", "format": "float" }),
        Kind::Money => json!({ "type": "number", "format": "double" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Date => json!({ "type": "string", "format": "date" }),
        Kind::Stamp => json!({ "type": "string", "format": "date-time" }),
        Kind::Ref(_) => json!({ "type": "object", "properties": reference() }),
        Kind::Choice(choices) => {
            let ids: Vec<&str> = choices.iter().map(|(id, _)| *id).collect();
            json!({ "type": "object", "properties": { "id": { "title": "Internal identifier", "type": "string", "enum": ids }, "refName": { "title": "Reference Name", "type": "string" } } })
        }
        Kind::Status(_) => json!({ "type": "object", "properties": reference() }),
        Kind::Address => json!({ "type": "object", "properties": address() }),
    };
    out["title"] = json!(field.title);
    out["nullable"] = json!(true);
    if field.locked {
        out["readOnly"] = json!(true);
    }
    if field.is_custom() {
        out["x-ns-custom-field"] = json!(true);
    }
    out
}

fn reference() -> Json {
    json!({
        "id": { "title": "Internal identifier", "type": "string" }, "refName": { "title": "Reference Name", "type": "string" },
        "externalId": { "title": "External identifier", "type": "string" }, "links": links(),
    })
}

fn address() -> Json {
    let text = |title: &str| json!({ "title": title, "type": "string", "nullable": true });
    json!({
        "addressee": text("Addressee"), "attention": text("Attention"), "addr1": text("Address 1"), "addr2": text("Address 2"),
        "city": text("City"), "state": text("State"), "zip": text("Zip"),
        "country": { "title": "Country", "type": "object", "properties": { "id": { "type": "string" }, "refName": { "type": "string" } } },
    })
}

fn rows(sublist: &Sublist) -> Json {
    let properties: Map<String, Json> = sublist.fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let key = json!({ "present": true, "value": { "new": [], "existing": [sublist.key] } });
    let items = json!({ "type": "object", "properties": properties, "x-ns-filterable": [], "x-ns-sublistkey": key });
    json!({ "type": "object", "title": sublist.name, "properties": { "items": { "type": "array", "items": items }, "links": links(), "totalResults": { "type": "integer", "format": "int64", "readOnly": true } } })
}

fn openapi(kinds: &[&Type], call: &Call) -> Json {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in kinds {
        let name = kind.name;
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        let body = json!({ "content": { "application/vnd.oracle.resource+json; type=singular": { "schema": reference } } });
        let id = json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }]);
        let done = json!({ "204": { "description": "Done." }, "default": { "description": "Error response." } });
        let found = json!({ "200": { "description": "The record.", "content": { "application/vnd.oracle.resource+json; type=singular": { "schema": reference } } } });
        let listed = json!({ "200": { "description": "List of records.", "content": { "application/vnd.oracle.resource+json; type=collection": { "schema": { "type": "object" } } } } });
        let query =
            |name: &str, kind: &str| json!({ "name": name, "in": "query", "required": false, "schema": { "type": kind } });
        paths.insert(format!("/{name}"), json!({
            "get": { "tags": [name], "summary": "Get list of records.", "operationId": format!("get-{name}-list"), "parameters": [query("q", "string"), query("limit", "integer"), query("offset", "integer")], "responses": listed },
            "post": { "tags": [name], "summary": "Insert record.", "operationId": format!("post-{name}"), "requestBody": body, "responses": done },
        }));
        paths.insert(format!("/{name}/{{id}}"), json!({
            "get": { "tags": [name], "summary": "Get record.", "operationId": format!("get-{name}"), "parameters": id, "responses": found },
            "patch": { "tags": [name], "summary": "Update record.", "operationId": format!("patch-{name}"), "parameters": id, "requestBody": body, "responses": done },
            "delete": { "tags": [name], "summary": "Remove record.", "operationId": format!("delete-{name}"), "parameters": id, "responses": done },
        }));
        let mut schema = described(kind, &Settings::default());
        if let Some(members) = schema.as_object_mut() {
            members.remove("$schema");
        }
        schemas.insert(name.to_owned(), schema);
    }
    let text = json!({ "openapi": "3.0.1", "info": { "title": "NetSuite REST Record API", "version": "v1" }, "servers": [{ "url": format!("{}{}", call.base(), record_api::BASE) }], "paths": paths, "components": { "schemas": schemas } });
    // Links of records point to a type of its own.
    let text = text.to_string().replace("/services/rest/record/v1/metadata-catalog/nsLink", "#/components/schemas/nsLink");
    let mut all: Json = serde_json::from_str(&text).unwrap_or_default();
    let mut link = ns_link();
    if let Some(members) = link.as_object_mut() {
        members.remove("$schema");
    }
    all["components"]["schemas"]["nsLink"] = link;
    all
}
