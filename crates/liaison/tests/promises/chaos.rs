//! `kill -9` at any commit of recipes that use every step word: nothing is lost, nothing is done twice.
//!
//! `LIAISON_CHAOS_ROUNDS` says how many kills each of the three set-ups sees; `cargo xtask chaos` plays a thousand.

use std::{collections::HashMap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    chaos_words::{self, People},
    harness::{Process, Target, database},
};

/// Kills of each set-up unless the environment says otherwise: 51 in all.
const ROUNDS: u32 = 17;
const EVENTS_A_ROUND: usize = 2;
/// Steps that happen once, and steps every run that ends well has made.
const ONCE: [u64; 2] = [30, 50];
const MADE: [u64; 9] = [1, 11, 12, 13, 20, 21, 32, 40, 60];

pub(crate) fn put(address: &str, step: &str) -> String {
    format!(
        "do: http.request, with: {{ method: PUT, url: \"http://{address}/call\", json: {{ run: \"${{ trigger.id }}\", step: {step} }} }}"
    )
}

pub(crate) fn recipes(address: &str) -> Vec<(&'static str, String)> {
    let put = |step: &str| put(address, step);
    let post = |step: &str| put(step).replace("method: PUT", "method: POST");
    let every = format!(
        "trigger: {{ from: api, dedupe: {{ by: \"${{ trigger.id }}\" }} }}\nsettings: {{ concurrency: {{ limit: 2, key: \"${{ trigger.lane }}\" }} }}\nsteps:\n  \
         - {{ id: first, {} }}\n  - id: kind\n    choose:\n      - when: trigger.lane == 7\n        steps: [{{ id: never, fail: no }}]\n      - otherwise:\n          - {{ id: fine, set: {{ a: 1 }} }}\n  \
         - id: push\n    each: [11, 12, 13]\n    parallel: 2\n    steps: [{{ id: up, {} }}]\n  \
         - id: both\n    parallel:\n      left: [{{ id: left_put, {} }}]\n      right: [{{ id: nap, wait: {{ for: 50ms }} }}, {{ id: right_put, {} }}]\n  \
         - id: turns\n    repeat: {{ until: index >= 2, max: 5 }}\n    steps: [{{ id: turn, set: {{ i: \"${{ index }}\" }} }}]\n  \
         - id: care\n    try: [{{ id: risky, {} }}]\n    catch: [{{ id: other, {} }}]\n    finally: [{{ id: tidy, {} }}]\n  \
         - id: sub\n    call: child\n    with: {{ id: \"${{ trigger.id }}\" }}\n  - {{ id: pay, {} }}\n  - id: count\n    start: counter\n    with: {{ id: \"${{ trigger.id }}\" }}\n  \
         - {{ id: last, {} }}\n  - {{ id: end, return: \"${{ steps.sub }}\" }}\n",
        put("1"),
        put("\"${ item }\""),
        put("20"),
        put("21"),
        post("30"),
        put("31"),
        put("32"),
        post("50"),
        put("60"),
    );
    let child = format!(
        "trigger: {{ from: call }}\nsteps:\n  - {{ id: nap, wait: {{ for: 100ms }} }}\n  - {{ id: make, {} }}\n  - {{ id: end, return: done }}\n",
        put("40")
    );
    let counter = "state: { n: { type: integer, default: 0 } }\ntrigger: { from: call }\nsettings: { concurrency: { limit: 1 } }\nsteps:\n  - { id: add, save: { n: \"${ state.n + 1 }\" } }\n  \
        - { id: end, return: \"${ state.n }\" }\n";
    vec![("child", child), ("counter", counter.to_owned()), ("every", every)]
}

pub(crate) async fn install(server: &Process, recipes: Vec<(&str, String)>) {
    for (slug, rest) in recipes {
        let text = format!("liaison: 1\nrecipe: {slug}\n{rest}");
        let (status, body) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(&text)).await;
        assert!(matches!(status, 200 | 201), "{status} {body:#}\n{text}");
        let (status, body) = server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await;
        assert_eq!(status, 200, "{body:#}");
    }
}

async fn chaos(database: Option<String>, workers: usize, seed: u64) {
    let rounds = std::env::var("LIAISON_CHAOS_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut dice = SmallRng::seed_from_u64(seed);
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), database.as_deref());
    let rows = chaos_words::rows().await;
    install(&server, recipes(&target.address)).await;
    install(&server, chaos_words::recipes(&target.address, &rows)).await;
    let (mut people, mut others) = (People::default(), HashMap::new());
    let worker = || Process::worker(folder.path(), database.as_deref().expect("workers share a PostgreSQL"));
    let mut helpers: Vec<Process> = (0..workers).map(|_| worker()).collect();
    let mut runs: HashMap<String, String> = HashMap::new();
    for round in 0..rounds {
        for number in 0..EVENTS_A_ROUND {
            let id = format!("r{round}-{number}");
            let event = json!({ "id": id, "lane": dice.random_range(0..3) }).to_string();
            let (status, body) = server.api("POST", "/api/v1/recipes/every/runs", Some(&event)).await;
            assert!(matches!(status, 200 | 202), "{status} {body}");
            runs.insert(id, body["id"].as_str().expect("an id").to_owned());
        }
        for slug in ["words", "saga", "parts"] {
            let id = format!("{slug}{round}");
            let event = json!({ "id": id }).to_string();
            let (status, body) = server.api("POST", &format!("/api/v1/recipes/{slug}/runs"), Some(&event)).await;
            assert!(matches!(status, 200 | 202), "{status} {body}");
            others.insert(id, (body["id"].as_str().expect("an id").to_owned(), slug));
        }
        people.answer(&server, &target).await;
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..250))).await;
        if helpers.is_empty() || dice.random_range(0..3) == 0 {
            server.kill();
            server = Process::serve(folder.path(), database.as_deref());
        } else {
            let victim = dice.random_range(0..helpers.len());
            helpers.swap_remove(victim).kill();
            helpers.push(worker());
        }
    }
    for (id, run) in &runs {
        come_to_an_end(&server, &target, id, run).await;
    }
    for (id, (run, _)) in &others {
        chaos_words::come_to_an_end(&server, &target, &mut people, id, run).await;
    }
    chaos_words::judge(&server, &target, &others).await;
    judge(&server, &target, &runs).await;
}

/// Waits for the end; a step in doubt is settled truthfully.
async fn come_to_an_end(server: &Process, target: &Target, id: &str, run: &str) {
    for _ in 0..20 {
        let told = until_final(server, run).await;
        if told["status"] == "succeeded" {
            return;
        }
        resume_truthfully(server, target, id, &told).await;
    }
    panic!("{id} never ends");
}

/// A person resumes a failed run, and says truthfully what became of a step in doubt.
pub(crate) async fn resume_truthfully(server: &Process, target: &Target, id: &str, told: &Value) {
    let uncertain = told["steps"].as_array().into_iter().flatten().find(|step| step["status"] == "uncertain");
    let said = match uncertain {
        None => {
            assert_eq!(told["error"]["code"], "ITEMS_FAILED", "{id} failed: {told:#}");
            json!({})
        }
        Some(step) => {
            let number = step["input"]["json"]["step"].as_u64().expect("the step's number");
            let happened = target.calls().iter().any(|call| call.run == id && call.step == number);
            if happened {
                json!({ "uncertain": "happened", "output": { "status": 200 } })
            } else {
                json!({ "uncertain": "repeat" })
            }
        }
    };
    let run = told["id"].as_str().expect("an id");
    let (status, body) = server.api("POST", &format!("/api/v1/runs/{run}/resume"), Some(&said.to_string())).await;
    assert!(matches!(status, 0 | 202 | 409 | 503), "{status} {body}");
}

pub(crate) async fn until_final(server: &Process, run: &str) -> Value {
    for _ in 0..2000 {
        let told = server.run(run).await;
        if matches!(told["status"].as_str(), Some("succeeded" | "failed" | "cancelled")) {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("{run} never ends: {:#}", server.run(run).await);
}

pub(crate) async fn judge(server: &Process, target: &Target, runs: &HashMap<String, String>) {
    let mut keys: HashMap<(String, u64), (String, usize)> = HashMap::new();
    for call in target.calls() {
        let known = keys.entry((call.run.clone(), call.step)).or_insert_with(|| (call.key.clone(), 0));
        assert_eq!(known.0, call.key, "another key for step {} of {}", call.step, call.run);
        known.1 += 1;
    }
    for id in runs.keys() {
        let made = |step: u64| keys.get(&(id.clone(), step)).map_or(0, |(_, count)| *count);
        for step in MADE {
            assert!(made(step) >= 1, "step {step} of {id} was never made");
        }
        for step in ONCE {
            assert_eq!(made(step), 1, "step {step} of {id} happens once");
        }
        assert_eq!(made(31), 0, "nothing was caught in {id}");
    }
    // Every run counted once, whatever died in between.
    let (status, body) = server.api("POST", "/api/v1/recipes/every/runs?wait=30s", Some(r#"{"id":"one more","lane":0}"#)).await;
    assert_eq!(status, 200, "{body}");
    let mut counted: Vec<i64> = Vec::new();
    for _ in 0..1000 {
        let (_, page) = server.api("GET", "/api/v1/runs?recipe=counter&status=queued,running,waiting", None).await;
        if page["data"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let mut cursor = String::new();
    loop {
        let (_, page) = server.api("GET", &format!("/api/v1/runs?recipe=counter&limit=200{cursor}"), None).await;
        for row in page["data"].as_array().expect("rows") {
            counted.push(server.run(row["id"].as_str().expect("an id")).await["output"].as_i64().expect("a number"));
        }
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    counted.sort_unstable();
    let expected: Vec<i64> = (1..=i64::try_from(runs.len() + 1).expect("few")).collect();
    assert_eq!(counted, expected, "each run started the counter once, and each count saw the one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_sqlite() {
    chaos(None, 0, 41).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_postgres() {
    chaos(Some(database().await), 0, 42).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_on_postgres() {
    chaos(Some(database().await), 2, 43).await;
}
