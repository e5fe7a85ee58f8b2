//! One flood does not starve the rest: whoever comes along finds a place, however many runs of others wait.

use std::{sync::Arc, time::Duration};

use engine::{EngineSettings, Event, Intake};
use futures_util::{StreamExt, stream};
use serde_json::json;
use store::{RunStatus, Via};

use crate::world::World;

const SLOW: &str = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.put, with: { slow: 50 } }\n";
const QUICK: &str = "connections: { erp: sys }\nsteps:\n  - { id: up, do: erp.put }\n";
const NAPS: &str = "connections: { erp: sys }\nsteps:\n  - { id: nap, wait: { for: 30s } }\n  - { id: up, do: erp.put }\n";
const PLACES: usize = 32;

fn settings() -> EngineSettings {
    EngineSettings { runs_in_flight_max: PLACES, recipe_share: 3, intake_patience: Duration::ZERO, ..EngineSettings::default() }
}

/// So many events at once.
async fn flood(world: &World, slug: &str, runs: usize) {
    let engine = &world.engines[0];
    let recipe = Arc::clone(&engine.catalogue().recipes[slug]);
    let taken = stream::iter(0..runs).map(async |n| {
        let data = Arc::new(json!({ "n": n }));
        let event = Event { data, via: Via::Api, key: None, key_wins: false, fingerprint: None, replay_of: None };
        assert!(matches!(engine.accept(&recipe, event).await, Ok(Intake::Accepted { .. })));
    });
    taken.buffer_unordered(500).collect::<Vec<()>>().await;
}

#[tokio::test(start_paused = true)]
async fn one_run_beside_ten_thousand_slow_ones_ends_at_once() {
    let recipes = [("flood", SLOW), ("quick", QUICK), ("naps", NAPS)];
    let world = World::with(1, &[("crm", json!({})), ("erp", json!({}))], &recipes, settings()).await;
    let napping = world.send(0, "naps", json!({})).await;
    flood(&world, "flood", 10_000).await;
    world.pass_flooded(Duration::from_secs(5)).await;
    assert_eq!(world.system("crm", |crm| crm.in_flight), PLACES * 3 / 4, "the flood has its share and no more");
    // Nobody else wants the rest. One event comes, and is worked on before any run of the flood ends.
    let quick = world.send(0, "quick", json!({})).await;
    world.pass_flooded(Duration::from_millis(250)).await;
    assert_eq!(world.run(quick).await.status, RunStatus::Succeeded);
    assert_eq!(world.counts().await.get(&RunStatus::Succeeded), Some(&1), "no run of the flood ended meanwhile");
    // So is a run whose time comes while the flood waits in the store.
    world.pass_flooded(Duration::from_secs(28)).await;
    assert_eq!(world.run(napping).await.status, RunStatus::Succeeded);
    assert_eq!(world.counts().await.get(&RunStatus::Succeeded), Some(&2));
    assert_eq!(world.engines[0].runs_in_memory(), PLACES * 3 / 4);
    // The flood goes on all the while, with its share.
    world.pass_flooded(Duration::from_secs(100)).await;
    let done = world.counts().await[&RunStatus::Succeeded];
    assert!((2 + 48..=2 + 72).contains(&done), "{done} are done: its places do not stand empty");
}

#[tokio::test(start_paused = true)]
async fn several_floods_leave_a_place_to_others() {
    let recipes = [("one", SLOW), ("two", SLOW), ("quick", QUICK)];
    let world = World::with(1, &[("crm", json!({})), ("erp", json!({}))], &recipes, settings()).await;
    for slug in ["one", "two"] {
        flood(&world, slug, 200).await;
        world.pass_flooded(Duration::from_secs(1)).await;
    }
    assert!(world.engines[0].runs_in_memory() < PLACES);
    for _ in 0..5 {
        let quick = world.send(0, "quick", json!({})).await;
        world.pass_flooded(Duration::from_millis(250)).await;
        assert_eq!(world.run(quick).await.status, RunStatus::Succeeded);
    }
    // As the runs of the first end, its places go to the others: equal parts.
    world.pass_flooded(Duration::from_secs(170)).await;
    let rows = world.runs().await;
    let working = |slug: &str| rows.iter().filter(|row| row.slug == slug && row.status == RunStatus::Running).count();
    let parts = ["one", "two"].map(working);
    assert!(parts.iter().all(|part| (9..=18).contains(part)), "{parts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_backlog_of_one_recipe_refuses_no_other() {
    let recipes = [("flood", SLOW), ("quick", QUICK)];
    let full = EngineSettings { backlog_max: 100, ..settings() };
    let world = World::with(1, &[("crm", json!({})), ("erp", json!({}))], &recipes, full).await;
    flood(&world, "flood", 100).await;
    world.pass_flooded(Duration::from_secs(2)).await;
    flood(&world, "flood", 24).await;
    let event = |n: u32| Event {
        data: Arc::new(json!({ "n": n })),
        via: Via::Api,
        key: None,
        key_wins: false,
        fingerprint: None,
        replay_of: None,
    };
    let engine = &world.engines[0];
    let recipe = Arc::clone(&engine.catalogue().recipes["flood"]);
    assert!(engine.accept(&recipe, event(1)).await.is_err(), "{} wait", engine.backlog());
    let quick = world.send(0, "quick", json!({})).await;
    world.pass_flooded(Duration::from_millis(250)).await;
    assert_eq!(world.run(quick).await.status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_beside_a_flood_fills_the_places_at_once_however_it_is_spread() {
    let slow = NAPS.replace("do: erp.put", "do: erp.put, with: { slow: 50 }");
    let recipes = [("flood", SLOW), ("many", &*slow), ("one", &*slow), ("other", &*slow)];
    let world = World::with(1, &[("crm", json!({})), ("erp", json!({}))], &recipes, settings()).await;
    for (slug, runs) in [("many", 30), ("one", 1), ("other", 1)] {
        flood(&world, slug, runs).await;
    }
    flood(&world, "flood", 500).await;
    let under_way = |world: &World| world.system("erp", |erp| erp.in_flight);
    for _ in 0..160 {
        if under_way(&world) > 0 {
            break;
        }
        world.pass_flooded(Duration::from_millis(250)).await;
    }
    world.pass_flooded(Duration::from_millis(500)).await;
    // A claim gives each recipe an equal part: two of many, and one of each of the others. Nobody's end wakes the worker.
    assert!(under_way(&world) > 4, "{} are under way: the next claim follows at once", under_way(&world));
}
