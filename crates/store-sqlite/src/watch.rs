//! How things stand, for whoever watches.

use async_trait::async_trait;
use sqlx::SqlitePool;
use store::{
    LETTER_RECIPES_MAX, LETTERS_COUNTED_MAX, Schema, Standing, StoreError, Timestamp, WAITING_COUNTED_MAX, Waiting, WaitingFor,
    Watch,
};

use crate::{SqliteStore, claim, failed, migrations::MIGRATIONS};

#[async_trait]
impl Watch for SqliteStore {
    async fn standing(&self, now: Timestamp) -> Result<Standing, StoreError> {
        Ok(Standing {
            due_since: claim::next_due(&self.readers).await?.filter(|due| *due <= now),
            waiting: waiting(&self.readers).await?,
            letters: letters(&self.readers).await?,
        })
    }

    async fn schema(&self) -> Result<Schema, StoreError> {
        let (found,): (Option<i64>,) = sqlx::query_as("select max(version) from _sqlx_migrations where success")
            .fetch_one(&self.readers)
            .await
            .map_err(failed)?;
        Ok(Schema { found: found.unwrap_or(0), known: MIGRATIONS.last().map_or(0, |(number, _, _)| *number) })
    }
}

async fn waiting(pool: &SqlitePool) -> Result<Vec<Waiting>, StoreError> {
    // Says what the partial index runs_by_status leaves out, so that it can be used.
    let rows: Vec<(Option<i16>, i64, i64)> = sqlx::query_as(
        "select waiting_for, count(*), min(accepted_at) from ( \
           select waiting_for, accepted_at from runs where status = 2 and status <> 3 order by id limit ? \
         ) group by waiting_for order by waiting_for",
    )
    .bind(WAITING_COUNTED_MAX)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    Ok(rows
        .into_iter()
        .filter_map(|(reason, runs, oldest)| {
            Some(Waiting { reason: WaitingFor::from_number(reason?)?, runs, oldest: Timestamp::from_micros(oldest) })
        })
        .collect())
}

async fn letters(pool: &SqlitePool) -> Result<Vec<(String, i64)>, StoreError> {
    sqlx::query_as(
        "select c.slug, g.letters from ( \
           select recipe_id, count(*) as letters from ( \
             select recipe_id from (select recipe_id from runs where dead_letter = 1 and cause is not null limit ?1) \
             union all select recipe_id from (select recipe_id from runs where dead_letter = 1 and cause is null limit ?1) \
           ) group by recipe_id \
         ) g join recipes c on c.id = g.recipe_id order by g.letters desc, c.slug limit ?2",
    )
    .bind(LETTERS_COUNTED_MAX)
    .bind(LETTER_RECIPES_MAX)
    .fetch_all(pool)
    .await
    .map_err(failed)
}
