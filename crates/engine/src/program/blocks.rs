//! What a compiled step is like, and the steps in it.

use super::{DoStep, Each, Kind, Program, Step, WaitKind};
use crate::{frame::id_of, trial::short_name};

impl Step {
    /// It waits for a call to an address of its own.
    pub(crate) fn is_called_back(&self) -> bool {
        matches!(&self.kind, Kind::Wait(wait) if matches!(wait.what, WaitKind::Callback { .. }))
    }

    /// It waits for what somebody else says: a person, a caller, a run it called.
    pub(crate) fn listens(&self) -> bool {
        match &self.kind {
            Kind::Wait(wait) => matches!(wait.what, WaitKind::Callback { .. } | WaitKind::Approval { .. }),
            Kind::Do(action) => action.called().is_some_and(|called| called.waits),
            _ => false,
        }
    }
}

impl Program {
    /// The step of that id, however deep.
    pub(crate) fn find(&self, id: &str) -> Option<&Step> {
        find(&self.steps, id)
    }

    /// The call that is made at a path, be it a step's or its taking back. Pages of a stream are only read.
    pub(crate) fn called_at(&self, path: &str) -> Option<&DoStep> {
        if path.ends_with(']') { None } else { self.calls(short_name(path)) }
    }

    /// What the step of that id calls, or, for `id.undo`, what takes it back does.
    pub(crate) fn calls(&self, id: &str) -> Option<&DoStep> {
        if let Some(id) = id.strip_suffix(".undo") {
            return self.find(id)?.undo.as_deref();
        }
        match &self.find(id)?.kind {
            Kind::Do(step) => Some(step),
            _ => None,
        }
    }
}

/// A step that holds the one at a path.
pub(crate) struct Holder<'p> {
    pub(crate) step: &'p Step,
    /// Its own path.
    pub(crate) path: String,
    /// Which of its blocks the other one stands in.
    pub(crate) block: usize,
    /// The path of the pass or turn, when it is a loop.
    pub(crate) pass: Option<String>,
}

impl Program {
    /// What holds the step at a path, the outermost first.
    pub(crate) fn holders(&self, path: &str) -> Vec<Holder<'_>> {
        let mut chain = Vec::new();
        if !within(&self.steps, id_of(path), &mut chain) {
            return Vec::new();
        }
        let mut prefix = String::new();
        let mut holders = Vec::with_capacity(chain.len());
        for (step, block) in chain {
            let own = if prefix.is_empty() { step.id.to_string() } else { format!("{prefix}.{}", step.id) };
            let number = match step.kind {
                Kind::Each(_) | Kind::Repeat(_) => path.get(own.len()..).and_then(|rest| rest.split_inclusive(']').next()),
                _ => None,
            };
            let pass = number.map(|number| format!("{own}{number}"));
            prefix = pass.clone().unwrap_or(prefix);
            holders.push(Holder { step, path: own, block, pass });
        }
        holders
    }
}

/// Notes the steps on the way to the one of that id, each with the number of the block; false when it is not there.
fn within<'p>(steps: &'p [Step], id: &str, chain: &mut Vec<(&'p Step, usize)>) -> bool {
    steps.iter().any(|step| {
        *step.id == *id
            || step.kind.blocks().into_iter().enumerate().any(|(block, steps)| {
                chain.push((step, block));
                let found = within(steps, id, chain);
                if !found {
                    chain.pop();
                }
                found
            })
    })
}

fn find<'p>(steps: &'p [Step], id: &str) -> Option<&'p Step> {
    steps.iter().find_map(|step| {
        if *step.id == *id {
            return Some(step);
        }
        step.kind.blocks().into_iter().find_map(|steps| find(steps, id))
    })
}

/// Whether any step in these lists, however deep, is such a one.
pub(super) fn any(blocks: Vec<&[Step]>, such: &impl Fn(&Step) -> bool) -> bool {
    blocks.into_iter().flatten().any(|step| such(step) || any(step.kind.blocks(), such))
}

/// How a loop gathers what its passes give: whether by `collect`, and whether into a file, and then which step's output.
pub(crate) type Gathers<'p> = (bool, Option<Option<&'p str>>);

impl Each {
    /// How it gathers what its passes give.
    pub(crate) fn gathers(&self) -> Gathers<'_> {
        (self.collect.is_some(), self.file.as_ref().and_then(|file| file.filled_with()))
    }
}

impl Kind {
    /// The lists of steps inside.
    pub(crate) fn blocks(&self) -> Vec<&[Step]> {
        match self {
            Self::Choose(branches) => branches.iter().map(|(_, steps)| steps.as_slice()).collect(),
            Self::Each(each) => vec![&each.steps],
            Self::Repeat(repeat) => vec![&repeat.steps],
            Self::Parallel { branches, .. } => branches.iter().map(|(_, steps)| steps.as_slice()).collect(),
            Self::Try { steps, catch, finally } => vec![steps, catch.as_deref().unwrap_or_default(), finally],
            _ => Vec::new(),
        }
    }
}
