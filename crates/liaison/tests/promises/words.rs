//! The words that reach beyond one run, on the real binary: state, calls, answers, questions, order,
//! taking back, telling of failures.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Process, Target, database};

pub(crate) async fn put(server: &Process, slug: &str, rest: &str) {
    let text = format!("liaison: 1\nrecipe: {slug}\n{rest}");
    let (status, body) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(&text)).await;
    assert!(status == 201 || status == 200, "{status} {body:#}");
    let (status, body) = server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await;
    assert_eq!(status, 200, "{body:#}");
}

pub(crate) async fn start(server: &Process, slug: &str, event: &Value) -> String {
    let (status, body) = server.api("POST", &format!("/api/v1/recipes/{slug}/runs"), Some(&event.to_string())).await;
    assert!(matches!(status, 200 | 202), "{status} {body}");
    body["id"].as_str().expect("an id").to_owned()
}

/// Waits until something is so.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "never: {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn step<'r>(run: &'r Value, id: &str) -> &'r Value {
    run["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .find(|step| step["id"] == id)
        .unwrap_or_else(|| panic!("no step {id}: {run:#}"))
}

const COUNTER: &str = "state: { last: { type: integer, default: 0 } }\ntrigger: { from: api }\nsettings: { concurrency: { limit: 1 } }\n\
    steps:\n  - id: next\n    save: { last: \"${ state.last + 1 }\" }\n  - id: end\n    return: \"${ state.last }\"\n";

async fn counts(server: &Process) {
    put(server, "counter", COUNTER).await;
    let mut runs = Vec::new();
    for n in 0..12 {
        runs.push(start(server, "counter", &json!({ "n": n })).await);
    }
    let mut seen = Vec::new();
    for run in &runs {
        seen.push(server.wait(run, "succeeded").await["output"].as_i64().expect("a number"));
    }
    assert_eq!(seen, (1..=12).collect::<Vec<i64>>(), "one after the other, in the order they were accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_goes_from_run_to_run_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    counts(&server).await;
    server.kill();
    let server = Process::serve(folder.path(), None);
    let run = start(&server, "counter", &json!({})).await;
    assert_eq!(server.wait(&run, "succeeded").await["output"], 13, "kill -9 forgets nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_goes_from_run_to_run_over_three_processes() {
    let (url, folder) = (database().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), Some(&url));
    let _workers = [Process::worker(folder.path(), &url), Process::worker(folder.path(), &url)];
    counts(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_one_key_go_in_order_and_others_do_not_wait() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let recipe = format!(
        "trigger: {{ from: api }}\nsettings: {{ concurrency: {{ limit: 1, key: \"${{ trigger.key }}\" }} }}\nsteps:\n  - id: make\n    do: http.request\n    \
         with: {{ method: PUT, url: \"http://{}/call\", json: {{ run: \"${{ trigger.name }}\", step: \"${{ trigger.step }}\" }} }}\n",
        target.address
    );
    put(&server, "keyed", &recipe).await;
    target.hold(1);
    let first = start(&server, "keyed", &json!({ "key": "a", "name": "a1", "step": 1 })).await;
    target.wait_for(1).await;
    let second = start(&server, "keyed", &json!({ "key": "a", "name": "a2", "step": 2 })).await;
    let other = start(&server, "keyed", &json!({ "key": "b", "name": "b1", "step": 3 })).await;
    server.wait(&other, "succeeded").await;
    let waits = server.run(&second).await;
    assert_eq!((&waits["status"], &waits["waiting_for"]), (&json!("waiting"), &json!("order")));
    let behind = &waits["behind"];
    assert_eq!((behind["run"].as_str(), &behind["recipe"]), (Some(&*first), &json!("keyed")), "{waits}");
    assert_eq!((&behind["status"], &behind["before"]), (&json!("running"), &json!(1)), "{waits}");
    assert_eq!(behind["started_at"], server.run(&first).await["started_at"]);
    assert_eq!(server.run(&first).await["behind"], json!(null), "its turn has come");
    target.release();
    server.wait(&first, "succeeded").await;
    server.wait(&second, "succeeded").await;
    let order: Vec<String> = target.calls().into_iter().map(|call| call.run).collect();
    assert_eq!(order, ["a1", "b1", "a2"]);
}

const CALLER: &str = "trigger: { from: api }\nsteps:\n  - id: sub\n    call: child\n    with: { n: \"${ trigger.n }\" }\n  - id: beside\n    start: child\n    with: { n: 100 }\n  \
    - id: end\n    return: { got: \"${ steps.sub.twice }\", started: \"${ steps.beside.run_id }\" }\n";

async fn calls(server: &Process, target: &Target) {
    let child = format!(
        "trigger:\n  from: call\n  with: {{ input: {{ type: object, required: [n], properties: {{ n: {{ type: number }} }} }} }}\nsteps:\n  - id: put\n    do: http.request\n    \
         with: {{ method: PUT, url: \"http://{}/call\", json: {{ run: child, step: \"${{ trigger.n }}\" }} }}\n  - id: end\n    return: {{ twice: \"${{ trigger.n * 2 }}\" }}\n",
        target.address
    );
    put(server, "child", &child).await;
    put(server, "parent", CALLER).await;
    let run = start(server, "parent", &json!({ "n": 21 })).await;
    let done = server.wait(&run, "succeeded").await;
    assert_eq!(done["output"]["got"], 42, "{done:#}");
    let started = done["output"]["started"].as_str().expect("a run").to_owned();
    assert_eq!(server.wait(&started, "succeeded").await["output"]["twice"], 200);
    let (_, page) = server.api("GET", "/api/v1/runs?recipe=child", None).await;
    let called: Vec<&Value> = page["data"].as_array().unwrap().iter().filter(|row| row["called_by"] == run.as_str()).collect();
    assert_eq!(called.len(), 1, "{page:#}");

    let bad = start(server, "parent", &json!({ "n": "x" })).await;
    let failed = server.wait(&bad, "failed").await;
    assert_eq!(failed["error"]["code"], "INPUT_INVALID", "{failed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_calls_and_starts_others() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    calls(&Process::serve(folder.path(), None), &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_calls_and_starts_others_over_two_processes() {
    let target = Target::start().await;
    let (url, folder) = (database().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), Some(&url));
    let _worker = Process::worker(folder.path(), &url);
    calls(&server, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_resumed_resumes_the_run_it_called() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let child = format!(
        "trigger: {{ from: call }}\nsteps:\n  - id: one\n    do: http.request\n    with: {{ method: PUT, url: \"http://{0}/call\", json: {{ run: child, step: 1 }} }}\n  \
         - id: two\n    retry: none\n    do: http.request\n    with: {{ method: PUT, url: \"http://{0}/call\", json: {{ run: child, step: 2 }} }}\n  - id: end\n    return: done\n",
        target.address
    );
    put(&server, "child", &child).await;
    put(
        &server,
        "parent",
        "trigger: { from: api }\nsteps:\n  - id: sub\n    call: child\n  - id: end\n    return: \"${ steps.sub }\"\n",
    )
    .await;
    target.hold(2);
    let run = start(&server, "parent", &json!({})).await;
    target.wait_for(2).await;
    *target.failures.lock() = 1;
    target.release();
    let failed = server.wait(&run, "failed").await;
    assert_eq!(step(&failed, "sub")["error"]["code"], "HTTP_503", "{failed:#}");
    let (status, body) = server.api("POST", &format!("/api/v1/runs/{run}/resume"), Some("{}")).await;
    assert_eq!(status, 202, "{body}");
    let done = server.wait(&run, "succeeded").await;
    assert_eq!(done["output"], "done");
    let made: Vec<u64> = target.calls().iter().map(|call| call.step).collect();
    assert_eq!(made, [1, 2, 2], "step one of the called run is not done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_caller_cancels_the_run_it_called_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    put(&server, "child", "trigger: { from: call }\nsteps:\n  - id: sleep\n    wait: { for: 7d }\n").await;
    put(&server, "parent", "trigger: { from: api }\nsteps:\n  - id: sub\n    call: child\n").await;
    let child_of = async |run: &str| {
        let run = run.to_owned();
        until("the child waits", async || {
            let (_, page) = server.api("GET", "/api/v1/runs?recipe=child&status=waiting", None).await;
            let rows = page["data"].as_array()?.iter().find(|row| row["called_by"] == run.as_str())?.clone();
            rows["id"].as_str().map(str::to_owned)
        })
        .await
    };
    let run = start(&server, "parent", &json!({})).await;
    let child = child_of(&run).await;
    assert_eq!(server.wait(&run, "waiting").await["waiting_for"], "call");
    assert_eq!(server.api("POST", &format!("/api/v1/runs/{run}/cancel"), None).await.0, 202);
    server.wait(&child, "cancelled").await;

    let run = start(&server, "parent", &json!({})).await;
    let child = child_of(&run).await;
    server.api("POST", &format!("/api/v1/runs/{child}/cancel"), None).await;
    let failed = server.wait(&run, "failed").await;
    assert_eq!((&failed["error"]["class"], &failed["error"]["code"]), (&json!("cancelled"), &json!("CALL_CANCELLED")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_answers_its_caller_and_goes_on() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let recipe = format!(
        "trigger: {{ from: webhook, dedupe: {{ by: \"${{ trigger.body.id }}\" }} }}\nsteps:\n  - id: say\n    respond:\n      status: 201\n      \
         headers: {{ X-Order: \"${{ trigger.body.id }}\" }}\n      body: {{ taken: \"${{ trigger.body.id }}\" }}\n  - id: put\n    do: http.request\n    \
         with: {{ method: PUT, url: \"http://{}/call\", json: {{ run: answers, step: 1 }} }}\n",
        target.address
    );
    put(&server, "answers", &recipe).await;
    target.hold(1);
    let ask = async || {
        #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client
            .post(format!("http://{}/hooks/answers", server.address))
            .body(r#"{"id":"o-7"}"#)
            .header("content-type", "application/json")
            .send()
            .await
            .unwrap()
    };
    let answer = ask().await;
    assert_eq!((answer.status().as_u16(), answer.headers()["x-order"].to_str().unwrap()), (201, "o-7"));
    let run = answer.headers()["x-liaison-run"].to_str().unwrap().to_owned();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "taken": "o-7" }));
    assert_eq!(server.run(&run).await["status"], "running", "it goes on after the answer");
    let again = ask().await;
    assert_eq!(
        (again.status().as_u16(), again.headers()["x-liaison-run"].to_str().unwrap()),
        (201, run.as_str()),
        "the same event, the same answer"
    );
    target.release();
    server.wait(&run, "succeeded").await;
    assert_eq!(target.calls().len(), 1);
}

const ASKS: &str = "trigger: { from: api }\nsteps:\n  - id: tell\n    set: { address: \"${ meta.back.callback }\" }\n  - id: back\n    wait:\n      \
    callback: { input: { type: object, required: [ok] } }\n      timeout: 1h\n  - id: end\n    return: { outcome: \"${ steps.back.outcome }\", ok: \"${ steps.back.body.ok }\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_called_back_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    put(&server, "asks", ASKS).await;
    let run = start(&server, "asks", &json!({})).await;
    let waits = server.wait(&run, "waiting").await;
    assert_eq!(waits["waiting_for"], "callback");
    let address = step(&waits, "tell")["output"]["address"].as_str().expect("an address").to_owned();
    let path = address.split_once(&server.address).expect("on this server").1.to_owned();
    let forged = format!("{}00", &path[..path.len() - 2]);
    assert_eq!(server.api("POST", &forged, Some(r#"{"ok":1}"#)).await.0, 404);
    let (status, body) = server.api("POST", &path, Some(r#"{"no":1}"#)).await;
    assert_eq!((status, &body["error"]["code"]), (422, &json!("VALIDATION_ERROR")), "{body}");
    // The address outlives the process it was made in.
    server.kill();
    let server = Process::serve(folder.path(), None);
    assert_eq!(server.api("HEAD", &path, None).await.0, 204, "looking at a link does not use it up");
    assert_eq!(server.api("POST", &path, Some(r#"{"ok":true}"#)).await.0, 202);
    let done = server.wait(&run, "succeeded").await;
    assert_eq!(done["output"], json!({ "outcome": "called", "ok": true }));
    assert_eq!(server.api("POST", &path, Some(r#"{"ok":false}"#)).await.0, 410);
}

const ASKS_PEOPLE: &str = "trigger: { from: api }\nsteps:\n  - id: ask\n    wait:\n      approval:\n        from: { group: finance }\n        ask: \"Pay ${ trigger.amount }?\"\n        \
    form: { limit: { type: number, title: New limit } }\n  - id: end\n    return: \"${ steps.ask }\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn people_decide_and_sending_twice_is_safe() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    put(&server, "asks", ASKS_PEOPLE).await;
    let run = start(&server, "asks", &json!({ "amount": 99 })).await;
    server.wait(&run, "waiting").await;
    let (_, page) = server.api("GET", "/api/v1/approvals", None).await;
    let question = &page["data"][0];
    assert_eq!(
        (&question["ask"], &question["run"], &question["from"]),
        (&json!("Pay 99?"), &json!(run), &json!({ "group": "finance" }))
    );
    let id = question["id"].as_str().unwrap();
    let approve = format!("/api/v1/approvals/{id}/approve");
    let (status, body) = server.api("POST", &approve, Some(r#"{"form":{"limit":"much"}}"#)).await;
    assert_eq!((status, &body["error"]["details"][0]["field"]), (422, &json!("limit")), "{body}");
    let (status, body) = server.api("POST", &approve, Some(r#"{"form":{"limit":500},"comment":"fine"}"#)).await;
    assert_eq!((status, &body["status"]), (200, &json!("approved")), "{body}");
    let (status, body) = server.api("POST", &format!("/api/v1/approvals/{id}/decline"), Some("{}")).await;
    assert_eq!(status, 409);
    assert!(body["error"]["message"].as_str().is_some_and(|told| told.starts_with("Already approved by ")), "{body}");
    let done = server.wait(&run, "succeeded").await;
    assert_eq!((&done["output"]["outcome"], &done["output"]["form"]), (&json!("approved"), &json!({ "limit": 500 })));
    let (_, page) = server.api("GET", "/api/v1/approvals", None).await;
    assert_eq!(page["data"], json!([]));
    let (_, page) = server.api("GET", "/api/v1/approvals?status=decided", None).await;
    assert_eq!(page["data"][0]["comment"], "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_takes_back_what_it_did_and_tells_a_recipe() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let call = |step: u64| {
        format!(
            "do: http.request\n{{pad}}with: {{{{ method: PUT, url: \"http://{}/call\", json: {{{{ run: x, step: {step} }}}} }}}}\n",
            target.address
        )
    };
    let at = |step: u64, pad: &str| call(step).replace("{pad}", pad).replace("{{", "{").replace("}}", "}");
    let recipe = format!(
        "trigger: {{ from: api }}\nsettings: {{ on_failure: alarm }}\nsteps:\n  - id: one\n    {}    undo:\n      {}  - id: two\n    {}    undo:\n      {}  - id: no\n    fail: \"out of stock\"\n",
        at(1, "    "),
        at(11, "      "),
        at(2, "    "),
        at(12, "      "),
    );
    put(&server, "alarm", "trigger: { from: failure }\nsteps:\n  - id: end\n    return: { told: \"${ trigger.error.message }\", of: \"${ trigger.recipe }\" }\n").await;
    put(&server, "saga", &recipe).await;
    let run = start(&server, "saga", &json!({ "order": 7 })).await;
    server.wait(&run, "failed").await;
    let made: Vec<u64> = target.calls().iter().map(|call| call.step).collect();
    assert_eq!(made, [1, 2, 12, 11], "newest first");
    let told = until("the other recipe is told", async || {
        let (_, page) = server.api("GET", "/api/v1/runs?recipe=alarm&status=succeeded", None).await;
        page["data"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(server.run(&told).await["output"], json!({ "told": "out of stock", "of": "saga" }));
    let (status, body) = server.api("POST", &format!("/api/v1/runs/{run}/resume"), Some("{}")).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("NOT_NOW")), "what was taken back cannot go on");
}
