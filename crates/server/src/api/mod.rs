//! The HTTP API under `/api/v1`. One file per kind of thing; the OpenAPI document comes from the same
//! declarations as the routes.

mod alarms;
mod approvals;
mod connections;
pub(crate) mod dead_letters;
pub(crate) mod files;
mod gates;
mod health;
mod inbound;
mod objects;
pub(crate) mod operations;
mod polls;
mod recipes;
mod run_events;
mod runs;
mod schedules;
pub(crate) mod settle;
mod sign_in;

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::FromRequest,
    http::{Request, StatusCode},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::Timestamp;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{error::ApiError, state::Shared};

/// Rows a page holds unless the caller says otherwise.
const PAGE_DEFAULT: u32 = 20;
/// Rows a page holds at most.
const PAGE_MAX: u32 = 200;

#[derive(OpenApi)]
#[openapi(
    info(title = "Liaison", description = "Recipes, their runs, and the connections they use."),
    modifiers(&Bearer),
    tags(
        (name = "recipes", description = "Texts, versions, switching on and off"),
        (name = "runs", description = "Starting, reading, cancelling, resuming, replaying"),
        (name = "dead letters", description = "Runs that failed and wait for somebody"),
        (name = "approvals", description = "Questions of runs to people, and their decisions"),
        (name = "operations", description = "What is done to many dead letters at once"),
        (name = "connections", description = "Accounts in other systems; credentials are write-only"),
        (name = "alarms", description = "What people are told, and how"),
        (name = "audit", description = "Who changed what, when and why"),
        (name = "inbound", description = "Webhook requests that started no run"),
        (name = "schedules", description = "When they fired last, and when they fire next"),
        (name = "polls", description = "Triggers that ask a system: how far they came, and where they begin")
    )
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        document.security = Some(vec![utoipa::openapi::security::SecurityRequirement::new("key", Vec::<String>::new())]);
    }
}

/// The routes and their document.
pub(crate) fn router() -> (axum::Router<Shared>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .nest(
            "/api/v1",
            OpenApiRouter::new()
                .routes(routes!(recipes::list))
                .routes(routes!(recipes::get, recipes::put))
                .routes(routes!(recipes::activate))
                .routes(routes!(recipes::deactivate))
                .routes(routes!(recipes::versions))
                .routes(routes!(recipes::version))
                .routes(routes!(recipes::stats))
                .routes(routes!(runs::start))
                .routes(routes!(runs::list))
                .routes(routes!(runs::get))
                .routes(routes!(runs::cancel))
                .routes(routes!(runs::resume))
                .routes(routes!(runs::replay))
                .routes(routes!(run_events::events))
                .routes(routes!(files::get))
                .routes(routes!(dead_letters::list))
                .routes(routes!(dead_letters::causes))
                .routes(routes!(dead_letters::resume))
                .routes(routes!(dead_letters::replay))
                .routes(routes!(dead_letters::discard))
                .routes(routes!(approvals::list))
                .routes(routes!(approvals::get))
                .routes(routes!(approvals::approve))
                .routes(routes!(approvals::decline))
                .routes(routes!(settle::settle))
                .routes(routes!(operations::list))
                .routes(routes!(operations::get))
                .routes(routes!(operations::runs))
                .routes(routes!(operations::pause))
                .routes(routes!(operations::resume))
                .routes(routes!(operations::stop))
                .routes(routes!(schedules::list))
                .routes(routes!(polls::list))
                .routes(routes!(polls::get))
                .routes(routes!(polls::shift))
                .routes(routes!(polls::ask))
                .routes(routes!(alarms::list))
                .routes(routes!(alarms::get, alarms::set, alarms::remove))
                .routes(routes!(alarms::test))
                .routes(routes!(alarms::notices))
                .routes(routes!(inbound::list))
                .routes(routes!(inbound::get, inbound::delete))
                .routes(routes!(inbound::assign))
                .routes(routes!(connections::list, connections::create))
                .routes(routes!(connections::get, connections::update, connections::delete))
                .routes(routes!(connections::test))
                .routes(routes!(objects::list))
                .routes(routes!(objects::get))
                .routes(routes!(sign_in::begin))
                .routes(routes!(gates::get, gates::set))
                .routes(routes!(gates::set_pause))
                .routes(routes!(gates::audit))
                .routes(routes!(connections::connectors)),
        )
        .split_for_parts()
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    pub(crate) pagination: Pagination,
}

/// Where a page stands in its list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pagination {
    pub(crate) limit: u32,
    /// What to send as `cursor` for the next page.
    pub(crate) next_cursor: Option<String>,
    pub(crate) has_more: bool,
}

impl<T> Page<T> {
    /// A page from `limit + 1` rows: the one too many only tells that there are more.
    pub(crate) fn cut(mut data: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let has_more = data.len() > limit as usize;
        data.truncate(limit as usize);
        let next_cursor = data.last().filter(|_| has_more).map(cursor);
        Self { data, pagination: Pagination { limit, next_cursor, has_more } }
    }

    /// The part of a list that is asked for, in the order of its keys; all of it when nobody says how much.
    pub(crate) fn part<K: Ord>(
        mut rows: Vec<T>,
        limit: Option<u32>,
        after: Option<K>,
        key: impl Fn(&T) -> K,
        cursor: impl Fn(&T) -> String,
    ) -> Result<Self, ApiError> {
        rows.sort_by_cached_key(&key);
        if let Some(after) = after {
            rows.drain(..rows.partition_point(|row| key(row) <= after));
        }
        match limit {
            None => Ok(Self::whole(rows)),
            Some(limit) => Ok(Self::cut(rows, read_limit(Some(limit))?, cursor)),
        }
    }

    /// A list that fits on one page.
    pub(crate) fn whole(data: Vec<T>) -> Self {
        let limit = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Self { data, pagination: Pagination { limit, next_cursor: None, has_more: false } }
    }
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// Rows on a page, 1 to 200. All that there are, when it is left out.
    pub(crate) limit: Option<u32>,
}

/// A JSON body whose errors are told as every other error.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, app: &Shared) -> Result<Self, ApiError> {
        let bytes = bytes(request, app).await?;
        // Nothing sent stands for an empty record: every field of such calls may be left out.
        let text = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}".as_slice() } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| not_json(&error))
    }
}

/// The raw body within its limit.
pub(crate) async fn bytes(request: Request<Body>, app: &Shared) -> Result<Bytes, ApiError> {
    let max = app.settings.api_bytes_max;
    tokio::time::timeout(app.settings.body_timeout, axum::body::to_bytes(request.into_body(), max))
        .await
        .map_err(|_| {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", "The body did not arrive in time. Send it again.")
        })?
        .map_err(|error| {
            let too_large =
                std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
            if too_large {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", format!("The body is larger than {max} bytes."))
            } else {
                ApiError::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "The body ended before it was complete. Send it again.")
            }
        })
}

/// What a body that is not the JSON we expect gets.
pub(crate) fn not_json(error: &serde_json::Error) -> ApiError {
    if error.is_data() {
        ApiError::field("body", format!("The body does not fit this call: {error}."))
    } else {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "BODY_NOT_JSON",
            format!("The body is not JSON: {error}. Correct it and send it again."),
        )
    }
}

/// ISO 8601 in UTC.
pub(crate) fn instant(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.micros()).map(|at| at.to_string()).unwrap_or_default()
}

/// Reads an instant of a query.
pub(crate) fn read_instant(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    text.map(|text| {
        text.parse::<jiff::Timestamp>().map(|at| Timestamp::from_micros(at.as_microsecond())).map_err(|_| {
            ApiError::field(field, format!("{field} is {text:?}, which is no instant. Write it like 2026-11-21T09:00:00Z."))
        })
    })
    .transpose()
}

/// Reads `?wait=30s`.
pub(crate) fn read_wait(text: Option<&str>, max: Duration) -> Result<Option<Duration>, ApiError> {
    text.map(|text| {
        recipe::parse_duration(text)
            .map(|wait| wait.min(max))
            .ok_or_else(|| ApiError::field("wait", format!("wait is {text:?}, which is no duration. Write it like 30s.")))
    })
    .transpose()
}

/// How many rows a caller wants.
pub(crate) fn read_limit(limit: Option<u32>) -> Result<u32, ApiError> {
    match limit {
        None => Ok(PAGE_DEFAULT),
        Some(limit @ 1..=PAGE_MAX) => Ok(limit),
        Some(limit) => Err(ApiError::field("limit", format!("limit is {limit}; it must be between 1 and {PAGE_MAX}."))),
    }
}

/// An operation that was carried out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Done {
    /// The run it concerns.
    pub(crate) id: String,
    /// The run's status.
    pub(crate) status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_page_by_page() {
        let of = |limit, after: Option<&str>| {
            let rows = ["c", "a", "d", "b"].map(str::to_owned).to_vec();
            Page::part(rows, limit, after.map(str::to_owned), String::clone, String::clone)
        };
        let whole = of(None, None).unwrap();
        assert_eq!((whole.data.concat().as_str(), whole.pagination.has_more), ("abcd", false));
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = of(Some(3), after.as_deref()).unwrap();
            read.push(page.data.concat());
            after = page.pagination.next_cursor;
            assert_eq!(page.pagination.has_more, after.is_some());
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read, ["abc", "d"]);
        // One that has gone since leaves its place.
        assert_eq!(of(None, Some("bb")).unwrap().data.concat(), "cd");
        assert!(of(Some(0), None).is_err() && of(Some(201), None).is_err());
    }
}
