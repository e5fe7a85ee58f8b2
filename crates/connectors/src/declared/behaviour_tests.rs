//! What a declared connector does on the wire, told as tests of a file.

use super::*;

/// A file with these parts and tests, and how its tests went.
async fn played(parts: &str) -> Vec<String> {
    let text = format!("connector: 1\nid: shop\ntitle: Shop\nsummary: A shop.\n{parts}");
    let file = File::read(&text).unwrap_or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| problem.line("shop", &text)).collect();
        panic!("{}", lines.join("\n"))
    });
    let outcomes = prove(file).await.unwrap();
    assert!(!outcomes.is_empty());
    outcomes.into_iter().flat_map(|outcome| outcome.problems).collect()
}

#[tokio::test]
async fn what_is_left_out_is_not_sent_and_what_is_null_clears() {
    let problems = played(
        r#"
connection: { base_url: "https://shop.example" }
actions:
  - id: change
    title: Change
    summary: Changes.
    effect: idempotent
    method: PATCH
    path: /things/{id}
    input: { id: { type: string, required: true }, name: { type: [string, "null"] }, note: { type: [string, "null"] }, size: { type: integer } }
    json: { name: "${ input.name }", text: "${ input.note }", label: "No. ${ input.id }" }
    rest: json
  - id: list
    title: List
    summary: Lists.
    effect: none
    path: /things
    input: { tags: { type: array }, range: { type: object } }
    headers: { X-Key: "${ call.key }" }
    rest: query
    lists: brackets
tests:
  - title: null clears, missing is left out
    action: change
    input: { id: "1", name: null, size: 3 }
    exchanges: [{ request: { method: PATCH, path: /things/1, json: { name: null, label: No. 1, size: 3 } }, answer: { json: {} } }]
    expect: { output: {} }
  - title: records and lists go into a query
    action: list
    input: { tags: [a, b], range: { from: 1 } }
    exchanges: [{ request: { query: { "tags[]": [a, b], "range[from]": "1" }, headers: { x-key: test-key } }, answer: { json: [] } }]
    expect: { output: [] }
"#,
    )
    .await;
    assert_eq!(problems, Vec::<String>::new());
}

#[tokio::test]
async fn values_cannot_leave_their_place() {
    let problems = played(
        r#"
connection: { base_url: "https://shop.example" }
actions:
  - id: get
    title: Get
    summary: Gets.
    effect: none
    path: /things/{id}
    input: { id: { type: string, required: true }, trace: { type: string } }
    headers: { X-Trace: "${ input.trace }" }
tests:
  - title: a slash is part of the id
    action: get
    input: { id: "../admin?x#y" }
    exchanges: [{ request: { path: /things/..%2Fadmin%3Fx%23y }, answer: { json: {} } }]
    expect: { output: {} }
  - title: dots alone are refused
    action: get
    input: { id: ".." }
    expect: { error: { class: invalid, code: INPUT_INVALID } }
  - title: an empty id would be another address
    action: get
    input: { id: "" }
    expect: { error: { class: invalid, code: INPUT_MISSING } }
  - title: a header cannot begin another one
    action: get
    input: { id: "1", trace: "a\r\nX-Admin: 1" }
    expect: { error: { class: invalid, code: INPUT_INVALID } }
"#,
    )
    .await;
    assert_eq!(problems, Vec::<String>::new());
}

#[tokio::test]
async fn every_way_to_sign_in_is_what_the_system_sees() {
    let problems = played(
        r#"
connection:
  base_url: https://shop.example
  auth:
    - bearer
    - basic
    - { kind: api_key, in: query, name: key }
    - { kind: oauth2, grants: [client_credentials], token_url: "https://shop.example/token", client_auth: body, scopes: [read], params: { audience: shop } }
actions:
  - { id: get, title: Get, summary: Gets., effect: none, path: /me }
tests:
  - title: bearer, the first, unless the connection says another
    action: get
    credentials: { token: t1 }
    exchanges: [{ request: { headers: { authorization: Bearer t1 } }, answer: { json: {} } }]
    expect: { output: {} }
  - title: basic
    action: get
    config: { auth: basic }
    credentials: { username: ann, password: "p:w" }
    exchanges: [{ request: { headers: { authorization: Basic YW5uOnA6dw== } }, answer: { json: {} } }]
    expect: { output: {} }
  - title: a key in the address
    action: get
    config: { auth: api_key }
    credentials: { key: a b }
    exchanges: [{ request: { query: { key: a b } }, answer: { json: {} } }]
    expect: { output: {} }
  - title: client credentials, renewed once
    action: get
    config: { auth: oauth2 }
    credentials: { client_id: id-1, client_secret: secret-1 }
    exchanges:
      - { request: { path: /token, form: { grant_type: client_credentials, client_id: id-1, client_secret: secret-1, scope: read, audience: shop } }, answer: { json: { access_token: one } } }
      - { request: { path: /me, headers: { authorization: Bearer one } }, answer: { status: 401 } }
      - { request: { path: /token }, answer: { json: { access_token: two } } }
      - { request: { path: /me, headers: { authorization: Bearer two } }, answer: { status: 401 } }
    expect: { error: { class: auth } }
"#,
    )
    .await;
    assert_eq!(problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_secret_does_not_stand_in_an_error() {
    let text = SECRETIVE.to_owned();
    let outcomes = prove(File::read(&text).unwrap()).await.unwrap();
    let told = outcomes[0].problems.join("\n");
    assert!(told.contains("it failed: "), "{told}");
    assert!(!told.contains("t0p-secret-value"), "{told}");
}

const SECRETIVE: &str = "\
connector: 1
id: shop
title: Shop
summary: A shop.
connection: { base_url: 'https://shop.example', auth: bearer }
errors: { words: [message] }
actions:
  - { id: get, title: Get, summary: Gets., effect: none, path: /me }
tests:
  - title: the answer repeats the token
    action: get
    credentials: { token: t0p-secret-value }
    exchanges: [{ request: { path: /me }, answer: { status: 400, json: { message: the token t0p-secret-value is strange } } }]
    expect: { output: {} }
";

#[tokio::test]
async fn a_test_that_is_not_met_says_where() {
    let problems = played(
        r#"
connection: { base_url: "https://shop.example" }
actions:
  - { id: get, title: Get, summary: Gets., effect: none, path: /me, query: { a: "1" } }
tests:
  - title: wrong in every way
    action: get
    exchanges:
      - { request: { path: /you, query: { a: "2", b: "3" } }, answer: { json: { n: 1 } } }
      - { request: { path: /more }, answer: {} }
    expect: { output: { n: 2 } }
  - title: asks too often
    action: get
    expect: { output: {} }
"#,
    )
    .await
    .join("\n");
    for wanted in [
        "output.n should be 2 and is 1",
        "path should be \"/you\" and is \"/me\"",
        "query.a should be \"2\" and is \"1\"",
        "query.b should be \"3\" and is null",
        "1 of the expected requests were not made",
        "GET /me?a=1 was not expected",
    ] {
        assert!(problems.contains(wanted), "{wanted}: {problems}");
    }
}

/// A shop whose things are asked for, to be asked more than once.
fn polled(way: &str) -> connector::Poll {
    let text = format!(
        "connector: 1\nid: shop\ntitle: Shop\nsummary: A shop.\nconnection: {{ base_url: 'http://127.0.0.1:1' }}\ntriggers:\n  - id: thing\n    title: Thing\n    summary: A thing.\n    poll: {{ {way}, path: /things, query: {{ since: '${{ since }}' }}, at: '${{ item.at }}', items: data }}\n"
    );
    File::read(&text).unwrap().connector().triggers.remove(0).poll.unwrap()
}

fn shop_cx() -> connector::Cx {
    use connector::{
        AddressPolicy, Connection, Cx,
        http::{Http, HttpOptions},
    };
    let options = HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() };
    Cx {
        http: Http::new(options).unwrap(),
        connection: Some(std::sync::Arc::new(Connection {
            name: "shop".to_owned(),
            connector: "shop".to_owned(),
            config: serde_json::json!({}),
            credentials: std::collections::HashMap::new(),
        })),
        idempotency_key: "k".into(),
        timeout: std::time::Duration::from_secs(5),
        began: tokio::time::Instant::now(),
        began_us: 0,
        attempt: 1,
        in_doubt: false,
        run_id: "r".into(),
        path: "p".into(),
        traceparent: None,
        turns: None,
    }
}

#[tokio::test]
async fn a_strange_cursor_is_refused_and_a_system_that_is_away_moves_nothing() {
    use connector::Position;
    let (poll, cx) = (polled("way: keyset"), shop_cx());
    let with = serde_json::json!({});
    let strange = (poll.ask)(cx.clone(), with.clone(), Position::After(serde_json::json!({"page": 3}))).await.unwrap_err();
    assert_eq!(strange.code, "CURSOR_INVALID");
    let away = (poll.ask)(cx, with, Position::Since(0)).await.unwrap_err();
    assert_eq!(away.class, connector::ErrorClass::Network);
}

#[tokio::test]
async fn a_look_since_a_time_moves_on_when_it_is_over_and_reads_the_last_stretch_again() {
    let problems = played(
        r#"
connection: { base_url: "https://shop.example" }
triggers:
  - id: thing
    title: Thing
    summary: A thing.
    poll:
      way: since
      overlap: 1h
      path: /things
      query: { since: "${ since }" }
      paginate: { kind: page, items: data, limit: 2, limit_param: size }
      at: "${ item.at }"
      key: "${ item.id }:${ item.at }"
      where: item.kind == "thing"
      data: { number: "${ item.id }" }
tests:
  - title: all pages of a look, those that are wanted, and nothing older
    trigger: thing
    since: "2026-01-01T00:00:00.5Z"
    exchanges:
      - { request: { query: { since: "2026-01-01T00:00:00Z", page: "1", size: "2" } }, answer: { json: { data: [{ id: 2, kind: thing, at: "2026-01-01T05:00:00Z" }, { id: 1, kind: thing, at: "2026-01-01T00:00:00Z" }] } } }
      - { request: { query: { since: "2026-01-01T00:00:00Z", page: "2", size: "2" } }, answer: { json: { data: [{ id: 3, kind: other, at: "2026-01-01T06:00:00Z" }] } } }
    expect: { events: [{ key: "2:2026-01-01T05:00:00Z", data: { number: 2 } }] }
  - title: a time that cannot be read is told, not passed over
    trigger: thing
    exchanges: [{ request: {}, answer: { json: { data: [{ id: 2, kind: thing, at: soon }] } } }]
    expect: { error: { class: server, code: POLL_TIME } }
"#,
    )
    .await;
    assert_eq!(problems, Vec::<String>::new());
}

/// A shop that lists what changed since a second, two on a page, those of one second in no order.
async fn shop_of(things: &'static [(u32, &'static str)]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            let line = String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap_or_default().to_owned();
            let url = url::Url::parse("http://shop").unwrap().join(line.split(' ').nth(1).unwrap_or("/")).unwrap();
            let asked = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
            let (since, page) = (asked("since"), asked("page").parse::<usize>().unwrap());
            let found: Vec<_> = things.iter().filter(|(_, at)| *at >= since.as_str()).skip((page - 1) * 2).take(2).collect();
            let data: Vec<_> = found.iter().map(|(id, at)| serde_json::json!({ "id": id, "at": at })).collect();
            let body = serde_json::json!({ "data": data }).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}",
                body.len()
            );
            stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn records_of_one_instant_come_once_each_in_whatever_order_and_on_whatever_page() {
    const T: [&str; 3] = ["2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"];
    let url = shop_of(&[(1, T[0]), (9, T[1]), (7, T[1]), (4, T[1]), (8, T[1]), (2, T[1]), (3, T[2])]).await;
    let text = format!(
        "connector: 1\nid: shop\ntitle: Shop\nsummary: A shop.\nconnection: {{ base_url: '{url}' }}\ntriggers:\n  - id: thing\n    title: Thing\n    summary: A thing.\n    poll:\n      way: keyset\n      path: /things\n      query: {{ since: '${{ since }}' }}\n      at: '${{ item.at }}'\n      paginate: {{ kind: page, items: data, limit: 2, limit_param: size }}\n"
    );
    let poll = File::read(&text).unwrap().connector().triggers.remove(0).poll.unwrap();
    let (mut from, mut seen) = (connector::Position::Since(0), Vec::new());
    loop {
        let polled = (poll.ask)(shop_cx(), serde_json::json!({}), from).await.unwrap();
        seen.extend(polled.events.iter().map(|event| event.key.clone()));
        let over = polled.events.is_empty() && !polled.more;
        from = connector::Position::After(polled.cursor);
        if over {
            break;
        }
        assert!(seen.len() < 20, "{seen:?}");
    }
    seen.sort();
    assert_eq!(seen, ["1", "2", "3", "4", "7", "8", "9"]);
}
