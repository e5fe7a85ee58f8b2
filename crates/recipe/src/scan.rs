//! Finds `${ … }` in a text.
//!
//! The scanner knows quotes (`'`, `"`, `` ` ``) and nested braces, so a `}` inside either does not end
//! an expression. `$${` is the plain text `${`. It looks at parsed text, never at the file, and each
//! byte once.

use std::ops::Range;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Plain text; the escape `$${` arrives as `${`.
    Text(&'t str),
    /// An expression.
    Expr {
        /// Its source, trimmed and without delimiters.
        source: &'t str,
        /// The bytes of `source` in the text.
        range: Range<usize>,
        /// The bytes from `${` to `}`.
        outer: Range<usize>,
    },
}

/// An expression that is never closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclosed {
    /// Where its `${` stands.
    pub open: usize,
    /// The quote that was still open at the end, if one was.
    pub quote: Option<usize>,
}

/// Cuts a text into plain text and expressions.
///
/// # Errors
/// When an expression has no matching `}`.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Unclosed> {
    let mut found = Vec::new();
    let (mut plain, mut at) = (0, 0);
    while let Some(dollar) = text[at..].find("${").map(|i| at + i) {
        if text[..dollar].ends_with('$') && dollar > plain {
            // `$${`: keep what stands before the first dollar, then go on with `${` as plain text.
            push_text(&mut found, &text[plain..dollar - 1]);
            push_text(&mut found, &text[dollar..dollar + 2]);
            at = dollar + 2;
            plain = at;
            continue;
        }
        let close = close(text, dollar)?;
        push_text(&mut found, &text[plain..dollar]);
        let inner = &text[dollar + 2..close];
        let source = inner.trim();
        let start = dollar + 2 + (inner.len() - inner.trim_start().len());
        found.push(Piece::Expr { source, range: start..start + source.len(), outer: dollar..close + 1 });
        at = close + 1;
        plain = at;
    }
    push_text(&mut found, &text[plain..]);
    Ok(found)
}

/// Where the first `${` stands that is not escaped, closed or not.
#[must_use]
pub fn first(text: &str) -> Option<usize> {
    let (mut plain, mut at) = (0, 0);
    while let Some(dollar) = text[at..].find("${").map(|i| at + i) {
        if !(text[..dollar].ends_with('$') && dollar > plain) {
            return Some(dollar);
        }
        at = dollar + 2;
        plain = at;
    }
    None
}

/// The `}` that closes the `${` at `open`.
///
/// # Errors
/// When there is none.
pub fn close(text: &str, open: usize) -> Result<usize, Unclosed> {
    // What is open: a brace, or a quote with its place. A back-quoted text may hold `${ … }` again.
    let mut stack: Vec<(u8, usize)> = vec![(b'{', open)];
    let bytes = text.as_bytes();
    let mut at = open + 2;
    while let Some(byte) = bytes.get(at) {
        let top = stack.last().map_or(b'{', |(kind, _)| *kind);
        match (top, byte) {
            (b'{', b'{') => stack.push((b'{', at)),
            (b'{', b'}') => {
                stack.pop();
                if stack.is_empty() {
                    return Ok(at);
                }
            }
            (b'{', b'\'' | b'"' | b'`') => stack.push((*byte, at)),
            (b'\'' | b'"', b'\\') => at += 1,
            (b'`', b'$') if bytes.get(at + 1) == Some(&b'{') => {
                stack.push((b'{', at));
                at += 1;
            }
            (quote, byte) if quote == *byte => {
                stack.pop();
            }
            _ => {}
        }
        at += 1;
    }
    let quote = stack.last().filter(|(kind, _)| *kind != b'{').map(|(_, at)| *at);
    Err(Unclosed { open, quote })
}

fn push_text<'t>(found: &mut Vec<Piece<'t>>, text: &'t str) {
    if !text.is_empty() {
        found.push(Piece::Text(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text as it is, expressions as `<source>`.
    fn check(text: &str, expected: &str) {
        let shown = match pieces(text) {
            Err(unclosed) => format!("open at {}, quote {:?}", unclosed.open, unclosed.quote),
            Ok(found) => found
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => (*text).to_owned(),
                    Piece::Expr { source, range, outer } => {
                        assert_eq!(&text[range.clone()], *source);
                        assert!(text[outer.clone()].starts_with("${") && text[outer.clone()].ends_with('}'));
                        format!("<{source}>")
                    }
                })
                .collect(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn expressions_end_at_their_own_brace() {
        check("", "");
        check("plain $5 {x}", "plain $5 {x}");
        check("${ a }", "<a>");
        check("${a}${b}", "<a><b>");
        check("x ${ #{a: 1}.a } y", "x <#{a: 1}.a> y");
        check("${ '}' } ${ \"}\\\"}\" } ${ `}` }", "<'}'> <\"}\\\"}\"> <`}`>");
        check("${ `a ${ f(#{b: `}`}) } c` }!", "<`a ${ f(#{b: `}`}) } c`>!");
        check("${ $.a['it}s'] }", "<$.a['it}s']>");
        check("é${ é }é", "é<é>é");
    }

    #[test]
    fn doubled_dollar_is_plain_text() {
        check("$${ a }", "${ a }");
        check("$$${ a }", "$${ a }");
        check("${ a }$${ b }${ c }", "<a>${ b }<c>");
        check("$${$${", "${${");
        assert_eq!(first("$${ a } ${ b }"), Some(8));
        assert_eq!(first("$${ a }"), None);
    }

    #[test]
    fn unclosed_says_what_is_open() {
        check("${ a", "open at 0, quote None");
        check("x ${ 'a }", "open at 2, quote Some(5)");
        check("${ \"\\", "open at 0, quote Some(3)");
        check("${", "open at 0, quote None");
        check("${ { }", "open at 0, quote None");
    }
}
