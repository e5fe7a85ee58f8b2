//! One dead letter at a time: doubt and its three answers, other versions, other events, and the commands.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::harness::{KEY, Process, Target};

/// One call of `liaison` against a server: exit code, standard output, standard error.
fn liaison(server: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(arguments)
        .env("LIAISON_SERVER", format!("http://{server}"))
        .env("LIAISON_API_KEY", KEY)
        .output()
        .expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Runs whose first call of two got no answer, because the process was killed.
async fn in_doubt(target: &Target, folder: &Path, events: &[&str]) -> (Process, Vec<String>) {
    let server = Process::serve(folder, None);
    server.set_up(&target.recipe(2, true)).await;
    target.hold(1);
    let mut runs = Vec::new();
    for event in events {
        runs.push(server.send(event).await.expect("the event is taken"));
    }
    target.wait_for(events.len()).await;
    server.kill();
    target.release();
    let server = Process::serve(folder, None);
    for run in &runs {
        server.wait(run, "failed").await;
    }
    (server, runs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubt_has_three_answers() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (server, runs) = in_doubt(&target, folder.path(), &["happened", "repeated", "given up"]).await;
    let settle = async |run: &str, wish: Value| {
        let (status, body) = server.api("POST", &format!("/api/v1/runs/{run}/settle"), Some(&wish.to_string())).await;
        (status, body["error"]["details"][0]["field"].as_str().or(body["error"]["code"].as_str()).unwrap_or_default().to_owned())
    };
    for (wish, field) in [
        (json!({}), "answer"),
        (json!({ "answer": "perhaps" }), "answer"),
        (json!({ "answer": "happened" }), "output"),
        (json!({ "answer": "give_up" }), "reason"),
        (json!({ "steps": { "s2": { "answer": "repeat" } } }), "steps"),
        (json!({ "steps": {} }), "uncertain"),
    ] {
        let (status, found) = settle(&runs[0], wish.clone()).await;
        assert!(matches!(status, 409 | 422) && found == field, "{wish}: {status} {found}");
    }
    assert_eq!(settle(&runs[0], json!({ "answer": "happened", "output": { "by": "hand" } })).await.0, 202);
    assert_eq!(server.wait(&runs[0], "succeeded").await["steps"][0]["output"]["by"], "hand");
    assert_eq!(settle(&runs[1], json!({ "steps": { "s1": { "answer": "repeat" } } })).await.0, 202);
    server.wait(&runs[1], "succeeded").await;
    assert_eq!(settle(&runs[2], json!({ "answer": "give_up", "reason": "the customer is gone" })).await.0, 202);
    let given_up = server.run(&runs[2]).await;
    assert_eq!((&given_up["status"], &given_up["dead_letter"]), (&json!("failed"), &json!("discarded")), "{given_up}");
    assert_eq!(settle(&runs[2], json!({ "answer": "repeat" })).await.0, 409, "what is given up stays given up");
    assert_eq!(settle(&runs[0], json!({ "answer": "repeat" })).await, (409, "NO_DOUBT".to_owned()));
    let of = |run: &str, step: u64| target.calls().iter().filter(|call| call.run == run && call.step == step).count();
    assert_eq!((of("happened", 1), of("repeated", 1), of("given up", 1)), (1, 2, 1));
    assert_eq!((of("happened", 2), of("repeated", 2), of("given up", 2)), (1, 1, 0));
}

/// Ruling 19: a definite answer is a failure of its class, whatever the effect; only a missing one is a doubt.
#[tokio::test(flavor = "multi_thread")]
async fn a_definite_error_answer_is_no_doubt() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(&target.recipe(1, true).replacen("    with:", "    retry: none\n    with:", 1)).await;
    *target.failures.lock() = 1;
    let run = server.send("refused").await.unwrap();
    let told = server.wait(&run, "failed").await;
    assert_eq!((&told["steps"][0]["status"], &told["error"]["class"]), (&json!("failed"), &json!("server")), "{told}");
    let (status, body) = server.api("POST", &format!("/api/v1/runs/{run}/settle"), Some("{\"answer\": \"repeat\"}")).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("NO_DOUBT")));
    // It is resumed without a word about doubt, under the same key.
    assert_eq!(server.api("POST", &format!("/api/v1/runs/{run}/resume"), None).await.0, 202);
    server.wait(&run, "succeeded").await;
    let calls = target.calls();
    assert_eq!((calls.len(), &calls[0].key), (2, &calls[1].key));
    // A call that was sent and never answered is a doubt; one that may be repeated is not.
    for (once, status) in [(true, "uncertain"), (false, "failed")] {
        let recipe = target.recipe(1, once).replacen("    with:", "    retry: none\n    timeout: 300ms\n    with:", 1);
        server.set_up(&recipe).await;
        target.hold(1);
        let run = server.send(&format!("silent {once}")).await.unwrap();
        let told = server.wait(&run, "failed").await;
        target.release();
        assert_eq!((&told["steps"][0]["status"], &told["error"]["class"]), (&json!(status), &json!("timeout")), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_under_the_active_version_only_if_it_has_what_was_done() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let fragile = |steps| target.recipe(steps, false).replace("    with:", "    retry: none\n    with:");
    // Step s2 is broken by its address; version 2 puts it right.
    let broken = fragile(2).replacen(
        "/call\n      json: { run: \"${ trigger.body.id }\", step: 2 }",
        "/call\n      json: { run: \"${ trigger.body.id }\", step: \"${ 1 / 0 }\" }",
        1,
    );
    assert!(broken.contains("1 / 0"), "{broken}");
    server.set_up(&broken).await;
    let run = server.send("one").await.unwrap();
    let told = server.wait(&run, "failed").await;
    assert_eq!((&told["version"], &told["error"]["path"]), (&json!(1), &json!("s2")), "{told}");
    let resume = async |wish: Value| server.api("POST", &format!("/api/v1/runs/{run}/resume"), Some(&wish.to_string())).await;
    assert_eq!(resume(json!({})).await.0, 202);
    assert_eq!(server.wait(&run, "failed").await["version"], 1, "its own version fails the same way");
    server.set_up(&fragile(2).replace("id: s1", "id: first")).await;
    let (status, body) = resume(json!({ "version": "active" })).await;
    assert_eq!(status, 409, "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("Version 2 no longer has step s1"), "{message}");
    server.set_up(&fragile(2)).await;
    assert_eq!(resume(json!({ "version": "newest" })).await.0, 422);
    assert_eq!(resume(json!({ "version": "active" })).await.0, 202);
    let told = server.wait(&run, "succeeded").await;
    assert_eq!(told["version"], 3);
    let steps: Vec<_> = target.calls().iter().map(|call| call.step).collect();
    assert_eq!(steps, [1, 2], "what was done is not done again");
    // A replay may name its version and its event.
    let replay = format!("/api/v1/runs/{run}/replay");
    assert_eq!(server.api("POST", &replay, Some("{\"version\": 9}")).await.0, 409);
    let (status, new) = server.api("POST", &replay, Some("{\"version\": 1}")).await;
    assert_eq!(status, 202);
    assert_eq!(server.wait(new["id"].as_str().unwrap(), "failed").await["version"], 1);
    let (_, new) = server.api("POST", &replay, Some("{\"event\": {\"body\": {\"id\": \"other\"}}}")).await;
    let told = server.wait(new["id"].as_str().unwrap(), "succeeded").await;
    assert_eq!((&told["replay_of"], &told["trigger"]["body"]["id"]), (&json!(run), &json!("other")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_say_what_they_did_and_exit_accordingly() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (server, runs) = in_doubt(&target, folder.path(), &["a", "b", "c"]).await;
    let address = server.address.clone();
    let call = |arguments: &[&str]| liaison(&address, arguments);
    let (code, out, _) = call(&["dead-letters", "list", "--recipe", "story"]);
    assert!(code == 0 && runs.iter().all(|run| out.contains(run)), "{out}");
    let (code, out, _) = call(&["dead-letters", "causes", "--json"]);
    let causes: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &causes["data"][0]["count"]), (0, &json!(3)), "{out}");
    let print = causes["data"][0]["fingerprint"].as_str().unwrap().to_owned();
    let (code, out, _) = call(&["dead-letters", "causes"]);
    assert!(code == 0 && out.contains(&print) && out.contains("story"), "{out}");
    let (code, out, _) = call(&["dead-letters", "list", "--fingerprint", &print, "--json"]);
    assert_eq!((code, serde_json::from_str::<Value>(&out).unwrap()["data"].as_array().map(Vec::len)), (0, Some(3)));
    let (code, out, _) = call(&["dead-letters", "show", &runs[0]]);
    assert!(code == 0 && out.contains("s1 may have happened") && out.contains("runs settle"), "{out}");
    // In doubt, all three are refused, and the exit code says so.
    let (code, out, _) = call(&["dead-letters", "resume", "--recipe", "story"]);
    assert!(code == 1 && out.contains("3 could not be") && out.contains("Say whether it did"), "{out}");
    let (code, _, error) = call(&["runs", "settle", &runs[0], "--happened", "{no json"]);
    assert!(code == 1 && error.contains("--happened is not JSON"), "{error}");
    let (code, _, error) = call(&["runs", "settle", &runs[0], "--give-up", "--repeat"]);
    assert!(code == 2 && error.contains("cannot be used with"), "{error}");
    assert_eq!(call(&["runs", "settle", &runs[0]]).0, 2);
    assert_eq!(call(&["runs", "settle", &runs[0], "--give-up"]).0, 2, "a reason is needed");
    let (code, out, _) = call(&["runs", "settle", &runs[0], "--happened", "{\"by\": \"hand\"}"]);
    assert!(code == 0 && out.contains(&runs[0]), "{out}");
    server.wait(&runs[0], "succeeded").await;
    let (code, _, error) = call(&["runs", "settle", &runs[0], "--repeat"]);
    assert!(code == 1 && error.contains("No step of this run is in doubt"), "{error}");
    let (code, out, _) = call(&["dead-letters", "resume", &runs[1], "--uncertain", "repeat", "--json"]);
    assert_eq!((code, &serde_json::from_str::<Value>(&out).unwrap()["done"]), (0, &json!(1)), "{out}");
    server.wait(&runs[1], "succeeded").await;
    let (code, out, _) = call(&["dead-letters", "replay", &runs[2], "--no-wait"]);
    assert!(code == 0 && out.contains("replay running"), "{out}");
    let id = out.split_whitespace().next().unwrap().to_owned();
    let (code, out, _) = call(&["operations", "wait", &id]);
    assert!(code == 0 && out.contains("replay done: 1 of 1 done"), "{out}");
    assert!(matches!(call(&["operations", "list"]), (0, out, _) if out.contains(&id)));
    let (code, _, error) = call(&["operations", "pause", &id]);
    assert!(code == 1 && error.contains("only a running one can be"), "{error}");
    let (code, out, _) = call(&["dead-letters", "discard", "--all", "--reason", "done with"]);
    assert!(code == 0 && out.contains("discard done: 0 of 0 done"), "{out}");
    assert_eq!(call(&["dead-letters", "discard", "--all"]).0, 2, "a reason is needed");
    assert_eq!(call(&["dead-letters", "replay"]).0, 2, "which ones?");
    let (code, out, _) = call(&["runs", "replay", &runs[2], "--event", "{\"body\": {\"id\": \"d\"}}", "--json"]);
    let new: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    server.wait(new["id"].as_str().unwrap(), "succeeded").await;
    assert_eq!(call(&["runs", "retry", &runs[2], "--active"]).0, 1, "it was replayed");
    let (code, _, error) = liaison("127.0.0.1:1", &["dead-letters", "list"]);
    assert!(code == 3 && error.contains("cannot reach"), "{error}");
}

/// `partial: dead_letter`: what failed waits for a person, and nothing else is done again.
#[tokio::test(flavor = "multi_thread")]
async fn failed_items_wait_while_the_rest_is_done() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let call = |id: &str, step: &str| {
        let url = format!("http://{}/call", target.address);
        format!(
            "{{ id: {id}, do: http.request, retry: none, with: {{ method: PUT, url: \"{url}\", json: {{ run: \"${{ trigger.body.id }}\", step: {step} }} }} }}"
        )
    };
    let recipe = format!(
        "liaison: 1\nrecipe: story\nstate: {{ n: {{ type: integer, default: 0 }} }}\ntrigger:\n  from: webhook\n  dedupe: {{ by: \"${{ trigger.body.id }}\" }}\nsteps:\n  \
         - id: push\n    each: [1, 2, 3, 4, 5]\n    partial: dead_letter\n    steps:\n      - {}\n  - {}\n  - {{ id: count, save: {{ n: \"${{ state.n + 1 }}\" }} }}\n  \
         - {{ id: end, return: {{ failed: \"${{ steps.push.failed }}\", n: \"${{ state.n }}\" }} }}\n",
        call("up", "\"${ item }\""),
        call("after", "9"),
    );
    server.set_up(&recipe).await;
    *target.failures.lock() = 2;
    let run = server.send("a").await.expect("the event is taken");
    let told = server.wait(&run, "failed").await;
    assert_eq!((&told["error"]["code"], &told["error"]["class"]), (&json!("ITEMS_FAILED"), &json!("partial")), "{told}");
    assert_eq!((&told["output"], &told["dead_letter"]), (&json!({ "failed": 2, "n": 1 }), &json!("open")), "{told}");
    // The next run goes on from what this one kept, although items of this one wait.
    let next = server.send("b").await.expect("the event is taken");
    assert_eq!(server.wait(&next, "succeeded").await["output"]["n"], 2);
    let (code, out, problem) = liaison(&server.address, &["dead-letters", "resume", &run]);
    assert_eq!(code, 0, "{out}{problem}");
    server.wait(&run, "succeeded").await;
    let last = server.send("c").await.expect("the event is taken");
    assert_eq!(server.wait(&last, "succeeded").await["output"]["n"], 3, "what was kept is not kept again");
    let mut steps: Vec<u64> = target.calls().iter().filter(|call| call.run == "a").map(|call| call.step).collect();
    steps.sort_unstable();
    assert_eq!(steps, [1, 1, 2, 2, 3, 4, 5, 9]);
}
