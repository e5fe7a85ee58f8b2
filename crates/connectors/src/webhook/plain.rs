//! Passwords and tokens in a header: they prove who sends, not that the body is as it was sent.

use base64::Engine as _;
use connector::{Connection, Inbound, Refused, Secret, Verified};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{
    layout::BASE64,
    verify::{both, event_key_of_settings, malformed, missing, one, refused, setting},
};

const AUTHORIZATION: &str = "Authorization";

/// `Authorization: Basic base64(username:password)`, RFC 7617.
pub(super) fn basic(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let passwords: Vec<&Secret> = both(connection, "password", "previous_password")?.collect();
    let name = both(connection, "username", "")?.next().map(Secret::expose).unwrap_or_default();
    let expected = "Basic <base64 of name:password>";
    let text = after_scheme(inbound, "basic", expected)?;
    let pair = BASE64.decode(text).map_err(|_| malformed(AUTHORIZATION, expected))?;
    let colon = pair.iter().position(|byte| *byte == b':').ok_or_else(|| malformed(AUTHORIZATION, expected))?;
    let fits = same(&pair[..colon], name.as_bytes()) & any(&pair[colon + 1..], &passwords);
    if !bool::from(fits) {
        return Err(refused(
            "PASSWORD_WRONG",
            "the user name or the password is not this connection's; correct one of the two sides",
        ));
    }
    Ok(Verified { event_key: event_key_of_settings(connection, inbound)? })
}

/// `Authorization: Bearer token`, RFC 6750, or the bare token in a header of the sender's own.
pub(super) fn bearer(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let tokens: Vec<&Secret> = both(connection, "token", "previous_token")?.collect();
    let token = match setting(connection, "header").filter(|name| !name.eq_ignore_ascii_case(AUTHORIZATION)) {
        Some(name) => one(inbound, name)?.ok_or_else(|| missing(name))?,
        None => after_scheme(inbound, "bearer", "Bearer <token>")?,
    };
    if !bool::from(any(token.as_bytes(), &tokens)) {
        return Err(refused("TOKEN_WRONG", "the token is not this connection's; correct one of the two sides"));
    }
    Ok(Verified { event_key: event_key_of_settings(connection, inbound)? })
}

fn after_scheme<'a>(inbound: &Inbound<'a>, scheme: &str, expected: &str) -> Result<&'a str, Refused> {
    let text = one(inbound, AUTHORIZATION)?.ok_or_else(|| missing(AUTHORIZATION))?;
    match text.split_once(' ') {
        Some((word, rest)) if word.eq_ignore_ascii_case(scheme) => Ok(rest.trim()),
        _ => Err(malformed(AUTHORIZATION, expected)),
    }
}

/// Whether two texts are the same, in a time that tells nothing about them, their lengths included.
fn same(one: &[u8], other: &[u8]) -> Choice {
    Sha256::digest(one).as_slice().ct_eq(Sha256::digest(other).as_slice())
}

fn any(given: &[u8], secrets: &[&Secret]) -> Choice {
    secrets.iter().fold(Choice::from(0), |fits, secret| fits | same(given, secret.expose().trim().as_bytes()))
}
