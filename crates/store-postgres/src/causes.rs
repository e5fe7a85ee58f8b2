//! Why dead letters failed, and how many for the same reason.

use sqlx::{PgConnection, QueryBuilder};
use store::{
    Cause, CauseHours, Fingerprint, HOUR_US, RecipeId, RunFilter, RunId, Sorted, StoreError, Timestamp, Unsorted, by_hour,
    hours_begin, sound,
};

use crate::{failed, pages, rows::get};

pub(crate) async fn unsorted(connection: &mut PgConnection, limit: u32) -> Result<Vec<Unsorted>, StoreError> {
    let rows = sqlx::query(
        "select id, recipe_id, ended_at, error from runs where dead_letter = 1 and cause is null and ended_at is not null \
         order by id limit $1",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
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

pub(crate) async fn sort(connection: &mut PgConnection, sorted: &[Sorted]) -> Result<(), StoreError> {
    sqlx::query(
        "with held as materialized ( \
           select r.id, s.cause from unnest($1::uuid[], $2::bigint[], $3::bytea[]) as s (id, failed_at, cause) \
           join runs r on r.id = s.id and r.ended_at = s.failed_at and r.dead_letter = 1 order by r.id for update of r \
         ) \
         update runs r set cause = held.cause from held where r.id = held.id",
    )
    .bind(sorted.iter().map(|one| one.run.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|one| one.failed_at.micros()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|one| one.cause.0.as_slice()).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

pub(crate) async fn causes(
    connection: &mut PgConnection,
    recipe: Option<RecipeId>,
    limit: u32,
) -> Result<Vec<Cause>, StoreError> {
    let mut query = QueryBuilder::new(
        "select g.cause, g.recipe_id, g.count, g.first, g.last, g.sample, c.slug, c.title, r.error from ( \
           select cause, recipe_id, count(*) as count, min(ended_at) as first, max(ended_at) as last, (array_agg(id order by id desc))[1] as sample \
           from runs where dead_letter = 1 and cause is not null",
    );
    if let Some(recipe) = recipe {
        query.push(" and recipe_id = ").push_bind(recipe.0);
    }
    query
        .push(" group by cause, recipe_id order by count(*) desc, max(ended_at) desc, cause limit ")
        .push_bind(i64::from(limit))
        .push(
            ") g join recipes c on c.id = g.recipe_id join runs r on r.id = g.sample order by g.count desc, g.last desc, g.cause",
        );
    let rows = query.build().fetch_all(connection).await.map_err(failed)?;
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
    connection: &mut PgConnection,
    causes: &[(Fingerprint, RecipeId)],
    now: Timestamp,
) -> Result<Vec<CauseHours>, StoreError> {
    let counted: Vec<(i64, i64, i64)> = sqlx::query_as(
        "select w.place - 1, greatest($3 - r.ended_at, 0) / $4 as ago, count(*) \
         from unnest($1::bytea[], $2::uuid[]) with ordinality as w (cause, recipe_id, place) \
         join runs r on r.cause = w.cause and r.recipe_id = w.recipe_id \
         where r.dead_letter = 1 and r.ended_at > $5 group by 1, 2",
    )
    .bind(causes.iter().map(|(cause, _)| cause.0.as_slice()).collect::<Vec<_>>())
    .bind(causes.iter().map(|(_, recipe)| recipe.0).collect::<Vec<_>>())
    .bind(now.micros())
    .bind(HOUR_US)
    .bind(hours_begin(now).micros())
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    Ok(by_hour(causes.len(), counted))
}

pub(crate) async fn count(connection: &mut PgConnection, filter: &RunFilter) -> Result<u32, StoreError> {
    let mut query = QueryBuilder::new("select count(*) from (select 1 from runs r where true");
    pages::conditions(&mut query, &RunFilter { dead_letters: true, ..filter.clone() });
    query.push(" limit ").push_bind(i64::from(filter.limit)).push(") as found");
    let (count,): (i64,) = query.build_query_as().fetch_one(connection).await.map_err(failed)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, StoreError> {
    bytes.try_into().map(Fingerprint).map_err(|_| StoreError::Corrupt("runs.cause makes no sense".to_owned()))
}
