//! A recipe against a catalogue: names, inputs, expressions, and steps that are never reached.
//!
//! One root cause gives one problem: where a name is unknown, nothing is said about what would
//! follow from it, and what the text reader has reported is not reported again.

mod inputs;
mod known;
mod lints;
mod look;
mod outputs;
mod places;
mod reach;
mod shapes;
mod steps;
mod tests;
mod together;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::ast::{Expr, Part, Places, Recipe, Span, Spanned, TriggerSource, Value, ValueKind};
use crate::catalogue::{ActionInfo, Catalogue, ConnectorInfo, ExpressionInfo, ExpressionProblem, Segment, TriggerInfo};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest, one_of, shown};
use crate::read::{Gaps, capital};
use crate::types::Kinds;

use inputs::View;
use known::Known;
use places::{Index, Seen};

pub use shapes::shapes_wanted;
pub use together::check_together;

pub(crate) use look::{MARK, Named, doc, properties};

/// What can follow a path where [`MARK`] stands in a recipe; `None` if it stands nowhere.
pub(crate) fn in_reach(recipe: &Recipe, catalogue: &Catalogue, gaps: &Gaps, path: Vec<Segment>) -> Option<Vec<Named>> {
    let mut out = Diagnostics::default();
    let shaped = shapes::outputs(recipe, catalogue);
    let mut checker = Checker::new(recipe, catalogue, &shaped, gaps, &mut out);
    checker.question = Some(look::Question { path, answer: None });
    checker.settings();
    checker.steps(&recipe.steps, &Rc::from([]), &Rc::from([]));
    checker.question?.answer
}

/// Holds a recipe against a catalogue.
pub(crate) fn run(recipe: &Recipe, catalogue: &Catalogue, gaps: &Gaps, out: &mut Diagnostics) {
    let shaped = shapes::outputs(recipe, catalogue);
    let mut checker = Checker::new(recipe, catalogue, &shaped, gaps, out);
    checker.connections();
    checker.trigger();
    checker.settings();
    checker.steps(&recipe.steps, &Rc::from([]), &Rc::from([]));
    checker.tests();
    checker.lints();
}

struct Checker<'a> {
    recipe: &'a Recipe,
    catalogue: &'a Catalogue,
    /// What steps give whose records are known.
    shaped: &'a shapes::Outputs,
    gaps: &'a Gaps,
    out: &'a mut Diagnostics,
    index: Index<'a>,
    /// The connector of each connection.
    through: HashMap<&'a str, &'a str>,
    /// The order of the next step, counted as [`Index`] counts.
    next: usize,
    used: Used<'a>,
    /// What each step gives that was checked already.
    outputs: HashMap<&'a str, Known<'a>>,
    /// What the item of each loop is.
    items: HashMap<&'a str, Known<'a>>,
    /// What each expression gives, by its address in the tree.
    found: HashMap<*const Expr, Known<'a>>,
    /// The step whose output is the whole list of the loop that is looked at.
    streamed: Option<&'a str>,
    /// What an editor wants to know.
    question: Option<look::Question>,
}

/// What something reads or writes.
#[derive(Default)]
struct Used<'a> {
    connections: HashSet<&'a str>,
    params: HashSet<&'a str>,
    state: HashSet<&'a str>,
    saved: HashSet<&'a str>,
    steps: HashSet<&'a str>,
    /// Some path reads whatever there is.
    everything: bool,
}

/// What stands before the dot of an action or trigger.
struct Owner<'a> {
    connector: &'a ConnectorInfo,
    /// It was reached through a connection, not as a built-in connector.
    connected: bool,
}

impl<'a> Checker<'a> {
    fn new(
        recipe: &'a Recipe,
        catalogue: &'a Catalogue,
        shaped: &'a shapes::Outputs,
        gaps: &'a Gaps,
        out: &'a mut Diagnostics,
    ) -> Self {
        let through = recipe.connections.iter().map(|c| (c.name.value.as_str(), c.connector.value.as_str())).collect();
        Self {
            recipe,
            catalogue,
            shaped,
            gaps,
            out,
            index: Index::new(recipe),
            through,
            next: 0,
            used: Used::default(),
            outputs: HashMap::new(),
            items: HashMap::new(),
            found: HashMap::new(),
            streamed: None,
            question: None,
        }
    }

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

    fn trigger(&mut self) {
        if self.gaps.trigger {
            return;
        }
        let trigger = &self.recipe.trigger;
        let seen = Seen::Event;
        if let Some(condition) = &trigger.condition {
            self.decision(condition, &seen);
        }
        if let Some(since) = trigger.poll.since.as_ref().filter(|since| !(self.catalogue.instant)(&since.value)) {
            let message = format!("\"{}\" is no instant.", shown(&since.value));
            let help = "Write a date and a time with its zone, such as 2026-03-01T08:00:00Z.";
            self.out.push(Diagnostic::error(codes::INSTANT, since.span, message).help(help));
        }
        if let Some(dedupe) = &trigger.dedupe {
            self.value(&dedupe.by, &seen);
        }
        match &trigger.from.value {
            TriggerSource::Schedule => self.schedule(),
            TriggerSource::Connection { connection, .. } => {
                if let Some(info) = self.trigger_info() {
                    let with = View::Literal(&trigger.with, trigger.with_span, &trigger.with_places);
                    let name = self.trigger_name();
                    inputs::check(&name, trigger.from.span, with, &info.config, &self.found, self.out);
                    self.held_against_shape(connection, info.shaped.as_ref(), with);
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

    fn settings(&mut self) {
        let settings = &self.recipe.settings;
        if let Some(label) = &settings.label {
            self.value(label, &Seen::Event);
        }
        if let Some(key) = settings.concurrency.as_ref().and_then(|c| c.key.as_ref()) {
            self.value(key, &Seen::Event);
        }
        if let Some(on_failure) = settings.on_failure.as_ref().filter(|slug| slug.value == self.recipe.slug.value) {
            let help = "Name another recipe, one whose trigger is `failure`.";
            let message = "A recipe cannot be told of its own failures.";
            self.out.push(Diagnostic::error(codes::OWN_FAILURE, on_failure.span, message).help(help));
        }
    }

    /// Checks a value; what it is.
    fn value(&mut self, value: &'a Value, seen: &Seen<'a>) -> Known<'a> {
        match &value.kind {
            ValueKind::Literal(json) => Known::Json(json),
            ValueKind::Expr(expr) => self.expression(expr, seen),
            ValueKind::Text(parts) => {
                for part in parts {
                    if let Part::Expr(expr) = part {
                        let known = self.expression(expr, seen);
                        self.fits_text(expr, &known);
                    }
                }
                Known::Kinds(Kinds::TEXT)
            }
            ValueKind::List(items) => Known::Items(items.iter().map(|item| self.value(item, seen)).collect()),
            ValueKind::Record(fields) => {
                Known::Record(fields.iter().map(|(name, item)| (name.value.as_str().into(), self.value(item, seen))).collect())
            }
        }
    }

    /// Lists and records do not fit into text.
    fn fits_text(&mut self, expr: &Expr, known: &Known<'_>) {
        let kinds = known.kinds();
        if !kinds.without(Kinds::NULL).is_empty() && !kinds.meets(Kinds::TEXT.or(Kinds::NUMBER).or(Kinds::BOOLEAN)) {
            let message = format!("This gives {}, which does not fit into text.", kinds.without(Kinds::NULL));
            let help = "Take one field of it, join a list with `join(…, \", \")`, or write it as JSON with `json(…)`.";
            self.out.push(Diagnostic::error(codes::EXPRESSION_TYPE, expr.span, message).help(help));
        }
    }

    /// Checks an expression; what it gives.
    fn expression(&mut self, expr: &'a Expr, seen: &Seen<'a>) -> Known<'a> {
        // Without text it stands for one that was reported already.
        if expr.source.is_empty() || self.out.is_full() {
            return Known::Any;
        }
        self.look(&expr.source, seen);
        let judged = (self.catalogue.expression)(&expr.source);
        let known = self.judged(codes::EXPRESSION, expr, judged, seen);
        self.found.insert(std::ptr::from_ref(expr), known.clone());
        known
    }

    /// Checks a formula that must give true or false.
    fn decision(&mut self, expr: &'a Expr, seen: &Seen<'a>) {
        let kinds = self.expression(expr, seen).kinds();
        if !kinds.meets(Kinds::BOOLEAN) {
            let message = format!("This gives {kinds}, but a decision needs true or false.");
            let help = "Compare it with something, as in `… == \"paid\"` or `… > 0`, or ask `present(…)`.";
            self.out.push(Diagnostic::error(codes::NOT_A_DECISION, expr.span, message).help(help));
        }
    }

    fn judged(
        &mut self,
        code: &'static str,
        expr: &'a Expr,
        judged: Result<ExpressionInfo, ExpressionProblem>,
        seen: &Seen<'a>,
    ) -> Known<'a> {
        let info = match judged {
            Ok(info) => info,
            Err(problem) => {
                self.out.push(at_range(Diagnostic::error, code, expr, &problem.message, problem.range, problem.hint.as_deref()));
                return Known::Any;
            }
        };
        let known: Vec<_> = info.references.iter().map(|reference| self.reference(expr, reference, seen)).collect();
        if let ([known], [reference]) = (known.as_slice(), info.references.as_slice())
            && reference.range == (0..expr.source.len())
        {
            return if info.is_path { Self::many(known.clone(), reference) } else { known.clone() };
        }
        let Some(typing) = info.typing else { return Known::Any };
        let inferred = typing.infer(&|at| known.get(at).map_or(crate::types::Type::ANY, Known::to_type));
        for problem in inferred.problems {
            let level = if problem.always { Diagnostic::error } else { Diagnostic::warning };
            let hint = problem.hint.as_deref();
            self.out.push(at_range(level, codes::EXPRESSION_TYPE, expr, &problem.message, problem.range, hint));
        }
        Known::Type(Rc::new(inferred.gives))
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
            self.used.connections.insert(connection);
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

/// A problem of an expression, at its place in the file.
fn at_range(
    level: fn(&'static str, Span, String) -> Diagnostic,
    code: &'static str,
    expr: &Expr,
    message: &str,
    range: Range<usize>,
    hint: Option<&str>,
) -> Diagnostic {
    let end = range.end.min(expr.source.len());
    let start = range.start.min(end);
    Diagnostic { help: hint.map(sentence), ..level(code, expr.place(start..end), sentence(message)) }
}
