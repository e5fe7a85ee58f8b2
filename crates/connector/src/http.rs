//! The HTTP client connectors use: one per process, cheap to clone.
//!
//! It promises three things a general client does not. Every address is judged before a connection is
//! made, on every redirect too. A failure says whether the request can have had its effect
//! ([`Doubt`](crate::Doubt)): "certainly not" only when not one byte of it was handed to a connection.
//! Nothing runs while nobody calls: idle connections are dropped when the next call comes by or when the
//! other side closes them.
//!
//! It sits on hyper's connections with its own pool, because that costs little more than half the
//! processor time of the usual client per call: see `docs/decisions/0002-http-client.md`.

mod body;
mod connect;
mod dial;
mod exchange;
mod pool;
mod problem;
mod proxy;
mod redirect;
mod route;
mod stream;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use tokio::time::Sleep;
use url::Url;

use crate::{
    error::StepError,
    files::Files,
    hint::{Hint, Listener},
    net::AddressPolicy,
    oauth::{Keeper, Tokens},
};
use pool::Pool;
pub use route::{Proxy, Route, RouteOptions, Via};
pub use stream::{Piece, Pieces, Sink};

/// Largest answer body kept, after decompression.
pub const RESPONSE_BYTES_MAX: usize = 10_000_000;
/// Redirects followed in one call.
pub const REDIRECTS_MAX: u8 = 5;

/// How the client of a process behaves.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Which addresses may be called.
    pub policy: AddressPolicy,
    /// Sent when a request has no `User-Agent` of its own.
    pub user_agent: String,
    /// How long making a connection may take: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Largest answer body, after decompression.
    pub response_bytes_max: usize,
    /// Redirects followed in one call.
    pub redirects_max: u8,
    /// Connections kept open per address while nobody uses them.
    pub idle_per_host_max: usize,
    /// How long an unused connection is trusted. Short, because a connection that the other side is just
    /// closing turns a call into a doubtful one.
    pub idle_timeout: Duration,
    /// Certificates trusted besides the system's, each a PEM text (a company's own authority).
    pub extra_roots_pem: Vec<Vec<u8>>,
    /// The proxy all calls go through that say nothing else. The environment is never asked for one.
    pub proxy: Option<Proxy>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            policy: AddressPolicy::default(),
            user_agent: "Liaison".to_owned(),
            connect_timeout: Duration::from_secs(10),
            response_bytes_max: RESPONSE_BYTES_MAX,
            redirects_max: REDIRECTS_MAX,
            idle_per_host_max: 64,
            idle_timeout: Duration::from_secs(20),
            extra_roots_pem: Vec::new(),
            proxy: None,
        }
    }
}

/// Why the client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpProblem {
    /// The user agent holds characters a header may not.
    #[error("the user agent \"{0}\" cannot be sent as a header")]
    UserAgent(String),
    /// An extra certificate could not be read.
    #[error("an extra certificate could not be read: {0}")]
    Certificate(String),
    /// The TLS library refused its settings.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
    /// The proxy cannot be one.
    #[error("the proxy cannot be used: {0}")]
    Proxy(String),
}

/// One call to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The full address; user name and password in it are refused.
    pub url: Url,
    /// Headers. Values marked sensitive are dropped when a redirect leads to another host.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// The body when it is sent piece by piece; `body` is empty then.
    pub pieces: Option<Pieces>,
    /// For everything: connecting, sending, redirects and reading the answer.
    pub timeout: Duration,
    /// Follows redirects: all of them for GET and HEAD, only 307 and 308 for other methods.
    pub follow_redirects: bool,
    /// The way to the system, where it is not the usual one.
    pub route: Option<Arc<Route>>,
}

impl Request {
    /// A request without headers or body, 30 s, following redirects.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            pieces: None,
            timeout: Duration::from_secs(30),
            follow_redirects: true,
            route: None,
        }
    }
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers; `content-encoding` is gone when the body was decompressed.
    pub headers: HeaderMap,
    /// The whole body, decompressed.
    pub body: Bytes,
    /// The address that answered, after redirects.
    pub url: Url,
    /// False when a redirect led to another scheme, host or port, where credentials do not go along.
    pub first_origin: bool,
}

/// The shared client. Cloning copies a pointer.
#[derive(Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

struct Inner {
    options: HttpOptions,
    user_agent: HeaderValue,
    pool: Pool,
    tls: connect::Tls,
    tokens: Tokens,
    files: OnceLock<Arc<dyn Files>>,
    listener: OnceLock<Arc<dyn Listener>>,
    routes: parking_lot::Mutex<HashMap<u64, Arc<Route>>>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("policy", &self.inner.options.policy).finish_non_exhaustive()
    }
}

impl Http {
    /// Builds the client. Certificates are read when the first https call is made, so that a machine
    /// without any can still call plain http.
    ///
    /// # Errors
    /// When an option cannot be used.
    pub fn new(options: HttpOptions) -> Result<Self, HttpProblem> {
        let user_agent =
            HeaderValue::from_str(&options.user_agent).map_err(|_| HttpProblem::UserAgent(options.user_agent.clone()))?;
        let tls = connect::Tls::new(&options.extra_roots_pem)?;
        let pool = Pool::new(options.idle_per_host_max, options.idle_timeout);
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                user_agent,
                pool,
                tls,
                tokens: Tokens::default(),
                files: OnceLock::new(),
                listener: OnceLock::new(),
                routes: parking_lot::Mutex::default(),
            }),
        })
    }

    /// Which addresses this client may call.
    #[must_use]
    pub fn policy(&self) -> &AddressPolicy {
        &self.inner.options.policy
    }

    /// Says who keeps tokens for all processes. The first one stays.
    pub fn keep_tokens_with(&self, keeper: Arc<dyn Keeper>) {
        let _ = self.inner.tokens.keeper.set(keeper);
    }

    /// Somebody may have signed in to this connection anew, or changed it: its token is looked up before its next use.
    pub fn recheck_tokens(&self, connection: &str) {
        self.inner.tokens.recheck(connection);
    }

    /// Says where the contents of files are. The first one stays.
    pub fn keep_files_with(&self, files: Arc<dyn Files>) {
        let _ = self.inner.files.set(files);
    }

    /// Says who hears what systems tell of their limits. The first one stays.
    pub fn tell_limits_to(&self, listener: Arc<dyn Listener>) {
        let _ = self.inner.listener.set(listener);
    }

    pub(crate) fn hear(&self, connection: &str, hint: Hint) {
        if let Some(listener) = self.inner.listener.get() {
            listener.hear(connection, hint);
        }
    }

    /// Where the contents of files are, if this process keeps any.
    #[must_use]
    pub fn files(&self) -> Option<&Arc<dyn Files>> {
        self.inner.files.get()
    }

    /// The tokens of this process.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// Makes one call and reads the whole answer. Any status is an answer, not an error.
    ///
    /// # Errors
    /// When there is no whole answer; `class` and `doubt` say what kind of failure it is. `request` and
    /// `response` are left to the connector, which knows what must be masked.
    pub async fn send(&self, request: Request) -> Result<Response, StepError> {
        self.send_into(request, None).await
    }

    /// The same, with the body of an answer the sink wants handed to it as it comes; it is missing in the
    /// response then, and not unpacked.
    ///
    /// # Errors
    /// As there, and those of the sink.
    pub async fn send_into(&self, request: Request, mut sink: Option<&mut dyn Sink>) -> Result<Response, StepError> {
        let mut hop = request;
        let mut timer = Timer { sleep: std::pin::pin!(tokio::time::sleep(hop.timeout.min(TIMEOUT_MAX))), length: hop.timeout };
        let mut redirects = 0_u8;
        let mut first_origin = true;
        loop {
            let (head, body) = exchange::exchange(&self.inner, &mut hop, &mut timer, again(&mut sink)).await?;
            let target = if hop.follow_redirects { redirect::target(&hop, &head)? } else { None };
            let Some(next) = target else {
                return Ok(Response { status: head.status, headers: head.headers, body, url: hop.url, first_origin });
            };
            redirects += 1;
            if redirects > self.inner.options.redirects_max {
                return Err(problem::too_many_redirects(&hop.url, self.inner.options.redirects_max));
            }
            first_origin &= next.origin() == hop.url.origin();
            redirect::go(&mut hop, next);
        }
    }
}

/// A sink for one more answer.
#[must_use]
pub fn again<'a>(sink: &'a mut Option<&mut dyn Sink>) -> Option<&'a mut dyn Sink> {
    match sink {
        Some(sink) => Some(&mut **sink),
        None => None,
    }
}

/// A timer for longer than any attempt; beyond it clocks would overflow.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The one timer of a call, shared by all its phases.
struct Timer<'a> {
    sleep: Pin<&'a mut Sleep>,
    length: Duration,
}

impl Timer<'_> {
    /// The future's output, or `None` when the time is over first.
    async fn within<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.sleep.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}
