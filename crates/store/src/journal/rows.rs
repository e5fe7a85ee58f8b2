//! What the passes of a loop gave, straight from the text of the journal: nothing is turned into values.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Apart, chunk::plain_of};
use crate::{BlobId, StoreError};

/// What one pass gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Its JSON text, without line breaks.
    Text(String),
    /// The content that is its JSON text.
    Kept(BlobId),
    /// The content that is a JSON list of what several passes gave.
    KeptList(BlobId),
}

/// Finds what the passes of one loop gave, chunk by chunk, in the order of its list.
#[derive(Debug)]
pub struct LoopRows {
    path: String,
    last_step: Option<String>,
    /// What passes of the page at hand gave.
    open: BTreeMap<usize, Row>,
}

/// As much of an entry as it takes.
#[derive(Deserialize)]
struct Glance<'t> {
    #[serde(borrow)]
    e: Cow<'t, str>,
    #[serde(borrow, default)]
    p: Option<Cow<'t, str>>,
    #[serde(borrow, default)]
    out: Option<&'t RawValue>,
    #[serde(borrow, default)]
    rows: Option<&'t RawValue>,
}

#[derive(Deserialize)]
struct Glances<'t> {
    apart: Vec<Apart>,
    #[serde(borrow)]
    entries: Vec<Glance<'t>>,
}

impl LoopRows {
    /// Of the loop at `path`. With `last_step` a pass gave the output of its step of that id; otherwise the
    /// loop's own entries say what its passes gave.
    #[must_use]
    pub fn new(path: &str, last_step: Option<&str>) -> Self {
        Self { path: path.to_owned(), last_step: last_step.map(str::to_owned), open: BTreeMap::new() }
    }

    /// Reads the next chunk and gives the rows of the pages that are done in it. Null is no row.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the chunk cannot be read.
    pub fn take(&mut self, chunk: &[u8], mut give: impl FnMut(Row)) -> Result<(), StoreError> {
        let plain = plain_of(chunk)?;
        let unreadable = |error: serde_json::Error| StoreError::Corrupt(format!("a journal chunk cannot be read: {error}"));
        let Glances { apart, entries } = match plain.first() {
            Some(b'{') => serde_json::from_slice(&plain).map_err(unreadable)?,
            _ => Glances { apart: Vec::new(), entries: serde_json::from_slice(&plain).map_err(unreadable)? },
        };
        let kept = |place: usize| apart.iter().find(|apart| apart.entry == place).map(|apart| apart.sha256);
        for (place, entry) in entries.iter().enumerate() {
            let Some(path) = entry.p.as_deref() else { continue };
            match (&*entry.e, self.pass(path)) {
                ("computed" | "succeeded" | "settled", Some(pass)) => {
                    let row = match (kept(place), entry.out.map(RawValue::get)) {
                        (Some(id), _) => Row::Kept(id),
                        (None, None | Some("null")) => continue,
                        (None, Some(text)) => Row::Text(text.to_owned()),
                    };
                    self.open.insert(pass, row);
                }
                ("paged", _) if path == self.path => {
                    std::mem::take(&mut self.open).into_values().for_each(&mut give);
                    match (kept(place), entry.rows) {
                        (Some(id), _) => give(Row::KeptList(id)),
                        (None, Some(rows)) => {
                            for row in texts(rows.get().as_bytes()).map_err(unreadable)? {
                                give(Row::Text(row.to_owned()));
                            }
                        }
                        (None, None) => {}
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The pass whose last step has that path.
    fn pass(&self, path: &str) -> Option<usize> {
        let (pass, step) = path.strip_prefix(&self.path)?.strip_prefix('[')?.split_once("].")?;
        (Some(step) == self.last_step.as_deref()).then(|| pass.parse().ok()).flatten()
    }
}

/// The JSON texts of the items of a list.
fn texts(list: &[u8]) -> Result<Vec<&str>, serde_json::Error> {
    let items: Vec<&RawValue> = serde_json::from_slice(list)?;
    Ok(items.into_iter().map(RawValue::get).collect())
}

/// Shows the JSON texts of the items of a list that was kept apart.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is no list.
pub fn for_each_row(list: &[u8], give: impl FnMut(&str)) -> Result<(), StoreError> {
    let rows = texts(list).map_err(|error| StoreError::Corrupt(format!("what a loop gave cannot be read: {error}")))?;
    rows.into_iter().for_each(give);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{Entry, Timestamp, pack_chunk};

    fn at() -> Timestamp {
        Timestamp::from_micros(1)
    }

    fn computed(path: &str, out: Json) -> Entry {
        Entry::Computed { p: path.into(), at: at(), out: Arc::new(out) }
    }

    fn paged(path: &str, rows: Option<Json>) -> Entry {
        let rows = rows.map(Arc::new);
        Entry::Paged {
            p: path.into(),
            at: at(),
            page: 0,
            first: 0,
            count: 0,
            failed: 0,
            filtered: None,
            out: Vec::new(),
            rows,
            next: None,
            gone: true,
        }
    }

    fn rows(last_step: Option<&str>, limit: usize, chunks: &[Vec<Entry>]) -> Vec<String> {
        let (mut reader, mut found, mut blobs) = (LoopRows::new("walk", last_step), Vec::new(), Vec::new());
        for entries in chunks {
            let packed = pack_chunk(entries, limit, |_| {}).unwrap();
            blobs.extend(packed.blobs);
            let content = |id| blobs.iter().find(|blob| blob.id == id).and_then(|blob| blob.content.clone()).unwrap();
            reader
                .take(&packed.bytes, |row| match row {
                    Row::Text(text) => found.push(text),
                    Row::Kept(id) => found.push(String::from_utf8(content(id).to_vec()).unwrap()),
                    Row::KeptList(id) => for_each_row(&content(id), |row| found.push(row.to_owned())).unwrap(),
                })
                .unwrap();
        }
        found
    }

    #[test]
    fn what_the_last_step_gave_comes_in_the_order_of_the_list() {
        let chunks = [
            vec![computed("walk[1].one", json!({ "n": 1, "text": "x".repeat(3000) })), computed("walk[0].other", json!(7))],
            vec![computed("walk[0].one", json!({ "n": "zero\n" })), computed("walk[2].one", json!(null)), paged("walk", None)],
            vec![computed("talk[3].one", json!(3)), computed("walk[3].inner[0].one", json!(3)), paged("walk[3].inner", None)],
            vec![computed("walk[3].one", json!(4))],
        ];
        for limit in [1500, 1_000_000] {
            let rows = rows(Some("one"), limit, &chunks);
            assert_eq!(rows.len(), 2, "a page that is not done gives nothing yet: {rows:?}");
            assert_eq!(rows[0], r#"{"n":"zero\n"}"#);
            assert!(rows[1].starts_with(r#"{"n":1,"#));
        }
    }

    #[test]
    fn what_the_loop_itself_says_is_taken() {
        let large = json!([[1, 2], "x".repeat(3000)]);
        let chunks = [
            vec![computed("walk[0].one", json!(7)), paged("walk", Some(json!([0, { "a": 1 }])))],
            vec![paged("walk", Some(large))],
        ];
        for limit in [1500, 1_000_000] {
            let rows = rows(None, limit, &chunks);
            assert_eq!((rows.len(), &*rows[0], &*rows[1], &*rows[2]), (4, "0", "{\"a\":1}", "[1,2]"));
        }
    }

    #[test]
    fn damage_is_told() {
        assert!(matches!(LoopRows::new("walk", None).take(b"[{}]", |_| {}), Err(StoreError::Corrupt(_))));
        assert!(matches!(LoopRows::new("walk", None).take(b"nonsense", |_| {}), Err(StoreError::Corrupt(_))));
        assert!(matches!(for_each_row(b"{}", |_| {}), Err(StoreError::Corrupt(_))));
    }
}
