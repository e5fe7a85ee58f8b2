//! `cargo xtask bench`: the product against the ceiling program, measured in one run.

use std::process::Command;

use anyhow::{Context, bail};

/// Builds both in release and measures. Arguments go on to the benchmark: seconds, `--only w2`,
/// `--postgres URL`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "-p", "liaison", "-p", "bench"])
        .status()
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("the binaries could not be built; what is wrong stands above");
    }
    let ended = Command::new("target/release/bench").arg("all").args(arguments).status().context("cannot start the benchmark")?;
    if !ended.success() {
        bail!("the benchmark ended with {ended}");
    }
    Ok(())
}
