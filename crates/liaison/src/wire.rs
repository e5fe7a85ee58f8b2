//! Puts the rooms together: picks the store, opens the vault, starts the engine.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use connector::{
    AddressPolicy,
    http::{Http, HttpOptions, Proxy},
};
use engine::{Engine, Parts};
use sha2::{Digest as _, Sha256};
use store::{Clock, GroupSettings, KeyId, KeyRow, Store, StoreError, SystemClock, Timestamp, Vault, Writer};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

use crate::config::Config;

/// Opens the store the settings name.
pub(crate) async fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    match config.database_url() {
        Some(url) => {
            let options = store_postgres::PostgresOptions {
                connections: config.layer.database_connections_max.unwrap_or(10),
                ..store_postgres::PostgresOptions::default()
            };
            Ok(Arc::new(PostgresStore::open(url, options).await?))
        }
        None => Ok(Arc::new(SqliteStore::open(&config.data_dir).await?)),
    }
}

/// Opens the store for a short errand, also while a server works on it.
pub(crate) async fn open_store_beside(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    match config.database_url() {
        Some(_) => open_store(config).await,
        None => Ok(Arc::new(SqliteStore::open_beside(&config.data_dir).await?)),
    }
}

/// The vault with this installation's master key, made at first start.
///
/// The key is in the file the settings name; else, on SQLite, in the data folder; else, on
/// PostgreSQL, in the database itself under the database's password, so that processes on several
/// machines need nothing but the same database.
pub(crate) async fn open_vault(config: &Config, store: &dyn Store) -> anyhow::Result<Arc<Vault>> {
    let named = config.layer.master_key_file.as_ref().filter(|file| !file.as_os_str().is_empty());
    let (key, place) = match (named, config.database_url()) {
        (Some(file), _) => (read_or_make_key(file)?, file.display().to_string()),
        (None, None) => {
            let file = config.data_dir.join("master.key");
            (read_or_make_key(&file)?, file.display().to_string())
        }
        (None, Some(url)) => (shared_key(url, store).await?, "the database".to_owned()),
    };
    let vault = Vault::new(key);
    // The database remembers which key it belongs to: a wrong key is told at once, not at the first secret.
    let ours = hex::encode(vault.seal("master key check", &BTreeMap::new())?);
    let kept = store.setting("master_key_check", &ours).await?;
    let kept = hex::decode(&kept).context("the database's master key check is damaged")?;
    match vault.open("master key check", &kept) {
        Ok(_) => Ok(Arc::new(vault)),
        Err(StoreError::WrongKey { sealed_with, ours }) => bail!(
            "the secrets in this database are sealed with master key {sealed_with}, but {place} holds key {ours}. \
             Nothing was changed. Name the file with the right key with --master-key-file"
        ),
        Err(error) => Err(error.into()),
    }
}

/// The key kept in the database, sealed under what all its users share: the database's password.
async fn shared_key(url: &str, store: &dyn Store) -> anyhow::Result<[u8; 32]> {
    const PLACE: &str = "shared master key";
    let url = url::Url::parse(url).context("the database URL cannot be read")?;
    let known = format!("liaison master key\n{}\n{}\n{}", url.username(), url.password().unwrap_or_default(), url.path());
    let wrapping = Vault::new(Sha256::digest(known.as_bytes()).into());
    let candidate = BTreeMap::from([("key".to_owned(), hex::encode(Vault::new_key()?))]);
    let kept = store.setting("shared_master_key", &hex::encode(wrapping.seal(PLACE, &candidate)?)).await?;
    let kept = hex::decode(&kept).context("the database's master key is damaged")?;
    let opened = wrapping.open(PLACE, &kept).context(
        "the master key in the database does not open with this database user and password. \
         Use the ones it was made with, or name a key file with --master-key-file",
    )?;
    tracing::info!("vault.open: the master key is in the database, under its password; --master-key-file keeps it apart");
    opened.get("key").and_then(|text| read_key(text)).context("the database's master key is damaged")
}

fn read_or_make_key(file: &Path) -> anyhow::Result<[u8; 32]> {
    match fs::read_to_string(file) {
        Ok(text) => {
            refuse_readable(file)?;
            read_key(&text)
                .with_context(|| format!("{} does not hold a master key: 64 hexadecimal digits are expected", file.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = Vault::new_key()?;
            make_key_file(file, &key).with_context(|| format!("cannot write the master key to {}", file.display()))?;
            // Another process may have made the file at the same moment: what is there counts.
            read_key(&fs::read_to_string(file)?).context("the new master key cannot be read back")
        }
        Err(error) => Err(error).with_context(|| format!("cannot read the master key {}", file.display())),
    }
}

fn read_key(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.trim()).ok()?.try_into().ok()
}

fn make_key_file(file: &Path, key: &[u8; 32]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = PathBuf::from(format!("{}.{}", file.display(), std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(&draft)?;
    handle.write_all(hex::encode(key).as_bytes())?;
    handle.sync_all()?;
    // A link fails when the file exists, so that two processes never disagree about the key.
    let linked = fs::hard_link(&draft, file);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn refuse_readable(file: &Path) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(file)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("other people of this machine can read the master key {}. Run: chmod 600 {}", file.display(), file.display());
        }
    }
    Ok(())
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
    let vault = open_vault(config, &*store).await?;
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
    let settings = engine::EngineSettings { works, schedules, ..config.engine() };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let parts = Parts {
        writer: Writer::start(Arc::clone(&store), group),
        store,
        connectors: Arc::new(connectors::all()),
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
    keep_key(store, "environment", &text, vec!["admin".to_owned()]).await.map(drop)
}

/// Keeps a key; only its hash is stored.
pub(crate) async fn keep_key(store: &dyn Store, name: &str, text: &str, scopes: Vec<String>) -> anyhow::Result<KeyId> {
    let now = SystemClock.now();
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let id = KeyId::new(now, random);
    let key = KeyRow { id, name: name.to_owned(), hash: server::access::hash(text), scopes, created_at: now, expires_at: None };
    store.create_key(&key).await?;
    Ok(id)
}
