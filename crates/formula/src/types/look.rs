//! Looking into a type: items, fields, what a path leads to.

use super::shape::{LIST, NULL, RECORD, Type};
use crate::Segment;

impl Type {
    /// What an item is: never what is missing.
    #[must_use]
    pub fn items(&self) -> Self {
        match &self.items {
            _ if self.kinds & LIST == 0 => Self::never(),
            Some(item) => Self::clone(item),
            None => Self::any(),
        }
    }

    /// What a look-up of a field gives: null where it is no record.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        let found = match &self.fields {
            _ if self.kinds & RECORD == 0 => return Self::of(NULL),
            Some(fields) => fields.get(name).clone(),
            None => return Self::any(),
        };
        if self.kinds == RECORD { found } else { found.or_null() }
    }

    /// What any look-up gives, whatever the name or the place.
    #[must_use]
    pub fn part(&self) -> Self {
        let fields = match &self.fields {
            _ if self.kinds & RECORD == 0 => Self::never(),
            Some(fields) => fields.known.iter().fold(fields.rest.clone(), |all, (_, field)| all.or(field)),
            None => Self::any(),
        };
        self.items().or(&fields).or_null()
    }

    /// What is found at the end of a path: null where it leads nowhere.
    #[must_use]
    pub fn at(&self, path: &[Segment]) -> Self {
        path.iter().fold(self.clone(), |found, segment| match segment {
            Segment::Key(name) => found.field(name),
            Segment::Index(_) => found.items().or_null(),
            Segment::Any => found.part(),
        })
    }

    /// The names of the fields it is known to have or may have.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().flat_map(|fields| fields.known.iter().map(|(name, _)| &**name))
    }

    /// Whether a record of this type has no other fields than those of [`Type::field_names`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kinds & RECORD == 0 || self.fields.as_ref().is_some_and(|fields| fields.rest.kinds == NULL)
    }
}
