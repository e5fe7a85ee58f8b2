//! The requests of an attempt, counted one by one.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Cx, ErrorClass, StepError};

/// The code of an attempt that ended because its next request did not get its turn.
pub const BUDGET_SPENT: &str = "BUDGET_SPENT";
/// A request is not waited for when less than this is left of its attempt's time: an answer that comes too late leaves doubt.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// A call that nobody else wants may have to be fetched from the store.
const FETCH_TIME: Duration = Duration::from_millis(500);

/// Counts the requests of one attempt against the budget of its connection.
#[async_trait]
pub trait Turns: Send + Sync {
    /// Waits, for so long at most, until the budget has one more request. The first one of an attempt is there already.
    ///
    /// # Errors
    /// How long it would take, if that is longer; at once, as soon as it is known.
    async fn next(&self, at_most: Duration) -> Result<(), Duration>;
}

impl Cx {
    /// Waits for the turn of the next request; each request of an attempt asks for its own.
    ///
    /// # Errors
    /// `BUDGET_SPENT` when its turn would not come in what is left of the attempt's time. The request was not made.
    pub async fn turn(&self) -> Result<(), StepError> {
        let Some(turns) = &self.turns else { return Ok(()) };
        let left = self.left();
        let at_most = left.saturating_sub(REQUEST_TIME.min(self.timeout / 4)).max(FETCH_TIME.min(left / 2));
        let Err(wait) = turns.next(at_most).await else { return Ok(()) };
        let name = self.connection.as_ref().map_or("", |connection| &connection.name);
        let message = format!(
            "This takes several requests, and the connection \"{name}\" lets no further one go in the {} s that are left for it: its budget is used up, others take their turns, or its system asked to wait",
            left.as_secs(),
        );
        let error = StepError::new(ErrorClass::RateLimited, BUDGET_SPENT, message);
        Err(StepError { retry_after: Some(wait), ..error }.with_next(
            "It is tried again when the next request may go. If it never gets through, give the step a longer `timeout`, let it ask for fewer records at once (or walk them in an each step with stream: true), or raise the budget of the connection.",
        ))
    }
}
