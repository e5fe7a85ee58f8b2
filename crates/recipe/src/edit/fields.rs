//! Fields: set, rename, remove; items of lists.

use super::change::{FieldPath, NewValue, PathPart};
use super::draft::{Draft, unknown};
use super::error::{EditCode, EditError};
use super::fragment::Fragment;
use super::target::{Origin, Part, Target};

impl<'t> Draft<'t, '_> {
    /// Gives a field a value.
    pub(crate) fn set_field(
        &mut self,
        at: &FieldPath,
        value: &NewValue,
        fragment: Option<&'t Fragment>,
    ) -> Result<(), EditError> {
        if at.step.is_some() && at.path == [PathPart::from("id")] {
            let message = "The id of a step is changed only together with what refers to it.";
            return Err(EditError::new(EditCode::NeedsRename, message).help("Rename the step instead."));
        }
        let mut path = self.base(at)?;
        let Some((last, before)) = at.path.split_last() else { return Err(unknown(at)) };
        for (depth, part) in before.iter().enumerate() {
            let index = match self.child(&path, part, at)? {
                Some(index) => index,
                None => {
                    let inner = match at.path[depth + 1] {
                        PathPart::Key(_) => Target::record(Vec::new()),
                        PathPart::Index(_) => Target::list(Vec::new()),
                    };
                    self.make(&path, part, inner, at)?
                }
            };
            path.push(index);
        }
        match (self.child(&path, last, at)?, value) {
            (Some(index), NewValue::Json(json)) => {
                path.push(index);
                self.target.at(&self.sources, &path).ok_or_else(|| unknown(at))?.assign(&self.sources, json);
            }
            (Some(index), NewValue::Yaml(_)) => {
                let value = self.new_value(value, fragment)?;
                path.push(index);
                *self.target.at(&self.sources, &path).ok_or_else(|| unknown(at))? = value;
            }
            (None, _) => {
                let value = self.new_value(value, fragment)?;
                self.make(&path, last, value, at)?;
            }
        }
        Ok(())
    }

    fn new_value(&mut self, value: &NewValue, fragment: Option<&'t Fragment>) -> Result<Target, EditError> {
        match (value, fragment) {
            (NewValue::Json(json), _) => Ok(Target::json(json)),
            (NewValue::Yaml(_), Some(fragment)) => {
                let source = fragment.source()?;
                let node = source.root;
                self.sources.push(source);
                Ok(Target::Kept(Origin { source: self.sources.len() - 1, node }))
            }
            (NewValue::Yaml(_), None) => Err(EditError::new(EditCode::NotAStep, "The value was not read.")),
        }
    }

    /// The place of a field that is there.
    fn existing(&mut self, at: &FieldPath) -> Result<Vec<usize>, EditError> {
        let mut path = self.base(at)?;
        for part in &at.path {
            let index = self.child(&path, part, at)?.ok_or_else(|| unknown(at))?;
            path.push(index);
        }
        if at.path.is_empty() { Err(unknown(at)) } else { Ok(path) }
    }

    /// Removes a field or item.
    pub(crate) fn remove_field(&mut self, at: &FieldPath) -> Result<(), EditError> {
        let path = self.existing(at)?;
        self.target.part_at(&self.sources, &path).ok_or_else(|| unknown(at))?.gone = true;
        let top = self.target.parts_mut(&self.sources);
        if top.is_some_and(|parts| parts.iter().all(|part| part.gone)) {
            let message = format!("{at} is the only thing the text says.");
            return Err(EditError::new(EditCode::Layout, message).help("Add another field first, or delete the file."));
        }
        Ok(())
    }

    /// Changes the key of a field.
    pub(crate) fn rename_field(&mut self, at: &FieldPath, name: &str) -> Result<(), EditError> {
        let path = self.existing(at)?;
        let Some((index, holder)) = path.split_last() else { return Err(unknown(at)) };
        if matches!(at.path.last(), Some(PathPart::Index(_))) {
            return Err(EditError::new(EditCode::UnknownField, format!("{at} is an item of a list and has no name.")));
        }
        let parts = self.target.at(&self.sources, holder).and_then(|holder| holder.parts_mut(&self.sources));
        let parts = parts.ok_or_else(|| unknown(at))?;
        if parts[*index].key == name {
            return Ok(());
        }
        if parts.iter().any(|part| part.key == name) {
            let message = format!("There is a field \"{name}\" already.");
            return Err(EditError::new(EditCode::KeyTaken, message).help("Choose another name, or remove that field first."));
        }
        parts[*index].key = name.to_owned();
        Ok(())
    }

    /// Adds an item to a list.
    pub(crate) fn insert_item(
        &mut self,
        at: &FieldPath,
        value: &NewValue,
        fragment: Option<&'t Fragment>,
    ) -> Result<(), EditError> {
        let Some((PathPart::Index(index), holder)) = at.path.split_last() else {
            return Err(EditError::new(EditCode::UnknownField, format!("{at} is not a place in a list.")));
        };
        let mut path = self.base(at)?;
        for part in holder {
            let index = self.child(&path, part, at)?.ok_or_else(|| unknown(at))?;
            path.push(index);
        }
        let value = self.new_value(value, fragment)?;
        match self.child(&path, &PathPart::Index(*index), at)? {
            Some(index) => self.insert(&path, index, Part::new("", value)),
            None => self.make(&path, &PathPart::Index(*index), value, at).map(|_| ()),
        }
    }
}
