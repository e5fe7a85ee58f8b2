//! What a merge knows while it goes on, and what people are told of it.

use std::collections::{HashMap, HashSet};

use super::conflict::{Choice, Conflict, ConflictKind, Side};
use super::order::Order;
use super::place::{BASE, ListName, OURS, Place, Plan, THEIRS};
use super::steps::Role;
use crate::edit::lines::{column, shift};
use crate::edit::target::{Origin, Part, Shape, Slot, Target};
use crate::edit::tree::{Kind, Source};
use crate::edit::write::Writer;
use crate::edit::{FieldPath, PathPart};

/// The same thing in the three texts.
pub(super) type Three = [Option<usize>; 3];

/// Merges three trees into a target.
pub(super) struct Merger<'s, 't> {
    pub(super) sources: &'s [Source<'t>; 3],
    pub(super) plan: Plan,
    pub(super) choices: &'s [Choice],
    pub(super) conflicts: Vec<Conflict>,
    pub(super) writer: Writer<'s, 't>,
    /// The steps of the result, each with its list.
    pub(super) stands: HashMap<String, ListName>,
    /// For steps that both sides have, but of which only one side's counts, that side.
    pub(super) only: HashMap<String, usize>,
    pub(super) orders: HashMap<ListName, Order<String>>,
    /// The steps written so far.
    pub(super) placed: HashSet<String>,
}

impl<'s, 't> Merger<'s, 't> {
    pub(super) fn new(sources: &'s [Source<'t>; 3], plan: Plan, choices: &'s [Choice], nothing: &'s HashSet<Slot>) -> Self {
        let writer = Writer::new(sources, nothing, false);
        Self {
            sources,
            plan,
            choices,
            conflicts: Vec::new(),
            writer,
            stands: HashMap::new(),
            only: HashMap::new(),
            orders: HashMap::new(),
            placed: HashSet::new(),
        }
    }

    /// The merged recipe.
    pub(super) fn recipe(&mut self) -> Target {
        self.settle();
        self.order();
        let roots = [OURS, THEIRS, BASE].map(|version| Some(self.sources[version].root));
        let at = FieldPath { step: None, path: Vec::new() };
        self.record(&at, roots, &Role::Recipe)
    }

    /// The conflicts that are open, and whether every step found its place.
    pub(super) fn finish(self) -> (Vec<Conflict>, bool) {
        let whole = self.stands.keys().all(|id| self.placed.contains(id));
        (self.conflicts, whole)
    }

    /// Records a conflict unless it is decided; the side that counts.
    pub(super) fn decide(&mut self, at: &FieldPath, kind: ConflictKind, texts: [Option<String>; 3]) -> Side {
        if let Some(choice) = self.choices.iter().find(|choice| choice.kind == kind && choice.at == *at) {
            return choice.side;
        }
        let [ours, theirs, base] = texts;
        self.conflicts.push(Conflict { at: at.clone(), kind, base, ours, theirs });
        Side::Ours
    }

    /// The texts of a step, for people.
    pub(super) fn step_texts(&self, id: &str) -> [Option<String>; 3] {
        [OURS, THEIRS, BASE].map(|version| self.plan.steps[version].get(id).map(|place| self.step_lines(version, place)))
    }

    pub(super) fn step_lines(&self, version: usize, place: &Place) -> String {
        self.writer.alone(&kept(version, place))
    }

    pub(super) fn texts(&self, nodes: Three) -> [Option<String>; 3] {
        [OURS, THEIRS, BASE].map(|version| nodes[version].map(|node| self.shown(version, node)))
    }

    /// A value as it stands, without its indentation.
    pub(super) fn shown(&self, version: usize, node: usize) -> String {
        let (text, span) = (self.sources[version].text, self.sources[version].node(node).span);
        let indent = column(text, span.start).cast_signed();
        let raw = &text[span.start..span.end];
        let end = raw.find('\n').map_or(raw.len(), |at| at + 1);
        format!("{}{}", &raw[..end], shift(&raw[end..], -indent))
    }

    pub(super) fn same(&self, a: (usize, Option<usize>), b: (usize, Option<usize>)) -> bool {
        match (a, b) {
            ((x, Some(a)), (y, Some(b))) => self.sources[x].same(a, &self.sources[y], b),
            _ => false,
        }
    }

    pub(super) fn shape(&self, (version, node): (usize, Option<usize>)) -> Option<Shape> {
        Some(match self.sources[version].node(node?).kind {
            Kind::List { .. } => Shape::List,
            Kind::Record { .. } => Shape::Record,
            Kind::Scalar { .. } | Kind::Alias => Shape::Scalar,
        })
    }

    /// True if a record has a key twice, so that its fields cannot be told apart.
    pub(super) fn repeats(&self, (version, node): (usize, Option<usize>)) -> bool {
        let mut seen = HashSet::new();
        node.is_some_and(|node| !self.sources[version].parts(node).iter().all(|part| seen.insert(part.key.as_ref())))
    }
}

pub(super) fn slot(version: usize, place: &Place) -> Slot {
    Slot { holder: Origin { source: version, node: place.holder }, index: place.index }
}

/// A step as it is in a text.
pub(super) fn kept(version: usize, place: &Place) -> Part {
    let value = Target::Kept(Origin { source: version, node: place.node });
    Part { slot: Some(slot(version, place)), ..Part::new("", value) }
}

pub(super) fn inside(at: &FieldPath, part: PathPart) -> FieldPath {
    let mut at = at.clone();
    at.path.push(part);
    at
}
