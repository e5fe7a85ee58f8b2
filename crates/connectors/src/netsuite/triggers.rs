//! What starts recipes: SuiteQL asked again and again, saved searches, and a script of the account that tells at once.

use std::time::Duration;

use connector::{
    At, Connection, Cx, Inbound, Keyset, Occurrence, Poll, Polled, Position, Reading, Refused, Shaped, StepError, Trigger,
    Verified, Webhook,
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    api::{invalid, needed, text},
    records, settings, soap, suiteql,
};

/// Records of one question.
const PAGE_ROWS: u64 = 1_000;
/// The newest moments are left for the next question: what is being saved now carries an older time.
const LAG: SignedDuration = SignedDuration::from_secs(5);
/// Read again with every question.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);
/// Read again in the night one hour of the account's time comes twice.
const OVERLAP_OF_THAT_NIGHT: SignedDuration = SignedDuration::from_mins(70);
const EVERY: Duration = Duration::from_secs(60);
/// How old a script's message may be, in seconds.
const MESSAGE_S_MAX: i64 = 300;
const FORMAT: &str = "YYYY-MM-DD HH24:MI:SS";
const SIGNATURE: &str = "x-signature";

/// What a question walks along.
struct Walk {
    table: String,
    filter: Vec<String>,
    /// The column of time.
    time: &'static str,
    columns: String,
    /// The column of the id.
    id: &'static str,
}

fn local(cx: &Cx, at: Timestamp) -> Result<String, StepError> {
    Ok(at.to_zoned(settings::zone(cx)?).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn now(cx: &Cx) -> Timestamp {
    Timestamp::from_microsecond(cx.now_us()).unwrap_or_default()
}

/// How far to go back: clocks that are set back repeat an hour.
fn overlap(cx: &Cx) -> Result<SignedDuration, StepError> {
    let zone = settings::zone(cx)?;
    let now = now(cx);
    let earlier = now.saturating_sub(SignedDuration::from_hours(3)).unwrap_or(now);
    Ok(if zone.to_offset(now) == zone.to_offset(earlier) { OVERLAP } else { OVERLAP_OF_THAT_NIGHT })
}

/// The place to go on from, in the account's time. A cursor that stands within a page goes on exactly there; any
/// other begins a little earlier.
fn place(cx: &Cx, position: &Position) -> Result<(String, u64), StepError> {
    let inside = matches!(position, Position::After(cursor) if cursor["inside"] == true);
    let keyset = match position {
        Position::After(cursor) => Keyset::of(&Position::After(json!({ "at": cursor["at"], "id": cursor["id"] })))?,
        since @ Position::Since(_) => Keyset::of(since)?,
    };
    let id = keyset.id.parse().unwrap_or_default();
    match keyset.at {
        At::Micros(micros) => Ok((local(cx, Timestamp::from_microsecond(micros).unwrap_or_default())?, 0)),
        At::Told(at) if inside => Ok((at, id)),
        At::Told(at) => {
            let read = at.parse::<jiff::civil::DateTime>().map_err(|_| invalid("the trigger's cursor holds no time"))?;
            let earlier = read.saturating_sub(overlap(cx)?);
            Ok((earlier.strftime("%Y-%m-%d %H:%M:%S").to_string(), 0))
        }
    }
}

async fn walk(cx: &Cx, walk: &Walk, position: &Position) -> Result<(Vec<Json>, Json, bool), StepError> {
    let (at, id) = place(cx, position)?;
    let until = local(cx, now(cx).saturating_sub(LAG).unwrap_or_default())?;
    let date = |text: &str| format!("TO_DATE('{}', '{FORMAT}')", text.replace('\'', ""));
    let Walk { table, filter, time, columns, id: key } = walk;
    let mut conditions = filter.clone();
    conditions.push(format!("({time} > {from} OR ({time} = {from} AND {key} > {id}))", from = date(&at)));
    conditions.push(format!("{time} <= {}", date(&until)));
    // Oracle gives all columns beside others only by the table's name.
    let columns = if columns == "*" { format!("{table}.*") } else { columns.clone() };
    let query = format!(
        "SELECT {columns}, {key} AS liaison_id, TO_CHAR({time}, '{FORMAT}') AS liaison_at FROM {table} WHERE {} ORDER BY {time}, {key}",
        conditions.join(" AND ")
    );
    let (rows, next) = suiteql::page(cx, &query, PAGE_ROWS, 0).await?;
    let cursor = match rows.last() {
        Some(last) => json!({ "at": last["liaison_at"], "id": last["liaison_id"], "inside": next.is_some() }),
        // Nothing new: the end of what was looked at, so that a long rest does not grow the next question.
        None => json!({ "at": at.max(until), "id": "", "inside": false }),
    };
    Ok((rows, cursor, next.is_some()))
}

fn cleaned(mut row: Json) -> (Json, String, String) {
    let mut take = |name: &str| {
        row.as_object_mut()
            .and_then(|row| row.remove(name))
            .and_then(|value| value.as_str().map(ToOwned::to_owned))
            .unwrap_or_default()
    };
    let (id, at) = (take("liaison_id"), take("liaison_at"));
    (row, id, at)
}

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
    Ok(Walk { table: table.to_owned(), filter, time, columns: suiteql::columns(with)?, id: "id" })
}

async fn records(cx: Cx, with: Json, position: Position, changed: bool) -> Result<Polled, StepError> {
    let kind = needed(&with, "type")?.to_owned();
    let (rows, cursor, more) = walk(&cx, &of_type(&with, changed)?, &position).await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let (mut record, id, at) = cleaned(row);
        if with.get("with_sublists") == Some(&json!(true)) {
            record = records::read(&cx, &kind, &id, true, &[]).await?;
        }
        let key = if changed { format!("{kind}:{id}:{at}") } else { format!("{kind}:{id}") };
        events.push(Occurrence { key, data: json!({ "type": kind, "id": id, "changed_at": at, "record": record }) });
    }
    Ok(Polled { events, cursor, more })
}

async fn deleted(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let filter = match text(&with, "type") {
        Some(kind) => vec![format!("LOWER(recordtypeid) = {}", suiteql::literal(&json!(kind.to_lowercase()))?)],
        None => Vec::new(),
    };
    let asked = Walk {
        table: "deletedrecord".to_owned(),
        filter,
        time: "deleteddate",
        columns: "recordtypeid, recordid, name".to_owned(),
        id: "recordid",
    };
    let (rows, cursor, more) = walk(&cx, &asked, &position).await?;
    let event = |row: Json| {
        let (row, id, at) = cleaned(row);
        let data = json!({ "type": row["recordtypeid"], "id": id, "name": row["name"], "deleted_at": at });
        Occurrence { key: format!("{}:{id}:deleted", row["recordtypeid"].as_str().unwrap_or_default()), data }
    };
    Ok(Polled { events: rows.into_iter().map(event).collect(), cursor, more })
}

async fn query_rows(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let (query, column) = (needed(&with, "query")?, suiteql::name(needed(&with, "cursor_column")?)?.to_lowercase());
    if query.contains(';') {
        return Err(invalid("a SuiteQL query is one query without a semicolon"));
    }
    let last = match &position {
        Position::After(cursor) => cursor["last"].clone(),
        // The first question only notes where the rows end: what was there before starts nothing.
        Position::Since(_) => {
            let end = suiteql::rows(&cx, &format!("SELECT MAX({column}) AS last FROM ({query}) q")).await?;
            let last = end.first().and_then(|row| row.get("last")).cloned().unwrap_or(json!("0"));
            return Ok(Polled { events: Vec::new(), cursor: json!({ "last": last }), more: false });
        }
    };
    let number = last.as_str().and_then(|text| text.parse::<f64>().ok()).map(|_| last.as_str().unwrap_or_default().to_owned());
    let after = number.map_or_else(|| suiteql::literal(&last), Ok)?;
    let (rows, next) =
        suiteql::page(&cx, &format!("SELECT q.* FROM ({query}) q WHERE q.{column} > {after} ORDER BY q.{column}"), PAGE_ROWS, 0)
            .await?;
    let value = |row: &Json| row.get(&column).cloned().unwrap_or_default();
    let cursor = json!({ "last": rows.last().map_or(last, value) });
    let events =
        rows.into_iter().map(|row| Occurrence { key: format!("{}", value(&row)), data: json!({ "row": row }) }).collect();
    Ok(Polled { events, cursor, more: next.is_some() })
}

async fn saved_rows(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let page_cursor = match &position {
        Position::After(cursor) if cursor.get("search").is_some() => Some(cursor.clone()),
        _ => None,
    };
    let page = soap::page(&cx, &with, page_cursor).await?;
    let event = |row: Json| {
        let key = hex::encode(Sha256::digest(row.to_string()));
        Occurrence { key: format!("{}:{}", row["id"].as_str().unwrap_or_default(), &key[..32]), data: json!({ "row": row }) }
    };
    let more = page.next.is_some();
    Ok(Polled { events: page.items.into_iter().map(event).collect(), cursor: page.next.unwrap_or_else(|| json!({})), more })
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
        Some(list) if !list.is_empty() => list.contains(value),
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
        Trigger::new("query_rows", "New rows of a SuiteQL query", "Starts with each row whose cursor column is above the last one's.")
            .config(settings_schema(json!({
                "query": {"type": "string", "title": "Query"},
                "cursor_column": {"type": "string", "title": "Cursor column", "description": "A column of the query that only grows, such as an id."}
            }), &["query", "cursor_column"]))
            .output(row.clone()).sample(json!({ "row": { "id": "107" } }))
            .poll(Poll::new(EVERY, query_rows)),
        Trigger::new("saved_search_rows", "New rows of a saved search", "Starts once with each row a saved search shows; needs token-based authentication.")
            .config(settings_schema(soap::search_properties(), &["search"]))
            .output(row).sample(json!({ "row": { "id": "1180", "tranId": "INV-1180" } }))
            .poll(Poll::new(Duration::from_secs(300), saved_rows)),
        Trigger::new("record_script", "Record saved, told by a script", "Starts at once when a script of the account tells of a record. The script posts {type, id, event, at} with the header x-signature: HMAC-SHA256 of the body in hexadecimal.")
            .config(settings_schema(json!({
                "types": {"type": "array", "title": "Record types", "items": {"type": "string"}},
                "events": {"type": "array", "title": "Events", "items": {"type": "string", "enum": ["create", "edit", "delete"]}}
            }), &[]))
            .output(json!({"type": "object", "properties": {"type": {"type": "string"}, "id": {"type": "string"}, "event": {"type": "string"}}, "required": ["type", "id", "event"]}))
            .sample(json!({ "type": "customer", "id": "107", "event": "edit" }))
            .webhook(Webhook::new(verify, |_| vec![SIGNATURE.to_owned()]).read(told)),
    ]
}
