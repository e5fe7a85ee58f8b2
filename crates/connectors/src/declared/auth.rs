//! How connections of a declared connector sign in.

use std::{collections::HashMap, sync::Arc};

use ::http::HeaderName;
use async_trait::async_trait;
use connector::{
    Connection, Cx, ErrorClass, Secret, StepError,
    api::{Header, Sign},
    http::Request,
    oauth::SignIn,
    strict,
};
use serde_json::{Map, Value as Json, json};

use super::{
    oauth::{self, OAuth2},
    problem::{Code, Problems},
    record::Record,
    schema,
    template::Names,
    yaml::{Kind, Node},
};

/// Ways one connector may offer.
const WAYS_MAX: usize = 8;
const KINDS: [&str; 5] = ["none", "bearer", "basic", "api_key", "oauth2"];
const KEYS: [&str; 5] = ["kind", "note", "in", "name", "prefix"];
/// What belongs to oauth2.
const OAUTH_KEYS: [&str; 14] = [
    "grants",
    "token_url",
    "authorize_url",
    "scopes",
    "pkce",
    "client_auth",
    "params",
    "authorize_params",
    "issuer",
    "subject",
    "audience",
    "algorithm",
    "key_id",
    "claims",
];

/// One way to sign in.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    None,
    Bearer,
    Basic,
    Header(HeaderName, String),
    Query(String),
    OAuth2(Box<OAuth2>),
}

/// All ways a connector offers; the first is taken when a connection does not say.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    ways: Vec<(&'static str, Way)>,
}

impl Auth {
    /// Reads `auth`: one way, or a list of ways.
    pub(crate) fn read(node: Option<&Node>, names: &Names<'_>, problems: &mut Problems) -> Self {
        let Some(node) = node else { return Self { ways: vec![("none", Way::None)] } };
        let items = match &node.kind {
            Kind::List(items) if !items.is_empty() && items.len() <= WAYS_MAX => items.as_slice(),
            Kind::List(_) => {
                problems.add(Code::Value, node.at, format!("\"auth\" holds from 1 to {WAYS_MAX} ways to sign in."));
                &[]
            }
            _ => std::slice::from_ref(node),
        };
        let mut ways: Vec<(&'static str, Way)> = Vec::new();
        for item in items {
            if let Some((kind, way)) = way(item, names, problems) {
                if ways.iter().any(|(known, _)| *known == kind) {
                    problems.add(Code::Repeated, item.at, format!("The sign-in \"{kind}\" is there twice."));
                }
                ways.push((kind, way));
            }
        }
        Self { ways }
    }

    /// Adds what a connection says of its sign-in to the schema of its settings.
    pub(crate) fn settings(&self, properties: &mut Map<String, Json>) {
        let kinds: Vec<&str> = self.ways.iter().map(|(kind, _)| *kind).collect();
        if kinds.len() > 1 {
            properties.insert(
                "auth".to_owned(),
                json!({"type": "string", "enum": kinds, "default": kinds[0], "title": "Sign-in", "description": "How the connection signs in."}),
            );
        }
        if self.oauth().is_some() {
            properties.insert(
                "token_url".to_owned(),
                json!({"type": "string", "title": "Token address", "description": "Where tokens are given out, if not at the system's usual address."}),
            );
            properties.insert(
                "scope".to_owned(),
                json!({"type": "string", "title": "Scopes", "description": "What the token shall be good for, with blanks between, if not the connector's own list."}),
            );
        }
    }

    /// The credentials of all ways, as a JSON Schema.
    pub(crate) fn credentials(&self) -> Map<String, Json> {
        let mut properties = Map::new();
        let several = self.ways.len() > 1;
        for (kind, way) in &self.ways {
            let why = if several { format!("For sign-in {kind}.") } else { String::new() };
            let mut add = |name: &str, title: &str, text: &str| {
                let description = [why.as_str(), text].join(" ").trim().to_owned();
                properties.entry(name).or_insert_with(|| match description.is_empty() {
                    true => json!({"type": "string", "title": title}),
                    false => json!({"type": "string", "title": title, "description": description}),
                });
            };
            match way {
                Way::None => {}
                Way::Bearer => add("token", "Token", ""),
                Way::Basic => {
                    add("username", "User name", "");
                    add("password", "Password", "");
                }
                Way::Header(..) | Way::Query(_) => add("key", "Key", ""),
                Way::OAuth2(oauth) => {
                    add("client_id", "Client id", "");
                    add("client_secret", "Client secret", "");
                    if oauth.refreshes() {
                        add("refresh_token", "Refresh token", "Replaced by itself when the system gives a new one.");
                    }
                    if oauth.signs() {
                        add("private_key", "Private key", "PEM, unencrypted: signs what the tokens are given for.");
                    }
                }
            }
        }
        properties
    }

    /// Everything that is wrong with the credentials of a connection.
    pub(crate) fn check(
        &self,
        config: &Json,
        credentials: &HashMap<String, Secret>,
        beside: &[&str],
        problems: &mut strict::Problems,
    ) {
        let (kind, way) = match self.way(config) {
            Ok(found) => found,
            Err(sentence) => return problems.add("config.auth", sentence),
        };
        let (required, optional): (&[&str], &[&str]) = match way {
            Way::None => (&[], &[]),
            Way::Bearer => (&["token"], &[]),
            Way::Basic => (&["username"], &["password"]),
            Way::Header(..) | Way::Query(_) => (&["key"], &[]),
            Way::OAuth2(oauth) => {
                if let Err(sentence) = oauth.check_key(credentials) {
                    problems.add("credentials.private_key", sentence);
                }
                oauth.credentials(credentials)
            }
        };
        let optional: Vec<&str> = optional.iter().chain(beside).copied().collect();
        problems.credentials(credentials, required, &optional, &format!("sign-in {kind}"));
        schema::check_sendable(credentials, &["token", "key"], problems);
        for field in ["token_url"] {
            if let Some(text) = config.get(field).and_then(Json::as_str)
                && let Err(sentence) = oauth::address(text)
            {
                problems.add(format!("config.{field}"), sentence);
            }
        }
    }

    /// What signs the calls of a connection.
    pub(crate) fn sign(&self, connection: &Connection) -> Result<Box<dyn Sign>, StepError> {
        let broken = |why: &str| {
            StepError::new(
                ErrorClass::Auth,
                "CONNECTION_BROKEN",
                format!("the connection \"{}\" cannot be used: {why}", connection.name),
            )
            .with_next("Open the connection and correct its settings.")
        };
        let credential = |name: &str| {
            connection.credentials.get(name).cloned().ok_or_else(|| broken(&format!("it lacks the credential \"{name}\"")))
        };
        let (_, way) = self.way(&connection.config).map_err(|why| broken(&why))?;
        Ok(match way {
            Way::None => Box::new(Open),
            Way::Bearer => Box::new(Header::bearer(&credential("token")?)),
            Way::Basic => {
                let none = Secret::new(String::new());
                let password = connection.credentials.get("password").unwrap_or(&none);
                Box::new(Header::basic(credential("username")?.expose(), password))
            }
            Way::Header(name, prefix) => {
                let value = Secret::new(format!("{prefix}{}", credential("key")?.expose()));
                Box::new(Header { name: name.clone(), value })
            }
            Way::Query(name) => Box::new(InQuery { name: name.clone(), key: credential("key")? }),
            Way::OAuth2(oauth) => Box::new(oauth.signed(connection, credential("client_id")?).map_err(|why| broken(&why))?),
        })
    }

    fn way(&self, config: &Json) -> Result<(&'static str, &Way), String> {
        let first = || self.ways.first().map(|(kind, way)| (*kind, way)).ok_or_else(|| "it has no sign-in".to_owned());
        match config.get("auth") {
            None | Some(Json::Null) => first(),
            Some(Json::String(word)) => match self.ways.iter().find(|(kind, _)| kind == word) {
                Some((kind, way)) => Ok((kind, way)),
                None => Err(strict::unknown(word, &self.ways.iter().map(|(kind, _)| *kind).collect::<Vec<_>>())),
            },
            Some(other) => Err(format!("auth must be text, not {}", strict::kind(other))),
        }
    }

    /// How people sign in with a browser, where the file offers that.
    pub(crate) fn sign_in(self: &Arc<Self>) -> Option<SignIn> {
        self.oauth().filter(|oauth| oauth.asks_people())?;
        let auth = Arc::clone(self);
        Some(SignIn::new(move |connection| match auth.way(&connection.config)? {
            (_, Way::OAuth2(oauth)) => oauth.authorize(connection),
            _ => Ok(None),
        }))
    }

    fn oauth(&self) -> Option<&OAuth2> {
        self.ways.iter().find_map(|(_, way)| match way {
            Way::OAuth2(oauth) => Some(&**oauth),
            _ => None,
        })
    }
}

fn way(node: &Node, names: &Names<'_>, problems: &mut Problems) -> Option<(&'static str, Way)> {
    // `auth: bearer` for `auth: { kind: bearer }`.
    if let Some(word) = node.text() {
        let Some(kind) = KINDS.iter().find(|kind| **kind == word) else {
            problems.unknown(Code::Value, node.at, "sign-in", word, &KINDS);
            return None;
        };
        return match *kind {
            "none" => Some((kind, Way::None)),
            "bearer" => Some((kind, Way::Bearer)),
            "basic" => Some((kind, Way::Basic)),
            "api_key" => Some((kind, Way::Header(HeaderName::from_static("x-api-key"), String::new()))),
            _ => {
                problems.add(Code::MissingKey, node.at, "The sign-in oauth2 is a record with kind, grants and token_url.");
                None
            }
        };
    }
    let known: Vec<&str> = KEYS.iter().chain(&OAUTH_KEYS).copied().collect();
    let record = Record::read(node, "auth", &known, problems)?;
    record.need("kind", "auth", problems)?;
    let kind = KINDS[record.word("kind", &KINDS, problems)?];
    let own: &[&str] = match kind {
        "api_key" => &["in", "name", "prefix"],
        "oauth2" => &OAUTH_KEYS,
        _ => &[],
    };
    for entry in
        record.entries().filter(|entry| !["kind", "note"].contains(&entry.key.as_str()) && known.contains(&entry.key.as_str()))
    {
        if !own.contains(&entry.key.as_str()) {
            problems.add(Code::UnknownKey, entry.at, format!("\"{}\" is not used by sign-in {kind}.", entry.key));
        }
    }
    let way = match kind {
        "none" => Way::None,
        "bearer" => Way::Bearer,
        "basic" => Way::Basic,
        "api_key" => key(&record, problems)?,
        _ => Way::OAuth2(Box::new(OAuth2::read(&record, names, problems)?)),
    };
    Some((kind, way))
}

fn key(record: &Record<'_>, problems: &mut Problems) -> Option<Way> {
    let name = record.text("name", problems).unwrap_or("X-API-Key");
    if record.word("in", &["header", "query"], problems) == Some(1) {
        return Some(Way::Query(name.to_owned()));
    }
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Some(Way::Header(name, record.text("prefix", problems).unwrap_or_default().to_owned())),
        Err(_) => {
            problems.add(
                Code::Value,
                record.place("name"),
                format!("\"{}\" cannot be the name of a header.", name.escape_debug()),
            );
            None
        }
    }
}

/// No sign-in.
struct Open;

#[async_trait]
impl Sign for Open {
    async fn sign(&self, _cx: &Cx, _request: &mut Request, _refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        Ok(None)
    }
}

/// A key in the address.
struct InQuery {
    name: String,
    key: Secret,
}

#[async_trait]
impl Sign for InQuery {
    async fn sign(&self, _cx: &Cx, request: &mut Request, _refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        // The address of a later page may carry it already.
        if !request.url.query_pairs().any(|(name, value)| name == self.name && value == self.key.expose()) {
            request.url.query_pairs_mut().append_pair(&self.name, self.key.expose());
        }
        Ok(None)
    }
}
