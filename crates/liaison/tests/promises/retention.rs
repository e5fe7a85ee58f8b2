//! What is over goes when its time has come, while the server works; the database gives the room back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Process, Target, database};

const QUICK: [&str; 8] =
    ["--retention-interval", "200ms", "--tidy-interval", "200ms", "--keep-failed", "1h", "--keep-dead-letters", "1h"];

async fn count(server: &Process, filter: &str) -> usize {
    let (_, page) = server.api("GET", &format!("/api/v1/runs?limit=100{filter}"), None).await;
    page["data"].as_array().map_or(usize::MAX, Vec::len)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(40), "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn recipe(target: &Target, keep: &str) -> String {
    target.recipe(1, false).replace("steps:\n", &format!("settings: {{ retry: none, keep: {keep} }}\nsteps:\n"))
}

async fn story(database: Option<&str>) {
    let (folder, target) = (tempfile::tempdir().unwrap(), Target::start().await);
    let server = Process::start("serve", folder.path(), database, &QUICK);
    server.set_up(&recipe(&target, "{ succeeded: 1h, failed: 2s }")).await;
    // One that is never looked at, one that is put aside, one that succeeds, one under way.
    *target.failures.lock() = 2;
    let (open, aside) = (server.send("open").await.unwrap(), server.send("aside").await.unwrap());
    server.wait(&open, "failed").await;
    server.wait(&aside, "failed").await;
    let well = server.send("well").await.unwrap();
    server.wait(&well, "succeeded").await;
    target.hold(1);
    let busy = server.send("busy").await.unwrap();
    target.wait_for(4).await;
    let discard = json!({ "ids": [aside], "reason": "entered by hand" }).to_string();
    assert_eq!(server.api("POST", "/api/v1/dead-letters/discard", Some(&discard)).await.0, 202);
    until("the discarded run goes", async || server.api("GET", &format!("/api/v1/runs/{aside}"), None).await.0 == 404).await;
    assert_eq!(server.run(&open).await["status"], "failed", "nobody dealt with it");
    // The recipe's word counts from the next round on.
    server.set_up(&recipe(&target, "{ succeeded: 1s }")).await;
    until("the succeeded run goes", async || server.api("GET", &format!("/api/v1/runs/{well}"), None).await.0 == 404).await;
    assert_eq!(server.run(&busy).await["status"], "running", "what is under way stays");
    // Promise 2: its key is kept for its own time all the same.
    assert_eq!(server.send("well").await.as_deref(), Some(well.as_str()));
    let (_, metrics) = server.text("/metrics").await;
    assert!(metrics.contains("liaison_removed_total{what=\"runs\"} 2"), "{metrics}");
    target.release();
    server.wait(&busy, "succeeded").await;
    until("it goes as well", async || count(&server, "").await == 1).await;
    assert_eq!(count(&server, "&status=failed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_when_their_time_has_come() {
    story(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_from_a_shared_database() {
    story(Some(&database().await)).await;
}

/// Failures nobody looked at go only after a time of their own, and that is told.
#[tokio::test(flavor = "multi_thread")]
async fn forgotten_failures_are_told_of() {
    let (folder, target) = (tempfile::tempdir().unwrap(), Target::start().await);
    let flags = ["--retention-interval", "200ms", "--keep-failed", "1s", "--keep-dead-letters", "2s"];
    let server = Process::serve_with(folder.path(), &flags);
    *target.failures.lock() = 1;
    server.set_up(&recipe(&target, "{ succeeded: 1h }")).await;
    let run = server.send("one").await.unwrap();
    server.wait(&run, "failed").await;
    until("the failed run goes", async || server.api("GET", &format!("/api/v1/runs/{run}"), None).await.0 == 404).await;
    let told = async || {
        let (_, audit) = server.api("GET", "/api/v1/audit", None).await;
        audit["data"].as_array().is_some_and(|entries| {
            entries.iter().any(|entry: &Value| entry["what"] == "dead_letters.removed" && entry["about"] == "recipe story")
        })
    };
    until("the audit list tells of it", told).await;
}

/// The file shrinks while new runs are accepted.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_shrinks_while_it_works() {
    let (folder, file) = (tempfile::tempdir().unwrap(), "liaison.db");
    let bytes = |name: &str| std::fs::metadata(folder.path().join(name)).map_or(0, |found| found.len());
    let server = Process::serve_with(folder.path(), &["--retention-interval", "1h", "--tidy-interval", "1h"]);
    let keeping = |keep: &str| {
        format!(
            "liaison: 1\nrecipe: story\ntrigger:\n  from: webhook\nsettings: {{ keep: {{ succeeded: {keep} }} }}\n\
             steps:\n  - id: seen\n    set: {{ all: \"${{ trigger.body.padding }}\" }}\n"
        )
    };
    server.set_up(&keeping("1h")).await;
    for number in 0..120 {
        // Random enough that packing does not make it small.
        let padding: String = (0..3000_u32).map(|place| hex::encode(Sha256::digest(format!("{number} {place}")))).collect();
        let body = json!({ "id": number, "padding": padding }).to_string();
        assert_eq!(server.api("POST", "/hooks/story", Some(&body)).await.0, 202);
    }
    until("all have ended", async || count(&server, "&status=succeeded").await == 100).await;
    assert!(server.stop());
    let full = bytes(file);
    assert!(full > 8 << 20, "the file has only {full} bytes");
    let flags = ["--retention-interval", "200ms", "--tidy-interval", "200ms", "--wal-bytes-max", "1000000"];
    let server = Process::serve_with(folder.path(), &flags);
    server.set_up(&keeping("1s")).await;
    let mut sent = 0;
    until("the file has shrunk", async || {
        sent += usize::from(server.api("POST", "/hooks/story", Some("{\"id\": 1}")).await.0 == 202);
        bytes(file) < full * 2 / 3 && bytes("liaison.db-wal") < 4 << 20
    })
    .await;
    assert!(sent > 1, "new runs were accepted meanwhile");
    let verified = crate::command::liaison(&["admin", "verify", "--json"], folder.path(), None);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
