//! The ceiling on SQLite: bare axum and one writer task that commits in groups. No engine, no
//! recipes, no fencing, no history beyond the rows themselves.

use std::{str::FromStr, sync::Arc};

use axum::{Json, Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use uuid::Uuid;

/// Rows in one transaction at most.
const GROUP_MAX: usize = 128;

/// One row to keep: which run, which step, what.
pub(crate) struct Row {
    pub(crate) run: Uuid,
    pub(crate) seq: i32,
    pub(crate) data: String,
    pub(crate) done: oneshot::Sender<()>,
}

pub(crate) struct Ceiling {
    rows: mpsc::Sender<Row>,
    client: Client<HttpConnector, Full<Bytes>>,
    target: String,
}

/// Serves on a free port and prints the address.
pub(crate) async fn serve(folder: &str, target: &str) -> anyhow::Result<()> {
    let options = SqliteConnectOptions::from_str(&format!("sqlite://{folder}/ceiling.db"))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(512);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    // Rows in the order they come, found by an index: sorted by run they would cost a page each.
    for sql in [
        "create table journal (run blob not null, seq integer not null, data text not null)",
        "create unique index journal_by_run on journal (run, seq)",
    ] {
        sqlx::query(sql).execute(&mut connection).await?;
    }
    let (rows, inbox) = mpsc::channel(4096);
    tokio::spawn(write_all(connection, inbox));
    listen(rows, target).await
}

/// The web side, the same on both databases.
pub(crate) async fn listen(rows: mpsc::Sender<Row>, target: &str) -> anyhow::Result<()> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let ceiling = Arc::new(Ceiling { rows, client, target: target.to_owned() });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let router = Router::new().route("/hooks/w1", post(w1)).route("/hooks/w2", post(w2)).with_state(ceiling);
    axum::serve(listener, router).await?;
    Ok(())
}

impl Ceiling {
    async fn keep(&self, run: Uuid, seq: i32, data: String) {
        let (done, kept) = oneshot::channel();
        if self.rows.send(Row { run, seq, data, done }).await.is_ok() {
            let _ = kept.await;
        }
    }
}

fn mapped(event: &Value) -> Value {
    if event["amount"].as_f64().unwrap_or_default() <= 0.0 {
        return Value::Null;
    }
    json!({
        "order": event["id"],
        "total": event["amount"].as_f64().unwrap_or_default() / 100.0,
        "currency": event["currency"].as_str().unwrap_or_default().to_uppercase(),
        "customer": format!("{} <{}>", event["customer"]["name"].as_str().unwrap_or_default(), event["customer"]["email"].as_str().unwrap_or_default()),
        "lines": event["lines"].as_array().map_or(0, Vec::len),
    })
}

/// Maps, keeps event and result in one row, answers.
async fn w1(State(ceiling): State<Arc<Ceiling>>, Json(event): Json<Value>) -> (StatusCode, Json<Value>) {
    let run = Uuid::now_v7();
    let result = mapped(&event);
    ceiling.keep(run, 0, json!({ "event": event, "result": result }).to_string()).await;
    (StatusCode::ACCEPTED, Json(json!({ "run_id": run })))
}

/// Keeps the event, answers, then makes five calls, each kept before the next.
async fn w2(State(ceiling): State<Arc<Ceiling>>, Json(event): Json<Value>) -> (StatusCode, Json<Value>) {
    let run = Uuid::now_v7();
    ceiling.keep(run, 0, event.to_string()).await;
    tokio::spawn(async move {
        for step in 1..=5 {
            let body = json!({ "step": step, "order": event["id"], "amount": event["amount"] }).to_string();
            let request = hyper::Request::put(format!("http://{}/step/{step}", ceiling.target))
                .header("content-type", "application/json")
                .header("idempotency-key", run.to_string())
                .body(Full::new(Bytes::from(body)));
            let Ok(request) = request else { return };
            let Ok(answer) = ceiling.client.request(request).await else { return };
            let Ok(body) = answer.into_body().collect().await else { return };
            ceiling.keep(run, step, String::from_utf8_lossy(&body.to_bytes()).into_owned()).await;
        }
        DONE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    (StatusCode::ACCEPTED, Json(json!({ "run_id": run })))
}

static DONE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

async fn write_all(mut connection: SqliteConnection, mut inbox: mpsc::Receiver<Row>) {
    let mut rows = Vec::with_capacity(GROUP_MAX);
    while inbox.recv_many(&mut rows, GROUP_MAX).await > 0 {
        if let Err(error) = write(&mut connection, &rows).await {
            println!("ceiling: {error}");
            return;
        }
        for row in rows.drain(..) {
            let _ = row.done.send(());
        }
    }
}

async fn write(connection: &mut SqliteConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("begin immediate").await?;
    let marks = vec!["(?, ?, ?)"; rows.len()].join(", ");
    let mut query = sqlx::query(AssertSqlSafe(format!("insert into journal (run, seq, data) values {marks}")));
    for row in rows {
        query = query.bind(row.run).bind(row.seq).bind(row.data.as_str());
    }
    query.execute(&mut *transaction).await?;
    transaction.commit().await
}
