//! The recipe itself: everything but its steps.

use serde_json::Value as Json;

use crate::ast::{
    ConnectionRef, Dedupe, Jitter, Param, ParamType, Places, Recipe, Retry, Settings, Span, Spanned, Trigger, TriggerSource,
    ValueKind,
};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest, shown};
use crate::keys::{self, API_WITH, DEDUPE, LATER_TRIGGERS, PARAM, RECIPE, RETRY, SCHEDULE_WITH, SETTINGS, TRIGGER, WEBHOOK_WITH};
use crate::read::{Fields, Reader, is_name};
use crate::scan;
use crate::yaml::{Entry, Kind, Node};

/// The longest slug and web path.
const SLUG_CHARS_MAX: usize = 63;

impl<'t> Reader<'t> {
    /// The recipe of a tree; `None` only if the tree is no record at all.
    pub(crate) fn recipe(&mut self, root: &Node<'t>) -> Option<Recipe> {
        if !matches!(root.kind, Kind::Record(_)) {
            if !matches!(root.kind, Kind::Broken) {
                let message = format!("A recipe is a record, but {} was read.", root.is_called());
                let help = "Start with `liaison: 1`, then recipe, trigger and steps.";
                self.error(codes::NOT_A_RECORD, root.span, message, help);
            }
            return None;
        }
        let fields = self.fields(root, &RECIPE)?;
        self.version(&fields);
        let slug = fields.get("recipe").and_then(|entry| self.slug(entry));
        let text = |this: &mut Self, name| fields.get(name).and_then(|entry| this.text(entry)).map(|text| text.value);
        let title = text(self, "title");
        let note = fields.get("note").and_then(|entry| self.free_text(entry)).map(|text| text.value);
        let tags = fields.get("tags").map(|entry| self.texts(entry)).unwrap_or_default();
        let connections = fields.get("connections").map(|entry| self.connections(entry)).unwrap_or_default();
        let params = fields.get("params").map(|entry| self.params(entry)).unwrap_or_default();
        let trigger = fields.get("trigger").and_then(|entry| self.trigger(&entry.value));
        self.gaps.trigger = trigger.is_none();
        // Unknown keys may be the connections or parameters that were meant.
        self.gaps.connections |= fields.unknown && fields.get("connections").is_none();
        self.gaps.params |= fields.unknown && fields.get("params").is_none();
        let settings = fields.get("settings").and_then(|entry| self.settings(&entry.value)).unwrap_or_default();
        let steps = fields.get("steps").map(|entry| self.steps(entry)).unwrap_or_default();
        Some(Recipe {
            slug: slug.unwrap_or(Spanned { value: String::new(), span: fields.start }),
            title,
            note,
            tags: tags.into_iter().map(|tag| tag.value).collect(),
            connections,
            params,
            trigger: trigger.unwrap_or_else(|| no_trigger(fields.start)),
            settings,
            steps,
        })
    }

    fn version(&mut self, fields: &Fields<'_, 't>) {
        let Some(entry) = fields.get("liaison") else { return };
        let node = &entry.value;
        match &node.kind {
            Kind::Number(number) if number.as_u64() == Some(1) => {}
            Kind::Broken => {}
            _ => {
                let message = format!("This version reads language version 1, but {} was read.", node.is_called());
                let diagnostic = Diagnostic::error(codes::VERSION, node.span, message).help("Write `liaison: 1`.");
                let newer = matches!(&node.kind, Kind::Number(number) if number.as_u64().is_some_and(|n| n > 1));
                self.out.push(if newer {
                    diagnostic.help("The recipe was written for a newer version; use that one.")
                } else if node.span.start < node.span.end {
                    diagnostic.edit(node.span, "1", "Change to 1")
                } else {
                    diagnostic
                });
            }
        }
    }

    fn slug(&mut self, entry: &Entry<'t>) -> Option<Spanned<String>> {
        let slug = self.text(entry)?;
        let fits = (1..=SLUG_CHARS_MAX).contains(&slug.value.len())
            && slug.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            let message = format!("\"{}\" cannot be the name of a recipe.", shown(&slug.value));
            let help = "Use 1 to 63 small letters, digits and hyphens; `title` takes any text.";
            let diagnostic = Diagnostic::error(codes::SLUG, slug.span, message).help(help);
            let better: String =
                slug.value.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            let better = better.trim_matches('-');
            self.out.push(if (1..=SLUG_CHARS_MAX).contains(&better.len()) {
                diagnostic.edit(slug.span, better, format!("Change to \"{better}\""))
            } else {
                diagnostic
            });
        }
        Some(slug)
    }

    fn connections(&mut self, entry: &Entry<'t>) -> Vec<ConnectionRef> {
        let Kind::Record(entries) = &entry.value.kind else {
            self.gaps.connections = true;
            self.expected(entry, "names and their connectors", "Write them as `name: connector`, one a line.");
            return Vec::new();
        };
        let mut connections = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| !entry.key.starts_with("x-")) {
            self.name(&entry.key, entry.key_span, "a connection");
            match self.text(entry) {
                Some(connector) => {
                    let name = Spanned { value: entry.key.to_string(), span: entry.key_span };
                    connections.push(ConnectionRef { name, connector });
                }
                None => self.gaps.connections = true,
            }
        }
        connections
    }

    fn params(&mut self, entry: &Entry<'t>) -> Vec<Param> {
        let Kind::Record(entries) = &entry.value.kind else {
            self.gaps.params = true;
            self.expected(entry, "names and their types", "Write them as `name: { type: number }`, one a line.");
            return Vec::new();
        };
        let own = entries.iter().filter(|entry| !entry.key.starts_with("x-"));
        let params: Vec<_> = own.map(|entry| self.param(entry)).collect();
        self.gaps.params |= params.iter().any(Option::is_none);
        params.into_iter().flatten().collect()
    }

    fn param(&mut self, entry: &Entry<'t>) -> Option<Param> {
        self.name(&entry.key, entry.key_span, "a parameter");
        let fields = self.fields(&entry.value, &PARAM)?;
        let title = fields.get("title").and_then(|entry| self.text(entry)).map(|text| text.value);
        let default = fields.get("default").map(|entry| (entry, self.literal(&entry.value).0));
        let kind = match self.choice(fields.get("type")?, keys::PARAM_TYPES)? {
            "string" => ParamType::String,
            "number" => ParamType::Number,
            "integer" => ParamType::Integer,
            "boolean" => ParamType::Boolean,
            "list" => ParamType::List,
            _ => ParamType::Record,
        };
        if let Some((entry, value)) = &default {
            let fits = match kind {
                ParamType::String => value.is_string(),
                ParamType::Number => value.is_number(),
                ParamType::Integer => value.is_i64() || value.is_u64(),
                ParamType::Boolean => value.is_boolean(),
                ParamType::List => value.is_array(),
                ParamType::Record => value.is_object(),
            };
            if !fits && !matches!(entry.value.kind, Kind::Broken) {
                let span = if entry.value.span.start < entry.value.span.end { entry.value.span } else { entry.key_span };
                let message = format!("The default is {}, which does not fit the type.", entry.value.is_called());
                self.error(codes::DEFAULT, span, message, "Change the default or the type.");
            }
        }
        let name = Spanned { value: entry.key.to_string(), span: entry.key_span };
        Some(Param { name, kind, default: default.map(|(_, value)| value), title })
    }

    fn trigger(&mut self, node: &Node<'t>) -> Option<Trigger> {
        let fields = self.fields(node, &TRIGGER)?;
        let condition = fields.get("if").and_then(|entry| self.decision(entry));
        let dedupe = fields.get("dedupe").and_then(|entry| self.dedupe(&entry.value));
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
        let with_span = with.map_or(node.span, |entry| entry.value.span);
        Some(Trigger { from, with: json, with_span, with_places: places, condition, dedupe, span: node.span })
    }

    fn source(&mut self, entry: &Entry<'t>) -> Option<Spanned<TriggerSource>> {
        let text = self.text(entry)?;
        let source = match text.value.as_str() {
            "webhook" => TriggerSource::Webhook,
            "schedule" => TriggerSource::Schedule,
            "api" => TriggerSource::Api,
            later if LATER_TRIGGERS.contains(&later) => {
                self.later(text.span, later);
                return None;
            }
            other => match other.split_once('.') {
                Some((connection, trigger)) if is_name(connection) && is_name(trigger) => {
                    TriggerSource::Connection { connection: connection.to_owned(), trigger: trigger.to_owned() }
                }
                _ => {
                    let message = format!("\"{}\" is not a trigger.", shown(other));
                    let diagnostic = Diagnostic::error(codes::TRIGGER_NAME, text.span, message);
                    self.out.push(match nearest(other, keys::TRIGGERS.iter().copied()) {
                        Some(near) => diagnostic.suggest(text.span, Some(near)),
                        None => {
                            diagnostic.help("Write webhook, schedule, api, or a connection and its trigger, as in `pay.event`.")
                        }
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
            TriggerSource::Api => &API_WITH,
            _ => return,
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
        if let Some(input) = fields.get("input").filter(|entry| !matches!(entry.value.kind, Kind::Record(_))) {
            self.expected(input, "a JSON Schema", "Write a record such as `{ type: object, required: [id] }`.");
        }
        // What is evaluated nowhere was reported when the record was read.
        let plain = |text: &Spanned<String>| scan::first(&text.value).is_none();
        if let Some(path) = fields.get("path").and_then(|entry| self.free_text(entry)).filter(plain) {
            let bytes = path.value.as_bytes();
            let fits = (1..=SLUG_CHARS_MAX).contains(&bytes.len())
                && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !bytes.starts_with(b"-");
            if !fits {
                let message = format!("\"{}\" cannot be the path of a webhook.", shown(&path.value));
                let help = "Use 1 to 63 small letters, digits and hyphens, such as `new-orders`.";
                self.error(codes::PATH, path.span, message, help);
            }
        }
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

    fn settings(&mut self, node: &Node<'t>) -> Option<Settings> {
        let fields = self.fields(node, &SETTINGS)?;
        Some(Settings {
            timeout: fields.get("timeout").and_then(|entry| self.duration(entry)),
            retry: fields.get("retry").and_then(|entry| self.retry(entry)),
            label: fields.get("label").and_then(|entry| self.text_value(entry)),
        })
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

/// Stands where no trigger could be read; its recipe has an error and never runs.
fn no_trigger(span: Span) -> Trigger {
    Trigger {
        from: Spanned { value: TriggerSource::Api, span },
        with: Json::Object(serde_json::Map::new()),
        with_span: span,
        with_places: Places::Leaf,
        condition: None,
        dedupe: None,
        span,
    }
}
