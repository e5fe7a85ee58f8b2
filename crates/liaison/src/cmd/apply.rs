//! `liaison apply`: sends recipes to a server, plan first.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use recipe::ast::{Recipe, StepKind, walk};
use reqwest::Method;
use serde_json::json;

use super::{
    block_on,
    check::draw,
    deployed::{self, Deployed},
    objects::Objects,
    print, recipe_files,
};
use crate::remote::{Answer, Remote};

mod plan;

use plan::{Change, Plan};

/// Sends recipes to a server and switches them on.
///
/// First it tells what it will do. Recipes that are only on the server stay as they are, unless `--prune` is given.
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
    /// Switches off what the server has switched on and no file here holds. Texts, runs and history stay.
    #[arg(long, conflicts_with = "no_activate")]
    prune: bool,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

/// A recipe of a file.
struct Local {
    path: String,
    recipe: Recipe,
    text: String,
}

pub(crate) fn apply(apply: &Apply) -> anyhow::Result<ExitCode> {
    let locals = read(&apply.paths)?;
    block_on(async {
        let there = deployed::recipes(&apply.remote).await?;
        hold_against_objects(apply, &locals).await?;
        let mut plans = Vec::new();
        for (slug, local) in &locals {
            let change = change(apply, slug, there.get(slug).copied(), &local.text).await?;
            plans.push(Plan { slug: slug.clone(), change });
        }
        let only_there = there.iter().filter(|(slug, found)| found.active.is_some() && !locals.contains_key(*slug));
        let change = if apply.prune { Change::SwitchOff } else { Change::OnlyOnServer };
        plans.extend(only_there.map(|(slug, _)| Plan { slug: slug.clone(), change }));
        if !apply.json {
            print(&plan::told(&plans))?;
        }
        still_needed(&locals, &plans)?;
        if !apply.dry_run {
            carry_out(apply, &locals, &plans).await?;
        }
        if apply.json { print(&plan::as_json(&plans, !apply.dry_run)?) } else { Ok(ExitCode::SUCCESS) }
    })
}

/// The recipes of the files, by slug; an error if any of them has one.
fn read(paths: &[PathBuf]) -> anyhow::Result<BTreeMap<String, Local>> {
    let catalogue = engine::catalogue::of(&crate::declared::here());
    let mut locals = BTreeMap::new();
    let mut broken = String::new();
    for path in recipe_files(paths)? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = recipe::parse_and_check(text.as_bytes(), &catalogue);
        let errors: Vec<_> =
            parsed.diagnostics.into_iter().filter(|problem| problem.severity == recipe::Severity::Error).collect();
        let recipe = match parsed.recipe {
            Some(recipe) if errors.is_empty() => recipe,
            _ => {
                broken.push_str(&draw(&path.display().to_string(), &text, &errors));
                continue;
            }
        };
        let slug = recipe.slug.value.clone();
        if locals.insert(slug.clone(), Local { path: path.display().to_string(), recipe, text }).is_some() {
            bail!("nothing was sent, because two files hold the recipe {slug}; the second is {}", path.display());
        }
    }
    refuse(&broken)?;
    Ok(locals)
}

/// Refuses what the server would refuse because of fields that its systems do not have: before anything is saved.
async fn hold_against_objects(apply: &Apply, locals: &BTreeMap<String, Local>) -> anyhow::Result<()> {
    let catalogue = engine::catalogue::of(&crate::declared::here());
    let mut objects = Objects::of(&apply.remote).await?;
    let mut broken = String::new();
    for Local { path, text, .. } in locals.values() {
        let found = objects.check(text.as_bytes(), &catalogue).await?.diagnostics;
        let errors: Vec<_> = found.into_iter().filter(|problem| problem.severity == recipe::Severity::Error).collect();
        broken.push_str(&draw(path, text, &errors));
    }
    refuse(&broken)
}

fn refuse(broken: &str) -> anyhow::Result<()> {
    if broken.is_empty() {
        return Ok(());
    }
    print(broken)?;
    bail!("nothing was sent, because some recipes have errors")
}

/// What sending a text would change.
async fn change(apply: &Apply, slug: &str, there: Option<Deployed>, text: &str) -> anyhow::Result<Change> {
    let Some(Deployed { newest, active }) = there else { return Ok(Change::Create) };
    let is = async |version| anyhow::Ok(deployed::text(&apply.remote, slug, version).await? == text);
    Ok(match active {
        // A newer text that is not switched on is somebody's draft: it stays one.
        Some(active) if !apply.no_activate && is(active).await? => Change::Unchanged,
        _ if active == Some(newest) && !apply.no_activate => Change::Update,
        _ if !is(newest).await? => Change::Update,
        _ if apply.no_activate => Change::Unchanged,
        _ => Change::SwitchOn(newest),
    })
}

/// Refuses to switch off what a recipe of the files calls.
fn still_needed(locals: &BTreeMap<String, Local>, plans: &[Plan]) -> anyhow::Result<()> {
    let goes = |slug: &str| plans.iter().any(|plan| plan.slug == slug && plan.change == Change::SwitchOff);
    for (slug, Local { recipe, .. }) in locals {
        let mut called: Vec<_> = recipe.settings.on_failure.iter().map(|name| name.value.clone()).collect();
        walk(&recipe.steps, &mut |step| {
            if let StepKind::Call { recipe, .. } | StepKind::Start { recipe, .. } = &step.kind {
                called.push(recipe.value.clone());
            }
        });
        if let Some(name) = called.iter().find(|name| goes(name)) {
            bail!(
                "nothing was changed, because recipe {slug} calls {name}, which would be switched off. Add the file of {name}, \
                 or take the call out of {slug}"
            );
        }
    }
    Ok(())
}

/// Saves everything before anything is switched, so that a text the server refuses changes nothing that runs.
async fn carry_out(apply: &Apply, locals: &BTreeMap<String, Local>, plans: &[Plan]) -> anyhow::Result<()> {
    let mut to_switch_on = Vec::new();
    for Plan { slug, change } in plans {
        match (change, locals.get(slug)) {
            (Change::Create | Change::Update, Some(local)) => {
                let place = format!("/api/v1/recipes/{slug}");
                let sent = apply.remote.send(Method::PUT, &place, Some(("application/yaml", local.text.clone()))).await?;
                let saved = sent.good().with_context(|| format!("recipe {slug}; nothing was switched on or off"))?.json();
                to_switch_on.extend(saved["version"].as_u64().map(|version| (slug, version)));
            }
            (Change::SwitchOn(version), _) => to_switch_on.push((slug, *version)),
            _ => (),
        }
    }
    if apply.no_activate {
        return Ok(());
    }
    let going: Vec<_> = plans.iter().filter(|plan| plan.change == Change::SwitchOff).map(|plan| plan.slug.as_str()).collect();
    // One that takes over the web address of a recipe that goes has to wait until that is gone.
    let mut later = Vec::new();
    for (slug, version) in to_switch_on {
        let answer = switch_on(apply, slug, version).await?;
        if held_by_one_of(&going, &answer) {
            later.push((slug, version));
        } else {
            answer.good().with_context(|| format!("recipe {slug}"))?;
        }
    }
    for slug in going {
        let body = Some(("application/json", "{}".to_owned()));
        let answer = apply.remote.send(Method::POST, &format!("/api/v1/recipes/{slug}/deactivate"), body).await?;
        answer.good().with_context(|| format!("recipe {slug}"))?;
    }
    for (slug, version) in later {
        switch_on(apply, slug, version).await?.good().with_context(|| format!("recipe {slug}"))?;
    }
    Ok(())
}

async fn switch_on(apply: &Apply, slug: &str, version: u64) -> anyhow::Result<Answer> {
    let body = Some(("application/json", json!({ "version": version }).to_string()));
    apply.remote.send(Method::POST, &format!("/api/v1/recipes/{slug}/activate"), body).await
}

/// True if a recipe was not switched on because one of these has its web address.
fn held_by_one_of(going: &[&str], answer: &Answer) -> bool {
    let error = &answer.json()["error"];
    let message = error["message"].as_str().unwrap_or_default();
    // The server names the other in its sentence only. Without a match the recipe counts as refused, and nothing goes.
    error["code"] == "PATH_TAKEN" && going.iter().any(|slug| message.starts_with(&format!("Recipe {slug} takes ")))
}
