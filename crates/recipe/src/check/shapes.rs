//! Objects whose fields only the system knows: what their systems told, against what triggers and steps name, write and read.
//!
//! What is told comes with the catalogue ([`Shapes`](crate::Shapes)); an object whose name is an expression, or that nothing
//! is known of, is left to the action's own schema.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use serde_json::Value as Json;

use super::inputs::{self, View};
use super::known::Known;
use super::{Checker, codes};
use crate::ast::{Recipe, Span, Spanned, Step, StepKind, TriggerSource, Value, walk};
use crate::catalogue::{ActionInfo, Catalogue, ConnectorInfo, ShapeOf, ShapedInfo, TriggerInfo};
use crate::diagnostic::{Diagnostic, shown};

/// The outputs whose records are known.
#[derive(Default)]
pub(super) struct Outputs {
    /// Those of steps, by the step's address in the tree.
    steps: HashMap<*const Step, Json>,
    /// The trigger's.
    trigger: Option<Json>,
}

/// The objects that a recipe's trigger and steps name, by the connections they are reached through.
#[must_use]
pub fn shapes_wanted(recipe: &Recipe, catalogue: &Catalogue) -> BTreeSet<ShapeOf> {
    let mut wanted: BTreeSet<ShapeOf> = of_trigger(recipe, catalogue).map(|(of, _)| of).into_iter().collect();
    walk(&recipe.steps, &mut |step| {
        if let StepKind::Do { connection, action, with, .. } = &step.kind {
            wanted.extend(of_call(recipe, catalogue, (connection, action, with)).map(|(of, _)| of));
        }
        if let Some(undo) = &step.undo {
            wanted.extend(of_call(recipe, catalogue, (&undo.connection, &undo.action, &undo.with)).map(|(of, _)| of));
        }
    });
    wanted
}

/// What the trigger and every step give whose records their systems told of.
pub(super) fn outputs(recipe: &Recipe, catalogue: &Catalogue) -> Outputs {
    let mut outputs = Outputs::default();
    if catalogue.shapes.is_empty() {
        return outputs;
    }
    let output = |of: &ShapeOf, shaped: Option<&ShapedInfo>, declared: &Json| {
        let (shape, gives) = (catalogue.shapes.get(of)?, shaped?.gives.as_deref()?);
        let mut output = declared.clone();
        put(&mut output, gives, shape);
        Some(output)
    };
    outputs.trigger = of_trigger(recipe, catalogue).and_then(|(of, info)| output(&of, info.shaped.as_ref(), &info.output));
    walk(&recipe.steps, &mut |step| {
        let StepKind::Do { connection, action, with, .. } = &step.kind else { return };
        let Some((of, info)) = of_call(recipe, catalogue, (connection, action, with)) else { return };
        if let Some(output) = output(&of, info.shaped.as_ref(), &info.output) {
            outputs.steps.insert(std::ptr::from_ref(step), output);
        }
    });
    outputs
}

/// The object a call names, with the connection it is reached through, and what is known of the action.
fn of_call<'c>(
    recipe: &Recipe,
    catalogue: &'c Catalogue,
    (connection, action, with): (&Spanned<String>, &Spanned<String>, &Value),
) -> Option<(ShapeOf, &'c ActionInfo)> {
    let info = connector(recipe, catalogue, &connection.value)?.actions.iter().find(|info| info.id == action.value)?;
    let name = object(info.shaped.as_ref()?, View::Value(with))?;
    Some((ShapeOf { connection: connection.value.clone(), object: name.to_owned() }, info))
}

/// The same of the trigger.
fn of_trigger<'c>(recipe: &Recipe, catalogue: &'c Catalogue) -> Option<(ShapeOf, &'c TriggerInfo)> {
    let trigger = &recipe.trigger;
    let TriggerSource::Connection { connection, trigger: id } = &trigger.from.value else { return None };
    let info = connector(recipe, catalogue, connection)?.triggers.iter().find(|info| info.id == *id)?;
    let with = View::Literal(&trigger.with, trigger.with_span, &trigger.with_places);
    let name = object(info.shaped.as_ref()?, with)?;
    Some((ShapeOf { connection: connection.clone(), object: name.to_owned() }, info))
}

/// The connector that a connection leads to, as the recipe says.
fn connector<'c>(recipe: &Recipe, catalogue: &'c Catalogue, connection: &str) -> Option<&'c ConnectorInfo> {
    let bound = recipe.connections.iter().find(|bound| bound.name.value == connection)?;
    catalogue.connectors.iter().find(|connector| connector.id == bound.connector.value)
}

/// The object that an input names as it stands.
fn object<'v>(shaped: &ShapedInfo, with: View<'v>) -> Option<&'v str> {
    if let Some(only_with) = &shaped.only_with
        && !field(with, only_with).is_some_and(View::is_true)
    {
        return None;
    }
    field(with, &shaped.named_by)?.text().filter(|name| !name.is_empty())
}

fn field<'v>(with: View<'v>, name: &str) -> Option<View<'v>> {
    with.fields().into_iter().find(|(known, ..)| *known == name).map(|(_, _, value)| value)
}

/// What stands at a place of an input: `fields`, `rows[]` for each of a list, `filter[].field`.
fn at<'v>(with: View<'v>, place: &str) -> Vec<View<'v>> {
    place.split('.').fold(vec![with], |views, part| {
        let found = views.into_iter().filter_map(|view| field(view, part.trim_end_matches("[]")));
        if part.ends_with("[]") { found.flat_map(View::one_or_many).collect() } else { found.collect() }
    })
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
    /// Checks the fields that a call or the trigger names and writes against those its object has.
    pub(super) fn held_against_shape(&mut self, connection: &str, shaped: Option<&ShapedInfo>, with: View<'_>) {
        let Some((shaped, name)) = shaped.and_then(|shaped| Some((shaped, object(shaped, with)?))) else { return };
        let of = ShapeOf { connection: connection.to_owned(), object: name.to_owned() };
        let Some(shape) = self.catalogue.shapes.get(&of) else { return };
        let open = shape["additionalProperties"] == true;
        let known = || shape["properties"].as_object().into_iter().flat_map(serde_json::Map::keys).map(String::as_str);
        if !open {
            for named in shaped.names.iter().flat_map(|input| at(with, input)).flat_map(View::one_or_many) {
                // Through a field other records are read, and systems take names in any case.
                let first = named.text().and_then(|text| text.split('.').next());
                if let Some(first) = first.filter(|first| !known().any(|known| known.eq_ignore_ascii_case(first))) {
                    self.out.push(inputs::unknown_field(name, first, named.span(), known()).0);
                }
            }
        }
        let written = shaped.writes.iter().flat_map(|writes| at(with, writes)).flat_map(View::fields);
        for (field, span, value) in written.filter(|(field, ..)| !shaped.keys.iter().any(|key| key == field)) {
            match shape["properties"].get(field) {
                Some(schema) if schema["readOnly"] == true => self.out.push(read_only(name, field, span)),
                Some(schema) => inputs::check_field(field, value, schema, &self.found, self.out),
                None if open => {}
                None => self.out.push(inputs::unknown_field(name, field, span, known()).0),
            }
        }
    }

    /// What the trigger gives, where its records are known.
    pub(super) fn shaped_trigger(&self) -> Option<Known<'a>> {
        self.shaped.trigger.as_ref().map(Known::schema)
    }

    /// What a step gives, where its records are known.
    pub(super) fn shaped_output(&self, step: &Step) -> Option<Known<'a>> {
        let schema = self.shaped.steps.get(&std::ptr::from_ref(step))?;
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
