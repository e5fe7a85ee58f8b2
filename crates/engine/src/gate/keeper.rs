//! Carries what happens at the gates to the store, and what other processes did there back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use store::{AuditId, AuditRow, GateClass, GateRow, GateState, Store, StoreError, Timestamp};

use super::{
    Errand, Gates, budget,
    circuit::{self, Event},
    door::Door,
};
use crate::Engine;

/// A longer sleep is not worth an instant to reckon with.
const REST_MAX: Duration = Duration::from_secs(30);
/// The pause after the store did not answer.
const STORE_AWAY: Duration = Duration::from_millis(500);
/// How often a change is tried against those of other processes.
const TRIES_MAX: u32 = 10;

/// When what was looked at last.
#[derive(Default)]
struct Rounds {
    looked_at: Timestamp,
}

/// The caretaker of the gates.
pub(crate) async fn keep_gates(engine: Arc<Engine>) {
    let mut rounds = Rounds::default();
    loop {
        let stir = engine.gates.stir.notified();
        tokio::pin!(stir);
        stir.as_mut().enable();
        let pause = match round(&engine, &mut rounds).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(%error, "gates.keep: the store did not answer");
                // Whoever stirs does not make it answer sooner.
                tokio::time::sleep(STORE_AWAY).await;
                Duration::ZERO
            }
        };
        tokio::select! {
            () = stir => {}
            () = tokio::time::sleep(pause) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}

/// Everything there is to do now; says how long to sleep.
async fn round(engine: &Arc<Engine>, rounds: &mut Rounds) -> Result<Duration, StoreError> {
    let _turn = engine.gates.turn.lock().await;
    let now = engine.now();
    // Where there are no connections there is nothing to share.
    let shared_store = engine.settings.shared_store && !engine.catalogue().connections.is_empty();
    if shared_store && now.since(rounds.looked_at) >= engine.settings.gates_interval {
        rounds.looked_at = now;
        engine.gates.look(&*engine.store, now).await?;
        engine.learn_health().await?;
    }
    carry_all(engine).await?;
    let next = lease_all(engine).await?;
    let rest = if shared_store { engine.settings.gates_interval } else { REST_MAX };
    let now = engine.now();
    Ok(next.map_or(rest, |at| at.since(now).max(Duration::from_millis(1)).min(rest)))
}

async fn carry_all(engine: &Arc<Engine>) -> Result<(), StoreError> {
    let mut errands = std::mem::take(&mut *engine.gates.errands.lock()).into_iter();
    while let Some(errand) = errands.next() {
        let carried = match &errand {
            Errand::Circuit { connection, class, event } => carry(engine, connection, *class, event).await.map(drop),
            Errand::Pause { connection, until } => carry_pause(engine, connection, *until).await,
            Errand::Told { connection, told } => engine.store.hear_limit(connection, told).await,
            Errand::Health { connection, news, began } => engine.carry_health(connection, news, *began).await,
        };
        if let Err(error) = carried {
            // In their order, before whatever came meanwhile.
            let mut waiting = engine.gates.errands.lock();
            waiting.splice(0..0, std::iter::once(errand).chain(errands));
            return Err(error);
        }
    }
    Ok(())
}

async fn carry_pause(engine: &Engine, connection: &str, until: Timestamp) -> Result<(), StoreError> {
    engine.store.pause_budget(connection, until, engine.now()).await?;
    if let Some(door) = engine.gates.doors.lock().get_mut(connection) {
        door.budget.pause_kept(until);
    }
    Ok(())
}

/// Brings a circuit to where an event takes it. False when it stays as it is.
pub(super) async fn carry(engine: &Arc<Engine>, connection: &str, class: GateClass, event: &Event) -> Result<bool, StoreError> {
    let gates = &engine.gates;
    for _ in 0..TRIES_MAX {
        let now = engine.now();
        let (row, settings) = {
            let mut doors = gates.doors.lock();
            let door = doors.entry(connection.to_owned()).or_default();
            (door.circuit(class).row(connection, class), door.settings.circuit)
        };
        let Some(next) = circuit::after(&row, event, &settings, now) else {
            if let Some(door) = gates.doors.lock().get_mut(connection) {
                door.circuit_mut(class).nothing_came();
            }
            return Ok(false);
        };
        let audit = (row.state != next.state).then(|| audit_of(engine, &next));
        if engine.store.move_gate(&next, audit.as_ref()).await? {
            // By the one process that moved it: the others only learn of it.
            if audit.is_some() {
                let label = crate::measure::connection(connection);
                metrics::counter!("liaison_circuit_transitions_total", "connection" => label, "class" => class.as_str(), "to" => next.state.as_str())
                    .increment(1);
            }
            let won = matches!(event, Event::Probe { .. });
            gates.learn(GateRow { revision: next.revision + 1, ..next }, won);
            return Ok(true);
        }
        gates.look(&*engine.store, now).await?;
    }
    Err(StoreError::Unavailable(format!("the circuit of {connection} is changed by others all the time")))
}

/// Leases what is asked for; says when to ask next.
async fn lease_all(engine: &Arc<Engine>) -> Result<Option<Timestamp>, StoreError> {
    let gates = &engine.gates;
    let now = engine.now();
    let is_due = |door: &Door| door.budget.ask_at().is_some_and(|at| at <= now);
    let due: Vec<String> = {
        let doors = gates.doors.lock();
        doors.iter().filter(|(_, door)| is_due(door)).map(|(name, _)| name.clone()).collect()
    };
    for (name, of) in due.iter().flat_map(|name| budget::ASKED_FOR.map(|of| (name, of))) {
        // What one asks for is good for a moment only: it is made when it is sent.
        let ask = {
            let mut doors = gates.doors.lock();
            let Some(door) = doors.get_mut(name) else { continue };
            let now = engine.now();
            if !door.budget.is_due(of, now) {
                continue;
            }
            door.budget.lease_ask(of, name, engine.worker(), now)
        };
        let leased = engine.store.lease_budget(&ask).await;
        let now = engine.now();
        if let Some(door) = gates.doors.lock().get_mut(name) {
            match &leased {
                Ok(lease) => door.budget.leased(of, lease, now),
                Err(_) => door.budget.not_leased(of, now.after(STORE_AWAY)),
            }
        }
        leased?;
    }
    let mut next = None;
    for (name, door) in gates.doors.lock().iter() {
        next = [next, door.budget.ask_at()].into_iter().flatten().min();
        if let Some(left) = door.budget.day_left(now) {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is no exact thing")]
            metrics::gauge!("liaison_budget_day_left", "connection" => crate::measure::connection(name)).set(left as f64);
        }
        if *door.budget.limits() != store::BudgetLimits::default() {
            metrics::gauge!("liaison_budget_waiting", "connection" => crate::measure::connection(name))
                .set(door.budget.waiting(now));
        }
    }
    Ok(next)
}

impl Gates {
    /// What every process agrees on at the start: the clock, and the circuits.
    pub(crate) async fn prepare(&self, engine: &Engine) -> Result<(), StoreError> {
        engine.learn_health().await?;
        self.look(&*engine.store, engine.now()).await
    }

    /// Learns what other processes wrote.
    pub(super) async fn look(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        for row in store.gates().await? {
            self.learn(row, false);
        }
        let mut pauses: HashMap<String, Timestamp> = store.pauses(now).await?.into_iter().collect();
        for (connection, door) in self.doors.lock().iter_mut() {
            door.budget.set_pause(pauses.remove(connection), now);
        }
        for (connection, until) in pauses {
            self.doors.lock().entry(connection).or_default().budget.set_pause(Some(until), now);
        }
        for (connection, told) in store.told_limits().await? {
            self.doors.lock().entry(connection).or_default().budget.told(&told);
        }
        Ok(())
    }

    fn learn(&self, row: GateRow, won: bool) {
        let (connection, class, state) = (row.connection.clone(), row.class, row.state);
        let cause = row.cause.clone();
        let moved = self.doors.lock().entry(connection.clone()).or_default().circuit_mut(class).learn(row, won);
        if !moved {
            return;
        }
        let label = crate::measure::connection(&connection);
        metrics::gauge!("liaison_circuit_state", "connection" => label, "class" => class.as_str()).set(f64::from(state.number()));
        if state == GateState::Open {
            tracing::warn!(connection, class = class.as_str(), cause, "circuit.open: runs that would call wait");
        } else {
            tracing::info!(connection, class = class.as_str(), state = state.as_str(), "circuit.move");
        }
    }
}

fn audit_of(engine: &Engine, row: &GateRow) -> AuditRow {
    let word = match row.state {
        GateState::Closed => "closed",
        GateState::Open => "opened",
        GateState::HalfOpen => "half_opened",
    };
    AuditRow {
        id: AuditId::new(row.since, engine.random()),
        at: row.since,
        who: row.changed_by.clone(),
        what: format!("circuit.{word}"),
        about: format!("connection {}", row.connection),
        note: format!(
            "The circuit of {} calls is {} now. {}",
            row.class.as_str(),
            row.state.as_str().replace('_', "-"),
            row.cause
        ),
    }
}
