//! Where steps stand: what is around each, and which have run by the time another runs.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::ast::{Recipe, Span, Step, StepKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, shown};

/// A branch or a loop around a step.
#[derive(Clone, PartialEq)]
pub(super) struct Around<'a> {
    pub(super) id: &'a str,
    /// The order of the step it belongs to, which tells steps apart whatever their ids are.
    order: usize,
    kind: AroundKind<'a>,
}

#[derive(Clone, PartialEq)]
enum AroundKind<'a> {
    Branch(usize),
    Pass { binding: &'a str },
}

impl<'a> Around<'a> {
    pub(super) fn branch(step: &'a Step, order: usize, number: usize) -> Self {
        Self { id: &step.id.value, order, kind: AroundKind::Branch(number) }
    }

    pub(super) fn pass(step: &'a Step, order: usize, binding: &'a str) -> Self {
        Self { id: &step.id.value, order, kind: AroundKind::Pass { binding } }
    }

    pub(super) fn binding(&self) -> Option<&'a str> {
        match self.kind {
            AroundKind::Pass { binding } => Some(binding),
            AroundKind::Branch(_) => None,
        }
    }
}

/// One more around what is around already.
pub(super) fn inside<'a>(around: &Rc<[Around<'a>]>, inner: Around<'a>) -> Rc<[Around<'a>]> {
    around.iter().cloned().chain(std::iter::once(inner)).collect()
}

/// Where an expression stands among the steps.
pub(super) struct Place<'a> {
    pub(super) order: usize,
    pub(super) around: Rc<[Around<'a>]>,
}

/// What an expression sees.
pub(super) enum Seen<'a> {
    /// Only the event: there is no run yet.
    Event,
    /// A run, at this place.
    Run(Place<'a>),
}

/// All steps by id.
pub(super) struct Index<'a> {
    pub(super) steps: HashMap<&'a str, Target<'a>>,
    /// The ids in order, so that suggestions are the same each time.
    pub(super) ids: Vec<&'a str>,
    pub(super) params: HashSet<&'a str>,
    /// Every name that some loop gives its item.
    pub(super) bindings: HashSet<&'a str>,
}

pub(super) struct Target<'a> {
    pub(super) place: Place<'a>,
    pub(super) step: &'a Step,
}

impl<'a> Index<'a> {
    pub(super) fn new(recipe: &'a Recipe) -> Self {
        let params = recipe.params.iter().map(|param| param.name.value.as_str()).collect();
        let mut index = Self { steps: HashMap::new(), ids: Vec::new(), params, bindings: HashSet::from(["item"]) };
        index.add(&recipe.steps, &Rc::from([]), &mut 0);
        index
    }

    fn add(&mut self, steps: &'a [Step], around: &Rc<[Around<'a>]>, next: &mut usize) {
        for step in steps {
            let order = *next;
            *next += 1;
            let place = Place { order, around: Rc::clone(around) };
            // Of steps with the same id, which is reported, the first counts.
            self.steps.entry(&step.id.value).or_insert(Target { place, step });
            self.ids.push(&step.id.value);
            match &step.kind {
                StepKind::Choose(branches) => {
                    for (number, branch) in branches.iter().enumerate() {
                        self.add(&branch.steps, &inside(around, Around::branch(step, order, number)), next);
                    }
                }
                StepKind::Each { binding, steps, .. } => {
                    self.bindings.insert(binding);
                    self.add(steps, &inside(around, Around::pass(step, order, binding)), next);
                }
                _ => {}
            }
        }
    }
}

/// Why a step cannot have run where it is read, if so.
pub(super) fn unreachable(place: &Place<'_>, target: &Target<'_>, span: Span) -> Option<Diagnostic> {
    let id = shown(&target.step.id.value);
    let order = target.place.order;
    if order == place.order {
        let message = format!("\"{id}\" reads its own output, which does not exist yet.");
        return Some(Diagnostic::error(codes::NOT_RUN_YET, span, message).help("Read a step that comes before."));
    }
    if place.around.iter().any(|a| a.order == order) {
        let message = format!("\"{id}\" is the step around this one and has no output before it is done.");
        let help = "Inside a loop read its item; read the output in a step after it.";
        return Some(Diagnostic::error(codes::NOT_RUN_YET, span, message).help(help));
    }
    let shared = common(&place.around, &target.place.around);
    if let (Some(here), Some(there)) = (place.around.get(shared), target.place.around.get(shared))
        && here.order == there.order
    {
        let message = format!("\"{id}\" is in another branch of \"{}\", and only one branch runs.", shown(there.id));
        return Some(Diagnostic::error(codes::NOT_RUN_YET, span, message).help("Move it before the choice."));
    }
    (order > place.order).then(|| {
        let message = format!("\"{id}\" comes later and cannot have run here.");
        Diagnostic::error(codes::NOT_RUN_YET, span, message).help("Move it before this step, or read another step.")
    })
}

/// How much of what is around two places is the same.
pub(super) fn common(a: &[Around<'_>], b: &[Around<'_>]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
