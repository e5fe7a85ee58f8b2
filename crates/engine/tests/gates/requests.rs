//! A budget counts each request of an attempt.

use std::time::Duration;

use serde_json::json;
use store::{Gates, RunStatus};

use crate::world::World;

const WALK: &str =
    "connections: { crm: sys }\nsteps:\n  - id: up\n    do: crm.walk\n    with: { requests: \"${ trigger.requests }\" }\n";
const SHORT: &str = "connections: { crm: sys }\nsteps:\n  - id: up\n    do: crm.walk\n    timeout: 20s\n    retry: none\n    with: { requests: \"${ trigger.requests }\" }\n";
const PUT: &str = "connections: { crm: sys }\nsteps:\n  - id: up\n    do: crm.put\n    with: { n: \"${ trigger.n }\" }\n";

#[tokio::test(start_paused = true)]
async fn a_walk_through_pages_keeps_to_the_rate() {
    let config = json!({ "budget": { "per_second": 10, "burst": 5 } });
    let world = World::new(2, &[("crm", config)], &[("walk", WALK)]).await;
    world.send(0, "walk", json!({ "requests": 30 })).await;
    world.send(1, "walk", json!({ "requests": 30 })).await;
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 2)].into());
    assert_eq!(world.runs().await.iter().map(|run| run.attempts).max(), Some(1));
    let calls: Vec<u128> = world.system("crm", |crm| crm.calls.iter().map(|(at, _)| *at).collect());
    assert_eq!(calls.len(), 60);
    for from in &calls {
        let within = calls.iter().filter(|at| (*from..from + 1000).contains(*at)).count();
        assert!(within <= 15, "{within} calls in the second from {from} ms on");
    }
    assert!(calls[59] - calls[0] <= 8_000, "and the rate is used: {} ms", calls[59] - calls[0]);
}

#[tokio::test(start_paused = true)]
async fn each_request_is_one_of_the_day() {
    let config = json!({ "budget": { "per_day": 1000 } });
    let world = World::new(1, &[("crm", config)], &[("walk", WALK)]).await;
    world.send(0, "walk", json!({ "requests": 50 })).await;
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 1)].into());
    let used = world.store.budget("crm").await.unwrap().unwrap().day_used;
    assert_eq!(used, 50, "what was taken ahead came back, and nothing else");
}

#[tokio::test(start_paused = true)]
async fn a_long_walk_takes_turns_with_others() {
    let config = json!({ "budget": { "in_flight": 1 } });
    let world = World::new(1, &[("crm", config)], &[("walk", WALK), ("push", PUT)]).await;
    world.system("crm", |crm| crm.takes = Duration::from_millis(200));
    world.send(0, "walk", json!({ "requests": 50 })).await;
    world.pass(Duration::from_secs(1)).await;
    for n in 0..3 {
        world.send(0, "push", json!({ "n": n })).await;
    }
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(world.counts().await.get(&RunStatus::Succeeded), Some(&3), "three calls among the next fifteen");
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 4)].into());
    assert_eq!(world.system("crm", |crm| crm.in_flight_most), 1);
}

#[tokio::test(start_paused = true)]
async fn a_walk_whose_turn_does_not_come_says_so_and_shuts_nobody_out() {
    let config = json!({ "budget": { "per_second": 1, "burst": 1 } });
    let world = World::new(1, &[("crm", config)], &[("walk", SHORT), ("push", PUT)]).await;
    world.send(0, "walk", json!({ "requests": 50 })).await;
    world.pass(Duration::from_secs(25)).await;
    let run = world.runs().await.into_iter().next().unwrap();
    let error = run.error.unwrap();
    assert_eq!((run.status, error.class.as_str(), error.code.as_str()), (RunStatus::Failed, "rate_limited", "BUDGET_SPENT"));
    assert!(error.message.contains("\"crm\"") && error.next.unwrap().contains("timeout"), "{}", error.message);
    let calls = world.system("crm", |crm| crm.calls.len());
    assert!((10..=20).contains(&calls), "{calls} calls in 20 s less what the last one is left");
    // The system did not ask for it: nobody else waits for more than his turn.
    world.send(0, "push", json!({ "n": 1 })).await;
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(world.counts().await, [(RunStatus::Failed, 1), (RunStatus::Succeeded, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_is_late_already_still_gets_a_call_nobody_wants() {
    let config = json!({ "budget": { "per_second": 8, "burst": 2 } });
    let world = World::new(1, &[("crm", config)], &[("walk", SHORT)]).await;
    // The first answer leaves less than what a request is usually left, and what was leased ahead went back meanwhile.
    world.system("crm", |crm| crm.takes = Duration::from_secs(19));
    world.send(0, "walk", json!({ "requests": 2 })).await;
    world.pass(Duration::from_secs(10)).await;
    world.system("crm", |crm| crm.takes = Duration::ZERO);
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_walk_does_not_wait_for_the_end_of_a_long_pause() {
    let config = json!({ "budget": { "per_second": 10, "burst": 5 } });
    let world = World::new(1, &[("crm", config)], &[("walk", SHORT)]).await;
    world.system("crm", |crm| crm.takes = Duration::from_secs(1));
    world.send(0, "walk", json!({ "requests": 10 })).await;
    world.pass(Duration::from_secs(2)).await;
    let until = world.now().after(Duration::from_secs(600));
    assert!(world.engines[0].set_pause("crm", Some(until), "ann", "They move their data centre.").await.unwrap());
    world.pass(Duration::from_secs(3)).await;
    let error = world.runs().await.into_iter().next().unwrap().error.unwrap();
    assert_eq!(error.code, "BUDGET_SPENT");
    assert!(error.message.contains("asked to wait"), "{}", error.message);
}
