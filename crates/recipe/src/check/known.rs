//! What is known of values before any run, and the fields that cannot be in them.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

use super::inputs::resolve;
use crate::catalogue::Segment;
use crate::types::{Kinds, Type};

/// How deep a type is told to the judge of expressions.
const TYPE_DEPTH_MAX: usize = 6;
/// How many fields of a record are told to the judge of expressions.
const TYPE_FIELDS_MAX: usize = 64;
/// Schemas may refer to themselves; deeper than this nothing is followed.
const SCHEMA_DEPTH_MAX: usize = 32;

/// What is known of a value.
#[derive(Clone)]
pub(super) enum Known<'k> {
    /// Nothing.
    Any,
    /// Its kinds.
    Kinds(Kinds),
    /// It fits this schema.
    Schema { root: &'k Json, node: &'k Json },
    /// Another one looked like this.
    Sample(&'k Json),
    /// The value itself.
    Json(&'k Json),
    /// What an expression was found to give.
    Type(Rc<Type>),
    /// A record with these fields and no others.
    Record(Rc<[(Cow<'k, str>, Known<'k>)]>),
    /// A list of such items.
    List(Rc<Known<'k>>),
    /// A list of exactly these.
    Items(Rc<[Known<'k>]>),
}

/// Why a path leads nowhere.
pub(super) struct NoField {
    /// The names there are.
    pub(super) names: Vec<String>,
    /// Only the sample lacks it.
    pub(super) sample: bool,
}

impl<'k> Known<'k> {
    pub(super) fn record<const N: usize>(fields: [(&'k str, Known<'k>); N]) -> Self {
        Self::Record(fields.into_iter().map(|(name, known)| (Cow::Borrowed(name), known)).collect())
    }

    pub(super) const fn schema(root: &'k Json) -> Self {
        Self::Schema { root, node: root }
    }

    /// The kinds it may be of.
    pub(super) fn kinds(&self) -> Kinds {
        match self {
            Self::Any | Self::Sample(_) => Kinds::ANY,
            Self::Kinds(kinds) => *kinds,
            // What is not required may be missing, and a schema of a vendor may be strict on paper only.
            Self::Schema { root, node } => Kinds::of_schema(root, node).or(Kinds::NULL),
            Self::Json(json) => Kinds::of(json),
            Self::Type(known) => known.kinds,
            Self::Record(_) => Kinds::RECORD,
            Self::List(_) | Self::Items(_) => Kinds::LIST,
        }
    }

    /// One step into it; the names there are if the one wanted cannot be among them.
    pub(super) fn follow(&self, segment: &Segment) -> Result<Self, NoField> {
        let absent = |names: Vec<String>| NoField { names, sample: false };
        Ok(match (self, segment) {
            (Self::Any, _) => Self::Any,
            (Self::Schema { root, node }, _) => follow_schema(root, node, segment, 0)?,
            (Self::Sample(json), _) => match follow_json(json, segment) {
                Ok(Some(json)) => Self::Sample(json),
                Ok(None) => Self::Any,
                Err(names) => return Err(NoField { names, sample: true }),
            },
            (Self::Json(json), _) => follow_json(json, segment).map_err(absent)?.map_or(Self::Any, Self::Json),
            (Self::Type(known), _) => follow_type(known, segment).map_err(absent)?,
            (Self::Record(fields), Segment::Key(key)) => match fields.iter().find(|(name, _)| name == key) {
                Some((_, known)) => known.clone(),
                None => return Err(absent(fields.iter().map(|(name, _)| name.to_string()).collect())),
            },
            (Self::List(item), Segment::Index(_) | Segment::Any) => Self::clone(item),
            (Self::Items(items), Segment::Index(index)) => {
                usize::try_from(*index).ok().and_then(|index| items.get(index)).cloned().unwrap_or(Self::Any)
            }
            (Self::Kinds(kinds), Segment::Key(_)) if !kinds.meets(Kinds::RECORD) => return Err(absent(Vec::new())),
            _ => Self::Any,
        })
    }

    /// The item of a list, if it is one.
    pub(super) fn item(&self) -> Self {
        match self {
            Self::Items(items) => match &items[..] {
                [one] => one.clone(),
                _ => Self::Any,
            },
            Self::Json(Json::Array(items)) => match items.as_slice() {
                [] => Self::Any,
                [first, rest @ ..] if rest.iter().all(|item| Kinds::of(item) == Kinds::of(first)) => match first {
                    Json::Object(_) | Json::Array(_) => Self::Any,
                    _ => Self::Kinds(Kinds::of(first)),
                },
                _ => Self::Any,
            },
            Self::Sample(Json::Array(items)) => items.first().map_or(Self::Any, Self::Sample),
            _ => self.follow(&Segment::Index(0)).unwrap_or(Self::Any),
        }
    }

    /// For the judge of expressions.
    pub(super) fn to_type(&self) -> Type {
        self.type_at(0)
    }

    fn type_at(&self, depth: usize) -> Type {
        if depth >= TYPE_DEPTH_MAX {
            return Type::of(self.kinds());
        }
        match self {
            Self::Type(known) => Type::clone(known),
            Self::Record(fields) if fields.len() <= TYPE_FIELDS_MAX => {
                let fields = fields.iter().map(|(name, known)| (name.to_string(), known.type_at(depth + 1))).collect();
                Type { fields: Some(fields), closed: true, ..Type::of(Kinds::RECORD) }
            }
            Self::List(item) => Type { items: Some(Arc::new(item.type_at(depth + 1))), ..Type::of(Kinds::LIST) },
            Self::Schema { root, node } => schema_type(root, node, self.kinds(), depth),
            _ => Type::of(self.kinds()),
        }
    }
}

fn schema_type(root: &Json, node: &Json, kinds: Kinds, depth: usize) -> Type {
    let mut made = Type::of(kinds);
    let node = node.get("$ref").and_then(Json::as_str).map_or(Some(node), |at| resolve(root, at));
    let Some(node) = node else { return made };
    let inner = |node| Known::Schema { root, node }.type_at(depth + 1);
    if let Some(items) = node.get("items") {
        made.items = Some(Arc::new(inner(items)));
    }
    if let Some(properties) = node.get("properties").and_then(Json::as_object).filter(|p| p.len() <= TYPE_FIELDS_MAX) {
        made.fields = Some(properties.iter().map(|(name, node)| (name.clone(), inner(node))).collect());
    }
    made
}

fn follow_json<'k>(json: &'k Json, segment: &Segment) -> Result<Option<&'k Json>, Vec<String>> {
    match (json, segment) {
        (Json::Object(fields), Segment::Key(key)) => fields.get(key).map(Some).ok_or_else(|| fields.keys().cloned().collect()),
        (Json::Array(items), Segment::Index(index)) => {
            Ok(usize::try_from(*index).ok().and_then(|index| items.get(index)).or(items.first()))
        }
        (Json::Array(items), Segment::Any) => Ok(items.first()),
        _ => Ok(None),
    }
}

fn follow_type<'k>(known: &Type, segment: &Segment) -> Result<Known<'k>, Vec<String>> {
    let inner = |known: &Type| Known::Type(Rc::new(known.clone()));
    Ok(match (segment, &known.fields, &known.items) {
        (Segment::Key(key), Some(fields), _) => match fields.iter().find(|(name, _)| name == key) {
            Some((_, known)) => inner(known),
            None if known.closed && known.kinds == Kinds::RECORD => {
                return Err(fields.iter().map(|(name, _)| name.clone()).collect());
            }
            None => Known::Any,
        },
        (Segment::Index(_) | Segment::Any, _, Some(item)) => inner(item),
        _ => Known::Any,
    })
}

fn follow_schema<'k>(root: &'k Json, node: &'k Json, segment: &Segment, depth: usize) -> Result<Known<'k>, NoField> {
    let Some(schema) = node.as_object() else { return Ok(Known::Any) };
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        return match resolve(root, reference) {
            Some(referred) if depth < SCHEMA_DEPTH_MAX => follow_schema(root, referred, segment, depth + 1),
            _ => Ok(Known::Any),
        };
    }
    let open = ["anyOf", "oneOf", "allOf", "patternProperties"].iter().any(|word| schema.contains_key(*word));
    match segment {
        Segment::Key(key) => {
            let properties = schema.get("properties").and_then(Json::as_object);
            if let Some(node) = properties.and_then(|p| p.get(key)) {
                return Ok(Known::Schema { root, node });
            }
            match schema.get("additionalProperties") {
                Some(Json::Bool(false)) if !open => {
                    let names = properties.map(|p| p.keys().cloned().collect()).unwrap_or_default();
                    Err(NoField { names, sample: false })
                }
                Some(node) if !open => Ok(Known::Schema { root, node }),
                _ if !open && scalar(root, node) => Err(NoField { names: Vec::new(), sample: false }),
                _ => Ok(Known::Any),
            }
        }
        Segment::Index(_) | Segment::Any => Ok(schema.get("items").map_or(Known::Any, |node| Known::Schema { root, node })),
    }
}

/// Neither a list nor a record, so that nothing is in it.
fn scalar(root: &Json, node: &Json) -> bool {
    !Kinds::of_schema(root, node).meets(Kinds::RECORD.or(Kinds::LIST))
}
