//! The step words that `chaos::every` leaves out, for the same kills: streams, batches, held items, questions and
//! callbacks, scripts, what is caught, taken back, told, given up and cut short, large values and files of results.

use std::collections::{HashMap, HashSet};

use axum::{Json, Router, extract::Query, routing::get};
use serde_json::{Value, json};

use crate::{
    chaos::{put, until_final},
    harness::{Process, Target},
};

/// What each run of `words` has made at least once when it is over, and what exactly once.
const WORDS_MADE: [u64; 13] = [90, 91, 92, 730, 731, 741, 742, 743, 71, 72, 75, 76, 77];
const WORDS_ONCE: u64 = 76;
const SAGA_MADE: [u64; 4] = [80, 82, 83, 81];
const PARTS_MADE: [u64; 4] = [850, 851, 852, 86];

/// Slug and text, those that are called first.
pub(crate) fn recipes(address: &str, rows: &str) -> Vec<(&'static str, String)> {
    let put = |step: &str| put(address, step);
    let with = |step: &str, more: &str| put(step).replace(" } }", &format!(", {more} }} }}"));
    let refused = |step: &str| with(step, "refuse: true");
    let words = format!(
        "trigger: {{ from: api, dedupe: {{ by: \"${{ trigger.id }}\" }} }}\nsettings: {{ timeout: 1h }}\nsteps:\n  \
         - {{ id: off, disabled: true, {} }}\n  - {{ id: told, respond: {{ status: 201, body: \"${{ trigger.id }}\" }} }}\n  \
         - id: script\n    set: |\n      let n = 1;\n      #{{ n: n + 1 }}\n  \
         - {{ id: soft, on_error: continue, {} }}\n  - {{ id: instead, fallback: {{ n: 1 }}, {} }}\n  \
         - id: batches\n    each: [1, 2, 3]\n    batch: 2\n    steps: [{{ id: up, {} }}]\n  \
         - id: rows\n    do: http.request\n    with: {{ method: GET, url: \"http://{rows}/rows\", paginate: {{ kind: cursor, items: items, next: next }} }}\n    stream: true\n  \
         - id: push\n    each: ${{ steps.rows }}\n    parallel: 2\n    steps: [{{ id: sent, {} }}]\n  \
         - {{ id: large, set: {{ text: \"${{ repeat(\\\"spilled \\\", 40000) }}\" }} }}\n  \
         - id: lines\n    each: [1, 2, 3, 4]\n    partial: skip\n    file: lines.jsonl\n    collect: \"${{ if item == 4 {{ null }} else {{ [item, len(steps.large.text)] }} }}\"\n    \
           steps: [{{ id: odd, if: item == 2, fail: \"no such line\" }}, {{ id: line, set: {{ n: \"${{ item }}\" }} }}]\n  \
         - id: care\n    timeout: 10m\n    try: [{{ id: bad, {} }}]\n    catch: [{{ id: caught, {} }}]\n    finally: [{{ id: tidy, {} }}]\n  \
         - id: late\n    try: [{{ id: sub, call: sleeper, timeout: 200ms }}]\n    catch: [{{ id: over, set: {{ why: \"${{ error.code }}\" }} }}]\n  \
         - {{ id: past, wait: {{ until: \"2020-01-01T00:00:00Z\" }} }}\n  - {{ id: tell, {} }}\n  \
         - id: back\n    wait: {{ callback: , timeout: 1h }}\n  \
         - id: ask\n    wait: {{ approval: {{ from: {{ group: g }}, ask: \"ok?\" }}, timeout: 1h }}\n  \
         - {{ id: act, if: steps.ask.outcome == \"approved\" && steps.script.n == 2, {} }}\n  \
         - id: some\n    parallel:\n      left: [{{ id: l, {} }}]\n      right: [{{ id: r, wait: {{ for: 1h }} }}]\n    wait_for: any\n  \
         - {{ id: halt, stop: enough }}\n",
        put("70"),
        refused("90"),
        refused("91"),
        put("\"${ 730 + index }\""),
        put("\"${ 740 + item }\""),
        refused("92"),
        put("71"),
        put("72"),
        with("75", "address: \"${ meta.back.callback }\""),
        put("76").replace("method: PUT", "method: POST"),
        put("77"),
    );
    let saga = format!(
        "trigger: {{ from: api, dedupe: {{ by: \"${{ trigger.id }}\" }} }}\nsettings: {{ on_failure: alarm }}\nsteps:\n  - {{ id: a, {}, undo: {{ {} }} }}\n  - {{ id: b, {}, undo: {{ {} }} }}\n  - {{ id: no, fail: \"on purpose\" }}\n",
        put("80"),
        put("81"),
        put("82"),
        put("83"),
    );
    let parts = format!(
        "trigger: {{ from: api, dedupe: {{ by: \"${{ trigger.id }}\" }} }}\nsteps:\n  - id: all\n    each: [0, 1, 2]\n    partial: dead_letter\n    steps: [{{ id: up, {} }}]\n  - {{ id: after, {} }}\n",
        with("\"${ 850 + item }\"", "flaky: \"${ item == 1 }\""),
        put("86"),
    );
    let sleeper = "trigger: { from: call }\nsteps:\n  - { id: nap, wait: { for: 2s } }\n".to_owned();
    let alarm = "trigger: { from: failure }\nsteps:\n  - { id: told, return: \"${ trigger.run.id }\" }\n".to_owned();
    vec![("sleeper", sleeper), ("alarm", alarm), ("words", words), ("saga", saga), ("parts", parts)]
}

/// Three rows on two pages; where it listens.
pub(crate) async fn rows() -> String {
    async fn page(Query(query): Query<HashMap<String, String>>) -> Json<Value> {
        Json(if query.contains_key("cursor") { json!({ "items": [3] }) } else { json!({ "items": [1, 2], "next": "more" }) })
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/rows", get(page))).await });
    address
}

/// People and systems: they answer what waits for them, and try again when nobody hears them.
#[derive(Default)]
pub(crate) struct People {
    called: HashSet<String>,
}

impl People {
    pub(crate) async fn answer(&mut self, server: &Process, target: &Target) {
        for address in target.calls().into_iter().map(|call| call.address).filter(|address| !address.is_empty()) {
            if self.called.contains(&address) {
                continue;
            }
            // The process may have another port by now.
            let path = address.splitn(4, '/').nth(3).expect("a path");
            let (status, _) = server.api("POST", &format!("/{path}"), Some("{}")).await;
            if matches!(status, 200..300 | 409 | 410) {
                self.called.insert(address);
            }
        }
        let (_, page) = server.api("GET", "/api/v1/approvals", None).await;
        for question in page["data"].as_array().into_iter().flatten() {
            let id = question["id"].as_str().expect("an id");
            let (status, body) = server.api("POST", &format!("/api/v1/approvals/{id}/approve"), Some("{}")).await;
            assert!(matches!(status, 0 | 200 | 404 | 409 | 410 | 503), "{status} {body}");
        }
    }
}

/// Waits for the end of a run of these; people resume what failed, but not what failed on purpose.
pub(crate) async fn come_to_an_end(server: &Process, target: &Target, people: &mut People, id: &str, run: &str) {
    for _ in 0..400 {
        people.answer(server, target).await;
        let told = server.run(run).await;
        let code = told["error"]["code"].as_str().unwrap_or_default();
        match told["status"].as_str() {
            Some("succeeded") => return,
            Some("failed") if code == "FAILED_BY_RECIPE" => return,
            Some("failed") => crate::chaos::resume_truthfully(server, target, id, &told).await,
            _ => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
    panic!("{id} never ends: {:#}", server.run(run).await);
}

pub(crate) async fn judge(server: &Process, target: &Target, runs: &HashMap<String, (String, &'static str)>) {
    let calls = target.calls();
    let alarms = alarms(server).await;
    for (id, (run, recipe)) in runs {
        let told = until_final(server, run).await;
        let made = |step: u64| calls.iter().filter(|call| call.run == *id && call.step == step).count();
        let expected: &[u64] = match *recipe {
            "words" => &WORDS_MADE,
            "saga" => &SAGA_MADE,
            _ => &PARTS_MADE,
        };
        for step in expected {
            assert!(made(*step) >= 1, "step {step} of {id} was never made: {told:#}");
        }
        match *recipe {
            "words" => {
                assert_eq!((made(70), made(WORDS_ONCE)), (0, 1), "{id}");
                assert_eq!((&told["status"], &told["output"]), (&json!("succeeded"), &json!({ "stopped": "enough" })), "{id}");
                let lines =
                    told["steps"].as_array().into_iter().flatten().find(|step| step["path"] == "lines").expect("its lines");
                let counted = ["total", "failed", "filtered"].map(|name| lines["output"][name].as_u64());
                assert_eq!(counted, [Some(4), Some(1), Some(1)], "{id}: {lines}");
                let sha256 = lines["output"]["file"]["sha256"].as_str().expect("a file");
                let (_, text) = server.text(&format!("/api/v1/runs/{run}/files/{sha256}")).await;
                assert_eq!(text, "[1,320000]\n[3,320000]\n", "{id}");
            }
            "saga" => {
                assert_eq!(told["status"], "failed", "{id}");
                assert_eq!(alarms.iter().filter(|of| *of == run).count(), 1, "{id} failed once and is told of once");
                let first = |step: u64| calls.iter().position(|call| call.run == *id && call.step == step);
                assert!(first(83) < first(81), "{id}: what was done last is taken back first");
            }
            _ => assert_eq!(told["status"], "succeeded", "{id}"),
        }
    }
}

/// The runs that were told to the recipe of failures, once for each time.
async fn alarms(server: &Process) -> Vec<String> {
    let (mut told, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = server.api("GET", &format!("/api/v1/runs?recipe=alarm&limit=200{cursor}"), None).await;
        for row in page["data"].as_array().expect("rows") {
            let of = until_final(server, row["id"].as_str().expect("an id")).await;
            assert_eq!(of["status"], "succeeded", "{of:#}");
            told.push(of["output"].as_str().expect("a run").to_owned());
        }
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return told,
        }
    }
}
