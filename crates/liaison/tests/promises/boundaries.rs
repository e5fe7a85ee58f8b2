//! `kill -9` on both sides of the commits of a story that uses every step word: the process dies at its n-th commit,
//! before it reached the store or when it is durable and nobody knows, for n = 1, 2, 3 … until a story ends without it.
//!
//! Every commit with `LIAISON_CHAOS_ROUNDS` (`cargo xtask chaos`), some of each part of the story without.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    chaos::{self, install, resume_truthfully},
    chaos_words::{self, People},
    harness::{Process, Target, database},
};

/// The recipes of a story; each gets one event.
const RECIPES: [&str; 5] = ["every", "words", "saga", "parts", "held"];
const SIDES: [&str; 2] = ["before", "after"];
/// What `held` calls before it is cancelled, and what it never calls.
const HELD: u64 = 61;
const NEVER: u64 = 62;
/// A story has more commits than that, and fewer than this.
const COMMITS_MIN: usize = 40;
const COMMITS_MAX: usize = 500;
/// A story is over by then, also with a kill in it.
const STORY_MAX: Duration = Duration::from_secs(120);
/// What a worker of the third set-up does beside running recipes: it takes over everything.
const ROLES: [&str; 4] = ["--roles", "worker,scheduler,ingress,api", "--lease", LEASE];
const LEASE: &str = "1s";

/// What the stories of one walk are played on.
struct Walk {
    folder: tempfile::TempDir,
    database: Option<String>,
    target: std::sync::Arc<Target>,
    /// Processes that live on when the first one dies.
    others: Vec<Process>,
    people: People,
    /// Runs by the id of their event: those of `every`, of `held`, and of the other recipes.
    runs: HashMap<String, String>,
    held: HashMap<String, String>,
    words: HashMap<String, (String, &'static str)>,
}

/// A recipe that people cancel while it waits.
fn held(address: &str) -> String {
    let (call, never) = (chaos::put(address, &HELD.to_string()), chaos::put(address, &NEVER.to_string()));
    format!(
        "trigger: {{ from: api, dedupe: {{ by: \"${{ trigger.id }}\" }} }}\nsteps:\n  - {{ id: made, {call} }}\n  \
         - {{ id: nap, wait: {{ for: 1h }} }}\n  - {{ id: never, {never} }}\n"
    )
}

/// The events of one story on their way.
struct Story {
    boundary: String,
    runs: HashMap<&'static str, String>,
    over: HashSet<&'static str>,
    /// Somebody was told that the failed run is to be discarded.
    discarded: bool,
}

impl Story {
    fn id(&self, slug: &str) -> String {
        format!("{slug} with a kill {}", self.boundary)
    }
}

impl Walk {
    async fn begin(database: Option<String>, others: usize) -> Self {
        let target = Target::start().await;
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path(), database.as_deref(), None);
        let rows = chaos_words::rows().await;
        install(&server, chaos::recipes(&target.address)).await;
        install(&server, chaos_words::recipes(&target.address, &rows)).await;
        install(&server, vec![("held", held(&target.address))]).await;
        server.kill();
        let others = (0..others).map(|_| Process::start("worker", folder.path(), database.as_deref(), &ROLES)).collect();
        let (runs, held, words) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { folder, database, target, others, people: People::default(), runs, held, words }
    }

    /// Plays a story in which the first process dies at this commit. False when it came to its end alive.
    async fn dies_at(&mut self, commit: usize, side: &str) -> bool {
        let boundary = format!("{side} commit {commit}");
        let mut story = Story { boundary, runs: HashMap::new(), over: HashSet::new(), discarded: false };
        let mut first = start(self.folder.path(), self.database.as_deref(), Some(&format!("{commit}:{side}")));
        let began = Instant::now();
        while !self.look(&first, &mut story).await {
            if first.is_over() {
                first.kill();
                self.end(&mut story, began).await;
                return true;
            }
            assert!(began.elapsed() < STORY_MAX, "the story without a kill never ends; over are {:?}", story.over);
        }
        // What happened since the last answer is no part of the story.
        let died = first.is_over();
        first.kill();
        died
    }

    /// Others go on, or a new process where there is none.
    async fn end(&mut self, story: &mut Story, began: Instant) {
        let anew = self.others.is_empty().then(|| start(self.folder.path(), self.database.as_deref(), None));
        let others = std::mem::take(&mut self.others);
        let server = anew.as_ref().unwrap_or_else(|| &others[0]);
        // Whoever got no answer asks again, and so does who got one.
        let known = std::mem::take(&mut story.runs);
        while !self.look(server, story).await {
            if began.elapsed() > STORY_MAX {
                for (slug, run) in &story.runs {
                    assert!(story.over.contains(slug), "{} never ends: {:#}", story.id(slug), server.run(run).await);
                }
                panic!("{}: {} of {} events are taken", story.boundary, story.runs.len(), RECIPES.len());
            }
        }
        for (slug, run) in known {
            assert_eq!(story.runs[slug], run, "{} has two runs", story.id(slug));
        }
        self.others = others;
    }

    /// Sends what has no run yet, answers what waits for people and systems, resumes what failed. True when all is over.
    async fn look(&mut self, server: &Process, story: &mut Story) -> bool {
        for slug in RECIPES {
            let id = story.id(slug);
            if !story.runs.contains_key(slug) {
                let event = json!({ "id": id, "lane": 0 }).to_string();
                let place = format!("/api/v1/recipes/{slug}/runs");
                let (status, body) = server.api_with("POST", &place, Some(&event), &[("traceparent", TRACE)]).await;
                assert!(matches!(status, 0 | 200 | 202 | 503), "{id}: {status} {body}");
                let Some(run) = body["id"].as_str() else { continue };
                story.runs.insert(slug, run.to_owned());
                match slug {
                    "every" => drop(self.runs.insert(id, run.to_owned())),
                    "held" => drop(self.held.insert(id, run.to_owned())),
                    _ => drop(self.words.insert(id, (run.to_owned(), slug))),
                }
            }
        }
        self.people.answer(server, &self.target).await;
        for (slug, run) in story.runs.iter().filter(|(slug, _)| !story.over.contains(*slug)).collect::<Vec<_>>() {
            let told = server.run(run).await;
            match told["status"].as_str() {
                Some("succeeded") => drop(story.over.insert(slug)),
                Some("cancelled") if *slug == "held" => drop(story.over.insert(slug)),
                Some("failed") if *slug == "saga" && told["dead_letter"] == "discarded" => drop(story.over.insert(slug)),
                Some("failed") if *slug == "saga" && !story.discarded => {
                    let wish = json!({ "ids": [run], "reason": "it is taken back" }).to_string();
                    story.discarded = server.api("POST", "/api/v1/dead-letters/discard", Some(&wish)).await.0 == 202;
                }
                Some("failed") if *slug == "saga" => {}
                Some("failed") => resume_truthfully(server, &self.target, &story.id(slug), &told).await,
                Some("waiting") if *slug == "held" => {
                    let (status, body) = server.api("POST", &format!("/api/v1/runs/{run}/cancel"), None).await;
                    assert!(matches!(status, 0 | 200 | 202 | 409 | 503), "{}: {status} {body}", story.id(slug));
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        story.over.len() == RECIPES.len()
    }

    /// What was promised holds of every story.
    async fn judge(mut self) {
        let server = start(self.folder.path(), self.database.as_deref(), None);
        self.others.clear();
        no_call_without_a_commit(&server, &self.target).await;
        chaos_words::judge(&server, &self.target, &self.words).await;
        chaos::judge(&server, &self.target, &self.runs).await;
        for (id, run) in &self.held {
            let calls = |step| self.target.calls().iter().filter(|call| call.run == *id && call.step == step).count();
            assert!(
                calls(HELD) >= 1 && calls(NEVER) == 0,
                "{id}: {} calls before it was cancelled, {} after",
                calls(HELD),
                calls(NEVER)
            );
            assert_eq!(server.run(run).await["status"], "cancelled", "{id}");
        }
    }
}

/// `liaison serve`, which dies at a commit if one is named.
fn start(folder: &Path, database: Option<&str>, dies_at: Option<&str>) -> Process {
    let environment: Vec<_> = dies_at.map(|commit| ("LIAISON_DIES_AT_COMMIT", commit)).into_iter().collect();
    Process::start_in("serve", folder, database, &["--lease", LEASE], &environment)
}

/// What whoever sends an event says of its trace: only then do calls tell which attempt's they are.
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Every call was in the journal before it was made: there are as many attempts as calls, or more, and each call is
/// another attempt's, which its span tells. So a finished step, which has no further attempt, was not called again, and an
/// attempt that was lost together with its entry made no call: the next one would have had its number.
async fn no_call_without_a_commit(server: &Process, target: &Target) {
    let mut attempts: HashMap<(String, u64), u64> = HashMap::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = server.api("GET", &format!("/api/v1/runs?limit=200{cursor}"), None).await;
        for row in page["data"].as_array().expect("rows") {
            let told = server.run(row["id"].as_str().expect("an id")).await;
            for step in told["steps"].as_array().expect("steps") {
                let body = &step["input"]["json"];
                if let (Some(run), Some(number)) = (body["run"].as_str(), body["step"].as_u64()) {
                    *attempts.entry((run.to_owned(), number)).or_default() += step["attempts"].as_u64().expect("a number");
                }
            }
        }
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut calls: HashMap<(String, u64), u64> = HashMap::new();
    let mut spans: HashSet<String> = HashSet::new();
    for call in target.calls() {
        let (run, step, trace) = (&call.run, call.step, &call.trace);
        assert!(trace.starts_with(&TRACE[..35]) && trace != TRACE, "{run}: the call of step {step} has the trace {trace:?}");
        assert!(spans.insert(trace.clone()), "{run}: one attempt of step {step} was made twice");
        *calls.entry((call.run, call.step)).or_default() += 1;
    }
    for ((run, step), made) in calls {
        let known = attempts.get(&(run.clone(), step)).copied().unwrap_or(0);
        assert!(made <= known, "{run}: step {step} was called {made} times, and its journals know of {known} attempts");
    }
}

/// Walks from one commit to the next, or in strides unless all are wanted.
async fn walk(database: Option<String>, others: usize, first: usize, stride: usize) {
    let all = std::env::var_os("LIAISON_CHAOS_ROUNDS").is_some();
    let (first, stride) = if all { (1, 1) } else { (first, stride) };
    let mut walk = Walk::begin(database, others).await;
    for (place, commit) in (first..COMMITS_MAX).step_by(stride).enumerate() {
        for (_, side) in SIDES.iter().enumerate().filter(|(number, _)| all || place % 2 == *number) {
            if !walk.dies_at(commit, side).await {
                assert!(commit > COMMITS_MIN, "a story of {commit} commits leaves much out");
                return walk.judge().await;
            }
        }
    }
    panic!("a story never ends without a kill");
}

// Together 50 kills and more, spread over the whole story.

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_sqlite() {
    walk(None, 0, 1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_postgres() {
    walk(Some(database().await), 0, 2, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_on_postgres() {
    walk(Some(database().await), 2, 3, 4).await;
}
