//! `cargo xtask instructions`: what W1 of the benchmark costs in instructions, counted by Valgrind.
//!
//! Time means little on machines that others use, too; instructions of the same build are the same within
//! a per cent or two. They are counted in the build the tests use, so only how they change says something.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};

use crate::shell;

/// The figure that changes are told against.
const KEPT: &str = "crates/bench/instructions.txt";
const KEY: &str = "count-admin-key";
/// Events of the two measurements: what they do not share is what events cost.
const EVENTS: (u32, u32) = (100, 600);

/// W1 of the benchmark: five fields mapped under one condition.
const W1: &str = include_str!("../../bench/w1.recipe.yaml");

/// Counts, and tells the change. With `keep` the figure becomes the one that changes are told against.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    println!("── instructions");
    let there = || shell::says("valgrind", &["--version"]).is_some();
    if !(there() || shell::installs("valgrind") && there()) {
        println!("Valgrind is not installed here, so instructions are not counted.");
        return Ok(());
    }
    let (few, many) = (count(EVENTS.0)?, count(EVENTS.1)?);
    let each = many.saturating_sub(few) / u64::from(EVENTS.1 - EVENTS.0);
    if each == 0 {
        bail!("{} events cost {many} instructions and {} cost {few}: that cannot be", EVENTS.1, EVENTS.0);
    }
    let kept: Option<u64> = std::fs::read_to_string(KEPT).ok().and_then(|text| text.trim().parse().ok());
    match kept {
        Some(kept) => {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let change = (each as f64 / kept as f64 - 1.0) * 100.0;
            println!("W1: {each} instructions a run, {change:+.1} % of the {kept} kept in {KEPT}");
        }
        None => println!("W1: {each} instructions a run; none are kept in {KEPT}"),
    }
    if arguments.first().is_some_and(|word| word == "keep") {
        std::fs::write(KEPT, format!("{each}\n")).with_context(|| format!("cannot write {KEPT}"))?;
    }
    Ok(())
}

/// Instructions of a server from its start to its orderly end, with so many events in between.
fn count(events: u32) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let told = folder.path().join("callgrind.out");
    let mut server = start(folder.path(), &told)?;
    let served = serve(&mut server, events);
    // SIGTERM by the system's own command: there is no safe call for it in the standard library.
    let stopped = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().context("cannot stop the server")?;
    server.wait()?;
    served?;
    if !stopped.success() {
        bail!("the server could not be stopped");
    }
    let text = std::fs::read_to_string(&told).context("Valgrind told nothing")?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    total.and_then(|total| total.trim().parse().ok()).context("Valgrind told no total")
}

fn start(folder: &Path, told: &Path) -> anyhow::Result<Child> {
    Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", &format!("--callgrind-out-file={}", told.display())])
        .arg(shell::target().join("debug/liaison"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
        .arg(folder)
        .env("LIAISON_ADMIN_API_KEY", KEY)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start Valgrind")
}

fn serve(server: &mut Child, events: u32) -> anyhow::Result<()> {
    let out = server.stdout.take().context("the server has no output")?;
    let mut lines = BufReader::new(out).lines();
    let line = lines.next().context("the server said nothing")??;
    let address = line.rsplit(['/', ' ']).next().unwrap_or_default();
    let mut caller = Caller { address: address.to_owned(), stream: BufReader::new(TcpStream::connect(address)?) };
    caller.call("PUT", "/api/v1/recipes/w1", "application/yaml", W1)?;
    caller.call("POST", "/api/v1/recipes/w1/activate", "application/json", "{}")?;
    for number in 0..events {
        let event = format!(
            r#"{{"id":"ord_{number}","amount":1999,"currency":"eur","customer":{{"name":"Ines","email":"ines@example.com"}},"lines":[1,2,3]}}"#
        );
        caller.call("POST", "/hooks/w1", "application/json", &event)?;
    }
    Ok(())
}

/// One connection, one request after the other.
struct Caller {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Caller {
    fn call(&mut self, method: &str, path: &str, kind: &str, body: &str) -> anyhow::Result<()> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        let (mut status, mut length) = (String::new(), 0);
        self.stream.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text)?;
        if !status.contains(" 20") {
            bail!("{method} {path} was answered {}: {}", status.trim(), String::from_utf8_lossy(&text));
        }
        Ok(())
    }
}
