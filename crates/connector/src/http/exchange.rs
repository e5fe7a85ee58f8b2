//! One request and its answer on one connection.

use ::http::{
    HeaderMap, HeaderValue, Method, Uri, Version,
    header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT},
    response::Parts,
};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use std::{sync::Arc, time::Duration};
use url::{Position, Url};

use super::{
    Inner, Request, Timer, body, connect,
    pool::{Lease, Origin},
    problem,
    stream::{self, Outgoing, Sink, Trouble},
};
use crate::{
    error::{Doubt, StepError},
    files::no_files,
};

/// Sends the request as it stands and reads the whole answer, or hands its body to the sink if that wants it.
pub(super) async fn exchange(
    inner: &Inner,
    request: &mut Request,
    timer: &mut Timer<'_>,
    sink: Option<&mut dyn Sink>,
) -> Result<(Parts, Bytes), StepError> {
    let origin = inner.pool.origin(&request.url, request.route.as_ref())?;
    let mut message = None;
    let trouble = Trouble::default();
    loop {
        let (mut lease, reused) = match timer.within(lease(inner, &origin, &request.url)).await {
            Some(lease) => lease?,
            None => return Err(problem::connect_timeout(&request.url, timer.length)),
        };
        let outgoing = match message.take() {
            Some(message) => message,
            None => outgoing(inner, request, &origin, &trouble)?,
        };
        let answer = match timer.within(call(&mut lease, outgoing, &origin)).await {
            None => return Err(problem::answer_timeout(&request.url, timer.length)),
            Some(answer) => answer,
        };
        match answer {
            Ok(answer) => {
                let (mut head, incoming) = answer.into_parts();
                let bytes_max = inner.options.response_bytes_max;
                let read = async {
                    match sink.filter(|sink| sink.wants(head.status)) {
                        Some(sink) => stream::pour(&request.url, &head, incoming, sink).await.map(|()| Bytes::new()),
                        None => body::read(&request.url, &mut head, incoming, bytes_max).await,
                    }
                };
                let body = match timer.within(read).await {
                    None => return Err(problem::answer_timeout(&request.url, timer.length)),
                    Some(body) => body?,
                };
                if let Lease::H1(sender) = lease {
                    inner.pool.put(&origin, sender, keep_alive(&head));
                }
                return Ok((head, body));
            }
            // Handed back untouched: the connection was gone before the request was written.
            Err((_, Some(unsent))) if reused => message = Some(unsent),
            Err((error, Some(_))) => return Err(problem::not_sent(&request.url, &error)),
            Err((error, None)) => {
                // Part of the request went out, but never its end.
                let own = trouble.lock().take().map(|own| StepError { doubt: Doubt::MayHaveHappened, ..own });
                return Err(own.unwrap_or_else(|| problem::lost(&request.url, &error)));
            }
        }
    }
}

/// An open connection that is ready to take a request, and whether it was used before.
async fn lease(inner: &Inner, origin: &Origin, url: &Url) -> Result<(Lease, bool), StepError> {
    if let Some(lease) = ready(origin).await {
        return Ok((lease, true));
    }
    if !origin.is_unexplored() {
        return connected(inner, origin, url).await;
    }
    let _opening = origin.opening.lock().await;
    match ready(origin).await {
        Some(lease) => Ok((lease, true)),
        None => connected(inner, origin, url).await,
    }
}

/// Kept out of every call's own memory: making a connection is rare and its state is large.
async fn connected(inner: &Inner, origin: &Origin, url: &Url) -> Result<(Lease, bool), StepError> {
    Box::pin(connect::connect(inner, origin, url)).await.map(|lease| (lease, false))
}

async fn ready(origin: &Origin) -> Option<Lease> {
    loop {
        let mut lease = origin.take()?;
        let ready = match &mut lease {
            Lease::H1(sender) => sender.ready().await,
            Lease::H2(sender) => sender.ready().await,
        };
        if ready.is_ok() {
            return Some(lease);
        }
    }
}

/// The request as hyper takes it. `Host` is set here and taken off again for HTTP/2.
fn outgoing(
    inner: &Inner,
    request: &mut Request,
    origin: &Origin,
    trouble: &Trouble,
) -> Result<::http::Request<Outgoing>, StepError> {
    let mut headers = if request.follow_redirects { request.headers.clone() } else { std::mem::take(&mut request.headers) };
    // The connection decides about these; a wrong one would let a second request hide inside the first.
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        headers.remove(name);
    }
    // Methods that usually carry a body say so when they carry none; some servers answer 411 otherwise (RFC 9110, 8.6).
    if request.body.is_empty() && request.pieces.is_none() && [Method::POST, Method::PUT, Method::PATCH].contains(&request.method)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, origin.authority.clone());
    }
    default_header(&mut headers, USER_AGENT, || inner.user_agent.clone());
    default_header(&mut headers, ACCEPT, || HeaderValue::from_static("*/*"));
    default_header(&mut headers, ACCEPT_ENCODING, || HeaderValue::from_static("gzip, br, zstd"));
    let proxy = origin.proxy(inner.options.proxy.as_ref()).filter(|_| !origin.https);
    // A proxy is told the whole address (RFC 9112, 3.2.2); inside a tunnel there is none.
    let target = match proxy {
        Some(_) => &request.url[..Position::AfterQuery],
        None => &request.url[Position::BeforePath..Position::AfterQuery],
    };
    if let Some(sign_in) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        let mut value =
            HeaderValue::from_str(sign_in.expose()).map_err(|_| problem::bad_url("the proxy's sign-in cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(PROXY_AUTHORIZATION, value);
    } else {
        headers.remove(PROXY_AUTHORIZATION);
    }
    let uri = Uri::try_from(target).map_err(|_| problem::bad_url("its path or query cannot be sent"))?;
    let body = match &request.pieces {
        None => Either::Left(Full::new(request.body.clone())),
        Some(pieces) => {
            let files = inner.files.get().ok_or_else(no_files)?;
            Either::Right(pieces.open(Arc::clone(files), Arc::clone(trouble)))
        }
    };
    let mut message = ::http::Request::new(body);
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri;
    *message.headers_mut() = headers;
    Ok(message)
}

fn default_header(headers: &mut HeaderMap, name: ::http::HeaderName, value: impl FnOnce() -> HeaderValue) {
    if let ::http::header::Entry::Vacant(slot) = headers.entry(name) {
        slot.insert(value());
    }
}

type Answer = Result<::http::Response<Incoming>, (hyper::Error, Option<::http::Request<Outgoing>>)>;

async fn call(lease: &mut Lease, message: ::http::Request<Outgoing>, origin: &Origin) -> Answer {
    let result = match lease {
        Lease::H1(sender) => sender.try_send_request(message).await,
        Lease::H2(sender) => sender.try_send_request(for_h2(message, origin)).await,
    };
    result.map_err(|mut error| {
        let message = error.take_message();
        (error.into_error(), message)
    })
}

/// HTTP/2 carries scheme and host in the address and has no `Host` (RFC 9113, 8.3.1).
fn for_h2(mut message: ::http::Request<Outgoing>, origin: &Origin) -> ::http::Request<Outgoing> {
    let host = message.headers_mut().remove(HOST).unwrap_or_else(|| origin.authority.clone());
    *message.version_mut() = Version::HTTP_2;
    let mut parts = std::mem::take(message.uri_mut()).into_parts();
    if let Ok(authority) = ::http::uri::Authority::try_from(host.as_bytes()) {
        parts.scheme = Some(if origin.https { ::http::uri::Scheme::HTTPS } else { ::http::uri::Scheme::HTTP });
        parts.authority = Some(authority);
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *message.uri_mut() = uri;
    }
    message
}

/// How long the other side says it keeps the connection (`Keep-Alive: timeout=5`), less a second.
fn keep_alive(head: &Parts) -> Option<Duration> {
    let text = head.headers.get("keep-alive")?.to_str().ok()?;
    let seconds: u64 = text.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}
