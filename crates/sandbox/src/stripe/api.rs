//! The API's description: which operations there are, what they take, what the objects look like.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Read,
    sync::LazyLock,
};

use serde::Deserialize;
use serde_json::Value as Json;

/// The description, read once.
pub(super) static API: LazyLock<Api> = LazyLock::new(|| {
    let mut text = String::new();
    let packed: &[u8] = include_bytes!("api/description.json.gz");
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("the description is packed by api/reduce.py");
    Api::new(serde_json::from_str(&text).expect("the description is written by api/reduce.py"))
});

/// What a value looks like.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Json")]
pub(super) enum Shape {
    Text,
    Integer,
    Flag,
    Number,
    Any,
    Enum(usize),
    List(Box<Shape>),
    Map(Box<Shape>),
    /// A list object with `data`.
    Page(Box<Shape>),
    Record(usize),
    /// An object with a name of its own.
    Kind(String),
    OneOf(Vec<Shape>),
    /// An id that `expand` turns into one of these kinds.
    Expandable(Vec<String>),
    /// May be emptied (parameters) or null (answers).
    Open(Box<Shape>),
}

impl TryFrom<Json> for Shape {
    type Error = String;

    fn try_from(value: Json) -> Result<Self, String> {
        let wrong = || format!("no shape: {value}");
        if let Some(name) = value.as_str() {
            return Ok(match name {
                "s" => Self::Text,
                "i" => Self::Integer,
                "b" => Self::Flag,
                "n" => Self::Number,
                "*" => Self::Any,
                _ => return Err(wrong()),
            });
        }
        let (kind, inner) = value.as_object().and_then(|map| map.iter().next()).ok_or_else(wrong)?;
        let place = || inner.as_u64().and_then(|place| usize::try_from(place).ok());
        let boxed = || Self::try_from(inner.clone()).map(Box::new);
        let names = || serde_json::from_value(inner.clone()).map_err(|error| error.to_string());
        Ok(match (kind.as_str(), inner) {
            ("e", _) => Self::Enum(place().ok_or_else(wrong)?),
            ("a", _) => Self::List(boxed()?),
            ("m", _) => Self::Map(boxed()?),
            ("l", _) => Self::Page(boxed()?),
            ("c", _) => Self::Open(boxed()?),
            ("r", Json::String(name)) => Self::Kind(name.clone()),
            ("r", _) => Self::Record(place().ok_or_else(wrong)?),
            ("x", _) => Self::Expandable(names()?),
            ("u", _) => Self::OneOf(serde_json::from_value(inner.clone()).map_err(|error| error.to_string())?),
            _ => return Err(wrong()),
        })
    }
}

/// The properties of an object or of parameters.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    #[serde(rename = "p")]
    pub(super) properties: BTreeMap<String, Shape>,
    #[serde(rename = "q", default)]
    pub(super) required: Vec<String>,
}

/// A kind of object.
#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    pub(super) object: String,
    pub(super) shape: usize,
    pub(super) blank: serde_json::Map<String, Json>,
}

#[derive(Deserialize)]
struct Written {
    version: String,
    versions: Vec<String>,
    events: HashSet<String>,
    enums: Vec<Vec<Json>>,
    shapes: Vec<Record>,
    kinds: HashMap<String, Kind>,
    operations: Vec<(String, String, String, Shape, String)>,
}

/// What an operation gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    One(&'static str),
    List(&'static str),
    Found(&'static str),
    Other,
}

/// One call of the API.
pub(super) struct Operation {
    pub(super) verb: &'static str,
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) params: &'static Shape,
    pub(super) gives: Gives,
    segments: Vec<&'static str>,
}

/// The description.
pub(super) struct Api {
    pub(super) version: &'static str,
    pub(super) versions: &'static [String],
    pub(super) events: &'static HashSet<String>,
    written: &'static Written,
    operations: HashMap<(&'static str, usize), Vec<Operation>>,
}

impl Api {
    fn new(written: Written) -> Self {
        // Lives as long as the program: there is one, behind a `LazyLock`.
        let written: &'static Written = Box::leak(Box::new(written));
        let mut operations: HashMap<(&'static str, usize), Vec<Operation>> = HashMap::new();
        for (verb, path, name, params, returns) in &written.operations {
            let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
            let gives = gives(written, returns);
            let operation = Operation { verb, path, name, params, gives, segments };
            operations.entry((verb, operation.segments.len())).or_default().push(operation);
        }
        for list in operations.values_mut() {
            // Words before placeholders: `/v1/customers/search` is not a customer.
            list.sort_by_key(|operation| operation.segments.iter().filter(|segment| segment.starts_with('{')).count());
        }
        Self { version: &written.version, versions: &written.versions, events: &written.events, written, operations }
    }

    /// The operation of a path, and what stands for its placeholders.
    pub(super) fn find(&self, verb: &str, path: &str) -> Option<(&Operation, Vec<String>)> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let list = self.operations.get(&(verb_of(verb)?, segments.len()))?;
        list.iter().find_map(|operation| {
            let fits = |(wanted, given): (&&str, &&str)| wanted.starts_with('{') || wanted == given;
            operation.segments.iter().zip(&segments).all(fits).then(|| {
                let placed = operation.segments.iter().zip(&segments).filter(|(wanted, _)| wanted.starts_with('{'));
                (operation, placed.map(|(_, given)| decoded(given)).collect())
            })
        })
    }

    pub(super) fn kind(&self, name: &str) -> Option<&'static Kind> {
        self.written.kinds.get(name)
    }

    pub(super) fn record(&self, place: usize) -> &'static Record {
        &self.written.shapes[place]
    }

    pub(super) fn values(&self, place: usize) -> &'static [Json] {
        &self.written.enums[place]
    }

    /// The properties of a kind.
    pub(super) fn properties(&self, kind: &str) -> Option<&'static BTreeMap<String, Shape>> {
        self.kind(kind).map(|kind| &self.record(kind.shape).properties)
    }
}

fn verb_of(verb: &str) -> Option<&'static str> {
    ["GET", "POST", "DELETE"].into_iter().find(|known| *known == verb)
}

fn decoded(segment: &str) -> String {
    super::form::decoded(segment.as_bytes(), false)
}

fn gives(written: &'static Written, returns: &'static str) -> Gives {
    let inside = |prefix: &str| returns.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(']'));
    let known = |name: &str| written.kinds.get_key_value(name).map(|(name, _)| name.as_str());
    // Of a union the first kind stands for all.
    let first = |name: &'static str| {
        name.strip_prefix("Union[").map_or(known(name), |rest| rest.split([',', ']']).next().and_then(known))
    };
    if let Some(name) = inside("ListObject[") {
        first(name).map_or(Gives::Other, Gives::List)
    } else if let Some(name) = inside("SearchResultObject[") {
        first(name).map_or(Gives::Other, Gives::Found)
    } else {
        first(returns).map_or(Gives::Other, Gives::One)
    }
}

#[cfg(test)]
mod tests {
    use super::{API, Gives};

    #[test]
    fn paths_lead_to_operations_words_before_placeholders() {
        let (search, placed) = API.find("GET", "/v1/customers/search").unwrap();
        assert_eq!((search.name, search.gives, placed.len()), ("Customer.search", Gives::Found("Customer"), 0));
        let (one, placed) = API.find("GET", "/v1/customers/cus%5F1").unwrap();
        assert_eq!((one.name, placed), ("Customer.retrieve", vec!["cus_1".to_owned()]));
        assert!(API.find("PATCH", "/v1/customers/cus_1").is_none() && API.find("GET", "/v1/nothing").is_none());
    }
}
