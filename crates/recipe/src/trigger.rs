//! The trigger.

use std::time::Duration;

use serde_json::Value as Json;

use crate::ast::{Dedupe, Places, PollSettings, Span, Spanned, Trigger, TriggerSource, ValueKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest, one_of, shown};
use crate::keys::{self, DEDUPE, FAILURE_WITH, INPUT_WITH, POLL, SCHEDULE_WITH, TRIGGER, WEBHOOK_WITH};
use crate::read::{Reader, is_name};
use crate::scan;
use crate::yaml::{Entry, Kind, Node};

/// How often a trigger may ask.
const POLL_EVERY: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(24 * 3600);
/// The longest path of a webhook.
const PATH_CHARS_MAX: usize = 63;

impl<'t> Reader<'t> {
    pub(crate) fn trigger(&mut self, node: &Node<'t>) -> Option<Trigger> {
        let fields = self.fields(node, &TRIGGER)?;
        let condition = fields.get("if").and_then(|entry| self.decision(entry));
        let dedupe = fields.get("dedupe").and_then(|entry| self.dedupe(&entry.value));
        let poll = fields.get("poll").map(|entry| self.poll(&entry.value)).unwrap_or_default();
        let sample = fields.get("sample").map(|entry| self.literal(&entry.value).0);
        let with = fields.get("with");
        let (json, places) = match with.map(|entry| (&entry.value.kind, entry)) {
            None => (Json::Object(serde_json::Map::new()), Places::Leaf),
            Some((Kind::Record(_), entry)) => self.literal(&entry.value),
            Some((_, entry)) => {
                self.expected(entry, "a record", "Write `name: value`, one a line.");
                return None;
            }
        };
        let from = fields.get("from").and_then(|entry| self.source(entry))?;
        self.trigger_with(&from.value, with, fields.start);
        if let (Some(entry), false) = (fields.get("poll"), matches!(from.value, TriggerSource::Connection { .. })) {
            let message = "This trigger does not ask anybody, so \"poll\" means nothing here.";
            self.error(codes::POLL, entry.key_span, message, "Take it away; a schedule's times stand in its cron expression.");
        }
        let with_span = with.map_or(node.span, |entry| entry.value.span);
        Some(Trigger { from, with: json, with_span, with_places: places, condition, dedupe, poll, sample, span: node.span })
    }

    fn source(&mut self, entry: &Entry<'t>) -> Option<Spanned<TriggerSource>> {
        let text = self.text(entry)?;
        let source = match text.value.as_str() {
            "webhook" => TriggerSource::Webhook,
            "schedule" => TriggerSource::Schedule,
            "api" => TriggerSource::Api,
            "call" => TriggerSource::Call,
            "failure" => TriggerSource::Failure,
            other => match other.split_once('.') {
                Some((connection, trigger)) if is_name(connection) && is_name(trigger) => {
                    TriggerSource::Connection { connection: connection.to_owned(), trigger: trigger.to_owned() }
                }
                _ => {
                    let message = format!("\"{}\" is not a trigger.", shown(other));
                    let diagnostic = Diagnostic::error(codes::TRIGGER_NAME, text.span, message);
                    self.out.push(match nearest(other, keys::TRIGGERS.iter().copied()) {
                        Some(near) => diagnostic.suggest(text.span, Some(near)),
                        None => diagnostic.help(
                            "Write webhook, schedule, api, call, failure, or a connection and its trigger, as in `pay.event`.",
                        ),
                    });
                    return None;
                }
            },
        };
        Some(Spanned { value: source, span: text.span })
    }

    /// The settings of the triggers that need no connector.
    fn trigger_with(&mut self, from: &TriggerSource, with: Option<&Entry<'t>>, start: Span) {
        let table = match from {
            TriggerSource::Webhook => &WEBHOOK_WITH,
            TriggerSource::Schedule => &SCHEDULE_WITH,
            TriggerSource::Api | TriggerSource::Call => &INPUT_WITH,
            TriggerSource::Failure => &FAILURE_WITH,
            TriggerSource::Connection { .. } => return,
        };
        let Some(with) = with else {
            if table == &SCHEDULE_WITH {
                self.error(
                    codes::MISSING,
                    start,
                    "A schedule needs \"cron\".",
                    "Add `with: { cron: \"0 6 * * *\", zone: Europe/Berlin }`.",
                );
            }
            return;
        };
        let Some(fields) = self.fields(&with.value, table) else { return };
        for name in ["cron", "zone"] {
            fields.get(name).and_then(|entry| self.free_text(entry));
        }
        if let Some(on_missed) = fields.get("on_missed") {
            self.choice(on_missed, keys::MISSED);
        }
        if let Some(input) = fields.get("input") {
            match input.value.kind {
                Kind::Record(_) => self.input_schema(&input.value),
                _ => self.expected(input, "a JSON Schema", "Write a record such as `{ type: object, required: [id] }`."),
            }
        }
        // What is evaluated nowhere was reported when the record was read.
        let plain = |text: &Spanned<String>| scan::first(&text.value).is_none();
        if let Some(path) = fields.get("path").and_then(|entry| self.free_text(entry)).filter(plain) {
            let bytes = path.value.as_bytes();
            let fits = (1..=PATH_CHARS_MAX).contains(&bytes.len())
                && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !bytes.starts_with(b"-");
            if !fits {
                let message = format!("\"{}\" cannot be the path of a webhook.", shown(&path.value));
                let help = "Use 1 to 63 small letters, digits and hyphens, such as `new-orders`.";
                self.error(codes::PATH, path.span, message, help);
            }
        }
    }

    /// The mistakes people make in a JSON Schema, so that they come up here and not when it is used.
    pub(crate) fn input_schema(&mut self, node: &Node<'t>) {
        let entries = match &node.kind {
            Kind::Record(entries) => entries,
            Kind::Bool(_) | Kind::Broken => return,
            _ => {
                let message = format!("A JSON Schema is a record, but {} was read.", node.is_called());
                self.error(codes::INPUT_SCHEMA, node.span, message, "Write a record such as `{ type: string }`.");
                return;
            }
        };
        for entry in entries {
            let value = &entry.value;
            let wanted = match (entry.key.as_ref(), &value.kind) {
                (_, Kind::Broken) => continue,
                ("type", Kind::Text(..)) => {
                    self.schema_type(value);
                    continue;
                }
                ("type", Kind::List(types)) => {
                    types.iter().for_each(|one| self.schema_type(one));
                    continue;
                }
                ("type", _) => "the name of a type",
                ("properties" | "$defs" | "patternProperties", Kind::Record(inner)) => {
                    inner.iter().for_each(|entry| self.input_schema(&entry.value));
                    continue;
                }
                ("properties" | "$defs" | "patternProperties", _) => "a record of schemas",
                ("items" | "additionalProperties" | "not", _) => {
                    self.input_schema(value);
                    continue;
                }
                ("anyOf" | "oneOf" | "allOf", Kind::List(inner)) => {
                    inner.iter().for_each(|one| self.input_schema(one));
                    continue;
                }
                ("anyOf" | "oneOf" | "allOf", _) => "a list of schemas",
                ("required", Kind::List(names)) if names.iter().all(|n| matches!(n.kind, Kind::Text(..) | Kind::Broken)) => {
                    continue;
                }
                ("required", _) => "a list of field names",
                ("enum", kind) if !matches!(kind, Kind::List(_)) => "a list of values",
                ("minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems", kind)
                    if !matches!(kind, Kind::Number(_)) =>
                {
                    "a number"
                }
                _ => continue,
            };
            let span = if value.span.start < value.span.end { value.span } else { entry.key_span };
            let message =
                format!("\"{}\" in a JSON Schema takes {wanted}, but {} was read.", shown(&entry.key), value.is_called());
            self.error(codes::INPUT_SCHEMA, span, message, format!("Write {wanted}."));
        }
    }

    fn schema_type(&mut self, node: &Node<'t>) {
        const TYPES: &[&str] = &["string", "number", "integer", "boolean", "object", "array", "null"];
        let text = match &node.kind {
            Kind::Text(text, _) if TYPES.contains(&text.as_ref()) => return,
            Kind::Text(text, _) => text.as_ref(),
            _ => "",
        };
        let message = format!("JSON Schema has no type called {}.", node.is_called());
        let diagnostic = Diagnostic::error(codes::INPUT_SCHEMA, node.span, message);
        // People use the words of `params`, or those of other languages.
        let near = match text {
            "list" => Some("array"),
            "record" | "map" | "dict" => Some("object"),
            "text" | "str" => Some("string"),
            "int" => Some("integer"),
            _ => nearest(text, TYPES.iter().copied()),
        };
        self.out.push(match near {
            Some(_) => diagnostic.suggest(node.span, near),
            None => diagnostic.help(format!("Write {}.", one_of(TYPES.iter().copied()))),
        });
    }

    fn poll(&mut self, node: &Node<'t>) -> PollSettings {
        let Some(fields) = self.fields(node, &POLL) else { return PollSettings::default() };
        let every = fields.get("every").and_then(|entry| {
            let every = self.duration(entry)?;
            if POLL_EVERY.contains(&every) {
                return Some(every);
            }
            let help = "Write 10s to 1d. Systems count every question; where seconds matter, have the system send its events.";
            self.error(codes::POLL, entry.value.span, "A trigger asks every 10s at most and every 1d at least.", help);
            None
        });
        let since = fields.get("since").and_then(|entry| self.free_text(entry));
        PollSettings { every, since }
    }

    fn dedupe(&mut self, node: &Node<'t>) -> Option<Dedupe> {
        let fields = self.fields(node, &DEDUPE)?;
        let keep = fields.get("for").and_then(|entry| self.duration(entry));
        let entry = fields.get("by")?;
        let by = self.value(&entry.value);
        if matches!(by.kind, ValueKind::Literal(_)) {
            let span = if by.span.start < by.span.end { by.span } else { entry.key_span };
            let message = "This key is the same for every event, so only the first would start a run.";
            self.error(codes::SAME_KEY, span, message, "Write an expression, such as `\"${ trigger.id }\"`.");
            return None;
        }
        Some(Dedupe { by, keep })
    }
}

/// Stands where no trigger could be read; its recipe has an error and never runs.
pub(crate) fn no_trigger(span: Span) -> Trigger {
    Trigger {
        from: Spanned { value: TriggerSource::Api, span },
        with: Json::Object(serde_json::Map::new()),
        with_span: span,
        with_places: Places::Leaf,
        condition: None,
        dedupe: None,
        poll: PollSettings::default(),
        sample: None,
        span,
    }
}
