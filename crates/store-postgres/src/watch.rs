//! How things stand, for whoever watches.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgConnection;
use store::{
    LETTER_RECIPES_MAX, LETTERS_COUNTED_MAX, Schema, Standing, StoreError, Timestamp, WAITING_COUNTED_MAX, Waiting, WaitingFor,
    Watch,
};

use crate::{
    PostgresStore, TRIES_MAX, claim,
    error::{failed, in_the_way},
    migrations,
};

#[async_trait]
impl Watch for PostgresStore {
    async fn standing(&self, now: Timestamp) -> Result<Standing, StoreError> {
        ask!(self, connection => standing(connection, now))
    }

    async fn schema(&self) -> Result<Schema, StoreError> {
        ask!(self, connection => schema(connection))
    }
}

async fn standing(connection: &mut PgConnection, now: Timestamp) -> Result<Standing, StoreError> {
    Ok(Standing {
        due_since: claim::next_due(&mut *connection).await?.filter(|due| *due <= now),
        waiting: waiting(&mut *connection).await?,
        letters: letters(connection).await?,
    })
}

async fn schema(connection: &mut PgConnection) -> Result<Schema, StoreError> {
    let (found,): (Option<i64>,) =
        sqlx::query_as("select max(version) from _sqlx_migrations where success").fetch_one(connection).await.map_err(failed)?;
    Ok(Schema { found: found.unwrap_or(0), known: migrations::MIGRATIONS.last().map_or(0, |(number, _, _)| *number) })
}

async fn waiting(connection: &mut PgConnection) -> Result<Vec<Waiting>, StoreError> {
    // Says what the partial index runs_by_status leaves out, so that it can be used.
    let rows: Vec<(Option<i16>, i64, Option<i64>)> = sqlx::query_as(
        "select waiting_for, count(*), min(accepted_at) from ( \
           select waiting_for, accepted_at from runs where status = 2 and status <> 3 order by id limit $1 \
         ) oldest group by waiting_for order by waiting_for",
    )
    .bind(i64::from(WAITING_COUNTED_MAX))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    Ok(rows
        .into_iter()
        .filter_map(|(reason, runs, oldest)| {
            Some(Waiting { reason: WaitingFor::from_number(reason?)?, runs, oldest: Timestamp::from_micros(oldest?) })
        })
        .collect())
}

async fn letters(connection: &mut PgConnection) -> Result<Vec<(String, i64)>, StoreError> {
    sqlx::query_as(
        "select c.slug, g.letters from ( \
           select recipe_id, count(*) as letters from ( \
             (select recipe_id from runs where dead_letter = 1 and cause is not null limit $1) \
             union all (select recipe_id from runs where dead_letter = 1 and cause is null limit $1) \
           ) open group by recipe_id \
         ) g join recipes c on c.id = g.recipe_id order by g.letters desc, c.slug limit $2",
    )
    .bind(i64::from(LETTERS_COUNTED_MAX))
    .bind(i64::from(LETTER_RECIPES_MAX))
    .fetch_all(connection)
    .await
    .map_err(failed)
}
