//! The doors: which address is what, and who may come in.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value as Json, json};
use url::form_urlencoded;

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    files::{self, Part},
    oauth::Form,
    org::Org,
    pubsub,
    settings::{NEWEST, OLDEST},
    soap, streaming,
    system::System,
    write::Writer,
};

/// Longest body of a plain call, in bytes.
const BODY_BYTES_MAX: usize = 52_428_800;
/// Longest body of a bulk upload: 100 MB that grow by a half in base64.
const UPLOAD_BYTES_MAX: usize = 157_286_400;
/// Longest address, and longest address with its headers.
const URI_BYTES_MAX: usize = 16_384;

/// A call of the REST API after its door: its path begins behind the version.
pub(super) struct Call {
    pub method: Method,
    pub version: String,
    pub path: Vec<String>,
    pub query: Form,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body of a part of a composite call.
    pub given: Option<Json>,
    /// Parts of a multipart body.
    pub parts: Vec<Part>,
    pub user: Arc<str>,
    pub session: Arc<str>,
}

impl Call {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The version as a number.
    pub(super) fn number(&self) -> f64 {
        self.version.parse().unwrap_or(0.0)
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Outcome<Json> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        if self.body.is_empty() {
            return Err(Trouble::json("The HTTP entity body is required, but this request has no entity body."));
        }
        let kind = self.header("content-type").unwrap_or_default();
        if !kind.is_empty() && !kind.contains("json") {
            let message = format!("The HTTP entity body type '{kind}' is not supported for this resource");
            return Err(Trouble::new(415, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Trouble::json(format_args!(
                "Unexpected character or end of input at [line:{}, column:{}]",
                error.line(),
                error.column()
            ))
        })
    }

    /// The body as an object.
    pub(super) fn object(&self) -> Outcome<super::write::Fields> {
        match self.json()? {
            Json::Object(fields) => Ok(fields),
            _ => Err(Trouble::json("Cannot deserialize instance of object: the body must be a JSON object")),
        }
    }

    /// The value of `name=` in a header of options, such as `client` of `Sforce-Call-Options`.
    fn option(&self, header: &str, name: &str) -> Option<String> {
        self.header(header)?.split([',', ';']).find_map(|part| {
            let (known, value) = part.split_once('=')?;
            known.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    pub(super) fn batch_size(&self) -> Option<usize> {
        self.option("sforce-query-options", "batchSize")?.parse().ok()
    }

    pub(super) fn writer(&self, system: &System) -> Writer {
        let client = self.option("sforce-call-options", "client");
        let origin = client.map_or_else(
            || format!("com/salesforce/api/rest/{}", self.version),
            |client| format!("com/salesforce/api/rest/{};client={client}", self.version),
        );
        let save = self.option("sforce-duplicate-rule-header", "allowSave").is_some_and(|save| save.eq_ignore_ascii_case("true"));
        system.writer(&self.user, &origin, save)
    }

    /// The address of a resource of this version.
    pub(super) fn address(&self, path: &str) -> String {
        format!("/services/data/v{}/{path}", self.version)
    }
}

pub(super) fn router(system: &Arc<System>) -> Router {
    pubsub::router().merge(streaming::router()).fallback(handle).with_state(system.clone())
}

async fn handle(State(system): State<Arc<System>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let pretty = parts.headers.get("x-prettyprint").is_some_and(|value| value == "1");
    let gzip = parts
        .headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    let mut answer = answer(&system, &parts, body).await.unwrap_or_else(|trouble| Answer::trouble(&trouble));
    // Clients that must not trust their own clock go by this one.
    answer.header("Date", httpdate::fmt_http_date(super::sobjects::moment(system.now_ms())));
    answer.written(pretty, gzip)
}

async fn answer(system: &Arc<System>, parts: &http::request::Parts, body: Body) -> Outcome<Answer> {
    let uri = parts.uri.to_string();
    let headers_bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if uri.len() > URI_BYTES_MAX {
        return Err(Trouble::new(414, "URI_TOO_LONG", "The length of the URI exceeds the 16,384-byte limit."));
    }
    if uri.len() + headers_bytes > URI_BYTES_MAX {
        return Err(Trouble::new(
            431,
            "REQUEST_HEADER_FIELDS_TOO_LARGE",
            "The combined length of the URI and headers exceeds the 16,384-byte limit.",
        ));
    }
    let raw = parts.uri.path();
    let path: Vec<String> = raw.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    let most = if raw.contains("/jobs/ingest") { UPLOAD_BYTES_MAX } else { BODY_BYTES_MAX };
    let body = Limited::new(body, most)
        .collect()
        .await
        .map_err(|_| Trouble::new(413, "REQUEST_ENTITY_TOO_LARGE", "The request is too large"))?;
    let body = files::unpacked(&parts.headers, body.to_bytes(), most)?;
    let query: Form = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names[..] {
        ["services", "oauth2", which] => oauth(system, which, parts, query, &body),
        ["id", org, user] => identity(system, org, user, parts, &query),
        ["services", "Soap", "u" | "c", ..] => Ok(soap::answer(system, &names, &body)),
        ["services", "data"] if parts.method == Method::GET => Ok(versions()),
        ["services", "apexrest", ..] => {
            let (user, session) = system.signed_in(&parts.headers)?;
            let call = Call {
                method: parts.method.clone(),
                version: NEWEST.to_owned(),
                path: path[2..].to_vec(),
                query,
                headers: parts.headers.clone(),
                body,
                given: None,
                parts: Vec::new(),
                user,
                session,
            };
            system.counted(system.apex(&call))
        }
        ["services", "data", version, ..] => {
            let version = known_version(version)?;
            let (user, session) = system.signed_in(&parts.headers)?;
            let several = files::parts(&parts.headers, &body).await?;
            let call = Call {
                method: method(parts, &query),
                version,
                path: path[3..].to_vec(),
                query,
                headers: parts.headers.clone(),
                body,
                given: None,
                parts: several,
                user,
                session,
            };
            system.counted(system.whole(&call))
        }
        _ => Err(Trouble::not_found()),
    }
}

/// `_HTTP_METHOD=PATCH` helps clients that cannot say PATCH.
fn method(parts: &http::request::Parts, query: &Form) -> Method {
    let other = query.iter().find(|(name, _)| name == "_HTTP_METHOD").and_then(|(_, value)| value.to_uppercase().parse().ok());
    if parts.method == Method::POST { other.unwrap_or(Method::POST) } else { parts.method.clone() }
}

pub(super) fn decoded(part: &str) -> String {
    // A plus in a path is a plus.
    let safe = part.replace('+', "%2B");
    form_urlencoded::parse(format!("x={safe}").as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

pub(super) fn known_version(text: &str) -> Outcome<String> {
    let number: Option<f64> = text.strip_prefix('v').and_then(|number| number.parse().ok());
    match number {
        Some(number) if (21.0..OLDEST).contains(&number) => Err(Trouble::new(
            410,
            "UNSUPPORTED_API_VERSION",
            format!("API version {number:.1} has been retired and is no longer supported."),
        )),
        Some(number) if number >= OLDEST && number <= NEWEST.parse().unwrap_or(number) && number.fract() == 0.0 => {
            Ok(format!("{number:.1}"))
        }
        _ => Err(Trouble::not_found()),
    }
}

fn versions() -> Answer {
    const SEASONS: [&str; 3] = ["Winter", "Spring", "Summer"];
    let list: Vec<Json> = (31_usize..=67)
        .map(|version| {
            // Version 31 is Summer '14; three come a year, and Winter carries the coming year's number.
            let place = version - 31 + 2;
            let label = format!("{} '{:02}", SEASONS[place % 3], 14 + place / 3);
            json!({ "label": label, "url": format!("/services/data/v{version}.0"), "version": format!("{version}.0") })
        })
        .collect();
    Answer::ok(json!(list))
}

fn oauth(system: &System, which: &str, parts: &http::request::Parts, query: Form, body: &Bytes) -> Outcome<Answer> {
    let mut form = query;
    form.extend(form_urlencoded::parse(body).into_owned());
    match (which, &parts.method) {
        ("authorize", &Method::GET | &Method::POST) => Ok(system.authorize(&form)),
        ("token", &Method::POST) => Ok(system.token(&form, &parts.headers)),
        ("token", _) => Ok(Answer::json(400, json!({ "error": "invalid_request", "error_description": "must use HTTP POST" }))),
        ("revoke", _) => Ok(system.revoke(&form)),
        ("introspect", &Method::POST) => Ok(system.introspect(&form, &parts.headers)),
        ("userinfo", _) => {
            let (user, session) =
                system.signed_in(&parts.headers).map_err(|_| Trouble::new(403, "Bad_OAuth_Token", "Bad_OAuth_Token"))?;
            system.who(&user, &session).map(Answer::ok).ok_or_else(Trouble::not_found)
        }
        _ => Err(Trouble::not_found()),
    }
}

fn identity(system: &System, org: &str, user: &str, parts: &http::request::Parts, query: &Form) -> Outcome<Answer> {
    let refused = || Ok(Answer::bytes(403, "text/html;charset=UTF-8", "Bad_OAuth_Token"));
    let token = query.iter().find(|(name, _)| name == "oauth_token").map(|(_, value)| value.clone());
    let token = token.or_else(|| bearer(&parts.headers).map(str::to_owned)).unwrap_or_default();
    if system.tokens.check(system.now_s(), &token).is_err() || !system.org.lock().id.starts_with(org.get(..15).unwrap_or("?")) {
        return refused();
    }
    system.who(user, &token).map_or_else(refused, |told| Ok(Answer::ok(told)))
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    matches!(scheme.to_ascii_lowercase().as_str(), "bearer" | "oauth").then_some(token.trim())
}

impl System {
    /// The user and the session of a call.
    pub(super) fn signed_in(&self, headers: &HeaderMap) -> Outcome<(Arc<str>, Arc<str>)> {
        let token = bearer(headers).ok_or_else(Trouble::session)?;
        let grant = self.tokens.check(self.now_s(), token).map_err(|_| Trouble::session())?;
        Ok((grant.subject.into(), token.into()))
    }

    /// Counts a call and says so in its answer.
    fn counted(&self, answered: Outcome<Answer>) -> Outcome<Answer> {
        let (used, most) = self.usage();
        let mut answer = answered.unwrap_or_else(|trouble| Answer::trouble(&trouble));
        answer.header("Sforce-Limit-Info", format!("api-usage={used}/{most}"));
        Ok(answer)
    }

    /// A call of its own: all it did is final when it answers.
    fn whole(&self, call: &Call) -> Outcome<Answer> {
        if !self.count(1) {
            return Err(Trouble::new(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."));
        }
        let mut org = self.org.lock();
        let mark = org.mark();
        let answered = self.dispatch(&mut org, call);
        if answered.is_err() {
            org.roll_back(mark);
        }
        self.settle(&mut org);
        answered
    }

    /// Does a call, alone or as a part of a composite one.
    pub(super) fn dispatch(&self, org: &mut Org, call: &Call) -> Outcome<Answer> {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        match path[..] {
            [] => Ok(self.resources(call)),
            ["limits"] => Ok(self.limits()),
            ["sobjects", ..] => self.sobjects(org, call, &path[1..]),
            ["query" | "queryAll", ..] => self.query(org, call, &path),
            ["search" | "parameterizedSearch"] => self.search(org, call, path[0]),
            ["composite"] => self.composite(org, call),
            ["composite", "batch"] => self.batch(org, call),
            ["composite", "graph"] => self.graph(org, call),
            ["composite", "tree", object] => self.tree(org, call, object),
            ["composite", "sobjects", ..] => self.collections(org, call, &path[2..]),
            ["jobs", ..] => self.jobs(org, call, &path[1..]),
            ["analytics", "reports", ..] => self.reports(org, call, &path[2..]),
            ["actions", ..] => self.actions(org, call, &path[1..]),
            ["process", "approvals"] => self.approve(org, call),
            ["recent"] => Ok(Answer::ok(json!([]))),
            ["tabs" | "theme" | "licensing" | "quickActions"] => Ok(Answer::ok(json!([]))),
            _ => Err(Trouble::not_found()),
        }
    }
}
