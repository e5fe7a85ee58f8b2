//! Recipes against each other: who calls whom, with what, and whether that ever ends.

use std::collections::{HashMap, HashSet};

use super::inputs::{self, View};
use crate::ast::{Recipe, Span, Spanned, StepKind, TriggerSource, Value, walk};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest, shown};

/// One place where a recipe names another.
struct Call<'a> {
    recipe: &'a Spanned<String>,
    /// What it hands over; `None` for `on_failure`.
    with: Option<&'a Value>,
}

/// Holds recipes against each other: the problems of each, by its place in the list.
///
/// Recipes that are not in the list may exist elsewhere, so an unknown one is a warning only.
#[must_use]
pub fn check_together(recipes: &[&Recipe]) -> Vec<Vec<Diagnostic>> {
    let by_slug: HashMap<&str, usize> = recipes.iter().enumerate().map(|(at, r)| (r.slug.value.as_str(), at)).collect();
    let calls: Vec<Vec<Call<'_>>> = recipes.iter().map(|recipe| calls(recipe)).collect();
    let edges: Vec<Vec<usize>> = calls
        .iter()
        .map(|calls| calls.iter().filter_map(|call| by_slug.get(call.recipe.value.as_str()).copied()).collect())
        .collect();
    let one = |(at, calls): (usize, &Vec<Call<'_>>)| {
        let mut out = Diagnostics::default();
        for call in calls {
            match by_slug.get(call.recipe.value.as_str()) {
                None => unknown(call, &by_slug, &mut out),
                Some(target) => {
                    fits(call, recipes[*target], &mut out);
                    if *target != at && reaches(&edges, *target, at) {
                        out.push(cycle(call, &recipes[at].slug.value));
                    }
                }
            }
        }
        out.finish()
    };
    calls.iter().enumerate().map(one).collect()
}

fn calls(recipe: &Recipe) -> Vec<Call<'_>> {
    let mut found = Vec::new();
    walk(&recipe.steps, &mut |step| {
        if let StepKind::Call { recipe, with } | StepKind::Start { recipe, with } = &step.kind {
            found.push(Call { recipe, with: Some(with) });
        }
    });
    found.extend(recipe.settings.on_failure.iter().map(|recipe| Call { recipe, with: None }));
    found
}

fn unknown(call: &Call<'_>, by_slug: &HashMap<&str, usize>, out: &mut Diagnostics) {
    let mut names: Vec<_> = by_slug.keys().copied().collect();
    names.sort_unstable();
    let span = call.recipe.span;
    let message = format!("No recipe here is called \"{}\".", shown(&call.recipe.value));
    let diagnostic = Diagnostic::warning(codes::UNKNOWN_RECIPE, span, message);
    out.push(match nearest(&call.recipe.value, names) {
        Some(near) => diagnostic.suggest(span, Some(near)),
        None => diagnostic.help("It must exist where this recipe is switched on."),
    });
}

/// Whether the recipe that is named can be started like that, and takes what it is given.
fn fits(call: &Call<'_>, target: &Recipe, out: &mut Diagnostics) {
    let trigger = &target.trigger;
    let name = &call.recipe.value;
    let (wanted, fits) = match call.with {
        Some(_) => ("call", matches!(trigger.from.value, TriggerSource::Call | TriggerSource::Api)),
        None => ("failure", trigger.from.value == TriggerSource::Failure),
    };
    if !fits {
        let message = format!("\"{name}\" cannot be started from here: its trigger is not `{wanted}`.");
        let help = format!("Give \"{name}\" `trigger: {{ from: {wanted} }}`, or name another recipe.");
        out.push(Diagnostic::error(codes::NOT_CALLABLE, call.recipe.span, message).help(help));
    } else if let (Some(with), Some(input)) = (call.with, trigger.with.get("input")) {
        inputs::check(name, call.recipe.span, View::Value(with), input, &HashMap::new(), out);
    }
}

fn cycle(call: &Call<'_>, caller: &str) -> Diagnostic {
    let span: Span = call.recipe.span;
    let message = format!("\"{}\" starts \"{caller}\" again, which would never end by itself.", call.recipe.value);
    Diagnostic::error(codes::CALLS_ITSELF, span, message).help("Break the circle: one of the recipes must not start the other.")
}

/// True if one recipe starts another, directly or through others.
fn reaches(edges: &[Vec<usize>], from: usize, to: usize) -> bool {
    let (mut seen, mut next) = (HashSet::from([from]), vec![from]);
    while let Some(at) = next.pop() {
        if at == to {
            return true;
        }
        next.extend(edges[at].iter().copied().filter(|target| seen.insert(*target)));
    }
    false
}
