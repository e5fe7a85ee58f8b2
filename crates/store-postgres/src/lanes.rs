//! Lanes: runs of one key go one after the other, in the order they were accepted.
//!
//! Whoever changes a lane holds its advisory lock to the end of the transaction, so that places are
//! given in the order of commits and no turn is missed.

use sqlx::PgConnection;
use store::{Lane, RunId, StoreError, Timestamp};

use crate::failed;

/// Takes the locks of lanes, in an order that is the same everywhere.
pub(crate) async fn lock(connection: &mut PgConnection, mut lanes: Vec<Vec<u8>>) -> Result<(), StoreError> {
    lanes.sort();
    lanes.dedup();
    for lane in lanes {
        sqlx::query("select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 5))")
            .bind(lane)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Puts a queued run at the end of its lane; it waits its turn when the lane is full.
pub(crate) async fn enter(connection: &mut PgConnection, run: RunId, lane: Lane) -> Result<(), StoreError> {
    sqlx::query("insert into lanes (lane, run_id) values ($1, $2) on conflict (run_id) do nothing")
        .bind(lane.key.as_slice())
        .bind(run.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query(
        "update runs set status = 2, waiting_for = 7, due_at = null where id = $1 and status = 0 and $3 <= (select count(*) from \
         (select from lanes where lane = $2 and position < (select position from lanes where run_id = $1) limit $3) l)",
    )
    .bind(run.0)
    .bind(lane.key.as_slice())
    .bind(i64::from(lane.room))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// Takes a run that is over out of its lane, and lets those go whose turn it is.
pub(crate) async fn leave(
    connection: &mut PgConnection,
    run: RunId,
    lane: &[u8],
    now: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query("delete from lanes where run_id = $1").bind(run.0).execute(&mut *connection).await.map_err(failed)?;
    let freed = sqlx::query(
        "update runs set status = 0, waiting_for = null, due_at = coalesce($2, accepted_at) \
         where status = 2 and waiting_for = 7 and id in (select run_id from lanes where lane = $1 order by position limit coalesce( \
         (select r.room from lanes l join runs r on r.id = l.run_id where l.lane = $1 order by l.position limit 1), 0))",
    )
    .bind(lane)
    .bind(now.map(Timestamp::micros))
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if freed.rows_affected() > 0 {
        crate::notice::give(connection).await?;
    }
    Ok(())
}
