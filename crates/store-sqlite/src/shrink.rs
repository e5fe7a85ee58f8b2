//! Makes a database of an older build one that can give room back while it works, and tells what else is written anew.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::{OpenError, SqliteStore, connect_options, take_lock};

/// A database larger than this is not converted by itself at start: that would take longer than a start
/// may. 256 MiB take about two seconds.
pub(crate) const CONVERT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// SQLite's number for `auto_vacuum = incremental`, <https://sqlite.org/pragma.html#pragma_auto_vacuum>.
const INCREMENTAL: i64 = 2;

/// Converts the database if it was made without incremental vacuum and is no larger than `bytes_max`.
/// Returns whether it can give room back now.
pub(crate) async fn convert(connection: &mut SqliteConnection, bytes: u64, bytes_max: u64) -> Result<bool, sqlx::Error> {
    let mode: i64 = sqlx::query_scalar("pragma auto_vacuum").fetch_one(&mut *connection).await?;
    if mode == INCREMENTAL {
        return Ok(true);
    }
    if bytes > bytes_max {
        return Ok(false);
    }
    sqlx::query(AssertSqlSafe(format!("pragma auto_vacuum = {INCREMENTAL}"))).execute(&mut *connection).await?;
    sqlx::query("vacuum").execute(&mut *connection).await?;
    Ok(true)
}

/// From this step of the schema on the journal lies in the order it was written.
const JOURNAL_AS_WRITTEN: i64 = 20;

/// Whether an older build kept a journal here.
pub(crate) async fn writes_journal_anew(connection: &mut SqliteConnection) -> bool {
    let step = sqlx::query_scalar::<_, i64>("select coalesce(max(version), 0) from _sqlx_migrations").fetch_one(connection).await;
    // A database without that table is a new one.
    step.is_ok_and(|step| step > 1 && step < JOURNAL_AS_WRITTEN)
}

/// What writing a database anew came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the file before.
    pub before: u64,
    /// Bytes of the file afterwards.
    pub after: u64,
}

impl SqliteStore {
    /// Writes the database in `folder` anew, without gaps and so that it can give room back while it
    /// works. Needs as much room again while it does. No server may be running.
    ///
    /// # Errors
    /// [`OpenError`], each with what to say to a person.
    pub async fn compact(folder: &std::path::Path) -> Result<Compacted, OpenError> {
        let lock = take_lock(folder)?.ok_or_else(|| OpenError::InUse(folder.to_owned()))?;
        let file = folder.join("liaison.db");
        let broken = |error: sqlx::Error| OpenError::Database { file: file.clone(), reason: error.to_string() };
        let bytes = || std::fs::metadata(&file).map_or(0, |found| found.len());
        let before = bytes();
        let mut connection =
            SqliteConnection::connect_with(&connect_options(&file).create_if_missing(false)).await.map_err(broken)?;
        let work = async {
            sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await?;
            sqlx::query(AssertSqlSafe(format!("pragma auto_vacuum = {INCREMENTAL}"))).execute(&mut connection).await?;
            sqlx::query("vacuum").execute(&mut connection).await?;
            sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await
        };
        let worked = work.await;
        drop(connection.close().await);
        worked.map_err(broken)?;
        drop(lock);
        Ok(Compacted { before, after: bytes() })
    }
}
