//! Answers in pages, every way systems give them, and systems that never come to an end.

use connector::{Doubt, ErrorClass, Page, StepError};
use serde_json::{Value as Json, json};

use super::{
    call, cx, http, refused,
    support::{Act, Server, answer},
    through,
};

/// The value of a name in the query or the JSON body of a request.
fn asked(request: &str, name: &str) -> Option<String> {
    let target = request.split_whitespace().nth(1)?;
    let url = url::Url::parse("http://x/").ok()?.join(target).ok()?;
    let in_query = url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    in_query.or_else(|| {
        let body: Json = serde_json::from_str(request.split_once("\r\n\r\n")?.1).ok()?;
        body.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    })
}

fn list(from: usize, to: usize) -> Vec<usize> {
    (from..to).collect()
}

fn page(body: Json) -> Act {
    answer("200 OK", "content-type: application/json\r\n", body.to_string())
}

/// Twenty-five things, ten on a page.
fn things(request: &str) -> Act {
    let path = request.split_whitespace().nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    let number = |name: &str| asked(request, name).and_then(|text| text.parse::<usize>().ok());
    let cut = |from: usize| list(from.min(25), (from + 10).min(25));
    match path.as_str() {
        "/offset" => page(json!({"data": {"items": cut(number("offset").unwrap_or(0))}})),
        "/skip" => page(json!(cut(number("skip").unwrap_or(0)))),
        "/page" => page(json!({"rows": cut((number("page").unwrap_or(1) - 1) * 10)})),
        "/zero" => page(json!({"rows": cut(number("p").unwrap_or(0) * 10), "has_more": number("p").unwrap_or(0) < 2})),
        "/cursor" => {
            let from = number("cursor").unwrap_or(0);
            page(
                json!({"rows": cut(from), "meta": {"next": if from < 20 { json!((from + 10).to_string()) } else { Json::Null }}}),
            )
        }
        "/last" => {
            let from = number("after").map_or(0, |last| last + 1);
            let rows: Vec<Json> = cut(from).into_iter().map(|id| json!({ "id": id })).collect();
            page(json!({"data": rows, "has_more": from < 20}))
        }
        "/next" => {
            let from = number("from").unwrap_or(0);
            let next = if from < 20 { json!(format!("/next?from={}", from + 10)) } else { Json::Null };
            page(json!({"rows": cut(from), "@odata.nextLink": next}))
        }
        "/link" => {
            let from = number("from").unwrap_or(0);
            let link = format!(
                "link: </link?from=0>; rel=\"first\", </link?from={},x>; title=\"a, <b>\"; rel=\"prev next\"\r\n",
                from + 10
            );
            let headers = format!("content-type: application/json\r\n{}", if from < 20 { &*link } else { "" });
            answer("200 OK", &headers, json!(cut(from)).to_string())
        }
        other => answer("404 Not Found", "", other),
    }
}

async fn walked(path: &str, paginate: Json) -> Result<Json, StepError> {
    let server = Server::start(|_, request| things(&request.replace(",x", ""))).await;
    call(cx(None), json!({"url": server.url(path), "paginate": paginate})).await
}

#[tokio::test]
async fn every_kind_comes_to_the_same_list() {
    for (path, paginate) in [
        ("/offset", json!({"kind": "offset", "items": "data.items"})),
        ("/skip", json!({"kind": "offset", "param": "skip", "limit": 10})),
        ("/page", json!({"kind": "page", "items": "/rows"})),
        ("/zero", json!({"kind": "page", "param": "p", "first": 0, "items": "rows", "more": "has_more"})),
        ("/cursor", json!({"kind": "cursor", "next": "meta.next", "items": "rows"})),
        ("/next", json!({"kind": "next_url", "next": "/@odata.nextLink", "items": "rows"})),
        ("/link", json!("link")),
        ("/link?from=0", json!({"kind": "link"})),
    ] {
        let output = walked(path, paginate.clone()).await.unwrap();
        assert_eq!(output["body"], json!(list(0, 25)), "{path}");
        assert_eq!((&output["status"], &output["more"]), (&json!(200), &json!(false)));
        // Without a limit, only an empty page tells that an offset or page was the last.
        let blind = matches!(paginate["kind"].as_str(), Some("offset" | "page"))
            && paginate["limit"].is_null()
            && paginate["more"].is_null();
        assert_eq!(output["pages"], if blind { 4 } else { 3 }, "{path}");
    }
    let last =
        walked("/last", json!({"kind": "cursor", "param": "after", "next": "data.-1.id", "items": "data", "more": "has_more"}))
            .await
            .unwrap();
    assert_eq!(last["body"].as_array().unwrap().len(), 25);
    assert_eq!(last["body"][24], json!({"id": 24}));
}

#[tokio::test]
async fn places_go_into_query_or_body_and_each_page_has_its_own_key() {
    let server = Server::start(|_, request| things(request)).await;
    let paginate =
        json!({"kind": "cursor", "next": "meta.next", "items": "rows", "in": "json", "limit_param": "size", "limit": 10});
    let input =
        json!({"url": server.url("/cursor"), "method": "POST", "idempotent": true, "json": {"q": "x"}, "paginate": paginate});
    assert_eq!(call(cx(None), input).await.unwrap()["body"], json!(list(0, 25)));
    let requests = server.requests();
    assert!(requests[0].ends_with(r#"{"q":"x","size":10}"#), "{}", requests[0]);
    assert!(requests[1].ends_with(r#"{"q":"x","cursor":"10","size":10}"#), "{}", requests[1]);
    assert!(requests[0].contains("idempotency-key: run_1/pay/0") && requests[2].contains("idempotency-key: run_1/pay/2"));
    let server = Server::start(|_, request| things(request)).await;
    let signed =
        through(json!({"base_url": server.url("/"), "auth": {"kind": "api_key", "in": "query", "name": "k"}}), &[("key", "sec")]);
    call(cx(Some(signed)), json!({"path": "/next", "query": {"a": "b"}, "paginate": {"kind": "next_url", "next": "/@odata.nextLink", "items": "rows"}})).await.unwrap();
    let requests = server.requests();
    assert!(
        requests[0].starts_with("GET /next?a=b&k=sec ") && requests[1].starts_with("GET /next?from=10&k=sec "),
        "{requests:?}"
    );
}

#[tokio::test]
async fn declared_limits_cut_and_others_fail() {
    let paginate = |more: Json| {
        let mut all = json!({"kind": "cursor", "next": "meta.next", "items": "rows"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    for (more, items, left_out) in [
        (json!({"items_max": 12}), 12, true),
        (json!({"items_max": 10}), 10, true),
        (json!({"items_max": 25}), 25, false),
        (json!({"pages_max": 1}), 10, true),
        (json!({"pages_max": 3}), 25, false),
    ] {
        let output = walked("/cursor", paginate(more.clone())).await.unwrap();
        assert_eq!((output["body"].as_array().unwrap().len(), &output["more"]), (items, &json!(left_out)), "{more}");
    }
    let endless = Server::start(|number, _| page(json!({"rows": [number], "meta": {"next": number}}))).await;
    let error = call(cx(None), json!({"url": endless.url("/"), "paginate": paginate(json!({}))})).await.unwrap_err();
    assert_eq!((error.code.as_str(), endless.requests().len()), ("TOO_MANY_PAGES", 100));
    let rows: Vec<usize> = list(0, 10_001);
    let wide = Server::start(move |_, _| page(json!({"rows": rows, "meta": {}}))).await;
    let error = call(cx(None), json!({"url": wide.url("/"), "paginate": paginate(json!({}))})).await.unwrap_err();
    assert_eq!(error.code, "TOO_MANY_ITEMS");
    assert!(error.next.unwrap().contains("items_max"));
    let heavy =
        Server::start(|number, _| page(json!({"rows": [number], "meta": {"next": number}, "x": "x".repeat(9_000_000)}))).await;
    let error = call(cx(None), json!({"url": heavy.url("/"), "paginate": paginate(json!({}))})).await.unwrap_err();
    assert_eq!((error.code.as_str(), heavy.requests().len()), ("PAGES_TOO_LARGE", 6));
}

#[tokio::test]
async fn going_round_is_noticed() {
    let cursor = json!({"kind": "cursor", "next": "next", "items": "rows"});
    let same = Server::start(|number, _| page(json!({"rows": [number], "next": "a"}))).await;
    let error = call(cx(None), json!({"url": same.url("/"), "paginate": cursor})).await.unwrap_err();
    assert_eq!((error.code.as_str(), same.requests().len()), ("PAGES_ENDLESS", 2));
    let round = Server::start(|number, _| page(json!({"rows": [number], "next": number % 3}))).await;
    let error = call(cx(None), json!({"url": round.url("/"), "paginate": cursor})).await.unwrap_err();
    assert_eq!((error.code.as_str(), round.requests().len()), ("PAGES_ENDLESS", 4));
    // A system that does not know the offset gives the first page for ever.
    let deaf = Server::start(|_, _| page(json!([1, 2]))).await;
    let error = call(cx(None), json!({"url": deaf.url("/"), "paginate": {"kind": "offset"}})).await.unwrap_err();
    assert_eq!((error.code.as_str(), deaf.requests().len()), ("PAGE_REPEATED", 2));
    let itself = Server::start(|_, _| answer("200 OK", "content-type: application/json\r\nlink: </>; rel=next\r\n", "[]")).await;
    let error = call(cx(None), json!({"url": itself.url("/"), "paginate": "link"})).await.unwrap_err();
    assert_eq!((error.code.as_str(), itself.requests().len()), ("PAGES_ENDLESS", 2));
}

#[tokio::test]
async fn pages_stay_on_their_host_and_keep_their_shape() {
    let evil = Server::start(|_, _| page(json!([]))).await;
    let elsewhere = evil.url("/steal");
    for next in [elsewhere.as_str(), "http://u:p@127.0.0.1/", "//evil.example/", "javascript:alert(1)"] {
        let link = format!("content-type: application/json\r\nlink: <{next}>; rel=next\r\n");
        let server = Server::start(move |_, _| answer("200 OK", &link, "[1]")).await;
        let connection = through(json!({"base_url": server.url("/"), "auth": "bearer"}), &[("token", "t0ken")]);
        let error = call(cx(Some(connection)), json!({"path": "/", "paginate": "link"})).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Denied, "NEXT_PAGE_ELSEWHERE"), "{next}");
    }
    assert_eq!(evil.connections(), 0);
    for (body, part) in [(r#"{"rows": {}}"#, "a record"), (r#"{"data": []}"#, "missing"), (r#"{"rows": [1"#, "cannot be read")] {
        let server = Server::start(move |_, _| answer("200 OK", "content-type: application/json\r\n", body)).await;
        let error =
            call(cx(None), json!({"url": server.url("/"), "paginate": {"kind": "page", "items": "rows"}})).await.unwrap_err();
        assert!(error.message.contains(part), "{body}: {}", error.message);
    }
    let broken = Server::start(|number, _| if number == 0 { page(json!([1])) } else { answer("503 Busy", "", "") }).await;
    let error = call(cx(None), json!({"url": broken.url("/"), "paginate": {"kind": "page"}})).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("HTTP_503", Doubt::Settled));
}

#[tokio::test]
async fn mistakes_in_paginate_are_told_before_anything_is_sent() {
    for (paginate, part) in [
        (json!(7), "a number"),
        (json!("pages"), "did you mean"),
        (json!({}), "a kind"),
        (json!({"kind": "cursr", "next": "a"}), "did you mean \"cursor\"?"),
        (json!({"kind": "cursor"}), "next"),
        (json!({"kind": "next_url"}), "next"),
        (json!({"kind": "page", "pages_max": 0}), "pages_max"),
        (json!({"kind": "page", "items_max": -1}), "items_max"),
        (json!({"kind": "page", "limit_param": "size"}), "needs limit"),
        (json!({"kind": "page", "in": "header"}), "header"),
        (json!({"kind": "page", "item": "rows"}), "did you mean \"items\"?"),
    ] {
        let error = refused(json!({"url": "http://127.0.0.1:1/", "paginate": paginate})).await;
        assert_eq!(error.code, "PAGINATE_INVALID", "{paginate}");
        assert!(error.message.contains(part), "{paginate}: {}", error.message);
    }
    let once = refused(json!({"url": "http://127.0.0.1:1/", "method": "POST", "paginate": "link"})).await;
    assert!(once.message.contains("only once") && once.next.unwrap().contains("idempotent: true"));
}

/// The pages one after the other, each with what the one before it gave, kept as text in between.
async fn stream(input: Json) -> Vec<Page> {
    let connector = http();
    let pages = connector.action("request").unwrap().pages.clone().unwrap();
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = pages(cx(None), input.clone(), cursor).await.unwrap();
        cursor = page.next.as_ref().map(|next| serde_json::from_str(&next.to_string()).unwrap());
        all.push(page);
        if cursor.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn pages_come_one_after_the_other_with_a_cursor_that_can_be_kept() {
    let server = Server::start(|_, request| things(request)).await;
    for (path, paginate) in [
        ("/offset", json!({"kind": "offset", "items": "data.items", "limit": 10})),
        ("/cursor", json!({"kind": "cursor", "next": "meta.next", "items": "rows"})),
        ("/next", json!({"kind": "next_url", "next": "/@odata.nextLink", "items": "rows"})),
    ] {
        let all = stream(json!({"url": server.url(path), "paginate": paginate})).await;
        let sizes: Vec<usize> = all.iter().map(|page| page.items.len()).collect();
        assert_eq!(sizes, [10, 10, 5], "{path}");
        assert_eq!(all[2].items[4], 24);
        let cut =
            stream(json!({"url": server.url(path), "paginate": {"items_max": 12, "kind": "offset", "items": "data.items"}}));
        if path == "/offset" {
            assert_eq!(cut.await.iter().map(|page| page.items.len()).sum::<usize>(), 12);
        }
    }
    let plain = stream(json!({"url": server.url("/skip")})).await;
    assert_eq!((plain.len(), plain[0].items.len()), (1, 10));
    let connector = http();
    let pages = connector.action("request").unwrap().pages.clone().unwrap();
    let input = json!({"url": server.url("/skip"), "paginate": {"kind": "offset", "param": "skip"}});
    assert_eq!(pages(cx(None), input, Some(json!("rubbish"))).await.unwrap_err().code, "CURSOR_INVALID");
    // A long walk keeps its cursor small.
    let long = Server::start(|number, _| page(json!({"rows": [number], "next": number}))).await;
    let all =
        stream(json!({"url": long.url("/"), "paginate": {"kind": "cursor", "next": "next", "items": "rows", "pages_max": 300}}))
            .await;
    assert_eq!(all.len(), 300);
    assert!(all[298].next.as_ref().unwrap().to_string().len() < 5000);
}
