//! Statements of scripts, and the two that formulas have as well: `if` and `switch`.

use super::{Arm, Kind, Node, Reader};
use crate::lex;

/// Words that end a block, a loop or a script early.
pub(super) fn is_leave(word: &str) -> bool {
    matches!(word, "return" | "throw" | "break" | "continue")
}

impl<'a> Reader<'a> {
    /// Statements up to the end.
    pub(super) fn statements(&mut self) -> Option<Node<'a>> {
        let start = self.start();
        let all = self.statements_until(self.tokens.len())?;
        Some(self.node(start, Kind::Block(all)))
    }

    fn statements_until(&mut self, end: usize) -> Option<Vec<Node<'a>>> {
        let mut all = Vec::new();
        while self.at < end {
            if self.takes_sign(";") {
                continue;
            }
            all.push(self.statement()?);
        }
        (self.at == end).then_some(all)
    }

    /// `{ … }`: in a formula one expression.
    pub(super) fn block(&mut self) -> Option<Node<'a>> {
        let start = self.start();
        if !self.opens(self.at, "{") {
            return None;
        }
        let close = self.tokens[self.at].partner;
        self.at += 1;
        let all = if self.script { self.statements_until(close)? } else { vec![self.expression(0)?] };
        self.closes(close)?;
        Some(self.node(start, Kind::Block(all)))
    }

    pub(super) fn statement(&mut self) -> Option<Node<'a>> {
        let start = self.start();
        let word = self.name(self.at).unwrap_or_default();
        let kind = match word {
            "if" => self.choice()?,
            "switch" => self.switch()?,
            "while" => {
                self.at += 1;
                let condition = self.expression(0)?;
                Kind::Loop(Some(Box::new(condition)), Box::new(self.block()?))
            }
            "loop" => {
                self.at += 1;
                Kind::Loop(None, Box::new(self.block()?))
            }
            "do" => {
                self.at += 1;
                let body = self.block()?;
                // `while` or `until`.
                self.at += 1;
                Kind::Loop(Some(Box::new(self.expression(0)?)), Box::new(body))
            }
            "for" => self.for_loop()?,
            "let" | "const" => {
                let name = self.name(self.at + 1)?;
                self.at += 2;
                let value = if self.takes_sign("=") { Some(Box::new(self.expression(0)?)) } else { None };
                Kind::Let(name, value)
            }
            "try" => self.attempt()?,
            "fn" => {
                self.at += 3;
                let params = self.names(")")?;
                Kind::Function(params, Box::new(self.block()?))
            }
            word if is_leave(word) => {
                self.at += 1;
                let ends = matches!(self.kind(self.at), None | Some(lex::Kind::Sign(";" | ",") | lex::Kind::Close(_)));
                let value = if ends { None } else { Some(Box::new(self.expression(0)?)) };
                Kind::Leave(word, value)
            }
            _ if self.opens(self.at, "{") => return self.block(),
            _ => return self.value_or_assignment(),
        };
        Some(self.node(start, kind))
    }

    fn value_or_assignment(&mut self) -> Option<Node<'a>> {
        let target = self.expression(0)?;
        let Some(sign @ ("=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**=")) = self.sign(self.at) else { return Some(target) };
        self.at += 1;
        let value = self.expression(0)?;
        let range = target.range.start..value.range.end;
        Some(Node { kind: Kind::Assign(sign, Box::new(target), Box::new(value)), range })
    }

    fn choice(&mut self) -> Option<Kind<'a>> {
        self.at += 1;
        let condition = self.expression(0)?;
        let then = self.block()?;
        let other = if self.takes_word("else") {
            let start = self.start();
            if self.name(self.at) == Some("if") {
                let inner = self.choice()?;
                Some(Box::new(self.node(start, inner)))
            } else {
                Some(Box::new(self.block()?))
            }
        } else {
            None
        };
        Some(Kind::If(Box::new(condition), Box::new(then), other))
    }

    fn switch(&mut self) -> Option<Kind<'a>> {
        self.at += 1;
        let subject = self.expression(0)?;
        if !self.opens(self.at, "{") {
            return None;
        }
        let close = self.tokens[self.at].partner;
        self.at += 1;
        let mut arms = Vec::new();
        while self.at < close {
            let any = self.name(self.at) == Some("_");
            // The values are literals; which one fits is not known here.
            while self.at < close && self.sign(self.at) != Some("=>") && self.name(self.at) != Some("if") {
                self.at = self.tokens[self.at].partner.max(self.at) + 1;
            }
            let guard = if self.takes_word("if") { Some(self.expression(0)?) } else { None };
            if !self.takes_sign("=>") {
                return None;
            }
            let body = if self.script { self.statement()? } else { self.expression(0)? };
            arms.push(Arm { guard, body, any });
            self.takes_sign(",");
        }
        self.closes(close)?;
        Some(Kind::Switch(Box::new(subject), arms))
    }

    /// `for x in list {`, `for (x, i) in list {`.
    fn for_loop(&mut self) -> Option<Kind<'a>> {
        self.at += 1;
        let names = if self.opens(self.at, "(") {
            self.at += 1;
            self.names(")")?
        } else {
            let name = self.name(self.at)?;
            self.at += 1;
            vec![name]
        };
        if !self.takes_word("in") {
            return None;
        }
        let list = self.expression(0)?;
        Some(Kind::For(names, Box::new(list), Box::new(self.block()?)))
    }

    fn attempt(&mut self) -> Option<Kind<'a>> {
        self.at += 1;
        let body = self.block()?;
        if !self.takes_word("catch") {
            return None;
        }
        let name = if self.opens(self.at, "(") {
            let name = self.name(self.at + 1)?;
            self.at += 3;
            Some(name)
        } else {
            None
        };
        Some(Kind::Try(Box::new(body), name, Box::new(self.block()?)))
    }
}
