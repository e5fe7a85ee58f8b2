//! The ways to sign in, and connections that cannot work.

use std::collections::HashMap;

use connector::{ErrorClass, Secret};
use sandbox::Sandbox;
use serde_json::{Value as Json, json};

use crate::{Instance, failed, said, start, vendor::Vendor};

async fn with(auth: &str, extra: Json, credentials: impl FnOnce(&Sandbox) -> Json) -> Vendor {
    Vendor::start("servicenow", |sandbox| {
        let mut config = json!({"base_url": sandbox.url("servicenow").as_str(), "auth": auth});
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        (config, credentials(sandbox))
    })
    .await
}

async fn works(vendor: &Vendor) {
    let told = vendor.call("who_am_i", json!({})).await.unwrap();
    assert_eq!((&told["user_name"], &told["warnings"]), (&json!("liaison.integration"), &json!([])));
}

#[tokio::test]
async fn every_way_to_sign_in_works() {
    works(&start().await).await;
    works(&with("api_key", json!({}), |sandbox| json!({"api_key": said(sandbox)["api_key"]})).await).await;
    let client =
        |sandbox: &Sandbox| json!({"client_id": said(sandbox)["client_id"], "client_secret": said(sandbox)["client_secret"]});
    works(&with("client_credentials", json!({}), client).await).await;
}

#[tokio::test]
async fn a_private_key_signs_in() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = key.serialize_pem();
    let extra = json!({"jwt_subject": "liaison.integration", "jwt_signature": "ES256", "jwt_key_id": "k1"});
    for known in [true, false] {
        let pem = pem.clone();
        let vendor = with("jwt", extra.clone(), |sandbox| {
            json!({"client_id": said(sandbox)["client_id"], "client_secret": said(sandbox)["client_secret"], "private_key": pem})
        })
        .await;
        if known {
            vendor.configure(json!({"jwt_public_keys": [key.public_key_pem()]}));
            works(&vendor).await;
        } else {
            failed(vendor.call("who_am_i", json!({})).await, ErrorClass::Auth, "SIGN_IN_FAILED");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_gives_tokens_until_it_is_taken_back() {
    let vendor = with("refresh_token", json!({}), |sandbox| {
        let said = said(sandbox);
        let form = format!(
            "grant_type=password&username={}&password={}&client_id={}&client_secret={}",
            said["user_name"].as_str().unwrap(),
            said["password"].as_str().unwrap(),
            said["client_id"].as_str().unwrap(),
            said["client_secret"].as_str().unwrap()
        );
        let url = sandbox.url("servicenow").join("/oauth_token.do").unwrap();
        let token = std::thread::spawn(move || ask(&url, &form)).join().unwrap();
        json!({"client_id": said["client_id"], "client_secret": said["client_secret"], "refresh_token": token["refresh_token"]})
    })
    .await;
    works(&vendor).await;
    vendor.happen("expire_tokens", json!({}));
    works(&vendor).await;
    assert_eq!(vendor.seen("POST", "/oauth_token.do"), 3, "one by the test, two by the connector");
    vendor.happen("revoke_tokens", json!({}));
    let error = failed(vendor.call("who_am_i", json!({})).await, ErrorClass::Auth, "SIGN_IN_FAILED");
    assert!(error.next.unwrap().contains("100 days"));
}

/// A form sent by hand: the test's own sign-in as a person would make it.
fn ask(url: &url::Url, form: &str) -> Json {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
    let head = format!(
        "POST /oauth_token.do HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn fifty_calls_with_an_ended_token_sign_in_once() {
    let vendor = with(
        "client_credentials",
        json!({}),
        |sandbox| json!({"client_id": said(sandbox)["client_id"], "client_secret": said(sandbox)["client_secret"]}),
    )
    .await;
    works(&vendor).await;
    vendor.happen("expire_tokens", json!({}));
    let before = vendor.seen("POST", "/oauth_token.do");
    let calls = (0..50)
        .map(|_| vendor.call("get_record", json!({"table": "incident", "filter": "number=INC0010001", "fields": ["number"]})));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(vendor.seen("POST", "/oauth_token.do"), before + 1);
}

#[tokio::test]
async fn a_wrong_password_is_asked_for_once_only() {
    let vendor = Vendor::start("servicenow", |sandbox| {
        (
            json!({"base_url": sandbox.url("servicenow").as_str()}),
            json!({"username": said(sandbox)["user_name"], "password": "wrong"}),
        )
    })
    .await;
    let error = failed(vendor.call("who_am_i", json!({})).await, ErrorClass::Auth, "NOT_AUTHENTICATED");
    assert!(error.next.unwrap().contains("lock"), "several wrong passwords lock the account");
    assert_eq!(vendor.seen("GET", "/api/"), 1);
}

#[tokio::test]
async fn a_time_zone_that_misleads_is_warned_of() {
    let vendor = start().await;
    let user = vendor.call("get_user", json!({"user": "liaison.integration"})).await.unwrap();
    vendor.happen(
        "change_record",
        json!({"table": "sys_user", "sys_id": user["sys_id"], "values": {"time_zone": "Europe/Berlin"}}),
    );
    let told = vendor.call("who_am_i", json!({})).await.unwrap();
    assert!(told["warnings"][0].as_str().unwrap().contains("Europe/Berlin"), "{told}");
}

#[test]
fn connections_that_cannot_work_are_refused() {
    let connector = connectors::all().into_iter().find(|connector| connector.id == "servicenow").unwrap();
    let base = "https://acme.service-now.com";
    let good = [("username", "u"), ("password", "p")];
    let check = |config: Json, credentials: &[(&str, &str)]| {
        let credentials: HashMap<String, Secret> =
            credentials.iter().map(|(name, text)| ((*name).to_owned(), Secret::new((*text).to_owned()))).collect();
        (connector.validate)(&config, &credentials)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|(field, _)| field)
            .collect::<Vec<_>>()
    };
    assert!(check(json!({"base_url": base}), &good).is_empty());
    assert_eq!(check(json!({}), &good), ["config.base_url"]);
    assert_eq!(check(json!({"base_url": "acme"}), &good), ["config.base_url"]);
    assert_eq!(check(json!({"base_url": "https://a.example/now"}), &good), ["config.base_url"]);
    assert_eq!(check(json!({"base_url": "https://u:p@a.example"}), &good), ["config.base_url"]);
    assert_eq!(check(json!({"base_url": base, "auth": "basci"}), &good), ["config.auth"]);
    assert_eq!(check(json!({"base_url": base, "urll": 1}), &good), ["config.urll"]);
    assert_eq!(check(json!({"base_url": base, "auth": "api_key"}), &[]), ["credentials.api_key"]);
    let key = [("client_id", "a"), ("client_secret", "b"), ("private_key", "c")];
    assert_eq!(check(json!({"base_url": base, "auth": "jwt"}), &key), ["config.jwt_subject"]);
    assert_eq!(
        check(json!({"base_url": base}), &[("username", "u"), ("password", "p"), ("webhook_key", "???")]),
        ["credentials.webhook_key"]
    );
}
