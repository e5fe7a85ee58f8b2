//! What goes when its time is over, and reading everything.

use std::sync::Arc;

use serde_json::json;

use super::{
    Bed,
    parts::{
        accept, accept_all, at, dice, failed, first_commit, keyed, new_run, next_chunk, recipe, run_id, running, succeeded,
        worker, write,
    },
};
use crate::{
    Accepted, Answer, Approval, ApprovalId, AuditId, AuditRow, Beside, DeadLetter, ItemOutcome, NewRun, Operation, OperationId,
    OperationKind, OperationOptions, OperationState, PURGE_RUNS_MAX, Parent, Purge, Purged, RecipeId, RunFilter, RunId,
    Selection, Store, Then,
};

/// Succeeded runs go after 10 s, failed ones after 20 s, those nobody dealt with after 30 s.
pub(super) fn purge(recipe: RecipeId, now: i64) -> Purge {
    Purge {
        recipe,
        after: None,
        succeeded_before: at(now - 10),
        failed_before: at(now - 20),
        open_before: at(now - 30),
        limit: 100,
    }
}

pub(super) async fn purge_all(store: &dyn Store, ask: Purge) -> (u64, u64) {
    let (mut ask, mut runs, mut dead_letters) = (ask, 0, 0);
    loop {
        let part = store.purge(&ask).await.unwrap();
        assert!(!part.busy, "nobody else does it");
        (runs, dead_letters) = (runs + part.runs, dead_letters + part.dead_letters);
        match part.next {
            Some(next) => ask.after = Some(next),
            None => return (runs, dead_letters),
        }
    }
}

async fn kept(store: &dyn Store) -> Vec<u64> {
    let ids = store.run_ids(None, 10_000).await.unwrap();
    ids.into_iter().map(|id| (0..2000).find(|number| run_id(*number) == id).unwrap()).collect()
}

/// Each kind has its own time, counted from its end; what is not over stays whatever its age.
pub async fn ended_runs_go_when_their_time_is_over(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (ours, other) = (recipe(&*store, "orders").await, recipe(&*store, "invoices").await);
    let ended = |number, then| NewRun { then, ..new_run(ours, number) };
    accept_all(
        &*store,
        [
            ended(1, succeeded(100)),
            ended(2, Then::Cancelled { at: at(100) }),
            ended(3, failed(100)),
            ended(4, failed(100)),
            ended(5, failed(100)),
            new_run(ours, 6),
            ended(7, succeeded(105)),
            NewRun { then: succeeded(100), ..new_run(other, 8) },
        ],
    )
    .await;
    for (number, state) in [(3, DeadLetter::Replayed), (4, DeadLetter::Discarded)] {
        assert!(store.settle_dead_letter(run_id(number), state, 1, &next_chunk(1, "ann")).await.unwrap());
    }
    assert_eq!(purge_all(&*store, purge(ours, 109)).await, (0, 0));
    assert_eq!(purge_all(&*store, purge(ours, 110)).await, (2, 0));
    assert_eq!(kept(&*store).await, [3, 4, 5, 6, 7, 8]);
    assert_eq!(purge_all(&*store, purge(ours, 120)).await, (3, 0), "7, and those that were dealt with");
    assert_eq!(purge_all(&*store, purge(ours, 129)).await, (0, 0));
    assert_eq!(purge_all(&*store, purge(ours, 130)).await, (1, 1), "the one nobody dealt with is counted apart");
    assert_eq!(purge_all(&*store, purge(ours, 1_000_000)).await, (0, 0));
    assert_eq!(kept(&*store).await, [6, 8]);
}

/// A run whose caller, callee or repetition is under way is still needed.
pub async fn relatives_of_living_runs_stay(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let ended = |number| NewRun { then: succeeded(50), ..new_run(recipe, number) };
    let parent = |number| Some(Parent { run: run_id(number), path: "call".into() });
    accept_all(
        &*store,
        [
            ended(1),
            NewRun { parent: parent(1), ..new_run(recipe, 2) },
            new_run(recipe, 3),
            NewRun { parent: parent(3), ..ended(4) },
            ended(5),
            NewRun { replay_of: Some(run_id(5)), ..new_run(recipe, 6) },
            ended(7),
        ],
    )
    .await;
    assert_eq!(purge_all(&*store, purge(recipe, 500)).await, (1, 0));
    assert_eq!(kept(&*store).await, [1, 2, 3, 4, 5, 6]);
    for number in [2, 3, 6] {
        assert!(store.cancel(run_id(number), &next_chunk(1, "ann"), &[], at(60)).await.unwrap());
    }
    assert_eq!(purge_all(&*store, purge(recipe, 500)).await, (6, 0));
    assert_eq!(kept(&*store).await, [] as [u64; 0]);
}

/// Nothing that belongs to a run stays behind, and nothing of others goes.
pub async fn everything_of_a_run_goes(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let question = |run: u64| Approval {
        id: ApprovalId::new(at(1), dice(run)),
        run: run_id(run),
        path: "ask".into(),
        recipe,
        question: Arc::new(json!({})),
        asked_at: at(1),
        expires_at: None,
        decided_at: None,
        decision: None,
    };
    for number in [1, 2] {
        accept(&*store, running(recipe, number, owner)).await;
        let mut commit = first_commit(number, owner, Then::Running);
        commit.beside = vec![Beside::Ask(Box::new(question(number)))];
        write(&*store, &commit).await;
        let answer = Answer { path: "ask".into(), at: at(2), by: "ann".to_owned(), out: Some(Arc::new(json!(1))), err: None };
        store.answer(run_id(number), &answer).await.unwrap();
        commit = first_commit(number, owner, if number == 1 { succeeded(9) } else { Then::Running });
        (commit.seq, commit.chunk) = (2, next_chunk(2, "end"));
        write(&*store, &commit).await;
    }
    assert_eq!(purge_all(&*store, purge(recipe, 500)).await, (1, 0));
    assert_eq!(store.run(run_id(1)).await.unwrap(), None);
    assert_eq!(store.journal_ids(None, 10).await.unwrap(), [run_id(2)]);
    assert_eq!(store.chunks(run_id(2), 0, u32::MAX).await.unwrap().len(), 3);
    assert_eq!(store.approval(question(1).id).await.unwrap(), None);
    assert!(store.approval(question(2).id).await.unwrap().is_some());
    // An answer of the first would be refused as another one if anything of it had stayed.
    bed.execute("insert into answers (run_id, path, at, answer) select id, 'other', 0, '{\"by\":\"x\"}' from runs").await;
}

/// Many runs go in bounded parts, and runs that stay do not keep the others from being found.
pub async fn a_purge_goes_in_parts(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let (many, limit) = (310, 80);
    let runs = (0..many).map(|number| {
        let stays = number % 3 == 0;
        NewRun { then: if stays { Then::Queued { due_at: at(0) } } else { succeeded(1000) }, ..new_run(recipe, number) }
    });
    accept_all(&*store, runs).await;
    let (mut ask, mut parts) = (Purge { limit, ..purge(recipe, 5000) }, Vec::new());
    loop {
        let Purged { runs, next, .. } = store.purge(&ask).await.unwrap();
        parts.push(runs);
        assert!(runs <= u64::from(limit), "{runs} runs in one transaction");
        let Some(next) = next else { break };
        assert!(Some(next) > ask.after, "it goes on");
        ask.after = Some(next);
    }
    assert!(parts.len() >= 3, "{parts:?}");
    assert_eq!(parts.iter().sum::<u64>(), many - many.div_ceil(3), "{parts:?}");
    let expected: Vec<u64> = (0..many).filter(|number| number % 3 == 0).collect();
    assert_eq!(kept(&*store).await, expected);
    // More than a transaction may hold is never taken, whoever asks for it.
    accept_all(&*store, (400..1500).map(|number| NewRun { then: succeeded(1600), ..new_run(recipe, number) })).await;
    let most = Purge { limit: u32::MAX, ..purge(recipe, 5000) };
    assert_eq!(store.purge(&most).await.unwrap().runs, u64::from(PURGE_RUNS_MAX));
}

/// A run that somebody resumed is not over any more.
pub async fn a_resumed_run_stays(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (1..=2).map(|number| NewRun { then: failed(20), ..new_run(recipe, number) })).await;
    assert!(store.resume(run_id(1), None, 1, &next_chunk(1, "ann"), at(30)).await.unwrap());
    assert_eq!(purge_all(&*store, purge(recipe, 5000)).await, (1, 1));
    assert_eq!(kept(&*store).await, [1]);
}

/// A key stays for its time, and after it for as long as its run: an event is never run twice while
/// somebody can see its first run.
pub async fn a_key_outlives_its_run(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let ended = |number, key, until| keyed(NewRun { then: succeeded(10), ..new_run(recipe, number) }, key, at(until));
    accept_all(&*store, [ended(1, 1, 50), ended(2, 2, 900)]).await;
    assert_eq!(store.forget_keys(None, at(500), 100).await.unwrap().keys, 0, "both runs are there");
    let duplicate = |number| Accepted::Duplicate { run: run_id(number), same_content: true };
    assert_eq!(accept(&*store, ended(500, 1, 600)).await, duplicate(1));
    assert_eq!(purge_all(&*store, purge(recipe, 500)).await, (2, 0));
    assert_eq!(store.forget_keys(None, at(500), 100).await.unwrap().keys, 1);
    assert_eq!(accept(&*store, ended(501, 2, 600)).await, duplicate(2), "the second one's time is not over");
    assert_eq!(accept(&*store, ended(502, 1, 600)).await, Accepted::New);
    // Looking goes in parts, over all recipes.
    accept_all(&*store, (600..620).map(|number| ended(number, u8::try_from(number - 500).unwrap(), 700))).await;
    bed.execute("delete from journal").await;
    bed.execute("delete from runs").await;
    let (mut after, mut keys, mut parts) = (None, 0, 0);
    loop {
        let part = store.forget_keys(after, at(800), 7).await.unwrap();
        (keys, parts) = (keys + part.keys, parts + 1);
        assert!(part.keys <= 7 && parts < 10);
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((keys, parts), (21, 4), "the twenty and the one of run 502");
}

/// Operations that are over and old audit entries go; what is under way stays, and so does the run it takes.
pub async fn operations_and_audit_go(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (1..=5).map(|number| NewRun { then: failed(20), ..new_run(recipe, number) })).await;
    let operation = |number: i64| Operation {
        id: OperationId::new(at(number), dice(1)),
        kind: OperationKind::Discard,
        state: OperationState::Running,
        selection: json!({}),
        options: OperationOptions::default(),
        first: 0,
        total: 0,
        done: 0,
        failed: 0,
        note: None,
        by: "ann".to_owned(),
        at: at(number),
        ended_at: None,
        next_at: at(number),
    };
    let made = store.create_operation(&operation(30), &Selection::Runs((1..=3).map(run_id).collect())).await.unwrap().unwrap();
    let open = store.create_operation(&operation(31), &Selection::Runs(vec![run_id(5)])).await.unwrap().unwrap();
    let owner = worker(&*store).await;
    assert!(store.take_operation(owner, at(40), at(60)).await.unwrap().is_some());
    let outcomes: Vec<_> = (1..=3).map(|number| ItemOutcome { run: run_id(number), outcome: Ok(None) }).collect();
    store.begin_items(made.id, 10).await.unwrap();
    store.finish_items(made.id, owner, &outcomes, at(50), at(50)).await.unwrap();
    assert_eq!(store.operation(made.id).await.unwrap().unwrap().state, OperationState::Done);
    for number in 1..=4 {
        let row = AuditRow {
            id: AuditId::new(at(number), dice(2)),
            at: at(number),
            who: "ann".to_owned(),
            what: "test".to_owned(),
            about: "nothing".to_owned(),
            note: "a sentence".to_owned(),
        };
        store.add_audit(&row).await.unwrap();
    }
    assert_eq!(purge_all(&*store, purge(recipe, 5000)).await, (4, 4), "run 5 is still to be dealt with");
    let nothing = store.sweep(at(49), at(0), 100).await.unwrap();
    assert_eq!((nothing.operations, nothing.items, nothing.audit), (0, 0, 0));
    let part = store.sweep(at(100), at(3), 2).await.unwrap();
    assert_eq!((part.operations, part.items, part.audit), (0, 2, 2), "at most two of each");
    let rest = store.sweep(at(100), at(3), 2).await.unwrap();
    assert_eq!((rest.operations, rest.items, rest.audit), (1, 1, 1));
    assert_eq!(store.operation(made.id).await.unwrap(), None);
    assert!(store.operation(open.id).await.unwrap().is_some());
    assert_eq!(store.audit(None, None, 10).await.unwrap().len(), 1);
}

/// Ids and journals come in parts, in order, and none is left out.
pub async fn everything_can_be_read(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, (0..25).map(|number| running(recipe, number, owner))).await;
    for seq in 1..6 {
        let mut commit = first_commit(3, owner, Then::Running);
        (commit.seq, commit.chunk) = (seq, next_chunk(seq, "x"));
        write(&*store, &commit).await;
    }
    bed.execute("delete from journal where seq = 4").await;
    let expected: Vec<RunId> = (0..25).map(run_id).collect();
    for limit in [1, 7, 25, 100] {
        for journals in [false, true] {
            let mut read: Vec<RunId> = Vec::new();
            loop {
                let after = read.last().copied();
                let part =
                    if journals { store.journal_ids(after, limit).await } else { store.run_ids(after, limit).await }.unwrap();
                assert!(part.len() <= limit as usize);
                if part.is_empty() {
                    break;
                }
                read.extend(part);
            }
            assert_eq!(read, expected);
        }
    }
    let seqs = |part: Vec<(i32, Vec<u8>)>| part.into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
    assert_eq!(seqs(store.chunks(run_id(3), 0, 2).await.unwrap()), [0, 1]);
    assert_eq!(seqs(store.chunks(run_id(3), 2, 5).await.unwrap()), [2, 3, 5]);
    assert_eq!(store.faults().await.unwrap(), [] as [String; 0]);
}

/// The room a database takes is told, and tidying changes nothing else.
pub async fn room_is_told(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (0..50).map(|number| new_run(recipe, number))).await;
    assert!(store.tidy(None).await.unwrap().database_bytes > 0);
    let room = store.tidy(Some(0)).await.unwrap();
    assert!(room.database_bytes > 0 && !room.more, "{room:?}");
    let filter = RunFilter { limit: 100, ..RunFilter::default() };
    assert_eq!(store.runs(&filter).await.unwrap().len(), 50);
}
