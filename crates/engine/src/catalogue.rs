//! Connectors, formulas and schedules as the checker of `recipe` sees them.

mod typing;

use std::sync::Arc;

use connector::Connector;
use formula::Expression;
use recipe::{
    ActionInfo, Catalogue, ConnectorInfo, Effect, EffectOf, ExpressionInfo, ExpressionProblem, FunctionDoc, Reference, Segment,
    ShapedInfo, Shapes, TriggerInfo,
};

use crate::cron::Schedule;
use typing::Typed;

/// What the checker needs to know of these connectors.
#[must_use]
pub fn of(connectors: &[Connector]) -> Catalogue {
    Catalogue {
        connectors: Arc::new(connectors.iter().map(connector_info).collect()),
        expression: |source| Expression::compile(source).map(|expression| info(&expression)).map_err(problem),
        script: |source| Expression::compile_script(source).map(|expression| info(&expression)).map_err(problem),
        instant: |text| text.trim().parse::<jiff::Timestamp>().is_ok(),
        schedule: |cron, zone| {
            Schedule::parse(cron, zone)
                .map(drop)
                .map_err(|problem| (problem.field.to_owned(), sentences(&problem.message, problem.hint.as_deref())))
        },
        functions,
        shapes: Shapes::default(),
    }
}

fn functions() -> Vec<FunctionDoc> {
    let doc = |f: &formula::FunctionInfo| FunctionDoc {
        name: f.name,
        signature: f.signature,
        doc: f.doc,
        example: f.example,
        result: f.result,
    };
    formula::functions().iter().map(doc).collect()
}

fn connector_info(connector: &Connector) -> ConnectorInfo {
    ConnectorInfo {
        id: connector.id.to_owned(),
        title: connector.title.to_owned(),
        builtin: connector.builtin,
        actions: connector
            .actions
            .iter()
            .map(|action| ActionInfo {
                id: action.id.to_owned(),
                title: action.title.to_owned(),
                summary: action.summary.to_owned(),
                input: action.input.clone(),
                output: action.output.clone(),
                needs_connection: action.needs_connection,
                effect: effect(action),
                pages: action.pages.is_some(),
                shaped: action.shaped.map(shaped),
            })
            .collect(),
        triggers: connector
            .triggers
            .iter()
            .map(|trigger| TriggerInfo {
                id: trigger.id.to_owned(),
                title: trigger.title.to_owned(),
                summary: trigger.summary.to_owned(),
                config: trigger.config.clone(),
                output: trigger.output.clone(),
                shaped: trigger.shaped.map(shaped),
                // Whether a webhook tells repeated events apart is up to its connection, which is not known here.
                dedupes: true,
            })
            .collect(),
    }
}

fn shaped(shaped: connector::Shaped) -> ShapedInfo {
    ShapedInfo {
        named_by: shaped.named_by.to_owned(),
        only_with: shaped.only_with.map(str::to_owned),
        names: shaped.names.iter().map(|name| (*name).to_owned()).collect(),
        writes: shaped.writes.map(str::to_owned),
        keys: shaped.keys.iter().map(|name| (*name).to_owned()).collect(),
        gives: shaped.gives.map(str::to_owned),
    }
}

fn effect(action: &connector::Action) -> EffectOf {
    let of = action.effect;
    EffectOf(Arc::new(move |input| match of(input) {
        connector::Effect::None => Effect::None,
        connector::Effect::Idempotent => Effect::Idempotent,
        connector::Effect::Once => Effect::Once,
    }))
}

fn info(expression: &Expression) -> ExpressionInfo {
    ExpressionInfo {
        references: expression
            .references()
            .iter()
            .map(|reference| Reference {
                root: reference.root.clone(),
                path: reference
                    .path
                    .iter()
                    .map(|segment| match segment {
                        formula::Segment::Key(key) => Segment::Key(key.clone()),
                        formula::Segment::Index(index) => Segment::Index(*index),
                        formula::Segment::Any => Segment::Any,
                    })
                    .collect(),
                range: reference.range.clone(),
            })
            .collect(),
        is_path: expression.is_path(),
        typing: Some(Arc::new(Typed(expression.clone()))),
    }
}

fn problem(problem: formula::SyntaxProblem) -> ExpressionProblem {
    ExpressionProblem { message: problem.message, range: problem.range, hint: problem.hint }
}

/// A message and its hint as sentences of one text.
#[must_use]
pub fn sentences(message: &str, hint: Option<&str>) -> String {
    let stop = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    match hint {
        Some(hint) => format!("{message}{stop} {hint}"),
        None => message.to_owned(),
    }
}
