//! The RESTlet host, with a few scripts as an account's developers write them.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde_json::{Map, Value as Json, json};

use super::{
    NetSuite,
    answer::{Answer, Call},
    books::{self, Manner},
    refusal::Refusal,
    schema,
    values::{self, Shown},
};

pub(super) const PATH: &str = "/app/site/hosting/restlet.nl";

/// An error in the host's shape.
struct Thrown(StatusCode, Json);

fn code(status: StatusCode, code: &str, message: &str) -> Thrown {
    Thrown(status, json!({ "error": { "code": code, "message": message } }))
}

/// What a script throws itself.
fn thrown(name: &str, message: &str) -> Thrown {
    let stack = ["createError(N/error)", "onRequest(/SuiteScripts/restlet.js:12)"];
    Thrown(StatusCode::BAD_REQUEST, json!({ "type": "error.SuiteScriptError", "name": name, "message": message, "stack": stack }))
}

pub(super) fn login_refused() -> Response {
    respond(code(StatusCode::UNAUTHORIZED, "INVALID_LOGIN_ATTEMPT", "Invalid login attempt."))
}

/// Over the limit: 400, not 429.
pub(super) fn over_limit() -> Response {
    respond(code(
        StatusCode::BAD_REQUEST,
        "SSS_REQUEST_LIMIT_EXCEEDED",
        "Request limit exceeded. The number of concurrent requests is limited.",
    ))
}

pub(super) fn failed(status: StatusCode) -> Response {
    let (name, words) = match status {
        StatusCode::FORBIDDEN => ("INSUFFICIENT_PERMISSION", "You do not have permission to access this script."),
        StatusCode::SERVICE_UNAVAILABLE => ("SERVICE_UNAVAILABLE", "NetSuite is temporarily unavailable."),
        _ => ("UNEXPECTED_ERROR", "An unexpected SuiteScript error has occurred"),
    };
    respond(code(status, name, words))
}

fn respond(Thrown(status, body): Thrown) -> Response {
    let mut answer = Answer::json("application/json;charset=utf-8", &body);
    answer.status = status;
    answer.into_response()
}

impl NetSuite {
    pub(super) fn restlet(&self, call: &Call) -> Response {
        match self.run(call) {
            Ok(Json::String(text)) if !call.header("content-type").contains("json") => {
                let mut answer = Answer::json("text/plain;charset=utf-8", &Json::Null);
                answer.body = text.into();
                answer.into_response()
            }
            Ok(value) => Answer::json("application/json;charset=utf-8", &value).into_response(),
            Err(thrown) => respond(thrown),
        }
    }

    fn run(&self, call: &Call) -> Result<Json, Thrown> {
        let missing = |name: &str| {
            code(StatusCode::BAD_REQUEST, "SSS_MISSING_REQD_ARGUMENT", &format!("{name}: Missing a required argument: {name}"))
        };
        let script = call.parameter("script").ok_or_else(|| missing("script"))?;
        let deploy = call.parameter("deploy").ok_or_else(|| missing("deploy"))?;
        if !matches!(deploy, "1" | "customdeploy1") {
            return Err(code(
                StatusCode::NOT_FOUND,
                "SSS_INVALID_SCRIPTLET_ID",
                "That Suitelet is invalid, disabled, or no longer exists.",
            ));
        }
        let input = input(call)?;
        match script {
            "1" | "customscript_echo" => Ok(json!({ "method": call.method.as_str(), "received": input })),
            "2" | "customscript_record" => self.act(call, &input),
            "3" | "customscript_query" => self.ask(&input),
            "4" | "customscript_saved_search" => self.saved(&input),
            "5" | "customscript_throw" => Err(throw(&input)),
            "6" | "customscript_application_error" => {
                Ok(json!({ "success": false, "error": { "code": "OUT_OF_STOCK", "message": "The item is out of stock." } }))
            }
            _ => Err(code(
                StatusCode::NOT_FOUND,
                "SSS_INVALID_SCRIPTLET_ID",
                "That Suitelet is invalid, disabled, or no longer exists.",
            )),
        }
    }

    /// Script 2: reads, writes and deletes records, `{"type": "customer", "id": "7", "values": {…}}`.
    fn act(&self, call: &Call, input: &Json) -> Result<Json, Thrown> {
        let text = |name: &str| match input.get(name) {
            Some(Json::String(text)) => text.clone(),
            Some(Json::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let kind = schema::find(&text("type")).ok_or_else(|| thrown("INVALID_RCRD_TYPE", "The record type is invalid."))?;
        let mut state = self.state.lock();
        let now = state.now(&self.world);
        state.may(kind, call.method != Method::GET).map_err(refused)?;
        let id: u64 = text("id").parse().unwrap_or_default();
        let body = input.get("values").and_then(Json::as_object).cloned().unwrap_or_default();
        let gone = || thrown("RCRD_DSNT_EXIST", "That record does not exist.");
        match call.method {
            Method::GET => {
                let record = state.store.get(kind, id).ok_or_else(gone)?;
                let shown =
                    Shown { base: format!("{}{}", call.base(), super::record_api::BASE), expand: true, ..Shown::default() };
                Ok(values::show(record, &state.store, &shown))
            }
            Method::POST => {
                let (id, _) = books::create(&mut state.store, kind, &body, &Manner::default(), &now).map_err(refused)?;
                self.tell(&state, &[super::record_api::Event { kind, id, event: "create" }]);
                Ok(json!({ "id": id.to_string(), "type": kind.name }))
            }
            Method::PUT => {
                if state.store.get(kind, id).is_none() {
                    return Err(gone());
                }
                books::update(&mut state.store, kind, id, &body, &Manner::default(), &now).map_err(refused)?;
                self.tell(&state, &[super::record_api::Event { kind, id, event: "edit" }]);
                Ok(json!({ "id": id.to_string(), "type": kind.name }))
            }
            Method::DELETE => {
                books::delete(&mut state.store, kind, id, &now).map_err(|_| gone())?;
                self.tell(&state, &[super::record_api::Event { kind, id, event: "delete" }]);
                Ok(json!({ "deleted": id.to_string() }))
            }
            _ => Err(code(
                StatusCode::METHOD_NOT_ALLOWED,
                "SSS_INVALID_SCRIPT_OPERATION",
                "The script does not have that function.",
            )),
        }
    }

    /// Script 3: a query of the account, `{"q": "SELECT …"}`.
    fn ask(&self, input: &Json) -> Result<Json, Thrown> {
        let q = input.get("q").and_then(Json::as_str).ok_or_else(|| thrown("SSS_MISSING_REQD_ARGUMENT", "q is missing"))?;
        let mut state = self.state.lock();
        let rows = super::suiteql::run(&mut state, q, self.world.clock().now()).map_err(refused)?;
        Ok(json!({ "results": rows.iter().take(5_000).collect::<Vec<_>>() }))
    }

    /// Script 4: rows of a saved search, `{"search": "customsearch_open_invoices"}`.
    fn saved(&self, input: &Json) -> Result<Json, Thrown> {
        let name = input.get("search").and_then(Json::as_str).unwrap_or_default();
        let unknown = || thrown("SSS_INVALID_SRCH_ID", "That search or mass update does not exist.");
        let (_, q) = SEARCHES.iter().find(|(id, _)| *id == name).ok_or_else(unknown)?;
        let mut state = self.state.lock();
        let rows = super::suiteql::run(&mut state, q, self.world.clock().now()).map_err(refused)?;
        let page = |field: &str| input.get(field).and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        let size = usize::try_from(page("pageSize").unwrap_or(1_000)).unwrap_or(1_000).clamp(1, 1_000);
        let index = usize::try_from(page("page").unwrap_or_default()).unwrap_or_default();
        let part: Vec<_> = rows.iter().skip(index.saturating_mul(size)).take(size).collect();
        Ok(json!({ "rows": part, "total": rows.len(), "page": index, "pageSize": size }))
    }
}

/// The account's saved searches, and what they find.
pub(super) const SEARCHES: &[(&str, &str)] = &[
    (
        "customsearch_open_invoices",
        "SELECT id, tranid, entity, duedate, foreignamountunpaid FROM transaction WHERE type = 'CustInvc' AND status = 'A' ORDER BY id",
    ),
    ("customsearch_customers", "SELECT id, entityid, companyname, email FROM customer ORDER BY id"),
];

fn refused(refusal: Refusal) -> Thrown {
    thrown(refusal.code, &refusal.detail)
}

/// Script 5: throws what it is told to.
fn throw(input: &Json) -> Thrown {
    let text = |name: &str, default: &str| input.get(name).and_then(Json::as_str).unwrap_or(default).to_owned();
    let name = text("code", "MY_ERROR");
    if name.starts_with("SSS_") {
        return code(StatusCode::BAD_REQUEST, &name, &text("message", "The script was stopped."));
    }
    thrown(&name, &text("message", "{\"type\":\"error.SuiteScriptError\",\"name\":\"MY_ERROR\",\"message\":\"no\"}"))
}

/// Parameters of GET and DELETE, the body of POST and PUT.
fn input(call: &Call) -> Result<Json, Thrown> {
    if matches!(call.method, Method::GET | Method::DELETE) {
        let own = call.pairs.iter().filter(|(name, _)| name != "script" && name != "deploy");
        let members: Map<String, Json> = own.map(|(name, value)| (name.clone(), json!(value))).collect();
        return Ok(Json::Object(members));
    }
    if !matches!(call.method, Method::POST | Method::PUT) {
        return Err(code(
            StatusCode::METHOD_NOT_ALLOWED,
            "SSS_INVALID_SCRIPT_OPERATION",
            "The script does not have that function.",
        ));
    }
    let media = call.header("content-type");
    if media.contains("json") {
        return serde_json::from_slice(&call.body).map_err(|error| {
            Thrown(
                StatusCode::BAD_REQUEST,
                json!({ "error": { "code": "INVALID_REQUEST", "message": format!("SyntaxError: {error}") } }),
            )
        });
    }
    if media.is_empty() || media.starts_with("text/") {
        return Ok(json!(String::from_utf8_lossy(&call.body)));
    }
    Err(code(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"))
}
