//! XChaCha20-Poly1305 over named secrets: what the master key and data keys have in common.

use std::collections::BTreeMap;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use crate::StoreError;

pub(crate) const NONCE_BYTES: usize = 24;

/// A new random key of 256 bits.
///
/// # Errors
/// When the machine has no randomness to give.
pub fn new_key() -> Result<[u8; 32], StoreError> {
    let mut key = [0; 32];
    fill(&mut key)?;
    Ok(key)
}

/// The secrets sealed: `head` in the open, a nonce, the rest. It opens only with the same `bound`.
pub(crate) fn seal(key: &[u8; 32], head: &[u8], bound: &[u8], secrets: &BTreeMap<String, String>) -> Result<Vec<u8>, StoreError> {
    let plain = Zeroizing::new(serde_json::to_vec(secrets).map_err(|error| StoreError::Internal(error.to_string()))?);
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce)?;
    let sealed = XChaCha20Poly1305::new(&(*key).into())
        .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: bound })
        .map_err(|_| StoreError::Internal("a secret could not be sealed".to_owned()))?;
    Ok([head, &nonce, &sealed].concat())
}

/// What [`seal`] sealed behind a head of so many bytes; `None` when it was changed, moved, or sealed with another key.
pub(crate) fn open(key: &[u8; 32], head: usize, bound: &[u8], sealed: &[u8]) -> Option<BTreeMap<String, String>> {
    let (nonce, body) = sealed.get(head..)?.split_at_checked(NONCE_BYTES)?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
    let plain = XChaCha20Poly1305::new(&(*key).into())
        .decrypt(&XNonce::from(nonce), Payload { msg: body, aad: bound })
        .map(Zeroizing::new)
        .ok()?;
    serde_json::from_slice(&plain).ok()
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Internal(format!("no randomness: {error}")))
}
