//! Large values and files: to the blob store before the commit that has them, and back when a run goes on.
//!
//! A crash between the two leaves a blob nobody refers to, which goes after a time.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value as Json;
use store::{
    Accepted, Beside, BlobId, BlobRef, Committed, Entry, NewRun, Packed, ReplayedLetter, RunCommit, RunId, StoreError, Timestamp,
    Weights, pack_chunk, put_blob, read_blob,
};

use crate::{Engine, files::kept};

/// Blobs removed in one transaction at most.
const SWEEP_BLOBS_MAX: u32 = 500;

impl Engine {
    /// Entries as a chunk, and what their values weigh. What is too large for it is added to `beside`, with its content:
    /// it must be kept ([`Engine::keep_blobs`]) before the chunk is written.
    pub(crate) fn pack(&self, entries: &[Entry], beside: &mut Vec<Beside>) -> Result<(Vec<u8>, Weights), StoreError> {
        let mut files = BTreeSet::new();
        let look = |text: &[u8]| self.addresses.files_in(text, &mut files);
        let Packed { bytes, mut blobs, weights } = pack_chunk(entries, self.settings.payload_inline_bytes_max, look)?;
        blobs.extend(kept(files));
        if !blobs.is_empty() {
            beside.push(Beside::Refers(blobs));
        }
        Ok((bytes, weights))
    }

    /// Keeps the contents a transition refers to.
    pub(crate) async fn keep_blobs(&self, beside: &[Beside]) -> Result<(), StoreError> {
        for change in beside {
            match change {
                // Boxed, so that what has nothing large does not carry the room for it.
                Beside::Refers(blobs) => Box::pin(self.keep_each(blobs)).await?,
                Beside::Start(run) => Box::pin(self.keep_blobs(&run.beside)).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn keep_each(&self, blobs: &[BlobRef]) -> Result<(), StoreError> {
        for blob in blobs {
            match &blob.content {
                Some(content) => {
                    put_blob(&self.store, content, self.now(), self.random()).await?;
                    metrics::counter!("liaison_payloads_spilled_total").increment(1);
                }
                // It was kept before; from now on it is referred to.
                None => drop(self.store.touch_blob(blob.id, self.now()).await?),
            }
        }
        Ok(())
    }

    /// Makes a commit durable, its large values first.
    pub(crate) async fn write_commit(&self, commit: Arc<RunCommit>) -> Result<Committed, StoreError> {
        self.keep_blobs(&commit.beside).await?;
        self.writer.commit(commit).await
    }

    /// Makes a new run durable, its large values first.
    pub(crate) async fn write_run(&self, run: NewRun) -> Result<Accepted, StoreError> {
        self.keep_blobs(&run.beside).await?;
        self.writer.accept(run).await
    }

    /// Makes a new run durable, its large values first, together with the end of the dead letter it replays. `None` when
    /// that one was dealt with meanwhile.
    pub(crate) async fn write_replay(
        &self,
        new: NewRun,
        failed: RunId,
        failed_at: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        self.keep_blobs(&new.beside).await?;
        let chunk = store::write_chunk(&[Entry::Replayed { at: new.accepted_at, run: new.id }])?;
        self.store.replay(&Arc::new(new), &ReplayedLetter { run: failed, failed_at, chunk }).await
    }

    /// Packs entries that are appended outside of a commit, and keeps what is large in them for the run.
    pub(crate) async fn pack_for(&self, run: RunId, entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
        let mut beside = Vec::new();
        let (chunk, _) = self.pack(entries, &mut beside)?;
        self.keep_blobs(&beside).await?;
        for change in beside {
            if let Beside::Refers(blobs) = change {
                let ids: Vec<BlobId> = blobs.iter().map(|blob| blob.id).collect();
                self.store.refer_blobs(run, &ids).await?;
            }
        }
        Ok(chunk)
    }

    /// A value that is kept apart from its journal.
    ///
    /// # Errors
    /// When the store does not answer or the content is damaged.
    pub async fn payload(&self, id: BlobId) -> Result<Arc<Json>, StoreError> {
        self.weighed_payload(id).await.map(|(value, _)| value)
    }

    /// Also gives its bytes as JSON text.
    pub(crate) async fn weighed_payload(&self, id: BlobId) -> Result<(Arc<Json>, u64), StoreError> {
        let content = read_blob(&self.store, id).await?;
        serde_json::from_slice(&content)
            .map(|value| (Arc::new(value), content.len() as u64))
            .map_err(|error| StoreError::Corrupt(format!("the content {id} is no value of a run: {error}")))
    }
}

/// Removes contents no run refers to, and counts what there is.
pub(crate) async fn keep_swept(engine: Arc<Engine>) {
    loop {
        if let Err(error) = sweep(&engine).await {
            tracing::warn!(%error, "blobs.sweep: the store did not answer");
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(engine.settings.prune_interval) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}

async fn sweep(engine: &Engine) -> Result<(), StoreError> {
    let grace = i64::try_from(engine.settings.blob_grace.as_micros()).unwrap_or(i64::MAX);
    let before = store::Timestamp::from_micros(engine.now().micros().saturating_sub(grace));
    loop {
        let removed = engine.store.drop_unreferenced_blobs(before, SWEEP_BLOBS_MAX).await?;
        if removed > 0 {
            tracing::info!(removed, "blobs.sweep");
        }
        if removed < u64::from(SWEEP_BLOBS_MAX) || engine.is_stopping() {
            break;
        }
    }
    let totals = engine.store.blob_totals().await?;
    engine.blob_bytes.store(totals.packed, std::sync::atomic::Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    for (name, value) in
        [("liaison_blobs", totals.count), ("liaison_blob_bytes", totals.size), ("liaison_blob_stored_bytes", totals.packed)]
    {
        metrics::gauge!(name).set(value as f64);
    }
    Ok(())
}
