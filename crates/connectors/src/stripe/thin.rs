//! Asks for thin events. Their list begins with the newest, so what came is read in windows of time, the oldest first; a
//! window that holds more than a page is halved. A question ends with the first window that holds something, so that a long
//! stop is caught up page by page. Times are Stripe's own.

use connector::{Cx, ErrorClass, Occurrence, Polled, Position, StepError, cursor_lost, read_cursor};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    client::{Body, Client, object, server_now},
    walk::gone,
};

const PATH: &str = "/v2/core/events";
/// Events in one page.
const PAGE_EVENTS: usize = 100;
/// Pages of events that share one moment.
const PAGES_MAX: usize = 100;
/// Calls of one question that finds nothing yet.
const CALLS_MAX: usize = 40;
/// What was told so late is read again, because an event can become visible after younger ones.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);
/// How long Stripe lists events, less an hour.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24 - 1);
/// Stripe tells events apart by this much.
const MOMENT: SignedDuration = SignedDuration::from_millis(1);

/// Where a walk goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// All that is older was told.
    since: Timestamp,
    /// In the middle of a walk: how long the next window is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window_ms: Option<i64>,
    /// In the middle of a walk that has come to moments that still get events: where the next one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<Timestamp>,
    /// The first walk is not over: it may begin before what Stripe still lists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    first: bool,
}

/// A page, the newest event first.
struct Listed {
    rows: Vec<(Timestamp, Json)>,
    /// What leads to the next page.
    next: Option<Vec<(String, String)>>,
    now: Timestamp,
}

/// What came since the position, oldest first.
pub(super) async fn newer(
    cx: &Cx,
    with: &Json,
    from: Position,
    wanted: impl Fn(&Json) -> bool,
    becomes: impl Fn(&Json) -> Occurrence,
) -> Result<Polled, StepError> {
    let mut place = match from {
        Position::Since(micros) => {
            // Events are told apart by milliseconds; nothing from before the start.
            let since = Timestamp::from_millisecond(micros.saturating_add(999).div_euclid(1_000)).map_err(|_| cursor_lost())?;
            Place { since, window_ms: None, behind: None, first: true }
        }
        Position::After(cursor) => read_cursor(&cursor)?,
    };
    let client = Client::new(cx, with)?;
    let told = |mut rows: Vec<(Timestamp, Json)>| {
        rows.reverse();
        rows.iter().map(|(_, row)| row).filter(|row| wanted(row)).map(&becomes).collect::<Vec<_>>()
    };
    for _ in 0..CALLS_MAX {
        let window = place.window_ms.map(SignedDuration::from_millis);
        let end = window.and_then(|window| place.since.checked_add(window).ok());
        let found = listed(cx, &client, &within(place.since, end)).await?;
        if !place.first && found.now.duration_since(place.since) > KEPT {
            return Err(gone(&place.since.to_string()));
        }
        let settled = (found.now - OVERLAP).max(place.since);
        // Its clock is told in whole seconds.
        match (end.filter(|end| *end <= found.now + SignedDuration::from_secs(1)), &found.next) {
            // All that came is told.
            (None, None) => {
                let since = place.behind.unwrap_or(settled);
                let cursor = json!(Place { since, window_ms: None, behind: None, first: false });
                return Ok(Polled { events: told(found.rows), cursor, more: false });
            }
            (Some(end), None) => {
                let behind = place.behind.or_else(|| (end > settled).then_some(settled));
                let window_ms = place.window_ms.map(|window| window.saturating_mul(if found.rows.is_empty() { 8 } else { 2 }));
                place = Place { since: end, window_ms, behind, first: place.first };
                if !found.rows.is_empty() {
                    return Ok(Polled { events: told(found.rows), cursor: json!(place), more: true });
                }
            }
            (_, Some(_)) => {
                let newest = found.rows.first().map_or(found.now, |(at, _)| *at);
                let whole = end.map_or(newest + MOMENT, |end| end.min(newest + MOMENT)).duration_since(place.since);
                if whole <= MOMENT {
                    let behind = place.behind.or_else(|| (place.since >= settled).then_some(settled));
                    let rows = moment(cx, &client, found).await?;
                    let place = Place { since: place.since + MOMENT, behind, ..place };
                    return Ok(Polled { events: told(rows), cursor: json!(place), more: true });
                }
                place.window_ms = i64::try_from(whole.as_millis() / 2).ok();
            }
        }
    }
    Ok(Polled { events: Vec::new(), cursor: json!(place), more: true })
}

fn within(since: Timestamp, end: Option<Timestamp>) -> Vec<(String, String)> {
    let mut query = vec![("limit".to_owned(), PAGE_EVENTS.to_string()), ("created[gte]".to_owned(), format!("{since:.3}"))];
    query.extend(end.map(|end| ("created[lt]".to_owned(), format!("{end:.3}"))));
    query
}

/// All events of one moment, of which the first page is there.
async fn moment(cx: &Cx, client: &Client<'_>, first: Listed) -> Result<Vec<(Timestamp, Json)>, StepError> {
    let Listed { mut rows, mut next, .. } = first;
    for _ in 1..PAGES_MAX {
        let Some(query) = next else { return Ok(rows) };
        let found = listed(cx, client, &query).await?;
        rows.extend(found.rows);
        next = found.next;
    }
    let message = format!("more than {} events share one moment", PAGES_MAX * PAGE_EVENTS);
    Err(StepError::new(ErrorClass::Invalid, "TOO_MANY_ITEMS", message).with_next("Choose a later start position."))
}

async fn listed(cx: &Cx, client: &Client<'_>, query: &[(String, String)]) -> Result<Listed, StepError> {
    let answer = client.call(Method::GET, PATH, query, Body::None).await?;
    let mut found = object(&answer)?;
    let Some(Json::Array(rows)) = found.get_mut("data").map(Json::take) else {
        return Err(answer.unreadable("it is no list"));
    };
    let rows: Option<Vec<(Timestamp, Json)>> =
        rows.into_iter().map(|row| Some((row.get("created")?.as_str()?.parse().ok()?, row))).collect();
    let rows = rows.ok_or_else(|| answer.unreadable("it holds an event without its time"))?;
    // Only the query is taken from the address, which might lead anywhere.
    let next = match found.get("next_page_url").and_then(Json::as_str) {
        None => None,
        Some(address) => {
            let pairs = url::form_urlencoded::parse(address.split_once('?').map_or("", |(_, query)| query).as_bytes());
            let next: Vec<(String, String)> = pairs.into_owned().collect();
            if rows.is_empty() || next == query || !next.iter().any(|(name, _)| name == "page") {
                return Err(answer.unreadable("its pages do not go on"));
            }
            Some(next)
        }
    };
    Ok(Listed { rows, next, now: server_now(&answer, cx) })
}
