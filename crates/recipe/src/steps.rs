//! Steps.

mod blocks;
mod wait;

use crate::ast::{Expr, OnError, Respond, SetValue, Span, Spanned, Step, StepKind, Undo, Value, ValueKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, one_of, shown};
use crate::keys::{self, RESPOND, STEP, STEP_WORDS, UNDO};
use crate::read::{Fields, Reader, is_name, name_from};
use crate::value::expression;
use crate::yaml::{Entry, Kind, Node};

impl<'t> Reader<'t> {
    /// The steps of a recipe, a branch or a loop.
    pub(crate) fn steps(&mut self, entry: &Entry<'t>) -> Vec<Step> {
        let nodes = match &entry.value.kind {
            Kind::List(nodes) => nodes,
            Kind::Null => &Vec::new(),
            _ => {
                self.leave_out(&entry.value);
                self.gaps.nameless = true;
                self.expected(entry, "a list of steps", "Start each step with `- id:` on a line of its own.");
                return Vec::new();
            }
        };
        if nodes.is_empty() {
            let help = "Add a step, which starts with `- id:`.";
            self.error(codes::NOTHING_IN_IT, entry.key_span, format!("\"{}\" holds no step.", entry.key), help);
        }
        nodes.iter().filter_map(|node| self.step(node)).collect()
    }

    fn step(&mut self, node: &Node<'t>) -> Option<Step> {
        let Some(fields) = self.fields(node, &STEP) else {
            self.gaps.nameless = true;
            return None;
        };
        let id = fields.get("id").and_then(|entry| self.id(entry));
        self.gaps.nameless |= id.is_none();
        let title = fields.get("title").and_then(|entry| self.text(entry)).map(|text| text.value);
        let note = fields.get("note").and_then(|entry| self.free_text(entry)).map(|text| text.value);
        let condition = fields.get("if").and_then(|entry| self.decision(entry));
        let retry = fields.get("retry").and_then(|entry| self.retry(entry));
        let timeout = fields.get("timeout").and_then(|entry| self.duration(entry));
        let on_error = match fields.get("on_error").and_then(|entry| self.choice(entry, keys::ON_ERROR)) {
            Some("continue") => OnError::Continue,
            _ => OnError::Fail,
        };
        let fallback = fields.get("fallback").map(|entry| self.value(&entry.value));
        let disabled = fields.get("disabled").and_then(|entry| self.boolean(entry)).unwrap_or_default();
        let undo = fields.get("undo").and_then(|entry| self.undo(&entry.value));
        let kind = self.word(&fields, id.as_ref()).and_then(|(word, entry)| self.kind(word, entry, &fields));
        let Some(kind) = kind else {
            self.leave_out(node);
            return None;
        };
        let id = id.unwrap_or(Spanned { value: String::new(), span: fields.start });
        Some(Step { id, title, note, condition, retry, timeout, on_error, fallback, undo, disabled, kind, span: node.span })
    }

    fn undo(&mut self, node: &Node<'t>) -> Option<Undo> {
        let fields = self.fields(node, &UNDO)?;
        let retry = fields.get("retry").and_then(|entry| self.retry(entry));
        let timeout = fields.get("timeout").and_then(|entry| self.duration(entry));
        let with = self.with(&fields, node.span)?;
        let (connection, action) = self.action_name(fields.get("do")?)?;
        Some(Undo { connection, action, with, retry, timeout, span: node.span })
    }

    fn id(&mut self, entry: &Entry<'t>) -> Option<Spanned<String>> {
        let id = self.text(entry)?;
        if !is_name(&id.value) {
            let message = format!("\"{}\" cannot be the id of a step.", shown(&id.value));
            let help = "An id starts with a small letter and has at most 40 small letters, digits and underscores.";
            let diagnostic = Diagnostic::error(codes::ID, id.span, message).help(help);
            self.out.push(match name_from(&id.value) {
                Some(better) => diagnostic.edit(id.span, better.clone(), format!("Change to \"{better}\"")),
                None => diagnostic,
            });
        } else if !self.refuse_reserved(&id.value, id.span) && self.ids.insert(id.value.clone(), id.span).is_some() {
            let message = format!("Another step has the id \"{}\" already.", id.value);
            self.error(codes::REPEATED_ID, id.span, message, "Choose another; ids are unique in the whole recipe.");
        }
        Some(id)
    }

    /// The one word that says what the step does, after refusing keys of other words.
    fn word<'n>(&mut self, fields: &Fields<'n, 't>, id: Option<&Spanned<String>>) -> Option<(&'static str, &'n Entry<'t>)> {
        let words: Vec<_> = STEP_WORDS.iter().filter_map(|(word, ..)| fields.get(word).map(|entry| (*word, entry))).collect();
        // Beside `each`, `parallel` says how many passes go at once.
        let words: Vec<_> = match fields.get("each") {
            Some(_) => words.into_iter().filter(|(word, _)| *word != "parallel").collect(),
            None => words,
        };
        let all = one_of(STEP_WORDS.iter().map(|(word, ..)| *word));
        let Some((word, entry)) = words.first().copied() else {
            // An unknown key was probably meant as the word.
            if !fields.unknown {
                let span = id.map_or(fields.start, |id| id.span);
                self.error(codes::NO_WORD, span, "This step does nothing.", format!("Add one of {all}."));
            }
            return None;
        };
        if let Some((second, entry)) = words.get(1) {
            let message = format!("This step has both \"{word}\" and \"{second}\".");
            self.error(codes::TWO_WORDS, entry.key_span, message, "Make it two steps, each with its own id.");
            return None;
        }
        for name in companions() {
            let owners = || STEP_WORDS.iter().filter(move |(_, own, _)| own.contains(&name)).map(|(owner, ..)| *owner);
            if let (Some(stray), false) = (fields.get(name), name == word || owners().any(|owner| owner == word)) {
                let message = format!("\"{name}\" belongs to \"{}\", but this step has \"{word}\".", one_of(owners()));
                self.error(codes::MISPLACED, stray.key_span, message, "Remove it, or change the step.");
                self.leave_out(&stray.value);
            }
        }
        let must = STEP_WORDS.iter().filter(|(owner, ..)| *owner == word).flat_map(|(_, _, must)| *must);
        for name in must.filter(|name| fields.get(name).is_none() && !fields.unknown) {
            let message = format!("\"{word}\" needs \"{name}\", which is missing here.");
            self.error(codes::MISSING, entry.key_span, message, format!("Add `{name}:`."));
        }
        Some((word, entry))
    }

    fn kind(&mut self, word: &str, entry: &Entry<'t>, fields: &Fields<'_, 't>) -> Option<StepKind> {
        match word {
            "do" => {
                let with = self.with(fields, entry.value.span);
                let (connection, action) = self.action_name(entry)?;
                let stream = fields.get("stream").and_then(|entry| self.boolean(entry)).unwrap_or_default();
                Some(StepKind::Do { connection, action, with: with?, stream })
            }
            "each" => self.each(entry, fields),
            "repeat" => self.repeat(entry, fields),
            "parallel" => self.parallel(entry, fields),
            "choose" => self.choose(entry),
            "try" => self.r#try(entry, fields),
            "set" => self.set(entry),
            "save" => self.save(entry),
            "wait" => self.wait(entry),
            "call" | "start" => {
                let with = self.with(fields, entry.value.span);
                let recipe = self.slug(entry)?;
                let with = with?;
                Some(if word == "call" { StepKind::Call { recipe, with } } else { StepKind::Start { recipe, with } })
            }
            "respond" => self.respond(entry),
            "return" => Some(StepKind::Return(self.value(&entry.value))),
            "stop" => self.text_value(entry).map(StepKind::Stop),
            _ => self.text_value(entry).map(StepKind::Fail),
        }
    }

    /// The input of an action or recipe; a record without fields if there is none.
    fn with(&mut self, fields: &Fields<'_, 't>, place: Span) -> Option<Value> {
        let Some(with) = fields.get("with") else {
            return Some(Value { kind: ValueKind::Literal(serde_json::json!({})), span: place, places: Default::default() });
        };
        self.record_value(with)
    }

    /// A record of values, with expressions.
    pub(crate) fn record_value(&mut self, entry: &Entry<'t>) -> Option<Value> {
        if !matches!(entry.value.kind, Kind::Record(_)) {
            self.expected(entry, "a record", "Write `name: value`, one a line.");
            return None;
        }
        Some(self.value(&entry.value))
    }

    /// `connection.action`.
    fn action_name(&mut self, entry: &Entry<'t>) -> Option<(Spanned<String>, Spanned<String>)> {
        let name = self.text(entry)?;
        let parts = name.value.split_once('.').filter(|(connection, action)| is_name(connection) && is_name(action));
        let Some((connection, action)) = parts else {
            let message = format!("\"{}\" does not name an action.", shown(&name.value));
            let help = "Write a connection or built-in connector, a dot and an action, as in `sf.query` or `http.request`.";
            self.error(codes::ACTION_NAME, name.span, message, help);
            return None;
        };
        let map = self.offsets(&entry.value)?;
        let place = |part: &str, start: usize| Spanned { value: part.to_owned(), span: map.place(start..start + part.len()) };
        Some((place(connection, 0), place(action, connection.len() + 1)))
    }

    fn save(&mut self, entry: &Entry<'t>) -> Option<StepKind> {
        let value = self.record_value(entry)?;
        if matches!(&entry.value.kind, Kind::Record(entries) if entries.is_empty()) {
            let help = "Write `name: value`, one a line; the names are those under `state`.";
            self.error(codes::NOTHING_IN_IT, entry.value.span, "\"save\" names no value.", help);
            return None;
        }
        Some(StepKind::Save(value))
    }

    fn respond(&mut self, entry: &Entry<'t>) -> Option<StepKind> {
        let fields = self.fields(&entry.value, &RESPOND)?;
        let headers = fields.get("headers").and_then(|entry| self.record_value(entry));
        let status = fields.get("status").map(|entry| {
            let value = self.value(&entry.value);
            let fits = match &value.kind {
                ValueKind::Literal(status) => status.as_u64().is_some_and(|status| (200..=599).contains(&status)),
                ValueKind::Expr(_) => true,
                _ => false,
            };
            if !fits && !matches!(entry.value.kind, Kind::Broken) {
                let message = format!("A status is a number from 200 to 599; {} was read.", entry.value.is_called());
                self.error(codes::RANGE, entry.value.span, message, "Write a number such as 202, or `${ }` that gives one.");
            }
            value
        });
        let body = fields.get("body").map(|entry| self.value(&entry.value));
        Some(StepKind::Respond(Box::new(Respond { status, headers, body })))
    }

    fn set(&mut self, entry: &Entry<'t>) -> Option<StepKind> {
        let node = &entry.value;
        match &node.kind {
            Kind::Record(entries) if entries.is_empty() => {
                self.error(codes::NOTHING_IN_IT, node.span, "\"set\" names no value.", "Write `name: value`, one a line.");
                None
            }
            Kind::Record(_) => Some(StepKind::Set(SetValue::Fields(self.value(node)))),
            Kind::Text(text, style) => {
                let script = text.trim();
                if script.is_empty() {
                    self.error(
                        codes::EMPTY_EXPRESSION,
                        node.span,
                        "The script is empty.",
                        "Write a script, or names and values.",
                    );
                    return None;
                }
                // Inside back quotes a script may use `${ }` itself; at its start it is a mistake.
                if script.starts_with("${") {
                    let help = "Give the value a name, as in `set: { total: \"${ … }\" }`, or write a script without `${ }`.";
                    self.error(codes::DELIMITERS, node.span, "A script takes no `${`.", help);
                    return None;
                }
                let map = crate::offsets::OffsetMap::new(self.text, node.span, text, *style);
                let start = text.len() - text.trim_start().len();
                let script: Expr = expression(&map, script, &(start..start + script.len()));
                Some(StepKind::Set(SetValue::Script(script)))
            }
            _ => {
                self.expected(entry, "names and values, or a script", "Write `name: value`, one a line, or `|` and a script.");
                None
            }
        }
    }
}

/// The keys that go with some step word only.
fn companions() -> impl Iterator<Item = &'static str> {
    let mut seen = Vec::new();
    STEP_WORDS.iter().flat_map(|(_, own, _)| *own).copied().filter(move |name| {
        let new = !seen.contains(name);
        seen.push(*name);
        new
    })
}
