//! Objects whose fields only the system knows: what people added to their own Salesforce, NetSuite or ServiceNow.

use std::{pin::Pin, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Cx, StepError};

/// Where the object of an action or trigger is named, and where its fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shaped {
    /// The input (or setting) that names the object: `object`.
    pub named_by: &'static str,
    /// It counts only when this input is true: `with_sublists`; `None` when it always does.
    pub only_with: Option<&'static str>,
    /// The inputs that name fields of the object, one or a list of them: `fields`, `by`, `filter[].field`.
    pub names: &'static [&'static str],
    /// The input that holds a record of the object, or a list of them: `fields`, `rows[]`; `None` when nothing is written.
    pub writes: Option<&'static str>,
    /// Fields of what is written that say which record is meant, though nobody can set them: `Id`.
    pub keys: &'static [&'static str],
    /// Where the output holds a record: `` for the output itself, `record`, `records[]` for a list of them.
    pub gives: Option<&'static str>,
}

impl Shaped {
    /// The object is named by this input. Say more with the methods below.
    #[must_use]
    pub const fn by(input: &'static str) -> Self {
        Self { named_by: input, only_with: None, names: &[], writes: None, keys: &[], gives: None }
    }

    /// Only when this input is true.
    #[must_use]
    pub const fn only_with(mut self, input: &'static str) -> Self {
        self.only_with = Some(input);
        self
    }

    /// These inputs name fields of the object.
    #[must_use]
    pub const fn names(mut self, inputs: &'static [&'static str]) -> Self {
        self.names = inputs;
        self
    }

    /// This input holds a record of the object, or a list of them: `fields`, `rows[]`.
    #[must_use]
    pub const fn writes(mut self, input: &'static str) -> Self {
        self.writes = Some(input);
        self
    }

    /// These fields of what is written say which record is meant.
    #[must_use]
    pub const fn keys(mut self, fields: &'static [&'static str]) -> Self {
        self.keys = fields;
        self
    }

    /// The output holds a record there: `` for the output itself, `record`, `records[]` for a list of them.
    #[must_use]
    pub const fn gives(mut self, place: &'static str) -> Self {
        self.gives = Some(place);
        self
    }
}

/// An object of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name in calls: `Account`.
    pub name: String,
    /// What people call it.
    pub title: String,
}

/// Tells the objects and their fields; the answer is kept for a while and asked for anew on demand.
#[derive(Clone)]
pub struct Shapes {
    /// All objects.
    pub objects: Arc<dyn Fn(Cx) -> Told<Vec<Object>> + Send + Sync>,
    /// A JSON Schema of one object's record: `properties` with `title`, `type`, `enum`, `readOnly`; `required`.
    pub object: Arc<dyn Fn(Cx, String) -> Told<Json> + Send + Sync>,
}

/// The future of what the system tells.
pub type Told<T> = Pin<Box<dyn Future<Output = Result<T, StepError>> + Send>>;

impl Shapes {
    /// Asks with these functions.
    pub fn new<F, R, G, S>(objects: F, object: G) -> Self
    where
        F: Fn(Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<Object>, StepError>> + Send + 'static,
        G: Fn(Cx, String) -> S + Send + Sync + 'static,
        S: Future<Output = Result<Json, StepError>> + Send + 'static,
    {
        Self { objects: Arc::new(move |cx| Box::pin(objects(cx))), object: Arc::new(move |cx, name| Box::pin(object(cx, name))) }
    }
}
