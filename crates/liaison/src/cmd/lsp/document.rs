//! One open text: its places as editors count them, and its changes.

use lsp_types::{Position, Range, TextDocumentContentChangeEvent};
use recipe::{Diagnostic, Span};

/// An open text.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) text: String,
    pub(super) version: i32,
    /// It is a recipe and not another YAML file.
    pub(super) is_recipe: bool,
    /// Its problems; `None` until looked for.
    pub(super) problems: Option<Vec<Diagnostic>>,
    /// The byte offset at which each line starts.
    starts: Vec<usize>,
}

impl Document {
    pub(super) fn new(text: String, version: i32, is_recipe: bool) -> Self {
        let starts = starts(&text);
        Self { text, version, is_recipe, problems: None, starts }
    }

    /// Makes one change, of a part or of all.
    pub(super) fn change(&mut self, change: TextDocumentContentChangeEvent) {
        match change.range {
            None => self.text = change.text,
            Some(range) => {
                let (start, end) = (self.offset(range.start), self.offset(range.end));
                self.text.replace_range(start.min(end)..start.max(end), &change.text);
            }
        }
        self.starts = starts(&self.text);
        self.problems = None;
    }

    /// The byte offset of a position. One that lies behind its line or the text means their end, and
    /// one inside a character means its start.
    pub(super) fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else { return self.text.len() };
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        let text = self.text[start..end].trim_end_matches(['\n', '\r']);
        let mut units = 0;
        for (at, c) in text.char_indices() {
            units += c.len_utf16();
            if units > position.character as usize {
                return start + at;
            }
        }
        start + text.len()
    }

    /// The position of a byte offset, its column in UTF-16 units.
    pub(super) fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let units: usize = self.text[self.starts[line]..offset].chars().map(char::len_utf16).sum();
        Position { line: number(line), character: number(units) }
    }

    pub(super) fn range(&self, span: Span) -> Range {
        Range { start: self.position(span.start), end: self.position(span.end) }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let breaks = bytes.iter().enumerate().filter(|(at, b)| **b == b'\n' || (**b == b'\r' && bytes.get(at + 1) != Some(&b'\n')));
    std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn positions_count_utf16_units_across_line_breaks_of_every_kind() {
        let document = Document::new("a🎉é\r\nb\rc\n".to_owned(), 1, true);
        for (offset, position) in
            [(0, at(0, 0)), (1, at(0, 1)), (5, at(0, 3)), (7, at(0, 4)), (9, at(1, 0)), (11, at(2, 0)), (13, at(3, 0))]
        {
            assert_eq!(document.position(offset), position, "{offset}");
            assert_eq!(document.offset(position), offset, "{position:?}");
        }
        assert_eq!(document.offset(at(0, 2)), 1, "inside a pair means its start");
        assert_eq!(document.offset(at(0, 99)), 7, "behind a line means its end, before the break");
        assert_eq!(document.offset(at(9, 0)), 13);
        assert_eq!(document.position(3), at(0, 1), "inside a character means its start");
    }

    #[test]
    fn changes_are_made_where_they_say() {
        let mut document = Document::new("a🎉b\r\nc\n".to_owned(), 1, true);
        let mut change = |range, text: &str| {
            document.change(TextDocumentContentChangeEvent { range, range_length: None, text: text.to_owned() });
            document.text.clone()
        };
        let range = |start, end| Some(Range { start, end });
        assert_eq!(change(range(at(0, 1), at(0, 3)), "é"), "aéb\r\nc\n");
        assert_eq!(change(range(at(0, 3), at(1, 0)), "+"), "aéb+c\n");
        assert_eq!(change(range(at(5, 0), at(9, 9)), "end"), "aéb+c\nend");
        assert_eq!(change(range(at(0, 1), at(0, 0)), ""), "éb+c\nend", "a range the wrong way round");
        assert_eq!(change(None, "new"), "new");
    }
}
