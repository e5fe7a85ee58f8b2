//! What systems told of their objects.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection};
use store::{ConnectionId, ShapeRow, Shapes, StoreError, Timestamp};

use crate::{
    PostgresStore, TRIES_MAX,
    error::{failed, in_the_way},
    rows::{clean, get},
};

#[async_trait]
impl Shapes for PostgresStore {
    async fn keep_shape(&self, row: &ShapeRow, rows_max: u32) -> Result<(), StoreError> {
        ask!(self, connection => keep(connection, row, rows_max))
    }

    async fn shape(&self, connection: ConnectionId, object: &str) -> Result<Option<ShapeRow>, StoreError> {
        let id = connection;
        ask!(self, connection => read(connection, id, object))
    }
}

async fn keep(db: &mut PgConnection, row: &ShapeRow, rows_max: u32) -> Result<(), StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    sqlx::query(
        "insert into shapes (connection_id, object, revision, told, asked_at) values ($1, $2, $3, $4, $5) \
         on conflict (connection_id, object) do update \
         set revision = excluded.revision, told = excluded.told, asked_at = excluded.asked_at",
    )
    .bind(row.connection.0)
    .bind(clean(&row.object))
    .bind(row.revision)
    .bind(clean(&row.told))
    .bind(row.asked_at.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    // Several processes may find the same ones too many.
    sqlx::query(
        "delete from shapes where (connection_id, object) in \
         (select connection_id, object from shapes order by asked_at desc, connection_id desc, object desc offset $1 \
         for update skip locked)",
    )
    .bind(i64::from(rows_max))
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

async fn read(db: &mut PgConnection, connection: ConnectionId, object: &str) -> Result<Option<ShapeRow>, StoreError> {
    let row = sqlx::query("select revision, told, asked_at from shapes where connection_id = $1 and object = $2")
        .bind(connection.0)
        .bind(clean(object))
        .fetch_optional(db)
        .await
        .map_err(failed)?;
    row.map(|row| {
        Ok(ShapeRow {
            connection,
            object: object.to_owned(),
            revision: get(&row, "shapes.revision")?,
            told: get(&row, "shapes.told")?,
            asked_at: Timestamp::from_micros(get(&row, "shapes.asked_at")?),
        })
    })
    .transpose()
}
