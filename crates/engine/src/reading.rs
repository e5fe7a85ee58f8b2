//! Reads journals part by part: a run over millions of items has more chunks than fit into memory.

use std::{collections::HashMap, sync::Arc};

use store::{
    Apart, BlobId, CLAIM_CHUNKS_MAX, Chunk, Claim, Entry, Field, Journal, JournalReader, RunId, StepPath, StoreError, Weights,
    open_chunk,
};

use crate::{Engine, program::Program};

/// Chunks read in one look.
pub(crate) const PART_CHUNKS: u32 = 64;

impl Engine {
    /// The journal a claimed run goes on from, and what its values weigh. Values that nothing in its recipe reads any
    /// more are null.
    pub(crate) async fn take_journal(&self, claim: &Claim, program: &Program) -> Result<(Journal, Weights), StoreError> {
        let mut reader = JournalReader::default();
        for (seq, chunk) in &claim.chunks {
            reader.take(*seq, chunk)?;
        }
        if claim.chunks.len() == CLAIM_CHUNKS_MAX {
            self.read_on(claim.id, &mut reader).await?;
        }
        let wanted = |field: Field, path: Option<&StepPath>| match (field, path) {
            (Field::Event, _) => program.reads_event(),
            // Only the pages of streams have paths that end so.
            (Field::Out, Some(path)) => path.ends_with(']') || program.reads_output(crate::id_of(path)),
            _ => true,
        };
        self.weighed(reader, wanted).await
    }

    /// A run's journal, read from the store.
    ///
    /// # Errors
    /// When the store does not answer or the journal is damaged.
    pub async fn journal(&self, id: RunId) -> Result<Journal, StoreError> {
        let mut reader = JournalReader::default();
        self.read_on(id, &mut reader).await?;
        self.filled(reader, |_, _| true).await
    }

    /// How far a run is, without its values: those kept apart are null.
    pub(crate) async fn outline(&self, id: RunId) -> Result<Journal, StoreError> {
        let mut reader = JournalReader::default();
        self.read_on(id, &mut reader).await?;
        reader.finish(&HashMap::new())
    }

    /// What a run began with; without `values` those kept apart are null.
    pub(crate) async fn beginning(&self, id: RunId, values: bool) -> Result<Journal, StoreError> {
        let mut reader = JournalReader::default();
        for (seq, chunk) in self.store.chunks(id, 0, 1).await? {
            reader.take(seq, &chunk)?;
        }
        self.filled(reader, |_, _| values).await
    }

    async fn read_on(&self, id: RunId, reader: &mut JournalReader) -> Result<(), StoreError> {
        loop {
            let part = self.store.chunks(id, reader.next_seq(), PART_CHUNKS).await?;
            for (seq, chunk) in &part {
                reader.take(*seq, chunk)?;
            }
            if part.len() < PART_CHUNKS as usize {
                return Ok(());
            }
        }
    }

    async fn filled(
        &self,
        reader: JournalReader,
        wanted: impl Fn(Field, Option<&StepPath>) -> bool,
    ) -> Result<Journal, StoreError> {
        self.weighed(reader, wanted).await.map(|(journal, _)| journal)
    }

    async fn weighed(
        &self,
        mut reader: JournalReader,
        wanted: impl Fn(Field, Option<&StepPath>) -> bool,
    ) -> Result<(Journal, Weights), StoreError> {
        let mut fetched = HashMap::new();
        let mut weights = reader.take_weights();
        for id in reader.missing(wanted) {
            let (value, bytes) = self.weighed_payload(id).await?;
            weights.add_value(&value, bytes);
            fetched.insert(id, value);
        }
        Ok((reader.finish(&fetched)?, weights))
    }

    /// Shows the entries of a run's journal from chunk `from` on, with the values kept apart of those that
    /// are wanted; says which chunk comes next.
    ///
    /// # Errors
    /// When the store does not answer or the journal is damaged.
    pub async fn for_each_entry(
        &self,
        id: RunId,
        from: i32,
        wanted: impl Fn(&Entry) -> bool,
        mut look: impl FnMut(Entry),
    ) -> Result<i32, StoreError> {
        let mut next = from;
        loop {
            let part = self.store.chunks(id, next, PART_CHUNKS).await?;
            for (seq, bytes) in &part {
                let Chunk { mut entries, apart } = open_chunk(bytes)?;
                let apart = apart.into_iter().filter(|apart| wanted(&entries[apart.entry])).collect::<Vec<_>>();
                self.put_in(&mut entries, &apart).await?;
                entries.into_iter().for_each(&mut look);
                next = seq + 1;
            }
            if part.len() < PART_CHUNKS as usize {
                return Ok(next);
            }
        }
    }

    async fn put_in(&self, entries: &mut [Entry], apart: &[Apart]) -> Result<(), StoreError> {
        let mut known: HashMap<BlobId, Arc<serde_json::Value>> = HashMap::new();
        for apart in apart {
            let value = match known.get(&apart.sha256) {
                Some(value) => Arc::clone(value),
                None => self.payload(apart.sha256).await?,
            };
            known.insert(apart.sha256, Arc::clone(&value));
            entries[apart.entry].set(apart.field, value);
        }
        Ok(())
    }
}
