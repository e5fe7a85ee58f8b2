//! What an expression may refer to from where it stands.
//!
//! Every step has an order and what is around it: the branches and loops it lies in. A step can be
//! read by what comes after it, unless a loop or another branch lies between the two.

use std::ops::Range;

use super::Checker;
use super::places::{Around, Place, Seen, common, unreachable};
use crate::ast::{Expr, Span};
use crate::catalogue::{Reference, Segment};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest, one_of, shown};
use crate::keys::LATER_ROOTS;

const RUN_ROOTS: &[&str] = &["trigger", "steps", "meta", "params", "run"];
const EVENT_ROOTS: &[&str] = &["trigger", "params"];

impl<'a> Checker<'a> {
    pub(super) fn reference(&mut self, expr: &Expr, reference: &Reference, seen: &Seen<'a>) {
        if self.out.is_full() {
            return;
        }
        let at = Source { expr, reference };
        let root = reference.root.as_str();
        let bound = |name: &str| match seen {
            Seen::Event => false,
            Seen::Run(place) => place.around.iter().any(|a| a.binding().is_some_and(|b| b == name || name == "index")),
        };
        match (root, seen) {
            // A path over everything, as in `$..id`, names nothing in particular.
            ("" | "$", _) => {}
            (name, _) if bound(name) => {}
            ("trigger", _) => {
                let known = self.trigger_known();
                self.fields(&at, known, 0, "trigger");
            }
            ("params", _) => self.param(&at),
            ("run", Seen::Run(_)) => {}
            ("steps" | "meta", Seen::Run(place)) => self.step_reference(&at, place),
            ("steps" | "meta", Seen::Event) => {
                let message = "No step has run when this is computed.";
                let help = "The trigger's `if` and `dedupe` and the label see only trigger and params.";
                self.out.push(Diagnostic::error(codes::NOT_RUN_YET, at.whole(), message).help(help));
            }
            (name, _) => self.unknown_root(&at, name, seen),
        }
    }

    fn unknown_root(&mut self, at: &Source<'_>, name: &str, seen: &Seen<'a>) {
        let span = at.root();
        if LATER_ROOTS.contains(&name) {
            let message = format!("\"{name}\" belongs to the language but is not available yet in this version.");
            self.out.push(Diagnostic::error(codes::LATER, span, message).help("Remove it, or use a newer version."));
            return;
        }
        let loops: Vec<&str> = match seen {
            Seen::Event => Vec::new(),
            Seen::Run(place) => place.around.iter().filter_map(Around::binding).collect(),
        };
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
        self.out.push(if let Some(near) = nearest(name, names()) {
            diagnostic.suggest(span, Some(near))
        } else if self.index.steps.contains_key(name) && matches!(seen, Seen::Run(_)) {
            diagnostic.help(format!("The output of a step is `steps.{name}`.")).edit(
                span,
                format!("steps.{name}"),
                format!("Change to \"steps.{name}\""),
            )
        } else if self.index.params.contains(name) {
            diagnostic.help(format!("A parameter is `params.{name}`.")).edit(
                span,
                format!("params.{name}"),
                format!("Change to \"params.{name}\""),
            )
        } else {
            diagnostic.help(format!("Expressions here see {}.", one_of(names())))
        });
    }

    fn param(&mut self, at: &Source<'_>) {
        let Some(Segment::Key(name)) = at.reference.path.first() else { return };
        if self.gaps.params || self.index.params.contains(name.as_str()) {
            return;
        }
        let names = || self.recipe.params.iter().map(|param| param.name.value.as_str());
        let near = nearest(name, names());
        let span = at.segment(0);
        let diagnostic = Diagnostic::error(codes::PARAM, span, format!("No parameter is called \"{}\".", shown(name)));
        let diagnostic = match near {
            Some(_) => at.suggest(diagnostic, span, name, near),
            None => diagnostic.help(format!("Declare it: `params: {{ {}: {{ type: string }} }}`.", shown(name))),
        };
        self.out.push(diagnostic);
    }

    fn step_reference(&mut self, at: &Source<'_>, place: &Place<'a>) {
        let Some(Segment::Key(id)) = at.reference.path.first() else { return };
        let span = at.segment(0);
        let Some(target) = self.index.steps.get(id.as_str()) else {
            if self.gaps.nameless || self.gaps.ids.contains(id) {
                return;
            }
            let near = nearest(id, self.index.ids.iter().copied().filter(|id| !id.is_empty()));
            let diagnostic = Diagnostic::error(codes::STEP, span, format!("No step has the id \"{}\".", shown(id)));
            let diagnostic = match near {
                Some(_) => at.suggest(diagnostic, span, id, near),
                None => diagnostic.help("Use the id of a step that comes before."),
            };
            self.out.push(diagnostic);
            return;
        };
        if let Some(diagnostic) = unreachable(place, target, span) {
            self.out.push(diagnostic);
            return;
        }
        let shown_id = shown(id);
        let (step, outside) = (target.step, &target.place.around[common(&place.around, &target.place.around)..]);
        if let Some(around) = outside.iter().find(|a| a.binding().is_some()) {
            let message =
                format!("\"{shown_id}\" runs inside the loop \"{}\", so it has no single output here.", shown(around.id));
            let help = format!("Read `steps.{}.results`, a list with one entry for each pass.", shown(around.id));
            self.out.push(Diagnostic::error(codes::INSIDE_LOOP, span, message).help(help));
            return;
        }
        if at.reference.root == "meta" {
            return;
        }
        // With `??` the writer has thought of null.
        if let (Some(around), false) = (outside.first(), at.expr.source.contains("??")) {
            let message =
                format!("\"{shown_id}\" runs only in one branch of \"{}\"; otherwise its output is null.", shown(around.id));
            let help = "Say what counts then, as in `… ?? 0`, or read it inside the branch.";
            self.out.push(Diagnostic::warning(codes::MAYBE_NOT_RUN, span, message).help(help));
        }
        let known = self.step_known(step);
        self.fields(at, known, 1, &format!("steps.{shown_id}"));
    }
}

/// A reference and the expression it stands in.
pub(super) struct Source<'s> {
    pub(super) expr: &'s Expr,
    pub(super) reference: &'s Reference,
}

impl Source<'_> {
    fn range(&self) -> Range<usize> {
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
