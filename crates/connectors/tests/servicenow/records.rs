//! Records: read, searched, written.

use connector::{Effect, ErrorClass};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{Instance, failed, start};

#[tokio::test]
async fn a_record_comes_with_values_by_type_and_what_people_see() {
    let vendor = start().await;
    let record = vendor.call("get_record", json!({"table": "incident", "filter": "number=INC0010002"})).await.unwrap();
    assert_eq!((&record["active"], &record["state_display"]), (&json!(true), &json!("In Progress")));
    assert!(record["state"].is_i64() && record["sys_updated_on"].as_str().unwrap().ends_with('Z'), "{record}");
    assert!(record["caller_id_display"].as_str().unwrap().contains(' ') && record["problem_id"].is_null());
    assert!(record.get("comments").is_none(), "journals are not values");
    let some = vendor
        .call("get_record", json!({"table": "incident", "sys_id": record["sys_id"], "fields": ["number", "caller_id.email"]}))
        .await
        .unwrap();
    assert_eq!(some.as_object().unwrap().len(), 2);
    assert!(some["caller_id.email"].as_str().unwrap().contains('@'));
    failed(
        vendor.call("get_record", json!({"table": "incident", "filter": "number=none"})).await,
        ErrorClass::NotFound,
        "NO_RECORD",
    );
    failed(
        vendor.call("get_record", json!({"table": "incident", "sys_id": "0".repeat(32)})).await,
        ErrorClass::NotFound,
        "NO_RECORD",
    );
    failed(
        vendor.call("get_record", json!({"table": "incident", "filter": "active=true"})).await,
        ErrorClass::Conflict,
        "SEVERAL_RECORDS",
    );
    failed(vendor.call("get_record", json!({"table": "incident"})).await, ErrorClass::Invalid, "RECORD_MISSING");
    failed(
        vendor.call("get_record", json!({"table": "incidentx", "sys_id": "0".repeat(32)})).await,
        ErrorClass::Invalid,
        "TABLE_UNKNOWN",
    );
    failed(
        vendor.call("get_record", json!({"table": "incident/../x", "sys_id": "1"})).await,
        ErrorClass::Invalid,
        "TABLE_INVALID",
    );
}

#[tokio::test]
async fn a_search_walks_every_record_once_also_past_hidden_ones() {
    let vendor = start().await;
    let sent = vendor.happen("burst", json!({"table": "incident", "count": 2_500, "values": {"category": "network"}}));
    let input = json!({"table": "incident", "filter": [{"field": "category", "value": "network"}, {"field": "short_description", "operator": "starts_with", "value": "Burst"}], "fields": ["number"]});
    let pages = vendor.pages("search_records", input.clone()).await.unwrap();
    let mut numbers: Vec<String> =
        pages.iter().flat_map(|page| &page.items).map(|row| row["number"].as_str().unwrap().to_owned()).collect();
    assert_eq!((pages.len(), numbers.len()), (3, sent["sys_ids"].as_array().unwrap().len()));
    assert!(pages[0].items[0].get("sys_id").is_none(), "nobody asked for it");
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 2_500);
    // Every record of the first two pages is hidden: an empty page is not the end.
    let mut ids: Vec<String> = sent["sys_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    ids.sort();
    vendor.configure(json!({"hidden": {"incident": format!("sys_id<={}^short_descriptionSTARTSWITHBurst", ids[2_099])}}));
    let seen = vendor.call("search_records", input).await.unwrap();
    assert_eq!(seen["count"], 400);
}

#[tokio::test]
async fn a_search_keeps_order_and_limit() {
    let vendor = start().await;
    let input = json!({"table": "incident", "order_by": "number", "descending": true, "limit": 3, "fields": ["number"]});
    let found = vendor.call("search_records", input).await.unwrap();
    assert_eq!(found["records"], json!([{"number": "INC0010067"}, {"number": "INC0010066"}, {"number": "INC0010065"}]));
    let joined = json!({"table": "incident", "filter": "state=1^NQstate=7^ORDERBYnumber", "fields": ["state", "caller_id.department.name"]});
    let found = vendor.call("search_records", joined).await.unwrap();
    assert_eq!(found["count"], 23);
}

#[tokio::test]
async fn a_field_nobody_knows_is_refused_before_it_finds_the_whole_table() {
    let vendor = start().await;
    for input in [
        json!({"table": "incident", "filter": "sttae=1"}),
        json!({"table": "incident", "filter": [{"field": "caller_id.emial", "value": "x"}]}),
        json!({"table": "incident", "filter": "number.name=1"}),
        json!({"table": "incident", "fields": ["nonsense"]}),
        json!({"table": "incident", "order_by": "nonsense"}),
    ] {
        let error = failed(vendor.call("search_records", input.clone()).await, ErrorClass::Invalid, "FIELD_UNKNOWN");
        assert!(error.message.contains('"'), "{error:?}");
    }
    let error = failed(
        vendor.call("search_records", json!({"table": "incident", "filter": "sttae=1"})).await,
        ErrorClass::Invalid,
        "FIELD_UNKNOWN",
    );
    assert!(error.message.contains("did you mean state?"), "{}", error.message);
    assert_eq!(vendor.seen("GET", "/api/now/table/incident"), 0);
    for filter in ["^ORa=1", "JOINsys_user.sys_id=x.y!", "what"] {
        failed(
            vendor.call("search_records", json!({"table": "incident", "filter": filter})).await,
            ErrorClass::Invalid,
            "FILTER_INVALID",
        );
    }
    let long = "x,".repeat(5_000);
    failed(
        vendor.call("search_records", json!({"table": "incident", "filter": format!("numberIN{long}")})).await,
        ErrorClass::Invalid,
        "FILTER_TOO_LONG",
    );
}

#[tokio::test]
async fn a_field_added_today_is_found_without_waiting() {
    let vendor = start().await;
    let made = vendor.call("create_record", json!({"table": "incident", "fields": {"short_description": "x"}})).await.unwrap();
    vendor.happen("add_field", json!({"table": "incident", "name": "u_colour", "type": "string:40", "label": "Colour"}));
    let input = json!({"table": "incident", "sys_id": made["sys_id"], "fields": {"u_colour": "blue"}});
    assert_eq!(vendor.call("update_record", input).await.unwrap()["u_colour"], "blue");
}

#[tokio::test]
async fn a_record_is_created_once_whatever_gets_lost() {
    let vendor = start().await;
    for way in ["sys_id", "correlation"] {
        let before = vendor.column("incident", "sys_id").len();
        let input = json!({"table": "incident", "fields": {"short_description": way, "urgency": 1}, "idempotency": way});
        // The record is made, and its answer is lost.
        vendor
            .sandbox
            .world()
            .faults()
            .add(Fault::new("servicenow", Kind::ResetAfter).on("/api/now/table/incident?").method("POST").times(1))
            .unwrap();
        let lost = vendor.call("create_record", input.clone()).await.unwrap_err();
        assert_eq!((lost.class, lost.doubt), (ErrorClass::Network, connector::Doubt::MayHaveHappened), "{lost:?}");
        let again = vendor.call("create_record", input.clone()).await.unwrap();
        assert_eq!((&again["short_description"], &again["urgency"]), (&json!(way), &json!(1)));
        assert_eq!(vendor.column("incident", "sys_id").len(), before + 1, "{way}");
        let other = vendor.call_with(vendor.cx("run_2/step"), "create_record", input).await.unwrap();
        assert_ne!(other["sys_id"], again["sys_id"]);
    }
    let effect = |input: Json| (vendor.connector.action("create_record").unwrap().effect)(&input);
    assert_eq!((effect(json!({})), effect(json!({"idempotency": "none"}))), (Effect::Idempotent, Effect::Once));
}

#[tokio::test]
async fn fields_that_cannot_be_written_are_refused() {
    let vendor = start().await;
    let create = async |fields: Json| vendor.call("create_record", json!({"table": "incident", "fields": fields})).await;
    failed(create(json!({"made_up": 1})).await, ErrorClass::Invalid, "FIELD_UNKNOWN");
    failed(create(json!({"sys_updated_on": "2026-01-01"})).await, ErrorClass::Invalid, "FIELD_READ_ONLY");
    failed(create(json!({"caller_id.email": "x"})).await, ErrorClass::Invalid, "FIELD_UNKNOWN");
    let made = create(json!({"due_date": "2026-01-02T03:04:05Z", "watch_list": ["a", "b"]})).await.unwrap();
    assert_eq!((&made["due_date"], &made["watch_list"]), (&json!("2026-01-02T03:04:05Z"), &json!("a,b")));
    let shown = json!({"table": "incident", "fields": {"state": "In Progress", "caller_id": "System Administrator"}, "values_are_shown": true});
    let made = vendor.call_with(vendor.cx("other"), "create_record", shown).await.unwrap();
    assert_eq!((&made["state"], &made["caller_id"]), (&json!(2), &json!("6816f79cc0a8016401c5a33be04be441")));
}

#[tokio::test]
async fn an_update_can_ask_that_nobody_else_was_there() {
    let vendor = start().await;
    let made = vendor.call("create_record", json!({"table": "incident", "fields": {"short_description": "x"}})).await.unwrap();
    let input = |expected: u64| json!({"table": "incident", "sys_id": made["sys_id"], "fields": {"urgency": "1"}, "expected_updates": expected});
    assert_eq!(vendor.call("update_record", input(0)).await.unwrap()["sys_mod_count"], 1);
    assert_eq!(vendor.call("update_record", input(0)).await.unwrap()["sys_mod_count"], 1, "the same attempt again is done");
    vendor.happen("change_record", json!({"table": "incident", "sys_id": made["sys_id"], "values": {"urgency": "2"}}));
    failed(vendor.call("update_record", input(1)).await, ErrorClass::Conflict, "RECORD_CHANGED");
    let effect = |fields: Json| (vendor.connector.action("update_record").unwrap().effect)(&json!({"fields": fields}));
    assert_eq!((effect(json!({"state": 1})), effect(json!({"comments": "x"}))), (Effect::Idempotent, Effect::Once));
}

#[tokio::test]
async fn a_key_finds_the_record_to_update_or_makes_one() {
    let vendor = start().await;
    let input = |key: &str, city: &str| json!({"table": "core_company", "key_field": "u_external_id", "key_value": key, "fields": {"name": "N", "city": city}});
    assert_eq!(vendor.call("upsert_record", input("C-9001", "Bern")).await.unwrap()["status"], "created");
    let second = vendor.call("upsert_record", input("C-9001", "Basel")).await.unwrap();
    assert_eq!(
        (&second["status"], &second["record"]["city"], &second["record"]["u_external_id"]),
        (&json!("updated"), &json!("Basel"), &json!("C-9001"))
    );
    failed(vendor.call("upsert_record", input(" ", "x")).await, ErrorClass::Invalid, "KEY_EMPTY");
    vendor.happen("create_record", json!({"table": "core_company", "values": {"name": "Twin", "u_external_id": "C-9001"}}));
    failed(vendor.call("upsert_record", input("C-9001", "x")).await, ErrorClass::Conflict, "SEVERAL_RECORDS");
}

#[tokio::test]
async fn a_record_is_deleted_and_may_be_gone_before() {
    let vendor = start().await;
    let made = vendor.call("create_record", json!({"table": "incident", "fields": {"short_description": "x"}})).await.unwrap();
    let input = json!({"table": "incident", "sys_id": made["sys_id"]});
    assert_eq!(vendor.call("delete_record", input.clone()).await.unwrap(), json!({"deleted": true}));
    assert_eq!(vendor.call("delete_record", input.clone()).await.unwrap(), json!({"deleted": false}));
    let strict = json!({"table": "incident", "sys_id": made["sys_id"], "ignore_missing": false});
    failed(vendor.call("delete_record", strict).await, ErrorClass::NotFound, "NO_RECORD");
}

#[tokio::test]
async fn groups_are_counted() {
    let vendor = start().await;
    let input = json!({"table": "incident", "filter": "stateIN1,2", "group_by": ["state"], "avg": ["impact"]});
    let rows = vendor.call("aggregate", input).await.unwrap()["rows"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert!(
        rows.as_array().unwrap().iter().any(|row| row["state"] == "1" && row["count"] == 12 && row["avg_impact"].is_string()),
        "{rows}"
    );
    assert_eq!(vendor.call("aggregate", json!({"table": "incident"})).await.unwrap(), json!({"rows": [{"count": 67}]}));
    failed(
        vendor.call("aggregate", json!({"table": "incident", "sum": ["nonsense"]})).await,
        ErrorClass::Invalid,
        "FIELD_UNKNOWN",
    );
    failed(vendor.call("aggregate", json!({"table": "incident", "count": false})).await, ErrorClass::Invalid, "NOTHING_ASKED");
}

#[tokio::test]
async fn refusals_tell_who_objected() {
    let vendor = start().await;
    vendor.happen("install_abort", json!({"table": "problem", "name": "Check dates", "filter": "short_descriptionLIKEforbidden", "message": "not on Sundays"}));
    let create = async |table: &str, fields: Json| vendor.call("create_record", json!({"table": table, "fields": fields})).await;
    let stopped =
        failed(create("problem", json!({"short_description": "forbidden"})).await, ErrorClass::Invalid, "BUSINESS_RULE");
    assert!(stopped.message.contains("Check dates") && stopped.message.contains("not on Sundays"), "{}", stopped.message);
    failed(create("sys_user_role", json!({"name": "x"})).await, ErrorClass::Denied, "ACL_DENIED");
    let policy = failed(create("incident", json!({"state": 6})).await, ErrorClass::Invalid, "DATA_POLICY");
    assert!(policy.message.contains("Resolution code"), "{}", policy.message);
}

#[tokio::test]
async fn the_dictionary_tells_the_shape_of_records() {
    let vendor = start().await;
    let shapes = vendor.connector.shapes.clone().unwrap();
    let objects = (shapes.objects)(vendor.cx("x")).await.unwrap();
    assert!(objects.iter().any(|object| object.name == "incident" && object.title == "Incident"));
    let incident = (shapes.object)(vendor.cx("x"), "incident".to_owned()).await.unwrap();
    let field = |name: &str| incident["properties"][name].clone();
    assert_eq!(field("active")["type"], json!(["boolean", "string"]));
    assert_eq!(field("priority")["type"], json!(["integer", "string"]));
    assert_eq!(field("state")["anyOf"][0], json!({"const": 1, "title": "New"}), "the child's choices win");
    assert_eq!(field("state")["anyOf"].as_array().unwrap().last(), Some(&json!({"type": ["integer", "string"]})), "and others");
    assert_eq!(field("sys_id").get("readOnly"), None, "a new record may be given its id");
    assert_eq!((&field("number")["readOnly"], &field("comments")["writeOnly"]), (&json!(true), &json!(true)));
    assert!(incident["required"].as_array().unwrap().contains(&json!("caller_id")));
}
