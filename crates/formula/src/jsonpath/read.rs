//! Reads a path, each byte once.

mod filter;
mod literal;

use super::{Segment, Selector};
use crate::{SyntaxProblem, limits};

/// The segments behind `$`.
pub(crate) fn read(text: &str) -> Result<Vec<Segment>, SyntaxProblem> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.expect('$')?;
    let segments = reader.segments()?;
    if reader.at == text.len() {
        return Ok(segments);
    }
    // Blanks are allowed between segments, not behind the last; anything else says more.
    let end = reader.at;
    reader.blanks();
    Err(reader.misfit_at(if reader.at == text.len() { end } else { reader.at }))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// How many filters, brackets and functions are open.
    depth: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len();
        }
        there
    }

    fn expect(&mut self, wanted: char) -> Result<(), SyntaxProblem> {
        if self.peek() != Some(wanted) {
            return Err(self.misfit());
        }
        self.at += wanted.len_utf8();
        Ok(())
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// One level deeper, which bounds the stack that reading, evaluating and dropping need.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, SyntaxProblem>) -> Result<T, SyntaxProblem> {
        if self.depth == limits::PATH_DEPTH_MAX {
            let message = format!("a JSONPath has at most {} brackets in brackets", limits::PATH_DEPTH_MAX);
            return Err(SyntaxProblem::new(self.at..self.at, message).with_hint("Filter step by step, with a formula."));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn segments(&mut self) -> Result<Vec<Segment>, SyntaxProblem> {
        let mut segments = Vec::new();
        loop {
            let before = self.at;
            self.blanks();
            match self.peek() {
                Some('.' | '[') => segments.push(self.segment()?),
                _ => {
                    self.at = before;
                    return Ok(segments);
                }
            }
        }
    }

    fn segment(&mut self) -> Result<Segment, SyntaxProblem> {
        let descends = self.eat("..");
        let selectors = if self.peek() == Some('[') {
            self.deeper(Self::brackets)?
        } else {
            let dot = descends || self.eat(".");
            match self.peek() {
                Some('*') if dot => {
                    self.at += 1;
                    vec![Selector::Any]
                }
                Some(c) if dot && is_name_start(c) => vec![Selector::Name(self.name())],
                // The dot itself is what does not fit when nothing stands behind it.
                _ => return Err(self.misfit_at(if self.at == self.text.len() { self.at - 1 } else { self.at })),
            }
        };
        Ok(Segment { descends, selectors })
    }

    fn name(&mut self) -> String {
        let rest = self.rest();
        let end = rest.find(|c: char| !(is_name_start(c) || c.is_ascii_digit())).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_owned()
    }

    fn brackets(&mut self) -> Result<Vec<Selector>, SyntaxProblem> {
        let open = self.at;
        self.expect('[')?;
        let mut selectors = Vec::new();
        loop {
            self.blanks();
            selectors.push(self.selector()?);
            self.blanks();
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {
                    self.at += 1;
                    return Ok(selectors);
                }
                Some(_) => return Err(self.misfit()),
                None => return Err(self.misfit_at(open)),
            }
        }
    }

    fn selector(&mut self) -> Result<Selector, SyntaxProblem> {
        match self.peek() {
            Some('\'' | '"') => Ok(Selector::Name(self.quoted()?)),
            Some('*') => {
                self.at += 1;
                Ok(Selector::Any)
            }
            Some('?') => {
                self.at += 1;
                self.blanks();
                if self.at == self.text.len() {
                    return Err(self.misfit_at(self.at - 1));
                }
                Ok(Selector::Filter(self.deeper(Self::test)?))
            }
            Some('-' | '0'..='9' | ':') => self.index_or_slice(),
            _ => Err(self.misfit()),
        }
    }

    fn index_or_slice(&mut self) -> Result<Selector, SyntaxProblem> {
        let start = self.whole_number()?;
        let end_of_number = self.at;
        self.blanks();
        if !self.eat(":") {
            self.at = end_of_number;
            return start.map(Selector::Index).ok_or_else(|| self.misfit());
        }
        self.blanks();
        let end = self.whole_number()?;
        let mut step = None;
        let end_of_slice = self.at;
        self.blanks();
        if self.eat(":") {
            let end_of_colon = self.at;
            self.blanks();
            step = self.whole_number()?;
            if step.is_none() {
                self.at = end_of_colon;
            }
        } else {
            self.at = end_of_slice;
        }
        Ok(Selector::Slice { start, end, step: step.unwrap_or(1) })
    }

    /// What stands here does not fit, or something is missing.
    fn misfit(&self) -> SyntaxProblem {
        self.misfit_at(self.at)
    }

    fn misfit_at(&self, at: usize) -> SyntaxProblem {
        let text = self.text;
        let (end, message) = match text[at..].chars().next() {
            Some(c) => (at + c.len_utf8(), format!("`{}` does not fit into this JSONPath", c.escape_debug())),
            None => (at, "this JSONPath stops too early".to_owned()),
        };
        let hint = if text.contains('-') {
            "Names with other signs than letters, digits and `_` stand in brackets: $.trigger.headers['idempotency-key']"
        } else if text.contains(['+', '*', '>', '<', '=']) && !text.contains('?') {
            "A JSONPath stands alone. To compute, write a formula without `$`: trigger.amount * 100"
        } else {
            "A path looks like $.trigger.items[0].name, $.trigger.items[*].name or $.trigger['a name']"
        };
        SyntaxProblem::new(at..end, message).with_hint(hint)
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}
