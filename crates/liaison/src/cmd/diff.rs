//! `liaison diff`: what changed, in words, between two files or against a server.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use recipe::{Difference, NOTHING_CHANGES};
use serde_json::{Value, json};

use super::{
    FAILED, block_on,
    deployed::{self, Deployed},
    print, recipe_files,
};
use crate::remote::Remote;

/// Tells in words what changed: between two recipe files, or from what a server has to local files.
///
/// Two files are compared with each other; folders, single files and whatever is named together with
/// `--server` or `--remote` are compared with the server. When a folder is, recipes that are only on the server
/// are told, too. Exit code 1 when something differs.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The old and the new file; or files and folders to compare with the server.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Compares two files with the server, too, not with each other.
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    server: Remote,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of one recipe.
struct Compared {
    recipe: String,
    found: Found,
}

enum Found {
    /// It is on both sides.
    Both(Vec<Difference>),
    /// The server does not have it.
    New,
    /// No file holds it, and it runs.
    OnlyOnServer,
    /// No file holds it, and it is switched off: what is not to run needs no file.
    OffOnServer,
}

impl Found {
    fn differs(&self) -> bool {
        match self {
            Self::Both(differences) => !differences.is_empty(),
            Self::New | Self::OnlyOnServer => true,
            Self::OffOnServer => false,
        }
    }

    /// In words, a sentence each.
    fn told(&self) -> Vec<&str> {
        match self {
            Self::Both(differences) if differences.is_empty() => vec![NOTHING_CHANGES],
            Self::Both(differences) => differences.iter().map(|difference| difference.sentence.as_str()).collect(),
            Self::New => vec!["is new: the server does not have it"],
            Self::OnlyOnServer => vec!["is only on the server, where it is switched on"],
            Self::OffOnServer => vec!["is only on the server, where it is switched off"],
        }
    }
}

pub(crate) fn diff(diff: &Diff) -> anyhow::Result<ExitCode> {
    let all = match diff.paths.as_slice() {
        [old, new] if !diff.remote && !server_was_named() && old.is_file() && new.is_file() => vec![files(old, new)?],
        _ => block_on(with_server(diff))?,
    };
    tell(diff, &all)
}

/// True if the person names a server for this one command, as files alone may be meant otherwise.
fn server_was_named() -> bool {
    std::env::args_os().any(|arg| arg.to_str().is_some_and(|arg| arg == "--server" || arg.starts_with("--server=")))
}

fn files(old: &Path, new: &Path) -> anyhow::Result<Compared> {
    let (before, after) = (read(old)?, read(new)?);
    let label = format!("{} → {}", old.display(), new.display());
    compare(label, &before, &after)
}

fn compare(recipe: String, old: &str, new: &str) -> anyhow::Result<Compared> {
    let catalogue = engine::catalogue::of(&crate::declared::here());
    let differences = recipe::diff(old, new, &catalogue).with_context(|| format!("cannot compare {recipe}"))?;
    Ok(Compared { recipe, found: Found::Both(differences) })
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// From the server's versions to the local files.
async fn with_server(diff: &Diff) -> anyhow::Result<Vec<Compared>> {
    let there = deployed::recipes(&diff.server).await?;
    let mut all = Vec::new();
    let mut slugs = BTreeSet::new();
    for path in recipe_files(&diff.paths)? {
        let text = read(&path)?;
        let Some(recipe) = recipe::parse(text.as_bytes()).recipe else {
            bail!("{} is no readable recipe. See what is wrong: liaison check {}", path.display(), path.display());
        };
        let slug = recipe.slug.value;
        if !slugs.insert(slug.clone()) {
            bail!("two files hold the recipe {slug}; the second is {}", path.display());
        }
        all.push(match there.get(&slug) {
            // The version that is switched on, else the last one.
            Some(Deployed { newest, active }) => {
                let old = deployed::text(&diff.server, &slug, active.unwrap_or(*newest)).await?;
                compare(slug, &old, &text)?
            }
            None => Compared { recipe: slug, found: Found::New },
        });
    }
    // A file alone says nothing of other recipes; a folder is meant to hold them all.
    if diff.paths.iter().any(|path| path.is_dir()) {
        let only_there = there.iter().filter(|(slug, _)| !slugs.contains(*slug));
        all.extend(only_there.map(|(slug, Deployed { active, .. })| {
            let found = if active.is_some() { Found::OnlyOnServer } else { Found::OffOnServer };
            Compared { recipe: slug.clone(), found }
        }));
    }
    Ok(all)
}

fn tell(diff: &Diff, all: &[Compared]) -> anyhow::Result<ExitCode> {
    if diff.json {
        let all: Vec<Value> = all.iter().map(as_json).collect();
        print(&serde_json::to_string_pretty(&all)?)?;
    } else {
        let mut out = String::new();
        for one in all {
            out.push_str(&format!("{}\n", one.recipe));
            one.found.told().iter().for_each(|sentence| out.push_str(&format!("  {sentence}\n")));
        }
        print(&out)?;
    }
    Ok(if all.iter().any(|one| one.found.differs()) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn as_json(one: &Compared) -> Value {
    let differences = if let Found::Both(differences) = &one.found { Some(differences) } else { None };
    json!({
        "recipe": one.recipe,
        "differs": one.found.differs(),
        "new": matches!(one.found, Found::New),
        "only_on_server": matches!(one.found, Found::OnlyOnServer | Found::OffOnServer),
        "differences": differences,
    })
}
