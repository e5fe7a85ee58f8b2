//! Schemas of connectors as people read them.

use serde_json::Value as Json;

use crate::check::{doc, properties};
use crate::types::Kinds;

/// A field that a schema names.
pub(super) struct Field<'c> {
    pub(super) name: &'c str,
    pub(super) node: &'c Json,
    pub(super) required: bool,
}

/// Every field, those that are required first.
pub(super) fn fields<'c>(root: &'c Json, node: &'c Json) -> Vec<Field<'c>> {
    let required: Vec<&str> =
        resolved(root, node).get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let mut found: Vec<Field<'c>> = Vec::new();
    properties(root, node, &mut |name, node| {
        if !found.iter().any(|field| field.name == name) {
            found.push(Field { name, node, required: required.contains(&name) });
        }
    });
    found.sort_by_key(|field| !field.required);
    found
}

/// The schema that a reference leads to.
fn resolved<'c>(root: &'c Json, node: &'c Json) -> &'c Json {
    let at = node.get("$ref").and_then(Json::as_str).and_then(|at| at.strip_prefix('#'));
    at.and_then(|at| root.pointer(at)).unwrap_or(node)
}

/// The values that a schema allows, if they are few.
pub(super) fn choices(root: &Json, node: &Json) -> Vec<String> {
    let node = resolved(root, node);
    let shown = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let listed = node.get("enum").and_then(Json::as_array).into_iter().flatten().map(shown);
    let mut found: Vec<String> = listed.chain(node.get("const").map(shown)).collect();
    if found.is_empty() {
        let parts = ["anyOf", "oneOf"].iter().filter_map(|word| node.get(*word)?.as_array()).flatten();
        found = parts.flat_map(|part| part.get("enum").and_then(Json::as_array).into_iter().flatten().map(shown)).collect();
    }
    if found.is_empty() && kinds(root, node) == Kinds::BOOLEAN {
        found = vec!["true".to_owned(), "false".to_owned()];
    }
    found
}

pub(super) fn kinds(root: &Json, node: &Json) -> Kinds {
    Kinds::of_schema(root, node)
}

/// A schema as a list of its fields.
pub(super) fn outlined(root: &Json, node: &Json) -> Vec<String> {
    /// More fields are only counted.
    const FIELDS_MAX: usize = 24;
    let fields = fields(root, node);
    let one = |field: &Field<'_>| {
        let must = if field.required { ", required" } else { "" };
        let about = doc(field.node).map(|doc| format!(" — {doc}")).unwrap_or_default();
        format!("- `{}` ({}{must}){about}", field.name, kinds(root, field.node))
    };
    let mut lines: Vec<_> = fields.iter().take(FIELDS_MAX).map(one).collect();
    if fields.len() > FIELDS_MAX {
        lines.push(format!("- and {} more", fields.len() - FIELDS_MAX));
    }
    lines
}
