//! A failed run goes on one way only, and once.

use std::time::Duration;

use engine::{control::ControlError, resume::Resumption};
use serde_json::json;
use store::{DeadLetter, RunStatus};

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

/// Two people, or two operations, ask for it at the same moment on two processes; and one that was gone before the failed run
/// was settled is asked for again.
#[tokio::test(start_paused = true)]
async fn a_failed_run_is_replayed_once() {
    let world = World::new(2, &[("crm", json!({}))], &[("payer", BAD)]).await;
    let run = world.send(0, "payer", json!({})).await;
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.run(run).await.status, RunStatus::Failed);
    let (one, other) = tokio::join!(world.engines[0].replay(run, None), world.engines[1].replay(run, None));
    let new = one.unwrap();
    assert_eq!(other.unwrap(), new);
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.run(run).await.dead_letter, Some(DeadLetter::Replayed));
    // What was replayed failed, too, and is a failure of its own.
    let second = world.engines[0].replay(new, None).await.unwrap();
    assert_ne!(second, new);
    // Whoever wants what was dealt with once more gets it.
    assert_ne!(world.engines[0].replay(run, None).await.unwrap(), new);
    // Of two with different events one is told what became of it.
    let run = world.send(0, "payer", json!({})).await;
    world.pass(Duration::from_secs(2)).await;
    let corrected = Some(json!({ "corrected": true }));
    let (one, other) = tokio::join!(world.engines[0].replay(run, None), world.engines[1].replay(run, corrected));
    let (new, refused) = match (one, other) {
        (Ok(new), Err(refused)) | (Err(refused), Ok(new)) => (new, refused),
        both => panic!("{both:?}"),
    };
    assert_eq!(refused.to_string(), format!("This run was replayed already with another event, as run {new}."));
}
