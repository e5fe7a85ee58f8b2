//! Records one by one.

use std::time::Duration;

use ::http::Method;
use connector::{Action, Cx, Effect, ErrorClass, Shaped, StepError};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    api::{self, invalid, key, needed, text, without_links, written},
    suiteql,
};

/// An external id of our own: the same in every attempt of a step.
pub(super) fn own_external(cx: &Cx) -> String {
    format!("lia-{}", &hex::encode(Sha256::digest(cx.idempotency_key.as_bytes()))[..32])
}

/// The fields of a step, with its sublists.
fn fields(input: &Json) -> Map<String, Json> {
    input.get("fields").and_then(Json::as_object).cloned().unwrap_or_default()
}

/// Sublists among the fields: `item` of `{"item": {"items": […]}}`.
fn sublists(fields: &Map<String, Json>) -> Vec<&str> {
    fields.iter().filter(|(_, value)| value.get("items").is_some_and(Json::is_array)).map(|(name, _)| name.as_str()).collect()
}

/// Rows without a key are appended again by every repetition, unless the sublist is replaced.
fn replace(fields: &Map<String, Json>) -> Vec<(&'static str, String)> {
    let names = sublists(fields);
    if names.is_empty() { Vec::new() } else { vec![("replace", names.join(","))] }
}

fn merged(one: Json, more: &[(&str, Json)]) -> Json {
    let mut out = one;
    for (name, value) in more {
        out[*name] = value.clone();
    }
    out
}

async fn create(cx: Cx, input: Json) -> Result<Json, StepError> {
    let kind = needed(&input, "type")?;
    let mut fields = fields(&input);
    if let Some(external) = text(&input, "external_id") {
        fields.insert("externalId".to_owned(), json!(external));
        let answer = api::call(&cx, Method::POST, api::record_url(&cx, &[kind])?, &[], Some(&Json::Object(fields))).await?;
        return Ok(merged(written(&answer)?, &[("external_id", json!(external))]));
    }
    // Under an external id of our own, the same record is written whenever this is repeated.
    let external = own_external(&cx);
    let url = api::record_url(&cx, &[kind, &format!("eid:{external}")])?;
    let query = replace(&fields);
    let answer = api::call(&cx, Method::PUT, url, &query, Some(&Json::Object(fields))).await?;
    Ok(merged(written(&answer)?, &[("external_id", json!(external))]))
}

async fn upsert(cx: Cx, input: Json) -> Result<Json, StepError> {
    let (kind, external) = (needed(&input, "type")?, needed(&input, "external_id")?);
    let fields = fields(&input);
    let url = api::record_url(&cx, &[kind, &format!("eid:{external}")])?;
    let query = replace(&fields);
    let answer = api::call(&cx, Method::PUT, url, &query, Some(&Json::Object(fields))).await?;
    Ok(merged(written(&answer)?, &[("external_id", json!(external))]))
}

async fn update(cx: Cx, input: Json) -> Result<Json, StepError> {
    let (kind, key) = (needed(&input, "type")?, key(&input)?);
    let fields = fields(&input);
    let replaced = input.get("replace_sublists") == Some(&json!(true));
    let query = if replaced { replace(&fields) } else { Vec::new() };
    let answer = api::call(&cx, Method::PATCH, api::record_url(&cx, &[kind, &key])?, &query, Some(&Json::Object(fields))).await?;
    written(&answer)
}

async fn lines(cx: Cx, input: Json) -> Result<Json, StepError> {
    let (kind, key, sublist) = (needed(&input, "type")?, key(&input)?, needed(&input, "sublist")?);
    let mut body = Map::new();
    body.insert(sublist.to_owned(), json!({ "items": input["rows"] }));
    let query: Vec<(&str, String)> =
        if input.get("replace") == Some(&json!(true)) { vec![("replace", sublist.to_owned())] } else { Vec::new() };
    let answer = api::call(&cx, Method::PATCH, api::record_url(&cx, &[kind, &key])?, &query, Some(&Json::Object(body))).await?;
    written(&answer)
}

/// A record, with its sublists when they are wanted.
pub(super) async fn read(cx: &Cx, kind: &str, key: &str, expand: bool, only: &[&str]) -> Result<Json, StepError> {
    let mut query = Vec::new();
    if !only.is_empty() {
        query.push(("fields", only.join(",")));
    } else if expand {
        query.push(("expandSubResources", "true".to_owned()));
    }
    let answer = api::call(cx, Method::GET, api::record_url(cx, &[kind, key])?, &query, None).await?;
    let record = without_links(answer.json()?);
    if record.get("id").is_none() {
        return Err(answer.unreadable("it is no record"));
    }
    Ok(record)
}

async fn get(cx: Cx, input: Json) -> Result<Json, StepError> {
    let only: Vec<&str> = input.get("fields").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let expand = input.get("with_sublists") != Some(&json!(false));
    read(&cx, needed(&input, "type")?, &key(&input)?, expand, &only).await
}

async fn delete(cx: Cx, input: Json) -> Result<Json, StepError> {
    let url = api::record_url(&cx, &[needed(&input, "type")?, &key(&input)?])?;
    match api::call(&cx, Method::DELETE, url, &[], None).await {
        Ok(answer) if answer.status.as_u16() == 204 => Ok(json!({ "deleted": true })),
        // A page of a gateway is no answer of NetSuite.
        Ok(answer) => Err(answer.json().err().unwrap_or_else(|| answer.unreadable("nothing was expected"))),
        // Done by an earlier try whose answer was lost, or by somebody else.
        Err(error) if error.code == "NONEXISTENT_ID" => Ok(json!({ "deleted": cx.in_doubt })),
        Err(error) => Err(error),
    }
}

async fn find_or_create(cx: Cx, input: Json) -> Result<Json, StepError> {
    let (table, code) = suiteql::table(needed(&input, "type")?)?;
    let mut conditions = suiteql::conditions(&input)?;
    if conditions.is_empty() {
        return Err(invalid("\"filters\" must say how the record is found"));
    }
    conditions.extend(code.map(|code| format!("type = '{code}'")));
    let found = suiteql::rows(&cx, &format!("SELECT id FROM {table} WHERE {} ORDER BY id", conditions.join(" AND "))).await?;
    match found.as_slice() {
        [] => {
            let made = create(cx, input).await?;
            Ok(merged(made, &[("created_now", json!(true))]))
        }
        [one] => Ok(json!({ "id": one["id"], "created_now": false })),
        many => Err(StepError::new(
            ErrorClass::Conflict,
            "SEVERAL_FOUND",
            format!("{} records fit, and it is not clear which is meant", many.len()),
        )
        .with_next("Make the filters say more, so that one record fits at most.")),
    }
}

async fn transform(cx: Cx, input: Json) -> Result<Json, StepError> {
    let (kind, to) = (needed(&input, "type")?, needed(&input, "target")?);
    let mut body = fields(&input);
    let external = text(&input, "target_external_id").map_or_else(|| own_external(&cx), ToOwned::to_owned);
    body.insert("externalId".to_owned(), json!(external));
    let url = api::record_url(&cx, &[kind, &key(&input)?, "!transform", to])?;
    match api::call(&cx, Method::POST, url, &[], Some(&Json::Object(body))).await {
        Ok(answer) => Ok(merged(written(&answer)?, &[("external_id", json!(external))])),
        // An earlier attempt may have done it: then the order is billed and its invoice carries our external id.
        Err(error) if matches!(error.class, ErrorClass::Conflict | ErrorClass::Invalid) => {
            match read(&cx, to, &format!("eid:{external}"), false, &["externalId"]).await {
                Ok(made) => Ok(json!({ "id": made["id"], "external_id": external })),
                Err(_) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

fn schema(properties: Json, required: &[&str]) -> Json {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn with(one: &Json, more: Json) -> Json {
    let mut all = one.as_object().cloned().unwrap_or_default();
    all.extend(more.as_object().cloned().unwrap_or_default());
    Json::Object(all)
}

pub(super) fn actions() -> Vec<Action> {
    let kind = json!({ "type": {"type": "string", "title": "Record type", "description": "Such as customer, invoice, salesOrder or customrecord_device."} });
    let one = with(
        &kind,
        json!({
            "id": {"type": "string", "title": "Internal id"},
            "external_id": {"type": "string", "title": "External id", "description": "Instead of the internal id."}
        }),
    );
    let fields = json!({ "fields": {"type": "object", "title": "Fields", "description": "Values by field name. Another record is {\"id\": \"5\"} or {\"externalId\": \"C-0001\"}, a sublist is {\"items\": […]}, null empties a field."} });
    let made = json!({"type": "object", "properties": {
        "id": {"type": "string", "title": "Internal id"}, "location": {"type": "string", "title": "Address"},
        "external_id": {"type": "string", "title": "External id"}, "created_now": {"type": "boolean", "title": "Created now"}
    }, "required": ["id"]});
    let sample = json!({ "id": "647", "location": "https://1234567.suitetalk.api.netsuite.com/services/rest/record/v1/customer/647", "external_id": "C-0061" });
    let writes = Shaped::by("type").writes("fields");
    let once_by_external = |input: &Json| if input.get("external_id").is_some() { Effect::Once } else { Effect::Idempotent };
    let update_effect = |input: &Json| {
        let appends = !sublists(&self::fields(input)).is_empty() && input.get("replace_sublists") != Some(&json!(true));
        if appends { Effect::Once } else { Effect::Idempotent }
    };
    let lines_effect = |input: &Json| {
        let keyed = input["rows"].as_array().is_some_and(|rows| rows.iter().all(|row| row.get("line").is_some()));
        if keyed || input.get("replace") == Some(&json!(true)) { Effect::Idempotent } else { Effect::Once }
    };
    vec![
        Action::new("create_record", "Create record", "Makes a record. Without an external id of yours it gets one, so that a repeated attempt makes no second record.", create)
            .effect(once_by_external).key_life(Duration::MAX)
            .input(schema(with(&with(&kind, fields.clone()), json!({ "external_id": {"type": "string", "title": "External id"} })), &["type", "fields"]))
            .output(made.clone()).sample(sample.clone()).shaped(writes),
        Action::new("update_record", "Update record", "Changes fields of a record. Rows of a sublist are merged by their line number, and appended without one.", update)
            .effect(update_effect)
            .input(schema(with(&with(&one, fields.clone()), json!({ "replace_sublists": {"type": "boolean", "default": false, "title": "Replace sublists", "description": "The given sublists take the place of the old ones."} })), &["type", "fields"]))
            .output(made.clone()).sample(sample.clone()).shaped(writes),
        Action::new("upsert_record", "Upsert record by external id", "Makes a record, or changes it when it is there. Given sublists are replaced.", upsert)
            .idempotent()
            .input(schema(with(&with(&kind, fields.clone()), json!({ "external_id": {"type": "string", "title": "External id"} })), &["type", "external_id", "fields"]))
            .output(made.clone()).sample(sample.clone()).shaped(writes),
        Action::new("get_record", "Get record", "Reads a record with its sublists. NetSuite opens it as if to edit it, so the role needs the right to edit.", get)
            .reads()
            .input(schema(with(&one, json!({
                "with_sublists": {"type": "boolean", "default": true, "title": "With sublists"},
                "fields": {"type": "array", "title": "Only these fields", "items": {"type": "string"}}
            })), &["type"]))
            .output(json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}))
            .sample(json!({ "id": "107", "externalId": "C-0001", "companyName": "Amber Analytics", "currency": { "id": "1", "refName": "US Dollar" } }))
            .shaped(Shaped::by("type").names(&["fields"]).gives("")),
        Action::new("delete_record", "Delete record", "Deletes a record; false when it was gone already.", delete)
            .idempotent()
            .input(schema(one.clone(), &["type"]))
            .output(json!({"type": "object", "properties": {"deleted": {"type": "boolean", "title": "Deleted"}}, "required": ["deleted"]}))
            .sample(json!({ "deleted": true })),
        Action::new("find_or_create", "Find or create", "Finds the one record that fits, or makes it.", find_or_create)
            .effect(once_by_external).key_life(Duration::MAX)
            .input(schema(with(&with(&kind, fields.clone()), json!({ "filters": suiteql::filters_schema(), "external_id": {"type": "string", "title": "External id of a new one"} })), &["type", "filters", "fields"]))
            .output(made.clone()).sample(json!({ "id": "107", "created_now": false })).shaped(writes),
        Action::new("transform_record", "Transform record", "Makes the next document of one: an order's invoice, an invoice's payment.", transform)
            .idempotent().key_life(Duration::MAX)
            .input(schema(with(&with(&one, fields), json!({
                "target": {"type": "string", "title": "Target type", "description": "Such as invoice, itemFulfillment, customerPayment, creditMemo."},
                "target_external_id": {"type": "string", "title": "External id of the new record"}
            })), &["type", "target"]))
            .output(made.clone()).sample(sample.clone()),
        Action::new("update_lines", "Create or update lines", "Writes rows of a sublist: merged by line number, appended without one, or in place of all.", lines)
            .effect(lines_effect)
            .input(schema(with(&one, json!({
                "sublist": {"type": "string", "title": "Sublist", "description": "Such as item, expense, addressBook."},
                "rows": {"type": "array", "title": "Rows", "items": {"type": "object"}},
                "replace": {"type": "boolean", "default": false, "title": "Replace all rows"}
            })), &["type", "sublist", "rows"]))
            .output(made).sample(sample),
    ]
}
