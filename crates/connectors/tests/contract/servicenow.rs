//! ServiceNow.

use sandbox::Sandbox;
use serde_json::{Value as Json, json};

use crate::world::World;

/// Ways of actions that promise less, or that make more calls. What changes the instance comes last.
pub(crate) const MORE: [&str; 7] = [
    "create_record#once",
    "update_record#once",
    "import_rows#idempotent",
    "import_rows#several",
    "import_rows#multiple",
    "batch_write#rounds",
    "search_records#pages",
];

pub(crate) fn connection(sandbox: &Sandbox) -> (Json, Json) {
    let told = sandbox.vendor("servicenow").unwrap().credentials();
    let config = json!({"base_url": sandbox.url("servicenow").as_str(), "auth": "client_credentials"});
    (config, json!({"client_id": told["client_id"], "client_secret": told["client_secret"]}))
}

/// The first value of a field of a table.
fn of(world: &World, table: &str, field: &str) -> Json {
    let rows = world.vendor.sandbox.vendor("servicenow").unwrap().rows(table, 0, 1).unwrap();
    rows[0][field].clone()
}

async fn incident(world: &World) -> Json {
    world.call("create_incident", json!({"short_description": "x"})).await["sys_id"].clone()
}

async fn attachment(world: &World) -> Json {
    let on = incident(world).await;
    world.call("upload_attachment", json!({"table": "incident", "sys_id": on, "text": "kept"})).await["sys_id"].clone()
}

pub(crate) async fn input(world: &World, row: &str) -> Json {
    let item = || of(world, "sc_cat_item", "sys_id");
    match row {
        "get_record" => json!({"table": "incident", "sys_id": of(world, "incident", "sys_id")}),
        "search_records" => json!({"table": "incident", "filter": "state=1", "limit": 3}),
        "create_record" => json!({"table": "incident", "fields": {"short_description": "x"}}),
        "create_record#once" => json!({"table": "incident", "fields": {"short_description": "x"}, "idempotency": "none"}),
        "update_record" => json!({"table": "incident", "sys_id": incident(world).await, "fields": {"urgency": "1"}}),
        "update_record#once" => {
            json!({"table": "incident", "sys_id": incident(world).await, "fields": {"comments": "told"}})
        }
        "upsert_record" => {
            json!({"table": "core_company", "key_field": "u_external_id", "key_value": world.fresh("C"), "fields": {"city": "Bern", "name": world.fresh("N")}})
        }
        "delete_record" => json!({"table": "incident", "sys_id": incident(world).await}),
        "aggregate" => json!({"table": "incident"}),
        "create_incident" | "create_change" | "create_request" => json!({"short_description": "x"}),
        "resolve_incident" => json!({"sys_id": incident(world).await, "close_notes": "x"}),
        "add_comment" | "add_work_note" => json!({"table": "incident", "sys_id": incident(world).await, "text": "x"}),
        "assign_task" => json!({"sys_id": incident(world).await, "assigned_to": "admin"}),
        "get_user" => json!({"user": "admin"}),
        "find_group" => json!({"group": of(world, "sys_user_group", "name")}),
        "who_am_i" => json!({}),
        "import_rows" => {
            json!({"staging_table": "u_imp_customer", "rows": [{"u_external_id": world.fresh("C"), "u_name": "x"}]})
        }
        "import_rows#idempotent" => {
            json!({"staging_table": "u_imp_customer", "rows": [{"u_external_id": world.fresh("C"), "u_name": "x"}], "coalesces": true})
        }
        "import_rows#several" | "import_rows#multiple" => {
            let rows = [1, 2].map(|_| json!({"u_external_id": world.fresh("C"), "u_name": "x"}));
            world.configure(json!({"transform_s": 0}));
            let mode = if row.ends_with("#multiple") { "multiple" } else { "single" };
            json!({"staging_table": "u_imp_customer", "rows": rows, "mode": mode})
        }
        "search_records#pages" => {
            // More than a page holds.
            if world.counts()["incident"] <= 1_000 {
                let many = json!({"table": "incident", "count": 1_001});
                world.vendor.sandbox.vendor("servicenow").unwrap().happen("burst", &many).unwrap();
            }
            json!({"table": "incident", "fields": ["number"]})
        }
        "batch_write" | "batch_write#rounds" => {
            world.configure(json!({"batch_items_run": row.ends_with("#rounds").then_some(1)}));
            let item = json!({"method": "create", "table": "incident", "fields": {"urgency": "2"}});
            json!({"items": [item.clone(), item]})
        }
        "list_attachments" => json!({"table": "incident", "sys_id": of(world, "incident", "sys_id")}),
        "upload_attachment" => json!({"table": "incident", "sys_id": incident(world).await, "text": "x"}),
        "download_attachment" | "delete_attachment" => json!({"attachment": attachment(world).await}),
        "find_catalog_items" => json!({"text": "laptop"}),
        "get_catalog_item" => json!({"item": item()}),
        "order_catalog_item" => {
            json!({"item": item(), "variables": {"model": "x", "program": "x", "employee_number": "1"}})
        }
        "custom_request" => json!({"method": "POST", "path": "/api/now/table/incident", "body": {}}),
        "business_rule_script" => json!({"table": "incident", "address": "https://us.example/hooks/a"}),
        other => panic!("{other} of ServiceNow has no row"),
    }
}
