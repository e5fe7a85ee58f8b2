//! Where the bytes of a scalar stand in the file.
//!
//! A scalar's text is not always the bytes of the file: quotes escape, lines fold, block text loses
//! its indentation. The map follows the parser's text through the file and gives up, leaving only
//! the scalar's own place, when the two cannot be matched simply.

use std::ops::Range;

use granit_parser::ScalarStyle;

use crate::ast::Span;

/// The places of the bytes of one scalar.
#[derive(Debug, Clone)]
pub(crate) struct OffsetMap {
    /// Runs of equal bytes: (offset in the text, offset in the file), ascending.
    runs: Vec<(usize, usize)>,
    span: Span,
}

impl OffsetMap {
    pub(crate) fn new(file: &str, span: Span, text: &str, style: ScalarStyle) -> Self {
        let raw = file.get(span.start..span.end).unwrap_or_default();
        let runs = match style {
            ScalarStyle::Literal => lines(file, span, text),
            ScalarStyle::Plain | ScalarStyle::Folded if raw == text => Some(vec![(0, span.start)]),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted if raw.get(1..raw.len().saturating_sub(1)) == Some(text) => {
                Some(vec![(0, span.start + 1)])
            }
            _ => Follow::new(raw, style).runs(text, span.start),
        };
        Self { runs: runs.unwrap_or_default(), span }
    }

    /// The place of a range of the text.
    pub(crate) fn place(&self, range: Range<usize>) -> Span {
        place(&self.runs, self.span, range)
    }

    /// The runs within a range of the text, with text offsets counted from its start.
    pub(crate) fn runs(&self, range: &Range<usize>) -> Vec<(usize, usize)> {
        let Some((_, start)) = run_at(&self.runs, range.start) else { return Vec::new() };
        let from = self.runs.partition_point(|(text, _)| *text <= range.start);
        let to = self.runs.partition_point(|(text, _)| *text < range.end).max(from);
        let inner = self.runs[from..to].iter().map(|(text, file)| (text - range.start, *file));
        std::iter::once((0, start)).chain(inner).collect()
    }
}

/// The place in the file of a range of a text, from its runs; the whole span if there are none.
pub(crate) fn place(runs: &[(usize, usize)], span: Span, range: Range<usize>) -> Span {
    let Some((_, start)) = run_at(runs, range.start) else { return span };
    let end = match range.end.checked_sub(1) {
        Some(last) if last >= range.start => run_at(runs, last).map_or(start, |(_, file)| file + 1),
        _ => start,
    };
    // An escape at the end would leave half of it outside; a range never leaves its scalar.
    Span { start: start.clamp(span.start, span.end), end: end.clamp(start, span.end.max(start)) }
}

/// The run that holds a text offset, moved on to that offset.
fn run_at(runs: &[(usize, usize)], offset: usize) -> Option<(usize, usize)> {
    let index = runs.partition_point(|(text, _)| *text <= offset).checked_sub(1)?;
    let (text, file) = runs.get(index)?;
    Some((offset, file + (offset - text)))
}

/// Literal block text: each line is a line of the file without its indentation.
fn lines(file: &str, span: Span, text: &str) -> Option<Vec<(usize, usize)>> {
    let line_start = file.get(..span.start)?.rfind(['\n', '\r']).map_or(0, |i| i + 1);
    let mut runs = Vec::new();
    let (mut at_text, mut at_file) = (0, line_start);
    for line in text.split('\n') {
        let rest = file.get(at_file..)?;
        let raw_len = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let raw = &rest[..raw_len];
        // Blank lines may be shorter or longer than the indentation.
        if !line.is_empty() {
            let indent = raw.strip_suffix(line)?;
            if !indent.bytes().all(|b| b == b' ') {
                return None;
            }
            runs.push((at_text, at_file + indent.len()));
        }
        // The break itself, so that a range that ends with it still has a place.
        runs.push((at_text + line.len(), at_file + raw_len));
        let break_len = if rest[raw_len..].starts_with("\r\n") { 2 } else { usize::from(raw_len < rest.len()) };
        at_text += line.len() + 1;
        at_file += raw_len + break_len;
    }
    runs.dedup_by_key(|(text, _)| *text);
    Some(runs)
}

/// Follows the text of a folded or quoted scalar through its bytes in the file.
struct Follow<'t> {
    raw: &'t str,
    at: usize,
    style: ScalarStyle,
    /// The end of the blanks looked at last, and whether the line ends there.
    blanks: (usize, bool),
}

impl<'t> Follow<'t> {
    fn new(raw: &'t str, style: ScalarStyle) -> Self {
        let at = usize::from(matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted));
        Self { raw, at, style, blanks: (0, false) }
    }

    fn runs(mut self, text: &str, base: usize) -> Option<Vec<(usize, usize)>> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let mut chars = text.char_indices().peekable();
        while let Some((offset, wanted)) = chars.next() {
            let at = match wanted {
                ' ' | '\n' if self.at_fold() => {
                    let at = self.at;
                    self.skip_blank();
                    // Several breaks in the text came from one stretch of blank lines.
                    while wanted == '\n' && chars.next_if(|(_, c)| *c == '\n').is_some() {}
                    // Spaces after a break in the text belong to a line indented further.
                    let kept = text[offset..].trim_start_matches('\n').bytes().take_while(|b| *b == b' ').count();
                    if wanted == '\n' {
                        self.at = self.at.checked_sub(kept)?;
                    }
                    at
                }
                _ => self.step(wanted)?,
            };
            let expected = runs.last().map(|(t, f)| f + (offset - t));
            if expected != Some(base + at) {
                runs.push((offset, base + at));
            }
        }
        Some(runs)
    }

    fn rest(&self) -> &'t str {
        self.raw.get(self.at..).unwrap_or_default()
    }

    /// True if only spaces stand between here and the end of the line.
    fn at_fold(&mut self) -> bool {
        // Remembered, so that a long run of spaces is not gone through once for each of them.
        if self.at >= self.blanks.0 {
            let rest = self.rest();
            let after = rest.trim_start_matches([' ', '\t']);
            self.blanks = (self.at + (rest.len() - after.len()).max(1), after.starts_with(['\n', '\r']));
        }
        self.blanks.1
    }

    fn skip_blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Passes one character of the text; its place, if it stands here.
    fn step(&mut self, wanted: char) -> Option<usize> {
        // A backslash before a line break joins the lines.
        while self.style == ScalarStyle::DoubleQuoted && (self.rest().starts_with("\\\n") || self.rest().starts_with("\\\r")) {
            self.at += 1;
            self.skip_blank();
        }
        let at = self.at;
        let rest = self.rest();
        let next = rest.chars().next()?;
        self.at += match (self.style, next) {
            (ScalarStyle::SingleQuoted, '\'') if wanted == '\'' && rest.starts_with("''") => 2,
            (ScalarStyle::DoubleQuoted, '\\') => match rest.as_bytes().get(1)? {
                b'x' => 4,
                // Characters above U+FFFF are written as two escapes.
                b'u' if u32::from(wanted) > 0xFFFF => 12,
                b'u' => 6,
                b'U' => 10,
                _ => 2,
            },
            _ if next == wanted => next.len_utf8(),
            _ => return None,
        };
        Some(at)
    }
}
