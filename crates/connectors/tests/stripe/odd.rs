//! Answers that only a gateway or a broken list gives, and secrets deep inside good ones.

use std::sync::Arc;

use connector::{Connection, ErrorClass, Position};
use serde_json::json;

use crate::{
    stripe,
    stub::{Said, Stub},
    vendor::Vendor,
};

/// The connector in front of something that answers as a test says.
async fn before(stub: &Stub) -> Vendor {
    let mut vendor = stripe().await;
    let config = json!({"api_url": stub.url});
    vendor.connection = Arc::new(Connection { config, ..(*vendor.connection).clone() });
    vendor
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_the_connector_however_deep_it_stands() {
    let vendor = stripe().await;
    let made = json!({"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": true});
    let charge = vendor.call("create_payment_intent", made).await.unwrap()["latest_charge"].clone();
    let listed = vendor.call("list_payment_intents", json!({})).await.unwrap().to_string();
    let expand =
        json!({"method": "GET", "path": format!("/v1/charges/{}", charge.as_str().unwrap()), "expand": ["payment_intent"]});
    let expanded = vendor.call("call_api", expand).await.unwrap().to_string();
    for text in [&listed, &expanded] {
        assert!(text.contains("\"payment_intent\"") && !text.contains("client_secret") && !text.contains("_secret_"), "{text}");
    }
    let endpoint = json!({"method": "POST", "path": "/v1/webhook_endpoints", "params": {"url": "https://a.example/hook", "enabled_events": ["*"]}});
    let endpoint = vendor.call("call_api", endpoint).await.unwrap();
    assert!(endpoint["body"]["url"].is_string() && !endpoint.to_string().contains("whsec_"), "{endpoint}");
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_account_is_the_connection_s_and_never_the_platform() {
    let mut vendor = stripe().await;
    let account = vendor.sandbox.vendor("stripe").unwrap().credentials()["connected_account"].clone();
    let mut config = vendor.connection.config.clone();
    config["connected_account"] = account.clone();
    vendor.connection = Arc::new(Connection { config, ..(*vendor.connection).clone() });
    vendor.call("create_customer", json!({"name": "Ann", "connected_account": null})).await.unwrap();
    let recorded = vendor.sandbox.world().recorder().all();
    let sent = recorded.iter().rev().find(|request| request.target == "/v1/customers").unwrap();
    assert!(format!("{sent:?}").contains(account.as_str().unwrap()), "{sent:?}");
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_never_end_end_in_an_error() {
    let row = json!({"id": "evt_1", "object": "event", "type": "a.b", "created": 1});
    let stub = Stub::start(move |asked| {
        let next = json!({"object": "search_result", "data": [row], "has_more": true, "next_page": "p1"});
        match &asked.target {
            target if target.contains("/v1/customers/search") => Said::json(200, &next),
            target if target.contains("/v1/products/search") => {
                Said::json(200, &json!({"object": "search_result", "data": [], "has_more": true, "next_page": asked.target}))
            }
            _ => Said::json(200, &json!({"object": "list", "data": [row], "has_more": true})),
        }
    });
    let stub = stub.await;
    let vendor = before(&stub).await;
    for resource in ["customers", "products"] {
        let error = vendor.call("search_records", json!({"resource": resource, "query": "x"})).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"), "{resource}");
    }
    for from in [json!({"after": "evt_1"}), json!({"after": "evt_1", "since": 5})] {
        let error = vendor.poll("event", json!({}), Position::After(from)).await.unwrap_err();
        assert_eq!(error.code, "ANSWER_UNREADABLE");
    }
    assert!(stub.asked().len() < 10);
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_on_trying_again_counts_at_any_status_and_without_a_body() {
    let stub = Stub::start(|asked| {
        let error = |kind: &str| json!({"error": {"type": kind, "message": "x"}});
        match asked.target.as_str() {
            "/v1/bare" => Said::page(502).header("stripe-should-retry", "false"),
            "/v1/busy" => Said::json(429, &error("invalid_request_error")).header("stripe-should-retry", "false"),
            "/v1/missing" => Said::json(404, &error("invalid_request_error")).header("stripe-should-retry", "false"),
            _ => Said::json(424, &error("api_error")),
        }
    });
    let stub = stub.await;
    let vendor = before(&stub).await;
    for (path, class, code) in [
        ("/v1/bare", ErrorClass::Invalid, "should_not_retry"),
        ("/v1/busy", ErrorClass::Invalid, "should_not_retry"),
        ("/v1/missing", ErrorClass::NotFound, "HTTP_404"),
        ("/v1/other", ErrorClass::Server, "external_dependency_failed"),
    ] {
        let error = vendor.call("call_api", json!({"method": "GET", "path": path})).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (class, code), "{path}");
    }
    vendor.sandbox.stop().await;
}
