//! What a connection holds: where the tenant is, and who calls.

use std::collections::HashMap;

use connector::{
    Connection, Cx, ErrorClass, Secret, StepError,
    jwt::{Assertion, Signature},
    oauth::{Authorize, Client, Grant, SignIn},
    strict::{self, text},
};
use serde_json::{Map, Value as Json, json};
use url::Url;

/// Services with versions, and the version when the connection names none.
const VERSIONS: [(&str, &str); 11] = [
    ("absenceManagement", "v1"),
    ("accountsPayable", "v1"),
    ("businessProcess", "v1"),
    ("compensation", "v2"),
    ("connect", "v2"),
    ("coreAccounting", "v1"),
    ("customerAccounts", "v1"),
    ("expense", "v1"),
    ("payroll", "v2"),
    ("staffing", "v6"),
    ("wql", "v1"),
];
/// The version of the SOAP services when the connection names none.
const SOAP_VERSION: &str = "v44.2";
const CONFIG: [&str; 9] = [
    "rest_endpoint",
    "token_endpoint",
    "authorization_endpoint",
    "tenant",
    "sign_in",
    "subject",
    "soap_version",
    "versions",
    "budget",
];
const SIGN_INS: [&str; 2] = ["refresh_token", "jwt_bearer"];
/// How long a signed assertion is good, in seconds.
const ASSERTION_LIFE_S: i64 = 300;

/// JSON Schema of a connection's settings.
pub(super) fn config() -> Json {
    json!({
        "type": "object",
        "properties": {
            "rest_endpoint": {"type": "string", "title": "REST API endpoint", "description": "As the Workday task \"View API Clients\" shows it, for instance https://wd2-impl-services1.workday.com/ccx/api/v1/acme. It is the services host, not the address of the page you sign in to."},
            "token_endpoint": {"type": "string", "title": "Token endpoint", "description": "As the same task shows it. Left out, it is made from the REST API endpoint."},
            "authorization_endpoint": {"type": "string", "title": "Authorization endpoint", "description": "As the same task shows it, for an API client whose people sign in with a browser. It is on the host of the page you sign in to."},
            "tenant": {"type": "string", "title": "Tenant", "description": "Only when the REST API endpoint does not end with it. Write it exactly as Workday does."},
            "sign_in": {"type": "string", "enum": SIGN_INS, "default": "refresh_token", "title": "Sign-in of the API client", "description": "refresh_token: an API client for integrations with its refresh token, which does not expire; or, with an authorization endpoint, an API client that acts as the person who agrees in the browser. jwt_bearer: a client that signs with a private key."},
            "subject": {"type": "string", "title": "User to act as", "description": "For jwt_bearer: the user name of the integration system user, without the tenant."},
            "soap_version": {"type": "string", "pattern": "^v[0-9]+(\\.[0-9])?$", "default": SOAP_VERSION, "title": "Version of the web services"},
            "versions": {"type": "object", "title": "Versions of REST services", "additionalProperties": {"type": "string", "pattern": "^v[0-9.]+$"}, "description": "By service, for instance staffing: v6. Workday adds newer ones twice a year and keeps old ones for years."},
            "budget": {"type": "object", "title": "Budget", "description": "What this connection may call, in place of the usual limits."}
        },
        "required": ["rest_endpoint"],
        "additionalProperties": false
    })
}

/// JSON Schema of a connection's credentials.
pub(super) fn credentials() -> Json {
    json!({
        "type": "object",
        "properties": {
            "client_id": {"type": "string", "title": "Client ID", "description": "Of the API client, for REST and WQL. Its scopes must cover the functional areas that are used."},
            "client_secret": {"type": "string", "title": "Client secret"},
            "refresh_token": {"type": "string", "title": "Refresh token", "description": "From \"Manage Refresh Tokens for Integrations\", for the integration system user. It does not expire, but is lost when the tenant is refreshed from production. Left out where a person signs in with a browser."},
            "private_key": {"type": "string", "title": "Private key", "description": "For jwt_bearer: PEM, RSA, whose x509 certificate the API client has."},
            "username": {"type": "string", "title": "User name", "description": "Of the integration system user with its tenant, for instance isu_liaison@acme: for web services and reports. Left out, they use the API client."},
            "webhook_secret": {"type": "string", "title": "Secret of messages", "description": "For messages that the tenant sends: what it writes into the header X-Workday-Secret."},
            "password": {"type": "string", "title": "Password", "description": "Exempt this user from password expiry, and forbid it to open sessions in the browser."}
        },
        "additionalProperties": false
    })
}

/// Refuses a connection that cannot work.
pub(super) fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> {
    let mut problems = strict::Problems::default();
    let none = Map::new();
    let fields = problems.record("config", config).unwrap_or(&none);
    problems.unknown_keys("config", fields, &CONFIG);
    if let Err(sentence) = place(config) {
        problems.add("config.rest_endpoint", sentence);
    }
    for name in ["token_endpoint", "authorization_endpoint"] {
        if let Some(Err(sentence)) = text(config, name).map(address) {
            problems.add(format!("config.{name}"), sentence);
        }
    }
    let sign_in = text(config, "sign_in").unwrap_or(SIGN_INS[0]);
    if !SIGN_INS.contains(&sign_in) {
        problems.add("config.sign_in", strict::unknown(sign_in, &SIGN_INS));
    }
    let has = |name: &str| credentials.get(name).is_some_and(|secret| !secret.expose().trim().is_empty());
    let jwt = sign_in == "jwt_bearer";
    let known: &[&str] = if jwt { &["client_id", "private_key"] } else { &["client_id", "client_secret", "refresh_token"] };
    let user: &[&str] = &["username", "password"];
    let begun = |names: &[&str]| names.iter().any(|name| credentials.contains_key(*name));
    let mut required: Vec<&str> = Vec::new();
    // Nothing at all is a missing API client: most of the actions need it.
    if begun(known) || !begun(user) {
        required.extend(known);
        // It comes when somebody signs in.
        required.retain(|name| *name != "refresh_token" || text(config, "authorization_endpoint").is_none());
    }
    if begun(user) {
        required.extend(user);
    }
    let optional: Vec<&str> =
        known.iter().chain(user).chain(&["webhook_secret"]).copied().filter(|name| !required.contains(name)).collect();
    problems.credentials(credentials, &required, &optional, if jwt { "sign_in jwt_bearer" } else { "Workday" });
    if jwt && begun(known) && text(config, "subject").is_none() {
        problems.add("config.subject", "sign_in jwt_bearer needs the user to act as");
    }
    if has("username") && !credentials["username"].expose().contains('@') {
        problems.add("credentials.username", "the user name must end with @ and the tenant, as in isu_liaison@acme");
    }
    problems.finish()
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() && url.has_host()
    });
    url.ok_or_else(|| "it must be an address that starts with https:// and holds no user name".to_owned())
}

/// The host and the tenant of the REST endpoint.
fn place(config: &Json) -> Result<(Url, String), String> {
    let endpoint = text(config, "rest_endpoint").ok_or("the REST API endpoint is missing")?;
    let mut url = address(endpoint)?;
    let parts: Vec<String> =
        url.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if parts.first().map(String::as_str) != Some("ccx") || parts.get(1).map(String::as_str) != Some("api") {
        return Err("it must be the REST API endpoint of \"View API Clients\", with /ccx/api/ in it; the address of the page you sign in to is another host".to_owned());
    }
    let last = parts.last().filter(|_| parts.len() > 2).filter(|last| !(parts.len() == 3 && last.starts_with('v')));
    let tenant = text(config, "tenant").map(str::to_owned).or_else(|| last.cloned());
    let tenant = tenant.ok_or("it does not end with the tenant; add the tenant, or copy the endpoint whole")?;
    url.set_path("");
    url.set_query(None);
    url.set_fragment(None);
    Ok((url, tenant))
}

/// Where tokens are given out.
fn token_url(config: &Json) -> Result<Url, String> {
    if let Some(given) = text(config, "token_endpoint") {
        return address(given).map_err(|why| format!("of the token endpoint: {why}"));
    }
    let (mut url, tenant) = place(config)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(["ccx", "oauth2", &tenant, "token"]);
    }
    Ok(url)
}

/// How people sign in with a browser. Functional areas are chosen on the client, so no scope is asked for.
pub(super) fn sign_in() -> SignIn {
    SignIn::new(|connection| {
        let config = &connection.config;
        let page = text(config, "authorization_endpoint").filter(|_| text(config, "sign_in") != Some("jwt_bearer"));
        let (Some(page), Some(id)) = (page, connection.credentials.get("client_id")) else { return Ok(None) };
        Ok(Some(Authorize {
            authorize_url: address(page).map_err(|why| format!("of the authorization endpoint: {why}"))?,
            token_url: token_url(config)?,
            id: id.expose().to_owned(),
            secret: connection.credentials.get("client_secret").cloned(),
            in_body: false,
            scope: None,
            pkce: true,
            params: Vec::new(),
            token_params: Vec::new(),
            lasts: None,
        }))
    })
}

/// A connection's settings, read.
pub(super) struct Settings<'a> {
    pub(super) connection: &'a Connection,
    host: Url,
    pub(super) tenant: String,
}

impl<'a> Settings<'a> {
    /// The settings of the attempt's connection.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub(super) fn of(cx: &'a Cx) -> Result<Self, StepError> {
        let Some(connection) = cx.connection.as_deref() else {
            return Err(StepError::new(ErrorClass::Auth, "CONNECTION_MISSING", "the step names no Workday connection")
                .with_next("Choose a connection for it."));
        };
        let (host, tenant) = place(&connection.config).map_err(|why| broken(connection, &why))?;
        Ok(Self { connection, host, tenant })
    }

    /// An address of the host.
    pub(super) fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.host.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(parts);
        }
        url
    }

    /// An address of a REST service; `common` is the one without a name.
    pub(super) fn rest(&self, service: &str, parts: &[&str]) -> Url {
        let mut all = vec!["ccx", "api"];
        if service == "common" {
            all.push("v1");
        } else {
            all.extend([service, self.version(service)]);
        }
        all.push(&self.tenant);
        all.extend(parts);
        self.url(&all)
    }

    fn version(&self, service: &str) -> &str {
        let usual = VERSIONS.iter().find(|(name, _)| *name == service).map_or("v1", |(_, version)| version);
        self.connection.config["versions"][service].as_str().unwrap_or(usual)
    }

    pub(super) fn soap_version(&self) -> &str {
        text(&self.connection.config, "soap_version").unwrap_or(SOAP_VERSION)
    }

    /// The user of web services and reports with its password, if the connection has one.
    pub(super) fn user(&self) -> Option<(&str, &Secret)> {
        let secret = |name: &str| self.connection.credentials.get(name);
        Some((secret("username")?.expose(), secret("password")?))
    }

    /// True when REST and WQL can be called.
    pub(super) fn has_client(&self) -> bool {
        self.connection.credentials.contains_key("client_id")
    }

    /// The sign-in of the API client.
    ///
    /// # Errors
    /// When the connection has none.
    pub(super) fn client(&self, cx: &Cx) -> Result<Client<'_>, StepError> {
        let connection = self.connection;
        let credential = |name: &str| connection.credentials.get(name);
        let Some(id) = credential("client_id").map(Secret::expose) else {
            let why = "it has no API client, which REST and WQL need";
            return Err(broken(connection, why));
        };
        let jwt = text(&connection.config, "sign_in") == Some("jwt_bearer");
        let token_url = token_url(&connection.config).map_err(|why| broken(connection, &why))?;
        let assertion = match credential("private_key").filter(|_| jwt) {
            Some(key) => {
                let subject = text(&connection.config, "subject").unwrap_or_default();
                let claims = json!({ "iss": id, "sub": subject, "aud": "wd" });
                let claims = claims.as_object().cloned().unwrap_or_default();
                Some(Assertion { signature: Signature::Rs256, key, key_id: None, claims, life_s: ASSERTION_LIFE_S })
            }
            None => None,
        };
        Ok(Client {
            connection: &connection.name,
            grant: if jwt { Grant::JwtBearer } else { Grant::RefreshToken },
            token_url,
            id,
            secret: credential("client_secret").filter(|_| !jwt),
            refresh_token: credential("refresh_token"),
            in_body: false,
            // Functional areas are chosen on the client, not asked for.
            scope: None,
            params: Vec::new(),
            assertion,
            now_s: cx.now_s(),
        })
    }
}

fn broken(connection: &Connection, why: &str) -> StepError {
    StepError::new(
        ErrorClass::Auth,
        "CONNECTION_UNUSABLE",
        format!("the connection \"{}\" cannot be used: {why}", connection.name),
    )
    .with_next("Open the connection and correct it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: Json, credentials: &[(&str, &str)]) -> Vec<String> {
        let credentials = credentials.iter().map(|(name, text)| ((*name).to_owned(), Secret::new((*text).to_owned()))).collect();
        validate(&config, &credentials).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn a_connection_is_refused_for_what_would_not_work() {
        let good = json!({"rest_endpoint": "https://wd2-impl-services1.workday.com/ccx/api/v1/acme_preview1"});
        let client = [("client_id", "a"), ("client_secret", "b"), ("refresh_token", "c")];
        assert_eq!(problems(good.clone(), &client), [""; 0]);
        assert_eq!(place(&good).unwrap().1, "acme_preview1");
        assert_eq!(problems(good.clone(), &[("username", "isu@acme"), ("password", "b")]), [""; 0]);
        assert_eq!(problems(good.clone(), &[("username", "isu"), ("password", "b")]), ["credentials.username"]);
        assert_eq!(problems(good.clone(), &client[..2]), ["credentials.refresh_token"]);
        assert_eq!(problems(good.clone(), &[]).len(), 3);
        let page = json!({"rest_endpoint": "https://impl.workday.com/acme/d/home.htmld"});
        assert_eq!(problems(page, &client), ["config.rest_endpoint"]);
        assert_eq!(problems(json!({"rest_endpoint": "https://x/ccx/api/v1"}), &client), ["config.rest_endpoint"]);
        let mut browser = good.clone();
        browser["authorization_endpoint"] = json!("https://impl.workday.com/acme_preview1/authorize");
        assert_eq!(problems(browser, &client[..2]), [""; 0], "somebody signs in with a browser");
        let jwt = json!({"rest_endpoint": "https://x/ccx/api/v1/acme", "sign_in": "jwt_bearer"});
        assert_eq!(problems(jwt, &[("client_id", "a"), ("private_key", "k")]), ["config.subject"]);
    }
}
