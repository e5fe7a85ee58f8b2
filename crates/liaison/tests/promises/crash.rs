//! Promises 1 to 4: whatever is killed and whenever, every accepted event ends in one run, each call
//! carries one key, and no finished step runs again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::sync::RwLock;

use crate::harness::{Process, Target, database};

/// Every call of a step carries the same key, no two steps share one, and no step is called again after
/// a later one was.
pub(crate) fn check_calls(target: &Target) {
    let mut keys: HashMap<(String, u64), String> = HashMap::new();
    let mut furthest: HashMap<String, u64> = HashMap::new();
    for call in target.calls() {
        assert!(!call.key.is_empty(), "{call:?} carries no key");
        let first = keys.entry((call.run.clone(), call.step)).or_insert_with(|| call.key.clone());
        assert_eq!(*first, call.key, "another key for step {} of {}", call.step, call.run);
        let seen = furthest.entry(call.run.clone()).or_default();
        assert!(call.step >= *seen, "step {} of {} was called again after step {seen}", call.step, call.run);
        *seen = call.step;
    }
    let distinct: HashSet<_> = keys.values().collect();
    assert_eq!(distinct.len(), keys.len(), "two steps share a key");
}

/// The kills come at moments drawn from `seed`. Sends events while processes are killed at random moments, then checks everything.
async fn under_load(database: Option<String>, workers: usize, seed: u64, kills: u32) {
    const EVENTS: usize = 120;
    const STEPS: u64 = 4;
    let mut dice = SmallRng::seed_from_u64(seed);
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), database.as_deref());
    server.set_up(&target.recipe(STEPS, false)).await;
    let server = Arc::new(RwLock::new(Some(server)));
    let mut helpers: Vec<Process> =
        (0..workers).map(|_| Process::worker(folder.path(), database.as_deref().expect("workers share a PostgreSQL"))).collect();
    let senders: Vec<_> = (0..8)
        .map(|lane| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let mut runs = Vec::new();
                for number in (lane..EVENTS).step_by(8) {
                    let id = format!("e{number}");
                    loop {
                        let taken = match server.read().await.as_ref() {
                            Some(server) => server.send(&id).await,
                            None => None,
                        };
                        if let Some(run) = taken {
                            runs.push((id, run));
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                runs
            })
        })
        .collect();
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(dice.random_range(50..400))).await;
        if !helpers.is_empty() && dice.random_range(0..3) > 0 {
            let victim = dice.random_range(0..helpers.len());
            helpers.swap_remove(victim).kill();
            helpers.push(Process::worker(folder.path(), database.as_deref().unwrap()));
        } else {
            // The old one must be gone before the new one takes its folder.
            let mut slot = server.write().await;
            slot.take().expect("a server runs").kill();
            *slot = Some(Process::serve(folder.path(), database.as_deref()));
        }
    }
    let mut runs = HashMap::new();
    for sender in senders {
        for (event, run) in sender.await.unwrap() {
            let first = runs.entry(event.clone()).or_insert_with(|| run.clone());
            assert_eq!(*first, run, "event {event} has two runs");
        }
    }
    assert_eq!(runs.len(), EVENTS);
    let slot = server.read().await;
    let server = slot.as_ref().expect("a server runs");
    for run in runs.values() {
        let told = server.wait(run, "succeeded").await;
        assert_eq!(told["steps"].as_array().map(Vec::len), Some(4), "{told}");
    }
    let (_, stats) = server.api("GET", "/api/v1/recipes/story/stats", None).await;
    assert_eq!(stats["succeeded"], EVENTS, "one event, one run: {stats}");
    check_calls(&target);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_killed_under_load() {
    under_load(None, 0, 7, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_under_load_with_one_process() {
    under_load(Some(database().await), 0, 11, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_under_load_with_three_processes() {
    under_load(Some(database().await), 2, 13, 8).await;
}

/// Kills the process while each call of a ten-step recipe is under way in turn, which is after each of
/// its commits.
async fn at_each_commit(database: Option<String>) {
    const STEPS: u64 = 10;
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), database.as_deref());
    server.set_up(&target.recipe(STEPS, false)).await;
    target.hold(1);
    let run = server.send("one").await.expect("the event is taken");
    for step in 1..=STEPS {
        // One call before each kill, and one after each restart.
        let before = usize::try_from(step * 2 - 1).unwrap();
        target.wait_for(before).await;
        server.kill();
        server = Process::serve(folder.path(), database.as_deref());
        target.wait_for(before + 1).await;
        if step < STEPS {
            target.hold(step + 1);
        } else {
            target.release();
        }
    }
    let told = server.wait(&run, "succeeded").await;
    for step in told["steps"].as_array().unwrap() {
        assert_eq!(step["attempts"], 2, "{step}");
    }
    assert_eq!(server.send("one").await, Some(run), "the event is still known");
    assert_eq!(target.calls().len(), 20);
    check_calls(&target);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_killed_at_each_commit() {
    at_each_commit(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_at_each_commit() {
    at_each_commit(Some(database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_finishes_the_call_and_repeats_nothing() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(&target.recipe(2, false)).await;
    target.hold(1);
    let run = server.send("one").await.unwrap();
    target.wait_for(1).await;
    server.signal("TERM");
    target.release();
    assert!(server.stop(), "an orderly stop ends well");
    let server = Process::serve(folder.path(), None);
    let told = server.wait(&run, "succeeded").await;
    assert_eq!(told["steps"][0]["attempts"], 1, "{told}");
    assert_eq!(target.calls().len(), 2);
}
