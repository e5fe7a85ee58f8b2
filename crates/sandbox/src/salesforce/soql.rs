//! SOQL: read, bound to the org's schema, run over its records.

mod bind;
mod compare;
mod dates;
mod filter;
mod lex;
mod parse;
mod run;
mod show;

use std::sync::Arc;

use super::{errors::Outcome, org::Org, org::Row};

pub(super) use self::{
    bind::{Bound, Column},
    run::Found,
    show::{Show, attributes, cells, headings, record},
};

/// Longest query, in characters.
pub(super) const TEXT_MAX: usize = 100_000;
/// Rows that can be skipped.
pub(super) const OFFSET_MAX: usize = 2_000;
/// Rows of each parent's list of children that come at once.
pub(super) const CHILDREN_MAX: usize = 2_000;

/// When and how a query looks.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// Milliseconds since 1970, for `TODAY` and the like.
    pub now_ms: i64,
    /// True when rows in the recycle bin are seen.
    pub deleted: bool,
    /// Rows stamped later than this are not seen yet: a long transaction's rows come late.
    pub seen_until_ms: i64,
}

impl Look {
    fn sees(&self, row: &Row) -> bool {
        (self.deleted || !row.deleted()) && row.stamp_ms() <= self.seen_until_ms
    }
}

/// A query out of its text.
///
/// # Errors
/// `MALFORMED_QUERY`, `INVALID_FIELD`, `INVALID_TYPE` as the API tells them.
pub(super) fn prepare(org: &Org, text: &str) -> Outcome<Arc<Bound>> {
    if text.chars().count() > TEXT_MAX {
        return Err(super::errors::Trouble::bad(
            "QUERY_TOO_COMPLICATED",
            "SOQL statements cannot be longer than 100000 characters.",
        ));
    }
    let raw = parse::query(text)?;
    bind::bind(&org.schema, text, &raw).map(Arc::new)
}

/// True when a record meets the condition of a query.
pub(super) fn meets(org: &Org, bound: &Bound, row: &Row, look: &Look) -> bool {
    bound.filter.as_ref().is_none_or(|cond| {
        let check = filter::Check::new(org, cond, look);
        check.is_ok_and(|check| check.holds(org, &filter::Subject::Row(row)))
    })
}

/// The rows a query finds.
pub(super) fn run(org: &Org, bound: &Bound, look: &Look) -> Outcome<Found> {
    run::run(org, bound, look)
}
