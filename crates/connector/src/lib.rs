//! The vocabulary connectors are written in.
//!
//! A connector is one declared value: its actions, its triggers, their schemas, what its connections
//! hold. The engine calls it through this crate and knows no service by name. This crate knows no
//! particular service, no store and no recipe.

#![expect(clippy::result_large_err, reason = "a failed attempt is told in full; it is rare, and its size is one copy")]

mod action;
pub mod api;
mod error;
pub mod files;
pub mod hint;
pub mod http;
pub mod jwt;
mod keyset;
mod limits;
pub mod mask;
mod net;
pub mod oauth;
pub mod query;
pub mod secret;
mod shape;
mod skew;
pub mod strict;
mod trigger;
mod turn;
pub mod xml;

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value as Json;
use tokio::time::Instant;

pub use crate::{
    action::{Action, Attempt, Effect, KeyLife, Page, PageAttempt, Pages, whole},
    error::{Doubt, ErrorClass, StepError},
    keyset::{At, Keyset},
    limits::{Budget, ClassBudget, ClassBudgets, Limits},
    mask::Mask,
    net::{AddressPolicy, NetProblem},
    secret::Secret,
    shape::{Object, Shaped, Shapes, Told},
    trigger::{
        Answer, Inbound, Occurrence, Poll, PollAttempt, Polled, Position, Proofs, ReadEvents, Reading, Refused, Trigger,
        Verified, Verify, Webhook, cursor_lost, read_cursor,
    },
    turn::{BUDGET_SPENT, Turns},
};

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
    /// When the attempt began.
    pub began: Instant,
    /// The same as a time of day: microseconds since the epoch, by the clock all processes share.
    pub began_us: i64,
    /// Which attempt of the step this is, counted from 1.
    pub attempt: u32,
    /// An earlier attempt of the step under the same key may have happened: what is gone or there already may be its doing.
    /// False after attempts that were surely refused, whatever their number.
    pub in_doubt: bool,
    /// Who asks, for log lines: run id and step path.
    pub run_id: Arc<str>,
    /// The step's path in its run.
    pub path: Arc<str>,
    /// What a call says of the trace it is part of: a `traceparent` of <https://www.w3.org/TR/trace-context/>.
    pub traceparent: Option<Arc<str>>,
    /// Counts the attempt's requests against the budget of its connection; `None` where nothing counts them.
    pub turns: Option<Arc<dyn Turns>>,
}

impl Cx {
    /// What is left of the attempt's time; never nothing, so that a call tells the timeout in its own words.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.began.elapsed()).max(Duration::from_millis(1))
    }

    /// Now, in microseconds since the epoch.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.began_us.saturating_add(i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// Now, in seconds since the epoch, for signatures that carry a time.
    #[must_use]
    pub fn now_s(&self) -> i64 {
        self.now_us().div_euclid(1_000_000)
    }

    /// Tells what the system said of its limits.
    pub fn hint(&self, hint: hint::Hint) {
        if let Some(connection) = &self.connection {
            self.http.hear(&connection.name, hint);
        }
    }
}

/// Checks a connection's config and credentials: every problem as (field, sentence), the field written as
/// in the API, `config.base_url` or `credentials.token`.
pub type Validate = Arc<dyn Fn(&Json, &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> + Send + Sync>;

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
    /// Its errors, as people are told of them.
    pub errors: &'static [api::ErrorRow],
    /// What people should know of it, and what its makers' documents leave open: sentences, each note of its own.
    pub notes: &'static [&'static str],
    /// Tells the objects of the system and their fields, where only the system knows them.
    pub shapes: Option<Shapes>,
    /// How people sign in to it with a browser, where they do.
    pub sign_in: Option<oauth::SignIn>,
    /// What it can do.
    pub actions: Vec<Action>,
    /// What it can start.
    pub triggers: Vec<Trigger>,
}

impl Connector {
    /// A connector without actions, triggers, settings and credentials that takes any. Say more with the methods below.
    #[must_use]
    pub fn new(id: &'static str, title: &'static str, summary: &'static str) -> Self {
        let nothing = serde_json::json!({"type": "object", "properties": {}, "additionalProperties": false});
        Self {
            id,
            title,
            summary,
            builtin: false,
            config: nothing.clone(),
            credentials: nothing,
            validate: Arc::new(|_, _| Ok(())),
            test: None,
            limits: Limits::default(),
            errors: &[],
            notes: &[],
            shapes: None,
            sign_in: None,
            actions: Vec::new(),
            triggers: Vec::new(),
        }
    }

    /// What its connections hold: JSON Schemas of settings and credentials, and what refuses those that cannot work.
    #[must_use]
    pub fn connections<V>(mut self, config: Json, credentials: Json, validate: V) -> Self
    where
        V: Fn(&Json, &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> + Send + Sync + 'static,
    {
        (self.config, self.credentials, self.validate) = (config, credentials, Arc::new(validate));
        self
    }

    /// One harmless call that shows whether a connection works.
    #[must_use]
    pub fn test(mut self, action: &'static str, input: Json) -> Self {
        self.test = Some(TestCall { action, input, fine: &[] });
        self
    }

    /// How much it takes.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Its errors.
    #[must_use]
    pub fn errors(mut self, errors: &'static [api::ErrorRow]) -> Self {
        self.errors = errors;
        self
    }

    /// What people should know of it, and what its makers' documents leave open.
    #[must_use]
    pub fn notes(mut self, notes: &'static [&'static str]) -> Self {
        self.notes = notes;
        self
    }

    /// It can tell its objects and their fields.
    #[must_use]
    pub fn shapes(mut self, shapes: Shapes) -> Self {
        self.shapes = Some(shapes);
        self
    }

    /// People can sign in to it with a browser. The tokens that come of it are those of a client with
    /// [`oauth::Grant::RefreshToken`], which needs no refresh token of its own then.
    #[must_use]
    pub fn sign_in(mut self, sign_in: oauth::SignIn) -> Self {
        self.sign_in = Some(sign_in);
        self
    }

    /// What it can do, in the order people see.
    #[must_use]
    pub fn actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions.extend(actions);
        self
    }

    /// What it can start, in the order people see.
    #[must_use]
    pub fn triggers(mut self, triggers: impl IntoIterator<Item = Trigger>) -> Self {
        self.triggers.extend(triggers);
        self
    }

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
