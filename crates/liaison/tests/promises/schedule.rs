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
