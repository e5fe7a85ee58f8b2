//! Triggers that ask: new records, changed records, deleted records, queries on a schedule.

use std::time::Duration;

use connector::{
    Cx, ErrorClass, Occurrence, Poll, Polled, Position, Shaped, StepError, Trigger, api::Answer, cursor_lost, read_cursor,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    api::{Api, bare, flag, text},
    describe::{Known, clock, plain_fields},
    field_input,
    filter::{conditions, moment, name, quoted, schema, soql_moment},
    input, object_input,
};

/// Usual pause between two questions.
const EVERY: Duration = Duration::from_secs(300);
/// Records of a question, unless the trigger says so, and at most.
const PAGE: usize = 2_000;
/// The newest moments are left for the next question: a long transaction stamps a record before it can be seen.
const LAG_S: i64 = 60;
/// The last stretch is read again, for transactions that are longer than that.
const OVERLAP_S: i64 = 600;
/// How far back deletions are told, with an hour to spare.
const DELETED_S: i64 = 15 * 24 * 3_600 - 3_600;
/// Fields that are selected when none are named and the object has more than fit into an address.
const FIELDS_CHARS_MAX: usize = 9_000;
/// Records of a scheduled query.
const SCHEDULED_MAX: usize = 2_000;

pub(super) fn triggers() -> Vec<Trigger> {
    let known = Known::default();
    let walking = |changes: bool| {
        let known = known.clone();
        Poll::new(EVERY, move |cx, with, from| walk(known.clone(), cx, with, from, changes))
    };
    let fields = json!({"type": "array", "items": {"type": "string"}, "title": "Fields", "description": "All plain fields when left out."});
    let lag = json!({"type": "integer", "minimum": 0, "maximum": 3600, "default": LAG_S, "title": "Lag", "description": "Seconds that the newest records are left for the next question, because long transactions come late."});
    let filter = json!({"object": object_input(), "fields": fields, "filter": schema(), "where": {"type": "string", "title": "Condition in SOQL"}, "params": {"type": "object", "title": "Values", "additionalProperties": true}, "lag_s": lag,
        "batch_size": {"type": "integer", "minimum": 1, "maximum": PAGE, "default": PAGE, "title": "Batch size", "description": "Records of one question; smaller for objects with large fields. Each record is still an event of its own."}});
    let mut changed = filter.clone();
    changed["by"] = field_input(
        "Followed by",
        "The date and time field whose changes count: SystemModstamp when left out; LastModifiedDate leaves out changes that the system makes by itself.",
    );
    changed["only_updated"] = json!({"type": "boolean", "default": false, "title": "Only changes", "description": "Leaves out records that were not changed since they were created; a change in the same second as the creation counts as none."});
    let record = json!({"type": "object", "additionalProperties": false, "required": ["record"], "properties": {"record": {"type": "object"}}});
    let sample = json!({"record": {"Id": "001xx000003DGb1AAG", "Name": "Acme", "CreatedDate": "2026-01-02T03:04:05.000+0000", "SystemModstamp": "2026-01-02T03:04:05.000+0000"}});
    vec![
        Trigger::new("new_record", "New record", "Fires for every record that is created.")
            .config(input(filter, &["object"]))
            .output(record.clone())
            .sample(sample.clone())
            .shaped(Shaped::by("object").names(&["fields", "filter[].field"]).gives("record"))
            .poll(walking(false)),
        Trigger::new("new_or_updated_record", "New or updated record", "Fires for every record that is created or changed, each time it is.")
            .config(input(changed, &["object"]))
            .output(record)
            .sample(sample)
            .shaped(Shaped::by("object").names(&["fields", "by", "filter[].field"]).gives("record"))
            .poll(walking(true)),
        Trigger::new("deleted_record", "Deleted record", "Fires for every record that is deleted; Salesforce tells those of the last 15 days.")
            .config(input(json!({"object": object_input()}), &["object"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["id", "object", "deleted_at", "lost"], "properties": {"id": {"type": ["string", "null"]}, "object": {"type": "string"}, "deleted_at": {"type": ["string", "null"]},
                "lost": {"type": "boolean", "description": "True for the one event that tells of a gap: deletions after lost_after may be missing, because Salesforce tells no older ones any more. Compare the records once."}, "lost_after": {"type": ["string", "null"]}}}))
            .sample(json!({"id": "001xx000003DGb1AAG", "object": "Account", "deleted_at": "2026-01-02T03:04:05.000+0000", "lost": false, "lost_after": null}))
            .poll(Poll::new(EVERY, deleted)),
        Trigger::new("scheduled_soql", "Scheduled query", "Runs a SOQL query regularly and fires with its records.")
            .config(input(json!({"soql": {"type": "string", "title": "SOQL", "description": "At most 2,000 records."}, "params": {"type": "object", "title": "Values", "additionalProperties": true},
                "skip_empty": {"type": "boolean", "default": false, "title": "Not when nothing is found"}}), &["soql"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["total_size", "records"], "properties": {"records": {"type": "array", "items": {"type": "object"}}, "total_size": {"type": "integer"}}}))
            .sample(json!({"records": [{"Id": "001xx000003DGb1AAG"}], "total_size": 1}))
            .poll(Poll::new(Duration::from_secs(3_600), scheduled).steady()),
    ]
}

/// Where a walk by (time, id) is. Times are Salesforce's own spelling, with `Z`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    at: String,
    /// Records of that very moment up to this id came already; empty for none.
    #[serde(default)]
    id: String,
    /// Nothing before this is wanted.
    floor: String,
}

fn place(from: &Position) -> Result<Place, StepError> {
    match from {
        Position::Since(micros) => {
            // Stamps of records have whole seconds: what happens within the first one must not seem to be before it.
            let at = soql_moment(Timestamp::from_second(micros.div_euclid(1_000_000)).map_err(|_| cursor_lost())?);
            Ok(Place { at: at.clone(), id: String::new(), floor: at })
        }
        Position::After(cursor) => {
            let place: Place = read_cursor(cursor)?;
            if moment(&place.at).is_none() || moment(&place.floor).is_none() {
                return Err(cursor_lost());
            }
            Ok(place)
        }
    }
}

async fn walk(known: Known, cx: Cx, with: Json, from: Position, changes: bool) -> Result<Polled, StepError> {
    let api = Api::of(&cx)?;
    let start = place(&from)?;
    let object = name(text(&with, "object"))?;
    let described = known.described(&api, object).await?;
    let by = followed(&described, &with, changes)?;
    let soql = question(&described, &with, &by, &start)?;
    super::query::fits(&soql)?;
    let answer = api.send(api.get(&["query"]).query([("q", &soql)])).await;
    let answer = answer.inspect_err(|error| {
        if error.class == ErrorClass::Invalid {
            // Perhaps the object is another one by now.
            known.forget(&api, object);
        }
    })?;
    let body = answer.json()?;
    let records = body["records"].as_array().ok_or_else(|| answer.unreadable("it holds no records"))?;
    let upper = server_time(&answer, &cx) - SignedDuration::from_secs(with["lag_s"].as_i64().unwrap_or(LAG_S));
    let mut events = Vec::new();
    let mut reached = None;
    let mut cut = false;
    for record in records {
        let stamp = record[by.as_str()].as_str().and_then(moment);
        let (Some(stamp), Some(id)) = (stamp, record["Id"].as_str()) else {
            return Err(answer.unreadable("a record has no time or no id"));
        };
        if stamp > upper {
            cut = true;
            break;
        }
        let key = if changes { format!("{id}:{}", soql_moment(stamp)) } else { id.to_owned() };
        reached = Some((stamp, id.to_owned()));
        let untouched = record["CreatedDate"] == record[by.as_str()];
        if !(flag(&with, "only_updated") && untouched) {
            events.push(Occurrence { key, data: json!({ "record": bare(record.clone()) }) });
        }
    }
    let more = !cut && (records.len() >= batch(&with) || body["done"] == false);
    Ok(Polled { events, cursor: json!(next(&start, reached, upper, more)?), more })
}

/// Records of one question.
fn batch(with: &Json) -> usize {
    let given = with["batch_size"].as_u64().and_then(|size| usize::try_from(size).ok());
    given.map_or(PAGE, |size| size.clamp(1, PAGE))
}

/// The next place: behind the last record while there is more; else a stretch back, to see what came late.
fn next(start: &Place, reached: Option<(Timestamp, String)>, upper: Timestamp, more: bool) -> Result<Place, StepError> {
    if let (true, Some((stamp, id))) = (more, &reached) {
        return Ok(Place { at: soql_moment(*stamp), id: id.clone(), floor: start.floor.clone() });
    }
    let floor = moment(&start.floor).ok_or_else(cursor_lost)?;
    let back = upper - SignedDuration::from_secs(OVERLAP_S);
    Ok(Place { at: soql_moment(back.max(floor)), id: String::new(), floor: start.floor.clone() })
}

fn followed(described: &Json, with: &Json, changes: bool) -> Result<String, StepError> {
    let own = text(with, "by");
    let wanted: &[&str] = match (changes, own) {
        (true, "") => &["SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime"],
        (true, own) => &[own],
        (false, _) => &["CreatedDate", "SystemModstamp", "LoginTime"],
    };
    clock(described, wanted).map(str::to_owned).ok_or_else(|| {
        let object = described["name"].as_str().unwrap_or("this object");
        StepError::new(
            ErrorClass::Invalid,
            "NOT_FOLLOWED",
            format!("the records of {object} have no time that can be asked for, so new ones cannot be found"),
        )
        .with_next("Choose another object, or use a scheduled query.")
    })
}

fn question(described: &Json, with: &Json, by: &str, start: &Place) -> Result<String, StepError> {
    let named: Vec<&str> = with.get("fields").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let mut fields: Vec<String> = if named.is_empty() {
        plain_fields(described)
    } else {
        named.into_iter().map(|field| name(field).map(str::to_owned)).collect::<Result<_, _>>()?
    };
    if fields.iter().map(|field| field.len() + 1).sum::<usize>() > FIELDS_CHARS_MAX {
        return Err(StepError::new(
            ErrorClass::Invalid,
            "QUERY_TOO_LONG",
            "the object has more fields than can be asked for at once",
        )
        .with_next("Name the fields you need in the trigger's settings."));
    }
    for needed in ["Id", by, "CreatedDate"] {
        let there = described["fields"].as_array().into_iter().flatten().any(|field| field["name"] == needed);
        if there && !fields.iter().any(|field| field.eq_ignore_ascii_case(needed)) {
            fields.push(needed.to_owned());
        }
    }
    let Place { at, id, .. } = start;
    let mut all = conditions(with)?;
    all.push(if id.is_empty() {
        format!("{by} >= {at}")
    } else {
        format!("({by} > {at} OR ({by} = {at} AND Id > {}))", quoted(id))
    });
    let object = name(text(with, "object"))?;
    let (fields, conditions, most) = (fields.join(","), all.join(" AND "), batch(with));
    Ok(format!("SELECT {fields} FROM {object} WHERE {conditions} ORDER BY {by} ASC, Id ASC LIMIT {most}"))
}

/// Salesforce's clock; ours only where it tells none.
fn server_time(answer: &Answer, cx: &Cx) -> Timestamp {
    let told = answer
        .header("date")
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .and_then(|date| Timestamp::try_from(date).ok());
    told.or_else(|| Timestamp::from_microsecond(cx.now_us()).ok()).unwrap_or_default()
}

async fn deleted(cx: Cx, with: Json, from: Position) -> Result<Polled, StepError> {
    let api = Api::of(&cx)?;
    let start = place(&from)?;
    let object = text(&with, "object");
    let now = Timestamp::from_microsecond(cx.now_us()).unwrap_or_default();
    let oldest = now - SignedDuration::from_secs(DELETED_S);
    let wanted = moment(&start.at).ok_or_else(cursor_lost)?;
    let begin = wanted.max(oldest).min(now - SignedDuration::from_secs(120));
    // The end may lie ahead of the org's clock; it tells how far it looked.
    let end = now + SignedDuration::from_secs(60);
    let call = api.get(&["sobjects", object, "deleted"]).query([("start", soql_moment(begin)), ("end", soql_moment(end))]);
    let answer = api.send(call).await?;
    let body = answer.json()?;
    let list = body["deletedRecords"].as_array().ok_or_else(|| answer.unreadable("it holds no list"))?;
    let covered = body["latestDateCovered"]
        .as_str()
        .and_then(moment)
        .ok_or_else(|| answer.unreadable("it does not say how far it looked"))?;
    let floor = moment(&start.floor).ok_or_else(cursor_lost)?;
    let mut events = Vec::new();
    let earliest = body["earliestDateAvailable"].as_str().and_then(moment).map_or(oldest, |earliest| earliest.max(oldest));
    if wanted < earliest {
        tracing::warn!(object, "salesforce.deleted: deletions are older than Salesforce tells");
        let data = json!({ "id": null, "object": object, "deleted_at": null, "lost": true, "lost_after": start.at });
        events.push(Occurrence { key: format!("lost:{}", start.at), data });
    }
    for one in list {
        let (Some(id), Some(at)) = (one["id"].as_str(), one["deletedDate"].as_str()) else {
            return Err(answer.unreadable("a deleted record has no id or no time"));
        };
        // Seconds are all that is told.
        if moment(at).is_some_and(|at| at.as_second() >= floor.as_second()) {
            events.push(Occurrence {
                key: format!("{id}:{at}"),
                data: json!({ "id": id, "object": object, "deleted_at": at, "lost": false, "lost_after": null }),
            });
        }
    }
    let at = (covered - SignedDuration::from_secs(OVERLAP_S)).max(begin.min(covered)).max(floor);
    let cursor = Place { at: soql_moment(at), id: String::new(), floor: start.floor };
    Ok(Polled { events, cursor: json!(cursor), more: false })
}

/// Which question of a scheduled query comes next.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    since: i64,
    turn: u64,
}

async fn scheduled(cx: Cx, with: Json, from: Position) -> Result<Polled, StepError> {
    let turn = match from {
        Position::Since(since) => Turn { since, turn: 0 },
        Position::After(cursor) => read_cursor(&cursor)?,
    };
    let api = Api::of(&cx)?;
    let soql = super::filter::bound(text(&with, "soql"), with.get("params"))?;
    let mut page = super::query::records(&api, &super::query::ask(&api, "query", &soql).await?, None).await?;
    let mut records = std::mem::take(&mut page.items);
    while let Some(next) = page.next.as_ref().and_then(|next| next["next"].as_str()) {
        if records.len() > SCHEDULED_MAX {
            break;
        }
        page = super::query::onward(&api, next).await?;
        records.append(&mut page.items);
    }
    if records.len() > SCHEDULED_MAX {
        return Err(StepError::new(
            ErrorClass::Invalid,
            "TOO_MANY_ITEMS",
            format!("the query finds more than {SCHEDULED_MAX} records, too many for one event"),
        )
        .with_next("Add a LIMIT, or start a recipe by the clock that goes through a search page by page."));
    }
    let quiet = records.is_empty() && flag(&with, "skip_empty");
    let key = format!("soql:{}:{}", turn.since, turn.turn);
    let data = json!({ "total_size": records.len(), "records": records });
    let events = if quiet { Vec::new() } else { vec![Occurrence { key, data }] };
    Ok(Polled { events, cursor: json!(Turn { since: turn.since, turn: turn.turn + 1 }), more: false })
}
