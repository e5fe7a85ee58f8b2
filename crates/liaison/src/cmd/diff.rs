//! `liaison diff`: what changed, in words, between two files or against a server.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use recipe::{Difference, NOTHING_CHANGES};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{FAILED, block_on, print, recipe_files};
use crate::remote::Remote;

/// Tells in words what changed: between two recipe files, or from what a server has to local files.
///
/// Two files are compared with each other; folders, single files and whatever is named together with
/// `--server` or `--remote` are compared with the server. Exit code 1 when something differs.
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
    /// `None` if there is nothing to compare with.
    differences: Option<Vec<Difference>>,
    /// In words, if it is there on one side only.
    only: Option<&'static str>,
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
    let catalogue = engine::catalogue::of(&connectors::all());
    let differences = recipe::diff(old, new, &catalogue).with_context(|| format!("cannot compare {recipe}"))?;
    Ok(Compared { recipe, differences: Some(differences), only: None })
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// From the server's versions to the local files.
async fn with_server(diff: &Diff) -> anyhow::Result<Vec<Compared>> {
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
        all.push(match active(&diff.server, &slug).await? {
            Some(old) => compare(slug, &old, &text)?,
            None => Compared { recipe: slug, differences: None, only: Some("is new: the server does not have it") },
        });
    }
    Ok(all)
}

/// The text of the version that is switched on, else of the last one; `None` if there is no such recipe.
async fn active(server: &Remote, slug: &str) -> anyhow::Result<Option<String>> {
    let place = format!("/api/v1/recipes/{slug}");
    let known = server.send(Method::GET, &place, None).await?;
    if known.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if let Some(version) = known.good()?.json()["active_version"].as_u64() {
        let answer = server.send(Method::GET, &format!("{place}/versions/{version}"), None).await?.good()?.json();
        let text = answer["text"].as_str().context("the server's answer holds no text; is it an older version?")?;
        return Ok(Some(text.to_owned()));
    }
    Ok(Some(server.send_accepting(Method::GET, &place, None, "application/yaml").await?.good()?.text))
}

fn tell(diff: &Diff, all: &[Compared]) -> anyhow::Result<ExitCode> {
    let differs = |one: &Compared| one.differences.as_ref().is_none_or(|differences| !differences.is_empty());
    if diff.json {
        let all: Vec<Value> = all
            .iter()
            .map(|one| json!({ "recipe": one.recipe, "differs": differs(one), "new": one.only.is_some(), "differences": one.differences }))
            .collect();
        print(&serde_json::to_string_pretty(&all)?)?;
    } else {
        let mut out = String::new();
        for one in all {
            match (&one.differences, one.only) {
                (Some(differences), _) if differences.is_empty() => {
                    out.push_str(&format!("{}\n  {NOTHING_CHANGES}\n", one.recipe))
                }
                (Some(differences), _) => {
                    out.push_str(&format!("{}\n", one.recipe));
                    differences.iter().for_each(|difference| out.push_str(&format!("  {}\n", difference.sentence)));
                }
                (None, only) => out.push_str(&format!("{}\n  {}\n", one.recipe, only.unwrap_or_default())),
            }
        }
        print(&out)?;
    }
    Ok(if all.iter().any(differs) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}
