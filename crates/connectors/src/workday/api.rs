//! How Workday is called and how it refuses, at each of its doors.

use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    Cx, Doubt, ErrorClass, Page, Secret, StepError,
    api::{Answer, Call, Dialect, ErrorRow, Header, Refusal, Sign, put_secret},
    http::Request,
};
use http::{Method, header};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{settings::Settings, soap};

/// A text of the input; empty when it is not there.
pub(super) fn text<'a>(input: &'a Json, name: &str) -> &'a str {
    input[name].as_str().unwrap_or_default()
}

/// Rows of a REST list asked for at once: the most there are.
pub(super) const REST_LIMIT: usize = 100;
/// Rows held at once when a list is not gone through page by page.
pub(super) const ROWS_MAX: usize = 10_000;

/// Adds the help that nearly always is the help.
const RIGHTS: &str = "Give the integration user's security group the domain (Get or Put) and, for changes, the business process, then run \"Activate Pending Security Policy Changes\".";

/// Every error Workday is known to answer. No list of it is public; these are what public projects met.
pub(super) const ERRORS: &[ErrorRow] = &[
    row(
        "INVALID_LOGIN",
        ErrorClass::Auth,
        "Workday did not accept the user name or the password",
        "Check that the user name ends with @ and the tenant, and that the password has not expired. Exempt this user from password expiry.",
    ),
    row(
        "TOKEN_REFUSED",
        ErrorClass::Auth,
        "Workday did not accept the access token",
        "Check the API client and its refresh token; a tenant that was refreshed from production has lost both.",
    ),
    row("PERMISSION_DENIED", ErrorClass::Denied, "Workday does not allow this to the integration user", RIGHTS),
    row("NOT_AUTHORIZED", ErrorClass::Denied, "Workday does not allow this operation to the integration user", RIGHTS),
    row("FIELDS_DENIED", ErrorClass::Denied, "Workday does not let the integration user read some of the fields", RIGHTS),
    row("VALIDATION", ErrorClass::Invalid, "Workday refused what was sent", "Correct what the message names, then try again."),
    row(
        "INVALID_ID",
        ErrorClass::Invalid,
        "Workday does not know an id that was sent",
        "Check the id and its type. WIDs differ between tenants: use reference ids in recipes.",
    ),
    row(
        "ANOTHER_EVENT",
        ErrorClass::Conflict,
        "another process of this kind is on its way for the worker",
        "Wait until it is approved or cancelled in Workday, then replay the run.",
    ),
    row(
        "WRONG_SERVICE",
        ErrorClass::Invalid,
        "the web service or its version does not have this operation",
        "Check the service's name, the operation and the version in the connection's settings.",
    ),
    row(
        "PROCESSING",
        ErrorClass::Server,
        "Workday could not process the request",
        "It is tried again. If it stays, look for the process in Workday.",
    ),
    row(
        "NOT_FOUND",
        ErrorClass::NotFound,
        "Workday has nothing under this id or address",
        "Check the id, the tenant, and that the integration user may see it.",
    ),
    row(
        "RATE_LIMIT",
        ErrorClass::RateLimited,
        "Workday asked to slow down",
        "Nothing to do; it is tried again. If it happens often, lower the budget of the connection.",
    ),
    row(
        "MAINTENANCE",
        ErrorClass::Server,
        "Workday is away, as in its weekly maintenance window",
        "Nothing to do; it is tried again. The window can last several hours from Friday night on.",
    ),
    row(
        "WQL_SYNTAX",
        ErrorClass::Invalid,
        "the query is not well written",
        "Correct it near the place that is named. WQL has no LIKE: use startsWith, contains, endsWith or in.",
    ),
    row(
        "WQL_FIELD",
        ErrorClass::Invalid,
        "the query names a field the data source does not have",
        "Take the fields from the data source's list.",
    ),
    row(
        "WQL_FILTER",
        ErrorClass::Invalid,
        "the data source needs a filter",
        "Write the filter in parentheses behind the data source: (dataSourceFilter = …).",
    ),
    row(
        "REPORT_NOT_FOUND",
        ErrorClass::NotFound,
        "Workday has no such report at this address",
        "Check the owner and the name: the owner in the address changes when the report gets another one, blanks become _. It must be an advanced report, enabled as a web service and shared with the integration user.",
    ),
    row(
        "REPORT_REFUSED",
        ErrorClass::Invalid,
        "Workday could not run the report as asked",
        "Check names and values of the prompts against \"View URLs\" of the report.",
    ),
];

const fn row(code: &'static str, class: ErrorClass, sentence: &'static str, next: &'static str) -> ErrorRow {
    ErrorRow { code, class, sentence, next }
}

/// How Workday refuses. Nothing says that it takes back what it began before it failed.
pub(super) const WORKDAY: Dialect = Dialect { system: "Workday", errors: ERRORS, refusal, fails_late: true };

fn refusal(answer: &Answer) -> Option<Refusal> {
    let body = answer.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&answer.body);
    let status = answer.status.as_u16();
    if status == 429 {
        return Some(Refusal::new("RATE_LIMIT", answer.peek().map(|body| words(&body)).unwrap_or_default()));
    }
    if body.trim_ascii_start().first() == Some(&b'<') {
        return match soap::fault(body) {
            Some(fault) => Some(fault),
            None if status == 503 => Some(Refusal::new("MAINTENANCE", "")),
            // A gateway's 502 and 504 say nothing of what Workday did; their status is judged.
            None => None,
        };
    }
    if status < 400 {
        return None;
    }
    let told = answer.peek().map(|body| words(&body)).unwrap_or_default();
    let code = match status {
        401 => return Some(Refusal::new("TOKEN_REFUSED", told).signed_out()),
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        // These are permanent although the status says otherwise.
        500 if told.contains("does not allow access to fields") => "FIELDS_DENIED",
        503 => "MAINTENANCE",
        400..=499 => code_of(&told),
        _ => return None,
    };
    Some(Refusal::new(code, told))
}

/// The code of a refused request by its words; Workday has none of its own.
pub(super) fn code_of(words: &str) -> &'static str {
    let low = words.to_lowercase();
    let known = [
        ("invalid wql syntax", "WQL_SYNTAX"),
        ("enter a valid report field", "WQL_FIELD"),
        ("specify a data source filter", "WQL_FILTER"),
        ("another event", "ANOTHER_EVENT"),
        ("web service or version is invalid", "WRONG_SERVICE"),
        ("is not a valid id value", "INVALID_ID"),
        ("not authorized", "NOT_AUTHORIZED"),
    ];
    known.iter().find(|(part, _)| low.contains(part)).map_or("VALIDATION", |(_, code)| code)
}

/// `{"error": …, "errors": [{"error": …}]}` as one text.
fn words(body: &Json) -> String {
    let list = body["errors"].as_array().into_iter().flatten().filter_map(|one| one["error"].as_str());
    let mut all: Vec<&str> = list.collect();
    if all.is_empty() {
        all.extend(body["error"].as_str());
        all.extend(body["error_description"].as_str());
    }
    all.dedup();
    all.join("; ")
}

/// The API client's token.
pub(super) struct Bearer;

#[async_trait]
impl Sign for Bearer {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        let settings = Settings::of(cx)?;
        let token = settings.client(cx)?.signed_in(&cx.http, refused, cx.left()).await?.access;
        let value = Secret::new(format!("Bearer {}", token.expose()));
        put_secret(&mut request.headers, &header::AUTHORIZATION, &value)?;
        Ok(Some(token))
    }
}

/// The integration user with its password where the connection has one, else the token.
pub(super) struct User;

#[async_trait]
impl Sign for User {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        let settings = Settings::of(cx)?;
        match settings.user() {
            Some((user, password)) => Header::basic(user, password).sign(cx, request, refused).await,
            None => Bearer.sign(cx, request, refused).await,
        }
    }
}

/// The same inside the header of a SOAP message.
pub(super) struct Envelope;

#[async_trait]
impl Sign for Envelope {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        let settings = Settings::of(cx)?;
        match settings.user() {
            Some((user, password)) => {
                request.body = Bytes::from(soap::with_user(&request.body, user, password));
                Ok(None)
            }
            None => {
                request.body = Bytes::from(soap::without_user(&request.body));
                Bearer.sign(cx, request, refused).await
            }
        }
    }
}

/// A REST call whose answer is JSON.
pub(super) async fn rest(
    cx: &Cx,
    method: Method,
    place: (&str, &[&str]),
    query: &[(&str, String)],
    body: Option<&Json>,
) -> Result<Json, StepError> {
    let reads = method == Method::GET;
    let done = async {
        let answer = send(cx, method, place, query, body).await?;
        match answer.status.as_u16() {
            204 => Ok(json!({})),
            _ => Some(answer.json()?).filter(Json::is_object).ok_or_else(|| answer.unreadable("it is no record")),
        }
    };
    // What only reads has changed nothing, whatever became of its answer.
    done.await.map_err(|error| if reads { StepError { doubt: Doubt::Settled, ..error } } else { error })
}

async fn send(
    cx: &Cx,
    method: Method,
    (service, parts): (&str, &[&str]),
    query: &[(&str, String)],
    body: Option<&Json>,
) -> Result<Answer, StepError> {
    let url = Settings::of(cx)?.rest(service, parts);
    let call = Call::new(cx, &WORKDAY, &Bearer, method, url).query(query.iter().map(|(name, value)| (*name, value.as_str())));
    let call = match body {
        Some(body) => call.json(body),
        None => call,
    };
    call.send().await
}

/// The rows of a list's or a query's answer, and the answer.
pub(super) async fn rows(
    cx: &Cx,
    method: Method,
    place: (&str, &[&str]),
    query: &[(&str, String)],
    body: Option<&Json>,
) -> Result<(Vec<Json>, Answer), StepError> {
    let answer = send(cx, method, place, query, body).await?;
    match answer.json()?.get_mut("data").map(Json::take) {
        Some(Json::Array(rows)) => Ok((rows, answer)),
        _ => Err(answer.unreadable("it holds no list of rows")),
    }
}

/// One page of a REST list; the cursor is the offset, and the first id of the page before.
pub(super) async fn page(
    cx: &Cx,
    (service, parts): (&str, &[&str]),
    query: &[(&str, String)],
    cursor: Option<Json>,
) -> Result<Page, StepError> {
    let cursor = cursor.unwrap_or_default();
    let offset = cursor["offset"].as_u64().unwrap_or_default();
    let mut query = query.to_vec();
    query.extend([("limit", REST_LIMIT.to_string()), ("offset", offset.to_string())]);
    let (items, answer) = rows(cx, Method::GET, (service, parts), &query, None).await?;
    let first = items.first().map_or(Json::Null, |row| row["id"].clone());
    if first.is_string() && first == cursor["first"] {
        return Err(answer.unreadable("it gives the page before again"));
    }
    // The total is not always right; a page that is not full is the last one.
    let next = (items.len() >= REST_LIMIT).then(|| json!({ "offset": offset + items.len() as u64, "first": first }));
    Ok(Page { items, next })
}

/// Workday's clock as an answer tells it; ours only where it does not.
pub(super) fn server_time(answer: &Answer, cx: &Cx) -> Timestamp {
    let told = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    told.and_then(|date| Timestamp::try_from(date).ok())
        .or_else(|| Timestamp::from_microsecond(cx.now_us()).ok())
        .unwrap_or_default()
}

/// What is wrong with an input before anything was sent.
pub(super) fn invalid(words: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Invalid, "INPUT_INVALID", words).with_next("Correct the step's input.")
}
