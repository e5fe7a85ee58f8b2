//! What an expression may refer to from where it stands.
//!
//! Every step has an order and what is around it: the branches and loops it lies in. A step can be
//! read by what comes after it, unless a loop or another branch lies between the two.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use serde_json::Value as Json;

use super::inputs::resolve;
use super::{Checker, shown};
use crate::ast::{Expr, Recipe, SetValue, Span, Step, StepKind, TriggerSource, Value, ValueKind};
use crate::catalogue::{Reference, Segment};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest, one_of};
use crate::keys::LATER_ROOTS;

/// A branch or a loop around a step.
#[derive(Clone, PartialEq)]
pub(crate) struct Around<'a> {
    id: &'a str,
    /// The order of the step it belongs to, which tells steps apart whatever their ids are.
    order: usize,
    kind: AroundKind<'a>,
}

#[derive(Clone, PartialEq)]
enum AroundKind<'a> {
    Branch(usize),
    Pass { binding: &'a str },
}

impl<'a> Around<'a> {
    pub(crate) fn branch(step: &'a Step, order: usize, number: usize) -> Self {
        Self { id: &step.id.value, order, kind: AroundKind::Branch(number) }
    }

    pub(crate) fn pass(step: &'a Step, order: usize, binding: &'a str) -> Self {
        Self { id: &step.id.value, order, kind: AroundKind::Pass { binding } }
    }

    pub(crate) fn binding(&self) -> Option<&'a str> {
        match self.kind {
            AroundKind::Pass { binding } => Some(binding),
            AroundKind::Branch(_) => None,
        }
    }
}

/// One more around what is around already.
pub(crate) fn inside<'a>(around: &Rc<[Around<'a>]>, inner: Around<'a>) -> Rc<[Around<'a>]> {
    around.iter().cloned().chain(std::iter::once(inner)).collect()
}

/// Where an expression stands among the steps.
pub(crate) struct Place<'a> {
    pub(crate) order: usize,
    pub(crate) around: Rc<[Around<'a>]>,
}

/// What an expression sees.
pub(crate) enum Seen<'a> {
    /// Only the event: there is no run yet.
    Event,
    /// A run, at this place.
    Run(Place<'a>),
}

/// All steps by id.
pub(crate) struct Index<'a> {
    steps: HashMap<&'a str, Target<'a>>,
    /// The ids in order, so that suggestions are the same each time.
    ids: Vec<&'a str>,
    params: HashSet<&'a str>,
    /// Every name that some loop gives its item.
    bindings: HashSet<&'a str>,
}

struct Target<'a> {
    place: Place<'a>,
    step: &'a Step,
}

impl<'a> Index<'a> {
    pub(crate) fn new(recipe: &'a Recipe) -> Self {
        let params = recipe.params.iter().map(|param| param.name.value.as_str()).collect();
        let mut index = Self { steps: HashMap::new(), ids: Vec::new(), params, bindings: HashSet::from(["item"]) };
        index.add(&recipe.steps, &Rc::from([]), &mut 0);
        index
    }

    fn add(&mut self, steps: &'a [Step], around: &Rc<[Around<'a>]>, next: &mut usize) {
        for step in steps {
            let order = *next;
            *next += 1;
            let place = Place { order, around: Rc::clone(around) };
            // Of steps with the same id, which is reported, the first counts.
            self.steps.entry(&step.id.value).or_insert(Target { place, step });
            self.ids.push(&step.id.value);
            match &step.kind {
                StepKind::Choose(branches) => {
                    for (number, branch) in branches.iter().enumerate() {
                        self.add(&branch.steps, &inside(around, Around::branch(step, order, number)), next);
                    }
                }
                StepKind::Each { binding, steps, .. } => {
                    self.bindings.insert(binding);
                    self.add(steps, &inside(around, Around::pass(step, order, binding)), next);
                }
                _ => {}
            }
        }
    }
}

/// What is known of the thing a reference reads.
#[derive(Clone, Copy)]
enum Known<'k> {
    Nothing,
    Schema { root: &'k Json, node: &'k Json },
    Value(&'k Value),
    Json(&'k Json),
    Fields(&'k [&'k str]),
}

const WEBHOOK_FIELDS: &[&str] = &["method", "path", "query", "headers", "body"];
const SCHEDULE_FIELDS: &[&str] = &["scheduled_at", "fired_at", "missed"];
const CHOOSE_FIELDS: &[&str] = &["branch"];
const EACH_FIELDS: &[&str] = &["results", "total", "failed"];
const RUN_ROOTS: &[&str] = &["trigger", "steps", "meta", "params", "run"];
const EVENT_ROOTS: &[&str] = &["trigger", "params"];

impl<'a> Checker<'a> {
    pub(crate) fn reference(&mut self, expr: &Expr, reference: &Reference, seen: &Seen<'a>) {
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

    fn step_known(&self, step: &'a Step) -> Known<'a> {
        match &step.kind {
            StepKind::Do { connection, action, .. } => {
                let id = self.through.get(connection.value.as_str()).copied().unwrap_or(connection.value.as_str());
                let connector = self.catalogue.connectors.iter().find(|c| c.id == id);
                let info = connector.and_then(|c| c.actions.iter().find(|info| info.id == action.value));
                info.map_or(Known::Nothing, |info| Known::Schema { root: &info.output, node: &info.output })
            }
            StepKind::Set(SetValue::Fields(value)) => Known::Value(value),
            StepKind::Choose(_) => Known::Fields(CHOOSE_FIELDS),
            StepKind::Each { .. } => Known::Fields(EACH_FIELDS),
            StepKind::Set(SetValue::Script(_)) | StepKind::Return(_) | StepKind::Fail(_) => Known::Nothing,
        }
    }

    fn trigger_known(&self) -> Known<'a> {
        let trigger = &self.recipe.trigger;
        match &trigger.from.value {
            _ if self.gaps.trigger => Known::Nothing,
            TriggerSource::Webhook => Known::Fields(WEBHOOK_FIELDS),
            TriggerSource::Schedule => Known::Fields(SCHEDULE_FIELDS),
            TriggerSource::Api => {
                trigger.with.get("input").map_or(Known::Nothing, |input| Known::Schema { root: input, node: input })
            }
            TriggerSource::Call | TriggerSource::Failure => Known::Nothing,
            TriggerSource::Connection { connection, trigger } => {
                let id = self.through.get(connection.as_str()).copied().unwrap_or(connection.as_str());
                let connector = self.catalogue.connectors.iter().find(|c| c.id == id);
                let info = connector.and_then(|c| c.triggers.iter().find(|info| info.id == *trigger));
                info.map_or(Known::Nothing, |info| Known::Schema { root: &info.output, node: &info.output })
            }
        }
    }

    /// Follows a path into what is known and reports the first field that cannot be there.
    fn fields(&mut self, at: &Source<'_>, mut known: Known<'a>, from: usize, name: &str) {
        for (number, segment) in at.reference.path.iter().enumerate().skip(from) {
            known = match follow(known, segment) {
                Ok(known) => known,
                Err(names) => {
                    let Segment::Key(key) = segment else { return };
                    let span = at.segment(number);
                    let before: Vec<_> = at.reference.path[from..number].iter().map(shown_segment).collect();
                    let message = format!("`{name}{}` has no field \"{}\".", before.concat(), shown(key));
                    let diagnostic = Diagnostic::error(codes::FIELD, span, message);
                    let near = nearest(key, names.iter().copied());
                    self.out.push(match near {
                        Some(_) => at.suggest(diagnostic, span, key, near),
                        None if names.is_empty() => diagnostic.help("It has no fields."),
                        None => diagnostic.help(format!("It has {}.", one_of(names))),
                    });
                    return;
                }
            };
        }
    }
}

/// One step into what is known; the names there are if the one wanted is not among them.
fn follow<'k>(known: Known<'k>, segment: &Segment) -> Result<Known<'k>, Vec<&'k str>> {
    Ok(match (known, segment) {
        (Known::Fields(names), Segment::Key(key)) if !names.contains(&key.as_str()) => return Err(names.to_vec()),
        (Known::Schema { root, node }, _) => follow_schema(root, node, segment, 0)?,
        (Known::Value(value), _) => match (&value.kind, segment) {
            (ValueKind::Literal(json), _) => follow(Known::Json(json), segment)?,
            (ValueKind::Record(fields), Segment::Key(key)) => match fields.iter().find(|(name, _)| name.value == *key) {
                Some((_, value)) => Known::Value(value),
                None => return Err(fields.iter().map(|(name, _)| name.value.as_str()).collect()),
            },
            (ValueKind::List(items), Segment::Index(index)) => {
                usize::try_from(*index).ok().and_then(|index| items.get(index)).map_or(Known::Nothing, Known::Value)
            }
            _ => Known::Nothing,
        },
        (Known::Json(Json::Object(fields)), Segment::Key(key)) => match fields.get(key) {
            Some(json) => Known::Json(json),
            None => return Err(fields.keys().map(String::as_str).collect()),
        },
        (Known::Json(Json::Array(items)), Segment::Index(index)) => {
            usize::try_from(*index).ok().and_then(|index| items.get(index)).map_or(Known::Nothing, Known::Json)
        }
        _ => Known::Nothing,
    })
}

fn follow_schema<'k>(root: &'k Json, node: &'k Json, segment: &Segment, depth: usize) -> Result<Known<'k>, Vec<&'k str>> {
    let Some(schema) = node.as_object() else { return Ok(Known::Nothing) };
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        return match resolve(root, reference) {
            Some(referred) if depth < 32 => follow_schema(root, referred, segment, depth + 1),
            _ => Ok(Known::Nothing),
        };
    }
    let open = ["anyOf", "oneOf", "allOf", "patternProperties"].iter().any(|word| schema.contains_key(*word));
    match segment {
        Segment::Key(key) => {
            let properties = schema.get("properties").and_then(Json::as_object);
            if let Some(node) = properties.and_then(|p| p.get(key)) {
                return Ok(Known::Schema { root, node });
            }
            match schema.get("additionalProperties") {
                Some(Json::Bool(false)) if !open => {
                    Err(properties.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default())
                }
                Some(node) if !open => Ok(Known::Schema { root, node }),
                _ => Ok(Known::Nothing),
            }
        }
        Segment::Index(_) => Ok(schema.get("items").map_or(Known::Nothing, |node| Known::Schema { root, node })),
        Segment::Any => Ok(Known::Nothing),
    }
}

/// Why a step cannot have run where it is read, if so.
fn unreachable(place: &Place<'_>, target: &Target<'_>, span: Span) -> Option<Diagnostic> {
    let id = shown(&target.step.id.value);
    let order = target.place.order;
    if order == place.order {
        let message = format!("\"{id}\" reads its own output, which does not exist yet.");
        return Some(Diagnostic::error(codes::NOT_RUN_YET, span, message).help("Read a step that comes before."));
    }
    if place.around.iter().any(|a| a.order == order) {
        let message = format!("\"{id}\" is the step around this one and has no output before it is done.");
        let help = "Inside a loop read its item; read the output in a step after it.";
        return Some(Diagnostic::error(codes::NOT_RUN_YET, span, message).help(help));
    }
    let shared = common(&place.around, &target.place.around);
    if let (Some(here), Some(there)) = (place.around.get(shared), target.place.around.get(shared))
        && here.order == there.order
    {
        let message = format!("\"{id}\" is in another branch of \"{}\", and only one branch runs.", shown(there.id));
        return Some(Diagnostic::error(codes::NOT_RUN_YET, span, message).help("Move it before the choice."));
    }
    (order > place.order).then(|| {
        let message = format!("\"{id}\" comes later and cannot have run here.");
        Diagnostic::error(codes::NOT_RUN_YET, span, message).help("Move it before this step, or read another step.")
    })
}

/// How much of what is around two places is the same.
fn common(a: &[Around<'_>], b: &[Around<'_>]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn shown_segment(segment: &Segment) -> String {
    match segment {
        Segment::Key(key) => format!(".{}", shown(key)),
        Segment::Index(index) => format!("[{index}]"),
        Segment::Any => "[*]".to_owned(),
    }
}

/// A reference and the expression it stands in.
struct Source<'s> {
    expr: &'s Expr,
    reference: &'s Reference,
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
    fn segment(&self, number: usize) -> Span {
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
    fn suggest(&self, diagnostic: Diagnostic, span: Span, written: &str, near: Option<&str>) -> Diagnostic {
        match near {
            Some(near) if span.end - span.start != written.len() => diagnostic.help(format!("Did you mean \"{near}\"?")),
            _ => diagnostic.suggest(span, near),
        }
    }
}
