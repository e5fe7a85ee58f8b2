//! Calls, and how NetSuite refuses them.

use ::http::{HeaderName, Method, header};
use connector::{
    Cx, ErrorClass, StepError,
    api::{Answer, Call, Dialect, ErrorRow, Refusal},
};
use serde_json::{Map, Value as Json, json};
use url::Url;

pub(super) use connector::strict::text;

use super::settings;

pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Codes of `o:errorDetails`, RESTlets and SOAP.
pub(super) const ERRORS: &[ErrorRow] = &[
    row("INVALID_LOGIN", ErrorClass::Auth, "NetSuite did not accept the sign-in and does not say why", LOGIN),
    row("INVALID_LOGIN_ATTEMPT", ErrorClass::Auth, "NetSuite did not accept the sign-in and does not say why", LOGIN),
    row(
        "INSUFFICIENT_PERMISSION",
        ErrorClass::Denied,
        "the connection's role may not do this",
        "Ask an administrator to give the role the permission named here.",
    ),
    row("NONEXISTENT_ID", ErrorClass::NotFound, "NetSuite has no such record", "Check the id; the record may have been deleted."),
    row(
        "RCRD_DSNT_EXIST",
        ErrorClass::NotFound,
        "NetSuite has no such record",
        "Check the id; the record may have been deleted.",
    ),
    row(
        "SSS_INVALID_SCRIPTLET_ID",
        ErrorClass::NotFound,
        "NetSuite has no such script or deployment",
        "Check script and deployment, and that the deployment is released for the role.",
    ),
    row("ALREADY_EXISTS", ErrorClass::Conflict, "NetSuite has such a record already", "Use upsert, or find the record first."),
    row(
        "RCRD_HAS_BEEN_CHANGED",
        ErrorClass::Conflict,
        "somebody changed the record in the meantime",
        "Read the record again and repeat the change.",
    ),
    row(
        "IDEMPOTENCY_ERROR",
        ErrorClass::Conflict,
        "NetSuite was asked this before under the same key",
        "See what became of the first call; its address is in the answer.",
    ),
    row(
        "NONEXISTENT_FIELD",
        ErrorClass::Invalid,
        "NetSuite does not know a field that was named",
        "Correct the field's name; \"Get record metadata\" lists them.",
    ),
    row("INVALID_CONTENT", ErrorClass::Invalid, "NetSuite could not read what was sent", "Correct the field named here."),
    row("INVALID_VALUE", ErrorClass::Invalid, "NetSuite refused a value", "Correct the field named here."),
    row(
        "INVALID_PARAMETER",
        ErrorClass::Invalid,
        "NetSuite refused a parameter or a query",
        "Correct the query or parameter; names that are not known here may also be hidden from the role or switched off in the account.",
    ),
    row(
        "INVALID_SEARCH_MORE",
        ErrorClass::Invalid,
        "NetSuite no longer keeps the search whose pages were read; it does so for some minutes only",
        "Begin the search again, with larger pages or less to do between them.",
    ),
    row("MISSING_PARAMETER", ErrorClass::Invalid, "NetSuite misses a parameter", "Give the parameter named here."),
    row(
        "USER_ERROR",
        ErrorClass::Invalid,
        "a rule of the NetSuite account refused this",
        "Correct the data, or change the rule in NetSuite; trying again does not help.",
    ),
    row(
        "CONCURRENCY_LIMIT_EXCEEDED",
        ErrorClass::RateLimited,
        "too many calls run at the same time in the NetSuite account",
        BUSY,
    ),
    row(
        "SSS_REQUEST_LIMIT_EXCEEDED",
        ErrorClass::RateLimited,
        "too many calls run at the same time in the NetSuite account",
        BUSY,
    ),
    row("WS_REQUEST_BLOCKED", ErrorClass::RateLimited, "too many calls run at the same time in the NetSuite account", BUSY),
    row("WS_CONCUR_SESSION_DISALLWD", ErrorClass::RateLimited, "too many sessions are open in the NetSuite account", BUSY),
    row("SSS_USAGE_LIMIT_EXCEEDED", ErrorClass::Invalid, "the script used up what one call may use", "Send less in one call."),
    row(
        "SSS_TIME_LIMIT_EXCEEDED",
        ErrorClass::Invalid,
        "the script took longer than one call may take",
        "Send less in one call.",
    ),
    row(
        UNEXPECTED,
        ErrorClass::Server,
        "NetSuite failed on its side",
        "Nothing to do where it is tried again. A write may have been done; see whether the record is there.",
    ),
];
/// What NetSuite says when it does not know what went wrong: a write may have been done.
pub(super) const UNEXPECTED: &str = "UNEXPECTED_ERROR";
const LOGIN: &str = "Check the account id, the machine's clock, that the role may \"Log in using Access Tokens\" (or OAuth 2.0), that integration and token or certificate are active, and that the sandbox was not refreshed. The login audit trail in NetSuite names the cause. NetSuite also answers so when too many calls run at once: try again with fewer.";
const BUSY: &str = "Nothing to do: it is tried again later. If it stays, lower the connection's calls at the same time; other integrations share the limit.";

const fn row(code: &'static str, class: ErrorClass, sentence: &'static str, next: &'static str) -> ErrorRow {
    ErrorRow { code, class, sentence, next }
}

pub(super) static DIALECT: Dialect = Dialect { system: "NetSuite", errors: ERRORS, refusal, fails_late: true };

/// The errors of an answer: REST's `o:errorDetails`, a RESTlet's `error`, a script's own.
fn refusal(answer: &Answer) -> Option<Refusal> {
    if answer.status.is_success() {
        return None;
    }
    let body = answer.peek().unwrap_or(Json::Null);
    let mut refusal = told(&body).unwrap_or_default();
    // A table knows the code; the class of a code that it does not know is that of the status.
    if answer.status.as_u16() == 401 {
        refusal.signed_out = true;
        refusal.class = Some(ErrorClass::Auth);
    }
    if answer.status.as_u16() == 429 {
        refusal.class = Some(ErrorClass::RateLimited);
    }
    if answer.status.as_u16() == 503 {
        refusal.class = Some(ErrorClass::Server);
    }
    // A script that broke in the middle is told so with other statuses than 500, too.
    let broke = refusal.code == UNEXPECTED;
    Some(refusal.in_doubt(broke))
}

fn told(body: &Json) -> Option<Refusal> {
    let text = |value: &Json, name: &str| value.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    if let Some(details) = body.get("o:errorDetails").and_then(Json::as_array) {
        let place = |detail: &Json| {
            ["o:errorPath", "o:errorQueryParam", "o:errorHeader"]
                .iter()
                .map(|name| text(detail, name))
                .find(|place| !place.is_empty())
        };
        let words: Vec<String> = details
            .iter()
            .map(|detail| {
                let words = text(detail, "detail").replace("Error while accessing a resource. ", "");
                place(detail).map_or(words.clone(), |place| format!("{words} (at {place})"))
            })
            .collect();
        let words = words.join(" ");
        let mut code = text(details.first()?, "o:errorCode");
        if code == "USER_ERROR" && words.contains("already exists") {
            code = "ALREADY_EXISTS".to_owned();
        }
        return Some(Refusal::new(code, words));
    }
    if let Some(error) = body.get("error").filter(|error| error.is_object()) {
        return Some(Refusal::new(text(error, "code"), text(error, "message")));
    }
    body.get("name").map(|_| Refusal::new(text(body, "name"), text(body, "message")))
}

/// An address below the account's host.
pub(super) fn url(cx: &Cx, path: &[&str]) -> Result<Url, StepError> {
    let mut url = settings::base(cx, "suitetalk")?;
    url.path_segments_mut().map_err(|()| invalid("the address of the connection cannot be used"))?.clear().extend(path);
    Ok(url)
}

/// A record's address: type and what follows.
pub(super) fn record_url(cx: &Cx, rest: &[&str]) -> Result<Url, StepError> {
    let mut path = vec!["services", "rest", "record", "v1"];
    path.extend(rest);
    url(cx, &path)
}

pub(super) fn invalid(words: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Invalid, "INPUT_INVALID", words).with_next("Correct the step's input.")
}

/// One call with a JSON body, if there is one.
pub(super) async fn call(
    cx: &Cx,
    method: Method,
    url: Url,
    query: &[(&str, String)],
    body: Option<&Json>,
) -> Result<Answer, StepError> {
    call_with(cx, method, url, query, body, &[]).await
}

pub(super) async fn call_with(
    cx: &Cx,
    method: Method,
    url: Url,
    query: &[(&str, String)],
    body: Option<&Json>,
    headers: &[(HeaderName, &str)],
) -> Result<Answer, StepError> {
    let sign = settings::sign(cx)?;
    let mut call = Call::new(cx, &DIALECT, &*sign, method, url).query(query.iter().map(|(name, value)| (*name, value)));
    if let Some(body) = body {
        call = call.json(body);
    }
    for (name, value) in headers {
        call = call.header(name.clone(), value);
    }
    call.send().await
}

/// The id at the end of `Location`, which every write answers with.
pub(super) fn written(answer: &Answer) -> Result<Json, StepError> {
    let location = answer.header(header::LOCATION.as_str());
    let id = location.and_then(|location| location.rsplit('/').next()).filter(|id| !id.is_empty());
    match (location, id) {
        (Some(location), Some(id)) => Ok(json!({ "id": id, "location": location })),
        _ if answer.body.is_empty() => Err(answer.unreadable("the address of the record is missing")),
        _ => Err(answer.json().err().unwrap_or_else(|| answer.unreadable("the address of the record is missing"))),
    }
}

/// A record without the links NetSuite adds everywhere.
pub(super) fn without_links(value: Json) -> Json {
    match value {
        Json::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| name != "links").map(|(name, value)| (name, without_links(value)));
            Json::Object(kept.collect::<Map<_, _>>())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(without_links).collect()),
        other => other,
    }
}

pub(super) fn needed<'a>(input: &'a Json, name: &str) -> Result<&'a str, StepError> {
    text(input, name).ok_or_else(|| invalid(format!("\"{name}\" is empty")))
}

/// How a record is named in an address: by its id, or by its external id.
pub(super) fn key(input: &Json) -> Result<String, StepError> {
    match (text(input, "id"), text(input, "external_id")) {
        (Some(id), None) => Ok(id.to_owned()),
        (None, Some(external)) => Ok(format!("eid:{external}")),
        _ => Err(invalid("name the record by either id or external_id")),
    }
}
