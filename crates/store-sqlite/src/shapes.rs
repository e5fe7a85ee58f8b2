//! What systems told of their objects.

use async_trait::async_trait;
use sqlx::Connection;
use store::{ConnectionId, ShapeRow, Shapes, StoreError, Timestamp};

use crate::{SqliteStore, failed, rows::get};

#[async_trait]
impl Shapes for SqliteStore {
    async fn keep_shape(&self, row: &ShapeRow, rows_max: u32) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        sqlx::query(
            "insert into shapes (connection_id, object, revision, told, asked_at) values (?, ?, ?, ?, ?) \
             on conflict (connection_id, object) do update \
             set revision = excluded.revision, told = excluded.told, asked_at = excluded.asked_at",
        )
        .bind(row.connection.0)
        .bind(&row.object)
        .bind(row.revision)
        .bind(&row.told)
        .bind(row.asked_at.micros())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        sqlx::query(
            "delete from shapes where (connection_id, object) in \
             (select connection_id, object from shapes order by asked_at desc, connection_id desc, object desc limit -1 offset ?)",
        )
        .bind(rows_max)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn shape(&self, connection: ConnectionId, object: &str) -> Result<Option<ShapeRow>, StoreError> {
        let row = sqlx::query("select revision, told, asked_at from shapes where connection_id = ? and object = ?")
            .bind(connection.0)
            .bind(object)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        row.map(|row| {
            Ok(ShapeRow {
                connection,
                object: object.to_owned(),
                revision: get(&row, "revision")?,
                told: get(&row, "told")?,
                asked_at: Timestamp::from_micros(get(&row, "asked_at")?),
            })
        })
        .transpose()
    }
}
