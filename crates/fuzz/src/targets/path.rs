//! JSONPath: the quick ways give what the whole way gives.

use std::sync::Arc;

use formula::{Expression, Json, Path, Scope};
use serde_json::json;

pub(super) const WORDS: &[&str] = &[
    "$",
    "@",
    ".",
    "..",
    "[",
    "]",
    "[*]",
    "[0]",
    "[-1]",
    "[?",
    "[::2]",
    "['a']",
    "[\"a\"]",
    ",",
    "a",
    "list",
    "odd name",
    "*",
    "==",
    "!=",
    "<=",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "length(@)",
    "count(@.*)",
    "match(@, 'a.*')",
    "search(@.a, '[a-z]')",
    "value(@.a)",
    "null",
    "true",
    "1e2",
    "-0",
    "\\u0061",
    "?? ",
    "'",
    " ",
    "é",
    "$.list[?@.a > $.limit]",
];

pub(super) fn check(input: &[u8]) {
    let Some(text) = super::text(input) else { return };
    let document = document();
    match Path::parse(text) {
        Ok(path) => answers(text, &path, &document),
        Err(problem) => {
            super::assert_in(text, &problem.range, &problem);
            assert!(!problem.message.is_empty());
        }
    }
}

fn answers(text: &str, path: &Path, document: &Json) {
    let Ok(found) = path.query(document) else { return };
    assert!(!path.is_singular() || found.len() <= 1, "{found:?}");
    let expected = if path.is_singular() { found.first().map_or(Json::Null, |value| Json::clone(value)) } else { json!(found) };
    // A path reads the same out of a scope, by another way, whenever it is an expression at all.
    let scope = Scope::from_json(Arc::new(document.clone()));
    // Around an expression, blanks of all alphabets are left out; in a path some of them are names.
    if let Some(expression) = Expression::compile(text).ok().filter(|_| text.trim() == text) {
        assert!(expression.is_path());
        assert_eq!(expression.eval(&scope).expect("a path fits all data"), expected, "{text}");
        for reference in expression.references() {
            super::assert_in(text, &reference.range, reference);
        }
    }
    let again = Path::parse(text).expect("what could be read once");
    assert_eq!(again.query(document), Ok(found));
}

fn document() -> Json {
    json!({
        "a": {"a": [1, 2, {"a": null}], "b": "text", "é": 1.5},
        "list": [{"a": 1, "b": "x"}, {"a": 2, "b": "yy"}, [3, [4]], "abc", null, true, -7],
        "limit": 1,
        "odd name": {"": "empty", "'": "quote", "\"": "quotes", "\\": "back", "\u{1F600}": [9_007_199_254_740_993_i64]},
        "trigger": {"data": {"object": {"id": "in_1", "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}}},
        "*": "star", "$": "root", "length": 3
    })
}
