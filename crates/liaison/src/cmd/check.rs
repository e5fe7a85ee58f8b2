//! `liaison check`: every problem of a recipe, at its place, with what to do.

use std::{path::PathBuf, process::ExitCode};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anyhow::Context;
use clap::{Args, ValueEnum};
use engine::catalogue;
use recipe::{Diagnostic, LineIndex, Parsed, Severity};
use serde_json::{Value, json};

use super::{FAILED, block_on, objects::Objects, print, recipe_files};
use crate::remote::Remote;

/// Tells what is wrong with recipes.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Recipe files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// How to tell it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Also holds fields against what the systems behind this server's connections tell of their objects.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// API key of the server.
    #[arg(long, env = "LIAISON_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

struct Checked {
    path: String,
    text: String,
    diagnostics: Vec<Diagnostic>,
}

pub(crate) fn check(check: &Check) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    let mut recipes = Vec::new();
    for (path, bytes, parsed) in read(check)? {
        if let (true, Some(recipe)) = (parsed.is_sound(), &parsed.recipe) {
            recipes.push((files.len(), recipe.clone()));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        files.push(Checked { path: path.display().to_string(), text, diagnostics: parsed.diagnostics });
    }
    // One recipe alone says nothing of those it calls.
    if files.len() > 1 {
        let sound: Vec<_> = recipes.iter().map(|(_, recipe)| recipe).collect();
        for ((at, _), found) in recipes.iter().zip(recipe::check_together(&sound)) {
            files[*at].diagnostics.extend(found);
        }
    }
    let text = match check.format {
        Format::Text => as_text(&files),
        Format::Json => serde_json::to_string_pretty(&as_json(&files))?,
        Format::Sarif => serde_json::to_string_pretty(&as_sarif(&files))?,
    };
    print(&text)?;
    let broken = files.iter().flat_map(|file| &file.diagnostics).any(|problem| problem.severity == Severity::Error);
    Ok(if broken { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Every file with what was found in it.
fn read(check: &Check) -> anyhow::Result<Vec<(PathBuf, Vec<u8>, Parsed)>> {
    let catalogue = catalogue::of(&crate::declared::here());
    let bytes = |path: PathBuf| {
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok((path, bytes))
    };
    let files = recipe_files(&check.paths)?.into_iter().map(bytes);
    let Some(server) = &check.server else {
        let plain = |(path, bytes): (PathBuf, Vec<u8>)| {
            let parsed = recipe::parse_and_check(&bytes, &catalogue);
            (path, bytes, parsed)
        };
        return files.map(|file| file.map(plain)).collect();
    };
    let remote = Remote::new(server.clone(), check.api_key.clone());
    block_on(async {
        let mut objects = Objects::of(&remote).await?;
        let mut all = Vec::new();
        for file in files {
            let (path, bytes) = file?;
            let parsed = objects.check(&bytes, &catalogue).await?;
            all.push((path, bytes, parsed));
        }
        Ok(all)
    })
}

/// Problems drawn under the lines they concern.
pub(crate) fn draw(path: &str, text: &str, diagnostics: &[Diagnostic]) -> String {
    let plain = !std::io::IsTerminal::is_terminal(&std::io::stdout());
    let renderer = if plain { Renderer::plain() } else { Renderer::styled() };
    let mut out = String::new();
    for problem in diagnostics {
        let level = if problem.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
        // A span of a text that was not UTF-8 may fall between characters of its repaired form.
        let (start, end) = (floor(text, problem.span.start), floor(text, problem.span.end).max(floor(text, problem.span.start)));
        let snippet = Snippet::source(text).path(path).annotation(AnnotationKind::Primary.span(start..end));
        let mut groups = vec![level.primary_title(problem.message.as_str()).id(problem.code).element(snippet)];
        if let Some(help) = &problem.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        out.push_str(&renderer.render(&groups));
        out.push_str("\n\n");
    }
    out
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn as_text(files: &[Checked]) -> String {
    let mut out: String = files.iter().map(|file| draw(&file.path, &file.text, &file.diagnostics)).collect();
    let count = |severity| files.iter().flat_map(|file| &file.diagnostics).filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let recipes = if files.len() == 1 { "1 recipe".to_owned() } else { format!("{} recipes", files.len()) };
    out.push_str(&match (errors, warnings) {
        (0, 0) => format!("{recipes} checked, nothing to mend.\n"),
        _ => format!("{recipes} checked: {errors} error{}, {warnings} warning{}.\n", s(errors), s(warnings)),
    });
    out
}

const fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn severity(problem: &Diagnostic) -> &'static str {
    if problem.severity == Severity::Error { "error" } else { "warning" }
}

fn as_json(files: &[Checked]) -> Value {
    let one = |file: &Checked| {
        let index = LineIndex::new(&file.text);
        let problems: Vec<Value> = file
            .diagnostics
            .iter()
            .map(|problem| {
                let ((line, column), (end_line, end_column)) =
                    (index.position(problem.span.start), index.position(problem.span.end));
                json!({
                    "code": problem.code, "severity": severity(problem), "message": problem.message, "help": problem.help,
                    "line": line, "column": column, "end_line": end_line, "end_column": end_column,
                    "start": problem.span.start, "end": problem.span.end,
                    "edit": problem.edit.as_ref().map(|edit| json!({
                        "title": edit.title, "start": edit.span.start, "end": edit.span.end, "text": edit.text
                    })),
                })
            })
            .collect();
        json!({ "file": file.path, "diagnostics": problems })
    };
    Value::Array(files.iter().map(one).collect())
}

/// SARIF 2.1.0 (OASIS), as code hosts read it.
fn as_sarif(files: &[Checked]) -> Value {
    let rules: Vec<Value> = recipe::codes()
        .iter()
        .map(|code| json!({ "id": code.code, "shortDescription": { "text": code.title }, "fullDescription": { "text": code.explanation } }))
        .collect();
    let mut results = Vec::new();
    for file in files {
        let index = LineIndex::new(&file.text);
        for problem in &file.diagnostics {
            let ((line, column), (end_line, end_column)) = (index.position(problem.span.start), index.position(problem.span.end));
            let message = match &problem.help {
                Some(help) => format!("{} {help}", problem.message),
                None => problem.message.clone(),
            };
            results.push(json!({
                "ruleId": problem.code,
                "level": severity(problem),
                "message": { "text": message },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": file.path },
                    "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column }
                } }]
            }));
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": { "name": "liaison", "rules": rules } }, "columnKind": "unicodeCodePoints", "results": results }]
    })
}
