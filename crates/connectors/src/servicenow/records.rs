//! Records of any table: get, search, create, update, upsert, delete, count and sum.

use std::{sync::Arc, time::Duration};

use ::http::Method;
use connector::{Action, Cx, Effect, ErrorClass, Page, Shaped, StepError, whole};
use serde_json::{Map, Value as Json, json};

use super::{
    action,
    api::{self, Api, Ask, checked_id, flag, invalid, own_id, result, word, words},
    dictionary::Dictionary,
    filter::{self, Filter},
};

/// Records of one page.
const PAGE: u64 = 1_000;
/// Records held at once; more are gone through as a stream.
const HELD_MAX: usize = 10_000;
/// Fields that add to a log instead of being replaced: writing them twice tells a thing twice.
const JOURNALS: [&str; 2] = ["comments", "work_notes"];

/// JSON Schema of a table's name.
pub(super) fn table_schema() -> Json {
    json!({"type": "string", "title": "Table", "description": "Technical name, such as incident.", "minLength": 1})
}

/// JSON Schema of a record's id.
pub(super) fn id_schema() -> Json {
    json!({"type": "string", "title": "Record", "description": "The sys_id of the record."})
}

fn fields_schema() -> Json {
    json!({"type": "object", "title": "Fields", "description": "Values by technical name; empty or null clears a field. Times in UTC.", "additionalProperties": true})
}

fn wanted_schema() -> Json {
    json!({"type": "array", "items": {"type": "string"}, "title": "Fields", "description": "The fields to get, all when left out. A dot leads into the record a reference points to: caller_id.email."})
}

fn shown_schema() -> Json {
    json!({"type": "boolean", "default": false, "title": "Values as people see them", "description": "The values are labels, names and local times, as in forms. A name that several records have is refused by ServiceNow without a word, so sys_ids are safer."})
}

/// JSON Schema of a record.
pub(super) fn record_schema() -> Json {
    json!({"type": "object", "title": "Record", "description": "Values by field; beside references, choices and lists what people see, as name_display.", "additionalProperties": true})
}

pub(super) fn sample() -> Json {
    json!({
        "sys_id": "46e18c0fa9fe19810066a0083f76bd56", "number": "INC0010075", "short_description": "Printer on fire",
        "state": 2, "state_display": "In Progress", "caller_id": "6816f79cc0a8016401c5a33be04be441",
        "caller_id_display": "System Administrator", "active": true, "sys_mod_count": 3, "sys_updated_on": "2026-01-02T03:04:05Z"
    })
}

/// A strict JSON Schema of an input.
pub(super) fn input(properties: Json, required: &[&str]) -> Json {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

pub(super) const READS: Shaped = Shaped::by("table").names(&["fields", "filter[].field", "filter[].any[].field"]);
const WRITES: Shaped = Shaped::by("table").names(&["filter[].field", "filter[].any[].field"]).writes("fields").gives("");

pub(super) fn actions(dictionary: &Arc<Dictionary>) -> Vec<Action> {
    let list = json!({
        "type": "object", "required": ["count", "records"],
        "properties": {"count": {"type": "integer"}, "records": {"type": "array", "items": record_schema()}}
    });
    let kept = Arc::clone(dictionary);
    vec![
        action(dictionary, "get_record", "Get a record", "Gets one record by its sys_id, or the only one a filter finds.", get)
            .reads()
            .input(input(json!({"table": table_schema(), "sys_id": id_schema(), "filter": filter::schema(), "fields": wanted_schema()}), &["table"]))
            .output(record_schema())
            .sample(sample())
            .shaped(READS.gives("")),
        action(dictionary, "search_records", "Search records", "Gets the records a filter finds, page by page or all at once.", search)
            .reads()
            .input(search_schema())
            .output(list)
            .sample(json!({"count": 1, "records": [sample()]}))
            .shaped(READS.gives("records[]"))
            .pages(move |cx, input, cursor| page(Arc::clone(&kept), cx, input, cursor)),
        action(dictionary, "create_record", "Create a record", "Creates a record, once however often the step is tried.", create)
            .effect(create_effect)
            .key_life(Duration::MAX)
            .input(input(
                json!({
                    "table": table_schema(), "fields": fields_schema(), "values_are_shown": shown_schema(),
                    "idempotency": {"type": "string", "enum": ["sys_id", "correlation", "none"], "default": "sys_id", "title": "Protection from doubles", "description": "sys_id: the record gets an id made of the run and step. correlation: correlation_id holds a key of ours, for tables whose rules forbid a sys_id of one's own. none: a repeated step may create it twice."}
                }),
                &["table", "fields"],
            ))
            .output(record_schema())
            .sample(sample())
            .shaped(WRITES),
        action(dictionary, "update_record", "Update a record", "Changes fields of one record, by its sys_id or the only one a filter finds.", update)
            .effect(update_effect)
            .input(input(
                json!({
                    "table": table_schema(), "sys_id": id_schema(), "filter": filter::schema(), "fields": fields_schema(), "values_are_shown": shown_schema(),
                    "expected_updates": {"type": "integer", "minimum": 0, "title": "Only if unchanged", "description": "The sys_mod_count the record had when it was read; another one is refused. ServiceNow cannot compare and write in one go, so a change in the same moment may still be lost."}
                }),
                &["table", "fields"],
            ))
            .output(record_schema())
            .sample(sample())
            .shaped(WRITES),
        action(dictionary, "upsert_record", "Create or update a record", "Updates the only record with a key, or creates it. Looking and writing are two calls; import_rows with a coalescing map does both in one.", upsert)
            .effect(update_effect)
            .input(input(
                json!({
                    "table": table_schema(), "fields": fields_schema(), "values_are_shown": shown_schema(),
                    "key_field": {"type": "string", "title": "Key field", "description": "The field whose value is the record's key, such as u_external_id."},
                    "key_value": {"type": ["string", "integer"], "title": "Key"}
                }),
                &["table", "key_field", "key_value", "fields"],
            ))
            .output(json!({"type": "object", "required": ["status", "record"], "properties": {"status": {"type": "string", "enum": ["created", "updated"]}, "record": record_schema()}}))
            .sample(json!({"status": "updated", "record": sample()}))
            .shaped(WRITES.names(&["key_field"]).gives("record")),
        action(dictionary, "delete_record", "Delete a record", "Deletes one record.", delete)
            .idempotent()
            .input(input(
                json!({"table": table_schema(), "sys_id": id_schema(), "ignore_missing": {"type": "boolean", "default": true, "title": "A missing record is fine"}}),
                &["table", "sys_id"],
            ))
            .output(json!({"type": "object", "required": ["deleted"], "properties": {"deleted": {"type": "boolean", "description": "False when it was gone before."}}}))
            .sample(json!({"deleted": true})),
        action(dictionary, "aggregate", "Count and sum", "Counts, sums, averages and finds extremes of the records a filter finds, for groups if wanted.", aggregate)
            .reads()
            .input(aggregate_schema())
            .output(json!({"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "items": {"type": "object", "additionalProperties": true}}}}))
            .sample(json!({"rows": [{"priority": "1", "count": 12, "avg_reassignment_count": "1.2500"}]})),
    ]
}

fn search_schema() -> Json {
    input(
        json!({
            "table": table_schema(), "filter": filter::schema(), "fields": wanted_schema(),
            "order_by": {"type": "string", "title": "Order by", "description": "A field. Without an order records are walked by sys_id, which misses none while others are added or deleted."},
            "descending": {"type": "boolean", "default": false, "title": "Largest first"},
            "limit": {"type": "integer", "minimum": 1, "title": "At most", "description": "Ends after that many records."}
        }),
        &["table"],
    )
}

fn aggregate_schema() -> Json {
    let list = |title: &str| json!({"type": "array", "items": {"type": "string"}, "title": title});
    input(
        json!({
            "table": table_schema(), "filter": filter::schema(), "group_by": list("Group by"),
            "count": {"type": "boolean", "default": true, "title": "Count"},
            "sum": list("Sum of"), "avg": list("Average of"), "min": list("Least of"), "max": list("Largest of"),
            "having": {"type": "string", "title": "Only groups with", "description": "As ServiceNow writes it: count^priority^>^3."}
        }),
        &["table"],
    )
}

fn create_effect(input: &Json) -> Effect {
    if word(input, "idempotency") == "none" { Effect::Once } else { Effect::Idempotent }
}

/// Journals tell each entry again.
pub(super) fn update_effect(input: &Json) -> Effect {
    let tells = JOURNALS.iter().any(|name| input["fields"].get(name).is_some());
    if tells { Effect::Once } else { Effect::Idempotent }
}

/// The record that is meant: its id, or that of the only one a filter finds.
pub(super) async fn meant(dictionary: &Dictionary, api: &Api<'_>, table: &str, input: &Json) -> Result<String, StepError> {
    let id = word(input, "sys_id");
    if !id.is_empty() {
        return checked_id(id).map(str::to_owned);
    }
    let filter = Filter::read(input.get("filter"))?;
    if filter.fields().next().is_none() {
        return Err(invalid("RECORD_MISSING", "neither a sys_id nor a filter says which record is meant"));
    }
    dictionary.check(api, table, &filter).await?;
    only(api, table, &filter.query(&[], &[])).await?.ok_or_else(|| {
        StepError::new(ErrorClass::NotFound, "NO_RECORD", format!("the filter finds no record of {table}"))
            .with_next("Check the filter, and that the integration user may see the record.")
    })
}

/// The id of the only record a query finds; nothing when there is none.
pub(super) async fn only(api: &Api<'_>, table: &str, query: &str) -> Result<Option<String>, StepError> {
    let fields = ["sys_id".to_owned()];
    let found = api.rows(&Ask { table, query, fields: &fields, limit: 2, offset: 0, display: false }).await?;
    match &found.rows[..] {
        [] => Ok(None),
        [row] => Ok(Some(checked_id(row["sys_id"].as_str().unwrap_or_default())?.to_owned())),
        _ => Err(StepError::new(
            ErrorClass::Conflict,
            "SEVERAL_RECORDS",
            format!("several records of {table} fit, so it is not clear which one is meant"),
        )
        .with_next("Narrow the filter or the key until one record is left.")),
    }
}

async fn get(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let table = api::table(&input)?;
    let fields = words(&input, "fields");
    let kinds = dictionary.kinds(&api, table, &fields).await?;
    let id = meant(&dictionary, &api, table, &input).await?;
    Ok(kinds.record(&api.record(table, &id, &fields).await?))
}

async fn search(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let records = whole(HELD_MAX, |cursor| page(Arc::clone(&dictionary), cx.clone(), input.clone(), cursor)).await?;
    Ok(api::records(records))
}

/// One page of a search. The cursor is `{after, skip, taken}`.
async fn page(dictionary: Arc<Dictionary>, cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let api = Api::new(&cx)?;
    let table = api::table(&input)?;
    let mut filter = Filter::read(input.get("filter"))?;
    let by = word(&input, "order_by");
    if !by.is_empty() {
        let order = format!("{}{by}", if flag(&input, "descending", false) { "ORDERBYDESC" } else { "ORDERBY" });
        let ordered = Filter::read(Some(&json!(order)))?;
        filter = filter.ordered(ordered);
    }
    dictionary.check(&api, table, &filter).await?;
    let mut fields = words(&input, "fields");
    let id_wanted = fields.is_empty() || fields.iter().any(|field| field == "sys_id");
    if !id_wanted {
        fields.push("sys_id".to_owned());
    }
    let kinds = dictionary.kinds(&api, table, &fields).await?;
    let cursor = cursor.unwrap_or_default();
    let (after, skip, taken) =
        (word(&cursor, "after"), cursor["skip"].as_u64().unwrap_or(0), cursor["taken"].as_u64().unwrap_or(0));
    let most = input["limit"].as_u64().unwrap_or(u64::MAX).saturating_sub(taken);
    let keyset = !filter.is_ordered();
    let query = if keyset {
        let cursors: Vec<String> = if after.is_empty() { Vec::new() } else { vec![format!("sys_id>{}", checked_id(after)?)] };
        filter.query(&cursors, &["sys_id"])
    } else {
        // Records that are alike in the order would otherwise come in any.
        format!("{}^ORDERBYsys_id", filter.query(&[], &[]))
    };
    let found =
        api.rows(&Ask { table, query: &query, fields: &fields, limit: PAGE.min(most), offset: skip, display: true }).await?;
    let last = found.rows.last().map(|row| row["sys_id"]["value"].as_str().unwrap_or_default().to_owned());
    let taken = taken.saturating_add(found.rows.len() as u64);
    let more = found.more(skip) && (found.rows.len() as u64) < most;
    // The same rows again although they were to come after these: an instance that does not heed the condition.
    let stuck = more && keyset && !after.is_empty() && last.as_deref() == Some(after);
    // A page may hold less than was asked for, or nothing, because access rules hide the rest: it is not the end.
    let next = match last {
        Some(last) if keyset => json!({"after": last, "skip": 0, "taken": taken}),
        _ => json!({"after": after, "skip": skip.saturating_add(found.limit), "taken": taken}),
    };
    let mut items: Vec<Json> = found.rows.iter().map(|row| kinds.record(row)).collect();
    if !id_wanted {
        items.iter_mut().filter_map(Json::as_object_mut).for_each(|record| drop(record.shift_remove("sys_id")));
    }
    if stuck {
        return Page { items, next: Some(json!(after)) }.onward(Some(&json!(after)));
    }
    Ok(Page { items, next: more.then_some(next) })
}

async fn create(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let table = api::table(&input)?;
    let shown = flag(&input, "values_are_shown", false);
    let body = dictionary.body(&api, table, &input["fields"], shown).await?;
    let sent: Vec<String> = body.keys().cloned().collect();
    let kinds = dictionary.kinds(&api, table, &[]).await?;
    let record = match word(&input, "idempotency") {
        "none" => api.write(table, None, &Json::Object(body), shown).await?,
        "correlation" => create_correlated(&api, table, body, shown).await?,
        _ => create_with_id(&api, table, body, shown, &[table]).await?,
    };
    dictionary.written(&api, table, &sent, &record).await?;
    Ok(kinds.record(&record))
}

/// Creates a record under an id that is the same in every attempt; `parts` tell it from others of the step.
pub(super) async fn create_with_id(
    api: &Api<'_>,
    table: &str,
    mut body: Map<String, Json>,
    shown: bool,
    parts: &[&str],
) -> Result<Json, StepError> {
    let given = body.get("sys_id").and_then(Json::as_str).map(str::to_owned);
    let own = given.is_none();
    let id = given.unwrap_or_else(|| own_id(api.cx, parts));
    checked_id(&id)?;
    body.insert("sys_id".to_owned(), json!(id));
    match api.write(table, None, &Json::Object(body), shown).await {
        // An earlier attempt created it and its answer was lost. How the instance refuses a known id is not
        // documented, so whatever was refused is looked up.
        Err(error) if own && matches!(error.class, ErrorClass::Conflict | ErrorClass::Denied | ErrorClass::Invalid) => {
            api.record(table, &id, &[]).await.map_err(|_| error)
        }
        other => other,
    }
}

async fn create_correlated(api: &Api<'_>, table: &str, mut body: Map<String, Json>, shown: bool) -> Result<Json, StepError> {
    if body.contains_key("correlation_id") {
        return Err(invalid("FIELD_TAKEN", "correlation_id holds the key that protects from doubles, so the step cannot set it")
            .with_next("Leave the field out, or choose another protection."));
    }
    let key = own_id(api.cx, &[table]);
    if let Some(id) = only(api, table, &format!("correlation_id={key}")).await? {
        return api.record(table, &id, &[]).await;
    }
    body.insert("correlation_id".to_owned(), json!(key));
    body.insert("correlation_display".to_owned(), json!("liaison"));
    api.write(table, None, &Json::Object(body), shown).await
}

async fn update(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let table = api::table(&input)?;
    let shown = flag(&input, "values_are_shown", false);
    let body = dictionary.body(&api, table, &input["fields"], shown).await?;
    let id = meant(&dictionary, &api, table, &input).await?;
    let kinds = dictionary.kinds(&api, table, &[]).await?;
    if let Some(expected) = input["expected_updates"].as_u64() {
        let now = api.record(table, &id, &[]).await?;
        let count = now["sys_mod_count"]["value"].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        let done = body.iter().all(|(name, value)| now[name]["value"] == *value);
        if done && count == expected.saturating_add(1) {
            // An earlier attempt of this step wrote it.
            return Ok(kinds.record(&now));
        }
        if count != expected {
            let message = format!("the record was changed in between: it was updated {count} times, not {expected}");
            return Err(StepError::new(ErrorClass::Conflict, "RECORD_CHANGED", message)
                .with_next("Read the record again and decide anew."));
        }
    }
    let sent: Vec<String> = body.keys().cloned().collect();
    let record = api.write(table, Some(&id), &Json::Object(body), shown).await?;
    dictionary.written(&api, table, &sent, &record).await?;
    Ok(kinds.record(&record))
}

async fn upsert(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let table = api::table(&input)?;
    let shown = flag(&input, "values_are_shown", false);
    let (key, value) = (word(&input, "key_field"), api::as_text(&input["key_value"]));
    if value.trim().is_empty() {
        return Err(invalid("KEY_EMPTY", format!("the key {key} is empty, so it would fit many records")));
    }
    let filter = Filter::read(Some(&json!([{"field": key, "value": value}])))?;
    dictionary.check(&api, table, &filter).await?;
    let mut body = dictionary.body(&api, table, &input["fields"], shown).await?;
    let sent: Vec<String> = body.keys().cloned().collect();
    let kinds = dictionary.kinds(&api, table, &[]).await?;
    let found = only(&api, table, &filter.query(&[], &[])).await?;
    let record = match &found {
        Some(id) => api.write(table, Some(id), &Json::Object(body), shown).await?,
        None => {
            body.entry(key.to_owned()).or_insert_with(|| json!(value));
            create_with_id(&api, table, body, shown, &[table, &value]).await?
        }
    };
    dictionary.written(&api, table, &sent, &record).await?;
    let record = kinds.record(&record);
    Ok(json!({"status": if found.is_some() { "updated" } else { "created" }, "record": record}))
}

async fn delete(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let (table, id) = (api::table(&input)?, checked_id(word(&input, "sys_id"))?);
    let deleted = api.delete(&["api", "now", "table", table, id], flag(&input, "ignore_missing", true)).await?;
    Ok(json!({ "deleted": deleted }))
}

async fn aggregate(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let table = api::table(&input)?;
    let filter = Filter::read(input.get("filter"))?;
    dictionary.check(&api, table, &filter).await?;
    let functions = ["sum", "avg", "min", "max"].map(|name| (name, words(&input, name)));
    let groups = words(&input, "group_by");
    let named: Vec<String> = functions.iter().flat_map(|(_, fields)| fields).chain(&groups).cloned().collect();
    dictionary.kinds(&api, table, &named).await?;
    let count = flag(&input, "count", true);
    if !count && functions.iter().all(|(_, fields)| fields.is_empty()) {
        return Err(invalid("NOTHING_ASKED", "nothing is to be worked out: neither a count nor a field to sum"));
    }
    let mut pairs = vec![("sysparm_query".to_owned(), filter.unordered()), ("sysparm_count".to_owned(), count.to_string())];
    pairs.extend(
        functions
            .iter()
            .filter(|(_, fields)| !fields.is_empty())
            .map(|(name, fields)| (format!("sysparm_{name}_fields"), fields.join(","))),
    );
    for (name, value) in [("sysparm_group_by", groups.join(",")), ("sysparm_having", word(&input, "having").to_owned())] {
        if !value.is_empty() {
            pairs.push((name.to_owned(), value));
        }
    }
    let answer = api.send(api.call(Method::GET, &["api", "now", "stats", table]).query(pairs)).await?;
    let rows = match result(&answer)? {
        Json::Array(groups) => groups.iter().map(row).collect(),
        one => vec![row(&one)],
    };
    Ok(json!({"rows": rows}))
}

/// One group flat: its fields' values, `count`, and each number as `function_field`.
fn row(group: &Json) -> Json {
    let mut row = Map::new();
    for field in group["groupby_fields"].as_array().into_iter().flatten() {
        row.insert(api::as_text(&field["field"]), field["value"].clone());
    }
    for (name, value) in group["stats"].as_object().into_iter().flatten() {
        match value {
            Json::Object(fields) => row.extend(fields.iter().map(|(field, value)| (format!("{name}_{field}"), value.clone()))),
            Json::String(text) if name == "count" => {
                row.insert(name.clone(), text.parse::<u64>().map_or_else(|_| value.clone(), |count| json!(count)));
            }
            _ => {
                row.insert(name.clone(), value.clone());
            }
        }
    }
    Json::Object(row)
}
