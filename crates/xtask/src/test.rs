//! `cargo xtask test`: everything that must pass, one stage after the other.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, bail};

use crate::{clients, instructions, postgres, shell, tidy, web};

/// Seeds of the engine's simulation (crates/engine/tests/sim).
const SIMULATED_STORIES: &str = "10000";

type Stage = fn(&[String]) -> anyhow::Result<()>;

/// In order. The tests come last, so that their own summary is the last word.
const STAGES: &[(&str, Stage)] = &[
    ("web", |_| web::build()),
    ("format", format),
    ("clippy", clippy),
    ("tidy", |_| tidy::run()),
    ("build", build),
    ("docs", docs),
    ("instructions", |_| instructions::run(&[])),
    ("tests", tests),
];

/// Runs the stages named, or all. Arguments after `--` go to the tests.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (stages, rest) = match arguments.iter().position(|argument| argument == "--") {
        Some(place) => (&arguments[..place], &arguments[place + 1..]),
        None => (arguments, &[][..]),
    };
    if let Some(unknown) = stages.iter().find(|stage| STAGES.iter().all(|(name, _)| name != stage)) {
        let names: Vec<_> = STAGES.iter().map(|(name, _)| *name).collect();
        bail!("there is no stage {unknown:?}; the stages are {}", names.join(", "));
    }
    let started = Instant::now();
    for (name, stage) in STAGES {
        if stages.is_empty() || stages.iter().any(|wanted| wanted == name) {
            stage(rest).with_context(|| format!("stage {name} failed; run it alone with: cargo xtask test {name}"))?;
        }
    }
    println!("── all of it took {} s", started.elapsed().as_secs());
    Ok(())
}

/// Kills the real binary again and again, in each of the set-ups of `promises::chaos`, and on both sides of every commit of
/// the story of `promises::boundaries`. A debug build: no other dies at a commit on demand.
pub(crate) fn chaos(arguments: &[String]) -> anyhow::Result<()> {
    const ROUNDS: &str = "1000";
    let rounds = arguments.first().map_or(ROUNDS, String::as_str);
    rounds.parse::<u32>().with_context(|| format!("{rounds:?} is no number of rounds"))?;
    let server = postgres::ensure()?;
    let mut command = shell::cargo();
    command
        .args(["test", "--package", "liaison", "--test", "promises", "--", "chaos", "boundaries", "--nocapture"])
        .env(postgres::URL_VARIABLE, &server.url)
        .env("LIAISON_CHAOS_ROUNDS", rounds);
    shell::run(&mut command)
}

fn format(_: &[String]) -> anyhow::Result<()> {
    println!("── format");
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(_: &[String]) -> anyhow::Result<()> {
    println!("── clippy");
    shell::run(shell::cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

fn build(_: &[String]) -> anyhow::Result<()> {
    println!("── build");
    shell::run(shell::cargo().args(["build", "--quiet", "--package", "liaison"]))
}

fn docs(_: &[String]) -> anyhow::Result<()> {
    println!("── examples in the documentation");
    shell::run(shell::cargo().args(["test", "--workspace", "--doc", "--quiet"]))
}

fn tests(arguments: &[String]) -> anyhow::Result<()> {
    println!("── tests");
    // Stopped at the end of this function, whatever happens in it.
    let server = postgres::ensure()?;
    // Of the causes of a failure that are not ours this one hits most tests at once.
    println!("{}", shell::says("df", &["-h", "."]).unwrap_or_default());
    let mut environment = vec![(postgres::URL_VARIABLE, server.url.clone())];
    environment.push(("LIAISON_SIM_SEEDS", SIMULATED_STORIES.to_owned()));
    environment.extend(clients::chromium()?);
    clients::faketime()?;
    environment.extend(clients::python()?);
    environment.extend(clients::node()?);
    if shell::says("cargo", &["nextest", "--version"]).is_some() {
        let mut command = shell::cargo();
        command
            .args(["nextest", "run", "--workspace", "--no-fail-fast", "--status-level", "slow"])
            .args(arguments)
            .envs(environment);
        return shell::run(&mut command);
    }
    let mut command = shell::cargo();
    command.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]).args(arguments).envs(environment);
    count(&mut command)
}

/// Runs `cargo test`, which has a summary per binary, and adds them up.
fn count(command: &mut Command) -> anyhow::Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let (mut passed, mut failed) = (0_u32, 0_u32);
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what the tests say")?;
            println!("{line}");
            if line.starts_with("test result:") {
                passed += number_before(&line, " passed");
                failed += number_before(&line, " failed");
            }
        }
    }
    let status = child.wait()?;
    println!("{passed} passed, {failed} failed");
    if !status.success() {
        bail!("cargo test ended with {status}");
    }
    Ok(())
}

fn number_before(line: &str, word: &str) -> u32 {
    line.split(word).next().and_then(|before| before.rsplit(' ').next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn summaries_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!((super::number_before(line, " passed"), super::number_before(line, " failed")), (12, 3));
    }
}
