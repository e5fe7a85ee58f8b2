//! Where steps stand: what is around each, and which have run by the time another runs.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::ast::{BlockName, Recipe, Span, Step, StepKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, shown};

/// A list of steps around a step.
#[derive(Clone, PartialEq)]
pub(super) struct Around<'a> {
    /// The step that holds the list.
    pub(super) id: &'a str,
    /// The order of that step, which tells steps apart whatever their ids are.
    order: usize,
    pub(super) block: BlockName<'a>,
    /// What a loop calls its item.
    binding: Option<&'a str>,
    /// What is inside may fail without ending the run.
    caught: bool,
}

impl<'a> Around<'a> {
    pub(super) fn new(step: &'a Step, order: usize, block: BlockName<'a>) -> Self {
        let binding = match &step.kind {
            StepKind::Each(each) => Some(each.binding.as_str()),
            _ => None,
        };
        let caught = matches!(&step.kind, StepKind::Try { catch, .. } if !catch.is_empty());
        Self { id: &step.id.value, order, block, binding, caught }
    }

    pub(super) const fn binding(&self) -> Option<&'a str> {
        self.binding
    }

    pub(super) fn is_loop(&self) -> bool {
        self.block == BlockName::Loop
    }

    /// Steps inside may not have run, or not to their end, when the list's own step is done.
    pub(super) const fn may_be_left_out(&self) -> bool {
        match self.block {
            BlockName::Branch(_) | BlockName::Catch => true,
            BlockName::Try => self.caught,
            BlockName::Loop | BlockName::Named(_) | BlockName::Finally => false,
        }
    }
}

/// One more around what is around already.
pub(super) fn inside<'a>(around: &Rc<[Around<'a>]>, inner: Around<'a>) -> Rc<[Around<'a>]> {
    around.iter().cloned().chain(std::iter::once(inner)).collect()
}

/// Where an expression stands among the steps.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) order: usize,
    pub(super) around: Rc<[Around<'a>]>,
    /// The step's own output is there: in its `undo`.
    pub(super) done: bool,
    /// The step it belongs to was only reached because of these formulas.
    pub(super) conditions: Rc<[&'a str]>,
}

/// What an expression sees.
pub(super) enum Seen<'a> {
    /// Only the event: there is no run yet.
    Event,
    /// A run, at this place.
    Run(Place<'a>),
    /// As before, and the error that led here.
    Handler(Place<'a>),
}

impl<'a> Seen<'a> {
    pub(super) const fn place(&self) -> Option<&Place<'a>> {
        match self {
            Self::Event => None,
            Self::Run(place) | Self::Handler(place) => Some(place),
        }
    }

    /// True if `error` is in reach.
    pub(super) fn has_error(&self) -> bool {
        match self {
            Self::Event => false,
            Self::Handler(_) => true,
            Self::Run(place) => place.around.iter().any(|around| around.block == BlockName::Catch),
        }
    }
}

/// All steps by id.
pub(super) struct Index<'a> {
    pub(super) steps: HashMap<&'a str, Target<'a>>,
    /// The ids in order, so that suggestions are the same each time.
    pub(super) ids: Vec<&'a str>,
    /// Every name that some loop gives its item.
    pub(super) bindings: HashSet<&'a str>,
}

pub(super) struct Target<'a> {
    pub(super) order: usize,
    pub(super) around: Rc<[Around<'a>]>,
    pub(super) step: &'a Step,
}

impl<'a> Index<'a> {
    pub(super) fn new(recipe: &'a Recipe) -> Self {
        let mut index = Self { steps: HashMap::new(), ids: Vec::new(), bindings: HashSet::from(["item"]) };
        index.add(&recipe.steps, &Rc::from([]), &mut 0);
        index
    }

    fn add(&mut self, steps: &'a [Step], around: &Rc<[Around<'a>]>, next: &mut usize) {
        for step in steps {
            let order = *next;
            *next += 1;
            // Of steps with the same id, which is reported, the first counts.
            self.steps.entry(&step.id.value).or_insert(Target { order, around: Rc::clone(around), step });
            self.ids.push(&step.id.value);
            for (block, steps) in step.blocks() {
                let inner = Around::new(step, order, block);
                self.bindings.extend(inner.binding());
                self.add(steps, &inside(around, inner), next);
            }
        }
    }
}

/// Why a step cannot have run where it is read, if so.
pub(super) fn unreachable(place: &Place<'_>, target: &Target<'_>, span: Span) -> Option<Diagnostic> {
    let id = shown(&target.step.id.value);
    let order = target.order;
    let not_yet = |message: String, help: &str| Some(Diagnostic::error(codes::NOT_RUN_YET, span, message).help(help));
    if order == place.order {
        let message = format!("\"{id}\" reads its own output, which does not exist yet.");
        return if place.done { None } else { not_yet(message, "Read a step that comes before.") };
    }
    if let Some(around) = place.around.iter().find(|a| a.order == order) {
        let message = format!("\"{id}\" is the step around this one and has no output before it is done.");
        let help = if around.is_loop() {
            "Inside a loop read its item; read the output in a step after it."
        } else {
            "Read the output in a step after it."
        };
        return not_yet(message, help);
    }
    let shared = common(&place.around, &target.around);
    if let (Some(here), Some(there)) = (place.around.get(shared), target.around.get(shared))
        && here.order == there.order
    {
        let owner = shown(there.id);
        match (here.block, there.block) {
            (BlockName::Branch(_), _) => {
                let message = format!("\"{id}\" is in another branch of \"{owner}\", and only one branch runs.");
                return not_yet(message, "Move it before the choice.");
            }
            (BlockName::Named(_), _) => {
                let message = format!("\"{id}\" is in another branch of \"{owner}\", which runs at the same time.");
                return not_yet(message, "Move it before the parallel step, or read it after it.");
            }
            _ => {}
        }
    }
    if order > place.order {
        let message = format!("\"{id}\" comes later and cannot have run here.");
        return not_yet(message, "Move it before this step, or read another step.");
    }
    None
}

/// How much of what is around two places is the same.
pub(super) fn common(a: &[Around<'_>], b: &[Around<'_>]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a.order == b.order && a.block == b.block).count()
}
