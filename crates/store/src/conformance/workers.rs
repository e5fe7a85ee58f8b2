//! Processes and their leases.

use std::sync::Arc;

use super::{
    Bed,
    parts::{
        accept, accept_all, at, chunk_count, commit, first_commit, new_run, recipe, row, run_id, running, succeeded, worker,
        write,
    },
};
use crate::{Committed, RunStatus, Then, WorkerId};

/// Who renews in time is not reaped; the lease ends at its very instant, not before.
pub async fn a_lease_is_renewed(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let owner = store.register_worker("a", at(0), at(10)).await.unwrap();
    assert_eq!(store.reap_workers(at(10)).await.unwrap().runs, 0);
    let other = store.register_worker("b", at(0), at(15)).await.unwrap();
    assert_eq!(store.reap_workers(at(10)).await.unwrap().next, Some(at(10)), "the soonest end");
    assert!(store.renew_worker(owner, at(20)).await.unwrap());
    assert_eq!(store.reap_workers(at(11)).await.unwrap().next, Some(at(15)));
    assert!(store.renew_worker(owner, at(30)).await.unwrap());
    assert_eq!(store.reap_workers(at(16)).await.unwrap().next, Some(at(30)));
    assert!(!store.renew_worker(other, at(40)).await.unwrap(), "the other was declared dead");
    assert_eq!(store.reap_workers(at(31)).await.unwrap().runs, 0, "it owned nothing");
    assert!(!store.renew_worker(owner, at(40)).await.unwrap());
    assert!(!store.renew_worker(WorkerId(-5), at(40)).await.unwrap());
}

/// A worker that was frozen too long finds that everything went on without it.
pub async fn a_dead_worker_owns_nothing(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let frozen = store.register_worker("frozen", at(0), at(10)).await.unwrap();
    accept_all(&*store, [running(recipe, 1, frozen), running(recipe, 2, frozen), new_run(recipe, 3)]).await;
    let claimed = store.claim(frozen, at(5), 1).await.unwrap().remove(0);
    write(&*store, &first_commit(2, frozen, succeeded(6))).await;
    assert_eq!(store.reap_workers(at(11)).await.unwrap().runs, 2);
    assert_eq!(store.reap_workers(at(11)).await.unwrap().runs, 0);
    let freed = row(&*store, 1).await;
    assert_eq!((freed.status, freed.due_at), (RunStatus::Queued, Some(at(1))), "due since it was accepted");

    assert!(!store.renew_worker(frozen, at(100)).await.unwrap());
    assert!(store.claim(frozen, at(100), 10).await.unwrap().is_empty());
    for then in [Then::Running, succeeded(12)] {
        assert_eq!(write(&*store, &first_commit(1, frozen, then.clone())).await, Committed::LeaseLost);
        assert_eq!(write(&*store, &commit(&claimed, frozen, then)).await, Committed::LeaseLost);
    }
    assert_eq!((chunk_count(&*store, 1).await, chunk_count(&*store, 3).await), (1, 1));

    let next = worker(&*store).await;
    let claims = store.claim(next, at(11), 10).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), [run_id(1), run_id(3)]);
    assert!(claims[0].epoch > 1 && claims[1].epoch > claimed.epoch);
    assert_eq!(write(&*store, &commit(&claims[0], next, succeeded(12))).await, Committed::Done);
    assert_eq!(write(&*store, &first_commit(1, frozen, succeeded(12))).await, Committed::LeaseLost);
}

/// A run that its own process lost sight of is let go; whoever held it before writes no more.
pub async fn a_stray_run_is_let_go(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let (owner, other) = (worker(&*store).await, worker(&*store).await);
    accept_all(&*store, [running(recipe, 1, owner), running(recipe, 2, owner), running(recipe, 3, other)]).await;
    let mut owned = store.owned_runs(owner, 10).await.unwrap();
    owned.sort_unstable();
    assert_eq!(owned, [run_id(1), run_id(2)]);
    assert_eq!(store.owned_runs(owner, 1).await.unwrap().len(), 1);
    assert_eq!(store.free_runs(owner, &[run_id(2), run_id(3), run_id(9)], at(7)).await.unwrap(), 1, "only its own");
    assert_eq!(store.free_runs(owner, &[], at(7)).await.unwrap(), 0);
    let freed = row(&*store, 2).await;
    assert_eq!((freed.status, freed.due_at), (RunStatus::Queued, Some(at(7))));
    assert_eq!(write(&*store, &first_commit(2, owner, Then::Running)).await, Committed::LeaseLost);
    assert_eq!(write(&*store, &first_commit(1, owner, Then::Running)).await, Committed::Done);
    let claims = store.claim(other, at(8), 10).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), [run_id(2)]);
}

/// Reaping one leaves the others alone.
pub async fn a_living_worker_keeps_its_runs(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let dead = store.register_worker("dead", at(0), at(10)).await.unwrap();
    let living = store.register_worker("living", at(0), at(100)).await.unwrap();
    accept_all(&*store, [running(recipe, 1, dead), running(recipe, 2, living)]).await;
    assert_eq!(store.reap_workers(at(50)).await.unwrap().runs, 1);
    assert!(store.renew_worker(living, at(200)).await.unwrap());
    assert_eq!(row(&*store, 2).await.status, RunStatus::Running);
    assert_eq!(write(&*store, &first_commit(2, living, succeeded(60))).await, Committed::Done);
}

/// A worker that stops in good order frees its runs at once, and only its own.
pub async fn an_orderly_stop(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, stopping, other) = (recipe(&*store, "orders").await, worker(&*store).await, worker(&*store).await);
    accept_all(&*store, [running(recipe, 1, stopping), running(recipe, 2, stopping), running(recipe, 3, other)]).await;
    assert_eq!(store.release_worker(stopping, at(20)).await.unwrap(), 2);
    assert_eq!(store.release_worker(stopping, at(20)).await.unwrap(), 0);
    assert!(!store.renew_worker(stopping, at(100)).await.unwrap());
    assert_eq!(write(&*store, &first_commit(1, stopping, Then::Running)).await, Committed::LeaseLost);
    assert_eq!((store.next_due().await.unwrap(), store.backlog(at(20), 10).await.unwrap()), (Some(at(20)), 2));
    assert_eq!(store.claim(other, at(20), 10).await.unwrap().len(), 2);
    assert_eq!(row(&*store, 3).await.status, RunStatus::Running);
}

/// A new process is never mistaken for an old one.
pub async fn ids_are_never_used_twice(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let mut last = WorkerId(i64::MIN);
    for _ in 0..5 {
        let next = store.register_worker("same name", at(0), at(10)).await.unwrap();
        assert!(next > last, "{next:?} after {last:?}");
        last = next;
        store.release_worker(next, at(1)).await.unwrap();
    }
}

/// A run accepted for a worker that was declared dead meanwhile is freed by the next reaping.
pub async fn a_run_of_nobody_is_freed(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let dead = store.register_worker("dead", at(0), at(10)).await.unwrap();
    store.reap_workers(at(11)).await.unwrap();
    accept(&*store, running(recipe, 1, dead)).await;
    // The clock of the process that accepted it may be ahead: freed means claimable, at once.
    accept(&*store, running(recipe, 60, dead)).await;
    assert_eq!(store.reap_workers(at(12)).await.unwrap().runs, 2);
    assert_eq!((row(&*store, 1).await.due_at, row(&*store, 60).await.due_at), (Some(at(1)), Some(at(12))));
}
