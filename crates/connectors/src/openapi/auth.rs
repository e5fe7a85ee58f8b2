//! Security schemes as ways to sign in.

use std::str::FromStr;

use ::http::HeaderName;
use serde_json::{Map, Value as Json, json};

use super::document::Document;

/// A sign-in somebody names because the description does not, or names another one: `none`, `bearer`, `basic`,
/// `api_key`, or `api_key:Header-Name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignsIn(Json);

impl SignsIn {
    pub(super) fn way(&self) -> Json {
        self.0.clone()
    }
}

impl FromStr for SignsIn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("none" | "bearer" | "basic" | "api_key", None) => Ok(Self(json!(kind))),
            ("api_key", Some(name)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Ok(Self(json!({"kind": "api_key", "in": "header", "name": name})))
            }
            ("api_key", Some(name)) => Err(format!("\"{}\" cannot be the name of a header", name.escape_debug())),
            ("oauth2", _) => {
                Err("oauth2 needs addresses: import with none, then write it under connection.auth of the file".to_owned())
            }
            _ => Err("a sign-in is none, bearer, basic, api_key or api_key:Header-Name".to_owned()),
        }
    }
}

/// The header or query value with the key that a connection signs in with.
pub(super) struct Key {
    place: String,
    name: String,
    /// No connection signs in otherwise.
    only: bool,
}

impl Key {
    /// That of the ways to sign in, if a key is one of them.
    pub(super) fn of(ways: &Json) -> Option<Self> {
        let (ways, only) = match ways {
            Json::Array(ways) => (ways.as_slice(), ways.len() == 1),
            way => (std::slice::from_ref(way), true),
        };
        let way = ways.iter().find(|way| **way == "api_key" || way["kind"] == "api_key")?;
        // What is left out means in a connector file what it means here.
        let text = |field: &str, usual: &str| way.get(field).and_then(Json::as_str).unwrap_or(usual).to_owned();
        Some(Self { place: text("in", "header"), name: text("name", "X-API-Key"), only })
    }

    /// Whether a parameter of an operation is the key, so that the connection fills it in.
    ///
    /// Where an operation wants the key together with another sign-in, connections that have the other one lack the key: the
    /// parameter stays with the steps.
    pub(super) fn is(&self, document: &Document<'_>, operation: &Json, parameter: &Json) -> bool {
        self.lies_in(parameter) && (self.only || !self.wanted_with_others(document, operation))
    }

    /// Whether a parameter or a security scheme is of the same place and name.
    fn lies_in(&self, described: &Json) -> bool {
        let text = |name: &str| described.get(name).and_then(Json::as_str).unwrap_or_default();
        text("in") == self.place
            && match self.place.as_str() {
                "header" => text("name").eq_ignore_ascii_case(&self.name),
                _ => text("name") == self.name,
            }
    }

    fn wanted_with_others(&self, document: &Document<'_>, operation: &Json) -> bool {
        let schemes = document.root.pointer("/components/securitySchemes");
        let wanted = operation.get("security").or_else(|| document.root.get("security")).and_then(Json::as_array);
        wanted.into_iter().flatten().filter_map(Json::as_object).any(|together| {
            let named = together.keys().filter_map(|name| schemes?.get(name.as_str()));
            together.len() > 1 && named.map(|scheme| document.meant(scheme)).any(|scheme| self.lies_in(scheme))
        })
    }
}

/// The ways a description offers, those of its own requirement first.
pub(super) fn read(document: &Document<'_>, report: &mut Vec<(String, String)>) -> Json {
    let schemes = document.root.pointer("/components/securitySchemes").and_then(Json::as_object);
    let Some(schemes) = schemes.filter(|schemes| !schemes.is_empty()) else {
        report.push(("security".to_owned(), "it does not say how to sign in; the connection signs in not at all".to_owned()));
        return json!("none");
    };
    let mut ways: Vec<Json> = Vec::new();
    for name in order(document, schemes, report) {
        let Some(scheme) = schemes.get(&name).map(|scheme| document.meant(scheme)) else { continue };
        let place = format!("securitySchemes.{name}");
        match way(scheme) {
            Ok(way) if ways.iter().any(|known| known["kind"] == way["kind"]) => {
                report
                    .push((place, format!("left out: there is a sign-in {} already", way["kind"].as_str().unwrap_or_default())));
            }
            Ok(way) => ways.push(way),
            Err(why) => report.push((place, format!("left out: {why}"))),
        }
    }
    match ways.len() {
        0 => {
            report
                .push(("security".to_owned(), "none of its sign-ins can be used; the connection signs in not at all".to_owned()));
            json!("none")
        }
        1 => ways.remove(0),
        _ => Json::Array(ways),
    }
}

fn order(document: &Document<'_>, schemes: &Map<String, Json>, report: &mut Vec<(String, String)>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for requirement in document.root.get("security").and_then(Json::as_array).into_iter().flatten() {
        let together: Vec<&String> = requirement.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        if together.len() > 1 {
            let all: Vec<&str> = together.iter().map(|name| name.as_str()).collect();
            report.push((
                "security".to_owned(),
                format!("{} are wanted together; a connection has one of them", all.join(" and ")),
            ));
        }
        names.extend(together.into_iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    }
    if names.is_empty() {
        names.extend(schemes.keys().cloned());
    }
    names
}

fn way(scheme: &Json) -> Result<Json, String> {
    let text = |name: &str| scheme.get(name).and_then(Json::as_str).unwrap_or_default();
    match text("type") {
        "http" => match text("scheme").to_ascii_lowercase().as_str() {
            "bearer" => Ok(json!({"kind": "bearer"})),
            "basic" => Ok(json!({"kind": "basic"})),
            other => Err(format!("the HTTP sign-in {other} is not known here")),
        },
        "apiKey" => match text("in") {
            // Many descriptions say a bearer token so.
            "header" if text("name").eq_ignore_ascii_case("authorization") => {
                Ok(json!({"kind": "api_key", "in": "header", "name": "Authorization"}))
            }
            place @ ("header" | "query") => Ok(json!({"kind": "api_key", "in": place, "name": text("name")})),
            place => Err(format!("a key in a {place} is not sent")),
        },
        "oauth2" => oauth2(scheme.get("flows").unwrap_or(&Json::Null)),
        other => Err(format!("the sign-in {other} is not known here")),
    }
}

fn oauth2(flows: &Json) -> Result<Json, String> {
    let (code, own) = (flows.get("authorizationCode"), flows.get("clientCredentials"));
    let Some(flow) = code.or(own) else { return Err("only authorization codes and client credentials are used".to_owned()) };
    let address = |name: &str| flow.get(name).and_then(Json::as_str).filter(|url| url.starts_with("http"));
    let token_url = address("tokenUrl").ok_or("its tokenUrl is no whole address")?;
    let mut grants = Vec::new();
    let mut way = json!({"kind": "oauth2"});
    if code.is_some() {
        let authorize_url = address("authorizationUrl").ok_or("its authorizationUrl is no whole address")?;
        grants.extend(["authorization_code", "refresh_token"]);
        way["authorize_url"] = authorize_url.into();
    }
    if own.is_some_and(|own| own.get("tokenUrl") == flow.get("tokenUrl")) {
        grants.push("client_credentials");
    }
    way["grants"] = json!(grants);
    way["token_url"] = token_url.into();
    let scopes: Vec<&String> =
        flow.get("scopes").and_then(Json::as_object).into_iter().flatten().map(|(scope, _)| scope).collect();
    if !scopes.is_empty() && scopes.len() <= 30 {
        way["scopes"] = json!(scopes);
    }
    Ok(way)
}
