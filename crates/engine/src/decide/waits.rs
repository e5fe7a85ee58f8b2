//! Waiting for a time, a caller or a person.

use std::{sync::Arc, time::Duration};

use connector::ErrorClass;
use serde_json::{Value as Json, json};
use store::{Entry, ErrorRecord, StepPath, StepState, Timestamp, WaitingFor};

use super::{Flow, Stop, Walk, at_path};
use crate::{
    frame::Frame,
    program::{Kind, Step, Wait, WaitKind},
    template::{Template, formula_failed},
};

/// A step that nothing ends by itself is looked at again after this long, in microseconds: ten years.
const FOREVER_US: i64 = 3650 * 24 * 3600 * 1_000_000;

/// What a step waits for that is given up before its time comes.
const LIMIT: &str = "limit";

impl Walk<'_> {
    /// A step that holds steps, in the time it has. What is under way when the time is up is waited for.
    pub(super) fn bounded(
        &mut self,
        step: &Step,
        path: &StepPath,
        frame: &mut Frame,
        walk: impl Fn(&mut Self, &mut Frame) -> Flow,
    ) -> Flow {
        let Some(limit) = step.timeout.filter(|_| !self.looking) else { return walk(self, frame) };
        let known = self.state.journal.steps.get(path);
        let chosen = matches!(known, Some(StepState::Succeeded { .. }));
        if !chosen && !matches!(known, Some(StepState::Waiting { .. })) {
            let until = Some(self.now.after(limit));
            self.push(Entry::Waits { p: Arc::clone(path), at: self.now, what: "steps".into(), until, ask: None });
        }
        // The time begins anew when somebody resumes the run.
        let journal = &self.state.journal;
        let began = journal.lived.get(path).map_or(self.now, |lived| lived.began).max(journal.since);
        let due = began.after(limit);
        if self.now < due {
            let flow = walk(self, frame);
            if matches!(flow, Flow::Blocked) {
                self.wake_at(due, WaitingFor::Timer);
            }
            return flow;
        }
        match self.look(|look| walk(look, frame)) {
            (Flow::Blocked, true) => Flow::Blocked,
            // A choice stands in the journal already, and a `try` deals with it first.
            (Flow::Blocked, false) if chosen || matches!(step.kind, Kind::Try { .. }) => {
                Flow::Stop(Stop::Failed(at_path(took_too_long(limit), path)))
            }
            (Flow::Blocked, false) => self.fail(path, took_too_long(limit)),
            (flow, _) => flow,
        }
    }

    pub(super) fn wait(&mut self, wait: &Wait, known: Option<&StepState>, path: &StepPath, frame: &Frame) -> Flow {
        let (what, until) = match known {
            Some(StepState::Waiting { what, until, .. }) => (what.clone(), *until),
            _ => match self.begin(wait, path, frame) {
                Ok(begun) => begun,
                Err(flow) => return flow,
            },
        };
        let reason = match &*what {
            "callback" => WaitingFor::Callback,
            "approval" => WaitingFor::Approval,
            _ => WaitingFor::Timer,
        };
        match until {
            Some(until) if until <= self.now || wait.skipped => {
                let out = Arc::new(match &wait.what {
                    WaitKind::For(_) | WaitKind::Until(_) if what == LIMIT => json!({ "outcome": "timed_out" }),
                    WaitKind::For(_) | WaitKind::Until(_) => json!({ "outcome": "done" }),
                    WaitKind::Callback { .. } => json!({ "outcome": "timed_out", "body": null, "headers": {} }),
                    WaitKind::Approval { .. } => json!({ "outcome": "timed_out", "form": {}, "by": null, "comment": null }),
                });
                self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&out) });
                Flow::Done(out)
            }
            until => {
                self.wake_at(until.unwrap_or(Timestamp::from_micros(self.now.micros().saturating_add(FOREVER_US))), reason);
                Flow::Blocked
            }
        }
    }

    /// A step that called another recipe waits for that run's end.
    pub(super) fn called(&mut self, until: Option<Timestamp>, path: &StepPath) -> Flow {
        match until {
            Some(until) if until <= self.now => self.fail(path, not_back_in_time()),
            until => {
                let forever = Timestamp::from_micros(self.now.micros().saturating_add(FOREVER_US));
                self.wake_at(until.unwrap_or(forever), WaitingFor::Call);
                Flow::Blocked
            }
        }
    }

    /// The deadline is fixed when the step is reached.
    fn begin(
        &mut self,
        wait: &Wait,
        path: &StepPath,
        frame: &Frame,
    ) -> Result<(std::borrow::Cow<'static, str>, Option<Timestamp>), Flow> {
        let limit = wait.timeout.map(|timeout| self.now.after(timeout));
        let (what, until, ask) = match &wait.what {
            WaitKind::For(value) => {
                let text = self.text(value, path, frame)?;
                let Some(pause) = recipe::parse_duration(text.trim()) else {
                    return Err(self.fail(path, not_a(&text, "length of time", "Durations look like 30s, 5m, 12h or 7d.")));
                };
                ("timer", Some(self.now.after(pause)), None)
            }
            WaitKind::Until(value) => {
                let text = self.text(value, path, frame)?;
                let Some(at) = instant(text.trim()) else {
                    let next = "An instant looks like 2026-03-01T08:00:00Z; a day like 2026-03-01 begins in UTC.";
                    return Err(self.fail(path, not_a(&text, "instant", next)));
                };
                ("timer", Some(at), None)
            }
            WaitKind::Callback { .. } => ("callback", limit, None),
            WaitKind::Approval { from, ask, form } => {
                let parts = [from, ask].map(|value| value.eval(frame.scope()));
                let [Ok(from), Ok(ask)] = parts else {
                    let error = parts.into_iter().find_map(Result::err);
                    let error = error.map(|error| formula_failed(&error, "The question of this step"));
                    return Err(self.fail(path, error.unwrap_or_else(|| super::internal("a question without a problem failed"))));
                };
                ("approval", limit, Some(Arc::new(json!({ "from": from, "ask": ask, "form": form }))))
            }
        };
        // A limit ends a timer too, should it be shorter.
        let (what, until) = match (until, limit) {
            (Some(until), Some(limit)) if limit < until => (LIMIT, Some(limit)),
            _ => (what, until),
        };
        self.push(Entry::Waits { p: Arc::clone(path), at: self.now, what: what.into(), until, ask });
        Ok((what.into(), until))
    }

    fn text(&mut self, value: &Template, path: &StepPath, frame: &Frame) -> Result<String, Flow> {
        match value.eval(frame.scope()) {
            Ok(Json::String(text)) => Ok(text),
            Ok(other) => Err(self.fail(path, not_a(&other.to_string(), "text that names a time", "Give it as text."))),
            Err(error) => Err(self.fail(path, formula_failed(&error, "What this step waits for"))),
        }
    }
}

fn took_too_long(limit: Duration) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Timeout.as_str().to_owned(),
        code: "STEP_TIMEOUT".to_owned(),
        message: format!("The steps in this step were not done within {} s.", limit.as_secs_f64()),
        next: Some("Raise its timeout or find out which of them took so long, then resume the run.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}

fn not_back_in_time() -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Timeout.as_str().to_owned(),
        code: "CALL_TIMEOUT".to_owned(),
        message: "The called recipe did not end within the time this step gives it. Its run goes on.".to_owned(),
        next: Some("Look at that run. Once it is over, resume this one: it takes the result from there.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}

/// A date-time with its zone, or the beginning of a day in UTC.
fn instant(text: &str) -> Option<Timestamp> {
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(Timestamp::from_micros(at.as_microsecond()))
}

fn not_a(text: &str, wanted: &str, next: &str) -> Box<ErrorRecord> {
    let shown: String = text.chars().take(60).collect();
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: "NOT_A_TIME".to_owned(),
        message: format!("\"{shown}\" is no {wanted}, so this step cannot wait for it."),
        next: Some(format!("{next} Mend the recipe, then replay the event.")),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}
