//! Records one by one.

use std::time::Duration;

use ::http::{HeaderName, Method};
use connector::{Action, Cx, Effect, Shaped, StepError, api::Call};
use serde_json::{Map, Value as Json, json};

use super::{
    api::{Api, bare, flag, invalid, text},
    errors::{IN_BIN, missing, of_error},
    field_input, fields_input,
    filter::{name, quoted},
    id_input, input, object_input,
    query::{ask, records},
};

/// Endings of a key that Salesforce reads as the format of the answer, or does not answer at all, in an address.
const FORMATS: [&str; 3] = ["inc", "json", "xml"];

const DUPLICATE_RULE: HeaderName = HeaderName::from_static("sforce-duplicate-rule-header");
const AUTO_ASSIGN: HeaderName = HeaderName::from_static("sforce-auto-assign");
const UNMODIFIED: HeaderName = HeaderName::from_static("if-unmodified-since");

pub(super) fn actions() -> Vec<Action> {
    let written = json!({"type": "object", "additionalProperties": false, "required": ["id", "created"], "properties": {"id": {"type": "string"}, "created": {"type": "boolean"}}});
    let writes = Shaped::by("object").writes("fields");
    let duplicates = json!({"type": "boolean", "default": false, "title": "Allow duplicates", "description": "Saves the record although a duplicate rule warns."});
    let assignment = json!({"type": "string", "title": "Assignment rule", "description": "For leads and cases: the id of a rule, or FALSE for none; the org's own rule decides when left out."});
    vec![
        Action::new("create", "Create a record", "Creates one record; with a key field it is never created twice.", create)
            .effect(|input| if input.get("dedupe_key").is_some_and(|key| !key.is_null()) { Effect::Idempotent } else { Effect::Once }).key_life(Duration::MAX)
            .input(input(json!({"object": object_input(), "fields": fields_input(),
                "dedupe_key": field_input("Key against doubles", "An external id field that the step writes its own key into, unless fields hold a value for it; with it a repeated step finds what it made."),
                "allow_duplicates": duplicates, "assignment_rule": assignment}), &["object", "fields"]))
            .output(written.clone())
            .sample(json!({"id": "001xx000003DGb1AAG", "created": true}))
            .shaped(writes.names(&["dedupe_key"])),
        Action::new("update", "Update a record", "Changes the given fields of one record.", update)
            .idempotent()
            .input(input(json!({"object": object_input(), "id": id_input(), "fields": fields_input(),
                "only_if_unmodified_since": {"type": "string", "title": "Only if unmodified since", "description": "A date and time, such as the LastModifiedDate that was read: refuses to overwrite what somebody changed later."},
                "allow_duplicates": duplicates, "assignment_rule": assignment}), &["object", "id", "fields"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["id"], "properties": {"id": {"type": "string"}}}))
            .sample(json!({"id": "001xx000003DGb1AAG"}))
            .shaped(writes),
        Action::new("upsert", "Create or update a record", "Changes the record with a key, or creates it.", upsert)
            .idempotent()
            .input(input(json!({"object": object_input(), "external_id": external_id_input("Which record."), "fields": fields_input(),
                "update_only": {"type": "boolean", "default": false, "title": "Only update", "description": "Never creates a record."}, "allow_duplicates": duplicates}), &["object", "external_id", "fields"]))
            .output(written)
            .sample(json!({"id": "001xx000003DGb1AAG", "created": false}))
            .shaped(writes),
        Action::new("get", "Get a record", "Reads one record by its id or by a key; null when there is none.", get)
            .reads()
            .input(input(json!({"object": object_input(), "id": id_input(), "external_id": external_id_input("In place of the id."),
                "fields": {"type": "array", "items": {"type": "string"}, "title": "Fields", "description": "All when left out."}}), &["object"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["record"], "properties": {"record": {"type": ["object", "null"]}}}))
            .sample(json!({"record": {"Id": "001xx000003DGb1AAG", "Name": "Acme"}}))
            .shaped(Shaped::by("object").names(&["fields"]).gives("record")),
        Action::new("delete", "Delete a record", "Puts one record into the recycle bin.", delete)
            .idempotent()
            .input(input(json!({"object": object_input(), "id": id_input(),
                "ignore_missing": {"type": "boolean", "default": false, "title": "Ignore if missing", "description": "A record that is gone already is fine."}}), &["object", "id"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["deleted"], "properties": {"deleted": {"type": "boolean", "description": "False when it was gone before."}}}))
            .sample(json!({"deleted": true})),
    ]
}

/// A field that tells records apart, with its value.
fn external_id_input(description: &str) -> Json {
    let description = format!(
        "{description} An external id field, or another that Salesforce looks records up by, and its value: {{\"External_Id__c\": \"C-1\"}}."
    );
    json!({"type": "object", "title": "External id", "description": description, "minProperties": 1, "maxProperties": 1,
        "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_]{0,79}$"}, "additionalProperties": {"type": ["string", "number"]}})
}

fn fields(given: &Json, name: &str) -> Map<String, Json> {
    given.get(name).and_then(Json::as_object).cloned().unwrap_or_default()
}

/// The headers a write may carry.
fn options<'a>(call: Call<'a>, given: &Json) -> Call<'a> {
    let call = if flag(given, "allow_duplicates") { call.header(DUPLICATE_RULE, "allowSave=true") } else { call };
    match text(given, "assignment_rule") {
        "" => call,
        rule => call.header(AUTO_ASSIGN, rule),
    }
}

async fn create(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let (object, mut fields) = (text(&given, "object"), fields(&given, "fields"));
    let key_field = text(&given, "dedupe_key");
    if !key_field.is_empty() {
        let own = fields.keys().find(|name| name.eq_ignore_ascii_case(key_field)).cloned();
        let value = own.and_then(|name| fields.shift_remove(&name)).and_then(|value| key_text(&value));
        let value = value.unwrap_or_else(|| cx.idempotency_key.to_string());
        return upserted(&api, &given, (object, key_field, &value), fields, false).await;
    }
    let call = api.call(Method::POST, api.url(&["sobjects", object])).json(&Json::Object(fields));
    let answer = api.send(options(call, &given)).await?;
    let body = answer.json()?;
    let id = body["id"].as_str().ok_or_else(|| answer.unreadable("it holds no id"))?;
    Ok(json!({ "id": id, "created": true }))
}

async fn update(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let (object, id) = (text(&given, "object"), text(&given, "id"));
    let call = api.call(Method::PATCH, api.url(&["sobjects", object, id])).json(&Json::Object(fields(&given, "fields")));
    let mut call = options(call, &given);
    if let Some(since) = given.get("only_if_unmodified_since").and_then(Json::as_str) {
        let moment = http_date(since).ok_or_else(|| {
            invalid("INPUT_INVALID", format!("\"{since}\" is no date and time"), "Write it like 2026-01-02T03:04:05Z.")
        })?;
        call = call.header(UNMODIFIED, &moment);
    }
    api.nothing(call).await?;
    Ok(json!({ "id": id }))
}

async fn upsert(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let (field, key) = external_id(&given)?.ok_or_else(key_empty)?;
    let fields = fields(&given, "fields");
    upserted(&api, &given, (text(&given, "object"), field, &key), fields, flag(&given, "update_only")).await
}

/// The one field and value of `external_id`; nothing when it is left out.
fn external_id(given: &Json) -> Result<Option<(&str, String)>, StepError> {
    let Some(pairs) = given.get("external_id").and_then(Json::as_object) else { return Ok(None) };
    let mut pairs = pairs.iter();
    match (pairs.next(), pairs.next()) {
        (Some((field, value)), None) => {
            let key = key_text(value).filter(|key| !key.is_empty()).ok_or_else(key_empty)?;
            Ok(Some((name(field)?, key)))
        }
        _ => Err(invalid(
            "INPUT_INVALID",
            "external_id names no field or several",
            "Give one field and its value: external_id: { External_Id__c: C-1 }.",
        )),
    }
}

fn key_empty() -> StepError {
    invalid(
        "KEY_EMPTY",
        "the external id is empty, so it is not clear which record is meant",
        "Give it a value, or skip records without one.",
    )
}

async fn upserted(
    api: &Api<'_>,
    given: &Json,
    (object, field, key): (&str, &str, &str),
    mut fields: Map<String, Json>,
    update_only: bool,
) -> Result<Json, StepError> {
    // The key stands in the address; in the body it would be refused.
    fields.retain(|name, _| !name.eq_ignore_ascii_case(field));
    if !can_be_in_address(key) {
        return upserted_by_body(api, given, (object, field, key), fields, update_only).await;
    }
    let call = api.call(Method::PATCH, api.url(&["sobjects", object, field, key])).json(&Json::Object(fields));
    let call = if update_only { call.query([("updateOnly", "true")]) } else { call };
    let answer = api.send(options(call, given)).await?;
    let body = answer.json()?;
    match (body["id"].as_str(), body["created"].as_bool()) {
        (Some(id), Some(created)) => Ok(json!({ "id": id, "created": created })),
        _ => Err(answer.unreadable("it does not tell the record")),
    }
}

/// False for a key that ends like a file or is a step of a path.
fn can_be_in_address(key: &str) -> bool {
    let ending = key.rsplit_once('.').map(|(_, ending)| ending);
    !matches!(key, "." | "..") && !ending.is_some_and(|ending| FORMATS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The same with the key where it is only a value: in a collection of one record, or in a query.
async fn upserted_by_body(
    api: &Api<'_>,
    given: &Json,
    (object, field, key): (&str, &str, &str),
    mut fields: Map<String, Json>,
    update_only: bool,
) -> Result<Json, StepError> {
    if update_only {
        let id = found(api, (object, field, key)).await?.ok_or_else(|| told("NOT_FOUND"))?;
        let call = api.call(Method::PATCH, api.url(&["sobjects", object, &id])).json(&Json::Object(fields));
        api.nothing(options(call, given)).await?;
        return Ok(json!({ "id": id, "created": false }));
    }
    fields.insert("attributes".to_owned(), json!({ "type": object }));
    fields.insert(field.to_owned(), json!(key));
    let url = api.url(&["composite", "sobjects", object, field]);
    let call = api.call(Method::PATCH, url).json(&json!({ "allOrNone": false, "records": [fields] }));
    let answer = api.send(options(call, given)).await?;
    let body = answer.json()?;
    let result = &body[0];
    match (result["success"] == true, result["id"].as_str(), result["created"].as_bool(), result["errors"].get(0)) {
        (true, Some(id), Some(created), _) => Ok(json!({ "id": id, "created": created })),
        (false, .., Some(error)) => {
            Err(answer.describe(of_error(error, "RECORD_REFUSED", "Correct the record and run the step again.", str::to_owned)))
        }
        _ => Err(answer.unreadable("it does not tell the record")),
    }
}

/// The id of the one record with a key.
async fn found(api: &Api<'_>, (object, field, key): (&str, &str, &str)) -> Result<Option<String>, StepError> {
    let soql = format!("SELECT Id FROM {} WHERE {field} = {} LIMIT 2", name(object)?, quoted(key));
    let found = records(api, &ask(api, "query", &soql).await?, None).await?.items;
    if found.len() > 1 {
        return Err(told("DUPLICATE_EXTERNAL_ID"));
    }
    Ok(found.first().and_then(|record| record["Id"].as_str()).map(str::to_owned))
}

/// The failure that a code of Salesforce's stands for, where we see it ourselves.
fn told(code: &str) -> StepError {
    of_error(&json!({ "errorCode": code }), code, "", str::to_owned)
}

async fn get(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let (object, id) = (text(&given, "object"), text(&given, "id"));
    let url = match (id, external_id(&given)?) {
        (id, None) if !id.is_empty() => api.url(&["sobjects", object, id]),
        ("", Some((field, key))) if can_be_in_address(&key) => api.url(&["sobjects", object, field, &key]),
        ("", Some((field, key))) => match found(&api, (object, field, &key)).await? {
            Some(id) => api.url(&["sobjects", object, &id]),
            None => return Ok(json!({ "record": null })),
        },
        _ => {
            return Err(invalid("INPUT_INVALID", "it is not clear which record is meant", "Give either id or external_id."));
        }
    };
    let fields: Vec<&str> = given.get("fields").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let mut call = api.call(Method::GET, url).accepts(&[404]);
    if !fields.is_empty() {
        call = call.query([("fields", fields.join(","))]);
    }
    let answer = api.send(call).await?;
    let record = if missing(&answer)? { Json::Null } else { bare(answer.json()?) };
    Ok(json!({ "record": record }))
}

async fn delete(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let accepted: &[u16] = if flag(&given, "ignore_missing") { &[404] } else { &[] };
    let call = api.call(Method::DELETE, api.url(&["sobjects", text(&given, "object"), text(&given, "id")])).accepts(accepted);
    let answer = match api.send(call).await {
        // A try whose answer was lost has done it already: that is what was wanted. Without such a try it is somebody else's doing.
        Err(error) if error.code == IN_BIN && cx.in_doubt => return Ok(json!({ "deleted": true })),
        answer => answer?,
    };
    if missing(&answer)? {
        let in_bin = answer.peek().is_some_and(|body| body[0]["errorCode"] == IN_BIN);
        return Ok(json!({ "deleted": in_bin && cx.in_doubt }));
    }
    if answer.body.is_empty() { Ok(json!({ "deleted": true })) } else { Err(answer.unreadable("an empty answer was expected")) }
}

/// A key as it stands in an address.
pub(super) fn key_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A moment as HTTP writes it.
fn http_date(text: &str) -> Option<String> {
    let seconds = super::filter::moment_s(text)?;
    let moment = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(u64::try_from(seconds).ok()?))?;
    Some(httpdate::fmt_http_date(moment))
}
