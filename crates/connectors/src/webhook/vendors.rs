//! Signatures that are no mere layout: several parts in a header, keys to decode, addresses and fields signed.

use base64::Engine as _;
use connector::{Connection, Inbound, Refused, Secret, Verified};
use hmac::Hmac;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{
    layout::BASE64,
    verify::{
        SIGNATURES_MAX, body_id, check_time, digits, event_key, malformed, matches, mismatch, missing, one, refused, secrets,
        setting,
    },
};

/// `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`, over `<t>.<body>`, with the whole secret including
/// `whsec_` as key (<https://docs.stripe.com/webhooks#verify-manually>). Stripe's own clients do not refuse
/// times ahead of the clock; we do.
pub(super) fn stripe(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    const HEADER: &str = "Stripe-Signature";
    let text = one(inbound, HEADER)?.ok_or_else(|| missing(HEADER))?;
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
    let seconds = digits(time).ok_or_else(|| malformed(HEADER, expected))?;
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
/// Svix sends the same under `svix-…` (<https://docs.svix.com/receiving/verifying-payloads/how-manual>).
/// The first family of names that is there at all counts; the two are never mixed.
pub(super) fn standard(connection: &Connection, inbound: &Inbound<'_>, families: &[&str]) -> Result<Verified, Refused> {
    let mut family = families.first().copied().unwrap_or_default();
    for candidate in families {
        if one(inbound, &format!("{candidate}-signature"))?.is_some() {
            family = candidate;
            break;
        }
    }
    let name = |part: &str| format!("{family}-{part}");
    let need = |part: &str| one(inbound, &name(part))?.filter(|value| !value.is_empty()).ok_or_else(|| missing(&name(part)));
    let (id, time, text) = (need("id")?, need("timestamp")?, need("signature")?);
    let seconds = digits(time).ok_or_else(|| malformed(&name("timestamp"), "seconds since 1970"))?;
    let signatures: Vec<Vec<u8>> = text
        .split_ascii_whitespace()
        .filter_map(|part| part.strip_prefix("v1,"))
        .filter_map(|part| BASE64.decode(part).ok())
        .take(SIGNATURES_MAX)
        .collect();
    if signatures.is_empty() {
        return Err(malformed(&name("signature"), "v1,<signature in base64>"));
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
    Err(mismatch(&name("signature")))
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

/// `X-Twilio-Signature: <base64>`, SHA-1 over the address and, for a form, its fields sorted by name
/// (<https://www.twilio.com/docs/usage/webhooks/webhooks-security>). Other bodies are covered by their
/// SHA-256 in the address. An idempotency token in `I-Twilio-Idempotency-Token` names the event.
pub(super) fn twilio(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    const HEADER: &str = "X-Twilio-Signature";
    let text = one(inbound, HEADER)?.ok_or_else(|| missing(HEADER))?;
    let signature = BASE64.decode(text).map_err(|_| malformed(HEADER, "a signature in base64"))?;
    let url = inbound.url(setting(connection, "url"));
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let hash = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "bodySHA256").map(|(_, hash)| hash);
    let mut fields = String::new();
    match hash {
        Some(hash) if hash.eq_ignore_ascii_case(&hex::encode(Sha256::digest(inbound.body))) => {}
        Some(_) => return Err(mismatch("bodySHA256")),
        None if inbound.body.is_empty() => {}
        None if is_form(inbound)? => fields = sorted_fields(inbound.body),
        None => {
            return Err(refused(
                "BODY_NOT_SIGNED",
                "the body is no form and its bodySHA256 is not in the address, so nothing proves it; let Twilio sign it",
            ));
        }
    }
    let candidates = with_and_without_port(&url);
    for secret in secrets(connection)? {
        let key = secret.expose().trim().as_bytes();
        if candidates.iter().any(|url| matches::<Hmac<Sha1>>(key, &[url.as_bytes(), fields.as_bytes()], &signature)) {
            return Ok(Verified { event_key: one(inbound, "I-Twilio-Idempotency-Token")?.and_then(event_key) });
        }
    }
    Err(refused(
        "SIGNATURE_MISMATCH",
        format!(
            "the signature in {HEADER} does not fit; check the auth token, and that the address Twilio calls begins like {}: \
             set public_url, or url of the connection",
            url.split("/hooks/").next().unwrap_or_default()
        ),
    ))
}

fn is_form(inbound: &Inbound<'_>) -> Result<bool, Refused> {
    let kind = one(inbound, "Content-Type")?.unwrap_or_default();
    Ok(kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Names and values one after the other, sorted; what comes twice counts once, as Twilio's libraries do it.
fn sorted_fields(body: &[u8]) -> String {
    let mut fields: Vec<_> = form_urlencoded::parse(body).collect();
    fields.sort();
    fields.dedup();
    fields.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

/// The address as it is, and with its standard port said or left out: Twilio does either.
fn with_and_without_port(url: &str) -> Vec<String> {
    let mut candidates = vec![url.to_owned()];
    if let Some((scheme, rest)) = url.split_once("://") {
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let standard = if scheme == "https" { "443" } else { "80" };
        match host.rsplit_once(':').filter(|(_, port)| digits(port).is_some()) {
            Some((name, port)) if port == standard => candidates.push(format!("{scheme}://{name}{path}")),
            Some(_) => {}
            None => candidates.push(format!("{scheme}://{host}:{standard}{path}")),
        }
    }
    candidates
}
