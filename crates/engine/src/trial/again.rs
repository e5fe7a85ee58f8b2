//! Crashes in memory: a finished run is cut after every commit and taken up again from its journal.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use connector::Effect;
use serde_json::{Value as Json, json};
use store::{Entry, Journal, StepPath, StepState};

use super::{Call, End, PERSON, Script, Trial, Walker, short_name};
use crate::{decide::RunState, program::Program};

/// The code of an attempt whose process died under it.
const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// So many places of a long run are cut, evenly spread.
pub const CUTS_MAX: usize = 500;

/// A run that came to its end after every crash, and what that cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survived {
    /// Commits after which it can be cut: all but the last.
    pub places: usize,
    /// After how many of them it was: all, or [`CUTS_MAX`] at most.
    pub cuts: usize,
    /// Steps whose call was under way at a cut and was made again. They only read.
    pub read_again: BTreeSet<String>,
    /// The same of those that change something: the repeat carries the key of the first.
    pub sent_again: BTreeSet<String>,
    /// Steps whose call was under way at a cut and is not made again before a person has said what became of it.
    pub asked: BTreeSet<String>,
}

/// What a crash must not do to a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// After which commit it was cut, counted from 1.
    pub commit: usize,
    /// The last entry before the cut, in words.
    pub after: String,
    /// What happened.
    pub what: Harm,
}

/// Something that a crash did to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Harm {
    /// It ended otherwise.
    Differs {
        /// What differs: `status`, `output`, `steps`…
        what: &'static str,
        /// What it is without the crash.
        expected: Json,
        /// What it is after the crash.
        actual: Json,
    },
    /// A call whose success was durable was made again.
    DoneAgain(StepPath),
    /// A call that happens once and may have happened was made again, and nobody was asked.
    NobodyAsked(StepPath),
    /// A call that was under way was made again, and sent something else under the same key.
    OtherData(StepPath),
}

/// Cuts a finished run after every commit, takes it up again with nothing but the journal, and says
/// how often that was done and which calls it repeated.
///
/// A call of an effect that happens once and was under way at the cut is in doubt, as promised; the
/// person who then looks into the other system is played by the script.
///
/// # Errors
/// The first cut after which the run ended otherwise, or repeated what it must not.
pub fn crash(program: &Program, script: &Script, whole: &Trial) -> Result<Survived, Box<Fault>> {
    let expected = ending(whole);
    let is_over = |entries: &[Entry]| matches!(entries.last(), Some(Entry::Ended { .. }) | None);
    let places: Vec<usize> = (0..whole.commits.len()).filter(|cut| !is_over(&whole.commits[*cut].1)).collect();
    let mut survived = Survived { places: places.len(), ..Survived::default() };
    for &cut in places.iter().step_by(places.len().div_ceil(CUTS_MAX).max(1)) {
        let kept = &whole.commits[..=cut];
        let fault = |what| {
            let after = kept.last().and_then(|(_, entries)| entries.last()).map_or_else(String::new, |entry| {
                format!("{} {}", entry.word(), entry.path().map_or("", |path| path)).trim().to_owned()
            });
            Box::new(Fault { commit: cut + 1, after, what })
        };
        let actual = match resumed(program, script, kept) {
            Ok(resumed) => {
                survived.count(kept, &resumed).map_err(|harm| fault(*harm))?;
                ending(&resumed.trial)
            }
            Err(sentence) => BTreeMap::from([("journal", json!(sentence))]),
        };
        survived.cuts += 1;
        if let Some((what, expected)) = expected.iter().find(|(what, value)| actual.get(*what) != Some(value)) {
            let actual = actual.get(what).or_else(|| actual.get("journal")).cloned().unwrap_or_default();
            return Err(fault(Harm::Differs { what, expected: expected.clone(), actual }));
        }
    }
    Ok(survived)
}

impl Survived {
    /// Holds the calls that came after a cut against what was durable.
    fn count(&mut self, kept: &[(store::Timestamp, Vec<Entry>)], resumed: &Resumed) -> Result<(), Box<Harm>> {
        let mut at_the_cut: HashMap<&StepPath, &Entry> = HashMap::new();
        let mut inputs: HashMap<&StepPath, &Arc<Json>> = HashMap::new();
        for entry in kept.iter().flat_map(|(_, entries)| entries) {
            match entry {
                Entry::Started { p, input, .. } => {
                    at_the_cut.insert(p, entry);
                    inputs.extend(input.as_ref().map(|input| (p, input)));
                }
                Entry::Succeeded { p, .. }
                | Entry::Failed { p, .. }
                | Entry::Uncertain { p, .. }
                | Entry::Settled { p, .. }
                | Entry::Reopened { p, .. } => drop(at_the_cut.insert(p, entry)),
                _ => {}
            }
        }
        for (call, asked) in resumed.alone.iter().map(|call| (call, false)).chain(resumed.asked.iter().map(|call| (call, true))) {
            let path = &call.path;
            match at_the_cut.get(path) {
                Some(Entry::Succeeded { .. } | Entry::Settled { .. }) => return Err(Box::new(Harm::DoneAgain(Arc::clone(path)))),
                Some(Entry::Started { .. }) => {}
                _ => continue,
            }
            let name = call.stream.as_deref().unwrap_or_else(|| short_name(path)).to_owned();
            match call.effect {
                Effect::Once if !asked => return Err(Box::new(Harm::NobodyAsked(Arc::clone(path)))),
                Effect::Once => continue,
                _ if inputs.get(path).is_some_and(|first| **first != call.input) => {
                    return Err(Box::new(Harm::OtherData(Arc::clone(path))));
                }
                Effect::Idempotent => self.sent_again.insert(name),
                Effect::None => self.read_again.insert(name),
            };
        }
        self.asked.extend(resumed.doubts.iter().map(|path| short_name(path).to_owned()));
        Ok(())
    }
}

/// A run that went on after a cut.
struct Resumed {
    /// With what was durable before.
    trial: Trial,
    /// Calls it made by itself.
    alone: Vec<Call>,
    /// Calls it made after a person had said what became of those in doubt.
    asked: Vec<Call>,
    /// Calls a person was asked about.
    doubts: Vec<StepPath>,
}

/// Goes on from what was durable.
fn resumed(program: &Program, script: &Script, kept: &[(store::Timestamp, Vec<Entry>)]) -> Result<Resumed, String> {
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
    let doubts: Vec<StepPath> = trial
        .entries()
        .filter_map(|entry| match entry {
            Entry::Uncertain { p, err, .. } if err.code == OUTCOME_UNKNOWN => Some(Arc::clone(p)),
            _ => None,
        })
        .collect();
    let alone = trial.calls.clone();
    let commits = |trial: Trial| Trial { commits: [kept, &trial.commits].concat(), ..trial };
    if doubts.is_empty() {
        return Ok(Resumed { trial: commits(trial), alone, asked: Vec::new(), doubts });
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
    let trial = walker(state, now).walk();
    Ok(Resumed { asked: trial.calls.clone(), trial: commits(trial), alone, doubts })
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

#[cfg(test)]
mod tests {
    use super::*;

    const AT: store::Timestamp = store::Timestamp::from_micros(0);

    fn started(path: &str) -> Entry {
        Entry::Started { p: path.into(), n: 1, at: AT, input: Some(Arc::new(json!({ "n": 1 }))) }
    }

    fn call(path: &str, effect: Effect, input: Json) -> Call {
        Call { path: path.into(), stream: None, input: Arc::new(input), effect, attempts: 1 }
    }

    /// What is told of calls after a cut, made by the run alone or after somebody was asked.
    fn told(kept: Vec<Entry>, alone: Vec<Call>, asked: Vec<Call>) -> Result<Survived, Box<Harm>> {
        let trial = Trial::empty(AT, End::Succeeded);
        let mut survived = Survived::default();
        let resumed = Resumed { trial, alone, asked, doubts: Vec::new() };
        survived.count(&[(AT, kept)], &resumed).map(|()| survived)
    }

    #[test]
    fn a_repeat_that_is_promised_is_counted() {
        let same = json!({ "n": 1 });
        let kept = vec![started("push[3].up"), started("rows"), started("pay")];
        let alone = vec![call("push[3].up", Effect::Idempotent, same.clone()), call("rows", Effect::None, same.clone())];
        let survived = told(kept, alone, vec![call("pay", Effect::Once, same)]).expect("nothing is wrong");
        assert_eq!(survived.sent_again, BTreeSet::from(["up".to_owned()]));
        assert_eq!(survived.read_again, BTreeSet::from(["rows".to_owned()]));
        // What was never begun before the cut is no repeat.
        let survived = told(vec![started("a")], vec![call("b", Effect::Once, json!({}))], Vec::new()).expect("nothing is wrong");
        assert_eq!(survived, Survived::default());
    }

    #[test]
    fn a_repeat_that_is_forbidden_is_a_fault() {
        let same = json!({ "n": 1 });
        let done = Entry::Succeeded { p: "a".into(), n: 1, at: AT, out: Arc::new(json!({})) };
        for effect in [Effect::None, Effect::Idempotent, Effect::Once] {
            let again = vec![call("a", effect, same.clone())];
            let harm = Err(Box::new(Harm::DoneAgain("a".into())));
            assert_eq!(told(vec![started("a"), done.clone()], again.clone(), Vec::new()), harm);
            assert_eq!(told(vec![started("a"), done.clone()], Vec::new(), again), harm, "no person can want that");
        }
        let once = vec![call("a", Effect::Once, same)];
        assert_eq!(told(vec![started("a")], once, Vec::new()), Err(Box::new(Harm::NobodyAsked("a".into()))));
        let other = vec![call("a", Effect::Idempotent, json!({ "n": 2 }))];
        assert_eq!(told(vec![started("a")], other, Vec::new()), Err(Box::new(Harm::OtherData("a".into()))));
    }
}
