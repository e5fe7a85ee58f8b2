//! A connection's budget as one process sees it: what it may call, in all and of each class, and who waits for more.
//!
//! There is one line for all. A call takes of its connection's limit and of its class's, if that has one, in the same
//! moment: whoever waits for one of them holds nothing of the other.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use store::{BudgetAsk, BudgetLease, BudgetLimits, Day, GateClass, RecipeId, RunId, Timestamp, Told, WorkerId, class_budget};
use tokio::sync::Notify;

use super::{
    circuit::RELEASE_PER_SECOND,
    meter::Meter,
    pace::Pace,
    turns::{Turns, Waiter},
};

/// A shorter wait is waited in memory, a longer one in the store.
pub(crate) const IN_MEMORY_MAX: Duration = Duration::from_secs(2);
/// So many of a lane wait in memory for one connection; others wait in the store, where waiting costs nothing.
const WAITERS_MAX: usize = 32;
/// After so many calls that went well, one more goes at the same time than since there were too many.
const WELL_BEFORE_WIDER: u32 = 10;
/// The same after so long, whatever calls come to: one that takes an hour must not hold the others up.
const WIDER_AFTER: Duration = Duration::from_secs(60);
/// Refusals that come so soon after fewer go are of calls from before.
const NARROW_AGAIN: Duration = Duration::from_secs(5);
/// Never fewer than these, where the limit itself is not lower: one long call would leave nothing to anybody else.
const NARROW_MIN: u32 = 2;
/// How soon somebody who waits in memory looks again by himself.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What a system says of its day is told to others no more often than this.
const HEARD_EVERY: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

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

/// A class with a limit of its own, or `None` for all other calls; where the store is asked, for the connection as a whole.
pub(crate) type Lane = Option<GateClass>;

/// What the store is asked for, in this order: nothing is taken of the connection for a call that its class holds back.
pub(crate) const ASKED_FOR: [Lane; 3] = [Some(GateClass::Read), Some(GateClass::Write), None];

/// Where the runs of a recipe that wait in the store stand in line.
#[derive(Debug, Clone, Copy)]
struct Line {
    newest: RunId,
    end: Timestamp,
}

/// One connection's budget in this process.
pub(crate) struct Budget {
    whole: Meter,
    classes: [Meter; 2],
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
    lines: HashMap<(RecipeId, Lane), Line>,
    told_at: Timestamp,
    pace: Pace,
}

impl Budget {
    pub(crate) fn new(limits: BudgetLimits) -> Self {
        let zero = Timestamp::from_micros(0);
        Self {
            whole: Meter::new(limits),
            classes: std::array::from_fn(|_| Meter::new(BudgetLimits::default())),
            paused_until: zero,
            asked_until: zero,
            narrow: None,
            narrow_at: zero,
            well: 0,
            turns: Turns::default(),
            granted: HashSet::new(),
            lines: HashMap::new(),
            told_at: zero,
            pace: Pace::default(),
        }
    }

    /// The limits were changed.
    pub(crate) fn set_limits(&mut self, limits: BudgetLimits, by_class: [BudgetLimits; 2], now: Timestamp) {
        let whole = self.whole.set_limits(limits, now);
        if whole {
            self.narrow = None;
        }
        let of_class = |(meter, limits): (&mut Meter, BudgetLimits)| meter.set_limits(limits, now);
        // Each of them is told.
        if self.classes.iter_mut().zip(by_class).map(of_class).fold(whole, |some, one| some | one) {
            self.lines.clear();
        }
    }

    /// Those of the whole connection.
    pub(crate) const fn limits(&self) -> &BudgetLimits {
        self.whole.limits()
    }

    /// When the store is asked next.
    pub(crate) fn ask_at(&self) -> Option<Timestamp> {
        self.classes.iter().chain([&self.whole]).filter_map(|meter| meter.ask_at).min()
    }

    pub(crate) fn is_due(&self, of: Lane, now: Timestamp) -> bool {
        self.meter(of).ask_at.is_some_and(|at| at <= now)
    }

    const fn meter(&self, of: Lane) -> &Meter {
        match of {
            None => &self.whole,
            Some(class) => self.class(class),
        }
    }

    const fn meter_mut(&mut self, of: Lane) -> &mut Meter {
        match of {
            None => &mut self.whole,
            Some(class) => &mut self.classes[class as usize],
        }
    }

    const fn class(&self, class: GateClass) -> &Meter {
        &self.classes[class as usize]
    }

    const fn lane(&self, class: GateClass) -> Lane {
        if self.class(class).limited() { Some(class) } else { None }
    }

    /// Those who wait in memory in a lane.
    fn in_lane(&self, lane: Lane) -> usize {
        GateClass::ALL.into_iter().filter(|class| self.lane(*class) == lane).map(|class| self.turns.of(class)).sum()
    }

    /// Somebody wants to call.
    pub(crate) fn ask(&mut self, asker: &Asker<'_>, now: Timestamp) -> Verdict {
        self.serve(now);
        let granted = self.granted.remove(&asker.waiter);
        if asker.background
            && let Some(until) = self.pace.hold(self.whole.day.as_ref(), now)
        {
            if granted {
                self.undone(asker.waiter.2, now);
            }
            return Verdict::Park(until);
        }
        if granted {
            if asker.background {
                self.pace.went(self.whole.day.as_ref(), now);
            }
            return Verdict::Pass;
        }
        // Whoever came after those who wait in the store waits behind them.
        let class = asker.waiter.2;
        let lane = self.lane(class);
        let line = self.lines.get(&(asker.recipe, lane)).copied();
        let behind = line.is_some_and(|line| line.end > now && asker.waiter.0 > line.newest);
        if !behind && self.in_lane(lane) == 0 && self.take(class, now) {
            if asker.background {
                self.pace.went(self.whole.day.as_ref(), now);
            }
            return Verdict::Pass;
        }
        self.want(class, now);
        if behind {
            return Verdict::Park(self.line_up(asker, now));
        }
        let since = self.turns.enter(asker.recipe, asker.waiter.clone(), asker.wake, now);
        let until = since.after(IN_MEMORY_MAX);
        let expected = self.expected(lane, self.in_lane(lane), now);
        if until > now && self.in_lane(lane) <= WAITERS_MAX && expected <= until {
            return Verdict::Wait(expected.max(now.after(LOOK_AGAIN)).min(until));
        }
        self.turns.leave(asker.recipe, &asker.waiter);
        Verdict::Park(self.line_up(asker, now))
    }

    /// An attempt that goes on, and has told that its request before is over, wants to make one more. It is in memory in any
    /// case, so it keeps its turn there; or is told before which instant nobody goes on.
    pub(crate) fn ask_more(&mut self, asker: &Asker<'_>, now: Timestamp) -> Result<(), Timestamp> {
        self.serve(now);
        let class = asker.waiter.2;
        let lane = self.lane(class);
        if self.granted.remove(&asker.waiter) || (self.in_lane(lane) == 0 && self.take(class, now)) {
            if asker.background {
                self.pace.went(self.whole.day.as_ref(), now);
            }
            return Ok(());
        }
        self.want(class, now);
        self.turns.enter(asker.recipe, asker.waiter.clone(), asker.wake, now);
        Err(self.begin(lane, now))
    }

    /// It waits no longer.
    pub(crate) fn leave_one(&mut self, recipe: RecipeId, waiter: &Waiter, now: Timestamp) {
        self.turns.leave(recipe, waiter);
        if self.granted.remove(waiter) {
            self.undone(waiter.2, now);
        }
    }

    /// Somebody waits: the store is asked as soon as it has more of what is missing.
    fn want(&mut self, class: GateClass, now: Timestamp) {
        if self.class(class).free(now) == 0 {
            return self.classes[class as usize].want(now);
        }
        self.whole.want(now);
    }

    /// A background call above this share of a day's limit waits for its turn.
    pub(crate) const fn set_background_share(&mut self, share: f64) {
        self.pace.share = share;
    }

    /// Calls left of the day that this process knows of: of one that is over, all that the next one gives.
    pub(crate) fn day_left(&self, now: Timestamp) -> Option<i64> {
        self.whole.day.map(|day| if day.ends_at > now { day.left } else { day.limit })
    }

    /// Calls this process may still make, or makes just now.
    pub(crate) fn outstanding(&self) -> i64 {
        self.whole.outstanding()
    }

    /// The system said what is left of its day. True when that is worth telling the others.
    pub(crate) fn heard(&mut self, told: &Told) -> bool {
        let first = !self.whole.told;
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
        self.whole.told = true;
        let ends_at = told.ends_at.unwrap_or_else(|| told.at.after(DAY));
        if self.whole.day.is_none_or(|day| told.left <= day.left) {
            self.whole.day = Some(Day { limit: told.limit, left: told.left, ends_at });
        }
    }

    /// Nobody of a lane calls before this.
    fn begin(&self, lane: Lane, now: Timestamp) -> Timestamp {
        let more_at = lane.map_or(self.whole.more_at, |class| self.class(class).more_at.max(self.whole.more_at));
        now.max(self.held_until()).max(more_at)
    }

    /// When somebody with so many of his lane before him, himself included, may expect to call.
    fn expected(&self, lane: Lane, place: usize, now: Timestamp) -> Timestamp {
        let rate = self.rate(lane, |of| if of == lane { place } else { self.in_lane(of) });
        self.begin(lane, now).after(seconds(count(place.saturating_sub(1)) / rate))
    }

    /// Calls a second that those of a lane can expect while so many wait in each: what their class takes, and of the
    /// connection what the others do not use up. Those cannot use more than their own class takes.
    fn rate(&self, lane: Lane, waiting: impl Fn(Lane) -> usize) -> f64 {
        let of_class = |lane: Lane| lane.and_then(|class| self.class(class).rate(None)).unwrap_or(f64::INFINITY);
        let whole = self.whole.rate(self.narrow).map_or(f64::INFINITY, |whole| {
            let all = count(ASKED_FOR.into_iter().map(&waiting).sum()).max(1.0);
            let used = |other| of_class(other).min(whole * count(waiting(other)) / all);
            whole - ASKED_FOR.into_iter().filter(|other| *other != lane).map(used).sum::<f64>()
        });
        let rate = whole.min(of_class(lane));
        if rate.is_finite() { rate.max(0.000_01) } else { RELEASE_PER_SECOND }
    }

    /// Recipes of a lane with runs that wait in the store.
    fn lines_of(&self, lane: Lane) -> usize {
        self.lines.keys().filter(|(_, of)| *of == lane).count()
    }

    /// A place in the line of a recipe's runs that wait in the store: one due when its turn comes.
    fn line_up(&mut self, asker: &Asker<'_>, now: Timestamp) -> Timestamp {
        self.lines.retain(|_, line| line.end > now);
        let lane = self.lane(asker.waiter.2);
        let key = (asker.recipe, lane);
        let there = self.lines.contains_key(&key);
        let own = self.lines_of(lane) + usize::from(!there);
        let gap = count(own) / self.rate(lane, |of| if of == lane { own } else { self.lines_of(of) });
        let soonest = self.expected(lane, self.in_lane(lane) + 1, now).max(now.after(IN_MEMORY_MAX));
        let run = asker.waiter.0;
        let line = self.lines.entry(key).or_insert(Line { newest: run, end: soonest });
        if run < line.newest || (there && run == line.newest) {
            // It had its place and found the way still barred: it goes before those behind it.
            return soonest.after(seconds(gap));
        }
        line.newest = run;
        line.end = line.end.max(soonest).after(seconds(gap));
        line.end
    }

    /// Calls the connection lets begin now, whatever their class.
    fn free(&self, now: Timestamp) -> u32 {
        if now < self.held_until() {
            return 0;
        }
        self.whole.free(now).min(self.narrow.map_or(u32::MAX, |narrow| narrow.saturating_sub(self.whole.busy)))
    }

    /// Those who wait for the connection only: their class lets them go.
    fn ready(&self, now: Timestamp) -> u32 {
        let of_class = |class| number(self.turns.of(class)).min(self.class(class).free(now));
        GateClass::ALL.into_iter().map(of_class).fold(0, u32::saturating_add)
    }

    fn widen_in_time(&mut self, now: Timestamp) {
        if self.narrow.is_some() && now.since(self.narrow_at) >= WIDER_AFTER {
            self.widen(now);
        }
    }

    /// Takes a call if there is one.
    fn take(&mut self, class: GateClass, now: Timestamp) -> bool {
        self.widen_in_time(now);
        if self.free(now) == 0 || self.class(class).free(now) == 0 {
            return false;
        }
        self.whole.take(now);
        self.classes[class as usize].take(now);
        true
    }

    /// Lets those go on whose turn it is.
    pub(crate) fn serve(&mut self, now: Timestamp) {
        while self.turns.len() > 0 {
            self.widen_in_time(now);
            if self.free(now) == 0 {
                return;
            }
            let open = GateClass::ALL.map(|class| self.class(class).free(now) > 0);
            let Some((waiter, wake)) = self.turns.next(|class| open[class as usize]) else { return };
            self.whole.take(now);
            self.classes[waiter.2 as usize].take(now);
            self.granted.insert(waiter);
            wake.notify_one();
        }
    }

    /// The same after a call of a class is over: another one may wait for the connection from now on.
    fn serve_after(&mut self, now: Timestamp) {
        self.serve(now);
        if self.whole.ask_at.is_none() && self.ready(now) > 0 {
            self.whole.want(now);
        }
    }

    /// A call is over; it took so long.
    pub(crate) fn done(&mut self, class: GateClass, took: Duration, now: Timestamp) {
        self.whole.done(took);
        self.classes[class as usize].done(took);
        self.serve_after(now);
    }

    /// A call that was let through was not made.
    pub(crate) fn undone(&mut self, class: GateClass, now: Timestamp) {
        self.whole.undone();
        self.classes[class as usize].undone();
        self.serve_after(now);
    }

    /// A run left memory.
    pub(crate) fn leave(&mut self, recipe: RecipeId, run: RunId, now: Timestamp) {
        self.turns.leave_all(recipe, run);
        let unused: Vec<Waiter> = self.granted.extract_if(|(granted, ..)| *granted == run).collect();
        for (_, _, class) in unused {
            self.undone(class, now);
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
            for meter in self.classes.iter_mut().chain([&mut self.whole]) {
                meter.more_at = meter.more_at.min(now);
                meter.ask_at = meter.limited().then_some(now);
            }
            self.lines.clear();
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
        if let Some(most) = self.whole.limits().in_flight.filter(|_| again) {
            // The one that was refused is no longer counted.
            let at_once = self.narrow.unwrap_or(most).min(self.whole.busy.saturating_add(1));
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
        self.narrow = wider.filter(|narrow| self.whole.limits().in_flight.is_some_and(|most| *narrow < most));
    }

    /// What to ask the store for now.
    pub(crate) fn lease_ask(&mut self, of: Lane, connection: &str, worker: WorkerId, now: Timestamp) -> BudgetAsk {
        let (key, waiting, may) = match of {
            None => {
                let may = self.narrow.map_or(u32::MAX, |narrow| narrow.saturating_sub(self.whole.busy));
                (connection.to_owned(), self.ready(now), may)
            }
            Some(class) => {
                // What the connection gives is known only after it was asked.
                let may = if self.whole.may_have_more(now) { u32::MAX } else { self.free(now) };
                (class_budget(connection, class), number(self.turns.of(class)), may)
            }
        };
        let at_once = if now < self.held_until() { 0 } else { waiting.min(may) };
        self.meter_mut(of).lease_ask(key, worker, waiting, at_once, now)
    }

    /// What the store gave.
    pub(crate) fn leased(&mut self, of: Lane, lease: &BudgetLease, now: Timestamp) {
        self.meter_mut(of).leased(lease, now);
        if of.is_none() {
            self.set_pause(lease.paused_until, now);
        }
        self.serve(now);
        let ready = self.ready(now) > 0;
        match of {
            None => {
                self.whole.rest(ready, now);
                self.classes.iter_mut().for_each(|meter| meter.own_up(now));
            }
            Some(class) => {
                let more = self.turns.of(class) > 0 && self.class(class).free(now) == 0;
                self.classes[class as usize].rest(more, now);
                if ready {
                    self.whole.want(now);
                }
            }
        }
    }

    /// The store did not answer.
    pub(crate) const fn not_leased(&mut self, of: Lane, again: Timestamp) {
        self.meter_mut(of).ask_at = Some(again);
    }

    /// Runs that wait here, in memory and in the store, as far as this process knows.
    pub(crate) fn waiting(&self, now: Timestamp) -> f64 {
        // Nobody in the lines goes on before their lane begins.
        let parked = |((_, lane), line): (&(RecipeId, Lane), &Line)| {
            let lines = |of| self.lines_of(of);
            line.end.since(self.begin(*lane, now)).as_secs_f64() * self.rate(*lane, lines) / count(lines(*lane)).max(1.0)
        };
        count(self.turns.len()) + self.lines.iter().map(parked).sum::<f64>().floor()
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(365 * 24 * 3600))
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
