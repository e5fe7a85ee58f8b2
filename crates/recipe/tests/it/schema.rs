//! The JSON Schema and the parser agree.

use serde_json::Value as Json;

use crate::broken::SHAPES;

/// A recipe that holds every word and reads the same as YAML and as JSON.
const GOOD: &str = include_str!("good.json");

#[test]
fn good_recipes_fit_the_schema() {
    let validator = jsonschema::validator_for(&recipe::schema()).expect("the schema is a schema");
    let good: Json = serde_json::from_str(GOOD).expect("JSON");
    let problems: Vec<_> = validator.iter_errors(&good).map(|e| format!("{} {e}", e.instance_path())).collect();
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(recipe::parse(GOOD.as_bytes()).diagnostics, []);
}

#[test]
fn what_the_parser_refuses_for_its_shape_the_schema_refuses() {
    let validator = jsonschema::validator_for(&recipe::schema()).expect("the schema is a schema");
    for (pointer, value) in SHAPES {
        let mut broken: Json = serde_json::from_str(GOOD).expect("JSON");
        let value: Json = serde_json::from_str(value).expect("JSON");
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let parent = broken.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} is in the good recipe"));
        match parent {
            Json::Object(fields) => drop(fields.insert(key.to_owned(), value)),
            other => panic!("{pointer} is {other}"),
        }
        let text = broken.to_string();
        let errors = recipe::parse(text.as_bytes()).diagnostics;
        assert!(errors.iter().any(|d| d.severity == recipe::Severity::Error), "the parser takes {pointer}");
        assert!(!validator.is_valid(&broken), "the schema takes {pointer}");
    }
}

/// A recipe with one step `do: <action>` and this input.
fn doing(action: &str, with: &str) -> Json {
    let text = format!(
        r#"{{"liaison": 1, "recipe": "x", "connections": {{"sf": "salesforce"}}, "trigger": {{"from": "api"}},
            "steps": [{{"id": "a", "do": "{action}", "with": {with}}}]}}"#
    );
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn with_connectors_the_schema_and_the_checker_agree_on_inputs() {
    let catalogue = crate::catalogue::catalogue();
    let schema = recipe::schema_with(&catalogue);
    assert!(jsonschema::meta::is_valid(&schema), "it is a schema of 2020-12");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let cases = [
        ("sf.query", r#"{"soql": "SELECT Id"}"#, true),
        ("sf.query", r#"{"soql": "${ trigger.q }", "limit": "${ trigger.n }", "mode": "${ trigger.mode }"}"#, true),
        ("sf.query", r#"{"soql": "x", "limit": 5, "mode": "fast", "all": null}"#, true),
        ("sf.query", r#"{"soql": "x", "accept": ["${ trigger.s }", 200], "page": {"size": "${ 1 + 1 }"}}"#, true),
        ("sf.query", r#"{"soql": "x", "page": {"size": 1, "next": {"size": 2}}}"#, true),
        ("sf.query", r#"{"soql": "x", "page": {"size": 1, "next": {"size": "two"}}}"#, false),
        ("sf.query", r#"{"soql": "x", "limit": "5"}"#, false),
        ("sf.query", r#"{"soql": "x", "limit": 0}"#, false),
        ("sf.query", r#"{"soql": "x", "mode": "medium"}"#, false),
        ("sf.query", r#"{"limit": 1}"#, false),
        ("sf.query", r#"{"soql": null}"#, false),
        ("sf.query", r#"{"soql": "x", "lmit": 1}"#, false),
        ("http.request", r#"{"url": "https://example.com"}"#, true),
        ("http.request", r#"{"uri": "https://example.com"}"#, false),
    ];
    for (action, with, good) in cases {
        let recipe = doing(action, with);
        let found = recipe::parse_and_check(recipe.to_string().as_bytes(), &catalogue).diagnostics;
        let sound = found.iter().all(|d| d.severity != recipe::Severity::Error);
        assert_eq!(sound, good, "the checker on {action} {with}: {found:?}");
        assert_eq!(validator.is_valid(&recipe), good, "the schema on {action} {with}");
    }
    let mut bare = doing("sf.query", "{}");
    bare["steps"][0].as_object_mut().expect("a step").remove("with");
    assert!(!validator.is_valid(&bare), "what an action requires is missed without `with`, too");
    bare["connections"]["sf"] = "salesfroce".into();
    bare["steps"][0] = serde_json::json!({"id": "a", "return": 1});
    assert!(!validator.is_valid(&bare), "connectors are known");
}

#[test]
fn with_connectors_the_schema_takes_the_good_recipe() {
    let mut catalogue = crate::catalogue::catalogue();
    let good: Json = serde_json::from_str(GOOD).expect("JSON");
    // Only its own words are judged here: every connector it names is let through.
    for (_, connector) in good["connections"].as_object().expect("connections") {
        let id = connector.as_str().expect("a text");
        if !catalogue.connectors.iter().any(|known| known.id == id) {
            let (title, id) = (id.to_owned(), id.to_owned());
            let connector = recipe::ConnectorInfo { id, title, builtin: false, actions: vec![], triggers: vec![] };
            std::sync::Arc::make_mut(&mut catalogue.connectors).push(connector);
        }
    }
    let errors = |json: &Json| {
        let validator = jsonschema::validator_for(&recipe::schema_with(&catalogue)).expect("the schema is a schema");
        validator.iter_errors(json).map(|e| format!("{} {e}", e.instance_path())).collect::<Vec<_>>()
    };
    assert_eq!(errors(&good), Vec::<String>::new());
}
