//! Claims: what is due, oldest first, to one worker at a time, with the whole journal.

use std::{collections::HashSet, sync::Arc};

use tokio::task::JoinSet;

use super::{
    Bed,
    parts::{
        accept, accept_all, at, commit, first_chunk, first_commit, new_run, recipe, row, run_id, running, succeeded, worker,
        write,
    },
};
use crate::{Committed, NewRun, RecipeId, RunId, RunStatus, Then, WaitingFor, WorkerId};

/// At most `limit` runs, those due longest.
pub async fn oldest_due_first(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    // Run 0 is due last.
    let runs = (0..6).map(|number| {
        let due_at = at(20 - i64::try_from(number).unwrap());
        NewRun { then: Then::Queued { due_at }, ..new_run(recipe, number) }
    });
    accept_all(&*store, runs).await;
    let ids = async |limit| {
        let claims = store.claim(owner, at(30), limit).await.unwrap();
        claims.iter().map(|claim| claim.id).collect::<HashSet<_>>()
    };
    assert_eq!(ids(0).await, HashSet::new());
    assert_eq!(ids(2).await, HashSet::from([run_id(5), run_id(4)]));
    assert_eq!(ids(3).await, HashSet::from([run_id(3), run_id(2), run_id(1)]));
    assert_eq!(ids(100).await, HashSet::from([run_id(0)]));
    assert_eq!(ids(100).await, HashSet::new());
}

/// A claim carries everything needed to go on.
pub async fn a_claim_has_everything(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [running(recipe, 1, owner), running(recipe, 2, owner)]).await;
    for seq in 1..12 {
        let then = if seq == 11 { Then::Queued { due_at: at(30) } } else { Then::Running };
        let mut one = first_commit(1, owner, then);
        (one.seq, one.attempts, one.chunk) = (seq, 4, super::parts::next_chunk(seq, "x"));
        assert_eq!(write(&*store, &one).await, Committed::Done);
    }
    write(&*store, &first_commit(2, owner, Then::Queued { due_at: at(30) })).await;
    let claims = bed.another().await.claim(owner, at(30), 10).await.unwrap();
    assert_eq!(claims.len(), 2);
    let claim = claims.iter().find(|claim| claim.id == run_id(1)).unwrap();
    assert_eq!((claim.recipe, claim.version, claim.attempts, claim.epoch), (recipe, 1, 4, 2));
    let numbers: Vec<_> = claim.chunks.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (0..12).collect::<Vec<_>>(), "oldest first");
    assert_eq!(claim.chunks[0].1, first_chunk(1));
    let row = row(&*store, 1).await;
    assert_eq!((row.status, row.due_at, row.waiting_for), (RunStatus::Running, None, None));
}

/// A waiting run is nobody's until it is due.
pub async fn not_before_it_is_due(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let then = Then::Waiting { reason: WaitingFor::Timer, due_at: at(60) };
    accept_all(&*store, [NewRun { then, ..new_run(recipe, 1) }, NewRun { then: succeeded(2), ..new_run(recipe, 2) }]).await;
    assert!(store.claim(owner, at(59), 10).await.unwrap().is_empty());
    let claims = store.claim(owner, at(60), 10).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), [run_id(1)]);
    assert!(store.claim(owner, at(1000), 10).await.unwrap().is_empty(), "running and ended runs are not due");
}

/// Every change of owner has its own epoch.
pub async fn the_epoch_rises(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, new_run(recipe, 1)).await;
    let mut last = 0;
    for second in 10..15 {
        let claim = store.claim(owner, at(second), 1).await.unwrap().remove(0);
        assert!(claim.epoch > last, "{} after {last}", claim.epoch);
        last = claim.epoch;
        write(&*store, &commit(&claim, owner, Then::Queued { due_at: at(second) })).await;
    }
}

/// The next due time counts runs that wait, not those that run or are over.
pub async fn what_is_due_next(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    assert_eq!(store.next_due().await.unwrap(), None);
    accept_all(&*store, [running(recipe, 1, owner), NewRun { then: succeeded(2), ..new_run(recipe, 2) }]).await;
    assert_eq!(store.next_due().await.unwrap(), None);
    let waiting =
        |number, due| NewRun { then: Then::Waiting { reason: WaitingFor::Timer, due_at: at(due) }, ..new_run(recipe, number) };
    accept_all(&*store, [waiting(3, 70), waiting(4, 60), waiting(5, 80)]).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(60)));
    assert_eq!(store.claim(owner, at(65), 10).await.unwrap().len(), 1);
    assert_eq!(store.next_due().await.unwrap(), Some(at(70)));
}

/// The backlog is what is due and unowned, counted so far and no further.
pub async fn the_backlog_is_counted(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, (1..=10).map(|number| new_run(recipe, number))).await;
    accept(&*store, running(recipe, 11, owner)).await;
    assert_eq!(store.backlog(at(100), 1000).await.unwrap(), 10);
    assert_eq!(store.backlog(at(100), 4).await.unwrap(), 4);
    assert_eq!(store.backlog(at(3), 1000).await.unwrap(), 3);
    store.claim(owner, at(100), 7).await.unwrap();
    assert_eq!(store.backlog(at(100), 1000).await.unwrap(), 3);
}

/// A flood of one recipe: another one's runs, due later than all of it, are among the next claims.
pub async fn recipes_take_turns(bed: Arc<dyn Bed>) {
    const FLOOD: u64 = 10_000;
    let store = bed.store();
    let (flood, small) = (recipe(&*store, "flood").await, recipe(&*store, "small").await);
    let owner = worker(&*store).await;
    for group in 0..FLOOD / 500 {
        accept_all(&*store, (0..500).map(|number| new_run(flood, group * 500 + number))).await;
    }
    accept_all(&*store, (0..10).map(|number| new_run(small, FLOOD + number))).await;
    let now = at(20_000);
    let mut taken = Vec::new();
    for _ in 0..2 {
        let claims = store.claim(owner, now, 32).await.unwrap();
        assert_eq!(claims.len(), 32);
        taken.extend(claims.iter().map(|claim| (claim.recipe, claim.id)));
    }
    assert_eq!(taken.iter().filter(|(recipe, _)| *recipe == small).count(), 10, "all ten by the second claim");
    // Of the flood itself the oldest came first.
    let oldest: HashSet<RunId> = (0..54).map(run_id).collect();
    assert_eq!(taken.iter().filter(|(_, id)| oldest.contains(id)).count(), 54);
    // One after the other, all of it is claimed, and nothing twice.
    let mut all: HashSet<RunId> = taken.into_iter().map(|(_, id)| id).collect();
    loop {
        let claims = store.claim(owner, now, 500).await.unwrap();
        assert!(claims.iter().all(|claim| all.insert(claim.id)));
        if claims.is_empty() {
            break;
        }
    }
    assert_eq!(all.len(), 10_010);
}

/// Runs of recipes that have enough are left where they are, however many and however old.
pub async fn busy_recipes_are_passed_over(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (flood, small) = (recipe(&*store, "flood").await, recipe(&*store, "small").await);
    let owner = worker(&*store).await;
    accept_all(&*store, (0..100).map(|number| new_run(flood, number))).await;
    accept_all(&*store, (100..103).map(|number| new_run(small, number))).await;
    let ids = async |limit, busy: &[RecipeId]| {
        let claims = store.claim_others(owner, at(102), limit, busy).await.unwrap();
        claims.iter().map(|claim| claim.id).collect::<Vec<_>>()
    };
    assert!(ids(10, &[flood, small]).await.is_empty());
    assert_eq!(ids(1, &[flood]).await, [run_id(100)]);
    assert_eq!(ids(10, &[flood]).await, [run_id(101), run_id(102)], "no more than there is");
    assert!(ids(10, &[flood]).await.is_empty());
    assert_eq!(ids(2, &[]).await, [run_id(0), run_id(1)]);
    assert_eq!(store.backlog(at(102), 1000).await.unwrap(), 98);
    let nobody = WorkerId(owner.0 + 1);
    assert!(store.claim_others(nobody, at(102), 10, &[small]).await.unwrap().is_empty(), "a dead worker claims nothing");
}

/// Eight claimers at once, in two processes: every run goes to exactly one.
pub async fn nobody_claims_twice(bed: Arc<dyn Bed>) {
    const RUNS: u64 = 200;
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (0..RUNS).map(|number| new_run(recipe, number))).await;
    let mut claimers = JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
        claimers.spawn(async move {
            let owner = worker(&*store).await;
            let mut mine: Vec<RunId> = Vec::new();
            loop {
                let claims = store.claim(owner, at(1000), 7).await.unwrap();
                mine.extend(claims.iter().map(|claim| claim.id));
                // Others may have held what was due while we looked.
                if claims.is_empty() && store.backlog(at(1000), 1).await.unwrap() == 0 {
                    return mine;
                }
            }
        });
    }
    let taken: Vec<RunId> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!((taken.len(), taken.iter().collect::<HashSet<_>>().len()), (200, 200));
}

/// Runs that move from worker to worker as fast as they can: a claim never misses a chunk.
pub async fn a_claim_has_every_chunk_while_runs_move(bed: Arc<dyn Bed>) {
    const ROUNDS: i64 = 40;
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (0..6).map(|number| new_run(recipe, number))).await;
    let mut workers = JoinSet::new();
    for number in 0..6 {
        let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
        workers.spawn(async move {
            let owner = worker(&*store).await;
            loop {
                let claims = store.claim(owner, at(1000), 2).await.unwrap();
                if claims.is_empty() && store.next_due().await.unwrap().is_none() {
                    return;
                }
                for claim in claims {
                    // One claim, one commit: the epoch says how many chunks there must be.
                    assert_eq!(i64::try_from(claim.chunks.len()).unwrap(), claim.epoch - 1, "{}", claim.id);
                    let then = if claim.epoch > ROUNDS { succeeded(2000) } else { Then::Queued { due_at: at(1000) } };
                    assert_eq!(write(&*store, &commit(&claim, owner, then)).await, Committed::Done);
                }
            }
        });
    }
    workers.join_all().await;
    // A worker that saw nothing due stops while others still hold runs; what is left ends here.
    let owner = worker(&*store).await;
    while store.next_due().await.unwrap().is_some() {
        for claim in store.claim(owner, at(1000), 10).await.unwrap() {
            assert_eq!(i64::try_from(claim.chunks.len()).unwrap(), claim.epoch - 1);
            let then = if claim.epoch > ROUNDS { succeeded(2000) } else { Then::Queued { due_at: at(1000) } };
            assert_eq!(write(&*store, &commit(&claim, owner, then)).await, Committed::Done);
        }
    }
    assert_eq!(store.run_counts(None, at(0)).await.unwrap(), [(RunStatus::Succeeded, 6)]);
}
