//! What people do to runs.

use std::sync::Arc;

use super::{
    Bed,
    parts::{
        accept, accept_all, at, chunk_count, failed, first_commit, new_run, next_chunk, recipe, row, run_id, running, succeeded,
        worker, write,
    },
};
use crate::{
    Accepted, Committed, DeadLetter, EventKey, NewRun, RecipeId, ReplayedLetter, RunStatus, Store, Then, WaitingFor, WorkerId,
};

/// One run in every state, numbered like [`RunStatus`].
async fn one_of_each(store: &dyn Store) -> (RecipeId, WorkerId) {
    let (recipe, owner) = (recipe(store, "orders").await, worker(store).await);
    let thens = [
        Then::Queued { due_at: at(10) },
        Then::Running,
        Then::Waiting { reason: WaitingFor::Callback, due_at: at(60) },
        succeeded(8),
        failed(8),
        Then::Cancelled { at: at(8) },
    ];
    accept_all(store, thens.into_iter().zip(0..).map(|(then, number)| NewRun { owner, then, ..new_run(recipe, number) })).await;
    (recipe, owner)
}

/// A failed run goes on; no other does.
pub async fn only_failed_runs_are_resumed(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (_, owner) = one_of_each(&*store).await;
    for number in 0..6 {
        let before = row(&*store, number).await;
        let resumed = store.resume(run_id(number), None, 1, &next_chunk(1, "resume"), at(20)).await.unwrap();
        assert_eq!(resumed, before.status == RunStatus::Failed, "{before:?}");
        if !resumed {
            assert_eq!((row(&*store, number).await, chunk_count(&*store, number).await), (before, 1));
        }
    }
    assert!(!store.resume(run_id(99), None, 0, &next_chunk(1, "resume"), at(20)).await.unwrap());
    assert_eq!(chunk_count(&*store, 99).await, 0);
    let resumed = row(&*store, 4).await;
    assert_eq!((resumed.status, resumed.due_at, resumed.ended_at), (RunStatus::Queued, Some(at(20)), None));
    assert_eq!((resumed.error, resumed.dead_letter), (None, None));
    let claims = store.claim(owner, at(20), 10).await.unwrap();
    let claim = claims.iter().find(|claim| claim.id == run_id(4)).unwrap();
    assert_eq!(claim.chunks[1], (1, next_chunk(1, "resume")));
}

/// Whoever saw less of the journal than there is resumes nothing.
pub async fn an_old_picture_resumes_nothing(bed: Arc<dyn Bed>) {
    let store = bed.store();
    one_of_each(&*store).await;
    let before = row(&*store, 4).await;
    assert!(!store.resume(run_id(4), None, 0, &next_chunk(0, "resume"), at(20)).await.unwrap());
    assert_eq!((row(&*store, 4).await, chunk_count(&*store, 4).await), (before, 1));
    assert!(store.resume(run_id(4), None, 1, &next_chunk(1, "resume"), at(20)).await.unwrap());
    assert!(!store.resume(run_id(4), None, 2, &next_chunk(2, "resume"), at(20)).await.unwrap(), "it is not failed any more");
}

/// A run that is not over can be ended by a person, and its owner is refused from then on.
pub async fn cancelled_in_every_state(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (_, owner) = one_of_each(&*store).await;
    for number in 0..3 {
        assert!(store.cancel(run_id(number), &next_chunk(1, "cancel"), &[], at(20)).await.unwrap());
        let row = row(&*store, number).await;
        assert_eq!((row.status, row.ended_at), (RunStatus::Cancelled, Some(at(20))));
        assert_eq!((row.due_at, row.waiting_for), (None, None));
        assert_eq!(store.chunks(run_id(number), 1, u32::MAX).await.unwrap(), [(1, next_chunk(1, "cancel"))]);
    }
    for (seq, then) in [(1, Then::Running), (2, Then::Running), (2, succeeded(30))] {
        let mut late = first_commit(1, owner, then);
        late.seq = seq;
        assert_eq!(write(&*store, &late).await, Committed::LeaseLost);
    }
    assert_eq!((row(&*store, 1).await.status, chunk_count(&*store, 1).await), (RunStatus::Cancelled, 2));
    assert!(store.claim(owner, at(1000), 10).await.unwrap().is_empty());
}

/// What is over stays as it is.
pub async fn an_ended_run_is_not_cancelled(bed: Arc<dyn Bed>) {
    let store = bed.store();
    one_of_each(&*store).await;
    for number in 3..6 {
        let before = row(&*store, number).await;
        assert!(!store.cancel(run_id(number), &next_chunk(1, "cancel"), &[], at(20)).await.unwrap());
        assert_eq!((row(&*store, number).await, chunk_count(&*store, number).await), (before, 1));
    }
    assert!(!store.cancel(run_id(99), &next_chunk(0, "cancel"), &[], at(20)).await.unwrap());
}

/// A run that went on since anybody looked is cancelled behind what it wrote.
pub async fn a_run_that_goes_on_is_cancelled(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    write(&*store, &first_commit(1, owner, Then::Running)).await;
    assert!(store.cancel(run_id(1), &next_chunk(2, "cancel"), &[], at(20)).await.unwrap());
    assert_eq!((row(&*store, 1).await.status, chunk_count(&*store, 1).await), (RunStatus::Cancelled, 3));
    assert_eq!(store.chunks(run_id(1), 2, u32::MAX).await.unwrap(), [(2, next_chunk(2, "cancel"))]);
    let mut end = first_commit(1, owner, succeeded(30));
    end.seq = 2;
    assert_eq!(write(&*store, &end).await, Committed::LeaseLost);
}

/// An open dead letter is settled once, and its journal says why.
pub async fn a_dead_letter_is_settled_once(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, _) = one_of_each(&*store).await;
    for number in [0, 1, 2, 3, 5, 99] {
        let settled = store.settle_dead_letter(run_id(number), DeadLetter::Discarded, 1, &next_chunk(1, "settle")).await.unwrap();
        assert!(!settled, "run {number} is no dead letter");
        assert!(chunk_count(&*store, number).await < 2);
    }
    assert!(!store.settle_dead_letter(run_id(4), DeadLetter::Discarded, 0, &next_chunk(0, "settle")).await.unwrap());
    assert_eq!(row(&*store, 4).await.dead_letter, Some(DeadLetter::Open), "an old picture settles nothing");
    assert!(store.settle_dead_letter(run_id(4), DeadLetter::Discarded, 1, &next_chunk(1, "settle")).await.unwrap());
    let settled = row(&*store, 4).await;
    assert_eq!((settled.status, settled.dead_letter), (RunStatus::Failed, Some(DeadLetter::Discarded)));
    assert_eq!(store.chunks(run_id(4), 1, u32::MAX).await.unwrap(), [(1, next_chunk(1, "settle"))]);
    assert!(!store.settle_dead_letter(run_id(4), DeadLetter::Replayed, 2, &next_chunk(2, "settle")).await.unwrap());

    accept(&*store, NewRun { then: failed(8), ..new_run(recipe, 7) }).await;
    assert!(store.settle_dead_letter(run_id(7), DeadLetter::Replayed, 1, &next_chunk(1, "settle")).await.unwrap());
    assert_eq!(row(&*store, 7).await.dead_letter, Some(DeadLetter::Replayed));
}

fn letter(number: u64, failed_at: i64) -> ReplayedLetter {
    ReplayedLetter { run: run_id(number), failed_at: at(failed_at), chunk: next_chunk(1, "replay") }
}

/// The new run and the end of the dead letter are one commit: whoever comes second, or with an old picture, changes nothing.
pub async fn a_dead_letter_is_replayed_once(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, _) = one_of_each(&*store).await;
    let new = |number| Arc::new(NewRun { replay_of: Some(run_id(4)), ..new_run(recipe, number) });
    for (number, failed_at) in [(0, 8), (1, 8), (2, 8), (3, 8), (5, 8), (99, 8), (4, 9)] {
        assert_eq!(store.replay(&new(20), &letter(number, failed_at)).await.unwrap(), None, "run {number}");
        assert!(store.run(run_id(20)).await.unwrap().is_none() && chunk_count(&*store, number).await < 2);
    }
    let key = EventKey { hash: [7; 16], expires_at: at(900), fingerprint: None };
    let keyed = |number| Arc::new(NewRun { key: Some(key.clone()), ..NewRun::clone(&new(number)) });
    assert_eq!(store.replay(&keyed(21), &letter(4, 8)).await.unwrap(), Some(Accepted::New));
    assert_eq!(row(&*store, 21).await.replay_of, Some(run_id(4)));
    let settled = row(&*store, 4).await;
    assert_eq!((settled.status, settled.dead_letter), (RunStatus::Failed, Some(DeadLetter::Replayed)));
    assert_eq!(store.chunks(run_id(4), 1, u32::MAX).await.unwrap(), [(1, next_chunk(1, "replay"))]);
    assert_eq!(store.replay(&new(22), &letter(4, 8)).await.unwrap(), None);
    // Somebody who did not get the answer asks again under the same key.
    let known = Some(Accepted::Duplicate { run: run_id(21), same_content: true });
    assert_eq!(store.replay(&keyed(23), &letter(4, 8)).await.unwrap(), known);
    for number in [22, 23] {
        assert!(store.run(run_id(number)).await.unwrap().is_none());
    }
    assert_eq!(chunk_count(&*store, 4).await, 2);
}

/// Of a replay and a resume of one failure at the same moment, one is carried out.
pub async fn a_replay_and_a_resume(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (0..20).map(|number| NewRun { then: failed(8), ..new_run(recipe, number) })).await;
    for number in 0..20 {
        let new = Arc::new(NewRun { replay_of: Some(run_id(number)), ..new_run(recipe, number + 100) });
        let letter = letter(number, 8);
        let chunk = next_chunk(1, "resume");
        let (replayed, resumed) =
            tokio::join!(store.replay(&new, &letter), other.resume(run_id(number), None, 1, &chunk, at(20)));
        let (replayed, resumed) = (replayed.unwrap(), resumed.unwrap());
        assert_ne!(replayed == Some(Accepted::New), resumed, "run {number}");
        assert_eq!(store.run(run_id(number + 100)).await.unwrap().is_some(), !resumed);
        assert_eq!((row(&*store, number).await.status == RunStatus::Queued, chunk_count(&*store, number).await), (resumed, 2));
    }
}
