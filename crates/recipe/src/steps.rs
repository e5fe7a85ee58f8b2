//! Steps.

use crate::ast::{Branch, Expr, SetValue, Spanned, Step, StepKind, Value, ValueKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, one_of, shown};
use crate::keys::{BRANCH, LATER_WORDS, STEP, STEP_WORDS};
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
        if let Some(word) = later_word(node) {
            self.later(word.key_span, &word.key);
            self.leave_out(node);
            return None;
        }
        let Some(fields) = self.fields(node, &STEP) else {
            self.gaps.nameless = true;
            return None;
        };
        let id = fields.get("id").and_then(|entry| self.id(entry));
        self.gaps.nameless |= id.is_none();
        let text = |this: &mut Self, name| fields.get(name).and_then(|entry| this.text(entry)).map(|text| text.value);
        let title = text(self, "title");
        let note = fields.get("note").and_then(|entry| self.free_text(entry)).map(|text| text.value);
        let condition = fields.get("if").and_then(|entry| self.decision(entry));
        let retry = fields.get("retry").and_then(|entry| self.retry(entry));
        let timeout = fields.get("timeout").and_then(|entry| self.duration(entry));
        let kind = self.word(&fields, id.as_ref()).and_then(|(word, entry)| self.kind(word, entry, &fields));
        let Some(kind) = kind else {
            self.leave_out(node);
            return None;
        };
        let id = id.unwrap_or(Spanned { value: String::new(), span: fields.start });
        Some(Step { id, title, note, condition, retry, timeout, kind, span: node.span })
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
        for (owner, own, must) in STEP_WORDS {
            for name in *own {
                if let (Some(stray), false) = (fields.get(name), *owner == word) {
                    let message = format!("\"{name}\" belongs to \"{owner}\", but this step has \"{word}\".");
                    self.error(codes::MISPLACED, stray.key_span, message, "Remove it, or change the step.");
                    if let Kind::List(_) = stray.value.kind {
                        self.leave_out(&stray.value);
                    }
                }
            }
            for name in must.iter().filter(|name| *owner == word && fields.get(name).is_none() && !fields.unknown) {
                let message = format!("\"{word}\" needs \"{name}\", which is missing here.");
                self.error(codes::MISSING, entry.key_span, message, format!("Add `{name}:`."));
            }
        }
        Some((word, entry))
    }

    fn kind(&mut self, word: &str, entry: &Entry<'t>, fields: &Fields<'_, 't>) -> Option<StepKind> {
        match word {
            "do" => self.action(entry, fields),
            "set" => self.set(entry),
            "choose" => self.choose(entry),
            "each" => {
                let items = self.list_value(entry);
                let binding = fields.get("as").and_then(|entry| self.binding(entry));
                let collect = fields.get("collect").map(|entry| self.value(&entry.value));
                let steps = fields.get("steps").map(|entry| self.steps(entry)).unwrap_or_default();
                let binding = binding.unwrap_or_else(|| "item".to_owned());
                Some(StepKind::Each { items: items?, binding, collect, steps })
            }
            "return" => Some(StepKind::Return(self.value(&entry.value))),
            _ => self.text_value(entry).map(StepKind::Fail),
        }
    }

    fn action(&mut self, entry: &Entry<'t>, fields: &Fields<'_, 't>) -> Option<StepKind> {
        let with = match fields.get("with") {
            None => Value { kind: ValueKind::Literal(serde_json::json!({})), span: entry.value.span, places: Default::default() },
            Some(with) => {
                if !matches!(with.value.kind, Kind::Record(_)) {
                    self.expected(with, "a record", "Write `name: value`, one a line.");
                    return None;
                }
                self.value(&with.value)
            }
        };
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
        Some(StepKind::Do { connection: place(connection, 0), action: place(action, connection.len() + 1), with })
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

    fn binding(&mut self, entry: &Entry<'t>) -> Option<String> {
        let name = self.text(entry)?;
        if name.value == "item" {
            return Some(name.value);
        }
        // A malformed name is reported and kept, so that its uses are not reported as well.
        if self.name(&name.value, name.span, "a loop item") {
            self.refuse_reserved(&name.value, name.span);
        }
        Some(name.value)
    }

    fn choose(&mut self, entry: &Entry<'t>) -> Option<StepKind> {
        let Kind::List(nodes) = &entry.value.kind else {
            self.expected(entry, "a list of branches", "Start each branch with `- when:` on a line of its own.");
            return None;
        };
        if nodes.is_empty() {
            self.error(codes::NOTHING_IN_IT, entry.key_span, "\"choose\" has no branch.", "Add `- when:` with its `steps:`.");
        }
        let branches = nodes.iter().enumerate().filter_map(|(index, node)| self.branch(node, index, nodes.len()));
        Some(StepKind::Choose(branches.collect()))
    }

    fn branch(&mut self, node: &Node<'t>, index: usize, count: usize) -> Option<Branch> {
        let Some(fields) = self.fields(node, &BRANCH) else {
            self.leave_out(node);
            return None;
        };
        let (when, steps, otherwise) = (fields.get("when"), fields.get("steps"), fields.get("otherwise"));
        if let Some(otherwise) = otherwise {
            if when.is_some() || steps.is_some() {
                let help = "Write `otherwise:` with its steps as a branch of its own, at the end.";
                self.error(codes::BRANCH, otherwise.key_span, "\"otherwise\" stands beside \"when\" or \"steps\".", help);
                self.leave_out(node);
                return None;
            }
            if index + 1 < count || index == 0 {
                let (message, help) = if index == 0 {
                    ("\"otherwise\" comes first.", "Put a branch with `when` before it.")
                } else {
                    ("\"otherwise\" is not the last branch.", "Move it to the end; there can be one only.")
                };
                self.error(codes::OTHERWISE, otherwise.key_span, message, help);
            }
            return Some(Branch { when: None, steps: self.steps(otherwise), span: node.span });
        }
        let condition = when.and_then(|entry| self.decision(entry));
        let steps_read = steps.map(|entry| self.steps(entry)).unwrap_or_default();
        for (name, found) in [("when", when), ("steps", steps)] {
            if found.is_none() && !fields.unknown {
                let help = "A branch has `when` and `steps`, or only `otherwise`.";
                self.error(codes::BRANCH, fields.start, format!("This branch has no \"{name}\"."), help);
            }
        }
        // A branch whose condition could not be read must not look like `otherwise`.
        let unread = Expr { source: String::new(), span: fields.start, runs: Vec::new() };
        Some(Branch { when: Some(condition.unwrap_or(unread)), steps: steps_read, span: node.span })
    }
}

/// The word of a later version that a step has, if it has one.
fn later_word<'n, 't>(node: &'n Node<'t>) -> Option<&'n Entry<'t>> {
    let Kind::Record(entries) = &node.kind else { return None };
    // `parallel` is also a field of `each`, and then only the field is of a later version.
    let loops = entries.iter().any(|entry| entry.key == "each");
    entries.iter().find(|entry| LATER_WORDS.contains(&entry.key.as_ref()) && !(loops && entry.key == "parallel"))
}
