//! Bulk API 2.0: loads and queries of many records, as jobs that are waited for.

mod ingest;
mod query;
mod rows;

use std::{
    collections::{HashMap, VecDeque},
    io::Cursor,
    sync::Arc,
};

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    ids,
    org::{Org, Row},
    rest::Call,
    soql::Bound,
    system::System,
    value::datetime,
};

/// Jobs kept; the oldest are forgotten.
const JOBS_MAX: usize = 10_000;
/// Bytes of uploads and results all jobs may hold together; the oldest finished ones are forgotten.
const HELD_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// Longest upload, in bytes.
const UPLOAD_BYTES_MAX: usize = 157_286_400;
/// Jobs of a page of the list.
const LIST_PAGE: usize = 1_000;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    UploadComplete,
    InProgress,
    JobComplete,
    Failed,
    Aborted,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::UploadComplete => "UploadComplete",
            Self::InProgress => "InProgress",
            Self::JobComplete => "JobComplete",
            Self::Failed => "Failed",
            Self::Aborted => "Aborted",
        }
    }

    fn over(self) -> bool {
        matches!(self, Self::JobComplete | Self::Failed | Self::Aborted)
    }
}

/// What a job does.
#[derive(Debug)]
enum Work {
    Ingest(Box<Ingest>),
    Query { bound: Arc<Bound>, deleted: bool, text: String, rows: Arc<[Arc<Row>]> },
}

#[derive(Debug, Default)]
struct Ingest {
    key: Option<String>,
    upload: Option<Bytes>,
    reader: Option<csv::Reader<Cursor<Bytes>>>,
    headings: Vec<String>,
    /// Bytes of the upload that are done.
    done_bytes: usize,
    good: Vec<u8>,
    bad: Vec<u8>,
    processed: usize,
    failed: usize,
}

/// A job.
#[derive(Debug)]
pub(super) struct Load {
    id: Arc<str>,
    object: usize,
    object_name: String,
    operation: String,
    delimiter: &'static str,
    crlf: bool,
    version: String,
    user: Arc<str>,
    origin: Arc<str>,
    state: State,
    created_ms: i64,
    changed_ms: i64,
    message: Option<String>,
    work: Work,
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Loads {
    count: u64,
    jobs: HashMap<Arc<str>, Load>,
    order: VecDeque<Arc<str>>,
}

impl Loads {
    fn add(&mut self, mut load: Load) -> Arc<str> {
        self.count += 1;
        let id = ids::make("750", 1_000 + self.count);
        load.id = id.clone();
        while self.order.len() >= JOBS_MAX || self.held_bytes() > HELD_BYTES_MAX {
            match self.order.pop_front() {
                Some(oldest) => self.jobs.remove(&oldest),
                None => break,
            };
        }
        self.order.push_back(id.clone());
        self.jobs.insert(id.clone(), load);
        id
    }

    fn held_bytes(&self) -> usize {
        let bytes = |load: &Load| match &load.work {
            Work::Ingest(ingest) => ingest.upload.as_ref().map_or(0, Bytes::len) + ingest.good.len() + ingest.bad.len(),
            Work::Query { rows, .. } => rows.len() * 8,
        };
        self.jobs.values().map(bytes).sum()
    }

    fn find(&mut self, id: &str, query: bool) -> Outcome<&mut Load> {
        let long = ids::read(id).map(|(prefix, serial)| ids::make(&prefix, serial)).ok_or_else(Trouble::not_found)?;
        let load = self.jobs.get_mut(&long).ok_or_else(Trouble::not_found)?;
        if matches!(load.work, Work::Query { .. }) == query { Ok(load) } else { Err(Trouble::not_found()) }
    }
}

const DELIMITERS: &[(&str, u8)] =
    &[("COMMA", b','), ("TAB", b'\t'), ("PIPE", b'|'), ("SEMICOLON", b';'), ("CARET", b'^'), ("BACKQUOTE", b'`')];

impl Load {
    fn separator(&self) -> u8 {
        DELIMITERS.iter().find(|(name, _)| *name == self.delimiter).map_or(b',', |(_, byte)| *byte)
    }

    fn brief(&self) -> Map<String, Json> {
        let mut out = Map::new();
        let mut put = |name: &str, value: Json| out.insert(name.to_owned(), value);
        put("id", json!(&*self.id));
        put("operation", json!(self.operation));
        put("object", json!(self.object_name));
        put("createdById", json!(&*self.user));
        put("createdDate", json!(datetime(self.created_ms)));
        put("systemModstamp", json!(datetime(self.changed_ms)));
        put("state", json!(self.state.name()));
        put("concurrencyMode", json!("Parallel"));
        put("contentType", json!("CSV"));
        put("apiVersion", json!(self.version.parse::<f64>().unwrap_or_default()));
        if let Work::Ingest(ingest) = &self.work {
            put("contentUrl", json!(format!("services/data/v{}/jobs/ingest/{}/batches", self.version, self.id)));
            if let Some(key) = &ingest.key {
                put("externalIdFieldName", json!(key));
            }
        }
        put("lineEnding", json!(if self.crlf { "CRLF" } else { "LF" }));
        put("columnDelimiter", json!(self.delimiter));
        out
    }

    /// A job with how far it is.
    fn full(&self) -> Json {
        let mut out = self.brief();
        let took_ms = if self.state.over() { (self.changed_ms - self.created_ms).max(0) } else { 0 };
        match &self.work {
            Work::Ingest(ingest) => {
                out.insert("jobType".to_owned(), json!("V2Ingest"));
                out.insert("numberRecordsProcessed".to_owned(), json!(ingest.processed));
                out.insert("numberRecordsFailed".to_owned(), json!(ingest.failed));
                out.insert("apiActiveProcessingTime".to_owned(), json!(took_ms));
                out.insert("apexProcessingTime".to_owned(), json!(0));
                if let Some(message) = &self.message {
                    out.insert("errorMessage".to_owned(), json!(message));
                }
            }
            Work::Query { rows, .. } => {
                out.insert("jobType".to_owned(), json!("V2Query"));
                out.insert("numberRecordsProcessed".to_owned(), json!(rows.len()));
                out.insert("isPkChunkingSupported".to_owned(), json!(false));
            }
        }
        out.insert("retries".to_owned(), json!(0));
        out.insert("totalProcessingTime".to_owned(), json!(took_ms));
        Json::Object(out)
    }
}

impl System {
    pub(super) fn jobs(&self, org: &mut Org, call: &Call, path: &[&str]) -> Outcome<Answer> {
        let query = match path.first() {
            Some(&"ingest") => false,
            Some(&"query") => true,
            _ => return Err(Trouble::not_found()),
        };
        match (&call.method, &path[1..]) {
            (&Method::POST, []) if query => self.new_query(org, call),
            (&Method::POST, []) => self.new_ingest(org, call),
            (&Method::GET, []) => Ok(self.list_jobs(call, query)),
            (&Method::GET, [id]) => Ok(Answer::ok(self.loads.lock().find(id, query)?.full())),
            (&Method::PATCH, [id]) => self.change_state(call, id, query),
            (&Method::DELETE, [id]) => self.forget_job(id, query),
            (&Method::PUT, [id, "batches"]) if !query => self.upload(call, id),
            (&Method::GET, [id, which]) if !query => self.results(id, which),
            (&Method::GET, [id, "results"]) => self.query_results(org, call, id),
            (&Method::GET, [id, "resultPages"]) => self.result_pages(call, id),
            (_, [_] | [_, _]) => Err(Trouble::method()),
            _ => Err(Trouble::not_found()),
        }
    }

    fn list_jobs(&self, call: &Call, query: bool) -> Answer {
        let loads = self.loads.lock();
        let from: usize = call.get("queryLocator").and_then(|from| from.parse().ok()).unwrap_or_default();
        let wanted = |load: &&Load| matches!(load.work, Work::Query { .. }) == query;
        let all: Vec<&Load> = loads.order.iter().filter_map(|id| loads.jobs.get(id)).filter(wanted).collect();
        let page: Vec<Json> = all.iter().skip(from).take(LIST_PAGE).map(|load| load.full()).collect();
        let next = from + page.len();
        let kind = if query { "query" } else { "ingest" };
        let url = (next < all.len()).then(|| call.address(&format!("jobs/{kind}?queryLocator={next}")));
        Answer::ok(json!({ "done": url.is_none(), "records": page, "nextRecordsUrl": url }))
    }

    fn change_state(&self, call: &Call, id: &str, query: bool) -> Outcome<Answer> {
        let body = call.object()?;
        let wanted = body.get("state").and_then(Json::as_str).unwrap_or_default().to_owned();
        let now_ms = self.now_ms();
        let mut loads = self.loads.lock();
        let load = loads.find(id, query)?;
        let next = match (wanted.as_str(), load.state) {
            ("UploadComplete", State::Open) if !query => State::UploadComplete,
            ("Aborted", state) if !state.over() => State::Aborted,
            ("UploadComplete" | "Aborted", state) => {
                let message = format!("Job state cannot be changed from {} to {wanted}", state.name());
                return Err(Trouble::bad("INVALIDJOBSTATE", message));
            }
            _ => return Err(Trouble::bad("INVALIDJOBSTATE", format!("invalid state: {wanted}"))),
        };
        load.state = next;
        load.changed_ms = now_ms;
        let told = load.full();
        let id = load.id.clone();
        drop(loads);
        if next == State::UploadComplete {
            self.start(id);
        }
        Ok(Answer::ok(told))
    }

    fn forget_job(&self, id: &str, query: bool) -> Outcome<Answer> {
        let mut loads = self.loads.lock();
        let load = loads.find(id, query)?;
        if matches!(load.state, State::InProgress) {
            return Err(Trouble::bad("INVALIDJOBSTATE", "A job that is being processed cannot be deleted; abort it first"));
        }
        let id = load.id.clone();
        loads.jobs.remove(&id);
        loads.order.retain(|known| *known != id);
        Ok(Answer::empty(204))
    }

    /// Works on a job in the background, batch by batch.
    fn start(&self, id: Arc<str>) {
        if self.settings.read().bulk_held {
            return;
        }
        let Some(system) = self.me.upgrade() else { return };
        tokio::spawn(async move {
            while system.step(&id) {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Goes on with the jobs that were held.
    pub(super) fn go_on(&self) {
        let waiting: Vec<Arc<str>> = {
            let loads = self.loads.lock();
            loads.jobs.values().filter(|load| load.state == State::UploadComplete).map(|load| load.id.clone()).collect()
        };
        waiting.into_iter().for_each(|id| self.start(id));
    }

    /// Does one batch; false when there is no more to do.
    fn step(&self, id: &Arc<str>) -> bool {
        let query = {
            let mut loads = self.loads.lock();
            let Some(load) = loads.jobs.get_mut(id) else { return false };
            if load.state.over() {
                return false;
            }
            load.state = State::InProgress;
            matches!(load.work, Work::Query { .. })
        };
        if query { self.run_query(id) } else { self.ingest_batch(id) }
    }
}

/// Line ending and delimiter a call names, by their names.
fn form(body: &Map<String, Json>) -> Outcome<(&'static str, bool)> {
    let delimiter = body.get("columnDelimiter").and_then(Json::as_str).unwrap_or("COMMA");
    let delimiter = DELIMITERS.iter().find(|(name, _)| *name == delimiter).map(|(name, _)| *name);
    let delimiter = delimiter.ok_or_else(|| Trouble::bad("INVALIDJOB", "Unsupported column delimiter"))?;
    let crlf = match body.get("lineEnding").and_then(Json::as_str) {
        None | Some("LF") => false,
        Some("CRLF") => true,
        Some(other) => return Err(Trouble::bad("INVALIDJOB", format!("Unsupported line ending: {other}"))),
    };
    Ok((delimiter, crlf))
}
