//! Events of the five systems that somebody forged or sent again, at the doors of the real binary.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::Process;

const STRIPE_SECRET: &str = "whsec_one_1234567890";
const SERVICENOW_KEY: &str = "a key of the instance, 32 bytes.";
const NETSUITE_SECRET: &str = "a secret of the account's script";
const WORKDAY_SECRET: &str = "a secret of the tenant's integration";
const ORG: &str = "00Dxx0000001gPLEAY";

/// Headers and a body at one door.
type Message = (Vec<(&'static str, String)>, String);

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[expect(clippy::disallowed_methods, reason = "signed times are compared with the machine's clock")]
fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn stripe(secret: &str, at: u64, event: &str) -> Message {
    let object = json!({ "id": "in_1", "object": "invoice" });
    let body =
        json!({ "id": event, "object": "event", "type": "invoice.paid", "created": 1_795_000_000, "data": { "object": object } });
    let signature = hex::encode(mac(secret.as_bytes(), format!("{at}.{body}").as_bytes()));
    (
        vec![("content-type", "application/json".to_owned()), ("stripe-signature", format!("t={at},v1={signature}"))],
        body.to_string(),
    )
}

fn salesforce(org: &str, notification: &str) -> Message {
    let body = format!(
        "<soapenv:Envelope xmlns:soapenv=\"s\" xmlns:xsi=\"i\"><soapenv:Body><notifications xmlns=\"o\"><OrganizationId>{org}</OrganizationId>\
         <ActionId>04k</ActionId><Notification><Id>{notification}</Id><sObject xsi:type=\"sf:Account\" xmlns:sf=\"urn:x\"><sf:Id>001</sf:Id>\
         </sObject></Notification></notifications></soapenv:Body></soapenv:Envelope>"
    );
    (vec![("content-type", "text/xml".to_owned())], body)
}

fn servicenow(key: &str, updates: u32) -> Message {
    let body = json!({ "table": "incident", "sys_id": "46e18c0fa9fe19810066a0083f76bd56", "op": "update",
        "mod_count": updates.to_string(), "at": "2026-11-22 08:00:00" })
    .to_string();
    let signature = STANDARD.encode(mac(key.as_bytes(), body.as_bytes()));
    (vec![("content-type", "application/json".to_owned()), ("x-liaison-signature", signature)], body)
}

/// What the account's script tells of a saved record.
fn netsuite(secret: &str, at_s: u64, id: &str) -> Message {
    let body = json!({ "type": "customer", "id": id, "event": "edit", "at": at_s * 1_000 }).to_string();
    let signature = hex::encode(mac(secret.as_bytes(), body.as_bytes()));
    (vec![("content-type", "application/json".to_owned()), ("x-signature", signature)], body)
}

/// What an integration of the tenant sends, with an id of the message or without.
fn workday(secret: &str, message: Option<&str>, worker: &str) -> Message {
    let mut headers = vec![("content-type", "application/json".to_owned()), ("x-workday-secret", secret.to_owned())];
    headers.extend(message.map(|id| ("x-workday-message-id", id.to_owned())));
    (headers, json!({ "worker": worker }).to_string())
}

async fn send(server: &Process, door: &str, (headers, body): &Message) -> (u16, String) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let mut request = client.post(format!("http://{}/hooks/{door}", server.address));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.body(body.clone()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn netsuite_connection() -> Value {
    let tokens = ["consumer_key", "consumer_secret", "token", "token_secret"];
    let mut credentials: serde_json::Map<_, _> = tokens.iter().map(|name| ((*name).to_owned(), json!("of a test"))).collect();
    credentials.insert("webhook_secret".to_owned(), json!(NETSUITE_SECRET));
    let config = json!({ "account": "1234567_SB1", "base_url": "http://127.0.0.1:1", "auth": "tba" });
    json!({ "name": "erp", "connector": "netsuite", "config": config, "credentials": credentials })
}

fn workday_connection() -> Value {
    json!({ "name": "hr", "connector": "workday", "config": { "rest_endpoint": "http://127.0.0.1:1/ccx/api/v1/acme" },
        "credentials": { "username": "isu@acme", "password": "p", "webhook_secret": WORKDAY_SECRET } })
}

async fn set_up(server: &Process) {
    let connections = [
        json!({ "name": "billing", "connector": "stripe", "config": { "api_url": "http://127.0.0.1:1" },
            "credentials": { "api_key": "rk_test_1", "webhook_secret": STRIPE_SECRET } }),
        json!({ "name": "crm", "connector": "salesforce", "credentials": { "client_secret": "s" },
            "config": { "login_url": "http://127.0.0.1:1", "sign_in": "client_credentials", "client_id": "app", "organization_id": ORG } }),
        json!({ "name": "itsm", "connector": "servicenow", "config": { "base_url": "http://127.0.0.1:1" },
            "credentials": { "username": "u", "password": "p", "webhook_key": STANDARD.encode(SERVICENOW_KEY) } }),
        netsuite_connection(),
        workday_connection(),
    ];
    for connection in connections {
        let (status, body) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
        assert_eq!(status, 201, "{body}");
    }
    for (slug, connector, trigger) in [
        ("paid", "billing: stripe", "{ from: billing.event, with: { types: [invoice.paid] } }"),
        ("told", "crm: salesforce", "{ from: crm.outbound_message }"),
        ("ticket", "itsm: servicenow", "{ from: itsm.record_event, with: { table: incident } }"),
        ("saved", "erp: netsuite", "{ from: erp.record_script, with: { types: [customer] } }"),
        ("hired", "hr: workday", "{ from: hr.message_received }"),
    ] {
        let recipe = format!(
            "liaison: 1\nrecipe: {slug}\nconnections: {{ {connector} }}\ntrigger: {trigger}\nsteps:\n  - id: seen\n    set: {{ a: 1 }}\n"
        );
        let (status, body) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(&recipe)).await;
        assert_eq!(status, 201, "{body}");
        assert_eq!(server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_starts_nothing_and_what_is_sent_again_starts_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    set_up(&server).await;
    let now = now_s();
    let tampered = |(headers, body): Message, from: &str, to: &str| (headers, body.replace(from, to));
    let without = |(headers, body): Message| (headers.into_iter().take(1).collect::<Vec<_>>(), body);
    let forged: [(&str, &str, Message); 18] = [
        ("paid", "signed an hour ago", stripe(STRIPE_SECRET, now - 3_600, "evt_forged")),
        ("paid", "signed in an hour", stripe(STRIPE_SECRET, now + 3_600, "evt_forged")),
        ("paid", "another endpoint's secret", stripe("whsec_another", now, "evt_forged")),
        ("paid", "another body", tampered(stripe(STRIPE_SECRET, now, "evt_1"), "evt_1", "evt_forged")),
        ("paid", "no signature", without(stripe(STRIPE_SECRET, now, "evt_forged"))),
        ("told", "another org", salesforce("00Dxx0000009999EAY", "04l_forged")),
        ("told", "no org", salesforce("", "04l_forged")),
        ("told", "entities", ((vec![]), "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>".to_owned())),
        ("ticket", "another key", servicenow("a key of another instance, also..", 7)),
        ("ticket", "another body", tampered(servicenow(SERVICENOW_KEY, 7), "\"7\"", "\"8\"")),
        ("ticket", "no signature", without(servicenow(SERVICENOW_KEY, 7))),
        ("saved", "told an hour ago", netsuite(NETSUITE_SECRET, now - 3_600, "forged")),
        ("saved", "told in an hour", netsuite(NETSUITE_SECRET, now + 3_600, "forged")),
        ("saved", "another secret", netsuite("another", now, "forged")),
        ("saved", "another body", tampered(netsuite(NETSUITE_SECRET, now, "107"), "107", "108")),
        ("saved", "no signature", without(netsuite(NETSUITE_SECRET, now, "forged"))),
        ("hired", "another secret", workday("another", Some("m-forged"), "forged")),
        ("hired", "no secret", without(workday(WORKDAY_SECRET, Some("m-forged"), "forged"))),
    ];
    for (door, why, message) in &forged {
        let (status, answer) = send(&server, door, message).await;
        assert_eq!(status, 401, "{door}, {why}: {answer}");
        let told: Value = serde_json::from_str(&answer).unwrap();
        assert!(told["error"]["code"].as_str().is_some_and(|code| !code.is_empty()), "{door}, {why}: {answer}");
        for secret in [STRIPE_SECRET, SERVICENOW_KEY, NETSUITE_SECRET, WORKDAY_SECRET, "root:"] {
            assert!(!answer.contains(secret), "{door}, {why}: {answer}");
        }
    }
    // The same event under a new signature is still the same event.
    let good = [
        (
            "paid",
            [stripe(STRIPE_SECRET, now, "evt_1"), stripe(STRIPE_SECRET, now, "evt_1"), stripe(STRIPE_SECRET, now - 1, "evt_1")],
        ),
        ("told", [salesforce(ORG, "04l1"), salesforce(ORG, "04l1"), salesforce(&ORG[..15], "04l1")]),
        ("ticket", [servicenow(SERVICENOW_KEY, 7), servicenow(SERVICENOW_KEY, 7), servicenow(SERVICENOW_KEY, 7)]),
        ("saved", [(); 3].map(|()| netsuite(NETSUITE_SECRET, now, "107"))),
        // The message's own id tells, whatever else of it was written anew.
        ("hired", ["21001", "21001", "021001"].map(|worker| workday(WORKDAY_SECRET, Some("m-1"), worker))),
    ];
    for (door, messages) in &good {
        for message in messages {
            let (status, answer) = send(&server, door, message).await;
            assert!(matches!(status, 200 | 202), "{door}: {status} {answer}");
        }
        let (_, list) = server.api("GET", &format!("/api/v1/runs?recipe={door}"), None).await;
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{door}: {list}");
    }
}
