//! Creating, changing and deleting records: what a request's body means, and what follows from it.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value as Json, json};

use super::{
    refusal::Refusal,
    rules,
    schema::{Family, Type},
    settings::{Drift, Drifted},
    store::{ROWS_MAX, Record, Row, Store},
    values,
};

/// How strictly names or values are looked at: `X-NetSuite-PropertyNameValidation` and `…ValueValidation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Check {
    /// The careful reading of what happens without the header.
    #[default]
    Error,
    Warning,
    Ignore,
}

/// How a body is put into a record.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner {
    pub(super) names: Check,
    pub(super) values: Check,
    /// Sublists whose rows are replaced as a whole.
    pub(super) replace: Vec<String>,
}

/// Around every write.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub(super) at: Timestamp,
    pub(super) zone: TimeZone,
    /// An account with one company has no subsidiaries.
    pub(super) one_company: bool,
    pub(super) drifted: Drifted,
}

impl Now {
    pub(super) fn today(&self) -> jiff::civil::Date {
        self.at.to_zoned(self.zone.clone()).date()
    }
}

type Body = Map<String, Json>;

/// Makes a record; gives its id and what was left out of the body.
pub(super) fn create(
    store: &mut Store,
    kind: &'static Type,
    body: &Body,
    manner: &Manner,
    now: &Now,
) -> Result<(u64, Vec<String>), Refusal> {
    if store.full(kind) {
        return Err(Refusal::user("The account holds as many records as it may."));
    }
    let mut record = Record::new(kind);
    let left_out = fill(&mut record, body, store, manner, now)?;
    for name in ["dateCreated", "createdDate", "created"] {
        record.set(name, values::stamp(now.at));
    }
    rules::complete(&mut record, store, now)?;
    needs(&record, now)?;
    rules::compute(&mut record, store)?;
    touch(&mut record, now);
    let id = store.keep(record.clone());
    record.id = id;
    rules::settle(store, &record, 1.0, now);
    Ok((id, left_out))
}

/// Changes a record.
pub(super) fn update(
    store: &mut Store,
    kind: &'static Type,
    id: u64,
    body: &Body,
    manner: &Manner,
    now: &Now,
) -> Result<Vec<String>, Refusal> {
    let old = store.get(kind, id).cloned().ok_or_else(|| Refusal::no_record(kind.name))?;
    let mut record = old.clone();
    let left_out = fill(&mut record, body, store, manner, now)?;
    rules::settle(store, &old, -1.0, now);
    // What the old rows had settled is open again while the new ones are looked at.
    let computed = match store.get(kind, id).map(|open| open.number("amountPaid")) {
        Some(paid) if record.kind.position("amountPaid").is_some() => {
            record.set("amountPaid", values::money(paid));
            needs(&record, now).and_then(|()| rules::compute(&mut record, store))
        }
        _ => needs(&record, now).and_then(|()| rules::compute(&mut record, store)),
    };
    if let Err(refusal) = computed {
        rules::settle(store, &old, 1.0, now);
        return Err(refusal);
    }
    touch(&mut record, now);
    store.keep(record.clone());
    rules::settle(store, &record, 1.0, now);
    Ok(left_out)
}

/// Deletes a record that nothing hangs on.
pub(super) fn delete(store: &mut Store, kind: &'static Type, id: u64, now: &Now) -> Result<Record, Refusal> {
    let record = store.get(kind, id).cloned().ok_or_else(|| Refusal::no_record(kind.name))?;
    if let Some(why) = rules::held(store, &record) {
        return Err(Refusal::user(why));
    }
    rules::settle(store, &record, -1.0, now);
    store.remove(kind, id, now.at).ok_or_else(|| Refusal::no_record(kind.name))
}

pub(super) fn touch(record: &mut Record, now: &Now) {
    if let Some(field) = record.kind.modified() {
        record.set(field.name, values::stamp(now.at));
    }
}

/// Puts a body's members into a record. Gives the members that were left out.
fn fill(record: &mut Record, body: &Body, store: &Store, manner: &Manner, now: &Now) -> Result<Vec<String>, Refusal> {
    let mut left_out = Vec::new();
    for (name, value) in body {
        match name.as_str() {
            "id" | "links" | "refName" | "totalResults" | "internalId" => {}
            "externalId" => external(record, value, store)?,
            _ => {
                let done = match member(record, name, value, store, manner, now) {
                    Err(refusal) if refusal.code == "NONEXISTENT_FIELD" => tolerate(manner.names, refusal, name, &mut left_out),
                    Err(refusal) if refusal.code == "INVALID_VALUE" => tolerate(manner.values, refusal, name, &mut left_out),
                    done => done,
                };
                done?;
            }
        }
    }
    Ok(left_out)
}

fn tolerate(check: Check, refusal: Refusal, name: &str, left_out: &mut Vec<String>) -> Result<(), Refusal> {
    match check {
        Check::Error => return Err(refusal),
        Check::Warning => left_out.push(name.to_owned()),
        Check::Ignore => {}
    }
    Ok(())
}

fn external(record: &mut Record, value: &Json, store: &Store) -> Result<(), Refusal> {
    match value {
        Json::Null => record.external = None,
        Json::String(text) if !text.is_empty() && text.len() <= 255 => {
            store.check_external(record.kind, text, record.id)?;
            record.external = Some(text.clone());
        }
        _ => {
            return Err(Refusal::bad("INVALID_VALUE", "Invalid value for the field 'externalId'. Provide a valid value.")
                .path("externalId"));
        }
    }
    Ok(())
}

fn unknown(name: &str, path: &str) -> Refusal {
    let detail = format!("Invalid content in the request body. The following field or sub-resource does not exist: {name}.");
    Refusal::bad("NONEXISTENT_FIELD", detail).path(path)
}

fn member(record: &mut Record, name: &str, value: &Json, store: &Store, manner: &Manner, now: &Now) -> Result<(), Refusal> {
    if let Some((place, _)) = record.kind.sublist(name) {
        return rows(record, place, value, store, manner);
    }
    if now.one_company && name == "subsidiary" {
        return Err(unknown(name, name));
    }
    let kind = record.kind;
    let place = kind.position(name).ok_or_else(|| unknown(name, name))?;
    let field = &kind.fields[place];
    match now.drifted.of(kind.name, name) {
        Some(Drift::Removed) => return Err(unknown(name, name)),
        Some(Drift::Integer) if !(value.is_i64() || value.is_null()) => {
            let detail = format!("Invalid value for the field '{name}'. Provide a valid value of type 'integer'.");
            return Err(Refusal::bad("INVALID_VALUE", detail).path(name));
        }
        // It is kept as it was before.
        Some(Drift::Integer) => {
            record.values[place] = if value.is_null() { Json::Null } else { json!(value.to_string()) };
            return Ok(());
        }
        None => {}
    }
    if field.locked {
        return Err(locked(name));
    }
    record.values[place] = values::read(field, value, store, name)?;
    Ok(())
}

fn locked(name: &str) -> Refusal {
    Refusal::user(format!(
        "You do not have permissions to set a value for element {name} due to one of the following reasons: 1) The field is read-only; 2) An associated feature is disabled; 3) The field is available either when a record is created or updated, but not in both cases."
    ))
    .path(name)
}

/// Rows of a sublist: merged by their key, appended without one, or put in place of the old ones.
fn rows(record: &mut Record, place: usize, value: &Json, store: &Store, manner: &Manner) -> Result<(), Refusal> {
    let sublist = &record.kind.sublists[place];
    let wrong = |detail: &str| {
        Refusal::bad("INVALID_CONTENT", format!("Invalid content in the request body. {detail}")).path(sublist.name)
    };
    let items = match (value.get("items"), value) {
        (Some(Json::Array(items)), _) => items,
        // An unexpanded sublist of an answer that is sent back.
        (None, Json::Object(_)) => return Ok(()),
        _ => return Err(wrong("A sublist is an object with an array 'items'.")),
    };
    let mut kept = if manner.replace.iter().any(|name| name.eq_ignore_ascii_case(sublist.name)) {
        Vec::new()
    } else {
        record.rows[place].clone()
    };
    if kept.len() + items.len() > ROWS_MAX {
        return Err(wrong("The sublist has too many rows."));
    }
    let mut last = record.last_row;
    for (number, item) in items.iter().enumerate() {
        let item = item.as_object().ok_or_else(|| wrong("A row of a sublist is an object."))?;
        row(sublist, item, number, &mut kept, &mut last, store)?;
    }
    record.last_row = last;
    record.rows[place] = kept;
    Ok(())
}

fn row(
    sublist: &super::schema::Sublist,
    item: &Body,
    number: usize,
    kept: &mut Vec<Row>,
    last: &mut u64,
    store: &Store,
) -> Result<(), Refusal> {
    let key = sublist.position(sublist.key).unwrap_or_default();
    let path = |name: &str| format!("{}.items[{number}].{name}", sublist.name);
    let given = match item.get(sublist.key) {
        Some(value) => Some(values::read(&sublist.fields[key], value, store, &path(sublist.key))?),
        None => None,
    };
    let old = given.as_ref().and_then(|given| kept.iter().position(|row| row[key] == *given));
    let mut row = old.map_or_else(|| vec![Json::Null; sublist.fields.len()], |old| kept[old].clone());
    for (name, value) in item {
        if matches!(name.as_str(), "links" | "refName") {
            continue;
        }
        let place = sublist.position(name).ok_or_else(|| unknown(name, &path(name)))?;
        let field = &sublist.fields[place];
        if field.locked && place != key {
            return Err(locked(name).path(path(name)));
        }
        row[place] = values::read(field, value, store, &path(name))?;
    }
    match old {
        Some(old) => kept[old] = row,
        None => {
            *last += 1;
            if row[key].is_null() || sublist.fields[key].locked {
                row[key] = json!(*last);
            }
            kept.push(row);
        }
    }
    Ok(())
}

/// What a record must have.
fn needs(record: &Record, now: &Now) -> Result<(), Refusal> {
    let mut missing: Vec<&str> = Vec::new();
    for need in record.kind.needs {
        let there = match record.kind.sublist(need) {
            Some((place, _)) => !record.rows[place].is_empty(),
            None => !record.get(need).is_null(),
        };
        if !there {
            let title = record.kind.position(need).map_or("Items", |place| record.kind.fields[place].title);
            missing.push(if *need == "entity" { rules::entity_title(record.kind) } else { title });
        }
    }
    if record.kind.family == Family::Entity {
        missing.extend(rules::entity_needs(record, now));
    }
    if missing.is_empty() { Ok(()) } else { Err(Refusal::missing(&missing)) }
}
