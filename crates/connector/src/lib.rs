//! The vocabulary connectors are written in.
//!
//! A connector is one declared value: its actions, its triggers, their schemas, what its connections
//! hold. The engine calls it through this crate and knows no service by name. This crate knows no
//! particular service, no store and no recipe.

#![expect(clippy::result_large_err, reason = "a failed attempt is told in full; it is rare, and its size is one copy")]

mod error;
pub mod files;
pub mod http;
mod limits;
pub mod mask;
mod net;
pub mod oauth;
pub mod secret;
pub mod xml;

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use serde_json::Value as Json;

pub use crate::{
    error::{Doubt, ErrorClass, StepError},
    limits::{Budget, Limits},
    mask::Mask,
    net::{AddressPolicy, NetProblem},
    secret::Secret,
};

/// What repeating an action does. The one source for retry, uncertainty and "what will repeat".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Only reads.
    None,
    /// Repeating it leaves the same state.
    Idempotent,
    /// Repeating it may do the thing twice.
    Once,
}

/// A connection as an attempt sees it: opened for this process, never printed.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The name people gave it.
    pub name: String,
    /// The connector it belongs to.
    pub connector: String,
    /// Its settings; nothing secret.
    pub config: Json,
    /// Its credentials by field name.
    pub credentials: HashMap<String, Secret>,
}

/// What one attempt is given.
#[derive(Clone)]
pub struct Cx {
    /// The HTTP client with its address policy and limits, shared by the whole process.
    pub http: http::Http,
    /// The account to use, for actions that need one.
    pub connection: Option<Arc<Connection>>,
    /// Stable for (run, step path): the same in every attempt, on every process.
    pub idempotency_key: Arc<str>,
    /// How long the attempt may take in all.
    pub timeout: Duration,
    /// Who asks, for log lines: run id and step path.
    pub run_id: Arc<str>,
    /// The step's path in its run.
    pub path: Arc<str>,
    /// What a call says of the trace it is part of: a `traceparent` of <https://www.w3.org/TR/trace-context/>.
    pub traceparent: Option<Arc<str>>,
}

/// The future of one attempt.
pub type Attempt = Pin<Box<dyn Future<Output = Result<Json, StepError>> + Send>>;

/// One page of an action that can give its result in pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items of this page, in order.
    pub items: Vec<Json>,
    /// What to ask with for the next page; `None` after the last. It means nothing to others, stays small,
    /// and may be kept: asked with it again, the action gives the same page, as far as the system does.
    pub next: Option<Json>,
}

/// The future of one page.
pub type PageAttempt = Pin<Box<dyn Future<Output = Result<Page, StepError>> + Send>>;

/// Gives one page: the first without a cursor, any other with the `next` of the page before it.
pub type Pages = Arc<dyn Fn(Cx, Json, Option<Json>) -> PageAttempt + Send + Sync>;

/// One thing a connector can do.
#[derive(Clone)]
pub struct Action {
    /// The name after the dot.
    pub id: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// One sentence on what it does.
    pub summary: &'static str,
    /// What repeating it does, which may depend on its input.
    pub effect: fn(&Json) -> Effect,
    /// True when it can only be used through a connection.
    pub needs_connection: bool,
    /// JSON Schema of its input.
    pub input: Json,
    /// JSON Schema of its output.
    pub output: Json,
    /// One attempt.
    pub run: Arc<dyn Fn(Cx, Json) -> Attempt + Send + Sync>,
    /// The same result page by page, for actions that can; `run` then gives all pages up to a limit.
    pub pages: Option<Pages>,
}

/// One raw HTTP request that reached a webhook address.
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// What people outside write before the path: scheme, host and what a proxy adds, without a slash at the end.
    pub base: &'a str,
    /// Path and query, as they came.
    pub target: &'a str,
    /// Header names in lower case with their values, in the order received.
    pub headers: &'a [(String, String)],
    /// The exact bytes of the body; signatures are checked on these.
    pub body: &'a [u8],
    /// Now, in seconds since the epoch, for signatures that carry a time.
    pub now_s: i64,
}

impl Inbound<'_> {
    /// The whole address as the sender wrote it; `base` replaces our own idea of its beginning.
    #[must_use]
    pub fn url(&self, base: Option<&str>) -> String {
        format!("{}{}", base.unwrap_or(self.base).trim_end_matches('/'), self.target)
    }
}

/// What a verified request tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// The sender's own id of the event; the default dedupe key.
    pub event_key: Option<String>,
}

/// Why a request was not accepted. Each has a sentence for the sender's log, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Stable code: `SIGNATURE_MISSING`, `SIGNATURE_MISMATCH`, `TIMESTAMP_TOO_OLD`.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// How events of a trigger arrive.
#[derive(Clone)]
pub enum TriggerKind {
    /// Somebody sends them to our address; the connection's configuration holds the verification.
    Webhook {
        /// Checks the raw request against the connection.
        verify: fn(&Connection, &Inbound<'_>) -> Result<Verified, Refused>,
        /// The headers, in lower case, in which a connection finds what proves the sender. Nobody else gets to see them.
        proofs: fn(&Connection) -> Vec<String>,
    },
}

/// One thing that can start a recipe.
#[derive(Clone)]
pub struct Trigger {
    /// The name after the dot.
    pub id: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// One sentence on when it fires.
    pub summary: &'static str,
    /// JSON Schema of its settings (`with:`).
    pub config: Json,
    /// JSON Schema of its event.
    pub output: Json,
    /// How events arrive.
    pub kind: TriggerKind,
}

/// Checks a connection's config and credentials: every problem as (field, sentence), the field written as
/// in the API, `config.base_url` or `credentials.token`.
pub type Validate = fn(&Json, &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>>;

/// One harmless call that shows whether a connection works.
#[derive(Debug, Clone)]
pub struct TestCall {
    /// The action to call; it must have no effect.
    pub action: &'static str,
    /// What to send.
    pub input: Json,
    /// Errors that still show a working connection: a base address need not be a resource.
    pub fine: &'static [ErrorClass],
}

/// One outside system, declared once.
#[derive(Clone)]
pub struct Connector {
    /// The name recipes use in `connections:`.
    pub id: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// True when its actions can be used by the connector's own name, without a connection.
    pub builtin: bool,
    /// JSON Schema of a connection's `config`.
    pub config: Json,
    /// JSON Schema of a connection's `credentials`; every field is secret.
    pub credentials: Json,
    /// Refuses a config and credentials that cannot work, before they are saved: (field, sentence).
    pub validate: Validate,
    /// One harmless call that shows whether a connection works; `None` when there is nothing to call.
    pub test: Option<TestCall>,
    /// How much it takes, as its maker documents it; a connection's `config.budget` wins.
    pub limits: Limits,
    /// What it can do.
    pub actions: Vec<Action>,
    /// What it can start.
    pub triggers: Vec<Trigger>,
}

impl Connector {
    /// The action of that name.
    #[must_use]
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.id == id)
    }

    /// The trigger of that name.
    #[must_use]
    pub fn trigger(&self, id: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.id == id)
    }
}
