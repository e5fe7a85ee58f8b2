//! A backup taken while the server works is whole, and puts everything back; what is damaged is named.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use crate::{
    command::{liaison, refused_start},
    harness::{Process, Target, database},
};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

/// Every run that was there when the backup began is in it, journals whole, while more are accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_has_everything_and_not_the_key() {
    let (folder, other, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Target::start().await);
    let server = Arc::new(Process::serve(folder.path(), None));
    server.set_up(&target.recipe(1, false)).await;
    let mut runs = Vec::new();
    for number in 0..20 {
        runs.push(server.send(&format!("before-{number}")).await.expect("the event is taken"));
    }
    for run in &runs {
        server.wait(run, "succeeded").await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let sending = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                sent += u32::from(server.send(&format!("during-{sent}")).await.is_some());
            }
            sent
        }
    });
    let file = folder.path().join("backup.tar");
    let made = liaison(&["admin", "backup", text(&file), "--json"], folder.path(), None);
    stop.store(true, Ordering::Relaxed);
    assert!(sending.await.unwrap() > 0, "nothing was accepted while the backup was made");
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.json()["backup"]["runs"].as_i64().unwrap() >= 20, "{made:?}");
    let again = liaison(&["admin", "backup", text(&file)], folder.path(), None);
    assert_eq!(again.code, Some(1), "a backup is never overwritten: {again:?}");

    let key = std::fs::read_to_string(folder.path().join("master.key")).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    for secret in [key.trim().as_bytes().to_vec(), hex::decode(key.trim()).unwrap()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "the master key is in the backup");
    }

    let restored = liaison(&["admin", "restore", text(&file)], other.path(), None);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(restored.text().contains("master.key"), "it says which key is needed: {}", restored.text());
    // Without the key the folder does not start and no other key is made.
    let told = refused_start(other.path(), None, &[]);
    assert!(told.contains("No new key was made"), "{told}");
    std::fs::copy(folder.path().join("master.key"), other.path().join("master.key")).unwrap();
    let verified = liaison(&["admin", "verify", "--json"], other.path(), None);
    assert_eq!((verified.code, &verified.json()["damaged"]), (Some(0), &Value::from(0)), "{verified:?}");
    let second = Process::serve(other.path(), None);
    for run in &runs {
        assert_eq!(second.run(run).await["status"], "succeeded");
    }
    // Promise 2 holds across a restore: the same event is the same run.
    assert_eq!(second.send("before-3").await.as_deref(), Some(runs[3].as_str()));
}

/// What is there is not overwritten, by accident or by force.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_overwrites_nothing() {
    let (folder, target) = (tempfile::tempdir().unwrap(), Target::start().await);
    let server = Process::serve(folder.path(), None);
    server.set_up(&target.recipe(1, false)).await;
    let first = server.send("first").await.unwrap();
    server.wait(&first, "succeeded").await;
    let piped = liaison(&["admin", "backup", "-"], folder.path(), None);
    assert_eq!(piped.code, Some(0), "{}", piped.err);
    let file = folder.path().join("piped.tar");
    std::fs::write(&file, &piped.out).unwrap();
    let later = server.send("later").await.unwrap();
    server.wait(&later, "succeeded").await;

    let busy = liaison(&["admin", "restore", text(&file), "--force"], folder.path(), None);
    assert!(busy.code == Some(1) && busy.err.contains("already uses"), "a running server's folder: {busy:?}");
    assert!(server.stop());
    let refused = liaison(&["admin", "restore", text(&file)], folder.path(), None);
    assert!(refused.code == Some(1) && refused.err.contains("Nothing was changed"), "{refused:?}");
    // A backup that is cut off, or of something else, changes nothing either.
    for wrong in [piped.out[..piped.out.len() / 2].to_vec(), b"no backup at all".repeat(100)] {
        std::fs::write(folder.path().join("wrong.tar"), wrong).unwrap();
        let refused = liaison(&["admin", "restore", text(&folder.path().join("wrong.tar")), "--force"], folder.path(), None);
        assert_eq!(refused.code, Some(1), "{refused:?}");
    }
    let key = folder.path().join("master.key");
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, "5f".repeat(32)).unwrap();
    let refused = liaison(&["admin", "restore", text(&file), "--force"], folder.path(), None);
    assert!(refused.code == Some(1) && refused.err.contains("master key"), "another key: {refused:?}");
    std::fs::write(&key, right).unwrap();
    let server = Process::serve(folder.path(), None);
    assert_eq!(server.run(&later).await["status"], "succeeded", "all that was refused changed nothing");
    assert!(server.stop());

    let forced = liaison(&["admin", "restore", text(&file), "--force", "--json"], folder.path(), None);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    let aside = forced.json()["put_aside"].as_str().unwrap().to_owned();
    let server = Process::serve(folder.path(), None);
    assert_eq!(server.run(&first).await["status"], "succeeded");
    assert_ne!(server.run(&later).await["id"], later.as_str(), "the later run is not in the backup");
    assert!(Path::new(&aside).join("liaison.db").exists(), "what was there is put aside");
}

/// Whatever is damaged is named by its run and place; the rest is read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named() {
    let (folder, target) = (tempfile::tempdir().unwrap(), Target::start().await);
    let server = Process::serve(folder.path(), None);
    server.set_up(&target.recipe(2, false)).await;
    let connection = "{\"name\": \"crm\", \"connector\": \"http\", \"config\": {\"base_url\": \"https://crm.example\", \
        \"auth\": \"bearer\"}, \"credentials\": {\"token\": \"very-private\"}}";
    assert_eq!(server.api("POST", "/api/v1/connections", Some(connection)).await.0, 201);
    let mut runs = Vec::new();
    for number in 0..5 {
        let run = server.send(&number.to_string()).await.unwrap();
        server.wait(&run, "succeeded").await;
        runs.push(run);
    }
    let whole = liaison(&["admin", "verify", "--json"], folder.path(), None);
    assert_eq!(
        (whole.code, whole.json()["runs"].as_u64(), whole.json()["secrets"].as_u64()),
        (Some(0), Some(5), Some(2)),
        "{whole:?}"
    );
    assert!(server.stop());

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("liaison.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let id = |run: &str| run.parse::<store::RunId>().unwrap().0;
    for (sql, run) in [
        ("update journal set chunk = substr(chunk, 2) where run_id = ? and seq = 1", &runs[0]),
        ("delete from journal where run_id = ? and seq = 1", &runs[1]),
        ("delete from runs where id = ?", &runs[2]),
        ("update runs set status = 77 where id = ?", &runs[3]),
    ] {
        assert!(sqlx::query(sql).bind(id(run)).execute(&pool).await.unwrap().rows_affected() > 0);
    }
    sqlx::query("update connections set sealed = substr(sealed, 1, 40) || x'00'").execute(&pool).await.unwrap();
    pool.close().await;

    let told = liaison(&["admin", "verify", "--json"], folder.path(), None);
    assert_eq!(told.code, Some(1), "{told:?}");
    let damage = told.json()["damage"].as_array().unwrap().clone();
    let named = |what: &str, id: &str, seq: Option<i64>| {
        damage.iter().any(|one| one["what"] == what && one["id"] == id && one["seq"].as_i64() == seq)
    };
    assert!(named("journal", &runs[0], Some(1)), "{damage:#?}");
    assert!(named("journal", &runs[1], Some(2)), "{damage:#?}");
    assert!(named("journal", &runs[2], None), "{damage:#?}");
    assert!(named("run", &runs[3], None), "{damage:#?}");
    assert!(named("connection", "crm", None), "{damage:#?}");
    assert!(!damage.iter().any(|one| one["id"] == runs[4].as_str()), "the fifth run is whole");
    let lines = liaison(&["admin", "verify"], folder.path(), None).text();
    assert!(lines.contains(&format!("journal {}, seq 1: ", runs[0])), "{lines}");
}

/// Each finding says what, and where it is not good, what to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_to_do() {
    let (folder, url) = (tempfile::tempdir().unwrap(), database().await);
    assert!(Process::serve(folder.path(), None).stop());
    let healthy = liaison(&["admin", "doctor", "--json"], folder.path(), None);
    assert_eq!((healthy.code, &healthy.json()["healthy"]), (Some(0), &Value::Bool(true)), "{healthy:?}");
    let seen = |findings: &Value, what: &str| {
        findings["findings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["what"] == what)
            .unwrap_or_else(|| panic!("{what}: {findings}"))
            .clone()
    };
    for what in [
        "data folder",
        "disk",
        "durability",
        "database",
        "master key",
        "sealed records",
        "clock",
        "size",
        "write-ahead log",
        "open files",
    ] {
        seen(&healthy.json(), what);
    }
    std::fs::remove_file(folder.path().join("master.key")).unwrap();
    let ill = liaison(&["admin", "doctor", "--json"], folder.path(), None);
    let key = seen(&ill.json(), "master key");
    assert_eq!((ill.code, &key["state"]), (Some(1), &Value::from("bad")), "{ill:?}");
    assert!(key["todo"].is_string());
    assert!(!folder.path().join("master.key").exists(), "looking changes nothing");

    assert!(Process::serve(folder.path(), Some(&url)).stop());
    let shared = liaison(&["admin", "doctor", "--json"], folder.path(), Some(&url));
    assert_eq!((shared.code, &seen(&shared.json(), "clock")["state"]), (Some(0), &Value::from("good")), "{shared:?}");
    let away = liaison(&["admin", "doctor"], folder.path(), Some("postgres://nobody@127.0.0.1:1/none"));
    assert!(away.code == Some(1) && away.text().contains("BAD") && away.text().contains("->"), "{away:?}");
    // The database's own tools do it better; the command says which.
    let backup = liaison(&["admin", "backup", "x.tar"], folder.path(), Some(&url));
    assert!(backup.code == Some(1) && backup.err.contains("pg_dump"), "{backup:?}");
}

/// The line that a command prints for PostgreSQL, done as a person would.
fn done_as_told(told: &str, folder: &Path, url: &str) {
    let line = told.lines().map(str::trim).find(|line| line.starts_with("pg_")).expect("a line to use");
    let ended = std::process::Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("LIAISON_DATABASE_URL", url)
        .output()
        .expect("a shell");
    assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// A dump taken under load, put back into another database: what was over is there, what was under way goes on with the
/// same keys, and no event is taken twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_postgresql_under_load_puts_everything_back() {
    let (folder, url, target) = (tempfile::tempdir().unwrap(), database().await, Target::start().await);
    let server = Arc::new(Process::serve(folder.path(), Some(&url)));
    server.set_up(&target.recipe(2, false)).await;
    let mut runs = Vec::new();
    for number in 0..10 {
        runs.push(server.send(&format!("before-{number}")).await.expect("the event is taken"));
    }
    for run in &runs {
        server.wait(run, "succeeded").await;
    }
    target.hold(2);
    let under_way = server.send("under-way").await.unwrap();
    let keys_of_it = || -> Vec<String> {
        target.calls().into_iter().filter(|call| call.run == "under-way" && call.step == 2).map(|call| call.key).collect()
    };
    while keys_of_it().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let sending = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                sent += u32::from(server.send(&format!("during-{sent}")).await.is_some());
            }
            sent
        }
    });
    let told = liaison(&["admin", "backup", "x.tar"], folder.path(), Some(&url)).err;
    done_as_told(&told, folder.path(), &url);
    stop.store(true, Ordering::Relaxed);
    assert!(sending.await.unwrap() > 0, "nothing was accepted while the dump was made");
    Arc::into_inner(server).expect("nobody else has it").kill();

    let fresh = database().await;
    let told = liaison(&["admin", "restore", "x.tar"], folder.path(), Some(&fresh)).err;
    done_as_told(&told, folder.path(), &fresh);
    target.release();
    let second = Process::serve(folder.path(), Some(&fresh));
    for run in &runs {
        assert_eq!(second.run(run).await["status"], "succeeded");
    }
    second.wait(&under_way, "succeeded").await;
    let keys = keys_of_it();
    assert!(keys.len() >= 2 && keys.iter().all(|key| *key == keys[0]), "another call with the same key: {keys:?}");
    assert_eq!(second.send("before-3").await.as_deref(), Some(runs[3].as_str()));
    let verified = liaison(&["admin", "verify", "--json"], folder.path(), Some(&fresh));
    assert_eq!((verified.code, &verified.json()["damaged"]), (Some(0), &Value::from(0)), "{verified:?}");
}
