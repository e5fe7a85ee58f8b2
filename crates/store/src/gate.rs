//! Gates before the calls of a connection: circuits, budgets, and who changed them.

use async_trait::async_trait;

use crate::{AuditId, BudgetAsk, BudgetLease, BudgetRow, StoreError, Timestamp, Told, WaitingFor, WorkerId};

/// Calls of one kind that share a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GateClass {
    /// Calls that only read.
    Read,
    /// All others.
    Write,
}

impl GateClass {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.number() == number)
    }

    /// The word used in the API and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GateState {
    /// Calls go through.
    Closed,
    /// No call goes through.
    Open,
    /// One call at a time goes through, to see whether the system works again.
    HalfOpen,
}

impl GateState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The number stored, and the metric's value.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The word used in the API and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A circuit as all processes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRow {
    /// The connection's name.
    pub connection: String,
    /// Which of its calls.
    pub class: GateClass,
    /// Where it stands.
    pub state: GateState,
    /// Why, as a sentence for people.
    pub cause: String,
    /// Who brought it there: `liaison`, or a person or key.
    pub changed_by: String,
    /// Since when.
    pub since: Timestamp,
    /// Open: when a call may be tried, `None` until somebody closes it. Half-open: when the probe under
    /// way is given up, `None` when none is under way.
    pub next_probe: Option<Timestamp>,
    /// Whose call is the probe.
    pub prober: Option<WorkerId>,
    /// How often it opened since it was last closed.
    pub openings: i32,
    /// Probes that went well since it is half-open.
    pub successes: i32,
    /// Changes with every write; 0 when it was never written.
    pub revision: i64,
}

/// One entry of the audit list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its id; newer ones sort later.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who: `liaison`, or a person or key.
    pub who: String,
    /// One word for a program: `circuit.opened`.
    pub what: String,
    /// The thing: `connection crm`.
    pub about: String,
    /// A sentence for people.
    pub note: String,
}

/// What gates ask of a store. Each verb is one transaction.
#[async_trait]
pub trait Gates: Send + Sync + 'static {
    /// The time of the database, by which processes agree; `None` where there is only one process.
    async fn shared_clock(&self) -> Result<Option<Timestamp>, StoreError>;

    /// All circuits that were ever written.
    async fn gates(&self) -> Result<Vec<GateRow>, StoreError>;

    /// Writes a circuit's new state, and an audit entry with it. `row.revision` is the revision it was
    /// read with. False, and nothing written, when it changed since.
    async fn move_gate(&self, row: &GateRow, audit: Option<&AuditRow>) -> Result<bool, StoreError>;

    /// Takes a block of calls from a connection's budget, or gives back.
    async fn lease_budget(&self, ask: &BudgetAsk) -> Result<BudgetLease, StoreError>;

    /// Nobody calls through the connection before `until`, or a later instant asked for before.
    async fn pause_budget(&self, connection: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError>;

    /// Somebody says by hand until when nobody calls through the connection, whatever was asked for before; `None` lets
    /// them call again. False, and nothing written, when nothing waited that could be ended.
    async fn set_pause(
        &self,
        connection: &str,
        until: Option<Timestamp>,
        now: Timestamp,
        audit: &AuditRow,
    ) -> Result<bool, StoreError>;

    /// Connections whose systems asked to wait beyond `now`, and until when.
    async fn pauses(&self, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError>;

    /// The system behind a connection says what is left of its own limit for a day.
    async fn hear_limit(&self, connection: &str, told: &Told) -> Result<(), StoreError>;

    /// Connections whose systems said so, with what is left by now.
    async fn told_limits(&self) -> Result<Vec<(String, Told)>, StoreError>;

    /// What is left of a connection's budget; `None` when nobody took from it yet.
    async fn budget(&self, connection: &str) -> Result<Option<BudgetRow>, StoreError>;

    /// Runs that wait for this reason become due from `now` on, one every `gap_us` microseconds, those
    /// due first before the others; none becomes due later than it was. Returns how many were looked at.
    async fn hasten(&self, reason: WaitingFor, now: Timestamp, gap_us: i64) -> Result<u64, StoreError>;

    /// Adds an audit entry.
    async fn add_audit(&self, row: &AuditRow) -> Result<(), StoreError>;

    /// Audit entries, newest first: those before `before`, about one thing if `about` is given.
    async fn audit(&self, about: Option<&str>, before: Option<AuditId>, limit: u32) -> Result<Vec<AuditRow>, StoreError>;
}
