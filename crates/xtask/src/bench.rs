//! `cargo xtask bench`: the product against the ceiling program, measured in one run.

use std::process::Command;

use anyhow::{Context, bail};

use crate::shell;

/// Builds both in release and measures. Arguments go on to the benchmark: seconds, `--only w2`,
/// `--postgres URL`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut all = vec!["all".to_owned()];
    all.extend_from_slice(arguments);
    measure(&all)
}

/// Fills a database with ended runs and watches them go while new ones come; a million unless said otherwise.
pub(crate) fn purge(arguments: &[String]) -> anyhow::Result<()> {
    let runs = arguments.first().map_or("1000000", String::as_str);
    measure(&["purge".to_owned(), runs.to_owned()])
}

fn measure(arguments: &[String]) -> anyhow::Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "-p", "liaison", "-p", "bench"])
        .status()
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("the binaries could not be built; what is wrong stands above");
    }
    let ended =
        Command::new(shell::target().join("release/bench")).args(arguments).status().context("cannot start the benchmark")?;
    if !ended.success() {
        bail!("the benchmark ended with {ended}");
    }
    Ok(())
}
