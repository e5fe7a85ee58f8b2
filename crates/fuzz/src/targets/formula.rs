//! Formulas and scripts: they end, within their bounds, the same way each time.

use std::sync::Arc;

use formula::{EvalError, Expression, Json, Scope, SyntaxProblem, functions, limits};
use serde_json::json;

pub(super) const WORDS: &[&str] = &[
    "trigger",
    ".data",
    ".amount",
    "steps.a",
    "params.min",
    "item",
    "index",
    "run.id",
    "now()",
    "[0]",
    "[-1]",
    "?.",
    "??",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "!",
    "+",
    "-",
    "*",
    "/",
    "%",
    "**",
    "(",
    ")",
    "[",
    "]",
    "#{",
    "}",
    "{",
    ",",
    ":",
    ";",
    "|x|",
    "=>",
    "let x = ",
    "x",
    "if ",
    "else",
    "for i in ",
    "while ",
    "loop ",
    "return ",
    "throw ",
    "try ",
    "catch ",
    "break",
    "fn f(n) ",
    "f(n)",
    "null",
    "true",
    "1",
    "0.1",
    "19.99",
    "1e3",
    "9007199254740993",
    "170141183460469231731687303715884105727",
    "\"a\"",
    "'a'",
    "`${x}`",
    "\\u{1F600}",
    "//",
    "/*",
    "*/",
    ".map(|x| x)",
    ".filter(|x| x > 1)",
    "sum(trigger.list)",
    "join(",
    "default(",
    "present(",
    "text(",
    "round(",
    "private",
    "new",
    "import ",
    "eval(",
    "print(",
    "this",
    "$.trigger",
    "é",
    "\n",
];

pub(super) fn check(input: &[u8]) {
    let Some(source) = super::text(input) else { return };
    let scope = scope();
    match Expression::compile(source) {
        Ok(expression) => runs(source, &expression, &scope),
        Err(problem) => told(source, &problem),
    }
    match Expression::compile_script(source) {
        Ok(script) => runs(source, &script, &scope),
        Err(problem) => told(source, &problem),
    }
}

fn told(source: &str, problem: &SyntaxProblem) {
    super::assert_in(source, &problem.range, problem);
    assert!(!problem.message.is_empty());
}

fn runs(source: &str, expression: &Expression, scope: &Scope) {
    assert_eq!(expression.source(), source);
    for reference in expression.references() {
        super::assert_in(source, &reference.range, reference);
    }
    let result = expression.eval(scope);
    match &result {
        Ok(value) => {
            assert!(depth(value) <= limits::VALUE_DEPTH_MAX, "deeper than allowed");
            assert!(weight(value) <= weight_max(scope), "larger than allowed");
        }
        Err(error) => failed(source, error),
    }
    assert_eq!(expression.eval(scope), result, "the same twice");
    assert_eq!(expression.eval_shared(scope).map(|shared| Json::clone(&shared)), result, "shared or not");
    match (expression.eval_bool(scope), &result) {
        (Ok(decision), Ok(value)) => assert_eq!(*value, json!(decision)),
        (Ok(_), Err(error)) => panic!("a decision from {error:?}"),
        (Err(error), _) => failed(source, &error),
    }
}

fn failed(source: &str, error: &EvalError) {
    assert!(EvalError::CODES.contains(&error.code), "{error:?}");
    assert!(!error.message.is_empty());
    if let Some(range) = &error.range {
        super::assert_in(source, range, error);
    }
}

/// What a result may weigh at most: one operation copies 64 bytes, or an item of the data.
fn weight_max(scope: &Scope) -> usize {
    let data = Expression::compile("$").map(|whole| whole.eval(scope).map_or(0, |data| weight(&data))).unwrap_or(0);
    limits::LIST_ITEMS_MAX * data.max(1) + 64 * limits::TEXT_BYTES_MAX
}

fn weight(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len(),
        Json::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Json::Object(fields) => 1 + fields.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>(),
        _ => 1,
    }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn scope() -> Scope {
    let mut scope = Scope::new().with_now("2026-03-29T01:30:00Z");
    let trigger = json!({
        "id": "evt_1", "amount": 129.5, "cents": 12950, "big": 9_007_199_254_740_993_i64, "list": [3, 1, 2, null, "x"],
        "data": {"object": {"id": "in_1", "lines": [{"sku": "a", "n": 1, "price": 19.99}, {"sku": "b", "n": null}], "paid": true}},
        "text": "Änderung <b>&amp;</b> \u{1F600}", "when": "2026-03-29T01:30:00+01:00", "day": "2024-02-29", "empty": "", "private": 1,
        "+1": 2, "none": null
    });
    scope.set("trigger", Arc::new(trigger));
    scope.set("params", Arc::new(json!({"min": 100})));
    scope.set("run", Arc::new(json!({"id": "run_1"})));
    scope.set("item", Arc::new(json!({"a": [1, [2, [3]]]})));
    scope.set("index", Arc::new(json!(0)));
    scope.set_in("steps", &Arc::from("a"), Arc::new(json!({"body": {"name": "x"}, "status": 200})));
    scope
}

/// The example of every function, so that mutations know all of them.
pub(crate) fn examples() -> impl Iterator<Item = Vec<u8>> {
    functions().iter().map(|function| function.example.as_bytes().to_vec())
}
