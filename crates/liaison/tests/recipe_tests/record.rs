//! `liaison test --record`: a past run becomes a test.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use crate::support::{ROWS, folder, stdout, test};

const RUN: &str = "run_01m7q3zq0de1rr0000000000a0";

/// A server that answers one request with a run, and gives back what it was asked.
fn serve(run: Value) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let handle = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let mut asked = Vec::new();
        let mut chunk = [0; 1024];
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut chunk).expect("a request");
            asked.extend_from_slice(&chunk[..read]);
        }
        let body = run.to_string();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("an answer");
        String::from_utf8_lossy(&asked).into_owned()
    });
    (address, handle)
}

fn step(path: &str, id: &str, input: Value, output: Value) -> Value {
    json!({ "path": path, "id": id, "use": "sys.request", "status": "succeeded", "attempts": 1, "input": input, "output": output, "error": null })
}

#[test]
fn a_run_becomes_a_test_that_passes_and_touches_nothing_else() {
    let before = format!("# kept as it is\n{ROWS}  # kept too\n");
    let folder = folder(&before);
    let up = |id: &str, amount: f64| json!({ "method": "PUT", "path": format!("/rows/{id}"), "json": { "amount": amount } });
    let long = json!({ "status": 200, "headers": {}, "body": { "text": "x".repeat(2000), "odd": "${ no }" } });
    let run = json!({
        "id": RUN, "recipe": "rows", "status": "succeeded", "started_at": "2026-11-21T08:00:00Z",
        "trigger": { "rows": [{ "id": "a", "cents": 12950 }, { "id": "b", "cents": 1 }] },
        "steps": [
            step("push[0].up", "up", up("a", 129.5), json!({ "status": 200 })),
            step("push[1].up", "up", up("b", 0.01), long.clone()),
            { "path": "push", "id": "push", "use": "each", "status": "succeeded", "attempts": 0, "input": null, "output": {}, "error": null },
            step("few", "few", json!({ "message": "only 2" }), json!({ "written": true })),
        ],
        "output": { "total": 2 }, "error": null,
    });
    let (server, asked) = serve(run);
    let output = test(folder.path(), &["--record", RUN, "--server", &server, "--api-key", "lsn_key"]);
    let text = std::fs::read_to_string(folder.path().join("a.recipe.yaml")).expect("the recipe");
    assert_eq!(output.status.code(), Some(0), "{}{}\n{text}", stdout(&output), String::from_utf8_lossy(&output.stderr));
    let asked = asked.join().expect("it answered");
    assert!(asked.starts_with(&format!("GET /api/v1/runs/{RUN} ")) && asked.contains("Bearer lsn_key"), "{asked}");
    assert!(text.starts_with(&before), "{text}");
    assert!(stdout(&output).contains(&format!("ok      goes as {RUN} went")), "{}", stdout(&output));
    let fixture = |name: String| -> Value {
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("fixtures").join(name)).expect("a file")).expect("JSON")
    };
    assert_eq!(fixture(format!("rows-{RUN}.json"))["rows"][0]["cents"], 12950);
    assert_eq!(fixture(format!("rows-{RUN}-push-1--up.json")), long);

    // What it recorded is held: another amount fails the test.
    std::fs::write(folder.path().join("a.recipe.yaml"), text.replace("item.cents / 100", "item.cents / 10")).expect("written");
    assert_eq!(test(folder.path(), &[]).status.code(), Some(1));
}

#[test]
fn a_failed_run_becomes_a_test_that_expects_the_failure() {
    let folder = folder(ROWS);
    let run = json!({
        "id": RUN, "recipe": "rows", "status": "failed", "started_at": "2026-11-21T08:00:00Z",
        "trigger": { "rows": [{ "id": "a", "cents": 1 }] },
        "steps": [{
            "path": "push[0].up", "id": "up", "use": "sys.request", "status": "failed", "attempts": 1,
            "input": { "method": "PUT", "path": "/rows/a", "json": { "amount": 0.01 } }, "output": null,
            "error": { "class": "invalid", "code": "HTTP_400", "message": "no such row" }
        }],
        "output": null, "error": { "class": "invalid", "code": "HTTP_400", "message": "no such row", "path": "push[0].up" },
    });
    let (server, asked) = serve(run);
    let output = test(folder.path(), &["--record", RUN, "--server", &server, "--api-key", "lsn_key"]);
    asked.join().expect("it answered");
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_server_that_cannot_be_reached_is_exit_code_3() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let folder = folder(ROWS);
    let output = test(folder.path(), &["--record", RUN, "--server", &format!("http://{closed}"), "--api-key", "k"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(std::fs::read_to_string(folder.path().join("a.recipe.yaml")).expect("the recipe"), ROWS);
}
