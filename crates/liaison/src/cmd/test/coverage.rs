//! Which steps and branches of a recipe its tests reached.

use std::collections::{HashMap, HashSet};

use engine::trial::{End, Trial, short_name};
use recipe::ast::{BlockName, Recipe, Span, Step, StepKind};

use super::seen::{Seen, Stand};

/// What could be reached, and what was not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Coverage {
    pub(super) total: u64,
    pub(super) missed: Vec<Missed>,
    missed_count: u64,
}

/// Something no test reached.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Missed {
    /// In words: `step account`, `branch 2 of known`.
    pub(super) what: String,
    pub(super) span: Span,
}

impl Coverage {
    /// What these runs reached of the recipe.
    pub(super) fn of(recipe: &Recipe, trials: &[Trial]) -> Self {
        let mut coverage = Self::default();
        let reached = Reached::of(trials);
        if let Some(condition) = &recipe.trigger.condition {
            coverage.item(reached.wanted, condition.span, || "trigger.if: an event that is wanted".to_owned());
            coverage.item(reached.filtered, condition.span, || "trigger.if: an event that is filtered".to_owned());
        }
        coverage.steps(&recipe.steps, &reached);
        coverage
    }

    /// The sum of two.
    pub(super) fn and(self, other: &Self) -> Self {
        Self { total: self.total + other.total, missed: self.missed, missed_count: self.missed_count + other.missed_count }
    }

    /// How much was reached.
    pub(super) const fn reached(&self) -> u64 {
        self.total - self.missed_count
    }

    /// How much was reached, of a hundred; rounded down, so that 100 means everything.
    pub(super) fn percent(&self) -> u64 {
        (self.reached() * 100).checked_div(self.total).unwrap_or(100)
    }

    fn item(&mut self, reached: bool, span: Span, what: impl FnOnce() -> String) {
        self.total += 1;
        if !reached {
            self.missed_count += 1;
            self.missed.push(Missed { what: what(), span });
        }
    }

    fn steps(&mut self, steps: &[Step], reached: &Reached) {
        for step in steps.iter().filter(|step| !step.disabled) {
            let id = step.id.value.as_str();
            self.item(reached.ran(step), step.id.span, || format!("step {id}"));
            if let Some(condition) = &step.condition {
                // That it ran is told already when it never did.
                self.item(reached.skipped.contains(id), condition.span, || format!("step {id} skipped by its `if`"));
            }
            if let Some(undo) = &step.undo {
                self.item(reached.ran.contains(&format!("{id}.undo")), undo.span, || format!("undo of {id}"));
            }
            for (name, inner) in step.blocks() {
                if let Some((what, span)) = branch(step, name)
                    && !(inner.is_empty() && matches!(name, BlockName::Catch | BlockName::Finally))
                {
                    self.item(reached.block(step, name, inner), span, || format!("{what} of {id}"));
                }
                self.steps(inner, reached);
            }
        }
    }
}

/// What a block is called and where it stands.
fn branch(step: &Step, name: BlockName<'_>) -> Option<(String, Span)> {
    let span = step.id.span;
    Some(match (name, &step.kind) {
        (BlockName::Loop, _) => ("a pass".to_owned(), span),
        (BlockName::Branch(at), StepKind::Choose(branches)) => {
            let branch = branches.get(at)?;
            match &branch.when {
                Some(when) => (format!("branch {}", at + 1), when.span),
                None => ("otherwise".to_owned(), branch.span),
            }
        }
        (BlockName::Named(name), _) => (format!("branch {name}"), span),
        (BlockName::Catch, _) => ("catch".to_owned(), span),
        (BlockName::Finally, _) => ("finally".to_owned(), span),
        // It runs whenever its step does.
        _ => return None,
    })
}

/// What all runs reached together.
#[derive(Default)]
struct Reached {
    ran: HashSet<String>,
    skipped: HashSet<String>,
    branches: HashMap<String, HashSet<String>>,
    wanted: bool,
    filtered: bool,
}

impl Reached {
    fn of(trials: &[Trial]) -> Self {
        let mut reached = Self::default();
        for trial in trials {
            match trial.end {
                End::Filtered => reached.filtered = true,
                End::Unfit(_) => {}
                _ => reached.wanted = true,
            }
            for (path, stand) in Seen::of(trial).steps() {
                let id = short_name(path).to_owned();
                match stand {
                    Stand::Skipped => {
                        reached.skipped.insert(id);
                        continue;
                    }
                    Stand::Done(output) => {
                        if let Some(branch) = output.get("branch").filter(|branch| !branch.is_null()) {
                            let branch = branch.as_str().map_or_else(|| branch.to_string(), str::to_owned);
                            reached.branches.entry(id.clone()).or_default().insert(branch);
                        }
                    }
                    Stand::Began | Stand::Failed => {}
                }
                reached.ran.insert(id);
            }
        }
        reached
    }

    /// A step that holds others may have no entry of its own until they are done.
    fn ran(&self, step: &Step) -> bool {
        self.ran.contains(&step.id.value) || step.blocks().iter().any(|(_, steps)| self.touched(steps))
    }

    fn touched(&self, steps: &[Step]) -> bool {
        steps.iter().any(|step| self.ran(step) || self.skipped.contains(&step.id.value))
    }

    fn block(&self, step: &Step, name: BlockName<'_>, steps: &[Step]) -> bool {
        let chosen = |branch: &str| self.branches.get(&step.id.value).is_some_and(|taken| taken.contains(branch));
        match (name, &step.kind) {
            (BlockName::Branch(at), StepKind::Choose(branches)) => match branches.get(at).map(|branch| &branch.when) {
                Some(None) => chosen("otherwise"),
                _ => chosen(&(at + 1).to_string()),
            },
            _ => self.touched(steps),
        }
    }
}
