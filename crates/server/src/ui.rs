//! The handlers of the pages.

use axum::{
    Router,
    http::request::Parts,
    response::{IntoResponse, Response},
};

use crate::{
    error::ApiError,
    state::{App, Shared},
};

pub(crate) fn router() -> Router<Shared> {
    Router::new()
}

pub(crate) async fn not_here(_app: &App, parts: &Parts) -> Response {
    ApiError::not_found(format!("page at {}", parts.uri.path())).into_response()
}

pub(crate) fn error(_app: &App, error: &ApiError, request_id: &str) -> Response {
    (error.status, axum::Json(error.body(request_id))).into_response()
}
