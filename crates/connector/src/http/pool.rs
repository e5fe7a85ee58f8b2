//! Open connections by origin (scheme, host, port).
//!
//! HTTP/1.1 connections are lent to one call at a time, the one used last first; an HTTP/2 connection is
//! shared by all. Each connection has a small task of hyper's that sleeps until its socket stirs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ::http::HeaderValue;
use hyper::client::conn::{http1, http2};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use url::{Host, Position, Url};

use super::{
    problem,
    route::{Proxy, Route, RouteVia},
    stream::Outgoing,
};
use crate::error::StepError;

pub(super) type H1 = http1::SendRequest<Outgoing>;
pub(super) type H2 = http2::SendRequest<Outgoing>;

/// Origins remembered before unused ones are forgotten.
const ORIGINS_MAX: usize = 1024;

/// A connection to use for one call.
pub(super) enum Lease {
    H1(H1),
    H2(H2),
}

pub(super) struct Pool {
    origins: RwLock<HashMap<Box<str>, Arc<Origin>>>,
    idle_max: usize,
    idle_timeout: Duration,
}

pub(super) struct Origin {
    pub(super) https: bool,
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// `host` or `host:port`, ready to send.
    pub(super) authority: HeaderValue,
    /// The way there, where it is not the usual one.
    pub(super) route: Option<Arc<Route>>,
    connections: Mutex<Connections>,
    /// Held while the first https connection is made: it tells whether all calls can share one.
    pub(super) opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Idle>,
    shared: Option<H2>,
    /// Set once a connection turned out to speak HTTP/1.1.
    single: bool,
}

struct Idle {
    sender: H1,
    until: Instant,
}

impl Pool {
    pub(super) fn new(idle_max: usize, idle_timeout: Duration) -> Self {
        Self { origins: RwLock::default(), idle_max, idle_timeout }
    }

    /// The origin an address belongs to.
    pub(super) fn origin(&self, url: &Url, route: Option<&Arc<Route>>) -> Result<Arc<Origin>, StepError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(problem::bad_url("it holds a user name or password; these belong in a connection"));
        }
        let place = &url[..Position::AfterPort];
        // Connections of one way are never used for another: they were made with other certificates.
        let own = route.map(|route| format!("{place} {:x}", route.key));
        let key = own.as_deref().unwrap_or(place);
        if let Some(origin) = self.origins.read().get(key) {
            return Ok(Arc::clone(origin));
        }
        let origin = Arc::new(Origin::new(url, route.cloned())?);
        let mut origins = self.origins.write();
        if origins.len() >= ORIGINS_MAX {
            let now = Instant::now();
            origins.retain(|_, origin| Arc::strong_count(origin) > 1 || origin.connections.lock().in_use(now));
        }
        Ok(Arc::clone(origins.entry(key.into()).or_insert(origin)))
    }

    /// Gives a connection back after its answer was read to the end.
    pub(super) fn put(&self, origin: &Origin, sender: H1, keep: Option<Duration>) {
        let idle = keep.map_or(self.idle_timeout, |keep| keep.min(self.idle_timeout));
        if idle.is_zero() || sender.is_closed() {
            return;
        }
        let until = Instant::now() + idle;
        let mut connections = origin.connections.lock();
        if connections.idle.len() < self.idle_max {
            connections.idle.push(Idle { sender, until });
        } else if let Some(oldest) = connections.idle.iter_mut().min_by_key(|idle| idle.until) {
            *oldest = Idle { sender, until };
        }
    }
}

impl Origin {
    pub(super) fn new(url: &Url, route: Option<Arc<Route>>) -> Result<Self, StepError> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(problem::bad_url(&format!("it starts with \"{other}:\"; only http and https can be called"))),
        };
        let host = url.host().ok_or_else(|| problem::bad_url("it has no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| problem::bad_url("it has no port"))?;
        let authority = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
            .map_err(|_| problem::bad_url("its host cannot be sent"))?;
        Ok(Self { https, host, port, authority, route, connections: Mutex::default(), opening: tokio::sync::Mutex::default() })
    }

    /// The proxy on the way.
    pub(super) fn proxy<'a>(&'a self, usual: Option<&'a Proxy>) -> Option<&'a Proxy> {
        match self.route.as_ref().map(|route| &route.via) {
            Some(RouteVia::Direct) => None,
            Some(RouteVia::Proxy(proxy)) => Some(proxy),
            Some(RouteVia::Default) | None => usual,
        }
    }

    /// An open connection, if there is one.
    pub(super) fn take(&self) -> Option<Lease> {
        let mut connections = self.connections.lock();
        if let Some(shared) = &connections.shared {
            if !shared.is_closed() {
                return Some(Lease::H2(shared.clone()));
            }
            connections.shared = None;
        }
        if connections.idle.is_empty() {
            return None;
        }
        let now = Instant::now();
        while let Some(idle) = connections.idle.pop() {
            if idle.until > now && !idle.sender.is_closed() {
                return Some(Lease::H1(idle.sender));
            }
        }
        None
    }

    /// True while it is not known whether calls can share a connection.
    pub(super) fn is_unexplored(&self) -> bool {
        self.https && !self.connections.lock().single
    }

    pub(super) fn share(&self, sender: &H2) {
        self.connections.lock().shared = Some(sender.clone());
    }

    pub(super) fn mark_single(&self) {
        self.connections.lock().single = true;
    }
}

impl Connections {
    fn in_use(&mut self, now: Instant) -> bool {
        self.idle.retain(|idle| idle.until > now && !idle.sender.is_closed());
        !self.idle.is_empty() || self.shared.as_ref().is_some_and(|shared| !shared.is_closed())
    }
}
