//! Makes a test from a past run: its event, what the systems answered, what was sent to them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use engine::catalogue;
use recipe::{
    Change, FieldPath, NewValue, PathPart,
    ast::{Recipe, StepKind, walk},
};
use reqwest::Method;
use serde_json::{Map, Value as Json, json};

use super::load;
use crate::{cmd::recipe_files, remote::Remote};

/// Answers longer than this go to files of their own.
const INLINE_BYTES_MAX: usize = 600;
/// A test of more calls than this is none that a person reads.
const CALLS_MAX: usize = 200;

/// Reads the run, writes its files and appends the test; the test's title.
pub(super) async fn record(remote: &Remote, run: &str, paths: &[PathBuf]) -> anyhow::Result<String> {
    let id: store::RunId = run.parse().map_err(|error| anyhow::anyhow!("{run} is no run's id: {error}"))?;
    let run = remote.send(Method::GET, &format!("/api/v1/runs/{id}"), None).await?.good()?.json();
    let slug = run["recipe"].as_str().context("the server's answer is no run")?;
    let (file, text, recipe) = find(slug, paths)?;
    let made = test_of(&run, &recipe)?;
    if recipe.tests.iter().any(|test| test.title.value == made.title) {
        bail!("{} has the test \"{}\" already", file.display(), made.title);
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let at = FieldPath::recipe([PathPart::from("tests"), PathPart::from(recipe.tests.len())]);
    let (at, value) = match recipe.tests.is_empty() {
        true => (FieldPath::recipe(["tests"]), json!([made.test])),
        false => (at, made.test),
    };
    let change = Change::SetField { at, value: NewValue::Json(value) };
    let edited = recipe::edit(&text, &change, &catalogue::of(&crate::declared::here()))
        .with_context(|| format!("the test cannot be written into {}", file.display()))?;
    std::fs::create_dir_all(folder.join("fixtures")).context("cannot make the folder fixtures")?;
    for (name, data) in &made.files {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(data)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    std::fs::write(&file, edited.text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(made.title)
}

fn find(slug: &str, paths: &[PathBuf]) -> anyhow::Result<(PathBuf, String, Recipe)> {
    for file in recipe_files(paths)? {
        let Ok(bytes) = load::recipe(&file) else { continue };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Some(recipe) = recipe::parse(text.as_bytes()).recipe.filter(|recipe| recipe.slug.value == slug) {
            return Ok((file, text, recipe));
        }
    }
    bail!("none of the files is the recipe {slug}, which the run belongs to")
}

/// A test and the files it reads.
struct Made {
    title: String,
    test: Json,
    files: Vec<(String, Json)>,
}

fn test_of(run: &Json, recipe: &Recipe) -> anyhow::Result<Made> {
    let (id, slug) = (run["id"].as_str().unwrap_or_default(), recipe.slug.value.as_str());
    let status = run["status"].as_str().unwrap_or_default();
    if !["succeeded", "failed", "cancelled"].contains(&status) {
        bail!("the run {id} is {status}; record it when it is over");
    }
    let mut files = Vec::new();
    let mut file = |part: &str, data: &Json| {
        let part: String = part.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
        let name = format!("fixtures/{slug}-{id}{part}.json");
        files.push((name.clone(), data.clone()));
        Json::String(name)
    };
    let event = file("", &run["trigger"]);
    let calls = calls(run, recipe)?;
    let (mut given, mut fails, mut sent) = (Map::new(), Map::new(), Map::new());
    for call in &calls {
        let name = call.name.clone();
        if let Some(error) = call.failed {
            fails.insert(name.clone(), json!({ "class": error["class"], "code": error["code"], "message": error["message"] }));
        } else {
            let inline = fits_inline(call.output);
            given.insert(name.clone(), if inline { call.output.clone() } else { file(&format!("-{name}"), call.output) });
        }
        if call.is_call && literal(call.input) {
            sent.insert(name, call.input.clone());
        }
    }
    let mut expect = Map::from_iter([("status".to_owned(), json!(status))]);
    if !sent.is_empty() {
        expect.insert("calls".to_owned(), Json::Object(sent));
    }
    if !run["output"].is_null() && literal(&run["output"]) {
        expect.insert("output".to_owned(), run["output"].clone());
    }
    if let Some(error) = run["error"].as_object() {
        let kept = [("class", "class"), ("code", "code"), ("path", "step")];
        let told =
            kept.iter().filter_map(|(from, to)| Some(((*to).to_owned(), error.get(*from).filter(|v| !v.is_null())?.clone())));
        expect.insert("error".to_owned(), told.collect::<Map<_, _>>().into());
    }
    let title = format!("goes as {id} went");
    let mut test = Map::from_iter([("title".to_owned(), json!(title)), ("event".to_owned(), event)]);
    if let Some(at) = run["started_at"].as_str() {
        test.insert("at".to_owned(), json!(at));
    }
    for (name, record) in [("given", given), ("fails", fails), ("expect", expect)] {
        if !record.is_empty() {
            test.insert(name.to_owned(), Json::Object(record));
        }
    }
    Ok(Made { title, test: Json::Object(test), files })
}

/// One step of a run that needs an answer in a test.
struct Call<'a> {
    /// Its id, or its path where it was done several times.
    name: String,
    /// It sends something; a wait does not.
    is_call: bool,
    input: &'a Json,
    output: &'a Json,
    failed: Option<&'a Json>,
}

fn calls<'a>(run: &'a Json, recipe: &Recipe) -> anyhow::Result<Vec<Call<'a>>> {
    let mut kinds = HashMap::new();
    walk(&recipe.steps, &mut |step| {
        let is_call = match &step.kind {
            StepKind::Do { .. } | StepKind::Call { .. } | StepKind::Start { .. } => true,
            StepKind::Wait(_) => false,
            _ => return,
        };
        kinds.insert(step.id.value.clone(), is_call);
    });
    let steps: Vec<_> = run["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|step| step["status"] != "skipped" && step["status"] != "running")
        .filter_map(|step| Some((step["id"].as_str()?, step, *kinds.get(step["id"].as_str()?)?)))
        .collect();
    if steps.len() > CALLS_MAX {
        bail!("the run made {} calls; a test of more than {CALLS_MAX} is none that people read", steps.len());
    }
    let times = |id: &str| steps.iter().filter(|(other, _, _)| *other == id).count();
    Ok(steps
        .iter()
        .map(|(id, step, is_call)| Call {
            name: if times(id) == 1 { (*id).to_owned() } else { step["path"].as_str().unwrap_or(id).to_owned() },
            is_call: *is_call,
            input: &step["input"],
            output: &step["output"],
            failed: Some(&step["error"]).filter(|error| step["status"] != "succeeded" && error.is_object()),
        })
        .collect())
}

/// Whether data may stand in the recipe: it is short, and nothing in it would be read as something else.
fn fits_inline(data: &Json) -> bool {
    !data.is_string() && data.to_string().len() <= INLINE_BYTES_MAX && literal(data)
}

/// `${` in a test would look like an expression, which the checker refuses.
fn literal(data: &Json) -> bool {
    match data {
        Json::String(text) => !text.contains("${"),
        Json::Array(items) => items.iter().all(literal),
        Json::Object(fields) => fields.iter().all(|(name, value)| !name.contains("${") && literal(value)),
        _ => true,
    }
}
