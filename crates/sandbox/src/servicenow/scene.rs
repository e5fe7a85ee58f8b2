//! A request to the instance, its answer, and what a handler works with.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{
    State,
    data::{Person, Record, stamp},
    evaluate::Ask,
    query::Query,
};
use crate::World;

/// One request, its address taken apart.
pub(super) struct Call {
    pub(super) method: Method,
    /// Percent-decoded, without the query.
    pub(super) path: String,
    /// The query as it came.
    pub(super) raw: String,
    pub(super) pairs: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn new(method: Method, target: &str, headers: HeaderMap, body: Bytes) -> Self {
        let (path, raw) = target.split_once('?').unwrap_or((target, ""));
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
        let pairs = form_urlencoded::parse(raw.as_bytes()).into_owned().collect();
        // For clients that can only send POST.
        let named = headers.get("x-http-method-override").and_then(|name| Method::from_bytes(name.as_bytes()).ok());
        let method = named.filter(|_| method == Method::POST).unwrap_or(method);
        Self { method, path: decoded, raw: raw.to_owned(), pairs, headers, body }
    }

    /// A parameter of the query; the first of its name.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// True for `true` in any case: one of the vendor's own clients writes `True`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.param(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Json, Refusal> {
        let kind = self.header("content-type");
        if !kind.is_empty() && !kind.to_ascii_lowercase().contains("json") {
            return Err(Refusal::new(415, "Unsupported media type", Some("The Content-Type of the request is not supported")));
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| Refusal::new(400, "Exception while reading request", Some("The payload is not valid JSON.")))
    }
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Json) -> Self {
        Self::text(status, "application/json;charset=UTF-8", body.to_string())
    }

    pub(super) fn text(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Self { status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), headers, body: body.into() }
    }

    pub(super) fn empty(status: u16) -> Self {
        let mut answer = Self::text(status, "application/json", "");
        answer.headers.clear();
        answer
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

/// A refusal in the vendor's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) detail: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>, detail: Option<&str>) -> Self {
        Self { status, message: message.into(), detail: detail.map(str::to_owned) }
    }

    pub(super) fn no_table(table: &str) -> Self {
        Self::new(400, format!("Invalid table {table}"), None)
    }

    pub(super) fn no_record() -> Self {
        Self::new(404, "No Record found", Some("Record doesn't exist or ACL restricts the record retrieval"))
    }

    pub(super) fn not_signed_in() -> Self {
        Self::new(401, "User Not Authenticated", Some("Required to provide Auth information"))
    }

    /// `what` is `Insert`, `Update` or `Delete`.
    pub(super) fn forbidden(what: &str) -> Self {
        Self::new(403, "Operation Failed", Some(&format!("ACL Exception {what} Failed due to security constraints")))
    }

    pub(super) fn no_method() -> Self {
        Self::new(405, "Method not supported", None)
    }

    pub(super) fn no_path() -> Self {
        Self::new(400, "Requested URI does not represent any resource", None)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let body = json!({"error": {"message": refusal.message, "detail": refusal.detail}, "status": "failure"});
        let answer = Self::json(refusal.status, &body);
        if refusal.status == 401 { answer.with("www-authenticate", "BASIC realm=\"Service-now\"") } else { answer }
    }
}

pub(super) type Answered = Result<Answer, Refusal>;

/// What a handler works with: the locked instance and whom it works for.
pub(super) struct Scene<'a> {
    pub(super) state: &'a mut State,
    pub(super) world: &'a World,
    /// What addresses in answers begin with, as the client wrote it.
    pub(super) base: String,
    pub(super) person: Person,
    pub(super) now: Timestamp,
}

impl Scene<'_> {
    pub(super) fn ask(&self) -> Ask<'_> {
        Ask {
            data: &self.state.data,
            person: &self.person,
            now: self.now,
            strict: self.state.settings.invalid_query_returns_no_rows,
        }
    }

    pub(super) fn stamp(&self) -> String {
        stamp(self.now)
    }

    /// A new `sys_id`.
    pub(super) fn new_id(&self) -> String {
        self.state.random.text("0123456789abcdef", 32)
    }

    /// Refuses a table that does not exist.
    pub(super) fn known(&self, table: &str) -> Result<(), Refusal> {
        self.state.data.schema.table(table).map(|_| ()).ok_or_else(|| Refusal::no_table(table))
    }

    /// A record this person may see.
    pub(super) fn seen(&self, table: &str, id: &str) -> Result<&std::sync::Arc<Record>, Refusal> {
        let record = self.state.data.find(table, id).ok_or_else(Refusal::no_record)?;
        if self.may_read(record) { Ok(record) } else { Err(Refusal::no_record()) }
    }

    /// True when access rules let this person see the record.
    pub(super) fn may_read(&self, record: &Record) -> bool {
        let needed = match record.class.as_str() {
            "sys_audit_delete" => "audit_reader",
            "sys_dictionary" | "sys_db_object" => "personalize_dictionary",
            "sys_script" | "sys_rate_limit_rules" => "rule_admin",
            "sys_properties" if record.get("is_private") == "true" => "admin",
            _ => "",
        };
        if !needed.is_empty() && !self.person.has(needed) {
            return false;
        }
        if self.person.has("admin") || self.state.settings.hidden.is_empty() {
            return true;
        }
        let hidden = self.state.settings.hidden.iter().filter(|(table, _)| self.state.data.schema.is_a(&record.class, table));
        hidden.into_iter().all(|(table, query)| !self.matches(table, query, record))
    }

    /// True when an encoded query finds the record.
    pub(super) fn matches(&self, table: &str, query: &str, record: &Record) -> bool {
        self.ask().fits(table, &Query::parse(query), record)
    }

    /// Refuses what this person may not do to a table. `what` is `Insert`, `Update` or `Delete`.
    pub(super) fn may_write(&self, table: &str, what: &str) -> Result<(), Refusal> {
        let schema = &self.state.data.schema;
        let role = match table {
            _ if schema.is_a(table, "sys_import_set_row") || table == "sys_import_set" => "import_transformer",
            "change_request" | "change_task" => "sn_change_write",
            _ if schema.is_a(table, "task") || schema.is_a(table, "cmdb_ci") => "itil",
            "sys_attachment" | "cmdb_rel_ci" | "sysapproval_approver" | "em_event" | "sys_email" => "itil",
            "sys_user" | "customer_contact" | "sys_user_group" | "sys_user_grmember" | "cmn_department" => "user_admin",
            "core_company" | "cmn_location" | "u_customer_invoice" => "company_admin",
            "sys_script" => "rule_admin",
            _ if table.starts_with("u_") => "itil",
            _ => "admin",
        };
        if self.person.has(role) { Ok(()) } else { Err(Refusal::forbidden(what)) }
    }
}
