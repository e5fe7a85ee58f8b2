//! Copies of a database: made while a server works on it, proved before they are used.

use std::{fs::File, path::Path, time::Duration};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{OpenError, migrations::MIGRATIONS};

/// The last step of the schema this build knows.
#[must_use]
pub fn newest_schema() -> i64 {
    MIGRATIONS.iter().map(|(number, ..)| *number).max().unwrap_or(0)
}

/// Writes a copy of the database in `folder` to `target`, which is empty or not there: everything that
/// was durable when the copying began, and nothing else. A server may go on working meanwhile; its log
/// is not folded in until the copy is done.
///
/// # Errors
/// [`OpenError::Database`] when one of both cannot be read or written.
pub async fn copy_to(folder: &Path, target: &Path) -> Result<(), OpenError> {
    let file = folder.join("liaison.db");
    let broken = |error: sqlx::Error| OpenError::Database { file: file.clone(), reason: error.to_string() };
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(false).busy_timeout(Duration::from_secs(30));
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(broken)?;
    let copied = sqlx::query("vacuum into ?").bind(target.to_string_lossy()).execute(&mut connection).await;
    drop(connection.close().await);
    copied.map_err(broken)?;
    let synced = File::open(target).and_then(|copy| copy.sync_all());
    synced.map_err(|error| OpenError::Database { file: target.to_owned(), reason: error.to_string() })
}

/// What SQLite finds wrong in a database file that nobody has open; empty when it is whole. Counts the
/// runs in it.
///
/// # Errors
/// [`OpenError::Database`] when it cannot be read.
pub async fn prove(file: &Path) -> Result<(Vec<String>, i64), OpenError> {
    let broken = |error: sqlx::Error| OpenError::Database { file: file.to_owned(), reason: error.to_string() };
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(false).pragma("query_only", "on");
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(broken)?;
    let looked = async {
        let told: Vec<String> = sqlx::query_scalar("pragma integrity_check").fetch_all(&mut connection).await?;
        let runs = sqlx::query_scalar("select count(*) from runs").fetch_one(&mut connection).await?;
        Ok((told.into_iter().filter(|line| line != "ok").collect(), runs))
    };
    let found = looked.await.map_err(broken);
    drop(connection.close().await);
    found
}
