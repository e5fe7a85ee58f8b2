//! `liaison test`: the tests that stand in recipes, run in memory on the engine's own walk.

mod compare;
mod coverage;
mod expect;
mod junit;
mod load;
mod record;
mod report;
mod seen;
mod suite;
mod watch;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::{FAILED, block_on, print, recipe_files};
use crate::remote::Remote;

/// Runs the tests of recipes.
///
/// Nothing is called, kept or waited for: `given` and `fails` answer for the systems around, and the
/// clock is virtual. A step that calls a system needs an answer; only `log.write` is done for real.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Recipe files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only tests whose title contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How to tell it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// As JSON: the same as `--format json`.
    #[arg(long)]
    json: bool,
    /// Also writes a JUnit report for a CI system to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Fails when the tests reach less than this share of all steps and branches.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    fail_under: Option<u8>,
    /// Also cuts every run after each of its commits, as a crash would, and takes it up again: the
    /// end must be the same.
    #[arg(long)]
    crash: bool,
    /// Runs the tests again when a file changes, until Ctrl-C.
    #[arg(long, conflicts_with = "record")]
    watch: bool,
    /// Makes a test from a past run of a server and appends it to the recipe, then runs it.
    ///
    /// The event and long answers go to files in `fixtures/` beside the recipe. Credentials never
    /// stand in runs, and secrets in requests and answers are masked there already; what else the run
    /// saw, such as names and amounts, is written to the files as it was.
    #[arg(long, value_name = "RUN_ID")]
    record: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
}

pub(crate) fn test(mut test: Test) -> anyhow::Result<ExitCode> {
    if let Some(run) = test.record.clone() {
        let title = block_on(record::record(&test.remote, &run, &test.paths))?;
        test.filter = Some(title);
    }
    if test.watch {
        return watch::watch(&test.paths.clone(), || once(&test));
    }
    once(&test)
}

/// Runs everything once and tells it.
fn once(test: &Test) -> anyhow::Result<ExitCode> {
    let files = recipe_files(&test.paths)?;
    let outcome = suite::run(&files, test.filter.as_deref(), test.crash)?;
    if let Some(file) = &test.junit {
        std::fs::write(file, junit::document(&outcome)?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    print(&match test.format {
        _ if test.json => report::json(&outcome)?,
        Format::Text => report::text(&outcome, test.fail_under),
        Format::Json => report::json(&outcome)?,
        Format::Junit => junit::document(&outcome)?,
    })?;
    let enough = test.fail_under.is_none_or(|least| outcome.coverage().percent() >= u64::from(least));
    Ok(if outcome.passed() && enough { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
