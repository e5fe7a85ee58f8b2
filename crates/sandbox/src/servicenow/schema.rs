//! What tables there are, their fields and who inherits from whom.

use std::collections::BTreeMap;

/// Tables an instance can have, also those people add.
pub(super) const TABLES_MAX: usize = 500;
/// Fields one table can have of its own.
pub(super) const FIELDS_MAX: usize = 500;
/// How far a chain of parents or a dot-walk is followed.
pub(super) const DEPTH_MAX: usize = 8;

/// What a field holds. The dictionary's own name of it is [`Field::internal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Boolean,
    Integer,
    Decimal,
    Date,
    DateTime,
    Duration,
    Reference,
    List,
    Journal,
    Password,
    Class,
}

impl Kind {
    fn of(internal: &str) -> Self {
        match internal {
            "boolean" => Self::Boolean,
            "integer" | "longint" => Self::Integer,
            "decimal" | "float" | "percent_complete" => Self::Decimal,
            "glide_date" => Self::Date,
            "glide_date_time" | "due_date" => Self::DateTime,
            "glide_duration" => Self::Duration,
            "reference" => Self::Reference,
            "glide_list" => Self::List,
            "journal_input" | "journal" | "journal_list" => Self::Journal,
            "password" | "password2" => Self::Password,
            "sys_class_name" => Self::Class,
            _ => Self::Text,
        }
    }

    /// True when values are compared as numbers.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    /// `internal_type` of the dictionary.
    pub(super) internal: String,
    /// Longest value in characters.
    pub(super) length: usize,
    /// The table a reference or list points to; empty otherwise.
    pub(super) target: String,
    pub(super) default: String,
    pub(super) display: bool,
    pub(super) mandatory: bool,
    pub(super) read_only: bool,
}

impl Field {
    /// A field as the table text writes it: name, type, label, flags.
    pub(super) fn new(name: &str, kind: &str, label: &str, flags: &str) -> Self {
        let (internal, rest) = kind.split_once(':').unwrap_or((kind, ""));
        let class = Kind::of(internal);
        let points = matches!(class, Kind::Reference | Kind::List);
        let default = flags.find("default=").map(|at| flags[at + 8..].trim()).unwrap_or_default();
        let words = flags.split("default=").next().unwrap_or_default();
        let has = |word: &str| words.split_whitespace().any(|other| other == word);
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            kind: class,
            internal: internal.to_owned(),
            length: if points { 32 } else { rest.parse().unwrap_or(40) },
            target: if points { rest.to_owned() } else { String::new() },
            default: if class == Kind::Boolean && default.is_empty() { "false".to_owned() } else { default.to_owned() },
            display: has("display"),
            mandatory: has("mandatory"),
            read_only: has("readonly"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) label: String,
    /// Empty for a table that extends none.
    pub(super) parent: String,
    /// What its numbers begin with; empty when it has none.
    pub(super) prefix: String,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    tables: BTreeMap<String, Definition>,
    /// Each table with all that extend it, itself first.
    family: BTreeMap<String, Vec<String>>,
}

/// Fields of every table.
const COMMON: &[(&str, &str, &str)] = &[
    ("sys_id", "GUID:32", "Sys ID"),
    ("sys_created_on", "glide_date_time", "Created"),
    ("sys_created_by", "string:40", "Created by"),
    ("sys_updated_on", "glide_date_time", "Updated"),
    ("sys_updated_by", "string:40", "Updated by"),
    ("sys_mod_count", "integer", "Updates"),
    ("sys_tags", "related_tags:255", "Tags"),
];

impl Schema {
    /// The tables every instance begins with.
    pub(super) fn first() -> Self {
        let mut schema = Self::default();
        let mut table: Option<Definition> = None;
        for line in include_str!("tables.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let heading = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
            let parts: Vec<&str> = heading.unwrap_or(line).splitn(4, '|').map(str::trim).collect();
            let [name, second, third, fourth] = parts[..] else { continue };
            if heading.is_some() {
                schema.tables.extend(table.take().map(|table| (table.name.clone(), table)));
                table = Some(Self::empty(name, second, third, fourth));
            } else if let Some(table) = &mut table {
                table.fields.push(Field::new(name, second, third, fourth));
            }
        }
        schema.tables.extend(table.map(|table| (table.name.clone(), table)));
        schema.relate();
        schema
    }

    /// A table with the fields every table has.
    pub(super) fn empty(name: &str, label: &str, parent: &str, prefix: &str) -> Definition {
        let mut fields = Vec::new();
        if parent.is_empty() {
            fields
                .extend(COMMON.iter().map(|(name, kind, label)| Field { read_only: true, ..Field::new(name, kind, label, "") }));
            if matches!(name, "task" | "cmdb_ci" | "sys_metadata" | "sys_import_set_row" | "sys_user") {
                fields.push(Field::new("sys_class_name", "sys_class_name:80", "Class", "readonly"));
            }
        }
        let [name, label, parent, prefix] = [name, label, parent, prefix].map(str::to_owned);
        Definition { name, label, parent, prefix, fields }
    }

    /// Adds or replaces a table.
    pub(super) fn put(&mut self, table: Definition) {
        self.tables.insert(table.name.clone(), table);
        self.relate();
    }

    fn relate(&mut self) {
        let names: Vec<&String> = self.tables.keys().collect();
        let family = names
            .iter()
            .map(|base| {
                let children = names.iter().filter(|name| name != &base && self.is_a(name, base)).map(|name| (*name).clone());
                ((*base).clone(), std::iter::once((*base).clone()).chain(children).collect())
            })
            .collect();
        self.family = family;
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &Definition> {
        self.tables.values()
    }

    pub(super) fn table(&self, name: &str) -> Option<&Definition> {
        self.tables.get(name)
    }

    /// The table, the one it extends, and so on.
    pub(super) fn chain<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Definition> + use<'a> {
        std::iter::successors(self.table(name), |table| self.table(&table.parent)).take(DEPTH_MAX)
    }

    pub(super) fn is_a(&self, name: &str, base: &str) -> bool {
        self.chain(name).any(|table| table.name == base)
    }

    /// The table and all that extend it.
    pub(super) fn family(&self, name: &str) -> &[String] {
        self.family.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn field(&self, table: &str, name: &str) -> Option<&Field> {
        self.chain(table).find_map(|table| table.fields.iter().find(|field| field.name == name))
    }

    /// Every field of a table, inherited ones first.
    pub(super) fn fields(&self, table: &str) -> Vec<&Field> {
        let mut chain: Vec<&Definition> = self.chain(table).collect();
        chain.reverse();
        let mut all: Vec<&Field> = Vec::with_capacity(96);
        for (depth, table) in chain.iter().enumerate() {
            for field in &table.fields {
                let inherited = if depth == 0 { None } else { all.iter().position(|other| other.name == field.name) };
                match inherited {
                    Some(place) => all[place] = field,
                    None => all.push(field),
                }
            }
        }
        all
    }

    /// The field that stands for the record.
    pub(super) fn display(&self, table: &str) -> &str {
        let own = self.chain(table).find_map(|table| table.fields.iter().find(|field| field.display));
        own.map_or("sys_id", |field| field.name.as_str())
    }

    /// The field at the end of a dot-walk: `caller_id.company.name`.
    pub(super) fn walk(&self, table: &str, path: &str) -> Option<&Field> {
        let mut steps = path.split('.').take(DEPTH_MAX).peekable();
        let mut table = table.to_owned();
        while let Some(step) = steps.next() {
            let field = self.field(&table, step)?;
            if steps.peek().is_none() {
                return Some(field);
            }
            if field.kind != Kind::Reference {
                return None;
            }
            table = field.target.clone();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Schema};

    #[test]
    fn tables_inherit_fields_and_dot_walks_reach_other_tables() {
        let schema = Schema::first();
        assert!(schema.is_a("incident", "task") && !schema.is_a("task", "incident"));
        assert_eq!(schema.family("cmdb_ci"), ["cmdb_ci", "cmdb_ci_computer", "cmdb_ci_server"]);
        assert_eq!(schema.display("incident"), "number");
        assert_eq!(schema.walk("incident", "caller_id.company.name").map(|field| field.kind), Some(Kind::Text));
        assert_eq!(schema.walk("incident", "number.name"), None);
        assert_eq!(schema.field("task", "active").map(|field| field.default.as_str()), Some("true"));
        for table in schema.tables() {
            assert!(table.parent.is_empty() || schema.table(&table.parent).is_some(), "{} extends nothing", table.name);
            for field in schema.fields(&table.name) {
                assert!(field.target.is_empty() || schema.table(&field.target).is_some(), "{}.{}", table.name, field.name);
            }
        }
    }
}
