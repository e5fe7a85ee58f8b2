//! What authors do with a server from their own folder: compare a recipe, make a test of a past run.

use std::process::{Command, Output};

use serde_json::json;

use crate::harness::{KEY, Process, Target};

fn liaison(folder: &std::path::Path, server: &Process, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_liaison"))
        .current_dir(folder)
        .args(arguments)
        .args(["--server", &format!("http://{}", server.address), "--api-key", KEY])
        .output()
        .expect("the binary runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_server_becomes_a_test_and_a_change_is_told_in_words() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let recipe = target.recipe(2, false);
    server.set_up(&recipe).await;
    let run = server.send("a-1").await.expect("taken");
    server.wait(&run, "succeeded").await;

    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("story.recipe.yaml");
    std::fs::write(&file, &recipe).unwrap();
    let same = liaison(work.path(), &server, &["diff", "story.recipe.yaml"]);
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));

    let recorded = liaison(work.path(), &server, &["test", "story.recipe.yaml", "--record", &run]);
    let told = String::from_utf8_lossy(&recorded.stdout).into_owned();
    assert!(recorded.status.success(), "{told}{}", String::from_utf8_lossy(&recorded.stderr));
    assert!(told.contains(&format!("goes as {run} went")), "{told}");
    assert_eq!(target.calls().len(), 2, "a test touches no system");

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("step: 2", "step: 3", 1)).unwrap();
    let changed = liaison(work.path(), &server, &["diff", "story.recipe.yaml", "--json"]);
    assert_eq!(changed.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&changed.stdout).unwrap();
    assert_eq!(told[0]["differs"], json!(true), "{told}");
    assert!(told[0]["differences"].to_string().contains("s2"), "{told}");
    let broken = liaison(work.path(), &server, &["test", "story.recipe.yaml"]);
    assert_eq!(broken.status.code(), Some(1), "what was recorded is held: {}", String::from_utf8_lossy(&broken.stdout));
}
