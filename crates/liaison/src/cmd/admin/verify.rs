//! `liaison admin verify`: reads everything that is kept, and names what is damaged.

mod payloads;
mod secrets;

pub(super) use self::secrets::name as name_of;

use std::{collections::HashSet, fmt, process::ExitCode, sync::Arc};

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use store::{JournalCheck, MasterKey, RunId, Store, StoreError};

use crate::{
    cmd::{FAILED, block_on, print},
    config::{Config, Layer},
    key::{self, Place},
    wire,
};

/// Ids read at once.
const IDS_MAX: u32 = 500;
/// Chunks of one journal read at once; a chunk is a few kilobytes, a few megabytes at most.
const CHUNKS_MAX: u32 = 16;
/// Damage named one by one; what is more is counted.
const NAMED_MAX: usize = 1000;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    layer: Layer,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// One thing that is not as it was written.
#[derive(Debug, Serialize)]
struct Damage {
    /// `database`, `run`, `journal`, `payload`, `connection`, `token`, `sign_in`, `secret`, `data_key` or `setting`.
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The step whose payload it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// The number of the chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i32>,
    problem: String,
}

impl Damage {
    fn of(what: &'static str, id: Option<String>, problem: impl fmt::Display) -> Self {
        Self { what, id, step: None, seq: None, problem: problem.to_string() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if let Some(id) = &self.id {
            write!(f, " {id}")?;
        }
        if let Some(step) = &self.step {
            write!(f, ", step {step}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, ", seq {seq}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

#[derive(Debug, Default, Serialize)]
struct Report {
    runs: u64,
    chunks: u64,
    /// Payloads and files that are whole.
    contents: u64,
    secrets: u64,
    damaged: u64,
    /// The first of them.
    damage: Vec<Damage>,
}

impl Report {
    fn add(&mut self, what: &'static str, id: Option<String>, seq: Option<i32>, problem: impl fmt::Display) {
        self.note(Damage { seq, ..Damage::of(what, id, problem) });
    }

    fn note(&mut self, damage: Damage) {
        self.damaged += 1;
        if self.damage.len() < NAMED_MAX {
            self.damage.push(damage);
        }
    }
}

pub(crate) fn verify(verify: Verify) -> anyhow::Result<ExitCode> {
    let config = verify.layer.resolve()?;
    block_on(async {
        let Some(glance) = key::glance(&config).await? else {
            bail!("there is no database in {}; name the data folder with --data-dir", config.data_dir.display());
        };
        let newest = wire::newest_schema(&config);
        if glance.schema != newest {
            bail!(
                "the database has schema {}, this build reads {newest}. Use the build that wrote it, or run `liaison admin migrate` first",
                glance.schema
            );
        }
        let master = key::check_against(&Place::of(&config)?, config.database_url(), &glance);
        let store = wire::open_store_beside(&config).await?;
        let mut report = Report::default();
        let looked = look(&store, master, &mut report).await;
        store.close().await;
        looked?;
        tell(&report, verify.json, &config)
    })
}

async fn look(store: &Arc<dyn Store>, master: anyhow::Result<Option<MasterKey>>, report: &mut Report) -> Result<(), StoreError> {
    for fault in tolerate(store.faults().await, report, "database", None)?.unwrap_or_default() {
        report.add("database", None, None, fault);
    }
    runs(&**store, report).await?;
    strays(&**store, report).await?;
    payloads::contents(store, report).await?;
    secrets::look(store, master, report).await
}

/// Damage is noted and looked past; a database that does not answer ends the look.
fn tolerate<T>(
    outcome: Result<T, StoreError>,
    report: &mut Report,
    what: &'static str,
    id: Option<String>,
) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Corrupt(problem)) => {
            report.add(what, id, None, problem);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Every run and its journal, a few chunks in memory at a time.
async fn runs(store: &dyn Store, report: &mut Report) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let Some(ids) = tolerate(store.run_ids(after, IDS_MAX).await, report, "run", None)? else { return Ok(()) };
        let Some(last) = ids.last() else { return Ok(()) };
        after = Some(*last);
        for id in ids {
            one_run(store, id, report).await?;
        }
    }
}

async fn one_run(store: &dyn Store, id: RunId, report: &mut Report) -> Result<(), StoreError> {
    let row = tolerate(store.run(id).await, report, "run", Some(id.to_string()))?;
    let damaged = report.damaged;
    let chunks = journal(store, id, report).await?;
    report.runs += 1;
    let empty = chunks == 0 && report.damaged == damaged;
    if (empty || matches!(row, Some(None))) && still_there(store, id).await? {
        match row {
            Some(None) => report.add("run", Some(id.to_string()), None, "its recipe is missing"),
            _ => report.add("journal", Some(id.to_string()), None, "the journal is empty"),
        }
    }
    Ok(())
}

/// Runs whose time is over are removed while we read.
async fn still_there(store: &dyn Store, id: RunId) -> Result<bool, StoreError> {
    let before = RunId(uuid::Uuid::from_u128(id.0.as_u128().saturating_sub(1)));
    Ok(store.run_ids(Some(before), 1).await?.first() == Some(&id))
}

/// Returns how many chunks it has. Behind the first that is damaged, nothing can be judged.
async fn journal(store: &dyn Store, id: RunId, report: &mut Report) -> Result<u64, StoreError> {
    let (mut check, mut from, mut chunks) = (JournalCheck::default(), 0, 0);
    loop {
        let part = tolerate(store.chunks(id, from, CHUNKS_MAX).await, report, "journal", Some(id.to_string()))?;
        let Some(part) = part.filter(|part| !part.is_empty()) else { return Ok(chunks) };
        for (seq, chunk) in part {
            (chunks, report.chunks) = (chunks + 1, report.chunks + 1);
            if let Err(error) = check.take(seq, &chunk) {
                report.add("journal", Some(id.to_string()), Some(seq), plain(&error));
                return Ok(chunks);
            }
            payloads::referred(store, id, &chunk, report).await?;
            from = seq.saturating_add(1);
        }
    }
}

/// Journals nobody can find: their run is gone.
async fn strays(store: &dyn Store, report: &mut Report) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let Some(ids) = tolerate(store.journal_ids(after, IDS_MAX).await, report, "journal", None)? else { return Ok(()) };
        let Some(last) = ids.last() else { return Ok(()) };
        let known = known(store, after, *last, ids.len()).await?;
        after = Some(*last);
        for id in ids.into_iter().filter(|id| !known.contains(id)) {
            // Accepted or removed since we asked.
            let part = store.chunks(id, 0, 1).await?;
            if !part.is_empty() && !still_there(store, id).await? {
                report.add("journal", Some(id.to_string()), None, "there is no such run");
            }
        }
    }
}

/// Ids of runs from `after` to `last`.
async fn known(store: &dyn Store, after: Option<RunId>, last: RunId, expected: usize) -> Result<HashSet<RunId>, StoreError> {
    let mut known = HashSet::with_capacity(expected);
    let mut from = after;
    loop {
        let ids = store.run_ids(from, IDS_MAX).await?;
        let Some(end) = ids.last().copied() else { return Ok(known) };
        known.extend(ids.into_iter().filter(|id| *id <= last));
        if end >= last {
            return Ok(known);
        }
        from = Some(end);
    }
}

fn plain(error: &StoreError) -> String {
    match error {
        StoreError::Corrupt(problem) => problem.clone(),
        error => error.to_string(),
    }
}

fn tell(report: &Report, as_json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    if as_json {
        print(&serde_json::to_string(report)?)?;
    } else {
        let mut text: String = report.damage.iter().map(|damage| format!("{damage}\n")).collect();
        let Report { runs, chunks, contents, secrets, .. } = report;
        let read = format!(
            "Read {runs} runs with {chunks} journal chunks, {contents} payloads and files beside them, and {secrets} sealed secrets"
        );
        let more = report.damaged.saturating_sub(report.damage.len() as u64);
        if more > 0 {
            text.push_str(&format!("and {more} more\n"));
        }
        text.push_str(&match report.damaged {
            0 => format!("{read}: nothing is damaged."),
            count => format!(
                "{read}: {count} damaged. Everything else can be used. Keep a copy of {} as it is, and restore a backup from before.",
                config.database_url().map_or_else(|| config.data_dir.display().to_string(), |_| "the database".to_owned())
            ),
        });
        print(&text)?;
    }
    Ok(if report.damaged == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
