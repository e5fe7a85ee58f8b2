//! The demo: something happens in each of the simulated systems, and every recipe over them runs, whenever it starts.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::Value;

use crate::harness::{KEY, LastWords};

/// Longest silence; an unoptimized build takes more than a minute for all of it.
const PATIENCE: Duration = Duration::from_secs(400);

/// A demo that runs, and what it says.
struct Demo {
    child: Child,
    said: Receiver<String>,
    heard: Vec<String>,
    /// Dropped after the process is dead.
    _last_words: LastWords,
}

impl Demo {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_liaison"))
            .args(["serve", "--demo", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir"])
            .arg(folder)
            .env("LIAISON_ADMIN_API_KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let (says, said) = channel();
        // It reads on until the demo ends: the pipe must not fill up.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(says.send(line))));
        let last_words = LastWords::of(&mut child);
        Self { child, said, heard: Vec::new(), _last_words: last_words }
    }

    /// The first line with these words.
    fn hear(&mut self, words: &str) -> String {
        loop {
            if let Some(line) = self.heard.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) => self.heard.push(line),
                Err(_) => panic!("it never said {words:?}: {:#?}", self.heard),
            }
        }
    }

    fn every_story_runs(&mut self) {
        let told = self.hear("recipes over the simulated systems");
        let numbers: Vec<u32> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(matches!(numbers[..], [ran, all] if ran == all && all >= 14), "{told}");
    }

    async fn runs(&mut self, status: &str) -> Vec<Value> {
        let address = self.hear("Liaison listens on ").replace("Liaison listens on ", "");
        list(&format!("{address}/api/v1/runs?status={status}"), "data").await
    }

    /// Subjects of the letters the mail server took.
    async fn subjects(&mut self) -> Vec<Value> {
        let control = self.hear("Simulated Salesforce").split_once(": ").expect("an address").1.to_owned();
        list(&format!("{control}letters"), "letters").await.into_iter().map(|letter| letter["subject"].clone()).collect()
    }
}

impl Drop for Demo {
    /// It dies as on a machine that loses its power.
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

#[expect(clippy::disallowed_methods, reason = "tests speak to a loopback address, which the product's client refuses")]
async fn list(url: &str, name: &str) -> Vec<Value> {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(url).bearer_auth(KEY).send().await.expect("it answers");
    let page: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    page[name].as_array().unwrap_or_else(|| panic!("no list: {page}")).clone()
}

/// What the payouts are told with.
fn is_told(subjects: &[Value]) -> bool {
    subjects.iter().any(|subject| subject.as_str().is_some_and(|text| text.ends_with("new, all add up")))
}

#[tokio::test]
async fn every_story_of_the_demo_runs_and_runs_again_after_another_start_in_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Demo::start(folder.path());
    first.every_story_runs();
    assert_eq!(first.runs("failed").await, Vec::<Value>::new());
    let subjects = first.subjects().await;
    assert!(is_told(&subjects), "{subjects:?}");
    let waiting = first.runs("waiting").await;
    assert!(!waiting.is_empty(), "somebody is asked for approval");
    drop(first);
    let mut second = Demo::start(folder.path());
    second.every_story_runs();
    assert_eq!(second.runs("failed").await, Vec::<Value>::new(), "nothing of the first start meets the new systems");
    let subjects = second.subjects().await;
    assert!(is_told(&subjects), "{subjects:?}");
    let cancelled = second.runs("cancelled").await;
    for run in waiting {
        assert!(cancelled.iter().any(|other| other["id"] == run["id"]), "its systems are gone: {run}");
    }
    second.hear("begin anew with every start");
}
