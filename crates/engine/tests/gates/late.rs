//! A step that called another run takes the end of that run, and no other's.

use std::time::Duration;

use connector::ErrorClass;
use engine::{
    EngineSettings,
    control::Doubtful,
    resume::{Resumption, Said},
};
use serde_json::json;
use store::{DeadLetter, Entry, Pages, RunStatus, Store};

use crate::world::{Mood, World};

/// Callers that meet the moment; in each of them the wrong answer comes right behind the right one.
const CALLERS: usize = 20;
const LEAF: &str = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.put, with: { slow: \"${ trigger.slow }\" } }\n  - { id: end, return: \"${ trigger.n }\" }\n";

fn top(slow: u32, n: u32, timeout: &str) -> String {
    format!(
        "steps:\n  - {{ id: sub, call: leaf, with: {{ slow: {slow}, n: {n} }}, timeout: {timeout} }}\n  - {{ id: end, return: \"${{ steps.sub }}\" }}\n"
    )
}

#[tokio::test(start_paused = true)]
async fn the_late_end_of_a_run_that_was_given_up_replaces_nothing() {
    let settings = EngineSettings { step_timeout: Duration::from_secs(600), ..EngineSettings::default() };
    let world = World::with(1, &[("crm", json!({}))], &[("top", &top(60, 1, "10s")), ("leaf", LEAF)], settings).await;
    let mut runs = Vec::new();
    for _ in 0..CALLERS {
        runs.push(world.send(0, "top", json!({})).await);
    }
    world.pass(Duration::from_secs(20)).await;
    world.change(0, "top", &top(30, 2, "10m")).await;
    world.pass(Duration::from_millis(9_970)).await;
    for run in &runs {
        let row = world.run(*run).await;
        assert_eq!((row.status, row.error.map(|error| error.code)), (RunStatus::Failed, Some("CALL_TIMEOUT".to_owned())));
        let wish = Resumption { active_version: true, ..Resumption::default() };
        world.engines[0].resume_with(*run, &wish, "ines").await.unwrap();
    }
    for _ in 0..100 {
        world.settle().await;
    }
    assert_eq!(world.system("crm", |crm| crm.in_flight), 2 * CALLERS, "the runs that were given up go on");
    // All end within the same moment: those that are waited for first.
    world.pass(Duration::from_secs(60)).await;
    for run in &runs {
        assert_eq!(world.run(*run).await.status, RunStatus::Succeeded);
        let last = world.entries(*run).await.pop();
        assert!(matches!(&last, Some(Entry::Ended { out: Some(out), .. }) if **out == json!(2)), "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_told_before_it_was_resumed_is_not_taken_for_its_end() {
    let settings = EngineSettings { step_timeout: Duration::from_secs(600), ..EngineSettings::default() };
    let leaf = LEAF.replace("slow: \"${ trigger.slow }\" }", "slow: \"${ trigger.slow }\" }, retry: none");
    let world = World::with(1, &[("crm", json!({}))], &[("top", &top(30, 7, "10s")), ("leaf", &leaf)], settings).await;
    let run = world.send(0, "top", json!({})).await;
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(world.run(run).await.error.map(|error| error.code), Some("CALL_TIMEOUT".to_owned()));
    world.system("crm", |crm| crm.mood = Mood::Fails(ErrorClass::Invalid, None));
    world.pass(Duration::from_secs(20)).await;
    let called = world.runs().await.into_iter().find(|row| row.slug == "leaf").expect("it was called");
    assert_eq!(called.status, RunStatus::Failed, "it ends while nobody waits for it");
    world.system("crm", |crm| crm.mood = Mood::Well);
    world.change(0, "top", &top(30, 7, "10m")).await;
    let wish = Resumption { active_version: true, ..Resumption::default() };
    world.engines[0].resume_with(run, &wish, "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    assert!(!world.run(run).await.status.is_final(), "the called run goes on, and is waited for");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.run(run).await.status, RunStatus::Succeeded);
}

const SAGA: &str = "connections: { crm: sys }\nsteps:\n  - { id: pay, do: crm.post, undo: { do: crm.post, with: { lost: true } } }\n  - { id: ship, do: crm.post, with: { bad: true } }\n";

#[tokio::test(start_paused = true)]
async fn what_may_have_been_taken_back_is_not_gone_on_from() {
    for (name, said, calls) in [
        ("it happened", Doubtful::Happened(json!({})), ["pay", "ship", "pay.undo"].as_slice()),
        ("repeat", Doubtful::Repeat, &["pay", "ship", "pay.undo", "pay.undo"]),
    ] {
        let world = World::new(1, &[("crm", json!({}))], &[("saga", SAGA)]).await;
        let run = world.send(0, "saga", json!({})).await;
        world.pass(Duration::from_secs(5)).await;
        assert_eq!(world.engines[0].doubts(run).await.unwrap(), ["pay.undo"], "{name}");
        let wish = Resumption { said: Said::All(said), ..Resumption::default() };
        world.engines[0].resume_with(run, &wish, "ines").await.unwrap();
        world.pass(Duration::from_secs(5)).await;
        assert_eq!(world.run(run).await.status, RunStatus::Failed, "{name}");
        let entries = world.entries(run).await;
        let started = entries.iter().filter_map(|entry| match entry {
            Entry::Started { p, .. } => Some(&**p),
            _ => None,
        });
        assert_eq!(started.collect::<Vec<_>>(), calls, "{name}: nothing is shipped that was paid back");
    }
}

const DOUBTFUL: &str = "connections: { crm: sys }\nsettings: { on_failure: alarm }\nsteps:\n  - { id: pay, do: crm.post, undo: { do: crm.post, with: { bad: \"${ trigger.bad }\" } } }\n  - id: guarded\n    try:\n      - { id: ship, do: crm.post, with: { lost: true } }\n    catch:\n      - { id: excuse, set: { x: 1 } }\n";
const ALARM: &str = "trigger: { from: failure }\nsteps:\n  - { id: note, set: { x: 1 } }\n";

/// Whoever gives a doubtful run up does not leave behind what it did before.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_given_up_takes_back_what_it_did() {
    let world = World::new(1, &[("crm", json!({}))], &[("saga", DOUBTFUL), ("alarm", ALARM)]).await;
    let calls = async |run| {
        let entries = world.entries(run).await;
        let started = entries.iter().filter_map(|entry| match entry {
            Entry::Started { p, .. } => Some(p.to_string()),
            _ => None,
        });
        started.collect::<Vec<_>>()
    };
    let alarms = async || world.runs().await.iter().filter(|row| row.slug == "alarm").count();
    let engine = &world.engines[0];
    let run = world.send(0, "saga", json!({ "bad": false })).await;
    world.pass(Duration::from_secs(5)).await;
    assert_eq!((engine.doubts(run).await.unwrap(), alarms().await), (vec!["ship".to_owned()], 1));
    engine.give_up(run, "the customer is gone", "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(calls(run).await, ["pay", "ship", "pay.undo"], "nothing but the taking back is done");
    let row = world.run(run).await;
    assert_eq!((row.status, row.dead_letter), (RunStatus::Failed, Some(DeadLetter::Discarded)));
    assert_eq!(row.error.unwrap().message, "ines gave this run up: the customer is gone.");
    assert_eq!(alarms().await, 1, "nobody is told of what a person decided");
    assert!(engine.resume_with(run, &Resumption::default(), "ines").await.is_err());

    // What cannot be taken back is told, and tried again by whoever resumes.
    let run = world.send(0, "saga", json!({ "bad": true })).await;
    world.pass(Duration::from_secs(5)).await;
    engine.give_up(run, "a test", "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    let row = world.run(run).await;
    assert_eq!((row.status, row.dead_letter), (RunStatus::Failed, Some(DeadLetter::Open)));
    assert!(row.error.unwrap().message.starts_with("ines gave this run up: a test. Then pay.undo could not be done: "));
    assert_eq!(alarms().await, 3);
    engine.resume_with(run, &Resumption::default(), "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(calls(run).await, ["pay", "ship", "pay.undo", "pay.undo"]);
    // Whoever gives up again has seen that it stays.
    engine.give_up(run, "paid back by hand", "ines").await.unwrap();
    assert_eq!(world.run(run).await.dead_letter, Some(DeadLetter::Discarded));
}

/// A journal that nobody can read any more ends the run in the open, like any other failure.
#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_go_on_is_told_of() {
    let recipe = "connections: { crm: sys }\nsettings: { on_failure: alarm }\nsteps:\n  - { id: pay, do: crm.post, with: { bad: true } }\n";
    let world = World::new(1, &[("crm", json!({}))], &[("payer", recipe), ("alarm", ALARM)]).await;
    let run = world.send(0, "payer", json!({ "order": 17 })).await;
    world.pass(Duration::from_secs(5)).await;
    let seq = world.store.next_seq(run).await.unwrap();
    let now = world.engines[0].now();
    assert!(world.store.resume(run, None, seq, b"nothing anybody wrote", now).await.unwrap());
    // Nobody is told of what is written past the engine: it finds the run when it looks by itself.
    world.pass_flooded(Duration::from_secs(40)).await;
    let row = world.run(run).await;
    assert_eq!((row.status, row.error.unwrap().code.as_str()), (RunStatus::Failed, "CANNOT_GO_ON"));
    let mut alarms = Vec::new();
    for alarm in world.runs().await.into_iter().filter(|row| row.slug == "alarm") {
        let told = world.engines[0].event(alarm.id).await.unwrap();
        alarms.push((told["error"]["code"].clone(), told["trigger"]["order"].clone()));
    }
    alarms.sort_by_key(|(code, _)| code.to_string());
    assert_eq!(alarms, [(json!("BAD"), json!(17)), (json!("CANNOT_GO_ON"), json!(17))]);
}

/// What a called run did when it was replayed by itself is not done again for its caller.
#[tokio::test(start_paused = true)]
async fn a_caller_goes_on_with_what_the_replay_of_its_called_run_returned() {
    let leaf = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.post, retry: none }\n  - { id: end, return: \"${ trigger.n }\" }\n";
    let world = World::new(1, &[("crm", json!({}))], &[("top", &top(0, 7, "10s")), ("leaf", leaf)]).await;
    world.system("crm", |crm| crm.mood = Mood::Fails(ErrorClass::Invalid, None));
    let run = world.send(0, "top", json!({})).await;
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.run(run).await.status, RunStatus::Failed);
    let called = world.runs().await.into_iter().find(|row| row.slug == "leaf").unwrap();
    world.system("crm", |crm| (crm.mood, crm.takes) = (Mood::Well, Duration::from_secs(60)));
    let engine = &world.engines[0];
    let new = engine.replay(called.id, None).await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    engine.resume(run, None, "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    let row = world.run(run).await;
    assert_eq!((row.status, row.error.unwrap().code.as_str()), (RunStatus::Failed, "CALL_REPLAYED"), "its replay goes on");
    world.pass(Duration::from_secs(90)).await;
    assert_eq!(world.run(new).await.status, RunStatus::Succeeded);
    engine.resume(run, None, "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.run(run).await.status, RunStatus::Succeeded);
    let last = world.entries(run).await.pop();
    assert!(matches!(&last, Some(Entry::Ended { out: Some(out), .. }) if **out == json!(7)), "{last:?}");
    assert_eq!(world.system("crm", |crm| crm.calls.len()), 2, "the one that failed, and the one of the replay");
}
