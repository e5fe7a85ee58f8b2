//! Triggers that ask.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;

use super::{MemoryStore, Model};
use crate::*;

/// The triggers that ask, by recipe.
pub(super) type Kept = BTreeMap<RecipeId, Asked>;

/// One of them, and who asks it until when.
#[derive(Debug)]
pub(super) struct Asked {
    row: PollRow,
    taken: Option<(WorkerId, Timestamp)>,
}

impl Asked {
    fn begin(&mut self, since: Timestamp, now: Timestamp) {
        self.row.position = PollPosition::Since(since.micros());
        self.row.seq += 1;
        (self.row.due_at, self.row.failures, self.row.error, self.taken) = (now, 0, None, None);
    }
}

impl Model {
    fn is_active(&self, recipe: RecipeId) -> bool {
        self.recipes.get(&recipe).is_some_and(|(row, _)| row.active_version.is_some())
    }

    /// Lets go of what the dead ask; how many that were.
    pub(super) fn free_polls(&mut self, lives: impl Fn(WorkerId) -> bool) -> u64 {
        let lost = self.polls.values_mut().filter(|poll| poll.taken.is_some_and(|(worker, _)| !lives(worker)));
        lost.map(|poll| poll.taken = None).count() as u64
    }

    /// A trigger goes on from an instant; false when it never asked.
    pub(super) fn move_poll(&mut self, recipe: RecipeId, since: Timestamp, now: Timestamp) -> bool {
        self.polls.get_mut(&recipe).map(|poll| poll.begin(since, now)).is_some()
    }

    fn renew(&mut self, runs: &[Arc<NewRun>], accepts: &[Accepted]) {
        for (run, key) in known_keys(runs, accepts) {
            if let Some((_, until, _)) = self.keys.get_mut(&(run.recipe, key.hash)) {
                *until = key.expires_at.max(*until);
            }
        }
    }

    fn finish_poll(&mut self, done: &PollDone) -> Option<Vec<Accepted>> {
        let mine = |poll: &&Asked| poll.row.seq == done.seq && poll.taken.is_some_and(|(worker, _)| worker == done.worker);
        self.polls.get(&done.recipe).filter(mine)?;
        let mut accepts = Vec::new();
        if let PollAnswer::Page { runs, renews, .. } = &done.answer {
            accepts.extend(runs.iter().map(|run| self.accept(run)));
            if *renews {
                self.renew(runs, &accepts);
            }
        }
        let new = accepts.iter().filter(|accepted| **accepted == Accepted::New).count();
        let poll = self.polls.get_mut(&done.recipe)?;
        let row = &mut poll.row;
        (row.due_at, row.pause_us) = done.next(new);
        row.seq += 1;
        row.events += i64::try_from(new).unwrap_or(i64::MAX);
        match &done.answer {
            PollAnswer::Page { position, .. } => {
                (row.position, row.asked_at, row.failures, row.error) = (position.clone(), Some(done.now), 0, None);
            }
            PollAnswer::Failed { error } => {
                row.failures += i64::from(error.is_some());
                row.error = error.clone().or_else(|| row.error.take());
            }
        }
        if new > 0 {
            row.found_at = Some(done.now);
        }
        poll.taken = None;
        Some(accepts)
    }
}

#[async_trait]
impl Polls for MemoryStore {
    async fn open_polls(&self, polls: &[NewPoll], now: Timestamp) -> Result<(), StoreError> {
        let mut model = self.model.lock();
        for new in polls {
            let row = || PollRow {
                recipe: new.recipe,
                source: new.source.clone(),
                position: PollPosition::Since(new.since.micros()),
                seq: 1,
                due_at: now,
                pause_us: new.pause_us,
                asked_at: None,
                found_at: None,
                events: 0,
                failures: 0,
                error: None,
            };
            let poll = model.polls.entry(new.recipe).or_insert_with(|| Asked { row: row(), taken: None });
            if poll.row.source != new.source {
                poll.begin(new.since, now);
                (poll.row.source, poll.row.pause_us) = (new.source.clone(), new.pause_us);
            }
        }
        Ok(())
    }

    async fn take_polls(
        &self,
        worker: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<PollRow>, StoreError> {
        let mut model = self.model.lock();
        let is_free = |poll: &Asked| poll.taken.is_none_or(|(_, until)| until <= now);
        let due = model.polls.values().filter(|poll| poll.row.due_at <= now && is_free(poll) && model.is_active(poll.row.recipe));
        let mut due: Vec<PollRow> = due.map(|poll| poll.row.clone()).collect();
        due.sort_by_key(|row| (row.due_at, row.recipe));
        due.truncate(limit as usize);
        for row in &due {
            if let Some(poll) = model.polls.get_mut(&row.recipe) {
                poll.taken = Some((worker, lease_until));
            }
        }
        Ok(due)
    }

    async fn finish_poll(&self, done: &PollDone) -> Result<Option<Vec<Accepted>>, StoreError> {
        let finished = self.model.lock().finish_poll(done);
        self.notice.notify_one();
        Ok(finished)
    }

    async fn move_poll(&self, recipe: RecipeId, since: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.model.lock().move_poll(recipe, since, now))
    }

    async fn hasten_poll(&self, recipe: RecipeId, now: Timestamp) -> Result<bool, StoreError> {
        let mut model = self.model.lock();
        Ok(model.polls.get_mut(&recipe).map(|poll| poll.row.due_at = poll.row.due_at.min(now)).is_some())
    }

    async fn next_poll(&self) -> Result<Option<Timestamp>, StoreError> {
        let model = self.model.lock();
        let active = model.polls.values().filter(|poll| model.is_active(poll.row.recipe));
        Ok(active.map(|poll| poll.taken.map_or(poll.row.due_at, |(_, until)| until.max(poll.row.due_at))).min())
    }

    async fn polls(&self, after: Option<RecipeId>, limit: u32) -> Result<Vec<PollRow>, StoreError> {
        let model = self.model.lock();
        let wanted = model.polls.values().filter(|poll| after.is_none_or(|after| poll.row.recipe > after));
        Ok(wanted.take(limit as usize).map(|poll| poll.row.clone()).collect())
    }

    async fn poll(&self, recipe: RecipeId) -> Result<Option<PollRow>, StoreError> {
        Ok(self.model.lock().polls.get(&recipe).map(|poll| poll.row.clone()))
    }
}
