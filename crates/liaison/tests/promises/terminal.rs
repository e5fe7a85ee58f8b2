//! `liaison run`: one run in the terminal, which tells what it waits for or does not wait at all.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::command::liaison;

const RECIPE: &str = "liaison: 1
recipe: story
trigger: { from: api }
steps:
  - id: pause
    wait: { for: 400d }
  - id: late
    wait: { until: \"${ trigger.at }\", timeout: 30d }
  - id: end
    return: { a: \"${ steps.pause.outcome }\", b: \"${ steps.late.outcome }\" }
";

fn recipe(folder: &Path) -> String {
    let file = folder.join("story.recipe.yaml");
    std::fs::write(&file, RECIPE).unwrap();
    file.display().to_string()
}

#[test]
fn waits_are_taken_as_over_when_somebody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe(folder.path());
    let event = json!({ "at": "2999-01-01T00:00:00Z" }).to_string();
    let ended = liaison(&["run", &file, "--event", &event, "--skip-waits", "--json"], folder.path(), None);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    // The shorter of its two times ends the second wait, as it would live.
    assert_eq!(ended.json()["output"], json!({ "a": "done", "b": "timed_out" }));
    let ended = liaison(&["run", &file, "--event", "{ \"at\": \"soon\" }", "--skip-waits"], folder.path(), None);
    assert!(ended.code == Some(1) && ended.text().contains("NOT_A_TIME"), "what is no time is told all the same: {ended:?}");
}

#[test]
fn a_run_that_waits_says_for_what_and_until_when() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.args(["run", &recipe(folder.path()), "--data-dir"]).arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let (words, rest) = line.split_once(" until ").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(words, "  waiting    pause for timer");
    let (until, advice) = rest.split_once(' ').unwrap();
    assert!(until.ends_with('Z') && until.len() == 20, "{line}");
    assert!(advice.contains("--skip-waits"), "{line}");
}
