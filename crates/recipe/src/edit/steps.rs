//! Steps: insert, move, duplicate, remove, wrap, replace.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use super::change::{Place, Wrapper};
use super::draft::Draft;
use super::error::{EditCode, EditError};
use super::fragment::Fragment;
use super::lists::steps_of;
use super::names::{check_id, free_id};
use super::refs::{Holder, of_step, spoken};
use super::target::{Body, Origin, Part, Slot, Target, scalar_of};
use super::tree::{Kind, Source};

impl<'t> Draft<'t, '_> {
    /// Adds a step.
    pub(crate) fn insert_step(&mut self, at: &Place, fragment: &'t Fragment) -> Result<(), EditError> {
        let part = self.new_step(fragment, &HashSet::new())?;
        let (list, index) = self.place(at)?;
        self.insert(&list, index, part)
    }

    /// The step of a fragment, whose ids must be free but for those that go.
    fn new_step(&mut self, fragment: &'t Fragment, going: &HashSet<usize>) -> Result<Part, EditError> {
        let source = fragment.source()?;
        let Some(node) = source.parts(source.root).first().map(|part| part.value) else {
            return Err(EditError::new(EditCode::NotAStep, "The text is not a step."));
        };
        let taken: HashSet<&str> =
            self.steps.iter().filter(|step| !going.contains(&step.node)).filter_map(|step| step.id.as_deref()).collect();
        let mut seen = HashSet::new();
        for step in steps_of(&source, node) {
            let Some(id) = step.id else { continue };
            if taken.contains(id.as_str()) || !seen.insert(id.clone()) {
                let message = format!("Another step has the id \"{id}\" already.");
                return Err(EditError::new(EditCode::IdTaken, message).help("Give the new step another id."));
            }
        }
        let holder = Origin { source: self.sources.len(), node: source.root };
        let part = if fragment.data {
            Part::new("", fresh(&source, node))
        } else {
            Part { slot: Some(Slot { holder, index: 0 }), ..Part::new("", Target::Kept(Origin { source: holder.source, node })) }
        };
        self.sources.push(source);
        Ok(part)
    }

    /// Moves a step.
    pub(crate) fn move_step(&mut self, id: &str, to: &Place) -> Result<(), EditError> {
        let node = self.step(id)?.node;
        let target = match to {
            Place::Before(other) | Place::After(other) if other == id => return Ok(()),
            Place::Before(other) | Place::After(other) => Some(other.as_str()),
            Place::First(list) | Place::Last(list) => list.step(),
        };
        if let Some(other) = target {
            let other = self.step(other)?.node;
            if steps_of(self.main(), node).iter().any(|inner| inner.node == other) {
                let message = format!("The step \"{id}\" cannot be moved into itself.");
                return Err(EditError::new(EditCode::InsideItself, message));
            }
        }
        let part = self.part_of(node)?.take();
        let (list, index) = self.place(to)?;
        self.insert(&list, index, part)
    }

    /// Adds a copy behind a step.
    pub(crate) fn duplicate_step(&mut self, id: &str) -> Result<(), EditError> {
        let node = self.step(id)?.node;
        let inner = steps_of(self.main(), node);
        let mut taken: HashSet<String> = self.steps.iter().filter_map(|step| step.id.clone()).collect();
        let mut names = HashMap::new();
        for id in inner.iter().filter_map(|step| step.id.as_ref()) {
            let new = free_id(id, &taken);
            taken.insert(new.clone());
            names.insert(id.clone(), new);
        }
        let mut copy = Part { moved: true, ..self.part_of(node)?.clone() };
        self.rename_copy(&mut copy, node, &names)?;
        let (list, index) = self.place(&Place::After(id.to_owned()))?;
        self.insert(&list, index, copy)
    }

    /// Gives a copy its own ids, and lets what it says about itself follow.
    fn rename_copy(&self, copy: &mut Part, node: usize, names: &HashMap<String, String>) -> Result<(), EditError> {
        let source = self.main();
        let depth = source.path(node).len();
        let mut set = |at: usize, hunks: Vec<(std::ops::Range<usize>, String)>| {
            let path = source.path(at);
            if let (Some(value), Some(mut scalar)) = (copy.value.at(&self.sources, &path[depth..]), scalar_of(source, at)) {
                scalar.text = with_hunks(&scalar.text, &hunks);
                scalar.hunks = hunks;
                *value = Target::Made { origin: Some(Origin { source: 0, node: at }), body: Body::Scalar(scalar) };
            }
        };
        let mut holders: Vec<Holder> = Vec::new();
        for step in steps_of(source, node) {
            of_step(source, step.node, &mut holders);
            if let (Some(id), Some(at)) = (&step.id, source.get(step.node, "id"))
                && let Some(new) = names.get(id)
            {
                set(at, vec![(0..id.len(), new.clone())]);
            }
        }
        for holder in holders {
            let Some(text) = source.text_of(holder.node) else { continue };
            let mut hunks = Vec::new();
            for (from, to) in words(text).into_iter().filter_map(|word| names.get_key_value(word)) {
                let ways = self.ways(from);
                let found = spoken(text, holder.kind, &ways, self.catalogue).map_err(|_| self.unread(holder.node, from))?;
                hunks.extend(found.into_iter().map(|range| (range, to.clone())));
            }
            if !hunks.is_empty() {
                hunks.sort_by_key(|(range, _)| range.start);
                set(holder.node, hunks);
            }
        }
        Ok(())
    }

    /// Removes a step.
    pub(crate) fn remove_step(&mut self, id: &str) -> Result<(), EditError> {
        let node = self.step(id)?.node;
        self.part_of(node)?.gone = true;
        Ok(())
    }

    /// Puts another text in the place of a step.
    pub(crate) fn replace_step(&mut self, id: &str, step: &str, fragment: &'t Fragment) -> Result<(), EditError> {
        let node = self.step(id)?.node;
        let going = steps_of(self.main(), node).iter().map(|step| step.node).collect();
        let part = self.new_step(fragment, &going)?;
        if let (true, Ok(json @ Json::Object(_))) = (fragment.data, serde_json::from_str::<Json>(step)) {
            self.sources.pop();
            if let Some(value) = self.value_of(node) {
                let mut value = std::mem::replace(value, Target::null());
                value.assign(&self.sources, &json);
                self.part_of_path(node, value);
            }
            return Ok(());
        }
        *self.part_of(node)? = part;
        Ok(())
    }

    fn part_of_path(&mut self, node: usize, value: Target) {
        if let Ok(part) = self.part_of(node) {
            part.value = value;
        }
    }

    /// Puts steps into a new one.
    pub(crate) fn wrap_steps(&mut self, ids: &[String], wrapper: &Wrapper) -> Result<(), EditError> {
        check_id(wrapper.id(), &self.steps)?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.step(id)?.clone());
        }
        found.sort_by_key(|step| step.index);
        let together = found.windows(2).all(|pair| pair[0].list == pair[1].list && pair[0].index + 1 == pair[1].index);
        let Some(first) = found.first().filter(|_| together) else {
            let message = "Only steps that follow one another in one list can be put into another step together.";
            return Err(EditError::new(EditCode::NotConsecutive, message));
        };
        let mut path = self.path_of(first.node).unwrap_or_default();
        let index = path.pop().unwrap_or_default();
        let mut parts = Vec::with_capacity(found.len());
        for step in &found {
            let mut part = self.part_of(step.node)?.take();
            if let (Some(slot), false) = (part.slot, parts.is_empty()) {
                part.joined = true;
                self.joined.insert(slot);
            }
            parts.push(part);
        }
        self.insert(&path, index, Part::new("", wrapped(wrapper, Target::list(parts))))
    }
}

fn wrapped(wrapper: &Wrapper, steps: Target) -> Target {
    let text = |key: &str, text: &str| Part::new(key, Target::text(text));
    let mut parts = vec![text("id", wrapper.id())];
    match wrapper {
        Wrapper::Each { items, binding, .. } => {
            parts.push(text("each", items));
            parts.extend(binding.iter().map(|name| text("as", name)));
            parts.push(Part::new("steps", steps));
        }
        Wrapper::Choose { when, .. } => {
            let branch = Target::record(vec![decision("when", when), Part::new("steps", steps)]);
            parts.push(Part::new("choose", Target::list(vec![Part::new("", branch)])));
        }
        Wrapper::Try { .. } => parts.push(Part::new("try", steps)),
        Wrapper::Parallel { branch, .. } => {
            parts.push(Part::new("parallel", Target::record(vec![Part::new(branch, steps)])));
        }
        Wrapper::Repeat { until, max, .. } => {
            let mut repeat = vec![decision("until", until)];
            repeat.extend(max.map(|max| Part::new("max", Target::scalar(max.to_string(), true))));
            parts.push(Part::new("repeat", Target::record(repeat)));
            parts.push(Part::new("steps", steps));
        }
    }
    Target::record(parts)
}

/// A condition; `true` alone is a boolean and no text.
fn decision(key: &str, formula: &str) -> Part {
    Part::new(key, Target::scalar(formula, matches!(formula, "true" | "false")))
}

/// The value of a source without its layout.
fn fresh(source: &Source<'_>, node: usize) -> Target {
    let part = |part: &super::tree::Part<'_>| Part::new(part.key.as_ref(), fresh(source, part.value));
    match &source.node(node).kind {
        Kind::List { parts, .. } => Target::list(parts.iter().map(part).collect()),
        Kind::Record { parts, .. } => Target::record(parts.iter().map(part).collect()),
        Kind::Scalar { .. } | Kind::Alias => match scalar_of(source, node) {
            Some(scalar) => Target::Made { origin: None, body: Body::Scalar(scalar) },
            None => Target::null(),
        },
    }
}

/// The names that stand in a text, each once.
fn words(text: &str) -> HashSet<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).collect()
}

/// The text with the hunks in it, which are in order and apart.
pub(crate) fn with_hunks(text: &str, hunks: &[(std::ops::Range<usize>, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (range, new) in hunks {
        out.push_str(&text[at..range.start]);
        out.push_str(new);
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}
