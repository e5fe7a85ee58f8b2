//! The org's records: rows by number, what finds them quickly, and a way back for calls that are all or nothing.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use super::{
    ids,
    schema::{Schema, place},
    value::Value,
};

/// Records an object may have.
pub(super) const ROWS_MAX: usize = 4_000_000;
/// Changes remembered: for deleted lists, events and change data capture.
pub(super) const CHANGES_MAX: usize = 200_000;

/// A record. Fields that were added after it was written are missing at its end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub serial: u64,
    pub values: Vec<Value>,
}

impl Row {
    pub(super) fn get(&self, place: usize) -> &Value {
        self.values.get(place).unwrap_or(&Value::Null)
    }

    pub(super) fn id(&self) -> &str {
        self.get(place::ID).text().unwrap_or_default()
    }

    pub(super) fn deleted(&self) -> bool {
        *self.get(place::DELETED) == Value::Bool(true)
    }

    pub(super) fn stamp_ms(&self) -> i64 {
        self.get(place::STAMP).moment_ms().unwrap_or_default()
    }
}

/// The records of one object.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The number of the first row.
    base: u64,
    rows: Vec<Option<Arc<Row>>>,
    /// Records that are there and not in the recycle bin.
    live: usize,
    by_stamp: BTreeSet<(i64, u64)>,
    /// Numbers of records by the value of an indexed field, letters made small unless they matter.
    keys: HashMap<usize, HashMap<Arc<str>, Vec<u64>>>,
    /// Counts auto numbers.
    pub counter: u64,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// A record by its number, also one in the recycle bin.
    pub(super) fn row(&self, serial: u64) -> Option<&Arc<Row>> {
        self.rows.get(usize::try_from(serial.checked_sub(self.base)?).ok()?)?.as_ref()
    }

    /// All records in the order of their ids, those in the recycle bin too.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Row>> {
        self.rows.iter().flatten()
    }

    /// All records from a number on, in the order of their ids, those in the recycle bin too.
    pub(super) fn from(&self, serial: u64) -> impl DoubleEndedIterator<Item = &Arc<Row>> {
        let place = usize::try_from(serial.saturating_sub(self.base)).unwrap_or(usize::MAX).min(self.rows.len());
        self.rows[place..].iter().flatten()
    }

    /// Numbers of records that were stamped in a span of milliseconds, oldest first.
    pub(super) fn stamped(&self, from_ms: i64, to_ms: i64) -> impl DoubleEndedIterator<Item = u64> {
        let (from, to) = ((from_ms, 0), (to_ms.max(from_ms), u64::MAX));
        self.by_stamp.range(from..=to).map(|(_, serial)| *serial)
    }

    /// Numbers of the records whose indexed field has a value.
    pub(super) fn with_key(&self, field: usize, key: &str) -> &[u64] {
        self.keys.get(&field).and_then(|keys| keys.get(key)).map_or(&[], Vec::as_slice)
    }

    fn put(&mut self, serial: u64, row: Option<Arc<Row>>) -> Option<Arc<Row>> {
        let at = usize::try_from(serial.saturating_sub(self.base)).unwrap_or(usize::MAX);
        if at == self.rows.len() {
            self.rows.push(row);
            None
        } else {
            std::mem::replace(self.rows.get_mut(at)?, row)
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Created,
    Updated,
    Deleted,
    Undeleted,
}

/// One change of one record.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub object: usize,
    pub happened: Happened,
    pub before: Option<Arc<Row>>,
    pub after: Arc<Row>,
    pub at_ms: i64,
    /// The user that made it.
    pub by: Arc<str>,
    /// The `client=` of the call, for change data capture.
    pub origin: Arc<str>,
}

/// The org's schema and records.
#[derive(Debug)]
pub(super) struct Org {
    pub schema: Schema,
    pub tables: Vec<Table>,
    pub id: Arc<str>,
    /// Deletions in their order: object, id, when.
    pub deletions: VecDeque<(usize, Arc<str>, i64)>,
    undo: Vec<(usize, u64, Option<Arc<Row>>)>,
    pending: Vec<Change>,
}

impl Org {
    /// An org without records; ids begin where the seed says.
    pub(super) fn new(seed: u64) -> Self {
        let mut org = Self {
            schema: Schema::standard(),
            tables: Vec::new(),
            id: ids::make("00D", 1 + seed % 1_000_000),
            deletions: VecDeque::new(),
            undo: Vec::new(),
            pending: Vec::new(),
        };
        org.grow(seed);
        org
    }

    /// Gives each object a table.
    pub(super) fn grow(&mut self, seed: u64) {
        while self.tables.len() < self.schema.objects.len() {
            let base = 1_000_000_000 + seed.wrapping_mul(7_919) % 1_000_000_000;
            self.tables.push(Table { base, ..Table::default() });
        }
    }

    /// The id a new record of an object gets.
    pub(super) fn next_serial(&self, object: usize) -> u64 {
        self.tables[object].base + self.tables[object].rows.len() as u64
    }

    pub(super) fn full(&self, object: usize) -> bool {
        self.tables[object].rows.len() >= ROWS_MAX
    }

    /// A record of an object by its id, also one in the recycle bin.
    pub(super) fn by_id(&self, object: usize, id: &str) -> Option<&Arc<Row>> {
        let (prefix, serial) = ids::read(id)?;
        (self.schema.objects[object].prefix == prefix).then(|| self.tables[object].row(serial))?
    }

    /// A record of any object by its id.
    pub(super) fn find(&self, id: &str) -> Option<(usize, &Arc<Row>)> {
        let (prefix, serial) = ids::read(id)?;
        let object = self.schema.by_prefix(&prefix)?;
        self.tables[object].row(serial).map(|row| (object, row))
    }

    /// How a value of a field is kept in the index.
    pub(super) fn key(&self, object: usize, field: usize, value: &Value) -> Option<Arc<str>> {
        let text = value.text()?;
        let exact = self.schema.objects[object].fields[field].case_sensitive || text.len() == 18 && ids::read(text).is_some();
        Some(if exact { text.into() } else { text.to_lowercase().into() })
    }

    /// Records whose indexed field has a value, without those in the recycle bin.
    pub(super) fn with_value(&self, object: usize, field: usize, value: &Value) -> Vec<Arc<Row>> {
        let Some(key) = self.key(object, field, value) else { return Vec::new() };
        let table = &self.tables[object];
        table.with_key(field, &key).iter().filter_map(|serial| table.row(*serial)).filter(|row| !row.deleted()).cloned().collect()
    }

    /// Writes a record as it shall be, or takes it away for good, and keeps the way back.
    pub(super) fn put(&mut self, object: usize, serial: u64, row: Option<Arc<Row>>) {
        let before = self.replace(object, serial, row);
        self.undo.push((object, serial, before));
    }

    /// Tells what was done, to be told on when the call is through.
    pub(super) fn changed(&mut self, change: Change) {
        if self.pending.len() < CHANGES_MAX {
            self.pending.push(change);
        }
    }

    /// A place to go back to.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.undo.len(), self.pending.len())
    }

    /// Takes back all that was done since a mark.
    pub(super) fn roll_back(&mut self, (undo, pending): (usize, usize)) {
        while self.undo.len() > undo {
            if let Some((object, serial, before)) = self.undo.pop() {
                self.replace(object, serial, before);
            }
        }
        self.pending.truncate(pending);
    }

    /// Makes all that was done final and gives it out.
    pub(super) fn settle(&mut self) -> Vec<Change> {
        self.undo.clear();
        for change in &self.pending {
            if change.happened == Happened::Deleted {
                self.deletions.push_back((change.object, change.after.id().into(), change.at_ms));
            }
        }
        while self.deletions.len() > CHANGES_MAX {
            self.deletions.pop_front();
        }
        std::mem::take(&mut self.pending)
    }

    fn replace(&mut self, object: usize, serial: u64, row: Option<Arc<Row>>) -> Option<Arc<Row>> {
        let before = self.tables[object].put(serial, row.clone());
        let fields: Vec<usize> = {
            let fields = &self.schema.objects[object].fields;
            (0..fields.len()).filter(|place| fields[*place].indexed()).collect()
        };
        for field in fields {
            let old = before.as_ref().and_then(|row| self.key(object, field, row.get(field)));
            let new = row.as_ref().and_then(|row| self.key(object, field, row.get(field)));
            if old == new {
                continue;
            }
            let keys = self.tables[object].keys.entry(field).or_default();
            if let Some(old) = old
                && let Some(held) = keys.get_mut(&old)
            {
                held.retain(|known| *known != serial);
                if held.is_empty() {
                    keys.remove(&old);
                }
            }
            if let Some(new) = new {
                keys.entry(new).or_default().push(serial);
            }
        }
        let table = &mut self.tables[object];
        if let Some(before) = &before {
            table.by_stamp.remove(&(before.stamp_ms(), serial));
            table.live -= usize::from(!before.deleted());
        }
        if let Some(row) = &row {
            table.by_stamp.insert((row.stamp_ms(), serial));
            table.live += usize::from(!row.deleted());
        }
        before
    }
}
