//! How things stand in the store in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStore;
use crate::*;

#[async_trait]
impl Watch for MemoryStore {
    async fn standing(&self, now: Timestamp) -> Result<Standing, StoreError> {
        let model = self.model.lock();
        let mut waiting: BTreeMap<i16, Waiting> = BTreeMap::new();
        let mut letters: BTreeMap<String, i64> = BTreeMap::new();
        for row in model.runs.keys().filter_map(|id| model.row(*id)) {
            if let Some(reason) = row.waiting_for {
                let entry = waiting.entry(reason.number()).or_insert(Waiting { reason, runs: 0, oldest: row.accepted_at });
                entry.runs += 1;
                entry.oldest = entry.oldest.min(row.accepted_at);
            }
            if row.dead_letter == Some(DeadLetter::Open) {
                *letters.entry(row.slug).or_default() += 1;
            }
        }
        let mut letters: Vec<_> = letters.into_iter().collect();
        letters.sort_by_key(|(_, count)| -count);
        let due_since = model.due.first().map(|(due, _)| *due).filter(|due| *due <= now);
        Ok(Standing { due_since, waiting: waiting.into_values().collect(), letters })
    }

    async fn schema(&self) -> Result<Schema, StoreError> {
        Ok(Schema { found: 0, known: 0 })
    }
}
