//! What screens read of the store in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value as Json};

use super::{MemoryStore, not_here};
use crate::*;

#[async_trait]
impl Pages for MemoryStore {
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        let model = self.model.lock();
        let rows = model.runs.keys().rev().filter_map(|id| model.row(*id));
        let wanted = |row: &RunRow| {
            filter.recipe.is_none_or(|recipe| row.recipe == recipe)
                && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
                && filter.before.is_none_or(|before| row.id < before)
                && (!filter.dead_letters || row.dead_letter == Some(DeadLetter::Open))
        };
        Ok(rows.filter(wanted).take(filter.limit as usize).collect())
    }

    async fn causes(&self, _recipe: Option<RecipeId>, _limit: u32) -> Result<Vec<Cause>, StoreError> {
        Ok(Vec::new())
    }

    async fn cause_hours(&self, causes: &[(Fingerprint, RecipeId)], _now: Timestamp) -> Result<Vec<CauseHours>, StoreError> {
        Ok(by_hour(causes.len(), []))
    }

    async fn count_dead_letters(&self, _filter: &RunFilter) -> Result<u32, StoreError> {
        not_here("counts")
    }

    async fn operations(&self, before: Option<OperationId>, limit: u32) -> Result<Vec<Operation>, StoreError> {
        Ok(self.model.lock().operations_before(before, limit))
    }

    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        Ok(self.model.lock().operation(id))
    }

    async fn operation_items(
        &self,
        operation: OperationId,
        state: Option<ItemState>,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<OperationItem>, StoreError> {
        Ok(self.model.lock().operation_items(operation, state, after, limit))
    }

    async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        Ok(self.model.lock().row(id))
    }

    async fn next_seq(&self, id: RunId) -> Result<i32, StoreError> {
        let model = self.model.lock();
        Ok(model.runs.get(&id).and_then(|run| i32::try_from(run.chunks.len()).ok()).unwrap_or(0))
    }

    async fn chunks(&self, id: RunId, from: i32, limit: u32) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        let model = self.model.lock();
        let chunks = model.runs.get(&id).map(|run| run.chunks.clone()).unwrap_or_default();
        Ok((0..).zip(chunks).filter(|(seq, _)| *seq >= from).take(limit as usize).collect())
    }

    async fn lane_place(&self, id: RunId) -> Result<Option<LanePlace>, StoreError> {
        let model = self.model.lock();
        let Some((key, _)) = model.lanes.values().find(|(_, run)| *run == id) else { return Ok(None) };
        let line: Vec<RunId> = model.lanes.values().filter(|(lane, _)| lane == key).map(|(_, run)| *run).collect();
        let before = line.iter().take_while(|run| **run != id).count();
        let before = u32::try_from(before).unwrap_or(u32::MAX).min(LANE_COUNTED_MAX);
        Ok(line.first().map(|head| LanePlace { head: *head, before }))
    }

    async fn run_counts(&self, recipe: Option<RecipeId>, since: Timestamp) -> Result<Vec<(RunStatus, i64)>, StoreError> {
        let mut counts: BTreeMap<i16, i64> = BTreeMap::new();
        for run in self.model.lock().runs.values() {
            if run.new.accepted_at >= since && recipe.is_none_or(|recipe| run.new.recipe == recipe) {
                *counts.entry(run.status.number()).or_default() += 1;
            }
        }
        Ok(counts.into_iter().filter_map(|(number, count)| Some((RunStatus::from_number(number)?, count))).collect())
    }

    async fn recipes(&self) -> Result<Vec<RecipeRow>, StoreError> {
        Ok(self.model.lock().recipes.values().map(|(row, _)| row.clone()).collect())
    }

    async fn recipe(&self, slug: &str) -> Result<Option<RecipeRow>, StoreError> {
        Ok(self.model.lock().recipes.values().find(|(row, _)| row.slug == slug).map(|(row, _)| row.clone()))
    }

    async fn recipe_by_id(&self, id: RecipeId) -> Result<Option<RecipeRow>, StoreError> {
        Ok(self.model.lock().recipes.get(&id).map(|(row, _)| row.clone()))
    }

    async fn version(&self, recipe: RecipeId, version: i32) -> Result<Option<RecipeVersion>, StoreError> {
        Ok(self.model.lock().versions.get(&(recipe, version)).cloned())
    }

    async fn versions(&self, recipe: RecipeId) -> Result<Vec<RecipeVersion>, StoreError> {
        Ok(self.model.lock().versions.range((recipe, 0)..=(recipe, i32::MAX)).rev().map(|(_, version)| version.clone()).collect())
    }

    async fn recipe_stats(&self, _since: Timestamp) -> Result<Vec<(RecipeId, RecipeStats)>, StoreError> {
        not_here("statistics")
    }

    async fn recipe_by_hook(&self, token: &str) -> Result<Option<RecipeRow>, StoreError> {
        Ok(self.model.lock().recipes.values().find(|(row, _)| row.hook_token == token).map(|(row, _)| row.clone()))
    }

    async fn inbound(&self, _filter: &InboundFilter) -> Result<Vec<InboundRow>, StoreError> {
        not_here("kept requests")
    }

    async fn inbound_by_id(&self, _id: InboundId) -> Result<Option<InboundRow>, StoreError> {
        not_here("kept requests")
    }

    async fn connections(&self) -> Result<Vec<ConnectionRow>, StoreError> {
        Ok(self.model.lock().connections())
    }

    async fn approvals(&self, open: bool, before: Option<ApprovalId>, limit: u32) -> Result<Vec<Approval>, StoreError> {
        let model = self.model.lock();
        let waits = |run: &RunId| model.runs.get(run).is_some_and(|run| !run.status.is_final());
        let wanted = |one: &&Approval| {
            before.is_none_or(|before| one.id < before)
                && if open { one.decided_at.is_none() && waits(&one.run) } else { one.decided_at.is_some() }
        };
        Ok(model.approvals.values().rev().filter(wanted).take(limit as usize).cloned().collect())
    }

    async fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        Ok(self.model.lock().approvals.get(&id).cloned())
    }

    async fn recipe_state(&self, recipe: RecipeId) -> Result<Map<String, Json>, StoreError> {
        let model = self.model.lock();
        Ok(model
            .state
            .iter()
            .filter(|((id, _), _)| *id == recipe)
            .map(|((_, name), value)| (name.clone(), value.clone()))
            .collect())
    }

    async fn connection(&self, name: &str) -> Result<Option<ConnectionRow>, StoreError> {
        Ok(self.model.lock().connection(name))
    }
}
