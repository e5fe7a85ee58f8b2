//! What people do with a trigger that asks: look ahead, move it, let it ask at once.

use std::sync::Arc;

use connector::{Position, StepError};
use store::{StoreError, Timestamp};

use crate::{Engine, LiveRecipe, frame::instant_text, intake};

/// Answers looked at for a count.
const PAGES_MAX: usize = 20;

/// What would start runs from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollCount {
    /// Events the trigger's condition lets through.
    pub wanted: u64,
    /// Events it does not.
    pub filtered: u64,
    /// True when there are more than were counted.
    pub more: bool,
}

/// Why a trigger was not moved or counted.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The recipe's trigger asks nobody.
    #[error("the trigger of this recipe asks nobody")]
    NotAsking,
    /// The system could not be asked.
    #[error("{0}")]
    Step(StepError),
    /// The gates of the connection are shut.
    #[error("the connection is held back until {}", instant_text(*.0))]
    Held(Timestamp),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Counts what a trigger would start if it began at an instant; starts nothing.
    ///
    /// # Errors
    /// [`PollError`].
    pub async fn count_poll(self: &Arc<Self>, recipe: &LiveRecipe, since: Timestamp) -> Result<PollCount, PollError> {
        let asking = self.asking(recipe).ok_or(PollError::NotAsking)?;
        let mut count = PollCount { wanted: 0, filtered: 0, more: true };
        let mut from = Position::Since(since.micros());
        for _ in 0..PAGES_MAX {
            let answered = self.ask_once(recipe, &asking, from).await.map_err(|(_, until)| PollError::Held(until))?;
            let polled = answered.map_err(PollError::Step)?;
            for event in polled.events {
                let scope = intake::event_scope(&Arc::new(event.data), &recipe.params, self.now());
                match intake::wanted(&recipe.program, &scope) {
                    Ok(false) => count.filtered += 1,
                    // One whose condition fails starts a run that says so.
                    Ok(true) | Err(_) => count.wanted += 1,
                }
            }
            if !polled.more {
                return Ok(PollCount { more: false, ..count });
            }
            from = Position::After(polled.cursor);
        }
        Ok(count)
    }

    /// Moves a trigger to an instant: what happened from there on starts runs, unless it did before.
    ///
    /// # Errors
    /// [`PollError::NotAsking`], [`PollError::Store`].
    pub async fn move_poll(&self, recipe: &LiveRecipe, since: Timestamp) -> Result<(), PollError> {
        self.asking(recipe).ok_or(PollError::NotAsking)?;
        if !self.store.move_poll(recipe.row.id, since, self.now()).await? {
            return Err(PollError::NotAsking);
        }
        self.polls.notify_one();
        Ok(())
    }

    /// Lets a trigger ask at once.
    ///
    /// # Errors
    /// [`PollError::NotAsking`], [`PollError::Store`].
    pub async fn hasten_poll(&self, recipe: &LiveRecipe) -> Result<(), PollError> {
        self.asking(recipe).ok_or(PollError::NotAsking)?;
        if !self.store.hasten_poll(recipe.row.id, self.now()).await? {
            return Err(PollError::NotAsking);
        }
        self.polls.notify_one();
        Ok(())
    }
}
