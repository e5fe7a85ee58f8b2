//! A budget is never exceeded, and nobody is left out.

use std::time::Duration;

use connector::ErrorClass;
use engine::EngineSettings;
use serde_json::json;

use store::{Gates, RunStatus, Timestamp, WaitingFor};

use crate::world::{Mood, World};

const DAY_US: i64 = 24 * 3600 * 1_000_000;
const PUT: &str = "connections: { crm: sys }\nsteps:\n  - id: up\n    do: crm.put\n    with: { n: \"${ trigger.n }\" }\n";

#[tokio::test(start_paused = true)]
async fn five_in_flight_are_never_exceeded_by_two_processes() {
    let config = json!({ "budget": { "in_flight": 5 } });
    let world = World::new(2, &[("crm", config)], &[("push", PUT)]).await;
    world.system("crm", |crm| crm.takes = Duration::from_millis(300));
    for n in 0..100 {
        world.send(n % 2, "push", json!({ "n": n })).await;
    }
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(world.system("crm", |crm| crm.in_flight_most), 5, "the budget is used, and no more than that");
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 100)].into());
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_and_used() {
    let config = json!({ "budget": { "per_second": 10, "burst": 5 } });
    let world = World::new(2, &[("crm", config)], &[("push", PUT)]).await;
    for n in 0..100 {
        world.send(n % 2, "push", json!({ "n": n })).await;
    }
    world.pass(Duration::from_secs(25)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 100)].into());
    let last = world.system("crm", |crm| crm.calls.last().map(|(at, _)| *at));
    // Ten a second after the first five; what two processes take ahead of each other costs a little.
    assert!(last <= Some(12_000), "the rate is used: {last:?}");
    let calls: Vec<u128> = world.system("crm", |crm| crm.calls.iter().map(|(at, _)| *at).collect());
    for from in &calls {
        let within = calls.iter().filter(|at| (*from..from + 1000).contains(*at)).count();
        assert!(within <= 15, "{within} calls in the second from {from} ms on");
    }
    assert_eq!(world.runs().await.iter().map(|run| run.attempts).max(), Some(1), "waiting burns no attempt");
}

#[tokio::test(start_paused = true)]
async fn a_day_is_over_and_the_next_one_begins() {
    let config = json!({ "budget": { "per_day": 30 } });
    let world = World::new(1, &[("crm", config)], &[("push", PUT)]).await;
    // Nothing happens until shortly before midnight.
    let midnight = Timestamp::from_micros((world.now().micros() / DAY_US + 1) * DAY_US);
    tokio::time::advance(midnight.since(world.now()) - Duration::from_secs(300)).await;
    world.settle().await;
    for n in 0..40 {
        world.send(0, "push", json!({ "n": n })).await;
    }
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 30), (RunStatus::Waiting, 10)].into());
    let view = world.engines[0].gates_of("crm").await.unwrap();
    assert_eq!(view.day_left(world.now()), Some(0));
    let parked = world.runs().await.into_iter().find(|run| run.status == RunStatus::Waiting).unwrap();
    assert_eq!(parked.waiting_for, Some(WaitingFor::Budget));
    assert!(parked.due_at.unwrap() >= midnight, "the day ends at midnight UTC, not before");
    world.leap(midnight.since(world.now()) - Duration::from_secs(10)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 30), (RunStatus::Waiting, 10)].into(), "the day is not over");
    world.pass(Duration::from_secs(70)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 40)].into(), "the next day has calls again");
    let view = world.engines[0].gates_of("crm").await.unwrap();
    assert_eq!(view.day_left(world.now()), Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_system_that_asks_for_a_pause_gets_it_from_everybody() {
    let world = World::new(2, &[("crm", json!({}))], &[("push", PUT)]).await;
    let wish = Some(Duration::from_secs(20));
    world.system("crm", |crm| crm.mood = Mood::Fails(ErrorClass::RateLimited, wish));
    world.send(0, "push", json!({ "n": 0 })).await;
    world.settle().await;
    world.pass(Duration::from_secs(1)).await;
    for n in 1..10 {
        world.send(n % 2, "push", json!({ "n": n })).await;
    }
    world.settle().await;
    assert_eq!(world.system("crm", |crm| crm.calls.len()), 1, "nobody calls during the pause");
    world.system("crm", |crm| crm.mood = Mood::Well);
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 10)].into());
    let first = world.system("crm", |crm| crm.calls[1].0);
    assert!(first >= 20_000, "called again after {first} ms");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_ended_by_hand_for_every_process() {
    let world = World::new(2, &[("crm", json!({}))], &[("push", PUT)]).await;
    let wish = Some(Duration::from_secs(3600));
    world.system("crm", |crm| crm.mood = Mood::Fails(ErrorClass::RateLimited, wish));
    world.send(0, "push", json!({ "n": 0 })).await;
    world.pass(Duration::from_secs(2)).await;
    for n in 1..10 {
        world.send(n % 2, "push", json!({ "n": n })).await;
    }
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.system("crm", |crm| crm.calls.len()), 1, "nobody calls during the pause");
    world.system("crm", |crm| crm.mood = Mood::Well);
    assert!(world.engines[1].set_pause("crm", None, "ann", "They say it was a mistake.").await.unwrap());
    assert!(!world.engines[0].set_pause("crm", None, "ann", "Once more.").await.unwrap(), "there is nothing to end");
    world.pass(Duration::from_secs(5)).await;
    let others = world.runs().await.into_iter().filter(|run| run.status == RunStatus::Succeeded).count();
    assert!(others >= 9, "all but the one that was refused, which has a wish of its own: {others}");
    let audit = world.store.audit(Some("connection crm"), None, 9).await.unwrap();
    let told: Vec<_> = audit.iter().map(|row| (row.who.as_str(), row.what.as_str())).collect();
    assert_eq!(told, [("ann", "budget.resumed")]);
    // And the other way round.
    let until = world.now().after(Duration::from_secs(30));
    assert!(world.engines[0].set_pause("crm", Some(until), "ann", "They move their data centre.").await.unwrap());
    world.pass(Duration::from_secs(2)).await;
    let calls = world.system("crm", |crm| crm.calls.len());
    world.send(1, "push", json!({ "n": 100 })).await;
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(world.system("crm", |crm| crm.calls.len()), calls, "nobody calls before that");
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(world.system("crm", |crm| crm.calls.len()), calls + 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_makes_no_calls_takes_nothing_of_a_budget() {
    let config = json!({ "budget": { "per_second": 10, "burst": 5 } });
    let settings = EngineSettings { works: false, ..EngineSettings::default() };
    let world = World::with(1, &[("crm", config)], &[("push", PUT)], settings).await;
    world.send(0, "push", json!({ "n": 0 })).await;
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.store.budget("crm").await.unwrap(), None);
    assert_eq!(world.counts().await, [(RunStatus::Queued, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_recipe_leaves_turns_to_another() {
    let config = json!({ "budget": { "per_second": 10, "burst": 1 } });
    let world = World::new(1, &[("crm", config)], &[("flood", PUT), ("small", PUT)]).await;
    for n in 0..200 {
        world.send(0, "flood", json!({ "n": n })).await;
        // Ids sort by the millisecond.
        world.pass(Duration::from_millis(1)).await;
    }
    world.pass(Duration::from_secs(2)).await;
    for n in 0..5 {
        world.send(0, "small", json!({ "n": 1000 + n })).await;
    }
    world.pass(Duration::from_secs(3)).await;
    let small = world.runs().await.into_iter().filter(|run| run.slug == "small" && run.status == RunStatus::Succeeded).count();
    assert_eq!(small, 5, "five calls among the next thirty");
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 205)].into());
    // The oldest first: nobody of the flood is much later than his place.
    let order: Vec<i64> =
        world.system("crm", |crm| crm.calls.iter().filter_map(|(_, input)| input["n"].as_i64()).filter(|n| *n < 1000).collect());
    let late = order.iter().enumerate().map(|(place, n)| (i64::try_from(place).unwrap() - n).abs()).max();
    assert!(late <= Some(40), "somebody came {late:?} places away from his own");
}
