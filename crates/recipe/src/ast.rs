//! The recipe as a tree: what the text means, with the place each part was read from.
//!
//! The tree is what the engine compiles and the checker walks. It is not serialisable: the text is
//! the only truth, and it is never printed back from here.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

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
    /// What starts a run.
    pub trigger: Trigger,
    /// Settings of the whole recipe.
    pub settings: Settings,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One entry of `connections:`.
#[derive(Debug, Clone)]
pub struct ConnectionRef {
    /// The logical name recipes use: `hook` in `do: hook.request`.
    pub name: Spanned<String>,
    /// The connector it must be of.
    pub connector: Spanned<String>,
}

/// One entry of `params:`.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: Spanned<String>,
    /// Its type.
    pub kind: ParamType,
    /// The value when the environment sets none.
    pub default: Option<Json>,
    /// What people call it.
    pub title: Option<String>,
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
    /// The place of the whole trigger.
    pub span: Span,
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
    /// How long a run may take from its start.
    pub timeout: Option<Duration>,
    /// Retry for steps that say nothing themselves.
    pub retry: Option<Retry>,
    /// What people see and search for in run lists.
    pub label: Option<Value>,
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

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// What references use: `[a-z][a-z0-9_]{0,39}`, unique in the recipe.
    pub id: Spanned<String>,
    /// What people call it.
    pub title: Option<String>,
    /// Free text for its readers.
    pub note: Option<String>,
    /// The step is skipped when this is false.
    pub condition: Option<Expr>,
    /// Its own retry policy.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// What it does.
    pub kind: StepKind,
    /// The place of the whole step.
    pub span: Span,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum StepKind {
    /// Calls an action.
    Do {
        /// The connection (`hook`) or built-in connector (`http`, `log`) before the dot.
        connection: Spanned<String>,
        /// The action after the dot.
        action: Spanned<String>,
        /// The action's input.
        with: Value,
    },
    /// Computes a record. A block text is a script whose last value counts.
    Set(SetValue),
    /// Takes the first branch whose condition holds.
    Choose(Vec<Branch>),
    /// Runs its steps for every item of a list.
    Each {
        /// The list.
        items: Value,
        /// The name of the item inside, `item` unless said otherwise.
        binding: String,
        /// What each pass contributes to `results`; `None` means the output of its last step.
        collect: Option<Value>,
        /// The steps of one pass.
        steps: Vec<Step>,
    },
    /// Ends the run as succeeded with this result.
    Return(Value),
    /// Ends the run as failed with this message.
    Fail(Value),
}

/// The value of a `set` step.
#[derive(Debug, Clone)]
pub enum SetValue {
    /// Names to values, in the order written.
    Fields(Value),
    /// A script.
    Script(Expr),
}

/// One branch of a `choose`.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its condition; `None` for `otherwise`.
    pub when: Option<Expr>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The place of the branch.
    pub span: Span,
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
