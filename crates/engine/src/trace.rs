//! One trace a run: who it belongs to, and what of it is told.
//!
//! Nothing of a trace is kept in memory between two commits. Its ids follow from the run's id, or from the
//! `traceparent` its caller sent, which is kept in the journal; so a run that was parked, or goes on in another
//! process, goes on in the same trace. Spans are handed over when what they tell of has ended.
//! <https://www.w3.org/TR/trace-context/>

use std::sync::{Arc, OnceLock};

use connector::StepError;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use store::{Journal, RunId, Then, Timestamp};

use crate::{decide::Attempt, program::Program};

/// Takes finished spans. It must not wait for anybody.
pub type Sink = Box<dyn Fn(Span) + Send + Sync>;

static SINK: OnceLock<Sink> = OnceLock::new();

/// From now on spans go to `sink`. Only the first call counts.
pub fn send_spans_to(sink: Sink) {
    drop(SINK.set(sink));
}

/// Something that happened in a run, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The span it is part of; of a run, its caller's.
    pub parent: Option<[u8; 8]>,
    /// What people see.
    pub name: String,
    /// It called another system.
    pub calls: bool,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// What went wrong: class and code. Messages may carry what was sent, and stay in the journal.
    pub failed: Option<String>,
    /// What else is known; never a payload.
    pub fields: Vec<(&'static str, String)>,
}

/// Whose trace a run is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Context {
    trace: [u8; 16],
    /// The caller's span.
    parent: Option<[u8; 8]>,
    /// The caller wants it told.
    sampled: bool,
}

impl Context {
    fn of(run: RunId, sent: Option<&str>) -> Self {
        sent.and_then(read).unwrap_or(Self { trace: *run.0.as_bytes(), parent: None, sampled: true })
    }

    fn header(&self, span: [u8; 8]) -> String {
        format!("00-{}-{}-{:02x}", hex::encode(self.trace), hex::encode(span), u8::from(self.sampled))
    }
}

/// A `traceparent` worth keeping: one that follows the standard.
#[must_use]
pub fn accepted(sent: &str) -> Option<Arc<str>> {
    read(sent).map(|_| sent.into())
}

/// Reads `00-<trace>-<span>-<flags>`. Later versions may say more behind it.
fn read(sent: &str) -> Option<Context> {
    const LENGTH: usize = 55;
    let head = sent.get(..LENGTH)?;
    let mut parts = head.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let longer_is_fine = match sent.as_bytes().get(LENGTH) {
        None => true,
        Some(next) => version != "00" && *next == b'-',
    };
    if version.len() != 2
        || version == "ff"
        || flags.len() != 2
        || ![version, trace, span, flags].into_iter().all(plain)
        || !longer_is_fine
    {
        return None;
    }
    let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
    hex::decode_to_slice(trace, &mut trace_id).ok()?;
    hex::decode_to_slice(span, &mut span_id).ok()?;
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    (trace_id != [0; 16] && span_id != [0; 8]).then_some(Context { trace: trace_id, parent: Some(span_id), sampled })
}

fn span_id(run: RunId, place: &str, attempt: u32) -> [u8; 8] {
    let digest = Sha256::new().chain_update(run.0.as_bytes()).chain_update(place).chain_update(attempt.to_be_bytes()).finalize();
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    id
}

/// No step has this path.
const RUN: &str = "";

/// The span of a run: another one each time somebody let it go on.
fn root(run: RunId, journal: &Journal) -> [u8; 8] {
    if journal.since == journal.accepted_at {
        return span_id(run, RUN, 0);
    }
    span_id(run, &format!(" {}", journal.since.micros()), 0)
}

/// What a call of this attempt carries as `traceparent`. Nothing while nobody takes spans and the run's caller sent none.
pub(crate) fn header(run: RunId, journal: &Journal, attempt: &Attempt) -> Option<Arc<str>> {
    if journal.trace.is_none() && SINK.get().is_none() {
        return None;
    }
    let context = Context::of(run, journal.trace.as_deref());
    Some(context.header(span_id(run, &attempt.path, attempt.number)).into())
}

/// Tells of an attempt that is over.
pub(crate) fn attempt(
    run: RunId,
    program: &Program,
    journal: &Journal,
    attempt: &Attempt,
    outcome: Result<&Json, &StepError>,
    now: Timestamp,
) {
    let Some(sink) = SINK.get() else { return };
    let context = Context::of(run, journal.trace.as_deref());
    if !context.sampled {
        return;
    }
    let step = &attempt.step;
    sink(Span {
        trace: context.trace,
        id: span_id(run, &attempt.path, attempt.number),
        parent: Some(root(run, journal)),
        name: format!("step {}", attempt.path),
        calls: true,
        from: attempt.started,
        to: now,
        failed: outcome.err().map(|error| format!("{} {}", error.class.as_str(), error.code)),
        fields: vec![
            ("liaison.run.id", run.to_string()),
            ("liaison.recipe", program.slug.to_string()),
            ("liaison.step.path", attempt.path.to_string()),
            ("liaison.step.action", step.name.to_string()),
            ("liaison.attempt", attempt.number.to_string()),
        ],
    });
}

/// Tells of a run that ended.
pub(crate) fn ended(run: RunId, program: &Program, journal: &Journal, then: &Then) {
    if let (Some(sink), Some(at)) = (SINK.get(), then.ended_at()) {
        let failed = then.error().map(|error| format!("{} {}", error.class, error.code));
        tell(sink, run, journal, (&program.slug, program.version), then.status().as_str(), at, failed);
    }
}

/// Tells of a run that a person cancelled.
pub(crate) fn cancelled(run: RunId, recipe: (&str, i32), journal: &Journal, at: Timestamp) {
    if let Some(sink) = SINK.get() {
        tell(sink, run, journal, recipe, "cancelled", at, None);
    }
}

fn tell(
    sink: &Sink,
    run: RunId,
    journal: &Journal,
    (recipe, version): (&str, i32),
    status: &str,
    at: Timestamp,
    failed: Option<String>,
) {
    let context = Context::of(run, journal.trace.as_deref());
    if !context.sampled {
        return;
    }
    let resumed = journal.since != journal.accepted_at;
    sink(Span {
        trace: context.trace,
        id: root(run, journal),
        parent: if resumed { Some(span_id(run, RUN, 0)) } else { context.parent },
        name: format!("run {recipe}"),
        calls: false,
        from: journal.since,
        to: at,
        failed,
        fields: vec![
            ("liaison.run.id", run.to_string()),
            ("liaison.recipe", recipe.to_owned()),
            ("liaison.recipe.version", version.to_string()),
            ("liaison.run.status", status.to_owned()),
            ("liaison.run.via", journal.via.as_str().to_owned()),
        ],
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::{Next, RunState, decide};

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_a_caller_sent_is_kept_when_it_follows_the_standard() {
        let context = read(SENT).unwrap();
        assert_eq!(context.header(context.parent.unwrap()), SENT);
        assert!(context.sampled);
        assert!(!read(&SENT.replace("-01", "-00")).unwrap().sampled);
        assert!(accepted(&SENT.replace("00-0a", "01-0a").replace("-01", "-01-more")).is_some(), "a later version may say more");
        for wrong in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333é-01",
        ] {
            assert_eq!(accepted(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_run_nobody_called_has_a_trace_of_its_own_that_follows_from_its_id() {
        let run = RunId::new(Timestamp::from_micros(1_000_000), [7; 10]);
        let context = Context::of(run, None);
        assert_eq!((context.trace, context.parent), (*run.0.as_bytes(), None));
        assert_eq!(span_id(run, "a", 1), span_id(run, "a", 1));
        assert_ne!(span_id(run, "a", 1), span_id(run, "a", 2));
        assert_ne!(span_id(run, "a", 1), span_id(run, RUN, 0));
    }

    /// A run of one call, and that call.
    fn one_call() -> (Program, RunState, Attempt) {
        let action = connector::Action {
            id: "get",
            title: "Get",
            summary: "Gets",
            effect: |_| connector::Effect::None,
            key_life: None,
            needs_connection: false,
            input: json!({ "type": "object" }),
            output: json!({}),
            pages: None,
            sample: None,
            shaped: None,
            run: Arc::new(|_, _| Box::pin(async { Ok(Json::Null) })),
        };
        let sys = connector::Connector {
            id: "sys",
            title: "System",
            summary: "A system under test",
            builtin: true,
            config: json!({ "type": "object" }),
            credentials: json!({ "type": "object" }),
            validate: Arc::new(|_, _| Ok(())),
            test: None,
            limits: connector::Limits::default(),
            errors: &[],
            notes: &[],
            shapes: None,
            sign_in: None,
            actions: vec![action],
            triggers: Vec::new(),
        };
        let text = b"liaison: 1\nrecipe: story\ntrigger: { from: api }\nsteps:\n  - { id: a, do: sys.get }\n";
        let settings = crate::CompileSettings { step_timeout: std::time::Duration::from_secs(60), skips_waits: false };
        let program = Program::compile(&recipe::parse(text).recipe.unwrap(), &[sys], settings).unwrap();
        let now = Timestamp::from_micros(1_000_000);
        let mut state = RunState::new(RunId::new(now, [7; 10]), "api", Arc::default(), Arc::default(), now);
        let Next::Act(mut attempts) = decide(&program, &mut state, now) else { panic!("it calls") };
        (program, state, attempts.remove(0))
    }

    #[test]
    fn a_run_that_goes_on_is_another_span_of_the_same_trace() {
        let (_, mut state, _) = one_call();
        let mut known = vec![root(state.id, &state.journal)];
        assert_eq!(known, [span_id(state.id, RUN, 0)]);
        for seconds in [2, 3] {
            let at = Timestamp::from_micros(seconds * 1_000_000);
            state.push(store::Entry::Resumed { at, by: "ines".to_owned(), version: None });
            let next = root(state.id, &state.journal);
            assert!(!known.contains(&next));
            known.push(next);
        }
    }

    #[test]
    fn nothing_is_made_while_nobody_takes_spans() {
        let (program, state, call) = one_call();
        let (now, out) = (Timestamp::from_micros(2_000_000), Json::Null);
        let then = Then::Succeeded { at: now };
        let made = allocation_counter::measure(|| {
            assert_eq!(header(state.id, &state.journal, &call), None);
            attempt(state.id, &program, &state.journal, &call, Ok(&out), now);
            ended(state.id, &program, &state.journal, &then);
            cancelled(state.id, ("story", 1), &state.journal, now);
        });
        assert_eq!(made.count_total, 0);
    }
}
