//! Calls to one org: signed in, in one API version, told in Salesforce's terms.

use std::sync::Arc;

use ::http::{HeaderName, Method, header};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use connector::{
    Connection, Cx, ErrorClass, Secret, StepError,
    api::{Answer, Call, Sign, put_secret},
    hint::{Hint, Window},
    http::{Request, Sink},
    jwt::{Assertion, Signature},
    oauth::{Authorize, Client, Grant, SignIn, Token},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value as Json};
use sha2::Sha256;
use url::Url;

use super::{
    errors::DIALECT,
    settings::{login_url, version},
};

/// How long an assertion is good, in seconds; Salesforce takes 180 by its own clock.
const ASSERTION_S: i64 = 170;

const LIMIT_INFO: &str = "sforce-limit-info";
pub(super) const CALL_OPTIONS: HeaderName = HeaderName::from_static("sforce-call-options");

/// Salesforce as one attempt reaches it.
pub(super) struct Api<'a> {
    pub cx: &'a Cx,
    pub version: String,
    base: Url,
}

/// The session of a connection. The address of a call is only a path until it is signed: the org says where it lives.
struct Session;

pub(super) fn invalid(code: &str, message: impl Into<String>, next: &str) -> StepError {
    StepError::new(ErrorClass::Invalid, code, message).with_next(next)
}

pub(super) fn connection(cx: &Cx) -> Result<&Arc<Connection>, StepError> {
    cx.connection
        .as_ref()
        .ok_or_else(|| invalid("CONNECTION_MISSING", "the step has no connection", "Name a Salesforce connection in the step."))
}

impl<'a> Api<'a> {
    pub(super) fn of(cx: &'a Cx) -> Result<Self, StepError> {
        let config = &connection(cx)?.config;
        let base = login_url(config)
            .map_err(|words| invalid("CONNECTION_UNUSABLE", words, "Correct the connection's login address."))?;
        Ok(Self { cx, version: version(config).to_owned(), base })
    }

    /// The address of a resource of the API version; each part is written so that it stays one part.
    pub(super) fn url(&self, parts: &[&str]) -> Url {
        let root = format!("v{}", self.version);
        self.whole_url(&[&["services", "data", &root], parts].concat())
    }

    /// The address of any resource.
    pub(super) fn whole_url(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(parts);
        }
        url
    }

    /// The address Salesforce itself named, such as the next page of a query; it never leads elsewhere.
    pub(super) fn named_url(&self, path: &str) -> Result<Url, StepError> {
        let good = path.starts_with("/services/") && !path.contains("..");
        let url = self.base.join(path).ok().filter(|url| good && url.origin() == self.base.origin());
        url.ok_or_else(|| {
            StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", "Salesforce named a next page that is no address of its own")
        })
    }

    pub(super) fn call(&self, method: Method, url: Url) -> Call<'a> {
        // Our name comes back in change events, so that a recipe can tell its own writes.
        Call::new(self.cx, &DIALECT, &Session, method, url).header(CALL_OPTIONS, "client=liaison")
    }

    pub(super) fn get(&self, parts: &[&str]) -> Call<'a> {
        self.call(Method::GET, self.url(parts))
    }

    /// Makes the call and passes on what the org says of its limits.
    pub(super) async fn send(&self, call: Call<'a>) -> Result<Answer, StepError> {
        self.heard(call.send().await)
    }

    /// The same, with the body of a good answer given to a sink.
    pub(super) async fn send_into(&self, call: Call<'a>, sink: &mut dyn Sink) -> Result<Answer, StepError> {
        self.heard(call.send_into(Some(sink)).await)
    }

    /// Makes the call and reads the JSON it is answered with.
    pub(super) async fn json(&self, call: Call<'a>) -> Result<Json, StepError> {
        self.send(call).await?.json()
    }

    /// Makes a call that is answered with nothing.
    pub(super) async fn nothing(&self, call: Call<'a>) -> Result<(), StepError> {
        let answer = self.send(call).await?;
        // A gateway's page with status 200 is no sign that anything was done.
        if answer.body.is_empty() { Ok(()) } else { Err(answer.unreadable("an empty answer was expected")) }
    }

    /// `Sforce-Limit-Info: api-usage=18/15000`, which refusals tell, too.
    fn heard(&self, answer: Result<Answer, StepError>) -> Result<Answer, StepError> {
        let told = match &answer {
            Ok(answer) => answer.header(LIMIT_INFO),
            Err(error) => error.response.as_ref().and_then(|response| response["headers"][LIMIT_INFO].as_str()),
        };
        let told = told.and_then(|text| {
            let usage = text.split(';').find_map(|part| part.trim().strip_prefix("api-usage="))?;
            let (used, limit) = usage.split_once('/')?;
            Some((used.trim().parse::<u64>().ok()?, limit.trim().parse::<u64>().ok()?))
        });
        if let Some((used, limit)) = told {
            self.cx.hint(Hint { window: Window::Day, limit, left: limit.saturating_sub(used), resets_in: None });
        }
        answer
    }
}

/// The parts of a path below an address, as people write it.
pub(super) fn below(url: &mut Url, path: &str) {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
        for part in path.split('/').filter(|part| !part.is_empty() && *part != "." && *part != "..") {
            // What is written as %2F is meant as such.
            let plain = percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
            segments.push(&plain);
        }
    }
    url.set_query(query);
}

/// A token that is good now; `refused` is one that Salesforce just refused.
pub(super) async fn signed_in(cx: &Cx, refused: Option<&Secret>) -> Result<Token, StepError> {
    let connection = connection(cx)?;
    let client = client(connection, cx.now_s())?;
    let token = client.signed_in(&cx.http, refused, cx.left()).await?;
    genuine(&client, &token)?;
    Ok(token)
}

#[async_trait]
impl Sign for Session {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        let token = signed_in(cx, refused).await?;
        if let Some(instance) = token.told.get("instance_url").and_then(Json::as_str) {
            settle(&mut request.url, instance)?;
        }
        let value = Secret::new(format!("Bearer {}", token.access.expose()));
        put_secret(&mut request.headers, &header::AUTHORIZATION, &value)?;
        Ok(Some(token.access))
    }
}

/// How a person signs in with a browser, for connections that act as one.
pub(super) fn sign_in() -> SignIn {
    SignIn::new(|connection| {
        let config = &connection.config;
        if config.get("sign_in").and_then(Json::as_str) != Some("refresh_token") {
            return Ok(None);
        }
        let base = login_url(config)?;
        let at = |path: &str| {
            let mut url = base.clone();
            url.set_path(path);
            url
        };
        Ok(Some(Authorize {
            authorize_url: at("/services/oauth2/authorize"),
            token_url: at("/services/oauth2/token"),
            id: config.get("client_id").and_then(Json::as_str).unwrap_or_default().to_owned(),
            secret: connection.credentials.get("client_secret").cloned(),
            in_body: true,
            scope: Some("api refresh_token".to_owned()),
            pkce: true,
            params: Vec::new(),
            token_params: Vec::new(),
            lasts: None,
        }))
    })
}

fn client(connection: &Connection, now_s: i64) -> Result<Client<'_>, StepError> {
    let config = &connection.config;
    let text = |name: &str| config.get(name).and_then(Json::as_str);
    let unusable = |words: &str| {
        StepError::new(ErrorClass::Auth, "CONNECTION_UNUSABLE", words).with_next("Correct the connection's settings.")
    };
    let mut token_url = login_url(config).map_err(unusable)?;
    let audience = text("audience").map_or_else(|| audience(&token_url), str::to_owned);
    token_url.set_path("/services/oauth2/token");
    let id = text("client_id").unwrap_or_default();
    let secret = connection.credentials.get("client_secret");
    let (grant, assertion) = match text("sign_in") {
        Some("jwt_bearer") => {
            let key = connection.credentials.get("private_key").ok_or_else(|| unusable("the connection has no private key"))?;
            let claims = [("iss", id), ("sub", text("username").unwrap_or_default()), ("aud", &audience)];
            let claims: Map<String, Json> =
                claims.into_iter().map(|(name, value)| (name.to_owned(), Json::from(value))).collect();
            (Grant::JwtBearer, Some(Assertion { signature: Signature::Rs256, key, key_id: None, claims, life_s: ASSERTION_S }))
        }
        Some("refresh_token") => (Grant::RefreshToken, None),
        _ => (Grant::ClientCredentials, None),
    };
    Ok(Client {
        connection: &connection.name,
        grant,
        token_url,
        id,
        secret: secret.filter(|_| assertion.is_none()),
        refresh_token: connection.credentials.get("refresh_token").filter(|_| grant == Grant::RefreshToken),
        in_body: true,
        scope: None,
        params: Vec::new(),
        assertion,
        now_s,
    })
}

fn audience(login: &Url) -> String {
    let sandbox = login.host_str().is_some_and(|host| host == "test.salesforce.com" || host.contains(".sandbox.my."));
    if sandbox { "https://test.salesforce.com".to_owned() } else { "https://login.salesforce.com".to_owned() }
}

/// Salesforce signs who signed in and when with the consumer secret.
fn genuine(client: &Client<'_>, token: &Token) -> Result<(), StepError> {
    let text = |name: &str| token.told.get(name).and_then(Json::as_str);
    let (Some(secret), Some(id), Some(issued), Some(signature)) =
        (client.secret, text("id"), text("issued_at"), text("signature"))
    else {
        return Ok(());
    };
    let good = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok().zip(STANDARD.decode(signature).ok()).is_some_and(
        |(mut mac, signature)| {
            mac.update(id.as_bytes());
            mac.update(issued.as_bytes());
            mac.verify_slice(&signature).is_ok()
        },
    );
    if good {
        return Ok(());
    }
    let words = "the answer of the sign-in is not signed with the consumer secret of the connection";
    Err(StepError::new(ErrorClass::Auth, "SIGN_IN_FORGED", words)
        .with_next("Check the consumer secret, and that the login address is Salesforce's."))
}

/// Sends a call to where the org lives.
fn settle(url: &mut Url, instance: &str) -> Result<(), StepError> {
    let wrong = || {
        StepError::new(ErrorClass::Auth, "SIGN_IN_UNREADABLE", "Salesforce named no usable address of the org")
            .with_next("Check the connection's login address.")
    };
    let instance: Url = instance.parse().map_err(|_| wrong())?;
    // What was begun over TLS goes on over TLS.
    if instance.scheme() != url.scheme() && instance.scheme() != "https" || instance.host_str().is_none() {
        return Err(wrong());
    }
    let done = url.set_scheme(instance.scheme()).is_ok()
        && url.set_host(instance.host_str()).is_ok()
        && url.set_port(instance.port()).is_ok();
    if done { Ok(()) } else { Err(wrong()) }
}

/// A text of an input; the schema says that it is there.
pub(super) fn text<'a>(input: &'a Json, name: &str) -> &'a str {
    input.get(name).and_then(Json::as_str).unwrap_or_default()
}

pub(super) fn flag(input: &Json, name: &str) -> bool {
    input.get(name).and_then(Json::as_bool).unwrap_or(false)
}

/// A record without the notes Salesforce puts into it, also in parents and lists of children.
pub(super) fn bare(record: Json) -> Json {
    match record {
        Json::Object(fields) if fields.contains_key("records") && fields.contains_key("totalSize") => {
            bare(fields.get("records").cloned().unwrap_or_default())
        }
        Json::Object(fields) => {
            fields.into_iter().filter(|(name, _)| name != "attributes").map(|(name, value)| (name, bare(value))).collect()
        }
        Json::Array(list) => list.into_iter().map(bare).collect(),
        other => other,
    }
}
