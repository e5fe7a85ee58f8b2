//! What a connection to an org holds.

use std::collections::HashMap;

use connector::Secret;
use serde_json::{Value as Json, json};
use url::Url;

/// The version calls are made in when the connection says none.
pub(super) const VERSION: &str = "62.0";
/// Where events are told, for every org.
const PUBSUB_URL: &str = "https://api.pubsub.salesforce.com:7443";
/// Upserts answer with their result from this version on.
const OLDEST: u32 = 46;

pub(super) fn config_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "login_url": {"type": "string", "title": "Login address", "default": "https://login.salesforce.com",
                "description": "https://login.salesforce.com, https://test.salesforce.com for a sandbox, or better the My Domain of your org: https://acme.my.salesforce.com. Client credentials need the My Domain."},
            "sign_in": {"type": "string", "enum": ["client_credentials", "refresh_token", "jwt_bearer"], "title": "Sign-in",
                "description": "client_credentials: as the integration user of an External Client App (for servers). refresh_token: as the person who agreed. jwt_bearer: with a certificate, for a user that an admin approved."},
            "client_id": {"type": "string", "title": "Consumer key", "minLength": 1, "description": "Of the External Client App or Connected App."},
            "username": {"type": "string", "title": "User name", "description": "For jwt_bearer: who it acts as."},
            "audience": {"type": "string", "title": "Audience", "description": "For jwt_bearer: https://login.salesforce.com, or https://test.salesforce.com for a sandbox; decided by the login address when left out."},
            "api_version": {"type": "string", "pattern": "^[0-9]{2,3}\\.0$", "default": VERSION, "title": "API version", "description": "From 46.0 on."},
            "pubsub_url": {"type": "string", "title": "Pub/Sub address", "default": PUBSUB_URL,
                "description": "For platform events and change events. Only another region or a test server needs a different one."},
            "organization_id": {"type": "string", "pattern": "^00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?$", "title": "Organization id", "description": "For outbound messages: only those of this org are taken. Setup shows it under Company Information."}
        },
        "required": ["sign_in", "client_id"],
        "additionalProperties": false
    })
}

pub(super) fn credentials_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "client_secret": {"type": "string", "title": "Consumer secret", "description": "For client_credentials, and for refresh_token where the app asks for one."},
            "refresh_token": {"type": "string", "title": "Refresh token", "description": "For refresh_token, where nobody signs in with a browser. When the app rotates refresh tokens the new ones are kept here."},
            "private_key": {"type": "string", "title": "Private key", "description": "For jwt_bearer: RSA in PEM, unencrypted; the app holds its certificate."}
        },
        "additionalProperties": false
    })
}

type Problems = Vec<(String, String)>;

pub(super) fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Problems> {
    let mut problems = Problems::new();
    let mut wrong = |field: &str, words: &str| problems.push((field.to_owned(), words.to_owned()));
    let text = |name: &str| config.get(name).and_then(Json::as_str).filter(|text| !text.trim().is_empty());
    match login_url(config) {
        Ok(url) => {
            let shared = matches!(url.host_str(), Some("login.salesforce.com" | "test.salesforce.com"));
            if shared && text("sign_in") == Some("client_credentials") {
                wrong(
                    "config.login_url",
                    "Client credentials need the My Domain of your org, such as https://acme.my.salesforce.com: Salesforce refuses them at login.salesforce.com and test.salesforce.com.",
                );
            }
        }
        Err(words) => wrong("config.login_url", words),
    }
    if let Err(words) = pubsub_url(config) {
        wrong("config.pubsub_url", words);
    }
    if version(config).split('.').next().and_then(|number| number.parse::<u32>().ok()).is_none_or(|number| number < OLDEST) {
        wrong("config.api_version", "Choose a version from 46.0 on, such as 62.0.");
    }
    let held = |name: &str| credentials.get(name).is_some_and(|secret| !secret.expose().trim().is_empty());
    match text("sign_in") {
        Some("client_credentials") if !held("client_secret") => {
            wrong("credentials.client_secret", "Client credentials need the consumer secret of the app.")
        }
        Some("jwt_bearer") => {
            if !held("private_key") {
                wrong(
                    "credentials.private_key",
                    "The JWT bearer sign-in needs the RSA private key that belongs to the app's certificate.",
                );
            }
            if text("username").is_none() {
                wrong("config.username", "The JWT bearer sign-in needs the user name it acts as.");
            }
        }
        _ => {}
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Where tokens are given out, without a path.
pub(super) fn login_url(config: &Json) -> Result<Url, &'static str> {
    let text = config.get("login_url").and_then(Json::as_str).unwrap_or("https://login.salesforce.com");
    let url: Url = text.trim().parse().map_err(|_| "Write the whole address, beginning with https://.")?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err("Write the whole address, beginning with https://.");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty() {
        return Err("Write only the beginning of the address, such as https://acme.my.salesforce.com.");
    }
    if url.host_str().is_some_and(|host| host.ends_with(".lightning.force.com")) {
        return Err(
            "This is the address people see in the browser; write the My Domain instead, which ends with .my.salesforce.com.",
        );
    }
    Ok(url)
}

/// Where events are told.
pub(super) fn pubsub_url(config: &Json) -> Result<Url, &'static str> {
    let text = config.get("pubsub_url").and_then(Json::as_str).unwrap_or(PUBSUB_URL);
    let url: Url = text.trim().parse().map_err(|_| "Write the whole address, beginning with https://.")?;
    let plain = url.scheme() == "http" && login_url(config).is_ok_and(|login| login.scheme() == "http");
    if !(url.scheme() == "https" || plain) || url.host_str().is_none() {
        return Err("Write the whole address, beginning with https://; http:// only beside a login address of the same kind.");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("Write only the beginning of the address, such as https://api.pubsub.salesforce.com:7443.");
    }
    Ok(url)
}

pub(super) fn version(config: &Json) -> &str {
    config.get("api_version").and_then(Json::as_str).unwrap_or(VERSION)
}
