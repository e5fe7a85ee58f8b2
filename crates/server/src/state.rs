//! What every handler can reach.

use std::{collections::HashMap, sync::Arc, time::Duration};

use engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use store::{KeyRow, Store, Timestamp};

use crate::inbound::{InboundSettings, Keeper};

/// How the server behaves. Every bound has a safe default.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// A webhook body may be so large.
    pub hook_bytes_max: usize,
    /// An API body may be so large.
    pub api_bytes_max: usize,
    /// Sending a whole request may take so long.
    pub body_timeout: Duration,
    /// `?wait=` may be so long.
    pub wait_max: Duration,
    /// A caller whose recipe answers by itself waits so long for that answer.
    pub respond_max: Duration,
    /// Webhook addresses by slug work; otherwise only the unguessable form does.
    pub hooks_by_slug: bool,
    /// A browser stays signed in for so long.
    pub session: Duration,
    /// The name of this environment on the pages.
    pub environment: String,
    /// The address people reach the pages at, for links and secure cookies.
    pub public_url: String,
    /// What is kept of requests that started no run.
    pub inbound: InboundSettings,
    /// Not ready when the worker has not asked for work for so long.
    pub ready_within: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            hook_bytes_max: 1024 * 1024,
            api_bytes_max: 2 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            wait_max: Duration::from_secs(60),
            respond_max: Duration::from_secs(25),
            hooks_by_slug: true,
            session: Duration::from_secs(7 * 24 * 3600),
            environment: "Production".to_owned(),
            public_url: String::new(),
            inbound: InboundSettings::default(),
            ready_within: Duration::from_secs(60),
        }
    }
}

/// What every handler can reach.
pub struct App {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Bounds.
    pub settings: ServerSettings,
    /// Writes `/metrics`.
    pub metrics: PrometheusHandle,
    /// API keys looked up lately, and when.
    pub(crate) keys: Mutex<HashMap<[u8; 32], (KeyRow, Timestamp)>>,
    /// Keeps requests that started no run.
    pub(crate) inbound: Keeper,
    /// What `/metrics` told of the store before.
    pub(crate) told: Mutex<crate::watch::Told>,
    /// The JSON Schema of the language and the OpenAPI document, written once.
    pub(crate) openapi: std::sync::OnceLock<String>,
}

/// The state as axum hands it out.
pub type Shared = Arc<App>;

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl App {
    /// The state of a new server.
    #[must_use]
    pub fn new(engine: Arc<Engine>, settings: ServerSettings, metrics: PrometheusHandle) -> Shared {
        Arc::new(Self {
            engine,
            settings,
            metrics,
            keys: Mutex::default(),
            inbound: Keeper::default(),
            told: Mutex::default(),
            openapi: std::sync::OnceLock::new(),
        })
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &**self.engine.store()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.now()
    }
}
