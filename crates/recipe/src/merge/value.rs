//! The merged tree: what both sides made of each field and item.

use super::conflict::{ConflictKind, Side};
use super::merger::{Merger, Three, inside};
use super::place::{BASE, OURS, THEIRS};
use super::steps::Role;
use crate::edit::target::{Body, Origin, Part, Shape, Slot, Target};
use crate::edit::tree::Kind;
use crate::edit::{FieldPath, PathPart};

impl Merger<'_, '_> {
    /// A value that both sides have.
    pub(super) fn value(&mut self, at: &FieldPath, nodes: Three) -> Target {
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

    /// A list of data; `None` if both changed the same stretch of it.
    pub(super) fn list(&mut self, at: &FieldPath, nodes: Three) -> Option<Target> {
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
    pub(super) fn closed(&self, origin: Origin, body: Body) -> Target {
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
    pub(super) fn record(&mut self, at: &FieldPath, nodes: Three, role: &Role) -> Target {
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
    pub(super) fn incoming(&mut self, at: &FieldPath, nodes: Three, role: &Role, theirs: usize, parts: &mut Vec<Part>) {
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
    pub(super) fn field(&mut self, at: &FieldPath, nodes: Three, role: &Role, key: &str, slot: Slot) -> Option<Part> {
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
    pub(super) fn with_their_comments(&self, field: Part, nodes: Three, inner: Three) -> Part {
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
    pub(super) fn data(&mut self, at: &FieldPath, inner: Three, nodes: Three) -> Option<Target> {
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
}
