//! Whose turn it is: recipes one after the other, within a recipe the oldest run first.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use store::{RecipeId, RunId, StepPath, Timestamp};
use tokio::sync::Notify;

/// One step of a run that waits.
pub(crate) type Waiter = (RunId, StepPath);

struct Place {
    since: Timestamp,
    wake: Arc<Notify>,
}

/// Those who wait in memory.
#[derive(Default)]
pub(crate) struct Turns {
    // Recipes that have somebody waiting, the next one first.
    order: VecDeque<RecipeId>,
    waiting: HashMap<RecipeId, BTreeMap<Waiter, Place>>,
    count: usize,
}

impl Turns {
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Since when this one waits, now at the latest.
    pub(crate) fn enter(&mut self, recipe: RecipeId, waiter: Waiter, wake: &Arc<Notify>, now: Timestamp) -> Timestamp {
        let of_recipe = self.waiting.entry(recipe).or_insert_with(|| {
            self.order.push_back(recipe);
            BTreeMap::new()
        });
        let count = &mut self.count;
        let place = of_recipe.entry(waiter).or_insert_with(|| {
            *count += 1;
            Place { since: now, wake: Arc::clone(wake) }
        });
        place.since
    }

    /// The next one, who waits no longer.
    pub(crate) fn next(&mut self) -> Option<(Waiter, Arc<Notify>)> {
        let recipe = self.order.pop_front()?;
        let of_recipe = self.waiting.get_mut(&recipe)?;
        let (waiter, place) = of_recipe.pop_first()?;
        self.count -= 1;
        if of_recipe.is_empty() {
            self.waiting.remove(&recipe);
        } else {
            self.order.push_back(recipe);
        }
        Some((waiter, place.wake))
    }

    /// This one waits no longer.
    pub(crate) fn leave(&mut self, recipe: RecipeId, waiter: &Waiter) {
        let Some(of_recipe) = self.waiting.get_mut(&recipe) else { return };
        if of_recipe.remove(waiter).is_some() {
            self.count -= 1;
        }
        if of_recipe.is_empty() {
            self.forget(recipe);
        }
    }

    /// Nothing of this run waits any longer.
    pub(crate) fn leave_all(&mut self, recipe: RecipeId, run: RunId) {
        let Some(of_recipe) = self.waiting.get_mut(&recipe) else { return };
        let before = of_recipe.len();
        of_recipe.retain(|(waiting, _), _| *waiting != run);
        self.count -= before - of_recipe.len();
        if of_recipe.is_empty() {
            self.forget(recipe);
        }
    }

    fn forget(&mut self, recipe: RecipeId) {
        self.waiting.remove(&recipe);
        self.order.retain(|other| *other != recipe);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn recipes_take_turns_and_the_oldest_run_of_each_comes_first() {
        let mut turns = Turns::default();
        let now = Timestamp::from_micros(1);
        let (a, b) = (RecipeId(Uuid::from_u128(1)), RecipeId(Uuid::from_u128(2)));
        let run = |number| (RunId(Uuid::from_u128(number)), StepPath::from("s"));
        let wake = Arc::new(Notify::new());
        for number in [14, 12, 13, 11] {
            turns.enter(a, run(number), &wake, now);
        }
        for number in [22, 21] {
            turns.enter(b, run(number), &wake, now);
        }
        assert_eq!(turns.enter(a, run(12), &wake, now.after(std::time::Duration::from_secs(1))), now, "it waits already");
        turns.leave(a, &run(13));
        assert_eq!(turns.len(), 5);
        let order: Vec<u128> = std::iter::from_fn(|| turns.next()).map(|((run, _), _)| run.0.as_u128()).collect();
        assert_eq!(order, [11, 21, 12, 22, 14]);
        assert_eq!(turns.len(), 0);
        turns.enter(a, run(1), &wake, now);
        turns.leave_all(a, run(1).0);
        assert!(turns.len() == 0 && turns.next().is_none());
    }
}
