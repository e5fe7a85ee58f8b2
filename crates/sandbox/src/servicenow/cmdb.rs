//! CMDB: classes, instances with their relations, identification and reconciliation.

use http::Method;
use serde_json::{Value as Json, json};

use super::{
    scene::{Answer, Answered, Call, Refusal, Scene},
    shape::Shape,
    table::{self, Page},
    write::{Values, texts},
};

/// Instances of a list when the client names no number.
const LIMIT_DEFAULT: usize = 1_000;
/// Items of one reconciliation.
const ITEMS_MAX: usize = 1_000;

pub(super) fn serve(scene: &mut Scene<'_>, call: &Call, rest: &[&str]) -> Answered {
    let class = rest.get(1).copied().unwrap_or_default();
    if !scene.state.data.schema.is_a(class, "cmdb_ci") {
        return Err(Refusal::new(400, format!("Invalid class {class}"), None));
    }
    match (&call.method, rest) {
        (&Method::GET, ["meta", _]) => Ok(Answer::json(200, &json!({"result": meta(scene, class)}))),
        (&Method::GET, ["instance", _]) => list(scene, call, class),
        (&Method::GET, ["instance", _, id]) => Ok(Answer::json(200, &json!({"result": instance(scene, class, id)?}))),
        (&Method::POST, ["instance", _]) => {
            let body = attributes(&call.json()?)?;
            scene.may_write(class, "Insert")?;
            let record = scene.insert(class, &body, false)?;
            Ok(Answer::json(201, &json!({"result": instance(scene, class, record.id())?})))
        }
        (&Method::PATCH | &Method::PUT, ["instance", _, id]) => {
            let body = attributes(&call.json()?)?;
            scene.seen(class, id)?;
            scene.may_write(class, "Update")?;
            scene.update(class, id, &body, false)?;
            Ok(Answer::json(200, &json!({"result": instance(scene, class, id)?})))
        }
        (&Method::POST, ["instance", _, id, "relation"]) => relate(scene, call, class, id),
        (&Method::DELETE, ["instance", _, id, "relation", relation]) => {
            scene.seen(class, id)?;
            scene.may_write("cmdb_rel_ci", "Delete")?;
            scene.delete("cmdb_rel_ci", relation)?;
            Ok(Answer::empty(204))
        }
        _ => Err(Refusal::no_path()),
    }
}

fn meta(scene: &Scene<'_>, class: &str) -> Json {
    let schema = &scene.state.data.schema;
    let own = schema.table(class);
    let attributes: Vec<Json> = schema
        .fields(class)
        .into_iter()
        .map(|field| {
            let inherited = own.is_none_or(|own| own.fields.iter().all(|other| other.name != field.name));
            json!({
                "element": field.name,
                "label": field.label,
                "type": field.internal,
                "is_mandatory": field.mandatory.to_string(),
                "is_read_only": field.read_only.to_string(),
                "is_inherited": inherited.to_string(),
                "is_display": field.display.to_string(),
                "default_value": field.default,
                "max_length": field.length.to_string(),
                "reference": field.target,
            })
        })
        .collect();
    json!({
        "name": class,
        "label": own.map(|own| own.label.as_str()),
        "parent": own.map(|own| own.parent.as_str()),
        "is_extendable": true,
        "icon": "",
        "icon_url": "",
        "attributes": attributes,
        "children": schema.family(class).iter().skip(1).collect::<Vec<_>>(),
        "relationship_rules": [],
    })
}

fn list(scene: &Scene<'_>, call: &Call, class: &str) -> Answered {
    let page = Page::of(call, LIMIT_DEFAULT)?;
    let found = scene.ask().find(class, &table::asked(scene, class, call));
    let rows: Vec<Json> = page
        .slice(&found)
        .iter()
        .filter(|record| scene.may_read(record))
        .map(|record| json!({"sys_id": record.id(), "name": record.get("name")}))
        .collect();
    Ok(Answer::json(200, &json!({"result": rows})).with("x-total-count", &found.len().to_string()))
}

fn instance(scene: &Scene<'_>, class: &str, id: &str) -> Result<Json, Refusal> {
    let record = scene.seen(class, id)?;
    let data = &scene.state.data;
    let relations = |own: &str, other: &str| -> Vec<Json> {
        let rows = data.all("cmdb_rel_ci").filter(|row| row.get(own) == id);
        rows.map(|row| {
            json!({
                "sys_id": row.id(),
                "type": {"value": row.get("type"), "display_value": data.name_of("cmdb_rel_type", row.get("type"))},
                "target": {"value": row.get(other), "display_value": data.name_of("cmdb_ci", row.get(other))},
            })
        })
        .collect()
    };
    Ok(json!({
        "attributes": scene.shaped(&record.class, record, &Shape::plain()),
        "inbound_relations": relations("child", "parent"),
        "outbound_relations": relations("parent", "child"),
    }))
}

fn attributes(body: &Json) -> Result<Values, Refusal> {
    if body.get("source").and_then(Json::as_str).is_none_or(str::is_empty) {
        return Err(Refusal::new(400, "Invalid payload", Some("source is mandatory")));
    }
    let attributes = body.get("attributes").and_then(Json::as_object);
    attributes.map(texts).ok_or_else(|| Refusal::new(400, "Invalid payload", Some("attributes is mandatory")))
}

fn relate(scene: &mut Scene<'_>, call: &Call, class: &str, id: &str) -> Answered {
    let body = call.json()?;
    scene.seen(class, id)?;
    scene.may_write("cmdb_rel_ci", "Insert")?;
    for (list, own, other) in [("inbound_relations", "child", "parent"), ("outbound_relations", "parent", "child")] {
        for relation in body[list].as_array().into_iter().flatten().take(ITEMS_MAX) {
            let field = |name: &str| relation[name].as_str().unwrap_or_default().to_owned();
            scene.seen("cmdb_ci", &field("target"))?;
            let values = [(own, id.to_owned()), (other, field("target")), ("type", field("type"))];
            scene.insert("cmdb_rel_ci", &values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), false)?;
        }
    }
    Ok(Answer::json(201, &json!({"result": instance(scene, class, id)?})))
}

/// `/api/now/identifyreconcile`: the serial number, or else the name, tells whether an item is there.
pub(super) fn reconcile(scene: &mut Scene<'_>, call: &Call) -> Answered {
    if call.method != Method::POST {
        return Err(Refusal::no_method());
    }
    let body = call.json()?;
    let query = call.path.contains("/query");
    let items = body.get("items").and_then(Json::as_array).filter(|items| items.len() <= ITEMS_MAX);
    let items = items.ok_or_else(|| Refusal::new(400, "Invalid payload", Some("items is missing")))?;
    let mut results = Vec::new();
    for item in items {
        let class = item["className"].as_str().unwrap_or_default();
        let values = item["values"].as_object().map(texts).unwrap_or_default();
        if !scene.state.data.schema.is_a(class, "cmdb_ci") {
            let error = json!({"error": "ABANDONED", "message": format!("Invalid class {class}")});
            results.push(json!({"className": class, "operation": "NO_CHANGE", "sysId": "Unknown", "errors": [error], "identifierEntrySysId": "Unknown"}));
            continue;
        }
        let key = if values.get("serial_number").is_some_and(|value| !value.is_empty()) { "serial_number" } else { "name" };
        let wanted = values.get(key).cloned().unwrap_or_default();
        let found = scene.state.data.all(class).find(|record| !wanted.is_empty() && record.get(key) == wanted).cloned();
        let (operation, id) = match found {
            Some(record) if query || values.iter().all(|(name, value)| record.get(name) == value) => {
                ("NO_CHANGE", record.id().to_owned())
            }
            Some(record) => {
                scene.may_write(class, "Update")?;
                scene.update(class, record.id(), &values, false)?;
                ("UPDATE", record.id().to_owned())
            }
            None if query => ("INSERT", "Unknown".to_owned()),
            None => {
                scene.may_write(class, "Insert")?;
                ("INSERT", scene.insert(class, &values, false)?.id().to_owned())
            }
        };
        results.push(json!({"className": class, "operation": operation, "sysId": id, "identifierEntrySysId": "Unknown"}));
    }
    Ok(Answer::json(200, &json!({"result": {"items": results, "relations": []}})))
}
