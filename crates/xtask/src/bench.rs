//! `cargo xtask bench` and `cargo xtask purge`: the product against the ceiling program, and history that goes.

use std::{ffi::OsString, process::Command};

use anyhow::{Context, bail};

use crate::{postgres, shell};

/// Builds both in release and measures. Arguments go on to the benchmark: seconds, `--only w2`, `--runs RUNS`,
/// `--baseline PATH`, `--postgres URL`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let asked = |word: &str| arguments.iter().any(|argument| argument == word);
    let postgres = !asked("--baseline") && (!asked("--only") || asked("postgres") || asked("backlog"));
    measure("all", arguments, postgres)
}

/// Fills databases with ended runs and watches them go while new ones come. Arguments go on: how many runs,
/// `--only sqlite`, `--postgres URL`.
pub(crate) fn purge(arguments: &[String]) -> anyhow::Result<()> {
    measure("purge", arguments, !arguments.iter().any(|argument| argument == "sqlite"))
}

/// Measures, on a PostgreSQL of its own unless one is named.
fn measure(what: &str, arguments: &[String], postgres: bool) -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["build", "--release", "--locked", "-p", "liaison", "-p", "bench"]))
        .context("the binaries could not be built; what is wrong stands above")?;
    let mut words: Vec<OsString> =
        std::iter::once(what).chain(arguments.iter().map(String::as_str)).map(OsString::from).collect();
    // Lives until it was measured on.
    let own = if postgres && !arguments.iter().any(|argument| argument == "--postgres") { Some(postgres::own()?) } else { None };
    if let Some(server) = &own {
        words.extend(["--postgres".into(), OsString::from(&server.url)]);
    }
    let ended = Command::new(shell::target().join("release/bench")).args(words).status().context("cannot start the benchmark")?;
    if !ended.success() {
        bail!("the benchmark ended with {ended}");
    }
    Ok(())
}
