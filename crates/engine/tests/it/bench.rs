//! A workbench for decisions: one fake connector whose answers are scripted.

use std::{collections::HashMap, sync::Arc, time::Duration};

use connector::{Action, Connector, Effect, Limits};
use engine::{
    CompileSettings, Program, catalogue,
    decide::{Attempt, Next, RunState, decide},
};
use serde_json::{Value, json};
use store::{Entry, ErrorRecord, Journal, RunId, StepPath, StepState, Then, Timestamp, WaitingFor, write_chunk};

/// How long a repeat of `pay` is known.
pub(crate) const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Connector `sys`: `get` reads, `put` may be repeated, `pay` for a day, `post` happens once. The answers come from the
/// test; the function is never called.
pub(crate) fn connectors() -> Vec<Connector> {
    let action = |id, effect: fn(&Value) -> Effect| Action {
        id,
        title: id,
        summary: id,
        effect,
        key_life: None,
        needs_connection: false,
        input: json!({ "type": "object" }),
        output: json!({}),
        sample: None,
        shaped: None,
        run: Arc::new(|_, _| Box::pin(async { unreachable!("decisions call nothing") })),
        pages: None,
    };
    vec![Connector {
        id: "sys",
        title: "System",
        summary: "A system under test",
        builtin: true,
        config: json!({ "type": "object" }),
        credentials: json!({ "type": "object" }),
        validate: Arc::new(|_, _| Ok(())),
        test: None,
        limits: Limits::default(),
        errors: &[],
        notes: &[],
        shapes: None,
        sign_in: None,
        actions: vec![
            action("get", |_| Effect::None),
            Action {
                pages: Some(Arc::new(|_, _, _| Box::pin(async { unreachable!("decisions call nothing") }))),
                ..action("list", |_| Effect::None)
            },
            action("put", |_| Effect::Idempotent),
            action("post", |_| Effect::Once),
            action("pay", |_| Effect::Idempotent).key_first(KEY_LIFE),
            action("send", |_| Effect::Idempotent).key_life(KEY_LIFE),
        ],
        triggers: Vec::new(),
    }]
}

/// Compiles the steps of a recipe with an API trigger.
pub(crate) fn program(rest: &str) -> Program {
    let text = format!("liaison: 1\nrecipe: story\ntrigger: {{ from: api }}\n{rest}");
    let connectors = connectors();
    let parsed = recipe::parse_and_check(text.as_bytes(), &catalogue::of(&connectors));
    let errors: Vec<_> = parsed.diagnostics.iter().filter(|problem| problem.severity == recipe::Severity::Error).collect();
    assert!(errors.is_empty(), "{text}\n{errors:#?}");
    let settings = CompileSettings { step_timeout: Duration::from_secs(60), skips_waits: false };
    Program::compile(&parsed.recipe.expect("no errors, so a recipe"), &connectors, settings).expect("checked text compiles")
}

/// What a call does, by path and by how often it was made before.
pub(crate) type Script<'a> = &'a dyn Fn(&str, usize) -> Answer;

/// What one attempt comes to.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Ok(Value),
    /// Failed, tried again after so many seconds.
    Again(i64),
    Failed,
    /// What was sent is wrong.
    Refused,
    Uncertain,
    /// No answer came; tried again after so many seconds, or not.
    Lost(Option<i64>),
}

pub(crate) fn error() -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: "server".into(),
        code: "HTTP_503".into(),
        message: "down".into(),
        next: None,
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}

/// A world that outlives crashes: the clock, the calls that arrived, the chunks that were committed.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) calls: Vec<(String, u32, Value)>,
    /// Those of them that were told that an earlier attempt may have happened.
    pub(crate) in_doubt: Vec<(String, u32)>,
    pub(crate) chunks: Vec<Vec<u8>>,
    /// What people and callers say, by the path of the step that waits for them.
    pub(crate) said: HashMap<String, Value>,
}

pub(crate) fn run_id() -> RunId {
    RunId::new(Timestamp::from_micros(1_000_000), [7; 10])
}

impl World {
    fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.now)
    }

    pub(crate) fn commit(&mut self, state: &mut RunState) {
        let entries = std::mem::take(&mut state.pending);
        self.chunks.push(write_chunk(&entries).expect("entries are JSON"));
        state.journal.next_seq += 1;
    }

    /// A run that begins with an event.
    pub(crate) fn begin(&mut self, event: Value) -> RunState {
        RunState::new(run_id(), "api", Arc::new(event), Arc::new(json!({ "limit": 3 })), self.at())
    }

    /// The run as the committed chunks tell it.
    pub(crate) fn recover(&self) -> RunState {
        let chunks =
            self.chunks.iter().enumerate().map(|(seq, chunk)| (i32::try_from(seq).expect("few chunks"), chunk.as_slice()));
        RunState::resumed(run_id(), Journal::replay(chunks).expect("the journal can be read"), 0)
    }

    /// Drives the run to its end, as `engine::drive` does, at most `commits_max` commits far.
    pub(crate) fn drive(
        &mut self,
        program: &Program,
        state: &mut RunState,
        script: Script<'_>,
        commits_max: usize,
    ) -> Option<Then> {
        let mut commits = 0;
        loop {
            self.now += 1_000;
            let next = decide(program, state, self.at());
            match next {
                Next::End(then) => {
                    self.commit(state);
                    return Some(then);
                }
                Next::Act(attempts) => {
                    self.commit(state);
                    commits += 1;
                    for attempt in attempts {
                        // A crash right after the commit loses the call itself or its answer.
                        self.call(state, &attempt, script);
                    }
                    if commits >= commits_max {
                        return None;
                    }
                }
                Next::Wait { until, reason } => {
                    // As a server does: a long pause is made durable before the run leaves memory.
                    if reason != WaitingFor::Retry {
                        self.commit(state);
                        commits += 1;
                    }
                    if !self.say(state) {
                        self.now = self.now.max(until.micros());
                    }
                    if commits >= commits_max {
                        return None;
                    }
                }
                Next::InFlight => panic!("nothing is under way here"),
            }
        }
    }

    /// Settles the steps that wait for somebody who has something to say.
    fn say(&self, state: &mut RunState) -> bool {
        let waits = |(path, state): (&StepPath, &StepState)| {
            matches!(state, StepState::Waiting { .. })
                .then(|| Some((Arc::clone(path), self.said.get(&**path)?.clone())))
                .flatten()
        };
        let said: Vec<_> = state.journal.steps.iter().filter_map(waits).collect();
        let any = !said.is_empty();
        for (p, out) in said {
            state.push(Entry::Settled { p, at: self.at(), by: "somebody".into(), out: Arc::new(out) });
        }
        any
    }

    fn call(&mut self, state: &mut RunState, attempt: &Attempt, script: Script<'_>) {
        let before = self.calls.iter().filter(|(path, ..)| **path == *attempt.path).count();
        self.calls.push((attempt.path.to_string(), attempt.number, Value::clone(&attempt.input)));
        if attempt.in_doubt {
            self.in_doubt.push((attempt.path.to_string(), attempt.number));
        }
        let (p, n, at) = (Arc::clone(&attempt.path), attempt.number, self.at());
        state.push(match script(&attempt.path, before) {
            Answer::Ok(out) => Entry::Succeeded { p, n, at, out: Arc::new(out) },
            Answer::Again(seconds) => Entry::Failed {
                p,
                n,
                at,
                err: error(),
                retry: Some(at.after(Duration::from_secs(seconds.unsigned_abs()))),
                doubt: false,
            },
            Answer::Failed => Entry::Failed { p, n, at, err: error(), retry: None, doubt: false },
            Answer::Refused => {
                let err = Box::new(ErrorRecord {
                    class: "invalid".into(),
                    code: "HTTP_400".into(),
                    response: Some(json!({})),
                    ..*error()
                });
                Entry::Failed { p, n, at, err, retry: None, doubt: false }
            }
            Answer::Lost(again) => {
                let retry = again.map(|seconds| at.after(Duration::from_secs(seconds.unsigned_abs())));
                Entry::Failed { p, n, at, err: error(), retry, doubt: true }
            }
            Answer::Uncertain => Entry::Uncertain { p, n, at, err: error() },
        });
    }

    /// Every entry committed so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.chunks.iter().flat_map(|chunk| store::read_chunk(chunk).expect("chunks can be read")).collect()
    }

    /// The journal in one line per entry: kind, path, attempt.
    pub(crate) fn told(&self) -> Vec<String> {
        self.entries()
            .iter()
            .map(|entry| match (entry, entry.path()) {
                (
                    Entry::Started { n, .. } | Entry::Succeeded { n, .. } | Entry::Failed { n, .. } | Entry::Uncertain { n, .. },
                    Some(path),
                ) => {
                    format!("{} {path} {n}", entry.word())
                }
                (_, Some(path)) => format!("{} {path}", entry.word()),
                (Entry::Ended { how, .. }, None) => format!("ended {how:?}").to_lowercase(),
                (_, None) => entry.word().to_owned(),
            })
            .collect()
    }

    /// What the run returned.
    pub(crate) fn output(&self) -> Option<Value> {
        self.entries().iter().find_map(|entry| match entry {
            Entry::Ended { out, .. } => out.as_deref().cloned(),
            _ => None,
        })
    }

    /// Outputs of finished steps by path.
    pub(crate) fn outputs(&self) -> HashMap<String, Value> {
        self.entries()
            .iter()
            .filter_map(|entry| match entry {
                Entry::Computed { p, out, .. } | Entry::Succeeded { p, out, .. } => Some((p.to_string(), Value::clone(out))),
                _ => None,
            })
            .collect()
    }
}
