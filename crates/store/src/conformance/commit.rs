//! Commits of owned runs: fenced, all or nothing, the same twice changes nothing.

use std::sync::Arc;

use super::{
    Bed,
    parts::{
        accept, accept_all, at, chunk_count, commit, failed, first_chunk, first_commit, new_run, next_chunk, recipe, row, run_id,
        running, succeeded, worker, write, write_all,
    },
};
use crate::{Committed, DeadLetter, RunCommit, RunStatus, Then, WaitingFor, WorkerId};

/// A commit of a run that goes on appends its chunk and changes nothing else.
pub async fn a_chunk_is_added(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    let before = row(&*store, 1).await;
    assert_eq!(write(&*store, &first_commit(1, owner, Then::Running)).await, Committed::Done);
    let second = RunCommit { seq: 2, chunk: next_chunk(2, "second"), ..first_commit(1, owner, Then::Running) };
    assert_eq!(write(&*store, &second).await, Committed::Done);
    assert_eq!(row(&*store, 1).await, before);
    let chunks = [(0, first_chunk(1)), (1, next_chunk(1, "first")), (2, next_chunk(2, "second"))];
    assert_eq!(bed.another().await.chunks(run_id(1), 0, u32::MAX).await.unwrap(), chunks);
}

/// A parked run belongs to nobody and says what it waits for.
pub async fn a_run_is_parked(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [running(recipe, 1, owner), running(recipe, 2, owner)]).await;
    let parked = Then::Waiting { reason: WaitingFor::Retry, due_at: at(30) };
    let queued = Then::Queued { due_at: at(20) };
    let outcomes = write_all(&*store, [first_commit(1, owner, parked), first_commit(2, owner, queued)]).await;
    assert_eq!(outcomes, [Committed::Done; 2]);
    let waiting = row(&*store, 1).await;
    assert_eq!((waiting.status, waiting.waiting_for), (RunStatus::Waiting, Some(WaitingFor::Retry)));
    assert_eq!((waiting.due_at, waiting.attempts, waiting.ended_at), (Some(at(30)), 1, None));
    let queued = row(&*store, 2).await;
    assert_eq!((queued.status, queued.waiting_for, queued.due_at), (RunStatus::Queued, None, Some(at(20))));
    let on = RunCommit { seq: 2, ..first_commit(1, owner, Then::Running) };
    assert_eq!(write(&*store, &on).await, Committed::LeaseLost, "its owner let go of it");
}

/// A run that is let go of as it is leaves nothing in its journal, and the fence holds for it, too.
pub async fn a_run_is_let_go_as_it_is(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, (1..5).map(|number| running(recipe, number, owner))).await;
    let parked = |at_second| Then::Waiting { reason: WaitingFor::Circuit, due_at: at(at_second) };
    let let_go = |number, then| RunCommit { chunk: Vec::new(), attempts: 0, ..first_commit(number, owner, then) };
    let stale = RunCommit { epoch: 2, ..let_go(2, parked(30)) };
    let not_theirs = RunCommit { owner: WorkerId(owner.0 + 1), ..let_go(3, parked(30)) };
    let queued = Then::Queued { due_at: at(20) };
    let group = [let_go(1, parked(30)), stale, first_commit(4, owner, Then::Running), not_theirs];
    let outcomes = write_all(&*store, group).await;
    assert_eq!(outcomes, [Committed::Done, Committed::LeaseLost, Committed::Done, Committed::LeaseLost]);
    assert_eq!(write(&*store, &let_go(2, queued)).await, Committed::Done);
    let waiting = row(&*store, 1).await;
    assert_eq!(
        (waiting.status, waiting.waiting_for, waiting.due_at),
        (RunStatus::Waiting, Some(WaitingFor::Circuit), Some(at(30)))
    );
    assert_eq!((row(&*store, 2).await.status, row(&*store, 3).await.status), (RunStatus::Queued, RunStatus::Running));
    for (number, chunks) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        assert_eq!(chunk_count(&*store, number).await, chunks);
    }
    // Its answer was lost: the same again changes nothing.
    assert_eq!(write(&*store, &let_go(1, parked(30))).await, Committed::Done);
    assert_eq!(row(&*store, 1).await, waiting);
    let claims = store.claim(owner, at(40), 10).await.unwrap();
    assert_eq!(claims.len(), 2);
    assert_eq!(write(&*store, &let_go(1, parked(50))).await, Committed::LeaseLost, "somebody took it since");
    let again = RunCommit { epoch: 2, ..let_go(1, parked(50)) };
    assert_eq!(write(&*store, &again).await, Committed::Done);
    assert_eq!((row(&*store, 1).await.due_at, chunk_count(&*store, 1).await), (Some(at(50)), 1));
}

/// An ended run says when and how.
pub async fn a_run_ends(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let ends = [succeeded(10), failed(11), Then::Cancelled { at: at(12) }];
    accept_all(&*store, (0..3).map(|number| running(recipe, number, owner))).await;
    let commits = ends.iter().zip(0..).map(|(then, number)| first_commit(number, owner, then.clone()));
    assert_eq!(write_all(&*store, commits).await, [Committed::Done; 3]);
    for (then, number) in ends.iter().zip(0..) {
        let row = row(&*store, number).await;
        assert_eq!((row.status, row.ended_at, row.due_at), (then.status(), then.ended_at(), None));
        assert_eq!(row.error.is_some(), row.status == RunStatus::Failed);
        assert_eq!(row.dead_letter, (row.status == RunStatus::Failed).then_some(DeadLetter::Open));
        let on = RunCommit { seq: 2, ..first_commit(number, owner, Then::Running) };
        assert_eq!(write(&*store, &on).await, Committed::LeaseLost, "{then:?}");
    }
}

/// Who is not the owner writes nothing.
pub async fn a_stale_owner_is_refused(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    let before = row(&*store, 1).await;
    for then in [Then::Running, succeeded(9)] {
        let theirs = first_commit(1, WorkerId(owner.0 + 1), then);
        assert_eq!(write(&*store, &theirs).await, Committed::LeaseLost);
    }
    assert_eq!((row(&*store, 1).await, chunk_count(&*store, 1).await), (before, 1));
}

/// Who owned the run once writes nothing, also when it owns it again.
pub async fn a_stale_epoch_is_refused(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, new_run(recipe, 1)).await;
    let first = store.claim(owner, at(5), 1).await.unwrap().remove(0);
    assert_eq!(write(&*store, &commit(&first, owner, Then::Queued { due_at: at(6) })).await, Committed::Done);
    let second = store.claim(owner, at(6), 1).await.unwrap().remove(0);
    for then in [Then::Running, succeeded(9)] {
        let late = RunCommit { epoch: first.epoch, chunk: next_chunk(2, "late"), ..commit(&second, owner, then) };
        assert_eq!(write(&*store, &late).await, Committed::LeaseLost);
    }
    assert_eq!((row(&*store, 1).await.status, chunk_count(&*store, 1).await), (RunStatus::Running, 2));
    assert_eq!(write(&*store, &commit(&second, owner, succeeded(9))).await, Committed::Done);
}

/// A run that does not exist is nobody's.
pub async fn an_unknown_run_is_refused(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let owner = worker(&*store).await;
    assert_eq!(write(&*store, &first_commit(1, owner, succeeded(2))).await, Committed::LeaseLost);
    assert_eq!((store.run(run_id(1)).await.unwrap(), chunk_count(&*store, 1).await), (None, 0));
}

/// In a group, one stale run fails alone.
pub async fn one_stale_run_fails_alone(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, (0..5).map(|number| running(recipe, number, owner))).await;
    let mut commits: Vec<_> = (0..5).map(|number| first_commit(number, owner, succeeded(9))).collect();
    commits[1].epoch = 2;
    commits[3].owner = WorkerId(owner.0 + 1);
    let (done, lost) = (Committed::Done, Committed::LeaseLost);
    assert_eq!(write_all(&*store, commits).await, [done, lost, done, lost, done]);
    for number in 0..5 {
        let expected = if number % 2 == 0 { (RunStatus::Succeeded, 2) } else { (RunStatus::Running, 1) };
        assert_eq!((row(&*store, number).await.status, chunk_count(&*store, number).await), expected, "run {number}");
    }
}

/// Writing the same commit again, after a lost answer, is answered the same and changes nothing.
pub async fn the_same_commit_twice(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let thens = [
        Then::Running,
        Then::Queued { due_at: at(20) },
        Then::Waiting { reason: WaitingFor::Timer, due_at: at(30) },
        succeeded(10),
        failed(11),
    ];
    accept_all(&*store, (0..5).map(|number| running(recipe, number, owner))).await;
    let commits: Vec<_> = thens.iter().zip(0..).map(|(then, number)| first_commit(number, owner, then.clone())).collect();
    assert_eq!(write_all(&*store, commits.clone()).await, [Committed::Done; 5]);
    let mut before = Vec::new();
    for number in 0..5 {
        before.push((row(&*store, number).await, chunk_count(&*store, number).await));
    }
    assert_eq!(write_all(&*bed.another().await, commits).await, [Committed::Done; 5]);
    for (number, before) in (0..5).zip(before) {
        assert_eq!((row(&*store, number).await, chunk_count(&*store, number).await), before, "run {number}");
    }
}

/// An end written again does not end a run that somebody let go on since.
pub async fn an_end_written_again_after_a_resume(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    let end = first_commit(1, owner, failed(5));
    assert_eq!(write(&*store, &end).await, Committed::Done);
    assert!(store.resume(run_id(1), None, 2, &next_chunk(2, "resumed"), at(6)).await.unwrap());
    assert_eq!(write(&*store, &end).await, Committed::Done, "it was written");
    let resumed = row(&*store, 1).await;
    assert_eq!((resumed.status, resumed.due_at, resumed.error), (RunStatus::Queued, Some(at(6)), None));
    let claim = store.claim(owner, at(6), 1).await.unwrap().remove(0);
    assert_eq!((claim.id, claim.chunks.len()), (run_id(1), 3));
    assert_eq!(write(&*store, &end).await, Committed::Done);
    assert_eq!(row(&*store, 1).await.status, RunStatus::Running);
    assert_eq!(write(&*store, &commit(&claim, owner, succeeded(9))).await, Committed::Done);
}

/// Whose run was taken away is told so, also when its last commit had been durable: it must not go on.
pub async fn a_lost_run_written_again(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let frozen = store.register_worker("frozen", at(0), at(10)).await.unwrap();
    accept(&*store, running(recipe, 1, frozen)).await;
    let on = first_commit(1, frozen, Then::Running);
    assert_eq!(write(&*store, &on).await, Committed::Done);
    assert_eq!(store.reap_workers(at(11)).await.unwrap().runs, 1);
    assert_eq!(write(&*store, &on).await, Committed::LeaseLost);
    assert_eq!(chunk_count(&*store, 1).await, 2);
}

/// A number of the journal is given once: another chunk under it is refused, and the run stays.
pub async fn a_number_already_taken(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    assert_eq!(write(&*store, &first_commit(1, owner, Then::Running)).await, Committed::Done);
    for then in [Then::Running, succeeded(9)] {
        let other = RunCommit { chunk: next_chunk(1, "other"), ..first_commit(1, owner, then) };
        assert_eq!(write(&*store, &other).await, Committed::LeaseLost);
    }
    assert_eq!(row(&*store, 1).await.status, RunStatus::Running);
    assert_eq!(store.chunks(run_id(1), 1, u32::MAX).await.unwrap(), [(1, next_chunk(1, "first"))]);
}
