//! Which check a connection wants, and what all checks share.

use std::borrow::Cow;

use connector::{Connection, Inbound, Refused, Secret, Verified};
use hmac::{KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{TOLERANCE_S, layout, plain, vendors};

/// Longest event id kept; a longer one is no id.
const EVENT_ID_BYTES_MAX: usize = 255;
/// Most signatures looked at in one request; a sender that changes its secret sends two.
pub(super) const SIGNATURES_MAX: usize = 16;

/// Checks a request against the connection it was sent for.
pub(crate) fn verify(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    match connection.config.get("verify").and_then(Json::as_str) {
        Some("none") => Ok(Verified::default()),
        Some("basic") => plain::basic(connection, inbound),
        Some("bearer") => plain::bearer(connection, inbound),
        Some("hmac") => layout::own(connection, inbound),
        Some("github") => layout::GITHUB.verify(connection, inbound),
        Some("slack") => layout::SLACK.verify(connection, inbound),
        Some("shopify") => layout::SHOPIFY.verify(connection, inbound),
        Some("stripe") => vendors::stripe(connection, inbound),
        Some("twilio") => vendors::twilio(connection, inbound),
        Some("standard_webhooks") => vendors::standard(connection, inbound, &["webhook", "svix"]),
        Some("svix") => vendors::standard(connection, inbound, &["svix", "webhook"]),
        // Never open by mistake: an unreadable setting lets nobody in.
        _ => Err(unreadable("does not say how requests are checked")),
    }
}

/// The headers, in lower case, that hold what [`verify`] goes by.
pub(crate) fn proofs(connection: &Connection) -> Vec<String> {
    let own = setting(connection, "header").map(str::to_ascii_lowercase);
    match setting(connection, "verify") {
        Some("none") => Vec::new(),
        Some("hmac") => vec![own.unwrap_or_else(|| layout::HEADER_DEFAULT.to_ascii_lowercase())],
        Some("github") => vec![layout::GITHUB.header()],
        Some("slack") => vec![layout::SLACK.header()],
        Some("shopify") => vec![layout::SHOPIFY.header()],
        Some("stripe") => vec!["stripe-signature".to_owned()],
        Some("twilio") => vec!["x-twilio-signature".to_owned()],
        Some("standard_webhooks" | "svix") => vec!["webhook-signature".to_owned(), "svix-signature".to_owned()],
        _ => own.into_iter().chain(["authorization".to_owned()]).collect(),
    }
}

pub(super) fn refused(code: &'static str, message: impl Into<String>) -> Refused {
    Refused { code, message: message.into() }
}

/// The connection's settings make no sense to this build.
pub(super) fn unreadable(why: &str) -> Refused {
    refused("VERIFY_UNKNOWN", format!("this connection {why}; correct its settings"))
}

pub(super) fn setting<'a>(connection: &'a Connection, name: &str) -> Option<&'a str> {
    connection.config.get(name).and_then(Json::as_str)
}

/// The one header of that name. Two of them are refused: what was checked must be what is used.
pub(super) fn one<'a>(inbound: &Inbound<'a>, name: &str) -> Result<Option<&'a str>, Refused> {
    let mut found = inbound.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(_) => Err(refused(
            "HEADER_DOUBLED",
            format!("the request has the {name} header more than once, so it cannot be told which one counts; send it once"),
        )),
    }
}

/// The secrets in force: the current one and, while it changes, the one before.
pub(super) fn secrets(connection: &Connection) -> Result<impl Iterator<Item = &Secret>, Refused> {
    both(connection, "secret", "previous_secret")
}

/// The credential in force and the one before; at least the first must say something.
pub(super) fn both<'a>(
    connection: &'a Connection,
    current: &str,
    previous: &str,
) -> Result<impl Iterator<Item = &'a Secret> + use<'a>, Refused> {
    // A blank secret would let everybody sign.
    let usable = |name: &str| connection.credentials.get(name).filter(|secret| !secret.expose().trim().is_empty());
    match usable(current) {
        Some(secret) => Ok(std::iter::once(secret).chain(usable(previous))),
        None => Err(refused("SECRET_MISSING", format!("this connection has no {current}, so nothing can be checked; set it"))),
    }
}

/// Whether the MAC of all parts is this signature, compared in constant time.
pub(super) fn matches<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return false;
    };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

pub(super) fn mismatch(header: &str) -> Refused {
    refused(
        "SIGNATURE_MISMATCH",
        format!(
            "the signature in {header} does not fit the body; check that both sides use the same secret and that nothing changes the body on its way"
        ),
    )
}

pub(super) fn missing(header: &str) -> Refused {
    refused("SIGNATURE_MISSING", format!("the request has no {header} header; sign it as this connection expects"))
}

pub(super) fn malformed(header: &str, expected: &str) -> Refused {
    refused("SIGNATURE_MALFORMED", format!("the {header} header cannot be read; expected {expected}"))
}

/// Digits only: `+5` or ` 5` would be signed as other text.
pub(super) fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

/// A recorded request must not work for ever.
pub(super) fn check_time(connection: &Connection, signed_s: i64, now_s: i64) -> Result<(), Refused> {
    let tolerance = connection.config.get("tolerance_s").and_then(Json::as_i64).unwrap_or(TOLERANCE_S);
    let age = now_s.saturating_sub(signed_s);
    if age > tolerance {
        return Err(refused(
            "TIMESTAMP_TOO_OLD",
            format!(
                "the request was signed {age} s ago, more than the {tolerance} s allowed; send it again with a new signature"
            ),
        ));
    }
    if age < -tolerance {
        return Err(refused(
            "TIMESTAMP_IN_FUTURE",
            format!("the request was signed {} s ahead of our clock, more than the {tolerance} s allowed; set the clocks", -age),
        ));
    }
    Ok(())
}

pub(super) fn event_key(id: &str) -> Option<String> {
    (!id.is_empty() && id.len() <= EVENT_ID_BYTES_MAX).then(|| id.to_owned())
}

/// The event id in the header the settings name.
pub(super) fn event_key_of_settings(connection: &Connection, inbound: &Inbound<'_>) -> Result<Option<String>, Refused> {
    match setting(connection, "event_id_header") {
        Some(name) => Ok(one(inbound, name)?.and_then(event_key)),
        None => Ok(None),
    }
}

/// The `id` of a JSON body; everything else in it is passed over without being kept.
pub(super) fn body_id(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
    }
    serde_json::from_slice::<Event<'_>>(body).ok()?.id
}
