//! How a connection reaches its system: whom it trusts, what it shows of itself, and through which proxy.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use url::Url;

use super::{Http, HttpProblem, connect::client_config};
use crate::Secret;

/// Routes remembered at once; beyond it they are made anew.
const ROUTES_MAX: usize = 1024;

/// What a connection says about its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct RouteOptions<'a> {
    /// PEM certificates trusted besides the system's.
    pub ca_pem: Option<&'a str>,
    /// PEM certificate (with its chain) shown to the system, and its key.
    pub identity: Option<(&'a Secret, &'a Secret)>,
    /// Refuses TLS 1.2.
    pub tls13_only: bool,
    /// The way through or around a proxy; the process's own setting unless said.
    pub via: Via<'a>,
}

/// The way through or around a proxy.
#[derive(Clone, Copy, Debug, Default)]
pub enum Via<'a> {
    /// As the process is set.
    #[default]
    Default,
    /// Straight to the system.
    Direct,
    /// Through this one, with user name and password if it wants them. It is judged as any address.
    Proxy(&'a Url, Option<(&'a Secret, &'a Secret)>),
}

/// A forward proxy (RFC 9110, 7.6.2 and 9.3.6).
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://host:port`.
    pub url: Url,
    /// `Basic …`, when it wants a sign-in.
    pub authorization: Option<Secret>,
    /// Set by whoever runs this process, so that its address is not judged.
    pub trusted: bool,
}

/// A way that was made ready; cheap to clone and compared by its key.
#[derive(Clone)]
pub struct Route {
    pub(super) key: u64,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) via: RouteVia,
    /// The same without what the system is shown, for redirects to another host.
    pub(super) anonymous: Option<Arc<Self>>,
}

#[derive(Clone)]
pub(super) enum RouteVia {
    Default,
    Direct,
    Proxy(Proxy),
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("key", &self.key).finish_non_exhaustive()
    }
}

impl RouteOptions<'_> {
    /// True when nothing is said and no route is needed.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.ca_pem.is_none() && self.identity.is_none() && !self.tls13_only && matches!(self.via, Via::Default)
    }

    /// Checks certificates, key and proxy without making anything.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn check(&self) -> Result<(), HttpProblem> {
        self.roots()?;
        if let Some(identity) = self.identity()? {
            client_config(&[], Some(identity), self.tls13_only).map_err(|error| HttpProblem::Tls(error.to_string()))?;
        }
        match self.via {
            Via::Proxy(url, _)
                if url.scheme() != "http" || !url.has_host() || !url.username().is_empty() || url.password().is_some() =>
            {
                Err(HttpProblem::Proxy("it must be http://host:port, without a user name".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.ca_pem.hash(&mut hasher);
        let shown = |pair: (&Secret, &Secret), hasher: &mut DefaultHasher| (pair.0.expose(), pair.1.expose()).hash(hasher);
        self.identity.is_some().hash(&mut hasher);
        if let Some(identity) = self.identity {
            shown(identity, &mut hasher);
        }
        self.tls13_only.hash(&mut hasher);
        match self.via {
            Via::Default => 0.hash(&mut hasher),
            Via::Direct => 1.hash(&mut hasher),
            Via::Proxy(url, sign_in) => {
                url.as_str().hash(&mut hasher);
                if let Some(sign_in) = sign_in {
                    shown(sign_in, &mut hasher);
                }
            }
        }
        hasher.finish()
    }

    fn roots(&self) -> Result<Vec<CertificateDer<'static>>, HttpProblem> {
        let Some(pem) = self.ca_pem else {
            return Ok(Vec::new());
        };
        let mut probe = rustls::RootCertStore::empty();
        let mut roots = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| HttpProblem::Certificate(error.to_string()))?;
            probe.add(certificate.clone()).map_err(|error| HttpProblem::Certificate(error.to_string()))?;
            roots.push(certificate);
        }
        if roots.is_empty() {
            return Err(HttpProblem::Certificate("it holds no PEM certificate".to_owned()));
        }
        Ok(roots)
    }

    fn identity(&self) -> Result<Option<Identity>, HttpProblem> {
        let Some((chain, key)) = self.identity else {
            return Ok(None);
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.expose().as_bytes()).collect();
        let chain = chain.map_err(|error| HttpProblem::Certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(HttpProblem::Certificate("the client certificate holds no PEM certificate".to_owned()));
        }
        // What the library says about a key could hold a piece of it.
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
            .map_err(|_| HttpProblem::Certificate("the client key is no PEM private key".to_owned()))?;
        Ok(Some((chain, key)))
    }
}

/// What we show of ourselves: the certificate with its chain, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Http {
    /// The way with these options, made ready once and remembered; `None` for the usual way.
    ///
    /// # Errors
    /// When a certificate, a key or the proxy cannot be used.
    pub async fn route(&self, options: RouteOptions<'_>) -> Result<Option<Arc<Route>>, HttpProblem> {
        if options.is_usual() {
            return Ok(None);
        }
        let key = options.key();
        if let Some(route) = self.inner.routes.lock().get(&key) {
            return Ok(Some(Arc::clone(route)));
        }
        options.check()?;
        let anonymous = match options.identity {
            None => None,
            Some(_) => Some(Arc::new(self.made(RouteOptions { identity: None, ..options }).await?)),
        };
        let route = Arc::new(Route { anonymous, ..self.made(options).await? });
        let mut routes = self.inner.routes.lock();
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        routes.insert(key, Arc::clone(&route));
        Ok(Some(route))
    }

    async fn made(&self, options: RouteOptions<'_>) -> Result<Route, HttpProblem> {
        let (mut roots, identity, tls13_only) = (options.roots()?, options.identity()?, options.tls13_only);
        let tls = if roots.is_empty() && identity.is_none() && !tls13_only {
            None
        } else {
            for pem in &self.inner.options.extra_roots_pem {
                roots.extend(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
            }
            let made = tokio::task::spawn_blocking(move || client_config(&roots, identity, tls13_only)).await;
            let made = made.map_err(std::io::Error::other).flatten();
            Some(made.map_err(|error| HttpProblem::Tls(error.to_string()))?)
        };
        let via = match options.via {
            Via::Default => RouteVia::Default,
            Via::Direct => RouteVia::Direct,
            Via::Proxy(url, sign_in) => RouteVia::Proxy(Proxy {
                url: url.clone(),
                authorization: sign_in.map(|(username, password)| Proxy::basic(username.expose(), password.expose())),
                trusted: false,
            }),
        };
        Ok(Route { key: options.key(), tls, via, anonymous: None })
    }
}

impl Proxy {
    /// Reads the setting of a process: `http://host:port`, with `user:password@` before the host.
    ///
    /// # Errors
    /// When it is no such address; the sentence holds nothing of it, because it may hold a password.
    pub fn read(text: &str) -> Result<Self, HttpProblem> {
        let mut url = Url::parse(text.trim()).ok().filter(|url| url.scheme() == "http" && url.has_host()).ok_or_else(|| {
            HttpProblem::Proxy(
                "give http://proxy.example.com:3128, with user:password@ before the host if it wants them".to_owned(),
            )
        })?;
        let decoded = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (username, password) => Some(Self::basic(&decoded(username), &decoded(password.unwrap_or_default()))),
        };
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { url, authorization, trusted: true })
    }

    /// The sign-in with a user name and a password.
    #[must_use]
    pub fn basic(username: &str, password: &str) -> Secret {
        let packed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{username}:{password}"));
        Secret::new(format!("Basic {packed}"))
    }
}
