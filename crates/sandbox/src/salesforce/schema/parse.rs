//! Reads the objects out of their table, `objects.txt`.
//!
//! `@Account 001 "Account" "Accounts" owner` begins an object. A line below it is a field:
//! `Name string:255 required name "Account Name" = values | of a | picklist`.

use std::collections::HashMap;

use super::{super::value::Value, Field, Kind, Object, Write};

/// Fields every stored object has.
const SYSTEM: &str = r#"
Id id never "Record ID"
IsDeleted boolean never "Deleted"
CreatedDate datetime never "Created Date"
CreatedById reference:User/CreatedBy never "Created By ID"
LastModifiedDate datetime never "Last Modified Date"
LastModifiedById reference:User/LastModifiedBy never "Last Modified By ID"
SystemModstamp datetime never "System Modstamp"
"#;
/// What an event carries besides its own fields.
const EVENT: &str = r#"
ReplayId string:1000 never "Replay ID"
CreatedDate datetime never "Created Date"
CreatedById reference:User/CreatedBy never "Created By ID"
EventUuid string:36 never "Event UUID"
"#;

const KINDS: [Kind; 20] = [
    Kind::Id,
    Kind::Reference,
    Kind::String,
    Kind::Textarea,
    Kind::Email,
    Kind::Phone,
    Kind::Url,
    Kind::Picklist,
    Kind::Multipicklist,
    Kind::Combobox,
    Kind::Boolean,
    Kind::Int,
    Kind::Double,
    Kind::Currency,
    Kind::Percent,
    Kind::Date,
    Kind::Datetime,
    Kind::Time,
    Kind::Base64,
    Kind::Address,
];

/// The objects of a table. Lines that make no sense are left out; the table is ours and a test looks at it.
pub(super) fn objects(table: &str) -> Vec<Object> {
    let mut objects: Vec<Object> = Vec::new();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(head) = line.strip_prefix('@') {
            objects.extend(heading(head));
        } else if let (Some(object), Some(field)) = (objects.last_mut(), field(line)) {
            object.add(field);
        }
    }
    objects
}

fn heading(head: &str) -> Option<Object> {
    let mut quoted = head.split('"');
    let mut words = quoted.next()?.split_whitespace();
    let (name, prefix) = (words.next()?, words.next()?);
    let label = quoted.next()?;
    quoted.next();
    let plural = quoted.next()?;
    let flags: Vec<&str> = quoted.next().unwrap_or_default().split_whitespace().collect();
    let mut object = object(name, prefix, label, plural);
    object.writable = !flags.contains(&"readonly");
    object.deletable = object.writable && !flags.contains(&"kept");
    object.bulk = !flags.contains(&"nobulk");
    if flags.contains(&"owner") {
        object.add(field("OwnerId reference:User/Owner defaulted \"Owner ID\"")?);
    }
    Some(object)
}

/// An object with the fields every object has.
pub(in super::super) fn object(name: &str, prefix: &str, label: &str, plural: &str) -> Object {
    let mut object = Object {
        name: name.to_owned(),
        label: label.to_owned(),
        plural: plural.to_owned(),
        prefix: prefix.to_owned(),
        writable: true,
        deletable: true,
        bulk: true,
        fields: Vec::new(),
        by_name: HashMap::new(),
    };
    let system = if object.event() { EVENT } else { SYSTEM };
    for field in system.lines().filter_map(field) {
        object.add(field);
    }
    object
}

/// A field out of its line.
pub(in super::super) fn field(line: &str) -> Option<Field> {
    let (line, values) = line.split_once(" = ").unwrap_or((line, ""));
    let mut quoted = line.split('"');
    let mut words = quoted.next()?.split_whitespace();
    let name = words.next()?;
    let word = words.next()?;
    let (kind, detail) = word.split_once(':').unwrap_or((word, ""));
    let kind = KINDS.into_iter().find(|known| known.name() == kind)?;
    let mut field = blank(name, quoted.next().unwrap_or(name), kind);
    if kind == Kind::Reference {
        refer(&mut field, detail);
    } else {
        measure(&mut field, detail);
    }
    field.values = values.split('|').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect();
    for flag in words {
        apply(&mut field, flag);
    }
    Some(field)
}

fn blank(name: &str, label: &str, kind: Kind) -> Field {
    let (length, precision, scale) = match kind {
        Kind::Id | Kind::Reference => (18, 0, 0),
        Kind::String | Kind::Picklist | Kind::Combobox | Kind::Url => (255, 0, 0),
        Kind::Email => (80, 0, 0),
        Kind::Phone => (40, 0, 0),
        Kind::Textarea => (32_000, 0, 0),
        Kind::Multipicklist => (4_099, 0, 0),
        Kind::Int => (0, 8, 0),
        Kind::Double | Kind::Currency => (0, 18, 2),
        Kind::Percent => (0, 5, 2),
        _ => (0, 0, 0),
    };
    Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        length,
        precision,
        scale,
        required: matches!(kind, Kind::Boolean | Kind::Id),
        write: if kind == Kind::Address { Write::Never } else { Write::Always },
        default: if kind == Kind::Boolean { Value::Bool(false) } else { Value::Null },
        unique: false,
        external_id: false,
        case_sensitive: false,
        id_lookup: kind == Kind::Id,
        name_field: false,
        auto_number: false,
        calculated: false,
        restricted: false,
        filterable: !matches!(kind, Kind::Base64 | Kind::Address) && (kind != Kind::Textarea || name.contains("Street")),
        values: Vec::new(),
        refers: Vec::new(),
        relation: None,
        children: None,
        cascades: false,
        part_of: None,
        gone: false,
    }
}

/// `Account/Account/Contacts`: parents with commas between, the name of the parent, the name of its list.
fn refer(field: &mut Field, detail: &str) {
    let mut parts = detail.split('/');
    field.refers = parts.next().unwrap_or_default().split(',').map(str::to_owned).collect();
    field.relation = parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
    field.children = parts.next().map(str::to_owned);
}

fn measure(field: &mut Field, detail: &str) {
    let mut numbers = detail.split(',').filter_map(|number| number.parse().ok());
    if let Some(first) = numbers.next() {
        if field.kind.is_number() {
            field.precision = first;
        } else {
            field.length = first;
        }
    }
    if let Some(scale) = numbers.next() {
        field.scale = scale;
    }
}

fn apply(field: &mut Field, flag: &str) {
    match flag {
        "required" => field.required = true,
        "name" => field.name_field = true,
        "unique" => (field.unique, field.id_lookup) = (true, true),
        "external" => (field.external_id, field.id_lookup) = (true, true),
        "sensitive" => field.case_sensitive = true,
        "lookup" => field.id_lookup = true,
        "never" => field.write = Write::Never,
        "oncreate" => field.write = Write::OnlyOnCreate,
        "auto" => (field.auto_number, field.write) = (true, Write::Never),
        "calculated" => (field.calculated, field.write) = (true, Write::Never),
        "restricted" => field.restricted = true,
        "cascades" => field.cascades = true,
        "true" => field.default = Value::Bool(true),
        _ => {}
    }
    if let Some(default) = flag.strip_prefix("default:") {
        field.default = Value::Text(default.replace('_', " ").into());
    } else if let Some(whole) = flag.strip_prefix("in:") {
        field.part_of = Some(whole.to_owned());
    }
    // Empty for the API, filled by the system.
    if flag == "defaulted" {
        field.required = true;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Schema, field};

    #[test]
    fn every_line_of_the_table_is_a_field_of_known_parents() {
        let table = include_str!("objects.txt");
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['@', '#'])) {
            assert!(field(line).is_some(), "{line}");
        }
        let schema = Schema::standard();
        assert_eq!(schema.objects.len(), table.lines().filter(|line| line.starts_with('@')).count());
        for object in &schema.objects {
            for field in &object.fields {
                assert!(field.refers.iter().all(|parent| schema.find(parent).is_some()), "{}.{}", object.name, field.name);
            }
        }
    }
}
