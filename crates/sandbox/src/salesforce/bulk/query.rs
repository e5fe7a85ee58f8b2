//! Bulk queries: run once, read in pages of CSV as often as wanted.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};

use super::{
    Load, State, Work, form,
    rows::{line, writer},
};
use crate::salesforce::{
    answer::Answer,
    errors::{Outcome, Trouble},
    org::Org,
    rest::Call,
    schema::Kind,
    soql::{self, Bound, Column, cells, headings},
    system::System,
};

/// Largest page a client can ask for, in rows.
const PAGE_MAX: usize = 250_000;
/// Pages told at once.
const PAGES: usize = 5;

impl System {
    pub(super) fn new_query(&self, org: &Org, call: &Call) -> Outcome<Answer> {
        let body = call.object()?;
        let operation = body.get("operation").and_then(Json::as_str).unwrap_or_default();
        if !matches!(operation, "query" | "queryAll") {
            return Err(Trouble::bad("INVALIDJOB", "Unsupported operation; it is query or queryAll"));
        }
        let text = body.get("query").and_then(Json::as_str).ok_or_else(|| Trouble::bad("INVALIDJOB", "query is required"))?;
        let bound = soql::prepare(org, text)?;
        supported(org, &bound)?;
        let (delimiter, crlf) = form(&body)?;
        let now_ms = self.now_ms();
        let load = Load {
            id: "".into(),
            object: bound.object,
            object_name: org.schema.objects[bound.object].name.clone(),
            operation: operation.to_owned(),
            delimiter,
            crlf,
            version: call.version.clone(),
            user: call.user.clone(),
            origin: "".into(),
            // jsforce waits for ever on a query that is open.
            state: State::UploadComplete,
            created_ms: now_ms,
            changed_ms: now_ms,
            message: None,
            work: Work::Query { bound, deleted: operation == "queryAll", text: text.to_owned(), rows: Arc::new([]) },
        };
        let mut loads = self.loads.lock();
        let id = loads.add(load);
        let told = loads.jobs.get(&id).map(Load::brief).unwrap_or_default();
        drop(loads);
        self.start(id);
        Ok(Answer::ok(Json::Object(told)))
    }

    /// Runs a query; never to be called again.
    pub(super) fn run_query(&self, id: &Arc<str>) -> bool {
        let org = self.org.lock();
        let asked = match self.loads.lock().jobs.get(id).map(|load| &load.work) {
            Some(Work::Query { deleted, text, .. }) => (*deleted, text.clone()),
            _ => return false,
        };
        let look = self.look(asked.0);
        // The schema may have changed since; then it fails as it would have failed when asked.
        let found = soql::prepare(&org, &asked.1).and_then(|bound| soql::run(&org, &bound, &look).map(|found| (bound, found)));
        drop(org);
        let mut loads = self.loads.lock();
        let Some(load) = loads.jobs.get_mut(id) else { return false };
        if load.state.over() {
            return false;
        }
        load.changed_ms = self.now_ms();
        match found {
            Ok((fresh, found)) => {
                load.state = State::JobComplete;
                if let Work::Query { bound, rows, .. } = &mut load.work {
                    *bound = fresh;
                    *rows = found.rows.into();
                }
            }
            Err(trouble) => {
                load.state = State::Failed;
                load.message = Some(trouble.message.into_owned());
            }
        }
        false
    }

    pub(super) fn query_results(&self, org: &Org, call: &Call, id: &str) -> Outcome<Answer> {
        let (bound, rows, separator, crlf) = {
            let mut loads = self.loads.lock();
            let load = finished(loads.find(id, true)?, call)?;
            let Work::Query { bound, rows, .. } = &load.work else { return Err(Trouble::not_found()) };
            (bound.clone(), rows.clone(), load.separator(), load.crlf)
        };
        let from = match call.get("locator") {
            None | Some("") => 0,
            Some(locator) => place(locator)
                .filter(|from| *from <= rows.len())
                .ok_or_else(|| Trouble::bad("INVALID_QUERY_LOCATOR", format!("invalid query locator: {locator}")))?,
        };
        let most = match call.get("maxRecords") {
            None => self.settings.read().bulk_page_rows,
            Some(most) => most
                .parse()
                .ok()
                .filter(|most| *most > 0)
                .ok_or_else(|| Trouble::bad("INVALID_ARGUMENT_TYPE", "maxRecords is a number above 0"))?,
        };
        let to = (from + most.min(PAGE_MAX)).min(rows.len());
        let names = headings(&bound);
        let mut out = line(separator, crlf, names.iter().map(String::as_str));
        let mut lines = writer(separator, crlf);
        for row in &rows[from..to] {
            let written = lines.write_record(cells(org, &bound, row));
            debug_assert!(written.is_ok(), "records go into memory");
        }
        out.extend(lines.into_inner().unwrap_or_default());
        let locator = if to < rows.len() { URL_SAFE_NO_PAD.encode(to.to_string()) } else { "null".to_owned() };
        Ok(Answer::bytes(200, "text/csv", out)
            .with("Sforce-Locator", locator)
            .with("Sforce-NumberOfRecords", (to - from).to_string()))
    }

    /// Places from which the pages can be read side by side.
    pub(super) fn result_pages(&self, call: &Call, id: &str) -> Outcome<Answer> {
        let mut loads = self.loads.lock();
        let load = finished(loads.find(id, true)?, call)?;
        let Work::Query { rows, .. } = &load.work else { return Err(Trouble::not_found()) };
        let size = self.settings.read().bulk_page_rows;
        let from = call.get("locator").and_then(place).unwrap_or_default();
        let starts: Vec<usize> = (from..rows.len()).step_by(size).take(PAGES + 1).collect();
        let url = |start: usize, what: &str| {
            let locator = URL_SAFE_NO_PAD.encode(start.to_string());
            call.address(&format!("jobs/query/{id}/{what}?locator={locator}"))
        };
        let pages: Vec<Json> = starts.iter().take(PAGES).map(|start| json!({ "resultUrl": url(*start, "results") })).collect();
        let next = starts.get(PAGES).map(|start| url(*start, "resultPages"));
        Ok(Answer::ok(json!({ "resultPages": pages, "nextRecordsUrl": next, "done": next.is_none() })))
    }
}

fn place(locator: &str) -> Option<usize> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(locator.trim_end_matches('=')).ok()?).ok()?.parse().ok()
}

fn finished<'a>(load: &'a Load, call: &Call) -> Outcome<&'a Load> {
    if load.version != call.version {
        return Err(Trouble::new(
            409,
            "API_VERSION_MISMATCH",
            format!("The job was created with API version {}; read it with the same version", load.version),
        ));
    }
    if load.state != State::JobComplete {
        return Err(Trouble::bad("INVALIDJOBSTATE", format!("Results are not there: the job is {}", load.state.name())));
    }
    Ok(load)
}

fn supported(org: &Org, bound: &Bound) -> Outcome<()> {
    let object = &org.schema.objects[bound.object];
    if !object.bulk {
        return Err(Trouble::bad("INVALIDENTITY", format!("Entity '{}' is not supported by the Bulk API.", object.name)));
    }
    let refused = |what: &str| Err(Trouble::bad("API_ERROR", format!("{what} is not supported in Bulk V2 Query")));
    if bound.aggregated() || bound.only_count {
        return refused("Aggregate Relationship or GROUP BY");
    }
    if bound.offset > 0 {
        return refused("OFFSET");
    }
    for column in &bound.columns {
        match column {
            Column::Children(..) => return refused("A nested query"),
            Column::Field(path) if matches!(path.kind, Kind::Address | Kind::Base64) => {
                return Err(Trouble::bad(
                    "INVALIDFIELD",
                    format!("Selecting compound data not supported in Bulk Query: {}", path.name),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
