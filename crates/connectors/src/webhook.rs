//! Webhook: requests that somebody sends to our address, checked before anybody acts on them.
//!
//! Signatures are checked on the exact bytes received, in constant time, before the body is read as
//! anything.

mod verify;

use std::collections::HashMap;

use connector::{Connector, Secret, Trigger, TriggerKind};
use serde_json::{Value as Json, json};

use crate::strict::{self, Problems};
use verify::{Algorithm, Encoding};

const KINDS: [&str; 4] = ["none", "hmac", "stripe", "standard_webhooks"];
const KEYS: [&str; 7] = ["verify", "header", "algorithm", "encoding", "prefix", "event_id_header", "tolerance_s"];
const HMAC_KEYS: [&str; 6] = ["verify", "header", "algorithm", "encoding", "prefix", "event_id_header"];
const TIMED_KEYS: [&str; 2] = ["verify", "tolerance_s"];
/// How old or how far ahead a signed request may be, unless the settings say otherwise. Stripe's and
/// Standard Webhooks' own default.
const TOLERANCE_S: i64 = 300;
/// A day: beyond it a tolerance no longer keeps a recorded request from being sent again.
const TOLERANCE_S_MAX: i64 = 24 * 3600;

pub(crate) fn connector() -> Connector {
    Connector {
        id: "webhook",
        title: "Webhook",
        summary: "Starts a recipe when somebody sends a request to its address, and checks who sent it.",
        builtin: false,
        config: config_schema(),
        credentials: json!({
            "type": "object",
            "properties": {
                "secret": {"type": "string", "title": "Signing secret", "description": "What the sender signs with."},
                "previous_secret": {"type": "string", "title": "Previous signing secret", "description": "Still accepted while the sender changes its secret."}
            },
            "additionalProperties": false
        }),
        validate,
        test: None,
        actions: Vec::new(),
        triggers: vec![Trigger {
            id: "request",
            title: "Request received",
            summary: "Fires for every request that passes the connection's check.",
            config: json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "title": "Path", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "description": "A name of your own for the address, in place of the unguessable one."}
                },
                "additionalProperties": false
            }),
            output: json!({
                "type": "object",
                "properties": {
                    "method": {"type": "string"},
                    "path": {"type": "string", "description": "What follows the recipe's address."},
                    "query": {"type": "object", "description": "By name; a repeated name gives a list."},
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Names in lower case."},
                    "body": {"description": "A value if the request was JSON or a form, text otherwise, null if it was empty."}
                },
                "required": ["method", "path", "query", "headers", "body"],
                "additionalProperties": false
            }),
            kind: TriggerKind::Webhook { verify: verify::verify },
        }],
    }
}

fn config_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "verify": {
                "type": "string", "enum": KINDS, "title": "Check",
                "description": "How the sender proves itself: none; hmac (a signature of the body in a header); stripe; standard_webhooks (standardwebhooks.com, also Svix)."
            },
            "header": {"type": "string", "default": "X-Signature", "title": "Signature header", "description": "For hmac."},
            "algorithm": {"type": "string", "enum": ["sha256", "sha1", "sha512"], "default": "sha256", "title": "Algorithm", "description": "For hmac."},
            "encoding": {"type": "string", "enum": ["hex", "base64"], "default": "hex", "title": "Encoding", "description": "For hmac."},
            "prefix": {"type": "string", "default": "", "title": "Prefix", "description": "For hmac: what stands before the signature in its header, for instance sha256=."},
            "event_id_header": {"type": "string", "title": "Event id header", "description": "For hmac: the header that names the event, so that a repeated one is recognised."},
            "tolerance_s": {"type": "integer", "minimum": 1, "maximum": TOLERANCE_S_MAX, "default": TOLERANCE_S, "title": "Tolerance", "description": "For stripe and standard_webhooks: seconds a request may be old, or ahead of our clock."}
        },
        "required": ["verify"],
        "additionalProperties": false
    })
}

fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> {
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
    let used: &[&str] = match kind {
        "hmac" => &HMAC_KEYS,
        "stripe" | "standard_webhooks" => &TIMED_KEYS,
        _ => &["verify"],
    };
    for (key, value) in fields {
        let field = format!("config.{key}");
        if !KEYS.contains(&key.as_str()) {
            problems.add(field, strict::unknown(key, &KEYS));
        } else if !used.contains(&key.as_str()) {
            problems.add(field, format!("\"{key}\" is not used by verify {kind}"));
        } else if let Err(sentence) = check_setting(key, value) {
            problems.add(field, sentence);
        }
    }
    let (required, optional): (&[&str], &[&str]) = if kind == "none" { (&[], &[]) } else { (&["secret"], &["previous_secret"]) };
    problems.credentials(credentials, required, optional, &format!("verify {kind}"));
    if kind == "standard_webhooks" {
        for name in ["secret", "previous_secret"] {
            if let Some(secret) = credentials.get(name).filter(|secret| !secret.expose().trim().is_empty())
                && let Err(sentence) = verify::standard_key(secret)
            {
                problems.add(format!("credentials.{name}"), sentence);
            }
        }
    } else if kind != "none"
        && let Some(previous) = credentials.get("previous_secret")
        && previous.expose().trim().is_empty()
    {
        problems.add("credentials.previous_secret", "the credential \"previous_secret\" is empty; leave it out");
    }
    problems.finish()
}

fn check_setting(key: &str, value: &Json) -> Result<(), String> {
    let text = || value.as_str().ok_or_else(|| format!("{key} must be text, not {}", strict::kind(value)));
    match key {
        "header" | "event_id_header" => {
            let name = text()?;
            ::http::HeaderName::from_bytes(name.as_bytes())
                .map(drop)
                .map_err(|_| format!("\"{}\" cannot be the name of a header", name.escape_debug()))
        }
        "algorithm" => Algorithm::parse(text()?)
            .map(drop)
            .ok_or_else(|| strict::unknown(value.as_str().unwrap_or_default(), &["sha256", "sha1", "sha512"])),
        "encoding" => Encoding::parse(text()?)
            .map(drop)
            .ok_or_else(|| strict::unknown(value.as_str().unwrap_or_default(), &["hex", "base64"])),
        "prefix" => text().map(drop),
        "tolerance_s" => match value.as_i64() {
            Some(1..=TOLERANCE_S_MAX) => Ok(()),
            _ => Err(format!("tolerance_s must be a whole number of seconds from 1 to {TOLERANCE_S_MAX}")),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
