//! Serves routers on sockets of their own, with faults and the record of requests laid around a vendor.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    Vendor, World,
    fault::Kind,
    recorder::{BODY_BYTES_MAX, Recorded},
};

/// Requests with longer bodies are passed on without a look at what they hold.
const LOOKED_AT_BYTES_MAX: usize = 256 * 1024;
/// Longest wait a fault can ask for.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// The tasks of a sandbox.
#[derive(Default)]
pub(crate) struct Servers {
    tasks: JoinSet<()>,
    over: CancellationToken,
}

pub(crate) async fn listen((host, port): (IpAddr, u16)) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(host, port))
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("the sandbox cannot listen on {host}:{port}: {error}")))
}

pub(crate) fn url(socket: &TcpListener) -> io::Result<Url> {
    Url::parse(&format!("http://{}", socket.local_addr()?)).map_err(io::Error::other)
}

impl Servers {
    pub(crate) fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let over = self.over.clone();
        self.tasks.spawn(async move {
            tokio::select! { () = over.cancelled() => {}, () = task => {} }
        });
    }

    pub(crate) fn serve(&mut self, socket: TcpListener, router: Router) {
        self.run(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = socket.accept() => match accepted {
                        Ok((stream, _)) => { connections.spawn(connection(stream, router.clone())); }
                        // Out of file handles: others may close some.
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
    }

    pub(crate) async fn stop(mut self) {
        self.over.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Ends the connection a request came by.
#[derive(Clone, Default)]
pub(crate) struct Line {
    cut: CancellationToken,
    reset: Arc<AtomicBool>,
}

impl Line {
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
        self.cut.cancel();
    }
}

/// A socket that is reset instead of closed when it was told to.
struct Socket {
    stream: TcpStream,
    line: Line,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.line.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let _ = stream.set_nodelay(true);
    let line = Line::default();
    let socket = Socket { stream, line: line.clone() };
    let service = TowerToHyperService::new(router.layer(axum::Extension(line.clone())));
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
    tokio::select! { _ = served => {}, () = line.cut.cancelled() => {} }
}

#[derive(Clone)]
struct Around {
    world: Arc<World>,
    vendor: Arc<dyn Vendor>,
}

pub(crate) fn vendor_router(world: &Arc<World>, vendor: &Arc<dyn Vendor>) -> Router {
    let around = Around { world: world.clone(), vendor: vendor.clone() };
    vendor.clone().router().layer(middleware::from_fn_with_state(around, meet))
}

async fn meet(
    State(around): State<Around>,
    axum::Extension(line): axum::Extension<Line>,
    request: Request,
    next: Next,
) -> Response {
    let Around { world, vendor } = around;
    let (request, body) = looked_at(request).await;
    let (method, target) = (request.method().as_str().to_owned(), request.uri().to_string());
    let fault = world.faults().meet(vendor.id(), &method, &target, &body);
    let number = world.recorder().begin(Recorded {
        number: 0,
        vendor: vendor.id(),
        method,
        target,
        headers: readable(request.headers()),
        body: String::from_utf8_lossy(&body[..body.len().min(BODY_BYTES_MAX)]).into_owned(),
        status: None,
        fault: None,
    });
    let name = fault.as_ref().map(Kind::name);
    let answer = with_fault(&*vendor, fault, &line, request, next).await;
    world.recorder().finish(number, answer.as_ref().map(|answer| answer.status().as_u16()), name);
    match answer {
        Some(answer) => answer,
        // A broken line has no answer; any would race with the end of the connection, which drops this.
        None => std::future::pending().await,
    }
}

/// The request, and its body when it is short enough to look at.
async fn looked_at(request: Request) -> (Request, Bytes) {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if !length.is_some_and(|length| length > 0 && length <= LOOKED_AT_BYTES_MAX) {
        return (request, Bytes::new());
    }
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    (Request::from_parts(parts, Body::from(body.clone())), body)
}

fn readable(headers: &http::HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// The answer, `None` when the connection was reset.
async fn with_fault(vendor: &dyn Vendor, fault: Option<Kind>, line: &Line, request: Request, next: Next) -> Option<Response> {
    let Some(fault) = fault else {
        return Some(next.run(request).await);
    };
    match fault {
        Kind::Latency { ms } => {
            tokio::time::sleep(Duration::from_millis(ms).min(WAIT_MAX)).await;
            Some(next.run(request).await)
        }
        Kind::Hang { ms } => {
            tokio::time::sleep(Duration::from_millis(ms).min(WAIT_MAX)).await;
            reset(line)
        }
        Kind::ResetBefore => reset(line),
        Kind::ResetAfter => {
            drop(next.run(request).await);
            reset(line)
        }
        Kind::Html => Some(html()),
        Kind::HalfAnswer => Some(half(next.run(request).await).await),
        Kind::Truncated => Some(changed(next.run(request).await, |body| body.slice(..body.len() / 2)).await),
        Kind::Appended => Some(changed(next.run(request).await, |body| [&body[..], b"\n<!-- proxy -->"].concat().into()).await),
        Kind::Bom => Some(changed(next.run(request).await, |body| ["\u{feff}".as_bytes(), &body[..]].concat().into()).await),
        Kind::Empty => Some(changed(next.run(request).await, |_| Bytes::new()).await),
        refused => Some(vendor.refusal(&refused, &request.into_parts().0)),
    }
}

fn reset(line: &Line) -> Option<Response> {
    line.reset();
    None
}

fn html() -> Response {
    let page = "<!DOCTYPE html><html><head><title>Service Unavailable</title></head><body><h1>We are down for maintenance</h1></body></html>";
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], page).into_response()
}

async fn collected(response: Response) -> (http::response::Parts, Bytes) {
    let (parts, body) = response.into_parts();
    (parts, body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default())
}

async fn changed(response: Response, change: impl FnOnce(Bytes) -> Bytes) -> Response {
    let (mut parts, body) = collected(response).await;
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(change(body)))
}

/// The whole length is promised, half of it comes, then the connection breaks.
async fn half(response: Response) -> Response {
    let (mut parts, body) = collected(response).await;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let first = body.slice(..body.len() / 2);
    let pieces = futures_util::stream::iter([Ok(first), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
    Response::from_parts(parts, Body::from_stream(pieces))
}
