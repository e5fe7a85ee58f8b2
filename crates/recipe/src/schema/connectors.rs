//! What connectors add to the schema of the language: the `with` of their actions and triggers.

use serde_json::{Map, Value as Json, json};

use crate::catalogue::{ActionInfo, Catalogue, ConnectorInfo};
use crate::diagnostic::one_of;

/// Schemas may lie so deep; what is deeper takes anything.
const DEPTH_MAX: usize = 32;

/// Adds the inputs to the steps, their `undo` and the trigger.
pub(super) fn add(root: &mut Json, catalogue: &Catalogue) {
    let mut defs = Map::new();
    let actions = Names::of(catalogue, |connector| {
        connector.actions.iter().map(|action| (action.id.as_str(), input(action, connector, &mut defs))).collect()
    });
    for place in ["step", "undo"] {
        let mut rules = actions.rules("do", true);
        if let Some(doc) = root.pointer_mut(&format!("/$defs/{place}/properties/do")).filter(|_| !actions.full.is_empty()) {
            doc["anyOf"] = json!([{"enum": actions.full}, {"type": "string"}]);
        }
        push_all(&mut root["$defs"][place], &mut rules);
    }
    let triggers = Names::of(catalogue, |connector| {
        let all = connector.triggers.iter().map(|info| {
            let name = format!("trigger {}.{}", connector.id, info.id);
            (info.id.as_str(), hoist(&mut defs, name, &info.config, &info.title, &info.summary, false))
        });
        all.collect()
    });
    push_all(&mut root["properties"]["trigger"], &mut triggers.rules("from", false));
    let known = catalogue.connectors.iter().map(|connector| connector.id.as_str());
    let connectors = json!({
        "type": "string",
        "enum": known.clone().collect::<Vec<_>>(),
        "description": format!("The connector: {}.", one_of(known))
    });
    if let Some(names) = root.pointer_mut("/properties/connections/patternProperties").and_then(Json::as_object_mut) {
        names.iter_mut().filter(|(pattern, _)| *pattern != "^x-").for_each(|(_, schema)| *schema = connectors.clone());
    }
    if let Some(all) = root["$defs"].as_object_mut() {
        all.extend(defs);
    }
}

fn push_all(schema: &mut Json, rules: &mut Vec<Json>) {
    match schema.get_mut("allOf").and_then(Json::as_array_mut) {
        Some(all) => all.append(rules),
        None => schema["allOf"] = Json::Array(std::mem::take(rules)),
    }
}

/// The actions or triggers of all connectors by what stands behind the dot.
struct Names {
    /// `http.request`: usable as they are, each with its schema.
    builtin: Vec<(String, Json)>,
    /// By the name behind the dot, whatever the connection is called.
    by_name: Vec<(String, Vec<Json>)>,
    full: Vec<String>,
}

impl Names {
    fn of<'c>(catalogue: &'c Catalogue, mut all: impl FnMut(&'c ConnectorInfo) -> Vec<(&'c str, Json)>) -> Self {
        let mut names = Self { builtin: Vec::new(), by_name: Vec::new(), full: Vec::new() };
        for connector in catalogue.connectors.iter() {
            for (id, schema) in all(connector) {
                if connector.builtin {
                    let full = format!("{}.{id}", connector.id);
                    names.full.push(full.clone());
                    names.builtin.push((full, schema.clone()));
                }
                match names.by_name.iter_mut().find(|(name, _)| name == id) {
                    Some((_, schemas)) => schemas.push(schema),
                    None => names.by_name.push((id.to_owned(), vec![schema])),
                }
            }
        }
        names
    }

    /// One rule for each: if `key` names it, `with` is such. `must` says that a missing `with` is as an
    /// empty one, so that what it requires is missed.
    fn rules(&self, key: &str, must: bool) -> Vec<Json> {
        let full: Vec<_> = self.builtin.iter().map(|(name, _)| name).collect();
        let rule = |condition: Json, schema: &Json| {
            let mut then = json!({"properties": {"with": schema}});
            if must && schema.get("x-required").is_some() {
                then["required"] = json!(["with"]);
            }
            json!({"if": {"properties": {key: condition}, "required": [key]}, "then": then})
        };
        let builtin = self.builtin.iter().map(|(name, schema)| rule(json!({ "const": name }), schema));
        let named = self.by_name.iter().map(|(name, schemas)| {
            let mut condition = json!({"type": "string", "pattern": format!(r"\.{name}$")});
            // Some validators refuse an empty list of choices.
            if !full.is_empty() {
                condition["not"] = json!({ "enum": full });
            }
            match schemas.as_slice() {
                [one] => rule(condition, one),
                several => rule(condition, &json!({ "anyOf": several })),
            }
        });
        builtin.chain(named).map(without_marks).collect()
    }
}

/// Marks serve only while rules are made.
fn without_marks(mut rule: Json) -> Json {
    if let Some(with) = rule.pointer_mut("/then/properties/with") {
        let forget = |schema: &mut Json| drop(schema.as_object_mut().map(|schema| schema.remove("x-required")));
        forget(with);
        with.get_mut("anyOf").and_then(Json::as_array_mut).into_iter().flatten().for_each(forget);
    }
    rule
}

fn input(action: &ActionInfo, connector: &ConnectorInfo, defs: &mut Map<String, Json>) -> Json {
    let name = format!("action {}.{}", connector.id, action.id);
    hoist(defs, name, &action.input, &action.title, &action.summary, true)
}

/// Puts a schema among the definitions; the reference to it.
fn hoist(defs: &mut Map<String, Json>, name: String, schema: &Json, title: &str, summary: &str, expressions: bool) -> Json {
    let name = name.replace(' ', "_");
    let maker = Maker { base: format!("#/$defs/{name}"), expressions };
    let mut made = maker.inside(schema, 0);
    if let Some(made) = made.as_object_mut() {
        made.entry("title").or_insert_with(|| json!(title));
        made.entry("description").or_insert_with(|| json!(summary));
        made.remove("$schema");
        made.remove("$id");
    }
    let mut reference = json!({ "$ref": maker.base });
    if schema.get("required").and_then(Json::as_array).is_some_and(|required| !required.is_empty()) {
        reference["x-required"] = json!(true);
    }
    defs.insert(name, made);
    reference
}

/// Makes a connector's schema part of the whole.
struct Maker {
    /// Where its root goes.
    base: String,
    /// Expressions may stand for values.
    expressions: bool,
}

impl Maker {
    /// A schema with its parts, but itself as strict as it was.
    fn inside(&self, schema: &Json, depth: usize) -> Json {
        let Json::Object(schema) = schema else { return schema.clone() };
        if depth > DEPTH_MAX {
            return json!({});
        }
        let required: Vec<_> =
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
        let mut made = Map::new();
        for (word, value) in schema {
            let (word, value) = match (word.as_str(), value) {
                ("$ref", Json::String(to)) => {
                    ("$ref", json!(to.strip_prefix('#').map_or_else(|| to.clone(), |at| format!("{}{at}", self.base))))
                }
                ("properties", Json::Object(fields)) => {
                    let field = |(name, schema): (&String, &Json)| {
                        let optional = !required.contains(&name.as_str());
                        (name.clone(), self.value(schema, optional, depth + 1))
                    };
                    ("properties", Json::Object(fields.iter().map(field).collect()))
                }
                ("patternProperties" | "$defs", Json::Object(parts)) => {
                    let all = word == "$defs";
                    let part = |schema| if all { self.inside(schema, depth + 1) } else { self.value(schema, true, depth + 1) };
                    (word.as_str(), Json::Object(parts.iter().map(|(name, schema)| (name.clone(), part(schema))).collect()))
                }
                ("items" | "additionalProperties", schema) => (word.as_str(), self.value(schema, false, depth + 1)),
                // Text with an expression fits several of them at once.
                ("oneOf" | "anyOf", Json::Array(parts)) => {
                    let word = if self.expressions { "anyOf" } else { word.as_str() };
                    (word, parts.iter().map(|schema| self.inside(schema, depth + 1)).collect())
                }
                ("allOf", Json::Array(parts)) => ("allOf", parts.iter().map(|schema| self.inside(schema, depth + 1)).collect()),
                (word, value) => (word, value.clone()),
            };
            made.insert(word.to_owned(), value);
        }
        Json::Object(made)
    }

    /// A schema of a value, for which an expression may stand; what is optional may be null.
    fn value(&self, schema: &Json, optional: bool, depth: usize) -> Json {
        let made = self.inside(schema, depth);
        if !self.expressions || made.as_object().is_none_or(takes_anything) {
            return made;
        }
        let mut either = vec![made, json!({"type": "string", "pattern": r"\$\{"})];
        if optional {
            either.push(json!({"type": "null"}));
        }
        let mut whole = Map::new();
        // Editors show what stands at the top.
        for word in ["title", "description", "default"] {
            if let Some(value) = either[0].as_object_mut().and_then(|made| made.remove(word)) {
                whole.insert(word.to_owned(), value);
            }
        }
        whole.insert("anyOf".to_owned(), Json::Array(either));
        Json::Object(whole)
    }
}

/// It says nothing that a value could fail.
fn takes_anything(schema: &Map<String, Json>) -> bool {
    schema.keys().all(|word| matches!(word.as_str(), "title" | "description" | "default" | "examples"))
}
