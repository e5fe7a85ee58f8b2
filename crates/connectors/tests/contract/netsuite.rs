//! NetSuite.

use sandbox::Sandbox;
use serde_json::{Value as Json, json};

use crate::world::World;

/// They go over SOAP, which takes no sessions.
pub(crate) const SOAP: [&str; 7] =
    ["run_saved_search", "soap_get_record", "soap_write_record", "upload_file", "get_file", "attach_file", "saved_search_rows"];
/// Inputs with which an action promises less, or makes more calls.
pub(crate) const MORE: [&str; 10] = [
    "create_record#once",
    "update_record#once",
    "update_lines#once",
    "find_or_create#once",
    "call_restlet#once",
    "custom_call#once",
    "soap_write_record#once",
    "run_suiteql#pages",
    "search_records#pages",
    "run_saved_search#pages",
];

fn config(sandbox: &Sandbox, more: Json, names: &[&str]) -> (Json, Json) {
    let told = sandbox.vendor("netsuite").unwrap().credentials();
    let base = sandbox.url("netsuite").as_str().trim_end_matches('/');
    let mut config = json!({ "account": "1234567_SB1", "base_url": base });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (config, names.iter().map(|name| ((*name).to_owned(), told[*name].clone())).collect())
}

/// Signed in by a certificate.
pub(crate) fn machine(sandbox: &Sandbox) -> (Json, Json) {
    let more = json!({ "auth": "certificate", "certificate_id": "certificate-1", "signature": "ES256" });
    config(sandbox, more, &["client_id", "private_key"])
}

/// Signed in by tokens.
pub(crate) fn tokens(sandbox: &Sandbox) -> (Json, Json) {
    config(sandbox, json!({ "auth": "tba" }), &["consumer_key", "consumer_secret", "token", "token_secret"])
}

fn customer(name: &str) -> Json {
    json!({ "companyName": name, "subsidiary": { "id": "1" } })
}

async fn made(world: &World) -> Json {
    let fields = customer(&world.fresh("Made"));
    world.call("create_record", json!({ "type": "customer", "fields": fields })).await["id"].clone()
}

async fn file(world: &World) -> Json {
    world.call("upload_file", json!({ "folder": "1", "text": "kept", "name": "note.txt" })).await["id"].clone()
}

/// Rows of a page, so that the customers fill so many.
fn pages_of(world: &World, pages: i64) -> i64 {
    world.counts()["customer"] / pages + 1
}

async fn order(world: &World) -> Json {
    let rows = json!({ "items": [{ "item": { "externalId": "SEN-100" }, "quantity": 2 }] });
    let fields = json!({ "entity": { "externalId": "C-0001" }, "item": rows });
    world.call("create_record", json!({ "type": "salesOrder", "fields": fields })).await["id"].clone()
}

pub(crate) async fn input(world: &World, row: &str) -> Json {
    let line = json!({ "item": { "externalId": "SEN-100" }, "quantity": 3 });
    let name = world.fresh("Fern");
    match row {
        "create_record" => json!({ "type": "customer", "fields": customer(&name) }),
        "create_record#once" => json!({ "type": "customer", "external_id": name, "fields": customer(&name) }),
        "update_record" => json!({ "type": "customer", "id": made(world).await, "fields": { "phone": "+1415" } }),
        "update_record#once" => {
            json!({ "type": "salesOrder", "id": order(world).await, "fields": { "item": { "items": [line] } } })
        }
        "upsert_record" => json!({ "type": "customer", "external_id": name, "fields": customer(&name) }),
        "get_record" => json!({ "type": "customer", "external_id": "C-0001" }),
        "delete_record" => json!({ "type": "customer", "id": made(world).await }),
        "find_or_create" => {
            let filters = json!([{ "field": "companyname", "value": name }]);
            json!({ "type": "customer", "filters": filters, "fields": customer(&name) })
        }
        "find_or_create#once" => {
            let filters = json!([{ "field": "companyname", "value": name }]);
            json!({ "type": "customer", "external_id": name, "filters": filters, "fields": customer(&name) })
        }
        "transform_record" => json!({ "type": "salesOrder", "id": order(world).await, "target": "invoice" }),
        "update_lines" => {
            let rows = json!([{ "line": 1, "quantity": 3 }]);
            json!({ "type": "salesOrder", "id": order(world).await, "sublist": "item", "rows": rows })
        }
        "update_lines#once" => {
            json!({ "type": "salesOrder", "id": order(world).await, "sublist": "item", "rows": [line] })
        }
        "check_connection" => json!({}),
        "run_suiteql" => json!({ "query": "SELECT id FROM item ORDER BY id" }),
        "run_suiteql#pages" => json!({ "query": "SELECT id FROM customer ORDER BY id", "page_size": pages_of(world, 3) }),
        "search_records#pages" => json!({ "type": "customer", "fields": ["email"], "page_size": pages_of(world, 3) }),
        "run_saved_search#pages" => {
            json!({ "search": "customsearch_customers", "search_type": "customer", "page_size": pages_of(world, 3) })
        }
        "search_records" => {
            let filters = json!([{ "field": "tranid", "operator": "starts_with", "value": "INV-1" }]);
            json!({ "type": "invoice", "filters": filters, "fields": ["tranid"] })
        }
        "picklist_values" => json!({ "type": "customer", "field": "currency" }),
        "customer_balance" | "open_invoices" => json!({ "external_id": "C-0001" }),
        "item_stock" => json!({ "external_id": "SEN-100" }),
        "call_restlet" => json!({ "script": "customscript_echo", "params": { "name": "A & B" } }),
        "call_restlet#once" => json!({ "script": "1", "method": "POST", "body": { "x": [1] } }),
        "batch_records" => {
            let rows = [1, 2].map(|row| customer(&format!("{name} {row}")));
            json!({ "operation": "create", "type": "customer", "rows": rows })
        }
        "submit_async" => {
            json!({ "path": "customer/eid:C-0001", "method": "PATCH", "body": { "phone": "+1" } })
        }
        "check_async" => {
            let call = json!({ "path": "customer/eid:C-0001", "method": "PATCH", "body": { "phone": "+1" } });
            json!({ "job": world.call("submit_async", call).await["job"] })
        }
        "record_metadata" => json!({ "type": "customer" }),
        "custom_call" => json!({ "path": "record/v1/customer/eid:C-0001", "query": { "fields": "email" } }),
        "custom_call#once" => json!({ "path": "record/v1/customer", "method": "POST", "body": customer(&name) }),
        "run_saved_search" => json!({ "search": "customsearch_customers", "search_type": "customer", "page_size": 1000 }),
        "soap_get_record" => json!({ "type": "customer", "external_id": "C-0001" }),
        "soap_write_record" => {
            json!({ "operation": "upsert", "type": "customer", "external_id": name, "fields": customer(&name) })
        }
        "soap_write_record#once" => {
            json!({ "operation": "add", "type": "customer", "external_id": name, "fields": customer(&name) })
        }
        "upload_file" => json!({ "folder": "1", "file": world.file().await, "name": format!("{name}.pdf") }),
        "get_file" => json!({ "file": file(world).await }),
        "attach_file" => {
            let made = world.call("soap_write_record", {
                json!({ "operation": "add", "type": "customer", "external_id": name, "fields": customer(&name) })
            });
            json!({ "type": "customer", "id": made.await["id"], "file": file(world).await })
        }
        "user_event_script" => json!({ "address": "https://us.example/hooks/a", "types": ["invoice"] }),
        other => panic!("{other} of NetSuite has no row"),
    }
}
