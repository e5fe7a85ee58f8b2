//! Runs that hold much data do not fill the memory: they go back to the store, and light ones go on.

use std::time::Duration;

use engine::EngineSettings;
use serde_json::json;
use store::RunStatus;

use crate::world::World;

/// It grows by what it computes, between two calls.
const HEAVY: &str = "connections: { crm: sys }\nsteps:\n  - { id: before, do: crm.put, with: { slow: 5 } }\n  - { id: much, set: \
                     { text: \"${ repeat(trigger.word, 10000) }\" } }\n  - { id: up, do: crm.put, with: { slow: 5 } }\n  - { id: \
                     last, do: crm.put, with: { slow: 5, size: \"${ len(steps.much.text) }\" } }\n";
const QUICK: &str = "connections: { erp: sys }\nsteps:\n  - { id: up, do: erp.put }\n";
const PLACES: usize = 16;
const EACH: u64 = 100_000;
const MAX: u64 = 4 * EACH + EACH / 2;

fn settings() -> EngineSettings {
    EngineSettings {
        runs_in_flight_max: PLACES,
        payloads_in_memory_bytes_max: MAX,
        intake_patience: Duration::ZERO,
        ..EngineSettings::default()
    }
}

#[tokio::test(start_paused = true)]
async fn runs_that_hold_much_go_back_and_are_done_one_after_the_other() {
    let recipes = [("heavy", HEAVY), ("quick", QUICK)];
    let world = World::with(1, &[("crm", json!({})), ("erp", json!({}))], &recipes, settings()).await;
    let mut heavy = Vec::new();
    for _ in 0..30 {
        heavy.push(world.send(0, "heavy", json!({ "word": "0123456789" })).await);
    }
    let (mut most, mut quick) = (0, 0);
    for second in 0..300 {
        world.pass_flooded(Duration::from_secs(1)).await;
        let held = world.engines[0].payload_bytes_in_memory();
        most = most.max(held);
        if held > MAX {
            // While there is too much, light ones come and go.
            let light = world.send(0, "quick", json!({})).await;
            world.pass_flooded(Duration::from_millis(250)).await;
            assert_eq!(world.run(light).await.status, RunStatus::Succeeded, "in second {second}");
            quick += 1;
        }
    }
    assert!(quick > 0, "{most} bytes at most: there was never too much");
    // All that were in memory when the first of them grew may have grown; from then on no more come.
    assert!(most < (PLACES as u64) * (EACH + 2000), "{most}");
    for run in heavy {
        assert_eq!(world.run(run).await.status, RunStatus::Succeeded);
    }
    let calls = world.system("crm", |crm| crm.calls.clone());
    assert_eq!(calls.len(), 30 * 3, "nothing was done twice");
    // Four of them fit, so that no more than four come to their last step together.
    let last: Vec<u128> = calls.iter().filter(|(_, input)| input["size"] == EACH).map(|(at, _)| *at).collect();
    let together = last.iter().map(|from| last.iter().filter(|at| (*from..from + 5000).contains(*at)).count()).max();
    assert_eq!((last.len(), together), (30, Some(4)));
    assert_eq!(world.engines[0].payload_bytes_in_memory(), 0);
}

#[tokio::test(start_paused = true)]
async fn large_events_wait_in_the_store_while_the_memory_is_full() {
    let slow = "connections: { crm: sys }\nsteps:\n  - { id: up, do: crm.put, with: { slow: 5 } }\n";
    let world = World::with(1, &[("crm", json!({}))], &[("heavy", slow)], settings()).await;
    let word = "0123456789".repeat(10_000);
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(world.send(0, "heavy", json!({ "word": word })).await);
    }
    for _ in 0..60 {
        let held = world.engines[0].payload_bytes_in_memory();
        assert!(held <= MAX, "{held}");
        world.pass_flooded(Duration::from_millis(500)).await;
    }
    for run in runs {
        assert_eq!(world.run(run).await.status, RunStatus::Succeeded);
    }
    assert_eq!(world.system("crm", |crm| crm.calls.len()), 20);
}
