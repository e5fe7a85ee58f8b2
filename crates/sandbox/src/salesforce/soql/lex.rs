//! Words, texts, numbers and signs of a query.

use crate::salesforce::errors::{Outcome, Trouble};

/// A piece of a query and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    pub at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name or keyword, with dots: `Owner.Name`.
    Word(String),
    /// A text in quotes, understood.
    Text(String),
    /// A number, a date, a time: whatever begins with a digit or a sign.
    Literal(String),
    Sign(&'static str),
    End,
}

/// An error in a query with the place it is about, as the API shows it.
pub(super) fn trouble(text: &str, at: usize, code: &'static str, message: &str) -> Trouble {
    let column = text.get(..at).map_or(at, |before| before.chars().count());
    let from = column.saturating_sub(40);
    let shown: String =
        text.chars().skip(from).take(80).map(|letter| if letter.is_whitespace() { ' ' } else { letter }).collect();
    let pad = " ".repeat(column - from);
    Trouble::bad(code, format!("\n{shown}\n{pad}^\nERROR at Row:1:Column:{}\n{message}", column + 1))
}

pub(super) fn malformed(text: &str, at: usize, message: &str) -> Trouble {
    trouble(text, at, "MALFORMED_QUERY", message)
}

pub(super) fn tokens(text: &str) -> Outcome<Vec<Token>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        let byte = bytes[at];
        let kind = match byte {
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'\'' => {
                let (value, end) = quoted(text, at)?;
                at = end;
                Kind::Text(value)
            }
            _ if byte.is_ascii_alphabetic() || byte == b'_' => {
                at += run(bytes, at, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
                Kind::Word(text[begin..at].to_owned())
            }
            _ if byte.is_ascii_digit() || matches!(byte, b'-' | b'+') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                at += 1 + run(bytes, at + 1, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'+'));
                Kind::Literal(text[begin..at].to_owned())
            }
            _ => {
                let (sign, length) = sign(&text[at..]).ok_or_else(|| {
                    let letter = text[at..].chars().next().unwrap_or(' ');
                    malformed(text, at, &format!("line 1:{at} no viable alternative at character '{letter}'"))
                })?;
                at += length;
                Kind::Sign(sign)
            }
        };
        out.push(Token { kind, at: begin });
    }
    out.push(Token { kind: Kind::End, at: text.len() });
    Ok(out)
}

fn run(bytes: &[u8], from: usize, fits: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().take_while(|byte| fits(**byte)).count()
}

fn sign(rest: &str) -> Option<(&'static str, usize)> {
    const SIGNS: [&str; 12] = ["<>", "<=", ">=", "!=", "=", "<", ">", "(", ")", ",", ":", "."];
    SIGNS.into_iter().find(|sign| rest.starts_with(sign)).map(|sign| (if sign == "<>" { "!=" } else { sign }, sign.len()))
}

/// A text in quotes from its first quote on, and where it ends.
fn quoted(text: &str, from: usize) -> Outcome<(String, usize)> {
    let mut value = String::new();
    let mut letters = text[from + 1..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Ok((value, from + 1 + at + 1)),
            '\\' => {
                let Some((_, escaped)) = letters.next() else { break };
                match escaped {
                    'n' | 'N' => value.push('\n'),
                    'r' | 'R' => value.push('\r'),
                    't' | 'T' => value.push('\t'),
                    'b' | 'B' => value.push('\u{8}'),
                    'f' | 'F' => value.push('\u{c}'),
                    '\'' | '"' | '\\' => value.push(escaped),
                    // In a pattern they stand for themselves; the pattern's reader takes the stroke away.
                    '%' | '_' => value.extend(['\\', escaped]),
                    _ => return Err(malformed(text, from + 1 + at, "Illegal string literal escape sequence")),
                }
            }
            _ => value.push(letter),
        }
    }
    Err(malformed(text, from, "unexpected end of string literal"))
}
