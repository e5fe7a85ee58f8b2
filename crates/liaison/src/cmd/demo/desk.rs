//! A small system in the demo's own process: customers, tickets, a ledger.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post, put},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What the demo's desk remembers.
#[derive(Default)]
struct Desk {
    /// Answers by idempotency key: the same call gets the same answer.
    answered: HashMap<String, Value>,
    tickets: usize,
}

/// Starts it, and says where.
pub(super) async fn start() -> anyhow::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("the demo's desk could not start")?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/health", get(|| async { Json(json!({ "status": "well" })) }))
        .route("/customers/{id}", get(customer))
        .route("/tickets", post(ticket))
        .route("/ledger/{invoice}/{line}", put(book))
        .with_state(Arc::new(Mutex::new(Desk::default())));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "demo.desk");
        }
    });
    Ok(format!("http://{address}"))
}

async fn customer(Path(id): Path<String>) -> (StatusCode, Json<Value>) {
    match id.as_str() {
        "cus_acme" => (StatusCode::OK, Json(json!({ "id": id, "name": "Acme Robotics", "email": "accounts@acme.example" }))),
        "cus_mill" => (StatusCode::OK, Json(json!({ "id": id, "name": "Mill & Sons", "email": "post@mill.example" }))),
        _ => (StatusCode::NOT_FOUND, Json(json!({ "error": format!("there is no customer {id}") }))),
    }
}

async fn ticket(State(desk): State<Arc<Mutex<Desk>>>, headers: HeaderMap, Json(body): Json<Value>) -> Json<Value> {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut desk = desk.lock();
    if let Some(answer) = desk.answered.get(&key) {
        return Json(answer.clone());
    }
    desk.tickets += 1;
    let answer =
        json!({ "id": format!("T-{}", 100 + desk.tickets), "subject": body["subject"], "team": body["team"], "status": "open" });
    desk.answered.insert(key, answer.clone());
    Json(answer)
}

async fn book(Path((invoice, line)): Path<(String, String)>, Json(body): Json<Value>) -> Json<Value> {
    Json(json!({ "entry": format!("{invoice}/{line}"), "amount": body["amount"], "currency": body["currency"] }))
}
