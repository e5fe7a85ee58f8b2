//! The recipe language: text to tree and problems.
//!
//! [`parse`] reads a `*.recipe.yaml` and finds everything that is wrong with its text; it never fails
//! and never panics. [`check`] holds the tree against a [`Catalogue`] of connectors and against
//! itself. The crate knows no I/O and no other crate of ours: expressions are judged by functions
//! that the catalogue brings along.

pub mod assist;
pub mod ast;
mod catalogue;
mod check;
mod codes;
mod diagnostic;
mod diff;
mod document;
mod duration;
mod edit;
mod explain;
mod fmt;
mod keys;
mod merge;
mod offsets;
mod params;
mod read;
mod scalar;
pub mod scan;
mod schema;
mod settings;
mod steps;
mod syntax;
mod tests;
mod trigger;
mod types;
mod value;
mod yaml;

pub use ast::*;
pub use catalogue::{
    ActionInfo, Catalogue, ConnectorInfo, Effect, EffectOf, ExpressionInfo, ExpressionProblem, FunctionDoc, Reference,
    ScheduleProblem, Segment, ShapeOf, ShapedInfo, Shapes, TriggerInfo,
};
pub use check::{check_together, shapes_wanted};
pub use codes::{CodeInfo, codes, example};
pub use diagnostic::{Diagnostic, Edit, LineIndex, Severity};
pub use diff::{DiffError, Difference, DifferenceKind, NOTHING_CHANGES, diff};
pub use duration::parse_duration;
pub use edit::{
    Change, EditCode, EditError, Edited, FieldPath, NewValue, Patch, PathPart, Place, StepList, Wrapper, apply, edit, step_text,
};
pub use explain::{Explained, RunDefaults, explain};
pub use fmt::{FormatError, fmt};
pub use merge::{Choice, Conflict, ConflictKind, Merged, Side, merge, resolve};
pub use schema::{schema, schema_with};
pub use types::{Inferred, Kinds, Type, TypeProblem, Typing};

use crate::diagnostic::Diagnostics;
use crate::read::{Gaps, Reader};

/// What a text says.
#[derive(Debug)]
pub struct Parsed {
    /// The recipe; `None` only if it cannot be built at all. With any error among the diagnostics
    /// it may lack parts and must not run.
    pub recipe: Option<Recipe>,
    /// Every problem, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// True if a recipe was read and no problem is an error.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.recipe.is_some() && self.diagnostics.iter().all(|d| d.severity != Severity::Error)
    }
}

/// Reads a recipe. Never fails: what is wrong is in the diagnostics, all of it at once.
#[must_use]
pub fn parse(text: &[u8]) -> Parsed {
    let (recipe, _, diagnostics) = read(text);
    Parsed { recipe, diagnostics: diagnostics.finish() }
}

fn read(text: &[u8]) -> (Option<Recipe>, Gaps, Diagnostics) {
    let mut out = Diagnostics::default();
    let Some((text, root)) = yaml::read(text, &mut out) else {
        return (None, Gaps::default(), out);
    };
    let mut reader = Reader::new(text, out);
    let recipe = reader.recipe(&root);
    (recipe, reader.gaps, reader.out)
}

/// Any text as plain data, without the words of the language. For tests that hold our reading of
/// YAML against others'; with an error among the problems the data may lack parts.
#[doc(hidden)]
#[must_use]
pub fn data(text: &[u8]) -> (Option<serde_json::Value>, Vec<Diagnostic>) {
    let mut out = Diagnostics::default();
    let Some((text, root)) = yaml::read(text, &mut out) else {
        return (None, out.finish());
    };
    let mut reader = Reader::new(text, out);
    let (data, _) = reader.literal(&root);
    (Some(data), reader.out.finish())
}

/// Holds a recipe against a catalogue, in the order of the text.
///
/// Meant for recipes that were read without errors; [`parse_and_check`] also knows what could not be
/// read and does not report the consequences.
#[must_use]
pub fn check(recipe: &Recipe, catalogue: &Catalogue) -> Vec<Diagnostic> {
    let mut out = Diagnostics::default();
    check::run(recipe, catalogue, &Gaps::default(), &mut out);
    out.finish()
}

/// Reads a recipe and holds it against a catalogue: every problem at once, each cause once.
#[must_use]
pub fn parse_and_check(text: &[u8], catalogue: &Catalogue) -> Parsed {
    let (recipe, gaps, mut out) = read(text);
    if let Some(recipe) = &recipe {
        check::run(recipe, catalogue, &gaps, &mut out);
    }
    Parsed { recipe, diagnostics: out.finish() }
}
