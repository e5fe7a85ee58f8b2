//! A simulation has no triggers that ask.

use async_trait::async_trait;

use super::{MemoryStore, not_here};
use crate::*;

#[async_trait]
impl Polls for MemoryStore {
    async fn open_polls(&self, _polls: &[NewPoll], _now: Timestamp) -> Result<(), StoreError> {
        not_here("triggers that ask")
    }

    async fn take_polls(&self, _: WorkerId, _: Timestamp, _: Timestamp, _limit: u32) -> Result<Vec<PollRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn finish_poll(&self, _done: &PollDone) -> Result<Option<Vec<Accepted>>, StoreError> {
        not_here("triggers that ask")
    }

    async fn move_poll(&self, _recipe: RecipeId, _since: Timestamp, _now: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn hasten_poll(&self, _recipe: RecipeId, _now: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn next_poll(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn polls(&self, _after: Option<RecipeId>, _limit: u32) -> Result<Vec<PollRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn poll(&self, _recipe: RecipeId) -> Result<Option<PollRow>, StoreError> {
        Ok(None)
    }
}
