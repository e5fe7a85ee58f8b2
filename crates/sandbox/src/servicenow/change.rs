//! Change Management, Email and event collection.

use http::Method;
use serde_json::{Value as Json, json};

use super::{
    scene::{Answer, Answered, Call, Refusal, Scene},
    shape::Shape,
    write::{Values, texts, values},
};

/// Events of one call.
const EVENTS_MAX: usize = 5_000;
const CHANGE: &str = "change_request";

/// `/api/sn_chg_rest/change/…`; values come as objects of value and display value.
pub(super) fn serve(scene: &mut Scene<'_>, call: &Call, rest: &[&str]) -> Answered {
    let rest = match rest {
        ["v1", rest @ ..] => rest,
        rest => rest,
    };
    let Some((&"change", rest)) = rest.split_first() else { return Err(Refusal::no_path()) };
    let one = |scene: &Scene<'_>, id: &str| -> Answered {
        let record = scene.seen(CHANGE, id)?;
        Ok(Answer::json(200, &json!({"result": scene.shaped(CHANGE, record, &Shape::everything())})))
    };
    match (&call.method, rest) {
        (&Method::POST, ["normal" | "emergency" | "standard", ..]) => create(scene, call, rest),
        (&Method::GET, []) => {
            let found = scene.ask().find(CHANGE, &super::table::asked(scene, CHANGE, call));
            let rows: Vec<Json> = found.iter().take(500).map(|one| scene.shaped(CHANGE, one, &Shape::everything())).collect();
            Ok(Answer::json(200, &json!({"result": rows})))
        }
        (&Method::GET, [id]) => one(scene, id),
        (&Method::PATCH, [id]) => {
            let body = values(&call.json()?)?;
            scene.seen(CHANGE, id)?;
            scene.may_write(CHANGE, "Update")?;
            scene.update(CHANGE, id, &body, false)?;
            one(scene, id)
        }
        (&Method::DELETE, [id]) => {
            scene.seen(CHANGE, id)?;
            scene.may_write(CHANGE, "Delete")?;
            scene.delete(CHANGE, id)?;
            Ok(Answer::empty(204))
        }
        (&Method::GET, [id, "task"]) => children(scene, "change_task", "change_request", id),
        (&Method::GET, [id, "approvals"]) => children(scene, "sysapproval_approver", "sysapproval", id),
        (&Method::POST, [id, "task"]) => {
            scene.seen(CHANGE, id)?;
            scene.may_write("change_task", "Insert")?;
            let mut body = values(&call.json()?)?;
            body.insert("change_request".to_owned(), (*id).to_owned());
            let task = scene.insert("change_task", &body, false)?;
            Ok(Answer::json(200, &json!({"result": scene.shaped("change_task", &task, &Shape::everything())})))
        }
        _ => Err(Refusal::no_path()),
    }
}

fn children(scene: &Scene<'_>, table: &str, field: &str, id: &str) -> Answered {
    scene.seen(CHANGE, id)?;
    let rows = scene.state.data.all(table).filter(|row| row.get(field) == id);
    let rows: Vec<Json> = rows.map(|row| scene.shaped(table, row, &Shape::everything())).collect();
    Ok(Answer::json(200, &json!({"result": rows})))
}

fn create(scene: &mut Scene<'_>, call: &Call, rest: &[&str]) -> Answered {
    let mut body = if call.body.is_empty() { Values::new() } else { values(&call.json()?)? };
    scene.may_write(CHANGE, "Insert")?;
    let kind = rest.first().copied().unwrap_or_default();
    match (kind, rest.get(1)) {
        ("standard", None) => return Err(Refusal::no_path()),
        ("standard", Some(template)) => {
            body.insert("std_change_producer_version".to_owned(), (*template).to_owned());
        }
        _ => {}
    }
    body.insert("type".to_owned(), kind.to_owned());
    let record = scene.insert(CHANGE, &body, false)?;
    Ok(Answer::json(200, &json!({"result": scene.shaped(CHANGE, &record, &Shape::everything())})))
}

/// `/api/now/v1/email`.
pub(super) fn email(scene: &mut Scene<'_>, call: &Call) -> Answered {
    if call.method != Method::POST {
        return Err(Refusal::no_method());
    }
    let body = call.json()?;
    scene.may_write("sys_email", "Insert")?;
    let list = |name: &str| match &body[name] {
        Json::Array(list) => list.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","),
        Json::String(text) => text.clone(),
        _ => String::new(),
    };
    let recipients = list("to");
    if recipients.is_empty() {
        return Err(Refusal::new(400, "Invalid request", Some("to is missing")));
    }
    let fields = [
        ("recipients", recipients),
        ("subject", list("subject")),
        ("body", if body["html"].is_string() { list("html") } else { list("text") }),
        ("target_table", list("table_name")),
        ("instance", list("table_record_id")),
    ];
    let record = scene.insert("sys_email", &fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), false)?;
    Ok(Answer::json(
        200,
        &json!({"result": {"id": record.id(), "status": "ready", "subject": record.get("subject"), "recipients": record.get("recipients")}}),
    ))
}

/// `/api/global/em/jsonv2`.
pub(super) fn events(scene: &mut Scene<'_>, call: &Call) -> Answered {
    let body = call.json()?;
    scene.may_write("em_event", "Insert")?;
    let records = body.get("records").and_then(Json::as_array).filter(|records| records.len() <= EVENTS_MAX);
    let records = records.ok_or_else(|| Refusal::new(400, "Invalid request", Some("records is missing")))?;
    for record in records.iter().filter_map(Json::as_object) {
        scene.insert("em_event", &texts(record), false)?;
    }
    let done = format!("{} events were inserted", records.len());
    Ok(Answer::json(200, &json!({"result": {"Default Bulk Endpoint": done}})))
}
