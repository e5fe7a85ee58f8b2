//! SuiteQL: the account's tables asked in SQL.
//!
//! A query is parsed by the library `sqlparser`, its names are looked up in the account's tables, and it is run over
//! the records. Oracle's ways hold: an empty text is null, nulls sort last, dates are read in the user's format.

mod compile;
mod dates;
mod eval;
mod functions;
mod run;
mod tables;
mod value;

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use self::{tables::Ctx, value::Val};
use super::{
    NetSuite, State,
    answer::{Answer, Call, MANY, Page, RESULTS_MAX},
    refusal::Refusal,
};

pub(super) const PATH: &str = "/services/rest/query/v1/suiteql";
/// Longest query.
const QUERY_BYTES_MAX: usize = 100_000;
/// Results kept, so that the next page need not be asked anew.
const KEPT_MAX: usize = 4;

/// Rows as answers give them.
pub(super) type Rows = Arc<Vec<Json>>;

/// The newest results, by query and state of the records.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(u64, String, Rows)>);

/// What the search says when it cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble(String);

impl Trouble {
    fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    fn identifier(name: &str, available: &[String]) -> Self {
        let pairs: Vec<String> = available.iter().map(|name| format!("{name}={name}")).collect();
        Self(format!("Unknown identifier '{name}'. Available identifiers are: {{{}}}.", pairs.join(", ")))
    }
}

fn refused(trouble: &Trouble) -> Refusal {
    let detail = format!("Invalid search query. Detailed unprocessed description follows. Search error occurred: {}", trouble.0);
    Refusal::bad("INVALID_PARAMETER", detail).query("q")
}

/// A whole result.
struct Found {
    columns: Vec<String>,
    rows: Vec<Vec<Val>>,
}

/// Runs a query, or gives the result of its last run when nothing has changed since.
pub(super) fn run(state: &mut State, q: &str, at: jiff::Timestamp) -> Result<Rows, Refusal> {
    if let Some((_, _, rows)) = state.queries.0.iter().find(|(version, known, _)| *version == state.store.version && known == q) {
        return Ok(rows.clone());
    }
    if q.len() > QUERY_BYTES_MAX {
        return Err(refused(&Trouble::new("The query is too long.")));
    }
    let text = q.trim();
    // The interface takes one query; a semicolon is no part of it.
    if text.ends_with(';') {
        return Err(refused(&Trouble::new("Invalid or unsupported search")));
    }
    let ctx = Ctx { store: &state.store, settings: &state.settings, zone: state.settings.zone(), clock: at };
    let found = run::query(text, &ctx).map_err(|trouble| refused(&trouble))?;
    // One more than can be read tells that there is more.
    let rows: Rows = Arc::new(found.rows.iter().take(RESULTS_MAX + 1).map(|row| shown(&found.columns, row, &ctx)).collect());
    if state.queries.0.len() >= KEPT_MAX {
        state.queries.0.remove(0);
    }
    state.queries.0.push((state.store.version, q.to_owned(), rows.clone()));
    Ok(rows)
}

/// Every value is text; what is null is left out.
fn shown(columns: &[String], row: &[Val], ctx: &Ctx<'_>) -> Json {
    let mut out = Map::new();
    out.insert("links".to_owned(), json!([]));
    for (column, value) in columns.iter().zip(row) {
        if let Some(text) = value.text(ctx.settings) {
            out.insert(column.clone(), json!(text));
        }
    }
    Json::Object(out)
}

impl NetSuite {
    pub(super) fn suiteql(&self, call: &Call) -> Result<Answer, Refusal> {
        if call.method != http::Method::POST {
            return Err(Refusal::method(&call.method, &call.path));
        }
        if !call.prefers("transient") {
            let detail = "The required request header 'Prefer' is missing or invalid. Set it to 'transient'.";
            return Err(Refusal::bad("INVALID_HEADER", detail).header("Prefer"));
        }
        if super::jobs::is_async(call) {
            let first = || Ok(vec![self.page(call)?]);
            return self.submit(call, first);
        }
        self.page(call)
    }

    fn page(&self, call: &Call) -> Result<Answer, Refusal> {
        let page = Page::read(call)?;
        let body = call.object()?;
        let q = body.get("q").and_then(Json::as_str).filter(|q| !q.trim().is_empty());
        let q =
            q.ok_or_else(|| Refusal::bad("MISSING_PARAMETER", "The required request body parameter 'q' is missing.").path("q"))?;
        let rows = run(&mut self.state.lock(), q, self.world.clock().now())?;
        let items: Vec<Json> = rows.iter().skip(page.offset).take(page.limit).cloned().collect();
        Ok(Answer::json(MANY, &page.wrap(&format!("{}{PATH}", call.base()), "", items, rows.len())))
    }
}
