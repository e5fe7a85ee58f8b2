//! `docs/formulas.md`: a head written by hand, and the functions from their table.

use std::path::Path;

use formula::{Expression, FunctionInfo, functions};
use serde_json::Value as Json;

use crate::scope;

const HEAD: &str = include_str!("../data/formulas-head.md");

/// The groups in the order of the page, with their titles.
const GROUPS: [(&str, &str); 10] = [
    ("text", "Text"),
    ("number", "Numbers"),
    ("money", "Money, and numbers as people write them"),
    ("date", "Dates and times"),
    ("list", "Lists"),
    ("record", "Records"),
    ("value", "Any value"),
    ("format", "Formats, hashes and ids"),
    ("business", "Countries, phone numbers, e-mail addresses"),
    ("script", "In scripts only"),
];

#[test]
fn the_page_is_made_from_the_table() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formulas.md");
    if std::env::var_os("LIAISON_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/formulas.md is out of date; run the tests with LIAISON_WRITE_DOCS=1 to write it again");
}

#[test]
fn the_examples_of_the_head_are_true() {
    let mut count = 0;
    for row in HEAD.lines().filter(|line| line.starts_with("| `")) {
        let row = row.replace("\\|", "\u{1}");
        let cells: Vec<String> = row.trim_matches('|').split('|').map(|cell| cell.replace('\u{1}', "|")).collect();
        let [source, result] = &cells[..] else { continue };
        let (source, result) = (code(source), code(result));
        let expected: Json = serde_json::from_str(result).unwrap_or_else(|error| panic!("{result}: {error}"));
        let value = Expression::compile(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}")).eval(&scope());
        assert_eq!(value, Ok(expected), "{source}");
        count += 1;
    }
    assert!(count > 30, "only {count} examples were found");
}

#[test]
fn every_group_has_its_place() {
    for function in functions() {
        assert!(GROUPS.iter().any(|(group, _)| *group == function.group), "{} is in no group of the page", function.name);
    }
    assert!(functions().len() >= 80, "{}", functions().len());
}

/// What stands between backticks.
fn code(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix("`` ").and_then(|cell| cell.strip_suffix(" ``")).unwrap_or_else(|| cell.trim_matches('`'))
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&format!("\n## The {} functions\n", functions().len()));
    for (group, title) in GROUPS {
        page.push_str(&format!("\n### {title}\n\n"));
        for function in functions().iter().filter(|function| function.group == group) {
            page.push_str(&entry(function));
        }
    }
    page
}

fn entry(function: &FunctionInfo) -> String {
    let FunctionInfo { signature, doc, example, result, .. } = function;
    format!("**`{signature}`**  \n{doc}  \n`{example}` → `{result}`\n\n")
}
