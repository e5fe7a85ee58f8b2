//! Promise 5, and what retries and dead letters do: doubt is shown and settled by a person.

use serde_json::json;

use crate::harness::{Process, Target};

#[tokio::test(flavor = "multi_thread")]
async fn a_once_effect_killed_under_way_waits_for_a_person() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(&target.recipe(2, true)).await;
    target.hold(1);
    let happened = server.send("happened").await.unwrap();
    let repeated = server.send("repeated").await.unwrap();
    target.wait_for(2).await;
    server.kill();
    target.release();
    let server = Process::serve(folder.path(), None);
    for run in [&happened, &repeated] {
        let told = server.wait(run, "failed").await;
        assert_eq!(told["steps"][0]["status"], "uncertain", "{told}");
        assert_eq!(told["dead_letter"], "open");
    }
    assert_eq!(target.calls().len(), 2, "nothing was called again");
    let resume = format!("/api/v1/runs/{happened}/resume");
    let (status, body) = server.api("POST", &resume, None).await;
    assert_eq!((status, body["error"]["code"].as_str()), (409, Some("SAY_WHAT_HAPPENED")));
    let said = json!({ "uncertain": "happened", "output": { "status": 200, "headers": {}, "body": { "by": "hand" } } });
    assert_eq!(server.api("POST", &resume, Some(&said.to_string())).await.0, 202);
    let told = server.wait(&happened, "succeeded").await;
    assert_eq!(told["steps"][0]["output"]["body"]["by"], "hand");
    let resume = format!("/api/v1/runs/{repeated}/resume");
    assert_eq!(server.api("POST", &resume, Some("{\"uncertain\": \"repeat\"}")).await.0, 202);
    server.wait(&repeated, "succeeded").await;
    let calls = target.calls();
    let first: Vec<_> = calls.iter().filter(|call| call.run == "repeated" && call.step == 1).collect();
    assert_eq!(first.len(), 2, "repeated once, because a person said so");
    assert_eq!(first[0].key, first[1].key);
    assert_eq!(calls.iter().filter(|call| call.run == "happened" && call.step == 1).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_down_is_asked_again_under_the_same_key() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(&target.recipe(1, true)).await;
    *target.failures.lock() = 2;
    let run = server.send("one").await.unwrap();
    let told = server.wait(&run, "succeeded").await;
    assert_eq!(told["steps"][0]["attempts"], 3, "{told}");
    let keys: std::collections::HashSet<_> = target.calls().into_iter().map(|call| call.key).collect();
    assert_eq!((target.calls().len(), keys.len()), (3, 1));
}

/// A definite failure is known, whatever comes between it and the next try.
#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_between_two_tries_leaves_no_doubt() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(&target.recipe(1, true)).await;
    *target.failures.lock() = 1;
    let run = server.send("one").await.unwrap();
    target.wait_for(1).await;
    assert!(server.stop());
    let server = Process::serve(folder.path(), None);
    let told = server.wait(&run, "succeeded").await;
    assert_eq!((target.calls().len(), &told["steps"][0]["attempts"]), (2, &serde_json::json!(2)), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_retry_survives_a_kill_and_a_dead_letter_can_be_resumed() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let recipe = target.recipe(2, false).replacen("    with:", "    retry: { times: 2, wait: 3s, jitter: none }\n    with:", 1);
    server.set_up(&recipe).await;
    *target.failures.lock() = 2;
    let run = server.send("one").await.unwrap();
    let told = server.wait(&run, "waiting").await;
    assert_eq!(told["waiting_for"], "retry");
    server.kill();
    let server = Process::serve(folder.path(), None);
    let told = server.wait(&run, "failed").await;
    assert_eq!((told["error"]["class"].as_str(), told["steps"][0]["attempts"].as_u64()), (Some("server"), Some(2)));
    let (_, letters) = server.api("GET", "/api/v1/dead-letters", None).await;
    assert_eq!(letters["data"][0]["id"], json!(run));
    assert_eq!(server.api("POST", "/api/v1/dead-letters/resume", Some(&json!({ "ids": [run] }).to_string())).await.0, 202);
    let told = server.wait(&run, "succeeded").await;
    assert_eq!(told["steps"][0]["attempts"], 3);
    assert_eq!(target.calls().iter().filter(|call| call.step == 2).count(), 1);
}
