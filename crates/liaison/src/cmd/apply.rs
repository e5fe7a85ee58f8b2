//! `liaison apply`: sends recipes to a server, plan first.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{block_on, check::draw, print, recipe_files};
use crate::remote::Remote;

/// Sends recipes to a server and switches them on.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Recipe files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    remote: Remote,
    /// Only says what would change.
    #[arg(long)]
    dry_run: bool,
    /// Saves without switching on.
    #[arg(long)]
    no_activate: bool,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

struct Plan {
    slug: String,
    text: String,
    change: &'static str,
}

pub(crate) fn apply(apply: &Apply) -> anyhow::Result<ExitCode> {
    let catalogue = engine::catalogue::of(&connectors::all());
    let mut texts = Vec::new();
    let mut broken = String::new();
    for path in recipe_files(&apply.paths)? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = recipe::parse_and_check(text.as_bytes(), &catalogue);
        let errors: Vec<_> =
            parsed.diagnostics.into_iter().filter(|problem| problem.severity == recipe::Severity::Error).collect();
        match parsed.recipe {
            Some(recipe) if errors.is_empty() => texts.push((recipe.slug.value, text)),
            _ => broken.push_str(&draw(&path.display().to_string(), &text, &errors)),
        }
    }
    if !broken.is_empty() {
        print(&broken)?;
        bail!("nothing was sent, because some recipes have errors");
    }
    block_on(async {
        let mut plans = Vec::new();
        for (slug, text) in texts {
            let change = change(&apply.remote, &slug, &text).await?;
            plans.push(Plan { slug, text, change });
        }
        if !apply.json {
            let lines: String = plans.iter().fold(String::new(), |mut lines, plan| {
                let _ = writeln!(lines, "{:<9} {}", plan.change, plan.slug);
                lines
            });
            print(&lines)?;
        }
        let mut results = Vec::new();
        for plan in &plans {
            if !apply.dry_run {
                send(apply, plan).await.with_context(|| format!("recipe {}", plan.slug))?;
            }
            results.push(json!({ "recipe": plan.slug, "change": plan.change, "applied": !apply.dry_run }));
        }
        if apply.json { print(&serde_json::to_string_pretty(&results)?) } else { Ok(ExitCode::SUCCESS) }
    })
}

/// What sending a text would change.
async fn change(remote: &Remote, slug: &str, text: &str) -> anyhow::Result<&'static str> {
    let answer = remote.send_accepting(Method::GET, &format!("/api/v1/recipes/{slug}"), None, "application/yaml").await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok("create");
    }
    Ok(if answer.good()?.text == text { "unchanged" } else { "change" })
}

async fn send(apply: &Apply, plan: &Plan) -> anyhow::Result<()> {
    let place = format!("/api/v1/recipes/{}", plan.slug);
    let saved = apply.remote.send(Method::PUT, &place, Some(("application/yaml", plan.text.clone()))).await?.good()?.json();
    if !apply.no_activate && saved["active_version"] != saved["version"] {
        let body = Some(("application/json", json!({ "version": saved["version"] }).to_string()));
        apply.remote.send(Method::POST, &format!("{place}/activate"), body).await?.good()?;
    }
    Ok(())
}
