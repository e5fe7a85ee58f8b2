//! A look at a database before it is opened.

use std::{collections::BTreeMap, path::Path, time::Duration};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use store::Glance;

use crate::OpenError;

/// Looks at the database in `folder` without changing it; `None` when there is none.
///
/// # Errors
/// [`OpenError::Database`] when what lies there is no database.
pub async fn look(folder: &Path) -> Result<Option<Glance>, OpenError> {
    look_at(&folder.join("liaison.db")).await
}

/// Looks at a database file; `None` when there is none.
///
/// # Errors
/// [`OpenError::Database`] when what lies there is no database.
pub async fn look_at(file: &Path) -> Result<Option<Glance>, OpenError> {
    if !file.exists() {
        return Ok(None);
    }
    let broken = |error: sqlx::Error| OpenError::Database { file: file.to_owned(), reason: error.to_string() };
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .busy_timeout(Duration::from_secs(5))
        .pragma("query_only", "on");
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(broken)?;
    let glance = read(&mut connection).await.map_err(broken);
    drop(connection.close().await);
    glance.map(Some)
}

async fn read(connection: &mut SqliteConnection) -> Result<Glance, sqlx::Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("select name from sqlite_schema where type = 'table'").fetch_all(&mut *connection).await?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    let schema = if has("_sqlx_migrations") {
        sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(&mut *connection)
            .await?
    } else {
        0
    };
    let settings: BTreeMap<String, String> = if has("settings") {
        sqlx::query_as("select name, value from settings").fetch_all(&mut *connection).await?.into_iter().collect()
    } else {
        BTreeMap::new()
    };
    // Before there were data keys, credentials were sealed under the master key itself.
    let sealed = if has("data_keys") {
        sqlx::query_scalar("select wrapped from data_keys limit 1").fetch_optional(&mut *connection).await?
    } else if has("connections") {
        sqlx::query_scalar("select sealed from connections where length(sealed) > 0 limit 1")
            .fetch_optional(&mut *connection)
            .await?
    } else {
        None
    };
    Ok(Glance { schema, settings, sealed })
}
