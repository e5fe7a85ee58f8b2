//! Changes of a recipe text that touch only the bytes they must.
//!
//! The text is the only truth, so a change is a set of patches on it: comments, blank lines, the
//! order of keys, quotes, indentation and line breaks stay as their writer left them. A change is
//! first made to the tree of the text; then patches are proposed, applied, and the new text is read
//! again. If it does not say exactly what the changed tree says, the change is refused.
//!
//! A comment belongs to what it stands directly above or beside: it goes and moves with it.

mod change;
mod draft;
mod error;
mod fields;
mod fragment;
pub(crate) mod lines;
mod lists;
mod names;
mod patch;
mod refs;
mod steps;
pub(crate) mod target;
pub(crate) mod tree;
pub(crate) mod write;

pub use change::{Change, FieldPath, NewValue, PathPart, Place, StepList, Wrapper};
pub use error::{EditCode, EditError};
pub use patch::{Patch, apply};

pub(crate) use draft::{read, write_out};
pub(crate) use lists::{StepAt, steps};
pub(crate) use write::ascending;

use serde::Serialize;

use self::draft::Draft;
use self::fragment::Fragment;
use crate::catalogue::Catalogue;
use crate::diagnostic::{Diagnostics, LineIndex};
use crate::yaml::TEXT_BYTES_MAX;

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edited {
    /// The new text.
    pub text: String,
    /// What was replaced in the old text, in order; empty if nothing had to be.
    pub patches: Vec<Patch>,
    /// Applied to the new text, gives the old one back, byte for byte.
    pub undo: Vec<Patch>,
}

/// Makes one change to a recipe text.
///
/// The text may have problems elsewhere; it must only be readable as YAML.
///
/// # Errors
/// When what is named does not exist, the new text would not be a recipe's text, or the change
/// cannot be written without changing something else.
pub fn edit(text: &str, change: &Change, catalogue: &Catalogue) -> Result<Edited, EditError> {
    let fragment = match change {
        Change::InsertStep { step, .. } | Change::ReplaceStep { step, .. } => Some(Fragment::step(step)?),
        Change::SetField { value: NewValue::Yaml(yaml), .. } | Change::InsertItem { value: NewValue::Yaml(yaml), .. } => {
            Some(Fragment::value(yaml)?)
        }
        _ => None,
    };
    let fragment = fragment.as_ref();
    let mut draft = Draft::new(text, catalogue)?;
    match (change, fragment) {
        (Change::InsertStep { at, .. }, Some(fragment)) => draft.insert_step(at, fragment),
        (Change::ReplaceStep { id, step }, Some(fragment)) => draft.replace_step(id, step, fragment),
        (Change::InsertStep { .. } | Change::ReplaceStep { .. }, None) => Ok(()),
        (Change::MoveStep { id, to }, _) => draft.move_step(id, to),
        (Change::DuplicateStep { id }, _) => draft.duplicate_step(id),
        (Change::RemoveStep { id }, _) => draft.remove_step(id),
        (Change::WrapStep { ids, wrapper }, _) => draft.wrap_steps(ids, wrapper),
        (Change::SetField { at, value }, fragment) => draft.set_field(at, value, fragment),
        (Change::RenameField { at, name }, _) => draft.rename_field(at, name),
        (Change::RemoveField { at }, _) => draft.remove_field(at),
        (Change::InsertItem { at, value }, fragment) => draft.insert_item(at, value, fragment),
        (Change::RenameId { from, to }, _) => draft.rename_id(from, to),
        (Change::RenameConnection { from, to }, _) => draft.rename_connection(from, to),
        (Change::RenameParam { from, to }, _) => draft.rename_param(from, to),
    }?;
    draft.finish()
}

/// The text of one step, with its comments and without the indentation it stands at: what an editor
/// of one step shows, and [`Change::ReplaceStep`] takes back.
///
/// # Errors
/// When the recipe cannot be read or has no such step.
pub fn step_text(text: &str, id: &str, catalogue: &Catalogue) -> Result<String, EditError> {
    Draft::new(text, catalogue)?.step_text(id)
}

/// Why a text cannot be changed at all.
fn unreadable(text: &str) -> EditError {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("The text has {} bytes; a recipe has at most {TEXT_BYTES_MAX}.", text.len());
        return EditError::new(EditCode::TooLarge, message);
    }
    let message = format!("The text cannot be read as a recipe. {}", first_problem(text));
    EditError::new(EditCode::Unreadable, message).help("Mend the text first; other changes can follow then.")
}

/// The first thing that is wrong with a text as YAML, with its line.
fn first_problem(text: &str) -> String {
    let mut out = Diagnostics::default();
    let _ = crate::yaml::read(text.as_bytes(), &mut out);
    match out.finish().first() {
        Some(problem) => {
            let (line, _) = LineIndex::new(text).position(problem.span.start);
            format!("Line {line}: {}", problem.message)
        }
        None => "It is not a record.".to_owned(),
    }
}
