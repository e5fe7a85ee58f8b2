//! Circuits over the API, and a system that is slow for many at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Process, Target};

/// A server whose recipe calls the target once, through a connection.
async fn server(target: &Target, folder: &std::path::Path) -> Process {
    let server = Process::serve(folder, None);
    let connection =
        json!({ "name": "crm", "connector": "http", "config": { "base_url": format!("http://{}", target.address) } }).to_string();
    let (status, body) = server.api("POST", "/api/v1/connections", Some(&connection)).await;
    assert_eq!(status, 201, "{body}");
    server
        .set_up(
            "liaison: 1\nrecipe: story\nconnections: { crm: http }\ntrigger:\n  from: webhook\n  dedupe: { by: \"${ trigger.body.id }\" }\nsteps:\n  \
             - { id: s1, do: crm.request, with: { method: PUT, path: /call, json: { run: \"${ trigger.body.id }\", step: 1 } } }\n",
        )
        .await;
    server
}

async fn change(server: &Process, wish: Value) -> (u16, Value) {
    server.api("POST", "/api/v1/connections/crm/circuit", Some(&wish.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_is_opened_and_closed_by_hand() {
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = server(&target, folder.path()).await;
    for (wish, field) in [
        (json!({ "state": "ajar", "reason": "x" }), "state"),
        (json!({ "state": "open", "reason": " " }), "reason"),
        (json!({ "state": "open", "reason": "x", "class": "delete" }), "class"),
    ] {
        let (status, body) = change(&server, wish.clone()).await;
        assert_eq!((status, &body["error"]["details"][0]["field"]), (422, &json!(field)), "{wish}: {body}");
    }
    assert_eq!(server.api("GET", "/api/v1/connections/none/circuit", None).await.0, 404);

    let (status, body) = change(&server, json!({ "state": "open", "reason": "The CRM moves tonight.", "class": "write" })).await;
    assert_eq!(status, 200, "{body}");
    let of = |body: &Value, class: &str| {
        body["circuits"].as_array().unwrap().iter().find(|circuit| circuit["class"] == class).cloned().unwrap_or_default()
    };
    let opened = of(&body, "write");
    assert_eq!((&opened["state"], &opened["cause"]), (&json!("open"), &json!("The CRM moves tonight.")), "{body}");
    assert_eq!(of(&body, "read")["state"], "closed");

    let run = server.send("a").await.expect("events are taken all the same");
    let told = server.wait(&run, "waiting").await;
    assert_eq!((&told["waiting_for"], &told["attempts"]), (&json!("circuit"), &json!(0)), "{told}");
    assert!(target.calls().is_empty(), "nothing goes through");

    let (status, body) = change(&server, json!({ "state": "closed", "reason": "It moved." })).await;
    assert_eq!((status, of(&body, "write")["state"].as_str()), (200, Some("closed")), "{body}");
    let told = server.wait(&run, "succeeded").await;
    assert_eq!((target.calls().len(), &told["attempts"]), (1, &json!(1)), "no attempt was burnt");

    let (_, audit) = server.api("GET", "/api/v1/audit?about=connection+crm", None).await;
    let entries: Vec<(&str, &str)> = audit["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| Some((entry["what"].as_str()?, entry["note"].as_str()?)))
        .filter(|(what, _)| what.starts_with("circuit."))
        .collect();
    assert!(entries.iter().any(|(what, note)| *what == "circuit.opened" && note.contains("moves tonight")), "{audit}");
    assert!(entries.iter().any(|(what, note)| *what == "circuit.closed" && note.contains("It moved")), "{audit}");
}

/// Calls wait for a slow system, not for each other.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_calls_to_a_slow_system_are_under_way_at_once() {
    const RUNS: usize = 200;
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = server(&target, folder.path()).await;
    target.hold(1);
    let mut runs = Vec::new();
    for number in 0..RUNS {
        runs.push(server.send(&format!("e{number}")).await.expect("the event is taken"));
    }
    let began = Instant::now();
    while target.calls().len() < RUNS {
        assert!(began.elapsed() < Duration::from_secs(30), "only {} of {RUNS} calls are under way", target.calls().len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    target.release();
    for run in &runs {
        server.wait(run, "succeeded").await;
    }
    assert_eq!(target.calls().len(), RUNS);
}
