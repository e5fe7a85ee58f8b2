//! Loads: created, filled with CSV, worked on, and their three lists of results.

use std::{io::Cursor, sync::Arc};

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::{
    Ingest, Load, State, UPLOAD_BYTES_MAX, Work, form,
    rows::{Row, fields, line, writer},
};
use crate::salesforce::{
    answer::Answer,
    errors::{Outcome, Trouble},
    org::Org,
    rest::Call,
    schema::place,
    system::System,
    write::{Upserted, Writer},
};

/// Longest multipart load, in characters.
const ONE_SHOT_MAX: usize = 100_000;
const OPERATIONS: &[&str] = &["insert", "update", "upsert", "delete", "hardDelete"];

impl System {
    pub(super) fn new_ingest(&self, org: &Org, call: &Call) -> Outcome<Answer> {
        let (body, content) = match &call.parts[..] {
            [] => (call.object()?, None),
            parts => {
                let find = |name: &str| parts.iter().find(|part| part.name == name).map(|part| part.bytes.clone());
                let job = find("job").ok_or_else(|| Trouble::bad("INVALIDJOB", "The part job is missing"))?;
                let body: Json = serde_json::from_slice(&job).map_err(Trouble::json)?;
                let content = find("content").ok_or_else(|| Trouble::bad("INVALIDJOB", "The part content is missing"))?;
                if content.len() > ONE_SHOT_MAX {
                    return Err(Trouble::bad("INVALIDJOB", format!("Multipart data may have at most {ONE_SHOT_MAX} characters")));
                }
                (body.as_object().cloned().unwrap_or_default(), Some(content))
            }
        };
        let mut load = self.described(org, call, &body)?;
        let at_once = content.is_some();
        if let (Work::Ingest(ingest), Some(content)) = (&mut load.work, content) {
            ingest.upload = Some(content);
            load.state = State::UploadComplete;
        }
        let mut loads = self.loads.lock();
        let id = loads.add(load);
        let told = loads.jobs.get(&id).map(Load::brief).unwrap_or_default();
        drop(loads);
        if at_once {
            self.start(id);
        }
        Ok(Answer::ok(Json::Object(told)))
    }

    fn described(&self, org: &Org, call: &Call, body: &Map<String, Json>) -> Outcome<Load> {
        let text = |name: &str| body.get(name).and_then(Json::as_str);
        let operation = text("operation").filter(|operation| OPERATIONS.contains(operation));
        let operation = operation.ok_or_else(|| {
            Trouble::bad("INVALIDJOB", "Unsupported operation; it is one of insert, update, upsert, delete, hardDelete")
        })?;
        let name = text("object").ok_or_else(|| Trouble::bad("INVALIDJOB", "object is required"))?;
        let object =
            org.schema.find(name).ok_or_else(|| Trouble::bad("INVALIDENTITY", format!("Unable to find object: {name}")))?;
        let known = &org.schema.objects[object];
        if !known.bulk || known.event() || !known.writable {
            return Err(Trouble::bad("INVALIDENTITY", format!("Entity '{name}' is not supported by the Bulk API.")));
        }
        let key = text("externalIdFieldName").map(str::to_owned);
        if operation == "upsert" {
            let wanted =
                key.as_deref().ok_or_else(|| Trouble::bad("INVALIDJOB", "externalIdFieldName is required for upsert"))?;
            if known.field(wanted).is_none_or(|field| !field.id_lookup) {
                return Err(Trouble::bad(
                    "INVALIDJOB",
                    format!("Field {wanted} is not an external ID or indexed field of {name}"),
                ));
            }
        }
        if text("contentType").is_some_and(|kind| kind != "CSV") {
            return Err(Trouble::bad("INVALIDJOB", "Unsupported content type; only CSV is supported"));
        }
        let (delimiter, crlf) = form(body)?;
        let now_ms = self.now_ms();
        Ok(Load {
            id: "".into(),
            object,
            object_name: known.name.clone(),
            operation: operation.to_owned(),
            delimiter,
            crlf,
            version: call.version.clone(),
            user: call.user.clone(),
            origin: call.writer(self).origin,
            state: State::Open,
            created_ms: now_ms,
            changed_ms: now_ms,
            message: None,
            work: Work::Ingest(Box::new(Ingest { key, ..Ingest::default() })),
        })
    }

    pub(super) fn upload(&self, call: &Call, id: &str) -> Outcome<Answer> {
        let kind = call.header("content-type").unwrap_or_default();
        if !kind.is_empty() && !kind.starts_with("text/csv") {
            return Err(Trouble::new(415, "UNSUPPORTED_MEDIA_TYPE", format!("Unsupported content type {kind}; use text/csv")));
        }
        if call.body.len() > UPLOAD_BYTES_MAX {
            return Err(Trouble::new(413, "REQUEST_ENTITY_TOO_LARGE", "The upload is larger than 150 MB"));
        }
        let mut loads = self.loads.lock();
        let load = loads.find(id, false)?;
        let open = load.state == State::Open;
        let Work::Ingest(ingest) = &mut load.work else { return Err(Trouble::not_found()) };
        if !open || ingest.upload.is_some() {
            return Err(Trouble::bad("INVALIDJOBSTATE", "Data was uploaded already, or the job is not open"));
        }
        ingest.upload = Some(call.body.clone());
        Ok(Answer::empty(201))
    }

    pub(super) fn results(&self, id: &str, which: &str) -> Outcome<Answer> {
        let mut loads = self.loads.lock();
        let load = loads.find(id, false)?;
        let separator = load.separator();
        let crlf = load.crlf;
        let over = load.state.over();
        let Work::Ingest(ingest) = &load.work else { return Err(Trouble::not_found()) };
        if !over && which != "batches" {
            return Err(Trouble::bad("INVALIDJOBSTATE", "Results are there when the job is complete, failed or aborted"));
        }
        let headed = |first: &[&str], rows: &[u8]| {
            let names = first.iter().copied().chain(ingest.headings.iter().map(String::as_str));
            let mut out = line(separator, crlf, names);
            out.extend_from_slice(rows);
            out
        };
        let body = match which.to_ascii_lowercase().as_str() {
            "successfulresults" => headed(&["sf__Id", "sf__Created"], &ingest.good),
            "failedresults" => headed(&["sf__Id", "sf__Error"], &ingest.bad),
            "unprocessedrecords" => match &ingest.upload {
                Some(upload) if ingest.done_bytes == 0 => upload.to_vec(),
                Some(upload) => headed(&[], upload.get(ingest.done_bytes..).unwrap_or_default()),
                None => Vec::new(),
            },
            _ => return Err(Trouble::not_found()),
        };
        Ok(Answer::bytes(200, "text/csv", body))
    }

    /// Writes the next rows of a load; false when it is through.
    pub(super) fn ingest_batch(&self, id: &Arc<str>) -> bool {
        let settings = self.settings.read().clone();
        let Some((mut batch, plan)) = self.next_rows(id, settings.bulk_batch_rows) else { return false };
        let stop_after = settings.bulk_fail_after_rows;
        let mut org = self.org.lock();
        let writer = Writer { origin: plan.origin.clone(), ..self.writer(&plan.user, "", false) };
        let (mut good, mut bad) = (self::writer(plan.separator, plan.crlf), self::writer(plan.separator, plan.crlf));
        let (mut processed, mut failed, mut done_bytes) = (plan.processed, 0, plan.done_bytes);
        for row in batch.drain(..) {
            if stop_after.is_some_and(|most| processed >= most) {
                break;
            }
            let mark = org.mark();
            let locked = self.lock_row().map_err(|trouble| (String::new(), trouble));
            let outcome = locked.and_then(|()| write(&mut org, &writer, &plan, &row));
            processed += 1;
            done_bytes = row.end;
            let cells = row.record.iter();
            let written = match &outcome {
                Ok((id, created)) => {
                    let created = if *created { "true" } else { "false" };
                    good.write_record([&**id, created].into_iter().chain(cells))
                }
                Err((id, trouble)) => {
                    org.roll_back(mark);
                    failed += 1;
                    bad.write_record([id.as_str(), &trouble.cell()].into_iter().chain(cells))
                }
            };
            debug_assert!(written.is_ok(), "records go into memory");
        }
        self.settle(&mut org);
        drop(org);
        let mut loads = self.loads.lock();
        let Some(load) = loads.jobs.get_mut(id) else { return false };
        load.changed_ms = self.now_ms();
        let Work::Ingest(ingest) = &mut load.work else { return false };
        ingest.good.extend(good.into_inner().unwrap_or_default());
        ingest.bad.extend(bad.into_inner().unwrap_or_default());
        (ingest.processed, ingest.done_bytes) = (processed, done_bytes);
        ingest.failed += failed;
        if stop_after.is_some_and(|most| processed >= most) && !load.state.over() {
            load.state = State::Failed;
            load.message = Some("InternalServerError : Internal error while processing the job".to_owned());
        }
        !load.state.over()
    }

    /// Reads the next rows of a load and what is needed to write them; ends the load when there are none.
    fn next_rows(&self, id: &Arc<str>, most: usize) -> Option<(Vec<Row>, Plan)> {
        let org = self.org.lock();
        let mut loads = self.loads.lock();
        let load = loads.jobs.get_mut(id)?;
        let described = &org.schema.objects[load.object];
        let (separator, object, operation) = (load.separator(), load.object, load.operation.clone());
        let Work::Ingest(ingest) = &mut load.work else { return None };
        let fail = |message: String| (State::Failed, Some(message));
        let (state, message) = match open(ingest, separator, described, &operation) {
            Err(message) => fail(message),
            Ok(()) => {
                let reader = ingest.reader.as_mut()?;
                match read(reader, most) {
                    Err(message) => fail(format!("InvalidBatch : {message}")),
                    Ok(rows) if rows.is_empty() => (State::JobComplete, None),
                    Ok(rows) => {
                        let key = ingest.key.as_deref().and_then(|key| described.place(key));
                        let plan = Plan {
                            object,
                            operation,
                            key,
                            key_name: ingest.key.clone().unwrap_or_default(),
                            headings: ingest.headings.clone(),
                            separator,
                            crlf: load.crlf,
                            user: load.user.clone(),
                            origin: load.origin.clone(),
                            processed: ingest.processed,
                            done_bytes: ingest.done_bytes,
                        };
                        return Some((rows, plan));
                    }
                }
            }
        };
        if state == State::JobComplete {
            ingest.done_bytes = ingest.upload.as_ref().map_or(0, Bytes::len);
            ingest.reader = None;
        }
        load.state = state;
        load.message = message;
        load.changed_ms = self.now_ms();
        None
    }
}

/// What a batch of rows needs to be written.
struct Plan {
    object: usize,
    operation: String,
    key: Option<usize>,
    key_name: String,
    headings: Vec<String>,
    separator: u8,
    crlf: bool,
    user: Arc<str>,
    origin: Arc<str>,
    processed: usize,
    done_bytes: usize,
}

/// Reads the header and checks its names.
fn open(ingest: &mut Ingest, separator: u8, object: &crate::salesforce::schema::Object, operation: &str) -> Result<(), String> {
    if ingest.reader.is_some() {
        return Ok(());
    }
    let upload = ingest.upload.clone().unwrap_or_default();
    let text = std::str::from_utf8(&upload).map_err(|_| "InvalidBatch : The data is not UTF-8".to_owned())?;
    // A byte order mark is part of the first heading; the reader would drop it.
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(Cursor::new(upload.clone()));
    let mut headings: Vec<String> = match reader.headers() {
        Ok(headings) => headings.iter().map(|name| name.trim().to_owned()).collect(),
        Err(error) => return Err(format!("InvalidBatch : {error}")),
    };
    if let Some(first) = headings.first_mut() {
        *first = format!("{mark}{}", first.trim_start_matches('\u{feff}'));
    }
    for name in &headings {
        let first = name.split('.').next().unwrap_or_default();
        let relation = first.split_once(':').map_or(first, |(_, relation)| relation);
        let known = if name.contains('.') { object.relation(relation).is_some() } else { object.place(name).is_some() };
        if !known {
            return Err(format!("InvalidBatch : Field name not found : {name}"));
        }
    }
    if matches!(operation, "delete" | "hardDelete" | "update") && !headings.iter().any(|name| name.eq_ignore_ascii_case("id")) {
        return Err("InvalidBatch : Field name not found : Id".to_owned());
    }
    ingest.headings = headings;
    ingest.reader = Some(reader);
    Ok(())
}

fn read(reader: &mut csv::Reader<Cursor<Bytes>>, most: usize) -> Result<Vec<Row>, String> {
    let mut rows = Vec::with_capacity(most);
    while rows.len() < most {
        let mut record = csv::StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(true) => rows.push(Row { record, end: usize::try_from(reader.position().byte()).unwrap_or(usize::MAX) }),
            Ok(false) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(rows)
}

/// Writes a row: the record's id and whether it is new, or its id as far as it is known and what is wrong.
fn write(org: &mut Org, writer: &Writer, plan: &Plan, row: &Row) -> Result<(Arc<str>, bool), (String, Trouble)> {
    let mut given = fields(&plan.headings, &row.record).map_err(|trouble| (String::new(), trouble))?;
    let id_key = given.keys().find(|name| name.eq_ignore_ascii_case("id")).cloned();
    let id = id_key.and_then(|name| given.shift_remove(&name)).and_then(|id| id.as_str().map(str::to_owned)).unwrap_or_default();
    let missing = || Trouble::bad("MISSING_ARGUMENT", "Id not specified in an update call");
    let object = plan.object;
    let done = match plan.operation.as_str() {
        "insert" => org.insert(writer, object, &given).map(|id| (id, true)),
        "update" if id.is_empty() => Err(missing()),
        "update" => org.update(writer, object, &id, &given).map(|id| (id, false)),
        "delete" | "hardDelete" if id.is_empty() => Err(missing()),
        "delete" | "hardDelete" => {
            org.delete(writer, object, &id, plan.operation == "hardDelete").map(|()| (id.as_str().into(), false))
        }
        _ => {
            let at = plan.key.unwrap_or(place::ID);
            let key = given.keys().find(|name| name.eq_ignore_ascii_case(&plan.key_name)).cloned();
            let value =
                if at == place::ID { Some(Json::String(id.clone())) } else { key.and_then(|key| given.shift_remove(&key)) };
            let value = value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
            match org.upsert(writer, object, (at, &value), &given, false) {
                Ok(Upserted::Created(id)) => Ok((id, true)),
                Ok(Upserted::Updated(id)) => Ok((id, false)),
                Ok(Upserted::Several(ids)) => Err(Trouble::bad(
                    "DUPLICATE_EXTERNAL_ID",
                    format!("{}: more than one record found for external id field: [{}]", plan.key_name, ids.join(", ")),
                )),
                Ok(Upserted::Missing) => Err(Trouble::not_found()),
                Err(trouble) => Err(trouble),
            }
        }
    };
    done.map_err(|trouble| (id, trouble))
}
