//! What stands between a run and a system: the circuit and the budget of a connection.
//!
//! An attempt asks before it begins ([`Seat::ask`]), from inside the decision and without waiting:
//! everything needed to answer is in memory. A run that is held back waits in memory for a moment, or
//! in the store until it may expect to go on; it burns no attempt. One caretaker of the process
//! ([`keeper`]) carries changes to the store and back.

mod budget;
pub mod circuit;
mod door;
mod hear;
pub(crate) mod keeper;
mod meter;
mod pace;
mod people;
mod requests;
pub mod settings;
mod turns;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use connector::{Effect, ErrorClass, StepError};
use parking_lot::Mutex;
use serde_json::Value as Json;
use store::{GateClass, RecipeId, RunId, StepPath, Timestamp, Told, Via, WaitingFor};
use tokio::sync::Notify;

pub(crate) use self::hear::Limits;
pub use self::people::{Forecast, GateView};
pub(crate) use self::requests::turns;
use self::{
    budget::{Asker, Verdict},
    circuit::Event,
    door::Door,
    requests::Requests,
};
use crate::{Engine, health::News, program::DoStep};

/// A system that asks us to slow down without saying for how long is left alone for so long.
const PAUSE_DEFAULT: Duration = Duration::from_secs(1);
/// A system may ask us to wait for so long at most.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

/// All gates of a process.
#[derive(Default)]
pub(crate) struct Gates {
    doors: Mutex<HashMap<String, Door>>,
    /// What the caretaker still has to carry to the store.
    errands: Mutex<Vec<Errand>>,
    pub(crate) stir: Notify,
    /// Whoever carries something between here and the store, or lets people change it: one at a time, so that nothing that was
    /// read before a change is taken for newer.
    turn: tokio::sync::Mutex<()>,
}

/// Something to carry to the store.
#[derive(Debug)]
enum Errand {
    Circuit { connection: String, class: GateClass, event: Event },
    Pause { connection: String, until: Timestamp },
    Told { connection: String, told: Told },
    Health { connection: String, news: News, began: Timestamp },
}

/// Why an attempt may not begin yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) until: Timestamp,
    pub(crate) reason: WaitingFor,
}

/// A run's place before the gates. It wakes the run when its turn comes.
pub(crate) struct Seat {
    engine: Arc<Engine>,
    recipe: RecipeId,
    run: RunId,
    /// Nobody waits for it.
    background: bool,
    wake: Arc<Notify>,
    waited: AtomicBool,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({})", self.run)
    }
}

/// An attempt that was let through, with its first request. Dropped without an outcome, what was not called is given back.
pub(crate) struct Pass {
    engine: Arc<Engine>,
    connection: String,
    class: GateClass,
    probe: bool,
    began: Timestamp,
    told: AtomicBool,
    requests: Requests,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass({} {}{})", self.connection, self.class.as_str(), if self.probe { ", probe" } else { "" })
    }
}

/// Asks the gates for an attempt, if there are any: a trial has none.
pub(crate) fn admit(
    seat: Option<&Seat>,
    step: &DoStep,
    path: &StepPath,
    input: &Json,
    now: Timestamp,
) -> Result<Option<Arc<Pass>>, Held> {
    seat.map_or(Ok(None), |seat| seat.ask(step, path, input, now))
}

/// Ends when the run may ask again.
pub(crate) async fn called(seat: Option<&Seat>) {
    match seat {
        Some(seat) => seat.wake.notified().await,
        None => std::future::pending().await,
    }
}

/// A wait before a gate that is short enough for memory.
pub(crate) fn briefly(reason: WaitingFor, pause: Duration) -> bool {
    matches!(reason, WaitingFor::Circuit | WaitingFor::Budget) && pause <= budget::IN_MEMORY_MAX
}

impl Seat {
    pub(crate) fn of(engine: &Arc<Engine>, recipe: RecipeId, run: RunId, via: Via) -> Self {
        // Somebody sent these just now; all others come of a clock, or are made up for.
        let background = !matches!(via, Via::Webhook | Via::Api | Via::Call | Via::Failure);
        Self { engine: Arc::clone(engine), recipe, run, background, wake: Arc::default(), waited: AtomicBool::new(false) }
    }

    fn ask(&self, step: &DoStep, path: &StepPath, input: &Json, now: Timestamp) -> Result<Option<Arc<Pass>>, Held> {
        let Some(name) = &step.connection else { return Ok(None) };
        self.ask_for(name, |limits| class_of(step, input, limits), path, step.timeout, now)
    }

    /// Asks for a call that only reads and belongs to no step.
    pub(crate) fn ask_reading(&self, name: &str, timeout: Duration, now: Timestamp) -> Result<Option<Arc<Pass>>, Held> {
        self.ask_for(name, |_| GateClass::Read, &"poll".into(), timeout, now)
    }

    fn ask_for(
        &self,
        name: &str,
        class: impl FnOnce(&connector::Limits) -> GateClass,
        path: &StepPath,
        timeout: Duration,
        now: Timestamp,
    ) -> Result<Option<Arc<Pass>>, Held> {
        let Some(connection) = self.engine.connection(name) else { return Ok(None) };
        let gates = &self.engine.gates;
        let dice = self.engine.dice();
        let limits = self.engine.limits(&connection.connector);
        let class = class(&limits);
        let mut doors = gates.doors.lock();
        let door = match doors.get_mut(name) {
            Some(door) => door,
            None => doors.entry(name.to_owned()).or_default(),
        };
        door.follow(&connection, &limits, now);
        let held = |until: Timestamp, reason| {
            self.waited.store(true, Ordering::Relaxed);
            Held { until: until.max(now.after(Duration::from_millis(1))), reason }
        };
        let circuit = door.circuit_mut(class);
        let probe = match circuit.ask(&self.wake, now, dice) {
            Ok(probe) => probe,
            Err((until, wants_probe)) => {
                if wants_probe {
                    let until = now.after(timeout + door::PROBE_MARGIN);
                    let event = Event::Probe { worker: self.engine.worker(), until };
                    gates.send(Errand::Circuit { connection: name.to_owned(), class, event });
                }
                return Err(held(until, WaitingFor::Circuit));
            }
        };
        let waiter = (self.run, Arc::clone(path), class);
        let asker = Asker { recipe: self.recipe, waiter: waiter.clone(), wake: &self.wake, background: self.background };
        let verdict = door.budget.ask(&asker, now);
        if door.budget.ask_at().is_some_and(|at| at <= now) {
            gates.stir.notify_one();
        }
        match verdict {
            Verdict::Wait(until) | Verdict::Park(until) => Err(held(until, WaitingFor::Budget)),
            Verdict::Pass => {
                if probe {
                    door.circuit_mut(class).probe_begins();
                }
                let engine = Arc::clone(&self.engine);
                let (connection, told) = (name.to_owned(), AtomicBool::new(false));
                let requests = Requests::new(self.recipe, waiter, self.background, now);
                Ok(Some(Arc::new(Pass { engine, connection, class, probe, began: now, told, requests })))
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.waited.load(Ordering::Relaxed) {
            let gates = &self.engine.gates;
            let now = self.engine.now();
            for door in gates.doors.lock().values_mut() {
                door.budget.leave(self.recipe, self.run, now);
            }
        }
    }
}

impl Pass {
    /// Whether this attempt was the call that finds out whether the system works again.
    pub(crate) const fn is_probe(&self) -> bool {
        self.probe
    }

    /// What the call came to.
    pub(crate) fn done(&self, outcome: Result<&Json, &StepError>) {
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let gates = &self.engine.gates;
        let (now, worker) = (self.engine.now(), self.engine.worker());
        for news in self.engine.health.called(&self.connection, outcome, now) {
            gates.send(Errand::Health { connection: self.connection.clone(), news, began: self.began });
        }
        let mut doors = gates.doors.lock();
        let Some(door) = doors.get_mut(&self.connection) else { return };
        if outcome.is_ok() {
            door.budget.went_well(now);
        }
        self.requests.over(&mut door.budget, now);
        let class = outcome.err().map(|error| error.class);
        if let Err(error) = outcome
            && error.class == ErrorClass::RateLimited
            && !self.requests.had_no_turn()
        {
            let until = now.after(error.retry_after.unwrap_or(PAUSE_DEFAULT).min(PAUSE_MAX));
            door.budget.too_many(now);
            door.budget.pause(until);
            gates.send(Errand::Pause { connection: self.connection.clone(), until });
        }
        let failure =
            outcome.err().filter(|error| error.class.is_transient()).map(|error| format!("{} {}", error.class, error.code));
        let event = match (self.probe, class) {
            // Its earlier requests were answered.
            (true, Some(ErrorClass::RateLimited)) if self.requests.had_no_turn() => Some(Event::Answered { worker }),
            (true, Some(ErrorClass::RateLimited)) => Some(Event::GaveUp { worker }),
            (true, _) => match failure {
                Some(failure) => Some(Event::Failed { worker, cause: format!("A probe failed with {failure}.") }),
                None => Some(Event::Answered { worker }),
            },
            // It answered, and not that it is in trouble; but neither that it works.
            (false, Some(ErrorClass::RateLimited)) => None,
            (false, _) => door.count(self.class, failure.as_deref(), now),
        };
        if let Some(event) = event {
            gates.send(Errand::Circuit { connection: self.connection.clone(), class: self.class, event });
        }
        if door.budget.ask_at().is_some_and(|at| at <= now) {
            gates.stir.notify_one();
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.told.load(Ordering::Relaxed) {
            return;
        }
        let gates = &self.engine.gates;
        let now = self.engine.now();
        if let Some(door) = gates.doors.lock().get_mut(&self.connection) {
            self.requests.dropped(&mut door.budget, now);
            if self.probe {
                door.circuit_mut(self.class).probe_unused();
            }
            if door.budget.ask_at().is_some_and(|at| at <= now) {
                gates.stir.notify_one();
            }
        }
    }
}

impl Gates {
    fn send(&self, errand: Errand) {
        self.errands.lock().push(errand);
        self.stir.notify_one();
    }
}

impl Engine {
    pub(crate) fn limits(&self, connector: &str) -> connector::Limits {
        self.connectors.iter().find(|known| known.id == connector).map(|known| known.limits).unwrap_or_default()
    }
}

/// Which circuit and which limits a call belongs to.
fn class_of(step: &DoStep, input: &Json, limits: &connector::Limits) -> GateClass {
    if limits.reads.contains(&step.action.id) {
        GateClass::Read
    } else if limits.writes.contains(&step.action.id) || (step.action.effect)(input) != Effect::None {
        GateClass::Write
    } else {
        GateClass::Read
    }
}
