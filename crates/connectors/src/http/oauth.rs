//! The settings of auth `oauth2`, and the token a call takes along.

use std::time::Duration;

use connector::{
    Connection, Cx, Secret, StepError,
    oauth::{Client, Grant},
};
use serde_json::{Map, Value as Json};
use url::Url;

use super::{
    request::broken_connection,
    settings::{self, Auth},
};
use crate::strict;

pub(super) const GRANTS: [&str; 2] = ["client_credentials", "refresh_token"];
pub(super) const CLIENT_AUTHS: [&str; 2] = ["basic", "body"];

/// Checks the settings: the field and a sentence.
pub(super) fn check(fields: &Map<String, Json>) -> Result<(), (&'static str, String)> {
    token_url(fields).map_err(|sentence| ("token_url", sentence))?;
    word(fields, "grant", &GRANTS).map_err(|sentence| ("grant", sentence))?;
    word(fields, "client_auth", &CLIENT_AUTHS).map_err(|sentence| ("client_auth", sentence))?;
    match fields.get("scope") {
        None | Some(Json::Null | Json::String(_)) => {}
        Some(other) => return Err(("scope", format!("the scope must be text, not {}", strict::kind(other)))),
    }
    match fields.get("params") {
        None | Some(Json::Null) => Ok(()),
        Some(Json::Object(params)) => match params.iter().find(|(_, value)| !value.is_string()) {
            Some((name, value)) => Err(("params", format!("the value of \"{name}\" must be text, not {}", strict::kind(value)))),
            None => Ok(()),
        },
        Some(other) => Err(("params", format!("params must be a record of names and texts, not {}", strict::kind(other)))),
    }
}

fn token_url(fields: &Map<String, Json>) -> Result<Url, String> {
    let text = match fields.get("token_url") {
        Some(Json::String(text)) => text.trim(),
        None | Some(Json::Null) => return Err("auth oauth2 needs the address that gives out tokens".to_owned()),
        Some(other) => return Err(format!("the token address must be text, not {}", strict::kind(other))),
    };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() => Ok(url),
        _ => Err("the token address must start with https:// or http:// and hold no user name".to_owned()),
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
    if word(fields, "grant", &GRANTS) == Ok(1) {
        (&["client_id", "refresh_token"], &["client_secret"], "grant refresh_token")
    } else {
        (&["client_id", "client_secret"], &[], "grant client_credentials")
    }
}

/// The sign-in of the call's connection, when it is one with tokens.
pub(super) fn client(cx: &Cx) -> Result<Option<Client<'_>>, StepError> {
    let Some(connection) = cx.connection.as_deref() else {
        return Ok(None);
    };
    match settings::auth(&connection.config) {
        Ok(Auth::OAuth2(fields)) => built(connection, fields).map(Some).map_err(|why| broken_connection(connection, &why)),
        Ok(_) => Ok(None),
        Err((_, sentence)) => Err(broken_connection(connection, &sentence)),
    }
}

fn built<'a>(connection: &'a Connection, fields: &'a Map<String, Json>) -> Result<Client<'a>, String> {
    let credential = |name: &str| connection.credentials.get(name);
    let text = |name: &str| fields.get(name).and_then(Json::as_str);
    Ok(Client {
        connection: &connection.name,
        grant: if word(fields, "grant", &GRANTS)? == 1 { Grant::RefreshToken } else { Grant::ClientCredentials },
        token_url: token_url(fields)?,
        id: credential("client_id").map(Secret::expose).ok_or("it lacks the credential \"client_id\"")?,
        secret: credential("client_secret"),
        refresh_token: credential("refresh_token"),
        in_body: word(fields, "client_auth", &CLIENT_AUTHS)? == 1,
        scope: text("scope").filter(|scope| !scope.trim().is_empty()).map(str::to_owned),
        params: match fields.get("params") {
            Some(Json::Object(params)) => {
                params.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
            }
            _ => Vec::new(),
        },
    })
}

/// What is left of the attempt's time; never nothing, so that the client tells the timeout in its own words.
pub(super) fn left(cx: &Cx, since: tokio::time::Instant) -> Duration {
    cx.timeout.saturating_sub(since.elapsed()).max(Duration::from_millis(1))
}
