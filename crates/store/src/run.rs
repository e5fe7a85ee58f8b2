//! Runs as the store keeps them, and the transitions the engine asks for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Answer, Beside, ErrorRecord, Fingerprint, Lane, Parent, RecipeId, RunId, StepPath, Timestamp, WorkerId};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Accepted, not begun.
    Queued,
    /// Owned by a process.
    Running,
    /// Parked in the store until something is due.
    Waiting,
    /// Ended well.
    Succeeded,
    /// Ended badly; a dead letter until somebody deals with it.
    Failed,
    /// Ended by a person.
    Cancelled,
}

impl RunStatus {
    /// Every status, in the order of their numbers.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Waiting, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.number() == number)
    }

    /// The word used in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// True when nothing more will happen by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What a waiting run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// A point in time the recipe named.
    Timer,
    /// The pause before the next attempt.
    Retry,
    /// A person's decision.
    Approval,
    /// A call from outside.
    Callback,
    /// An open circuit.
    Circuit,
    /// An empty rate budget.
    Budget,
    /// An earlier run of the same key.
    Order,
    /// The end of a run it called.
    Call,
}

impl WaitingFor {
    /// Every reason, in the order of their numbers, which begin at 1.
    pub const ALL: [Self; 8] =
        [Self::Timer, Self::Retry, Self::Approval, Self::Callback, Self::Circuit, Self::Budget, Self::Order, Self::Call];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16 + 1
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.number() == number)
    }

    /// The word used in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Retry => "retry",
            Self::Approval => "approval",
            Self::Callback => "callback",
            Self::Circuit => "circuit",
            Self::Budget => "budget",
            Self::Order => "order",
            Self::Call => "call",
        }
    }
}

/// Which events count as the same: at most one run per (recipe, key) while the key is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventKey {
    /// The first 16 bytes of the key text's SHA-256.
    pub hash: [u8; 16],
    /// How long it is kept.
    pub expires_at: Timestamp,
    /// Says whether a repeated event also has the same content; the API answers 409 when not.
    pub fingerprint: Option<[u8; 16]>,
}

/// What a run is after a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// Goes on in the same process.
    Running,
    /// Anybody may claim it from `due_at` on.
    Queued {
        /// When.
        due_at: Timestamp,
    },
    /// Parked until `due_at`.
    Waiting {
        /// For what.
        reason: WaitingFor,
        /// Until when.
        due_at: Timestamp,
    },
    /// Ended well.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// Ended badly.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        error: Box<ErrorRecord>,
    },
    /// Cancelled.
    Cancelled {
        /// When.
        at: Timestamp,
    },
}

impl Then {
    /// The status the run has then.
    #[must_use]
    pub const fn status(&self) -> RunStatus {
        match self {
            Self::Running => RunStatus::Running,
            Self::Queued { .. } => RunStatus::Queued,
            Self::Waiting { .. } => RunStatus::Waiting,
            Self::Succeeded { .. } => RunStatus::Succeeded,
            Self::Failed { .. } => RunStatus::Failed,
            Self::Cancelled { .. } => RunStatus::Cancelled,
        }
    }

    /// What it waits for.
    #[must_use]
    pub const fn waiting_for(&self) -> Option<WaitingFor> {
        match self {
            Self::Waiting { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// When it may be claimed.
    #[must_use]
    pub const fn due_at(&self) -> Option<Timestamp> {
        match self {
            Self::Queued { due_at } | Self::Waiting { due_at, .. } => Some(*due_at),
            _ => None,
        }
    }

    /// When it ended.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self {
            Self::Succeeded { at } | Self::Failed { at, .. } | Self::Cancelled { at } => Some(*at),
            _ => None,
        }
    }

    /// Why it failed.
    #[must_use]
    pub fn error(&self) -> Option<&ErrorRecord> {
        match self {
            Self::Failed { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// An accepted event: its run, its key and whatever the run already did, in one transition.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The run's id; writing the same id twice changes nothing.
    pub id: RunId,
    /// The recipe.
    pub recipe: RecipeId,
    /// The version it runs.
    pub version: i32,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Which events are the same; `None` when every event is its own.
    pub key: Option<EventKey>,
    /// What people see and search for.
    pub label: Option<String>,
    /// What started it.
    pub via: Via,
    /// The run this one repeats.
    pub replay_of: Option<RunId>,
    /// The process that goes on with it, when `then` is [`Then::Running`].
    pub owner: WorkerId,
    /// The first chunk of its journal.
    pub chunk: Vec<u8>,
    /// The most attempts any of its steps needed so far.
    pub attempts: i32,
    /// What it is then. A run with a lane is never [`Then::Running`]: it may have to wait its turn.
    pub then: Then,
    /// The lane it queues in.
    pub lane: Option<Lane>,
    /// The step that called it.
    pub parent: Option<Parent>,
    /// What changes beside it.
    pub beside: Vec<Beside>,
}

/// A dead letter that a new run replays.
#[derive(Debug, Clone)]
pub struct ReplayedLetter {
    /// The failed run.
    pub run: RunId,
    /// Which of its failures: when it failed.
    pub failed_at: Timestamp,
    /// What its journal says of the replay, behind whatever it has.
    pub chunk: Vec<u8>,
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A request to a webhook address.
    Webhook,
    /// An API call.
    Api,
    /// A schedule.
    Schedule,
    /// A person or bulk operation repeated an earlier run.
    Replay,
    /// Another run called or started it.
    Call,
    /// Another run failed.
    Failure,
    /// A system was asked.
    Poll,
}

impl Via {
    /// Every way, in the order of their numbers.
    pub const ALL: [Self; 7] = [Self::Webhook, Self::Api, Self::Schedule, Self::Replay, Self::Call, Self::Failure, Self::Poll];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|via| via.number() == number)
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|via| via.as_str() == word)
    }

    /// The word used in the API and the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Api => "api",
            Self::Schedule => "schedule",
            Self::Replay => "replay",
            Self::Call => "call",
            Self::Failure => "failure",
            Self::Poll => "poll",
        }
    }
}

/// What became of a [`NewRun`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is durable.
    New,
    /// The key was known; nothing was written.
    Duplicate {
        /// The first run with that key.
        run: RunId,
        /// False when both events carried a fingerprint and they differ.
        same_content: bool,
    },
}

/// One more chunk of an owned run's journal and what the run is then.
#[derive(Debug, Clone)]
pub struct RunCommit {
    /// The run.
    pub run: RunId,
    /// Who writes; refused when the run is no longer owned by it.
    pub owner: WorkerId,
    /// The ownership it was claimed under; refused when that has passed on.
    pub epoch: i64,
    /// The chunk's number: the journal's next.
    pub seq: i32,
    /// The chunk. Empty when a run is let go of as it is: then nothing is added to its journal.
    pub chunk: Vec<u8>,
    /// The most attempts any of its steps needed so far.
    pub attempts: i32,
    /// What it is then.
    pub then: Then,
    /// The lane it leaves when it is over.
    pub lane: Option<[u8; 16]>,
    /// The steps that wait for an answer: a parked run is due at once when one of them has it already.
    pub listens: Vec<StepPath>,
    /// What changes beside it.
    pub beside: Vec<Beside>,
}

impl RunCommit {
    /// Other runs may be due because of it, or this one at once.
    #[must_use]
    pub fn changes_others(&self) -> bool {
        let ends = self.then.status().is_final() && self.lane.is_some();
        ends || !self.listens.is_empty() || !self.beside.is_empty()
    }
}

/// What workers that died left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Runs that are claimable again.
    pub runs: u64,
    /// Triggers that may be asked again.
    pub polls: u64,
    /// When the next lease ends that is not renewed until then.
    pub next: Option<Timestamp>,
}

/// What became of a [`RunCommit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is durable.
    Done,
    /// The run belongs to somebody else now; nothing was written.
    LeaseLost,
}

/// Transitions that become durable together.
#[derive(Debug, Default)]
pub struct Batch {
    /// New runs.
    pub accepts: Vec<Arc<NewRun>>,
    /// Commits of owned runs, at most one per run.
    pub commits: Vec<Arc<RunCommit>>,
}

/// What became of a [`Batch`], in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Of the new runs.
    pub accepts: Vec<Accepted>,
    /// Of the commits.
    pub commits: Vec<Committed>,
}

/// Chunks of a journal that come with a claim. Of longer journals the rest is read in parts.
pub const CLAIM_CHUNKS_MAX: usize = 64;

/// A run somebody may go on with: it owns the run from here on.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The run.
    pub id: RunId,
    /// Its recipe.
    pub recipe: RecipeId,
    /// Its version.
    pub version: i32,
    /// The ownership; every commit names it.
    pub epoch: i64,
    /// The most attempts any of its steps needed so far.
    pub attempts: i32,
    /// The first chunks of its journal, oldest first, at most [`CLAIM_CHUNKS_MAX`].
    pub chunks: Vec<(i32, Vec<u8>)>,
    /// The lane it is in.
    pub lane: Option<[u8; 16]>,
    /// The step that called it.
    pub parent: Option<Parent>,
    /// What its steps were answered and it has not taken in, oldest first.
    pub answers: Vec<Answer>,
}

/// A run in one line.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// Its recipe.
    pub recipe: RecipeId,
    /// The recipe's slug.
    pub slug: String,
    /// The recipe's title.
    pub title: String,
    /// Its version.
    pub version: i32,
    /// Where it stands.
    pub status: RunStatus,
    /// What it waits for.
    pub waiting_for: Option<WaitingFor>,
    /// When it goes on by itself.
    pub due_at: Option<Timestamp>,
    /// What people see and search for.
    pub label: Option<String>,
    /// What started it.
    pub via: Via,
    /// The run this one repeats.
    pub replay_of: Option<RunId>,
    /// The step that called it.
    pub parent: Option<Parent>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The most attempts any of its steps needed.
    pub attempts: i32,
    /// Why it failed: class, code, message, path.
    pub error: Option<ErrorRecord>,
    /// What became of the dead letter; `None` unless the run failed.
    pub dead_letter: Option<DeadLetter>,
}

/// Runs before another one in its lane are counted up to so many.
pub const LANE_COUNTED_MAX: u32 = 1_000;

/// Where a run stands in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanePlace {
    /// The run at the head: it has its turn, and where there is room for several, others behind it do, too.
    pub head: RunId,
    /// How many runs stand before it, counted up to [`LANE_COUNTED_MAX`].
    pub before: u32,
}

/// What became of a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetter {
    /// Waits for somebody.
    Open,
    /// Repeated as a new run.
    Replayed,
    /// Put aside, with a reason.
    Discarded,
}

impl DeadLetter {
    /// Every state, in the order of their numbers, which begin at 1.
    pub const ALL: [Self; 3] = [Self::Open, Self::Replayed, Self::Discarded];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16 + 1
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// Which runs a list shows, newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only this recipe.
    pub recipe: Option<RecipeId>,
    /// Only these statuses; empty means all.
    pub statuses: Vec<RunStatus>,
    /// Only labels that contain this text, or the run with this id.
    pub text: Option<String>,
    /// Only runs accepted at or after.
    pub since: Option<Timestamp>,
    /// Only runs accepted before.
    pub until: Option<Timestamp>,
    /// Only runs before this one: the last of the page before.
    pub before: Option<RunId>,
    /// Only failed runs whose dead letter is open.
    pub dead_letters: bool,
    /// Only open dead letters of this cause.
    pub cause: Option<Fingerprint>,
    /// At most so many.
    pub limit: u32,
}
