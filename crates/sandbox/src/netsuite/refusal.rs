//! What the REST interface says when it does not do something.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value as Json, json};

/// An error in the vendor's shape, with what it speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: String,
    /// Which member names the place (`o:errorPath`, `o:errorQueryParam`, …), and the place.
    place: Option<(&'static str, String)>,
    /// Where something else is.
    location: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), place: None, location: None }
    }

    pub(super) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// A rule of the account, in its own words.
    pub(super) fn user(detail: impl AsRef<str>) -> Self {
        Self::bad("USER_ERROR", format!("Error while accessing a resource. {}", detail.as_ref()))
    }

    pub(super) fn missing(labels: &[&str]) -> Self {
        Self::user(format!("Please enter value(s) for: {}", labels.join(", ")))
    }

    /// The cause of a refused sign-in never reaches the caller.
    pub(super) fn login() -> Self {
        let detail = "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI at Setup > Users/Roles > User Management > View Login Audit Trail.";
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_LOGIN", detail)
    }

    pub(super) fn permission(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "INSUFFICIENT_PERMISSION", detail)
    }

    pub(super) fn no_record(path: &str) -> Self {
        let detail = "The record instance does not exist. Provide a valid record instance ID.";
        Self::new(StatusCode::NOT_FOUND, "NONEXISTENT_ID", detail).url(path)
    }

    pub(super) fn method(method: &http::Method, path: &str) -> Self {
        let detail = format!("The request method '{method}' is not supported for this resource.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail).url(path)
    }

    pub(super) fn concurrency() -> Self {
        let detail = "Concurrent request limit exceeded. Request blocked.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "CONCURRENCY_LIMIT_EXCEEDED", detail)
    }

    pub(super) fn unexpected() -> Self {
        let detail = "An unexpected error occurred. Error ID: lw3jdgpo1x0b5xr8l1t3w";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNEXPECTED_ERROR", detail)
    }

    pub(super) fn path(mut self, path: impl Into<String>) -> Self {
        self.place = Some(("o:errorPath", path.into()));
        self
    }

    pub(super) fn query(mut self, name: &str) -> Self {
        self.place = Some(("o:errorQueryParam", name.to_owned()));
        self
    }

    pub(super) fn header(mut self, name: &str) -> Self {
        self.place = Some(("o:errorHeader", name.to_owned()));
        self
    }

    pub(super) fn url(mut self, path: &str) -> Self {
        self.place = Some(("o:errorUrl", path.to_owned()));
        self
    }

    pub(super) fn at(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    pub(super) fn body(&self) -> Json {
        let mut detail = Map::new();
        detail.insert("detail".to_owned(), json!(self.detail));
        if let Some((member, place)) = &self.place {
            detail.insert((*member).to_owned(), json!(place));
        }
        detail.insert("o:errorCode".to_owned(), json!(self.code));
        // The one error whose title is not that of its status.
        let conflict = (self.code == "IDEMPOTENCY_ERROR").then_some("Conflict");
        let title = conflict.or_else(|| self.status.canonical_reason()).unwrap_or("Error");
        json!({ "type": described(self.status), "title": title, "status": self.status.as_u16(), "o:errorDetails": [detail] })
    }
}

/// The part of RFC 9110 (6585 for 429) that describes a status.
fn described(status: StatusCode) -> String {
    let section = match status.as_u16() {
        401 => "15.5.2",
        403 => "15.5.4",
        404 => "15.5.5",
        405 => "15.5.6",
        406 => "15.5.7",
        409 => "15.5.10",
        413 => "15.5.14",
        415 => "15.5.16",
        429 => return "https://www.rfc-editor.org/rfc/rfc6585.html#section-4".to_owned(),
        500 => "15.6.1",
        503 => "15.6.4",
        _ => "15.5.1",
    };
    format!("https://www.rfc-editor.org/rfc/rfc9110.html#section-{section}")
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.oracle.resource+json; type=error"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("OAuth realm=\"NetSuite\", error=\"token_rejected\""));
        }
        if let Some(location) = self.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn an_error_names_its_place_and_its_part_of_the_standard() {
        let body = Refusal::bad("INVALID_CONTENT", "No.").path("item.items[0].item").body();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "https://www.rfc-editor.org/rfc/rfc9110.html#section-15.5.1",
                "title": "Bad Request",
                "status": 400,
                "o:errorDetails": [{"detail": "No.", "o:errorPath": "item.items[0].item", "o:errorCode": "INVALID_CONTENT"}],
            })
        );
    }
}
