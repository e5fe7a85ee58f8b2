//! What screens and the API read.

use sqlx::{AssertSqlSafe, PgConnection, Postgres, QueryBuilder};
use store::{DAMAGED_MAX, RecipeId, RecipeStats, RunFilter, RunId, RunRow, RunStatus, StoreError, Timestamp, sound, sound_page};

use crate::{
    failed,
    rows::{self, RUN_COLUMNS, clean, get, instant},
};

pub(crate) async fn runs(connection: &mut PgConnection, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
    let mut query =
        QueryBuilder::new(format!("select {RUN_COLUMNS} from runs r join recipes c on c.id = r.recipe_id where true"));
    conditions(&mut query, filter);
    query.push(" order by r.id desc limit ").push_bind(i64::from(filter.limit.saturating_add(DAMAGED_MAX)));
    let rows = query.build().fetch_all(connection).await.map_err(failed)?;
    Ok(sound_page(&rows, filter.limit, rows::run))
}

/// What a filter asks of `runs r`, after a `where`.
pub(crate) fn conditions(query: &mut QueryBuilder<Postgres>, filter: &RunFilter) {
    if let Some(recipe) = filter.recipe {
        query.push(" and r.recipe_id = ").push_bind(recipe.0);
    }
    if !filter.statuses.is_empty() {
        query.push(" and r.status in (");
        let mut list = query.separated(", ");
        for status in &filter.statuses {
            list.push_bind(status.number());
        }
        query.push(")");
    }
    if let Some(text) = &filter.text {
        match text.parse::<RunId>() {
            Ok(id) => query.push(" and r.id = ").push_bind(id.0),
            Err(_) => query.push(" and strpos(lower(r.label), lower(").push_bind(clean(text).into_owned()).push(")) > 0"),
        };
    }
    if let Some(since) = filter.since {
        query.push(" and r.accepted_at >= ").push_bind(since.micros());
    }
    if let Some(until) = filter.until {
        query.push(" and r.accepted_at < ").push_bind(until.micros());
    }
    if let Some(before) = filter.before {
        query.push(" and r.id < ").push_bind(before.0);
    }
    let without_succeeded = !filter.statuses.is_empty() && !filter.statuses.contains(&RunStatus::Succeeded);
    if without_succeeded || filter.dead_letters || filter.cause.is_some() {
        // Says what the partial index runs_by_status leaves out, so that it can be used.
        query.push(" and r.status <> 3");
    }
    if filter.dead_letters {
        query.push(" and r.status = 4 and r.dead_letter = 1");
    }
    if let Some(cause) = filter.cause {
        query.push(" and r.status = 4 and r.dead_letter = 1 and r.cause = ").push_bind(cause.0.to_vec());
    }
}

pub(crate) async fn run(connection: &mut PgConnection, id: RunId) -> Result<Option<RunRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {RUN_COLUMNS} from runs r join recipes c on c.id = r.recipe_id where r.id = $1")))
        .bind(id.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .map(|row| rows::run(&row))
        .transpose()
}

pub(crate) async fn chunks(
    connection: &mut PgConnection,
    id: RunId,
    from: i32,
    limit: u32,
) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
    sqlx::query_as("select seq, chunk from journal where run_id = $1 and seq >= $2 order by seq limit $3")
        .bind(id.0)
        .bind(from)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
        .map_err(failed)
}

pub(crate) async fn next_seq(connection: &mut PgConnection, id: RunId) -> Result<i32, StoreError> {
    sqlx::query_scalar("select coalesce(max(seq) + 1, 0) from journal where run_id = $1")
        .bind(id.0)
        .fetch_one(connection)
        .await
        .map_err(failed)
}

/// Ids carry their time in milliseconds, so that a period is a range of the primary key.
fn first_id(since: Timestamp) -> RunId {
    RunId::new(since, [0; 10])
}

pub(crate) async fn run_counts(
    connection: &mut PgConnection,
    recipe: Option<RecipeId>,
    since: Timestamp,
) -> Result<Vec<(RunStatus, i64)>, StoreError> {
    let mut query = QueryBuilder::new("select status, count(*) as runs from runs where id >= ");
    query.push_bind(first_id(since).0).push(" and accepted_at >= ").push_bind(since.micros());
    if let Some(recipe) = recipe {
        query.push(" and recipe_id = ").push_bind(recipe.0);
    }
    query.push(" group by status");
    let rows = query.build().fetch_all(connection).await.map_err(failed)?;
    let read = |row| {
        let number = get(row, "runs.status")?;
        let status =
            RunStatus::from_number(number).ok_or_else(|| StoreError::Corrupt(format!("runs.status {number} makes no sense")))?;
        Ok((status, get(row, "runs")?))
    };
    Ok(sound(&rows, read).collect())
}

pub(crate) async fn recipe_stats(
    connection: &mut PgConnection,
    since: Timestamp,
) -> Result<Vec<(RecipeId, RecipeStats)>, StoreError> {
    let rows = sqlx::query(
        "select recipe_id, count(*) as runs, count(*) filter (where status = 3) as succeeded, \
         count(*) filter (where status = 4) as failed, max(accepted_at) as last_run_at \
         from runs where id >= $1 and accepted_at >= $2 group by recipe_id",
    )
    .bind(first_id(since).0)
    .bind(since.micros())
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok((
                RecipeId(get(row, "runs.recipe_id")?),
                RecipeStats {
                    runs: get(row, "runs")?,
                    succeeded: get(row, "succeeded")?,
                    failed: get(row, "failed")?,
                    last_run_at: instant(row, "last_run_at")?,
                },
            ))
        })
        .collect()
}
