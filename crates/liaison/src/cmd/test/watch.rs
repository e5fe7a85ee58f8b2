//! Runs again when a file changes.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::Context;
use notify::{RecursiveMode, Watcher};

use crate::cmd::{fail, print};

/// Editors write a file in several steps: changes this close together are one.
const QUIET: Duration = Duration::from_millis(150);
/// A folder that never comes to rest is run all the same after this.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// Changes waiting to be looked at; more would all mean the same.
const CHANGES_MAX: usize = 64;

/// Runs once, then again after every change below the paths, until the process is told to end.
pub(super) fn watch(paths: &[PathBuf], mut once: impl FnMut() -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let (sender, changes) = mpsc::sync_channel(CHANGES_MAX);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| matters(&event)) {
            // Full means that a change is waiting already.
            let _ = sender.try_send(());
        }
    })
    .context("cannot watch for changes")?;
    for folder in folders(paths) {
        watcher.watch(&folder, RecursiveMode::Recursive).with_context(|| format!("cannot watch {}", folder.display()))?;
    }
    loop {
        if let Err(error) = once() {
            // A file that is gone for a moment comes back.
            let _ = fail(&error);
        }
        print("Waiting for changes. Ctrl-C ends.\n")?;
        changes.recv().context("nothing is watched any more")?;
        settle(&changes);
    }
}

fn settle(changes: &mpsc::Receiver<()>) {
    let begin = Instant::now();
    while begin.elapsed() < QUIET_MAX {
        match changes.recv_timeout(QUIET) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reading a file is no change, and only recipes and their data are read.
fn matters(event: &notify::Event) -> bool {
    let changed = event.kind.is_create() || event.kind.is_modify() || event.kind.is_remove();
    let ours = |path: &PathBuf| path.extension().is_some_and(|kind| ["yaml", "yml", "json"].iter().any(|ours| kind == *ours));
    changed && event.paths.iter().any(ours)
}

/// The folders to watch: those named, and those of files named, with the fixtures below.
fn folders(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = paths
        .iter()
        .map(|path| match path.parent() {
            _ if path.is_dir() => path.clone(),
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => Path::new(".").to_owned(),
        })
        .collect();
    folders.sort();
    folders.dedup();
    folders
}
