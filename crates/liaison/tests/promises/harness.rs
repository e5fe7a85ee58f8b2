//! Starts the real binary, talks to its API, and records what arrives at the system it calls.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::any,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) const KEY: &str = "promises-admin-key";

/// One call that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) run: String,
    pub(crate) step: u64,
    pub(crate) key: String,
    /// The trace it says it is part of.
    pub(crate) trace: String,
    /// Where it wants to be called back.
    pub(crate) address: String,
}

/// A system that records every call, and answers as it is told.
pub(crate) struct Target {
    pub(crate) address: String,
    calls: Mutex<Vec<Call>>,
    /// Calls to this step are held until released.
    hold: Mutex<Option<u64>>,
    released: Notify,
    /// How often a step is answered with 503 before it works.
    pub(crate) failures: Mutex<u32>,
    arrived: Notify,
}

impl Target {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Arc::new(Self {
            address: listener.local_addr().unwrap().to_string(),
            calls: Mutex::default(),
            hold: Mutex::default(),
            released: Notify::new(),
            failures: Mutex::default(),
            arrived: Notify::new(),
        });
        let router = Router::new().route("/{*path}", any(answer)).with_state(Arc::clone(&target));
        tokio::spawn(async move { axum::serve(listener, router).await });
        target
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// Holds calls to this step until further notice, and lets those to any other go.
    pub(crate) fn hold(&self, step: u64) {
        *self.hold.lock() = Some(step);
        self.released.notify_waiters();
    }

    pub(crate) fn release(&self) {
        *self.hold.lock() = None;
        self.released.notify_waiters();
    }

    /// Waits until so many calls have arrived.
    pub(crate) async fn wait_for(&self, count: usize) {
        let arrived = async {
            loop {
                let next = self.arrived.notified();
                if self.calls.lock().len() >= count {
                    return;
                }
                next.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), arrived).await.unwrap_or_else(|_| panic!("{count} calls never arrived"));
    }

    /// The recipe with `steps` calls, each of which may be repeated unless `once`.
    pub(crate) fn recipe(&self, steps: u64, once: bool) -> String {
        let mut text = String::from(
            "liaison: 1\nrecipe: story\ntrigger:\n  from: webhook\n  dedupe: { by: \"${ trigger.body.id }\" }\nsteps:\n",
        );
        let method = if once { "POST" } else { "PUT" };
        for step in 1..=steps {
            text.push_str(&format!(
                "  - id: s{step}\n    do: http.request\n    with:\n      method: {method}\n      url: http://{}/call\n      \
                 json: {{ run: \"${{ trigger.body.id }}\", step: {step} }}\n",
                self.address
            ));
        }
        text
    }
}

async fn answer(State(target): State<Arc<Target>>, headers: HeaderMap, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let step = body["step"].as_u64().unwrap_or_default();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    target.calls.lock().push(Call {
        run: body["run"].as_str().unwrap_or_default().to_owned(),
        step,
        key: header("idempotency-key"),
        trace: header("traceparent"),
        address: body["address"].as_str().unwrap_or_default().to_owned(),
    });
    let first = target.calls.lock().iter().filter(|call| call.step == step && call.run == body["run"]).count() == 1;
    if body["refuse"] == true || (body["flaky"] == true && first) {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": "not like this" })));
    }
    target.arrived.notify_waiters();
    loop {
        let released = target.released.notified();
        if *target.hold.lock() != Some(step) {
            break;
        }
        released.await;
    }
    let mut failures = target.failures.lock();
    if *failures > 0 {
        *failures -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": "down" })));
    }
    (StatusCode::OK, Json(json!({ "step": step })))
}

/// What a process said last on its standard error. A test that fails prints it: why a process died is said nowhere else.
pub(crate) struct LastWords {
    words: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl LastWords {
    const LINES_MAX: usize = 40;

    /// Listens to a process, which must have ended when this is dropped.
    pub(crate) fn of(child: &mut Child) -> Self {
        let words = Arc::<Mutex<VecDeque<String>>>::default();
        let heard = Arc::clone(&words);
        let stderr = child.stderr.take().expect("standard error");
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut words = heard.lock();
                if words.len() == Self::LINES_MAX {
                    words.pop_front();
                }
                words.push_back(line);
            }
        });
        Self { words, reader: Some(reader) }
    }
}

impl Drop for LastWords {
    #[expect(clippy::print_stderr, reason = "a test that fails says why")]
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.reader.take().map(JoinHandle::join);
            let words = self.words.lock().iter().cloned().collect::<Vec<_>>().join("\n");
            eprintln!("── the last words of a process of this test:\n{words}");
        }
    }
}

/// A running process of the binary.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
    /// Dropped after the process is dead.
    _last_words: Option<LastWords>,
}

impl Process {
    /// `liaison serve` on a folder, or on a PostgreSQL.
    pub(crate) fn serve(folder: &std::path::Path, database: Option<&str>) -> Self {
        Self::start("serve", folder, database, &[])
    }

    /// `liaison serve` on a folder with more flags.
    pub(crate) fn serve_with(folder: &std::path::Path, flags: &[&str]) -> Self {
        Self::start("serve", folder, None, flags)
    }

    /// `liaison worker` on a PostgreSQL.
    pub(crate) fn worker(folder: &std::path::Path, database: &str) -> Self {
        Self::start("worker", folder, Some(database), &[])
    }

    pub(crate) fn start(word: &str, folder: &std::path::Path, database: Option<&str>, flags: &[&str]) -> Self {
        Self::start_in(word, folder, database, flags, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_in(
        word: &str,
        folder: &std::path::Path,
        database: Option<&str>,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
        command
            .args([word, "--listen", "127.0.0.1:0", "--allow-private-addresses", "--log", "warn", "--poll-interval", "200ms"])
            .args(["--lease", "2s"].iter().filter(|_| !flags.contains(&"--lease")))
            .args(flags)
            .arg("--data-dir")
            .arg(folder)
            .env("LIAISON_ADMIN_API_KEY", KEY)
            .envs(environment.iter().copied());
        if let Some(url) = database {
            command.args(["--database-url", url]);
        }
        Self::heard(command)
    }

    /// The process of a command whose last words its test prints when it fails.
    pub(crate) fn heard(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let last_words = LastWords::of(&mut child);
        let mut process = Self::read(child);
        process._last_words = Some(last_words);
        process
    }

    /// The process of a command whose standard error is piped, and that.
    pub(crate) fn of(mut command: Command) -> (Self, ChildStderr) {
        let mut child = command.spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("standard error");
        (Self::read(child), stderr)
    }

    /// The process of a command whose standard error goes elsewhere.
    pub(crate) fn of_quiet(mut command: Command) -> Self {
        Self::read(command.spawn().expect("the binary starts"))
    }

    fn read(mut child: Child) -> Self {
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("standard output"));
        out.read_line(&mut line).expect("the binary says where it listens");
        let address = line.trim().rsplit('/').next().unwrap_or_default().to_owned();
        // Nobody reads on; the pipe must not fill up.
        thread::spawn(move || for _ in out.lines() {});
        Self { child, address, _last_words: None }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is dead");
    }

    /// Whether it ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_some()
    }

    /// Its number on this machine.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Asks it to stop and waits for its exit.
    pub(crate) fn stop(mut self) -> bool {
        self.signal("TERM");
        self.child.wait().expect("it ends").success()
    }

    pub(crate) async fn api(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        self.api_with(method, path, body, &[]).await
    }

    /// The same with headers of the caller's own.
    pub(crate) async fn api_with(&self, method: &str, path: &str, body: Option<&str>, own: &[(&str, &str)]) -> (u16, Value) {
        if self.address.is_empty() {
            // It died before it said where it listens.
            return (0, Value::Null);
        }
        #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let mut request =
            client.request(method.parse().unwrap(), format!("http://{}{path}", self.address)).bearer_auth(KEY).header(
                "content-type",
                if path.contains("/recipes/") && method == "PUT" { "application/yaml" } else { "application/json" },
            );
        for (name, value) in own {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                (status, serde_json::from_str(&answer.text().await.unwrap_or_default()).unwrap_or_default())
            }
            Err(_) => (0, Value::Null),
        }
    }

    /// An answer as its text.
    pub(crate) async fn text(&self, path: &str) -> (u16, String) {
        #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        match client.get(format!("http://{}{path}", self.address)).bearer_auth(KEY).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(_) => (0, String::new()),
        }
    }

    pub(crate) async fn set_up(&self, recipe: &str) {
        let (status, body) = self.api("PUT", "/api/v1/recipes/story", Some(recipe)).await;
        assert!(status == 201 || status == 200, "{status} {body}");
        assert_eq!(self.api("POST", "/api/v1/recipes/story/activate", Some("{}")).await.0, 200);
    }

    /// Sends an event; the run's id when it was taken.
    pub(crate) async fn send(&self, id: &str) -> Option<String> {
        let (status, body) = self.api("POST", "/hooks/story", Some(&json!({ "id": id }).to_string())).await;
        matches!(status, 200 | 202).then(|| body["run_id"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn run(&self, id: &str) -> Value {
        self.api("GET", &format!("/api/v1/runs/{id}"), None).await.1
    }

    /// Waits until a run stands as wanted.
    pub(crate) async fn wait(&self, id: &str, status: &str) -> Value {
        let began = Instant::now();
        loop {
            let run = self.run(id).await;
            if run["status"] == status {
                return run;
            }
            assert!(began.elapsed() < Duration::from_secs(40), "the run never {status}: {run}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A database of its own on the test server.
pub(crate) async fn database() -> String {
    let url = std::env::var("LIAISON_TEST_POSTGRES_URL")
        .expect("set LIAISON_TEST_POSTGRES_URL, or run `cargo xtask test`, which starts a throwaway server");
    let pool = sqlx::PgPool::connect(&url).await.expect("the test server answers");
    let name = format!("promises_{}", uuid::Uuid::new_v4().simple());
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&pool).await.expect("a database can be made");
    let (head, _) = url.rsplit_once('/').expect("the URL names a database");
    format!("{head}/{name}")
}
