//! Answers in pages: how to get from one to the next, and when to stop.
//!
//! Where a walk stands is one JSON value, so that the engine can keep it and go on after a crash. A walk
//! that comes back to where it was, or gets the same page again, fails instead of going round for ever.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ::http::{HeaderMap, header::LINK};
use connector::{Cx, Effect, ErrorClass, Page, StepError, http::Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;
use url::Url;

use super::{
    answer,
    parse::As,
    request::{With, invalid},
};
use connector::strict;

const KINDS: [&str; 5] = ["link", "cursor", "offset", "page", "next_url"];
const KEYS: [&str; 11] =
    ["kind", "items", "next", "more", "param", "in", "limit_param", "limit", "first", "pages_max", "items_max"];
/// Pages of one step unless it declares otherwise.
const PAGES_DEFAULT: u64 = 100;
/// Items of one step unless it declares otherwise.
const ITEMS_DEFAULT: u64 = 10_000;
/// Most pages a step may declare.
const PAGES_MAX: u64 = 100_000;
/// Most items a step may declare.
const ITEMS_MAX: u64 = 10_000_000;
/// Bytes of all pages that are given as one output.
const BYTES_MAX: usize = 50_000_000;
/// Pages back that a repetition is noticed over.
const SEEN_MAX: usize = 100;

pub(super) fn schema() -> Json {
    json!({
        "title": "Pages",
        "description": "How to get the next page: link (the Link header), cursor, offset, page (a number) or next_url. The body is then the list of all items.",
        "anyOf": [
            {"type": "string", "enum": ["link"]},
            {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "enum": KINDS},
                    "items": {"type": "string", "description": "Where the items are in the body, as in data.items or /data/items; left out when the body is the list."},
                    "next": {"type": "string", "description": "For cursor and next_url: where the next cursor or address is in the body; data.-1.id takes the last item's id."},
                    "more": {"type": "string", "description": "Where the body says whether there is more."},
                    "param": {"type": "string", "description": "Name of the value that carries the cursor, offset or page; as the kind is called unless given."},
                    "in": {"type": "string", "enum": ["query", "json"], "default": "query"},
                    "limit_param": {"type": "string", "description": "Name of the value that carries the size of a page."},
                    "limit": {"type": "integer", "minimum": 1, "description": "Items on a page; fewer mean that it was the last."},
                    "first": {"type": "integer", "minimum": 0, "description": "Where offset (0) or page (1) begins."},
                    "pages_max": {"type": "integer", "minimum": 1, "maximum": PAGES_MAX, "description": "Stops after so many pages; more is then true."},
                    "items_max": {"type": "integer", "minimum": 1, "maximum": ITEMS_MAX, "description": "Stops after so many items; more is then true."}
                },
                "required": ["kind"],
                "additionalProperties": false
            }
        ]
    })
}

/// How a step pages.
pub(crate) struct Walk {
    kind: Kind,
    items: Option<String>,
    more: Option<String>,
    param: String,
    in_json: bool,
    limit_param: Option<String>,
    limit: Option<u64>,
    first: u64,
    pages_max: Option<u64>,
    items_max: Option<u64>,
}

enum Kind {
    Link,
    Cursor(String),
    Offset,
    Page,
    NextUrl(String),
}

/// Where a walk stands: what the next call begins with, and what was seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    at: Json,
    pages: u64,
    items: u64,
    seen: Vec<String>,
}

/// The walk a step asks for, if it asks for one.
pub(super) fn read(input: &Json) -> Result<Option<Walk>, StepError> {
    let fields = match input.get("paginate") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(kind)) => &Map::from_iter([("kind".to_owned(), Json::from(kind.as_str()))]),
        Some(Json::Object(fields)) => fields,
        Some(other) => return Err(problem(format!("paginate must be a record, not {}", strict::kind(other)))),
    };
    if super::effect(input) == Effect::Once {
        return Err(problem("a call that may happen only once cannot be made page by page")
            .with_next("Use GET, or say idempotent: true if the call only searches."));
    }
    walk(fields).map(Some).map_err(problem)
}

fn problem(sentence: impl Into<String>) -> StepError {
    invalid("PAGINATE_INVALID", sentence)
}

/// Reads `paginate`; the sentence says what is wrong with it.
pub(crate) fn walk(fields: &Map<String, Json>) -> Result<Walk, String> {
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("paginate: {}", strict::unknown(key, &KEYS)));
    }
    let text = |name: &str| match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        Some(other) => Err(format!("paginate: {name} must be text, not {other}")),
    };
    let number = |name: &str, least: u64, most: u64| match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => match value.as_u64().filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("paginate: {name} must be a whole number from {least} to {most}, not {value}")),
        },
    };
    let place =
        |kind: &str| text("next")?.ok_or_else(|| format!("paginate: {kind} needs next, the place in the body to go on from"));
    let word = text("kind")?.ok_or_else(|| format!("paginate needs a kind: one of {}", KINDS.join(", ")))?;
    let kind = match word.as_str() {
        "link" => Kind::Link,
        "cursor" => Kind::Cursor(place("cursor")?),
        "offset" => Kind::Offset,
        "page" => Kind::Page,
        "next_url" => Kind::NextUrl(place("next_url")?),
        other => return Err(format!("paginate: {}", strict::unknown(other, &KINDS))),
    };
    let limit = number("limit", 1, ITEMS_MAX)?;
    let limit_param = text("limit_param")?;
    if limit_param.is_some() && limit.is_none() {
        return Err("paginate: limit_param needs limit, the number of items on a page".to_owned());
    }
    Ok(Walk {
        first: number("first", 0, u64::from(u32::MAX))?.unwrap_or(u64::from(matches!(kind, Kind::Page))),
        items: text("items")?,
        more: text("more")?,
        param: text("param")?.unwrap_or(word),
        in_json: match text("in")?.as_deref() {
            None | Some("query") => false,
            Some("json") => true,
            Some(other) => return Err(format!("paginate: {}", strict::unknown(other, &["query", "json"]))),
        },
        limit_param,
        limit,
        pages_max: number("pages_max", 1, PAGES_MAX)?,
        items_max: number("items_max", 1, ITEMS_MAX)?,
        kind,
    })
}

/// All pages in one output, up to the limits.
pub(super) async fn all(cx: &Cx, input: &Json, walk: &Walk) -> Result<Json, StepError> {
    let since = Instant::now();
    let mut position = Position::default();
    let (mut items, mut bytes, mut pages) = (Vec::new(), 0_usize, 0_u64);
    loop {
        let (page, next, response) = turn(cx, input, walk, position, since).await?;
        pages += 1;
        bytes += response.body.len();
        if bytes > BYTES_MAX {
            return Err(stopped("PAGES_TOO_LARGE", format!("{pages} pages hold more than {BYTES_MAX} bytes"))
                .with_next("Ask for less, or go through the pages with each."));
        }
        items.extend(page);
        let reached = within(walk, &mut items, pages, next.is_some())?;
        match next {
            Some(next) if !reached => position = next,
            next => {
                let mut output = answer::shell(&response);
                output.insert("body".to_owned(), Json::Array(items));
                output.insert("pages".to_owned(), pages.into());
                output.insert("more".to_owned(), (reached || next.is_some()).into());
                return Ok(Json::Object(output));
            }
        }
    }
}

/// True when a declared limit is reached and something is left out; the limits nobody declared fail.
fn within(walk: &Walk, items: &mut Vec<Json>, pages: u64, more: bool) -> Result<bool, StepError> {
    let items_max = usize::try_from(walk.items_max.unwrap_or(ITEMS_DEFAULT)).unwrap_or(usize::MAX);
    let beyond = items.len() > items_max || (items.len() == items_max && more);
    if beyond && walk.items_max.is_none() {
        return Err(stopped("TOO_MANY_ITEMS", format!("there are more than {ITEMS_DEFAULT} items"))
            .with_next("Set paginate.items_max to say how many are wanted, or go through the pages with each."));
    }
    let pages_max = walk.pages_max.unwrap_or(PAGES_DEFAULT);
    if more && pages >= pages_max && walk.pages_max.is_none() {
        return Err(stopped("TOO_MANY_PAGES", format!("there are more than {PAGES_DEFAULT} pages"))
            .with_next("Set paginate.pages_max to say how many are wanted, or go through the pages with each."));
    }
    items.truncate(items_max);
    Ok(beyond || (more && pages >= pages_max))
}

/// The page a cursor stands for; none stands for the first.
pub(super) async fn one(cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let since = Instant::now();
    let Some(walk) = read(&input)? else {
        let (response, wanted) = super::accepted(&cx, &input, With::default(), since).await?;
        return match super::body_of(&cx, &input, &response, wanted)? {
            Json::Array(items) => Ok(Page { items, next: None }),
            single => Ok(Page { items: vec![single], next: None }),
        };
    };
    let position = match cursor {
        None => Position::default(),
        Some(kept) => serde_json::from_value(kept)
            .map_err(|_| StepError::new(ErrorClass::Internal, "CURSOR_INVALID", "where the pages stood cannot be read"))?,
    };
    let done = position.items;
    let (mut items, next, _) = turn(&cx, &input, &walk, position, since).await?;
    let left = usize::try_from(walk.items_max.unwrap_or(u64::MAX).saturating_sub(done)).unwrap_or(usize::MAX);
    let enough = items.len() >= left;
    items.truncate(left);
    let next = next.filter(|next| !enough && next.pages < walk.pages_max.unwrap_or(u64::MAX));
    Ok(Page { items, next: next.map(|next| json!(next)) })
}

/// One call: its items, and where the walk stands then unless this was the last page.
async fn turn(
    cx: &Cx,
    input: &Json,
    walk: &Walk,
    position: Position,
    since: Instant,
) -> Result<(Vec<Json>, Option<Position>, Response), StepError> {
    // Each page is a call of its own; under one key a system might give the first page again.
    let cx = &Cx { idempotency_key: format!("{}/{}", cx.idempotency_key, position.pages).into(), ..cx.clone() };
    let place = walk.place(&position)?;
    let input = &walk.asking(input, &position)?;
    let with = With { place: place.as_ref(), ..With::default() };
    let first = super::address(cx, input, with)?;
    let (response, wanted) = super::accepted(cx, input, with, since).await?;
    let mut body = super::body_of(cx, input, &response, if wanted == As::Auto { As::Json } else { wanted })?;
    let count = walk.items(&body)?.len();
    let next = walk.next(&position, &first, &response, &body, count)?;
    let items = walk.take_items(&mut body);
    let next = match next {
        None => None,
        Some(at) => Some(advance(position, at, &items)?),
    };
    Ok((items, next, response))
}

/// Where the walk stands after this page; an error when it goes round.
pub(crate) fn advance(mut position: Position, at: Json, items: &[Json]) -> Result<Position, StepError> {
    let cursor = mark("at", &at);
    if position.seen.contains(&cursor) {
        return Err(stopped(
            "PAGES_ENDLESS",
            format!("after {} pages, the answer leads back to a page that was read already", position.pages + 1),
        ));
    }
    position.seen.push(cursor);
    if !items.is_empty() {
        let page = mark("page", items);
        if position.seen.contains(&page) {
            return Err(stopped("PAGE_REPEATED", format!("page {} holds the same items as an earlier one", position.pages + 1)));
        }
        position.seen.push(page);
    }
    let excess = position.seen.len().saturating_sub(2 * SEEN_MAX);
    position.seen.drain(..excess);
    position.pages += 1;
    position.items += items.len() as u64;
    position.at = at;
    Ok(position)
}

/// The hasher without keys gives the same on every process of a build, which is all that is needed.
fn mark(what: &str, value: impl std::hash::Hash) -> String {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn stopped(code: &'static str, sentence: impl Into<String>) -> StepError {
    invalid(code, sentence).with_next("Check paginate against the documentation of the system.")
}

impl Walk {
    /// The whole address of this page, where the page before it gave one.
    pub(crate) fn place(&self, position: &Position) -> Result<Option<Url>, StepError> {
        match (&self.kind, position.at.as_str()) {
            (Kind::Link | Kind::NextUrl(_), Some(text)) => match Url::parse(text) {
                Ok(url) => Ok(Some(url)),
                Err(_) => Err(stopped("NEXT_PAGE_INVALID", "the address of the next page cannot be read")),
            },
            _ => Ok(None),
        }
    }

    /// The input of this call: the values that carry the place, put in.
    pub(crate) fn asking(&self, input: &Json, position: &Position) -> Result<Json, StepError> {
        let mut input = input.clone();
        let at = match (&self.kind, &position.at) {
            (Kind::Link | Kind::NextUrl(_), _) => Json::Null,
            (Kind::Offset | Kind::Page, Json::Null) => self.first.into(),
            (_, at) => at.clone(),
        };
        let mut put = |name: &str, value: Json| {
            let holder = if self.in_json { "json" } else { "query" };
            if input[holder].is_null() {
                input[holder] = json!({});
            }
            match &mut input[holder] {
                Json::Object(fields) => {
                    fields.insert(name.to_owned(), value);
                    Ok(())
                }
                other => Err(problem(format!(
                    "paginate puts \"{name}\" into {holder}, which must be a record for that, not {}",
                    strict::kind(other)
                ))),
            }
        };
        if !at.is_null() {
            put(&self.param, at)?;
        }
        if let (Some(name), Some(limit)) = (&self.limit_param, self.limit) {
            put(name, limit.into())?;
        }
        Ok(input)
    }

    /// The items of a page, out of its body.
    pub(crate) fn take_items(&self, body: &mut Json) -> Vec<Json> {
        let found = match &self.items {
            None => Some(body),
            Some(path) => lookup_mut(body, path),
        };
        match found {
            Some(Json::Array(items)) => std::mem::take(items),
            _ => Vec::new(),
        }
    }

    /// The items of a page, in its body.
    pub(crate) fn items<'b>(&self, body: &'b Json) -> Result<&'b [Json], StepError> {
        let (found, place) = match &self.items {
            None => (Some(body), "the body".to_owned()),
            Some(path) => (lookup(body, path), format!("items, {path},")),
        };
        match found {
            Some(Json::Array(items)) => Ok(items),
            Some(Json::Null) if self.items.is_none() => Ok(&[]),
            found => Err(stopped(
                "ITEMS_MISSING",
                format!("{place} is no list on this page but {}", found.map_or("missing", strict::kind)),
            )
            .with_next("Say with paginate.items where the list is in the body, as in data.items.")),
        }
    }

    /// What the next call begins with; `None` when there is none.
    pub(crate) fn next(
        &self,
        position: &Position,
        first: &Url,
        response: &Response,
        body: &Json,
        count: usize,
    ) -> Result<Option<Json>, StepError> {
        if self.more.as_ref().is_some_and(|path| matches!(lookup(body, path), None | Some(Json::Null | Json::Bool(false)))) {
            return Ok(None);
        }
        let short = count == 0 || self.limit.is_some_and(|limit| (count as u64) < limit);
        let before = position.at.as_u64().unwrap_or(self.first);
        match &self.kind {
            Kind::Offset if short => Ok(None),
            Kind::Offset => Ok(Some((before + count as u64).into())),
            Kind::Page if short => Ok(None),
            Kind::Page => Ok(Some((before + 1).into())),
            Kind::Cursor(path) => match lookup(body, path) {
                None | Some(Json::Null | Json::Bool(false)) => Ok(None),
                Some(Json::String(text)) if text.is_empty() => Ok(None),
                Some(at @ (Json::String(_) | Json::Number(_))) => Ok(Some(at.clone())),
                Some(other) => Err(stopped("NEXT_PAGE_INVALID", format!("the cursor at {path} is {}", strict::kind(other)))),
            },
            Kind::NextUrl(path) => match lookup(body, path) {
                None | Some(Json::Null | Json::Bool(false)) => Ok(None),
                Some(Json::String(text)) if text.is_empty() => Ok(None),
                Some(Json::String(text)) => near(first, &response.url, text).map(Some),
                Some(other) => Err(stopped("NEXT_PAGE_INVALID", format!("the address at {path} is {}", strict::kind(other)))),
            },
            Kind::Link => next_link(&response.headers).map(|link| near(first, &response.url, &link)).transpose(),
        }
    }
}

/// The address of the next page. It must stay with the host that was called: our sign-in goes along.
fn near(first: &Url, here: &Url, link: &str) -> Result<Json, StepError> {
    let next = here.join(link.trim()).map_err(|_| stopped("NEXT_PAGE_INVALID", "the address of the next page cannot be read"))?;
    if next.origin() != first.origin() || !next.username().is_empty() || next.password().is_some() {
        return Err(StepError::new(
            ErrorClass::Denied,
            "NEXT_PAGE_ELSEWHERE",
            format!(
                "the next page is said to be at {}, not at {}",
                next.origin().ascii_serialization(),
                first.origin().ascii_serialization()
            ),
        )
        .with_next("Check that the system is the one it should be; its pages must stay on one host."));
    }
    Ok(next.as_str().into())
}

/// `data.items`, with `-1` for the last of a list; `/data/items` for names that hold a dot (RFC 6901).
pub(crate) fn lookup<'a>(body: &'a Json, path: &str) -> Option<&'a Json> {
    if path.starts_with('/') {
        return body.pointer(path);
    }
    path.split('.').try_fold(body, |value, name| match value {
        Json::Object(fields) => fields.get(name),
        Json::Array(items) if name == "-1" => items.last(),
        Json::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The same to be changed.
pub(crate) fn lookup_mut<'a>(body: &'a mut Json, path: &str) -> Option<&'a mut Json> {
    if path.starts_with('/') {
        return body.pointer_mut(path);
    }
    path.split('.').try_fold(body, |value, name| match value {
        Json::Object(fields) => fields.get_mut(name),
        Json::Array(items) => {
            let place = if name == "-1" { items.len().checked_sub(1)? } else { name.parse::<usize>().ok()? };
            items.get_mut(place)
        }
        _ => None,
    })
}

/// The target whose relation is `next` (RFC 8288, 3).
fn next_link(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|text| {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('<') {
            let (target, after) = after.split_once('>')?;
            let (params, after) = split_unquoted(after);
            let is_next = params.split(';').filter_map(|param| param.split_once('=')).any(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
            });
            if is_next {
                return Some(target.to_owned());
            }
            rest = after;
        }
        None
    })
}

/// What stands before the first comma outside quotes, and what after it.
fn split_unquoted(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (place, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => return (&text[..place], &text[place + 1..]),
            _ => {}
        }
    }
    (text, "")
}
