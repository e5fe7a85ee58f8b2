//! `settings.keep.payloads`: what a recipe does not want kept is gone once its runs are over, from everywhere.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Process, Target, database};

/// What must be nowhere once the runs are over.
const PRIVATE: &str = "very-private-payload";

/// Its event goes through a formula, a call, an answer to the caller and the result.
fn recipe(target: &Target, keep: &str) -> String {
    format!(
        "liaison: 1\nrecipe: story\ntrigger: {{ from: api }}\nsettings: {{ keep: {{ payloads: {keep} }} }}\nsteps:\n  \
         - id: copy\n    set: {{ text: \"${{ trigger.text }} again\" }}\n  \
         - id: s1\n    do: http.request\n    with:\n      method: PUT\n      url: http://{}/call\n      \
         json: {{ run: \"${{ trigger.id }}\", step: 1, text: \"${{ steps.copy.text }}\" }}\n  \
         - id: done\n    return: {{ told: \"${{ trigger.text }}\", rows: \"${{ trigger.rows }}\" }}\n",
        target.address
    )
}

fn event(id: &str, size: usize) -> Value {
    json!({ "id": id, "text": PRIVATE, "rows": (0..size).map(|row| json!({ "row": row, "note": PRIVATE })).collect::<Vec<_>>() })
}

async fn start(server: &Process, event: &Value, query: &str) -> Value {
    let (status, run) = server.api("POST", &format!("/api/v1/recipes/story/runs{query}"), Some(&event.to_string())).await;
    assert!(matches!(status, 200 | 202), "{run}");
    run
}

/// Waits until a run's data is gone.
async fn gone(server: &Process, id: &str) -> Value {
    let began = Instant::now();
    loop {
        let run = server.run(id).await;
        if run["payloads_removed_at"].is_string() {
            return run;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the data of this run stays: {run}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether a text stands in the database or its log, as it is or as a compressed chunk would have it.
fn is_in(folder: &Path, text: &str) -> bool {
    ["liaison.db", "liaison.db-wal"].iter().any(|name| {
        let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

async fn waits_until_it_is_nowhere(folder: &Path) {
    let began = Instant::now();
    while is_in(folder, PRIVATE) {
        assert!(began.elapsed() < Duration::from_secs(60), "the payload stands in the database's files");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_run_that_keeps_nothing() {
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    server.set_up(&recipe(&target, "none")).await;
    // Whoever waits gets what the run gave, whatever is kept of it.
    let first = start(&server, &event("first", 2), "?wait=30s").await;
    assert_eq!((first["status"].as_str(), &first["output"]["told"]), (Some("succeeded"), &json!(PRIVATE)), "{first}");
    assert!(is_in(folder.path(), PRIVATE), "the search finds what is there");
    // Many, of many sizes, so that the database splits and moves its pages.
    let mut runs = vec![first["id"].as_str().unwrap().to_owned()];
    for number in 0..120 {
        let run = start(&server, &event(&format!("e{number}"), number % 30), "").await;
        runs.push(run["id"].as_str().unwrap().to_owned());
    }
    for id in &runs {
        let run = gone(&server, id).await;
        assert_eq!((run["status"].as_str(), run["payloads"].as_str()), (Some("succeeded"), Some("none")));
        assert_eq!((&run["trigger"], &run["output"]), (&Value::Null, &Value::Null), "{run}");
        // What was done stays known.
        let steps = run["steps"].as_array().unwrap();
        assert_eq!(steps.iter().map(|step| step["id"].as_str().unwrap()).collect::<Vec<_>>(), ["copy", "s1", "done"]);
        assert_eq!((steps[1]["status"].as_str(), steps[1]["attempts"].as_u64()), (Some("succeeded"), Some(1)));
        assert!(steps.iter().all(|step| step["input"].is_null() && step["output"].is_null()), "{run}");
    }
    waits_until_it_is_nowhere(folder.path()).await;
    let (status, told) = server.api("POST", &format!("/api/v1/runs/{}/replay", runs[0]), Some("{}")).await;
    assert_eq!((status, told["error"]["code"].as_str()), (409, Some("PAYLOAD_NOT_KEPT")), "{told}");
    let again = json!({ "event": event("again", 1) }).to_string();
    assert_eq!(server.api("POST", &format!("/api/v1/runs/{}/replay", runs[0]), Some(&again)).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_stay_of_a_run_that_is_redacted() {
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    server.set_up(&recipe(&target, "redacted")).await;
    let id = start(&server, &event("one", 2), "").await["id"].as_str().unwrap().to_owned();
    let run = gone(&server, &id).await;
    let row = json!({ "row": "•••", "note": "•••" });
    assert_eq!(run["trigger"], json!({ "id": "•••", "text": "•••", "rows": [row, row] }));
    assert_eq!((&run["output"]["told"], &run["steps"][0]["output"]), (&json!("•••"), &json!({ "text": "•••" })), "{run}");
    waits_until_it_is_nowhere(folder.path()).await;
}

/// A failed run keeps what resuming it needs until somebody dealt with it, across a crash.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_can_be_resumed_before_its_data_goes() {
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    let once = recipe(&target, "none").replace("    do: http.request\n", "    do: http.request\n    retry: none\n");
    server.set_up(&once).await;
    *target.failures.lock() = 2;
    let mut failed = Vec::new();
    for id in ["resumed", "discarded"] {
        let run = start(&server, &event(id, 1), "").await["id"].as_str().unwrap().to_owned();
        server.wait(&run, "failed").await;
        failed.push(run);
    }
    // One that is over and whose data is still there when the process dies.
    let over = start(&server, &event("over", 1), "?wait=30s").await["id"].as_str().unwrap().to_owned();
    server.kill();
    let server = Process::serve(folder.path(), None);
    gone(&server, &over).await;
    for run in &failed {
        let run = server.run(run).await;
        assert_eq!((&run["payloads_removed_at"], &run["trigger"]["text"]), (&Value::Null, &json!(PRIVATE)), "{run}");
    }
    assert_eq!(server.api("POST", &format!("/api/v1/runs/{}/resume", failed[0]), Some("{}")).await.0, 202);
    let discard = json!({ "ids": [failed[1]], "reason": "not needed" }).to_string();
    let (status, told) = server.api("POST", "/api/v1/dead-letters/discard", Some(&discard)).await;
    assert_eq!(status, 202, "{told}");
    assert_eq!(gone(&server, &failed[0]).await["status"], "succeeded");
    let discarded = gone(&server, &failed[1]).await;
    let error = &discarded["error"];
    assert_eq!((error["class"].as_str(), error["path"].as_str()), (Some("server"), Some("s1")), "{discarded}");
    assert!(!discarded.to_string().contains(PRIVATE), "{discarded}");
    waits_until_it_is_nowhere(folder.path()).await;
}

/// On PostgreSQL no row of any table has it.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_has_the_data_of_a_run_that_keeps_nothing() {
    let (target, folder, url) = (Target::start().await, tempfile::tempdir().unwrap(), database().await);
    let server = Process::serve(folder.path(), Some(&url));
    server.set_up(&recipe(&target, "none")).await;
    let id = start(&server, &event("one", 3), "").await["id"].as_str().unwrap().to_owned();
    gone(&server, &id).await;
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(tables.iter().any(|table| table == "journal"), "{tables:?}");
    for table in tables {
        let sql = format!(
            "select count(*) from {table} t where t::text like '%{PRIVATE}%' or t::text like '%{}%'",
            hex::encode(PRIVATE)
        );
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
}
