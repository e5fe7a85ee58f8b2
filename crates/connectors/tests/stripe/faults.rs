//! Every action and every question of a trigger under every fault.

use std::time::Duration;

use connector::{Doubt, ErrorClass, Position, StepError};
use sandbox::{Fault, Kind};
use serde_json::{Map, Value as Json, json};

use crate::{id, stripe, vendor::Vendor};

/// An input that fits the schema and no more.
fn least(schema: &Json) -> Json {
    let mut input = Map::new();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        let field = &schema["properties"][name];
        let value = match (name, field["enum"].as_array(), field["type"].as_str().or_else(|| field["type"][0].as_str())) {
            ("path", ..) => json!("/v1/balance"),
            ("currency", ..) => json!("usd"),
            ("email", ..) => json!("a@b.co"),
            (_, Some(values), _) => values[0].clone(),
            (_, _, Some("object")) => json!({}),
            (_, _, Some("array")) => json!([]),
            _ => json!("x_1"),
        };
        input.insert(name.to_owned(), value);
    }
    Json::Object(input)
}

/// A fault before anything is done, and what it ends in.
fn refusals() -> Vec<(Kind, ErrorClass, &'static str, Doubt)> {
    vec![
        (Kind::RateLimited { retry_after: None }, ErrorClass::RateLimited, "rate_limit", Doubt::Settled),
        (Kind::RateLimited { retry_after: Some(3) }, ErrorClass::RateLimited, "rate_limit", Doubt::Settled),
        (Kind::DailyLimit, ErrorClass::RateLimited, "rate_limit", Doubt::Settled),
        (Kind::ServerError, ErrorClass::Server, "api_error", Doubt::MayHaveHappened),
        (Kind::Unavailable, ErrorClass::Server, "api_error", Doubt::MayHaveHappened),
        (Kind::ExpiredSession, ErrorClass::Auth, "api_key_expired", Doubt::Settled),
        (Kind::Denied, ErrorClass::Denied, "permission_denied", Doubt::Settled),
        (Kind::Html, ErrorClass::Server, "ANSWER_UNREADABLE", Doubt::MayHaveHappened),
    ]
}

fn good(error: &StepError, what: &str) {
    assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{what}: {}", error.message);
    assert!(error.next.as_ref().is_some_and(|next| next.ends_with('.')), "{what}: {:?}", error.next);
    assert!(error.request.is_some(), "{what} tells what was sent");
    assert!(!format!("{error:?}").contains("sk_test_51"), "{what} shows the key");
}

async fn attempt(vendor: &Vendor, action: &str) -> Result<Json, StepError> {
    let found = vendor.connector.action(action).unwrap();
    let mut input = least(&found.input);
    if action == "upload_file" {
        // Without a file nothing is sent; any other write shows the same.
        return vendor.call("create_customer", json!({})).await;
    }
    if action == "create_checkout_session" {
        input["mode"] = json!("payment");
    }
    vendor.call(action, input).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_tells_every_refusal() {
    let vendor = stripe().await;
    let names: Vec<&str> = vendor.connector.actions.iter().map(|action| action.id).collect();
    for (kind, class, code, doubt) in refusals() {
        vendor.sandbox.world().faults().clear();
        vendor.sandbox.world().faults().add(Fault::new("stripe", kind.clone()));
        for name in &names {
            let error = attempt(&vendor, name).await.unwrap_err();
            let what = format!("{name} {kind:?}");
            // What only reads leaves no doubt behind where an answer came.
            let reads = error.request.as_ref().is_some_and(|sent| sent["method"] == "GET") && code == "api_error";
            let doubt = if reads { Doubt::Settled } else { doubt };
            assert_eq!((error.class, error.code.as_str(), error.doubt), (class, code, doubt), "{what}: {error}");
            let wanted =
                if matches!(kind, Kind::RateLimited { retry_after: Some(_) }) { Some(Duration::from_secs(3)) } else { None };
            assert_eq!(error.retry_after, wanted, "{what}");
            good(&error, &what);
        }
    }
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_at_all_is_told_with_its_doubt() {
    let mut vendor = stripe().await;
    for (kind, class) in [(Kind::ResetBefore, ErrorClass::Network), (Kind::Hang { ms: 60_000 }, ErrorClass::Timeout)] {
        vendor.sandbox.world().faults().clear();
        vendor.sandbox.world().faults().add(Fault::new("stripe", kind.clone()));
        vendor.timeout = Duration::from_millis(400);
        for action in ["create_customer", "get_balance", "list_customers", "call_api"] {
            let error = attempt(&vendor, action).await.unwrap_err();
            assert_eq!((error.class, error.doubt), (class, Doubt::MayHaveHappened), "{action} {kind:?}: {error}");
            good(&error, action);
        }
    }
    vendor.sandbox.world().faults().clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_spoilt_answer_is_asked_for_again_and_nothing_is_done_twice() {
    let vendor = stripe().await;
    let cases = [
        (Kind::ResetAfter, ErrorClass::Network),
        (Kind::HalfAnswer, ErrorClass::Network),
        (Kind::Truncated, ErrorClass::Server),
        (Kind::Appended, ErrorClass::Server),
        (Kind::Empty, ErrorClass::Server),
    ];
    for (place, (kind, class)) in cases.into_iter().enumerate() {
        let (email, key) = (format!("lost{place}@b.co"), format!("run_{place}/step"));
        vendor.sandbox.world().faults().add(Fault::new("stripe", kind.clone()).method("POST").times(1));
        let input = json!({"email": email, "name": "Lost"});
        let error = vendor.call_with(vendor.cx(&key), "create_customer", input.clone()).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (class, Doubt::MayHaveHappened), "{kind:?}: {error}");
        assert!(error.class.is_transient());
        let made = vendor.call_with(vendor.cx(&key), "create_customer", input).await.unwrap();
        let found = vendor.call("list_customers", json!({"filters": {"email": email}})).await.unwrap();
        assert_eq!(found["records"].as_array().unwrap().len(), 1, "{kind:?}");
        assert_eq!(found["records"][0]["id"], made["id"]);
    }
    vendor.sandbox.world().faults().add(Fault::new("stripe", Kind::Bom).times(1));
    assert!(vendor.call("get_balance", json!({})).await.is_ok(), "a mark before the answer is passed over");
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_with_corrected_data_is_a_new_request() {
    let vendor = stripe().await;
    let first = vendor.call_with(vendor.cx("run_9/step"), "create_customer", json!({"name": "Ann"})).await.unwrap();
    let same = vendor.call_with(vendor.cx("run_9/step"), "create_customer", json!({"name": "Ann"})).await.unwrap();
    let other = vendor.call_with(vendor.cx("run_9/step"), "create_customer", json!({"name": "Anne"})).await.unwrap();
    assert_eq!(id(&first), id(&same));
    assert_ne!(id(&first), id(&other));
    let own = json!({"name": "Ann", "idempotency_key": "mine"});
    vendor.call("create_customer", own.clone()).await.unwrap();
    let mut changed = own;
    changed["name"] = json!("Bob");
    let error = vendor.call("create_customer", changed).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Conflict, "idempotency_error"));
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendor_s_own_word_on_trying_again_is_heard() {
    let vendor = stripe().await;
    let set = |settings: Json| vendor.sandbox.vendor("stripe").unwrap().configure(&settings).unwrap();
    set(json!({"should_retry": false}));
    vendor.sandbox.world().faults().add(Fault::new("stripe", Kind::ServerError).times(1));
    let error = vendor.call("get_balance", json!({})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "should_not_retry"));
    set(json!({"should_retry": true, "refusal_code": "lock_timeout"}));
    vendor.sandbox.world().faults().add(Fault::new("stripe", Kind::RateLimited { retry_after: None }).times(1));
    let error = vendor.call("get_balance", json!({})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::RateLimited, "lock_timeout"));
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_tells_every_refusal() {
    let vendor = stripe().await;
    for (kind, class, code, _) in refusals() {
        vendor.sandbox.world().faults().clear();
        vendor.sandbox.world().faults().add(Fault::new("stripe", kind.clone()));
        for trigger in vendor.connector.triggers.iter().filter(|trigger| trigger.poll.is_some()) {
            let error = vendor.poll(trigger.id, least(&trigger.config), Position::Since(0)).await.unwrap_err();
            assert_eq!((error.class, error.code.as_str()), (class, code), "{} {kind:?}", trigger.id);
            good(&error, trigger.id);
        }
    }
    vendor.sandbox.stop().await;
}
