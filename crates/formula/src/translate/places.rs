//! Places in the data: what a name and the dots and brackets behind it lead to.

use super::{Reader, Slot};
use crate::{
    Reference, Segment, SyntaxProblem,
    lex::{Kind, Token},
    limits,
};

impl Reader<'_> {
    /// A name that is nothing local: a place in the data, as far as it can be told beforehand.
    pub(super) fn place(&mut self, at: usize, root: &str) -> Result<usize, SyntaxProblem> {
        if let Some(body) = self.bodies.iter().find(|body| body.contains(&at)) {
            return Err(SyntaxProblem::new(
                self.tokens[at].range.clone(),
                format!("a function sees only its parameters, not `{root}`"),
            )
            .with_hint(if body.len() > 1 {
                "Pass the value to the function, or use a closure: let f = |x| …;"
            } else {
                "Pass the value."
            }));
        }
        let (path, end) = self.chain(at + 1, false);
        let (full, full_end) = self.chain(at + 1, true);
        let range = self.tokens[at].range.start..self.tokens[full_end - 1].range.end;
        if let Some(Token { kind: Kind::Sign("=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**="), .. }) = self.tokens.get(full_end) {
            return Err(SyntaxProblem::new(range, format!("`{root}` can be read only"))
                .with_hint("Take a variable of your own: let total = …; or give a new record: merge(trigger, #{ … })"));
        }
        self.references.push(Reference { root: root.to_owned(), path: full, range });
        let slot = match self.slots.iter().position(|slot| slot.root == root && slot.path == path) {
            Some(slot) => slot,
            None => {
                if self.slots.len() >= limits::REFERENCES_MAX {
                    return Err(SyntaxProblem::new(
                        self.tokens[at].range.clone(),
                        format!("a formula reads at most {} different places", limits::REFERENCES_MAX),
                    ));
                }
                let range = self.tokens[at].range.start..self.tokens[end - 1].range.end;
                self.slots.push(Slot { name: format!("r{}__", self.slots.len()).into(), root: root.to_owned(), path, range });
                self.slots.len() - 1
            }
        };
        let name = self.slots[slot].name.to_string();
        let text = if self.lends_to_closure(end, None) { format!("copy__({name})") } else { name };
        self.lines.push(self.tokens[at].range.start..self.tokens[end - 1].range.end);
        self.out.push_str(&text);
        self.out.push('\n');
        Ok(end)
    }

    /// The fields and items that follow a name. With `beyond`, computed ones too.
    fn chain(&self, mut at: usize, beyond: bool) -> (Vec<Segment>, usize) {
        let mut path = Vec::new();
        while let Some(token) = self.tokens.get(at) {
            match &token.kind {
                Kind::Sign("." | "?.") => match self.tokens.get(at + 1) {
                    Some(Token { kind: Kind::Name(name), .. }) if !self.is_call(at + 1) => {
                        path.push(Segment::Key(name.clone()));
                        at += 2;
                    }
                    _ => break,
                },
                Kind::Open("[" | "?[") => {
                    let inner: Vec<_> = self.tokens[at + 1..token.partner].iter().map(|token| &token.kind).collect();
                    let segment = match inner[..] {
                        [Kind::Text(key)] => Some(Segment::Key(key.clone())),
                        [Kind::Number(digits)] => digits.parse().ok().map(Segment::Index),
                        [Kind::Sign("-"), Kind::Number(digits)] => format!("-{digits}").parse().ok().map(Segment::Index),
                        _ => None,
                    };
                    match segment {
                        Some(segment) => path.push(segment),
                        None if beyond => path.push(Segment::Any),
                        None => break,
                    }
                    at = token.partner + 1;
                }
                _ => break,
            }
        }
        (path, at)
    }
}
