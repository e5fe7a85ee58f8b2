//! Data that goes once a run is over.

use std::sync::Arc;

use serde_json::json;

use super::{
    Bed,
    parts::{accept, at, failed, first_commit, keyed, new_run, next_chunk, recipe, run_id, running, succeeded, worker, write},
};
use crate::{
    Accepted, Beside, Committed, DeadLetter, Entry, ErrorRecord, Forgetting, Keeps, NewRun, Parent, RunCommit, RunId, Store,
    Then, write_chunk,
};

/// A run that says that its data is to go.
fn forgetful(run: NewRun, keeps: Keeps) -> NewRun {
    NewRun { beside: vec![Beside::Forgets(keeps)], ..run }
}

/// What takes the place of a journal of `length` chunks.
fn wish(run: RunId, length: i32) -> Forgetting {
    let nothing = write_chunk(&[]).unwrap();
    let error = ErrorRecord {
        class: "server".into(),
        code: "GONE".into(),
        message: "•••".into(),
        next: None,
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    };
    let chunks = (0..length).map(|seq| (seq, nothing.clone())).collect();
    Forgetting { run, length, chunks, finishes: true, error: Some(error), at: at(1000) }
}

async fn due(store: &dyn Store, before: i64) -> Vec<(RunId, Keeps)> {
    let found = store.forgettable(None, at(before)).await.unwrap();
    assert_eq!(found.next, None);
    found.runs
}

/// What a run said when it was accepted is carried out once it is over, once.
pub async fn data_goes_after_the_end(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let orders = recipe(&*store, "orders").await;
    accept(&*store, forgetful(NewRun { then: succeeded(5), ..new_run(orders, 1) }, Keeps::Nothing)).await;
    accept(&*store, NewRun { then: succeeded(5), ..new_run(orders, 2) }).await;
    accept(&*store, forgetful(NewRun { then: succeeded(50), ..new_run(orders, 3) }, Keeps::Shapes)).await;
    let before = store.chunks(run_id(2), 0, u32::MAX).await.unwrap();
    assert_eq!(due(&*other, 4).await, []);
    assert_eq!(due(&*other, 5).await, [(run_id(1), Keeps::Nothing)]);
    assert_eq!(due(&*other, 50).await, [(run_id(1), Keeps::Nothing), (run_id(3), Keeps::Shapes)]);
    assert_eq!(store.keeps(run_id(1)).await.unwrap(), Some((Keeps::Nothing, None)));
    // A journal that is longer by now was not what somebody looked at.
    assert!(!store.forget(&wish(run_id(1), 2)).await.unwrap());
    assert!(store.forget(&wish(run_id(1), 1)).await.unwrap());
    assert!(!other.forget(&wish(run_id(1), 1)).await.unwrap(), "it went before");
    assert_eq!(other.keeps(run_id(1)).await.unwrap(), Some((Keeps::Nothing, Some(at(1000)))));
    assert_eq!(other.chunks(run_id(1), 0, u32::MAX).await.unwrap(), [(0, write_chunk(&[]).unwrap())]);
    assert_eq!(due(&*other, 50).await, [(run_id(3), Keeps::Shapes)]);
    // Who said nothing keeps everything.
    assert!(!store.forget(&wish(run_id(2), 1)).await.unwrap());
    assert_eq!((store.keeps(run_id(2)).await.unwrap(), store.chunks(run_id(2), 0, u32::MAX).await.unwrap()), (None, before));
    assert!(store.wipe().await.unwrap());
}

/// A long journal goes in parts, its end first; until the last one the run has what it began with.
pub async fn data_goes_in_parts(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let orders = recipe(&*store, "orders").await;
    let worker = store.register_worker("one", at(0), at(10_000)).await.unwrap();
    accept(&*store, forgetful(running(orders, 1, worker), Keeps::Nothing)).await;
    for seq in 1..4 {
        let then = if seq == 3 { succeeded(9) } else { Then::Running };
        let commit = RunCommit { seq, chunk: next_chunk(seq, "secret"), ..first_commit(1, worker, then) };
        assert_eq!(write(&*store, &commit).await, Committed::Done);
    }
    let before = store.chunks(run_id(1), 0, 10).await.unwrap();
    let whole = wish(run_id(1), 4);
    let newest = Forgetting { chunks: whole.chunks[2..].to_vec(), finishes: false, ..whole.clone() };
    assert!(!store.forget(&Forgetting { length: 3, ..newest.clone() }).await.unwrap(), "it was shorter when somebody looked");
    assert!(store.forget(&newest).await.unwrap());
    let between = [&before[..2], &whole.chunks[2..]].concat();
    assert_eq!(other.chunks(run_id(1), 0, 10).await.unwrap(), between);
    assert_eq!(due(&*other, 900).await, [(run_id(1), Keeps::Nothing)], "whoever died in between is followed by others");
    let oldest = Forgetting { chunks: whole.chunks[..2].to_vec(), ..whole.clone() };
    assert!(other.forget(&oldest).await.unwrap());
    assert_eq!(store.chunks(run_id(1), 0, 10).await.unwrap(), whole.chunks);
    assert_eq!(due(&*store, 900).await, []);
}

/// What somebody still needs to go on stays: runs under way, failed ones nobody dealt with, runs of callers.
pub async fn what_is_needed_stays(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let orders = recipe(&*store, "orders").await;
    let worker = store.register_worker("one", at(0), at(10_000)).await.unwrap();
    accept(&*store, forgetful(running(orders, 1, worker), Keeps::Nothing)).await;
    accept(&*store, forgetful(NewRun { then: failed(5), ..new_run(orders, 2) }, Keeps::Nothing)).await;
    let parent = Some(Parent { run: run_id(2), path: "call".into() });
    accept(&*store, forgetful(NewRun { then: succeeded(4), parent, ..new_run(orders, 3) }, Keeps::Nothing)).await;
    assert_eq!(due(&*store, 900).await, []);
    for number in 1..=3 {
        assert!(!store.forget(&wish(run_id(number), 1)).await.unwrap(), "run {number}");
        assert_eq!(store.keeps(run_id(number)).await.unwrap(), Some((Keeps::Nothing, None)));
    }
    let gone = write_chunk(&[Entry::Discarded { at: at(6), by: "ann".into(), reason: "old".into() }]).unwrap();
    assert!(store.settle_dead_letter(run_id(2), DeadLetter::Discarded, 1, &gone).await.unwrap());
    assert_eq!(due(&*store, 900).await, [(run_id(2), Keeps::Nothing), (run_id(3), Keeps::Nothing)]);
    assert!(store.forget(&wish(run_id(2), 2)).await.unwrap());
    let row = store.run(run_id(2)).await.unwrap().unwrap();
    assert_eq!(row.error.map(|error| (error.code, error.message)), Some(("GONE".to_owned(), "•••".to_owned())));
    assert_eq!(row.dead_letter, Some(DeadLetter::Discarded));
    assert!(store.forget(&wish(run_id(3), 1)).await.unwrap());
}

/// What a recipe knows of before goes, and nothing of any other's; its runs stay.
pub async fn a_recipe_begins_anew(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (orders, others) = (recipe(&*store, "orders").await, recipe(&*store, "others").await);
    let owner = worker(&*store).await;
    for (number, recipe) in [(1, orders), (2, others)] {
        accept(&*store, keyed(running(recipe, number, owner), 1, at(9_000))).await;
        let kept = json!({ "last": number }).as_object().unwrap().clone();
        let beside = vec![Beside::Keep { recipe, values: kept, at: at(10) }];
        assert_eq!(write(&*store, &RunCommit { beside, ..first_commit(number, owner, succeeded(10)) }).await, Committed::Done);
    }
    store.begin_anew(orders, at(20)).await.unwrap();
    assert!(store.recipe_state(orders).await.unwrap().is_empty());
    assert_eq!(store.recipe_state(others).await.unwrap()["last"], json!(2));
    let told_again = async |recipe, number| accept(&*store, keyed(new_run(recipe, number), 1, at(9_000))).await;
    assert_eq!(told_again(orders, 3).await, Accepted::New);
    assert!(matches!(told_again(others, 4).await, Accepted::Duplicate { .. }));
    assert!(matches!(told_again(orders, 5).await, Accepted::Duplicate { run, .. } if run == run_id(3)));
    assert!(store.run(run_id(1)).await.unwrap().is_some());
    // Once more, and for one that knows nothing: nothing to do.
    store.begin_anew(orders, at(21)).await.unwrap();
    store.begin_anew(recipe(&*store, "new").await, at(21)).await.unwrap();
}
