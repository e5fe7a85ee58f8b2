//! What people do to runs: resume, cancel, settle a dead letter.

use std::{slice, sync::Arc};

use sqlx::{Connection, SqliteConnection};
use store::{Accepted, Beside, DeadLetter, Lane, NewRun, ReplayedLetter, RunId, StoreError, Timestamp};

use crate::{
    beside, failed, lanes,
    rows::{get, parent},
    write,
};

pub(crate) async fn resume(
    connection: &mut SqliteConnection,
    run: RunId,
    version: Option<i32>,
    seq: i32,
    chunk: &[u8],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let moved = sqlx::query(
        "update runs set status = 0, due_at = ?, owner = null, epoch = epoch + 1, ended_at = null, dead_letter = null, error = null, \
         cause = null, version = coalesce(?, version) where id = ? and status = 4",
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
    if let Some(lane) = lane_of(&mut transaction, run).await? {
        lanes::enter(&mut transaction, run, lane).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// What a run said at its end to the one that called it does not hold any more: it goes on.
async fn unsay(connection: &mut SqliteConnection, run: RunId) -> Result<(), StoreError> {
    let row = sqlx::query("select parent_run, parent_path from runs where id = ?").bind(run.0);
    let row = row.fetch_optional(&mut *connection).await.map_err(failed)?;
    let Some(caller) = row.as_ref().map(parent).transpose()?.flatten() else { return Ok(()) };
    beside::taken(connection, caller.run, &[caller.place_of(run)]).await
}

/// The lane of a run.
async fn lane_of(connection: &mut SqliteConnection, run: RunId) -> Result<Option<Lane>, StoreError> {
    let row = sqlx::query("select lane, room from runs where id = ? and lane is not null").bind(run.0);
    let Some(row) = row.fetch_optional(connection).await.map_err(failed)? else { return Ok(None) };
    let key = get::<Vec<u8>>(&row, "lane")?.try_into().ok();
    key.map(|key| Ok(Lane { key, room: get(&row, "room")? })).transpose()
}

pub(crate) async fn cancel(
    connection: &mut SqliteConnection,
    run: RunId,
    chunk: &[u8],
    beside: &[Beside],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let moved = sqlx::query(
        "update runs set status = 5, waiting_for = null, due_at = null, owner = null, epoch = epoch + 1, ended_at = ? \
         where id = ? and status in (0, 1, 2)",
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
    append_last(&mut transaction, run, chunk).await?;
    beside::change(&mut transaction, run, beside).await?;
    if let Some(lane) = lane_of(&mut transaction, run).await? {
        lanes::leave(&mut transaction, run, &lane.key, Some(now)).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// False when the journal went on meanwhile: the caller's picture of the run is old.
async fn append(connection: &mut SqliteConnection, run: RunId, seq: i32, chunk: &[u8]) -> Result<bool, StoreError> {
    let done = sqlx::query("insert into journal (run_id, seq, chunk) values (?, ?, ?) on conflict (run_id, seq) do nothing")
        .bind(run.0)
        .bind(seq)
        .bind(chunk)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

/// Behind whatever the journal has: of a run that nobody else writes before the transaction is over.
async fn append_last(connection: &mut SqliteConnection, run: RunId, chunk: &[u8]) -> Result<(), StoreError> {
    let sql = "insert into journal (run_id, seq, chunk) select ?1, coalesce(max(seq) + 1, 0), ?2 from journal where run_id = ?1";
    sqlx::query(sql).bind(run.0).bind(chunk).execute(connection).await.map(drop).map_err(failed)
}

pub(crate) async fn settle(
    connection: &mut SqliteConnection,
    run: RunId,
    state: DeadLetter,
    seq: i32,
    chunk: &[u8],
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let moved = sqlx::query("update runs set dead_letter = ? where id = ? and status = 4 and dead_letter = ?")
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

pub(crate) async fn replay(
    connection: &mut SqliteConnection,
    new: &Arc<NewRun>,
    letter: &ReplayedLetter,
) -> Result<Option<Accepted>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let accepted = write::accept(&mut transaction, slice::from_ref(new)).await?.pop();
    if accepted != Some(Accepted::New) {
        return Ok(accepted);
    }
    let moved = sqlx::query("update runs set dead_letter = ? where id = ? and status = 4 and dead_letter = ? and ended_at = ?")
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
