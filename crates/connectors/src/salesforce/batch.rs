//! Many records in calls of 200, told row by row; several calls in one.

use std::time::Duration;

use ::http::Method;
use connector::{Action, Cx, Doubt, Effect, Shaped, StepError};
use serde_json::{Map, Value as Json, json};

use super::{
    api::{Api, flag, text},
    errors::{IN_BIN, of_error, of_row},
    field_input, input, object_input,
};

/// Rows of one call.
const CHUNK: usize = 200;
/// Rows of one step.
const ROWS_MAX: usize = 10_000;
/// How often rows that met a locked record are sent again.
const LOCKED_ROUNDS: u32 = 3;
/// Calls in a composite.
const CALLS_MAX: usize = 25;

#[derive(Clone, Copy, PartialEq)]
enum How {
    Create,
    Update,
    Upsert,
    Delete,
}

pub(super) fn actions() -> Vec<Action> {
    let outcome = json!({"type": "object", "required": ["index", "success", "errors"], "properties": {"index": {"type": "integer", "description": "Its place among the rows, from 0."}, "success": {"type": "boolean"},
        "id": {"type": ["string", "null"]}, "created": {"type": "boolean"}, "errors": {"type": "array", "items": {"type": "object", "properties": {"code": {"type": "string"}, "class": {"type": "string"}, "message": {"type": "string"}}}},
        "uncertain": {"type": "boolean", "description": "True when it is not known whether it was written."}}});
    let output = json!({"type": "object", "additionalProperties": false, "required": ["rows", "succeeded", "failed"], "properties": {"rows": {"type": "array", "items": outcome}, "succeeded": {"type": "integer"}, "failed": {"type": "integer"}}});
    let sample = json!({"rows": [{"index": 0, "success": true, "id": "001xx000003DGb1AAG", "errors": []}, {"index": 1, "success": false, "id": null,
        "errors": [{"code": "REQUIRED_FIELD_MISSING", "class": "invalid", "message": "a required field is missing: Required fields are missing: [Name]"}]}], "succeeded": 1, "failed": 1});
    let rows = |what: &str| json!({"type": "array", "title": "Records", "minItems": 1, "maxItems": ROWS_MAX, "items": {"type": "object", "additionalProperties": true}, "description": what});
    let whole = json!({"type": "boolean", "default": false, "title": "All or none", "description": "Takes all of a call of 200 back when one is refused."});
    let action = |id, title, summary, how: How| {
        Action::new(id, title, summary, move |cx, given| many(cx, given, how)).output(output.clone()).sample(sample.clone())
    };
    let records = Shaped::by("object").writes("rows[]");
    let response = json!({"type": "object", "properties": {"id": {"type": "string"}, "status": {"type": "integer"}, "ok": {"type": "boolean"}, "body": {}}});
    vec![
        action("batch_create", "Create records", "Creates many records, 200 in a call, and tells what became of each.", How::Create)
            .input(input(json!({"object": object_input(), "rows": rows("Values by field API name."), "all_or_none": whole}), &["object", "rows"]))
            .shaped(records),
        action("batch_update", "Update records", "Changes many records, 200 in a call, and tells what became of each.", How::Update)
            .idempotent()
            .input(input(json!({"object": object_input(), "rows": rows("Each with its Id."), "all_or_none": whole}), &["object", "rows"]))
            .shaped(records.keys(&["Id"])),
        action("batch_upsert", "Create or update records", "Changes the records that have a key and creates the others, 200 in a call, and tells what became of each.", How::Upsert)
            .idempotent()
            .input(input(json!({"object": object_input(), "key_field": field_input("Key field", "An external id field; each row holds it."), "rows": rows("Each with its key; a key may be there once."), "all_or_none": whole}), &["object", "key_field", "rows"]))
            .shaped(records.names(&["key_field"])),
        action("batch_delete", "Delete records", "Deletes many records, 200 in a call, and tells what became of each.", How::Delete)
            .idempotent()
            .input(input(json!({"ids": {"type": "array", "title": "Record ids", "minItems": 1, "maxItems": ROWS_MAX, "items": {"type": "string"}}, "all_or_none": whole}), &["ids"])),
        Action::new("composite", "Make several calls at once", "Makes up to 25 calls in one, where later ones may use answers of earlier ones as @{id.field}.", composite)
            .effect(|input| {
                let reads = |call: &Json| text(call, "method") == "GET";
                if input["calls"].as_array().is_some_and(|calls| calls.iter().all(reads)) { Effect::None } else { Effect::Once }
            })
            .input(input(json!({"calls": {"type": "array", "title": "Calls", "minItems": 1, "maxItems": CALLS_MAX, "items": {"type": "object", "required": ["id", "method", "path"], "additionalProperties": false, "properties": {
                    "id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_]*$", "title": "Name"}, "method": {"type": "string", "enum": ["GET", "POST", "PATCH", "PUT", "DELETE"], "title": "Method"},
                    "path": {"type": "string", "title": "Path", "description": "Below the version: sobjects/Account."}, "body": {"title": "Body"}}}},
                "all_or_none": {"type": "boolean", "default": true, "title": "All or none"}}), &["calls"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["responses", "failed"], "properties": {"responses": {"type": "array", "items": response}, "failed": {"type": "integer"}}}))
            .sample(json!({"responses": [{"id": "acc", "status": 201, "ok": true, "body": {"id": "001xx000003DGb1AAG", "success": true, "errors": []}}], "failed": 0})),
        Action::new("create_tree", "Create records with children", "Creates records together with their children, all or nothing.", tree)
            .input(input(json!({"object": object_input(), "records": {"type": "array", "title": "Records", "minItems": 1, "maxItems": 200, "items": {"type": "object", "additionalProperties": true},
                "description": "As Salesforce's sObject tree: each with attributes {type, referenceId}, children as {\"Contacts\": {\"records\": [...]}}."}}), &["object", "records"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["records"], "properties": {"records": {"type": "array", "items": {"type": "object", "properties": {"reference": {"type": "string"}, "id": {"type": "string"}}}}}}))
            .sample(json!({"records": [{"reference": "r1", "id": "001xx000003DGb1AAG"}]})),
    ]
}

async fn many(cx: Cx, given: Json, how: How) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let rows: Vec<Json> = match how {
        How::Delete => given["ids"].as_array().cloned().unwrap_or_default(),
        _ => given["rows"].as_array().cloned().unwrap_or_default(),
    };
    let mut results: Vec<Json> = vec![Json::Null; rows.len()];
    let mut waiting: Vec<usize> = (0..rows.len()).collect();
    for round in 0..=LOCKED_ROUNDS {
        if round > 0 {
            tokio::time::sleep(Duration::from_millis(200 * u64::from(round)).min(cx.left() / 4)).await;
        }
        for (number, chunk) in waiting.chunks(CHUNK).enumerate() {
            let part: Vec<&Json> = chunk.iter().map(|place| &rows[*place]).collect();
            let told = match call(&api, &given, how, &part).await {
                Ok(told) => told,
                // What was created before must not be created again: the rows say which.
                Err(error) if how == How::Create && (number > 0 || round > 0) => chunk.iter().map(|_| unsent(&error)).collect(),
                // What was deleted before stays deleted, and the next try must know it for its own work.
                Err(error) if how == How::Delete && (number > 0 || round > 0) => {
                    return Err(StepError { doubt: Doubt::MayHaveHappened, ..error });
                }
                Err(error) => return Err(error),
            };
            for (place, result) in chunk.iter().zip(told) {
                // By an earlier try whose answer was lost, or by the same id further up.
                let by_us = how == How::Delete && (cx.in_doubt || rows[..*place].contains(&rows[*place]));
                results[*place] = if by_us { gone(result, &rows[*place]) } else { result };
            }
        }
        let locked = |result: &Json| {
            result["errors"].as_array().is_some_and(|errors| errors.iter().any(|error| error["code"] == "UNABLE_TO_LOCK_ROW"))
        };
        waiting.retain(|place| locked(&results[*place]));
        if waiting.is_empty() || flag(&given, "all_or_none") {
            break;
        }
    }
    for (index, result) in results.iter_mut().enumerate() {
        result["index"] = json!(index);
    }
    let succeeded = results.iter().filter(|result| result["success"] == true).count();
    Ok(json!({ "succeeded": succeeded, "failed": results.len() - succeeded, "rows": results }))
}

/// A record that is in the recycle bin because we deleted it is deleted.
fn gone(result: Json, id: &Json) -> Json {
    let done = result["errors"].as_array().is_some_and(|errors| errors.iter().any(|error| error["code"] == IN_BIN));
    if done { json!({ "success": true, "id": id, "errors": [] }) } else { result }
}

fn unsent(error: &StepError) -> Json {
    let told = json!({ "code": error.code, "class": error.class.as_str(), "message": error.message, "fields": [] });
    json!({ "success": false, "id": null, "errors": [told], "uncertain": error.doubt == Doubt::MayHaveHappened })
}

async fn call(api: &Api<'_>, given: &Json, how: How, rows: &[&Json]) -> Result<Vec<Json>, StepError> {
    let whole = flag(given, "all_or_none");
    let object = text(given, "object");
    if how == How::Delete {
        let ids: Vec<&str> = rows.iter().filter_map(|id| id.as_str()).collect();
        let url = api.url(&["composite", "sobjects"]);
        let call = api.call(Method::DELETE, url).query([("ids", ids.join(",")), ("allOrNone", whole.to_string())]);
        return told(api, call, rows.len()).await;
    }
    let records: Vec<Json> = rows
        .iter()
        .map(|row| {
            let mut record = Map::from_iter([("attributes".to_owned(), json!({ "type": object }))]);
            for (name, value) in row.as_object().into_iter().flatten() {
                let id = how == How::Update && name.eq_ignore_ascii_case("id");
                record.insert(if id { "id".to_owned() } else { name.clone() }, value.clone());
            }
            Json::Object(record)
        })
        .collect();
    let (method, url) = match how {
        How::Create => (Method::POST, api.url(&["composite", "sobjects"])),
        How::Upsert => (Method::PATCH, api.url(&["composite", "sobjects", object, text(given, "key_field")])),
        _ => (Method::PATCH, api.url(&["composite", "sobjects"])),
    };
    let call = api.call(method, url).json(&json!({ "allOrNone": whole, "records": records }));
    told(api, call, rows.len()).await
}

/// Row by row, in the order of the rows. A status of 200 says nothing of them.
async fn told(api: &Api<'_>, call: connector::api::Call<'_>, count: usize) -> Result<Vec<Json>, StepError> {
    let answer = api.send(call).await?;
    let body = answer.json()?;
    let results = body.as_array().filter(|results| results.len() == count);
    let results = results.ok_or_else(|| answer.unreadable("it does not tell what became of each record"))?;
    Ok(results
        .iter()
        .map(|result| {
            let errors: Vec<Json> = result["errors"].as_array().into_iter().flatten().map(of_row).collect();
            let mut out = json!({ "success": result["success"] == true, "id": result["id"], "errors": errors });
            if let Some(created) = result.get("created").filter(|created| created.is_boolean()) {
                out["created"] = created.clone();
            }
            out
        })
        .collect())
}

async fn composite(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let calls: Vec<Json> = given["calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            let path = text(one, "path").trim_start_matches('/');
            let mut call = json!({ "method": one["method"], "url": format!("/services/data/v{}/{path}", api.version), "referenceId": one["id"] });
            if let Some(body) = one.get("body").filter(|body| !body.is_null()) {
                call["body"] = body.clone();
            }
            call
        })
        .collect();
    let whole = given.get("all_or_none").and_then(Json::as_bool).unwrap_or(true);
    let call = api
        .call(Method::POST, api.url(&["composite"]))
        .json(&json!({ "allOrNone": whole, "collateSubrequests": false, "compositeRequest": calls }));
    let answer = api.send(call).await?;
    let body = answer.json()?;
    let list =
        body["compositeResponse"].as_array().ok_or_else(|| answer.unreadable("it does not tell what became of the calls"))?;
    let responses: Vec<Json> = list
        .iter()
        .map(|one| {
            let status = one["httpStatusCode"].as_u64().unwrap_or_default();
            json!({ "id": one["referenceId"], "status": status, "ok": (200..300).contains(&status), "body": one["body"] })
        })
        .collect();
    let failed = responses.iter().filter(|one| one["ok"] == false).count();
    Ok(json!({ "responses": responses, "failed": failed }))
}

async fn tree(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let call = api
        .call(Method::POST, api.url(&["composite", "tree", text(&given, "object")]))
        .json(&json!({ "records": given["records"] }));
    let answer = api.send(call.accepts(&[400])).await?;
    let body = answer.json()?;
    if body["hasErrors"] == true || answer.status == 400 {
        let first = body["results"].as_array().and_then(|results| results.first()).cloned().unwrap_or_else(|| body[0].clone());
        let error = first["errors"].as_array().and_then(|errors| errors.first()).unwrap_or(&first);
        let name = first["referenceId"].as_str().unwrap_or_default();
        let next = "Correct the record and run the step again.";
        let words = |words: &str| format!("nothing was created; the record \"{name}\": {words}");
        return Err(answer.describe(of_error(error, "TREE_REFUSED", next, words)));
    }
    let records: Vec<Json> = body["results"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| json!({ "reference": one["referenceId"], "id": one["id"] }))
        .collect();
    Ok(json!({ "records": records }))
}
