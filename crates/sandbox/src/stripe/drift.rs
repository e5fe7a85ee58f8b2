//! Fields that changed after a recipe was written: the API of another version, or a beta that ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::{
    api::{API, Gives, Operation},
    error::{Refused, Result},
};

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Drift {
    /// It is gone, under this name at least.
    Removed,
    /// It takes and gives whole numbers now.
    Integer,
    /// It is new: answers have it, with a text.
    Added,
}

/// Fields that changed, such as `customer.phone`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Drifted(BTreeMap<String, Drift>);

impl Drifted {
    /// The fields of a kind of object that changed.
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, Drift)> {
        let fields = self.0.iter().filter_map(|(name, drift)| Some((name.split_once('.')?, *drift)));
        fields.filter(move |((of, _), _)| *of == kind).map(|((_, field), drift)| (field, drift))
    }

    /// Refuses parameters as they are not taken any more.
    pub(super) fn check(&self, operation: &Operation, params: &Map<String, Json>) -> Result<()> {
        let (Gives::One(name) | Gives::List(name) | Gives::Found(name)) = operation.gives else { return Ok(()) };
        let Some(kind) = API.kind(name) else { return Ok(()) };
        for (field, drift) in self.of(&kind.object) {
            let Some(value) = params.get(field) else { continue };
            match drift {
                Drift::Removed => {
                    return Err(Refused::invalid(format!("Received unknown parameter: {field}"))
                        .code("parameter_unknown")
                        .param(field));
                }
                Drift::Integer if !value.as_str().is_some_and(|text| text.is_empty() || text.parse::<i64>().is_ok()) => {
                    let text = value.as_str().unwrap_or_default();
                    return Err(Refused::invalid(format!("Invalid integer: {text}"))
                        .code("parameter_invalid_integer")
                        .param(field));
                }
                Drift::Integer | Drift::Added => {}
            }
        }
        Ok(())
    }

    /// Shows objects as they are now, however deep they stand.
    pub(super) fn show(&self, value: &mut Json) {
        if self.0.is_empty() {
            return;
        }
        match value {
            Json::Object(record) => {
                let kind = record.get("object").and_then(Json::as_str).unwrap_or_default().to_owned();
                for (field, drift) in self.of(&kind) {
                    match drift {
                        Drift::Removed => drop(record.shift_remove(field)),
                        Drift::Integer => {
                            let number = record.get(field).and_then(Json::as_str).and_then(|text| text.parse::<i64>().ok());
                            record.insert(field.to_owned(), json!(number));
                        }
                        Drift::Added => drop(record.insert(field.to_owned(), json!("new"))),
                    }
                }
                record.values_mut().for_each(|value| self.show(value));
            }
            Json::Array(list) => list.iter_mut().for_each(|value| self.show(value)),
            _ => {}
        }
    }
}
