//! One limit as one process sees it: the block it leased, and what it has under way.

use std::time::Duration;

use store::{BudgetAsk, BudgetLease, BudgetLimits, Day, Timestamp, WorkerId};

/// A leased call that was not made within this time is given back.
const TOKENS_LAST: Duration = Duration::from_secs(1);
/// A lease gives calls for so long ahead, in seconds.
const AHEAD_S: f64 = 0.25;
/// Calls leased at once where only a day is limited.
const BLOCK_OF_A_DAY: u32 = 20;
/// What a process holds in flight is free for others after that long without a word of it.
const HOLD: Duration = Duration::from_secs(30);
/// It begins no call so shortly before.
const HOLD_MARGIN: Duration = Duration::from_secs(5);
/// How often it renews what it holds.
const RENEW: Duration = Duration::from_secs(1);
/// How often it asks while somebody waits and the store cannot say when more comes.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// What a call takes, in seconds, before any was measured.
const CALL_S: f64 = 1.0;

/// One limit in this process: of a connection, or of one class of its calls.
pub(super) struct Meter {
    limits: BudgetLimits,
    tokens: u32,
    tokens_until: Timestamp,
    /// Calls the store takes for made already that were not.
    promised: u32,
    /// When the store was asked last.
    asked_at: Timestamp,
    slots: u32,
    slots_until: Timestamp,
    pub(super) busy: u32,
    pub(super) more_at: Timestamp,
    /// Somebody waits for it until then: there was too little.
    dry_until: Timestamp,
    call_s: f64,
    pub(super) day: Option<Day>,
    /// The system limits a day by itself.
    pub(super) told: bool,
    /// When the store is asked next.
    pub(super) ask_at: Option<Timestamp>,
}

impl Meter {
    pub(super) fn new(limits: BudgetLimits) -> Self {
        let zero = Timestamp::from_micros(0);
        Self {
            limits,
            tokens: 0,
            tokens_until: zero,
            promised: 0,
            asked_at: zero,
            slots: 0,
            slots_until: zero,
            busy: 0,
            more_at: zero,
            dry_until: zero,
            call_s: CALL_S,
            day: None,
            told: false,
            ask_at: None,
        }
    }

    pub(super) const fn limits(&self) -> &BudgetLimits {
        &self.limits
    }

    /// True when they were others before.
    pub(super) fn set_limits(&mut self, limits: BudgetLimits, now: Timestamp) -> bool {
        if self.limits == limits {
            return false;
        }
        self.limits = limits;
        self.ask_at = Some(now);
        true
    }

    pub(super) const fn limited(&self) -> bool {
        self.counted() || self.limits.in_flight.is_some()
    }

    /// Calls are counted.
    const fn counted(&self) -> bool {
        self.limits.per_second.is_some() || self.limits.per_day.is_some() || self.told
    }

    /// Calls this process may still make, or makes just now.
    pub(super) fn outstanding(&self) -> i64 {
        i64::from(self.tokens) + i64::from(self.busy.saturating_sub(1))
    }

    /// Calls a second that can be expected, if there is a limit; `narrow` is one of those at the same time.
    pub(super) fn rate(&self, narrow: Option<u32>) -> Option<f64> {
        let slots = self.limits.in_flight.map(|slots| slots.min(narrow.unwrap_or(slots)));
        let by_slots = slots.map(|slots| f64::from(slots) / self.call_s.max(0.001));
        match (self.limits.per_second, by_slots) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (Some(rate), None) | (None, Some(rate)) => Some(rate),
            (None, None) => None,
        }
    }

    /// Calls that may begin now.
    pub(super) fn free(&self, now: Timestamp) -> u32 {
        let tokens = match self.counted() {
            true if now > self.tokens_until => 0,
            true => self.tokens,
            false => u32::MAX,
        };
        let slots = match self.limits.in_flight {
            Some(_) if now > self.slots_until => 0,
            Some(_) => self.slots.saturating_sub(self.busy),
            None => u32::MAX,
        };
        tokens.min(slots)
    }

    /// A call begins.
    pub(super) fn take(&mut self, now: Timestamp) {
        if self.counted() {
            self.tokens = self.tokens.saturating_sub(1);
            self.promised = self.promised.saturating_sub(1);
            if self.tokens * 2 < self.block() {
                self.ask_at = Some(self.ask_at.map_or(now, |at| at.min(now)).max(self.more_at));
            }
        }
        self.busy += 1;
    }

    /// A call is over; it took so long.
    pub(super) fn done(&mut self, took: Duration) {
        self.busy = self.busy.saturating_sub(1);
        self.call_s = self.call_s * 0.9 + took.as_secs_f64() * 0.1;
    }

    /// A call that was let through was not made.
    pub(super) fn undone(&mut self) {
        self.busy = self.busy.saturating_sub(1);
        if self.counted() {
            self.tokens += 1;
            self.ask_at = Some(self.ask_at.map_or(self.tokens_until, |at| at.min(self.tokens_until)));
        }
    }

    /// Somebody waits for it: the store is asked as soon as it has more.
    pub(super) fn want(&mut self, now: Timestamp) {
        if self.limited() {
            let soon = now.max(self.more_at);
            self.ask_at = Some(self.ask_at.map_or(soon, |at| at.min(soon)));
        }
    }

    /// It may have more than is known here: the store was not asked in vain just now.
    pub(super) fn may_have_more(&self, now: Timestamp) -> bool {
        now >= self.more_at.max(self.dry_until)
    }

    /// The store is told of calls it takes for made, and that wait for something else.
    pub(super) fn own_up(&mut self, now: Timestamp) {
        if self.promised > 0 && self.tokens > 0 {
            self.ask_at = Some(now);
        }
    }

    /// Calls leased at once: fewer when a day comes to its end, so that none is held where it is not used.
    fn block(&self) -> u32 {
        let left = self.day.map_or(u32::MAX, |day| u32::try_from(day.left / 10).unwrap_or(u32::MAX));
        self.block_by_rate().min(left.max(1))
    }

    fn block_by_rate(&self) -> u32 {
        match self.limits.per_second {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the cast saturates, and a rate is above 0"
            )]
            Some(per_second) => ((per_second * AHEAD_S).ceil() as u32).clamp(1, self.limits.burst.max(1)),
            None if self.counted() => BLOCK_OF_A_DAY,
            None => 0,
        }
    }

    /// What to ask the store for now: so many wait for it, and so many of them go as soon as it comes.
    pub(super) fn lease_ask(&mut self, key: String, worker: WorkerId, waiting: u32, at_once: u32, now: Timestamp) -> BudgetAsk {
        (self.ask_at, self.asked_at, self.promised) = (None, now, at_once);
        // The store counts with these only, and may give the others to somebody else before its answer is here.
        self.slots = self.slots.min(self.busy);
        let mut back = 0;
        if self.tokens > 0 && now > self.tokens_until {
            back = std::mem::take(&mut self.tokens);
        }
        let wanted = if waiting > 0 || now <= self.tokens_until { waiting.max(self.block()) } else { 0 };
        BudgetAsk {
            connection: key,
            worker,
            limits: self.limits,
            tokens: if self.counted() { wanted.saturating_sub(self.tokens) } else { 0 },
            back,
            unspent: self.tokens,
            at_once,
            lent_until: now.after(TOKENS_LAST),
            busy: self.busy,
            wanted: self.busy.saturating_add(waiting),
            now,
            hold_until: now.after(HOLD),
        }
    }

    /// What the store gave.
    pub(super) fn leased(&mut self, lease: &BudgetLease, now: Timestamp) {
        self.tokens += lease.tokens;
        if lease.tokens > 0 {
            // Those for whom it was asked go on now, however long the answer took.
            self.tokens_until = self.asked_at.after(TOKENS_LAST).max(now);
        }
        self.day = lease.day;
        if lease.day.is_none() {
            self.told = false;
        }
        self.slots = lease.slots;
        self.slots_until = now.after(HOLD - HOLD_MARGIN);
        self.more_at = lease.more_at.unwrap_or(Timestamp::from_micros(0));
    }

    /// After a lease: when it asks again. Somebody may still wait for more than there is.
    pub(super) fn rest(&mut self, somebody_waits: bool, now: Timestamp) {
        let again = if somebody_waits {
            // No later than more comes, and often enough to see what other processes let go of.
            Some(self.more_at.max(now.after(ASK_AGAIN)))
        } else if self.busy > 0 && self.limits.in_flight.is_some() {
            Some(now.after(RENEW))
        } else if self.tokens > 0 {
            Some(self.tokens_until.after(Duration::from_millis(1)))
        } else if self.slots > 0 && self.limits.in_flight.is_some() {
            // Once more, to let go of what is no longer needed.
            Some(now.after(RENEW))
        } else {
            None
        };
        self.dry_until = again.filter(|_| somebody_waits).unwrap_or(now);
        self.ask_at = match (self.ask_at, again) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
