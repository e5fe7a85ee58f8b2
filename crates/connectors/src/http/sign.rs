//! How a call through a connection signs in, and what of it must stay unseen.

use ::http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::{Connection, Cx, Mask, Secret, StepError};
use serde_json::Value as Json;
use url::Url;

use super::{
    request::{broken_connection, invalid},
    settings::Auth,
};

pub(super) fn sign_in(
    connection: &Connection,
    auth: Auth<'_>,
    token: Option<&Secret>,
    url: &mut Url,
    headers: &mut HeaderMap,
) -> Result<(), StepError> {
    let credential = |name: &str| {
        connection
            .credentials
            .get(name)
            .map(Secret::expose)
            .ok_or_else(|| broken_connection(connection, &format!("it lacks the credential \"{name}\"")))
    };
    let (name, text) = match auth {
        Auth::None => return Ok(()),
        Auth::Bearer => (AUTHORIZATION, format!("Bearer {}", credential("token")?)),
        Auth::Basic => {
            (AUTHORIZATION, basic(credential("username")?, connection.credentials.get("password").map_or("", Secret::expose)))
        }
        Auth::KeyInHeader(name) => {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| broken_connection(connection, "the name of its header cannot be used"))?;
            (name, credential("key")?.to_owned())
        }
        Auth::OAuth2(_) => match token {
            Some(token) => (AUTHORIZATION, format!("Bearer {}", token.expose())),
            // Only when a failed call is told.
            None => return Ok(()),
        },
        Auth::KeyInQuery(name) => {
            let key = credential("key")?;
            // The address of a later page may carry it already.
            if !url.query_pairs().any(|(known, value)| known == *name && value == *key) {
                url.query_pairs_mut().append_pair(name, key);
            }
            return Ok(());
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        broken_connection(connection, "a credential holds a line break or another character a header cannot carry")
    })?;
    value.set_sensitive(true);
    if headers.insert(name.clone(), value).is_some() {
        return Err(invalid(
            "HEADER_INVALID",
            format!("the header \"{name}\" is set by the connection \"{}\", which signs in by itself", connection.name),
        )
        .with_next("Leave the header out."));
    }
    Ok(())
}

fn basic(username: &str, password: &str) -> String {
    let mut text = "Basic ".to_owned();
    BASE64.encode_string(format!("{username}:{password}"), &mut text);
    text
}

/// What must not be shown of this attempt's request and answer: the connection's credentials, and what the
/// step itself puts into headers for secrets.
pub(super) fn mask(cx: &Cx, input: &Json, token: Option<&Secret>) -> Mask {
    let mut mask = Mask::default();
    if let Some(connection) = cx.connection.as_deref() {
        mask = Mask::new(connection.credentials.values());
        if let (Some(username), Some(password)) = (connection.credentials.get("username"), connection.credentials.get("password"))
        {
            mask.add(basic(username.expose(), password.expose()).trim_start_matches("Basic "));
        }
    }
    if let Some(token) = token {
        mask.add(token.expose());
    }
    if let Some(Json::Object(headers)) = input.get("headers") {
        for (name, value) in headers {
            if let Some(text) = value.as_str().filter(|_| connector::mask::is_secret_header(&name.to_ascii_lowercase())) {
                mask.add(text);
                // `Bearer xyz`: the answer may repeat the second part alone.
                if let Some((_, token)) = text.split_once(' ') {
                    mask.add(token);
                }
            }
        }
    }
    mask
}
