//! Seals secrets for the store: XChaCha20-Poly1305, bound to the place they are kept.

use std::collections::BTreeMap;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::StoreError;

const FORMAT: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// Seals and opens. Each sealed text names the key it was sealed with.
pub struct Vault {
    key: Zeroizing<[u8; 32]>,
    key_id: [u8; KEY_ID_BYTES],
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", hex::encode(self.key_id))
    }
}

impl Vault {
    /// A vault with this master key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        let digest = Sha256::digest([b"liaison key id".as_slice(), &key].concat());
        let mut key_id = [0; KEY_ID_BYTES];
        key_id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self { key: Zeroizing::new(key), key_id }
    }

    /// A new random master key.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn new_key() -> Result<[u8; 32], StoreError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| StoreError::Internal(format!("no randomness: {error}")))?;
        Ok(key)
    }

    /// Names the key without telling it.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(self.key_id)
    }

    /// The id of the key that sealed a text, as [`Vault::key_id`] gives it; `None` when it is no sealed text.
    #[must_use]
    pub fn sealed_with(sealed: &[u8]) -> Option<String> {
        let head = sealed.get(..1 + KEY_ID_BYTES + NONCE_BYTES)?;
        (head[0] == FORMAT).then(|| hex::encode(&head[1..=KEY_ID_BYTES]))
    }

    /// Seals named secrets for one place; they open only there.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn seal(&self, place: &str, secrets: &BTreeMap<String, String>) -> Result<Vec<u8>, StoreError> {
        let plain = Zeroizing::new(serde_json::to_vec(secrets).map_err(|error| StoreError::Internal(error.to_string()))?);
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| StoreError::Internal(format!("no randomness: {error}")))?;
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: place.as_bytes() })
            .map_err(|_| StoreError::Internal("a secret could not be sealed".to_owned()))?;
        Ok([&[FORMAT], self.key_id.as_slice(), &nonce, &sealed].concat())
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
        let (head, body) = sealed.split_at_checked(1 + KEY_ID_BYTES + NONCE_BYTES).ok_or_else(damaged)?;
        if head[0] != FORMAT {
            return Err(damaged());
        }
        if head[1..=KEY_ID_BYTES] != self.key_id {
            return Err(StoreError::WrongKey { sealed_with: hex::encode(&head[1..=KEY_ID_BYTES]), ours: self.key_id() });
        }
        let nonce: [u8; NONCE_BYTES] = head[1 + KEY_ID_BYTES..].try_into().map_err(|_| damaged())?;
        let plain = self
            .cipher()
            .decrypt(&XNonce::from(nonce), Payload { msg: body, aad: place.as_bytes() })
            .map(Zeroizing::new)
            .map_err(|_| damaged())?;
        serde_json::from_slice(&plain).map_err(|_| damaged())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.key).into())
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
        let vault = Vault::new([1; 32]);
        let sealed = vault.seal("con_a", &secrets()).unwrap();
        assert!(!sealed.windows(12).any(|window| window == b"very_private"));
        assert_eq!(vault.open("con_a", &sealed).unwrap(), secrets());
        assert!(matches!(vault.open("con_b", &sealed), Err(StoreError::Corrupt(_))));
        assert!(matches!(Vault::new([2; 32]).open("con_a", &sealed), Err(StoreError::WrongKey { .. })));
        for position in [0, 10, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(vault.open("con_a", &changed).is_err(), "byte {position}");
        }
        assert!(vault.open("con_a", &sealed[..10]).is_err());
        assert_eq!(Vault::sealed_with(&sealed), Some(vault.key_id()));
        assert_eq!(Vault::sealed_with(&sealed[..10]), None);
    }

    #[test]
    fn sealing_twice_never_gives_the_same_bytes() {
        let vault = Vault::new([1; 32]);
        assert_ne!(vault.seal("a", &secrets()).unwrap(), vault.seal("a", &secrets()).unwrap());
    }
}
