//! One connection's gates as one process sees them.

use std::{sync::Arc, time::Duration};

use connector::{Connection, Limits};
use store::{GateClass, GateRow, GateState, Timestamp};
use tokio::sync::Notify;

use super::{
    budget::{Budget, IN_MEMORY_MAX},
    circuit::{CircuitSettings, Event, Window, closed},
    settings::{self, GateSettings},
};

/// A probe's outcome is waited for this long beyond the step's own timeout.
pub(crate) const PROBE_MARGIN: Duration = Duration::from_secs(5);
/// So many runs wait in memory for the next probe.
const WAITERS_MAX: usize = 3;
/// A circuit that was opened by hand is looked at this often by a run that waits.
const LOOK_BY_HAND: Duration = Duration::from_secs(3600);

/// One connection's gates.
pub(crate) struct Door {
    source: Option<Arc<Connection>>,
    pub(crate) settings: GateSettings,
    circuits: [Circuit; 2],
    pub(crate) budget: Budget,
}

impl Default for Door {
    fn default() -> Self {
        let settings = GateSettings::default();
        Self { source: None, settings, circuits: Default::default(), budget: Budget::new(settings.budget) }
    }
}

impl Door {
    /// Keeps to the settings of the connection as they are now.
    pub(crate) fn follow(&mut self, connection: &Arc<Connection>, limits: &Limits, now: Timestamp) {
        if self.source.as_ref().is_some_and(|known| Arc::ptr_eq(known, connection)) {
            return;
        }
        self.settings = settings::read_saved(&connection.config, limits);
        self.budget.set_limits(self.settings.budget, self.settings.by_class, now);
        self.budget.set_background_share(self.settings.background_share);
        for circuit in &mut self.circuits {
            circuit.settings = self.settings.circuit;
        }
        self.source = Some(Arc::clone(connection));
    }

    pub(crate) const fn circuit(&self, class: GateClass) -> &Circuit {
        &self.circuits[class as usize]
    }

    pub(crate) const fn circuit_mut(&mut self, class: GateClass) -> &mut Circuit {
        &mut self.circuits[class as usize]
    }

    /// Counts a call that was no probe.
    pub(crate) fn count(&mut self, class: GateClass, failure: Option<&str>, now: Timestamp) -> Option<Event> {
        let circuit = self.circuit_mut(class);
        if circuit.state() != GateState::Closed {
            return None;
        }
        let cause = circuit.window.count(failure, &circuit.settings, now)?;
        // This process stops at once; the others learn of it from the store.
        circuit.tripped = Some(now);
        Some(Event::Trip { cause })
    }
}

/// One circuit.
#[derive(Default)]
pub(crate) struct Circuit {
    /// As the store knows it; `None` while it was never written.
    row: Option<GateRow>,
    settings: CircuitSettings,
    window: Window,
    /// It opened here, and the store does not know yet.
    tripped: Option<Timestamp>,
    /// The store lets this process make the next probe, and nobody makes it yet.
    may_probe: bool,
    /// The caretaker was asked for a probe.
    asked: bool,
    waiters: Vec<Arc<Notify>>,
    line_end: Timestamp,
}

impl Circuit {
    pub(crate) fn state(&self) -> GateState {
        if self.tripped.is_some() { GateState::Open } else { self.row.as_ref().map_or(GateState::Closed, |row| row.state) }
    }

    /// As the store knows it.
    pub(crate) fn row(&self, connection: &str, class: GateClass) -> GateRow {
        self.row.clone().unwrap_or_else(|| closed(connection, class))
    }

    /// Whether a call may begin, and whether it is a probe; or until when to wait, and whether the
    /// caretaker is to ask for a probe.
    pub(crate) fn ask(&mut self, wake: &Arc<Notify>, now: Timestamp, dice: f64) -> Result<bool, (Timestamp, bool)> {
        let (state, next_probe) = match (self.tripped, &self.row) {
            (Some(at), row) => {
                let openings = row.as_ref().map_or(0, |row| row.openings) + 1;
                (GateState::Open, Some(at.after(self.settings.pause(openings))))
            }
            (None, Some(row)) => (row.state, row.next_probe),
            (None, None) => return Ok(false),
        };
        match (state, next_probe) {
            (GateState::Closed, _) => Ok(false),
            (GateState::HalfOpen, _) if self.may_probe => Ok(true),
            (GateState::Open, Some(at)) if at > now => Err((self.line_up(at, dice), false)),
            (GateState::Open, None) => Err((self.line_up(now.after(LOOK_BY_HAND), dice), false)),
            // A probe is under way: the next ones wait here, all others further back.
            (GateState::HalfOpen, Some(given_up)) if given_up > now => Err((self.wait(wake, now, dice), false)),
            (GateState::Open | GateState::HalfOpen, _) => {
                let ask = !std::mem::replace(&mut self.asked, true);
                Err((self.wait(wake, now, dice), ask))
            }
        }
    }

    fn wait(&mut self, wake: &Arc<Notify>, now: Timestamp, dice: f64) -> Timestamp {
        // Only we know of a run that has left memory.
        self.waiters.retain(|waiter| Arc::strong_count(waiter) > 1);
        if !self.waiters.iter().any(|waiter| Arc::ptr_eq(waiter, wake)) {
            if self.waiters.len() >= WAITERS_MAX {
                return self.line_up(now.after(IN_MEMORY_MAX), dice);
            }
            self.waiters.push(Arc::clone(wake));
        }
        now.after(IN_MEMORY_MAX)
    }

    /// A place in line, so that a thousand runs do not come back at once and are let out one by one once
    /// the circuit closed.
    fn line_up(&mut self, from: Timestamp, dice: f64) -> Timestamp {
        let gap = Duration::try_from_secs_f64(1.0 / self.settings.release_per_second).unwrap_or(Duration::from_secs(1));
        let place = self.line_end.max(from);
        self.line_end = place.after(gap);
        place.after(gap.mul_f64(dice.clamp(0.0, 1.0)))
    }

    /// The probe this process was let is under way now.
    pub(crate) const fn probe_begins(&mut self) {
        self.may_probe = false;
    }

    /// It was not made after all; the next one who asks may.
    pub(crate) fn probe_unused(&mut self) {
        self.may_probe = self.state() == GateState::HalfOpen;
        self.call();
    }

    /// What the store says now; with `won`, that it lets this process make a probe. True when the circuit
    /// moved.
    pub(crate) fn learn(&mut self, row: GateRow, won: bool) -> bool {
        // By what the store said last: the process whose call opened the circuit knew before, and tells now.
        let before = self.row.as_ref().map_or(GateState::Closed, |row| row.state);
        if !won && self.row.as_ref().is_some_and(|known| known.revision >= row.revision) {
            return false;
        }
        (self.asked, self.tripped) = (false, None);
        if row.state == GateState::Closed {
            // The line of another opening is no line any more.
            self.line_end = Timestamp::from_micros(0);
        }
        self.may_probe = won && row.state == GateState::HalfOpen;
        self.row = Some(row);
        let moved = self.state() != before;
        if moved && self.state() == GateState::Closed {
            self.window = Window::default();
        }
        if moved || self.may_probe || self.probe_is_free() {
            self.call();
        }
        moved
    }

    /// The store knew better: nothing came of what happened here.
    pub(crate) const fn nothing_came(&mut self) {
        (self.asked, self.tripped) = (false, None);
    }

    fn probe_is_free(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.state == GateState::HalfOpen && row.prober.is_none())
    }

    /// Those who wait in memory ask again.
    fn call(&mut self) {
        for waiter in self.waiters.drain(..) {
            waiter.notify_one();
        }
    }
}
