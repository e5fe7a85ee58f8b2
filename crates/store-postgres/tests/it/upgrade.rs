//! Every schema there ever was is brought forward with what is in it.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe, Connection, PgConnection,
    migrate::{Migration, MigrationType, Migrator},
};
use store::{Store, upgrade};
use store_postgres::{PostgresOptions, look, newest_schema, testing::FreshDatabase};

fn bytes(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("'\\x{digits}'::bytea")
}

fn id(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("'{digits}'::uuid")
}

/// Steps of the schema, as they lie in the folder.
fn steps() -> Vec<Migration> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/postgres");
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

#[tokio::test(flavor = "multi_thread")]
async fn every_schema_comes_forward_with_what_is_in_it() {
    for step in steps() {
        let schema = step.version;
        let database = FreshDatabase::schema().await;
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        let known = steps().into_iter().filter(|step| step.version <= schema).collect();
        Migrator::with_migrations(known).run_direct(None, &mut connection, false).await.unwrap();
        connection.close().await.unwrap();
        for sql in upgrade::filling(schema, id, bytes) {
            database.execute(&sql).await;
        }
        let before = look(&database.url, &PostgresOptions::default()).await.unwrap();
        assert_eq!((before.schema, before.settings["master_key_check"].as_str()), (schema, "kept"));
        let store = Arc::new(database.open().await);
        upgrade::read_back(Arc::clone(&store) as Arc<dyn Store>, schema).await.unwrap();
        store.close().await;
        assert_eq!(look(&database.url, &PostgresOptions::default()).await.unwrap().schema, newest_schema());
        database.remove().await;
    }
}
