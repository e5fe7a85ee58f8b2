//! Processes tell each other that there may be work.

use std::{sync::Arc, time::Duration};

use super::{
    Bed,
    parts::{accept, at, failed, first_commit, new_run, next_chunk, recipe, run_id, running, version_of, worker, write},
};
use crate::{NewRun, Store, Then};

/// A notice takes a millisecond; this is how long a broken one is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

async fn told(store: &dyn Store) {
    tokio::time::timeout(PATIENCE, store.wait_for_notice()).await.expect("nobody gave notice");
}

/// True when a notice is there already.
async fn is_told(store: &dyn Store) -> bool {
    let mut wait = std::pin::pin!(store.wait_for_notice());
    std::future::poll_fn(|context| std::task::Poll::Ready(wait.as_mut().poll(context).is_ready())).await
}

/// Two processes, the second of which listens. `None` where there is only one: it waits forever.
async fn pair(bed: &dyn Bed) -> Option<(Arc<dyn Store>, Arc<dyn Store>)> {
    let (store, listening) = (bed.store(), bed.another().await);
    if !bed.gives_notice() {
        assert!(!is_told(&*listening).await);
        return None;
    }
    // The first wait ends when the process has begun to listen.
    told(&*listening).await;
    Some((store, listening))
}

/// New and parked work that anybody may take.
pub async fn somebody_else_queues_a_run(bed: Arc<dyn Bed>) {
    let Some((store, listening)) = pair(&*bed).await else { return };
    let recipe = recipe(&*store, "orders").await;
    told(&*listening).await;
    accept(&*store, new_run(recipe, 1)).await;
    told(&*listening).await;
    let owner = worker(&*store).await;
    accept(&*store, running(recipe, 2, owner)).await;
    write(&*store, &first_commit(2, owner, Then::Queued { due_at: at(5) })).await;
    told(&*listening).await;
}

/// Work that became free: resumed, released, reaped.
pub async fn somebody_else_frees_a_run(bed: Arc<dyn Bed>) {
    let Some((store, listening)) = pair(&*bed).await else { return };
    let recipe = recipe(&*store, "orders").await;
    told(&*listening).await;
    accept(&*store, NewRun { then: failed(5), ..new_run(recipe, 1) }).await;
    assert!(store.resume(run_id(1), None, 1, &next_chunk(1, "x"), at(6)).await.unwrap());
    told(&*listening).await;
    let stopping = worker(&*store).await;
    accept(&*store, running(recipe, 2, stopping)).await;
    store.release_worker(stopping, at(7)).await.unwrap();
    told(&*listening).await;
    let dead = store.register_worker("dead", at(0), at(1)).await.unwrap();
    accept(&*store, running(recipe, 3, dead)).await;
    assert_eq!(store.reap_workers(at(7)).await.unwrap().runs, 1);
    told(&*listening).await;
}

/// Recipes and connections changed.
pub async fn the_catalogue_changes(bed: Arc<dyn Bed>) {
    let Some((store, listening)) = pair(&*bed).await else { return };
    let id = recipe(&*store, "orders").await;
    told(&*listening).await;
    store.save_version(version_of("orders", "two")).await.unwrap();
    told(&*listening).await;
    store.activate(id, Some(2), &serde_json::json!({}), at(1)).await.unwrap();
    told(&*listening).await;
}

/// A notice that comes while nobody waits is not lost, and who was told waits for the next.
pub async fn several_count_as_one(bed: Arc<dyn Bed>) {
    let Some((store, listening)) = pair(&*bed).await else { return };
    let recipe = recipe(&*store, "orders").await;
    for number in 0..20 {
        accept(&*store, new_run(recipe, number)).await;
    }
    told(&*listening).await;
    let waiting = tokio::spawn(async move {
        while listening.backlog(at(100), 100).await.unwrap() < 21 {
            told(&*listening).await;
        }
    });
    accept(&*store, new_run(recipe, 20)).await;
    waiting.await.unwrap();
}
