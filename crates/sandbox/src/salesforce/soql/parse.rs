//! The grammar of SOQL.

use super::lex::{Kind, Token, malformed, tokens, trouble};
use crate::salesforce::errors::{Outcome, Trouble};

/// How deep conditions and lists of children may be nested.
const DEPTH_MAX: usize = 40;

/// A name with dots and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub text: String,
    pub at: usize,
}

/// A field, perhaps in a function.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub function: Option<String>,
    /// None for `COUNT()`.
    pub name: Option<Name>,
    pub at: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    Term(Term, Option<String>),
    Children(Box<Raw>),
    /// `FIELDS(ALL)` and its kin.
    Fields(String, usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A date or a moment as it was written.
    Day(String),
    /// `LAST_N_DAYS:7`
    Span(String, i64),
}

#[derive(Debug, Clone)]
pub(super) enum Cond {
    And(Vec<Cond>),
    Or(Vec<Cond>),
    Not(Box<Cond>),
    Compare(Term, &'static str, Literal, usize),
    Like(Term, String),
    In(Term, Vec<Literal>, bool, usize),
    InQuery(Term, Box<Raw>, bool),
    Includes(Term, Vec<String>, bool),
}

#[derive(Debug, Clone)]
pub(super) struct Order {
    pub term: Term,
    pub descending: bool,
    pub nulls_last: Option<bool>,
}

/// A query as it was written.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub items: Vec<Item>,
    pub from: Name,
    pub alias: Option<String>,
    pub filter: Option<Cond>,
    pub group: Vec<Term>,
    pub having: Option<Cond>,
    pub order: Vec<Order>,
    pub limit: Option<usize>,
    pub offset: Option<(usize, usize)>,
}

pub(super) fn query(text: &str) -> Outcome<Raw> {
    let mut reader = Reader { text, tokens: tokens(text)?, at: 0, depth: 0 };
    let raw = reader.query()?;
    if !matches!(reader.peek(), Kind::End) {
        return Err(reader.unexpected());
    }
    Ok(raw)
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

const CLAUSES: &[&str] = &[
    "from", "where", "group", "having", "order", "limit", "offset", "for", "with", "using", "and", "or", "update", "asc", "desc",
    "nulls",
];

impl Reader<'_> {
    fn peek(&self) -> &Kind {
        &self.tokens[self.at.min(self.tokens.len() - 1)].kind
    }

    fn place(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].at
    }

    fn next(&mut self) -> Kind {
        let kind = self.peek().clone();
        self.at += 1;
        kind
    }

    fn unexpected(&self) -> Trouble {
        let shown = match self.peek() {
            Kind::Word(word) => word.clone(),
            Kind::Text(text) => format!("'{text}'"),
            Kind::Literal(text) => text.clone(),
            Kind::Sign(sign) => (*sign).to_owned(),
            Kind::End => return malformed(self.text, self.place(), "unexpected end of query"),
        };
        malformed(self.text, self.place(), &format!("unexpected token: '{shown}'"))
    }

    fn is(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Word(known) if known.eq_ignore_ascii_case(word))
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    fn must(&mut self, word: &str) -> Outcome<()> {
        if self.eat(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn eat_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Kind::Sign(known) if *known == sign);
        self.at += usize::from(found);
        found
    }

    fn must_sign(&mut self, sign: &str) -> Outcome<()> {
        if self.eat_sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(malformed(self.text, self.place(), "query is nested too deeply"));
        }
        let out = read(self);
        self.depth -= 1;
        out
    }

    fn query(&mut self) -> Outcome<Raw> {
        self.must("SELECT")?;
        let mut items = vec![self.item()?];
        while self.eat_sign(",") {
            items.push(self.item()?);
        }
        self.must("FROM")?;
        let from = self.name()?;
        self.eat("AS");
        let alias = match self.peek() {
            Kind::Word(word) if !CLAUSES.contains(&word.to_lowercase().as_str()) => {
                let alias = word.clone();
                self.at += 1;
                Some(alias)
            }
            _ => None,
        };
        if self.eat("USING") {
            self.must("SCOPE")?;
            self.name()?;
        }
        let filter = if self.eat("WHERE") { Some(self.conditions()?) } else { None };
        if self.eat("WITH") {
            self.name()?;
        }
        let mut group = Vec::new();
        if self.eat("GROUP") {
            self.must("BY")?;
            group.push(self.term()?);
            while self.eat_sign(",") {
                group.push(self.term()?);
            }
        }
        let having = if self.eat("HAVING") { Some(self.conditions()?) } else { None };
        let order = self.order()?;
        let limit = if self.eat("LIMIT") { Some(self.count()?) } else { None };
        let place = self.place();
        let offset = if self.eat("OFFSET") { Some((self.count()?, place)) } else { None };
        while self.eat("FOR") {
            self.name()?;
        }
        Ok(Raw { items, from, alias, filter, group, having, order, limit, offset })
    }

    fn item(&mut self) -> Outcome<Item> {
        if self.eat_sign("(") {
            let raw = self.deeper(Self::query)?;
            self.must_sign(")")?;
            return Ok(Item::Children(Box::new(raw)));
        }
        let term = self.term()?;
        if term.function.as_deref() == Some("FIELDS") {
            let which = term.name.map(|name| name.text.to_uppercase()).unwrap_or_default();
            return Ok(Item::Fields(which, term.at));
        }
        let alias = match self.peek() {
            Kind::Word(word) if !CLAUSES.contains(&word.to_lowercase().as_str()) && !word.contains('.') => {
                let alias = word.clone();
                self.at += 1;
                Some(alias)
            }
            _ => None,
        };
        Ok(Item::Term(term, alias))
    }

    fn name(&mut self) -> Outcome<Name> {
        let at = self.place();
        match self.peek() {
            Kind::Word(word) if !word.ends_with('.') && !word.contains("..") => {
                let text = word.clone();
                self.at += 1;
                Ok(Name { text, at })
            }
            _ => Err(self.unexpected()),
        }
    }

    fn term(&mut self) -> Outcome<Term> {
        let name = self.name()?;
        let at = name.at;
        if !self.eat_sign("(") {
            if CLAUSES.contains(&name.text.to_lowercase().as_str()) {
                self.at -= 1;
                return Err(self.unexpected());
            }
            return Ok(Term { function: None, name: Some(name), at });
        }
        let inner = if matches!(self.peek(), Kind::Sign(")")) { None } else { Some(self.deeper(Self::term)?) };
        self.must_sign(")")?;
        Ok(Term { function: Some(name.text.to_uppercase()), name: inner.and_then(|term| term.name), at })
    }

    fn order(&mut self) -> Outcome<Vec<Order>> {
        let mut order = Vec::new();
        if !self.eat("ORDER") {
            return Ok(order);
        }
        self.must("BY")?;
        loop {
            let term = self.term()?;
            let descending = self.eat("DESC");
            if !descending {
                self.eat("ASC");
            }
            let nulls_last = if self.eat("NULLS") {
                let last = self.eat("LAST");
                if !last {
                    self.must("FIRST")?;
                }
                Some(last)
            } else {
                None
            };
            order.push(Order { term, descending, nulls_last });
            if !self.eat_sign(",") {
                return Ok(order);
            }
        }
    }

    fn count(&mut self) -> Outcome<usize> {
        match self.peek() {
            Kind::Literal(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                let count = text.parse().unwrap_or(usize::MAX);
                self.at += 1;
                Ok(count)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Conditions with AND or with OR between them; both need parentheses.
    fn conditions(&mut self) -> Outcome<Cond> {
        let first = self.condition()?;
        let word = if self.is("AND") { "AND" } else { "OR" };
        let mut all = vec![first];
        while self.eat(word) {
            all.push(self.condition()?);
        }
        if self.is("AND") || self.is("OR") {
            return Err(self.unexpected());
        }
        Ok(match (all.len(), word) {
            (1, _) => all.remove(0),
            (_, "AND") => Cond::And(all),
            _ => Cond::Or(all),
        })
    }

    fn condition(&mut self) -> Outcome<Cond> {
        if self.eat("NOT") {
            return Ok(Cond::Not(Box::new(self.deeper(Self::condition)?)));
        }
        if self.eat_sign("(") {
            let inner = self.deeper(Self::conditions)?;
            self.must_sign(")")?;
            return Ok(inner);
        }
        let term = self.term()?;
        let at = self.place();
        if let Kind::Sign(sign @ ("=" | "!=" | "<" | "<=" | ">" | ">=")) = *self.peek() {
            self.at += 1;
            return Ok(Cond::Compare(term, sign, self.literal()?, at));
        }
        if self.eat("LIKE") {
            return match self.next() {
                Kind::Text(pattern) => Ok(Cond::Like(term, pattern)),
                _ => {
                    self.at -= 1;
                    Err(self.unexpected())
                }
            };
        }
        let not = self.eat("NOT");
        if self.eat("IN") {
            return self.in_list(term, not, at);
        }
        if !not && (self.is("INCLUDES") || self.is("EXCLUDES")) {
            let excludes = self.is("EXCLUDES");
            self.at += 1;
            let values = self.list()?.into_iter().filter_map(|value| match value {
                Literal::Text(text) => Some(text),
                _ => None,
            });
            return Ok(Cond::Includes(term, values.collect(), excludes));
        }
        Err(self.unexpected())
    }

    fn in_list(&mut self, term: Term, not: bool, at: usize) -> Outcome<Cond> {
        let begin = self.at;
        if self.eat_sign("(") && self.is("SELECT") {
            let raw = self.deeper(Self::query)?;
            self.must_sign(")")?;
            return Ok(Cond::InQuery(term, Box::new(raw), not));
        }
        self.at = begin;
        Ok(Cond::In(term, self.list()?, not, at))
    }

    fn list(&mut self) -> Outcome<Vec<Literal>> {
        self.must_sign("(")?;
        let mut values = vec![self.literal()?];
        while self.eat_sign(",") {
            values.push(self.literal()?);
        }
        self.must_sign(")")?;
        Ok(values)
    }

    fn literal(&mut self) -> Outcome<Literal> {
        let at = self.place();
        let value = match self.peek().clone() {
            Kind::Text(text) => Literal::Text(text),
            Kind::Literal(text) => written(&text).ok_or_else(|| self.unexpected())?,
            Kind::Word(word) => match word.to_uppercase().as_str() {
                "NULL" => Literal::Null,
                "TRUE" => Literal::Bool(true),
                "FALSE" => Literal::Bool(false),
                span if super::dates::known(span) => {
                    self.at += 1;
                    let n = if super::dates::counted(span) {
                        self.must_sign(":")?;
                        i64::try_from(self.count()?).unwrap_or(i64::MAX).min(100_000)
                    } else {
                        0
                    };
                    return Ok(Literal::Span(span.to_owned(), n));
                }
                _ => {
                    return Err(trouble(
                        self.text,
                        at,
                        "MALFORMED_QUERY",
                        &format!("Bind variables only allowed in Apex code: {word}"),
                    ));
                }
            },
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(value)
    }
}

/// A number or a date; an ISO code before a number is an amount of that currency.
fn written(text: &str) -> Option<Literal> {
    let is_date = text.len() >= 10 && text.as_bytes()[4] == b'-';
    if is_date || text.contains(':') {
        return Some(Literal::Day(text.to_owned()));
    }
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(Literal::Number)
}
