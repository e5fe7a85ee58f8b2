//! What starts recipes.

use std::{collections::BTreeSet, time::Duration};

use connector::{Inbound, Occurrence, Position};
use serde_json::{Value as Json, json};

use crate::{happen, set, vendor::Vendor, workday};

fn now(vendor: &Vendor) -> Position {
    Position::Since(vendor.sandbox.world().clock().now().as_microsecond())
}

/// Lets the log settle, then asks until there is no more; gives new events and the cursor.
async fn ask(vendor: &Vendor, trigger: &str, with: &Json, mut from: Position) -> (Vec<Occurrence>, Position) {
    vendor.sandbox.world().clock().advance(Duration::from_secs(120));
    let mut seen = BTreeSet::new();
    let mut events = Vec::new();
    loop {
        let polled = vendor.poll(trigger, with.clone(), from).await.unwrap();
        events.extend(polled.events.into_iter().filter(|event| seen.insert(event.key.clone())));
        from = Position::After(polled.cursor);
        if !polled.more {
            return (events, from);
        }
    }
}

fn told(events: &[Occurrence]) -> Vec<(String, String)> {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| (text(&event.data["worker"]["employee_id"]), text(&event.data["change"]["class"]))).collect()
}

#[tokio::test]
async fn changes_are_told_once_in_the_order_they_were_typed() {
    let vendor = workday().await;
    let start = now(&vendor);
    let pause = || vendor.sandbox.world().clock().advance(Duration::from_secs(1));
    let hired = happen(&vendor, "hire_worker", json!({}));
    pause();
    happen(&vendor, "change_worker", json!({ "employee": "21010", "title": "Principal" }));
    pause();
    happen(&vendor, "terminate_worker", json!({ "employee": "21011", "days": 0 }));
    pause();
    let later = happen(&vendor, "hire_worker", json!({ "first_name": "Later", "days": 20 }));
    let number = |made: &Json| made["worker"]["number"].as_str().unwrap().to_owned();
    let (events, cursor) = ask(&vendor, "worker_changed", &json!({}), start.clone()).await;
    let mut all = told(&events);
    all.sort();
    let mut expected = vec![
        (number(&hired), "hire".to_owned()),
        ("21010".to_owned(), "job_change".to_owned()),
        ("21011".to_owned(), "termination".to_owned()),
        (number(&later), "hire".to_owned()),
    ];
    expected.sort();
    assert_eq!(all, expected);
    let entered: Vec<&str> = events[..3].iter().map(|event| event.data["change"]["entered"].as_str().unwrap()).collect();
    assert!(entered.is_sorted(), "{entered:?}");
    assert_eq!(events[1].data["worker"]["business_title"], "Principal");
    let (again, cursor) = ask(&vendor, "worker_changed", &json!({}), cursor).await;
    let known: BTreeSet<&String> = events.iter().map(|event| &event.key).collect();
    assert!(again.iter().all(|event| known.contains(&event.key)), "{again:?}");
    happen(&vendor, "correct_event", json!({ "event": later["event"], "days": 10 }));
    let (corrected, _) = ask(&vendor, "worker_changed", &json!({}), cursor).await;
    assert!(corrected.iter().any(|event| event.data["change"]["corrected"] == true), "{corrected:?}");
    for (trigger, classes) in [("worker_hired", 2), ("worker_terminated", 1), ("job_changed", 1)] {
        let fresh: BTreeSet<String> = ask(&vendor, trigger, &json!({}), start.clone())
            .await
            .0
            .iter()
            .map(|event| event.data["worker"]["employee_id"].to_string())
            .collect();
        assert_eq!(fresh.len(), classes, "{trigger}: {fresh:?}");
    }
}

#[tokio::test]
async fn who_is_hired_far_ahead_is_told_of_once_the_first_day_is_near() {
    for (ahead, at) in [(30, 16), (0, 46)] {
        let vendor = workday().await;
        let days = |days: u64| vendor.sandbox.world().clock().advance(Duration::from_secs(days * 86_400));
        happen(&vendor, "hire_worker", json!({ "first_name": "Before", "days": 20 }));
        days(1);
        let start = now(&vendor);
        let far = happen(&vendor, "hire_worker", json!({ "first_name": "Far", "days": 45 }));
        let number = far["worker"]["number"].as_str().unwrap().to_owned();
        let with = json!({ "look_ahead_days": ahead });
        let (events, mut cursor) = ask(&vendor, "worker_hired", &with, start).await;
        assert!(told(&events).is_empty(), "{events:?}");
        let mut seen = Vec::new();
        for day in 1..50 {
            days(1);
            let (events, next) = ask(&vendor, "worker_hired", &with, cursor).await;
            cursor = next;
            // The day is read again, with the same keys.
            seen.extend(events.into_iter().map(|event| (day, event.key.clone(), told(&[event])[0].0.clone())));
        }
        let keys: BTreeSet<&String> = seen.iter().filter(|(.., who)| *who == number).map(|(_, key, _)| key).collect();
        assert_eq!(keys.len(), 1, "{seen:?}");
        let first = seen.iter().find(|(.., who)| *who == number).map(|(day, ..)| *day).unwrap();
        assert!((at - 3..=at + 1).contains(&first), "{first} days after the entry, {ahead} ahead");
    }
}

#[tokio::test]
async fn who_begins_on_the_last_day_looked_at_is_told_of_once_wherever_the_tenant_is() {
    for zone in ["Pacific/Auckland", "America/Los_Angeles", "UTC"] {
        let vendor = workday().await;
        set(&vendor, json!({ "time_zone": zone }));
        let hours = |hours: u64| vendor.sandbox.world().clock().advance(Duration::from_secs(hours * 3_600));
        let with = json!({ "look_ahead_days": 14, "groups": ["personal"] });
        let (_, mut cursor) = ask(&vendor, "worker_hired", &with, now(&vendor)).await;
        let (mut hired, mut seen) = (BTreeSet::new(), Vec::new());
        for hour in 0..72 {
            hours(1);
            if hour < 24 {
                let made = happen(&vendor, "hire_worker", json!({ "days": 13 + hour % 3 }));
                hired.insert(made["worker"]["number"].as_str().unwrap().to_owned());
            }
            let (events, next) = ask(&vendor, "worker_hired", &with, cursor).await;
            cursor = next;
            seen.extend(events.into_iter().map(|event| (told(std::slice::from_ref(&event))[0].0.clone(), event.key)));
        }
        // One of the seed's comes near meanwhile.
        let keys: BTreeSet<(String, String)> = seen.into_iter().filter(|(who, _)| who != "49001").collect();
        let who: BTreeSet<String> = keys.iter().map(|(who, _)| who.clone()).collect();
        assert_eq!((who, keys.len()), (hired.clone(), hired.len()), "{zone}");
    }
}

#[tokio::test]
async fn who_looks_further_ahead_than_before_learns_of_those_who_were_too_far() {
    let vendor = workday().await;
    let start = now(&vendor);
    let far = happen(&vendor, "hire_worker", json!({ "first_name": "Far", "days": 40 }));
    let number = far["worker"]["number"].as_str().unwrap();
    let known = |events: &[Occurrence]| told(events).iter().filter(|(who, _)| who == number).count();
    let (events, cursor) = ask(&vendor, "worker_hired", &json!({ "look_ahead_days": 14 }), start).await;
    assert_eq!(known(&events), 0, "{events:?}");
    let (events, cursor) = ask(&vendor, "worker_hired", &json!({ "look_ahead_days": 60 }), cursor).await;
    assert_eq!(known(&events), 1, "{events:?}");
    // A cursor of a build that did not ask for who comes near.
    let Position::After(cursor) = cursor else { unreachable!() };
    let old = Position::After(json!({ "from": cursor["from"] }));
    for (days, times) in [(14, 0), (30, 0)] {
        let (events, _) = ask(&vendor, "worker_hired", &json!({ "look_ahead_days": days }), old.clone()).await;
        assert_eq!(known(&events), times, "{events:?}");
    }
    vendor.sandbox.world().clock().advance(Duration::from_secs(11 * 86_400));
    let (events, _) = ask(&vendor, "worker_hired", &json!({ "look_ahead_days": 30 }), old.clone()).await;
    assert_eq!(known(&events), 1, "{events:?}");
    assert!(vendor.poll("change_effective", json!({}), old).await.is_ok(), "nor one of a build without a start");
}

#[tokio::test]
async fn who_looks_less_far_ahead_than_before_is_told_nothing_twice_and_misses_nobody() {
    let vendor = workday().await;
    let day = || vendor.sandbox.world().clock().advance(Duration::from_secs(86_400));
    let hire = |name: &str, days: u64| {
        let made = happen(&vendor, "hire_worker", json!({ "first_name": name, "days": days }));
        made["worker"]["number"].as_str().unwrap().to_owned()
    };
    let before = hire("Before", 50);
    day();
    let mut cursor = now(&vendor);
    let early = hire("Early", 40);
    let mut seen: Vec<(u64, String)> = Vec::new();
    let (mut late, mut beyond) = (String::new(), String::new());
    for at in 0..80 {
        // The look ahead is made shorter, longer than ever, and short again.
        let ahead = match at {
            0..5 => 60,
            20..22 => 70,
            _ => 14,
        };
        match at {
            4 => beyond = hire("Beyond", 64),
            8 => late = hire("Late", 35),
            _ => {}
        }
        let (events, next) = ask(&vendor, "worker_hired", &json!({ "look_ahead_days": ahead }), cursor).await;
        cursor = next;
        seen.extend(events.iter().map(|event| (at, told(std::slice::from_ref(event))[0].0.clone())));
        day();
    }
    let when = |number: &String| seen.iter().filter(|(_, who)| who == number).map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(when(&before), Vec::<u64>::new(), "it was near before the trigger began");
    // The last stretch is read again, so that the question after the next one may tell it, too, under the same key.
    for (who, first) in [(&early, 0), (&late, 20), (&beyond, 20)] {
        let told = when(who);
        assert!(told.first() == Some(&first) && told.iter().all(|at| *at <= first + 2), "{told:?}, not {first}");
    }
}

#[tokio::test]
async fn thousands_of_changes_in_one_moment_are_each_told_once() {
    let vendor = workday().await;
    let start = now(&vendor);
    vendor.sandbox.world().clock().advance(Duration::from_secs(60));
    happen(&vendor, "change_workers", json!({ "count": 3_000 }));
    let with = json!({ "groups": ["employment"], "look_ahead_days": 0 });
    let (events, cursor) = ask(&vendor, "worker_changed", &with, start).await;
    assert_eq!(events.len(), 3_000);
    // Knowledge is fixed while pages are read: what is typed meanwhile comes with the next stretch.
    vendor.sandbox.world().clock().advance(Duration::from_secs(1));
    happen(&vendor, "change_workers", json!({ "count": 250 }));
    let (more, _) = ask(&vendor, "worker_changed", &with, cursor).await;
    let known: BTreeSet<&String> = events.iter().map(|event| &event.key).collect();
    assert_eq!(more.iter().filter(|event| !known.contains(&event.key)).count(), 250);
}

#[tokio::test]
async fn organizations_events_and_steps_are_told() {
    let vendor = workday().await;
    let start = now(&vendor);
    happen(&vendor, "rename_organization", json!({ "organization": "ENG", "name": "Product Engineering" }));
    let (changed, _) = ask(&vendor, "organization_changed", &json!({}), start.clone()).await;
    assert_eq!(changed.iter().map(|event| &event.data["name"]).collect::<Vec<_>>(), ["Product Engineering"]);
    set(&vendor, json!({ "approvals": true }));
    let kind = vendor.call("list_time_off_types", json!({ "worker": "21010" })).await.unwrap()["rows"][0]["id"].clone();
    vendor
        .call("request_time_off", json!({ "worker": "21010", "days": [{ "date": "2027-07-01", "type": kind }] }))
        .await
        .unwrap();
    let (steps, _) = ask(&vendor, "step_awaiting", &json!({}), start.clone()).await;
    let (started, _) = ask(&vendor, "event_started", &json!({}), start.clone()).await;
    assert_eq!((steps.len(), started.len()), (1, 1));
    assert!(ask(&vendor, "time_off_approved", &json!({}), start.clone()).await.0.is_empty());
    vendor.call("approve_step", json!({ "step": steps[0].data["id"] })).await.unwrap();
    let (completed, cursor) = ask(&vendor, "event_completed", &json!({}), start.clone()).await;
    assert_eq!((completed.len(), ask(&vendor, "time_off_approved", &json!({}), start).await.0.len()), (1, 1));
    let (again, _) = ask(&vendor, "event_completed", &json!({}), cursor).await;
    assert!(again.iter().all(|event| event.key == completed[0].key), "the day is read again, with the same keys");
}

#[tokio::test]
async fn reports_and_queries_give_batches_or_rows_that_changed() {
    let vendor = workday().await;
    let with = json!({ "report": "isu/Organizations", "batch_size": 10 });
    let (batches, cursor) = ask(&vendor, "report_scheduled", &with, Position::Since(5)).await;
    let rows = batches.iter().map(|batch| batch.data["rows"].as_array().unwrap().len()).sum::<usize>();
    assert!(batches.len() > 1 && rows > 10);
    let (next, _) = ask(&vendor, "report_scheduled", &with, cursor).await;
    assert!(next.iter().all(|batch| batches.iter().all(|old| old.key != batch.key)), "every run is new");
    let with =
        json!({ "query": "SELECT organization, organizationID, name FROM allOrganizations", "key_field": "organizationID" });
    let (all, cursor) = ask(&vendor, "query_scheduled", &with, Position::Since(5)).await;
    assert!(all.is_empty(), "what the first run shows starts nothing: {all:?}");
    happen(&vendor, "rename_organization", json!({ "organization": "ENG", "name": "Product Engineering" }));
    let (fresh, cursor) = ask(&vendor, "query_scheduled", &with, cursor).await;
    assert!(!fresh.is_empty() && fresh.len() <= 2 && fresh[0].data["rows"][0]["name"] == "Product Engineering", "{fresh:?}");
    assert!(ask(&vendor, "query_scheduled", &with, cursor.clone()).await.0.is_empty());
    happen(&vendor, "rename_organization", json!({ "organization": "ENG", "name": "Engineering" }));
    let (back, _) = ask(&vendor, "query_scheduled", &with, cursor).await;
    assert!(back.iter().all(|event| fresh.iter().all(|old| old.key != event.key)) && back.len() == fresh.len(), "{back:?}");
    let with = json!({ "report": "isu/All_Workers", "key_field": "Employee_ID" });
    let (first, cursor) = ask(&vendor, "report_scheduled", &with, Position::Since(5)).await;
    happen(&vendor, "change_worker", json!({ "employee": "21010", "title": "Principal" }));
    let (second, _) = ask(&vendor, "report_scheduled", &with, cursor).await;
    assert!(first.is_empty(), "{} events", first.len());
    assert_eq!(second.iter().map(|event| &event.data["rows"][0]["Employee_ID"]).collect::<Vec<_>>(), ["21010"]);
}

#[tokio::test]
async fn a_day_is_read_again_by_workdays_clock_and_nothing_from_before_the_start() {
    let vendor = workday().await;
    let clock = vendor.sandbox.world().clock();
    happen(&vendor, "change_worker", json!({ "employee": "21010", "title": "Before" }));
    clock.advance(Duration::from_secs(3_600));
    let start = now(&vendor);
    let poll = vendor.connector.trigger("event_started").unwrap().poll.clone().unwrap();
    vendor.call("list_currencies", json!({})).await.unwrap();
    // Our own clock is almost an hour ahead.
    let mut ahead = vendor.cx("poll");
    ahead.began_us += 3_000_000_000;
    let first = (poll.ask)(ahead, json!({}), start).await.unwrap();
    assert!(first.events.is_empty(), "{:?}", first.events);
    let told = first.cursor["from"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(told <= clock.now(), "{told} is Workday's time");
    happen(&vendor, "change_worker", json!({ "employee": "21011", "title": "After" }));
    clock.advance(Duration::from_secs(20 * 3_600));
    // The clock is past midnight in Greenwich; the day before is asked for, too.
    let second = vendor.poll("event_started", json!({}), Position::After(first.cursor)).await.unwrap();
    let third = vendor.poll("event_started", json!({}), Position::After(second.cursor.clone())).await.unwrap();
    assert_eq!(second.events.len(), 1, "{:?}", second.events);
    assert_eq!(third.events, second.events, "under the same key");
}

#[tokio::test]
async fn an_organization_that_did_not_change_has_the_same_key() {
    let vendor = workday().await;
    let start = now(&vendor);
    happen(&vendor, "rename_organization", json!({ "organization": "ENG", "name": "One" }));
    let (one, _) = ask(&vendor, "organization_changed", &json!({}), start.clone()).await;
    let (again, _) = ask(&vendor, "organization_changed", &json!({}), start.clone()).await;
    assert_eq!((one.len(), &one[0].key), (1, &again[0].key));
    happen(&vendor, "rename_organization", json!({ "organization": "ENG", "name": "Two" }));
    let (other, _) = ask(&vendor, "organization_changed", &json!({}), start).await;
    assert_ne!(one[0].key, other[0].key);
}

#[tokio::test]
async fn a_message_needs_its_secret() {
    let vendor = workday().await;
    let webhook = vendor.connector.trigger("message_received").unwrap().webhook.clone().unwrap();
    let mut connection = (*vendor.connection).clone();
    let check = |connection: &connector::Connection, secret: Option<&str>| {
        let headers: Vec<(String, String)> =
            secret.map(|secret| ("x-workday-secret".to_owned(), secret.to_owned())).into_iter().collect();
        let request = Inbound { method: "POST", base: "https://x", target: "/hooks/a", headers: &headers, body: b"{}", now_s: 0 };
        (webhook.verify)(connection, &request).map_err(|refused| refused.code)
    };
    let keyed = |connection: &connector::Connection, body: &str, id: Option<&str>| {
        let mut headers = vec![("x-workday-secret".to_owned(), "right".to_owned())];
        headers.extend(id.map(|id| ("x-workday-message-id".to_owned(), id.to_owned())));
        let body = body.as_bytes();
        let request = Inbound { method: "POST", base: "https://x", target: "/hooks/a", headers: &headers, body, now_s: 0 };
        (webhook.verify)(connection, &request).unwrap().event_key.unwrap()
    };
    assert_eq!(check(&connection, Some("s")).unwrap_err(), "SECRET_MISSING");
    connection.credentials.insert("webhook_secret".to_owned(), connector::Secret::new("right".to_owned()));
    assert_eq!(check(&connection, None).unwrap_err(), "SIGNATURE_MISSING");
    assert_eq!(check(&connection, Some("wrong")).unwrap_err(), "SIGNATURE_MISMATCH");
    assert!(check(&connection, Some("right")).is_ok());
    assert_eq!(keyed(&connection, "{}", None), keyed(&connection, "{}", None), "a repeated request is the same message");
    assert_ne!(keyed(&connection, "{}", None), keyed(&connection, "[]", None));
    assert_eq!(keyed(&connection, "{}", Some("m-1")), "m-1");
}

#[tokio::test]
async fn a_change_to_come_is_told_on_its_day_unless_it_was_taken_back() {
    let vendor = workday().await;
    let start = now(&vendor);
    let clock = vendor.sandbox.world().clock();
    let day = Duration::from_secs(24 * 3_600);
    clock.advance(Duration::from_secs(60));
    happen(&vendor, "change_worker", json!({ "employee": "21010", "title": "Today" }));
    happen(&vendor, "change_worker", json!({ "employee": "21010", "title": "Tomorrow", "days": 1 }));
    let undone = happen(&vendor, "change_worker", json!({ "employee": "21011", "title": "Never", "days": 1 }));
    happen(&vendor, "rescind_event", json!({ "event": undone["event"] }));
    let (first, cursor) = ask(&vendor, "change_effective", &json!({}), start).await;
    assert!(first.is_empty(), "{first:?}");
    clock.advance(day);
    let (told, cursor) = ask(&vendor, "change_effective", &json!({}), cursor).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].data["worker"]["business_title"], "Tomorrow", "as of its day");
    assert!(told[0].data["change"]["entered"].as_str() < told[0].data["change"]["effective"].as_str(), "{told:?}");
    clock.advance(day);
    let (again, cursor) = ask(&vendor, "change_effective", &json!({}), cursor).await;
    assert!(again.iter().all(|event| event.key == told[0].key), "two days are read again, under the same keys: {again:?}");
    clock.advance(2 * day);
    let (_, cursor) = ask(&vendor, "change_effective", &json!({}), cursor).await;
    assert!(ask(&vendor, "change_effective", &json!({}), cursor).await.0.is_empty());
    let (other, _) = ask(&vendor, "change_effective", &json!({ "classes": ["hire"] }), Position::Since(0)).await;
    assert!(other.iter().all(|event| event.data["change"]["class"] == "hire"), "{other:?}");
}

/// Moves the tenant's clock on to an hour of the next day in a zone.
fn until(vendor: &Vendor, zone: &str, days: i64, hour: i8) {
    let clock = vendor.sandbox.world().clock();
    let now = clock.now().in_tz(zone).unwrap();
    let then = now.date().checked_add(jiff::Span::new().days(days)).unwrap().at(hour, 10, 0, 0).in_tz(zone).unwrap();
    clock.advance(now.duration_until(&then).try_into().unwrap());
}

#[tokio::test]
async fn a_day_begins_where_the_tenant_is() {
    for zone in ["America/Los_Angeles", "Pacific/Auckland", "UTC"] {
        let vendor = workday().await;
        set(&vendor, json!({ "time_zone": zone }));
        until(&vendor, zone, 1, 12);
        let start = now(&vendor);
        until(&vendor, zone, 0, 20);
        happen(&vendor, "change_worker", json!({ "employee": "21010", "title": "Evening before", "days": 1 }));
        let hired = happen(&vendor, "hire_worker", json!({ "first_name": "Tomorrow", "days": 1 }));
        let (early, cursor) = ask(&vendor, "change_effective", &json!({}), start).await;
        assert!(early.is_empty(), "{zone}: {early:?}");
        until(&vendor, zone, 1, 0);
        let (told, cursor) = ask(&vendor, "change_effective", &json!({}), cursor).await;
        let mut who: Vec<&Json> = told.iter().map(|event| &event.data["worker"]["employee_id"]).collect();
        who.sort_by_key(|number| number.to_string());
        assert_eq!(who, [&json!("21010"), &hired["worker"]["number"]], "{zone}");
        until(&vendor, zone, 0, 8);
        happen(&vendor, "change_worker", json!({ "employee": "21012", "title": "On its own day" }));
        let (again, cursor) = ask(&vendor, "change_effective", &json!({}), cursor).await;
        let known: BTreeSet<&String> = told.iter().map(|event| &event.key).collect();
        assert!(again.iter().all(|event| known.contains(&event.key)), "{zone}: {again:?}");
        until(&vendor, zone, 4, 8);
        let (_, cursor) = ask(&vendor, "change_effective", &json!({}), cursor).await;
        assert!(ask(&vendor, "change_effective", &json!({}), cursor).await.0.is_empty(), "{zone}");
    }
}

#[tokio::test]
async fn a_day_begins_in_the_zone_that_is_named_where_workday_writes_another() {
    let vendor = workday().await;
    let with = json!({ "time_zone": "America/Los_Angeles" });
    until(&vendor, "UTC", 1, 12);
    let start = now(&vendor);
    happen(&vendor, "change_worker", json!({ "employee": "21010", "title": "Tomorrow", "days": 1 }));
    until(&vendor, "UTC", 1, 1);
    let (early, cursor) = ask(&vendor, "change_effective", &with, start.clone()).await;
    assert!(early.is_empty(), "it is still the day before in Los Angeles: {early:?}");
    until(&vendor, "UTC", 0, 9);
    let (told, _) = ask(&vendor, "change_effective", &with, cursor).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let error = vendor.poll("change_effective", json!({ "time_zone": "Mars" }), start).await.unwrap_err();
    assert_eq!(error.code, "INPUT_INVALID");
}
