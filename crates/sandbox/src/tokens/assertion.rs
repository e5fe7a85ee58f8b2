//! JWT assertions: whether a known key signed them, for whom, and for how long.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value as Json};

/// Longest assertion that is looked at.
const ASSERTION_BYTES_MAX: usize = 16 * 1024;

/// What an assertion must say besides its signature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// The signature algorithms the system takes.
    pub algorithms: &'a [Algorithm],
    /// Audiences the system answers to.
    pub audiences: &'a [&'a str],
    /// Longest time from now to its end, in seconds.
    pub life_s_max: i64,
    /// How far clocks may be apart, in seconds.
    pub leeway_s: i64,
}

/// What is wrong with an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadAssertion {
    /// It is no JWT, or one whose algorithm is not taken.
    Malformed,
    /// No known key made its signature.
    Signature,
    /// It is meant for somebody else.
    Audience,
    /// It has ended, or has no end.
    Expired,
    /// It ends too late.
    TooLong,
    /// It begins in the future (`iat` or `nbf`).
    NotYet,
}

/// A claim of an assertion before its signature was looked at: to find the client whose keys apply.
pub(crate) fn unverified_claim(assertion: &str, claim: &str) -> Option<String> {
    if assertion.len() > ASSERTION_BYTES_MAX {
        return None;
    }
    let body = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    let claims: Map<String, Json> = serde_json::from_slice(&body).ok()?;
    claims.get(claim)?.as_str().map(str::to_owned)
}

/// A public key out of PEM (`PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`), for RSA and for elliptic curves.
pub(crate) fn public_key(pem: &str) -> Option<DecodingKey> {
    DecodingKey::from_rsa_pem(pem.as_bytes()).or_else(|_| DecodingKey::from_ec_pem(pem.as_bytes())).ok()
}

/// The claims of an assertion that one of the keys signed.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_assertion(
    now_s: i64,
    assertion: &str,
    keys: &[DecodingKey],
    expected: Expected<'_>,
) -> Result<Map<String, Json>, BadAssertion> {
    if assertion.len() > ASSERTION_BYTES_MAX {
        return Err(BadAssertion::Malformed);
    }
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| BadAssertion::Malformed)?;
    if !expected.algorithms.contains(&header.alg) {
        return Err(BadAssertion::Malformed);
    }
    // Times are judged below, by the systems' clock; audiences there, too, to tell what is wrong.
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = keys
        .iter()
        .find_map(|key| jsonwebtoken::decode::<Map<String, Json>>(assertion, key, &validation).ok())
        .ok_or(BadAssertion::Signature)?
        .claims;
    check_claims(now_s, &claims, expected)?;
    Ok(claims)
}

fn check_claims(now_s: i64, claims: &Map<String, Json>, expected: Expected<'_>) -> Result<(), BadAssertion> {
    let meant = match claims.get("aud") {
        Some(Json::String(audience)) => expected.audiences.contains(&audience.as_str()),
        Some(Json::Array(list)) => list.iter().any(|one| one.as_str().is_some_and(|one| expected.audiences.contains(&one))),
        _ => false,
    };
    if !meant {
        return Err(BadAssertion::Audience);
    }
    let end_s = seconds(claims.get("exp")).ok_or(BadAssertion::Expired)?;
    if now_s >= end_s.saturating_add(expected.leeway_s) {
        return Err(BadAssertion::Expired);
    }
    if end_s.saturating_sub(now_s) > expected.life_s_max.saturating_add(expected.leeway_s) {
        return Err(BadAssertion::TooLong);
    }
    let begin_s = ["iat", "nbf"].iter().filter_map(|claim| seconds(claims.get(*claim))).max();
    if begin_s.is_some_and(|begin_s| begin_s > now_s.saturating_add(expected.leeway_s)) {
        return Err(BadAssertion::NotYet);
    }
    Ok(())
}

/// A time of a JWT: a number, by some libraries one with a fraction, by others a text.
#[expect(clippy::cast_possible_truncation, reason = "a time with a fraction is cut down to seconds; `as` saturates")]
fn seconds(claim: Option<&Json>) -> Option<i64> {
    match claim? {
        Json::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64)),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}
