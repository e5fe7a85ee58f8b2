//! Data that goes once a run is over, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use crate::*;

impl MemoryStore {
    fn may_go(&self, run: RunId, ended_before: Timestamp) -> bool {
        let model = self.model.lock();
        let open = |id: RunId| {
            let found = model.runs.get(&id);
            found.is_some_and(|run| !run.status.is_final() || run.dead_letter == Some(DeadLetter::Open))
        };
        let ended = |found: &super::Kept| found.ended_at.is_some_and(|at| at <= ended_before);
        let parent = |found: &super::Kept| found.new.parent.as_ref().is_some_and(|parent| open(parent.run));
        !open(run) && model.runs.get(&run).is_some_and(|found| ended(found) && !parent(found))
    }
}

#[async_trait]
impl Forgets for MemoryStore {
    async fn forgettable(&self, after: Option<RunId>, ended_before: Timestamp) -> Result<Forgettable, StoreError> {
        let due: Vec<(RunId, Keeps)> = {
            let model = self.model.lock();
            let later = model.forgets.iter().filter(|(run, (_, at))| at.is_none() && after.is_none_or(|after| **run > after));
            later.map(|(run, (keeps, _))| (*run, *keeps)).collect()
        };
        let seen = u32::try_from(due.len()).unwrap_or(u32::MAX);
        Ok(Forgettable { runs: due.into_iter().filter(|(run, _)| self.may_go(*run, ended_before)).collect(), seen, next: None })
    }

    async fn forget(&self, wish: &Forgetting) -> Result<bool, StoreError> {
        if !self.may_go(wish.run, wish.at) {
            return Ok(false);
        }
        let mut model = self.model.lock();
        let same = model.runs.get(&wish.run).is_some_and(|run| i32::try_from(run.chunks.len()) == Ok(wish.length));
        match model.forgets.get_mut(&wish.run) {
            Some((_, at @ None)) if same => *at = wish.finishes.then_some(wish.at),
            _ => return Ok(false),
        }
        let Some(run) = model.runs.get_mut(&wish.run) else { return Ok(false) };
        for (seq, chunk) in &wish.chunks {
            if let Some(known) = usize::try_from(*seq).ok().and_then(|seq| run.chunks.get_mut(seq)) {
                known.clone_from(chunk);
            }
        }
        if !wish.finishes {
            return Ok(true);
        }
        run.error = run.error.take().and_then(|_| wish.error.clone());
        model.answers.retain(|(run, _), _| *run != wish.run);
        model.approvals.retain(|_, approval| approval.run != wish.run);
        Ok(true)
    }

    async fn keeps(&self, run: RunId) -> Result<Option<(Keeps, Option<Timestamp>)>, StoreError> {
        Ok(self.model.lock().forgets.get(&run).copied())
    }

    async fn begin_anew(&self, recipe: RecipeId, now: Timestamp) -> Result<(), StoreError> {
        let mut model = self.model.lock();
        model.keys.retain(|(of, _), _| *of != recipe);
        model.state.retain(|(of, _), _| *of != recipe);
        model.move_poll(recipe, now, now);
        Ok(())
    }

    async fn wipe(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
}
