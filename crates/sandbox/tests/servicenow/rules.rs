//! Business rules: what they stop, and what they call.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use tokio::sync::mpsc;

use crate::{Instance, failure};

type Seen = mpsc::UnboundedReceiver<(HeaderMap, Bytes)>;

/// A receiver of webhooks: its address and what came.
async fn receiver() -> (String, Seen) {
    let (send, seen) = mpsc::unbounded_channel();
    let take = |State(send): State<Arc<mpsc::UnboundedSender<(HeaderMap, Bytes)>>>, headers: HeaderMap, body: Bytes| async move {
        send.send((headers, body)).unwrap();
    };
    let router = Router::new().route("/hook", post(take)).with_state(Arc::new(send));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
    (url, seen)
}

async fn next(seen: &mut Seen) -> (HeaderMap, Json, Bytes) {
    let (headers, body) = tokio::time::timeout(Duration::from_secs(20), seen.recv()).await.unwrap().unwrap();
    (headers, serde_json::from_slice(&body).unwrap(), body)
}

#[tokio::test]
async fn a_rule_calls_another_system_and_signs_what_it_says() {
    let instance = Instance::start().await;
    let (url, mut seen) = receiver().await;
    instance.happen("install_webhook", json!({"table": "incident", "url": url, "operations": ["insert", "delete"]}));
    let record = instance.create("incident", json!({"short_description": "Hook me"})).await;
    let (headers, event, body) = next(&mut seen).await;
    assert_eq!(
        (&event["table"], &event["op"], &event["sys_id"], &event["mod_count"]),
        (&json!("incident"), &json!("insert"), &record["sys_id"], &json!("0"))
    );
    let key = STANDARD.decode(instance.credentials()["webhook_key"].as_str().unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(&body);
    mac.verify_slice(&STANDARD.decode(headers["x-liaison-signature"].as_bytes()).unwrap()).unwrap();
    let path = format!("/api/now/table/incident/{}", record["sys_id"].as_str().unwrap());
    instance.call(Method::PATCH, &path, Some(json!({"urgency": "1"}))).await;
    instance.call(Method::DELETE, &path, None).await;
    assert_eq!(next(&mut seen).await.1["op"], "delete", "updates were not asked for");
}

#[tokio::test]
async fn a_rule_stops_a_change_and_is_named() {
    let instance = Instance::admin().await;
    let rule = json!({
        "name": "Check dates", "collection": "problem", "active": true, "when": "before", "order": 100, "action_insert": true, "action_update": true,
        "abort_action": true, "message": "not today", "filter_condition": "short_descriptionLIKEEICAR^ORdescriptionLIKEEICAR^EQ",
    });
    let rule = instance.create("sys_script", rule).await["sys_id"].as_str().unwrap().to_owned();
    let words = format!("Operation against file 'problem' was aborted by Business Rule 'Check dates^{rule}'. Error: not today");
    let stopped = instance.call(Method::POST, "/api/now/table/problem", Some(json!({"short_description": "x EICAR"}))).await;
    assert_eq!(stopped, (403, failure(&words, None)));
    instance.create("problem", json!({"short_description": "fine"})).await;
}

#[tokio::test]
async fn roles_and_policies_stop_changes_too() {
    let instance = Instance::start().await;
    let acl = |what: &str| failure("Operation Failed", Some(&format!("ACL Exception {what} Failed due to security constraints")));
    assert_eq!(
        instance.call(Method::POST, "/api/now/table/sys_properties", Some(json!({"name": "x"}))).await,
        (403, acl("Insert"))
    );
    let group = instance.column("sys_choice", "name=incident^element=state", "sys_id").await.remove(0);
    assert_eq!(
        instance.call(Method::PATCH, &format!("/api/now/table/sys_choice/{group}"), Some(json!({"label": "x"}))).await,
        (403, acl("Update"))
    );
    assert_eq!(instance.call(Method::DELETE, &format!("/api/now/table/sys_choice/{group}"), None).await, (403, acl("Delete")));
    let incident = instance.column("incident", "state=1", "sys_id").await.remove(0);
    let path = format!("/api/now/table/incident/{incident}");
    let (status, refused) = instance.call(Method::PATCH, &path, Some(json!({"state": "6"}))).await;
    assert!(status == 403 && refused["error"]["detail"].as_str().unwrap().starts_with("Data Policy Exception"), "{refused}");
    let resolved = json!({"state": "6", "close_code": "Solution provided", "close_notes": "Done"});
    let (_, done) = instance.call(Method::PATCH, &path, Some(resolved)).await;
    assert!(!done["result"]["resolved_at"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn happenings_leave_their_traces() {
    let instance = Instance::start().await;
    let dispute = instance.happen("dispute_opens", json!({"invoice": "INV-1001", "text": "We paid"}));
    let number = dispute["number"].as_str().unwrap().to_owned();
    assert_eq!(instance.column("incident", &format!("number={number}"), "u_invoice.u_status").await, ["disputed"]);
    instance.happen("customer_reports", json!({"customer": "C-0001", "text": "Broken"}));
    assert_eq!(instance.column("incident", "short_description=Broken", "company.u_external_id").await, ["C-0001"]);
    instance.happen("late_record", json!({"table": "incident", "seconds": 600, "values": {"short_description": "Late"}}));
    assert!(
        instance.column("incident", "short_description=Late^sys_updated_onRELATIVEGT@minute@ago@5", "number").await.is_empty()
    );
    let vendor = instance.sandbox.vendor("servicenow").unwrap();
    assert!(vendor.happen("melt", &json!({})).is_err() && vendor.happen("invoice_paid", &json!({"invoice": "INV-1"})).is_err());
    assert!(vendor.happen("create_record", &json!({"by": "nobody"})).is_err());
    assert!(vendor.configure(&json!({"made_up": 1})).is_err());
    for (name, _, example) in vendor.happenings() {
        let _ = vendor.happen(name, &example);
    }
}
