//! Dead letters by cause.

use std::sync::Arc;

use super::{
    Bed,
    parts::{accept, accept_all, at, failed, new_run, next_chunk, recipe, record, row, run_id, succeeded},
};
use crate::{Cause, CauseHours, DeadLetter, Fingerprint, NewRun, RecipeId, RunFilter, Sorted, Store, Then};

fn print(number: u8) -> Fingerprint {
    Fingerprint([number; 16])
}

fn sorted(number: u64, failed_at: i64, cause: u8) -> Sorted {
    Sorted { run: run_id(number), failed_at: at(failed_at), cause: print(cause) }
}

async fn fail(store: &dyn Store, recipe: RecipeId, numbers: impl IntoIterator<Item = u64>) {
    let then = |number: u64| failed(100 + i64::try_from(number).unwrap());
    accept_all(store, numbers.into_iter().map(|number| NewRun { then: then(number), ..new_run(recipe, number) })).await;
}

async fn counts(store: &dyn Store, recipe: Option<RecipeId>) -> Vec<(Fingerprint, i64)> {
    let causes = store.causes(recipe, 10).await.unwrap();
    causes.into_iter().map(|cause| (cause.fingerprint, cause.count)).collect()
}

fn by_cause(cause: u8) -> RunFilter {
    RunFilter { cause: Some(print(cause)), limit: 10, ..RunFilter::default() }
}

/// Open dead letters without a cause are handed out until they have one.
pub async fn failures_are_sorted(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept(&*store, NewRun { then: succeeded(5), ..new_run(recipe, 1) }).await;
    fail(&*store, recipe, [2, 3, 4]).await;
    assert!(store.settle_dead_letter(run_id(4), DeadLetter::Discarded, 1, &next_chunk(1, "x")).await.unwrap());
    let unsorted = store.unsorted_failures(10).await.unwrap();
    assert_eq!(unsorted.iter().map(|letter| letter.run).collect::<Vec<_>>(), [run_id(2), run_id(3)]);
    assert_eq!((unsorted[0].recipe, unsorted[0].failed_at), (recipe, at(102)));
    assert_eq!(unsorted[0].error.as_ref().map(|error| error.message.as_str()), Some("it broke"));
    assert_eq!(store.unsorted_failures(1).await.unwrap().len(), 1);
    assert_eq!(counts(&*store, None).await, []);
    store.sort_failures(&[]).await.unwrap();
    store.sort_failures(&[sorted(2, 102, 7), sorted(3, 103, 7), sorted(1, 5, 7), sorted(99, 1, 7)]).await.unwrap();
    assert!(store.unsorted_failures(10).await.unwrap().is_empty());
    assert_eq!(counts(&*store, None).await, [(print(7), 2)]);
    bed.execute("update runs set error = '{', cause = null where dead_letter = 1").await;
    let unsorted = store.unsorted_failures(10).await.unwrap();
    assert!(unsorted.len() == 2 && unsorted.iter().all(|letter| letter.error.is_none()), "damage does not hold up the others");
}

/// Counted, with the newest as a sample; those with the most come first.
pub async fn causes_are_counted(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    fail(&*store, orders, 1..=5).await;
    fail(&*store, returns, 6..=6).await;
    let causes = [(1, 1), (2, 2), (3, 2), (4, 1), (5, 1), (6, 3)];
    let list: Vec<Sorted> =
        causes.iter().map(|(number, cause)| sorted(*number, 100 + i64::try_from(*number).unwrap(), *cause)).collect();
    store.sort_failures(&list).await.unwrap();
    let found = store.causes(None, 10).await.unwrap();
    let error = Some(crate::ErrorRecord { request: None, ..*record("it broke") });
    let expected = Cause {
        fingerprint: print(1),
        recipe: orders,
        slug: "orders".to_owned(),
        title: "The orders".to_owned(),
        count: 3,
        first: at(101),
        last: at(105),
        sample: run_id(5),
        error,
    };
    assert_eq!(found[0], expected);
    assert_eq!(counts(&*store, None).await, [(print(1), 3), (print(2), 2), (print(3), 1)]);
    assert_eq!(counts(&*store, Some(returns)).await, [(print(3), 1)]);
    assert_eq!(store.causes(None, 1).await.unwrap().len(), 1);
    let runs = store.runs(&by_cause(2)).await.unwrap();
    assert_eq!(runs.iter().map(|row| row.id).collect::<Vec<_>>(), [run_id(3), run_id(2)]);
    let counted = async |filter: RunFilter| store.count_dead_letters(&filter).await.unwrap();
    assert_eq!(counted(by_cause(1)).await, 3);
    assert_eq!(counted(RunFilter { limit: 4, ..RunFilter::default() }).await, 4, "counted up to the limit");
    assert_eq!(counted(RunFilter { recipe: Some(returns), limit: 9, ..RunFilter::default() }).await, 1);
}

/// Counted by the hour before now in which they failed, each cause by itself.
pub async fn causes_by_hour(bed: Arc<dyn Bed>) {
    const HOUR: i64 = 3600;
    let store = bed.store();
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    let now = at(100 * HOUR);
    // Of recipe, failed so many seconds before now, for this cause.
    let failures = [
        (orders, 0, 1),
        (orders, HOUR - 1, 1),
        (orders, HOUR, 1),
        (orders, 24 * HOUR - 1, 1),
        (orders, 24 * HOUR, 1),
        (orders, -5, 1),
        (orders, 2 * HOUR, 2),
        (returns, 0, 1),
        (orders, 0, 1),
    ];
    let ended = |before: i64| 100 * HOUR - before;
    let runs = (1..)
        .zip(&failures)
        .map(|(number, (recipe, before, _))| NewRun { then: failed(ended(*before)), ..new_run(*recipe, number) });
    accept_all(&*store, runs).await;
    let list: Vec<Sorted> =
        (1..).zip(&failures).map(|(number, (_, before, cause))| sorted(number, ended(*before), *cause)).collect();
    store.sort_failures(&list).await.unwrap();
    // The last of them is put aside: it waits for nobody any more.
    assert!(store.settle_dead_letter(run_id(9), DeadLetter::Discarded, 1, &next_chunk(1, "x")).await.unwrap());
    let wanted = [(print(2), orders), (print(9), orders), (print(1), orders), (print(1), returns)];
    let hours = store.cause_hours(&wanted, now).await.unwrap();
    let told =
        |hours: &CauseHours| (0..).zip(hours).filter(|(_, count)| **count > 0).map(|(hour, count)| (hour, *count)).collect();
    let told: Vec<Vec<(usize, i64)>> = hours.iter().map(told).collect();
    assert_eq!(told, [vec![(21, 1)], vec![], vec![(0, 1), (22, 1), (23, 3)], vec![(23, 1)]]);
    assert_eq!(store.cause_hours(&[], now).await.unwrap(), [] as [CauseHours; 0]);
}

/// A dead letter that somebody dealt with leaves its cause; one that fails anew may get another.
pub async fn a_cause_is_of_one_failure(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    fail(&*store, recipe, 1..=3).await;
    store.sort_failures(&[sorted(1, 101, 1), sorted(2, 102, 1)]).await.unwrap();
    assert!(store.settle_dead_letter(run_id(1), DeadLetter::Discarded, 1, &next_chunk(1, "x")).await.unwrap());
    assert_eq!(counts(&*store, None).await, [(print(1), 1)]);
    assert!(store.resume(run_id(2), None, 1, &next_chunk(1, "x"), at(200)).await.unwrap());
    assert_eq!((counts(&*store, None).await, store.runs(&by_cause(1)).await.unwrap().len()), (vec![], 0));
    // It fails again, and somebody who looked before that is late with its cause.
    let owner = super::parts::worker(&*store).await;
    let claim = store.claim(owner, at(200), 1).await.unwrap().remove(0);
    let end = super::parts::commit(&claim, owner, failed(300));
    super::parts::write(&*store, &end).await;
    store.sort_failures(&[sorted(2, 102, 1)]).await.unwrap();
    assert_eq!(counts(&*store, None).await, []);
    store.sort_failures(&[sorted(2, 300, 2), sorted(3, 103, 2)]).await.unwrap();
    assert_eq!(counts(&*store, None).await, [(print(2), 2)]);
}

/// A failed run may go on under another version of its recipe.
pub async fn resumed_under_another_version(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    fail(&*store, recipe, 1..=2).await;
    assert!(store.resume(run_id(1), Some(3), 1, &next_chunk(1, "x"), at(200)).await.unwrap());
    assert_eq!(row(&*store, 1).await.version, 3);
    assert!(!store.resume(run_id(2), Some(3), 0, &next_chunk(0, "x"), at(200)).await.unwrap());
    assert_eq!(row(&*store, 2).await.version, 1, "an old picture changes nothing");
    assert!(
        matches!(row(&*store, 2).await, row if row.dead_letter == Some(DeadLetter::Open) && row.status == Then::status(&failed(1)))
    );
}
