//! A half-typed text made readable: the word at the cursor becomes a mark, and what is still open
//! around it is closed.

use super::cut;
use crate::ast::Span;
use crate::check::MARK;
use crate::diagnostic::Diagnostics;
use crate::scan;
use crate::yaml;

/// A text that can be read, with the mark in the place of the word at the cursor.
pub(super) struct Marked {
    pub(super) text: String,
    /// The word at the cursor in the original text.
    pub(super) word: Span,
    /// The place of the first byte of the line on which the word stands.
    pub(super) line: usize,
    /// A colon follows the word already.
    pub(super) has_colon: bool,
    /// A blank must come before whatever is inserted.
    pub(super) needs_blank: bool,
}

/// The text as it can be read with a mark at the cursor, if there is a way.
pub(super) fn marked(text: &str, offset: usize) -> Option<Marked> {
    let offset = floor(text, offset);
    let line = cut::line(text, offset);
    let word = word_at(text, offset, line);
    let (before, after) = (&text[line.start..word.start], &text[word.end..line.end]);
    if in_comment(before) {
        return None;
    }
    let needs_blank = before.ends_with(':') && !open(before).contains("}");
    let has_colon = after.trim_start().starts_with(':');
    let lines = attempts(text, line, before, after, needs_blank);
    let whole = |new: &String| format!("{}{new}{}", &text[..line.start], &text[line.end..]);
    let plain = lines.iter().map(whole).find(|text| readable(text));
    let text = match plain {
        Some(text) => text,
        None => lines.iter().find_map(|new| cut::mended(&whole(new), Some(line.start)).filter(|text| readable(text)))?,
    };
    Some(Marked { text, word, line: line.start, has_colon, needs_blank })
}

/// How the line could have been meant, the likeliest first.
fn attempts(text: &str, line: Span, before: &str, after: &str, needs_blank: bool) -> Vec<String> {
    let blank = if needs_blank { " " } else { "" };
    let closers = open(before);
    let lead = before.len() - before.trim_start_matches([' ', '-']).len();
    let alone = before[lead..].is_empty() && after.trim().is_empty();
    let mut lines = Vec::new();
    if alone {
        lines.push(format!("{before}{MARK}:"));
        // Wrongly indented: as far as one of the lines before.
        let mut indents: Vec<usize> = Vec::new();
        for other in text[..line.start].lines().rev().take(200) {
            let indent = other.len() - other.trim_start_matches(' ').len();
            let dash = other[indent..].starts_with("- ").then_some(indent + 2);
            for indent in dash.into_iter().chain([indent]) {
                if !other.trim().is_empty() && indents.last().is_none_or(|last| indent < *last) && indent != before.len() {
                    indents.push(indent);
                }
            }
        }
        let (deeper, shallower): (Vec<_>, Vec<_>) = indents.into_iter().partition(|indent| *indent > before.len());
        lines
            .extend(shallower.into_iter().chain(deeper.into_iter().rev()).map(|indent| format!("{}{MARK}:", " ".repeat(indent))));
        lines.push(format!("{before}{MARK}"));
        return lines;
    }
    lines.push(format!("{before}{blank}{MARK}{after}"));
    lines.push(format!("{before}{blank}{MARK}{closers}"));
    lines.push(format!("{before}{blank}{MARK}: {after}"));
    lines.push(format!("{before}{blank}{MARK}:{closers}"));
    // Behind something that is no YAML at all, only what it stands under matters.
    lines.push(format!("{}{MARK}", &before[..lead]));
    lines
}

/// The mark is in the tree, and what holds it is closed.
fn readable(text: &str) -> bool {
    let Some((_, root)) = yaml::read(text.as_bytes(), &mut Diagnostics::default()) else { return false };
    let Some(way) = cut::find(&root, &|found, _| found.contains(MARK)) else { return false };
    way.key.is_some() || cut::text_of(way.last()).is_none_or(|text| text.matches(MARK).count() == 1 && scan::pieces(text).is_ok())
}

/// What closes everything that is open at the end of the beginning of a line.
fn open(before: &str) -> String {
    #[derive(PartialEq)]
    enum Open {
        Expression(usize),
        Quote(u8),
        Flow(u8),
    }
    let bytes = before.as_bytes();
    let mut stack: Vec<Open> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match stack.last() {
            _ if byte == b'$' && bytes.get(at + 1) == Some(&b'{') => match scan::close(before, at) {
                Ok(end) => at = end,
                Err(unclosed) => {
                    stack.push(Open::Expression(unclosed.quote.unwrap_or(0)));
                    break;
                }
            },
            Some(Open::Quote(quote)) if byte == *quote => drop(stack.pop()),
            Some(Open::Quote(b'"')) if byte == b'\\' => at += 1,
            Some(Open::Quote(_)) => {}
            _ if matches!(byte, b'"' | b'\'' | b'{' | b'[' | b'}' | b']') => {
                let starts = before[..at].trim_end().ends_with([':', ',', '{', '[', '-']) || before[..at].trim().is_empty();
                match byte {
                    b'"' | b'\'' if starts => stack.push(Open::Quote(byte)),
                    b'{' | b'[' if starts => stack.push(Open::Flow(byte)),
                    b'}' if stack.last() == Some(&Open::Flow(b'{')) => drop(stack.pop()),
                    b']' if stack.last() == Some(&Open::Flow(b'[')) => drop(stack.pop()),
                    _ => {}
                }
            }
            _ => {}
        }
        at += 1;
    }
    let mut closers = String::new();
    for open in stack.iter().rev() {
        match open {
            Open::Expression(quote) => {
                if *quote > 0 {
                    closers.push(char::from(bytes[*quote]));
                }
                closers.push_str(" }");
            }
            Open::Quote(quote) => closers.push(char::from(*quote)),
            Open::Flow(b'{') => closers.push('}'),
            Open::Flow(_) => closers.push(']'),
        }
    }
    closers
}

/// The word around the cursor. In values a dot is part of it, in expressions it is not.
fn word_at(text: &str, offset: usize, line: Span) -> Span {
    let before = &text[line.start..offset];
    let in_expression = in_expression(before);
    let part = |c: char| c.is_alphanumeric() || c == '_' || (!in_expression && matches!(c, '.' | '-'));
    let start = before.char_indices().rev().take_while(|(_, c)| part(*c)).last().map_or(offset, |(at, _)| line.start + at);
    // A dash of a list is no part of a word.
    let lead = before.len() - before.trim_start_matches([' ', '-']).len();
    let start = start.max(line.start + lead.min(before.len()));
    let after = &text[offset..line.end];
    let end = offset + after.find(|c: char| !part(c)).unwrap_or(after.len());
    Span { start: start.min(offset), end }
}

/// Behind an open `${`, or the key of a decision.
fn in_expression(before: &str) -> bool {
    let open = before.rfind("${").is_some_and(|at| scan::close(before, at).is_err());
    let key = before.trim_start_matches([' ', '-', '{']);
    let decision = ["if:", "when:", "until:"].iter().any(|word| key.starts_with(word));
    // A line of a script has no colon in front; its names end at dots all the same.
    open || decision || before.contains("until: ") || (!key.contains(':') && key.contains('.'))
}

fn in_comment(before: &str) -> bool {
    before.trim_start().starts_with('#')
        || (before.contains(" #") && open(before.split(" #").next().unwrap_or_default()).is_empty())
}

/// The offset moved back to the start of its character.
pub(super) fn floor(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
