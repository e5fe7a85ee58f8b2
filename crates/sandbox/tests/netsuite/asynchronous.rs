//! Asynchronous calls and batches.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Client, RECORDS, error};

async fn submit(client: &Client, method: Method, path: &str, body: &Json, key: &str) -> reqwest::Response {
    let request = client.request(method, path).header("prefer", "respond-async").header("x-netsuite-idempotency-key", key);
    request
        .header("content-type", "application/vnd.oracle.resource+json; type=collection")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_batch_tells_of_every_record_and_its_key_is_good_once() {
    let client = Client::start().await;
    client.configure(&json!({ "async_ms": 60_000 }));
    let mut items: Vec<Json> = (0..100)
        .map(|n| json!({ "companyName": format!("Batch {n}"), "subsidiary": "1", "externalId": format!("B-{n}") }))
        .collect();
    items[57] = json!({ "companyName": "bad", "subsidiary": "77" });
    let path = format!("{RECORDS}/customer");
    let first = submit(&client, Method::POST, &path, &json!({ "items": items }), "key-1").await;
    assert_eq!((first.status().as_u16(), &first.headers()["preference-applied"]), (202, &"respond-async".parse().unwrap()));
    let job = first.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(client.read(&job).await["progress"], "processing");
    assert_eq!(client.get(&format!("{job}/task/1/result")).await.status(), 400);
    client.sandbox.world().clock().advance(std::time::Duration::from_secs(61));
    let read = client.read(&job).await;
    assert_eq!(
        (&read["completed"], &read["progress"]),
        (&json!(true), &json!("succeeded")),
        "a job succeeds whatever its records did"
    );
    assert_eq!(client.read(&format!("{job}/task")).await["count"], 100);
    assert_eq!(client.read(&format!("{job}/task/58")).await["progress"], "failed");
    assert_eq!(error(client.get(&format!("{job}/task/58/result")).await).await.1, "INVALID_VALUE");
    let good = client.get(&format!("{job}/task/1/result")).await;
    assert_eq!(good.status(), 204);
    assert_eq!(client.read(good.headers()["location"].to_str().unwrap()).await["externalId"], "B-0");

    let again = submit(&client, Method::POST, &path, &json!({ "items": items }), "key-1").await;
    assert_eq!(again.headers()["location"].to_str().unwrap(), job);
    let body: Json = again.json().await.unwrap();
    assert_eq!(
        (&body["status"], &body["title"], &body["o:errorDetails"][0]["o:errorCode"]),
        (&json!(400), &json!("Conflict"), &json!("IDEMPOTENCY_ERROR"))
    );

    let change = json!({ "items": [{ "externalId": "B-1", "phone": "+1" }, { "externalId": "new", "companyName": "New", "subsidiary": "1" }] });
    let upserted = submit(&client, Method::PUT, &path, &change, "key-2").await;
    assert_eq!(upserted.status(), 202);
    assert_eq!(client.read(&format!("{RECORDS}/customer?ids=eid:B-1,eid:new&expandRecords=true")).await["count"], 2);
    let deleted = submit(&client, Method::DELETE, &format!("{path}?ids=eid:B-1,eid:B-2"), &json!({}), "key-3").await;
    assert_eq!(deleted.status(), 202);
    assert_eq!(client.get(&format!("{RECORDS}/customer/eid:B-2")).await.status(), 404);
    let too_many: Vec<Json> = (0..101).map(|_| json!({})).collect();
    assert_eq!(submit(&client, Method::POST, &path, &json!({ "items": too_many }), "key-4").await.status(), 400);
}

#[tokio::test]
async fn single_calls_and_queries_can_wait_too() {
    let client = Client::start().await;
    let request = client.request(Method::POST, crate::SUITEQL).header("prefer", "respond-async, transient");
    let answer = request.json(&json!({ "q": "SELECT id FROM customer ORDER BY id" })).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let job = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(client.read(&format!("{job}/task/1/result")).await["count"], 60);
    let request = client.request(Method::PATCH, &format!("{RECORDS}/customer/eid:C-0001")).header("prefer", "respond-async");
    assert_eq!(request.json(&json!({ "phone": "+1" })).send().await.unwrap().status(), 202);
    assert_eq!(client.read(&format!("{RECORDS}/customer/eid:C-0001")).await["phone"], "+1");
    assert_eq!(client.get("/services/rest/async/v1/job/999").await.status(), 404);
}
