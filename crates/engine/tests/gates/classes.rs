//! Reads and writes of a connection have limits of their own, and the connection's limit holds over both.

use std::time::Duration;

use connector::ErrorClass;
use serde_json::{Value, json};
use store::{Gates, RunStatus, WaitingFor};

use crate::world::{Mood, World};

const GET: &str = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.get, with: { get: \"${ trigger.n }\" } }\n";
const PUT: &str = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.put, with: { put: \"${ trigger.n }\", slow: \"${ trigger.slow ?? 0 }\", bad: \"${ trigger.bad ?? false }\", lost: \"${ trigger.lost ?? false }\" }, timeout: 10s, retry: none }\n";
const BOTH: &str = "connections: { crm: sys }\nsteps:\n  - { id: look, do: crm.get, with: { get: \"${ trigger.n }\" } }\n  - { id: up, do: crm.put, with: { put: \"${ trigger.n }\" } }\n";
const SEND: &str = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.send, with: { requests: \"${ trigger.requests }\" }, timeout: 20s, retry: none }\n";

/// When the calls with this key in their input came.
fn came(world: &World, key: &str) -> Vec<u128> {
    let has = |input: &Value| input.get(key).is_some();
    world.system("crm", |crm| crm.calls.iter().filter(|(_, input)| has(input)).map(|(at, _)| *at).collect())
}

/// The most that came within a second.
fn most(calls: &[u128]) -> usize {
    calls.iter().map(|from| calls.iter().filter(|at| (*from..from + 1000).contains(*at)).count()).max().unwrap_or(0)
}

async fn send(world: &World, slug: &str, from: usize, many: usize) {
    for n in from..from + many {
        world.send(n % world.engines.len(), slug, json!({ "n": n })).await;
    }
}

#[tokio::test(start_paused = true)]
async fn writes_that_wait_for_their_rate_do_not_slow_reads() {
    let config = json!({ "budget": { "per_second": 20, "burst": 5, "writes": { "per_second": 2, "burst": 1 } } });
    for engines in [1, 2] {
        let world = World::new(engines, &[("crm", config.clone())], &[("get", GET), ("put", PUT)]).await;
        send(&world, "put", 0, 60).await;
        world.pass(Duration::from_secs(4)).await;
        send(&world, "get", 100, 30).await;
        world.pass(Duration::from_millis(2_500)).await;
        // 20 a second less the two that write: no more than that is lost to them.
        assert_eq!(came(&world, "get").len(), 30, "30 reads in two and a half seconds, {engines} processes");
        world.pass(Duration::from_millis(3_500)).await;
        let puts = came(&world, "put").len();
        assert!((12..=21).contains(&puts), "{puts} writes in ten seconds");
        world.pass(Duration::from_secs(40)).await;
        assert_eq!(world.counts().await, [(RunStatus::Succeeded, 90)].into());
        assert!(most(&came(&world, "put")) <= 3, "{} writes in a second", most(&came(&world, "put")));
        let all = world.system("crm", |crm| crm.calls.iter().map(|(at, _)| *at).collect::<Vec<_>>());
        assert!(most(&all) <= 25, "{} calls in a second", most(&all));
        assert_eq!(world.runs().await.iter().map(|run| run.attempts).max(), Some(1), "waiting burns no attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_does_not_wait_behind_parked_writes_of_its_recipe() {
    let config = json!({ "budget": { "writes": { "per_second": 1, "burst": 1 } } });
    let world = World::new(1, &[("crm", config)], &[("both", BOTH)]).await;
    send(&world, "both", 0, 80).await;
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(came(&world, "get").len(), 80);
    let waiting = world.runs().await.into_iter().filter(|run| run.waiting_for == Some(WaitingFor::Budget)).count();
    assert!(waiting > 30, "{waiting} wait in the store");
    send(&world, "both", 80, 5).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(came(&world, "get").len(), 85, "those that came last read at once");
    world.pass(Duration::from_secs(110)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 85)].into());
    assert!(most(&came(&world, "put")) <= 2);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_connection_holds_over_both_classes() {
    let class = json!({ "per_second": 8, "burst": 4 });
    let config = json!({ "budget": { "per_second": 10, "burst": 2, "reads": class, "writes": class } });
    let world = World::new(2, &[("crm", config)], &[("get", GET), ("put", PUT)]).await;
    send(&world, "get", 0, 100).await;
    send(&world, "put", 0, 100).await;
    world.pass(Duration::from_secs(12)).await;
    let all = world.system("crm", |crm| crm.calls.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    assert!(most(&all) <= 12, "{} calls in a second", most(&all));
    assert!(all.len() >= 90, "the rate is used: {} calls in 12 s", all.len());
    let (gets, puts) = (came(&world, "get").len(), came(&world, "put").len());
    assert!(gets.abs_diff(puts) <= 20, "{gets} reads and {puts} writes: they take turns");
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 200)].into());
    // One class alone is held by its own limit.
    world.pass(Duration::from_secs(5)).await;
    let before = came(&world, "get").len();
    send(&world, "get", 200, 60).await;
    world.pass(Duration::from_secs(5)).await;
    let gets = came(&world, "get").len() - before;
    assert!((35..=44).contains(&gets), "{gets} reads in five seconds, where eight a second and four at once go");
}

#[tokio::test(start_paused = true)]
async fn writes_at_the_same_time_are_limited_for_all_processes_together() {
    let config = json!({ "budget": { "in_flight": 6, "writes": { "in_flight": 2 } } });
    let world = World::new(2, &[("crm", config)], &[("get", GET), ("put", PUT)]).await;
    for n in 0..40 {
        world.send(n % 2, "put", json!({ "n": n, "slow": 1 })).await;
    }
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.system("crm", |crm| crm.in_flight_most), 2);
    send(&world, "get", 0, 40).await;
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(came(&world, "get").len(), 40, "the other places are free for reads");
    world.pass(Duration::from_secs(25)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 80)].into());
    assert_eq!(world.system("crm", |crm| crm.in_flight_most), 3, "two writes and a read that takes no time");
}

#[tokio::test(start_paused = true)]
async fn each_request_of_an_attempt_counts_in_its_class() {
    let config = json!({ "budget": { "writes": { "per_second": 5, "burst": 1 } } });
    let world = World::new(1, &[("crm", config)], &[("send", SEND), ("get", GET)]).await;
    world.send(0, "send", json!({ "requests": 20 })).await;
    send(&world, "get", 0, 50).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(came(&world, "get").len(), 50, "reads have no limit here");
    world.pass(Duration::from_secs(5)).await;
    let sent = came(&world, "page");
    assert_eq!(sent.len(), 20);
    assert!(most(&sent) <= 6, "{} in a second", most(&sent));
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 51)].into());
    // One whose turn does not come in its time says so, and the next ones go on.
    world.send(0, "send", json!({ "requests": 300 })).await;
    world.pass(Duration::from_secs(25)).await;
    let failed = world.runs().await.into_iter().find(|run| run.status == RunStatus::Failed).unwrap();
    assert_eq!(failed.error.unwrap().code, "BUDGET_SPENT");
    world.send(0, "send", json!({ "requests": 10 })).await;
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 52), (RunStatus::Failed, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn places_are_free_again_however_a_call_ends() {
    let config = json!({ "budget": { "in_flight": 2, "reads": { "in_flight": 1 }, "writes": { "in_flight": 1 } } });
    let world = World::new(1, &[("crm", config)], &[("put", PUT), ("send", SEND), ("get", GET)]).await;
    let seconds = async |seconds| world.pass(Duration::from_secs(seconds)).await;
    for event in [json!({ "n": 0, "bad": true }), json!({ "n": 1, "lost": true }), json!({ "n": 2, "slow": 60 })] {
        world.send(0, "put", event).await;
        seconds(12).await;
    }
    assert_eq!(world.counts().await, [(RunStatus::Failed, 3)].into(), "refused, lost, and out of time");
    // Cancelled between two requests, in memory and in the store before a call, and inside it.
    world.system("crm", |crm| crm.takes = Duration::from_millis(300));
    let walks = world.send(0, "send", json!({ "requests": 90 })).await;
    seconds(5).await;
    assert!(came(&world, "page").len() > 5);
    world.engines[0].cancel(walks, "ann").await.unwrap();
    let inside = world.send(0, "put", json!({ "n": 3, "slow": 8 })).await;
    world.pass(Duration::from_millis(500)).await;
    let before = world.send(0, "put", json!({ "n": 4 })).await;
    world.pass(Duration::from_millis(500)).await;
    let late = world.send(0, "put", json!({ "n": 5 })).await;
    seconds(4).await;
    for run in [before, late, inside] {
        world.engines[0].cancel(run, "ann").await.unwrap();
        world.pass(Duration::from_millis(200)).await;
    }
    assert_eq!(world.counts().await, [(RunStatus::Failed, 3), (RunStatus::Cancelled, 4)].into());
    world.system("crm", |crm| crm.takes = Duration::ZERO);
    for n in 10..15 {
        world.send(0, "put", json!({ "n": n })).await;
        world.send(0, "get", json!({ "n": n })).await;
    }
    world.send(0, "send", json!({ "requests": 5 })).await;
    // The calls before were slow, so it takes the next ones for slow, too.
    seconds(30).await;
    assert_eq!(world.counts().await.get(&RunStatus::Succeeded), Some(&11), "nothing is held by those that are over");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_of_the_whole_connection_and_no_class_looks_like_a_connection() {
    let config = json!({ "budget": { "reads": { "per_second": 10 }, "writes": { "per_second": 10 } } });
    let world = World::new(2, &[("crm", config)], &[("get", GET), ("put", PUT)]).await;
    send(&world, "get", 0, 4).await;
    world.pass(Duration::from_secs(1)).await;
    world.system("crm", |crm| crm.mood = Mood::Fails(ErrorClass::RateLimited, Some(Duration::from_secs(20))));
    send(&world, "put", 0, 1).await;
    world.pass(Duration::from_secs(1)).await;
    world.system("crm", |crm| crm.mood = Mood::Well);
    let calls = world.system("crm", |crm| crm.calls.len());
    send(&world, "get", 10, 4).await;
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(world.system("crm", |crm| crm.calls.len()), calls, "nobody reads either");
    let names = |rows: Vec<(String, _)>| rows.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(world.store.pauses(world.now()).await.unwrap()), ["crm"]);
    assert!(world.store.told_limits().await.unwrap().is_empty());
    assert!(world.store.budget("crm/write").await.unwrap().is_some(), "it is kept beside the connection's own");
    let view = world.engines[0].gates_of("crm").await.unwrap();
    assert_eq!(view.by_class.map(|limits| limits.per_second), [Some(10.0), Some(10.0)]);
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(came(&world, "get").len(), 8);
}
