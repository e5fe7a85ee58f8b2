//! Values between requests, the store and answers.

use jiff::{Timestamp, civil::Date};
use serde_json::{Map, Value as Json, json};

use super::{
    refusal::Refusal,
    schema::{Field, Kind},
    settings::Drifted,
    store::{Record, Row, Store},
};

/// Longest text of a field.
const TEXT_CHARS_MAX: usize = 100_000;
/// What an address may hold.
const ADDRESS_FIELDS: &[&str] = &[
    "addr1",
    "addr2",
    "addr3",
    "addressee",
    "addrPhone",
    "addrText",
    "attention",
    "city",
    "country",
    "override",
    "state",
    "zip",
];

fn invalid(field: &Field, value: &Json, path: &str) -> Refusal {
    let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let shown: String = shown.chars().take(200).collect();
    Refusal::bad(
        "INVALID_VALUE",
        format!("Invalid value '{shown}' for the resource or sub-resource field '{}'. Provide a valid value.", field.name),
    )
    .path(path)
}

/// Amounts have two digits after the point.
pub(super) fn money(amount: f64) -> Json {
    json!((amount * 100.0).round() / 100.0)
}

fn number(value: &Json) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite() && number.abs() < 1e15)
}

/// A value as the store holds it.
pub(super) fn read(field: &Field, value: &Json, store: &Store, path: &str) -> Result<Json, Refusal> {
    let wrong = || invalid(field, value, path);
    if value.is_null() {
        return Ok(Json::Null);
    }
    match &field.kind {
        Kind::Text => match value {
            Json::String(text) if text.chars().count() > TEXT_CHARS_MAX => Err(Refusal::user(format!(
                "The field {} contained more than the maximum number ( {TEXT_CHARS_MAX} ) of characters allowed.",
                field.name
            ))),
            Json::String(text) if text.is_empty() => Ok(Json::Null),
            Json::String(_) => Ok(value.clone()),
            Json::Number(number) => Ok(json!(number.to_string())),
            _ => Err(wrong()),
        },
        Kind::Integer => number(value).filter(|number| number.fract() == 0.0).map(whole).ok_or_else(wrong),
        Kind::Float => number(value).map(|number| json!(number)).ok_or_else(wrong),
        Kind::Money => number(value).map(money).ok_or_else(wrong),
        Kind::Boolean => match value.as_str() {
            Some("true" | "T") => Ok(json!(true)),
            Some("false" | "F") => Ok(json!(false)),
            _ => value.as_bool().map(Json::Bool).ok_or_else(wrong),
        },
        Kind::Date => value.as_str().and_then(day).map(|day| json!(day.to_string())).ok_or_else(wrong),
        Kind::Stamp => value.as_str().and_then(|text| text.parse::<Timestamp>().ok()).map(stamp).ok_or_else(wrong),
        Kind::Ref(target) => reference(target, value, store).ok_or_else(wrong),
        Kind::Choice(choices) => {
            let wanted = id_of(value).ok_or_else(wrong)?;
            choices.iter().find(|(id, name)| *id == wanted || *name == wanted).map(|(id, _)| json!(id)).ok_or_else(wrong)
        }
        Kind::Status(statuses) => {
            let wanted = id_of(value).ok_or_else(wrong)?;
            statuses.iter().find(|(id, name)| *id == wanted || *name == wanted).map(|(id, _)| json!(id)).ok_or_else(wrong)
        }
        Kind::Address => address(value).ok_or_else(wrong),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bounds were looked at before")]
fn whole(number: f64) -> Json {
    json!(number as i64)
}

fn day(text: &str) -> Option<Date> {
    text.get(..10).unwrap_or(text).parse().ok()
}

/// A moment as records write it.
pub(super) fn stamp(at: Timestamp) -> Json {
    json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn id_of(value: &Json) -> Option<String> {
    let text = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    text(value).or_else(|| text(value.get("id")?)).or_else(|| text(value.get("refName")?))
}

fn reference(target: &str, value: &Json, store: &Store) -> Option<Json> {
    let known = |id: u64| store.any(target, id).map(|record| json!(record.id.to_string()));
    if let Some(external) = value.get("externalId").and_then(Json::as_str) {
        return known(store.any_external(target, external)?);
    }
    let id = id_of(value)?;
    if let Some(external) = id.strip_prefix("eid:") {
        return known(store.any_external(target, external)?);
    }
    match id.parse::<u64>() {
        Ok(id) => known(id),
        Err(_) => by_name(target, &id, store),
    }
}

/// Short lists may be written by name, such as a currency's ISO code.
fn by_name(target: &str, name: &str, store: &Store) -> Option<Json> {
    let kind = super::schema::find(target).filter(|kind| matches!(kind.family, super::schema::Family::Own(_)))?;
    let fits = |record: &&Record| record.text(kind.display) == name || record.text("symbol") == name;
    store.all(kind).find(fits).map(|record| json!(record.id.to_string()))
}

fn address(value: &Json) -> Option<Json> {
    let mut kept = Map::new();
    for (name, part) in value.as_object()? {
        let known = ADDRESS_FIELDS.iter().find(|known| known.eq_ignore_ascii_case(name));
        match (known, part) {
            (Some(known), Json::Object(_)) if *known == "country" => {
                kept.insert((*known).to_owned(), json!(id_of(part)?));
            }
            (Some(known), Json::String(_) | Json::Bool(_)) => {
                kept.insert((*known).to_owned(), part.clone());
            }
            (_, Json::Null) => {}
            (None, _) if name == "links" => {}
            _ => return None,
        }
    }
    Some(Json::Object(kept))
}

/// How a record is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// `…/services/rest/record/v1`
    pub(super) base: String,
    pub(super) expand: bool,
    pub(super) simple_enums: bool,
    /// Only these fields, when there are any.
    pub(super) only: Vec<String>,
    pub(super) drifted: Drifted,
}

pub(super) fn link(rel: &str, href: String) -> Json {
    json!({ "rel": rel, "href": href })
}

/// A value as the record API writes it; nothing for an empty one.
pub(super) fn write(field: &Field, value: &Json, store: &Store, shown: &Shown) -> Option<Json> {
    if value.is_null() {
        return None;
    }
    Some(match &field.kind {
        Kind::Ref(target) => {
            let id = value.as_str()?;
            let other = store.any(target, id.parse().ok()?);
            let kind = other.map_or(*target, |other| other.kind.name);
            let name = other.map(Record::display).unwrap_or_default();
            json!({ "links": [link("self", format!("{}/{kind}/{id}", shown.base))], "id": id, "refName": name })
        }
        Kind::Choice(_) if shown.simple_enums => value.clone(),
        Kind::Choice(_) => json!({ "id": value, "refName": store.name_of(field, value) }),
        // Records name the state; only SuiteQL shows its letter.
        Kind::Status(_) => {
            let name = store.name_of(field, value);
            if shown.simple_enums { json!(name) } else { json!({ "id": name, "refName": name }) }
        }
        Kind::Address => {
            let mut address = value.as_object().cloned().unwrap_or_default();
            if let Some(country) = address.get("country").cloned() {
                address.insert("country".to_owned(), json!({ "id": country, "refName": country }));
            }
            Json::Object(address)
        }
        _ => value.clone(),
    })
}

/// A record as `GET` gives it.
pub(super) fn show(record: &Record, store: &Store, shown: &Shown) -> Json {
    let own = format!("{}/{}/{}", shown.base, record.kind.name, record.id);
    let wanted = |name: &str| {
        let chosen = shown.only.is_empty() || shown.only.iter().any(|only| only == name);
        chosen && !shown.drifted.removed(record.kind.name, name)
    };
    let mut out = Map::new();
    out.insert("links".to_owned(), json!([link("self", own.clone())]));
    out.insert("id".to_owned(), json!(record.id.to_string()));
    if let Some(external) = record.external.as_ref().filter(|_| wanted("externalId")) {
        out.insert("externalId".to_owned(), json!(external));
    }
    for (field, value) in record.kind.fields.iter().zip(&record.values).filter(|(field, _)| wanted(field.name)) {
        if let Some(value) = write(field, value, store, shown) {
            out.insert(field.name.to_owned(), value);
        }
    }
    for (sublist, rows) in record.kind.sublists.iter().zip(&record.rows).filter(|(sublist, _)| wanted(sublist.name)) {
        let place = format!("{own}/{}", sublist.name);
        let mut shown_rows = json!({ "links": [link("self", place.clone())] });
        if shown.expand {
            let items: Vec<Json> = rows.iter().map(|row| show_row(record, sublist.name, row, store, shown)).collect();
            shown_rows["totalResults"] = json!(items.len());
            shown_rows["items"] = json!(items);
        }
        out.insert(sublist.name.to_owned(), shown_rows);
    }
    Json::Object(out)
}

/// The number or id that addresses a row.
pub(super) fn row_key(record: &Record, sublist: &str, row: &Row) -> String {
    let Some((_, sublist)) = record.kind.sublist(sublist) else { return String::new() };
    match sublist.position(sublist.key).map(|place| &row[place]) {
        Some(Json::String(key)) => key.clone(),
        Some(key) if !key.is_null() => key.to_string(),
        _ => String::new(),
    }
}

pub(super) fn show_row(record: &Record, name: &str, row: &Row, store: &Store, shown: &Shown) -> Json {
    let place = format!("{}/{}/{}/{name}/{}", shown.base, record.kind.name, record.id, row_key(record, name, row));
    let mut out = Map::new();
    out.insert("links".to_owned(), json!([link("self", place)]));
    let fields = record.kind.sublist(name).map(|(_, sublist)| &sublist.fields[..]).unwrap_or_default();
    for (field, value) in fields.iter().zip(row) {
        if let Some(value) = write(field, value, store, shown) {
            out.insert(field.name.to_owned(), value);
        }
    }
    Json::Object(out)
}
