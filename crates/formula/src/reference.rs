//! Places in the data that an expression names.

use std::ops::Range;

use serde_json::Value as Json;

/// One place an expression reads: `steps.account.records[0].Id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The first name; empty for a path over everything, such as `$..id`.
    pub root: String,
    /// What follows the root.
    pub path: Vec<Segment>,
    /// Where it stands in the source, in bytes.
    pub range: Range<usize>,
}

/// One step into a record or a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A field.
    Key(String),
    /// An item; negative counts from the end.
    Index(i64),
    /// Something known only when it runs: a wildcard, a filter, a computed index.
    Any,
}

/// Follows the segments; what is missing is `None`, also half way.
pub(crate) fn walk<'a>(mut value: &'a Json, path: &[Segment]) -> Option<&'a Json> {
    for segment in path {
        value = match segment {
            Segment::Key(key) => field(value, key)?,
            Segment::Index(index) => item(value, *index)?,
            Segment::Any => return None,
        };
    }
    Some(value)
}

/// Records of no more fields are looked through, which costs less than the hash of a name.
const LOOKED_THROUGH: usize = 8;

/// A field of a record.
pub(crate) fn field<'a>(value: &'a Json, key: &str) -> Option<&'a Json> {
    let fields = value.as_object()?;
    if fields.len() > LOOKED_THROUGH {
        return fields.get(key);
    }
    fields.iter().find_map(|(name, value)| (name == key).then_some(value))
}

/// An item of a list; negative counts from the end.
pub(crate) fn item(value: &Json, index: i64) -> Option<&Json> {
    let items = value.as_array()?;
    items.get(place(items.len(), index)?)
}

/// Where an index points in a list of this length.
pub(crate) fn place(len: usize, index: i64) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => (index < len).then_some(index),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// A dotted path in text, such as `customer.address.city` or `lines[0].sku`: how functions like
/// `pluck` and `where` name a field.
pub(crate) fn parse_dotted(text: &str) -> Option<Vec<Segment>> {
    let mut path = Vec::new();
    for part in text.split('.') {
        let (name, mut rest) = match part.find('[') {
            Some(at) => part.split_at(at),
            None => (part, ""),
        };
        if !name.is_empty() {
            path.push(Segment::Key(name.to_owned()));
        } else if rest.is_empty() {
            return None;
        }
        while let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            path.push(Segment::Index(index.trim().parse().ok()?));
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(path)
}
