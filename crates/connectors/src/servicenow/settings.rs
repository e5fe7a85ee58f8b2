//! What a connection to ServiceNow holds, and how it signs in.

use std::{collections::HashMap, time::Duration};

use ::http::{HeaderName, header};
use async_trait::async_trait;
use connector::{
    Connection, Cx, ErrorClass, Secret, StepError,
    api::{Header, Sign, put_secret},
    http::Request,
    jwt::{Assertion, Signature},
    oauth::{Authorize, Client, Grant, SignIn},
    strict::{self, Problems, text},
};
use serde_json::{Map, Value as Json, json};
use url::Url;

const KEYS: [&str; 7] = ["base_url", "auth", "refresh_token_days", "check_fields", "jwt_subject", "jwt_key_id", "jwt_signature"];
const AUTHS: [&str; 5] = ["basic", "api_key", "client_credentials", "refresh_token", "jwt"];
const SIGNATURES: [&str; 3] = ["RS256", "PS256", "ES256"];
/// Where tokens are given out.
const TOKEN_PATH: &str = "/oauth_token.do";
/// How long a refresh token lasts unless the client's record at the instance says otherwise, in days; most that can be said.
const REFRESH_TOKEN_DAYS: u64 = 100;
const REFRESH_TOKEN_DAYS_MAX: u64 = 3650;
/// How long an assertion is good, in seconds.
const ASSERTION_S: i64 = 300;

pub(super) fn config_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "base_url": {"type": "string", "format": "uri", "title": "Instance address", "description": "For instance https://acme.service-now.com."},
            "auth": {
                "type": "string", "enum": AUTHS, "default": "basic", "title": "Sign-in",
                "description": "basic: user name and password; new instances often refuse it. api_key: a key of an inbound authentication profile. client_credentials: an OAuth client with an application user. refresh_token: as a person who agrees in the browser, or whose refresh token you have; it ends after 100 days unless the instance says otherwise. jwt: an OAuth client with a private key."
            },
            "refresh_token_days": {"type": "integer", "minimum": 1, "maximum": REFRESH_TOKEN_DAYS_MAX, "default": REFRESH_TOKEN_DAYS, "title": "Days a sign-in lasts", "description": "For refresh_token: the refresh token lifespan of the instance's OAuth client. Liaison says a week before, or a seventh of these days where that is less, that somebody must sign in anew."},
            "check_fields": {"type": "boolean", "default": true, "title": "Check fields", "description": "Looks fields up in the instance's dictionary before they are used: ServiceNow silently leaves out conditions on fields it does not know. Needs the right to read sys_dictionary and sys_db_object (role personalize_dictionary). Without it values stay texts."},
            "jwt_subject": {"type": "string", "title": "User of the assertion", "description": "For jwt: the user name (or what the instance compares) it speaks for."},
            "jwt_key_id": {"type": "string", "title": "Key id", "description": "For jwt: the key's name in the instance's JWT verifier map."},
            "jwt_signature": {"type": "string", "enum": SIGNATURES, "default": "RS256", "title": "Signature", "description": "For jwt."}
        },
        "required": ["base_url"],
        "additionalProperties": false
    })
}

pub(super) fn credentials_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "title": "User name", "description": "For basic: the integration user. Its time zone should be GMT."},
            "password": {"type": "string", "title": "Password", "description": "For basic."},
            "api_key": {"type": "string", "title": "API key", "description": "For api_key."},
            "client_id": {"type": "string", "title": "Client id", "description": "For the OAuth sign-ins."},
            "client_secret": {"type": "string", "title": "Client secret", "description": "For the OAuth sign-ins. A public client has none and gets no refresh token: a person must sign in anew as often as its access tokens end, usually each half hour."},
            "refresh_token": {"type": "string", "title": "Refresh token", "description": "For refresh_token, where nobody signs in with a browser."},
            "private_key": {"type": "string", "title": "Private key", "description": "For jwt: PEM, not encrypted."},
            "webhook_key": {"type": "string", "title": "Webhook key", "description": "What the business rule signs with, in base64: the value of the property named in its script."}
        },
        "additionalProperties": false
    })
}

fn auth(config: &Json) -> &str {
    text(config, "auth").unwrap_or("basic")
}

/// The instance's address.
pub(super) fn base_url(config: &Json) -> Result<Url, String> {
    let given =
        text(config, "base_url").ok_or("the instance address is missing; give for instance https://acme.service-now.com")?;
    let url = Url::parse(given).map_err(|error| format!("the instance address cannot be read ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("the instance address must start with https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("the instance address may hold no user name, password, ? or #".to_owned());
    }
    if url.path() != "/" {
        return Err("the instance address ends with its host; leave what follows out".to_owned());
    }
    Ok(url)
}

pub(super) fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> {
    let mut problems = Problems::default();
    let empty = Map::new();
    let fields = problems.record("config", config).unwrap_or(&empty);
    problems.unknown_keys("config", fields, &KEYS);
    if let Err(sentence) = base_url(config) {
        problems.add("config.base_url", sentence);
    }
    for (name, known) in [("auth", &AUTHS[..]), ("jwt_signature", &SIGNATURES[..])] {
        if let Some(word) = text(config, name).filter(|word| !known.contains(word)) {
            problems.add(format!("config.{name}"), strict::unknown(word, known));
        }
    }
    if fields.get("check_fields").is_some_and(|value| !value.is_boolean() && !value.is_null()) {
        problems.add("config.check_fields", "check_fields must be true or false");
    }
    let days = |value: &Json| value.as_u64().is_some_and(|days| (1..=REFRESH_TOKEN_DAYS_MAX).contains(&days));
    if fields.get("refresh_token_days").is_some_and(|value| !days(value) && !value.is_null()) {
        problems.add("config.refresh_token_days", format!("refresh_token_days must be from 1 to {REFRESH_TOKEN_DAYS_MAX}"));
    }
    let (required, optional): (&[&str], &[&str]) = match auth(config) {
        "api_key" => (&["api_key"], &["webhook_key"]),
        "client_credentials" => (&["client_id", "client_secret"], &["webhook_key"]),
        "refresh_token" => (&["client_id"], &["client_secret", "refresh_token", "webhook_key"]),
        "jwt" => (&["client_id", "client_secret", "private_key"], &["webhook_key"]),
        _ => (&["username", "password"], &["webhook_key"]),
    };
    problems.credentials(credentials, required, optional, &format!("sign-in {}", auth(config)));
    if auth(config) == "jwt" && text(config, "jwt_subject").is_none() {
        problems.add("config.jwt_subject", "sign-in jwt needs the user the assertion speaks for");
    }
    if let Some(key) = credentials.get("webhook_key").filter(|key| super::webhook::decoded(key).is_none()) {
        let what = if key.expose().trim().is_empty() { "is empty" } else { "is not base64" };
        problems.add(
            "credentials.webhook_key",
            format!("the webhook key {what}; GlideCertificateEncryption takes its key in base64"),
        );
    }
    problems.finish()
}

/// The connection of an attempt.
pub(super) fn connection(cx: &Cx) -> Result<&Connection, StepError> {
    cx.connection.as_deref().ok_or_else(|| {
        StepError::new(
            ErrorClass::Invalid,
            "CONNECTION_MISSING",
            "ServiceNow is used through a connection, and the step names none",
        )
        .with_next("Choose a ServiceNow connection for the step.")
    })
}

fn broken(connection: &Connection, why: &str) -> StepError {
    let message = format!("the connection \"{}\" cannot be used: {why}", connection.name);
    StepError::new(ErrorClass::Auth, "CONNECTION_BROKEN", message).with_next("Correct the connection's settings.")
}

/// Where the instance is.
pub(super) fn base(cx: &Cx) -> Result<Url, StepError> {
    let connection = connection(cx)?;
    base_url(&connection.config).map_err(|why| broken(connection, &why))
}

/// True unless people said that fields are not to be looked up.
pub(super) fn checks_fields(cx: &Cx) -> bool {
    let config = cx.connection.as_ref().map(|connection| &connection.config);
    config.and_then(|config| config.get("check_fields")).and_then(Json::as_bool).unwrap_or(true)
}

/// The refresh token stays the same however often it is used, and ends with its days.
fn sign_in_lasts(config: &Json) -> Duration {
    let days = config.get("refresh_token_days").and_then(Json::as_u64).unwrap_or(REFRESH_TOKEN_DAYS);
    Duration::from_secs(days.min(REFRESH_TOKEN_DAYS_MAX) * 24 * 3600)
}

/// How people sign in with a browser. New instances refuse a sign-in without a state, and public clients one without PKCE.
pub(super) fn sign_in() -> SignIn {
    SignIn::new(|connection| {
        let config = &connection.config;
        if auth(config) != "refresh_token" {
            return Ok(None);
        }
        let base = base_url(config)?;
        let at = |path: &str| {
            let mut url = base.clone();
            url.set_path(path);
            url
        };
        let id = connection.credentials.get("client_id").ok_or("the connection lacks the credential \"client_id\"")?;
        Ok(Some(Authorize {
            authorize_url: at("/oauth_auth.do"),
            token_url: at(TOKEN_PATH),
            id: id.expose().to_owned(),
            secret: connection.credentials.get("client_secret").cloned(),
            in_body: true,
            scope: Some("useraccount".to_owned()),
            pkce: true,
            params: Vec::new(),
            token_params: Vec::new(),
            lasts: Some(sign_in_lasts(config)),
        }))
    })
}

/// How the connection proves who we are.
pub(super) fn sign(cx: &Cx) -> Result<Box<dyn Sign>, StepError> {
    let connection = connection(cx)?;
    let credential = |name: &str| {
        connection.credentials.get(name).ok_or_else(|| broken(connection, &format!("it lacks the credential \"{name}\"")))
    };
    Ok(match auth(&connection.config) {
        "basic" => Box::new(Header::basic(credential("username")?.expose(), credential("password")?)),
        "api_key" => Box::new(Header { name: HeaderName::from_static("x-sn-apikey"), value: credential("api_key")?.clone() }),
        _ => {
            client(connection, cx.now_s())?;
            Box::new(OAuth)
        }
    })
}

/// A token of `oauth_token.do`. While one lives, the instance gives the same again.
struct OAuth;

#[async_trait]
impl Sign for OAuth {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        let client = client(connection(cx)?, cx.now_s())?;
        let token = client.signed_in(&cx.http, refused, cx.left()).await.map_err(causes)?;
        let value = Secret::new(format!("Bearer {}", token.access.expose()));
        put_secret(&mut request.headers, &header::AUTHORIZATION, &value)?;
        Ok(Some(token.access))
    }
}

/// The instance answers every cause alike, so all of them are told.
fn causes(error: StepError) -> StepError {
    if error.class != ErrorClass::Auth {
        return error;
    }
    error.with_next(
        "ServiceNow does not say which of these it is: a wrong client id or secret, a user that is locked, inactive or gone, \
         a grant the instance does not allow, or a refresh token that ended (after 100 days unless set otherwise; sign in anew then).",
    )
}

fn client(connection: &Connection, now_s: i64) -> Result<Client<'_>, StepError> {
    let config = &connection.config;
    let lacks = |name: &str| broken(connection, &format!("it lacks \"{name}\""));
    let id = connection.credentials.get("client_id").map(Secret::expose).ok_or_else(|| lacks("client_id"))?;
    let grant = match auth(config) {
        "refresh_token" => Grant::RefreshToken,
        "jwt" => Grant::JwtBearer,
        _ => Grant::ClientCredentials,
    };
    let mut token_url = base_url(config).map_err(|why| broken(connection, &why))?;
    token_url.set_path(TOKEN_PATH);
    let assertion = match grant {
        Grant::JwtBearer => {
            let claims = json!({"iss": id, "sub": text(config, "jwt_subject").ok_or_else(|| lacks("jwt_subject"))?, "aud": id});
            Some(Assertion {
                signature: match text(config, "jwt_signature") {
                    Some("PS256") => Signature::Ps256,
                    Some("ES256") => Signature::Es256,
                    _ => Signature::Rs256,
                },
                key: connection.credentials.get("private_key").ok_or_else(|| lacks("private_key"))?,
                key_id: text(config, "jwt_key_id"),
                claims: claims.as_object().cloned().unwrap_or_default(),
                life_s: ASSERTION_S,
            })
        }
        _ => None,
    };
    Ok(Client {
        connection: &connection.name,
        grant,
        token_url,
        id,
        secret: connection.credentials.get("client_secret"),
        refresh_token: connection.credentials.get("refresh_token"),
        in_body: true,
        scope: None,
        params: Vec::new(),
        assertion,
        now_s,
    })
}
