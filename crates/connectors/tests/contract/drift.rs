//! A field is renamed, removed or given another type after a recipe was checked: what its runs and questions say then,
//! that nothing is done in silence, and that all goes on when the recipe is corrected.

use engine::LiveRecipe;
use serde_json::{Value as Json, json};
use store::RunStatus;

use crate::{netsuite, servicenow, workday, world::World};

/// How the run of one action ends now: with this output, or in this class and code.
async fn ends(world: &World, recipe: &std::sync::Arc<LiveRecipe>, input: Json) -> Result<Json, (String, String)> {
    let done = world.run(recipe, input).await;
    match done.row.status {
        RunStatus::Succeeded => Ok(json!({})),
        _ => {
            let error = done.row.error.unwrap();
            assert!(error.next.is_some(), "people are told what to do: {error:?}");
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
