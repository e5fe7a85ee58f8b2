//! The org's objects and fields.

mod describe;
mod parse;

use std::collections::HashMap;

use super::value::Value;

/// Objects an org may have.
pub(super) const OBJECTS_MAX: usize = 500;
/// Fields an object may have.
pub(super) const FIELDS_MAX: usize = 800;

/// Places of the fields every stored object begins with.
pub(super) mod place {
    pub(in super::super) const ID: usize = 0;
    pub(in super::super) const DELETED: usize = 1;
    pub(in super::super) const CREATED: usize = 2;
    pub(in super::super) const CREATED_BY: usize = 3;
    pub(in super::super) const MODIFIED: usize = 4;
    pub(in super::super) const MODIFIED_BY: usize = 5;
    pub(in super::super) const STAMP: usize = 6;
}

/// What a field holds, in Salesforce's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Id,
    Reference,
    String,
    Textarea,
    Email,
    Phone,
    Url,
    Picklist,
    Multipicklist,
    Combobox,
    Boolean,
    Int,
    Double,
    Currency,
    Percent,
    Date,
    Datetime,
    Time,
    Base64,
    Address,
}

impl Kind {
    /// Its name in a describe.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Reference => "reference",
            Self::String => "string",
            Self::Textarea => "textarea",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Url => "url",
            Self::Picklist => "picklist",
            Self::Multipicklist => "multipicklist",
            Self::Combobox => "combobox",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Double => "double",
            Self::Currency => "currency",
            Self::Percent => "percent",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Time => "time",
            Self::Base64 => "base64",
            Self::Address => "address",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double | Self::Currency | Self::Percent)
    }
}

/// Who may write a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Always,
    OnlyOnCreate,
    Never,
}

/// A field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub name: String,
    pub label: String,
    pub kind: Kind,
    pub length: usize,
    pub precision: usize,
    pub scale: usize,
    pub required: bool,
    pub write: Write,
    pub default: Value,
    pub unique: bool,
    pub external_id: bool,
    pub case_sensitive: bool,
    pub id_lookup: bool,
    pub name_field: bool,
    pub auto_number: bool,
    pub calculated: bool,
    pub restricted: bool,
    pub filterable: bool,
    pub values: Vec<String>,
    pub refers: Vec<String>,
    /// The name a parent is reached by: `Account` for `AccountId`.
    pub relation: Option<String>,
    /// The name of the parent's list of these: `Contacts`.
    pub children: Option<String>,
    pub cascades: bool,
    /// The compound field it is a part of.
    pub part_of: Option<String>,
    /// Taken out of the schema while the org ran.
    pub gone: bool,
}

impl Field {
    pub(super) fn custom(&self) -> bool {
        self.name.ends_with("__c")
    }

    /// True when records are found by its values without a look at each.
    pub(super) fn indexed(&self) -> bool {
        self.unique
            || self.external_id
            || self.kind == Kind::Reference && self.children.is_some()
            || self.id_lookup && self.kind != Kind::Id
    }
}

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub name: String,
    pub label: String,
    pub plural: String,
    pub prefix: String,
    pub writable: bool,
    pub deletable: bool,
    /// False for what Bulk API 2.0 does not know.
    pub bulk: bool,
    pub fields: Vec<Field>,
    by_name: HashMap<String, usize>,
}

impl Object {
    /// A platform event: published, never stored.
    pub(super) fn event(&self) -> bool {
        self.name.ends_with("__e")
    }

    pub(super) fn custom(&self) -> bool {
        self.name.ends_with("__c") || self.event()
    }

    /// A field's place by its name in any case.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        let place = match self.by_name.get(name) {
            Some(place) => *place,
            None => *self.by_name.get(&name.to_lowercase())?,
        };
        (!self.fields[place].gone).then_some(place)
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.place(name).map(|place| &self.fields[place])
    }

    /// The place of the reference field a relation name stands for.
    pub(super) fn relation(&self, name: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| !field.gone && field.relation.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name)))
    }

    /// The field that names a record.
    pub(super) fn name_place(&self) -> Option<usize> {
        self.fields.iter().position(|field| field.name_field)
    }

    pub(super) fn live_fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| !field.gone)
    }

    /// Adds a field; false when one of that name is there or there are too many.
    pub(super) fn add(&mut self, field: Field) -> bool {
        if self.fields.len() >= FIELDS_MAX || self.place(&field.name).is_some() {
            return false;
        }
        self.by_name.insert(field.name.clone(), self.fields.len());
        self.by_name.insert(field.name.to_lowercase(), self.fields.len());
        self.fields.push(field);
        true
    }
}

/// A parent's list of children.
#[derive(Debug, Clone)]
pub(super) struct Children {
    pub object: usize,
    pub field: usize,
    pub name: String,
    pub cascades: bool,
}

/// The org's objects.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    pub objects: Vec<Object>,
    by_name: HashMap<String, usize>,
    by_prefix: HashMap<String, usize>,
}

impl Schema {
    /// The objects of a new org.
    pub(super) fn standard() -> Self {
        let mut schema = Self::default();
        for object in parse::objects(include_str!("schema/objects.txt")) {
            schema.add(object);
        }
        schema
    }

    pub(super) fn add(&mut self, object: Object) -> bool {
        if self.objects.len() >= OBJECTS_MAX || self.find(&object.name).is_some() || self.by_prefix.contains_key(&object.prefix) {
            return false;
        }
        let place = self.objects.len();
        self.by_name.insert(object.name.clone(), place);
        self.by_name.insert(object.name.to_lowercase(), place);
        self.by_prefix.insert(object.prefix.clone(), place);
        self.objects.push(object);
        true
    }

    /// An object's place by its name in any case.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).or_else(|| self.by_name.get(&name.to_lowercase())).copied()
    }

    pub(super) fn by_prefix(&self, prefix: &str) -> Option<usize> {
        self.by_prefix.get(prefix).copied()
    }

    pub(super) fn prefixes(&self) -> usize {
        self.by_prefix.len()
    }

    /// The lists of children an object has.
    pub(super) fn children_of(&self, parent: usize) -> Vec<Children> {
        let name = &self.objects[parent].name;
        let mut found = Vec::new();
        for (object, child) in self.objects.iter().enumerate() {
            for (field, reference) in child.live_fields() {
                if let Some(list) = &reference.children
                    && reference.refers.iter().any(|known| known == name)
                {
                    found.push(Children { object, field, name: list.clone(), cascades: reference.cascades });
                }
            }
        }
        found
    }
}

pub(super) use self::{
    describe::{describe, summary},
    parse::{field as parse_field, object as new_object},
};
