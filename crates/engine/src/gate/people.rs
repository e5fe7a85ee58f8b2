//! What people see of a connection's gates, and change by hand.

use std::{sync::Arc, time::Duration};

use store::{AuditId, AuditRow, BudgetLimits, BudgetRow, Day, GateClass, GateRow, StoreError, Timestamp, WaitingFor};

use super::{
    Errand,
    circuit::{self, Event, closed},
    keeper,
    settings::{self, GateSettings},
};
use crate::{Engine, frame::instant_text};

const DAY: Duration = Duration::from_secs(24 * 3600);
const DAY_US: i64 = 24 * 3600 * 1_000_000;
const SHORTEST: Duration = Duration::from_secs(3600);

/// A connection's gates as the store knows them.
#[derive(Debug, Clone)]
pub struct GateView {
    /// Its circuits, by class.
    pub circuits: Vec<GateRow>,
    /// Its limits.
    pub limits: BudgetLimits,
    /// Those of each class of its calls, by class; without any where only the connection's count.
    pub by_class: [BudgetLimits; 2],
    /// What is left of its budget; `None` when nobody took from it yet.
    pub budget: Option<BudgetRow>,
}

/// How a day's limit is used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forecast {
    /// The limit that leaves least.
    pub day: Option<Day>,
    /// Calls a day at the rate of this day so far.
    pub uses_per_day: Option<f64>,
    /// When the limit is used up at that rate; `None` when it lasts.
    pub runs_out_at: Option<Timestamp>,
}

/// Calls a second. A day that has just begun says little: it counts as an hour.
fn rate(calls: i64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a forecast is no exact thing")]
    let calls = calls.max(0) as f64;
    calls / time.clamp(SHORTEST, DAY).as_secs_f64()
}

impl GateView {
    /// Calls left today, if a day is limited.
    #[must_use]
    pub fn day_left(&self, now: Timestamp) -> Option<u32> {
        match &self.budget {
            Some(row) => row.day_left(&self.limits, now),
            None => self.limits.per_day,
        }
    }

    /// How long a day's limit lasts if calls go on as they do.
    #[must_use]
    pub fn forecast(&self, now: Timestamp) -> Forecast {
        let Some(row) = &self.budget else { return Forecast::default() };
        let day_began = Timestamp::from_micros(now.micros().div_euclid(DAY_US) * DAY_US);
        let ours = if row.next_day() > now { rate(row.day_used, now.since(day_began)) } else { 0.0 };
        // Others may use the same account: the system counts their calls, too.
        let theirs = row.told.map_or(0.0, |told| {
            let since = told.ends_at.map_or(DAY, |ends| DAY.saturating_sub(ends.since(told.at)));
            rate(told.limit - told.left, since)
        });
        let per_second = ours.max(theirs);
        let day = row.day(&self.limits, now);
        let runs_out_at = day.filter(|_| per_second > 0.0).and_then(|day| {
            #[expect(clippy::cast_precision_loss, reason = "a forecast is no exact thing")]
            let lasts = Duration::try_from_secs_f64(day.left as f64 / per_second).ok()?;
            Some(now.after(lasts)).filter(|at| *at < day.ends_at)
        });
        Forecast { day, uses_per_day: day.map(|_| (per_second * DAY.as_secs_f64()).round()), runs_out_at }
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
        let GateSettings { budget: limits, by_class, .. } = self.settings_of(connection);
        Ok(GateView { circuits, limits, by_class, budget: self.store.budget(connection).await? })
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
        let _turn = self.gates.turn.lock().await;
        self.gates.look(&*self.store, self.now()).await?;
        let event = Event::ByHand { open, who: who.to_owned(), reason: reason.to_owned() };
        let mut moved = false;
        for class in GateClass::ALL.into_iter().filter(|one| class.is_none_or(|class| class == *one)) {
            moved |= keeper::carry(self, connection, class, &event).await?;
        }
        if moved && !open {
            let rate = self.gates.doors.lock().get(connection).map_or(1.0, |door| door.settings.circuit.release_per_second);
            self.let_go_on(WaitingFor::Circuit, None, rate).await?;
        }
        Ok(moved)
    }

    /// Says by hand until when nobody calls through a connection, whatever its system asked for; `None` ends a pause and
    /// lets the runs that wait for a budget go on as fast as it allows. False when there was nothing to end.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn set_pause(
        self: &Arc<Self>,
        connection: &str,
        until: Option<Timestamp>,
        who: &str,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let (word, sentence) = match until {
            Some(until) => ("paused", format!("Nobody calls before {}.", instant_text(until))),
            None => ("resumed", "The pause was ended; calls go on as the budget allows.".to_owned()),
        };
        let audit = AuditRow {
            id: AuditId::new(now, self.random()),
            at: now,
            who: who.to_owned(),
            what: format!("budget.{word}"),
            about: format!("connection {connection}"),
            note: format!("{sentence} {reason}"),
        };
        let _turn = self.gates.turn.lock().await;
        let kept = self.store.set_pause(connection, until, now, &audit).await?;
        // What the system asked for before and the store does not know yet must not come after this.
        let is_asked = |errand: &Errand| matches!(errand, Errand::Pause { connection: of, .. } if of == connection);
        let asked = {
            let mut errands = self.gates.errands.lock();
            let before = errands.len();
            errands.retain(|errand| !is_asked(errand));
            errands.len() < before
        };
        if asked && !kept {
            self.store.add_audit(&audit).await?;
        }
        self.gates.doors.lock().entry(connection.to_owned()).or_default().budget.pause_by_hand(until, now);
        // Also where there was nothing to end: a try before may have come no further than this.
        let rate = self.settings_of(connection).budget.per_second.unwrap_or(circuit::RELEASE_PER_SECOND);
        self.let_go_on(WaitingFor::Budget, until, rate).await?;
        self.gates.stir.notify_one();
        Ok(kept || asked)
    }

    /// Runs that wait for this reason are due soon, so many a second, but not before an instant. Those before other
    /// connections come too; they find these as they were.
    async fn let_go_on(&self, reason: WaitingFor, from: Option<Timestamp>, per_second: f64) -> Result<(), StoreError> {
        let now = self.now();
        // Other processes take the runs up, too, and must know by then what changed.
        let known = if self.settings.shared_store { now.after(self.settings.gates_interval * 2) } else { now };
        let from = from.map_or(known, |from| from.max(known));
        let gap = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or_default();
        self.store.hasten(reason, from, i64::try_from(gap.as_micros()).unwrap_or(i64::MAX)).await?;
        self.wake_at(from);
        self.wake.notify_one();
        Ok(())
    }

    fn settings_of(&self, connection: &str) -> GateSettings {
        let known = self.connection(connection);
        known.map_or_else(GateSettings::default, |known| settings::read_saved(&known.config, &self.limits(&known.connector)))
    }
}
