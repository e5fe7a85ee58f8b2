//! Why a change was refused.

use std::fmt;

use serde::Serialize;

/// Why a change was refused, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EditError {
    /// The stable reason.
    pub code: EditCode,
    /// What was asked and why it cannot be, as a sentence.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// The stable reasons of refusals; in JSON as `unknown_step` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EditCode {
    /// The text is not well-formed YAML, or not a record.
    Unreadable,
    /// The text, or what it would become, is larger or deeper than a recipe may be.
    TooLarge,
    /// No step has the id.
    UnknownStep,
    /// The field, list or place does not exist.
    UnknownField,
    /// Two steps have the id, so that it is not clear which is meant.
    RepeatedId,
    /// Another step has the id already.
    IdTaken,
    /// The id, name or key is malformed.
    Malformed,
    /// The id means something else inside formulas.
    Reserved,
    /// The text is not one step, or not a value.
    NotAStep,
    /// The steps do not follow one another in one list.
    NotConsecutive,
    /// A step cannot be moved into itself.
    InsideItself,
    /// The record has the key already.
    KeyTaken,
    /// A formula that may refer to the id cannot be read.
    UnreadableFormula,
    /// An id is changed only together with what refers to it.
    NeedsRename,
    /// The change cannot be written into this layout without changing something else.
    Layout,
}

impl EditError {
    pub(crate) fn new(code: EditCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.help {
            Some(help) => write!(f, "{} {help}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for EditError {}
