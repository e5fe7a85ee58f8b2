//! WQL: queries over data sources, and what sources and fields there are.

mod parse;
mod run;

use http::{Method, header};
use jiff::civil::Date;
use serde_json::{Value as Json, json};

use self::parse::Query;
use super::{
    TENANT,
    answer::{Answer, Call},
    auth::{self, Who},
    sources::{SOURCES, Source, When, allowed},
    state::State,
    wid,
};

/// Longest query in an address.
const QUERY_CHARS_MAX: usize = 2_048;
/// Rows of an answer. The default is (unverified).
const LIMIT_MAX: usize = 10_000;
/// Cells of an answer.
const CELLS_MAX: usize = 1_000_000;
/// Sources or fields of an answer.
const LIST_MAX: usize = 100;

type Done = Result<Answer, Answer>;

/// One call.
pub(super) fn answer(state: &State, call: &Call<'_>, tenant: &str, rest: &[&str]) -> Answer {
    let Some(who) = auth::by_bearer(state, call) else { return auth::unauthorized(false) };
    if tenant != TENANT {
        return Answer::error(404, "not found");
    }
    let done = match rest {
        ["data"] => data(state, call, &who),
        _ if call.method != Method::GET => Err(not_with("GET")),
        ["dataSources"] => sources(state, call),
        ["dataSources", id] => named(state, id).map(|source| Answer::json(200, &told(state, source))),
        ["dataSources", id, "fields"] => named(state, id).and_then(|source| fields(state, call, source)),
        ["dataSources", id, "dataSourceFilters"] => named(state, id).and_then(|source| {
            let row =
                |name: &&str| json!({ "id": wid(state.seed, &format!("filter {name}")), "alias": name, "descriptor": name });
            page(call, &source.filters.iter().map(row).collect::<Vec<_>>())
        }),
        _ => Err(Answer::error(404, "not found")),
    };
    if state.settings.hollow && done.is_ok() {
        return Answer::json(200, &json!({}));
    }
    done.unwrap_or_else(|refused| refused)
}

fn not_with(allowed: &str) -> Answer {
    Answer::error(405, "method not allowed").with(header::ALLOW, allowed)
}

/// What is wrong with a query.
fn invalid(words: &str) -> Answer {
    Answer::json(400, &json!({ "error": words, "errors": [{ "error": words }] }))
}

fn number(call: &Call<'_>, name: &str, default: usize, range: std::ops::RangeInclusive<usize>) -> Result<usize, Answer> {
    let Some(text) = call.param(name) else { return Ok(default) };
    let words = || invalid(&format!("{name} parameter invalid: must be between {} and {}", range.start(), range.end()));
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(words)
}

fn page(call: &Call<'_>, all: &[Json]) -> Done {
    let limit = number(call, "limit", 20, 1..=LIST_MAX)?;
    let start = number(call, "offset", 0, 0..=usize::MAX)?.min(all.len());
    let data = &all[start..start.saturating_add(limit).min(all.len())];
    Ok(Answer::json(200, &json!({ "total": all.len(), "data": data })))
}

fn source_id(state: &State, source: &Source) -> String {
    wid(state.seed, &format!("data source {}", source.alias))
}

fn named(state: &State, key: &str) -> Result<&'static Source, Answer> {
    let found = SOURCES.iter().find(|source| source.alias == key || source_id(state, source) == key);
    found.ok_or_else(|| Answer::error(404, "not found"))
}

fn told(state: &State, source: &Source) -> Json {
    json!({
        "id": source_id(state, source),
        "alias": source.alias,
        "descriptor": source.name,
        "description": format!("{}, one row for each.", source.name),
        "businessObject": { "id": wid(state.seed, &format!("object {}", source.object)), "descriptor": source.object },
        "filterIsRequired": source.needs_filter,
    })
}

fn sources(state: &State, call: &Call<'_>) -> Done {
    let begins = call.param("alias").unwrap_or_default().to_lowercase();
    let all: Vec<Json> = SOURCES
        .iter()
        .filter(|source| source.alias.to_lowercase().starts_with(&begins))
        .map(|source| told(state, source))
        .collect();
    page(call, &all)
}

fn fields(state: &State, call: &Call<'_>, source: &Source) -> Done {
    let begins = call.param("alias").unwrap_or_default().to_lowercase();
    let row = |field: &super::sources::Field| {
        let mut row = json!({
            "id": wid(state.seed, &format!("field {} {}", source.object, field.alias)),
            "alias": field.alias,
            "descriptor": field.name,
            "type": field.of.name(),
        });
        if !field.object.is_empty() {
            row["relatedBusinessObject"] =
                json!({ "id": wid(state.seed, &format!("object {}", field.object)), "descriptor": field.object });
        }
        row
    };
    let wanted = source.fields.iter().filter(|field| field.alias.to_lowercase().starts_with(&begins));
    page(call, &wanted.map(row).collect::<Vec<_>>())
}

fn data(state: &State, call: &Call<'_>, who: &Who) -> Done {
    let text = match *call.method {
        Method::GET => {
            let query = call.param("query").ok_or_else(|| invalid("query parameter is required"))?.to_owned();
            if query.chars().count() > QUERY_CHARS_MAX {
                return Err(invalid(&format!("query parameter invalid: must be at most {QUERY_CHARS_MAX} characters")));
            }
            query
        }
        Method::POST => call.json()?["query"].as_str().ok_or_else(|| invalid("query is required"))?.to_owned(),
        _ => return Err(not_with("GET, POST")),
    };
    let limit = number(call, "limit", LIMIT_MAX, 1..=LIMIT_MAX)?;
    let offset = number(call, "offset", 0, 0..=usize::MAX)?;
    let offset = if state.settings.wql_without_offset { 0 } else { offset };
    let query = parse::query(&text).map_err(|near| invalid(&format!("Invalid WQL syntax. | Field: at or near '{near}'")))?;
    let source = Source::named(&query.source)
        .ok_or_else(|| invalid(&format!("Enter a valid data source. This data source is invalid: {}", query.source)))?;
    let when = checked(call, who, source, &query, state.day(call.now))?;
    let (total, slice) = run::page(state, source, &query, when, offset, limit);
    let columns = query.items.len().max(1);
    if slice.len().saturating_mul(columns) > CELLS_MAX {
        return Err(invalid("The query returns more than 1,000,000 cells. Limit the rows or the columns."));
    }
    let data = run::shape(state, &query, &slice, when);
    let mut body = json!({ "total": total, "data": data });
    if state.settings.wql_without_total
        && let Some(fields) = body.as_object_mut()
    {
        fields.remove("total");
    }
    Ok(Answer::json(200, &body))
}

/// Checks names and rights; gives the day the query is about.
fn checked(call: &Call<'_>, who: &Who, source: &Source, query: &Query, today: Date) -> Result<When, Answer> {
    let mut when = When { day: today, known: call.now };
    for (name, value) in &query.parameters {
        match name.to_lowercase().as_str() {
            "effectiveasofdate" => {
                let day: Option<Date> = value.get(..10).and_then(|day| day.parse().ok());
                when.day = day.ok_or_else(|| invalid(&format!("Enter a valid date. This date is invalid: {value}")))?;
            }
            "datasourcefilter" if source.filters.contains(&value.as_str()) => {}
            "datasourcefilter" => {
                return Err(invalid(&format!("Enter a valid data source filter. This filter is invalid: {value}")));
            }
            "includeterminatedworkers" | "entrymoment" => {}
            _ => return Err(invalid(&format!("Enter a valid data source parameter. This parameter is invalid: {name}"))),
        }
    }
    if source.needs_filter && query.parameter("dataSourceFilter").is_none() {
        return Err(invalid("Invalid WQL query: Specify a data source filter"));
    }
    let bad = run::unknown_field(source, query);
    if let Some(bad) = bad {
        return Err(invalid(&format!("Enter a valid report field. This field is invalid: {bad}")));
    }
    if let Some(words) = run::misgrouped(query) {
        return Err(invalid(&words));
    }
    let denied: Vec<&str> = run::fields(query).into_iter().filter(|alias| !allowed(who.rights, alias)).collect();
    if !denied.is_empty() {
        // Permanent, in spite of its status.
        let words = format!("The security configuration of this tenant does not allow access to fields: {}", denied.join(", "));
        return Err(Answer::error(500, &words));
    }
    Ok(when)
}
