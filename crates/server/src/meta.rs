//! Health, metrics, and what describes the API.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use crate::state::Shared;

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/openapi.json", get(openapi))
        .route("/openapi.json", get(openapi))
        .route("/schema/recipe-1.json", get(schema))
}

/// Ready means: the store answers, this process is not stopping, and its worker asks for work.
async fn ready(State(app): State<Shared>) -> Response {
    let no = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not ready", "why": why }))).into_response();
    if app.engine.is_stopping() {
        return no("this process is stopping");
    }
    if app.store().ping().await.is_err() {
        return no("the database does not answer");
    }
    if app.engine.settings().works && app.engine.since_last_claim() > app.settings.ready_within {
        return no("the worker has not asked for work for too long");
    }
    Json(json!({ "status": "ready" })).into_response()
}

async fn metrics(State(app): State<Shared>) -> Response {
    metrics::gauge!("liaison_runs_in_memory").set(as_f64(app.engine.runs_in_memory()));
    metrics::gauge!("liaison_runs_backlog").set(f64::from(app.engine.backlog()));
    app.metrics.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()).into_response()
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

async fn openapi(State(app): State<Shared>) -> Response {
    let text = app.openapi.get().cloned().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn schema(State(app): State<Shared>) -> Response {
    let schema = recipe::schema_with(&engine::catalogue::of(&app.engine.connectors));
    ([(header::CONTENT_TYPE, "application/schema+json")], schema.to_string()).into_response()
}
