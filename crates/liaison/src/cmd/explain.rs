//! `liaison explain`: a recipe with every default filled in, or what a diagnostic means.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use engine::{DEDUPE_KEEP_DEFAULT, EngineSettings, retry::Policy};
use recipe::{CodeInfo, RunDefaults, Severity};
use serde_json::{Value, json};

use super::{check::draw, print};
use crate::config::Layer;

/// Prints a recipe with every default filled in, or tells what a code such as L0123 means.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A recipe file, or the code of a diagnostic.
    #[arg(required_unless_present = "list")]
    what: Option<String>,
    /// Lists all codes of diagnostics.
    #[arg(long, conflicts_with = "what")]
    list: bool,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    layer: Layer,
}

pub(crate) fn explain(explain: Explain) -> anyhow::Result<ExitCode> {
    let Some(what) = &explain.what else { return list(explain.json) };
    let path = PathBuf::from(what);
    if !path.exists() && looks_like_a_code(what) {
        return code(what, explain.json);
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {what}"))?;
    let config = explain.layer.resolve()?;
    let catalogue = engine::catalogue::of(&crate::declared::all(&config).0);
    let errors: Vec<_> = recipe::parse_and_check(text.as_bytes(), &catalogue)
        .diagnostics
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    if !errors.is_empty() {
        print(&draw(what, &text, &errors))?;
        bail!("{what} has errors; what it would do cannot be told before they are mended");
    }
    let settings = config.engine();
    let explained = recipe::explain(&text, &catalogue, &defaults(&settings)).context("the file is not a record")?;
    if explain.json { print(&serde_json::to_string_pretty(&explained)?) } else { print(&explained.to_yaml()) }
}

/// What this installation does where a recipe says nothing.
fn defaults(settings: &EngineSettings) -> RunDefaults {
    let policy = Policy::default();
    RunDefaults {
        times: policy.times,
        wait: policy.wait,
        factor: policy.factor,
        max_wait: policy.max_wait,
        jitter: policy.jitter,
        within: policy.within,
        on: policy.on.iter().map(|class| class.as_str().to_owned()).collect(),
        timeout: settings.step_timeout,
        dedupe: DEDUPE_KEEP_DEFAULT,
    }
}

fn looks_like_a_code(text: &str) -> bool {
    let digits = text.strip_prefix(['L', 'l']).unwrap_or(text);
    !digits.is_empty() && digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit())
}

fn code(written: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let digits = written.trim_start_matches(['L', 'l']);
    let wanted = format!("L{digits:0>4}");
    let Some(info) = recipe::codes().iter().find(|info| info.code == wanted) else {
        let near = nearest(digits).map(|info| format!(" The nearest is {}: {}.", info.code, info.title)).unwrap_or_default();
        bail!("there is no diagnostic {wanted}.{near} List all: liaison explain --list");
    };
    if as_json { print(&serde_json::to_string_pretty(&code_json(info))?) } else { print(&code_text(info)) }
}

/// The code whose number is nearest; of two equally near ones the smaller.
fn nearest(digits: &str) -> Option<&'static CodeInfo> {
    let wanted: u32 = digits.parse().ok()?;
    recipe::codes().iter().min_by_key(|info| info.code[1..].parse::<u32>().unwrap_or(u32::MAX).abs_diff(wanted))
}

fn code_text(info: &CodeInfo) -> String {
    let mut out = format!("{}  {}\n\n{}\n", info.code, info.title, info.explanation);
    if let Some((bad, good)) = info.examples() {
        for (title, lines) in [("Not", bad), ("But", good)] {
            let _ = write!(out, "\n{title}:\n\n");
            for line in lines.lines() {
                let _ = writeln!(out, "{}", format!("    {line}").trim_end());
            }
        }
    }
    out
}

fn code_json(info: &CodeInfo) -> Value {
    let examples = info.examples();
    json!({
        "code": info.code, "title": info.title, "explanation": info.explanation,
        "bad": examples.map(|(bad, _)| bad), "good": examples.map(|(_, good)| good),
    })
}

fn list(as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        let all: Vec<Value> = recipe::codes().iter().map(code_json).collect();
        return print(&serde_json::to_string_pretty(&all)?);
    }
    print(&recipe::codes().iter().fold(String::new(), |mut out, info| {
        let _ = writeln!(out, "{}  {}", info.code, info.title);
        out
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_in_any_writing_and_an_unknown_one_has_a_neighbour() {
        assert!(looks_like_a_code("L0123") && looks_like_a_code("l123") && looks_like_a_code("0123"));
        assert!(!looks_like_a_code("L01x") && !looks_like_a_code("order.recipe.yaml"));
        assert_eq!(nearest("0001").map(|info| info.code), Some("L0001"));
        assert_eq!(nearest("9999").map(|info| info.code), recipe::codes().last().map(|info| info.code));
        let error = code("L9999", false).unwrap_err().to_string();
        assert!(error.contains("The nearest is L"), "{error}");
    }

    #[test]
    fn the_defaults_are_the_engines() {
        let defaults = defaults(&EngineSettings::default());
        assert_eq!(defaults.times, Policy::default().times);
        assert_eq!(defaults.timeout, EngineSettings::default().step_timeout);
        assert!(defaults.on.iter().any(|class| class == "timeout"), "{:?}", defaults.on);
    }
}
