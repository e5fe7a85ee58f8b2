//! The system W2 calls: answers at once, remembers nothing but how often it was asked.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{Json, Router, routing::any};
use serde_json::json;
use tokio::net::TcpListener;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Serves on a free port and prints the address.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let router = Router::new()
        .route("/{*path}", any(|| async { Json(json!({ "ok": true, "n": CALLS.fetch_add(1, Ordering::Relaxed) })) }));
    axum::serve(listener, router).await?;
    Ok(())
}
