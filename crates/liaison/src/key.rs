//! The master key: found, made at first start, and proved against the database before anything is changed.

mod place;

use std::{collections::BTreeMap, fs, sync::Arc};

use anyhow::{Context, bail};
use sha2::{Digest as _, Sha256};
use store::{Glance, KEY_CHECK_PLACE, KEY_CHECK_SETTING, MasterKey, SHARED_KEY_SETTING, Store, StoreError, Vault, new_key};

use self::place::HOW_TO_NAME;
pub(crate) use self::place::Place;
pub(crate) use self::place::VARIABLE;
use crate::{config::Config, wire};

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
        Some(glance) => check_against(&Place::of(config)?, config.database_url(), &glance).map(drop),
        None => Ok(()),
    }
}

/// The master key of a database; `None` when neither has a key yet.
pub(crate) fn check_against(place: &Place, url: Option<&str>, glance: &Glance) -> anyhow::Result<Option<MasterKey>> {
    let expected = glance.sealed_with();
    let key = match (place, url) {
        (Place::Database, Some(url)) => match glance.settings.get(SHARED_KEY_SETTING) {
            Some(kept) => Some(open_shared_key(url, kept)?),
            None => None,
        },
        (place, _) => place.read()?,
    };
    match (key.map(MasterKey::new), expected) {
        (Some(key), Some(expected)) => {
            prove(&key, place, &expected, glance.key_check().as_deref())?;
            Ok(Some(key))
        }
        (None, Some(expected)) => Err(missing(place, &expected)),
        (key, None) => Ok(key),
    }
}

/// The vault under this installation's master key, made at first start.
pub(crate) async fn open_vault(config: &Config, store: &Arc<dyn Store>) -> anyhow::Result<Arc<Vault>> {
    let place = Place::of(config)?;
    let (key, made) = match place.read_or_make()? {
        Some(found) => found,
        None => (shared_key(config.database_url().unwrap_or_default(), &**store).await?, false),
    };
    let key = MasterKey::new(key);
    // The database remembers which key it belongs to: a wrong key is told at once, not at the first secret.
    let kept = store.setting(KEY_CHECK_SETTING, &check_value(&key)?).await?;
    let kept = hex::decode(&kept).context("the database's master key check is damaged")?;
    let proved = prove(&key, &place, &MasterKey::sealed_with(&kept).unwrap_or_default(), Some(&kept));
    // Another process gave the database its key between our look and now; ours is good for nothing.
    if let (Err(_), true, Place::File(file)) = (&proved, made, &place) {
        drop(fs::remove_file(file));
    }
    proved.map(|()| Arc::new(Vault::new(key, Arc::clone(store))))
}

/// A text that only this master key opens.
pub(crate) fn check_value(key: &MasterKey) -> Result<String, StoreError> {
    key.seal(KEY_CHECK_PLACE, &BTreeMap::new()).map(hex::encode)
}

fn prove(key: &MasterKey, place: &Place, expected: &str, check: Option<&[u8]>) -> anyhow::Result<()> {
    if key.id() != expected {
        bail!(
            "the secrets in this database are sealed with master key {expected}, but {place} holds key {}. Nothing was changed. \
             Put the right key file in its place, or {HOW_TO_NAME}",
            key.id()
        );
    }
    match check.map(|check| key.open(KEY_CHECK_PLACE, check)) {
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
        Place::File(_) | Place::Variable(..) | Place::Command(..) => format!("there is no master key in {place}"),
        Place::Database => "no key file is named and this database keeps no key of its own".to_owned(),
    };
    anyhow::anyhow!(
        "{what}, but the secrets in this database are sealed with master key {expected}. No new key was made and nothing was \
         changed. Put the key file back from its backup, or {HOW_TO_NAME}"
    )
}

/// The key kept in the database, sealed under what all its users share: the database's password.
async fn shared_key(url: &str, store: &dyn Store) -> anyhow::Result<[u8; 32]> {
    let candidate = BTreeMap::from([("key".to_owned(), hex::encode(new_key()?))]);
    let sealed = wrapping(url, Named::No)?.seal(SHARED_PLACE, &candidate)?;
    let kept = store.setting(SHARED_KEY_SETTING, &hex::encode(sealed)).await?;
    tracing::info!("vault.open: the master key is in the database, under its password; --master-key-file keeps it apart");
    open_shared_key(url, &kept)
}

const SHARED_PLACE: &str = "shared master key";

/// Whether the database's name belongs to what seals its key. It did at first; but a dump may be put back under another name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    No,
    Yes,
}

fn wrapping(url: &str, named: Named) -> anyhow::Result<MasterKey> {
    let url = url::Url::parse(url).context("the database URL cannot be read")?;
    let name = if named == Named::Yes { url.path() } else { "" };
    let known = format!("liaison master key\n{}\n{}\n{name}", url.username(), url.password().unwrap_or_default());
    Ok(MasterKey::new(Sha256::digest(known.as_bytes()).into()))
}

fn open_shared_key(url: &str, kept: &str) -> anyhow::Result<[u8; 32]> {
    let kept = hex::decode(kept).context("the database's master key is damaged")?;
    let open = |named| wrapping(url, named)?.open(SHARED_PLACE, &kept).map_err(anyhow::Error::from);
    let opened = open(Named::No).or_else(|_| open(Named::Yes)).context(
        "the master key in the database does not open with this database user and password. \
         Use the ones it was made with, or name a key file with --master-key-file",
    )?;
    opened.get("key").and_then(|text| place::parse(text)).context("the database's master key is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_key_opens_under_another_name_and_one_of_before_under_its_own() {
        let (url, other) = ("postgres://app:secret@a.example/liaison", "postgres://app:secret@b.example/restored");
        let key = [7; 32];
        let sealed = |named| {
            let held = BTreeMap::from([("key".to_owned(), hex::encode(key))]);
            hex::encode(wrapping(url, named).unwrap().seal(SHARED_PLACE, &held).unwrap())
        };
        assert_eq!(open_shared_key(other, &sealed(Named::No)).unwrap(), key);
        assert_eq!(open_shared_key(url, &sealed(Named::Yes)).unwrap(), key);
        assert!(open_shared_key(other, &sealed(Named::Yes)).is_err());
        let wrong = open_shared_key("postgres://app:other@a.example/liaison", &sealed(Named::No)).unwrap_err();
        assert!(wrong.to_string().contains("user and password"), "{wrong}");
    }
}
