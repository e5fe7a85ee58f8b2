//! New runs: durable once, one run for one key, outcomes in order.

use std::sync::Arc;

use super::{
    Bed,
    parts::{
        accept, accept_all, at, chunk_count, failed, first_chunk, first_commit, keyed, new_run, next_chunk, recipe, record, row,
        run_id, running, succeeded, worker, write,
    },
};
use crate::{
    Accepted, Batch, BatchOutcome, Committed, DeadLetter, ErrorRecord, EventKey, NewRun, RunStatus, Then, Via, WaitingFor,
};

/// What is accepted can be read, field by field.
pub async fn a_new_run_is_there(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let run = NewRun {
        label: Some("order 17".to_owned()),
        via: Via::Webhook,
        replay_of: Some(run_id(99)),
        attempts: 3,
        version: 2,
        ..new_run(recipe, 5)
    };
    assert_eq!(accept(&*store, run).await, Accepted::New);
    let store = bed.another().await;
    let row = row(&*store, 5).await;
    assert_eq!((row.id, row.recipe, row.version), (run_id(5), recipe, 2));
    assert_eq!((row.slug.as_str(), row.title.as_str()), ("orders", "The orders"));
    assert_eq!((row.label.as_deref(), row.via, row.replay_of), (Some("order 17"), Via::Webhook, Some(run_id(99))));
    assert_eq!((row.accepted_at, row.ended_at, row.attempts), (at(5), None, 3));
    assert_eq!(store.chunks(run_id(5), 0, u32::MAX).await.unwrap(), [(0, first_chunk(5))]);
}

/// A run may begin in any state, also already ended.
pub async fn every_state_a_run_can_begin_in(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let states = [
        Then::Running,
        Then::Queued { due_at: at(7) },
        Then::Waiting { reason: WaitingFor::Order, due_at: at(8) },
        succeeded(9),
        failed(10),
        Then::Cancelled { at: at(11) },
    ];
    let runs = states.iter().zip(0..).map(|(then, number)| NewRun { owner, then: then.clone(), ..new_run(recipe, number) });
    assert_eq!(accept_all(&*store, runs).await, [Accepted::New; 6]);
    for (then, number) in states.iter().zip(0..) {
        let row = row(&*store, number).await;
        assert_eq!((row.status, row.waiting_for), (then.status(), then.waiting_for()), "{then:?}");
        assert_eq!((row.due_at, row.ended_at), (then.due_at(), then.ended_at()), "{then:?}");
        assert_eq!(row.dead_letter, (row.status == RunStatus::Failed).then_some(DeadLetter::Open), "{then:?}");
    }
    let error = row(&*store, 4).await.error.unwrap();
    assert_eq!(error, ErrorRecord { request: None, ..*record("it broke") }, "lists do not keep the request");
}

/// A second event under a kept key gives the first run's id, and nothing is written.
pub async fn a_known_key_is_a_duplicate(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    assert_eq!(accept(&*store, keyed(new_run(orders, 1), 1, at(100))).await, Accepted::New);
    let again = Accepted::Duplicate { run: run_id(1), same_content: true };
    assert_eq!(accept(&*store, keyed(new_run(orders, 2), 1, at(100))).await, again);
    assert_eq!(accept(&*bed.another().await, keyed(new_run(orders, 3), 1, at(100))).await, again);
    assert_eq!(store.run(run_id(2)).await.unwrap(), None);
    assert_eq!(chunk_count(&*store, 2).await, 0);
    // Keys are the recipe's own, and an event without a key is like no other.
    assert_eq!(accept(&*store, keyed(new_run(returns, 4), 1, at(100))).await, Accepted::New);
    assert_eq!(accept_all(&*store, [new_run(orders, 5), new_run(orders, 6)]).await, [Accepted::New; 2]);
}

/// The same key with another fingerprint is said to be another content.
pub async fn another_content_under_the_same_key(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let with = |number, fingerprint: Option<u8>| NewRun {
        key: Some(EventKey { hash: [9; 16], expires_at: at(100), fingerprint: fingerprint.map(|byte| [byte; 16]) }),
        ..new_run(recipe, number)
    };
    assert_eq!(accept(&*store, with(1, Some(1))).await, Accepted::New);
    let outcomes = accept_all(&*store, [with(2, Some(1)), with(3, Some(2)), with(4, None)]).await;
    let duplicate = |same_content| Accepted::Duplicate { run: run_id(1), same_content };
    assert_eq!(outcomes, [duplicate(true), duplicate(false), duplicate(true)]);
}

/// A key whose time is over belongs to the next event.
pub async fn a_key_whose_time_is_over(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    assert_eq!(accept(&*store, keyed(new_run(recipe, 1), 1, at(10))).await, Accepted::New);
    let duplicate = |run| Accepted::Duplicate { run, same_content: true };
    assert_eq!(accept(&*store, keyed(new_run(recipe, 9), 1, at(19))).await, duplicate(run_id(1)));
    // As long as the first run is kept, so is its key, whatever its time.
    assert_eq!(accept(&*store, keyed(new_run(recipe, 10), 1, at(20))).await, duplicate(run_id(1)));
}

/// Two events of one key in one group: the first is the run.
pub async fn the_same_key_twice_in_a_group(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept(&*store, keyed(new_run(recipe, 1), 1, at(100))).await;
    let group = [(2, 2), (3, 2), (4, 1), (5, 1), (6, 3), (7, 2)];
    let runs = group.map(|(number, key)| keyed(new_run(recipe, number), key, at(100)));
    let duplicate = |number| Accepted::Duplicate { run: run_id(number), same_content: true };
    let expected = [Accepted::New, duplicate(2), duplicate(1), duplicate(1), Accepted::New, duplicate(2)];
    assert_eq!(accept_all(&*store, runs).await, expected);
    for number in [3, 4, 5, 7] {
        assert_eq!(store.run(run_id(number)).await.unwrap(), None, "run {number}");
    }
}

/// Writing the same run again changes nothing, whatever became of it meanwhile.
pub async fn the_same_run_twice(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let run = keyed(running(recipe, 1, owner), 1, at(100));
    assert_eq!(accept_all(&*store, [run.clone(), run.clone()]).await, [Accepted::New; 2], "also in one group");
    assert_eq!(accept(&*bed.another().await, run.clone()).await, Accepted::New);
    assert_eq!(write(&*store, &first_commit(1, owner, succeeded(2))).await, Committed::Done);
    assert_eq!(accept(&*store, run).await, Accepted::New);
    assert_eq!(row(&*store, 1).await.status, RunStatus::Succeeded);
    assert_eq!(store.chunks(run_id(1), 0, u32::MAX).await.unwrap(), [(0, first_chunk(1)), (1, next_chunk(1, "first"))]);
    let keyless = running(recipe, 2, owner);
    assert_eq!(accept_all(&*store, [keyless.clone(), keyless]).await, [Accepted::New; 2]);
    assert_eq!(chunk_count(&*store, 2).await, 1);
}

/// Outcomes have the order of the group, accepts and commits mixed.
pub async fn outcomes_come_in_order(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, (0..20).map(|number| keyed(running(recipe, number, owner), u8::try_from(number).unwrap(), at(900))))
        .await;
    let batch = Batch {
        // In reverse, every third key new.
        accepts: (100..120)
            .rev()
            .map(|number| {
                let key = if number % 3 == 0 { number } else { number - 100 };
                Arc::new(keyed(new_run(recipe, number), u8::try_from(key).unwrap(), at(900)))
            })
            .collect(),
        // In reverse, every third under a wrong epoch.
        commits: (0..20)
            .rev()
            .map(|number| {
                let mut commit = first_commit(number, owner, succeeded(30));
                commit.epoch += i64::from(number % 3 == 0);
                Arc::new(commit)
            })
            .collect(),
    };
    let expected = BatchOutcome {
        accepts: (100..120)
            .rev()
            .map(|number| match number % 3 {
                0 => Accepted::New,
                _ => Accepted::Duplicate { run: run_id(number - 100), same_content: true },
            })
            .collect(),
        commits: (0..20).rev().map(|number| if number % 3 == 0 { Committed::LeaseLost } else { Committed::Done }).collect(),
    };
    assert_eq!(store.write(&batch).await.unwrap(), expected);
    assert_eq!(store.write(&batch).await.unwrap(), expected, "the same group again");
}

/// Nothing to write is no error.
pub async fn an_empty_group(bed: Arc<dyn Bed>) {
    assert_eq!(bed.store().write(&Batch::default()).await.unwrap(), BatchOutcome::default());
}

/// Strangers' texts are no reason to refuse an event.
pub async fn odd_texts(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let texts = ["", " ", "O'Hara; drop table runs --", "Zoë 🦀 \u{202e}abc", "tab\tand\nline", "with \0 inside", "%_\\"];
    for (text, number) in texts.iter().zip(0..) {
        let run = NewRun { label: Some((*text).to_owned()), ..new_run(recipe, number) };
        assert_eq!(accept(&*store, run).await, Accepted::New, "{text:?}");
        let label = row(&*store, number).await.label.unwrap();
        assert!(label == *text || text.contains('\0'), "{text:?} became {label:?}");
    }
    assert_eq!(store.recipe("no\0such").await.unwrap(), None);
    assert_eq!(store.connection("no\0such").await.unwrap(), None);
    let filter = crate::RunFilter { text: Some("\0".to_owned()), limit: 10, ..crate::RunFilter::default() };
    store.runs(&filter).await.unwrap();
}

/// A group far larger than usual.
pub async fn a_large_group(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let runs = (0..600).map(|number| running(recipe, number, owner));
    assert_eq!(accept_all(&*store, runs).await, [Accepted::New; 600]);
    let batch = Batch {
        accepts: (600..1200).map(|number| Arc::new(running(recipe, number, owner))).collect(),
        commits: (0..600).map(|number| Arc::new(first_commit(number, owner, succeeded(2000)))).collect(),
    };
    let outcome = store.write(&batch).await.unwrap();
    assert_eq!(outcome, BatchOutcome { accepts: vec![Accepted::New; 600], commits: vec![Committed::Done; 600] });
    let counts = store.run_counts(None, at(0)).await.unwrap();
    assert!(counts.contains(&(RunStatus::Running, 600)) && counts.contains(&(RunStatus::Succeeded, 600)), "{counts:?}");
}
