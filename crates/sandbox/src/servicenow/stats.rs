//! The Aggregate API: `/api/now/stats/{table}`.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    data::Record,
    scene::{Answer, Answered, Call, Refusal, Scene},
    table,
};

/// What can be worked out of a field.
const FUNCTIONS: [&str; 4] = ["avg", "min", "max", "sum"];

pub(super) fn serve(scene: &mut Scene<'_>, call: &Call, table: &str) -> Answered {
    if call.method != Method::GET {
        return Err(Refusal::no_method());
    }
    scene.known(table)?;
    let scene = &*scene;
    let found = scene.ask().find(table, &table::asked(scene, table, call));
    let rows: Vec<&Arc<Record>> = found.into_iter().filter(|record| scene.may_read(record)).collect();
    let wanted = Wanted::of(scene, table, call);
    if wanted.nothing() {
        return Ok(Answer::json(200, &json!({"result": {"stats": {}}})));
    }
    if wanted.groups.is_empty() {
        return Ok(Answer::json(200, &json!({"result": {"stats": wanted.stats(scene, &rows)}})));
    }
    let mut groups: BTreeMap<Vec<&str>, Vec<&Arc<Record>>> = BTreeMap::new();
    for record in rows {
        let key = wanted.groups.iter().map(|path| value(scene, record, path)).collect();
        groups.entry(key).or_default().push(record);
    }
    let mut groups: Vec<Group<'_>> = groups.into_iter().map(|(key, rows)| (key, wanted.stats(scene, &rows), rows)).collect();
    groups.retain(|(_, _, rows)| having(scene, call, rows));
    order(scene, call, &wanted, &mut groups);
    let display = call.param("sysparm_display_value").unwrap_or_default().to_ascii_lowercase();
    let result: Vec<Json> = groups
        .iter()
        .map(|(key, stats, rows)| {
            let fields: Vec<Json> =
                wanted.groups.iter().zip(key).map(|(path, value)| group_field(scene, rows, path, value, &display)).collect();
            json!({"stats": stats, "groupby_fields": fields})
        })
        .collect();
    Ok(Answer::json(200, &json!({"result": result})))
}

fn value<'a>(scene: &'a Scene<'_>, record: &'a Record, path: &str) -> &'a str {
    scene.state.data.walk(record, path).map_or("", |(holder, field)| holder.get(field))
}

fn group_field(scene: &Scene<'_>, rows: &[&Arc<Record>], path: &str, value: &str, display: &str) -> Json {
    let shown = rows.first().and_then(|record| {
        let (holder, name) = scene.state.data.walk(record, path)?;
        let field = scene.state.data.schema.field(&holder.class, name)?;
        Some(scene.shown(holder, field))
    });
    let shown = shown.unwrap_or_default();
    match display {
        "true" => json!({"field": path, "value": shown}),
        "all" => json!({"field": path, "value": value, "display_value": shown}),
        _ => json!({"field": path, "value": value}),
    }
}

/// The values of a group's fields, what was worked out, its rows.
type Group<'a> = (Vec<&'a str>, Json, Vec<&'a Arc<Record>>);

struct Wanted {
    count: bool,
    /// Function and field.
    fields: Vec<(&'static str, String)>,
    groups: Vec<String>,
}

impl Wanted {
    fn of(scene: &Scene<'_>, table: &str, call: &Call) -> Self {
        let known = |name: &str| {
            let list = call.param(name).unwrap_or_default().split(',').map(str::trim);
            let known = list.filter(|path| scene.state.data.schema.walk(table, path).is_some());
            known.map(str::to_owned).collect::<Vec<_>>()
        };
        let fields = FUNCTIONS.iter().flat_map(|function| {
            known(&format!("sysparm_{function}_fields")).into_iter().map(|field| (*function, field)).collect::<Vec<_>>()
        });
        Self { count: call.flag("sysparm_count"), fields: fields.collect(), groups: known("sysparm_group_by") }
    }

    fn nothing(&self) -> bool {
        !self.count && self.fields.is_empty()
    }

    fn stats(&self, scene: &Scene<'_>, rows: &[&Arc<Record>]) -> Json {
        let mut stats = Map::new();
        if self.count {
            stats.insert("count".to_owned(), json!(rows.len().to_string()));
        }
        for (function, field) in &self.fields {
            let part = stats.entry(*function).or_insert_with(|| json!({}));
            part[field] = json!(work_out(scene, function, field, rows));
        }
        Json::Object(stats)
    }
}

/// One number over a field, as a text; empty when there is nothing to work with.
fn work_out(scene: &Scene<'_>, function: &str, field: &str, rows: &[&Arc<Record>]) -> String {
    let values: Vec<&str> = rows.iter().map(|record| value(scene, record, field)).filter(|value| !value.is_empty()).collect();
    let numbers: Vec<f64> = values.iter().filter_map(|value| value.parse().ok()).collect();
    if values.is_empty() {
        return String::new();
    }
    let least = |left: &&&str, right: &&&str| match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.total_cmp(&right),
        _ => left.cmp(right),
    };
    let sum: f64 = numbers.iter().sum();
    match function {
        "avg" if numbers.is_empty() => String::new(),
        "avg" => format!("{:.4}", sum / numbers.len() as f64),
        "sum" => plain(sum),
        "min" => values.iter().min_by(least).map(|value| (*value).to_owned()).unwrap_or_default(),
        _ => values.iter().max_by(least).map(|value| (*value).to_owned()).unwrap_or_default(),
    }
}

fn plain(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `sysparm_having=count^priority^>^3`, several with commas between: all must hold.
fn having(scene: &Scene<'_>, call: &Call, rows: &[&Arc<Record>]) -> bool {
    let wanted = call.param("sysparm_having").unwrap_or_default();
    wanted.split(',').filter(|part| !part.is_empty()).all(|part| {
        let [function, field, operator, limit] = part.split('^').collect::<Vec<_>>()[..] else { return true };
        let function = function.to_ascii_lowercase();
        let number = if function == "count" { rows.len().to_string() } else { work_out(scene, &function, field, rows) };
        let (Ok(number), Ok(limit)) = (number.parse::<f64>(), limit.parse::<f64>()) else { return false };
        match operator {
            ">" => number > limit,
            ">=" => number >= limit,
            "<" => number < limit,
            "<=" => number <= limit,
            "!=" => number != limit,
            _ => number == limit,
        }
    })
}

/// `sysparm_order_by=AVG^state` or `COUNT` or a grouped field; `^DESC` at the end turns it round.
fn order(scene: &Scene<'_>, call: &Call, wanted: &Wanted, groups: &mut [Group<'_>]) {
    let wish = call.param("sysparm_order_by").unwrap_or_default();
    for part in wish.split(',').rev().filter(|part| !part.is_empty()) {
        let (part, descending) = part.strip_suffix("^DESC").map_or((part, false), |part| (part, true));
        let (function, field) = part.split_once('^').unwrap_or((part, ""));
        let function = function.to_ascii_lowercase();
        let key = |key: &[&str], rows: &[&Arc<Record>]| match function.as_str() {
            "count" => rows.len().to_string(),
            "avg" | "min" | "max" | "sum" => work_out(scene, &function, field, rows),
            _ => wanted
                .groups
                .iter()
                .position(|path| path == part)
                .and_then(|place| key.get(place))
                .map_or("", |key| key)
                .to_owned(),
        };
        groups.sort_by(|(left_key, _, left), (right_key, _, right)| {
            let (left, right) = (key(left_key, left), key(right_key, right));
            let order = match (left.parse::<f64>(), right.parse::<f64>()) {
                (Ok(left), Ok(right)) => left.total_cmp(&right),
                _ => left.cmp(&right),
            };
            if descending { order.reverse() } else { order.then(Ordering::Equal) }
        });
    }
}
