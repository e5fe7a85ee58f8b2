//! What people do to runs: resume, cancel, settle a dead letter.

use std::sync::Arc;

use sqlx::{Connection, PgConnection};
use store::{Accepted, Batch, Beside, DeadLetter, Lane, NewRun, ReplayedLetter, RunId, StoreError, Timestamp};

use uuid::Uuid;

use crate::{
    beside::{self, Kept},
    failed, lanes, notice,
    rows::{get, parent},
    write,
};

pub(crate) async fn resume(
    connection: &mut PgConnection,
    run: RunId,
    version: Option<i32>,
    seq: i32,
    chunk: &[u8],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let lane = lane_of(&mut transaction, run).await?;
    let moved = sqlx::query(
        "update runs set status = 0, due_at = $1, owner = null, epoch = epoch + 1, ended_at = null, dead_letter = null, error = null, \
         cause = null, version = coalesce($2, version) where id = $3 and status = 4",
    )
    .bind(now.micros())
    .bind(version)
    .bind(run.0)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    if moved == 0 || !append(&mut transaction, run, seq, chunk).await? {
        return Ok(false);
    }
    unsay(&mut transaction, run).await?;
    if let Some(lane) = lane {
        lanes::enter(&mut transaction, run, lane).await?;
    }
    notice::give(&mut transaction).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// What a run said at its end to the one that called it does not hold any more: it goes on.
async fn unsay(connection: &mut PgConnection, run: RunId) -> Result<(), StoreError> {
    let row = sqlx::query("select parent_run, parent_path from runs where id = $1").bind(run.0);
    let row = row.fetch_optional(&mut *connection).await.map_err(failed)?;
    let Some(caller) = row.as_ref().map(parent).transpose()?.flatten() else { return Ok(()) };
    beside::taken(connection, caller.run, &[caller.place_of(run)]).await
}

/// The lane of a run, locked: before the run itself, as everywhere.
async fn lane_of(connection: &mut PgConnection, run: RunId) -> Result<Option<Lane>, StoreError> {
    let row = sqlx::query("select lane, room from runs where id = $1 and lane is not null").bind(run.0);
    let Some(row) = row.fetch_optional(&mut *connection).await.map_err(failed)? else { return Ok(None) };
    let Ok(key) = get::<Vec<u8>>(&row, "runs.lane")?.try_into() else { return Ok(None) };
    let lane = Lane { key, room: get(&row, "runs.room")? };
    lanes::lock(connection, &mut vec![lane.key.to_vec()]).await?;
    Ok(Some(lane))
}

/// Locks a run and all that change with it, in the order of their ids.
async fn lock(connection: &mut PgConnection, run: RunId, lane: Option<&Lane>, beside: &[Beside]) -> Result<(), StoreError> {
    let answered = beside.iter().filter_map(|change| match change {
        Beside::Answer { run, .. } => Some(run.0),
        _ => None,
    });
    let mut ids: Vec<Uuid> = answered.chain([run.0]).collect();
    if let Some(lane) = lane {
        ids.extend(lanes::next(connection, &[lane.key.to_vec()], 1).await?);
    }
    sqlx::query("select from runs where id = any($1) order by id for update")
        .bind(ids)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

pub(crate) async fn cancel(
    connection: &mut PgConnection,
    run: RunId,
    chunk: &[u8],
    beside: &[Beside],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let lane = lane_of(&mut transaction, run).await?;
    lock(&mut transaction, run, lane.as_ref(), beside).await?;
    let moved = sqlx::query(
        "update runs set status = 5, waiting_for = null, due_at = null, owner = null, epoch = epoch + 1, ended_at = $1 \
         where id = $2 and status in (0, 1, 2)",
    )
    .bind(now.micros())
    .bind(run.0)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    if moved == 0 {
        return Ok(false);
    }
    // Its owner writes with the run locked, too, so nothing comes between.
    append_last(&mut transaction, run, chunk).await?;
    let mut kept = Kept::default();
    beside::change(&mut transaction, run, beside, &mut kept).await?;
    if let Some(lane) = lane {
        lanes::leave(&mut transaction, run, &lane.key, Some(now)).await?;
    }
    kept.write(&mut transaction).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// False when the journal went on meanwhile: the caller's picture of the run is old.
async fn append(connection: &mut PgConnection, run: RunId, seq: i32, chunk: &[u8]) -> Result<bool, StoreError> {
    let done = sqlx::query("insert into journal (run_id, seq, chunk) values ($1, $2, $3) on conflict (run_id, seq) do nothing")
        .bind(run.0)
        .bind(seq)
        .bind(chunk)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

/// Behind whatever the journal has: of a run that is locked.
async fn append_last(connection: &mut PgConnection, run: RunId, chunk: &[u8]) -> Result<(), StoreError> {
    let sql = "insert into journal (run_id, seq, chunk) select $1, coalesce(max(seq) + 1, 0), $2 from journal where run_id = $1";
    sqlx::query(sql).bind(run.0).bind(chunk).execute(connection).await.map(drop).map_err(failed)
}

pub(crate) async fn settle(
    connection: &mut PgConnection,
    run: RunId,
    state: DeadLetter,
    seq: i32,
    chunk: &[u8],
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let moved = sqlx::query("update runs set dead_letter = $1 where id = $2 and status = 4 and dead_letter = $3")
        .bind(state.number())
        .bind(run.0)
        .bind(DeadLetter::Open.number())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?
        .rows_affected();
    if moved == 0 || !append(&mut transaction, run, seq, chunk).await? {
        return Ok(false);
    }
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// The new run first: what it takes a hold of beside itself comes before the failed one in the order of [`write`].
pub(crate) async fn replay(
    connection: &mut PgConnection,
    new: &Arc<NewRun>,
    letter: &ReplayedLetter,
) -> Result<Option<Accepted>, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let batch = Batch { accepts: vec![Arc::clone(new)], commits: Vec::new() };
    let accepted = write::group(&mut transaction, &batch).await?.accepts.pop();
    if accepted != Some(Accepted::New) {
        return Ok(accepted);
    }
    let moved =
        sqlx::query("update runs set dead_letter = $1 where id = $2 and status = 4 and dead_letter = $3 and ended_at = $4")
            .bind(DeadLetter::Replayed.number())
            .bind(letter.run.0)
            .bind(DeadLetter::Open.number())
            .bind(letter.failed_at.micros())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?
            .rows_affected();
    if moved == 0 {
        return Ok(None);
    }
    append_last(&mut transaction, letter.run, &letter.chunk).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(accepted)
}
