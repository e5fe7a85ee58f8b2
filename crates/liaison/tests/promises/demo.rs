//! The demo: something happens in each of the simulated systems, and every recipe over them runs.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// Longest silence; an unoptimized build takes more than a minute for all of it.
const PATIENCE: Duration = Duration::from_secs(400);

#[test]
fn every_story_of_the_demo_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(["serve", "--demo", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let (says, said) = mpsc::channel();
    // It reads on until the demo ends: the pipe must not fill up.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(says.send(line))));
    let mut heard = Vec::new();
    let told = loop {
        match said.recv_timeout(PATIENCE) {
            Ok(line) if line.contains("recipes over the simulated systems") => break Some(line),
            Ok(line) => heard.push(line),
            Err(_) => break None,
        }
    };
    child.kill().expect("it can be stopped");
    child.wait().expect("it ends");
    let told = told.unwrap_or_else(|| panic!("it never told how it went: {heard:#?}"));
    let numbers: Vec<u32> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(matches!(numbers[..], [ran, all] if ran == all && all >= 13), "{told}");
}
