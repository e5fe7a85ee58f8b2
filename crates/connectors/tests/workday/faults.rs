//! What goes wrong, and what it becomes: class, doubt and words, at each door.

use std::{sync::Arc, time::Duration};

use connector::{Connection, Doubt, ErrorClass, Position, Secret, StepError};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{happen, seen, set, vendor::Vendor, without, workday};

/// A call at each door: the action, its input, and what its address holds.
fn doors() -> [(&'static str, Json, &'static str); 6] {
    [
        ("list_organizations", json!({}), "/ccx/api/v1/"),
        ("run_wql", json!({ "query": "SELECT worker FROM allWorkers" }), "/ccx/api/wql/"),
        ("get_worker", json!({ "worker": "21001" }), "/Human_Resources/"),
        ("change_business_title", json!({ "worker": "21002", "title": "X", "find_earlier": false }), "/Human_Resources/"),
        ("run_report", json!({ "report": "isu/Organizations" }), "/customreport2/"),
        (
            "request_one_time_payment",
            json!({ "worker": "21001", "plan": "One-Time_Payment_Plan_ID=SPOT_BONUS", "amount": 5, "currency": "USD", "date": "2026-11-01" }),
            "/requestOneTimePayment",
        ),
    ]
}

async fn under(
    vendor: &Vendor,
    (action, input, path): &(&'static str, Json, &'static str),
    kind: Kind,
) -> Result<Json, StepError> {
    let faults = vendor.sandbox.world().faults();
    faults.clear();
    faults.add(Fault::new("workday", kind).on(path));
    let result = vendor.call(action, input.clone()).await;
    faults.clear();
    result
}

#[tokio::test]
async fn every_refusal_ends_in_its_class_with_words_and_what_to_do_next() {
    let vendor = workday().await;
    for door in &doors() {
        for (kind, class) in [
            (Kind::RateLimited { retry_after: Some(3) }, ErrorClass::RateLimited),
            (Kind::RateLimited { retry_after: None }, ErrorClass::RateLimited),
            (Kind::DailyLimit, ErrorClass::RateLimited),
            (Kind::ServerError, ErrorClass::Server),
            (Kind::Unavailable, ErrorClass::Server),
            (Kind::ExpiredSession, ErrorClass::Auth),
            (Kind::Denied, ErrorClass::Denied),
        ] {
            let error = under(&vendor, door, kind.clone()).await.unwrap_err();
            let what = format!("{} under {kind:?}: {error:?}", door.0);
            // Nothing says that Workday takes back what it began before it failed; what is asked with GET is only read.
            let late = kind == Kind::ServerError && !matches!(door.0, "list_organizations" | "run_report");
            assert_eq!((error.class, error.doubt == Doubt::MayHaveHappened), (class, late), "{what}");
            let wait = matches!(kind, Kind::RateLimited { retry_after: Some(3) }).then_some(Duration::from_secs(3));
            assert_eq!(error.retry_after, wait, "{what}");
            assert!(error.message.contains("Workday") && error.next.as_ref().is_some_and(|next| next.ends_with('.')), "{what}");
            assert!(error.request.is_some(), "{what}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_never_came_or_cannot_be_read_leaves_doubt() {
    let mut vendor = workday().await;
    for door in &doors() {
        for (kind, class) in [
            (Kind::ResetBefore, ErrorClass::Network),
            (Kind::ResetAfter, ErrorClass::Network),
            (Kind::HalfAnswer, ErrorClass::Network),
            (Kind::Truncated, ErrorClass::Server),
            (Kind::Html, ErrorClass::Server),
            (Kind::Empty, ErrorClass::Server),
        ] {
            let error = under(&vendor, door, kind.clone()).await.unwrap_err();
            let what = format!("{} under {kind:?}: {error:?}", door.0);
            assert_eq!(error.class, class, "{what}");
            assert!(error.doubt == Doubt::MayHaveHappened || door.0 == "run_report", "{what}");
        }
        vendor.timeout = Duration::from_millis(300);
        let error = under(&vendor, door, Kind::Hang { ms: 5_000 }).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (ErrorClass::Timeout, Doubt::MayHaveHappened), "{}: {error:?}", door.0);
        vendor.timeout = Duration::from_secs(20);
        // A comment behind XML changes nothing; behind JSON it does.
        let appended = under(&vendor, door, Kind::Appended).await;
        assert_eq!(appended.is_ok(), door.2 == "/Human_Resources/", "{}: {appended:?}", door.0);
        under(&vendor, door, Kind::Bom).await.unwrap_or_else(|error| panic!("{} with a mark: {error}", door.0));
    }
}

#[tokio::test]
async fn a_gateway_does_not_know_what_workday_did() {
    let vendor = workday().await;
    vendor.call("list_currencies", json!({})).await.unwrap();
    for (status, doubt) in [(502, Doubt::MayHaveHappened), (503, Doubt::Settled), (504, Doubt::MayHaveHappened)] {
        set(&vendor, json!({ "gateway": status }));
        for (action, input, _) in
            doors().into_iter().filter(|door| ["change_business_title", "request_one_time_payment"].contains(&door.0))
        {
            let error = vendor.call(action, input).await.unwrap_err();
            assert_eq!((error.class, error.doubt), (ErrorClass::Server, doubt), "{action} {status}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_what_was_asked_for_is_not_an_empty_one() {
    let vendor = workday().await;
    let now = Position::Since(vendor.sandbox.world().clock().now().as_microsecond());
    vendor.sandbox.world().clock().advance(Duration::from_secs(120));
    set(&vendor, json!({ "hollow": true }));
    for (action, input) in [
        ("list_organizations", json!({})),
        ("search_workers", json!({})),
        ("run_wql", json!({ "query": "SELECT worker FROM allWorkers" })),
        ("list_workers", json!({})),
    ] {
        let error = vendor.call(action, input).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"), "{action}: {error:?}");
    }
    for trigger in ["worker_changed", "organization_changed", "event_started"] {
        let error = vendor.poll(trigger, json!({}), now.clone()).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"), "{trigger}: {error:?}");
    }
}

#[tokio::test]
async fn a_source_that_ignores_the_offset_is_told_and_not_read_for_ever() {
    let vendor = workday().await;
    let pages = async |query: &str, size: usize| vendor.pages("run_wql", json!({ "query": query, "page_size": size })).await;
    let workers = "SELECT employeeID FROM allWorkers";
    // Rows that are all alike are no sign of it for a good while.
    let alike = "SELECT currentlyActive FROM allWorkers WHERE currentlyActive = true";
    set(&vendor, json!({ "wql_without_offset": true }));
    let error = pages(workers, 500).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"), "{error:?}");
    assert!(error.message.contains("it gives the page before again"), "{error}");
    assert_eq!(seen(&vendor, "/wql/"), 2);
    let error = pages(alike, 400).await.unwrap_err();
    assert!(error.message.contains("it gives the page before again"), "{error}");
    let error = vendor.call("run_wql", json!({ "query": workers, "page_size": 500 })).await.unwrap_err();
    assert_eq!(error.code, "ANSWER_UNREADABLE", "{error:?}");
    set(&vendor, json!({ "wql_without_offset": false }));
    assert!(pages(alike, 400).await.unwrap().len() > 2);
}

#[tokio::test]
async fn a_web_page_in_place_of_a_report_is_no_file() {
    let vendor = workday().await;
    set(&vendor, json!({ "report_page": true }));
    for (action, format) in [
        ("download_report", "csv"),
        ("download_report", "json"),
        ("download_report", "xml"),
        ("run_report", "json"),
        ("run_report", "xml"),
    ] {
        let error = vendor.call(action, json!({ "report": "isu/Organizations", "format": format })).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"), "{action} {format}: {error:?}");
    }
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_asked_for_with_fewer_workers() {
    let mut vendor = workday().await;
    vendor.timeout = Duration::from_secs(8);
    let faults = vendor.sandbox.world().faults();
    faults.add(Fault::new("workday", Kind::Hang { ms: 60_000 }).on("/Human_Resources/").times(1));
    let known = vendor.sandbox.world().clock().now().to_string();
    let input = json!({ "groups": ["employment"], "known_at": known });
    let pages = vendor.connector.action("list_workers").unwrap().pages.clone().unwrap();
    let first = pages(vendor.cx("run_1/step"), input.clone(), None).await.unwrap();
    assert_eq!((first.items.len(), &first.next.as_ref().unwrap()["page"]), (50, &json!(2)));
    let second = pages(vendor.cx("run_1/step"), input.clone(), first.next).await.unwrap();
    assert_eq!(second.items.len(), 50);
    // The third page of a hundred is the fifth of fifty: nobody is passed over.
    let whole =
        pages(vendor.cx("run_1/step"), input.clone(), Some(json!({ "page": 3, "count": 100, "known_at": known }))).await.unwrap();
    vendor.sandbox.world().faults().add(Fault::new("workday", Kind::ServerError).on("/Human_Resources/").times(1));
    let half = pages(vendor.cx("run_1/step"), input, Some(json!({ "page": 3, "count": 100, "known_at": known }))).await.unwrap();
    assert_eq!(half.items, whole.items[..50]);
    assert_eq!(half.next.unwrap()["page"], 6);
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed_once_and_a_dead_one_breaks_the_connection() {
    let vendor = workday().await;
    vendor.call("list_currencies", json!({})).await.unwrap();
    happen(&vendor, "expire_tokens", json!({}));
    vendor.call("list_currencies", json!({})).await.unwrap();
    assert_eq!((seen(&vendor, "/token"), seen(&vendor, "/currencies")), (2, 3));
    happen(&vendor, "revoke_tokens", json!({}));
    let error = vendor.call("list_currencies", json!({})).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Auth, Doubt::Settled), "{error:?}");
}

#[tokio::test]
async fn parallel_calls_with_a_dead_token_renew_it_once() {
    let vendor = workday().await;
    vendor.call("list_currencies", json!({})).await.unwrap();
    happen(&vendor, "expire_tokens", json!({}));
    let calls = (0..50).map(|_| vendor.call("list_currencies", json!({})));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(seen(&vendor, "/token"), 2);
}

#[tokio::test]
async fn what_people_see_of_a_failed_call_holds_no_secret() {
    let vendor = workday().await;
    for door in &doors() {
        let error = under(&vendor, door, Kind::ServerError).await.unwrap_err();
        let told = format!("{} {:?} {:?}", error.message, error.request, error.response);
        for (name, secret) in &vendor.connection.credentials {
            let secret = secret.expose();
            let shown = if secret.len() < 4 { told.contains(&format!(">{secret}<")) } else { told.contains(secret) };
            assert!(!shown || matches!(name.as_str(), "username"), "{}: {name} in {told}", door.0);
        }
        assert!(!told.contains("Bearer ey") && !told.contains("#PasswordText\\\">pw<"), "{told}");
    }
}

#[tokio::test]
async fn the_vendors_own_refusals_are_told_apart() {
    let vendor = workday().await;
    for (action, input, class, code) in [
        ("run_wql", json!({ "query": "SELECT (worker) FROM allWorkers" }), ErrorClass::Invalid, "WQL_SYNTAX"),
        ("run_wql", json!({ "query": "SELECT nothing FROM allWorkers" }), ErrorClass::Invalid, "WQL_FIELD"),
        ("run_wql", json!({ "query": "SELECT worker FROM workersForHCMReporting" }), ErrorClass::Invalid, "WQL_FILTER"),
        ("call_operation", json!({ "service": "Payroll", "operation": "Get_Workers" }), ErrorClass::Invalid, "WRONG_SERVICE"),
        (
            "call_operation",
            json!({ "service": "Human_Resources", "operation": "Get_Workers", "body": { "Nonsense": 1 } }),
            ErrorClass::Invalid,
            "VALIDATION",
        ),
        ("get_worker_profile", json!({ "worker": "nobody" }), ErrorClass::NotFound, "NOT_FOUND"),
        ("get_organization", json!({ "organization": "x" }), ErrorClass::NotFound, "NOT_FOUND"),
    ] {
        let error = vendor.call(action, input).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str(), error.doubt), (class, code, Doubt::Settled), "{error:?}");
    }
    set(&vendor, json!({ "approvals": true }));
    let change =
        |title: &str| vendor.call("change_business_title", json!({ "worker": "21002", "title": title, "find_earlier": false }));
    change("One").await.unwrap();
    let error = change("Two").await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Conflict, "ANOTHER_EVENT"));
    assert!(error.message.contains("another process of this kind is on its way"), "{error}");
}

#[tokio::test]
async fn the_test_of_a_connection_signs_in_with_all_it_holds() {
    let mut vendor = workday().await;
    assert_eq!(vendor.connector.test.as_ref().unwrap().action, "check_connection");
    let all = vendor.call("check_connection", json!({})).await.unwrap();
    assert_eq!(all, json!({ "web_services": true, "api_client": true }));
    let good = vendor.connection.clone();
    for (name, words) in
        [("refresh_token", "the API client"), ("client_secret", "the API client"), ("password", "the user of web services")]
    {
        let mut wrong = Connection::clone(&good);
        wrong.name = format!("wrong {name}");
        wrong.credentials.insert(name.to_owned(), Secret::new("wrong-one".to_owned()));
        vendor.connection = Arc::new(wrong);
        let error = vendor.call("check_connection", json!({})).await.unwrap_err();
        assert_eq!((error.class, error.message.starts_with(words)), (ErrorClass::Auth, true), "{name}: {error:?}");
    }
    vendor.connection = good;
    without(&mut vendor, &["username", "password"]);
    let client = vendor.call("check_connection", json!({})).await.unwrap();
    assert_eq!(client, json!({ "web_services": false, "api_client": true }));
    vendor.sandbox.world().faults().add(Fault::new("workday", Kind::Denied).on("/ccx/api/v1/"));
    vendor.call("check_connection", json!({})).await.unwrap();
}
