//! The way a connection takes to its system: certificates, TLS version, proxy.

use std::{collections::HashMap, sync::Arc};

use connector::{
    Cx, Secret, StepError,
    http::{Route, RouteOptions, Via},
};
use serde_json::Value as Json;
use url::Url;

use super::request::broken_connection;
use connector::strict::{self, Problems};

/// Credentials that belong to the way, whatever the sign-in.
pub(super) const CREDENTIALS: [&str; 4] = ["client_certificate", "client_key", "proxy_username", "proxy_password"];
const TLS_KEYS: [&str; 2] = ["ca", "min_version"];
const VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// The way of the call's connection; `None` for the usual one.
pub(super) async fn of(cx: &Cx) -> Result<Option<Arc<Route>>, StepError> {
    let Some(connection) = cx.connection.as_deref() else {
        return Ok(None);
    };
    let refused = |sentence: String| broken_connection(connection, &sentence);
    let proxy = proxy(&connection.config).map_err(refused)?;
    let options = options(&connection.config, &connection.credentials, proxy.as_ref()).map_err(|(_, why)| refused(why))?;
    cx.http.route(options).await.map_err(|problem| refused(problem.to_string()))
}

/// Everything that is wrong with the way, told before the connection is saved.
pub(super) fn check(problems: &mut Problems, config: &Json, credentials: &HashMap<String, Secret>) {
    if let Some(tls) = config.get("tls").filter(|tls| !tls.is_null())
        && let Some(fields) = problems.record("config.tls", tls)
    {
        problems.unknown_keys("config.tls", fields, &TLS_KEYS);
    }
    for (one, other) in
        [("client_certificate", "client_key"), ("client_key", "client_certificate"), ("proxy_password", "proxy_username")]
    {
        if credentials.contains_key(one) && !credentials.contains_key(other) {
            problems.add(format!("credentials.{other}"), format!("the credential \"{one}\" needs \"{other}\" beside it"));
        }
    }
    match proxy(config) {
        Err(sentence) => problems.add("config.proxy", sentence),
        Ok(proxy) => match options(config, credentials, proxy.as_ref()) {
            Err((field, sentence)) => problems.add(field, sentence),
            Ok(options) => {
                let parts = [
                    (RouteOptions { ca_pem: options.ca_pem, ..RouteOptions::default() }, "config.tls.ca"),
                    (RouteOptions { identity: options.identity, ..RouteOptions::default() }, "credentials.client_certificate"),
                    (RouteOptions { via: options.via, ..RouteOptions::default() }, "config.proxy"),
                ];
                for (part, field) in parts {
                    if let Err(problem) = part.check() {
                        problems.add(field, problem.to_string());
                    }
                }
            }
        },
    }
}

/// The proxy's address; `None` inside for the word `none`.
fn proxy(config: &Json) -> Result<Option<Option<Url>>, String> {
    match config.get("proxy") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(word)) if word.trim() == "none" => Ok(Some(None)),
        Some(Json::String(text)) => match Url::parse(text.trim()) {
            Ok(url) => Ok(Some(Some(url))),
            Err(error) => Err(format!("the proxy cannot be read ({error}); give http://proxy.example.com:3128, or none")),
        },
        Some(other) => Err(format!("the proxy must be text, not {}", strict::kind(other))),
    }
}

fn options<'a>(
    config: &'a Json,
    credentials: &'a HashMap<String, Secret>,
    proxy: Option<&'a Option<Url>>,
) -> Result<RouteOptions<'a>, (&'static str, String)> {
    let text = |name: &str, field: &'static str| match config.get("tls").and_then(|tls| tls.get(name)) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err((field, format!("{name} must be text, not {}", strict::kind(other)))),
    };
    let pair = |one: &str, other: &str| credentials.get(one).zip(credentials.get(other));
    Ok(RouteOptions {
        ca_pem: text("ca", "config.tls.ca")?,
        identity: pair("client_certificate", "client_key"),
        tls13_only: match text("min_version", "config.tls.min_version")? {
            None | Some("1.2") => false,
            Some("1.3") => true,
            Some(other) => return Err(("config.tls.min_version", strict::unknown(other, &VERSIONS))),
        },
        via: match proxy {
            None => Via::Default,
            Some(None) => Via::Direct,
            Some(Some(url)) => Via::Proxy(url, pair("proxy_username", "proxy_password")),
        },
    })
}
