//! `liaison fmt`: recipes in their one layout.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use recipe::FormatError;
use serde_json::json;
use similar::TextDiff;

use super::{FAILED, check::draw, print, recipe_files, write::replace};

/// Unchanged lines shown around a difference.
const CONTEXT_LINES: usize = 2;

/// Puts recipes into their one layout: comments, quotes, the order of keys and the meaning stay.
#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Recipe files, or folders of them; `-` reads standard input and writes standard output.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Changes nothing, shows what would change; exit code 1 if something would.
    #[arg(long)]
    check: bool,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of a file.
struct Formatted {
    path: String,
    /// The text before and after; `None` if it was refused.
    texts: Option<(String, String)>,
    /// Why it was refused.
    refusal: Option<String>,
}

pub(crate) fn fmt(fmt: &Fmt) -> anyhow::Result<ExitCode> {
    if fmt.paths.iter().any(|path| path.as_os_str() == "-") {
        return standard(fmt);
    }
    let mut all = Vec::new();
    for path in recipe_files(&fmt.paths)? {
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let formatted = one(path.display().to_string(), &bytes);
        if let Some((old, new)) = formatted.texts.as_ref().filter(|(old, new)| !fmt.check && old != new) {
            replace(&path, old.as_bytes(), new).with_context(|| format!("cannot write {}", path.display()))?;
        }
        all.push(formatted);
    }
    tell(fmt, &all)
}

/// Standard input to standard output.
fn standard(fmt: &Fmt) -> anyhow::Result<ExitCode> {
    if fmt.paths.len() > 1 {
        bail!("`-` stands for standard input alone; name either it or files");
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    let formatted = one("standard input".to_owned(), &bytes);
    match (&formatted.texts, &formatted.refusal) {
        (Some((_, new)), _) if !fmt.check && !fmt.json => {
            let mut out = std::io::stdout().lock();
            out.write_all(new.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")?;
            Ok(ExitCode::SUCCESS)
        }
        (None, Some(refusal)) if !fmt.json => {
            // Standard output holds recipes only, so that it may be piped into a file.
            write!(std::io::stderr(), "{refusal}")?;
            Ok(ExitCode::from(FAILED))
        }
        _ => tell(fmt, &[formatted]),
    }
}

fn one(path: String, bytes: &[u8]) -> Formatted {
    let text = String::from_utf8_lossy(bytes);
    let refused = |refusal| Formatted { path: path.clone(), texts: None, refusal: Some(refusal) };
    if let std::borrow::Cow::Owned(repaired) = &text {
        return refused(draw(&path, repaired, &recipe::parse(bytes).diagnostics));
    }
    match recipe::fmt(&text) {
        Ok(new) => Formatted { path, texts: Some((text.into_owned(), new)), refusal: None },
        Err(FormatError::Unreadable { problem, .. }) => refused(draw(&path, &text, &[*problem])),
        Err(error @ FormatError::Layout) => refused(format!("{path}: {error}\n")),
    }
}

fn tell(fmt: &Fmt, all: &[Formatted]) -> anyhow::Result<ExitCode> {
    let changed = |one: &Formatted| one.texts.as_ref().is_some_and(|(old, new)| old != new);
    let (changes, refusals) =
        (all.iter().filter(|one| changed(one)).count(), all.iter().filter(|one| one.texts.is_none()).count());
    if fmt.json {
        let all: Vec<_> = all
            .iter()
            .map(|one| json!({ "file": one.path, "changed": changed(one), "written": changed(one) && !fmt.check, "refusal": one.refusal }))
            .collect();
        print(&serde_json::to_string_pretty(&all)?)?;
    } else {
        let mut out = String::new();
        for one in all {
            if let Some(refusal) = &one.refusal {
                out.push_str(refusal);
            }
            if let Some((old, new)) = one.texts.as_ref().filter(|(old, new)| old != new) {
                let diff = TextDiff::from_lines(old.as_str(), new.as_str());
                match fmt.check {
                    true => {
                        let shown = diff.unified_diff().context_radius(CONTEXT_LINES).header(&one.path, "formatted").to_string();
                        out.push_str(&shown);
                    }
                    false => out.push_str(&format!("formatted {}\n", one.path)),
                }
            }
        }
        let recipes = if all.len() == 1 { "1 recipe".to_owned() } else { format!("{} recipes", all.len()) };
        let verb = if fmt.check { "to be formatted" } else { "formatted" };
        let refused = if refusals == 0 { String::new() } else { format!(", {refusals} refused") };
        out.push_str(&format!("{recipes}: {changes} {verb}{refused}.\n"));
        print(&out)?;
    }
    Ok(if refusals > 0 || (fmt.check && changes > 0) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}
