//! Records and groups as they stand in an answer.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};

use super::{
    CHILDREN_MAX, Look,
    bind::{Bound, Column, Path},
    filter::value,
    run,
};
use crate::salesforce::{
    cursors::{Cursor, Cursors},
    org::{Org, Row},
    schema::{Kind, Object},
    value::Value,
};

/// The `attributes` of a record.
pub(in super::super) fn attributes(object: &Object, id: &str, version: &str) -> Json {
    json!({ "type": object.name, "url": format!("/services/data/v{version}/sobjects/{}/{id}", object.name) })
}

/// A compound field out of its parts, or the field's own value.
pub(in super::super) fn field_json(object: &Object, row: &Row, place: usize, version: &str) -> Json {
    let field = &object.fields[place];
    match field.kind {
        Kind::Address => address(object, row, &field.name),
        // Long binary fields stand in records as the address they are fetched from.
        Kind::Base64 if !row.get(place).is_null() => {
            json!(format!("/services/data/v{version}/sobjects/{}/{}/{}", object.name, row.id(), field.name))
        }
        kind => row.get(place).json(kind),
    }
}

fn address(object: &Object, row: &Row, name: &str) -> Json {
    let mut out = Map::new();
    let mut any = false;
    for (part, ending) in
        [("city", "City"), ("country", "Country"), ("postalCode", "PostalCode"), ("state", "State"), ("street", "Street")]
    {
        let found = object
            .live_fields()
            .find(|(_, field)| field.part_of.as_deref() == Some(name) && field.name.ends_with(ending))
            .map_or(Json::Null, |(place, field)| row.get(place).json(field.kind));
        any |= !found.is_null();
        out.insert(part.to_owned(), found);
    }
    if !any {
        return Json::Null;
    }
    for part in ["geocodeAccuracy", "latitude", "longitude"] {
        out.insert(part.to_owned(), Json::Null);
    }
    Json::Object(out)
}

/// How answers are written.
pub(in super::super) struct Show<'a> {
    pub org: &'a Org,
    pub look: &'a Look,
    pub version: &'a str,
    pub session: &'a Arc<str>,
    /// Long lists of children go on by cursors of their own.
    pub cursors: &'a Mutex<Cursors>,
}

impl Show<'_> {
    /// A record with the columns of its query.
    pub(in super::super) fn shown(&self, bound: &Bound, row: &Row) -> Json {
        let mut out = Map::new();
        out.insert("attributes".to_owned(), attributes(&self.org.schema.objects[bound.object], row.id(), self.version));
        for column in &bound.columns {
            match column {
                Column::Field(path) => put(self.org, &mut out, bound.object, row, path, 0, self.version),
                Column::Children(name, field, inner) => {
                    out.insert(name.clone(), self.children(inner, *field, row));
                }
                Column::Group(..) | Column::Aggregate(..) => {}
            }
        }
        Json::Object(out)
    }

    fn children(&self, bound: &Arc<Bound>, field: usize, parent: &Row) -> Json {
        let rows = run::children(self.org, bound, field, parent, self.look).unwrap_or_default();
        if rows.is_empty() {
            return Json::Null;
        }
        let records: Vec<Json> = rows.iter().take(CHILDREN_MAX).map(|row| self.shown(bound, row)).collect();
        let mut out = json!({ "totalSize": rows.len(), "done": rows.len() <= CHILDREN_MAX, "records": records });
        if rows.len() > CHILDREN_MAX {
            let cursor = Cursor {
                id: "".into(),
                bound: bound.clone(),
                rows: rows.into(),
                look: self.look.clone(),
                session: self.session.clone(),
                born_ms: self.look.now_ms,
                size: CHILDREN_MAX,
            };
            let id = self.cursors.lock().open(cursor);
            out["nextRecordsUrl"] = json!(format!("/services/data/v{}/query/{id}-{CHILDREN_MAX}", self.version));
        }
        out
    }
}

/// Puts a field under its parents: `Owner.Name` into `Owner`.
fn put(org: &Org, out: &mut Map<String, Json>, object: usize, row: &Row, path: &Path, hop: usize, version: &str) {
    let Some((reference, name)) = path.hops.get(hop) else {
        let described = &org.schema.objects[object];
        let place = if path.several && path.name == "Name" { described.name_place() } else { described.place(&path.name) };
        let value = match place {
            // Of a parent that may be of several kinds `Type` is its kind.
            _ if path.several && path.name == "Type" => json!(described.name),
            Some(place) => field_json(described, row, place, version),
            None => Json::Null,
        };
        out.insert(path.name.clone(), value);
        return;
    };
    let parent = row.get(*reference).text().and_then(|id| org.find(id));
    let Some((object, parent)) = parent else {
        out.entry(name.clone()).or_insert(Json::Null);
        return;
    };
    let slot = out
        .entry(name.clone())
        .or_insert_with(|| json!({ "attributes": attributes(&org.schema.objects[object], parent.id(), version) }));
    if let Json::Object(slot) = slot {
        put(org, slot, object, parent, path, hop + 1, version);
    }
}

/// A whole record, with the fields at these places or all.
pub(in super::super) fn record(org: &Org, object: usize, row: &Row, places: Option<&[usize]>, version: &str) -> Json {
    let described = &org.schema.objects[object];
    let mut out = Map::new();
    out.insert("attributes".to_owned(), attributes(described, row.id(), version));
    match places {
        Some(places) => {
            for place in places {
                out.insert(described.fields[*place].name.clone(), field_json(described, row, *place, version));
            }
        }
        None => {
            for (place, field) in described.live_fields() {
                out.insert(field.name.clone(), field_json(described, row, place, version));
            }
        }
    }
    Json::Object(out)
}

/// The columns' names of a bulk query: `Id`, `Owner.Name`.
pub(in super::super) fn headings(bound: &Bound) -> Vec<String> {
    bound
        .columns
        .iter()
        .map(|column| match column {
            Column::Field(path) => {
                let mut name: String = path.hops.iter().map(|(_, name)| format!("{name}.")).collect();
                name.push_str(&path.name);
                name
            }
            Column::Group(_, name) | Column::Aggregate(_, _, name) | Column::Children(name, ..) => name.clone(),
        })
        .collect()
}

/// A record's cells of a bulk query.
pub(in super::super) fn cells(org: &Org, bound: &Bound, row: &Row) -> Vec<String> {
    bound
        .columns
        .iter()
        .map(|column| match column {
            Column::Field(path) => match &*value(org, row, path) {
                Value::Null => String::new(),
                value => value.cell(path.kind),
            },
            _ => String::new(),
        })
        .collect()
}
