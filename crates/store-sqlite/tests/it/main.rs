//! The conformance suite on SQLite, and what only SQLite can do wrong.

mod upgrade;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use store::{BlobId, Pages, RunFilter, Store, StoreError, Timestamp, conformance::Bed};
use store_sqlite::{OpenError, SqliteStore};

struct SqliteBed {
    store: Arc<SqliteStore>,
    folder: tempfile::TempDir,
}

async fn execute(folder: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(folder.join("liaison.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[async_trait]
impl Bed for SqliteBed {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    async fn another(&self) -> Arc<dyn Store> {
        self.store()
    }

    fn gives_notice(&self) -> bool {
        false
    }

    async fn execute(&self, sql: &str) {
        execute(self.folder.path(), sql).await;
    }

    async fn damage_blob(&self, id: BlobId) {
        let name = id.to_string();
        let file = self.folder.path().join("blobs").join(&name[..2]).join(format!("{name}.zst"));
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        std::fs::write(&file, bytes).unwrap();
    }

    async fn end(&self) {}
}

async fn bed() -> Arc<dyn Bed> {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path()).await.unwrap());
    Arc::new(SqliteBed { store, folder })
}

store::conformance!(crate::bed);

#[tokio::test]
async fn a_second_process_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let second = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
    store.close().await;
    drop(store);
    SqliteStore::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn what_is_accepted_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    assert_eq!(store.setting("name", "first").await.unwrap(), "first");
    // Not closed: the process died.
    drop(store);
    let store = SqliteStore::open(folder.path()).await.unwrap();
    assert_eq!(store.setting("name", "second").await.unwrap(), "first");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let error = SqliteStore::open(&file).await.unwrap_err();
    assert!(error.to_string().contains("a file"), "{error}");
    std::fs::write(folder.path().join("liaison.db"), "this is no database, but it is long enough to be one".repeat(100)).unwrap();
    let error = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error}");
}

/// SQLite keeps whatever it is given, also where a number should be.
#[tokio::test]
async fn values_of_another_kind_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let now = Timestamp::from_micros(1_760_000_000_000_000);
    execute(
        folder.path(),
        "insert into recipes (id, slug, title, latest_version, hook_token, revision, created_at, updated_at) \
         values (x'01', 'orders', x'ff', 'many', 't', 1, 0, 0); \
         insert into runs (id, recipe_id, version, status, epoch, via, attempts, accepted_at) values (x'02', x'01', 1, 0, 1, 0, 0, 0); \
         insert into journal (run_id, seq, chunk) values (x'00000000000000000000000000000003', 0, 77); \
         insert into event_keys (recipe_id, key, run_id, expires_at) values (x'00', x'00', 'x', 'never');",
    )
    .await;
    let damaged = |outcome: Result<String, StoreError>| match outcome {
        Err(StoreError::Corrupt(_)) => {}
        other => panic!("{other:?}"),
    };
    damaged(store.recipe("orders").await.map(|row| format!("{row:?}")));
    assert!(store.runs(&RunFilter { limit: 9, ..RunFilter::default() }).await.unwrap().is_empty());
    damaged(store.chunks(store::RunId(uuid::Uuid::from_u128(3)), 0, u32::MAX).await.map(|rows| format!("{rows:?}")));
    damaged(store.recipe_stats(Timestamp::from_micros(0)).await.map(|rows| format!("{rows:?}")));
    assert!(store.prune(now, 10).await.is_ok());
}

/// Taking turns is a look into an index per recipe, never a walk over what waits.
#[tokio::test]
async fn recipes_that_wait_are_found_by_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("liaison.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    for sql in [
        "select recipe_id from runs where due_at is not null and recipe_id > x'01' order by recipe_id limit 1",
        "select id from runs where recipe_id = x'01' and due_at <= 7 order by due_at, id limit 9",
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(format!("explain query plan {sql}"))).fetch_all(&mut connection).await.unwrap();
        let told: Vec<&str> = plan.iter().map(|(.., told)| told.as_str()).collect();
        assert!(told.len() == 1 && told[0].starts_with("SEARCH runs USING COVERING INDEX runs_due_by_recipe"), "{told:?}");
    }
    store.close().await;
}
