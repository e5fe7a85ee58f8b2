//! Large values and files: to the blob store before the commit that has them, and back when a run goes on.
//!
//! A crash between the two leaves a blob nobody refers to, which goes after a time.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use serde_json::Value as Json;
use store::{
    Accepted, Apart, Beside, BlobId, BlobRef, Committed, Entry, Field, Journal, NewRun, Packed, RunCommit, RunId, StepPath,
    StoreError, open_chunk, pack_chunk, put_blob, read_blob,
};

use crate::{Engine, files::kept, program::Program};

/// Blobs removed in one transaction at most.
const SWEEP_BLOBS_MAX: u32 = 500;

impl Engine {
    /// Entries as a chunk. What is too large for it is added to `beside`, with its content: it must be
    /// kept ([`Engine::keep_blobs`]) before the chunk is written.
    pub(crate) fn pack(&self, entries: &[Entry], beside: &mut Vec<Beside>) -> Result<Vec<u8>, StoreError> {
        let mut files = BTreeSet::new();
        let look = |text: &[u8]| self.addresses.files_in(text, &mut files);
        let Packed { bytes, mut blobs } = pack_chunk(entries, self.settings.payload_inline_bytes_max, look)?;
        blobs.extend(kept(files));
        if !blobs.is_empty() {
            beside.push(Beside::Refers(blobs));
        }
        Ok(bytes)
    }

    /// Keeps the contents a transition refers to.
    pub(crate) async fn keep_blobs(&self, beside: &[Beside]) -> Result<(), StoreError> {
        for change in beside {
            match change {
                Beside::Refers(blobs) => self.keep_each(blobs).await?,
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
    pub(crate) async fn write_commit(&self, commit: RunCommit) -> Result<Committed, StoreError> {
        self.keep_blobs(&commit.beside).await?;
        self.writer.commit(commit).await
    }

    /// Makes a new run durable, its large values first.
    pub(crate) async fn write_run(&self, run: NewRun) -> Result<Accepted, StoreError> {
        self.keep_blobs(&run.beside).await?;
        self.writer.accept(run).await
    }

    /// Packs entries that are appended outside of a commit, and keeps what is large in them for the run.
    pub(crate) async fn pack_for(&self, run: RunId, entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
        let mut beside = Vec::new();
        let chunk = self.pack(entries, &mut beside)?;
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
        let content = read_blob(&self.store, id).await?;
        serde_json::from_slice(&content)
            .map(Arc::new)
            .map_err(|error| StoreError::Corrupt(format!("the content {id} is no value of a run: {error}")))
    }

    /// Unpacks chunks, and fetches those of the values kept apart that are wanted.
    pub(crate) async fn unpack(
        &self,
        chunks: &[(i32, Vec<u8>)],
        wanted: impl Fn(&[(i32, store::Chunk)], &Entry, Field) -> bool,
    ) -> Result<Vec<(i32, Vec<Entry>)>, StoreError> {
        let mut opened =
            chunks.iter().map(|(seq, bytes)| Ok((*seq, open_chunk(bytes)?))).collect::<Result<Vec<_>, StoreError>>()?;
        if opened.iter().any(|(_, chunk)| !chunk.apart.is_empty()) {
            let fetch: Vec<(usize, Apart)> = opened
                .iter()
                .enumerate()
                .flat_map(|(place, (_, chunk))| chunk.apart.iter().map(move |apart| (place, chunk, *apart)))
                .filter(|(_, chunk, apart)| wanted(&opened, &chunk.entries[apart.entry], apart.field))
                .map(|(place, _, apart)| (place, apart))
                .collect();
            let mut known: HashMap<BlobId, Arc<Json>> = HashMap::new();
            for (place, apart) in fetch {
                let value = match known.get(&apart.sha256) {
                    Some(value) => Arc::clone(value),
                    None => {
                        let value = self.payload(apart.sha256).await?;
                        known.insert(apart.sha256, Arc::clone(&value));
                        value
                    }
                };
                opened[place].1.entries[apart.entry].set(apart.field, value);
            }
        }
        Ok(opened.into_iter().map(|(seq, chunk)| (seq, chunk.entries)).collect())
    }

    /// The journal a run goes on from. Values that nothing in its recipe reads any more are null.
    pub(crate) async fn take_journal(&self, chunks: &[(i32, Vec<u8>)], program: &Program) -> Result<Journal, StoreError> {
        let forgotten = OnceLock::new();
        let wanted = |chunks: &[(i32, store::Chunk)], entry: &Entry, field: Field| match (entry, field) {
            // Only the pages of streams have paths that end so and are called for.
            (Entry::Succeeded { p, .. }, _) if p.ends_with(']') => !forgotten.get_or_init(|| forgotten_pages(chunks)).contains(p),
            (Entry::Accepted { .. }, Field::Event) => program.reads_event(),
            // How it ended before it was resumed.
            (Entry::Ended { .. }, _) => false,
            (Entry::Started { p, .. }, _) => !is_done(chunks, p),
            (Entry::Computed { p, .. } | Entry::Succeeded { p, .. } | Entry::Settled { p, .. }, _) => {
                program.reads_output(crate::id_of(p))
            }
            _ => true,
        };
        let entries = self.unpack(chunks, wanted).await?;
        Journal::of(entries.into_iter().map(Ok))
    }

    /// How far a run is, without its values: those kept apart are null.
    pub(crate) async fn outline(&self, id: RunId) -> Result<Journal, StoreError> {
        let chunks = self.store.chunks(id, 0).await?;
        let entries = self.unpack(&chunks, |_, _, _| false).await?;
        Journal::of(entries.into_iter().map(Ok))
    }
}

/// The calls for pages of streams whose items nobody needs any more.
fn forgotten_pages(chunks: &[(i32, store::Chunk)]) -> HashSet<StepPath> {
    let entries = || chunks.iter().flat_map(|(_, chunk)| &chunk.entries);
    let holds = |path: &StepPath| {
        entries().any(|entry| matches!(entry, Entry::Caught { p, held: true, .. } if p.starts_with(&format!("{path}["))))
    };
    let pages = entries().filter_map(|entry| match entry {
        Entry::Paged { p, page, gone: true, .. } => Some((p, page)),
        _ => None,
    });
    let mut held: HashMap<&StepPath, bool> = HashMap::new();
    pages
        .filter(|(path, _)| !*held.entry(path).or_insert_with(|| holds(path)))
        .map(|(path, page)| store::page_path(path, *page))
        .collect()
}

fn is_done(chunks: &[(i32, store::Chunk)], path: &StepPath) -> bool {
    let done = |entry: &Entry| matches!(entry, Entry::Succeeded { p, .. } | Entry::Settled { p, .. } | Entry::Computed { p, .. } if p == path);
    chunks.iter().any(|(_, chunk)| chunk.entries.iter().any(done))
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
