//! Operations: what a person wants done to many dead letters, carried out bit by bit by any process.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{OperationId, RunFilter, RunId, Timestamp};

/// Dead letters one operation deals with at most.
pub const OPERATION_RUNS_MAX: u32 = 100_000;

/// What is done to each dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// It goes on at the step that failed.
    Resume,
    /// Its event is run again as a new run.
    Replay,
    /// It is put aside.
    Discard,
}

impl OperationKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Resume, Self::Replay, Self::Discard];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The word used in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Some process goes on with it.
    Running,
    /// Waits for a person.
    Paused,
    /// Every dead letter was dealt with, or refused.
    Done,
    /// Ended by a person, or because the first ones failed again. The rest was left alone.
    Stopped,
}

impl OperationState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Done, Self::Stopped];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The word used in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }

    /// True when nothing more will happen.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Stopped)
    }
}

/// Which dead letters an operation takes. What it takes is settled when it is made.
#[derive(Debug, Clone)]
pub enum Selection {
    /// These runs, whatever they are: one that is no open dead letter is refused when its turn comes.
    Runs(Vec<RunId>),
    /// The open dead letters of a list.
    Filter(Box<RunFilter>),
}

/// How an operation is carried out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationOptions {
    /// For resume: with the recipe's active version instead of the run's own.
    #[serde(default)]
    pub active_version: bool,
    /// For resume: what became of effects that may have happened, `happened` or `repeat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<String>,
    /// For resume: what effects that happened returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// For discard: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Runs per second at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// For replay: a JSON merge patch (RFC 7396) put on each event before it runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Json>,
}

/// An operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What is done to each dead letter.
    pub kind: OperationKind,
    /// Where it stands.
    pub state: OperationState,
    /// Which dead letters, as they were asked for, to show to people.
    pub selection: Json,
    /// How.
    pub options: OperationOptions,
    /// So many go first and must end well; 0 once the rest may go.
    pub first: i32,
    /// How many it takes.
    pub total: i32,
    /// How many were dealt with.
    pub done: i32,
    /// How many could not be.
    pub failed: i32,
    /// Why it was stopped.
    pub note: Option<String>,
    /// Who wants it.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its next batch is not due before.
    pub next_at: Timestamp,
}

/// How far one run of an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Its turn has not come.
    Pending,
    /// Somebody began; whether it was dealt with shows in the run.
    Begun,
    /// Dealt with.
    Done,
    /// Refused; the message says why.
    Failed,
}

impl ItemState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Begun, Self::Done, Self::Failed];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The word used in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// One run of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationItem {
    /// The run.
    pub run: RunId,
    /// When the run had failed when it was chosen; `None` when there was no such run.
    pub failed_at: Option<Timestamp>,
    /// How far it is.
    pub state: ItemState,
    /// The new run of a replay.
    pub result: Option<RunId>,
    /// Why it was refused.
    pub message: Option<String>,
}

/// What became of one run of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemOutcome {
    /// The run.
    pub run: RunId,
    /// The new run of a replay, or why it was refused.
    pub outcome: Result<Option<RunId>, String>,
}

/// What changes an operation from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationChange {
    /// A running one waits for a person.
    Pause,
    /// A paused one goes on.
    GoOn,
    /// One that is not over ends. Says why when no person wanted it.
    Stop(Option<String>),
    /// The first ones ended well: the rest of a running one may go.
    Release,
}
