//! Lists that must be complete: migrations, verbs in the conformance suite, its cases, connectors.

use std::path::Path;

use anyhow::Context;

use super::{Problem, Source, entries};

const DIALECTS: [&str; 2] = ["sqlite", "postgres"];
const SUITE: &str = "crates/store/src/conformance";

pub(super) fn check(home: &Path, sources: &[Source]) -> anyhow::Result<Vec<Problem>> {
    let mut problems = migrations(home, sources)?;
    problems.extend(verbs(sources));
    problems.extend(cases(sources));
    problems.extend(connectors(sources));
    Ok(problems)
}

fn file<'s>(sources: &'s [Source], path: &str) -> Option<&'s Source> {
    sources.iter().find(|source| source.file == Path::new(path))
}

/// The same numbers and titles in both dialects, all of them embedded.
fn migrations(home: &Path, sources: &[Source]) -> anyhow::Result<Vec<Problem>> {
    let mut names = Vec::new();
    for dialect in DIALECTS {
        let folder = home.join("migrations").join(dialect);
        names.push(
            entries(&folder)?
                .iter()
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect::<Vec<_>>(),
        );
    }
    let mut problems = Vec::new();
    for (one, (dialect, other)) in [(0, (DIALECTS[0], 1)), (1, (DIALECTS[1], 0))] {
        let path = format!("crates/store-{dialect}/src/migrations.rs");
        let list = file(sources, &path).with_context(|| format!("there is no {path}"))?;
        for (place, name) in names[one].iter().enumerate() {
            let at = |what: String| Problem { file: Path::new("migrations").join(dialect).join(name), line: 1, what };
            let number: Option<usize> =
                name.split('_').next().filter(|number| number.len() == 4).and_then(|number| number.parse().ok());
            if number != Some(place + 1) {
                problems.push(at(format!("the next migration has number {:04}", place + 1)));
            }
            if !names[other].contains(name) {
                problems.push(at(format!("migrations/{} has no migration of this number and title", DIALECTS[other])));
            }
            if !list.text.contains(&format!("migrations/{dialect}/{name}\"")) {
                problems.push(at(format!("{path} does not list it")));
            }
        }
    }
    Ok(problems)
}

/// Every verb of a store is asked for by some case.
fn verbs(sources: &[Source]) -> Vec<Problem> {
    let Some(traits) = file(sources, "crates/store/src/lib.rs") else { return Vec::new() };
    let suite: String = suite(sources).map(|source| source.text.as_str()).collect();
    let verbs = traits.lines().filter_map(|(line, text)| {
        let name = text.strip_prefix("    async fn ")?.split('(').next()?;
        Some((line, name))
    });
    verbs
        .filter(|(_, verb)| !suite.contains(&format!(".{verb}(")))
        .map(|(line, verb)| traits.problem(line, format!("no case in {SUITE} asks for {verb}")))
        .collect()
}

/// The rooms of the suite; the store that fails passes every verb on and proves nothing.
fn suite(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| {
        let path = source.file.to_string_lossy();
        path.starts_with(SUITE) && !path.ends_with("/faulty.rs")
    })
}

/// Every case is a test: the macro lists it under its room.
fn cases(sources: &[Source]) -> Vec<Problem> {
    let Some(list) = file(sources, "crates/store/src/conformance.rs") else { return Vec::new() };
    let rooms: Vec<&str> = list.text.split(';').collect();
    let mut problems = Vec::new();
    for source in suite(sources).filter(|source| source.file != list.file) {
        let room = source.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let listed = rooms.iter().find_map(|text| text.trim_start().strip_prefix(&format!("{room}:"))).unwrap_or_default();
        for (line, text) in source.lines() {
            let Some(case) = text.strip_prefix("pub async fn ").and_then(|rest| rest.split('(').next()) else { continue };
            if !listed.split(',').any(|name| name.trim() == case) {
                problems.push(source.problem(line, format!("crates/store/src/conformance.rs does not list {room}::{case}")));
            }
        }
    }
    problems
}

/// Every connector is in the list, by name.
fn connectors(sources: &[Source]) -> Vec<Problem> {
    const LIST: &str = "crates/connectors/src/lib.rs";
    let Some(list) = file(sources, LIST) else { return Vec::new() };
    let listed: Vec<&str> =
        list.text.split("::connector()").filter_map(|before| before.rsplit([' ', '[', '(', '\n', ',']).next()).collect();
    let listed = &listed[..listed.len().saturating_sub(1)];
    let line = list.lines().find(|(_, text)| text.contains("::connector()")).map_or(1, |(line, _)| line);
    let mut problems = Vec::new();
    if !listed.is_sorted() {
        problems.push(list.problem(line, format!("the list is not alphabetical: {}", listed.join(", "))));
    }
    for source in sources {
        let Ok(rest) = source.file.strip_prefix("crates/connectors/src") else { continue };
        let Some(name) = rest.to_str().and_then(|rest| rest.strip_suffix(".rs")).filter(|name| !name.contains('/')) else {
            continue;
        };
        if source.text.contains("fn connector() -> Connector") && !listed.contains(&name) {
            problems.push(source.problem(1, format!("{LIST} does not list {name}")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{super::tests::source, *};

    fn texts(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_connector_out_of_place_is_found() {
        let sources = [
            source("crates/connectors/src/lib.rs", "fn all() {\n    vec![b::connector(), a::connector()]\n}\n"),
            source("crates/connectors/src/c.rs", "pub(crate) fn connector() -> Connector {}"),
        ];
        let expected = [
            "crates/connectors/src/lib.rs:2: the list is not alphabetical: b, a",
            "crates/connectors/src/c.rs:1: crates/connectors/src/lib.rs does not list c",
        ];
        assert_eq!(texts(&connectors(&sources)), expected);
    }

    #[test]
    fn a_verb_nobody_tries_and_a_case_nobody_runs_are_found() {
        let sources = [
            source("crates/store/src/lib.rs", "trait Store {\n    async fn accept(&self);\n    async fn claim(&self);\n}\n"),
            source("crates/store/src/conformance.rs", "tests! { $make; one: a, b; two: c; }"),
            source("crates/store/src/conformance/one.rs", "pub async fn a() { store.accept(); }\npub async fn c() {}\n"),
            source("crates/store/src/conformance/faulty.rs", "self.inner.claim()"),
        ];
        assert_eq!(
            texts(&verbs(&sources)),
            ["crates/store/src/lib.rs:3: no case in crates/store/src/conformance asks for claim"]
        );
        let expected = "crates/store/src/conformance/one.rs:2: crates/store/src/conformance.rs does not list one::c";
        assert_eq!(texts(&cases(&sources)), [expected]);
    }
}
