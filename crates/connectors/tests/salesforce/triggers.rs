//! Triggers: nothing is missed, nothing comes twice, whatever the order of stamps and the size of bursts.

use std::{collections::HashSet, time::Duration};

use connector::{ErrorClass, Inbound, Polled, Position};
use serde_json::{Value as Json, json};

use crate::{salesforce, vendor::Vendor};

impl Vendor {
    fn advance(&self, seconds: u64) {
        self.sandbox.world().clock().advance(Duration::from_secs(seconds));
    }

    fn now(&self) -> Position {
        Position::Since(self.sandbox.world().clock().now().as_microsecond())
    }

    /// Asks until there is no more to have; every key that came, and the place after it.
    async fn caught_up(&self, trigger: &str, with: &Json, from: Position) -> (Vec<String>, Position) {
        let (mut keys, mut from) = (Vec::new(), from);
        loop {
            let Polled { events, cursor, more } = self.poll(trigger, with.clone(), from).await.unwrap();
            keys.extend(events.into_iter().map(|event| event.key));
            from = Position::After(cursor);
            if !more {
                return (keys, from);
            }
        }
    }
}

#[tokio::test]
async fn new_records_come_once_though_thousands_share_a_second() {
    let sf = salesforce().await;
    let start = sf.now();
    let with = json!({"object": "Lead", "fields": ["LastName"]});
    sf.happen("burst", json!({"object": "Lead", "count": 4500, "fields": {"LastName": "Tie", "Company": "B"}}));
    let (keys, place) = sf.caught_up("new_record", &with, start).await;
    assert!(keys.is_empty(), "the newest minute is left for later");
    sf.advance(61);
    let (keys, place) = sf.caught_up("new_record", &with, place).await;
    let distinct: HashSet<&String> = keys.iter().collect();
    assert_eq!((keys.len(), distinct.len()), (4500, 4500));
    sf.advance(5);
    let (again, _) = sf.caught_up("new_record", &with, place).await;
    assert!(again.iter().all(|key| distinct.contains(key)), "what is read again has the same keys");
}

#[tokio::test]
async fn a_record_that_becomes_visible_late_is_still_found() {
    let sf = salesforce().await;
    let start = sf.now();
    let with = json!({"object": "Lead", "fields": ["LastName"]});
    sf.configure(json!({"late_rows_seconds": 200}));
    sf.happen("create", json!({"object": "Lead", "fields": {"LastName": "Late", "Company": "B"}}));
    sf.advance(120);
    let (keys, place) = sf.caught_up("new_record", &with, start).await;
    assert!(keys.is_empty());
    sf.advance(120);
    let (keys, _) = sf.caught_up("new_record", &with, place).await;
    assert_eq!(keys.len(), 1);
}

#[tokio::test]
async fn changes_come_each_time_and_the_books_before_the_start_never() {
    let sf = salesforce().await;
    let start = sf.now();
    let with = json!({"object": "Account", "lag_s": 0, "filter": [{"field": "Rating", "is": "not_empty"}]});
    let change =
        |rating: &str| json!({"object": "Account", "key": "External_Id__c", "value": "C-0001", "fields": {"Rating": rating}});
    sf.happen("change", change("Hot"));
    sf.advance(2);
    let (first, place) = sf.caught_up("new_or_updated_record", &with, start.clone()).await;
    sf.happen("change", change("Cold"));
    sf.advance(2);
    let (second, _) = sf.caught_up("new_or_updated_record", &with, place).await;
    let new: Vec<&String> = second.iter().filter(|key| !first.contains(key)).collect();
    assert_eq!((first.len(), new.len()), (1, 1));
    assert_eq!(first[0].split(':').next(), new[0].split(':').next());
    let event = sf.poll("new_or_updated_record", with, start).await.unwrap().events.remove(0);
    assert_eq!(event.data["record"]["Rating"], "Cold");
    assert!(event.data["record"].get("attributes").is_none());
    let refused = sf.poll("new_record", json!({"object": "Nothing__c"}), sf.now()).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::NotFound);
    let strange = sf.poll("new_record", json!({"object": "Lead"}), Position::After(json!({"page": 1}))).await.unwrap_err();
    assert_eq!(strange.code, "CURSOR_INVALID");
}

#[tokio::test]
async fn records_come_each_once_however_few_a_question_takes() {
    let sf = salesforce().await;
    let start = sf.now();
    sf.happen("burst", json!({"object": "Lead", "count": 7, "fields": {"LastName": "Import", "Company": "Bulk"}}));
    sf.advance(2);
    for trigger in ["new_record", "new_or_updated_record"] {
        let with = json!({"object": "Lead", "lag_s": 0, "batch_size": 3});
        let first = sf.poll(trigger, with.clone(), start.clone()).await.unwrap();
        assert_eq!((first.events.len(), first.more), (3, true));
        let (keys, _) = sf.caught_up(trigger, &with, start.clone()).await;
        let each: std::collections::BTreeSet<&String> = keys.iter().collect();
        assert_eq!((keys.len(), each.len()), (7, 7));
    }
}

#[tokio::test]
async fn deletions_are_told_also_of_records_that_left_nothing() {
    let sf = salesforce().await;
    let start = sf.now();
    let with = json!({"object": "Lead"});
    let id = sf.happen("create", json!({"object": "Lead", "fields": {"LastName": "Gone", "Company": "B"}}))["id"]
        .as_str()
        .unwrap()
        .to_owned();
    sf.happen("delete", json!({"object": "Lead", "id": id, "for_good": true}));
    sf.advance(130);
    let (keys, place) = sf.caught_up("deleted_record", &with, start).await;
    assert_eq!(keys.len(), 1);
    assert!(keys[0].starts_with(&id));
    sf.advance(60);
    let (again, _) = sf.caught_up("deleted_record", &with, place).await;
    assert!(again.iter().all(|key| keys.contains(key)));
}

#[tokio::test]
async fn deletions_that_nobody_tells_any_more_are_told_as_a_gap() {
    let sf = salesforce().await;
    let with = json!({"object": "Lead"});
    let (_, place) = sf.caught_up("deleted_record", &with, sf.now()).await;
    sf.advance(20 * 24 * 3_600);
    let polled = sf.poll("deleted_record", with.clone(), place).await.unwrap();
    let data = &polled.events[0].data;
    assert_eq!((polled.events.len(), &data["lost"], &data["id"]), (1, &json!(true), &Json::Null));
    assert!(data["lost_after"].is_string() && polled.events[0].key.starts_with("lost:"));
    let (later, _) = sf.caught_up("deleted_record", &with, Position::After(polled.cursor)).await;
    assert!(later.is_empty(), "once");
}

#[tokio::test]
async fn an_object_s_fields_are_asked_for_now_and_then() {
    let sf = salesforce().await;
    let with = json!({"object": "Lead"});
    let described = || sf.seen("/Lead/describe");
    let (_, mut place) = sf.caught_up("new_record", &with, sf.now()).await;
    for _ in 0..4 {
        sf.advance(60);
        (_, place) = sf.caught_up("new_record", &with, place).await;
    }
    assert_eq!(described(), 1);
    sf.advance(600);
    (_, place) = sf.caught_up("new_record", &with, place).await;
    assert_eq!(described(), 2);
    // A field that went away costs one question.
    sf.happen("remove_field", json!({"object": "Lead", "field": "Title"}));
    let Position::After(cursor) = &place else { unreachable!() };
    let error = sf.poll("new_record", with.clone(), Position::After(cursor.clone())).await.unwrap_err();
    assert_eq!(error.code, "INVALID_FIELD");
    sf.caught_up("new_record", &with, place).await;
    assert_eq!(described(), 3);
}

#[tokio::test]
async fn a_scheduled_query_gives_one_event_a_time_under_a_key_of_its_own() {
    let sf = salesforce().await;
    let with = json!({"soql": "SELECT Id FROM Invoice__c WHERE Status__c = 'Open' LIMIT 5"});
    let first = sf.poll("scheduled_soql", with.clone(), Position::Since(7)).await.unwrap();
    let again = sf.poll("scheduled_soql", with.clone(), Position::Since(7)).await.unwrap();
    assert_eq!((first.events.len(), &first.events[0].key), (1, &again.events[0].key), "asked again it is the same event");
    let next = sf.poll("scheduled_soql", with, Position::After(first.cursor)).await.unwrap();
    assert_ne!(first.events[0].key, next.events[0].key);
    assert_eq!(first.events[0].data["total_size"], 5);
}

#[tokio::test]
async fn an_outbound_message_of_the_org_is_read_and_acknowledged() {
    let sf = salesforce().await;
    let (seen, mut messages) = tokio::sync::mpsc::channel::<String>(4);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/secret", socket.local_addr().unwrap());
    let trigger = sf.connector.trigger("outbound_message").unwrap().webhook.clone().unwrap();
    let connection = sf.connection.clone();
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = socket.accept().await.unwrap();
        let (mut text, mut piece) = (Vec::new(), [0; 4096]);
        while !text.ends_with(b"</soapenv:Envelope>") {
            let count = stream.read(&mut piece).await.unwrap();
            text.extend_from_slice(&piece[..count]);
        }
        let text = String::from_utf8(text).unwrap();
        let body = text.split_once("\r\n\r\n").unwrap().1.to_owned();
        let inbound =
            Inbound { method: "POST", base: "http://x", target: "/hooks/secret", headers: &[], body: body.as_bytes(), now_s: 0 };
        (trigger.verify)(&connection, &inbound).unwrap();
        let reading = (trigger.read.as_ref().unwrap())(&connection, &json!({}), &inbound).unwrap();
        let answer = reading.answer.unwrap();
        let head = format!(
            "HTTP/1.1 {} OK\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
            answer.status,
            answer.content_type,
            answer.body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(answer.body.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        seen.send(reading.events[0].data.to_string()).await.unwrap();
        // The sender closes the line when it has read the answer.
        let _ = stream.read(&mut piece).await;
    });
    sf.configure(json!({"outbound_messages": [{"object": "Account", "url": url, "fields": ["Name"]}]}));
    let id = sf.create("Account", json!({"Name": "Tom & Co"})).await;
    let event: Json = serde_json::from_str(&messages.recv().await.unwrap()).unwrap();
    assert_eq!((&event["object"], &event["record"]), (&json!("Account"), &json!({"Id": id, "Name": "Tom & Co"})));
    while sf.sandbox.world().outbox().deliveries()[0].state == sandbox::Tries::Waiting {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        sf.sandbox.world().outbox().deliveries()[0].state,
        sandbox::Tries::Delivered,
        "the acknowledgement is what Salesforce wants to see"
    );
    server.abort();
}
