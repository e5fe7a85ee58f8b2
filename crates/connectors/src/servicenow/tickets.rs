//! Short forms for what people do most: tickets, comments, people and groups.

use std::sync::Arc;

use connector::{Action, Cx, Effect, ErrorClass, StepError};
use serde_json::{Map, Value as Json, json};

use super::{
    action,
    api::{self, Api, Ask, checked_id, invalid, result, word},
    dictionary::Dictionary,
    filter::Filter,
    records::{create_with_id, id_schema, input, only, record_schema, sample, table_schema},
};

fn text(title: &str) -> Json {
    json!({"type": "string", "title": title})
}

fn person(title: &str) -> Json {
    json!({"type": "string", "title": title, "description": "The person's sys_id, e-mail address or user name."})
}

fn group() -> Json {
    json!({"type": "string", "title": "Assignment group", "description": "The group's sys_id or name."})
}

fn level(title: &str) -> Json {
    json!({"type": "integer", "enum": [1, 2, 3], "title": title, "description": "1 high, 2 medium, 3 low."})
}

fn more() -> Json {
    json!({"type": "object", "title": "Other fields", "description": "Values by technical name.", "additionalProperties": true})
}

pub(super) fn actions(dictionary: &Arc<Dictionary>) -> Vec<Action> {
    let incident = input(
        json!({
            "short_description": text("Short description"), "description": text("Description"), "caller": person("Caller"),
            "urgency": level("Urgency"), "impact": level("Impact"), "category": text("Category"), "assignment_group": group(), "fields": more()
        }),
        &["short_description"],
    );
    let change = input(
        json!({
            "type": {"type": "string", "enum": ["normal", "emergency", "standard"], "default": "normal", "title": "Type"},
            "template": {"type": "string", "title": "Template", "description": "For standard: the sys_id of the template."},
            "short_description": text("Short description"), "description": text("Description"), "assignment_group": group(),
            "start": {"type": "string", "title": "Planned start", "description": "In UTC."}, "end": {"type": "string", "title": "Planned end", "description": "In UTC."}, "fields": more()
        }),
        &["short_description"],
    );
    let request = input(
        json!({"short_description": text("Short description"), "description": text("Description"), "requested_for": person("Requested for"), "fields": more()}),
        &["short_description"],
    );
    let entry = |what: &str| {
        input(json!({"table": table_schema(), "sys_id": id_schema(), "text": text(what)}), &["table", "sys_id", "text"])
    };
    let made = |one: Action, schema: Json| one.idempotent().input(schema).output(record_schema()).sample(sample());
    vec![
        made(action(dictionary, "create_incident", "Create an incident", "Opens an incident, once however often the step is tried.", create_incident), incident),
        made(action(dictionary, "resolve_incident", "Resolve an incident", "Sets an incident to resolved with its code and notes.", resolve), input(json!({"sys_id": id_schema(), "close_code": {"type": "string", "default": "Solution provided", "title": "Resolution code"}, "close_notes": text("Resolution notes")}), &["sys_id", "close_notes"])),
        made(action(dictionary, "create_change", "Create a change", "Opens a change request. One from a template is created again when the step is tried again.", create_change), change)
            .effect(|input| if word(input, "type") == "standard" { Effect::Once } else { Effect::Idempotent }),
        made(action(dictionary, "create_request", "Create a request", "Opens a request without a catalog item, once however often the step is tried.", create_request), request),
        made(action(dictionary, "add_comment", "Add a comment", "Adds a comment that the caller sees. Told again when the step is repeated.", add_comment), entry("Comment")).effect(|_| Effect::Once),
        made(action(dictionary, "add_work_note", "Add a work note", "Adds a note that only agents see. Told again when the step is repeated.", add_work_note), entry("Work note")).effect(|_| Effect::Once),
        made(action(dictionary, "assign_task", "Assign a ticket", "Gives a ticket to a person, a group or both.", assign), input(json!({"table": json!({"type": "string", "default": "task", "title": "Table"}), "sys_id": id_schema(), "assigned_to": person("Assigned to"), "assignment_group": group()}), &["sys_id"])),
        action(dictionary, "get_user", "Get a person", "Finds the only user with an e-mail address or user name.", get_user)
            .reads()
            .input(input(json!({"user": person("Person")}), &["user"]))
            .output(record_schema())
            .sample(json!({"sys_id": "6816f79cc0a8016401c5a33be04be441", "name": "System Administrator", "email": "admin@example.com"})),
        action(dictionary, "find_group", "Find a group", "Finds the only group of a name.", find_group)
            .reads()
            .input(input(json!({"group": group()}), &["group"]))
            .output(record_schema())
            .sample(json!({"sys_id": "287ebd7da9fe198100f92cc8d1d2154e", "name": "Network Support"})),
        action(dictionary, "who_am_i", "Who am I", "Tells whom the connection signs in as, and warns of what leads to wrong times.", who_am_i)
            .reads()
            .output(json!({"type": "object", "required": ["user_name", "warnings"], "properties": {"sys_id": {"type": "string"}, "user_name": {"type": "string"}, "name": {"type": "string"}, "time_zone": {"type": "string"}, "warnings": {"type": "array", "items": {"type": "string"}}}}))
            .sample(json!({"sys_id": "46c5bf6ca9fe1981010713e3ac7d3384", "user_name": "liaison.integration", "name": "Liaison Integration", "time_zone": "GMT", "warnings": []})),
    ]
}

/// The sys_id of what a person wrote: a sys_id, or a value of one of these fields.
async fn looked_up(api: &Api<'_>, table: &str, fields: &[&str], given: &str) -> Result<String, StepError> {
    if checked_id(given).is_ok() {
        return Ok(given.to_owned());
    }
    let alternatives: Vec<Json> = fields.iter().map(|field| json!({"field": field, "value": given})).collect();
    let filter = Filter::read(Some(&json!([{"any": alternatives}])))?;
    only(api, table, &filter.query(&[], &[])).await?.ok_or_else(|| {
        StepError::new(
            ErrorClass::NotFound,
            "NO_RECORD",
            format!("ServiceNow shows nobody and nothing called \"{given}\" in {table}"),
        )
        .with_next("Check the spelling; the e-mail address or the full name is needed.")
    })
}

async fn user(api: &Api<'_>, given: &str) -> Result<String, StepError> {
    looked_up(api, "sys_user", &["email", "user_name"], given).await
}

async fn of_group(api: &Api<'_>, given: &str) -> Result<String, StepError> {
    looked_up(api, "sys_user_group", &["name"], given).await
}

/// The fields of a form: texts taken over, people and groups looked up, other fields added.
async fn form(
    dictionary: &Dictionary,
    api: &Api<'_>,
    table: &str,
    input: &Json,
    texts: &[(&str, &str)],
    people: &[(&str, &str)],
) -> Result<Map<String, Json>, StepError> {
    let mut fields = input["fields"].as_object().cloned().unwrap_or_default();
    for (name, field) in texts {
        if let Some(value) = input.get(name).filter(|value| !value.is_null()) {
            fields.insert((*field).to_owned(), value.clone());
        }
    }
    for (name, field) in people.iter().filter(|(name, _)| !word(input, name).is_empty()) {
        let id = if *name == "assignment_group" {
            of_group(api, word(input, name)).await?
        } else {
            user(api, word(input, name)).await?
        };
        fields.insert((*field).to_owned(), json!(id));
    }
    dictionary.body(api, table, &Json::Object(fields), false).await
}

async fn create_incident(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let texts = [
        ("short_description", "short_description"),
        ("description", "description"),
        ("urgency", "urgency"),
        ("impact", "impact"),
        ("category", "category"),
    ];
    let people = [("caller", "caller_id"), ("assignment_group", "assignment_group")];
    create(&dictionary, &cx, "incident", &input, &texts, &people).await
}

async fn create_request(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let texts = [("short_description", "short_description"), ("description", "description")];
    create(&dictionary, &cx, "sc_request", &input, &texts, &[("requested_for", "requested_for")]).await
}

async fn create(
    dictionary: &Dictionary,
    cx: &Cx,
    table: &str,
    input: &Json,
    texts: &[(&str, &str)],
    people: &[(&str, &str)],
) -> Result<Json, StepError> {
    let api = Api::new(cx)?;
    let body = form(dictionary, &api, table, input, texts, people).await?;
    let record = create_with_id(&api, table, body, false, &[table]).await?;
    Ok(dictionary.kinds(&api, table, &[]).await?.record(&record))
}

async fn create_change(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let texts = [
        ("short_description", "short_description"),
        ("description", "description"),
        ("start", "start_date"),
        ("end", "end_date"),
        ("type", "type"),
    ];
    let people = [("assignment_group", "assignment_group")];
    if word(&input, "type") != "standard" {
        return create(&dictionary, &cx, "change_request", &input, &texts, &people).await;
    }
    let api = Api::new(&cx)?;
    let template = checked_id(word(&input, "template"))
        .map_err(|_| invalid("TEMPLATE_MISSING", "a standard change is made from a template, and none is given"))?;
    let mut body = form(&dictionary, &api, "change_request", &input, &texts, &people).await?;
    body.remove("type");
    let call = api.call(::http::Method::POST, &["api", "sn_chg_rest", "change", "standard", template]).json(&Json::Object(body));
    let answer = api.send(call).await?;
    Ok(dictionary.kinds(&api, "change_request", &[]).await?.record(&result(&answer)?))
}

async fn write(dictionary: &Dictionary, cx: &Cx, table: &str, id: &str, fields: &[(&str, &str)]) -> Result<Json, StepError> {
    let api = Api::new(cx)?;
    let table = api::checked_table(table)?;
    let body: Map<String, Json> = fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let kinds = dictionary.kinds(&api, table, &[]).await?;
    let record = api.write(table, Some(checked_id(id)?), &Json::Object(body), false).await?;
    Ok(kinds.record(&record))
}

async fn resolve(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let code = Some(word(&input, "close_code")).filter(|code| !code.is_empty()).unwrap_or("Solution provided");
    // 6 is "Resolved" in every instance that did not change its states.
    let fields = [("state", "6"), ("close_code", code), ("close_notes", word(&input, "close_notes"))];
    write(&dictionary, &cx, "incident", word(&input, "sys_id"), &fields).await
}

async fn add_comment(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    write(&dictionary, &cx, word(&input, "table"), word(&input, "sys_id"), &[("comments", word(&input, "text"))]).await
}

async fn add_work_note(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    write(&dictionary, &cx, word(&input, "table"), word(&input, "sys_id"), &[("work_notes", word(&input, "text"))]).await
}

async fn assign(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let mut fields = Vec::new();
    for (name, group) in [("assignment_group", true), ("assigned_to", false)] {
        let given = word(&input, name);
        if !given.is_empty() {
            fields.push((name, if group { of_group(&api, given).await? } else { user(&api, given).await? }));
        }
    }
    if fields.is_empty() {
        return Err(invalid("NOBODY_GIVEN", "neither a person nor a group is given, so there is nobody to assign the ticket to"));
    }
    let table = Some(word(&input, "table")).filter(|table| !table.is_empty()).unwrap_or("task");
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, id)| (*name, id.as_str())).collect();
    write(&dictionary, &cx, table, word(&input, "sys_id"), &fields).await
}

async fn get_user(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let id = user(&api, word(&input, "user")).await?;
    Ok(dictionary.kinds(&api, "sys_user", &[]).await?.record(&api.record("sys_user", &id, &[]).await?))
}

async fn find_group(dictionary: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let id = of_group(&api, word(&input, "group")).await?;
    Ok(dictionary.kinds(&api, "sys_user_group", &[]).await?.record(&api.record("sys_user_group", &id, &[]).await?))
}

async fn who_am_i(_: Arc<Dictionary>, cx: Cx, _input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let fields = ["sys_id", "user_name", "name", "time_zone", "sys_updated_on"].map(str::to_owned);
    let query = "user_name=javascript:gs.getUserName()";
    let found = api.rows(&Ask { table: "sys_user", query, fields: &fields, limit: 2, offset: 0, display: false }).await?;
    let [row] = &found.rows[..] else {
        return Err(StepError::new(
            ErrorClass::Denied,
            "USER_HIDDEN",
            "the sign-in works, but the integration user may not read its own record",
        )
        .with_next("Give the user the right to read sys_user."));
    };
    let zone = word(row, "time_zone");
    let mut warnings = Vec::new();
    if !matches!(zone, "GMT" | "UTC" | "") {
        warnings.push(format!(
            "the integration user's time zone is {zone}; set it to GMT, so that times in filters are read as they are written"
        ));
    }
    // Whether a stamp finds its own record is the proof that filters read times as answers write them.
    let stamp = word(row, "sys_updated_on");
    let query = format!("sys_id={}^sys_updated_on={stamp}", word(row, "sys_id"));
    if only(&api, "sys_user", &query).await?.is_none() {
        warnings
            .push("a record cannot be found by its own time stamp, so triggers that ask for changes would miss some".to_owned());
    }
    Ok(
        json!({"sys_id": row["sys_id"], "user_name": row["user_name"], "name": row["name"], "time_zone": zone, "warnings": warnings}),
    )
}
