//! Content that runs speak of and that is kept apart from them: large values and files.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream::try_unfold;
use serde::{Deserialize, Serialize};
use store::{Apart, BlobId, BlobReader, RunId};
use utoipa::{IntoParams, ToSchema};

use super::runs::read_id;
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// Most of a file's name that is passed on.
const NAME_CHARS_MAX: usize = 120;

/// A value that is too large to stand in an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefOut {
    sha256: String,
    /// Bytes, as JSON.
    size: u64,
    /// Where it is.
    url: String,
}

impl RefOut {
    pub(super) fn of(run: RunId, apart: Option<Apart>) -> Option<Self> {
        apart.map(|Apart { sha256, size, .. }| Self {
            sha256: sha256.to_string(),
            size,
            url: format!("/api/v1/runs/{run}/files/{sha256}"),
        })
    }
}

/// How a file is to be called.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameQuery {
    /// The name it is saved under.
    name: Option<String>,
}

/// Content that a run speaks of: a file, or a value too large for an answer, as JSON.
#[utoipa::path(get, path = "/runs/{id}/files/{sha256}", tag = "runs",
    params(("id" = String, Path), ("sha256" = String, Path, description = "64 hexadecimal digits"), NameQuery),
    responses((status = 200, description = "The content", body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, sha256)): Path<(String, String)>,
    Query(query): Query<NameQuery>,
) -> Result<Response, ApiError> {
    caller.need(Scope::RunsRead)?;
    let not_found = || ApiError::not_found(format!("file {sha256} of run {id}"));
    let (run, blob) = (read_id(&id)?, sha256.parse::<BlobId>().map_err(|_| not_found())?);
    // Who may see the run may see what it speaks of, and nothing else.
    if app.store().run(run).await?.is_none() || !app.store().refers(run, blob).await? {
        return Err(not_found());
    }
    stream(&app, blob, query.name.as_deref().unwrap_or(&sha256)).await
}

/// A content as a file to save. Nothing in it is ever shown by the browser itself.
pub(crate) async fn stream(app: &Shared, blob: BlobId, name: &str) -> Result<Response, ApiError> {
    let reader = BlobReader::open(Arc::clone(app.engine.store()), blob).await?;
    let reader = reader.ok_or_else(|| ApiError::not_found(format!("content {blob} any more")))?;
    let size = reader.row().size;
    let pieces = try_unfold(reader, |mut reader| async move {
        let piece = reader.next().await.inspect_err(|error| tracing::error!(%error, "files.get"))?;
        Ok::<_, store::StoreError>(piece.map(|piece| (piece, reader)))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(size)),
        (header::CONTENT_DISPOSITION, disposition(name)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// Only letters, digits and a few marks of a name go into a header.
fn disposition(name: &str) -> HeaderValue {
    let plain = |char: char| if char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.') { char } else { '_' };
    let name: String = name.chars().take(NAME_CHARS_MAX).map(plain).collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_header() {
        for (name, expected) in [
            ("order 7.pdf", "attachment; filename=\"order_7.pdf\""),
            ("a\"; x=\r\nSet-Cookie: y", "attachment; filename=\"a___x___Set-Cookie__y\""),
            ("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\""),
        ] {
            assert_eq!(disposition(name), expected);
        }
        assert!(disposition(&"ü".repeat(500)).len() < 200);
    }
}
