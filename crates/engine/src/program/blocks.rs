//! What a compiled step is like, and the steps in it.

use super::{DoStep, Each, Kind, Program, Step, WaitKind};
use crate::trial::short_name;

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
