//! Tests that stand in the recipe itself.

use serde_json::Value as Json;

use super::{Places, Span, Spanned};

/// One test: an event, what the systems around answer, and what is expected.
#[derive(Debug, Clone)]
pub struct Test {
    /// What it shows.
    pub title: Spanned<String>,
    /// The event; null if there is none.
    pub event: TestData,
    /// The instant the run starts; a fixed one unless said otherwise, so that tests repeat exactly.
    pub at: Option<Spanned<String>>,
    /// Values of params; the others have their defaults.
    pub params: Json,
    /// The state before the run; the others have their defaults.
    pub state: Json,
    /// What steps give without being done, by id, or by path for one pass of a loop (`push[0].up`).
    pub given: Vec<Given>,
    /// Steps that fail, by id or path.
    pub fails: Vec<TestFailure>,
    /// What must come out.
    pub expect: Expect,
    /// The place of the whole test.
    pub span: Span,
}

/// Data of a test: written there, or in a file beside the recipe.
#[derive(Debug, Clone)]
pub enum TestData {
    /// Written in the recipe.
    Inline(Json),
    /// The path of a JSON file, from the folder of the recipe.
    File(Spanned<String>),
}

/// What a step gives in a test.
#[derive(Debug, Clone)]
pub struct Given {
    /// The id of the step, or the path of one pass of it.
    pub step: Spanned<String>,
    /// Its output.
    pub output: TestData,
    /// The place of the output.
    pub span: Span,
    /// The places inside the output, if it is written in the recipe.
    pub places: Places,
}

/// A step that fails in a test.
#[derive(Debug, Clone)]
pub struct TestFailure {
    /// The id of the step, or the path of one pass of it.
    pub step: Spanned<String>,
    /// The error class.
    pub class: String,
    /// The vendor's or our code.
    pub code: Option<String>,
    /// The sentence.
    pub message: Option<String>,
    /// How many attempts fail before the given output comes; `None` means all.
    pub times: Option<u32>,
}

/// What must come out of a test.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// How the run ends.
    pub status: Option<Spanned<ExpectedStatus>>,
    /// Inputs of calls by step id or path, in the order written. A list of records means several calls.
    pub calls: Vec<(Spanned<String>, Json)>,
    /// Outputs of steps by id or path.
    pub steps: Vec<(Spanned<String>, Json)>,
    /// Steps that must not run.
    pub not_run: Vec<Spanned<String>>,
    /// The result of the run.
    pub output: Option<Json>,
    /// The error of a failed run: any of `class`, `code`, `message` (a part of it), `step`.
    pub error: Option<Json>,
    /// The state after the run.
    pub state: Option<Json>,
    /// The answer to the caller: any of `status`, `headers`, `body`.
    pub response: Option<Json>,
    /// What is written must be all there is, not a part of it.
    pub exact: bool,
    /// The place of the record.
    pub span: Span,
    /// The places inside the record, so that what did not come out can be shown where it is expected.
    pub places: Places,
}

/// How a run ends in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedStatus {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It stands still and waits for somebody.
    Waiting,
    /// The trigger did not want the event; there was no run.
    Filtered,
}
