//! The Table API: `/api/now/table/{table}` and one record below it.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Value as Json, json};

use super::{
    data::Record,
    query::{Query, Test},
    scene::{Answer, Answered, Call, Refusal, Scene},
    schema::Kind,
    shape::Shape,
    write,
};

/// Rows of a page when the client names no number.
pub(super) const LIMIT_DEFAULT: usize = 10_000;

/// Where a page begins and how long it is.
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Page {
    pub(super) fn of(call: &Call, default: usize) -> Result<Self, Refusal> {
        let read = |name: &str, default: usize, least: usize| match call.param(name).filter(|text| !text.is_empty()) {
            None => Ok(default),
            Some(text) => {
                let number = text.parse::<usize>().ok().filter(|number| *number >= least);
                number.ok_or_else(|| Refusal::new(400, format!("Invalid value given for {name}"), None))
            }
        };
        Ok(Self { offset: read("sysparm_offset", 0, 0)?, limit: read("sysparm_limit", default, 1)? })
    }

    /// The `Link` header, nothing when everything fits one page.
    fn links(&self, call: &Call, base: &str, total: usize) -> Option<String> {
        if total <= self.limit && self.offset == 0 {
            return None;
        }
        let kept: String = call
            .raw
            .split('&')
            .filter(|part| !part.is_empty() && !part.starts_with("sysparm_offset=") && !part.starts_with("sysparm_limit="))
            .map(|part| format!("{part}&"))
            .collect();
        let last = total.saturating_sub(1) / self.limit * self.limit;
        let mut places = vec![("first", 0)];
        if self.offset > 0 {
            places.push(("prev", self.offset.saturating_sub(self.limit)));
        }
        if self.offset.saturating_add(self.limit) < total {
            places.push(("next", self.offset + self.limit));
        }
        places.push(("last", last));
        let link = |(rel, offset): &(&str, usize)| {
            format!("<{base}{}?{kept}sysparm_limit={}&sysparm_offset={offset}>;rel=\"{rel}\"", call.path, self.limit)
        };
        Some(places.iter().map(link).collect::<Vec<_>>().join(","))
    }

    pub(super) fn slice<'r, T>(&self, rows: &'r [T]) -> &'r [T] {
        let start = self.offset.min(rows.len());
        &rows[start..start.saturating_add(self.limit).min(rows.len())]
    }
}

/// The query of a call: `sysparm_query`, or the fields it names in its address.
pub(super) fn asked(scene: &Scene<'_>, table: &str, call: &Call) -> Query {
    let mut query = Query::parse(call.param("sysparm_query").unwrap_or_default());
    let named =
        call.pairs.iter().filter(|(name, _)| !name.starts_with("sysparm_") && name != "sn_apikey" && name != "x-sn-apikey");
    for (name, value) in named {
        let Some(field) = scene.state.data.schema.walk(table, name) else { continue };
        // A reference may be named by what people see of it.
        let shown = field.kind == Kind::Reference && !write::is_id(value);
        let path = if shown { format!("{name}.{}", scene.state.data.schema.display(&field.target)) } else { name.clone() };
        for branch in &mut query.branches {
            branch.push(vec![Test::Field { path: path.clone(), operator: "=", value: value.clone() }]);
        }
    }
    query
}

pub(super) fn serve(scene: &mut Scene<'_>, call: &Call, v1: bool, rest: &[&str]) -> Answered {
    let (table, id) = match rest {
        [table] => (*table, None),
        [table, id] => (*table, Some(*id)),
        _ => return Err(Refusal::no_path()),
    };
    scene.known(table)?;
    match (&call.method, id) {
        (&Method::GET | &Method::HEAD, None) => list(scene, call, table, v1),
        (&Method::GET | &Method::HEAD, Some(id)) => {
            let record = scene.seen(table, id)?.clone();
            Ok(Answer::json(200, &json!({"result": scene.shaped(table, &record, &Shape::of(call))})))
        }
        (&Method::POST, None) => create(scene, call, table),
        (&Method::PUT | &Method::PATCH, Some(id)) => {
            let body = call.json()?;
            scene.seen(table, id)?;
            scene.may_write(table, "Update")?;
            let record = scene.update(table, id, &write::values(&body)?, call.flag("sysparm_input_display_value"))?;
            Ok(written(scene, call, table, &record, 200))
        }
        (&Method::DELETE, Some(id)) => {
            scene.seen(table, id)?;
            scene.may_write(table, "Delete")?;
            scene.delete(table, id)?;
            Ok(Answer::empty(204))
        }
        _ => Err(Refusal::no_method()),
    }
}

fn create(scene: &mut Scene<'_>, call: &Call, table: &str) -> Answered {
    let body = call.json()?;
    let values = write::values(&body)?;
    scene.may_write(table, "Insert")?;
    let record = scene.insert(table, &values, call.flag("sysparm_input_display_value"))?;
    let location = format!("{}{}/{}", scene.base, call.path.trim_end_matches('/'), record.id());
    Ok(written(scene, call, table, &record, 201).with("location", &location))
}

fn written(scene: &Scene<'_>, call: &Call, table: &str, record: &Record, status: u16) -> Answer {
    if call.header("x-no-response-body").eq_ignore_ascii_case("true") {
        return Answer::empty(status);
    }
    Answer::json(status, &json!({"result": scene.shaped(table, record, &Shape::of(call))}))
}

fn list(scene: &Scene<'_>, call: &Call, table: &str, v1: bool) -> Answered {
    let page = Page::of(call, LIMIT_DEFAULT)?;
    let found = scene.ask().find(table, &asked(scene, table, call));
    let shape = Shape::of(call);
    // Limit and count come before access rules: a page may be shorter than its limit and yet not the last.
    let rows: Vec<Json> = readable(scene, page.slice(&found)).map(|record| scene.shaped(table, record, &shape)).collect();
    // The first version of the API has no empty lists.
    if v1 && found.is_empty() {
        return Err(Refusal::new(404, "No Record found", Some("Records matching query not found")));
    }
    let mut answer = rows_answer(scene, &rows);
    if !call.flag("sysparm_no_count") {
        answer = answer.with("x-total-count", &found.len().to_string());
    }
    if !call.flag("sysparm_suppress_pagination_header")
        && let Some(links) = page.links(call, &scene.base, found.len())
    {
        answer = answer.with("link", &links);
    }
    Ok(answer)
}

fn readable<'r>(scene: &'r Scene<'_>, rows: &'r [&'r Arc<Record>]) -> impl Iterator<Item = &'r Arc<Record>> {
    rows.iter().copied().filter(|record| scene.may_read(record))
}

/// The rows of a list; a long one is cut by the time a call may take, after the status was sent.
fn rows_answer(scene: &Scene<'_>, rows: &[Json]) -> Answer {
    let settings = &scene.state.settings;
    let Some(most) = settings.cancel_rows_over.filter(|most| rows.len() > *most) else {
        return Answer::json(200, &json!({"result": rows}));
    };
    let why = "maximum execution time exceeded";
    let error = json!({
        "message": format!("Transaction cancelled: {why}"),
        "detail": format!("{why} Check logs for error trace or enable glide.rest.debug property to verify REST request processing"),
    });
    if settings.cancelled_json_is_valid {
        return Answer::json(200, &json!({"result": rows[..most], "error": error, "status": "failure"}));
    }
    let begun: Vec<String> = rows[..most].iter().map(Json::to_string).collect();
    let broken = format!("{{\"result\":[{}{}", begun.join(","), json!({"error": error}));
    Answer::text(200, "application/json;charset=UTF-8", Bytes::from(broken))
}
