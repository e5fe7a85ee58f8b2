//! The one connection that writes.

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::{Mutex, MutexGuard};

/// One writes at a time: SQLite has one writer.
#[derive(Debug)]
pub(crate) struct WriteConnection {
    connection: Mutex<SqliteConnection>,
    options: SqliteConnectOptions,
}

impl WriteConnection {
    pub(crate) fn new(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        Self { connection: Mutex::new(connection), options }
    }

    /// The connection, outside of any transaction.
    ///
    /// When the disk is full SQLite takes a transaction back by itself. Taking it back once more then fails, and the
    /// driver would believe forever that it is open: there is no way but a new connection.
    /// <https://sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>
    pub(crate) async fn lock(&self) -> MutexGuard<'_, SqliteConnection> {
        let mut connection = self.connection.lock().await;
        if connection.is_in_transaction() {
            // Waits for a transaction that is being taken back.
            drop(connection.ping().await);
        }
        if connection.is_in_transaction() {
            match SqliteConnection::connect_with(&self.options).await {
                Ok(fresh) => *connection = fresh,
                Err(error) => tracing::error!(%error, "store.write: there is no new connection; it is tried again"),
            }
        }
        connection
    }
}

#[cfg(test)]
mod tests {
    use store::{Store as _, StoreError};

    use crate::SqliteStore;

    #[tokio::test]
    async fn a_full_disk_is_told_and_writing_goes_on_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        let sql = async |text: &'static str| {
            sqlx::raw_sql(text).execute(&mut *store.writer.lock().await).await.unwrap();
        };
        sql("pragma max_page_count = 1").await;
        let much = "x".repeat(1_000_000);
        for _ in 0..3 {
            let refused = store.setting("much", &much).await;
            assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.starts_with(store::NO_ROOM)), "{refused:?}");
            // What needs a transaction of its own finds the connection as it should be.
            assert_eq!(store.reap_workers(store::Timestamp::from_micros(0)).await.unwrap().runs, 0);
        }
        sql("pragma max_page_count = 1000000").await;
        assert_eq!(store.setting("much", &much).await.unwrap(), much);
    }

    /// What is promised to a sender has reached the disk, also when the power fails: no kill can show that, so what SQLite
    /// was told is asked back. Each commit waits for the disk with `synchronous = full` in WAL mode
    /// (<https://sqlite.org/pragma.html#pragma_synchronous>).
    #[tokio::test]
    async fn each_commit_waits_for_the_disk() {
        use sqlx::Connection as _;

        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        let kept = async |connection: &mut sqlx::SqliteConnection| {
            let ask = |name: &'static str| sqlx::query_scalar::<_, String>(name);
            (
                ask("select cast(synchronous as text) from pragma_synchronous").fetch_one(&mut *connection).await.unwrap(),
                ask("select journal_mode from pragma_journal_mode").fetch_one(&mut *connection).await.unwrap(),
            )
        };
        let full = || ("2".to_owned(), "wal".to_owned());
        let options = {
            let mut writer = store.writer.lock().await;
            assert_eq!(kept(&mut writer).await, full());
            store.writer.options.clone()
        };
        // The connection that takes its place after a full disk is no other.
        let mut fresh = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        assert_eq!(kept(&mut fresh).await, full());
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_took_back_by_itself_is_over() {
        use sqlx::Connection as _;

        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        {
            let mut writer = store.writer.lock().await;
            let mut transaction = writer.begin_with("begin immediate").await.unwrap();
            // As SQLite does when it cannot go on.
            sqlx::raw_sql("rollback").execute(&mut *transaction).await.unwrap();
        }
        assert_eq!(store.reap_workers(store::Timestamp::from_micros(0)).await.unwrap().runs, 0);
    }
}
