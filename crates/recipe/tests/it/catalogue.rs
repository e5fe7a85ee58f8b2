//! A catalogue for tests, with a small reader of expressions in place of the real one.

use recipe::{
    ActionInfo, Catalogue, ConnectorInfo, Effect, ExpressionInfo, ExpressionProblem, FunctionDoc, Reference, ScheduleProblem,
    Segment, Shapes, TriggerInfo,
};
use serde_json::json;

pub(crate) fn catalogue() -> Catalogue {
    Catalogue {
        connectors: std::sync::Arc::new(connectors()),
        expression,
        script,
        instant: |text| text.ends_with('Z'),
        schedule,
        functions,
        shapes: Shapes::default(),
    }
}

/// The same with the formulas of the product.
pub(crate) fn real() -> Catalogue {
    fn info(read: Result<formula::Expression, formula::SyntaxProblem>) -> Result<ExpressionInfo, ExpressionProblem> {
        let expression = read.map_err(|p| ExpressionProblem { message: p.message, range: p.range, hint: p.hint })?;
        let segment = |segment: &formula::Segment| match segment {
            formula::Segment::Key(key) => Segment::Key(key.clone()),
            formula::Segment::Index(index) => Segment::Index(*index),
            formula::Segment::Any => Segment::Any,
        };
        let reference = |r: &formula::Reference| Reference {
            root: r.root.clone(),
            path: r.path.iter().map(segment).collect(),
            range: r.range.clone(),
        };
        let references = expression.references().iter().map(reference).collect();
        Ok(ExpressionInfo { references, is_path: expression.is_path(), ..ExpressionInfo::default() })
    }
    Catalogue {
        expression: |source| info(formula::Expression::compile(source)),
        script: |source| info(formula::Expression::compile_script(source)),
        ..catalogue()
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

fn connectors() -> Vec<ConnectorInfo> {
    let query = ActionInfo {
        id: "query".into(),
        title: "Query".into(),
        summary: "Reads records.".into(),
        needs_connection: true,
        effect: Effect::None.into(),
        pages: false,
        shaped: None,
        input: json!({
            "type": "object",
            "properties": {
                "soql": {"type": "string", "description": "The query."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 2000},
                "mode": {"type": "string", "enum": ["fast", "slow"]},
                "params": {"type": "object", "additionalProperties": {"type": ["string", "number", "null"]}},
                "fields": {"type": "array", "items": {"type": "string"}},
                "page": {"$ref": "#/$defs/page"},
                "accept": {"type": "array", "items": {"anyOf": [{"type": "integer", "minimum": 100}, {"type": "string"}]}},
                "all": {"type": "boolean"}
            },
            "required": ["soql"],
            "additionalProperties": false,
            "$defs": {"page": {
                "type": "object",
                "properties": {"size": {"type": "integer"}, "next": {"$ref": "#/$defs/page"}},
                "required": ["size"],
                "additionalProperties": false
            }}
        }),
        output: json!({
            "type": "object",
            "properties": {
                "total_size": {"type": "integer"},
                "records": {"type": "array", "items": {"type": "object", "properties": {"Id": {}}, "additionalProperties": false}},
                "raw": {"type": "object"}
            },
            "additionalProperties": false
        }),
    };
    let request = ActionInfo {
        id: "request".into(),
        title: "Request".into(),
        summary: "Calls an address.".into(),
        needs_connection: false,
        effect: Effect::Once.into(),
        pages: true,
        shaped: None,
        input: json!({"type": "object", "properties": {"url": {"type": "string"}, "json": {}}, "additionalProperties": false}),
        output: json!({
            "type": "object",
            "properties": {"status": {"type": "integer"}, "headers": {"type": "object"}, "body": {}},
            "additionalProperties": false
        }),
    };
    let bulk = ActionInfo { id: "bulk".into(), needs_connection: true, ..request.clone() };
    let event = TriggerInfo {
        id: "event".into(),
        title: "Event".into(),
        summary: "Something happened.".into(),
        config: json!({
            "type": "object",
            "properties": {"types": {"type": "array", "items": {"type": "string"}}},
            "additionalProperties": false
        }),
        output: json!({"type": "object", "properties": {"id": {"type": "string"}, "data": {}}, "additionalProperties": false}),
        dedupes: true,
        shaped: None,
    };
    let connector = |id: &str, title: &str, builtin, actions, triggers| ConnectorInfo {
        id: id.into(),
        title: title.into(),
        builtin,
        actions,
        triggers,
    };
    vec![
        connector("http", "HTTP", true, vec![request, bulk], vec![]),
        connector("salesforce", "Salesforce", false, vec![query], vec![event]),
    ]
}

fn schedule(cron: &str, zone: &str) -> Result<(), ScheduleProblem> {
    if cron.split_whitespace().count() != 5 {
        return Err(("cron".into(), format!("\"{cron}\" has not five fields.")));
    }
    if zone.contains("Nowhere") {
        return Err(("zone".into(), format!("There is no zone \"{zone}\".")));
    }
    Ok(())
}

fn script(source: &str) -> Result<ExpressionInfo, ExpressionProblem> {
    match source.find("let let") {
        Some(at) => Err(problem("A name is missing after let.", at + 4..at + 7)),
        None => expression(source),
    }
}

fn problem(message: &str, range: std::ops::Range<usize>) -> ExpressionProblem {
    ExpressionProblem { message: message.into(), range, hint: Some("Look here.".into()) }
}

/// Names with the fields behind them; calls, methods, texts and local names are left out.
fn expression(source: &str) -> Result<ExpressionInfo, ExpressionProblem> {
    if let Some(at) = source.find("!!") {
        return Err(problem("Two exclamation marks.", at..at + 2));
    }
    if source.starts_with("$..") {
        let everything = Reference { root: String::new(), path: vec![Segment::Any], range: 0..source.len() };
        return Ok(ExpressionInfo { references: vec![everything], is_path: true, typing: None });
    }
    let bytes = source.as_bytes();
    let is_path = source.starts_with('$');
    let mut references = Vec::new();
    let mut locals = vec!["true", "false", "null", "let", "if", "else"];
    let mut at = 0;
    let word = |from: usize| {
        let rest = &source[from..];
        from + rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
    };
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'\'' | b'"' | b'`') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += 1;
                }
                at += 1;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let start = at;
                at = word(at);
                let root = &source[start..at];
                if source[..start].ends_with("let ") {
                    locals.push(root);
                }
                let mut path = Vec::new();
                loop {
                    let rest = &source[at..];
                    if let Some(inner) = rest.strip_prefix('[') {
                        let Some(close) = inner.find(']') else { break };
                        let inner = &inner[..close];
                        path.push(match inner.parse() {
                            Ok(index) => Segment::Index(index),
                            Err(_) => match inner.strip_prefix('\'').and_then(|i| i.strip_suffix('\'')) {
                                Some(key) => Segment::Key(key.into()),
                                None => Segment::Any,
                            },
                        });
                        at += close + 2;
                    } else if rest.starts_with('.') && word(at + 1) > at + 1 {
                        let end = word(at + 1);
                        if source[end..].starts_with('(') {
                            at = end;
                            break;
                        }
                        path.push(Segment::Key(source[at + 1..end].into()));
                        at = end;
                    } else {
                        break;
                    }
                }
                let call = source[at..].starts_with('(') && path.is_empty();
                if !call && !locals.contains(&root) && !source[at..].starts_with(':') {
                    references.push(Reference { root: root.into(), path, range: start..at });
                }
            }
            _ => at += 1,
        }
    }
    Ok(ExpressionInfo { references, is_path, typing: None })
}
