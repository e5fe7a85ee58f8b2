//! Calls of an instance, and its refusals in words.

use ::http::Method;
use connector::{
    Cx, ErrorClass, StepError,
    api::{Answer, Call, Dialect, ErrorRow, Refusal, Sign},
    hint::{Hint, Window},
};
use serde_json::{Value as Json, json};
use url::Url;

use super::settings;

/// Longest query in an address; longer ones are refused by gateways on the way.
const QUERY_BYTES_MAX: usize = 8_000;
/// The fewest rows a page is cut to when the instance says that a query took too long.
const ROWS_LEAST: u64 = 50;

pub(super) const ERRORS: &[ErrorRow] = &[
    ErrorRow {
        code: "NOT_AUTHENTICATED",
        class: ErrorClass::Auth,
        sentence: "ServiceNow did not accept the sign-in",
        next: "Check the connection's credentials, and that its user is active and not locked: several wrong passwords lock it.",
    },
    ErrorRow {
        code: "INVALID_TABLE",
        class: ErrorClass::Invalid,
        sentence: "ServiceNow has no table of that name",
        next: "Check the table's name; it is the technical one, such as incident.",
    },
    ErrorRow {
        code: "NO_RECORD",
        class: ErrorClass::NotFound,
        sentence: "ServiceNow does not show that record: it is gone, or the integration user may not see it",
        next: "Check the sys_id and the table, and the user's roles.",
    },
    ErrorRow {
        code: "ACL_DENIED",
        class: ErrorClass::Denied,
        sentence: "ServiceNow does not allow the integration user to do that",
        next: "Have an administrator give the user the role the table's access rules ask for.",
    },
    ErrorRow {
        code: "BUSINESS_RULE",
        class: ErrorClass::Invalid,
        sentence: "A business rule of the instance stopped the change",
        next: "Correct the data the rule objects to, or have its owner look at the rule named here.",
    },
    ErrorRow {
        code: "DATA_POLICY",
        class: ErrorClass::Invalid,
        sentence: "A data policy of the instance asks for more fields",
        next: "Fill in the fields named here.",
    },
    ErrorRow {
        code: "INSERT_FAILED",
        class: ErrorClass::Conflict,
        sentence: "ServiceNow could not insert the record, mostly because one with the same unique value is there",
        next: "Look for a record with the same key; update that one instead.",
    },
    ErrorRow {
        code: "RATE_LIMIT",
        class: ErrorClass::RateLimited,
        sentence: "The instance's rate limit for this API is used up",
        next: "Nothing to do: it is tried again when the limit is whole. If it stays, have the rate limit rule raised.",
    },
    ErrorRow {
        code: "TOO_LONG",
        class: ErrorClass::Server,
        sentence: "ServiceNow stopped the query because it took too long",
        next: "It is tried again with smaller pages. If it stays, ask for fewer fields or narrow the filter.",
    },
    ErrorRow {
        code: "INVALID_PARAMETER",
        class: ErrorClass::Invalid,
        sentence: "ServiceNow does not take a value of the call",
        next: "Correct the value named here.",
    },
    ErrorRow {
        code: "STAGING_TABLE",
        class: ErrorClass::Invalid,
        sentence: "That table is no import set table",
        next: "Give a staging table: one that extends Import Set Row (sys_import_set_row).",
    },
    ErrorRow {
        code: "MANDATORY_VARIABLES",
        class: ErrorClass::Invalid,
        sentence: "The catalog item asks for answers that are missing",
        next: "Fill in the variables named here.",
    },
];

pub(super) const DIALECT: Dialect = Dialect { system: "ServiceNow", errors: ERRORS, refusal, fails_late: true };

/// Finds what an answer refuses. A query that took too long is told inside an answer of 200.
fn refusal(answer: &Answer) -> Option<Refusal> {
    let status = answer.status.as_u16();
    let body = answer.peek();
    let error = body.as_ref().map(|body| &body["error"]).filter(|error| error.is_object());
    if status < 400 && error.is_none() {
        // Rows came before the refusal did, so the whole is no JSON.
        let cut = "Transaction cancelled: maximum execution time exceeded";
        let broken = body.is_none() && answer.body.windows(cut.len()).any(|part| part == cut.as_bytes());
        return broken.then(|| Refusal::new("TOO_LONG", ""));
    }
    let text = |name: &str| error.and_then(|error| error[name].as_str()).unwrap_or_default();
    let (message, detail) = (text("message"), text("detail"));
    let code = code(status, message, detail);
    // A data record may have a field of that name; a refusal has the vendor's status beside it or an error status.
    if status < 400 && code.is_empty() {
        return None;
    }
    let words = match (code, message.is_empty(), detail.is_empty()) {
        ("NO_RECORD" | "NOT_AUTHENTICATED" | "TOO_LONG", ..) => String::new(),
        (_, false, false) if message != "Operation Failed" => format!("{message}: {detail}"),
        (_, _, false) => detail.to_owned(),
        _ => message.to_owned(),
    };
    let refusal = Refusal::new(code, words);
    Some(if code == "NOT_AUTHENTICATED" { refusal.signed_out() } else { refusal })
}

/// Our code for the vendor's words; empty when only the status speaks.
fn code(status: u16, message: &str, detail: &str) -> &'static str {
    let says = |words: &str| message.contains(words) || detail.contains(words);
    match status {
        401 => "NOT_AUTHENTICATED",
        429 => "RATE_LIMIT",
        _ if says("Transaction cancelled") => "TOO_LONG",
        ..400 => "",
        _ if says("aborted by Business Rule") => "BUSINESS_RULE",
        _ if says("Data Policy Exception") => "DATA_POLICY",
        _ if says("Error during insert") => "INSERT_FAILED",
        _ if says("ACL Exception") || says("ACL Validation") => "ACL_DENIED",
        _ if says("Staging table") => "STAGING_TABLE",
        _ if says("Mandatory Variables") => "MANDATORY_VARIABLES",
        400 if says("Invalid table") => "INVALID_TABLE",
        404 if says("No Record found") => "NO_RECORD",
        400 if says("Invalid value") => "INVALID_PARAMETER",
        _ => "",
    }
}

/// An input that cannot be sent.
pub(super) fn invalid(code: &str, message: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Invalid, code, message).with_next("Correct the input of the step.")
}

/// An instance, for one attempt.
pub(super) struct Api<'a> {
    pub(super) cx: &'a Cx,
    base: Url,
    sign: Box<dyn Sign>,
}

impl<'a> Api<'a> {
    pub(super) fn new(cx: &'a Cx) -> Result<Self, StepError> {
        Ok(Self { cx, base: settings::base(cx)?, sign: settings::sign(cx)? })
    }

    /// Whose dictionary is meant: the connection at this address.
    pub(super) fn place(&self) -> String {
        let name = self.cx.connection.as_ref().map(|connection| connection.name.as_str()).unwrap_or_default();
        format!("{name}\n{}", self.base)
    }

    /// A call of a path, each part of it one segment.
    pub(super) fn call(&self, method: Method, parts: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(parts);
        }
        Call::new(self.cx, &DIALECT, &*self.sign, method, url)
    }

    /// A call of an address that a step gave, below the instance.
    pub(super) fn call_path(&self, method: Method, path: &str) -> Result<Call<'_>, StepError> {
        let url = self.base.join(path).ok().filter(|url| url.origin() == self.base.origin() && url.path().starts_with("/api/"));
        let url =
            url.ok_or_else(|| invalid("PATH_INVALID", format!("the path \"{path}\" is not below /api/ of the instance")))?;
        Ok(Call::new(self.cx, &DIALECT, &*self.sign, method, url))
    }

    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, StepError> {
        let answer = call.send().await;
        if let Err(error) = &answer {
            self.hear(error);
        }
        answer
    }

    /// Deletes something; false when the instance itself says that it is not there, and that is fine. What an
    /// earlier try may have deleted is its doing. A gateway's page is no sign of either.
    pub(super) async fn delete(&self, path: &[&str], missing_is_fine: bool) -> Result<bool, StepError> {
        let ours = self.cx.in_doubt;
        let fine: &[u16] = if missing_is_fine || ours { &[404] } else { &[] };
        let answer = self.send(self.call(Method::DELETE, path).accepts(fine)).await?;
        match answer.status.as_u16() {
            204 if answer.body.is_empty() => Ok(true),
            404 if refusal(&answer).is_some_and(|refusal| refusal.code == "NO_RECORD") => Ok(ours),
            _ => Err(answer.unreadable("ServiceNow answers with 204 and nothing else, or names the record it does not find")),
        }
    }

    /// Tells the connection's budget that a limit is used up.
    pub(super) fn hear(&self, error: &StepError) {
        if error.class != ErrorClass::RateLimited {
            return;
        }
        let headers = error.response.as_ref().map(|response| &response["headers"]);
        let limit = headers.and_then(|headers| headers["x-ratelimit-limit"].as_str()).and_then(|text| text.parse().ok());
        if let Some(limit) = limit {
            self.cx.hint(Hint { window: Window::Short, limit, left: 0, resets_in: error.retry_after });
        }
    }

    /// Rows of a table, values and what people see of them. Gives the rows and how many there are before access rules.
    pub(super) async fn rows(&self, ask: &Ask<'_>) -> Result<Rows, StepError> {
        if ask.query.len() > QUERY_BYTES_MAX {
            let message =
                format!("the filter has {} characters; more than {QUERY_BYTES_MAX} do not fit into a call", ask.query.len());
            return Err(invalid("FILTER_TOO_LONG", message).with_next("Split the list of values and ask several times."));
        }
        let mut limit = ask.limit;
        loop {
            match self.rows_at_most(ask, limit).await {
                Err(error) if error.code == "TOO_LONG" && limit > ROWS_LEAST => limit = (limit / 2).max(ROWS_LEAST),
                other => return other,
            }
        }
    }

    async fn rows_at_most(&self, ask: &Ask<'_>, limit: u64) -> Result<Rows, StepError> {
        let numbers = [limit.to_string(), ask.offset.to_string()];
        let mut pairs = vec![
            ("sysparm_query", ask.query),
            ("sysparm_limit", &numbers[0]),
            ("sysparm_offset", &numbers[1]),
            ("sysparm_display_value", if ask.display { "all" } else { "false" }),
            ("sysparm_exclude_reference_link", "true"),
            ("sysparm_suppress_pagination_header", "true"),
        ];
        let fields = ask.fields.join(",");
        if !ask.fields.is_empty() {
            pairs.push(("sysparm_fields", &fields));
        }
        let answer = self.send(self.call(Method::GET, &["api", "now", "table", ask.table]).query(pairs)).await?;
        let body = answer.json()?;
        let rows = body
            .get("result")
            .and_then(Json::as_array)
            .cloned()
            .ok_or_else(|| answer.unreadable("it holds no list of records"))?;
        let total = answer.header("x-total-count").and_then(|text| text.parse().ok());
        let now_s = answer.header("date").and_then(|text| httpdate::parse_http_date(text).ok());
        let now_s =
            now_s.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).and_then(|at| i64::try_from(at.as_secs()).ok());
        Ok(Rows { rows, limit, total, now_s })
    }

    /// One record by its id, every field or the named ones.
    pub(super) async fn record(&self, table: &str, id: &str, fields: &[String]) -> Result<Json, StepError> {
        let mut pairs = SHOWN.map(|(name, value)| (name, value.to_owned())).to_vec();
        if !fields.is_empty() {
            pairs.push(("sysparm_fields", fields.join(",")));
        }
        let answer = self.send(self.call(Method::GET, &["api", "now", "table", table, id]).query(pairs)).await?;
        result(&answer)
    }

    /// Writes a record: POST without an id, PATCH with one. `shown`: the values are what people see.
    pub(super) async fn write(&self, table: &str, id: Option<&str>, body: &Json, shown: bool) -> Result<Json, StepError> {
        let path = ["api", "now", "table", table, id.unwrap_or_default()];
        let (method, path) = if id.is_some() { (Method::PATCH, &path[..]) } else { (Method::POST, &path[..4]) };
        let call = self.call(method, path).query(SHOWN).query(shown.then_some(("sysparm_input_display_value", "true")));
        let answer = self.send(call.json(body)).await?;
        result(&answer)
    }
}

/// How records are asked for: values and what people see, without links.
const SHOWN: [(&str, &str); 2] = [("sysparm_display_value", "all"), ("sysparm_exclude_reference_link", "true")];

/// What is wanted of a table.
pub(super) struct Ask<'a> {
    pub(super) table: &'a str,
    pub(super) query: &'a str,
    pub(super) fields: &'a [String],
    pub(super) limit: u64,
    pub(super) offset: u64,
    pub(super) display: bool,
}

/// A page of rows.
pub(super) struct Rows {
    pub(super) rows: Vec<Json>,
    /// How many were asked for in the end.
    pub(super) limit: u64,
    /// How many there are before access rules hide some.
    pub(super) total: Option<u64>,
    /// The instance's time, seconds since the epoch.
    pub(super) now_s: Option<i64>,
}

impl Rows {
    /// True when there are rows behind this page, seen or not.
    pub(super) fn more(&self, offset: u64) -> bool {
        match self.total {
            Some(total) => total > offset.saturating_add(self.limit),
            None => self.rows.len() as u64 >= self.limit,
        }
    }
}

/// The `result` of an answer.
pub(super) fn result(answer: &Answer) -> Result<Json, StepError> {
    let mut body = answer.json()?;
    match body.get_mut("result").map(Json::take) {
        Some(result) if !result.is_null() => Ok(result),
        _ => Err(answer.unreadable("it holds no result")),
    }
}

/// A table's name, checked: it becomes part of an address.
pub(super) fn table(input: &Json) -> Result<&str, StepError> {
    let name = input.get("table").and_then(Json::as_str).unwrap_or_default().trim();
    checked_table(name)
}

pub(super) fn checked_table(name: &str) -> Result<&str, StepError> {
    let fits = !name.is_empty() && name.len() <= 80 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits { Ok(name) } else { Err(invalid("TABLE_INVALID", format!("\"{name}\" cannot be the name of a table"))) }
}

/// A `sys_id`, checked.
pub(super) fn checked_id(id: &str) -> Result<&str, StepError> {
    let id = id.trim();
    let fits = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let message = || format!("\"{id}\" is no sys_id, which has 32 letters and digits");
    if fits {
        Ok(id)
    } else {
        Err(invalid("SYS_ID_INVALID", message()).with_next("Use search_records to find the record's sys_id."))
    }
}

/// A text of the input; empty when it is not there.
pub(super) fn word<'a>(input: &'a Json, name: &str) -> &'a str {
    input.get(name).and_then(Json::as_str).map(str::trim).unwrap_or_default()
}

pub(super) fn flag(input: &Json, name: &str, otherwise: bool) -> bool {
    input.get(name).and_then(Json::as_bool).unwrap_or(otherwise)
}

/// The texts of a list.
pub(super) fn words(input: &Json, name: &str) -> Vec<String> {
    let list = input.get(name).and_then(Json::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

/// A value of a body as ServiceNow keeps it: everything is a text, nothing is an empty one.
pub(super) fn as_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Array(list) => list.iter().map(as_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The id a record of a step gets: the same in every attempt.
pub(super) fn own_id(cx: &Cx, parts: &[&str]) -> String {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    hash.update(cx.idempotency_key.as_bytes());
    for part in parts {
        hash.update([0]);
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

/// A page of `{"records": […]}` as actions give it.
pub(super) fn records(records: Vec<Json>) -> Json {
    json!({"count": records.len(), "records": records})
}
