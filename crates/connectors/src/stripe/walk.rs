//! Walks a list from old to new: Stripe's lists begin with the newest, and only `ending_before` goes the other way.

use connector::{ErrorClass, Position, StepError};
use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    client::{Body, Client, object},
    form,
};

/// Rows in one question.
const PAGE_ROWS: u64 = 100;
/// Pages walked back where nothing is older than the start.
const PAGES_MAX: usize = 100;

/// What one question gave.
pub(super) struct Walked {
    /// Oldest first.
    pub(super) rows: Vec<Json>,
    pub(super) cursor: Json,
    pub(super) more: bool,
}

/// What is newer than the position.
pub(super) async fn newer(
    client: &Client<'_>,
    path: &str,
    from: Position,
    filters: &Map<String, Json>,
) -> Result<Walked, StepError> {
    let since = match &from {
        Position::Since(micros) => Some(micros.div_euclid(1_000_000)),
        Position::After(cursor) => cursor.get("since").and_then(Json::as_i64),
    };
    let last = match &from {
        Position::Since(_) => None,
        Position::After(cursor) => cursor.get("after").and_then(Json::as_str).map(str::to_owned),
    };
    match (last, since) {
        (Some(last), _) => after(client, path, &last, filters).await,
        (None, Some(since)) => begin(client, path, since, filters).await,
        (None, None) => Err(unreadable()),
    }
}

fn unreadable() -> StepError {
    StepError::new(
        ErrorClass::Internal,
        "CURSOR_INVALID",
        "what was kept of the last question cannot be read, so it is not known what came already",
    )
    .with_next("Set the trigger's start position anew; what came before then starts nothing twice.")
}

async fn page(client: &Client<'_>, path: &str, filters: &Map<String, Json>, more: Json) -> Result<(Vec<Json>, bool), StepError> {
    let mut fields = filters.clone();
    if let Json::Object(more) = more {
        fields.extend(more);
    }
    let answer = client.call(Method::GET, path, &form::pairs(&fields)?, Body::None).await?;
    let mut found = object(&answer)?;
    let has_more = found["has_more"] == true;
    let Some(Json::Array(rows)) = found.get_mut("data").map(Json::take) else {
        return Err(answer.unreadable("it is no list"));
    };
    if has_more && rows.is_empty() {
        return Err(answer.unreadable("it promises more and gives nothing"));
    }
    Ok((rows, has_more))
}

fn id(row: &Json) -> Option<String> {
    row.get("id").and_then(Json::as_str).map(str::to_owned)
}

async fn after(client: &Client<'_>, path: &str, last: &str, filters: &Map<String, Json>) -> Result<Walked, StepError> {
    let asked = page(client, path, filters, json!({"limit": PAGE_ROWS, "ending_before": last})).await;
    let (mut rows, more) = asked.map_err(|error| gone(error, last))?;
    // Inside a page the newest comes first.
    rows.reverse();
    let cursor = rows.last().and_then(id).unwrap_or_else(|| last.to_owned());
    Ok(Walked { rows, cursor: json!({ "after": cursor }), more })
}

/// Events are kept for 30 days; a deleted record is no place either.
fn gone(error: StepError, last: &str) -> StepError {
    if error.code != "resource_missing" {
        return error;
    }
    let message = format!(
        "Stripe no longer has the place this trigger stopped at ({last}), so it is not known what came since; events are kept for 30 days"
    );
    let mut told = StepError::new(ErrorClass::NotFound, "CURSOR_GONE", message).with_next(
        "Set the trigger's start position anew, and read the records that may have changed meanwhile with a list step.",
    );
    (told.request, told.response) = (error.request, error.response);
    told
}

/// The first question. What is just older than the start is the place to go on from.
async fn begin(client: &Client<'_>, path: &str, since: i64, filters: &Map<String, Json>) -> Result<Walked, StepError> {
    let (older, _) = page(client, path, filters, json!({"limit": 1, "created": {"lt": since}})).await?;
    if let Some(place) = older.first().and_then(id) {
        return after(client, path, &place, filters).await;
    }
    let mut rows: Vec<Json> = Vec::new();
    for _ in 0..PAGES_MAX {
        let mut asked = json!({"limit": PAGE_ROWS, "created": {"gte": since}});
        if let Some(last) = rows.last().and_then(id) {
            asked["starting_after"] = json!(last);
        }
        let (found, more) = page(client, path, filters, asked).await?;
        rows.extend(found);
        if !more {
            rows.reverse();
            let cursor = rows.last().and_then(id).map_or_else(|| json!({ "since": since }), |last| json!({ "after": last }));
            return Ok(Walked { rows, cursor, more: false });
        }
    }
    let message =
        format!("more than {} records are newer than the start position, and none is older", PAGES_MAX as u64 * PAGE_ROWS);
    Err(StepError::new(ErrorClass::Invalid, "TOO_MANY_ITEMS", message)
        .with_next("Choose a later start position, and read what is older with a list step."))
}
