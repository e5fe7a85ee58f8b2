//! Recipes broken in one place each, and all that is said of them.
//!
//! `recipes/broken/cases.yaml` lists the cases; `expected.txt` beside it holds what the checker says.

use std::collections::HashMap;
use std::fmt::Write;

use recipe::{Severity, parse_and_check};

use crate::{catalogue::catalogue, home, same_as_file, told};

/// How many broken recipes there are at least.
const CASES_MIN: usize = 120;

/// One line of the list: `name | recipe | what is replaced | what stands there instead`.
fn cases(text: &str) -> Vec<[String; 4]> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<String> = line.split(" | ").map(|part| part.replace("\\n", "\n").replace("\\t", "\t")).collect();
            <[String; 4]>::try_from(parts).unwrap_or_else(|_| panic!("four parts: {line}"))
        })
        .collect()
}

#[test]
fn the_recipes_that_are_broken_are_sound_before() {
    for name in ["invoice", "hire"] {
        let text = std::fs::read(home().join(format!("recipes/broken/{name}.recipe.yaml"))).expect("a recipe");
        let found = parse_and_check(&text, &catalogue()).diagnostics;
        assert!(found.is_empty(), "{name}:\n{}", told(&text, &found));
    }
}

#[test]
fn broken_recipes_are_told_as_they_were() {
    let folder = home().join("recipes/broken");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let cases = cases(&read("cases.txt"));
    assert!(cases.len() >= CASES_MIN, "{} broken recipes", cases.len());
    let catalogue = catalogue();
    let mut page = String::new();
    let mut names: HashMap<String, ()> = HashMap::new();
    for [name, base, old, new] in &cases {
        let sound = read(&format!("{base}.recipe.yaml"));
        assert_eq!(sound.matches(old.as_str()).count(), 1, "{name}: {old:?} stands once in {base}");
        assert!(names.insert(name.clone(), ()).is_none(), "{name} is there twice");
        let text = sound.replacen(old.as_str(), new, 1);
        let found = parse_and_check(text.as_bytes(), &catalogue).diagnostics;
        assert!(!found.is_empty(), "{name} is not broken:\n{text}");
        // What is only advice is named so, and nothing else is.
        let errors = found.iter().any(|problem| problem.severity == Severity::Error);
        assert_eq!(errors, !name.starts_with("advice:"), "{name}:\n{}", told(text.as_bytes(), &found));
        let _ = write!(page, "# {name}\n{}\n", told(text.as_bytes(), &found));
    }
    same_as_file(&folder.join("expected.txt"), &page);
}
