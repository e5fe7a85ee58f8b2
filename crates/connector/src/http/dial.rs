//! Plain connections for protocols other than HTTP, under the same rules: every address is judged.

use std::{sync::Arc, time::Duration};

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Url;

use super::{
    Http,
    connect::{addresses, client_config, tcp},
    pool::Origin,
    problem,
};
use crate::error::{ErrorClass, StepError};

impl Http {
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
