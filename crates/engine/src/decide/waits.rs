//! Waiting for a time, a caller or a person.

use std::sync::Arc;

use connector::ErrorClass;
use serde_json::{Value as Json, json};
use store::{Entry, ErrorRecord, StepPath, StepState, Timestamp, WaitingFor};

use super::{Flow, Walk};
use crate::{
    frame::Frame,
    program::{Wait, WaitKind},
    template::{Template, formula_failed},
};

/// A step that nothing ends by itself is looked at again after this long, in microseconds: ten years.
const FOREVER_US: i64 = 3650 * 24 * 3600 * 1_000_000;

impl Walk<'_> {
    pub(super) fn wait(&mut self, wait: &Wait, known: Option<&StepState>, path: &StepPath, frame: &Frame) -> Flow {
        let (what, until) = match known {
            Some(StepState::Waiting { what, until }) => (what.clone(), *until),
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
            Some(until) if until <= self.now => {
                let out = Arc::new(match &wait.what {
                    WaitKind::For(_) | WaitKind::Until(_) => json!({ "outcome": "done" }),
                    WaitKind::Callback => json!({ "outcome": "timed_out", "body": null, "headers": {} }),
                    WaitKind::Approval { .. } => json!({ "outcome": "timed_out", "form": {}, "by": null, "comment": null }),
                });
                self.state.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&out) });
                Flow::Done(out)
            }
            until => {
                self.wake_at(until.unwrap_or(Timestamp::from_micros(self.now.micros().saturating_add(FOREVER_US))), reason);
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
            WaitKind::Callback => ("callback", limit, None),
            WaitKind::Approval { from, ask } => {
                let parts = [from, ask].map(|value| value.eval(frame.scope()));
                let [Ok(from), Ok(ask)] = parts else {
                    let error = parts.into_iter().find_map(Result::err);
                    let error = error.map(|error| formula_failed(&error, "The question of this step"));
                    return Err(self.fail(path, error.unwrap_or_else(|| super::internal("a question without a problem failed"))));
                };
                ("approval", limit, Some(Arc::new(json!({ "from": from, "ask": ask }))))
            }
        };
        // A limit ends a timer too, should it be shorter.
        let until = match (until, limit) {
            (Some(until), Some(limit)) => Some(until.min(limit)),
            (until, _) => until,
        };
        self.state.push(Entry::Waits { p: Arc::clone(path), at: self.now, what: what.into(), until, ask });
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
    })
}
