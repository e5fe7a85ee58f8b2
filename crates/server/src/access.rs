//! Who asks: API keys for programs, sessions for browsers.

mod scope;

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};
use axum_extra::extract::CookieJar;
use sha2::{Digest, Sha256};
use store::{KeyRow, SessionRow};

pub use self::scope::Scope;
use crate::{
    error::ApiError,
    state::{App, Shared},
};

/// The cookie a signed-in browser carries.
pub const SESSION_COOKIE: &str = "liaison_session";

/// A key that was good is believed for so long before the store is asked again.
const KEY_CACHE: Duration = Duration::from_secs(15);
const KEYS_CACHED_MAX: usize = 10_000;

/// SHA-256, as keys, sessions and sign-ins are kept.
#[must_use]
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A new secret text: a prefix and 256 random bits.
///
/// # Errors
/// When the machine has no randomness to give.
pub fn new_secret(prefix: &str) -> Result<String, store::StoreError> {
    use base64::Engine as _;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| store::StoreError::Internal(format!("no randomness: {error}")))?;
    Ok(format!("{prefix}{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)))
}

/// Whoever asks, and what they may do.
#[derive(Debug, Clone)]
pub struct Caller {
    /// For the record: `key demo`, `admin`.
    pub name: String,
    scopes: Vec<String>,
}

impl Caller {
    /// The name of the key, when it is a program that asks.
    pub(crate) fn key_name(&self) -> Option<&str> {
        self.name.strip_prefix("key ")
    }

    /// Whether they may do what asks for a scope.
    pub(crate) fn may(&self, wanted: Scope) -> bool {
        let known = |text: &str| Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
        self.scopes.iter().filter_map(|text| known(text)).any(|scope| scope.includes(wanted))
    }

    /// Refuses whoever lacks a scope.
    pub(crate) fn need(&self, scope: Scope) -> Result<(), ApiError> {
        if self.may(scope) {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "FORBIDDEN",
            format!("This key may not do that: it needs the scope {scope}. Ask an admin for a key that has it."),
        ))
    }
}

impl App {
    async fn key(&self, text: &str) -> Result<Option<KeyRow>, ApiError> {
        let (hash, now) = (hash(text), self.now());
        let cached = self.keys.lock().get(&hash).cloned();
        let key = match cached {
            Some((key, seen)) if now.since(seen) < KEY_CACHE => Some(key),
            _ => {
                let key = self.store().key_by_hash(&hash).await?;
                let mut keys = self.keys.lock();
                if keys.len() >= KEYS_CACHED_MAX {
                    keys.clear();
                }
                match &key {
                    Some(key) => drop(keys.insert(hash, (key.clone(), now))),
                    None => drop(keys.remove(&hash)),
                }
                key
            }
        };
        Ok(key.filter(|key| key.expires_at.is_none_or(|end| end > now)))
    }

    /// The session a cookie names.
    pub(crate) async fn session(&self, jar: &CookieJar) -> Result<Option<SessionRow>, store::StoreError> {
        match jar.get(SESSION_COOKIE) {
            Some(cookie) => self.store().session_by_hash(&hash(cookie.value()), self.now()).await,
            None => Ok(None),
        }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let bearer = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        if let Some(token) = bearer {
            return match app.key(token).await? {
                Some(key) => Ok(Self { name: format!("key {}", key.name), scopes: key.scopes }),
                None => Err(ApiError::new(
                    StatusCode::UNAUTHORIZED,
                    "KEY_UNKNOWN",
                    "This API key is unknown, expired or revoked. Make one with `liaison admin create-key`.",
                )),
            };
        }
        let jar = CookieJar::from_headers(&parts.headers);
        if let Some(session) = app.session(&jar).await? {
            return Ok(Self { name: session.user, scopes: vec!["admin".to_owned()] });
        }
        Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "KEY_MISSING",
            "This call needs an API key: send `Authorization: Bearer lsn_…`. Make one with `liaison admin create-key`.",
        ))
    }
}
