//! Answers in pages, as `http.request` walks them.

use ::http::StatusCode;
use connector::{Cx, StepError, api::Answer, http::Response};
use serde_json::Value as Json;
use url::Url;

use super::{
    problem::{Code, Problems},
    record::Record,
    request::{Asked, Asking, System},
    template::Over,
    yaml::Kind,
};
use crate::http::pages;
pub(crate) use crate::http::pages::{Position, Walk, lookup};

/// Reads `paginate`.
pub(crate) fn read(record: &Record<'_>, problems: &mut Problems) -> Option<Walk> {
    let node = record.get("paginate")?;
    let fields = match &node.kind {
        Kind::Text(kind) => serde_json::Map::from_iter([("kind".to_owned(), Json::from(kind.as_str()))]),
        _ => match node.json() {
            Json::Object(fields) => fields,
            _ => {
                problems.add(Code::Kind, node.at, format!("\"paginate\" must be a record, not {}.", node.is_called()));
                return None;
            }
        },
    };
    if let Some(key) = ["pages_max", "items_max"].iter().find(|key| fields.contains_key(**key)) {
        problems.add(Code::UnknownKey, node.at, format!("\"{key}\" belongs to recipes: how much is wanted is theirs to say."));
    }
    match pages::walk(&fields) {
        Ok(walk) => Some(walk),
        Err(sentence) => {
            problems.add(Code::Value, node.at, format!("{}.", sentence.trim_end_matches('.')));
            None
        }
    }
}

/// One page: its items, the answer, and where the walk stands then unless it was the last.
pub(crate) async fn turn(
    cx: &Cx,
    system: &System,
    asking: &Asking,
    walk: &Walk,
    over: &Over,
    position: Position,
) -> Result<(Vec<Json>, Option<Position>), StepError> {
    let asked = walk.asking(&asking.asked(over)?, &position)?;
    let place = walk.place(&position)?;
    let (answer, url) = asking.send(cx, system, over, &asked, place.as_ref()).await?;
    let mut body = json(&answer)?;
    let count = walk.items(&body).map_err(|error| answer.describe(error))?.len();
    let response = response(&answer, &url);
    let next = walk.next(&position, &url, &response, &body, count).map_err(|error| answer.describe(error))?;
    let items = walk.take_items(&mut body);
    match next {
        None => Ok((items, None)),
        Some(at) => {
            let position = pages::advance(position, at, &items).map_err(|error| answer.describe(error))?;
            Ok((items, Some(position)))
        }
    }
}

/// The body as JSON; null where an answer has none.
pub(crate) fn json(answer: &Answer) -> Result<Json, StepError> {
    if answer.body.is_empty() && (answer.status == StatusCode::NO_CONTENT || answer.header("content-type").is_none()) {
        return Ok(Json::Null);
    }
    answer.json()
}

/// The items of an answer without pages.
pub(crate) async fn items(
    cx: &Cx,
    system: &System,
    asking: &Asking,
    over: &Over,
    asked: &Asked,
    place: Option<&str>,
) -> Result<Vec<Json>, StepError> {
    let (answer, _) = asking.send(cx, system, over, asked, None).await?;
    let body = json(&answer)?;
    let found = place.map_or(Some(&body), |place| lookup(&body, place));
    match found {
        Some(Json::Array(items)) => Ok(items.clone()),
        Some(Json::Null) => Ok(Vec::new()),
        _ => Err(answer.unreadable(&format!("there is no list at {}", place.unwrap_or("its top")))),
    }
}

fn response(answer: &Answer, url: &Url) -> Response {
    Response {
        status: answer.status,
        headers: answer.headers.clone(),
        // The walk reads the body that was parsed already.
        body: bytes::Bytes::new(),
        url: url.clone(),
        first_origin: true,
    }
}
