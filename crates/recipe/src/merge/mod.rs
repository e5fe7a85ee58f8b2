//! Two edited texts of one recipe become one.
//!
//! Steps are known by their ids, fields by their keys. What only one side changed is taken; where
//! both changed the same thing differently, there is a [`Conflict`] as a value, and ours stays until
//! somebody chooses. The result is written into our text as any other change is: comments, order
//! and layout stay, and the new text is read again before it is given out.

mod conflict;
mod merger;
mod order;
mod place;
mod renames;
mod settle;
mod steps;
mod value;

pub use conflict::{Choice, Conflict, ConflictKind, Side};

use std::collections::HashSet;

use serde::Serialize;

use self::merger::Merger;
use self::place::Plan;
use crate::catalogue::Catalogue;
use crate::edit::{EditCode, EditError, read, write_out};

/// Two texts in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// Our text with all that came in. Where there are conflicts, with our side of them.
    pub text: String,
    /// What nobody has decided yet.
    pub conflicts: Vec<Conflict>,
}

/// Takes the changes between `base` and `theirs` into `ours`.
///
/// # Errors
/// When a text cannot be read, or the result cannot be written into the layout of ours.
pub fn merge(base: &str, ours: &str, theirs: &str, catalogue: &Catalogue) -> Result<Merged, EditError> {
    resolve(base, ours, theirs, &[], catalogue)
}

/// Merges with decisions about conflicts that an earlier [`merge`] of the same texts gave.
///
/// # Errors
/// As for [`merge`].
pub fn resolve(base: &str, ours: &str, theirs: &str, choices: &[Choice], catalogue: &Catalogue) -> Result<Merged, EditError> {
    let done = |text: &str| Ok(Merged { text: text.to_owned(), conflicts: Vec::new() });
    if ours == theirs || base == theirs {
        read(ours)?;
        return done(ours);
    }
    if base == ours {
        read(theirs)?;
        return done(theirs);
    }
    let [base, ours, theirs] = renames::followed(base, ours, theirs, catalogue)?;
    let sources = [read(&ours)?, read(&theirs)?, read(&base)?];
    let plan = Plan::of(&sources);
    let nothing = HashSet::new();
    let mut merger = Merger::new(&sources, plan, choices, &nothing);
    let target = merger.recipe();
    let (conflicts, whole) = merger.finish();
    if !whole {
        let message = "The two texts changed the order and nesting of their steps too much to be put together.";
        return Err(EditError::new(EditCode::Layout, message).help("Take one of them, and repeat the changes of the other."));
    }
    let text = write_out(&sources, target, &nothing)?.text;
    Ok(Merged { text, conflicts })
}
