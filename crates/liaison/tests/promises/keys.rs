//! A master key that is wrong or missing is named at start, and nothing is changed.

use std::{collections::BTreeMap, path::Path};

use crate::{
    command::refused_start,
    harness::{Process, database},
};

const CONNECTION: &str = "{\"name\": \"crm\", \"connector\": \"http\", \"config\": {\"base_url\": \"https://crm.example\", \
    \"auth\": \"bearer\"}, \"credentials\": {\"token\": \"very-private\"}}";

/// Every file of a folder with what it holds; the lock is touched by whoever looks.
fn everything_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name() != "liaison.lock")
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

async fn with_a_secret(folder: &Path, url: Option<&str>) {
    let server = Process::serve(folder, url);
    let (status, body) = server.api("POST", "/api/v1/connections", Some(CONNECTION)).await;
    assert_eq!(status, 201, "{body}");
    assert!(server.stop());
}

/// The same once SQLite has put its log into the database, which whoever opens it may do.
fn settled(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    refused_start(folder, None, &[]);
    everything_in(folder)
}

/// The id that messages call the key of a file by.
fn key_id(file: &Path) -> String {
    let key: [u8; 32] = hex::decode(std::fs::read_to_string(file).unwrap().trim()).unwrap().try_into().unwrap();
    store::MasterKey::new(key).id()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    with_a_secret(folder.path(), None).await;
    let file = folder.path().join("master.key");
    let (id, kept) = (key_id(&file), folder.path().join("elsewhere.key"));
    std::fs::rename(&file, &kept).unwrap();
    let before = settled(folder.path());
    let told = refused_start(folder.path(), None, &[]);
    assert!(told.contains("master.key") && told.contains(&id) && told.contains("--master-key-file"), "{told}");
    assert_eq!(everything_in(folder.path()), before, "a key was made, or the database was changed");
    // Named, it is the right one again.
    let server = Process::serve_with(folder.path(), &["--master-key-file", kept.to_str().unwrap()]);
    assert_eq!(server.api("GET", "/api/v1/connections/crm", None).await.0, 200);
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    with_a_secret(folder.path(), None).await;
    let file = folder.path().join("master.key");
    let right = key_id(&file);
    for wrong in ["5f".repeat(32), String::new(), "no key".to_owned()] {
        std::fs::write(&file, &wrong).unwrap();
        let before = settled(folder.path());
        let told = refused_start(folder.path(), None, &[]);
        assert!(told.contains("master.key") && told.contains("othing was changed"), "{told}");
        if wrong.len() == 64 {
            assert!(told.contains(&right) && told.contains(&key_id(&file)), "both keys are named: {told}");
        }
        assert_eq!(everything_in(folder.path()), before, "something was changed");
    }
}

/// A schema from before is not brought up to date under a wrong key either.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_leaves_an_old_schema_alone() {
    let folder = tempfile::tempdir().unwrap();
    with_a_secret(folder.path(), None).await;
    let file = folder.path().join("master.key");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("liaison.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let last: i64 = sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(&pool).await.unwrap();
    // Not even the check value was kept then; the sealed secret itself names its key.
    sqlx::query("delete from _sqlx_migrations where version = ?").bind(last).execute(&pool).await.unwrap();
    sqlx::query("delete from settings where name = 'master_key_check'").execute(&pool).await.unwrap();
    pool.close().await;
    let right = key_id(&file);
    std::fs::write(&file, "5f".repeat(32)).unwrap();
    let before = everything_in(folder.path());
    let told = refused_start(folder.path(), None, &[]);
    assert!(told.contains(&right), "{told}");
    assert_eq!(everything_in(folder.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_database_keeps_to_its_key_file() {
    let (url, folder) = (database().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("team.key");
    std::fs::write(&file, "0a".repeat(32)).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let server = Process::start("serve", folder.path(), Some(&url), &["--master-key-file", file.to_str().unwrap()]);
    assert_eq!(server.api("GET", "/api/v1/connections", None).await.0, 200);
    assert!(server.stop());
    let told = refused_start(folder.path(), Some(&url), &[]);
    assert!(told.contains(&key_id(&file)) && told.contains("--master-key-file"), "{told}");
    let other = folder.path().join("other.key");
    let told = refused_start(folder.path(), Some(&url), &["--master-key-file", other.to_str().unwrap()]);
    assert!(told.contains("other.key") && told.contains(&key_id(&file)), "{told}");
    assert!(!other.exists(), "a key was made");
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let keys: Vec<String> =
        sqlx::query_scalar("select name from settings where name like '%master%'").fetch_all(&pool).await.unwrap();
    assert_eq!(keys, ["master_key_check"], "a key was put into the database");
}
