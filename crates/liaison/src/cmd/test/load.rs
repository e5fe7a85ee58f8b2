//! Reads what a test needs: the recipe, and data from files beside it. Everything is bounded.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use connector::ErrorClass;
use engine::trial::{Failing, Script};
use recipe::ast::{Span, Test, TestData};
use serde_json::Value as Json;
use store::Timestamp;

use super::suite::Problem;

/// The largest recipe file read; the checker refuses it long before.
const RECIPE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The largest file of test data.
const DATA_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// The instant tests begin at that name none: a Monday, 2026-01-05T08:00:00Z.
const BEGINS_AT: Timestamp = Timestamp::from_micros(1_767_600_000_000_000);
/// What is done for real: it only writes to our own log.
const REAL: &[&str] = &["log.write"];

/// A recipe file's bytes, or a sentence.
pub(super) fn recipe(path: &Path) -> Result<Vec<u8>, String> {
    bounded(path, RECIPE_BYTES_MAX)
}

/// The script of a test, or what is wrong with its data.
pub(super) fn script(test: &Test, folder: &Path) -> Result<Script, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut data = |data: &TestData| match data {
        TestData::Inline(json) => Arc::new(json.clone()),
        TestData::File(file) => Arc::new(self::data(folder, &file.value).unwrap_or_else(|sentence| {
            problems.push(Problem::new(file.span, sentence));
            Json::Null
        })),
    };
    let event = data(&test.event);
    let given = test.given.iter().map(|given| (given.step.value.clone(), data(&given.output))).collect();
    let at = test.at.as_ref().map_or(Ok(BEGINS_AT), |at| instant(&at.value).ok_or(at.span));
    let script = Script {
        at: at.unwrap_or(BEGINS_AT),
        event,
        params: test.params.clone(),
        state: test.state.clone(),
        given,
        fails: test.fails.iter().filter_map(failing).collect(),
        real: REAL,
    };
    // The checker has told of an instant that is none.
    if let Err(span) = at {
        problems.push(Problem::new(span, "This is no instant."));
    }
    if problems.is_empty() { Ok(script) } else { Err(problems) }
}

fn failing(failure: &recipe::ast::TestFailure) -> Option<Failing> {
    Some(Failing {
        step: failure.step.value.clone(),
        class: ErrorClass::parse(&failure.class)?,
        code: failure.code.clone(),
        message: failure.message.clone(),
        times: failure.times,
    })
}

fn instant(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.trim().parse().ok()?;
    Some(Timestamp::from_micros(at.as_microsecond()))
}

/// The JSON of a file below the recipe's folder.
fn data(folder: &Path, name: &str) -> Result<Json, String> {
    let path: PathBuf = folder.join(name);
    // The checker refuses `..`; a link could still lead out.
    let inside = match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => true,
    };
    if !inside {
        return Err(format!("{name} leads out of the folder of its recipe. A test reads nothing outside of it."));
    }
    let bytes = bounded(&path, DATA_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{name} is not JSON: {error}."))
}

fn bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("There is no file {}.", path.display()),
        _ => format!("{} cannot be read: {error}.", path.display()),
    };
    if !path.is_file() {
        return Err(format!("There is no file {}.", path.display()));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("{} is larger than {} MB, the most that is read.", path.display(), bytes_max / 1024 / 1024));
    }
    Ok(bytes)
}

/// The place of a whole test for problems that have none of their own.
pub(super) const fn whole(test: &Test) -> Span {
    test.title.span
}
