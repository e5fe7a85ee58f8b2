//! A step that called another run takes the end of that run, and no other's.

use std::time::Duration;

use connector::ErrorClass;
use engine::{
    EngineSettings,
    control::Doubtful,
    resume::{Resumption, Said},
};
use serde_json::json;
use store::{Entry, RunStatus};

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
