//! Webhook: requests that somebody sends to our address, checked before anybody acts on them.
//!
//! Signatures are checked on the exact bytes received, in constant time, before the body is read as
//! anything.

mod layout;
mod plain;
pub(crate) mod settings;
mod vendors;
pub(crate) mod verify;

use std::sync::Arc;

use connector::{Connector, Trigger, Webhook};
use serde_json::{Value as Json, json};

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
                "secret": {"type": "string", "title": "Signing secret", "description": "What the sender signs with; for twilio the account's auth token, for shopify the app's client secret."},
                "previous_secret": {"type": "string", "title": "Previous signing secret", "description": "Still accepted while the sender changes its secret."},
                "username": {"type": "string", "title": "User name", "description": "For basic."},
                "password": {"type": "string", "title": "Password", "description": "For basic."},
                "previous_password": {"type": "string", "title": "Previous password", "description": "For basic: still accepted while the sender changes its password."},
                "token": {"type": "string", "title": "Token", "description": "For bearer."},
                "previous_token": {"type": "string", "title": "Previous token", "description": "For bearer: still accepted while the sender changes its token."}
            },
            "additionalProperties": false
        }),
        validate: Arc::new(settings::validate),
        test: None,
        limits: connector::Limits::default(),
        errors: &[],
        notes: &[
            "Signatures are checked on the exact bytes received, before the body is read as anything.",
            "Where the sender gives each event an id, the same event starts one run, however often it is sent.",
            "basic and bearer prove who sends, not that the body is as it was sent.",
        ],
        shapes: None,
        sign_in: None,
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
            sample: None,
            webhook: Some(Webhook::new(verify::verify, verify::proofs)),
            poll: None,
            shaped: None,
        }],
    }
}

fn config_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "verify": {
                "type": "string", "enum": settings::KINDS, "title": "Check",
                "description": "How the sender proves itself. none: not at all. basic, bearer: a password or a token in a header. github, shopify, slack, stripe, twilio, svix and standard_webhooks (standardwebhooks.com): as they sign. hmac: any other signature with a shared secret."
            },
            "header": {"type": "string", "title": "Header", "description": "For hmac: where the signature stands, X-Signature unless said otherwise. For bearer: where the token stands, if not in Authorization."},
            "algorithm": {"type": "string", "enum": ["sha256", "sha1", "sha512"], "default": "sha256", "title": "Algorithm", "description": "For hmac."},
            "encoding": {"type": "string", "enum": ["hex", "base64"], "default": "hex", "title": "Encoding", "description": "For hmac: how the signature is written."},
            "prefix": {"type": "string", "default": "", "title": "Prefix", "description": "For hmac: what stands before the signature in its header, for instance sha256= or, in a header of several parts, v1=."},
            "signed": {"type": "string", "default": layout::SIGNED_DEFAULT, "title": "What is signed", "description": "For hmac: a text with {body}, and as needed {timestamp}, {id}, {url}, {method}, for instance {timestamp}.{body}."},
            "timestamp_header": {"type": "string", "title": "Timestamp header", "description": "For hmac: the header with the time of signing, in seconds or milliseconds since 1970."},
            "timestamp_prefix": {"type": "string", "default": "", "title": "Timestamp prefix", "description": "For hmac: what stands before the time, for instance t= when it shares a header with the signature."},
            "secret_encoding": {"type": "string", "enum": ["text", "hex", "base64"], "default": "text", "title": "Encoding of the secret", "description": "For hmac: text when its characters are the key, hex or base64 when it must be decoded first."},
            "event_id_header": {"type": "string", "title": "Event id header", "description": "For hmac, basic and bearer: the header that names the event, so that a repeated one is recognised."},
            "url": {"type": "string", "title": "Address", "description": "For twilio and hmac: what stands before /hooks/ in the address the sender was given, when that is not this server's public_url."},
            "tolerance_s": {"type": "integer", "minimum": 1, "maximum": TOLERANCE_S_MAX, "default": TOLERANCE_S, "title": "Tolerance", "description": "For signatures that carry a time: seconds a request may be old, or ahead of our clock."}
        },
        "required": ["verify"],
        "additionalProperties": false
    })
}

#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
mod tests;
