//! A formula as we read it, into text as rhai reads it.
//!
//! Only this file and `machine.rs` know how the two differ:
//! - places in the data (`trigger.body.items[0]`) become variables, resolved before rhai runs;
//! - `.name` and `[x]` become calls that give null for what is missing, so any word may follow a
//!   dot, and rhai's reserved words do not matter;
//! - functions get a prefix, so only those of our own table can be called, and rhai's `eval`,
//!   `sleep`, `print` and `Fn` cannot even be named;
//! - `null`, single-quoted texts and template texts, which null never enters silently.
//!
//! Rhai gets one line per token, so its positions lead straight back to ours.

mod calls;
mod names;
mod places;

use std::{collections::HashSet, ops::Range};

use crate::{
    Reference, SyntaxProblem, functions,
    lex::{self, Kind, PLACE, TEMPLATE, Token},
    limits,
    number::Number,
};
use names::Local;
pub(crate) use names::{STATEMENTS, Slot, WORDS};

/// What rhai is to run, and how to read what it says.
#[derive(Debug)]
pub(crate) struct Translation {
    /// The text for rhai.
    pub(crate) text: String,
    /// The range in the source of each of its lines.
    pub(crate) lines: Vec<Range<usize>>,
    /// The variables it expects.
    pub(crate) slots: Vec<Slot>,
    pub(crate) references: Vec<Reference>,
    /// Field names in the order in which records of the source have them.
    pub(crate) order: Vec<String>,
    /// Whether it asks for the instant.
    pub(crate) now: bool,
    pub(crate) tokens: Vec<Token>,
}

/// Reads a formula, or a script of statements.
pub(crate) fn translate(source: &str, script: bool) -> Result<Translation, SyntaxProblem> {
    let tokens = lex::tokens(source)?;
    if tokens.is_empty() {
        return Err(
            SyntaxProblem::new(0..source.len(), "there is no formula here").with_hint("Write a value, such as trigger.id")
        );
    }
    let marks = vec![false; tokens.len()];
    let mut reader = Reader {
        tokens: &tokens,
        script,
        out: String::with_capacity(source.len() * 2),
        lines: Vec::with_capacity(tokens.len()),
        slots: Vec::new(),
        references: Vec::new(),
        order: Vec::new(),
        ordered: HashSet::new(),
        now: false,
        locals: Vec::new(),
        functions: Vec::new(),
        bodies: Vec::new(),
        open: Vec::new(),
        lookups: marks.clone(),
        native: marks,
        closures: 0,
        guards: Vec::new(),
    };
    reader.functions = names::declared_functions(&tokens);
    let mut at = 0;
    while at < tokens.len() {
        at = reader.token(at)?.max(at + 1);
    }
    reader.end_guards(tokens.len());
    let Reader { out, lines, slots, references, order, now, .. } = reader;
    Ok(Translation { text: out, lines, slots, references, order, now, tokens })
}

struct Reader<'a> {
    tokens: &'a [Token],
    script: bool,
    out: String,
    lines: Vec<Range<usize>>,
    slots: Vec<Slot>,
    references: Vec<Reference>,
    order: Vec<String>,
    ordered: HashSet<&'a str>,
    now: bool,
    locals: Vec<Local>,
    functions: Vec<String>,
    // Bodies of script functions, which see nothing but their parameters.
    bodies: Vec<Range<usize>>,
    open: Vec<usize>,
    // Brackets that became calls.
    lookups: Vec<bool>,
    // Dots and brackets that stay rhai's own, because something is written there.
    native: Vec<bool>,
    closures: usize,
    // Where assigned values end, whose depth is checked.
    guards: Vec<usize>,
}

impl Reader<'_> {
    /// Writes what the token at `at` means and says where to go on.
    fn token(&mut self, at: usize) -> Result<usize, SyntaxProblem> {
        self.end_guards(at);
        let token = &self.tokens[at];
        if matches!(token.kind, Kind::Number(_) | Kind::Text(_)) && self.ends_value(at) {
            return Err(names::behind_a_value(&token.range, "this value"));
        }
        match &token.kind {
            Kind::Name(name) => self.name(at, name),
            Kind::Number(text) => {
                let number = Number::parse(&plain_number(text)).ok_or_else(|| {
                    SyntaxProblem::new(
                        token.range.clone(),
                        format!("the number {text} has more digits than formulas can compute with"),
                    )
                })?;
                let mut text = number.to_string();
                if matches!(number, Number::Decimal(_)) && !text.contains('.') {
                    text.push_str(".0");
                }
                self.line(at, &text);
                Ok(at + 1)
            }
            Kind::Text(text) => {
                let text = quoted(text);
                if self.is_field_name(at) {
                    self.remember_field(at)?;
                }
                let in_template = self.open.last().is_some_and(|open| self.tokens[*open].kind == Kind::Open(TEMPLATE));
                self.line(at, if in_template { format!("{text},") } else { text }.as_str());
                Ok(at + 1)
            }
            Kind::Open(sign) => {
                if *sign == "{" && self.names_a_field(at + 1) {
                    return Err(
                        SyntaxProblem::new(token.range.clone(), "a record begins with `#{`").with_hint("Write #{ name: value }")
                    );
                }
                self.opening(at, sign)?;
                Ok(at + 1)
            }
            Kind::Close(sign) => {
                self.open.pop();
                let text = match &self.tokens[token.partner].kind {
                    Kind::Open(TEMPLATE) => "])",
                    Kind::Open(PLACE) => "),",
                    _ if self.lookups[token.partner] => ")",
                    _ => sign,
                };
                self.line(at, text);
                Ok(at + 1)
            }
            Kind::Sign(sign) => self.sign(at, sign),
        }
    }

    fn opening(&mut self, at: usize, sign: &'static str) -> Result<(), SyntaxProblem> {
        let behind_a_value = self.ends_value(at);
        let lookup = matches!(sign, "[" | "?[") && behind_a_value;
        if lookup || (sign == "(" && behind_a_value) {
            self.check_count(at, lookup)?;
        }
        self.open.push(at);
        let text = match sign {
            TEMPLATE => "text__([",
            PLACE => "(",
            "?[" if !lookup => "[",
            "[" | "?[" if lookup && !self.native[at] => {
                self.lookups[at] = true;
                ".at__("
            }
            sign => sign,
        };
        self.line(at, text);
        Ok(())
    }

    fn sign(&mut self, at: usize, sign: &'static str) -> Result<usize, SyntaxProblem> {
        let range = self.tokens[at].range.clone();
        match sign {
            "." | "?." => return self.dot(at, sign),
            "|" | "||" if !self.ends_value(at) => return self.closure(at, sign),
            "===" | "!==" => {
                return Err(SyntaxProblem::new(range, format!("`{sign}` means nothing in a formula"))
                    .with_hint(format!("Compare with {}", &sign[..2])));
            }
            "!" if self.ends_value(at)
                && matches!(self.tokens.get(at + 1), Some(Token { kind: Kind::Name(name), .. }) if name == "in") =>
            {
                self.line(at, "!in");
                return Ok(at + 2);
            }
            "::" => return Err(SyntaxProblem::new(range, "`::` means nothing in a formula")),
            "=" if self.script => {
                self.line(at, "=");
                self.guard(at + 1);
                return Ok(at + 1);
            }
            "=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**=" if !self.script => {
                let problem = SyntaxProblem::new(range, format!("`{sign}` changes something; a formula only reads"));
                return Err(match sign {
                    "=" => problem.with_hint("Compare with =="),
                    _ => problem.with_hint("Changing variables belongs into the block text of a `set` step."),
                });
            }
            _ => {}
        }
        self.line(at, sign);
        Ok(at + 1)
    }

    /// `.name`, `.name(…)`.
    fn dot(&mut self, at: usize, sign: &'static str) -> Result<usize, SyntaxProblem> {
        let Some(Token { kind: Kind::Name(name), range, .. }) = self.tokens.get(at + 1) else {
            let end = self.tokens.get(at + 1).map_or(self.tokens[at].range.end, |next| next.range.end);
            return Err(SyntaxProblem::new(self.tokens[at].range.start..end, "after the dot belongs a name")
                .with_hint("Any other name stands in brackets: x[\"a name\"], and items too: x[0]"));
        };
        if self.is_call(at + 1) {
            if name == "call" {
                self.line(at, &format!("{sign}call"));
            } else {
                self.check_call(at + 1, name, 1)?;
                self.note_now(name);
                self.line(at, &format!("{sign}{}", functions::rhai_name(name)));
            }
            return Ok(at + 2);
        }
        let name = quoted(name);
        let text = if self.native[at] { format!("[{name}]") } else { format!(".get__({name})") };
        self.lines.push(self.tokens[at].range.start..range.end);
        self.out.push_str(&text);
        self.out.push('\n');
        Ok(at + 2)
    }

    fn name(&mut self, at: usize, name: &str) -> Result<usize, SyntaxProblem> {
        let range = self.tokens[at].range.clone();
        if self.is_field_name(at) {
            self.remember_field(at)?;
            self.line(at, &quoted(name));
            return Ok(at + 1);
        }
        if name == "null" {
            self.line(at, "()");
            return Ok(at + 1);
        }
        if STATEMENTS.contains(&name) {
            if !self.script {
                return Err(SyntaxProblem::new(
                    range,
                    format!("`{name}` does not belong into a formula, which is one expression"),
                )
                .with_hint("Statements go into the block text of a `set` step."));
            }
            return self.statement(at, name);
        }
        if WORDS.contains(&name) || name == "_" {
            self.line(at, name);
            return Ok(at + 1);
        }
        if let Some(problem) = names::foreign_word(name, &range, self.ends_value(at)) {
            return Err(problem);
        }
        let local = self.is_local(at, name);
        if self.is_call(at) {
            return self.call(at, name, local);
        }
        if local {
            let writes = self.mark_writes(at);
            if !writes && self.lends_to_closure(at + 1, Some(name)) {
                self.line(at, &format!("copy__({name})"));
            } else {
                self.line(at, name);
            }
            return Ok(at + 1);
        }
        self.place(at, name)
    }

    /// Whether what ends before `at` is a value, so that `[`, `|` and `-` continue it.
    fn ends_value(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        match &self.tokens[before].kind {
            Kind::Number(_) | Kind::Text(_) => true,
            Kind::Name(name) => {
                let after_dot = before > 0 && matches!(self.tokens[before - 1].kind, Kind::Sign("." | "?."));
                after_dot
                    || matches!(name.as_str(), "null" | "true" | "false")
                    || !(WORDS.contains(&name.as_str()) || STATEMENTS.contains(&name.as_str()))
            }
            // A block is a statement; only records and texts go on behind their brace.
            Kind::Close("}") => matches!(self.tokens[self.tokens[before].partner].kind, Kind::Open("#{")),
            Kind::Close(_) => true,
            Kind::Sign(_) | Kind::Open(_) => false,
        }
    }

    /// Whether a bracket opens right behind the token at `at`.
    fn is_call(&self, at: usize) -> bool {
        matches!(self.tokens.get(at + 1), Some(Token { kind: Kind::Open("("), .. }))
    }

    fn names_a_field(&self, at: usize) -> bool {
        matches!(self.tokens.get(at), Some(Token { kind: Kind::Name(_) | Kind::Text(_), .. }))
            && matches!(self.tokens.get(at + 1), Some(Token { kind: Kind::Sign(":"), .. }))
    }

    fn is_field_name(&self, at: usize) -> bool {
        self.open.last().is_some_and(|open| self.tokens[*open].kind == Kind::Open("#{"))
            && self.names_a_field(at)
            && matches!(self.tokens[at - 1].kind, Kind::Open("#{") | Kind::Sign(","))
    }

    fn remember_field(&mut self, at: usize) -> Result<(), SyntaxProblem> {
        let token = &self.tokens[at];
        if let Kind::Name(name) | Kind::Text(name) = &token.kind
            && self.ordered.insert(name)
        {
            if self.order.len() >= limits::FIELD_NAMES_MAX {
                let message = format!("more than {} different fields", limits::FIELD_NAMES_MAX);
                return Err(SyntaxProblem::new(token.range.clone(), message).with_hint("Split it into several `set` values."));
            }
            self.order.push(name.clone());
        }
        Ok(())
    }

    /// What is assigned may go around in a loop and grow: rhai would follow a list nested ten
    /// thousand deep by recursion. So the depth of assigned values is bounded.
    fn guard(&mut self, from: usize) {
        let end = self.statement_end(from);
        if from < end {
            self.line(from, "shallow__(");
            self.guards.push(end);
        }
    }

    fn end_guards(&mut self, at: usize) {
        while self.guards.last().is_some_and(|end| *end <= at) {
            self.guards.pop();
            self.line(at.min(self.tokens.len() - 1), ")");
        }
    }

    fn line(&mut self, at: usize, text: &str) {
        self.lines.push(self.tokens[at].range.clone());
        self.out.push_str(text);
        self.out.push('\n');
    }
}

/// A text as rhai writes it, in ASCII.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

fn plain_number(text: &str) -> String {
    let text = text.replace('_', "");
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).map(|digits| u64::from_str_radix(digits, 16)) {
        Some(Ok(value)) => value.to_string(),
        _ => text,
    }
}
