//! Seals secrets for the store under data keys, which are sealed under the master key.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::{
    Clock, DataKeyId, DataKeyRow, MasterKey, SealedAt, Store, StoreError, SystemClock,
    data_key::HEAD_BYTES,
    sealing::{self, new_key},
};

/// A secret is sealed anew so often when its key is replaced between sealing and writing.
const KEEP_TRIES: u32 = 5;

type Key = Arc<Zeroizing<[u8; 32]>>;

/// Seals and opens. Each sealed text names the data key it was sealed under; keys this process has not seen are looked up.
pub struct Vault {
    master: MasterKey,
    store: Arc<dyn Store>,
    known: RwLock<BTreeMap<DataKeyId, Key>>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({:?})", self.master)
    }
}

impl Vault {
    /// The vault of a store, under this master key.
    #[must_use]
    pub fn new(master: MasterKey, store: Arc<dyn Store>) -> Self {
        Self { master, store, known: RwLock::default() }
    }

    /// The master key.
    #[must_use]
    pub fn master(&self) -> &MasterKey {
        &self.master
    }

    /// Seals named secrets for one place under the current data key; they open only there. No secrets are sealed as nothing.
    /// Whoever keeps what is sealed uses [`Vault::keep`], unless it writes with [`DataKeys::reseal`](crate::DataKeys::reseal).
    ///
    /// # Errors
    /// When the store does not answer, or the machine has no randomness to give.
    pub async fn seal(&self, at: &SealedAt, secrets: &BTreeMap<String, String>) -> Result<Vec<u8>, StoreError> {
        if secrets.is_empty() {
            return Ok(Vec::new());
        }
        let (id, key) = self.current().await?;
        sealing::seal(&key, &id.head(), &bound(id, &at.place()), secrets)
    }

    /// Seals and writes. When the key is replaced in between, nothing was written, and it is done again.
    ///
    /// # Errors
    /// Those of sealing and of writing.
    pub async fn keep<T, F>(
        &self,
        at: &SealedAt,
        secrets: &BTreeMap<String, String>,
        write: impl Fn(Vec<u8>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut tries = 1;
        loop {
            match write(self.seal(at, secrets).await?).await {
                Err(StoreError::KeyGone) if tries < KEEP_TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    /// Opens what was read there. When its key was replaced and removed since, what is sealed there now is read and opened
    /// instead: a change of keys between reading and opening fails nobody.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] when it is sealed under another master key, [`StoreError::Corrupt`] when it was changed
    /// or its data key is not there.
    pub async fn open(&self, at: &SealedAt, sealed: &[u8]) -> Result<BTreeMap<String, String>, StoreError> {
        let opened = match self.open_known(at, sealed).await {
            Err(StoreError::KeyGone) => match self.store.sealed_at(at).await? {
                Some(now) => self.open_known(at, &now).await,
                None => Err(StoreError::KeyGone),
            },
            opened => opened,
        };
        opened.map_err(|error| match (error, DataKeyId::of(sealed)) {
            (StoreError::KeyGone, Some(id)) => {
                let place = at.place();
                StoreError::Corrupt(format!(
                    "the secret of {place} is sealed under data key {id}, which this database does not have"
                ))
            }
            (error, _) => error,
        })
    }

    /// Learns the keys there are. What is taken out of the store for good cannot be read again when its key is replaced
    /// meanwhile; whoever takes it out learns its key before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn learn(&self) -> Result<(), StoreError> {
        self.look_up().await.map(drop)
    }

    /// Makes a new data key the current one. False when somebody else did so first.
    ///
    /// # Errors
    /// When the store does not answer, or the machine has no randomness to give.
    pub async fn add_key(&self) -> Result<bool, StoreError> {
        let last = self.store.data_keys().await?.last().map_or(0, |row| row.id.0);
        self.add(DataKeyId(last + 1)).await
    }

    /// The key of a row, sealed under another master key.
    ///
    /// # Errors
    /// When it does not open.
    pub fn rewrap(&self, row: &DataKeyRow, to: &MasterKey) -> Result<Vec<u8>, StoreError> {
        let key = self.unwrap(row)?;
        to.seal(&row.id.place(), &BTreeMap::from([("key".to_owned(), hex::encode(key.as_slice()))]))
    }

    /// Sees that a data key opens under the master key.
    ///
    /// # Errors
    /// When it does not.
    pub fn proves(&self, row: &DataKeyRow) -> Result<(), StoreError> {
        self.unwrap(row).map(drop)
    }

    async fn add(&self, id: DataKeyId) -> Result<bool, StoreError> {
        let key = BTreeMap::from([("key".to_owned(), hex::encode(new_key()?))]);
        let row = DataKeyRow {
            id,
            wrapped: self.master.seal(&id.place(), &key)?,
            master_key: self.master.id(),
            created_at: SystemClock.now(),
            retired_at: None,
        };
        self.store.add_data_key(&row).await
    }

    /// The store is asked each time: another process may have made a new one.
    async fn current(&self) -> Result<(DataKeyId, Key), StoreError> {
        let mut rows = self.look_up().await?;
        if rows.is_empty() {
            self.add(DataKeyId(1)).await?;
            rows = self.look_up().await?;
        }
        let row = rows.last().ok_or_else(|| StoreError::Corrupt("there is no data key, and none can be made".to_owned()))?;
        Ok((row.id, self.known_or_why(row)?))
    }

    /// [`StoreError::KeyGone`] when the key it names is not there.
    async fn open_known(&self, at: &SealedAt, sealed: &[u8]) -> Result<BTreeMap<String, String>, StoreError> {
        let place = at.place();
        // Nothing, or sealed before there were data keys.
        let Some(id) = DataKeyId::of(sealed) else { return self.master.open(&place, sealed) };
        let key = self.key(id).await?.ok_or(StoreError::KeyGone)?;
        sealing::open(&key, HEAD_BYTES, &bound(id, &place), sealed)
            .ok_or_else(|| StoreError::Corrupt(format!("the sealed secret of {place} is damaged")))
    }

    async fn key(&self, id: DataKeyId) -> Result<Option<Key>, StoreError> {
        if let Some(key) = self.known(id) {
            return Ok(Some(key));
        }
        let rows = self.look_up().await?;
        rows.iter().find(|row| row.id == id).map(|row| self.known_or_why(row)).transpose()
    }

    /// The store's keys. All of them are learnt and none is forgotten: what somebody read before its key was replaced and
    /// removed still opens.
    async fn look_up(&self) -> Result<Vec<DataKeyRow>, StoreError> {
        let rows = self.store.data_keys().await?;
        for row in &rows {
            // One that does not open matters only to whoever needs it.
            if self.known(row.id).is_none()
                && let Ok(key) = self.unwrap(row)
            {
                self.known.write().insert(row.id, Arc::new(key));
            }
        }
        Ok(rows)
    }

    fn known(&self, id: DataKeyId) -> Option<Key> {
        self.known.read().get(&id).cloned()
    }

    fn known_or_why(&self, row: &DataKeyRow) -> Result<Key, StoreError> {
        self.known(row.id).map_or_else(|| self.unwrap(row).map(Arc::new), Ok)
    }

    fn unwrap(&self, row: &DataKeyRow) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let opened = self.master.open(&row.id.place(), &row.wrapped)?;
        let mut key = Zeroizing::new([0; 32]);
        match opened.get("key").map(|text| hex::decode_to_slice(text, key.as_mut_slice())) {
            Some(Ok(())) => Ok(key),
            _ => Err(StoreError::Corrupt(format!("data key {} is damaged", row.id))),
        }
    }
}

/// A sealed text is bound to its place and its key.
fn bound(id: DataKeyId, place: &str) -> Vec<u8> {
    [id.head().as_slice(), place.as_bytes()].concat()
}

#[cfg(all(test, feature = "conformance"))]
mod tests {
    use super::*;
    use crate::{DataKeys as _, memory::MemoryStore};

    fn secrets() -> BTreeMap<String, String> {
        BTreeMap::from([("secret".to_owned(), "whsec_very_private".to_owned())])
    }

    fn at(name: &str) -> SealedAt {
        SealedAt::Secret(name.to_owned())
    }

    fn vault(store: &Arc<MemoryStore>, master: u8) -> Vault {
        Vault::new(MasterKey::new([master; 32]), Arc::clone(store) as Arc<dyn Store>)
    }

    #[tokio::test]
    async fn what_is_sealed_opens_only_in_its_place_under_its_key() {
        let store = Arc::new(MemoryStore::default());
        let vault = vault(&store, 1);
        let sealed = vault.seal(&at("con_a"), &secrets()).await.unwrap();
        assert!(!sealed.windows(12).any(|window| window == b"very_private"));
        assert_eq!(DataKeyId::of(&sealed), Some(DataKeyId(1)));
        assert_eq!(vault.open(&at("con_a"), &sealed).await.unwrap(), secrets());
        assert_ne!(vault.seal(&at("con_a"), &secrets()).await.unwrap(), sealed, "never the same bytes");
        assert!(matches!(vault.open(&at("con_b"), &sealed).await, Err(StoreError::Corrupt(_))), "moved");
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(vault.open(&at("con_a"), &changed).await.is_err(), "byte {position}");
        }
        assert!(vault.open(&at("con_a"), &sealed[..10]).await.is_err());
        // A key that exists, but did not seal it.
        assert!(vault.add_key().await.unwrap());
        let mut other = sealed.clone();
        other[HEAD_BYTES - 1] = 2;
        assert!(matches!(vault.open(&at("con_a"), &other).await, Err(StoreError::Corrupt(_))), "another key's number");
    }

    #[tokio::test]
    async fn nothing_is_sealed_as_nothing() {
        let vault = vault(&Arc::default(), 1);
        assert!(vault.seal(&at("a"), &BTreeMap::new()).await.unwrap().is_empty());
        assert!(vault.open(&at("a"), &[]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_was_sealed_before_there_were_data_keys_opens() {
        let vault = vault(&Arc::default(), 1);
        let sealed = MasterKey::new([1; 32]).seal("con_a", &secrets()).unwrap();
        assert_eq!(vault.open(&at("con_a"), &sealed).await.unwrap(), secrets());
        assert!(matches!(vault.open(&at("con_b"), &sealed).await, Err(StoreError::Corrupt(_))));
    }

    #[tokio::test]
    async fn a_running_process_learns_of_a_new_key() {
        let store = Arc::new(MemoryStore::default());
        let (one, two) = (vault(&store, 1), vault(&store, 1));
        let old = one.seal(&at("a"), &secrets()).await.unwrap();
        assert!(two.add_key().await.unwrap());
        let new = two.seal(&at("a"), &secrets()).await.unwrap();
        assert_eq!(DataKeyId::of(&new), Some(DataKeyId(2)));
        assert_eq!(one.open(&at("a"), &new).await.unwrap(), secrets());
        assert_eq!(two.open(&at("a"), &old).await.unwrap(), secrets());
        assert_eq!(DataKeyId::of(&one.seal(&at("a"), &secrets()).await.unwrap()), Some(DataKeyId(2)), "the new one seals");
    }

    #[tokio::test]
    async fn what_was_read_before_its_key_went_opens_afterwards() {
        let store = Arc::new(MemoryStore::default());
        let (server, keeper) = (vault(&store, 1), vault(&store, 1));
        let read = keeper.seal(&at("a"), &secrets()).await.unwrap();
        server.seal(&at("b"), &secrets()).await.unwrap();
        assert!(keeper.add_key().await.unwrap());
        assert_eq!(store.remove_data_keys().await.unwrap(), [DataKeyId(1)]);
        server.seal(&at("b"), &secrets()).await.unwrap();
        assert_eq!(server.open(&at("a"), &read).await.unwrap(), secrets());
        assert!(vault(&store, 1).open(&at("a"), &read).await.is_err(), "whoever comes later has no such key");
    }

    #[tokio::test]
    async fn another_master_key_opens_and_adds_nothing() {
        let store = Arc::new(MemoryStore::default());
        let sealed = vault(&store, 1).seal(&at("a"), &secrets()).await.unwrap();
        let wrong = vault(&store, 2);
        assert!(matches!(wrong.open(&at("a"), &sealed).await, Err(StoreError::WrongKey { .. })));
        assert!(matches!(wrong.seal(&at("a"), &secrets()).await, Err(StoreError::WrongKey { .. })));
        assert!(!wrong.add_key().await.unwrap());
    }

    #[tokio::test]
    async fn a_key_replaced_between_sealing_and_writing_loses_nothing() {
        let store = Arc::new(MemoryStore::default());
        let (server, keeper) = (vault(&store, 1), vault(&store, 1));
        let first = server
            .keep(&at("callback_key"), &secrets(), |sealed| {
                let (store, keeper) = (&store, &keeper);
                async move {
                    if DataKeyId::of(&sealed) == Some(DataKeyId(1)) {
                        keeper.add_key().await?;
                        store.remove_data_keys().await?;
                    }
                    store.secret("callback_key", &sealed).await
                }
            })
            .await
            .unwrap();
        assert_eq!(DataKeyId::of(&first), Some(DataKeyId(2)));
        assert_eq!(server.open(&at("callback_key"), &first).await.unwrap(), secrets());
    }

    /// Makes a new key, seals what is there under it, and removes the one before.
    async fn change_keys(store: &MemoryStore, keeper: &Vault) {
        assert!(keeper.add_key().await.unwrap());
        for record in store.sealed(None, 100).await.unwrap() {
            let secrets = keeper.open(&record.at, &record.sealed).await.unwrap();
            assert!(store.reseal(&record, &keeper.seal(&record.at, &secrets).await.unwrap()).await.unwrap());
        }
        assert_eq!(store.remove_data_keys().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_key_replaced_between_reading_and_opening_fails_nobody() {
        let store = Arc::new(MemoryStore::default());
        let (server, keeper) = (vault(&store, 1), vault(&store, 1));
        let read = store.secret("word", &keeper.seal(&at("word"), &secrets()).await.unwrap()).await.unwrap();
        change_keys(&store, &keeper).await;
        assert_eq!(server.open(&at("word"), &read).await.unwrap(), secrets(), "this process never saw the key it was read under");
        // What is not there any more cannot be read again: its key must be known before.
        let gone = keeper.seal(&at("gone"), &secrets()).await.unwrap();
        let late = vault(&store, 1);
        server.learn().await.unwrap();
        change_keys(&store, &keeper).await;
        assert_eq!(server.open(&at("gone"), &gone).await.unwrap(), secrets());
        let told = late.open(&at("gone"), &gone).await;
        assert!(matches!(&told, Err(StoreError::Corrupt(why)) if why.contains("data key 2")), "{told:?}");
    }
}
