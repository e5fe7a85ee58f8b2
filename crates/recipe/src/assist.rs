//! What an editor can be told about a place in a recipe: completion, help, and where things are.
//!
//! Pure functions over a text, a byte offset and a [`Catalogue`](crate::Catalogue); the language server and the browser's
//! editor share them. They work in half-typed and broken text as far as they can, and answer nothing
//! where they cannot; they never fail.

mod chain;
mod complete;
mod cursor;
mod cut;
mod hover;
mod inputs;
mod neighbours;
mod outline;
mod reach;
mod slot;
mod symbols;
mod values;
mod words;

pub use complete::{complete, complete_among};
pub use hover::{Hover, hover};
pub use neighbours::Neighbour;
pub use outline::{Outline, OutlineKind, outline};
pub use symbols::{Symbol, SymbolKind, references, rename, symbol_at};

use crate::ast::Span;

/// At most so many suggestions are made at one place.
const COMPLETIONS_MAX: usize = 500;

/// One suggestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What lists show.
    pub label: String,
    /// What it is.
    pub kind: CompletionKind,
    /// A few words beside the label: a title, or the kind of value.
    pub detail: Option<String>,
    /// Sentences about it.
    pub doc: Option<String>,
    /// What is replaced in the text.
    pub replace: Span,
    /// What stands there afterwards.
    pub insert: String,
}

/// What a suggestion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionKind {
    /// A key of the language.
    Key,
    /// A field of an input or of a value.
    Field,
    /// A word or value of a fixed list.
    Value,
    /// A connector, or a connection.
    Connector,
    /// An action or a trigger.
    Action,
    /// A step.
    Step,
    /// Something formulas see: `trigger`, `params`, a loop's item.
    Variable,
    /// A function of formulas.
    Function,
}
