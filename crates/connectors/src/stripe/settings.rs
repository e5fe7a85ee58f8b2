//! What a connection to Stripe holds.

use std::collections::HashMap;

use connector::{Secret, strict::Problems};
use serde_json::{Value as Json, json};

/// The version every call names; the shapes of this connector are its.
pub(super) const API_VERSION: &str = "2026-10-28.endive";
/// Where the API is.
pub(super) const API_URL: &str = "https://api.stripe.com";
/// The credentials that hold signing secrets of webhook endpoints.
const WEBHOOK_SECRETS: [&str; 2] = ["webhook_secret", "previous_webhook_secret"];
/// Signing secrets in one of them; an account has at most 16 endpoints.
const SECRETS_MAX: usize = 16;
/// Where files go.
pub(super) const FILES_URL: &str = "https://files.stripe.com";

pub(super) fn config() -> Json {
    json!({
        "type": "object",
        "properties": {
            "connected_account": {"type": "string", "title": "Connected account", "pattern": "^acct_[A-Za-z0-9]+$", "description": "For platforms: acts on this account (acct_…) instead of your own. A step can name another."},
            "api_version": {"type": "string", "title": "API version", "default": API_VERSION, "description": "The version every call is pinned to. Change it only for a version whose shapes your recipes were tested with."},
            "api_url": {"type": "string", "format": "uri", "title": "Address of the API", "default": API_URL, "description": "Only for tests against a simulated Stripe."},
            "files_url": {"type": "string", "format": "uri", "title": "Address for files", "default": FILES_URL, "description": "Only for tests against a simulated Stripe."},
            "tolerance_s": {"type": "integer", "minimum": 1, "maximum": 86_400, "default": 300, "title": "Age of webhooks", "description": "Seconds a signed event may be old, or ahead of our clock."}
        },
        "additionalProperties": false
    })
}

pub(super) fn credentials() -> Json {
    json!({
        "type": "object",
        "properties": {
            "api_key": {"type": "string", "title": "API key", "description": "A restricted key (rk_…) with the permissions your recipes need, or a secret key (sk_…). Keys with _test_ see test data only, keys with _live_ real money only."},
            "webhook_secret": {"type": "string", "title": "Signing secrets of the webhook endpoints", "description": "Each begins with whsec_; Stripe shows it when the endpoint is made. Every recipe has an address of its own, and so an endpoint and a secret: write them one after the other, with spaces between. Needed for events that Stripe sends. Make the endpoints with the API version of this connection."},
            "previous_webhook_secret": {"type": "string", "title": "Previous signing secrets", "description": "Still accepted while secrets are rolled."}
        },
        "required": ["api_key"],
        "additionalProperties": false
    })
}

pub(super) fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> {
    let mut problems = Problems::default();
    if let Some(record) = problems.record("config", config) {
        problems.unknown_keys(
            "config",
            record,
            &["connected_account", "api_version", "api_url", "files_url", "tolerance_s", "budget"],
        );
        for name in ["api_url", "files_url"] {
            let address = record.get(name).and_then(Json::as_str);
            let fine = |text: &str| {
                url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host().is_some())
            };
            if address.is_some_and(|text| !fine(text)) {
                problems.add(format!("config.{name}"), "this is no address; it begins with https://".to_owned());
            }
        }
        let account = record.get("connected_account").and_then(Json::as_str);
        if account.is_some_and(|account| !is_account(account)) {
            problems.add("config.connected_account", "a connected account's id begins with acct_");
        }
        let version = record.get("api_version").and_then(Json::as_str);
        if version.is_some_and(|version| !is_version(version)) {
            problems.add("config.api_version", format!("a version is a date and, since 2024, a name: {API_VERSION}"));
        }
    }
    problems.credentials(credentials, &["api_key"], &WEBHOOK_SECRETS, "Stripe");
    if let Some(key) = credentials.get("api_key").map(|key| key.expose().trim()).filter(|key| !key.is_empty()) {
        let sentence = if key.starts_with("pk_") {
            Some("this is a publishable key, which servers cannot use; enter a secret (sk_…) or a restricted key (rk_…)")
        } else if !(key.starts_with("sk_") || key.starts_with("rk_")) {
            Some("a key of Stripe begins with sk_ or rk_")
        } else {
            None
        };
        if let Some(sentence) = sentence {
            problems.add("credentials.api_key", sentence);
        }
    }
    for name in WEBHOOK_SECRETS {
        let Some(text) = credentials.get(name).map(Secret::expose) else { continue };
        let secrets = text.split_whitespace();
        if secrets.clone().next().is_none() || secrets.clone().any(|secret| !secret.starts_with("whsec_")) {
            problems.add(format!("credentials.{name}"), "a signing secret of Stripe begins with whsec_");
        } else if secrets.count() > SECRETS_MAX {
            problems.add(format!("credentials.{name}"), format!("at most {SECRETS_MAX} signing secrets can be in force"));
        }
    }
    problems.finish()
}

/// The signing secrets in force, and those before.
pub(super) fn webhook_secrets(credentials: &HashMap<String, Secret>) -> impl Iterator<Item = Secret> {
    let all = WEBHOOK_SECRETS.into_iter().filter_map(|name| credentials.get(name));
    all.flat_map(|secrets| secrets.expose().split_whitespace().map(|secret| Secret::new(secret.to_owned())))
}

/// A setting of the step, or else of the connection; null stands for left out.
pub(super) fn named<'a>(given: &'a Json, config: &'a Json, name: &str) -> Option<&'a str> {
    given.get(name).and_then(Json::as_str).or_else(|| config.get(name).and_then(Json::as_str))
}

/// True for the id of an account.
pub(super) fn is_account(text: &str) -> bool {
    text.strip_prefix("acct_").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// True for a path of accounts; nothing else may come into a header.
pub(super) fn is_context(text: &str) -> bool {
    let fine = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.len() <= 255 && text.split('/').all(fine)
}

/// True for a version, a date with or without a name; nothing else may come into a header.
pub(super) fn is_version(text: &str) -> bool {
    text.len() >= 10
        && text.len() <= 40
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use connector::Secret;
    use serde_json::json;

    use super::validate;

    fn problems(config: &serde_json::Value, key: &str) -> Vec<String> {
        let credentials = HashMap::from([("api_key".to_owned(), Secret::new(key.to_owned()))]);
        validate(config, &credentials).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn keys_and_settings_that_cannot_work_are_refused() {
        assert!(problems(&json!({"connected_account": "acct_1"}), "rk_test_1").is_empty());
        assert_eq!(problems(&json!({}), "pk_test_1"), ["credentials.api_key"]);
        assert_eq!(problems(&json!({}), "hello"), ["credentials.api_key"]);
        assert_eq!(problems(&json!({"api_url": "nowhere", "versoin": 1}), "sk_test_1"), ["config.versoin", "config.api_url"]);
        assert_eq!(
            problems(&json!({"connected_account": "cus_1", "api_version": "new"}), "sk_test_1"),
            ["config.connected_account", "config.api_version"]
        );
    }
}
