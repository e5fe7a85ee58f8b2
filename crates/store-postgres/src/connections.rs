//! Connections.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use store::{ConnectionId, ConnectionRow, Put, StoreError, sound};

use crate::{
    data_keys::key_id,
    error::sealed_failed,
    failed, gate,
    recipes::touch_catalogue,
    rows::{CONNECTION_COLUMNS, clean, connection},
};

pub(crate) async fn create(db: &mut PgConnection, row: &ConnectionRow) -> Result<Put, StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    let done = sqlx::query(
        "insert into connections (id, name, connector, config, sealed, key_id, revision, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (name) do nothing",
    )
    .bind(row.id.0)
    .bind(clean(&row.name))
    .bind(clean(&row.connector))
    .bind(row.config.to_string())
    .bind(row.sealed.as_slice())
    .bind(key_id(&row.sealed))
    .bind(row.revision)
    .bind(row.created_at.micros())
    .bind(row.updated_at.micros())
    .execute(&mut *transaction)
    .await
    .map_err(sealed_failed)?;
    if done.rows_affected() == 0 {
        return Ok(Put::NameTaken);
    }
    touch_catalogue(&mut transaction).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(Put::Done(row.clone()))
}

pub(crate) async fn update(db: &mut PgConnection, row: &ConnectionRow) -> Result<Put, StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    let done = sqlx::query(
        "update connections set config = $1, sealed = $2, key_id = $3, revision = revision + 1, updated_at = $4 \
         where id = $5 and revision = $6",
    )
    .bind(row.config.to_string())
    .bind(row.sealed.as_slice())
    .bind(key_id(&row.sealed))
    .bind(row.updated_at.micros())
    .bind(row.id.0)
    .bind(row.revision)
    .execute(&mut *transaction)
    .await
    .map_err(sealed_failed)?;
    if done.rows_affected() == 0 {
        return Ok(Put::Gone);
    }
    touch_catalogue(&mut transaction).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(Put::Done(ConnectionRow { revision: row.revision + 1, ..row.clone() }))
}

pub(crate) async fn delete(db: &mut PgConnection, id: ConnectionId) -> Result<bool, StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    gate::forget(&mut transaction, id).await?;
    let done =
        sqlx::query("delete from connections where id = $1").bind(id.0).execute(&mut *transaction).await.map_err(failed)?;
    touch_catalogue(&mut transaction).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn list(db: &mut PgConnection) -> Result<Vec<ConnectionRow>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!("select {CONNECTION_COLUMNS} from connections order by name")))
        .fetch_all(db)
        .await
        .map_err(failed)?;
    Ok(sound(&rows, connection).collect())
}

pub(crate) async fn by_name(db: &mut PgConnection, name: &str) -> Result<Option<ConnectionRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {CONNECTION_COLUMNS} from connections where name = $1")))
        .bind(clean(name))
        .fetch_optional(db)
        .await
        .map_err(failed)?
        .map(|row| connection(&row))
        .transpose()
}
