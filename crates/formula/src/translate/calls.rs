//! Calls: which functions there are, and how many values they take.

use super::{Reader, names::refused};
use crate::{FunctionInfo, SyntaxProblem, functions, lex::Kind, limits, suggest};

impl Reader<'_> {
    /// `name(…)`.
    pub(super) fn call(&mut self, at: usize, name: &str, local: bool) -> Result<usize, SyntaxProblem> {
        if local {
            self.line(at, &format!("{name}.call"));
            return Ok(at + 1);
        }
        if self.functions.iter().any(|function| function == name) {
            self.line(at, name);
            return Ok(at + 1);
        }
        self.check_call(at, name, 0)?;
        self.note_now(name);
        self.line(at, &functions::rhai_name(name));
        Ok(at + 1)
    }

    /// Some functions look at the clock of the run.
    pub(super) fn note_now(&mut self, name: &str) {
        self.now |= matches!(name, "now" | "today");
    }

    /// Whether a function of this name takes what stands in the brackets behind it.
    pub(super) fn check_call(&self, at: usize, name: &str, given: usize) -> Result<(), SyntaxProblem> {
        let range = self.tokens[at].range.clone();
        let Some(function) = functions::find(name) else {
            let problem = SyntaxProblem::new(range, format!("there is no function `{name}`"));
            return Err(match refused(name) {
                Some(reason) => problem.with_hint(reason),
                None => match suggest::closest(name, functions::functions().iter().map(|function| function.name)) {
                    Some(name) => problem.with_hint(format!("Did you mean `{name}`?")),
                    None => problem.with_hint("The list of functions is in the language reference."),
                },
            });
        };
        let close = self.tokens[at + 1].partner;
        let count = given + self.arguments(at + 1, close);
        if function.arguments.contains(&count) {
            return self.check_literals(function, at + 1, given);
        }
        let takes = match (*function.arguments.start(), *function.arguments.end()) {
            (0, 0) => "nothing".to_owned(),
            (1, 1) => "one value".to_owned(),
            (from, to) if from == to => format!("{from} values"),
            (from, to) => format!("{from} to {to} values"),
        };
        Err(SyntaxProblem::new(
            range.start..self.tokens[close].range.end,
            format!("`{name}` takes {takes}, here it gets {count}"),
        )
        .with_hint(format!("It is used like this: {}", function.example)))
    }

    /// Rhai looks for a function in every mixture of known and unknown types, twice as many for each
    /// value; so how many values stand in brackets behind another value is bounded.
    pub(super) fn check_count(&self, open: usize, lookup: bool) -> Result<(), SyntaxProblem> {
        let close = self.tokens[open].partner;
        let range =
            self.tokens[open].range.start..self.tokens.get(close).map_or(self.tokens[open].range.end, |token| token.range.end);
        match (self.arguments(open, close), lookup) {
            (1, true) => Ok(()),
            (count, true) => {
                Err(SyntaxProblem::new(range, format!("one index or name belongs between these brackets, not {count}"))
                    .with_hint("An item of a list is list[0], a field of a record record[\"a name\"]."))
            }
            (count, false) if count > limits::ARGUMENTS_MAX => {
                Err(SyntaxProblem::new(range, format!("a call has at most {} values, here are {count}", limits::ARGUMENTS_MAX))
                    .with_hint("Give a list or a record instead: f([1, 2, 3])"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the values that are written as texts can be right.
    fn check_literals(&self, function: &FunctionInfo, open: usize, given: usize) -> Result<(), SyntaxProblem> {
        let close = self.tokens[open].partner;
        let (mut place, mut at) = (given, open + 1);
        while at < close {
            let token = &self.tokens[at];
            let alone = matches!(self.tokens[at - 1].kind, Kind::Sign(",") | Kind::Open(_))
                && (at + 1 == close || self.tokens[at + 1].kind == Kind::Sign(","));
            if let (Kind::Text(text), true) = (&token.kind, alone)
                && let Some(error) = functions::check_literal(function, place, text)
            {
                let problem = SyntaxProblem::new(token.range.clone(), error.message);
                return Err(SyntaxProblem { hint: error.hint, ..problem });
            }
            if token.kind == Kind::Sign("|") {
                // The names of a closure and the commas between them.
                at += 1;
                while at < close && self.tokens[at].kind != Kind::Sign("|") {
                    at += 1;
                }
            } else if token.kind == Kind::Sign(",") {
                place += 1;
            }
            at = self.tokens.get(at).map_or(close, |token| token.partner.max(at)) + 1;
        }
        Ok(())
    }

    /// How many values stand between these brackets.
    fn arguments(&self, open: usize, close: usize) -> usize {
        let mut count = 0;
        let mut at = open + 1;
        let mut fresh = true;
        while at < close {
            match &self.tokens[at].kind {
                Kind::Sign(",") => fresh = true,
                // The commas between the parameters of a closure separate no arguments.
                Kind::Sign("|") if fresh => {
                    count += 1;
                    fresh = false;
                    at += 1;
                    while at < close && self.tokens[at].kind != Kind::Sign("|") {
                        at += 1;
                    }
                }
                _ if fresh => {
                    count += 1;
                    fresh = false;
                }
                _ => {}
            }
            at = self.tokens.get(at).map_or(close, |token| token.partner.max(at)) + 1;
        }
        count
    }
}
