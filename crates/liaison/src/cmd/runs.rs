//! `liaison runs`: a server's runs from the terminal.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::{block_on, print};
use crate::remote::Remote;

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// The newest runs.
    List(List),
    /// One run with its steps.
    Show(Show),
    /// Lets a failed run go on at the step that failed.
    Retry(One),
    /// Ends a run that is not over.
    Cancel(One),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
    /// Only runs of this recipe.
    #[arg(long)]
    recipe: Option<String>,
    /// Only runs in this status; several separated by commas.
    #[arg(long)]
    status: Option<String>,
    /// Only runs whose label contains this.
    #[arg(long)]
    q: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The run.
    id: String,
    #[command(flatten)]
    remote: Remote,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The run.
    id: String,
    #[command(flatten)]
    remote: Remote,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn runs(runs: &Runs) -> anyhow::Result<ExitCode> {
    block_on(async {
        match runs {
            Runs::List(list) => show_list(list).await,
            Runs::Show(show) => show_one(show).await,
            Runs::Retry(one) => act(one, "resume").await,
            Runs::Cancel(one) => act(one, "cancel").await,
        }
    })
}

async fn show_list(list: &List) -> anyhow::Result<ExitCode> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &list.limit.to_string());
    for (name, value) in [("recipe", &list.recipe), ("status", &list.status), ("q", &list.q)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let page = list.remote.send(Method::GET, &format!("/api/v1/runs?{}", query.finish()), None).await?.good()?.json();
    if list.json {
        return print(&serde_json::to_string_pretty(&page)?);
    }
    let empty = Vec::new();
    let rows = page["data"].as_array().unwrap_or(&empty);
    if rows.is_empty() {
        return print("No runs match.");
    }
    let mut out = format!("{:<30}  {:<10}  {:<28}  {:<26}  {}\n", "RUN", "STATUS", "RECIPE", "STARTED", "LABEL");
    for row in rows {
        let _ = writeln!(
            out,
            "{:<30}  {:<10}  {:<28}  {:<26}  {}",
            text(&row["id"]),
            text(&row["status"]),
            text(&row["recipe"]),
            text(&row["started_at"]),
            text(&row["label"])
        );
    }
    if page["pagination"]["has_more"] == true {
        out.push_str("More with --limit.\n");
    }
    print(&out)
}

async fn show_one(show: &Show) -> anyhow::Result<ExitCode> {
    let run = show.remote.send(Method::GET, &format!("/api/v1/runs/{}", show.id), None).await?.good()?.json();
    print(&if show.json { serde_json::to_string_pretty(&run)? } else { tell(&run) })
}

/// A run in lines.
pub(crate) fn tell(run: &Value) -> String {
    let mut out =
        format!("{}  {}  {} version {}\n", text(&run["id"]), text(&run["status"]), text(&run["recipe"]), run["version"]);
    for step in run["steps"].as_array().into_iter().flatten() {
        let _ = write!(out, "  {:<10} {:<24} {}", text(&step["status"]), text(&step["path"]), text(&step["use"]));
        if step["attempts"].as_u64().is_some_and(|attempts| attempts > 1) {
            let _ = write!(out, ", {} tries", step["attempts"]);
        }
        out.push('\n');
        if let Some(message) = step["error"]["message"].as_str().filter(|_| step["status"] != "succeeded") {
            let _ = writeln!(out, "             {message}");
        }
    }
    if let Some(error) = run["error"].as_object() {
        let field = |name: &str| error.get(name).map(text).unwrap_or_default();
        let _ = writeln!(out, "{} ({}, {})", field("message"), field("code"), field("class"));
        if !field("next").is_empty() {
            let _ = writeln!(out, "{}", field("next"));
        }
    }
    if !run["output"].is_null() {
        let _ = writeln!(out, "{}", serde_json::to_string_pretty(&run["output"]).unwrap_or_default());
    }
    out
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

async fn act(one: &One, what: &str) -> anyhow::Result<ExitCode> {
    let done = one.remote.send(Method::POST, &format!("/api/v1/runs/{}/{what}", one.id), None).await?.good()?.json();
    print(&if one.json {
        serde_json::to_string_pretty(&done)?
    } else {
        format!("{} {}", text(&done["id"]), text(&done["status"]))
    })
}
