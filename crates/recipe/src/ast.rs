//! The recipe as a tree: what the text means, with the place each part was read from.
//!
//! The tree is what the engine compiles and the checker walks. It is not serialisable: the text is
//! the only truth, and it is never printed back from here.

mod step;
mod test;

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

pub use step::*;
pub use test::*;

/// A half-open range of byte offsets into the recipe text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A value with the place it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// One recipe: a trigger, then steps.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The slug, unique in the workspace: `[a-z0-9-]{1,63}`.
    pub slug: Spanned<String>,
    /// What people call it.
    pub title: Option<String>,
    /// Free text for its readers.
    pub note: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Logical connection names and the connector each needs, in the order written.
    pub connections: Vec<ConnectionRef>,
    /// Typed parameters, set per environment.
    pub params: Vec<Param>,
    /// What is kept between runs and written with a run's end.
    pub state: Vec<Param>,
    /// What starts a run.
    pub trigger: Trigger,
    /// Settings of the whole recipe.
    pub settings: Settings,
    /// What steps take that say nothing themselves.
    pub defaults: Defaults,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Its tests, run by `liaison test`.
    pub tests: Vec<Test>,
    /// The place of the whole recipe.
    pub span: Span,
}

/// One entry of `connections:`.
#[derive(Debug, Clone)]
pub struct ConnectionRef {
    /// The logical name recipes use: `hook` in `do: hook.request`.
    pub name: Spanned<String>,
    /// The connector it must be of.
    pub connector: Spanned<String>,
}

/// One entry of `params:` or `state:`, or one field of an approval's form.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: Spanned<String>,
    /// Its type.
    pub kind: ParamType,
    /// The value when nobody sets one.
    pub default: Option<Json>,
    /// A value must be set. Without it, a missing one is null.
    pub required: bool,
    /// What people call it.
    pub title: Option<String>,
    /// What people should know about it.
    pub note: Option<String>,
    /// The JSON Schema of its values, made from everything the entry says.
    pub schema: Json,
}

/// The types a parameter can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    /// Text.
    String,
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// true or false.
    Boolean,
    /// A list.
    List,
    /// A record.
    Record,
}

/// What starts a run.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Where events come from.
    pub from: Spanned<TriggerSource>,
    /// The trigger's own settings, a literal record (`cron`, `zone`, `types`, `path`, `input`).
    pub with: Json,
    /// The place of `with:`, or of the trigger when it has none.
    pub with_span: Span,
    /// The places inside `with`.
    pub with_places: Places,
    /// Events for which this is false are counted as filtered and start no run.
    pub condition: Option<Expr>,
    /// Which events are the same.
    pub dedupe: Option<Dedupe>,
    /// How a trigger that asks does so.
    pub poll: PollSettings,
    /// An example of `trigger`, from which its fields are known where nothing else declares them.
    pub sample: Option<Json>,
    /// The place of the whole trigger.
    pub span: Span,
}

/// How a trigger that asks does so.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PollSettings {
    /// The pause between two questions; it adapts when nothing is said.
    pub every: Option<Duration>,
    /// The instant to begin at, as written; what happens from switching on when nothing is said.
    pub since: Option<Spanned<String>>,
}

/// Where events come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerSource {
    /// The recipe's own web address, without verification.
    Webhook,
    /// A five-field cron expression in a zone.
    Schedule,
    /// `POST /recipes/{slug}/runs`.
    Api,
    /// Another recipe's `call` or `start`.
    Call,
    /// The failure of another recipe's run.
    Failure,
    /// `connection.trigger`.
    Connection {
        /// The logical connection name.
        connection: String,
        /// The trigger of its connector.
        trigger: String,
    },
}

/// Which events are the same, and for how long that is remembered.
#[derive(Debug, Clone)]
pub struct Dedupe {
    /// The key of an event.
    pub by: Value,
    /// How long a key is kept; `None` means the default of 7 days.
    pub keep: Option<Duration>,
}

/// Settings of the whole recipe.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How many runs go at once, and which wait for each other.
    pub concurrency: Option<Concurrency>,
    /// How long a run may take from its start.
    pub timeout: Option<Duration>,
    /// Retry for steps that say nothing themselves, where `defaults` says nothing either.
    pub retry: Option<Retry>,
    /// The place of `retry`.
    pub retry_span: Option<Span>,
    /// What people see and search for in run lists.
    pub label: Option<Value>,
    /// The recipe that is told of a failed run; its trigger is `failure`.
    pub on_failure: Option<Spanned<String>>,
    /// How long runs are kept.
    pub keep: Option<Keep>,
}

/// How many runs of a recipe go at once.
#[derive(Debug, Clone)]
pub struct Concurrency {
    /// Runs at once, of each key if there is one.
    pub limit: u32,
    /// Runs of one key wait for each other, in the order their events were accepted.
    pub key: Option<Value>,
    /// What happens to an event that finds the limit reached.
    pub on_overlap: Overlap,
}

/// What happens to an event that finds the limit reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It waits its turn.
    #[default]
    Queue,
    /// It is counted and starts no run.
    Skip,
    /// The run that goes on is cancelled.
    CancelRunning,
}

/// How long runs are kept; `None` takes the installation's setting.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// Runs that succeeded.
    pub succeeded: Option<Duration>,
    /// Runs that failed or were cancelled.
    pub failed: Option<Duration>,
    /// What is kept of the data that went through.
    pub payloads: Payloads,
}

/// What is kept of the data that went through a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payloads {
    /// Everything but credentials.
    #[default]
    Full,
    /// Names and shapes, no values.
    Redacted,
    /// Nothing.
    None,
}

/// What steps take that say nothing themselves.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// Their retry policy.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
}

/// A retry policy as written; whatever is `None` takes the engine's default.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// How many times the action may be tried in all, the first try included. 1 means never again.
    pub times: u32,
    /// Pause before the second try.
    pub wait: Option<Duration>,
    /// What each further pause is multiplied by.
    pub factor: Option<f64>,
    /// The longest pause.
    pub max_wait: Option<Duration>,
    /// How the pause is spread.
    pub jitter: Option<Jitter>,
    /// No further try once this long after the first began.
    pub within: Option<Duration>,
    /// The error classes that are tried again; `None` means the transient ones.
    pub on: Option<Vec<String>>,
}

/// How a pause is spread, so that many runs do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Anywhere between zero and the computed pause.
    Full,
    /// The computed pause itself.
    None,
}

/// A value that may hold expressions. Parts without any are folded into `Literal`.
#[derive(Debug, Clone)]
pub struct Value {
    /// What it is.
    pub kind: ValueKind,
    /// The place of the value.
    pub span: Span,
    /// The places inside a literal, so that problems in it can be shown exactly.
    pub places: Places,
}

/// The places of the parts of a literal, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Places {
    /// It has no parts, or they are not known.
    #[default]
    Leaf,
    /// Of each item: its place, and the places inside.
    List(Vec<(Span, Places)>),
    /// Of each field: the place of its key, of its value, and the places inside.
    Record(Vec<(Span, Span, Places)>),
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum ValueKind {
    /// No expression inside.
    Literal(Json),
    /// A whole-value `${ }`: keeps its type.
    Expr(Expr),
    /// Text with `${ }` in it: always text.
    Text(Vec<Part>),
    /// A list.
    List(Vec<Value>),
    /// A record, in the order written.
    Record(Vec<(Spanned<String>, Value)>),
}

/// A piece of mixed text.
#[derive(Debug, Clone)]
pub enum Part {
    /// Plain text, `$${` already turned into `${`.
    Literal(String),
    /// An expression.
    Expr(Expr),
}

/// The text of an expression and where it stands.
///
/// Text that starts with `$` is a JSONPath, anything else a formula. `span` covers exactly the
/// expression's source in the file wherever the two are the same bytes (plain and quoted scalars
/// without escapes before it); otherwise it covers the scalar that holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// The expression without its delimiters, trimmed.
    pub source: String,
    /// Its place.
    pub span: Span,
    /// Where the bytes of `source` stand: runs of equal bytes as (offset in `source`, offset in the
    /// file), ascending. Empty when only the span is known. [`Expr::place`] reads it.
    pub runs: Vec<(usize, usize)>,
}

impl Expr {
    /// The place in the file of a range of `source`, for problems inside an expression.
    #[must_use]
    pub fn place(&self, range: Range<usize>) -> Span {
        crate::offsets::place(&self.runs, self.span, range)
    }
}
