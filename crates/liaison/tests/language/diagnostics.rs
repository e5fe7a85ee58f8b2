//! Every diagnostic has a page, and its examples do what they say.

use std::fmt::Write;

use recipe::{CodeInfo, parse_and_check};

use crate::{catalogue::catalogue, home, same_as_file, told};

/// Codes that one recipe alone cannot have, or that nothing gives any more.
const WITHOUT_EXAMPLES: &[&str] = &["L0103", "L0305", "L0312", "L0313"];

#[test]
fn every_code_has_examples() {
    for code in recipe::codes() {
        let has = code.examples().is_some();
        assert_eq!(has, !WITHOUT_EXAMPLES.contains(&code.code), "{} {}", code.code, code.title);
    }
}

#[test]
fn bad_examples_have_the_problem_and_nothing_else() {
    let catalogue = catalogue();
    let mut wrong = String::new();
    for (code, bad, _) in examples() {
        let text = recipe::example(bad);
        let found = parse_and_check(&text, &catalogue).diagnostics;
        let has = found.iter().any(|problem| problem.code == code.code);
        // Advice follows from some mistakes, and a cut list says so at its end.
        let other = found.iter().any(|problem| problem.code != code.code && problem.severity == recipe::Severity::Error);
        if !has || (other && !FOLLOWS.contains(&code.code)) {
            let _ = writeln!(
                wrong,
                "{}:\n{}\n{}",
                code.code,
                String::from_utf8_lossy(&text[..text.len().min(500)]),
                told(&text, &found)
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Problems that cannot come alone: what cannot be read is missing, and only the first of many is named.
const FOLLOWS: &[&str] = &["L0007", "L0018", "L0122"];

#[test]
fn good_examples_have_no_problem_at_all() {
    let catalogue = catalogue();
    let mut wrong = String::new();
    for (code, _, good) in examples() {
        let text = recipe::example(good);
        let found = parse_and_check(&text, &catalogue).diagnostics;
        if !found.is_empty() {
            let _ = writeln!(wrong, "{}:\n{}\n{}", code.code, String::from_utf8_lossy(&text), told(&text, &found));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_page_of_diagnostics_is_the_table() {
    let catalogue = catalogue();
    let mut page = String::from(HEAD);
    for code in recipe::codes() {
        let _ = write!(page, "\n## {}: {}\n\n{}\n", code.code, code.title, code.explanation);
        let Some((bad, good)) = code.examples() else { continue };
        let text = recipe::example(bad);
        let found: Vec<_> =
            parse_and_check(&text, &catalogue).diagnostics.into_iter().filter(|p| p.code == code.code).take(1).collect();
        // Counted in the example as it stands here, not in the recipe around it.
        let said = match found.first() {
            Some(problem) => {
                let help = problem.help.as_deref().map(|help| format!("\n{help}")).unwrap_or_default();
                format!("{}{help}", problem.message)
            }
            None => String::new(),
        };
        let _ = write!(page, "\n```yaml\n{bad}\n```\n\n```text\n{said}\n```\n\nBetter:\n\n```yaml\n{good}\n```\n");
    }
    same_as_file(&home().join("docs/diagnostics.md"), &page);
}

fn examples() -> impl Iterator<Item = (&'static CodeInfo, &'static str, &'static str)> {
    recipe::codes().iter().filter_map(|code| code.examples().map(|(bad, good)| (code, bad, good)))
}

const HEAD: &str = "\
# Diagnostics

Every problem that `liaison check`, the API and editors can report, with a bad and a good example. `liaison explain L0102` shows one
in the terminal. The hundreds tell where a problem lies: L00 the text, L01 the shape of the language, L02 expressions, L03 names of
connections, connectors, actions and recipes, L04 values against the schemas of actions, L05 references, L06 advice. Codes are never
given a new meaning.

Examples that start with `- ` are steps; the others are keys of a recipe. This page is made from the checker's own table, and a test
runs every example.
";
