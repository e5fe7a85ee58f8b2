//! What can go wrong, said to the person who wrote the expression.

use std::ops::Range;

use crate::limits;

/// The text is not an expression. Found before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxProblem {
    /// What is wrong.
    pub message: String,
    /// Where in the source, in bytes.
    pub range: Range<usize>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl SyntaxProblem {
    pub(crate) fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: shortened(message.into(), limits::PROBLEM_CHARS_MAX), range, hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The expression does not fit the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// A stable word for it, one of [`EvalError::CODES`].
    pub code: &'static str,
    /// Where in the source, in bytes, where it is known.
    pub range: Option<Range<usize>>,
}

impl EvalError {
    /// The words `code` may be.
    pub const CODES: [&'static str; 11] = [
        "type_mismatch",
        "null_value",
        "not_a_boolean",
        "bad_argument",
        "arithmetic",
        "number_range",
        "unknown_name",
        "read_only",
        "limit",
        "thrown",
        "failed",
    ];

    /// An error of the kind `code`.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { message: shortened(message.into(), limits::ERROR_CHARS_MAX), hint: None, code, range: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_range(mut self, range: Range<usize>) -> Self {
        self.range.get_or_insert(range);
        self
    }
}

/// A sentence that quotes something endless, without the middle of it.
fn shortened(message: String, chars_max: usize) -> String {
    if message.len() <= chars_max || message.chars().count() <= chars_max {
        return message;
    }
    // What is said about it stands in front and behind.
    let kept = chars_max / 2;
    let place = |chars: usize| message.char_indices().nth(chars).map_or(message.len(), |(at, _)| at);
    let tail = place(message.chars().count() - kept);
    format!("{}…{}", &message[..place(kept)], &message[tail..])
}
