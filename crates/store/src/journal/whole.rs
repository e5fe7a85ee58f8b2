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
        let refused = |mut check: JournalCheck, seq, chunk: &[u8]| match check.take(seq, chunk) {
            Err(StoreError::Corrupt(why)) => why,
            other => panic!("{other:?}"),
        };
        let a = write_chunk(&[computed("a")]).unwrap();
        let twice = write_chunk(&[computed("a"), computed("a")]).unwrap();
        let why = refused(begun(), 1, &twice);
        assert!(why.contains("a"), "a finished step is never done again, and it is named: {why}");
        assert_eq!(refused(begun(), 2, &a), "chunk 1 of the journal is missing");
        assert_eq!(refused(begun(), 0, &a), "chunk 1 of the journal is missing", "another one comes twice");
        assert!(!refused(begun(), 1, b"nonsense").is_empty());
        assert!(!refused(begun(), 1, &a[..a.len() - 1]).is_empty(), "a chunk was cut off");
        assert_eq!(refused(JournalCheck::default(), 0, &a), "the journal begins with computed instead of accepted");
        assert_eq!(refused(begun(), 1, &write_chunk(&[accepted()]).unwrap()), "the journal begins a second time");
    }

    #[test]
    fn what_systems_were_asked_and_answered_is_not_held_of_failures_either() {
        let err = || {
            let text = Some(json!("x".repeat(5000)));
            let (class, code, message) = ("invalid".to_owned(), "HTTP_400".to_owned(), "no".to_owned());
            Box::new(crate::ErrorRecord {
                class,
                code,
                message,
                next: None,
                path: None,
                request: text.clone(),
                response: text,
                causes: Vec::new(),
            })
        };
        let (at, n, out) = (Timestamp::from_micros(0), 1, Arc::new(json!("x".repeat(5000))));
        let started = |path: &str| Entry::Started { p: path.into(), n, at, input: Some(Arc::clone(&out)) };
        let entries = [
            accepted(),
            started("a"),
            Entry::Failed { p: "a".into(), n, at, err: err(), retry: None, doubt: false },
            Entry::Caught { p: "a".into(), at, err: err(), out: Some(Arc::clone(&out)), held: false },
            started("b"),
            Entry::Uncertain { p: "b".into(), n, at, err: err() },
        ];
        let mut check = JournalCheck::default();
        check.take(0, &write_chunk(&entries).unwrap()).unwrap();
        assert!(!format!("{check:?}").contains("xxxx"), "values are held");
    }
}
