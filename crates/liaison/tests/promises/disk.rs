//! A disk that is full or cannot be written, and a database that is away for a minute: it is told in words, nothing
//! that was accepted is lost, and work goes on by itself.

use std::{
    collections::HashMap,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    harness::{KEY, Process, Target, database},
    proxy::Proxy,
};

/// Events sent at most before the disk must be full.
const EVENTS_MAX: usize = 2_000;

/// The disk takes nothing any more after so many events.
const READ_ONLY_AFTER: usize = 10;

/// How room runs out: files may not grow any further; the disk has none left, which needs a mount of its own that not
/// every machine allows; or nothing can be written any more at all, as on a disk that failed and was made read-only
/// under files that are open: writes fail, and not for want of room.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scarce {
    Limit,
    Disk,
    ReadOnly,
}

/// Serves where there is room for a few megabytes.
fn serve(folder: &Path, scarce: Scarce) -> Process {
    let place = folder.display();
    let first = match scarce {
        Scarce::Limit => "trap '' XFSZ; ulimit -S -f 3000".to_owned(),
        Scarce::ReadOnly => "trap '' XFSZ".to_owned(),
        Scarce::Disk => format!("mount -t tmpfs -o size=24m tmpfs {place}; head -c 20000000 /dev/zero > {place}/filler"),
    };
    let mut command = match scarce {
        Scarce::Limit | Scarce::ReadOnly => Command::new("bash"),
        Scarce::Disk => {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "--mount", "bash"]);
            command
        }
    };
    command
        .args(["-c", &format!("set -e; {first}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_liaison")])
        .args(["serve", "--listen", "127.0.0.1:0", "--allow-private-addresses", "--log", "error", "--lease", "2s"])
        .args(["--ready-within", "3s", "--data-dir"])
        .arg(folder)
        .env("LIAISON_ADMIN_API_KEY", KEY);
    Process::heard(command)
}

/// How large files may become that the process writes; what is larger stays as it is.
fn limit(process: &Process, size: &str) {
    let done = Command::new("prlimit").args(["--pid", &process.id().to_string(), size]).status().expect("prlimit");
    assert!(done.success());
}

/// There is room again.
fn make_room(process: &Process, folder: &Path, scarce: Scarce) {
    match scarce {
        Scarce::Limit | Scarce::ReadOnly => limit(process, "--fsize=unlimited:"),
        Scarce::Disk => {
            let seen_by_it = format!("/proc/{}/root{}/filler", process.id(), folder.display());
            std::fs::remove_file(seen_by_it).expect("the filler goes");
        }
    }
}

async fn send(process: &Process, id: &str, padding: &str) -> (u16, Value) {
    let body = json!({ "id": id, "padding": padding }).to_string();
    process.api("POST", "/hooks/story", Some(&body)).await
}

async fn ready(process: &Process, wanted: u16) -> Value {
    let began = Instant::now();
    loop {
        let (status, told) = process.api("GET", "/readyz", None).await;
        if status == wanted {
            return told;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "never {wanted}: {status} {told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn full(scarce: Scarce) {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let process = serve(folder.path(), scarce);
    process.set_up(&target.recipe(1, false)).await;
    ready(&process, 200).await;
    let mut dice = SmallRng::seed_from_u64(7);
    // It must not shrink when it is compressed.
    let padding: String = (0..40_000).map(|_| char::from(dice.random_range(b'0'..b'z'))).collect();
    let mut accepted = HashMap::new();
    let mut refused = Vec::new();
    for number in 0..EVENTS_MAX {
        if scarce == Scarce::ReadOnly && number == READ_ONLY_AFTER {
            limit(&process, "--fsize=0:");
        }
        let id = format!("e{number}");
        let (status, body) = send(&process, &id, &padding).await;
        if matches!(status, 200 | 202) {
            accepted.insert(id, body["run_id"].as_str().expect("a run").to_owned());
            continue;
        }
        assert!(matches!(status, 503 | 507), "{scarce:?}: {status} {body}");
        let told = body["error"]["message"].as_str().unwrap_or_default();
        if scarce == Scarce::Disk {
            assert_eq!(body["error"]["code"], "DISK_FULL", "{body}");
            assert!(told.contains("no room left on the disk") && told.contains("goes on by itself"), "{told}");
        }
        assert!(told.to_lowercase().contains("send it again"), "{told}");
        refused.push(id);
        break;
    }
    assert!(accepted.len() > 3 && !refused.is_empty(), "{scarce:?}: {} were accepted", accepted.len());
    let told = ready(&process, 503).await;
    assert_eq!(told["why"], "this process cannot write to the database", "{told}");
    // Reading goes on.
    let (status, page) = process.api("GET", "/api/v1/runs?limit=5", None).await;
    assert_eq!((status, page["data"].as_array().map(Vec::len)), (200, Some(5)), "{page}");
    make_room(&process, folder.path(), scarce);
    ready(&process, 200).await;
    // Whoever was refused sends again, and whoever was not is not forgotten.
    for id in refused {
        let (status, body) = send(&process, &id, &padding).await;
        assert!(matches!(status, 200 | 202), "{status} {body}");
        accepted.insert(id, body["run_id"].as_str().expect("a run").to_owned());
    }
    for (id, run) in &accepted {
        process.wait(run, "succeeded").await;
        let made = target.calls().iter().filter(|call| call.run == *id).count();
        assert_eq!(made, 1, "{scarce:?}: {id}");
    }
    let (again, body) = send(&process, "e0", &padding).await;
    assert_eq!((again, body["run_id"].as_str()), (200, Some(accepted["e0"].as_str())), "its key is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_may_not_grow_lose_nothing() {
    full(Scarce::Limit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_is_told_and_loses_nothing() {
    full(Scarce::ReadOnly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_loses_nothing_and_goes_on_when_there_is_room() {
    let may_mount = Command::new("unshare")
        .args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|done| done.success());
    full(if may_mount { Scarce::Disk } else { Scarce::Limit }).await;
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named_at_start() {
    // Nobody may make a folder there, not even root.
    let done = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "/sys/liaison-data"])
        .output()
        .expect("the binary starts");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success());
    for part in ["/sys/liaison-data", "cannot be used", "mount it so that it can be written", "--data-dir"] {
        assert!(told.contains(part), "{part:?} is missing in: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_away_for_a_minute_under_load_loses_nothing() {
    const AWAY: Duration = Duration::from_secs(60);
    let url = database().await;
    let proxy = Proxy::start(&url).await;
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let by_proxy = proxy.url(&url);
    let server = Arc::new(Process::serve(folder.path(), Some(&by_proxy)));
    let worker = Process::worker(folder.path(), &by_proxy);
    server.set_up(&target.recipe(3, true)).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut senders = Vec::new();
    for sender in 0..8 {
        let (server, over) = (Arc::clone(&server), Arc::clone(&over));
        senders.push(tokio::spawn(async move {
            let (mut accepted, mut refused) = (HashMap::new(), 0);
            for number in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let id = format!("s{sender}-{number}");
                match server.send(&id).await {
                    Some(run) => drop(accepted.insert(id, run)),
                    None => refused += 1,
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (accepted, refused)
        }));
    }
    target.wait_for(60).await;
    proxy.cut();
    tokio::time::sleep(AWAY).await;
    proxy.mend();
    ready(&server, 200).await;
    let before = target.calls().len();
    target.wait_for(before + 60).await;
    over.store(true, Ordering::Relaxed);
    let (mut accepted, mut refused) = (HashMap::new(), 0);
    for sender in senders {
        let (more, no) = sender.await.expect("a sender");
        accepted.extend(more);
        refused += no;
    }
    assert!(refused > 0, "the database was away");
    let mut doubts = 0;
    for (id, run) in &accepted {
        let told = crate::chaos::until_final(&server, run).await;
        // A process that nobody heard of for a minute may be taken for dead: then what it had under way is in doubt,
        // and a person is asked. Nothing else may become of it.
        match told["status"].as_str() {
            Some("succeeded") => {}
            Some("failed") if told["error"]["code"] == "OUTCOME_UNKNOWN" => doubts += 1,
            _ => panic!("{id}: {told:#}"),
        }
    }
    assert_eq!(doubts, 0, "no process died, so nothing is in doubt");
    let mut made: HashMap<(String, u64), usize> = HashMap::new();
    for call in target.calls() {
        *made.entry((call.run, call.step)).or_default() += 1;
    }
    assert!(made.values().all(|count| *count == 1), "nothing happens twice");
    for id in accepted.keys() {
        assert!((1..=3).all(|step| made.contains_key(&(id.clone(), step))), "{id} was not done");
    }
    assert!(worker.stop());
}
