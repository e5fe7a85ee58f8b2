//! A failed run goes on one way only, and once.

use std::time::Duration;

use engine::{
    control::{ControlError, Replay},
    resume::Resumption,
};
use serde_json::json;
use store::{DeadLetter, RunId, RunStatus};

use crate::world::World;

const BAD: &str = "connections: { crm: sys }\nsteps:\n  - { id: pay, do: crm.post, with: { bad: true } }\n";

#[tokio::test(start_paused = true)]
async fn what_was_replayed_or_put_aside_is_not_resumed() {
    let world = World::new(1, &[("crm", json!({}))], &[("payer", BAD)]).await;
    let engine = &world.engines[0];
    for aside in [false, true] {
        let run = world.send(0, "payer", json!({})).await;
        world.pass(Duration::from_secs(2)).await;
        assert_eq!(world.run(run).await.status, RunStatus::Failed);
        if aside {
            engine.discard(run, "entered by hand", "ines").await.unwrap();
        } else {
            engine.replay(run, None).await.unwrap();
        }
        let before = world.entries(run).await.len();
        let refused = engine.resume_with(run, &Resumption::default(), "ines").await;
        assert!(
            matches!(&refused, Err(ControlError::NotNow(why)) if why.contains("already replayed or discarded")),
            "{refused:?}"
        );
        world.pass(Duration::from_secs(2)).await;
        assert_eq!((world.run(run).await.status, world.entries(run).await.len()), (RunStatus::Failed, before));
    }
}

/// Two people, or two operations, ask for it at the same moment on two processes.
#[tokio::test(start_paused = true)]
async fn a_failed_run_is_replayed_once() {
    let world = World::new(2, &[("crm", json!({}))], &[("payer", BAD)]).await;
    let run = failed(&world).await;
    let (one, other) = tokio::join!(world.engines[0].replay(run, None), world.engines[1].replay(run, None));
    let (new, refused) = one_of(one, other);
    assert_eq!(
        refused.to_string(),
        format!("Somebody replayed this run just now, as run {new}. Look at that one; to run the event once more, replay again.")
    );
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.run(run).await.dead_letter, Some(DeadLetter::Replayed));
    // What was replayed failed, too, and is a failure of its own.
    let second = world.engines[0].replay(new, None).await.unwrap();
    assert_ne!(second, new);
    // Whoever wants what was dealt with once more gets it.
    assert_ne!(world.engines[0].replay(run, None).await.unwrap(), new);
}

/// A replay, a resume and a discard at the same moment: the failed run goes one way.
#[tokio::test(start_paused = true)]
async fn a_replay_and_a_resume_are_not_both_carried_out() {
    let world = World::new(2, &[("crm", json!({}))], &[("payer", BAD)]).await;
    for turn in 0..6 {
        let run = failed(&world).await;
        let wish = Resumption::default();
        let replay = world.engines[turn % 2].replay(run, None);
        let resume = world.engines[(turn + 1) % 2].resume_with(run, &wish, "ines");
        let (replayed, resumed) = match turn < 3 {
            true => tokio::join!(replay, resume),
            false => {
                let (resumed, replayed) = tokio::join!(resume, replay);
                (replayed, resumed)
            }
        };
        assert_ne!(replayed.is_ok(), resumed.is_ok(), "{replayed:?} {resumed:?}");
        world.pass(Duration::from_secs(2)).await;
        let letter = if replayed.is_ok() { DeadLetter::Replayed } else { DeadLetter::Open };
        assert_eq!(world.run(run).await.dead_letter, Some(letter));
        let told = world.entries(run).await.iter().filter(|entry| matches!(entry.word(), "replayed" | "resumed")).count();
        assert_eq!(told, 1);
    }
}

/// Whoever did not get the answer asks again under the same key.
#[tokio::test(start_paused = true)]
async fn a_replay_under_a_key_is_one() {
    let world = World::new(2, &[("crm", json!({}))], &[("payer", BAD)]).await;
    let run = failed(&world).await;
    let wish = |event| Replay { event, key: Some("k-1".to_owned()), ..Replay::default() };
    let first = world.engines[0].replay_with(run, wish(None)).await.unwrap();
    assert!(!first.again);
    let second = world.engines[1].replay_with(run, wish(None)).await.unwrap();
    assert_eq!((second.run, second.again), (first.run, true));
    let other = world.engines[1].replay_with(run, wish(Some(json!({ "corrected": true })))).await;
    assert!(matches!(other, Err(ControlError::KeyReused)), "{other:?}");
    let mine = Replay { key: Some("k-2".to_owned()), ..Replay::default() };
    assert_ne!(world.engines[0].replay_with(run, mine).await.unwrap().run, first.run);
}

async fn failed(world: &World) -> RunId {
    let run = world.send(0, "payer", json!({})).await;
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.run(run).await.status, RunStatus::Failed);
    run
}

fn one_of(one: Result<RunId, ControlError>, other: Result<RunId, ControlError>) -> (RunId, ControlError) {
    match (one, other) {
        (Ok(new), Err(refused)) | (Err(refused), Ok(new)) => (new, refused),
        both => panic!("{both:?}"),
    }
}
