//! Reports and queries that are run again and again.
//!
//! Neither has a cursor. With a key field each row is an event of its own, told when it is new or has changed: what the
//! first run shows starts nothing, and hashes of the last run's rows are kept. Without one every run gives all rows, in
//! batches.

use std::time::Duration;

use connector::{Cx, Occurrence, Page, Poll, Polled, Position, StepError, Trigger, cursor_lost};
use serde_json::{Value as Json, json};

use super::hash;
use crate::{
    seen::{self, Seen},
    workday::{raas, raw, schema},
};

/// Usual pause between two runs.
const EVERY: Duration = Duration::from_secs(3600);
/// Rows of a batch when nothing is said, and at most.
const BATCH: u64 = 200;
const BATCH_MAX: u64 = 10_000;
/// Rows of a query asked for at once.
const QUERY_ROWS: usize = 2_000;

#[derive(Clone, Copy)]
enum Source {
    Report,
    Query,
}

async fn rows(source: Source, cx: Cx, with: &Json, cursor: Option<Json>) -> Result<Page, StepError> {
    match source {
        Source::Report => raas::report_page(cx, with.clone(), cursor).await,
        Source::Query => raw::query_page(&cx, with["query"].as_str().unwrap_or_default(), QUERY_ROWS, cursor).await,
    }
}

/// One page of a run. The cursor counts runs, so that the same question gives the same keys.
async fn ask(source: Source, cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let (base, run, at, seen) = match &position {
        Position::Since(micros) => (*micros, 0, None, Seen::default()),
        Position::After(cursor) => {
            let base = cursor["base"].as_i64().ok_or_else(cursor_lost)?;
            let at = cursor.get("at").filter(|at| !at.is_null()).cloned();
            let seen = cursor.get("seen").cloned().map(serde_json::from_value).transpose().map_err(|_| cursor_lost())?;
            (base, cursor["run"].as_u64().unwrap_or_default(), at, seen.unwrap_or_default())
        }
    };
    let number = at.as_ref().and_then(|at| at["number"].as_u64()).unwrap_or_default();
    let page = rows(source, cx, &with, at.map(|at| at["page"].clone())).await?;
    let mut cursor = match &page.next {
        Some(next) => json!({ "base": base, "run": run, "at": { "page": next, "number": number + 1 } }),
        None => json!({ "base": base, "run": run + 1 }),
    };
    let events = match with["key_field"].as_str() {
        Some(field) => {
            let lacks = |row: &Json| row.get(field).is_none_or(Json::is_null);
            // Rows leave out columns that are empty in them; one that no row has is not in the report.
            if number == 0 && !page.items.is_empty() && page.items.iter().all(lacks) {
                return Err(raas::column_missing(field));
            }
            let mut look = seen.look().ok_or_else(cursor_lost)?;
            let mut events = Vec::new();
            for row in &page.items {
                let key = key_of(row, field);
                if look.is_new(&key)? {
                    // A row that is again as it was before is a change, too.
                    events.push(Occurrence { key: format!("{key}:{run}"), data: json!({ "rows": [row] }) });
                }
            }
            cursor["seen"] = json!(if page.next.is_some() { look.under_way() } else { look.over() });
            events
        }
        None => batches(&page.items, &with, &format!("{base}:{run}:{number}")),
    };
    Ok(Polled { events, cursor, more: page.next.is_some() })
}

/// What tells a row, as it is now, from every other.
fn key_of(row: &Json, field: &str) -> String {
    let key = &row[field];
    let id = key.as_str().map_or_else(|| key["id"].as_str().map_or_else(|| key.to_string(), str::to_owned), str::to_owned);
    format!("{id}:{}", hash(row.to_string().as_bytes()))
}

fn batches(items: &[Json], with: &Json, prefix: &str) -> Vec<Occurrence> {
    let size = with["batch_size"].as_u64().unwrap_or(BATCH).clamp(1, BATCH_MAX);
    let chunks = items.chunks(usize::try_from(size).unwrap_or(1)).enumerate();
    chunks.map(|(place, rows)| Occurrence { key: format!("{prefix}:{place}"), data: json!({ "rows": rows }) }).collect()
}

pub(super) fn all() -> Vec<Trigger> {
    let shared = || {
        [
            (
                "key_field",
                schema::text(
                    "Key field",
                    &format!(
                        "The column that tells rows apart. With it each row that is new or has changed since the run before is an event of its own, of {} rows at most; the first run starts nothing.",
                        seen::ROWS_MAX
                    ),
                ),
            ),
            (
                "batch_size",
                json!({ "type": "integer", "minimum": 1, "maximum": BATCH_MAX, "default": BATCH, "title": "Rows of a batch", "description": "Without a key field." }),
            ),
        ]
    };
    let output = || schema::rows("rows", json!({ "type": "object" }));
    let mut query = vec![("query", schema::text("Query", "In WQL."))];
    query.extend(shared());
    vec![
        Trigger::new("report_scheduled", "Scheduled report", "Runs a custom report again and again and gives its rows.")
            .config(raas::input(&shared().into_iter().chain([raas::columns_field()]).collect::<Vec<_>>()))
            .output(output())
            .sample(json!({ "rows": [{ "Employee_ID": "21001", "Worker": "Logan McNeil" }] }))
            .shaped(raas::SHAPED.names(&["key_field"]))
            .poll(Poll::new(EVERY, |cx, with, position| ask(Source::Report, cx, with, position)).steady()),
        Trigger::new("query_scheduled", "Scheduled query", "Runs a WQL query again and again and gives its rows.")
            .config(schema::input(&query, &["query"]))
            .output(output())
            .sample(json!({ "rows": [{ "employeeID": "21001" }] }))
            .poll(Poll::new(EVERY, |cx, with, position| ask(Source::Query, cx, with, position)).steady()),
    ]
}
