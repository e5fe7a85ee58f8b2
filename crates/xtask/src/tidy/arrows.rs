//! Which crate may know which: the map of ARCHITECTURE.md, as a list.

use std::{fs, path::Path};

use anyhow::Context;

use super::{Problem, entries};

/// What each crate may know of ours.
const ARROWS: &[(&str, &[&str])] = &[
    ("bench", &["connector", "connectors"]),
    ("connector", &[]),
    // Connector files hold formulas.
    ("connectors", &["connector", "formula"]),
    ("engine", &["recipe", "formula", "connector", "store"]),
    ("formula", &[]),
    ("fuzz", &["recipe", "formula"]),
    (
        "liaison",
        &[
            "server",
            "engine",
            "connector",
            "connectors",
            "recipe",
            "formula",
            "sandbox",
            "store",
            "store-sqlite",
            "store-postgres",
        ],
    ),
    ("recipe", &[]),
    ("sandbox", &[]),
    ("server", &["engine", "recipe", "formula", "connector", "store"]),
    ("store", &[]),
    ("store-postgres", &["store"]),
    ("store-sqlite", &["store"]),
    ("throwaway", &[]),
    ("xtask", &["throwaway"]),
];

/// What their tests may know besides.
const TEST_ARROWS: &[(&str, &[&str])] = &[
    // Renames are proved on the formulas people write.
    ("recipe", &["formula"]),
    // Stories run on real stores; cron expressions are fuzzed like formulas.
    ("engine", &["connectors", "store-sqlite", "store-postgres", "fuzz"]),
    // Every action and trigger meets the simulated system, under every fault, in runs on a real store.
    ("connectors", &["engine", "sandbox", "store", "store-sqlite"]),
    // Some promises are kept while a database server is stopped and started.
    ("liaison", &["throwaway"]),
    // Pages and API answer from a real store.
    ("server", &["connectors", "store-sqlite"]),
    // Its own feature that makes fresh databases.
    ("store-postgres", &["store-postgres"]),
];

pub(super) fn check(home: &Path) -> anyhow::Result<Vec<Problem>> {
    let folders = entries(&home.join("crates"))?;
    let names: Vec<String> =
        folders.iter().filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned())).collect();
    let mut problems = Vec::new();
    for (folder, name) in folders.iter().zip(&names) {
        let file = folder.join("Cargo.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let at = |line: usize, what: String| Problem { file: file.strip_prefix(home).unwrap_or(&file).to_owned(), line, what };
        let Some((_, may_know)) = ARROWS.iter().find(|(from, _)| from == name) else {
            problems.push(at(1, format!("crates/xtask/src/tidy/arrows.rs does not say what {name} may know")));
            continue;
        };
        let tests_may_know = TEST_ARROWS.iter().find(|(from, _)| from == name).map_or(&[][..], |(_, to)| to);
        for (known, in_tests) in known(&text).with_context(|| format!("cannot read {}", file.display()))? {
            let allowed = may_know.contains(&known.as_str()) || (in_tests && tests_may_know.contains(&known.as_str()));
            if names.contains(&known) && !allowed {
                let line = text.lines().position(|line| line.starts_with(&known)).map_or(1, |line| line + 1);
                let who = if in_tests { "the tests of " } else { "" };
                problems.push(at(
                    line,
                    format!("{who}{name} must not know {known}; see the arrows in crates/xtask/src/tidy/arrows.rs"),
                ));
            }
        }
    }
    Ok(problems)
}

/// The crates a manifest names, and whether only for tests.
fn known(manifest: &str) -> anyhow::Result<Vec<(String, bool)>> {
    let manifest: toml::Table = manifest.parse()?;
    let mut known = Vec::new();
    for (section, in_tests) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
        if let Some(list) = manifest.get(section).and_then(toml::Value::as_table) {
            known.extend(list.keys().map(|name| (name.clone(), in_tests)));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read() {
        let manifest = "[dependencies]\nstore.workspace = true\n\n[dev-dependencies]\nengine = { path = \"../engine\" }\n";
        assert_eq!(known(manifest).unwrap(), [("store".to_owned(), false), ("engine".to_owned(), true)]);
    }

    #[test]
    fn no_arrow_leads_back() {
        // Each crate can be taken off the map once everything it knows is off.
        let mut left: Vec<_> = ARROWS.to_vec();
        while !left.is_empty() {
            let before = left.len();
            let names: Vec<&str> = left.iter().map(|(name, _)| *name).collect();
            left.retain(|(_, known)| known.iter().any(|known| names.contains(known)));
            assert!(left.len() < before, "{left:?}");
        }
    }
}
