//! Imports, batches, attachments.

use std::sync::Arc;

use connector::{Doubt, ErrorClass};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{
    Instance, failed,
    shelf::{Door, Shelf},
    start,
};

fn rows(count: usize) -> Json {
    (0..count).map(|row| json!({"u_external_id": format!("C-8{row:03}"), "u_name": if row == 1 { String::new() } else { format!("Customer {row}") }})).collect()
}

#[tokio::test]
async fn rows_one_by_one_tell_what_became_of_each() {
    let vendor = start().await;
    let input = json!({"staging_table": "u_imp_customer", "rows": rows(3), "coalesces": true});
    let told = vendor.call("import_rows", input.clone()).await.unwrap();
    assert_eq!((&told["inserted"], &told["errors"]), (&json!(2), &json!(1)));
    assert_eq!(told["rows"][1]["status"], "error");
    assert!(told["rows"][1]["message"].as_str().unwrap().contains("mandatory"));
    assert_eq!(vendor.call("import_rows", input).await.unwrap()["ignored"], 2, "nothing changed");
    let strict = json!({"staging_table": "u_imp_customer", "rows": rows(3), "fail_on_errors": true});
    let error = failed(vendor.call("import_rows", strict).await, ErrorClass::Partial, "ROWS_REFUSED");
    assert!(error.message.contains("1 of 3") && error.message.contains("row 1"), "{}", error.message);
    failed(
        vendor.call("import_rows", json!({"staging_table": "incident", "rows": [{"short_description": "x"}]})).await,
        ErrorClass::Invalid,
        "STAGING_TABLE",
    );
    failed(
        vendor.call("import_rows", json!({"staging_table": "u_imp_customer", "rows": [{"nonsense": 1}]})).await,
        ErrorClass::Invalid,
        "FIELD_UNKNOWN",
    );
    failed(
        vendor.call("import_rows", json!({"staging_table": "u_imp_customer", "rows": rows(201)})).await,
        ErrorClass::Invalid,
        "TOO_MANY_ROWS",
    );
}

#[tokio::test]
async fn a_call_lost_after_the_first_row_leaves_doubt() {
    let vendor = start().await;
    vendor.sandbox.world().faults().add(Fault::new("servicenow", Kind::Unavailable).on("/import/").after(1).times(1)).unwrap();
    let error = vendor.call("import_rows", json!({"staging_table": "u_imp_customer", "rows": rows(3)})).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Server, Doubt::MayHaveHappened), "the first row is in");
}

#[tokio::test]
async fn rows_in_one_call_are_waited_for() {
    let vendor = start().await;
    let input = json!({"staging_table": "u_imp_customer", "rows": rows(120), "mode": "multiple", "endpoint_takes": "names"});
    let told = vendor.call("import_rows", input).await.unwrap();
    assert_eq!((&told["inserted"], &told["errors"], told["rows"].as_array().unwrap().len()), (&json!(119), &json!(1), 120));
    assert_eq!((&told["rows"][1]["row"], &told["rows"][1]["status"]), (&json!(1), &json!("error")));
    // This table's endpoint takes labels.
    let people = json!([{"u_email": "new@northwind.example", "u_first_name": "New", "u_last_name": "One"}]);
    let told =
        vendor.call("import_rows", json!({"staging_table": "u_imp_user", "rows": people, "mode": "multiple"})).await.unwrap();
    assert_eq!((&told["inserted"], &told["rows"][0]["table"]), (&json!(1), &json!("sys_user")));
    vendor.configure(json!({"transform_s": 3600}));
    let later =
        json!({"staging_table": "u_imp_customer", "rows": rows(2), "mode": "multiple", "endpoint_takes": "names", "wait": false});
    assert_eq!(vendor.call("import_rows", later).await.unwrap()["pending"], 2);
}

#[tokio::test]
async fn a_batch_tells_each_item_and_sends_what_was_left_over() {
    let vendor = start().await;
    let problem = vendor.column("problem", "sys_id").remove(0);
    let items = json!([
        {"method": "create", "table": "incident", "fields": {"short_description": "one"}},
        {"method": "update", "table": "problem", "sys_id": problem, "fields": {"known_error": true}},
        {"method": "update", "table": "problem", "sys_id": "0".repeat(32), "fields": {"known_error": true}},
        {"method": "delete", "table": "problem", "sys_id": "0".repeat(32)},
    ]);
    vendor.configure(json!({"batch_items_run": 2}));
    let told = vendor.call("batch_write", json!({"items": items})).await.unwrap();
    let oks: Vec<&Json> = told["items"].as_array().unwrap().iter().map(|item| &item["ok"]).collect();
    assert_eq!(oks, [true, true, false, true], "{told}");
    assert_eq!((&told["failed"], vendor.seen("POST", "/api/now/v1/batch")), (&json!(1), 2));
    let again = vendor.call("batch_write", json!({"items": items})).await.unwrap();
    assert_eq!((&again["items"][0]["ok"], &again["items"][0]["sys_id"]), (&json!(true), &told["items"][0]["sys_id"]));
    assert_eq!(vendor.column("incident", "short_description").iter().filter(|text| *text == "one").count(), 1);
    failed(
        vendor.call("batch_write", json!({"items": [{"method": "create", "table": "incident", "fields": {"made_up": 1}}]})).await,
        ErrorClass::Invalid,
        "FIELD_UNKNOWN",
    );
}

#[tokio::test]
async fn what_a_batch_did_before_an_error_leaves_doubt() {
    let vendor = start().await;
    let incident = vendor.column("incident", "sys_id").remove(0);
    let note = json!({"method": "update", "table": "incident", "sys_id": incident, "fields": {"work_notes": "once"}});
    vendor.configure(json!({"batch_items_run": 1}));
    let faults = vendor.sandbox.world().faults();
    let limited = Kind::RateLimited { retry_after: None };
    for (skip, doubt) in [(0, Doubt::Settled), (1, Doubt::MayHaveHappened)] {
        faults.clear();
        faults.add(Fault::new("servicenow", limited.clone()).on("/batch").after(skip).times(1)).unwrap();
        let error = vendor.call("batch_write", json!({"items": [note, note]})).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (ErrorClass::RateLimited, doubt), "after {skip} rounds");
    }
    // The write is done, and looking at what became of it fails.
    faults.clear();
    vendor.configure(json!({"batch_items_run": 100}));
    let taken = json!({"items": [{"method": "create", "table": "incident", "fields": {"short_description": "twice"}}]});
    vendor.call("batch_write", taken.clone()).await.unwrap();
    faults.add(Fault::new("servicenow", limited).on("/table/incident?")).unwrap();
    let error = vendor.call("batch_write", taken).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::RateLimited, Doubt::MayHaveHappened));
}

#[tokio::test]
async fn rows_the_instance_says_nothing_of_are_told() {
    let vendor = start().await;
    vendor.configure(json!({"cancel_rows_over": 100}));
    let input = json!({"staging_table": "u_imp_customer", "rows": rows(250), "mode": "multiple", "endpoint_takes": "names"});
    let told = vendor.call("import_rows", input.clone()).await.unwrap();
    assert_eq!((&told["untold"], told["rows"].as_array().unwrap().len()), (&json!(0), 250), "small pages are put together");
    vendor.configure(json!({"cancel_rows_over": null, "hidden": {"u_imp_customer": "sys_import_row>=240"}}));
    let told = vendor.call("import_rows", input).await.unwrap();
    assert_eq!((&told["untold"], told["rows"].as_array().unwrap().len()), (&json!(10), 250));
    assert!(told["rows"].as_array().unwrap().iter().filter(|row| row["status"] == "untold").all(|row| row["row"].is_u64()));
}

#[tokio::test]
async fn files_go_there_and_back_without_being_held() {
    let vendor = start().await;
    let shelf = Arc::new(Shelf::default());
    vendor.http.keep_files_with(Arc::new(Door(Arc::clone(&shelf))));
    let content: Vec<u8> = (0..100_000_u32).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
    let file = shelf.put("photo.png", "image/png", &content);
    let incident = vendor.column("incident", "sys_id").remove(0);
    let sent =
        vendor.call("upload_attachment", json!({"table": "incident", "sys_id": incident, "file": file.json()})).await.unwrap();
    assert_eq!((&sent["size_bytes"], &sent["content_type"]), (&json!(100_000), &json!("image/png")));
    let note = json!({"table": "incident", "sys_id": incident, "text": "hello", "name": "Größe.txt"});
    vendor.call("upload_attachment", note).await.unwrap();
    let list = vendor.call("list_attachments", json!({"table": "incident", "sys_id": incident})).await.unwrap();
    assert_eq!(list["attachments"].as_array().unwrap().len(), 2);
    let fetched = vendor.call("download_attachment", json!({"attachment": sent["sys_id"]})).await.unwrap();
    assert_eq!((&fetched["name"], &fetched["size"]), (&json!("photo.png"), &json!(100_000)));
    assert!(shelf.contents().last().unwrap() == &content);
    for kind in [Kind::Html, Kind::Truncated, Kind::HalfAnswer] {
        vendor.sandbox.world().faults().add(Fault::new("servicenow", kind.clone()).on("/file").times(1)).unwrap();
        let error = vendor.call("download_attachment", json!({"attachment": sent["sys_id"]})).await.unwrap_err();
        assert!(error.class.is_transient(), "{kind:?}: {error:?}");
    }
    assert_eq!(vendor.call("delete_attachment", json!({"attachment": sent["sys_id"]})).await.unwrap()["deleted"], true);
    failed(vendor.call("download_attachment", json!({"attachment": sent["sys_id"]})).await, ErrorClass::NotFound, "NO_RECORD");
    failed(
        vendor.call("upload_attachment", json!({"table": "incident", "sys_id": incident})).await,
        ErrorClass::Invalid,
        "CONTENT_MISSING",
    );
}
