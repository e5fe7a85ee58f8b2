//! What most operations do: create, read, change, delete.

use serde_json::{Value as Json, json};

use super::{
    api::{API, Shape},
    books::{Books, Row, text, word},
    check::fit,
    error::{Refused, Result},
    events,
};

/// Copies parameters into an object, as far as it has such properties.
pub(super) fn merge(kind: &str, row: &mut Row, params: &Row) {
    let Some(properties) = API.properties(kind) else { return };
    for (name, value) in params {
        let Some(shape) = properties.get(name).filter(|shape| name != "id" && !listed(shape)) else { continue };
        match (name.as_str(), value) {
            ("metadata", _) => merge_metadata(row, value),
            // Parts of most objects are changed one by one; an address is one thing.
            (part, Json::Object(new))
                if !matches!(part, "address" | "shipping") && row.get(part).is_some_and(Json::is_object) =>
            {
                let mut whole = row.get(part).cloned().unwrap_or_default();
                if let Some(old) = whole.as_object_mut() {
                    old.extend(new.clone());
                }
                row.insert(part.to_owned(), fit(shape, &whole));
            }
            (_, value) => {
                row.insert(name.clone(), fit(shape, value));
            }
        }
    }
}

/// Lists of an object are made of other objects, never of parameters.
fn listed(shape: &Shape) -> bool {
    match shape {
        Shape::Open(inner) => listed(inner),
        shape => matches!(shape, Shape::Page(_)),
    }
}

/// Keys are added, changed, and dropped when emptied; an emptied whole clears all.
pub(super) fn merge_metadata(row: &mut Row, value: &Json) {
    let mut kept = row.get("metadata").and_then(Json::as_object).cloned().unwrap_or_default();
    match value {
        Json::Object(new) => {
            for (key, value) in new {
                if value.is_null() {
                    kept.shift_remove(key);
                } else {
                    kept.insert(key.clone(), value.clone());
                }
            }
        }
        _ => kept.clear(),
    }
    row.insert("metadata".into(), Json::Object(kept));
}

impl Books {
    /// An object made of its parameters.
    pub(super) fn made(&self, kind: &'static str, params: &Row) -> Row {
        let mut row = self.blank(kind);
        merge(kind, &mut row, params);
        row
    }

    /// Puts a new object in its table and tells of it.
    pub(super) fn keep(&mut self, kind: &'static str, row: Row) -> Result {
        let made = self.insert(kind, row)?;
        self.tell(&events::name(word_of(kind), "created"), &made, None);
        Ok(made)
    }

    pub(super) fn create(&mut self, kind: &'static str, params: &Row) -> Result {
        let mut row = self.made(kind, params);
        if let Some(id) = params.get("id").and_then(Json::as_str) {
            row.insert("id".into(), json!(id));
        }
        self.keep(kind, row)
    }

    pub(super) fn update(&mut self, kind: &'static str, id: &str, params: &Row) -> Result {
        let event = events::name(word_of(kind), "updated");
        self.change(kind, id, &event, |row| merge(kind, row, params))
    }

    pub(super) fn retrieve(&self, kind: &'static str, id: &str, param: &str) -> Result {
        if let Some(row) = self.get(kind, id) {
            return Ok(Json::Object(row.clone()));
        }
        match self.gone.get(id) {
            Some(gone) if kind == "Customer" => Ok(gone.clone()),
            _ => Err(Refused::missing(word(kind), id, param)),
        }
    }

    pub(super) fn delete(&mut self, kind: &'static str, id: &str) -> Result {
        let row = self.remove(kind, id).ok_or_else(|| Refused::missing(word(kind), id, "id"))?;
        let answer = json!({"id": text(&row, "id"), "object": word_of(kind), "deleted": true});
        self.gone.insert(id.to_owned(), answer.clone());
        self.tell(&events::name(word_of(kind), "deleted"), &Json::Object(row), None);
        Ok(answer)
    }
}

fn word_of(kind: &'static str) -> &'static str {
    API.kind(kind).map_or(kind, |kind| kind.object.as_str())
}
