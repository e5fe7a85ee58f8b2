//! The system W2 calls: answers at once, remembers nothing but how often it was asked. For W3 it gives pages of
//! records.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    Json, Router,
    extract::Query,
    routing::{any, get},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

static CALLS: AtomicU64 = AtomicU64::new(0);
/// Records on a page.
pub(crate) const PAGE: u64 = 1_000;

/// Serves on a free port and prints the address.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let router = Router::new()
        .route("/pages", get(page))
        .route("/{*path}", any(|| async { Json(json!({ "ok": true, "n": CALLS.fetch_add(1, Ordering::Relaxed) })) }));
    axum::serve(listener, router).await?;
    Ok(())
}

/// Page `cursor` of `pages`.
async fn page(Query(asked): Query<std::collections::HashMap<String, u64>>) -> Json<Value> {
    let (cursor, pages) = (asked.get("cursor").copied().unwrap_or(0), asked.get("pages").copied().unwrap_or(1));
    let record = |number: u64| {
        json!({
            "id": format!("ord_{number}"),
            "amount": number * 7 % 100_000,
            "currency": "eur",
            "customer": { "name": format!("Customer {}", number % 500), "email": format!("c{}@example.com", number % 500) },
            "open": number.is_multiple_of(3),
        })
    };
    let next = (cursor + 1 < pages).then_some(cursor + 1);
    Json(json!({ "items": (cursor * PAGE..(cursor + 1) * PAGE).map(record).collect::<Vec<_>>(), "next": next }))
}
