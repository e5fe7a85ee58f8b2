//! Many records at once: import sets and batches.

use std::{sync::Arc, time::Duration};

use ::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use connector::{Action, Cx, Doubt, Effect, ErrorClass, Shaped, StepError};
use serde_json::{Map, Value as Json, json};

use super::{
    action,
    api::{Api, Ask, as_text, checked_id, checked_table, flag, invalid, own_id, word},
    dictionary::Dictionary,
    records::{id_schema, input, table_schema},
};

/// Rows sent one by one in one step.
const SINGLE_ROWS_MAX: usize = 200;
/// Rows of one `insertMultiple`.
const ROWS_MAX: usize = 5_000;
/// Longest body of one call; instances refuse more than 10 MB.
const BODY_BYTES_MAX: usize = 9_000_000;
/// Items of one batch.
const ITEMS_MAX: usize = 100;
/// How often items that a batch left over are sent again.
const ROUNDS_MAX: usize = 5;
/// Pause between two looks at an import set.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time kept back to read the results.
const KEPT_BACK: Duration = Duration::from_secs(5);

pub(super) fn actions(dictionary: &Arc<Dictionary>) -> Vec<Action> {
    let row = json!({"type": "object", "additionalProperties": true});
    let outcome = json!({"type": "object", "required": ["row", "status"], "properties": {
        "row": {"type": "integer", "description": "Its place among the rows, from 0."},
        "status": {"type": "string", "description": "inserted, updated, ignored, skipped, error, pending or untold."},
        "table": {"type": "string"}, "sys_id": {"type": "string"}, "message": {"type": "string"}
    }});
    let imported = json!({"type": "object", "required": ["rows", "inserted", "updated", "ignored", "errors"], "properties": {
        "import_set": {"type": "string"}, "rows": {"type": "array", "items": outcome},
        "inserted": {"type": "integer"}, "updated": {"type": "integer"}, "ignored": {"type": "integer"}, "errors": {"type": "integer"}, "pending": {"type": "integer"},
        "untold": {"type": "integer", "description": "Rows of which the instance does not tell what became of them."}
    }});
    let written = json!({"type": "object", "required": ["items", "failed"], "properties": {
        "items": {"type": "array", "items": {"type": "object", "required": ["item", "status", "ok"], "properties": {
            "item": {"type": "integer"}, "status": {"type": "integer", "description": "The HTTP status of the item."}, "ok": {"type": "boolean"}, "sys_id": {"type": "string"}, "message": {"type": "string"}
        }}}, "failed": {"type": "integer"}
    }});
    vec![
        action(dictionary, "import_rows", "Import rows", "Sends rows through a staging table and its transform maps, and tells what became of each.", import)
            .effect(|input| if flag(input, "coalesces", false) { Effect::Idempotent } else { Effect::Once })
            .input(input(
                json!({
                    "staging_table": table_schema(),
                    "rows": {"type": "array", "items": row, "minItems": 1, "maxItems": ROWS_MAX, "title": "Rows", "description": "Values by column name of the staging table. Only texts arrive whole."},
                    "mode": {"type": "string", "enum": ["single", "multiple"], "default": "single", "title": "Mode", "description": "single: one call a row, with its result at once, up to 200 rows. multiple: one call for all rows, which the instance works off on its own."},
                    "wait": {"type": "boolean", "default": true, "title": "Wait for the results", "description": "For multiple."},
                    "endpoint_takes": {"type": "string", "enum": ["labels", "names"], "default": "labels", "title": "Keys of insertMultiple", "description": "For multiple: column labels, unless a record of sys_rest_insert_multiple for the table says column names."},
                    "coalesces": {"type": "boolean", "default": false, "title": "The map finds existing records", "description": "True when a transform map coalesces on a key: sending rows again then changes nothing, and the step may be tried again."},
                    "fail_on_errors": {"type": "boolean", "default": false, "title": "Errors fail the step", "description": "Otherwise the rows with errors are told in the output."}
                }),
                &["staging_table", "rows"],
            ))
            .output(imported)
            .sample(json!({"import_set": "ISET0010001", "rows": [{"row": 0, "status": "inserted", "table": "sys_user", "sys_id": "ea2bc8f0c0a8016401c5a33be04be441"}], "inserted": 1, "updated": 0, "ignored": 0, "errors": 0, "pending": 0, "untold": 0}))
            .shaped(Shaped::by("staging_table").writes("rows[]")),
        action(dictionary, "batch_write", "Write many records", "Creates, updates and deletes up to 100 records in one call. It is no transaction: each item succeeds or fails for itself.", batch)
            .effect(|input| {
                let items = input["items"].as_array();
                let tells = |item: &Json| ["comments", "work_notes"].iter().any(|name| item["fields"].get(name).is_some());
                if items.into_iter().flatten().any(tells) { Effect::Once } else { Effect::Idempotent }
            })
            .input(input(
                json!({"items": {"type": "array", "minItems": 1, "maxItems": ITEMS_MAX, "title": "Items", "items": input(
                    json!({
                        "method": {"type": "string", "enum": ["create", "update", "delete"], "title": "What to do"},
                        "table": table_schema(), "sys_id": id_schema(), "fields": {"type": "object", "title": "Fields", "additionalProperties": true}
                    }),
                    &["method", "table"],
                )}}),
                &["items"],
            ))
            .output(written)
            .sample(json!({"items": [{"item": 0, "status": 200, "ok": true, "sys_id": "46e18c0fa9fe19810066a0083f76bd56"}], "failed": 0})),
    ]
}

async fn import(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let staging = checked_table(word(&input, "staging_table"))?;
    let rows = input["rows"].as_array().cloned().unwrap_or_default();
    let rows: Vec<Map<String, Json>> = rows
        .iter()
        .map(|row| row.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), json!(as_text(value)))).collect())
        .collect();
    if let Some(table) = dictionary.table(&api, staging).await? {
        for name in rows.iter().flat_map(Map::keys).collect::<std::collections::BTreeSet<_>>() {
            dictionary.field(&api, &table, name).await?;
        }
    }
    let (set, outcomes) = if word(&input, "mode") == "multiple" {
        multiple(&dictionary, &api, staging, &rows, &input).await?
    } else {
        single(&api, staging, &rows).await?
    };
    told(set, outcomes, flag(&input, "fail_on_errors", false))
}

fn told(set: String, outcomes: Vec<Json>, fail: bool) -> Result<Json, StepError> {
    let count =
        |status: &[&str]| outcomes.iter().filter(|row| status.contains(&row["status"].as_str().unwrap_or_default())).count();
    let (errors, ignored) = (count(&["error"]), count(&["ignored", "skipped"]));
    if fail && errors > 0 {
        let first = outcomes.iter().find(|row| row["status"] == "error");
        let first = first
            .map(|row| format!("row {}: {}", row["row"], row["message"].as_str().unwrap_or("no reason told")))
            .unwrap_or_default();
        let message = format!("{errors} of {} rows were refused by the import; {first}", outcomes.len());
        return Err(StepError::new(ErrorClass::Partial, "ROWS_REFUSED", message)
            .with_next("Correct these rows and import them alone; the others are done."));
    }
    let (inserted, updated, pending) = (count(&["inserted"]), count(&["updated"]), count(&["pending"]));
    let untold = count(&["untold"]);
    Ok(
        json!({"import_set": set, "rows": outcomes, "inserted": inserted, "updated": updated, "ignored": ignored, "errors": errors, "pending": pending, "untold": untold}),
    )
}

async fn single(api: &Api<'_>, staging: &str, rows: &[Map<String, Json>]) -> Result<(String, Vec<Json>), StepError> {
    if rows.len() > SINGLE_ROWS_MAX {
        let message = format!("{} rows are too many to send one by one; {SINGLE_ROWS_MAX} are allowed", rows.len());
        return Err(invalid("TOO_MANY_ROWS", message).with_next("Use the mode multiple, or split the rows."));
    }
    let mut set = String::new();
    let mut outcomes = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let call = api.call(Method::POST, &["api", "now", "import", staging]).json(&json!(row));
        let sent = async { api.send(call).await?.json() };
        let body = sent.await.map_err(|error| StepError {
            // The rows before it are done.
            doubt: if place > 0 { Doubt::MayHaveHappened } else { error.doubt },
            ..error
        })?;
        set = word(&body, "import_set").to_owned();
        let results = body["result"].as_array().cloned().unwrap_or_default();
        // Several maps give several results; the worst tells of the row.
        let worst = results.iter().find(|one| one["status"] == "error").or(results.first());
        let Some(one) = worst else {
            outcomes.push(json!({"row": place, "status": "ignored", "message": "no transform map applies"}));
            continue;
        };
        let message = ["error_message", "status_message"]
            .iter()
            .map(|name| word(one, name))
            .find(|text| !text.is_empty())
            .unwrap_or_default();
        outcomes.push(json!({"row": place, "status": word(one, "status"), "table": word(one, "table"), "sys_id": word(one, "sys_id"), "message": message}));
    }
    Ok((set, outcomes))
}

async fn multiple(
    dictionary: &Dictionary,
    api: &Api<'_>,
    staging: &str,
    rows: &[Map<String, Json>],
    input: &Json,
) -> Result<(String, Vec<Json>), StepError> {
    let mut records: Vec<Map<String, Json>> = rows.to_vec();
    if word(input, "endpoint_takes") != "names"
        && let Some(table) = dictionary.table(api, staging).await?
    {
        let label = |name: String| table.fields.get(&name).map_or(name, |field| field.label.clone());
        records = records.into_iter().map(|row| row.into_iter().map(|(name, value)| (label(name), value)).collect()).collect();
    }
    let body = json!({"records": records});
    if body.to_string().len() > BODY_BYTES_MAX {
        return Err(invalid("TOO_MANY_ROWS", "the rows together are larger than ServiceNow takes in one call")
            .with_next("Split the rows into smaller steps."));
    }
    let answer = api.send(api.call(Method::POST, &["api", "now", "import", staging, "insertMultiple"]).json(&body)).await?;
    let body = answer.json()?;
    let set = checked_id(word(&body, "import_set_id")).map_err(|_| answer.unreadable("it names no import set"))?.to_owned();
    let pending = |place: usize| json!({"row": place, "status": "pending"});
    if !flag(input, "wait", true) || !processed(api, &set).await? {
        return Ok((set, (0..rows.len()).map(pending).collect()));
    }
    let told = outcomes(api, &set).await.map_err(|error| StepError { doubt: Doubt::MayHaveHappened, ..error })?;
    Ok((set, of_each(rows.len(), told)))
}

/// One outcome for each row at least: rows that the instance tells nothing of are told as such.
fn of_each(count: usize, mut told: Vec<Json>) -> Vec<Json> {
    let known: std::collections::HashSet<u64> = told.iter().filter_map(|row| row["row"].as_u64()).collect();
    let silent = (0..count).filter(|place| !known.contains(&(*place as u64)));
    let silent =
        silent.map(|place| json!({"row": place, "status": "untold", "message": "the instance does not tell what became of it"}));
    told.extend(silent);
    told.sort_by_key(|row| row["row"].as_u64());
    told
}

/// Waits until the instance has worked the set off, as long as the attempt has time.
async fn processed(api: &Api<'_>, set: &str) -> Result<bool, StepError> {
    let fields = ["state".to_owned()];
    let query = format!("sys_id={set}");
    loop {
        let ask = Ask { table: "sys_import_set", query: &query, fields: &fields, limit: 1, offset: 0, display: false };
        let found = api.rows(&ask).await.map_err(|error| StepError { doubt: Doubt::MayHaveHappened, ..error })?;
        match found.rows.first().map(|row| word(row, "state")) {
            Some("processed" | "cancelled") => return Ok(true),
            _ if api.cx.left() < KEPT_BACK => return Ok(false),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

async fn outcomes(api: &Api<'_>, set: &str) -> Result<Vec<Json>, StepError> {
    let fields = ["sys_import_row", "sys_import_state", "sys_target_sys_id", "sys_target_table", "sys_import_state_comment"]
        .map(str::to_owned);
    let query = format!("sys_import_set={set}^ORDERBYsys_import_row");
    let (mut rows, mut offset, mut more) = (Vec::new(), 0, true);
    while more {
        let limit = ROWS_MAX as u64;
        let ask = Ask { table: "sys_import_set_row", query: &query, fields: &fields, limit, offset, display: false };
        let mut found = api.rows(&ask).await?;
        more = found.more(offset);
        offset += found.limit;
        rows.append(&mut found.rows);
    }
    let row = |row: &Json| {
        json!({
            "row": word(row, "sys_import_row").parse::<u64>().unwrap_or_default(),
            "status": word(row, "sys_import_state"),
            "table": word(row, "sys_target_table"),
            "sys_id": word(row, "sys_target_sys_id"),
            "message": word(row, "sys_import_state_comment"),
        })
    };
    Ok(rows.iter().map(row).collect())
}

async fn batch(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let items = input["items"].as_array().cloned().unwrap_or_default();
    let mut waiting = Vec::new();
    for (place, item) in items.iter().enumerate() {
        waiting.push(request(&dictionary, &api, place, item).await?);
    }
    let mut outcomes: Vec<Json> = (0..items.len())
        .map(|place| json!({"item": place, "status": 0, "ok": false, "message": "the batch left it over"}))
        .collect();
    // What a round did stays done, whatever becomes of the next.
    let in_doubt = |error: StepError| StepError { doubt: Doubt::MayHaveHappened, ..error };
    for number in 0..ROUNDS_MAX {
        if waiting.is_empty() {
            break;
        }
        let done = round(&api, &waiting).await.map_err(|error| if number > 0 { in_doubt(error) } else { error })?;
        waiting.retain(|request| done.iter().all(|one| one["id"] != request["id"]));
        for one in done {
            let Some(place) = word(&one, "id").parse::<usize>().ok().filter(|place| *place < items.len()) else { continue };
            outcomes[place] = outcome(&api, place, &items[place], &one).await.map_err(in_doubt)?;
        }
    }
    let failed = outcomes.iter().filter(|one| one["ok"] == false).count();
    Ok(json!({"items": outcomes, "failed": failed}))
}

fn item_id(cx: &Cx, place: usize, item: &Json) -> String {
    match item["fields"].get("sys_id").and_then(Json::as_str) {
        Some(id) => id.to_owned(),
        None => own_id(cx, &["batch", &place.to_string()]),
    }
}

async fn request(dictionary: &Dictionary, api: &Api<'_>, place: usize, item: &Json) -> Result<Json, StepError> {
    let table = checked_table(word(item, "table"))?;
    let query = "sysparm_exclude_reference_link=true&sysparm_fields=sys_id";
    let mut body = dictionary.body(api, table, &item["fields"], false).await?;
    let (method, url) = match word(item, "method") {
        "create" => {
            body.insert("sys_id".to_owned(), json!(checked_id(&item_id(api.cx, place, item))?));
            ("POST", format!("/api/now/table/{table}?{query}"))
        }
        "update" => ("PATCH", format!("/api/now/table/{table}/{}?{query}", checked_id(word(item, "sys_id"))?)),
        _ => ("DELETE", format!("/api/now/table/{table}/{}", checked_id(word(item, "sys_id"))?)),
    };
    let headers = json!([{"name": "Content-Type", "value": "application/json"}, {"name": "Accept", "value": "application/json"}]);
    let mut request =
        json!({"id": place.to_string(), "method": method, "url": url, "headers": headers, "exclude_response_headers": true});
    if method != "DELETE" {
        request["body"] = json!(STANDARD.encode(Json::Object(body).to_string()));
    }
    Ok(request)
}

async fn round(api: &Api<'_>, waiting: &[Json]) -> Result<Vec<Json>, StepError> {
    let body = json!({"batch_request_id": "1", "rest_requests": waiting});
    let answer = api.send(api.call(Method::POST, &["api", "now", "v1", "batch"]).json(&body)).await?;
    let body = answer.json()?;
    body["serviced_requests"].as_array().cloned().ok_or_else(|| answer.unreadable("it holds no list of serviced requests"))
}

async fn outcome(api: &Api<'_>, place: usize, item: &Json, one: &Json) -> Result<Json, StepError> {
    let status = one["status_code"].as_u64().unwrap_or_default();
    let body =
        STANDARD.decode(word(one, "body")).ok().and_then(|body| serde_json::from_slice::<Json>(&body).ok()).unwrap_or_default();
    let method = word(item, "method");
    let mut id = body["result"]["sys_id"].as_str().unwrap_or(word(item, "sys_id")).to_owned();
    // Gone before, or there already from an earlier attempt: what was wanted is so.
    let mut ok = (200..300).contains(&status) || (method == "delete" && status == 404);
    if !ok && method == "create" && matches!(status, 400 | 403) {
        let own = item_id(api.cx, place, item);
        let found = super::records::only(api, checked_table(word(item, "table"))?, &format!("sys_id={own}")).await?;
        ok = found.is_some() && item["fields"].get("sys_id").is_none();
        if ok {
            id = own;
        }
    }
    let message =
        ["detail", "message"].iter().map(|name| word(&body["error"], name)).find(|text| !text.is_empty()).unwrap_or_default();
    Ok(json!({"item": place, "status": status, "ok": ok, "sys_id": id, "message": if ok { "" } else { message }}))
}
