//! A run is cancelled through the API wherever it stands, also when the process dies right after.

use serde_json::json;

use crate::{
    harness::{Process, Target, database},
    words::{put, start, until},
};

/// Slug, recipe, and where the run stands when it is cancelled. `PUT` stands for a call that is held, and numbered.
const CASES: &[(&str, &str, &str, Option<&str>)] = &[
    ("calling", "steps:\n  - { id: a, PUT 1 }\n  - { id: never, PUT 99 }\n", "running", None),
    ("napping", "steps:\n  - { id: a, wait: { for: 1h } }\n  - { id: never, PUT 99 }\n", "waiting", Some("timer")),
    (
        "asking",
        "steps:\n  - id: a\n    wait: { approval: { from: { group: g }, ask: \"ok?\" } }\n  - { id: never, PUT 99 }\n",
        "waiting",
        Some("approval"),
    ),
    ("called", "steps:\n  - id: a\n    wait: { callback: }\n  - { id: never, PUT 99 }\n", "waiting", Some("callback")),
    (
        "looping",
        "steps:\n  - id: a\n    each: [1, 2]\n    parallel: 2\n    steps: [{ id: b, PUT 1 }]\n  - { id: never, PUT 99 }\n",
        "running",
        None,
    ),
    (
        "trying",
        "steps:\n  - id: a\n    try: [{ id: b, PUT 1 }]\n    catch: [{ id: c, PUT 99 }]\n    finally: [{ id: d, PUT 99 }]\n",
        "running",
        None,
    ),
    ("calls", "steps:\n  - { id: a, call: napping }\n  - { id: never, PUT 99 }\n", "waiting", Some("call")),
    (
        "retrying",
        "steps:\n  - { id: a, PUT 2, retry: { times: 50, wait: 10m, jitter: none } }\n  - { id: never, PUT 99 }\n",
        "waiting",
        Some("retry"),
    ),
];

async fn cancelled_everywhere(database: Option<String>) {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), database.as_deref());
    target.hold(1);
    let mut runs = Vec::new();
    for (slug, text, status, waits) in CASES {
        let mut text = (*text).to_owned();
        for step in [1, 2, 99] {
            let call = format!(
                "do: http.request, with: {{ method: PUT, url: \"http://{}/call\", json: {{ run: {slug}, step: {step} }} }}",
                target.address
            );
            text = text.replace(&format!("PUT {step}"), &call);
        }
        if *slug == "retrying" {
            *target.failures.lock() = 1;
        }
        put(&server, slug, &format!("trigger: {{ from: api }}\n{text}")).await;
        let run = start(&server, slug, &json!({})).await;
        until(&format!("{slug} is {status}"), async || {
            let told = server.run(&run).await;
            let called = *status == "waiting" || target.calls().iter().any(|call| call.run == *slug);
            (told["status"] == *status && told["waiting_for"].as_str() == *waits && called).then_some(())
        })
        .await;
        let path = format!("/api/v1/runs/{run}/cancel");
        let (got, body) = server.api("POST", &path, Some("{}")).await;
        assert!(matches!(got, 200 | 202), "{slug}: {got} {body}");
        let (got, body) = server.api("POST", &path, Some("{}")).await;
        assert_eq!((got, &body["error"]["code"]), (409, &json!("NOT_NOW")), "{slug}: {body}");
        runs.push((*slug, run));
    }
    let made = target.calls().len();
    let (_, page) = server.api("GET", "/api/v1/runs?status=queued,running,waiting", None).await;
    assert_eq!(page["data"], json!([]), "the called run is cancelled with its caller");
    // The process dies, and so do the calls it had under way; what comes after knows that all of it is over.
    server.kill();
    target.release();
    let server = Process::serve(folder.path(), database.as_deref());
    let marker = start(&server, "napping", &json!({})).await;
    until("the new process works", async || (server.run(&marker).await["status"] == "waiting").then_some(())).await;
    for (slug, run) in &runs {
        let told = server.run(run).await;
        assert_eq!((&told["status"], &told["waiting_for"]), (&json!("cancelled"), &json!(null)), "{slug}: {told:#}");
    }
    assert_eq!(target.calls().len(), made, "nothing of a cancelled run is done");
    let (_, page) = server.api("GET", "/api/v1/approvals", None).await;
    assert_eq!(page["data"], json!([]), "nobody is asked any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    cancelled_everywhere(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    cancelled_everywhere(Some(database().await)).await;
}
