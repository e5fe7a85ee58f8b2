//! Sign-ins and what becomes of a session.

use std::{collections::HashMap, sync::Arc};

use connector::{Connection, Doubt, ErrorClass, Secret};
use serde_json::{Value as Json, json};

use crate::{connection, salesforce, vendor::Vendor};

impl Vendor {
    fn with(&mut self, change: impl FnOnce(&mut Json, &mut HashMap<String, Secret>)) {
        let mut changed = Connection::clone(&self.connection);
        change(&mut changed.config, &mut changed.credentials);
        (self.connector.validate)(&changed.config, &changed.credentials).unwrap();
        self.connection = Arc::new(changed);
    }
}

#[tokio::test]
async fn a_session_that_ended_is_renewed_once_for_many_steps() {
    let sf = salesforce().await;
    sf.call("limits", json!({})).await.unwrap();
    sf.happen("expire_sessions", json!({}));
    let before = sf.seen("/services/oauth2/token");
    let calls = (0..20).map(|_| sf.call("limits", json!({})));
    let done = futures_util::future::join_all(calls).await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!(sf.seen("/services/oauth2/token") - before, 1);
}

#[tokio::test]
async fn a_create_refused_for_its_session_is_made_once() {
    let sf = salesforce().await;
    sf.call("limits", json!({})).await.unwrap();
    sf.happen("expire_sessions", json!({}));
    sf.create("Lead", json!({"LastName": "Once", "Company": "B"})).await;
    assert_eq!(sf.count("SELECT Id FROM Lead WHERE LastName = 'Once'").await, 1);
}

#[tokio::test]
async fn a_person_and_a_certificate_sign_in_too() {
    let mut sf = salesforce().await;
    let told = sf.sandbox.vendor("salesforce").unwrap().credentials();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    sf.configure(json!({"jwt_certificate": key.public_key_pem()}));
    sf.with(|config, credentials| {
        config["sign_in"] = json!("jwt_bearer");
        config["username"] = told["username"].clone();
        credentials.insert("private_key".to_owned(), Secret::new(key.serialize_pem()));
    });
    sf.call("limits", json!({})).await.unwrap();
    sf.configure(json!({"jwt_needs_approval": true}));
    sf.happen("revoke_access", json!({}));
    let error = sf.call("limits", json!({})).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Auth, Doubt::Settled));
    assert!(error.message.contains("user hasn't approved this consumer"), "{}", error.message);
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_shown() {
    let mut sf = salesforce().await;
    sf.with(|_, credentials| {
        credentials.insert("client_secret".to_owned(), Secret::new("wrong-secret".to_owned()));
    });
    let error = sf.call("create", json!({"object": "Account", "fields": {"Name": "A"}})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str(), error.doubt), (ErrorClass::Auth, "SIGN_IN_FAILED", Doubt::Settled));
    assert!(error.message.contains("invalid client credentials") && !format!("{error:?}").contains("wrong-secret"), "{error:?}");
}

#[test]
fn a_connection_that_cannot_work_is_refused_field_by_field() {
    let connector = connectors::all().into_iter().find(|connector| connector.id == "salesforce").unwrap();
    let (config, _) = connection(&json!({"login_url": "https://acme.my.salesforce.com", "client_id": "x"}));
    let refused = |change: &dyn Fn(&mut Json), secrets: &[&str]| -> Vec<String> {
        let mut config = config.clone();
        change(&mut config);
        let credentials = secrets.iter().map(|name| ((*name).to_owned(), Secret::new("x".to_owned()))).collect();
        (connector.validate)(&config, &credentials).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    };
    assert!(refused(&|_| {}, &["client_secret"]).is_empty());
    assert_eq!(refused(&|_| {}, &[]), ["credentials.client_secret"]);
    assert_eq!(
        refused(&|config| config["login_url"] = json!("https://login.salesforce.com"), &["client_secret"]),
        ["config.login_url"]
    );
    for url in [
        "acme",
        "ftp://acme",
        "https://acme.lightning.force.com",
        "https://acme.my.salesforce.com/x",
        "https://u:p@acme.my.salesforce.com",
    ] {
        assert_eq!(refused(&|config| config["login_url"] = json!(url), &["client_secret"]), ["config.login_url"], "{url}");
    }
    assert_eq!(refused(&|config| config["api_version"] = json!("45.0"), &["client_secret"]), ["config.api_version"]);
    assert!(refused(&|config| config["sign_in"] = json!("refresh_token"), &[]).is_empty(), "a person signs in with a browser");
    assert_eq!(refused(&|config| config["sign_in"] = json!("jwt_bearer"), &[]), ["credentials.private_key", "config.username"]);
}
