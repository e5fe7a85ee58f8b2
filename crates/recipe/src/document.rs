//! The recipe itself: everything but its steps.

use crate::ast::{ConnectionRef, Recipe, Spanned};
use crate::codes;
use crate::diagnostic::{Diagnostic, shown};
use crate::keys::RECIPE;
use crate::read::{Fields, Reader};
use crate::trigger::no_trigger;
use crate::yaml::{Entry, Kind, Node};

/// The longest slug.
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
        let (params, complete) = fields.get("params").map(|entry| self.params(entry)).unwrap_or((Vec::new(), true));
        self.gaps.params = !complete;
        let (state, complete) = fields.get("state").map(|entry| self.params(entry)).unwrap_or((Vec::new(), true));
        self.gaps.state = !complete;
        let trigger = fields.get("trigger").and_then(|entry| self.trigger(&entry.value));
        self.gaps.trigger = trigger.is_none();
        // Unknown keys may be the connections or parameters that were meant.
        self.gaps.connections |= fields.unknown && fields.get("connections").is_none();
        self.gaps.params |= fields.unknown && fields.get("params").is_none();
        self.gaps.state |= fields.unknown && fields.get("state").is_none();
        let settings = fields.get("settings").and_then(|entry| self.settings(&entry.value)).unwrap_or_default();
        let defaults = fields.get("defaults").and_then(|entry| self.defaults(&entry.value)).unwrap_or_default();
        let steps = fields.get("steps").map(|entry| self.steps(entry)).unwrap_or_default();
        let tests = fields.get("tests").map(|entry| self.tests(entry)).unwrap_or_default();
        Some(Recipe {
            slug: slug.unwrap_or(Spanned { value: String::new(), span: fields.start }),
            title,
            note,
            tags: tags.into_iter().map(|tag| tag.value).collect(),
            connections,
            params,
            state,
            trigger: trigger.unwrap_or_else(|| no_trigger(fields.start)),
            settings,
            defaults,
            steps,
            tests,
            span: root.span,
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
                } else if node.span.start < node.span.end && !matches!(node.kind, Kind::List(_) | Kind::Record(_)) {
                    diagnostic.edit(node.span, "1", "Change to 1")
                } else {
                    diagnostic
                });
            }
        }
    }

    pub(crate) fn slug(&mut self, entry: &Entry<'t>) -> Option<Spanned<String>> {
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
}
