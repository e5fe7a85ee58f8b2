//! The settings of auth `oauth2`, and the token a call takes along.

use std::{collections::HashMap, time::Duration};

use connector::{
    Connection, Cx, Secret, StepError,
    jwt::{Assertion, Signature},
    oauth::{Authorize, Client, Grant, SignIn},
    strict::{self, Problems},
};
use serde_json::{Map, Value as Json};
use url::Url;

use super::{
    request::broken_connection,
    settings::{self, Auth},
};
use crate::assertion;

pub(super) const GRANTS: [&str; 4] = ["client_credentials", "refresh_token", "authorization_code", "jwt_bearer"];
/// The place of the grants in [`GRANTS`].
const REFRESH_TOKEN: usize = 1;
const AUTHORIZATION_CODE: usize = 2;
const JWT_BEARER: usize = 3;
/// What only one grant needs.
const OWN_KEYS: [(usize, &[&str]); 2] = [
    (AUTHORIZATION_CODE, &["authorize_url", "authorize_params", "pkce"]),
    (JWT_BEARER, &["issuer", "subject", "audience", "algorithm", "key_id", "claims"]),
];
pub(super) const CLIENT_AUTHS: [&str; 2] = ["basic", "body"];

/// Checks the settings: the field and a sentence.
pub(super) fn check(fields: &Map<String, Json>) -> Result<(), (&'static str, String)> {
    address(fields, "token_url", "that gives out tokens").map_err(|sentence| ("token_url", sentence))?;
    let grant = word(fields, "grant", &GRANTS).map_err(|sentence| ("grant", sentence))?;
    word(fields, "client_auth", &CLIENT_AUTHS).map_err(|sentence| ("client_auth", sentence))?;
    for name in ["scope", "issuer", "subject", "audience", "key_id"] {
        match fields.get(name) {
            None | Some(Json::Null | Json::String(_)) => {}
            Some(other) => return Err((name, format!("{name} must be text, not {}", strict::kind(other)))),
        }
    }
    texts(fields, "params")?;
    for (owner, names) in OWN_KEYS.into_iter().filter(|(owner, _)| *owner != grant) {
        if let Some(name) = names.iter().find(|name| fields.get(**name).is_some_and(|value| !value.is_null())) {
            return Err((name, format!("\"{name}\" is only used by grant {}", GRANTS[owner])));
        }
    }
    if grant == AUTHORIZATION_CODE {
        address(fields, "authorize_url", "of the page people agree on").map_err(|sentence| ("authorize_url", sentence))?;
        return match fields.get("pkce") {
            None | Some(Json::Null | Json::Bool(_)) => texts(fields, "authorize_params"),
            Some(other) => Err(("pkce", format!("pkce must be true or false, not {}", strict::kind(other)))),
        };
    }
    if grant == JWT_BEARER {
        word(fields, "algorithm", &assertion::ALGORITHMS).map_err(|sentence| ("algorithm", sentence))?;
        return match fields.get("claims") {
            None | Some(Json::Null) => Ok(()),
            Some(Json::Object(claims)) => match assertion::OWN_CLAIMS.into_iter().find(|name| claims.contains_key(*name)) {
                Some(name) => {
                    Err(("claims", format!("the claim \"{name}\" has a setting of its own or is made for each assertion")))
                }
                None => Ok(()),
            },
            Some(other) => Err(("claims", format!("claims must be a record, not {}", strict::kind(other)))),
        };
    }
    Ok(())
}

/// Checks what an assertion needs of the credentials.
pub(super) fn check_assertion(problems: &mut Problems, fields: &Map<String, Json>, credentials: &HashMap<String, Secret>) {
    if word(fields, "grant", &GRANTS) != Ok(JWT_BEARER) {
        return;
    }
    if told(fields, "issuer").is_none() && !credentials.contains_key("client_id") {
        problems
            .add("config.auth.issuer", "grant jwt_bearer needs an issuer, or the credential \"client_id\" that is taken for it");
    }
    if let Some(key) = credentials.get("private_key").filter(|key| !key.expose().trim().is_empty())
        && let Err(sentence) = assertion::check_key(signature(fields), key)
    {
        problems.add("credentials.private_key", sentence);
    }
}

fn signature(fields: &Map<String, Json>) -> Signature {
    told(fields, "algorithm").and_then(assertion::signature).unwrap_or(Signature::Rs256)
}

fn told<'a>(fields: &'a Map<String, Json>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Json::as_str).map(str::trim).filter(|text| !text.is_empty())
}

fn texts(fields: &Map<String, Json>, name: &'static str) -> Result<(), (&'static str, String)> {
    match fields.get(name) {
        None | Some(Json::Null) => Ok(()),
        Some(Json::Object(params)) => match params.iter().find(|(_, value)| !value.is_string()) {
            Some((key, value)) => Err((name, format!("the value of \"{key}\" must be text, not {}", strict::kind(value)))),
            None => Ok(()),
        },
        Some(other) => Err((name, format!("{name} must be a record of names and texts, not {}", strict::kind(other)))),
    }
}

fn pairs(fields: &Map<String, Json>, name: &str) -> Vec<(String, String)> {
    let Some(Json::Object(params)) = fields.get(name) else { return Vec::new() };
    params.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn address(fields: &Map<String, Json>, name: &str, which: &str) -> Result<Url, String> {
    let text = match fields.get(name) {
        Some(Json::String(text)) => text.trim(),
        None | Some(Json::Null) => return Err(format!("auth oauth2 needs the address {which}")),
        Some(other) => return Err(format!("the address {which} must be text, not {}", strict::kind(other))),
    };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() => Ok(url),
        _ => Err(format!("the address {which} must start with https:// or http:// and hold no user name")),
    }
}

/// The place of the word in the list; the first when it is left out.
fn word(fields: &Map<String, Json>, name: &str, known: &[&str]) -> Result<usize, String> {
    match fields.get(name) {
        None | Some(Json::Null) => Ok(0),
        Some(Json::String(text)) => known.iter().position(|word| word == text).ok_or_else(|| strict::unknown(text, known)),
        Some(other) => Err(format!("{name} must be a word, not {}", strict::kind(other))),
    }
}

/// Required and optional credentials, and who needs them.
pub(super) fn credentials(fields: &Map<String, Json>) -> (&'static [&'static str], &'static [&'static str], &'static str) {
    match word(fields, "grant", &GRANTS) {
        Ok(REFRESH_TOKEN) => (&["client_id", "refresh_token"], &["client_secret"], "grant refresh_token"),
        Ok(AUTHORIZATION_CODE) => (&["client_id"], &["client_secret"], "grant authorization_code"),
        Ok(JWT_BEARER) => (&["private_key"], &["client_id", "client_secret"], "grant jwt_bearer"),
        _ => (&["client_id", "client_secret"], &[], "grant client_credentials"),
    }
}

/// How the people of a connection sign in with their browser.
pub(super) fn sign_in() -> SignIn {
    SignIn::new(|connection| match settings::auth(&connection.config) {
        Ok(Auth::OAuth2(fields)) if word(fields, "grant", &GRANTS) == Ok(AUTHORIZATION_CODE) => {
            authorize(connection, fields).map(Some)
        }
        Ok(_) => Ok(None),
        Err((field, sentence)) => Err(format!("{field}: {sentence}")),
    })
}

fn authorize(connection: &Connection, fields: &Map<String, Json>) -> Result<Authorize, String> {
    let credential = |name: &str| connection.credentials.get(name);
    Ok(Authorize {
        authorize_url: address(fields, "authorize_url", "of the page people agree on")?,
        token_url: address(fields, "token_url", "that gives out tokens")?,
        id: credential("client_id").map(Secret::expose).ok_or("it lacks the credential \"client_id\"")?.to_owned(),
        secret: credential("client_secret").cloned(),
        in_body: word(fields, "client_auth", &CLIENT_AUTHS)? == 1,
        scope: scope(fields),
        pkce: fields.get("pkce").and_then(Json::as_bool).unwrap_or(true),
        params: pairs(fields, "authorize_params"),
        token_params: pairs(fields, "params"),
        lasts: None,
    })
}

fn scope(fields: &Map<String, Json>) -> Option<String> {
    told(fields, "scope").map(str::to_owned)
}

/// The sign-in of the call's connection, when it is one with tokens.
pub(super) fn client(cx: &Cx) -> Result<Option<Client<'_>>, StepError> {
    let Some(connection) = cx.connection.as_deref() else {
        return Ok(None);
    };
    match settings::auth(&connection.config) {
        Ok(Auth::OAuth2(fields)) => {
            built(connection, fields, cx.now_s()).map(Some).map_err(|why| broken_connection(connection, &why))
        }
        Ok(_) => Ok(None),
        Err((_, sentence)) => Err(broken_connection(connection, &sentence)),
    }
}

fn built<'a>(connection: &'a Connection, fields: &'a Map<String, Json>, now_s: i64) -> Result<Client<'a>, String> {
    let credential = |name: &str| connection.credentials.get(name);
    let grant = word(fields, "grant", &GRANTS)?;
    let token_url = address(fields, "token_url", "that gives out tokens")?;
    let id = credential("client_id").map(Secret::expose);
    let id = id.or_else(|| told(fields, "issuer")).ok_or("it lacks the credential \"client_id\"")?;
    let assertion = if grant == JWT_BEARER { Some(signed(connection, fields, id, &token_url)?) } else { None };
    Ok(Client {
        connection: &connection.name,
        grant: match grant {
            0 => Grant::ClientCredentials,
            JWT_BEARER => Grant::JwtBearer,
            _ => Grant::RefreshToken,
        },
        token_url,
        id,
        secret: credential("client_secret"),
        refresh_token: credential("refresh_token"),
        in_body: word(fields, "client_auth", &CLIENT_AUTHS)? == 1,
        // What people agreed to stays as they agreed to it (RFC 6749, 6).
        scope: scope(fields).filter(|_| grant != AUTHORIZATION_CODE),
        params: pairs(fields, "params"),
        assertion,
        now_s,
    })
}

/// Says of the subject, or of who says it, what the token service is to believe.
fn signed<'a>(
    connection: &'a Connection,
    fields: &'a Map<String, Json>,
    id: &str,
    token_url: &Url,
) -> Result<Assertion<'a>, String> {
    let key = connection.credentials.get("private_key").ok_or("it lacks the credential \"private_key\"")?;
    let issuer = told(fields, "issuer").unwrap_or(id);
    let (subject, audience) = (told(fields, "subject").unwrap_or(issuer), told(fields, "audience").unwrap_or(token_url.as_str()));
    let more = fields.get("claims").and_then(Json::as_object).cloned().unwrap_or_default();
    let claims = assertion::claims(issuer, subject, audience, more);
    Ok(assertion::signed_with(signature(fields), key, told(fields, "key_id"), claims))
}

/// What is left of the attempt's time; never nothing, so that the client tells the timeout in its own words.
pub(super) fn left(cx: &Cx, since: tokio::time::Instant) -> Duration {
    cx.timeout.saturating_sub(since.elapsed()).max(Duration::from_millis(1))
}
