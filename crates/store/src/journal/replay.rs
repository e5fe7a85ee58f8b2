//! From entries to where each step stands.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{Doubted, Entry, ITEMS_FAILED, IllegalEntry, Journal, PathMap, PathSet, StepPath, StepState, read_chunk};
use crate::{StoreError, Timestamp, Via};

impl Journal {
    /// The journal of a run that begins now.
    #[must_use]
    pub fn new(via: Via, event: Arc<Json>, params: Arc<Json>, at: Timestamp) -> Self {
        Self {
            via,
            event,
            params,
            state: Arc::default(),
            trace: None,
            found: 0,
            given_up: None,
            state_is_old: false,
            accepted_at: at,
            since: at,
            steps: PathMap::default(),
            inputs: PathMap::default(),
            turns: PathMap::default(),
            began: PathMap::default(),
            doubts: PathMap::default(),
            repeated: PathSet::default(),
            reopened: PathMap::default(),
            caught: PathMap::default(),
            held: PathSet::default(),
            late: PathSet::default(),
            streams: PathMap::default(),
            partial_ends: 0,
            lived: PathMap::default(),
            noted: 0,
            next_seq: 0,
        }
    }

    /// Replays the chunks of one run, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a chunk cannot be read, when the first entry is not `accepted`,
    /// or when an entry may not follow.
    pub fn replay<'a>(chunks: impl IntoIterator<Item = (i32, &'a [u8])>) -> Result<Self, StoreError> {
        Self::of(chunks.into_iter().map(|(seq, bytes)| read_chunk(bytes).map(|entries| (seq, entries))))
    }

    /// As [`Journal::replay`], of chunks that were unpacked.
    ///
    /// # Errors
    /// As there, and those of the chunks themselves.
    pub fn of(chunks: impl IntoIterator<Item = Result<(i32, Vec<Entry>), StoreError>>) -> Result<Self, StoreError> {
        let mut journal: Option<Self> = None;
        for chunk in chunks {
            let (seq, entries) = chunk?;
            Self::take(&mut journal, seq, entries)?;
        }
        journal.ok_or_else(|| StoreError::Corrupt("the journal is empty".to_owned()))
    }

    /// Takes one more chunk; the first makes the journal.
    pub(crate) fn take(journal: &mut Option<Self>, seq: i32, entries: Vec<Entry>) -> Result<(), StoreError> {
        for entry in entries {
            match (&mut *journal, &entry) {
                (None, Entry::Accepted { at, via, event, params, state, trace }) => {
                    let via = Via::parse(via).unwrap_or(Via::Api);
                    let begun = Self::new(via, Arc::clone(event), Arc::clone(params), *at);
                    *journal = Some(Self { state: Arc::clone(state), trace: trace.clone(), ..begun });
                }
                (Some(_), Entry::Accepted { .. }) => {
                    return Err(StoreError::Corrupt("the journal begins a second time".to_owned()));
                }
                (Some(journal), entry) => journal.apply(entry).map_err(|illegal| StoreError::Corrupt(illegal.to_string()))?,
                (None, entry) => {
                    return Err(StoreError::Corrupt(format!("the journal begins with {} instead of accepted", entry.word())));
                }
            }
        }
        if let Some(journal) = journal {
            if seq != journal.next_seq {
                return Err(StoreError::Corrupt(format!("chunk {} of the journal is missing", journal.next_seq)));
            }
            journal.next_seq = seq + 1;
        }
        Ok(())
    }

    /// Takes one more entry.
    ///
    /// # Errors
    /// [`IllegalEntry`] when it may not follow.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalEntry> {
        if let Entry::Resumed { at, .. } = entry {
            self.since = *at;
            self.state_is_old = true;
        }
        if let Entry::GivenUp { by, reason, .. } = entry {
            self.given_up = Some((by.clone(), reason.clone()));
        }
        if let Entry::Found { state, .. } = entry {
            self.state = Arc::clone(state);
            self.found += 1;
            self.state_is_old = false;
        }
        if let Entry::Ended { err: Some(err), .. } = entry
            && err.code == ITEMS_FAILED
        {
            self.partial_ends += 1;
        }
        if let Entry::Caught { p, err, out, held, .. } = entry {
            self.caught.insert(Arc::clone(p), (err.clone(), out.clone()));
            if *held {
                self.late.remove(p);
                self.held.insert(Arc::clone(p));
            }
            return Ok(());
        }
        if let Entry::Paged { .. } = entry {
            self.turn_page(entry);
            return Ok(());
        }
        if let Entry::Reopened { p, .. } = entry
            && self.held.remove(p)
        {
            self.caught.remove(p);
            self.late.insert(Arc::clone(p));
            return Ok(());
        }
        if let Some(path) = entry.path() {
            let before = self.steps.get(path).unwrap_or(&StepState::Ready { attempts: 0 });
            let after = before.after(entry)?;
            match (&after, entry) {
                (StepState::Running { .. }, Entry::Started { input: Some(input), at, .. }) => {
                    if self.inputs.insert(Arc::clone(path), Arc::clone(input)).is_some() {
                        *self.turns.entry(Arc::clone(path)).or_default() += 1;
                        // It is another effect.
                        self.doubts.remove(path);
                        self.repeated.remove(path);
                    }
                    self.began.insert(Arc::clone(path), *at);
                }
                (StepState::Succeeded { .. }, _) => {
                    self.inputs.remove(path);
                    self.began.remove(path);
                }
                // What it sends is worked out anew; whether that is the same shows then.
                (StepState::Ready { .. }, _) => drop(self.began.remove(path)),
                (StepState::Running { .. }, Entry::Started { at, .. }) => drop(self.began.entry(Arc::clone(path)).or_insert(*at)),
                _ => {}
            }
            if let (StepState::Ready { attempts }, Entry::Reopened { .. }) = (&after, entry) {
                self.reopened.insert(Arc::clone(path), *attempts);
            }
            if let Entry::Computed { p, .. } | Entry::Succeeded { p, .. } = entry {
                self.late.remove(p);
                self.end_stream(p);
            }
            self.note_doubt(path, &after, entry);
            self.note_time(path, entry);
            self.steps.insert(Arc::clone(path), after);
        }
        Ok(())
    }

    /// Keeps since when the effect of a step may have happened: from the first attempt that did not end in a definite
    /// answer, until the step is done or a person lets a doubtful one be repeated.
    fn note_doubt(&mut self, path: &StepPath, after: &StepState, entry: &Entry) {
        let was_asked = || matches!(self.steps.get(path), Some(StepState::Uncertain { .. }));
        match (after, entry) {
            (StepState::Running { .. }, Entry::Started { n, at, .. }) => {
                self.doubts.entry(Arc::clone(path)).or_insert(Doubted { attempt: *n, since: *at });
            }
            (_, Entry::Failed { n, doubt: false, .. }) if self.doubts.get(path).is_some_and(|first| first.attempt == *n) => {
                self.doubts.remove(path);
            }
            // It began what it waits for.
            (StepState::Succeeded { .. } | StepState::Waiting { .. }, _) => {
                self.doubts.remove(path);
                self.repeated.remove(path);
            }
            (_, Entry::Reopened { .. }) if was_asked() => {
                self.doubts.remove(path);
                self.repeated.insert(Arc::clone(path));
            }
            _ => {}
        }
    }

    /// Whether an attempt of a step that is not done may have happened, under the key it still has.
    #[must_use]
    pub fn may_have_happened(&self, path: &StepPath) -> bool {
        self.doubts.contains_key(path) || self.repeated.contains(path)
    }
}
