//! Texts and numbers inside a path.

use serde_json::Value as Json;

use super::Reader;
use crate::SyntaxProblem;

/// The largest index, and the smallest below zero: what every reader of JSON keeps exactly.
const INDEX_MAX: i64 = (1 << 53) - 1;

impl Reader<'_> {
    /// A text in quotes of either kind.
    pub(super) fn quoted(&mut self) -> Result<String, SyntaxProblem> {
        let open = self.at;
        let Some(quote) = self.next() else { return Err(self.misfit()) };
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.next() {
                Some(c) if c == quote => return Ok(text),
                Some('\\') => text.push(self.escaped(quote, at)?),
                Some(c) if c >= ' ' => text.push(c),
                Some(_) => return Err(self.misfit_at(at)),
                None => {
                    return Err(
                        SyntaxProblem::new(open..open + 1, "the quote that opens here is never closed").with_hint("Close it.")
                    );
                }
            }
        }
    }

    fn escaped(&mut self, quote: char, at: usize) -> Result<char, SyntaxProblem> {
        match self.next() {
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => self.unicode(at),
            Some(c) if c == quote || matches!(c, '/' | '\\') => Ok(c),
            _ => Err(self.misfit_at(at)),
        }
    }

    fn unicode(&mut self, at: usize) -> Result<char, SyntaxProblem> {
        let first = self.four_digits(at)?;
        let code = match first {
            0xD800..0xDC00 if self.eat("\\u") => match self.four_digits(at)? {
                second @ 0xDC00..0xE000 => 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => return Err(self.misfit_at(at)),
            },
            first => first,
        };
        char::from_u32(code).ok_or_else(|| self.misfit_at(at))
    }

    fn four_digits(&mut self, at: usize) -> Result<u32, SyntaxProblem> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or_else(|| self.misfit_at(at))?;
        self.at += 4;
        Ok(code)
    }

    /// An index or a bound of a slice, if one stands here.
    pub(super) fn whole_number(&mut self) -> Result<Option<i64>, SyntaxProblem> {
        let start = self.at;
        let negative = self.eat("-");
        let digits = self.digits();
        let unfit = match digits.as_bytes() {
            [] if negative => true,
            [] => return Ok(None),
            [b'0'] => negative,
            [b'0', ..] => true,
            _ => false,
        };
        let number =
            self.text[start..self.at].parse::<i64>().ok().filter(|number| number.unsigned_abs() <= INDEX_MAX.unsigned_abs());
        match number {
            Some(number) if !unfit => Ok(Some(number)),
            _ => Err(self.misfit_at(start)),
        }
    }

    /// A number as JSON writes it.
    pub(super) fn number(&mut self) -> Result<Json, SyntaxProblem> {
        let start = self.at;
        self.eat("-");
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(self.misfit_at(start));
        }
        if self.eat(".") && self.digits().is_empty() {
            return Err(self.misfit());
        }
        if self.eat("e") || self.eat("E") {
            let _ = self.eat("-") || self.eat("+");
            if self.digits().is_empty() {
                return Err(self.misfit());
            }
        }
        serde_json::from_str(&self.text[start..self.at]).map_err(|_| self.misfit_at(start))
    }

    fn digits(&mut self) -> &str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}
