//! Whose recipe's runs are claimed next while more is due than fits.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::RecipeId;

/// Recipes looked at in one claim, due or not.
pub const RECIPES_VISITED_MAX: u32 = 256;

/// The round of one process through the recipes. While everything due fits into a claim there is none:
/// the oldest comes first.
#[derive(Debug, Default)]
pub struct Rounds {
    after: Mutex<Uuid>,
    flooded: AtomicBool,
}

/// A recipe that has runs waiting, and whether any is due now.
pub type Visited = (Uuid, bool);

/// The recipes of one claim.
#[derive(Debug, PartialEq, Eq)]
pub struct Round {
    /// Whose runs to take.
    pub recipes: Vec<RecipeId>,
    /// How many of each.
    pub each: u32,
}

impl Rounds {
    /// Whether the last claim left something behind.
    pub fn flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// The recipe after which this claim's round begins.
    pub fn after(&self) -> Uuid {
        *self.after.lock()
    }

    /// Chooses among the recipes found after [`Rounds::after`], at most [`RECIPES_VISITED_MAX`], and
    /// moves on.
    pub fn choose(&self, visited: &[Visited], limit: u32) -> Round {
        let max = usize::try_from(limit).unwrap_or(usize::MAX);
        let due: Vec<Uuid> = visited.iter().filter(|(_, due)| *due).map(|(recipe, _)| *recipe).collect();
        let all_seen = u32::try_from(visited.len()).is_ok_and(|count| count < RECIPES_VISITED_MAX);
        *self.after.lock() = match due.get(max.wrapping_sub(1)) {
            Some(last) if due.len() > max => *last,
            _ if all_seen => Uuid::nil(),
            _ => visited.last().map_or_else(Uuid::nil, |(recipe, _)| *recipe),
        };
        let recipes: Vec<RecipeId> = due.into_iter().take(max).map(RecipeId).collect();
        let each = limit / u32::try_from(recipes.len()).unwrap_or(u32::MAX).max(1);
        Round { recipes, each }
    }

    /// How many runs a claim took of those it could.
    pub fn took(&self, runs: usize, limit: u32) {
        self.flooded.store(limit > 0 && u32::try_from(runs).is_ok_and(|runs| runs >= limit), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn every_recipe_gets_its_turn_however_many_there_are() {
        let rounds = Rounds::default();
        let mut served = std::collections::HashMap::new();
        for _ in 0..100 {
            let from = rounds.after().as_u128();
            let visited: Vec<Visited> = (from + 1..=1000).take(256).map(|number| (id(number), number % 3 != 0)).collect();
            let round = rounds.choose(&visited, 16);
            assert!(round.recipes.len() <= 16 && round.each >= 1);
            for recipe in round.recipes {
                *served.entry(recipe.0.as_u128()).or_insert(0) += 1;
            }
        }
        assert_eq!(served.len(), 667, "all that are due");
        assert!(served.values().all(|times| (2..=3).contains(times)), "{served:?}");
    }

    #[test]
    fn a_claim_is_shared_out_evenly() {
        let rounds = Rounds::default();
        let round = rounds.choose(&[(id(1), true), (id(2), false), (id(3), true)], 64);
        assert_eq!(round, Round { recipes: vec![RecipeId(id(1)), RecipeId(id(3))], each: 32 });
        assert_eq!(rounds.after(), Uuid::nil());
        assert_eq!(rounds.choose(&[], 64).recipes, []);
        assert_eq!(rounds.choose(&[(id(1), true)], 0).recipes, []);
    }
}
