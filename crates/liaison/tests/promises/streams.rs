//! A loop over pages of another system goes on in the middle, whoever is killed meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::HeaderMap,
    routing::{get, put},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::harness::{Process, database};

const PAGES: u64 = 30;
const PAGE: u64 = 40;
const KILLS: u64 = 3;

/// The batches that arrived, by their key.
type Taken = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// A system with a list in pages that takes rows in batches.
async fn system() -> (String, Taken) {
    let taken = Taken::default();
    let router = Router::new().route("/rows", get(page)).route("/batch", put(take)).with_state(Arc::clone(&taken));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, taken)
}

async fn page(Query(asked): Query<HashMap<String, u64>>) -> Json<Value> {
    let cursor = asked.get("cursor").copied().unwrap_or(0);
    let rows: Vec<Value> = (cursor * PAGE..(cursor + 1) * PAGE).map(|n| json!({ "n": n })).collect();
    Json(json!({ "items": rows, "next": (cursor + 1 < PAGES).then_some(cursor + 1) }))
}

async fn take(State(taken): State<Taken>, headers: HeaderMap, Json(rows): Json<Vec<u64>>) -> Json<Value> {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let before = taken.lock().insert(key, rows.clone());
    assert!(before.is_none_or(|before| before == rows), "one key, two contents");
    Json(json!({}))
}

fn recipe(address: &str) -> String {
    format!(
        r#"liaison: 1
recipe: story
trigger:
  from: webhook
  dedupe: {{ by: "${{ trigger.body.id }}" }}
steps:
  - id: rows
    do: http.request
    with: {{ method: GET, url: "http://{address}/rows", paginate: {{ kind: cursor, items: items, next: next }} }}
    stream: true
  - id: push
    each: ${{ steps.rows }}
    as: batch_of_rows
    batch: 10
    parallel: 2
    steps:
      - id: sent
        do: http.request
        with: {{ method: PUT, url: "http://{address}/batch", json: "${{ batch_of_rows.map(|row| row.n) }}" }}
  - {{ id: end, return: "${{ steps.push.total }}" }}
"#
    )
}

async fn goes_on(database: Option<String>) {
    let (address, taken) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), database.as_deref());
    server.set_up(&recipe(&address)).await;
    let run = server.send("all").await.expect("the event is taken");
    for kill in 1..=KILLS {
        while (taken.lock().len() as u64) < kill * PAGES * PAGE / 10 / (KILLS + 1) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.kill();
        server = Process::serve(folder.path(), database.as_deref());
    }
    let told = server.wait(&run, "succeeded").await;
    assert_eq!(told["output"], json!(PAGES * PAGE / 10));
    let taken = taken.lock();
    let rows: Vec<u64> = taken.values().flatten().copied().collect();
    assert_eq!(rows.len() as u64, PAGES * PAGE, "no row under two keys");
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), (0..PAGES * PAGE).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_in_the_middle_on_sqlite() {
    goes_on(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_in_the_middle_on_postgres() {
    goes_on(Some(database().await)).await;
}
