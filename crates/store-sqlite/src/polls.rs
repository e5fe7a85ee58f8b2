//! Triggers that ask.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteRow};
use store::{
    Accepted, NewPoll, NewRun, PollAnswer, PollDone, PollPosition, PollRow, Polls, RecipeId, StoreError, Timestamp, WorkerId,
    sound,
};

use crate::{
    SqliteStore, failed,
    rows::{get, json},
    write,
};

const COLUMNS: &str = "recipe_id, source, position, seq, due_at, pause_us, asked_at, found_at, events, failures, error";
/// Runs written by one statement.
const RUNS_AT_ONCE: usize = 500;

#[async_trait]
impl Polls for SqliteStore {
    async fn open_polls(&self, polls: &[NewPoll], now: Timestamp) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        for poll in polls {
            sqlx::query(
                "insert into polls (recipe_id, source, position, seq, due_at, pause_us, events, failures) \
                 values (?1, ?2, ?3, 1, ?4, ?5, 0, 0) \
                 on conflict (recipe_id) do update set source = excluded.source, position = excluded.position, seq = seq + 1, \
                 due_at = excluded.due_at, pause_us = excluded.pause_us, failures = 0, error = null, owner = null, \
                 lease_until = null where source <> excluded.source",
            )
            .bind(poll.recipe.0)
            .bind(&poll.source)
            .bind(PollPosition::Since(poll.since.micros()).text())
            .bind(now.micros())
            .bind(poll.pause_us)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn take_polls(
        &self,
        worker: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<PollRow>, StoreError> {
        // Most of the time nothing is due, and a reader sees that without keeping writers waiting.
        let due: Option<(i64,)> = sqlx::query_as("select 1 from polls where due_at <= ? limit 1")
            .bind(now.micros())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        if due.is_none() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "update polls set owner = ?1, lease_until = ?3 where recipe_id in ( \
             select p.recipe_id from polls p join recipes r on r.id = p.recipe_id and r.active_version is not null \
             where p.due_at <= ?2 and (p.lease_until is null or p.lease_until <= ?2) order by p.due_at, p.recipe_id limit ?4) \
             returning recipe_id, source, position, seq, due_at, pause_us, asked_at, found_at, events, failures, error",
        )
        .bind(worker.0)
        .bind(now.micros())
        .bind(lease_until.micros())
        .bind(limit)
        .fetch_all(&mut *self.writer().await)
        .await
        .map_err(failed)?;
        let mut taken: Vec<PollRow> = sound(&rows, poll).collect();
        taken.sort_by_key(|row| (row.due_at, row.recipe));
        Ok(taken)
    }

    async fn finish_poll(&self, done: &PollDone) -> Result<Option<Vec<Accepted>>, StoreError> {
        finish(&mut *self.writer().await, done).await
    }

    async fn move_poll(&self, recipe: RecipeId, since: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        shift(&mut *self.writer().await, recipe, since, now).await
    }

    async fn hasten_poll(&self, recipe: RecipeId, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query("update polls set due_at = min(due_at, ?) where recipe_id = ?")
            .bind(now.micros())
            .bind(recipe.0)
            .execute(&mut *self.writer().await)
            .await
            .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    async fn next_poll(&self) -> Result<Option<Timestamp>, StoreError> {
        let next: (Option<i64>,) = sqlx::query_as(
            "select min(max(p.due_at, coalesce(p.lease_until, p.due_at))) from polls p \
             join recipes r on r.id = p.recipe_id and r.active_version is not null",
        )
        .fetch_one(&self.readers)
        .await
        .map_err(failed)?;
        Ok(next.0.map(Timestamp::from_micros))
    }

    async fn polls(&self, after: Option<RecipeId>, limit: u32) -> Result<Vec<PollRow>, StoreError> {
        let sql = "select recipe_id, source, position, seq, due_at, pause_us, asked_at, found_at, events, failures, error \
                   from polls where ?1 is null or recipe_id > ?1 order by recipe_id limit ?2";
        let rows = sqlx::query(sql).bind(after.map(|id| id.0)).bind(limit).fetch_all(&self.readers).await.map_err(failed)?;
        Ok(sound(&rows, poll).collect())
    }

    async fn poll(&self, recipe: RecipeId) -> Result<Option<PollRow>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS} from polls where recipe_id = ?"));
        let row = sqlx::query(sql).bind(recipe.0).fetch_optional(&self.readers).await.map_err(failed)?;
        row.map(|row| poll(&row)).transpose()
    }
}

/// Moves a trigger; false when it never asked.
pub(crate) async fn shift(
    connection: &mut SqliteConnection,
    recipe: RecipeId,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update polls set position = ?, seq = seq + 1, due_at = ?, failures = 0, error = null, owner = null, \
         lease_until = null where recipe_id = ?",
    )
    .bind(PollPosition::Since(since.micros()).text())
    .bind(now.micros())
    .bind(recipe.0)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

/// Keeps the keys of known events for as long as those of new ones. One that was renewed lately stays as it is.
async fn renew(connection: &mut SqliteConnection, runs: &[Arc<NewRun>], accepts: &[Accepted]) -> Result<(), StoreError> {
    for (run, key) in store::known_keys(runs, accepts) {
        sqlx::query("update event_keys set expires_at = ?1 where recipe_id = ?2 and key = ?3 and expires_at <= ?1 - ?4")
            .bind(key.expires_at.micros())
            .bind(run.recipe.0)
            .bind(key.hash.as_slice())
            .bind(store::KEY_RENEWED_EVERY_US)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

async fn finish(connection: &mut SqliteConnection, done: &PollDone) -> Result<Option<Vec<Accepted>>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let mine = sqlx::query("select 1 from polls where recipe_id = ? and seq = ? and owner = ?")
        .bind(done.recipe.0)
        .bind(done.seq)
        .bind(done.worker.0)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
    if mine.is_none() {
        return Ok(None);
    }
    let mut accepts = Vec::new();
    let (position, error) = match &done.answer {
        PollAnswer::Page { runs, position, renews, .. } => {
            for runs in runs.chunks(RUNS_AT_ONCE) {
                accepts.extend(write::accept(&mut transaction, runs).await?);
            }
            if *renews {
                renew(&mut transaction, runs, &accepts).await?;
            }
            (Some(position.text()), None)
        }
        PollAnswer::Failed { error } => (None, error.as_ref()),
    };
    let new = accepts.iter().filter(|accepted| **accepted == Accepted::New).count();
    let (due_at, pause_us) = done.next(new);
    sqlx::query(
        "update polls set position = coalesce(?2, position), seq = seq + 1, due_at = ?3, pause_us = ?4, \
         asked_at = case when ?2 is null then asked_at else ?5 end, \
         found_at = case when ?6 > 0 then ?5 else found_at end, events = events + ?6, \
         failures = case when ?2 is not null then 0 when ?7 is null then failures else failures + 1 end, \
         error = case when ?2 is not null then null else coalesce(?7, error) end, owner = null, lease_until = null \
         where recipe_id = ?1",
    )
    .bind(done.recipe.0)
    .bind(position)
    .bind(due_at.micros())
    .bind(pause_us)
    .bind(done.now.micros())
    .bind(i64::try_from(new).unwrap_or(i64::MAX))
    .bind(error.map(ToString::to_string))
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Some(accepts))
}

fn poll(row: &SqliteRow) -> Result<PollRow, StoreError> {
    Ok(PollRow {
        recipe: RecipeId(get(row, "recipe_id")?),
        source: get(row, "source")?,
        position: PollPosition::parse(&get::<String>(row, "position")?)?,
        seq: get(row, "seq")?,
        due_at: Timestamp::from_micros(get(row, "due_at")?),
        pause_us: get(row, "pause_us")?,
        asked_at: get::<Option<i64>>(row, "asked_at")?.map(Timestamp::from_micros),
        found_at: get::<Option<i64>>(row, "found_at")?.map(Timestamp::from_micros),
        events: get(row, "events")?,
        failures: get(row, "failures")?,
        error: get::<Option<String>>(row, "error")?.map(|text| json(&text, "polls.error")).transpose()?,
    })
}
