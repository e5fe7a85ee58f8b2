//! From HTTP to the handlers: bodies with bounds, sign-in, rate limits, and the way to each API.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State as AxumState},
    response::Response,
};
use bytes::Bytes;
use http::{Method, request::Parts};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde_json::json;

use super::{
    ServiceNow, State, attachment, batch, catalog, change, cmdb, import, oauth,
    scene::{Answer, Answered, Call, Refusal, Scene},
    stats, table,
};
use crate::{World, fault::Kind};

/// `glide.rest.max_content_length`, 10 MB unless changed.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Longest attachment; real instances take 1024 MB (`com.glide.attachment.max_size`).
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest path and query that is answered with more than a page.
const TARGET_BYTES_MAX: usize = 16 * 1024;
/// Whole seconds of an hour, for which rate limits count.
const HOUR_S: i64 = 3_600;

pub(super) async fn answer(AxumState(instance): AxumState<Arc<ServiceNow>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let now = instance.world.clock().now();
    if target.len() > TARGET_BYTES_MAX {
        return respond(now, page(414, "Request-URI Too Long"), false);
    }
    let most = if target.contains("/attachment/") { FILE_BYTES_MAX } else { BODY_BYTES_MAX };
    let Ok(body) = Limited::new(body, most).collect().await.map(http_body_util::Collected::to_bytes) else {
        let refusal = Refusal::new(413, "Request body too large", Some(&format!("At most {most} bytes are allowed")));
        return respond(now, refusal.into(), false);
    };
    let head = parts.method == Method::HEAD;
    let call = Call::new(parts.method, target, parts.headers, body);
    respond(now, instance.answer(&call), head)
}

/// The answer with the instance's own time, which clients go by.
fn respond(now: Timestamp, answer: Answer, head: bool) -> Response {
    let answer = answer.with("date", &now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    let body = if head { Bytes::new() } else { answer.body };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

fn page(status: u16, text: &str) -> Answer {
    let page = format!("<!DOCTYPE html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>");
    Answer::text(status, "text/html;charset=UTF-8", page)
}

impl ServiceNow {
    fn answer(&self, call: &Call) -> Answer {
        let mut state = self.state.lock();
        if state.settings.hibernating {
            return page(200, "Your instance is hibernating");
        }
        if let Some(answer) = oauth::serve(&mut state, &self.world, call) {
            return answer;
        }
        if !call.path.starts_with("/api/") {
            return page(404, "Not Found");
        }
        let base = state.settings.base_url.clone().unwrap_or_else(|| address(&self.world, call));
        self.signed_in(&mut state, call, base).unwrap_or_else(Into::into)
    }

    fn signed_in(&self, state: &mut State, call: &Call, base: String) -> Answered {
        let now = self.world.clock().now();
        let person = state.caller(call, now.as_second())?;
        let accept = call.header("accept").to_ascii_lowercase();
        if !(accept.is_empty() || accept.contains("json") || accept.contains("*/*") || call.path.contains("/attachment/")) {
            return Err(Refusal::new(406, "Not acceptable", Some("The requested media type is not supported")));
        }
        let mut scene = Scene { state, world: &self.world, base, person, now };
        import::settle(&mut scene);
        let limit = match rate(&mut scene, call) {
            Ok(limit) => limit,
            Err(refused) => return Ok(*refused),
        };
        let answer = route(&mut scene, call).unwrap_or_else(Into::into);
        Ok(match limit {
            Some((limit, reset, rule)) => answer
                .with("x-ratelimit-limit", &limit.to_string())
                .with("x-ratelimit-reset", &reset.to_string())
                .with("x-ratelimit-rule", &rule),
            None => answer,
        })
    }
}

/// What the client calls the instance.
fn address(world: &World, call: &Call) -> String {
    let host = call.header("host");
    if host.is_empty() {
        return world.url("servicenow");
    }
    let scheme = if call.header("x-forwarded-proto") == "https" { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// Limit, when it begins anew, and the rule's name; nothing where no rule is.
type Rated = Result<Option<(u64, i64, String)>, Box<Answer>>;

/// Counts a call against the hour's limit of its API.
fn rate(scene: &mut Scene<'_>, call: &Call) -> Rated {
    let Some((api, limit)) = api(&call.path).and_then(|api| Some((api, *scene.state.settings.rate_limits.get(api)?))) else {
        return Ok(None);
    };
    let now_s = scene.now.as_second();
    let hour = now_s - now_s.rem_euclid(HOUR_S);
    let rule = format!("{api} limit");
    let (since, count) = scene.state.calls.entry(api.to_owned()).or_insert((hour, 0));
    if *since != hour {
        (*since, *count) = (hour, 0);
    }
    *count += 1;
    let reset = hour + HOUR_S;
    if *count > limit {
        return Err(Box::new(too_many(api, limit, reset, Some(reset - now_s))));
    }
    Ok(Some((limit, reset, rule)))
}

fn too_many(api: &str, limit: u64, reset: i64, wait_s: Option<i64>) -> Answer {
    let detail = format!("Rate limit of {limit} requests per hour for {api} exceeded");
    let answer = Answer::from(Refusal::new(429, "Rate limit exceeded", Some(&detail)))
        .with("x-ratelimit-limit", &limit.to_string())
        .with("x-ratelimit-reset", &reset.to_string())
        .with("x-ratelimit-rule", &format!("{api} limit"));
    match wait_s {
        Some(wait_s) => answer.with("retry-after", &wait_s.to_string()),
        None => answer,
    }
}

/// The name rate limits know an API by.
fn api(path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix("/api/now/")?;
    let rest = rest.strip_prefix("v1/").or_else(|| rest.strip_prefix("v2/")).unwrap_or(rest);
    Some(match rest.split('/').next()? {
        "table" => "Table API",
        "stats" => "Aggregate API",
        "import" => "Import Set API",
        "attachment" => "Attachment API",
        "batch" => "Batch API",
        "cmdb" => "CMDB Instance API",
        _ => return None,
    })
}

/// To the handler of an address.
pub(super) fn route(scene: &mut Scene<'_>, call: &Call) -> Answered {
    let parts: Vec<&str> = call.path.split('/').filter(|part| !part.is_empty()).collect();
    let Some((&"api", parts)) = parts.split_first() else { return Err(Refusal::no_path()) };
    let (v1, parts) = match parts {
        ["now", "v1", rest @ ..] => (true, [&["now"], rest].concat()),
        ["now", "v2", rest @ ..] => (false, [&["now"], rest].concat()),
        _ => (false, parts.to_vec()),
    };
    match &parts[..] {
        ["now", "table", rest @ ..] => table::serve(scene, call, v1, rest),
        ["now", "stats", table] => stats::serve(scene, call, table),
        ["now", "attachment", rest @ ..] => attachment::serve(scene, call, rest),
        ["now", "import", rest @ ..] => import::serve(scene, call, rest),
        ["now", "batch"] => batch::serve(scene, call),
        ["now", "cmdb", rest @ ..] => cmdb::serve(scene, call, rest),
        ["now", "identifyreconcile", ..] => cmdb::reconcile(scene, call),
        ["now", "email"] => change::email(scene, call),
        ["now", "oauth", "jwks"] => Ok(Answer::json(200, &json!({"keys": []}))),
        ["global", "em", "jsonv2"] => change::events(scene, call),
        ["sn_chg_rest", rest @ ..] => change::serve(scene, call, rest),
        ["sn_sc", rest @ ..] => catalog::serve(scene, call, rest),
        _ => Err(Refusal::no_path()),
    }
}

/// The instance's words for a fault.
pub(super) fn refusal(instance: &ServiceNow, kind: &Kind, request: &Parts) -> Response {
    let api = api(request.uri.path()).unwrap_or("Table API");
    let now_s = instance.world.clock().now_s();
    let reset = now_s - now_s.rem_euclid(HOUR_S) + HOUR_S;
    let answer: Answer = match kind {
        Kind::RateLimited { retry_after } => {
            too_many(api, 100, reset, retry_after.map(|wait_s| i64::try_from(wait_s).unwrap_or(i64::MAX)))
        }
        Kind::DailyLimit => too_many(api, 10_000, reset, Some(reset - now_s)),
        Kind::ExpiredSession => Refusal::not_signed_in().into(),
        Kind::Denied => Refusal::forbidden(match request.method.as_str() {
            "POST" => "Insert",
            "DELETE" => "Delete",
            "GET" => "Query",
            _ => "Update",
        })
        .into(),
        Kind::Unavailable => page(503, "Service Unavailable"),
        _ => Refusal::new(500, "Internal Server Error", Some("An unexpected error occurred while processing the request")).into(),
    };
    respond(instance.world.clock().now(), answer, false)
}
