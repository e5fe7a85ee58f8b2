//! What the values of all runs in memory take together, and who steps aside when that is too much.
//!
//! Places bound how many runs are in memory, this bounds what they hold there. While it is too much, no run that is
//! heavy goes on but the oldest: the others are set down after what they have under way. A recipe whose runs turned out
//! heavy gets no other run into memory before there is room for as much again. Light runs go on, so that a flood of
//! large data delays its own recipes only.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use store::{RecipeId, RunId, Weights};

/// The values of all runs in memory, in bytes of JSON.
pub(crate) struct Payloads {
    max: u64,
    /// A run that holds more is heavy: so much for each makes `max`.
    share: u64,
    held: AtomicU64,
    heavy: Mutex<Heavy>,
}

#[derive(Default)]
struct Heavy {
    /// Those in memory, with what they hold.
    runs: BTreeMap<RunId, (RecipeId, u64)>,
    /// What the heaviest run held that stepped aside, by recipe, until there is room for it.
    aside: HashMap<RecipeId, u64>,
}

/// What one run holds, counted until it is dropped.
pub(crate) struct Load {
    payloads: Arc<Payloads>,
    run: RunId,
    recipe: RecipeId,
    weights: Weights,
    counted: u64,
}

impl Heavy {
    /// What another run of each recipe is expected to hold. With no heavy run in memory one is let in whatever it holds.
    fn needs(&self) -> HashMap<RecipeId, u64> {
        let mut needs = HashMap::new();
        if !self.runs.is_empty() {
            let held = self.runs.values().copied().chain(self.aside.iter().map(|(recipe, bytes)| (*recipe, *bytes)));
            for (recipe, bytes) in held {
                let need = needs.entry(recipe).or_insert(bytes);
                *need = bytes.max(*need);
            }
        }
        needs
    }
}

impl Payloads {
    pub(crate) fn new(max: u64, runs: usize) -> Arc<Self> {
        let share = (max / runs.max(1) as u64).max(1);
        Arc::new(Self { max, share, held: AtomicU64::new(0), heavy: Mutex::default() })
    }

    /// A run that comes into memory with these values.
    pub(crate) fn load(self: &Arc<Self>, run: RunId, recipe: RecipeId, weights: Weights) -> Load {
        let mut load = Load { payloads: Arc::clone(self), run, recipe, weights, counted: 0 };
        load.count();
        load
    }

    /// Bytes of all values.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    fn left(&self) -> u64 {
        self.max.saturating_sub(self.held())
    }

    /// The recipes whose runs stay in the store for now, and how many of any others may come in together.
    pub(crate) fn room(&self) -> (Vec<RecipeId>, usize) {
        let (left, needs) = (self.left(), self.heavy.lock().needs());
        let most = needs.values().filter(|need| **need <= left).max();
        let count = most.map_or(usize::MAX, |need| usize::try_from(left / need).unwrap_or(usize::MAX));
        (needs.into_iter().filter(|(_, need)| *need > left).map(|(recipe, _)| recipe).collect(), count)
    }

    /// Whether a run of the recipe stays in the store for now.
    pub(crate) fn holds_back(&self, recipe: RecipeId) -> bool {
        let heavy = self.heavy.lock();
        // As nearly always.
        !heavy.runs.is_empty() && heavy.needs().get(&recipe).is_some_and(|need| *need > self.left())
    }
}

impl Load {
    /// Takes in what a commit added.
    pub(crate) fn add(&mut self, weights: Weights) {
        self.weights.take(weights);
        self.count();
    }

    /// Whether the run is to leave memory for now, so that others can go on.
    pub(crate) fn steps_aside(&mut self) -> bool {
        if !self.is_too_much() {
            return false;
        }
        self.weights.look();
        self.count();
        let mut heavy = self.payloads.heavy.lock();
        let oldest = heavy.runs.first_key_value().is_none_or(|(run, _)| *run == self.run);
        if oldest || !self.is_too_much() {
            return false;
        }
        let need = heavy.aside.entry(self.recipe).or_default();
        *need = self.counted.max(*need);
        true
    }

    fn is_too_much(&self) -> bool {
        self.payloads.held() > self.payloads.max && self.counted > self.payloads.share
    }

    fn count(&mut self) {
        let (payloads, before, now) = (&self.payloads, self.counted, self.weights.bytes());
        if before == now {
            return;
        }
        self.counted = now;
        let held = if now > before {
            payloads.held.fetch_add(now - before, Ordering::Relaxed) + (now - before)
        } else {
            payloads.held.fetch_sub(before - now, Ordering::Relaxed) - (before - now)
        };
        if before.max(now) <= payloads.share {
            return;
        }
        let mut heavy = payloads.heavy.lock();
        if now > payloads.share {
            heavy.runs.insert(self.run, (self.recipe, now));
        } else {
            heavy.runs.remove(&self.run);
        }
        // There is room for those again.
        let (alone, left) = (heavy.runs.is_empty(), payloads.max.saturating_sub(held));
        heavy.aside.retain(|_, need| !alone && *need > left);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.weights = Weights::default();
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;
    use uuid::Uuid;

    use super::*;

    const SHARE: u64 = 1000;

    fn payloads() -> Arc<Payloads> {
        Payloads::new(4 * SHARE, 4)
    }

    fn run(number: u128) -> RunId {
        RunId(Uuid::from_u128(number))
    }

    fn recipe(number: u128) -> RecipeId {
        RecipeId(Uuid::from_u128(number))
    }

    fn weighing(values: &[&Arc<Json>], each: u64) -> Weights {
        let mut weights = Weights::default();
        values.iter().for_each(|value| weights.add_value(value, each));
        weights
    }

    #[test]
    fn all_heavy_ones_but_the_oldest_step_aside_and_light_ones_go_on() {
        let (payloads, value) = (payloads(), Arc::new(Json::Null));
        let mut loads: Vec<Load> =
            (1..=3).map(|number| payloads.load(run(number), recipe(number), weighing(&[&value], 1300))).collect();
        let mut light = payloads.load(run(0), recipe(9), weighing(&[&value], SHARE));
        assert_eq!(payloads.held(), 4900);
        let aside: Vec<bool> = loads.iter_mut().map(Load::steps_aside).collect();
        assert_eq!((aside, light.steps_aside()), (vec![false, true, true], false));
        assert!(payloads.holds_back(recipe(1)) && payloads.holds_back(recipe(2)) && !payloads.holds_back(recipe(9)));
        loads.remove(1);
        assert!(payloads.holds_back(recipe(2)), "3600 are not too much, but there is no room for 1300 more");
        assert!(!loads[1].steps_aside(), "whoever is here stays");
        drop(light);
        assert_eq!(payloads.room(), (vec![], 1), "one more of that kind fits");
        drop(loads);
        assert_eq!((payloads.held(), payloads.heavy.lock().runs.len()), (0, 0));
        assert_eq!(payloads.room(), (vec![], usize::MAX));
    }

    #[test]
    fn a_recipe_gets_no_other_run_before_there_is_room_for_as_much_again() {
        let (payloads, value) = (payloads(), Arc::new(Json::Null));
        let mut first = payloads.load(run(1), recipe(1), weighing(&[&value], 5000));
        let mut other = payloads.load(run(2), recipe(2), weighing(&[&value], 1300));
        assert!(!first.steps_aside(), "the oldest, however heavy it is");
        assert!(other.steps_aside());
        drop(other);
        let (mut held_back, _) = payloads.room();
        held_back.sort();
        assert_eq!(held_back, [recipe(1), recipe(2)]);
        drop(first);
        assert_eq!(payloads.room(), (vec![], usize::MAX));
        let again = payloads.load(run(3), recipe(3), weighing(&[&value], 1500));
        assert_eq!(payloads.room(), (vec![], 1), "who stepped aside before is not held back again");
        assert!(!payloads.holds_back(recipe(3)));
        let more = payloads.load(run(4), recipe(3), weighing(&[&value], 1500));
        assert!(payloads.holds_back(recipe(3)) && !payloads.holds_back(recipe(2)));
        drop((again, more));
    }

    #[test]
    fn what_a_run_let_go_of_does_not_count() {
        let (payloads, value, gone) = (payloads(), Arc::new(Json::Null), Arc::new(Json::Null));
        let mut old = payloads.load(run(1), recipe(1), weighing(&[&value], 3500));
        let mut new = payloads.load(run(2), recipe(2), weighing(&[&gone], 1500));
        new.add(weighing(&[&value], 100));
        assert_eq!(payloads.held(), 5100);
        drop(gone);
        assert!(!new.steps_aside() && !old.steps_aside());
        assert_eq!(payloads.held(), 3600);
    }
}
