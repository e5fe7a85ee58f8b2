//! Which values kept apart a run needs when it goes on.

use std::collections::HashSet;

use formula::{Expression, Segment};

use super::{Kind, Program, Step, reads::any_expression};

/// What the formulas of a recipe read, by what they name.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    event: bool,
    /// Steps whose outputs nothing reads; empty when a formula may read any.
    unread: HashSet<Box<str>>,
}

impl Program {
    /// Whether a run that goes on may still read its event.
    pub(crate) fn reads_event(&self) -> bool {
        // A recipe that is told of a failure gets the event of the run that failed.
        self.wants.event || self.on_failure.is_some()
    }

    /// Whether a run that goes on may still read the output of the step of that id.
    pub(crate) fn reads_output(&self, id: &str) -> bool {
        !self.wants.unread.contains(id)
    }
}

/// What the steps read.
pub(super) fn wants(steps: &[Step]) -> Wants {
    let (mut event, mut all, mut read) = (false, false, HashSet::new());
    for step in steps {
        any_expression(step, &mut |expression: &Expression| {
            for reference in expression.references() {
                event |= reference.root == "trigger" || reference.root.is_empty();
                match (reference.root.as_str(), reference.path.first()) {
                    ("steps", Some(Segment::Key(id))) => drop(read.insert(id.clone())),
                    ("steps" | "", _) => all = true,
                    _ => {}
                }
            }
            false
        });
    }
    let mut unread = HashSet::new();
    if !all {
        forgettable(steps, true, &read, &mut unread);
    }
    Wants { event, unread }
}

/// Steps whose values only formulas could read: not those that end a block, whose output is the block's,
/// nor those of parallel branches, whose outputs are all in the output of the whole.
fn forgettable(steps: &[Step], top: bool, read: &HashSet<String>, out: &mut HashSet<Box<str>>) {
    for (place, step) in steps.iter().enumerate() {
        let plain = matches!(step.kind, Kind::Do(_) | Kind::Set(_) | Kind::Script(_));
        if plain && (top || place + 1 < steps.len()) && !read.contains(&*step.id) {
            out.insert((&*step.id).into());
        }
        if !matches!(step.kind, Kind::Parallel { .. }) {
            for block in step.kind.blocks() {
                forgettable(block, false, read, out);
            }
        }
    }
}
