//! What a connection of the `http` connector holds: where to call and how to sign in.

use std::collections::HashMap;

use ::http::{HeaderName, HeaderValue};
use connector::Secret;
use serde_json::{Map, Value as Json, json};
use url::Url;

use super::{oauth, route};
use crate::assertion;
use connector::strict::{self, Problems};

const KEYS: [&str; 5] = ["base_url", "auth", "headers", "tls", "proxy"];
const AUTH_KINDS: [&str; 5] = ["none", "basic", "bearer", "api_key", "oauth2"];
/// Which settings belong to which kind.
const OWN_KEYS: [(&str, &[&str]); 2] = [("api_key", &["in", "name"]), ("oauth2", &OAUTH_KEYS)];
const OAUTH_KEYS: [&str; 14] = [
    "grant",
    "token_url",
    "client_auth",
    "scope",
    "params",
    "authorize_url",
    "authorize_params",
    "pkce",
    "issuer",
    "subject",
    "audience",
    "algorithm",
    "key_id",
    "claims",
];
/// Headers that belong to the connection between the machines, not to a recipe or a connection's settings.
pub(crate) const RESERVED_HEADERS: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];

/// How a connection signs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Auth<'a> {
    None,
    Basic,
    Bearer,
    KeyInHeader(&'a str),
    KeyInQuery(&'a str),
    OAuth2(&'a Map<String, Json>),
}

pub(super) fn config_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "base_url": {"type": "string", "format": "uri", "title": "Base address", "description": "What every path is added to, for instance https://api.example.com/v2."},
            "auth": {
                "title": "Sign-in",
                "description": "How calls sign in: none, basic (credentials username, password), bearer (credential token), api_key (credential key) or oauth2 (credentials client_id, client_secret, refresh_token for that grant; with grant authorization_code people sign in with their browser, with jwt_bearer the credential private_key signs).",
                "oneOf": [
                    {"type": "string", "enum": AUTH_KINDS},
                    {
                        "type": "object",
                        "properties": {
                            "kind": {"type": "string", "enum": AUTH_KINDS},
                            "in": {"type": "string", "enum": ["header", "query"], "default": "header", "description": "Where an api_key is sent."},
                            "name": {"type": "string", "default": "X-API-Key", "description": "Name of the header or query value that carries an api_key."},
                            "grant": {"type": "string", "enum": oauth::GRANTS, "default": "client_credentials", "description": "How oauth2 gets its token."},
                            "token_url": {"type": "string", "format": "uri", "description": "Where oauth2 gets its token."},
                            "client_auth": {"type": "string", "enum": oauth::CLIENT_AUTHS, "default": "basic", "description": "Whether oauth2 sends client_id and client_secret as basic authentication or in the body."},
                            "scope": {"type": "string", "description": "What the token shall be good for; several with blanks between."},
                            "params": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Sent along when a token is asked for, for instance an audience."},
                            "authorize_url": {"type": "string", "format": "uri", "description": "The page people agree on, for grant authorization_code."},
                            "authorize_params": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Sent along to that page, for instance access_type: offline."},
                            "pkce": {"type": "boolean", "default": true, "description": "Proves that whoever brings the code asked for it (RFC 7636, S256); false only for systems that refuse it."},
                            "issuer": {"type": "string", "description": "Who signs in, for grant jwt_bearer (iss); the client id when left out."},
                            "subject": {"type": "string", "description": "Whom it acts as, for grant jwt_bearer (sub); the issuer when left out."},
                            "audience": {"type": "string", "description": "Whom the assertion is for, for grant jwt_bearer (aud); the token address when left out."},
                            "algorithm": {"type": "string", "enum": assertion::ALGORITHMS, "default": assertion::ALGORITHMS[0], "description": "How the private key signs, for grant jwt_bearer; ES256 needs an EC key (P-256)."},
                            "key_id": {"type": "string", "description": "Names the key to the system, for grant jwt_bearer (kid)."},
                            "claims": {"type": "object", "description": "What else the assertion claims, for grant jwt_bearer, such as a scope where the system reads it there."}
                        },
                        "required": ["kind"],
                        "additionalProperties": false
                    }
                ]
            },
            "headers": {"type": "object", "additionalProperties": {"type": "string"}, "title": "Headers", "description": "Sent with every call; a step's own headers win. Nothing secret belongs here."},
            "tls": {
                "type": "object", "title": "TLS",
                "properties": {
                    "ca": {"type": "string", "description": "PEM certificates trusted besides the system's: a company's own authority."},
                    "min_version": {"type": "string", "enum": ["1.2", "1.3"], "default": "1.2"}
                },
                "additionalProperties": false
            },
            "proxy": {"type": "string", "title": "Proxy", "description": "http://proxy.example.com:3128, or none to go around the one of the server."}
        },
        "required": ["base_url"],
        "additionalProperties": false
    })
}

pub(super) fn credentials_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "title": "User name", "description": "For auth basic."},
            "password": {"type": "string", "title": "Password", "description": "For auth basic."},
            "token": {"type": "string", "title": "Token", "description": "For auth bearer."},
            "key": {"type": "string", "title": "Key", "description": "For auth api_key."},
            "client_id": {"type": "string", "title": "Client id", "description": "For auth oauth2."},
            "client_secret": {"type": "string", "title": "Client secret", "description": "For auth oauth2."},
            "refresh_token": {"type": "string", "title": "Refresh token", "description": "For auth oauth2 with grant refresh_token; replaced by itself when the system gives a new one."},
            "private_key": {"type": "string", "title": "Private key", "description": "For auth oauth2 with grant jwt_bearer: PEM, RSA or EC (P-256), unencrypted."},
            "client_certificate": {"type": "string", "title": "Client certificate", "description": "PEM, with its chain: shown to systems that ask for one."},
            "client_key": {"type": "string", "title": "Client key", "description": "PEM, the certificate's private key."},
            "proxy_username": {"type": "string", "title": "Proxy user name"},
            "proxy_password": {"type": "string", "title": "Proxy password"}
        },
        "additionalProperties": false
    })
}

/// The sign-in a config asks for.
pub(super) fn auth(config: &Json) -> Result<Auth<'_>, (String, String)> {
    let auth = match config.get("auth") {
        None | Some(Json::Null) => return Ok(Auth::None),
        Some(auth) => auth,
    };
    let problem = |field: &str, sentence: String| (format!("config.auth{field}"), sentence);
    let kind = match auth {
        Json::String(kind) => kind.as_str(),
        Json::Object(fields) => match fields.get("kind") {
            Some(Json::String(kind)) => kind.as_str(),
            _ => return Err(problem(".kind", format!("auth needs a kind: one of {}", AUTH_KINDS.join(", ")))),
        },
        other => return Err(problem("", format!("auth must be a kind or a record with a kind, not {}", strict::kind(other)))),
    };
    let option = |name: &str| auth.get(name).filter(|value| !value.is_null());
    for (owner, names) in OWN_KEYS {
        if kind != owner
            && let Some(name) = names.iter().find(|name| option(name).is_some())
        {
            return Err(problem(&format!(".{name}"), format!("\"{name}\" is only used by auth {owner}")));
        }
    }
    match kind {
        "none" => Ok(Auth::None),
        "basic" => Ok(Auth::Basic),
        "bearer" => Ok(Auth::Bearer),
        "api_key" => {
            let name = match option("name") {
                None => "X-API-Key",
                Some(Json::String(name)) if !name.trim().is_empty() => name.trim(),
                Some(_) => return Err(problem(".name", "the name of the header or query value must be text".to_owned())),
            };
            match option("in").map(Json::as_str) {
                None | Some(Some("header")) => {
                    HeaderName::from_bytes(name.as_bytes())
                        .map_err(|_| problem(".name", format!("\"{name}\" cannot be the name of a header")))?;
                    Ok(Auth::KeyInHeader(name))
                }
                Some(Some("query")) => Ok(Auth::KeyInQuery(name)),
                Some(_) => Err(problem(".in", "an api_key is sent in \"header\" or \"query\"".to_owned())),
            }
        }
        "oauth2" => {
            let Json::Object(fields) = auth else {
                return Err(problem("", "auth oauth2 needs a record with kind and token_url".to_owned()));
            };
            oauth::check(fields).map_err(|(field, sentence)| problem(&format!(".{field}"), sentence))?;
            Ok(Auth::OAuth2(fields))
        }
        other => Err(problem(".kind", strict::unknown(other, &AUTH_KINDS))),
    }
}

/// The base address of a config, checked.
pub(super) fn base_url(config: &Json) -> Result<Url, String> {
    let text = match config.get("base_url") {
        None | Some(Json::Null) => {
            return Err("the base address is missing; give for instance https://api.example.com/v2".to_owned());
        }
        Some(Json::String(text)) => text.trim(),
        Some(other) => return Err(format!("the base address must be text, not {}", strict::kind(other))),
    };
    let url = Url::parse(text)
        .map_err(|error| format!("the base address cannot be read ({error}); give for instance https://api.example.com/v2"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("the base address must start with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the base address holds a user name or password; use auth basic with credentials instead".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the base address may not have a part after ? or #; give these with each step".to_owned());
    }
    Ok(url)
}

pub(super) fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> {
    let mut problems = Problems::default();
    let Some(fields) = problems.record("config", config) else {
        problems.add("config.base_url", "the base address is missing; give for instance https://api.example.com/v2");
        return problems.finish();
    };
    problems.unknown_keys("config", fields, &KEYS);
    if let Err(sentence) = base_url(config) {
        problems.add("config.base_url", sentence);
    }
    if let Some(auth) = fields.get("auth").and_then(Json::as_object) {
        let known: Vec<&str> = ["kind"].into_iter().chain(OWN_KEYS.iter().flat_map(|(_, names)| names.iter().copied())).collect();
        problems.unknown_keys("config.auth", auth, &known);
    }
    match auth(config) {
        Ok(auth) => {
            let (required, optional, why): (&[&str], &[&str], &str) = match auth {
                Auth::None => (&[], &[], "auth none"),
                // Several services sign in with a user name alone.
                Auth::Basic => (&["username"], &["password"], "auth basic"),
                Auth::Bearer => (&["token"], &[], "auth bearer"),
                Auth::KeyInHeader(_) | Auth::KeyInQuery(_) => (&["key"], &[], "auth api_key"),
                Auth::OAuth2(fields) => {
                    oauth::check_assertion(&mut problems, fields, credentials);
                    oauth::credentials(fields)
                }
            };
            let plain = credentials.iter().filter(|(name, _)| !route::CREDENTIALS.contains(&name.as_str()));
            let plain = plain.map(|(name, secret)| (name.clone(), secret.clone())).collect();
            problems.credentials(&plain, required, optional, why);
            check_sendable(&mut problems, auth, credentials);
        }
        Err((field, sentence)) => problems.add(field, sentence),
    }
    match fields.get("headers") {
        None | Some(Json::Null) => {}
        Some(Json::Object(headers)) => {
            for (name, value) in headers {
                if let Err(sentence) = header(name, value) {
                    problems.add(format!("config.headers.{name}"), sentence);
                } else if name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("cookie") {
                    problems.add(
                        format!("config.headers.{name}"),
                        "secrets do not belong in the settings, which everybody can read; use auth and credentials",
                    );
                }
            }
        }
        Some(other) => {
            problems.add("config.headers", format!("headers must be a record of names and texts, not {}", strict::kind(other)))
        }
    }
    route::check(&mut problems, config, credentials);
    problems.finish()
}

fn check_sendable(problems: &mut Problems, auth: Auth<'_>, credentials: &HashMap<String, Secret>) {
    let field = match auth {
        Auth::Bearer => "token",
        Auth::KeyInHeader(_) => "key",
        Auth::Basic => {
            if credentials.get("username").is_some_and(|name| name.expose().contains(':')) {
                problems.add("credentials.username", "a user name for auth basic may not hold a colon");
            }
            return;
        }
        Auth::None | Auth::KeyInQuery(_) | Auth::OAuth2(_) => return,
    };
    if credentials.get(field).is_some_and(|secret| HeaderValue::from_str(secret.expose()).is_err()) {
        problems.add(
            format!("credentials.{field}"),
            format!("the credential \"{field}\" holds a line break or another character a header cannot carry"),
        );
    }
}

/// A header of the settings or of a step, or the sentence that says why not.
pub(super) fn header(name: &str, value: &Json) -> Result<(HeaderName, HeaderValue), String> {
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("\"{}\" cannot be the name of a header", name.escape_debug()))?;
    if RESERVED_HEADERS.contains(&key.as_str()) {
        return Err(format!("the header \"{name}\" is set by the connection itself"));
    }
    let value = match value {
        Json::String(text) => HeaderValue::from_str(text),
        Json::Number(number) => HeaderValue::from_str(&number.to_string()),
        Json::Bool(flag) => Ok(HeaderValue::from_static(if *flag { "true" } else { "false" })),
        other => return Err(format!("the header \"{name}\" must be text, not {}", strict::kind(other))),
    };
    match value {
        Ok(value) => Ok((key, value)),
        Err(_) => Err(format!("the header \"{name}\" holds a line break or another character a header cannot carry")),
    }
}
