//! `cargo xtask demo`: builds front end and binary, then runs the main job and shows its run.

use std::process::Command;

use anyhow::{Context, bail};

use crate::web;

/// Builds everything and serves the demo until it is stopped.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    web::build()?;
    println!("── building the binary (a first build takes some minutes)");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built =
        Command::new(cargo).args(["build", "--release", "--locked", "-p", "liaison"]).status().context("cannot start cargo")?;
    if !built.success() {
        bail!("the binary could not be built; what is wrong stands above");
    }
    println!("── starting the demo; stop it with Ctrl C");
    let mut command = Command::new("target/release/liaison");
    command.args(["serve", "--demo", "--data-dir", "target/demo-data"]).args(arguments);
    let ended = command.status().context("cannot start target/release/liaison")?;
    if !ended.success() {
        bail!("the demo ended with {ended}");
    }
    Ok(())
}
