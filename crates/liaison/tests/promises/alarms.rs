//! Alarms: silence, unusual results and failures are told once, by whoever finds them, until somebody takes the notice.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use connector::{
    AddressPolicy,
    http::{Http, HttpOptions},
};
use engine::{Engine, EngineSettings, Event, Parts};
use parking_lot::Mutex;
use serde_json::{Value, json};
use store::{
    AlarmRow, Clock as _, GroupSettings, ManualClock, MasterKey, NewVersion, NoticeRow, NoticeState, RecipeId, Saved, Store,
    Timestamp, Vault, Via, Writer,
};
use store_sqlite::SqliteStore;

use crate::harness::{Process, database};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// 2026-03-02T00:00:00Z, a Monday.
const START: i64 = 1_772_409_600_000_000;
const RECIPE: &str = "liaison: 1\nrecipe: orders\ntrigger: { from: api }\nsteps:\n  - id: kind\n    choose:\n      \
    - when: trigger.total == null\n        steps: [{ id: bad, fail: \"secret ${ trigger.id }\" }]\n  - id: end\n    return: { counts: { written: \"${ trigger.total }\" } }\n";

/// One database, one clock, and processes that look when they are told to.
struct Stage {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    recipe: RecipeId,
    engine: Arc<Engine>,
}

impl Stage {
    async fn new(folder: &Path) -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder).await.unwrap());
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(START)));
        let recipe = RecipeId::new(clock.now(), [1; 10]);
        let version = NewVersion {
            id: recipe,
            slug: "orders".to_owned(),
            title: "Orders".to_owned(),
            text: RECIPE.to_owned(),
            hash: store::text_hash(RECIPE),
            hook_token: "h_orders".to_owned(),
            if_revision: None,
            at: clock.now(),
            by: "ann".to_owned(),
        };
        let Saved::Created(_) = store.save_version(version).await.unwrap() else { panic!("the recipe is new") };
        store.activate(recipe, Some(1), &json!({}), clock.now()).await.unwrap();
        let engine = process(&store, &clock).await;
        Self { store, clock, recipe, engine }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn set(&self, rule: Value, deliver: Value) {
        let row = AlarmRow {
            name: "watch".to_owned(),
            recipe: Some(self.recipe),
            rule,
            deliver,
            set_by: "ann".to_owned(),
            set_at: self.clock.now(),
        };
        assert!(self.store.set_alarm(&row).await.unwrap());
        self.pass(1);
    }

    async fn run(&self, event: Value) {
        let catalogue = self.engine.catalogue();
        let event =
            Event { data: Arc::new(event), via: Via::Api, key: None, key_wins: false, fingerprint: None, replay_of: None };
        self.engine.accept(&catalogue.recipes["orders"], event).await.unwrap();
        self.pass(1);
    }

    /// Looks, by this process and by another one, and gives what was told so far, oldest first.
    async fn look(&self) -> Vec<NoticeRow> {
        let other = process(&self.store, &self.clock).await;
        self.engine.sort_letters().await.unwrap();
        let (one, two) = tokio::join!(self.engine.look_at_alarms(), other.look_at_alarms());
        assert!(one.unwrap() && two.unwrap());
        let mut notices = self.store.notices(Some("watch"), None, 100).await.unwrap();
        notices.reverse();
        notices
    }

    async fn subjects(&self) -> Vec<String> {
        self.look().await.iter().map(|notice| notice.body["subject"].as_str().unwrap().to_owned()).collect()
    }
}

async fn process(store: &Arc<dyn Store>, clock: &Arc<ManualClock>) -> Arc<Engine> {
    let parts = Parts {
        store: Arc::clone(store),
        writer: Writer::start(Arc::clone(store), GroupSettings::default()),
        connectors: Arc::new(connectors::all()),
        vault: Arc::new(Vault::new(MasterKey::new([7; 32]), Arc::clone(store))),
        http: Http::new(HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() }).unwrap(),
        clock: Arc::clone(clock) as Arc<dyn store::Clock>,
        seed: rand::random(),
        settings: EngineSettings { schedules: false, works: false, ..EngineSettings::default() },
    };
    Engine::start(parts).await.unwrap()
}

fn nowhere() -> Value {
    json!({ "do": "log.write", "with": { "message": "${ notice.subject }" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_run_by_a_time_of_the_day_is_told_once_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let days = ["mon", "tue", "wed", "thu", "fri"];
    stage.set(json!({ "kind": "no_run_by", "at": "09:30", "zone": "Europe/Berlin", "days": days }), nowhere()).await;
    stage.pass(8 * HOUR + 29 * MINUTE);
    assert!(stage.look().await.is_empty(), "it is 09:29 in Berlin");
    stage.pass(MINUTE);
    assert_eq!(stage.subjects().await, ["orders: no run by 09:30"]);
    // A run that comes too late changes nothing, nor do more looks.
    stage.run(json!({ "total": 1 })).await;
    stage.pass(10 * HOUR);
    assert_eq!(stage.look().await.len(), 1);
    // On Tuesday there is one in time, on Wednesday none, and the weekend does not count.
    stage.pass(12 * HOUR);
    stage.run(json!({ "total": 1 })).await;
    stage.pass(4 * HOUR);
    assert_eq!(stage.look().await.len(), 1);
    stage.pass(24 * HOUR);
    assert_eq!(stage.look().await.len(), 2);
    stage.pass(72 * HOUR);
    assert_eq!(stage.look().await.len(), 2, "it is Saturday");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_run_for_long_is_told_once_for_each_silence() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    stage.set(json!({ "kind": "no_run_for", "for": "2h" }), nowhere()).await;
    stage.pass(2 * HOUR - 10);
    assert!(stage.look().await.is_empty());
    stage.pass(10);
    let told = stage.look().await;
    assert_eq!(told.len(), 1);
    assert!(told[0].body["text"].as_str().unwrap().contains("There was none so far."), "{:?}", told[0]);
    stage.pass(5 * HOUR);
    assert_eq!(stage.look().await.len(), 1);
    stage.run(json!({ "total": 1 })).await;
    stage.pass(HOUR);
    assert_eq!(stage.look().await.len(), 1);
    stage.pass(HOUR);
    assert_eq!(stage.subjects().await, ["orders: no run for 2h", "orders: no run for 2h"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_far_from_what_it_usually_is_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    stage.set(json!({ "kind": "unusual", "value": "counts.written", "last": 10 }), nowhere()).await;
    for total in [0, 180, 200, 220, 190, 210, 5000] {
        stage.run(json!({ "total": total })).await;
        assert!(stage.look().await.is_empty() || total == 5000, "{total} came before enough was known");
    }
    assert_eq!(stage.subjects().await, ["orders: counts.written is 5000, usually 180 to 210"]);
    stage.pass(2 * HOUR);
    stage.run(json!({ "total": 0 })).await;
    assert_eq!(stage.subjects().await[1..], ["orders: counts.written is 0, usually 180 to 220"]);
    // Another one within the hour is not told, a usual one never.
    stage.run(json!({ "total": 0 })).await;
    assert_eq!(stage.look().await.len(), 2);
    stage.pass(2 * HOUR);
    for _ in 0..10 {
        stage.run(json!({ "total": 200 })).await;
    }
    let told = stage.look().await.len();
    stage.pass(2 * HOUR);
    assert_eq!(stage.look().await.len(), told, "what was told is not told again without a new run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_failures_of_one_cause_are_one_notice_an_hour_without_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    stage.run(json!({ "id": "customer-1000" })).await;
    stage.set(json!({ "kind": "failures", "every": "1h" }), nowhere()).await;
    assert!(stage.look().await.is_empty(), "that was before the alarm");
    for number in 0..40 {
        stage.run(json!({ "id": format!("customer-{number}") })).await;
    }
    let told = stage.look().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0].body["count"], &told[0].body["step"]), (&json!(41), &json!("bad")), "{:?}", told[0].body);
    let text = told[0].body.to_string();
    assert!(!text.contains("secret") && !text.contains("customer"), "{text}");
    stage.pass(30 * MINUTE);
    stage.run(json!({ "id": "customer-2000" })).await;
    assert_eq!(stage.look().await.len(), 1, "the hour is not over");
    stage.pass(31 * MINUTE);
    let told = stage.look().await;
    assert_eq!((told.len(), &told[1].body["count"]), (2, &json!(42)), "what came meanwhile is told when it is");
    stage.pass(2 * HOUR);
    assert_eq!(stage.look().await.len(), 2, "nothing new happened");
}

/// A system that takes notices.
#[derive(Default)]
struct Inbox {
    came: Mutex<Vec<(String, Value)>>,
    refuse: Mutex<u32>,
}

impl Inbox {
    async fn start() -> (Arc<Self>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/told", listener.local_addr().unwrap());
        let inbox = Arc::new(Self::default());
        let router = Router::new().route("/told", post(take)).with_state(Arc::clone(&inbox));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (inbox, url)
    }

    async fn wait_for(&self, count: usize) -> Vec<(String, Value)> {
        let came = async {
            loop {
                let came = self.came.lock().clone();
                if came.len() >= count {
                    return came;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), came).await.unwrap_or_else(|_| panic!("{:?}", self.came.lock()))
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, Json(body): Json<Value>) -> axum::http::StatusCode {
    let mut refuse = inbox.refuse.lock();
    if *refuse > 0 {
        *refuse -= 1;
        return axum::http::StatusCode::SERVICE_UNAVAILABLE;
    }
    inbox.came.lock().push((headers["idempotency-key"].to_str().unwrap().to_owned(), body));
    axum::http::StatusCode::OK
}

fn webhook(url: &str) -> Value {
    json!({ "do": "http.request", "with": { "method": "POST", "url": url, "json": "${ notice }" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_fails_is_shown_and_tried_again_until_it_is_taken_or_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (inbox, url) = Inbox::start().await;
    stage.set(json!({ "kind": "no_run_for", "for": "2h" }), webhook(&url)).await;
    *inbox.refuse.lock() = 2;
    stage.pass(2 * HOUR);
    stage.look().await;
    for (pause, tries) in [(0, 1), (15, 2)] {
        stage.pass(pause);
        assert!(stage.engine.deliver_notice().await.unwrap());
        assert!(!stage.engine.deliver_notice().await.unwrap(), "not before its pause is over");
        let told = stage.look().await;
        assert_eq!((told[0].state, told[0].tries), (NoticeState::Waiting, tries));
        assert!(told[0].error.as_ref().unwrap().contains("503"), "{:?}", told[0].error);
    }
    stage.pass(30);
    assert!(stage.engine.deliver_notice().await.unwrap());
    let told = stage.look().await;
    assert_eq!((told.len(), told[0].state, told[0].error.as_ref()), (1, NoticeState::Sent, None));
    assert_eq!(*inbox.came.lock(), [(told[0].id.to_string(), told[0].body.clone())]);
    // Nobody ever takes the next one.
    *inbox.refuse.lock() = u32::MAX;
    stage.run(json!({ "total": 1 })).await;
    stage.pass(2 * HOUR);
    stage.look().await;
    let mut tries = 0;
    while stage.engine.deliver_notice().await.unwrap() {
        tries += 1;
        assert!(tries < 100, "it is tried without end");
        stage.pass(HOUR);
    }
    let told = stage.look().await;
    assert_eq!((told[1].state, told[1].tries), (NoticeState::GivenUp, tries));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_tell_one_thing_once_and_the_command_sets_shows_tests_and_removes() {
    let url = database().await;
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--alarm-interval", "200ms"];
    let server = Process::start("serve", folder.path(), Some(&url), &flags);
    server.set_up("liaison: 1\nrecipe: story\ntrigger: { from: webhook }\nsteps: [{ id: bad, fail: \"no\" }]\n").await;
    let (inbox, hook) = Inbox::start().await;
    let alarms = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_liaison"));
        command.args(["alarms"]).args(words);
        command.args(["--server", &format!("http://{}", server.address), "--api-key", crate::harness::KEY]).output().unwrap()
    };
    let set = alarms(&["set", "failing", "--failures", "--webhook", &hook]);
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let others: Vec<_> = (0..2).map(|_| Process::start("worker", folder.path(), Some(&url), &flags)).collect();
    for number in 0..30 {
        server.send(&number.to_string()).await.unwrap();
    }
    let (key, notice) = inbox.wait_for(1).await.remove(0);
    assert_eq!(
        (&notice["kind"], &notice["recipe"], &notice["code"]),
        (&json!("failures"), &json!("story"), &json!("FAILED_BY_RECIPE")),
        "{notice}"
    );
    assert_eq!(notice["id"], *key);
    let tested = alarms(&["test", "failing"]);
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    // Many looks later: one notice of the failures, one of the test.
    assert_eq!(inbox.wait_for(2).await[1].1["kind"], "test");
    let (_, page) = server.api("GET", "/api/v1/alarms/failing/notices", None).await;
    let states: Vec<_> = page["data"].as_array().unwrap().iter().map(|row| row["notice"]["kind"].clone()).collect();
    assert_eq!(states, ["test", "failures"], "{page}");
    let shown = String::from_utf8(alarms(&["list"]).stdout).unwrap();
    assert!(shown.contains("failing  all recipes: failures") && shown.contains("Test of the alarm failing"), "{shown}");
    let (_, audit) = server.api("GET", "/api/v1/audit?about=alarm%20failing", None).await;
    assert_eq!(audit["data"][0]["what"], "alarm.set", "{audit}");
    assert!(alarms(&["remove", "failing"]).status.success());
    assert_eq!(server.api("GET", "/api/v1/alarms/failing", None).await.0, 404);
    assert_eq!(inbox.came.lock().len(), 2);
    drop(others);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_could_never_tell_is_refused_with_its_field() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up("liaison: 1\nrecipe: story\ntrigger: { from: api }\nsteps: [{ id: a, set: { a: 1 } }]\n").await;
    let good =
        || json!({ "recipe": "story", "rule": { "kind": "no_run_for", "for": "2h" }, "deliver": webhook("http://127.0.0.1:9/") });
    let silence = |at: &str, zone: &str| json!({ "kind": "no_run_by", "at": at, "zone": zone });
    for (place, value, field) in [
        ("recipe", json!("nobody"), "recipe"),
        ("recipe", Value::Null, "recipe"),
        ("rule", json!({ "kind": "noise" }), "rule"),
        ("rule", json!({ "kind": "no_run_for", "for": "soon" }), "rule"),
        ("rule", json!({ "kind": "no_run_for", "for": "1s" }), "rule"),
        ("rule", silence("25:00", "UTC"), "rule"),
        ("rule", silence("09:30", "Mars/Olympus"), "rule"),
        ("rule", json!({ "kind": "unusual", "value": "total", "last": 2 }), "rule"),
        ("deliver", json!({ "do": "mail.send" }), "deliver"),
        ("deliver", json!({ "do": "email.send" }), "deliver"),
        ("deliver", json!({ "do": "http.dance" }), "deliver"),
        ("deliver", json!({ "do": "http.request", "with": { "url": "${ notice.payload }" } }), "deliver"),
    ] {
        let mut body = good();
        body[place] = value.clone();
        let (status, told) = server.api("PUT", "/api/v1/alarms/quiet", Some(&body.to_string())).await;
        assert_eq!((status, told["error"]["details"][0]["field"].as_str()), (422, Some(field)), "{value}: {told}");
    }
    let (status, told) = server.api("PUT", "/api/v1/alarms/Not%20so", Some(&good().to_string())).await;
    assert_eq!((status, told["error"]["details"][0]["field"].as_str()), (422, Some("name")));
    assert_eq!(server.api("PUT", "/api/v1/alarms/quiet", Some(&good().to_string())).await.0, 200);
    let (_, page) = server.api("GET", "/api/v1/alarms", None).await;
    assert_eq!(page["data"][0]["name"], "quiet", "{page}");
    assert_eq!(server.api("POST", "/api/v1/alarms/nobody/test", None).await.0, 404);
    assert_eq!(server.api("DELETE", "/api/v1/alarms/nobody", None).await.0, 404);
}
