//! The only status words of the product, each with its icon and colour role.
//!
//! Shape, colour and word always go together; a template asks here and never invents a word.

/// What a waiting run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitFor {
    /// A pause written in the recipe.
    Timer,
    /// The next try of a step that failed.
    Retry,
    /// A person's answer.
    Approval,
    /// A call from outside.
    Callback,
    /// A connection that is paused because its system does not answer.
    Circuit,
    /// A connection whose allowed number of calls is used up for now.
    Budget,
    /// An earlier run with the same key.
    Order,
    /// The end of a run it called.
    Call,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Accepted, not started.
    Queued,
    /// A worker has it.
    Running,
    /// Parked in the store.
    Waiting(WaitFor),
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Stopped by a person or by the recipe's overlap rule.
    Cancelled,
}

/// The state of a run without the reason of a wait, as filters and tabs use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunKind {
    /// See [`RunStatus::Queued`].
    Queued,
    /// See [`RunStatus::Running`].
    Running,
    /// See [`RunStatus::Waiting`].
    Waiting,
    /// See [`RunStatus::Succeeded`].
    Succeeded,
    /// See [`RunStatus::Failed`].
    Failed,
    /// See [`RunStatus::Cancelled`].
    Cancelled,
}

/// The state of a step in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// A try is under way.
    Running,
    /// A try failed and another will follow.
    Retrying,
    /// Parked: a timer, a person, a paused connection.
    Waiting(WaitFor),
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Its condition was not met, or it is switched off.
    Skipped,
    /// It may have happened; a person decides.
    Uncertain,
    /// The run ended while it was under way or waited.
    Stopped,
    /// The run ended before it, or has not come to it yet.
    NotReached,
}

impl RunKind {
    /// All kinds in the order of the tabs.
    pub const ALL: [Self; 6] = [Self::Failed, Self::Waiting, Self::Running, Self::Queued, Self::Succeeded, Self::Cancelled];

    /// The value used in URLs and by the API.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The kind with this [slug](Self::slug).
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.slug() == slug)
    }

    /// The word people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Waiting => "Waiting",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl RunStatus {
    /// The status without the reason of a wait.
    pub fn kind(self) -> RunKind {
        match self {
            Self::Queued => RunKind::Queued,
            Self::Running => RunKind::Running,
            Self::Waiting(_) => RunKind::Waiting,
            Self::Succeeded => RunKind::Succeeded,
            Self::Failed => RunKind::Failed,
            Self::Cancelled => RunKind::Cancelled,
        }
    }

    /// The word people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting(WaitFor::Retry) => "Retrying",
            Self::Waiting(WaitFor::Circuit) => "Paused",
            other => other.kind().word(),
        }
    }

    /// The colour role: `ok`, `fail`, `warn`, `run`, `hold` or `idle`.
    pub fn tone(self) -> &'static str {
        match self {
            Self::Queued | Self::Cancelled => "idle",
            Self::Running => "run",
            Self::Waiting(WaitFor::Retry) => "warn",
            Self::Waiting(_) => "hold",
            Self::Succeeded => "ok",
            Self::Failed => "fail",
        }
    }

    /// The icon's name.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Queued => "idlec",
            Self::Running => "runc",
            Self::Waiting(WaitFor::Retry) => "retryc",
            Self::Waiting(_) => "holdc",
            Self::Succeeded => "okc",
            Self::Failed => "failc",
            Self::Cancelled => "stopc",
        }
    }

    /// Whether the run will still move by itself or by an answer.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Waiting(_))
    }
}

impl StepStatus {
    /// The word people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Retrying => "Retrying",
            Self::Waiting(WaitFor::Circuit) => "Paused",
            Self::Waiting(_) => "Waiting",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Skipped => "Skipped",
            Self::Uncertain => "May have happened",
            Self::Stopped => "Stopped",
            Self::NotReached => "Not reached",
        }
    }

    /// The colour role.
    pub fn tone(self) -> &'static str {
        match self {
            Self::Running => "run",
            Self::Retrying | Self::Uncertain => "warn",
            Self::Waiting(_) => "hold",
            Self::Succeeded => "ok",
            Self::Failed => "fail",
            Self::Skipped | Self::Stopped | Self::NotReached => "idle",
        }
    }

    /// The icon's name.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Running => "runc",
            Self::Retrying => "retryc",
            Self::Waiting(_) => "holdc",
            Self::Succeeded => "okc",
            Self::Failed => "failc",
            Self::Skipped => "skipc",
            Self::Uncertain => "alert",
            Self::Stopped => "stopc",
            Self::NotReached => "idlec",
        }
    }

    /// Whether the step was begun in this run.
    pub fn was_begun(self) -> bool {
        !matches!(self, Self::Skipped | Self::NotReached)
    }

    /// Whether the step will still move.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Retrying | Self::Waiting(_))
    }
}

impl WaitFor {
    /// What the run waits for, as the second half of a sentence: "Waiting for …".
    pub fn what(self) -> &'static str {
        match self {
            Self::Timer => "a pause in the recipe",
            Self::Retry => "the next try",
            Self::Approval => "a person",
            Self::Callback => "a call from outside",
            Self::Circuit => "a connection that is paused",
            Self::Budget => "the next allowed call",
            Self::Order => "an earlier run with the same key",
            Self::Call => "the recipe it called",
        }
    }
}
