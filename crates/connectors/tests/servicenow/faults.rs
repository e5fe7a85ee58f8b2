//! Each action and trigger under each fault: the class, the doubt, the words.

use std::{sync::Arc, time::Duration};

use connector::{Connection, Cx, Doubt, ErrorClass, Position, StepError};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{
    Instance, start,
    stub::{Said, Stub},
    vendor::Vendor,
};

/// A fault, the class it ends in, and whether a write may have happened.
fn faults() -> Vec<(Kind, ErrorClass, Doubt)> {
    use ErrorClass::{Auth, Denied, Network, RateLimited, Server, Timeout};
    vec![
        (Kind::RateLimited { retry_after: Some(7) }, RateLimited, Doubt::Settled),
        (Kind::RateLimited { retry_after: None }, RateLimited, Doubt::Settled),
        (Kind::DailyLimit, RateLimited, Doubt::Settled),
        (Kind::ServerError, Server, Doubt::Settled),
        (Kind::Unavailable, Server, Doubt::Settled),
        (Kind::ExpiredSession, Auth, Doubt::Settled),
        (Kind::Denied, Denied, Doubt::Settled),
        (Kind::Hang { ms: 5_000 }, Timeout, Doubt::MayHaveHappened),
        (Kind::ResetBefore, Network, Doubt::MayHaveHappened),
        (Kind::ResetAfter, Network, Doubt::MayHaveHappened),
        (Kind::HalfAnswer, Network, Doubt::MayHaveHappened),
        (Kind::Truncated, Server, Doubt::MayHaveHappened),
        (Kind::Appended, Server, Doubt::MayHaveHappened),
        (Kind::Html, Server, Doubt::MayHaveHappened),
        (Kind::Empty, Server, Doubt::MayHaveHappened),
    ]
}

/// Each action with an input that works, and the part of the address its own call has.
fn actions(vendor: &Vendor) -> Vec<(&'static str, Json, &'static str)> {
    let incident = vendor.column("incident", "sys_id").remove(0);
    let item = vendor.column("sc_cat_item", "sys_id").remove(0);
    let file = vendor.column("sys_attachment", "sys_id").remove(0);
    let entry = json!({"table": "incident", "sys_id": incident, "text": "x"});
    vec![
        ("get_record", json!({"table": "incident", "sys_id": incident}), "/table/incident/"),
        ("search_records", json!({"table": "incident", "filter": "state=1"}), "/table/incident?"),
        ("create_record", json!({"table": "incident", "fields": {"short_description": "x"}}), "/table/incident?"),
        ("update_record", json!({"table": "incident", "sys_id": incident, "fields": {"urgency": "1"}}), "/table/incident/"),
        (
            "upsert_record",
            json!({"table": "core_company", "key_field": "u_external_id", "key_value": "C-0001", "fields": {"city": "Bern"}}),
            "/table/core_company/",
        ),
        ("delete_record", json!({"table": "incident", "sys_id": "0".repeat(32)}), "/table/incident/"),
        ("aggregate", json!({"table": "incident"}), "/stats/"),
        ("create_incident", json!({"short_description": "x"}), "/table/incident?"),
        ("resolve_incident", json!({"sys_id": incident, "close_notes": "x"}), "/table/incident/"),
        ("create_change", json!({"short_description": "x"}), "/table/change_request?"),
        ("create_request", json!({"short_description": "x"}), "/table/sc_request?"),
        ("add_comment", entry.clone(), "/table/incident/"),
        ("add_work_note", entry, "/table/incident/"),
        ("assign_task", json!({"sys_id": incident, "assigned_to": "admin"}), "/table/task/"),
        ("get_user", json!({"user": "admin"}), "/table/sys_user/"),
        ("find_group", json!({"group": vendor.column("sys_user_group", "name").remove(0)}), "/table/sys_user_group/"),
        ("who_am_i", json!({}), "/table/sys_user?"),
        (
            "import_rows",
            json!({"staging_table": "u_imp_customer", "rows": [{"u_external_id": "C-1", "u_name": "x"}]}),
            "/import/",
        ),
        (
            "batch_write",
            json!({"items": [{"method": "update", "table": "incident", "sys_id": incident, "fields": {"urgency": "2"}}]}),
            "/batch",
        ),
        ("list_attachments", json!({"table": "incident", "sys_id": incident}), "/attachment?"),
        ("upload_attachment", json!({"table": "incident", "sys_id": incident, "text": "x"}), "/attachment/file"),
        ("delete_attachment", json!({"attachment": file}), "/attachment/"),
        ("find_catalog_items", json!({"text": "laptop"}), "/items?"),
        ("get_catalog_item", json!({"item": item}), "/items/"),
        (
            "order_catalog_item",
            json!({"item": item, "variables": {"model": "x", "program": "x", "employee_number": "1"}}),
            "/order_now",
        ),
        ("custom_request", json!({"method": "POST", "path": "/api/now/table/incident", "body": {}}), "/table/incident"),
    ]
}

async fn ready() -> Vendor {
    let mut vendor = start().await;
    let incident = vendor.column("incident", "sys_id").remove(0);
    vendor.call("upload_attachment", json!({"table": "incident", "sys_id": incident, "text": "kept"})).await.unwrap();
    vendor.timeout = Duration::from_millis(1_500);
    vendor
}

fn told(error: &StepError, what: &str) {
    assert!(error.message.len() > 15 && error.message.len() < 700, "{what}: {}", error.message);
    assert!(error.next.is_some() || error.class.is_transient(), "{what} says nothing of what to do: {error:?}");
    let request = error.request.as_ref().unwrap_or_else(|| panic!("{what}: what was sent is missing"));
    assert!(!request.to_string().contains("Basic bGlh"), "{what}: a secret in {request}");
}

#[tokio::test]
async fn every_action_tells_every_fault() {
    let vendor = ready().await;
    let faults = faults();
    for (action, input, path) in actions(&vendor) {
        // What it needs of the dictionary is known from here on.
        let good = vendor.call(action, input.clone()).await;
        good.unwrap_or_else(|error| panic!("{action}: {error:?}"));
        for (kind, class, doubt) in &faults {
            let slow = matches!(kind, Kind::Hang { .. }) && !matches!(action, "create_record" | "search_records");
            if slow {
                continue;
            }
            let rule = vendor.sandbox.world().faults().add(Fault::new("servicenow", kind.clone()).on(path)).unwrap();
            let what = format!("{action} under {}", kind.name());
            // A step of its own: what an earlier attempt of the same one did would be found.
            let error = vendor.call_with(vendor.cx(&what), action, input.clone()).await.err();
            let error = error.unwrap_or_else(|| panic!("{what} does not fail"));
            assert!(vendor.sandbox.world().faults().remove(rule));
            assert_eq!(error.class, *class, "{what}: {error:?}");
            // A read that was answered in part changed nothing, whatever is said of it.
            let writes = error.request.as_ref().is_some_and(|request| request["method"] != "GET");
            // An instance may answer with 500 after it wrote.
            let late = matches!(kind, Kind::ServerError) && writes;
            assert_eq!(error.doubt, if late { Doubt::MayHaveHappened } else { *doubt }, "{what}: {error:?}");
            if let Kind::RateLimited { retry_after } = kind {
                assert_eq!(error.retry_after, retry_after.map(Duration::from_secs), "{what}");
            }
            told(&error, &what);
        }
        let bom = vendor.sandbox.world().faults().add(Fault::new("servicenow", Kind::Bom).on(path).times(1)).unwrap();
        vendor.call(action, input).await.unwrap_or_else(|error| panic!("{action} with a byte order mark: {error:?}"));
        vendor.sandbox.world().faults().remove(bom);
    }
}

#[tokio::test]
async fn every_trigger_tells_every_fault_and_goes_on_where_it_was() {
    let vendor = ready().await;
    let from = Position::Since(vendor.sandbox.world().clock().now().as_microsecond());
    let made =
        vendor.happen("create_record", json!({"table": "incident", "values": {"short_description": "x", "comments": "c"}}));
    vendor.happen("delete_record", json!({"table": "problem", "sys_id": vendor.column("problem", "sys_id")[0]}));
    vendor.advance(3_700);
    let triggers = [
        ("new_record", json!({"table": "incident"}), "/table/incident?"),
        ("new_or_updated_record", json!({"table": "incident"}), "/table/incident?"),
        ("record_event", json!({"table": "incident"}), "/table/incident?"),
        ("deleted_record", json!({"table": "problem"}), "/table/sys_audit_delete"),
        ("new_comment", json!({"table": "incident"}), "/table/sys_journal_field"),
        (
            "scheduled_query",
            json!({"table": "incident", "filter": format!("sys_id={}", made["sys_id"].as_str().unwrap()), "every_minutes": 1}),
            "/table/incident?",
        ),
    ];
    for (trigger, with, path) in triggers {
        let before = vendor.poll(trigger, with.clone(), from.clone()).await.unwrap();
        assert_eq!(before.events.len(), 1, "{trigger}");
        for (kind, class, _) in faults().into_iter().filter(|(kind, ..)| !matches!(kind, Kind::Hang { .. })) {
            let rule = vendor.sandbox.world().faults().add(Fault::new("servicenow", kind.clone()).on(path)).unwrap();
            let what = format!("{trigger} under {}", kind.name());
            let error =
                vendor.poll(trigger, with.clone(), from.clone()).await.err().unwrap_or_else(|| panic!("{what} does not fail"));
            assert!(vendor.sandbox.world().faults().remove(rule));
            assert_eq!(error.class, class, "{what}: {error:?}");
            told(&error, &what);
        }
        let after = vendor.poll(trigger, with, from.clone()).await.unwrap();
        let keys = |polled: &connector::Polled| polled.events.iter().map(|event| event.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&after), keys(&before), "{trigger}");
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_asked_with_smaller_pages() {
    let vendor = start().await;
    vendor.happen("burst", json!({"table": "incident", "count": 1_500}));
    for valid in [true, false] {
        vendor.configure(json!({"cancel_rows_over": 300, "cancelled_json_is_valid": valid}));
        let found = vendor.call("search_records", json!({"table": "incident", "fields": ["number"]})).await.unwrap();
        assert_eq!(found["count"], 1_567);
    }
    vendor.configure(json!({"cancel_rows_over": 10}));
    let error = vendor.call("search_records", json!({"table": "incident", "fields": ["number"]})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "TOO_LONG"));
}

#[tokio::test]
async fn an_instance_that_sleeps_is_told_as_such() {
    let vendor = start().await;
    vendor.configure(json!({"hibernating": true}));
    let error = vendor.call("search_records", json!({"table": "incident"})).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Server);
    assert!(error.message.contains("web page"), "{}", error.message);
}

#[tokio::test]
async fn only_the_instance_s_own_word_makes_a_record_deleted_or_gone() {
    let stub = Stub::start(|asked| match asked.target.as_bytes()[asked.target.len() - 1] {
        b'1' => Said::page(404),
        b'2' => Said::page(200),
        b'3' => Said::json(404, &json!({"error": {"message": "No Record found", "detail": "x"}, "status": "failure"})),
        _ => Said { status: 204, headers: Vec::new(), body: String::new() },
    });
    let stub = stub.await;
    let mut vendor = start().await;
    vendor.connection = Arc::new(Connection { config: json!({"base_url": stub.url}), ..(*vendor.connection).clone() });
    for (action, name) in [("delete_record", "sys_id"), ("delete_attachment", "attachment")] {
        let delete = async |last: char| {
            let mut input = json!({name: format!("{}{last}", "0".repeat(31))});
            if action == "delete_record" {
                input["table"] = json!("incident");
            }
            vendor.call(action, input).await
        };
        for last in ['1', '2'] {
            let error = delete(last).await.unwrap_err();
            assert_eq!(
                (error.class, error.code.as_str(), error.doubt),
                (ErrorClass::Server, "ANSWER_UNREADABLE", Doubt::MayHaveHappened),
                "{action} {last}"
            );
        }
        assert_eq!(delete('3').await.unwrap()["deleted"], false);
        assert_eq!(delete('4').await.unwrap()["deleted"], true);
        let mut input = json!({name: "3".repeat(32), "ignore_missing": false});
        if action == "delete_record" {
            input["table"] = json!("incident");
        }
        let later = Cx { in_doubt: true, ..vendor.cx("later") };
        let done = vendor.call_with(later, action, input.clone()).await.unwrap();
        assert_eq!(done["deleted"], true, "an earlier try whose answer was lost has done it");
        assert_eq!(vendor.call(action, input).await.unwrap_err().class, ErrorClass::NotFound);
    }
}

#[tokio::test]
async fn a_record_is_not_written_again_because_its_dictionary_cannot_be_read() {
    let vendor = start().await;
    vendor.happen("add_field", json!({"table": "incident", "name": "u_colour", "type": "string:40"}));
    let input = json!({"table": "incident", "fields": {"short_description": "x", "u_colour": "red"}});
    vendor.call("create_record", input.clone()).await.unwrap();
    vendor.happen("remove_field", json!({"table": "incident", "name": "u_colour"}));
    vendor.sandbox.world().recorder().clear();
    vendor.sandbox.world().faults().add(Fault::new("servicenow", Kind::ServerError).on("/sys_dictionary"));
    let made = vendor.call("create_record", input.clone()).await.unwrap();
    assert!(made.get("u_colour").is_none(), "{made}");
    let tried = |method: &str, table: &str| vendor.seen(method, &format!("/api/now/table/{table}"));
    assert!(tried("GET", "sys_dictionary") > 0, "it was asked for, in vain");
    assert_eq!(tried("POST", "incident"), 1);
    // With a dictionary that can be read it is told, and nobody sends it again by themselves.
    vendor.sandbox.world().faults().clear();
    let gone = vendor.call("create_record", input).await.unwrap_err();
    assert_eq!((gone.code.as_str(), gone.doubt), ("FIELD_GONE", Doubt::MayHaveHappened));
}
