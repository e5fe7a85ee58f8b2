//! A second system, behind a connection: at times it is down for minutes, and it takes few calls at once.

use std::{sync::Arc, time::Duration};

use connector::{ErrorClass, StepError};
use parking_lot::Mutex;
use serde_json::json;
use store::{GateClass, GateState, Pages, Timestamp};

use crate::{outside::World, process::Life};

/// The connection, the connector, and the recipe that uses them.
pub(crate) const CRM: &str = "crm";
/// So many calls at once, of all processes together.
const IN_FLIGHT: u32 = 2;
/// The longest it is down.
const DOWN_MAX_MS: u64 = 900_000;
/// Every process knows by then that a circuit is open, also one that stood still or was refused by the store meanwhile.
const KNOWN_AFTER: Duration = Duration::from_secs(60);
/// Calls of all processes while it is down once. Without a circuit they are several hundred.
const CALLS_WHILE_DOWN_MAX: u32 = 60;

#[derive(Clone, Default)]
pub(crate) struct Crm(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    down_until: Option<Timestamp>,
    calls_while_down: u32,
    under_way: Vec<(u64, Life)>,
    calls: u64,
}

/// A call that is under way.
pub(crate) struct Call<'a>(&'a Crm, u64);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.0.lock().under_way.retain(|(number, _)| *number != self.1);
    }
}

impl Crm {
    /// It goes down now, for a while.
    pub(crate) fn break_down(&self, world: &World) {
        let until = world.now().after(Duration::from_millis(world.dice(DOWN_MAX_MS)));
        let mut inner = self.0.lock();
        if inner.down_until.is_none_or(|known| known < world.now()) {
            (inner.down_until, inner.calls_while_down) = (Some(until), 0);
        }
    }

    /// A call comes. Accuses those who call too many at once, too often, or although they know better.
    pub(crate) async fn enter<'a>(&'a self, world: &World, life: &Life) -> Result<Call<'a>, StepError> {
        let gates = store::Gates::gates(&*world.store).await.expect("the true store answers");
        if let Some(gate) = gates.iter().find(|gate| {
            gate.class == GateClass::Write && gate.state == GateState::Open && gate.since.after(KNOWN_AFTER) < world.now()
        }) {
            world.accuse(format!("called while the circuit is open: {gate:?}"));
        }
        let mut inner = self.0.lock();
        inner.calls += 1;
        let number = inner.calls;
        inner.under_way.retain(|(_, life)| !life.is_dead());
        inner.under_way.push((number, life.clone()));
        if inner.under_way.len() > IN_FLIGHT as usize {
            world.accuse(format!("{} calls at once, at {:?}", inner.under_way.len(), world.now()));
        }
        if inner.down_until.is_some_and(|until| world.now() < until) {
            inner.calls_while_down += 1;
            if inner.calls_while_down > CALLS_WHILE_DOWN_MAX {
                world.accuse(format!("more than {CALLS_WHILE_DOWN_MAX} calls of a system that is down"));
            }
            inner.under_way.retain(|(known, _)| *known != number);
            return Err(StepError::new(ErrorClass::Server, "DOWN", "The system is down."));
        }
        drop(inner);
        Ok(Call(self, number))
    }

    /// Makes the connection.
    pub(crate) async fn connect(world: &World) {
        // In half of the stories the limit is of the writes, which is all that is called here, and the connection has room.
        let budget = match world.dice(2) {
            0 => json!({ "in_flight": IN_FLIGHT }),
            _ => json!({ "in_flight": IN_FLIGHT * 2, "writes": { "in_flight": IN_FLIGHT } }),
        };
        world.connect(CRM, json!({ "budget": budget })).await;
    }

    /// Whether somebody holds a circuit open by hand.
    pub(crate) async fn is_held_open(world: &World) -> bool {
        let gates = store::Gates::gates(&*world.store).await.expect("the true store answers");
        gates.iter().any(|gate| gate.state == GateState::Open && gate.next_probe.is_none())
    }

    /// Whether recipes can call it at all in this story.
    pub(crate) async fn is_there(world: &World) -> bool {
        matches!(world.store.connection(CRM).await, Ok(Some(_)))
    }
}
