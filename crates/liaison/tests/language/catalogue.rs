//! The connectors that are shipped, and in the place of one of them a small system with queries, as examples need it.

use recipe::{ActionInfo, Catalogue, ConnectorInfo, Effect, ShapeOf, ShapedInfo, TriggerInfo};
use serde_json::{Value as Json, json};

pub(crate) fn catalogue() -> Catalogue {
    let mut catalogue = engine::catalogue::of(&connectors::all());
    // Examples show what the checker says; they must not change with a vendor's actions.
    let connectors = std::sync::Arc::make_mut(&mut catalogue.connectors);
    connectors.retain(|connector| connector.id != "salesforce");
    connectors.push(salesforce());
    let invoice = ShapeOf { connection: "sf".to_owned(), object: "Invoice__c".to_owned() };
    let fields = json!({"Amount__c": {"type": "number"}, "Total__c": {"type": "number", "readOnly": true}});
    catalogue.shapes.insert(invoice, json!({"type": "object", "properties": fields, "additionalProperties": false}));
    catalogue
}

fn action(id: &str, effect: Effect, input: Json, output: Json) -> ActionInfo {
    let (id, title) = (id.to_owned(), id.to_owned());
    let summary = String::new();
    ActionInfo { id, title, summary, input, output, needs_connection: true, effect: effect.into(), pages: false, shaped: None }
}

fn salesforce() -> ConnectorInfo {
    let query = action(
        "query",
        Effect::None,
        json!({
            "type": "object",
            "properties": {
                "soql": {"type": "string", "x-syntax": "soql"},
                "params": {"type": "object"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 2000}
            },
            "required": ["soql"],
            "additionalProperties": false
        }),
        json!({
            "type": "object",
            "properties": {
                "total_size": {"type": "integer"},
                "records": {"type": "array", "items": {"type": "object", "properties": {"Id": {"type": "string"}}}}
            },
            "additionalProperties": false
        }),
    );
    let write = json!({
        "type": "object",
        "properties": {
            "object": {"type": "string"},
            "external_id": {"type": "object"},
            "id": {"type": "string"},
            "fields": {"type": "object", "properties": {"Amount": {"type": "number"}, "Name": {"type": "string"}}}
        },
        "required": ["object"],
        "additionalProperties": false
    });
    let written = json!({
        "type": "object",
        "properties": {"id": {"type": "string"}, "created": {"type": "boolean"}},
        "additionalProperties": false
    });
    let event = TriggerInfo {
        id: "event".to_owned(),
        title: "Event".to_owned(),
        summary: String::new(),
        config: json!({"type": "object", "properties": {"types": {"type": "array"}}, "additionalProperties": false}),
        output: json!({"type": "object", "properties": {"id": {"type": "string"}, "data": {}}, "additionalProperties": false}),
        dedupes: true,
        shaped: None,
    };
    let shaped = ShapedInfo { named_by: "object".to_owned(), writes: Some("fields".to_owned()), ..ShapedInfo::default() };
    ConnectorInfo {
        id: "salesforce".to_owned(),
        title: "Salesforce".to_owned(),
        builtin: false,
        actions: vec![
            query,
            action("upsert", Effect::Idempotent, write.clone(), written.clone()),
            ActionInfo { shaped: Some(shaped), ..action("create", Effect::Once, write.clone(), written.clone()) },
            action("delete", Effect::Idempotent, write, json!({"type": "null"})),
        ],
        triggers: vec![event],
    }
}
