//! Idempotency keys: what was answered the first time is answered again.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::error::{Refused, Result};

/// Keys kept; the oldest are forgotten first.
const KEYS_MAX: usize = 50_000;
/// Longest key, in characters.
const KEY_CHARS_MAX: usize = 255;
/// A key's age, in seconds.
const KEY_AGE_S: i64 = 24 * 3600;

/// What was answered.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) body: Bytes,
    /// The request that did it.
    pub(super) request: String,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Method, path and parameters of the first use.
    print: [u8; 32],
    since: i64,
    answered: Option<Answered>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<String, Entry>,
    order: VecDeque<String>,
}

/// The keys of all accounts.
#[derive(Clone, Default)]
pub(super) struct Repeats {
    inner: Arc<Mutex<Inner>>,
}

/// A key in use. Dropped without an answer, the key is free again.
pub(super) struct Claim {
    repeats: Repeats,
    key: String,
    answered: bool,
}

/// What a key leads to.
pub(super) enum Use {
    First(Claim),
    Again(Answered),
}

impl Repeats {
    /// Begins the use of a key. `scope` keeps accounts apart.
    pub(super) fn begin(&self, scope: &str, key: &str, print: [u8; 32], now: i64) -> Result<Use> {
        if key.chars().count() > KEY_CHARS_MAX {
            let message = format!("Idempotency keys are at most {KEY_CHARS_MAX} characters long.");
            return Err(Refused::new(400, "idempotency_error", message));
        }
        let place = format!("{scope} {key}");
        let mut inner = self.inner.lock();
        if let Some(entry) = inner.entries.get(&place).filter(|entry| entry.answered.is_none() || now - entry.since < KEY_AGE_S) {
            return again(entry, key, print);
        }
        if inner.order.len() >= KEYS_MAX
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.entries.remove(&oldest);
        }
        if inner.entries.insert(place.clone(), Entry { print, since: now, answered: None }).is_none() {
            inner.order.push_back(place.clone());
        }
        Ok(Use::First(Claim { repeats: self.clone(), key: place, answered: false }))
    }

    pub(super) fn clear(&self) {
        *self.inner.lock() = Inner::default();
    }
}

fn again(entry: &Entry, key: &str, print: [u8; 32]) -> Result<Use> {
    if entry.print != print {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key \
             other than '{key}' if you meant to execute a different request."
        );
        return Err(Refused::new(400, "idempotency_error", message));
    }
    match &entry.answered {
        Some(answered) => Ok(Use::Again(answered.clone())),
        None => {
            let message = format!(
                "There is currently another in-progress request using this Idempotent Key (that probably means you submitted \
                 twice, and the other request is still going through): {key}. Please try again later."
            );
            Err(Refused::new(409, "invalid_request_error", message).code("idempotency_key_in_use"))
        }
    }
}

impl Claim {
    /// Keeps the answer for those who come again.
    pub(super) fn answer(mut self, answered: Answered) {
        self.answered = true;
        if let Some(entry) = self.repeats.inner.lock().entries.get_mut(&self.key) {
            entry.answered = Some(answered);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.answered {
            let mut inner = self.repeats.inner.lock();
            inner.entries.remove(&self.key);
            inner.order.retain(|key| *key != self.key);
        }
    }
}
