//! Expressions as people see them: source and data in, value or sentence out.

mod bad_input;
mod business;
mod dates;
mod docs;
mod every_function;
mod hostile;
mod jsonpath;
mod problems;
mod properties;
mod semantics;
mod surface;
mod types;

use std::sync::Arc;

use formula::{EvalError, Expression, Scope};
use serde_json::{Value as Json, json};

/// The data most cases look at.
fn data() -> Json {
    json!({
        "trigger": {
            "id": "evt_1", "amount": 1999, "price": 19.99, "whole": 5.0, "big": 9_007_199_254_740_993_i64, "huge": u64::MAX, "far": 1e300,
            "text": "5", "empty": "", "no": null, "yes": true, "off": false, "größe": 3, "tiny": 1e-7,
            "a b": { "+1": 7 }, "private": "p", "default": { "type": "t", "switch": [ { "fn": 9 } ] },
            "items": [ { "sku": "A", "n": 2, "price": 1.5, "tags": ["x", "y"] }, { "sku": "B", "n": 1, "price": 2 }, { "sku": "C", "n": 3, "price": null } ],
            "nested": [[1, 2], [3]], "record": { "z": 1, "a": 2 },
        },
        "params": { "rate": 0.19, "min": 10 },
        "steps": { "account": { "records": [ { "Id": "001A" } ], "total_size": 1 }, "skipped": null },
    })
}

fn scope() -> Scope {
    Scope::from_json(Arc::new(data())).with_now("2026-01-02T03:04:05Z")
}

fn eval(source: &str) -> Result<Json, EvalError> {
    let expression = Expression::compile(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}"));
    let value = expression.eval(&scope())?;
    assert_eq!(*expression.eval_shared(&scope())?, value, "shared: {source}");
    Ok(value)
}

#[track_caller]
fn check(source: &str, expected: Json) {
    assert_eq!(eval(source), Ok(expected), "{source}");
}

#[track_caller]
fn check_script(source: &str, expected: Json) {
    let expression = Expression::compile_script(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}"));
    assert_eq!(expression.eval(&scope()), Ok(expected), "{source}");
}

/// The code and a part of the message or hint.
#[track_caller]
fn fails(source: &str, code: &str, part: &str) {
    let error = eval(source).expect_err(source);
    assert_eq!(error.code, code, "{source}: {error:?}");
    assert!(EvalError::CODES.contains(&error.code), "{}", error.code);
    let all = format!("{} {}", error.message, error.hint.as_deref().unwrap_or_default());
    assert!(all.contains(part), "{source}: {all}");
}

/// A text that is wrong where it stands: told before anything runs, and when it comes from data.
#[track_caller]
fn wrong(source: &str, code: &str, part: &str) {
    let problem = Expression::compile(source).expect_err(source);
    let all = format!("{} {}", problem.message, problem.hint.as_deref().unwrap_or_default());
    assert!(all.contains(part), "{source}: {all}");
    assert!(source[problem.range.clone()].starts_with('"'), "{source}: {:?}", problem.range);
    // The same texts, which the reader of the source cannot see through any more.
    let computed: String = source.split('"').enumerate().fold(String::new(), |text, (at, piece)| match at % 2 {
        0 => text + piece,
        _ => format!("{text}(\"{piece}\" + \"\")"),
    });
    fails(&computed, code, part);
}
