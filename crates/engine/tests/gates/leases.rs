//! Whoever dies is replaced the moment his lease is over.

use std::time::Duration;

use store::Store as _;

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_dead_process_is_found_when_its_lease_ends_and_not_a_round_later() {
    let world = World::new(2, &[], &[]).await;
    world.pass(Duration::from_secs(1)).await;
    // A lease of ten seconds is renewed three times in it: rounds are further apart than this one lasts.
    let until = world.now().after(Duration::from_millis(4_200));
    let dead = world.store.register_worker("dead", world.now(), until).await.unwrap();
    world.pass(Duration::from_secs(4)).await;
    assert!(world.store.renew_worker(dead, until).await.unwrap(), "its lease is not over");
    world.pass(Duration::from_millis(400)).await;
    assert!(!world.store.renew_worker(dead, until).await.unwrap(), "it was declared dead when its lease was over");
}
