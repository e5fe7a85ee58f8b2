//! Bulk loads and queries.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use connector::{Cx, Doubt, ErrorClass};
use serde_json::{Value as Json, json};

use crate::{
    salesforce,
    shelf::{Door, Shelf},
    vendor::Vendor,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_tells_which_rows_were_refused_and_a_query_reads_the_others() {
    let sf = salesforce().await;
    let rows: Vec<_> = (0..5_000).map(|row| json!({"External_Id__c": format!("L-{row}"), "LastName": if row % 100 == 7 { "" } else { "A, \"B\"\nC" }, "Company": "Bulk", "NumberOfEmployees": row})).collect();
    let load = json!({"object": "Lead", "operation": "upsert", "key_field": "External_Id__c", "rows": rows});
    let done = sf.call("bulk_load", load).await.unwrap();
    assert_eq!(
        (&done["state"], &done["processed"], &done["succeeded"], &done["failed"]),
        (&json!("complete"), &json!(5_000), &json!(4_950), &json!(50))
    );
    let refused = done["refused"].as_array().unwrap();
    assert_eq!(
        (refused.len(), &refused[0]["error"]["code"], &refused[0]["error"]["fields"]),
        (50, &json!("REQUIRED_FIELD_MISSING"), &json!(["LastName"]))
    );
    assert_eq!(refused[0]["row"]["External_Id__c"], "L-7");
    let job = &done["jobs"][0];
    let written = sf.pages("bulk_results", json!({"job": job, "which": "written"})).await.unwrap();
    assert_eq!(written.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [2_000, 2_000, 950]);
    assert_eq!((&written[0].items[0]["created"], &written[0].items[0]["row"]["LastName"]), (&json!(true), &json!("A, \"B\"\nC")));
    let query = json!({"soql": "SELECT External_Id__c FROM Lead WHERE Company = :company", "params": {"company": "Bulk"}});
    let pages = sf.pages("bulk_query", query.clone()).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [2_000, 2_000, 950]);
    assert_eq!(sf.call("bulk_query", query).await.unwrap()["total_size"], 4_950);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_loaded_in_parts_and_null_empties_while_nothing_leaves_alone() {
    let sf = salesforce().await;
    let shelf = Arc::new(Shelf::default());
    sf.http.keep_files_with(Arc::new(Door(Arc::clone(&shelf))));
    let mut csv = "LastName;Company;External_Id__c;Title\r\n".to_owned();
    for row in 0..300 {
        write!(csv, "\"Row\r\n{row}\";File;F-{row};Boss\r\n").unwrap();
    }
    let file = shelf.put("leads.csv", "text/csv", csv.as_bytes());
    let done = sf.call("bulk_load", json!({"object": "Lead", "operation": "insert", "file": file.json(), "delimiter": "SEMICOLON", "line_ending": "CRLF"})).await.unwrap();
    assert_eq!((&done["succeeded"], &done["failed"]), (&json!(300), &json!(0)), "{done}");
    let rows = json!([{"External_Id__c": "F-0", "Title": null}, {"External_Id__c": "F-1", "Company": "Else"}]);
    sf.call("bulk_load", json!({"object": "Lead", "operation": "upsert", "key_field": "External_Id__c", "rows": rows}))
        .await
        .unwrap();
    let lead = async |key: &str| {
        sf.call("get", json!({"object": "Lead", "external_id": {"External_Id__c": key}, "fields": ["Title", "Company"]}))
            .await
            .unwrap()["record"]
            .clone()
    };
    assert_eq!(lead("F-0").await, json!({"Title": null, "Company": "File"}));
    assert_eq!(lead("F-1").await, json!({"Title": "Boss", "Company": "Else"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_as_they_were_given() {
    let sf = salesforce().await;
    sf.configure(json!({"bulk_fail_after_rows": 2, "bulk_batch_rows": 1}));
    let rows = json!([
        {"External_Id__c": "G-1", "LastName": null, "Company": "Given", "Title": "Boss"},
        {"External_Id__c": "G-2", "LastName": "B", "Company": "Given", "Title": null},
        {"External_Id__c": "G-3", "LastName": "C", "Company": "Given", "Phone": null},
    ]);
    let load =
        json!({"object": "Lead", "operation": "upsert", "key_field": "External_Id__c", "rows": rows, "broken_job": "tell"});
    let done = sf.call("bulk_load", load).await.unwrap();
    assert_eq!((&done["refused"][0]["row"], &done["unprocessed"]), (&rows[0], &json!([rows[2]])), "{done}");
    let written = sf.call("bulk_results", json!({"job": done["jobs"][0], "which": "written"})).await.unwrap();
    assert_eq!(written["rows"][0]["row"], rows[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_half_way_gives_back_what_it_did_not_look_at() {
    let sf = salesforce().await;
    sf.configure(json!({"bulk_fail_after_rows": 3, "bulk_batch_rows": 2}));
    let rows: Vec<_> = (0..5).map(|row| json!({"LastName": format!("R{row}"), "Company": "Half"})).collect();
    let done =
        sf.call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": rows, "broken_job": "tell"})).await.unwrap();
    assert_eq!((&done["state"], &done["processed"]), (&json!("failed"), &json!(3)));
    assert_eq!(done["unprocessed"], json!([{"LastName": "R3", "Company": "Half"}, {"LastName": "R4", "Company": "Half"}]));
    let bad = json!({"object": "Lead", "operation": "insert", "rows": [{"Foo": 1}], "broken_job": "tell"});
    let wrong = sf.call("bulk_load", bad).await.unwrap();
    assert!(wrong["state"] == "failed" && wrong["message"].as_str().unwrap().contains("Field name not found : Foo"), "{wrong}");
    let error = sf.call("bulk_query", json!({"soql": "SELECT COUNT(Id) FROM Lead"})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "API_ERROR"));
    let nested = sf
        .call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": [{"LastName": {"a": 1}}]}))
        .await
        .unwrap_err();
    assert_eq!((nested.code.as_str(), nested.doubt), ("INPUT_INVALID", Doubt::Settled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_breaks_off_is_no_success() {
    let sf = salesforce().await;
    sf.configure(json!({"bulk_fail_after_rows": 3, "bulk_batch_rows": 2}));
    let rows: Vec<_> =
        (0..5).map(|row| json!({"External_Id__c": format!("B-{row}"), "LastName": "R", "Company": "Broken"})).collect();
    let upsert = json!({"object": "Lead", "operation": "upsert", "key_field": "External_Id__c", "rows": rows});
    let error = sf.call("bulk_load", upsert.clone()).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str(), error.doubt), (ErrorClass::Partial, "BULK_JOB_FAILED", Doubt::Settled));
    assert!(error.message.contains("the bulk job broke off after 3 rows, 3 of them written"), "{}", error.message);
    assert!(error.message.contains("750") && error.next.is_some(), "{}", error.message);
    let insert = json!({"object": "Lead", "operation": "insert", "rows": rows});
    // What an insert has written would be there twice.
    let error = sf.call("bulk_load", insert).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("BULK_JOB_FAILED", Doubt::MayHaveHappened));
    assert!(error.next.is_some_and(|next| next.starts_with("Do not repeat it")));
    sf.configure(json!({"bulk_fail_after_rows": null}));
    assert_eq!(sf.call("bulk_load", upsert).await.unwrap()["succeeded"], 5);
    let wrong = json!({"object": "Lead", "operation": "insert", "rows": [{"Foo": 1}]});
    let error = sf.call("bulk_load", wrong).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Invalid, Doubt::Settled), "{}", error.message);
    assert!(error.message.contains("Field name not found : Foo"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_close_of_a_load_loses_and_doubles_nothing() {
    let sf = salesforce().await;
    let fault = sandbox::Fault::new("salesforce", sandbox::Kind::ResetAfter).on("/jobs/ingest/").method("PATCH").times(1);
    sf.sandbox.world().faults().add(fault).unwrap();
    let done = sf
        .call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": [{"LastName": "A", "Company": "Closed"}]}))
        .await
        .unwrap();
    assert_eq!(done["succeeded"], 1);
    assert_eq!(sf.count("SELECT Id FROM Lead WHERE Company = 'Closed'").await, 1);
    let before = sandbox::Fault::new("salesforce", sandbox::Kind::ServerError).on("/batches").times(1);
    sf.sandbox.world().faults().add(before).unwrap();
    let error = sf
        .call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": [{"LastName": "A", "Company": "Closed"}]}))
        .await
        .unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Server, Doubt::Settled), "an open job does nothing");
    assert_eq!(aborted(&sf), 1, "and it is not left open");
    let close = sandbox::Fault::new("salesforce", sandbox::Kind::ResetBefore).on("/jobs/ingest/").method("PATCH").times(1);
    sf.sandbox.world().faults().add(close).unwrap();
    let load = json!({"object": "Lead", "operation": "insert", "rows": [{"LastName": "A", "Company": "Closed"}]});
    sf.call("bulk_load", load).await.unwrap_err();
    assert_eq!(aborted(&sf), 2, "nor is one whose close never arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_is_refused_leaves_no_doubt() {
    let sf = salesforce().await;
    let refused = sandbox::Fault::new("salesforce", sandbox::Kind::Denied).on("/jobs/ingest/").method("PATCH").times(1);
    sf.sandbox.world().faults().add(refused).unwrap();
    let load = json!({"object": "Lead", "operation": "insert", "rows": [{"LastName": "A", "Company": "Refused"}]});
    let error = sf.call("bulk_load", load.clone()).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Denied, Doubt::Settled), "{error:?}");
    assert_eq!((aborted(&sf), sf.count("SELECT Id FROM Lead WHERE Company = 'Refused'").await), (1, 0));
    assert_eq!(sf.call("bulk_load", load).await.unwrap()["succeeded"], 1);
}

/// However many jobs there are, what they refused is held within one bound.
#[tokio::test(flavor = "multi_thread")]
async fn the_refused_rows_of_all_jobs_are_held_within_one_bound() {
    const BOUND: usize = 16 * 1024 * 1024;
    let sf = Vendor { timeout: Duration::from_secs(120), ..salesforce().await };
    let long = "x".repeat(100_000);
    let rows: Vec<_> = (0..450).map(|_| json!({"Company": "Bound", "Description": long})).collect();
    let done = sf.call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": rows})).await.unwrap();
    let bytes: usize = done["refused"].as_array().unwrap().iter().map(|row| row.to_string().len()).sum();
    assert_eq!((done["jobs"].as_array().unwrap().len(), &done["failed"], &done["refused_cut"]), (3, &json!(450), &json!(true)));
    assert!((BOUND / 2..BOUND + 1_000_000).contains(&bytes), "{bytes} bytes of refused rows");
}

/// Jobs that were ended by us.
fn aborted(sf: &Vendor) -> usize {
    let all = sf.sandbox.world().recorder().all();
    let ended = all.iter().filter(|request| request.method == "PATCH" && request.body.contains("Aborted"));
    ended.filter(|request| request.status == Some(200)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_repeated_knows_its_own_work() {
    let sf = salesforce().await;
    let mut rows = vec![json!({"Id": "00Qxx0000000000AAA"})];
    for n in 0..3 {
        rows.push(json!({"Id": sf.create("Lead", json!({"LastName": format!("G{n}"), "Company": "Gone"})).await}));
    }
    let load = json!({"object": "Lead", "operation": "delete", "rows": rows});
    let lost = sandbox::Fault::new("salesforce", sandbox::Kind::Unavailable).on("/failedResults").times(1);
    sf.sandbox.world().faults().add(lost).unwrap();
    let error = sf.call("bulk_load", load.clone()).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Server, Doubt::MayHaveHappened), "{error:?}");
    assert_eq!(sf.count("SELECT Id FROM Lead WHERE Company = 'Gone'").await, 0);
    let counts = |done: &Json| (done["succeeded"].clone(), done["failed"].clone(), done["refused"].as_array().unwrap().len());
    let again = Cx { in_doubt: true, ..sf.cx("run_1/step") };
    let again = sf.call_with(again, "bulk_load", load.clone()).await.unwrap();
    assert_eq!(counts(&again), (json!(3), json!(1), 1), "{again}");
    assert_eq!((&again["refused"][0]["row"], &again["refused_cut"]), (&rows[0], &json!(false)));
    // Without such a try it is somebody else's doing.
    let theirs = sf.call("bulk_load", load).await.unwrap();
    assert_eq!(counts(&theirs), (json!(0), json!(4), 4), "{theirs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_inserted_stays_in_doubt_when_its_results_are_lost() {
    let sf = salesforce().await;
    let lost = sandbox::Fault::new("salesforce", sandbox::Kind::Unavailable).on("/failedResults").times(1);
    sf.sandbox.world().faults().add(lost).unwrap();
    let rows = json!([{"LastName": "A", "Company": "Lost"}, {"LastName": "", "Company": "Lost"}]);
    let error = sf.call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": rows})).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Server, Doubt::MayHaveHappened), "sent again it would be there twice");
    assert!(error.message.contains("750"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_no_part_of_the_first_heading() {
    let sf = salesforce().await;
    let shelf = Arc::new(Shelf::default());
    sf.http.keep_files_with(Arc::new(Door(Arc::clone(&shelf))));
    let insert = |file: connector::files::File| json!({"object": "Lead", "operation": "insert", "file": file.json()});
    let marked = shelf.put("leads.csv", "text/csv", "\u{feff}LastName,Company\nA,Marked\nB,Marked\n".as_bytes());
    assert_eq!(sf.call("bulk_load", insert(marked)).await.unwrap()["succeeded"], 2);
    let utf16: Vec<u8> = "\u{feff}LastName,Company\nA,B\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let error = sf.call("bulk_load", insert(shelf.put("wide.csv", "text/csv", &utf16))).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("INPUT_INVALID", Doubt::Settled));
    assert!(error.message.contains("UTF-16"), "{}", error.message);
    for empty in ["", "\u{feff}", "a"] {
        let error = sf.call("bulk_load", insert(shelf.put("none.csv", "text/csv", empty.as_bytes()))).await.unwrap_err();
        assert_eq!(error.code, "INPUT_INVALID", "{empty:?}: {}", error.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_not_looked_at_are_never_cut_in_silence() {
    let sf = salesforce().await;
    sf.configure(json!({"bulk_fail_after_rows": 1, "bulk_batch_rows": 1}));
    let rows: Vec<_> = (0..10_002).map(|row| json!({"LastName": format!("R{row}"), "Company": "Cut"})).collect();
    let done =
        sf.call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": rows, "broken_job": "tell"})).await.unwrap();
    assert_eq!((done["unprocessed"].as_array().unwrap().len(), &done["unprocessed_cut"]), (10_000, &json!(true)));
    let few = sf
        .call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": rows[..5], "broken_job": "tell"}))
        .await
        .unwrap();
    assert_eq!((few["unprocessed"].as_array().unwrap().len(), &few["unprocessed_cut"]), (4, &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_query_that_takes_long_is_begun_once_and_waited_for() {
    let mut sf = salesforce().await;
    let lead = json!({"LastName": "A", "Company": "Held"});
    sf.create("Lead", lead.clone()).await;
    sf.configure(json!({"bulk_held": true}));
    sf.timeout = Duration::from_secs(5);
    let query = json!({"soql": "SELECT Id FROM Lead WHERE Company = 'Held'"});
    let pages = sf.connector.action("bulk_query").unwrap().pages.clone().unwrap();
    let mut cursor = None;
    for _ in 0..3 {
        let page = pages(sf.cx("held"), query.clone(), cursor).await.unwrap();
        assert!(page.items.is_empty() && page.next.is_some());
        cursor = page.next;
    }
    sf.happen("release_bulk", json!({}));
    sf.timeout = Duration::from_secs(20);
    let last = pages(sf.cx("held"), query.clone(), cursor).await.unwrap();
    assert_eq!((last.items.len(), last.next), (1, None));
    let begun = sf.sandbox.world().recorder().all();
    let begun = begun.iter().filter(|request| request.method == "POST" && request.target.ends_with("/jobs/query")).count();
    assert_eq!(begun, 1, "one job, however often it was asked for");
    // Held at once, or loaded: nobody comes back to the job, so it is told and not begun again.
    sf.configure(json!({"bulk_held": true}));
    sf.timeout = Duration::from_secs(5);
    let error = sf.call("bulk_query", query).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "BULK_JOB_RUNNING"));
    let load = json!({"object": "Lead", "operation": "insert", "rows": [lead]});
    let error = sf.call("bulk_load", load).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("BULK_JOB_RUNNING", Doubt::MayHaveHappened));
    assert!(error.message.contains("750") && error.next.is_some(), "{error:?}");
}
