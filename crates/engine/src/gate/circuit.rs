//! The circuit: when calls stop, and when they may go on. Pure; the time comes from outside.
//!
//! Every process counts its own calls ([`Window`]); only what follows from them is shared, as a
//! [`GateRow`] that every process reads and that is written only if nobody else wrote it meanwhile.

use std::time::Duration;

use store::{GateClass, GateRow, GateState, Timestamp, WorkerId};

/// When a circuit opens and closes; a connection's `config.circuit` changes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CircuitSettings {
    /// Calls that ended longer ago do not count.
    pub window: Duration,
    /// With fewer calls in the window their share does not count.
    pub calls_min: u32,
    /// The share of failed calls that opens it, from 0 to 1.
    pub failed_share: f64,
    /// Failed calls in a row that open it.
    pub in_a_row: u32,
    /// How long it stays open at first; twice as long after every failed probe.
    pub open_for: Duration,
    /// The longest it stays open.
    pub open_for_max: Duration,
    /// Probes that must go well before it closes.
    pub close_after: u32,
    /// Runs it held back that go on a second once it closed.
    pub release_per_second: f64,
}

/// Calls are counted over this long.
pub const WINDOW: Duration = Duration::from_secs(60);
/// A share of fewer calls says nothing.
pub const CALLS_MIN: u32 = 10;
/// Half of the calls failed.
pub const FAILED_SHARE: f64 = 0.5;
/// So many failures without a success between them.
pub const IN_A_ROW: u32 = 5;
/// The first pause.
pub const OPEN_FOR: Duration = Duration::from_secs(30);
/// The longest pause.
pub const OPEN_FOR_MAX: Duration = Duration::from_secs(600);
/// Probes that must go well.
pub const CLOSE_AFTER: u32 = 3;
/// Runs let out a second.
pub const RELEASE_PER_SECOND: f64 = 20.0;

impl Default for CircuitSettings {
    fn default() -> Self {
        Self {
            window: WINDOW,
            calls_min: CALLS_MIN,
            failed_share: FAILED_SHARE,
            in_a_row: IN_A_ROW,
            open_for: OPEN_FOR,
            open_for_max: OPEN_FOR_MAX,
            close_after: CLOSE_AFTER,
            release_per_second: RELEASE_PER_SECOND,
        }
    }
}

impl CircuitSettings {
    /// How long it stays open the nth time, counted from 1.
    #[must_use]
    pub fn pause(&self, opening: i32) -> Duration {
        let doublings = u32::try_from(opening.saturating_sub(1)).unwrap_or(0).min(31);
        self.open_for.saturating_mul(1 << doublings).min(self.open_for_max.max(self.open_for))
    }
}

/// What happens to a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Too many calls of a process failed.
    Trip {
        /// What they came to, for people.
        cause: String,
    },
    /// A process wants to make the call that finds out.
    Probe {
        /// Which process.
        worker: WorkerId,
        /// When nobody waits for its outcome any longer.
        until: Timestamp,
    },
    /// That call was answered.
    Answered {
        /// Whose call.
        worker: WorkerId,
    },
    /// That call failed.
    Failed {
        /// Whose call.
        worker: WorkerId,
        /// What it came to.
        cause: String,
    },
    /// That call was not made, or says nothing.
    GaveUp {
        /// Whose call.
        worker: WorkerId,
    },
    /// Somebody opened or closed it by hand.
    ByHand {
        /// True for open.
        open: bool,
        /// Who.
        who: String,
        /// Why.
        reason: String,
    },
}

/// Who changes circuits when nobody does by hand.
pub const ITSELF: &str = "liaison";

/// A circuit nobody wrote yet.
#[must_use]
pub fn closed(connection: &str, class: GateClass) -> GateRow {
    GateRow {
        connection: connection.to_owned(),
        class,
        state: GateState::Closed,
        cause: String::new(),
        changed_by: ITSELF.to_owned(),
        since: Timestamp::from_micros(0),
        next_probe: None,
        prober: None,
        openings: 0,
        successes: 0,
        revision: 0,
    }
}

/// What a circuit is after an event; `None` when it stays as it is.
#[must_use]
pub fn after(row: &GateRow, event: &Event, settings: &CircuitSettings, now: Timestamp) -> Option<GateRow> {
    let mine = |worker: &WorkerId| row.state == GateState::HalfOpen && row.prober == Some(*worker);
    let to = |state, cause: String, by: &str| GateRow {
        state,
        cause,
        changed_by: by.to_owned(),
        since: now,
        next_probe: None,
        prober: None,
        successes: 0,
        ..row.clone()
    };
    let open = |cause: &str| {
        let openings = row.openings.saturating_add(1);
        let next_probe = Some(now.after(settings.pause(openings)));
        GateRow { openings, next_probe, ..to(GateState::Open, cause.to_owned(), ITSELF) }
    };
    match (row.state, event) {
        (GateState::Closed, Event::Trip { cause }) => Some(open(cause)),
        (GateState::Open, Event::Probe { worker, until }) if row.next_probe.is_some_and(|at| at <= now) => {
            let probing = to(GateState::HalfOpen, row.cause.clone(), ITSELF);
            Some(GateRow { next_probe: Some(*until), prober: Some(*worker), ..probing })
        }
        // One call at a time, unless the one under way was given up.
        (GateState::HalfOpen, Event::Probe { worker, until })
            if row.prober.is_none() || row.next_probe.is_none_or(|given_up| given_up <= now) =>
        {
            Some(GateRow { next_probe: Some(*until), prober: Some(*worker), ..row.clone() })
        }
        (GateState::HalfOpen, Event::Answered { worker }) if mine(worker) => {
            let successes = row.successes.saturating_add(1);
            if u32::try_from(successes).unwrap_or(0) >= settings.close_after {
                let cause = format!("{successes} calls in a row were answered.");
                return Some(GateRow { openings: 0, ..to(GateState::Closed, cause, ITSELF) });
            }
            Some(GateRow { successes, next_probe: None, prober: None, ..row.clone() })
        }
        (GateState::HalfOpen, Event::Failed { worker, cause }) if mine(worker) => Some(open(cause)),
        (GateState::HalfOpen, Event::GaveUp { worker }) if mine(worker) => {
            Some(GateRow { next_probe: None, prober: None, ..row.clone() })
        }
        (GateState::Closed | GateState::HalfOpen, Event::ByHand { open: true, who, reason }) => {
            Some(to(GateState::Open, reason.clone(), who))
        }
        // Open by itself becomes open until somebody closes it.
        (GateState::Open, Event::ByHand { open: true, who, reason }) if row.next_probe.is_some() => {
            Some(to(GateState::Open, reason.clone(), who))
        }
        (GateState::Open | GateState::HalfOpen, Event::ByHand { open: false, who, reason }) => {
            Some(GateRow { openings: 0, ..to(GateState::Closed, reason.clone(), who) })
        }
        // Calls that began before the circuit moved say nothing about it any more, and what is there
        // already need not be brought about.
        (
            GateState::Closed | GateState::Open | GateState::HalfOpen,
            Event::Trip { .. }
            | Event::Probe { .. }
            | Event::Answered { .. }
            | Event::Failed { .. }
            | Event::GaveUp { .. }
            | Event::ByHand { .. },
        ) => None,
    }
}

/// A window is counted in so many parts.
const PARTS: usize = 60;

/// The calls of this process that ended lately.
#[derive(Debug, Clone)]
pub struct Window {
    // Calls and failures by part of the window; the part a moment falls into is its number modulo PARTS.
    parts: [(i64, u32, u32); PARTS],
    in_a_row: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self { parts: [(i64::MIN, 0, 0); PARTS], in_a_row: 0 }
    }
}

impl Window {
    /// Counts a call. Says why the circuit should open, if it should. `failure` is what a failed call
    /// came to.
    pub fn count(&mut self, failure: Option<&str>, settings: &CircuitSettings, now: Timestamp) -> Option<String> {
        let part_us = i64::try_from(settings.window.as_micros()).unwrap_or(i64::MAX).max(1) / PARTS as i64;
        let number = now.micros() / part_us.max(1);
        let part = &mut self.parts[usize::try_from(number.rem_euclid(PARTS as i64)).unwrap_or(0)];
        if part.0 != number {
            *part = (number, 0, 0);
        }
        part.1 = part.1.saturating_add(1);
        let Some(failure) = failure else {
            self.in_a_row = 0;
            return None;
        };
        part.2 = part.2.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row >= settings.in_a_row {
            return Some(format!("{} calls in a row failed, the last with {failure}.", self.in_a_row));
        }
        let since = number - PARTS as i64;
        let (calls, failed) = self
            .parts
            .iter()
            .filter(|(at, ..)| *at > since && *at <= number)
            .fold((0_u32, 0_u32), |(calls, failed), part| (calls.saturating_add(part.1), failed.saturating_add(part.2)));
        if calls >= settings.calls_min && f64::from(failed) >= f64::from(calls) * settings.failed_share {
            let window = settings.window.as_secs();
            return Some(format!("{failed} of {calls} calls failed within {window} s, the last with {failure}."));
        }
        None
    }
}

#[cfg(test)]
#[path = "circuit_tests.rs"]
mod tests;
