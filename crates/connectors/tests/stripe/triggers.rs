//! Events that are sent and events that are asked for.

use std::time::Duration;

use connector::{Connection, ErrorClass, Inbound, Occurrence, Position, Reading, Refused, Secret};
use serde_json::{Value as Json, json};

use crate::{SECRET, stripe, vendor::Vendor};

/// The vector of the vendor's Node client.
const BODY: &str = r#"{"id":"evt_1QTestEvent000000000001","object":"event","type":"invoice.paid"}"#;
const TIME: i64 = 1_795_219_200;
const SIGNATURE: &str = "37924f609db600e513200f75a39c65ceffee711e2e92f1fff0362675af74a529";

fn checked(vendor: &Vendor, header: &str, body: &str, now_s: i64) -> Result<Option<String>, Refused> {
    let headers = [("stripe-signature".to_owned(), header.to_owned())];
    let inbound = Inbound {
        method: "POST",
        base: "https://l.example",
        target: "/hooks/x",
        headers: &headers,
        body: body.as_bytes(),
        now_s,
    };
    let webhook = vendor.connector.trigger("event").unwrap().webhook.clone().unwrap();
    (webhook.verify)(&vendor.connection, &inbound).map(|verified| verified.event_key)
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_those_of_the_vendor() {
    let vendor = stripe().await;
    let header = format!("t={TIME},v1={SIGNATURE}");
    assert_eq!(checked(&vendor, &header, BODY, TIME + 299).unwrap().as_deref(), Some("evt_1QTestEvent000000000001"));
    assert!(checked(&vendor, &header, BODY, TIME + 301).is_err() && checked(&vendor, &header, BODY, TIME - 301).is_err());
    assert!(checked(&vendor, &header, &format!("{BODY} "), TIME).is_err());
    let rolled = format!("t={TIME},v1={},v0={SIGNATURE},v1={SIGNATURE}", "0".repeat(64));
    assert!(checked(&vendor, &rolled, BODY, TIME).is_ok());
    assert!(checked(&vendor, &format!("t={TIME},v0={SIGNATURE}"), BODY, TIME).is_err());
    let bare = Connection { credentials: std::collections::HashMap::new(), ..(*vendor.connection).clone() };
    let headers = [("stripe-signature".to_owned(), header)];
    let inbound = Inbound { method: "POST", base: "", target: "/", headers: &headers, body: BODY.as_bytes(), now_s: TIME };
    let webhook = vendor.connector.trigger("event").unwrap().webhook.clone().unwrap();
    assert!((webhook.verify)(&bare, &inbound).is_err(), "without a secret nobody comes in");
    assert!(vendor.connection.credentials["webhook_secret"].expose() == SECRET);
    // Two recipes have two endpoints, each with a secret.
    let several = |secrets: &str| {
        let credentials = [("webhook_secret".to_owned(), Secret::new(secrets.to_owned()))].into();
        (webhook.verify)(&Connection { credentials, ..(*vendor.connection).clone() }, &inbound)
    };
    assert!(several(&format!("whsec_another {SECRET}")).is_ok() && several(&format!("{SECRET}\nwhsec_another")).is_ok());
    assert_eq!(several("whsec_another whsec_third").unwrap_err().code, "SIGNATURE_MISMATCH");
    vendor.sandbox.stop().await;
}

fn read(vendor: &Vendor, trigger: &str, with: &Json, body: &Json) -> Result<Reading, Refused> {
    let body = body.to_string();
    let inbound = Inbound { method: "POST", base: "", target: "/", headers: &[], body: body.as_bytes(), now_s: 0 };
    let webhook = vendor.connector.trigger(trigger).unwrap().webhook.clone().unwrap();
    (webhook.read.unwrap())(&vendor.connection, with, &inbound)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_sent_and_asked_for_is_the_same() {
    let vendor = stripe().await;
    let start = Position::Since(vendor.sandbox.world().clock().now().as_microsecond());
    vendor.sandbox.world().clock().advance(Duration::from_secs(2));
    let with = json!({"types": ["customer.*"]});
    let none = vendor.poll("event", with.clone(), start).await.unwrap();
    assert!(none.events.is_empty() && !none.more);
    let stripe = vendor.sandbox.vendor("stripe").unwrap();
    stripe.happen("new_customer", &json!({"name": "Acme", "email": "a@acme.example"})).unwrap();
    stripe.happen("change_customer", &json!({"customer": "C-0001", "change": {"phone": "+1"}})).unwrap();
    stripe.happen("pay", &json!({"customer": "C-0001", "amount": 500, "currency": "usd"})).unwrap();
    let polled = vendor.poll("event", with.clone(), Position::After(none.cursor)).await.unwrap();
    let types: Vec<&str> = polled.events.iter().map(|event| event.data["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["customer.created", "customer.updated"], "oldest first, others left out");
    let again = vendor.poll("event", with.clone(), Position::After(polled.cursor.clone())).await.unwrap();
    assert_eq!(again.events, polled.events, "the youngest are given again: one from before them may come late");
    vendor.sandbox.world().clock().advance(Duration::from_secs(60));
    let settled = vendor.poll("event", with.clone(), Position::After(again.cursor)).await.unwrap();
    let quiet = vendor.poll("event", with.clone(), Position::After(settled.cursor)).await.unwrap();
    assert!(quiet.events.is_empty());
    let kept = stripe.rows("Event", 0, 100_000).unwrap();
    let sent = kept.iter().find(|event| event["id"] == polled.events[0].key.as_str()).unwrap();
    assert_eq!(read(&vendor, "event", &with, sent).unwrap().events, [polled.events[0].clone()]);
    assert_eq!(read(&vendor, "event", &json!({"types": ["invoice.paid"]}), sent).unwrap().events, []);
    let mut theirs = sent.clone();
    theirs["account"] = json!("acct_1");
    assert_eq!(read(&vendor, "event", &with, &theirs).unwrap().events, [], "of another account");
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_record_comes_with_what_was_before() {
    let vendor = stripe().await;
    let stripe = vendor.sandbox.vendor("stripe").unwrap();
    let start = Position::Since(vendor.sandbox.world().clock().now().as_microsecond() + 1_000_000);
    vendor.sandbox.world().clock().advance(Duration::from_secs(3));
    stripe.happen("change_customer", &json!({"customer": "C-0001", "change": {"phone": "+1555"}})).unwrap();
    stripe.happen("cancel_subscription", &json!({"customer": subscriber(&vendor)})).unwrap();
    let with = json!({"record": "customer", "changes": ["updated", "created"]});
    let polled = vendor.poll("record_changed", with.clone(), start.clone()).await.unwrap();
    let data = &polled.events[0].data;
    assert_eq!(polled.events.len(), 1, "{polled:?}");
    assert_eq!(
        (&data["change"], &data["changed_fields"], &data["record"]["phone"]),
        (&json!("updated"), &json!(["phone"]), &json!("+1555"))
    );
    assert!(data["previous"]["phone"].is_string());
    let ended = vendor.poll("record_changed", json!({"record": "subscription"}), start).await.unwrap();
    assert_eq!(ended.events.last().unwrap().data["event_type"], "customer.subscription.deleted");
    vendor.sandbox.stop().await;
}

/// A customer who subscribes to something.
fn subscriber(vendor: &Vendor) -> Json {
    vendor.sandbox.vendor("stripe").unwrap().rows("Subscription", 0, 1).unwrap()[0]["customer"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_records_are_walked_from_old_to_new_over_many_pages() {
    let vendor = stripe().await;
    let stripe = vendor.sandbox.vendor("stripe").unwrap();
    let start = Position::Since(vendor.sandbox.world().clock().now().as_microsecond() + 1_000_000);
    vendor.sandbox.world().clock().advance(Duration::from_secs(3));
    for n in 0..230 {
        stripe.happen("new_customer", &json!({"name": format!("{n:03}"), "email": "n@b.co"})).unwrap();
    }
    let (mut from, mut names) = (start, Vec::new());
    loop {
        let polled = vendor.poll("new_record", json!({"resource": "customers"}), from).await.unwrap();
        names.extend(polled.events.iter().map(|event| event.data["name"].as_str().unwrap().to_owned()));
        from = Position::After(polled.cursor);
        if !polled.more {
            break;
        }
    }
    assert_eq!(names, (0..230).map(|n| format!("{n:03}")).collect::<Vec<_>>());
    let empty = vendor.poll("new_record", json!({"resource": "topups"}), Position::Since(0)).await.unwrap();
    assert!(empty.events.is_empty());
    let added = stripe.happen("payout", &json!({"currency": "usd"})).unwrap();
    let first = vendor.poll("new_record", json!({"resource": "payouts"}), Position::Since(0)).await.unwrap();
    assert_eq!(first.events.last().unwrap().key, added["id"].as_str().unwrap(), "nothing older than the start");
    vendor.sandbox.stop().await;
}

/// Asks a trigger until there is no more, by a clock of ours that is so many seconds off; gives the events, the place, and
/// how many times it was asked.
async fn walked(
    vendor: &Vendor,
    (trigger, off_s): (&str, i64),
    with: &Json,
    mut from: Position,
) -> (Vec<Occurrence>, Position, usize) {
    let poll = vendor.connector.trigger(trigger).unwrap().poll.clone().unwrap();
    let mut events = Vec::new();
    for asked in 1..100 {
        let mut cx = vendor.cx("poll");
        cx.began_us += off_s * 1_000_000;
        let polled = (poll.ask)(cx, with.clone(), from).await.unwrap();
        events.extend(polled.events);
        from = Position::After(polled.cursor);
        if !polled.more {
            return (events, from, asked);
        }
    }
    panic!("it never ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stop_is_caught_up_page_by_page_whatever_our_clock_says() {
    for off_s in [-600, 0, 600] {
        let vendor = stripe().await;
        let stripe = vendor.sandbox.vendor("stripe").unwrap();
        let clock = vendor.sandbox.world().clock();
        let start = Position::Since(clock.now().as_microsecond() + 1_000_000);
        clock.advance(Duration::from_secs(3));
        let made = |name: String| stripe.happen("new_customer", &json!({"name": name, "email": "n@b.co"})).unwrap();
        for n in 0..290 {
            made(format!("{n:03}"));
            clock.advance(Duration::from_secs(if n % 60 == 0 { 36_000 } else { 7 }));
        }
        for n in 290..430 {
            made(format!("{n:03}"));
        }
        let with = json!({"types": ["v1.customer.created"]});
        let (events, place, asked) = walked(&vendor, ("thin_event", off_s), &with, start).await;
        let keys: std::collections::HashSet<_> = events.iter().map(|event| &event.key).collect();
        assert_eq!((keys.len(), events.len()), (430, 430), "each once, by a clock that is {off_s} s off");
        assert!(events.is_sorted_by_key(|event| event.data["created"].as_str().unwrap().to_owned()), "oldest first");
        assert!(asked > 4, "{asked} questions, each kept with its events");
        let late = made("late".to_owned());
        clock.advance(Duration::from_secs(40));
        let (again, place, _) = walked(&vendor, ("thin_event", off_s), &with, place).await;
        let fresh: Vec<&Occurrence> = again.iter().filter(|event| !keys.contains(&event.key)).collect();
        assert_eq!(fresh.len(), 1, "{fresh:?}");
        assert_eq!(fresh[0].data["related_object"]["id"], late["id"], "by a clock that is {off_s} s off");
        clock.advance(Duration::from_secs(40));
        let (quiet, _, asked) = walked(&vendor, ("thin_event", off_s), &with, place).await;
        assert!(asked == 1 && quiet.iter().all(|event| event.key == fresh[0].key), "{quiet:?}");
        vendor.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_youngest_events_are_read_again_whatever_our_clock_says() {
    for off_s in [-600, 600] {
        let vendor = stripe().await;
        let clock = vendor.sandbox.world().clock();
        let start = Position::Since(clock.now().as_microsecond());
        clock.advance(Duration::from_secs(100));
        vendor.sandbox.vendor("stripe").unwrap().happen("new_customer", &json!({"name": "A", "email": "a@b.co"})).unwrap();
        let with = json!({"types": ["customer.created"]});
        let (first, place, _) = walked(&vendor, ("event", off_s), &with, start).await;
        let (again, place, _) = walked(&vendor, ("event", off_s), &with, place).await;
        assert_eq!((first.len(), &again), (1, &first), "one from before it may come late");
        clock.advance(Duration::from_secs(60));
        let (_, place, _) = walked(&vendor, ("event", off_s), &with, place).await;
        assert!(walked(&vendor, ("event", off_s), &with, place).await.0.is_empty(), "by a clock that is {off_s} s off");
        vendor.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thin_events_are_asked_for_over_many_pages_and_come_as_they_are_sent() {
    let vendor = stripe().await;
    let stripe = vendor.sandbox.vendor("stripe").unwrap();
    let clock = vendor.sandbox.world().clock();
    let mut from = Position::Since(clock.now().as_microsecond() + 1_000_000);
    clock.advance(Duration::from_secs(3));
    for n in 0..130 {
        stripe.happen("new_customer", &json!({"name": format!("{n:03}"), "email": "n@b.co"})).unwrap();
    }
    let with = json!({"types": ["v1.customer.created"]});
    let (first, cursor, _) = walked(&vendor, ("thin_event", 0), &with, from).await;
    assert_eq!(first.len(), 130);
    let event = &first[0].data;
    assert_eq!((&event["object"], &event["type"]), (&json!("v2.core.event"), &json!("v1.customer.created")));
    let about = vendor.call("call_api", json!({"method": "GET", "path": event["related_object"]["url"]})).await.unwrap();
    assert_eq!(about["body"]["name"], "000", "oldest first");
    let sent = read(&vendor, "thin_event", &with, event).unwrap();
    assert_eq!(sent.events[0], first[0], "both ways give the same under the same key");
    // What comes later is found; the last moments are read again under the same keys.
    clock.advance(Duration::from_secs(100));
    from = cursor;
    stripe.happen("new_customer", &json!({"name": "late", "email": "n@b.co"})).unwrap();
    let (later, place, _) = walked(&vendor, ("thin_event", 0), &with, from).await;
    let new = later.iter().filter(|event| !first.contains(event)).count();
    assert_eq!(new, 1);
    clock.advance(Duration::from_secs(100));
    let quiet = vendor.poll("thin_event", with.clone(), place).await.unwrap();
    assert!(quiet.events.len() <= 1);
    clock.advance(Duration::from_secs(31 * 24 * 3600));
    let error = vendor.poll("thin_event", with.clone(), Position::After(quiet.cursor)).await.unwrap_err();
    assert_eq!(error.code, "CURSOR_GONE");
    let error = vendor.poll("thin_event", with, Position::After(json!({"page": 3}))).await.unwrap_err();
    assert_eq!(error.code, "CURSOR_INVALID");
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_gone_is_told_and_never_skipped() {
    let vendor = stripe().await;
    let error = vendor.poll("event", json!({}), Position::After(json!({"after": "evt_gone"}))).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::NotFound, "CURSOR_GONE"));
    let error = vendor.poll("event", json!({}), Position::After(json!({"page": 3}))).await.unwrap_err();
    assert_eq!(error.code, "CURSOR_INVALID");
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_month_loses_no_place_and_a_month_of_silence_is_told() {
    let vendor = stripe().await;
    let days = |days: u64| vendor.sandbox.world().clock().advance(Duration::from_secs(days * 24 * 3_600));
    let stripe = vendor.sandbox.vendor("stripe").unwrap();
    let with = json!({"types": ["customer.created"]});
    let start = Position::Since(vendor.sandbox.world().clock().now().as_microsecond());
    stripe.happen("new_customer", &json!({"name": "Old", "email": "old@b.co"})).unwrap();
    days(1);
    let mut polled = vendor.poll("event", with.clone(), start).await.unwrap();
    assert_eq!(polled.events.len(), 1);
    for _ in 0..3 {
        days(20);
        polled = vendor.poll("event", with.clone(), Position::After(polled.cursor)).await.unwrap();
        assert!(polled.events.is_empty());
    }
    stripe.happen("new_customer", &json!({"name": "New", "email": "new@b.co"})).unwrap();
    let found = vendor.poll("event", with.clone(), Position::After(polled.cursor.clone())).await.unwrap();
    assert_eq!(found.events[0].data["data"]["object"]["name"], "New");
    days(31);
    let error = vendor.poll("event", with, Position::After(polled.cursor)).await.unwrap_err();
    assert_eq!(error.code, "CURSOR_GONE", "nobody asked for longer than events are kept");
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_all_newer_than_the_start_is_walked_in_pages() {
    let vendor = stripe().await;
    let stripe = vendor.sandbox.vendor("stripe").unwrap();
    for _ in 0..6 {
        for _ in 0..40 {
            stripe.happen("new_customer", &json!({"name": "N", "email": "n@b.co"})).unwrap();
        }
        vendor.sandbox.world().clock().advance(Duration::from_secs(3_600));
    }
    let all = stripe.rows("Customer", 0, 100_000).unwrap().len();
    let (mut from, mut seen, mut pages) = (Position::Since(0), Vec::new(), 0);
    loop {
        let polled = vendor.poll("new_record", json!({"resource": "customers"}), from).await.unwrap();
        pages += 1;
        assert!(polled.events.len() <= 100 && pages < 20);
        seen.extend(polled.events.into_iter().map(|event| (event.data["created"].as_i64().unwrap(), event.key)));
        from = Position::After(polled.cursor);
        if !polled.more {
            break;
        }
    }
    assert!(pages > 2 && seen.is_sorted_by_key(|(created, _)| *created));
    let keys: std::collections::HashSet<_> = seen.iter().map(|(_, key)| key).collect();
    assert_eq!((keys.len(), seen.len()), (all, all), "each once");
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_hold_no_secrets_and_a_null_account_is_the_connection_s() {
    let mut vendor = stripe().await;
    let event = json!({"id": "evt_1", "object": "event", "type": "invoice.paid", "account": "acct_1", "data": {
        "object": {"object": "invoice", "id": "in_1", "confirmation_secret": {"client_secret": "in_secret_x", "type": "payment_intent"},
            "payments": {"data": [{"payment_intent": {"id": "pi_1", "client_secret": "pi_secret_x"}}]}, "metadata": {"secret": "mine"}},
        "previous_attributes": {"client_secret": "pi_secret_x"}}});
    vendor.connection =
        std::sync::Arc::new(Connection { config: json!({"connected_account": "acct_1"}), ..(*vendor.connection).clone() });
    for (trigger, with) in [("event", json!({"connected_account": null})), ("record_changed", json!({"record": "invoice"}))] {
        let read = read(&vendor, trigger, &with, &event).unwrap();
        let text = read.events[0].data.to_string();
        assert!(text.contains("in_1") && text.contains("mine") && !text.contains("secret_x"), "{trigger}: {text}");
    }
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thin_events_and_snapshots_do_not_mix() {
    let vendor = stripe().await;
    let thin = json!({"id": "evt_1", "object": "v2.core.event", "type": "v1.customer.created", "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"}});
    let read_thin = read(&vendor, "thin_event", &json!({"types": ["v1.customer.*"]}), &thin).unwrap();
    assert_eq!((read_thin.events[0].key.as_str(), &read_thin.events[0].data), ("evt_1", &thin));
    assert_eq!(read(&vendor, "event", &json!({}), &thin).unwrap_err().code, "EVENT_THIN");
    let snapshot = json!({"id": "evt_1", "object": "event", "type": "customer.created", "data": {"object": {}}});
    assert_eq!(read(&vendor, "thin_event", &json!({}), &snapshot).unwrap_err().code, "EVENT_SNAPSHOT");
    for body in [json!([]), json!({"id": 1}), json!("x")] {
        assert_eq!(read(&vendor, "event", &json!({}), &body).unwrap_err().code, "BODY_INVALID");
    }
    vendor.sandbox.stop().await;
}
