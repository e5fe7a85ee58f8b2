//! Walks a list from old to new: Stripe's lists begin with the newest, and only `ending_before` goes the other way.
//!
//! A row can become visible after younger ones. So the place to go on from lies a little behind the newest row once
//! all was seen; what is given again has the same key. Where the place itself is gone, its time leads on.

use connector::{ErrorClass, Position, StepError, cursor_lost, read_cursor};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::{
    client::{Body, Client, object},
    form,
};

/// Rows in one question.
const PAGE_ROWS: usize = 100;
/// Pages of rows that share one second and have none before them.
const PAGES_MAX: usize = 100;
/// How far behind now the next question begins, in seconds.
const OVERLAP_S: i64 = 30;
/// How long Stripe lists events, less an hour, in seconds.
const EVENTS_S: i64 = 30 * 24 * 3_600 - 3_600;
/// Only events are listed for a time.
const EVENTS: &str = "/v1/events";

/// What one question gave.
pub(super) struct Walked {
    /// Oldest first.
    pub(super) rows: Vec<Json>,
    pub(super) cursor: Json,
    pub(super) more: bool,
}

/// Where a walk goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Place {
    /// The row behind which to go on; none while no row is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// All that is older than this was seen, in seconds since 1970; without a row the walk begins here.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    /// In the middle of a walk: where the next one begins, so that the overlap is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<String>,
}

struct Walk<'a> {
    client: &'a Client<'a>,
    path: &'a str,
    filters: &'a Map<String, Json>,
}

/// A page, the newest row first.
struct Listed {
    rows: Vec<Json>,
    more: bool,
    /// Stripe's time.
    now_s: i64,
}

/// What is newer than the position.
pub(super) async fn newer(
    client: &Client<'_>,
    path: &str,
    from: Position,
    filters: &Map<String, Json>,
) -> Result<Walked, StepError> {
    let walk = Walk { client, path, filters };
    let place: Place = match from {
        Position::Since(micros) => return walk.begin(micros.div_euclid(1_000_000)).await,
        Position::After(cursor) => read_cursor(&cursor)?,
    };
    match (&place.after, place.since) {
        (Some(after), since) => match walk.after(&place, after).await {
            // Events end after 30 days, also where nothing new came, and records are deleted: the time leads on.
            Err(error) if error.code == "resource_missing" => match since.filter(|since| walk.keeps(*since)) {
                Some(since) => walk.begin(since).await,
                None => {
                    let told = gone(after);
                    Err(StepError { request: error.request, response: error.response, ..told })
                }
            },
            walked => walked,
        },
        (None, Some(since)) if walk.keeps(since) => walk.begin(since).await,
        (None, Some(since)) => Err(gone(&since.to_string())),
        (None, None) => Err(cursor_lost()),
    }
}

pub(super) fn gone(last: &str) -> StepError {
    let message = format!(
        "Stripe no longer has the place this trigger stopped at ({last}), so it is not known what came since; events are kept for 30 days"
    );
    StepError::new(ErrorClass::NotFound, "CURSOR_GONE", message).with_next(
        "Set the trigger's start position anew, and read the records that may have changed meanwhile with a list step.",
    )
}

fn id(row: &Json) -> Option<String> {
    row.get("id").and_then(Json::as_str).map(str::to_owned)
}

fn created(row: &Json) -> Option<i64> {
    row.get("created").and_then(Json::as_i64)
}

/// What was found behind a place, with the place to go on from.
fn walked(from: &Place, rows: Vec<Json>, more: bool, now_s: i64) -> Walked {
    let settled = now_s - OVERLAP_S;
    // The youngest row that nothing can come before any more.
    let behind = rows.iter().rev().find(|row| created(row).is_none_or(|at| at < settled)).and_then(id);
    let behind = behind.or_else(|| from.behind.clone()).or_else(|| from.after.clone());
    let last = rows.last();
    let place = if more {
        Place { after: last.and_then(id), since: from.since, behind }
    } else {
        // All was seen that is old enough.
        Place { after: behind, since: Some(settled.max(from.since.unwrap_or(settled))), behind: None }
    };
    Walked { rows, cursor: json!(place), more }
}

impl Walk<'_> {
    /// True when the list still has all that came since.
    fn keeps(&self, since: i64) -> bool {
        self.path != EVENTS || since > self.client.now_s() - EVENTS_S
    }

    async fn page(&self, more: Json) -> Result<Listed, StepError> {
        let mut fields = self.filters.clone();
        if let Json::Object(more) = more {
            fields.extend(more);
        }
        let answer = self.client.call(Method::GET, self.path, &form::pairs(&fields)?, Body::None).await?;
        let mut found = object(&answer)?;
        let has_more = found["has_more"] == true;
        let Some(Json::Array(rows)) = found.get_mut("data").map(Json::take) else {
            return Err(answer.unreadable("it is no list"));
        };
        if has_more && rows.is_empty() {
            return Err(answer.unreadable("it promises more and gives nothing"));
        }
        let place = fields.get("ending_before").or_else(|| fields.get("starting_after"));
        if place.is_some_and(|place| rows.iter().any(|row| row.get("id") == Some(place))) {
            return Err(answer.unreadable("its pages do not go on"));
        }
        Ok(Listed { rows, more: has_more, now_s: self.client.server_now_s(&answer) })
    }

    async fn after(&self, place: &Place, after: &str) -> Result<Walked, StepError> {
        let mut found = self.page(json!({"limit": PAGE_ROWS, "ending_before": after})).await?;
        found.rows.reverse();
        Ok(walked(place, found.rows, found.more, found.now_s))
    }

    /// The first question. What is just older than the start is the place to go on from.
    async fn begin(&self, since: i64) -> Result<Walked, StepError> {
        let older = self.page(json!({"limit": 1, "created": {"lt": since}})).await?;
        if let Some(after) = older.rows.first().and_then(id) {
            let place = Place { after: Some(after.clone()), since: Some(since), behind: None };
            return self.after(&place, &after).await;
        }
        let (rows, more) = self.oldest(since).await?;
        Ok(walked(&Place { since: Some(since), ..Place::default() }, rows, more, older.now_s))
    }

    /// The oldest rows of a list where nothing is older than the start, oldest first: looked for by halving the time.
    async fn oldest(&self, since: i64) -> Result<(Vec<Json>, bool), StepError> {
        let Listed { mut rows, more, now_s } = self.page(json!({"limit": PAGE_ROWS, "created": {"gte": since}})).await?;
        if !more {
            rows.reverse();
            return Ok((rows, false));
        }
        let (mut low, mut high) = (since, rows.first().and_then(created).unwrap_or(now_s).max(since) + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let Listed { mut rows, more, .. } =
                self.page(json!({"limit": PAGE_ROWS, "created": {"gte": low, "lt": middle}})).await?;
            match (rows.is_empty(), more) {
                (true, _) => low = middle,
                (false, true) => high = middle,
                (false, false) => {
                    rows.reverse();
                    return Ok((rows, true));
                }
            }
        }
        self.second(low).await
    }

    /// All rows of one second.
    async fn second(&self, second: i64) -> Result<(Vec<Json>, bool), StepError> {
        let mut rows: Vec<Json> = Vec::new();
        for _ in 0..PAGES_MAX {
            let mut asked = json!({"limit": PAGE_ROWS, "created": {"gte": second, "lt": second + 1}});
            if let Some(last) = rows.last().and_then(id) {
                asked["starting_after"] = json!(last);
            }
            let found = self.page(asked).await?;
            rows.extend(found.rows);
            if !found.more {
                rows.reverse();
                return Ok((rows, true));
            }
        }
        let message = format!("more than {} records share one second, and none is older", PAGES_MAX * PAGE_ROWS);
        Err(StepError::new(ErrorClass::Invalid, "TOO_MANY_ITEMS", message)
            .with_next("Choose a later start position, and read what is older with a list step."))
    }
}
