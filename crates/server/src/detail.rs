//! One run as the API and the run page tell it, read from its journal.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;
use serde_json::Value as Json;
use store::{Apart, Entry, ErrorRecord, Field, Keeps, RunId, RunRow, Store, StoreError, Timestamp, open_chunk};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// An attempt is under way, or the step waits for the next.
    Running,
    /// Done.
    Succeeded,
    /// Failed for good.
    Failed,
    /// Its condition was false.
    Skipped,
    /// The effect may have happened.
    Uncertain,
}

/// One attempt of a step.
#[derive(Debug, Clone)]
pub struct AttemptDetail {
    /// Counted from 1; 0 when a value could not be computed.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is under way.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
    /// When the next begins.
    pub retry_at: Option<Timestamp>,
    /// True when its effect may have happened.
    pub uncertain: bool,
}

/// One step of a run.
#[derive(Debug, Clone)]
pub struct StepDetail {
    /// Its place in the run.
    pub path: Arc<str>,
    /// Where it stands.
    pub status: StepStatus,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptDetail>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// What it was given; `None` for pure steps.
    pub input: Option<Arc<Json>>,
    /// What it returned.
    pub output: Option<Arc<Json>>,
    /// Where its input is, when that is kept apart; `input` is `None` then.
    pub input_apart: Option<Apart>,
    /// Where its output is, when that is kept apart; `output` is `None` then.
    pub output_apart: Option<Apart>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RunDetail {
    /// Its row.
    pub row: RunRow,
    /// The event.
    pub event: Arc<Json>,
    /// Where the event is, when it is kept apart; `event` is null then.
    pub event_apart: Option<Apart>,
    /// Its steps in the order they were reached.
    pub steps: Vec<StepDetail>,
    /// Its result.
    pub output: Option<Arc<Json>>,
    /// Where its result is, when it is kept apart; `output` is `None` then.
    pub output_apart: Option<Apart>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
    /// Every entry of its journal, for the event log.
    pub entries: Vec<Entry>,
    /// What stays of its data once it is over, and since when the rest is gone; `None` when all of it stays.
    pub keeps: Option<(Keeps, Option<Timestamp>)>,
}

impl RunDetail {
    /// What is left of its data, once it went.
    #[must_use]
    pub fn left(&self) -> Option<Keeps> {
        self.keeps.and_then(|(keeps, gone_at)| gone_at.map(|_| keeps))
    }
}

/// Reads one run; `None` when there is none.
///
/// # Errors
/// When the store does not answer or the journal is damaged.
pub async fn read(store: &(impl Store + ?Sized), id: RunId) -> Result<Option<RunDetail>, StoreError> {
    let Some(row) = store.run(id).await? else { return Ok(None) };
    let (mut entries, mut apart) = (Vec::new(), HashMap::new());
    for (_, chunk) in store.chunks(id, 0).await? {
        let chunk = open_chunk(&chunk)?;
        apart.extend(chunk.apart.into_iter().map(|apart| ((entries.len() + apart.entry, apart.field), apart)));
        entries.extend(chunk.entries);
    }
    let keeps = store.keeps(id).await?;
    Ok(Some(RunDetail { keeps, ..tell_with(row, entries, &apart) }))
}

/// Tells a run from its entries.
#[must_use]
pub fn tell(row: RunRow, entries: Vec<Entry>) -> RunDetail {
    tell_with(row, entries, &HashMap::new())
}

/// The same of entries some of whose values are kept apart, by the place of the entry.
fn tell_with(row: RunRow, entries: Vec<Entry>, apart: &HashMap<(usize, Field), Apart>) -> RunDetail {
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    let mut steps: Vec<StepDetail> = Vec::new();
    let (mut event, mut output, mut error) = (Arc::new(Json::Null), None, None);
    let mut output_apart = None;
    for (at, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Accepted { event: data, .. } => event = Arc::clone(data),
            Entry::Ended { out, err, .. } => {
                output_apart = apart.get(&(at, Field::Out)).copied();
                output = out.clone().filter(|_| output_apart.is_none());
                error = err.as_deref().cloned();
            }
            // The run goes on: how it ended before stands in the entries.
            Entry::Resumed { .. } => error = None,
            _ => {}
        }
        if let Some(path) = entry.path() {
            let place = *places.entry(Arc::clone(path)).or_insert_with(|| {
                steps.push(StepDetail {
                    path: Arc::clone(path),
                    status: StepStatus::Running,
                    attempts: Vec::new(),
                    started_at: entry.at(),
                    finished_at: None,
                    input: None,
                    output: None,
                    input_apart: None,
                    output_apart: None,
                    error: None,
                });
                steps.len() - 1
            });
            steps[place].take(entry);
            steps[place].take_apart(entry, |field| apart.get(&(at, field)).copied());
        }
    }
    let event_apart = apart.get(&(0, Field::Event)).copied();
    RunDetail { row, event, event_apart, steps, output, output_apart, error, entries, keeps: None }
}

impl StepDetail {
    fn take(&mut self, entry: &Entry) {
        let at = entry.at();
        match entry {
            Entry::Computed { out, .. } => {
                (self.status, self.output, self.error) = (StepStatus::Succeeded, Some(Arc::clone(out)), None);
            }
            Entry::Settled { out, .. } => {
                self.end_open_attempt(at);
                (self.status, self.output, self.error) = (StepStatus::Succeeded, Some(Arc::clone(out)), None);
            }
            Entry::Skipped { .. } => self.status = StepStatus::Skipped,
            Entry::Waits { .. } => self.status = StepStatus::Running,
            // The failure stays to be seen; what counts instead of it is the output.
            Entry::Caught { p, err, out, .. } => {
                self.error = Some((**err).clone());
                // A pass is over then; the `catch` of a `try` goes on.
                if out.is_some() || p.ends_with(']') {
                    self.status = StepStatus::Failed;
                    self.output.clone_from(out);
                }
            }
            Entry::Started { n, input, .. } => {
                self.status = StepStatus::Running;
                if input.is_some() {
                    self.input.clone_from(input);
                }
                self.attempts.push(AttemptDetail {
                    number: *n,
                    started_at: at,
                    ended_at: None,
                    error: None,
                    retry_at: None,
                    uncertain: false,
                });
            }
            Entry::Succeeded { n, out, .. } => {
                (self.status, self.output, self.error) = (StepStatus::Succeeded, Some(Arc::clone(out)), None);
                if let Some(attempt) = self.attempt(*n) {
                    attempt.ended_at = Some(at);
                }
            }
            Entry::Failed { n, err, retry, .. } => {
                self.status = if retry.is_some() { StepStatus::Running } else { StepStatus::Failed };
                self.error = Some((**err).clone());
                if *n == 0 {
                    self.end_open_attempt(at);
                }
                if let Some(attempt) = self.attempt(*n) {
                    (attempt.ended_at, attempt.error, attempt.retry_at) = (Some(at), Some((**err).clone()), *retry);
                }
            }
            Entry::Uncertain { n, err, .. } => {
                self.status = StepStatus::Uncertain;
                self.error = Some((**err).clone());
                if let Some(attempt) = self.attempt(*n) {
                    (attempt.ended_at, attempt.error, attempt.uncertain) = (Some(at), Some((**err).clone()), true);
                }
            }
            Entry::Paged { .. } | Entry::Reopened { .. } => self.status = StepStatus::Running,
            Entry::Accepted { .. }
            | Entry::Found { .. }
            | Entry::Resumed { .. }
            | Entry::Replayed { .. }
            | Entry::Discarded { .. }
            | Entry::Ended { .. } => {}
        }
        self.finished_at = (self.status != StepStatus::Running).then_some(at);
    }

    /// Notes which values of the entry are kept apart; they are not there then.
    fn take_apart(&mut self, entry: &Entry, apart: impl Fn(Field) -> Option<Apart>) {
        let (input, output) = (apart(Field::In), apart(Field::Out));
        if input.is_some() || matches!(entry, Entry::Started { input: Some(_), .. }) {
            self.input_apart = input;
        }
        if output.is_some() || entry.values().any(|(field, _)| field == Field::Out) {
            self.output_apart = output;
        }
        self.input = self.input.take().filter(|_| self.input_apart.is_none());
        self.output = self.output.take().filter(|_| self.output_apart.is_none());
    }

    /// A call of another recipe lasts until that run is over.
    fn end_open_attempt(&mut self, at: Timestamp) {
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.ended_at.is_none()) {
            attempt.ended_at = Some(at);
        }
    }

    fn attempt(&mut self, number: u32) -> Option<&mut AttemptDetail> {
        self.attempts.iter_mut().find(|attempt| attempt.number == number)
    }
}
