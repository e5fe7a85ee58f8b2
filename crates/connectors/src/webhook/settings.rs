//! Refuses settings of a webhook connection that cannot work, all of it at once.

use std::collections::HashMap;

use connector::Secret;
use serde_json::{Map, Value as Json};

use super::{
    TOLERANCE_S_MAX,
    layout::{self, Encoding},
    vendors,
};
use connector::strict::{self, Problems};

/// Every way to check, plain ones first.
pub(super) const KINDS: [&str; 11] =
    ["none", "basic", "bearer", "hmac", "github", "shopify", "slack", "standard_webhooks", "stripe", "svix", "twilio"];
const KEYS: [&str; 12] = [
    "verify",
    "header",
    "algorithm",
    "encoding",
    "prefix",
    "signed",
    "timestamp_header",
    "timestamp_prefix",
    "secret_encoding",
    "event_id_header",
    "url",
    "tolerance_s",
];

/// The settings and credentials one way to check uses.
struct Uses {
    keys: &'static [&'static str],
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

fn uses(kind: &str) -> Uses {
    let (keys, required, optional): (&[&str], &[&str], &[&str]) = match kind {
        "none" => (&["verify"], &[], &[]),
        "basic" => (&["verify", "event_id_header"], &["username", "password"], &["previous_password"]),
        "bearer" => (&["verify", "header", "event_id_header"], &["token"], &["previous_token"]),
        "hmac" => (&KEYS, &["secret"], &["previous_secret"]),
        "twilio" => (&["verify", "url"], &["secret"], &["previous_secret"]),
        "github" | "shopify" => (&["verify"], &["secret"], &["previous_secret"]),
        _ => (&["verify", "tolerance_s"], &["secret"], &["previous_secret"]),
    };
    Uses { keys, required, optional }
}

/// Everything that is wrong with settings whose credentials are not known yet.
pub(crate) fn check_declared(config: &Json) -> Result<(), Vec<(String, String)>> {
    let found = validate(config, &HashMap::new()).err().unwrap_or_default();
    let found: Vec<_> = found.into_iter().filter(|(field, _)| !field.starts_with("credentials.")).collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// The credentials a way to check needs, and those it also takes.
pub(crate) fn credentials_of(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    let uses = uses(kind);
    (uses.required, uses.optional)
}

pub(crate) fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> {
    let mut problems = Problems::default();
    let missing = || format!("verify is missing: one of {}", KINDS.join(", "));
    let Some(fields) = problems.record("config", config) else {
        problems.add("config.verify", missing());
        return problems.finish();
    };
    let kind = match fields.get("verify") {
        Some(Json::String(kind)) if KINDS.contains(&kind.as_str()) => kind.as_str(),
        Some(Json::String(kind)) => {
            problems.add("config.verify", strict::unknown(kind, &KINDS));
            problems.unknown_keys("config", fields, &KEYS);
            return problems.finish();
        }
        Some(other) if !other.is_null() => {
            problems.add("config.verify", format!("verify must be text, not {}", strict::kind(other)));
            return problems.finish();
        }
        _ => {
            problems.add("config.verify", missing());
            return problems.finish();
        }
    };
    let uses = uses(kind);
    for (key, value) in fields {
        let field = format!("config.{key}");
        if !KEYS.contains(&key.as_str()) {
            problems.add(field, strict::unknown(key, &KEYS));
        } else if !uses.keys.contains(&key.as_str()) {
            problems.add(field, format!("\"{key}\" is not used by verify {kind}"));
        } else if let Err(sentence) = check_setting(key, value) {
            problems.add(field, sentence);
        }
    }
    if kind == "hmac" {
        check_layout(fields, &mut problems);
    }
    problems.credentials(credentials, uses.required, uses.optional, &format!("verify {kind}"));
    check_keys(kind, fields, credentials, &mut problems);
    for name in uses.optional {
        if credentials.get(*name).is_some_and(|secret| secret.expose().trim().is_empty()) {
            problems.add(format!("credentials.{name}"), format!("the credential \"{name}\" is empty; leave it out"));
        }
    }
    problems.finish()
}

/// What is signed must fit the headers that are named.
fn check_layout(fields: &Map<String, Json>, problems: &mut Problems) {
    let has = |key: &str| fields.get(key).is_some_and(Json::is_string);
    let signed = fields.get("signed").and_then(Json::as_str).unwrap_or(layout::SIGNED_DEFAULT);
    if let Err(sentence) = layout::check_signed(signed, has("timestamp_header"), has("event_id_header")) {
        problems.add("config.signed", sentence);
    }
    for key in ["timestamp_prefix", "tolerance_s"] {
        if fields.contains_key(key) && !has("timestamp_header") {
            problems.add(format!("config.{key}"), format!("{key} needs timestamp_header"));
        }
    }
}

/// Secrets that hold a key in another writing.
fn check_keys(kind: &str, fields: &Map<String, Json>, credentials: &HashMap<String, Secret>, problems: &mut Problems) {
    let encoding = fields.get("secret_encoding").and_then(Json::as_str).and_then(Encoding::parse);
    for name in ["secret", "previous_secret"] {
        let Some(secret) = credentials.get(name).filter(|secret| !secret.expose().trim().is_empty()) else { continue };
        match (kind, encoding) {
            ("standard_webhooks" | "svix", _) => {
                if let Err(sentence) = vendors::standard_key(secret) {
                    problems.add(format!("credentials.{name}"), sentence);
                }
            }
            ("hmac", Some(encoding)) if encoding.decode(secret.expose().trim()).is_none() => {
                problems.add(format!("credentials.{name}"), "the secret is not written in its secret_encoding; copy it whole");
            }
            _ => {}
        }
    }
}

fn check_setting(key: &str, value: &Json) -> Result<(), String> {
    let text = || value.as_str().ok_or_else(|| format!("{key} must be text, not {}", strict::kind(value)));
    let one_of =
        |known: &[&str]| text().and_then(|word| if known.contains(&word) { Ok(()) } else { Err(strict::unknown(word, known)) });
    match key {
        "header" | "event_id_header" | "timestamp_header" => {
            let name = text()?;
            ::http::HeaderName::from_bytes(name.as_bytes())
                .map(drop)
                .map_err(|_| format!("\"{}\" cannot be the name of a header", name.escape_debug()))
        }
        "algorithm" => one_of(&["sha256", "sha1", "sha512"]),
        "encoding" => one_of(&["hex", "base64"]),
        "secret_encoding" => one_of(&["text", "hex", "base64"]),
        "prefix" | "timestamp_prefix" | "signed" => text().map(drop),
        "url" => match url::Url::parse(text()?) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() => Ok(()),
            _ => Err("url must be the beginning of an address, like https://hooks.example.com".to_owned()),
        },
        "tolerance_s" => match value.as_i64() {
            Some(1..=TOLERANCE_S_MAX) => Ok(()),
            _ => Err(format!("tolerance_s must be a whole number of seconds from 1 to {TOLERANCE_S_MAX}")),
        },
        _ => Ok(()),
    }
}
