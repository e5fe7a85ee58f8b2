//! A formula as a tree, with the range of every piece.
//!
//! Rhai has accepted the formula before; its own tree knows only where operators stand, and hides
//! the bodies of closures. So this one recognises and never judges: whatever it does not know ends
//! the reading, and then nothing is said about the formula.

mod statements;

use std::ops::Range;

use crate::{
    lex::{self, Token},
    number::Number,
};
use statements::is_leave;

/// A piece of a formula.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) kind: Kind<'a>,
    /// Where it stands in the source, in bytes.
    pub(super) range: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Kind<'a> {
    Null,
    Boolean,
    Number {
        whole: bool,
    },
    Text(&'a str),
    /// A place in the data or a variable, which is told by where it stands.
    Name(&'a str, usize),
    List(Vec<Node<'a>>),
    Record(Vec<(&'a str, Node<'a>)>),
    Template(Vec<Node<'a>>),
    /// `-a`, `!a`.
    Unary(&'static str, Box<Node<'a>>),
    Binary(&'static str, Box<Node<'a>>, Box<Node<'a>>),
    /// A value and what is asked of it, one after the other.
    Chain(Box<Node<'a>>, Vec<Link<'a>>),
    Call(Call<'a>),
    Closure(Vec<&'a str>, Box<Node<'a>>),
    If(Box<Node<'a>>, Box<Node<'a>>, Option<Box<Node<'a>>>),
    Switch(Box<Node<'a>>, Vec<Arm<'a>>),
    Block(Vec<Node<'a>>),
    Let(&'a str, Option<Box<Node<'a>>>),
    Assign(&'static str, Box<Node<'a>>, Box<Node<'a>>),
    /// `while`, `loop`, `do`: what it asks, and what it repeats.
    Loop(Option<Box<Node<'a>>>, Box<Node<'a>>),
    For(Vec<&'a str>, Box<Node<'a>>, Box<Node<'a>>),
    /// `return`, `throw`, `break`, `continue`.
    Leave(&'a str, Option<Box<Node<'a>>>),
    Try(Box<Node<'a>>, Option<&'a str>, Box<Node<'a>>),
    Function(Vec<&'a str>, Box<Node<'a>>),
}

/// What is asked of a value.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) kind: LinkKind<'a>,
    /// `?.` before a call: null ends the chain.
    pub(super) spares_null: bool,
    /// Where the link ends.
    pub(super) end: usize,
}

#[derive(Debug)]
pub(super) enum LinkKind<'a> {
    Field(&'a str),
    At(Node<'a>),
    Call(Call<'a>),
}

/// A function or a method with its values, the one before the dot not among them.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) args: Vec<Node<'a>>,
}

/// A case of `switch`.
#[derive(Debug)]
pub(super) struct Arm<'a> {
    pub(super) guard: Option<Node<'a>>,
    pub(super) body: Node<'a>,
    /// Whether it is `_`.
    pub(super) any: bool,
}

/// Reads the tokens of a formula, or of a script.
pub(super) fn read(tokens: &[Token], script: bool) -> Option<Node<'_>> {
    let mut reader = Reader { tokens, at: 0, script };
    let node = if script { reader.statements()? } else { reader.expression(0)? };
    (reader.at == tokens.len()).then_some(node)
}

/// Where the reading is.
pub(super) struct Reader<'a> {
    pub(super) tokens: &'a [Token],
    pub(super) at: usize,
    pub(super) script: bool,
}

/// How tightly operators bind, as rhai has it.
fn strength(sign: &str) -> u8 {
    match sign {
        "||" | "|" | "^" => 30,
        "&&" | "&" => 60,
        "==" | "!=" => 90,
        "in" | "!in" => 110,
        "<" | "<=" | ">" | ">=" => 130,
        "??" => 135,
        ".." | "..=" => 140,
        "+" | "-" => 150,
        "*" | "/" | "%" => 180,
        "**" => 190,
        _ => 0,
    }
}

impl<'a> Reader<'a> {
    pub(super) fn kind(&self, at: usize) -> Option<&'a lex::Kind> {
        self.tokens.get(at).map(|token| &token.kind)
    }

    pub(super) fn name(&self, at: usize) -> Option<&'a str> {
        match self.kind(at)? {
            lex::Kind::Name(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn sign(&self, at: usize) -> Option<&'static str> {
        match self.kind(at)? {
            lex::Kind::Sign(sign) => Some(sign),
            _ => None,
        }
    }

    pub(super) fn opens(&self, at: usize, sign: &str) -> bool {
        matches!(self.kind(at), Some(lex::Kind::Open(open)) if *open == sign)
    }

    pub(super) fn takes_sign(&mut self, sign: &str) -> bool {
        let takes = self.sign(self.at) == Some(sign);
        self.at += usize::from(takes);
        takes
    }

    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let takes = self.name(self.at) == Some(word);
        self.at += usize::from(takes);
        takes
    }

    pub(super) fn start(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |token| token.range.start)
    }

    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.range.end)
    }

    pub(super) fn node(&self, start: usize, kind: Kind<'a>) -> Node<'a> {
        Node { kind, range: start..self.end().max(start) }
    }

    /// The operator that stands here, with the tokens it takes.
    fn operator(&self) -> Option<(&'static str, usize)> {
        match self.kind(self.at)? {
            lex::Kind::Name(name) if name == "in" => Some(("in", 1)),
            lex::Kind::Sign("!") if self.name(self.at + 1) == Some("in") => Some(("!in", 2)),
            lex::Kind::Sign(sign) => Some((sign, 1)),
            _ => None,
        }
    }

    pub(super) fn expression(&mut self, above: u8) -> Option<Node<'a>> {
        let mut left = self.unary()?;
        while let Some((sign, tokens)) = self.operator() {
            let strength = strength(sign);
            if strength <= above {
                break;
            }
            self.at += tokens;
            let right = match (sign, self.kind(self.at)) {
                ("??", Some(lex::Kind::Name(word))) if is_leave(word) => self.statement()?,
                (".." | "..=", None | Some(lex::Kind::Close(_) | lex::Kind::Sign("," | ";" | "=>"))) => {
                    self.node(self.end(), Kind::Null)
                }
                // To the right first, as powers are written.
                ("**", _) => self.expression(strength - 1)?,
                _ => self.expression(strength)?,
            };
            let range = left.range.start..right.range.end;
            left = Node { kind: Kind::Binary(sign, Box::new(left), Box::new(right)), range };
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Node<'a>> {
        let start = self.start();
        let Some(sign @ ("-" | "+" | "!")) = self.sign(self.at) else { return self.primary() };
        self.at += 1;
        let value = self.unary()?;
        Some(self.node(start, Kind::Unary(sign, Box::new(value))))
    }

    fn primary(&mut self) -> Option<Node<'a>> {
        let start = self.start();
        let token = self.tokens.get(self.at)?;
        let kind = match &token.kind {
            lex::Kind::Number(text) => {
                self.at += 1;
                let whole = Number::parse(text).is_some_and(|number| number.decimal().is_integer());
                // A number in hexadecimal is not read as one there.
                Kind::Number { whole: whole || text.starts_with("0x") || text.starts_with("0X") }
            }
            lex::Kind::Text(text) => {
                self.at += 1;
                Kind::Text(text)
            }
            lex::Kind::Open(lex::TEMPLATE) => self.template(token.partner)?,
            lex::Kind::Open("(") => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.closes(token.partner)?;
                // The brackets belong to the piece.
                inner.kind
            }
            lex::Kind::Open("[" | "?[") => {
                self.at += 1;
                Kind::List(self.values(token.partner)?)
            }
            lex::Kind::Open("#{") => self.record(token.partner)?,
            lex::Kind::Open("{") => return self.block(),
            lex::Kind::Sign("|" | "||") => self.closure()?,
            // A range without a beginning.
            lex::Kind::Sign(".." | "..=") => return Some(self.node(start, Kind::Number { whole: true })),
            lex::Kind::Name(name) => match name.as_str() {
                "null" | "true" | "false" => {
                    self.at += 1;
                    if name == "null" { Kind::Null } else { Kind::Boolean }
                }
                "if" | "switch" | "while" | "loop" | "do" | "for" => return self.statement(),
                name => {
                    self.at += 1;
                    if self.opens(self.at, "(") { Kind::Call(self.call(name)?) } else { Kind::Name(name, start) }
                }
            },
            _ => return None,
        };
        let head = self.node(start, kind);
        self.links(head)
    }

    /// The dots and brackets behind a value.
    fn links(&mut self, head: Node<'a>) -> Option<Node<'a>> {
        let mut links = Vec::new();
        loop {
            let (kind, spares_null) = match self.kind(self.at) {
                Some(lex::Kind::Sign(dot @ ("." | "?."))) => {
                    let name = self.name(self.at + 1)?;
                    self.at += 2;
                    if self.opens(self.at, "(") {
                        (LinkKind::Call(self.call(name)?), *dot == "?.")
                    } else {
                        (LinkKind::Field(name), false)
                    }
                }
                Some(lex::Kind::Open("[" | "?[")) => {
                    let partner = self.tokens[self.at].partner;
                    self.at += 1;
                    let key = self.expression(0)?;
                    self.closes(partner)?;
                    (LinkKind::At(key), false)
                }
                _ => break,
            };
            links.push(Link { kind, spares_null, end: self.end() });
        }
        if links.is_empty() {
            return Some(head);
        }
        let range = head.range.start..self.end();
        let kind = match head.kind {
            // To rhai, brackets around a chain do not end it: null goes past what follows them, too.
            Kind::Chain(head, mut earlier) => {
                earlier.append(&mut links);
                Kind::Chain(head, earlier)
            }
            kind => Kind::Chain(Box::new(Node { kind, range: head.range }), links),
        };
        Some(Node { kind, range })
    }

    fn call(&mut self, name: &'a str) -> Option<Call<'a>> {
        let close = self.tokens[self.at].partner;
        self.at += 1;
        Some(Call { name, args: self.values(close)? })
    }

    pub(super) fn closes(&mut self, close: usize) -> Option<()> {
        let closes = self.at == close;
        self.at += 1;
        closes.then_some(())
    }

    /// Values with commas between them, up to a bracket.
    fn values(&mut self, close: usize) -> Option<Vec<Node<'a>>> {
        let mut values = Vec::new();
        while self.at < close {
            values.push(self.expression(0)?);
            if self.at < close && !self.takes_sign(",") {
                return None;
            }
        }
        self.closes(close)?;
        Some(values)
    }

    fn record(&mut self, close: usize) -> Option<Kind<'a>> {
        let mut fields = Vec::new();
        self.at += 1;
        while self.at < close {
            let name = match self.kind(self.at)? {
                lex::Kind::Name(name) | lex::Kind::Text(name) => name.as_str(),
                _ => return None,
            };
            self.at += 1;
            if !self.takes_sign(":") {
                return None;
            }
            fields.push((name, self.expression(0)?));
            if self.at < close && !self.takes_sign(",") {
                return None;
            }
        }
        self.closes(close)?;
        Some(Kind::Record(fields))
    }

    fn template(&mut self, close: usize) -> Option<Kind<'a>> {
        let mut parts = Vec::new();
        self.at += 1;
        while self.at < close {
            let token = &self.tokens[self.at];
            let start = token.range.start;
            self.at += 1;
            match &token.kind {
                lex::Kind::Text(text) => parts.push(self.node(start, Kind::Text(text))),
                lex::Kind::Open(lex::PLACE) => {
                    parts.push(self.expression(0)?);
                    self.closes(token.partner)?;
                }
                _ => return None,
            }
        }
        self.closes(close)?;
        Some(Kind::Template(parts))
    }

    /// `|a, b| body`, `|| body`.
    fn closure(&mut self) -> Option<Kind<'a>> {
        let none = self.takes_sign("||");
        let params = if none {
            Vec::new()
        } else {
            self.at += 1;
            self.names("|")?
        };
        Some(Kind::Closure(params, Box::new(self.statement()?)))
    }

    /// Names with commas between them, up to a sign.
    pub(super) fn names(&mut self, end: &str) -> Option<Vec<&'a str>> {
        let mut names = Vec::new();
        loop {
            if matches!(self.kind(self.at)?, lex::Kind::Sign(sign) | lex::Kind::Close(sign) if *sign == end) {
                self.at += 1;
                return Some(names);
            }
            if !names.is_empty() && !self.takes_sign(",") {
                return None;
            }
            names.push(self.name(self.at)?);
            self.at += 1;
        }
    }
}
