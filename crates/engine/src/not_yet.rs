//! What the language has and a server cannot run yet. Refused when a recipe is switched on, never passed over.

use recipe::ast::{self, Partial, Recipe, StepKind, TriggerSource, WaitKind};

/// The first part of a recipe that this version cannot run, as a sentence.
#[must_use]
pub fn not_yet(recipe: &Recipe) -> Option<String> {
    let settings = &recipe.settings;
    let found = [
        ("`settings.concurrency`", settings.concurrency.is_some()),
        ("`settings.on_failure`", settings.on_failure.is_some()),
        ("`settings.keep`", settings.keep.is_some()),
        ("`state`", !recipe.state.is_empty()),
        (
            "a trigger that is `call` or `failure`",
            matches!(recipe.trigger.from.value, TriggerSource::Call | TriggerSource::Failure),
        ),
    ];
    if let Some((what, _)) = found.iter().find(|(_, there)| *there) {
        return Some(format!("{what} cannot run in this version yet"));
    }
    let mut first = None;
    ast::walk(&recipe.steps, &mut |step| {
        if let Some(what) = of_step(step) {
            first.get_or_insert_with(|| format!("step {}: {what} cannot run in this version yet", step.id.value));
        }
    });
    first
}

fn of_step(step: &ast::Step) -> Option<&'static str> {
    if step.undo.is_some() {
        return Some("`undo`");
    }
    match &step.kind {
        StepKind::Each(each) if each.partial == Partial::DeadLetter => Some("`partial: dead_letter`"),
        StepKind::Wait(wait) => match wait.what {
            WaitKind::Callback { .. } => Some("`wait: callback`"),
            WaitKind::Approval(_) => Some("`wait: approval`"),
            WaitKind::For(_) | WaitKind::Until(_) => None,
        },
        StepKind::Save(_) => Some("`save`"),
        StepKind::Call { .. } => Some("`call`"),
        StepKind::Start { .. } => Some("`start`"),
        StepKind::Respond(_) => Some("`respond`"),
        _ => None,
    }
}
