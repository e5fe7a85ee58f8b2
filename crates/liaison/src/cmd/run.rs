//! `liaison run`: one run in the terminal, by the real engine on a store of its own.

use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use engine::{EngineSettings, Event, Intake};
use serde::Deserialize;
use serde_json::{Value, json};
use server::detail::{RunDetail, RunReader, StepStatus};
use store::{ConnectionId, ConnectionRow, NewVersion, RecipeId, RunStatus, Saved, SealedAt, Timestamp, Via, WaitingFor};

use super::{FAILED, block_on, check::draw, print, runs::tell, serve};
use crate::{config::Layer, declared, telemetry, wire};

/// Runs a recipe once, here.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The recipe.
    file: PathBuf,
    /// The event: JSON, or `@file`.
    #[arg(long, default_value = "null")]
    event: String,
    /// A JSON file with connections: a list of {name, connector, config, credentials}.
    #[arg(long, value_name = "FILE")]
    connections: Option<PathBuf>,
    /// Values for the recipe's params, as a JSON record.
    #[arg(long, default_value = "{}")]
    params: String,
    /// Go on at once where a step waits for a time: its `wait` is taken as over.
    #[arg(long)]
    skip_waits: bool,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    layer: Layer,
}

/// A wait that is looked at again after so long is one that only somebody ends.
const ENDLESS: Duration = Duration::from_secs(9 * 365 * 24 * 3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenConnection {
    name: String,
    connector: String,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    credentials: std::collections::BTreeMap<String, String>,
}

pub(crate) fn run(run: Run) -> anyhow::Result<ExitCode> {
    let event: Value = match run.event.strip_prefix('@') {
        Some(file) => {
            serde_json::from_str(&std::fs::read_to_string(file).with_context(|| format!("cannot read the event {file}"))?)
        }
        None => serde_json::from_str(&run.event),
    }
    .context("the event is not JSON")?;
    let params: Value = serde_json::from_str(&run.params).context("--params is not JSON")?;
    let text = std::fs::read_to_string(&run.file).with_context(|| format!("cannot read {}", run.file.display()))?;
    let mut config = run.layer.resolve()?;
    let parsed = recipe::parse_and_check(text.as_bytes(), &engine::catalogue::of(&declared::all(&config).0));
    let path = run.file.display().to_string();
    let errors: Vec<_> = parsed.diagnostics.into_iter().filter(|problem| problem.severity == recipe::Severity::Error).collect();
    let recipe = match parsed.recipe {
        Some(recipe) if errors.is_empty() => recipe,
        _ => {
            print(&draw(&path, &text, &errors))?;
            bail!("{path} has errors and was not run");
        }
    };
    let given: Vec<GivenConnection> = match &run.connections {
        Some(file) => {
            serde_json::from_str(&std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
                .with_context(|| format!("{} is not a list of connections", file.display()))?
        }
        None => Vec::new(),
    };
    // A folder of its own: a server may be using the data folder, and nothing of this run is kept.
    let folder = tempfile::tempdir().context("cannot make a folder for the run")?;
    config.layer.database_url = None;
    config.layer.master_key_file = None;
    config.layer.master_key_command = None;
    config.master_key = None;
    config.data_dir = folder.path().to_owned();
    if config.layer.log.is_none() {
        config.layer.log = Some("warn".to_owned());
    }
    telemetry::start_logs(&config)?;
    block_on(async move {
        let store = wire::open_store(&config).await?;
        let settings = EngineSettings { works: true, schedules: false, skips_waits: run.skip_waits, ..config.engine() };
        let engine = wire::start_engine_with(&config, Arc::clone(&store), settings).await?;
        let now = engine.now();
        for connection in given {
            let id = ConnectionId::new(now, engine.random());
            let config = if connection.config.is_null() { json!({}) } else { connection.config };
            let row = ConnectionRow {
                id,
                name: connection.name,
                connector: connection.connector,
                config,
                sealed: Vec::new(),
                revision: 1,
                created_at: now,
                updated_at: now,
            };
            let create = |sealed| store.create_connection(ConnectionRow { sealed, ..row.clone() });
            engine.vault.keep(&SealedAt::Connection(id), &connection.credentials, create).await?;
        }
        let slug = recipe.slug.value.clone();
        let saved = store
            .save_version(NewVersion {
                id: RecipeId::new(now, engine.random()),
                slug: slug.clone(),
                title: recipe.title.clone().unwrap_or_else(|| slug.clone()),
                hash: store::text_hash(&text),
                text,
                hook_token: "local".to_owned(),
                if_revision: None,
                at: now,
                by: "terminal".to_owned(),
            })
            .await?;
        let (Saved::Created(row) | Saved::Updated(row) | Saved::Unchanged(row) | Saved::Stale(row)) = saved;
        engine.activate(&row, 1, &params).await?;
        let catalogue = engine.catalogue();
        let live = catalogue.recipes.get(&slug).context("the recipe cannot run on this build")?;
        let mut changes = engine.live.watch();
        let event =
            Event { data: Arc::new(event), via: Via::Api, key: None, key_wins: false, fingerprint: None, replay_of: None };
        let id = match engine.accept(live, event).await? {
            Intake::Accepted { run, .. } | Intake::Duplicate { run, .. } => run,
            Intake::Filtered => {
                print("The recipe's trigger does not want this event; no run was started.")?;
                serve::stop(&engine, &config, &*store).await;
                return Ok(ExitCode::SUCCESS);
            }
        };
        let (mut told, mut waits, mut reader) = (0, None, RunReader::new(id));
        let detail = loop {
            let detail = reader.read(&*store).await?.context("the run is gone")?;
            let over = detail.row.status.is_final();
            if !run.json {
                // Steps are told once they are done, in the order they were reached.
                let from = told;
                let new = detail.steps.iter().filter(|step| step.number >= from);
                for step in new.take_while(|step| over || step.status != StepStatus::Running) {
                    print(&format!("  {:<10} {}", format!("{:?}", step.status).to_lowercase(), step.path))?;
                    told = step.number + 1;
                }
            }
            if over {
                break detail;
            }
            let waiting = waiting(&detail, engine.now());
            if let Some(words) = waiting.as_ref().filter(|_| waiting != waits) {
                let _ = writeln!(std::io::stderr(), "  waiting    {words}");
            }
            waits = waiting;
            tokio::select! {
                _ = changes.recv() => {}
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        };
        let succeeded = detail.row.status == RunStatus::Succeeded;
        let result = json!({
            "id": detail.row.id, "status": detail.row.status, "recipe": detail.row.slug, "version": detail.row.version,
            "output": detail.output, "error": detail.error,
        });
        print(&if run.json { serde_json::to_string_pretty(&result)? } else { tell(&result) })?;
        serve::stop(&engine, &config, &*store).await;
        Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    })
}

/// What a run that stands still waits for, until when, and what may be done about it.
fn waiting(detail: &RunDetail, now: Timestamp) -> Option<String> {
    let reason = detail.row.waiting_for.filter(|_| detail.row.status == RunStatus::Waiting)?;
    let steps: Vec<&str> =
        detail.steps.iter().filter(|step| step.status == StepStatus::Running).map(|step| &*step.path).collect();
    let due = detail.row.due_at.filter(|due| due.since(now) < ENDLESS);
    let due = due.and_then(|due| jiff::Timestamp::from_microsecond(due.micros()).ok());
    let until = due.map_or_else(|| "without end".to_owned(), |due| format!("until {due:.0}"));
    let advice = match reason {
        WaitingFor::Timer => " (--skip-waits goes on at once)",
        WaitingFor::Approval | WaitingFor::Callback => " (nobody can answer a run in the terminal)",
        _ => "",
    };
    Some(format!("{} for {} {until}{advice}", steps.join(", "), reason.as_str()))
}
