//! Scalars and keys in writing: plain where that reads the same, else quoted, long text as a block.

use granit_parser::ScalarStyle;

use super::{Place, Writer, Written};
use crate::edit::target::Scalar;
use crate::edit::tree::{Kind, Meaning, Source, meaning};
use crate::scalar::{Plain, looks_numeric, resolve};

/// A key in writing.
pub(super) fn key(key: &str, json: bool) -> String {
    if !json && (is_plain(key, true) || is_old_boolean(key)) { key.to_owned() } else { double_quoted(key) }
}

/// A key in the quotes of the one before.
pub(super) fn key_like(before: &str, new: &str) -> String {
    let quoted = if before.starts_with('\'') { single_quoted(new) } else { None };
    quoted.unwrap_or_else(|| key(new, before.starts_with('"')))
}

/// Text in double quotes, as JSON and YAML both read it.
pub(super) fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if must_be_escaped(c) => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Text in single quotes, if it can be.
fn single_quoted(text: &str) -> Option<String> {
    (!text.contains(|c| c == '\n' || c == '\r' || c == '\t' || must_be_escaped(c)))
        .then(|| format!("'{}'", text.replace('\'', "''")))
}

/// Characters that stand in no YAML text as they are, or that editors do not show.
fn must_be_escaped(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(
            c,
            '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        )
}

/// True if the text can stand without quotes and reads as this text.
pub(super) fn is_plain(text: &str, flow: bool) -> bool {
    let mut chars = text.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else { return false };
    let starts = match first {
        '-' => second.is_some_and(|c| c.is_alphanumeric()),
        '?' | ':' | ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => false,
        c => !c.is_whitespace(),
    };
    starts
        && !text.ends_with(|c: char| c == ':' || c.is_whitespace())
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(|c| matches!(c, '\n' | '\r' | '\t') || must_be_escaped(c))
        && (!flow || stands_in_flow(text))
        && !["---", "...", "<<"].iter().any(|mark| text.starts_with(mark))
        && !is_old_boolean(text)
        && resolve(text) == Plain::Text
        && !looks_numeric(text)
}

/// True if plain text does not end early between brackets.
fn stands_in_flow(text: &str) -> bool {
    let quoted_key = text.contains(':') && text.contains(['"', '\'']);
    !quoted_key && !text.contains([',', '[', ']', '{', '}'])
}

/// What YAML 1.1 took for true and false; core YAML reads text, but people and other tools may not.
fn is_old_boolean(text: &str) -> bool {
    ["yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

impl Writer<'_, '_> {
    /// A scalar in writing, in the style it has if that is possible.
    pub(super) fn scalar(&self, scalar: &Scalar, prefer: Option<ScalarStyle>, place: Place) -> Written {
        let text = match meaning(&scalar.text, scalar.plain) {
            Meaning::Text(text) => text,
            _ if scalar.text.is_empty() => return Written::head("null"),
            _ => return Written::head(&scalar.text),
        };
        if place.json {
            return Written::head(double_quoted(text));
        }
        let block = || if place.flow || self.careful { None } else { self.block_text(text, prefer, place) };
        let chosen = match prefer {
            Some(ScalarStyle::DoubleQuoted) if !text.contains('\n') => Some(Written::head(double_quoted(text))),
            Some(ScalarStyle::SingleQuoted) => single_quoted(text).map(Written::head),
            Some(ScalarStyle::Literal | ScalarStyle::Folded) => block(),
            _ => None,
        };
        chosen
            .or_else(|| is_plain(text, place.flow).then(|| Written::head(text)))
            .or_else(|| if text.trim_end_matches('\n').contains('\n') { block() } else { None })
            .or_else(|| single_quoted(text).filter(|_| text.contains(['"', '\\']) && !text.contains('\'')).map(Written::head))
            .unwrap_or_else(|| Written::head(double_quoted(text)))
    }

    /// Text as lines below a `|` or `>`, if it reads back as this text.
    fn block_text(&self, text: &str, prefer: Option<ScalarStyle>, place: Place) -> Option<Written> {
        let lines = text.trim_end_matches('\n');
        if lines.is_empty() || text.contains(|c| c == '\r' || must_be_escaped(c)) {
            return None;
        }
        let ends = text.len() - lines.len();
        let chomp = ["-", "", "+"][ends.min(2)];
        let indent = Self::spaces(place.column + self.style.indent.max(1));
        let mut body = String::new();
        let folded = prefer == Some(ScalarStyle::Folded) && !lines.split('\n').any(|line| line.starts_with([' ', '\t']));
        for (at, line) in lines.split('\n').enumerate() {
            // A break in folded text is a blank line in writing.
            if folded && at > 0 && !line.is_empty() {
                body.push_str(self.newline);
            }
            if !line.is_empty() {
                body.push_str(&indent);
            }
            body.push_str(line);
            body.push_str(self.newline);
        }
        body.push_str(&self.newline.repeat(ends.saturating_sub(1)));
        let head = format!("{}{chomp}", if folded { '>' } else { '|' });
        let written = Written { head, body };
        reads_as(&written, text).then_some(written)
    }
}

/// True if this, written behind a key, reads as the text.
fn reads_as(written: &Written, text: &str) -> bool {
    let small = format!("k: {}\n{}", written.head, written.body);
    let Ok(source) = Source::read(&small) else { return false };
    source.get(source.root, "k").and_then(|node| source.text_of(node)) == Some(text) && source.parts(source.root).len() == 1
}

/// True if a flow or one-line scalar in this writing reads as the text.
pub(super) fn reads_back(raw: &str, text: &str) -> bool {
    let small = format!("k:\n {raw}\n");
    let Ok(source) = Source::read(&small) else { return false };
    let Some(node) = source.get(source.root, "k") else { return false };
    matches!(&source.node(node).kind, Kind::Scalar { body, .. } if small[body.start..body.end] == *raw)
        && source.text_of(node) == Some(text)
}

impl Written {
    pub(super) fn head(head: impl Into<String>) -> Self {
        Self { head: head.into(), body: String::new() }
    }
}
