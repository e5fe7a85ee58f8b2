//! Puts the rooms together: picks the store, starts the engine.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use connector::{
    AddressPolicy,
    http::{Http, HttpOptions, Proxy},
};
use engine::{Engine, Parts};
use store::{Clock, GroupSettings, KeyId, KeyRow, Store, SystemClock, Timestamp, Writer};
use store_postgres::{PostgresOptions, PostgresStore};
use store_sqlite::SqliteStore;

use crate::{config::Config, declared, key};

/// Opens the store the settings name, for whoever works on it: not before the master key is seen to be
/// the right one, so that a wrong one changes nothing, not even the schema.
pub(crate) async fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    key::check(config).await?;
    open_store_without_key(config).await
}

/// Opens the store for work on its schema, which needs no secret.
pub(crate) async fn open_store_without_key(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let store: Arc<dyn Store> = match config.database_url() {
        Some(url) => Arc::new(PostgresStore::open(url, postgres_options(config)).await?),
        None => Arc::new(SqliteStore::open(&config.data_dir).await?),
    };
    #[cfg(debug_assertions)]
    let store = crate::mortal::store(store)?;
    Ok(store)
}

/// The last step of the schema this build knows.
pub(crate) fn newest_schema(config: &Config) -> i64 {
    match config.database_url() {
        Some(_) => store_postgres::newest_schema(),
        None => store_sqlite::newest_schema(),
    }
}

/// How PostgreSQL is used.
pub(crate) fn postgres_options(config: &Config) -> PostgresOptions {
    PostgresOptions { connections: config.layer.database_connections_max.unwrap_or(10), ..PostgresOptions::default() }
}

/// Opens the store for a short errand, also while a server works on it.
pub(crate) async fn open_store_beside(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    match config.database_url() {
        Some(_) => open_store_without_key(config).await,
        None => Ok(Arc::new(SqliteStore::open_beside(&config.data_dir).await?)),
    }
}

/// The client recipes call out with.
pub(crate) fn open_http(config: &Config) -> anyhow::Result<Http> {
    let default = HttpOptions::default();
    let policy = if config.layer.allow_private_addresses.unwrap_or(false) {
        AddressPolicy::with_private()
    } else {
        AddressPolicy::public_only()
    };
    let allowed = config.layer.allow_addresses.as_deref().unwrap_or_default();
    let policy = policy
        .allow(allowed.split(',').map(str::trim).filter(|entry| !entry.is_empty()))
        .map_err(|problem| anyhow::anyhow!("the setting allow_addresses is {allowed:?}: {problem}"))?;
    let options = HttpOptions {
        policy,
        response_bytes_max: config.layer.response_bytes_max.unwrap_or(default.response_bytes_max),
        connect_timeout: config.layer.connect_timeout.map_or(default.connect_timeout, |span| span.0),
        proxy: config.layer.proxy.as_deref().filter(|text| !text.is_empty()).map(Proxy::read).transpose()?,
        extra_roots_pem: match config.layer.trusted_certificates_file.as_deref().filter(|file| !file.as_os_str().is_empty()) {
            Some(file) => vec![fs::read(file).with_context(|| format!("read the trusted certificates {}", file.display()))?],
            None => Vec::new(),
        },
        ..default
    };
    Ok(Http::new(options)?)
}

/// The engine on its store.
pub(crate) async fn start_engine(
    config: &Config,
    store: Arc<dyn Store>,
    works: bool,
    schedules: bool,
) -> anyhow::Result<Arc<Engine>> {
    let settings = engine::EngineSettings { works, schedules, ..config.engine() };
    start_engine_with(config, store, settings).await
}

/// The same with settings of the caller's own.
pub(crate) async fn start_engine_with(
    config: &Config,
    store: Arc<dyn Store>,
    settings: engine::EngineSettings,
) -> anyhow::Result<Arc<Engine>> {
    let vault = key::open_vault(config, &store).await?;
    let shared = config.database_url().is_some();
    if !shared {
        // The folder's lock is ours, so whoever is registered in it is dead: its runs go on at once.
        store.reap_workers(Timestamp::from_micros(i64::MAX)).await?;
    }
    let group = GroupSettings {
        group_max: config.layer.group_max.unwrap_or(GroupSettings::default().group_max),
        lanes: if shared { 2 } else { 1 },
        ..GroupSettings::default()
    };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let parts = Parts {
        writer: Writer::start(Arc::clone(&store), group),
        store,
        connectors: declared::for_engine(config),
        vault,
        http: open_http(config)?,
        clock: Arc::new(SystemClock),
        seed: u64::from_le_bytes(seed),
        settings,
    };
    Ok(Engine::start(parts).await?)
}

/// Keeps the admin key the environment names, for automation.
pub(crate) async fn seed_admin_key(store: &dyn Store) -> anyhow::Result<()> {
    let Ok(text) = std::env::var("LIAISON_ADMIN_API_KEY") else { return Ok(()) };
    if text.len() < 8 {
        bail!("LIAISON_ADMIN_API_KEY is too short to be safe; use at least 8 characters");
    }
    keep_key(store, "environment", &text, vec!["admin".to_owned()], None).await.map(drop)
}

/// Keeps a key; only its hash is stored.
pub(crate) async fn keep_key(
    store: &dyn Store,
    name: &str,
    text: &str,
    scopes: Vec<String>,
    works_for: Option<Duration>,
) -> anyhow::Result<KeyId> {
    let now = SystemClock.now();
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let id = KeyId::new(now, random);
    let expires_at = works_for.map(|time| now.after(time));
    let key = KeyRow { id, name: name.to_owned(), hash: server::access::hash(text), scopes, created_at: now, expires_at };
    store.create_key(&key).await?;
    Ok(id)
}
