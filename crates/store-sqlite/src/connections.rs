//! Connections.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, SqlitePool};
use store::{ConnectionId, ConnectionRow, Put, StoreError, sound};

use crate::{
    data_keys::key_id,
    error::sealed_failed,
    failed, gate,
    recipes::touch_catalogue,
    rows::{CONNECTION_COLUMNS, connection},
};

pub(crate) async fn create(db: &mut SqliteConnection, row: ConnectionRow) -> Result<Put, StoreError> {
    let mut transaction = db.begin_with("begin immediate").await.map_err(failed)?;
    let done = sqlx::query(
        "insert into connections (id, name, connector, config, sealed, key_id, revision, created_at, updated_at) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (name) do nothing",
    )
    .bind(row.id.0)
    .bind(&row.name)
    .bind(&row.connector)
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
    Ok(Put::Done(row))
}

pub(crate) async fn update(db: &mut SqliteConnection, row: ConnectionRow) -> Result<Put, StoreError> {
    let mut transaction = db.begin_with("begin immediate").await.map_err(failed)?;
    let done = sqlx::query(
        "update connections set config = ?, sealed = ?, key_id = ?, revision = revision + 1, updated_at = ? where id = ? and revision = ?",
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
    Ok(Put::Done(ConnectionRow { revision: row.revision + 1, ..row }))
}

pub(crate) async fn delete(db: &mut SqliteConnection, id: ConnectionId) -> Result<bool, StoreError> {
    let mut transaction = db.begin_with("begin immediate").await.map_err(failed)?;
    gate::forget(&mut transaction, id).await?;
    let done = sqlx::query("delete from connections where id = ?").bind(id.0).execute(&mut *transaction).await.map_err(failed)?;
    touch_catalogue(&mut transaction).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn list(pool: &SqlitePool) -> Result<Vec<ConnectionRow>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!("select {CONNECTION_COLUMNS} from connections order by name")))
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    Ok(sound(&rows, connection).collect())
}

pub(crate) async fn by_name(pool: &SqlitePool, name: &str) -> Result<Option<ConnectionRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {CONNECTION_COLUMNS} from connections where name = ?")))
        .bind(name)
        .fetch_optional(pool)
        .await
        .map_err(failed)?
        .map(|row| connection(&row))
        .transpose()
}
