//! Files by reference: downloads into a file, uploads out of one.

use std::sync::Arc;

use connector::{Cx, Doubt, ErrorClass};
use serde_json::json;

use super::{
    call, cx, refused,
    shelf::{Door, Shelf},
    support::{Server, answer},
};

fn with_files() -> (Arc<Shelf>, impl Fn() -> Cx) {
    let shelf: Arc<Shelf> = Arc::default();
    let door = Arc::clone(&shelf);
    let make = move || {
        let cx = cx(None);
        cx.http.keep_files_with(Arc::new(Door(Arc::clone(&door))));
        cx
    };
    (shelf, make)
}

#[tokio::test]
async fn a_download_becomes_a_file_and_an_error_stays_an_error() {
    let server = Server::start(|number, _| match number {
        0 => answer("200 OK", "content-type: text/csv\r\ncontent-disposition: attachment; filename=\"../a.csv\"\r\n", "1,2,3"),
        1 => answer("200 OK", "", ""),
        _ => answer("404 Not Found", "content-type: application/json\r\n", "{\"message\":\"no such report\"}"),
    })
    .await;
    let (shelf, cx) = with_files();
    let output = call(cx(), json!({"url": server.url("/report"), "download": true})).await.unwrap();
    let body = &output["body"];
    assert_eq!(json!([body["name"], body["type"], body["size"], output["status"]]), json!(["a.csv", "text/csv", 5, 200]));
    assert!(server.requests()[0].contains("accept-encoding: identity\r\n"), "{}", server.requests()[0]);
    let empty = call(cx(), json!({"url": server.url("/empty.bin"), "download": true})).await.unwrap();
    assert_eq!((&empty["body"]["name"], &empty["body"]["size"]), (&json!("empty.bin"), &json!(0)));
    let error = call(cx(), json!({"url": server.url("/none"), "download": true})).await.unwrap_err();
    assert!(error.code == "HTTP_404" && error.message.contains("no such report"), "{error:?}");
    assert_eq!(shelf.contents(), [b"1,2,3".to_vec(), Vec::new()], "the error is no file");
    for (name, value) in [("paginate", json!("link")), ("parse", json!("json")), ("download", json!("yes"))] {
        let mut input = json!({"url": "https://a.example/", "download": true});
        input[name] = value;
        assert_eq!(refused(input).await.code, "INPUT_INVALID", "{name}");
    }
}

#[tokio::test]
async fn a_file_is_sent_as_a_body_and_as_a_part_also_after_a_redirect() {
    let server = Server::start(|number, _| match number {
        0 => answer("307 Temporary Redirect", "location: /there\r\n", ""),
        _ => answer("200 OK", "", ""),
    })
    .await;
    let (shelf, cx) = with_files();
    let file = shelf.put("ä\"b.pdf", "application/pdf", b"0123456789").json();
    call(cx(), json!({"url": server.url("/"), "method": "PUT", "bytes": file})).await.unwrap();
    for request in server.requests() {
        assert!(request.contains("content-type: application/pdf\r\n") && request.contains("content-length: 10\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n0123456789"), "{request}");
    }
    assert!(server.requests()[1].starts_with("PUT /there "));
    assert_eq!(shelf.opened(), 2, "read again for the second request");
    let parts = json!({"note": "n", "one": file, "two": {"filename": "other.bin", "content_type": "a/b", "file": file}});
    call(cx(), json!({"url": server.url("/"), "method": "POST", "multipart": parts})).await.unwrap();
    let request = server.requests().pop().unwrap();
    for part in [
        "name=\"note\"\r\n\r\nn\r\n",
        "name=\"one\"; filename=\"ä%22b.pdf\"\r\ncontent-type: application/pdf\r\n\r\n0123456789\r\n",
        "name=\"two\"; filename=\"other.bin\"\r\ncontent-type: a/b\r\n\r\n0123456789\r\n",
    ] {
        assert!(request.contains(part), "{part} is not in {request}");
    }
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head} {}", body.len());
}

#[tokio::test]
async fn a_file_that_breaks_off_is_told_and_leaves_doubt() {
    let server = Server::start(|_, _| answer("200 OK", "", "")).await;
    let (shelf, cx) = with_files();
    let file = shelf.put("a", "a/b", b"0123456789").json();
    shelf.tear(0);
    let error = call(cx(), json!({"url": server.url("/"), "method": "POST", "bytes": file})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str(), error.doubt), (ErrorClass::Internal, "FILE_STORE", Doubt::MayHaveHappened));
}

#[tokio::test]
async fn what_only_looks_like_a_file_is_refused() {
    let (_, cx) = with_files();
    for forged in [json!({"file": "lsnfile_0"}), json!({"file": "a", "size": 3})] {
        for body in [json!({"bytes": forged}), json!({"multipart": {"a": forged}}), json!({"multipart": {"a": {"file": forged}}})]
        {
            let mut input = body;
            (input["url"], input["method"]) = (json!("http://127.0.0.1:9/"), json!("POST"));
            let error = call(cx(), input).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.doubt), ("FILE_UNKNOWN", Doubt::Settled));
        }
    }
}
