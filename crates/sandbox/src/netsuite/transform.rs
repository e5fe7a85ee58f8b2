//! One document into the next: order to invoice, invoice to payment.

use serde_json::{Map, Value as Json, json};

use super::{
    books::{self, Manner, Now},
    refusal::Refusal,
    schema::Type,
    store::{Record, Store},
};

/// What can become what.
const WAYS: &[(&str, &str)] = &[
    ("estimate", "salesOrder"),
    ("estimate", "invoice"),
    ("estimate", "cashSale"),
    ("opportunity", "estimate"),
    ("opportunity", "salesOrder"),
    ("opportunity", "invoice"),
    ("salesOrder", "invoice"),
    ("salesOrder", "cashSale"),
    ("salesOrder", "itemFulfillment"),
    ("salesOrder", "returnAuthorization"),
    ("invoice", "customerPayment"),
    ("invoice", "creditMemo"),
    ("invoice", "returnAuthorization"),
    ("returnAuthorization", "creditMemo"),
    ("returnAuthorization", "itemReceipt"),
    ("purchaseOrder", "itemReceipt"),
    ("purchaseOrder", "vendorBill"),
    ("vendorBill", "vendorPayment"),
    ("customer", "salesOrder"),
    ("customer", "invoice"),
    ("customer", "estimate"),
    ("customer", "opportunity"),
    ("customer", "customerPayment"),
    ("vendor", "purchaseOrder"),
    ("vendor", "vendorBill"),
    ("vendor", "vendorPayment"),
];

/// Types a record of one type can become.
pub(super) fn targets(kind: &Type) -> impl Iterator<Item = &'static str> + '_ {
    WAYS.iter().filter(|(from, _)| *from == kind.name).map(|(_, to)| *to)
}

/// Makes the next record of one, with a body's overrides. Gives its id.
pub(super) fn transform(
    store: &mut Store,
    (from, id): (&'static Type, u64),
    to: &'static Type,
    body: &Map<String, Json>,
    manner: &Manner,
    now: &Now,
) -> Result<u64, Refusal> {
    if !targets(from).any(|target| target == to.name) {
        return Err(Refusal::bad(
            "INVALID_PARAMETER",
            format!("Transformation from '{}' to '{}' is not supported.", from.name, to.name),
        ));
    }
    let source = store.get(from, id).cloned().ok_or_else(|| Refusal::no_record(from.name))?;
    ready(&source, to)?;
    let mut drawn = draft(&source, to);
    for (name, value) in body {
        drawn.insert(name.clone(), value.clone());
    }
    let (made, _) = books::create(store, to, &drawn, manner, now)?;
    if from.is_transaction() && to.position("createdFrom").is_some() {
        store.change(to, made, |record| record.set("createdFrom", id.to_string()));
    }
    follow(store, &source, to, now);
    Ok(made)
}

/// Refuses what is done already.
fn ready(source: &Record, to: &Type) -> Result<(), Refusal> {
    let status = source.text("status");
    let done = match (source.kind.name, to.name) {
        ("salesOrder", "invoice" | "cashSale") => matches!(status, "A" | "C" | "G" | "H"),
        ("salesOrder", "itemFulfillment") => !matches!(status, "B" | "D" | "E"),
        ("invoice", "customerPayment") | ("vendorBill", "vendorPayment") => status == "B",
        ("estimate", _) => matches!(status, "C" | "V" | "X"),
        ("purchaseOrder", "vendorBill") => matches!(status, "A" | "G" | "H"),
        _ => false,
    };
    if done {
        return Err(Refusal::user("That record is not in a state that allows it to be transformed."));
    }
    Ok(())
}

/// The body of the next record.
fn draft(source: &Record, to: &Type) -> Map<String, Json> {
    let mut drawn = Map::new();
    if !source.kind.is_transaction() {
        drawn.insert("entity".to_owned(), json!({ "id": source.id.to_string() }));
        return drawn;
    }
    for name in [
        "entity",
        "currency",
        "exchangeRate",
        "memo",
        "department",
        "class",
        "location",
        "salesRep",
        "otherRefNum",
        "email",
        "terms",
    ] {
        let value = source.get(name);
        if !value.is_null() && to.position(name).is_some() {
            drawn.insert(name.to_owned(), value.clone());
        }
    }
    let settles =
        matches!(to.name, "customerPayment" | "vendorPayment") || (source.kind.name == "invoice" && to.name == "creditMemo");
    if settles {
        drawn.insert("apply".to_owned(), json!({ "items": [{ "doc": { "id": source.id.to_string() }, "apply": true }] }));
    }
    for name in ["item", "expense"] {
        if let (Some((place, sublist)), Some(_)) = (source.kind.sublist(name), to.sublist(name)) {
            let rows: Vec<Json> = source.rows[place].iter().map(|row| copied(&sublist.fields, row)).collect();
            drawn.insert(name.to_owned(), json!({ "items": rows }));
        }
    }
    drawn
}

fn copied(fields: &[super::schema::Field], row: &[Json]) -> Json {
    let pairs = fields.iter().zip(row).filter(|(field, value)| !field.locked && field.name != "line" && !value.is_null());
    Json::Object(pairs.map(|(field, value)| (field.name.to_owned(), value.clone())).collect())
}

/// What the source becomes.
fn follow(store: &mut Store, source: &Record, to: &Type, now: &Now) {
    let next = match (source.kind.name, to.name, source.text("status")) {
        ("salesOrder", "itemFulfillment", _) => "F",
        ("salesOrder", "invoice" | "cashSale", _) | ("purchaseOrder", "vendorBill", _) => "G",
        ("estimate" | "opportunity", _, _) => "B",
        ("purchaseOrder", "itemReceipt", _) => "F",
        _ => return,
    };
    let number = match to.name {
        "itemFulfillment" | "itemReceipt" => "quantityFulfilled",
        _ => "quantityBilled",
    };
    store.change(source.kind, source.id, |record| {
        record.set("status", next);
        if let Some((place, sublist)) = record.kind.sublist("item")
            && let (Some(quantity), Some(done)) = (sublist.position("quantity"), sublist.position(number))
        {
            for row in &mut record.rows[place] {
                row[done] = row[quantity].clone();
            }
        }
        books::touch(record, now);
    });
}
