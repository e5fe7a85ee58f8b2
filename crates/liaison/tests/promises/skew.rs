//! Two processes on one PostgreSQL whose machines' clocks are ten minutes apart: the database's clock rules.

use std::{collections::BTreeSet, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::{
    harness::{Process, Target, database},
    signatures::{now_s, send, sign},
};

/// How wrong a clock is, before or behind.
const WRONG_S: u64 = 300;
/// What must be told of the right time, although so much of a test may pass meanwhile.
const CLOSE: Duration = Duration::from_secs(20);

/// The library that answers a program's questions for the time.
fn library() -> String {
    let told = Command::new("faketime").args(["-f", "+0s", "printenv", "LD_PRELOAD"]).output();
    let told = told.expect("install faketime (Debian: faketime), or run `cargo xtask test`, which does where it may");
    String::from_utf8(told.stdout).unwrap().trim().to_owned()
}

/// A server whose machine's clock is wrong by so much. What measures the time that passes goes on as it does.
fn server(folder: &std::path::Path, url: &str, wrong: &str) -> Process {
    let library = library();
    let environment = [("LD_PRELOAD", library.as_str()), ("FAKETIME", wrong), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    Process::start_in("serve", folder, Some(url), &[], &environment)
}

/// Seconds since 1970 by the clock of a server's machine, which stamps its answers.
async fn clock_of(server: &Process) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("http://{}/healthz", server.address)).send().await.unwrap();
    let stamp = answer.headers()["date"].to_str().unwrap();
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(stamp).unwrap().as_second().unsigned_abs()
}

fn second(value: &Value) -> u64 {
    let at =
        value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).unwrap_or_else(|| panic!("no instant: {value}"));
    at.as_second().unsigned_abs()
}

fn is_close(told: u64, right: u64) -> bool {
    told.abs_diff(right) <= CLOSE.as_secs()
}

const MINUTELY: &str = "liaison: 1\nrecipe: minutely\ntrigger:\n  from: schedule\n  with: { cron: \"* * * * *\" }\n\
    steps:\n  - id: seen\n    set: { at: \"${ trigger.scheduled_at }\" }\n";

async fn recipe(server: &Process, slug: &str, text: &str) {
    let (status, told) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(text)).await;
    assert_eq!(status, 201, "{told}");
    let (status, told) = server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await;
    assert_eq!(status, 200, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_ten_minutes_apart_lose_repeat_and_delay_nothing() {
    let (target, folder, url) = (Target::start().await, tempfile::tempdir().unwrap(), database().await);
    let ahead = server(folder.path(), &url, "+300s");
    let behind = server(folder.path(), &url, "-300s");
    assert!(is_close(clock_of(&ahead).await, now_s() + WRONG_S), "its clock is right");
    assert!(is_close(clock_of(&behind).await, now_s() - WRONG_S), "its clock is right");

    recipe(&ahead, "minutely", MINUTELY).await;
    let switched_on = now_s();
    let waits = target.recipe(2, true).replace("  - id: s2", "  - { id: rest, wait: { for: 2s } }\n  - id: s2");
    ahead.set_up(&waits).await;
    let mut runs = Vec::new();
    for number in 0..6 {
        let at = if number % 2 == 0 { &ahead } else { &behind };
        runs.push(at.send(&format!("e{number}")).await.expect("the event is taken"));
        // The same event again, at the other one.
        let other = if number % 2 == 0 { &behind } else { &ahead };
        assert_eq!(other.send(&format!("e{number}")).await.as_ref(), runs.last(), "one event, one run");
    }
    for id in &runs {
        let run = behind.wait(id, "succeeded").await;
        let (began, ended) = (second(&run["started_at"]), second(&run["ended_at"]));
        assert!(is_close(began, now_s()) && is_close(ended, now_s()), "{run}");
        assert!(ended >= began + 2, "it did not wait: {run}");
    }
    let once: BTreeSet<_> = target.calls().iter().map(|call| (call.run.clone(), call.step)).collect();
    assert_eq!((target.calls().len(), once.len()), (12, 12), "each step once");

    // Whoever lives keeps what it has; whoever dies gives it up to the other after a lease, not after the difference.
    target.hold(1);
    let told = behind.send("held by the one behind").await.unwrap();
    target.wait_for(13).await;
    let other = ahead.send("held by the one ahead").await.unwrap();
    target.wait_for(14).await;
    // Several leases of two seconds, each of which would end at once by a clock that is ahead.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(target.calls().len(), 14, "a living process lost its run");
    behind.kill();
    target.release();
    ahead.wait(&other, "succeeded").await;
    // It may have happened: the call is never made again blindly.
    let run = ahead.wait(&told, "failed").await;
    assert!(is_close(second(&run["ended_at"]), now_s()), "{run}");
    let calls = target.calls();
    assert_eq!(calls.iter().filter(|call| call.run == "held by the one behind").count(), 1);

    let behind = server(folder.path(), &url, "-300s");
    target.hold(1);
    let told = ahead.send("taken over by the one behind").await.unwrap();
    target.wait_for(calls.len() + 1).await;
    ahead.kill();
    target.release();
    behind.wait(&told, "failed").await;

    fires(&behind, switched_on).await;
}

/// Every minute since then, once, when it was.
async fn fires(server: &Process, since: u64) {
    let runs = async {
        loop {
            let (_, page) = server.api("GET", "/api/v1/runs?recipe=minutely", None).await;
            match page["data"].as_array() {
                Some(runs) if !runs.is_empty() => return runs.clone(),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    let runs = tokio::time::timeout(Duration::from_secs(80), runs).await.expect("the schedule fires");
    let mut minutes = BTreeSet::new();
    for run in &runs {
        let run = server.wait(run["id"].as_str().unwrap(), "succeeded").await;
        let (told, fired) = (second(&run["trigger"]["scheduled_at"]), second(&run["trigger"]["fired_at"]));
        assert!(told % 60 == 0 && told >= since - since % 60 && is_close(told, fired), "since {since}: {run}");
        assert!(told <= now_s(), "it fired before its time: {run}");
        assert!(minutes.insert(told), "two runs of one minute: {run}");
    }
}

/// A signed time is compared with the right one, not with the machine's.
#[tokio::test(flavor = "multi_thread")]
async fn signed_times_are_compared_with_the_clock_that_rules() {
    let (folder, url) = (tempfile::tempdir().unwrap(), database().await);
    let (ahead, behind) = (server(folder.path(), &url, "+300s"), server(folder.path(), &url, "-300s"));
    let secret = "whsec_a_stripe_secret_1234567890";
    let config = json!({ "verify": "stripe" });
    let connection = json!({ "name": "stripe", "connector": "webhook", "config": config, "credentials": { "secret": secret } });
    assert_eq!(ahead.api("POST", "/api/v1/connections", Some(&connection.to_string())).await.0, 201);
    let text = "liaison: 1\nrecipe: signed\nconnections: { stripe: webhook }\ntrigger: { from: stripe.request }\n\
                steps:\n  - id: seen\n    set: { a: 1 }\n";
    recipe(&ahead, "signed", text).await;
    for (server, name) in [(&ahead, "ahead"), (&behind, "behind")] {
        // By its machine's clock the one of a minute ago is six minutes off, for one of the two.
        for (at, status) in [(now_s() - 60, 202), (now_s() + 60, 202), (now_s() - 400, 401)] {
            let body = json!({ "id": format!("evt_{name}_{at}") }).to_string();
            let signed = sign("python", &json!({ "kind": "stripe", "secret": secret, "body": body, "at": at, "id": "e" }));
            let (told, answer) = send(server, "signed", &signed, &body).await;
            assert_eq!(told, status, "{name}, signed at {at}: {answer}");
        }
    }
}
