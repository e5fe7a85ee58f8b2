//! Encoded queries over the wire, aggregates, and the records that describe the tables.

use reqwest::Method;
use serde_json::json;

use crate::Instance;

#[tokio::test]
async fn conditions_find_what_they_say() {
    let instance = Instance::admin().await;
    let all = instance.column("incident", "ORDERBYnumber", "number").await;
    assert_eq!((all.len(), all[0].as_str()), (67, "INC0010001"));
    let counts = async |query: &str| instance.column("incident", query, "number").await.len();
    assert_eq!(counts("active=true").await + counts("active=false").await, 67);
    assert_eq!(counts("state=1^ORstate=7").await, counts("stateIN1,7").await);
    assert_eq!(counts("state=1^NQstate=7").await, counts("stateIN1,7").await);
    assert_eq!(counts("stateNOT IN1,7").await, 67 - counts("stateIN1,7").await);
    assert_eq!(counts("short_description*PRINTER").await, counts("short_descriptionLIKEprinter").await);
    assert_eq!(counts("short_description!*printer").await, 67 - counts("short_descriptionLIKEprinter").await);
    assert_eq!(counts("priorityBETWEEN1@2").await, counts("priority<=2").await);
    assert_eq!(counts("assigned_toISEMPTY").await, counts("state=1").await);
    assert!(counts("caller_id.company.name=Northwind Instruments").await > 10);
    assert_eq!(counts("impactSAMEASurgency").await + counts("impactNSAMEASurgency").await, 67);
    assert_eq!(counts("opened_byDYNAMIC90d1921e5f510100a9ad2572f2b477fe").await, 67, "opened by me");
    assert_eq!(counts("opened_by=javascript:gs.getUserID()").await, 67);
    let newest = instance.column("incident", "ORDERBYDESCnumber", "number").await;
    assert_eq!(newest.iter().rev().cloned().collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn an_unknown_field_is_left_out_unless_the_instance_says_otherwise() {
    let instance = Instance::start().await;
    assert_eq!(instance.column("incident", "made_up=1", "number").await.len(), 67, "the trap of traps");
    assert_eq!(
        instance.column("incident", "caller_id.made_up=1^state=1", "state").await.iter().filter(|state| *state != "1").count(),
        0
    );
    instance.configure(json!({"invalid_query_returns_no_rows": true}));
    assert!(instance.column("incident", "made_up=1", "number").await.is_empty());
    assert!(!instance.column("incident", "state=1", "number").await.is_empty());
}

#[tokio::test]
async fn times_compare_in_utc_and_ties_break_by_id() {
    let instance = Instance::start().await;
    instance.happen("burst", json!({"table": "incident", "count": 5, "values": {"category": "network"}}));
    let stamps = instance.column("incident", "short_descriptionSTARTSWITHBurst", "sys_updated_on").await;
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "all within one second: {stamps:?}");
    let query = format!("sys_updated_on>={}^ORDERBYsys_updated_on^ORDERBYsys_id", stamps[0]);
    let ids = instance.column("incident", &query, "sys_id").await;
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted());
    let next = format!(
        "sys_updated_on={}^sys_id>{}^NQsys_updated_on>{}^ORDERBYsys_updated_on^ORDERBYsys_id",
        stamps[0], ids[1], stamps[0]
    );
    assert_eq!(instance.column("incident", &next, "sys_id").await, ids[2..]);
    assert_eq!(instance.column("incident", "sys_created_onRELATIVEGT@hour@ago@1", "sys_id").await.len(), 5);
    assert_eq!(
        instance
            .column("incident", "sys_created_onONToday@javascript:gs.beginningOfToday()@javascript:gs.endOfToday()", "sys_id")
            .await
            .len(),
        5
    );
}

#[tokio::test]
async fn fields_in_the_address_are_a_query_too() {
    let instance = Instance::start().await;
    let rows = instance.get("/api/now/table/incident?number=INC0010003&sysparm_fields=number").await;
    assert_eq!(rows, json!([{"number": "INC0010003"}]));
    let rows = instance.get("/api/now/table/incident?opened_by=System%20Administrator&sysparm_fields=number").await;
    assert_eq!(rows.as_array().unwrap().len(), 67);
}

#[tokio::test]
async fn aggregates_are_texts_by_group() {
    let instance = Instance::start().await;
    assert_eq!(instance.get("/api/now/stats/incident?sysparm_count=true").await, json!({"stats": {"count": "67"}}));
    let query =
        "sysparm_query=stateIN1,2&sysparm_count=true&sysparm_avg_fields=impact&sysparm_group_by=state&sysparm_order_by=state";
    let groups = instance.get(&format!("/api/now/stats/incident?{query}")).await;
    assert_eq!(groups[0]["groupby_fields"], json!([{"field": "state", "value": "1"}]));
    assert_eq!(groups[0]["stats"]["count"], "12");
    let average = groups[0]["stats"]["avg"]["impact"].as_str().unwrap();
    assert_eq!(average.split_once('.').map(|(_, tail)| tail.len()), Some(4), "{average}");
    let most = instance.get(&format!("/api/now/stats/incident?{query}&sysparm_having=count^state^>^12")).await;
    assert_eq!(most.as_array().unwrap().len(), 1);
    assert_eq!(instance.get("/api/now/stats/incident").await, json!({"stats": {}}));
    assert_eq!(instance.call(Method::GET, "/api/now/stats/nothing?sysparm_count=true", None).await.0, 400);
}

#[tokio::test]
async fn the_dictionary_describes_tables_fields_and_choices_and_drifts() {
    let instance = Instance::start().await;
    assert_eq!(instance.column("sys_db_object", "name=incident", "super_class.name").await, ["task"]);
    let fields = instance.column("sys_dictionary", "nameINtask,incident^elementISNOTEMPTY^active=true", "element").await;
    assert!(["caller_id", "short_description", "sys_id"].iter().all(|field| fields.iter().any(|other| other == field)));
    assert_eq!(instance.column("sys_dictionary", "name=incident^element=caller_id", "reference").await, ["sys_user"]);
    let states =
        instance.column("sys_choice", "name=incident^element=state^inactive=false^language=en^ORDERBYsequence", "label").await;
    assert_eq!(states[..3], ["New", "In Progress", "On Hold"]);
    instance.happen("add_field", json!({"table": "incident", "name": "u_colour", "type": "string:40", "label": "Colour"}));
    assert_eq!(instance.create("incident", json!({"u_colour": "blue"})).await["u_colour"], "blue");
    assert_eq!(instance.column("sys_dictionary", "element=u_colour", "column_label").await, ["Colour"]);
    instance.happen("remove_field", json!({"table": "incident", "name": "u_colour"}));
    assert!(instance.column("sys_dictionary", "element=u_colour", "column_label").await.is_empty());
    let meta = instance.get("/api/now/cmdb/meta/cmdb_ci_server").await;
    assert_eq!(meta["parent"], "cmdb_ci_computer");
    assert!(meta["attributes"].as_array().unwrap().iter().any(|one| one["element"] == "os" && one["is_inherited"] == "true"));
}
