//! The Service Catalog API: items, their variables, ordering, record producers.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    data::Record,
    scene::{Answer, Answered, Call, Refusal, Scene},
    table::Page,
    write::{Values, texts},
};

/// Items of a list when the client names no number.
const LIMIT_DEFAULT: usize = 10;
/// Others one order may be for, too.
const ALSO_FOR_MAX: usize = 50;
const QUANTITY_MAX: u64 = 1_000;

pub(super) fn serve(scene: &mut Scene<'_>, call: &Call, rest: &[&str]) -> Answered {
    let rest = match rest {
        ["v1" | "v2", rest @ ..] => rest,
        rest => rest,
    };
    match (&call.method, rest) {
        (&Method::GET, ["servicecatalog", "items"]) => list(scene, call),
        (&Method::GET, ["servicecatalog", "items", id]) => {
            let item = item(scene, id)?;
            Ok(Answer::json(200, &json!({"result": detail(scene, &item)})))
        }
        (&Method::GET, ["servicecatalog", "items", id, "variables"]) => {
            let item = item(scene, id)?;
            Ok(Answer::json(
                200,
                &json!({"result": variables(scene, &item).iter().map(|one| variable(scene, one)).collect::<Vec<_>>()}),
            ))
        }
        (&Method::POST, ["servicecatalog", "items", id, "order_now"]) => order(scene, call, id),
        (&Method::POST, ["servicecatalog", "items", id, "submit_producer"]) => produce(scene, call, id),
        _ => Err(Refusal::no_path()),
    }
}

fn item(scene: &Scene<'_>, id: &str) -> Result<Arc<Record>, Refusal> {
    let item = scene.state.data.find("sc_cat_item", id).filter(|item| item.get("active") == "true").cloned();
    item.ok_or_else(|| Refusal::new(404, "The item is not available", Some("Item does not exist or is not active")))
}

fn list(scene: &Scene<'_>, call: &Call) -> Answered {
    let page = Page::of(call, LIMIT_DEFAULT)?;
    let text = call.param("sysparm_text").unwrap_or_default().to_lowercase();
    let category = call.param("sysparm_category").unwrap_or_default();
    let fits = |item: &&Arc<Record>| {
        item.get("active") == "true"
            && (category.is_empty() || item.get("category") == category)
            && ["name", "short_description"].iter().any(|field| item.get(field).to_lowercase().contains(&text))
    };
    let mut found: Vec<&Arc<Record>> = scene.state.data.all("sc_cat_item").filter(fits).collect();
    found.sort_by_key(|item| item.get("name"));
    let rows: Vec<Json> = page.slice(&found).iter().map(|item| brief(scene, item)).collect();
    Ok(Answer::json(200, &json!({"result": rows})).with("x-total-count", &found.len().to_string()))
}

fn brief(scene: &Scene<'_>, item: &Record) -> Json {
    let category = item.get("category");
    json!({
        "sys_id": item.id(),
        "name": item.get("name"),
        "short_description": item.get("short_description"),
        "description": item.get("description"),
        "price": price(item),
        "price_currency": "USD",
        "type": if item.class == "sc_cat_item_producer" { "record_producer" } else { "catalog_item" },
        "sys_class_name": item.class,
        "order": item.get("order").parse::<i64>().unwrap_or_default(),
        "category": {"sys_id": category, "title": scene.state.data.name_of("sc_category", category)},
    })
}

fn price(item: &Record) -> String {
    let amount = item.get("price").rsplit(';').next().unwrap_or_default();
    if amount.is_empty() { String::new() } else { format!("${amount}") }
}

fn detail(scene: &Scene<'_>, item: &Record) -> Json {
    let mut all = brief(scene, item);
    all["variables"] = variables(scene, item).iter().map(|one| variable(scene, one)).collect();
    all
}

fn variables(scene: &Scene<'_>, item: &Record) -> Vec<Arc<Record>> {
    let data = &scene.state.data;
    let mut all: Vec<Arc<Record>> = data.all("item_option_new").filter(|one| one.get("cat_item") == item.id()).cloned().collect();
    all.sort_by_key(|one| one.get("order").parse::<i64>().unwrap_or_default());
    all
}

fn variable(_scene: &Scene<'_>, one: &Record) -> Json {
    let kind = one.get("type").parse::<i64>().unwrap_or(6);
    let friendly = match kind {
        1 => "yes_no",
        3 => "multiple_choice",
        5 => "select_box",
        7 => "check_box",
        8 => "reference",
        9 => "date",
        10 => "date_time",
        _ => "single_line_text",
    };
    let choices: Vec<Json> = one
        .get("choices")
        .split(',')
        .filter(|choice| !choice.is_empty())
        .enumerate()
        .map(|(place, choice)| json!({"label": choice, "value": choice, "index": place}))
        .collect();
    json!({
        "id": one.id(),
        "name": one.get("name"),
        "label": one.get("question_text"),
        "type": kind,
        "friendly_type": friendly,
        "mandatory": one.get("mandatory") == "true",
        "active": true,
        "read_only": false,
        "value": one.get("default_value"),
        "displayvalue": one.get("default_value"),
        "reference": one.get("reference"),
        "choices": choices,
    })
}

/// The variables given, all known and the mandatory ones there.
fn given(scene: &Scene<'_>, item: &Record, body: &Json) -> Result<Values, Refusal> {
    let object = body.get("variables").and_then(Json::as_object).cloned().unwrap_or_else(Map::new);
    let mut given = texts(&object);
    let known = variables(scene, item);
    for one in &known {
        let value = given.entry(one.get("name").to_owned()).or_insert_with(|| one.get("default_value").to_owned());
        if one.get("mandatory") == "true" && value.is_empty() {
            let detail = format!("Mandatory variables are required: {}", one.get("question_text"));
            return Err(Refusal::new(400, "Mandatory Variables are required", Some(&detail)));
        }
    }
    given.retain(|name, _| known.iter().any(|one| one.get("name") == name));
    Ok(given)
}

fn order(scene: &mut Scene<'_>, call: &Call, id: &str) -> Answered {
    let item = item(scene, id)?;
    let body = call.json()?;
    let quantity = body.get("sysparm_quantity").map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let quantity = quantity.and_then(|text| text.parse::<u64>().ok()).filter(|count| (1..=QUANTITY_MAX).contains(count));
    let quantity = quantity.ok_or_else(|| Refusal::new(400, "Invalid Quantity value", None))?;
    let wanted = given(scene, &item, &body)?;
    let asked = body.get("sysparm_requested_for").and_then(Json::as_str).unwrap_or(&scene.person.id).to_owned();
    let mut people = vec![asked];
    if let Some(also) = body.get("sysparm_also_request_for").and_then(Json::as_str) {
        people.extend(also.split(',').filter(|id| !id.is_empty()).map(str::to_owned));
    }
    if people.len() > ALSO_FOR_MAX + 1 || people.iter().any(|id| scene.state.data.find("sys_user", id).is_none()) {
        return Err(Refusal::new(400, "Invalid user", Some("sysparm_requested_for is not a user")));
    }
    let request = scene.insert(
        "sc_request",
        &Values::from([
            ("requested_for".to_owned(), people[0].clone()),
            ("request_state".to_owned(), "in_process".to_owned()),
            ("approval".to_owned(), "approved".to_owned()),
            ("short_description".to_owned(), item.get("name").to_owned()),
        ]),
        false,
    )?;
    for person in &people {
        let fields = [
            ("request", request.id()),
            ("cat_item", item.id()),
            ("quantity", &quantity.to_string()),
            ("requested_for", person),
            ("short_description", item.get("name")),
            ("price", item.get("price")),
        ];
        let values: Values = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let row = scene.insert("sc_req_item", &values, false)?;
        options(scene, &item, &row, &wanted)?;
        let work = [("request_item", row.id()), ("request", request.id()), ("short_description", item.get("name"))];
        scene.insert("sc_task", &work.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), false)?;
    }
    let number = request.get("number");
    Ok(Answer::json(
        200,
        &json!({"result": {
            "sys_id": request.id(),
            "number": number,
            "request_number": number,
            "request_id": request.id(),
            "table": "sc_request",
        }}),
    ))
}

fn options(scene: &mut Scene<'_>, item: &Record, row: &Record, wanted: &Values) -> Result<(), Refusal> {
    for one in variables(scene, item) {
        let value = wanted.get(one.get("name")).cloned().unwrap_or_default();
        let values = [("item_option_new", one.id().to_owned()), ("request_item", row.id().to_owned()), ("value", value)];
        scene.insert("sc_item_option", &values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), false)?;
    }
    Ok(())
}

fn produce(scene: &mut Scene<'_>, call: &Call, id: &str) -> Answered {
    let item = item(scene, id)?;
    if item.class != "sc_cat_item_producer" {
        return Err(Refusal::new(400, "Invalid item", Some("The item is not a record producer")));
    }
    let wanted = given(scene, &item, &call.json()?)?;
    let table = item.get("table_name").to_owned();
    let record = scene.insert(&table, &wanted, false)?;
    let place = format!("{table}.do?sys_id={}", record.id());
    Ok(Answer::json(
        200,
        &json!({"result": {"sys_id": record.id(), "number": record.get("number"), "table": table, "redirect_url": place, "parent_id": null, "parent_table": "task"}}),
    ))
}
