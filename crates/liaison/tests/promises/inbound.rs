//! Requests that start no run are kept before their senders are answered, and can be given to a recipe.

use serde_json::{Value, json};

use crate::harness::Process;

const RECIPE: &str = "liaison: 1\nrecipe: orders\nconnections: { hook: webhook }\ntrigger:\n  from: hook.request\n  if: trigger.body.id != 0\n\
    steps:\n  - id: seen\n    return: { id: \"${ trigger.body.id }\" }\n";

/// A server with the recipe switched on behind a token.
async fn server(folder: &std::path::Path) -> Process {
    let server = Process::serve_with(folder, &["--inbound-keep-filtered"]);
    let connection = json!({ "name": "hook", "connector": "webhook", "config": { "verify": "bearer" }, "credentials": { "token": "s3cret-t0ken" } });
    assert_eq!(server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await.0, 201);
    let (status, told) = server.api("PUT", "/api/v1/recipes/orders", Some(RECIPE)).await;
    assert_eq!(status, 201, "{told}");
    switch(&server, "activate").await;
    server
}

async fn switch(server: &Process, way: &str) {
    assert_eq!(server.api("POST", &format!("/api/v1/recipes/orders/{way}"), Some("{}")).await.0, 200);
}

async fn send(server: &Process, path: &str, token: &str, kind: &str, body: &[u8]) -> (u16, Value) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}/hooks/{path}", server.address)).bearer_auth(token);
    let answer = request.header("content-type", kind).body(body.to_vec()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

async fn kept(server: &Process, query: &str) -> Vec<Value> {
    let (status, page) = server.api("GET", &format!("/api/v1/inbound{query}"), None).await;
    assert_eq!(status, 200, "{page}");
    page["data"].as_array().cloned().unwrap()
}

const GOOD: &str = "s3cret-t0ken";
const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread")]
async fn every_request_that_starts_no_run_is_kept_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    assert_eq!(send(&server, "orders", GOOD, JSON, br#"{"id":1}"#).await.0, 202);
    for (path, token, body, status, verdict, code) in [
        ("orders/eu?a=1", "forged", &br#"{"id":2}"#[..], 401, "unverified", "TOKEN_WRONG"),
        ("orders", GOOD, b"{\"id\":", 400, "unparsable", "BODY_NOT_JSON"),
        ("orders", GOOD, br#"{"id":0}"#, 200, "filtered", "FILTERED"),
        ("nobody", GOOD, b"\xff\x00", 404, "unknown", "NOT_FOUND"),
    ] {
        let (got, answer) = send(&server, path, token, JSON, body).await;
        assert_eq!(got, status, "{answer}");
        let rows = kept(&server, &format!("?verdict={verdict}")).await;
        assert_eq!((rows.len(), rows[0]["code"].as_str()), (1, Some(code)), "{rows:?}");
        let (_, whole) = server.api("GET", &format!("/api/v1/inbound/{}", rows[0]["id"].as_str().unwrap()), None).await;
        match std::str::from_utf8(body) {
            Ok(text) => assert_eq!(whole["body"], text),
            Err(_) => assert_eq!(whole["body_base64"], "/wA="),
        }
        assert!(!whole.to_string().contains(token), "the token stands in {whole}");
    }
    switch(&server, "deactivate").await;
    assert_eq!(send(&server, "orders", GOOD, JSON, b"{}").await.0, 404);
    let rows = kept(&server, "?address=orders").await;
    let verdicts: Vec<_> = rows.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["switched_off", "filtered", "unparsable", "unverified"]);
    assert_eq!((rows[3]["path"].as_str(), rows[3]["query"].as_str()), (Some("/eu"), Some("a=1")));
    // Kept means durable: another process finds it.
    server.kill();
    let server = Process::serve(folder.path(), None);
    assert_eq!(kept(&server, "").await.len(), 5);
    let (status, told) = server.api("GET", "/api/v1/inbound?verdict=lost", None).await;
    assert_eq!((status, told["error"]["code"].as_str()), (422, Some("VALIDATION_ERROR")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_request_starts_one_run_when_somebody_gives_it_to_a_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    send(&server, "elsewhere", "forged", JSON, br#"{"id":7}"#).await;
    let id = kept(&server, "?verdict=unknown").await[0]["id"].as_str().unwrap().to_owned();
    let place = format!("/api/v1/inbound/{id}");
    let (status, told) = server.api("POST", &format!("{place}/assign"), Some("{\"recipe\":\"nobody\"}")).await;
    assert_eq!(status, 409, "{told}");
    let (status, first) = server.api("POST", &format!("{place}/assign"), Some("{\"recipe\":\"orders\"}")).await;
    assert_eq!(status, 202, "{first}");
    let run = server.wait(first["run_id"].as_str().unwrap(), "succeeded").await;
    assert_eq!(run["output"]["id"], 7, "{run}");
    let (status, again) = server.api("POST", &format!("{place}/assign"), Some("{\"recipe\":\"orders\"}")).await;
    assert_eq!((status, &again["run_id"], &again["duplicate"]), (200, &first["run_id"], &json!(true)));
    assert_eq!(server.api("GET", &place, None).await.1["run_id"], first["run_id"]);
    assert_eq!(server.api("DELETE", &place, None).await.0, 204);
    assert_eq!(server.api("DELETE", &place, None).await.0, 404);
    assert_eq!(kept(&server, "").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_junk_is_bounded_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    for number in 0..60 {
        assert_eq!(send(&server, &format!("junk{number}"), "x", "text/plain", b"junk").await.0, 404);
    }
    let rows = kept(&server, "?limit=200").await;
    assert!(!rows.is_empty() && rows.len() < 60, "{} were kept", rows.len());
    let metrics = reqwest::get(format!("http://{}/metrics", server.address)).await.unwrap().text().await.unwrap();
    let count = |name: &str| -> usize {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(count("liaison_hooks_total{outcome=\"unknown\"}"), 60);
    assert_eq!(count("liaison_inbound_dropped_total{why=\"budget\"}") + rows.len(), 60);
    // The flood at no address takes nothing from a recipe's.
    assert_eq!(send(&server, "orders", "forged", JSON, b"{}").await.0, 401);
    assert_eq!(kept(&server, "?verdict=unverified").await.len(), 1);
}
