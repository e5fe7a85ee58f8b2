//! A parked run costs nothing: no place, no attempt, and not a line more in its journal however often it is looked at.

use std::time::Duration;

use engine::EngineSettings;
use serde_json::json;
use store::{GateState, RunId, RunStatus, WaitingFor};

use crate::world::World;

const PUT: &str = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.put, with: { bad: \"${ trigger.bad ?? false }\", lost: \"${ trigger.lost ?? false }\", fails: \"${ trigger.fails ?? false }\" } }\n";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn chunks(world: &World, run: RunId) -> usize {
    world.store().chunks(run, 0, u32::MAX).await.unwrap().len()
}

fn places(world: &World) -> usize {
    world.engines.iter().map(|engine| engine.runs_in_memory()).sum()
}

#[tokio::test(start_paused = true)]
async fn forty_tries_over_six_hours_hold_no_worker() {
    let recipe = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.put, with: { bad: \"${ trigger.bad ?? false }\", lost: \"${ trigger.lost ?? false }\", fails: \"${ trigger.fails ?? false }\" }, retry: { times: 40, wait: 9m, factor: 1, max_wait: 1h, jitter: none } }\n";
    let calm = json!({ "circuit": { "in_a_row": 1000, "calls_min": 1000 } });
    let settings = EngineSettings::default();
    let mut world = World::with(1, &[("crm", calm)], &[("push", recipe)], settings.clone()).await;
    world.system("crm", |crm| crm.mood = crate::world::Mood::Fails(connector::ErrorClass::Server, None));
    let began = world.now();
    let run = world.send(0, "push", json!({})).await;
    world.settle().await;
    let calls = |world: &World| world.system("crm", |crm| crm.calls.len());
    let before_first_park = chunks(&world, run).await;
    for look in 1_usize.. {
        let mut row = world.run(run).await;
        // What is parked is let go right after its commit, so it is soon in nobody's memory.
        for _ in 0..50 {
            if row.status != RunStatus::Running && places(&world) == 0 {
                break;
            }
            world.settle().await;
            row = world.run(run).await;
        }
        if row.status == RunStatus::Succeeded {
            break;
        }
        assert_eq!((row.status, row.waiting_for), (RunStatus::Waiting, Some(WaitingFor::Retry)), "look {look}");
        assert_eq!(places(&world), 0, "it is in nobody's memory");
        // One commit begins a try and one tells how it went; waiting adds nothing.
        assert_eq!(chunks(&world, run).await, before_first_park + 2 * (calls(&world) - 1), "after {} tries", calls(&world));
        if calls(&world) == 39 {
            world.system("crm", |crm| crm.mood = crate::world::Mood::Well);
        }
        // A deploy every half an hour.
        if look % 10 == 0 {
            world.restart(settings.clone()).await;
        }
        assert!(look < 150, "it never ends: {row:?}");
        world.leap(3 * MINUTE).await;
    }
    assert_eq!((calls(&world), world.run(run).await.attempts), (40, 40));
    let took = world.now().since(began);
    assert!((39 * 9 * MINUTE..39 * 9 * MINUTE + 30 * MINUTE).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stays_parked_writes_nothing() {
    let gates = [
        ("a circuit opened by hand", json!({}), WaitingFor::Circuit),
        ("a system that is down", json!({}), WaitingFor::Circuit),
        ("a budget", json!({ "budget": { "per_day": 1 } }), WaitingFor::Budget),
    ];
    for (name, config, reason) in gates {
        let world = World::new(1, &[("crm", config)], &[("push", PUT)]).await;
        match name {
            "a budget" => drop(world.send(0, "push", json!({})).await),
            "a system that is down" => {
                world.system("crm", |crm| crm.mood = crate::world::Mood::Fails(connector::ErrorClass::Server, None))
            }
            _ => drop(world.engines[0].set_circuit("crm", None, true, "ann", "it is sick").await.unwrap()),
        }
        for n in 0..10 {
            world.send(0, "push", json!({ "n": n })).await;
        }
        world.leap(5 * MINUTE).await;
        let mut kept = Vec::new();
        for row in world.runs().await.into_iter().filter(|row| row.attempts == 0) {
            assert_eq!((row.status, row.waiting_for), (RunStatus::Waiting, Some(reason)), "{name}");
            kept.push((row.id, chunks(&world, row.id).await, row.due_at));
        }
        assert!(kept.len() >= 4, "{name}: {} wait", kept.len());
        world.leap(3 * HOUR).await;
        let mut looked_at = 0;
        for (run, before, due) in kept {
            let row = world.run(run).await;
            if row.attempts > 0 {
                // It made the probe.
                continue;
            }
            assert_eq!(row.waiting_for, Some(reason), "{name}");
            assert_eq!(chunks(&world, run).await, before, "{name}: waiting on is no news");
            looked_at += usize::from(row.due_at != due);
        }
        // Otherwise this proves nothing. A day's budget is looked at when the day is over.
        assert!(looked_at > 0 || name == "a budget", "{name}: nobody looked");
        assert_eq!(places(&world), 0, "{name}");
        let view = world.engines[0].gates_of("crm").await.unwrap();
        assert_eq!(
            view.circuits.iter().any(|circuit| circuit.state != GateState::Closed),
            reason == WaitingFor::Circuit,
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_its_turn_is_not_looked_at() {
    let recipe = "connections: { crm: sys }\nsettings: { concurrency: { limit: 1 } }\nsteps:\n  - { id: nap, wait: { for: 2h } }\n  - { id: up, do: crm.put }\n";
    let world = World::new(1, &[("crm", json!({}))], &[("push", recipe)]).await;
    let first = world.send(0, "push", json!({})).await;
    let second = world.send(0, "push", json!({})).await;
    world.leap(MINUTE).await;
    let (before, row) = (chunks(&world, second).await, world.run(second).await);
    assert_eq!(row.waiting_for, Some(WaitingFor::Order));
    world.leap(HOUR).await;
    assert_eq!((chunks(&world, second).await, world.run(second).await), (before, row));
    assert_eq!(places(&world), 0);
    world.leap(4 * HOUR).await;
    assert_eq!(world.run(first).await.status, RunStatus::Succeeded);
    assert_eq!(world.run(second).await.status, RunStatus::Succeeded);
}
