//! RESTlets, and the scripts that tell webhooks.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::Client;

const RESTLET: &str = "/app/site/hosting/restlet.nl";

#[tokio::test]
async fn scripts_echo_act_and_throw() {
    let client = Client::start().await;
    let echo = client.read(&format!("{RESTLET}?script=1&deploy=1&name=A%20%26%20B")).await;
    assert_eq!(echo, json!({ "method": "GET", "received": { "name": "A & B" } }));
    let call = async |method: Method, script: &str, body: &Json| {
        let answer = client.send(method, &format!("{RESTLET}?script={script}&deploy=1"), body).await;
        (answer.status().as_u16(), answer.json::<Json>().await.unwrap())
    };
    let (_, made) =
        call(Method::POST, "2", &json!({ "type": "customer", "values": { "companyName": "Moss", "subsidiary": "1" } })).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(client.read(&format!("{RESTLET}?script=2&deploy=1&type=customer&id={id}")).await["companyName"], "Moss");
    let (_, rows) =
        call(Method::POST, "customscript_saved_search", &json!({ "search": "customsearch_customers", "pageSize": 10 })).await;
    assert_eq!((rows["rows"].as_array().unwrap().len(), rows["total"].as_u64()), (10, Some(61)));
    let (status, thrown) = call(Method::POST, "5", &json!({ "code": "MY_ERROR", "message": "no" })).await;
    assert_eq!((status, &thrown["type"], &thrown["name"]), (400, &json!("error.SuiteScriptError"), &json!("MY_ERROR")));
    let (status, thrown) = call(Method::POST, "5", &json!({ "code": "SSS_USAGE_LIMIT_EXCEEDED" })).await;
    assert_eq!((status, &thrown["error"]["code"]), (400, &json!("SSS_USAGE_LIMIT_EXCEEDED")));
    assert_eq!(call(Method::POST, "99", &json!({})).await.0, 404);
    assert_eq!(call(Method::PATCH, "1", &json!({})).await.0, 405);
    assert_eq!(client.get(&format!("{RESTLET}?deploy=1")).await.status(), 400);
    let unsigned = crate::http().get(client.url(&format!("{RESTLET}?script=1&deploy=1"))).send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    assert_eq!(unsigned.json::<Json>().await.unwrap()["error"]["code"], "INVALID_LOGIN_ATTEMPT");
    let text = client
        .request(Method::POST, &format!("{RESTLET}?script=1&deploy=1"))
        .header("content-type", "text/plain")
        .body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(text.json::<Json>().await.unwrap()["received"], "hello");
}

#[tokio::test]
async fn a_user_event_script_signs_what_it_tells() {
    let client = Client::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sender, mut seen) = tokio::sync::mpsc::channel(10);
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(move |headers: http::HeaderMap, body: String| {
        let sender = sender.clone();
        async move { sender.send((headers["x-hub"].to_str().unwrap().to_owned(), body)).await.unwrap() }
    });
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    client.configure(
        &json!({ "user_event_scripts": [{ "url": url, "secret": "s3cret", "types": ["customer"], "header": "x-hub" }] }),
    );
    client.happen("record_changed", &json!({ "type": "customer", "id": "eid:C-0001", "values": { "phone": "+1" } }));
    let (signature, body) = seen.recv().await.unwrap();
    let told: Json = serde_json::from_str(&body).unwrap();
    assert_eq!((&told["type"], &told["event"]), (&json!("customer"), &json!("edit")));
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"s3cret").unwrap();
    hmac::Mac::update(&mut mac, body.as_bytes());
    assert_eq!(signature, hex::encode(hmac::Mac::finalize(mac).into_bytes()));
    server.abort();
}
