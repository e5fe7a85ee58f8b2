//! What happens at the same moment in several tasks and processes.

use std::{collections::HashMap, sync::Arc};

use tokio::task::JoinSet;

use super::{
    Bed,
    parts::{
        accept_all, at, commit, first_commit, keyed, new_run, next_chunk, recipe, row, run_id, running, succeeded, worker,
        write_all,
    },
};
use crate::{Accepted, Batch, Committed, RunId, RunStatus, Then};

/// The same events in two processes at once, in groups of different order: one run for each.
pub async fn two_processes_one_key(bed: Arc<dyn Bed>) {
    const KEYS: u64 = 60;
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = recipe(&*store, "orders").await;
    let mut senders = JoinSet::new();
    for sender in 0..6_u64 {
        let store = Arc::clone(if sender % 2 == 0 { &store } else { &other });
        senders.spawn(async move {
            let mut keys: Vec<u64> = (0..KEYS).collect();
            if sender % 3 == 1 {
                keys.reverse();
            }
            let mut answers = Vec::new();
            for group in keys.chunks(20) {
                let run = |key: &u64| keyed(new_run(recipe, 1000 * (sender + 1) + key), u8::try_from(*key).unwrap(), at(100_000));
                let outcomes = accept_all(&*store, group.iter().map(run)).await;
                answers.extend(group.iter().zip(outcomes).map(|(key, outcome)| match outcome {
                    Accepted::New => (*key, run_id(1000 * (sender + 1) + key)),
                    Accepted::Duplicate { run, .. } => (*key, run),
                }));
            }
            answers
        });
    }
    let mut winners: HashMap<u64, RunId> = HashMap::new();
    for (key, run) in senders.join_all().await.into_iter().flatten() {
        assert_eq!(*winners.entry(key).or_insert(run), run, "two runs of key {key}");
    }
    assert_eq!(winners.len(), 60);
    for run in winners.values() {
        assert!(store.run(*run).await.unwrap().is_some(), "{run} was promised");
    }
    assert_eq!(store.run_counts(None, at(0)).await.unwrap(), [(RunStatus::Queued, 60)], "no run but the winners");
}

/// A worker commits while it is declared dead and another takes its runs: whatever it was told is true.
pub async fn a_stale_worker_and_a_reaper(bed: Arc<dyn Bed>) {
    const RUNS: u64 = 40;
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = recipe(&*store, "orders").await;
    for round in 0..12_u64 {
        let begin = round * RUNS;
        let stale = store.register_worker("stale", at(0), at(10)).await.unwrap();
        accept_all(&*store, (begin..begin + RUNS).map(|number| running(recipe, number, stale))).await;
        let commits: Vec<_> = (begin..begin + RUNS)
            .map(|number| first_commit(number, stale, if number % 2 == 0 { Then::Running } else { succeeded(9) }))
            .collect();
        let (mut writes, reaping) = (JoinSet::new(), Arc::clone(&other));
        for group in commits.chunks(8) {
            let (store, group) = (Arc::clone(&store), group.to_vec());
            writes.spawn(async move {
                let outcomes = write_all(&*store, group.clone()).await;
                group.into_iter().zip(outcomes).collect::<Vec<_>>()
            });
        }
        let reaper = tokio::spawn(async move {
            reaping.reap_workers(at(11)).await.unwrap();
            let next = worker(&*reaping).await;
            (next, reaping.claim(next, at(11), 1000).await.unwrap())
        });
        let answers: Vec<_> = writes.join_all().await.into_iter().flatten().collect();
        let (next, mut claims) = reaper.await.unwrap();
        // What a commit was just being refused for may have been held when it was claimed.
        claims.extend(other.claim(next, at(11), 1000).await.unwrap());
        for (commit, answer) in answers {
            let chunks = store.chunks(commit.run, 1, u32::MAX).await.unwrap();
            let claim = claims.iter().find(|claim| claim.id == commit.run);
            match answer {
                Committed::Done => assert_eq!(chunks, [(1, commit.chunk.clone())], "{:?}", commit.then),
                Committed::LeaseLost => assert_eq!(chunks, [], "{:?}", commit.then),
            }
            match (claim, answer, &commit.then) {
                // Ended in time: nobody else may touch it.
                (claim, Committed::Done, Then::Succeeded { .. }) => assert!(claim.is_none()),
                (Some(claim), answer, _) => {
                    assert_eq!(claim.chunks.len(), 1 + usize::from(answer == Committed::Done), "the claim saw what was written");
                }
                (None, _, _) => panic!("{} was freed and nobody has it", commit.run),
            }
        }
        let ends: Vec<_> = claims.iter().map(|claim| commit(claim, next, succeeded(12))).collect();
        assert!(write_all(&*other, ends).await.iter().all(|outcome| *outcome == Committed::Done));
        store.release_worker(next, at(13)).await.unwrap();
    }
}

/// An owner commits while a person cancels: one of them is first, and the journal has no chunk of both.
pub async fn an_owner_and_a_person(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, (0..60).map(|number| running(recipe, number, owner))).await;
    for number in 0..60 {
        let then = if number % 2 == 0 { Then::Running } else { succeeded(9) };
        let ours = first_commit(number, owner, then.clone());
        let theirs = next_chunk(1, "cancel");
        let (committed, cancelled) =
            tokio::join!(write_all(&*store, [ours.clone()]), other.cancel(run_id(number), &theirs, &[], at(20)));
        let (committed, cancelled) = (committed[0] == Committed::Done, cancelled.unwrap());
        let chunks: Vec<_> =
            store.chunks(run_id(number), 1, u32::MAX).await.unwrap().into_iter().map(|(_, chunk)| chunk).collect();
        match (committed, cancelled) {
            (true, false) => {
                assert!(then != Then::Running && chunks == [ours.chunk], "run {number}: only one that ended is over")
            }
            (false, true) => assert_eq!(chunks, [theirs], "run {number}"),
            (true, true) => {
                assert!(then == Then::Running && chunks == [ours.chunk, theirs], "run {number}: it went on, and ended")
            }
            (false, false) => panic!("run {number}: neither its owner nor the person had their way"),
        }
        let status = if cancelled { RunStatus::Cancelled } else { then.status() };
        assert_eq!(row(&*store, number).await.status, status);
    }
}

/// The same groups again and again at once, in different orders (a lost answer, written again while
/// the first is still on its way): nobody waits forever, and everybody is told the same.
pub async fn groups_in_each_others_way(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    for round in 0..6_u64 {
        let begin = round * 200;
        accept_all(&*store, (begin..begin + 40).map(|number| running(recipe, number, owner))).await;
        let mut writers = JoinSet::new();
        for writer in 0..6_u64 {
            let store = Arc::clone(if writer % 2 == 0 { &store } else { &other });
            writers.spawn(async move {
                let mut batch = Batch {
                    accepts: (begin + 100..begin + 140)
                        .map(|number| Arc::new(keyed(new_run(recipe, number), u8::try_from(number % 200).unwrap(), at(1 << 40))))
                        .collect(),
                    commits: (begin..begin + 40)
                        .map(|number| {
                            Arc::new(first_commit(number, owner, if number % 2 == 0 { Then::Running } else { succeeded(9) }))
                        })
                        .collect(),
                };
                if writer % 3 == 0 {
                    batch.accepts.reverse();
                    batch.commits.reverse();
                }
                // Keys of earlier rounds are taken; the same run under the same key is not.
                let outcome = store.write(&batch).await.unwrap();
                let ours = outcome.accepts.iter().all(|accepted| (*accepted == Accepted::New) == (round == 0));
                ours && outcome.commits.iter().all(|committed| *committed == Committed::Done)
            });
        }
        assert!(writers.join_all().await.into_iter().all(|right| right), "round {round}");
    }
}

/// Claims while their worker is declared dead: afterwards every run is somebody's who lives, or free.
pub async fn claims_and_a_reaper(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (0..50).map(|number| new_run(recipe, number))).await;
    for _ in 0..20 {
        let dying = store.register_worker("dying", at(0), at(10)).await.unwrap();
        let (claimed, reaped) = tokio::join!(store.claim(dying, at(1000), 50), other.reap_workers(at(1000)));
        let (claimed, mut freed) = (claimed.unwrap().len(), reaped.unwrap().runs);
        // The reaper may have found the worker busy; it comes again.
        freed += other.reap_workers(at(1000)).await.unwrap().runs;
        assert_eq!(u64::try_from(claimed).unwrap(), freed);
        assert_eq!(store.backlog(at(1000), 100).await.unwrap(), 50);
    }
}

/// Keys that ran out are taken over and removed at once: an event is never left without an answer.
pub async fn accepts_and_pruning(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = recipe(&*store, "orders").await;
    for round in 0..15_u64 {
        let now = i64::try_from(round * 100).unwrap();
        // Every key runs out before the next round, and its run is removed.
        bed.execute("delete from journal").await;
        bed.execute("delete from runs").await;
        let runs = |from: u64| {
            (0..20).map(move |key| {
                let mut run = keyed(new_run(recipe, round * 100 + from + key), u8::try_from(key).unwrap(), at(now + 99));
                run.accepted_at = at(now);
                run
            })
        };
        let (first, second, pruned) =
            tokio::join!(accept_all(&*store, runs(0)), accept_all(&*other, runs(50)), other.forget_keys(None, at(now), 7));
        pruned.unwrap();
        for key in 0..20 {
            let (one, two) = (first[usize::try_from(key).unwrap()], second[usize::try_from(key).unwrap()]);
            let (ours, theirs) = (run_id(round * 100 + key), run_id(round * 100 + 50 + key));
            let right = (one == Accepted::New && two == Accepted::Duplicate { run: ours, same_content: true })
                || (two == Accepted::New && one == Accepted::Duplicate { run: theirs, same_content: true });
            assert!(right, "round {round}, key {key}: {one:?} and {two:?}");
        }
    }
}
