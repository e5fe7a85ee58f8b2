//! The real binary, and a system for its recipes to call.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// `liaison serve --demo` on a port of its own, with a data directory of its own.
pub(crate) struct Liaison {
    process: Child,
    _data: tempfile::TempDir,
    /// `http://127.0.0.1:…`
    pub(crate) url: String,
    /// Signs in once, and leads to the list of runs.
    pub(crate) signin: String,
    /// Signs in once, and leads to the demo's run.
    pub(crate) demo_signin: String,
    /// The address of the demo's finished run.
    pub(crate) demo_run: String,
}

impl Liaison {
    /// Starts it and waits until the demo's run is over.
    pub(crate) fn start() -> Self {
        let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/dist/manifest.json");
        assert!(
            std::path::Path::new(bundle).exists(),
            "The browser tests need the front end: run `cargo xtask web`, which makes web/dist."
        );
        let data = tempfile::tempdir().expect("a data directory");
        let mut process = Command::new(env!("CARGO_BIN_EXE_liaison"))
            .args(["serve", "--demo=quiet", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("liaison starts");
        let mut lines = BufReader::new(process.stdout.take().expect("is piped")).lines();
        // It prints these lines within a second or two, or ends and the pipe with it.
        let mut after = |words: &str| {
            let line = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(words));
            line.unwrap_or_else(|| panic!("liaison ended before it printed {words:?}"))[words.len()..].trim().to_owned()
        };
        let url = after("Liaison listens on ");
        let signin = after("Sign in: ");
        let demo_run = after("Demo run succeeded: ");
        let demo_signin = after("Sign in and see it: ");
        // Whatever else it prints must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Self { process, _data: data, url, signin, demo_signin, demo_run }
    }
}

impl Drop for Liaison {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the other system does.
#[derive(Default)]
struct Mood {
    open: bool,
    asked: usize,
}

/// A system that answers 503 on `/flaky`, 422 on `/picky` and nothing at all on `/slow`, until it is released;
/// `/cut` ends the connection without an answer, always.
#[derive(Clone)]
pub(crate) struct System {
    mood: Arc<(Mutex<Mood>, Condvar)>,
    /// `http://127.0.0.1:…`
    pub(crate) url: String,
}

impl System {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let system = Self { mood: Arc::default(), url };
        let serving = system.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let system = serving.clone();
                thread::spawn(move || system.answer(stream));
            }
        });
        system
    }

    /// From now on everything is answered, and well.
    pub(crate) fn release(&self) {
        self.mood.0.lock().unwrap_or_else(PoisonError::into_inner).open = true;
        self.mood.1.notify_all();
    }

    /// Waits until it was asked so many times.
    pub(crate) fn wait_until_asked(&self, times: usize) {
        let mood = self.mood.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.mood.1.wait_timeout_while(mood, Duration::from_secs(20), |mood| mood.asked < times);
        let (mood, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(mood.asked >= times, "the system was asked {} times only", mood.asked);
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
        let mut mood = self.mood.0.lock().unwrap_or_else(PoisonError::into_inner);
        mood.asked += 1;
        self.mood.1.notify_all();
        let status = match path.as_str() {
            // Took it in and never said a word.
            "/cut" => return,
            "/slow" => {
                let released = self.mood.1.wait_timeout_while(mood, Duration::from_secs(30), |mood| !mood.open);
                drop(released);
                "200 OK"
            }
            "/flaky" if !mood.open => "503 Service Unavailable",
            "/picky" if !mood.open => "422 Unprocessable Content",
            _ => "200 OK",
        };
        let body = r#"{"said":"a word from outside"}"#;
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    }
}
