//! A formula as tokens, with the byte range and the matching bracket of each.

use std::ops::Range;

use crate::{SyntaxProblem, limits, unseen};

/// One token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
    /// The matching bracket; itself for anything else.
    pub(crate) partner: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Name(String),
    Number(String),
    Text(String),
    /// A sign or an operator; brackets are apart.
    Sign(&'static str),
    /// `(`, `[`, `{`, `#{`, `?[`, or the beginnings of a template text and of a value in it.
    Open(&'static str),
    Close(&'static str),
}

/// How a template text and a value in it begin and end, as brackets.
pub(crate) const TEMPLATE: &str = "`";
pub(crate) const PLACE: &str = "${";

/// Longest first.
const SIGNS: [&str; 37] = [
    "**=", "..=", "===", "!==", "?.", "??", "=>", "==", "!=", "<=", ">=", "&&", "||", "**", "+=", "-=", "*=", "/=", "%=", "::",
    "..", "+", "-", "*", "/", "%", "<", ">", "=", "!", "&", "|", "^", ",", ";", ":", ".",
];

/// Splits a formula into tokens.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, SyntaxProblem> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new(), open: Vec::new() };
    while lexer.at < source.len() {
        lexer.next()?;
    }
    match lexer.open.last() {
        None => Ok(lexer.tokens),
        Some(&open) => {
            let token = &lexer.tokens[open];
            let what = &source[token.range.clone()];
            Err(SyntaxProblem::new(token.range.clone(), format!("`{what}` is never closed")))
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
    open: Vec<usize>,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<(), SyntaxProblem> {
        let rest = &self.source[self.at..];
        let Some(first) = rest.chars().next() else { return Ok(()) };
        if first.is_whitespace() {
            self.at += first.len_utf8();
            return Ok(());
        }
        if rest.starts_with("//") {
            self.at += rest.find('\n').unwrap_or(rest.len());
            return Ok(());
        }
        if rest.starts_with("/*") {
            return self.comment();
        }
        if first.is_alphabetic() || first == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.push(Kind::Name(rest[..len].to_owned()), len);
            return Ok(());
        }
        if first.is_ascii_digit() {
            let len = number_len(rest);
            self.push(Kind::Number(rest[..len].to_owned()), len);
            return Ok(());
        }
        match first {
            '"' | '\'' => return self.quoted(first),
            '`' => {
                self.open(TEMPLATE, 1)?;
                return self.template();
            }
            '(' => return self.open("(", 1),
            '[' => return self.open("[", 1),
            '{' => return self.open("{", 1),
            ')' | ']' | '}' => return self.close(first),
            _ if rest.starts_with("#{") => return self.open("#{", 2),
            _ if rest.starts_with("?[") => return self.open("?[", 2),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => self.push(Kind::Sign(sign), sign.len()),
                None => return Err(self.stranger(first)),
            },
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, len: usize) {
        let partner = self.tokens.len();
        self.tokens.push(Token { kind, range: self.at..self.at + len, partner });
        self.at += len;
    }

    fn open(&mut self, sign: &'static str, len: usize) -> Result<(), SyntaxProblem> {
        let range = self.at..self.at + len;
        if self.open.len() >= limits::EXPRESSION_DEPTH_MAX {
            let message = format!("this is nested deeper than {} levels", limits::EXPRESSION_DEPTH_MAX);
            return Err(SyntaxProblem::new(range, message).with_hint("Split it into several `set` values."));
        }
        self.open.push(self.tokens.len());
        self.push(Kind::Open(sign), len);
        Ok(())
    }

    fn close(&mut self, closer: char) -> Result<(), SyntaxProblem> {
        let Some(open) = self.open.pop() else {
            return Err(SyntaxProblem::new(self.at..self.at + 1, format!("`{closer}` closes nothing")));
        };
        let Kind::Open(sign) = self.tokens[open].kind else { return Ok(()) };
        let (fits, close) = match sign {
            "(" => (closer == ')', ")"),
            "[" | "?[" => (closer == ']', "]"),
            TEMPLATE => (closer == '`', TEMPLATE),
            _ => (closer == '}', "}"),
        };
        if !fits {
            let message = format!("`{closer}` does not close the `{sign}` before it");
            return Err(SyntaxProblem::new(self.at..self.at + 1, message));
        }
        let place = self.tokens.len();
        self.push(Kind::Close(close), closer.len_utf8());
        self.tokens[open].partner = place;
        self.tokens[place].partner = open;
        // The value in a template text is over: its text goes on.
        if sign == PLACE { self.template() } else { Ok(()) }
    }

    /// The text of a template up to its end or its next value.
    fn template(&mut self) -> Result<(), SyntaxProblem> {
        let start = self.at;
        let mut text = String::new();
        loop {
            let rest = &self.source[self.at..];
            let Some(c) = rest.chars().next() else {
                return Err(SyntaxProblem::new(start.saturating_sub(1)..self.source.len(), "this text never ends")
                    .with_hint("Close it with a backtick."));
            };
            let place = rest.starts_with("${");
            if c == '`' || place {
                if !text.is_empty() {
                    let partner = self.tokens.len();
                    self.tokens.push(Token { kind: Kind::Text(text), range: start..self.at, partner });
                }
                if place {
                    return self.open(PLACE, 2);
                }
                return self.close('`');
            }
            if c == '\\' {
                text.push(self.escape()?);
            } else {
                text.push(c);
                self.at += c.len_utf8();
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<(), SyntaxProblem> {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            let Some(c) = self.source[self.at..].chars().next() else {
                return Err(SyntaxProblem::new(start..self.source.len(), "this text never ends")
                    .with_hint(format!("Close it with {quote}")));
            };
            if c == quote {
                self.at += 1;
                break;
            }
            if c == '\\' {
                text.push(self.escape()?);
            } else {
                text.push(c);
                self.at += c.len_utf8();
            }
        }
        let partner = self.tokens.len();
        self.tokens.push(Token { kind: Kind::Text(text), range: start..self.at, partner });
        Ok(())
    }

    fn escape(&mut self) -> Result<char, SyntaxProblem> {
        let start = self.at;
        let rest = &self.source[start + 1..];
        let (c, len) = match rest.chars().next() {
            Some('n') => (Some('\n'), 1),
            Some('r') => (Some('\r'), 1),
            Some('t') => (Some('\t'), 1),
            Some('0') => (Some('\0'), 1),
            Some(c @ ('\\' | '"' | '\'' | '`' | '/' | '$' | '{' | '}')) => (Some(c), 1),
            Some('x') => (code(rest.get(1..3)), 3),
            Some('u') if rest[1..].starts_with('{') => match rest.find('}') {
                Some(end) => (code(rest.get(2..end)), end + 1),
                None => (None, 2),
            },
            Some('u') => (code(rest.get(1..5)), 5),
            Some(c) => (None, c.len_utf8()),
            None => (None, 0),
        };
        self.at = (start + 1 + len).min(self.source.len());
        c.ok_or_else(|| {
            let mut end = self.at;
            while !self.source.is_char_boundary(end) {
                end += 1;
            }
            SyntaxProblem::new(start..end, format!("`{}` means nothing in a text", &self.source[start..end]))
                .with_hint(r#"Known are \n \t \r \\ \" \' \` \x41 and \u0041; a backslash itself is written \\."#)
        })
    }

    fn comment(&mut self) -> Result<(), SyntaxProblem> {
        let start = self.at;
        let mut depth = 0_u32;
        let bytes = self.source.as_bytes();
        while self.at < bytes.len() {
            if bytes[self.at..].starts_with(b"/*") {
                depth += 1;
                self.at += 2;
            } else if bytes[self.at..].starts_with(b"*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                self.at += 1;
            }
        }
        Err(SyntaxProblem::new(start..self.source.len(), "this comment never ends").with_hint("Close it with */"))
    }

    fn stranger(&self, first: char) -> SyntaxProblem {
        if let Some(problem) = unseen::problem(self.at, first) {
            return problem;
        }
        let problem = SyntaxProblem::new(self.at..self.at + first.len_utf8(), format!("`{first}` means nothing in a formula"));
        match first {
            '$' => problem.with_hint("A JSONPath stands alone. In a formula write the name without `$`: trigger.amount"),
            '?' => problem.with_hint("Choose between two values with: if condition { a } else { b }"),
            '“' | '”' | '„' => problem.with_hint("Text stands in straight quotes: \"text\""),
            '@' => problem.with_hint("A closure names its item: list.filter(|item| item.price > 10)"),
            _ => problem,
        }
    }
}

fn code(digits: Option<&str>) -> Option<char> {
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

/// `12`, `1_000`, `0x1F`, `1.5`, `1.5e-3`; not the dots of `1..5` nor that of `1.max(2)`.
fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'_') {
            at += 1;
        }
        at
    };
    if matches!(bytes, [b'0', b'x' | b'X', ..]) {
        return 2 + bytes[2..].iter().take_while(|byte| byte.is_ascii_hexdigit() || **byte == b'_').count();
    }
    let mut at = digits(0);
    if bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
            at = digits(at + 1 + sign);
        }
    }
    at
}
