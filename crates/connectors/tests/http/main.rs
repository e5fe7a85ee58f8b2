//! `http.request` against real servers: what is sent, what comes out, what an error tells and hides.

#[path = "../support/shelf.rs"]
mod shelf;
#[path = "../../../connector/tests/support/mod.rs"]
mod support;

mod bodies;
mod files;
mod pages;
mod tokens;
mod ways;

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::{
    AddressPolicy, Connection, Connector, Cx, Doubt, Effect, ErrorClass, Secret, StepError,
    http::{Http, HttpOptions},
};
use serde_json::{Value as Json, json};
use support::{Act, Server, answer, bytes};

fn http() -> Connector {
    connectors::all().into_iter().find(|connector| connector.id == "http").unwrap()
}

fn http_client() -> Http {
    Http::new(HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() }).unwrap()
}

fn cx(connection: Option<Connection>) -> Cx {
    Cx {
        http: http_client(),
        connection: connection.map(Arc::new),
        idempotency_key: "run_1/pay".into(),
        timeout: Duration::from_secs(20),
        run_id: "run_1".into(),
        path: "pay".into(),
        began: tokio::time::Instant::now(),
        began_us: 1_760_000_000_000_000,
        attempt: 1,
        in_doubt: false,
        traceparent: None,
        turns: None,
    }
}

async fn call(cx: Cx, input: Json) -> Result<Json, StepError> {
    (http().action("request").unwrap().run)(cx, input).await
}

fn through(config: Json, credentials: &[(&str, &str)]) -> Connection {
    let credentials: HashMap<String, Secret> =
        credentials.iter().map(|(name, text)| ((*name).to_owned(), Secret::new((*text).to_owned()))).collect();
    (http().validate)(&config, &credentials).unwrap();
    Connection { name: "shop".to_owned(), connector: "http".to_owned(), config, credentials }
}

/// The request a server got for this input.
async fn sent(connection: impl FnOnce(&Server) -> Option<Connection>, input: impl FnOnce(&Server) -> Json) -> String {
    let server = Server::start(|_, _| answer("200 OK", "", "")).await;
    call(cx(connection(&server)), input(&server)).await.unwrap();
    server.requests().remove(0)
}

async fn output(act: Act) -> Json {
    let server = Server::start(move |_, _| act.clone()).await;
    call(cx(None), json!({"url": server.url("/")})).await.unwrap()
}

async fn refused(input: Json) -> StepError {
    let error = call(cx(None), input).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Invalid, Doubt::Settled), "{error:?}");
    error
}

#[tokio::test]
async fn a_plain_call_sends_what_every_call_sends() {
    let request = sent(|_| None, |server| json!({"url": server.url("/a")})).await;
    assert!(request.starts_with("GET /a HTTP/1.1\r\n"), "{request}");
    for line in ["idempotency-key: run_1/pay", "user-agent: Liaison", "accept: application/json, */*;q=0.5"] {
        assert!(request.contains(line), "{line} is not in {request}");
    }
    let own = sent(|_| None, |server| json!({"url": server.url("/"), "headers": {"Idempotency-Key": "mine", "User-Agent": "me", "Accept": "text/csv", "X-N": 7, "X-Null": null, "X-L": ["a", "b"]}})).await;
    for line in ["idempotency-key: mine", "user-agent: me", "accept: text/csv", "x-n: 7", "x-l: a\r\nx-l: b"] {
        assert!(own.contains(line), "{line} is not in {own}");
    }
    assert!(!own.contains("run_1/pay") && !own.contains("x-null"), "{own}");
}

#[tokio::test]
async fn query_and_bodies_are_written_as_they_should() {
    let request = sent(|_| None, |server| json!({"url": server.url("/a?z=0"), "query": {"q": "a b&c=ü", "n": 1, "yes": true, "none": null, "list": ["x", 2]}})).await;
    assert!(request.starts_with("GET /a?z=0&q=a+b%26c%3D%C3%BC&n=1&yes=true&list=x&list=2 HTTP/1.1"), "{request}");
    let json_body =
        sent(|_| None, |server| json!({"url": server.url("/"), "method": "post", "json": {"b": [1, null], "a": "ü"}})).await;
    assert!(
        json_body.starts_with("POST / ")
            && json_body.contains("content-type: application/json\r\n")
            && json_body.ends_with("\r\n\r\n{\"b\":[1,null],\"a\":\"ü\"}"),
        "{json_body}"
    );
    let form = sent(|_| None, |server| json!({"url": server.url("/"), "method": "POST", "form": {"name": "Ann & Co", "tags": ["a", "b"], "metadata": {"k": "v", "n": 1}, "gone": null}})).await;
    assert!(
        form.contains("content-type: application/x-www-form-urlencoded\r\n")
            && form.ends_with("\r\n\r\nname=Ann+%26+Co&tags=a&tags=b&metadata%5Bk%5D=v&metadata%5Bn%5D=1"),
        "{form}"
    );
    let text = sent(
        |_| None,
        |server| json!({"url": server.url("/"), "method": "PUT", "text": "a,b\n1,2", "headers": {"Content-Type": "text/csv"}}),
    )
    .await;
    assert!(
        text.contains("content-type: text/csv\r\n")
            && text.ends_with("\r\n\r\na,b\n1,2")
            && text.matches("content-type").count() == 1,
        "{text}"
    );
    let falsy = sent(|_| None, |server| json!({"url": server.url("/"), "method": "POST", "json": false})).await;
    assert!(falsy.ends_with("\r\n\r\nfalse"), "{falsy}");
    let nothing = sent(|_| None, |server| json!({"url": server.url("/"), "method": "POST", "json": null})).await;
    assert!(nothing.contains("content-length: 0"), "{nothing}");
}

#[tokio::test]
async fn every_way_to_sign_in() {
    let base = |server: &Server, auth: Json| json!({"base_url": server.url("/v2/"), "auth": auth, "headers": {"X-Common": "yes", "X-Own": "no"}});
    let input = |_: &Server| json!({"path": "items", "headers": {"x-own": "step"}});
    let none = sent(|server| Some(through(base(server, Json::Null), &[])), input).await;
    assert!(
        none.starts_with("GET /v2/items ")
            && none.contains("x-common: yes")
            && none.contains("x-own: step")
            && !none.contains("authorization"),
        "{none}"
    );
    let bearer = sent(|server| Some(through(base(server, json!({"kind": "bearer"})), &[("token", "t0ken")])), input).await;
    assert!(bearer.contains("authorization: Bearer t0ken\r\n"), "{bearer}");
    let basic =
        sent(|server| Some(through(base(server, json!("basic")), &[("username", "ann"), ("password", "pä:ss")])), input).await;
    assert!(basic.contains(&format!("authorization: Basic {}\r\n", BASE64.encode("ann:pä:ss"))), "{basic}");
    let header =
        sent(|server| Some(through(base(server, json!({"kind": "api_key", "name": "X-Shop-Key"})), &[("key", "k3y")])), input)
            .await;
    assert!(header.contains("x-shop-key: k3y\r\n"), "{header}");
    let query = sent(
        |server| Some(through(base(server, json!({"kind": "api_key", "in": "query", "name": "key"})), &[("key", "k3y&x")])),
        input,
    )
    .await;
    assert!(query.starts_with("GET /v2/items?key=k3y%26x "), "{query}");
}

#[tokio::test]
async fn a_path_stays_below_the_base_address() {
    let server = Server::start(|_, _| answer("200 OK", "", "")).await;
    let connection = || Some(through(json!({"base_url": server.url("/v2")}), &[]));
    for (path, expected) in [
        ("/items", "/v2/items"),
        ("items", "/v2/items"),
        ("", "/v2"),
        ("?a=b", "/v2?a=b"),
        ("/", "/v2/"),
        ("/a/../b", "/v2/b"),
        ("/docs:batch", "/v2/docs:batch"),
        ("docs:batch", "/v2/docs:batch"),
        ("/a?u=https://evil.example/", "/v2/a?u=https://evil.example/"),
        ("/a b/ü", "/v2/a%20b/%C3%BC"),
        ("/@evil.example/", "/v2/@evil.example/"),
        ("/a//b", "/v2/a//b"),
    ] {
        call(cx(connection()), json!({"path": path})).await.unwrap();
        let request = server.requests().pop().unwrap();
        assert!(request.starts_with(&format!("GET {expected} HTTP")), "{path}: {request}");
    }
    let before = server.requests().len();
    for path in [
        "//evil.example/",
        "https://evil.example/",
        "HTTP://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "\t//evil.example",
        "/\t/evil.example",
        "/../admin",
        "../v20/x",
        "/%2e%2e/admin",
        "/.%2E/admin",
        "/a/../../admin",
        "ht\ntps://evil.example",
        "/a#b",
    ] {
        let error = call(cx(connection()), json!({"path": path})).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "PATH_REFUSED"), "{path}: {error:?}");
    }
    for (connection, input) in [(connection(), json!({"url": server.url("/")})), (None, json!({"path": "/a"})), (None, json!({}))]
    {
        assert_eq!(call(cx(connection), input).await.unwrap_err().code, "URL_INVALID");
    }
    assert_eq!(server.requests().len(), before);
}

#[tokio::test]
async fn answers_become_values() {
    let json_answer = output(answer(
        "200 OK",
        "Content-Type: application/json; charset=utf-8\r\nX-A: 1\r\nx-a: 2\r\n",
        r#"{"a":[1,2.5,null]}"#,
    ))
    .await;
    assert_eq!(
        json_answer,
        json!({"status": 200, "headers": {"content-length": "18", "content-type": "application/json; charset=utf-8", "x-a": "1, 2"}, "body": {"a": [1, 2.5, null]}})
    );
    for (headers, body, expected) in [
        ("content-type: application/problem+json\r\n", &b"[1]"[..], json!([1])),
        ("content-type: application/json\r\n", b"not json", json!("not json")),
        ("content-type: application/json\r\n", b"\xef\xbb\xbf{}", json!({})),
        ("content-type: text/html\r\n", b"<p>", json!("<p>")),
        ("content-type: text/plain\r\n", b"{}", json!("{}")),
        ("content-type: text/plain; charset=iso-8859-1\r\n", b"\xfc", json!("ü")),
        ("content-type: text/plain; charset=\"utf-16le\"\r\n", b"a\0b\0", json!("ab")),
        ("content-type: application/octet-stream\r\n", b"abc", json!(BASE64.encode("abc"))),
        ("content-type: image/svg+xml\r\n", b"<svg/>", json!("<svg/>")),
        ("content-type: image/png\r\n", b"\x89PNG", json!(BASE64.encode(b"\x89PNG"))),
        ("content-type: text/csv\r\n", b"\xff\xfe\x00", json!(BASE64.encode(b"\xff\xfe\x00"))),
        ("", b"{\"a\":1}", json!({"a": 1})),
        ("", b"plain", json!("plain")),
        ("", b"\x00\x01", json!(BASE64.encode(b"\x00\x01"))),
        ("content-type: application/json\r\n", b"", Json::Null),
    ] {
        assert_eq!(output(answer("200 OK", headers, body)).await["body"], expected, "{headers} {body:?}");
    }
    assert_eq!(
        output(Act::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).await,
        json!({"status": 204, "headers": {}, "body": null})
    );
}

#[tokio::test]
async fn each_status_has_its_class() {
    for (status, class) in [
        (300, ErrorClass::Invalid),
        (304, ErrorClass::Invalid),
        (400, ErrorClass::Invalid),
        (401, ErrorClass::Auth),
        (402, ErrorClass::Invalid),
        (403, ErrorClass::Denied),
        (404, ErrorClass::NotFound),
        (405, ErrorClass::Invalid),
        (408, ErrorClass::Timeout),
        (409, ErrorClass::Conflict),
        (410, ErrorClass::NotFound),
        (412, ErrorClass::Conflict),
        (418, ErrorClass::Invalid),
        (422, ErrorClass::Invalid),
        (423, ErrorClass::Conflict),
        (425, ErrorClass::RateLimited),
        (429, ErrorClass::RateLimited),
        (451, ErrorClass::Invalid),
        (500, ErrorClass::Server),
        (501, ErrorClass::Server),
        (502, ErrorClass::Server),
        (503, ErrorClass::Server),
        (504, ErrorClass::Server),
        (599, ErrorClass::Server),
    ] {
        let server = Server::start(move |_, _| {
            answer(&format!("{status} Reason"), "content-type: application/json\r\n", r#"{"error":{"message":"it is so"}}"#)
        })
        .await;
        let error = call(cx(None), json!({"url": server.url("/a?b=c"), "method": "POST", "json": {"x": 1}})).await.unwrap_err();
        // A gateway's words: nobody knows what the system did.
        let doubt = if matches!(status, 502 | 504) { Doubt::MayHaveHappened } else { Doubt::Settled };
        assert_eq!((error.class, error.code.as_str(), error.doubt), (class, format!("HTTP_{status}").as_str(), doubt));
        assert!(error.message.starts_with(&format!("POST {} answered {status}", server.url("/a"))), "{}", error.message);
        if status != 304 {
            assert!(error.message.ends_with(": it is so"), "{}", error.message);
            assert_eq!(error.response.as_ref().unwrap()["body"]["error"]["message"], "it is so");
        }
        assert!(error.next.is_some());
        let request = error.request.unwrap();
        assert_eq!(
            (&request["method"], &request["url"], &request["json"]),
            (&json!("POST"), &json!(server.url("/a?b=c")), &json!({"x": 1}))
        );
        assert_eq!(error.response.unwrap()["status"], status);
    }
}

#[tokio::test]
async fn the_other_sides_wish_for_the_next_try_is_kept() {
    for (status, headers, expected) in [
        ("429 Slow", "retry-after: 7\r\n", Some(7)),
        ("503 Busy", "retry-after: 120\r\n", Some(120)),
        ("503 Busy", "date: Wed, 21 Oct 2015 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2015 07:28:30 GMT\r\n", Some(30)),
        ("503 Busy", "date: Wed, 21 Oct 2015 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2015 07:00:00 GMT\r\n", Some(0)),
        ("503 Busy", "retry-after: soon\r\n", None),
        ("429 Slow", "retry-after: 99999999999\r\n", Some(7 * 24 * 3600)),
        ("400 Bad", "retry-after: 7\r\n", None),
        ("429 Slow", "", None),
    ] {
        let server = Server::start(move |_, _| answer(status, headers, "")).await;
        let error = call(cx(None), json!({"url": server.url("/")})).await.unwrap_err();
        assert_eq!(error.retry_after, expected.map(Duration::from_secs), "{headers}");
    }
}

#[tokio::test]
async fn accept_says_what_success_is() {
    let server = Server::start(|_, request| match request.split_whitespace().nth(1).unwrap_or_default() {
        "/404" => answer("404 Not Found", "", ""),
        "/302" => answer("302 Found", "location: /200\r\n", ""),
        _ => answer("200 OK", "", ""),
    })
    .await;
    let status = async |path: &str, accept: Json| {
        call(cx(None), json!({"url": server.url(path), "accept": accept}))
            .await
            .map(|output| output["status"].clone())
            .map_err(|error| error.code)
    };
    assert_eq!(status("/404", json!([200, 404])).await, Ok(json!(404)));
    assert_eq!(status("/404", json!(["200-299", "400-404"])).await, Ok(json!(404)));
    assert_eq!(status("/200", json!([404])).await, Err("HTTP_200".to_owned()));
    assert_eq!(status("/302", json!(null)).await, Ok(json!(200)));
    assert_eq!(status("/302", json!(["300-399"])).await, Ok(json!(302)));
    for wrong in [
        json!([]),
        json!([99]),
        json!([600]),
        json!(["299-200"]),
        json!(["x"]),
        json!([null]),
        json!([200.5]),
        json!([-1]),
        json!({}),
    ] {
        assert_eq!(status("/200", wrong.clone()).await, Err("ACCEPT_INVALID".to_owned()), "{wrong}");
    }
}

#[tokio::test]
async fn mistakes_in_a_recipe_are_told_before_anything_is_sent() {
    let server = Server::start(|_, _| answer("200 OK", "", "")).await;
    let url = server.url("/");
    for (input, code, part) in [
        (json!({"url": url, "header": {}}), "INPUT_INVALID", "did you mean \"headers\"?"),
        (json!([]), "INPUT_INVALID", "a list"),
        (json!({"url": url, "method": "BREW"}), "METHOD_INVALID", "BREW"),
        (json!({"url": url, "method": "GET /x"}), "METHOD_INVALID", "use one of"),
        (json!({"url": url, "method": "CONNECT"}), "METHOD_INVALID", "use one of"),
        (json!({"url": url, "method": 7}), "METHOD_INVALID", "a number"),
        (json!({"url": "example.com"}), "URL_INVALID", "not an address"),
        (json!({"url": "ftp://example.com/"}), "URL_INVALID", "ftp:"),
        (json!({"url": "javascript:alert(1)"}), "URL_INVALID", "javascript:"),
        (json!({"url": 7}), "URL_INVALID", "a number"),
        (json!({"url": "https://ann:hunter2@example.com/"}), "URL_INVALID", "user name"),
        (json!({"url": url, "headers": {"X-A": "a\r\nX-B: b"}}), "HEADER_INVALID", "line break"),
        (json!({"url": url, "headers": {"X-A": "a\nb"}}), "HEADER_INVALID", "line break"),
        (json!({"url": url, "headers": {"X-A\r\nX-B": "a"}}), "HEADER_INVALID", "name of a header"),
        (json!({"url": url, "headers": {"X A": "a"}}), "HEADER_INVALID", "name of a header"),
        (json!({"url": url, "headers": {"Host": "evil"}}), "HEADER_INVALID", "set by the connection"),
        (json!({"url": url, "headers": {"Content-Length": "1"}}), "HEADER_INVALID", "set by the connection"),
        (json!({"url": url, "headers": {"X-A": {}}}), "HEADER_INVALID", "a record"),
        (json!({"url": url, "headers": "X: y"}), "HEADER_INVALID", "must be a record"),
        (json!({"url": url, "query": "a=b"}), "QUERY_INVALID", "must be a record"),
        (json!({"url": url, "query": {"a": {"b": 1}}}), "QUERY_INVALID", "a record"),
        (json!({"url": url, "query": {"a": [[1]]}}), "QUERY_INVALID", "a list inside a list"),
        (json!({"url": url, "json": {}, "text": "x"}), "BODY_INVALID", "json and text"),
        (json!({"url": url, "form": "a=b"}), "BODY_INVALID", "must be a record"),
        (json!({"url": url, "text": {}}), "BODY_INVALID", "must be text"),
        (json!({"url": url, "parse": "yaml"}), "INPUT_INVALID", "parse"),
        (json!({"url": url, "parse": 1}), "INPUT_INVALID", "a number"),
    ] {
        let error = refused(input.clone()).await;
        assert_eq!(error.code, code, "{input}");
        assert!(error.message.contains(part), "{input}: {}", error.message);
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn failures_on_the_way_keep_their_class_and_tell_the_request() {
    let server = Server::start(|_, _| Act::Reset).await;
    let error = call(cx(None), json!({"url": server.url("/a"), "method": "POST", "json": {"a": 1}})).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Network, Doubt::MayHaveHappened));
    assert_eq!(error.request.unwrap()["json"], json!({"a": 1}));
    assert_eq!(error.response, None);
    let hang = Server::start(|_, _| Act::Hang).await;
    let hurried = Cx { timeout: Duration::from_millis(150), ..cx(None) };
    let error = call(hurried, json!({"url": hang.url("/")})).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Timeout, Doubt::MayHaveHappened));
    let public = Cx { http: Http::new(HttpOptions::default()).unwrap(), ..cx(None) };
    let error = call(public, json!({"url": hang.url("/")})).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("ADDRESS_REFUSED", Doubt::Settled));
}

/// An answer that repeats everything it was sent, as debugging services do.
fn echo(request: &str) -> Act {
    answer(
        "400 Bad Request",
        "content-type: application/json\r\nset-cookie: s=hunter2hunter2\r\nx-echo: own-secret-2\r\n",
        json!({"message": format!("you sent {request}"), "access_token": "zzz-issued"}).to_string(),
    )
}

#[tokio::test]
async fn secrets_are_nowhere_in_an_error() {
    const SECRET: &str = "hunter2hunter2";
    for (auth, credentials) in [
        (json!("bearer"), vec![("token", SECRET)]),
        (json!("basic"), vec![("username", "annabelle"), ("password", SECRET)]),
        (json!("api_key"), vec![("key", SECRET)]),
        (json!({"kind": "api_key", "name": "X-Plain"}), vec![("key", SECRET)]),
        (json!({"kind": "api_key", "in": "query", "name": "k"}), vec![("key", SECRET)]),
        (json!({"kind": "api_key", "in": "query", "name": "k"}), vec![("key", "a+b/c d&hunter2hunter2")]),
    ] {
        let server = Server::start(|_, request| echo(request)).await;
        let connection = through(json!({"base_url": server.url("/"), "auth": auth}), &credentials);
        assert!(!format!("{connection:?}").contains(SECRET));
        let input = json!({"path": "/a", "method": "POST", "json": {"password": "own-secret-1", "note": credentials[credentials.len() - 1].1}, "headers": {"X-Api-Token": "own-secret-2", "Cookie": "own-secret-3"}, "query": {"client_secret": "own-secret-4"}});
        let error = call(cx(Some(connection)), input).await.unwrap_err();
        assert_eq!(error.code, "HTTP_400");
        let shown = format!(
            "{error:?} {} {:?} {:?}",
            error.message,
            error.request.as_ref().map(Json::to_string),
            error.response.as_ref().map(Json::to_string)
        );
        let encoded = BASE64.encode(format!("annabelle:{SECRET}"));
        for secret in [SECRET, encoded.as_str(), "zzz-issued", "own-secret-2", "own-secret-3"] {
            assert!(!shown.contains(secret), "{auth}: {secret} in {shown}");
        }
        let request = error.request.unwrap().to_string();
        for secret in ["own-secret-1", "own-secret-2", "own-secret-3", "own-secret-4"] {
            assert!(!request.contains(secret), "{secret} in {request}");
        }
        assert!(request.contains("run_1/pay"), "{request}");
    }
}

#[tokio::test]
async fn a_long_error_answer_is_cut() {
    let server = Server::start(|_, _| answer("500 Oops", "content-type: text/plain\r\n", "ü".repeat(100_000))).await;
    let error = call(cx(None), json!({"url": server.url("/"), "method": "POST", "text": "x".repeat(100_000)})).await.unwrap_err();
    let body = error.response.unwrap()["body"].as_str().unwrap().to_owned();
    assert!(body.len() < 66_000 && body.ends_with("(200000 bytes in all)"), "{}", body.len());
    assert_eq!(error.request.unwrap()["text"], "100000 bytes, not shown");
    assert!(error.message.len() < 500);
}

#[tokio::test]
async fn a_connection_that_lost_its_credentials_says_so() {
    let server = Server::start(|_, _| Act::AnswerAndClose(bytes("200 OK", "", ""))).await;
    let mut connection = through(json!({"base_url": server.url("/"), "auth": "bearer"}), &[("token", "x")]);
    connection.credentials.clear();
    let error = call(cx(Some(connection)), json!({"path": "/"})).await.unwrap_err();
    assert_eq!(error.code, "CONNECTION_INVALID");
    assert!(error.message.contains("\"token\""), "{}", error.message);
    let signed = through(json!({"base_url": server.url("/"), "auth": "bearer"}), &[("token", "x")]);
    let error = call(cx(Some(signed)), json!({"path": "/", "headers": {"Authorization": "Bearer y"}})).await.unwrap_err();
    assert_eq!(error.code, "HEADER_INVALID");
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_repeating_does() {
    let connector = http();
    let effect = connector.action("request").unwrap().effect;
    for (input, expected) in [
        (json!({}), Effect::None),
        (json!({"method": "get"}), Effect::None),
        (json!({"method": "HEAD", "idempotent": false}), Effect::None),
        (json!({"method": "OPTIONS"}), Effect::None),
        (json!({"method": "PUT"}), Effect::Idempotent),
        (json!({"method": "delete"}), Effect::Idempotent),
        (json!({"method": "DELETE", "idempotent": false}), Effect::Once),
        (json!({"method": "POST"}), Effect::Once),
        (json!({"method": "PATCH"}), Effect::Once),
        (json!({"method": "POST", "idempotent": true}), Effect::Idempotent),
        (json!({"method": "POST", "idempotent": "true"}), Effect::Once),
        (json!({"method": "BREW"}), Effect::Once),
        (json!(null), Effect::None),
    ] {
        assert_eq!(effect(&input), expected, "{input}");
    }
    let life = |input| connector.action("request").unwrap().key_life_of(&input);
    let known = json!({"method": "POST", "idempotent": true, "key_life": "23h"});
    assert_eq!(life(known), Some(Duration::from_secs(23 * 3600)));
    for needs_no_key in [json!({"method": "POST", "idempotent": true}), json!({"method": "GET", "key_life": "23h"})] {
        assert_eq!(life(needs_no_key), None);
    }
}

#[test]
fn settings_that_cannot_work_are_told() {
    let problems = |config: Json, credentials: &[(&str, &str)]| -> Vec<String> {
        let credentials = credentials.iter().map(|(name, text)| ((*name).to_owned(), Secret::new((*text).to_owned()))).collect();
        (http().validate)(&config, &credentials).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    };
    let base = "https://api.example.com/v2";
    let none: [&str; 0] = [];
    assert_eq!(problems(json!({"base_url": base}), &[]), none);
    assert_eq!(problems(json!({"base_url": base, "auth": "none", "headers": {"X-A": "b"}}), &[]), none);
    assert_eq!(problems(json!({"base_url": base, "auth": {"kind": "basic"}}), &[("username", "sk_test")]), none);
    assert_eq!(problems(json!(null), &[]), ["config.base_url"]);
    assert_eq!(problems(json!({"base_uri": base}), &[]), ["config.base_uri", "config.base_url"]);
    for wrong in [
        "",
        "example.com",
        "ftp://example.com",
        "https://u:p@example.com",
        "https://example.com/?a=b",
        "https://example.com/#a",
        "https://",
    ] {
        assert_eq!(problems(json!({"base_url": wrong}), &[]), ["config.base_url"], "{wrong}");
    }
    assert_eq!(problems(json!({"base_url": base, "auth": "oauth"}), &[]), ["config.auth.kind"]);
    let oauth = |more: Json| {
        let mut auth = json!({"kind": "oauth2", "token_url": "https://id.example.com/token"});
        auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"base_url": base, "auth": auth})
    };
    let client = [("client_id", "a"), ("client_secret", "b")];
    assert_eq!(problems(oauth(json!({"scope": "read", "params": {"audience": "x"}})), &client), none);
    assert_eq!(problems(oauth(json!({})), &[("client_id", "a")]), ["credentials.client_secret"]);
    assert_eq!(problems(oauth(json!({"grant": "refresh_token"})), &[("client_id", "a"), ("refresh_token", "r")]), none);
    assert_eq!(problems(oauth(json!({"grant": "refresh_token"})), &client), ["credentials.refresh_token"]);
    for (wrong, field) in [
        (json!({"token_url": "ftp://x"}), "token_url"),
        (json!({"token_url": null}), "token_url"),
        (json!({"grant": "password"}), "grant"),
        (json!({"client_auth": 1}), "client_auth"),
        (json!({"scope": ["a"]}), "scope"),
        (json!({"params": {"a": 1}}), "params"),
        (json!({"in": "query"}), "in"),
    ] {
        assert_eq!(problems(oauth(wrong), &client), [format!("config.auth.{field}")]);
    }
    assert_eq!(problems(json!({"base_url": base, "auth": "oauth2"}), &client), ["config.auth"]);
    assert_eq!(problems(json!({"base_url": base, "auth": {"type": "bearer"}}), &[]), ["config.auth.type", "config.auth.kind"]);
    assert_eq!(
        problems(json!({"base_url": base, "auth": {"kind": "bearer", "name": "X"}}), &[("token", "x")]),
        ["config.auth.name"]
    );
    assert_eq!(
        problems(json!({"base_url": base, "auth": {"kind": "api_key", "name": "X Y"}}), &[("key", "x")]),
        ["config.auth.name"]
    );
    assert_eq!(
        problems(json!({"base_url": base, "auth": {"kind": "api_key", "in": "body"}}), &[("key", "x")]),
        ["config.auth.in"]
    );
    assert_eq!(problems(json!({"base_url": base, "auth": "bearer"}), &[]), ["credentials.token"]);
    assert_eq!(
        problems(json!({"base_url": base, "auth": "bearer"}), &[("tokn", "x")]),
        ["credentials.token", "credentials.tokn"]
    );
    assert_eq!(problems(json!({"base_url": base, "auth": "bearer"}), &[("token", "a\r\nb: c")]), ["credentials.token"]);
    assert_eq!(
        problems(json!({"base_url": base, "auth": "basic"}), &[("username", "a:b"), ("password", "c")]),
        ["credentials.username"]
    );
    assert_eq!(problems(json!({"base_url": base}), &[("token", "x")]), ["credentials.token"]);
    assert_eq!(
        problems(json!({"base_url": base, "headers": {"Authorization": "Bearer x"}}), &[]),
        ["config.headers.Authorization"]
    );
    assert_eq!(problems(json!({"base_url": base, "headers": {"Host": "x", "A B": "c", "D": "e\nf", "G": []}}), &[]).len(), 4);
    assert_eq!(problems(json!({"base_url": base, "headers": []}), &[]), ["config.headers"]);
}

#[tokio::test]
async fn log_lines_are_written() {
    let log = connectors::all().into_iter().find(|connector| connector.id == "log").unwrap();
    let write = |input: Json| (log.action("write").unwrap().run)(cx(None), input);
    assert_eq!(write(json!({"message": "hello", "level": "warn", "data": {"a": 1}})).await.unwrap(), json!({"written": true}));
    for wrong in [
        json!({}),
        json!({"message": 1}),
        json!({"message": "x", "level": "loud"}),
        json!({"message": "x", "levle": "info"}),
        json!("x"),
    ] {
        assert_eq!(write(wrong).await.unwrap_err().class, ErrorClass::Invalid);
    }
}
