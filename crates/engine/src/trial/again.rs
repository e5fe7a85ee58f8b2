//! Crashes in memory: a finished run is cut after every commit and taken up again from its journal.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value as Json, json};
use store::{Entry, Journal, StepState};

use super::{End, PERSON, Script, Trial, Walker};
use crate::{decide::RunState, program::Program};

/// The code of an attempt whose process died under it.
const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// So many places of a long run are cut, evenly spread.
const CUTS_MAX: usize = 500;

/// A run that ended otherwise after a crash.
#[derive(Debug, Clone, PartialEq)]
pub struct Differs {
    /// After which commit it was cut, counted from 1.
    pub commit: usize,
    /// The last entry before the cut, in words.
    pub after: String,
    /// What differs: `status`, `output`, `steps`…
    pub what: &'static str,
    /// What it is without the crash.
    pub expected: Json,
    /// What it is after the crash.
    pub actual: Json,
}

/// Cuts a finished run after every commit, takes it up again with nothing but the journal, and says
/// how often that was done.
///
/// A call of an effect that happens once and was under way at the cut is in doubt, as promised; the
/// person who then looks into the other system is played by the script.
///
/// # Errors
/// The first cut after which the run ended otherwise.
pub fn crash(program: &Program, script: &Script, whole: &Trial) -> Result<usize, Box<Differs>> {
    let expected = ending(whole);
    let step = whole.commits.len().div_ceil(CUTS_MAX).max(1);
    let mut cuts = 0;
    for cut in (0..whole.commits.len()).step_by(step) {
        let (kept, last) = (&whole.commits[..=cut], whole.commits[cut].1.last());
        if matches!(last, Some(Entry::Ended { .. }) | None) {
            continue;
        }
        let actual = match resumed(program, script, kept) {
            Ok(trial) => ending(&trial),
            Err(sentence) => BTreeMap::from([("journal", json!(sentence))]),
        };
        cuts += 1;
        if let Some((what, expected)) = expected.iter().find(|(what, value)| actual.get(*what) != Some(value)) {
            let after = last.map_or_else(String::new, |entry| {
                format!("{} {}", entry.word(), entry.path().map_or("", |path| path)).trim().to_owned()
            });
            let actual = actual.get(what).or_else(|| actual.get("journal")).cloned().unwrap_or_default();
            return Err(Box::new(Differs { commit: cut + 1, after, what, expected: expected.clone(), actual }));
        }
    }
    Ok(cuts)
}

/// Goes on from what was durable.
fn resumed(program: &Program, script: &Script, kept: &[(store::Timestamp, Vec<Entry>)]) -> Result<Trial, String> {
    let packed: Vec<_> = kept
        .iter()
        .map(|(_, entries)| store::write_chunk(entries))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let journal = Journal::replay((0..).zip(packed.iter().map(Vec::as_slice))).map_err(|error| error.to_string())?;
    let (begun, now) = (kept.first().map_or(script.at, |(at, _)| *at), kept.last().map_or(script.at, |(at, _)| *at));
    let walker = |state, now| {
        let mut walker = Walker::new(program, script, state, now);
        walker.trial.began = begun;
        walker
    };
    let id = store::RunId::new(script.at, [7; 10]);
    let trial = walker(RunState::resumed(id, journal.clone(), 0), now).walk();
    let in_doubt = trial.entries().any(|entry| matches!(entry, Entry::Uncertain { err, .. } if err.code == OUTCOME_UNKNOWN));
    let commits = |trial: Trial| Trial { commits: [kept, &trial.commits].concat(), ..trial };
    if !in_doubt {
        return Ok(commits(trial));
    }
    // The run ended in doubt. Somebody says what became of the calls, and it goes on.
    let mut state = RunState::resumed(id, journal, 0);
    for entry in trial.entries() {
        state.push(entry.clone());
    }
    let now = trial.ended;
    state.push(Entry::Resumed { at: now, by: PERSON.to_owned(), version: None });
    let uncertain: Vec<_> = state
        .journal
        .steps
        .iter()
        .filter_map(|(path, step)| match step {
            StepState::Uncertain { attempt, error } if error.code == OUTCOME_UNKNOWN => Some((Arc::clone(path), *attempt)),
            _ => None,
        })
        .collect();
    for (p, attempt) in uncertain {
        let by = PERSON.to_owned();
        state.push(match (script.failure(&p, attempt), script.given(&p)) {
            (None, Some(output)) => Entry::Settled { p, at: now, by, out: Arc::clone(output) },
            _ => Entry::Reopened { p, at: now, by },
        });
    }
    Ok(commits(walker(state, now).walk()))
}

/// What must be the same with and without a crash.
fn ending(trial: &Trial) -> BTreeMap<&'static str, Json> {
    let status = match &trial.end {
        End::Succeeded => "succeeded".to_owned(),
        End::Failed => "failed".to_owned(),
        End::Cancelled => "cancelled".to_owned(),
        other => format!("{other:?}"),
    };
    let error = trial.error.as_ref().map(|error| json!({ "class": error.class, "code": error.code, "step": error.path }));
    let mut steps: BTreeMap<&str, Json> = BTreeMap::new();
    let mut calls: BTreeMap<&str, Json> = BTreeMap::new();
    for entry in trial.entries() {
        match entry {
            Entry::Computed { p, out, .. } | Entry::Succeeded { p, out, .. } | Entry::Settled { p, out, .. } => {
                steps.insert(p, Json::clone(out));
            }
            Entry::Skipped { p, .. } => {
                steps.insert(p, json!("skipped"));
            }
            Entry::Failed { p, retry: None, err, .. } => {
                steps.insert(p, json!({ "failed": err.code }));
            }
            Entry::Caught { p, out: Some(out), .. } => {
                steps.insert(p, Json::clone(out));
            }
            Entry::Started { p, input: Some(input), .. } => {
                calls.insert(p, Json::clone(input));
            }
            _ => {}
        }
    }
    BTreeMap::from([
        ("status", json!(status)),
        ("output", trial.output.as_deref().cloned().unwrap_or_default()),
        ("error", error.unwrap_or_default()),
        ("state", trial.state.clone()),
        ("response", trial.response.clone().unwrap_or_default()),
        ("steps", json!(steps)),
        ("calls", json!(calls)),
    ])
}
