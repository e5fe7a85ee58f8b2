//! What whoever watches asks.

use std::sync::Arc;

use super::{
    Bed,
    parts::{accept_all, at, failed, new_run, recipe},
};
use crate::{NewRun, Standing, Then, Waiting, WaitingFor};

/// The run that is due longest, parked runs by reason, and open dead letters by recipe.
pub async fn how_things_stand(bed: Arc<dyn Bed>) {
    let store = bed.store();
    assert_eq!(store.standing(at(50)).await.unwrap(), Standing::default());
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    let parked = |reason, due| Then::Waiting { reason, due_at: at(due) };
    let runs = [
        NewRun { then: parked(WaitingFor::Approval, 900), accepted_at: at(11), ..new_run(orders, 1) },
        NewRun { then: parked(WaitingFor::Timer, 800), accepted_at: at(12), ..new_run(orders, 2) },
        NewRun { then: parked(WaitingFor::Timer, 700), accepted_at: at(13), ..new_run(returns, 3) },
        NewRun { then: failed(20), ..new_run(returns, 4) },
        NewRun { then: failed(21), ..new_run(returns, 5) },
        NewRun { then: failed(22), ..new_run(orders, 6) },
        NewRun { then: Then::Queued { due_at: at(40) }, ..new_run(orders, 7) },
        NewRun { then: Then::Queued { due_at: at(30) }, ..new_run(returns, 8) },
    ];
    accept_all(&*store, runs).await;
    let waiting = |reason, runs, oldest| Waiting { reason, runs, oldest: at(oldest) };
    let expected = Standing {
        due_since: Some(at(30)),
        waiting: vec![waiting(WaitingFor::Timer, 2, 12), waiting(WaitingFor::Approval, 1, 11)],
        letters: vec![("returns".to_owned(), 2), ("orders".to_owned(), 1)],
    };
    assert_eq!(store.standing(at(50)).await.unwrap(), expected);
    assert_eq!(store.standing(at(29)).await.unwrap().due_since, None, "not due yet");
}

/// The database that was just opened is as far as this build, and one that another build took further says so.
pub async fn how_far_the_tables_are(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let schema = store.schema().await.unwrap();
    assert_eq!(schema.found, schema.known);
    bed.execute(
        "update _sqlx_migrations set version = version + 1000 where version = (select max(version) from _sqlx_migrations)",
    )
    .await;
    let moved = store.schema().await.unwrap();
    assert_eq!((moved.found, moved.known), (schema.found + 1000, schema.known));
}
