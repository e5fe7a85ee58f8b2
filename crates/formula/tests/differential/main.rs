//! Decimals, dates, business days, zones and codes against other libraries, by the thousand.
//!
//! `cases.py` makes formulas from a seed and computes with Python's libraries what each has to give.
//! `cargo xtask test` installs those and says where in `LIAISON_TEST_PYTHON`.

use std::{collections::BTreeMap, process::Command, sync::Arc};

use formula::{Expression, Scope};
use serde_json::{Value as Json, json};

/// Change it to try others; a failure names it.
const SEED: &str = "20260131";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/cases.py");

#[test]
fn other_libraries_agree() {
    let seed = std::env::var("LIAISON_TEST_SEED").unwrap_or_else(|_| SEED.to_owned());
    let scope = Scope::from_json(Arc::new(json!({})));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in cases(&seed).lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let (kind, formula) = (case["kind"].as_str().unwrap(), case["formula"].as_str().unwrap());
        *counts.entry(kind.to_owned()).or_default() += 1;
        let found = Expression::compile(formula)
            .map_err(|problem| format!("{problem:?}"))
            .and_then(|expression| expression.eval(&scope).map_err(|error| format!("{error:?}")));
        if found.as_ref() != Ok(&case["gives"]) {
            wrong.push(format!("{formula}\n  gives {found:?}, another library {}", case["gives"]));
        }
    }
    for kind in ["arithmetic", "division", "integers", "rounding", "calendar", "business", "zones", "phones", "countries"] {
        assert!(counts.get(kind).is_some_and(|count| *count >= 200), "too few cases of {kind}: {counts:?}");
    }
    assert!(
        wrong.is_empty(),
        "{} of {counts:?} differ with seed {seed}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

fn cases(seed: &str) -> String {
    let python = std::env::var("LIAISON_TEST_PYTHON")
        .unwrap_or_else(|_| panic!("set LIAISON_TEST_PYTHON, or run `cargo xtask test`, which installs the libraries"));
    let output = Command::new(python).args([SCRIPT, seed]).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cases in UTF-8")
}
