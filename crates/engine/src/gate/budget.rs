//! A connection's budget as one process sees it: the block it leased, and who waits for more.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use store::{BudgetAsk, BudgetLease, BudgetLimits, Day, RecipeId, RunId, Timestamp, Told, WorkerId};
use tokio::sync::Notify;

use super::{
    pace::Pace,
    turns::{Turns, Waiter},
};

/// A shorter wait is waited in memory, a longer one in the store.
pub(crate) const IN_MEMORY_MAX: Duration = Duration::from_secs(2);
/// So many wait in memory for one connection; others wait in the store, where waiting costs nothing.
const WAITERS_MAX: usize = 32;
/// After so many calls that went well, one more goes at the same time than since there were too many.
const WELL_BEFORE_WIDER: u32 = 10;
/// The same after so long, whatever calls come to: one that takes an hour must not hold the others up.
const WIDER_AFTER: Duration = Duration::from_secs(60);
/// Refusals that come so soon after fewer go are of calls from before.
const NARROW_AGAIN: Duration = Duration::from_secs(5);
/// Never fewer than these, where the limit itself is not lower: one long call would leave nothing to anybody else.
const NARROW_MIN: u32 = 2;
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
/// How soon somebody who waits in memory looks again by himself.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What a system says of its day is told to others no more often than this.
const HEARD_EVERY: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What a call takes, in seconds, before any was measured.
const CALL_S: f64 = 1.0;

/// What somebody who wants to call is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on; the call is counted.
    Pass,
    /// Wait in memory; you will be woken. Ask again at this instant at the latest.
    Wait(Timestamp),
    /// Wait in the store until then.
    Park(Timestamp),
}

/// Who asks.
pub(crate) struct Asker<'a> {
    pub(crate) recipe: RecipeId,
    pub(crate) waiter: Waiter,
    pub(crate) wake: &'a Arc<Notify>,
    /// Nobody waits for its run.
    pub(crate) background: bool,
}

/// Where the runs of a recipe that wait in the store stand in line.
#[derive(Debug, Clone, Copy)]
struct Line {
    newest: RunId,
    end: Timestamp,
}

/// One connection's budget in this process.
pub(crate) struct Budget {
    limits: BudgetLimits,
    tokens: u32,
    tokens_until: Timestamp,
    /// When the store was asked last.
    asked_at: Timestamp,
    slots: u32,
    slots_until: Timestamp,
    busy: u32,
    more_at: Timestamp,
    /// Nobody calls before, as the store says.
    paused_until: Timestamp,
    /// The same, as this process was told by the system; the store does not know yet.
    asked_until: Timestamp,
    /// Calls at the same time since the system said that there were too many; `None` while it does not mind.
    narrow: Option<u32>,
    /// When that was last changed.
    narrow_at: Timestamp,
    /// Calls that went well since it was widened.
    well: u32,
    turns: Turns,
    granted: HashSet<Waiter>,
    lines: HashMap<RecipeId, Line>,
    call_s: f64,
    day: Option<Day>,
    /// The system limits a day by itself.
    told: bool,
    told_at: Timestamp,
    pace: Pace,
    /// When the store is asked next.
    pub(crate) ask_at: Option<Timestamp>,
}

impl Budget {
    pub(crate) fn new(limits: BudgetLimits) -> Self {
        let zero = Timestamp::from_micros(0);
        Self {
            limits,
            tokens: 0,
            tokens_until: zero,
            asked_at: zero,
            slots: 0,
            slots_until: zero,
            busy: 0,
            more_at: zero,
            paused_until: zero,
            asked_until: zero,
            narrow: None,
            narrow_at: zero,
            well: 0,
            turns: Turns::default(),
            granted: HashSet::new(),
            lines: HashMap::new(),
            call_s: CALL_S,
            day: None,
            told: false,
            told_at: zero,
            pace: Pace::default(),
            ask_at: None,
        }
    }

    /// The limits were changed.
    pub(crate) fn set_limits(&mut self, limits: BudgetLimits, now: Timestamp) {
        if self.limits != limits {
            self.limits = limits;
            self.narrow = None;
            self.lines.clear();
            self.ask_at = Some(now);
        }
    }

    pub(crate) const fn limits(&self) -> &BudgetLimits {
        &self.limits
    }

    /// Somebody wants to call.
    pub(crate) fn ask(&mut self, asker: &Asker<'_>, now: Timestamp) -> Verdict {
        self.serve(now);
        let granted = self.granted.remove(&asker.waiter);
        if asker.background
            && let Some(until) = self.pace.hold(self.day.as_ref(), now)
        {
            if granted {
                self.undone(now);
            }
            return Verdict::Park(until);
        }
        if granted {
            if asker.background {
                self.pace.went(self.day.as_ref(), now);
            }
            return Verdict::Pass;
        }
        // Whoever came after those who wait in the store waits behind them.
        let line = self.lines.get(&asker.recipe).copied();
        let behind = line.is_some_and(|line| line.end > now && asker.waiter.0 > line.newest);
        if !behind && self.turns.len() == 0 && self.take(now) {
            if asker.background {
                self.pace.went(self.day.as_ref(), now);
            }
            return Verdict::Pass;
        }
        self.want(now);
        if behind {
            return Verdict::Park(self.line_up(asker, now));
        }
        let since = self.turns.enter(asker.recipe, asker.waiter.clone(), asker.wake, now);
        let until = since.after(IN_MEMORY_MAX);
        let expected = self.expected(self.turns.len(), now);
        if until > now && self.turns.len() <= WAITERS_MAX && expected <= until {
            return Verdict::Wait(expected.max(now.after(LOOK_AGAIN)).min(until));
        }
        self.turns.leave(asker.recipe, &asker.waiter);
        Verdict::Park(self.line_up(asker, now))
    }

    /// An attempt that goes on, and has told that its request before is over, wants to make one more. It is in memory in any
    /// case, so it keeps its turn there; or is told before which instant nobody goes on.
    pub(crate) fn ask_more(&mut self, asker: &Asker<'_>, now: Timestamp) -> Result<(), Timestamp> {
        self.serve(now);
        if self.granted.remove(&asker.waiter) || (self.turns.len() == 0 && self.take(now)) {
            if asker.background {
                self.pace.went(self.day.as_ref(), now);
            }
            return Ok(());
        }
        self.want(now);
        self.turns.enter(asker.recipe, asker.waiter.clone(), asker.wake, now);
        Err(now.max(self.held_until()).max(self.more_at))
    }

    /// It waits no longer.
    pub(crate) fn leave_one(&mut self, recipe: RecipeId, waiter: &Waiter, now: Timestamp) {
        self.turns.leave(recipe, waiter);
        if self.granted.remove(waiter) {
            self.undone(now);
        }
    }

    /// Somebody waits: the store is asked as soon as it has more.
    fn want(&mut self, now: Timestamp) {
        if self.limited() {
            let soon = now.max(self.more_at);
            self.ask_at = Some(self.ask_at.map_or(soon, |at| at.min(soon)));
        }
    }

    const fn limited(&self) -> bool {
        self.counted() || self.limits.in_flight.is_some()
    }

    /// Calls are counted.
    const fn counted(&self) -> bool {
        self.limits.per_second.is_some() || self.limits.per_day.is_some() || self.told
    }

    /// A background call above this share of a day's limit waits for its turn.
    pub(crate) const fn set_background_share(&mut self, share: f64) {
        self.pace.share = share;
    }

    /// Calls left of the day that this process knows of: of one that is over, all that the next one gives.
    pub(crate) fn day_left(&self, now: Timestamp) -> Option<i64> {
        self.day.map(|day| if day.ends_at > now { day.left } else { day.limit })
    }

    /// Calls this process may still make, or makes just now.
    pub(crate) fn outstanding(&self) -> i64 {
        i64::from(self.tokens) + i64::from(self.busy.saturating_sub(1))
    }

    /// The system said what is left of its day. True when that is worth telling the others.
    pub(crate) fn heard(&mut self, told: &Told) -> bool {
        let first = !self.told;
        self.told(told);
        // Close to the end every answer counts.
        let worth = first || told.left.saturating_mul(20) <= told.limit || told.at.since(self.told_at) >= HEARD_EVERY;
        if worth {
            self.told_at = told.at;
        }
        worth
    }

    /// The same, from another process.
    pub(crate) fn told(&mut self, told: &Told) {
        self.told = true;
        let ends_at = told.ends_at.unwrap_or_else(|| told.at.after(DAY));
        if self.day.is_none_or(|day| told.left <= day.left) {
            self.day = Some(Day { limit: told.limit, left: told.left, ends_at });
        }
    }

    /// When somebody with so many before him, himself included, may expect to call.
    fn expected(&self, place: usize, now: Timestamp) -> Timestamp {
        let start = now.max(self.held_until()).max(self.more_at);
        start.after(seconds(count(place.saturating_sub(1)) / self.rate()))
    }

    /// Calls a second that can be expected.
    fn rate(&self) -> f64 {
        let slots = self.limits.in_flight.map(|slots| slots.min(self.narrow.unwrap_or(slots)));
        let by_slots = slots.map(|slots| f64::from(slots) / self.call_s.max(0.001));
        let rate = match (self.limits.per_second, by_slots) {
            (Some(a), Some(b)) => a.min(b),
            (Some(rate), None) | (None, Some(rate)) => rate,
            (None, None) => super::circuit::RELEASE_PER_SECOND,
        };
        rate.max(0.000_01)
    }

    /// A place in the line of a recipe's runs that wait in the store: one due when its turn comes.
    fn line_up(&mut self, asker: &Asker<'_>, now: Timestamp) -> Timestamp {
        self.lines.retain(|_, line| line.end > now);
        let there = self.lines.contains_key(&asker.recipe);
        let gap = count(self.lines.len() + usize::from(!there)) / self.rate();
        let soonest = self.expected(self.turns.len() + 1, now).max(now.after(IN_MEMORY_MAX));
        let run = asker.waiter.0;
        let line = self.lines.entry(asker.recipe).or_insert(Line { newest: run, end: soonest });
        if run < line.newest || (there && run == line.newest) {
            // It had its place and found the way still barred: it goes before those behind it.
            return soonest.after(seconds(gap));
        }
        line.newest = run;
        line.end = line.end.max(soonest).after(seconds(gap));
        line.end
    }

    /// Takes a call if there is one.
    fn take(&mut self, now: Timestamp) -> bool {
        if self.narrow.is_some() && now.since(self.narrow_at) >= WIDER_AFTER {
            self.widen(now);
        }
        let counted = self.counted();
        let has_token = !counted || (self.tokens > 0 && now <= self.tokens_until);
        let has_slot = self.limits.in_flight.is_none() || (self.busy < self.slots && now <= self.slots_until);
        let has_slot = has_slot && self.narrow.is_none_or(|narrow| self.busy < narrow);
        if now < self.held_until() || !has_token || !has_slot {
            return false;
        }
        if counted {
            self.tokens -= 1;
            if self.tokens * 2 < self.block() {
                self.ask_at = Some(self.ask_at.map_or(now, |at| at.min(now)).max(self.more_at));
            }
        }
        self.busy += 1;
        true
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

    /// Lets those go on whose turn it is.
    pub(crate) fn serve(&mut self, now: Timestamp) {
        while self.turns.len() > 0 && self.take(now) {
            let Some((waiter, wake)) = self.turns.next() else { return };
            self.granted.insert(waiter);
            wake.notify_one();
        }
    }

    /// A call is over; it took so long.
    pub(crate) fn done(&mut self, took: Duration, now: Timestamp) {
        self.busy = self.busy.saturating_sub(1);
        self.call_s = self.call_s * 0.9 + took.as_secs_f64() * 0.1;
        self.serve(now);
    }

    /// A call that was let through was not made.
    pub(crate) fn undone(&mut self, now: Timestamp) {
        self.busy = self.busy.saturating_sub(1);
        if self.counted() {
            self.tokens += 1;
            self.ask_at = Some(self.ask_at.map_or(self.tokens_until, |at| at.min(self.tokens_until)));
        }
        self.serve(now);
    }

    /// A run left memory.
    pub(crate) fn leave(&mut self, recipe: RecipeId, run: RunId, now: Timestamp) {
        self.turns.leave_all(recipe, run);
        let before = self.granted.len();
        self.granted.retain(|(granted, _)| *granted != run);
        for _ in self.granted.len()..before {
            self.undone(now);
        }
    }

    /// The other system asked us to wait.
    pub(crate) fn pause(&mut self, until: Timestamp) {
        self.asked_until = self.asked_until.max(until);
    }

    /// The store knows of a pause now.
    pub(crate) fn pause_kept(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(until);
        if self.asked_until <= until {
            self.asked_until = Timestamp::from_micros(0);
        }
    }

    /// What the store says of a pause: it may have been ended by hand.
    pub(crate) fn set_pause(&mut self, until: Option<Timestamp>, now: Timestamp) {
        let before = std::mem::replace(&mut self.paused_until, until.unwrap_or(Timestamp::from_micros(0)));
        if before > now && self.held_until() < before {
            // Ended before its time: places in line that were reckoned with it are none.
            self.more_at = self.more_at.min(now);
            self.lines.clear();
            self.ask_at = self.limited().then_some(now);
            self.serve(now);
        }
    }

    /// Somebody ended or set the pause by hand, whatever the system asked for before.
    pub(crate) fn pause_by_hand(&mut self, until: Option<Timestamp>, now: Timestamp) {
        self.pause_kept(self.asked_until);
        self.set_pause(until, now);
    }

    fn held_until(&self) -> Timestamp {
        self.paused_until.max(self.asked_until)
    }

    /// The system said that there were too many calls. Where they are limited by how many run at the same time, others may
    /// use up the same limit: half as many go from now on. Those that were refused together count as one.
    pub(crate) fn too_many(&mut self, now: Timestamp) {
        let again = now >= self.held_until() && now.since(self.narrow_at) >= NARROW_AGAIN;
        if let Some(most) = self.limits.in_flight.filter(|_| again) {
            // The one that was refused is no longer counted.
            let at_once = self.narrow.unwrap_or(most).min(self.busy.saturating_add(1));
            self.narrow = Some((at_once / 2).max(most.min(NARROW_MIN)));
            (self.narrow_at, self.well) = (now, 0);
        }
    }

    /// A call went well: after some of them one more goes at the same time, until all do again.
    pub(crate) fn went_well(&mut self, now: Timestamp) {
        if self.narrow.is_some() {
            self.well += 1;
            if self.well >= WELL_BEFORE_WIDER {
                self.widen(now);
            }
        }
    }

    fn widen(&mut self, now: Timestamp) {
        (self.narrow_at, self.well) = (now, 0);
        let wider = self.narrow.map(|narrow| narrow + 1);
        self.narrow = wider.filter(|narrow| self.limits.in_flight.is_some_and(|most| *narrow < most));
    }

    /// What to ask the store for now.
    pub(crate) fn lease_ask(&mut self, connection: &str, worker: WorkerId, now: Timestamp) -> BudgetAsk {
        (self.ask_at, self.asked_at) = (None, now);
        let mut back = 0;
        if self.tokens > 0 && now > self.tokens_until {
            back = std::mem::take(&mut self.tokens);
        }
        let waiting = u32::try_from(self.turns.len()).unwrap_or(u32::MAX);
        let wanted = if waiting > 0 || now <= self.tokens_until { waiting.max(self.block()) } else { 0 };
        let may = self.narrow.map_or(u32::MAX, |narrow| narrow.saturating_sub(self.busy));
        let at_once = if now < self.held_until() { 0 } else { waiting.min(may) };
        let counted = self.counted();
        BudgetAsk {
            connection: connection.to_owned(),
            worker,
            limits: self.limits,
            tokens: if counted { wanted.saturating_sub(self.tokens) } else { 0 },
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
    pub(crate) fn leased(&mut self, lease: &BudgetLease, now: Timestamp) {
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
        self.set_pause(lease.paused_until, now);
        self.serve(now);
        let again = if self.turns.len() > 0 {
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
        self.ask_at = match (self.ask_at, again) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Runs that wait here, in memory and in the store, as far as this process knows.
    pub(crate) fn waiting(&self, now: Timestamp) -> f64 {
        let lines = count(self.lines.len()).max(1.0);
        // Nobody in the lines goes on before this.
        let start = now.max(self.held_until()).max(self.more_at);
        let parked: f64 = self.lines.values().map(|line| line.end.since(start).as_secs_f64() * self.rate() / lines).sum();
        count(self.turns.len()) + parked.floor()
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(365 * 24 * 3600))
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
