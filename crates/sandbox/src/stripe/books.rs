//! The records of one account in one mode.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::{Map, Value as Json, json};

use super::{
    api::API,
    error::{Refused, Result},
    ids::prefix,
    settings::Settings,
};
use crate::Random;

/// Records of one kind; events and requests beyond it push the oldest out, others are refused.
pub(super) const ROWS_MAX: usize = 100_000;
/// Events kept.
pub(super) const EVENTS_MAX: usize = 20_000;
/// Things that wait for their time.
pub(super) const DUE_MAX: usize = 200_000;
/// Letters of an id.
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// One object.
pub(super) type Row = Map<String, Json>;

/// Objects of one kind, in the order they came.
#[derive(Default)]
pub(super) struct Table {
    rows: HashMap<String, (u64, Row)>,
    order: BTreeMap<u64, String>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Row> {
        self.rows.get(id).map(|(_, row)| row)
    }

    /// Newest first, all that came before the one with that id.
    pub(super) fn older<'a>(&'a self, than: Option<&str>) -> impl Iterator<Item = &'a Row> + use<'a> {
        let end = than.and_then(|id| self.rows.get(id)).map_or(u64::MAX, |(place, _)| *place);
        self.order.range(..end).rev().filter_map(|(_, id)| self.get(id))
    }

    /// Oldest first, all that came after the one with that id.
    pub(super) fn newer<'a>(&'a self, than: &str) -> impl Iterator<Item = &'a Row> + use<'a> {
        let from = self.rows.get(than).map_or(u64::MAX, |(place, _)| *place + 1);
        self.order.range(from..).filter_map(|(_, id)| self.get(id))
    }

    /// Oldest first.
    pub(super) fn oldest(&self) -> impl Iterator<Item = &Row> {
        self.order.values().filter_map(|id| self.get(id))
    }

    fn remove(&mut self, id: &str) -> Option<Row> {
        let (place, row) = self.rows.remove(id)?;
        self.order.remove(&place);
        Some(row)
    }
}

/// What happens by itself when its time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// A subscription's period or trial ends.
    Renew(String),
    /// Three days before a trial ends.
    TrialWillEnd(String),
    /// A draft invoice is finalized.
    Finalize(String),
    /// An open invoice is tried again.
    Collect(String),
    /// An invoice to be paid by hand is late.
    Overdue(String),
    /// A first payment did not come in time.
    Incomplete(String),
    /// A subscription ends at a time that was asked for.
    CancelAt(String),
    /// Money becomes available.
    Settle(String),
    /// A payout arrives.
    Arrive(String),
    /// An authorization ends.
    Release(String),
    /// A checkout session ends.
    ExpireSession(String),
}

/// The records of one account in one mode.
pub(super) struct Books {
    pub(super) account: String,
    pub(super) live: bool,
    /// Seconds since 1970; of the test clock while it speaks of something on one.
    pub(super) now: i64,
    pub(super) tables: HashMap<&'static str, Table>,
    pub(super) settings: Settings,
    /// By test clock (empty: the world's), time and number.
    pub(super) due: BTreeMap<(String, i64, u64), Due>,
    /// Deleted objects that still answer.
    pub(super) gone: HashMap<String, Json>,
    /// Ids of events that are to be delivered.
    pub(super) told: Vec<String>,
    /// The request that does this: its id and idempotency key.
    pub(super) request: Option<(String, Option<String>)>,
    /// The payout a balance transaction went out with.
    pub(super) paid_out: HashMap<String, String>,
    /// Available and pending money by currency.
    pub(super) money: BTreeMap<String, (i64, i64)>,
    /// Meter events by identifier.
    pub(super) meter_identifiers: std::collections::HashSet<String>,
    pub(super) invoice_count: u64,
    /// The bytes of uploaded files.
    pub(super) files: HashMap<String, bytes::Bytes>,
    random: Arc<Random>,
    count: u64,
}

impl Books {
    pub(super) fn new(account: &str, live: bool, random: Arc<Random>, settings: Settings) -> Self {
        Self {
            account: account.to_owned(),
            live,
            now: 0,
            tables: HashMap::new(),
            settings,
            due: BTreeMap::new(),
            gone: HashMap::new(),
            told: Vec::new(),
            request: None,
            paid_out: HashMap::new(),
            money: BTreeMap::new(),
            meter_identifiers: std::collections::HashSet::new(),
            invoice_count: 0,
            files: HashMap::new(),
            random,
            count: 0,
        }
    }

    pub(super) fn text(&self, length: usize) -> String {
        self.random.text(BASE62, length)
    }

    /// A new id for a kind.
    pub(super) fn id(&self, kind: &str) -> String {
        let (prefix, length) = prefix(kind);
        if length >= 24 { format!("{prefix}_1{}", self.text(length - 1)) } else { format!("{prefix}_{}", self.text(length)) }
    }

    /// An object of that kind of which nothing is known yet but its id and time.
    pub(super) fn blank(&self, kind: &'static str) -> Row {
        let mut row = API.kind(kind).map(|kind| kind.blank.clone()).unwrap_or_default();
        row.insert("id".into(), json!(self.id(kind)));
        for (name, value) in [("created", json!(self.now)), ("livemode", json!(self.live))] {
            if row.contains_key(name) {
                row.insert(name.into(), value);
            }
        }
        row
    }

    pub(super) fn table(&self, kind: &str) -> Option<&Table> {
        self.tables.get(kind)
    }

    pub(super) fn get(&self, kind: &str, id: &str) -> Option<&Row> {
        self.tables.get(kind)?.get(id)
    }

    pub(super) fn row_mut(&mut self, kind: &str, id: &str) -> Option<&mut Row> {
        self.tables.get_mut(kind)?.rows.get_mut(id).map(|(_, row)| row)
    }

    /// The object a parameter names.
    pub(super) fn need(&self, kind: &'static str, id: &str, param: &str) -> Result<&Row> {
        self.get(kind, id).ok_or_else(|| {
            let refused = Refused::missing(word(kind), id, param);
            // What a path names is not found; what a parameter names makes the request wrong.
            if matches!(param, "id" | "intent") { refused } else { Refused { status: 400, ..refused } }
        })
    }

    /// Objects of a kind, oldest first.
    pub(super) fn all(&self, kind: &str) -> impl Iterator<Item = &Row> {
        self.tables.get(kind).into_iter().flat_map(Table::oldest)
    }

    /// Newest first.
    pub(super) fn newest(&self, kind: &str) -> impl Iterator<Item = &Row> {
        self.tables.get(kind).into_iter().flat_map(|table| table.older(None))
    }

    /// Puts an object in its table and gives it back.
    pub(super) fn insert(&mut self, kind: &'static str, row: Row) -> Result<Json> {
        self.count += 1;
        let id = text(&row, "id").to_owned();
        let table = self.tables.entry(kind).or_default();
        let most = if kind == "Event" { EVENTS_MAX } else { ROWS_MAX };
        if table.len() >= most && !table.rows.contains_key(&id) {
            if kind != "Event" {
                return Err(Refused::invalid(format!("The sandbox holds {ROWS_MAX} objects of a kind and no more.")));
            }
            if let Some(oldest) = table.order.first_key_value().map(|(_, id)| id.clone()) {
                table.remove(&oldest);
            }
        }
        if table.rows.contains_key(&id) {
            let message = format!("{} already exists.", word(kind));
            return Err(Refused::invalid(message).code("resource_already_exists").param("id"));
        }
        table.order.insert(self.count, id.clone());
        let given = Json::Object(row.clone());
        table.rows.insert(id, (self.count, row));
        Ok(given)
    }

    pub(super) fn remove(&mut self, kind: &str, id: &str) -> Option<Row> {
        self.tables.get_mut(kind)?.remove(id)
    }

    /// Changes an object and tells of it, with what it was before.
    pub(super) fn change(&mut self, kind: &'static str, id: &str, event: &str, change: impl FnOnce(&mut Row)) -> Result<Json> {
        let Some(row) = self.row_mut(kind, id) else {
            return Err(Refused::missing(word(kind), id, "id"));
        };
        let before = row.clone();
        change(row);
        let after = row.clone();
        let previous = difference(&before, &after);
        let after = Json::Object(after);
        // An update that changes nothing is not told of; a state that was reached is.
        if !previous.is_empty() || !event.ends_with(".updated") {
            self.tell(event, &after, event.ends_with(".updated").then_some(previous));
        }
        Ok(after)
    }

    /// Keeps the bytes of a file.
    pub(super) fn keep_file(&mut self, id: &str, bytes: bytes::Bytes) -> Result<()> {
        let all: usize = self.files.values().map(bytes::Bytes::len).sum();
        if all + bytes.len() > super::files::FILES_BYTES_MAX {
            return Err(Refused::invalid("The sandbox holds no more files.").param("file"));
        }
        self.files.insert(id.to_owned(), bytes);
        Ok(())
    }

    /// Puts something off until its time.
    pub(super) fn later(&mut self, clock: Option<&str>, at: i64, due: Due) {
        if self.due.len() < DUE_MAX {
            self.count += 1;
            self.due.insert((clock.unwrap_or_default().to_owned(), at, self.count), due);
        }
    }

    /// Forgets what was put off for one object.
    pub(super) fn forget(&mut self, gone: impl Fn(&Due) -> bool) {
        self.due.retain(|_, due| !gone(due));
    }

    /// Time stands still, or moves, on the customer's test clock.
    pub(super) fn take_clock_of(&mut self, customer: &str) -> Option<String> {
        let clock = self.get("Customer", customer).and_then(|row| row.get("test_clock")).and_then(Json::as_str)?.to_owned();
        if let Some(frozen) = self.get("test_helpers.TestClock", &clock).map(|row| number(row, "frozen_time")) {
            self.now = frozen;
        }
        Some(clock)
    }
}

/// What was before, where it is different.
pub(super) fn difference(before: &Row, after: &Row) -> Row {
    let mut previous = Row::new();
    for (name, now) in after {
        match (before.get(name), now) {
            (Some(was), now) if was == now => {}
            (Some(Json::Object(was)), Json::Object(now)) => {
                previous.insert(name.clone(), Json::Object(difference(was, now)));
            }
            (was, _) => {
                previous.insert(name.clone(), was.cloned().unwrap_or(Json::Null));
            }
        }
    }
    for (name, was) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        previous.insert(name.clone(), was.clone());
    }
    previous
}

/// A text of an object; empty when it is none.
pub(super) fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// A text that is there.
pub(super) fn some<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.get(name).and_then(Json::as_str)
}

/// A number of an object; 0 when it is none.
pub(super) fn number(row: &Row, name: &str) -> i64 {
    row.get(name).and_then(Json::as_i64).unwrap_or_default()
}

/// True when it is.
pub(super) fn flag(row: &Row, name: &str) -> bool {
    row.get(name).and_then(Json::as_bool).unwrap_or_default()
}

/// An object inside an object.
pub(super) fn inner<'a>(row: &'a Row, name: &str) -> Option<&'a Row> {
    row.get(name).and_then(Json::as_object)
}

/// Sets several properties.
pub(super) fn set<const N: usize>(row: &mut Row, values: [(&str, Json); N]) {
    for (name, value) in values {
        row.insert(name.to_owned(), value);
    }
}

/// A list object with everything in it.
pub(super) fn page(url: &str, data: Vec<Json>) -> Json {
    json!({"object": "list", "data": data, "has_more": false, "url": url})
}

/// What errors call a kind.
pub(super) fn word(kind: &'static str) -> &'static str {
    match kind {
        "PaymentMethod" => "PaymentMethod",
        _ => API.kind(kind).map_or(kind, |kind| kind.object.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

    #[test]
    fn what_was_before_is_told_only_where_it_is_different() {
        let before = json!({"name": "Ann", "email": null, "metadata": {"a": "1", "b": "2"}, "gone": 1});
        let after = json!({"name": "Ann", "email": "a@b.co", "metadata": {"a": "1", "b": "3", "c": "4"}});
        let previous = difference(before.as_object().unwrap(), after.as_object().unwrap());
        assert_eq!(json!(previous), json!({"email": null, "metadata": {"b": "2", "c": null}, "gone": 1}));
    }
}
