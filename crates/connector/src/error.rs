//! What can go wrong in one attempt, in the words retry, circuit, API and screens share.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The closed list of error classes. Every failed attempt has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// No answer in time.
    Timeout,
    /// The system could not be reached, or the connection broke.
    Network,
    /// The system asked us to slow down.
    RateLimited,
    /// The system failed on its side.
    Server,
    /// The system did not accept our sign-in.
    Auth,
    /// What was asked for does not exist.
    NotFound,
    /// The record changed or exists already.
    Conflict,
    /// The data sent was refused.
    Invalid,
    /// Signed in, but not allowed.
    Denied,
    /// Some records of many were refused.
    Partial,
    /// A person or a limit ended it.
    Cancelled,
    /// A formula or a mapping of the recipe failed.
    Recipe,
    /// Our own fault.
    Internal,
}

impl ErrorClass {
    /// Every class, in the order of the list in the documentation.
    pub const ALL: [Self; 13] = [
        Self::Timeout,
        Self::Network,
        Self::RateLimited,
        Self::Server,
        Self::Auth,
        Self::NotFound,
        Self::Conflict,
        Self::Invalid,
        Self::Denied,
        Self::Partial,
        Self::Cancelled,
        Self::Recipe,
        Self::Internal,
    ];

    /// True for the classes that the default retry policy tries again.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Timeout | Self::Network | Self::RateLimited | Self::Server)
    }

    /// The word used in recipes, API and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Denied => "denied",
            Self::Partial => "partial",
            Self::Cancelled => "cancelled",
            Self::Recipe => "recipe",
            Self::Internal => "internal",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

impl std::fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the effect may have happened although the attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// A definite answer came, or the request was never sent.
    Settled,
    /// The request went out and no answer came back.
    MayHaveHappened,
}

/// A failed attempt, told for people and for the retry rule alike.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// Decides retry, circuit and words.
    pub class: ErrorClass,
    /// Stable code, the vendor's own where it has one: `HTTP_503`, `ADDRESS_REFUSED`.
    pub code: String,
    /// What happened and why, for people. Never holds a secret.
    pub message: String,
    /// What to do next.
    pub next: Option<String>,
    /// The system's own wish for the next try.
    pub retry_after: Option<Duration>,
    /// Whether the effect may have happened.
    pub doubt: Doubt,
    /// The request as sent, secrets masked.
    pub request: Option<Json>,
    /// The answer as received, secrets masked and cut to a limit.
    pub response: Option<Json>,
}

impl StepError {
    /// An error whose effect certainly did not happen.
    #[must_use]
    pub fn new(class: ErrorClass, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            message: message.into(),
            next: None,
            retry_after: None,
            doubt: Doubt::Settled,
            request: None,
            response: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
