//! What triggers and steps give.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value as Json;

use super::Checker;
use super::known::Known;
use super::reach::Source;
use crate::ast::{BlockName, Step, StepKind, TriggerSource, WaitKind};
use crate::catalogue::{Reference, Segment, TriggerInfo};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest, one_of, shown};
use crate::types::Kinds;

const TEXT: Known<'static> = Known::Kinds(Kinds::TEXT);
const TEXT_OR_NULL: Known<'static> = Known::Kinds(Kinds::TEXT.or(Kinds::NULL));
const WHOLE: Known<'static> = Known::Kinds(Kinds::INTEGER);
const RECORD: Known<'static> = Known::Kinds(Kinds::RECORD);

/// `error` in a handler, and in the event of a failure trigger.
pub(super) fn error_known<'a>() -> Known<'a> {
    Known::record([
        ("class", TEXT),
        ("code", TEXT),
        ("message", TEXT),
        ("next", TEXT_OR_NULL),
        ("step", TEXT_OR_NULL),
        ("request", Known::Any),
        ("response", Known::Any),
        ("causes", Known::Any),
    ])
}

/// `run`.
pub(super) fn run_known<'a>() -> Known<'a> {
    Known::record([("id", TEXT), ("recipe", TEXT), ("version", WHOLE), ("started_at", TEXT)])
}

/// `meta.<id>`.
pub(super) fn meta_known<'a>() -> Known<'a> {
    Known::record([
        ("status", TEXT),
        ("attempts", WHOLE),
        ("started_at", TEXT_OR_NULL),
        ("finished_at", TEXT_OR_NULL),
        ("error", Known::Any),
        ("callback", TEXT_OR_NULL),
    ])
}

impl<'a> Checker<'a> {
    /// What a step gives, once it was checked. `value` is what its own value was found to be.
    pub(super) fn output(&self, step: &'a Step, value: Known<'a>) -> Known<'a> {
        if let Some(known) = self.shaped_output(step) {
            return known;
        }
        match &step.kind {
            StepKind::Do { stream: true, .. } => Known::List(Rc::new(Known::Any)),
            StepKind::Do { connection, action, .. } => {
                let id = self.through.get(connection.value.as_str()).copied().unwrap_or(connection.value.as_str());
                let connector = self.catalogue.connectors.iter().find(|c| c.id == id);
                let info = connector.and_then(|c| c.actions.iter().find(|info| info.id == action.value));
                info.map_or(Known::Any, |info| Known::schema(&info.output))
            }
            StepKind::Set(_) => value,
            StepKind::Choose(_) => Known::record([("branch", Known::Kinds(Kinds::INTEGER.or(Kinds::TEXT).or(Kinds::NULL)))]),
            StepKind::Each(each) => {
                let item = if each.collect.is_some() { value } else { self.last(&each.steps) };
                let given = match &each.file {
                    Some(_) => ("file", RECORD),
                    None => ("results", Known::List(Rc::new(item))),
                };
                Known::record([given, ("total", WHOLE), ("failed", WHOLE), ("filtered", WHOLE)])
            }
            StepKind::Repeat(repeat) => Known::record([("turns", WHOLE), ("last", self.last(&repeat.steps))]),
            StepKind::Parallel { branches, .. } => {
                let branch = |steps: &'a [Step]| {
                    let one = |step: &'a Step| (Cow::Borrowed(step.id.value.as_str()), self.output_of(step));
                    Known::Record(steps.iter().map(one).collect())
                };
                let fields = branches.iter().map(|(name, steps)| (Cow::Borrowed(name.value.as_str()), branch(steps)));
                Known::Record(fields.collect())
            }
            StepKind::Try { .. } => Known::record([("outcome", TEXT)]),
            StepKind::Wait(wait) => match &wait.what {
                WaitKind::For(_) | WaitKind::Until(_) => Known::record([("outcome", TEXT)]),
                WaitKind::Callback { input } => {
                    let body = input.as_ref().map_or(Known::Any, Known::schema);
                    Known::record([("outcome", TEXT), ("body", body), ("headers", RECORD)])
                }
                WaitKind::Approval(approval) => {
                    let field = |p: &'a crate::ast::Param| (Cow::Borrowed(p.name.value.as_str()), Known::schema(&p.schema));
                    let form = Known::Record(approval.form.iter().map(field).collect());
                    Known::record([("outcome", TEXT), ("form", form), ("by", TEXT_OR_NULL), ("comment", TEXT_OR_NULL)])
                }
            },
            StepKind::Start { .. } => Known::record([("run_id", TEXT)]),
            StepKind::Save(_) | StepKind::Respond(_) => Known::Kinds(Kinds::NULL),
            StepKind::Call { .. } | StepKind::Return(_) | StepKind::Stop(_) | StepKind::Fail(_) => Known::Any,
        }
    }

    /// What a pass gives by itself: the output of its last step.
    fn last(&self, steps: &'a [Step]) -> Known<'a> {
        steps.last().map_or(Known::Any, |step| self.output_of(step))
    }

    /// What a step that was checked gives.
    pub(super) fn output_of(&self, step: &'a Step) -> Known<'a> {
        self.outputs.get(step.id.value.as_str()).cloned().unwrap_or(Known::Any)
    }

    pub(super) fn trigger_known(&self) -> Known<'a> {
        let trigger = &self.recipe.trigger;
        let declared = match &trigger.from.value {
            _ if self.gaps.trigger => Known::Any,
            TriggerSource::Webhook => {
                return self.with_sample(Known::record([
                    ("method", TEXT),
                    ("path", TEXT),
                    ("query", RECORD),
                    ("headers", RECORD),
                    ("body", Known::Any),
                ]));
            }
            TriggerSource::Schedule => Known::record([("scheduled_at", TEXT), ("fired_at", TEXT), ("missed", WHOLE)]),
            TriggerSource::Api | TriggerSource::Call => trigger.with.get("input").map_or(Known::Any, Known::schema),
            TriggerSource::Failure => Known::record([
                ("run", run_known()),
                ("recipe", TEXT),
                ("step", TEXT_OR_NULL),
                ("error", error_known()),
                ("trigger", Known::Any),
            ]),
            TriggerSource::Connection { .. } => {
                let declared = || self.declared_trigger().map(|info| Known::schema(&info.output));
                self.shaped_trigger().or_else(declared).unwrap_or(Known::Any)
            }
        };
        self.with_sample(declared)
    }

    /// The connector's trigger, without a word if there is none.
    pub(super) fn declared_trigger(&self) -> Option<&'a TriggerInfo> {
        let TriggerSource::Connection { connection, trigger } = &self.recipe.trigger.from.value else { return None };
        let id = self.through.get(connection.as_str()).copied().unwrap_or(connection.as_str());
        let connector = self.catalogue.connectors.iter().find(|c| c.id == id)?;
        connector.triggers.iter().find(|info| info.id == *trigger)
    }

    /// What is declared goes first; where it says nothing, the sample does.
    fn with_sample(&self, declared: Known<'a>) -> Known<'a> {
        let Some(sample) = &self.recipe.trigger.sample else { return declared };
        let Json::Object(sampled) = sample else { return Known::Sample(sample) };
        let part = |name: &str, known: &Known<'a>| match (known.kinds() == Kinds::ANY, sampled.get(name)) {
            (true, Some(sample)) => Known::Sample(sample),
            _ => known.clone(),
        };
        match declared {
            Known::Any => Known::Sample(sample),
            Known::Record(fields) => {
                Known::Record(fields.iter().map(|(name, known)| (name.clone(), part(name, known))).collect())
            }
            Known::Schema { root, .. } => {
                let Some(properties) = root.get("properties").and_then(Json::as_object) else { return Known::Sample(sample) };
                let fields = properties.iter().map(|(name, node)| {
                    let known = Known::Schema { root, node };
                    (Cow::Borrowed(name.as_str()), part(name, &known))
                });
                Known::Record(fields.collect())
            }
            other => other,
        }
    }

    /// Follows a path into what is known; reports the first field that cannot be there.
    pub(super) fn fields(&mut self, at: &Source<'_>, mut known: Known<'a>, from: usize, name: &str) -> Known<'a> {
        for (number, segment) in at.reference.path.iter().enumerate().skip(from) {
            known = match known.follow(segment) {
                Ok(known) => known,
                Err(absent) => {
                    let Segment::Key(key) = segment else { return Known::Any };
                    let span = at.segment(number);
                    let before: String = at.reference.path[from..number].iter().map(shown_segment).collect();
                    let names = || absent.names.iter().map(String::as_str);
                    let near = nearest(key, names());
                    let diagnostic = if absent.sample {
                        let message = format!("The sample of the trigger has no field \"{}\" in `{name}{before}`.", shown(key));
                        Diagnostic::warning(codes::NOT_IN_SAMPLE, span, message)
                    } else {
                        let message = format!("`{name}{before}` has no field \"{}\".", shown(key));
                        Diagnostic::error(codes::FIELD, span, message)
                    };
                    self.out.push(match near {
                        Some(_) => at.suggest(diagnostic, span, key, near),
                        None if absent.names.is_empty() => diagnostic.help("It has no fields."),
                        None => diagnostic.help(format!("It has {}.", one_of(names()))),
                    });
                    return Known::Any;
                }
            };
        }
        known
    }

    /// What a reference that is a path with wildcards gives: a list of what it leads to.
    pub(super) fn many(known: Known<'a>, reference: &Reference) -> Known<'a> {
        if reference.path.contains(&Segment::Any) { Known::List(Rc::new(known)) } else { known }
    }
}

/// How the steps of a list are reached from after the step that holds it.
pub(super) fn from_outside(block: BlockName<'_>, owner: &str, id: &str) -> Option<String> {
    match block {
        BlockName::Named(branch) => Some(format!("steps.{owner}.{branch}.{id}")),
        _ => None,
    }
}

fn shown_segment(segment: &Segment) -> String {
    match segment {
        Segment::Key(key) => format!(".{}", shown(key)),
        Segment::Index(index) => format!("[{index}]"),
        Segment::Any => "[*]".to_owned(),
    }
}
