//! The JSON Schema of the language, made from the key tables that the parser itself uses.
//!
//! For editors and other people's tools: it completes keys and finds most mistakes of shape. What it
//! cannot say (unique ids, references, formulas) only [`crate::check`] finds.

mod connectors;

use serde_json::{Map, Value as Json, json};

use crate::keys::{
    APPROVAL, BRANCH, CALLBACK, ERROR_CLASSES, EXPECT, FAILURE, FAILURE_WITH, INPUT_WITH, Need, PARAM, RECIPE, REPEAT, RESERVED,
    RETRY, SCHEDULE_WITH, STEP, STEP_WORDS, Shape, TEST, TRIGGERS, Table, UNDO, WAIT, WAIT_WORDS, WEBHOOK_WITH,
};

use crate::catalogue::Catalogue;

const NAME: &str = "^[a-z][a-z0-9_]{0,39}$";
const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";

/// The JSON Schema (2020-12) of a recipe, as this version reads it.
#[must_use]
pub fn schema() -> Json {
    let mut root = Map::new();
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("$id".to_owned(), json!("/schema/recipe-1.json"));
    root.insert("title".to_owned(), json!("Liaison recipe, language version 1"));
    root.extend(table(&RECIPE));
    root.insert(
        "$defs".to_owned(),
        json!({
            "duration": {"type": "string", "pattern": DURATION, "description": "A whole number and a unit: 500ms 30s 5m 12h 7d."},
            "decision": {
                "type": ["string", "boolean"],
                "not": {"type": "string", "pattern": r"\$\{"},
                "description": "A formula that gives true or false, without ${ }."
            },
            "param": table(&PARAM),
            "retry": {
                "anyOf": [{"const": "none"}, times(1, 100), table(&RETRY)],
                "description": "none, a number of tries, or a record."
            },
            "error_class": {"enum": ERROR_CLASSES},
            "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
            "step": step(),
            "branch": branch(),
            "undo": table(&UNDO),
            "json_schema": {"type": ["object", "boolean"]},
            "test": table(&TEST),
            "failure": table(&FAILURE),
        }),
    );
    Json::Object(root)
}

/// The same with what the actions and triggers of these connectors take in `with`.
///
/// Connections have free names, so an action is told by its own: where connectors share one, any of
/// their inputs fits. Wherever a typed value is expected, an expression is too.
#[must_use]
pub fn schema_with(catalogue: &Catalogue) -> Json {
    let mut root = schema();
    connectors::add(&mut root, catalogue);
    root
}

fn table(table: &Table) -> Map<String, Json> {
    let usable = || table.keys.iter();
    let property = |shape: Shape, doc: &str| match self::shape(shape) {
        Json::Object(mut schema) => {
            schema.insert("description".to_owned(), json!(doc));
            Json::Object(schema)
        }
        _ => json!({ "description": doc }),
    };
    let properties: Map<_, _> = usable().map(|key| (key.name.to_owned(), property(key.shape, key.doc))).collect();
    let required: Vec<_> = usable().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Json::Object(properties));
    schema.insert("required".to_owned(), json!(required));
    schema.insert("patternProperties".to_owned(), json!({"^x-": true}));
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn shape(shape: Shape) -> Json {
    match shape {
        Shape::Version => json!({"const": 1}),
        Shape::Slug => json!({"type": "string", "pattern": "^[a-z0-9-]{1,63}$"}),
        Shape::Id => json!({"type": "string", "pattern": NAME, "not": {"enum": RESERVED}}),
        Shape::Name => {
            let reserved: Vec<_> = RESERVED.iter().filter(|word| **word != "item").collect();
            json!({"type": "string", "pattern": NAME, "not": {"enum": reserved}})
        }
        Shape::Text | Shape::TextValue => json!({"type": "string"}),
        Shape::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Shape::Connections => json!({
            "type": "object",
            "patternProperties": {"^x-": true, NAME: {"type": "string"}},
            "additionalProperties": false
        }),
        Shape::Params => json!({
            "type": "object",
            "patternProperties": {"^x-": true, NAME: {"$ref": "#/$defs/param"}},
            "additionalProperties": false
        }),
        Shape::Table(inner) if inner.what == "a trigger" => trigger(inner),
        Shape::Table(inner) if *inner == UNDO => json!({"$ref": "#/$defs/undo"}),
        Shape::Table(inner) if *inner == WAIT => wait(inner),
        Shape::Table(inner) if *inner == REPEAT => {
            let mut schema = table(inner);
            schema.insert("anyOf".to_owned(), json!([{"required": ["until"]}, {"required": ["max"]}]));
            Json::Object(schema)
        }
        Shape::Table(inner) if *inner == CALLBACK => {
            let mut schema = table(inner);
            schema.insert("type".to_owned(), json!(["object", "null"]));
            Json::Object(schema)
        }
        Shape::Table(inner) if *inner == APPROVAL => {
            let mut schema = Json::Object(table(inner));
            schema["properties"]["from"] = json!({
                "type": "object",
                "properties": {"group": {}, "user": {}},
                "additionalProperties": false,
                "minProperties": 1,
                "description": "Who may decide: `group` or `user`, one name or a list."
            });
            schema
        }
        Shape::Table(inner) if *inner == EXPECT => {
            let mut schema = table(inner);
            let says = inner.keys.iter().filter(|key| key.name != "match").map(|key| json!({"required": [key.name]}));
            schema.insert("anyOf".to_owned(), says.collect());
            Json::Object(schema)
        }
        Shape::Table(inner) => Json::Object(table(inner)),
        Shape::Source => json!({"anyOf": [{"enum": TRIGGERS}, {"type": "string", "pattern": dotted()}]}),
        Shape::Action => json!({"type": "string", "pattern": dotted()}),
        Shape::Literal | Shape::Value => json!({}),
        Shape::LiteralRecord | Shape::Values => json!({"type": "object"}),
        Shape::ListValue => json!({"type": ["array", "string"]}),
        Shape::SetValue => json!({"type": ["object", "string"], "minProperties": 1, "minLength": 1}),
        Shape::Decision => json!({"$ref": "#/$defs/decision"}),
        Shape::Duration => json!({"$ref": "#/$defs/duration"}),
        Shape::Retry => json!({"$ref": "#/$defs/retry"}),
        Shape::WholeNumber { min, max } => times(min, max),
        Shape::Factor => json!({"type": "number", "minimum": 1, "maximum": 100}),
        Shape::Choice(choices) => json!({ "enum": choices }),
        Shape::Choices(_) => json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/error_class"}}),
        Shape::Steps => json!({"$ref": "#/$defs/steps"}),
        Shape::Branches => json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/branch"}}),
        Shape::LiteralList => json!({"type": "array"}),
        Shape::JsonSchema => json!({"$ref": "#/$defs/json_schema"}),
        Shape::Instant => json!({"type": "string", "minLength": 1}),
        Shape::DurationValue => json!({"anyOf": [{"$ref": "#/$defs/duration"}, {"type": "string", "pattern": r"\$\{"}]}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Number => json!({"type": "number"}),
        Shape::Parallel => json!({"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 100},
            {"type": "object", "minProperties": 1, "patternProperties": {"^x-": true, NAME: {"$ref": "#/$defs/steps"}}, "additionalProperties": false}
        ]}),
        Shape::WaitFor => json!({"anyOf": [{"enum": ["all", "any"]}, {"type": "integer", "minimum": 1}]}),
        Shape::Tests => json!({"type": "array", "items": {"$ref": "#/$defs/test"}}),
        Shape::TestData => json!({}),
        Shape::ByStep => json!({"type": "object"}),
        Shape::Failures => json!({"type": "object", "additionalProperties": {"$ref": "#/$defs/failure"}}),
    }
}

fn dotted() -> String {
    let part = NAME.trim_start_matches('^').trim_end_matches('$');
    format!(r"^{part}\.{part}$")
}

fn times(min: u32, max: u32) -> Json {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

/// `with` of the triggers that need no connector has keys of its own.
fn trigger(keys: &Table) -> Json {
    let mut schema = table(keys);
    let rule = |from: &str, with: &Table| {
        let mut then = json!({"properties": {"with": table(with)}});
        if with.keys.iter().any(|key| key.need == Need::Required) {
            then["required"] = json!(["with"]);
        }
        json!({"if": {"properties": {"from": {"const": from}}, "required": ["from"]}, "then": then})
    };
    let rules = [
        rule("webhook", &WEBHOOK_WITH),
        rule("schedule", &SCHEDULE_WITH),
        rule("api", &INPUT_WITH),
        rule("call", &INPUT_WITH),
        rule("failure", &FAILURE_WITH),
    ];
    schema.insert("allOf".to_owned(), json!(rules));
    Json::Object(schema)
}

/// Exactly one of what can be waited for.
fn wait(keys: &Table) -> Json {
    let mut schema = table(keys);
    schema.insert("oneOf".to_owned(), WAIT_WORDS.iter().map(|word| json!({ "required": [word] })).collect());
    Json::Object(schema)
}

/// Exactly one step word, and its companions only beside it.
fn step() -> Json {
    let mut schema = table(&STEP);
    // Beside `each`, `parallel` is a number of passes.
    let word = |word: &str| match word {
        "parallel" => {
            json!({"required": ["parallel"], "not": {"required": ["each"]}, "properties": {"parallel": {"type": "object"}}})
        }
        "each" => json!({"required": ["each"], "properties": {"parallel": {"type": "integer"}}}),
        _ => json!({ "required": [word] }),
    };
    let words: Vec<_> = STEP_WORDS.iter().map(|(name, ..)| word(name)).collect();
    let mut needs = Map::new();
    for (_, own, _) in STEP_WORDS {
        for name in own.iter().filter(|name| **name != "parallel") {
            let owners =
                STEP_WORDS.iter().filter(|(_, own, _)| own.contains(name)).map(|(owner, ..)| json!({"required": [owner]}));
            needs.insert((*name).to_owned(), json!({"anyOf": owners.collect::<Vec<_>>()}));
        }
    }
    for (word, _, must) in STEP_WORDS.iter().filter(|(_, _, must)| !must.is_empty()) {
        needs.insert((*word).to_owned(), json!({ "required": must }));
    }
    needs.insert(
        "parallel".to_owned(),
        json!({"anyOf": [{"required": ["each"]}, {"properties": {"parallel": {"type": "object"}}}]}),
    );
    needs.insert("try".to_owned(), json!({"anyOf": [{"required": ["catch"]}, {"required": ["finally"]}]}));
    schema.insert("oneOf".to_owned(), Json::Array(words));
    schema.insert("dependentSchemas".to_owned(), Json::Object(needs));
    Json::Object(schema)
}

fn branch() -> Json {
    let mut schema = table(&BRANCH);
    let alone = json!({"required": ["otherwise"], "properties": {"when": false, "steps": false}});
    let usual = json!({"required": ["when", "steps"], "properties": {"otherwise": false}});
    schema.insert("oneOf".to_owned(), json!([usual, alone]));
    Json::Object(schema)
}
