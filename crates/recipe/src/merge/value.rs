//! The merged tree: what both sides made of each step, field and item.

use std::collections::{HashMap, HashSet};

use super::conflict::{Choice, Conflict, ConflictKind, Side};
use super::order::{Order, merged};
use super::place::{BASE, ListKey, ListName, OURS, OWN, Place, Plan, THEIRS, is_branch_key};
use crate::edit::lines::{column, shift};
use crate::edit::target::{Body, Origin, Part, Shape, Slot, Target};
use crate::edit::tree::{Kind, Source};
use crate::edit::write::Writer;
use crate::edit::{FieldPath, PathPart};

/// The same thing in the three texts.
pub(super) type Three = [Option<usize>; 3];

/// Merges three trees into a target.
pub(super) struct Merger<'s, 't> {
    pub(super) sources: &'s [Source<'t>; 3],
    pub(super) plan: Plan,
    choices: &'s [Choice],
    conflicts: Vec<Conflict>,
    writer: Writer<'s, 't>,
    /// The steps of the result, each with its list.
    pub(super) stands: HashMap<String, ListName>,
    /// For steps that both sides have, but of which only one side's counts, that side.
    pub(super) only: HashMap<String, usize>,
    orders: HashMap<ListName, Order<String>>,
    /// The steps written so far.
    placed: HashSet<String>,
}

/// What a record is, and so which of its keys hold steps.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Data,
    Recipe,
    Step(String),
    /// The branches of a `parallel`.
    Branches(String),
    /// A branch of a `choose`, by its number.
    Choice(String, usize),
}

/// What a key of a record holds besides data.
enum Holds {
    Steps(ListName),
    Branches(String),
    Choices(String),
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

    fn order(&mut self) {
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

    fn step_lines(&self, version: usize, place: &Place) -> String {
        self.writer.alone(&kept(version, place))
    }

    fn texts(&self, nodes: Three) -> [Option<String>; 3] {
        [OURS, THEIRS, BASE].map(|version| nodes[version].map(|node| self.shown(version, node)))
    }

    /// A value as it stands, without its indentation.
    fn shown(&self, version: usize, node: usize) -> String {
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

    /// A value that both sides have.
    fn value(&mut self, at: &FieldPath, nodes: Three) -> Target {
        let [ours, theirs, base] = nodes;
        let (o, t, b) = ((OURS, ours), (THEIRS, theirs), (BASE, base));
        let keep = |version: usize, node: Option<usize>| {
            node.map_or_else(Target::null, |node| Target::Kept(Origin { source: version, node }))
        };
        if self.same(o, t) || self.same(b, t) {
            return keep(OURS, ours);
        }
        match (self.shape(o), self.shape(t)) {
            (Some(Shape::Record), Some(Shape::Record)) if !self.repeats(o) && !self.repeats(t) => {
                let base = base.filter(|_| self.shape(b) == Some(Shape::Record) && !self.repeats(b));
                return self.record(at, [ours, theirs, base], &Role::Data);
            }
            (Some(Shape::List), Some(Shape::List)) if self.shape(b) == Some(Shape::List) => {
                if let Some(list) = self.list(at, nodes) {
                    return list;
                }
            }
            _ => {}
        }
        if self.same(b, o) {
            return keep(THEIRS, theirs);
        }
        let kind = if base.is_some() { ConflictKind::BothChanged } else { ConflictKind::BothAdded };
        match self.decide(at, kind, self.texts(nodes)) {
            Side::Ours => keep(OURS, ours),
            Side::Theirs => keep(THEIRS, theirs),
        }
    }

    fn shape(&self, (version, node): (usize, Option<usize>)) -> Option<Shape> {
        Some(match self.sources[version].node(node?).kind {
            Kind::List { .. } => Shape::List,
            Kind::Record { .. } => Shape::Record,
            Kind::Scalar { .. } | Kind::Alias => Shape::Scalar,
        })
    }

    /// True if a record has a key twice, so that its fields cannot be told apart.
    fn repeats(&self, (version, node): (usize, Option<usize>)) -> bool {
        let mut seen = HashSet::new();
        node.is_some_and(|node| !self.sources[version].parts(node).iter().all(|part| seen.insert(part.key.as_ref())))
    }

    /// A list of data; `None` if both changed the same stretch of it.
    fn list(&mut self, at: &FieldPath, nodes: Three) -> Option<Target> {
        let [ours, theirs, base] = nodes.map(Option::unwrap_or_default);
        let items = |version: usize, node: usize| -> Vec<usize> {
            self.sources[version].parts(node).iter().map(|part| part.value).collect()
        };
        let (o, t, b) = (items(OURS, ours), items(THEIRS, theirs), items(BASE, base));
        let part = |version: usize, holder: usize, index: usize, value: Target| Part {
            slot: Some(Slot { holder: Origin { source: version, node: holder }, index }),
            ..Part::new("", value)
        };
        let kept = |version: usize, holder: usize, list: &[usize], index: usize| {
            part(version, holder, index, Target::Kept(Origin { source: version, node: list[index] }))
        };
        let parts = if o.len() == b.len() && t.len() == b.len() {
            let mut parts = Vec::with_capacity(o.len());
            for index in 0..o.len() {
                let value = self.value(&inside(at, PathPart::Index(index)), [Some(o[index]), Some(t[index]), Some(b[index])]);
                parts.push(part(OURS, ours, index, value));
            }
            parts
        } else {
            let changed = |version: usize, side: &[usize]| {
                let same = |(a, b): &(&usize, &usize)| self.same((version, Some(**a)), (BASE, Some(**b)));
                let front = side.iter().zip(&b).take_while(same).count();
                let most = side.len().min(b.len()) - front;
                let back = side.iter().rev().zip(b.iter().rev()).take(most).take_while(same).count();
                (front..b.len() - back, front..side.len() - back)
            };
            let ((from_o, to_o), (from_t, to_t)) = (changed(OURS, &o), changed(THEIRS, &t));
            let same_place = from_o.start == from_t.start && from_o.end == from_t.end;
            let at = if from_o.end <= from_t.start && !same_place {
                to_o.end + (from_t.start - from_o.end)..to_o.end + (from_t.end - from_o.end)
            } else if from_t.end <= from_o.start && !same_place {
                from_t.clone()
            } else {
                return None;
            };
            let mut parts: Vec<_> = (0..o.len()).map(|index| kept(OURS, ours, &o, index)).collect();
            parts.splice(at, to_t.map(|index| kept(THEIRS, theirs, &t, index)));
            parts
        };
        Some(self.closed(Origin { source: OURS, node: ours }, Body::List(parts)))
    }

    /// A target with an origin; a reference only, if it says what stands there.
    fn closed(&self, origin: Origin, body: Body) -> Target {
        let source = &self.sources[origin.source];
        let (parts, list) = match &body {
            Body::List(parts) => (parts, true),
            Body::Record(parts) => (parts, false),
            Body::Scalar(_) => return Target::Made { origin: Some(origin), body },
        };
        let old = source.parts(origin.node);
        let stays = |(index, (part, old)): (usize, (&Part, &crate::edit::tree::Part<'_>))| {
            part.slot == Some(Slot { holder: origin, index })
                && part.key == old.key
                && !part.moved
                && matches!(part.value, Target::Kept(value) if value == Origin { source: origin.source, node: old.value })
        };
        let same_kind =
            matches!((&source.node(origin.node).kind, list), (Kind::List { .. }, true) | (Kind::Record { .. }, false));
        if same_kind && parts.len() == old.len() && parts.iter().zip(old).enumerate().all(stays) {
            return Target::Kept(origin);
        }
        Target::Made { origin: Some(origin), body }
    }

    /// A record, field by field, in the order of ours.
    fn record(&mut self, at: &FieldPath, nodes: Three, role: &Role) -> Target {
        let main = if nodes[OURS].is_some() { OURS } else { THEIRS };
        let Some(node) = nodes[main] else { return Target::null() };
        let sources = self.sources;
        let mut parts: Vec<Part> = Vec::new();
        for (index, part) in sources[main].parts(node).iter().enumerate() {
            let slot = Slot { holder: Origin { source: main, node }, index };
            if let Some(field) = self.field(at, nodes, role, &part.key, slot) {
                parts.push(field);
            }
        }
        if let (OURS, Some(theirs)) = (main, nodes[THEIRS]) {
            self.incoming(at, nodes, role, theirs, &mut parts);
        }
        self.closed(Origin { source: main, node }, Body::Record(parts))
    }

    /// The fields that only theirs have, each behind the one it follows there.
    fn incoming(&mut self, at: &FieldPath, nodes: Three, role: &Role, theirs: usize, parts: &mut Vec<Part>) {
        let sources = self.sources;
        let mut before: Option<String> = None;
        for (index, part) in sources[THEIRS].parts(theirs).iter().enumerate() {
            let known = nodes[OURS].is_some_and(|node| sources[OURS].get(node, &part.key).is_some());
            let slot = Slot { holder: Origin { source: THEIRS, node: theirs }, index };
            if !known && let Some(field) = self.field(at, nodes, role, &part.key, slot) {
                let place = before.as_ref().and_then(|key| parts.iter().position(|part| part.key == *key));
                parts.insert(place.map_or(0, |place| place + 1), field);
            }
            if parts.iter().any(|field| field.key == part.key) {
                before = Some(part.key.to_string());
            }
        }
    }

    /// One field; `None` if it is not in the result.
    fn field(&mut self, at: &FieldPath, nodes: Three, role: &Role, key: &str, slot: Slot) -> Option<Part> {
        let inner: Three = std::array::from_fn(|version| nodes[version].and_then(|node| self.sources[version].get(node, key)));
        let at = inside(at, PathPart::Key(key.to_owned()));
        let value = match self.holds(role, key, inner) {
            Some(holds) => self.structure(&at, inner, holds, nodes)?,
            None => self.data(&at, inner, nodes)?,
        };
        let field = Part { slot: Some(slot), ..Part::new(key, value) };
        Some(self.with_their_comments(field, nodes, inner))
    }

    /// A field as theirs wrote it, if we did not touch it: their comments and layout come along.
    fn with_their_comments(&self, field: Part, nodes: Three, inner: Three) -> Part {
        let ([Some(_), Some(theirs), Some(_)], [Some(_), Some(their_value), Some(_)]) = (nodes, inner) else { return field };
        let lines = |version: usize| {
            let holder = nodes[version]?;
            let source = &self.sources[version];
            let index = source.parts(holder).iter().position(|part| Some(part.value) == inner[version])?;
            let slot = Slot { holder: Origin { source: version, node: holder }, index };
            let value = Target::Kept(Origin { source: version, node: inner[version]? });
            source
                .is_block(holder)
                .then(|| self.writer.entry_alone(&Part { slot: Some(slot), ..Part::new(field.key.clone(), value) }))
        };
        let (Some(ours), Some(base), Some(new)) = (lines(OURS), lines(BASE), lines(THEIRS)) else { return field };
        if ours != base || new == base || !field.value.same(self.sources, &self.sources[THEIRS], their_value) {
            return field;
        }
        let index = self.sources[THEIRS].parts(theirs).iter().position(|part| part.value == their_value).unwrap_or_default();
        let slot = Slot { holder: Origin { source: THEIRS, node: theirs }, index };
        Part { like: Some(slot), value: Target::Kept(Origin { source: THEIRS, node: their_value }), ..field }
    }

    /// A field without steps in it.
    fn data(&mut self, at: &FieldPath, inner: Three, nodes: Three) -> Option<Target> {
        let keep = |version: usize| inner[version].map(|node| Target::Kept(Origin { source: version, node }));
        let only_one = nodes[OURS].is_none() || nodes[THEIRS].is_none();
        match inner {
            _ if only_one => keep(OURS).or_else(|| keep(THEIRS)),
            [Some(_), Some(_), _] => Some(self.value(at, inner)),
            [Some(ours), None, Some(base)] => {
                let unchanged = self.same((OURS, Some(ours)), (BASE, Some(base)));
                let kind = ConflictKind::RemovedByThem;
                (!unchanged && self.decide(at, kind, self.texts(inner)) == Side::Ours).then(|| keep(OURS)).flatten()
            }
            [None, Some(theirs), Some(base)] => {
                let unchanged = self.same((THEIRS, Some(theirs)), (BASE, Some(base)));
                let kind = ConflictKind::RemovedByUs;
                (!unchanged && self.decide(at, kind, self.texts(inner)) == Side::Theirs).then(|| keep(THEIRS)).flatten()
            }
            [Some(_), None, None] => keep(OURS),
            [None, Some(_), None] => keep(THEIRS),
            [None, None, _] => None,
        }
    }

    /// The steps a key of a record holds, if it holds any.
    fn holds(&self, role: &Role, key: &str, inner: Three) -> Option<Holds> {
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
    fn structure(&mut self, at: &FieldPath, inner: Three, holds: Holds, nodes: Three) -> Option<Target> {
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
    fn steps(&mut self, list: &ListName) -> Vec<Part> {
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
    fn step(&mut self, id: &str) -> Option<Part> {
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
    fn choices(&mut self, at: &FieldPath, id: &str, inner: Three) -> Vec<Part> {
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
    fn stays(&mut self, at: &FieldPath, nodes: Three, main: usize, value: &Target) -> bool {
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

fn slot(version: usize, place: &Place) -> Slot {
    Slot { holder: Origin { source: version, node: place.holder }, index: place.index }
}

/// A step as it is in a text.
fn kept(version: usize, place: &Place) -> Part {
    let value = Target::Kept(Origin { source: version, node: place.node });
    Part { slot: Some(slot(version, place)), ..Part::new("", value) }
}

fn inside(at: &FieldPath, part: PathPart) -> FieldPath {
    let mut at = at.clone();
    at.path.push(part);
    at
}
