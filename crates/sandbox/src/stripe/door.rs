//! The HTTP side: key, version, limits, idempotency, then the operation.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::{
    Stripe,
    api::{API, Operation},
    check,
    error::{Refused, Result},
    files, form,
    keys::{self, Caller},
    rate::Class,
    repeat::{Answered, Claim, Use},
    thin,
};

/// Longest body of a form.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest upload; the vendor takes 16 MB for most purposes.
const UPLOAD_BYTES_MAX: usize = 17 * 1024 * 1024;

/// A request that has a caller.
pub(super) struct Asked {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    pub(super) id: String,
    pub(super) caller: Caller,
    pub(super) key: Option<String>,
}

/// What is answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(super) fn good(body: &Json) -> Self {
        Self { status: 200, body: body.to_string().into(), headers: Vec::new() }
    }

    pub(super) fn refused(refused: &Refused, request: &str) -> Self {
        Self { status: refused.status, body: refused.body(request).to_string().into(), headers: refused.more.headers.clone() }
    }
}

pub(super) async fn answer(State(stripe): State<Arc<Stripe>>, request: Request) -> Response {
    let id = format!("req_{}", stripe.text(14));
    let (parts, body) = request.into_parts();
    let echoed: Vec<(HeaderName, HeaderValue)> = ["stripe-version", "stripe-account", "idempotency-key"]
        .into_iter()
        .filter_map(|name| Some((HeaderName::from_static(name), parts.headers.get(name)?.clone())))
        .collect();
    let answer = match asked(&stripe, parts, body, &id).await {
        Ok(asked) => handled(&stripe, asked).await,
        Err(refused) => Answer::refused(&refused, &id),
    };
    let mut response = written(answer, &id, echoed, &stripe.settings().default_version);
    // The account's clock, which is that of the sandbox.
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(stripe.world.clock().now().into())) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// The answer with its headers.
pub(super) fn written(answer: Answer, id: &str, echoed: Vec<(HeaderName, HeaderValue)>, version: &str) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("access-control-allow-origin", HeaderValue::from_static("*"));
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put("request-id", id);
    put("stripe-version", version);
    for (name, value) in &answer.headers {
        put(lower(name), value);
    }
    for (name, value) in echoed {
        headers.insert(name, value);
    }
    response
}

fn lower(name: &'static str) -> &'static str {
    match name {
        "Stripe-Should-Retry" => "stripe-should-retry",
        "Stripe-Rate-Limited-Reason" => "stripe-rate-limited-reason",
        "Idempotent-Replayed" => "idempotent-replayed",
        "Original-Request" => "original-request",
        "Retry-After" => "retry-after",
        "Content-Type" => "content-type",
        _ => "stripe-notice",
    }
}

async fn asked(stripe: &Stripe, parts: Parts, body: Body, id: &str) -> Result<Asked> {
    let caller = stripe.keys().caller(&parts.headers)?;
    version(&parts.headers)?;
    let upload = parts.uri.path() == "/v1/files";
    let most = if upload { UPLOAD_BYTES_MAX } else { BODY_BYTES_MAX };
    let body =
        Limited::new(body, most).collect().await.map_err(|_| Refused::new(413, "invalid_request_error", "Request too large"))?;
    let key = parts.headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let key = key.filter(|key| !key.is_empty());
    Ok(Asked { parts, body: body.to_bytes(), id: id.to_owned(), caller, key })
}

fn version(headers: &HeaderMap) -> Result<()> {
    let Some(version) = headers.get("stripe-version") else { return Ok(()) };
    let version = version.to_str().unwrap_or_default();
    // Previews are named after a version; the sandbox answers all in the shape of the newest.
    let known = API.versions.iter().any(|known| known == version) || version.ends_with(".preview");
    if known {
        return Ok(());
    }
    let message =
        format!("Invalid Stripe API version: {version}. Available versions are listed at https://stripe.com/docs/upgrades");
    Err(Refused::invalid(message))
}

async fn handled(stripe: &Arc<Stripe>, asked: Asked) -> Answer {
    let id = asked.id.clone();
    let path = asked.parts.uri.path().to_owned();
    let done = if path.starts_with("/v2/") {
        thin::handled(stripe, asked).await
    } else if let Some(file) = path.strip_prefix("/v1/files/").and_then(|rest| rest.strip_suffix("/contents")) {
        files::contents(stripe, &asked, file)
    } else {
        operated(stripe, asked).await
    };
    done.unwrap_or_else(|refused| Answer::refused(&refused, &id))
}

fn limited(stripe: &Stripe, asked: &Asked, operation: &Operation) -> Result<()> {
    let class = match (operation.verb, operation.path.ends_with("/search")) {
        (_, true) => Class::Search,
        ("GET", _) => Class::Read,
        _ => Class::Write,
    };
    stripe.buckets.take(&asked.caller.account, class, stripe.now(), &stripe.settings())
}

async fn operated(stripe: &Arc<Stripe>, asked: Asked) -> Result<Answer> {
    let (verb, path) = (asked.parts.method.as_str(), asked.parts.uri.path());
    let Some((operation, ids)) = API.find(verb, path) else {
        let message = format!(
            "Unrecognized request URL ({verb}: {path}). Please see https://stripe.com/docs or we can help at \
             https://support.stripe.com/."
        );
        return Err(Refused::new(404, "invalid_request_error", message));
    };
    limited(stripe, &asked, operation)?;
    keys::allowed(&asked.caller, operation)?;
    let tree = tree(&asked)?;
    let claim = match claimed(stripe, &asked, &tree)? {
        Some(Use::Again(answered)) => return Ok(replayed(&answered)),
        Some(Use::First(claim)) => Some(claim),
        None => None,
    };
    // Refused before it began: the claim is dropped and the key is free.
    stripe.settings().drifted_fields.check(operation, &tree)?;
    let params = check::params(operation.params, tree)?;
    let pause = stripe.settings().work_ms;
    if operation.verb == "POST" && pause > 0 {
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let mut done = stripe.run(&asked, operation, &ids, params);
    if let Ok(body) = &mut done {
        stripe.settings().drifted_fields.show(body);
    }
    Ok(finished(claim, done, &asked.id))
}

/// The answer, kept for those who come with the same key.
fn finished(claim: Option<Claim>, done: Result, id: &str) -> Answer {
    let answer = match &done {
        Ok(body) => Answer::good(body),
        Err(refused) => Answer::refused(refused, id),
    };
    if let Some(claim) = claim
        && !matches!(answer.status, 401 | 429)
    {
        claim.answer(Answered { status: answer.status, body: answer.body.clone(), request: id.to_owned() });
    }
    answer
}

fn replayed(answered: &Answered) -> Answer {
    let headers = vec![("Idempotent-Replayed", "true".to_owned()), ("Original-Request", answered.request.clone())];
    Answer { status: answered.status, body: answered.body.clone(), headers }
}

/// The parameters: of a POST in its body, else in the address.
fn tree(asked: &Asked) -> Result<Map<String, Json>> {
    let unreadable = |why: form::Unreadable| Refused::invalid(why.0);
    let query = asked.parts.uri.query().unwrap_or_default().as_bytes();
    if asked.parts.method != http::Method::POST {
        return form::parsed(query).map_err(unreadable);
    }
    let kind = asked.parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("multipart/form-data") {
        return files::form(kind, &asked.body);
    }
    if !asked.body.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
        let message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have any \
                       questions, we can help at https://support.stripe.com/.";
        return Err(Refused::invalid(message));
    }
    let both = [query, &b"&"[..], &asked.body].concat();
    form::parsed(&both).map_err(unreadable)
}

fn claimed(stripe: &Stripe, asked: &Asked, tree: &Map<String, Json>) -> Result<Option<Use>> {
    let Some(key) = asked.key.as_deref().filter(|_| asked.parts.method == http::Method::POST) else {
        return Ok(None);
    };
    let print = Sha256::digest(format!("{} {} {}", asked.parts.method, asked.parts.uri.path(), sorted(tree)));
    let scope = format!("{} {}", asked.caller.account, asked.caller.key.live);
    stripe.repeats.begin(&scope, key, print.into(), stripe.now()).map(Some)
}

/// Parameters in one order: two requests that say the same are the same.
fn sorted(tree: &Map<String, Json>) -> String {
    let mut parts: Vec<String> = tree
        .iter()
        .map(|(name, value)| match value {
            Json::Object(inner) => format!("{name:?}:{{{}}}", sorted(inner)),
            value => format!("{name:?}:{value}"),
        })
        .collect();
    parts.sort();
    parts.join(",")
}
