//! Grouped writes, with a store that fails: every answer is right, nothing is lost or done twice.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    Bed,
    faulty::{Fault, FaultyStore},
    parts::{accept_all, at, chunk_count, first_commit, keyed, next_chunk, recipe, row, run_id, running, succeeded, worker},
};
use crate::{Accepted, Committed, GroupSettings, RecipeId, RunStatus, Store, StoreError, Then, WorkerId, Writer};

const RUNS: u64 = 200;

fn keyed_run(recipe: RecipeId, number: u64, owner: WorkerId) -> crate::NewRun {
    keyed(running(recipe, number, owner), u8::try_from(number % 200).unwrap(), at(1_000_000))
}

/// Accepts and commits `RUNS` runs, all at once, and checks every answer and what is kept.
async fn check(store: &dyn Store, writer: &Writer) {
    let (recipe, owner) = (recipe(store, "orders").await, worker(store).await);
    let mut wishes = JoinSet::new();
    for number in 0..RUNS {
        let writer = writer.clone();
        wishes.spawn(async move {
            assert_eq!(writer.accept(keyed_run(recipe, number, owner)).await.unwrap(), Accepted::New, "run {number}");
            // A sender that did not wait for the answer.
            let again = writer.accept(keyed_run(recipe, 1000 + number, owner)).await.unwrap();
            assert_eq!(again, Accepted::Duplicate { run: run_id(number), same_content: true }, "run {number}");
            let mut stale = first_commit(number, owner, succeeded(900));
            (stale.epoch, stale.chunk) = (7, next_chunk(1, "stale"));
            let then = if number % 4 == 0 { Then::Running } else { succeeded(900) };
            let ours = writer.commit(first_commit(number, owner, then));
            let (stale, ours) = tokio::join!(writer.commit(stale), ours);
            assert_eq!((stale.unwrap(), ours.unwrap()), (Committed::LeaseLost, Committed::Done), "run {number}");
        });
    }
    wishes.join_all().await;
    for number in 0..RUNS {
        let expected = if number % 4 == 0 { RunStatus::Running } else { RunStatus::Succeeded };
        assert_eq!((row(store, number).await.status, chunk_count(store, number).await), (expected, 2), "run {number}");
    }
    let total: i64 = store.run_counts(None, at(0)).await.unwrap().iter().map(|(_, runs)| runs).sum();
    assert_eq!(u64::try_from(total).unwrap(), RUNS, "no run but these");
}

/// Two hundred at once: each gets its own answer, and far fewer transactions are made.
pub async fn many_at_once(bed: Arc<dyn Bed>) {
    let faulty = Arc::new(FaultyStore::new(bed.store(), []));
    let writer = Writer::start(Arc::clone(&faulty) as Arc<dyn Store>, GroupSettings::default());
    check(&*bed.store(), &writer).await;
    let writes = faulty.writes();
    let transitions = usize::try_from(4 * RUNS).unwrap();
    assert_eq!(writes.iter().sum::<usize>(), transitions);
    assert!(writes.len() < transitions / 2, "{} transactions for {transitions} transitions", writes.len());
}

/// One transition that cannot be written does not fail its neighbours.
pub async fn a_bad_one_fails_alone(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, (100..140).map(|number| running(recipe, number, owner))).await;
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&store), []));
    faulty.refuse(run_id(7));
    faulty.refuse(run_id(107));
    let writer = Writer::start(faulty, GroupSettings::default());
    let mut wishes = JoinSet::new();
    for number in 0..40_u64 {
        let writer = writer.clone();
        wishes.spawn(async move {
            let accepted = writer.accept(running(recipe, number, owner));
            let committed = writer.commit(first_commit(100 + number, owner, succeeded(900)));
            let (accepted, committed) = tokio::join!(accepted, committed);
            if number == 7 {
                assert!(matches!(accepted, Err(StoreError::Internal(_))), "{accepted:?}");
                assert!(matches!(committed, Err(StoreError::Internal(_))), "{committed:?}");
            } else {
                assert_eq!((accepted.unwrap(), committed.unwrap()), (Accepted::New, Committed::Done), "run {number}");
            }
        });
    }
    wishes.join_all().await;
    assert_eq!((store.run(run_id(7)).await.unwrap(), row(&*store, 107).await.status), (None, RunStatus::Running));
}

/// Writes that are durable although nobody was told are written again and change nothing.
pub async fn an_answer_is_lost(bed: Arc<dyn Bed>) {
    let script = [Fault::After, Fault::None, Fault::Before, Fault::After, Fault::After].into_iter().cycle().take(40);
    let faulty = FaultyStore::new(bed.store(), script);
    let settings = GroupSettings { group_max: 32, ..GroupSettings::default() };
    let writer = Writer::start(Arc::new(faulty), settings);
    check(&*bed.store(), &writer).await;
}

/// A database that is away for a moment costs a moment.
pub async fn the_store_comes_back(bed: Arc<dyn Bed>) {
    let faulty = Arc::new(FaultyStore::new(bed.store(), [Fault::Before; 6]));
    let writer = Writer::start(Arc::clone(&faulty) as Arc<dyn Store>, GroupSettings::default());
    check(&*bed.store(), &writer).await;
    assert!(faulty.writes().len() > 6);
}

/// A database that stays away is reported in time, and the same run may be written later.
pub async fn the_store_stays_away(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let settings = GroupSettings { retry_for: Duration::from_millis(120), ..GroupSettings::default() };
    let script = [Fault::After].into_iter().chain(std::iter::repeat_n(Fault::Before, 1000));
    let writer = Writer::start(Arc::new(FaultyStore::new(Arc::clone(&store), script)), settings);
    let run = keyed_run(recipe, 1, owner);
    assert!(matches!(writer.accept(run.clone()).await, Err(StoreError::Unavailable(_))));
    let commit = first_commit(1, owner, succeeded(900));
    assert!(matches!(writer.commit(commit.clone()).await, Err(StoreError::Unavailable(_))));
    // It was written after all.
    assert_eq!(row(&*store, 1).await.status, RunStatus::Running);
    let writer = Writer::start(Arc::clone(&store), settings);
    assert_eq!(writer.accept(run).await.unwrap(), Accepted::New);
    assert_eq!(writer.commit(commit).await.unwrap(), Committed::Done);
    assert_eq!((row(&*store, 1).await.status, chunk_count(&*store, 1).await), (RunStatus::Succeeded, 2));
}

/// Two groups on their way at once, with lost answers.
pub async fn two_lanes(bed: Arc<dyn Bed>) {
    let script = [Fault::None, Fault::After, Fault::None, Fault::Before].into_iter().cycle().take(60);
    let faulty = FaultyStore::new(bed.store(), script);
    let settings = GroupSettings { group_max: 16, lanes: 2, ..GroupSettings::default() };
    let writer = Writer::start(Arc::new(faulty), settings);
    check(&*bed.store(), &writer).await;
}
