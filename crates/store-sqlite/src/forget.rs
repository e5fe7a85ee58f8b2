//! Data that goes once a run is over.

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection};
use store::{Forgets, Forgettable, Forgetting, Keeps, RecipeId, RunId, StoreError, Timestamp, sound};
use uuid::Uuid;

use crate::{SqliteStore, failed, polls, rows::get};

/// Runs looked at in one part.
const LOOKED_AT: u32 = 512;
/// How long folding the log into the database waits for readers; commits wait as long.
const WIPE_PATIENCE: &str = "pragma busy_timeout = 200";
const USUAL_PATIENCE: &str = "pragma busy_timeout = 5000";

/// Whether the data of run `r` may go; `?1` is the instant it must have ended by.
const MAY_GO: &str = "\
    r.ended_at <= ?1 and (r.status in (3, 5) or (r.status = 4 and r.dead_letter in (2, 3))) \
    and not exists (select 1 from runs c where c.id = r.parent_run and (c.status < 3 or (c.status = 4 and c.dead_letter = 1))) \
    and not exists (select 1 from operation_items i join operations o on o.id = i.operation_id \
                    where i.run_id = r.id and i.state < 2 and o.state < 2)";

#[async_trait]
impl Forgets for SqliteStore {
    async fn forgettable(&self, after: Option<RunId>, ended_before: Timestamp) -> Result<Forgettable, StoreError> {
        let sql = format!(
            "select p.run_id, p.keeps, {MAY_GO} as may_go from run_payloads p join runs r on r.id = p.run_id \
             where p.forgotten_at is null and p.run_id > ?2 order by p.run_id limit {LOOKED_AT}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(ended_before.micros())
            .bind(after.map_or(Uuid::nil(), |run| run.0))
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        let mut found = Forgettable { seen: u32::try_from(rows.len()).unwrap_or(u32::MAX), ..Forgettable::default() };
        for row in &rows {
            let run = RunId(get(row, "run_id")?);
            found.next = (found.seen == LOOKED_AT).then_some(run);
            if get::<Option<bool>>(row, "may_go")?.unwrap_or(false) {
                found.runs.extend(sound([row], |row| Ok((run, keeps_of(run, get(row, "keeps")?)?))));
            }
        }
        Ok(found)
    }

    async fn forget(&self, wish: &Forgetting) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        // Pages that become free are overwritten, too; otherwise only what is freed within a page is.
        sqlx::query("pragma secure_delete = on").execute(&mut *writer).await.map_err(failed)?;
        let done = forget(&mut writer, wish).await;
        sqlx::query("pragma secure_delete = fast").execute(&mut *writer).await.map_err(failed)?;
        done
    }

    async fn keeps(&self, run: RunId) -> Result<Option<(Keeps, Option<Timestamp>)>, StoreError> {
        let row: Option<(i16, Option<i64>)> = sqlx::query_as("select keeps, forgotten_at from run_payloads where run_id = ?")
            .bind(run.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        row.map(|(keeps, at)| Ok((keeps_of(run, keeps)?, at.map(Timestamp::from_micros)))).transpose()
    }

    async fn begin_anew(&self, recipe: RecipeId, now: Timestamp) -> Result<(), StoreError> {
        begin_anew(&mut *self.writer().await, recipe, now).await
    }

    async fn wipe(&self) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        sqlx::query(WIPE_PATIENCE).execute(&mut *writer).await.map_err(failed)?;
        // The log has what was there before: it is folded in and cut off.
        let folded: Result<(i64, i64, i64), _> = sqlx::query_as("pragma wal_checkpoint(truncate)").fetch_one(&mut *writer).await;
        sqlx::query(USUAL_PATIENCE).execute(&mut *writer).await.map_err(failed)?;
        let (busy, ..) = folded.map_err(failed)?;
        Ok(busy == 0)
    }
}

async fn begin_anew(connection: &mut SqliteConnection, recipe: RecipeId, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    for sql in ["delete from event_keys where recipe_id = ?", "delete from recipe_state where recipe_id = ?"] {
        sqlx::query(sql).bind(recipe.0).execute(&mut *transaction).await.map_err(failed)?;
    }
    polls::shift(&mut transaction, recipe, now, now).await?;
    transaction.commit().await.map_err(failed)
}

fn keeps_of(run: RunId, number: i16) -> Result<Keeps, StoreError> {
    Keeps::from_number(number).ok_or_else(|| StoreError::Corrupt(format!("run_payloads.keeps of {run} makes no sense")))
}

/// Notes that the data of a run is to go. A run that was not accepted has none.
pub(crate) async fn note(connection: &mut SqliteConnection, run: RunId, keeps: Keeps) -> Result<(), StoreError> {
    sqlx::query("insert into run_payloads (run_id, keeps) select id, ?2 from runs where id = ?1 on conflict (run_id) do nothing")
        .bind(run.0)
        .bind(keeps.number())
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

async fn forget(connection: &mut SqliteConnection, wish: &Forgetting) -> Result<bool, StoreError> {
    let run = wish.run.0;
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let sql = format!(
        "select 1 from run_payloads p join runs r on r.id = p.run_id where p.run_id = ?2 and p.forgotten_at is null \
         and ?3 = (select coalesce(max(seq), -1) + 1 from journal where run_id = ?2) and {MAY_GO}"
    );
    let due = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(wish.at.micros()).bind(run).bind(wish.length);
    if due.fetch_optional(&mut *transaction).await.map_err(failed)?.is_none() {
        return Ok(false);
    }
    for (seq, chunk) in &wish.chunks {
        let query = sqlx::query("update journal set chunk = ? where run_id = ? and seq = ?").bind(chunk.as_slice());
        query.bind(run).bind(seq).execute(&mut *transaction).await.map_err(failed)?;
    }
    if wish.finishes {
        finish(&mut transaction, wish).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// What is kept beside the journal goes, and the run counts as forgotten.
async fn finish(connection: &mut SqliteConnection, wish: &Forgetting) -> Result<(), StoreError> {
    let run = wish.run.0;
    let query = sqlx::query("update run_payloads set forgotten_at = ? where run_id = ?").bind(wish.at.micros()).bind(run);
    query.execute(&mut *connection).await.map_err(failed)?;
    let error = wish.error.as_ref().and_then(|error| serde_json::to_string(error).ok());
    let query = sqlx::query("update runs set error = ? where id = ? and error is not null").bind(error).bind(run);
    query.execute(&mut *connection).await.map_err(failed)?;
    for sql in [
        "delete from answers where run_id = ?",
        "delete from approvals where run_id = ?",
        "delete from blob_refs where run_id = ?",
    ] {
        sqlx::query(sql).bind(run).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}
