//! The Import Set API: staging tables, transform maps, coalescing.

use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    data::Record,
    scene::{Answer, Answered, Call, Refusal, Scene},
    write::{Values, texts, values},
};

/// Rows one `insertMultiple` may hold.
const ROWS_MAX: usize = 20_000;
/// Import sets that wait for their transform.
const WAITING_MAX: usize = 1_000;
const STAGING: &str = "sys_import_set_row";

pub(super) fn serve(scene: &mut Scene<'_>, call: &Call, rest: &[&str]) -> Answered {
    let staging = rest.first().copied().unwrap_or_default();
    if !scene.state.data.schema.is_a(staging, STAGING) || staging == STAGING {
        return Err(Refusal::new(403, "Staging table is invalid", Some(staging)));
    }
    match (&call.method, rest) {
        (&Method::POST, [_]) => single(scene, call, staging),
        (&Method::POST, [_, "insertMultiple"]) => multiple(scene, call, staging),
        (&Method::GET | &Method::HEAD, [_, id]) => {
            let row = scene.seen(staging, id)?.clone();
            let set = row.get("sys_import_set").to_owned();
            Ok(Answer::json(200, &told(scene, &set, staging, &[told_row(scene, &row, None)])))
        }
        _ => Err(Refusal::no_method()),
    }
}

fn new_set(scene: &mut Scene<'_>, staging: &str, state: &str, multi: &str) -> Result<String, Refusal> {
    let fields = [("table_name", staging), ("state", state), ("mode", "asynchronous"), ("multi_import_set_id", multi)];
    let values: Values = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    scene.insert("sys_import_set", &values, false).map(|set| set.id().to_owned())
}

fn stage(scene: &mut Scene<'_>, staging: &str, set: &str, row: usize, mut values: Values) -> Result<String, Refusal> {
    values.insert("sys_import_set".to_owned(), set.to_owned());
    values.insert("sys_import_row".to_owned(), row.to_string());
    scene.insert(staging, &values, false).map(|row| row.id().to_owned())
}

fn single(scene: &mut Scene<'_>, call: &Call, staging: &str) -> Answered {
    let body = values(&call.json()?)?;
    scene.may_write(staging, "Insert")?;
    let set = new_set(scene, staging, "processed", "")?;
    let id = stage(scene, staging, &set, 0, body)?;
    let results = transform(scene, staging, &id);
    Ok(Answer::json(201, &told(scene, &set, staging, &results)))
}

fn told(scene: &Scene<'_>, set: &str, staging: &str, results: &[Json]) -> Json {
    let number = scene.state.data.find("sys_import_set", set).map(|set| set.get("number")).unwrap_or_default();
    json!({"import_set": number, "staging_table": staging, "result": results})
}

fn multiple(scene: &mut Scene<'_>, call: &Call, staging: &str) -> Answered {
    let body = call.json()?;
    let records = body.get("records").and_then(Json::as_array).cloned();
    let records = records.ok_or_else(|| Refusal::new(400, "Invalid request", Some("records is missing")))?;
    if records.len() > ROWS_MAX || scene.state.transforms.len() >= WAITING_MAX {
        return Err(Refusal::new(400, "Invalid request", Some("too many records")));
    }
    scene.may_write(staging, "Insert")?;
    let rule = scene.state.data.first("sys_rest_insert_multiple", "source_table", staging).cloned();
    let by_name = rule.as_ref().is_some_and(|rule| rule.get("use_column_names") == "true");
    let at_once = rule.is_some_and(|rule| rule.get("transformation") == "synchronous");
    let multi = call.param("multi_import_set_id").map(str::to_owned).unwrap_or_else(|| scene.new_id());
    let set = new_set(scene, staging, "loaded", &multi)?;
    for (place, record) in records.iter().enumerate() {
        let row = record.as_object().map(|record| named(scene, staging, record, by_name)).unwrap_or_default();
        stage(scene, staging, &set, place, row)?;
    }
    let wait_s = if at_once { 0 } else { scene.state.settings.transform_s };
    scene.state.transforms.push((scene.now.as_second().saturating_add(wait_s), set.clone()));
    settle(scene);
    Ok(Answer::json(201, &json!({"import_set_id": set, "multi_import_set_id": multi})))
}

/// A record's values by column name; keys are labels unless the table says otherwise. What fits none is dropped.
fn named(scene: &Scene<'_>, staging: &str, record: &Map<String, Json>, by_name: bool) -> Values {
    let given = texts(record);
    if by_name {
        return given;
    }
    let fields = scene.state.data.schema.fields(staging);
    let name = |label: &str| fields.iter().find(|field| field.label.eq_ignore_ascii_case(label)).map(|field| field.name.clone());
    given.into_iter().filter_map(|(label, value)| Some((name(&label)?, value))).collect()
}

/// Runs the transforms that are due.
pub(super) fn settle(scene: &mut Scene<'_>) {
    let now_s = scene.now.as_second();
    while let Some(place) = scene.state.transforms.iter().position(|(due_s, _)| *due_s <= now_s) {
        let (_, set) = scene.state.transforms.remove(place);
        let Some(record) = scene.state.data.find("sys_import_set", &set).cloned() else { continue };
        let staging = record.get("table_name").to_owned();
        let mut rows: Vec<(u64, String)> = scene
            .state
            .data
            .all(&staging)
            .filter(|row| row.get("sys_import_set") == set)
            .map(|row| (row.get("sys_import_row").parse().unwrap_or_default(), row.id().to_owned()))
            .collect();
        rows.sort();
        for (_, row) in rows {
            transform(scene, &staging, &row);
        }
        let done = [("state", "processed".to_owned()), ("load_completed", scene.stamp())];
        let mut record = (*record).clone();
        for (name, value) in done {
            record.set(name, value);
        }
        scene.state.data.put(record);
    }
}

struct Outcome {
    status: &'static str,
    target: String,
    id: String,
    words: String,
}

/// Runs every transform map of a staging table over one row.
fn transform(scene: &mut Scene<'_>, staging: &str, row: &str) -> Vec<Json> {
    let mut maps: Vec<_> = scene
        .state
        .data
        .all("sys_transform_map")
        .filter(|map| map.get("source_table") == staging && map.get("active") == "true")
        .cloned()
        .collect();
    maps.sort_by_key(|map| map.get("order").parse::<i64>().unwrap_or_default());
    let mut results = Vec::new();
    for map in &maps {
        let Some(record) = scene.state.data.find(staging, row).cloned() else { break };
        let target = map.get("target_table").to_owned();
        let outcome = apply(scene, map, &record, &target).unwrap_or_else(|refusal| Outcome {
            status: "error",
            target: target.clone(),
            id: String::new(),
            words: refusal.detail.unwrap_or(refusal.message),
        });
        let mut record = (*record).clone();
        record.set("sys_import_state", outcome.status);
        record.set("sys_import_state_comment", outcome.words.clone());
        record.set("sys_row_error", if outcome.status == "error" { outcome.words.clone() } else { String::new() });
        record.set("sys_target_table", outcome.target.clone());
        record.set("sys_target_sys_id", outcome.id.clone());
        record.set("sys_transform_map", map.id());
        scene.state.data.put(record.clone());
        results.push(told_row(scene, &record, Some(map.get("name"))));
    }
    results
}

fn apply(scene: &mut Scene<'_>, map: &Record, row: &Record, target: &str) -> Result<Outcome, Refusal> {
    let entries: Vec<_> =
        scene.state.data.all("sys_transform_entry").filter(|entry| entry.get("map") == map.id()).cloned().collect();
    let mut values = Values::new();
    let mut keys = Vec::new();
    for entry in &entries {
        let (source, name) = (entry.get("source_field"), entry.get("target_field"));
        let value = row.get(source);
        if entry.get("mandatory") == "true" && value.is_empty() {
            let words = format!("Target field {name} is mandatory: row was ignored because {source} is empty");
            return Ok(Outcome { status: "error", target: target.to_owned(), id: String::new(), words });
        }
        if entry.get("coalesce") == "true" {
            keys.push((name.to_owned(), value.to_owned()));
        }
        if !value.is_empty() {
            values.insert(name.to_owned(), value.to_owned());
        }
    }
    if keys.iter().any(|(_, value)| value.is_empty()) {
        let words = "Row transform ignored: the coalesce field is empty".to_owned();
        return Ok(Outcome { status: "ignored", target: target.to_owned(), id: String::new(), words });
    }
    let same = |record: &Record| keys.iter().all(|(name, value)| record.get(name).eq_ignore_ascii_case(value));
    let found = scene.state.data.all(target).find(|record| !keys.is_empty() && same(record)).cloned();
    let Some(found) = found else {
        let record = scene.insert(target, &values, false)?;
        return Ok(Outcome { status: "inserted", target: target.to_owned(), id: record.id().to_owned(), words: String::new() });
    };
    let id = found.id().to_owned();
    if values.iter().all(|(name, value)| found.get(name) == value) {
        let words = "No field values changed".to_owned();
        return Ok(Outcome { status: "ignored", target: target.to_owned(), id, words });
    }
    scene.update(target, &id, &values, false)?;
    Ok(Outcome { status: "updated", target: target.to_owned(), id, words: String::new() })
}

/// What became of a row. Errors are told with status 201, inside.
fn told_row(scene: &Scene<'_>, row: &Record, map: Option<&str>) -> Json {
    let (table, id) = (row.get("sys_target_table"), row.get("sys_target_sys_id"));
    let map = map.unwrap_or_else(|| scene.state.data.name_of("sys_transform_map", row.get("sys_transform_map")));
    let status = row.get("sys_import_state");
    let mut told = json!({"transform_map": map, "table": table, "status": status});
    if !id.is_empty() {
        let name = scene.state.data.schema.display(table);
        told["display_name"] = json!(name);
        told["display_value"] = json!(scene.state.data.name_of(table, id));
        told["record_link"] = json!(format!("{}/api/now/table/{table}/{id}", scene.base));
        told["sys_id"] = json!(id);
    }
    match status {
        "error" => told["error_message"] = json!(row.get("sys_row_error")),
        "ignored" | "skipped" => told["status_message"] = json!(row.get("sys_import_state_comment")),
        _ => {}
    }
    told
}
