//! A recipe against a catalogue: names, inputs, expressions, and steps that are never reached.
//!
//! One root cause gives one problem: where a name is unknown, nothing is said about what would
//! follow from it, and what the text reader has reported is not reported again.

mod inputs;
mod outputs;
mod places;
mod reach;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::Value as Json;

use crate::ast::{Expr, Part, Places, Recipe, SetValue, Span, Spanned, Step, StepKind, TriggerSource, Value, ValueKind};
use crate::catalogue::{ActionInfo, Catalogue, ConnectorInfo, ExpressionInfo, ExpressionProblem, TriggerInfo};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest, one_of, shown};
use crate::read::{Gaps, capital};

use inputs::View;
use places::{Around, Index, Place, Seen};

/// Holds a recipe against a catalogue.
pub(crate) fn run(recipe: &Recipe, catalogue: &Catalogue, gaps: &Gaps, out: &mut Diagnostics) {
    let index = Index::new(recipe);
    let through = recipe.connections.iter().map(|c| (c.name.value.as_str(), c.connector.value.as_str())).collect();
    let mut checker = Checker { recipe, catalogue, gaps, out, index, through, next: 0, used: HashSet::new() };
    checker.connections();
    checker.trigger();
    checker.steps(&recipe.steps, &Rc::from([]));
    checker.unused();
}

struct Checker<'a> {
    recipe: &'a Recipe,
    catalogue: &'a Catalogue,
    gaps: &'a Gaps,
    out: &'a mut Diagnostics,
    index: Index<'a>,
    /// The connector of each connection.
    through: HashMap<&'a str, &'a str>,
    /// The order of the next step, counted as [`Index`] counts.
    next: usize,
    /// The connections that something uses.
    used: HashSet<&'a str>,
}

/// What stands before the dot of an action or trigger.
struct Owner<'a> {
    connector: &'a ConnectorInfo,
    /// It was reached through a connection, not as a built-in connector.
    connected: bool,
}

impl<'a> Checker<'a> {
    fn connections(&mut self) {
        let known = &self.catalogue.connectors;
        for connection in &self.recipe.connections {
            let (name, connector) = (&connection.name, &connection.connector);
            if known.iter().any(|c| c.builtin && c.id == name.value) {
                let message = format!("\"{}\" is a built-in connector; a connection of that name would hide it.", name.value);
                let help = format!("Choose another name, such as \"my_{}\".", name.value);
                self.out.push(Diagnostic::error(codes::SHADOWS, name.span, message).help(help));
            }
            if !known.iter().any(|c| c.id == connector.value) {
                let message = format!("No connector is called \"{}\".", shown(&connector.value));
                let near = nearest(&connector.value, known.iter().map(|c| c.id.as_str()));
                let diagnostic = Diagnostic::error(codes::CONNECTOR, connector.span, message);
                self.out.push(match near {
                    Some(_) => diagnostic.suggest(connector.span, near),
                    None => diagnostic.help(format!("Installed are {}.", one_of(known.iter().map(|c| c.id.as_str())))),
                });
            }
        }
    }

    fn unused(&mut self) {
        for connection in &self.recipe.connections {
            let name = &connection.name;
            if !self.used.contains(name.value.as_str()) && !self.gaps.nameless && self.gaps.ids.is_empty() && !self.gaps.trigger {
                let message = format!("Nothing uses the connection \"{}\".", shown(&name.value));
                self.out.push(Diagnostic::warning(codes::UNUSED, name.span, message).help("Remove it, or use it in a step."));
            }
        }
    }

    fn trigger(&mut self) {
        if self.gaps.trigger {
            return;
        }
        let trigger = &self.recipe.trigger;
        let seen = Seen::Event;
        if let Some(condition) = &trigger.condition {
            self.expression(condition, &seen);
        }
        if let Some(dedupe) = &trigger.dedupe {
            self.value(&dedupe.by, &seen);
        }
        if let Some(label) = &self.recipe.settings.label {
            self.value(label, &seen);
        }
        match &trigger.from.value {
            TriggerSource::Schedule => self.schedule(),
            TriggerSource::Connection { .. } => {
                if let Some(info) = self.trigger_info() {
                    let with = View::Literal(&trigger.with, trigger.with_span, &trigger.with_places);
                    let name = self.trigger_name();
                    inputs::check(&name, trigger.from.span, with, &info.config, self.out);
                }
            }
            _ => {}
        }
    }

    fn trigger_name(&self) -> String {
        match &self.recipe.trigger.from.value {
            TriggerSource::Connection { connection, trigger } => format!("{connection}.{trigger}"),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// The trigger of the connection that the recipe names; reports when there is none.
    fn trigger_info(&mut self) -> Option<&'a TriggerInfo> {
        let from = &self.recipe.trigger.from;
        let TriggerSource::Connection { connection, trigger } = &from.value else { return None };
        let before = Span { start: from.span.start, end: from.span.end.saturating_sub(trigger.len() + 1).max(from.span.start) };
        let owner = self.owner(&Spanned { value: connection.clone(), span: from.span }, before, "trigger")?;
        let found = owner.connector.triggers.iter().find(|info| info.id == *trigger);
        if found.is_none() {
            let names = owner.connector.triggers.iter().map(|info| info.id.as_str());
            let message = format!("{} has no trigger \"{}\".", owner.connector.title, shown(trigger));
            self.unknown_part(codes::TRIGGER, from.span, message, trigger, &format!("{connection}."), names.collect());
        }
        found
    }

    fn schedule(&mut self) {
        let trigger = &self.recipe.trigger;
        let Some(Json::String(cron)) = trigger.with.get("cron") else { return };
        let zone = trigger.with.get("zone").map_or(Some("UTC"), Json::as_str);
        let Some(zone) = zone else { return };
        if let Err((field, sentence)) = (self.catalogue.schedule)(cron, zone) {
            let (code, help) = match field.as_str() {
                "zone" => (codes::ZONE, "Write a zone such as Europe/Berlin or UTC."),
                _ => (codes::CRON, "Write five fields: minute, hour, day of month, month, day of week."),
            };
            let span = match (&trigger.with_places, &trigger.with) {
                (Places::Record(places), Json::Object(fields)) => {
                    fields.keys().zip(places).find(|(key, _)| **key == field).map(|(_, (_, span, _))| *span)
                }
                _ => None,
            };
            self.out.push(Diagnostic::error(code, span.unwrap_or(trigger.with_span), sentence).help(help));
        }
    }

    fn steps(&mut self, steps: &'a [Step], around: &Rc<[Around<'a>]>) {
        let mut ended = false;
        for step in steps {
            if ended {
                let message = format!("\"{}\" is never reached: the run has always ended before.", shown(&step.id.value));
                let help = "Remove it, or give the step that ends the run an `if`.";
                self.out.push(Diagnostic::warning(codes::UNREACHABLE, step.id.span, message).help(help));
            }
            self.step(step, around);
            // Only the first is reported; the rest follows from it.
            ended = !ended && ends(step);
        }
    }

    fn step(&mut self, step: &'a Step, around: &Rc<[Around<'a>]>) {
        let order = self.next;
        self.next += 1;
        let here = Seen::Run(Place { order, around: Rc::clone(around) });
        if let Some(condition) = &step.condition {
            self.expression(condition, &here);
        }
        match &step.kind {
            StepKind::Do { connection, action, with } => {
                self.value(with, &here);
                if let Some(info) = self.action(connection, action) {
                    let name = format!("{}.{}", connection.value, action.value);
                    let span = Span { start: connection.span.start, end: action.span.end };
                    inputs::check(&name, span, View::Value(with), &info.input, self.out);
                }
            }
            StepKind::Set(SetValue::Fields(value)) | StepKind::Return(value) | StepKind::Fail(value) => self.value(value, &here),
            StepKind::Set(SetValue::Script(script)) => {
                let judged = (self.catalogue.script)(&script.source);
                self.judged(codes::SCRIPT, script, judged, &here);
            }
            StepKind::Choose(branches) => {
                for (number, branch) in branches.iter().enumerate() {
                    if let Some(when) = &branch.when {
                        self.expression(when, &here);
                    }
                    self.steps(&branch.steps, &places::inside(around, Around::branch(step, order, number)));
                }
            }
            StepKind::Each { items, binding, collect, steps } => {
                self.value(items, &here);
                if around.iter().any(|a| a.binding() == Some(binding)) {
                    let message = format!(
                        "Inside \"{}\", `{1}` hides the `{1}` of the loop around it.",
                        shown(&step.id.value),
                        shown(binding)
                    );
                    let help = "Give one of the loops another name with `as`.";
                    self.out.push(Diagnostic::warning(codes::SHADOWED, step.id.span, message).help(help));
                }
                let inner = places::inside(around, Around::pass(step, order, binding));
                self.steps(steps, &inner);
                if let Some(collect) = collect {
                    self.value(collect, &Seen::Run(Place { order: self.next, around: inner }));
                }
            }
        }
    }

    fn value(&mut self, value: &Value, seen: &Seen<'a>) {
        match &value.kind {
            ValueKind::Literal(_) => {}
            ValueKind::Expr(expr) => self.expression(expr, seen),
            ValueKind::Text(parts) => {
                for part in parts {
                    if let Part::Expr(expr) = part {
                        self.expression(expr, seen);
                    }
                }
            }
            ValueKind::List(items) => items.iter().for_each(|item| self.value(item, seen)),
            ValueKind::Record(fields) => fields.iter().for_each(|(_, item)| self.value(item, seen)),
        }
    }

    fn expression(&mut self, expr: &Expr, seen: &Seen<'a>) {
        // Without text it stands for one that was reported already.
        if !expr.source.is_empty() {
            let judged = (self.catalogue.expression)(&expr.source);
            self.judged(codes::EXPRESSION, expr, judged, seen);
        }
    }

    fn judged(&mut self, code: &'static str, expr: &Expr, judged: Result<ExpressionInfo, ExpressionProblem>, seen: &Seen<'a>) {
        match judged {
            Ok(info) => info.references.iter().for_each(|reference| self.reference(expr, reference, seen)),
            Err(problem) => {
                let end = problem.range.end.min(expr.source.len());
                let start = problem.range.start.min(end);
                let diagnostic = Diagnostic::error(code, expr.place(start..end), sentence(&problem.message));
                self.out.push(Diagnostic { help: problem.hint.as_deref().map(sentence), ..diagnostic });
            }
        }
    }

    /// The action that a step names; reports when there is none.
    fn action(&mut self, connection: &'a Spanned<String>, action: &'a Spanned<String>) -> Option<&'a ActionInfo> {
        let owner = self.owner(connection, connection.span, "action")?;
        let Some(found) = owner.connector.actions.iter().find(|info| info.id == action.value) else {
            let names = owner.connector.actions.iter().map(|info| info.id.as_str());
            let message = format!("{} has no action \"{}\".", owner.connector.title, shown(&action.value));
            self.unknown_part(codes::ACTION, action.span, message, &action.value, "", names.collect());
            return None;
        };
        if found.needs_connection && !owner.connected {
            let id = &owner.connector.id;
            let message = format!("{}.{} works only through a connection.", connection.value, action.value);
            let help = format!("Add `connections: {{ my_{id}: {id} }}` and write `do: my_{id}.{}`.", action.value);
            self.out.push(Diagnostic::error(codes::NEEDS_CONNECTION, connection.span, message).help(help));
        }
        Some(found)
    }

    /// The connector behind a connection or built-in name; reports when there is none.
    fn owner(&mut self, name: &Spanned<String>, span: Span, what: &str) -> Option<Owner<'a>> {
        let (recipe, known) = (self.recipe, &self.catalogue.connectors);
        if let Some((connection, id)) = self.through.get_key_value(name.value.as_str()) {
            self.used.insert(connection);
            // An unknown connector was reported where it is named.
            let connector = known.iter().find(|c| c.id == *id)?;
            return Some(Owner { connector, connected: true });
        }
        let connector = known.iter().find(|c| c.id == name.value);
        if let Some(connector) = connector.filter(|c| c.builtin) {
            return Some(Owner { connector, connected: false });
        }
        if self.gaps.connections {
            return None;
        }
        let diagnostic =
            Diagnostic::error(codes::CONNECTION, span, format!("No connection is called \"{}\".", shown(&name.value)));
        if let Some(connector) = connector {
            let help = format!(
                "{} is a connector. Add `connections: {{ {1}: {1} }}` and keep this {what}.",
                connector.title, connector.id
            );
            self.out.push(diagnostic.help(help));
            return None;
        }
        let names = recipe.connections.iter().map(|c| c.name.value.as_str());
        let builtin = known.iter().filter(|c| c.builtin).map(|c| c.id.as_str());
        let names: Vec<_> = names.chain(builtin).collect();
        let near = nearest(&name.value, names.iter().copied());
        self.out.push(match near {
            Some(_) => diagnostic.suggest(span, near),
            None if names.is_empty() => diagnostic.help("Name it under `connections`."),
            None => diagnostic.help(format!("Known here are {}. Others are named under `connections`.", one_of(names))),
        });
        None
    }

    /// Reports an unknown action or trigger with what there is. `before` stands in the span before it.
    fn unknown_part(&mut self, code: &'static str, span: Span, message: String, written: &str, before: &str, names: Vec<&str>) {
        let diagnostic = Diagnostic::error(code, span, message);
        self.out.push(match nearest(written, names.iter().copied()) {
            Some(near) => diagnostic.help(format!("Did you mean \"{near}\"?")).edit(
                span,
                format!("{before}{near}"),
                format!("Change to \"{near}\""),
            ),
            None if names.is_empty() => diagnostic.help("It has none at all."),
            None => diagnostic.help(format!("It has {}.", one_of(names))),
        });
    }
}

/// What others say, as a sentence like ours.
fn sentence(text: &str) -> String {
    let text = capital(text.trim());
    // A hint may end with code, behind which a full stop would be read as part of it.
    if text.ends_with(|c: char| c.is_alphanumeric() || c == '`') { text + "." } else { text }
}

/// True if no step after this one is ever reached.
fn ends(step: &Step) -> bool {
    step.condition.is_none()
        && match &step.kind {
            StepKind::Return(_) | StepKind::Fail(_) => true,
            StepKind::Choose(branches) => {
                branches.iter().any(|b| b.when.is_none()) && branches.iter().all(|b| b.steps.iter().any(ends))
            }
            _ => false,
        }
}
