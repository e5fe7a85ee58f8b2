//! Looks whether a journal is whole, without holding what its steps returned.

use std::sync::Arc;

use super::{Entry, Journal, open_chunk};
use crate::StoreError;

/// Reads one run's journal chunk by chunk and keeps only where its steps stand.
#[derive(Debug, Default)]
pub struct JournalCheck {
    journal: Option<Journal>,
}

impl JournalCheck {
    /// Reads one more chunk.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it cannot be read, is not the next, or says what may not follow.
    pub fn take(&mut self, seq: i32, chunk: &[u8]) -> Result<(), StoreError> {
        let mut entries = open_chunk(chunk)?.entries;
        entries.iter_mut().for_each(forget_values);
        Journal::take(&mut self.journal, seq, entries)
    }

    /// The number the next chunk gets; `None` before the first.
    #[must_use]
    pub fn next_seq(&self) -> Option<i32> {
        self.journal.as_ref().map(|journal| journal.next_seq)
    }
}

/// What a journal holds grows with what steps got and returned; where they stand does not depend on it.
fn forget_values(entry: &mut Entry) {
    match entry {
        Entry::Accepted { event, params, state, .. } => {
            for value in [event, params, state] {
                *value = Arc::default();
            }
        }
        Entry::Computed { out, .. } | Entry::Succeeded { out, .. } | Entry::Settled { out, .. } => *out = Arc::default(),
        Entry::Started { input: Some(input), .. } => *input = Arc::default(),
        Entry::Found { state, .. } => *state = Arc::default(),
        Entry::Paged { rows, .. } => *rows = None,
        Entry::Caught { err, out, .. } => {
            (err.request, err.response) = (None, None);
            *out = None;
        }
        Entry::Failed { err, .. } | Entry::Uncertain { err, .. } => (err.request, err.response) = (None, None),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Timestamp, write_chunk};

    fn accepted() -> Entry {
        Entry::Accepted {
            at: Timestamp::from_micros(0),
            via: "api".into(),
            event: Arc::new(json!({ "a": "x".repeat(5000) })),
            params: Arc::default(),
            state: Arc::default(),
            trace: None,
        }
    }

    fn computed(path: &str) -> Entry {
        Entry::Computed { p: path.into(), at: Timestamp::from_micros(0), out: Arc::new(json!("x".repeat(5000))) }
    }

    #[test]
    fn a_whole_journal_is_read_and_not_held() {
        let mut check = JournalCheck::default();
        assert_eq!(check.next_seq(), None);
        check.take(0, &write_chunk(&[accepted()]).unwrap()).unwrap();
        check.take(1, &write_chunk(&[computed("a"), computed("b")]).unwrap()).unwrap();
        assert_eq!(check.next_seq(), Some(2));
        assert!(!format!("{check:?}").contains("xxxx"), "values are held");
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let begun = || {
            let mut check = JournalCheck::default();
            check.take(0, &write_chunk(&[accepted()]).unwrap()).unwrap();
            check
        };
        let twice = write_chunk(&[computed("a"), computed("a")]).unwrap();
        assert!(begun().take(1, &twice).is_err(), "a finished step is never done again");
        assert!(begun().take(2, &write_chunk(&[computed("a")]).unwrap()).is_err(), "a chunk is missing");
        assert!(begun().take(1, b"nonsense").is_err());
        assert!(JournalCheck::default().take(0, &write_chunk(&[computed("a")]).unwrap()).is_err());
    }
}
