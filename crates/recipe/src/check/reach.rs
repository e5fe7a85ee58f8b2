//! What an expression may refer to from where it stands.
//!
//! Every step has an order and what is around it: the branches and loops it lies in. A step can be
//! read by what comes after it, unless a loop or another branch lies between the two.

use std::ops::Range;

use super::Checker;
use super::known::Known;
use super::outputs::{error_known, from_outside, meta_known, run_known};
use super::places::{Around, Place, Seen, Target, common, unreachable};
use crate::ast::{Expr, Span, Step, StepKind, WaitKind};
use crate::catalogue::{Reference, Segment};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest, one_of, shown};
use crate::types::Kinds;

const RUN_ROOTS: &[&str] = &["trigger", "steps", "meta", "state", "params", "run"];
const EVENT_ROOTS: &[&str] = &["trigger", "params"];

impl<'a> Checker<'a> {
    /// Judges one reference; what it gives.
    pub(super) fn reference(&mut self, expr: &Expr, reference: &Reference, seen: &Seen<'a>) -> Known<'a> {
        if self.out.is_full() {
            return Known::Any;
        }
        let at = Source { expr, reference };
        let root = reference.root.as_str();
        if let Some(known) = self.bound(root, seen) {
            return self.fields(&at, known, 0, root);
        }
        match (root, seen.place()) {
            // A path over everything, as in `$..id`, names nothing in particular.
            ("" | "$", _) => {
                self.used.everything = true;
                Known::Any
            }
            ("trigger", _) => {
                let known = self.trigger_known();
                self.fields(&at, known, 0, "trigger")
            }
            ("params", _) => self.declared(&at, true),
            ("state", Some(_)) => self.declared(&at, false),
            ("run", Some(_)) => self.fields(&at, run_known(), 0, "run"),
            ("error", _) if seen.has_error() => self.fields(&at, error_known(), 0, "error"),
            ("steps", Some(place)) => self.step_reference(&at, place),
            ("meta", Some(place)) => self.meta_reference(&at, place),
            ("steps" | "meta" | "state", None) => {
                let message = if root == "state" {
                    "The state is not read before there is a run."
                } else {
                    "No step has run when this is computed."
                };
                let help = "The trigger's `if` and `dedupe`, the label and the concurrency key see only trigger and params.";
                self.out.push(Diagnostic::error(codes::NOT_RUN_YET, at.whole(), message).help(help));
                Known::Any
            }
            (name, _) => {
                self.unknown_root(&at, name, seen);
                Known::Any
            }
        }
    }

    /// The item or number of a loop around.
    pub(super) fn bound(&self, name: &str, seen: &Seen<'a>) -> Option<Known<'a>> {
        let place = seen.place()?;
        if name == "index" && place.around.iter().any(Around::is_loop) {
            return Some(Known::Kinds(Kinds::INTEGER));
        }
        let around = place.around.iter().rev().find(|around| around.binding() == Some(name))?;
        Some(self.items.get(around.id).cloned().unwrap_or(Known::Any))
    }

    fn unknown_root(&mut self, at: &Source<'_>, name: &str, seen: &Seen<'a>) {
        let span = at.root();
        if name == "error" {
            let diagnostic = Diagnostic::error(codes::NO_ERROR, span, "There is no `error` here.");
            self.out.push(diagnostic.help("It exists only in the steps of a `catch` and in a `fallback`."));
            return;
        }
        let around = |place: &Place<'a>| place.around.iter().filter_map(Around::binding).collect();
        let loops: Vec<&str> = seen.place().map(around).unwrap_or_default();
        if name == "index" || self.index.bindings.contains(name) {
            let diagnostic = Diagnostic::error(codes::NO_LOOP, span, format!("There is no `{name}` here."));
            self.out.push(match loops.last() {
                Some(inner) => diagnostic.suggest(span, Some(inner)),
                None => diagnostic.help("It exists only in the steps and `collect` of an `each`."),
            });
            return;
        }
        let roots: &[&str] = if matches!(seen, Seen::Event) { EVENT_ROOTS } else { RUN_ROOTS };
        let names = || roots.iter().copied().chain(loops.iter().copied());
        let diagnostic = Diagnostic::error(codes::ROOT, span, format!("Nothing is called `{}` here.", shown(name)));
        let meant = |name: &str, what: &str, inside: &str| {
            diagnostic.clone().help(format!("{what} is `{inside}.{name}`.")).edit(
                span,
                format!("{inside}.{name}"),
                format!("Change to \"{inside}.{name}\""),
            )
        };
        let of = |params: &[crate::ast::Param]| params.iter().any(|param| param.name.value == name);
        self.out.push(if let Some(near) = nearest(name, names()) {
            diagnostic.clone().suggest(span, Some(near))
        } else if self.index.steps.contains_key(name) && seen.place().is_some() {
            meant(name, "The output of a step", "steps")
        } else if of(&self.recipe.params) {
            meant(name, "A parameter", "params")
        } else if of(&self.recipe.state) && seen.place().is_some() {
            meant(name, "A value of the state", "state")
        } else {
            diagnostic.clone().help(format!("Expressions here see {}.", one_of(names())))
        });
    }

    /// `params.x` and `state.x`.
    fn declared(&mut self, at: &Source<'_>, params: bool) -> Known<'a> {
        let recipe = self.recipe;
        let (declared, gap) = if params { (&recipe.params, self.gaps.params) } else { (&recipe.state, self.gaps.state) };
        let Some(Segment::Key(name)) = at.reference.path.first() else {
            let used = if params { &mut self.used.params } else { &mut self.used.state };
            used.extend(declared.iter().map(|param| param.name.value.as_str()));
            return Known::Kinds(Kinds::RECORD);
        };
        if let Some(param) = declared.iter().find(|param| param.name.value == *name) {
            let used = if params { &mut self.used.params } else { &mut self.used.state };
            used.insert(&param.name.value);
            let root = if params { "params" } else { "state" };
            return self.fields(at, Known::schema(&param.schema), 1, &format!("{root}.{name}"));
        }
        if gap {
            return Known::Any;
        }
        let near = nearest(name, declared.iter().map(|param| param.name.value.as_str()));
        let span = at.segment(0);
        let (code, what, block) =
            if params { (codes::PARAM, "No parameter", "params") } else { (codes::STATE, "No value of the state", "state") };
        let diagnostic = Diagnostic::error(code, span, format!("{what} is called \"{}\".", shown(name)));
        self.out.push(match near {
            Some(_) => at.suggest(diagnostic, span, name, near),
            None => diagnostic.help(format!("Declare it: `{block}: {{ {}: {{ type: string }} }}`.", shown(name))),
        });
        Known::Any
    }

    /// The step that a reference names; reports when there is none.
    fn target(&mut self, at: &Source<'_>) -> Option<(&'a Step, String)> {
        let Some(Segment::Key(id)) = at.reference.path.first() else {
            self.used.everything = true;
            return None;
        };
        let span = at.segment(0);
        if let Some(target) = self.index.steps.get(id.as_str()) {
            return Some((target.step, shown(id)));
        }
        if self.gaps.nameless || self.gaps.ids.contains(id) {
            return None;
        }
        let near = nearest(id, self.index.ids.iter().copied().filter(|id| !id.is_empty()));
        let diagnostic = Diagnostic::error(codes::STEP, span, format!("No step has the id \"{}\".", shown(id)));
        self.out.push(match near {
            Some(_) => at.suggest(diagnostic, span, id, near),
            None => diagnostic.help("Use the id of a step that comes before."),
        });
        None
    }

    fn meta_reference(&mut self, at: &Source<'_>, place: &Place<'a>) -> Known<'a> {
        let Some((step, shown_id)) = self.target(at) else { return Known::Any };
        // The address of a callback is known from the start, or nobody could be told of it.
        let address = matches!(at.reference.path.get(1), Some(Segment::Key(key)) if key == "callback");
        if address {
            let waits = matches!(&step.kind, StepKind::Wait(wait) if matches!(wait.what, WaitKind::Callback { .. }));
            if !waits {
                let message = format!("\"{shown_id}\" waits for no callback, so it has no address.");
                let help = "Only a step with `wait: { callback: … }` has one.";
                self.out.push(Diagnostic::error(codes::FIELD, at.segment(1), message).help(help));
            }
            return Known::Kinds(Kinds::TEXT);
        }
        let span = at.segment(0);
        if let Some(diagnostic) = self.index.steps.get(step.id.value.as_str()).and_then(|t| unreachable(place, t, span)) {
            self.out.push(diagnostic);
            return Known::Any;
        }
        if self.outside_loop(at, place, step) {
            return Known::Any;
        }
        self.fields(at, meta_known(), 1, &format!("meta.{shown_id}"))
    }

    /// Reports a step of a loop that is read from outside of it.
    fn outside_loop(&mut self, at: &Source<'_>, place: &Place<'a>, step: &'a Step) -> bool {
        let Some(target) = self.index.steps.get(step.id.value.as_str()) else { return false };
        let outside = &target.around[common(&place.around, &target.around)..];
        let Some(around) = outside.iter().find(|a| a.is_loop()) else { return false };
        let (id, owner) = (shown(&step.id.value), shown(around.id));
        let message = format!("\"{id}\" runs inside the loop \"{owner}\", so it has no single output here.");
        let diagnostic = Diagnostic::error(codes::INSIDE_LOOP, at.segment(0), message);
        let repeats = self.index.steps.get(around.id).is_some_and(|t| matches!(t.step.kind, StepKind::Repeat(_)));
        self.out.push(if repeats {
            diagnostic.help(format!("Read `steps.{owner}.last`, the output of the last step of the last turn."))
        } else {
            diagnostic.help(format!("Read `steps.{owner}.results`, a list with one entry for each pass."))
        });
        true
    }

    fn step_reference(&mut self, at: &Source<'_>, place: &Place<'a>) -> Known<'a> {
        let Some((step, shown_id)) = self.target(at) else { return Known::Any };
        self.used.steps.insert(&step.id.value);
        let span = at.segment(0);
        let Some(target) = self.index.steps.get(step.id.value.as_str()) else { return Known::Any };
        if let Some(diagnostic) = unreachable(place, target, span) {
            self.out.push(diagnostic);
            return Known::Any;
        }
        let outside = target.around[common(&place.around, &target.around)..].to_vec();
        if self.outside_loop(at, place, step) {
            return Known::Any;
        }
        if let Some(around) = outside.iter().rev().find(|around| matches!(around.block, crate::ast::BlockName::Named(_))) {
            let better = from_outside(around.block, around.id, &step.id.value).unwrap_or_default();
            let message = format!("\"{shown_id}\" runs in a branch of \"{}\" and is read through it.", shown(around.id));
            let diagnostic = Diagnostic::error(codes::INSIDE_PARALLEL, span, message).help(format!("Read `{better}`."));
            let start = at.root().start;
            let plain = at.expr.source[at.range()].starts_with(&format!("steps.{}", step.id.value));
            self.out.push(if plain {
                diagnostic.edit(Span { start, end: span.end }, better.clone(), format!("Change to \"{better}\""))
            } else {
                diagnostic
            });
            return Known::Any;
        }
        if matches!(step.kind, StepKind::Do { stream: true, .. }) && self.streamed != Some(step.id.value.as_str()) {
            let message = format!("\"{shown_id}\" is a stream: only the `each` that goes through it reads it.");
            let help =
                format!("Write `each: ${{ steps.{shown_id} }}`, or remove `stream: true` to have the whole output at once.");
            self.out.push(Diagnostic::error(codes::STREAM_READ, span, message).help(help));
            return Known::Any;
        }
        if self.streamed.is_some() && matches!(step.kind, StepKind::Do { stream: true, .. }) {
            // Left out, it has no items.
            return self.output_of(step);
        }
        if let Some(why) = self.may_be_null(step, &outside, place).filter(|_| !thinks_of_null(at.expr)) {
            let message = format!("\"{shown_id}\" {why}; otherwise its output is null.");
            let help = "Say what counts then, as in `… ?? 0`, or read it where it is sure to have run.";
            self.out.push(Diagnostic::warning(codes::MAYBE_NOT_RUN, span, message).help(help));
        }
        let known = self.output_of(step);
        self.parallel_fields(step, at);
        self.fields(at, known, 1, &format!("steps.{shown_id}"))
    }

    /// `steps.both.crm.account` reads the step `account`.
    fn parallel_fields(&mut self, step: &'a Step, at: &Source<'_>) {
        let (StepKind::Parallel { branches, .. }, Some(Segment::Key(branch))) = (&step.kind, at.reference.path.get(1)) else {
            return;
        };
        let Some((_, steps)) = branches.iter().find(|(name, _)| name.value == *branch) else { return };
        let used = |inner: &&Step| match at.reference.path.get(2) {
            Some(Segment::Key(id)) => inner.id.value == *id,
            _ => true,
        };
        self.used.steps.extend(steps.iter().filter(used).map(|inner| inner.id.value.as_str()));
    }

    /// Why the output of a step that comes before may be null, if it may.
    fn may_be_null(&self, step: &'a Step, outside: &[Around<'a>], place: &Place<'a>) -> Option<String> {
        let guarded = |id: &str| {
            let names = [format!("steps.{id}"), format!("meta.{id}")];
            place.conditions.iter().any(|condition| names.iter().any(|name| condition.contains(name.as_str())))
        };
        if guarded(&step.id.value) {
            return None;
        }
        if let Some(around) = outside.iter().find(|around| around.may_be_left_out()) {
            // Who asked which branch was taken, or how the try went, knows.
            return (!guarded(around.id)).then(|| match around.block {
                crate::ast::BlockName::Branch(_) => format!("runs only in one branch of \"{}\"", shown(around.id)),
                crate::ast::BlockName::Catch => format!("runs only if \"{}\" fails", shown(around.id)),
                _ => format!("has run only if nothing before it in \"{}\" failed", shown(around.id)),
            });
        }
        let owners = outside.iter().filter_map(|around| self.index.steps.get(around.id)).map(|target: &Target<'a>| target.step);
        if step.disabled || owners.into_iter().any(|owner| owner.disabled) {
            return Some("is disabled".to_owned());
        }
        if let Some(condition) = &step.condition {
            // The same condition, the same answer.
            let same = place.conditions.iter().any(|other| *other == condition.source);
            return (!same && condition.source != "true").then(|| "runs only if its condition holds".to_owned());
        }
        let lost = step.on_error == crate::ast::OnError::Continue && step.fallback.is_none();
        lost.then(|| "may fail, as it says `on_error: continue`".to_owned())
    }
}

/// True if the writer of an expression has thought of null.
fn thinks_of_null(expr: &Expr) -> bool {
    ["??", "== null", "!= null", "present(", "default(", "is_null("].iter().any(|sign| expr.source.contains(sign))
}

/// A reference and the expression it stands in.
pub(super) struct Source<'s> {
    pub(super) expr: &'s Expr,
    pub(super) reference: &'s Reference,
}

impl Source<'_> {
    pub(super) fn range(&self) -> Range<usize> {
        let end = self.reference.range.end.min(self.expr.source.len());
        self.reference.range.start.min(end)..end
    }

    fn whole(&self) -> Span {
        self.expr.place(self.range())
    }

    fn root(&self) -> Span {
        self.find(&[&self.reference.root])
    }

    /// The place of one part of the path, or of the whole reference if it is written otherwise.
    pub(super) fn segment(&self, number: usize) -> Span {
        let parts = self.reference.path.iter().take(number + 1).filter_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            _ => None,
        });
        let parts: Vec<_> = std::iter::once(self.reference.root.as_str()).chain(parts).collect();
        self.find(&parts)
    }

    /// The place of the last of these texts, found one after the other.
    fn find(&self, parts: &[&str]) -> Span {
        let range = self.range();
        let mut found = range.clone();
        let mut from = range.start;
        for part in parts {
            let Some(at) = self.expr.source.get(from..range.end).and_then(|rest| rest.find(part)) else {
                return self.whole();
            };
            found = from + at..from + at + part.len();
            from = found.end;
        }
        self.expr.place(found)
    }

    /// "Did you mean", with an edit if the part stands in the file as it is.
    pub(super) fn suggest(&self, diagnostic: Diagnostic, span: Span, written: &str, near: Option<&str>) -> Diagnostic {
        match near {
            Some(near) if span.end - span.start != written.len() => diagnostic.help(format!("Did you mean \"{near}\"?")),
            _ => diagnostic.suggest(span, near),
        }
    }
}
