//! Many dead letters replayed with their events mended: each new run sees the patched event, and what the old one had stays.

use std::{sync::Arc, time::Duration};

use engine::operations::NewOperation;
use serde_json::{Value, json};
use store::{
    DeadLetter, Entry, ItemState, Operation, OperationChange, OperationItem, OperationKind, OperationOptions, OperationState,
    RunId, RunStatus, Selection,
};

use crate::world::World;

/// Fails for good as long as the event says `bad`, and takes numbers only.
const PUSH: &str = "trigger: { from: api, with: { input: { type: object, properties: { n: { type: integer }, bad: { type: boolean }, \
                    currency: { type: string } } } } }\nconnections: { crm: sys }\nsteps:\n  - id: up\n    do: crm.put\n    with: { n: \
                    \"${ trigger.n }\", bad: \"${ trigger.bad }\", currency: \"${ trigger.currency }\" }\n";

async fn world() -> World {
    World::new(1, &[("crm", json!({}))], &[("push", PUSH)]).await
}

/// Dead letters of these events, the oldest first.
async fn letters(world: &World, events: &[Value]) -> Vec<RunId> {
    let mut runs = Vec::new();
    for event in events {
        runs.push(world.send(0, "push", event.clone()).await);
        // Ids sort by the millisecond.
        world.pass(Duration::from_millis(1)).await;
    }
    world.settle().await;
    for run in &runs {
        assert_eq!(world.run(*run).await.dead_letter, Some(DeadLetter::Open));
    }
    runs
}

async fn begin(world: &World, patch: Value, first: u32, rate: Option<u32>) -> Operation {
    let new = NewOperation {
        kind: OperationKind::Replay,
        selection: Selection::Filter(Box::default()),
        asked: json!({ "all": true }),
        options: OperationOptions { patch: Some(patch), rate, ..OperationOptions::default() },
        first,
        by: "ines".to_owned(),
    };
    world.engines[0].begin_operation(new).await.unwrap().unwrap()
}

async fn items(world: &World, operation: &Operation) -> Vec<OperationItem> {
    world.store().operation_items(operation.id, None, None, 100).await.unwrap()
}

async fn now(world: &World, operation: &Operation) -> Operation {
    world.store().operation(operation.id).await.unwrap().unwrap()
}

async fn event(world: &World, run: RunId) -> Arc<Value> {
    let entries = world.entries(run).await;
    let Some(Entry::Accepted { event, .. }) = entries.first() else { panic!("{entries:?}") };
    Arc::clone(event)
}

#[tokio::test(start_paused = true)]
async fn replayed_runs_see_the_patched_event_and_the_old_ones_keep_theirs() {
    let world = world().await;
    let events =
        [json!({ "n": 1, "bad": true }), json!({ "n": "two", "bad": true }), json!({ "n": 3, "bad": true, "currency": "USD" })];
    let runs = letters(&world, &events).await;
    let operation = begin(&world, json!({ "bad": null, "currency": "EUR" }), 0, None).await;
    world.pass(Duration::from_secs(3)).await;
    let over = now(&world, &operation).await;
    assert_eq!((over.state, over.done, over.failed), (OperationState::Done, 2, 1));
    let items = items(&world, &operation).await;
    for (place, patched) in [(0, json!({ "n": 1, "currency": "EUR" })), (2, json!({ "n": 3, "currency": "EUR" }))] {
        let new = items[place].result.expect("a new run");
        assert_eq!(*event(&world, new).await, patched);
        assert_eq!(world.run(new).await.status, RunStatus::Succeeded);
        assert_eq!(world.run(runs[place]).await.dead_letter, Some(DeadLetter::Replayed));
    }
    // What does not fit even then is told, and stays a dead letter.
    assert_eq!((items[1].state, items[1].result), (ItemState::Failed, None));
    let message = items[1].message.clone().unwrap_or_default();
    assert!(message.contains("n does not fit"), "{message}");
    assert_eq!(world.run(runs[1]).await.dead_letter, Some(DeadLetter::Open));
    for (run, sent) in runs.iter().zip(&events) {
        assert_eq!(*event(&world, *run).await, *sent, "the event of a dead letter is never changed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_patch_outlives_a_pause_and_another_process() {
    let mut world = world().await;
    let events: Vec<Value> = (0..6).map(|n| json!({ "n": n, "bad": true })).collect();
    letters(&world, &events).await;
    let operation = begin(&world, json!({ "bad": null, "currency": "EUR" }), 0, Some(1)).await;
    world.pass(Duration::from_millis(1500)).await;
    assert!(world.engines[0].change_operation(operation.id, OperationChange::Pause).await.unwrap());
    world.pass(Duration::from_secs(1)).await;
    let paused = now(&world, &operation).await.done;
    assert!((1..6).contains(&paused), "{paused} of 6 were done when it was paused");
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(now(&world, &operation).await.done, paused, "nothing goes on during a pause");
    world.restart(engine::EngineSettings::default()).await;
    assert!(world.engines[0].change_operation(operation.id, OperationChange::GoOn).await.unwrap());
    world.pass(Duration::from_secs(20)).await;
    let over = now(&world, &operation).await;
    assert_eq!((over.state, over.done, over.failed), (OperationState::Done, 6, 0));
    for item in items(&world, &operation).await {
        assert_eq!(event(&world, item.result.unwrap()).await["currency"], "EUR");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_one_shows_whether_a_patch_is_right() {
    let world = world().await;
    let events: Vec<Value> = (0..4).map(|n| json!({ "n": n, "bad": true })).collect();
    letters(&world, &events).await;
    // It does not mend what was wrong: the first one fails again, the others are left alone.
    let wrong = begin(&world, json!({ "currency": "EUR" }), 1, None).await;
    world.pass(Duration::from_secs(5)).await;
    let over = now(&world, &wrong).await;
    assert_eq!((over.state, over.done), (OperationState::Stopped, 1), "{over:?}");
    // Nor does one that makes all of them unfit.
    let unfit = begin(&world, json!({ "n": "none" }), 1, None).await;
    world.pass(Duration::from_secs(5)).await;
    let over = now(&world, &unfit).await;
    assert_eq!((over.state, over.done, over.failed), (OperationState::Stopped, 0, 1), "{over:?}");
    assert!(over.note.unwrap_or_default().contains("n does not fit"));
    let right = begin(&world, json!({ "bad": null }), 1, None).await;
    world.pass(Duration::from_secs(10)).await;
    let over = now(&world, &right).await;
    assert_eq!((over.state, over.done, over.failed), (OperationState::Done, 4, 0), "{over:?}");
}
