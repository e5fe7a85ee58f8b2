//! What is damaged is named, with what to do, and hides nothing that is whole.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection};

use crate::{
    command::liaison,
    harness::{Process, database},
};

/// A value larger than what stays in the journal, that does not get shorter.
fn padding(number: u32) -> String {
    (0..6000_u32).map(|place| hex::encode(Sha256::digest(format!("{number} {place}")))).collect()
}

const RECIPE: &str = "liaison: 1\nrecipe: story\ntrigger:\n  from: webhook\nsteps:\n  - id: seen\n    set: { all: \"${ trigger.body.padding }\" }\n";

/// Runs whose event and whose step `seen` are kept beside their journal.
async fn runs(server: &Process) -> Vec<String> {
    server.set_up(RECIPE).await;
    let mut runs = Vec::new();
    for number in 0..3 {
        let body = json!({ "id": number, "padding": padding(number) }).to_string();
        let (status, answer) = server.api("POST", "/hooks/story", Some(&body)).await;
        assert_eq!(status, 202, "{answer}");
        let run = answer["run_id"].as_str().unwrap().to_owned();
        server.wait(&run, "succeeded").await;
        runs.push(run);
    }
    runs
}

/// Each content of the first run is gone, each of the second is not what it was, the third is whole.
fn named(folder: &Path, database: Option<&str>, runs: &[String]) {
    let told = liaison(&["admin", "verify", "--json"], folder, database);
    assert_eq!(told.code, Some(1), "{told:?}");
    let damage = told.json()["damage"].as_array().unwrap().clone();
    let says = |run: &str, step: Option<&str>, words: [&str; 2]| {
        damage.iter().any(|one| {
            let problem = one["problem"].as_str().unwrap_or_default();
            one["what"] == "payload"
                && one["id"] == run
                && one["step"].as_str() == step
                && words.iter().all(|word| problem.contains(word))
        })
    };
    assert!(says(&runs[0], None, ["the event it began with", "it is not there"]), "{damage:#?}");
    assert!(says(&runs[0], Some("seen"), ["the output", "it is not there"]), "{damage:#?}");
    assert!(says(&runs[1], None, ["the event it began with", "is damaged"]), "{damage:#?}");
    assert!(says(&runs[1], Some("seen"), ["the output", "Restore it from a backup"]), "{damage:#?}");
    assert!(!damage.iter().any(|one| one["id"] == runs[2].as_str()), "{damage:#?}");
    assert_eq!(told.json()["contents"], 2, "those of the third run");
    let lines = liaison(&["admin", "verify"], folder, database).text();
    assert!(lines.contains(&format!("payload {}, step seen: the output: ", runs[0])), "{lines}");
}

fn id(run: &str) -> uuid::Uuid {
    run.parse::<store::RunId>().unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let runs = runs(&server).await;
    let whole = liaison(&["admin", "verify", "--json"], folder.path(), None);
    assert_eq!((whole.code, &whole.json()["contents"]), (Some(0), &Value::from(6)), "{whole:?}");
    assert!(server.stop());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("liaison.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    for (run, removed) in [(&runs[0], true), (&runs[1], false)] {
        let hashes: Vec<Vec<u8>> = sqlx::query_scalar("select hash from blob_refs where run_id = ?")
            .bind(id(run))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(hashes.len(), 2);
        for hash in hashes {
            let file = find(&folder.path().join("blobs"), &hex::encode(hash)).expect("its file");
            if removed {
                std::fs::remove_file(file).unwrap();
            } else {
                let mut bytes = std::fs::read(&file).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                std::fs::write(&file, bytes).unwrap();
            }
        }
    }
    connection.close().await.unwrap();
    named(folder.path(), None, &runs);
}

fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.find_map(|path| match path.is_dir() {
        true => find(&path, name),
        false => Some(path).filter(|path| path.file_name().is_some_and(|found| found.to_string_lossy().contains(name))),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_in_a_shared_database() {
    let (folder, url) = (tempfile::tempdir().unwrap(), database().await);
    let server = Process::serve(folder.path(), Some(&url));
    let runs = runs(&server).await;
    assert!(server.stop());
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let of =
        |run: &str| format!("select b.upload from blobs b join blob_refs f on f.hash = b.hash where f.run_id = '{}'", id(run));
    for sql in [
        format!("delete from blobs where upload in ({})", of(&runs[0])),
        format!(
            "update blob_parts set data = set_byte(data, length(data) / 2, get_byte(data, length(data) / 2) # 16) where upload in ({})",
            of(&runs[1])
        ),
    ] {
        assert_eq!(sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap().rows_affected(), 2);
    }
    connection.close().await.unwrap();
    named(folder.path(), Some(&url), &runs);
}

/// A connection whose secret cannot be opened is listed with what to do; the others as ever; and entering the
/// credentials again heals it.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_secret_hides_no_other_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    for name in ["crm", "erp"] {
        let connection = json!({ "name": name, "connector": "http", "credentials": { "token": "very-private" },
            "config": { "base_url": "https://crm.example", "auth": "bearer" } });
        assert_eq!(server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await.0, 201);
    }
    assert!(server.stop());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("liaison.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let damage = "update connections set sealed = substr(sealed, 1, 40) || x'00' where name = 'crm'";
    sqlx::query(damage).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let server = Process::serve(folder.path(), None);
    let (status, list) = server.api("GET", "/api/v1/connections", None).await;
    assert_eq!(status, 200, "{list}");
    let [crm, erp] = &list["data"].as_array().unwrap()[..] else { panic!("{list}") };
    let told = crm["damaged"].as_str().unwrap();
    assert!(crm["name"] == "crm" && told.contains("damaged") && told.contains("Enter all of them again"), "{crm}");
    assert_eq!((&erp["name"], &erp["credentials"], erp.get("damaged")), (&json!("erp"), &json!(["token"]), None), "{erp}");
    assert_eq!(server.api("GET", "/api/v1/connections/crm", None).await.1["damaged"], *told);

    let again = json!({ "credentials": { "token": "entered again" } }).to_string();
    let (status, healed) = server.api("PATCH", "/api/v1/connections/crm", Some(&again)).await;
    assert_eq!((status, &healed["credentials"], healed.get("damaged")), (200, &json!(["token"]), None), "{healed}");
}
