//! Each step with what it may read and what it must be given.

use std::rc::Rc;

use super::inputs::{self, View};
use super::known::Known;
use super::places::{self, Around, Place, Seen};
use super::{Checker, codes};
use crate::ast::{Each, Param, SetValue, Span, Spanned, Step, StepKind, Undo, Value, ValueKind, Wait, WaitKind};
use crate::diagnostic::{Diagnostic, nearest, one_of, shown};
use crate::types::Kinds;

type Arounds<'a> = Rc<[Around<'a>]>;
type Conditions<'a> = Rc<[&'a str]>;

impl<'a> Checker<'a> {
    pub(super) fn steps(&mut self, steps: &'a [Step], around: &Arounds<'a>, conditions: &Conditions<'a>) {
        let mut ended = false;
        for step in steps {
            if ended {
                let message = format!("\"{}\" is never reached: the run has always ended before.", shown(&step.id.value));
                let help = "Remove it, or give the step that ends the run an `if`.";
                self.out.push(Diagnostic::warning(codes::UNREACHABLE, step.id.span, message).help(help));
            }
            self.step(step, around, conditions);
            // Only the first is reported; the rest follows from it.
            ended = !ended && ends(step);
        }
    }

    fn step(&mut self, step: &'a Step, around: &Arounds<'a>, conditions: &Conditions<'a>) {
        let order = self.next;
        self.next += 1;
        let conditions = with_condition(conditions, step.condition.as_ref().map(|c| c.source.as_str()));
        let place = Place { order, around: Rc::clone(around), done: false, conditions };
        let here = Seen::Run(place.clone());
        if let Some(condition) = &step.condition {
            self.decision(condition, &here);
        }
        let value = self.kind(step, &here, &place);
        if let Some(fallback) = &step.fallback {
            self.value(fallback, &Seen::Handler(place.clone()));
        }
        let output = self.output(step, value);
        self.outputs.insert(&step.id.value, output);
        if let Some(undo) = &step.undo {
            self.undo(undo, &Seen::Run(Place { done: true, ..place }));
        }
    }

    /// Checks what the step's word says; what its own value is.
    fn kind(&mut self, step: &'a Step, here: &Seen<'a>, place: &Place<'a>) -> Known<'a> {
        match &step.kind {
            StepKind::Do { connection, action, with, stream } => {
                self.call(connection, action, with, here);
                if *stream {
                    self.stream(connection, action);
                }
            }
            StepKind::Set(SetValue::Fields(value)) | StepKind::Return(value) => return self.value(value, here),
            StepKind::Set(SetValue::Script(script)) => {
                let judged = (self.catalogue.script)(&script.source);
                return self.judged(codes::SCRIPT, script, judged, here);
            }
            StepKind::Fail(value) | StepKind::Stop(value) => drop(self.value(value, here)),
            StepKind::Save(value) => self.save(value, here),
            StepKind::Call { recipe, with } | StepKind::Start { recipe, with } => {
                self.value(with, here);
                if recipe.value == self.recipe.slug.value {
                    let message = "This recipe calls itself, which would never end by itself.";
                    let help = "Use `repeat` or `each` for a loop, or call another recipe.";
                    self.out.push(Diagnostic::error(codes::CALLS_ITSELF, recipe.span, message).help(help));
                }
            }
            StepKind::Respond(respond) => {
                for (value, wanted) in
                    [(&respond.status, Kinds::INTEGER), (&respond.headers, Kinds::RECORD), (&respond.body, Kinds::ANY)]
                {
                    if let Some(value) = value {
                        let known = self.value(value, here);
                        self.fits(value.span, &known, wanted, "This");
                    }
                }
            }
            StepKind::Wait(wait) => self.wait(wait, here),
            StepKind::Choose(branches) => {
                for (at, branch) in branches.iter().enumerate() {
                    if let Some(when) = &branch.when {
                        self.decision(when, here);
                    }
                    let conditions = with_condition(&place.conditions, branch.when.as_ref().map(|when| when.source.as_str()));
                    let inner = Around::new(step, place.order, crate::ast::BlockName::Branch(at));
                    self.steps(&branch.steps, &places::inside(&place.around, inner), &conditions);
                }
            }
            StepKind::Each(each) => return self.each(step, each, here, place),
            StepKind::Repeat(repeat) => {
                let inner = places::inside(&place.around, Around::new(step, place.order, crate::ast::BlockName::Loop));
                self.steps(&repeat.steps, &inner, &place.conditions);
                if let Some(until) = &repeat.until {
                    let after = Place { order: self.next, around: inner, ..place.clone() };
                    self.decision(until, &Seen::Run(after));
                }
            }
            StepKind::Parallel { .. } | StepKind::Try { .. } => {
                for (block, steps) in step.blocks() {
                    let inner = Around::new(step, place.order, block);
                    self.steps(steps, &places::inside(&place.around, inner), &place.conditions);
                }
            }
        }
        Known::Any
    }

    fn call(&mut self, connection: &'a Spanned<String>, action: &'a Spanned<String>, with: &'a Value, here: &Seen<'a>) {
        self.value(with, here);
        if let Some(info) = self.action(connection, action) {
            let name = format!("{}.{}", connection.value, action.value);
            let span = Span { start: connection.span.start, end: action.span.end };
            inputs::check(&name, span, View::Value(with), &info.input, &self.found, self.out);
            self.held_against_shape(&connection.value, info.shaped.as_ref(), View::Value(with));
        }
    }

    /// A step whose result is read page by page.
    fn stream(&mut self, connection: &Spanned<String>, action: &Spanned<String>) {
        if self.known_action(&connection.value, &action.value).is_some_and(|info| !info.pages) {
            let message = format!("{}.{} gives its result at once, not page by page.", connection.value, action.value);
            let help = "Remove `stream: true`; `each` goes through the list in the output.";
            self.out.push(Diagnostic::error(codes::NO_PAGES, action.span, message).help(help));
        }
    }

    fn undo(&mut self, undo: &'a Undo, here: &Seen<'a>) {
        self.call(&undo.connection, &undo.action, &undo.with, here);
    }

    fn each(&mut self, step: &'a Step, each: &'a Each, here: &Seen<'a>, place: &Place<'a>) -> Known<'a> {
        self.streamed = each.whole_output();
        let items = self.value(&each.items, here);
        self.streamed = None;
        self.fits(each.items.span, &items, Kinds::LIST, "This");
        let binding = &each.binding;
        if place.around.iter().any(|a| a.binding() == Some(binding)) {
            let message =
                format!("Inside \"{}\", `{1}` hides the `{1}` of the loop around it.", shown(&step.id.value), shown(binding));
            let help = "Give one of the loops another name with `as`.";
            self.out.push(Diagnostic::warning(codes::SHADOWED, step.id.span, message).help(help));
        }
        let item = if each.batch.is_some() { Known::List(Rc::new(items.item())) } else { items.item() };
        self.items.insert(&step.id.value, item);
        let inner = places::inside(&place.around, Around::new(step, place.order, crate::ast::BlockName::Loop));
        self.steps(&each.steps, &inner, &place.conditions);
        if let Some(file) = &each.file {
            let name = self.value(file, here);
            self.fits(file.span, &name, Kinds::TEXT, "The name of a file");
        }
        match &each.collect {
            Some(collect) => self.value(collect, &Seen::Run(Place { order: self.next, around: inner, ..place.clone() })),
            None => Known::Any,
        }
    }

    fn save(&mut self, value: &'a Value, here: &Seen<'a>) {
        self.value(value, here);
        let recipe = self.recipe;
        for (name, span, view) in View::Value(value).fields() {
            if let Some(param) = recipe.state.iter().find(|param| param.name.value == name) {
                self.used.saved.insert(&param.name.value);
                inputs::check_field(name, view, &param.schema, &self.found, self.out);
                continue;
            }
            if self.gaps.state {
                continue;
            }
            let near = nearest(name, recipe.state.iter().map(|param: &Param| param.name.value.as_str()));
            let message = format!("No value of the state is called \"{}\".", shown(name));
            let diagnostic = Diagnostic::error(codes::STATE, span, message);
            self.out.push(match near {
                Some(_) => diagnostic.suggest(span, near),
                None if recipe.state.is_empty() => {
                    diagnostic.help(format!("Declare it at the top: `state: {{ {}: {{ type: string }} }}`.", shown(name)))
                }
                None => {
                    let names = one_of(recipe.state.iter().map(|param| param.name.value.as_str()));
                    diagnostic.help(format!("The state has {names}. Others are declared under `state`."))
                }
            });
        }
    }

    fn wait(&mut self, wait: &'a Wait, here: &Seen<'a>) {
        match &wait.what {
            WaitKind::For(value) => {
                let known = self.value(value, here);
                self.fits(value.span, &known, Kinds::TEXT, "This");
            }
            WaitKind::Until(value) => {
                if let ValueKind::Literal(serde_json::Value::String(text)) = &value.kind
                    && !(self.catalogue.instant)(text)
                {
                    let message = format!("\"{}\" is no instant.", shown(text));
                    let help = "Write it with its zone, such as 2026-03-01T08:00:00Z or 2026-03-01T08:00:00+01:00.";
                    self.out.push(Diagnostic::error(codes::INSTANT, value.span, message).help(help));
                    return;
                }
                let known = self.value(value, here);
                self.fits(value.span, &known, Kinds::TEXT, "This");
            }
            WaitKind::Callback { .. } => {}
            WaitKind::Approval(approval) => {
                self.value(&approval.from, here);
                self.value(&approval.ask, here);
            }
        }
    }

    /// Reports an expression that gives none of the kinds that are wanted. Literals were judged by the reader.
    fn fits(&mut self, span: Span, known: &Known<'_>, wanted: Kinds, what: &str) {
        let kinds = known.kinds();
        if !kinds.meets(wanted) && !kinds.is_empty() {
            let message = format!("{what} gives {}, but {wanted} is needed.", kinds);
            self.out.push(Diagnostic::error(codes::EXPRESSION_TYPE, span, message).help(help_for(kinds, wanted)));
        }
    }
}

/// How one kind is turned into another.
pub(super) fn help_for(given: Kinds, wanted: Kinds) -> String {
    if given.meets(Kinds::TEXT) && wanted.meets(Kinds::NUMBER) {
        "Turn the text into a number: `to_number(…)`.".to_owned()
    } else if given.meets(Kinds::NUMBER.or(Kinds::BOOLEAN)) && wanted.meets(Kinds::TEXT) {
        "Turn it into text: `to_text(…)`.".to_owned()
    } else if given.meets(Kinds::TEXT) && wanted.meets(Kinds::LIST) {
        "Cut the text into a list with `split(…, \",\")`, or read a list.".to_owned()
    } else if given.meets(Kinds::RECORD) && wanted.meets(Kinds::LIST) {
        "Read the list inside of it, or make one: `[…]`.".to_owned()
    } else if given.meets(Kinds::LIST) && wanted.meets(Kinds::TEXT) {
        "Join the items, as in `join(…, \", \")`, or take one of them.".to_owned()
    } else {
        format!("Write an expression that gives {wanted}.")
    }
}

fn with_condition<'a>(conditions: &Conditions<'a>, condition: Option<&'a str>) -> Conditions<'a> {
    match condition {
        None => Rc::clone(conditions),
        Some(condition) => conditions.iter().copied().chain(std::iter::once(condition)).collect(),
    }
}

/// True if no step after this one is ever reached.
pub(super) fn ends(step: &Step) -> bool {
    let any = |steps: &[Step]| steps.iter().any(ends);
    step.condition.is_none()
        && !step.disabled
        && match &step.kind {
            StepKind::Return(_) | StepKind::Stop(_) => true,
            StepKind::Fail(_) => step.on_error == crate::ast::OnError::Fail && step.fallback.is_none(),
            StepKind::Choose(branches) => branches.iter().any(|b| b.when.is_none()) && branches.iter().all(|b| any(&b.steps)),
            StepKind::Try { steps, catch, finally } => any(finally) || (any(steps) && (catch.is_empty() || any(catch))),
            _ => false,
        }
}
