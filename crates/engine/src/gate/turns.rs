//! Whose turn it is: recipes one after the other, within a recipe the oldest run first. Whoever waits for a class of calls
//! that is used up is passed over, and keeps his place.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use store::{GateClass, RecipeId, RunId, StepPath, Timestamp};
use tokio::sync::Notify;

/// One step of a run that waits, and for which class of calls.
pub(crate) type Waiter = (RunId, StepPath, GateClass);

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
    /// How many, by class.
    counts: [usize; 2],
}

impl Turns {
    pub(crate) fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Those who wait for this class.
    pub(crate) const fn of(&self, class: GateClass) -> usize {
        self.counts[class as usize]
    }

    /// Since when this one waits, now at the latest.
    pub(crate) fn enter(&mut self, recipe: RecipeId, waiter: Waiter, wake: &Arc<Notify>, now: Timestamp) -> Timestamp {
        let of_recipe = self.waiting.entry(recipe).or_insert_with(|| {
            self.order.push_back(recipe);
            BTreeMap::new()
        });
        let count = &mut self.counts[waiter.2 as usize];
        let place = of_recipe.entry(waiter).or_insert_with(|| {
            *count += 1;
            Place { since: now, wake: Arc::clone(wake) }
        });
        place.since
    }

    /// The next one of a class that is open, who waits no longer.
    pub(crate) fn next(&mut self, open: impl Fn(GateClass) -> bool) -> Option<(Waiter, Arc<Notify>)> {
        let of_recipe = |recipe: &RecipeId| self.waiting.get(recipe)?.keys().find(|waiter| open(waiter.2)).cloned();
        let (at, waiter) = self.order.iter().enumerate().find_map(|(at, recipe)| Some((at, of_recipe(recipe)?)))?;
        let recipe = self.order.remove(at)?;
        let of_recipe = self.waiting.get_mut(&recipe)?;
        let place = of_recipe.remove(&waiter)?;
        self.counts[waiter.2 as usize] -= 1;
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
            self.counts[waiter.2 as usize] -= 1;
        }
        if of_recipe.is_empty() {
            self.forget(recipe);
        }
    }

    /// Nothing of this run waits any longer.
    pub(crate) fn leave_all(&mut self, recipe: RecipeId, run: RunId) {
        let Some(of_recipe) = self.waiting.get_mut(&recipe) else { return };
        let counts = &mut self.counts;
        of_recipe.retain(|(waiting, _, class), _| {
            let stays = *waiting != run;
            counts[*class as usize] -= usize::from(!stays);
            stays
        });
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
        let run = |number| (RunId(Uuid::from_u128(number)), StepPath::from("s"), GateClass::Write);
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
        let order: Vec<u128> = std::iter::from_fn(|| turns.next(|_| true)).map(|((run, ..), _)| run.0.as_u128()).collect();
        assert_eq!(order, [11, 21, 12, 22, 14]);
        assert_eq!(turns.len(), 0);
        turns.enter(a, run(1), &wake, now);
        turns.leave_all(a, run(1).0);
        assert!(turns.len() == 0 && turns.next(|_| true).is_none());
    }

    #[test]
    fn whoever_waits_for_a_class_that_is_used_up_is_passed_over_and_keeps_his_place() {
        let mut turns = Turns::default();
        let now = Timestamp::from_micros(1);
        let (a, b) = (RecipeId(Uuid::from_u128(1)), RecipeId(Uuid::from_u128(2)));
        let run = |number, class| (RunId(Uuid::from_u128(number)), StepPath::from("s"), class);
        let wake = Arc::new(Notify::new());
        for (recipe, number, class) in
            [(a, 11, GateClass::Write), (a, 12, GateClass::Read), (b, 21, GateClass::Write), (b, 22, GateClass::Read)]
        {
            turns.enter(recipe, run(number, class), &wake, now);
        }
        assert_eq!((turns.of(GateClass::Read), turns.of(GateClass::Write)), (2, 2));
        let mut next = |class| turns.next(|open| open == class).map(|((run, ..), _)| run.0.as_u128());
        assert_eq!([next(GateClass::Read), next(GateClass::Read), next(GateClass::Read)], [Some(12), Some(22), None]);
        assert_eq!([next(GateClass::Write), next(GateClass::Write)], [Some(11), Some(21)]);
        assert_eq!(turns.len(), 0);
    }
}
