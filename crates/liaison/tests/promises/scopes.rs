//! What keys may do: every scope can be granted, and questions to people are for those they name.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use server::access::Scope;

use crate::harness::Process;

fn create_key(folder: &Path, name: &str, scopes: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.args(["admin", "create-key", "--json", "--name", name, "--scopes", scopes, "--data-dir"]).arg(folder);
    command.output().unwrap()
}

fn key(folder: &Path, name: &str, scopes: &str) -> String {
    let output = create_key(folder, name, scopes);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    made["key"].as_str().unwrap().to_owned()
}

async fn ask(server: &Process, key: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.request(method.parse().unwrap(), format!("http://{}/api/v1{path}", server.address)).bearer_auth(key);
    let answer = if method == "GET" { request } else { request.json(&body) }.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_can_be_granted_and_opens_its_door() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    // A call for each scope, and what it answers those who may make it.
    let doors = |scope: Scope| match scope {
        Scope::Admin | Scope::RunsRead => ("GET", "/runs", 200),
        Scope::AlarmsRead => ("GET", "/alarms", 200),
        Scope::AlarmsWrite => ("DELETE", "/alarms/nothing", 404),
        Scope::ApprovalsDecide => ("POST", "/approvals/nothing/approve", 404),
        Scope::AuditRead => ("GET", "/audit", 200),
        Scope::ConnectionsRead => ("GET", "/connections", 200),
        Scope::ConnectionsWrite => ("DELETE", "/connections/nothing", 404),
        Scope::RecipesRead => ("GET", "/recipes", 200),
        Scope::RecipesWrite => ("POST", "/recipes/nothing/activate", 404),
        Scope::RunsWrite => ("POST", "/recipes/nothing/runs", 404),
    };
    for scope in Scope::ALL {
        let key = key(folder.path(), "door", scope.as_str());
        for other in Scope::ALL {
            let (method, path, opened) = doors(other);
            // `Admin` asks for what `RunsRead` opens.
            let may = scope.includes(if other == Scope::Admin { Scope::RunsRead } else { other });
            let (status, told) = ask(&server, &key, method, path, json!({})).await;
            assert_eq!(status, if may { opened } else { 403 }, "{scope} at {method} {path}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_work_for_a_while_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let timed = |time: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
        command.args(["admin", "create-key", "--scopes", "runs:read", "--expires", time, "--data-dir"]).arg(folder.path());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap().lines().next().unwrap_or_default().to_owned())
    };
    let (hour, moment) = (timed("1h").1, timed("1ms").1);
    assert_eq!(ask(&server, &hour, "GET", "/runs", json!({})).await.0, 200);
    let (status, told) = ask(&server, &moment, "GET", "/runs", json!({})).await;
    assert_eq!((status, told["error"]["code"].as_str()), (401, Some("KEY_UNKNOWN")), "{told}");
    assert_eq!(timed("soon").0, Some(2));
}

#[test]
fn an_unknown_scope_is_refused_with_those_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let output = create_key(folder.path(), "door", "runs:raed");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for scope in Scope::ALL {
        assert!(told.contains(scope.as_str()), "{scope} is not among them: {told}");
    }
}

/// Asks for approval and gives the question's id.
async fn question(server: &Process, from: &str) -> String {
    let recipe = format!(
        "liaison: 1\nrecipe: story\ntrigger: {{ from: api }}\nsteps:\n  - id: ok\n    wait: {{ approval: {{ from: {from}, ask: Pay? }} }}\n"
    );
    server.set_up(&recipe).await;
    let (_, run) = server.api("POST", "/api/v1/recipes/story/runs", Some("{}")).await;
    server.wait(run["id"].as_str().unwrap(), "waiting").await;
    let (_, page) = server.api("GET", "/api/v1/approvals", None).await;
    page["data"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_decided_by_those_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let ines = key(folder.path(), "Ines@example.com", "approvals:decide");
    let finance = key(folder.path(), "finance", "approvals:decide");
    let sales = key(folder.path(), "sales", "approvals:decide,runs:read");
    let worker = key(folder.path(), "finance", "runs:write");
    let id = question(&server, "{ user: ines@example.com, group: [finance, hr] }").await;
    let approve = format!("/approvals/{id}/approve");
    let (status, told) = ask(&server, &sales, "POST", &approve, json!({})).await;
    assert_eq!((status, told["error"]["code"].as_str()), (403, Some("NOT_ASKED")), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains("ines@example.com, finance, hr"), "{told}");
    // The name alone does not do: the key must be one that may decide.
    let (status, told) = ask(&server, &worker, "POST", &approve, json!({})).await;
    assert_eq!((status, told["error"]["code"].as_str()), (403, Some("FORBIDDEN")), "{told}");
    assert_eq!(ask(&server, &ines, "GET", &format!("/approvals/{id}"), json!({})).await.0, 200);
    let (status, told) = ask(&server, &ines, "POST", &approve, json!({ "comment": "x".repeat(1_001) })).await;
    assert_eq!((status, told["error"]["details"][0]["field"].as_str()), (422, Some("comment")), "{told}");
    let (status, told) = ask(&server, &ines, "POST", &approve, json!({ "comment": "fine" })).await;
    assert_eq!(told["comment"], "fine", "{told}");
    assert_eq!((status, told["decided_by"].as_str()), (200, Some("key Ines@example.com")), "{told}");
    let (status, told) = ask(&server, &finance, "POST", &approve, json!({})).await;
    assert_eq!((status, told["error"]["code"].as_str()), (409, Some("ALREADY_ANSWERED")), "{told}");
    let (_, audit) = server.api("GET", "/api/v1/audit", None).await;
    let row = &audit["data"][0];
    assert_eq!((row["who"].as_str(), row["what"].as_str()), (Some("key Ines@example.com"), Some("approval.approved")), "{audit}");
    // What was said is the run's data: the audit list, which outlives that, does not have it.
    assert!(row["about"].as_str().unwrap().starts_with("run run_") && !audit.to_string().contains("fine"), "{row}");
    // Whoever only decides sees only what they are asked.
    let other = question(&server, "{ group: sales }").await;
    assert_eq!(ask(&server, &ines, "GET", &format!("/approvals/{other}"), json!({})).await.0, 404);
    let (status, told) = ask(&server, &ines, "POST", &format!("/approvals/{other}/approve"), json!({})).await;
    assert!(status == 404 && !told.to_string().contains("sales"), "{told}");
    assert_eq!(ask(&server, &ines, "GET", "/approvals", json!({})).await.1["data"], json!([]));
    assert_eq!(ask(&server, &sales, "GET", "/approvals", json!({})).await.1["data"][0]["id"], other.as_str());
    // An admin answers for everybody.
    assert_eq!(server.api("POST", &format!("/api/v1/approvals/{other}/decline"), Some("{}")).await.0, 200);
}
