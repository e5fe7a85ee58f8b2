//! Several processes on one PostgreSQL: restarted one after the other, and while the database goes away.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::harness::{Process, Target, database};

/// What senders were promised: event and run.
type Promised = Arc<Mutex<BTreeMap<String, String>>>;

/// Sends events to a server until told to stop; each until it is taken, so often as it takes.
fn senders(address: &Arc<Mutex<String>>, promised: &Promised, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<()>> {
    let sender = |number: usize| {
        let (address, promised, stop) = (Arc::clone(address), Arc::clone(promised), stop.clone());
        tokio::spawn(async move {
            #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
            let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
            for event in 0.. {
                let id = format!("s{number}-{event}");
                loop {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let url = format!("http://{}/hooks/story", address.lock());
                    let sent = client.post(url).json(&serde_json::json!({ "id": id })).send().await;
                    if let Ok(answer) = sent
                        && answer.status().is_success()
                        && let Ok(body) = answer.json::<Value>().await
                    {
                        promised.lock().insert(id, body["run_id"].as_str().unwrap_or_default().to_owned());
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    };
    (0..3).map(sender).collect()
}

/// Every promised run has succeeded; gives them.
async fn all_succeed(server: &Process, promised: &Promised) -> Vec<Value> {
    let promised = promised.lock().clone();
    let mut told = Vec::new();
    for run in promised.values().collect::<BTreeSet<_>>() {
        told.push(server.wait(run, "succeeded").await);
    }
    assert_eq!(told.len(), promised.len(), "one run for each event");
    told
}

fn micros(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).expect("an instant").as_microsecond()
}

/// Each process is asked to stop and replaced while events come in: nothing is lost, done twice or kept
/// waiting for a lease.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_repeats_and_delays_nothing() {
    let (target, folder, url) = (Target::start().await, tempfile::tempdir().unwrap(), database().await);
    let lease = Duration::from_secs(20);
    let start = |word: &str| Process::start(word, folder.path(), Some(&url), &["--lease", "20s"]);
    let mut servers = vec![start("serve"), start("serve")];
    let mut workers = vec![start("worker"), start("worker")];
    servers[0].set_up(&target.recipe(3, true)).await;
    let (promised, stop) = (Promised::default(), Arc::<AtomicBool>::default());
    let address = Arc::new(Mutex::new(servers[0].address.clone()));
    let sending = senders(&address, &promised, &stop);
    let grow_by = async |count: usize| {
        let (from, began) = (promised.lock().len(), Instant::now());
        while promised.lock().len() < from + count {
            assert!(began.elapsed() < Duration::from_secs(60), "events are not taken any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    for _ in 0..2 {
        grow_by(20).await;
        let old = workers.remove(0);
        assert!(tokio::task::spawn_blocking(|| old.stop()).await.unwrap(), "it stops in good order");
        workers.push(start("worker"));
    }
    for _ in 0..2 {
        grow_by(20).await;
        // As behind a balancer: new events go to the other one first.
        *address.lock() = servers[1].address.clone();
        let old = servers.remove(0);
        assert!(tokio::task::spawn_blocking(|| old.stop()).await.unwrap(), "it stops in good order");
        servers.push(start("serve"));
    }
    grow_by(20).await;
    stop.store(true, Ordering::SeqCst);
    for sender in sending {
        sender.await.unwrap();
    }
    let runs = all_succeed(&servers[0], &promised).await;
    for run in &runs {
        let took = micros(&run["ended_at"]) - micros(&run["started_at"]);
        assert!(took < lease.as_micros() as i64 / 2, "a run waited for a lease: {run}");
    }
    let calls = target.calls();
    let distinct: BTreeSet<(String, u64)> = calls.iter().map(|call| (call.run.clone(), call.step)).collect();
    assert_eq!((calls.len(), distinct.len()), (runs.len() * 3, runs.len() * 3), "every step once");
}

/// One role a process: each answers what is its own, and an event goes through all of them.
#[tokio::test(flavor = "multi_thread")]
async fn each_process_does_what_its_roles_say() {
    let (target, folder, url) = (Target::start().await, tempfile::tempdir().unwrap(), database().await);
    let of = |roles: &str| Process::start("worker", folder.path(), Some(&url), &["--roles", roles]);
    let api = of("api");
    api.set_up(&target.recipe(1, true)).await;
    let (ingress, ui) = (of("ingress"), of("ui"));
    let paths = ["/hooks/nobody", "/api/v1/runs", "/signin"];
    for (process, own) in [(&ingress, 0), (&api, 1), (&ui, 2)] {
        assert_eq!((process.text("/healthz").await.0, process.text("/readyz").await.0), (200, 200));
        for (place, path) in paths.iter().enumerate() {
            let (status, body) = process.text(path).await;
            assert_eq!(body.contains("There is nothing at"), place != own, "{path}: {status} {body}");
        }
    }
    let run = ingress.send("one").await.expect("the event is taken");
    assert_eq!(api.run(&run).await["status"], "queued", "nobody has the role of a worker yet");
    assert!(target.calls().is_empty());
    let _worker = of("worker");
    api.wait(&run, "succeeded").await;
    assert_eq!(target.calls().len(), 1);

    let without = std::process::Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(["worker", "--roles", "ui", "--database-url", &url, "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!without.status.success());
    assert!(String::from_utf8_lossy(&without.stderr).contains("with --listen"), "{without:?}");
}

/// The database accepts no writes for a while, drops every connection again and again, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_delays_and_loses_nothing() {
    let (target, folder, url) = (Target::start().await, tempfile::tempdir().unwrap(), database().await);
    let server = Process::serve(folder.path(), Some(&url));
    let _worker = Process::worker(folder.path(), &url);
    server.set_up(&target.recipe(2, false)).await;
    let (head, name) = url.rsplit_once('/').unwrap();
    let admin = sqlx::PgPool::connect(&format!("{head}/postgres")).await.unwrap();
    let tell = async |statement: String| {
        sqlx::query(AssertSqlSafe(statement)).execute(&admin).await.expect("the server obeys");
    };
    let cut = || format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'");
    let (promised, stop) = (Promised::default(), Arc::<AtomicBool>::default());
    let sending = senders(&Arc::new(Mutex::new(server.address.clone())), &promised, &stop);
    let rest = async |millis: u64| tokio::time::sleep(Duration::from_millis(millis)).await;
    rest(500).await;

    // As while a standby takes over: what writes is refused.
    tell(format!("alter database {name} set default_transaction_read_only = on")).await;
    tell(cut()).await;
    let (mut refused, began) = (false, Instant::now());
    while !refused {
        assert!(began.elapsed() < Duration::from_secs(30), "events are taken although nothing can be written");
        let (status, body) = server.api("POST", "/hooks/story", Some("{\"id\": \"asked\"}")).await;
        refused = status == 503;
        assert!(status != 500, "a database that is away is no fault of ours: {body}");
    }
    let (status, ready) = server.api("GET", "/readyz", None).await;
    assert_eq!(status, 503, "{ready}");
    tell(format!("alter database {name} reset default_transaction_read_only")).await;

    // Connections break under way.
    for _ in 0..5 {
        tell(cut()).await;
        rest(200).await;
    }
    // Nobody is let in.
    tell(format!("alter database {name} allow_connections false")).await;
    tell(cut()).await;
    rest(4_000).await;
    tell(format!("alter database {name} allow_connections true")).await;

    let (from, began) = (promised.lock().len(), Instant::now());
    while promised.lock().len() < from + 30 {
        assert!(began.elapsed() < Duration::from_secs(60), "events are not taken again");
        rest(20).await;
    }
    stop.store(true, Ordering::SeqCst);
    for sender in sending {
        sender.await.unwrap();
    }
    let runs = all_succeed(&server, &promised).await;
    let mut keys: BTreeMap<(String, u64), BTreeSet<String>> = BTreeMap::new();
    for call in target.calls() {
        keys.entry((call.run, call.step)).or_default().insert(call.key);
    }
    // The event that was asked with may have been taken with its answer lost; it is nobody's promise.
    keys.retain(|(run, _), _| run != "asked");
    assert_eq!(keys.len(), runs.len() * 2);
    assert!(keys.values().all(|keys| keys.len() == 1), "a step that is repeated carries the same key");
}
