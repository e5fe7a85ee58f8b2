//! What can start a recipe, declared once: events that are sent to us, events we ask for, or both.

use std::{pin::Pin, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{Connection, Cx, ErrorClass, StepError, shape::Shaped};

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

    /// The first header of that name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
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

/// One thing that happened, as recipes see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    /// Tells it from every other of this trigger: the same occurrence has the same key, whether it was sent or asked
    /// for, and however often.
    pub key: String,
    /// What recipes see as `trigger`.
    pub data: Json,
}

/// What a verified request becomes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// The events in it that the recipe's settings want. None: the request is answered and counted as filtered.
    pub events: Vec<Occurrence>,
    /// The answer the sender wants to see once the events are durable; 202 with the run's id when there is none.
    pub answer: Option<Answer>,
}

/// An answer in the sender's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its content type.
    pub content_type: &'static str,
    /// Its body.
    pub body: String,
}

/// Checks a raw request against the connection.
pub type Verify = Arc<dyn Fn(&Connection, &Inbound<'_>) -> Result<Verified, Refused> + Send + Sync>;

/// Names, in lower case, the headers in which a connection finds what proves the sender.
pub type Proofs = Arc<dyn Fn(&Connection) -> Vec<String> + Send + Sync>;

/// Makes events of a verified request, given the connection and the trigger's settings.
pub type ReadEvents = Arc<dyn Fn(&Connection, &Json, &Inbound<'_>) -> Result<Reading, Refused> + Send + Sync>;

/// Events that are sent to our address. The connection holds what proves the sender.
#[derive(Clone)]
pub struct Webhook {
    /// Checks the raw request against the connection.
    pub verify: Verify,
    /// The headers, in lower case, in which a connection finds what proves the sender. Nobody else gets to see them.
    pub proofs: Proofs,
    /// Makes events of a verified request, given the trigger's settings. `None`: the request itself is the event,
    /// as `{method, path, query, headers, body}`.
    pub read: Option<ReadEvents>,
}

impl Webhook {
    /// Checks with these functions; the request itself is the event.
    pub fn new<V, P>(verify: V, proofs: P) -> Self
    where
        V: Fn(&Connection, &Inbound<'_>) -> Result<Verified, Refused> + Send + Sync + 'static,
        P: Fn(&Connection) -> Vec<String> + Send + Sync + 'static,
    {
        Self { verify: Arc::new(verify), proofs: Arc::new(proofs), read: None }
    }

    /// Makes events of a verified request with this function.
    #[must_use]
    pub fn read<R>(mut self, read: R) -> Self
    where
        R: Fn(&Connection, &Json, &Inbound<'_>) -> Result<Reading, Refused> + Send + Sync + 'static,
    {
        self.read = Some(Arc::new(read));
        self
    }
}

/// Where to go on asking.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// Begin: what happened at or after this instant (microseconds since the epoch) is wanted, nothing before it.
    Since(i64),
    /// After this cursor, which an earlier page gave.
    After(Json),
}

/// What a trigger kept of its last question, as it wrote it.
///
/// # Errors
/// [`cursor_lost`] when it cannot be read.
pub fn read_cursor<T: DeserializeOwned>(cursor: &Json) -> Result<T, StepError> {
    T::deserialize(cursor).map_err(|_| cursor_lost())
}

/// `CURSOR_INVALID`: what a trigger kept of its last question makes no sense.
#[must_use]
pub fn cursor_lost() -> StepError {
    StepError::new(
        ErrorClass::Internal,
        "CURSOR_INVALID",
        "what was kept of the last question cannot be read, so it is not known what came already",
    )
    .with_next("Set the trigger's start position anew; what came before then starts nothing twice.")
}

/// What one question gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Polled {
    /// What happened, oldest first.
    pub events: Vec<Occurrence>,
    /// Where to go on. It is kept together with the events' runs, in one commit; it stays small.
    pub cursor: Json,
    /// True when there is more to have at once.
    pub more: bool,
}

/// The future of one question.
pub type PollAttempt = Pin<Box<dyn Future<Output = Result<Polled, StepError>> + Send>>;

/// Events we ask for. Asked again with the same position, it gives the same events under the same keys, or more.
#[derive(Clone)]
pub struct Poll {
    /// Asks once, with the trigger's settings.
    pub ask: Arc<dyn Fn(Cx, Json, Position) -> PollAttempt + Send + Sync>,
    /// How long to wait between two questions when nothing else is said.
    pub every: Duration,
    /// True when that pause stays whatever is found, as with a question that is asked by the clock.
    pub steady: bool,
}

impl Poll {
    /// Asks with this function.
    pub fn new<F, R>(every: Duration, ask: F) -> Self
    where
        F: Fn(Cx, Json, Position) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Polled, StepError>> + Send + 'static,
    {
        Self { ask: Arc::new(move |cx, with, from| Box::pin(ask(cx, with, from))), every, steady: false }
    }

    /// Asks by the clock: the pause stays whatever is found.
    #[must_use]
    pub fn steady(self) -> Self {
        Self { steady: true, ..self }
    }
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
    /// An event as the system gives it.
    pub sample: Option<Json>,
    /// Events that are sent to us.
    pub webhook: Option<Webhook>,
    /// Events we ask for. With both, what was sent comes at once and what was missed comes by asking.
    pub poll: Option<Poll>,
    /// It is about an object whose fields only the system knows.
    pub shaped: Option<Shaped>,
}

impl Trigger {
    /// A trigger without settings whose events are of any kind. Say more with the methods below.
    #[must_use]
    pub fn new(id: &'static str, title: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            title,
            summary,
            config: serde_json::json!({"type": "object", "properties": {}, "additionalProperties": false}),
            output: serde_json::json!({}),
            sample: None,
            webhook: None,
            poll: None,
            shaped: None,
        }
    }

    /// Its settings: a JSON Schema that refuses names it does not know.
    #[must_use]
    pub fn config(mut self, schema: Json) -> Self {
        self.config = schema;
        self
    }

    /// Its event: a JSON Schema.
    #[must_use]
    pub fn output(mut self, schema: Json) -> Self {
        self.output = schema;
        self
    }

    /// An event as the system gives it.
    #[must_use]
    pub fn sample(mut self, sample: Json) -> Self {
        self.sample = Some(sample);
        self
    }

    /// It is about an object whose fields only the system knows.
    #[must_use]
    pub fn shaped(mut self, shaped: Shaped) -> Self {
        self.shaped = Some(shaped);
        self
    }

    /// Events are sent to us.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhook = Some(webhook);
        self
    }

    /// Events are asked for.
    #[must_use]
    pub fn poll(mut self, poll: Poll) -> Self {
        self.poll = Some(poll);
        self
    }
}
