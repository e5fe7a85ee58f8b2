//! Records between XML and the store.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value as Json, json};

use super::namespace;
use crate::{
    netsuite::{
        books::Manner,
        refusal::Refusal,
        schema::{self, Field, Kind, Sublist, Type},
        store::{Record, Row, Store},
    },
    xml::{Element, Writer},
};

/// The parts of an address, in the order its type declares them.
pub(super) const ADDRESS: [&str; 11] =
    ["country", "attention", "addressee", "addrPhone", "addr1", "addr2", "addr3", "city", "state", "zip", "addrText"];

/// A record out of a request.
pub(super) struct Given {
    pub(super) kind: &'static Type,
    pub(super) id: Option<u64>,
    pub(super) body: Map<String, Json>,
    pub(super) manner: Manner,
}

/// `Customer` of `customer`.
pub(super) fn pascal(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

/// A sublist's element and type word: `addressbook`, `item`.
pub(super) fn row_name(sublist: &Sublist) -> &'static str {
    if sublist.name == "addressBook" { "addressbook" } else { sublist.name }
}

/// A row's field as SOAP writes it.
pub(super) fn field_name(field: &Field) -> &'static str {
    match field.name {
        "id" => "internalId",
        "addressBookAddress" => "addressbookAddress",
        name => name,
    }
}

/// The namespace's name and area of a type.
pub(super) fn home(kind: &Type) -> (&'static str, &'static str) {
    match kind.name {
        "customer" | "vendor" | "contact" | "job" => ("relationships", "lists"),
        "employee" => ("employees", "lists"),
        "supportCase" => ("support", "lists"),
        "phoneCall" | "task" => ("scheduling", "activities"),
        "estimate" | "salesOrder" | "invoice" | "cashSale" | "itemFulfillment" | "opportunity" => ("sales", "transactions"),
        "purchaseOrder" | "vendorBill" | "vendorPayment" | "itemReceipt" => ("purchases", "transactions"),
        "creditMemo" | "customerPayment" | "returnAuthorization" => ("customers", "transactions"),
        "journalEntry" | "advInterCompanyJournalEntry" => ("general", "transactions"),
        "expenseReport" => ("employees", "transactions"),
        "file" | "folder" => ("filecabinet", "documents"),
        name if name.starts_with("customrecord") => ("customization", "setup"),
        _ => ("accounting", "lists"),
    }
}

/// A moment as the service writes it.
pub(super) fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.000%:z").to_string()
}

/// Reads a record of a request.
pub(super) fn read(element: &Element) -> Result<Given, Refusal> {
    let name = element.xsi_type().unwrap_or_default();
    let kind =
        schema::find(name).ok_or_else(|| Refusal::bad("INVALID_RCRD_TYPE", format!("The record type '{name}' is invalid.")))?;
    let mut given = Given {
        kind,
        id: element.attribute("internalId").and_then(|id| id.parse().ok()),
        body: Map::new(),
        manner: Manner::default(),
    };
    if let Some(external) = element.attribute("externalId") {
        given.body.insert("externalId".to_owned(), json!(external));
    }
    for child in &element.children {
        match child.name.as_str() {
            "nullFieldList" => {
                for name in child.all("name") {
                    given.body.insert(name.text.trim().to_owned(), Json::Null);
                }
            }
            "customFieldList" => {
                for custom in &child.children {
                    let name = custom.attribute("scriptId").or_else(|| custom.attribute("internalId")).unwrap_or_default();
                    given.body.insert(name.to_owned(), custom.child("value").map_or(Json::Null, plain));
                }
            }
            name => {
                let list = name.strip_suffix("List").and_then(|name| kind.sublist(name));
                match list {
                    Some((_, sublist)) => rows(&mut given, sublist, child),
                    None => {
                        let field = kind.fields.iter().find(|field| field_name(field).eq_ignore_ascii_case(name));
                        given.body.insert(field.map_or(name, |field| field.name).to_owned(), plain(child));
                    }
                }
            }
        }
    }
    Ok(given)
}

fn rows(given: &mut Given, sublist: &Sublist, list: &Element) {
    // A list takes the place of the old one unless it says otherwise.
    if list.attribute("replaceAll") != Some("false") {
        given.manner.replace.push(sublist.name.to_owned());
    }
    let row = |row: &Element| {
        let members = row.children.iter().map(|child| {
            let field = sublist.fields.iter().find(|field| field_name(field).eq_ignore_ascii_case(&child.name));
            (field.map_or(child.name.as_str(), |field| field.name).to_owned(), plain(child))
        });
        Json::Object(members.collect())
    };
    let items: Vec<Json> = list.children.iter().map(row).collect();
    given.body.insert(sublist.name.to_owned(), json!({ "items": items }));
}

/// An element's value: a reference, parts, or text.
fn plain(element: &Element) -> Json {
    if element.is_nil() {
        return Json::Null;
    }
    if let Some(id) = element.attribute("internalId") {
        return json!({ "id": id });
    }
    if let Some(external) = element.attribute("externalId") {
        return json!({ "externalId": external });
    }
    if !element.children.is_empty() {
        // Only the parts of an address come this way; its country may be written `_unitedStates`.
        return Json::Object(element.children.iter().map(|child| (child.name.clone(), plain(child))).collect());
    }
    json!(element.text.trim())
}

/// Writes a record as an element.
pub(super) fn write(
    xml: &mut Writer,
    name: &str,
    record: &Record,
    store: &Store,
    (version, zone): (&str, &TimeZone),
    body_only: bool,
) {
    let (home, area) = home(record.kind);
    let home = namespace(home, area, version);
    let (id, kind) = (record.id.to_string(), format!("q:{}", pascal(record.kind.name)));
    let mut attributes = vec![("xmlns:q", home.as_str()), ("xsi:type", kind.as_str()), ("internalId", id.as_str())];
    attributes.extend(record.external.as_deref().map(|external| ("externalId", external)));
    xml.element(name, &attributes, |xml| {
        for (field, value) in record.kind.fields.iter().zip(&record.values).filter(|(field, _)| !field.is_custom()) {
            write_value(xml, "q", field, value, store, zone);
        }
        for (sublist, rows) in record.kind.sublists.iter().zip(&record.rows).filter(|(_, rows)| !body_only && !rows.is_empty()) {
            xml.element(&format!("q:{}List", row_name(sublist)), &[], |xml| {
                for row in rows {
                    write_row(xml, sublist, row, store, zone);
                }
            });
        }
        let custom = |(field, value): &(&Field, &Json)| field.is_custom() && !value.is_null();
        let custom: Vec<_> = record.kind.fields.iter().zip(&record.values).filter(custom).collect();
        if !custom.is_empty() {
            xml.element("q:customFieldList", &[], |xml| {
                for (field, value) in custom {
                    write_custom(xml, field, value, store);
                }
            });
        }
    });
}

fn write_row(xml: &mut Writer, sublist: &Sublist, row: &Row, store: &Store, zone: &TimeZone) {
    xml.element(&format!("q:{}", row_name(sublist)), &[], |xml| {
        for (field, value) in sublist.fields.iter().zip(row).filter(|(field, _)| !field.is_custom()) {
            write_value(xml, "q", field, value, store, zone);
        }
    });
}

fn write_custom(xml: &mut Writer, field: &Field, value: &Json, store: &Store) {
    let kind = match field.kind {
        Kind::Boolean => "BooleanCustomFieldRef",
        Kind::Integer => "LongCustomFieldRef",
        Kind::Float | Kind::Money => "DoubleCustomFieldRef",
        Kind::Date | Kind::Stamp => "DateCustomFieldRef",
        Kind::Ref(_) => "SelectCustomFieldRef",
        _ => "StringCustomFieldRef",
    };
    xml.element("platformCore:customField", &[("scriptId", field.name), ("xsi:type", &format!("platformCore:{kind}"))], |xml| {
        match (&field.kind, value.as_str()) {
            (Kind::Ref(_), Some(id)) => xml.element("platformCore:value", &[("internalId", id)], |xml| {
                xml.maybe("platformCore:name", store.name_of(field, value).as_deref());
            }),
            (_, Some(text)) => xml.text("platformCore:value", &[], text),
            (_, None) => xml.text("platformCore:value", &[], &value.to_string()),
        }
    });
}

fn write_value(xml: &mut Writer, prefix: &str, field: &Field, value: &Json, store: &Store, zone: &TimeZone) {
    let name = format!("{prefix}:{}", field_name(field));
    match (&field.kind, value) {
        (_, Json::Null) => {}
        (Kind::Ref(_), Json::String(id)) => xml.element(&name, &[("internalId", id)], |xml| {
            xml.maybe("platformCore:name", store.name_of(field, value).as_deref());
        }),
        (Kind::Choice(_) | Kind::Status(_), _) => xml.maybe(&name, store.name_of(field, value).as_deref()),
        (Kind::Date, Json::String(day)) => {
            let begin = day.parse::<jiff::civil::Date>().ok().and_then(|day| day.to_zoned(zone.clone()).ok());
            xml.maybe(&name, begin.map(|begin| moment(begin.timestamp(), zone)).as_deref());
        }
        (Kind::Stamp, Json::String(at)) => xml.maybe(&name, at.parse().ok().map(|at| moment(at, zone)).as_deref()),
        (Kind::Address, Json::Object(parts)) => xml.element(&name, &[], |xml| {
            for part in ADDRESS {
                xml.maybe(&format!("platformCommon:{part}"), parts.get(part).and_then(Json::as_str));
            }
        }),
        (_, Json::String(text)) => xml.text(&name, &[], text),
        (_, other) => xml.text(&name, &[], &other.to_string()),
    }
}
