//! Requests that start no run are kept before their senders are answered, and can be given to a recipe.

use futures_util::future::join_all;
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
async fn a_body_that_was_cut_says_so_and_an_accepted_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve_with(folder.path(), &["--inbound-body-bytes-max", "1000"]);
    for (length, kept_bytes, cut, status) in [(3000, 1000, true, 409), (1000, 1000, false, 202)] {
        let body = json!({ "id": 1, "text": "x".repeat(length - r#"{"id":1,"text":""}"#.len()) }).to_string();
        assert_eq!(send(&server, "elsewhere", GOOD, JSON, body.as_bytes()).await.0, 404);
        let place = format!("/api/v1/inbound/{}", kept(&server, "").await[0]["id"].as_str().unwrap());
        let (_, whole) = server.api("GET", &place, None).await;
        let told = (&whole["body_bytes"], &whole["body_kept_bytes"], &whole["body_cut"]);
        assert_eq!(told, (&json!(length), &json!(kept_bytes), &json!(cut)));
        assert_eq!(whole["body"], body[..kept_bytes]);
        let open = RECIPE.replace("connections: { hook: webhook }\n", "").replace("hook.request", "webhook");
        server.api("PUT", "/api/v1/recipes/orders", Some(&open)).await;
        switch(&server, "activate").await;
        let (got, told) = server.api("POST", &format!("{place}/assign"), Some("{\"recipe\":\"orders\"}")).await;
        assert_eq!((got, told["error"]["code"] == "BODY_CUT"), (status, cut), "{told}");
    }
    // What is accepted is kept whole, however long: by reference when it is large.
    let body = json!({ "id": 2, "text": "y".repeat(600 * 1024) }).to_string();
    let (status, accepted) = send(&server, "orders", GOOD, JSON, body.as_bytes()).await;
    assert_eq!(status, 202, "{accepted}");
    let run = server.wait(accepted["run_id"].as_str().unwrap(), "succeeded").await;
    let (status, event) = server.api("GET", run["trigger_ref"]["url"].as_str().unwrap(), None).await;
    assert_eq!((status, event["body"]["text"].as_str().map(str::len)), (200, Some(600 * 1024)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_junk_is_bounded_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    // All at once: one after the other, a slow machine would take so long that there is room for each.
    let paths: Vec<String> = (0..60).map(|number| format!("junk{number}")).collect();
    for (status, _) in join_all(paths.iter().map(|path| send(&server, path, "x", "text/plain", b"junk"))).await {
        assert_eq!(status, 404);
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

/// Sends one header to a recipe and gives the answer.
async fn send_with(server: &Process, path: &str, header: (&str, &str), body: &str) -> (u16, Value) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}/hooks/{path}", server.address)).header(header.0, header.1);
    let answer = request.header("x-vendor-key", GOOD).header("x-note", "seen").body(body.to_owned()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

/// Everything the database and its log hold.
fn everything_in(folder: &std::path::Path) -> Vec<u8> {
    let files = ["liaison.db", "liaison.db-wal"].map(|name| std::fs::read(folder.join(name)).unwrap_or_default());
    files.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_header_of_any_name_is_seen_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "trace", "--data-dir"]).arg(folder.path());
    command.env("LIAISON_ADMIN_API_KEY", crate::harness::KEY).stdout(std::process::Stdio::piped());
    let log = folder.path().join("log");
    command.stderr(std::fs::File::create(&log).unwrap());
    let server = Process::of_quiet(command);
    // The header's name says nothing; only the connection knows what it holds.
    let config = json!({ "verify": "bearer", "header": "X-Whose-It-Is" });
    let connection = json!({ "name": "hook", "connector": "webhook", "config": config, "credentials": { "token": GOOD } });
    assert_eq!(server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await.0, 201);
    let recipe = RECIPE.replace("return: { id: \"${ trigger.body.id }\" }", "return: { headers: \"${ trigger.headers }\" }");
    assert_eq!(server.api("PUT", "/api/v1/recipes/orders", Some(&recipe)).await.0, 201);
    switch(&server, "activate").await;
    let (status, taken) = send_with(&server, "orders", ("X-Whose-It-Is", GOOD), "{\"id\": 1}").await;
    assert_eq!(status, 202, "the check itself still sees the token: {taken}");
    let run = server.wait(taken["run_id"].as_str().unwrap(), "succeeded").await;
    let headers = &run["trigger"]["headers"];
    assert_eq!((&headers["x-whose-it-is"], &headers["x-vendor-key"]), (&json!("•••"), &json!("•••")), "{headers}");
    assert_eq!((&headers["x-note"], &run["output"]["headers"]["x-whose-it-is"]), (&json!("seen"), &json!("•••")));
    // The same of what starts no run, at this address, at one that is switched off, and at none.
    let spoilt = format!("{GOOD}-spoilt");
    assert_eq!(send_with(&server, "orders", ("X-Whose-It-Is", &spoilt), "{}").await.0, 401);
    assert_eq!(send_with(&server, "nowhere", ("X-Whose-It-Is", GOOD), "{\"id\": 2}").await.0, 404);
    switch(&server, "deactivate").await;
    assert_eq!(send_with(&server, "orders", ("X-Whose-It-Is", GOOD), "{\"id\": 3}").await.0, 404);
    switch(&server, "activate").await;
    let rows = kept(&server, "").await;
    assert_eq!(rows.len(), 3);
    for row in &rows {
        let masked = |name: &str| row["headers"].as_array().unwrap().contains(&json!([name, "•••"]));
        assert!(masked("x-whose-it-is") && masked("x-vendor-key"), "{row}");
        // What was kept can still be given to the recipe: it needs no proof any more.
        let place = format!("/api/v1/inbound/{}/assign", row["id"].as_str().unwrap());
        let (status, told) = server.api("POST", &place, Some("{\"recipe\": \"orders\"}")).await;
        assert!(matches!(status, 200 | 202), "{told}");
    }
    assert!(server.stop());
    for (place, bytes) in [("the database", everything_in(folder.path())), ("the log", std::fs::read(&log).unwrap())] {
        let found = bytes.windows(GOOD.len()).any(|window| window == GOOD.as_bytes());
        assert!(!found, "the token stands in {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_check_is_kept_and_its_proof_seen_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    assert_eq!(server.api("PUT", "/api/v1/recipes/orders", Some(RECIPE)).await.0, 201);
    switch(&server, "activate").await;
    // There is no connection, so which header would hold the proof is not known.
    let (status, told) = send_with(&server, "orders", ("X-Whose-It-Is", GOOD), "{\"id\": 5}").await;
    assert_eq!((status, told["error"]["code"].as_str()), (503, Some("CONNECTION_MISSING")), "{told}");
    let rows = kept(&server, "?verdict=unverified").await;
    assert_eq!(
        (rows.len(), rows[0]["code"].as_str(), rows[0]["recipe"].as_str()),
        (1, Some("CONNECTION_MISSING"), Some("orders"))
    );
    assert!(!rows[0].to_string().contains(GOOD), "{}", rows[0]);
    let place = format!("/api/v1/inbound/{}/assign", rows[0]["id"].as_str().unwrap());
    let (status, run) = server.api("POST", &place, Some("{\"recipe\": \"orders\"}")).await;
    assert_eq!(status, 202, "{run}");
    assert_eq!(server.wait(run["run_id"].as_str().unwrap(), "succeeded").await["output"]["id"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_that_is_off_is_known_by_its_own_address_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let text =
        "liaison: 1\nrecipe: orders\ntrigger: { from: webhook, with: { path: inbox } }\nsteps:\n  - id: a\n    set: { x: 1 }\n";
    assert_eq!(server.api("PUT", "/api/v1/recipes/orders", Some(text)).await.0, 201);
    switch(&server, "activate").await;
    assert_eq!(send_with(&server, "inbox", ("x-a", "b"), "{}").await.0, 202);
    switch(&server, "deactivate").await;
    assert_eq!(send_with(&server, "inbox", ("x-a", "b"), "{}").await.0, 404);
    let rows = kept(&server, "?address=inbox").await;
    assert_eq!((rows[0]["verdict"].as_str(), rows[0]["recipe"].as_str()), (Some("switched_off"), Some("orders")), "{rows:?}");
    switch(&server, "activate").await;
    assert_eq!(send_with(&server, "inbox", ("x-a", "b"), "{}").await.0, 202);
}
