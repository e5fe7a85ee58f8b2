//! HTTP: API, webhooks and pages.
//!
//! Routes, sessions and words; no SQL and no connector by name. [`router`] is the whole of it.

pub mod access;
mod answer;
mod api;
pub mod assets;
mod callbacks;
pub mod detail;
mod error;
mod hooks;
mod inbound;
mod meta;
pub mod pages;
mod ready;
mod state;
mod ui;
mod watch;

use std::{any::Any, collections::BTreeMap, panic::AssertUnwindSafe, time::Instant};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use engine::ToItsEnd;
use futures_util::FutureExt;
use metrics::Histogram;
use parking_lot::RwLock;
use tower_http::{compression::CompressionLayer, csrf::CsrfLayer};

pub use crate::{
    error::{ApiError, ErrorBody, ErrorDetail, ErrorInfo},
    inbound::InboundSettings,
    state::{App, ServerSettings, Shared},
};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Marks an error answer whose body says more than the usual one; only its request id is filled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepsItsBody;

/// The id of a request, for handlers that show it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// What a process answers besides its health and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Doors {
    /// Webhooks and callbacks.
    pub ingress: bool,
    /// The API.
    pub api: bool,
    /// The pages people see.
    pub ui: bool,
}

impl Doors {
    /// Everything.
    pub const ALL: Self = Self { ingress: true, api: true, ui: true };
    /// Health and metrics only.
    pub const NONE: Self = Self { ingress: false, api: false, ui: false };
}

/// What a process answers at the doors it has open.
pub fn router(app: Shared, doors: Doors) -> Router {
    let mut inside = meta::health();
    if doors.api || doors.ui {
        let (api, document) = api::router();
        // The document never changes while the process runs.
        let _ = app.openapi.set(document.to_pretty_json().unwrap_or_default());
        inside = inside.merge(meta::documents());
        if doors.api {
            inside = inside.merge(api);
        }
        if doors.ui {
            inside = inside.merge(ui::router());
        }
    }
    let mut router = Router::new();
    if doors.ingress {
        // Webhooks come from strangers in great numbers: nothing that only pages need stands before them.
        router = router
            .route("/hooks/{recipe}", any(hooks::receive))
            .route("/hooks/{recipe}/{*rest}", any(hooks::receive))
            .route("/callbacks/{run}/{path}/{proof}", any(callbacks::receive));
    }
    router = router.merge(inside.layer(CsrfLayer::new()).layer(CompressionLayer::new()));
    if doors.ui {
        router = router.route("/assets/{*path}", get(assets::serve)).fallback(nothing_here);
    } else {
        router = router.fallback(nothing_at);
    }
    router
        .method_not_allowed_fallback(wrong_method)
        // One for all: each layer is cloned, boxed and called for every request.
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// What a library says of a request it refuses is no longer than this.
const PLAIN_BYTES_MAX: usize = 4_096;

async fn nothing_here(State(app): State<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if wants_page(parts.uri.path()) {
        return ui::not_here(&app, &parts).await;
    }
    nothing_at(parts.uri).await.into_response()
}

async fn nothing_at(at: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("There is nothing at {}.", at.path()))
}

async fn wrong_method(request: Request) -> Response {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        format!("{} cannot be used on {}. See /docs/api for what can.", request.method(), request.uri().path()),
    )
    .into_response()
}

fn panicked(panic: &(dyn Any + Send), request_id: &str) -> Response {
    let reason =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
    tracing::error!(reason, request_id, "http.panic: a handler panicked");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Liaison failed. The log has the details under this request id.")
        .into_response()
}

fn wants_page(path: &str) -> bool {
    !(path.starts_with("/api/")
        || path.starts_with("/hooks/")
        || path.starts_with("/callbacks/")
        || path.starts_with("/schema/")
        || path.starts_with("/assets/"))
}

/// Answers a request, whatever becomes of its handler. What changes something is carried out whole, also when whoever
/// asked for it has gone away meanwhile.
async fn answered(request: Request, next: Next, id: String) -> Response {
    let safe = request.method().is_safe();
    // A panic is told also when nobody waits for the answer any more.
    let running = AssertUnwindSafe(next.run(request)).catch_unwind();
    let running = running.map(move |ran| ran.unwrap_or_else(|panic| panicked(&*panic, &id)));
    if safe { running.await } else { ToItsEnd::new(running).await }
}

/// What stands around every request: it is carried out, finished, counted and timed, by route and never by address.
async fn around(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let began = Instant::now();
    let response = finished(&app, request, next).await;
    seconds(route.as_ref().map_or("none", MatchedPath::as_str), response.status()).record(began.elapsed());
    response
}

/// How long answers of a route took. Kept by route and class of status, because to find it among all there are costs more
/// than to count; there are as many routes as the program has.
fn seconds(route: &str, status: StatusCode) -> Histogram {
    static KNOWN: RwLock<BTreeMap<String, [Option<Histogram>; STATUS_CLASSES.len()]>> = RwLock::new(BTreeMap::new());
    let class = (usize::from(status.as_u16() / 100)).clamp(1, STATUS_CLASSES.len()) - 1;
    if let Some(known) = KNOWN.read().get(route).and_then(|classes| classes[class].clone()) {
        return known;
    }
    let made = metrics::histogram!("liaison_http_seconds", "route" => route.to_owned(), "status" => STATUS_CLASSES[class]);
    KNOWN.write().entry(route.to_owned()).or_default()[class] = Some(made.clone());
    made
}

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Gives every answer its request id, and writes the body of every error.
async fn finished(app: &Shared, mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| !text.is_empty() && text.len() <= 128 && text.chars().all(|char| char.is_ascii_graphic()))
        .map_or_else(|| format!("req_{:016x}", random(app)), str::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let page = wants_page(request.uri().path());
    let visit = page.then(|| ui::Visit::new(request.method(), request.uri(), request.headers(), &id));
    let mut response = answered(request, next, id.clone()).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let headers = response.headers().clone();
        let limited = error.status == StatusCode::TOO_MANY_REQUESTS;
        response = match &visit {
            Some(visit) => Box::pin(ui::error(app, visit, &error)).await,
            None => (error.status, Json(error.body(&id))).into_response(),
        };
        for name in [axum::http::header::RETRY_AFTER, axum::http::header::WWW_AUTHENTICATE] {
            if let Some(value) = headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        if limited {
            tell_limit(app, error.retry_after_s, response.headers_mut());
        }
    } else if is_plain_refusal(&response) && !page {
        // What cannot be read of a path or a query is refused before any of our code sees it.
        let (parts, body) = response.into_parts();
        let said = axum::body::to_bytes(body, PLAIN_BYTES_MAX).await.unwrap_or_default();
        let sentence = format!("The request cannot be read: {}.", String::from_utf8_lossy(&said).trim_end_matches('.'));
        response = (parts.status, Json(ApiError::new(parts.status, "BAD_REQUEST", sentence).body(&id))).into_response();
    } else if response.status() == StatusCode::FORBIDDEN && response.extensions().get::<KeepsItsBody>().is_none() {
        // The cross-site guard answers by itself.
        let error =
            ApiError::new(StatusCode::FORBIDDEN, "CROSS_SITE", "This request came from another site's page and was refused.");
        response = match &visit {
            Some(visit) => Box::pin(ui::error(app, visit, &error)).await,
            None => (error.status, Json(error.body(&id))).into_response(),
        };
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    response
}

/// Tells a sender that is turned away what there is room for: runs that wait. As in
/// draft-ietf-httpapi-ratelimit-headers-07; the time is in seconds from now.
fn tell_limit(app: &App, retry_after_s: Option<u64>, headers: &mut HeaderMap) {
    let most = u64::from(app.engine.settings().backlog_max);
    for (name, number) in [("ratelimit-limit", most), ("ratelimit-remaining", 0), ("ratelimit-reset", retry_after_s.unwrap_or(1))]
    {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
    }
}

/// A refusal of a library's, in plain text.
fn is_plain_refusal(response: &Response) -> bool {
    let kind = response.headers().get(axum::http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    response.status().is_client_error()
        && response.extensions().get::<KeepsItsBody>().is_none()
        && kind.is_some_and(|kind| kind.starts_with("text/plain"))
}

fn random(app: &App) -> u64 {
    let bytes = app.engine.random();
    bytes.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Arc,
    };

    use axum::{body::Body, middleware::from_fn};
    use parking_lot::Mutex;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::Notify,
    };
    use tower::ServiceExt;

    use super::*;

    async fn layer(request: Request, next: Next) -> Response {
        answered(request, next, "req_test".to_owned()).await
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_for() {
        // The place that logs belongs to whichever test comes to it first.
        let _logged = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(io::sink).finish());
        let panics = async |request: Request| {
            assert!(request.uri().path() != "/", "of a test");
            StatusCode::OK
        };
        let router = Router::new().route("/", any(panics)).layer(from_fn(layer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        for method in ["GET", "POST"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("{method} / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 500 "), "{method}: {answer:?}");
        }
        server.abort();
    }

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_panic_is_logged_under_its_request_id_also_when_its_sender_has_gone() {
        let log = Log::default();
        let writer = log.clone();
        let _logged = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(move || writer.clone()).finish());
        let (entered, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (enters, waits) = (Arc::clone(&entered), Arc::clone(&released));
        let panics = async move |request: Request| {
            enters.notify_one();
            waits.notified().await;
            assert!(request.uri().path() != "/", "of a test");
            StatusCode::OK
        };
        let router = Router::new().route("/", any(panics)).layer(from_fn(layer));
        let request = Request::post("/").body(Body::empty()).unwrap();
        let mut call = Box::pin(router.oneshot(request));
        tokio::select! {
            answer = &mut call => panic!("answered before it was to be: {answer:?}"),
            () = entered.notified() => {}
        }
        drop(call);
        released.notify_one();
        let logged = tokio::time::timeout(std::time::Duration::from_secs(10), async {
            while !log.0.lock().windows(10).any(|part| part == b"http.panic") {
                tokio::task::yield_now().await;
            }
        });
        logged.await.expect("the panic is logged");
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        assert!(text.contains("req_test") && text.contains("of a test"), "{text}");
    }
}
