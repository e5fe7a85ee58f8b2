//! Keys change while servers work: nothing fails, nothing is lost, and what was old opens nothing any more.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::any};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, Connection as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};
use store::{BegunSignIn, DataKeyId, MasterKey, SealedAt, Store, Timestamp, TokenRow, Vault};
use store_sqlite::SqliteStore;

use crate::{
    command::{liaison, liaison_in, refused_start},
    harness::{Process, database},
};

const RECIPE: &str = "liaison: 1\nrecipe: story\nconnections: { crm: http }\ntrigger:\n  from: webhook\n  \
    dedupe: { by: \"${ trigger.body.id }\" }\nsteps:\n  - { id: s1, do: crm.request, with: { path: /x }, retry: none }\n";

/// A system that notes who calls.
struct Receiver {
    address: String,
    seen: Mutex<Vec<String>>,
}

impl Receiver {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Arc::new(Self { address, seen: Mutex::default() });
        let router = Router::new().route("/{*path}", any(note)).with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn last(&self) -> Option<String> {
        self.seen.lock().last().cloned()
    }
}

async fn note(State(receiver): State<Arc<Receiver>>, headers: HeaderMap) -> Json<Value> {
    let who = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    receiver.seen.lock().push(who.to_owned());
    Json(json!({}))
}

async fn connect(server: &Process, name: &str, base: &str, token: &str) {
    let body = json!({ "name": name, "connector": "http", "config": { "base_url": base, "auth": "bearer" }, "credentials": { "token": token } });
    let (status, told) = server.api("POST", "/api/v1/connections", Some(&body.to_string())).await;
    assert_eq!(status, 201, "{told}");
}

async fn change(server: &Process, name: &str, token: &str) {
    let body = json!({ "credentials": { "token": token } }).to_string();
    let (status, told) = server.api("PATCH", &format!("/api/v1/connections/{name}"), Some(&body)).await;
    assert_eq!(status, 200, "{told}");
}

/// One run through the connection; the token it came with.
async fn called(server: &Process, receiver: &Receiver, event: &str) -> String {
    let run = server.send(event).await.expect("the event is taken");
    server.wait(&run, "succeeded").await;
    receiver.last().expect("it was called")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn master(file: &Path) -> MasterKey {
    MasterKey::new(hex::decode(std::fs::read_to_string(file).unwrap().trim()).unwrap().try_into().unwrap())
}

/// What the doctor says of sealed records.
fn sealed_records(folder: &Path, url: Option<&str>, flags: &[&str]) -> (String, String) {
    let told = liaison(&[&["admin", "doctor", "--json"], flags].concat(), folder, url).json();
    let finding = told["findings"].as_array().unwrap().iter().find(|one| one["what"] == "sealed records").unwrap();
    (finding["state"].as_str().unwrap().to_owned(), finding["found"].as_str().unwrap().to_owned())
}

/// Begins a change of keys that pauses after its first batch.
fn paused(folder: &Path, batch: &str, pause: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.args(["admin", "rotate-secret", "--batch", batch, "--pause", pause, "--data-dir", text(folder)]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), format!("Records sealed anew so far: {batch}."));
    (child, out)
}

/// A data folder's store without a server, and its vault.
async fn opened(folder: &Path, key: MasterKey) -> (Arc<dyn Store>, Vault) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder).await.unwrap());
    (Arc::clone(&store), Vault::new(key, store))
}

async fn work_goes_on(url: Option<String>) {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    let server = Arc::new(Process::serve(folder.path(), url.as_deref()));
    let other = url.as_deref().map(|url| Process::worker(folder.path(), url));
    connect(&server, "crm", &receiver.address, "first").await;
    server.set_up(RECIPE).await;
    assert_eq!(called(&server, &receiver, "before").await, "Bearer first");
    let stop = Arc::new(AtomicBool::new(false));
    let sending = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move {
            let mut runs = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                runs.extend(server.send(&format!("during-{}", runs.len())).await);
            }
            runs
        }
    });
    for number in 2..=4 {
        let told = liaison(&["admin", "rotate-secret", "--json"], folder.path(), url.as_deref());
        assert_eq!(told.code, Some(0), "{told:?}");
        let told = told.json();
        assert_eq!((&told["data_key"], &told["data_key_made"]), (&json!(number), &json!(true)), "{told}");
        assert_eq!(told["removed"], json!([number - 1]), "{told}");
        assert_eq!(told["resealed"], json!({ "connection": 1, "secret": 1 }), "{told}");
        // The running server seals under the new key at once, and opens what was sealed under it elsewhere.
        change(&server, "crm", &format!("token {number}")).await;
        let (state, found) = sealed_records(folder.path(), url.as_deref(), &[]);
        assert_eq!((state.as_str(), found), ("good", format!("2 under data key {number}, the current one")));
    }
    stop.store(true, Ordering::Relaxed);
    let runs = sending.await.unwrap();
    assert!(!runs.is_empty());
    for run in runs {
        server.wait(&run, "succeeded").await;
    }
    // In another process the new credentials are there a moment later.
    let began = Instant::now();
    let mut number = 0;
    while called(&server, &receiver, &format!("after-{number}")).await != "Bearer token 4" {
        assert!(began.elapsed() < Duration::from_secs(20), "the new credentials are never used");
        number += 1;
    }
    let verified = liaison(&["admin", "verify", "--json"], folder.path(), url.as_deref());
    assert_eq!((verified.code, &verified.json()["secrets"]), (Some(0), &json!(2)), "{verified:?}");
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_on_while_keys_change() {
    work_goes_on(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_two_processes_go_on_while_keys_change() {
    work_goes_on(Some(database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_keys_that_was_killed_goes_on() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    let server = Process::serve(folder.path(), None);
    connect(&server, "crm", &receiver.address, "first").await;
    for number in 0..20 {
        connect(&server, &format!("c{number}"), "https://example.com", &format!("token {number}")).await;
    }
    server.set_up(RECIPE).await;
    let (mut child, _out) = paused(folder.path(), "5", "60s");
    child.kill().unwrap();
    child.wait().unwrap();
    let (state, found) = sealed_records(folder.path(), None, &[]);
    let expected = "17 under data key 1, which was replaced; 5 under data key 2, the current one";
    assert_eq!((state.as_str(), found.as_str()), ("warning", expected));
    // Half-way everything can be opened, also by whoever starts now.
    assert_eq!(liaison(&["admin", "verify"], folder.path(), None).code, Some(0));
    server.kill();
    let server = Process::serve(folder.path(), None);
    assert_eq!(called(&server, &receiver, "half-way").await, "Bearer first");
    let told = liaison(&["admin", "rotate-secret", "--json"], folder.path(), None).json();
    assert_eq!((&told["data_key"], &told["data_key_made"], &told["removed"]), (&json!(2), &json!(false), &json!([1])), "{told}");
    assert_eq!(told["resealed"], json!({ "connection": 17 }), "only what was left: {told}");
    assert_eq!(liaison(&["admin", "verify"], folder.path(), None).code, Some(0));
    assert_eq!(called(&server, &receiver, "after").await, "Bearer first");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_changed_meanwhile_are_not_lost() {
    const COUNT: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    for number in 0..COUNT {
        connect(&server, &format!("c{number}"), "https://example.com", "old").await;
    }
    let (mut child, mut out) = paused(folder.path(), "1", "10ms");
    // Some are changed before their turn, some after, some at the very moment.
    for round in 0..3 {
        for number in 0..COUNT {
            change(&server, &format!("c{number}"), &format!("new {number} {round}")).await;
        }
    }
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(server.stop());
    let (store, vault) = opened(folder.path(), master(&folder.path().join("master.key"))).await;
    for row in store.connections().await.unwrap() {
        let secrets = vault.open(&SealedAt::Connection(row.id), &row.sealed).await.unwrap();
        let number = row.name.trim_start_matches('c');
        assert_eq!(secrets["token"], format!("new {number} 2"), "{}", row.name);
        assert_eq!(DataKeyId::of(&row.sealed), Some(DataKeyId(2)), "{}", row.name);
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_sealed_is_sealed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    connect(&server, "crm", "https://example.com", "first").await;
    assert!(server.stop());
    let key = folder.path().join("master.key");
    let (store, vault) = opened(folder.path(), master(&key)).await;
    let secrets = BTreeMap::from([("access".to_owned(), "given".to_owned())]);
    let (connection, place) = ("crm".to_owned(), "user".to_owned());
    let at = SealedAt::Token { connection: connection.clone(), place: place.clone() };
    let sealed = vault.seal(&at, &secrets).await.unwrap();
    assert!(store.keep_token(&TokenRow { connection, place, sealed, renew_at: None, revision: 0 }, "").await.unwrap());
    let (hash, id) = ([3; 32], store.connection("crm").await.unwrap().unwrap().id);
    let sealed = vault.seal(&SealedAt::SignIn(hash), &secrets).await.unwrap();
    let begun = BegunSignIn { hash, connection: id, sealed, who: "ann".to_owned(), expires_at: Timestamp::from_micros(i64::MAX) };
    store.begin_sign_in(&begun).await.unwrap();
    let before = store.sealed(None, 100).await.unwrap();
    let mut opens = Vec::new();
    for record in &before {
        opens.push(vault.open(&record.at, &record.sealed).await.unwrap());
    }
    store.close().await;
    drop((store, vault));

    let told = liaison(&["admin", "rotate-secret"], folder.path(), None);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.text().contains("connection 1, secret 1, sign_in 1, token 1"), "{}", told.text());
    let (store, vault) = opened(folder.path(), master(&key)).await;
    let after = store.sealed(None, 100).await.unwrap();
    assert_eq!(after.len(), 4);
    assert_eq!(store.data_keys().await.unwrap().iter().map(|row| row.id).collect::<Vec<_>>(), [DataKeyId(2)]);
    for ((old, new), secrets) in before.iter().zip(&after).zip(opens) {
        assert_eq!((&old.at, DataKeyId::of(&new.sealed)), (&new.at, Some(DataKeyId(2))));
        assert_eq!(vault.open(&new.at, &new.sealed).await.unwrap(), secrets, "{new:?}");
    }
    // A copy of an old text is worth nothing without its key: a record that is gone says nothing more.
    assert!(store.delete_connection(id).await.unwrap());
    let old = before.iter().find(|record| record.at == SealedAt::Connection(id)).unwrap();
    assert!(vault.open(&old.at, &old.sealed).await.is_err());
    store.close().await;
    assert!(liaison(&["admin", "verify"], folder.path(), None).code == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_master_key_touches_the_key_table_only() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    let server = Process::serve(folder.path(), None);
    connect(&server, "crm", &receiver.address, "first").await;
    server.set_up(RECIPE).await;
    let (old, new) = (folder.path().join("master.key"), folder.path().join("new.key"));
    let options = SqliteConnectOptions::new().filename(folder.path().join("liaison.db"));
    let look = async || {
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        let sealed: Vec<Vec<u8>> = sqlx::query_scalar("select sealed from connections union all select sealed from secrets")
            .fetch_all(&mut db)
            .await
            .unwrap();
        let wrapped: Vec<u8> = sqlx::query_scalar("select wrapped from data_keys").fetch_one(&mut db).await.unwrap();
        db.close().await.unwrap();
        (sealed, wrapped)
    };
    let (sealed, wrapped) = look().await;
    let arguments = ["admin", "rotate-secret", "--new-master-key-file", text(&new)];
    let told = liaison(&arguments, folder.path(), None);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.text().contains(&master(&new).id()), "{}", told.text());
    let now = look().await;
    assert_eq!(now.0, sealed, "no record was touched");
    assert_ne!(now.1, wrapped);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&new).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "only its owner reads it");
    // Again, it says that it is done; and the old one proves nothing any more.
    let again = liaison(&arguments, folder.path(), None);
    assert!(again.code == Some(1) && again.err.contains("already"), "{again:?}");
    let wrong = liaison(&["admin", "rotate-secret"], folder.path(), None);
    assert!(wrong.code == Some(1) && wrong.err.contains(&master(&old).id()), "{wrong:?}");
    // The running server goes on.
    change(&server, "crm", "second").await;
    assert_eq!(called(&server, &receiver, "meanwhile").await, "Bearer second");
    assert!(server.stop());

    // A copy of everything with the old key is worth nothing.
    let told = refused_start(folder.path(), None, &[]);
    assert!(told.contains(&master(&old).id()) && told.contains(&master(&new).id()), "both keys are named: {told}");
    for file in ["liaison.db", "liaison.db-wal"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
        assert!(
            !bytes.windows(wrapped.len()).any(|window| window == wrapped),
            "{file} still holds the key under the old master key"
        );
    }
    let server = Process::serve_with(folder.path(), &["--master-key-file", text(&new)]);
    assert_eq!(called(&server, &receiver, "later").await, "Bearer second");
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_kept_in_postgresql_moves_out() {
    let (folder, url) = (tempfile::tempdir().unwrap(), database().await);
    let server = Process::serve(folder.path(), Some(&url));
    connect(&server, "crm", "https://example.com", "first").await;
    assert!(server.stop());
    let file = folder.path().join("team.key");
    let told = liaison(&["admin", "rotate-secret", "--new-master-key-file", text(&file), "--json"], folder.path(), Some(&url));
    assert_eq!((told.code, &told.json()["master_key"]), (Some(0), &json!(master(&file).id())), "{told:?}");
    let told = refused_start(folder.path(), Some(&url), &[]);
    assert!(told.contains(&master(&file).id()), "{told}");
    let verified = liaison(&["admin", "verify", "--json", "--master-key-file", text(&file)], folder.path(), Some(&url));
    assert_eq!((verified.code, &verified.json()["secrets"]), (Some(0), &json!(2)), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_may_be_in_the_environment_or_come_from_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let key = "0a".repeat(32);
    let variables = [("LIAISON_MASTER_KEY", key.as_str())];
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir", text(folder.path())]);
    command.envs(variables).env("LIAISON_ADMIN_API_KEY", crate::harness::KEY).stdout(Stdio::piped()).stderr(Stdio::null());
    let server = Process::of_quiet(command);
    connect(&server, "crm", "https://example.com", "first").await;
    assert!(server.stop());
    assert!(!folder.path().join("master.key").exists(), "no other key was made");
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("said");
    std::fs::write(&file, &key).unwrap();
    let said = format!("cat {}", text(&file));
    let flags = ["admin", "verify", "--json", "--master-key-command", &said];
    let verified = liaison(&flags, folder.path(), None);
    assert_eq!((verified.code, &verified.json()["secrets"]), (Some(0), &json!(2)), "{verified:?}");
    // Two at once: neither counts.
    let twice = liaison_in(&variables, &flags, folder.path(), None);
    assert!(twice.code == Some(1) && twice.err.contains("named twice"), "{twice:?}");
    let told = refused_start(folder.path(), None, &["--master-key-command", "exit 7"]);
    assert!(told.contains("exit status: 7") && told.contains("Nothing was changed"), "{told}");
    let told = refused_start(folder.path(), None, &[]);
    assert!(told.contains(&MasterKey::new([10; 32]).id()) && !folder.path().join("master.key").exists(), "{told}");
    // From the environment to what a command says.
    let new = "0b".repeat(32);
    std::fs::write(&file, &new).unwrap();
    let arguments = ["admin", "rotate-secret", "--new-master-key-command", &said];
    let moved = liaison_in(&variables, &arguments, folder.path(), None);
    assert_eq!(moved.code, Some(0), "{moved:?}");
    for secret in [&key, &new] {
        assert!(!moved.text().contains(secret) && !moved.err.contains(secret), "a key is shown");
    }
    let server = Process::serve_with(folder.path(), &["--master-key-command", &said]);
    assert_eq!(server.api("GET", "/api/v1/connections/crm", None).await.1["credentials"], json!(["token"]));
    // And on to another variable.
    let back = [("NEXT", "0c".repeat(32))];
    let back: Vec<(&str, &str)> = back.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let arguments = ["admin", "rotate-secret", "--master-key-command", &said, "--new-master-key-env", "NEXT"];
    let moved = liaison_in(&back, &arguments, folder.path(), None);
    assert_eq!(moved.code, Some(0), "{moved:?}");
}

/// A folder as the build before left it: credentials sealed under the master key itself.
async fn before_data_keys(folder: &Path, receiver: &Receiver) {
    let key = "0d".repeat(32);
    let file = folder.join("master.key");
    std::fs::write(&file, &key).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");
    let mut steps: Vec<Migration> = std::fs::read_dir(migrations)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let (number, title) = name.split_once('_').unwrap();
            let sql = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(std::fs::read_to_string(&path).unwrap()));
            Migration::new(number.parse().unwrap(), title.to_owned().into(), MigrationType::Simple, sql, false)
        })
        .filter(|step| step.version <= 16)
        .collect();
    steps.sort_by_key(|step| step.version);
    let options = SqliteConnectOptions::new().filename(folder.join("liaison.db")).create_if_missing(true);
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    Migrator::with_migrations(steps).run_direct(None, &mut db, false).await.unwrap();
    let master = master(&file);
    let seal =
        |place: &str, name: &str, text: &str| master.seal(place, &BTreeMap::from([(name.to_owned(), text.to_owned())])).unwrap();
    let settings = [
        ("master_key_check", hex::encode(master.seal("master key check", &BTreeMap::new()).unwrap())),
        ("callback_key", hex::encode(seal("callback_key", "key", &"11".repeat(32)))),
    ];
    for (name, value) in settings {
        sqlx::query("insert into settings (name, value) values (?, ?)").bind(name).bind(value).execute(&mut db).await.unwrap();
    }
    let id = store::ConnectionId::new(Timestamp::from_micros(1_760_000_000_000_000), [4; 10]);
    sqlx::query("insert into connections (id, name, connector, config, sealed, revision, created_at, updated_at) values (?, 'crm', 'http', ?, ?, 1, 0, 0)")
        .bind(id.0)
        .bind(json!({ "base_url": receiver.address, "auth": "bearer" }).to_string())
        .bind(seal(&id.to_string(), "token", "of before"))
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_build_before_sealed_opens_and_is_sealed_anew() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    before_data_keys(folder.path(), &receiver).await;
    let early = liaison(&["admin", "rotate-secret"], folder.path(), None);
    assert!(early.code == Some(1) && early.err.contains("migrate"), "an old schema is left alone: {early:?}");
    let server = Process::serve(folder.path(), None);
    server.set_up(RECIPE).await;
    assert_eq!(called(&server, &receiver, "one").await, "Bearer of before");
    let (state, found) = sealed_records(folder.path(), None, &[]);
    assert!(state == "warning" && found.contains("2 under the master key itself"), "{found}");
    // A new master key takes along what is sealed under the old one itself.
    let new = folder.path().join("new.key");
    let told = liaison(&["admin", "rotate-secret", "--new-master-key-file", text(&new), "--json"], folder.path(), None);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(told.json()["resealed"], json!({ "connection": 1, "secret": 1 }), "{told:?}");
    assert_eq!(called(&server, &receiver, "two").await, "Bearer of before");
    assert!(server.stop());
    let server = Process::serve_with(folder.path(), &["--master-key-file", text(&new)]);
    assert_eq!(called(&server, &receiver, "three").await, "Bearer of before");
    let (state, found) = sealed_records(folder.path(), None, &["--master-key-file", text(&new)]);
    assert_eq!((state.as_str(), found.as_str()), ("good", "2 under data key 1, the current one"));
}
