//! Data that goes once a run is over.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use store::{Forgets, Forgettable, Forgetting, Keeps, RecipeId, RunId, StoreError, Timestamp, sound};
use uuid::Uuid;

use crate::{
    PostgresStore, TRIES_MAX,
    error::{failed, in_the_way},
    polls,
    rows::{clean, get},
};

/// Runs looked at in one part.
const LOOKED_AT: u32 = 512;

/// Whether the data of run `r` may go; `$1` is the instant it must have ended by.
const MAY_GO: &str = "\
    r.ended_at <= $1 and (r.status in (3, 5) or (r.status = 4 and r.dead_letter in (2, 3))) \
    and not exists (select from runs c where c.id = r.parent_run and (c.status < 3 or (c.status = 4 and c.dead_letter = 1))) \
    and not exists (select from operation_items i join operations o on o.id = i.operation_id \
                    where i.run_id = r.id and i.state < 2 and o.state < 2)";

#[async_trait]
impl Forgets for PostgresStore {
    async fn forgettable(&self, after: Option<RunId>, ended_before: Timestamp) -> Result<Forgettable, StoreError> {
        ask!(self, connection => find(connection, after, ended_before))
    }

    async fn forget(&self, wish: &Forgetting) -> Result<bool, StoreError> {
        ask!(self, connection => forget(connection, wish))
    }

    async fn keeps(&self, run: RunId) -> Result<Option<(Keeps, Option<Timestamp>)>, StoreError> {
        ask!(self, connection => keeps(connection, run))
    }

    async fn begin_anew(&self, recipe: RecipeId, now: Timestamp) -> Result<(), StoreError> {
        ask!(self, connection => begin_anew(connection, recipe, now))
    }

    async fn wipe(&self) -> Result<bool, StoreError> {
        // No row has it any more; what lies in the server's files is the server's business (autovacuum).
        Ok(true)
    }
}

async fn begin_anew(connection: &mut PgConnection, recipe: RecipeId, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    // First, as a page of the trigger's does: whoever brings one waits here, and none of its keys is left behind.
    polls::shift(&mut transaction, recipe, now, now).await?;
    for sql in [
        // In one order everywhere, so that two transactions cannot wait for each other.
        "delete from event_keys where (recipe_id, key) in \
         (select recipe_id, key from event_keys where recipe_id = $1 order by key for update)",
        "delete from recipe_state where recipe_id = $1",
    ] {
        sqlx::query(sql).bind(recipe.0).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

fn keeps_of(run: RunId, number: i16) -> Result<Keeps, StoreError> {
    Keeps::from_number(number).ok_or_else(|| StoreError::Corrupt(format!("run_payloads.keeps of {run} makes no sense")))
}

async fn keeps(connection: &mut PgConnection, run: RunId) -> Result<Option<(Keeps, Option<Timestamp>)>, StoreError> {
    let row: Option<(i16, Option<i64>)> = sqlx::query_as("select keeps, forgotten_at from run_payloads where run_id = $1")
        .bind(run.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(|(keeps, at)| Ok((keeps_of(run, keeps)?, at.map(Timestamp::from_micros)))).transpose()
}

/// Notes that the data of a run is to go. A run that was not accepted has none.
pub(crate) async fn note(connection: &mut PgConnection, run: RunId, keeps: Keeps) -> Result<(), StoreError> {
    sqlx::query("insert into run_payloads (run_id, keeps) select id, $2 from runs where id = $1 on conflict (run_id) do nothing")
        .bind(run.0)
        .bind(keeps.number())
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

async fn find(connection: &mut PgConnection, after: Option<RunId>, ended_before: Timestamp) -> Result<Forgettable, StoreError> {
    let sql = format!(
        "select p.run_id, p.keeps, {MAY_GO} as may_go from run_payloads p join runs r on r.id = p.run_id \
         where p.forgotten_at is null and p.run_id > $2 order by p.run_id limit {LOOKED_AT}"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(ended_before.micros())
        .bind(after.map_or(Uuid::nil(), |run| run.0))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let mut found = Forgettable { seen: u32::try_from(rows.len()).unwrap_or(u32::MAX), ..Forgettable::default() };
    for row in &rows {
        let run = RunId(get(row, "run_payloads.run_id")?);
        found.next = (found.seen == LOOKED_AT).then_some(run);
        if get::<Option<bool>>(row, "may_go")?.unwrap_or(false) {
            found.runs.extend(sound([row], |row| Ok((run, keeps_of(run, get(row, "run_payloads.keeps")?)?))));
        }
    }
    Ok(found)
}

async fn forget(connection: &mut PgConnection, wish: &Forgetting) -> Result<bool, StoreError> {
    let run = wish.run.0;
    let mut transaction = connection.begin().await.map_err(failed)?;
    // The run first, as everybody takes it; whoever changes it comes before or after us.
    let sql = format!("select from runs r where r.id = $2 and {MAY_GO} for update of r");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(wish.at.micros()).bind(run);
    if query.fetch_optional(&mut *transaction).await.map_err(failed)?.is_none() {
        return Ok(false);
    }
    let due = sqlx::query(
        "select from run_payloads where run_id = $1 and forgotten_at is null \
         and $2 = (select coalesce(max(seq), -1) + 1 from journal where run_id = $1)",
    );
    if due.bind(run).bind(wish.length).fetch_optional(&mut *transaction).await.map_err(failed)?.is_none() {
        return Ok(false);
    }
    let (numbers, chunks): (Vec<i32>, Vec<&[u8]>) = wish.chunks.iter().map(|(seq, chunk)| (*seq, chunk.as_slice())).unzip();
    sqlx::query(
        "update journal j set chunk = c.chunk from unnest($2::int[], $3::bytea[]) as c (seq, chunk) \
         where j.run_id = $1 and j.seq = c.seq",
    )
    .bind(run)
    .bind(numbers)
    .bind(chunks)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    if wish.finishes {
        finish(&mut transaction, wish).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// What is kept beside the journal goes, and the run counts as forgotten.
async fn finish(connection: &mut PgConnection, wish: &Forgetting) -> Result<(), StoreError> {
    let run = wish.run.0;
    let query = sqlx::query("update run_payloads set forgotten_at = $1 where run_id = $2").bind(wish.at.micros()).bind(run);
    query.execute(&mut *connection).await.map_err(failed)?;
    let error = wish.error.as_ref().and_then(|error| serde_json::to_string(error).ok());
    sqlx::query("update runs set error = $1 where id = $2 and error is not null")
        .bind(error.as_deref().map(clean))
        .bind(run)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    for sql in [
        "delete from answers where run_id = $1",
        "delete from approvals where run_id = $1",
        "delete from blob_refs where run_id = $1",
    ] {
        sqlx::query(sql).bind(run).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}
