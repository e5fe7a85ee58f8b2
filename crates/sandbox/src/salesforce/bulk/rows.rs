//! Rows of CSV: cells to fields, and back.

use serde_json::{Map, Value as Json, json};

use crate::salesforce::{
    errors::{Outcome, Trouble},
    write::Fields,
};

/// Longest cell, in characters.
const CELL_MAX: usize = 131_072;
/// Longest row, in bytes (the documentation says characters).
const ROW_MAX: usize = 400_000;

/// A row and where it ends in the upload.
pub(super) struct Row {
    pub record: csv::StringRecord,
    pub end: usize,
}

/// The fields of a row: an empty cell leaves its field alone, `#N/A` makes it empty.
pub(super) fn fields(headings: &[String], record: &csv::StringRecord) -> Outcome<Fields> {
    if record.len() > headings.len() {
        return Err(Trouble::bad(
            "INVALID_INPUT",
            format!("The number of fields is {}, and the header has {}", record.len(), headings.len()),
        ));
    }
    if record.as_slice().len() > ROW_MAX {
        return Err(Trouble::bad("INVALID_INPUT", format!("A row may have at most {ROW_MAX} characters")));
    }
    let mut out = Map::new();
    for (name, cell) in headings.iter().zip(record) {
        if cell.is_empty() {
            continue;
        }
        if cell.len() > CELL_MAX {
            return Err(Trouble::bad("INVALID_INPUT", format!("A field may have at most {CELL_MAX} characters")).on(name));
        }
        let value = if cell == "#N/A" { Json::Null } else { json!(cell) };
        match name.split_once('.') {
            // A parent by its own key: `Account.External_Id__c`, `Lead:Who.Email`.
            Some((relation, key)) => {
                let (kind, relation) =
                    relation.split_once(':').map_or((None, relation), |(kind, relation)| (Some(kind), relation));
                let mut parent = Map::new();
                if let Some(kind) = kind {
                    parent.insert("attributes".to_owned(), json!({ "type": kind }));
                }
                parent.insert(key.to_owned(), value.clone());
                out.insert(relation.to_owned(), if value.is_null() { Json::Null } else { Json::Object(parent) });
            }
            None => {
                out.insert(name.clone(), value);
            }
        }
    }
    Ok(out)
}

/// A writer that puts each cell into quotes.
pub(super) fn writer(separator: u8, crlf: bool) -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new()
        .delimiter(separator)
        .quote_style(csv::QuoteStyle::Always)
        .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
        .flexible(true)
        .from_writer(Vec::new())
}

/// One line.
pub(super) fn line<'a>(separator: u8, crlf: bool, cells: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = writer(separator, crlf);
    let written = out.write_record(cells);
    debug_assert!(written.is_ok(), "records go into memory");
    out.into_inner().unwrap_or_default()
}
