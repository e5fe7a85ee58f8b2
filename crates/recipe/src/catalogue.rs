//! What the checker must know from outside: connectors, and how to judge expressions and schedules.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::types::Typing;

/// Everything outside a recipe that decides whether it is sound.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The connectors that are installed. Shared: their schemas are large, and recipes are many.
    pub connectors: Arc<Vec<ConnectorInfo>>,
    /// Parses an expression without its delimiters and says what it refers to.
    pub expression: fn(&str) -> Result<ExpressionInfo, ExpressionProblem>,
    /// Parses a script, the block text of `set`, and says what it refers to.
    pub script: fn(&str) -> Result<ExpressionInfo, ExpressionProblem>,
    /// Judges a text that should be an instant, as RFC 3339 has it.
    pub instant: fn(&str) -> bool,
    /// Judges a cron expression and a zone; an error is the field ("cron" or "zone") and a sentence.
    pub schedule: fn(&str, &str) -> Result<(), ScheduleProblem>,
    /// The functions of formulas, for help and completion.
    pub functions: fn() -> Vec<FunctionDoc>,
    /// What systems told of their objects.
    pub shapes: Shapes,
}

/// JSON Schemas of records: `properties` with `title`, `type`, `enum`, `readOnly`. A field that is not among them cannot be
/// written, unless `additionalProperties` is true, and may be there to be read, unless that is false.
pub type Shapes = HashMap<ShapeOf, Json>;

/// An object of the system behind a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeOf {
    /// The connection's name.
    pub connection: String,
    /// The object's name, as the system has it.
    pub object: String,
}

/// One function of formulas, for help and completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionDoc {
    /// What it is called by.
    pub name: &'static str,
    /// How it is written, with what may be left out in brackets.
    pub signature: &'static str,
    /// What it gives, in a sentence.
    pub doc: &'static str,
    /// A formula that uses it.
    pub example: &'static str,
    /// What the example gives, as JSON.
    pub result: &'static str,
}

/// The field of a schedule that is wrong, "cron" or "zone", and a sentence about it.
pub type ScheduleProblem = (String, String);

/// One connector.
#[derive(Debug, Clone)]
pub struct ConnectorInfo {
    /// What recipes call it: `salesforce`.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// Usable without a connection, such as `http` and `log`.
    pub builtin: bool,
    /// What it can do.
    pub actions: Vec<ActionInfo>,
    /// What it can start runs with.
    pub triggers: Vec<TriggerInfo>,
}

/// One action of a connector.
#[derive(Debug, Clone)]
pub struct ActionInfo {
    /// What recipes call it: `query`.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// JSON Schema of its input.
    pub input: Json,
    /// JSON Schema of its output.
    pub output: Json,
    /// It works only through a connection.
    pub needs_connection: bool,
    /// What repeating it does, which may depend on its input.
    pub effect: EffectOf,
    /// It can give its result page by page.
    pub pages: bool,
    /// It is about an object whose fields the connection can tell.
    pub shaped: Option<ShapedInfo>,
}

/// Where an action or trigger names its object, and where that object's fields are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShapedInfo {
    /// The input that names it.
    pub named_by: String,
    /// It counts only when this input is true.
    pub only_with: Option<String>,
    /// The inputs that name fields of it, one or a list of them: `fields`, `filter[].field`.
    pub names: Vec<String>,
    /// The input that holds a record of it, or a list of them: `fields`, `rows[]`.
    pub writes: Option<String>,
    /// Fields of what is written that say which record is meant, though nobody can set them.
    pub keys: Vec<String>,
    /// Where the output holds a record: `` for the output itself, `record`, `records[]` for a list of them.
    pub gives: Option<String>,
}

/// Tells what repeating an action with some input does.
#[derive(Clone)]
pub struct EffectOf(pub Arc<dyn Fn(&Json) -> Effect + Send + Sync>);

impl std::fmt::Debug for EffectOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EffectOf")
    }
}

impl From<Effect> for EffectOf {
    /// The same whatever the input.
    fn from(effect: Effect) -> Self {
        Self(Arc::new(move |_| effect))
    }
}

/// What repeating an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    None,
    /// Repeating changes nothing more.
    Idempotent,
    /// Repeating does it twice.
    Once,
}

/// One trigger of a connector.
#[derive(Debug, Clone)]
pub struct TriggerInfo {
    /// What recipes call it: `event`.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// When it fires, in a sentence.
    pub summary: String,
    /// JSON Schema of its `with`.
    pub config: Json,
    /// JSON Schema of `trigger` in runs it starts.
    pub output: Json,
    /// Its events carry an id that tells repeated ones by itself.
    pub dedupes: bool,
    /// It is about an object whose fields the connection can tell.
    pub shaped: Option<ShapedInfo>,
}

/// What an expression refers to and gives.
#[derive(Debug, Clone, Default)]
pub struct ExpressionInfo {
    /// Every name from outside that it reads.
    pub references: Vec<Reference>,
    /// It is a JSONPath, not a formula.
    pub is_path: bool,
    /// Tells what it gives; `None` if that cannot be told.
    pub typing: Option<Arc<dyn Typing>>,
}

/// One name that an expression reads, with the fields that follow as far as they are fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `trigger`, `steps`, `meta`, `params`, `run`, `item`, …
    pub root: String,
    /// What follows the root.
    pub path: Vec<Segment>,
    /// The bytes of the whole reference in the expression.
    pub range: Range<usize>,
}

/// One part of the path of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A field.
    Key(String),
    /// An item by its number, negative from the end.
    Index(i64),
    /// Whatever a wildcard, a filter or a computed index picks.
    Any,
}

/// Why an expression cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionProblem {
    /// What is wrong.
    pub message: String,
    /// The bytes concerned in the expression.
    pub range: Range<usize>,
    /// What to do.
    pub hint: Option<String>,
}
