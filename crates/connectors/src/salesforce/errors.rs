//! What Salesforce refuses with, what it means, and what to do.

use connector::{
    ErrorClass, StepError,
    api::{Answer, Dialect, ErrorRow, Refusal},
};
use serde_json::Value as Json;

pub(super) const DIALECT: Dialect = Dialect { system: "Salesforce", errors: ERRORS, refusal, fails_late: false };
/// The code for a record that is in the recycle bin.
pub(super) const IN_BIN: &str = "ENTITY_IS_DELETED";
/// The code of an error that has none.
const UNNAMED: &str = "UNKNOWN";
/// How long a connection rests when the day's calls are used up: they come back little by little.
const QUOTA_PAUSE: std::time::Duration = std::time::Duration::from_secs(300);

const fn row(code: &'static str, class: ErrorClass, sentence: &'static str, next: &'static str) -> ErrorRow {
    ErrorRow { code, class, sentence, next }
}

use ErrorClass::{Auth, Conflict, Denied, Invalid, NotFound, RateLimited, Server, Timeout};

const WAIT: &str = "Nothing to do: it is tried again. If it stays, look at trust.salesforce.com.";
const CORRECT: &str = "Correct the value and run the step again.";

/// Salesforce's errors.
pub(super) const ERRORS: &[ErrorRow] = &[
    row(
        "INVALID_SESSION_ID",
        Auth,
        "Salesforce did not accept the session, also after signing in anew",
        "Check that the app may use the API, and sign the connection in again.",
    ),
    row("INVALID_AUTH_HEADER", Auth, "Salesforce did not accept the sign-in", "Sign the connection in again."),
    row(
        "API_DISABLED_FOR_ORG",
        Denied,
        "this Salesforce edition or this user may not use the API",
        "Ask your Salesforce admin for the permission API Enabled.",
    ),
    row("API_CURRENTLY_DISABLED", Denied, "the API is switched off for this org", "Ask your Salesforce admin."),
    row(
        "REQUEST_LIMIT_EXCEEDED",
        RateLimited,
        "Salesforce takes no more calls for now",
        "Nothing to do: it goes on when calls are allowed again. If it happens daily, use bulk actions or ask Salesforce for more calls.",
    ),
    row(
        "UNABLE_TO_LOCK_ROW",
        Server,
        "another user or process is just changing the same record",
        "Nothing to do: it is tried again. In bulk loads, sort the rows by their parent record.",
    ),
    row(
        "QUERY_TIMEOUT",
        Timeout,
        "the query took Salesforce too long",
        "Ask for less: filter by an indexed field, such as SystemModstamp or an external id.",
    ),
    row("REQUEST_RUNNING_TOO_LONG", Timeout, "the call took Salesforce too long", "Send fewer records at once."),
    row("SERVER_UNAVAILABLE", Server, "Salesforce is not available", WAIT),
    row("UNKNOWN_EXCEPTION", Server, "Salesforce failed on its side", WAIT),
    row("TXN_SECURITY_METERING_ERROR", Server, "Salesforce's transaction security did not answer", WAIT),
    row(
        "INVALID_QUERY_LOCATOR",
        Conflict,
        "Salesforce has forgotten the rest of this query",
        "Run the step again; it asks from the beginning.",
    ),
    row(
        "INVALID_FIELD",
        Invalid,
        "Salesforce does not know a field, or the user may not see it",
        "Check the field's API name and the field-level security of the connection's user.",
    ),
    row(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        Invalid,
        "a field cannot be written",
        "Leave the field out, or give the connection's user the right to edit it.",
    ),
    row("MALFORMED_QUERY", Invalid, "Salesforce cannot read the query", "Correct the SOQL; the message shows the place."),
    row(
        "MALFORMED_SEARCH",
        Invalid,
        "Salesforce cannot read the search",
        "Search for at least two letters, and correct the SOSL.",
    ),
    row("MALFORMED_ID", Invalid, "an id is none, or of another object", "Check where the id comes from."),
    row(
        "INVALID_TYPE",
        Invalid,
        "Salesforce does not know the object, or the user may not see it",
        "Check the object's API name; those of your own end with __c.",
    ),
    row(
        "NOT_FOUND",
        NotFound,
        "Salesforce does not find the record or the resource",
        "Check the id, the key field and that the connection's user may see it.",
    ),
    row("ENTITY_IS_DELETED", NotFound, "the record is deleted", "Restore it from the recycle bin, or leave it out."),
    row("REQUIRED_FIELD_MISSING", Invalid, "a required field is missing", "Give the field a value."),
    row(
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        Invalid,
        "a validation rule of your org refuses the record",
        "Meet the rule, or have it changed by your Salesforce admin.",
    ),
    row(
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        Invalid,
        "a lookup filter of your org refuses the record",
        "Choose another parent record.",
    ),
    row("FIELD_INTEGRITY_EXCEPTION", Invalid, "a field does not fit the others", CORRECT),
    row(
        "DUPLICATE_VALUE",
        Conflict,
        "another record has this value already, and the field allows it once",
        "Use an upsert by that field, or change the value.",
    ),
    row(
        "DUPLICATE_EXTERNAL_ID",
        Conflict,
        "several records have this key",
        "Make the key field unique in Salesforce, or merge the records.",
    ),
    row(
        "MULTIPLE_CHOICES",
        Conflict,
        "several records have this key; nothing was written",
        "Make the key field unique in Salesforce, or merge the records.",
    ),
    row(
        "DUPLICATES_DETECTED",
        Conflict,
        "a duplicate rule found records that look the same",
        "Use one of them, or allow duplicates in the step.",
    ),
    row("STRING_TOO_LONG", Invalid, "a text is too long for its field", "Shorten it."),
    row("INVALID_EMAIL_ADDRESS", Invalid, "an email address is not valid", CORRECT),
    row("NUMBER_OUTSIDE_VALID_RANGE", Invalid, "a number is outside of what is allowed", CORRECT),
    row("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Invalid, "a value is not in its list", "Choose a value of the picklist."),
    row(
        "INVALID_CROSS_REFERENCE_KEY",
        NotFound,
        "a record that is pointed to does not exist, or the user may not see it",
        "Check the id of the other record.",
    ),
    row("INVALID_TYPE_ON_FIELD_IN_RECORD", Invalid, "a value is of the wrong type", CORRECT),
    row("JSON_PARSER_ERROR", Invalid, "a value is of the wrong type, or the body cannot be read", CORRECT),
    row("MISSING_ARGUMENT", Invalid, "something needed is missing", CORRECT),
    row("EXCEEDED_ID_LIMIT", Invalid, "there are too many records in one call", "Send fewer at once, or use a bulk action."),
    row(
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        Invalid,
        "automation of your org (a trigger or flow) refused the record",
        "Read the message; your Salesforce admin knows the automation.",
    ),
    row("DELETE_FAILED", Conflict, "the record cannot be deleted because others need it", "Delete those first."),
    row("INSUFFICIENT_ACCESS", Denied, "the connection's user may not do this", "Ask your Salesforce admin for the permission."),
    row(
        "INSUFFICIENT_ACCESS_OR_READONLY",
        Denied,
        "the connection's user may not do this, or the record is locked",
        "Ask your Salesforce admin for the permission, or unlock the record.",
    ),
    row(
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        Denied,
        "the connection's user may not use a record that is pointed to",
        "Ask your Salesforce admin for the permission.",
    ),
    row(
        "PRECONDITION_FAILED",
        Conflict,
        "somebody changed the record in the meantime",
        "Read the record again and decide what should win.",
    ),
    row(
        "UNSUPPORTED_API_VERSION",
        Invalid,
        "the API version of the connection is retired",
        "Choose a newer version in the connection's settings.",
    ),
    row("STORAGE_LIMIT_EXCEEDED", Invalid, "the org's storage is full", "Ask your Salesforce admin for room."),
    row("INVALIDENTITY", Invalid, "this object cannot be used with bulk actions", "Use the batch or search actions."),
    row("INVALIDJOB", Invalid, "Salesforce refuses the bulk job", CORRECT),
    row("INVALIDJOBSTATE", Conflict, "the bulk job is in another state", "Look at the job in Setup, Bulk Data Load Jobs."),
    row(
        "API_ERROR",
        Invalid,
        "this query cannot be run as a bulk query",
        "Use the search action, or ask without groups, lists of children and OFFSET.",
    ),
    row("INVALIDFIELD", Invalid, "a field cannot be used in a bulk query", "Leave out addresses and files; ask for their parts."),
    row(
        "PROCESSING_HALTED",
        Conflict,
        "a request was not done because another of the same call failed",
        "See the request that failed first.",
    ),
    row(
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        Conflict,
        "the record was taken back because another of the same call was refused",
        "See the record that was refused first.",
    ),
    row(
        "sfdc.platform.eventbus.grpc.service.auth.error",
        Auth,
        "Salesforce's event bus did not accept the session, also after signing in anew",
        "Check that the app may use the API, and sign the connection in again.",
    ),
    row(
        "sfdc.platform.eventbus.grpc.service.auth.headers.invalid",
        Auth,
        "Salesforce's event bus did not accept the sign-in",
        "Sign the connection in again; if it stays, write the organization id into the connection.",
    ),
    row(
        "sfdc.platform.eventbus.grpc.service.tenant.license",
        Denied,
        "this Salesforce edition may not use the Pub/Sub API",
        "Ask your Salesforce admin.",
    ),
    row("sfdc.platform.eventbus.grpc.service.unavailable", Server, "Salesforce's event bus is not available", WAIT),
    row(
        "sfdc.platform.eventbus.grpc.service.protection.triggered",
        RateLimited,
        "Salesforce's event bus is asked too often",
        WAIT,
    ),
    row(
        "sfdc.platform.eventbus.grpc.concurrent.client.limit.exceeded",
        RateLimited,
        "too many programs follow this org's events at once",
        "Stop other subscribers, or ask Salesforce for a higher limit.",
    ),
    row(
        "sfdc.platform.eventbus.grpc.topic.not.found",
        NotFound,
        "Salesforce does not know these events",
        "Check the event's API name; for changes, choose the object in Setup, Change Data Capture.",
    ),
    row(
        "sfdc.platform.eventbus.grpc.topic.meta.permission",
        Denied,
        "the connection's user may not read these events",
        "Ask your Salesforce admin for the permission to read the event or the object.",
    ),
    row("sfdc.platform.eventbus.grpc.topic.api.unavailable", Server, "Salesforce cannot look the events up just now", WAIT),
    row("sfdc.platform.eventbus.grpc.schema.api.unavailable", Server, "Salesforce cannot tell the events' schema just now", WAIT),
    row(
        "sfdc.platform.eventbus.grpc.schema.meta.permission",
        Denied,
        "the connection's user may not read the events' schema",
        "Ask your Salesforce admin for the permission to read the event or the object.",
    ),
    row(
        "sfdc.platform.eventbus.grpc.subscription.topic.cannot.subscribe",
        Denied,
        "the connection's user may not follow these events",
        "Ask your Salesforce admin for the permission to read the event or the object.",
    ),
    row(
        "sfdc.platform.eventbus.grpc.subscription.limit.exceeded",
        RateLimited,
        "the org has got all the events that it may get in 24 hours",
        "Nothing to do: it goes on when events are delivered again, with what was kept. If it happens daily, follow fewer events.",
    ),
    row("sfdc.platform.eventbus.grpc.subscription.internal.error", Server, "Salesforce's event bus failed on its side", WAIT),
    row(
        "sfdc.platform.eventbus.grpc.subscription.fetch.replayid.corrupted",
        Conflict,
        "Salesforce does not keep the events after the last one any more",
        "Nothing to do: it goes on with all that is kept, and one event tells of the gap.",
    ),
];

/// These words at 401 do not go away by signing in anew.
const NOT_BY_SIGN_IN: &[&str] =
    &["This session is not valid for use with the REST API", "Connected app is not attached to Agent"];

fn refusal(answer: &Answer) -> Option<Refusal> {
    let status = answer.status.as_u16();
    if answer.status.is_success() || status == 304 {
        return None;
    }
    if status == 300 {
        let urls = answer.peek().and_then(|body| body.as_array().map(|urls| ids(urls))).unwrap_or_default();
        return Some(Refusal::new("MULTIPLE_CHOICES", urls));
    }
    let body = answer.peek()?;
    let error = body.as_array().and_then(|errors| errors.first()).unwrap_or(&body);
    let text = |name: &str| error.get(name).and_then(Json::as_str).unwrap_or_default();
    let code = if text("errorCode").is_empty() { text("error") } else { text("errorCode") };
    if code.is_empty() {
        return None;
    }
    let words = told(error);
    let mut refusal = Refusal::new(code, words.clone());
    match code {
        "INVALID_SESSION_ID" => refusal.signed_out = !NOT_BY_SIGN_IN.iter().any(|known| words.contains(known)),
        "REQUEST_LIMIT_EXCEEDED" if words.contains("TotalRequests") => refusal.retry_after = Some(QUOTA_PAUSE),
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" if words.contains("UNABLE_TO_LOCK_ROW") => refusal.class = Some(Server),
        _ => {}
    }
    Some(refusal)
}

/// The words of an error with the fields and the duplicates it names.
fn told(error: &Json) -> String {
    let mut words = error["message"].as_str().or(error["error_description"].as_str()).unwrap_or_default().trim().to_owned();
    let fields: Vec<&str> = error["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .filter(|field| !words.contains(field))
        .collect();
    if !fields.is_empty() {
        words = format!("{words} (field {})", fields.join(", "));
    }
    let matches = error["duplicateResult"]["matchResults"].as_array().into_iter().flatten();
    let found: Vec<&str> = matches
        .filter_map(|result| result["matchRecords"].as_array())
        .flatten()
        .filter_map(|found| found["record"]["Id"].as_str())
        .collect();
    if found.is_empty() { words } else { format!("{words} (records {})", found.join(", ")) }
}

fn ids(urls: &[Json]) -> String {
    let ids: Vec<&str> = urls.iter().filter_map(Json::as_str).filter_map(|url| url.rsplit('/').next()).collect();
    ids.join(", ")
}

/// True when Salesforce itself says that a record is not there. A page with 404 comes from somebody in between.
pub(super) fn missing(answer: &Answer) -> Result<bool, StepError> {
    match refusal(answer) {
        _ if answer.status != 404 => Ok(false),
        Some(_) => Ok(true),
        None => Err(answer.unreadable("Salesforce's own word on what is missing was expected")),
    }
}

/// The failure that one error of an answer tells; nothing was done.
pub(super) fn of_error(error: &Json, unnamed: &str, next: &str, words: impl FnOnce(&str) -> String) -> StepError {
    let told = of_row(error);
    let text = |name: &str| told[name].as_str().unwrap_or_default();
    let code = if text("code") == UNNAMED { unnamed } else { text("code") };
    let class = ErrorClass::parse(text("class")).unwrap_or(Invalid);
    let next = DIALECT.error(code).filter(|_| class != Invalid).map_or(next, |row| row.next);
    StepError::new(class, code, words(text("message"))).with_next(next)
}

/// One error of a row, as people are told of it: code, class, sentence.
pub(super) fn of_row(error: &Json) -> Json {
    let code = error["statusCode"].as_str().or(error["errorCode"].as_str()).unwrap_or(UNNAMED).to_owned();
    let known = DIALECT.error(&code);
    let words = told(error);
    let locked = words.contains("UNABLE_TO_LOCK_ROW");
    let class = if locked { Server } else { known.map_or(Invalid, |row| row.class) };
    let message = match known {
        Some(row) if words.is_empty() => row.sentence.to_owned(),
        Some(row) => format!("{}: {words}", row.sentence),
        None => words,
    };
    serde_json::json!({ "code": code, "class": class.as_str(), "message": message, "fields": error.get("fields").cloned().unwrap_or_else(|| serde_json::json!([])) })
}
