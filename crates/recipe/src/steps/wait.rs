//! `wait`: for a time, a caller or a person.

use crate::ast::{Approval, StepKind, Value, ValueKind, Wait, WaitKind};
use crate::codes;
use crate::diagnostic::one_of;
use crate::keys::{APPROVAL, CALLBACK, WAIT, WAIT_WORDS};
use crate::read::{Fields, Reader};
use crate::yaml::{Entry, Kind, Node};

impl<'t> Reader<'t> {
    pub(super) fn wait(&mut self, entry: &Entry<'t>) -> Option<StepKind> {
        let fields = self.fields(&entry.value, &WAIT)?;
        let timeout = fields.get("timeout").and_then(|entry| self.duration(entry));
        let (word, what) = self.wait_word(&fields, entry)?;
        let what = match word {
            "for" => WaitKind::For(self.duration_value(what)?),
            "until" => WaitKind::Until(self.instant(what)?),
            "callback" => self.callback(what)?,
            _ => WaitKind::Approval(Box::new(self.approval(&what.value)?)),
        };
        Some(StepKind::Wait(Box::new(Wait { what, timeout })))
    }

    fn wait_word<'n>(&mut self, fields: &Fields<'n, 't>, entry: &Entry<'t>) -> Option<(&'static str, &'n Entry<'t>)> {
        let mut words = WAIT_WORDS.iter().filter_map(|word| fields.get(word).map(|entry| (*word, entry)));
        let all = one_of(WAIT_WORDS.iter().copied());
        match (words.next(), words.next()) {
            (None, _) if fields.unknown => None,
            (None, _) => {
                let message = "Nothing says what this step waits for.";
                self.error(codes::WAIT, entry.key_span, message, format!("Add one of {all}."));
                None
            }
            (Some(one), None) => Some(one),
            (Some((first, _)), Some((second, entry))) => {
                let message = format!("This step waits for both \"{first}\" and \"{second}\".");
                let help = "Make it two steps; a time limit is written `timeout`.";
                self.error(codes::WAIT, entry.key_span, message, help);
                None
            }
        }
    }

    fn callback(&mut self, entry: &Entry<'t>) -> Option<WaitKind> {
        // `callback:` with nothing behind it is complete.
        if matches!(entry.value.kind, Kind::Null) {
            return Some(WaitKind::Callback { input: None });
        }
        let fields = self.fields(&entry.value, &CALLBACK)?;
        let input = fields.get("input").map(|entry| {
            self.input_schema(&entry.value);
            self.literal(&entry.value).0
        });
        Some(WaitKind::Callback { input })
    }

    fn approval(&mut self, node: &Node<'t>) -> Option<Approval> {
        let fields = self.fields(node, &APPROVAL)?;
        let form = fields.get("form").map(|entry| self.params(entry).0).unwrap_or_default();
        let ask = fields.get("ask").and_then(|entry| self.text_value(entry));
        let from = fields.get("from").and_then(|entry| {
            let value = self.record_value(entry)?;
            self.people(entry, &value);
            Some(value)
        });
        Some(Approval { from: from?, ask: ask?, form })
    }

    /// Only `group` and `user`, and at least one of them.
    fn people(&mut self, entry: &Entry<'t>, value: &Value) {
        let keys: Vec<(&str, crate::Span)> = match &entry.value.kind {
            Kind::Record(entries) => entries.iter().map(|entry| (entry.key.as_ref(), entry.key_span)).collect(),
            _ => return,
        };
        for (key, span) in &keys {
            if !matches!(*key, "group" | "user") {
                let help = "Write `from: { group: finance }` or `from: { user: anna@example.com }`.";
                self.error(codes::UNKNOWN_KEY, *span, format!("\"{key}\" does not say who decides."), help);
            }
        }
        if keys.is_empty() && matches!(value.kind, ValueKind::Literal(_)) {
            let help = "Write `from: { group: finance }` or `from: { user: anna@example.com }`.";
            self.error(codes::NOTHING_IN_IT, entry.value.span, "Nobody may decide.", help);
        }
    }
}
