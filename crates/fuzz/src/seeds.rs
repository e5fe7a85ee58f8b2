//! Where inputs begin: the corpus, and what the project has anyway.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

/// The known inputs of a target, in a fixed order.
///
/// # Panics
/// When the folders of the project cannot be read: without seeds there is nothing to try.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = files(&home().join("crates/fuzz/corpus").join(target));
    match target {
        "recipe" => seeds.extend(files(&home().join("recipes"))),
        // What can be read can be changed.
        "edits" | "editor" | "format" => seeds.extend(self::seeds("recipe")),
        "scan" => seeds.extend(recipes().iter().flat_map(|text| values(text))),
        "formula" => {
            seeds.extend(recipes().iter().flat_map(|text| expressions(text)));
            seeds.extend(crate::targets::examples());
        }
        "path" => seeds.extend(selectors()),
        "cron" => seeds.extend(schedules()),
        _ => {}
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

/// The folder of the project.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a readable folder of seeds").path()).filter(|path| path.is_file());
    paths.map(|path| fs::read(path).expect("a readable seed")).collect()
}

/// The recipes of the project and those in its documentation.
fn recipes() -> Vec<String> {
    let docs = fs::read_to_string(home().join("docs/recipes.md")).expect("docs/recipes.md");
    let texts = files(&home().join("recipes")).into_iter().map(|text| String::from_utf8_lossy(&text).into_owned());
    texts.chain([docs]).collect()
}

/// The lines with an expression in them.
fn values(text: &str) -> Vec<Vec<u8>> {
    text.lines().filter(|line| line.contains("${")).map(|line| line.trim().as_bytes().to_vec()).collect()
}

/// What stands in `${ }`, behind `if:` and `when:`, and between backquotes.
fn expressions(text: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for line in text.lines() {
        for piece in recipe::scan::pieces(line).unwrap_or_default() {
            if let recipe::scan::Piece::Expr { source, .. } = piece {
                found.push(source.as_bytes().to_vec());
            }
        }
        let decision = line.split_once("if: ").or_else(|| line.split_once("when: ")).map(|(_, rest)| rest);
        found.extend(decision.into_iter().chain(line.split('`').skip(1).step_by(2)).map(|text| text.trim().as_bytes().to_vec()));
    }
    found
}

/// The selectors of the compliance suite of JSONPath.
fn selectors() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(home().join("crates/formula/tests/data/jsonpath-cts.json")).expect("the suite of JSONPath");
    let suite: Json = serde_json::from_str(&text).expect("JSON");
    let cases = suite["tests"].as_array().expect("cases");
    cases.iter().filter_map(|case| Some(case["selector"].as_str()?.as_bytes().to_vec())).collect()
}

/// The expressions and zones of the cases of cron.
fn schedules() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(home().join("crates/engine/tests/data/cron-cases.json")).expect("the cases of cron");
    let cases: Vec<Json> = serde_json::from_str(&text).expect("JSON");
    cases.iter().filter_map(|case| Some(format!("{}\n{}", case["expr"].as_str()?, case["tz"].as_str()?).into_bytes())).collect()
}
