//! Tickets, people, the catalog, and whatever else the instance has.

use connector::{Effect, ErrorClass};
use serde_json::json;

use crate::{Instance, failed, start};

#[tokio::test]
async fn an_incident_goes_from_open_to_resolved() {
    let vendor = start().await;
    let email = vendor.column("sys_user", "email").into_iter().find(|email| email.ends_with("northwind.example")).unwrap();
    let group = vendor.column("sys_user_group", "name").remove(0);
    let input = json!({"short_description": "Door stuck", "caller": email, "urgency": 1, "impact": 1, "assignment_group": group, "fields": {"category": "hardware"}});
    let made = vendor.call("create_incident", input.clone()).await.unwrap();
    assert_eq!(
        (&made["priority"], &made["category"], &made["assignment_group_display"]),
        (&json!(1), &json!("hardware"), &json!(group))
    );
    assert_eq!(vendor.call("create_incident", input).await.unwrap()["sys_id"], made["sys_id"]);
    let entry = |text: &str| json!({"table": "incident", "sys_id": made["sys_id"], "text": text});
    vendor.call("add_comment", entry("We are on it")).await.unwrap();
    vendor.call("add_work_note", entry("Needs oil")).await.unwrap();
    assert_eq!(vendor.column("sys_journal_field", "value").len(), 2);
    let assigned = vendor.call("assign_task", json!({"sys_id": made["sys_id"], "assigned_to": email})).await.unwrap();
    assert!(assigned["assigned_to"].is_string());
    failed(vendor.call("assign_task", json!({"sys_id": made["sys_id"]})).await, ErrorClass::Invalid, "NOBODY_GIVEN");
    let resolved = vendor.call("resolve_incident", json!({"sys_id": made["sys_id"], "close_notes": "Oiled"})).await.unwrap();
    assert_eq!((&resolved["state_display"], &resolved["close_code"]), (&json!("Resolved"), &json!("Solution provided")));
    failed(
        vendor.call("create_incident", json!({"short_description": "x", "caller": "nobody@example.com"})).await,
        ErrorClass::NotFound,
        "NO_RECORD",
    );
    let effect = |action: &str| (vendor.connector.action(action).unwrap().effect)(&json!({}));
    assert_eq!(
        (effect("add_comment"), effect("create_incident"), effect("order_catalog_item")),
        (Effect::Once, Effect::Idempotent, Effect::Once)
    );
}

#[tokio::test]
async fn changes_requests_and_people() {
    let vendor = start().await;
    let change = vendor
        .call("create_change", json!({"short_description": "Patch", "type": "emergency", "start": "2026-12-01T08:00:00Z"}))
        .await
        .unwrap();
    assert_eq!((&change["type"], &change["start_date"]), (&json!("emergency"), &json!("2026-12-01T08:00:00Z")));
    let standard = json!({"short_description": "Patch", "type": "standard", "template": "a".repeat(32)});
    assert_eq!(vendor.call("create_change", standard).await.unwrap()["type"], "standard");
    failed(
        vendor.call("create_change", json!({"short_description": "x", "type": "standard"})).await,
        ErrorClass::Invalid,
        "TEMPLATE_MISSING",
    );
    let user = vendor.call("get_user", json!({"user": "admin"})).await.unwrap();
    assert_eq!((&user["name"], user.get("user_password")), (&json!("System Administrator"), None));
    let request = vendor.call("create_request", json!({"short_description": "Chair", "requested_for": "admin"})).await.unwrap();
    assert_eq!(request["requested_for"], user["sys_id"]);
    let group = vendor.column("sys_user_group", "name").remove(0);
    assert_eq!(vendor.call("find_group", json!({"group": group})).await.unwrap()["name"], json!(group));
}

#[tokio::test]
async fn the_catalog_is_ordered_from() {
    let vendor = start().await;
    let items = vendor.call("find_catalog_items", json!({"text": "laptop"})).await.unwrap();
    let item = items["items"][0]["sys_id"].clone();
    let detail = vendor.call("get_catalog_item", json!({"item": item})).await.unwrap();
    assert_eq!(detail["variables"][0]["name"], "model");
    let missing =
        failed(vendor.call("order_catalog_item", json!({"item": item})).await, ErrorClass::Invalid, "MANDATORY_VARIABLES");
    assert!(missing.message.contains("Which model"), "{}", missing.message);
    let order =
        vendor.call("order_catalog_item", json!({"item": item, "quantity": 2, "variables": {"model": "X1"}})).await.unwrap();
    assert!(order["request_number"].as_str().unwrap().starts_with("REQ"));
    assert_eq!(vendor.column("sc_req_item", "quantity"), ["2"]);
}

#[tokio::test]
async fn any_other_api_can_be_called_but_no_other_host() {
    let vendor = start().await;
    let told =
        vendor.call("custom_request", json!({"path": "/api/now/cmdb/meta/cmdb_ci_server", "query": {"a": 1}})).await.unwrap();
    assert_eq!((&told["status"], &told["body"]["result"]["parent"]), (&json!(200), &json!("cmdb_ci_computer")));
    let posted = vendor
        .call("custom_request", json!({"method": "POST", "path": "/api/now/table/incident", "body": {"short_description": "x"}}))
        .await
        .unwrap();
    assert_eq!(posted["status"], 201);
    let run = vendor.connector.action("custom_request").unwrap().run.clone();
    for path in ["//evil.example/api/x", "https://evil.example/api/", "/oauth_token.do", "/api/../oauth_token.do"] {
        failed(run(vendor.cx("x"), json!({"path": path})).await, ErrorClass::Invalid, "PATH_INVALID");
    }
}
