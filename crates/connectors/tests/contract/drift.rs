//! A field is renamed, removed or given another type after a recipe was checked: what its runs and questions say then,
//! that nothing is done in silence, and that all goes on when the recipe is corrected.

use engine::LiveRecipe;
use serde_json::{Value as Json, json};
use store::RunStatus;

use crate::{netsuite, salesforce, servicenow, stripe, workday, world::World};

/// How the run of one action ends now: with this output, or in this class and code.
async fn ends(world: &World, recipe: &std::sync::Arc<LiveRecipe>, input: Json) -> Result<Json, (String, String)> {
    let done = world.run(recipe, input).await;
    match done.row.status {
        RunStatus::Succeeded => Ok(json!({})),
        _ => {
            let error = done.row.error.unwrap();
            assert!(error.next.is_some(), "people are told what to do: {error:?}");
            assert!(!error.message.contains("Error {") && !error.message.contains("::"), "that is for programmers: {error:?}");
            Err((error.class.as_str().to_owned(), error.code))
        }
    }
}

fn failed(class: &str, code: &str) -> Result<Json, (String, String)> {
    Err((class.to_owned(), code.to_owned()))
}

async fn recipe(world: &World, action: &str, input: &Json) -> std::sync::Arc<LiveRecipe> {
    world.recipe(world.vendor.connector.action(action).unwrap(), input, "20s").await
}

fn phone(world: &World) -> Json {
    let rows = world.vendor.sandbox.vendor("netsuite").unwrap().rows("customer", 0, 1).unwrap();
    rows[0]["phone"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn netsuite_refuses_a_field_that_is_gone_or_of_another_type() {
    let world = World::start("netsuite", netsuite::machine).await;
    let customer = world.vendor.sandbox.vendor("netsuite").unwrap().rows("customer", 0, 1).unwrap()[0]["id"].clone();
    let write = |phone: Json| json!({ "type": "customer", "id": customer, "fields": { "phone": phone, "fax": "1" } });
    let read = json!({ "query": "SELECT id, phone FROM customer" });
    let (writes, reads) = (recipe(&world, "update_record", &write(json!("x"))).await, recipe(&world, "run_suiteql", &read).await);
    assert!(ends(&world, &writes, write(json!("+1 55"))).await.is_ok());
    assert!(ends(&world, &reads, read.clone()).await.is_ok());

    world.configure(json!({ "drifted_fields": { "customer.phone": "removed" } }));
    assert_eq!(ends(&world, &writes, write(json!("+2 66"))).await, failed("invalid", "NONEXISTENT_FIELD"));
    assert_eq!(ends(&world, &reads, read.clone()).await, failed("invalid", "INVALID_PARAMETER"));
    let schema = world.call("record_metadata", json!({ "type": "customer" })).await;
    assert!(schema["properties"].get("phone").is_none() && schema["properties"].get("fax").is_some(), "{schema}");

    world.configure(json!({ "drifted_fields": { "customer.phone": "integer" } }));
    assert_eq!(ends(&world, &writes, write(json!("+2 66"))).await, failed("invalid", "INVALID_VALUE"));
    assert!(ends(&world, &writes, write(json!(266))).await.is_ok(), "the corrected recipe goes on");
    world.configure(json!({ "drifted_fields": {} }));
    assert_eq!(phone(&world), json!("266"), "nothing of what was refused was written");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_refuses_a_field_that_is_gone_and_one_that_is_needed_now() {
    let world = World::start("salesforce", salesforce::connection).await;
    let system = world.vendor.sandbox.vendor("salesforce").unwrap();
    let happen = |name: &str, field: &str| drop(system.happen(name, &json!({ "object": "Account", "field": field })).unwrap());
    happen("add_field", "Colour__c string:40 \"Colour\"");
    let id = world.call("create", json!({ "object": "Account", "fields": { "Name": "Acme" } })).await["id"].clone();
    let write = |name: &str, value: Json| json!({ "object": "Account", "id": id, "fields": { name: value, "Site": "N" } });
    let read = json!({ "soql": "SELECT Colour__c FROM Account LIMIT 1" });
    let rows = json!({ "object": "Account", "rows": [{ "Id": id, "Colour__c": "red" }] });
    let writes = recipe(&world, "update", &write("Colour__c", json!("blue"))).await;
    let (reads, batches) = (recipe(&world, "query", &read).await, recipe(&world, "batch_update", &rows).await);
    assert!(ends(&world, &writes, write("Colour__c", json!("blue"))).await.is_ok());
    assert!(ends(&world, &reads, read.clone()).await.is_ok());
    world.vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(60));
    let source = "{ from: salesforce.new_or_updated_record, with: { object: Account, fields: [Colour__c], lag_s: 0 } }";
    let asked = world.save(source, "- id: end\n    return: {}\n").await;
    crate::triggers::ask(&world, &asked).await;

    // Renamed.
    happen("remove_field", "Colour__c");
    happen("add_field", "Tint__c string:40 \"Tint\"");
    assert_eq!(ends(&world, &writes, write("Colour__c", json!("red"))).await, failed("invalid", "INVALID_FIELD"));
    assert_eq!(ends(&world, &reads, read).await, failed("invalid", "INVALID_FIELD"));
    // Of many records each tells for itself.
    let done = world.run(&batches, rows).await;
    assert_eq!(done.row.status, RunStatus::Succeeded);
    let told = done.entries.iter().find_map(|entry| match entry {
        store::Entry::Succeeded { out, .. } => Some(out["rows"][0].clone()),
        _ => None,
    });
    let error = &told.unwrap()["errors"][0];
    assert_eq!((&error["code"], &error["class"]), (&json!("INVALID_FIELD"), &json!("invalid")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("does not know a field"), "{error}");
    crate::triggers::ask(&world, &asked).await;
    let poll = async || world.engine.store().poll(asked.row.id).await.unwrap().unwrap();
    assert!(poll().await.error.is_some_and(|error| error["code"] == "INVALID_FIELD"), "{:?}", poll().await.error);
    assert!(ends(&world, &writes, write("Tint__c", json!("red"))).await.is_ok(), "the corrected recipe goes on");

    // Of another type.
    happen("remove_field", "Tint__c");
    happen("add_field", "Tint__c int \"Tint\"");
    let (class, code) = ends(&world, &writes, write("Tint__c", json!("red"))).await.unwrap_err();
    assert_eq!(class, "invalid", "{code}");
    assert!(ends(&world, &writes, write("Tint__c", json!(7))).await.is_ok());
    let read = world.call("get", json!({ "object": "Account", "id": id, "fields": ["Tint__c", "Site"] })).await["record"].clone();
    assert_eq!((&read["Tint__c"], &read["Site"]), (&json!(7), &json!("N")), "{read}");

    // A new one that must be given: nothing is made without it.
    let make = |more: Json| json!({ "object": "Account", "fields": more });
    let makes = recipe(&world, "create", &make(json!({}))).await;
    happen("add_field", "Region__c string:40 required \"Region\"");
    let before = world.counts()["Account"];
    assert_eq!(ends(&world, &makes, make(json!({ "Name": "B" }))).await, failed("invalid", "REQUIRED_FIELD_MISSING"));
    assert_eq!(world.counts()["Account"], before);
    assert!(ends(&world, &makes, make(json!({ "Name": "B", "Region__c": "EMEA" }))).await.is_ok());

    // The field is back: the trigger goes on where it was, and nothing that happened meanwhile is lost.
    happen("add_field", "Colour__c string:40 \"Colour\"");
    crate::triggers::ask(&world, &asked).await;
    let filter = store::RunFilter { recipe: Some(asked.row.id), limit: 100, ..store::RunFilter::default() };
    let runs = world.engine.store().runs(&filter).await.unwrap().len();
    assert_eq!((poll().await.failures, runs), (0, 2), "{:?}", poll().await.error);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stripe_refuses_a_field_that_is_gone_or_of_another_type_and_answers_may_change() {
    let world = World::start("stripe", stripe::connection).await;
    let customer = world.call("create_customer", json!({ "name": "Ann", "phone": "+1 55" })).await["id"].clone();
    let write = |phone: &str| json!({ "customer": customer, "phone": phone, "description": phone });
    let read = json!({ "customer": customer });
    let (writes, reads) = (recipe(&world, "update_customer", &write("+1 66")).await, recipe(&world, "get_customer", &read).await);
    assert!(ends(&world, &writes, write("+1 66")).await.is_ok());

    world.configure(json!({ "drifted_fields": { "customer.phone": "removed", "customer.nickname": "added" } }));
    assert_eq!(ends(&world, &writes, write("+2 77")).await, failed("invalid", "parameter_unknown"));
    let now = world.call("get_customer", read.clone()).await;
    assert!(now.get("phone").is_none() && now["description"] == "+1 66" && now["nickname"] == "new", "{now}");
    assert!(ends(&world, &reads, read.clone()).await.is_ok(), "what a recipe does not use may come and go");

    world.configure(json!({ "drifted_fields": { "customer.phone": "integer" } }));
    assert_eq!(ends(&world, &writes, write("+2 77")).await, failed("invalid", "parameter_invalid_integer"));
    assert!(ends(&world, &writes, write("277")).await.is_ok(), "the corrected recipe goes on");
    let done = world.run(&reads, read).await;
    let read = done.entries.iter().find_map(|entry| match entry {
        store::Entry::Succeeded { out, .. } => Some(out["phone"].clone()),
        _ => None,
    });
    assert_eq!(read, Some(json!(277)), "values are read as what they are now");

    // What triggers live by is the id and the time alone.
    world.vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(60));
    let source = "{ from: stripe.event, with: { types: [customer.created] } }";
    let asked = world.save(source, "- id: end\n    return: { id: \"${ trigger.data.object.id }\" }\n").await;
    crate::triggers::ask(&world, &asked).await;
    world.configure(json!({ "drifted_fields": { "event.api_version": "removed", "customer.email": "removed" } }));
    world.call("create_customer", json!({ "name": "Bea" })).await;
    crate::triggers::ask(&world, &asked).await;
    crate::triggers::ask(&world, &asked).await;
    let filter = store::RunFilter { recipe: Some(asked.row.id), limit: 100, ..store::RunFilter::default() };
    assert_eq!(world.engine.store().runs(&filter).await.unwrap().len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servicenow_leaves_a_field_out_in_silence_and_the_run_says_so() {
    let world = World::start("servicenow", servicenow::connection).await;
    let system = world.vendor.sandbox.vendor("servicenow").unwrap();
    let happen = |name: &str, with: Json| drop(system.happen(name, &with).unwrap());
    let field = |name: &str, kind: &str| json!({ "table": "incident", "name": name, "type": kind, "label": "Colour" });
    happen("add_field", field("u_colour", "string:40"));
    let made = world.call("create_incident", json!({ "short_description": "x" })).await["sys_id"].clone();
    let write = |name: &str, value: Json| json!({ "table": "incident", "sys_id": made, "fields": { name: value } });
    let writes = recipe(&world, "update_record", &write("u_colour", json!("blue"))).await;
    assert!(ends(&world, &writes, write("u_colour", json!("blue"))).await.is_ok());

    // Renamed: what is known of the table is minutes old, so the first write finds out by its answer.
    happen("remove_field", field("u_colour", ""));
    happen("add_field", field("u_tint", "string:40"));
    assert_eq!(ends(&world, &writes, write("u_colour", json!("red"))).await, failed("invalid", "FIELD_GONE"));
    assert_eq!(
        ends(&world, &writes, write("u_colour", json!("red"))).await,
        failed("invalid", "FIELD_UNKNOWN"),
        "it is known now"
    );
    let search = json!({ "table": "incident", "filter": "u_colour=red" });
    let searches = recipe(&world, "search_records", &search).await;
    assert_eq!(ends(&world, &searches, search).await, failed("invalid", "FIELD_UNKNOWN"), "not the whole table");
    assert!(ends(&world, &writes, write("u_tint", json!("red"))).await.is_ok(), "the corrected recipe goes on");

    // Of another type: values are read as what they are now.
    let read = json!({ "table": "incident", "sys_id": made });
    assert_eq!(world.call("get_record", read.clone()).await["u_tint"], json!("red"));
    happen("remove_field", field("u_tint", ""));
    happen("add_field", field("u_tint", "integer"));
    assert!(ends(&world, &writes, write("u_tint", json!(7))).await.is_ok());
    let told = world.call("get_record", read).await["u_tint"].clone();
    assert!(told == json!("7") || told == json!(7), "{told}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workday_report_without_a_column_the_recipe_counts_on_is_not_read() {
    let world = World::start("workday", workday::connection).await;
    let input = json!({ "report": "isu/All_Workers", "columns": ["Employee_ID", "Email"] });
    let reads = recipe(&world, "run_report", &input).await;
    assert!(ends(&world, &reads, input.clone()).await.is_ok());
    world.configure(json!({ "renamed_columns": { "Email": "E_Mail" } }));
    assert_eq!(ends(&world, &reads, input.clone()).await, failed("invalid", "COLUMN_MISSING"));
    let corrected = json!({ "report": "isu/All_Workers", "columns": ["Employee_ID", "E_Mail"] });
    assert!(ends(&world, &reads, corrected).await.is_ok());

    // A trigger that tells rows apart by a column that is gone starts nothing, and says why.
    let with = json!({ "report": "isu/Organizations", "key_field": "Reference_ID" });
    let source = format!("{{ from: {}.report_scheduled, with: {with} }}", world.vendor.connection.name);
    let asked = world.save(&source, "- id: end\n    return: {}\n").await;
    crate::triggers::ask(&world, &asked).await;
    let poll = async || world.engine.store().poll(asked.row.id).await.unwrap().unwrap();
    assert_eq!(poll().await.failures, 0, "{:?}", poll().await.error);
    world.configure(json!({ "renamed_columns": { "Reference_ID": "ID" } }));
    crate::triggers::ask(&world, &asked).await;
    assert!(poll().await.error.is_some_and(|error| error["code"] == "COLUMN_MISSING"), "{:?}", poll().await.error);
    world.configure(json!({ "renamed_columns": {} }));
    crate::triggers::ask(&world, &asked).await;
    assert_eq!(poll().await.failures, 0, "{:?}", poll().await.error);
    world.stop().await;

    // Queries name their columns, so Workday itself refuses one that is gone.
    let world = World::start("workday", workday::connection).await;
    let query = json!({ "query": "SELECT organization, nameOfOld FROM allOrganizations" });
    let queries = recipe(&world, "run_wql", &query).await;
    let (class, _) = ends(&world, &queries, query).await.unwrap_err();
    assert_eq!(class, "invalid");
    world.stop().await;
}
