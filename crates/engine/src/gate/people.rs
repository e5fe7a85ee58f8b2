//! What people see of a connection's gates, and change by hand.

use std::{sync::Arc, time::Duration};

use store::{BudgetLimits, BudgetRow, GateClass, GateRow, StoreError, Timestamp, WaitingFor};

use super::{
    circuit::{Event, closed},
    keeper, settings,
};
use crate::Engine;

/// A connection's gates as the store knows them.
#[derive(Debug, Clone)]
pub struct GateView {
    /// Its circuits, by class.
    pub circuits: Vec<GateRow>,
    /// Its limits.
    pub limits: BudgetLimits,
    /// What is left of its budget; `None` when nobody took from it yet.
    pub budget: Option<BudgetRow>,
}

impl GateView {
    /// Calls left today, if a day is limited.
    #[must_use]
    pub fn day_left(&self, now: Timestamp) -> Option<u32> {
        match &self.budget {
            Some(row) if row.next_day() > now => row.day_left(&self.limits),
            Some(_) | None => self.limits.per_day,
        }
    }
}

impl Engine {
    /// The gates of a connection.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn gates_of(&self, connection: &str) -> Result<GateView, StoreError> {
        let rows = self.store.gates().await?;
        let find = |class| rows.iter().find(|row| row.connection == connection && row.class == class).cloned();
        let circuits = GateClass::ALL.into_iter().map(|class| find(class).unwrap_or_else(|| closed(connection, class))).collect();
        let limits = match self.connection(connection) {
            Some(known) => settings::read_saved(&known.config, &self.limits(&known.connector)).budget,
            None => BudgetLimits::default(),
        };
        Ok(GateView { circuits, limits, budget: self.store.budget(connection).await? })
    }

    /// Opens or closes a connection's circuit by hand: one class, or both. Open means until somebody
    /// closes it; closing lets the runs that wait go on, a few a second. False when it was so already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn set_circuit(
        self: &Arc<Self>,
        connection: &str,
        class: Option<GateClass>,
        open: bool,
        who: &str,
        reason: &str,
    ) -> Result<bool, StoreError> {
        self.gates.look(&*self.store, self.now()).await?;
        let event = Event::ByHand { open, who: who.to_owned(), reason: reason.to_owned() };
        let mut moved = false;
        for class in GateClass::ALL.into_iter().filter(|one| class.is_none_or(|class| class == *one)) {
            moved |= keeper::carry(self, connection, class, &event).await?;
        }
        if moved && !open {
            let rate = self.gates.doors.lock().get(connection).map_or(1.0, |door| door.settings.circuit.release_per_second);
            let gap = Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default();
            // Runs before other circuits come too; they find those as they were.
            let gap_us = i64::try_from(gap.as_micros()).unwrap_or(i64::MAX);
            self.store.hasten(WaitingFor::Circuit, self.now(), gap_us).await?;
            self.wake_at(self.now());
            self.wake.notify_one();
        }
        Ok(moved)
    }
}
