//! Health, metrics, and what describes the API.

use axum::{
    Json, Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use crate::{ready, state::Shared, watch};

/// What whoever watches the process asks.
pub(crate) fn health() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(ready::ready))
        .route("/metrics", get(watch::metrics))
}

/// What describes the API and the language.
pub(crate) fn documents() -> Router<Shared> {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi))
        .route("/openapi.json", get(openapi))
        .route("/schema/recipe-1.json", get(schema))
}

async fn openapi(State(app): State<Shared>) -> Response {
    let text = app.openapi.get().cloned().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn schema(State(app): State<Shared>) -> Response {
    let schema = recipe::schema_with(&engine::catalogue::of(&app.engine.connectors));
    ([(header::CONTENT_TYPE, "application/schema+json")], schema.to_string()).into_response()
}
