//! JSON text to numbered lines: the tree view of the data viewer.
//!
//! Works on the text, not on parsed values, so numbers keep every digit and keys their order. Nothing
//! here escapes HTML (askama does) and nothing is hidden here (secrets arrive as `•••`).

use super::{format, step::Payload};

/// Lines sent to the browser at most.
pub const LINES_MAX: usize = 500;
/// Bytes of data sent to the browser at most.
pub const BYTES_MAX: usize = 64 * 1024;
/// A record or list with one plain value is kept on one line up to this many bytes.
const INLINE_BYTES_MAX: usize = 56;
/// Deeper nesting is shown at this indent.
const INDENT_MAX: u8 = 24;

/// What a piece of a line is; its class colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key with its quotes.
    Key,
    /// Text.
    Text,
    /// A number, digit for digit.
    Number,
    /// `true`, `false`, `null`.
    Word,
    /// Brackets, commas, colons, counts.
    Mark,
}

/// One coloured piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Its text, unescaped.
    pub text: String,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Indent.
    pub depth: u8,
    /// Pieces from left to right.
    pub pieces: Vec<Piece>,
    /// The path people copy, with its root; empty on closing brackets.
    pub path: String,
    /// What is wrong with this value, if the error names it.
    pub problem: Option<String>,
}

/// Data, ready to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataView {
    /// The lines, at most [`LINES_MAX`] of at most [`BYTES_MAX`].
    pub lines: Vec<Line>,
    /// The text for the raw view, cut at [`BYTES_MAX`].
    pub raw: String,
    /// The size of all of it.
    pub bytes: usize,
    /// Whether something was left out.
    pub cut: bool,
}

/// A field the error names, to be marked.
#[derive(Debug, Clone, Copy)]
pub struct Culprit<'a> {
    /// Its path without the root.
    pub path: &'a str,
    /// What is wrong with it.
    pub problem: &'a str,
}

impl Kind {
    /// The class of the piece.
    pub fn class(self) -> &'static str {
        match self {
            Self::Key => "k",
            Self::Text => "s",
            Self::Number => "n",
            Self::Word => "b",
            Self::Mark => "p",
        }
    }
}

impl DataView {
    /// The view of a payload, or `None` if it holds no data. `root` begins every copied path.
    pub fn of(payload: &Payload, root: &str, culprit: Option<Culprit<'_>>) -> Option<Self> {
        let (text, json) = match payload {
            Payload::Json(text) => (text, true),
            Payload::Text(text) => (text, false),
            Payload::Apart { .. } | Payload::Removed { .. } | Payload::Hidden | Payload::NotKept => return None,
        };
        let mut writer = Writer { text, at: 0, lines: Vec::new(), used: 0, cut: false, culprit, root };
        if !json || writer.document().is_none() {
            writer = Writer { at: 0, lines: Vec::new(), used: 0, cut: false, ..writer };
            writer.plain();
        }
        let end = floor(text, BYTES_MAX);
        Some(Self { cut: writer.cut || end < text.len(), lines: writer.lines, raw: text[..end].to_owned(), bytes: text.len() })
    }

    /// The size in words.
    pub fn size(&self) -> String {
        format::size(self.bytes)
    }
}

/// The largest character boundary not beyond `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Reads JSON text from front to back and writes lines. `None` means "not JSON after all"; running
/// into a limit is not an error but sets `cut`, after which nothing more is written.
struct Writer<'a> {
    text: &'a str,
    at: usize,
    lines: Vec<Line>,
    used: usize,
    cut: bool,
    culprit: Option<Culprit<'a>>,
    root: &'a str,
}

impl Writer<'_> {
    fn document(&mut self) -> Option<()> {
        let root = self.root.to_owned();
        self.value(0, Vec::new(), &root)?;
        self.blank();
        (self.cut || self.at == self.text.len()).then_some(())
    }

    fn plain(&mut self) {
        for line in self.text.lines() {
            let end = floor(line, BYTES_MAX);
            self.push(0, vec![piece(Kind::Text, &line[..end])], String::new());
            if self.cut {
                break;
            }
        }
    }

    /// One value; `head` holds the pieces before it (key and colon).
    fn value(&mut self, depth: u8, mut head: Vec<Piece>, path: &str) -> Option<()> {
        if self.cut || depth > 127 {
            self.cut = true;
            return Some(());
        }
        self.blank();
        match self.peek()? {
            open @ (b'{' | b'[') => {
                let close = if open == b'{' { b'}' } else { b']' };
                if let Some(mut inline) = self.inline(open) {
                    head.append(&mut inline);
                    self.comma(&mut head);
                    self.push(depth, head, path.to_owned());
                    return Some(());
                }
                self.at += 1;
                head.push(piece(Kind::Mark, if open == b'{' { "{" } else { "[" }));
                let opened = self.lines.len();
                self.push(depth, head, path.to_owned());
                let count = self.members(depth, close, path)?;
                if open == b'[' && !self.cut && count > 1 {
                    self.lines[opened].pieces.push(piece(Kind::Mark, &format!(" {count} items")));
                }
                if !self.cut {
                    let mut tail = vec![piece(Kind::Mark, if close == b'}' { "}" } else { "]" })];
                    self.comma(&mut tail);
                    self.push(depth, tail, String::new());
                }
            }
            _ => {
                head.push(self.scalar()?);
                self.comma(&mut head);
                self.push(depth, head, path.to_owned());
            }
        }
        Some(())
    }

    /// The members up to and with the closing bracket; how many there were.
    fn members(&mut self, depth: u8, close: u8, path: &str) -> Option<usize> {
        let mut count = 0;
        loop {
            self.blank();
            if self.peek()? == close {
                self.at += 1;
                return Some(count);
            }
            let (head, inner) = if close == b'}' {
                let key = self.string()?;
                self.blank();
                self.take(b':')?;
                (vec![piece(Kind::Key, &quoted(&key)), piece(Kind::Mark, ": ")], join(path, &key))
            } else {
                (Vec::new(), format!("{path}[{count}]"))
            };
            self.value(depth + 1, head, &inner)?;
            if self.cut {
                return Some(count);
            }
            count += 1;
        }
    }

    /// An empty record or list, or one with a single plain value, as pieces of one line.
    fn inline(&mut self, open: u8) -> Option<Vec<Piece>> {
        let (from, close) = (self.at, if open == b'{' { b'}' } else { b']' });
        let pieces = self.try_inline(close);
        if pieces.is_none() || self.at - from > INLINE_BYTES_MAX {
            self.at = from;
            return None;
        }
        pieces
    }

    fn try_inline(&mut self, close: u8) -> Option<Vec<Piece>> {
        let (open, shut) = if close == b'}' { ("{", "}") } else { ("[", "]") };
        self.at += 1;
        self.blank();
        let mut out = vec![piece(Kind::Mark, open)];
        if self.peek()? == close {
            self.at += 1;
            out.push(piece(Kind::Mark, shut));
            return Some(out);
        }
        out[0].text.push(' ');
        if close == b'}' {
            out.push(piece(Kind::Key, &quoted(&self.string()?)));
            self.blank();
            self.take(b':')?;
            out.push(piece(Kind::Mark, ": "));
            self.blank();
        }
        out.push(self.scalar()?);
        self.blank();
        self.take(close)?;
        out.push(piece(Kind::Mark, if close == b'}' { " }" } else { " ]" }));
        Some(out)
    }

    fn scalar(&mut self) -> Option<Piece> {
        let rest = &self.text[self.at..];
        match self.peek()? {
            b'"' => Some(piece(Kind::Text, &quoted(&self.string()?))),
            b't' | b'f' | b'n' => {
                let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word))?;
                self.at += word.len();
                Some(piece(Kind::Word, word))
            }
            _ => {
                let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
                let number = (end > 0).then(|| piece(Kind::Number, &rest[..end]))?;
                self.at += end;
                Some(number)
            }
        }
    }

    /// A string at the cursor, decoded.
    fn string(&mut self) -> Option<String> {
        let bytes = self.text.as_bytes();
        let from = self.at;
        self.take(b'"')?;
        loop {
            match bytes.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_str(self.text.get(from..self.at)?).ok()
    }

    fn comma(&mut self, pieces: &mut Vec<Piece>) {
        self.blank();
        if self.peek() == Some(b',') {
            self.at += 1;
            pieces.push(piece(Kind::Mark, ","));
        }
    }

    fn push(&mut self, depth: u8, mut pieces: Vec<Piece>, path: String) {
        if self.cut || self.lines.len() == LINES_MAX || self.used >= BYTES_MAX {
            self.cut = true;
            return;
        }
        let room = BYTES_MAX - self.used;
        let mut length = 0;
        if let Some(over) = pieces.iter().position(|piece| {
            length += piece.text.len();
            length > room
        }) {
            let fits = room - pieces[..over].iter().map(|piece| piece.text.len()).sum::<usize>();
            let text = &mut pieces[over].text;
            text.truncate(floor(text, fits));
            text.push('…');
            pieces.truncate(over + 1);
            self.cut = true;
        }
        self.used += pieces.iter().map(|piece| piece.text.len()).sum::<usize>();
        let below = path.strip_prefix(self.root).map(|rest| rest.trim_start_matches('.'));
        let problem = self.culprit.filter(|c| below == Some(c.path)).map(|c| c.problem.to_owned());
        self.lines.push(Line { depth: depth.min(INDENT_MAX), pieces, path, problem });
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }
}

fn piece(kind: Kind, text: &str) -> Piece {
    Piece { kind, text: text.to_owned() }
}

/// Text as JSON writes it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The path of a member: `a.b`, or `a["odd key"]` if the key is not a plain name.
fn join(path: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && !key.as_bytes()[0].is_ascii_digit() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { format!("{path}.{key}") } else { format!("{path}[{}]", quoted(key)) }
}

#[cfg(test)]
#[path = "data_view_tests.rs"]
mod tests;
