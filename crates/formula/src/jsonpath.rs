//! JSONPath as RFC 9535 has it: a text becomes [`Segment`]s, and those become places in the data.
//!
//! Ours, because a path comes from whoever writes recipes and the data from the internet, and both
//! need a bound: see `docs/decisions/0008-own-jsonpath.md`. Reading takes time in proportion to the
//! text; evaluating spends from [`Steps`].

mod compare;
mod eval;
mod pattern;
mod read;

pub(crate) use eval::{Steps, follow};
pub(crate) use read::read;

use serde_json::Value as Json;

use pattern::Pattern;

/// One part of a path.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// `..`: what it selects at every depth.
    pub(crate) descends: bool,
    pub(crate) selectors: Vec<Selector>,
}

/// What a segment selects of a list or record.
#[derive(Debug, Clone)]
pub(crate) enum Selector {
    Name(String),
    Index(i64),
    Any,
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Filter(Test),
}

/// What a filter asks of each item.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Any(Vec<Test>),
    All(Vec<Test>),
    Not(Box<Test>),
    Exists(Query),
    Compare(Operand, Comparison, Operand),
    Matches { text: Operand, pattern: Pattern },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One side of a comparison: a value, or nothing.
#[derive(Debug, Clone)]
pub(crate) enum Operand {
    Literal(Json),
    /// A path that can match once, or the argument of `value`.
    Only(Query),
    Length(Box<Operand>),
    Count(Query),
}

/// A path inside a filter.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// It begins with `$`, not with `@`.
    pub(crate) absolute: bool,
    pub(crate) segments: Vec<Segment>,
}

impl Segment {
    /// The name or index, if it can match once.
    pub(crate) fn single(&self) -> Option<crate::Segment> {
        match &self.selectors[..] {
            [Selector::Name(name)] if !self.descends => Some(crate::Segment::Key(name.clone())),
            [Selector::Index(index)] if !self.descends => Some(crate::Segment::Index(*index)),
            _ => None,
        }
    }
}

/// Shows every query that stands in the filters of these segments.
pub(crate) fn queries<'p>(segments: &'p [Segment], show: &mut impl FnMut(&'p Query)) {
    for selector in segments.iter().flat_map(|segment| &segment.selectors) {
        if let Selector::Filter(test) = selector {
            queries_of_test(test, show);
        }
    }
}

fn queries_of_test<'p>(test: &'p Test, show: &mut impl FnMut(&'p Query)) {
    match test {
        Test::Any(tests) | Test::All(tests) => tests.iter().for_each(|test| queries_of_test(test, show)),
        Test::Not(test) => queries_of_test(test, show),
        Test::Exists(query) => query_and_below(query, show),
        Test::Compare(left, _, right) => [left, right].into_iter().for_each(|side| queries_of(side, show)),
        Test::Matches { text, pattern } => {
            queries_of(text, show);
            if let Pattern::Found { pattern, .. } = pattern {
                queries_of(pattern, show);
            }
        }
    }
}

fn queries_of<'p>(operand: &'p Operand, show: &mut impl FnMut(&'p Query)) {
    match operand {
        Operand::Literal(_) => {}
        Operand::Only(query) | Operand::Count(query) => query_and_below(query, show),
        Operand::Length(inner) => queries_of(inner, show),
    }
}

fn query_and_below<'p>(query: &'p Query, show: &mut impl FnMut(&'p Query)) {
    show(query);
    queries(&query.segments, show);
}
