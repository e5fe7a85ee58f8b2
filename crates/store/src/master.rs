//! The master key: seals data keys and, before there were data keys, sealed secrets themselves.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{StoreError, sealing};

/// What is sealed under the master key begins with this byte.
const FORMAT: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES;

/// Seals and opens with XChaCha20-Poly1305, bound to a place. Each sealed text names the key it was sealed with.
pub struct MasterKey {
    key: Zeroizing<[u8; 32]>,
    id: [u8; KEY_ID_BYTES],
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({})", hex::encode(self.id))
    }
}

impl MasterKey {
    /// The master key of these bytes.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        let digest = Sha256::digest([b"liaison key id".as_slice(), &key].concat());
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self { key: Zeroizing::new(key), id }
    }

    /// Names the key without telling it.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(self.id)
    }

    /// The id of the key that sealed a text, as [`MasterKey::id`] gives it; `None` when it is no sealed text.
    #[must_use]
    pub fn sealed_with(sealed: &[u8]) -> Option<String> {
        let head = sealed.get(..HEAD_BYTES + sealing::NONCE_BYTES)?;
        (head[0] == FORMAT).then(|| hex::encode(&head[1..HEAD_BYTES]))
    }

    /// Seals named secrets for one place; they open only there.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn seal(&self, place: &str, secrets: &BTreeMap<String, String>) -> Result<Vec<u8>, StoreError> {
        sealing::seal(&self.key, &[&[FORMAT], self.id.as_slice()].concat(), place.as_bytes(), secrets)
    }

    /// Opens what was sealed for the same place.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] when another key sealed it, [`StoreError::Corrupt`] when it was changed.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<BTreeMap<String, String>, StoreError> {
        if sealed.is_empty() {
            return Ok(BTreeMap::new());
        }
        let damaged = || StoreError::Corrupt(format!("the sealed secret of {place} is damaged"));
        let sealed_with = Self::sealed_with(sealed).ok_or_else(damaged)?;
        if sealed_with != self.id() {
            return Err(StoreError::WrongKey { sealed_with, ours: self.id() });
        }
        sealing::open(&self.key, HEAD_BYTES, place.as_bytes(), sealed).ok_or_else(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> BTreeMap<String, String> {
        BTreeMap::from([("secret".to_owned(), "whsec_very_private".to_owned())])
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_place_with_its_key() {
        let key = MasterKey::new([1; 32]);
        let sealed = key.seal("con_a", &secrets()).unwrap();
        assert!(!sealed.windows(12).any(|window| window == b"very_private"));
        assert_eq!(key.open("con_a", &sealed).unwrap(), secrets());
        assert!(matches!(key.open("con_b", &sealed), Err(StoreError::Corrupt(_))));
        assert!(matches!(MasterKey::new([2; 32]).open("con_a", &sealed), Err(StoreError::WrongKey { .. })));
        for position in [0, 10, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(key.open("con_a", &changed).is_err(), "byte {position}");
        }
        assert!(key.open("con_a", &sealed[..10]).is_err());
        assert_eq!(MasterKey::sealed_with(&sealed), Some(key.id()));
        assert_eq!(MasterKey::sealed_with(&sealed[..10]), None);
    }

    #[test]
    fn sealing_twice_never_gives_the_same_bytes() {
        let key = MasterKey::new([1; 32]);
        assert_ne!(key.seal("a", &secrets()).unwrap(), key.seal("a", &secrets()).unwrap());
    }
}
