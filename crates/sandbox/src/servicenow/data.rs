//! The records of an instance.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};

use super::schema::Schema;

/// Records one table holds.
pub(super) const RECORDS_MAX: usize = 200_000;
/// Bytes all attachments have together.
pub(super) const FILES_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One record: its class and the fields that are not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) class: String,
    pub(super) values: BTreeMap<String, String>,
}

impl Record {
    pub(super) fn new(class: &str) -> Self {
        Self { class: class.to_owned(), values: BTreeMap::new() }
    }

    /// A field's value; empty when it has none.
    pub(super) fn get(&self, field: &str) -> &str {
        self.values.get(field).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn set(&mut self, field: &str, value: impl Into<String>) {
        let value = value.into();
        if value.is_empty() {
            self.values.remove(field);
        } else {
            self.values.insert(field.to_owned(), value);
        }
    }

    pub(super) fn with(mut self, field: &str, value: impl Into<String>) -> Self {
        self.set(field, value);
        self
    }

    pub(super) fn id(&self) -> &str {
        self.get("sys_id")
    }
}

/// Records by class and `sys_id`, the tables they fit, and what was counted.
#[derive(Default)]
pub(super) struct Data {
    pub(super) schema: Arc<Schema>,
    tables: HashMap<String, BTreeMap<String, Arc<Record>>>,
    /// Value and label of each choice by `table.field`.
    choices: HashMap<String, Vec<(String, String)>>,
    counters: HashMap<String, u64>,
    /// Journal entries of each record, oldest first.
    pub(super) journals: HashMap<String, Vec<String>>,
    files: HashMap<String, Bytes>,
    files_bytes: usize,
}

impl Data {
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema: Arc::new(schema), ..Self::default() }
    }

    /// A record of a table or of one that extends it.
    pub(super) fn find(&self, table: &str, id: &str) -> Option<&Arc<Record>> {
        self.schema.family(table).iter().find_map(|class| self.tables.get(class)?.get(id))
    }

    /// Every record of a table and of those that extend it, by class and `sys_id`.
    pub(super) fn all(&self, table: &str) -> impl Iterator<Item = &Arc<Record>> {
        self.schema.family(table).iter().filter_map(|class| self.tables.get(class)).flat_map(BTreeMap::values)
    }

    /// How many records a class has itself.
    pub(super) fn count(&self, class: &str) -> usize {
        self.tables.get(class).map_or(0, BTreeMap::len)
    }

    /// The first record whose field has the value.
    pub(super) fn first(&self, table: &str, field: &str, value: &str) -> Option<&Arc<Record>> {
        self.all(table).find(|record| record.get(field) == value)
    }

    /// Puts a record in its class. False when the class is full.
    pub(super) fn put(&mut self, record: Record) -> bool {
        let (class, id) = (record.class.clone(), record.id().to_owned());
        let rows = self.tables.entry(class.clone()).or_default();
        if rows.len() >= RECORDS_MAX && !rows.contains_key(&id) {
            return false;
        }
        rows.insert(id, Arc::new(record));
        if class == "sys_choice" {
            self.read_choices();
        }
        true
    }

    pub(super) fn remove(&mut self, class: &str, id: &str) -> Option<Arc<Record>> {
        let gone = self.tables.get_mut(class)?.remove(id);
        if class == "sys_choice" {
            self.read_choices();
        }
        gone
    }

    /// Puts many records at once; their classes have room.
    pub(super) fn fill(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.tables.entry(record.class.clone()).or_default().insert(record.id().to_owned(), Arc::new(record));
        }
        self.read_choices();
    }

    fn read_choices(&mut self) {
        let mut rows: Vec<&Arc<Record>> = self
            .tables
            .get("sys_choice")
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|row| row.get("inactive") != "true")
            .collect();
        rows.sort_by_key(|row| row.get("sequence").parse::<i64>().unwrap_or_default());
        let mut choices: HashMap<String, Vec<(String, String)>> = HashMap::new();
        for row in rows {
            let key = format!("{}.{}", row.get("name"), row.get("element"));
            choices.entry(key).or_default().push((row.get("value").to_owned(), row.get("label").to_owned()));
        }
        self.choices = choices;
    }

    /// Values and labels to pick from, those of the nearest table that has some.
    pub(super) fn choices(&self, table: &str, field: &str) -> &[(String, String)] {
        if !self.choices.is_empty() {
            for table in self.schema.chain(table) {
                if let Some(choices) = self.choices.get(&format!("{}.{field}", table.name)) {
                    return choices;
                }
            }
        }
        &[]
    }

    /// The next number of a table, such as `INC0010001`; nothing when it has none.
    pub(super) fn next_number(&mut self, table: &str) -> Option<String> {
        let prefix = self.schema.chain(table).find(|table| !table.prefix.is_empty())?.prefix.clone();
        let counter = self.counters.entry(prefix.clone()).or_insert(10_000);
        *counter += 1;
        Some(format!("{prefix}{counter:07}"))
    }

    pub(super) fn file(&self, id: &str) -> Option<&Bytes> {
        self.files.get(id)
    }

    /// Keeps a file. False when there is no room for it.
    pub(super) fn put_file(&mut self, id: &str, bytes: Bytes) -> bool {
        if self.files_bytes + bytes.len() > FILES_BYTES_MAX {
            return false;
        }
        self.files_bytes += bytes.len();
        self.files.insert(id.to_owned(), bytes);
        true
    }

    pub(super) fn remove_file(&mut self, id: &str) {
        if let Some(bytes) = self.files.remove(id) {
            self.files_bytes -= bytes.len();
        }
    }

    /// A value at the end of a dot-walk and the record that holds it.
    pub(super) fn walk<'a, 'p>(&'a self, record: &'a Record, path: &'p str) -> Option<(&'a Record, &'p str)> {
        let mut record = record;
        let mut rest = path;
        while let Some((step, tail)) = rest.split_once('.') {
            let target = &self.schema.field(&record.class, step)?.target;
            record = self.find(target, record.get(step))?;
            rest = tail;
        }
        Some((record, rest))
    }

    /// What stands for a record of a table: its display value, nothing when it is gone.
    pub(super) fn name_of(&self, table: &str, id: &str) -> &str {
        self.find(table, id).map(|record| record.get(self.schema.display(&record.class))).unwrap_or_default()
    }
}

/// Whom a call is made for, and how they see dates.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) user_name: String,
    pub(super) roles: Vec<String>,
    pub(super) zone: TimeZone,
    /// `yyyy-MM-dd` unless they chose another.
    pub(super) date_format: String,
}

impl Person {
    pub(super) fn of(user: &Record) -> Self {
        let zone = TimeZone::get(user.get("time_zone")).unwrap_or(TimeZone::UTC);
        let date_format = match user.get("date_format") {
            "dd-MM-yyyy" => "%d-%m-%Y",
            "dd/MM/yyyy" => "%d/%m/%Y",
            "dd.MM.yyyy" => "%d.%m.%Y",
            "MM-dd-yyyy" => "%m-%d-%Y",
            "MM/dd/yyyy" => "%m/%d/%Y",
            _ => "%Y-%m-%d",
        };
        Self {
            id: user.id().to_owned(),
            user_name: user.get("user_name").to_owned(),
            roles: user.get("roles").split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect(),
            zone,
            date_format: date_format.to_owned(),
        }
    }

    pub(super) fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role || own == "admin")
    }
}

/// An instant as the instance writes it: UTC, whole seconds.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Reads what [`stamp`] writes.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}
