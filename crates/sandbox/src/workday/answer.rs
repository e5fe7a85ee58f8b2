//! Calls taken apart, and answers in the manner of each door.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::soap;
use crate::fault::Kind;

/// A request.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    /// The path's parts, unescaped, without empty ones at the end.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// The address of the server, without a slash at the end.
    pub(super) base: &'a str,
    pub(super) now: Timestamp,
}

impl<'a> Call<'a> {
    pub(super) fn new(parts: &'a Parts, body: &'a [u8], base: &'a str, now: Timestamp) -> Self {
        let path = parts.uri.path().split('/').filter(|part| !part.is_empty()).map(unescaped).collect();
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        Self { method: &parts.method, path, query, headers: &parts.headers, body, base, now }
    }

    /// The first value of a parameter of the query.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The vendor's answer to a body that is none.
    pub(super) fn json(&self) -> Result<Json, Answer> {
        let value: Json = if self.body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(self.body).map_err(|error| Answer::error(400, &format!("invalid json: {error}")))?
        };
        if value.is_object() { Ok(value) } else { Err(Answer::error(400, "invalid json: an object is expected")) }
    }
}

/// A part of a path with its `%` groups read.
fn unescaped(part: &str) -> String {
    // The reader of forms takes a plus for a blank, which a path does not.
    let pair = part.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// An answer that is whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn json(status: u16, body: &Json) -> Self {
        Self::new(status, "application/json;charset=utf-8", body.to_string())
    }

    /// `{"error": …}`, as every REST service answers.
    pub(super) fn error(status: u16, words: &str) -> Self {
        Self::json(status, &json!({ "error": words }))
    }

    /// 400 with the list of what is wrong.
    pub(super) fn invalid(problems: &[(String, &str)]) -> Self {
        // `field` is (unverified).
        let errors: Vec<Json> = problems
            .iter()
            .map(
                |(words, field)| {
                    if field.is_empty() { json!({ "error": words }) } else { json!({ "error": words, "field": field }) }
                },
            )
            .collect();
        Self::json(400, &json!({ "error": "invalid request: see errors", "errors": errors }))
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(Body::from(answer.body));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        self.into()
    }
}

/// The page of the weekly maintenance window.
pub(super) fn maintenance() -> Answer {
    let page = "<!DOCTYPE html><html><head><title>Workday is currently unavailable.</title></head>\
                <body><h1>Workday is currently unavailable.</h1><p>Your service is being maintained.</p></body></html>";
    Answer::new(503, "text/html;charset=utf-8", page)
}

pub(super) fn too_many(retry_after_s: Option<u64>) -> Answer {
    let answer = Answer::error(429, "Too many requests. The rate limit of the tenant is reached.");
    match retry_after_s {
        Some(seconds) => answer.with(header::RETRY_AFTER, seconds.to_string()),
        None => answer,
    }
}

/// The answer to what a fault refuses, by door.
pub(super) fn refusal(kind: &Kind, path: &str) -> Answer {
    let soap = path.starts_with("/ccx/service/") && !path.starts_with("/ccx/service/customreport2/");
    let report = path.starts_with("/ccx/service/customreport2/");
    match kind {
        Kind::RateLimited { retry_after } => too_many(*retry_after),
        // No daily number of calls is documented; the tenant's limit answers the same.
        Kind::DailyLimit => too_many(None),
        Kind::Unavailable => maintenance(),
        Kind::ServerError if soap => {
            soap::fault::processing("Processing error occurred. An internal error has occurred.", "internal error")
        }
        Kind::ExpiredSession if soap => soap::fault::authentication(),
        Kind::Denied if soap => soap::fault::unauthorized(),
        Kind::ExpiredSession if path.contains("/oauth2/") => Answer::error(400, "invalid_grant"),
        Kind::ExpiredSession => super::auth::unauthorized(report),
        Kind::Denied if path.starts_with("/ccx/api/wql/") => {
            Answer::error(500, "The security configuration of the tenant does not allow access to fields: worker")
        }
        Kind::Denied => Answer::error(403, "permission denied"),
        _ => Answer::error(500, "internal server error"),
    }
}
