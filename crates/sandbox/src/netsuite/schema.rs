//! The account's record types: what the metadata catalog publishes and everything else is checked against.

mod declared;

use std::sync::LazyLock;

/// Types that count their internal ids together; SuiteQL shows each family as one table, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    Entity,
    Item,
    Transaction,
    /// Counts by itself.
    Own(&'static str),
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    /// Rounded to hundredths.
    Money,
    Boolean,
    /// A day, without a zone.
    Date,
    /// A moment; kept in UTC, shown by SuiteQL in the account's zone.
    Stamp,
    /// The internal id of a record of a type, or of a family (`entity`, `item`, `transaction`).
    Ref(&'static str),
    /// One of (id, name).
    Choice(Vec<(&'static str, String)>),
    /// The (code, name) a transaction stands in; records show the name, SuiteQL the code.
    Status(&'static [(&'static str, &'static str)]),
    /// An address of its own, an object of texts.
    Address,
}

#[derive(Debug)]
pub(super) struct Field {
    /// As the record API writes it.
    pub(super) name: &'static str,
    /// As SuiteQL writes it.
    pub(super) column: String,
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    /// Computed by the system; a value in a request is refused.
    pub(super) locked: bool,
    /// `q` may speak of it.
    pub(super) filterable: bool,
}

impl Field {
    pub(super) fn is_custom(&self) -> bool {
        self.name.starts_with("cust") && self.name.contains('_')
    }
}

#[derive(Debug)]
pub(super) struct Sublist {
    pub(super) name: &'static str,
    /// The field that tells one row from another; rows without it are appended.
    pub(super) key: &'static str,
    pub(super) fields: Vec<Field>,
}

impl Sublist {
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) family: Family,
    /// The value of SuiteQL's `type` column of its family.
    pub(super) code: &'static str,
    /// The field other records call it by.
    pub(super) display: &'static str,
    pub(super) fields: Vec<Field>,
    pub(super) sublists: Vec<Sublist>,
    /// What a new one must have.
    pub(super) needs: &'static [&'static str],
}

impl Type {
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    pub(super) fn sublist(&self, name: &str) -> Option<(usize, &Sublist)> {
        self.sublists.iter().enumerate().find(|(_, sublist)| sublist.name.eq_ignore_ascii_case(name))
    }

    /// The field that tells when it was changed last.
    pub(super) fn modified(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.column == "lastmodifieddate" || field.column == "lastmodified")
    }

    pub(super) fn is_transaction(&self) -> bool {
        self.family == Family::Transaction
    }

    pub(super) fn is_custom(&self) -> bool {
        self.name.starts_with("customrecord")
    }

    /// The file cabinet is reached over SOAP only.
    pub(super) fn is_cabinet(&self) -> bool {
        matches!(self.name, "file" | "folder")
    }
}

static TYPES: LazyLock<Vec<Type>> = LazyLock::new(declared::types);

/// Every type, in the catalog's order.
pub(super) fn types() -> &'static [Type] {
    &TYPES
}

/// A type by its name. Letters' case does not matter, as in the real one.
pub(super) fn find(name: &str) -> Option<&'static Type> {
    TYPES.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// A type by the name in addresses of the record API.
pub(super) fn find_rest(name: &str) -> Option<&'static Type> {
    find(name).filter(|kind| !kind.is_cabinet())
}

/// The family a reference points into.
pub(super) fn family(target: &str) -> Option<Family> {
    match target {
        "entity" => Some(Family::Entity),
        "item" => Some(Family::Item),
        "transaction" => Some(Family::Transaction),
        other => find(other).map(|kind| kind.family),
    }
}

/// Reads lines such as `balance/balancesearch money! Balance`: name, SuiteQL's column where it differs, kind,
/// `!` for locked, `~` for not filterable, title.
fn fields(text: &'static str, statuses: &'static [(&'static str, &'static str)]) -> Vec<Field> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).filter_map(|line| field(line, statuses)).collect()
}

fn field(line: &'static str, statuses: &'static [(&'static str, &'static str)]) -> Option<Field> {
    let mut words = line.splitn(3, ' ');
    let (names, kind, title) = (words.next()?, words.next()?, words.next()?);
    let (name, column) = names.split_once('/').unwrap_or((names, names));
    let plain = kind.trim_end_matches(['!', '~']);
    let (word, inside) = plain.split_once('(').map_or((plain, ""), |(word, rest)| (word, rest.trim_end_matches(')')));
    let kind_of = match word {
        "integer" => Kind::Integer,
        "float" => Kind::Float,
        "money" => Kind::Money,
        "boolean" => Kind::Boolean,
        "date" => Kind::Date,
        "stamp" => Kind::Stamp,
        "ref" => Kind::Ref(inside),
        "choice" => Kind::Choice(
            inside.split('|').filter_map(|pair| pair.split_once('=')).map(|(id, name)| (id, name.replace('_', " "))).collect(),
        ),
        "status" => Kind::Status(statuses),
        "address" => Kind::Address,
        _ => Kind::Text,
    };
    Some(Field {
        name,
        column: column.to_lowercase(),
        title,
        kind: kind_of,
        locked: kind.contains('!'),
        filterable: !kind.contains('~'),
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, family, find, types};

    #[test]
    fn every_reference_leads_somewhere_and_every_need_is_a_field() {
        for kind in types() {
            let rows = kind.sublists.iter().flat_map(|sublist| &sublist.fields);
            for field in kind.fields.iter().chain(rows) {
                if let Kind::Ref(target) = &field.kind {
                    assert!(family(target).is_some(), "{}.{} points to {target}", kind.name, field.name);
                }
            }
            assert!(kind.position(kind.display).is_some(), "{} has no {}", kind.name, kind.display);
            for need in kind.needs {
                assert!(kind.position(need).is_some() || kind.sublist(need).is_some(), "{} has no {need}", kind.name);
            }
        }
    }

    #[test]
    fn a_line_is_read_whole() {
        let customer = find("CUSTOMER").unwrap();
        let balance = &customer.fields[customer.position("balance").unwrap()];
        assert_eq!((balance.column.as_str(), balance.locked, &balance.kind), ("balancesearch", true, &Kind::Money));
        let employee = find("employee").unwrap();
        assert!(!employee.modified().unwrap().filterable);
    }
}
