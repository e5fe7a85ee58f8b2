//! Names: words of the language, variables of scripts and closures, and what is written to.

use std::ops::Range;

use rhai::ImmutableString;

use super::Reader;
use crate::{
    Segment, SyntaxProblem,
    lex::{Kind, Token},
    limits,
};

/// Words of an expression.
pub(crate) const WORDS: [&str; 6] = ["if", "else", "switch", "in", "true", "false"];

/// Words of statements, for scripts only.
pub(crate) const STATEMENTS: [&str; 20] = [
    "let", "const", "for", "while", "loop", "do", "until", "fn", "return", "throw", "try", "catch", "break", "continue",
    "import", "export", "as", "this", "global", "private",
];

/// Functions that change the list or record they are called on.
const WRITERS: [&str; 5] = ["push", "pop", "insert", "remove", "clear"];

/// A place in the data that rhai sees as a variable.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) name: ImmutableString,
    pub(crate) root: String,
    pub(crate) path: Vec<Segment>,
    /// Where it is first read.
    pub(crate) range: Range<usize>,
}

/// A variable and the tokens that see it.
pub(super) struct Local {
    name: String,
    seen: Range<usize>,
}

/// The names of the functions a script declares; they may be called before they are declared.
pub(super) fn declared_functions(tokens: &[Token]) -> Vec<String> {
    tokens
        .windows(2)
        .filter_map(|pair| match (&pair[0].kind, &pair[1].kind) {
            (Kind::Name(word), Kind::Name(name)) if word == "fn" => Some(name.clone()),
            _ => None,
        })
        .collect()
}

/// Words people bring from other languages.
pub(super) fn foreign_word(name: &str, range: &Range<usize>, after_value: bool) -> Option<SyntaxProblem> {
    let hint = match name {
        "and" | "AND" if after_value => "Write && for and.",
        "or" | "OR" if after_value => "Write || for or.",
        "is" if after_value => "Compare with ==",
        "not" if after_value => "Write !in, or !(…)",
        _ if after_value => return Some(behind_a_value(range, &format!("`{name}`"))),
        _ => return None,
    };
    Some(SyntaxProblem::new(range.clone(), format!("`{name}` is no operator here")).with_hint(hint))
}

/// Two values with nothing between them.
pub(super) fn behind_a_value(range: &Range<usize>, what: &str) -> SyntaxProblem {
    SyntaxProblem::new(range.clone(), format!("{what} cannot stand here, right behind another"))
        .with_hint("An operator or a comma is missing before it.")
}

/// Why a well-known function does not exist here.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    Some(match name {
        "eval" | "Fn" | "exec" | "import" => "Formulas never run text as a formula.",
        "print" | "debug" | "log" => "Formulas have no output. To see a value in the run, put it into a `set` step.",
        "sleep" => "A run pauses with a `wait` step.",
        "rand" | "random" => "Formulas give the same for the same data, always.",
        "fetch" | "http" | "read" | "open" | "env" => "Formulas cannot reach anything outside of the run.",
        "size" | "length" => "Use len for texts and lists.",
        "string" | "str" | "toString" | "to_string" => "Use to_text.",
        "int" | "float" | "number" | "parse_int" | "to_int" | "to_float" => "Use to_number.",
        "toUpperCase" | "uppercase" | "to_upper" => "Use upper.",
        "toLowerCase" | "lowercase" | "to_lower" => "Use lower.",
        "coalesce" | "ifnull" => "Use a ?? b, or default(a, b).",
        "to_json" | "stringify" => "Use json.",
        _ => return None,
    })
}

impl Reader<'_> {
    /// A word that begins a statement.
    pub(super) fn statement(&mut self, at: usize, word: &str) -> Result<usize, SyntaxProblem> {
        let range = self.tokens[at].range.clone();
        match word {
            "import" | "export" | "this" | "global" | "private" | "as" => {
                return Err(SyntaxProblem::new(range, format!("`{word}` does not belong into a script")));
            }
            "let" | "const" => {
                if let Some(name) = self.name_at(at + 1) {
                    let from = self.statement_end(at + 1);
                    let to = self.open.last().map_or(self.tokens.len(), |open| self.tokens[*open].partner);
                    self.declare(at + 1, &name, from..to)?;
                    self.line(at, word);
                    self.line(at + 1, &name);
                    return Ok(at + 2);
                }
            }
            "for" => return self.for_loop(at),
            "catch" => {
                if self.is_call(at)
                    && let (Some(name), Some(body)) = (self.name_at(at + 2), self.tokens.get(at + 1).map(|open| open.partner + 1))
                {
                    let seen = body..self.tokens.get(body).map_or(body, |open| open.partner);
                    self.declare(at + 2, &name, seen)?;
                    self.line(at, "catch (");
                    self.line(at + 2, &name);
                    self.line(at + 1, ")");
                    return Ok(body);
                }
            }
            "fn" => {
                if self.is_call(at + 1)
                    && let (Some(name), Some(open)) = (self.name_at(at + 1), self.tokens.get(at + 2))
                {
                    let close = open.partner;
                    let body = close + 1..self.tokens.get(close + 1).map_or(close + 1, |open| open.partner);
                    self.line(at, "fn");
                    self.line(at + 1, &name);
                    self.parameters(at + 2, close, &body)?;
                    self.bodies.push(body);
                    return Ok(close + 1);
                }
            }
            _ => {}
        }
        self.line(at, word);
        Ok(at + 1)
    }

    /// `for x in list {`, `for (x, i) in list {`.
    fn for_loop(&mut self, at: usize) -> Result<usize, SyntaxProblem> {
        let mut head = at + 1;
        let pair = matches!(self.tokens.get(head).map(|token| &token.kind), Some(Kind::Open("(")));
        let end = if pair { self.tokens[head].partner + 1 } else { head + 1 };
        // The body is the first block behind `in`.
        let mut body = end;
        while let Some(token) = self.tokens.get(body) {
            if token.kind == Kind::Open("{") {
                break;
            }
            body = token.partner.max(body) + 1;
        }
        let seen = body..self.tokens.get(body).map_or(body, |open| open.partner);
        self.line(at, "for");
        while head < end.min(self.tokens.len()) {
            match self.name_at(head) {
                Some(name) => {
                    self.declare(head, &name, seen.clone())?;
                    self.line(head, &name);
                }
                None => {
                    if let Kind::Sign(sign) | Kind::Open(sign) | Kind::Close(sign) = self.tokens[head].kind {
                        self.line(head, sign);
                    }
                }
            }
            head += 1;
        }
        Ok(head)
    }

    /// `|a, b| body`, `|| body`.
    pub(super) fn closure(&mut self, at: usize, sign: &'static str) -> Result<usize, SyntaxProblem> {
        self.closures += 1;
        if self.closures > limits::FUNCTIONS_MAX {
            return Err(SyntaxProblem::new(
                self.tokens[at].range.clone(),
                format!("more than {} closures and functions", limits::FUNCTIONS_MAX),
            ));
        }
        let mut close = at;
        if sign == "|" {
            close = at + 1;
            while self.tokens.get(close).is_some_and(|token| token.kind != Kind::Sign("|")) {
                close += 1;
            }
            if close >= self.tokens.len() {
                return Err(SyntaxProblem::new(self.tokens[at].range.clone(), "this closure has no second `|`")
                    .with_hint("A closure looks like |item| item.price * 2"));
            }
        }
        let mut end = close + 1;
        while let Some(token) = self.tokens.get(end) {
            if matches!(token.kind, Kind::Sign("," | ";") | Kind::Close(_)) {
                break;
            }
            end = token.partner.max(end) + 1;
        }
        if sign == "||" {
            self.line(at, "||");
        } else {
            self.parameters(at, close, &(close..end))?;
        }
        Ok(close + 1)
    }

    fn parameters(&mut self, open: usize, close: usize, body: &Range<usize>) -> Result<(), SyntaxProblem> {
        for at in open..=close.min(self.tokens.len() - 1) {
            match &self.tokens[at].kind {
                Kind::Name(name) => {
                    self.declare(at, &name.clone(), body.clone())?;
                    self.line(at, &name.clone());
                }
                Kind::Sign(sign) | Kind::Open(sign) | Kind::Close(sign) => self.line(at, sign),
                Kind::Number(_) | Kind::Text(_) => {
                    return Err(SyntaxProblem::new(self.tokens[at].range.clone(), "here belongs the name of a parameter"));
                }
            }
        }
        Ok(())
    }

    fn declare(&mut self, at: usize, name: &str, seen: Range<usize>) -> Result<(), SyntaxProblem> {
        let range = self.tokens[at].range.clone();
        if !name.is_ascii() || name.ends_with("__") {
            return Err(SyntaxProblem::new(range, format!("`{name}` cannot be the name of a variable"))
                .with_hint("Variables have names of the letters a to z, digits and `_`."));
        }
        if super::WORDS.contains(&name) || STATEMENTS.contains(&name) || name == "null" {
            return Err(SyntaxProblem::new(range, format!("`{name}` is a word of the language and no name for a variable")));
        }
        if self.locals.len() >= limits::DECLARATIONS_MAX {
            let message = format!("more than {} variables and parameters", limits::DECLARATIONS_MAX);
            return Err(SyntaxProblem::new(range, message).with_hint("Split it into several `set` values."));
        }
        self.locals.push(Local { name: name.to_owned(), seen });
        Ok(())
    }

    pub(super) fn is_local(&self, at: usize, name: &str) -> bool {
        self.locals.iter().any(|local| local.seen.contains(&at) && local.name == name)
    }

    /// Leaves the dots and brackets to rhai where something is written: `m.a = 1`, `m.list.push(2)`.
    pub(super) fn mark_writes(&mut self, at: usize) -> bool {
        if !self.script {
            return false;
        }
        let mut links = Vec::new();
        let mut written = None;
        let mut next = at + 1;
        while let Some(token) = self.tokens.get(next) {
            match &token.kind {
                Kind::Sign("." | "?.") => {
                    if self.is_call(next + 1) {
                        if let Kind::Name(name) = &self.tokens[next + 1].kind
                            && WRITERS.contains(&name.as_str())
                        {
                            written = Some(links.len());
                        }
                        break;
                    }
                    links.push(next);
                    next += 2;
                }
                Kind::Open("[" | "?[") => {
                    links.push(next);
                    next = token.partner + 1;
                }
                Kind::Sign("=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**=") => {
                    written = Some(links.len());
                    break;
                }
                _ => break,
            }
        }
        for link in &links[..written.unwrap_or(0)] {
            self.native[*link] = true;
        }
        written.is_some()
    }

    /// Whether what ends before `at` is asked to do something with a closure, which may read it
    /// too. Rhai locks a value while one of its functions runs, so the closure needs a copy.
    pub(super) fn lends_to_closure(&self, at: usize, name: Option<&str>) -> bool {
        let mut end = at;
        while let Some(token) = self.tokens.get(end) {
            end = match token.kind {
                Kind::Sign("." | "?.") => end + 2,
                Kind::Open("(" | "[" | "?[") => token.partner + 1,
                _ => break,
            };
        }
        let chain = &self.tokens[at..end.min(self.tokens.len())];
        chain.iter().any(|token| matches!(token.kind, Kind::Sign("|" | "||")))
            && name.is_none_or(|name| chain.iter().any(|token| matches!(&token.kind, Kind::Name(other) if other == name)))
    }

    fn name_at(&self, at: usize) -> Option<String> {
        match self.tokens.get(at) {
            Some(Token { kind: Kind::Name(name), .. }) => Some(name.clone()),
            _ => None,
        }
    }

    /// The `;` that ends the statement, or the end of its block.
    pub(super) fn statement_end(&self, mut at: usize) -> usize {
        while let Some(token) = self.tokens.get(at) {
            if matches!(token.kind, Kind::Sign(";" | ",") | Kind::Close(_)) {
                break;
            }
            if token.kind == Kind::Sign("|") && !self.ends_value(at) {
                // The parameters of a closure.
                at += 1;
                while self.tokens.get(at).is_some_and(|token| token.kind != Kind::Sign("|")) {
                    at += 1;
                }
            }
            if at >= self.tokens.len() {
                break;
            }
            let token = &self.tokens[at];
            at = token.partner.max(at) + 1;
        }
        at
    }
}
