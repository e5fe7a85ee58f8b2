//! `liaison runs`: a server's runs from the terminal.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{block_on, print};
use crate::remote::{One, Remote};

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// The newest runs.
    List(List),
    /// One run with its steps.
    Show(One),
    /// Lets a failed run go on at the step that failed.
    Retry(Retry),
    /// Ends a run that is not over.
    Cancel(One),
    /// Runs the event of an ended run again, or another, as a new run.
    Replay(Replay),
    /// Says what became of a step that may have happened.
    Settle(Settle),
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
pub(crate) struct Retry {
    /// The run.
    id: String,
    /// Under the active version of its recipe instead of its own.
    #[arg(long)]
    active: bool,
    #[command(flatten)]
    remote: Remote,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The run.
    id: String,
    /// This event instead of the first one: JSON, or @file.
    #[arg(long)]
    event: Option<String>,
    /// This version instead of the active one.
    #[arg(long)]
    version: Option<i32>,
    #[command(flatten)]
    remote: Remote,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("answer").required(true).args(["happened", "repeat", "give_up"])))]
pub(crate) struct Settle {
    /// The run.
    id: String,
    /// It happened, and this is what the step returned: JSON, or @file.
    #[arg(long, value_name = "OUTPUT")]
    happened: Option<String>,
    /// It did not happen, or doing it again is fine: the step is tried again under the same key.
    #[arg(long)]
    repeat: bool,
    /// What the run did is taken back where its recipe says how, and the run is discarded.
    #[arg(long, requires = "reason")]
    give_up: bool,
    /// Why it is given up.
    #[arg(long)]
    reason: Option<String>,
    /// When several steps are in doubt: the path of the one this is about.
    #[arg(long, conflicts_with = "give_up")]
    step: Option<String>,
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
            Runs::Retry(retry) => {
                let wish = json!({ "version": if retry.active { "active" } else { "same" } });
                act(&retry.remote, &retry.id, "resume", Some(wish), retry.json).await
            }
            Runs::Cancel(one) => act(&one.remote, &one.id, "cancel", None, one.json).await,
            Runs::Replay(replay) => {
                let event = replay.event.as_deref().map(|text| read_json("--event", text)).transpose()?;
                let mut wish = json!({});
                if let Some(event) = event {
                    wish["event"] = event;
                }
                if let Some(version) = replay.version {
                    wish["version"] = version.into();
                }
                act(&replay.remote, &replay.id, "replay", Some(wish), replay.json).await
            }
            Runs::Settle(settle) => act(&settle.remote, &settle.id, "settle", Some(answer(settle)?), settle.json).await,
        }
    })
}

async fn show_list(list: &List) -> anyhow::Result<ExitCode> {
    let fields = [("recipe", &list.recipe), ("status", &list.status), ("q", &list.q)];
    let page = list.remote.page("/api/v1/runs", list.limit, &fields).await?;
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

async fn show_one(show: &One) -> anyhow::Result<ExitCode> {
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

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// What a person says, as the API takes it.
fn answer(settle: &Settle) -> anyhow::Result<Value> {
    if settle.give_up {
        return Ok(json!({ "answer": "give_up", "reason": settle.reason }));
    }
    let answer = match &settle.happened {
        Some(output) => json!({ "answer": "happened", "output": read_json("--happened", output)? }),
        None => json!({ "answer": "repeat" }),
    };
    Ok(match &settle.step {
        Some(step) => json!({ "steps": { step: answer } }),
        None => answer,
    })
}

/// JSON as it stands, or from a file named with `@`.
pub(crate) fn read_json(option: &str, text: &str) -> anyhow::Result<Value> {
    let (place, text) = match text.strip_prefix('@') {
        Some(file) => {
            (file.to_owned(), std::fs::read_to_string(file).with_context(|| format!("cannot read {file}, which {option} names"))?)
        }
        None => (option.to_owned(), text.to_owned()),
    };
    serde_json::from_str(&text).with_context(|| format!("{place} is not JSON; a text needs quotes, as in '\"paid\"'"))
}

async fn act(remote: &Remote, id: &str, what: &str, wish: Option<Value>, as_json: bool) -> anyhow::Result<ExitCode> {
    let body = wish.map(|wish| ("application/json", wish.to_string()));
    let done = remote.send(Method::POST, &format!("/api/v1/runs/{id}/{what}"), body).await?.good()?.json();
    print(&if as_json {
        serde_json::to_string_pretty(&done)?
    } else {
        format!("{} {}", text(&done["id"]), text(&done["status"]))
    })
}
