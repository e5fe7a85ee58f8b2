//! What the language has and a server cannot run yet. Refused when a recipe is switched on, never passed over.

use recipe::ast::{self, Overlap, Partial, Recipe, StepKind, TriggerSource};

/// A loop that holds failed items inside of a loop or beside other branches: those are not walked again when
/// somebody resumes the run, and the items would be passed over.
fn held_inside(steps: &[ast::Step], inside: bool) -> Option<&ast::Step> {
    steps.iter().find_map(|step| {
        let holds = matches!(&step.kind, StepKind::Each(each) if each.partial == Partial::DeadLetter);
        if holds && inside {
            return Some(step);
        }
        let inside = inside || matches!(step.kind, StepKind::Each(_) | StepKind::Repeat(_) | StepKind::Parallel { .. });
        step.blocks().into_iter().find_map(|(_, steps)| held_inside(steps, inside))
    })
}

/// The first part of a recipe that this version cannot run, as a sentence.
#[must_use]
pub fn not_yet(recipe: &Recipe) -> Option<String> {
    let overlap = recipe.settings.concurrency.as_ref().map(|found| found.on_overlap);
    if overlap.is_some_and(|overlap| overlap != Overlap::Queue) && recipe.trigger.from.value != TriggerSource::Schedule {
        return Some("`on_overlap: skip` and `cancel_running` can only run with `from: schedule` in this version".to_owned());
    }
    let step = held_inside(&recipe.steps, false)?;
    Some(format!(
        "step {}: `partial: dead_letter` inside `each`, `repeat` or `parallel` cannot run in this version yet",
        step.id.value
    ))
}
