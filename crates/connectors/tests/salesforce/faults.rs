//! Every way an answer can go wrong ends in one class, with the right doubt, in words.

use std::time::Duration;

use connector::{Doubt, ErrorClass, StepError};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{salesforce, vendor::Vendor};

/// A fault, and what a call that writes makes of it: class, doubt, code.
type Case = (Kind, ErrorClass, Doubt, &'static str);

fn cases() -> Vec<Case> {
    use Doubt::{MayHaveHappened, Settled};
    use ErrorClass::{Auth, Denied, Network, RateLimited, Server, Timeout};
    vec![
        (Kind::RateLimited { retry_after: None }, RateLimited, Settled, "REQUEST_LIMIT_EXCEEDED"),
        (Kind::RateLimited { retry_after: Some(7) }, RateLimited, Settled, "REQUEST_LIMIT_EXCEEDED"),
        (Kind::DailyLimit, RateLimited, Settled, "REQUEST_LIMIT_EXCEEDED"),
        (Kind::ServerError, Server, Settled, "UNKNOWN_EXCEPTION"),
        (Kind::Unavailable, Server, Settled, "SERVER_UNAVAILABLE"),
        (Kind::Denied, Denied, Settled, "INSUFFICIENT_ACCESS"),
        (Kind::ExpiredSession, Auth, Settled, "INVALID_SESSION_ID"),
        (Kind::Hang { ms: 60_000 }, Timeout, MayHaveHappened, ""),
        (Kind::ResetBefore, Network, MayHaveHappened, ""),
        (Kind::ResetAfter, Network, MayHaveHappened, ""),
        (Kind::HalfAnswer, Network, MayHaveHappened, ""),
        (Kind::Truncated, Server, MayHaveHappened, "ANSWER_UNREADABLE"),
        (Kind::Appended, Server, MayHaveHappened, "ANSWER_UNREADABLE"),
        (Kind::Html, Server, MayHaveHappened, "ANSWER_UNREADABLE"),
        (Kind::Empty, Server, MayHaveHappened, "ANSWER_UNREADABLE"),
    ]
}

async fn under(sf: &mut Vendor, kind: &Kind, path: &str, action: &str, input: Json) -> Result<Json, StepError> {
    // A session is there already, so that the fault meets the call itself.
    sf.call("limits", json!({})).await.unwrap();
    sf.sandbox.world().faults().clear();
    sf.sandbox.world().faults().add(Fault::new("salesforce", kind.clone()).on(path)).unwrap();
    sf.timeout = if matches!(kind, Kind::Hang { .. }) { Duration::from_millis(300) } else { Duration::from_secs(20) };
    let done = sf.call(action, input).await;
    sf.sandbox.world().faults().clear();
    sf.timeout = Duration::from_secs(20);
    done
}

#[tokio::test]
async fn a_create_under_every_fault_tells_class_and_doubt() {
    let mut sf = salesforce().await;
    for (kind, class, doubt, code) in cases() {
        let input = json!({"object": "Lead", "fields": {"LastName": "Fault", "Company": "B"}});
        let error = under(&mut sf, &kind, "/sobjects/", "create", input).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (class, doubt), "{}: {error:?}", kind.name());
        assert!(code.is_empty() || error.code == code, "{}: {error:?}", kind.name());
        assert!(error.next.is_some() && !error.message.is_empty(), "{}: {error:?}", kind.name());
        let wait = match kind {
            Kind::RateLimited { retry_after } => retry_after,
            Kind::DailyLimit => Some(300),
            _ => None,
        };
        assert_eq!(error.retry_after, wait.map(Duration::from_secs), "{}", kind.name());
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_an_answer_does_not_matter() {
    let mut sf = salesforce().await;
    under(&mut sf, &Kind::Bom, "/sobjects/", "create", json!({"object": "Lead", "fields": {"LastName": "A", "Company": "B"}}))
        .await
        .unwrap();
    under(&mut sf, &Kind::Bom, "/query", "query", json!({"soql": "SELECT Id FROM Account LIMIT 1"})).await.unwrap();
}

#[tokio::test]
async fn answers_without_a_body_are_not_believed_when_a_page_comes() {
    let mut sf = salesforce().await;
    let id = sf.create("Account", json!({"Name": "A"})).await;
    for (action, input) in [
        ("update", json!({"object": "Account", "id": id, "fields": {"Site": "N"}})),
        ("delete", json!({"object": "Account", "id": id})),
    ] {
        let error = under(&mut sf, &Kind::Html, "/sobjects/", action, input).await.unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str(), error.doubt),
            (ErrorClass::Server, "ANSWER_UNREADABLE", Doubt::MayHaveHappened),
            "{action}"
        );
        assert!(error.message.contains("web page"), "{}", error.message);
    }
}

#[tokio::test]
async fn every_other_action_and_trigger_fails_in_words_when_the_org_is_away() {
    let mut sf = salesforce().await;
    let id = sf.create("Account", json!({"Name": "A"})).await;
    let rows = json!([{"LastName": "A", "Company": "B"}]);
    let calls = [
        ("get", json!({"object": "Account", "id": id})),
        ("upsert", json!({"object": "Account", "external_id": {"Ext__c": "a"}, "fields": {"Name": "A"}})),
        ("search", json!({"object": "Account"})),
        ("query", json!({"soql": "SELECT Id FROM Account"})),
        ("search_sosl", json!({"text": "acme", "objects": [{"object": "Account"}]})),
        ("get_related_records", json!({"object": "Account", "id": id, "list": "Contacts"})),
        ("batch_create", json!({"object": "Lead", "rows": rows})),
        ("batch_update", json!({"object": "Lead", "rows": [{"Id": id}]})),
        ("batch_upsert", json!({"object": "Lead", "key_field": "External_Id__c", "rows": rows})),
        ("batch_delete", json!({"ids": [id]})),
        ("composite", json!({"calls": [{"id": "a", "method": "GET", "path": "limits"}]})),
        ("create_tree", json!({"object": "Account", "records": [{"Name": "A"}]})),
        ("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": rows})),
        ("bulk_results", json!({"job": "750xx0000000001AAA"})),
        ("bulk_query", json!({"soql": "SELECT Id FROM Account"})),
        ("upload_file", json!({"record_id": id, "text": "hello"})),
        ("submit_for_approval", json!({"id": id})),
        ("approve", json!({"id": id})),
        ("reject", json!({"id": id})),
        ("describe_object", json!({"object": "Account"})),
        ("run_report", json!({"report_id": id})),
        ("run_flow", json!({"flow": "Close_Case"})),
        ("call_apex_rest", json!({"path": "Echo"})),
        ("add_campaign_member", json!({"campaign_id": id, "person_id": "00Qxx0000000001"})),
        ("add_note", json!({"record_id": id, "title": "A"})),
        ("publish_event", json!({"event": "Order_Event__e", "fields": {}})),
        ("custom_request", json!({"path": "limits"})),
    ];
    for (action, input) in calls {
        for (kind, class) in
            [(Kind::Unavailable, ErrorClass::Server), (Kind::Html, ErrorClass::Server), (Kind::ExpiredSession, ErrorClass::Auth)]
        {
            // What a custom call gives is not known here, so that a page may be what was wanted.
            if matches!(kind, Kind::Html) && matches!(action, "custom_request" | "call_apex_rest") {
                continue;
            }
            let error = under(&mut sf, &kind, "/services/", action, input.clone())
                .await
                .map(|got| panic!("{action} under {}: {got}", kind.name()))
                .unwrap_err();
            assert_eq!(error.class, class, "{action} under {}: {error:?}", kind.name());
            assert!(error.next.is_some(), "{action}");
        }
    }
    for trigger in ["new_record", "new_or_updated_record", "deleted_record", "scheduled_soql"] {
        let with = if trigger == "scheduled_soql" { json!({"soql": "SELECT Id FROM Lead"}) } else { json!({"object": "Lead"}) };
        for kind in [Kind::Unavailable, Kind::Html, Kind::Truncated] {
            sf.sandbox.world().faults().add(Fault::new("salesforce", kind.clone()).on("/services/data")).unwrap();
            let error = sf.poll(trigger, with.clone(), connector::Position::Since(0)).await.unwrap_err();
            // A packed answer that ends early is told by the client, a plain one by the connector.
            assert!(error.class.is_transient(), "{trigger} under {}: {error:?}", kind.name());
            sf.sandbox.world().faults().clear();
        }
    }
}
