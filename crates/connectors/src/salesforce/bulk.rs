//! Bulk API 2.0: loads of many records, and queries read as CSV.

use std::time::Duration;

use ::http::{HeaderValue, Method, header};
use bytes::Bytes;
use connector::{Action, Cx, Doubt, Effect, ErrorClass, Page, StepError, api::Answer, files::File, whole};
use serde_json::{Map, Value as Json, json};

use super::{
    api::{Api, flag, invalid, text},
    csv_rows::{ERROR, Edges, Rows, cell, given_back, line},
    errors::{IN_BIN, of_row},
    field_input,
    filter::bound,
    input, object_input,
};

/// Bytes of one upload; Salesforce takes 100 MB, our memory less.
const UPLOAD_BYTES: usize = 20_000_000;
/// How a file in UTF-8 may begin.
const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
/// Rows given as a list.
const ROWS_MAX: usize = 200_000;
/// Refused rows, and rows not looked at, told in the answer of a load; the others are read by `bulk_results`.
const TOLD_MAX: usize = 10_000;
/// Bytes of all those rows, of however many jobs.
const TOLD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rows of a page of results or of a query.
const PAGE: usize = 2_000;
/// Rows a bulk query holds at once.
const HELD_MAX: usize = 50_000;
/// First and longest pause between two looks at a job.
const LOOK_FIRST: Duration = Duration::from_millis(250);
const LOOK_LAST: Duration = Duration::from_secs(30);
/// Time of the attempt kept back for reading results.
const KEPT_BACK: Duration = Duration::from_secs(5);

pub(super) fn actions() -> Vec<Action> {
    let refused = json!({"type": "array", "description": "Rows that were refused, as they were given, each with its error.", "items": {"type": "object", "required": ["error", "row"], "properties": {"id": {"type": ["string", "null"]}, "error": {"type": "object"}, "row": {"type": "object"}}}});
    let load = json!({"type": "object", "additionalProperties": false, "required": ["jobs", "state", "processed", "succeeded", "failed", "refused", "unprocessed"], "properties": {
        "jobs": {"type": "array", "items": {"type": "string"}, "description": "Ids of the bulk jobs."}, "state": {"type": "string", "description": "complete, failed, aborted or running."},
        "processed": {"type": "integer"}, "succeeded": {"type": "integer"}, "failed": {"type": "integer"}, "refused": refused, "refused_cut": {"type": "boolean", "description": "True when there are more refused rows than are told here."},
        "unprocessed": {"type": "array", "items": {"type": "object"}, "description": "Rows that were not looked at because a job failed; send these again."}, "unprocessed_cut": {"type": "boolean", "description": "True when there are more such rows than are told here; bulk_results reads them all."}, "message": {"type": ["string", "null"]}}});
    vec![
        Action::new("bulk_load", "Load many records", "Creates, changes or deletes very many records by a bulk job, and tells which rows were refused.", load_all)
            .effect(|input| if text(input, "operation") == "insert" { Effect::Once } else { Effect::Idempotent })
            .input(input(json!({"object": object_input(), "operation": {"type": "string", "enum": ["insert", "update", "upsert", "delete", "hardDelete"], "title": "Operation", "description": "hardDelete leaves nothing in the recycle bin and needs a permission of its own."},
                "key_field": field_input("Key field", "For upsert: an external id field; each row holds it."),
                "rows": {"type": "array", "title": "Records", "maxItems": ROWS_MAX, "items": {"type": "object", "additionalProperties": true}, "description": "Values by field API name; a missing value leaves its field alone, null empties it. A parent by its own key: \"Account.External_Id__c\"."},
                "file": File::schema(), "delimiter": {"type": "string", "enum": ["COMMA", "TAB", "PIPE", "SEMICOLON", "CARET", "BACKQUOTE"], "default": "COMMA", "title": "Delimiter", "description": "Of the file."},
                "line_ending": {"type": "string", "enum": ["LF", "CRLF"], "default": "LF", "title": "Line ending", "description": "Of the file."},
                "wait": {"type": "boolean", "default": true, "title": "Wait for the results"},
                "broken_job": {"type": "string", "enum": ["fail", "tell"], "default": "fail", "title": "A job that breaks off", "description": "fail: the step fails with BULK_JOB_FAILED. tell: the step is done, state says failed or aborted, and unprocessed holds the rows that are still to be sent; the recipe looks at them."}}), &["object", "operation"]))
            .output(load)
            .sample(json!({"jobs": ["750xx00000000BcAAI"], "state": "complete", "processed": 2, "succeeded": 1, "failed": 1, "unprocessed": [], "message": null,
                "refused": [{"id": null, "row": {"Name": ""}, "error": {"code": "REQUIRED_FIELD_MISSING", "class": "invalid", "message": "a required field is missing", "fields": []}}]})),
        Action::new("bulk_results", "Read the results of a load", "Reads the rows of a bulk job that were refused, written or not looked at.", |cx, given| async move {
                let rows = whole(HELD_MAX, |cursor| results_page(cx.clone(), given.clone(), cursor)).await?;
                Ok(json!({ "rows": rows }))
            })
            .reads()
            .input(input(json!({"job": {"type": "string", "title": "Job id", "pattern": "^750[A-Za-z0-9]{12}([A-Za-z0-9]{3})?$"}, "which": {"type": "string", "enum": ["refused", "written", "unprocessed"], "default": "refused", "title": "Which rows"}}), &["job"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["rows"], "properties": {"rows": {"type": "array", "items": {"type": "object"}}}}))
            .sample(json!({"rows": [{"id": "001xx000003DGb1AAG", "created": true, "row": {"Name": "Acme"}}]}))
            .pages(results_page),
        Action::new("bulk_query", "Query very many records", "Asks with SOQL for very many records, which are read in pages.", |cx, given| async move {
                let records = whole(HELD_MAX, |cursor| over(query_page(cx.clone(), given.clone(), cursor))).await?;
                Ok(json!({ "total_size": records.len(), "records": records }))
            })
            .reads()
            .input(input(json!({"soql": {"type": "string", "title": "SOQL", "x-syntax": "soql", "description": "Without groups, lists of children and OFFSET. Values are put in as :name."},
                "params": {"type": "object", "title": "Values", "additionalProperties": true}, "deleted": {"type": "boolean", "default": false, "title": "Deleted ones too"}}), &["soql"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["total_size", "records"], "properties": {"records": {"type": "array", "items": {"type": "object"}, "description": "All values are texts, as in the CSV."}, "total_size": {"type": "integer"}}}))
            .sample(json!({"records": [{"Id": "001xx000003DGb1AAG", "Name": "Acme"}], "total_size": 1}))
            .pages(query_page),
    ]
}

/// A part of a load on its way: a job and whether its outcome is known.
struct Sent {
    id: String,
    last: Json,
}

impl Sent {
    fn over(&self) -> bool {
        matches!(self.last["state"].as_str(), Some("JobComplete" | "Failed" | "Aborted"))
    }
}

/// A job goes on in the org whether we wait or not; to try again would begin another one.
fn still_running(what: &str) -> StepError {
    invalid(
        "BULK_JOB_RUNNING",
        what,
        "Give the step more time (timeout). A load can also go on with wait: false and bulk_results later; a query in an each step with stream: true takes any time.",
    )
}

async fn load_all(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    if text(&given, "operation") == "upsert" && text(&given, "key_field").is_empty() {
        return Err(invalid(
            "INPUT_INVALID",
            "an upsert needs the key field that records are found by",
            "Name an external id field.",
        ));
    }
    let mut sent: Vec<Sent> = Vec::new();
    let done = match File::read(given.get("file").unwrap_or(&Json::Null), cx.http.files())? {
        Some(file) => send_file(&api, &given, &file, &mut sent).await,
        None => send_rows(&api, &given, &mut sent).await,
    };
    if let Err(error) = done {
        return Err(after(&sent, &given, error));
    }
    if given.get("wait").and_then(Json::as_bool).unwrap_or(true) {
        for one in &mut sent {
            if let Err(error) = wait(&api, "ingest", one).await {
                let told = StepError { doubt: Doubt::MayHaveHappened, ..error };
                return Err(after(&sent, &given, told));
            }
        }
        if sent.iter().any(|one| !one.over()) {
            let error = still_running("the bulk load is still running when the step's time is over");
            return Err(StepError { doubt: Doubt::MayHaveHappened, ..after(&sent, &given, error) });
        }
    }
    if text(&given, "broken_job") != "tell"
        && let Some(error) = broken(&sent, &given)
    {
        return Err(after(&sent, &given, error));
    }
    told(&api, &given, &sent).await.map_err(|error| {
        // The rows are written, whatever becomes of the lists of results.
        after(&sent, &given, StepError { doubt: Doubt::MayHaveHappened, ..error })
    })
}

/// Rows that are gone already say so when they are deleted once more.
fn deletes(given: &Json) -> bool {
    matches!(text(given, "operation"), "delete" | "hardDelete")
}

/// What it means that jobs were broken off by Salesforce or by somebody there: the rest of their rows was never looked at.
fn broken(sent: &[Sent], given: &Json) -> Option<StepError> {
    let broke: Vec<&Sent> = sent.iter().filter(|one| matches!(one.last["state"].as_str(), Some("Failed" | "Aborted"))).collect();
    let why = broke.iter().find_map(|one| one.last["errorMessage"].as_str()).unwrap_or("Salesforce gives no reason").to_owned();
    let count = |name: &str| sent.iter().filter_map(|one| one.last[name].as_u64()).sum::<u64>();
    let (processed, failed) = (count("numberRecordsProcessed"), count("numberRecordsFailed"));
    let parts = match (broke.len(), sent.len()) {
        (0, _) => return None,
        (1, 1) => "the bulk job broke off".to_owned(),
        (broke, all) => format!("{broke} of {all} bulk jobs broke off"),
    };
    // A batch under way when somebody aborts the job may still be written.
    let nothing = processed == 0 && broke.iter().all(|one| one.last["state"] == "Failed");
    let next = if text(given, "operation") == "insert" && !nothing {
        "Do not repeat it: what is written would be there twice. Load the rows bulk_results gives as unprocessed, then say that it happened."
    } else {
        "Put right what the reason names, then resume the run: the rows are loaded again. With broken_job: tell the recipe deals with it itself."
    };
    let class = if nothing { ErrorClass::Invalid } else { ErrorClass::Partial };
    let written = processed.saturating_sub(failed);
    let mut error =
        StepError::new(class, "BULK_JOB_FAILED", format!("{parts} after {processed} rows, {written} of them written: {why}"));
    error.next = Some(next.to_owned());
    error.response = Some(Json::Array(broke.iter().map(|one| one.last.clone()).collect()));
    Some(error)
}

/// A load that broke off names its jobs, so that nobody has to guess what was written.
fn after(sent: &[Sent], given: &Json, mut error: StepError) -> StepError {
    if !sent.is_empty() {
        let ids: Vec<&str> = sent.iter().map(|one| one.id.as_str()).collect();
        error.message = format!("{} (bulk jobs {} were begun)", error.message, ids.join(", "));
        // What was refused whole wrote nothing.
        let nothing = error.code == "BULK_JOB_FAILED" && error.class == ErrorClass::Invalid;
        // The next try must know deletions for its own work.
        if (text(given, "operation") == "insert" || deletes(given)) && !nothing {
            error.doubt = Doubt::MayHaveHappened;
        }
    }
    error
}

async fn send_rows(api: &Api<'_>, given: &Json, sent: &mut Vec<Sent>) -> Result<(), StepError> {
    let rows = given.get("rows").and_then(Json::as_array).filter(|rows| !rows.is_empty());
    let rows = rows.ok_or_else(|| {
        invalid("INPUT_INVALID", "there is nothing to load", "Give rows or a file; skip the step when there are none.")
    })?;
    let mut names: Vec<&str> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for name in rows.iter().filter_map(Json::as_object).flat_map(Map::keys) {
        if known.insert(name.as_str()) {
            names.push(name);
        }
    }
    let mut heading = Vec::new();
    line(names.iter().copied(), &mut heading);
    let mut upload = heading.clone();
    for (place, row) in rows.iter().enumerate() {
        let cells = names.iter().map(|name| {
            row.get(*name)
                .map_or(Ok(String::new()), cell)
                .map_err(|why| invalid("INPUT_INVALID", format!("the field {name} of row {place} {why}"), "Correct the row."))
        });
        let cells: Vec<String> = cells.collect::<Result<_, _>>()?;
        line(cells.iter().map(String::as_str), &mut upload);
        if upload.len() >= UPLOAD_BYTES {
            let full = std::mem::replace(&mut upload, heading.clone());
            send_part(api, given, full, sent).await?;
        }
    }
    if upload.len() > heading.len() { send_part(api, given, upload, sent).await } else { Ok(()) }
}

/// Sends a CSV file in parts that end where a record ends, each with the heading.
async fn send_file(api: &Api<'_>, given: &Json, file: &File, sent: &mut Vec<Sent>) -> Result<(), StepError> {
    let files = api
        .cx
        .http
        .files()
        .ok_or_else(|| StepError::new(ErrorClass::Internal, "FILES_MISSING", "this process keeps no files"))?;
    let mut reader = files.open(&file.token).await?;
    let (mut edges, mut buffer, mut edge, mut heading) = (Edges::default(), Vec::new(), 0, Vec::new());
    let mut start = Some(Vec::new());
    while let Some(mut piece) = reader.next().await? {
        if let Some(mut begun) = start.take() {
            begun.extend_from_slice(&piece);
            if begun.len() < MARK.len() {
                start = Some(begun);
                continue;
            }
            piece = without_mark(begun, file)?;
        }
        if let Some(end) = edges.last(&piece) {
            edge = buffer.len() + end;
        }
        buffer.extend_from_slice(&piece);
        if heading.is_empty() && edge > 0 {
            let end = Edges::default().first(&buffer).unwrap_or(edge);
            heading = buffer[..end].to_vec();
        }
        if buffer.len() >= UPLOAD_BYTES && edge > heading.len() {
            let rest = buffer.split_off(edge);
            let full = std::mem::replace(&mut buffer, [heading.clone(), rest].concat());
            edge = heading.len();
            send_part(api, given, full, sent).await?;
        }
    }
    if buffer.len() > heading.len() {
        send_part(api, given, buffer, sent).await
    } else if !sent.is_empty() {
        // The last piece filled a part to its end.
        Ok(())
    } else {
        Err(invalid(
            "INPUT_INVALID",
            format!("the file \"{}\" holds no records", file.name),
            "Give a CSV file with a heading and records.",
        ))
    }
}

/// The start of a file without its byte order mark, which Salesforce would take for a part of the first heading.
fn without_mark(start: Vec<u8>, file: &File) -> Result<Bytes, StepError> {
    if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
        let words = format!("the file \"{}\" is written in UTF-16, and Salesforce takes UTF-8", file.name);
        return Err(invalid("INPUT_INVALID", words, "Write the file in UTF-8."));
    }
    let start = Bytes::from(start);
    Ok(if start.starts_with(&MARK) { start.slice(MARK.len()..) } else { start })
}

async fn send_part(api: &Api<'_>, given: &Json, upload: Vec<u8>, sent: &mut Vec<Sent>) -> Result<(), StepError> {
    let named = |name: &str, or: &str| given.get(name).and_then(Json::as_str).unwrap_or(or).to_owned();
    let from_file = given.get("file").is_some_and(|file| !file.is_null());
    let mut job = json!({ "object": given["object"], "operation": given["operation"], "contentType": "CSV",
        "columnDelimiter": if from_file { named("delimiter", "COMMA") } else { "COMMA".to_owned() },
        "lineEnding": if from_file { named("line_ending", "LF") } else { "LF".to_owned() } });
    if text(given, "operation") == "upsert" {
        job["externalIdFieldName"] = given["key_field"].clone();
    }
    // A job that was only opened does nothing, whatever becomes of the answer.
    let settled = |error: StepError| StepError { doubt: Doubt::Settled, ..error };
    let answer = api.send(api.call(Method::POST, api.url(&["jobs", "ingest"])).json(&job)).await.map_err(settled)?;
    let body = answer.json().map_err(settled)?;
    let id = body["id"].as_str().ok_or_else(|| settled(answer.unreadable("it names no job")))?.to_owned();
    let put = api.call(Method::PUT, api.url(&["jobs", "ingest", &id, "batches"])).body("text/csv", Bytes::from(upload));
    if let Err(error) = api.nothing(put).await {
        abort(api, &id).await;
        return Err(settled(error));
    }
    sent.push(Sent { id: id.clone(), last: body });
    let close = api.call(Method::PATCH, api.url(&["jobs", "ingest", &id])).json(&json!({ "state": "UploadComplete" }));
    match api.json(close).await {
        Ok(_) => Ok(()),
        // The answer was lost, or came from a server in trouble: the job itself knows whether it was closed.
        Err(error)
            if error.code != connector::BUDGET_SPENT && (error.doubt == Doubt::MayHaveHappened || error.class.is_transient()) =>
        {
            let job = api.json(api.get(&["jobs", "ingest", &id])).await?;
            if job["state"] != "Open" {
                return Ok(());
            }
            not_begun(api, sent, &id).await;
            Err(StepError { doubt: Doubt::Settled, ..error })
        }
        // Nothing of a job is looked at before it is closed.
        Err(error) => {
            not_begun(api, sent, &id).await;
            Err(error)
        }
    }
}

/// The last job stays open: whatever it holds, nothing of it is written.
async fn not_begun(api: &Api<'_>, sent: &mut Vec<Sent>, id: &str) {
    abort(api, id).await;
    sent.pop();
}

/// Ends a job that was opened and not begun; another one is opened by the next try. A job that cannot be ended does
/// nothing either, and Salesforce forgets it after a day.
async fn abort(api: &Api<'_>, id: &str) {
    let call = api.call(Method::PATCH, api.url(&["jobs", "ingest", id])).json(&json!({ "state": "Aborted" }));
    let _ = api.send(call).await;
}

/// Looks at a job until it is over, or the attempt's time is.
async fn wait(api: &Api<'_>, kind: &str, one: &mut Sent) -> Result<(), StepError> {
    let mut pause = LOOK_FIRST;
    loop {
        match api.json(api.get(&["jobs", kind, &one.id])).await {
            Ok(seen) => one.last = seen,
            // It goes on without being looked at, and would be loaded again by another try.
            Err(error) if error.code == connector::BUDGET_SPENT => return Ok(()),
            Err(error) => return Err(error),
        }
        if one.over() || api.cx.left() <= KEPT_BACK + pause {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_LAST);
    }
}

async fn told(api: &Api<'_>, given: &Json, sent: &[Sent]) -> Result<Json, StepError> {
    // An earlier try whose answer was lost may have deleted them: that is what was wanted.
    let ours = if api.cx.in_doubt && deletes(given) { Some(IN_BIN) } else { None };
    let count = |name: &str| sent.iter().filter_map(|one| one.last[name].as_u64()).sum::<u64>();
    let (processed, mut failed) = (count("numberRecordsProcessed"), count("numberRecordsFailed"));
    let (mut refused, mut unprocessed, mut message, mut states) = (Vec::new(), Vec::new(), Json::Null, Vec::new());
    let (mut unprocessed_cut, mut bytes) = (false, TOLD_BYTES_MAX);
    for one in sent {
        let state = one.last["state"].as_str().unwrap_or_default();
        states.push(state);
        let bad = one.last["numberRecordsFailed"].as_u64().unwrap_or_default();
        if bad > 0 && (refused.len() < TOLD_MAX && bytes > 0 || ours.is_some()) {
            let rows = Rows::new(0, TOLD_MAX - refused.len()).within(bytes).without(ours);
            let (rows, answer) = results(api, &one.id, "failedResults", rows).await?;
            if ours.is_some() && rows.seen as u64 != bad {
                return Err(answer.unreadable(&format!("it has {} refused rows, and the bulk job has {bad}", rows.seen)));
            }
            failed -= rows.seen_done as u64;
            bytes = bytes.saturating_sub(rows.held);
            refused.extend(rows.rows.into_iter().map(result));
        }
        if matches!(state, "Failed" | "Aborted") {
            message = one.last["errorMessage"].clone();
            let rows = Rows::new(0, TOLD_MAX - unprocessed.len()).within(bytes);
            let (rows, _) = results(api, &one.id, "unprocessedrecords", rows).await?;
            bytes = bytes.saturating_sub(rows.held);
            unprocessed_cut |= rows.rows.len() < rows.seen;
            unprocessed.extend(rows.rows.into_iter().map(|row| result(row)["row"].take()));
        }
    }
    let state = match () {
        () if states.contains(&"Failed") => "failed",
        () if states.contains(&"Aborted") => "aborted",
        () if states.iter().all(|state| *state == "JobComplete") => "complete",
        () => "running",
    };
    let ids: Vec<&str> = sent.iter().map(|one| one.id.as_str()).collect();
    Ok(
        json!({ "jobs": ids, "state": state, "processed": processed, "succeeded": processed.saturating_sub(failed), "failed": failed,
        "refused_cut": (refused.len() as u64) < failed, "refused": refused, "unprocessed": unprocessed, "unprocessed_cut": unprocessed_cut, "message": message }),
    )
}

/// Reads a job's list of results.
async fn results(api: &Api<'_>, id: &str, which: &str, mut rows: Rows) -> Result<(Rows, Answer), StepError> {
    let call =
        api.get(&["jobs", "ingest", id, which]).header(header::ACCEPT, "text/csv").header(header::ACCEPT_ENCODING, "identity");
    let answer = api.send_into(call, &mut rows).await?;
    csv(&answer)?;
    rows.finish()?;
    Ok((rows, answer))
}

/// A gateway's page is no CSV.
fn csv(answer: &Answer) -> Result<(), StepError> {
    let kind = answer.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"text/csv") { Ok(()) } else { Err(answer.unreadable("CSV was expected")) }
}

/// A row of results with Salesforce's own columns apart.
fn result(mut row: Map<String, Json>) -> Json {
    let mut own = |name: &str| row.shift_remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let (id, created, error) = (own("sf__Id"), own("sf__Created"), own(ERROR));
    let mut out = json!({ "id": id.filter(|id| !id.is_empty()), "row": given_back(row) });
    if let Some(created) = created {
        out["created"] = json!(created == "true");
    }
    if let Some(error) = error {
        out["error"] = refusal(&error);
    }
    out
}

/// `REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --`
fn refusal(text: &str) -> Json {
    let text = text.trim().trim_end_matches("--").trim_end();
    let (code, rest) = text.split_once(':').unwrap_or((text, ""));
    let (words, fields) = rest.rsplit_once(':').unwrap_or((rest, ""));
    let plain = fields.split(',').map(str::trim).filter(|field| !field.is_empty());
    let fields: Vec<&str> =
        plain.filter(|field| field.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')).collect();
    let words = if fields.is_empty() && !rest.ends_with(':') { rest } else { words };
    of_row(&json!({ "statusCode": code, "message": words, "fields": fields }))
}

async fn results_page(cx: Cx, given: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let api = Api::of(&cx)?;
    let from = cursor.and_then(|cursor| cursor["from"].as_u64()).and_then(|from| usize::try_from(from).ok()).unwrap_or_default();
    let which = match text(&given, "which") {
        "written" => "successfulResults",
        "unprocessed" => "unprocessedrecords",
        _ => "failedResults",
    };
    let id = text(&given, "job");
    let (rows, answer) = results(&api, id, which, Rows::new(from, PAGE)).await?;
    let (seen, items) = (rows.seen, rows.rows.into_iter().map(result).collect::<Vec<_>>());
    let next = from + items.len();
    if next < seen {
        return Ok(Page { next: Some(json!({ "from": next })), items });
    }
    if which != "unprocessedrecords" {
        match expected(&api, id, which).await? {
            Some(rows) if rows != seen as u64 => {
                return Err(answer.unreadable(&format!("it has {seen} rows of this kind, and the bulk job {id} has {rows}")));
            }
            _ => {}
        }
    }
    Ok(Page { next: None, items })
}

/// How many rows there are, once the job is over: an answer that was cut between two rows looks whole.
async fn expected(api: &Api<'_>, id: &str, which: &str) -> Result<Option<u64>, StepError> {
    let job = api.json(api.get(&["jobs", "ingest", id])).await?;
    let count = |name: &str| job[name].as_u64().unwrap_or_default();
    let failed = count("numberRecordsFailed");
    let rows = if which == "failedResults" { failed } else { count("numberRecordsProcessed").saturating_sub(failed) };
    Ok(matches!(text(&job, "state"), "JobComplete" | "Failed" | "Aborted").then_some(rows))
}

/// A page for those who hold all of them at once: there is nobody to come back to a job that goes on.
async fn over(page: impl Future<Output = Result<Page, StepError>>) -> Result<Page, StepError> {
    let page = page.await?;
    match page.next.as_ref().filter(|next| next["running"] == true) {
        Some(next) => Err(still_running(&format!("the bulk query {} is still running", text(next, "job")))),
        None => Ok(page),
    }
}

/// A page of a bulk query; the first begins the job. While the job runs, pages are empty and name it, so that it is
/// waited for as long as it takes and never begun twice.
async fn query_page(cx: Cx, given: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let api = Api::of(&cx)?;
    let (job, locator) = match &cursor {
        Some(cursor) => (text(cursor, "job").to_owned(), text(cursor, "locator").to_owned()),
        None => (begin_query(&api, &given).await?, String::new()),
    };
    if locator.is_empty() && !complete(&api, &job).await? {
        return Ok(Page { items: Vec::new(), next: Some(json!({ "job": job, "running": true })) });
    }
    let (rows, answer) = query_rows(&api, &job, &locator).await?;
    let told = answer.header("sforce-numberofrecords").and_then(|count| count.parse::<usize>().ok());
    if told.is_some_and(|told| told != rows.seen) {
        return Err(answer.unreadable("it holds fewer records than it says"));
    }
    // On the last page the locator is the word null.
    let next = answer.header("sforce-locator").filter(|next| !matches!(*next, "null" | ""));
    if next == Some(locator.as_str()) {
        return Err(answer.unreadable("its pages do not go on"));
    }
    let next = next.map(|next| json!({ "job": job, "locator": next }));
    Ok(Page { items: rows.rows.into_iter().map(Json::Object).collect(), next })
}

/// The rows of a page of a query. Where they are too long to be held together, fewer are asked for.
async fn query_rows(api: &Api<'_>, job: &str, locator: &str) -> Result<(Rows, Answer), StepError> {
    let mut most = PAGE;
    loop {
        let mut rows = Rows::new(0, most);
        let mut call = api.get(&["jobs", "query", job, "results"]).query([("maxRecords", most.to_string())]);
        if !locator.is_empty() {
            call = call.query([("locator", locator)]);
        }
        let call = call.header(header::ACCEPT, "text/csv").header(header::ACCEPT_ENCODING, "identity");
        let answer = api.send_into(call, &mut rows).await?;
        csv(&answer)?;
        rows.finish()?;
        match rows.rows.len() {
            held if held == rows.seen => return Ok((rows, answer)),
            held if held < most => most = held,
            _ => return Err(answer.unreadable("it holds more records than were asked for")),
        }
    }
}

async fn begin_query(api: &Api<'_>, given: &Json) -> Result<String, StepError> {
    let soql = bound(text(given, "soql"), given.get("params"))?;
    let operation = if flag(given, "deleted") { "queryAll" } else { "query" };
    let answer = api
        .send(api.call(Method::POST, api.url(&["jobs", "query"])).json(&json!({ "operation": operation, "query": soql })))
        .await?;
    let body = answer.json()?;
    body["id"].as_str().map(str::to_owned).ok_or_else(|| answer.unreadable("it names no job"))
}

/// Waits for a query's job as long as the attempt has time; true when it is done.
async fn complete(api: &Api<'_>, id: &str) -> Result<bool, StepError> {
    let mut one = Sent { id: id.to_owned(), last: Json::Null };
    wait(api, "query", &mut one).await?;
    match one.last["state"].as_str() {
        Some("JobComplete") => Ok(true),
        Some("Failed" | "Aborted") => {
            let words = one.last["errorMessage"].as_str().unwrap_or("Salesforce does not say why").to_owned();
            Err(invalid(
                "BULK_QUERY_FAILED",
                format!("the bulk query {id} failed: {words}"),
                "Ask for less, or use a filter by an indexed field.",
            ))
        }
        _ => Ok(false),
    }
}
