//! The faults, and what becomes of a step that meets one.

use std::time::Duration;

use connector::{Effect, ErrorClass};
use sandbox::{Kind, Recorded};

/// How long a step waits for an answer that never comes.
pub(crate) const SHORT_TIMEOUT: &str = "1500ms";

/// What an attempt makes of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Makes {
    /// Nothing: it goes through.
    Nothing,
    /// It fails with a class; the system said that nothing was done.
    Refused(ErrorClass),
    /// It fails with a class, and nobody knows whether it was done.
    Doubt(ErrorClass),
}

/// How the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Well, with the first attempt.
    AtOnce,
    /// The same, with one new sign-in.
    SignedIn,
    /// Well, with the second attempt, after one that failed with this class.
    Again(ErrorClass),
    /// The step failed for good with its first attempt.
    Failed(ErrorClass),
    /// Nobody knows, and it is not sent again.
    Uncertain(ErrorClass),
}

/// Every fault a request can meet. What moves the clock forward comes last: sessions end by that.
pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::ExpiredSession,
        Kind::Latency { ms: 30 },
        Kind::Bom,
        Kind::ServerError,
        Kind::Unavailable,
        Kind::Denied,
        Kind::Hang { ms: 60_000 },
        Kind::ResetBefore,
        Kind::ResetAfter,
        Kind::HalfAnswer,
        Kind::Truncated,
        Kind::Appended,
        Kind::Html,
        Kind::Empty,
        Kind::RateLimited { retry_after: None },
        Kind::RateLimited { retry_after: Some(7) },
        Kind::DailyLimit,
    ]
}

/// True when the system does what is asked, whatever becomes of the answer.
pub(crate) fn is_done_under(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Latency { .. } | Kind::Bom | Kind::ResetAfter | Kind::HalfAnswer | Kind::Truncated | Kind::Appended | Kind::Empty
    )
}

/// The pause a refusal asks for.
pub(crate) fn pause(kind: &Kind, struck: &Recorded) -> Option<Duration> {
    match kind {
        // NetSuite's SOAP tells no pause.
        Kind::RateLimited { .. } if struck.target.starts_with("/services/NetSuitePort_") => None,
        Kind::RateLimited { retry_after } => retry_after.map(Duration::from_secs),
        // The org counts the calls of the last 24 hours: there is no use in asking at once.
        Kind::DailyLimit if struck.vendor == "salesforce" => Some(Duration::from_secs(300)),
        _ => None,
    }
}

/// How a run ends whose step meets a fault once, at this request of it.
pub(crate) fn ends(kind: &Kind, name: &str, effect: Effect, before: &[Recorded], struck: &Recorded) -> Ends {
    let wrote = before.iter().any(writes);
    match makes(kind, name, struck) {
        Makes::Nothing if matches!(kind, Kind::ExpiredSession) => Ends::SignedIn,
        Makes::Nothing => Ends::AtOnce,
        Makes::Doubt(class) if effect == Effect::Once && (wrote || writes(struck)) => Ends::Uncertain(class),
        // A part of it is done, whatever became of the rest.
        Makes::Refused(class) if effect == Effect::Once && wrote => Ends::Uncertain(class),
        Makes::Refused(class) | Makes::Doubt(class) if class.is_transient() => Ends::Again(class),
        Makes::Refused(class) | Makes::Doubt(class) => Ends::Failed(class),
    }
}

fn makes(kind: &Kind, name: &str, struck: &Recorded) -> Makes {
    use ErrorClass::{Auth, Denied, Network, RateLimited, Server, Timeout};
    use Makes::{Doubt, Nothing, Refused};
    let row = (struck.vendor, name);
    match kind {
        Kind::HalfAnswer | Kind::Truncated | Kind::Appended | Kind::Empty if has_no_body(struck) => Nothing,
        // A comment behind XML changes nothing.
        Kind::Appended if header(struck, "content-type").contains("xml") => Nothing,
        Kind::Empty if ANYTHING.contains(&row) => Nothing,
        Kind::Html if ANY_PAGE.contains(&row) => Nothing,
        // A report has at least its heading.
        Kind::Empty if row == ("workday", "download_report") => Doubt(Server),
        Kind::Truncated | Kind::Appended | Kind::Empty if FILES.contains(&row) => Nothing,
        Kind::Bom if row == ("servicenow", "download_attachment") => Doubt(Server),
        Kind::Bom | Kind::Truncated | Kind::Appended if is_packed(row, struck) => Doubt(Network),
        Kind::ExpiredSession if !has_session(struck) => Refused(Auth),
        Kind::Latency { .. } | Kind::Bom | Kind::ExpiredSession => Nothing,
        Kind::RateLimited { .. } | Kind::DailyLimit => Refused(RateLimited),
        // Not every account may search; the list alone finds the address as it is written.
        Kind::Denied if row == ("stripe", "find_or_create_customer") && struck.target.contains("/search") => Nothing,
        // A role without SuiteQL is shown the catalog instead, and whom an API client may see is not asked.
        Kind::Denied if row == ("netsuite", "check_connection") && struck.target.contains("/suiteql") => Nothing,
        Kind::Denied if row == ("workday", "check_connection") && struck.target.contains("/ccx/api/") => Nothing,
        Kind::Denied => Refused(Denied),
        Kind::Unavailable => Refused(Server),
        // A page may be too large for it: half of it is asked for.
        Kind::ServerError | Kind::Hang { .. }
            if row == ("workday", "list_workers") && struck.body.contains("Get_Workers_Request") =>
        {
            Nothing
        }
        // These may say 500 after they did what was asked; the others' 500 means that nothing was.
        Kind::ServerError if matches!(struck.vendor, "netsuite" | "servicenow" | "workday") => Doubt(Server),
        Kind::ServerError => Refused(Server),
        Kind::Hang { .. } => Doubt(Timeout),
        Kind::ResetBefore | Kind::ResetAfter | Kind::HalfAnswer => Doubt(Network),
        Kind::Truncated | Kind::Appended | Kind::Html | Kind::Empty => Doubt(Server),
    }
}

/// What calls of one's own answer is not known here, so that nothing is an answer, too.
const ANYTHING: [(&str, &str); 8] = [
    ("netsuite", "call_restlet"),
    ("netsuite", "call_restlet#once"),
    ("netsuite", "custom_call"),
    ("netsuite", "custom_call#once"),
    ("salesforce", "call_apex_rest"),
    ("salesforce", "custom_request"),
    ("salesforce", "custom_request#once"),
    ("workday", "call_rest"),
];

/// The same, and a page may be what was wanted.
const ANY_PAGE: [(&str, &str); 3] =
    [("salesforce", "call_apex_rest"), ("salesforce", "custom_request"), ("salesforce", "custom_request#once")];

/// Files of which their system says neither length nor digest.
const FILES: [(&str, &str); 2] = [("salesforce", "download_file"), ("workday", "download_report")];

/// Their answers are long enough that the org packs them: one that was changed on its way cannot be unpacked.
const PACKED: [(&str, &str); 3] =
    [("salesforce", "describe_object"), ("salesforce", "run_report"), ("salesforce", "search_sosl")];

fn is_packed(row: (&str, &str), struck: &Recorded) -> bool {
    // What became of two hundred rows.
    let many = row.1.ends_with("#many") && struck.body.len().max(struck.target.len()) > 1_000;
    PACKED.contains(&row) || many
}

/// Looks again until something is ready, or asks for smaller pages or for something else, so that runs make more calls or
/// fewer.
pub(crate) fn waits(vendor: &str, name: &str) -> bool {
    matches!((vendor, name), ("salesforce", "bulk_query") | ("workday", "list_workers") | ("netsuite", "check_connection"))
}

/// True when what the call gives may be anything, under any fault.
pub(crate) fn gives_anything(vendor: &str, name: &str) -> bool {
    ANYTHING.contains(&(vendor, name)) || FILES.contains(&(vendor, name))
}

/// What a second try of an idempotent action leaves besides its effect: rows of these tables tell of each try.
pub(crate) fn tells_of_each_try(vendor: &str, name: &str, table: &str) -> bool {
    match (vendor, name) {
        ("servicenow", "import_rows#idempotent") => matches!(table, "sys_import_set" | "u_imp_customer"),
        ("workday", "set_account" | "set_account#create") => matches!(table, "events" | "transaction_log"),
        _ => false,
    }
}

/// It follows a job of the system over several calls, and looks by itself how the job stands when an answer is lost:
/// only the outcome is judged.
pub(crate) fn follows_a_job(vendor: &str, name: &str) -> bool {
    vendor == "salesforce" && name.starts_with("bulk_load")
}

/// It goes on after a call that failed and tells of each row, as none of those that were created may be created again.
pub(crate) fn tells_of_each_row(vendor: &str, name: &str) -> bool {
    (vendor, name) == ("salesforce", "batch_create#many")
}

/// It makes a text out of its input: no fault can reach it.
pub(crate) fn calls_nobody(vendor: &str, name: &str) -> bool {
    matches!((vendor, name), ("servicenow", "business_rule_script") | ("netsuite", "user_event_script"))
}

/// Keys and passwords are sent with each request: when one is refused, only a person can help.
fn has_session(request: &Recorded) -> bool {
    by_passport(request) || (request.vendor != "stripe" && header(request, "authorization").starts_with("Bearer"))
}

/// Signed in the message itself. NetSuite refuses too many calls like a wrong token, so it is asked once more with the same.
pub(crate) fn by_passport(request: &Recorded) -> bool {
    request.target.starts_with("/services/NetSuitePort_")
}

/// Of an answer that is nothing but a status, nothing can be spoilt.
fn has_no_body(request: &Recorded) -> bool {
    matches!(request.status, Some(202 | 204))
}

/// Whether a request changes something; queries do not, although they are posted.
pub(crate) fn writes(request: &Recorded) -> bool {
    request.method != "GET" && !request.target.contains("/suiteql") && !request.target.contains("/wql/")
}

/// A header of a request, or nothing.
pub(crate) fn header<'a>(request: &'a Recorded, name: &str) -> &'a str {
    request.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// The code of the error in a run: the system's own when it gives one.
pub(crate) fn code(kind: &Kind, struck: &Recorded) -> &'static str {
    let at = |part: &str| struck.target.contains(part);
    let soap = at("/services/NetSuitePort_") || (at("/ccx/service/") && !at("/customreport2/"));
    match (struck.vendor, kind) {
        ("netsuite", Kind::RateLimited { .. } | Kind::DailyLimit) if soap => "WS_REQUEST_BLOCKED",
        ("netsuite", Kind::RateLimited { .. } | Kind::DailyLimit) if at("/restlet") => "SSS_REQUEST_LIMIT_EXCEEDED",
        ("netsuite", Kind::RateLimited { .. } | Kind::DailyLimit) => "CONCURRENCY_LIMIT_EXCEEDED",
        ("netsuite", Kind::ServerError) => "UNEXPECTED_ERROR",
        ("netsuite", Kind::Unavailable) if soap => "HTTP_503",
        ("netsuite", Kind::Unavailable) => "SERVICE_UNAVAILABLE",
        ("netsuite", Kind::Denied) => "INSUFFICIENT_PERMISSION",
        ("netsuite", Kind::ExpiredSession) => "INVALID_LOGIN_ATTEMPT",
        ("salesforce", Kind::RateLimited { .. } | Kind::DailyLimit) => "REQUEST_LIMIT_EXCEEDED",
        ("salesforce", Kind::ServerError) => "UNKNOWN_EXCEPTION",
        ("salesforce", Kind::Unavailable) => "SERVER_UNAVAILABLE",
        ("salesforce", Kind::Denied) => "INSUFFICIENT_ACCESS",
        ("servicenow", Kind::RateLimited { .. } | Kind::DailyLimit) => "RATE_LIMIT",
        ("servicenow", Kind::ServerError) => "HTTP_500",
        ("servicenow", Kind::Unavailable) => "HTTP_503",
        ("servicenow", Kind::Denied) => "ACL_DENIED",
        ("stripe", Kind::RateLimited { .. } | Kind::DailyLimit) => "rate_limit",
        ("stripe", Kind::ServerError | Kind::Unavailable) => "api_error",
        ("stripe", Kind::Denied) => "permission_denied",
        ("stripe", Kind::ExpiredSession) => "api_key_expired",
        ("workday", Kind::RateLimited { .. } | Kind::DailyLimit) => "RATE_LIMIT",
        ("workday", Kind::ServerError) if soap => "PROCESSING",
        ("workday", Kind::ServerError) => "HTTP_500",
        ("workday", Kind::Unavailable) => "MAINTENANCE",
        ("workday", Kind::Denied) if soap => "NOT_AUTHORIZED",
        ("workday", Kind::Denied) if at("/api/wql/") => "FIELDS_DENIED",
        ("workday", Kind::Denied) => "PERMISSION_DENIED",
        ("workday", Kind::ExpiredSession) => "INVALID_LOGIN",
        _ => "",
    }
}
