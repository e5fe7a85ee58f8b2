//! Who runs what: claims, leases, and freeing what a dead process held.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, SqlitePool, sqlite::SqliteRow};
use store::{
    CLAIM_CHUNKS_MAX, Claim, RECIPES_VISITED_MAX, Reaped, RecipeId, Round, Rounds, RunId, StoreError, Timestamp, Visited,
    WorkerId, sound,
};
use uuid::Uuid;

use crate::{
    beside, failed,
    rows::{get, parent},
};

pub(crate) async fn claim(
    connection: &mut SqliteConnection,
    rounds: &Rounds,
    worker: WorkerId,
    now: Timestamp,
    (limit, busy): (u32, &[RecipeId]),
) -> Result<Vec<Claim>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let mut rows = Vec::new();
    // Runs of busy recipes are never walked over: there may be any number of them.
    if rounds.flooded() || !busy.is_empty() {
        let round = loop {
            let mut visited = recipes_that_wait(&mut transaction, rounds.after(), now).await?;
            for (recipe, due) in &mut visited {
                *due = *due && !busy.contains(&RecipeId(*recipe));
            }
            let round = rounds.choose(&visited, limit);
            // Any number of recipes may wait for a time; those with runs that are due come after them.
            if !round.recipes.is_empty() || rounds.after().is_nil() {
                break round;
            }
        };
        rows = take_in_turns(&mut transaction, &round, worker, now).await?;
    }
    let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(limit));
    if left > 0 && busy.is_empty() {
        rows.extend(take_oldest(&mut transaction, worker, now, left).await?);
    }
    rounds.took(rows.len(), limit);
    let read = |row| {
        let claim = Claim {
            id: RunId(get(row, "id")?),
            recipe: RecipeId(get(row, "recipe_id")?),
            version: get(row, "version")?,
            epoch: get(row, "epoch")?,
            attempts: get(row, "attempts")?,
            chunks: Vec::new(),
            lane: get::<Option<Vec<u8>>>(row, "lane")?.and_then(|lane| lane.try_into().ok()),
            parent: parent(row)?,
            answers: Vec::new(),
        };
        Ok((claim, get::<i16>(row, "answered")? != 0))
    };
    // One that makes no sense is let go by whoever finds that nobody drives it.
    let mut claims = Vec::with_capacity(rows.len());
    for (mut claim, answered) in sound(&rows, read) {
        if answered {
            claim.answers = beside::untaken(&mut transaction, claim.id).await?;
        }
        claims.push(claim);
    }
    if !claims.is_empty() {
        let marks = vec!["?"; claims.len()].join(", ");
        let sql = format!(
            "select run_id, seq, chunk from journal where run_id in ({marks}) and seq < {CLAIM_CHUNKS_MAX} order by run_id, seq"
        );
        let mut query = sqlx::query_as::<_, (Uuid, i32, Vec<u8>)>(AssertSqlSafe(sql));
        for claim in &claims {
            query = query.bind(claim.id.0);
        }
        let mut chunks: HashMap<Uuid, Vec<(i32, Vec<u8>)>> = HashMap::new();
        for (run, seq, chunk) in query.fetch_all(&mut *transaction).await.map_err(failed)? {
            chunks.entry(run).or_default().push((seq, chunk));
        }
        for claim in &mut claims {
            claim.chunks = chunks.remove(&claim.id.0).unwrap_or_default();
        }
    }
    transaction.commit().await.map_err(failed)?;
    // `returning` promises no order; ids sort by acceptance.
    claims.sort_by_key(|claim| claim.id);
    Ok(claims)
}

/// The oldest runs that are due. A worker that was declared dead may not claim: its runs would never
/// be freed.
async fn take_oldest(
    connection: &mut SqliteConnection,
    worker: WorkerId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<SqliteRow>, StoreError> {
    sqlx::query(
        "update runs set status = 1, waiting_for = null, owner = ?1, epoch = epoch + 1, due_at = null \
         where id in (select id from runs where due_at <= ?2 order by due_at, id limit ?3) \
         and exists (select 1 from workers where id = ?1) \
         returning id, recipe_id, version, epoch, attempts, lane, parent_run, parent_path, answered",
    )
    .bind(worker.0)
    .bind(now.micros())
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(failed)
}

/// Recipes with runs that wait, from one on, in the order of their ids. Each is found by one look into
/// the index, however many runs it has.
async fn recipes_that_wait(connection: &mut SqliteConnection, after: Uuid, now: Timestamp) -> Result<Vec<Visited>, StoreError> {
    sqlx::query_as(
        "with recursive visited (id, place) as ( \
           select (select recipe_id from runs where due_at is not null and recipe_id > ?1 order by recipe_id limit 1), 1 \
           union all \
           select (select recipe_id from runs where due_at is not null and recipe_id > visited.id order by recipe_id limit 1), \
             place + 1 from visited where visited.id is not null and place < ?2 \
         ) \
         select id, exists (select 1 from runs where recipe_id = visited.id and due_at <= ?3) from visited where id is not null",
    )
    .bind(after)
    .bind(RECIPES_VISITED_MAX)
    .bind(now.micros())
    .fetch_all(connection)
    .await
    .map_err(failed)
}

/// The oldest runs that are due of each recipe of a round.
async fn take_in_turns(
    connection: &mut SqliteConnection,
    round: &Round,
    worker: WorkerId,
    now: Timestamp,
) -> Result<Vec<SqliteRow>, StoreError> {
    if round.recipes.is_empty() {
        return Ok(Vec::new());
    }
    let one = "select id from (select id from runs where recipe_id = ? and due_at <= ? order by due_at, id limit ?)";
    let sql = format!(
        "update runs set status = 1, waiting_for = null, owner = ?, epoch = epoch + 1, due_at = null where id in ({}) \
         and exists (select 1 from workers where id = ?) \
         returning id, recipe_id, version, epoch, attempts, lane, parent_run, parent_path, answered",
        vec![one; round.recipes.len()].join(" union all ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(worker.0);
    for recipe in &round.recipes {
        query = query.bind(recipe.0).bind(now.micros()).bind(round.each);
    }
    query.bind(worker.0).fetch_all(connection).await.map_err(failed)
}

pub(crate) async fn next_due(pool: &SqlitePool) -> Result<Option<Timestamp>, StoreError> {
    let (due,): (Option<i64>,) =
        sqlx::query_as("select min(due_at) from runs where due_at is not null").fetch_one(pool).await.map_err(failed)?;
    Ok(due.map(Timestamp::from_micros))
}

pub(crate) async fn backlog(pool: &SqlitePool, now: Timestamp, at_most: u32) -> Result<u32, StoreError> {
    let (count,): (i64,) = sqlx::query_as("select count(*) from (select 1 from runs where due_at <= ? limit ?)")
        .bind(now.micros())
        .bind(at_most)
        .fetch_one(pool)
        .await
        .map_err(failed)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(crate) async fn register(
    connection: &mut SqliteConnection,
    name: &str,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<WorkerId, StoreError> {
    let done = sqlx::query("insert into workers (name, started_at, lease_until) values (?, ?, ?)")
        .bind(name)
        .bind(now.micros())
        .bind(lease_until.micros())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(WorkerId(done.last_insert_rowid()))
}

pub(crate) async fn renew(
    connection: &mut SqliteConnection,
    worker: WorkerId,
    lease_until: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query("update workers set lease_until = ? where id = ?")
        .bind(lease_until.micros())
        .bind(worker.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn reap(connection: &mut SqliteConnection, now: Timestamp) -> Result<Reaped, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    sqlx::query("delete from workers where lease_until < ?")
        .bind(now.micros())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let runs = sqlx::query(
        "update runs set status = 0, owner = null, epoch = epoch + 1, due_at = min(accepted_at, ?) \
         where owner is not null and owner not in (select id from workers)",
    )
    .bind(now.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    let polls = sqlx::query(
        "update polls set owner = null, lease_until = null where owner is not null and owner not in (select id from workers)",
    )
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    let (next,): (Option<i64>,) = sqlx::query_as("select min(lease_until) from workers where lease_until >= ?")
        .bind(now.micros())
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Reaped { runs, polls, next: next.map(Timestamp::from_micros) })
}

pub(crate) async fn owned(readers: &SqlitePool, worker: WorkerId, limit: u32) -> Result<Vec<RunId>, StoreError> {
    let rows: Vec<(Uuid,)> = sqlx::query_as("select id from runs where owner = ? limit ?")
        .bind(worker.0)
        .bind(limit)
        .fetch_all(readers)
        .await
        .map_err(failed)?;
    Ok(rows.into_iter().map(|(id,)| RunId(id)).collect())
}

pub(crate) async fn free(
    connection: &mut SqliteConnection,
    worker: WorkerId,
    runs: &[RunId],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let mut freed = 0;
    for run in runs {
        freed +=
            sqlx::query("update runs set status = 0, owner = null, epoch = epoch + 1, due_at = ? where id = ? and owner = ?")
                .bind(now.micros())
                .bind(run.0)
                .bind(worker.0)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?
                .rows_affected();
    }
    transaction.commit().await.map_err(failed)?;
    Ok(freed)
}

pub(crate) async fn release(connection: &mut SqliteConnection, worker: WorkerId, now: Timestamp) -> Result<u64, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let freed = sqlx::query("update runs set status = 0, owner = null, epoch = epoch + 1, due_at = ? where owner = ?")
        .bind(now.micros())
        .bind(worker.0)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?
        .rows_affected();
    sqlx::query("delete from workers where id = ?").bind(worker.0).execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(freed)
}
