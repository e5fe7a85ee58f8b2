//! Lines of a text: where they begin and end, how far they are indented, how they are broken.

/// Where the line of `at` begins; after the byte-order mark in the first line.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let start = before.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map_or(0, |i| i + 1);
    if start == 0 && text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { start }
}

/// Where the line of `at` ends, before its break.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len())
}

/// Where the line after that of `at` begins; the end of the text if there is none.
pub(crate) fn next_line(text: &str, at: usize) -> usize {
    let end = line_end(text, at);
    end + break_len(text, end)
}

/// The bytes of the line break at `at`; 0 if there is none.
pub(crate) fn break_len(text: &str, at: usize) -> usize {
    match text.as_bytes().get(at..) {
        Some([b'\r', b'\n', ..]) => 2,
        Some([b'\r' | b'\n', ..]) => 1,
        _ => 0,
    }
}

/// How many characters stand before `at` in its line.
pub(crate) fn column(text: &str, at: usize) -> usize {
    text.get(line_start(text, at)..at).map_or(0, |before| before.chars().count())
}

/// The line break that the text uses first.
pub(crate) fn newline(text: &str) -> &'static str {
    match text.find(['\n', '\r']).map(|at| &text.as_bytes()[at..]) {
        Some([b'\r', b'\n', ..]) => "\r\n",
        Some([b'\r', ..]) => "\r",
        _ => "\n",
    }
}

/// What a line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Blank,
    /// A comment and nothing else, with its column.
    Comment(usize),
    Content,
}

/// What the line that begins at `start` holds.
pub(crate) fn line(text: &str, start: usize) -> Line {
    let line = text.get(start..line_end(text, start)).unwrap_or_default();
    let trimmed = line.trim_start_matches([' ', '\t']);
    match trimmed.as_bytes().first() {
        None => Line::Blank,
        Some(b'#') => Line::Comment(line.len() - trimmed.len()),
        Some(_) => Line::Content,
    }
}

/// Past the blanks, line breaks and comments at `at`, and past commas if told so.
pub(crate) fn skip(text: &str, mut at: usize, commas: bool) -> usize {
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b',' if commas => at += 1,
            b'#' => at = line_end(text, at),
            0xEF if text[at..].starts_with('\u{feff}') => at += 3,
            _ => break,
        }
    }
    at
}

/// Moves every line by as many columns; empty lines stay empty. Lines that stand further left than
/// the shift, which can only be comments, stop at the first column.
pub(crate) fn shift(text: &str, by: isize) -> String {
    if by == 0 {
        return text.to_owned();
    }
    let mut shifted = String::with_capacity(text.len() + text.len() / 8);
    let mut at = 0;
    while at < text.len() {
        let next = next_line(text, at);
        let line = &text[at..next];
        let empty = matches!(line.as_bytes().first(), Some(b'\n' | b'\r'));
        let spaces = line.len() - line.trim_start_matches(' ').len();
        if by > 0 && !empty {
            shifted.extend(std::iter::repeat_n(' ', by.unsigned_abs()));
            shifted.push_str(line);
        } else {
            shifted.push_str(&line[spaces.min(if by < 0 { by.unsigned_abs() } else { 0 })..]);
        }
        at = next;
    }
    shifted
}

/// The text with each line broken this way.
pub(crate) fn with_breaks(text: &str, newline: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let end = line_end(text, at);
        out.push_str(&text[at..end]);
        let len = break_len(text, end);
        if len > 0 {
            out.push_str(newline);
        }
        at = end + len;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_three_ways() {
        let text = "a\nbc\r\nd\re";
        assert_eq!([next_line(text, 0), next_line(text, 2), next_line(text, 6), next_line(text, 8)], [2, 6, 8, 9]);
        assert_eq!([line_start(text, 1), line_start(text, 3), line_start(text, 7), line_start(text, 9)], [0, 2, 6, 8]);
        assert_eq!(with_breaks(text, "\r\n"), "a\r\nbc\r\nd\r\ne");
        assert_eq!([newline("a"), newline("a\r"), newline("a\r\nb\n")], ["\n", "\r", "\r\n"]);
    }

    #[test]
    fn lines_shift_both_ways() {
        assert_eq!(shift("  a\n\n    b\n# c\n", 2), "    a\n\n      b\n  # c\n");
        assert_eq!(shift("  a\n\n    b\n# c\n", -2), "a\n\n  b\n# c\n");
    }

    #[test]
    fn a_byte_order_mark_has_no_column() {
        assert_eq!(column("\u{feff}ab", 4), 1);
        assert_eq!(skip("\u{feff} # c\n  x", 0, false), 10);
    }
}
