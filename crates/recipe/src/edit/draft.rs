//! A text in change: its sources, what it shall mean, and the way from one to the other.

use std::collections::HashSet;

use super::change::{FieldPath, PathPart, Place, StepList};
use super::error::{EditCode, EditError};
use super::lists::{StepAt, head_rank, place_of, rank, steps};
use super::patch::{Patch, apply, inverse, tidy};
use super::target::{Body, Origin, Part, Shape, Slot, Target};
use super::tree::{Kind, Source};
use super::write::Writer;
use super::{Edited, unreadable};
use crate::catalogue::Catalogue;
use crate::yaml::TEXT_BYTES_MAX;

/// A text in change.
pub(crate) struct Draft<'t, 'c> {
    pub(crate) sources: Vec<Source<'t>>,
    pub(crate) target: Target,
    pub(crate) steps: Vec<StepAt>,
    pub(crate) joined: HashSet<Slot>,
    pub(crate) catalogue: &'c Catalogue,
}

impl<'t, 'c> Draft<'t, 'c> {
    /// Starts from a text.
    pub(crate) fn new(text: &'t str, catalogue: &'c Catalogue) -> Result<Self, EditError> {
        let source = read(text)?;
        let target = Target::Kept(Origin { source: 0, node: source.root });
        let steps = steps(&source);
        Ok(Self { sources: vec![source], target, steps, joined: HashSet::new(), catalogue })
    }

    /// The text as it began.
    pub(crate) fn main(&self) -> &Source<'t> {
        &self.sources[0]
    }

    /// Writes what was changed, and proves that the new text says it.
    pub(crate) fn finish(self) -> Result<Edited, EditError> {
        write_out(&self.sources, self.target, &self.joined)
    }

    /// The one step of an id.
    pub(crate) fn step(&self, id: &str) -> Result<&StepAt, EditError> {
        let mut found = self.steps.iter().filter(|step| step.id.as_deref() == Some(id));
        match (found.next(), found.next()) {
            (Some(step), None) => Ok(step),
            (Some(_), Some(_)) => {
                let message = format!("Two steps have the id \"{id}\", so it is not clear which is meant.");
                Err(EditError::new(EditCode::RepeatedId, message).help("Give one of them another id in the text."))
            }
            (None, _) => Err(EditError::new(EditCode::UnknownStep, format!("No step has the id \"{id}\"."))
                .help("Load the recipe again; it may have changed.")),
        }
    }

    /// The text of a step with its comments, at the first column.
    pub(crate) fn step_text(&self, id: &str) -> Result<String, EditError> {
        let step = self.step(id)?;
        let slot = Slot { holder: Origin { source: 0, node: step.list }, index: step.index };
        let part = Part { slot: Some(slot), ..Part::new("", Target::Kept(Origin { source: 0, node: step.node })) };
        Ok(Writer::new(&self.sources, &self.joined, false).alone(&part))
    }

    /// The part of a list or record, as it is by now; `None` if it was moved.
    pub(crate) fn path_of(&mut self, node: usize) -> Option<Vec<usize>> {
        let mut ways = Vec::new();
        let mut at = node;
        while let Some((holder, index)) = self.main().node(at).parent {
            ways.push(Slot { holder: Origin { source: 0, node: holder }, index });
            at = holder;
        }
        let mut path = Vec::with_capacity(ways.len());
        let mut value = &mut self.target;
        for slot in ways.into_iter().rev() {
            let parts = value.parts_mut(&self.sources)?;
            // Nearly always where it was.
            let same = parts.get(slot.index).is_some_and(|part| part.slot == Some(slot) && !part.moved);
            let index = if same { slot.index } else { parts.iter().position(|part| part.slot == Some(slot) && !part.moved)? };
            path.push(index);
            value = &mut parts[index].value;
        }
        Some(path)
    }

    /// The value of a node, ready to be changed.
    pub(crate) fn value_of(&mut self, node: usize) -> Option<&mut Target> {
        let path = self.path_of(node)?;
        self.target.at(&self.sources, &path)
    }

    /// The item or entry whose value the node is.
    pub(crate) fn part_of(&mut self, node: usize) -> Result<&mut Part, EditError> {
        let path = self.path_of(node);
        path.and_then(|path| self.target.part_at(&self.sources, &path))
            .ok_or_else(|| EditError::new(EditCode::UnknownField, "This part of the recipe was moved by the same change."))
    }

    /// Where a field path leads, all but its last part; what is missing on the way is made.
    pub(crate) fn base(&mut self, at: &FieldPath) -> Result<Vec<usize>, EditError> {
        match &at.step {
            None => Ok(Vec::new()),
            Some(id) => {
                let node = self.step(id)?.node;
                self.path_of(node).ok_or_else(|| unknown(at))
            }
        }
    }

    /// The place of one more part of a path; `None` if it is missing there.
    pub(crate) fn child(&mut self, path: &[usize], part: &PathPart, whole: &FieldPath) -> Result<Option<usize>, EditError> {
        let Some(value) = self.target.at(&self.sources, path) else { return Err(unknown(whole)) };
        let shape = value.shape(&self.sources);
        let parts = value.parts_mut(&self.sources).map(|parts| &*parts);
        match (part, shape, parts) {
            (PathPart::Index(index), Shape::List, Some(parts)) => Ok((*index < parts.len()).then_some(*index)),
            (PathPart::Key(key), Shape::Record, Some(parts)) => Ok(parts.iter().position(|part| !part.gone && part.key == *key)),
            (_, Shape::Scalar, _) => Ok(None),
            (PathPart::Index(_), ..) => {
                Err(EditError::new(EditCode::UnknownField, format!("{whole} does not lead through a list.")))
            }
            (PathPart::Key(_), ..) => {
                Err(EditError::new(EditCode::UnknownField, format!("{whole} does not lead through a record.")))
            }
        }
    }

    /// Makes the part of a path that is missing, with a value; where it is then.
    pub(crate) fn make(&mut self, path: &[usize], part: &PathPart, value: Target, whole: &FieldPath) -> Result<usize, EditError> {
        let head = path.is_empty();
        let of_step = self.is_step(path);
        let Some(holder) = self.target.at(&self.sources, path) else { return Err(unknown(whole)) };
        if holder.shape(&self.sources) == Shape::Scalar {
            let empty = holder.origin().is_none_or(|o| {
                let source = &self.sources[o.source];
                source.meaning(o.node) == Some(super::tree::Meaning::Plain(crate::scalar::Plain::Null))
            });
            if !empty {
                return Err(EditError::new(EditCode::UnknownField, format!("{whole} does not lead through a record or list.")));
            }
            let body = if matches!(part, PathPart::Key(_)) { Body::Record(Vec::new()) } else { Body::List(Vec::new()) };
            *holder = Target::Made { origin: holder.origin(), body };
        }
        let Some(parts) = holder.parts_mut(&self.sources) else { return Err(unknown(whole)) };
        let (index, key) = match part {
            PathPart::Index(index) if *index == parts.len() => (*index, ""),
            PathPart::Index(_) => return Err(unknown(whole)),
            PathPart::Key(key) => {
                let order: Option<fn(&str) -> usize> =
                    if head { Some(head_rank) } else { of_step.then_some(rank as fn(&str) -> usize) };
                let behind = |order: fn(&str) -> usize| {
                    parts.iter().rposition(|part| order(&part.key) <= order(key)).map_or(0, |at| at + 1)
                };
                (order.map_or(parts.len(), behind), key.as_str())
            }
        };
        parts.insert(index, Part::new(key, value));
        Ok(index)
    }

    fn is_step(&mut self, path: &[usize]) -> bool {
        let origin = self.target.at(&self.sources, path).and_then(|value| value.origin());
        origin.is_some_and(|origin| origin.source == 0 && self.steps.iter().any(|step| step.node == origin.node))
    }

    /// The list of a place for a step, and the place in it.
    pub(crate) fn place(&mut self, place: &Place) -> Result<(Vec<usize>, usize), EditError> {
        match place {
            Place::Before(id) | Place::After(id) => {
                let step = self.step(id)?;
                let node = step.node;
                let mut path = self.path_of(node).ok_or_else(|| unknown_list(id))?;
                let index = path.pop().unwrap_or_default();
                Ok((path, if matches!(place, Place::After(_)) { index + 1 } else { index }))
            }
            Place::First(list) => Ok((self.list(list)?, 0)),
            Place::Last(list) => {
                let path = self.list(list)?;
                let parts = self.target.at(&self.sources, &path).and_then(|list| list.parts_mut(&self.sources));
                let len = parts.map_or(0, |parts| parts.len());
                Ok((path, len))
            }
        }
    }

    /// A list of steps, made if it is missing.
    fn list(&mut self, list: &StepList) -> Result<Vec<usize>, EditError> {
        let step = list.step().map(|id| self.step(id).map(|step| step.node)).transpose()?;
        let keys = place_of(self.main(), step, list);
        let at = FieldPath { step: list.step().map(str::to_owned), path: keys.clone() };
        let mut path = self.base(&at)?;
        for (depth, key) in keys.iter().enumerate() {
            let index = match self.child(&path, key, &at)? {
                Some(index) => index,
                None => {
                    let inner = match keys.get(depth + 1) {
                        Some(PathPart::Key(_)) => Target::record(Vec::new()),
                        _ => Target::list(Vec::new()),
                    };
                    self.make(&path, key, inner, &at)?
                }
            };
            path.push(index);
        }
        match self.target.at(&self.sources, &path) {
            Some(found) if found.shape(&self.sources) == Shape::List => {}
            // Nothing, or `~`.
            Some(found) if self_is_null(&self.sources, found) => {
                *found = Target::Made { origin: found.origin(), body: Body::List(Vec::new()) };
            }
            _ => return Err(EditError::new(EditCode::UnknownField, format!("{at} is not a list of steps."))),
        }
        Ok(path)
    }

    /// Puts a part into a list.
    pub(crate) fn insert(&mut self, path: &[usize], index: usize, part: Part) -> Result<(), EditError> {
        let parts = self.target.at(&self.sources, path).and_then(|list| list.parts_mut(&self.sources));
        match parts {
            Some(parts) if index <= parts.len() => {
                parts.insert(index, part);
                Ok(())
            }
            _ => Err(EditError::new(EditCode::UnknownField, "There is no such place in the list.")),
        }
    }
}

/// Reads a text that is a record.
pub(crate) fn read(text: &str) -> Result<Source<'_>, EditError> {
    match Source::read(text) {
        Ok(source) if matches!(source.node(source.root).kind, Kind::Record { .. }) => Ok(source),
        _ => Err(unreadable(text)),
    }
}

/// Writes a target into the first of its sources, and proves that the new text says it.
pub(crate) fn write_out(sources: &[Source<'_>], mut target: Target, joined: &HashSet<Slot>) -> Result<Edited, EditError> {
    target.sweep();
    // As one would write it; else without block text and blank lines, which may take in what follows.
    match written(sources, &target, joined, false) {
        Err(error) if error.code == EditCode::Layout => written(sources, &target, joined, true),
        done => done,
    }
}

fn written(sources: &[Source<'_>], target: &Target, joined: &HashSet<Slot>, careful: bool) -> Result<Edited, EditError> {
    let writer = Writer::new(sources, joined, careful);
    let old = sources.first().map_or("", |source| source.text);
    let layout = || {
        let message = "This cannot be changed without changing something else, the way the text is laid out here.";
        EditError::new(EditCode::Layout, message).help("Make the change in the text itself.")
    };
    let patches = tidy(old, writer.patches(target)).ok_or_else(layout)?;
    let text = apply(old, &patches).ok_or_else(layout)?;
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("The recipe would have {} bytes; it may have {TEXT_BYTES_MAX}.", text.len());
        return Err(EditError::new(EditCode::TooLarge, message).help("Move a part of it into a recipe of its own."));
    }
    let means_it = match sources.first().filter(|_| patches.is_empty()) {
        Some(old) => target.same(sources, old, old.root),
        None => Source::read(&text).is_ok_and(|new| target.same(sources, &new, new.root)),
    };
    if !means_it {
        return Err(layout());
    }
    let undo: Vec<Patch> = inverse(old, &patches);
    Ok(Edited { text, patches, undo })
}

fn self_is_null(sources: &[Source<'_>], value: &Target) -> bool {
    value
        .origin()
        .is_some_and(|o| sources[o.source].meaning(o.node) == Some(super::tree::Meaning::Plain(crate::scalar::Plain::Null)))
}

pub(crate) fn unknown(at: &FieldPath) -> EditError {
    EditError::new(EditCode::UnknownField, format!("There is no {at}.")).help("Load the recipe again; it may have changed.")
}

fn unknown_list(id: &str) -> EditError {
    EditError::new(EditCode::UnknownField, format!("The step \"{id}\" is in no list of steps any more."))
}
