//! Values kept apart: what is too large for a chunk goes to a blob, and the chunk says which.
//!
//! A chunk with such values has a form of its own, a record with the entries and a list of places beside
//! them. Nothing a recipe or a sender writes can look like it: their data stands inside the entries.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    Entry, Weights,
    chunk::{compressed, plain_of},
};
use crate::{BlobId, BlobRef, StoreError};

/// All values of a chunk that stay in it may take so many bytes together; beyond that smaller ones go, too.
const CHUNK_INLINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Values smaller than this always stay.
const INLINE_BYTES_MIN: usize = 1024;

/// A value of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The event a run began with.
    Event,
    /// The parameters it began with.
    Params,
    /// The state it found.
    State,
    /// The input of a step.
    In,
    /// The output of a step, or the result of the run.
    Out,
    /// What people are asked.
    Ask,
}

/// A value that is kept apart from its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// The place of its entry in the chunk.
    pub entry: usize,
    /// Which value of it.
    pub field: Field,
    /// Where it is: its JSON text.
    pub sha256: BlobId,
    /// Bytes of that text.
    pub size: u64,
}

/// The entries of one commit as they are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Where values are missing.
    pub apart: Vec<Apart>,
    /// The entries; a value that is kept apart is null or not there.
    pub entries: Vec<Entry>,
}

/// A chunk ready for the store, and what must be kept before it is written.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The chunk.
    pub bytes: Vec<u8>,
    /// The values kept apart.
    pub blobs: Vec<BlobRef>,
    /// What all values weigh.
    pub weights: Weights,
}

/// Packs entries for the store, values of more than `inline_max` bytes apart. `look` sees every byte of
/// them, also of those that go apart.
///
/// # Errors
/// [`StoreError::Corrupt`] when an entry cannot be written as JSON, which no value of ours causes.
pub fn pack_chunk(entries: &[Entry], inline_max: usize, mut look: impl FnMut(&[u8])) -> Result<Packed, StoreError> {
    let (plain, longest, weights) = written(entries)?;
    look(&plain);
    // A value is no longer than its entry. Most chunks have none that is large, and are written once.
    if longest <= inline_max && plain.len() <= CHUNK_INLINE_BYTES_MAX {
        return Ok(Packed { bytes: compressed(plain), blobs: Vec::new(), weights });
    }
    drop(plain);
    let mut limit = inline_max;
    loop {
        let (chunk, blobs) = part(entries, limit)?;
        let plain = if chunk.apart.is_empty() { text(entries)? } else { text(&chunk)? };
        if plain.len() <= CHUNK_INLINE_BYTES_MAX || limit <= INLINE_BYTES_MIN {
            return Ok(Packed { bytes: compressed(plain), blobs, weights });
        }
        limit = (limit / 4).max(INLINE_BYTES_MIN);
    }
}

/// The entries as JSON text, the length of the longest of them, and what their values weigh.
fn written(entries: &[Entry]) -> Result<(Vec<u8>, usize, Weights), StoreError> {
    let (mut plain, mut longest, mut weights) = (Vec::with_capacity(INLINE_BYTES_MIN), 0, Weights::default());
    plain.push(b'[');
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 {
            plain.push(b',');
        }
        let before = plain.len();
        serde_json::to_writer(&mut plain, entry).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let bytes = plain.len() - before;
        longest = longest.max(bytes);
        weights.add(entry, bytes);
    }
    plain.push(b']');
    Ok((plain, longest, weights))
}

/// The entries without their large values, and those.
fn part(entries: &[Entry], limit: usize) -> Result<(Chunk, Vec<BlobRef>), StoreError> {
    let mut chunk = Chunk { apart: Vec::new(), entries: entries.to_vec() };
    let mut blobs = Vec::new();
    // An output that is the next step's input is the same value, held once.
    let mut known: HashMap<*const Json, Option<(BlobId, u64)>> = HashMap::new();
    for (place, entry) in entries.iter().enumerate() {
        for (field, value) in entry.values() {
            let found = match known.get(&Arc::as_ptr(value)) {
                Some(found) => *found,
                None => {
                    let content = text(&**value)?;
                    let found = (content.len() > limit).then(|| (BlobId::of(&content), content.len() as u64));
                    if let Some((id, _)) = found {
                        blobs.push(BlobRef { id, content: Some(Bytes::from(content)) });
                    }
                    known.insert(Arc::as_ptr(value), found);
                    found
                }
            };
            if let Some((sha256, size)) = found {
                chunk.apart.push(Apart { entry: place, field, sha256, size });
                chunk.entries[place].set(field, Arc::default());
            }
        }
    }
    Ok((chunk, blobs))
}

/// Unpacks a chunk; values kept apart are missing in it.
///
/// # Errors
/// [`StoreError::Corrupt`] when the bytes are not a chunk.
pub fn open_chunk(bytes: &[u8]) -> Result<Chunk, StoreError> {
    open_weighed(bytes).map(|(chunk, _)| chunk)
}

/// Also gives how many bytes of JSON text it is.
pub(super) fn open_weighed(bytes: &[u8]) -> Result<(Chunk, usize), StoreError> {
    let plain = plain_of(bytes)?;
    let unreadable = |error: serde_json::Error| StoreError::Corrupt(format!("a journal chunk cannot be read: {error}"));
    if plain.first() != Some(&b'{') {
        let entries = serde_json::from_slice(&plain).map_err(unreadable)?;
        return Ok((Chunk { apart: Vec::new(), entries }, plain.len()));
    }
    let chunk: Chunk = serde_json::from_slice(&plain).map_err(unreadable)?;
    match chunk.apart.iter().find(|apart| apart.entry >= chunk.entries.len()) {
        Some(apart) => Err(StoreError::Corrupt(format!("a journal chunk has no entry {}", apart.entry))),
        None => Ok((chunk, plain.len())),
    }
}

fn text(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A value an entry may have.
type Slot<'a> = Option<(Field, &'a Arc<Json>)>;

impl Entry {
    /// The values in it.
    pub fn values(&self) -> impl Iterator<Item = (Field, &Arc<Json>)> {
        let (one, more): (Slot<'_>, [Slot<'_>; 2]) = match self {
            Self::Accepted { event, params, state, .. } => {
                (Some((Field::Event, event)), [Some((Field::Params, params)), Some((Field::State, state))])
            }
            Self::Found { state, .. } => (Some((Field::State, state)), [None, None]),
            Self::Started { input, .. } => (input.as_ref().map(|input| (Field::In, input)), [None, None]),
            Self::Computed { out, .. } | Self::Succeeded { out, .. } | Self::Settled { out, .. } => {
                (Some((Field::Out, out)), [None, None])
            }
            Self::Caught { out, .. } | Self::Ended { out, .. } => (out.as_ref().map(|out| (Field::Out, out)), [None, None]),
            Self::Paged { rows, .. } => (rows.as_ref().map(|rows| (Field::Out, rows)), [None, None]),
            Self::Waits { ask, .. } => (ask.as_ref().map(|ask| (Field::Ask, ask)), [None, None]),
            _ => (None, [None, None]),
        };
        one.into_iter().chain(more.into_iter().flatten())
    }

    /// Puts a value in its place.
    pub fn set(&mut self, field: Field, value: Arc<Json>) {
        match (self, field) {
            (Self::Accepted { event: slot, .. }, Field::Event)
            | (Self::Accepted { params: slot, .. }, Field::Params)
            | (Self::Accepted { state: slot, .. } | Self::Found { state: slot, .. }, Field::State)
            | (
                Self::Computed { out: slot, .. } | Self::Succeeded { out: slot, .. } | Self::Settled { out: slot, .. },
                Field::Out,
            ) => *slot = value,
            (Self::Started { input: slot, .. }, Field::In)
            | (Self::Caught { out: slot, .. } | Self::Ended { out: slot, .. } | Self::Paged { rows: slot, .. }, Field::Out)
            | (Self::Waits { ask: slot, .. }, Field::Ask) => *slot = Some(value),
            // A chunk that names a value its entry cannot have changes nothing.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Timestamp, read_chunk, write_chunk};

    const LIMIT: usize = 10_000;

    fn entries(event: Json, out: Json) -> Vec<Entry> {
        let at = Timestamp::from_micros(1);
        let out = Arc::new(out);
        vec![
            Entry::Accepted {
                at,
                via: "api".into(),
                event: Arc::new(event),
                params: Arc::default(),
                state: Arc::default(),
                trace: None,
            },
            Entry::Succeeded { p: "a".into(), n: 1, at, out: Arc::clone(&out) },
            Entry::Started { p: "b".into(), n: 1, at, input: Some(out) },
        ]
    }

    #[test]
    fn small_values_stay_and_the_chunk_is_the_usual_one() {
        let entries = entries(json!({"a": 1}), json!("x".repeat(LIMIT / 4)));
        let packed = pack_chunk(&entries, LIMIT, |_| {}).unwrap();
        assert!(packed.blobs.is_empty());
        assert_eq!(packed.bytes, write_chunk(&entries).unwrap());
        assert_eq!(open_chunk(&packed.bytes).unwrap(), Chunk { apart: Vec::new(), entries });
    }

    #[test]
    fn a_large_value_goes_apart_once() {
        let large = json!("y".repeat(LIMIT * 3));
        let entries = entries(json!(1), large.clone());
        let mut seen = 0;
        let packed = pack_chunk(&entries, LIMIT, |bytes| seen += bytes.len()).unwrap();
        assert!(packed.bytes.len() < 1000 && seen > LIMIT * 6, "{} {seen}", packed.bytes.len());
        let [blob] = &packed.blobs[..] else { panic!("{}", packed.blobs.len()) };
        let content = blob.content.clone().unwrap();
        assert_eq!((BlobId::of(&content), serde_json::from_slice::<Json>(&content).unwrap()), (blob.id, large.clone()));
        let mut chunk = open_chunk(&packed.bytes).unwrap();
        let places: Vec<_> = chunk.apart.iter().map(|apart| (apart.entry, apart.field, apart.sha256)).collect();
        assert_eq!(places, [(1, Field::Out, blob.id), (2, Field::In, blob.id)]);
        assert!(read_chunk(&packed.bytes).is_err(), "whoever does not ask for values kept apart does not get null for them");
        for apart in std::mem::take(&mut chunk.apart) {
            chunk.entries[apart.entry].set(apart.field, Arc::new(large.clone()));
        }
        assert_eq!(chunk.entries, entries);
    }

    #[test]
    fn what_looks_like_a_reference_is_data() {
        let apart = json!([{"entry": 0, "field": "event", "sha256": BlobId::of(b"x"), "size": 1}]);
        for forged in [json!({"apart": apart, "entries": []}), json!({"$ref": BlobId::of(b"x")}), json!({"apart": apart})] {
            let entries = entries(forged.clone(), forged);
            for limit in [1, LIMIT] {
                let packed = pack_chunk(&entries, limit, |_| {}).unwrap();
                let chunk = open_chunk(&packed.bytes).unwrap();
                let known: Vec<BlobId> = packed.blobs.iter().map(|blob| blob.id).collect();
                assert!(chunk.apart.iter().all(|apart| known.contains(&apart.sha256)), "{:?}", chunk.apart);
                if limit == LIMIT {
                    assert_eq!(chunk, Chunk { apart: Vec::new(), entries: entries.clone() });
                }
            }
        }
    }

    #[test]
    fn many_values_below_the_limit_do_not_make_a_chunk_nobody_can_read() {
        let at = Timestamp::from_micros(1);
        let entries: Vec<Entry> = (0..90)
            .map(|n| Entry::Computed { p: format!("s[{n}]").into(), at, out: Arc::new(json!(n.to_string().repeat(200_000 / 2))) })
            .collect();
        let packed = pack_chunk(&entries, 256 * 1024, |_| {}).unwrap();
        assert!(!packed.blobs.is_empty());
        assert_eq!(open_chunk(&packed.bytes).unwrap().entries.len(), 90);
    }

    #[test]
    fn a_place_that_is_not_there_is_damage() {
        let apart = vec![Apart { entry: 9, field: Field::Out, sha256: BlobId([0; 32]), size: 1 }];
        let bytes = serde_json::to_vec(&Chunk { apart, entries: Vec::new() }).unwrap();
        assert!(matches!(open_chunk(&bytes), Err(StoreError::Corrupt(_))));
        assert!(matches!(open_chunk(b"{\"entries\":[]}"), Err(StoreError::Corrupt(_))));
    }
}
