//! What screens and the API read.

use std::sync::Arc;

use super::{
    Bed,
    parts::{
        accept, accept_all, at, failed, first_commit, new_run, next_chunk, recipe, run_id, running, succeeded, worker, write,
    },
};
use crate::{DeadLetter, NewRun, RecipeStats, RunFilter, RunId, RunStatus, Store, Then, Timestamp};

async fn numbers(store: &dyn Store, filter: &RunFilter) -> Vec<u64> {
    let all: Vec<RunId> = (0..100).map(run_id).collect();
    let rows = store.runs(filter).await.unwrap();
    rows.iter().map(|row| all.iter().position(|id| *id == row.id).unwrap().try_into().unwrap()).collect()
}

fn all() -> RunFilter {
    RunFilter { limit: 100, ..RunFilter::default() }
}

/// A trivial question is answered.
pub async fn it_answers(bed: Arc<dyn Bed>) {
    bed.store().ping().await.unwrap();
    bed.another().await.ping().await.unwrap();
}

/// Newest first, at most `limit`.
pub async fn runs_newest_first(bed: Arc<dyn Bed>) {
    let store = bed.store();
    assert!(store.runs(&all()).await.unwrap().is_empty());
    let recipe = recipe(&*store, "orders").await;
    for number in [3, 1, 2, 0, 4] {
        accept(&*store, new_run(recipe, number)).await;
    }
    assert_eq!(numbers(&*store, &all()).await, [4, 3, 2, 1, 0]);
    assert_eq!(numbers(&*store, &RunFilter { limit: 2, ..all() }).await, [4, 3]);
    assert_eq!(store.run(run_id(77)).await.unwrap(), None);
    assert_eq!(store.run(run_id(3)).await.unwrap(), Some(store.runs(&all()).await.unwrap()[1].clone()));
}

/// Each filter alone, and all together.
pub async fn filters(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    let labelled = |run, label: &str| NewRun { label: Some(label.to_owned()), ..run };
    let runs = [
        labelled(new_run(orders, 0), "Order 4711 of ACME"),
        NewRun { then: succeeded(20), ..labelled(new_run(returns, 1), "order 4712") },
        NewRun { then: failed(20), ..new_run(orders, 2) },
        NewRun { then: failed(20), ..labelled(new_run(returns, 3), "100% of acme_co") },
        NewRun { then: Then::Cancelled { at: at(20) }, ..new_run(orders, 4) },
    ];
    accept_all(&*store, runs).await;
    assert!(store.settle_dead_letter(run_id(2), DeadLetter::Discarded, 1, &next_chunk(1, "x")).await.unwrap());
    let only = async |filter: RunFilter| numbers(&*store, &filter).await;
    assert_eq!(only(RunFilter { recipe: Some(orders), ..all() }).await, [4, 2, 0]);
    assert_eq!(only(RunFilter { statuses: vec![RunStatus::Failed], ..all() }).await, [3, 2]);
    assert_eq!(only(RunFilter { statuses: vec![RunStatus::Queued, RunStatus::Succeeded], ..all() }).await, [1, 0]);
    assert_eq!(only(RunFilter { dead_letters: true, ..all() }).await, [3]);
    assert_eq!(only(RunFilter { since: Some(at(3)), ..all() }).await, [4, 3], "from the very instant on");
    assert_eq!(only(RunFilter { until: Some(at(3)), ..all() }).await, [2, 1, 0], "the very instant is not in it");
    let text = async |text: &str| numbers(&*store, &RunFilter { text: Some(text.to_owned()), ..all() }).await;
    assert_eq!(text("ORDER").await, [1, 0], "capitals do not matter");
    assert_eq!((text("acme").await, text("4712").await), (vec![3, 0], vec![1]));
    assert_eq!((text("%").await, text("_").await, text("\\").await), (vec![3], vec![3], vec![]), "nothing is a wildcard");
    assert_eq!(text(&run_id(2).to_string()).await, [2]);
    let together = RunFilter {
        recipe: Some(returns),
        statuses: vec![RunStatus::Failed],
        text: Some("acme".to_owned()),
        since: Some(at(1)),
        until: Some(at(9)),
        before: Some(run_id(4)),
        dead_letters: true,
        cause: None,
        limit: 10,
    };
    assert_eq!(only(together.clone()).await, [3]);
    assert!(only(RunFilter { recipe: Some(orders), ..together }).await.is_empty());
}

/// Page by page, nothing twice and nothing left out, while new runs arrive.
pub async fn paging(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (0..25).map(|number| new_run(recipe, number))).await;
    let mut filter = RunFilter { limit: 10, ..RunFilter::default() };
    let mut seen = Vec::new();
    loop {
        let page = numbers(&*store, &filter).await;
        let Some(last) = page.last() else { break };
        filter.before = Some(run_id(*last));
        seen.extend(page);
        accept(&*store, new_run(recipe, 30 + u64::try_from(seen.len()).unwrap())).await;
    }
    assert_eq!(seen, (0..25).rev().collect::<Vec<_>>());
}

/// The journal from a number on, oldest first.
pub async fn chunks_from(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    for seq in 1..12 {
        let mut commit = first_commit(1, owner, Then::Running);
        (commit.seq, commit.chunk) = (seq, next_chunk(seq, "x"));
        write(&*store, &commit).await;
    }
    let from = async |seq| store.chunks(run_id(1), seq, u32::MAX).await.unwrap().iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
    assert_eq!(from(0).await, (0..12).collect::<Vec<_>>());
    assert_eq!((from(10).await, from(12).await), (vec![10, 11], vec![]));
    let part: Vec<i32> = store.chunks(run_id(1), 3, 2).await.unwrap().iter().map(|(seq, _)| *seq).collect();
    assert_eq!(part, [3, 4]);
    assert_eq!((store.next_seq(run_id(1)).await.unwrap(), store.next_seq(run_id(2)).await.unwrap()), (12, 0));
    assert!(store.chunks(run_id(2), 0, u32::MAX).await.unwrap().is_empty());
}

/// Half a millisecond after run 5: ids only know milliseconds.
fn just_after_5() -> Timestamp {
    Timestamp::from_micros(at(5).micros() + 500)
}

/// Runs by status, of a recipe and a period.
pub async fn counts(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    assert!(store.run_counts(None, at(0)).await.unwrap().is_empty());
    accept_all(&*store, (0..4).map(|number| new_run(orders, number))).await;
    accept_all(&*store, (4..7).map(|number| NewRun { then: failed(9), ..new_run(returns, number) })).await;
    let counts = async |recipe, since| {
        let mut counts = store.run_counts(recipe, since).await.unwrap();
        counts.sort_by_key(|(status, _)| status.number());
        counts
    };
    assert_eq!(counts(None, at(0)).await, [(RunStatus::Queued, 4), (RunStatus::Failed, 3)]);
    assert_eq!(counts(Some(orders), at(0)).await, [(RunStatus::Queued, 4)]);
    assert_eq!(counts(None, at(3)).await, [(RunStatus::Queued, 1), (RunStatus::Failed, 3)]);
    assert_eq!(counts(None, just_after_5()).await, [(RunStatus::Failed, 1)]);
    assert_eq!(counts(Some(orders), at(50)).await, []);
}

/// What each recipe did in a period.
pub async fn stats(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    recipe(&*store, "never").await;
    accept_all(&*store, (0..4).map(|number| NewRun { then: succeeded(9), ..new_run(orders, number) })).await;
    accept_all(&*store, (4..6).map(|number| NewRun { then: failed(9), ..new_run(orders, number) })).await;
    accept(&*store, new_run(returns, 6)).await;
    let stats = async |since, recipe| {
        let stats = store.recipe_stats(since).await.unwrap();
        stats.iter().find(|(id, _)| *id == recipe).map(|(_, stats)| *stats)
    };
    let expected = |runs, succeeded, failed, last| Some(RecipeStats { runs, succeeded, failed, last_run_at: Some(at(last)) });
    assert_eq!(stats(at(0), orders).await, expected(6, 4, 2, 5));
    assert_eq!(stats(at(0), returns).await, expected(1, 0, 0, 6));
    assert_eq!(stats(at(3), orders).await, expected(3, 1, 2, 5));
    assert_eq!((stats(just_after_5(), orders).await, store.recipe_stats(at(0)).await.unwrap().len()), (None, 2));
}
