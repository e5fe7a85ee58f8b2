//! Many dead letters at once: each is dealt with once, whoever is killed meanwhile; carefully, if wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::harness::{Process, Target, database};

/// A server whose recipe calls the target once and gives up at the first failure.
async fn server(target: &Target, folder: &std::path::Path, database: Option<&str>) -> Process {
    let server = Process::serve(folder, database);
    server.set_up(&fragile(target)).await;
    server
}

fn fragile(target: &Target) -> String {
    target.recipe(1, false).replacen("    with:", "    retry: none\n    with:", 1)
}

/// So many runs that failed at their first call.
async fn letters(server: &Process, target: &Target, count: u32) -> BTreeSet<String> {
    *target.failures.lock() = count;
    let mut runs = BTreeSet::new();
    for number in 0..count {
        runs.insert(server.send(&format!("e{number}")).await.expect("the event is taken"));
    }
    for run in &runs {
        server.wait(run, "failed").await;
    }
    runs
}

async fn begin(server: &Process, what: &str, wish: &Value) -> Value {
    let (status, body) = server.api("POST", &format!("/api/v1/dead-letters/{what}"), Some(&wish.to_string())).await;
    assert_eq!(status, 202, "{body}");
    body["operation"].clone()
}

async fn operation(server: &Process, id: &str) -> Value {
    let (status, body) = server.api("GET", &format!("/api/v1/operations/{id}"), None).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn wait(server: &Process, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let operation = operation(server, id).await;
        if wanted(&operation) {
            return operation;
        }
        assert!(began.elapsed() < Duration::from_secs(180), "it never came to that: {operation}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every run of a list, page by page.
async fn all(server: &Process, path: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = server.api("GET", &format!("{path}limit=200{cursor}"), None).await;
        assert_eq!(status, 200, "{page}");
        rows.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["pagination"]["next_cursor"].as_str() else { return rows };
        cursor = format!("&cursor={next}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Replays 200 dead letters while the process is killed over and over.
async fn replayed_once(database: Option<String>, seed: u64) {
    const LETTERS: u32 = 200;
    const KILLS: u32 = 6;
    let mut dice = SmallRng::seed_from_u64(seed);
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut server = server(&target, folder.path(), database.as_deref()).await;
    let runs = letters(&server, &target, LETTERS).await;
    let made = begin(&server, "replay", &json!({ "recipe": "story", "rate": 400 })).await;
    assert_eq!(made["total"], LETTERS);
    let id = text(&made["id"]);
    let mut seen = Vec::new();
    for kill in 0..KILLS {
        let reached = (kill + 1) * LETTERS / (KILLS + 1);
        wait(&server, &id, |operation| operation["done"].as_u64() >= Some(u64::from(reached))).await;
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..40))).await;
        server.kill();
        server = Process::serve(folder.path(), database.as_deref());
        seen.push(operation(&server, &id).await["done"].as_u64().unwrap());
    }
    assert!(seen.iter().any(|done| *done < u64::from(LETTERS)), "nothing was killed in the middle: {seen:?}");
    let over = wait(&server, &id, |operation| operation["state"] == "done").await;
    assert_eq!((&over["done"], &over["failed"], &over["left"]), (&json!(LETTERS), &json!(0), &json!(0)), "{over}");
    let items = all(&server, &format!("/api/v1/operations/{id}/runs?")).await;
    let mut new: BTreeMap<String, String> = BTreeMap::new();
    for item in items {
        new.insert(text(&item["id"]), text(&item["run"]));
    }
    assert_eq!(new.keys().cloned().collect::<BTreeSet<_>>(), runs);
    let everything = all(&server, "/api/v1/runs?").await;
    let replays: Vec<_> = everything.iter().filter(|run| run["via"] == "replay").collect();
    assert_eq!(replays.len(), runs.len(), "each is replayed exactly once");
    for replay in replays {
        assert_eq!(new.get(&text(&replay["replay_of"])), Some(&text(&replay["id"])), "{replay}");
        server.wait(&text(&replay["id"]), "succeeded").await;
    }
    let (_, left) = server.api("GET", "/api/v1/dead-letters", None).await;
    assert_eq!(left["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_two_hundred_are_replayed_once_each_whatever_is_killed() {
    replayed_once(None, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_two_hundred_are_replayed_once_each_whatever_is_killed() {
    replayed_once(Some(database().await), 9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_one_goes_first_and_the_rest_only_when_it_ended_well() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = server(&target, folder.path(), None).await;
    let runs = letters(&server, &target, 5).await;
    // Still broken: the first fails again, and the other four are left alone.
    *target.failures.lock() = 1;
    let made = begin(&server, "resume", &json!({ "recipe": "story", "first": 1 })).await;
    let over = wait(&server, &text(&made["id"]), |operation| operation["state"] == "stopped").await;
    assert_eq!((&over["done"], &over["left"]), (&json!(1), &json!(4)), "{over}");
    assert!(text(&over["note"]).contains("The other 4 were left alone"), "{over}");
    assert_eq!(target.calls().len(), 6, "only one was tried");
    // Put right: the first one is held, and nothing else goes before it is over.
    target.hold(1);
    let made = begin(&server, "resume", &json!({ "recipe": "story", "first": 1 })).await;
    let id = text(&made["id"]);
    target.wait_for(7).await;
    wait(&server, &id, |operation| operation["done"] == 1).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!((target.calls().len(), &operation(&server, &id).await["done"]), (7, &json!(1)));
    target.release();
    wait(&server, &id, |operation| operation["state"] == "done").await;
    for run in &runs {
        server.wait(run, "succeeded").await;
    }
    assert_eq!(target.calls().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_paused_waits_through_a_kill_and_one_that_is_stopped_leaves_the_rest() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let first = server(&target, folder.path(), None).await;
    letters(&first, &target, 6).await;
    let made = begin(&first, "resume", &json!({ "all": true, "rate": 1 })).await;
    let id = text(&made["id"]);
    let change = async |server: &Process, what: &str| {
        let (status, body) = server.api("POST", &format!("/api/v1/operations/{id}/{what}"), None).await;
        (status, format!("{}{}", text(&body["state"]), text(&body["error"]["code"])))
    };
    wait(&first, &id, |operation| operation["done"] == 1).await;
    assert_eq!(change(&first, "pause").await, (202, "paused".to_owned()));
    assert_eq!(change(&first, "pause").await, (409, "NOT_NOW".to_owned()));
    first.kill();
    let second = Process::serve(folder.path(), None);
    let paused = operation(&second, &id).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let still = operation(&second, &id).await;
    assert_eq!((&still["state"], &still["done"]), (&json!("paused"), &paused["done"]));
    assert_eq!(change(&second, "resume").await, (202, "running".to_owned()));
    let done = paused["done"].as_u64().unwrap();
    wait(&second, &id, |operation| operation["done"].as_u64() > Some(done)).await;
    assert_eq!(change(&second, "stop").await, (202, "stopped".to_owned()));
    let (status, _) = second.api("POST", &format!("/api/v1/operations/{id}/resume"), None).await;
    assert_eq!(status, 409, "what is stopped stays stopped");
    let stopped = operation(&second, &id).await;
    let left = stopped["left"].as_u64().unwrap();
    assert!(left >= 3, "{stopped}");
    let (_, letters) = second.api("GET", "/api/v1/dead-letters", None).await;
    assert_eq!(letters["data"].as_array().map(Vec::len), usize::try_from(left).ok(), "{letters}");
}

/// Three events that the system refuses are mended and replayed together.
async fn mended_and_replayed(database: Option<String>) {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), database.as_deref());
    server.set_up(&fragile(&target).replace("step: 1 }", "step: 1, refuse: \"${ trigger.body.refuse }\" }")).await;
    for number in 0..3 {
        let body = json!({ "id": format!("e{number}"), "refuse": true, "note": "kept" }).to_string();
        let (status, answer) = server.api("POST", "/hooks/story", Some(&body)).await;
        assert_eq!(status, 202, "{answer}");
        server.wait(&text(&answer["run_id"]), "failed").await;
    }
    let patch = json!({ "body": { "refuse": false, "mended": true } });
    let made = begin(&server, "replay", &json!({ "recipe": "story", "patch": patch })).await;
    assert_eq!(made["patch"], patch);
    let over = wait(&server, &text(&made["id"]), |operation| operation["state"] == "done").await;
    assert_eq!((&over["done"], &over["failed"], &over["patch"]), (&json!(3), &json!(0), &patch), "{over}");
    for item in all(&server, &format!("/api/v1/operations/{}/runs?", text(&made["id"]))).await {
        let new = server.wait(&text(&item["run"]), "succeeded").await;
        let body = &new["trigger"]["body"];
        assert_eq!((&body["refuse"], &body["mended"], &body["note"]), (&json!(false), &json!(true), &json!("kept")), "{new}");
        let old = server.run(&text(&item["id"])).await;
        assert_eq!((&old["trigger"]["body"]["refuse"], &old["trigger"]["body"]["mended"]), (&json!(true), &Value::Null), "{old}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_events_are_mended_and_replayed() {
    mended_and_replayed(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_events_are_mended_and_replayed() {
    mended_and_replayed(Some(database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cause_is_discarded_and_the_other_is_left_alone() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = server(&target, folder.path(), None).await;
    letters(&server, &target, 3).await;
    let (status, _) = server.api("POST", "/hooks/story", Some("{\"no\": \"id\"}")).await;
    assert_eq!(status, 202);
    let causes = async || {
        let (status, page) = server.api("GET", "/api/v1/dead-letters/causes?recipe=story", None).await;
        assert_eq!(status, 200, "{page}");
        page["data"].as_array().unwrap().clone()
    };
    let found = causes().await;
    assert_eq!(found.iter().map(|cause| cause["count"].clone()).collect::<Vec<_>>(), [json!(3), json!(1)], "{found:?}");
    assert_eq!((&found[0]["step"], &found[0]["class"]), (&json!("s1"), &json!("server")));
    assert_eq!(found[1]["code"], "DEDUPE_KEY_NULL");
    let hours = found[0]["by_hour"].as_array().unwrap();
    assert_eq!((hours.len(), &hours[0], &hours[23]), (24, &json!(0), &json!(3)), "all of them failed in the last hour");
    let print = text(&found[0]["fingerprint"]);
    let listed = all(&server, &format!("/api/v1/dead-letters?fingerprint={print}&")).await;
    assert!(listed.len() == 3 && listed.iter().all(|letter| letter["fingerprint"] == print.as_str()), "{listed:?}");
    let wish = json!({ "fingerprint": print, "reason": "the system was down; sent again by hand" });
    let made = begin(&server, "discard", &wish).await;
    let over = wait(&server, &text(&made["id"]), |operation| operation["state"] == "done").await;
    assert_eq!((&over["done"], &over["selection"]), (&json!(3), &json!({ "fingerprint": print })));
    assert_eq!(causes().await.len(), 1);
    let discarded = server.run(&text(&listed[0]["id"])).await;
    assert_eq!((&discarded["status"], &discarded["dead_letter"]), (&json!("failed"), &json!("discarded")));
    // Named once more, they are refused one by one, each with its reason.
    let ids: Vec<_> = listed.iter().map(|letter| letter["id"].clone()).collect();
    let made = begin(&server, "replay", &json!({ "ids": ids })).await;
    let over = wait(&server, &text(&made["id"]), |operation| operation["state"] == "done").await;
    assert_eq!((&over["done"], &over["failed"]), (&json!(0), &json!(3)));
    let refused = all(&server, &format!("/api/v1/operations/{}/runs?state=failed&", text(&made["id"]))).await;
    assert_eq!(refused[0]["message"], "This run was already discarded.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_says_too_little_or_too_much_is_refused() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = server(&target, folder.path(), None).await;
    let run = "run_01k6xg5v00e1r70e1r70e1r70e";
    for (what, wish, field) in [
        ("resume", json!({}), "ids"),
        ("resume", json!({ "all": false }), "ids"),
        ("replay", json!({ "ids": [] }), "ids"),
        ("replay", json!({ "ids": [run], "recipe": "story" }), "ids"),
        ("replay", json!({ "ids": vec![run; 1001] }), "ids"),
        ("discard", json!({ "all": true }), "reason"),
        ("discard", json!({ "all": true, "reason": " " }), "reason"),
        ("discard", json!({ "all": true, "reason": "x", "first": 1 }), "first"),
        ("resume", json!({ "all": true, "version": "newest" }), "version"),
        ("resume", json!({ "all": true, "uncertain": "perhaps" }), "uncertain"),
        ("resume", json!({ "all": true, "rate": 0 }), "rate"),
        ("resume", json!({ "all": true, "first": 101 }), "first"),
        ("resume", json!({ "fingerprint": "xyz" }), "fingerprint"),
        ("resume", json!({ "all": true, "patch": { "a": 1 } }), "patch"),
        ("discard", json!({ "all": true, "reason": "x", "patch": { "a": 1 } }), "patch"),
        ("replay", json!({ "all": true, "patch": [1] }), "patch"),
        ("replay", json!({ "all": true, "patch": { "a": "x".repeat(70_000) } }), "patch"),
    ] {
        let (status, body) = server.api("POST", &format!("/api/v1/dead-letters/{what}"), Some(&wish.to_string())).await;
        assert_eq!((status, &body["error"]["details"][0]["field"]), (422, &json!(field)), "{what} {wish}: {body}");
    }
    let (status, _) = server.api("POST", "/api/v1/dead-letters/replay", Some("{\"recipe\": \"unknown\"}")).await;
    assert_eq!(status, 404);
    let nothing = begin(&server, "replay", &json!({ "all": true })).await;
    assert_eq!((&nothing["state"], &nothing["total"]), (&json!("done"), &json!(0)));
    let (status, list) = server.api("GET", "/api/v1/operations", None).await;
    assert_eq!((status, list["data"].as_array().map(Vec::len)), (200, Some(1)), "{list}");
    for path in ["/api/v1/operations/op_01k6xg5v00e1r70e1r70e1r70e", "/api/v1/operations/nonsense"] {
        assert_eq!(server.api("GET", path, None).await.0, 404);
    }
}
