//! What a recipe does not want kept of its runs once they are over.

use async_trait::async_trait;

use crate::{ErrorRecord, RecipeId, RunId, StoreError, Timestamp};

/// What stays of the values that went through a run, once it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// The names of their fields and how many there were.
    Shapes,
    /// Nothing.
    Nothing,
}

impl Keeps {
    /// As it is kept.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Shapes => 1,
            Self::Nothing => 2,
        }
    }

    /// Reads it back.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Shapes),
            2 => Some(Self::Nothing),
            _ => None,
        }
    }

    /// As recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shapes => "redacted",
            Self::Nothing => "none",
        }
    }
}

/// Runs whose data is still there, as far as one look went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgettable {
    /// Those whose data may go now.
    pub runs: Vec<(RunId, Keeps)>,
    /// How many were looked at.
    pub seen: u32,
    /// Where the next look goes on; `None` when there is nothing more.
    pub next: Option<RunId>,
}

/// What takes the place of a part of a run's data. A journal is gone through from its end to its beginning, so that
/// whoever asks for the event of the run has it whole until all of it goes.
#[derive(Debug, Clone)]
pub struct Forgetting {
    /// The run.
    pub run: RunId,
    /// How many chunks its journal had when it was looked at: one that is longer by now stays.
    pub length: i32,
    /// Some chunks of it, by their numbers.
    pub chunks: Vec<(i32, Vec<u8>)>,
    /// With these everything goes that is kept beside the journal, and the run counts as forgotten.
    pub finishes: bool,
    /// Why it failed, without what was said.
    pub error: Option<ErrorRecord>,
    /// Now.
    pub at: Timestamp,
}

/// What forgetting asks of a store. A run says with [`Beside::Forgets`](crate::Beside::Forgets), when it is accepted, that
/// its data is to go; from then on that is durable.
#[async_trait]
pub trait Forgets: Send + Sync + 'static {
    /// Looks for runs after `after` that ended at or before `ended_before`, and whose data nobody needs any more: a failed
    /// run was dealt with, and neither an operation that is not over nor a caller that may go on needs it.
    async fn forgettable(&self, after: Option<RunId>, ended_before: Timestamp) -> Result<Forgettable, StoreError>;

    /// Puts something else in place of a run's data, and removes what it was asked and answered. False when it may
    /// not go, went before, or the journal has another length by now; nothing was changed then.
    async fn forget(&self, wish: &Forgetting) -> Result<bool, StoreError>;

    /// What stays of a run's data, and since when the rest is gone. `None` when all of it stays.
    async fn keeps(&self, run: RunId) -> Result<Option<(Keeps, Option<Timestamp>)>, StoreError>;

    /// Lets a recipe begin anew, as if nothing had ever happened: it forgets which events it knows and what it keeps between
    /// its runs, and a trigger that asks does so at once for what happens from `now` on. Its runs stay as they are.
    async fn begin_anew(&self, recipe: RecipeId, now: Timestamp) -> Result<(), StoreError>;

    /// Removes what was forgotten from the files as well, as far as the database leaves it there. False when it has to
    /// be tried again.
    async fn wipe(&self) -> Result<bool, StoreError>;
}
