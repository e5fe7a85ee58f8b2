//! What goes when its time is over, room given back, and reading everything.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, SqlitePool};
use store::{
    BlobId, Care, Forgotten, KeyPlace, PURGE_RUNS_MAX, Purge, Purged, RecipeId, Room, RunId, StoreError, Swept, Timestamp,
};
use uuid::Uuid;

use crate::{SqliteStore, failed};

/// Rows of a recipe looked at in one part. Those that stay are looked at again in every round.
const LOOKED_AT: i64 = 2048;
/// Free pages that stay in the file: new rows go there, and growing a file costs more than filling it.
const FREE_PAGES_KEPT: i64 = 1024;
/// Pages given back at once: 4 MiB of the usual 4 KiB pages.
const GIVEN_BACK_MAX: i64 = 1024;
/// How long folding a long log into the database waits for readers; commits wait as long.
const FOLD_PATIENCE_MS: u32 = 200;
const USUAL_PATIENCE_MS: u32 = 5000;

/// Which of `runs` may go; `?1` to `?3` are the instants of [`Purge`].
const MAY_GO: &str = "\
    ((status in (3, 5) and ended_at <= ?1) or (status = 4 and dead_letter in (2, 3) and ended_at <= ?2) \
     or (status = 4 and dead_letter = 1 and ended_at <= ?3)) \
    and not exists (select 1 from runs c where c.parent_run = runs.id and c.status < 3) \
    and not exists (select 1 from runs p where p.id = runs.parent_run and p.status < 3) \
    and not exists (select 1 from runs s where s.replay_of = runs.id and s.status < 3) \
    and not exists (select 1 from operation_items i join operations o on o.id = i.operation_id \
                    where i.run_id = runs.id and i.state < 2 and o.state < 2)";

#[async_trait]
impl Care for SqliteStore {
    async fn purge(&self, purge: &Purge) -> Result<Purged, StoreError> {
        // Found by a reader: commits wait only while rows are removed.
        let (found, next) = find(&self.readers, purge).await?;
        if found.is_empty() {
            return Ok(Purged { next, ..Purged::default() });
        }
        let mut writer = self.writer().await;
        let began = tokio::time::Instant::now();
        let (runs, dead_letters) = remove(&mut writer, purge, &found).await?;
        Ok(Purged { runs, dead_letters, next, busy: false, held: began.elapsed(), crowded: self.is_waited_for() })
    }

    async fn forget_keys(&self, after: Option<KeyPlace>, now: Timestamp, limit: u32) -> Result<Forgotten, StoreError> {
        let (recipe, key) = after.map_or_else(Default::default, |(recipe, key)| (recipe.0.as_bytes().to_vec(), key.to_vec()));
        let rows: Vec<(Uuid, Vec<u8>, bool)> = sqlx::query_as(
            "select recipe_id, key, expires_at <= ?3 and not exists (select 1 from runs where id = run_id) from event_keys \
             where (recipe_id, key) > (?1, ?2) order by recipe_id, key limit ?4",
        )
        .bind(recipe)
        .bind(key)
        .bind(now.micros())
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let next = rows.last().filter(|_| rows.len() == limit as usize).and_then(place);
        let over: Vec<_> = rows.into_iter().filter(|(.., over)| *over).collect();
        let mut keys = 0;
        if !over.is_empty() {
            let mut writer = self.writer().await;
            let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
            for (recipe, key, _) in over {
                // Somebody may have taken it over since.
                let gone = sqlx::query("delete from event_keys where recipe_id = ? and key = ? and expires_at <= ?");
                keys += gone
                    .bind(recipe)
                    .bind(key)
                    .bind(now.micros())
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed)?
                    .rows_affected();
            }
            transaction.commit().await.map_err(failed)?;
        }
        Ok(Forgotten { keys, next })
    }

    async fn sweep(&self, operations_before: Timestamp, audit_before: Timestamp, limit: u32) -> Result<Swept, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let mut counts = [0; 3];
        for (count, sql, before) in [
            (
                0,
                "delete from operation_items where (operation_id, run_id) in (select i.operation_id, i.run_id from operations o \
                 join operation_items i on i.operation_id = o.id where o.state in (2, 3) and o.ended_at <= ? limit ?)",
                operations_before,
            ),
            (
                1,
                "delete from operations where id in (select id from operations o where state in (2, 3) and ended_at <= ? \
                 and not exists (select 1 from operation_items i where i.operation_id = o.id) limit ?)",
                operations_before,
            ),
            (2, "delete from audit where id in (select id from audit where at <= ? order by id limit ?)", audit_before),
        ] {
            let removed = sqlx::query(sql).bind(before.micros()).bind(limit).execute(&mut *transaction).await.map_err(failed)?;
            counts[count] = removed.rows_affected();
        }
        transaction.commit().await.map_err(failed)?;
        let [items, operations, audit] = counts;
        Ok(Swept { operations, items, audit })
    }

    async fn tidy(&self, log_bytes_max: Option<u64>) -> Result<Room, StoreError> {
        let mut writer = self.writer().await;
        let free = number(&mut writer, "pragma freelist_count").await?;
        let piece = (free - FREE_PAGES_KEPT).min(GIVEN_BACK_MAX);
        // 2 is incremental; a database of an older build that was too large to convert gives nothing back.
        let gives = log_bytes_max.is_some() && piece > 0 && number(&mut writer, "pragma auto_vacuum").await? == 2;
        if gives {
            let sql = AssertSqlSafe(format!("pragma incremental_vacuum({piece})"));
            sqlx::query(sql).execute(&mut *writer).await.map_err(failed)?;
        }
        if log_bytes_max.is_some_and(|most| bytes_of(&log_of(&self.file)) > most) {
            fold(&mut writer).await?;
        }
        let free = number(&mut writer, "pragma freelist_count").await?;
        let page = number(&mut writer, "pragma page_size").await?;
        Ok(Room {
            database_bytes: bytes_of(&self.file),
            log_bytes: bytes_of(&log_of(&self.file)),
            free_bytes: u64::try_from(free * page).unwrap_or(0),
            more: gives && free > FREE_PAGES_KEPT,
        })
    }

    async fn run_ids(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError> {
        ids(&self.readers, "select id from runs where id > ? order by id limit ?", after, limit).await
    }

    async fn journal_ids(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let sql = "select distinct run_id from journal where run_id > ? order by run_id limit ?";
        ids(&self.readers, sql, after, limit).await
    }

    async fn referred_blobs(&self, after: Option<BlobId>, limit: u32) -> Result<Vec<BlobId>, StoreError> {
        let hashes: Vec<Vec<u8>> = sqlx::query_scalar("select distinct hash from blob_refs where hash > ? order by hash limit ?")
            .bind(after.map_or_else(Vec::new, |id| id.0.to_vec()))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        hashes.iter().map(|hash| blob_id(hash)).collect()
    }

    async fn referring_runs(&self, blob: BlobId, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let sql = "select f.run_id from blob_refs f join runs r on r.id = f.run_id where f.hash = ? order by f.run_id limit ?";
        let ids: Vec<Uuid> =
            sqlx::query_scalar(sql).bind(blob.0.as_slice()).bind(limit).fetch_all(&self.readers).await.map_err(failed)?;
        Ok(ids.into_iter().map(RunId).collect())
    }

    async fn faults(&self) -> Result<Vec<String>, StoreError> {
        let told: Vec<String> = sqlx::query_scalar("pragma integrity_check").fetch_all(&self.readers).await.map_err(failed)?;
        Ok(told.into_iter().filter(|line| line != "ok").collect())
    }
}

fn place((recipe, key, _): &(Uuid, Vec<u8>, bool)) -> Option<KeyPlace> {
    Some((RecipeId(*recipe), key.as_slice().try_into().ok()?))
}

/// The next runs that may go, and where to look on.
async fn find(pool: &SqlitePool, purge: &Purge) -> Result<(Vec<Uuid>, Option<RunId>), StoreError> {
    let limit = purge.limit.clamp(1, PURGE_RUNS_MAX);
    // Looks no further than it needs to: the inner rows come one by one. An ended run without an instant is
    // damage; it stays, and `admin verify` names it.
    let sql = format!(
        "select id from (select id, {MAY_GO} as may_go from runs where recipe_id = ?4 and id > ?5 and id < ?6 \
         order by id limit {LOOKED_AT}) where may_go limit ?7"
    );
    let (after, newest) = (purge.after.map_or(Uuid::nil(), |run| run.0), RunId::new(purge.newest(), [0xff; 10]).0);
    let found: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(purge.succeeded_before.micros())
        .bind(purge.failed_before.micros())
        .bind(purge.open_before.micros())
        .bind(purge.recipe.0)
        .bind(after)
        .bind(newest)
        .bind(limit)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    if found.len() == limit as usize {
        let last = found.last().map(|id| RunId(*id));
        return Ok((found, last));
    }
    let sql = "select id from runs where recipe_id = ? and id > ? and id < ? order by id limit 1 offset ?";
    let last: Option<Uuid> = sqlx::query_scalar(sql)
        .bind(purge.recipe.0)
        .bind(after)
        .bind(newest)
        .bind(LOOKED_AT - 1)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    Ok((found, last.map(RunId)))
}

/// Removes those that still may go. Returns how many, and how many of them were open dead letters.
async fn remove(connection: &mut SqliteConnection, purge: &Purge, found: &[Uuid]) -> Result<(u64, u64), StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let sql =
        format!("delete from runs where {MAY_GO} and id in (select unhex(value) from json_each(?4)) returning id, dead_letter");
    let gone: Vec<(Uuid, Option<i16>)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(purge.succeeded_before.micros())
        .bind(purge.failed_before.micros())
        .bind(purge.open_before.micros())
        .bind(list(found.iter()))
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    let ids = list(gone.iter().map(|(id, _)| id));
    for sql in [
        "delete from journal where run_id in (select unhex(value) from json_each(?))",
        "delete from answers where run_id in (select unhex(value) from json_each(?))",
        "delete from approvals where run_id in (select unhex(value) from json_each(?))",
        "delete from run_payloads where run_id in (select unhex(value) from json_each(?))",
    ] {
        sqlx::query(sql).bind(&ids).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    let dead_letters = gone.iter().filter(|(_, dead_letter)| *dead_letter == Some(1)).count();
    Ok((gone.len() as u64, dead_letters as u64))
}

/// Ids as one value: a statement has one text however many there are.
fn list<'i>(ids: impl Iterator<Item = &'i Uuid>) -> String {
    Json::from(ids.map(|id| id.simple().to_string()).collect::<Vec<_>>()).to_string()
}

/// Folds the log into the database and cuts it off. Readers under way are not waited for long: then it
/// is tried again the next time.
async fn fold(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let patience = |ms: u32| AssertSqlSafe(format!("pragma busy_timeout = {ms}"));
    sqlx::query(patience(FOLD_PATIENCE_MS)).execute(&mut *connection).await.map_err(failed)?;
    let folded = sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut *connection).await;
    sqlx::query(patience(USUAL_PATIENCE_MS)).execute(&mut *connection).await.map_err(failed)?;
    folded.map(drop).map_err(failed)
}

async fn number(connection: &mut SqliteConnection, pragma: &'static str) -> Result<i64, StoreError> {
    sqlx::query_scalar(pragma).fetch_one(connection).await.map_err(failed)
}

fn blob_id(hash: &[u8]) -> Result<BlobId, StoreError> {
    hash.try_into().map(BlobId).map_err(|_| StoreError::Corrupt("blob_refs.hash is no SHA-256".to_owned()))
}

async fn ids(pool: &SqlitePool, sql: &'static str, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar(sql).bind(after.map_or(Uuid::nil(), |run| run.0)).bind(limit).fetch_all(pool).await.map_err(failed)?;
    Ok(ids.into_iter().map(RunId).collect())
}

fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn bytes_of(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |found| found.len())
}
