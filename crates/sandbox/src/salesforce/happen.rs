//! What can be made to happen, as if people had done it.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{
    errors::Trouble,
    org::Org,
    pubsub,
    schema::{new_object, parse_field},
    streaming::Listeners,
    system::System,
    value::Value,
    write::{Fields, Upserted, Writer},
};
use crate::Problem;

/// Records of a burst.
const BURST_MAX: usize = 200_000;

type Happening = (&'static str, &'static str, Json);

pub(super) fn all() -> Vec<Happening> {
    vec![
        ("create", "a person creates a record", json!({ "object": "Lead", "fields": { "LastName": "Ray", "Company": "Acme" } })),
        (
            "change",
            "a person changes a record, by its id or by a key",
            json!({ "object": "Account", "key": "External_Id__c", "value": "C-0001", "fields": { "Rating": "Hot" } }),
        ),
        (
            "delete",
            "a person deletes a record; \"for_good\" leaves nothing in the recycle bin",
            json!({ "object": "Account", "key": "External_Id__c", "value": "C-0001", "for_good": false }),
        ),
        ("undelete", "a person takes a record out of the recycle bin", json!({ "object": "Account", "id": "001..." })),
        ("invoice_paid", "an invoice is marked as paid and a platform event tells of it", json!({ "invoice": "INV-1001" })),
        (
            "burst",
            "many records are created in one second by an import; with \"key\" and \"value\" each has the value with its number in that field",
            json!({ "object": "Lead", "count": 5000, "fields": { "LastName": "Import", "Company": "Bulk" } }),
        ),
        (
            "publish",
            "a platform event is published, or many alike",
            json!({ "event": "Order_Event__e", "fields": { "Number__c": "7" }, "count": 1 }),
        ),
        (
            "gap",
            "Salesforce could not make a change event and tells only of the gap",
            json!({ "object": "Account", "kind": "GAP_UPDATE", "ids": ["001..."] }),
        ),
        ("forget_listeners", "the streaming server forgets its CometD clients: they have to begin with a handshake", json!({})),
        ("move_org", "the org moves to another instance: events that were kept are gone, and replay ids with them", json!({})),
        (
            "add_object",
            "an admin adds a custom object",
            json!({ "name": "Site__c", "label": "Site", "fields": ["Code__c string:20 external unique \"Code\""] }),
        ),
        ("add_field", "an admin adds a field", json!({ "object": "Account", "field": "Region__c string:80 \"Region\"" })),
        ("remove_field", "an admin takes a field away", json!({ "object": "Account", "field": "Rating" })),
        ("expire_sessions", "every session ends; refresh tokens stay good", json!({})),
        ("revoke_access", "a person takes the app's access away", json!({})),
        ("release_bulk", "bulk jobs that are held go on", json!({})),
    ]
}

fn refused(trouble: Trouble) -> Problem {
    Problem(format!("{}: {}", trouble.code, trouble.message))
}

fn text<'a>(with: &'a Json, name: &str) -> Result<&'a str, Problem> {
    with[name].as_str().ok_or_else(|| Problem(format!("\"{name}\" is missing; it is a text")))
}

pub(super) fn happen(system: &Arc<System>, name: &str, with: &Json) -> Result<Json, Problem> {
    match name {
        "expire_sessions" => system.tokens.expire_all(),
        "revoke_access" => system.tokens.revoke_all(),
        "move_org" => system.bus.lock().move_away(),
        "forget_listeners" => {
            *system.listeners.lock() = Listeners::default();
            system.bus.lock().ring();
        }
        "release_bulk" => {
            system.configure(&json!({ "bulk_held": false }))?;
        }
        _ => {
            let mut org = system.org.lock();
            let user =
                org.schema.find("User").and_then(|object| org.tables[object].all().nth(1).map(|row| Arc::<str>::from(row.id())));
            let user = user.unwrap_or_else(|| system.identity.read().user.clone());
            let mut person = system.writer(&user, "com/salesforce/ui", true);
            person.duplicates = super::write::Duplicates::Saved;
            let mark = org.mark();
            let done = on_records(system, &mut org, &person, name, with);
            if done.is_err() {
                org.roll_back(mark);
            }
            system.settle(&mut org);
            return done;
        }
    }
    Ok(json!({}))
}

fn on_records(system: &System, org: &mut Org, person: &Writer, name: &str, with: &Json) -> Result<Json, Problem> {
    let nothing = Fields::new();
    let fields = with["fields"].as_object().unwrap_or(&nothing);
    match name {
        "add_object" => return add_object(system, org, with),
        "add_field" | "remove_field" => return change_field(system, org, with, name == "add_field"),
        "invoice_paid" => return invoice_paid(system, org, person, with),
        "publish" => {
            let event = text(with, "event")?;
            let object = org.schema.find(event).map(|object| &org.schema.objects[object]).filter(|object| object.event());
            let object = object.ok_or_else(|| Problem(format!("there is no event {event}")))?;
            let uuids: Vec<Json> = (0..count(with, 1)?)
                .map(|_| json!(pubsub::publish(system, object, fields.clone(), &person.user, None).1))
                .collect();
            return Ok(json!({ "uuid": uuids.first(), "uuids": uuids }));
        }
        "gap" => return gap(system, org, with),
        "create" | "change" | "delete" | "undelete" | "burst" => {}
        _ => return Err(Problem(format!("Salesforce knows no happening \"{name}\""))),
    }
    let wanted = text(with, "object")?;
    let object = org.schema.find(wanted).ok_or_else(|| Problem(format!("there is no object {wanted}")))?;
    match name {
        "create" => org.insert(person, object, fields).map(|id| json!({ "id": &*id })).map_err(refused),
        "burst" => burst(org, person, object, with, fields),
        "undelete" => org.undelete(person, object, text(with, "id")?).map(|()| json!({})).map_err(refused),
        _ => {
            let id = named(org, object, with)?;
            if name == "change" {
                org.update(person, object, &id, fields).map(|id| json!({ "id": &*id })).map_err(refused)
            } else {
                let for_good = with["for_good"].as_bool().unwrap_or(false);
                org.delete(person, object, &id, for_good).map(|()| json!({ "id": id })).map_err(refused)
            }
        }
    }
}

/// The record a happening speaks of: by `id`, or by `key` and `value`.
fn named(org: &Org, object: usize, with: &Json) -> Result<String, Problem> {
    if let Some(id) = with["id"].as_str() {
        return Ok(id.to_owned());
    }
    let (key, value) = (text(with, "key")?, text(with, "value")?);
    let field = org.schema.objects[object].place(key).filter(|place| org.schema.objects[object].fields[*place].indexed());
    let field = field.ok_or_else(|| Problem(format!("{key} is no field records are found by")))?;
    match &org.with_value(object, field, &Value::Text(value.into()))[..] {
        [row] => Ok(row.id().to_owned()),
        found => Err(Problem(format!("{} records have {key} \"{value}\"", found.len()))),
    }
}

fn count(with: &Json, least: usize) -> Result<usize, Problem> {
    let given = if with["count"].is_null() && least > 0 { Some(least as u64) } else { with["count"].as_u64() };
    let count = given.and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= BURST_MAX);
    count.ok_or_else(|| Problem(format!("\"count\" is a number up to {BURST_MAX}")))
}

fn gap(system: &System, org: &Org, with: &Json) -> Result<Json, Problem> {
    let (name, kind) = (text(with, "object")?, text(with, "kind")?);
    let object = org.schema.find(name).ok_or_else(|| Problem(format!("there is no object {name}")))?;
    let kind =
        ["GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW"].into_iter().find(|known| *known == kind);
    let kind =
        kind.ok_or_else(|| Problem("\"kind\" is GAP_CREATE, GAP_UPDATE, GAP_DELETE, GAP_UNDELETE or GAP_OVERFLOW".to_owned()))?;
    let ids = with["ids"].as_array().into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    pubsub::gap(system, org, object, ids, kind);
    Ok(json!({}))
}

fn burst(org: &mut Org, person: &Writer, object: usize, with: &Json, fields: &Fields) -> Result<Json, Problem> {
    let count = count(with, 0)?;
    let key = with["key"].as_str().map(|key| Ok((key, text(with, "value")?))).transpose()?;
    let mut fields = fields.clone();
    for number in 0..count {
        if let Some((key, value)) = key {
            fields.insert(key.to_owned(), json!(format!("{value}{number}")));
        }
        org.insert(person, object, &fields).map_err(refused)?;
    }
    Ok(json!({ "created": count }))
}

fn invoice_paid(system: &System, org: &mut Org, person: &Writer, with: &Json) -> Result<Json, Problem> {
    let number = text(with, "invoice")?;
    let object = org.schema.find("Invoice__c").ok_or_else(|| Problem("there are no invoices".to_owned()))?;
    let key = org.schema.objects[object].place("Invoice_Number__c").unwrap_or_default();
    let day = super::value::day_of(person.now_ms).to_string();
    let fields = json!({ "Status__c": "Paid", "Paid__c": day });
    let done = org.upsert(person, object, (key, number), fields.as_object().unwrap_or(&Fields::new()), true).map_err(refused)?;
    let Upserted::Updated(id) = done else { return Err(Problem(format!("there is no invoice {number}"))) };
    let amount = org.schema.objects[object].place("Amount__c").and_then(|at| match org.by_id(object, &id)?.get(at) {
        Value::Number(amount) => Some(*amount),
        _ => None,
    });
    let payload = json!({ "Invoice_Number__c": number, "Amount__c": amount, "Paid_On__c": day });
    let payload = payload.as_object().cloned().unwrap_or_default();
    if let Some(event) = org.schema.find("Invoice_Paid__e") {
        pubsub::publish(system, &org.schema.objects[event], payload, &person.user, None);
    }
    Ok(json!({ "id": &*id }))
}

fn add_object(system: &System, org: &mut Org, with: &Json) -> Result<Json, Problem> {
    let name = text(with, "name")?;
    let good = name.ends_with("__c") && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if !good {
        return Err(Problem("a custom object's name ends with __c".to_owned()));
    }
    let label = with["label"].as_str().unwrap_or(name);
    // Prefixes of custom objects count from a02 on; the first two are taken.
    let prefix = format!("a{:02}", org.schema.prefixes() % 90 + 10);
    let mut object = new_object(name, &prefix, label, &format!("{label}s"));
    for line in ["OwnerId reference:User/Owner defaulted \"Owner ID\"", "Name string:80 required name \"Name\""] {
        object.fields.reserve(1);
        if let Some(field) = parse_field(line) {
            object.add(field);
        }
    }
    for line in with["fields"].as_array().into_iter().flatten() {
        let field = line.as_str().and_then(parse_field).ok_or_else(|| Problem(format!("{line} is no field")))?;
        object.add(field);
    }
    if !org.schema.add(object) {
        return Err(Problem(format!("{name} is there already, or there are too many objects")));
    }
    org.grow(system.world.seed());
    system.schema_changed();
    Ok(json!({}))
}

fn change_field(system: &System, org: &mut Org, with: &Json, add: bool) -> Result<Json, Problem> {
    let (name, field) = (text(with, "object")?, text(with, "field")?);
    let object = org.schema.find(name).ok_or_else(|| Problem(format!("there is no object {name}")))?;
    let described = &mut org.schema.objects[object];
    if add {
        let field = parse_field(field)
            .ok_or_else(|| Problem(format!("\"{field}\" is no field; write for example Region__c string:80")))?;
        if !described.add(field) {
            return Err(Problem("a field of that name is there already, or there are too many".to_owned()));
        }
    } else {
        let place = described
            .place(field)
            .filter(|place| *place > 6)
            .ok_or_else(|| Problem(format!("{name} has no field {field} that can go")))?;
        described.fields[place].gone = true;
    }
    system.schema_changed();
    Ok(json!({}))
}
