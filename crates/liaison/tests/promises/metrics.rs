//! Every metric the page on operations tells of is in a scrape, and moves when what it counts happens.

use std::{collections::BTreeSet, path::Path};

use serde_json::json;

use crate::{
    harness::{Process, Target, database},
    proxy::Proxy,
    scrape::{Watcher, documented},
};

async fn recipe(server: &Process, slug: &str, rest: &str) {
    let text = format!("liaison: 1\nrecipe: {slug}\n{rest}");
    let (status, told) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(&text)).await;
    assert!(matches!(status, 200 | 201), "{slug}: {told}");
    let (status, told) = server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await;
    assert_eq!(status, 200, "{slug}: {told}");
}

async fn send(server: &Process, slug: &str, body: &str) -> (u16, serde_json::Value) {
    server.api("POST", &format!("/hooks/{slug}"), Some(body)).await
}

fn call(target: &Target, step: u64, method: &str) -> String {
    format!(
        "steps:\n  - {{ id: s, do: http.request, with: {{ method: {method}, url: \"http://{}/call\", json: {{ run: a, step: {step} }} }} }}\n",
        target.address
    )
}

/// More requests at an address without a recipe than are kept of one in a second.
async fn flood(address: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let request = client.post(format!("http://{address}/hooks/nobody")).header("content-type", "application/json");
        requests.spawn(request.body("{\"id\":\"lost\"}").send());
    }
    for answer in requests.join_all().await {
        assert_eq!(answer.unwrap().status().as_u16(), 404);
    }
}

/// An event too large for a journal, and one that is a file.
async fn large(server: &Process) {
    let text = json!({ "id": "large", "text": "x".repeat(300_000) }).to_string();
    assert_eq!(send(server, "plain", &text).await.0, 202);
    recipe(server, "files", "trigger: { from: webhook }\nsteps: [{ id: s, set: { a: 1 } }]\n").await;
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}/hooks/files", server.address)).header("content-type", "application/pdf");
    assert_eq!(request.body(vec![0; 300_000]).send().await.unwrap().status().as_u16(), 202);
}

/// Events and requests of every kind.
async fn intake(server: &Process, target: &Target) {
    let hook = "trigger: { from: webhook, if: trigger.body.id != \"no\", dedupe: { by: \"${ trigger.body.id }\" } }\n";
    recipe(server, "plain", &format!("{hook}{}", call(target, 1, "PUT"))).await;
    for (body, status) in [("{\"id\":\"a\"}", 202), ("{\"id\":\"a\"}", 200), ("{\"id\":\"no\"}", 200)] {
        assert_eq!(send(server, "plain", body).await.0, status);
    }
    large(server).await;
    flood(&server.address).await;
    let (_, kept) = server.api("GET", "/api/v1/inbound", None).await;
    let assign = format!("/api/v1/inbound/{}/assign", kept["data"][0]["id"].as_str().unwrap());
    let (status, told) = server.api("POST", &assign, Some("{\"recipe\":\"plain\"}")).await;
    assert_eq!(status, 202, "{told}");
    assert_eq!(server.api("POST", "/callbacks/a/b/c", None).await.0, 404);
}

/// Calls that fail, fail once, and give no answer.
async fn failures(server: &Process, target: &Target) {
    *target.failures.lock() = 1;
    let (_, told) = send(server, "plain", "{\"id\":\"again\"}").await;
    server.wait(told["run_id"].as_str().unwrap(), "succeeded").await;
    recipe(server, "told", "trigger: { from: failure }\nsteps: [{ id: s, set: { a: 1 } }]\n").await;
    let doubtful = format!("settings: {{ on_failure: told }}\ntrigger: {{ from: webhook }}\n{}", call(target, 7, "POST"));
    recipe(server, "doubtful", &doubtful).await;
    assert_eq!(server.api("POST", "/api/v1/recipes/told/deactivate", Some("{}")).await.0, 200);
    target.hold(7);
    let (_, told) = send(server, "doubtful", "{}").await;
    server.wait(told["run_id"].as_str().unwrap(), "failed").await;
    target.release();
}

/// A connection whose system is down, and one that may be called once a day.
async fn gates(server: &Process, target: &Target) {
    for (name, more) in [("down", json!({ "circuit": { "in_a_row": 1 } })), ("rare", json!({ "budget": { "per_day": 1 } }))] {
        let mut config = json!({ "base_url": format!("http://{}", target.address) });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let connection = json!({ "name": name, "connector": "http", "config": config });
        assert_eq!(server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await.0, 201);
        let rest = format!(
            "connections: {{ {name}: http }}\ntrigger: {{ from: webhook }}\nsteps:\n  \
             - {{ id: s, do: {name}.request, retry: {{ times: 8, wait: 100ms, factor: 1 }}, with: {{ method: PUT, path: /call, json: {{ run: b, step: 3 }} }} }}\n"
        );
        recipe(server, name, &rest).await;
    }
    for _ in 0..3 {
        assert_eq!(send(server, "rare", "{}").await.0, 202);
    }
    *target.failures.lock() = 20;
    assert_eq!(send(server, "down", "{}").await.0, 202);
}

/// More events than there is room for.
async fn too_much(server: &Process, target: &Target, watcher: &mut Watcher<'_>, moved: &mut BTreeSet<String>) {
    *target.failures.lock() = 0;
    recipe(server, "slow", &format!("trigger: {{ from: webhook }}\n{}", call(target, 9, "PUT"))).await;
    target.hold(9);
    let mut refused = false;
    for _ in 0..20 {
        refused = refused || send(server, "slow", "{}").await.0 == 429;
    }
    assert!(refused, "the backlog has no bound");
    let full =
        ["liaison_runs_backlog", "liaison_oldest_queued_seconds", "liaison_runs_in_memory", "liaison_intake_refused_total"];
    watcher.until(&full, moved).await;
    target.release();
    watcher.until(&["liaison_runs_claimed_total"], moved).await;
}

/// Fire times that passed while nothing ran.
async fn missed(server: Process, folder: &Path, flags: &[&str]) -> Process {
    for (slug, more) in [("none", "skip"), ("all", "all")] {
        let rest = format!(
            "settings: {{ concurrency: {{ limit: 1, on_overlap: cancel_running }} }}\ntrigger:\n  from: schedule\n  \
             with: {{ cron: \"* * * * *\", on_missed: {more} }}\nsteps: [{{ id: rest, wait: {{ for: 30d }} }}]\n"
        );
        recipe(&server, slug, &rest).await;
    }
    assert!(server.stop());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("liaison.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let back = "update recipes set schedule_cursor = schedule_cursor - 600000000 where slug in ('none', 'all')";
    sqlx::query(back).execute(&pool).await.unwrap();
    pool.close().await;
    Process::serve_with(folder, flags)
}

/// One process on SQLite: everything but what takes two, or a database that fails.
async fn one_process(moved: &mut BTreeSet<String>) {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let bounds = ["--runs-in-flight-max", "4", "--backlog-max", "2", "--intake-patience", "20ms", "--step-timeout", "1s"];
    let flags: Vec<_> = bounds
        .into_iter()
        .chain(["--inbound-rows-max", "5", "--otlp-endpoint", "http://127.0.0.1:9", "--alarm-interval", "100ms"])
        .collect();
    let server = Process::serve_with(folder.path(), &flags);
    let mut watcher = Watcher::new(&server);
    intake(&server, &target).await;
    let alarm =
        json!({ "rule": { "kind": "failures" }, "deliver": { "do": "log.write", "with": { "message": "${ notice.text }" } } });
    assert_eq!(server.api("PUT", "/api/v1/alarms/failing", Some(&alarm.to_string())).await.0, 200);
    failures(&server, &target).await;
    watcher.until(&["liaison_notices_raised_total", "liaison_notices_total"], moved).await;
    watcher.until(&["liaison_dead_letters_open"], moved).await;
    let (status, told) =
        server.api("POST", "/api/v1/dead-letters/discard", Some("{\"recipe\":\"doubtful\",\"reason\":\"seen\"}")).await;
    assert_eq!(status, 202, "{told}");
    gates(&server, &target).await;
    let parked = ["liaison_circuit_state", "liaison_budget_waiting", "liaison_runs_waiting", "liaison_oldest_waiting_seconds"];
    watcher.until(&parked, moved).await;
    // The process that opened it says so, at once.
    assert!((watcher.last("liaison_circuit_state", &["class=write", "connection=down"]) - 1.0).abs() < 0.1);
    let waiting = watcher.last("liaison_budget_waiting", &["connection=rare"]);
    assert!((1.0..=4.0).contains(&waiting), "{waiting} runs of three wait until midnight");
    watcher.until(&["liaison_operation_runs_total"], moved).await;
    too_much(&server, &target, &mut watcher, moved).await;
    let server = missed(server, folder.path(), &flags).await;
    let mut watcher = Watcher::new(&server);
    let schedule = ["liaison_schedule_fired_total", "liaison_schedule_left_out_total", "liaison_schedule_cancelled_total"];
    watcher.until(&schedule, moved).await;
}

/// Runs that hold more together than memory is there for: the third is larger than its recipe let expect.
async fn heavy(moved: &mut BTreeSet<String>) {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let bounds = ["--payloads-in-memory-bytes-max", "20000", "--runs-in-flight-max", "4"];
    let server = Process::serve_with(folder.path(), &bounds);
    let mut watcher = Watcher::new(&server);
    let (first, second) = (call(&target, 1, "PUT"), call(&target, 2, "PUT").replace("steps:\n", "").replace("id: s", "id: t"));
    recipe(&server, "heavy", &format!("trigger: {{ from: webhook }}\n{first}{second}")).await;
    target.hold(1);
    for bytes in [6_000, 6_000, 15_000] {
        let (status, told) = send(&server, "heavy", &json!({ "text": "x".repeat(bytes) }).to_string()).await;
        assert_eq!(status, 202, "{told}");
    }
    target.wait_for(3).await;
    watcher.until(&["liaison_payload_bytes_in_memory"], moved).await;
    target.release();
    watcher.until(&["liaison_runs_stepped_aside_total"], moved).await;
}

/// Runs whose time is over, and the room they leave.
async fn aging(moved: &mut BTreeSet<String>) {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve_with(folder.path(), &["--retention-interval", "200ms", "--tidy-interval", "100ms"]);
    let mut watcher = Watcher::new(&server);
    recipe(
        &server,
        "short",
        "trigger: { from: webhook }\nsettings: { keep: { succeeded: 2s } }\nsteps: [{ id: s, set: { all: \"${ trigger.body.text }\" } }]\n",
    )
    .await;
    watcher.until(&["liaison_database_bytes", "liaison_database_log_bytes", "liaison_disk_free_bytes"], moved).await;
    for number in 0..20_u32 {
        // Nothing repeats, so that it takes room although it is compressed.
        let text: String =
            (0..20_000_u32).map(|place| format!("{:x}", place.wrapping_mul(2_654_435_761).wrapping_add(number))).collect();
        assert_eq!(send(&server, "short", &json!({ "text": text }).to_string()).await.0, 202);
    }
    watcher.until(&["liaison_removed_total", "liaison_database_free_bytes"], moved).await;
    let secret = "trigger: { from: webhook }\nsettings: { keep: { payloads: none } }\nsteps: [{ id: s, set: { n: 1 } }]\n";
    recipe(&server, "secret", secret).await;
    assert_eq!(send(&server, "secret", "{}").await.0, 202);
    watcher.until(&["liaison_runs_forgotten_total"], moved).await;
}

/// A process that is frozen beyond its lease, and one that takes over.
async fn two_processes(moved: &mut BTreeSet<String>) {
    let url = database().await;
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let first = Process::serve(folder.path(), Some(&url));
    let mut frozen = Watcher::new(&first);
    first.set_up(&target.recipe(2, false)).await;
    target.hold(1);
    first.send("one").await.unwrap();
    target.wait_for(1).await;
    first.signal("STOP");
    // A worker that was given an address tells of itself as well.
    let second = Process::worker(folder.path(), &url);
    Watcher::new(&second).until(&["liaison_runs_freed_total", "liaison_runs_claimed_total"], moved).await;
    first.signal("CONT");
    target.release();
    frozen.until(&["liaison_worker_declared_dead_total", "liaison_lease_lost_total"], moved).await;
}

/// A database that goes away, refuses a commit, and holds a journal that makes no sense.
async fn bad_database(moved: &mut BTreeSet<String>) {
    let url = database().await;
    let proxy = Proxy::start(&url).await;
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), Some(&proxy.url(&url)));
    let mut watcher = Watcher::new(&server);
    server.set_up(&target.recipe(1, false)).await;
    watcher.look(moved).await;
    assert!(moved.remove("liaison_store_up"), "it is up");
    target.hold(1);
    server.send("one").await.unwrap();
    target.wait_for(1).await;
    proxy.cut();
    target.release();
    let away =
        ["liaison_commit_retried_total", "liaison_lease_renew_failed_total", "liaison_claim_failed_total", "liaison_store_up"];
    watcher.until(&away, moved).await;
    proxy.mend();
    watcher.until(&["liaison_run_seconds"], moved).await;
    target.hold(1);
    server.send("two").await.unwrap();
    target.wait_for(2).await;
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let no = "create function no() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$; \
              create trigger no before insert on journal for each row execute function no()";
    sqlx::raw_sql(no).execute(&pool).await.unwrap();
    target.release();
    watcher.until(&["liaison_commit_failed_total"], moved).await;
    sqlx::raw_sql("drop trigger no on journal").execute(&pool).await.unwrap();
    recipe(&server, "later", "trigger: { from: webhook }\nsteps: [{ id: rest, wait: { for: 3s } }]\n").await;
    let (status, told) = send(&server, "later", "{}").await;
    assert_eq!(status, 202, "{told}");
    let damage = "update journal set chunk = 'x' where run_id in (select id from runs where status = 2)";
    assert_eq!(sqlx::query(damage).execute(&pool).await.unwrap().rows_affected(), 1);
    pool.close().await;
    watcher.until(&["liaison_take_up_failed_total"], moved).await;
}

/// What only moves with a system that is asked, that tells its limits, that refuses a sign-in or ends it; this story has none.
const OF_OUTSIDE_SYSTEMS: [&str; 4] = [
    "liaison_polls_total",
    "liaison_budget_day_left",
    "liaison_connection_needs_sign_in",
    "liaison_connection_sign_in_ends_seconds",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_metric_moves_when_what_it_counts_happens() {
    let mut moved = BTreeSet::new();
    one_process(&mut moved).await;
    heavy(&mut moved).await;
    aging(&mut moved).await;
    two_processes(&mut moved).await;
    bad_database(&mut moved).await;
    let documented = documented();
    let silent: Vec<_> = documented.difference(&moved).filter(|name| !OF_OUTSIDE_SYSTEMS.contains(&name.as_str())).collect();
    assert!(silent.is_empty(), "never moved: {silent:?}");
    let untold: Vec<_> = moved.difference(&documented).collect();
    assert!(untold.is_empty(), "moved, and docs/operations.md does not tell of them: {untold:?}");
}
