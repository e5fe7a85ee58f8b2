//! The requests of an attempt: a budget counts each of them, not the attempt.
//!
//! The first one is let through with the attempt. Before each further one the attempt lets go of its place among those in
//! flight and stands in line again as itself, so that a long walk through pages takes turns with everybody else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use store::{RecipeId, Timestamp};
use tokio::sync::Notify;

use super::{
    Pass,
    budget::{Asker, Budget, LOOK_AGAIN},
    turns::Waiter,
};

/// What one attempt asked for so far.
pub(super) struct Requests {
    recipe: RecipeId,
    waiter: Waiter,
    background: bool,
    now: Mutex<Now>,
    no_turn: AtomicBool,
}

struct Now {
    /// Requests that were begun.
    begun: u32,
    /// Places among those in flight that it has; none while it waits.
    places: u32,
    /// Since when.
    since: Timestamp,
}

impl Requests {
    /// Those of an attempt that was let through just now.
    pub(super) fn new(recipe: RecipeId, waiter: Waiter, background: bool, now: Timestamp) -> Self {
        let now = Mutex::new(Now { begun: 0, places: 1, since: now });
        Self { recipe, waiter, background, now, no_turn: AtomicBool::new(false) }
    }

    /// Whether it ended because a request of it did not get its turn: the system did not ask for that.
    pub(super) fn had_no_turn(&self) -> bool {
        self.no_turn.load(Ordering::Relaxed)
    }

    /// The attempt is over.
    pub(super) fn over(&self, budget: &mut Budget, now: Timestamp) {
        let mut of = self.now.lock();
        for _ in 0..std::mem::take(&mut of.places) {
            budget.done(self.waiter.2, now.since(of.since), now);
        }
    }

    /// Nobody knows what it came to.
    pub(super) fn dropped(&self, budget: &mut Budget, now: Timestamp) {
        if self.now.lock().begun > 0 {
            return self.over(budget, now);
        }
        self.now.lock().places = 0;
        budget.undone(self.waiter.2, now);
    }
}

/// Counts the requests of an attempt, if its connection has a budget.
pub(crate) fn turns(pass: Option<&Arc<Pass>>) -> Option<Arc<dyn connector::Turns>> {
    let pass = Arc::clone(pass?);
    Some(pass)
}

#[async_trait]
impl connector::Turns for Pass {
    async fn next(&self, at_most: Duration) -> Result<(), Duration> {
        let first = {
            let mut of = self.requests.now.lock();
            of.begun += 1;
            of.begun == 1
        };
        if first {
            return Ok(());
        }
        let waiting = Waiting { pass: self, wake: Arc::default() };
        let until = self.engine.now().after(at_most);
        loop {
            let Some(turn) = waiting.ask() else { return Ok(()) };
            let now = self.engine.now();
            let wait = turn.since(now).max(LOOK_AGAIN);
            if turn > until || now >= until {
                self.requests.no_turn.store(true, Ordering::Relaxed);
                return Err(wait);
            }
            tokio::select! {
                () = waiting.wake.notified() => {}
                () = tokio::time::sleep(wait.min(until.since(now))) => {}
            }
        }
    }
}

/// A request that waits for its turn; dropped, it waits no longer.
struct Waiting<'a> {
    pass: &'a Pass,
    wake: Arc<Notify>,
}

impl Waiting<'_> {
    /// Takes the turn if it is there; else tells when it may be expected.
    fn ask(&self) -> Option<Timestamp> {
        let (gates, requests) = (&self.pass.engine.gates, &self.pass.requests);
        let now = self.pass.engine.now();
        let engine = &self.pass.engine;
        let mut doors = gates.doors.lock();
        let door = doors.get_mut(&self.pass.connection)?;
        if let Some(connection) = engine.connection(&self.pass.connection) {
            door.follow(&connection, &engine.limits(&connection.connector), now);
        }
        let budget = &mut door.budget;
        let mut of = requests.now.lock();
        if of.places > 0 {
            of.places -= 1;
            budget.done(requests.waiter.2, now.since(of.since), now);
        }
        let waiter = requests.waiter.clone();
        let asker = Asker { recipe: requests.recipe, waiter, wake: &self.wake, background: requests.background };
        let turn = budget.ask_more(&asker, now).err();
        if turn.is_none() {
            (of.places, of.since) = (of.places + 1, now);
        }
        if budget.ask_at().is_some_and(|at| at <= now) {
            gates.stir.notify_one();
        }
        turn
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let (gates, requests) = (&self.pass.engine.gates, &self.pass.requests);
        if let Some(door) = gates.doors.lock().get_mut(&self.pass.connection) {
            door.budget.leave_one(requests.recipe, &requests.waiter, self.pass.engine.now());
        }
    }
}
