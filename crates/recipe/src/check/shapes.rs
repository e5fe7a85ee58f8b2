//! Objects whose fields only the system knows: what their systems told, against what steps write and read.
//!
//! What is told comes with the catalogue ([`Shapes`](crate::Shapes)); an object whose name is an expression, or that nothing
//! is known of, is left to the action's own schema.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use serde_json::Value as Json;

use super::inputs::{self, View};
use super::known::Known;
use super::{Checker, codes};
use crate::ast::{Recipe, Span, Spanned, Step, StepKind, Value, walk};
use crate::catalogue::{ActionInfo, Catalogue, ShapeOf, ShapedInfo};
use crate::diagnostic::{Diagnostic, shown};

/// The outputs of steps whose records are known, by the step's address in the tree.
pub(super) type Outputs = HashMap<*const Step, Json>;

/// The objects that steps of a recipe name, by the connections they are reached through.
#[must_use]
pub fn shapes_wanted(recipe: &Recipe, catalogue: &Catalogue) -> BTreeSet<ShapeOf> {
    let mut wanted = BTreeSet::new();
    walk(&recipe.steps, &mut |step| {
        if let StepKind::Do { connection, action, with, .. } = &step.kind {
            wanted.extend(object_of(recipe, catalogue, (connection, action, with)).map(|(of, _)| of));
        }
        if let Some(undo) = &step.undo {
            wanted.extend(object_of(recipe, catalogue, (&undo.connection, &undo.action, &undo.with)).map(|(of, _)| of));
        }
    });
    wanted
}

/// What every step gives whose records its system told of.
pub(super) fn outputs(recipe: &Recipe, catalogue: &Catalogue) -> Outputs {
    let mut outputs = Outputs::new();
    if catalogue.shapes.is_empty() {
        return outputs;
    }
    walk(&recipe.steps, &mut |step| {
        let StepKind::Do { connection, action, with, .. } = &step.kind else { return };
        let Some((of, info)) = object_of(recipe, catalogue, (connection, action, with)) else { return };
        let gives = info.shaped.as_ref().and_then(|shaped| shaped.gives.as_deref());
        if let (Some(shape), Some(gives)) = (catalogue.shapes.get(&of), gives) {
            let mut output = info.output.clone();
            put(&mut output, gives, shape);
            outputs.insert(std::ptr::from_ref(step), output);
        }
    });
    outputs
}

/// The object a call names, with the connection it is reached through, and what is known of the action.
fn object_of<'c>(
    recipe: &Recipe,
    catalogue: &'c Catalogue,
    (connection, action, with): (&Spanned<String>, &Spanned<String>, &Value),
) -> Option<(ShapeOf, &'c ActionInfo)> {
    let bound = recipe.connections.iter().find(|bound| bound.name.value == connection.value)?;
    let connector = catalogue.connectors.iter().find(|connector| connector.id == bound.connector.value)?;
    let info = connector.actions.iter().find(|info| info.id == action.value)?;
    let name = object(info.shaped.as_ref()?, with)?;
    Some((ShapeOf { connection: connection.value.clone(), object: name.to_owned() }, info))
}

/// The object that an input names as it stands.
fn object<'v>(shaped: &ShapedInfo, with: &'v Value) -> Option<&'v str> {
    let (_, _, value) = View::Value(with).fields().into_iter().find(|(name, ..)| *name == shaped.named_by)?;
    value.text().filter(|name| !name.is_empty())
}

/// Puts the schema of a record where an output holds it: `` for the output itself, `record`, `records[]`.
fn put(output: &mut Json, gives: &str, shape: &Json) {
    let mut place = output;
    for part in gives.split('.').filter(|part| !part.is_empty()) {
        let name = part.trim_end_matches("[]");
        let Some(inside) = place.pointer_mut("/properties").and_then(|properties| properties.get_mut(name)) else { return };
        place = inside;
        if part.ends_with("[]") {
            let Some(item) = place.get_mut("items") else { return };
            place = item;
        }
    }
    // The action says whether there may be no record at all.
    let kinds = place.get("type").cloned();
    *place = shape.clone();
    if let (Some(kinds), Some(members)) = (kinds, place.as_object_mut()) {
        members.insert("type".to_owned(), kinds);
    }
}

impl<'a> Checker<'a> {
    /// Checks what a call writes against the fields its object has.
    pub(super) fn written(&mut self, connection: &Spanned<String>, info: &ActionInfo, with: &Value) {
        let Some(shaped) = &info.shaped else { return };
        let (Some(writes), Some(name)) = (shaped.writes.as_deref(), object(shaped, with)) else { return };
        let of = ShapeOf { connection: connection.value.clone(), object: name.to_owned() };
        let Some(shape) = self.catalogue.shapes.get(&of) else { return };
        let Some((_, _, fields)) = View::Value(with).fields().into_iter().find(|(name, ..)| *name == writes) else { return };
        let open = shape["additionalProperties"] == true;
        for (field, span, value) in fields.fields() {
            match shape["properties"].get(field) {
                Some(schema) if schema["readOnly"] == true => self.out.push(read_only(name, field, span)),
                Some(schema) => inputs::check_field(field, value, schema, &self.found, self.out),
                None if open => {}
                None => {
                    let names = shape["properties"].as_object().into_iter().flat_map(serde_json::Map::keys).map(String::as_str);
                    self.out.push(inputs::unknown_field(name, field, span, names).0);
                }
            }
        }
    }

    /// What a step gives, where its records are known.
    pub(super) fn shaped_output(&self, step: &Step) -> Option<Known<'a>> {
        let schema = self.shaped.get(&std::ptr::from_ref(step))?;
        let StepKind::Do { stream: true, connection, action, .. } = &step.kind else { return Some(Known::schema(schema)) };
        // Page by page only the items are there.
        let info = self.known_action(&connection.value, &action.value)?;
        let list = info.shaped.as_ref()?.gives.as_deref()?.strip_suffix("[]")?;
        let item = schema["properties"][list].get("items")?;
        Some(Known::List(Rc::new(Known::schema(item))))
    }
}

fn read_only(object: &str, field: &str, span: Span) -> Diagnostic {
    let message = format!("\"{}\" of {} can only be read.", shown(field), shown(object));
    Diagnostic::error(codes::READ_ONLY, span, message).help("Leave it out: the other system sets it by itself.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::put;

    #[test]
    fn a_record_is_put_where_the_output_holds_it() {
        let shape = json!({"type": "object", "properties": {"Name": {"type": "string"}}});
        let mut whole = json!({"type": "object"});
        put(&mut whole, "", &shape);
        assert_eq!(whole, shape);
        let mut one = json!({"properties": {"record": {"type": ["object", "null"]}}});
        put(&mut one, "record", &shape);
        assert_eq!(one["properties"]["record"]["type"], json!(["object", "null"]));
        assert_eq!(one["properties"]["record"]["properties"], shape["properties"]);
        let mut many = json!({"properties": {"records": {"type": "array", "items": {"type": "object"}}}});
        put(&mut many, "records[]", &shape);
        assert_eq!(many["properties"]["records"]["items"], shape);
        let before = json!({"properties": {}});
        let mut other = before.clone();
        put(&mut other, "records[]", &shape);
        assert_eq!(other, before, "an output without that place stays as it is");
    }
}
