//! What changes beside a run, in one transaction with it: answers, questions, kept state, started runs,
//! turns in a lane.

use std::sync::Arc;

use serde_json::{Map, json};

use super::{
    Bed,
    parts::{
        accept, accept_all, at, dice, failed, first_commit, keyed, new_run, next_chunk, recipe, record, row, run_id, running,
        succeeded, worker, write,
    },
};
use crate::{
    Answer, Answered, Approval, ApprovalId, Beside, Claim, Committed, Lane, NewRun, Parent, RecipeId, RunCommit, RunStatus,
    Store, Then, WaitingFor, WorkerId,
};

const FAR: i64 = 900_000;

fn answer(path: &str, seconds: i64, out: &str) -> Answer {
    Answer {
        path: path.into(),
        at: at(seconds),
        by: "callback".to_owned(),
        out: Some(Arc::new(json!({ "said": out }))),
        err: None,
    }
}

fn parked(number: u64, owner: WorkerId, path: &str) -> RunCommit {
    let then = Then::Waiting { reason: WaitingFor::Callback, due_at: at(FAR) };
    RunCommit { listens: vec![path.into()], ..first_commit(number, owner, then) }
}

async fn claim_one(store: &dyn Store, owner: WorkerId, seconds: i64) -> Claim {
    let claims = store.claim(owner, at(seconds), 10).await.unwrap();
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.into_iter().next().unwrap()
}

/// An answer makes the run due and comes with its claim, until the run has taken it in.
pub async fn an_answer_wakes_its_run(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    write(&*store, &parked(1, owner, "ask")).await;
    assert!(store.claim(owner, at(100), 10).await.unwrap().is_empty(), "nobody answered yet");
    let given = answer("ask", 50, "yes \u{0} 🎉");
    assert_eq!(bed.another().await.answer(run_id(1), &given).await.unwrap(), Answered::Kept);
    assert_eq!(store.answer(run_id(1), &answer("ask", 51, "no")).await.unwrap(), Answered::Already);
    let claim = claim_one(&*store, owner, 50).await;
    assert_eq!(claim.answers, std::slice::from_ref(&given));
    let on = RunCommit { epoch: claim.epoch, seq: 2, ..parked(1, owner, "ask") };
    let taken = RunCommit { chunk: next_chunk(2, "taken"), beside: vec![Beside::Taken(vec!["ask".into()])], ..on };
    assert_eq!(write(&*store, &taken).await, Committed::Done);
    assert!(store.claim(owner, at(100), 10).await.unwrap().is_empty(), "it was taken in");
    assert_eq!(store.answer(run_id(1), &answer("ask", 60, "again")).await.unwrap(), Answered::Already);
}

/// Who is quicker than the run is heard when the run comes to the step, and only then.
pub async fn an_early_answer_waits(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    assert_eq!(store.answer(run_id(1), &answer("later", 5, "early")).await.unwrap(), Answered::Kept);
    write(&*store, &parked(1, owner, "first")).await;
    assert!(store.claim(owner, at(100), 10).await.unwrap().is_empty(), "the run does not wait for this one yet");
    assert_eq!(store.answer(run_id(1), &answer("first", 6, "on")).await.unwrap(), Answered::Kept);
    let claim = claim_one(&*store, owner, 100).await;
    assert_eq!(claim.answers.len(), 2);
    let taken = vec![Beside::Taken(vec!["first".into()])];
    let on = RunCommit { epoch: claim.epoch, seq: 2, chunk: next_chunk(2, "on"), beside: taken, ..parked(1, owner, "later") };
    assert_eq!(write(&*store, &on).await, Committed::Done);
    let claim = claim_one(&*store, owner, 100).await;
    assert_eq!(claim.answers, [answer("later", 5, "early")]);
}

/// A run that is over, or that never was, takes no answer.
pub async fn nobody_answers_the_dead(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept(&*store, NewRun { then: succeeded(3), ..new_run(recipe, 1) }).await;
    for number in [1, 99] {
        assert_eq!(store.answer(run_id(number), &answer("ask", 5, "yes")).await.unwrap(), Answered::Over);
    }
}

/// The end of a called run answers its caller, in the same transaction, also when it fails later again.
pub async fn a_called_run_answers_its_caller(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    let parent = Parent { run: run_id(1), path: "call".into() };
    accept(&*store, NewRun { parent: Some(parent.clone()), ..new_run(recipe, 2) }).await;
    write(&*store, &parked(1, owner, "call")).await;
    let child = claim_one(&*store, owner, 100).await;
    assert_eq!((child.id, child.parent.as_ref()), (run_id(2), Some(&parent)));
    assert_eq!(row(&*store, 2).await.parent.as_ref(), Some(&parent));
    let told = |number: i64| Answer { err: Some(record("it broke")), out: None, ..answer("call", number, "") };
    let end = |seq: i32, epoch: i64, told: Answer| RunCommit {
        epoch,
        seq,
        chunk: next_chunk(seq, "end"),
        beside: vec![Beside::Answer { run: run_id(1), answer: told }],
        ..first_commit(2, owner, Then::Failed { at: at(110), error: record("it broke") })
    };
    let stale = end(1, child.epoch + 1, told(109));
    assert_eq!(write(&*store, &stale).await, Committed::LeaseLost);
    assert!(store.claim(owner, at(200), 10).await.unwrap().is_empty(), "a stale worker answers nobody");
    assert_eq!(write(&*store, &end(1, child.epoch, told(110))).await, Committed::Done);
    let caller = claim_one(&*store, owner, 200).await;
    assert_eq!((caller.id, caller.answers.as_slice()), (run_id(1), [told(110)].as_slice()));
    let on = RunCommit { epoch: caller.epoch, seq: 2, chunk: next_chunk(2, "on"), ..parked(1, owner, "call") };
    write(&*store, &RunCommit { beside: vec![Beside::Taken(vec!["call".into()])], ..on }).await;
    // Somebody resumed the called run, and it ends again.
    assert!(store.resume(run_id(2), None, 2, &next_chunk(2, "resume"), at(210)).await.unwrap());
    let child = claim_one(&*store, owner, 220).await;
    let good = answer("call", 230, "done");
    let commit = RunCommit { then: succeeded(230), ..end(3, child.epoch, good.clone()) };
    assert_eq!(write(&*store, &commit).await, Committed::Done);
    assert_eq!(claim_one(&*store, owner, 300).await.answers, [good]);
}

/// Of a run that goes on its caller hears nothing until it ends again.
pub async fn a_resumed_run_takes_back_what_it_told(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let parent = Parent { run: run_id(1), path: "call".into() };
    accept_all(&*store, [running(recipe, 1, owner), NewRun { parent: Some(parent.clone()), ..running(recipe, 2, owner) }]).await;
    write(&*store, &first_commit(1, owner, failed(10))).await;
    let told = |second: i64| Answer { path: parent.place_of(run_id(2)), ..answer("call", second, "") };
    let beside = |second| {
        vec![
            Beside::Answer { run: run_id(1), answer: told(second) },
            Beside::Answer { run: run_id(1), answer: answer("ask", 20, "yes") },
        ]
    };
    write(&*store, &RunCommit { beside: beside(20), ..first_commit(2, owner, failed(20)) }).await;
    assert_eq!(store.untaken_answers(run_id(1)).await.unwrap().len(), 2);
    assert!(store.resume(run_id(2), None, 2, &next_chunk(2, "resume"), at(30)).await.unwrap());
    assert_eq!(store.untaken_answers(run_id(1)).await.unwrap(), [answer("ask", 20, "yes")], "only what others told stays");
    let child = claim_one(&*store, owner, 40).await;
    let end = RunCommit { epoch: child.epoch, seq: 3, chunk: next_chunk(3, "end"), ..first_commit(2, owner, succeeded(50)) };
    write(&*store, &RunCommit { beside: vec![Beside::Answer { run: run_id(1), answer: told(50) }], ..end }).await;
    assert!(store.untaken_answers(run_id(1)).await.unwrap().contains(&told(50)));
}

/// A caller that failed while it waited may be resumed: what it was told meanwhile is kept for it.
pub async fn a_failed_caller_is_answered_all_the_same(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [running(recipe, 1, owner), running(recipe, 2, owner)]).await;
    write(&*store, &first_commit(1, owner, failed(10))).await;
    let told = answer("call", 20, "done");
    let beside = vec![Beside::Answer { run: run_id(1), answer: told.clone() }];
    assert_eq!(write(&*store, &RunCommit { beside, ..first_commit(2, owner, succeeded(20)) }).await, Committed::Done);
    assert_eq!(row(&*store, 1).await.status, RunStatus::Failed, "it goes on only when somebody says so");
    assert_eq!(store.untaken_answers(run_id(1)).await.unwrap(), std::slice::from_ref(&told));
    // Nobody from outside answers what is over.
    assert_eq!(store.answer(run_id(1), &answer("ask", 21, "yes")).await.unwrap(), Answered::Over);
    assert!(store.resume(run_id(1), None, 2, &next_chunk(2, "resume"), at(30)).await.unwrap());
    assert_eq!(claim_one(&*store, owner, 40).await.answers, [told]);
    assert!(store.untaken_answers(run_id(9)).await.unwrap().is_empty());
}

/// Cancelling writes what changes beside the run as well.
pub async fn a_cancelled_run_answers_too(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [running(recipe, 1, owner), running(recipe, 2, owner)]).await;
    write(&*store, &parked(1, owner, "call")).await;
    let beside = [Beside::Answer { run: run_id(1), answer: answer("call", 20, "cancelled") }];
    assert!(store.cancel(run_id(2), &next_chunk(1, "cancel"), &beside, at(20)).await.unwrap());
    assert_eq!(claim_one(&*store, owner, 30).await.answers.len(), 1);
}

/// The runs that a run called can be found as long as they are not over.
pub async fn called_runs_are_found(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let parent = Some(Parent { run: run_id(1), path: "call".into() });
    let called = |number| NewRun { parent: parent.clone(), ..new_run(recipe, number) };
    let over = NewRun { then: succeeded(8), ..called(4) };
    accept_all(&*store, [running(recipe, 1, owner), called(2), called(3), over, new_run(recipe, 5)]).await;
    assert_eq!(bed.another().await.called_by(run_id(1)).await.unwrap(), [run_id(2), run_id(3)]);
    assert!(store.cancel(run_id(2), &next_chunk(1, "cancel"), &[], at(20)).await.unwrap());
    assert_eq!(store.called_by(run_id(1)).await.unwrap(), [run_id(3)]);
    assert!(store.called_by(run_id(2)).await.unwrap().is_empty());
}

/// State is written with the commit it belongs to, name by name.
pub async fn state_is_kept(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    assert!(store.recipe_state(recipe).await.unwrap().is_empty());
    accept_all(&*store, (1..4).map(|number| running(recipe, number, owner))).await;
    let keep = |values: serde_json::Value| {
        let values: Map<_, _> = values.as_object().unwrap().clone();
        vec![Beside::Keep { recipe, values, at: at(10) }]
    };
    let end = |number, values| RunCommit { beside: keep(values), ..first_commit(number, owner, succeeded(10)) };
    assert_eq!(write(&*store, &end(1, json!({ "last": 1, "text": "a\u{0}'\"" }))).await, Committed::Done);
    let second = end(2, json!({ "last": { "n": [2] } }));
    assert_eq!(write(&*store, &second).await, Committed::Done);
    let stale = RunCommit { epoch: 9, ..end(3, json!({ "last": 3 })) };
    assert_eq!(write(&*store, &stale).await, Committed::LeaseLost);
    let kept = bed.another().await.recipe_state(recipe).await.unwrap();
    assert_eq!(serde_json::Value::Object(kept), json!({ "last": { "n": [2] }, "text": "a\u{0}'\"" }));
    // The same commit again, its answer was lost: what came after it stays.
    assert_eq!(write(&*store, &end(1, json!({ "last": 1 }))).await, Committed::Done);
    assert_eq!(store.recipe_state(recipe).await.unwrap()["last"], json!({ "n": [2] }));
}

/// A question is asked with its commit, decided once, and its run goes on.
pub async fn a_question_is_decided_once(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [running(recipe, 1, owner), running(recipe, 2, owner)]).await;
    let question = |number: u64, expires: Option<i64>| Approval {
        id: ApprovalId::new(at(i64::try_from(number).unwrap()), dice(number)),
        run: run_id(number),
        path: "ask".into(),
        recipe,
        question: Arc::new(json!({ "ask": "Pay?\u{0}", "from": { "group": "finance" } })),
        asked_at: at(5),
        expires_at: expires.map(at),
        decided_at: None,
        decision: None,
    };
    let asks = |number, expires| RunCommit {
        beside: vec![Beside::Ask(Box::new(question(number, expires)))],
        ..parked(number, owner, "ask")
    };
    write(&*store, &asks(1, None)).await;
    write(&*store, &asks(2, Some(40))).await;
    let open = store.approvals(true, None, 10).await.unwrap();
    assert_eq!(open.iter().map(|one| one.id).collect::<Vec<_>>(), [question(2, None).id, question(1, None).id]);
    assert_eq!(store.approvals(true, Some(open[0].id), 10).await.unwrap().len(), 1);
    let decision = |seconds| Answer { by: "ines".to_owned(), ..answer("", seconds, "approved") };
    assert_eq!(store.decide(question(2, None).id, &decision(40)).await.unwrap(), Answered::Over, "its time was over");
    assert_eq!(store.decide(question(7, None).id, &decision(40)).await.unwrap(), Answered::Over, "there is no such question");
    assert_eq!(store.decide(question(1, None).id, &decision(41)).await.unwrap(), Answered::Kept);
    assert_eq!(store.decide(question(1, None).id, &decision(42)).await.unwrap(), Answered::Already);
    let claim = claim_one(&*store, owner, 50).await;
    assert_eq!((claim.id, claim.answers[0].by.as_str(), &*claim.answers[0].path), (run_id(1), "ines", "ask"));
    let decided = store.approvals(false, None, 10).await.unwrap();
    assert_eq!((decided.len(), decided[0].decided_at), (1, Some(at(41))));
    assert_eq!(decided[0].decision.as_ref().map(|one| one.by.as_str()), Some("ines"));
    assert_eq!(store.approval(question(1, None).id).await.unwrap().as_ref(), Some(&decided[0]));
    assert!(store.cancel(run_id(2), &next_chunk(2, "cancel"), &[], at(60)).await.unwrap());
    assert!(store.approvals(true, None, 10).await.unwrap().is_empty(), "nobody waits for an answer any more");
}

/// A run started by another is accepted with that one's commit, once.
pub async fn a_run_starts_another(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [running(recipe, 1, owner), running(recipe, 2, owner)]).await;
    let starts = |number| vec![Beside::Start(Arc::new(keyed(new_run(recipe, number), 3, at(FAR))))];
    let first = RunCommit { beside: starts(11), ..first_commit(1, owner, succeeded(10)) };
    assert_eq!(write(&*store, &first).await, Committed::Done);
    let second = RunCommit { beside: starts(12), ..first_commit(2, owner, succeeded(10)) };
    assert_eq!(write(&*store, &second).await, Committed::Done);
    let claims = store.claim(owner, at(100), 10).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), [run_id(11)], "the second had the same key");
    assert_eq!(claims[0].chunks.len(), 1);
}

fn laned(recipe: RecipeId, number: u64, key: u8, room: i32) -> NewRun {
    NewRun { lane: Some(Lane { key: [key; 16], room }), ..new_run(recipe, number) }
}

async fn end(store: &dyn Store, claim: &Claim, owner: WorkerId, seconds: i64) {
    let commit = super::parts::commit(claim, owner, succeeded(seconds));
    assert_eq!(write(store, &commit).await, Committed::Done);
}

/// Runs of one lane go in the order they were accepted; other lanes do not wait.
pub async fn a_lane_goes_in_order(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    // Accepted in another order than their ids and times say.
    accept_all(&*store, [laned(recipe, 3, 1, 1), laned(recipe, 1, 1, 1), laned(recipe, 2, 2, 1)]).await;
    accept(&*store, laned(recipe, 4, 1, 1)).await;
    let waits = row(&*store, 1).await;
    assert_eq!((waits.status, waits.waiting_for, waits.due_at), (RunStatus::Waiting, Some(WaitingFor::Order), None));
    let ids = |claims: &[Claim]| claims.iter().map(|claim| claim.id).collect::<Vec<_>>();
    let first = store.claim(owner, at(100), 10).await.unwrap();
    assert_eq!(ids(&first), [run_id(2), run_id(3)]);
    assert_eq!(first[1].lane, Some([1; 16]));
    // A run that parks keeps its turn.
    let parks = super::parts::commit(&first[1], owner, Then::Waiting { reason: WaitingFor::Timer, due_at: at(120) });
    assert_eq!(write(&*store, &parks).await, Committed::Done);
    assert!(store.claim(owner, at(110), 10).await.unwrap().is_empty());
    let again = claim_one(&*store, owner, 120).await;
    end(&*store, &again, owner, 121).await;
    let second = claim_one(&*store, owner, 130).await;
    assert_eq!(second.id, run_id(1));
    // A cancelled run gives its turn away, too.
    assert!(store.cancel(run_id(1), &next_chunk(1, "cancel"), &[], at(131)).await.unwrap());
    assert_eq!(claim_one(&*store, owner, 140).await.id, run_id(4));
}

/// Whoever waits in a lane is told who has its turn, and how many stand before it.
pub async fn a_place_in_a_lane(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [laned(recipe, 3, 1, 1), laned(recipe, 1, 1, 1), laned(recipe, 2, 2, 1), laned(recipe, 4, 1, 1)]).await;
    accept(&*store, new_run(recipe, 5)).await;
    let place = async |number| store.lane_place(run_id(number)).await.unwrap().map(|place| (place.head, place.before));
    for (number, expected) in [(3, Some((3, 0))), (1, Some((3, 1))), (4, Some((3, 2))), (2, Some((2, 0))), (5, None), (77, None)]
    {
        assert_eq!(place(number).await, expected.map(|(head, before)| (run_id(head), before)), "run {number}");
    }
    let claims = store.claim(owner, at(100), 10).await.unwrap();
    let first = claims.iter().find(|claim| claim.id == run_id(3)).unwrap();
    end(&*store, first, owner, 101).await;
    assert_eq!(place(3).await, None, "it is over");
    assert_eq!(place(4).await, Some((run_id(1), 1)));
}

/// A lane with room for two lets two go at once; what is resumed queues up anew.
pub async fn a_lane_has_room(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, (1..6).map(|number| laned(recipe, number, 1, 2))).await;
    let two = store.claim(owner, at(100), 10).await.unwrap();
    assert_eq!(two.len(), 2);
    let failed = super::parts::commit(&two[0], owner, super::parts::failed(101));
    assert_eq!(write(&*store, &failed).await, Committed::Done);
    assert_eq!(claim_one(&*store, owner, 110).await.id, run_id(3));
    assert!(store.resume(run_id(1), None, 2, &next_chunk(2, "resume"), at(111)).await.unwrap());
    assert_eq!(row(&*store, 1).await.waiting_for, Some(WaitingFor::Order), "two are ahead of it, and two wait before it");
    assert!(store.claim(owner, at(120), 10).await.unwrap().is_empty());
    end(&*store, &two[1], owner, 121).await;
    assert_eq!(claim_one(&*store, owner, 130).await.id, run_id(4));
}

/// Many processes accept and end runs of a few lanes at once: nothing overtakes, nothing is forgotten.
pub async fn lanes_under_load(bed: Arc<dyn Bed>) {
    const RUNS: u64 = 60;
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let others = [bed.another().await, bed.another().await, Arc::clone(&store)];
    let mut accepts = tokio::task::JoinSet::new();
    for (number, store) in (1..=RUNS).zip(others.iter().cycle()) {
        let store = Arc::clone(store);
        accepts.spawn(async move { accept(&*store, laned(recipe, number, u8::try_from(number % 3).unwrap(), 1)).await });
    }
    accepts.join_all().await;
    let mut done = 0;
    while done < RUNS {
        let claims = store.claim(owner, at(FAR), 10).await.unwrap();
        assert!(!claims.is_empty(), "{done} are done, and nobody's turn has come");
        assert!(claims.len() <= 3, "one of each lane");
        let mut ends = tokio::task::JoinSet::new();
        for (claim, store) in claims.into_iter().zip(others.iter().cycle()) {
            let store = Arc::clone(store);
            ends.spawn(async move { end(&*store, &claim, owner, FAR).await });
            done += 1;
        }
        ends.join_all().await;
    }
}
