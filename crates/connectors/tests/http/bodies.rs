//! Bodies of requests in every way to give one, and answers read by what they say they are.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::{Doubt, ErrorClass};
use serde_json::{Value as Json, json};

use super::{
    call, cx, output, refused, sent,
    support::{Act, Server, answer},
};

async fn posted(input: Json) -> String {
    sent(
        |_| None,
        |server| {
            let mut input = input;
            input["url"] = server.url("/").into();
            input["method"] = "POST".into();
            input
        },
    )
    .await
}

#[tokio::test]
async fn xml_and_bytes_are_sent() {
    let xml = posted(json!({"xml": {"Order": {"@id": "1", "Line": ["a", "b&c"]}}})).await;
    assert!(
        xml.contains("content-type: application/xml; charset=utf-8\r\n")
            && xml.ends_with(
                "\r\n\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?><Order id=\"1\"><Line>a</Line><Line>b&amp;c</Line></Order>"
            ),
        "{xml}"
    );
    let text = posted(json!({"xml": "<a/>", "headers": {"Content-Type": "text/xml"}})).await;
    assert!(text.contains("content-type: text/xml\r\n") && text.ends_with("\r\n\r\n<a/>"), "{text}");
    let bytes = posted(json!({"bytes": "aGVs\nbG8="})).await;
    assert!(bytes.contains("content-type: application/octet-stream\r\n") && bytes.ends_with("\r\n\r\nhello"), "{bytes}");
}

#[tokio::test]
async fn multipart_bodies_are_written_as_browsers_do() {
    let input = json!({"multipart": {
        "note": "ü", "n": 1, "gone": null, "tags": ["a", "b"],
        "file": {"filename": "a\"b\r\nx: y.csv", "content_type": "text/csv", "text": "1,2"},
        "raw": {"filename": "p.bin", "base64": BASE64.encode("xyz")},
        "meta": {"json": {"k": [1]}}
    }});
    let request = posted(input.clone()).await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let boundary = head.lines().find_map(|line| line.strip_prefix("content-type: multipart/form-data; boundary=")).unwrap();
    let parts = [
        "content-disposition: form-data; name=\"note\"\r\n\r\nü",
        "content-disposition: form-data; name=\"n\"\r\n\r\n1",
        "content-disposition: form-data; name=\"tags\"\r\n\r\na",
        "content-disposition: form-data; name=\"tags\"\r\n\r\nb",
        "content-disposition: form-data; name=\"file\"; filename=\"a%22b%0D%0Ax: y.csv\"\r\ncontent-type: text/csv\r\n\r\n1,2",
        "content-disposition: form-data; name=\"raw\"; filename=\"p.bin\"\r\ncontent-type: application/octet-stream\r\n\r\nxyz",
        "content-disposition: form-data; name=\"meta\"\r\ncontent-type: application/json\r\n\r\n{\"k\":[1]}",
    ];
    let expected: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
    assert_eq!(body, format!("{expected}--{boundary}--\r\n"));
    // Every attempt sends the same bytes, so that the other side can tell a repeated call.
    assert_eq!(posted(input).await.split_once("\r\n\r\n").unwrap().1, body);
    // Somebody who knows the boundary cannot end a part with it.
    let aimed = posted(json!({"multipart": {"note": format!("--{boundary}--")}})).await;
    assert!(!aimed.contains(&format!("boundary={boundary}\r\n")), "{aimed}");
}

#[tokio::test]
async fn bodies_that_cannot_be_written_are_refused() {
    for (input, part) in [
        (json!({"multipart": []}), "a list"),
        (json!({"multipart": {}}), "no part"),
        (json!({"multipart": {"a": {"filename": "x"}}}), "one of text, base64, json and file"),
        (json!({"multipart": {"a": {"text": "x", "base64": "eA=="}}}), "one of text, base64, json and file"),
        (json!({"multipart": {"a": {"base64": "%%"}}}), "not base64"),
        (json!({"multipart": {"a": {"text": 1}}}), "a number"),
        (json!({"multipart": {"a": {"tetx": "x"}}}), "did you mean \"text\"?"),
        (json!({"multipart": {"a": [["x"]]}}), "a list inside a list"),
        (json!({"multipart": {"a": {"text": "x", "content_type": "a\r\nx-evil: 1"}}}), "line break"),
        (json!({"multipart": {"a": "b"}, "headers": {"Content-Type": "multipart/form-data"}}), "boundary"),
        (json!({"xml": {"a": 1, "b": 2}}), "root element"),
        (json!({"xml": {"a b": 1}}), "a b"),
        (json!({"xml": [1]}), "a list"),
        (json!({"bytes": "no!"}), "not base64"),
        (json!({"bytes": [1, 2]}), "base64 text"),
        (json!({"bytes": "eA==", "xml": "<a/>"}), "xml and bytes"),
    ] {
        let mut input = input;
        input["url"] = "http://127.0.0.1:1/".into();
        input["method"] = "POST".into();
        let error = refused(input.clone()).await;
        assert_eq!(error.code, "BODY_INVALID", "{input}");
        assert!(error.message.contains(part), "{input}: {}", error.message);
    }
}

#[tokio::test]
async fn answers_are_read_by_their_content_type() {
    for (kind, body, expected) in [
        ("application/xml", &b"<r><a k=\"1\">x</a><a>y</a></r>"[..], json!({"r": {"a": [{"@k": "1", "#text": "x"}, "y"]}})),
        ("text/xml; charset=utf-8", b"\xef\xbb\xbf<r/>", json!({"r": ""})),
        ("application/soap+xml", b"<?xml version='1.0' encoding='ISO-8859-1'?><r>\xfc</r>", json!({"r": "ü"})),
        ("text/xml; charset=iso-8859-1", b"<?xml version='1.0' encoding='UTF-8'?><r>\xfc</r>", json!({"r": "ü"})),
        ("application/xml", b"<r><a></r>", json!("<r><a></r>")),
        ("application/xml", b"<!DOCTYPE r [<!ENTITY e \"x\">]><r>&e;</r>", json!("<!DOCTYPE r [<!ENTITY e \"x\">]><r>&e;</r>")),
        ("application/xhtml+xml", b"<html/>", json!("<html/>")),
        ("application/x-www-form-urlencoded", b"a=1&b=x+y%C3%BC&a=2&c", json!({"a": ["1", "2"], "b": "x yü", "c": ""})),
        ("text/csv", b"a,b\n1,2", json!("a,b\n1,2")),
        ("application/json", b"{\"a\": [1, 2", json!("{\"a\": [1, 2")),
        ("application/json", b"\xff\xfe{\0}\0", json!({})),
        ("application/json; charset=iso-8859-1", b"\"\xfc\"", json!("ü")),
    ] {
        assert_eq!(
            output(answer("200 OK", &format!("content-type: {kind}\r\n"), body)).await["body"],
            expected,
            "{kind} {:?}",
            String::from_utf8_lossy(body)
        );
    }
}

#[tokio::test]
async fn a_step_may_say_how_to_read_the_answer() {
    for (parse, kind, body, expected) in [
        ("json", "text/plain", "{\"a\":1}", Ok(json!({"a": 1}))),
        ("text", "application/json", "{}", Ok(json!("{}"))),
        ("bytes", "application/json", "{}", Ok(json!(BASE64.encode("{}")))),
        ("xml", "text/plain", "<a/>", Ok(json!({"a": ""}))),
        ("form", "text/plain", "a=b", Ok(json!({"a": "b"}))),
        ("json", "application/json", "", Ok(Json::Null)),
        ("json", "application/json", "{\"a\": [1,", Err("cannot be read")),
        ("xml", "application/xml", "<a>", Err("ends inside")),
        ("text", "text/plain; charset=utf-16le", "abc", Err("charset")),
    ] {
        let server = Server::start(move |_, _| answer("200 OK", &format!("content-type: {kind}\r\n"), body)).await;
        let got = call(cx(None), json!({"url": server.url("/"), "method": "POST", "parse": parse})).await;
        match (got, expected) {
            (Ok(output), Ok(expected)) => assert_eq!(output["body"], expected, "{parse} {body}"),
            (Err(error), Err(part)) => {
                assert!(error.message.contains(part), "{parse} {body}: {}", error.message);
                // The other side did what was asked; only its answer is of no use.
                assert_eq!((error.class, error.doubt), (ErrorClass::Invalid, Doubt::MayHaveHappened));
            }
            (got, _) => panic!("{parse} {body}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_of_fifty_megabytes_is_not_taken_in() {
    let body = vec![b'x'; 50_000_000];
    let server = Server::start(move |_, _| answer("200 OK", "", &body)).await;
    let error = call(cx(None), json!({"url": server.url("/")})).await.unwrap_err();
    assert_eq!(error.code, "RESPONSE_TOO_LARGE");
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".iter().copied();
    let chunk = b"100000\r\n".iter().copied().chain(std::iter::repeat_n(b'x', 0x10_0000)).chain(*b"\r\n");
    let bytes: Vec<u8> = endless.chain(std::iter::repeat_n(chunk.collect::<Vec<u8>>(), 50).flatten()).collect();
    let server = Server::start(move |_, _| Act::Answer(bytes.clone())).await;
    let error = call(cx(None), json!({"url": server.url("/")})).await.unwrap_err();
    assert_eq!(error.code, "RESPONSE_TOO_LARGE");
}
