//! Triggers that ask: an answer, its runs and the position after it are one commit, and one process asks at a time.

use std::sync::Arc;

use serde_json::json;

use super::{
    Bed,
    care::{purge, purge_all},
    parts::{at, keyed, new_run, recipe, succeeded, worker},
};
use crate::{
    Accepted, NewPoll, NewRun, PollAnswer, PollDone, PollPosition, PollRow, Reaped, RecipeId, RunFilter, Store, Timestamp,
    WorkerId,
};

const MINUTE_US: i64 = 60_000_000;

async fn asking(store: &dyn Store, slug: &str) -> RecipeId {
    let recipe = recipe(store, slug).await;
    store.activate(recipe, Some(1), &json!({}), at(0)).await.unwrap().unwrap();
    let poll = NewPoll { recipe, source: "sf.updated".to_owned(), since: at(5), pause_us: MINUTE_US };
    store.open_polls(&[poll], at(10)).await.unwrap();
    recipe
}

async fn take(store: &dyn Store, worker: WorkerId, now: Timestamp) -> Vec<PollRow> {
    store.take_polls(worker, now, Timestamp::from_micros(now.micros() + MINUTE_US), 10).await.unwrap()
}

fn page(row: &PollRow, worker: WorkerId, now: Timestamp, runs: Vec<NewRun>, cursor: &str) -> PollDone {
    let answer = PollAnswer::Page {
        runs: runs.into_iter().map(Arc::new).collect(),
        position: PollPosition::After(json!({ "at": cursor })),
        quiet: (Timestamp::from_micros(now.micros() + 2 * MINUTE_US), 2 * MINUTE_US),
        renews: true,
    };
    let due_at = Timestamp::from_micros(now.micros() + MINUTE_US);
    PollDone { recipe: row.recipe, seq: row.seq, worker, now, due_at, pause_us: MINUTE_US, answer }
}

fn event(recipe: RecipeId, number: u64) -> NewRun {
    keyed(new_run(recipe, number), u8::try_from(number).unwrap(), at(1_000_000))
}

async fn runs(store: &dyn Store) -> usize {
    store.runs(&RunFilter { limit: 100, ..RunFilter::default() }).await.unwrap().len()
}

/// Runs and position come together; what comes again starts nothing.
pub async fn a_page_is_one_commit(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    let row = take(&*store, me, at(10)).await.remove(0);
    assert_eq!((row.recipe, row.position.clone(), row.events), (recipe, PollPosition::Since(at(5).micros()), 0));
    let first = page(&row, me, at(11), vec![event(recipe, 1), event(recipe, 2)], "b");
    assert_eq!(store.finish_poll(&first).await.unwrap(), Some(vec![Accepted::New, Accepted::New]));
    let kept = store.poll(recipe).await.unwrap().unwrap();
    assert_eq!(kept.position, PollPosition::After(json!({"at": "b"})));
    assert_eq!((kept.events, kept.asked_at, kept.found_at, kept.due_at), (2, Some(at(11)), Some(at(11)), at(71)));
    assert_eq!(store.finish_poll(&first).await.unwrap(), None, "the same answer again is refused");
    assert!(take(&*store, me, at(70)).await.is_empty(), "it is not due yet");
    let row = take(&*store, me, at(71)).await.remove(0);
    let again = page(&row, me, at(72), vec![NewRun { id: super::parts::run_id(9), ..event(recipe, 2) }, event(recipe, 3)], "c");
    let outcome = store.finish_poll(&again).await.unwrap().unwrap();
    assert!(
        matches!(outcome[..], [Accepted::Duplicate { run, .. }, Accepted::New] if run == super::parts::run_id(2)),
        "{outcome:?}"
    );
    assert_eq!((runs(&*store).await, store.poll(recipe).await.unwrap().unwrap().events), (3, 3));
}

/// A page without anything new is followed by the other pause.
pub async fn nothing_new(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    for (run, now, expected) in [(1, 11, 71), (2, 72, 192)] {
        let row = take(&*store, me, at(now)).await.remove(0);
        let told = NewRun { id: super::parts::run_id(run), ..event(recipe, 1) };
        store.finish_poll(&page(&row, me, at(now), vec![told], "b")).await.unwrap().unwrap();
        let kept = store.poll(recipe).await.unwrap().unwrap();
        assert_eq!((kept.due_at, kept.pause_us), (at(expected), (expected - now) * 1_000_000));
    }
}

/// What is told for years starts one run, though its run is long removed; unless the recipe's own key says otherwise.
pub async fn told_for_years(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    let day = 24 * 3_600;
    let told = async |now: i64, number: u64, key: u8, renews: bool| {
        let run = NewRun { then: succeeded(now), ..new_run(recipe, number) };
        let row = take(&*store, me, at(now)).await.remove(0);
        let mut done = page(&row, me, at(now), vec![keyed(run, key, at(now + 7 * day))], "b");
        if let PollAnswer::Page { renews: slot, .. } = &mut done.answer {
            *slot = renews;
        }
        let outcome = store.finish_poll(&done).await.unwrap().unwrap();
        purge_all(&*store, purge(recipe, now + day)).await;
        store.forget_keys(None, at(now + day), 100).await.unwrap();
        outcome[0] == Accepted::New
    };
    assert!(told(11, 1, 1, true).await);
    for (week, number) in (1..6).zip(2..) {
        assert!(!told(week * 6 * day, number, 1, true).await, "week {week}");
    }
    assert!(told(40 * day, 20, 2, false).await);
    assert!(!told(46 * day, 21, 2, false).await);
    assert!(told(48 * day, 22, 2, false).await, "a key of the recipe's own is kept as long as the recipe says");
}

/// A page with more runs than one statement takes.
pub async fn a_long_page(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    let row = take(&*store, me, at(10)).await.remove(0);
    let many = (0..2_000).map(|number| NewRun { key: None, ..new_run(recipe, number) }).collect();
    let outcome = store.finish_poll(&page(&row, me, at(11), many, "z")).await.unwrap().unwrap();
    assert_eq!(outcome, vec![Accepted::New; 2_000]);
    assert_eq!(store.poll(recipe).await.unwrap().unwrap().events, 2_000);
}

/// Somebody who died while asking is replaced when their lease is over, and what they bring later is refused.
pub async fn one_asks_at_a_time(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = asking(&*store, "sync").await;
    let (me, them) = (worker(&*store).await, worker(&*other).await);
    let mine = take(&*store, me, at(10)).await.remove(0);
    assert!(take(&*other, them, at(69)).await.is_empty());
    assert_eq!(store.next_poll().await.unwrap(), Some(at(70)));
    let theirs = take(&*other, them, at(70)).await.remove(0);
    assert_eq!(store.finish_poll(&page(&mine, me, at(71), vec![event(recipe, 1)], "late")).await.unwrap(), None);
    assert_eq!(runs(&*store).await, 0, "nothing of a refused answer is kept");
    assert!(other.finish_poll(&page(&theirs, them, at(72), vec![event(recipe, 1)], "b")).await.unwrap().is_some());
    assert_eq!(store.poll(recipe).await.unwrap().unwrap().position, PollPosition::After(json!({"at": "b"})));
}

/// Whoever is known to be dead is not waited for, and what they bring all the same is refused.
pub async fn whoever_died_is_replaced_at_once(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    let mine = take(&*store, me, at(10)).await.remove(0);
    let reaped = store.reap_workers(at(0)).await.unwrap();
    assert_eq!((reaped.runs, reaped.polls), (0, 0));
    assert_eq!(store.next_poll().await.unwrap(), Some(at(70)), "I am not dead");
    for polls in [1, 0] {
        let reaped = other.reap_workers(Timestamp::from_micros(i64::MAX)).await.unwrap();
        assert_eq!(reaped, Reaped { runs: 0, polls, next: None }, "it is told once");
    }
    let them = worker(&*other).await;
    let theirs = take(&*other, them, at(11)).await.remove(0);
    assert_eq!(store.finish_poll(&page(&mine, me, at(12), vec![event(recipe, 1)], "late")).await.unwrap(), None);
    assert!(other.finish_poll(&page(&theirs, them, at(12), vec![event(recipe, 1)], "b")).await.unwrap().is_some());
    assert_eq!(runs(&*store).await, 1);
}

/// An answer to a question from before the move is refused.
pub async fn a_moved_trigger(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    let row = take(&*store, me, at(10)).await.remove(0);
    assert!(store.move_poll(recipe, at(1), at(12)).await.unwrap());
    assert_eq!(store.finish_poll(&page(&row, me, at(13), vec![event(recipe, 1)], "b")).await.unwrap(), None);
    let moved = take(&*store, me, at(13)).await.remove(0);
    assert_eq!((moved.position, runs(&*store).await), (PollPosition::Since(at(1).micros()), 0));
    assert!(!store.move_poll(RecipeId(uuid::Uuid::nil()), at(1), at(12)).await.unwrap());
}

/// It goes on from that moment, and an answer to a question from before is refused.
pub async fn a_trigger_that_begins_anew(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    let row = take(&*store, me, at(10)).await.remove(0);
    store.finish_poll(&page(&row, me, at(11), vec![event(recipe, 1)], "b")).await.unwrap().unwrap();
    let row = take(&*store, me, at(71)).await.remove(0);
    store.begin_anew(recipe, at(72)).await.unwrap();
    assert_eq!(store.finish_poll(&page(&row, me, at(73), vec![event(recipe, 2)], "c")).await.unwrap(), None);
    let anew = take(&*store, me, at(72)).await.remove(0);
    assert_eq!(anew.position, PollPosition::Since(at(72).micros()));
    let again = NewRun { id: super::parts::run_id(3), ..event(recipe, 1) };
    let outcome = store.finish_poll(&page(&anew, me, at(73), vec![again], "a")).await.unwrap();
    assert_eq!(outcome, Some(vec![Accepted::New]), "what was told before starts a run again");
}

/// A failure keeps the position and says why; the next answer clears it. One put off is no failure.
pub async fn failures(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    let mut now = 10;
    for error in [Some(json!({"code": "HTTP_503"})), Some(json!({"code": "HTTP_500"})), None] {
        let row = take(&*store, me, at(now)).await.remove(0);
        now += 100;
        let failed = PollDone { answer: PollAnswer::Failed { error }, ..page(&row, me, at(now - 60), vec![], "") };
        assert_eq!(store.finish_poll(&failed).await.unwrap(), Some(Vec::new()));
    }
    let kept = store.poll(recipe).await.unwrap().unwrap();
    assert_eq!((kept.failures, kept.error.clone(), kept.asked_at), (2, Some(json!({"code": "HTTP_500"})), None));
    assert_eq!(kept.position, PollPosition::Since(at(5).micros()));
    let row = take(&*store, me, at(now)).await.remove(0);
    store.finish_poll(&page(&row, me, at(now), vec![], "b")).await.unwrap().unwrap();
    let kept = store.poll(recipe).await.unwrap().unwrap();
    assert_eq!((kept.failures, kept.error, kept.found_at), (0, None, None));
}

/// What is switched off is not asked for; another source begins anew, the same one goes on.
pub async fn only_what_is_switched_on(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = asking(&*store, "sync").await;
    let me = worker(&*store).await;
    let row = take(&*store, me, at(10)).await.remove(0);
    store.finish_poll(&page(&row, me, at(11), vec![], "b")).await.unwrap().unwrap();
    store.activate(recipe, None, &json!({}), at(12)).await.unwrap();
    assert!(take(&*store, me, at(1_000)).await.is_empty());
    assert_eq!(store.next_poll().await.unwrap(), None);
    store.activate(recipe, Some(1), &json!({}), at(1_001)).await.unwrap();
    let same = NewPoll { recipe, source: "sf.updated".to_owned(), since: at(1_001), pause_us: 1 };
    store.open_polls(std::slice::from_ref(&same), at(1_001)).await.unwrap();
    assert_eq!(store.poll(recipe).await.unwrap().unwrap().position, PollPosition::After(json!({"at": "b"})));
    store.open_polls(&[NewPoll { source: "sf.created".to_owned(), ..same }], at(1_002)).await.unwrap();
    let anew = store.poll(recipe).await.unwrap().unwrap();
    assert_eq!((anew.position, anew.due_at), (PollPosition::Since(at(1_001).micros()), at(1_002)));
    assert!(store.hasten_poll(recipe, at(900)).await.unwrap());
    assert_eq!(store.polls(None, 10).await.unwrap()[0].due_at, at(900));
    assert!(store.polls(Some(recipe), 10).await.unwrap().is_empty());
}
