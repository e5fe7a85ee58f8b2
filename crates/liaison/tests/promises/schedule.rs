//! A fire time starts exactly one run, however many processes fire it.

use std::{collections::HashSet, time::Duration};

use crate::harness::{Process, database};

const EVERY_MINUTE: &str = "liaison: 1\nrecipe: story\ntrigger:\n  from: schedule\n  with: { cron: \"* * * * *\", zone: Europe/Berlin }\n\
    steps:\n  - id: seen\n    set: { at: \"${ trigger.scheduled_at }\", missed: \"${ trigger.missed }\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_start_one_run_per_minute() {
    let url = database().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), Some(&url));
    let _other = Process::worker(folder.path(), &url);
    server.set_up(EVERY_MINUTE).await;
    // The next full minute comes within a minute; what is waited for is the run, not the time.
    let fired = async {
        loop {
            let (_, page) = server.api("GET", "/api/v1/runs?recipe=story", None).await;
            if page["data"].as_array().is_some_and(|runs| !runs.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(80), fired).await.expect("the schedule fires");
    // The list tells what it started, and that this fire time is done.
    let (_, list) = server.api("GET", "/api/v1/schedules?recipe=story", None).await;
    let told = &list["data"][0];
    let (_, runs) = server.api("GET", "/api/v1/runs?recipe=story", None).await;
    assert!(runs["data"].as_array().unwrap().iter().any(|run| run["id"] == told["last"]["run_id"]), "{told} {runs}");
    assert!(told["done_up_to"].as_str().is_some_and(|at| at.ends_with(":00Z")), "{told}");
    // Time for the other process to fire the same minute as well, if it would.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (_, page) = server.api("GET", "/api/v1/runs?recipe=story", None).await;
    let mut minutes = HashSet::new();
    for run in page["data"].as_array().unwrap() {
        let told = server.wait(run["id"].as_str().unwrap(), "succeeded").await;
        let at = told["trigger"]["scheduled_at"].as_str().unwrap_or_default().to_owned();
        assert!(at.ends_with(":00Z"), "{at} is no full minute");
        assert_eq!(told["via"], "schedule");
        assert!(minutes.insert(at.clone()), "two runs for {at}");
    }
}

const TWICE_A_YEAR: &str = "liaison: 1\nrecipe: nightly\ntitle: Every night\ntrigger:\n  from: schedule\n  \
    with: { cron: \"30 2 * * *\", zone: Europe/Berlin, on_missed: all }\nsettings: { concurrency: { limit: 1, on_overlap: cancel_running } }\n\
    steps:\n  - id: seen\n    set: { x: 1 }\n";

/// What `liaison cron` says comes after an instant.
fn coming(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(["cron", cron, "--zone", zone, "--from", from, "--count", &count.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_tells_when_schedules_fire_and_what_they_make_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(EVERY_MINUTE).await;
    for path in ["", "/activate"] {
        let (method, body) = if path.is_empty() { ("PUT", TWICE_A_YEAR) } else { ("POST", "{}") };
        assert!(server.api(method, &format!("/api/v1/recipes/nightly{path}"), Some(body)).await.0 < 300);
    }
    let (status, page) = server.api("GET", "/api/v1/schedules?next=100", None).await;
    assert_eq!(status, 200, "{page}");
    let rows = page["data"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["recipe"].as_str().unwrap()).collect();
    assert_eq!(names, ["nightly", "story"]);
    let (nightly, story) = (&rows[0], &rows[1]);
    assert_eq!((nightly["on_missed"].as_str(), nightly["on_overlap"].as_str()), (Some("all"), Some("cancel_running")));
    assert_eq!((story["on_missed"].as_str(), story["on_overlap"].as_str()), (Some("once"), Some("queue")));
    assert_eq!((nightly["title"].as_str(), nightly["zone"].as_str()), (Some("Every night"), Some("Europe/Berlin")));
    assert!(nightly["last"].is_null() && nightly["reads"].as_str().is_some_and(|words| !words.is_empty()), "{nightly}");
    // A hundred nights cross a change of clocks or two; the command counts them as well.
    let next: Vec<&str> = nightly["next"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
    assert_eq!(next.len(), 100);
    assert_eq!(coming("30 2 * * *", "Europe/Berlin", next[0], 99), next[1..]);
    // Pages, filters, and what makes no sense.
    let (_, first) = server.api("GET", "/api/v1/schedules?limit=1", None).await;
    assert_eq!((first["data"].as_array().unwrap().len(), first["data"][0]["next"].as_array().unwrap().len()), (1, 5));
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    let (_, second) = server.api("GET", &format!("/api/v1/schedules?limit=1&cursor={cursor}"), None).await;
    assert_eq!((second["data"][0]["recipe"].as_str(), second["pagination"]["has_more"].as_bool()), (Some("story"), Some(false)));
    for query in ["next=101", "limit=0"] {
        let (status, told) = server.api("GET", &format!("/api/v1/schedules?{query}"), None).await;
        assert_eq!((status, told["error"]["code"].as_str()), (422, Some("VALIDATION_ERROR")), "{query}: {told}");
    }
    assert_eq!(server.api("POST", "/api/v1/recipes/nightly/deactivate", Some("{}")).await.0, 200);
    assert_eq!(server.api("GET", "/api/v1/schedules?recipe=nightly", None).await.1["data"], serde_json::json!([]));
}
