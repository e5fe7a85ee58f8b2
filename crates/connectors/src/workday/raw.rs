//! Queries, and calls of anything else.

use connector::{Action, Cx, Effect, Page, StepError, api::Call, whole};
use http::Method;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    api::{self, Bearer, ROWS_MAX, WORKDAY, invalid},
    schema,
    settings::Settings,
    soap,
};

/// Rows of a query asked for at once; the most there are.
const WQL_LIMIT: usize = 10_000;

/// A page is not the same as the one before by chance when so many of its rows differ from its first.
const ROWS_VARIOUS: usize = 50;
/// Nor when so many pages on end are the same.
const PAGES_AGAIN: u64 = 100;

/// One page of a query. It ends with a page that is not full, because the total may be missing. The cursor is the offset, and
/// the digest of the page before: a source that ignores the offset would give its first page for ever.
pub(super) async fn query_page(cx: &Cx, query: &str, limit: usize, cursor: Option<Json>) -> Result<Page, StepError> {
    let cursor = cursor.unwrap_or_default();
    // What began before this was kept as more than a number goes on.
    let offset = cursor["offset"].as_u64().or(cursor.as_u64()).unwrap_or_default();
    let parameters = [("limit", limit.to_string()), ("offset", offset.to_string())];
    let body = json!({ "query": query });
    let (items, answer) = api::rows(cx, Method::POST, ("wql", &["data"]), &parameters, Some(&body)).await?;
    if items.len() < limit {
        return Ok(Page { items, next: None });
    }
    let page = digest(&items);
    let mut again = 0;
    if cursor["page"] == page {
        again = cursor["again"].as_u64().unwrap_or_default() + 1;
        // Few rows, or rows that are much alike, may well be the same on several pages.
        let various = items.iter().filter(|row| **row != items[0]).count() >= ROWS_VARIOUS;
        if various || again >= PAGES_AGAIN {
            return Err(answer.unreadable("it gives the page before again"));
        }
    }
    let next = json!({ "offset": offset + items.len() as u64, "page": page, "again": again });
    Ok(Page { items, next: Some(next) })
}

/// What tells a page from another.
fn digest(rows: &[Json]) -> String {
    let digest = rows.iter().fold(Sha256::new(), |digest, row| digest.chain_update(row.to_string()).chain_update("\n"));
    hex::encode(&digest.finalize()[..16])
}

fn page_size(input: &Json) -> usize {
    input["page_size"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(WQL_LIMIT).clamp(1, WQL_LIMIT)
}

async fn wql_page(cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    query_page(&cx, input["query"].as_str().unwrap_or_default(), page_size(&input), cursor).await
}

async fn soap_call(cx: Cx, input: Json) -> Result<Json, StepError> {
    let text = |name: &str| input[name].as_str();
    let settings = Settings::of(&cx)?;
    let version = text("version").unwrap_or_else(|| settings.soap_version());
    let service = text("service").unwrap_or_default();
    let message = match (text("xml"), text("operation")) {
        (Some(xml), None) => {
            connector::xml::read(xml).map_err(|problem| invalid(format!("the XML cannot be read: {problem}")))?;
            soap::enveloped(xml.split_once("?>").filter(|_| xml.trim_start().starts_with("<?xml")).map_or(xml, |(_, rest)| rest))
        }
        (None, Some(operation)) => {
            // The request's element is named after the operation, with few exceptions.
            let element = match operation {
                "Get_Server_Timestamp" => "Server_Timestamp_Get".to_owned(),
                named if named.ends_with("_Request") || named.ends_with("_Get") => named.to_owned(),
                named => format!("{named}_Request"),
            };
            soap::message(&element, version, input.get("body").unwrap_or(&json!({})))?
        }
        _ => return Err(invalid("either an operation with its body, or the XML of the request is needed")),
    };
    let (element, body) = soap::call(&cx, service, Some(version), message).await?;
    Ok(json!({ "element": element, "body": body }))
}

fn soap_effect(input: &Json) -> Effect {
    match input["operation"].as_str() {
        Some(operation) if operation.starts_with("Get_") => Effect::None,
        Some(operation) if operation.starts_with("Put_") => Effect::Idempotent,
        _ => Effect::Once,
    }
}

async fn rest_call(cx: Cx, input: Json) -> Result<Json, StepError> {
    let settings = Settings::of(&cx)?;
    let method = input["method"].as_str().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| invalid(format!("{method} is no method")))?;
    let path = input["path"].as_str().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) || path.contains(['?', '#']) {
        return Err(invalid("the path holds parts that lead elsewhere; write parameters into query"));
    }
    let url = settings.rest(input["service"].as_str().unwrap_or("common"), &parts);
    let query = input["query"].as_object().into_iter().flatten();
    let query = query.map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    let call = Call::new(&cx, &WORKDAY, &Bearer, method, url).query(query);
    let call = match input.get("body").filter(|body| !body.is_null()) {
        Some(body) => call.json(body),
        None => call,
    };
    let answer = call.send().await?;
    let body = if answer.body.is_empty() { Json::Null } else { answer.json()? };
    Ok(json!({ "status": answer.status.as_u16(), "body": body }))
}

fn rest_effect(input: &Json) -> Effect {
    match input["method"].as_str().unwrap_or("GET") {
        "GET" => Effect::None,
        "PUT" | "DELETE" => Effect::Idempotent,
        _ => Effect::Once,
    }
}

pub(super) fn actions() -> Vec<Action> {
    let wql = schema::input(
        &[
            (
                "query",
                schema::text(
                    "Query",
                    "For instance SELECT worker, employeeID FROM allWorkers WHERE currentlyActive = true. A point in time stands behind the data source: (effectiveAsOfDate = '2026-12-01').",
                ),
            ),
            ("page_size", json!({ "type": "integer", "minimum": 1, "maximum": WQL_LIMIT, "title": "Rows a page" })),
        ],
        &["query"],
    );
    let soap_input = schema::input(
        &[
            ("service", schema::text("Service", "For instance Human_Resources, Staffing, Integrations.")),
            ("operation", schema::text("Operation", "For instance Get_Workers.")),
            (
                "body",
                json!({ "type": "object", "title": "Body", "description": "The request's elements in the order Workday wants, without prefixes; attributes begin with @." }),
            ),
            ("xml", schema::text("XML", "The whole element of the request, in place of operation and body.")),
            ("version", schema::text("Version", "That of the connection when left out.")),
        ],
        &["service"],
    );
    let rest_input = schema::input(
        &[
            ("service", schema::text("Service", "For instance staffing, absenceManagement; the common one when left out.")),
            ("method", json!({ "type": "string", "enum": ["GET", "POST", "PUT", "PATCH", "DELETE"], "title": "Method" })),
            ("path", schema::text("Path", "What follows the tenant, for instance workers/Employee_ID=21001/jobChanges.")),
            ("query", json!({ "type": "object", "title": "Parameters" })),
            ("body", json!({ "title": "Body" })),
        ],
        &["path"],
    );
    vec![
        Action::new("run_wql", "Run a WQL query", "Reads anything reportable with a query.", |cx, input| async move {
            let rows = whole(ROWS_MAX, |cursor| wql_page(cx.clone(), input.clone(), cursor)).await?;
            Ok(json!({ "rows": rows }))
        })
        .reads()
        .input(wql)
        .output(schema::rows("rows", json!({ "type": "object" })))
        .sample(json!({ "rows": [{ "employeeID": "21001", "worker": { "id": "3aa5550b7fe348b98d7b5741afc65534", "descriptor": "Logan McNeil" } }] }))
        .pages(wql_page),
        Action::new("call_operation", "Call a web service", "Calls any operation of any SOAP service.", soap_call)
            .effect(soap_effect)
            .input(soap_input)
            .output(schema::output(&[("element", schema::told("Element")), ("body", json!({ "title": "Body" }))]))
            .sample(json!({ "element": "Server_Timestamp", "body": { "Server_Timestamp_Data": "2026-11-20T08:00:00.000Z" } })),
        Action::new("call_rest", "Call a REST service", "Calls any address of any REST service.", rest_call)
            .effect(rest_effect)
            .input(rest_input)
            .output(schema::output(&[("status", json!({ "type": "integer", "title": "Status" })), ("body", json!({ "title": "Body" }))]))
            .sample(json!({ "status": 200, "body": { "total": 0, "data": [] } })),
    ]
}
