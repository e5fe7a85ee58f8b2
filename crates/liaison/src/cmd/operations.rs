//! `liaison operations`: what was begun on many dead letters of a server.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::{FAILED, block_on, print, runs::text};
use crate::remote::{One, Remote};

/// How often somebody who waits looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Refusals told at the end.
const REFUSALS_TOLD_MAX: u32 = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Operations {
    /// The newest ones.
    List(List),
    /// How far one is, and what it could not do.
    Show(One),
    /// Waits until one is over; exit code 1 unless everything was done.
    Wait(One),
    /// Pauses a running one.
    Pause(One),
    /// Goes on with a paused one.
    Resume(One),
    /// Ends one; what is left stays as it is.
    Stop(One),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
    /// How many.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn operations(operations: &Operations) -> anyhow::Result<ExitCode> {
    block_on(async {
        match operations {
            Operations::List(list) => show_list(list).await,
            Operations::Show(one) => {
                let operation = get(&one.remote, &one.id).await?;
                tell(&one.remote, &operation, one.json).await?;
                Ok(ExitCode::SUCCESS)
            }
            Operations::Wait(one) => follow(&one.remote, &one.id, one.json).await,
            Operations::Pause(one) => change(one, "pause").await,
            Operations::Resume(one) => change(one, "resume").await,
            Operations::Stop(one) => change(one, "stop").await,
        }
    })
}

async fn get(remote: &Remote, id: &str) -> anyhow::Result<Value> {
    Ok(remote.send(Method::GET, &format!("/api/v1/operations/{id}"), None).await?.good()?.json())
}

/// Waits until an operation is over or paused and tells how it went.
pub(crate) async fn follow(remote: &Remote, id: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let terminal = std::io::stderr().is_terminal();
    let operation = loop {
        let operation = get(remote, id).await?;
        if terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", bar(&operation));
        }
        if operation["state"] != "running" {
            break operation;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    if terminal {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    tell(remote, &operation, as_json).await?;
    let well = operation["state"] == "done" && operation["failed"] == 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn bar(operation: &Value) -> String {
    const WIDTH: u64 = 30;
    let number = |field: &str| operation[field].as_u64().unwrap_or_default();
    let (total, over) = (number("total").max(1), number("done") + number("failed"));
    let full = usize::try_from(over * WIDTH / total).unwrap_or_default();
    let rest = usize::try_from(WIDTH).unwrap_or_default().saturating_sub(full);
    format!("{}{} {over} of {total}", "█".repeat(full), "░".repeat(rest))
}

/// An operation in one line.
pub(crate) fn told(operation: &Value) -> String {
    let field = |name: &str| text(&operation[name]);
    let mut out = format!("{}  {} {}: {} of {} done", field("id"), field("kind"), field("state"), field("done"), field("total"));
    if operation["failed"] != 0 {
        let _ = write!(out, ", {} could not be", field("failed"));
    }
    if operation["left"] != 0 {
        let _ = write!(out, ", {} left", field("left"));
    }
    out
}

async fn tell(remote: &Remote, operation: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        print(&serde_json::to_string_pretty(operation)?)?;
        return Ok(());
    }
    let mut out = told(operation);
    out.push('\n');
    if let Some(note) = operation["note"].as_str() {
        let _ = writeln!(out, "{note}");
    }
    if operation["failed"] != 0 {
        let path = format!("/api/v1/operations/{}/runs?state=failed&limit={REFUSALS_TOLD_MAX}", text(&operation["id"]));
        let page = remote.send(Method::GET, &path, None).await?.good()?.json();
        for item in page["data"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  {}  {}", text(&item["id"]), text(&item["message"]));
        }
        if page["pagination"]["has_more"] == true {
            out.push_str("  and more\n");
        }
    }
    print(&out).map(drop)
}

async fn show_list(list: &List) -> anyhow::Result<ExitCode> {
    let page = list.remote.page("/api/v1/operations", list.limit, &[]).await?;
    if list.json {
        return print(&serde_json::to_string_pretty(&page)?);
    }
    let rows = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return print("No operations.");
    }
    let mut out = String::new();
    for row in rows {
        let _ = writeln!(out, "{}  {}, by {}", told(row), text(&row["at"]), text(&row["by"]));
    }
    print(&out)
}

async fn change(one: &One, what: &str) -> anyhow::Result<ExitCode> {
    let path = format!("/api/v1/operations/{}/{what}", one.id);
    let operation = one.remote.send(Method::POST, &path, None).await?.good()?.json();
    print(&if one.json { serde_json::to_string_pretty(&operation)? } else { told(&operation) })
}
