//! Queries whose answers come in pages.

use std::{collections::VecDeque, sync::Arc};

use super::{
    ids,
    org::Row,
    soql::{Bound, Look},
};

/// Cursors kept at the same time; the oldest dies.
pub(super) const CURSORS_MAX: usize = 2_000;
/// How long a cursor lives.
const LIFE_MS: i64 = 2 * 24 * 3_600 * 1_000;

/// A query's rows, as they were when it was asked.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub id: Arc<str>,
    pub bound: Arc<Bound>,
    pub rows: Arc<[Arc<Row>]>,
    pub look: Look,
    /// The session that asked; a rotated refresh token ends it.
    pub session: Arc<str>,
    pub born_ms: i64,
    pub size: usize,
}

/// The open cursors.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    count: u64,
    open: VecDeque<Cursor>,
}

impl Cursors {
    /// Keeps a query's rows; gives the cursor's id.
    pub(super) fn open(&mut self, mut cursor: Cursor) -> Arc<str> {
        self.count += 1;
        let id = ids::make("01g", self.count);
        cursor.id = id.clone();
        if self.open.len() >= CURSORS_MAX {
            self.open.pop_front();
        }
        self.open.push_back(cursor);
        id
    }

    /// A living cursor and the place a locator points to.
    pub(super) fn find(&self, locator: &str, now_ms: i64) -> Option<(Cursor, usize)> {
        let (id, place) = locator.rsplit_once('-')?;
        let cursor = self.open.iter().rev().find(|cursor| *cursor.id == *id || cursor.id[..15] == *id)?;
        (now_ms - cursor.born_ms < LIFE_MS).then(|| Some((cursor.clone(), place.parse().ok()?)))?
    }

    /// Ends the cursors of sessions that are over.
    pub(super) fn end(&mut self, session: &str) {
        self.open.retain(|cursor| *cursor.session != *session);
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}
