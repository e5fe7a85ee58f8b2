//! Salesforce.

use sandbox::Sandbox;
use serde_json::{Value as Json, json};

use crate::world::World;

/// Ways of actions that promise less, or that make more calls. What changes a setting of the org comes last.
pub(crate) const MORE: [&str; 9] = [
    "create#idempotent",
    "composite#once",
    "custom_request#once",
    "bulk_load#once",
    "bulk_load#delete",
    "batch_create#many",
    "batch_upsert#many",
    "batch_delete#many",
    "query#pages",
];

/// Rows that take two calls of 200.
const MANY: usize = 201;

pub(crate) fn connection(sandbox: &Sandbox) -> (Json, Json) {
    let told = sandbox.vendor("salesforce").unwrap().credentials();
    let config = json!({"login_url": told["login_url"], "sign_in": "client_credentials", "client_id": told["client_id"], "organization_id": told["organization_id"], "pubsub_url": told["pubsub_url"]});
    (config, json!({"client_secret": told["client_secret"]}))
}

async fn made(world: &World, object: &str, fields: Json) -> Json {
    world.call("create", json!({"object": object, "fields": fields})).await["id"].clone()
}

async fn account(world: &World) -> Json {
    made(world, "Account", json!({"Name": world.fresh("Acme")})).await
}

async fn id_of(world: &World, soql: &str) -> Json {
    world.call("query", json!({"soql": soql})).await["records"][0]["Id"].clone()
}

async fn waiting(world: &World) -> Json {
    let asked = world.call("submit_for_approval", json!({"id": account(world).await, "comments": "please"})).await;
    asked["work_items"][0].clone()
}

fn many(row: impl Fn() -> Json) -> Vec<Json> {
    std::iter::repeat_with(row).take(MANY).collect()
}

pub(crate) async fn input(world: &World, row: &str) -> Json {
    let lead = || json!({"LastName": world.fresh("L"), "Company": "B"});
    let keyed = || json!({"LastName": "L", "Company": "B", "External_Id__c": world.fresh("K")});
    match row {
        "create" => json!({"object": "Lead", "fields": lead()}),
        "create#idempotent" => json!({"object": "Lead", "fields": lead(), "dedupe_key": "External_Id__c"}),
        "update" => json!({"object": "Account", "id": account(world).await, "fields": {"Site": "N"}}),
        "upsert" => {
            json!({"object": "Account", "external_id": {"Ext__c": world.fresh("K")}, "fields": {"Name": "K"}})
        }
        "get" => json!({"object": "Account", "id": account(world).await, "fields": ["Name"]}),
        "delete" => json!({"object": "Account", "id": account(world).await}),
        "search" => json!({"object": "Account", "fields": ["External_Id__c"], "order_by": "External_Id__c desc", "limit": 2}),
        "query" => {
            json!({"soql": "SELECT Id FROM Account WHERE External_Id__c = :key", "params": {"key": "C-0001"}})
        }
        "search_sosl" => json!({"text": "calibration", "objects": [{"object": "Case", "fields": ["Subject"]}]}),
        "get_related_records" => {
            let id = id_of(world, "SELECT Id FROM Account WHERE External_Id__c = 'C-0001'").await;
            json!({"object": "Account", "id": id, "list": "Contacts", "fields": ["LastName"]})
        }
        "batch_create" => json!({"object": "Lead", "rows": [lead(), lead()]}),
        "batch_update" => {
            let id = made(world, "Lead", lead()).await;
            json!({"object": "Lead", "rows": [{"Id": id, "Title": "Chief"}]})
        }
        "batch_upsert" => json!({"object": "Lead", "key_field": "External_Id__c", "rows": [keyed(), keyed()]}),
        "batch_create#many" => json!({"object": "Lead", "rows": many(lead)}),
        "batch_upsert#many" => json!({"object": "Lead", "key_field": "External_Id__c", "rows": many(keyed)}),
        "batch_delete#many" => {
            let made = world.call("batch_create", json!({"object": "Lead", "rows": many(lead)})).await;
            let ids: Vec<&Json> = made["rows"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
            json!({"ids": ids})
        }
        "query#pages" => {
            // Three pages, too short to be packed.
            world.configure(json!({"query_page_rows": 2}));
            json!({"soql": "SELECT Id FROM Account WHERE External_Id__c LIKE 'C-%' ORDER BY External_Id__c LIMIT 6"})
        }
        "batch_delete" => json!({"ids": [account(world).await, account(world).await]}),
        "composite" => json!({"calls": [{"id": "a", "method": "GET", "path": "limits"}]}),
        "composite#once" => {
            let body = json!({"Name": world.fresh("A")});
            json!({"calls": [{"id": "acc", "method": "POST", "path": "sobjects/Account", "body": body}]})
        }
        "create_tree" => {
            let records = json!([{"attributes": {"type": "Account", "referenceId": "r1"}, "Name": world.fresh("T")}]);
            json!({"object": "Account", "records": records})
        }
        "bulk_load" => {
            json!({"object": "Lead", "operation": "upsert", "key_field": "External_Id__c", "rows": [keyed(), keyed()]})
        }
        "bulk_load#delete" => {
            let id = made(world, "Lead", lead()).await;
            json!({"object": "Lead", "operation": "delete", "rows": [{"Id": id}]})
        }
        "bulk_load#once" => json!({"object": "Lead", "operation": "insert", "rows": [lead(), lead()]}),
        "bulk_results" => {
            let load = json!({"object": "Lead", "operation": "insert", "rows": [lead(), lead()]});
            json!({"job": world.call("bulk_load", load).await["jobs"][0], "which": "written"})
        }
        "bulk_query" => {
            json!({"soql": "SELECT External_Id__c FROM Account WHERE External_Id__c = :key", "params": {"key": "C-0001"}})
        }
        "upload_file" => json!({"record_id": account(world).await, "text": "hello"}),
        "download_file" => {
            let sent = world.call("upload_file", json!({"record_id": account(world).await, "text": "hello"})).await;
            json!({"id": sent["id"], "name": "back.txt"})
        }
        "submit_for_approval" => json!({"id": account(world).await, "comments": "please"}),
        "approve" | "reject" => json!({"id": waiting(world).await}),
        "limits" => json!({}),
        "describe_object" => json!({"object": "Campaign"}),
        "run_report" => {
            json!({"report_id": id_of(world, "SELECT Id FROM Report WHERE DeveloperName = 'Open_Invoices'").await})
        }
        "run_flow" => json!({"flow": "Welcome_Customer", "inputs": {"accountId": account(world).await}}),
        "call_apex_rest" => json!({"path": "Echo/a b", "method": "POST", "query": {"x": 1}, "body": {"y": 2}}),
        "add_campaign_member" => {
            let campaign = id_of(world, "SELECT Id FROM Campaign").await;
            json!({"campaign_id": campaign, "person_id": made(world, "Lead", lead()).await, "status": "Sent"})
        }
        "add_note" => json!({"record_id": account(world).await, "title": "Called"}),
        "publish_event" => json!({"event": "Order_Event__e", "fields": {"Number__c": "7"}}),
        "custom_request" => json!({"path": "limits"}),
        "custom_request#once" => {
            json!({"method": "POST", "path": "sobjects/Account", "body": {"Name": world.fresh("A")}})
        }
        other => panic!("{other} of Salesforce has no row"),
    }
}
