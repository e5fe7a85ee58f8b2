//! How a connection's budget is shared: the rule both dialects keep, as a function.

use std::time::Duration;

use crate::{Day, GateClass, Timestamp, Told, WorkerId};

/// One call, in the unit tokens are kept in.
pub const TOKEN: i64 = 1_000_000;
pub(crate) const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// How many calls a connection takes. `None` means without limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BudgetLimits {
    /// Calls a second.
    pub per_second: Option<f64>,
    /// Calls at once after a pause; used with `per_second`.
    pub burst: u32,
    /// Calls a day; the day begins at 00:00 UTC.
    pub per_day: Option<u32>,
    /// Calls at the same time.
    pub in_flight: Option<u32>,
}

/// The name under which the budget of one class of a connection's calls is kept beside the connection's own. No connection
/// has such a name.
#[must_use]
pub fn class_budget(connection: &str, class: GateClass) -> String {
    format!("{connection}/{}", class.as_str())
}

/// What a process wants of a budget.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetAsk {
    /// The connection's name, or what [`class_budget`] makes of it.
    pub connection: String,
    /// Who asks.
    pub worker: WorkerId,
    /// The limits in force.
    pub limits: BudgetLimits,
    /// Calls it wants to make soon.
    pub tokens: u32,
    /// Calls it took before and did not make.
    pub back: u32,
    /// Calls it took before and may still make, those it gives back not counted.
    pub unspent: u32,
    /// Calls it makes as soon as it has them and may: somebody waits for each.
    pub at_once: u32,
    /// It makes none of those it gets after that.
    pub lent_until: Timestamp,
    /// Calls it has in flight.
    pub busy: u32,
    /// Calls it would have in flight if it could, those it has included.
    pub wanted: u32,
    /// Now, by the clock the processes share.
    pub now: Timestamp,
    /// What it holds in flight is free after that.
    pub hold_until: Timestamp,
}

/// What a process gets of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BudgetLease {
    /// Calls it may make.
    pub tokens: u32,
    /// When more come, if it got fewer than it asked for.
    pub more_at: Option<Timestamp>,
    /// Calls it may begin to have in flight: no further one begins while it has so many.
    pub slots: u32,
    /// Calls left today, those just given taken off.
    pub day_left: Option<u32>,
    /// The other system asked everybody to wait until then.
    pub paused_until: Option<Timestamp>,
    /// The day's limit that leaves least, if a day is limited.
    pub day: Option<Day>,
}

/// What is left of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRow {
    /// Millionths of a call that may be made now.
    pub tokens: i64,
    /// When `tokens` was true.
    pub refreshed_at: Timestamp,
    /// Days since 1970 UTC.
    pub day: i64,
    /// Calls of that day.
    pub day_used: i64,
    /// The other system asked everybody to wait until then.
    pub paused_until: Option<Timestamp>,
    /// When it asked.
    pub paused_at: Option<Timestamp>,
    /// What the other system says of its own limit for a day.
    pub told: Option<Told>,
}

/// What one process holds of the calls in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetHolder {
    /// The process.
    pub worker: WorkerId,
    /// Calls it may have in flight.
    pub held: u32,
    /// Calls it would make if it could.
    pub wanted: u32,
    /// What it holds is free after that.
    pub hold_until: Timestamp,
    /// Calls it took ahead and may not have made.
    pub lent: u32,
    /// It makes none of them after that.
    pub lent_until: Timestamp,
}

impl BudgetRow {
    /// A budget nobody took from yet: full.
    #[must_use]
    pub fn full(limits: &BudgetLimits, now: Timestamp) -> Self {
        let day = now.micros().div_euclid(DAY_US);
        Self {
            tokens: i64::from(limits.burst.max(1)) * TOKEN,
            refreshed_at: now,
            day,
            day_used: 0,
            paused_until: None,
            paused_at: None,
            told: None,
        }
    }

    /// The first instant of the day after.
    #[must_use]
    pub const fn next_day(&self) -> Timestamp {
        Timestamp::from_micros((self.day + 1) * DAY_US)
    }

    /// Gives a process what it asked for as far as it is there. `holders` are those who hold some, the one
    /// who asks among them. Returns the budget after that, what is held for the asker from now on, and its answer.
    ///
    /// What is there and what is lent are never more than the burst together: calls that were taken ahead and are made
    /// later must not come on top of a burst that filled up meanwhile.
    #[must_use]
    pub fn lease(mut self, holders: &[BudgetHolder], ask: &BudgetAsk) -> (Self, BudgetHolder, BudgetLease) {
        self.mend(ask.now);
        // What was lent for any part of the time since the last look counts for all of it.
        let counts = |holder: &&BudgetHolder| holder.lent_until >= self.refreshed_at;
        let (mut own, mut others) = (0, 0_u32);
        for holder in holders.iter().filter(counts) {
            if holder.worker == ask.worker { own = holder.lent } else { others = others.saturating_add(holder.lent) }
        }
        self.refresh(&ask.limits, others.saturating_add(own), ask.now);
        self.take_back(&ask.limits, others.saturating_add(own.saturating_sub(ask.back)), ask.back);
        let paused_until = self.paused_until.filter(|until| *until > ask.now);
        let (tokens, more_at) = match paused_until {
            Some(until) => (0, Some(until)),
            None => self.take(&ask.limits, ask.tokens, ask.now),
        };
        let (held, slots) = share(holders, ask);
        // Nobody begins more at once than may be under way.
        let at_once = if ask.limits.in_flight.is_some() { ask.at_once.min(slots.saturating_sub(ask.busy)) } else { ask.at_once };
        let unspent = ask.unspent.saturating_add(tokens);
        let lent = if ask.limits.per_second.is_some() { unspent.saturating_sub(at_once) } else { 0 };
        let (worker, wanted) = (ask.worker, ask.wanted);
        let holder = BudgetHolder { worker, held, wanted, hold_until: ask.hold_until, lent, lent_until: ask.lent_until };
        let day_left = self.day_left(&ask.limits, ask.now);
        let lease = BudgetLease { tokens, more_at, slots, day_left, paused_until, day: self.day(&ask.limits, ask.now) };
        (self, holder, lease)
    }

    /// Calls left today.
    #[must_use]
    pub fn day_left(&self, limits: &BudgetLimits, now: Timestamp) -> Option<u32> {
        self.day(limits, now).map(|day| u32::try_from(day.left).unwrap_or(0))
    }

    /// Figures nobody wrote must not park a connection's runs for ever, or give it all it wants.
    fn mend(&mut self, now: Timestamp) {
        let today = now.micros().div_euclid(DAY_US);
        if self.day > today + 1 {
            (self.day, self.day_used) = (today, 0);
        }
        (self.tokens, self.day_used) = (self.tokens.max(0), self.day_used.max(0));
        // The clock is the database's own; it does not go back by a day.
        if self.refreshed_at.micros() > now.micros().saturating_add(DAY_US) {
            self.refreshed_at = now;
        }
    }

    fn refresh(&mut self, limits: &BudgetLimits, lent: u32, now: Timestamp) {
        let day = now.micros().div_euclid(DAY_US);
        if day > self.day {
            (self.day, self.day_used) = (day, 0);
        }
        self.forget_what_is_over(now);
        if let Some(per_second) = limits.per_second {
            // A microsecond brings `per_second` millionths of a call.
            let grown = duration_us(now.since(self.refreshed_at)) * per_second;
            self.tokens = self.tokens.saturating_add(whole(grown)).min(most(limits, lent));
        }
        self.refreshed_at = self.refreshed_at.max(now);
    }

    fn take_back(&mut self, limits: &BudgetLimits, lent: u32, back: u32) {
        self.day_used = (self.day_used - i64::from(back)).max(0);
        self.take_told(-i64::from(back));
        if limits.per_second.is_some() {
            self.tokens = (self.tokens + i64::from(back) * TOKEN).min(most(limits, lent));
        }
    }

    fn take(&mut self, limits: &BudgetLimits, wanted: u32, now: Timestamp) -> (u32, Option<Timestamp>) {
        let by_rate = limits.per_second.map_or(wanted, |_| u32::try_from(self.tokens / TOKEN).unwrap_or(0).min(wanted));
        let given = self.day_left(limits, now).map_or(by_rate, |left| left.min(by_rate));
        if limits.per_second.is_some() {
            self.tokens -= i64::from(given) * TOKEN;
        }
        self.day_used = self.day_used.saturating_add(i64::from(given));
        self.take_told(i64::from(given));
        if given >= wanted {
            return (given, None);
        }
        if self.day_left(limits, now) == Some(0) {
            return (given, self.more_of_the_day_at(limits, now));
        }
        let missing = (TOKEN - self.tokens.rem_euclid(TOKEN)).max(1);
        let per_second = limits.per_second.unwrap_or(1.0).max(f64::MIN_POSITIVE);
        #[expect(clippy::cast_precision_loss, reason = "less than a call")]
        let pause = Duration::try_from_secs_f64(missing as f64 / TOKEN as f64 / per_second).unwrap_or(Duration::MAX);
        (given, Some(now.after(pause)))
    }
}

/// What may gather while so many calls are lent.
fn most(limits: &BudgetLimits, lent: u32) -> i64 {
    i64::from(limits.burst.max(1).saturating_sub(lent)) * TOKEN
}

/// What is held for the asker, and what it may use: no more together than the limit, and a fair part
/// while others want some too.
fn share(holders: &[BudgetHolder], ask: &BudgetAsk) -> (u32, u32) {
    let Some(limit) = ask.limits.in_flight else { return (0, u32::MAX) };
    let alive = || holders.iter().filter(|holder| holder.hold_until > ask.now && holder.worker != ask.worker);
    let free = alive().fold(limit, |free, holder| free.saturating_sub(holder.held));
    let wanting = u32::try_from(alive().filter(|holder| holder.wanted > 0).count()).unwrap_or(u32::MAX);
    let hungry = alive().any(|holder| holder.wanted > holder.held);
    let part = if hungry { limit.div_ceil(wanting.saturating_add(1)) } else { limit };
    let slots = ask.wanted.min(free).min(part);
    // Calls under way cannot be taken back: what is over the part is given up when they end.
    (slots.max(ask.busy), slots)
}

#[expect(clippy::cast_precision_loss, reason = "a rate is no exact thing")]
fn duration_us(duration: Duration) -> f64 {
    duration.as_micros() as f64
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
const fn whole(number: f64) -> i64 {
    number as i64
}
