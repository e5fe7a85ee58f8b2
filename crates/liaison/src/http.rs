//! The listening side: accepts connections, bounds them, and drains them on the way down.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};

/// Sending the head of a request may take so long; more is a client that only holds the place.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Open answers get so long to end when the process stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Takes the address.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "address {address} is in use, probably by another liaison. Stop that one, or choose another address with --listen"
        ),
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("listening on {address} is not permitted. Choose a port above 1023 with --listen")
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
    })
}

/// Serves until `stop` ends, then lets open answers end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(connections_max));
    let draining = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    tokio::pin!(stop);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.context("the server is closed")?,
            () = &mut stop => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file handles, or a connection that died at once: neither is a reason to stop.
                    tracing::warn!(%error, "http.accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let (builder, draining) = (builder.clone(), draining.watcher());
        tokio::spawn(async move {
            // Who says nothing at all only holds the place.
            if !matches!(tokio::time::timeout(HEADER_TIMEOUT, stream.peek(&mut [0])).await, Ok(Ok(1..))) {
                return;
            }
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let connection = draining.watch(connection);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "http.connection");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, draining.shutdown()).await.is_err() {
        tracing::warn!("http.drain: some answers did not end in time");
    }
    Ok(())
}
