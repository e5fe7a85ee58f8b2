//! The compliance suite of RFC 9535 (703 cases, BSD-2-Clause, see `tests/data`).

use std::sync::Arc;

use formula::{Expression, Path, Scope};
use serde_json::Value as Json;

#[test]
fn every_case_of_the_compliance_suite() {
    let suite: Json = serde_json::from_str(include_str!("../data/jsonpath-cts.json")).unwrap();
    let cases = suite["tests"].as_array().unwrap();
    assert_eq!(cases.len(), 703);
    let mut singular = 0;
    for case in cases {
        let (name, selector) = (case["name"].as_str().unwrap(), case["selector"].as_str().unwrap());
        let path = Path::parse(selector);
        if case["invalid_selector"] == true {
            assert!(path.is_err(), "{name}: {selector} is accepted");
            continue;
        }
        let path = path.unwrap_or_else(|problem| panic!("{name}: {selector}: {problem:?}"));
        let document = &case["document"];
        let found = Json::Array(path.query(document).unwrap().into_iter().cloned().collect());
        let right = |found: &Json| match case.get("result") {
            Some(result) => found == result,
            None => case["results"].as_array().unwrap().contains(found),
        };
        assert!(right(&found), "{name}: {selector} finds {found}");

        // The same through an expression, where the document is what `$` stands for.
        let value = Expression::compile(selector).unwrap().eval(&Scope::from_json(Arc::new(document.clone()))).unwrap();
        if path.is_singular() {
            singular += 1;
            assert_eq!(value, found[0], "{name}: {selector}");
        } else {
            assert!(right(&value), "{name}: {selector} gives {value}");
        }
    }
    assert!(singular > 50, "only {singular} paths were recognised as matching once");
}
