//! Where a step stands, and which entry may follow.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value as Json;

use super::{Entry, ErrorRecord};
use crate::Timestamp;

/// Where a step stands after the entries so far.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// May begin: nothing happened yet, or it was reopened after `attempts` attempts.
    Ready {
        /// Attempts made so far.
        attempts: u32,
    },
    /// An attempt began and its outcome is not known.
    Running {
        /// The attempt.
        attempt: u32,
    },
    /// The last attempt failed and the next is due.
    Backoff {
        /// The attempt that failed.
        attempt: u32,
        /// When the next may begin.
        until: Timestamp,
    },
    /// Done. Never done again.
    Succeeded {
        /// What it returned.
        output: Arc<Json>,
    },
    /// Waits for a time, a caller or a person.
    Waiting {
        /// `timer`, `callback` or `approval`.
        what: Cow<'static, str>,
        /// When it ends by itself; `None` for never.
        until: Option<Timestamp>,
        /// The run it called, whose end it waits for.
        run: Option<Arc<str>>,
    },
    /// Its condition was false.
    Skipped,
    /// Failed for good.
    Failed {
        /// The last attempt; 0 when a value could not be computed.
        attempt: u32,
        /// Why.
        error: Box<ErrorRecord>,
    },
    /// The effect may have happened; waits for a person.
    Uncertain {
        /// The attempt in doubt.
        attempt: u32,
        /// What is known.
        error: Box<ErrorRecord>,
    },
}

/// An entry that may not follow the state before it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the journal says {entry} about step {path}, which may not follow {state}")]
pub struct IllegalEntry {
    /// The step.
    pub path: String,
    /// The state before, in short.
    pub state: String,
    /// The entry, in short.
    pub entry: String,
}

fn waiting(what: Cow<'static, str>, until: Option<Timestamp>, ask: Option<&Json>) -> StepState {
    let run = ask.filter(|_| &*what == "call").and_then(|ask| ask["run"].as_str()).map(Arc::from);
    StepState::Waiting { what, until, run }
}

impl StepState {
    /// The state after one more entry about the same step.
    ///
    /// # Errors
    /// [`IllegalEntry`] when the entry may not follow this state.
    pub fn after(&self, entry: &Entry) -> Result<Self, IllegalEntry> {
        Ok(match (self, entry) {
            (Self::Ready { attempts }, Entry::Started { n, .. }) if *n == attempts + 1 => Self::Running { attempt: *n },
            (Self::Ready { .. }, Entry::Computed { out, .. }) => Self::Succeeded { output: Arc::clone(out) },
            (Self::Ready { .. }, Entry::Skipped { .. }) => Self::Skipped,
            (Self::Ready { .. }, Entry::Waits { what, until, ask, .. }) => waiting(what.clone(), *until, ask.as_deref()),
            (Self::Waiting { .. }, Entry::Computed { out, .. } | Entry::Settled { out, .. }) => {
                Self::Succeeded { output: Arc::clone(out) }
            }
            (Self::Waiting { .. }, Entry::Failed { n: 0, err, retry: None, .. }) => {
                Self::Failed { attempt: 0, error: err.clone() }
            }
            (Self::Ready { attempts }, Entry::Failed { n, err, retry: None, .. }) if *n == 0 || n == attempts => {
                Self::Failed { attempt: *attempts, error: err.clone() }
            }
            // The process died before it could record an outcome, and the effect may be repeated.
            (Self::Running { attempt }, Entry::Started { n, .. }) if *n == attempt + 1 => Self::Running { attempt: *n },
            (Self::Running { attempt }, Entry::Succeeded { n, out, .. }) if n == attempt => {
                Self::Succeeded { output: Arc::clone(out) }
            }
            (Self::Running { attempt }, Entry::Failed { n, retry: Some(until), .. }) if n == attempt => {
                Self::Backoff { attempt: *n, until: *until }
            }
            (Self::Running { attempt }, Entry::Failed { n, err, retry: None, .. }) if n == attempt => {
                Self::Failed { attempt: *n, error: err.clone() }
            }
            // A called run was started; its end is waited for.
            (Self::Running { .. }, Entry::Waits { what, until, ask, .. }) => waiting(what.clone(), *until, ask.as_deref()),
            (Self::Running { attempt }, Entry::Uncertain { n, err, .. }) if n == attempt => {
                Self::Uncertain { attempt: *n, error: err.clone() }
            }
            // What an earlier attempt did is not known, and it is too late to repeat it.
            (
                Self::Backoff { attempt, .. }
                | Self::Ready { attempts: attempt @ 1.. }
                | Self::Failed { attempt: attempt @ 1.., .. },
                Entry::Uncertain { n, err, .. },
            ) if n == attempt => Self::Uncertain { attempt: *n, error: err.clone() },
            (Self::Backoff { attempt, .. }, Entry::Started { n, .. }) if *n == attempt + 1 => Self::Running { attempt: *n },
            (Self::Failed { attempt, .. } | Self::Uncertain { attempt, .. }, Entry::Reopened { .. }) => {
                Self::Ready { attempts: *attempt }
            }
            // The run was given up without anybody saying what became of it.
            (Self::Uncertain { attempt, .. }, Entry::Failed { n, err, retry: None, .. }) if n == attempt => {
                Self::Failed { attempt: *n, error: err.clone() }
            }
            (Self::Uncertain { .. }, Entry::Settled { out, .. }) => Self::Succeeded { output: Arc::clone(out) },
            (state, entry) => {
                return Err(IllegalEntry {
                    path: entry.path().map(ToString::to_string).unwrap_or_default(),
                    state: state.word().to_owned(),
                    entry: entry.word().to_owned(),
                });
            }
        })
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::Running { .. } => "running",
            Self::Backoff { .. } => "backoff",
            Self::Succeeded { .. } => "succeeded",
            Self::Waiting { .. } => "waiting",
            Self::Skipped => "skipped",
            Self::Failed { .. } => "failed",
            Self::Uncertain { .. } => "uncertain",
        }
    }
}
