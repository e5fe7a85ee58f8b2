//! Every function of the table with values of every kind: an answer, always, and in time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use formula::{EvalError, Expression, FunctionInfo, Scope, functions};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// What a single call may take at most, in a build without optimisation on a busy machine.
const CALL_MAX: Duration = Duration::from_secs(20);

/// Values of every kind, at the ends of what they can be.
fn values() -> Vec<Json> {
    let texts = [
        "",
        " ",
        "a",
        "Ä🎉ß",
        "\u{301}",
        "\0",
        "0",
        "-1",
        "1e999",
        "2026-01-31",
        "2026-01-31T10:00:00Z",
        "2026-01-31T10:00:00",
        "9999-12-31T23:59:59Z",
        "0001-01-01",
        "2016-12-31T23:59:60Z",
        "2026-01-31T10:00:00+01:00[Europe/Berlin]",
        "5m",
        "-99999d",
        "PT1H",
        "Europe/Berlin",
        "+14:00",
        "UTC",
        "%Y-%m-%d",
        "%",
        "%%%99999Y",
        "%::z%f%9f",
        "(",
        "(a+)+$",
        "[",
        "\\p{L}+",
        "${1}$x",
        ".*",
        "eur",
        "JPY",
        "de",
        "DE",
        "+4930901820",
        "030 901820",
        "++49",
        "+99999999999999999999",
        "a@example.com",
        "\"@\"@\"",
        "a.b[0]",
        "[-1]",
        "a..b",
        ",",
        ";",
        "\t",
        "a,b\n1,2",
        "\"",
        "a=1&a=2",
        "http://[::1",
        "https://é.example:99999/?=#",
        "{",
        "[1]",
        "YTpi",
        "c3a9",
        "hex",
        "base64",
        "desc",
        "half_even",
        "week",
        "ms",
        "==",
        "contains",
        "alpha3",
    ];
    let mut out: Vec<Json> = texts.into_iter().map(Json::from).collect();
    out.push("x".repeat(100_000).into());
    out.push("é,".repeat(50_000).into());
    out.push("9".repeat(400).into());
    out.extend([Json::Null, json!(true), json!(false)]);
    out.extend([
        json!(0),
        json!(1),
        json!(-1),
        json!(2),
        json!(28),
        json!(9999),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
    ]);
    out.extend([json!(0.5), json!(-2.5), json!(1e-28), json!(1e28), json!(1e300), json!(19.99), json!(7.0)]);
    out.extend([
        json!([]),
        json!([1, "a", null]),
        json!([[1], [2, [3]]]),
        json!(["2026-12-25"]),
        json!([{ "a": 1, "b": null }, { "a": "x" }]),
    ]);
    out.extend([json!({}), json!({ "a": { "b": [1] }, "": 2, "🎉": null }), json!({ "a": "b", "b": "a" })]);
    out.push(Json::Array((0..3000).map(|n| json!({ "a": n % 7, "b": n.to_string() })).collect()));
    out.push(nested(100));
    out
}

fn nested(depth: usize) -> Json {
    (0..depth).fold(json!(1), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) })
}

/// Closures and values that only a formula makes.
const MADE: [&str; 9] = [
    "|x| x",
    "|x| x == 1",
    "|a, b| a",
    "|x| [x, x]",
    "now()",
    "today(\"UTC\")",
    "duration(\"90m\")",
    "[date(\"2026-01-31\")]",
    "#{ at: now(), list: [1, 2] }",
];

fn call(function: &FunctionInfo, picks: &[usize], count: usize, method: bool) -> String {
    let pool = values().len() + MADE.len();
    let arguments: Vec<String> = (0..count)
        .map(|at| match (picks[at] % pool).checked_sub(MADE.len()) {
            Some(value) => format!("v[{value}]"),
            None => MADE[picks[at] % pool].to_owned(),
        })
        .collect();
    match arguments.split_first() {
        Some((first, rest)) if method && !first.starts_with('|') => format!("({first}).{}({})", function.name, rest.join(", ")),
        _ => format!("{}({})", function.name, arguments.join(", ")),
    }
}

fn answer(source: &str, scope: &Scope) -> Result<Json, EvalError> {
    let expression = Expression::compile(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}"));
    let started = Instant::now();
    let answer = expression.eval(scope);
    assert!(started.elapsed() < CALL_MAX, "{source} takes {:?}", started.elapsed());
    answer
}

fn scope() -> Scope {
    Scope::from_json(Arc::new(json!({ "v": values() }))).with_now("2026-01-02T03:04:05Z")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_to_anything(picks in prop::collection::vec(any::<usize>(), 8), extra in any::<usize>(), method in any::<bool>()) {
        let scope = scope();
        for function in functions() {
            let (least, most) = (*function.arguments.start(), *function.arguments.end());
            let source = call(function, &picks, least + extra % (most - least + 1), method);
            match answer(&source, &scope) {
                Ok(value) => {
                    // The same again: nothing depends on the time, the place or the calls before.
                    prop_assert_eq!(answer(&source, &scope), Ok(value), "{}", source);
                }
                Err(error) => {
                    prop_assert!(EvalError::CODES.contains(&error.code), "{}: {:?}", source, error);
                    prop_assert!(!error.message.is_empty() && error.message.chars().count() < 700, "{}: {:?}", source, error);
                    prop_assert!(error.code != "failed", "{}: {:?}", source, error);
                }
            }
        }
    }
}
