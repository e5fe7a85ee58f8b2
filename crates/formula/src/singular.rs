//! The plain part of a JSONPath: names and single indexes.
//!
//! Only called with text that the full parser has accepted, so it recognises and never judges.

use crate::Segment;

/// The names and indexes a path begins with, and where they end.
pub(crate) fn lead(text: &str) -> (Vec<Segment>, usize) {
    let mut path = Vec::new();
    let mut at = usize::from(text.starts_with('$'));
    while let Some((segment, end)) = segment(text, at) {
        path.push(segment);
        at = end;
    }
    (path, at)
}

/// Continues a path past wildcards and filters, as far as its shape is known.
pub(crate) fn follow(text: &str, path: &mut Vec<Segment>) {
    let mut at = 0;
    loop {
        if let Some((segment, end)) = segment(text, at) {
            path.push(segment);
            at = end;
            continue;
        }
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        let start = at + (rest.len() - trimmed.len());
        if trimmed.starts_with("..") || trimmed.is_empty() {
            return;
        }
        path.push(Segment::Any);
        at = if trimmed.starts_with(".*") {
            start + 2
        } else if trimmed.starts_with('[') {
            match closing(text, start) {
                Some(end) => end + 1,
                None => return,
            }
        } else {
            return;
        };
    }
}

/// Every place where a `$` stands outside of quotes.
pub(crate) fn roots(text: &str) -> Vec<usize> {
    unquoted(text, 0).filter(|(_, byte)| *byte == b'$').map(|(at, _)| at).collect()
}

/// Where `?? default` begins, outside of quotes and brackets.
pub(crate) fn default_mark(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in unquoted(text, 0) {
        match byte {
            b'[' | b'(' => depth += 1,
            b']' | b')' => depth -= 1,
            b'?' if depth <= 0 && text[at..].starts_with("??") => return Some(at),
            _ => {}
        }
    }
    None
}

fn segment(text: &str, from: usize) -> Option<(Segment, usize)> {
    let bytes = text.as_bytes();
    let at = blank(bytes, from);
    match bytes.get(at)? {
        b'.' => {
            let name = text.get(at + 1..)?;
            let len = name
                .char_indices()
                .find(|(_, c)| !(c.is_ascii_alphanumeric() || *c == '_' || !c.is_ascii()))
                .map_or(name.len(), |(len, _)| len);
            let first = name.chars().next()?;
            (len > 0 && !first.is_ascii_digit()).then(|| (Segment::Key(name[..len].to_owned()), at + 1 + len))
        }
        b'[' => {
            let inner = blank(bytes, at + 1);
            let (segment, end) = match bytes.get(inner)? {
                quote @ (b'\'' | b'"') => {
                    let (key, end) = quoted(text, inner + 1, char::from(*quote))?;
                    (Segment::Key(key), end)
                }
                b'-' | b'0'..=b'9' => {
                    let len = bytes[inner + 1..].iter().position(|byte| !byte.is_ascii_digit())? + 1;
                    (Segment::Index(text[inner..inner + len].parse().ok()?), inner + len)
                }
                _ => return None,
            };
            let end = blank(bytes, end);
            (bytes.get(end) == Some(&b']')).then_some((segment, end + 1))
        }
        _ => None,
    }
}

fn quoted(text: &str, from: usize, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.get(from..)?.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((out, from + at + 1)),
            '\\' => match chars.next()?.1 {
                'b' => out.push('\u{8}'),
                'f' => out.push('\u{c}'),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'u' => {
                    let mut unit = || (0..4).try_fold(0, |code, _| Some(code * 16 + chars.next()?.1.to_digit(16)?));
                    let high = unit()?;
                    let code = if (0xD800..0xDC00).contains(&high) {
                        let (slash, u) = (chars.next()?.1, chars.next()?.1);
                        let mut unit = || (0..4).try_fold(0, |code, _| Some(code * 16 + chars.next()?.1.to_digit(16)?));
                        let low = unit()?;
                        if slash != '\\' || u != 'u' || !(0xDC00..0xE000).contains(&low) {
                            return None;
                        }
                        0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
                    } else {
                        high
                    };
                    out.push(char::from_u32(code)?);
                }
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

fn blank(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The bytes outside of quoted names.
pub(crate) fn unquoted(text: &str, from: usize) -> impl Iterator<Item = (usize, u8)> {
    let mut quote = None;
    let mut escaped = false;
    text.bytes().enumerate().skip(from).filter(move |(_, byte)| match quote {
        Some(open) => {
            if escaped {
                escaped = false;
            } else if *byte == b'\\' {
                escaped = true;
            } else if *byte == open {
                quote = None;
            }
            false
        }
        None => {
            if matches!(byte, b'\'' | b'"') {
                quote = Some(*byte);
            }
            quote.is_none()
        }
    })
}

fn closing(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, byte) in unquoted(text, open) {
        match byte {
            b'[' => depth += 1,
            b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
