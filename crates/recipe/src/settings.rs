//! Settings and retry policies.

use crate::ast::{Concurrency, Defaults, Jitter, Keep, Overlap, Payloads, Retry, Settings, ValueKind};
use crate::codes;
use crate::keys::{self, CONCURRENCY, DEFAULTS, KEEP, RETRY, SETTINGS};
use crate::read::Reader;
use crate::yaml::{Entry, Kind, Node};

impl<'t> Reader<'t> {
    pub(crate) fn settings(&mut self, node: &Node<'t>) -> Option<Settings> {
        let fields = self.fields(node, &SETTINGS)?;
        Some(Settings {
            concurrency: fields.get("concurrency").and_then(|entry| self.concurrency(&entry.value)),
            timeout: fields.get("timeout").and_then(|entry| self.duration(entry)),
            retry: fields.get("retry").and_then(|entry| self.retry(entry)),
            retry_span: fields.get("retry").map(|entry| entry.key_span),
            label: fields.get("label").and_then(|entry| self.text_value(entry)),
            on_failure: fields.get("on_failure").and_then(|entry| self.slug(entry)),
            keep: fields.get("keep").and_then(|entry| self.keep(&entry.value)),
        })
    }

    pub(crate) fn defaults(&mut self, node: &Node<'t>) -> Option<Defaults> {
        let fields = self.fields(node, &DEFAULTS)?;
        Some(Defaults {
            retry: fields.get("retry").and_then(|entry| self.retry(entry)),
            timeout: fields.get("timeout").and_then(|entry| self.duration(entry)),
        })
    }

    fn concurrency(&mut self, node: &Node<'t>) -> Option<Concurrency> {
        let fields = self.fields(node, &CONCURRENCY)?;
        let key = fields.get("key").map(|entry| {
            let value = self.value(&entry.value);
            if matches!(value.kind, ValueKind::Literal(_)) {
                let help = "Write an expression, such as `\"${ trigger.customer }\"`, or leave `key` out.";
                self.error(codes::SAME_KEY, entry.value.span, "This key is the same for every event.", help);
            }
            value
        });
        let on_overlap = fields.get("on_overlap").and_then(|entry| self.choice(entry, keys::OVERLAPS));
        let on_overlap = match on_overlap {
            Some("skip") => Overlap::Skip,
            Some("cancel_running") => Overlap::CancelRunning,
            _ => Overlap::Queue,
        };
        let limit = fields.get("limit").and_then(|entry| self.whole(entry, 1, 10_000))?;
        Some(Concurrency { limit, key, on_overlap })
    }

    fn keep(&mut self, node: &Node<'t>) -> Option<Keep> {
        let fields = self.fields(node, &KEEP)?;
        let payloads = match fields.get("payloads").and_then(|entry| self.choice(entry, keys::PAYLOADS)) {
            Some("redacted") => Payloads::Redacted,
            Some("none") => Payloads::None,
            _ => Payloads::Full,
        };
        let duration = |this: &mut Self, name| fields.get(name).and_then(|entry| this.duration(entry));
        Some(Keep { succeeded: duration(self, "succeeded"), failed: duration(self, "failed"), payloads })
    }

    /// `none`, a number of tries, or a record.
    pub(crate) fn retry(&mut self, entry: &Entry<'t>) -> Option<Retry> {
        let plain = |times| Retry { times, wait: None, factor: None, max_wait: None, jitter: None, within: None, on: None };
        match &entry.value.kind {
            Kind::Text(text, _) if text == "none" => return Some(plain(1)),
            Kind::Number(_) => return self.times(entry).map(plain),
            Kind::Record(_) => {}
            _ => {
                self.expected(entry, "none, a number of tries, or a record", "Write `none`, `5`, or `{ times: 5, wait: 2s }`.");
                return None;
            }
        }
        let fields = self.fields(&entry.value, &RETRY)?;
        let duration = |this: &mut Self, name| fields.get(name).and_then(|entry| this.duration(entry));
        let (wait, max_wait, within) = (duration(self, "wait"), duration(self, "max_wait"), duration(self, "within"));
        let factor = fields.get("factor").and_then(|entry| self.factor(entry));
        let jitter = fields.get("jitter").and_then(|entry| self.choice(entry, keys::JITTER));
        let jitter = jitter.map(|jitter| if jitter == "full" { Jitter::Full } else { Jitter::None });
        let on = fields.get("on").map(|entry| {
            let classes = self.texts(entry);
            if classes.is_empty() && matches!(&entry.value.kind, Kind::List(items) if items.is_empty()) {
                self.error(
                    codes::NOTHING_IN_IT,
                    entry.value.span,
                    "No error class is listed.",
                    "Write `retry: none` if nothing is tried again.",
                );
            }
            classes.iter().filter_map(|class| self.choice_of(class, keys::ERROR_CLASSES)).map(str::to_owned).collect()
        });
        let times = self.times(fields.get("times")?)?;
        Some(Retry { times, wait, factor, max_wait, jitter, within, on })
    }

    fn times(&mut self, entry: &Entry<'t>) -> Option<u32> {
        let Kind::Number(number) = &entry.value.kind else {
            self.expected(entry, "a number of tries", "Write a whole number from 1 to 100.");
            return None;
        };
        let times = number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=100).contains(n));
        if times.is_none() {
            let message = format!("An action is tried 1 to 100 times; {number} was read.");
            let help = if number.as_u64() == Some(0) {
                "Write `retry: none` for one try."
            } else {
                "Write a whole number from 1 to 100."
            };
            self.error(codes::RANGE, entry.value.span, message, help);
        }
        times
    }

    fn factor(&mut self, entry: &Entry<'t>) -> Option<f64> {
        let Kind::Number(number) = &entry.value.kind else {
            self.expected(entry, "a number", "Write a number from 1 to 100, such as 2.");
            return None;
        };
        let factor = number.as_f64().filter(|f| (1.0..=100.0).contains(f));
        if factor.is_none() {
            let message = format!("Pauses grow by a factor from 1 to 100; {number} was read.");
            self.error(codes::RANGE, entry.value.span, message, "Write a number from 1 to 100, such as 2.");
        }
        factor
    }
}
