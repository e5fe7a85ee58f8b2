//! The account's records, by family and internal id.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;
use serde_json::Value as Json;

use super::{
    refusal::Refusal,
    schema::{Family, Field, Kind, Type, family, find, types},
};

/// Records of one family.
pub(super) const RECORDS_MAX: usize = 500_000;
/// Rows of one sublist, as in the real system.
pub(super) const ROWS_MAX: usize = 10_000;
/// Deleted records remembered.
const DELETED_MAX: usize = 20_000;

/// Values in the order of a sublist's fields.
pub(super) type Row = Vec<Json>;

#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) kind: &'static Type,
    pub(super) id: u64,
    pub(super) external: Option<String>,
    /// In the order of the type's fields. References and choices are held as the id's text.
    pub(super) values: Vec<Json>,
    /// In the order of the type's sublists.
    pub(super) rows: Vec<Vec<Row>>,
    /// The last number given to a row.
    pub(super) last_row: u64,
}

impl Record {
    pub(super) fn new(kind: &'static Type) -> Self {
        Self {
            kind,
            id: 0,
            external: None,
            values: vec![Json::Null; kind.fields.len()],
            rows: vec![Vec::new(); kind.sublists.len()],
            last_row: 0,
        }
    }

    pub(super) fn get(&self, name: &str) -> &Json {
        self.kind.position(name).map_or(&Json::Null, |place| &self.values[place])
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> f64 {
        self.get(name).as_f64().unwrap_or_default()
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Json>) {
        if let Some(place) = self.kind.position(name) {
            self.values[place] = value.into();
        }
    }

    /// Rows of a sublist; none when the type has no such one.
    pub(super) fn sublist(&self, name: &str) -> &[Row] {
        self.kind.sublist(name).map_or(&[], |(place, _)| &self.rows[place])
    }

    /// The id other records refer to it by, if the reference is set.
    pub(super) fn reference(&self, name: &str) -> Option<u64> {
        self.get(name).as_str()?.parse().ok()
    }

    /// What people call it: `Invoice #INV-1001`, `C-0001 Amber Analytics`.
    pub(super) fn display(&self) -> String {
        let own = self.text(self.kind.display);
        if self.kind.is_transaction() {
            return format!("{} #{own}", self.kind.title);
        }
        own.to_owned()
    }
}

/// A value of a row by its field's name.
pub(super) fn cell<'a>(kind: &'static Type, sublist: &str, row: &'a Row, name: &str) -> &'a Json {
    kind.sublist(sublist).and_then(|(_, sublist)| sublist.position(name)).map_or(&Json::Null, |place| &row[place])
}

#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<u64, Record>,
    last: u64,
}

/// A record that is gone.
#[derive(Debug, Clone)]
pub(super) struct Deleted {
    pub(super) kind: &'static Type,
    pub(super) id: u64,
    pub(super) external: Option<String>,
    pub(super) name: String,
    pub(super) at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    tables: HashMap<Family, Table>,
    by_type: HashMap<&'static str, BTreeSet<u64>>,
    external: HashMap<(&'static str, String), u64>,
    pub(super) deleted: VecDeque<Deleted>,
    /// Counts changes.
    pub(super) version: u64,
    numbers: HashMap<&'static str, u64>,
}

impl Store {
    pub(super) fn get(&self, kind: &Type, id: u64) -> Option<&Record> {
        self.tables.get(&kind.family)?.rows.get(&id).filter(|record| record.kind.name == kind.name)
    }

    /// A record of a type or family.
    pub(super) fn any(&self, target: &str, id: u64) -> Option<&Record> {
        let record = self.tables.get(&family(target)?)?.rows.get(&id)?;
        (find(target).is_none_or(|kind| kind.name == record.kind.name)).then_some(record)
    }

    pub(super) fn by_external(&self, kind: &Type, external: &str) -> Option<u64> {
        self.external.get(&(kind.name, external.to_owned())).copied()
    }

    /// A record of a type or family by its external id.
    pub(super) fn any_external(&self, target: &str, external: &str) -> Option<u64> {
        let wanted = family(target)?;
        types()
            .iter()
            .filter(|kind| kind.family == wanted && find(target).is_none_or(|only| only.name == kind.name))
            .find_map(|kind| self.by_external(kind, external))
    }

    /// Ids of a type, in their order.
    pub(super) fn ids(&self, kind: &Type) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.by_type.get(kind.name).into_iter().flatten().copied()
    }

    pub(super) fn count(&self, kind: &Type) -> usize {
        self.by_type.get(kind.name).map_or(0, BTreeSet::len)
    }

    /// Records of a type, in the order of their ids.
    pub(super) fn all<'a>(&'a self, kind: &'a Type) -> impl Iterator<Item = &'a Record> + 'a {
        self.ids(kind).filter_map(|id| self.get(kind, id))
    }

    /// Records of a family with ids from `from` on.
    pub(super) fn family(&self, family: Family, from: u64) -> impl Iterator<Item = &Record> {
        self.tables.get(&family).into_iter().flat_map(move |table| table.rows.range(from..).map(|(_, record)| record))
    }

    pub(super) fn full(&self, kind: &Type) -> bool {
        self.tables.get(&kind.family).is_some_and(|table| table.rows.len() >= RECORDS_MAX)
    }

    /// Keeps a record, new when its id is 0. The external id must be free.
    pub(super) fn keep(&mut self, mut record: Record) -> u64 {
        self.version += 1;
        let table = self.tables.entry(record.kind.family).or_default();
        if record.id == 0 {
            table.last += 1;
            record.id = table.last;
        }
        let (id, kind) = (record.id, record.kind);
        if let Some(old) = table.rows.get(&id).and_then(|old| old.external.clone())
            && record.external.as_ref() != Some(&old)
        {
            self.external.remove(&(kind.name, old));
        }
        if let Some(external) = &record.external {
            self.external.insert((kind.name, external.clone()), id);
        }
        self.by_type.entry(kind.name).or_default().insert(id);
        table.rows.insert(id, record);
        id
    }

    /// Lets the next id of a family be this one at least.
    pub(super) fn count_from(&mut self, family: Family, next: u64) {
        let table = self.tables.entry(family).or_default();
        table.last = table.last.max(next - 1);
    }

    /// Changes a record where it is.
    pub(super) fn change<T>(&mut self, kind: &Type, id: u64, change: impl FnOnce(&mut Record) -> T) -> Option<T> {
        self.version += 1;
        let record = self.tables.get_mut(&kind.family)?.rows.get_mut(&id)?;
        Some(change(record))
    }

    pub(super) fn remove(&mut self, kind: &Type, id: u64, at: Timestamp) -> Option<Record> {
        let record = self.tables.get_mut(&kind.family)?.rows.remove(&id)?;
        self.version += 1;
        if let Some(ids) = self.by_type.get_mut(kind.name) {
            ids.remove(&id);
        }
        if let Some(external) = &record.external {
            self.external.remove(&(kind.name, external.clone()));
        }
        if self.deleted.len() >= DELETED_MAX {
            self.deleted.pop_front();
        }
        let (external, name) = (record.external.clone(), record.display());
        self.deleted.push_back(Deleted { kind: record.kind, id, external, name, at });
        Some(record)
    }

    /// The next number of a document or name of a type.
    pub(super) fn next_number(&mut self, kind: &'static Type, from: u64) -> u64 {
        let next = self.numbers.entry(kind.name).or_insert(from - 1);
        *next += 1;
        *next
    }

    /// What a field's reference is called.
    pub(super) fn name_of(&self, field: &Field, value: &Json) -> Option<String> {
        let id = value.as_str()?;
        match &field.kind {
            Kind::Ref(target) => Some(self.any(target, id.parse().ok()?)?.display()),
            Kind::Choice(choices) => choices.iter().find(|(known, _)| *known == id).map(|(_, name)| name.clone()),
            Kind::Status(statuses) => statuses.iter().find(|(known, _)| *known == id).map(|(_, name)| (*name).to_owned()),
            _ => None,
        }
    }

    /// Refuses an external id that another record has.
    pub(super) fn check_external(&self, kind: &Type, external: &str, own: u64) -> Result<(), Refusal> {
        match self.by_external(kind, external) {
            Some(other) if other != own => Err(Refusal::user(format!(
                "This record already exists. A {} with the external ID {external} already exists.",
                kind.title
            ))),
            _ => Ok(()),
        }
    }
}
