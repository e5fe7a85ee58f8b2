//! Requests as they are read, and answers before they are written.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value as Json};

use super::refusal::Refusal;

/// Longest body, as documented.
const BODY_BYTES_MAX: usize = 104 * 1024 * 1024;
/// Parameters of a query.
const PARAMETERS_MAX: usize = 1_000;

pub(super) const ONE: &str = "application/vnd.oracle.resource+json; type=singular";
pub(super) const MANY: &str = "application/vnd.oracle.resource+json; type=collection";

/// A request, read whole.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    /// As it was sent.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) pairs: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) async fn read(request: Request) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "INVALID_CONTENT", "The request body exceeds the limit of 104 MB.")
        })?;
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            .take(PARAMETERS_MAX)
            .map(|(k, v)| (k.into_owned(), v.into_owned()))
            .collect();
        let path = parts.uri.path().to_owned();
        Ok(Self { method: parts.method, path, query, pairs, headers: parts.headers, body: body.to_bytes() })
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// All values of `Prefer`, in small letters.
    pub(super) fn prefers(&self, wish: &str) -> bool {
        self.headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.to_lowercase().split([',', ';']).any(|part| part.trim() == wish))
    }

    pub(super) fn host(&self) -> String {
        self.header("host").to_lowercase()
    }

    /// Scheme and host the caller used.
    pub(super) fn base(&self) -> String {
        let host = self.host();
        let scheme = if host.ends_with(".netsuite.com") { "https" } else { "http" };
        format!("{scheme}://{host}")
    }

    /// The body as an object.
    pub(super) fn object(&self) -> Result<Map<String, Json>, Refusal> {
        let media = self.header("content-type");
        if !media.is_empty() && !media.contains("json") {
            let detail = format!("The media type '{media}' is not supported.");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail).header("Content-Type"));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Json::Object(body)) => Ok(body),
            Ok(_) => Err(Refusal::bad("INVALID_CONTENT", "Invalid content in the request body. An object is expected.")),
            Err(error) => {
                Err(Refusal::bad("INVALID_CONTENT", format!("Invalid content in the request body. Error in JSON: {error}")))
            }
        }
    }
}

/// An answer that can be kept.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(media: &str, body: &Json) -> Self {
        Self { status: StatusCode::OK, headers: vec![(header::CONTENT_TYPE, media.to_owned())], body: body.to_string().into() }
    }

    /// Done, nothing to show, and where the record is.
    pub(super) fn done(location: Option<String>) -> Self {
        let headers = location.map(|location| (header::LOCATION, location)).into_iter().collect();
        Self { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((HeaderName::from_static(name), value));
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// A page of a collection, checked as documented.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) limit: usize,
    pub(super) offset: usize,
}

/// Rows of a page, at most and when nothing is said.
pub(super) const PAGE_ROWS_MAX: usize = 1_000;
/// Pages of a collection.
const PAGES_MAX: usize = 1_000;
/// Results of a collection, whatever the page.
pub(super) const RESULTS_MAX: usize = 100_000;

impl Page {
    pub(super) fn read(call: &Call) -> Result<Self, Refusal> {
        let number = |name: &str, default: usize| match call.parameter(name) {
            None | Some("") => Ok(default),
            Some(text) => text.parse::<usize>().map_err(|_| invalid(name, "It must be an integer.")),
        };
        let limit = number("limit", PAGE_ROWS_MAX)?;
        let offset = number("offset", 0)?;
        if limit == 0 || limit > PAGE_ROWS_MAX {
            return Err(invalid("limit", "The number must be between 1 and 1000."));
        }
        if offset % limit != 0 {
            return Err(invalid("offset", "The offset must be divisible by the limit."));
        }
        if offset / limit >= PAGES_MAX || offset >= RESULTS_MAX {
            return Err(invalid("offset", "The offset is beyond the last page that can be read."));
        }
        Ok(Self { limit, offset })
    }

    /// The members around the items of a collection.
    pub(super) fn wrap(self, address: &str, others: &str, items: Vec<Json>, total: usize) -> Json {
        let more = self.offset + items.len() < total;
        let at = |offset: usize| format!("{address}?limit={}&offset={offset}{others}", self.limit);
        let mut links = Vec::new();
        if self.offset > 0 {
            links.push(super::values::link("first", at(0)));
            links.push(super::values::link("prev", at(self.offset.saturating_sub(self.limit))));
        }
        if more {
            links.push(super::values::link("next", at(self.offset + self.limit)));
            links.push(super::values::link("last", at((total - 1) / self.limit * self.limit)));
        }
        links.push(super::values::link("self", at(self.offset)));
        serde_json::json!({
            "links": links, "count": items.len(), "hasMore": more, "items": items, "offset": self.offset, "totalResults": total,
        })
    }
}

fn invalid(name: &str, why: &str) -> Refusal {
    Refusal::bad("INVALID_PARAMETER", format!("Invalid value for the query parameter '{name}'. {why}")).query(name)
}
