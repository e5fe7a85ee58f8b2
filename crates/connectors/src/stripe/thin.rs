//! Asks for thin events. Their list begins with the newest and goes back page by page; so a question goes back to the
//! moment the one before it had seen, and the keys let nothing start twice that is read again.

use std::collections::VecDeque;

use connector::{Cx, ErrorClass, Occurrence, Polled, Position, StepError, cursor_lost, read_cursor};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    client::{Body, Client, object},
    walk::gone,
};

const PATH: &str = "/v2/core/events";
/// Events in one page.
const PAGE_EVENTS: usize = 100;
/// Events of one question; the oldest come first.
const EVENTS_MAX: usize = 2_000;
/// What was told so late is read again, because an event can become visible after younger ones.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);
/// How long Stripe lists events, less an hour.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24 - 1);

/// Where the next question ends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// All that is older was seen.
    since: Timestamp,
}

/// What came since the position, oldest first.
pub(super) async fn newer(
    cx: &Cx,
    with: &Json,
    from: Position,
    wanted: impl Fn(&Json) -> bool,
    becomes: impl Fn(&Json) -> Occurrence,
) -> Result<Polled, StepError> {
    let now = Timestamp::from_microsecond(cx.now_us()).map_err(|_| cursor_lost())?;
    let since = match from {
        Position::Since(micros) => Timestamp::from_microsecond(micros).map_err(|_| cursor_lost())?,
        Position::After(cursor) => match read_cursor::<Place>(&cursor)?.since {
            since if now.duration_since(since) > KEPT => return Err(gone(&since.to_string())),
            since => since,
        },
    };
    let client = Client::new(cx, with)?;
    let (mut events, mut page, mut left_out) = (VecDeque::new(), None, false);
    'pages: loop {
        let (rows, next) = asked(&client, page.as_deref()).await?;
        for (at, row) in rows {
            if at < since {
                break 'pages;
            }
            events.push_front((at, row));
        }
        while events.len() > EVENTS_MAX {
            events.pop_back();
            left_out = true;
        }
        match next {
            Some(next) => page = Some(next),
            None => break,
        }
    }
    let newest = events.back().map(|(at, _)| *at);
    let reached = match newest.filter(|_| left_out) {
        Some(newest) if newest > since => newest,
        Some(_) => return Err(crowded()),
        None => since.max(now - OVERLAP),
    };
    let events = events.iter().map(|(_, row)| row).filter(|row| wanted(row)).map(becomes).collect();
    Ok(Polled { events, cursor: json!(Place { since: reached }), more: left_out })
}

/// More events share one moment than a question takes.
fn crowded() -> StepError {
    let message = format!("more than {EVENTS_MAX} events share one moment");
    StepError::new(ErrorClass::Invalid, "TOO_MANY_ITEMS", message).with_next("Choose a later start position.")
}

/// A page, the newest event first, and the name of the next page.
async fn asked(client: &Client<'_>, page: Option<&str>) -> Result<(Vec<(Timestamp, Json)>, Option<String>), StepError> {
    let mut query = vec![("limit".to_owned(), PAGE_EVENTS.to_string())];
    query.extend(page.map(|page| ("page".to_owned(), page.to_owned())));
    let answer = client.call(Method::GET, PATH, &query, Body::None).await?;
    let mut found = object(&answer)?;
    let Some(Json::Array(rows)) = found.get_mut("data").map(Json::take) else {
        return Err(answer.unreadable("it is no list"));
    };
    let rows: Option<Vec<(Timestamp, Json)>> =
        rows.into_iter().map(|row| Some((row.get("created")?.as_str()?.parse().ok()?, row))).collect();
    let rows = rows.ok_or_else(|| answer.unreadable("it holds an event without its time"))?;
    // Only the name of the page is taken from the address, which might lead anywhere.
    let next = match found.get("next_page_url").and_then(Json::as_str) {
        None => None,
        Some(address) => {
            let pairs = url::form_urlencoded::parse(address.split_once('?').map_or("", |(_, query)| query).as_bytes());
            let name = pairs.filter(|(name, _)| name == "page").map(|(_, value)| value.into_owned()).next();
            let name = name.filter(|name| Some(name.as_str()) != page && !rows.is_empty());
            Some(name.ok_or_else(|| answer.unreadable("its pages do not go on"))?)
        }
    };
    Ok((rows, next))
}
