//! Triggers: nothing lost, nothing twice.

use std::collections::BTreeSet;

use connector::{ErrorClass, Inbound, Position};
use serde_json::{Value as Json, json};

use crate::{Instance, failed, start, vendor::Vendor};

/// Asks until there is no more; gives the keys and where to go on.
async fn series(vendor: &Vendor, trigger: &str, with: &Json, mut from: Position) -> (Vec<String>, Position) {
    let mut keys = Vec::new();
    loop {
        let polled = vendor.poll(trigger, with.clone(), from).await.unwrap();
        keys.extend(polled.events.into_iter().map(|event| event.key));
        from = Position::After(polled.cursor);
        if !polled.more {
            return (keys, from);
        }
    }
}

fn now(vendor: &Vendor) -> Position {
    Position::Since(vendor.sandbox.world().clock().now().as_microsecond())
}

#[tokio::test]
async fn records_that_share_a_second_come_each_once_over_several_pages() {
    let vendor = start().await;
    let from = now(&vendor);
    vendor.happen("burst", json!({"table": "incident", "count": 1_300}));
    let with = json!({"table": "incident", "filter": "active=true^NQpriority=1", "fields": ["number"]});
    let (keys, from) = series(&vendor, "new_record", &with, from).await;
    assert!(keys.is_empty(), "the newest moments are left for later");
    vendor.advance(31);
    let (keys, from) = series(&vendor, "new_record", &with, from).await;
    assert_eq!((keys.len(), keys.iter().collect::<BTreeSet<_>>().len()), (1_300, 1_300));
    vendor.advance(3_600);
    let (again, from) = series(&vendor, "new_record", &with, from).await;
    assert!(again.iter().all(|key| keys.contains(key)), "the overlap is read again, under the same keys");
    assert!(series(&vendor, "new_record", &with, from).await.0.is_empty(), "beyond the overlap nothing is read again");
}

#[tokio::test]
async fn records_come_each_once_however_few_a_question_takes() {
    let vendor = start().await;
    let from = now(&vendor);
    vendor.happen("burst", json!({"table": "incident", "count": 7}));
    vendor.advance(31);
    for trigger in ["new_record", "new_or_updated_record"] {
        let with = json!({"table": "incident", "batch_size": 3});
        let first = vendor.poll(trigger, with.clone(), from.clone()).await.unwrap();
        assert_eq!((first.events.len(), first.more), (3, true));
        let (keys, _) = series(&vendor, trigger, &with, from.clone()).await;
        assert_eq!((keys.len(), keys.iter().collect::<BTreeSet<_>>().len()), (7, 7));
    }
}

#[tokio::test]
async fn a_record_that_is_seen_late_is_found_by_the_overlap_and_old_ones_have_the_same_key() {
    let vendor = start().await;
    let from = now(&vendor);
    let with = json!({"table": "incident"});
    vendor.happen("create_record", json!({"table": "incident", "values": {"short_description": "first"}}));
    vendor.advance(40);
    let (first, from) = series(&vendor, "new_or_updated_record", &with, from).await;
    assert_eq!(first.len(), 1);
    // Its transaction began before the last question and commits after it.
    vendor.happen("late_record", json!({"table": "incident", "seconds": 35}));
    vendor.advance(1);
    let (second, from) = series(&vendor, "new_or_updated_record", &with, from).await;
    assert_eq!(second.len(), 2);
    assert!(second.contains(&first[0]));
    let id = first[0].split(':').next().unwrap().to_owned();
    vendor.happen("change_record", json!({"table": "incident", "sys_id": id, "values": {"urgency": "1"}}));
    vendor.advance(200);
    let (third, _) = series(&vendor, "new_or_updated_record", &with, from).await;
    assert!(third.contains(&format!("{id}:1")), "{third:?}");
}

#[tokio::test]
async fn hidden_records_do_not_stop_the_walk_and_nothing_before_the_start_comes() {
    let vendor = start().await;
    let from = now(&vendor);
    vendor.happen("burst", json!({"table": "incident", "count": 1_100, "values": {"category": "network"}}));
    vendor.happen("create_record", json!({"table": "incident", "values": {"short_description": "seen"}}));
    vendor.configure(json!({"hidden": {"incident": "category=network^short_descriptionSTARTSWITHBurst"}}));
    vendor.advance(40);
    let (keys, _) = series(&vendor, "new_record", &json!({"table": "incident"}), from).await;
    assert_eq!(keys.len(), 1);
}

#[tokio::test]
async fn own_changes_can_be_left_out_and_wrong_settings_are_told() {
    let vendor = start().await;
    let from = now(&vendor);
    vendor.call("create_record", json!({"table": "incident", "fields": {"short_description": "ours"}})).await.unwrap();
    vendor.happen("create_record", json!({"table": "incident", "values": {"short_description": "theirs"}}));
    vendor.advance(40);
    let with = json!({"table": "incident", "ignore_own_changes": true, "fields": ["short_description"]});
    let polled = vendor.poll("new_or_updated_record", with, from.clone()).await.unwrap();
    assert_eq!(polled.events.len(), 1);
    assert_eq!(polled.events[0].data["short_description"], "theirs");
    let wrong = vendor.poll("new_record", json!({"table": "incident", "filter": "sttae=1"}), from.clone()).await;
    failed(wrong.map(|_| Json::Null), ErrorClass::Invalid, "FIELD_UNKNOWN");
    let strange = vendor.poll("new_record", json!({"table": "incident"}), Position::After(json!({"page": 1}))).await;
    failed(strange.map(|_| Json::Null), ErrorClass::Internal, "CURSOR_INVALID");
}

#[tokio::test]
async fn deletions_comments_and_schedules_are_told() {
    let vendor = start().await;
    let from = now(&vendor);
    let made =
        vendor.happen("create_record", json!({"table": "incident", "values": {"short_description": "x", "comments": "first"}}));
    vendor.happen("comment", json!({"table": "incident", "sys_id": made["sys_id"], "kind": "work_notes", "text": "inside"}));
    vendor.advance(40);
    let told = vendor.poll("new_comment", json!({"table": "incident", "kind": "both"}), from.clone()).await.unwrap();
    let mut texts: Vec<&str> = told.events.iter().map(|event| event.data["text"].as_str().unwrap()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["first", "inside"]);
    assert_eq!(told.events[0].data["record"]["sys_id"], made["sys_id"]);
    vendor.happen("delete_record", json!({"table": "incident", "sys_id": made["sys_id"]}));
    vendor.advance(40);
    let told = vendor.poll("deleted_record", json!({"table": "incident"}), from).await.unwrap();
    assert_eq!((told.events.len(), &told.events[0].data["sys_id"]), (1, &made["sys_id"]));
    let with = json!({"table": "incident", "filter": "state=1", "every_minutes": 60});
    // From now on: an hour may have begun since the test did.
    let first = vendor.poll("scheduled_query", with.clone(), now(&vendor)).await.unwrap();
    assert!(first.events.is_empty());
    vendor.advance(3_600);
    let due = vendor.poll("scheduled_query", with.clone(), Position::After(first.cursor)).await.unwrap();
    assert_eq!((due.events.len(), &due.events[0].data["count"]), (1, &json!(12)));
    let after = vendor.poll("scheduled_query", with, Position::After(due.cursor)).await.unwrap();
    assert!(after.events.is_empty(), "once an hour");
}

/// What the instance sent, as the webhook's address receives it.
async fn received(vendor: &Vendor, operations: Json) -> (Vec<(String, String)>, Vec<u8>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hooks/x", socket.local_addr().unwrap());
    let made = vendor
        .call("business_rule_script", json!({"table": "incident", "address": address, "operations": operations}))
        .await
        .unwrap();
    let rule = json!({"name": "Liaison", "collection": made["table"], "when": made["when"], "action_insert": "true", "script": made["script"]});
    vendor.happen("create_record", json!({"table": "sys_script", "values": rule}));
    vendor.happen("create_record", json!({"table": "incident", "values": {"short_description": "hook"}}));
    let (mut stream, _) = socket.accept().await.unwrap();
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut buffer = [0; 4_096];
        let count = stream.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(|text| text.parse::<usize>().unwrap()));
            if body.len() >= length.unwrap() {
                break (head.to_owned(), length.unwrap());
            }
        }
    };
    stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let headers = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    (headers, bytes.split_off(bytes.len() - length))
}

#[tokio::test]
async fn an_event_that_is_sent_is_checked_and_has_the_key_of_the_one_that_is_asked_for() {
    let vendor = start().await;
    let from = now(&vendor);
    let (headers, body) = received(&vendor, json!(["insert"])).await;
    let trigger = vendor.connector.trigger("record_event").unwrap();
    let webhook = trigger.webhook.clone().unwrap();
    let inbound = |headers: &'static [(String, String)], body: &'static [u8]| Inbound {
        method: "POST",
        base: "http://x",
        target: "/hooks/x",
        headers,
        body,
        now_s: 0,
    };
    let (headers, body): (&'static [_], &'static [u8]) = (headers.leak(), body.leak());
    let verified = (webhook.verify)(&vendor.connection, &inbound(headers, body)).unwrap();
    let read = webhook.read.clone().unwrap();
    let events = read(&vendor.connection, &json!({"table": "incident", "operations": ["insert"]}), &inbound(headers, body))
        .unwrap()
        .events;
    assert_eq!(verified.event_key.as_deref(), Some(events[0].key.as_str()));
    crate::vendor::fits(&trigger.output, &events[0].data, "the event");
    assert!(read(&vendor.connection, &json!({"table": "problem"}), &inbound(headers, body)).unwrap().events.is_empty());
    assert!(
        read(&vendor.connection, &json!({"table": "incident", "operations": ["delete"]}), &inbound(headers, body))
            .unwrap()
            .events
            .is_empty()
    );
    vendor.advance(40);
    let asked = vendor.poll("record_event", json!({"table": "incident"}), from).await.unwrap();
    assert_eq!(asked.events, events, "asked for or sent, it is the same event");
    let forged: &'static [u8] = String::from_utf8_lossy(body).replace("insert", "delete").into_bytes().leak();
    assert_eq!((webhook.verify)(&vendor.connection, &inbound(headers, forged)).unwrap_err().code, "SIGNATURE_MISMATCH");
    assert_eq!((webhook.verify)(&vendor.connection, &inbound(&[], body)).unwrap_err().code, "SIGNATURE_MISSING");
    let doubled: &'static [(String, String)] = [headers, headers].concat().leak();
    assert_eq!((webhook.verify)(&vendor.connection, &inbound(doubled, body)).unwrap_err().code, "HEADER_DOUBLED");
}
