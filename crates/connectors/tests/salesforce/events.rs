//! The event bus: every event comes once, whatever becomes of the stream, and what is lost is told.

use std::{collections::HashSet, sync::Arc, time::Duration};

use connector::{AddressPolicy, ErrorClass, Occurrence, Position, StepError, http::Http, http::HttpOptions};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{salesforce, vendor::Vendor};

const SUBSCRIBE: &str = "/eventbus.v1.PubSub/Subscribe";

fn orders() -> Json {
    json!({"event": "Order_Event__e", "wait_s": 1})
}

impl Vendor {
    fn publish(&self, count: usize) -> Vec<String> {
        let made = self.happen(
            "publish",
            json!({"event": "Order_Event__e", "fields": {"Number__c": "7", "Amount__c": 2.5}, "count": count}),
        );
        made["uuids"].as_array().unwrap().iter().map(|uuid| uuid.as_str().unwrap().to_owned()).collect()
    }

    fn start_of_now(&self) -> Position {
        Position::Since(self.sandbox.world().clock().now().as_microsecond())
    }

    /// Asks until there is no more to have; an error is what a server would try again.
    async fn followed(&self, trigger: &str, with: &Json, from: Position) -> (Vec<Occurrence>, Position, Vec<StepError>) {
        let (mut events, mut from, mut errors) = (Vec::new(), from, Vec::new());
        for _ in 0..60 {
            match self.poll(trigger, with.clone(), from.clone()).await {
                Ok(polled) => {
                    events.extend(polled.events);
                    from = Position::After(polled.cursor);
                    if !polled.more {
                        return (events, from, errors);
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        panic!("there is no end: {errors:?}")
    }
}

fn keys(events: &[Occurrence]) -> Vec<&str> {
    events.iter().map(|event| event.key.as_str()).collect()
}

#[tokio::test]
async fn events_come_once_in_their_order_from_the_start_on() {
    let sf = salesforce().await;
    sf.publish(3);
    sf.sandbox.world().clock().advance(Duration::from_secs(2));
    let start = sf.start_of_now();
    let first = sf.publish(2);
    let (events, place, _) = sf.followed("platform_event", &orders(), start.clone()).await;
    assert_eq!(keys(&events), first, "those from before the start are left out");
    let (none, place, _) = sf.followed("platform_event", &orders(), place).await;
    assert!(none.is_empty());
    let second = sf.publish(1200);
    let (events, place, _) = sf.followed("platform_event", &orders(), place).await;
    assert_eq!(keys(&events), second);
    let by_rest = sf.call("publish_event", json!({"event": "Order_Event__e", "fields": {"Number__c": "9"}})).await.unwrap();
    let (events, place, _) = sf.followed("platform_event", &orders(), place).await;
    assert_eq!(keys(&events), [by_rest["uuid"].as_str().unwrap()]);
    let data = &events[0].data;
    assert_eq!((&data["fields"]["Number__c"], &data["fields"]["Amount__c"]), (&json!("9"), &Json::Null));
    assert_eq!((&data["event"], &data["lost"], &data["event_id"]), (&json!("Order_Event__e"), &json!(false), &by_rest["uuid"]));
    let again = sf.poll("platform_event", orders(), start).await.unwrap();
    assert_eq!(keys(&again.events)[..2], first, "asked again it gives the same under the same keys");
    // Another event has another stream: the place in this one is none in that.
    let with = json!({"event": "Invoice_Paid__e", "wait_s": 1});
    sf.sandbox.world().clock().advance(Duration::from_secs(2));
    sf.happen("invoice_paid", json!({"invoice": "INV-1001"}));
    let (events, ..) = sf.followed("platform_event", &with, place).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].data["fields"]["Invoice_Number__c"], "INV-1001");
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_streams_break() {
    for (how, after) in [("reset", 0), ("reset", 30), ("unavailable", 0), ("unavailable", 30), ("expired", 0), ("expired", 30)] {
        let sf = salesforce().await;
        let start = sf.start_of_now();
        let all = sf.publish(300);
        // A session that ends again and again is no session any more; one end must not be felt.
        let breaks = if how == "expired" { 1 } else { 5 };
        sf.configure(json!({"stream_breaks": breaks, "stream_break_events": after, "stream_break_with": how}));
        let (events, place, errors) = sf.followed("platform_event", &orders(), start).await;
        let known: HashSet<&str> = keys(&events).into_iter().collect();
        assert_eq!(
            (known.len(), events.len(), keys(&events)),
            (300, 300, all.iter().map(String::as_str).collect()),
            "{how} {after}"
        );
        assert!(errors.iter().all(|error| error.class.is_transient()), "{how} {after}: {errors:?}");
        // A reset may take away what was on its way; any other end comes after what came before it.
        let felt = how == "reset" || how == "unavailable" && after == 0;
        assert!(felt || errors.is_empty(), "{how} {after}: {errors:?}");
        let (none, ..) = sf.followed("platform_event", &orders(), place).await;
        assert!(none.is_empty());
    }
}

#[tokio::test]
async fn a_session_that_ended_is_made_anew_once() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    sf.poll("platform_event", orders(), start.clone()).await.unwrap();
    let tokens = sf.seen("/oauth2/token");
    sf.happen("expire_sessions", json!({}));
    let all = sf.publish(2);
    let polled = sf.poll("platform_event", orders(), start.clone()).await.unwrap();
    assert_eq!(keys(&polled.events), all);
    assert_eq!(sf.seen("/oauth2/token") - tokens, 1);
    sf.sandbox.world().faults().add(Fault::new("salesforce", Kind::ExpiredSession).on(SUBSCRIBE));
    let refused = sf.poll("platform_event", orders(), start).await.unwrap_err();
    assert_eq!((refused.class, refused.code.as_str()), (ErrorClass::Auth, "sfdc.platform.eventbus.grpc.service.auth.error"));
}

#[tokio::test]
async fn an_event_that_is_delivered_twice_comes_once() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    let all = sf.publish(120);
    sf.configure(json!({"stream_twice": true}));
    let (events, ..) = sf.followed("platform_event", &orders(), start).await;
    assert_eq!(keys(&events), all);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_told_and_stands_in_nobody_s_way() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    let before = sf.publish(2);
    sf.configure(json!({"spoilt_events": 1}));
    let spoilt = sf.publish(1);
    let after = sf.publish(2);
    let (events, place, errors) = sf.followed("platform_event", &orders(), start.clone()).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(keys(&events)[..2], before);
    assert_eq!(keys(&events)[3..], after);
    assert_eq!((&events[2].data["lost"], &events[2].data["event_id"]), (&json!(true), &json!(spoilt[0])));
    assert!(events[2].key.starts_with("unreadable:"));
    let (none, ..) = sf.followed("platform_event", &orders(), place).await;
    assert!(none.is_empty());
    let again = sf.poll("platform_event", orders(), start).await.unwrap();
    assert_eq!(again.events[2].key, events[2].key);
}

#[tokio::test]
async fn a_schema_that_changes_in_the_middle_is_learned() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    sf.publish(2);
    sf.happen("add_field", json!({"object": "Order_Event__e", "field": "Region__c string:80 \"Region\""}));
    sf.happen("publish", json!({"event": "Order_Event__e", "fields": {"Number__c": "8", "Region__c": "EMEA"}}));
    let (events, place, _) = sf.followed("platform_event", &orders(), start).await;
    assert!(events[0].data["fields"].get("Region__c").is_none());
    assert_eq!((events.len(), &events[2].data["fields"]["Region__c"]), (3, &json!("EMEA")));
    sf.publish(1);
    sf.followed("platform_event", &orders(), place).await;
    assert_eq!(sf.seen("/GetSchema"), 2, "each schema is asked for once");
}

#[tokio::test]
async fn a_quiet_stream_moves_the_place_and_one_that_grew_old_loses_nothing() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    sf.publish(1);
    let (_, place, _) = sf.followed("platform_event", &orders(), start).await;
    let clock = sf.sandbox.world().clock();
    // Nothing happens for more than three days, but it was asked all the time.
    clock.advance(Duration::from_secs(40 * 3_600));
    let (none, place, _) = sf.followed("platform_event", &orders(), place).await;
    clock.advance(Duration::from_secs(40 * 3_600));
    let all = sf.publish(1);
    let (events, place, _) = sf.followed("platform_event", &orders(), place).await;
    assert!(none.is_empty());
    assert_eq!(keys(&events), all, "no gap is told where there is none");
    // A keepalive moves the place, so that it does not grow old.
    sf.configure(json!({"stream_keepalive_ms": 100}));
    clock.advance(Duration::from_secs(60 * 3_600));
    let (_, moved, _) = sf.followed("platform_event", &orders(), place.clone()).await;
    let replay = |place: &Position| match place {
        Position::After(cursor) => cursor["replay"].clone(),
        Position::Since(_) => Json::Null,
    };
    assert!(replay(&moved).is_string() && replay(&moved) != replay(&place));
    sf.configure(json!({"stream_keepalive_ms": 270_000}));
    clock.advance(Duration::from_secs(60 * 3_600));
    let all = sf.publish(1);
    let (events, ..) = sf.followed("platform_event", &orders(), moved).await;
    assert_eq!(keys(&events), all);
}

#[tokio::test]
async fn a_place_that_is_not_kept_any_more_is_told_and_the_rest_comes() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    sf.publish(1);
    let (_, place, _) = sf.followed("platform_event", &orders(), start).await;
    sf.publish(1);
    sf.sandbox.world().clock().advance(Duration::from_secs(80 * 3_600));
    let kept = sf.publish(2);
    let (events, after, _) = sf.followed("platform_event", &orders(), place.clone()).await;
    assert_eq!((events.len(), &keys(&events)[1..]), (3, &kept.iter().map(String::as_str).collect::<Vec<_>>()[..]));
    assert_eq!((&events[0].data["lost"], &events[0].data["fields"]), (&json!(true), &json!({})));
    assert!(events[0].key.starts_with("lost:") && events[0].data["lost_after"].is_string());
    let (again, ..) = sf.followed("platform_event", &orders(), place).await;
    assert_eq!(again[0].key, events[0].key, "asked again it is told under the same key");
    // The org moves: replay ids of before mean nothing although they are young.
    sf.happen("move_org", json!({}));
    let new = sf.publish(1);
    let (events, ..) = sf.followed("platform_event", &orders(), after).await;
    assert_eq!((&events[0].data["lost"], events[1].key.as_str()), (&json!(true), new[0].as_str()));
    let strange = Position::After(
        json!({"topic": "/event/Order_Event__e", "replay": "no base64!", "at_ms": 0, "asked_ms": 0, "floor_ms": 0}),
    );
    assert_eq!(sf.poll("platform_event", orders(), strange).await.unwrap_err().code, "CURSOR_INVALID");
    let corrupt =
        Position::After(json!({"topic": "/event/Order_Event__e", "replay": "AAAA", "at_ms": 0, "asked_ms": 0, "floor_ms": 0}));
    assert_eq!(sf.poll("platform_event", orders(), corrupt).await.unwrap().events[0].data["lost"], true);
}

#[tokio::test]
async fn changes_tell_what_changed_and_who_did_it() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    let with = json!({"objects": ["Account"], "wait_s": 1});
    let made = sf.happen("create", json!({"object": "Account", "fields": {"Name": "Acme", "BillingCity": "Bern", "Phone": "1"}}));
    let id = made["id"].as_str().unwrap();
    sf.happen(
        "change",
        json!({"object": "Account", "id": id, "fields": {"Rating": "Hot", "Phone": null, "BillingCity": "Basel"}}),
    );
    sf.happen("create", json!({"object": "Lead", "fields": {"LastName": "Ray", "Company": "Acme"}}));
    sf.call("update", json!({"object": "Account", "id": id, "fields": {"Rating": "Cold"}})).await.unwrap();
    sf.happen("delete", json!({"object": "Account", "id": id}));
    sf.happen("undelete", json!({"object": "Account", "id": id}));
    sf.happen("gap", json!({"object": "Account", "kind": "GAP_UPDATE", "ids": [id, "001xx000003DGb1AAG"]}));
    let (events, place, _) = sf.followed("change_event", &with, start.clone()).await;
    let told: Vec<(&str, bool)> =
        events.iter().map(|event| (event.data["change_type"].as_str().unwrap(), event.data["gap"].as_bool().unwrap())).collect();
    assert_eq!(told, [("CREATE", false), ("UPDATE", false), ("DELETE", false), ("UNDELETE", false), ("GAP_UPDATE", true)]);
    let (created, changed, gap) = (&events[0].data, &events[1].data, &events[4].data);
    assert_eq!((&created["fields"]["Name"], &created["fields"]["BillingAddress"]), (&json!("Acme"), &json!({"City": "Bern"})));
    assert_eq!((&changed["record_id"], &changed["object"]), (&json!(id), &json!("Account")));
    let names: HashSet<&str> = changed["changed_fields"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    assert!(
        ["Rating", "Phone", "BillingAddress.City"].iter().all(|name| names.contains(name)) && !names.contains("Name"),
        "{names:?}"
    );
    assert_eq!(changed["nulled_fields"], json!(["Phone"]));
    assert_eq!((&changed["fields"]["Rating"], &changed["fields"]["BillingAddress"]["City"]), (&json!("Hot"), &json!("Basel")));
    assert!(
        changed["fields"]["Phone"].is_null()
            && changed["fields"].get("Phone").is_some()
            && changed["fields"].get("Name").is_none()
    );
    assert_eq!((&gap["record_ids"], &gap["fields"]), (&json!([id, "001xx000003DGb1AAG"]), &json!({})));
    // Our own writes, when they are wanted; other kinds of change left out; several objects; a quiet stream.
    let with = json!({"objects": ["Account"], "ignore_own_changes": false, "change_types": ["UPDATE"], "wait_s": 1});
    let (events, ..) = sf.followed("change_event", &with, start.clone()).await;
    assert_eq!(events.len(), 2);
    assert!(events[1].data["origin"].as_str().unwrap().ends_with("client=liaison"));
    let with = json!({"objects": ["Lead", "Invoice__c"], "wait_s": 1});
    let (events, ..) = sf.followed("change_event", &with, start.clone()).await;
    assert_eq!(events.iter().map(|event| &event.data["object"]).collect::<Vec<_>>(), ["Lead"]);
    let (events, ..) = sf.followed("change_event", &json!({"wait_s": 1}), start).await;
    assert_eq!(events.len(), 6);
    let (none, ..) = sf.followed("change_event", &json!({"objects": ["Account"], "wait_s": 1}), place).await;
    assert!(none.is_empty());
}

#[tokio::test]
async fn whole_records_come_with_their_changes_and_those_that_are_gone_are_told() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    let made =
        |name: &str| sf.happen("create", json!({"object": "Account", "fields": {"Name": name, "Rating": "Cold"}}))["id"].clone();
    let (kept, gone) = (made("Kept"), made("Gone"));
    sf.happen("change", json!({"object": "Account", "id": kept, "fields": {"Rating": "Hot"}}));
    sf.happen("delete", json!({"object": "Account", "id": gone}));
    sf.happen("gap", json!({"object": "Account", "kind": "GAP_OVERFLOW", "ids": ["001000000000000AAA"]}));
    let with =
        json!({"objects": ["Account"], "change_types": ["UPDATE", "CREATE", "GAP_OVERFLOW"], "full_records": true, "wait_s": 1});
    let (events, ..) = sf.followed("change_event", &with, start.clone()).await;
    let records: Vec<&Json> = events.iter().map(|event| &event.data["records"]).collect();
    assert_eq!(records.len(), 4);
    for whole in [&records[0][0], &records[2][0]] {
        assert_eq!((&whole["id"], &whole["gone"]), (&kept, &json!(false)));
        // As it is by now, and not as it was.
        assert_eq!((&whole["record"]["Name"], &whole["record"]["Rating"]), (&json!("Kept"), &json!("Hot")));
        assert!(whole["record"].get("attributes").is_none());
    }
    assert_eq!(*records[1], json!([{"id": gone, "gone": true, "record": null}]));
    assert_eq!(*records[3], json!([]), "an overflow names no record");
    let without = sf.followed("change_event", &json!({"objects": ["Account"], "wait_s": 1}), start).await.0;
    assert!(without.iter().all(|event| event.data.get("records").is_none()));
}

#[tokio::test]
async fn what_is_refused_says_why_and_what_to_do() {
    let sf = salesforce().await;
    let start = sf.start_of_now();
    let unknown = sf.poll("platform_event", json!({"event": "Nothing__e"}), start.clone()).await.unwrap_err();
    assert_eq!((unknown.class, unknown.code.as_str()), (ErrorClass::NotFound, "sfdc.platform.eventbus.grpc.topic.not.found"));
    assert!(unknown.next.is_some());
    for (kind, class) in [
        (Kind::Unavailable, ErrorClass::Server),
        (Kind::ServerError, ErrorClass::Server),
        (Kind::DailyLimit, ErrorClass::RateLimited),
        (Kind::RateLimited { retry_after: None }, ErrorClass::RateLimited),
        (Kind::Denied, ErrorClass::Denied),
        (Kind::ResetBefore, ErrorClass::Network),
    ] {
        sf.sandbox.world().faults().add(Fault::new("salesforce", kind.clone()).on(SUBSCRIBE).times(1));
        let refused = sf.poll("platform_event", orders(), start.clone()).await.unwrap_err();
        assert_eq!(refused.class, class, "{kind:?}: {refused:?}");
        assert!(!format!("{refused:?}").contains("00D") || !format!("{refused:?}").contains('!'), "no token: {refused:?}");
    }
}

#[tokio::test]
async fn the_bus_is_reached_under_the_same_rules_as_everything_else() {
    let mut sf = salesforce().await;
    let start = sf.start_of_now();
    let mut connection = (*sf.connection).clone();
    connection.config["pubsub_url"] = json!("http://10.255.255.1:7443");
    sf.connection = Arc::new(connection);
    // The org's own address is allowed by name, the bus is not.
    let policy = AddressPolicy::public_only().allow(["127.0.0.1"]).unwrap();
    sf.http = Http::new(HttpOptions { policy, ..HttpOptions::default() }).unwrap();
    let refused = sf.poll("platform_event", orders(), start).await.unwrap_err();
    assert_eq!((refused.class, refused.code.as_str()), (ErrorClass::Denied, "ADDRESS_REFUSED"));
    let credentials = std::collections::HashMap::from([("client_secret".to_owned(), connector::Secret::new("x".to_owned()))]);
    for (login, bus, good) in [
        ("https://acme.my.salesforce.com", "https://api.pubsub.salesforce.com:7443", true),
        ("https://acme.my.salesforce.com", "http://api.pubsub.salesforce.com:7443", false),
        ("https://acme.my.salesforce.com", "https://u:p@api.pubsub.salesforce.com:7443", false),
        ("https://acme.my.salesforce.com", "https://api.pubsub.salesforce.com/x", false),
        ("http://127.0.0.1:9", "http://127.0.0.1:9", true),
    ] {
        let config = json!({"login_url": login, "sign_in": "client_credentials", "client_id": "x", "pubsub_url": bus});
        assert_eq!((sf.connector.validate)(&config, &credentials).is_ok(), good, "{login} {bus}");
    }
}

/// The org's bus behind TLS, agreeing to these protocols; gives the address and the certificate.
async fn behind_tls(sf: &Vendor, protocols: &[&[u8]]) -> (String, String) {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let org = sf.sandbox.url("salesforce").socket_addrs(|| None).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, org) = (acceptor.clone(), org[0]);
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut beyond = tokio::net::TcpStream::connect(org).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut beyond).await;
            });
        }
    });
    (url, cert.pem())
}

#[tokio::test]
async fn over_tls_the_other_side_must_be_known_and_speak_http2() {
    let mut sf = salesforce().await;
    let start = sf.start_of_now();
    let all = sf.publish(3);
    for (protocols, trusted, wanted) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], true, None),
        (&[b"http/1.1"], true, Some("HTTP2_MISSING")),
        (&[], true, Some("HTTP2_MISSING")),
        (&[b"h2"], false, Some("TLS_FAILED")),
    ] {
        let (url, pem) = behind_tls(&sf, protocols).await;
        let mut connection = (*sf.connection).clone();
        connection.config["pubsub_url"] = json!(url);
        sf.connection = Arc::new(connection);
        let extra_roots_pem = trusted.then(|| pem.into_bytes()).into_iter().collect();
        let options = HttpOptions { policy: AddressPolicy::with_private(), extra_roots_pem, ..HttpOptions::default() };
        sf.http = Http::new(options).unwrap();
        match (sf.poll("platform_event", orders(), start.clone()).await, wanted) {
            (Ok(polled), None) => assert_eq!(keys(&polled.events), all),
            (Err(refused), Some(code)) => assert_eq!(refused.code, code),
            (other, wanted) => panic!("{protocols:?}: {wanted:?} was expected, not {other:?}"),
        }
    }
}
