//! Bad input: each a clear error with a code and a next step; the process goes on and nothing is stored.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
};

use serde_json::Value;

use crate::harness::{Process, Target};

const GOOD: &str = "liaison: 1\nrecipe: story\ntrigger: { from: webhook }\nsteps:\n  - id: a\n    set: { x: 1 }\n";

/// Sends raw bytes, and no more when `ends`, and reads what comes back.
fn raw(server: &Process, bytes: &[u8], ends: bool) -> (u16, Value) {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(bytes).unwrap();
    if ends {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let status = text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_default();
    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn hook(kind: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /hooks/story HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_a_code_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(GOOD).await;
    for (why, bytes, status, code) in [
        ("broken JSON", hook("application/json", 4, b"{\"a\""), 400, "BODY_NOT_JSON"),
        ("not UTF-8", hook("application/json", 5, b"\"\xff\xfe\xfd\""), 400, "BODY_NOT_UTF8"),
        ("an unknown charset", hook("text/plain; charset=klingon", 2, b"PK"), 400, "CHARSET_UNKNOWN"),
        ("announced too large", hook("application/json", 99_000_000, b"{"), 413, "BODY_TOO_LARGE"),
        (
            "no such hook",
            b"POST /hooks/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec(),
            404,
            "NOT_FOUND",
        ),
    ] {
        let (got, body) = raw(&server, &bytes, false);
        assert_eq!((got, body["error"]["code"].as_str()), (status, Some(code)), "{why}: {body}");
        assert!(body["error"]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{why}");
    }
    // A body that ends early gets no answer of ours, or an error; never a run.
    let (got, _) = raw(&server, &hook("application/json", 50, b"{\"a\": 1}"), true);
    assert!(got == 0 || got >= 400, "{got}");
    let list = "/api/v1/runs";
    for (method, path, body, status, code) in [
        ("GET", format!("{list}?limit=0"), None, 422, "VALIDATION_ERROR"),
        ("GET", format!("{list}?status=done"), None, 422, "VALIDATION_ERROR"),
        ("GET", format!("{list}?cursor=x"), None, 422, "VALIDATION_ERROR"),
        ("GET", format!("{list}/run_nonsense"), None, 404, "NOT_FOUND"),
        ("DELETE", list.to_owned(), None, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/api/v1/recipes/nothing/runs".to_owned(), Some("{}"), 404, "NOT_FOUND"),
        ("POST", "/api/v1/recipes/story/activate".to_owned(), Some("{\"version\": 9}"), 404, "NOT_FOUND"),
        ("POST", "/api/v1/recipes/story/activate".to_owned(), Some("{\"verison\": 1}"), 422, "VALIDATION_ERROR"),
        ("POST", "/api/v1/connections".to_owned(), Some("{"), 400, "BODY_NOT_JSON"),
        ("POST", "/api/v1/connections".to_owned(), Some("{\"name\":\"a\",\"connector\":\"nope\"}"), 422, "VALIDATION_ERROR"),
        ("POST", "/api/v1/connections".to_owned(), Some("{\"name\":\"A b\",\"connector\":\"http\"}"), 422, "VALIDATION_ERROR"),
    ] {
        let (got, answer) = server.api(method, &path, body).await;
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{method} {path}: {answer}");
    }
    let bomb = format!("a: &a [x]\nb: [{}]\n", "*a, ".repeat(1000));
    let deep = format!("{GOOD}x-deep: {}{}", "[".repeat(5000), "]".repeat(5000));
    let large = format!("{GOOD}x-large: \"{}\"\n", "x".repeat(1_100_000));
    for (why, text) in [
        ("broken YAML", "liaison: 1\n  recipe: [".to_owned()),
        ("an alias bomb", bomb),
        ("5,000 levels", deep),
        ("over a megabyte", large),
        ("an unknown key", GOOD.replace("steps:", "stpes:")),
        ("another slug", GOOD.replace("recipe: story", "recipe: other")),
    ] {
        let (status, answer) = server.api("PUT", "/api/v1/recipes/story", Some(&text)).await;
        assert_eq!((status, answer["error"]["code"].as_str()), (422, Some("VALIDATION_ERROR")), "{why}: {answer}");
    }
    let (_, recipe) = server.api("GET", "/api/v1/recipes/story", None).await;
    assert_eq!(recipe["version"], 1, "nothing was saved");
    let (_, stats) = server.api("GET", "/api/v1/recipes/story/stats", None).await;
    assert_eq!(stats.as_object().map(|counts| counts.values().filter_map(Value::as_i64).sum::<i64>()), Some(0), "{stats}");
    assert!(server.send("well").await.is_some(), "the process goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_cannot_be_made_fail_with_their_class() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    for (url, class, code) in [
        ("http://127.0.0.1:9/", "network", "CONNECTION_REFUSED"),
        ("http://nowhere.invalid/", "network", "DNS_FAILED"),
        ("ftp://example.org/", "invalid", "URL_INVALID"),
    ] {
        let recipe = GOOD.replace("set: { x: 1 }", &format!("retry: none\n    do: http.request\n    with: {{ url: \"{url}\" }}"));
        server.set_up(&recipe).await;
        let run = server.send("one").await.unwrap();
        let told = server.wait(&run, "failed").await;
        assert_eq!((told["error"]["class"].as_str(), told["error"]["code"].as_str()), (Some(class), Some(code)), "{url}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_refused_with_a_time() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let limits = ["--runs-in-flight-max", "1", "--backlog-max", "1", "--intake-patience", "50ms"];
    let server = Process::serve_with(folder.path(), &limits);
    server.set_up(&target.recipe(1, false)).await;
    target.hold(1);
    let first = server.send("one").await.expect("there is room for one");
    let second = server.send("two").await.expect("one may wait");
    let (status, answer) = server.api("POST", "/hooks/story", Some("{\"id\": \"three\"}")).await;
    assert_eq!((status, answer["error"]["code"].as_str()), (429, Some("TOO_MANY_RUNS_WAITING")));
    // At both doors, with what there is room for and when to come again.
    for path in ["hooks/story", "api/v1/recipes/story/runs"] {
        #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("http://{}/{path}", server.address)).bearer_auth(crate::harness::KEY);
        let answer = request.json(&serde_json::json!({ "id": "four" })).send().await.unwrap();
        let number = |name: &str| answer.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
        assert_eq!((answer.status().as_u16(), number("ratelimit-limit"), number("ratelimit-remaining")), (429, 1, 0));
        assert!(number("retry-after") > 0 && number("ratelimit-reset") == number("retry-after"));
    }
    target.release();
    server.wait(&first, "succeeded").await;
    server.wait(&second, "succeeded").await;
    assert!(server.send("three").await.is_some(), "there is room again");
}

#[test]
fn a_second_process_and_a_taken_port_are_told_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let other = tempfile::tempdir().unwrap();
    for (listen, folder, words) in
        [("127.0.0.1:0", folder.path(), "already uses the data folder"), (server.address.as_str(), other.path(), "is in use")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_liaison"))
            .args(["serve", "--listen", listen, "--data-dir"])
            .arg(folder)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(told.starts_with("error: ") && told.contains(words) && told.lines().count() == 1, "{told}");
    }
}
