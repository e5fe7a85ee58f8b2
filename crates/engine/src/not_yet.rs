//! What the language has and a server cannot run yet. Refused when a recipe is switched on, never passed over.

use recipe::ast::{Overlap, Recipe, TriggerSource};

/// The first part of a recipe that this version cannot run, as a sentence.
#[must_use]
pub fn not_yet(recipe: &Recipe) -> Option<String> {
    let overlap = recipe.settings.concurrency.as_ref().map(|found| found.on_overlap);
    if overlap.is_some_and(|overlap| overlap != Overlap::Queue) && recipe.trigger.from.value != TriggerSource::Schedule {
        return Some("`on_overlap: skip` and `cancel_running` can only run with `from: schedule` in this version".to_owned());
    }
    None
}
