//! When steps began and ended, as their entries say.

use std::sync::Arc;

use super::{Entry, Journal, StepPath};
use crate::Timestamp;

/// What a step's entries say about its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lived {
    /// The last attempt; 0 for steps that make none.
    pub attempts: u32,
    /// The first entry since it was ready.
    pub began: Timestamp,
    /// The last entry.
    pub finished: Timestamp,
    /// Where among the entries of all steps the last one stands. Clocks are set at times, and the order of entries is not.
    pub place: u64,
}

impl Journal {
    /// Takes the time of one more entry of a step.
    pub(super) fn note_time(&mut self, path: &StepPath, entry: &Entry) {
        if matches!(entry, Entry::Reopened { .. }) {
            self.lived.remove(path);
            return;
        }
        let at = entry.at();
        self.noted += 1;
        let first = Lived { attempts: 0, began: at, finished: at, place: self.noted };
        let lived = self.lived.entry(Arc::clone(path)).or_insert(first);
        (lived.finished, lived.place) = (at, self.noted);
        if let Entry::Started { n, .. } = entry {
            lived.attempts = *n;
        }
    }
}
