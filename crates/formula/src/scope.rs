//! What an expression can see.
//!
//! A scope is a handful of names with shared values. It is cheap to make and cheap to clone, and
//! nothing is converted or copied until an expression reads it. `steps` and `meta` are groups:
//! they grow one entry at a time while a run goes on, and clones made earlier do not see later
//! entries.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use smallvec::SmallVec;

use crate::{EvalError, Segment, Shared, reference, suggest};

/// Names that are null while nothing was set for them. Any other unknown name is an error.
const KNOWN_ROOTS: [&str; 9] = ["trigger", "steps", "meta", "state", "params", "run", "item", "index", "error"];

/// The names in reach of an expression.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    roots: SmallVec<[(Name, Root); 8]>,
    now: Option<Arc<str>>,
    // Every name may be looked up and is null where it is missing: data given as one value.
    open: bool,
    // Data that is no record has no names, but paths may look into it: `$[0]`.
    unnamed: Option<Arc<Json>>,
}

#[derive(Debug, Clone)]
enum Name {
    Known(&'static str),
    Other(Arc<str>),
}

impl Name {
    fn new(name: &str) -> Self {
        KNOWN_ROOTS.iter().find(|known| **known == name).map_or_else(|| Self::Other(name.into()), |known| Self::Known(known))
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Other(name) => name,
        }
    }
}

#[derive(Debug, Clone)]
enum Root {
    Value(Shared),
    // Sorted by key; copied when a clone of the scope holds it too.
    Group(Arc<Vec<(Arc<str>, Arc<Json>)>>),
}

impl Scope {
    /// A scope with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope over one record: each of its fields is a name, a missing name is null, and `$` is
    /// the whole of it.
    #[must_use]
    pub fn from_json(data: Arc<Json>) -> Self {
        let mut scope = Self { open: true, ..Self::default() };
        match Arc::unwrap_or_clone(data) {
            Json::Object(fields) => {
                for (name, value) in fields {
                    scope.roots.push((Name::new(&name), Root::Value(value.into())));
                }
            }
            other => scope.unnamed = Some(Arc::new(other)),
        }
        scope
    }

    /// Binds a name, or binds it anew.
    pub fn set(&mut self, name: &str, value: impl Into<Shared>) {
        self.put(name, Root::Value(value.into()));
    }

    /// Adds an entry to a group such as `steps`: `steps.<key>` is `value` from now on.
    pub fn set_in(&mut self, group: &str, key: &Arc<str>, value: Arc<Json>) {
        if let Some((_, Root::Group(entries))) = self.roots.iter_mut().find(|(name, _)| name.as_str() == group) {
            let entries = Arc::make_mut(entries);
            match entries.binary_search_by(|(name, _)| (**name).cmp(key)) {
                Ok(at) => entries[at].1 = value,
                Err(at) => entries.insert(at, (Arc::clone(key), value)),
            }
        } else {
            self.put(group, Root::Group(Arc::new(vec![(Arc::clone(key), value)])));
        }
    }

    /// What `now()` gives: the frozen instant as ISO 8601 text. Without it `now()` is an error.
    pub fn set_now(&mut self, instant: &str) {
        self.now = Some(instant.into());
    }

    /// The same with `now()` frozen at this instant.
    #[must_use]
    pub fn with_now(mut self, instant: &str) -> Self {
        self.set_now(instant);
        self
    }

    pub(crate) fn now(&self) -> Option<&str> {
        self.now.as_deref()
    }

    fn put(&mut self, name: &str, root: Root) {
        match self.roots.iter_mut().find(|(known, _)| known.as_str() == name) {
            Some((_, old)) => *old = root,
            None => self.roots.push((Name::new(name), root)),
        }
    }

    /// The value at a place; null is `None`.
    pub(crate) fn resolve<'a>(&'a self, root: &str, path: &'a [Segment]) -> Result<Option<Place<'a>>, EvalError> {
        match self.roots.iter().find(|(name, _)| name.as_str() == root) {
            Some((_, Root::Value(value))) => Ok(Place::within(value, path)),
            Some((_, Root::Group(entries))) => Ok(match path {
                [] => Some(Place::Made(group_json(entries))),
                [Segment::Key(key), rest @ ..] => entries
                    .binary_search_by(|(name, _)| (**name).cmp(key.as_str()))
                    .ok()
                    .and_then(|at| Place::of(&entries[at].1, rest)),
                _ => None,
            }),
            None if self.open || KNOWN_ROOTS.contains(&root) => Ok(None),
            None => Err(self.unknown(root)),
        }
    }

    /// As [`Scope::resolve`] for a JSONPath, where every missing name is null.
    pub(crate) fn resolve_open<'a>(&'a self, root: &str, path: &'a [Segment]) -> Option<Place<'a>> {
        self.resolve(root, path).unwrap_or_default()
    }

    /// Everything as one record, or only the names asked for.
    pub(crate) fn document(&self, only: Option<&[String]>) -> Json {
        if let Some(unnamed) = &self.unnamed {
            return Json::clone(unnamed);
        }
        let mut document = Map::new();
        for (name, root) in &self.roots {
            if only.is_none_or(|only| only.iter().any(|wanted| wanted == name.as_str())) {
                let value = match root {
                    Root::Value(value) => Json::clone(value),
                    Root::Group(entries) => group_json(entries),
                };
                document.insert(name.as_str().to_owned(), value);
            }
        }
        Json::Object(document)
    }

    fn unknown(&self, root: &str) -> EvalError {
        let names = self.roots.iter().map(|(name, _)| name.as_str()).chain(KNOWN_ROOTS);
        let error = EvalError::new("unknown_name", format!("there is nothing called `{root}` here"));
        match suggest::closest(root, names) {
            Some(name) => error.with_hint(format!("Did you mean `{name}`?")),
            None => error.with_hint("In reach are trigger, steps, meta, state, params, run, and the names of the loops around."),
        }
    }
}

fn group_json(entries: &[(Arc<str>, Arc<Json>)]) -> Json {
    Json::Object(entries.iter().map(|(name, value)| (name.to_string(), Json::clone(value))).collect())
}

/// A value found in a scope.
pub(crate) enum Place<'a> {
    /// In shared data.
    Within { root: &'a Shared, path: &'a [Segment], value: &'a Json },
    /// In an entry of a group.
    Of { root: &'a Arc<Json>, path: &'a [Segment], value: &'a Json },
    /// A group as a record of its own.
    Made(Json),
}

impl<'a> Place<'a> {
    fn within(root: &'a Shared, path: &'a [Segment]) -> Option<Self> {
        reference::walk(root, path).map(|value| Place::Within { root, path, value })
    }

    fn of(root: &'a Arc<Json>, path: &'a [Segment]) -> Option<Self> {
        reference::walk(root, path).map(|value| Place::Of { root, path, value })
    }

    /// The value itself.
    pub(crate) fn value(&self) -> &Json {
        match self {
            Place::Within { value, .. } | Place::Of { value, .. } => value,
            Place::Made(value) => value,
        }
    }

    /// The value, sharing the data it is in.
    pub(crate) fn into_shared(self) -> Shared {
        match self {
            Place::Within { root, path, value } => root.walk(path).unwrap_or_else(|| value.clone().into()),
            Place::Of { root, path, value } => Shared::part(root, path).unwrap_or_else(|| value.clone().into()),
            Place::Made(value) => value.into(),
        }
    }

    /// The value as one of its own.
    pub(crate) fn into_json(self) -> Json {
        match self {
            Place::Within { value, .. } | Place::Of { value, .. } => value.clone(),
            Place::Made(value) => value,
        }
    }
}
