//! Logs for machines: one record a line, with what a search needs, and nothing of what was sent.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::harness::{KEY, Process, Target};

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_json_with_their_run_and_without_what_was_sent() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--allow-private-addresses", "--log-format", "json"])
        .args(["--log", "info,engine=debug,server=debug", "--data-dir"])
        .arg(folder.path())
        .env("LIAISON_ADMIN_API_KEY", KEY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (server, stderr) = Process::of(command);
    let lines = std::thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).collect::<Vec<_>>());
    let config = json!({ "base_url": format!("http://{}", target.address), "auth": "bearer" });
    let connection = json!({ "name": "sys", "connector": "http", "config": config, "credentials": { "token": "t0ken-of-sys" } });
    assert_eq!(server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await.0, 201);
    let step = "  - { id: pay, do: sys.request, retry: none, with: { method: PUT, path: /call, query: { key: \"k3y-in-query\" }, json: { step: 1, card: \"${ trigger.body.id }\" } } }\n";
    server
        .set_up(&format!("liaison: 1\nrecipe: story\nconnections: {{ sys: http }}\ntrigger: {{ from: webhook }}\nsteps:\n{step}"))
        .await;
    *target.failures.lock() = 1;
    let run = server.send("4111-card").await.unwrap();
    server.wait(&run, "failed").await;
    assert!(server.stop());
    let lines = lines.join().unwrap();
    let records: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    for (message, level) in [("attempt.failed", "DEBUG"), ("run.failed", "INFO")] {
        let record =
            records.iter().find(|record| record["message"] == message).unwrap_or_else(|| panic!("no {message}: {lines:#?}"));
        assert_eq!((&record["run.id"], &record["recipe"], &record["step.path"]), (&json!(run), &json!("story"), &json!("pay")));
        assert_eq!((&record["level"], &record["class"], &record["code"]), (&json!(level), &json!("server"), &json!("HTTP_503")));
        assert!(record["worker"].is_i64() && record["timestamp"].is_string(), "{record}");
    }
    for secret in ["t0ken-of-sys", "k3y-in-query", "4111-card", KEY] {
        assert!(lines.iter().all(|line| !line.contains(secret)), "{secret} stands in the log");
    }
}
