//! One command per file.

pub(crate) mod admin;
pub(crate) mod alarms;
pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod connector;
pub(crate) mod cron;
pub(crate) mod dead_letters;
mod demo;
mod deployed;
pub(crate) mod diff;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod fmt;
pub(crate) mod lsp;
mod objects;
pub(crate) mod operations;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod test;
mod write;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

use crate::remote::Unreachable;

/// The command did not succeed.
pub(crate) const FAILED: u8 = 1;
/// The server could not be reached.
const UNREACHABLE: u8 = 3;

/// Writes a result to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
        .and_then(|()| out.flush())
    {
        // Whoever read us has seen enough: `liaison runs list | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        outcome => outcome.context("cannot write to standard output").map(|()| ExitCode::SUCCESS),
    }
}

/// Tells an error on standard error and says how to exit.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::from(if error.downcast_ref::<Unreachable>().is_some() { UNREACHABLE } else { FAILED })
}

/// Runs a command that waits for things.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?.block_on(work)
}

/// The recipe files named: files as they are, folders searched for `*.recipe.yaml`.
pub(crate) fn recipe_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            search(path, &mut files)?;
            if files.len() == before {
                anyhow::bail!("there is no *.recipe.yaml in {}", path.display());
            }
        } else if path.exists() {
            files.push(path.clone());
        } else {
            anyhow::bail!("there is no file {}", path.display());
        }
    }
    Ok(files)
}

fn search(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        // Links are not followed: a link to a folder above would never end.
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() {
            search(&path, files)?;
        } else if path.to_string_lossy().ends_with(".recipe.yaml") {
            files.push(path);
        }
    }
    Ok(())
}
