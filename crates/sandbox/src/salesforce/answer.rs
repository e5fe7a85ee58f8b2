//! What goes back to a client.

use std::io::Write as _;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value as Json, json};

use super::errors::Trouble;

/// The body of an answer.
#[derive(Debug, Clone)]
pub(super) enum Content {
    None,
    Json(Json),
    /// A body of another type.
    Bytes(Bytes, &'static str),
}

/// An answer before it is written.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub content: Content,
}

/// Answers shorter than this are not compressed.
const COMPRESSED_BYTES_MIN: usize = 2_048;

impl Answer {
    pub(super) fn json(status: u16, body: Json) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(body) }
    }

    pub(super) fn ok(body: Json) -> Self {
        Self::json(200, body)
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::None }
    }

    pub(super) fn bytes(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), content: Content::Bytes(body.into(), kind) }
    }

    pub(super) fn trouble(trouble: &Trouble) -> Self {
        Self::json(trouble.status, json!([trouble.top()]))
    }

    pub(super) fn header(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header(name, value);
        self
    }

    /// The answer on the wire, indented for those who ask for it.
    pub(super) fn response(self, pretty: bool) -> Response {
        self.written(pretty, false)
    }

    /// Likewise, compressed when the client takes gzip.
    pub(super) fn written(self, pretty: bool, gzip: bool) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (body, kind) = match self.content {
            Content::None => (Bytes::new(), None),
            Content::Json(body) if pretty => {
                (serde_json::to_vec_pretty(&body).unwrap_or_default().into(), Some("application/json;charset=UTF-8"))
            }
            Content::Json(body) => (serde_json::to_vec(&body).unwrap_or_default().into(), Some("application/json;charset=UTF-8")),
            Content::Bytes(body, kind) => (body, Some(kind)),
        };
        let packed = (gzip && body.len() >= COMPRESSED_BYTES_MIN).then(|| pack(&body)).flatten();
        let is_packed = packed.is_some();
        let mut response = (status, Body::from(packed.unwrap_or(body))).into_response();
        response.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(kind) = kind {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if is_packed {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

fn pack(body: &[u8]) -> Option<Bytes> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(body).ok()?;
    packer.finish().ok().map(Bytes::from)
}
