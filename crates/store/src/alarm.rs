//! Alarms people set, and the notices they raise.
//!
//! Any process may find that there is something to tell. [`Alarms::raise`] makes one notice of it however many do; a
//! notice is then delivered under a lease, again and again until somebody takes it or it is given up.

use async_trait::async_trait;
use serde_json::Value as Json;

use crate::{NoticeId, RecipeId, StoreError, Timestamp};

/// Alarms of one installation at most.
pub const ALARMS_MAX: u32 = 1_000;

/// What somebody wants to be told, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmRow {
    /// Its name, unique.
    pub name: String,
    /// The recipe it watches; `None` for all.
    pub recipe: Option<RecipeId>,
    /// What it watches for. The store does not look into it.
    pub rule: Json,
    /// How it tells. The store does not look into it.
    pub deliver: Json,
    /// Who set it.
    pub set_by: String,
    /// When. What happened before raises nothing.
    pub set_at: Timestamp,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticeRow {
    /// Its id; newer ones sort later. Deliveries carry it, so that a repeated one can be told.
    pub id: NoticeId,
    /// The alarm that raised it.
    pub alarm: String,
    /// What it is about, within its alarm: notices of one group are not raised often.
    pub group: String,
    /// When.
    pub raised_at: Timestamp,
    /// What is told.
    pub body: Json,
    /// Where its delivery stands.
    pub state: NoticeState,
    /// Deliveries tried.
    pub tries: i32,
    /// When the next one is due, or when the last one was.
    pub next_at: Timestamp,
    /// Why the last one failed.
    pub error: Option<String>,
}

/// Where the delivery of a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeState {
    /// Not delivered yet.
    Waiting,
    /// Delivered.
    Sent,
    /// Tried too often.
    GivenUp,
}

impl NoticeState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Sent, Self::GivenUp];

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
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::GivenUp => "given_up",
        }
    }
}

/// What became of a raised notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It is kept and will be delivered.
    New,
    /// One of its group was raised at that time, which is too lately for another.
    Before(Timestamp),
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Where the notice stands now.
    pub state: NoticeState,
    /// When it is tried again, or when it was delivered or given up.
    pub at: Timestamp,
    /// Why it failed.
    pub error: Option<String>,
}

/// What alarms ask of a store. Each verb is one transaction.
#[async_trait]
pub trait Alarms: Send + Sync + 'static {
    /// All alarms, by name, at most [`ALARMS_MAX`].
    async fn alarms(&self) -> Result<Vec<AlarmRow>, StoreError>;

    /// Sets an alarm, new or in the place of the one with its name. False when there are [`ALARMS_MAX`] others.
    async fn set_alarm(&self, row: &AlarmRow) -> Result<bool, StoreError>;

    /// Removes an alarm and what it remembers; its notices that are not delivered go with it. False when there is none.
    async fn remove_alarm(&self, name: &str) -> Result<bool, StoreError>;

    /// Keeps a notice unless one of its group was raised after `quiet_since`.
    async fn raise(&self, notice: &NoticeRow, quiet_since: Timestamp) -> Result<Raised, StoreError>;

    /// Takes a notice whose delivery is due, until `lease_until`; afterwards it is anybody's again.
    async fn take_notice(&self, now: Timestamp, lease_until: Timestamp) -> Result<Option<NoticeRow>, StoreError>;

    /// Keeps what became of a delivery. False when the notice is gone or not waiting.
    async fn notice_delivered(&self, id: NoticeId, delivered: &Delivered) -> Result<bool, StoreError>;

    /// Notices of one alarm or all, newest first: those before `before`, at most `limit`.
    async fn notices(&self, alarm: Option<&str>, before: Option<NoticeId>, limit: u32) -> Result<Vec<NoticeRow>, StoreError>;

    /// Removes notices that were delivered or given up, and what groups remember, from before `before`, at most
    /// `limit` of each.
    async fn prune_notices(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}
