//! Makes one connection: name, address check, TCP, TLS, protocol.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OnceCell,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Host, Url};

use super::{
    HttpProblem, Inner,
    pool::{Lease, Origin},
    problem, proxy,
    route::Identity,
};
use crate::{error::StepError, net::NetProblem};

/// How long one address may stay silent before the next one is tried beside it (RFC 8305, section 8).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// TLS settings, read when first needed: the system's certificates cost some 5 ms of processor time.
pub(super) struct Tls {
    extra: Arc<[CertificateDer<'static>]>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(extra_pem: &[Vec<u8>]) -> Result<Self, HttpProblem> {
        let mut extra = Vec::new();
        for pem in extra_pem {
            let before = extra.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                extra.push(certificate.map_err(|error| HttpProblem::Certificate(error.to_string()))?);
            }
            if extra.len() == before {
                return Err(HttpProblem::Certificate("it holds no PEM certificate".to_owned()));
            }
        }
        let mut probe = RootCertStore::empty();
        for certificate in &extra {
            probe.add(certificate.clone()).map_err(|error| HttpProblem::Certificate(error.to_string()))?;
        }
        Ok(Self { extra: extra.into(), config: OnceCell::new() })
    }

    async fn config(&self) -> io::Result<Arc<ClientConfig>> {
        self.config
            .get_or_try_init(|| async {
                let extra = Arc::clone(&self.extra);
                tokio::task::spawn_blocking(move || client_config(&extra, None, false)).await.map_err(io::Error::other)?
            })
            .await
            .cloned()
    }
}

pub(super) fn client_config(
    extra: &[CertificateDer<'static>],
    identity: Option<Identity>,
    tls13_only: bool,
) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if usable == 0 {
        tracing::info!("this machine has no certificate store; the built-in list of authorities is used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots.add_parsable_certificates(extra.iter().cloned());
    let versions = if tls13_only { &[&rustls::version::TLS13][..] } else { rustls::DEFAULT_VERSIONS };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(io::Error::other)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A new connection to the origin; nothing of the request is sent.
pub(super) async fn connect(inner: &Inner, origin: &Origin, url: &Url) -> Result<Lease, StepError> {
    let limit = inner.options.connect_timeout;
    match tokio::time::timeout(limit, open(inner, origin, url)).await {
        Ok(result) => result,
        Err(_) => Err(problem::connect_timeout(url, limit)),
    }
}

async fn open(inner: &Inner, origin: &Origin, url: &Url) -> Result<Lease, StepError> {
    let tcp = reached(inner, origin, url).await?;
    if !origin.https {
        return single(tcp, origin, url).await;
    }
    let tls = trusted(inner, origin, url, tcp).await?;
    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        return single(tls, origin, url).await;
    }
    let sender = multiplexed(tls, url).await?;
    origin.share(&sender);
    Ok(Lease::H2(sender))
}

/// A connection to the system, or to it through the proxy; nothing is sent on it.
pub(super) async fn reached(inner: &Inner, origin: &Origin, url: &Url) -> Result<TcpStream, StepError> {
    let tcp = match origin.proxy(inner.options.proxy.as_ref()) {
        Some(proxy) => proxy::open(inner, origin, url, proxy).await?,
        None => {
            let addresses = addresses(inner, origin, url).await?;
            tcp(&addresses).await.map_err(|error| problem::connect(url, &error))?
        }
    };
    tcp.set_nodelay(true).map_err(|error| problem::connect(url, &error))?;
    Ok(tcp)
}

/// TLS on such a connection, as the origin's route or the process trusts.
pub(super) async fn trusted(
    inner: &Inner,
    origin: &Origin,
    url: &Url,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, StepError> {
    let name = match &origin.host {
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
            .map_err(|_| problem::bad_url("its host is not a valid name"))?,
        Host::Ipv4(ip) => ServerName::from(IpAddr::from(*ip)),
        Host::Ipv6(ip) => ServerName::from(IpAddr::from(*ip)),
    };
    let config = match origin.route.as_ref().and_then(|route| route.tls.clone()) {
        Some(own) => own,
        None => inner.tls.config().await.map_err(|error| problem::tls(url, &error))?,
    };
    TlsConnector::from(config).connect(name, tcp).await.map_err(|error| problem::tls(url, &error))
}

/// HTTP/2 on a connection.
pub(super) async fn multiplexed<B>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Url,
) -> Result<http2::SendRequest<B>, StepError>
where
    B: hyper::body::Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(io))
        .await
        .map_err(|error| problem::handshake(url, &error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP/2 connection ended");
        }
    });
    Ok(sender)
}

async fn single(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    origin: &Origin,
    url: &Url,
) -> Result<Lease, StepError> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(|error| problem::handshake(url, &error))?;
    // Its errors reach the call that uses it; when idle, an error only means that it is gone.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    if origin.https {
        origin.mark_single();
    }
    Ok(Lease::H1(sender))
}

/// The addresses that may be called, judged one by one.
pub(super) async fn addresses(inner: &Inner, origin: &Origin, url: &Url) -> Result<Vec<SocketAddr>, StepError> {
    let policy = &inner.options.policy;
    // The URL parser has already turned spellings such as 2130706433, 0x7f.1 and 017700000001 into an address.
    let name = match &origin.host {
        Host::Ipv4(ip) => return literal(inner, IpAddr::V4(*ip), origin.port),
        Host::Ipv6(ip) => return literal(inner, IpAddr::V6(*ip), origin.port),
        Host::Domain(name) => name.as_str(),
    };
    let found = tokio::net::lookup_host((name, origin.port)).await.map_err(|error| problem::dns(url, &error))?;
    if policy.allows_host(name) {
        return Ok(found.collect());
    }
    let mut refused = None;
    let mut allowed = Vec::new();
    for address in found {
        match policy.check(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(problem) => refused = Some(problem),
        }
    }
    match (allowed.is_empty(), refused) {
        (true, Some(problem)) => {
            Err(NetProblem { message: format!("{name} leads to {}", problem.message), ..problem }.into_step_error())
        }
        (true, None) => Err(problem::dns(url, &io::Error::other("it has no address"))),
        (false, _) => Ok(allowed),
    }
}

fn literal(inner: &Inner, ip: IpAddr, port: u16) -> Result<Vec<SocketAddr>, StepError> {
    inner.options.policy.check(ip).map_err(NetProblem::into_step_error)?;
    Ok(vec![SocketAddr::new(ip, port)])
}

/// The first address that answers; each gets a head start before the next is tried beside it.
pub(super) async fn tcp(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(only).await;
    }
    let mut rest = interleaved(addresses).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::other("no address");
    loop {
        let waiting = match rest.next() {
            Some(address) => {
                attempts.push(TcpStream::connect(address));
                rest.len() > 0
            }
            None => false,
        };
        loop {
            let result = if waiting {
                match tokio::time::timeout(NEXT_ADDRESS_AFTER, attempts.next()).await {
                    Ok(result) => result,
                    Err(_) => break,
                }
            } else {
                attempts.next().await
            };
            match result {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = error,
                None if waiting => break,
                None => return Err(last),
            }
        }
    }
}

/// One of each family in turn, beginning with the family the system put first.
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == addresses[0].is_ipv4());
    let mut mixed = Vec::with_capacity(addresses.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = (first.next(), second.next());
        if pair == (None, None) {
            return mixed;
        }
        mixed.extend(pair.0);
        mixed.extend(pair.1);
    }
}
