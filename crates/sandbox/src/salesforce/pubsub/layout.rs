//! How events are written: Avro schemas of an object's fields, and values by them.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use jiff::civil::Date;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::super::{
    schema::{Field, Kind, Object, place},
    value::{datetime, read_datetime, start_ms},
};

/// What a field of an event holds.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Shape {
    Text,
    Boolean,
    Int,
    Double,
    /// Milliseconds since 1970.
    Moment,
    /// The parts of a compound field.
    Parts(Vec<Part>),
}

/// A field of an event. All but the first two of a platform event may be null.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Part {
    /// Its name in the event.
    pub name: String,
    /// Its place in the record.
    pub place: usize,
    pub shape: Shape,
    pub nullable: bool,
}

/// How the events of a topic are written.
#[derive(Debug)]
pub(in super::super) struct Layout {
    /// A hash of the schema.
    pub id: Arc<str>,
    /// The schema.
    pub json: String,
    pub parts: Vec<Part>,
    /// True when a header of a change comes first.
    pub change: bool,
}

/// What changed, where, and who did it.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Header {
    pub entity: String,
    pub ids: Vec<String>,
    pub kind: &'static str,
    pub origin: String,
    pub transaction: String,
    pub sequence: i64,
    pub at_ms: i64,
    pub number: i64,
    pub user: String,
    /// Bitmaps over the fields of the schema.
    pub nulled: Vec<String>,
    pub changed: Vec<String>,
    /// The same fields by their names, as CometD tells them.
    pub nulled_names: Vec<String>,
    pub changed_names: Vec<String>,
}

impl Header {
    /// Lets go of the fields of the change before.
    pub(in super::super) fn forget(&mut self) {
        for fields in [&mut self.nulled, &mut self.changed, &mut self.nulled_names, &mut self.changed_names] {
            fields.clear();
        }
    }

    fn json(&self) -> Json {
        json!({
            "entityName": self.entity, "recordIds": self.ids, "changeType": self.kind, "changeOrigin": self.origin,
            "transactionKey": self.transaction, "sequenceNumber": self.sequence, "commitTimestamp": self.at_ms,
            "commitNumber": self.number, "commitUser": self.user, "nulledFields": self.nulled_names, "diffFields": [],
            "changedFields": self.changed_names,
        })
    }
}

const CHANGES: [&str; 9] =
    ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW"];

impl Layout {
    /// How a platform event is written.
    pub(in super::super) fn event(object: &Object) -> Arc<Self> {
        let always = |name: &str, shape| Part { name: name.to_owned(), place: 0, shape, nullable: false };
        let mut parts = vec![always("CreatedDate", Shape::Moment), always("CreatedById", Shape::Text)];
        parts.extend(object.live_fields().filter(|(_, field)| field.custom()).filter_map(|(at, field)| part(at, field)));
        Arc::new(Self::of(&object.name, parts, false))
    }

    /// How the changes of an object's records are written.
    pub(in super::super) fn changes(object: &Object) -> Arc<Self> {
        let own = |at: usize| !matches!(at, place::ID | place::DELETED | place::STAMP);
        let mut parts = Vec::new();
        for (at, field) in object.live_fields().filter(|(at, field)| own(*at) && field.part_of.is_none()) {
            if field.kind == Kind::Address {
                parts.push(compound(object, at, field));
            } else {
                parts.extend(part(at, field));
            }
        }
        Arc::new(Self::of(&event_name(&object.name), parts, true))
    }

    fn of(name: &str, parts: Vec<Part>, change: bool) -> Self {
        let mut fields = Vec::new();
        if change {
            fields.push(json!({"name": "ChangeEventHeader", "type": header_schema()}));
        }
        fields.extend(parts.iter().map(field_schema));
        let schema = json!({"name": name, "namespace": "com.sforce.eventbus", "type": "record", "fields": fields});
        let json = schema.to_string();
        let id = URL_SAFE_NO_PAD.encode(&Sha256::digest(json.as_bytes())[..16]).into();
        Self { id, json, parts, change }
    }

    /// Writes an event.
    pub(in super::super) fn write(&self, header: Option<&Header>, values: &Map<String, Json>) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(header) = header.filter(|_| self.change) {
            write_header(&mut out, header);
        }
        write_parts(&mut out, &self.parts, values);
        out
    }

    /// A change as CometD delivers it: fields by their names, what was emptied as null.
    pub(in super::super) fn change_data(&self, header: &Header, values: &Map<String, Json>) -> Bytes {
        let mut payload = told(&self.parts, values);
        for name in &header.nulled_names {
            match name.split_once('.') {
                Some((outer, inner)) => payload[outer][inner] = Json::Null,
                None => payload[name] = Json::Null,
            }
        }
        payload["ChangeEventHeader"] = header.json();
        serde_json::to_vec(&json!({"schema": &*self.id, "payload": payload})).unwrap_or_default().into()
    }

    /// A platform event as CometD delivers it: all its fields, days and moments as texts.
    pub(in super::super) fn event_data(&self, object: &Object, values: &Map<String, Json>) -> Bytes {
        let mut payload = told(&self.parts, values);
        for part in self.parts.iter().filter(|part| part.nullable) {
            if payload[&part.name].is_null() {
                payload[&part.name] = Json::Null;
            } else if part.shape == Shape::Moment
                && object.fields[part.place].kind == Kind::Date
                && let Some(day) = payload[&part.name].as_str().and_then(|text| text.get(..10)).map(str::to_owned)
            {
                payload[&part.name] = json!(day);
            }
        }
        serde_json::to_vec(&json!({"schema": &*self.id, "payload": payload})).unwrap_or_default().into()
    }

    /// Reads a platform event.
    pub(in super::super) fn read(&self, mut bytes: &[u8]) -> Option<Map<String, Json>> {
        let values = read_parts(&mut bytes, &self.parts)?;
        bytes.is_empty().then_some(values)
    }
}

/// `AccountChangeEvent`, `Invoice__ChangeEvent`.
pub(in super::super) fn event_name(object: &str) -> String {
    object.strip_suffix("__c").map_or_else(|| format!("{object}ChangeEvent"), |name| format!("{name}__ChangeEvent"))
}

fn part(place: usize, field: &Field) -> Option<Part> {
    let shape = match field.kind {
        Kind::Boolean => Shape::Boolean,
        Kind::Int => Shape::Int,
        Kind::Double | Kind::Currency | Kind::Percent => Shape::Double,
        Kind::Date | Kind::Datetime => Shape::Moment,
        Kind::Base64 | Kind::Address => return None,
        _ => Shape::Text,
    };
    Some(Part { name: field.name.clone(), place, shape, nullable: true })
}

/// `BillingAddress` with its parts `Street`, `City`, ….
fn compound(object: &Object, at: usize, field: &Field) -> Part {
    let before = field.name.strip_suffix("Address").unwrap_or_default();
    let parts = object.live_fields().filter(|(_, part)| part.part_of.as_deref() == Some(&field.name));
    let parts = parts.filter_map(|(at, inner)| {
        let name = inner.name.strip_prefix(before).unwrap_or(&inner.name).to_owned();
        Some(Part { name, ..part(at, inner)? })
    });
    Part { name: field.name.clone(), place: at, shape: Shape::Parts(parts.collect()), nullable: true }
}

fn field_schema(part: &Part) -> Json {
    let kind = match &part.shape {
        Shape::Text => json!("string"),
        Shape::Boolean => json!("boolean"),
        Shape::Int => json!("int"),
        Shape::Double => json!("double"),
        Shape::Moment => json!("long"),
        // Each name is said once in a schema.
        Shape::Parts(parts) => {
            json!({"type": "record", "name": format!("Compound_{}", part.name), "fields": parts.iter().map(field_schema).collect::<Vec<_>>()})
        }
    };
    if part.nullable {
        json!({"name": part.name, "type": ["null", kind], "default": null})
    } else {
        json!({"name": part.name, "type": kind})
    }
}

fn header_schema() -> Json {
    let list = json!({"type": "array", "items": "string"});
    json!({"type": "record", "name": "ChangeEventHeader", "fields": [
        {"name": "entityName", "type": "string"}, {"name": "recordIds", "type": list},
        {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": CHANGES}},
        {"name": "changeOrigin", "type": "string"}, {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"}, {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"}, {"name": "commitUser", "type": "string"},
        {"name": "nulledFields", "type": list}, {"name": "diffFields", "type": list}, {"name": "changedFields", "type": list},
    ]})
}

fn write_header(out: &mut Vec<u8>, header: &Header) {
    let texts = |out: &mut Vec<u8>, texts: &[String]| {
        if !texts.is_empty() {
            long(out, texts.len() as i64);
            texts.iter().for_each(|one| text(out, one));
        }
        long(out, 0);
    };
    text(out, &header.entity);
    texts(out, &header.ids);
    long(out, CHANGES.iter().position(|kind| *kind == header.kind).unwrap_or_default() as i64);
    text(out, &header.origin);
    text(out, &header.transaction);
    for number in [header.sequence, header.at_ms, header.number] {
        long(out, number);
    }
    text(out, &header.user);
    texts(out, &header.nulled);
    texts(out, &[]);
    texts(out, &header.changed);
}

fn write_parts(out: &mut Vec<u8>, parts: &[Part], values: &Map<String, Json>) {
    for part in parts {
        let value = values.get(&part.name).unwrap_or(&Json::Null);
        if part.nullable {
            long(out, i64::from(!value.is_null()));
            if value.is_null() {
                continue;
            }
        }
        match &part.shape {
            Shape::Text => text(out, value.as_str().unwrap_or(&value.to_string())),
            Shape::Boolean => out.push(u8::from(value == true)),
            Shape::Int => long(out, value.as_i64().unwrap_or_default()),
            Shape::Double => out.extend(value.as_f64().unwrap_or_default().to_le_bytes()),
            Shape::Moment => long(out, moment(value).unwrap_or_default()),
            Shape::Parts(parts) => write_parts(out, parts, value.as_object().unwrap_or(&Map::new())),
        }
    }
}

/// Values as JSON tells them: moments end in `Z`.
fn told(parts: &[Part], values: &Map<String, Json>) -> Json {
    let mut out = Map::new();
    for part in parts {
        let Some(value) = values.get(&part.name) else { continue };
        let value = match (&part.shape, value) {
            (Shape::Moment, Json::Number(ms)) => json!(zulu(&datetime(ms.as_i64().unwrap_or_default()))),
            (Shape::Moment, Json::String(text)) => json!(zulu(text)),
            (Shape::Parts(inner), Json::Object(values)) => told(inner, values),
            _ => value.clone(),
        };
        out.insert(part.name.clone(), value);
    }
    Json::Object(out)
}

/// `2026-01-02T03:04:05.000Z` of `2026-01-02T03:04:05.000+0000`.
pub(in super::super) fn zulu(text: &str) -> String {
    text.strip_suffix("+0000").map_or_else(|| text.to_owned(), |text| format!("{text}Z"))
}

/// A moment or a day in any of its forms.
fn moment(value: &Json) -> Option<i64> {
    let text = match value {
        Json::String(text) => text,
        other => return other.as_i64(),
    };
    read_datetime(text).or_else(|| text.parse::<Date>().ok().map(start_ms))
}

#[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "zigzag and seven bits at a time are what is meant")]
fn long(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    long(out, text.len() as i64);
    out.extend(text.as_bytes());
}

fn read_parts(bytes: &mut &[u8], parts: &[Part]) -> Option<Map<String, Json>> {
    let mut values = Map::new();
    for part in parts {
        if part.nullable && read_long(bytes)? == 0 {
            continue;
        }
        let value = match &part.shape {
            Shape::Text => {
                let length = usize::try_from(read_long(bytes)?).ok()?;
                json!(std::str::from_utf8(bytes.split_off(..length)?).ok()?)
            }
            Shape::Boolean => json!(*bytes.split_off_first()? == 1),
            Shape::Int | Shape::Moment => json!(read_long(bytes)?),
            Shape::Double => json!(f64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?)),
            Shape::Parts(parts) => Json::Object(read_parts(bytes, parts)?),
        };
        values.insert(part.name.clone(), value);
    }
    Some(values)
}

fn read_long(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
        }
    }
    None
}
