//! Triggers that ask: how far each came, kept together with the runs its answers started.
//!
//! Any process may ask; a lease lets one ask at a time. An answer is kept with [`Polls::finish_poll`]: its runs and the
//! position after it become durable in one transaction, or neither does.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Accepted, EventKey, NewRun, RecipeId, StoreError, Timestamp, WorkerId};

/// Where a trigger goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PollPosition {
    /// What happened at or after this instant, in microseconds since the epoch.
    Since(i64),
    /// After the cursor of an answer; it means something to the connector only.
    After(Json),
}

impl PollPosition {
    /// As it is kept.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it makes no sense.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("polls.position makes no sense: {error}")))
    }
}

/// A trigger that asks, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct PollRow {
    /// Its recipe.
    pub recipe: RecipeId,
    /// The `connection.trigger` the position is of.
    pub source: String,
    /// Where it goes on.
    pub position: PollPosition,
    /// Grows with every move.
    pub seq: i64,
    /// When it asks again.
    pub due_at: Timestamp,
    /// The pause after the last question, in microseconds.
    pub pause_us: i64,
    /// When the last answer came.
    pub asked_at: Option<Timestamp>,
    /// When the last answer with events came.
    pub found_at: Option<Timestamp>,
    /// Runs it started in all.
    pub events: i64,
    /// Questions that failed since the last answer.
    pub failures: i64,
    /// Why the last question failed.
    pub error: Option<Json>,
}

/// A trigger that begins to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPoll {
    /// Its recipe.
    pub recipe: RecipeId,
    /// Its `connection.trigger`.
    pub source: String,
    /// What happened at or after this instant is wanted.
    pub since: Timestamp,
    /// The first pause, in microseconds.
    pub pause_us: i64,
}

/// What became of a question.
#[derive(Debug, Clone)]
pub struct PollDone {
    /// Its recipe.
    pub recipe: RecipeId,
    /// The `seq` of the row it was asked with.
    pub seq: i64,
    /// Who asked; it lets go of the row.
    pub worker: WorkerId,
    /// When.
    pub now: Timestamp,
    /// When to ask again.
    pub due_at: Timestamp,
    /// The usual pause until then, in microseconds; it is due sooner when there is more to have.
    pub pause_us: i64,
    /// What came of it.
    pub answer: PollAnswer,
}

impl PollDone {
    /// When to ask again and the usual pause, when so many of its runs are new.
    #[must_use]
    pub fn next(&self, new: usize) -> (Timestamp, i64) {
        match &self.answer {
            PollAnswer::Page { quiet, .. } if new == 0 => *quiet,
            _ => (self.due_at, self.pause_us),
        }
    }
}

/// What came of a question.
#[derive(Debug, Clone)]
pub enum PollAnswer {
    /// Events, as the runs they start, and where to go on.
    Page {
        /// The runs, in their order.
        runs: Vec<Arc<NewRun>>,
        /// The position after them.
        position: PollPosition,
        /// When to ask again, and the usual pause in microseconds, when none of them is new: a system that is asked
        /// with an overlap tells again what is known.
        quiet: (Timestamp, i64),
        /// Keys of events that are still told are kept for as long as those of new ones, so that what a system lists
        /// for years starts one run.
        renews: bool,
    },
    /// It failed, or could not be asked. The position stays.
    Failed {
        /// Why; `None` when the question was only put off.
        error: Option<Json>,
    },
}

/// How much longer a known key would have to be kept before it is renewed, in microseconds: a day.
pub const KEY_RENEWED_EVERY_US: i64 = 24 * 3_600 * 1_000_000;

/// The runs that were not made because their events are known, with the keys of these.
pub fn known_keys<'a>(runs: &'a [Arc<NewRun>], accepts: &'a [Accepted]) -> impl Iterator<Item = (&'a NewRun, &'a EventKey)> {
    let known = runs.iter().zip(accepts).filter(|(_, accepted)| matches!(accepted, Accepted::Duplicate { .. }));
    known.filter_map(|(run, _)| Some((&**run, run.key.as_ref()?)))
}

/// What triggers that ask need of a store. Each verb is one transaction.
#[async_trait]
pub trait Polls: Send + Sync + 'static {
    /// Makes these known; one that is known already stays as it is, unless it is of another source: then it begins anew.
    async fn open_polls(&self, polls: &[NewPoll], now: Timestamp) -> Result<(), StoreError>;

    /// Takes triggers of active recipes that are due, the most overdue first, until `lease_until`.
    async fn take_polls(
        &self,
        worker: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<PollRow>, StoreError>;

    /// Keeps an answer: its runs, the position after them and when to ask again. `None`, and nothing is kept, when
    /// the trigger was moved meanwhile or is somebody else's.
    async fn finish_poll(&self, done: &PollDone) -> Result<Option<Vec<Accepted>>, StoreError>;

    /// Moves a trigger to another instant and lets it ask at once. False when it never asked.
    async fn move_poll(&self, recipe: RecipeId, since: Timestamp, now: Timestamp) -> Result<bool, StoreError>;

    /// Lets a trigger ask at once. False when it never asked.
    async fn hasten_poll(&self, recipe: RecipeId, now: Timestamp) -> Result<bool, StoreError>;

    /// When the next trigger of an active recipe is due, those that are being asked left out until their lease ends.
    async fn next_poll(&self) -> Result<Option<Timestamp>, StoreError>;

    /// How triggers stand, by recipe: those after `after`, at most `limit`.
    async fn polls(&self, after: Option<RecipeId>, limit: u32) -> Result<Vec<PollRow>, StoreError>;

    /// How one stands.
    async fn poll(&self, recipe: RecipeId) -> Result<Option<PollRow>, StoreError>;
}
