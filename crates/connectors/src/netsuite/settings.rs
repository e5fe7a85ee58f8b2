//! What a connection to NetSuite holds, and how it signs in.

use std::{collections::HashMap, time::Duration};

use ::http::header;
use async_trait::async_trait;
use connector::{
    Connection, Cx, ErrorClass, Secret, StepError,
    api::{Sign, put_secret},
    http::Request,
    jwt::{Assertion, Signature},
    oauth::{Authorize, Client, Grant, SignIn},
    strict::{self, Problems, text},
};
use serde_json::{Map, Value as Json, json};
use url::Url;

use super::tba::Tba;

const KEYS: [&str; 7] = ["account", "base_url", "auth", "certificate_id", "signature", "time_zone", "soap_version"];
const AUTHS: [&str; 3] = ["certificate", "refresh_token", "tba"];
const SIGNATURES: [&str; 2] = ["PS256", "ES256"];
/// How long an assertion is good, in seconds; an hour is the most.
const ASSERTION_S: i64 = 300;
/// What people agreed to ends when nobody used it for a week.
const IDLE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The zone of an account that says nothing else.
const ZONE: &str = "America/Los_Angeles";
/// The last version the service will have.
const SOAP_VERSION: &str = "2025_2";

pub(super) fn config_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "account": {"type": "string", "title": "Account id", "description": "As NetSuite shows it under Setup > Company > Company Information: 1234567, or 1234567_SB1 for a sandbox. Tokens and certificates are gone after a sandbox is refreshed."},
            "base_url": {"type": "string", "format": "uri", "title": "Another address", "description": "Only for a simulated system: used instead of the account's own hosts."},
            "auth": {"type": "string", "enum": AUTHS, "default": "certificate", "title": "Sign-in", "description": "certificate: OAuth 2.0 machine to machine. refresh_token: OAuth 2.0 with a browser; NetSuite ends it when it is not used for 7 days, so Liaison renews it once a day, also when no recipe uses it. tba: token-based authentication; no new integrations of this kind from release 2027.1 on, and the only way to use SOAP."},
            "certificate_id": {"type": "string", "title": "Certificate id", "description": "For certificate: shown beside the certificate under Setup > Integration > OAuth 2.0 Client Credentials."},
            "signature": {"type": "string", "enum": SIGNATURES, "default": "PS256", "title": "Kind of key", "description": "For certificate: PS256 for an RSA key, ES256 for an elliptic curve key."},
            "time_zone": {"type": "string", "default": ZONE, "title": "Time zone of the account", "description": "Triggers compare times in it, such as Europe/Berlin."},
            "soap_version": {"type": "string", "default": SOAP_VERSION, "title": "SOAP version", "description": "For saved searches and SOAP records."}
        },
        "required": ["account"],
        "additionalProperties": false
    })
}

pub(super) fn credentials_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "client_id": {"type": "string", "title": "Client id", "description": "The integration record's consumer key or client id; for certificate and refresh_token."},
            "private_key": {"type": "string", "title": "Private key", "description": "For certificate: PEM, not encrypted."},
            "client_secret": {"type": "string", "title": "Client secret", "description": "For refresh_token, unless the client is a public one."},
            "refresh_token": {"type": "string", "title": "Refresh token", "description": "For refresh_token."},
            "consumer_key": {"type": "string", "title": "Consumer key", "description": "For tba."},
            "consumer_secret": {"type": "string", "title": "Consumer secret", "description": "For tba."},
            "token": {"type": "string", "title": "Token id", "description": "For tba."},
            "token_secret": {"type": "string", "title": "Token secret", "description": "For tba."},
            "webhook_secret": {"type": "string", "title": "Webhook secret", "description": "What the account's script signs with, for the trigger record_script."}
        },
        "additionalProperties": false
    })
}

fn auth(config: &Json) -> &str {
    text(config, "auth").unwrap_or("certificate")
}

/// The account as signatures want it.
fn account(config: &Json) -> Result<String, String> {
    let given = text(config, "account")
        .ok_or("the account id is missing; NetSuite shows it under Setup > Company > Company Information")?;
    let account = given.to_uppercase().replace('-', "_");
    let good = account.len() <= 40 && account.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good {
        Ok(account)
    } else {
        Err("the account id has only letters, digits and an underscore: 1234567 or 1234567_SB1".to_owned())
    }
}

/// A host of the account: `suitetalk` or `restlets`.
fn host(config: &Json, area: &str) -> Result<Url, String> {
    let account = account(config)?;
    let address = match text(config, "base_url") {
        Some(address) => address.to_owned(),
        None => format!("https://{}.{area}.api.netsuite.com", account.to_lowercase().replace('_', "-")),
    };
    let url = Url::parse(&address).map_err(|error| format!("the address cannot be read ({error})"))?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.path() != "/" || !plain {
        return Err("the address is a scheme and a host and nothing else, for instance https://netsuite.example".to_owned());
    }
    Ok(url)
}

pub(super) fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> {
    let mut problems = Problems::default();
    let empty = Map::new();
    let fields = problems.record("config", config).unwrap_or(&empty);
    problems.unknown_keys("config", fields, &KEYS);
    match account(config) {
        Err(sentence) => problems.add("config.account", sentence),
        Ok(_) => {
            if let Err(sentence) = host(config, "suitetalk") {
                problems.add("config.base_url", sentence);
            }
        }
    }
    for (name, known) in [("auth", &AUTHS[..]), ("signature", &SIGNATURES[..])] {
        if let Some(word) = text(config, name).filter(|word| !known.contains(word)) {
            problems.add(format!("config.{name}"), strict::unknown(word, known));
        }
    }
    if text(config, "time_zone").is_some_and(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        problems.add("config.time_zone", "this is no time zone; write it like Europe/Berlin or America/New_York");
    }
    let version = text(config, "soap_version").unwrap_or(SOAP_VERSION);
    if version.len() != 6 || !version.chars().enumerate().all(|(place, c)| if place == 4 { c == '_' } else { c.is_ascii_digit() })
    {
        problems.add("config.soap_version", "the SOAP version is a year and a number, such as 2025_2");
    }
    let (required, optional): (&[&str], &[&str]) = match auth(config) {
        "tba" => (&["consumer_key", "consumer_secret", "token", "token_secret"], &["webhook_secret"]),
        // The refresh token comes with the sign-in in a browser, unless people bring one.
        "refresh_token" => (&["client_id"], &["refresh_token", "client_secret", "webhook_secret"]),
        _ => (&["client_id", "private_key"], &["webhook_secret"]),
    };
    problems.credentials(credentials, required, optional, &format!("sign-in {}", auth(config)));
    if auth(config) == "certificate" && text(config, "certificate_id").is_none() {
        problems.add("config.certificate_id", "sign-in certificate needs the certificate's id");
    }
    problems.finish()
}

/// The connection of an attempt.
pub(super) fn connection(cx: &Cx) -> Result<&Connection, StepError> {
    cx.connection.as_deref().ok_or_else(|| {
        StepError::new(
            ErrorClass::Invalid,
            "CONNECTION_MISSING",
            "NetSuite is used through a connection, and the step names none",
        )
        .with_next("Choose a NetSuite connection for the step.")
    })
}

fn broken(connection: &Connection, why: &str) -> StepError {
    let message = format!("the connection \"{}\" cannot be used: {why}", connection.name);
    StepError::new(ErrorClass::Auth, "CONNECTION_BROKEN", message).with_next("Correct the connection's settings.")
}

/// Where records and SOAP (`suitetalk`) or RESTlets (`restlets`) are.
pub(super) fn base(cx: &Cx, area: &str) -> Result<Url, StepError> {
    let connection = connection(cx)?;
    host(&connection.config, area).map_err(|why| broken(connection, &why))
}

/// The account's zone.
pub(super) fn zone(cx: &Cx) -> Result<jiff::tz::TimeZone, StepError> {
    let connection = connection(cx)?;
    let name = text(&connection.config, "time_zone").unwrap_or(ZONE);
    jiff::tz::TimeZone::get(name).map_err(|_| broken(connection, "its time zone is not known"))
}

pub(super) fn soap_version(cx: &Cx) -> Result<String, StepError> {
    Ok(text(&connection(cx)?.config, "soap_version").unwrap_or(SOAP_VERSION).to_owned())
}

fn credential<'a>(connection: &'a Connection, name: &str) -> Result<&'a Secret, StepError> {
    connection.credentials.get(name).ok_or_else(|| broken(connection, &format!("it lacks the credential \"{name}\"")))
}

/// The tokens of token-based authentication.
pub(super) fn tba(cx: &Cx) -> Result<Tba, StepError> {
    let connection = connection(cx)?;
    if auth(&connection.config) != "tba" {
        let words = "NetSuite's SOAP service only knows token-based authentication, and this connection signs in another way";
        return Err(StepError::new(ErrorClass::Invalid, "SOAP_NEEDS_TBA", words)
            .with_next("Use a connection with the sign-in tba for this step."));
    }
    let of = |name: &str| credential(connection, name).cloned();
    Ok(Tba {
        account: account(&connection.config).map_err(|why| broken(connection, &why))?,
        consumer_key: of("consumer_key")?,
        consumer_secret: of("consumer_secret")?,
        token: of("token")?,
        token_secret: of("token_secret")?,
    })
}

/// How people sign in with a browser. The state is 22 characters at least, which NetSuite asks for.
pub(super) fn sign_in() -> SignIn {
    SignIn::new(|connection| {
        let config = &connection.config;
        if auth(config) != "refresh_token" {
            return Ok(None);
        }
        let mut authorize_url = host(config, "app")?;
        if text(config, "base_url").is_none() {
            // The pages of the account are on a host of their own, without `api`.
            let page = format!("https://{}.app.netsuite.com", account(config)?.to_lowercase().replace('_', "-"));
            authorize_url = Url::parse(&page).map_err(|error| format!("the address cannot be read ({error})"))?;
        }
        authorize_url.set_path("/app/login/oauth2/authorize.nl");
        let mut token_url = host(config, "suitetalk")?;
        token_url.set_path("/services/rest/auth/oauth2/v1/token");
        let id = connection.credentials.get("client_id").ok_or("the connection lacks the credential \"client_id\"")?;
        Ok(Some(Authorize {
            authorize_url,
            token_url,
            id: id.expose().to_owned(),
            secret: connection.credentials.get("client_secret").cloned(),
            in_body: false,
            scope: Some("restlets rest_webservices".to_owned()),
            pkce: true,
            params: Vec::new(),
            token_params: Vec::new(),
            lasts: None,
        }))
    })
    .idle_life(IDLE_LIFE)
}

/// How the connection proves who we are.
pub(super) fn sign(cx: &Cx) -> Result<Box<dyn Sign>, StepError> {
    if auth(&connection(cx)?.config) == "tba" { Ok(Box::new(tba(cx)?)) } else { Ok(Box::new(Bearer)) }
}

/// OAuth 2.0 in both ways.
struct Bearer;

#[async_trait]
impl Sign for Bearer {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        let connection = connection(cx)?;
        let config = &connection.config;
        let mut token_url = base(cx, "suitetalk")?;
        token_url.set_path("/services/rest/auth/oauth2/v1/token");
        let id = credential(connection, "client_id")?.expose();
        let machine = auth(config) == "certificate";
        let assertion = if machine {
            let mut claims = Map::new();
            claims.insert("iss".to_owned(), json!(id));
            claims.insert("scope".to_owned(), json!(["restlets", "rest_webservices"]));
            claims.insert("aud".to_owned(), json!(token_url.as_str()));
            let signature = if text(config, "signature") == Some("ES256") { Signature::Es256 } else { Signature::Ps256 };
            Some(Assertion {
                signature,
                key: credential(connection, "private_key")?,
                key_id: text(config, "certificate_id"),
                claims,
                life_s: ASSERTION_S,
            })
        } else {
            None
        };
        let client = Client {
            connection: &connection.name,
            grant: if machine { Grant::ClientCredentials } else { Grant::RefreshToken },
            token_url,
            id,
            secret: connection.credentials.get("client_secret").filter(|_| !machine),
            refresh_token: connection.credentials.get("refresh_token").filter(|_| !machine),
            in_body: false,
            scope: None,
            params: Vec::new(),
            assertion,
            now_s: cx.now_s(),
        };
        let token = client.signed_in(&cx.http, refused, cx.left()).await?.access;
        put_secret(&mut request.headers, &header::AUTHORIZATION, &Secret::new(format!("Bearer {}", token.expose())))?;
        Ok(Some(token))
    }
}
