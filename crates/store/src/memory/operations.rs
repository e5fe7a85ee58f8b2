//! What people do to many dead letters at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kept as Run, Model};
use crate::*;

/// The operations.
pub(super) type Kept = BTreeMap<OperationId, Under>;

/// One of them with the runs it takes, and who has it until when.
#[derive(Debug)]
pub(super) struct Under {
    operation: Operation,
    items: BTreeMap<RunId, OperationItem>,
    taken: Option<(WorkerId, Timestamp)>,
}

impl Model {
    fn chosen(&self, kind: OperationKind, selection: &Selection) -> BTreeSet<RunId> {
        let mut chosen: BTreeSet<RunId> = match selection {
            Selection::Runs(runs) => runs.iter().copied().collect(),
            Selection::Filter(filter) => {
                let wanted = |(_, run): &(&RunId, &Run)| {
                    run.dead_letter == Some(DeadLetter::Open)
                        && filter.recipe.is_none_or(|recipe| run.new.recipe == recipe)
                        && filter.since.is_none_or(|since| run.new.accepted_at >= since)
                        && filter.until.is_none_or(|until| run.new.accepted_at < until)
                };
                self.runs.iter().filter(wanted).map(|(id, _)| *id).collect()
            }
        };
        if kind == OperationKind::Replay {
            let all = chosen.clone();
            let caller = |run: &RunId| self.runs.get(run).and_then(|run| Some(run.new.parent.as_ref()?.run));
            chosen.retain(|run| caller(run).is_none_or(|caller| !all.contains(&caller)));
        }
        chosen
    }

    pub(super) fn create_operation(&mut self, operation: &Operation, selection: &Selection) -> Option<Operation> {
        let chosen = self.chosen(operation.kind, selection);
        if chosen.len() > OPERATION_RUNS_MAX as usize {
            return None;
        }
        let item = |run| {
            let failed_at = self.runs.get(&run).and_then(|run| run.ended_at);
            (run, OperationItem { run, failed_at, state: ItemState::Pending, result: None, message: None })
        };
        let items: BTreeMap<_, _> = chosen.into_iter().map(item).collect();
        let mut operation = Operation { total: i32::try_from(items.len()).unwrap_or(i32::MAX), ..operation.clone() };
        if items.is_empty() {
            (operation.state, operation.ended_at) = (OperationState::Done, Some(operation.at));
        }
        self.operations.insert(operation.id, Under { operation: operation.clone(), items, taken: None });
        Some(operation)
    }

    pub(super) fn take_operation(&mut self, owner: WorkerId, now: Timestamp, lease_until: Timestamp) -> Option<Operation> {
        let workers = &self.workers;
        let is_free = |taken: Option<(WorkerId, Timestamp)>| {
            taken.is_none_or(|(worker, until)| worker == owner || until <= now || !workers.contains_key(&worker.0))
        };
        let due = self.operations.values_mut().filter(|under| {
            let begun = || under.items.values().any(|item| item.state == ItemState::Begun);
            let goes_on = match under.operation.state {
                OperationState::Running => true,
                OperationState::Stopped => begun(),
                OperationState::Paused | OperationState::Done => false,
            };
            goes_on && under.operation.next_at <= now && is_free(under.taken)
        });
        let next = due.min_by_key(|under| (under.operation.next_at, under.operation.id))?;
        next.taken = Some((owner, lease_until));
        Some(next.operation.clone())
    }

    pub(super) fn begin_items(&mut self, operation: OperationId, limit: u32) -> Vec<OperationItem> {
        let Some(under) = self.operations.get_mut(&operation) else { return Vec::new() };
        let open = under.items.values_mut().filter(|item| matches!(item.state, ItemState::Pending | ItemState::Begun));
        let begin = |item: &mut OperationItem| {
            let before = item.clone();
            item.state = ItemState::Begun;
            before
        };
        open.take(limit as usize).map(begin).collect()
    }

    pub(super) fn finish_items(
        &mut self,
        operation: OperationId,
        owner: WorkerId,
        outcomes: &[ItemOutcome],
        next_at: Timestamp,
        now: Timestamp,
    ) -> Option<Operation> {
        let Under { operation, items, taken } = self.operations.get_mut(&operation)?;
        for ItemOutcome { run, outcome } in outcomes {
            let open = |item: &&mut OperationItem| matches!(item.state, ItemState::Pending | ItemState::Begun);
            let Some(item) = items.get_mut(run).filter(open) else { continue };
            match outcome {
                Ok(result) => {
                    (item.state, item.result) = (ItemState::Done, *result);
                    operation.done += 1;
                }
                Err(message) => {
                    (item.state, item.message) = (ItemState::Failed, Some(message.clone()));
                    operation.failed += 1;
                }
            }
        }
        if taken.is_some_and(|(worker, _)| worker == owner) {
            (operation.next_at, *taken) = (next_at, None);
        }
        if !operation.state.is_final() && operation.done + operation.failed >= operation.total {
            (operation.state, operation.ended_at) = (OperationState::Done, Some(now));
        }
        Some(operation.clone())
    }

    pub(super) fn change_operation(&mut self, operation: OperationId, change: &OperationChange, now: Timestamp) -> bool {
        let Some(Under { operation, .. }) = self.operations.get_mut(&operation) else { return false };
        match (change, operation.state) {
            (OperationChange::Pause, OperationState::Running) => operation.state = OperationState::Paused,
            (OperationChange::GoOn, OperationState::Paused) => {
                (operation.state, operation.next_at) = (OperationState::Running, now);
            }
            (OperationChange::Stop(note), OperationState::Running | OperationState::Paused) => {
                (operation.state, operation.ended_at, operation.note) = (OperationState::Stopped, Some(now), note.clone());
            }
            (OperationChange::Release, OperationState::Running) if operation.first > 0 => {
                (operation.first, operation.next_at) = (0, now);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn operations_before(&self, before: Option<OperationId>, limit: u32) -> Vec<Operation> {
        let wanted = self.operations.values().rev().map(|under| &under.operation);
        wanted.filter(|operation| before.is_none_or(|before| operation.id < before)).take(limit as usize).cloned().collect()
    }

    pub(super) fn operation(&self, id: OperationId) -> Option<Operation> {
        self.operations.get(&id).map(|under| under.operation.clone())
    }

    pub(super) fn operation_items(
        &self,
        operation: OperationId,
        state: Option<ItemState>,
        after: Option<RunId>,
        limit: u32,
    ) -> Vec<OperationItem> {
        let items = self.operations.get(&operation).into_iter().flat_map(|under| under.items.values());
        let wanted = items.filter(|item| state.is_none_or(|state| item.state == state) && after.is_none_or(|run| item.run > run));
        wanted.take(limit as usize).cloned().collect()
    }
}
