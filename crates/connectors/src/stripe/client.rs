//! Calls of Stripe's API.

use std::time::Duration;

use connector::{
    Cx, ErrorClass, Secret, StepError,
    api::{Answer, Call, Header},
};
use http::{HeaderName, Method, header};
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    errors::DIALECT,
    form, money,
    settings::{self, API_URL, API_VERSION, FILES_URL, is_account, is_context, is_version},
};

const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const STRIPE_ACCOUNT: HeaderName = HeaderName::from_static("stripe-account");
const STRIPE_CONTEXT: HeaderName = HeaderName::from_static("stripe-context");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest idempotency key Stripe takes.
const KEY_CHARS_MAX: usize = 255;

/// How long Stripe is relied on to know a key. It drops keys that are 24 hours old; clocks may differ, and a call that
/// begins in time may be late.
pub(super) const KEY_LIFE: Duration = Duration::from_secs(23 * 3600);

/// The fields that hold secrets: of payments, sessions and invoices, and of new webhook endpoints and keys.
const SECRETS: [&str; 4] = ["client_secret", "confirmation_secret", "secret", "signing_secret"];

/// A body that is sent.
pub(super) enum Body<'a> {
    None,
    Form(&'a [(String, String)]),
    Json(&'a Json),
    /// Content type and bytes.
    Bytes(&'a str, Vec<u8>),
}

/// One account of Stripe, as a step uses it.
pub(super) struct Client<'a> {
    cx: &'a Cx,
    sign: Header,
    account: Option<String>,
    /// Says the same as the account, as a path; only one of them is sent.
    context: Option<String>,
    version: String,
    key: Option<String>,
}

pub(super) fn invalid(code: &str, message: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Invalid, code, message)
}

impl<'a> Client<'a> {
    /// The connection's account, or the one the step names.
    pub(super) fn new(cx: &'a Cx, input: &Json) -> Result<Self, StepError> {
        let connection =
            cx.connection.as_deref().ok_or_else(|| invalid("CONNECTION_MISSING", "Stripe is used through a connection"))?;
        let key = connection.credentials.get("api_key").map(|key| Secret::new(key.expose().trim().to_owned()));
        let key = key.ok_or_else(|| StepError::new(ErrorClass::Auth, "CREDENTIAL_MISSING", "the connection has no API key"))?;
        let named = |name: &str| settings::named(input, &connection.config, name).map(str::to_owned);
        let context = input.get("context").and_then(Json::as_str).map(str::to_owned);
        if let Some(context) = context.as_deref().filter(|context| !is_context(context)) {
            return Err(invalid("CONTEXT_INVALID", format!("\"{context}\" is no context: an account, or several with slashes")));
        }
        if context.is_some() && input.get("connected_account").is_some_and(Json::is_string) {
            let message = "the step names a connected account and a context, and Stripe takes only one of them";
            return Err(invalid("CONTEXT_INVALID", message).with_next("Leave out one of the two."));
        }
        let account = if context.is_none() { named("connected_account") } else { None };
        if let Some(account) = account.as_deref().filter(|account| !is_account(account)) {
            return Err(invalid(
                "ACCOUNT_INVALID",
                format!("\"{account}\" is no id of a connected account; it begins with acct_"),
            ));
        }
        let version = named("api_version").unwrap_or_else(|| API_VERSION.to_owned());
        if !is_version(&version) {
            return Err(invalid("VERSION_INVALID", format!("\"{version}\" is no version of Stripe's API")));
        }
        Ok(Self { cx, sign: Header::bearer(&key), account, context, version, key: None })
    }

    /// Sends this idempotency key in place of the step's own.
    pub(super) fn key(mut self, key: Option<&str>) -> Result<Self, StepError> {
        if let Some(key) = key {
            if key.is_empty() || key.len() > KEY_CHARS_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
                return Err(invalid(
                    "IDEMPOTENCY_KEY_INVALID",
                    format!("an idempotency key has 1 to {KEY_CHARS_MAX} plain characters"),
                ));
            }
            self.key = Some(key.to_owned());
        }
        Ok(self)
    }

    /// Now by our clock, in seconds since the epoch.
    pub(super) fn now_s(&self) -> i64 {
        self.cx.now_s()
    }

    /// Now by Stripe's clock.
    pub(super) fn server_now_s(&self, answer: &Answer) -> i64 {
        server_now(answer, self.cx).as_second()
    }

    fn address(&self, path: &str) -> Result<Url, StepError> {
        let connection = self.cx.connection.as_deref();
        let (name, usual) = if path == "/v1/files" { ("files_url", FILES_URL) } else { ("api_url", API_URL) };
        let base = connection.and_then(|connection| connection.config.get(name)?.as_str()).unwrap_or(usual);
        let whole = format!("{}{path}", base.trim_end_matches('/'));
        Url::parse(&whole).map_err(|_| invalid("PATH_INVALID", format!("\"{path}\" is no path of Stripe's API")))
    }

    /// Makes a call; every POST carries a key, so that it can be sent again.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        body: Body<'_>,
    ) -> Result<Answer, StepError> {
        let posts = method == Method::POST || (method == Method::DELETE && path.starts_with("/v2/"));
        let mut call = Call::new(self.cx, &DIALECT, &self.sign, method.clone(), self.address(path)?)
            .query(query.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .header(STRIPE_VERSION, &self.version)
            .header(header::USER_AGENT, concat!("Liaison/", env!("CARGO_PKG_VERSION")));
        if let Some(account) = &self.account {
            call = call.header(STRIPE_ACCOUNT, account);
        }
        if let Some(context) = &self.context {
            call = call.header(STRIPE_CONTEXT, context);
        }
        if posts {
            call = call.header(IDEMPOTENCY_KEY, &self.key_of(&method, path, &body));
        }
        call = match body {
            Body::None => call,
            Body::Form(pairs) => call.form(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            Body::Json(body) => call.json(body),
            Body::Bytes(kind, bytes) => call.body(kind, bytes.into()),
        };
        call.send().await
    }

    /// Stable for the step and what it sends: the same in every attempt, and another one when a person replays the run
    /// with corrected data, because Stripe refuses a key that comes with other data for ever.
    fn key_of(&self, method: &Method, path: &str, body: &Body<'_>) -> String {
        if let Some(key) = &self.key {
            return key.clone();
        }
        let mut print = Sha256::new();
        print.update(format!("{method} {path} {:?} ", self.account.as_ref().or(self.context.as_ref())));
        match body {
            Body::None => {}
            Body::Form(pairs) => print.update(format!("{pairs:?}")),
            Body::Json(body) => print.update(body.to_string()),
            Body::Bytes(_, bytes) => print.update(bytes),
        }
        let print = hex::encode(&print.finalize()[..8]);
        let own: String = self.cx.idempotency_key.chars().filter(char::is_ascii_graphic).take(KEY_CHARS_MAX - 17).collect();
        format!("{own}-{print}")
    }

    pub(super) async fn get(&self, path: &str, fields: &Map<String, Json>) -> Result<Json, StepError> {
        let answer = self.call(Method::GET, path, &form::pairs(fields)?, Body::None).await?;
        object(&answer)
    }

    pub(super) async fn post(&self, path: &str, fields: &Map<String, Json>, cleared: &[String]) -> Result<Json, StepError> {
        let mut pairs = form::pairs(fields)?;
        pairs.extend(cleared.iter().map(|name| (name.clone(), String::new())));
        let answer = self.call(Method::POST, path, &[], Body::Form(&pairs)).await?;
        object(&answer)
    }

    pub(super) async fn delete(&self, path: &str, fields: &Map<String, Json>) -> Result<Json, StepError> {
        let answer = self.call(Method::DELETE, path, &form::pairs(fields)?, Body::None).await?;
        object(&answer)
    }
}

/// Stripe's clock as an answer tells it; ours only where it does not.
pub(super) fn server_now(answer: &Answer, cx: &Cx) -> Timestamp {
    let told = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    told.and_then(|date| Timestamp::try_from(date).ok())
        .or_else(|| Timestamp::from_microsecond(cx.now_us()).ok())
        .unwrap_or_default()
}

/// An answer's JSON without its secrets.
pub(super) fn json(answer: &Answer) -> Result<Json, StepError> {
    let mut body = answer.json()?;
    without_secrets(&mut body);
    Ok(body)
}

/// Drops what opens a payment in a browser or signs webhooks, however deep it stands: it must not lie in journals.
/// What people keep in `metadata` is their own.
pub(super) fn without_secrets(value: &mut Json) {
    match value {
        Json::Object(record) => {
            record.retain(|name, value| !(SECRETS.contains(&name.as_str()) && (value.is_string() || value.is_object())));
            for (_, value) in record.iter_mut().filter(|(name, _)| *name != "metadata") {
                without_secrets(value);
            }
        }
        Json::Array(rows) => rows.iter_mut().for_each(without_secrets),
        _ => {}
    }
}

/// An answer that is an object of Stripe; anything else comes from somebody in between.
pub(super) fn object(answer: &Answer) -> Result<Json, StepError> {
    match json(answer)? {
        Json::Object(mut record) if record.contains_key("object") || record.contains_key("data") => {
            money::explain(&mut record);
            for row in record.get_mut("data").and_then(Json::as_array_mut).into_iter().flatten() {
                if let Some(row) = row.as_object_mut() {
                    money::explain(row);
                }
            }
            Ok(Json::Object(record))
        }
        _ => Err(answer.unreadable("it is no object of Stripe")),
    }
}

/// A path with its places filled: `/v1/customers/{customer}`.
pub(super) fn filled(path: &str, fields: &mut Map<String, Json>) -> Result<String, StepError> {
    let mut whole = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let id = fields.shift_remove(name).and_then(|id| id.as_str().map(|id| id.trim().to_owned())).unwrap_or_default();
        if id.is_empty() || id.len() > KEY_CHARS_MAX || id == "." || id == ".." {
            return Err(invalid(
                "ID_INVALID",
                format!("\"{name}\" must be the id of a record of Stripe, but it is empty or too long"),
            )
            .with_next("See where the step takes the id from."));
        }
        whole.push_str(before);
        whole.extend(
            percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC)
                .map(|part| part.replace("%5F", "_").replace("%2D", "-")),
        );
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

/// A refused payment, as data: the card's own reasons are business, not failures.
pub(super) fn declined(error: &StepError) -> Option<Json> {
    let response = error.response.as_ref()?;
    if response.get("status").and_then(Json::as_u64) != Some(402) {
        return None;
    }
    let said = response.get("body")?.get("error")?;
    let part = |name: &str| said.get(name).cloned().unwrap_or(Json::Null);
    Some(json!({
        "declined": true, "code": part("code"), "decline_code": part("decline_code"), "message": part("message"), "charge": part("charge"),
        "payment_intent": said.get("payment_intent").and_then(|intent| intent.get("id")).cloned().unwrap_or(Json::Null),
    }))
}
