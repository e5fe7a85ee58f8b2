//! Requests that hold several events, which a connector reads out of them: counted, kept and answered like any other.

use serde_json::{Value, json};

use crate::harness::Process;

const CONNECTOR: &str = "connector: 1
id: bell
title: Bell
summary: Rings.
connection: { base_url: 'https://bell.example' }
webhooks: { verify: bearer }
triggers:
  - id: rung
    title: Rung
    summary: Somebody rang.
    webhook: { events: '${ body.events }', key: '${ item.id }', where: item.id != \"quiet\" }
";
const TOKEN: &str = "s3cret-t0ken";

/// A server with a recipe that wants what rang more than 0 times.
async fn server(folder: &std::path::Path, step: &str) -> Process {
    std::fs::create_dir_all(folder.join("connectors")).unwrap();
    std::fs::write(folder.join("connectors/bell.connector.yaml"), CONNECTOR).unwrap();
    let server = Process::serve_with(folder, &["--inbound-keep-filtered"]);
    let connection = json!({ "name": "bell", "connector": "bell", "config": {}, "credentials": { "webhook_token": TOKEN } });
    let (status, told) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
    assert_eq!(status, 201, "{told}");
    let trigger = "trigger: { from: bell.rung, if: trigger.n > 0 }";
    server
        .set_up(&format!("liaison: 1\nrecipe: story\nconnections: {{ bell: bell }}\n{trigger}\nsteps:\n  - id: a\n    {step}\n"))
        .await;
    server
}

/// The answer to a request with these events.
async fn ring(server: &Process, events: Value) -> (u16, Value) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}/hooks/story", server.address)).bearer_auth(TOKEN);
    let answer = request.json(&json!({ "events": events })).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// How many requests came to this.
async fn counted(server: &Process, outcome: &str) -> usize {
    let metrics = reqwest::get(format!("http://{}/metrics", server.address)).await.unwrap().text().await.unwrap();
    let name = format!("liaison_hooks_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

async fn kept(server: &Process) -> usize {
    let (_, page) = server.api("GET", "/api/v1/inbound?verdict=filtered", None).await;
    page["data"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_counted_once_and_kept_when_its_events_were_not_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "set: { n: 1 }").await;
    let unwanted = |id: &str| json!({ "id": id, "n": 0 });
    let wanted = |id: &str| json!({ "id": id, "n": 1 });
    for (events, outcome, count, left) in [
        (json!([unwanted("a")]), "filtered", 1, 1),
        (json!([unwanted("b"), unwanted("c")]), "filtered", 2, 2),
        // The connector itself wants none of them, so no condition refused it.
        (json!([{ "id": "quiet", "n": 1 }]), "filtered", 3, 2),
        (json!([wanted("d"), unwanted("e"), wanted("f")]), "accepted", 1, 2),
        (json!([wanted("d"), wanted("f")]), "duplicate", 1, 2),
        (json!([wanted("d"), wanted("g")]), "accepted", 2, 2),
    ] {
        let (status, told) = ring(&server, events.clone()).await;
        assert_eq!(status, if outcome == "accepted" { 202 } else { 200 }, "{events}: {told}");
        assert_eq!((counted(&server, outcome).await, kept(&server).await), (count, left), "{events}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_that_is_answered_answers_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let step = "respond: { status: 203, body: { heard: \"${ trigger.id }\" } }\n    if: trigger.n > 1";
    let server = server(folder.path(), step).await;
    let ring = async |events: Value| ring(&server, events).await;
    let heard = |id: &str| (203, json!({ "heard": id }));
    assert_eq!(ring(json!([{ "id": "a", "n": 2 }])).await, heard("a"));
    assert_eq!(ring(json!([{ "id": "a", "n": 2 }])).await, heard("a"), "an event that comes again gets the same answer");
    let several = json!([{ "id": "b", "n": 0 }, { "id": "c", "n": 1 }, { "id": "d", "n": 2 }, { "id": "e", "n": 2 }]);
    assert_eq!(ring(several).await, heard("d"));
    let (status, told) = ring(json!([{ "id": "f", "n": 1 }, { "id": "g", "n": 1 }])).await;
    assert_eq!((status, told["run_ids"].as_array().map(Vec::len)), (202, Some(2)), "{told}");
}
