//! The merged tree: steps, their lists, and the branches of choices.

use std::collections::{HashMap, HashSet};

use super::conflict::{ConflictKind, Side};
use super::merger::{Merger, Three, inside, kept, slot};
use super::order::merged;
use super::place::{BASE, ListKey, ListName, OURS, OWN, Place, THEIRS, is_branch_key};
use crate::edit::target::{Body, Origin, Part, Shape, Slot, Target};
use crate::edit::{FieldPath, PathPart};

/// What a record is, and so which of its keys hold steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    Data,
    Recipe,
    Step(String),
    /// The branches of a `parallel`.
    Branches(String),
    /// A branch of a `choose`, by its number.
    Choice(String, usize),
}

/// What a key of a record holds besides data.
pub(super) enum Holds {
    Steps(ListName),
    Branches(String),
    Choices(String),
}

impl Merger<'_, '_> {
    pub(super) fn order(&mut self) {
        let mut members: HashMap<ListName, HashSet<String>> = HashMap::new();
        for (id, list) in &self.stands {
            members.entry(list.clone()).or_default().insert(id.clone());
        }
        let mut lists: Vec<_> = members.into_iter().collect();
        lists.sort_by(|(a, _), (b, _)| format!("{a:?}").cmp(&format!("{b:?}")));
        for (list, members) in lists {
            let none = Vec::new();
            let order = |version: usize| self.plan.lists[version].get(&list).unwrap_or(&none).clone();
            let (base, ours, theirs) = (order(BASE), order(OURS), order(THEIRS));
            let mut found = merged(&base, &ours, &theirs, &members, &HashSet::new());
            let mut yielding = HashSet::new();
            for id in std::mem::take(&mut found.contested) {
                let at = FieldPath { step: Some(id.clone()), path: Vec::new() };
                if self.decide(&at, ConflictKind::BothMoved, self.step_texts(&id)) == Side::Theirs {
                    yielding.insert(id);
                }
            }
            if !yielding.is_empty() {
                found = merged(&base, &ours, &theirs, &members, &yielding);
            }
            self.orders.insert(list, found);
        }
    }

    /// The steps a key of a record holds, if it holds any.
    pub(super) fn holds(&self, role: &Role, key: &str, inner: Three) -> Option<Holds> {
        let any =
            |shape: Shape| [OURS, THEIRS, BASE].iter().any(|version| self.shape((*version, inner[*version])) == Some(shape));
        let list = |step: Option<&String>, key| Some(Holds::Steps(ListName { step: step.cloned(), key }));
        match role {
            Role::Recipe if key == "steps" && any(Shape::List) => list(None, ListKey::Own(key.to_owned())),
            Role::Step(id) if OWN.contains(&key) && any(Shape::List) => list(Some(id), ListKey::Own(key.to_owned())),
            Role::Step(id) if key == "choose" && any(Shape::List) => Some(Holds::Choices(id.clone())),
            Role::Step(id) if key == "parallel" && any(Shape::Record) => Some(Holds::Branches(id.clone())),
            Role::Branches(id) if any(Shape::List) => list(Some(id), ListKey::Branch(key.to_owned())),
            Role::Choice(id, number) if is_branch_key(key) && any(Shape::List) => {
                list(Some(id), ListKey::Choice(*number, key.to_owned()))
            }
            _ => None,
        }
    }

    /// A field with steps in it.
    pub(super) fn structure(&mut self, at: &FieldPath, inner: Three, holds: Holds, nodes: Three) -> Option<Target> {
        let main = if inner[OURS].is_some() { OURS } else { THEIRS };
        let origin = Origin { source: main, node: inner[main]? };
        let (value, empty) = match holds {
            Holds::Steps(list) => {
                let parts = self.steps(&list);
                let empty = parts.is_empty();
                (self.closed(origin, Body::List(parts)), empty)
            }
            Holds::Branches(id) => {
                let inner = std::array::from_fn(|version| {
                    inner[version].filter(|_| self.shape((version, inner[version])) == Some(Shape::Record))
                });
                let value =
                    if inner[main].is_some() { self.record(at, inner, &Role::Branches(id)) } else { Target::Kept(origin) };
                let empty = matches!(&value, Target::Made { body: Body::Record(parts), .. } if parts.is_empty());
                (value, empty)
            }
            Holds::Choices(id) => {
                let parts = self.choices(at, &id, inner);
                let empty = parts.is_empty();
                (self.closed(origin, Body::List(parts)), empty)
            }
        };
        let both = nodes[OURS].is_some() && nodes[THEIRS].is_some();
        let goes = both
            && match inner {
                // One side took the list away, and nothing came into it.
                [Some(_), None, Some(_)] | [None, Some(_), Some(_)] => empty,
                _ => false,
            };
        (!goes).then_some(value)
    }

    /// The steps of one list.
    pub(super) fn steps(&mut self, list: &ListName) -> Vec<Part> {
        let order = self.orders.remove(list).unwrap_or_default();
        let mut parts = Vec::with_capacity(order.items.len());
        for id in order.items {
            let moved = order.moved.contains(&id);
            if let Some(part) = self.step(&id) {
                let at_home = part.slot.is_some_and(|slot| slot.holder.source == OURS);
                parts.push(Part { moved: moved && at_home, ..part });
            }
        }
        parts
    }

    /// One step.
    pub(super) fn step(&mut self, id: &str) -> Option<Part> {
        self.placed.insert(id.to_owned());
        let uses = self.uses(id);
        let place = |version: usize| self.plan.steps[version].get(id).filter(|_| uses.get(version) != Some(&false)).cloned();
        let places: [Option<Place>; 3] = std::array::from_fn(place);
        let nodes: Three = std::array::from_fn(|version| places[version].as_ref().map(|place| place.node));
        let main = if places[OURS].is_some() { OURS } else { THEIRS };
        let place = places[main].as_ref()?;
        let at = FieldPath { step: Some(id.to_owned()), path: Vec::new() };
        let both = nodes[OURS].is_some() && nodes[THEIRS].is_some();
        let records =
            (0..3).all(|version| nodes[version].is_none() || self.shape((version, nodes[version])) == Some(Shape::Record));
        let value = if both && !records {
            self.value(&at, nodes)
        } else if both {
            self.record(&at, nodes, &Role::Step(id.to_owned()))
        } else {
            let mut one: Three = [None; 3];
            one[main] = nodes[main];
            self.record(&at, one, &Role::Step(id.to_owned()))
        };
        if let ([Some(ours), Some(theirs), Some(base)], [_, Some(node), _]) = (&places, nodes) {
            let lines = [(OURS, ours), (BASE, base), (THEIRS, theirs)].map(|(version, place)| self.step_lines(version, place));
            if lines[0] == lines[1] && lines[1] != lines[2] && value.same(self.sources, &self.sources[THEIRS], node) {
                return Some(Part { slot: Some(slot(OURS, ours)), like: Some(slot(THEIRS, theirs)), ..kept(THEIRS, theirs) });
            }
        }
        Some(Part { slot: Some(slot(main, place)), ..Part::new("", value) })
    }

    /// The branches of a `choose`.
    pub(super) fn choices(&mut self, at: &FieldPath, id: &str, inner: Three) -> Vec<Part> {
        let rows = self.plan.branches.get(id).cloned().unwrap_or_default();
        let order = |version: usize| {
            let mut numbers: Vec<usize> = (0..rows.len()).filter(|number| rows[*number][version].is_some()).collect();
            numbers.sort_by_key(|number| rows[*number][version]);
            if inner[version].is_some() { numbers } else { Vec::new() }
        };
        let (ours, theirs, base) = (order(OURS), order(THEIRS), order(BASE));
        let mut parts: HashMap<usize, Part> = HashMap::new();
        for number in ours.iter().chain(&theirs) {
            if parts.contains_key(number) {
                continue;
            }
            let holder_index = |version: usize| Some((inner[version]?, rows[*number][version]?));
            let nodes: Three = std::array::from_fn(|version| {
                let (holder, index) = holder_index(version)?;
                self.sources[version].parts(holder).get(index).map(|part| part.value)
            });
            let main = if nodes[OURS].is_some() { OURS } else { THEIRS };
            let Some((holder, index)) = holder_index(main) else { continue };
            let at = inside(at, PathPart::Index(index));
            let role = Role::Choice(id.to_owned(), *number);
            let both = inner[OURS].is_some() && inner[THEIRS].is_some();
            let mut taken = nodes;
            if both && (nodes[OURS].is_none() || nodes[THEIRS].is_none()) {
                taken = [None; 3];
                taken[main] = nodes[main];
            }
            let value = self.record(&at, taken, &role);
            if both && nodes[BASE].is_some() && taken != nodes && !self.stays(&at, nodes, main, &value) {
                continue;
            }
            let slot = Slot { holder: Origin { source: main, node: holder }, index };
            parts.insert(*number, Part { slot: Some(slot), ..Part::new("", value) });
        }
        let members = parts.keys().copied().collect();
        let order = merged(&base, &ours, &theirs, &members, &HashSet::new());
        order.items.iter().filter_map(|number| parts.remove(number)).collect()
    }

    /// Whether a branch that one side removed is in the result.
    pub(super) fn stays(&mut self, at: &FieldPath, nodes: Three, main: usize, value: &Target) -> bool {
        let has_steps = match value {
            Target::Kept(origin) => self.sources[origin.source]
                .parts(origin.node)
                .iter()
                .any(|part| is_branch_key(&part.key) && !self.sources[origin.source].parts(part.value).is_empty()),
            Target::Made { body: Body::Record(parts), .. } => parts.iter().any(|part| {
                is_branch_key(&part.key)
                    && !matches!(&part.value, Target::Made { body: Body::List(steps), .. } if steps.is_empty())
            }),
            Target::Made { .. } => false,
        };
        if has_steps {
            return true;
        }
        let when = |version: usize| nodes[version].and_then(|node| self.sources[version].get(node, "when"));
        if self.same((main, when(main)), (BASE, when(BASE))) || (when(main).is_none() && when(BASE).is_none()) {
            return false;
        }
        let kind = if main == OURS { ConflictKind::RemovedByThem } else { ConflictKind::RemovedByUs };
        let side = self.decide(at, kind, self.texts(nodes));
        (side == Side::Ours) == (main == OURS)
    }
}
