//! Which steps are in the result, and in which list.

use std::collections::{HashMap, HashSet};

use super::conflict::{ConflictKind, Side};
use super::merger::Merger;
use super::place::{BASE, ListName, OURS, THEIRS};
use crate::edit::FieldPath;

/// What became of a step that one side removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Gone,
    Stays,
}

impl Merger<'_, '_> {
    /// Decides for every step whether it is in the result and where.
    pub(super) fn settle(&mut self) {
        let mut fates: HashMap<String, Fate> = HashMap::new();
        for (side, other, kind) in [(OURS, THEIRS, ConflictKind::RemovedByThem), (THEIRS, OURS, ConflictKind::RemovedByUs)] {
            for id in self.plan.ids[side].clone() {
                if !self.plan.steps[other].contains_key(&id) && self.plan.steps[BASE].contains_key(&id) {
                    let fate = self.fate(&id, side, kind, &fates);
                    fates.insert(id, fate);
                }
            }
        }
        for id in self.plan.ids[OURS].clone() {
            let node = |version: usize| self.plan.steps[version].get(&id).map(|place| place.node);
            let added = node(BASE).is_none() && node(THEIRS).is_some();
            if added && !self.same((OURS, node(OURS)), (THEIRS, node(THEIRS))) {
                // Two new steps of one id are two things, not two versions of one.
                let at = FieldPath { step: Some(id.clone()), path: Vec::new() };
                let side = self.decide(&at, ConflictKind::BothAdded, self.step_texts(&id));
                self.only.insert(id, if side == Side::Ours { OURS } else { THEIRS });
            }
        }
        for side in [OURS, THEIRS] {
            for id in self.plan.ids[side].clone() {
                if fates.get(&id) != Some(&Fate::Gone) && !self.stands.contains_key(&id) {
                    let list = self.where_to(&id);
                    self.stands.insert(id, list);
                }
            }
        }
        self.untangle();
    }

    fn fate(&mut self, id: &str, side: usize, kind: ConflictKind, fates: &HashMap<String, Fate>) -> Fate {
        // What is inside a step that was removed shares its fate.
        let parent = self.plan.steps[side].get(id).and_then(|place| place.list.step.as_ref());
        if let Some(fate) = parent.and_then(|parent| fates.get(parent)) {
            return *fate;
        }
        let node = |version: usize| self.plan.steps[version].get(id).map(|place| place.node);
        if self.same((side, node(side)), (BASE, node(BASE))) {
            return Fate::Gone;
        }
        let at = FieldPath { step: Some(id.to_owned()), path: Vec::new() };
        let chosen = self.decide(&at, kind, self.step_texts(id));
        if (chosen == Side::Ours) == (side == OURS) { Fate::Stays } else { Fate::Gone }
    }

    fn where_to(&mut self, id: &str) -> ListName {
        let list = |version: usize| self.plan.steps[version].get(id).map(|place| place.list.clone());
        match [list(OURS), list(THEIRS), list(BASE)] {
            [Some(ours), Some(theirs), Some(base)] if ours != theirs && ours != base && theirs != base => {
                let at = FieldPath { step: Some(id.to_owned()), path: Vec::new() };
                match self.decide(&at, ConflictKind::BothMoved, self.step_texts(id)) {
                    Side::Ours => ours,
                    Side::Theirs => theirs,
                }
            }
            [Some(ours), Some(theirs), Some(base)] => {
                if ours == base {
                    theirs
                } else {
                    ours
                }
            }
            [Some(_), Some(theirs), None] if self.only.get(id) == Some(&THEIRS) => theirs,
            [Some(ours), ..] => ours,
            [None, Some(theirs), _] => theirs,
            // Only steps of a side are asked for.
            [None, None, base] => base.unwrap_or(ListName { step: None, key: super::place::ListKey::Own("steps".to_owned()) }),
        }
    }

    /// Finds another place for steps whose list is gone or lies inside themselves.
    fn untangle(&mut self) {
        // Each turn takes at least one of the lists a step may stand in away from it, so that it ends.
        let mut tried: HashSet<(String, ListName)> = HashSet::new();
        let mut restored: HashSet<String> = HashSet::new();
        loop {
            let lost = |id: &&String| self.stands.contains_key(*id) && !self.is_reached(id);
            let lost: Vec<String> = self.plan.ids[OURS].iter().chain(&self.plan.ids[THEIRS]).filter(lost).cloned().collect();
            let homeless = |id: &&String| self.stands.get(*id).is_some_and(|list| !self.has_list(list));
            let mut now: Vec<String> = lost.iter().filter(homeless).cloned().collect();
            if now.is_empty() {
                // Steps inside one another: one of them must leave the circle.
                now.extend(lost.into_iter().next());
            }
            if now.is_empty() {
                return;
            }
            for id in now {
                self.elsewhere(id, &mut tried, &mut restored);
            }
        }
    }

    fn elsewhere(&mut self, id: String, tried: &mut HashSet<(String, ListName)>, restored: &mut HashSet<String>) {
        let Some(list) = self.stands.remove(&id) else { return };
        tried.insert((id.clone(), list));
        let other = [OURS, THEIRS].into_iter().find_map(|version| {
            let list = self.plan.steps[version].get(&id)?.list.clone();
            (!tried.contains(&(id.clone(), list.clone()))).then_some(list)
        });
        match other {
            Some(list) => drop(self.stands.insert(id, list)),
            // What both sides have is never lost: the steps around it come back.
            None if self.uses(&id) == [true; 2] && restored.insert(id.clone()) => self.restore(&id),
            None => {}
        }
    }

    /// True if a list is in the result, as far as the step it belongs to tells.
    fn has_list(&self, list: &ListName) -> bool {
        let owner = list.step.as_deref();
        let uses = owner.map_or([true; 2], |owner| self.uses(owner));
        owner.is_none_or(|owner| self.stands.contains_key(owner))
            && [OURS, THEIRS].iter().any(|side| uses[*side] && self.plan.lists[*side].contains_key(list))
    }

    /// Puts a step and the steps around it where ours has them.
    fn restore(&mut self, id: &str) {
        let mut at = Some(id.to_owned());
        while let Some(id) = at {
            let Some(place) = self.plan.steps[OURS].get(&id) else { return };
            at = place.list.step.clone();
            self.only.remove(&id);
            let list = place.list.clone();
            self.stands.insert(id, list);
        }
    }

    /// Which sides a step of the result is made from.
    pub(super) fn uses(&self, id: &str) -> [bool; 2] {
        [OURS, THEIRS].map(|side| self.plan.steps[side].contains_key(id) && self.only.get(id).is_none_or(|only| *only == side))
    }

    /// True if the steps around a step lead out to the recipe.
    fn is_reached(&self, id: &str) -> bool {
        let mut at = Some(id);
        for _ in 0..=self.stands.len() {
            let Some(step) = at else { return true };
            let Some(list) = self.stands.get(step) else { return false };
            if !self.has_list(list) {
                return false;
            }
            at = list.step.as_deref();
        }
        false
    }
}
