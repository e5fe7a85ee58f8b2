//! Reads a journal chunk by chunk, in the memory of where its run stands.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value as Json;

use super::{Field, Journal, StepPath, StepState, Weights, apart::open_weighed};
use crate::{BlobId, StoreError};

/// Chunks between two looks for values that nothing refers to any more.
const FORGET_EVERY: u32 = 64;

/// Reads one run's journal, however long it is: what its run has forgotten is held no longer. Values kept
/// apart are fetched at the end, and only those that the run still has and somebody wants.
#[derive(Debug, Default)]
pub struct JournalReader {
    journal: Option<Journal>,
    /// A stand-in for each value kept apart, by its address, with the content it stands for.
    apart: HashMap<usize, (Arc<Json>, BlobId)>,
    since_forgotten: u32,
    weights: Weights,
}

fn place(value: &Arc<Json>) -> usize {
    Arc::as_ptr(value).addr()
}

impl JournalReader {
    /// Reads the next chunk.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it cannot be read, is not the next, or says what may not follow.
    pub fn take(&mut self, seq: i32, bytes: &[u8]) -> Result<(), StoreError> {
        let (mut chunk, size) = open_weighed(bytes)?;
        for apart in chunk.apart {
            let value = Arc::new(Json::Null);
            self.apart.insert(place(&value), (Arc::clone(&value), apart.sha256));
            chunk.entries[apart.entry].set(apart.field, value);
        }
        // What each of them takes is not known any more.
        let each = size / chunk.entries.len().max(1);
        chunk.entries.iter().for_each(|entry| self.weights.add(entry, each));
        Journal::take(&mut self.journal, seq, chunk.entries)?;
        self.since_forgotten += 1;
        if self.since_forgotten == FORGET_EVERY {
            self.since_forgotten = 0;
            self.apart.retain(|_, (value, _)| Arc::strong_count(value) > 1);
        }
        Ok(())
    }

    /// The number of the next chunk.
    #[must_use]
    pub fn next_seq(&self) -> i32 {
        self.journal.as_ref().map_or(0, |journal| journal.next_seq)
    }

    /// The contents of the values that are kept apart, that the run still has and that are wanted: of the
    /// run itself, or of the step with that path.
    pub fn missing(&mut self, wanted: impl Fn(Field, Option<&StepPath>) -> bool) -> BTreeSet<BlobId> {
        let mut missing = BTreeSet::new();
        let apart = &self.apart;
        if let Some(journal) = &mut self.journal {
            journal.for_each_value(|field, path, value| {
                missing.extend(apart.get(&place(value)).filter(|_| wanted(field, path)).map(|(_, id)| *id));
            });
        }
        missing
    }

    /// What the values weigh that were read so far, without those kept apart.
    pub fn take_weights(&mut self) -> Weights {
        std::mem::take(&mut self.weights)
    }

    /// The journal, with the values that were fetched; others kept apart are null.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when there was no chunk.
    pub fn finish(mut self, fetched: &HashMap<BlobId, Arc<Json>>) -> Result<Journal, StoreError> {
        let mut journal = self.journal.take().ok_or_else(|| StoreError::Corrupt("the journal is empty".to_owned()))?;
        if !self.apart.is_empty() {
            journal.for_each_value(|_, _, value| {
                if let Some(content) = self.apart.get(&place(value)).and_then(|(_, id)| fetched.get(id)) {
                    *value = Arc::clone(content);
                }
            });
        }
        Ok(journal)
    }
}

impl Journal {
    /// Every value the run still has, with what it is and the step it is of.
    fn for_each_value(&mut self, mut look: impl FnMut(Field, Option<&StepPath>, &mut Arc<Json>)) {
        look(Field::Event, None, &mut self.event);
        look(Field::Params, None, &mut self.params);
        look(Field::State, None, &mut self.state);
        for (path, state) in &mut self.steps {
            if let StepState::Succeeded { output } = state {
                look(Field::Out, Some(path), output);
            }
        }
        for (path, input) in &mut self.inputs {
            look(Field::In, Some(path), input);
        }
        for (path, (_, out)) in &mut self.caught {
            if let Some(out) = out {
                look(Field::Out, Some(path), out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Entry, Timestamp, Via, pack_chunk, page_path};

    const LIMIT: usize = 100;

    fn at() -> Timestamp {
        Timestamp::from_micros(1)
    }

    fn accepted(event: Json) -> Entry {
        Entry::Accepted {
            at: at(),
            via: Via::Api.as_str().into(),
            event: Arc::new(event),
            params: Arc::default(),
            state: Arc::default(),
            trace: None,
        }
    }

    fn large(sign: &str) -> Json {
        json!(sign.repeat(LIMIT * 2))
    }

    fn computed(path: &str, out: Json) -> Entry {
        Entry::Computed { p: path.into(), at: at(), out: Arc::new(out) }
    }

    fn read(chunks: &[Vec<Entry>]) -> (JournalReader, HashMap<BlobId, Arc<Json>>) {
        let (mut reader, mut contents) = (JournalReader::default(), HashMap::new());
        for (seq, entries) in chunks.iter().enumerate() {
            let packed = pack_chunk(entries, LIMIT, |_| {}).unwrap();
            for blob in packed.blobs {
                contents.insert(blob.id, Arc::new(serde_json::from_slice(&blob.content.unwrap()).unwrap()));
            }
            reader.take(i32::try_from(seq).unwrap(), &packed.bytes).unwrap();
        }
        (reader, contents)
    }

    #[test]
    fn wanted_values_are_fetched_and_others_are_null() {
        let (mut reader, contents) = read(&[
            vec![accepted(large("e")), computed("a", large("a"))],
            vec![computed("b", large("b")), computed("c", json!(3))],
        ]);
        let missing = reader.missing(|_, path| path.is_none_or(|path| &**path == "b"));
        assert_eq!((missing.len(), contents.len(), reader.next_seq()), (2, 3, 2));
        let fetched = contents.into_iter().filter(|(id, _)| missing.contains(id)).collect();
        let journal = reader.finish(&fetched).unwrap();
        assert_eq!(*journal.event, large("e"));
        let output = |path: &str| match &journal.steps[path] {
            StepState::Succeeded { output } => Json::clone(output),
            other => panic!("{other:?}"),
        };
        assert_eq!([output("a"), output("b"), output("c")], [Json::Null, large("b"), json!(3)]);
    }

    #[test]
    fn pages_that_are_done_are_neither_held_nor_fetched() {
        let mut chunks = vec![vec![accepted(json!(null))]];
        for page in 0..300_usize {
            let p = page_path("walk", page);
            let started = Entry::Started { p: p.clone(), n: 1, at: at(), input: Some(Arc::new(large("i"))) };
            chunks.push(vec![started]);
            let out = json!({ "items": [page, "x".repeat(LIMIT * 2)], "next": page + 1 });
            chunks.push(vec![Entry::Succeeded { p, n: 1, at: at(), out: Arc::new(out) }]);
            let pass = |n: usize| computed(&format!("walk[{n}].a"), json!(n));
            let (first, next) = (page * 2, Some(json!(page + 1)));
            let paged = Entry::Paged {
                p: "walk".into(),
                at: at(),
                page,
                first,
                count: 2,
                failed: 0,
                filtered: None,
                out: Vec::new(),
                rows: None,
                next,
                gone: true,
            };
            if page < 299 {
                chunks.push(vec![pass(first), pass(first + 1), paged]);
            }
        }
        let (mut reader, contents) = read(&chunks);
        assert!(contents.len() > 300);
        assert!(reader.apart.len() < 2 * FORGET_EVERY as usize, "{} values are held", reader.apart.len());
        let missing = reader.missing(|_, _| true);
        assert_eq!(missing.len(), 1, "only the page at hand is fetched");
        let journal = reader.finish(&contents).unwrap();
        assert_eq!((journal.steps.len(), journal.streams["walk"].passes), (1, 598));
        let StepState::Succeeded { output } = &journal.steps["walk.pages[299]"] else { panic!("{:?}", journal.steps) };
        assert_eq!(output["items"][0], 299);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        assert!(matches!(JournalReader::default().finish(&HashMap::new()), Err(StoreError::Corrupt(_))));
        assert!(JournalReader::default().take(0, b"nonsense").is_err());
        let (mut reader, _) = read(&[vec![accepted(json!(null))]]);
        let chunk = pack_chunk(&[computed("a", json!(1))], LIMIT, |_| {}).unwrap().bytes;
        assert!(reader.take(2, &chunk).is_err(), "a chunk is missing");
    }
}
