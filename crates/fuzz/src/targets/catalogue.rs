//! A small world for recipes: two connectors, and formulas as they really are read.

use formula::{Expression, SyntaxProblem};
use recipe::{ActionInfo, Catalogue, ConnectorInfo, Effect, ExpressionInfo, ExpressionProblem, Reference, Segment, TriggerInfo};
use serde_json::{Value as Json, json};

/// What the recipes of targets and tests are held against.
#[must_use]
pub fn catalogue() -> Catalogue {
    Catalogue {
        connectors: std::sync::Arc::new(connectors()),
        expression: |source| Expression::compile(source).map(|expression| info(&expression)).map_err(problem),
        script: |source| Expression::compile_script(source).map(|expression| info(&expression)).map_err(problem),
        instant: |text| text.contains('T') && text.ends_with('Z'),
        schedule: |cron, _| match cron.split_whitespace().count() {
            5 => Ok(()),
            _ => Err(("cron".to_owned(), "A schedule has five fields.".to_owned())),
        },
        functions: Vec::new,
        shapes: recipe::Shapes::default(),
    }
}

fn connectors() -> Vec<ConnectorInfo> {
    let request = action(
        "request",
        Effect::Once,
        false,
        &json!({"url": {"type": "string"}, "method": {"enum": ["GET", "POST"]}, "json": {}}),
    );
    let query = action(
        "query",
        Effect::None,
        true,
        &json!({"soql": {"type": "string"}, "limit": {"type": "integer", "minimum": 1, "maximum": 9}}),
    );
    let event = TriggerInfo {
        id: "event".to_owned(),
        title: "Event".to_owned(),
        summary: String::new(),
        config: record(&json!({"types": {"type": "array", "items": {"type": "string"}}})),
        dedupes: true,
        shaped: None,
        output: record(&json!({"id": {"type": "string"}, "data": {"type": "object"}})),
    };
    let connector = |id: &str, builtin, actions, triggers| ConnectorInfo {
        id: id.to_owned(),
        title: id.to_owned(),
        builtin,
        actions,
        triggers,
    };
    vec![
        connector("http", true, vec![request.clone()], Vec::new()),
        connector("log", true, vec![action("write", Effect::Idempotent, false, &json!({"message": {}}))], Vec::new()),
        connector("salesforce", false, vec![query, request], vec![event]),
    ]
}

fn action(id: &str, effect: Effect, needs_connection: bool, input: &Json) -> ActionInfo {
    let output =
        record(&json!({"status": {"type": "integer"}, "records": {"type": "array", "items": {"type": "object"}}, "body": {}}));
    let (id, title, input, effect) = (id.to_owned(), id.to_owned(), record(input), effect.into());
    ActionInfo { id, title, summary: String::new(), input, output, needs_connection, effect, pages: true, shaped: None }
}

fn record(properties: &Json) -> Json {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn info(expression: &Expression) -> ExpressionInfo {
    let segment = |segment: &formula::Segment| match segment {
        formula::Segment::Key(key) => Segment::Key(key.clone()),
        formula::Segment::Index(index) => Segment::Index(*index),
        formula::Segment::Any => Segment::Any,
    };
    let reference = |reference: &formula::Reference| Reference {
        root: reference.root.clone(),
        path: reference.path.iter().map(segment).collect(),
        range: reference.range.clone(),
    };
    ExpressionInfo {
        references: expression.references().iter().map(reference).collect(),
        is_path: expression.is_path(),
        typing: None,
    }
}

fn problem(problem: SyntaxProblem) -> ExpressionProblem {
    ExpressionProblem { message: problem.message, range: problem.range, hint: problem.hint }
}
