//! Nothing is removed from the store in memory: simulations look at everything that ever happened.

use async_trait::async_trait;

use super::MemoryStore;
use crate::*;

#[async_trait]
impl Care for MemoryStore {
    async fn purge(&self, _purge: &Purge) -> Result<Purged, StoreError> {
        Ok(Purged::default())
    }

    async fn forget_keys(&self, _: Option<KeyPlace>, _: Timestamp, _: u32) -> Result<Forgotten, StoreError> {
        Ok(Forgotten::default())
    }

    async fn sweep(&self, _: Timestamp, _: Timestamp, _: u32) -> Result<Swept, StoreError> {
        Ok(Swept::default())
    }

    async fn tidy(&self, _log_bytes_max: Option<u64>) -> Result<Room, StoreError> {
        Ok(Room::default())
    }

    async fn run_ids(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let model = self.model.lock();
        let later = model.runs.keys().filter(|id| after.is_none_or(|after| **id > after));
        Ok(later.take(limit as usize).copied().collect())
    }

    async fn journal_ids(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError> {
        self.run_ids(after, limit).await
    }

    async fn referred_blobs(&self, after: Option<BlobId>, limit: u32) -> Result<Vec<BlobId>, StoreError> {
        let later = |id: &BlobId| after.is_none_or(|after| *id > after);
        Ok(self.model.lock().blobs.referred().into_iter().filter(later).take(limit as usize).collect())
    }

    async fn referring_runs(&self, blob: BlobId, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let model = self.model.lock();
        let runs = model.blobs.referring(blob).filter(|run| model.runs.contains_key(run));
        Ok(runs.take(limit as usize).collect())
    }

    async fn faults(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
