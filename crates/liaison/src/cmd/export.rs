//! `liaison export`: the recipes of a server as files.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::{
    FAILED, block_on,
    deployed::{self, Deployed},
    print, write,
};
use crate::remote::Remote;

/// Fetches the recipes of a server: one file each, exactly the text that was sent.
///
/// The version that is switched on is fetched; recipes that are switched off are left out. A file that holds
/// something else stays as it is unless `--force` is given; exit code 1 tells that there was one.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The folder for the files, a `<slug>.recipe.yaml` for each recipe that is switched on; made if it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The newest version of every recipe, also where another or none is switched on.
    #[arg(long)]
    drafts: bool,
    /// Writes over files that hold something else. Without it they stay, and the exit code is 1.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    remote: Remote,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of one recipe.
struct Exported {
    recipe: String,
    /// Which version; `None` if it was left out, as none is switched on.
    version: Option<u64>,
    file: Option<PathBuf>,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Written,
    Overwritten,
    Unchanged,
    /// The file holds something else, and stays.
    Kept,
    LeftOut,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Overwritten => "overwritten",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::LeftOut => "left_out",
        }
    }
}

pub(crate) fn export(export: &Export) -> anyhow::Result<ExitCode> {
    if export.folder.exists() && !export.folder.is_dir() {
        bail!("{} is a file. Name a folder for the recipes", export.folder.display());
    }
    let mut all = Vec::new();
    for (recipe, found) in block_on(fetch(export))? {
        let Some((version, text)) = found else {
            all.push(Exported { recipe, version: None, file: None, outcome: Outcome::LeftOut });
            continue;
        };
        let file = export.folder.join(format!("{recipe}.recipe.yaml"));
        let outcome = keep(&file, &text, export.force).with_context(|| format!("cannot write {}", file.display()))?;
        all.push(Exported { recipe, version: Some(version), file: Some(file), outcome });
    }
    print(&if export.json { as_json(&all)? } else { as_text(&all) })?;
    Ok(if all.iter().any(|one| one.outcome == Outcome::Kept) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Everything is read before anything is written: a server that goes away leaves no half of a folder.
async fn fetch(export: &Export) -> anyhow::Result<Vec<(String, Option<(u64, String)>)>> {
    let mut all = Vec::new();
    for (slug, Deployed { newest, active }) in deployed::recipes(&export.remote).await? {
        let version = if export.drafts { Some(newest) } else { active };
        let found = match version {
            Some(version) => {
                let text = deployed::text(&export.remote, &slug, version).await.with_context(|| format!("recipe {slug}"))?;
                Some((version, text))
            }
            None => None,
        };
        all.push((slug, found));
    }
    Ok(all)
}

fn keep(file: &Path, text: &str, force: bool) -> anyhow::Result<Outcome> {
    if !file.try_exists()? {
        std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        return write::create(file, text).map(|()| Outcome::Written);
    }
    let there = std::fs::read(file)?;
    if there == text.as_bytes() {
        return Ok(Outcome::Unchanged);
    }
    if !force {
        return Ok(Outcome::Kept);
    }
    write::replace(file, &there, text).map(|()| Outcome::Overwritten)
}

fn as_json(all: &[Exported]) -> anyhow::Result<String> {
    let all: Vec<_> = all
        .iter()
        .map(|one| json!({ "recipe": one.recipe, "version": one.version, "file": one.file, "outcome": one.outcome.word() }))
        .collect();
    Ok(serde_json::to_string_pretty(&all)?)
}

fn as_text(all: &[Exported]) -> String {
    let count = |outcome| all.iter().filter(|one| one.outcome == outcome).count();
    let mut out = String::new();
    for one in all.iter().filter(|one| one.outcome != Outcome::Unchanged) {
        let _ = match &one.file {
            Some(file) => writeln!(out, "{:<11}  {}", one.outcome.word(), file.display()),
            None => writeln!(out, "{:<11}  {}, which is switched off", "left out", one.recipe),
        };
    }
    let fetched = all.len() - count(Outcome::LeftOut);
    let recipes = if fetched == 1 { "1 recipe".to_owned() } else { format!("{fetched} recipes") };
    let written = count(Outcome::Written) + count(Outcome::Overwritten);
    let _ =
        writeln!(out, "{recipes}: {written} written, {} unchanged, {} kept.", count(Outcome::Unchanged), count(Outcome::Kept));
    if count(Outcome::Kept) > 0 {
        out.push_str(
            "What was kept holds something else than the server. Compare with `liaison diff`, or write over it with --force.\n",
        );
    }
    if count(Outcome::LeftOut) > 0 {
        out.push_str("What was left out can be fetched with --drafts.\n");
    }
    out
}
