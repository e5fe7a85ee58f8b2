//! The checks themselves.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use connector::{Connection, Inbound, Refused, Secret, Verified};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value as Json;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::TOLERANCE_S;

const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));
/// Longest event id kept; a longer one is no id.
const EVENT_ID_BYTES_MAX: usize = 255;
/// Most signatures looked at in one request; a sender that changes its secret sends two.
const SIGNATURES_MAX: usize = 16;

#[derive(Clone, Copy)]
pub(super) enum Algorithm {
    Sha256,
    Sha1,
    Sha512,
}

#[derive(Clone, Copy)]
pub(super) enum Encoding {
    Hex,
    Base64,
}

impl Algorithm {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "sha256" => Some(Self::Sha256),
            "sha1" => Some(Self::Sha1),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl Encoding {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "hex" => Some(Self::Hex),
            "base64" => Some(Self::Base64),
            _ => None,
        }
    }

    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
        }
    }
}

/// Checks a request against the connection it was sent for.
pub(super) fn verify(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    match connection.config.get("verify").and_then(Json::as_str) {
        Some("none") => Ok(Verified::default()),
        Some("hmac") => hmac(connection, inbound),
        Some("stripe") => stripe(connection, inbound),
        Some("standard_webhooks") => standard(connection, inbound),
        // Never open by mistake: an unreadable setting lets nobody in.
        _ => Err(refused(
            "VERIFY_UNKNOWN",
            "this connection does not say how requests are checked; correct its settings".to_owned(),
        )),
    }
}

fn refused(code: &'static str, message: String) -> Refused {
    Refused { code, message }
}

fn setting<'a>(connection: &'a Connection, name: &str) -> Option<&'a str> {
    connection.config.get(name).and_then(Json::as_str)
}

fn header<'a>(inbound: &Inbound<'a>, name: &str) -> Option<&'a str> {
    headers(inbound, name).next()
}

fn headers<'a>(inbound: &Inbound<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    inbound.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The secrets in force: the current one and, while it changes, the one before.
fn secrets(connection: &Connection) -> Result<impl Iterator<Item = &Secret>, Refused> {
    // A blank secret would let everybody sign.
    let usable = |name: &str| connection.credentials.get(name).filter(|secret| !secret.expose().trim().is_empty());
    match usable("secret") {
        Some(current) => Ok(std::iter::once(current).chain(usable("previous_secret"))),
        None => {
            Err(refused("SECRET_MISSING", "this connection has no signing secret, so nothing can be checked; set it".to_owned()))
        }
    }
}

/// Whether the MAC of all parts is this signature, compared in constant time.
fn matches<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return false;
    };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

fn mismatch(header: &str) -> Refused {
    refused(
        "SIGNATURE_MISMATCH",
        format!(
            "the signature in {header} does not fit the body; check that both sides use the same secret and that nothing changes the body on its way"
        ),
    )
}

fn missing(header: &str) -> Refused {
    refused("SIGNATURE_MISSING", format!("the request has no {header} header; sign it as this connection expects"))
}

fn malformed(header: &str, expected: &str) -> Refused {
    refused("SIGNATURE_MALFORMED", format!("the {header} header cannot be read; expected {expected}"))
}

/// A MAC of the body alone, in one header: the common form, used by GitHub, Shopify and many others.
fn hmac(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let name = setting(connection, "header").unwrap_or("X-Signature");
    let algorithm = Algorithm::parse(setting(connection, "algorithm").unwrap_or("sha256"));
    let encoding = Encoding::parse(setting(connection, "encoding").unwrap_or("hex"));
    let (Some(algorithm), Some(encoding)) = (algorithm, encoding) else {
        return Err(refused(
            "VERIFY_UNKNOWN",
            "this connection names an algorithm or encoding that is not known; correct its settings".to_owned(),
        ));
    };
    let prefix = setting(connection, "prefix").unwrap_or_default();
    let secrets: Vec<&Secret> = secrets(connection)?.collect();
    let mut seen = false;
    let mut readable = false;
    for text in headers(inbound, name).take(SIGNATURES_MAX) {
        seen = true;
        let Some(signature) = text.strip_prefix(prefix).and_then(|text| encoding.decode(text.trim())) else {
            continue;
        };
        readable = true;
        for secret in &secrets {
            let key = secret.expose().as_bytes();
            let fits = match algorithm {
                Algorithm::Sha256 => matches::<Hmac<Sha256>>(key, &[inbound.body], &signature),
                Algorithm::Sha1 => matches::<Hmac<Sha1>>(key, &[inbound.body], &signature),
                Algorithm::Sha512 => matches::<Hmac<Sha512>>(key, &[inbound.body], &signature),
            };
            if fits {
                let event_key = setting(connection, "event_id_header").and_then(|name| header(inbound, name)).and_then(event_key);
                return Ok(Verified { event_key });
            }
        }
    }
    match (seen, readable) {
        (false, _) => Err(missing(name)),
        (true, false) => Err(malformed(
            name,
            &format!("{prefix}… in {}", if matches!(encoding, Encoding::Hex) { "hexadecimal" } else { "base64" }),
        )),
        (true, true) => Err(mismatch(name)),
    }
}

/// `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`, over `<t>.<body>`, with the whole secret including
/// `whsec_` as key (<https://docs.stripe.com/webhooks#verify-manually>). Stripe's own clients do not refuse
/// times ahead of the clock; we do.
fn stripe(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    const HEADER: &str = "Stripe-Signature";
    let text = header(inbound, HEADER).ok_or_else(|| missing(HEADER))?;
    let mut time = None;
    let mut signatures = Vec::new();
    for part in text.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => time = Some(value),
            Some(("v1", value)) if signatures.len() < SIGNATURES_MAX => signatures.extend(hex::decode(value)),
            _ => {}
        }
    }
    let expected = "t=<seconds>,v1=<signature>";
    let time = time.ok_or_else(|| malformed(HEADER, expected))?;
    let seconds = seconds(time).ok_or_else(|| malformed(HEADER, expected))?;
    if signatures.is_empty() {
        return Err(malformed(HEADER, expected));
    }
    let fits = secrets(connection)?.any(|secret| {
        signatures.iter().any(|signature| {
            matches::<Hmac<Sha256>>(secret.expose().as_bytes(), &[time.as_bytes(), b".", inbound.body], signature)
        })
    });
    if !fits {
        return Err(mismatch(HEADER));
    }
    check_time(connection, seconds, inbound.now_s)?;
    Ok(Verified { event_key: body_id(inbound.body).as_deref().and_then(event_key) })
}

/// `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,<base64> …` over `<id>.<timestamp>.<body>`
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
/// Svix sends the same under its own names.
fn standard(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let either = |name: &'static str, svix: &'static str| {
        header(inbound, name).or_else(|| header(inbound, svix)).filter(|value| !value.is_empty()).ok_or_else(|| missing(name))
    };
    let id = either("webhook-id", "svix-id")?;
    let time = either("webhook-timestamp", "svix-timestamp")?;
    let text = either("webhook-signature", "svix-signature")?;
    let seconds = seconds(time).ok_or_else(|| malformed("webhook-timestamp", "seconds since 1970"))?;
    let signatures: Vec<Vec<u8>> = text
        .split_ascii_whitespace()
        .filter_map(|part| part.strip_prefix("v1,"))
        .filter_map(|part| BASE64.decode(part).ok())
        .take(SIGNATURES_MAX)
        .collect();
    if signatures.is_empty() {
        return Err(malformed("webhook-signature", "v1,<signature in base64>"));
    }
    for secret in secrets(connection)? {
        let key = standard_key(secret).map_err(|sentence| refused("SECRET_MISSING", sentence))?;
        if signatures.iter().any(|signature| {
            matches::<Hmac<Sha256>>(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", inbound.body], signature)
        }) {
            check_time(connection, seconds, inbound.now_s)?;
            return Ok(Verified { event_key: event_key(id) });
        }
    }
    Err(mismatch("webhook-signature"))
}

/// The key inside a Standard Webhooks secret: `whsec_` and base64 of 24 to 64 bytes.
pub(super) fn standard_key(secret: &Secret) -> Result<Vec<u8>, String> {
    let text = secret.expose().trim();
    if text.starts_with("whpk_") || text.starts_with("whsk_") {
        return Err("this is a key for asymmetric signatures (v1a), which are not supported; ask the sender for a symmetric secret that starts with whsec_".to_owned());
    }
    let encoded = text.strip_prefix("whsec_").unwrap_or(text);
    match BASE64.decode(encoded) {
        Ok(key) if key.len() >= 16 => Ok(key),
        Ok(_) => Err("the signing secret is too short; copy it whole, it starts with whsec_".to_owned()),
        Err(_) => Err("the signing secret is not whsec_ followed by base64; copy it whole from the sender's settings".to_owned()),
    }
}

/// Digits only: `+5` or ` 5` would be signed as other text.
fn seconds(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

fn check_time(connection: &Connection, signed_s: i64, now_s: i64) -> Result<(), Refused> {
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

fn event_key(id: &str) -> Option<String> {
    (!id.is_empty() && id.len() <= EVENT_ID_BYTES_MAX).then(|| id.to_owned())
}

/// The `id` of a JSON body; everything else in it is passed over without being kept.
fn body_id(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
    }
    serde_json::from_slice::<Event<'_>>(body).ok()?.id
}
