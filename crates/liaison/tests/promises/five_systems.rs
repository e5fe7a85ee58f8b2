//! Recipes over the simulated systems, through the shipped connectors and the real binary.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use sandbox::{Fault, Kind, Options, Sandbox};
use serde_json::{Value, json};

use crate::{files::peak_kb, harness::Process};

/// Records of the big load, and which of them would lose what the org wants.
const ROWS: usize = 100_000;
const BAD_EVERY: usize = 100;
/// Most memory that loading them adds, in MB. An optimized build begins below 50 MB and must stay below 150; of an
/// unoptimized one only what it adds can be judged.
const ADDED_MB_MAX: u64 = 100;

async fn connect(server: &Process, sandbox: &Sandbox) {
    let told = sandbox.vendor("salesforce").expect("a system").credentials();
    let connection = json!({
        "name": "crm", "connector": "salesforce", "credentials": { "client_secret": told["client_secret"] },
        "config": { "login_url": told["login_url"], "sign_in": "client_credentials", "client_id": told["client_id"] }
    });
    let (status, body) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
    assert_eq!(status, 201, "{body}");
}

async fn begin(server: &Process, event: &Value) -> String {
    let (status, run) = server.api("POST", "/api/v1/recipes/story/runs", Some(&event.to_string())).await;
    assert_eq!(status, 202, "{run}");
    run["id"].as_str().expect("an id").to_owned()
}

/// Waits until a run is over; an unoptimized build takes its time.
async fn over(server: &Process, run: &str) -> Value {
    let began = Instant::now();
    loop {
        let told = server.run(run).await;
        if matches!(told["status"].as_str(), Some("succeeded" | "failed")) {
            return told;
        }
        assert!(began.elapsed() < Duration::from_secs(400), "{told}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// How many leads there are with a last name.
fn leads_named(sandbox: &Sandbox, name: &str) -> usize {
    let leads = sandbox.vendor("salesforce").expect("a system").rows("Lead", 0, usize::MAX).expect("leads");
    leads.iter().filter(|lead| lead["LastName"] == name).count()
}

fn leads() -> String {
    let mut csv = "LastName,Company,External_Id__c\n".to_owned();
    for row in 0..ROWS {
        let name = if row % BAD_EVERY == 7 { "#N/A" } else { "Moss" };
        writeln!(csv, "{name},Fern & Co {row},L-{row}").expect("written");
    }
    csv
}

/// A system that gives the rows as a file.
async fn warehouse() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/leads.csv", get(|| async { ([("content-type", "text/csv")], leads()) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/leads.csv")
}

/// What was written is written once, what was refused waits for a person row by row, and the process stays small.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_rows_are_updated_and_every_bad_one_waits() {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let fields = json!({ "LastName": "Before", "Company": "Fern & Co" });
    let there = json!({ "object": "Lead", "count": ROWS, "fields": fields, "key": "External_Id__c", "value": "L-" });
    sandbox.vendor("salesforce").expect("a system").happen("burst", &there).expect("leads");
    let server = Process::serve(folder.path(), None);
    connect(&server, &sandbox).await;
    let file = warehouse().await;
    server
        .set_up(&format!(
            "liaison: 1\nrecipe: story\nconnections: {{ crm: salesforce }}\ntrigger: {{ from: api }}\nsteps:\n  \
             - id: file\n    do: http.request\n    with: {{ url: \"{file}\", download: true }}\n  \
             - id: load\n    do: crm.bulk_load\n    timeout: 6m\n    with:\n      object: Lead\n      operation: upsert\n      \
             key_field: External_Id__c\n      file: \"${{ steps.file.body }}\"\n  \
             - id: refused\n    each: \"${{ steps.load.refused }}\"\n    as: lead\n    partial: dead_letter\n    steps:\n      \
             - id: told\n        fail: \"${{ lead.row.External_Id__c }}: ${{ lead.error.code }}\"\n  \
             - id: end\n    return: {{ updated: \"${{ steps.load.succeeded }}\", refused: \"${{ steps.refused.failed }}\" }}\n"
        ))
        .await;
    let before = peak_kb(&server);
    let run = begin(&server, &json!({})).await;
    let told = over(&server, &run).await;
    let added = (peak_kb(&server) - before) / 1024;
    let bad = ROWS / BAD_EVERY;
    assert_eq!(told["error"]["code"], "ITEMS_FAILED", "{told}");
    assert_eq!((&told["output"], &told["dead_letter"]), (&json!({ "updated": ROWS - bad, "refused": bad }), &json!("open")));
    assert_eq!((leads_named(&sandbox, "Moss"), leads_named(&sandbox, "Before")), (ROWS - bad, bad));
    assert!(added < ADDED_MB_MAX, "{added} MB on top of {} MB", before / 1024);
}

/// A system that is down costs no run and few calls, however many runs want it, and all go on when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_down_costs_few_calls_and_no_run() {
    const RUNS: usize = 60;
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    connect(&server, &sandbox).await;
    server
        .set_up(
            "liaison: 1\nrecipe: story\nconnections: { crm: salesforce }\ntrigger: { from: api }\nsteps:\n  \
             - id: account\n    do: crm.upsert\n    retry: { times: 50, wait: 1s, max_wait: 2s }\n    with:\n      object: Account\n      \
             external_id: { External_Id__c: \"${ 'N-' + trigger.n }\" }\n      fields: { Name: \"${ 'Note ' + trigger.n }\" }\n",
        )
        .await;
    // One call goes well, so that the connection is signed in.
    let first = begin(&server, &json!({ "n": "first" })).await;
    assert_eq!(over(&server, &first).await["status"], "succeeded");
    let world = sandbox.world();
    world.faults().add(Fault::new("salesforce", Kind::Unavailable));
    world.recorder().clear();
    let mut runs = Vec::new();
    for n in 0..RUNS {
        runs.push(begin(&server, &json!({ "n": n.to_string() })).await);
    }
    let open = async || {
        let (_, connection) = server.api("GET", "/api/v1/connections/crm", None).await;
        connection["state"] == "paused"
    };
    let began = Instant::now();
    while !open().await {
        assert!(began.elapsed() < Duration::from_secs(60), "the circuit stays closed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Every run waits at the gate, and nobody calls.
    let asked = world.recorder().of("salesforce").len();
    assert!(asked < 20, "{asked} calls to a system that is down");
    world.faults().clear();
    let wish = json!({ "state": "closed", "reason": "It is back." }).to_string();
    let (status, body) = server.api("POST", "/api/v1/connections/crm/circuit", Some(&wish)).await;
    assert_eq!(status, 200, "{body}");
    for run in runs {
        let told = over(&server, &run).await;
        assert_eq!(told["status"], "succeeded", "{told}");
    }
    let accounts = sandbox.vendor("salesforce").unwrap().rows("Account", 0, 1_000_000).unwrap();
    let notes = accounts.iter().filter(|row| row["External_Id__c"].as_str().is_some_and(|id| id.starts_with("N-"))).count();
    assert_eq!(notes, RUNS + 1, "each once");
}
