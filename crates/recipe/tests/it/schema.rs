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
