//! Operations on many dead letters.

use std::sync::Arc;

use serde_json::json;

use super::{
    Bed,
    parts::{accept_all, at, dice, failed, new_run, next_chunk, recipe, run_id, succeeded, worker},
};
use crate::{
    DeadLetter, ItemOutcome, ItemState, NewRun, OPERATION_RUNS_MAX, Operation, OperationChange, OperationId, OperationKind,
    OperationOptions, OperationState, Parent, RecipeId, RunFilter, RunId, Selection, Store,
};

fn id(number: u64) -> OperationId {
    OperationId::new(at(i64::try_from(number).unwrap()), dice(number))
}

fn operation(number: u64) -> Operation {
    Operation {
        id: id(number),
        kind: OperationKind::Replay,
        state: OperationState::Running,
        selection: json!({ "recipe": "orders" }),
        options: OperationOptions {
            rate: Some(5),
            reason: Some("old".to_owned()),
            patch: Some(json!({ "currency": "EUR", "note": null })),
            ..OperationOptions::default()
        },
        first: 1,
        total: 0,
        done: 0,
        failed: 0,
        note: None,
        by: "ann".to_owned(),
        at: at(500),
        ended_at: None,
        next_at: at(500),
    }
}

fn all() -> Selection {
    Selection::Filter(Box::default())
}

fn went(numbers: impl IntoIterator<Item = u64>) -> Vec<ItemOutcome> {
    numbers.into_iter().map(|number| ItemOutcome { run: run_id(number), outcome: Ok(Some(run_id(number + 1000))) }).collect()
}

/// Failed runs with the numbers 1 to `count`.
async fn letters(store: &dyn Store, count: u64) -> RecipeId {
    let recipe = recipe(store, "orders").await;
    accept_all(store, (1..=count).map(|number| NewRun { then: failed(100), ..new_run(recipe, number) })).await;
    recipe
}

async fn made(store: &dyn Store, number: u64) -> Operation {
    store.create_operation(&operation(number), &all()).await.unwrap().unwrap()
}

async fn state(store: &dyn Store, number: u64) -> (OperationState, i32, i32) {
    let operation = store.operation(id(number)).await.unwrap().unwrap();
    (operation.state, operation.done, operation.failed)
}

fn numbers(items: &[crate::OperationItem]) -> Vec<RunId> {
    items.iter().map(|item| item.run).collect()
}

/// What it takes is settled when it is made, and read back as it was given.
pub async fn an_operation_is_kept(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let orders = letters(&*store, 4).await;
    accept_all(&*store, [NewRun { then: succeeded(100), ..new_run(orders, 5) }]).await;
    assert!(store.settle_dead_letter(run_id(4), DeadLetter::Discarded, 1, &next_chunk(1, "x")).await.unwrap());
    let kept = made(&*store, 1).await;
    assert_eq!(kept, Operation { total: 3, ..operation(1) });
    assert_eq!(store.operation(id(1)).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.operation(id(2)).await.unwrap(), None);
    accept_all(&*store, [NewRun { then: failed(100), ..new_run(orders, 6) }]).await;
    let items = store.operation_items(id(1), None, None, 10).await.unwrap();
    assert_eq!(numbers(&items), [run_id(1), run_id(2), run_id(3)], "what fails later is not in it");
    assert!(items.iter().all(|item| item.state == ItemState::Pending && item.failed_at == Some(at(100))));
    let filter = RunFilter { recipe: Some(orders), since: Some(at(2)), until: Some(at(4)), ..RunFilter::default() };
    let some = store.create_operation(&operation(2), &Selection::Filter(Box::new(filter))).await.unwrap().unwrap();
    assert_eq!(some.total, 2);
    assert_eq!(store.operations(None, 10).await.unwrap(), [some.clone(), kept.clone()]);
    assert_eq!(store.operations(None, 1).await.unwrap(), [some]);
    assert_eq!(store.operations(Some(id(2)), 10).await.unwrap(), [kept]);
}

/// Runs named one by one are taken whatever they are; nothing to do is done.
pub async fn named_runs_are_taken(bed: Arc<dyn Bed>) {
    let store = bed.store();
    letters(&*store, 2).await;
    let runs = Selection::Runs(vec![run_id(2), run_id(77), run_id(2)]);
    assert_eq!(store.create_operation(&operation(1), &runs).await.unwrap().unwrap().total, 2);
    let items = store.operation_items(id(1), None, None, 10).await.unwrap();
    assert_eq!(
        items.iter().map(|item| (item.run, item.failed_at)).collect::<Vec<_>>(),
        [(run_id(2), Some(at(100))), (run_id(77), None)]
    );
    let none = store.create_operation(&operation(2), &Selection::Runs(Vec::new())).await.unwrap().unwrap();
    assert_eq!((none.state, none.total, none.ended_at), (OperationState::Done, 0, Some(at(500))));
}

/// One that takes too many is not kept.
pub async fn too_many_are_refused(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let runs: Vec<RunId> = (0..=u64::from(OPERATION_RUNS_MAX)).map(run_id).collect();
    // Sets of ids come from callers and are small; here they stand in for a filter that finds a hundred thousand.
    assert_eq!(store.create_operation(&operation(1), &Selection::Runs(runs)).await.unwrap(), None);
    assert_eq!(store.operation(id(1)).await.unwrap(), None);
    assert!(store.operation_items(id(1), None, None, 10).await.unwrap().is_empty());
}

/// A run whose caller is replayed, too, is called anew by that one; it goes on by itself when both are resumed.
pub async fn a_called_run_goes_with_its_caller(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let called = |number, caller| NewRun {
        then: failed(100),
        parent: Some(Parent { run: run_id(caller), path: "call".into() }),
        ..new_run(recipe, number)
    };
    accept_all(&*store, [NewRun { then: failed(100), ..new_run(recipe, 1) }, called(2, 1), called(3, 2), called(5, 4)]).await;
    assert_eq!(made(&*store, 1).await.total, 2, "2 and 3 begin anew with 1; the caller of 5 is not replayed");
    assert_eq!(numbers(&store.operation_items(id(1), None, None, 9).await.unwrap()), [run_id(1), run_id(5)]);
    let resume = Operation { kind: OperationKind::Resume, ..operation(2) };
    assert_eq!(store.create_operation(&resume, &all()).await.unwrap().unwrap().total, 4);
    let named = Selection::Runs([2, 3].map(run_id).to_vec());
    assert_eq!(store.create_operation(&operation(3), &named).await.unwrap().unwrap().total, 1);
}

/// One process has a batch under way; after its lease anybody may.
pub async fn one_process_at_a_time(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (mine, theirs) = (worker(&*store).await, worker(&*store).await);
    assert_eq!(store.take_operation(mine, at(600), at(610)).await.unwrap(), None);
    letters(&*store, 3).await;
    made(&*store, 1).await;
    assert_eq!(store.take_operation(mine, at(499), at(510)).await.unwrap(), None, "not before it is due");
    assert_eq!(store.take_operation(mine, at(600), at(610)).await.unwrap().map(|taken| taken.id), Some(id(1)));
    assert_eq!(bed.another().await.take_operation(theirs, at(609), at(620)).await.unwrap(), None);
    assert!(store.take_operation(mine, at(605), at(610)).await.unwrap().is_some(), "its owner may go on");
    assert!(store.take_operation(theirs, at(610), at(620)).await.unwrap().is_some(), "its owner is silent");
    // What took it too long does not take it away from whoever has it now.
    assert!(store.finish_items(id(1), mine, &[], at(600), at(611)).await.unwrap().is_some());
    assert_eq!(store.take_operation(mine, at(611), at(621)).await.unwrap(), None);
    assert!(store.finish_items(id(1), theirs, &[], at(700), at(611)).await.unwrap().is_some());
    assert_eq!(store.take_operation(mine, at(699), at(710)).await.unwrap(), None);
    assert!(store.take_operation(mine, at(700), at(710)).await.unwrap().is_some());
    assert_eq!(store.take_operation(theirs, at(701), at(711)).await.unwrap(), None);
    store.release_worker(mine, at(701)).await.unwrap();
    assert!(store.take_operation(theirs, at(701), at(711)).await.unwrap().is_some(), "its owner is gone");
    assert_eq!(store.finish_items(id(9), mine, &[], at(1), at(1)).await.unwrap(), None);
}

/// Each run counts once, however often it is begun and its outcome told.
pub async fn each_run_counts_once(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let owner = worker(&*store).await;
    letters(&*store, 3).await;
    made(&*store, 1).await;
    let first = store.begin_items(id(1), 2).await.unwrap();
    assert_eq!((numbers(&first), first[0].state), (vec![run_id(1), run_id(2)], ItemState::Pending));
    let again = store.begin_items(id(1), 3).await.unwrap();
    assert_eq!(again.iter().map(|item| item.state).collect::<Vec<_>>(), [ItemState::Begun, ItemState::Begun, ItemState::Pending]);
    let after = store.finish_items(id(1), owner, &went([1]), at(600), at(600)).await.unwrap().unwrap();
    assert_eq!((after.state, after.done, after.failed), (OperationState::Running, 1, 0));
    let refused = ItemOutcome { run: run_id(2), outcome: Err("it was already replayed".to_owned()) };
    let told = [went([1]), vec![refused], went([3])].concat();
    let after = store.finish_items(id(1), owner, &told, at(600), at(650)).await.unwrap().unwrap();
    assert_eq!((after.state, after.done, after.failed, after.ended_at), (OperationState::Done, 2, 1, Some(at(650))));
    store.finish_items(id(1), owner, &told, at(600), at(700)).await.unwrap();
    assert_eq!(state(&*store, 1).await, (OperationState::Done, 2, 1));
    assert!(store.begin_items(id(1), 9).await.unwrap().is_empty());
    let items = store.operation_items(id(1), None, None, 10).await.unwrap();
    assert_eq!(items.iter().map(|item| item.result).collect::<Vec<_>>(), [Some(run_id(1001)), None, Some(run_id(1003))]);
    let failed = store.operation_items(id(1), Some(ItemState::Failed), None, 10).await.unwrap();
    assert_eq!(failed[0].message.as_deref(), Some("it was already replayed"));
    assert_eq!(numbers(&store.operation_items(id(1), None, Some(run_id(2)), 10).await.unwrap()), [run_id(3)]);
    assert_eq!(numbers(&store.operation_items(id(1), None, None, 1).await.unwrap()), [run_id(1)]);
}

/// One that was stopped is taken once more when somebody began with runs and never said how it went.
pub async fn stopped_with_runs_begun(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (mine, theirs) = (worker(&*store).await, worker(&*store).await);
    letters(&*store, 3).await;
    made(&*store, 1).await;
    store.take_operation(mine, at(600), at(610)).await.unwrap().unwrap();
    assert_eq!(store.begin_items(id(1), 2).await.unwrap().len(), 2);
    assert!(store.change_operation(id(1), &OperationChange::Stop(None), at(601)).await.unwrap());
    assert_eq!(store.take_operation(theirs, at(609), at(620)).await.unwrap(), None, "its owner may still say");
    let taken = store.take_operation(theirs, at(610), at(620)).await.unwrap().unwrap();
    assert_eq!((taken.id, taken.state), (id(1), OperationState::Stopped));
    let begun = store.operation_items(id(1), Some(ItemState::Begun), None, 10).await.unwrap();
    assert_eq!(numbers(&begun), [run_id(1), run_id(2)]);
    let after = store.finish_items(id(1), theirs, &went([1, 2]), at(610), at(611)).await.unwrap().unwrap();
    assert_eq!((after.state, after.done, after.ended_at), (OperationState::Stopped, 2, Some(at(601))));
    assert_eq!(store.take_operation(mine, at(700), at(710)).await.unwrap(), None, "what it never began is left alone");
}

/// Paused, gone on with, stopped; what is over stays over.
pub async fn paused_and_stopped(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let owner = worker(&*store).await;
    letters(&*store, 2).await;
    made(&*store, 1).await;
    let change = async |change: OperationChange| store.change_operation(id(1), &change, at(800)).await.unwrap();
    assert!(!change(OperationChange::GoOn).await, "it is not paused");
    assert!(change(OperationChange::Pause).await);
    assert!(!change(OperationChange::Pause).await && !change(OperationChange::Release).await);
    assert_eq!(store.take_operation(owner, at(900), at(910)).await.unwrap(), None);
    // A batch that was under way is counted all the same.
    assert_eq!(
        store.finish_items(id(1), owner, &went([1]), at(800), at(800)).await.unwrap().unwrap().state,
        OperationState::Paused
    );
    assert!(change(OperationChange::GoOn).await);
    assert!(change(OperationChange::Release).await && !change(OperationChange::Release).await);
    let running = store.operation(id(1)).await.unwrap().unwrap();
    assert_eq!((running.state, running.first, running.next_at), (OperationState::Running, 0, at(800)));
    assert!(change(OperationChange::Stop(Some("the first failed again".to_owned()))).await);
    let stopped = store.operation(id(1)).await.unwrap().unwrap();
    assert_eq!((stopped.state, stopped.ended_at), (OperationState::Stopped, Some(at(800))));
    assert_eq!(stopped.note.as_deref(), Some("the first failed again"));
    for late in [OperationChange::Pause, OperationChange::GoOn, OperationChange::Stop(None), OperationChange::Release] {
        assert!(!change(late).await);
    }
    store.finish_items(id(1), owner, &went([2]), at(800), at(801)).await.unwrap();
    assert_eq!(state(&*store, 1).await, (OperationState::Stopped, 2, 0));
    assert!(!store.change_operation(id(9), &OperationChange::Pause, at(1)).await.unwrap());
}
