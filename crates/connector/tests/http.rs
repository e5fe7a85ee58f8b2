//! The HTTP client against servers that misbehave in every way a class or a doubt depends on.

mod support;

use std::{io::Write, time::Duration};

use bytes::Bytes;
use connector::{
    AddressPolicy, Doubt, ErrorClass, StepError,
    http::{Http, HttpOptions, Request, Response},
};
use http::{HeaderValue, Method, StatusCode};
use support::{Act, Server, answer, bytes};
use url::Url;

fn client() -> Http {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut HttpOptions)) -> Http {
    let mut options = HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() };
    change(&mut options);
    Http::new(options).unwrap()
}

fn request(method: Method, url: &str) -> Request {
    Request { timeout: Duration::from_secs(20), ..Request::new(method, Url::parse(url).unwrap()) }
}

async fn get(http: &Http, url: &str) -> Result<Response, StepError> {
    http.send(request(Method::GET, url)).await
}

async fn post(http: &Http, url: &str) -> Result<Response, StepError> {
    http.send(Request { body: Bytes::from_static(b"{}"), ..request(Method::POST, url) }).await
}

#[track_caller]
fn failed(result: Result<Response, StepError>, class: ErrorClass, code: &str, doubt: Doubt) {
    let error = result.expect_err(code);
    assert_eq!((error.class, error.code.as_str(), error.doubt), (class, code, doubt), "{error:?}");
    assert!(!error.message.is_empty());
}

#[tokio::test]
async fn answers_come_back_whole_and_connections_are_used_again() {
    let server = Server::start(|number, _| answer("200 OK", "content-type: text/plain\r\n", format!("number {number}"))).await;
    let http = client();
    for number in 0..5 {
        let response = get(&http, &server.url("/a?b=c")).await.unwrap();
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(response.body, format!("number {number}"));
        assert_eq!(response.headers["content-type"], "text/plain");
    }
    assert_eq!(server.connections(), 1);
    let first = &server.requests()[0];
    assert!(first.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{first}");
    for line in [
        format!("host: {}", server.address),
        "user-agent: Liaison".into(),
        "accept: */*".into(),
        "accept-encoding: gzip, br, zstd".into(),
    ] {
        assert!(first.contains(&line), "{line} is not in {first}");
    }
    assert!(!first.contains("content-length"), "{first}");
}

#[tokio::test]
async fn calls_at_the_same_time_have_a_connection_each() {
    let server = Server::start(|_, request| answer("200 OK", "", request.split_whitespace().nth(1).unwrap_or_default())).await;
    let http = client();
    let calls = (0..200).map(|number| {
        let (http, url) = (http.clone(), server.url(&format!("/{number}")));
        tokio::spawn(async move { (number, get(&http, &url).await.unwrap()) })
    });
    for call in calls.collect::<Vec<_>>() {
        let (number, response) = call.await.unwrap();
        assert_eq!(response.body, format!("/{number}"));
    }
}

#[tokio::test]
async fn a_connection_that_is_being_closed_is_not_used_again() {
    let server = Server::start(|_, _| Act::AnswerAndClose(bytes("200 OK", "connection: close\r\n", "x"))).await;
    let http = client();
    for _ in 0..30 {
        post(&http, &server.url("/")).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (30, 30));
}

#[tokio::test]
async fn a_connection_is_not_kept_longer_than_the_other_side_says() {
    let server = Server::start(|_, _| answer("200 OK", "keep-alive: timeout=1\r\n", "x")).await;
    let http = client();
    for _ in 0..3 {
        get(&http, &server.url("/")).await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn nobody_there_is_settled() {
    let port = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    failed(
        post(&client(), &format!("http://127.0.0.1:{port}/")).await,
        ErrorClass::Network,
        "CONNECTION_REFUSED",
        Doubt::Settled,
    );
    failed(post(&client(), "http://nobody.invalid/").await, ErrorClass::Network, "DNS_FAILED", Doubt::Settled);
}

#[tokio::test]
async fn a_timeout_while_connecting_is_settled_and_after_it_is_not() {
    // This one never begins TLS, so nothing of the request can have been sent.
    let mute = Server::start(|_, _| Act::Hang).await;
    let http = with(|options| options.connect_timeout = Duration::from_millis(200));
    let url = format!("https://{}/", mute.address);
    failed(post(&http, &url).await, ErrorClass::Timeout, "CONNECT_TIMEOUT", Doubt::Settled);
    // The whole call's time may end first; the connection was still being made.
    let hurried = Request { timeout: Duration::from_millis(100), ..request(Method::POST, &url) };
    failed(client().send(hurried).await, ErrorClass::Timeout, "CONNECT_TIMEOUT", Doubt::Settled);
    let sent = Request { timeout: Duration::from_millis(200), ..request(Method::POST, &mute.url("/")) };
    failed(http.send(sent).await, ErrorClass::Timeout, "TIMEOUT", Doubt::MayHaveHappened);
}

#[tokio::test]
async fn a_timeout_inside_the_body_is_doubtful() {
    let server = Server::start(|_, _| Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123".to_vec())).await;
    let slow = Request { timeout: Duration::from_millis(200), ..request(Method::POST, &server.url("/")) };
    failed(client().send(slow).await, ErrorClass::Timeout, "TIMEOUT", Doubt::MayHaveHappened);
}

#[tokio::test]
async fn a_broken_connection_after_sending_is_doubtful() {
    for act in [Act::Reset, Act::AnswerAndClose(Vec::new()), Act::AnswerAndClose(b"HTTP/1.1 200".to_vec())] {
        let server = Server::start(move |_, _| act.clone()).await;
        failed(post(&client(), &server.url("/")).await, ErrorClass::Network, "CONNECTION_LOST", Doubt::MayHaveHappened);
    }
    // Also on a connection that worked before: the request may have been read.
    let server = Server::start(|number, _| if number == 0 { answer("200 OK", "", "x") } else { Act::Reset }).await;
    let http = client();
    post(&http, &server.url("/")).await.unwrap();
    failed(post(&http, &server.url("/")).await, ErrorClass::Network, "CONNECTION_LOST", Doubt::MayHaveHappened);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn half_an_answer_is_doubtful() {
    for half in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ] {
        let server = Server::start(move |_, _| Act::AnswerAndClose(half.to_vec())).await;
        failed(post(&client(), &server.url("/")).await, ErrorClass::Network, "ANSWER_TRUNCATED", Doubt::MayHaveHappened);
    }
}

#[tokio::test]
async fn what_is_not_http_is_told() {
    let server = Server::start(|_, _| Act::AnswerAndClose(b"220 smtp.example.com ESMTP\r\n\r\n".to_vec())).await;
    failed(post(&client(), &server.url("/")).await, ErrorClass::Network, "ANSWER_UNREADABLE", Doubt::MayHaveHappened);
}

#[tokio::test]
async fn large_answers_are_cut_off() {
    let http = with(|options| options.response_bytes_max = 1000);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zipped.write_all(&vec![0; 1_000_000]).unwrap();
    let bomb = zipped.finish().unwrap();
    let fits = answer("200 OK", "", vec![b'x'; 1000]);
    let announced = Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n".to_vec());
    let unannounced = Act::Answer(
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3E9\r\n".to_vec(), vec![b'x'; 1001], b"\r\n0\r\n\r\n".to_vec()]
            .concat(),
    );
    let unfolding = answer("200 OK", "content-encoding: gzip\r\n", bomb.get(..900.min(bomb.len())).map(<[u8]>::to_vec).unwrap());
    let server = Server::start(move |number, _| [&fits, &announced, &unannounced, &unfolding][number].clone()).await;
    assert_eq!(get(&http, &server.url("/")).await.unwrap().body.len(), 1000);
    for _ in 0..3 {
        failed(get(&http, &server.url("/")).await, ErrorClass::Invalid, "RESPONSE_TOO_LARGE", Doubt::MayHaveHappened);
    }
    let refusal = Server::start(|_, _| answer("400 Bad Request", "", vec![b'x'; 2000])).await;
    failed(get(&http, &refusal.url("/")).await, ErrorClass::Invalid, "RESPONSE_TOO_LARGE", Doubt::Settled);
}

#[tokio::test]
async fn packed_answers_are_unpacked() {
    fn packed(name: &str, text: &[u8]) -> Vec<u8> {
        match name {
            "gzip" => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(text).unwrap();
                out.finish().unwrap()
            }
            "deflate" => {
                let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(text).unwrap();
                out.finish().unwrap()
            }
            // What some servers call deflate.
            "Deflate" => {
                let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(text).unwrap();
                out.finish().unwrap()
            }
            "zstd" => zstd::encode_all(text, 3).unwrap(),
            "deflate, gzip" => packed("gzip", &packed("deflate", text)),
            // "hello" as one raw block (RFC 7932, 9).
            _ => b"\x0b\x02\x80hello\x03".to_vec(),
        }
    }
    for name in ["gzip", "deflate", "Deflate", "br", "zstd", "deflate, gzip"] {
        let server =
            Server::start(move |_, _| answer("200 OK", &format!("content-encoding: {name}\r\n"), packed(name, b"hello"))).await;
        let response = get(&client(), &server.url("/")).await.unwrap();
        assert_eq!(response.body.as_ref(), b"hello", "{name}");
        assert!(!response.headers.contains_key("content-encoding") && !response.headers.contains_key("content-length"));
    }
    let long: Vec<u8> = (0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let expected = long.clone();
    let server = Server::start(move |_, _| answer("200 OK", "content-encoding: gzip\r\n", packed("gzip", &long))).await;
    assert!(get(&client(), &server.url("/")).await.unwrap().body == expected);
    for name in ["gzip", "br", "zstd", "deflate"] {
        let broken = Server::start(move |_, _| answer("200 OK", &format!("content-encoding: {name}\r\n"), "not gzip")).await;
        failed(get(&client(), &broken.url("/")).await, ErrorClass::Network, "ANSWER_UNREADABLE", Doubt::MayHaveHappened);
    }
    for name in ["gzip", "zstd"] {
        let bomb = packed(name, &vec![0; 50_000_000]);
        let server = Server::start(move |_, _| answer("200 OK", &format!("content-encoding: {name}\r\n"), &bomb)).await;
        failed(get(&client(), &server.url("/")).await, ErrorClass::Invalid, "RESPONSE_TOO_LARGE", Doubt::MayHaveHappened);
    }
    let nothing = Server::start(|_, _| answer("200 OK", "content-encoding: gzip\r\n", "")).await;
    assert!(get(&client(), &nothing.url("/")).await.unwrap().body.is_empty());
    let head =
        Server::start(|_, _| Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99\r\n\r\n".to_vec()))
            .await;
    assert!(client().send(request(Method::HEAD, &head.url("/"))).await.unwrap().body.is_empty());
}

#[tokio::test]
async fn every_spelling_of_a_private_address_is_refused_before_a_connection_is_made() {
    let server = Server::start(|_, _| answer("200 OK", "", "secret")).await;
    let port = server.address.port();
    let http = with(|options| options.policy = AddressPolicy::public_only());
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[64:ff9b::7f00:1]",
        "[::127.0.0.1]",
        "①②⑦.⓪.⓪.①",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
    ] {
        let result = post(&http, &format!("http://{host}:{port}/")).await;
        failed(result, ErrorClass::Denied, "ADDRESS_REFUSED", Doubt::Settled);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_exception_lets_one_address_through() {
    let server = Server::start(|_, _| answer("200 OK", "", "x")).await;
    let http = with(|options| options.policy = AddressPolicy::public_only().allow(["127.0.0.1"]).unwrap());
    assert_eq!(get(&http, &server.url("/")).await.unwrap().status, 200);
    let by_name = with(|options| options.policy = AddressPolicy::public_only().allow(["localhost"]).unwrap());
    assert_eq!(get(&by_name, &format!("http://localhost:{}/", server.address.port())).await.unwrap().status, 200);
    failed(get(&by_name, &server.url("/")).await, ErrorClass::Denied, "ADDRESS_REFUSED", Doubt::Settled);
}

#[tokio::test]
async fn redirects_are_followed_and_each_address_is_judged() {
    let server = Server::start(|_, request| match request.split_whitespace().nth(1).unwrap_or_default() {
        "/a" => answer("302 Found", "location: b?x=1\r\n", "moved"),
        "/b?x=1" => answer("308 Permanent Redirect", "location: /c\r\n", ""),
        "/loop" => answer("302 Found", "location: /loop\r\n", ""),
        "/private" => answer("302 Found", "location: http://127.0.0.2:1/\r\n", ""),
        "/file" => answer("302 Found", "location: file:///etc/passwd\r\n", ""),
        "/none" => answer("302 Found", "", ""),
        _ => answer("200 OK", "", "here"),
    })
    .await;
    let http = with(|options| options.policy = AddressPolicy::public_only().allow(["127.0.0.1"]).unwrap());
    let response = get(&http, &server.url("/a")).await.unwrap();
    assert_eq!((response.body.as_ref(), response.url.path()), (&b"here"[..], "/c"));
    failed(get(&http, &server.url("/loop")).await, ErrorClass::Invalid, "TOO_MANY_REDIRECTS", Doubt::Settled);
    failed(get(&http, &server.url("/private")).await, ErrorClass::Denied, "ADDRESS_REFUSED", Doubt::Settled);
    failed(get(&http, &server.url("/file")).await, ErrorClass::Invalid, "REDIRECT_INVALID", Doubt::Settled);
    assert_eq!(get(&http, &server.url("/none")).await.unwrap().status, 302);
    let staying = Request { follow_redirects: false, ..request(Method::GET, &server.url("/a")) };
    assert_eq!(http.send(staying).await.unwrap().body.as_ref(), b"moved");
    // A POST would have to become a GET: not by itself.
    assert_eq!(post(&http, &server.url("/a")).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_307_is_sent_again_with_its_body() {
    let server = Server::start(|_, request| {
        if request.starts_with("POST /a ") {
            answer("307 Temporary Redirect", "location: /b\r\n", "")
        } else {
            answer("200 OK", "", "")
        }
    })
    .await;
    let sent = Request { body: Bytes::from_static(b"hello"), ..request(Method::POST, &server.url("/a")) };
    assert_eq!(client().send(sent).await.unwrap().status, 200);
    let requests = server.requests();
    assert!(requests[1].starts_with("POST /b ") && requests[1].ends_with("\r\n\r\nhello"), "{}", requests[1]);
}

#[tokio::test]
async fn secrets_stay_with_the_host_they_are_for() {
    let other = Server::start_on("127.0.0.2", |_, _| answer("200 OK", "", "")).await;
    let target = other.url("/there");
    let server = Server::start(move |_, request| {
        if request.starts_with("GET /same ") {
            answer("302 Found", "location: /here\r\n", "")
        } else if request.starts_with("GET /away ") {
            answer("302 Found", &format!("location: {target}\r\n"), "")
        } else {
            answer("200 OK", "", "")
        }
    })
    .await;
    for path in ["/same", "/away"] {
        let mut call = request(Method::GET, &server.url(path));
        let mut key = HeaderValue::from_static("hunter2");
        key.set_sensitive(true);
        call.headers.insert("x-key", key);
        call.headers.insert("authorization", HeaderValue::from_static("Bearer hunter2"));
        call.headers.insert("cookie", HeaderValue::from_static("s=hunter2"));
        call.headers.insert("x-api-key", HeaderValue::from_static("hunter2"));
        call.headers.insert("x-plain", HeaderValue::from_static("kept"));
        call.headers.append("x-plain", HeaderValue::from_static("kept as well"));
        client().send(call).await.unwrap();
    }
    let here = server.requests().into_iter().find(|request| request.starts_with("GET /here")).unwrap();
    assert_eq!(here.matches("hunter2").count(), 4, "{here}");
    let there = &other.requests()[0];
    assert!(
        !there.contains("hunter2")
            && there.contains("x-plain: kept")
            && there.contains("x-plain: kept as well")
            && there.contains(&format!("host: {}", other.address)),
        "{there}"
    );
}

#[tokio::test]
async fn addresses_that_cannot_be_called_are_told() {
    for url in
        ["ftp://example.com/", "file:///etc/passwd", "http://user:hunter2@127.0.0.1/", "data:text/plain,x", "ws://example.com/"]
    {
        let error = get(&client(), url).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.doubt), ("URL_INVALID", Doubt::Settled));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn framing_headers_of_the_caller_are_not_sent() {
    let server = Server::start(|_, _| answer("200 OK", "", "")).await;
    let mut call = Request { body: Bytes::from_static(b"hello"), ..request(Method::POST, &server.url("/")) };
    call.headers.insert("content-length", HeaderValue::from_static("1"));
    call.headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
    call.headers.insert("connection", HeaderValue::from_static("close"));
    client().send(call).await.unwrap();
    let sent = &server.requests()[0];
    assert!(sent.contains("content-length: 5\r\n") && !sent.contains("chunked") && !sent.contains("close"), "{sent}");
}
