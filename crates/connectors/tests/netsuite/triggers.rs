//! What is told once, what is not told, and by whose clock.

use std::time::Duration;

use connector::{ErrorClass, Occurrence, Polled, Position};
use serde_json::{Value as Json, json};

use crate::{configure, happen, machine, tokens, vendor::Vendor};

fn micros(vendor: &Vendor) -> i64 {
    vendor.sandbox.world().clock().now().as_microsecond()
}

fn pass(vendor: &Vendor, seconds: u64) {
    vendor.sandbox.world().clock().advance(Duration::from_secs(seconds));
}

fn make(vendor: &Vendor, name: &str) {
    happen(vendor, "record_created", &json!({ "type": "customer", "values": { "companyName": name, "subsidiary": "1" } }));
}

fn after(polled: &Polled) -> Position {
    Position::After(polled.cursor.clone())
}

fn names(polled: &Polled) -> Vec<&str> {
    let record = |event: &Occurrence| if event.data["record"].is_object() { "record" } else { "row" };
    polled.events.iter().map(|event| event.data[record(event)]["companyname"].as_str().unwrap()).collect()
}

fn new() -> Json {
    json!({ "type": "customer", "fields": ["companyname"] })
}

#[tokio::test]
async fn what_was_told_is_not_read_again_for_ever_and_nothing_from_before_the_start() {
    let vendor = machine().await;
    make(&vendor, "Before");
    pass(&vendor, 60);
    let start = Position::Since(micros(&vendor));
    pass(&vendor, 10);
    make(&vendor, "Moss");
    pass(&vendor, 30);
    let first = vendor.poll("new_record", new(), start).await.unwrap();
    assert_eq!(names(&first), ["Moss"]);
    let second = vendor.poll("new_record", new(), after(&first)).await.unwrap();
    assert_eq!(names(&second), ["Moss"], "the last stretch is read again, but not from before the start");
    pass(&vendor, 600);
    let third = vendor.poll("new_record", new(), after(&second)).await.unwrap();
    let fourth = vendor.poll("new_record", new(), after(&third)).await.unwrap();
    assert!(fourth.events.is_empty(), "{fourth:?}");
}

#[tokio::test]
async fn how_far_a_question_looked_is_told_by_netsuites_clock() {
    let vendor = machine().await;
    let start = Position::Since(micros(&vendor));
    vendor.call("run_suiteql", json!({ "query": "SELECT 1 AS ok FROM dual" })).await.unwrap();
    let mut ahead = vendor.cx("poll");
    ahead.began_us += 600_000_000;
    let trigger = vendor.connector.trigger("new_record").unwrap().poll.clone().unwrap();
    let first = (trigger.ask)(ahead, new(), start).await.unwrap();
    pass(&vendor, 60);
    make(&vendor, "Moss");
    pass(&vendor, 30);
    let second = vendor.poll("new_record", new(), after(&first)).await.unwrap();
    assert_eq!(names(&second), ["Moss"], "our own clock runs ten minutes ahead");
}

#[tokio::test]
async fn the_hour_that_comes_twice_is_not_passed_over() {
    let vendor = machine().await;
    let until = |text: &str| {
        let at = text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        pass(&vendor, u64::try_from((at - micros(&vendor)) / 1_000_000).unwrap());
    };
    // Los Angeles goes back from 02:00 to 01:00 at 09:00 UTC.
    until("2027-11-07T08:50:00Z");
    let start = Position::Since(micros(&vendor));
    until("2027-11-07T08:57:00Z");
    make(&vendor, "First hour");
    until("2027-11-07T08:58:00Z");
    let first = vendor.poll("new_record", new(), start).await.unwrap();
    assert_eq!(names(&first), ["First hour"]);
    until("2027-11-07T09:10:00Z");
    make(&vendor, "Second hour");
    // Nobody asked for hours.
    until("2027-11-07T15:00:00Z");
    let second = vendor.poll("new_record", new(), after(&first)).await.unwrap();
    assert_eq!(names(&second), ["Second hour", "First hour"]);
    let third = vendor.poll("new_record", new(), after(&second)).await.unwrap();
    assert!(third.events.is_empty(), "{third:?}");
}

#[tokio::test]
async fn records_that_are_each_read_come_in_small_pages() {
    let vendor = machine().await;
    let start = Position::Since(micros(&vendor));
    happen(&vendor, "many_created", &json!({ "count": 60 }));
    pass(&vendor, 30);
    let with = json!({ "type": "customer", "with_sublists": true });
    let mut position = start;
    let mut pages = Vec::new();
    loop {
        let polled = vendor.poll("new_record", with.clone(), position).await.unwrap();
        pages.push(polled.events.len());
        position = after(&polled);
        if !polled.more {
            break;
        }
    }
    assert_eq!(pages, [25, 25, 10]);
}

#[tokio::test]
async fn a_cursor_of_another_kind_is_refused() {
    let vendor = machine().await;
    for cursor in [json!({}), json!({ "at": "' OR 1 = 1 --", "floor": "2026-11-16 00:00:00" })] {
        let error = vendor.poll("new_record", new(), Position::After(cursor)).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Internal, "CURSOR_INVALID"));
    }
}

#[tokio::test]
async fn rows_with_the_same_cursor_value_are_each_told_over_pages() {
    let vendor = machine().await;
    let with = json!({ "query": "SELECT id, companyname, subsidiary FROM customer", "cursor_column": "subsidiary" });
    let first = vendor.poll("query_rows", with.clone(), Position::Since(0)).await.unwrap();
    assert!(first.events.is_empty(), "what was there before starts nothing");
    happen(&vendor, "many_created", &json!({ "count": 1_500 }));
    // All of them have subsidiary 1: begun before the first of them, they are two pages of one value.
    let last = json!({ "last": { "value": "0", "key": "0" } });
    let mut position = Position::After(last);
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let polled = vendor.poll("query_rows", with.clone(), position).await.unwrap();
        for event in &polled.events {
            assert!(seen.insert(event.key.clone()), "{}", event.key);
            assert!(event.data["row"].get("liaison_key").is_none());
        }
        position = after(&polled);
        if !polled.more {
            break;
        }
    }
    assert_eq!(seen.len(), 1_560);
    let error = vendor
        .poll("query_rows", json!({ "query": "SELECT companyname FROM customer", "cursor_column": "companyname" }), after(&first))
        .await
        .unwrap_err();
    assert!(error.message.contains("Unknown identifier"), "{error}");
}

#[tokio::test]
async fn a_column_of_time_begins_at_the_start_of_the_trigger() {
    let vendor = machine().await;
    make(&vendor, "Before");
    pass(&vendor, 60);
    let start = Position::Since(micros(&vendor));
    make(&vendor, "Moss");
    pass(&vendor, 30);
    let with = json!({ "query": "SELECT id, companyname, datecreated FROM customer", "cursor_column": "datecreated", "cursor_type": "time" });
    let first = vendor.poll("query_rows", with.clone(), start).await.unwrap();
    assert_eq!(names(&first), ["Moss"]);
    pass(&vendor, 600);
    let second = vendor.poll("query_rows", with.clone(), after(&first)).await.unwrap();
    assert!(vendor.poll("query_rows", with, after(&second)).await.unwrap().events.is_empty());
}

/// Looks at a saved search whole; the names of the rows that are new.
async fn look(vendor: &Vendor, position: Position) -> (Vec<String>, Position) {
    let search = json!({ "search": "customsearch_customers", "search_type": "customer", "page_size": 40 });
    let (mut found, mut position) = (Vec::new(), position);
    loop {
        let polled = vendor.poll("saved_search_rows", search.clone(), position).await.unwrap();
        found.extend(polled.events.iter().map(|event| event.data["row"]["companyName"].as_str().unwrap().to_owned()));
        position = after(&polled);
        if !polled.more {
            return (found, position);
        }
    }
}

#[tokio::test]
async fn a_saved_search_starts_with_rows_it_did_not_show_before() {
    let vendor = tokens().await;
    let (first, position) = look(&vendor, Position::Since(micros(&vendor))).await;
    assert!(first.is_empty(), "{first:?}");
    make(&vendor, "Moss");
    let (second, position) = look(&vendor, position).await;
    assert_eq!(second, ["Moss"]);
    assert!(look(&vendor, position).await.0.is_empty());
}

#[tokio::test]
async fn a_search_that_ran_out_is_begun_again_by_the_trigger_and_told_by_the_step() {
    let vendor = tokens().await;
    let search = json!({ "search": "customsearch_customers", "search_type": "customer", "page_size": 40 });
    let (_, position) = look(&vendor, Position::Since(0)).await;
    make(&vendor, "Moss");
    let begun = vendor.poll("saved_search_rows", search.clone(), position).await.unwrap();
    assert!(begun.more);
    pass(&vendor, 3_600);
    let (found, _) = look(&vendor, after(&begun)).await;
    assert_eq!(found, ["Moss"]);
    let pages = vendor.connector.action("run_saved_search").unwrap().pages.clone().unwrap();
    let page = pages(vendor.cx("run_1/step"), search.clone(), None).await.unwrap();
    pass(&vendor, 3_600);
    let error = pages(vendor.cx("run_1/step"), search, page.next).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "INVALID_SEARCH_MORE"));
}

#[tokio::test]
async fn a_search_that_gives_the_same_page_for_ever_ends_in_an_error() {
    let vendor = tokens().await;
    configure(&vendor, &json!({ "search_stuck": true }));
    let search = json!({ "search": "customsearch_customers", "search_type": "customer", "page_size": 25 });
    let error = vendor.call("run_saved_search", search).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"));
    let sent = vendor.sandbox.world().recorder().of("netsuite");
    let actions: Vec<&str> = sent
        .iter()
        .flat_map(|request| &request.headers)
        .filter(|(name, _)| name == "soapaction")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(actions, ["\"search\"", "\"searchMoreWithId\""], "an action is written in quotes");
}

#[tokio::test]
async fn a_call_that_runs_by_itself_is_told_once_and_another_one_anew() {
    let vendor = machine().await;
    let call = json!({ "path": "customer/eid:C-0001", "method": "PATCH", "body": { "phone": "+1" } });
    let mut told = Vec::new();
    let mut place = Position::Since(micros(&vendor));
    for step in ["first", "second"] {
        let job = vendor.call_with(vendor.cx(step), "submit_async", call.clone()).await.unwrap()["job"].clone();
        let with = json!({ "job": job });
        for _ in 0..20 {
            pass(&vendor, 60);
            let polled = vendor.poll("async_finished", with.clone(), place).await.unwrap();
            place = after(&polled);
            told.extend(polled.events.into_iter().map(|event| (event.key, event.data["job"].clone(), job.clone())));
        }
    }
    // The trigger's settings named another call the second time; its place was that of the first.
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|(_, told, wanted)| told == wanted) && told[0].0 != told[1].0, "{told:?}");
}
