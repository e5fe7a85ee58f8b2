//! `ANY /callbacks/{run}/{path}/{proof}`: a one-time address of a step that waits for it.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{Method, StatusCode, Uri, request::Parts},
    response::{IntoResponse, Response},
};
use engine::TalkError;
use serde_json::{Value, json};
use store::RunId;

use crate::{
    error::ApiError,
    hooks::{Mask, parse, plain_headers, query, read, shown},
    state::Shared,
};

/// Takes one call.
pub(crate) async fn receive(
    State(app): State<Shared>,
    Path((run, path, proof)): Path<(String, String, String)>,
    method: Method,
    uri: Uri,
    parts: Parts,
    body: Body,
) -> Response {
    match take(&app, (&run, &path, &proof), &method, &uri, &parts, body).await {
        Ok(response) => response,
        Err(error) => {
            metrics::counter!("liaison_callbacks_refused_total", "code" => error.code).increment(1);
            error.into_response()
        }
    }
}

async fn take(
    app: &Shared,
    (run, path, proof): (&str, &str, &str),
    method: &Method,
    uri: &Uri,
    parts: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    if app.engine.is_stopping() {
        return Err(engine::IntakeError::Stopping.into());
    }
    // Mail programs and chats look at links before people do: looking must not use the address up.
    if matches!(*method, Method::HEAD | Method::OPTIONS) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let run: RunId = run.parse().map_err(|_| ApiError::not_found("step that waits at this address"))?;
    let bytes = read(app, &parts.headers, body).await?;
    let headers = plain_headers(&parts.headers);
    let sent = parse(None, &headers, &bytes).await?;
    let body = match sent {
        Value::Null => query(uri.query().unwrap_or_default()),
        sent => sent,
    };
    app.engine.call_back(run, path, proof, shown(&Mask::default(), &headers), body).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "run_id": run }))).into_response())
}

impl From<TalkError> for ApiError {
    fn from(error: TalkError) -> Self {
        match error {
            TalkError::NotFound => Self::not_found("step or question that waits at this address"),
            TalkError::Already(message) => Self::conflict("ALREADY_ANSWERED", message),
            TalkError::Over(message) => Self::new(StatusCode::GONE, "NOBODY_WAITS", message),
            TalkError::Unfit(field, message) => Self::field(field, message),
            TalkError::Store(error) => error.into(),
        }
    }
}
