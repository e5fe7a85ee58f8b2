//! The service catalog, and calls of any other API of the instance.

use std::sync::Arc;

use ::http::Method;
use connector::{Action, Cx, Effect, StepError};
use serde_json::{Map, Value as Json, json};

use super::{
    action,
    api::{Api, as_text, checked_id, invalid, result, word},
    dictionary::Dictionary,
    records::input,
};

/// Headers of an answer that are given on.
const HEADERS_MAX: usize = 100;

pub(super) fn actions(dictionary: &Arc<Dictionary>) -> Vec<Action> {
    let item = json!({"type": "string", "title": "Catalog item", "description": "The sys_id of the item."});
    vec![
        action(dictionary, "find_catalog_items", "Find catalog items", "Finds items of the service catalog by words.", find)
            .reads()
            .input(input(json!({"text": {"type": "string", "title": "Words"}, "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20, "title": "At most"}}), &[]))
            .output(json!({"type": "object", "required": ["items"], "properties": {"items": {"type": "array", "items": {"type": "object", "additionalProperties": true}}}}))
            .sample(json!({"items": [{"sys_id": "04b7e94b4f7b4200086eeed18110c7fd", "name": "Standard Laptop", "short_description": "A laptop for everyday work"}]})),
        action(dictionary, "get_catalog_item", "Get a catalog item", "Gets an item with the variables an order must fill in.", get)
            .reads()
            .input(input(json!({"item": item}), &["item"]))
            .output(json!({"type": "object", "additionalProperties": true}))
            .sample(json!({"sys_id": "04b7e94b4f7b4200086eeed18110c7fd", "name": "Standard Laptop", "variables": [{"name": "model", "mandatory": true}]})),
        action(dictionary, "order_catalog_item", "Order a catalog item", "Orders an item at once. ServiceNow has no protection from doubles here: a repeated step orders again.", order)
            .input(input(
                json!({
                    "item": item,
                    "quantity": {"type": "integer", "minimum": 1, "default": 1, "title": "Quantity"},
                    "requested_for": {"type": "string", "title": "Requested for", "description": "The sys_id of the user; the integration user when left out."},
                    "variables": {"type": "object", "title": "Variables", "description": "Answers by the variable's name.", "additionalProperties": true}
                }),
                &["item"],
            ))
            .output(json!({"type": "object", "required": ["request_id", "request_number"], "properties": {"request_id": {"type": "string"}, "request_number": {"type": "string"}, "table": {"type": "string"}}}))
            .sample(json!({"request_id": "6eed229047801200e0ef563dbb9a71c2", "request_number": "REQ0010012", "table": "sc_request"})),
        action(dictionary, "custom_request", "Call any API", "Calls any REST API of the instance, with the connection's sign-in.", custom)
            .effect(custom_effect)
            .input(input(
                json!({
                    "method": {"type": "string", "enum": ["GET", "POST", "PUT", "PATCH", "DELETE"], "default": "GET", "title": "Method"},
                    "path": {"type": "string", "pattern": "^/api/", "title": "Path", "description": "Begins with /api/."},
                    "query": {"type": "object", "title": "Query", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
                    "body": {"title": "Body", "description": "Sent as JSON."},
                    "idempotent": {"type": "boolean", "title": "May be repeated", "description": "True when calling it twice leaves the same state."}
                }),
                &["path"],
            ))
            .output(json!({"type": "object", "required": ["status", "headers", "body"], "properties": {"status": {"type": "integer"}, "headers": {"type": "object", "additionalProperties": {"type": "string"}}, "body": {}}}))
            .sample(json!({"status": 200, "headers": {"content-type": "application/json"}, "body": {"result": []}})),
    ]
}

async fn find(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let limit = input["limit"].as_u64().unwrap_or(20).to_string();
    let pairs = [("sysparm_text", word(&input, "text")), ("sysparm_limit", &limit)];
    let call = api.call(Method::GET, &["api", "sn_sc", "servicecatalog", "items"]).query(pairs);
    Ok(json!({"items": result(&api.send(call).await?)?}))
}

async fn get(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let id = checked_id(word(&input, "item"))?;
    result(&api.send(api.call(Method::GET, &["api", "sn_sc", "servicecatalog", "items", id])).await?)
}

async fn order(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let id = checked_id(word(&input, "item"))?;
    let variables: Map<String, Json> =
        input["variables"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), json!(as_text(value)))).collect();
    let mut body = json!({"sysparm_quantity": input["quantity"].as_u64().unwrap_or(1), "variables": variables});
    let person = word(&input, "requested_for");
    if !person.is_empty() {
        body["sysparm_requested_for"] = json!(checked_id(person)?);
    }
    let call = api.call(Method::POST, &["api", "sn_sc", "servicecatalog", "items", id, "order_now"]).json(&body);
    let answer = api.send(call).await?;
    let order = result(&answer)?;
    let text = |name: &str| word(&order, name).to_owned();
    if text("request_id").is_empty() {
        return Err(answer.unreadable("it names no request"));
    }
    Ok(json!({"request_id": text("request_id"), "request_number": text("request_number"), "table": text("table")}))
}

fn custom_effect(input: &Json) -> Effect {
    match (word(input, "method"), input.get("idempotent").and_then(Json::as_bool)) {
        ("GET" | "", _) => Effect::None,
        (_, Some(true)) | ("PUT" | "DELETE", None) => Effect::Idempotent,
        _ => Effect::Once,
    }
}

async fn custom(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let method = Some(word(&input, "method")).filter(|method| !method.is_empty()).unwrap_or("GET");
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| invalid("METHOD_INVALID", format!("\"{method}\" is no method")))?;
    let pairs: Vec<(String, String)> = input["query"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), as_text(value)))
        .collect();
    let mut call = api.call_path(method, word(&input, "path"))?.query(pairs);
    if let Some(body) = input.get("body").filter(|body| !body.is_null()) {
        call = call.json(body);
    }
    let answer = api.send(call).await?;
    let headers: Map<String, Json> = answer
        .headers
        .iter()
        .filter(|(name, _)| !connector::mask::is_secret_header(name.as_str()))
        .take(HEADERS_MAX)
        .map(|(name, value)| (name.as_str().to_owned(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let body = if answer.body.is_empty() && answer.status.as_u16() == 204 { Json::Null } else { answer.json()? };
    Ok(json!({"status": answer.status.as_u16(), "headers": headers, "body": body}))
}
