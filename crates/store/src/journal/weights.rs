//! What the values of a run weigh while somebody holds them.

use std::sync::{Arc, Weak};

use serde_json::Value as Json;

use super::Entry;

/// Entries of fewer bytes are not weighed: a run has to have very many of them before they matter.
pub const WEIGHED_BYTES_MIN: usize = 512;
/// Values added between two looks at which are gone, at least.
const LOOK_VALUES: usize = 64;
/// Bytes added between two looks, at least.
const LOOK_BYTES: u64 = 1024 * 1024;
/// An output is often the next input, or an item of the page before: the same value, held once.
const LOOK_BACK: usize = 4;

/// The values of a run that are in memory, with their bytes as JSON text. A value counts until the last who holds it
/// lets it go; what is gone is noticed a little later.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    values: Vec<(Weak<Json>, u64)>,
    bytes: u64,
    /// What was left after the last look.
    left: (usize, u64),
}

impl Weights {
    /// Adds the values of an entry, which takes so many bytes altogether.
    pub fn add(&mut self, entry: &Entry, bytes: usize) {
        if bytes < WEIGHED_BYTES_MIN {
            return;
        }
        // An entry has one value that can be large, but the first, whose event is.
        if let Some((_, value)) = entry.values().next() {
            self.add_value(value, bytes as u64);
        }
    }

    /// Adds one value.
    pub fn add_value(&mut self, value: &Arc<Json>, bytes: u64) {
        let held = |(known, _): &(Weak<Json>, u64)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(value));
        if self.values.iter().rev().take(LOOK_BACK).any(held) {
            return;
        }
        self.values.push((Arc::downgrade(value), bytes));
        self.bytes += bytes;
        let (values, bytes) = self.left;
        if self.values.len() > 2 * values + LOOK_VALUES || self.bytes > 2 * bytes + LOOK_BYTES {
            self.look();
        }
    }

    /// Adds those of others.
    pub fn take(&mut self, others: Self) {
        if self.values.is_empty() {
            *self = others;
            return;
        }
        for (value, bytes) in others.values {
            if let Some(value) = value.upgrade() {
                self.add_value(&value, bytes);
            }
        }
    }

    /// Bytes of the values, some of which may be gone.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lets go of what nobody holds any more; gives the bytes that are left.
    pub fn look(&mut self) -> u64 {
        self.values.retain(|(value, _)| value.strong_count() > 0);
        self.bytes = self.values.iter().map(|(_, bytes)| bytes).sum();
        self.left = (self.values.len(), self.bytes);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn succeeded(out: &Arc<Json>) -> Entry {
        Entry::Succeeded { p: "a".into(), n: 1, at: Timestamp::from_micros(1), out: Arc::clone(out) }
    }

    #[test]
    fn a_value_counts_once_and_until_it_is_let_go() {
        let mut weights = Weights::default();
        let (one, other) = (Arc::new(Json::from("one")), Arc::new(Json::from("other")));
        weights.add(&succeeded(&one), 1000);
        weights.add(&succeeded(&one), 1000);
        weights.add(&succeeded(&other), 5000);
        weights.add(&succeeded(&Arc::default()), WEIGHED_BYTES_MIN - 1);
        assert_eq!(weights.look(), 6000);
        drop(other);
        assert_eq!((weights.bytes(), weights.look()), (6000, 1000));
    }

    #[test]
    fn what_passes_through_is_not_gathered() {
        // The value that is added is still held at the look, so that one is left of each.
        let mut weights = Weights::default();
        for _ in 0..100_000 {
            weights.add_value(&Arc::new(Json::Null), 1000);
            assert!(weights.values.len() <= LOOK_VALUES + 2, "{}", weights.values.len());
        }
        for _ in 0..100 {
            weights.add_value(&Arc::new(Json::Null), LOOK_BYTES);
            assert!(weights.bytes() <= 3 * LOOK_BYTES, "{}", weights.bytes());
        }
    }
}
