//! The tests of every recipe of the repository.

use std::path::Path;

use crate::support::{command, json};

#[test]
fn every_recipe_passes_its_tests_reaches_every_branch_and_survives_crashes() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut files: Vec<_> = std::fs::read_dir(root.join("recipes"))
        .expect("the folder is there")
        .filter_map(|entry| Some(format!("recipes/{}", entry.ok()?.file_name().to_str()?)))
        .filter(|file| file.ends_with(".recipe.yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    let arguments: Vec<&str> = files.iter().map(String::as_str).chain(["--json", "--crash"]).collect();
    let report = json(&command(root, &arguments).output().expect("the binary runs"));
    for recipe in report["recipes"].as_array().expect("recipes") {
        let name = recipe["recipe"].as_str().expect("a name");
        assert_eq!(recipe["passed"], true, "{name}: {recipe:#}");
        assert_eq!(recipe["coverage"]["missed"].as_array().map(Vec::len), Some(0), "{name}: {:#}", recipe["coverage"]);
        let tests = recipe["tests"].as_array().expect("tests");
        assert!(!tests.is_empty(), "{name} has no tests");
        // Wherever a call was made, there is a place to crash at.
        assert!(tests.iter().any(|test| test["crashes"].as_u64() > Some(0)), "{name}");
    }
}
