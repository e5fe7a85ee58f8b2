//! The master key: found, made at first start, and proved against the database before anything is changed.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use sha2::{Digest as _, Sha256};
use store::{Glance, KEY_CHECK_PLACE, KEY_CHECK_SETTING, SHARED_KEY_SETTING, Store, StoreError, Vault};

use crate::{config::Config, wire};

/// How a key file is named: a flag, a variable, a line of the settings file.
const HOW_TO_NAME: &str = "name it with --master-key-file (LIAISON_MASTER_KEY_FILE, or master_key_file in the settings file)";

/// Where the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file.
    File(PathBuf),
    /// In the database, under its password.
    Database,
}

impl Place {
    /// The key is in the file the settings name; else, on SQLite, in the data folder; else, on
    /// PostgreSQL, in the database itself under the database's password, so that processes on several
    /// machines need nothing but the same database.
    pub(crate) fn of(config: &Config) -> Self {
        let named = config.layer.master_key_file.as_ref().filter(|file| !file.as_os_str().is_empty());
        match (named, config.database_url()) {
            (Some(file), _) => Self::File(file.clone()),
            (None, None) => Self::File(config.data_dir.join("master.key")),
            (None, Some(_)) => Self::Database,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "the file {}", file.display()),
            Self::Database => f.write_str("the database"),
        }
    }
}

/// The database as it lies there; `None` when there is none yet.
pub(crate) async fn glance(config: &Config) -> anyhow::Result<Option<Glance>> {
    Ok(match config.database_url() {
        Some(url) => Some(store_postgres::look(url, &wire::postgres_options(config)).await?),
        None => store_sqlite::look(&config.data_dir).await?,
    })
}

/// Refuses a key that is missing or is not the one the database's secrets are sealed with. Makes and
/// changes nothing.
pub(crate) async fn check(config: &Config) -> anyhow::Result<()> {
    match glance(config).await? {
        Some(glance) => check_against(&Place::of(config), config.database_url(), &glance).map(drop),
        None => Ok(()),
    }
}

/// The vault for a database's secrets; `None` when neither has a key yet.
pub(crate) fn check_against(place: &Place, url: Option<&str>, glance: &Glance) -> anyhow::Result<Option<Vault>> {
    let expected = glance.sealed_with();
    let key = match (place, url) {
        (Place::File(file), _) => read_key_file(file)?,
        (Place::Database, Some(url)) => match glance.settings.get(SHARED_KEY_SETTING) {
            Some(kept) => Some(open_shared_key(url, kept)?),
            None => None,
        },
        (Place::Database, None) => None,
    };
    match (key, expected) {
        (Some(key), Some(expected)) => {
            let vault = Vault::new(key);
            prove(&vault, place, &expected, glance.key_check().as_deref())?;
            Ok(Some(vault))
        }
        (Some(key), None) => Ok(Some(Vault::new(key))),
        (None, Some(expected)) => Err(missing(place, &expected)),
        (None, None) => Ok(None),
    }
}

/// The vault with this installation's master key, made at first start.
pub(crate) async fn open_vault(config: &Config, store: &dyn Store) -> anyhow::Result<Arc<Vault>> {
    let place = Place::of(config);
    let (key, made) = match (&place, config.database_url()) {
        (Place::File(file), _) => read_or_make_key(file)?,
        (Place::Database, url) => (shared_key(url.unwrap_or_default(), store).await?, false),
    };
    let vault = Vault::new(key);
    // The database remembers which key it belongs to: a wrong key is told at once, not at the first secret.
    let ours = hex::encode(vault.seal(KEY_CHECK_PLACE, &BTreeMap::new())?);
    let kept = store.setting(KEY_CHECK_SETTING, &ours).await?;
    let kept = hex::decode(&kept).context("the database's master key check is damaged")?;
    let proved = prove(&vault, &place, &Vault::sealed_with(&kept).unwrap_or_default(), Some(&kept));
    // Another process gave the database its key between our look and now; ours is good for nothing.
    if let (Err(_), true, Place::File(file)) = (&proved, made, &place) {
        drop(fs::remove_file(file));
    }
    proved.map(|()| Arc::new(vault))
}

fn prove(vault: &Vault, place: &Place, expected: &str, check: Option<&[u8]>) -> anyhow::Result<()> {
    if vault.key_id() != expected {
        bail!(
            "the secrets in this database are sealed with master key {expected}, but {place} holds key {}. Nothing was changed. \
             Put the right key file in its place, or {HOW_TO_NAME}",
            vault.key_id()
        );
    }
    match check.map(|check| vault.open(KEY_CHECK_PLACE, check)) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(StoreError::Corrupt(_))) => bail!(
            "master key {expected} of {place} does not open the check value this database keeps (the setting {KEY_CHECK_SETTING}). \
             Either that row is damaged or the key is. Nothing was changed. Restore the database or the key from a backup"
        ),
        Some(Err(error)) => Err(error.into()),
    }
}

fn missing(place: &Place, expected: &str) -> anyhow::Error {
    let what = match place {
        Place::File(file) => format!("there is no master key in {}", file.display()),
        Place::Database => "no key file is named and this database keeps no key of its own".to_owned(),
    };
    anyhow::anyhow!(
        "{what}, but the secrets in this database are sealed with master key {expected}. No new key was made and nothing was \
         changed. Put the key file back from its backup, or {HOW_TO_NAME}"
    )
}

/// The key kept in the database, sealed under what all its users share: the database's password.
async fn shared_key(url: &str, store: &dyn Store) -> anyhow::Result<[u8; 32]> {
    let candidate = BTreeMap::from([("key".to_owned(), hex::encode(Vault::new_key()?))]);
    let sealed = wrapping(url)?.seal(SHARED_PLACE, &candidate)?;
    let kept = store.setting(SHARED_KEY_SETTING, &hex::encode(sealed)).await?;
    tracing::info!("vault.open: the master key is in the database, under its password; --master-key-file keeps it apart");
    open_shared_key(url, &kept)
}

const SHARED_PLACE: &str = "shared master key";

fn wrapping(url: &str) -> anyhow::Result<Vault> {
    let url = url::Url::parse(url).context("the database URL cannot be read")?;
    let known = format!("liaison master key\n{}\n{}\n{}", url.username(), url.password().unwrap_or_default(), url.path());
    Ok(Vault::new(Sha256::digest(known.as_bytes()).into()))
}

fn open_shared_key(url: &str, kept: &str) -> anyhow::Result<[u8; 32]> {
    let kept = hex::decode(kept).context("the database's master key is damaged")?;
    let opened = wrapping(url)?.open(SHARED_PLACE, &kept).context(
        "the master key in the database does not open with this database user and password. \
         Use the ones it was made with, or name a key file with --master-key-file",
    )?;
    opened.get("key").and_then(|text| read_key(text)).context("the database's master key is damaged")
}

/// The key in a file; `None` when there is no file.
fn read_key_file(file: &Path) -> anyhow::Result<Option<[u8; 32]>> {
    match fs::read_to_string(file) {
        Ok(text) => {
            refuse_readable(file)?;
            read_key(&text)
                .with_context(|| {
                    format!(
                        "{} does not hold a master key: 64 hexadecimal digits are expected. Nothing was changed. \
                         Put the key file back from its backup",
                        file.display()
                    )
                })
                .map(Some)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read the master key {}", file.display())),
    }
}

/// The key, and whether it was made just now.
fn read_or_make_key(file: &Path) -> anyhow::Result<([u8; 32], bool)> {
    if let Some(key) = read_key_file(file)? {
        return Ok((key, false));
    }
    let key = Vault::new_key()?;
    make_key_file(file, &key).with_context(|| format!("cannot write the master key to {}", file.display()))?;
    // Another process may have made the file at the same moment: what is there counts.
    let there = read_key_file(file)?.context("the new master key cannot be read back")?;
    Ok((there, there == key))
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
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Secrets will be sealed with it: its name must survive a power loss as well.
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
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
