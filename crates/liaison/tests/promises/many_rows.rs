//! A hundred thousand rows are mapped, filtered, sent on in batches and counted: none is lost, and the process stays small.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, put},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{files::peak_kb, harness::Process};

const ROWS: u64 = 100_000;
/// Rows of the run before, which shows what a page and a batch take.
const FEW: u64 = 10_000;
const PAGE: u64 = 1_000;
const BATCH: u64 = 250;
/// Every so many rows one is left out.
const FILTERED_EVERY: u64 = 10;
/// The receiver refuses batches that hold one of these rows.
const REFUSED: [u64; 3] = [1, 50_001, 99_999];
/// Most memory that ten times as many rows may add, in MB.
const ADDED_MB_MAX: u64 = 25;

/// What the receiver took and refused.
#[derive(Default)]
struct Receiver {
    taken: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    calls: usize,
}

type Shared = Arc<Mutex<Receiver>>;

async fn page(Query(asked): Query<HashMap<String, u64>>) -> Json<Value> {
    let cursor = asked.get("cursor").copied().unwrap_or(0);
    let rows: Vec<Value> =
        (cursor * PAGE..(cursor + 1) * PAGE).map(|n| json!({ "n": n, "name": format!("Row {n}"), "cents": n * 7 })).collect();
    Json(json!({ "items": rows, "next": ((cursor + 1) * PAGE < asked["rows"]).then_some(cursor + 1) }))
}

async fn take(State(receiver): State<Shared>, Json(rows): Json<Vec<Value>>) -> StatusCode {
    let mut receiver = receiver.lock();
    receiver.calls += 1;
    let numbers: Vec<u64> = rows.iter().map(|row| row["id"].as_u64().expect("a number")).collect();
    assert!(rows.iter().all(|row| row["amount"].as_f64().is_some() && row.get("cents").is_none()), "rows are mapped");
    if numbers.iter().any(|number| REFUSED.contains(number)) {
        receiver.refused.extend(numbers);
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    receiver.taken.extend(numbers);
    StatusCode::OK
}

fn recipe(address: &str) -> String {
    format!(
        r#"liaison: 1
recipe: story
trigger: {{ from: api }}
steps:
  - id: rows
    do: http.request
    with: {{ method: GET, url: "http://{address}/rows", query: {{ rows: "${{ trigger.rows }}" }}, paginate: {{ kind: cursor, items: items, next: next }} }}
    stream: true
  - id: push
    each: ${{ steps.rows }}
    as: rows_of_batch
    batch: {BATCH}
    parallel: 2
    partial: skip
    collect: "${{ steps.count }}"
    steps:
      - id: wanted
        set:
          rows: "${{ rows_of_batch.filter(|row| row.n % {FILTERED_EVERY} != 0).map(|row| #{{ id: row.n, name: row.name, amount: row.cents / 100 }}) }}"
      - id: sent
        do: http.request
        with: {{ method: PUT, url: "http://{address}/batch", json: "${{ steps.wanted.rows }}" }}
      - id: count
        set: {{ sent: "${{ steps.wanted.rows.len() }}", filtered: "${{ rows_of_batch.len() - steps.wanted.rows.len() }}" }}
  - id: end
    return:
      sent: "${{ steps.push.results.filter(|one| one != null).map(|one| one.sent).reduce(0, |sum, n| sum + n) }}"
      filtered: "${{ steps.push.results.filter(|one| one != null).map(|one| one.filtered).reduce(0, |sum, n| sum + n) }}"
      batches: "${{ steps.push.total }}"
      failed: "${{ steps.push.failed }}"
"#
    )
}

/// Waits for the end of a run over so many rows, and says which it was. Nobody looks at its data meanwhile.
async fn run(server: &Process, rows: u64) -> String {
    let event = json!({ "rows": rows }).to_string();
    let (status, run) = server.api("POST", "/api/v1/recipes/story/runs", Some(&event)).await;
    assert_eq!(status, 202, "{run}");
    let began = Instant::now();
    loop {
        let (_, open) = server.api("GET", "/api/v1/runs?status=queued,running,waiting", None).await;
        if open["data"].as_array().is_some_and(Vec::is_empty) {
            return run["id"].as_str().expect("an id").to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(300), "{open}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_sent_refused_or_left_out_and_the_process_stays_small() {
    let receiver = Shared::default();
    let router = Router::new().route("/rows", get(page)).route("/batch", put(take)).with_state(Arc::clone(&receiver));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(&recipe(&address)).await;
    run(&server, FEW).await;
    *receiver.lock() = Receiver::default();
    let before = peak_kb(&server);
    let id = run(&server, ROWS).await;
    let added = (peak_kb(&server) - before) / 1024;
    let told = server.run(&id).await;
    assert_eq!(told["status"], "succeeded", "{:#}", told["error"]);
    let Receiver { taken, refused, calls } = std::mem::take(&mut *receiver.lock());
    let (taken, refused, filtered) = (taken.len() as u64, refused.len() as u64, ROWS / FILTERED_EVERY);
    assert_eq!(taken + refused + filtered, ROWS, "in = out + failed + filtered");
    let (batches, failed) = (ROWS / BATCH, REFUSED.len() as u64);
    assert_eq!(calls as u64, batches, "each batch is sent once");
    // Nobody counted in batches that were refused.
    let uncounted = failed * BATCH / FILTERED_EVERY;
    let counted = json!({ "sent": taken, "filtered": filtered - uncounted, "batches": batches, "failed": failed });
    assert_eq!(told["output"], counted, "the recipe counts the same");
    assert!(added < ADDED_MB_MAX, "{added} MB on top of {} MB", before / 1024);
}
