//! Every schema there ever was is brought forward with what is in it.

use std::{path::Path, sync::Arc};

use sqlx::{
    AssertSqlSafe, Connection, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions},
};
use store::{Store, upgrade};
use store_sqlite::{OpenError, SqliteStore};

fn bytes(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{digits}'")
}

/// Steps of the schema, as they lie in the folder.
fn steps() -> Vec<Migration> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");
    let mut steps: Vec<Migration> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let (number, title) = name.split_once('_').unwrap();
            let sql = AssertSqlSafe(std::fs::read_to_string(&path).unwrap());
            let sql = sqlx::SqlSafeStr::into_sql_str(sql);
            Migration::new(number.parse().unwrap(), title.to_owned().into(), MigrationType::Simple, sql, false)
        })
        .collect();
    steps.sort_by_key(|step| step.version);
    steps
}

/// A database as a build made it that knew the schema up to this step.
async fn old(folder: &Path, schema: i64) {
    let options = SqliteConnectOptions::new().filename(folder.join("liaison.db")).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let known = steps().into_iter().filter(|step| step.version <= schema).collect();
    Migrator::with_migrations(known).run_direct(None, &mut connection, false).await.unwrap();
    for sql in upgrade::filling(schema, bytes, bytes) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn every_schema_comes_forward_with_what_is_in_it() {
    for step in steps() {
        let folder = tempfile::tempdir().unwrap();
        old(folder.path(), step.version).await;
        let store = Arc::new(SqliteStore::open(folder.path()).await.unwrap());
        upgrade::read_back(Arc::clone(&store) as Arc<dyn Store>, step.version).await.unwrap();
        store.close().await;
        let glance = store_sqlite::look(folder.path()).await.unwrap().unwrap();
        assert_eq!(glance.schema, store_sqlite::newest_schema());
    }
}

/// The journal is written anew by step 20. Where it lay before nothing of it stays: data that goes with the end of its run
/// would not go otherwise.
#[tokio::test]
async fn nothing_stays_where_the_journal_lay_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("liaison.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true).auto_vacuum(SqliteAutoVacuum::Incremental);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let known = steps().into_iter().filter(|step| step.version < 20).collect();
    Migrator::with_migrations(known).run_direct(None, &mut connection, false).await.unwrap();
    let (run, mark) = ([7_u8; 16], b"told only to this run".as_slice());
    for seq in 0..200 {
        let sql = "insert into journal (run_id, seq, chunk) values (?, ?, ?)";
        sqlx::query(sql).bind(run.as_slice()).bind(seq).bind(mark.repeat(40)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let marks = || {
        let files = ["liaison.db", "liaison.db-wal"].map(|name| std::fs::read(folder.path().join(name)).unwrap_or_default());
        files.iter().flat_map(|bytes| bytes.windows(mark.len())).filter(|bytes| *bytes == mark).count()
    };
    assert!(marks() > 4_000, "the test begins with them");
    SqliteStore::open(folder.path()).await.unwrap().close().await;
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file)).await.unwrap();
    sqlx::query("pragma secure_delete = on").execute(&mut connection).await.unwrap();
    sqlx::query("delete from journal").execute(&mut connection).await.unwrap();
    sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(marks(), 0);
}

/// Databases of builds that did not know how, give room back as well.
#[tokio::test]
async fn an_old_database_can_give_room_back() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path(), 8).await;
    let mode = async || {
        let options = SqliteConnectOptions::new().filename(folder.path().join("liaison.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let mode: i64 = sqlx::query_scalar("pragma auto_vacuum").fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        mode
    };
    assert_eq!(mode().await, 0, "the test begins with an old one");
    SqliteStore::open(folder.path()).await.unwrap().close().await;
    assert_eq!(mode().await, 2);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let newest = store_sqlite::newest_schema();
    old(folder.path(), newest).await;
    let file = folder.path().join("liaison.db");
    let options = SqliteConnectOptions::new().filename(&file);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let newer = "insert into _sqlx_migrations select version + 1, description, installed_on, success, checksum, execution_time \
                 from _sqlx_migrations order by version desc limit 1";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let refused = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(&refused, OpenError::Newer { step, .. } if *step == newest + 1), "{refused}");
    assert_eq!(store_sqlite::look(folder.path()).await.unwrap().unwrap().schema, newest + 1);
}
