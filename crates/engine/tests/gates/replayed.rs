//! A failed run goes on one way only.

use std::time::Duration;

use engine::{control::ControlError, resume::Resumption};
use serde_json::json;
use store::RunStatus;

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
