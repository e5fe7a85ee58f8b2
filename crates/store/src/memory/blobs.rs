//! Blobs of the store in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::MemoryStore;
use crate::{BlobId, BlobRow, BlobTotals, Blobs, RunId, StoreError, Timestamp, UploadId};

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    uploads: BTreeMap<UploadId, Vec<Vec<u8>>>,
    blobs: BTreeMap<BlobId, (BlobRow, Vec<Vec<u8>>)>,
    refs: BTreeSet<(RunId, BlobId)>,
}

impl Kept {
    pub(super) fn refer(&mut self, run: RunId, blobs: impl Iterator<Item = BlobId>) {
        self.refs.extend(blobs.map(|blob| (run, blob)));
    }

    pub(super) fn referred(&self) -> BTreeSet<BlobId> {
        self.refs.iter().map(|(_, blob)| *blob).collect()
    }

    pub(super) fn referring(&self, blob: BlobId) -> impl Iterator<Item = RunId> {
        self.refs.iter().filter(move |(_, other)| *other == blob).map(|(run, _)| *run)
    }
}

impl MemoryStore {
    /// Changes one byte of a blob, as a failing disk would.
    pub fn damage_blob(&self, id: BlobId) {
        if let Some((_, parts)) = self.model.lock().blobs.blobs.get_mut(&id)
            && let Some(last) = parts.last_mut()
        {
            let middle = last.len() / 2;
            last[middle] ^= 0x10;
        }
    }
}

#[async_trait]
impl Blobs for MemoryStore {
    async fn write_part(&self, upload: UploadId, seq: i32, bytes: &[u8]) -> Result<(), StoreError> {
        let mut model = self.model.lock();
        let parts = model.blobs.uploads.entry(upload).or_default();
        parts.truncate(usize::try_from(seq).unwrap_or_default());
        parts.push(bytes.to_vec());
        Ok(())
    }

    async fn keep_blob(&self, upload: UploadId, blob: &BlobRow) -> Result<(), StoreError> {
        let mut model = self.model.lock();
        let parts = model.blobs.uploads.remove(&upload).unwrap_or_default();
        let kept_at = model.blobs.blobs.get(&blob.id).map_or(blob.kept_at, |(known, _)| known.kept_at);
        model.blobs.blobs.insert(blob.id, (BlobRow { kept_at, ..*blob }, parts));
        Ok(())
    }

    async fn drop_upload(&self, upload: UploadId) -> Result<(), StoreError> {
        self.model.lock().blobs.uploads.remove(&upload);
        Ok(())
    }

    async fn touch_blob(&self, id: BlobId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.model.lock().blobs.blobs.get_mut(&id).map(|(row, _)| row.touched_at = row.touched_at.max(now)).is_some())
    }

    async fn blob(&self, id: BlobId) -> Result<Option<BlobRow>, StoreError> {
        Ok(self.model.lock().blobs.blobs.get(&id).map(|(row, _)| *row))
    }

    async fn read_part(&self, id: BlobId, seq: i32) -> Result<Option<Vec<u8>>, StoreError> {
        let model = self.model.lock();
        let place = usize::try_from(seq).unwrap_or(usize::MAX);
        Ok(model.blobs.blobs.get(&id).and_then(|(_, parts)| parts.get(place).cloned()))
    }

    async fn refer_blobs(&self, run: RunId, blobs: &[BlobId]) -> Result<(), StoreError> {
        self.model.lock().blobs.refer(run, blobs.iter().copied());
        Ok(())
    }

    async fn refers(&self, run: RunId, blob: BlobId) -> Result<bool, StoreError> {
        Ok(self.model.lock().blobs.refs.contains(&(run, blob)))
    }

    async fn blob_totals(&self) -> Result<BlobTotals, StoreError> {
        let model = self.model.lock();
        Ok(model.blobs.blobs.values().fold(BlobTotals::default(), |sum, (row, _)| BlobTotals {
            count: sum.count + 1,
            size: sum.size + row.size,
            packed: sum.packed + row.packed,
        }))
    }

    async fn drop_unreferenced_blobs(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut model = self.model.lock();
        let runs: BTreeSet<RunId> = model.runs.keys().copied().collect();
        let kept = &mut model.blobs;
        kept.refs.retain(|(run, _)| runs.contains(run));
        kept.uploads.retain(|upload, _| *upload >= UploadId::earliest(before));
        let wanted: BTreeSet<BlobId> = kept.refs.iter().map(|(_, blob)| *blob).collect();
        let gone: Vec<BlobId> = kept
            .blobs
            .values()
            .filter(|(row, _)| row.touched_at < before && !wanted.contains(&row.id))
            .map(|(row, _)| row.id)
            .take(limit as usize)
            .collect();
        gone.iter().for_each(|id| drop(kept.blobs.remove(id)));
        Ok(gone.len() as u64)
    }
}
