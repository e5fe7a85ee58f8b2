//! OAuth 2.0 of a declared connector: tokens that are renewed, and people who sign in with a browser.

use std::collections::HashMap;

use ::http::header::AUTHORIZATION;
use async_trait::async_trait;
use connector::{
    Connection, Cx, Secret, StepError,
    api::{Sign, put_secret},
    http::Request,
    jwt::Signature,
    oauth::{Authorize, Client, Grant},
};
use serde_json::{Map, Value as Json};
use url::Url;

use super::{
    problem::{Code, Problems},
    record::Record,
    template::{Names, Over, Template},
};
use crate::assertion;

const GRANTS: [&str; 4] = ["authorization_code", "refresh_token", "client_credentials", "jwt_bearer"];
const JWT_BEARER: usize = 3;
/// What only the grant jwt_bearer uses.
const ASSERTION_KEYS: [&str; 6] = ["issuer", "subject", "audience", "algorithm", "key_id", "claims"];

/// OAuth 2.0, as a file says it.
#[derive(Debug, Clone)]
pub(crate) struct OAuth2 {
    token_url: Template,
    /// The page people agree on.
    authorize_url: Option<Template>,
    scopes: Vec<String>,
    pkce: bool,
    in_body: bool,
    params: Vec<(String, String)>,
    authorize_params: Vec<(String, String)>,
    /// The grants, in the order of [`GRANTS`].
    grants: [bool; 4],
    /// What it signs, for the grant jwt_bearer.
    says: Option<Says>,
}

/// What an assertion says; what is left out is the client id, and the token address for the audience.
#[derive(Debug, Clone)]
struct Says {
    issuer: Option<Template>,
    subject: Option<Template>,
    audience: Option<Template>,
    key_id: Option<Template>,
    signature: Signature,
    claims: Vec<(String, Template)>,
}

impl Says {
    fn read(record: &Record<'_>, names: &Names<'_>, problems: &mut Problems) -> Self {
        let template = |key: &str, problems: &mut Problems| {
            let text = record.text(key, problems)?;
            Some(Template::text_of(text, record.place(key), names, problems))
        };
        let mut claims = Vec::new();
        if let Some(said) = record.get("claims").and_then(|node| Record::open(node, "claims", problems)) {
            for entry in said.entries() {
                if assertion::OWN_CLAIMS.contains(&entry.key.as_str()) {
                    let sentence = "has a key of its own or is made for each assertion";
                    problems.add(Code::Value, entry.at, format!("The claim \"{}\" {sentence}.", entry.key));
                }
                match entry.value.text() {
                    Some(text) => {
                        claims.push((entry.key.clone(), Template::text_of(text, entry.value.at, names, problems)));
                    }
                    None => problems.add(Code::Kind, entry.value.at, format!("\"{}\" must be text.", entry.key)),
                }
            }
        }
        let algorithm = record.word("algorithm", &assertion::ALGORITHMS, problems).unwrap_or(0);
        Self {
            issuer: template("issuer", problems),
            subject: template("subject", problems),
            audience: template("audience", problems),
            key_id: template("key_id", problems),
            signature: assertion::signature(assertion::ALGORITHMS[algorithm]).unwrap_or(Signature::Rs256),
            claims,
        }
    }

    /// For this connection.
    fn of(&self, connection: &Connection, id: &Secret, token_url: &Url) -> Result<Signed, String> {
        let key = connection.credentials.get("private_key").cloned().ok_or("it lacks the credential \"private_key\"")?;
        let text = |template: &Option<Template>| match template {
            Some(template) => filled(template, connection).map(|text| Some(text).filter(|text| !text.is_empty())),
            None => Ok(None),
        };
        let issuer = text(&self.issuer)?.unwrap_or_else(|| id.expose().to_owned());
        let subject = text(&self.subject)?.unwrap_or_else(|| issuer.clone());
        let audience = text(&self.audience)?.unwrap_or_else(|| token_url.to_string());
        let mut more = Map::new();
        for (name, template) in &self.claims {
            more.insert(name.clone(), filled(template, connection)?.into());
        }
        let claims = assertion::claims(&issuer, &subject, &audience, more);
        Ok(Signed { signature: self.signature, key, key_id: text(&self.key_id)?, claims })
    }
}

/// What an assertion of a connection is made of.
struct Signed {
    signature: Signature,
    key: Secret,
    key_id: Option<String>,
    claims: Map<String, Json>,
}

impl OAuth2 {
    /// Reads a record of `auth`.
    pub(crate) fn read(record: &Record<'_>, names: &Names<'_>, problems: &mut Problems) -> Option<Self> {
        let mut grants = Vec::new();
        record.need("grants", "sign-in oauth2", problems);
        for (word, at) in record.texts("grants", problems) {
            match GRANTS.iter().position(|grant| *grant == word) {
                Some(grant) => grants.push(grant),
                None => problems.unknown(Code::Value, at, "grant", word, &GRANTS),
            }
        }
        let address = |key: &str, problems: &mut Problems| {
            let text = record.text(key, problems)?;
            let at = record.place(key);
            if !text.contains("${")
                && let Err(sentence) = self::address(text)
            {
                problems.add(Code::Value, at, format!("The {key} is not right: {sentence}."));
            }
            Some(Template::text_of(text, at, names, problems))
        };
        let pairs = |key: &str, problems: &mut Problems| {
            let Some(node) = record.get(key) else { return Vec::new() };
            let Some(pairs) = Record::open(node, key, problems) else { return Vec::new() };
            let mut found = Vec::new();
            for entry in pairs.entries() {
                match entry.value.text() {
                    Some(text) => found.push((entry.key.clone(), text.to_owned())),
                    None => problems.add(Code::Kind, entry.value.at, format!("\"{}\" must be text.", entry.key)),
                }
            }
            found
        };
        let says = grants.contains(&JWT_BEARER).then(|| Says::read(record, names, problems));
        if says.is_none()
            && let Some(entry) = record.entries().find(|entry| ASSERTION_KEYS.contains(&entry.key.as_str()))
        {
            problems.add(Code::UnknownKey, entry.at, format!("\"{}\" is only used by grant jwt_bearer.", entry.key));
        }
        record.need("token_url", "sign-in oauth2", problems);
        let token_url = address("token_url", problems);
        let authorize_url = address("authorize_url", problems);
        if grants.contains(&0) && record.get("authorize_url").is_none() {
            problems.add(
                Code::MissingKey,
                record.at,
                "The grant authorization_code needs \"authorize_url\", where people sign in.",
            );
        }
        Some(Self {
            params: pairs("params", problems),
            token_url: token_url?,
            scopes: record.texts("scopes", problems).into_iter().map(|(scope, _)| scope.to_owned()).collect(),
            in_body: record.word("client_auth", &["basic", "body"], problems) == Some(1),
            authorize_params: pairs("authorize_params", problems),
            authorize_url,
            // A system that refuses it must be named; anywhere else it costs nothing.
            pkce: record.get("pkce").is_none() || record.flag("pkce", problems),
            grants: [0, 1, 2, JWT_BEARER].map(|grant| grants.contains(&grant)),
            says,
        })
    }

    /// True where a refresh token may stand in the connection or come with a sign-in.
    pub(crate) const fn refreshes(&self) -> bool {
        self.grants[0] || self.grants[1]
    }

    /// True where people can sign in with a browser.
    pub(crate) const fn asks_people(&self) -> bool {
        self.grants[0] && self.authorize_url.is_some()
    }

    /// True where connections sign with a private key.
    pub(crate) const fn signs(&self) -> bool {
        self.says.is_some()
    }

    /// Whether the private key can sign as the file says.
    pub(crate) fn check_key(&self, credentials: &HashMap<String, Secret>) -> Result<(), String> {
        match (&self.says, credentials.get("private_key")) {
            (Some(says), Some(key)) => assertion::check_key(says.signature, key),
            _ => Ok(()),
        }
    }

    /// The credentials it needs, and those it also takes.
    pub(crate) fn credentials(&self, given: &HashMap<String, Secret>) -> (&'static [&'static str], &'static [&'static str]) {
        match (self.grant(given), self.grants[0]) {
            // It comes when somebody signs in.
            (Grant::RefreshToken, true) => (&["client_id"], &["client_secret", "refresh_token"]),
            (Grant::RefreshToken, false) => (&["client_id", "refresh_token"], &["client_secret"]),
            (Grant::JwtBearer, _) => (&["client_id", "private_key"], &["client_secret"]),
            _ => (&["client_id", "client_secret"], if self.grants[1] { &["refresh_token"] } else { &[] }),
        }
    }

    /// What a connection's people agree to, if they do.
    pub(crate) fn authorize(&self, connection: &Connection) -> Result<Option<Authorize>, String> {
        let Some(authorize_url) = self.authorize_url.as_ref().filter(|_| self.asks_people()) else { return Ok(None) };
        // One that signs by itself needs nobody.
        if matches!(self.grant(&connection.credentials), Grant::JwtBearer) {
            return Ok(None);
        }
        let id = connection.credentials.get("client_id").ok_or("it lacks the credential \"client_id\"")?;
        Ok(Some(Authorize {
            authorize_url: address(&filled(authorize_url, connection)?)?,
            token_url: self.token_url(connection)?,
            id: id.expose().to_owned(),
            secret: connection.credentials.get("client_secret").cloned(),
            in_body: self.in_body,
            scope: Some(self.scope(connection)).filter(|scope| !scope.is_empty()),
            pkce: self.pkce,
            params: self.authorize_params.clone(),
            token_params: self.params.clone(),
            lasts: None,
        }))
    }

    fn token_url(&self, connection: &Connection) -> Result<Url, String> {
        match told(connection, "token_url") {
            Some(text) => address(text),
            None => address(&filled(&self.token_url, connection)?),
        }
    }

    fn scope(&self, connection: &Connection) -> String {
        told(connection, "scope").map_or_else(|| self.scopes.join(" "), str::to_owned)
    }

    /// With a private key or a refresh token when there is one, or when there is no other way.
    fn grant(&self, credentials: &HashMap<String, Secret>) -> Grant {
        let others = self.grants[..JWT_BEARER].contains(&true);
        if self.signs() && (!others || credentials.contains_key("private_key")) {
            Grant::JwtBearer
        } else if self.refreshes() && (!self.grants[2] || credentials.contains_key("refresh_token")) {
            Grant::RefreshToken
        } else {
            Grant::ClientCredentials
        }
    }

    /// What signs the calls of a connection.
    pub(crate) fn signed(&self, connection: &Connection, id: Secret) -> Result<Tokens, String> {
        let (grant, token_url) = (self.grant(&connection.credentials), self.token_url(connection)?);
        let says = self.says.as_ref().filter(|_| grant == Grant::JwtBearer);
        let signed = says.map(|says| says.of(connection, &id, &token_url)).transpose()?;
        Ok(Tokens {
            connection: connection.name.clone(),
            grant,
            token_url,
            signed,
            id,
            secret: connection.credentials.get("client_secret").cloned(),
            refresh_token: connection.credentials.get("refresh_token").cloned(),
            in_body: self.in_body,
            scope: self.scope(connection),
            params: self.params.clone(),
        })
    }
}

/// An address that can be one, or the sentence that says why not.
pub(crate) fn address(text: &str) -> Result<Url, String> {
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() => Ok(url),
        _ => Err("the address must start with https:// or http:// and hold no user name".to_owned()),
    }
}

fn told<'c>(connection: &'c Connection, name: &str) -> Option<&'c str> {
    connection.config.get(name).and_then(Json::as_str).map(str::trim).filter(|text| !text.is_empty())
}

fn filled(template: &Template, connection: &Connection) -> Result<String, String> {
    let over = Over::new("input", Json::Null, &connection.config);
    Ok(template.text(&over).map_err(|error| error.message)?.unwrap_or_default())
}

/// Tokens that are renewed.
pub(crate) struct Tokens {
    connection: String,
    grant: Grant,
    token_url: Url,
    signed: Option<Signed>,
    id: Secret,
    secret: Option<Secret>,
    refresh_token: Option<Secret>,
    in_body: bool,
    scope: String,
    params: Vec<(String, String)>,
}

#[async_trait]
impl Sign for Tokens {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        let client = Client {
            connection: &self.connection,
            grant: self.grant,
            token_url: self.token_url.clone(),
            id: self.id.expose(),
            secret: self.secret.as_ref(),
            refresh_token: self.refresh_token.as_ref(),
            in_body: self.in_body,
            // With a refresh token, no scope means the one it was given for (RFC 6749, 6).
            scope: Some(self.scope.clone()).filter(|scope| !scope.is_empty() && self.grant != Grant::RefreshToken),
            params: self.params.clone(),
            assertion: self.signed.as_ref().map(|signed| {
                assertion::signed_with(signed.signature, &signed.key, signed.key_id.as_deref(), signed.claims.clone())
            }),
            now_s: cx.now_s(),
        };
        let token = client.signed_in(&cx.http, refused, cx.left()).await?.access;
        let value = Secret::new(format!("Bearer {}", token.expose()));
        put_secret(&mut request.headers, &AUTHORIZATION, &value)?;
        Ok(Some(token))
    }
}
