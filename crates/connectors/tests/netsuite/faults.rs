//! Every fault ends in the right class, with the right doubt.

use connector::{Doubt, ErrorClass};
use sandbox::{Fault, Kind};
use serde_json::json;

use crate::{configure, machine, tokens, vendor::Vendor};

fn meets(vendor: &Vendor, kind: Kind) {
    vendor.sandbox.world().faults().clear();
    vendor.sandbox.world().faults().add(Fault::new("netsuite", kind).on("/services/").method("POST"));
}

#[tokio::test]
async fn a_write_under_each_fault_is_judged() {
    let vendor = tokens().await;
    let input =
        json!({ "type": "customer", "external_id": "F-1", "fields": { "companyName": "Fir", "subsidiary": { "id": "1" } } });
    use ErrorClass::{Auth, Denied, RateLimited, Server};
    for (kind, class, doubt) in [
        (Kind::RateLimited { retry_after: Some(7) }, RateLimited, Doubt::Settled),
        (Kind::RateLimited { retry_after: None }, RateLimited, Doubt::Settled),
        (Kind::DailyLimit, RateLimited, Doubt::Settled),
        (Kind::ServerError, Server, Doubt::MayHaveHappened),
        (Kind::Unavailable, Server, Doubt::Settled),
        (Kind::ExpiredSession, Auth, Doubt::Settled),
        (Kind::Denied, Denied, Doubt::Settled),
        (Kind::Html, Server, Doubt::MayHaveHappened),
    ] {
        meets(&vendor, kind.clone());
        let error = vendor.call("create_record", input.clone()).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (class, doubt), "{kind:?}: {error:?}");
        let retry_after = error.retry_after.map(|wait| wait.as_secs());
        assert_eq!(retry_after, if matches!(kind, Kind::RateLimited { retry_after: Some(_) }) { Some(7) } else { None });
        assert!(!error.message.contains(vendor.connection.credentials["token_secret"].expose()));
    }
    for kind in [Kind::ResetBefore, Kind::ResetAfter] {
        meets(&vendor, kind);
        let error = vendor.call("create_record", input.clone()).await.unwrap_err();
        // Before it breaks the line the server may still get its 500 out.
        assert!(matches!(error.class, ErrorClass::Network | Server), "{error:?}");
        assert_eq!(error.doubt, Doubt::MayHaveHappened);
    }
    vendor.sandbox.world().faults().clear();
    let error = vendor.call("create_record", input).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Conflict, "it had happened");
}

#[tokio::test]
async fn a_script_that_fails_or_is_behind_a_gateway_may_have_done_its_work() {
    let vendor = tokens().await;
    let post = json!({ "script": "1", "method": "POST", "body": {} });
    vendor.sandbox.world().faults().add(Fault::new("netsuite", Kind::ServerError).on("/app/site/hosting/"));
    let error = vendor.call("call_restlet", post.clone()).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Server, Doubt::MayHaveHappened), "{error:?}");
    vendor.sandbox.world().faults().clear();
    for (status, doubt) in [(502, Doubt::MayHaveHappened), (503, Doubt::Settled), (504, Doubt::MayHaveHappened)] {
        configure(&vendor, &json!({ "gateway": status }));
        let error = vendor.call("call_restlet", post.clone()).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (ErrorClass::Server, doubt), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_script_that_broke_in_the_middle_leaves_doubt_whatever_its_status() {
    let vendor = tokens().await;
    for (code, doubt) in [("UNEXPECTED_ERROR", Doubt::MayHaveHappened), ("MY_ERROR", Doubt::Settled)] {
        let body = json!({ "code": code, "message": "it broke" });
        let error = vendor.call("call_restlet", json!({ "script": "5", "method": "POST", "body": body })).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.doubt), (code, doubt), "{error:?}");
    }
    // The script throws with 400: the code decides, and not a status of 500.
    let sent = vendor.sandbox.world().recorder().all();
    assert!(sent.iter().filter(|request| request.target.contains("/restlet.nl")).all(|request| request.status == Some(400)));
}

#[tokio::test]
async fn a_hanging_system_ends_with_the_attempt() {
    let mut vendor = tokens().await;
    vendor.timeout = std::time::Duration::from_millis(300);
    vendor.sandbox.world().faults().add(Fault::new("netsuite", Kind::Hang { ms: 5_000 }));
    let error = vendor.call("get_record", json!({ "type": "customer", "external_id": "C-0001" })).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Timeout);
}

#[tokio::test]
async fn broken_answers_are_told_and_a_mark_is_passed_over() {
    let vendor = machine().await;
    let query = json!({ "query": "SELECT id FROM customer ORDER BY id" });
    vendor.call("run_suiteql", query.clone()).await.unwrap();
    for (kind, class) in [
        (Kind::HalfAnswer, ErrorClass::Network),
        (Kind::Truncated, ErrorClass::Server),
        (Kind::Appended, ErrorClass::Server),
        (Kind::Html, ErrorClass::Server),
        (Kind::Empty, ErrorClass::Server),
    ] {
        vendor.sandbox.world().faults().clear();
        vendor.sandbox.world().faults().add(Fault::new("netsuite", kind.clone()).on("/suiteql"));
        let error = vendor.call("run_suiteql", query.clone()).await.unwrap_err();
        assert_eq!(error.class, class, "{kind:?}: {error:?}");
    }
    vendor.sandbox.world().faults().clear();
    vendor.sandbox.world().faults().add(Fault::new("netsuite", Kind::Bom).on("/suiteql"));
    assert_eq!(vendor.call("run_suiteql", query.clone()).await.unwrap()["count"], 60);
    vendor.sandbox.world().faults().clear();
    vendor.sandbox.world().faults().add(Fault::new("netsuite", Kind::ExpiredSession).on("/suiteql").times(1));
    assert_eq!(vendor.call("run_suiteql", query).await.unwrap()["count"], 60, "the sign-in is renewed inside the attempt");
}

#[tokio::test]
async fn soap_faults_have_the_same_classes() {
    let vendor = tokens().await;
    for (kind, class) in [
        (Kind::RateLimited { retry_after: None }, ErrorClass::RateLimited),
        (Kind::ExpiredSession, ErrorClass::Auth),
        (Kind::Denied, ErrorClass::Denied),
        (Kind::ServerError, ErrorClass::Server),
        (Kind::Unavailable, ErrorClass::Server),
        (Kind::Html, ErrorClass::Server),
        (Kind::Truncated, ErrorClass::Server),
    ] {
        meets(&vendor, kind.clone());
        let error = vendor.call("soap_get_record", json!({ "type": "customer", "external_id": "C-0001" })).await.unwrap_err();
        assert_eq!(error.class, class, "{kind:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_role_without_suiteql_has_a_connection_that_works() {
    let vendor = machine().await;
    let check = || vendor.call("check_connection", json!({}));
    assert_eq!(check().await.unwrap(), json!({ "suiteql": true }));
    vendor.sandbox.world().faults().add(Fault::new("netsuite", Kind::Denied).on("/suiteql"));
    assert_eq!(check().await.unwrap(), json!({ "suiteql": false }));
    vendor.sandbox.world().faults().clear();
    vendor.sandbox.world().faults().add(Fault::new("netsuite", Kind::Denied).on("/services/"));
    assert_eq!(check().await.unwrap_err().class, ErrorClass::Denied, "what may do nothing is told");
}
