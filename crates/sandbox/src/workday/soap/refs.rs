//! References in requests: by any one of a thing's ids.

use super::{super::items::Kind, fault};
use crate::{
    workday::{answer::Answer, state::State},
    xml::Element,
};

/// The first id of a reference with its type.
pub(super) fn id(reference: &Element) -> (&str, &str) {
    let id = reference.child("ID");
    let id_type = id.and_then(|id| id.attribute("type")).unwrap_or_default();
    (id_type, id.map(|id| id.text.trim()).unwrap_or_default())
}

fn unknown(reference: &Element, path: &str) -> Answer {
    let (id_type, id) = id(reference);
    let words = format!("Invalid ID value.  '{id}' is not a valid ID value for type = '{id_type}'");
    fault::invalid(&words, &format!("{path}/wd:{}[1]", reference.name))
}

/// The worker, when the reference names one.
pub(super) fn maybe_worker(state: &State, reference: &Element) -> Option<usize> {
    let (id_type, id) = id(reference);
    if id_type == "WID" { state.worker_at(id) } else { state.worker_at(&format!("{id_type}={id}")) }
}

/// The worker of a reference.
///
/// # Errors
/// A validation fault that names the id.
pub(super) fn worker(state: &State, reference: Option<&Element>, path: &str) -> Result<usize, Answer> {
    let reference = reference.ok_or_else(|| fault::invalid("A worker reference is required.", path))?;
    maybe_worker(state, reference).ok_or_else(|| unknown(reference, path))
}

/// The thing of a reference, of one of the kinds.
///
/// # Errors
/// A validation fault that names the id.
pub(super) fn item(state: &State, reference: &Element, kinds: &[Kind], path: &str) -> Result<usize, Answer> {
    let (id_type, id) = id(reference);
    let found = state.items.find_id(id_type, id).filter(|place| kinds.contains(&state.item(*place).kind));
    found.ok_or_else(|| unknown(reference, path))
}

/// Like [`item`], when there is a reference at all.
pub(super) fn maybe_item(
    state: &State,
    reference: Option<&Element>,
    kinds: &[Kind],
    path: &str,
) -> Result<Option<usize>, Answer> {
    reference.filter(|reference| !reference.children.is_empty()).map(|reference| item(state, reference, kinds, path)).transpose()
}
