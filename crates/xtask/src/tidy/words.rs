//! What may not stand in a source file: too many lines, unfinished work, retired words.

use super::{Problem, Source};

const LINES_MAX: usize = 600;

/// What may not stand in code, and what to do instead. In two halves, so that this list may stand here.
const UNWANTED: &[([&str; 2], &str)] = &[
    (["to", "do!("], "finish it, or leave it out"),
    (["unimple", "mented!("], "finish it, or leave it out"),
    (["#[ig", "nore"], "a test that does not run proves nothing"),
    (["#[al", "low("], "use #[expect(…, reason = …)], which says when it is no longer needed"),
    (["#![al", "low("], "use #![expect(…, reason = …)], which says when it is no longer needed"),
];

/// Words with another name here.
const RETIRED: &[(&str, &str)] = &[
    ("job", "run"),
    ("jobs", "runs"),
    ("task", "run or step"),
    ("tasks", "runs or steps"),
    ("flow", "recipe"),
    ("flows", "recipes"),
    ("workflow", "recipe"),
    ("workflows", "recipes"),
    ("execution", "run"),
    ("executions", "runs"),
    ("node", "step"),
    ("nodes", "steps"),
];

/// Public names that mean something else by such a word.
const MEANT: &[&str] = &[
    // A node of a YAML document.
    "Node", "NodeKind",
];

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    sources.iter().flat_map(|source| [size(source), unwanted(source), retired(source), head(source)].concat()).collect()
}

fn size(source: &Source) -> Vec<Problem> {
    let lines = source.text.lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![source.problem(LINES_MAX, format!("the file has {lines} lines; {LINES_MAX} is the most, and a second room is better"))]
}

fn unwanted(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (line, text) in source.lines() {
        for (halves, instead) in UNWANTED {
            if text.contains(&halves.concat()) {
                problems.push(source.problem(line, format!("{}: {instead}", halves.concat())));
            }
        }
    }
    problems
}

fn retired(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (line, text) in source.lines() {
        let Some(name) = public_name(text).filter(|name| !MEANT.contains(name)) else { continue };
        for word in words(name) {
            if let Some((_, instead)) = RETIRED.iter().find(|(retired, _)| *retired == word) {
                problems.push(source.problem(line, format!("{name}: we say {instead}, not {word}")));
            }
        }
    }
    problems
}

/// The name a line declares to everybody, if it does.
fn public_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start().strip_prefix("pub ")?;
    for word in ["const ", "async ", "unsafe "] {
        // `const` alone is a kind of its own.
        rest = rest.strip_prefix(word).filter(|after| after.contains("fn ")).unwrap_or(rest);
    }
    let (kind, name) = rest.split_once(' ')?;
    if !["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "union"].contains(&kind) {
        return None;
    }
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(name.len());
    Some(&name[..end])
}

/// `StepPath`, `step_path` and `STEP_PATH` are step and path.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && small) {
            words.push(String::new());
        }
        small = letter.is_lowercase();
        if letter != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

/// A crate begins by saying what it is for.
fn head(source: &Source) -> Vec<Problem> {
    let path = source.file.to_string_lossy();
    let is_root = path.split('/').count() == 4 && (path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs"));
    if !is_root || source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![source.problem(1, "a crate begins with //! and what it is for")]
}

#[cfg(test)]
mod tests {
    use super::{super::tests::source, *};

    #[test]
    fn names_are_found_and_split() {
        for (line, name) in [
            ("    pub async fn run_flow(&self)", Some("run_flow")),
            ("pub const fn node<T>()", Some("node")),
            ("pub const JOBS_MAX: u32 = 1;", Some("JOBS_MAX")),
            ("pub struct WorkflowTask;", Some("WorkflowTask")),
            ("pub(crate) fn task() {}", None),
            ("pub task: u8,", None),
            ("fn task() {}", None),
        ] {
            assert_eq!(public_name(line), name, "{line}");
        }
        assert_eq!(
            (words("StepPath"), words("JOBS_MAX")),
            (vec!["step".to_owned(), "path".to_owned()], vec!["jobs".to_owned(), "max".to_owned()])
        );
        assert_eq!(words("overflow"), ["overflow"]);
    }

    #[test]
    fn each_rule_finds_its_problem() {
        let bad = source(
            "crates/x/src/lib.rs",
            &format!(
                "pub struct FlowRun;\n{}\n{}dead_code)]\n{}",
                UNWANTED[0].0.concat(),
                UNWANTED[3].0.concat(),
                "\n".repeat(600)
            ),
        );
        let problems: Vec<String> = check(&[bad]).iter().map(ToString::to_string).collect();
        let expected = ["the file has 603 lines", "finish it", "#[expect", "FlowRun: we say recipe, not flow", "begins with //!"];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with("crates/x/src/lib.rs:") && problem.contains(expected), "{problem} lacks {expected}");
        }
        assert!(check(&[source("crates/x/src/lib.rs", "//! Good.\npub struct Run;\n")]).is_empty());
    }
}
