//! Queries and their pages.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    answer::Answer,
    cursors::Cursor,
    errors::{Outcome, Trouble},
    org::Org,
    rest::Call,
    soql::{self, Show},
    system::System,
};

/// Smallest and largest page a client can ask for.
const PAGE_MIN: usize = 200;
const PAGE_MAX: usize = 2_000;

impl System {
    pub(super) fn query(&self, org: &mut Org, call: &Call, path: &[&str]) -> Outcome<Answer> {
        match (&call.method, path) {
            (&Method::GET, [_]) => self.ask(org, call, path[0] == "queryAll"),
            (&Method::GET, [_, locator]) => self.next_page(org, call, locator),
            _ => Err(Trouble::method()),
        }
    }

    fn ask(&self, org: &Org, call: &Call, deleted: bool) -> Outcome<Answer> {
        if let Some(explain) = call.get("explain") {
            return Err(Trouble::bad("UNSUPPORTED_QUERY_PLAN", format!("query plans are not simulated: {explain}")));
        }
        let text = call.get("q").ok_or_else(|| Trouble::bad("MALFORMED_QUERY", "unexpected token: '<EOF>'"))?;
        let bound = soql::prepare(org, text)?;
        let look = self.look(deleted);
        let found = soql::run(org, &bound, &look)?;
        if bound.only_count {
            return Ok(Answer::ok(json!({ "totalSize": found.total, "done": true, "records": [] })));
        }
        if bound.aggregated() {
            let records: Vec<Json> = found
                .groups
                .iter()
                .map(|group| {
                    let mut out = Map::new();
                    out.insert("attributes".to_owned(), json!({ "type": "AggregateResult" }));
                    out.extend(group.iter().map(|(name, value, kind)| (name.clone(), value.json(*kind))));
                    Json::Object(out)
                })
                .collect();
            return Ok(Answer::ok(json!({ "totalSize": found.total, "done": true, "records": records })));
        }
        let most = self.settings.read().query_page_rows;
        let size = call.batch_size().map_or(most, |size| size.clamp(PAGE_MIN, PAGE_MAX).min(most));
        let cursor = Cursor {
            id: Arc::from(""),
            bound,
            rows: found.rows.into(),
            born_ms: look.now_ms,
            look,
            session: call.session.clone(),
            size,
        };
        Ok(self.page(org, call, cursor, 0))
    }

    fn next_page(&self, org: &Org, call: &Call, locator: &str) -> Outcome<Answer> {
        let found = self.cursors.lock().find(locator, self.now_ms());
        let (cursor, place) =
            found.ok_or_else(|| Trouble::bad("INVALID_QUERY_LOCATOR", format!("invalid query locator: {locator}")))?;
        if place > cursor.rows.len() {
            return Err(Trouble::bad("INVALID_QUERY_LOCATOR", format!("invalid query locator: {locator}")));
        }
        Ok(self.page(org, call, cursor, place))
    }

    fn page(&self, org: &Org, call: &Call, cursor: Cursor, from: usize) -> Answer {
        let to = (from + cursor.size).min(cursor.rows.len());
        let show = Show { org, look: &cursor.look, version: &call.version, session: &call.session, cursors: &self.cursors };
        let records: Vec<Json> = cursor.rows[from..to].iter().map(|row| show.shown(&cursor.bound, row)).collect();
        let done = to == cursor.rows.len();
        let mut body = json!({ "totalSize": cursor.rows.len(), "done": done });
        if !done {
            let id = if cursor.id.is_empty() { self.cursors.lock().open(cursor) } else { cursor.id };
            body["nextRecordsUrl"] = json!(call.address(&format!("query/{id}-{to}")));
        }
        body["records"] = json!(records);
        Answer::ok(body)
    }
}
