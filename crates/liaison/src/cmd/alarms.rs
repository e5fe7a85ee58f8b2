//! `liaison alarms`: what a server tells people when something happens, or when nothing does.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{block_on, print, runs::text};
use crate::remote::{One, Remote};

#[derive(Debug, Subcommand)]
pub(crate) enum Alarms {
    /// All of them, with what they told last.
    List(List),
    /// Sets one, new or in the place of the one with its name.
    Set(Box<Set>),
    /// Removes one.
    Remove(One),
    /// Has one send a notice that says that it is a test.
    Test(One),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("rule").required(true).args(["no_run_by", "no_run_for", "unusual", "failures"])))]
#[command(group(ArgGroup::new("way").required(true).args(["webhook", "email", "deliver"])))]
pub(crate) struct Set {
    /// Its name: small letters, digits and hyphens.
    name: String,
    /// The recipe it watches; --failures watches all without one.
    #[arg(long)]
    recipe: Option<String>,
    /// No run began on a day by this time, such as 09:30.
    #[arg(long, value_name = "TIME")]
    no_run_by: Option<String>,
    /// The time zone of --no-run-by.
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// Only on these days: mon,tue,wed,thu,fri,sat,sun.
    #[arg(long, value_delimiter = ',')]
    days: Vec<String>,
    /// No run began for so long, such as 2h.
    #[arg(long, value_name = "TIME")]
    no_run_for: Option<String>,
    /// This number of a run's result is far from what the last runs gave, such as total.
    #[arg(long, value_name = "PLACE")]
    unusual: Option<String>,
    /// How many runs --unusual compares with.
    #[arg(long, default_value_t = 20)]
    last: u32,
    /// Runs failed; the same cause once in --every.
    #[arg(long)]
    failures: bool,
    /// How long --failures does not tell the same cause again.
    #[arg(long, default_value = "1h")]
    every: String,
    /// Tells by a POST of JSON to this address.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Tells by e-mail: CONNECTION:ADDRESS, several addresses separated by commas.
    #[arg(long, value_name = "CONNECTION:ADDRESS")]
    email: Option<String>,
    /// Tells by any action: JSON with `do` and `with`.
    #[arg(long, value_name = "JSON")]
    deliver: Option<String>,
    #[command(flatten)]
    remote: Remote,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn alarms(alarms: &Alarms) -> anyhow::Result<ExitCode> {
    block_on(async {
        match alarms {
            Alarms::List(list) => show_list(list).await,
            Alarms::Set(set) => put(set).await,
            Alarms::Remove(one) => {
                one.remote.send(Method::DELETE, &format!("/api/v1/alarms/{}", one.id), None).await?.good()?;
                print(&if one.json { "{}".to_owned() } else { format!("{} watches no more.", one.id) })
            }
            Alarms::Test(one) => {
                let told = one.remote.send(Method::POST, &format!("/api/v1/alarms/{}/test", one.id), None).await?.good()?.json();
                print(&if one.json {
                    serde_json::to_string_pretty(&told)?
                } else {
                    format!("{} is on its way.", text(&told["id"]))
                })
            }
        }
    })
}

async fn put(set: &Set) -> anyhow::Result<ExitCode> {
    let body = json!({ "recipe": set.recipe, "rule": rule(set), "deliver": deliver(set)? });
    let path = format!("/api/v1/alarms/{}", set.name);
    let told = set.remote.send(Method::PUT, &path, Some(("application/json", body.to_string()))).await?.good()?.json();
    print(&if set.json { serde_json::to_string_pretty(&told)? } else { line(&told) })
}

fn rule(set: &Set) -> Value {
    if let Some(at) = &set.no_run_by {
        return json!({ "kind": "no_run_by", "at": at, "zone": set.zone, "days": set.days });
    }
    if let Some(span) = &set.no_run_for {
        return json!({ "kind": "no_run_for", "for": span });
    }
    match &set.unusual {
        Some(value) => json!({ "kind": "unusual", "value": value, "last": set.last }),
        None => json!({ "kind": "failures", "every": set.every }),
    }
}

/// This room is the one that knows connectors by name.
fn deliver(set: &Set) -> anyhow::Result<Value> {
    if let Some(url) = &set.webhook {
        return Ok(json!({ "do": "http.request", "with": { "method": "POST", "url": url, "json": "${ notice }" } }));
    }
    if let Some(email) = &set.email {
        let (connection, to) =
            email.split_once(':').context("write --email as CONNECTION:ADDRESS, such as mail:ops@example.com")?;
        let to: Vec<&str> = to.split(',').map(str::trim).collect();
        let with = json!({ "to": to, "subject": "${ notice.subject }", "text": "${ notice.text }" });
        return Ok(json!({ "do": format!("{connection}.send"), "with": with }));
    }
    serde_json::from_str(set.deliver.as_deref().unwrap_or_default()).context("--deliver is no JSON")
}

async fn show_list(list: &List) -> anyhow::Result<ExitCode> {
    let page = list.remote.send(Method::GET, "/api/v1/alarms", None).await?.good()?.json();
    if list.json {
        return print(&serde_json::to_string_pretty(&page)?);
    }
    let rows = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return print("No alarms.");
    }
    let mut out = String::new();
    for row in rows {
        let _ = writeln!(out, "{}", line(row));
        if row["last"].is_object() {
            let last = &row["last"];
            let _ = write!(out, "  {}  {}  {}", text(&last["at"]), text(&last["state"]), text(&last["notice"]["subject"]));
            let _ = match last["error"].as_str() {
                Some(error) => writeln!(out, " ({error})"),
                None => writeln!(out),
            };
        }
    }
    print(&out)
}

/// An alarm in one line.
fn line(alarm: &Value) -> String {
    let recipe = alarm["recipe"].as_str().unwrap_or("all recipes");
    let mut rule = alarm["rule"].clone();
    let kind = text(&rule["kind"]);
    if let Some(fields) = rule.as_object_mut() {
        fields.remove("kind");
    }
    format!("{}  {recipe}: {kind} {rule}, by {}", text(&alarm["name"]), text(&alarm["deliver"]["do"]))
}
