//! What goes when its time is over, room given back, and reading everything.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use store::{
    BlobId, Care, Forgotten, KeyPlace, PURGE_RUNS_MAX, Purge, Purged, RecipeId, Room, RunId, StoreError, Swept, Timestamp,
};
use uuid::Uuid;

use crate::{
    PostgresStore, TRIES_MAX,
    error::{failed, in_the_way},
};

/// Rows of a recipe looked at in one part. Those that stay are looked at again in every round.
const LOOKED_AT: i64 = 2048;
/// The advisory lock of whoever removes what is over: "care" in ASCII. One process at a time is enough.
const LOCK: i32 = 0x6361_7265;

/// Which of `runs` may go; `$1` to `$3` are the instants of [`Purge`].
const MAY_GO: &str = "\
    ((status in (3, 5) and ended_at <= $1) or (status = 4 and dead_letter in (2, 3) and ended_at <= $2) \
     or (status = 4 and dead_letter = 1 and ended_at <= $3)) \
    and not exists (select 1 from runs c where c.parent_run = runs.id and c.status < 3) \
    and not exists (select 1 from runs p where p.id = runs.parent_run and p.status < 3) \
    and not exists (select 1 from runs s where s.replay_of = runs.id and s.status < 3) \
    and not exists (select 1 from operation_items i join operations o on o.id = i.operation_id \
                    where i.run_id = runs.id and i.state < 2 and o.state < 2)";

#[async_trait]
impl Care for PostgresStore {
    async fn purge(&self, purge: &Purge) -> Result<Purged, StoreError> {
        ask!(self, connection => remove(connection, purge))
    }

    async fn forget_keys(&self, after: Option<KeyPlace>, now: Timestamp, limit: u32) -> Result<Forgotten, StoreError> {
        ask!(self, connection => forget(connection, after, now, limit))
    }

    async fn sweep(&self, operations_before: Timestamp, audit_before: Timestamp, limit: u32) -> Result<Swept, StoreError> {
        ask!(self, connection => sweep(connection, operations_before, audit_before, limit))
    }

    async fn tidy(&self, _log_bytes_max: Option<u64>) -> Result<Room, StoreError> {
        // The server's own autovacuum makes room for new rows, and its log is its own business.
        ask!(self, connection => async {
            let bytes: i64 = sqlx::query_scalar("select pg_database_size(current_database())")
                .fetch_one(connection)
                .await
                .map_err(failed)?;
            Ok(Room { database_bytes: u64::try_from(bytes).unwrap_or(0), ..Room::default() })
        })
    }

    async fn run_ids(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError> {
        ask!(self, connection => ids(connection, "select id from runs where id > $1 order by id limit $2", after, limit))
    }

    async fn journal_ids(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let sql = "select distinct run_id from journal where run_id > $1 order by run_id limit $2";
        ask!(self, connection => ids(connection, sql, after, limit))
    }

    async fn referred_blobs(&self, after: Option<BlobId>, limit: u32) -> Result<Vec<BlobId>, StoreError> {
        ask!(self, connection => async {
            let sql = "select distinct hash from blob_refs where hash > $1 order by hash limit $2";
            let hashes: Vec<Vec<u8>> = sqlx::query_scalar(sql)
                .bind(after.map_or_else(Vec::new, |id| id.0.to_vec()))
                .bind(i64::from(limit))
                .fetch_all(connection)
                .await
                .map_err(failed)?;
            hashes.iter().map(|hash| blob_id(hash)).collect()
        })
    }

    async fn referring_runs(&self, blob: BlobId, limit: u32) -> Result<Vec<RunId>, StoreError> {
        ask!(self, connection => async {
            let sql = "select f.run_id from blob_refs f join runs r on r.id = f.run_id where f.hash = $1 order by f.run_id limit $2";
            let ids: Vec<Uuid> = sqlx::query_scalar(sql)
                .bind(blob.0.as_slice())
                .bind(i64::from(limit))
                .fetch_all(connection)
                .await
                .map_err(failed)?;
            Ok(ids.into_iter().map(RunId).collect())
        })
    }

    async fn faults(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

async fn remove(connection: &mut PgConnection, purge: &Purge) -> Result<Purged, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    // Advisory locks are the database's; installations in different schemas of it are nothing to each other.
    let alone: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock($1, hashtext(current_schema()))")
        .bind(LOCK)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    // Ended here and not whenever the connection is used next: the lock goes with the transaction.
    if !alone {
        transaction.rollback().await.map_err(failed)?;
        return Ok(Purged { busy: true, ..Purged::default() });
    }
    let (found, next) = find(&mut transaction, purge).await?;
    let began = tokio::time::Instant::now();
    if found.is_empty() {
        transaction.rollback().await.map_err(failed)?;
        return Ok(Purged { next, ..Purged::default() });
    }
    // In the order of their ids, as everywhere; nobody is waited for. Who holds one has something to do with it.
    let found: Vec<Uuid> = sqlx::query_scalar("select id from runs where id = any($1) order by id for update skip locked")
        .bind(&found)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    // Asked again: somebody may have resumed one since it was found.
    let sql = format!("delete from runs where {MAY_GO} and id = any($4) returning id, dead_letter");
    let gone: Vec<(Uuid, Option<i16>)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(purge.succeeded_before.micros())
        .bind(purge.failed_before.micros())
        .bind(purge.open_before.micros())
        .bind(&found)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    let ids: Vec<Uuid> = gone.iter().map(|(id, _)| *id).collect();
    for sql in [
        "delete from journal where run_id = any($1)",
        "delete from answers where run_id = any($1)",
        "delete from approvals where run_id = any($1)",
        "delete from run_payloads where run_id = any($1)",
    ] {
        sqlx::query(sql).bind(&ids).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    let dead_letters = gone.iter().filter(|(_, dead_letter)| *dead_letter == Some(1)).count();
    // Commits wait for nothing here but the server's disk; whether they do, it does not tell.
    let (held, crowded) = (began.elapsed(), true);
    Ok(Purged { runs: gone.len() as u64, dead_letters: dead_letters as u64, next, busy: false, held, crowded })
}

/// The next runs that may go, and where to look on.
async fn find(connection: &mut PgConnection, purge: &Purge) -> Result<(Vec<Uuid>, Option<RunId>), StoreError> {
    let limit = purge.limit.clamp(1, PURGE_RUNS_MAX);
    // Looks no further than it needs to: the inner rows come one by one. An ended run without an instant is
    // damage; it stays, and `admin verify` names it.
    let sql = format!(
        "select id from (select id, {MAY_GO} as may_go from runs where recipe_id = $4 and id > $5 and id < $6 \
         order by id limit {LOOKED_AT}) looked_at where may_go limit $7"
    );
    let (after, newest) = (purge.after.map_or(Uuid::nil(), |run| run.0), RunId::new(purge.newest(), [0xff; 10]).0);
    let found: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(purge.succeeded_before.micros())
        .bind(purge.failed_before.micros())
        .bind(purge.open_before.micros())
        .bind(purge.recipe.0)
        .bind(after)
        .bind(newest)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    if found.len() == limit as usize {
        let last = found.last().map(|id| RunId(*id));
        return Ok((found, last));
    }
    let sql = "select id from runs where recipe_id = $1 and id > $2 and id < $3 order by id limit 1 offset $4";
    let last: Option<Uuid> = sqlx::query_scalar(sql)
        .bind(purge.recipe.0)
        .bind(after)
        .bind(newest)
        .bind(LOOKED_AT - 1)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    Ok((found, last.map(RunId)))
}

async fn forget(
    connection: &mut PgConnection,
    after: Option<KeyPlace>,
    now: Timestamp,
    limit: u32,
) -> Result<Forgotten, StoreError> {
    let (recipe, key) = after.map_or_else(|| (Uuid::nil(), Vec::new()), |(recipe, key)| (recipe.0, key.to_vec()));
    let rows: Vec<(Uuid, Vec<u8>, bool)> = sqlx::query_as(
        "select recipe_id, key, expires_at <= $3 and not exists (select 1 from runs where runs.id = event_keys.run_id) from event_keys \
         where (recipe_id, key) > ($1, $2) order by recipe_id, key limit $4",
    )
    .bind(recipe)
    .bind(key)
    .bind(now.micros())
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let next = rows.last().filter(|_| rows.len() == limit as usize);
    let next = next.and_then(|(recipe, key, _)| Some((RecipeId(*recipe), key.as_slice().try_into().ok()?)));
    let (recipes, gone): (Vec<Uuid>, Vec<Vec<u8>>) =
        rows.into_iter().filter(|(.., over)| *over).map(|(recipe, key, _)| (recipe, key)).unzip();
    let mut keys = 0;
    if !gone.is_empty() {
        // What somebody is taking over at this moment is left to the next round.
        keys = sqlx::query(
            "delete from event_keys where (recipe_id, key) in (select k.recipe_id, k.key from event_keys k \
             join unnest($1::uuid[], $2::bytea[]) as v (recipe_id, key) on v.recipe_id = k.recipe_id and v.key = k.key \
             where k.expires_at <= $3 for update of k skip locked)",
        )
        .bind(recipes)
        .bind(gone)
        .bind(now.micros())
        .execute(&mut *connection)
        .await
        .map_err(failed)?
        .rows_affected();
    }
    Ok(Forgotten { keys, next })
}

async fn sweep(
    connection: &mut PgConnection,
    operations_before: Timestamp,
    audit_before: Timestamp,
    limit: u32,
) -> Result<Swept, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let mut counts = [0; 3];
    for (count, sql, before) in [
        (
            0,
            "delete from operation_items where (operation_id, run_id) in (select i.operation_id, i.run_id from operations o \
             join operation_items i on i.operation_id = o.id where o.state in (2, 3) and o.ended_at <= $1 limit $2)",
            operations_before,
        ),
        (
            1,
            "delete from operations where id in (select id from operations o where state in (2, 3) and ended_at <= $1 \
             and not exists (select 1 from operation_items i where i.operation_id = o.id) limit $2)",
            operations_before,
        ),
        (2, "delete from audit where id in (select id from audit where at <= $1 order by id limit $2)", audit_before),
    ] {
        let removed =
            sqlx::query(sql).bind(before.micros()).bind(i64::from(limit)).execute(&mut *transaction).await.map_err(failed)?;
        counts[count] = removed.rows_affected();
    }
    transaction.commit().await.map_err(failed)?;
    let [items, operations, audit] = counts;
    Ok(Swept { operations, items, audit })
}

fn blob_id(hash: &[u8]) -> Result<BlobId, StoreError> {
    hash.try_into().map(BlobId).map_err(|_| StoreError::Corrupt("blob_refs.hash is no SHA-256".to_owned()))
}

async fn ids(
    connection: &mut PgConnection,
    sql: &'static str,
    after: Option<RunId>,
    limit: u32,
) -> Result<Vec<RunId>, StoreError> {
    let ids: Vec<Uuid> = sqlx::query_scalar(sql)
        .bind(after.map_or(Uuid::nil(), |run| run.0))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    Ok(ids.into_iter().map(RunId).collect())
}
