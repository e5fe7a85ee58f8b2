//! Connections, their circuits and budgets, and the audit list of the store in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{MemoryStore, Model};
use crate::*;

/// What is kept of connections.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) connections: BTreeMap<String, ConnectionRow>,
    gates: BTreeMap<(String, i16), GateRow>,
    budgets: BTreeMap<String, (BudgetRow, Vec<BudgetHolder>)>,
    pub(super) audit: BTreeMap<AuditId, AuditRow>,
    pub(super) sign_ins: super::sign_in::Kept,
    pub(super) shapes: super::shapes::Kept,
}

impl Model {
    pub(super) fn create_connection(&mut self, row: ConnectionRow) -> Put {
        if self.outside.connections.contains_key(&row.name) {
            return Put::NameTaken;
        }
        self.revision += 1;
        self.outside.connections.insert(row.name.clone(), row.clone());
        Put::Done(row)
    }

    pub(super) fn update_connection(&mut self, row: ConnectionRow) -> Put {
        let known = self.outside.connections.values_mut().find(|known| known.id == row.id && known.revision == row.revision);
        let Some(known) = known else { return Put::Gone };
        (known.config, known.sealed, known.updated_at) = (row.config, row.sealed, row.updated_at);
        known.revision += 1;
        self.revision += 1;
        Put::Done(known.clone())
    }

    pub(super) fn delete_connection(&mut self, id: ConnectionId) -> bool {
        let name = self.outside.connections.values().find(|row| row.id == id).map(|row| row.name.clone());
        let Some(name) = name else { return false };
        self.outside.connections.remove(&name);
        self.outside.gates.retain(|(connection, _), _| *connection != name);
        let of_classes = GateClass::ALL.map(|class| class_budget(&name, class));
        self.outside.budgets.retain(|kept, _| *kept != name && !of_classes.contains(kept));
        self.outside.sign_ins.forget(&name, id);
        self.outside.shapes.retain(|(connection, _), _| *connection != id);
        self.revision += 1;
        true
    }

    pub(super) fn connections(&self) -> Vec<ConnectionRow> {
        self.outside.connections.values().cloned().collect()
    }

    pub(super) fn connection(&self, name: &str) -> Option<ConnectionRow> {
        self.outside.connections.get(name).cloned()
    }
}

#[async_trait]
impl Gates for MemoryStore {
    async fn shared_clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.clock.as_ref().map(|clock| clock.now()))
    }

    async fn gates(&self) -> Result<Vec<GateRow>, StoreError> {
        Ok(self.model.lock().outside.gates.values().cloned().collect())
    }

    async fn move_gate(&self, row: &GateRow, audit: Option<&AuditRow>) -> Result<bool, StoreError> {
        let outside = &mut self.model.lock().outside;
        let key = (row.connection.clone(), row.class.number());
        // As in the databases: a first write needs no revision, any other the one that was read.
        if outside.gates.get(&key).is_some_and(|known| known.revision != row.revision) {
            return Ok(false);
        }
        outside.gates.insert(key, GateRow { revision: row.revision + 1, ..row.clone() });
        if let Some(audit) = audit {
            outside.audit.entry(audit.id).or_insert_with(|| audit.clone());
        }
        Ok(true)
    }

    async fn lease_budget(&self, ask: &BudgetAsk) -> Result<BudgetLease, StoreError> {
        let budgets = &mut self.model.lock().outside.budgets;
        let known = budgets.remove(&ask.connection);
        let (row, mut holders) = known.unwrap_or_else(|| (BudgetRow::full(&ask.limits, ask.now), Vec::new()));
        let (row, holder, lease) = row.lease(&holders, ask);
        holders.retain(|other| other.hold_until > ask.now && other.worker != ask.worker);
        if holder.held > 0 || holder.wanted > 0 || holder.lent > 0 {
            holders.push(holder);
        }
        budgets.insert(ask.connection.clone(), (row, holders));
        Ok(lease)
    }

    async fn pause_budget(&self, connection: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let nobody =
            BudgetRow { tokens: 0, refreshed_at: now, day: 0, day_used: 0, paused_until: None, paused_at: None, told: None };
        let budgets = &mut self.model.lock().outside.budgets;
        let (row, _) = budgets.entry(connection.to_owned()).or_insert((nobody, Vec::new()));
        if row.paused_until.is_none_or(|before| before <= now) {
            row.paused_at = Some(now);
        }
        row.paused_until = row.paused_until.max(Some(until));
        Ok(())
    }

    async fn set_pause(
        &self,
        connection: &str,
        until: Option<Timestamp>,
        now: Timestamp,
        audit: &AuditRow,
    ) -> Result<bool, StoreError> {
        if until.is_none() && !self.pauses(now).await?.iter().any(|(name, _)| name == connection) {
            return Ok(false);
        }
        self.pause_budget(connection, now, now).await?;
        let outside = &mut self.model.lock().outside;
        if let Some((row, _)) = outside.budgets.get_mut(connection) {
            (row.paused_until, row.paused_at) = (until, until.map(|_| now));
        }
        outside.audit.entry(audit.id).or_insert_with(|| audit.clone());
        Ok(true)
    }

    async fn pauses(&self, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let budgets = &self.model.lock().outside.budgets;
        let paused = budgets.iter().filter_map(|(name, (row, _))| Some((name.clone(), row.paused_until?)));
        Ok(paused.filter(|(_, until)| *until > now).collect())
    }

    async fn hear_limit(&self, connection: &str, told: &Told) -> Result<(), StoreError> {
        let budgets = &mut self.model.lock().outside.budgets;
        let full = BudgetRow::full(&BudgetLimits::default(), told.at);
        let (row, _) = budgets.entry(connection.to_owned()).or_insert((full, Vec::new()));
        *row = row.clone().hear(told);
        Ok(())
    }

    async fn told_limits(&self) -> Result<Vec<(String, Told)>, StoreError> {
        let budgets = &self.model.lock().outside.budgets;
        Ok(budgets.iter().filter_map(|(name, (row, _))| Some((name.clone(), row.told?))).collect())
    }

    async fn budget(&self, connection: &str) -> Result<Option<BudgetRow>, StoreError> {
        Ok(self.model.lock().outside.budgets.get(connection).map(|(row, _)| row.clone()))
    }

    async fn hasten(&self, reason: WaitingFor, now: Timestamp, gap_us: i64) -> Result<u64, StoreError> {
        let mut model = self.model.lock();
        let later = model.due.iter().filter(|(at, _)| *at > now).map(|(_, id)| *id);
        let waits = |id: &RunId| model.runs.get(id).is_some_and(|run| run.waiting_for == Some(reason));
        let waiting: Vec<RunId> = later.filter(waits).collect();
        let mut due = now.micros();
        for id in &waiting {
            model.change(*id, |run| run.due_at = run.due_at.min(Some(Timestamp::from_micros(due))));
            due = due.saturating_add(gap_us);
        }
        self.notice.notify_one();
        Ok(waiting.len() as u64)
    }

    async fn add_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        self.model.lock().outside.audit.entry(row.id).or_insert_with(|| row.clone());
        Ok(())
    }

    async fn audit(&self, about: Option<&str>, before: Option<AuditId>, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let model = self.model.lock();
        let rows = model.outside.audit.values().rev();
        let wanted =
            |row: &&AuditRow| before.is_none_or(|before| row.id < before) && about.is_none_or(|about| row.about == about);
        Ok(rows.filter(wanted).take(limit as usize).cloned().collect())
    }
}
