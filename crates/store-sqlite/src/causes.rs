//! Why dead letters failed, and how many for the same reason.

use sqlx::{Connection, QueryBuilder, SqliteConnection, SqlitePool};
use store::{
    Cause, CauseHours, Fingerprint, HOUR_US, RecipeId, RunFilter, RunId, Sorted, StoreError, Timestamp, Unsorted, by_hour,
    hours_begin, sound,
};

use crate::{failed, pages, rows::get};

pub(crate) async fn unsorted(pool: &SqlitePool, limit: u32) -> Result<Vec<Unsorted>, StoreError> {
    let rows = sqlx::query(
        "select id, recipe_id, ended_at, error from runs where dead_letter = 1 and cause is null and ended_at is not null \
         order by id limit ?",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(Unsorted {
                run: RunId(get(row, "id")?),
                recipe: RecipeId(get(row, "recipe_id")?),
                failed_at: Timestamp::from_micros(get(row, "ended_at")?),
                // One that cannot be read must not keep the others from being sorted.
                error: get::<Option<String>>(row, "error")?.and_then(|text| serde_json::from_str(&text).ok()),
            })
        })
        .collect()
}

pub(crate) async fn sort(connection: &mut SqliteConnection, sorted: &[Sorted]) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    for one in sorted {
        sqlx::query("update runs set cause = ? where id = ? and dead_letter = 1 and ended_at = ?")
            .bind(one.cause.0.as_slice())
            .bind(one.run.0)
            .bind(one.failed_at.micros())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

pub(crate) async fn causes(pool: &SqlitePool, recipe: Option<RecipeId>, limit: u32) -> Result<Vec<Cause>, StoreError> {
    let mut query = QueryBuilder::new(
        "select g.cause, g.recipe_id, g.count, g.first, g.last, g.sample, c.slug, c.title, r.error from ( \
           select cause, recipe_id, count(*) as count, min(ended_at) as first, max(ended_at) as last, max(id) as sample \
           from runs where dead_letter = 1 and cause is not null",
    );
    if let Some(recipe) = recipe {
        query.push(" and recipe_id = ").push_bind(recipe.0);
    }
    query.push(" group by cause, recipe_id order by count(*) desc, max(ended_at) desc, cause limit ").push_bind(limit).push(
        ") g join recipes c on c.id = g.recipe_id join runs r on r.id = g.sample order by g.count desc, g.last desc, g.cause",
    );
    let rows = query.build().fetch_all(pool).await.map_err(failed)?;
    let read = |row| {
        Ok(Cause {
            fingerprint: fingerprint(&get::<Vec<u8>>(row, "cause")?)?,
            recipe: RecipeId(get(row, "recipe_id")?),
            slug: get(row, "slug")?,
            title: get(row, "title")?,
            count: get(row, "count")?,
            first: Timestamp::from_micros(get(row, "first")?),
            last: Timestamp::from_micros(get(row, "last")?),
            sample: RunId(get(row, "sample")?),
            error: get::<Option<String>>(row, "error")?.and_then(|text| serde_json::from_str(&text).ok()),
        })
    };
    Ok(sound(&rows, read).collect())
}

pub(crate) async fn hours(
    pool: &SqlitePool,
    causes: &[(Fingerprint, RecipeId)],
    now: Timestamp,
) -> Result<Vec<CauseHours>, StoreError> {
    if causes.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::new("with wanted (place, cause, recipe_id) as (");
    query.push_values((0_i64..).zip(causes), |mut row, (place, (cause, recipe))| {
        row.push_bind(place).push_bind(cause.0.as_slice()).push_bind(recipe.0);
    });
    query.push(") select w.place, max(").push_bind(now.micros()).push(" - r.ended_at, 0) / ").push_bind(HOUR_US).push(
        " as ago, count(*) as failures from wanted w join runs r on r.cause = w.cause and r.recipe_id = w.recipe_id \
         where r.dead_letter = 1 and r.cause is not null and r.ended_at > ",
    );
    query.push_bind(hours_begin(now).micros()).push(" group by 1, 2");
    let counted: Vec<(i64, i64, i64)> = query.build_query_as().fetch_all(pool).await.map_err(failed)?;
    Ok(by_hour(causes.len(), counted))
}

pub(crate) async fn count(pool: &SqlitePool, filter: &RunFilter) -> Result<u32, StoreError> {
    let mut query = QueryBuilder::new("select count(*) from (select 1 from runs r where true");
    pages::conditions(&mut query, &RunFilter { dead_letters: true, ..filter.clone() });
    query.push(" limit ").push_bind(filter.limit).push(")");
    let (count,): (i64,) = query.build_query_as().fetch_one(pool).await.map_err(failed)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, StoreError> {
    bytes.try_into().map(Fingerprint).map_err(|_| StoreError::Corrupt("runs.cause makes no sense".to_owned()))
}
