//! Who runs what: claims, leases, and freeing what a dead process held.

use std::collections::HashMap;

use parking_lot::Mutex;
use sqlx::{Connection, PgConnection, postgres::PgRow};
use store::{
    CLAIM_CHUNKS_MAX, Claim, RECIPES_VISITED_MAX, Reaped, RecipeId, Round, Rounds, RunId, StoreError, Timestamp, Visited,
    WorkerId, sound,
};
use uuid::Uuid;

use crate::{
    beside, failed, notice,
    rows::{get, parent},
};

/// A claim whose commit got no answer: the worker may own a run it was never told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InDoubt {
    run: RunId,
    worker: WorkerId,
    epoch: i64,
}

/// Remembers claims unless their commit is known to be durable.
struct Doubt<'s> {
    list: &'s Mutex<Vec<InDoubt>>,
    claims: Vec<InDoubt>,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.list.lock().append(&mut self.claims);
    }
}

pub(crate) async fn claim(
    connection: &mut PgConnection,
    in_doubt: &Mutex<Vec<InDoubt>>,
    rounds: &Rounds,
    worker: WorkerId,
    now: Timestamp,
    (limit, busy): (u32, &[RecipeId]),
) -> Result<Vec<Claim>, StoreError> {
    give_back(connection, in_doubt, now).await?;
    let mut transaction = connection.begin().await.map_err(failed)?;
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
            id: RunId(get(row, "runs.id")?),
            recipe: RecipeId(get(row, "runs.recipe_id")?),
            version: get(row, "runs.version")?,
            epoch: get(row, "runs.epoch")?,
            attempts: get(row, "runs.attempts")?,
            chunks: Vec::new(),
            lane: get::<Option<Vec<u8>>>(row, "runs.lane")?.and_then(|lane| lane.try_into().ok()),
            parent: parent(row)?,
            answers: Vec::new(),
        };
        Ok((claim, get::<i16>(row, "runs.answered")? != 0))
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
        // A statement of its own, which sees everything committed by now. One statement would read the
        // journal as it was when it began, and a run may have moved on and become due again since.
        let ids: Vec<Uuid> = claims.iter().map(|claim| claim.id.0).collect();
        let rows = sqlx::query("select run_id, seq, chunk from journal where run_id = any($1) and seq < $2 order by run_id, seq")
            .bind(ids)
            .bind(i32::try_from(CLAIM_CHUNKS_MAX).unwrap_or(i32::MAX))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        let mut chunks: HashMap<Uuid, Vec<(i32, Vec<u8>)>> = HashMap::new();
        for row in &rows {
            let chunk = (get(row, "journal.seq")?, get(row, "journal.chunk")?);
            chunks.entry(get(row, "journal.run_id")?).or_default().push(chunk);
        }
        for claim in &mut claims {
            claim.chunks = chunks.remove(&claim.id.0).unwrap_or_default();
        }
    }
    let doubts = claims.iter().map(|claim| InDoubt { run: claim.id, worker, epoch: claim.epoch }).collect();
    let mut doubt = Doubt { list: in_doubt, claims: doubts };
    transaction.commit().await.map_err(failed)?;
    doubt.claims.clear();
    // `returning` promises no order; ids sort by acceptance.
    claims.sort_by_key(|claim| claim.id);
    Ok(claims)
}

/// The oldest runs that are due. A worker that was declared dead may not claim: its runs would never
/// be freed. The lock on its row keeps a reaper from declaring it dead until our claims can be seen.
/// What another claimer or a commit holds is skipped, so that nobody waits here. They go into an array because a join with a
/// list whose length only its parameter says is planned as if it were a tenth of the table, and reads all runs there are.
async fn take_oldest(
    connection: &mut PgConnection,
    worker: WorkerId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<PgRow>, StoreError> {
    sqlx::query(
        "with me as materialized (select id from workers where id = $1 for key share), due as materialized ( \
           select id from runs where due_at <= $2 and exists (select from me) order by due_at, id limit $3 for update skip locked \
         ) \
         update runs r set status = 1, waiting_for = null, owner = $1, epoch = epoch + 1, due_at = null \
         where r.id = any (array(select id from due)) returning r.id, r.recipe_id, r.version, r.epoch, r.attempts, \
         r.lane, r.parent_run, r.parent_path, r.answered",
    )
    .bind(worker.0)
    .bind(now.micros())
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(failed)
}

/// Recipes with runs that wait, from one on, in the order of their ids. Each is found by one look into
/// the index, however many runs it has.
async fn recipes_that_wait(connection: &mut PgConnection, after: Uuid, now: Timestamp) -> Result<Vec<Visited>, StoreError> {
    sqlx::query_as(
        "with recursive visited (id, place) as ( \
           select (select recipe_id from runs where due_at is not null and recipe_id > $1 order by recipe_id limit 1), 1 \
           union all \
           select (select recipe_id from runs where due_at is not null and recipe_id > visited.id order by recipe_id limit 1), \
             place + 1 from visited where visited.id is not null and place < $2 \
         ) \
         select id, exists (select from runs where recipe_id = visited.id and due_at <= $3) from visited where id is not null",
    )
    .bind(after)
    .bind(i32::try_from(RECIPES_VISITED_MAX).unwrap_or(i32::MAX))
    .bind(now.micros())
    .fetch_all(connection)
    .await
    .map_err(failed)
}

/// The oldest runs that are due of each recipe of a round, under the same locks as [`take_oldest`].
async fn take_in_turns(
    connection: &mut PgConnection,
    round: &Round,
    worker: WorkerId,
    now: Timestamp,
) -> Result<Vec<PgRow>, StoreError> {
    sqlx::query(
        "with me as materialized (select id from workers where id = $1 for key share), due as materialized ( \
           select one.id from unnest($3::uuid[]) as turn (recipe_id) cross join lateral ( \
             select id from runs where runs.recipe_id = turn.recipe_id and due_at <= $2 and exists (select from me) \
             order by due_at, id limit $4 for update skip locked \
           ) as one \
         ) \
         update runs r set status = 1, waiting_for = null, owner = $1, epoch = epoch + 1, due_at = null \
         where r.id = any (array(select id from due)) returning r.id, r.recipe_id, r.version, r.epoch, r.attempts, \
         r.lane, r.parent_run, r.parent_path, r.answered",
    )
    .bind(worker.0)
    .bind(now.micros())
    .bind(round.recipes.iter().map(|recipe| recipe.0).collect::<Vec<_>>())
    .bind(i64::from(round.each))
    .fetch_all(connection)
    .await
    .map_err(failed)
}

/// Frees what may have been claimed without anybody knowing.
async fn give_back(connection: &mut PgConnection, in_doubt: &Mutex<Vec<InDoubt>>, now: Timestamp) -> Result<(), StoreError> {
    let claims = std::mem::take(&mut *in_doubt.lock());
    if claims.is_empty() {
        return Ok(());
    }
    let mut doubt = Doubt { list: in_doubt, claims };
    // The epoch: only as long as nothing happened since.
    sqlx::query(
        "with held as materialized ( \
           select r.id from runs r join unnest($1::uuid[], $2::bigint[], $3::bigint[]) as d (id, owner, epoch) \
           on r.id = d.id and r.owner = d.owner and r.epoch = d.epoch order by r.id for update of r \
         ) \
         update runs r set status = 0, owner = null, epoch = epoch + 1, due_at = $4 from held where r.id = held.id",
    )
    .bind(doubt.claims.iter().map(|claim| claim.run.0).collect::<Vec<_>>())
    .bind(doubt.claims.iter().map(|claim| claim.worker.0).collect::<Vec<_>>())
    .bind(doubt.claims.iter().map(|claim| claim.epoch).collect::<Vec<_>>())
    .bind(now.micros())
    .execute(connection)
    .await
    .map_err(failed)?;
    doubt.claims.clear();
    Ok(())
}

pub(crate) async fn next_due(connection: &mut PgConnection) -> Result<Option<Timestamp>, StoreError> {
    let (due,): (Option<i64>,) =
        sqlx::query_as("select min(due_at) from runs where due_at is not null").fetch_one(connection).await.map_err(failed)?;
    Ok(due.map(Timestamp::from_micros))
}

pub(crate) async fn backlog(connection: &mut PgConnection, now: Timestamp, at_most: u32) -> Result<u32, StoreError> {
    let (count,): (i64,) = sqlx::query_as("select count(*) from (select 1 from runs where due_at <= $1 limit $2) as due")
        .bind(now.micros())
        .bind(i64::from(at_most))
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(crate) async fn register(
    connection: &mut PgConnection,
    name: &str,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<WorkerId, StoreError> {
    let (id,): (i64,) = sqlx::query_as("insert into workers (name, started_at, lease_until) values ($1, $2, $3) returning id")
        .bind(name)
        .bind(now.micros())
        .bind(lease_until.micros())
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    Ok(WorkerId(id))
}

pub(crate) async fn renew(connection: &mut PgConnection, worker: WorkerId, lease_until: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query("update workers set lease_until = $1 where id = $2")
        .bind(lease_until.micros())
        .bind(worker.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn reap(connection: &mut PgConnection, now: Timestamp) -> Result<Reaped, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    // A worker that renews, claims or is reaped at this moment is left to the next round.
    sqlx::query(
        "delete from workers where id in (select id from workers where lease_until < $1 order by id for update skip locked)",
    )
    .bind(now.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    // A statement of its own, which sees every claim made before the worker's row could be locked.
    let runs = sqlx::query(
        "with lost as materialized ( \
           select id from runs where owner is not null and not exists (select from workers w where w.id = runs.owner) \
           order by id for update \
         ) \
         update runs r set status = 0, owner = null, epoch = epoch + 1, due_at = least(accepted_at, $1) \
         from lost where r.id = lost.id",
    )
    .bind(now.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    // One whose answer is kept at this moment is free after it.
    let polls = sqlx::query(
        "update polls set owner = null, lease_until = null where recipe_id in (select recipe_id from polls \
         where owner is not null and not exists (select from workers w where w.id = polls.owner) for update skip locked)",
    )
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    let (next,): (Option<i64>,) = sqlx::query_as("select min(lease_until) from workers where lease_until >= $1")
        .bind(now.micros())
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    if runs > 0 {
        notice::give(&mut transaction).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(Reaped { runs, polls, next: next.map(Timestamp::from_micros) })
}

pub(crate) async fn owned(connection: &mut PgConnection, worker: WorkerId, limit: u32) -> Result<Vec<RunId>, StoreError> {
    let rows: Vec<(Uuid,)> = sqlx::query_as("select id from runs where owner = $1 limit $2")
        .bind(worker.0)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    Ok(rows.into_iter().map(|(id,)| RunId(id)).collect())
}

pub(crate) async fn free(
    connection: &mut PgConnection,
    worker: WorkerId,
    runs: &[RunId],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let ids: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
    let freed = sqlx::query(
        "with stray as materialized (select id from runs where id = any($2) and owner = $3 order by id for update) \
         update runs r set status = 0, owner = null, epoch = epoch + 1, due_at = $1 from stray where r.id = stray.id",
    )
    .bind(now.micros())
    .bind(&ids)
    .bind(worker.0)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    if freed > 0 {
        notice::give(&mut transaction).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(freed)
}

pub(crate) async fn release(connection: &mut PgConnection, worker: WorkerId, now: Timestamp) -> Result<u64, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    // First the worker, then its runs: the order of `reap`.
    sqlx::query("delete from workers where id = $1").bind(worker.0).execute(&mut *transaction).await.map_err(failed)?;
    let freed = sqlx::query(
        "with lost as materialized (select id from runs where owner = $2 order by id for update) \
         update runs r set status = 0, owner = null, epoch = epoch + 1, due_at = $1 from lost where r.id = lost.id",
    )
    .bind(now.micros())
    .bind(worker.0)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    if freed > 0 {
        notice::give(&mut transaction).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(freed)
}
