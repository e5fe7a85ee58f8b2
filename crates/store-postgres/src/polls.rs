//! Triggers that ask.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgRow, types::Uuid};
use store::{
    Accepted, Batch, NewPoll, NewRun, PollAnswer, PollDone, PollPosition, PollRow, Polls, RecipeId, StoreError, Timestamp,
    WorkerId, sound,
};

use crate::{
    PostgresStore, TRIES_MAX,
    error::{failed, in_the_way},
    rows::{clean, get, json},
    write,
};

const COLUMNS: &str = "recipe_id, source, position, seq, due_at, pause_us, asked_at, found_at, events, failures, error";

#[async_trait]
impl Polls for PostgresStore {
    async fn open_polls(&self, polls: &[NewPoll], now: Timestamp) -> Result<(), StoreError> {
        ask!(self, connection => open(connection, polls, now))
    }

    async fn take_polls(
        &self,
        worker: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<PollRow>, StoreError> {
        ask!(self, connection => take(connection, worker, now, lease_until, limit))
    }

    async fn finish_poll(&self, done: &PollDone) -> Result<Option<Vec<Accepted>>, StoreError> {
        ask!(self, connection => finish(connection, done))
    }

    async fn move_poll(&self, recipe: RecipeId, since: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        ask!(self, connection => shift(connection, recipe, since, now))
    }

    async fn hasten_poll(&self, recipe: RecipeId, now: Timestamp) -> Result<bool, StoreError> {
        ask!(self, connection => hasten(connection, recipe, now))
    }

    async fn next_poll(&self) -> Result<Option<Timestamp>, StoreError> {
        ask!(self, connection => next(connection))
    }

    async fn polls(&self, after: Option<RecipeId>, limit: u32) -> Result<Vec<PollRow>, StoreError> {
        ask!(self, connection => all(connection, after, limit))
    }

    async fn poll(&self, recipe: RecipeId) -> Result<Option<PollRow>, StoreError> {
        ask!(self, connection => one(connection, recipe))
    }
}

async fn open(connection: &mut PgConnection, polls: &[NewPoll], now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    for poll in polls {
        sqlx::query(
            "insert into polls (recipe_id, source, position, seq, due_at, pause_us, events, failures) \
             values ($1, $2, $3, 1, $4, $5, 0, 0) \
             on conflict (recipe_id) do update set source = excluded.source, position = excluded.position, seq = polls.seq + 1, \
             due_at = excluded.due_at, pause_us = excluded.pause_us, failures = 0, error = null, owner = null, \
             lease_until = null where polls.source <> excluded.source",
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

async fn take(
    connection: &mut PgConnection,
    worker: WorkerId,
    now: Timestamp,
    lease_until: Timestamp,
    limit: u32,
) -> Result<Vec<PollRow>, StoreError> {
    let rows = sqlx::query(
        "update polls set owner = $1, lease_until = $3 where recipe_id in ( \
         select p.recipe_id from polls p join recipes r on r.id = p.recipe_id and r.active_version is not null \
         where p.due_at <= $2 and (p.lease_until is null or p.lease_until <= $2) order by p.due_at, p.recipe_id limit $4 \
         for update of p skip locked) \
         returning recipe_id, source, position, seq, due_at, pause_us, asked_at, found_at, events, failures, error",
    )
    .bind(worker.0)
    .bind(now.micros())
    .bind(lease_until.micros())
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let mut taken: Vec<PollRow> = sound(&rows, poll).collect();
    taken.sort_by_key(|row| (row.due_at, row.recipe));
    Ok(taken)
}

/// Keeps the keys of known events for as long as those of new ones. One that was renewed lately stays as it is.
async fn renew(connection: &mut PgConnection, runs: &[Arc<NewRun>], accepts: &[Accepted]) -> Result<(), StoreError> {
    let mut known: Vec<_> = store::known_keys(runs, accepts).collect();
    // In one order everywhere, so that two transactions cannot wait for each other.
    known.sort_by_key(|(run, key)| (run.recipe.0, key.hash));
    let recipes: Vec<Uuid> = known.iter().map(|(run, _)| run.recipe.0).collect();
    let (keys, until): (Vec<&[u8]>, Vec<i64>) =
        known.iter().map(|(_, key)| (key.hash.as_slice(), key.expires_at.micros())).unzip();
    sqlx::query(
        "update event_keys k set expires_at = w.until from unnest($1::uuid[], $2::bytea[], $3::bigint[]) as w (recipe_id, key, until) \
         where k.recipe_id = w.recipe_id and k.key = w.key and k.expires_at <= w.until - $4",
    )
    .bind(recipes)
    .bind(keys)
    .bind(until)
    .bind(store::KEY_RENEWED_EVERY_US)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn finish(connection: &mut PgConnection, done: &PollDone) -> Result<Option<Vec<Accepted>>, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let mine = sqlx::query("select 1 from polls where recipe_id = $1 and seq = $2 and owner = $3 for update")
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
            let batch = Batch { accepts: runs.clone(), commits: Vec::new() };
            accepts = write::group(&mut transaction, &batch).await?.accepts;
            if *renews {
                renew(&mut transaction, runs, &accepts).await?;
            }
            (Some(clean(&position.text()).into_owned()), None)
        }
        PollAnswer::Failed { error } => (None, error.as_ref().map(|error| clean(&error.to_string()).into_owned())),
    };
    let new = accepts.iter().filter(|accepted| **accepted == Accepted::New).count();
    let (due_at, pause_us) = done.next(new);
    sqlx::query(
        "update polls set position = coalesce($2::text, position), seq = seq + 1, due_at = $3, pause_us = $4, \
         asked_at = case when $2::text is null then asked_at else $5 end, \
         found_at = case when $6 > 0 then $5 else found_at end, events = events + $6, \
         failures = case when $2::text is not null then 0 when $7::text is null then failures else failures + 1 end, \
         error = case when $2::text is not null then null else coalesce($7::text, error) end, owner = null, lease_until = null \
         where recipe_id = $1",
    )
    .bind(done.recipe.0)
    .bind(position)
    .bind(due_at.micros())
    .bind(pause_us)
    .bind(done.now.micros())
    .bind(i64::try_from(new).unwrap_or(i64::MAX))
    .bind(error)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Some(accepts))
}

pub(crate) async fn shift(
    connection: &mut PgConnection,
    recipe: RecipeId,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update polls set position = $1, seq = seq + 1, due_at = $2, failures = 0, error = null, owner = null, \
         lease_until = null where recipe_id = $3",
    )
    .bind(PollPosition::Since(since.micros()).text())
    .bind(now.micros())
    .bind(recipe.0)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn hasten(connection: &mut PgConnection, recipe: RecipeId, now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query("update polls set due_at = least(due_at, $1) where recipe_id = $2")
        .bind(now.micros())
        .bind(recipe.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn next(connection: &mut PgConnection) -> Result<Option<Timestamp>, StoreError> {
    let next: (Option<i64>,) = sqlx::query_as(
        "select min(greatest(p.due_at, coalesce(p.lease_until, p.due_at))) from polls p \
         join recipes r on r.id = p.recipe_id and r.active_version is not null",
    )
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    Ok(next.0.map(Timestamp::from_micros))
}

async fn all(connection: &mut PgConnection, after: Option<RecipeId>, limit: u32) -> Result<Vec<PollRow>, StoreError> {
    let rows = sqlx::query(
        "select recipe_id, source, position, seq, due_at, pause_us, asked_at, found_at, events, failures, error \
         from polls where $1::uuid is null or recipe_id > $1 order by recipe_id limit $2",
    )
    .bind(after.map(|id| id.0))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    Ok(sound(&rows, poll).collect())
}

async fn one(connection: &mut PgConnection, recipe: RecipeId) -> Result<Option<PollRow>, StoreError> {
    let sql = AssertSqlSafe(format!("select {COLUMNS} from polls where recipe_id = $1"));
    let row = sqlx::query(sql).bind(recipe.0).fetch_optional(connection).await.map_err(failed)?;
    row.map(|row| poll(&row)).transpose()
}

fn poll(row: &PgRow) -> Result<PollRow, StoreError> {
    Ok(PollRow {
        recipe: RecipeId(get(row, "polls.recipe_id")?),
        source: get(row, "polls.source")?,
        position: PollPosition::parse(&get::<String>(row, "polls.position")?)?,
        seq: get(row, "polls.seq")?,
        due_at: Timestamp::from_micros(get(row, "polls.due_at")?),
        pause_us: get(row, "polls.pause_us")?,
        asked_at: get::<Option<i64>>(row, "polls.asked_at")?.map(Timestamp::from_micros),
        found_at: get::<Option<i64>>(row, "polls.found_at")?.map(Timestamp::from_micros),
        events: get(row, "polls.events")?,
        failures: get(row, "polls.failures")?,
        error: get::<Option<String>>(row, "polls.error")?.map(|text| json(&text, "polls.error")).transpose()?,
    })
}
