//! Files by reference: 50 MB through a recipe in bounded memory, and nobody gets at what is not theirs.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, header},
    routing::{get, put},
};
use futures_util::stream::{StreamExt, iter};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{KEY, Process, database};

const PIECE_BYTES: usize = 64 * 1024;
const PIECES: usize = 2_400;
/// What one such run may need beside what the process needs anyway: well below the file. 80 MB were seen on a machine
/// that was busy with other tests.
const EXTRA_KB_MAX: u64 = 100 * 1024;

/// A system that gives a large file, which does not get shorter, and notes what it is sent.
#[derive(Default)]
struct Store {
    taken: Mutex<Vec<(HeaderMap, usize, String)>>,
}

fn piece(number: usize) -> Bytes {
    let mut state = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(PIECE_BYTES);
    while bytes.len() < PIECE_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.into()
}

fn whole_hash() -> String {
    let mut hash = Sha256::new();
    (0..PIECES).for_each(|number| hash.update(piece(number)));
    hex::encode(hash.finalize())
}

async fn start() -> (Arc<Store>, String) {
    let store: Arc<Store> = Arc::default();
    let give = |count: usize| async move {
        let pieces = Body::from_stream(iter((0..count).map(|number| Ok::<_, Infallible>(piece(number)))));
        (
            [(header::CONTENT_DISPOSITION, "attachment; filename=\"big one.bin\""), (header::CONTENT_TYPE, "application/x-big")],
            pieces,
        )
    };
    let take = async |State(store): State<Arc<Store>>, request: Request| {
        let headers = request.headers().clone();
        let (mut length, mut hash) = (0, Sha256::new());
        let mut body = request.into_body().into_data_stream();
        while let Some(data) = body.next().await {
            let data = data.unwrap();
            length += data.len();
            hash.update(&data);
        }
        store.taken.lock().push((headers, length, hex::encode(hash.finalize())));
        "{}"
    };
    let router = Router::new()
        .route("/big", get(move || give(PIECES)))
        .route("/small", get(move || give(5)))
        .route("/take", put(take))
        .with_state(Arc::clone(&store));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (store, address)
}

/// Most memory the process ever had, in KB.
pub(crate) fn peak_kb(server: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Fetches a file and sends it on, unless the event only warms the process up.
fn recipe(address: &str, path: &str) -> String {
    format!(
        "liaison: 1\nrecipe: story\ntrigger: {{ from: webhook }}\nsteps:\n\
         \x20 - {{ id: get, do: http.request, timeout: 5m, if: trigger.body.id != 'warm', with: {{ url: 'http://{address}{path}', download: true }} }}\n\
         \x20 - {{ id: send, do: http.request, timeout: 5m, if: trigger.body.id != 'warm', with: {{ method: PUT, url: 'http://{address}/take', bytes: '${{ steps.get.body }}' }} }}\n"
    )
}

/// An unoptimized build takes its time to hash 150 MB twice.
async fn patiently(server: &Process, run: &str) -> Value {
    let began = Instant::now();
    loop {
        let told = server.run(run).await;
        if told["status"] == "succeeded" {
            return told;
        }
        assert!(told["status"] == "running" && began.elapsed() < Duration::from_secs(300), "{told}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn bytes(server: &Process, path: &str, key: &str) -> (u16, HeaderMap, usize, String) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().gzip(false).brotli(false).build().unwrap();
    let answer = client.get(format!("http://{}{path}", server.address)).bearer_auth(key).send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    (status, headers, body.len(), hex::encode(Sha256::digest(&body)))
}

async fn through(folder: &std::path::Path, url: Option<&str>) {
    let (store, address) = start().await;
    let server = Process::serve(folder, url);
    server.set_up(&recipe(&address, "/big")).await;
    // Whatever a first run needs anyway is there before anything is measured.
    let warm = server.send("warm").await.unwrap();
    server.wait(&warm, "succeeded").await;
    let before = peak_kb(&server);
    let run = server.send("cold").await.unwrap();
    let told = patiently(&server, &run).await;
    let extra = peak_kb(&server) - before;
    assert!(extra < EXTRA_KB_MAX, "150 MB went through, and the process grew by {extra} KB");

    let (size, hash) = (PIECES * PIECE_BYTES, whole_hash());
    let file = told["steps"][0]["output"]["body"].clone();
    let seen = [&file["name"], &file["type"], &file["size"], &file["sha256"]];
    assert_eq!(json!(seen), json!(["big one.bin", "application/x-big", size, hash]));
    let taken = store.taken.lock().clone();
    assert_eq!((taken[0].1, &taken[0].2), (size, &hash), "what was sent is what was fetched");
    assert_eq!(taken[0].0["content-type"], "application/x-big");
    assert_eq!(taken[0].0["content-length"], size.to_string().as_str());

    let path = format!("/api/v1/runs/{run}/files/{hash}");
    let (status, headers, length, found) = bytes(&server, &format!("{path}?name=a%22b.bin"), KEY).await;
    assert_eq!((status, length, found.as_str()), (200, size, hash.as_str()));
    assert_eq!(headers["content-disposition"], "attachment; filename=\"a_b.bin\"");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(bytes(&server, &path, "wrong-key").await.0, 401);
    let other = format!("/api/v1/runs/{warm}/files/{hash}");
    assert_eq!(bytes(&server, &other, KEY).await.0, 404, "the other run does not speak of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_megabytes_go_through_in_bounded_memory_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    through(folder.path(), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_megabytes_go_through_in_bounded_memory_on_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    through(folder.path(), Some(&database().await)).await;
}

/// Rows of the file that is walked.
const ROWS: usize = 300_000;

fn row(number: usize) -> String {
    format!("{number},{:0>380},{}\n", number * 7, number % 10)
}

/// A file of 120 MB is read row by row: the process holds a page of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_walked_in_bounded_memory() {
    let give = async || {
        let pieces = (0..ROWS / 1000).map(|thousand| (thousand * 1000..(thousand + 1) * 1000).map(row).collect::<String>());
        let rows = std::iter::once("n,padded,digit\n".to_owned()).chain(pieces).map(Ok::<_, Infallible>);
        ([(header::CONTENT_TYPE, "text/csv")], Body::from_stream(iter(rows)))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/rows", get(give))).await });
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server
        .set_up(&format!(
            "liaison: 1\nrecipe: story\ntrigger: {{ from: webhook }}\nsteps:\n\
             \x20 - {{ id: got, do: http.request, timeout: 5m, with: {{ url: 'http://{address}/rows', download: true }} }}\n\
             \x20 - {{ id: rows, do: file.read_rows, timeout: 5m, stream: true, with: {{ file: '${{ steps.got.body }}' }} }}\n\
             \x20 - id: each_part\n    each: ${{ steps.rows }}\n    as: part\n    batch: 500\n    collect: ${{ steps.sum.of }}\n\
             \x20   steps: [{{ id: sum, set: {{ of: '${{ sum(part.map(|row| to_number(row.padded))) }}' }} }}]\n\
             \x20 - {{ id: end, return: '${{ sum(steps.each_part.results) }}' }}\n"
        ))
        .await;
    let before = peak_kb(&server);
    let told = patiently(&server, &server.send("all").await.unwrap()).await;
    let extra = peak_kb(&server) - before;
    assert_eq!(told["output"], json!((0..ROWS).map(|n| n * 7).sum::<usize>()));
    assert!(extra < EXTRA_KB_MAX, "120 MB were walked, and the process grew by {extra} KB");
}

/// A file that somebody claims to have, and large data that looks like what the journal keeps apart.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_file_by_claiming_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, address) = start().await;
    let server = Process::serve(folder.path(), None);
    server.set_up(&recipe(&address, "/small")).await;
    let run = server.send("cold").await.unwrap();
    let file = server.wait(&run, "succeeded").await["steps"][0]["output"]["body"].clone();
    let sent = store.taken.lock().len();

    let claim = "liaison: 1\nrecipe: story\ntrigger: { from: webhook }\nsteps:\n";
    let send = format!(
        "{claim}  - {{ id: send, do: http.request, with: {{ method: PUT, url: 'http://{address}/take', bytes: '${{ trigger.body.doc }}' }} }}\n"
    );
    server.set_up(&send).await;
    let token = file["file"].as_str().unwrap();
    let flipped = format!("{}{}", &token[..token.len() - 1], if token.ends_with('0') { '1' } else { '0' });
    for forged in [json!({ "file": flipped, "sha256": file["sha256"] }), json!({ "file": file["sha256"] })] {
        let event = json!({ "doc": forged }).to_string();
        let (_, answer) = server.api("POST", "/hooks/story", Some(&event)).await;
        let told = server.wait(answer["run_id"].as_str().unwrap(), "failed").await;
        assert_eq!(told["error"]["code"], "FILE_UNKNOWN", "{told}");
        assert_eq!(told["trigger"]["body"]["doc"], forged, "it stays the data it is");
        let stolen = format!("/api/v1/runs/{}/files/{}", told["id"].as_str().unwrap(), file["sha256"].as_str().unwrap());
        assert_eq!(bytes(&server, &stolen, KEY).await.0, 404);
    }
    assert_eq!(store.taken.lock().len(), sent, "nothing was sent");
}

/// An event, an input and an output of a few hundred kilobytes: shown by size, fetched whole.
#[tokio::test(flavor = "multi_thread")]
async fn large_values_are_told_by_size_and_fetched_by_reference() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server
        .set_up("liaison: 1\nrecipe: story\ntrigger: { from: api }\nsteps:\n  - { id: a, set: { all: '${ trigger }' } }\n  - { id: out, return: '${ steps.a.all.text }' }\n")
        .await;
    let text = "large ".repeat(100_000);
    let event = json!({ "text": text }).to_string();
    let (status, answer) = server.api("POST", "/api/v1/recipes/story/runs?wait=20s", Some(&event)).await;
    assert_eq!((status, answer["output"].as_str()), (200, Some(text.as_str())), "who waits for a result gets it");
    let told = server.run(answer["id"].as_str().unwrap()).await;
    assert_eq!(
        json!([told["trigger"], told["output"], told["steps"][0]["output"]]),
        json!([Value::Null, Value::Null, Value::Null])
    );
    let size = told["trigger_ref"]["size"].as_u64().unwrap();
    assert_eq!(size, event.len() as u64);
    let fetched = server.api("GET", told["output_ref"]["url"].as_str().unwrap(), None).await;
    assert_eq!((fetched.0, fetched.1.as_str()), (200, Some(text.as_str())));
    let fetched = server.api("GET", told["trigger_ref"]["url"].as_str().unwrap(), None).await;
    assert_eq!(fetched.1, json!({ "text": text }));
    // A replay takes the event from where it is.
    let (_, again) = server.api("POST", &format!("/api/v1/runs/{}/replay", told["id"].as_str().unwrap()), Some("{}")).await;
    let again = server.wait(again["id"].as_str().unwrap(), "succeeded").await;
    assert_eq!(again["trigger_ref"]["sha256"], told["trigger_ref"]["sha256"]);
}

/// A webhook that brings a file: what is large comes as a reference, and can be sent on.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_webhook_comes_by_reference() {
    let folder = tempfile::tempdir().unwrap();
    let (store, address) = start().await;
    let server = Process::serve(folder.path(), None);
    server
        .set_up(&format!(
            "liaison: 1\nrecipe: story\ntrigger: {{ from: webhook }}\nsteps:\n  \
             - {{ id: send, do: http.request, with: {{ method: PUT, url: 'http://{address}/take', bytes: '${{ trigger.body.doc }}' }} }}\n"
        ))
        .await;
    let content: Vec<u8> = (0..6).flat_map(piece).collect();
    let mut body = b"--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n--x\r\nContent-Disposition: form-data; \
                     name=\"doc\"; filename=\"a.pdf\"\r\nContent-Type: application/pdf\r\n\r\n"
        .to_vec();
    body.extend_from_slice(&content);
    body.extend_from_slice(b"\r\n--x--\r\n");
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(format!("http://{}/hooks/story", server.address))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(body)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    let told = server.wait(answer["run_id"].as_str().unwrap(), "succeeded").await;
    let hash = hex::encode(Sha256::digest(&content));
    let doc = &told["trigger"]["body"]["doc"];
    assert_eq!(
        json!([doc["name"], doc["type"], doc["size"], doc["sha256"]]),
        json!(["a.pdf", "application/pdf", content.len(), hash])
    );
    assert!(doc["content"].is_null() && told["trigger"]["body"]["note"] == "hi");
    let taken = store.taken.lock().clone();
    assert_eq!((taken[0].1, taken[0].2.as_str()), (content.len(), hash.as_str()));
}
