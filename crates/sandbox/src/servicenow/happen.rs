//! What people do in the instance on demand of a test or a demo.

use serde_json::{Value as Json, json};

use super::{
    ServiceNow,
    data::stamp,
    scene::{Refusal, Scene},
    schema::{FIELDS_MAX, Field, Schema, TABLES_MAX},
    seed,
    write::{Values, texts},
};
use crate::Problem;

/// Records of one burst.
const BURST_MAX: u64 = 10_000;

pub(super) fn list() -> Vec<(&'static str, &'static str, Json)> {
    vec![
        (
            "create_record",
            "somebody creates a record",
            json!({"table": "incident", "values": {"short_description": "Door stuck"}, "by": "admin"}),
        ),
        (
            "change_record",
            "somebody changes a record",
            json!({"table": "incident", "number": "INC0010001", "values": {"state": "2"}}),
        ),
        ("delete_record", "somebody deletes a record", json!({"table": "incident", "number": "INC0010001"})),
        (
            "comment",
            "somebody comments",
            json!({"table": "incident", "number": "INC0010001", "kind": "comments", "text": "Any news?"}),
        ),
        ("resolve_incident", "an incident is resolved", json!({"number": "INC0010001"})),
        ("customer_reports", "a customer opens an incident", json!({"customer": "C-0001", "text": "The device is broken"})),
        ("dispute_opens", "a customer disputes an invoice", json!({"invoice": "INV-1001", "text": "This was paid"})),
        ("invoice_paid", "an invoice is marked as paid", json!({"invoice": "INV-1001"})),
        ("request_approved", "a catalog request is closed as fulfilled", json!({"number": "REQ0010001"})),
        ("user_leaves", "somebody's account is closed", json!({"employee_number": "21010"})),
        ("burst", "many records within one second", json!({"table": "incident", "count": 50})),
        ("late_record", "a record appears whose stamps are old", json!({"table": "incident", "seconds": 120, "values": {}})),
        (
            "silent_change",
            "a script changes a record without its stamps",
            json!({"table": "incident", "number": "INC0010001", "values": {"urgency": "1"}}),
        ),
        (
            "install_webhook",
            "a business rule is installed that calls an address",
            json!({"table": "incident", "url": "http://127.0.0.1:1/hook", "operations": ["insert", "update", "delete"]}),
        ),
        (
            "install_abort",
            "a business rule is installed that stops changes",
            json!({"table": "incident", "name": "Check dates", "filter": "short_descriptionLIKEforbidden", "message": "not allowed"}),
        ),
        (
            "add_field",
            "an administrator adds a field",
            json!({"table": "incident", "name": "u_new", "type": "string:40", "label": "New"}),
        ),
        ("remove_field", "an administrator removes a field", json!({"table": "incident", "name": "u_new"})),
        (
            "add_table",
            "an administrator adds a table",
            json!({"name": "u_thing", "label": "Thing", "parent": "", "fields": [["u_name", "string:40", "Name", "display"]]}),
        ),
        ("lock_user", "an account is locked", json!({"user_name": seed::INTEGRATION_USER})),
        ("unlock_user", "an account is unlocked", json!({"user_name": seed::INTEGRATION_USER})),
        ("expire_tokens", "every access token ends", json!({})),
        ("revoke_tokens", "every token ends, refresh tokens too", json!({})),
    ]
}

pub(super) fn happen(instance: &ServiceNow, name: &str, with: &Json) -> Result<Json, Problem> {
    match name {
        "expire_tokens" => instance.state.lock().tokens.expire_all(),
        "revoke_tokens" => instance.state.lock().tokens.revoke_all(),
        _ => {
            let by = with["by"].as_str().unwrap_or("admin");
            let done = instance.with(by, |scene| act(scene, name, with));
            return done.ok_or_else(|| Problem(format!("there is no user {by}")))?;
        }
    }
    Ok(json!({}))
}

fn word<'a>(with: &'a Json, name: &str) -> Result<&'a str, Problem> {
    with[name].as_str().ok_or_else(|| Problem(format!("{name} is missing")))
}

fn given(with: &Json) -> Values {
    with["values"].as_object().map(texts).unwrap_or_default()
}

fn refused(refusal: Refusal) -> Problem {
    Problem(refusal.detail.unwrap_or(refusal.message))
}

/// The record that is spoken of, by `sys_id` or number.
fn spoken(scene: &Scene<'_>, table: &str, with: &Json) -> Result<String, Problem> {
    let record = match (with["sys_id"].as_str(), with["number"].as_str()) {
        (Some(id), _) => scene.state.data.find(table, id),
        (None, Some(number)) => scene.state.data.first(table, "number", number),
        _ => None,
    };
    record.map(|record| record.id().to_owned()).ok_or_else(|| Problem(format!("there is no such record in {table}")))
}

fn values<const N: usize>(fields: [(&str, &str); N]) -> Values {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn act(scene: &mut Scene<'_>, name: &str, with: &Json) -> Result<Json, Problem> {
    let table = with["table"].as_str().unwrap_or("incident").to_owned();
    match name {
        "create_record" => insert(scene, &table, &given(with)),
        "change_record" => {
            let id = spoken(scene, &table, with)?;
            update(scene, &table, &id, &given(with))
        }
        "delete_record" => {
            let id = spoken(scene, &table, with)?;
            scene.delete(&table, &id).map_err(refused)?;
            Ok(json!({"sys_id": id}))
        }
        "comment" => {
            let id = spoken(scene, &table, with)?;
            let kind = with["kind"].as_str().unwrap_or("comments");
            update(scene, &table, &id, &values([(kind, word(with, "text")?)]))
        }
        "resolve_incident" => {
            let id = spoken(scene, "incident", with)?;
            let fields = values([("state", "6"), ("close_code", "Solution provided"), ("close_notes", "Solved.")]);
            update(scene, "incident", &id, &fields)
        }
        "customer_reports" => customer_reports(scene, with),
        "dispute_opens" => dispute(scene, with),
        "invoice_paid" => {
            let id = find(scene, "u_customer_invoice", "u_number", word(with, "invoice")?)?;
            let today = scene.stamp()[..10].to_owned();
            update(scene, "u_customer_invoice", &id, &values([("u_status", "paid"), ("u_paid", &today)]))
        }
        "request_approved" => {
            let id = spoken(scene, "sc_request", with)?;
            update(
                scene,
                "sc_request",
                &id,
                &values([("request_state", "closed_complete"), ("state", "3"), ("stage", "complete")]),
            )
        }
        "user_leaves" => {
            let id = find(scene, "sys_user", "employee_number", word(with, "employee_number")?)?;
            update(scene, "sys_user", &id, &values([("active", "false")]))
        }
        "lock_user" | "unlock_user" => {
            let id = find(scene, "sys_user", "user_name", word(with, "user_name")?)?;
            update(scene, "sys_user", &id, &values([("locked_out", if name == "lock_user" { "true" } else { "false" })]))
        }
        "burst" => burst(scene, &table, with),
        "late_record" => late(scene, &table, with),
        "silent_change" => silent(scene, &table, with),
        "install_webhook" => install_webhook(scene, &table, with),
        "install_abort" => install_abort(scene, &table, with),
        "add_field" | "remove_field" | "add_table" => change_schema(scene, name, with),
        _ => Err(Problem(format!("nothing called {name} can happen here"))),
    }
}

fn insert(scene: &mut Scene<'_>, table: &str, fields: &Values) -> Result<Json, Problem> {
    let record = scene.insert(table, fields, false).map_err(refused)?;
    Ok(json!({"sys_id": record.id(), "number": record.get("number")}))
}

fn update(scene: &mut Scene<'_>, table: &str, id: &str, fields: &Values) -> Result<Json, Problem> {
    let record = scene.update(table, id, fields, false).map_err(refused)?;
    Ok(json!({"sys_id": id, "number": record.get("number")}))
}

fn find(scene: &Scene<'_>, table: &str, field: &str, value: &str) -> Result<String, Problem> {
    let record = scene.state.data.first(table, field, value);
    record.map(|record| record.id().to_owned()).ok_or_else(|| Problem(format!("there is no {value} in {table}")))
}

fn customer_reports(scene: &mut Scene<'_>, with: &Json) -> Result<Json, Problem> {
    let company = find(scene, "core_company", "u_external_id", word(with, "customer")?)?;
    let caller = find(scene, "customer_contact", "account", &company).unwrap_or_default();
    insert(
        scene,
        "incident",
        &values([("short_description", word(with, "text")?), ("company", &company), ("caller_id", &caller)]),
    )
}

fn dispute(scene: &mut Scene<'_>, with: &Json) -> Result<Json, Problem> {
    let invoice = find(scene, "u_customer_invoice", "u_number", word(with, "invoice")?)?;
    update(scene, "u_customer_invoice", &invoice, &values([("u_status", "disputed")]))?;
    let company =
        scene.state.data.find("u_customer_invoice", &invoice).map(|row| row.get("u_customer").to_owned()).unwrap_or_default();
    let caller = find(scene, "customer_contact", "account", &company).unwrap_or_default();
    let text = with["text"].as_str().unwrap_or("Invoice is disputed");
    let fields = [
        ("short_description", text),
        ("category", "billing"),
        ("u_invoice", &invoice),
        ("company", &company),
        ("caller_id", &caller),
    ];
    insert(scene, "incident", &values(fields))
}

fn burst(scene: &mut Scene<'_>, table: &str, with: &Json) -> Result<Json, Problem> {
    let count = with["count"].as_u64().unwrap_or(10).min(BURST_MAX);
    let mut ids = Vec::new();
    for place in 0..count {
        let mut fields = given(with);
        fields.entry("short_description".to_owned()).or_insert_with(|| format!("Burst {place}"));
        ids.push(insert(scene, table, &fields)?["sys_id"].clone());
    }
    Ok(json!({"sys_ids": ids}))
}

fn late(scene: &mut Scene<'_>, table: &str, with: &Json) -> Result<Json, Problem> {
    let seconds = i64::try_from(with["seconds"].as_u64().unwrap_or(60)).unwrap_or(i64::MAX);
    let now = scene.now;
    scene.now = now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
    let done = insert(scene, table, &given(with));
    scene.now = now;
    done
}

fn silent(scene: &mut Scene<'_>, table: &str, with: &Json) -> Result<Json, Problem> {
    let id = spoken(scene, table, with)?;
    let record = scene.state.data.find(table, &id).cloned();
    let mut record = record.map(|record| (*record).clone()).ok_or_else(|| Problem("it is gone".to_owned()))?;
    for (name, value) in given(with) {
        record.set(&name, value);
    }
    scene.state.data.put(record);
    Ok(json!({"sys_id": id}))
}

fn install_webhook(scene: &mut Scene<'_>, table: &str, with: &Json) -> Result<Json, Problem> {
    let url = word(with, "url")?;
    if url.contains(['\'', '"']) {
        return Err(Problem("url has quotes".to_owned()));
    }
    if let Some(key) = with["key"].as_str() {
        let id = find(scene, "sys_properties", "name", seed::WEBHOOK_PROPERTY)?;
        update(scene, "sys_properties", &id, &values([("value", key)]))?;
    }
    let script = format!(
        "r.setEndpoint('{url}'); r.setRequestHeader('X-Liaison-Signature', mac.generateMac(gs.getProperty('{}'), 'HmacSHA256', body));",
        seed::WEBHOOK_PROPERTY
    );
    let operations: Vec<&str> =
        with["operations"].as_array().map(|list| list.iter().filter_map(Json::as_str).collect()).unwrap_or_default();
    let on = |name: &str| if operations.is_empty() || operations.contains(&name) { "true" } else { "false" };
    let fields = [
        ("name", "Liaison events"),
        ("collection", table),
        ("when", "async"),
        ("action_insert", on("insert")),
        ("action_update", on("update")),
        ("action_delete", on("delete")),
        ("advanced", "true"),
        ("filter_condition", with["filter"].as_str().unwrap_or_default()),
        ("script", &script),
    ];
    insert(scene, "sys_script", &values(fields))
}

fn install_abort(scene: &mut Scene<'_>, table: &str, with: &Json) -> Result<Json, Problem> {
    let fields = [
        ("name", with["name"].as_str().unwrap_or("Stop")),
        ("collection", table),
        ("when", "before"),
        ("action_insert", "true"),
        ("action_update", "true"),
        ("action_delete", "true"),
        ("abort_action", "true"),
        ("message", with["message"].as_str().unwrap_or("not allowed")),
        ("filter_condition", with["filter"].as_str().unwrap_or_default()),
    ];
    insert(scene, "sys_script", &values(fields))
}

fn change_schema(scene: &mut Scene<'_>, name: &str, with: &Json) -> Result<Json, Problem> {
    let mut schema = Schema::clone(&scene.state.data.schema);
    let mut table = if name == "add_table" {
        if schema.tables().count() >= TABLES_MAX || schema.table(word(with, "name")?).is_some() {
            return Err(Problem("there is such a table, or there are too many".to_owned()));
        }
        let parent = with["parent"].as_str().unwrap_or_default();
        if !parent.is_empty() && schema.table(parent).is_none() {
            return Err(Problem(format!("there is no table {parent}")));
        }
        Schema::empty(word(with, "name")?, with["label"].as_str().unwrap_or("Thing"), parent, "")
    } else {
        schema.table(word(with, "table")?).cloned().ok_or_else(|| Problem("there is no such table".to_owned()))?
    };
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    match name {
        "remove_field" => table.fields.retain(|field| field.name != with["name"]),
        "add_field" => {
            table.fields.push(Field::new(word(with, "name")?, word(with, "type")?, with["label"].as_str().unwrap_or("New"), ""))
        }
        _ => {
            for field in with["fields"].as_array().into_iter().flatten() {
                table.fields.push(Field::new(&text(&field[0]), &text(&field[1]), &text(&field[2]), &text(&field[3])));
            }
        }
    }
    if table.fields.len() > FIELDS_MAX {
        return Err(Problem("the table has too many fields".to_owned()));
    }
    let company = scene.world.company();
    let make = seed::Maker::new(scene.world, &company);
    let rows = seed::dictionary(&make, &table);
    let old: Vec<(String, String)> = ["sys_dictionary", "sys_documentation"]
        .iter()
        .flat_map(|class| {
            scene
                .state
                .data
                .all(class)
                .filter(|row| row.get("name") == table.name)
                .map(|row| (row.class.clone(), row.id().to_owned()))
        })
        .collect();
    for (class, id) in old {
        scene.state.data.remove(&class, &id);
    }
    let now = stamp(scene.now);
    scene.state.data.fill(rows.into_iter().map(|row| row.with("sys_updated_on", &now)));
    schema.put(table);
    scene.state.data.schema = std::sync::Arc::new(schema);
    Ok(json!({}))
}
