//! What a journal tells of each step of a run.

use std::{collections::HashMap, sync::Arc};

use engine::trial::{Trial, short_name};
use serde_json::Value as Json;
use store::{Entry, StepPath};

/// Where a step stands at the end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stand {
    /// Its condition was false.
    Skipped,
    /// It began, or something in it did.
    Began,
    /// It is done, with this output.
    Done(Arc<Json>),
    /// It failed.
    Failed,
}

/// The steps of one run by path, in the order they were first told of.
#[derive(Debug, Default)]
pub(super) struct Seen {
    steps: Vec<(StepPath, Stand)>,
}

impl Seen {
    pub(super) fn of(trial: &Trial) -> Self {
        let mut seen = Self::default();
        let mut places: HashMap<StepPath, usize> = HashMap::new();
        for entry in trial.entries() {
            let (path, stand) = match entry {
                Entry::Skipped { p, .. } => (p, Stand::Skipped),
                Entry::Computed { p, out, .. } | Entry::Succeeded { p, out, .. } | Entry::Settled { p, out, .. } => {
                    (p, Stand::Done(Arc::clone(out)))
                }
                Entry::Caught { p, out: Some(out), .. } => (p, Stand::Done(Arc::clone(out))),
                // Passes of loops and `try` have entries of their own that are no outputs.
                Entry::Caught { .. } => continue,
                Entry::Failed { p, retry: None, .. } | Entry::Uncertain { p, .. } => (p, Stand::Failed),
                other => match other.path() {
                    Some(path) => (path, Stand::Began),
                    None => continue,
                },
            };
            if path.ends_with(']') {
                continue;
            }
            let place = *places.entry(Arc::clone(path)).or_insert_with(|| {
                seen.steps.push((Arc::clone(path), Stand::Began));
                seen.steps.len() - 1
            });
            seen.steps[place].1 = stand;
        }
        seen
    }

    /// Every step.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&str, &Stand)> {
        self.steps.iter().map(|(path, stand)| (&**path, stand))
    }

    /// The steps an id or a path names: one, or one for each pass.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a Stand)> {
        self.steps().filter(move |(path, _)| names(name, path))
    }
}

/// Whether an id or a path names the step of that path.
pub(super) fn names(name: &str, path: &str) -> bool {
    name == path || name == short_name(path)
}
