//! Transitions of the store in memory, each whole.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{Kept, Model};
use crate::*;

impl Model {
    pub(super) fn activate(&mut self, id: RecipeId, version: Option<i32>, params: &Json, now: Timestamp) -> Option<RecipeRow> {
        if version.is_some_and(|version| !self.versions.contains_key(&(id, version))) {
            return None;
        }
        let (row, cursor) = self.recipes.get_mut(&id)?;
        if row.active_version.is_none() {
            *cursor = Some(now);
        }
        (row.active_version, row.params, row.updated_at) = (version, params.clone(), now);
        self.revision += 1;
        Some(row.clone())
    }

    pub(super) fn change(&mut self, id: RunId, change: impl FnOnce(&mut Kept)) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let before = run.due_at;
        change(run);
        let after = run.due_at;
        if let Some(at) = before {
            self.due.remove(&(at, id));
        }
        if let Some(at) = after {
            self.due.insert((at, id));
        }
    }

    pub(super) fn follow(&mut self, id: RunId, then: &Then, attempts: i32) {
        self.change(id, |run| {
            run.status = then.status();
            run.waiting_for = then.waiting_for();
            run.due_at = then.due_at();
            run.owner = None;
            run.attempts = attempts;
            run.ended_at = then.ended_at();
            run.error = then.error().map(|error| ErrorRecord { request: None, response: None, ..error.clone() });
            run.dead_letter = (then.status() == RunStatus::Failed).then_some(DeadLetter::Open);
        });
    }

    /// The run that has the key of a new one.
    pub(super) fn known(&self, new: &NewRun) -> Option<Accepted> {
        let key = new.key.as_ref()?;
        let (run, until, fingerprint) = self.keys.get(&(new.recipe, key.hash))?;
        if *run == new.id || (*until <= new.accepted_at && !self.runs.contains_key(run)) {
            return None;
        }
        let same_content = fingerprint.is_none() || key.fingerprint.is_none() || *fingerprint == key.fingerprint;
        Some(Accepted::Duplicate { run: *run, same_content })
    }

    pub(super) fn accept(&mut self, new: &Arc<NewRun>) -> Accepted {
        if let Some(known) = self.known(new) {
            return known;
        }
        if let Some(key) = &new.key {
            self.keys.insert((new.recipe, key.hash), (new.id, key.expires_at, key.fingerprint));
        }
        if self.runs.contains_key(&new.id) {
            return Accepted::New;
        }
        let run = Kept {
            new: Arc::clone(new),
            status: RunStatus::Running,
            waiting_for: None,
            due_at: None,
            owner: Some(new.owner),
            epoch: 1,
            attempts: new.attempts,
            ended_at: None,
            error: None,
            dead_letter: None,
            chunks: vec![new.chunk.clone()],
        };
        self.runs.insert(new.id, run);
        if new.then != Then::Running {
            self.follow(new.id, &new.then, new.attempts);
        }
        self.beside(new.id, &new.beside);
        if let Some(lane) = new.lane.filter(|_| new.then.ended_at().is_none()) {
            self.enter(new.id, lane);
        }
        Accepted::New
    }

    pub(super) fn commit(&mut self, commit: &RunCommit) -> Committed {
        let Some(run) = self.runs.get_mut(&commit.run) else { return Committed::LeaseLost };
        let owned = run.owner == Some(commit.owner) && run.epoch == commit.epoch;
        if commit.chunk.is_empty() {
            let let_go = run.owner.is_none() && run.epoch == commit.epoch;
            if owned {
                self.follow(commit.run, &commit.then, commit.attempts);
                self.rouse(commit);
            }
            return if owned || let_go { Committed::Done } else { Committed::LeaseLost };
        }
        let place = usize::try_from(commit.seq).unwrap_or(usize::MAX);
        if let Some(chunk) = run.chunks.get(place) {
            let done = *chunk == commit.chunk && (owned || commit.then != Then::Running);
            if done && owned && commit.then != Then::Running {
                self.follow(commit.run, &commit.then, commit.attempts);
            }
            return if done { Committed::Done } else { Committed::LeaseLost };
        }
        if !owned || place != run.chunks.len() {
            return Committed::LeaseLost;
        }
        run.chunks.push(commit.chunk.clone());
        if commit.then != Then::Running {
            self.follow(commit.run, &commit.then, commit.attempts);
        }
        self.beside(commit.run, &commit.beside);
        self.rouse(commit);
        if let Some(lane) = commit.lane.filter(|_| commit.then.status().is_final()) {
            self.leave(commit.run, lane, commit.then.ended_at());
        }
        Committed::Done
    }

    /// A parked run whose answer is there already is due at once.
    fn rouse(&mut self, commit: &RunCommit) {
        let heard = |path: &StepPath| self.answers.get(&(commit.run, Arc::clone(path))).is_some_and(|(_, taken)| !taken);
        if commit.then.waiting_for().is_some() && commit.listens.iter().any(heard) {
            self.change(commit.run, |run| run.due_at = Some(run.new.accepted_at));
        }
    }

    pub(super) fn beside(&mut self, id: RunId, changes: &[Beside]) {
        for change in changes {
            match change {
                Beside::Answer { run, answer } => drop(self.answer(*run, answer, true)),
                Beside::Taken(paths) => {
                    for path in paths {
                        if let Some((_, taken)) = self.answers.get_mut(&(id, Arc::clone(path))) {
                            *taken = true;
                        }
                    }
                }
                Beside::Keep { recipe, values, .. } => {
                    for (name, value) in values {
                        self.state.insert((*recipe, name.clone()), value.clone());
                    }
                }
                Beside::Ask(approval) => drop(self.approvals.insert(approval.id, (**approval).clone())),
                Beside::Start(new) => drop(self.accept(new)),
                Beside::Forgets(keeps) => drop(self.forgets.entry(id).or_insert((*keeps, None))),
                Beside::Refers(blobs) => self.blobs.refer(id, blobs.iter().map(|blob| blob.id)),
            }
        }
    }

    pub(super) fn untaken(&self, id: RunId) -> Vec<Answer> {
        let of = self.answers.iter().filter(|((run, _), (_, taken))| *run == id && !taken);
        let mut answers: Vec<Answer> = of.map(|(_, (answer, _))| answer.clone()).collect();
        answers.sort_by_key(|answer| answer.at);
        answers
    }

    pub(super) fn answer(&mut self, id: RunId, answer: &Answer, again: bool) -> Answered {
        // A caller that failed meanwhile may be resumed.
        let over = |run: &Kept| run.status.is_final() && !(again && run.status == RunStatus::Failed);
        if self.runs.get(&id).is_none_or(over) {
            return Answered::Over;
        }
        let place = (id, Arc::clone(&answer.path));
        if !again && self.answers.contains_key(&place) {
            return Answered::Already;
        }
        self.answers.insert(place, (answer.clone(), false));
        self.change(id, |run| {
            if run.status == RunStatus::Waiting && run.waiting_for != Some(WaitingFor::Order) {
                run.due_at = Some(run.due_at.map_or(answer.at, |due| due.min(answer.at)));
            }
        });
        Answered::Kept
    }

    pub(super) fn enter(&mut self, id: RunId, lane: Lane) {
        if self.lanes.values().all(|(_, run)| *run != id) {
            self.lane_last += 1;
            self.lanes.insert(self.lane_last, (lane.key, id));
        }
        let before = self.lanes.values().filter(|(key, _)| *key == lane.key).take_while(|(_, run)| *run != id).count();
        if before >= usize::try_from(lane.room).unwrap_or(usize::MAX) {
            self.change(id, |run| {
                if run.status == RunStatus::Queued {
                    (run.status, run.waiting_for, run.due_at) = (RunStatus::Waiting, Some(WaitingFor::Order), None);
                }
            });
        }
    }

    pub(super) fn leave(&mut self, id: RunId, lane: [u8; 16], now: Option<Timestamp>) {
        self.lanes.retain(|_, (_, run)| *run != id);
        let line: Vec<RunId> = self.lanes.values().filter(|(key, _)| *key == lane).map(|(_, run)| *run).collect();
        let room = line.first().and_then(|run| self.runs.get(run)?.new.lane).map_or(0, |lane| lane.room);
        for run in line.into_iter().take(usize::try_from(room).unwrap_or(0)) {
            self.change(run, |run| {
                if run.waiting_for == Some(WaitingFor::Order) {
                    run.due_at = Some(now.unwrap_or(run.new.accepted_at));
                    (run.status, run.waiting_for) = (RunStatus::Queued, None);
                }
            });
        }
    }

    pub(super) fn append(&mut self, id: RunId, seq: i32, chunk: &[u8]) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        if usize::try_from(seq) != Ok(run.chunks.len()) {
            return false;
        }
        run.chunks.push(chunk.to_vec());
        true
    }

    pub(super) fn row(&self, id: RunId) -> Option<RunRow> {
        let run = self.runs.get(&id)?;
        let (recipe, _) = self.recipes.get(&run.new.recipe)?;
        Some(RunRow {
            id,
            recipe: run.new.recipe,
            slug: recipe.slug.clone(),
            title: recipe.title.clone(),
            version: run.new.version,
            status: run.status,
            waiting_for: run.waiting_for,
            due_at: run.due_at,
            label: run.new.label.clone(),
            via: run.new.via,
            replay_of: run.new.replay_of,
            parent: run.new.parent.clone(),
            accepted_at: run.new.accepted_at,
            ended_at: run.ended_at,
            attempts: run.attempts,
            error: run.error.clone(),
            dead_letter: run.dead_letter,
        })
    }

    pub(super) fn free(&mut self, id: RunId, due_at: Timestamp) {
        self.change(id, |run| {
            (run.status, run.owner, run.due_at) = (RunStatus::Queued, None, Some(due_at));
            run.epoch += 1;
        });
    }

    pub(super) fn owned_by(&self, lost: impl Fn(WorkerId) -> bool) -> Vec<RunId> {
        self.runs.iter().filter(|(_, run)| run.owner.is_some_and(&lost)).map(|(id, _)| *id).collect()
    }
}
