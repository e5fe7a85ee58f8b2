//! Plain connections for protocols other than HTTP, under the same rules: every address is judged.

use std::{sync::Arc, time::Duration};

use hyper::client::conn::http2;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Position, Url};

use super::{
    Http,
    connect::{addresses, client_config, multiplexed, reached, tcp, trusted},
    pool::Origin,
    problem,
};
use crate::error::{ErrorClass, StepError};

impl Http {
    /// An HTTP/2 connection of its own to the origin of an address, for streams that go both ways, such as gRPC. Over
    /// https the other side must agree to HTTP/2; over http it is taken for granted. It ends when it is dropped.
    ///
    /// # Errors
    /// When the address may not be called, nobody answers in time, or the other side speaks no HTTP/2.
    pub async fn dial_http2<B>(&self, url: &Url, limit: Duration) -> Result<http2::SendRequest<B>, StepError>
    where
        B: hyper::body::Body + Unpin + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = limit.min(self.inner.options.connect_timeout);
        let origin = Origin::new(url, None)?;
        let open = async {
            let tcp = reached(&self.inner, &origin, url).await?;
            if !origin.https {
                return multiplexed(tcp, url).await;
            }
            let tls = trusted(&self.inner, &origin, url, tcp).await?;
            if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                let words = format!("{} does not speak HTTP/2", &url[Position::BeforeHost..Position::AfterPort]);
                return Err(StepError::new(ErrorClass::Network, "HTTP2_MISSING", words)
                    .with_next("Check the address; a proxy on the way may not let HTTP/2 through."));
            }
            multiplexed(tls, url).await
        };
        match tokio::time::timeout(limit, open).await {
            Ok(result) => result,
            Err(_) => Err(problem::connect_timeout(url, limit)),
        }
    }

    /// A connection to a host and port that calls may reach; nothing is sent on it.
    ///
    /// # Errors
    /// When the address may not be called or nobody answers in time.
    pub async fn dial(&self, host: &str, port: u16, limit: Duration) -> Result<TcpStream, StepError> {
        let url = Url::parse(&format!("http://{host}:{port}/"))
            .ok()
            .filter(|url| url.path() == "/" && url.username().is_empty() && url.query().is_none())
            .ok_or_else(|| {
                StepError::new(
                    ErrorClass::Invalid,
                    "HOST_INVALID",
                    format!("\"{}\" is not the name of a host", host.escape_debug()),
                )
            })?;
        let origin = Origin::new(&url, None)?;
        let open = async {
            let found = addresses(&self.inner, &origin, &url).await?;
            tcp(&found).await.map_err(|error| problem::connect(&url, &error))
        };
        match tokio::time::timeout(limit, open).await {
            Ok(result) => result,
            Err(_) => Err(problem::connect_timeout(&url, limit)),
        }
    }

    /// TLS on such a connection, trusting the system's authorities, those of this process, and `extra_pem`.
    ///
    /// # Errors
    /// When the other side is not who it should be, or does not answer in time.
    pub async fn dial_tls(
        &self,
        stream: TcpStream,
        host: &str,
        extra_pem: Option<&[u8]>,
        limit: Duration,
    ) -> Result<TlsStream<TcpStream>, StepError> {
        let refused = |why: String| {
            StepError::new(ErrorClass::Network, "TLS_FAILED", format!("no trusted connection to {host}: {why}")).with_next(
                "Check the certificate of the system; a company's own authority can be added to the trusted certificates.",
            )
        };
        let mut extra = Vec::new();
        for pem in self.inner.options.extra_roots_pem.iter().map(Vec::as_slice).chain(extra_pem) {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                extra.push(certificate.map_err(|error| refused(error.to_string()))?);
            }
        }
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| refused("its name is not valid".to_owned()))?;
        let config = tokio::task::spawn_blocking(move || client_config(&extra, None, false))
            .await
            .map_err(|error| refused(error.to_string()))?;
        let mut config = rustls::ClientConfig::clone(&*config.map_err(|error| refused(error.to_string()))?);
        config.alpn_protocols.clear();
        match tokio::time::timeout(limit, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
            Ok(result) => result.map_err(|error| refused(error.to_string())),
            Err(_) => Err(StepError::new(
                ErrorClass::Timeout,
                "CONNECT_TIMEOUT",
                format!("{host} did not answer in time; nothing was sent"),
            )),
        }
    }

    /// Certificates of authorities that this process trusts besides the system's, as PEM.
    #[must_use]
    pub fn extra_roots_pem(&self) -> &[Vec<u8>] {
        &self.inner.options.extra_roots_pem
    }
}
