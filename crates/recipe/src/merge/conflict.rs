//! Where two sides want different things.

use serde::{Deserialize, Serialize};

use crate::edit::FieldPath;

/// One place where both sides changed the base, each in its own way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The step and the field; without a field, the whole step.
    pub at: FieldPath,
    /// What the two sides did.
    pub kind: ConflictKind,
    /// What stood in the base; `None` if there was nothing. Text as in the recipe, not indented.
    pub base: Option<String>,
    /// What stands in ours.
    pub ours: Option<String>,
    /// What stands in theirs.
    pub theirs: Option<String>,
}

/// What the two sides did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Both changed a value, differently.
    BothChanged,
    /// Both added a step or field of this name, differently.
    BothAdded,
    /// We removed what they changed.
    RemovedByUs,
    /// They removed what we changed.
    RemovedByThem,
    /// Both moved a step, to different places.
    BothMoved,
}

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The text that the merge goes into.
    Ours,
    /// The text that comes in.
    Theirs,
}

/// The decision about one conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The place of the conflict.
    pub at: FieldPath,
    /// Its kind.
    pub kind: ConflictKind,
    /// Whose way is taken.
    pub side: Side,
}

impl Conflict {
    /// The decision about this conflict.
    #[must_use]
    pub fn choose(&self, side: Side) -> Choice {
        Choice { at: self.at.clone(), kind: self.kind, side }
    }
}
