//! What SQLite's errors mean for whoever asked.

use store::{NO_ROOM, StoreError};

/// What the caller can do about an error of SQLite's.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    store::counted(sorted(error))
}

/// The same of an error while something sealed was written: its key may be gone.
pub(crate) fn sealed_failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) if inner.is_foreign_key_violation() => StoreError::KeyGone,
        _ => failed(error),
    }
}

fn sorted(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) => {
            // Primary result codes, https://sqlite.org/rescode.html: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN.
            let primary = inner.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
            match primary {
                Some(13) => StoreError::Unavailable(format!("{NO_ROOM}: {error}")),
                Some(5 | 6 | 8 | 10 | 14) => StoreError::Unavailable(error.to_string()),
                Some(11 | 26) => StoreError::Corrupt(error.to_string()),
                _ => StoreError::Internal(error.to_string()),
            }
        }
        // The transaction before could not go on, for want of room, and a new connection cannot be made before there is some.
        sqlx::Error::InvalidSavePointStatement => StoreError::Unavailable(format!("{NO_ROOM}, or it cannot be written")),
        sqlx::Error::ColumnDecode { .. } => StoreError::Corrupt(error.to_string()),
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            StoreError::Unavailable(error.to_string())
        }
        _ => StoreError::Internal(error.to_string()),
    }
}
