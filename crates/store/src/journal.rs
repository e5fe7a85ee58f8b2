//! The journal: what a run received, did and returned, as a list of entries.
//!
//! A run commits its entries in chunks: one chunk is everything that became durable in one commit.
//! [`StepState::after`] is the only judge of which entry may follow which, when writing and when
//! replaying after a crash. An entry that may not follow is an error, never ignored.
//!
//! ```text
//!            Started(1)           Succeeded
//!   (none) ───────────▶ Running ───────────▶ Succeeded
//!     │ │ └ Computed ─▶ Succeeded │ │ │
//!     │ └── Skipped ──▶ Skipped   │ │ └ Uncertain ─▶ Uncertain ─ Settled ─▶ Succeeded
//!     ├──── Waits ────▶ Waiting ──┼─┼── Computed or Settled ─▶ Succeeded, Failed(0) ─▶ Failed
//!     └──── Failed ───▶ Failed ◀──┘ └ Failed(retry) ─▶ Backoff ─ Started ─▶ Running
//!                         └───── Reopened ─────▶ Ready ─ Started ─▶ Running
//! ```
//!
//! From `Backoff`, and from a `Ready` with attempts behind it, `Uncertain` leads to Uncertain, too: an earlier attempt
//! may have happened, and it is too late to repeat it under its key.
//!
//! `Caught` stands beside the states: it says that the recipe deals with the failure of a step, or of
//! something inside a `try`, so that the run goes on the same way whenever it is taken up again.

mod apart;
mod chunk;
mod lived;
mod reader;
mod replay;
mod rows;
mod state;
mod stream;
mod weights;
mod whole;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use apart::{Apart, Chunk, Field, Packed, open_chunk, pack_chunk};
pub use chunk::{read_chunk, write_chunk};
pub use lived::Lived;
pub use reader::JournalReader;
pub use rows::{LoopRows, Row, for_each_row};
pub use state::{IllegalEntry, StepState};
pub use stream::{Stream, file_path, filled_by, page_path};
pub use weights::{WEIGHED_BYTES_MIN, Weights};
pub use whole::JournalCheck;

use crate::{RunId, Timestamp, Via};

/// The code of a run in which everything was done but some passes of loops, which wait for a person.
pub const ITEMS_FAILED: &str = "ITEMS_FAILED";

/// The place of a step in its run, by ids, loop passes included: `account`, `push[17].up`.
pub type StepPath = Arc<str>;

/// What is known by step. A run of a million steps looks up millions of times, and the paths come from recipes that
/// people of the house wrote: the hash need not withstand an attacker.
pub type PathMap<V> = HashMap<StepPath, V, foldhash::fast::RandomState>;

/// Steps of which something is known.
pub type PathSet = HashSet<StepPath, foldhash::fast::RandomState>;

/// Why a step or a run failed, secrets already masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// One of the error classes.
    pub class: String,
    /// Stable code.
    pub code: String,
    /// What happened and why.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The failing step, on a run's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The request as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Json>,
    /// The answer as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Json>,
    /// What had failed before and led here, the nearest first: the error a `catch` was dealing with, the step of a called run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<EarlierError>,
}

/// What a longer chain of causes is cut to.
const CAUSES_MAX: usize = 8;

/// An error that led to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierError {
    /// The step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The run it failed in, when that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// One of the error classes.
    pub class: String,
    /// Stable code.
    pub code: String,
    /// What happened and why.
    pub message: String,
}

impl ErrorRecord {
    /// This error, which another led to: in a run of its own when `run` is given. What led to that one stays with its run: the
    /// two may be kept for different times. Said of the same error again, it stays as it is.
    #[must_use]
    pub fn caused_by(mut self, other: &Self, run: Option<String>) -> Self {
        let cause = EarlierError {
            path: other.path.clone(),
            run: run.clone(),
            class: other.class.clone(),
            code: other.code.clone(),
            message: other.message.clone(),
        };
        if !self.causes.contains(&cause) {
            self.causes.push(cause);
            if run.is_none() {
                self.causes.extend(other.causes.iter().cloned());
            }
            self.causes.truncate(CAUSES_MAX);
        }
        self
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All steps are done, or a `return` was reached.
    Succeeded,
    /// A step failed for good.
    Failed,
    /// A person cancelled it.
    Cancelled,
}

/// One line of the journal. The short field names are part of the stored format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub enum Entry {
    /// The run began with this event.
    Accepted {
        /// When.
        at: Timestamp,
        /// What started it: `webhook`, `api`, `schedule`, `replay`.
        via: Cow<'static, str>,
        /// The event.
        event: Arc<Json>,
        /// The parameters the recipe was activated with, so that replay sees the same.
        #[serde(default, skip_serializing_if = "is_empty_record")]
        params: Arc<Json>,
        /// The state the recipe kept from earlier runs, so that replay sees the same.
        #[serde(default, skip_serializing_if = "is_empty_record")]
        state: Arc<Json>,
        /// The `traceparent` its caller sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<Arc<str>>,
    },
    /// A pure step was computed.
    Computed {
        /// Its path.
        p: StepPath,
        /// When.
        at: Timestamp,
        /// Its value.
        out: Arc<Json>,
    },
    /// A step's condition was false.
    Skipped {
        /// Its path.
        p: StepPath,
        /// When.
        at: Timestamp,
    },
    /// An attempt begins.
    Started {
        /// The step's path.
        p: StepPath,
        /// The attempt, counted from 1 over the whole life of the run.
        n: u32,
        /// When.
        at: Timestamp,
        /// The input; given once, with the first attempt after the step became ready.
        #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
        input: Option<Arc<Json>>,
    },
    /// An attempt succeeded.
    Succeeded {
        /// The step's path.
        p: StepPath,
        /// The attempt.
        n: u32,
        /// When.
        at: Timestamp,
        /// The output.
        out: Arc<Json>,
    },
    /// An attempt failed, or a pure step could not be computed (attempt 0).
    Failed {
        /// The step's path.
        p: StepPath,
        /// The attempt.
        n: u32,
        /// When.
        at: Timestamp,
        /// Why.
        err: Box<ErrorRecord>,
        /// When it is tried again; `None` when it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Timestamp>,
        /// It may have had its effect all the same.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        doubt: bool,
    },
    /// An attempt whose effect may or may not have happened.
    Uncertain {
        /// The step's path.
        p: StepPath,
        /// The attempt.
        n: u32,
        /// When.
        at: Timestamp,
        /// What is known.
        err: Box<ErrorRecord>,
    },
    /// A failure that the recipe deals with: a step with a fallback or that may fail, or a `try`.
    Caught {
        /// The step's path.
        p: StepPath,
        /// When.
        at: Timestamp,
        /// What failed.
        err: Box<ErrorRecord>,
        /// What counts as the step's output; `None` for a `try`, whose `catch` follows, and for a pass.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out: Option<Arc<Json>>,
        /// A pass of a loop that a person is to look at when the run is over.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        held: bool,
    },
    /// A page of a stream is done: each pass over one of its items is over.
    Paged {
        /// The loop's path.
        p: StepPath,
        /// When.
        at: Timestamp,
        /// The page, counted from 0.
        page: usize,
        /// How many passes were made for the pages before.
        first: usize,
        /// How many were made for this one.
        count: usize,
        /// How many of these failed.
        #[serde(default, skip_serializing_if = "is_none")]
        failed: usize,
        /// How many of these gave null; `None` in journals of before this was counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filtered: Option<usize>,
        /// What they collected.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        out: Vec<Json>,
        /// What they gave for the file of the loop's results: a list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<Arc<Json>>,
        /// What the next page is asked for with; `None` after the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Json>,
        /// What the passes did is not needed any more to go on with the run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gone: bool,
    },
    /// A step begins to wait. It ends with `computed` when the time has come, or with `settled`.
    Waits {
        /// The step's path.
        p: StepPath,
        /// When.
        at: Timestamp,
        /// `timer`, `callback`, `approval`, or `call` for the end of a run it called.
        what: Cow<'static, str>,
        /// When it ends by itself; `None` for never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// What people are asked; of a call, the run that was called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask: Option<Arc<Json>>,
    },
    /// A person or a bulk operation lets a failed step try again.
    Reopened {
        /// The step's path.
        p: StepPath,
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
    },
    /// A person said that an uncertain effect did happen, with this output.
    Settled {
        /// The step's path.
        p: StepPath,
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
        /// The output.
        out: Arc<Json>,
    },
    /// What the recipe kept from earlier runs, as the run found it when it began.
    Found {
        /// When.
        at: Timestamp,
        /// The state.
        state: Arc<Json>,
    },
    /// A person or a bulk operation lets an ended run go on; its time limit begins anew.
    Resumed {
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
        /// The version it goes on under, when that is not the one it had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<i32>,
    },
    /// A person gives a run up whose effects may have happened: what it did is taken back, and nothing else is done.
    GivenUp {
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A failed run was repeated as a new run.
    Replayed {
        /// When.
        at: Timestamp,
        /// The new run.
        run: RunId,
    },
    /// A failed run was put aside.
    Discarded {
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The run ended.
    Ended {
        /// When.
        at: Timestamp,
        /// How.
        how: Ending,
        /// The result of a `return`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out: Option<Arc<Json>>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        err: Option<Box<ErrorRecord>>,
        /// Who cancelled it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

fn is_empty_record(value: &Arc<Json>) -> bool {
    match &**value {
        Json::Null => true,
        Json::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

impl Entry {
    /// The step the entry is about; `None` for entries about the run.
    #[must_use]
    pub const fn path(&self) -> Option<&StepPath> {
        match self {
            Self::Computed { p, .. }
            | Self::Skipped { p, .. }
            | Self::Started { p, .. }
            | Self::Succeeded { p, .. }
            | Self::Failed { p, .. }
            | Self::Uncertain { p, .. }
            | Self::Caught { p, .. }
            | Self::Paged { p, .. }
            | Self::Waits { p, .. }
            | Self::Reopened { p, .. }
            | Self::Settled { p, .. } => Some(p),
            Self::Accepted { .. }
            | Self::Found { .. }
            | Self::Resumed { .. }
            | Self::GivenUp { .. }
            | Self::Replayed { .. }
            | Self::Discarded { .. }
            | Self::Ended { .. } => None,
        }
    }

    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Accepted { at, .. }
            | Self::Computed { at, .. }
            | Self::Skipped { at, .. }
            | Self::Started { at, .. }
            | Self::Succeeded { at, .. }
            | Self::Failed { at, .. }
            | Self::Uncertain { at, .. }
            | Self::Caught { at, .. }
            | Self::Paged { at, .. }
            | Self::Waits { at, .. }
            | Self::Reopened { at, .. }
            | Self::Settled { at, .. }
            | Self::Found { at, .. }
            | Self::Resumed { at, .. }
            | Self::GivenUp { at, .. }
            | Self::Replayed { at, .. }
            | Self::Discarded { at, .. }
            | Self::Ended { at, .. } => *at,
        }
    }
}

impl Entry {
    /// The entry's kind in one word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Computed { .. } => "computed",
            Self::Skipped { .. } => "skipped",
            Self::Started { .. } => "started",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Uncertain { .. } => "uncertain",
            Self::Caught { .. } => "caught",
            Self::Paged { .. } => "paged",
            Self::Waits { .. } => "waits",
            Self::Reopened { .. } => "reopened",
            Self::Settled { .. } => "settled",
            Self::Found { .. } => "found",
            Self::Resumed { .. } => "resumed",
            Self::GivenUp { .. } => "given up",
            Self::Replayed { .. } => "replayed",
            Self::Discarded { .. } => "discarded",
            Self::Ended { .. } => "ended",
        }
    }
}

/// A run's journal as the engine needs it: the event, and where each step stands.
#[derive(Debug, Clone)]
pub struct Journal {
    /// What started it.
    pub via: Via,
    /// The event the run began with.
    pub event: Arc<Json>,
    /// The parameters it began with.
    pub params: Arc<Json>,
    /// The state it began with; found anew when somebody resumed it.
    pub state: Arc<Json>,
    /// How often the state was found: a run that finds it anew works out anew what it keeps.
    pub found: u32,
    /// Who gave it up, and why.
    pub given_up: Option<(String, String)>,
    /// It was resumed and has not found the state since.
    pub state_is_old: bool,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// The `traceparent` its caller sent.
    pub trace: Option<Arc<str>>,
    /// When it was accepted or last resumed: its time limit counts from here.
    pub since: Timestamp,
    /// Where each step stands, by path.
    pub steps: PathMap<StepState>,
    /// The input of steps that began and are not done, by path: another attempt sends the same, unless
    /// somebody reopened the step since.
    pub inputs: PathMap<Arc<Json>>,
    /// How often a reopened step sent something else than before, by path; each time it is another effect.
    pub turns: PathMap<u32>,
    /// When the first attempt of such steps began, by path.
    pub began: PathMap<Timestamp>,
    /// Steps whose effect may have happened although nobody knows, by path: since when. An attempt under way is one, too.
    pub doubts: PathMap<Doubted>,
    /// Doubtful steps that a person lets be repeated, by path: an attempt may still meet what an earlier one did.
    pub repeated: PathSet,
    /// Attempts made before somebody reopened the step: the retry policy counts from there.
    pub reopened: PathMap<u32>,
    /// Failures that the recipe deals with, by path: what failed, and what counts as the output.
    pub caught: PathMap<Caught>,
    /// Failed passes of loops that wait for a person, by path; each is caught, too.
    pub held: PathSet,
    /// Such passes that were reopened and are not done yet.
    pub late: PathSet,
    /// How far loops over streams are, by path.
    pub streams: PathMap<Stream>,
    /// How often it ended with nothing failed but such passes.
    pub partial_ends: u32,
    /// When each step began and ended, and in how many attempts, by path.
    pub lived: PathMap<Lived>,
    /// How many entries of steps were taken.
    noted: u64,
    /// The number the next chunk gets.
    pub next_seq: i32,
}

/// The first attempt of a step whose outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubted {
    /// The attempt.
    pub attempt: u32,
    /// When it began.
    pub since: Timestamp,
}

/// What failed, and what counts as the step's output; `None` for a `try`.
pub type Caught = (Box<ErrorRecord>, Option<Arc<Json>>);

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
