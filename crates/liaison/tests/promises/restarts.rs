//! Promises 1 to 4 while PostgreSQL is stopped, crashes and comes back under load.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use throwaway::{Programs, Server, Stop};

use crate::{
    crash::check_calls,
    harness::{Process, Target},
};

/// How PostgreSQL is stopped each time, and for how long it is away: the last time for longer than writes are tried again.
const STOPS: [(Stop, Duration); 4] = [
    (Stop::Fast, Duration::from_millis(100)),
    (Stop::Immediate, Duration::from_millis(300)),
    (Stop::Fast, Duration::from_secs(1)),
    (Stop::Immediate, Duration::from_secs(6)),
];
const SENDERS: usize = 4;
/// Events that are taken between two stops.
const EVENTS_BETWEEN: usize = 12;
const STEPS: u64 = 3;

/// Sends events and lets their runs go on while PostgreSQL comes and goes.
async fn under_load(workers: usize) {
    let mut postgres = tokio::task::spawn_blocking(|| {
        Server::start(Programs::find().expect("PostgreSQL is installed: `cargo xtask test` sees to it")).expect("it starts")
    })
    .await
    .unwrap();
    let (url, target, folder) = (postgres.url(), Target::start().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), Some(&url));
    server.set_up(&target.recipe(STEPS, false)).await;
    let mut helpers: Vec<Process> = (0..workers).map(|_| Process::worker(folder.path(), &url)).collect();
    let (server, enough, taken) = (Arc::new(server), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..SENDERS)
        .map(|lane| {
            let (server, enough, taken) = (Arc::clone(&server), Arc::clone(&enough), Arc::clone(&taken));
            tokio::spawn(async move {
                let mut runs = HashMap::new();
                while !enough.load(Ordering::Relaxed) {
                    let id = format!("e{lane}-{}", runs.len());
                    // Whoever is not told that it is taken sends it again.
                    let run = loop {
                        match server.send(&id).await {
                            Some(run) => break run,
                            None => tokio::time::sleep(Duration::from_millis(20)).await,
                        }
                    };
                    runs.insert(id, run);
                    taken.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                runs
            })
        })
        .collect();
    let some_more = async || {
        let before = taken.load(Ordering::Relaxed);
        let more = async {
            while taken.load(Ordering::Relaxed) < before + EVENTS_BETWEEN {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), more).await.expect("events are taken while the database is there");
    };
    for (how, away) in STOPS {
        some_more().await;
        postgres = tokio::task::spawn_blocking(move || {
            postgres.stop(how).expect("it stops");
            std::thread::sleep(away);
            postgres.start_again().expect("it starts again");
            postgres
        })
        .await
        .unwrap();
    }
    some_more().await;
    enough.store(true, Ordering::Relaxed);
    let mut runs = HashMap::new();
    for sender in senders {
        runs.extend(sender.await.unwrap());
    }
    for run in runs.values() {
        let told = server.wait(run, "succeeded").await;
        assert_eq!(told["steps"].as_array().map(Vec::len), Some(STEPS as usize), "{told}");
    }
    let (_, stats) = server.api("GET", "/api/v1/recipes/story/stats", None).await;
    assert_eq!(stats["succeeded"], runs.len(), "one event, one run: {stats}");
    check_calls(&target);
    for (place, helper) in helpers.iter_mut().enumerate() {
        assert!(!helper.is_over(), "worker {place} did not outlive the database");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_outlives_its_database() {
    under_load(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_outlive_their_database() {
    under_load(1).await;
}
