//! What is known of outputs before any run, and the fields that cannot be in them.

use serde_json::Value as Json;

use super::Checker;
use super::inputs::resolve;
use super::reach::Source;
use crate::ast::{SetValue, Step, StepKind, TriggerSource, Value, ValueKind};
use crate::catalogue::Segment;
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest, one_of, shown};

/// What is known of the thing a reference reads.
#[derive(Clone, Copy)]
pub(super) enum Known<'k> {
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

impl<'a> Checker<'a> {
    pub(super) fn step_known(&self, step: &'a Step) -> Known<'a> {
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

    pub(super) fn trigger_known(&self) -> Known<'a> {
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
    pub(super) fn fields(&mut self, at: &Source<'_>, mut known: Known<'a>, from: usize, name: &str) {
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

fn shown_segment(segment: &Segment) -> String {
    match segment {
        Segment::Key(key) => format!(".{}", shown(key)),
        Segment::Index(index) => format!("[{index}]"),
        Segment::Any => "[*]".to_owned(),
    }
}
