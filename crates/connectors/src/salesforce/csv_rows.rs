//! CSV as Bulk API 2.0 takes and gives it.

use async_trait::async_trait;
use bytes::Bytes;
use connector::{ErrorClass, StepError, http::Sink};
use http::StatusCode;
use serde_json::{Map, Value as Json};

/// Longest row read, in bytes; Salesforce's own limit is 400,000 characters.
const ROW_BYTES_MAX: usize = 2_000_000;
/// Bytes of the rows that are held at once.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest cell, in characters.
pub(super) const CELL_CHARS_MAX: usize = 131_072;

/// The column with the error of a refused row.
pub(super) const ERROR: &str = "sf__Error";

/// How a load says that a field is to be emptied.
const NOTHING: &str = "#N/A";

/// A value as a cell. An empty cell leaves a field alone, so that nothing is written as `#N/A`.
pub(super) fn cell(value: &Json) -> Result<String, String> {
    let text = match value {
        Json::Null => NOTHING.to_owned(),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::Array(list) if list.iter().all(Json::is_string) => {
            list.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(";")
        }
        _ => return Err("holds a record or a list; a bulk load takes single values".to_owned()),
    };
    if text.chars().count() > CELL_CHARS_MAX {
        return Err(format!("is longer than {CELL_CHARS_MAX} characters"));
    }
    Ok(text)
}

/// A row of a load as it was given: what was to be emptied is null, what was left alone is left out.
pub(super) fn given_back(mut row: Map<String, Json>) -> Map<String, Json> {
    row.retain(|_, cell| *cell != "");
    row.values_mut().filter(|cell| **cell == NOTHING).for_each(|cell| *cell = Json::Null);
    row
}

/// One line of cells in quotes.
pub(super) fn line<'a>(cells: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        // An empty cell without quotes means the same and is shorter.
        if !cell.is_empty() {
            out.push(b'"');
            out.extend(cell.replace('"', "\"\"").bytes());
            out.push(b'"');
        }
    }
    out.push(b'\n');
}

/// Where the last whole record of a text ends: behind a line break that is not inside quotes.
#[derive(Debug, Default)]
pub(super) struct Edges {
    quoted: bool,
}

impl Edges {
    /// The end of the first whole record.
    pub(super) fn first(&mut self, bytes: &[u8]) -> Option<usize> {
        (1..=bytes.len()).find(|end| self.last(&bytes[end - 1..*end]).is_some())
    }

    /// The end of the last whole record among these bytes.
    pub(super) fn last(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut last = None;
        for (place, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => self.quoted = !self.quoted,
                b'\n' if !self.quoted => last = Some(place + 1),
                _ => {}
            }
        }
        last
    }
}

/// Takes the rows of a CSV answer as they come; keeps some of them.
pub(super) struct Rows {
    skip: usize,
    most: usize,
    headings: Option<Vec<String>>,
    edges: Edges,
    pending: Vec<u8>,
    /// Bytes of the rows kept, and when that is enough.
    pub held: usize,
    enough: usize,
    /// The rows kept, by column.
    pub rows: Vec<Map<String, Json>>,
    /// All rows that came.
    pub seen: usize,
    done: Option<&'static str>,
    /// Rows that came and were left out.
    pub seen_done: usize,
}

impl Rows {
    /// Keeps `most` rows after the first `skip`, fewer where they are long; one at least.
    pub(super) fn new(skip: usize, most: usize) -> Self {
        Self {
            skip,
            most,
            headings: None,
            edges: Edges::default(),
            pending: Vec::new(),
            held: 0,
            enough: HELD_BYTES_MAX,
            rows: Vec::new(),
            seen: 0,
            done: None,
            seen_done: 0,
        }
    }

    /// Keeps no more once they have so many bytes.
    pub(super) fn within(self, bytes: usize) -> Self {
        Self { enough: bytes.min(HELD_BYTES_MAX), ..self }
    }

    /// Leaves out rows that were refused with a code.
    pub(super) fn without(self, code: Option<&'static str>) -> Self {
        Self { done: code, ..self }
    }

    /// Reads what is left when the answer is over.
    pub(super) fn finish(&mut self) -> Result<(), StepError> {
        let rest = std::mem::take(&mut self.pending);
        self.read(&rest)
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), StepError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => self.take_record(&record),
                Ok(false) => return Ok(()),
                Err(error) => {
                    return Err(unreadable(&format!("Salesforce's CSV answer cannot be read: {error}")));
                }
            }
        }
    }

    fn take_record(&mut self, record: &csv::StringRecord) {
        let Some(headings) = &self.headings else {
            self.headings = Some(record.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect());
            return;
        };
        self.seen += 1;
        let error = headings.iter().position(|name| name == ERROR).and_then(|place| record.get(place)).unwrap_or_default();
        if self.done.is_some_and(|done| error.split(':').next() == Some(done)) {
            self.seen_done += 1;
        } else if self.seen > self.skip && self.rows.len() < self.most && self.held < self.enough {
            self.held += record.as_slice().len();
            // Salesforce's answers are known to hold null bytes.
            let cells = record.iter().map(|cell| Json::from(cell.replace('\0', "")));
            self.rows.push(headings.iter().cloned().zip(cells).collect());
        }
    }
}

fn unreadable(words: &str) -> StepError {
    StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", words)
        .with_next("Nothing to do where it is tried again. If it stays, look at the bulk job in Salesforce's setup.")
}

#[async_trait]
impl Sink for Rows {
    fn wants(&self, status: StatusCode) -> bool {
        status.is_success()
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), StepError> {
        let edge = self.edges.last(&bytes);
        let Some(edge) = edge else {
            self.pending.extend_from_slice(&bytes);
            if self.pending.len() > ROW_BYTES_MAX {
                return Err(unreadable("a row of Salesforce's CSV answer has no end"));
            }
            return Ok(());
        };
        let mut whole = std::mem::take(&mut self.pending);
        whole.extend_from_slice(&bytes[..edge]);
        self.pending.extend_from_slice(&bytes[edge..]);
        self.read(&whole)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use connector::http::Sink;
    use serde_json::json;

    use super::{Rows, cell, line};

    #[tokio::test]
    async fn rows_come_whole_wherever_the_answer_is_cut() {
        let mut text = Vec::new();
        line(["sf__Id", "Name", "Note"], &mut text);
        line(["001", "A \"quoted\"\nname, with a break", ""], &mut text);
        line(["002", "B\0", "#N/A"], &mut text);
        for cut in 1..text.len() {
            let mut rows = Rows::new(0, 10);
            rows.take(Bytes::copy_from_slice(&text[..cut])).await.unwrap();
            rows.take(Bytes::copy_from_slice(&text[cut..])).await.unwrap();
            rows.finish().unwrap();
            assert_eq!(
                json!(rows.rows),
                json!([{"sf__Id": "001", "Name": "A \"quoted\"\nname, with a break", "Note": ""}, {"sf__Id": "002", "Name": "B", "Note": "#N/A"}]),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_value_is_one_cell() {
        assert_eq!(cell(&json!(null)).unwrap(), "#N/A");
        assert_eq!(cell(&json!(["a", "b"])).unwrap(), "a;b");
        assert_eq!(cell(&json!(1.5)).unwrap(), "1.5");
        assert!(cell(&json!({"a": 1})).is_err());
    }
}
