//! Runs one command of the real binary to its end.

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A command that does not end within this was not refused: it runs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `liaison` with these arguments on a data folder, or on a PostgreSQL.
pub(crate) fn liaison(arguments: &[&str], folder: &Path, database: Option<&str>) -> Ended {
    liaison_in(&[], arguments, folder, database)
}

/// The same with variables in its environment.
pub(crate) fn liaison_in(variables: &[(&str, &str)], arguments: &[&str], folder: &Path, database: Option<&str>) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.envs(variables.iter().copied());
    command.args(arguments).arg("--data-dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(url) = database {
        command.args(["--database-url", url]);
    }
    end(command.spawn().expect("the binary starts"))
}

/// Starts a server that is expected to refuse; gives what it says.
pub(crate) fn refused_start(folder: &Path, database: Option<&str>, flags: &[&str]) -> String {
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--log", "warn"];
    arguments.extend(flags);
    let ended = liaison(&arguments, folder, database);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.text().is_empty(), "it said that it works: {}", ended.text());
    ended.err
}

fn end(mut child: Child) -> Ended {
    let (mut out, mut err) = (child.stdout.take().expect("standard output"), child.stderr.take().expect("standard error"));
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).map(|_| bytes)
    });
    let complaints = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text)
    });
    let began = Instant::now();
    let code = loop {
        match child.try_wait().expect("it can be waited for") {
            Some(status) => break status.code(),
            None if began.elapsed() > PATIENCE => {
                child.kill().expect("it can be killed");
                child.wait().expect("it is dead");
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let (out, err) = (reading.join().expect("read").expect("bytes"), complaints.join().expect("read").expect("text"));
    Ended { code, out, err }
}
