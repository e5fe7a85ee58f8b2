//! OAuth 2.0 sign-in (RFC 6749): client credentials, and refresh tokens.
//!
//! One token per connection and process. It is renewed before it runs out, by one caller while the
//! others wait, and once more when a system refuses it although it should still be good. Nothing here
//! is ever logged with a secret in it. A refresh token that the system replaces is handed to the
//! [`Keeper`], because the old one is worth nothing from then on.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::http::{HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use crate::{
    Mask, Secret,
    error::{Doubt, ErrorClass, StepError},
    http::{Http, Request, Response},
};

/// Connections whose tokens are remembered; beyond it unused ones are forgotten.
const SLOTS_MAX: usize = 4096;
/// A token is renewed this long before it runs out, or a tenth of its life if that is shorter.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// Longest life of a token that is believed.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Callers that waited for a sign-in that failed share its failure instead of repeating it.
const FAILURE_SHARED_FOR: Duration = Duration::from_secs(1);
/// Most of a token service's own words put into a message.
const WORDS_CHARS_MAX: usize = 200;

/// How a client gets its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// With its own id and secret (RFC 6749, 4.4).
    ClientCredentials,
    /// With a refresh token somebody gave it (RFC 6749, 6).
    RefreshToken,
}

/// A connection's sign-in.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// How it gets its token.
    pub grant: Grant,
    /// Where tokens are given out.
    pub token_url: Url,
    /// Who we are.
    pub id: &'a str,
    /// What proves it; clients of a refresh token may have none.
    pub secret: Option<&'a Secret>,
    /// The refresh token as the connection holds it.
    pub refresh_token: Option<&'a Secret>,
    /// Sends id and secret in the body; otherwise as basic authentication.
    pub in_body: bool,
    /// What the token shall be good for.
    pub scope: Option<String>,
    /// Whatever else the token service wants to be told, such as an audience.
    pub params: Vec<(String, String)>,
}

/// The future of a keeper's answer.
pub type Kept<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Keeps credentials that a system replaced by itself. An error is a sentence for the log.
pub trait Keeper: Send + Sync {
    /// Writes one credential of a connection.
    fn keep<'a>(&'a self, connection: &'a str, field: &'a str, value: Secret) -> Kept<'a, ()>;

    /// Reads one credential as it is kept now: another process may have replaced it.
    fn latest<'a>(&'a self, connection: &'a str, field: &'a str) -> Kept<'a, Option<Secret>>;
}

/// The tokens of a process, by connection.
#[derive(Default)]
pub(crate) struct Tokens {
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Slot>>>>,
    pub(crate) keeper: OnceLock<Arc<dyn Keeper>>,
}

#[derive(Default)]
struct Slot {
    /// The credentials these were made of; others begin anew.
    secret: Option<Secret>,
    given: Option<Secret>,
    /// The refresh token that is good now.
    refresh: Option<Secret>,
    access: Option<Secret>,
    renew_at: Option<Instant>,
    failed: Option<(Instant, StepError)>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
    #[serde(default)]
    refresh_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RefusedBody {
    error: String,
    error_description: String,
}

impl Client<'_> {
    /// A token that is good now.
    ///
    /// # Errors
    /// When the token service does not give one; nothing else was sent then.
    pub async fn token(&self, http: &Http, timeout: Duration) -> Result<Secret, StepError> {
        self.obtain(http, None, timeout).await
    }

    /// A token other than the one the system just refused.
    ///
    /// # Errors
    /// As [`Client::token`].
    pub async fn renewed(&self, http: &Http, refused: &Secret, timeout: Duration) -> Result<Secret, StepError> {
        self.obtain(http, Some(refused), timeout).await
    }

    async fn obtain(&self, http: &Http, refused: Option<&Secret>, timeout: Duration) -> Result<Secret, StepError> {
        let slot = http.tokens().slot(&format!(
            "{}\n{}\n{}\n{}",
            self.connection,
            self.token_url,
            self.id,
            self.scope.as_deref().unwrap_or_default()
        ));
        let mut slot = slot.lock().await;
        slot.begin(self);
        let now = Instant::now();
        if let Some(access) = &slot.access
            && refused.is_none_or(|refused| refused.expose() != access.expose())
            && slot.renew_at.is_none_or(|at| now < at)
        {
            return Ok(access.clone());
        }
        if let Some((at, error)) = &slot.failed
            && now.duration_since(*at) < FAILURE_SHARED_FOR
        {
            return Err(error.clone());
        }
        slot.access = None;
        match self.sign_in(http, &mut slot, timeout).await {
            Ok(access) => {
                slot.failed = None;
                Ok(access)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn sign_in(&self, http: &Http, slot: &mut Slot, timeout: Duration) -> Result<Secret, StepError> {
        let mut response = self.ask(http, slot.refresh.as_ref(), timeout).await?;
        if response.status == StatusCode::BAD_REQUEST
            && self.grant == Grant::RefreshToken
            && let Some(newer) = self.newer(http, slot).await
        {
            slot.refresh = Some(newer);
            response = self.ask(http, slot.refresh.as_ref(), timeout).await?;
        }
        if !response.status.is_success() {
            return Err(self.refused(&response, slot));
        }
        let granted: Granted = serde_json::from_slice(&response.body).map_err(|_| {
            self.problem(ErrorClass::Auth, "SIGN_IN_UNREADABLE", "its answer holds no access token".to_owned())
                .with_next("Check the token address of the connection.")
        })?;
        let access = Secret::new(granted.access_token);
        let life = granted.expires_in.as_ref().and_then(seconds).map(|life| life.min(LIFE_MAX));
        slot.renew_at = life.map(|life| Instant::now() + life.saturating_sub(RENEW_BEFORE.min(life / 10)));
        slot.access = Some(access.clone());
        if let Some(rotated) = granted.refresh_token.filter(|text| !text.is_empty() && self.grant == Grant::RefreshToken)
            && slot.refresh.as_ref().is_none_or(|old| old.expose() != rotated)
        {
            let rotated = Secret::new(rotated);
            slot.refresh = Some(rotated.clone());
            self.keep(http, rotated).await;
        }
        Ok(access)
    }

    /// Another process may have used the refresh token up and kept the one that came for it.
    async fn newer(&self, http: &Http, slot: &Slot) -> Option<Secret> {
        let latest = http.tokens().keeper.get()?.latest(self.connection, "refresh_token").await.ok()??;
        slot.refresh.as_ref().is_none_or(|used| used.expose() != latest.expose()).then_some(latest)
    }

    async fn keep(&self, http: &Http, rotated: Secret) {
        let Some(keeper) = http.tokens().keeper.get() else {
            tracing::warn!(
                connection = self.connection,
                "connection.keep: a new refresh token lives only as long as this process"
            );
            return;
        };
        if let Err(reason) = keeper.keep(self.connection, "refresh_token", rotated).await {
            tracing::error!(connection = self.connection, reason, "connection.keep: a new refresh token could not be stored");
        }
    }

    async fn ask(&self, http: &Http, refresh: Option<&Secret>, timeout: Duration) -> Result<Response, StepError> {
        let request = Request { timeout, ..self.asking(refresh)? };
        http.send(request).await.map_err(|error| StepError {
            // What the step wanted to do has not been sent.
            doubt: Doubt::Settled,
            message: format!("the sign-in of the connection \"{}\" failed: {}", self.connection, error.message),
            ..error
        })
    }

    fn asking(&self, refresh: Option<&Secret>) -> Result<Request, StepError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        match (self.grant, refresh) {
            (Grant::ClientCredentials, _) => {
                form.append_pair("grant_type", "client_credentials");
            }
            (Grant::RefreshToken, Some(refresh)) => {
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", refresh.expose());
            }
            (Grant::RefreshToken, None) => {
                return Err(self.problem(ErrorClass::Auth, "SIGN_IN_FAILED", "the connection has no refresh token".to_owned()));
            }
        }
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        form.extend_pairs(&self.params);
        let mut request = Request { follow_redirects: false, ..Request::new(Method::POST, self.token_url.clone()) };
        match self.secret.filter(|_| !self.in_body) {
            Some(secret) => {
                let mut value = HeaderValue::from_str(&basic(self.id, secret.expose()))
                    .map_err(|_| self.problem(ErrorClass::Auth, "SIGN_IN_FAILED", "its id cannot be sent".to_owned()))?;
                value.set_sensitive(true);
                request.headers.insert(header::AUTHORIZATION, value);
            }
            None => {
                form.append_pair("client_id", self.id);
                if let Some(secret) = self.secret {
                    form.append_pair("client_secret", secret.expose());
                }
            }
        }
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request.body = form.finish().into();
        Ok(request)
    }

    fn refused(&self, response: &Response, slot: &Slot) -> StepError {
        let status = response.status.as_u16();
        let body: RefusedBody = serde_json::from_slice(&response.body).unwrap_or_default();
        let mut mask = Mask::new(self.secret.into_iter().chain(&slot.refresh));
        mask.add(self.id);
        let words: String =
            mask.text(&format!("{} {}", body.error, body.error_description)).chars().take(WORDS_CHARS_MAX).collect();
        let class = match status {
            429 => ErrorClass::RateLimited,
            408 => ErrorClass::Timeout,
            500..=599 => ErrorClass::Server,
            _ => ErrorClass::Auth,
        };
        let words = words.trim();
        let why = if words.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {words}") };
        self.problem(class, "SIGN_IN_FAILED", why)
    }

    fn problem(&self, class: ErrorClass, code: &str, why: String) -> StepError {
        let place = &self.token_url[..url::Position::AfterPath];
        StepError::new(class, code, format!("the connection \"{}\" could not sign in at {place}: {why}", self.connection))
            .with_next("Check the connection's credentials; if they were revoked, sign in anew and store the new ones.")
    }
}

impl Tokens {
    fn slot(&self, key: &str) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        if slots.len() >= SLOTS_MAX {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key.to_owned()).or_default())
    }
}

impl Slot {
    /// Forgets everything when the connection's credentials are others than before.
    fn begin(&mut self, client: &Client<'_>) {
        let same = |one: Option<&Secret>, other: Option<&Secret>| one.map(Secret::expose) == other.map(Secret::expose);
        let given = client.refresh_token;
        // The connection was read again after our own new refresh token was kept.
        let caught_up = given.is_some() && same(given, self.refresh.as_ref());
        if !same(self.secret.as_ref(), client.secret) || !(same(self.given.as_ref(), given) || caught_up) {
            *self = Self { secret: client.secret.cloned(), refresh: given.cloned(), ..Self::default() };
        }
        self.given = given.cloned();
    }
}

/// RFC 6749, 2.3.1: id and secret are form-encoded before they are joined.
fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut value = "Basic ".to_owned();
    base64::Engine::encode_string(
        &base64::engine::general_purpose::STANDARD,
        format!("{}:{}", encoded(id), encoded(secret)),
        &mut value,
    );
    value
}

/// Some services write the number as text.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let number = value.as_u64().or_else(|| value.as_f64().map(|n| n as u64)).or_else(|| value.as_str()?.trim().parse().ok());
    number.map(Duration::from_secs)
}
