//! What starts recipes: SuiteQL asked again and again, saved searches, and a script of the account that tells at once.

mod rows;
mod walk;

use std::time::Duration;

use connector::{
    Connection, Cx, Inbound, Occurrence, Poll, Polled, Position, Reading, Refused, Shaped, StepError, Trigger, Verified, Webhook,
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use self::walk::{Row, Walk, walk};
use super::{
    api::{needed, text},
    others, records, soap, suiteql,
};

/// Records of one question.
const PAGE_ROWS: u64 = 1_000;
/// The same where each record is read once more: a question has a minute.
const PAGE_ROWS_READ: u64 = 25;
const EVERY: Duration = Duration::from_secs(60);
/// How old a script's message may be, in seconds.
const MESSAGE_S_MAX: i64 = 300;
const SIGNATURE: &str = "x-signature";

fn of_type(with: &Json, changed: bool) -> Result<Walk, StepError> {
    let kind = needed(with, "type")?;
    let (table, code) = suiteql::table(kind)?;
    let mut filter = suiteql::conditions(with)?;
    filter.extend(code.map(|code| format!("type = '{code}'")));
    let time = match (changed, table) {
        (true, table) if table.starts_with("customrecord") => "lastmodified",
        (true, _) => "lastmodifieddate",
        (false, "transaction" | "item") => "createddate",
        (false, table) if table.starts_with("customrecord") => "created",
        (false, _) => "datecreated",
    };
    let rows = if reads_each(with) { PAGE_ROWS_READ } else { PAGE_ROWS };
    let columns = suiteql::columns(with)?;
    // Oracle gives all columns beside others only by the table's name.
    let columns = if columns == "*" { format!("{table}.*") } else { columns };
    Ok(Walk { table: table.to_owned(), filter, columns, time: time.to_owned(), id: "id".to_owned(), rows })
}

/// Whether each record is read with its sublists, in a call of its own.
fn reads_each(with: &Json) -> bool {
    with.get("with_sublists") == Some(&json!(true))
}

async fn records(cx: Cx, with: Json, position: Position, changed: bool) -> Result<Polled, StepError> {
    let kind = needed(&with, "type")?.to_owned();
    let walked = walk(&cx, &of_type(&with, changed)?, &position).await?;
    let mut events = Vec::with_capacity(walked.rows.len());
    for Row { row, id, at } in walked.rows {
        let record = if reads_each(&with) { records::read(&cx, &kind, &id, true, &[]).await? } else { row };
        let key = if changed { format!("{kind}:{id}:{at}") } else { format!("{kind}:{id}") };
        events.push(Occurrence { key, data: json!({ "type": kind, "id": id, "changed_at": at, "record": record }) });
    }
    Ok(Polled { events, cursor: walked.cursor, more: walked.more })
}

async fn deleted(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let filter = match text(&with, "type") {
        Some(kind) => vec![format!("LOWER(recordtypeid) = {}", suiteql::literal(&json!(kind.to_lowercase()))?)],
        None => Vec::new(),
    };
    let asked = Walk {
        table: "deletedrecord".to_owned(),
        filter,
        columns: "recordtypeid, recordid, name".to_owned(),
        time: "deleteddate".to_owned(),
        id: "recordid".to_owned(),
        rows: PAGE_ROWS,
    };
    let walked = walk(&cx, &asked, &position).await?;
    let event = |Row { row, id, at }| {
        let data = json!({ "type": row["recordtypeid"], "id": id, "name": row["name"], "deleted_at": at });
        Occurrence { key: format!("{}:{id}:deleted", row["recordtypeid"].as_str().unwrap_or_default()), data }
    };
    Ok(Polled { events: walked.rows.into_iter().map(event).collect(), cursor: walked.cursor, more: walked.more })
}

/// Tells once how an asynchronous call ended; nothing is asked after that.
async fn finished(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let job = needed(&with, "job")?;
    let nothing = |told: Option<&str>| Polled { events: Vec::new(), cursor: json!({ "told": told }), more: false };
    // The recipe may name another call since.
    if matches!(&position, Position::After(cursor) if cursor["told"] == job) {
        return Ok(nothing(Some(job)));
    }
    let standing = others::standing(&cx, job).await?;
    if standing["completed"] != true {
        return Ok(nothing(None));
    }
    let key = format!("job:{}", standing["job"].as_str().unwrap_or_default());
    Ok(Polled { events: vec![Occurrence { key, data: standing }], ..nothing(Some(job)) })
}

fn refused(code: &'static str, message: &str) -> Refused {
    Refused { code, message: message.to_owned() }
}

fn verify(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let secret = connection
        .credentials
        .get("webhook_secret")
        .ok_or_else(|| refused("SECRET_MISSING", "the connection has no webhook_secret; enter what the script signs with"))?;
    let given = inbound.header(SIGNATURE).ok_or_else(|| refused("SIGNATURE_MISSING", "the request has no header x-signature"))?;
    let given =
        hex::decode(given.trim()).map_err(|_| refused("SIGNATURE_MISMATCH", "the signature is not written in hexadecimal"))?;
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes())
        .map_err(|_| refused("SECRET_MISSING", "the webhook_secret cannot be used"))?;
    mac.update(inbound.body);
    mac.verify_slice(&given).map_err(|_| {
        refused("SIGNATURE_MISMATCH", "the signature does not fit; the script and the connection hold different secrets")
    })?;
    let told = body(inbound)?;
    let at = told["at"].as_i64().unwrap_or_default().div_euclid(1_000);
    if at.saturating_sub(inbound.now_s).saturating_abs() > MESSAGE_S_MAX {
        return Err(refused("TIMESTAMP_TOO_OLD", "the message is older than five minutes"));
    }
    Ok(Verified { event_key: Some(event_key(&told)) })
}

fn body(inbound: &Inbound<'_>) -> Result<Json, Refused> {
    serde_json::from_slice(inbound.body).map_err(|_| refused("BODY_UNREADABLE", "the message is no JSON"))
}

fn event_key(told: &Json) -> String {
    format!(
        "{}:{}:{}:{}",
        told["type"].as_str().unwrap_or_default(),
        told["id"].as_str().unwrap_or_default(),
        told["event"].as_str().unwrap_or_default(),
        told["at"]
    )
}

fn told(_connection: &Connection, with: &Json, inbound: &Inbound<'_>) -> Result<Reading, Refused> {
    let told = body(inbound)?;
    let wanted = |name: &str, value: &Json| match with.get(name).and_then(Json::as_array) {
        // Scripts write types in small letters.
        Some(list) if !list.is_empty() => {
            let told = value.as_str().unwrap_or_default();
            list.iter().filter_map(Json::as_str).any(|wanted| wanted.eq_ignore_ascii_case(told))
        }
        _ => true,
    };
    let fits = wanted("types", &told["type"]) && wanted("events", &told["event"]);
    let events = if fits {
        vec![Occurrence {
            key: event_key(&told),
            data: json!({ "type": told["type"], "id": told["id"], "event": told["event"] }),
        }]
    } else {
        Vec::new()
    };
    Ok(Reading { events, answer: None })
}

fn settings_schema(properties: Json, required: &[&str]) -> Json {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

pub(super) fn triggers() -> Vec<Trigger> {
    let properties = json!({
        "type": {"type": "string", "title": "Record type", "description": "Such as customer, invoice or salesOrder."},
        "filters": suiteql::filters_schema(),
        "fields": {"type": "array", "title": "Fields", "description": "All when left out.", "items": {"type": "string"}},
        "with_sublists": {"type": "boolean", "default": false, "title": "With sublists", "description": "Reads each record once more, with its lines."}
    });
    let record = json!({"type": "object", "properties": {
        "type": {"type": "string", "title": "Record type"}, "id": {"type": "string", "title": "Internal id"},
        "changed_at": {"type": "string", "title": "When", "description": "In the account's time zone."}, "record": {"type": "object", "title": "Record"}
    }, "required": ["type", "id", "record"]});
    let sample = json!({ "type": "customer", "id": "107", "changed_at": "2026-11-16 04:00:00", "record": { "id": "107", "companyname": "Amber Analytics" } });
    // Rows of SuiteQL have other names than records have; with its lines it is the record itself.
    let whole = Shaped::by("type").only_with("with_sublists").gives("record");
    let row = json!({"type": "object", "properties": {"row": {"type": "object", "title": "Row"}}, "required": ["row"]});
    vec![
        Trigger::new("new_record", "New record", "Starts when a record was made.")
            .config(settings_schema(properties.clone(), &["type"])).output(record.clone()).sample(sample.clone()).shaped(whole)
            .poll(Poll::new(EVERY, |cx, with, from| records(cx, with, from, false))),
        Trigger::new("changed_record", "New or updated record", "Starts when a record was made or changed.")
            .config(settings_schema(properties, &["type"])).output(record).sample(sample).shaped(whole)
            .poll(Poll::new(EVERY, |cx, with, from| records(cx, with, from, true))),
        Trigger::new("deleted_record", "Deleted record", "Starts when a record was deleted.")
            .config(settings_schema(json!({ "type": {"type": "string", "title": "Record type", "description": "Any when left out."} }), &[]))
            .output(json!({"type": "object", "properties": {"type": {"type": "string"}, "id": {"type": "string"}, "name": {}, "deleted_at": {"type": "string"}}, "required": ["type", "id"]}))
            .sample(json!({ "type": "contact", "id": "212", "name": "Ada Chen", "deleted_at": "2026-11-16 04:00:00" }))
            .poll(Poll::new(EVERY, deleted)),
        Trigger::new("query_rows", "New rows of a SuiteQL query", "Starts with each row that comes behind the last one in the order of its cursor column.")
            .config(settings_schema(json!({
                "query": {"type": "string", "title": "Query"},
                "cursor_column": {"type": "string", "title": "Cursor column", "description": "A column of the query that only grows, such as an id or a time."},
                "cursor_type": {"type": "string", "enum": ["value", "time"], "default": "value", "title": "Kind of cursor column", "description": "value: the first question only notes where the rows end. time: a date with a time of day, in the account's zone; the trigger's start counts, and the last minutes are read again."},
                "key": {"type": "string", "default": "id", "title": "Key column", "description": "A column of the query that tells rows with the same cursor value apart."}
            }), &["query", "cursor_column"]))
            .output(row.clone()).sample(json!({ "row": { "id": "107" } }))
            .poll(Poll::new(EVERY, rows::query)),
        Trigger::new("saved_search_rows", "New rows of a saved search", "Starts once with each row a saved search did not show at the last look; what it shows at the first look starts nothing. Needs token-based authentication.")
            .config(settings_schema(soap::search_properties(), &["search"]))
            .output(row).sample(json!({ "row": { "id": "1180", "tranId": "INV-1180" } }))
            .poll(Poll::new(Duration::from_secs(300), rows::saved)),
        Trigger::new("async_finished", "Asynchronous call finished", "Starts once, when NetSuite has done an asynchronous call, with what came of its parts. Not every part of a call that succeeded did.")
            .config(settings_schema(json!({ "job": {"type": "string", "title": "Number", "description": "What submit_async gave as job, or the end of the address of a call that was begun elsewhere."} }), &["job"]))
            .output(json!({"type": "object", "properties": {"job": {"type": "string", "title": "Number"}, "completed": {"type": "boolean", "title": "Completed"}, "progress": {"type": "string", "title": "Progress"}, "results": {"type": "array", "items": {"type": "object"}}}, "required": ["job", "completed", "results"]}))
            .sample(json!({ "job": "1", "completed": true, "progress": "succeeded", "results": [{ "ok": true, "id": "647", "body": null }] }))
            .poll(Poll::new(EVERY, finished)),
        Trigger::new("record_script", "Record saved, told by a script", "Starts at once when a script of the account tells of a record; the action user_event_script writes it. The script posts {type, id, event, at} with the header x-signature: HMAC-SHA256 of the body in hexadecimal.")
            .config(settings_schema(json!({
                "types": {"type": "array", "title": "Record types", "items": {"type": "string"}},
                "events": {"type": "array", "title": "Events", "items": {"type": "string", "enum": ["create", "edit", "delete"]}}
            }), &[]))
            .output(json!({"type": "object", "properties": {"type": {"type": "string"}, "id": {"type": "string"}, "event": {"type": "string"}}, "required": ["type", "id", "event"]}))
            .sample(json!({ "type": "customer", "id": "107", "event": "edit" }))
            .webhook(Webhook::new(verify, |_| vec![SIGNATURE.to_owned()]).read(told)),
    ]
}
