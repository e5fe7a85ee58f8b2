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
/// Rows of a page when it is asked for long ones.
const LONG_PAGE: u64 = 200;
const KILLS: u64 = 3;

/// The batches that arrived, by their key.
type Taken = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// A system with a list in pages that takes rows in batches.
async fn system() -> (String, Taken) {
    let taken = Taken::default();
    let router = Router::new()
        .route("/rows", get(page))
        .route("/rows.csv", get(csv))
        .route("/batch", put(take))
        .with_state(Arc::clone(&taken));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, taken)
}

async fn page(Query(asked): Query<HashMap<String, u64>>) -> Json<Value> {
    let cursor = asked.get("cursor").copied().unwrap_or(0);
    let size = if asked.contains_key("long") { LONG_PAGE } else { PAGE };
    let rows: Vec<Value> = (cursor * size..(cursor + 1) * size).map(|n| json!({ "n": n })).collect();
    Json(json!({ "items": rows, "next": (cursor + 1 < PAGES).then_some(cursor + 1) }))
}

/// The same rows as one file, numbers as texts.
async fn csv() -> String {
    std::iter::once("n,text\n".to_owned()).chain((0..PAGES * PAGE).map(|n| format!("{n},\"row {n}, of many\"\n"))).collect()
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

/// The same of a file that was downloaded.
fn recipe_of_a_file(address: &str) -> String {
    let list = format!(
        "with: {{ method: GET, url: \"http://{address}/rows\", paginate: {{ kind: cursor, items: items, next: next }} }}"
    );
    let file = format!("with: {{ file: \"${{ steps.got.body }}\", page_size: {PAGE} }}");
    let download =
        format!("steps:\n  - {{ id: got, do: http.request, with: {{ url: \"http://{address}/rows.csv\", download: true }} }}\n");
    recipe(address)
        .replace("steps:\n  - id: rows\n    do: http.request", &format!("{download}  - id: rows\n    do: file.read_rows"))
        .replace(&list, &file)
        .replace("row.n)", "to_number(row.n))")
}

async fn goes_on(recipe: fn(&str) -> String, database: Option<String>) {
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
    goes_on(recipe, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_in_the_middle_on_postgres() {
    goes_on(recipe, Some(database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_walked_on_in_the_middle_on_sqlite() {
    goes_on(recipe_of_a_file, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_walked_on_in_the_middle_on_postgres() {
    goes_on(recipe_of_a_file, Some(database().await)).await;
}

fn mapped(address: &str) -> String {
    format!(
        r#"liaison: 1
recipe: story
trigger: {{ from: webhook }}
steps:
  - id: rows
    do: http.request
    with: {{ method: GET, url: "http://{address}/rows", query: {{ long: 1 }}, paginate: {{ kind: cursor, items: items, next: next }} }}
    stream: true
  - id: lines
    each: ${{ steps.rows }}
    as: row
    partial: skip
    file: lines.jsonl
    steps:
      - {{ id: odd, if: row.n == 1500, fail: "no such row" }}
      - {{ id: line, set: {{ n: "${{ row.n }}", double: "${{ row.n * 2 }}" }} }}
  - {{ id: end, return: "${{ steps.lines }}" }}
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_goes_into_a_file_and_is_shown_in_part() {
    let (address, _) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(&mapped(&address)).await;
    let run = server.send("all").await.expect("the event is taken");
    let told = server.wait(&run, "succeeded").await;
    let all = PAGES * LONG_PAGE;
    let output = &told["output"];
    assert_eq!((&output["total"], &output["failed"], &output["filtered"]), (&json!(all), &json!(1), &json!(0)));
    let (status, text) = server.text(&format!("/api/v1/runs/{run}/files/{}", output["file"]["sha256"].as_str().unwrap())).await;
    assert_eq!((status, text.len() as u64), (200, output["file"]["size"].as_u64().unwrap()));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let wanted: Vec<Value> = (0..all).filter(|n| *n != 1500).map(|n| json!({ "n": n, "double": n * 2 })).collect();
    assert_eq!(lines, wanted);

    let paths = |told: &Value| -> BTreeSet<String> {
        told["steps"].as_array().unwrap().iter().map(|step| step["path"].as_str().unwrap().to_owned()).collect()
    };
    let shown = paths(&told);
    let left_out = told["steps_left_out"].as_u64().unwrap();
    assert!(shown.len() < 6_000 && left_out > all / 2, "{} are shown, {left_out} are not", shown.len());
    for path in ["lines[0].line", "lines[1500].odd", &format!("lines[{}].line", all - 1), "lines", "end"] {
        assert!(shown.contains(path), "{path}");
    }
    assert!(!shown.contains("lines[1700].line"));
    let (_, one) = server.api("GET", &format!("/api/v1/runs/{run}?pass=lines[1700]"), None).await;
    assert!(paths(&one).contains("lines[1700].line"), "an item is shown when it is asked for");
}
