//! `liaison dead-letters`: a server's failed runs, by cause, and what is done about them.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    block_on,
    operations::{follow, told},
    print,
    runs::{read_json, tell, text},
};
use crate::remote::{One, Remote};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// The newest open ones.
    List(List),
    /// Why they failed, and how many for the same reason.
    Causes(Causes),
    /// One of them with its steps.
    Show(One),
    /// Lets them go on at the steps that failed.
    Resume(Resume),
    /// Runs their events again as new runs.
    Replay(Replay),
    /// Puts them aside, with a reason.
    Discard(Discard),
}

/// Which ones.
#[derive(Debug, Args)]
struct Which {
    /// These runs.
    #[arg(value_name = "RUN", conflicts_with_all = ["recipe", "fingerprint", "since", "until", "q", "all"],
        required_unless_present_any = ["recipe", "fingerprint", "since", "until", "q", "all"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Every open one.
    #[arg(long)]
    all: bool,
}

/// Which dead letters, by what they have in common.
#[derive(Debug, Args)]
struct Filter {
    /// Those of this recipe.
    #[arg(long)]
    recipe: Option<String>,
    /// Those of this cause; `liaison dead-letters causes` shows them.
    #[arg(long)]
    fingerprint: Option<String>,
    /// Those accepted at or after this instant.
    #[arg(long)]
    since: Option<String>,
    /// Those accepted before this instant.
    #[arg(long)]
    until: Option<String>,
    /// Those whose label contains this.
    #[arg(long)]
    q: Option<String>,
}

impl Filter {
    /// The fields as the API calls them.
    const fn fields(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("recipe", &self.recipe),
            ("fingerprint", &self.fingerprint),
            ("since", &self.since),
            ("until", &self.until),
            ("q", &self.q),
        ]
    }
}

/// How many at a time, and whether to wait.
#[derive(Debug, Args)]
struct How {
    /// Runs per second at most.
    #[arg(long)]
    rate: Option<u32>,
    /// Come back at once; `liaison operations show` tells how far it is.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    remote: Remote,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    filter: Filter,
    /// How many.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Causes {
    #[command(flatten)]
    remote: Remote,
    /// Only those of this recipe.
    #[arg(long)]
    recipe: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    which: Which,
    /// Under the active version of the recipe instead of each run's own.
    #[arg(long)]
    active: bool,
    /// What became of steps that may have happened.
    #[arg(long, value_parser = ["happened", "repeat"])]
    uncertain: Option<String>,
    /// What those that happened returned, as JSON: later steps work with it. With --uncertain happened.
    #[arg(long, value_name = "JSON|@FILE", requires = "uncertain")]
    output: Option<String>,
    /// So many go first and must end well before the rest goes.
    #[arg(long)]
    first: Option<u32>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    which: Which,
    /// Changes each event before it runs again: a JSON merge patch (RFC 7396), or @FILE with one. Fields it names are set,
    /// those it gives as null are removed.
    #[arg(long, value_name = "JSON|@FILE")]
    patch: Option<String>,
    /// So many go first and must end well before the rest goes.
    #[arg(long)]
    first: Option<u32>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    which: Which,
    /// Why; it is kept.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    how: How,
}

pub(crate) fn dead_letters(letters: &DeadLetters) -> anyhow::Result<ExitCode> {
    block_on(async {
        match letters {
            DeadLetters::List(list) => show_list(list).await,
            DeadLetters::Causes(causes) => show_causes(causes).await,
            DeadLetters::Show(show) => show_one(show).await,
            DeadLetters::Resume(resume) => {
                let mut wish = wish(&resume.which, &resume.how);
                wish["version"] = json!(if resume.active { "active" } else { "same" });
                put(&mut wish, "uncertain", resume.uncertain.as_ref().map(|word| json!(word)));
                put(&mut wish, "output", resume.output.as_deref().map(|output| read_json("--output", output)).transpose()?);
                put(&mut wish, "first", resume.first.map(Value::from));
                begin("resume", &wish, &resume.how).await
            }
            DeadLetters::Replay(replay) => {
                let mut wish = wish(&replay.which, &replay.how);
                put(&mut wish, "patch", replay.patch.as_deref().map(|patch| read_json("--patch", patch)).transpose()?);
                put(&mut wish, "first", replay.first.map(Value::from));
                begin("replay", &wish, &replay.how).await
            }
            DeadLetters::Discard(discard) => {
                let mut wish = wish(&discard.which, &discard.how);
                wish["reason"] = json!(discard.reason);
                begin("discard", &wish, &discard.how).await
            }
        }
    })
}

fn put(wish: &mut Value, field: &str, value: Option<Value>) {
    if let Some(value) = value {
        wish[field] = value;
    }
}

fn wish(which: &Which, how: &How) -> Value {
    let mut wish = json!({});
    if !which.ids.is_empty() {
        wish["ids"] = json!(which.ids);
    }
    for (field, value) in which.filter.fields() {
        put(&mut wish, field, value.as_ref().map(|text| json!(text)));
    }
    put(&mut wish, "all", which.all.then_some(json!(true)));
    put(&mut wish, "rate", how.rate.map(Value::from));
    wish
}

async fn begin(what: &str, wish: &Value, how: &How) -> anyhow::Result<ExitCode> {
    let body = Some(("application/json", wish.to_string()));
    let answer = how.remote.send(Method::POST, &format!("/api/v1/dead-letters/{what}"), body).await?.good()?.json();
    let operation = &answer["operation"];
    if how.no_wait {
        return print(&if how.json { serde_json::to_string_pretty(operation)? } else { told(operation) });
    }
    follow(&how.remote, &text(&operation["id"]), how.json).await
}

async fn show_list(list: &List) -> anyhow::Result<ExitCode> {
    let page = list.remote.page("/api/v1/dead-letters", list.limit, &list.filter.fields()).await?;
    if list.json {
        return print(&serde_json::to_string_pretty(&page)?);
    }
    let rows = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return print("No open dead letters match.");
    }
    let mut out = format!("{:<30}  {:<28}  {:<26}  {}\n", "RUN", "RECIPE", "STARTED", "WHY");
    for row in rows {
        let (id, recipe, started) = (text(&row["id"]), text(&row["recipe"]), text(&row["started_at"]));
        let _ = writeln!(out, "{id:<30}  {recipe:<28}  {started:<26}  {}", first_line(&row["error"]["message"]));
    }
    if page["pagination"]["has_more"] == true {
        out.push_str("More with --limit.\n");
    }
    print(&out)
}

async fn show_causes(causes: &Causes) -> anyhow::Result<ExitCode> {
    let page = causes.remote.page("/api/v1/dead-letters/causes", causes.limit, &[("recipe", &causes.recipe)]).await?;
    if causes.json {
        return print(&serde_json::to_string_pretty(&page)?);
    }
    let rows = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return print("No open dead letters.");
    }
    let mut out = format!("{:<32}  {:>6}  {:<28}  {:<20}  {}\n", "FINGERPRINT", "RUNS", "RECIPE", "STEP", "WHY");
    for row in rows {
        let (fingerprint, count) = (text(&row["fingerprint"]), text(&row["count"]));
        let (recipe, step) = (text(&row["recipe"]), text(&row["step"]));
        let _ = writeln!(out, "{fingerprint:<32}  {count:>6}  {recipe:<28}  {step:<20}  {}", first_line(&row["message"]));
    }
    print(&out)
}

/// A message in a table.
fn first_line(message: &Value) -> String {
    const CHARS_MAX: usize = 100;
    let line: String = message.as_str().unwrap_or_default().lines().next().unwrap_or_default().to_owned();
    if line.chars().nth(CHARS_MAX).is_some() { line.chars().take(CHARS_MAX - 1).chain(['…']).collect() } else { line }
}

async fn show_one(show: &One) -> anyhow::Result<ExitCode> {
    let run = show.remote.send(Method::GET, &format!("/api/v1/runs/{}", show.id), None).await?.good()?.json();
    if show.json {
        return print(&serde_json::to_string_pretty(&run)?);
    }
    let mut out = tell(&run);
    let doubts: Vec<String> = run["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|step| step["status"] == "uncertain")
        .map(|step| text(&step["path"]))
        .collect();
    match (run["dead_letter"].as_str(), doubts.as_slice()) {
        (Some("open"), []) => {}
        (Some("open"), doubts) => {
            let _ = writeln!(
                out,
                "{} may have happened. Look in the other system, then say so: liaison runs settle {} --happened OUTPUT, \
                 --repeat, or --give-up --reason WHY.",
                doubts.join(", "),
                show.id
            );
        }
        (Some(state), _) => {
            let _ = writeln!(out, "This dead letter was {state}.");
        }
        (None, _) => out.push_str("This run is no dead letter.\n"),
    }
    print(&out)
}
