//! A system that is down costs few calls and no run.

use std::time::Duration;

use connector::ErrorClass;
use serde_json::json;
use store::{GateClass, GateState, RunStatus, WaitingFor};

use crate::world::{Mood, World};

const PUT: &str = "connections: { crm: sys }\nsteps:\n  - id: up\n    do: crm.put\n    with: { n: \"${ trigger.n }\" }\n";
const GET_ERP: &str = "connections: { erp: sys }\nsteps:\n  - id: look\n    do: erp.get\n";
const DOWN: Mood = Mood::Fails(ErrorClass::Server, None);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_failure_cost_no_run_and_few_calls() {
    let world = World::new(1, &[("crm", json!({})), ("erp", json!({}))], &[("push", PUT), ("look", GET_ERP)]).await;
    world.system("crm", |crm| (crm.mood, crm.takes) = (DOWN, Duration::from_millis(200)));
    // Two hundred runs in the first five minutes; meanwhile another connection's runs go on at once.
    for n in 0..200 {
        world.send(0, "push", json!({ "n": n })).await;
        world.pass(Duration::from_millis(1500)).await;
        if n % 20 == 0 {
            let other = world.send(0, "look", json!({})).await;
            world.settle().await;
            assert_eq!(world.run(other).await.status, RunStatus::Succeeded, "another connection's run waits");
        }
    }
    world.pass(5 * MINUTE).await;
    let calls = world.system("crm", |crm| crm.calls.len());
    assert!(calls < 20, "{calls} calls were made to a system that is down");
    let parked = world.runs().await;
    let parked = parked.iter().filter(|run| run.waiting_for == Some(WaitingFor::Circuit));
    // A run that waits made no attempt it would pay for; few made the calls there were.
    assert!(parked.clone().count() >= 190, "{:?}", world.counts().await);
    assert!(parked.filter(|run| run.attempts == 0).count() >= 180);
    world.system("crm", |crm| crm.mood = Mood::Well);
    // The last pause may be ten minutes; then three probes, and twenty runs a second.
    world.pass(12 * MINUTE).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 210)].into());
    let made: u32 = world.runs().await.iter().filter(|run| run.slug == "push").map(|run| run.attempts.unsigned_abs()).sum();
    let calls = world.system("crm", |crm| crm.calls.len());
    assert!(usize::try_from(made).unwrap() <= calls && calls < 220, "{made} attempts, {calls} calls");
}

#[tokio::test(start_paused = true)]
async fn runs_are_let_out_one_after_the_other() {
    let world = World::new(1, &[("crm", json!({ "circuit": { "release_per_second": 10 } }))], &[("push", PUT)]).await;
    world.system("crm", |crm| crm.mood = DOWN);
    for n in 0..100 {
        world.send(0, "push", json!({ "n": n })).await;
    }
    world.pass(Duration::from_secs(20)).await;
    world.system("crm", |crm| (crm.mood, crm.calls) = (Mood::Well, Vec::new()));
    world.pass(MINUTE / 2).await;
    world.pass(MINUTE / 2).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 100)].into());
    let calls: Vec<u128> = world.system("crm", |crm| crm.calls.iter().map(|(at, _)| *at).collect());
    for from in calls.iter().step_by(10) {
        let within = calls.iter().filter(|at| (*from..from + 1000).contains(*at)).count();
        assert!(within <= 16, "{within} calls in the second from {from} ms on");
    }
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_one_circuit() {
    let world = World::new(2, &[("crm", json!({}))], &[("push", PUT)]).await;
    world.system("crm", |crm| crm.mood = DOWN);
    for n in 0..8 {
        world.send(0, "push", json!({ "n": n })).await;
    }
    world.settle().await;
    // Within a second the other process knows.
    world.pass(Duration::from_secs(1)).await;
    let before = world.system("crm", |crm| crm.calls.len());
    let there = world.send(1, "push", json!({ "n": 99 })).await;
    world.settle().await;
    assert_eq!(world.system("crm", |crm| crm.calls.len()), before, "the other process calls a system that is down");
    assert_eq!(world.run(there).await.waiting_for, Some(WaitingFor::Circuit));
    // However many wait on both sides, one probe is made at a time: 30, 90, 210 and 450 s after it opened.
    for n in 100..160 {
        world.send(n % 2, "push", json!({ "n": n })).await;
    }
    world.pass(9 * MINUTE).await;
    let probes = world.system("crm", |crm| crm.calls.len()) - before;
    assert!((3..=5).contains(&probes), "{probes} probes in nine minutes");
    let gate = world.store().gates().await.unwrap().remove(0);
    assert_eq!((gate.state, gate.class), (GateState::Open, GateClass::Write));
    let audit = world.store().audit(Some("connection crm"), None, 100).await.unwrap();
    assert_eq!(audit.iter().filter(|entry| entry.what == "circuit.opened").count(), probes + 1, "{audit:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_person_opens_and_closes_it() {
    let world = World::new(1, &[("crm", json!({}))], &[("push", PUT)]).await;
    let engine = &world.engines[0];
    assert!(engine.set_circuit("crm", None, true, "ann", "The vendor moves house.").await.unwrap());
    assert!(!engine.set_circuit("crm", None, true, "ann", "Again.").await.unwrap(), "it is open already");
    for n in 0..5 {
        world.send(0, "push", json!({ "n": n })).await;
    }
    world.pass(5 * MINUTE).await;
    assert!(world.system("crm", |crm| crm.calls.is_empty()), "it stays open until somebody closes it");
    let view = engine.gates_of("crm").await.unwrap();
    assert_eq!((view.circuits[1].state, view.circuits[1].changed_by.as_str()), (GateState::Open, "ann"));
    assert_eq!((view.circuits[1].next_probe, view.circuits[1].cause.as_str()), (None, "The vendor moves house."));
    assert!(engine.set_circuit("crm", None, false, "ben", "They are done.").await.unwrap());
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 5)].into());
    let audit = world.store().audit(None, None, 10).await.unwrap();
    let told: Vec<(&str, &str)> = audit.iter().map(|entry| (entry.who.as_str(), entry.what.as_str())).collect();
    let (closed, opened) = (("ben", "circuit.closed"), ("ann", "circuit.opened"));
    assert_eq!(told, [closed, closed, opened, opened]);
}

#[tokio::test(start_paused = true)]
async fn reads_and_writes_have_circuits_of_their_own() {
    let get = PUT.replace("put", "get");
    let world = World::new(1, &[("crm", json!({}))], &[("push", PUT), ("pull", &get)]).await;
    world.system("crm", |crm| crm.mood = DOWN);
    for n in 0..6 {
        world.send(0, "push", json!({ "n": n })).await;
    }
    world.settle().await;
    world.system("crm", |crm| crm.mood = Mood::Well);
    let read = world.send(0, "pull", json!({ "n": 1 })).await;
    let write = world.send(0, "push", json!({ "n": 9 })).await;
    world.settle().await;
    assert_eq!(world.run(read).await.status, RunStatus::Succeeded);
    assert_eq!(world.run(write).await.waiting_for, Some(WaitingFor::Circuit));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_no_trouble_of_the_system_open_nothing() {
    let world = World::new(1, &[("crm", json!({}))], &[("push", PUT)]).await;
    for class in [ErrorClass::Invalid, ErrorClass::NotFound, ErrorClass::Denied, ErrorClass::Conflict] {
        world.system("crm", |crm| crm.mood = Mood::Fails(class, None));
        for n in 0..10 {
            world.send(0, "push", json!({ "n": n })).await;
        }
    }
    world.settle().await;
    assert_eq!(world.counts().await, [(RunStatus::Failed, 40)].into());
    assert!(world.store().gates().await.unwrap().is_empty(), "a closed circuit is never written");
}
