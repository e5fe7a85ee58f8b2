//! A step that called another run takes the end of that run, and no other's.

use std::time::Duration;

use engine::{EngineSettings, resume::Resumption};
use serde_json::json;
use store::{Entry, RunStatus};

use crate::world::World;

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
        let chunks = world.store().chunks(*run, 0, u32::MAX).await.unwrap();
        let last = chunks.iter().flat_map(|(_, chunk)| store::read_chunk(chunk).unwrap()).last();
        assert!(matches!(&last, Some(Entry::Ended { out: Some(out), .. }) if **out == json!(2)), "{last:?}");
    }
}
