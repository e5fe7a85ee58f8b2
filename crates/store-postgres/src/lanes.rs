//! Lanes: runs of one key go one after the other, in the order they were accepted.
//!
//! Whoever changes a lane holds its advisory lock to the end of the transaction, so that places are
//! given in the order of commits and no turn is missed.

use sqlx::PgConnection;
use store::{LANE_COUNTED_MAX, Lane, LanePlace, RunId, StoreError, Timestamp};
use uuid::Uuid;

use crate::failed;

/// Takes the locks of lanes, in an order that is the same everywhere.
pub(crate) async fn lock(connection: &mut PgConnection, lanes: &mut Vec<Vec<u8>>) -> Result<(), StoreError> {
    lanes.sort();
    lanes.dedup();
    if lanes.is_empty() {
        return Ok(());
    }
    // Rows of `unnest` come in the order of the array.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended(encode(lane, 'hex'), 5)) from unnest($1::bytea[]) as l (lane)")
        .bind(&*lanes)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

/// Runs of locked lanes that may have their turn once so many runs have left.
pub(crate) async fn next(connection: &mut PgConnection, lanes: &[Vec<u8>], left: usize) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar(
        "select n.run_id from unnest($1::bytea[]) as w (lane) cross join lateral ( \
           select run_id from lanes where lanes.lane = w.lane order by position limit $2::bigint + coalesce( \
             (select greatest(r.room, 1) from lanes l join runs r on r.id = l.run_id where l.lane = w.lane order by l.position limit 1), 0) \
         ) n",
    )
    .bind(lanes)
    .bind(i64::try_from(left).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
    .map_err(failed)
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
         where status = 2 and waiting_for = 7 and id = any (array(select run_id from lanes where lane = $1 order by position \
         limit coalesce((select greatest(r.room, 1) from lanes l join runs r on r.id = l.run_id where l.lane = $1 \
         order by l.position limit 1), 0)))",
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

/// Where a run stands in its lane.
pub(crate) async fn place(connection: &mut PgConnection, run: RunId) -> Result<Option<LanePlace>, StoreError> {
    let place: Option<(Uuid, i64)> = sqlx::query_as(
        "select (select run_id from lanes l where l.lane = m.lane order by position limit 1) as head, \
           (select count(*) from (select 1 from lanes l where l.lane = m.lane and l.position < m.position limit $2) b) as before \
         from lanes m where m.run_id = $1",
    )
    .bind(run.0)
    .bind(i64::from(LANE_COUNTED_MAX))
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    Ok(place.map(|(head, before)| LanePlace { head: RunId(head), before: u32::try_from(before).unwrap_or(LANE_COUNTED_MAX) }))
}
